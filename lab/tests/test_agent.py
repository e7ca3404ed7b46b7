# SPDX-License-Identifier: MIT
"""What runs programs in a virtual machine, tried without one: on this machine, over a pair of sockets."""
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "virtual"))

from machine import LabError, Machine, ProgramError, _Line  # pylint: disable=wrong-import-position


class Here(Machine):
    """Its machine is this one."""

    def __init__(self, line, process):  # pylint: disable=super-init-not-called
        self._line, self._qemu, self._off = line, process, False


@pytest.fixture
def here():
    ours, theirs = socket.socketpair()
    agent = (Path(__file__).resolve().parents[1] / "virtual/agent.py").read_text()
    with subprocess.Popen([sys.executable, "-c", agent, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                          stderr=subprocess.DEVNULL) as process:
        theirs.close()
        line = _Line(ours)
        assert line.receive(time.monotonic() + 60) == (b"H", b"")
        yield Here(line, process)
        line.close()


def said(here, *argv, **kw):
    done = here.run(argv, cwd="/", **kw)
    return done.returncode, done.stdout, done.stderr


def test_output_and_exit_status(here):
    assert said(here, "sh", "-c", "echo out; echo err >&2; exit 3") == (3, "out\n", "err\n")
    assert said(here, "sh", "-c", "kill -9 $$")[0] == -9
    assert said(here, "no-such-program")[0] == 127
    with pytest.raises(ProgramError, match="words of what broke"):
        here.run(["sh", "-c", "echo words of what broke >&2; false"], check=True, cwd="/")


def test_input_ends(here):
    assert said(here, "cat") == (0, "", "")
    assert said(here, "cat", input="größer\n") == (0, "größer\n", "")
    much = "0123456789" * 300000
    assert said(here, "cat", input=much) == (0, much, "")
    assert said(here, "true", input=much)[0] == 0


def test_environment_and_folder(here):
    assert said(here, "sh", "-c", 'echo "$A$HOME$PWD"', env={"A": "a:", "HOME": None}) == (0, "a:/\n", "")


def test_terminal_is_typed_at_when_it_asks(here):
    script = "tty; stty size; read -rsp 'PIN: ' pin </dev/tty; echo \"got $pin\"; read -rp 'more: ' x; exit \"$x\""
    status, screen, _ = said(here, "bash", "-c", script, pty=True,
                             input=[("PIN: ", "1234\n"), ("more: ", lambda text: f"{text.count('1234')}\n")])
    assert status == 1 and screen.startswith("/dev/pts/") and "24 120\nPIN: got 1234\nmore: 1\n" in screen


@pytest.mark.parametrize("terminal", [False, True])
def test_program_that_takes_too_long_is_killed(here, terminal):
    with pytest.raises(LabError, match="so far:\nsomething"):
        here.run(["sh", "-c", "echo something; sleep 1000 & wait"], timeout=2, cwd="/", pty=terminal)
    assert said(here, "echo", "still there") == (0, "still there\n", "")
