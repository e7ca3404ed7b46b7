# SPDX-License-Identifier: MIT
"""The process that is a running lab machine: it holds the namespaces, starts and ends what runs there.

Started by world.py in fresh namespaces, with the machine's configuration as its argument and the node's folder as its
current one. Says "ready" on standard output, or what is wrong.

Guarantees: when it ends, by a stop, by the end of whoever started it, or by a kill, so do the engine, the TPM and every
program in the machine; there is one supervisor to a node.
Refuses: requests at the same time: they are served one after the other, one JSON object a line.
"""
import contextlib
import ctypes
import fcntl
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

# An isolated interpreter does not look beside its script.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

# pylint: disable=wrong-import-position
from journal import Journal
from namespace import BUILD, NODE, enter
from tpm.chip import Chip
from tpm.relay import Relay

_READY_TIMEOUT_S = 30
_REQUEST_TIMEOUT_S = 10
_DEATH_TIMEOUT_S = 5
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent():
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Child:
    """A part of the machine that is a process of its own, forked from here, with a control socket."""

    def __init__(self, serve):
        self._socket, other = socket.socketpair()
        self._pid = os.fork()
        if self._pid == 0:
            _die_with_parent()
            self._socket.close()
            status = 1
            try:
                serve(other)
                status = 0
            except BaseException:  # pylint: disable=broad-except  # a forked child must not go on as its parent
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(status)
        other.close()
        self._answers = self._socket.makefile("r")

    def ask(self, *request):
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        line = self._answers.readline()
        if not line:
            raise RuntimeError("that part of the machine has ended: see supervisor.err")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])

    def end(self):
        self._answers.close()
        self._socket.close()
        os.waitpid(self._pid, 0)


def _serve_tpm(machine):
    def serve(control):
        (NODE / "tpm").mkdir(exist_ok=True)
        with open(NODE / "tpm.log", "a", encoding="ascii") as log:
            relay = Relay(Chip(NODE / "tpm", machine), ["/dev/tpmrm0", "/dev/tpm0"], log, control)
            relay.run()
    return serve


def _serve_journal(control):
    with open(NODE / "journal", "a", encoding="utf-8") as log:
        journal = Journal("/run/systemd/journal/socket", log)
        requests = control.makefile("r")
        while True:
            ready, _, _ = select.select([journal.socket, control], [], [])
            journal.drain()
            if control in ready:
                if not requests.readline():
                    return
                control.sendall(b"{}\n")


class Engine:
    """ZFS: the process behind /dev/zfs."""

    def __init__(self, program):
        self._program = program
        self._process = None

    def start(self):
        if self.pid:
            return
        with open(NODE / "engine.err", "ab") as errors:
            self._process = subprocess.Popen(
                [self._program, "/dev/zfs", "/etc/zfs/zpool.cache"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors, preexec_fn=_die_with_parent)
        ready, _, _ = select.select([self._process.stdout], [], [], _READY_TIMEOUT_S)
        if not ready or self._process.stdout.readline() != b"ready\n":
            self.kill()
            raise RuntimeError("the engine did not start: see engine.err")

    def kill(self):
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process.stdout.close()
            self._process = None

    @property
    def pid(self):
        """None also if it ended by itself, which is a bug: engine.err has its last words."""
        return self._process.pid if self._process and self._process.poll() is None else None


def _programs():
    """Whatever came into the machine's network namespace from outside, also if it has other mounts by now. The machine
    itself is one session."""
    namespace = os.stat("/proc/self/ns/net").st_ino
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError):
            pid = int(entry.name)
            if os.stat(entry / "ns/net").st_ino == namespace and os.getsid(pid) != os.getpid():
                yield pid


def _kill(pid):
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], _DEATH_TIMEOUT_S)
        finally:
            os.close(handle)


def _kill_programs():
    """Until none is left: what was just being forked is there in the next round."""
    while pids := list(_programs()):
        for pid in pids:
            _kill(pid)


class Machine:
    """The running machine and the requests that it serves."""

    def __init__(self, config):
        self._engine = Engine(BUILD / "engine") if config["zfs_module"] else None
        self._journal = Child(_serve_journal)
        self._tpm = Child(_serve_tpm(config["name"])) if config["tpm"] else None
        if self._engine:
            self._engine.start()

    def serve(self, request):
        """Carries out one request and returns what is to be answered."""
        what, *arguments = request
        if what == "status":
            return {"pid": os.getpid(), "engine": self._engine and self._engine.pid}
        if what == "journal":
            self._journal.ask("drain")
        elif what == "tpm":
            if not self._tpm:
                raise RuntimeError("this machine has no TPM")
            self._tpm.ask(*arguments)
        elif what in ("engine-start", "engine-kill"):
            if not self._engine:
                raise RuntimeError("this machine has no ZFS")
            (self._engine.start if what == "engine-start" else self._engine.kill)()
        else:
            raise RuntimeError(f"unknown request {what}")
        return {}

    def off(self):
        """The power goes. Programs are first, so that none sees the machine without ZFS; the TPM is told, as a kernel
        does."""
        _kill_programs()
        if self._engine:
            self._engine.kill()
        if self._tpm:
            self._tpm.end()
        self._journal.end()


def _answer(connection, answer):
    """Whoever asked may not be there any more."""
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(answer).encode() + b"\n")


def _answer_sockets(connection, count):
    """Sockets of the machine's network, for who stands outside of it."""
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        socket.send_fds(connection, [b"{}\n"], [s.fileno() for s in sockets])


def _serve_control(machine, listener):
    """Returns False when the machine has been switched off."""
    connection, _ = listener.accept()
    connection.settimeout(_REQUEST_TIMEOUT_S)
    with connection, connection.makefile("r") as lines:
        try:
            request = json.loads(lines.readline())
            if request == ["stop"]:
                machine.off()
                _answer(connection, {})
                return False
            if request[0] == "sockets":
                _answer_sockets(connection, request[1])
            else:
                _answer(connection, machine.serve(request))
        except Exception as error:  # pylint: disable=broad-except  # goes to whoever asked
            _answer(connection, {"error": str(error)})
        return True


def _listen():
    Path("control").unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind("control")
    listener.listen(socket.SOMAXCONN)
    return listener


def _lock():
    """Held as long as this process lives."""
    lock = os.open("lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RuntimeError("it runs already") from None


def _start(config):
    enter(config)
    if config["own_libraries"]:
        subprocess.run(["ldconfig", "-X"], check=True)
    machine = Machine(config)
    # The answers mean that their sockets are there.
    machine.serve(["journal"])
    if config["tpm"]:
        machine.serve(["tpm", "on"])
    return machine


def _serve(machine, listener, lifeline):
    """Until it is switched off by a request, or by the end of whoever holds the other end of the lifeline. Returns
    whether it was a request."""
    while True:
        ready, _, _ = select.select([listener] + ([lifeline] if lifeline else []), [], [])
        if lifeline in ready:
            machine.off()
            return False
        if not _serve_control(machine, listener):
            return True


def main():
    config = json.loads(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _lock()
        listener = _listen()
        machine = _start(config)
    except Exception as error:  # pylint: disable=broad-except  # goes to whoever started us
        print(f"{type(error).__name__}: {error}", flush=True)
        raise
    print("ready", flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(machine.off()))
    if not _serve(machine, listener, sys.stdin if config["lifeline"] else None) and config["temporary"]:
        # Whoever made the world can't any more.
        shutil.rmtree(config["temporary"], ignore_errors=True)


if __name__ == "__main__":
    main()
