# SPDX-License-Identifier: MIT
"""Programs that end, or are made to wait, at a system call of the test's choice. strace does it.

Guarantees: a step is the Nth call of its kind in the program itself; its children are left alone. A step that a run
does not come to leaves the run as it was.
Refuses: to look at what happens before zseal catches signals: until then it is the loader's.
"""
import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest

needs_strace = pytest.mark.skipif(not shutil.which("strace") or os.geteuid() != 0,
                                  reason="this machine can't: strace and root are needed")

SANITIZED = bool(os.environ.get("ZSEAL_SANITIZED"))

# What a step between two of them would not tell apart from a step at the next one.
_UNSEEN = {"mmap", "munmap", "mprotect", "madvise", "mlock", "mlockall", "brk", "futex", "getpid", "geteuid",
           "newfstatat", "rt_sigaction", "rt_sigprocmask", "getrandom", "pread64", "access", "close", "prlimit64",
           "fcntl", "lseek",
           "sigaltstack", "gettid", "set_robust_list", "rseq", "getsockopt", "mremap", "clock_gettime", "sched_yield",
           "fstat", "umask", "pidfd_open", "prctl"}

# Each of these changes what is there afterwards.
_DECISIVE = {"renameat", "clone", "clone3", "unlink", "unlinkat", "exit_group"}

_TIMEOUT_S = 120


class Step(NamedTuple):
    call: str
    number: int

    def __str__(self):
        return f"{self.call}-{self.number}"


class Ended(NamedTuple):
    status: int
    stdout: str
    stderr: str


def fault_library(name):
    """One of tests/fault, to be preloaded."""
    return Path(os.environ.get("ZSEAL", "build/src/zseal")).resolve().parents[1] / f"tests/fault/{name}.so"


def environment():
    """LeakSanitizer traces its own process, which strace traces already."""
    return {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"} if SANITIZED else {}


def _run(node, options, argv, **kw):
    with node.popen(["strace", "-qq", *options, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, text=True, env=environment(), **kw) as process:
        try:
            out, err = process.communicate(timeout=_TIMEOUT_S)
        finally:
            process.kill()
    return Ended(process.returncode, out, err)


def steps_of(node, argv, **kw):
    """All steps of a program that a kill could make a difference at, in their order, and how it ended."""
    with tempfile.NamedTemporaryFile("r") as log:
        ended = _run(node, ["-o", log.name], argv, **kw)
        calls = re.findall(r"^(\w+)\(.*", log.read(), re.MULTILINE)
        log.seek(0)
        lines = [line for line in log if re.match(r"\w+\(", line)]
    begin = next(i for i, line in enumerate(lines) if line.startswith("rt_sigaction(SIGTERM, {sa_handler=0x"))
    counted, steps = {}, []
    for i, call in enumerate(calls):
        counted[call] = counted.get(call, 0) + 1
        if i > begin and call not in _UNSEEN:
            steps.append(Step(call, counted[call]))
    return steps, ended


def chosen(steps, count):
    """That many of them, evenly, and each that decides something; all with ZSEAL_ALL_STEPS=1."""
    if os.environ.get("ZSEAL_ALL_STEPS"):
        return steps
    if SANITIZED:
        count = (count + 2) // 3
    decisive = [i for i, step in enumerate(steps) if step.call in _DECISIVE]
    keep = set(decisive[::max(1, 3 * len(decisive) // count)])
    keep |= {i * (len(steps) - 1) // (count - 1) for i in range(count)} if count > 1 else {0}
    return [steps[i] for i in sorted(keep)]


def run_with_signal(node, argv, step, name, **kw):
    """Runs a program that gets a signal as it begins this call."""
    inject = f"inject={step.call}:signal={name}:when={step.number}"
    return _run(node, ["-o", "/dev/null", "-e", f"trace={step.call}", "-e", inject], argv, **kw)


EXIT = Step("exit_group", 1)


def run_with_pause(node, argv, step, action, **kw):
    """Runs a program that waits as it begins this call until action() was done. Gives its end, and if it waited.
    One that has waited at EXIT, where nothing but its memory is left, dies of not being let go."""
    reader, writer = os.pipe()
    fails = "error=EAGAIN:" if step == EXIT else ""
    inject = f"inject={step.call}:{fails}signal=SIGSTOP:when={step.number}"
    options = ["-o", f"/dev/fd/{writer}", "-e", f"trace={step.call}", "-e", inject]
    pass_fds = (*kw.pop("pass_fds", ()), writer)
    with node.popen(["strace", *options, *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE, text=True, env=environment(), pass_fds=pass_fds, **kw) as process:
        os.close(writer)
        try:
            waited = _wait_for_stop(reader, process.pid)
            if waited:
                action()
                os.kill(waited, signal.SIGCONT)
            out, err = process.communicate(timeout=_TIMEOUT_S)
        finally:
            process.kill()
            os.close(reader)
    return Ended(process.returncode, out, err), bool(waited)


def _wait_for_stop(reader, strace):
    """The stopped process, or None if it ended without."""
    said = b""
    while b"stopped by SIGSTOP" not in said:
        ready, _, _ = select.select([reader], [], [], _TIMEOUT_S)
        assert ready, "the program neither stops nor ends"
        data = os.read(reader, 65536)
        if not data:
            return None
        said = said[-100:] + data
    return int(Path(f"/proc/{strace}/task/{strace}/children").read_text().split()[0])


# ---- who else runs in a machine ----

def programs(node, name):
    """Pids of the programs of a name in a machine."""
    own = os.stat(f"/proc/{node._pid}/ns/net").st_ino  # pylint: disable=protected-access
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if (entry / "comm").read_text().strip() == name and os.stat(entry / "ns/net").st_ino == own:
                found.append(int(entry.name))
    return found


def wait_for_end(pids):
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            fd = os.pidfd_open(pid)
            try:
                assert select.select([fd], [], [], _TIMEOUT_S)[0], f"process {pid} does not end"
            finally:
                os.close(fd)


def wait_until_traced(pid):
    """Each of its threads."""
    def tracers():
        return [re.search(r"TracerPid:\s+(\d+)", open(f"/proc/{pid}/task/{task}/status", encoding="ascii").read())[1]
                for task in os.listdir(f"/proc/{pid}/task")]
    while "0" in tracers():
        pass
