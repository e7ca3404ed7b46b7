# SPDX-License-Identifier: MIT
"""One call of the C library fails in the middle of a verb: no memory, a full disk, an interrupted call, half of a write.
zseal says so, with the right status; nothing is lost; the same command run again ends well.

tests/fault/fault.c does it. Every place in the program that such a call is made from is one fault, with each error that
it may have; a sample of them is tried, ZSEAL_ALL_STEPS=1 takes all.
"""
import errno
import os
import signal
from typing import NamedTuple

import pytest
from conftest import ERRORS, EXIT_STATUS, World, one_zfs, zfs_versions
from figures import count
from steps import SANITIZED, fault_library
from verbs import VERBS, assert_kept, kept_files, make_tank, run_verb

pytestmark = one_zfs

SHORT = 0
MEMORY = {"malloc", "calloc"}
ERRNOS = {
    "malloc": (errno.ENOMEM,), "calloc": (errno.ENOMEM,), "mmap": (errno.ENOMEM,), "mprotect": (errno.ENOMEM,),
    "write": (errno.ENOSPC, errno.EIO, errno.EINTR, SHORT), "read": (errno.EIO, errno.EINTR, SHORT),
    "open": (errno.EMFILE, errno.EIO), "openat": (errno.ENOSPC, errno.EIO), "fcntl": (errno.ENOLCK,),
    "ioctl": (errno.EIO, errno.ENOMEM, errno.EINTR), "fsync": (errno.EIO, errno.ENOSPC), "fchmod": (errno.EIO,),
    "chmod": (errno.EIO,), "mkdir": (errno.ENOSPC,), "rename": (errno.EIO,), "renameat": (errno.EIO, errno.ENOSPC),
    "unlink": (errno.EIO,), "unlinkat": (errno.EIO,), "stat": (errno.EIO,), "fstat": (errno.EIO,),
    "access": (errno.EIO,), "getrandom": (errno.EINTR, errno.EIO), "fork": (errno.EAGAIN,), "pipe2": (errno.EMFILE,),
    "pidfd_open": (errno.EMFILE,), "waitid": (errno.EINTR,), "ppoll": (errno.ENOMEM, errno.EINTR),
    "socket": (errno.EMFILE,), "connect": (errno.EAGAIN,), "sendto": (errno.EAGAIN, errno.EINTR),
}

# fnvlist_alloc() and its kin end the program when there is no memory: libzfs_core cannot be used without them, and does
# not offer another way. Nothing is under way by then but the request that is being put together.
ABORTS = {"libnvpair.so.3", "libzfs_core.so.3"}

# How the loader ends a program when a library that came by dlopen() looks for its thread's variables, at the end for the
# first time. It cannot be asked whether there is room.
LOADER_ENDS = (127, "cannot allocate memory for thread-local data: ABORT")


class Fault(NamedTuple):
    call: str
    number: int
    error: int
    library: str
    stays: bool = False  # what is full stays full

    def __str__(self):
        error = errno.errorcode[self.error] if self.error else "short"
        return f"{self.call} {self.number}{'+' * self.stays} {error} ({self.library})"

    @property
    def plan(self):
        return f"{self.call}:{self.number}{'+' * self.stays}:{self.error}"


def run_with_plan(node, verb, plan):
    """How it ended, and the calls that are in the log."""
    log = node.folder / "fault.log"
    log.write_text("")
    done = run_verb(node, verb, timeout=60, env={"LD_PRELOAD": fault_library("fault"), "ZSEAL_FAULT": plan, "ZSEAL_FAULT_LOG": log})
    return done, [line.split() for line in log.read_text().splitlines()]


def faults_of(node, verb):
    """Each place once, in three kinds: memory of ours and most libraries, OpenSSL's, everything else."""
    done, calls = run_with_plan(node, verb, "list")
    assert done.returncode == 0, done
    places, crypto, seen = [], [], set()
    for call, number, place, library in calls:
        if library == "libcrypto":
            crypto.append(Fault(call, int(number), errno.ENOMEM, library))
        elif (call, place) not in seen:
            seen.add((call, place))
            places += [Fault(call, int(number), error, library) for error in ERRNOS[call]]
    memory = [fault for fault in places if fault.call in MEMORY]
    stays = [fault._replace(stays=True) for fault in memory if fault.library not in ABORTS]
    stays += [fault._replace(stays=True) for fault in places if fault.call in ("write", "fsync", "openat")]
    return memory, sample(crypto, 300), stays, [fault for fault in places if fault.call not in MEMORY]


def sample(faults, number):
    """Evenly, ends included."""
    if len(faults) <= number:
        return faults
    return [faults[i * (len(faults) - 1) // (number - 1)] for i in range(number)]


def chosen(kinds):
    if os.environ.get("ZSEAL_ALL_STEPS"):
        return [fault for kind in kinds for fault in kind]
    return [fault for kind, number in zip(kinds, (7, 3, 3, 10)) for fault in sample(kind, number)]


def assert_ended_well(done, fault):
    """A status of the table, the sentence of one of its errors with that status; no crash."""
    assert done.returncode in EXIT_STATUS.values() and done.returncode != EXIT_STATUS["bug"], (str(fault), done)
    if done.returncode:
        said = [name for name, error in ERRORS.items()
                if error.status == done.returncode and error.sentence in done.stdout + done.stderr]
        assert said and "zseal: " in done.stderr, (str(fault), done)


def try_fault(node, verb, fault):
    """Gives whether it struck."""
    done, struck = run_with_plan(node, verb, fault.plan)
    status, words = LOADER_ENDS
    if (fault.library in ABORTS and done.returncode == -signal.SIGABRT) or (
            fault.call in MEMORY and done.returncode == status and words in done.stderr):
        done = None
    else:
        assert_ended_well(done, fault)
    unfinished = kept_files(node)
    assert not unfinished or (done and fault.call.startswith("unlink")), (str(fault), unfinished)
    for path in unfinished:
        path.unlink()
    assert_kept(node, verb)
    again = run_verb(node, verb)
    assert again.returncode == 0, (str(fault), again)
    return bool(struck)


if not SANITIZED:

    @pytest.mark.parametrize("verb", VERBS, ids=str)
    def test_a_call_fails(verb):
        with World(zfs=zfs_versions()[0]) as world:
            world.secrets = set()
            node = world.node()
            if not verb.makes:
                make_tank(node)
            faults = chosen(faults_of(node, verb))
            struck = sum(try_fault(node, verb, fault) for fault in faults)
        assert struck > len(faults) // 2, "most of them must come to pass"
        count("faults in zseal's own process", tried=struck, survived=struck)

    def test_no_memory_for_openssl_to_begin_with():
        """Its lookups crash if what they need could not be made: every eighth of its first allocations fails."""
        verb = next(verb for verb in VERBS if str(verb) == "unlock-by-key")
        with World(zfs=zfs_versions()[0]) as world:
            world.secrets = set()
            node = world.node()
            make_tank(node)
            _, calls = run_with_plan(node, verb, "list")
            numbers = [int(number) for call, number, _, library in calls if (call, library) == ("malloc", "libcrypto")]
            faults = [Fault("malloc", number, errno.ENOMEM, "libcrypto") for number in numbers[:300:8]]
            struck = sum(try_fault(node, verb, fault) for fault in faults)
        assert struck > len(faults) // 2
        count("faults in zseal's own process", tried=struck, survived=struck)
