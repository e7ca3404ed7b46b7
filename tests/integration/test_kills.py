# SPDX-License-Identifier: MIT
"""create and unlock end at any instant: by a signal, by a power cut, by a crash of ZFS. A pool is there whole or not at
all, opens by every slot that it was promised, and the same command run again ends well.

Each test goes through an even sample of the program's system calls; ZSEAL_ALL_STEPS=1 takes all of them.
"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import termios

import pytest
from conftest import (EXIT_STATUS, Dialogue, Result, World, assert_done, assert_nothing_secret,
                      assert_opens, assert_opens_with_key, assert_refused, assert_said, create_pool, is_locked,
                      keep_recovery_key_secret, lock, one_zfs, run, zfs_versions, zseal)
from figures import count
from steps import (chosen, needs_strace, programs, run_with_pause, run_with_signal, steps_of, wait_for_end,
                   wait_until_traced)

pytestmark = needs_strace

HANDLE = "0x81010001"
KEY = "([cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}\n"


# ---- what a machine is left with ----

def pools(node):
    return run(node, "zpool", "list", "-H", "-o", "name").split()


def has_handle(node):
    return HANDLE in run(node, "tpm2_getcap", "handles-persistent").lower()


def left_files(node):
    """What zseal keeps beside the pool: pins, copies of headers, notes, and files that were not finished."""
    found = [path for folder in ("etc/zseal", "var/lib/zseal") for path in (node.folder / folder).rglob("*")
             if path.is_file() and path.stat().st_size]
    return sorted(path.relative_to(node.folder) for path in found)


def assert_left_nothing_secret(node):
    for folder in ("etc/zseal", "var/lib/zseal"):
        for path in (node.folder / folder).rglob("*"):
            if path.is_file():
                assert_nothing_secret(node.world, str(path), path.read_text(encoding="latin-1"))


def make_locked(node, dataset="tank"):
    node.run(["zfs", "unload-key", dataset])
    assert is_locked(node, dataset)


def assert_opens_by_all(node, key):
    """By each slot: this machine's TPM, and the recovery key."""
    make_locked(node)
    assert_opens(node, "tank")
    make_locked(node)
    assert_opens_with_key(node, "tank", key)
    assert_done(zseal(node, "header", "verify", "tank"))


def blank(node):
    """The pool is gone, for zseal too: as its message about absent pools advises."""
    if "tank" in pools(node):
        run(node, "zpool", "destroy", "tank")
    disk = node.world.disk_file(1)
    size = disk.stat().st_size
    os.truncate(disk, 0)
    os.truncate(disk, size)
    pins = node.path("/etc/zseal/pins")
    if pins.exists():
        lines = pins.read_text().splitlines(keepends=True)
        pins.write_text("".join(line for line in lines if '"pool":"tank"' not in line))


# ---- create ----

class Attempt:
    """zseal create, its recovery key into a pipe that is read when it has ended."""

    def __init__(self, node, *options):
        self._node = node
        self._reader, self.writer = os.pipe()
        self.argv = ["zseal", "create", "--recovery-to-fd", str(self.writer), "-m", "none", *options, "tank",
                     node.world.disk(1)]
        self.fds = {"pass_fds": (self.writer,)}
        self.ended = self.key = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self._reader)

    def finish(self, ended):
        """Waits for what zseal left running (which may still be called zseal), and takes the key: all of it, or '' if
        it was not shown."""
        wait_for_end([pid for name in ("zseal", "zpool", "zfs") for pid in programs(self._node, name)])
        os.close(self.writer)
        text = os.read(self._reader, 4096).decode()
        self.key = text.strip() if re.fullmatch(KEY, text) else ""
        if self.key:
            keep_recovery_key_secret(self._node.world, self.key)
        self.ended = Result(*ended)
        assert_nothing_secret(self._node.world, "the output", self.ended.stdout + self.ended.stderr)
        return self


def create_again(node, *options):
    with Attempt(node, *options) as again:
        done = node.run(again.argv, **again.fds)
        return again.finish((done.returncode, done.stdout, done.stderr))


def assert_second_create_ends_well(node, *options):
    again = create_again(node, *options)
    assert_done(again.ended)
    make_locked(node)
    assert_opens(node, "tank")


@pytest.fixture(scope="module")
def kill_machine():
    """One for many kills: what is left behind by one must not trouble the next."""
    with World(zfs=zfs_versions()[0]) as world:
        world.secrets = set()
        yield world.node()


@pytest.fixture(scope="module")
def create_steps(kill_machine):
    with Attempt(kill_machine) as attempt:
        steps, ended = steps_of(kill_machine, attempt.argv, **attempt.fds)
        assert_done(attempt.finish(ended).ended)
    blank(kill_machine)
    return steps


def test_create_killed_anywhere(kill_machine, create_steps):
    node, made, shown = kill_machine, 0, 0
    blank(node)
    for step in chosen(create_steps, 20):
        with Attempt(node) as attempt:
            attempt.finish(run_with_signal(node, attempt.argv, step, "SIGKILL", **attempt.fds))
        shown += bool(attempt.key)
        assert_left_nothing_secret(node)
        if pools(node):
            assert attempt.key, f"{step}: a pool is there, and nobody has its recovery key"
            assert_opens_by_all(node, attempt.key)
            assert_refused(create_again(node).ended, "zfs-exists", "tank")
            made += 1
        else:
            assert attempt.ended.status == -signal.SIGKILL, step
            assert_done(zseal(node, "unlock", "--all"))
            assert_second_create_ends_well(node)
        blank(node)
    count("kills", tried=len(chosen(create_steps, 20)), survived=len(chosen(create_steps, 20)))
    assert made and shown and made < len(chosen(create_steps, 20)), "the kills were all before or all after"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_create_interrupted_anywhere(kill_machine, create_steps, name):
    node, outcomes = kill_machine, set()
    blank(node)
    node.run(["tpm2_evictcontrol", "-c", HANDLE])
    for step in chosen(create_steps, 8):
        before = left_files(node)
        with Attempt(node, "--handle", HANDLE) as attempt:
            attempt.finish(run_with_signal(node, attempt.argv, step, name, **attempt.fds))
        ended = attempt.ended
        if pools(node):
            assert_done(ended)
            assert "pool tank is made" in ended.stdout
            assert_opens_by_all(node, attempt.key)
            run(node, "tpm2_evictcontrol", "-c", HANDLE)
        else:
            assert_refused(ended, "interrupted", name)
            assert not ended.stdout
            assert left_files(node) == before, f"{step}: it left something behind"
            assert not has_handle(node), f"{step}: it left its object in the TPM"
            assert_done(zseal(node, "unlock", "--all"))
        outcomes.add(ended.status)
        blank(node)
    count("interruptions", tried=len(chosen(create_steps, 8)), survived=len(chosen(create_steps, 8)))
    assert outcomes == {0, EXIT_STATUS["interrupted"]}
    assert_second_create_ends_well(node)
    blank(node)


@one_zfs
def test_create_killed_with_a_handle_says_what_to_do(node):
    """Nobody is left to take the object out of the TPM; the next one names it, and any other handle does."""
    with Attempt(node, "--handle", HANDLE) as attempt:
        steps, ended = steps_of(node, attempt.argv, **attempt.fds)
        assert_done(attempt.finish(ended).ended)
    blank(node)
    run(node, "tpm2_evictcontrol", "-c", HANDLE)
    with Attempt(node, "--handle", HANDLE) as attempt:
        renamed = [i for i, step in enumerate(steps) if step.call.startswith("rename")]
        step = next(step for step in steps[renamed[1]:] if step.call == "clone")
        attempt.finish(run_with_signal(node, attempt.argv, step, "SIGKILL", **attempt.fds))
    assert not pools(node) and has_handle(node)
    assert_refused(create_again(node, "--handle", HANDLE).ended, "tpm-handle-taken", HANDLE, "slot tpm2-a")
    assert_second_create_ends_well(node, "--handle", "0x81010002")


@one_zfs
def test_create_waits_with_a_signal_until_the_pool_is_made(node):
    """ZFS stands still in the middle; the signal comes; nothing is half-made."""
    with Attempt(node) as attempt:
        steps, ended = steps_of(node, attempt.argv, **attempt.fds)
        assert_done(attempt.finish(ended).ended)
    blank(node)
    waits = [i for i, step in enumerate(steps) if step.call == "clone"]
    wait = next(step for step in steps[waits[len(waits) // 2] + 2:] if step.call == "ppoll")

    def terminate():
        os.kill(min(programs(node, "zseal")), signal.SIGTERM)  # a child of the same name may be about to become zpool

    with Attempt(node) as attempt:
        ended, paused = run_with_pause(node, attempt.argv, wait, terminate, **attempt.fds)
        attempt.finish(ended)
    assert paused
    assert_done(attempt.ended)
    assert_opens_by_all(node, attempt.key)


# ---- unlock ----

@pytest.fixture
def standing(world):
    node = world.node()
    node.tank = create_pool(node)
    return node


def test_unlock_ended_anywhere(standing):
    """Three ways, the calls shared among them: nothing is left, and the next unlock is as the first."""
    node = standing
    make_locked(node)
    steps, ended = steps_of(node, ["zseal", "unlock", "tank"])
    assert ended.status == 0
    before, outcomes = left_files(node), set()
    for i, step in enumerate(chosen(steps, 12)):
        make_locked(node)
        name = ("SIGKILL", "SIGTERM", "SIGINT")[i % 3]
        ended = run_with_signal(node, ["zseal", "unlock", "tank"], step, name)
        outcomes.add(ended.status)
        if ended.status == EXIT_STATUS["interrupted"]:
            assert_said(ended.stderr, "interrupted", name)
        elif ended.status == 0:
            assert not is_locked(node, "tank") and "tank: unlocked" in ended.stdout
        else:
            assert (name, ended.status) == ("SIGKILL", -signal.SIGKILL), ended
        assert left_files(node) == before
        if is_locked(node, "tank"):
            assert_opens(node, "tank")
    count("kills", tried=len(chosen(steps, 12)), survived=len(chosen(steps, 12)))
    assert {EXIT_STATUS["interrupted"], -signal.SIGKILL} <= outcomes
    make_locked(node)
    assert_opens_with_key(node, "tank", node.tank.recovery_key)


@one_zfs
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("arguments", ["unlock tank", "status", "create --no-recovery tank2 /mnt/disk2"])
def test_a_zfs_that_hangs_can_be_interrupted(standing, name, arguments):
    make_locked(standing)
    engine = standing.engine.pid
    os.kill(engine, signal.SIGSTOP)
    try:
        with standing.popen(["zseal", *arguments.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True) as process:
            while not programs(standing, "zpool") + programs(standing, "zfs"):
                assert process.poll() is None
            process.send_signal(getattr(signal, name))
            stdout, stderr = process.communicate(timeout=60)
    finally:
        os.kill(engine, signal.SIGCONT)
    assert_refused(Result(process.returncode, stdout, stderr), "interrupted", name)
    assert not stdout
    assert_opens(standing, "tank")


# ---- at a terminal ----

def modes_after(person):
    """What the terminal does with what is typed, when the program has ended."""
    person._process.wait(60)  # pylint: disable=protected-access
    return termios.tcgetattr(person._slave)  # pylint: disable=protected-access


@one_zfs
@pytest.mark.parametrize("how", ["SIGINT from the keyboard", "SIGTERM"])
def test_recovery_prompt_interrupted_gives_the_terminal_back(standing, how):
    make_locked(standing)
    with Dialogue(standing, ["zseal", "unlock", "--recovery", "tank"]) as person:
        before = modes_of_a_new_terminal()
        person.expect("Recovery key")
        assert not person.echoes()
        person.press(standing.tank.recovery_key[:20].encode())
        interrupt(person, how)
        assert modes_after(person) == before
        result = person.end()
    assert result.status == EXIT_STATUS["interrupted"]
    assert_said(result.stdout, "interrupted", how[:7].strip())
    assert standing.tank.recovery_key[:6] not in result.stdout
    assert is_locked(standing, "tank")
    assert_opens(standing, "tank")


def modes_of_a_new_terminal():
    """They are the same for each."""
    master, slave = os.openpty()
    try:
        return termios.tcgetattr(slave)
    finally:
        os.close(master)
        os.close(slave)


def interrupt(person, how):
    if how == "SIGTERM":
        person._process.terminate()  # pylint: disable=protected-access
    else:
        person.press(b"\x03")


@one_zfs
def test_confirmation_interrupted_makes_no_pool(node):
    before = left_files(node)
    for how in ("SIGINT from the keyboard", "SIGTERM"):
        argv = ["zseal", "create", "--handle", HANDLE, "-m", "none", "tank", node.world.disk(1)]
        with Dialogue(node, argv) as person:
            keep_recovery_key_secret(node.world, person.expect(KEY.strip()).group())
            person.expect("Type group")
            interrupt(person, how)
            assert modes_after(person)[3] == modes_of_a_new_terminal()[3]
            result = person.end()
        assert result.status == EXIT_STATUS["interrupted"]
        assert_said(result.stdout, "interrupted", how[:7].strip())
        assert not pools(node) and not has_handle(node) and left_files(node) == before
    assert_second_create_ends_well(node, "--handle", HANDLE)


@one_zfs
def test_trust_prompt_interrupted_trusts_nobody(standing):
    make_locked(standing)
    standing.path("/etc/zseal/pins").unlink()
    with Dialogue(standing, ["zseal", "unlock", "tank"]) as person:
        person.expect("Type yes")
        person.press(b"\x03")
        result = person.end()
    assert result.status == EXIT_STATUS["interrupted"]
    assert_said(result.stdout, "interrupted", "SIGINT")
    assert is_locked(standing, "tank")
    assert_refused(zseal(standing, "unlock", "tank"), "pin-missing", "tank")
    assert_opens_with_key(standing, "tank", standing.tank.recovery_key)


# ---- the power goes, or ZFS does ----

@contextlib.contextmanager
def power_cut_at_write(node, number):
    """The engine ends as one of its threads begins its Nth write to a disk."""
    inject = f"inject=pwrite64:signal=SIGKILL:when={number}"
    strace = subprocess.Popen(["strace", "-qq", "-f", "-o", "/dev/null", "-e", "trace=pwrite64", "-e", inject, "-p",
                               str(node.engine.pid)], stderr=subprocess.PIPE)
    try:
        wait_until_traced(node.engine.pid)
        yield
    finally:
        strace.terminate()
        strace.wait()
        strace.stderr.close()


def start_engine_again(node):
    with contextlib.suppress(Exception):
        node.engine.kill()
    node.engine.start()


def assert_whole_or_not_there(node, attempt):
    """After the power came back. Gives whether the pool is there."""
    if not pools(node):
        node.run(["zpool", "import", "-f", "tank"])
    if not pools(node):
        return False
    assert attempt.key
    assert run(node, "zpool", "list", "-H", "-o", "health").strip() == "ONLINE"
    make_locked(node)
    result = zseal(node, "unlock", "tank")
    if result.status:
        # ZFS sets a new pool's properties only after it has made it: its header is in the copy, which was kept before
        assert_refused(result, "no-keyring", "tank", "zseal header restore")
        assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens_by_all(node, attempt.key)
    return True


def test_power_cut_while_a_pool_is_made(world):
    node, made = world.node(), []
    node.start()
    for number in (1, 3, 6, 9, 11, 13, 15, 17):
        with Attempt(node) as attempt:
            with power_cut_at_write(node, number):
                done = node.run(attempt.argv, **attempt.fds)
                attempt.finish((done.returncode, done.stdout, done.stderr))
            alive = node.engine.pid
            start_engine_again(node)
        if not alive:
            assert attempt.ended.status not in (0, EXIT_STATUS["bug"]), attempt.ended
            assert "whether it was made is not known" in attempt.ended.stderr and "next: " in attempt.ended.stderr
        made.append(assert_whole_or_not_there(node, attempt))
        assert alive is None or made[-1], "it said that the pool is made"
        if not made[-1]:
            again = create_again(node)
            if again.ended.status:
                assert_said(again.ended.stderr, "zfs-failed", "-f", node.world.disk(1))
                again = create_again(node, "-f")
            assert_done(again.ended)
            assert_opens_by_all(node, again.key)
        blank(node)
        # nobody makes two pools in one second, whose copies without a pool only their time tells apart
        shutil.rmtree(node.path("/var/lib/zseal/header"))
    count("power cuts while writing", tried=len(made), survived=len(made))
    assert False in made


@pytest.mark.parametrize("verb", ["unlock", "create"])
def test_zfs_dies_under_it(world, verb):
    """At several calls of zseal's own: it says so, ends, and after ZFS is back all is well."""
    node = world.node()
    tank = create_pool(node, "tank" if verb == "unlock" else "other", 1 if verb == "unlock" else 2)
    if verb == "unlock":
        make_locked(node)
        argv, attempt_of = ["zseal", "unlock", "tank"], None
        steps, ended = steps_of(node, argv)
    else:
        attempt_of = Attempt
        with Attempt(node) as attempt:
            steps, ended = steps_of(node, attempt.argv, **attempt.fds)
            attempt.finish(ended)
        blank(node)
    assert ended.status == 0
    for step in chosen([step for step in steps if step.call in ("clone", "sendmsg", "renameat", "write")], 6):
        if attempt_of:
            die_while_creating(node, step)
        else:
            die_while_unlocking(node, argv, step, tank)
        count("ends of ZFS under it", tried=1, survived=1)


def die_while_unlocking(node, argv, step, tank):
    make_locked(node)
    ended, died = run_with_pause(node, argv, step, node.engine.kill)
    if died:
        assert ended.status in (0, EXIT_STATUS["state"], EXIT_STATUS["unavailable"]), (step, ended)
        if ended.status:
            assert "next: " in ended.stderr and "zseal: " in ended.stderr
    node.engine.start()
    make_locked(node)
    assert_opens(node, "tank")
    make_locked(node)
    assert_opens_with_key(node, "tank", tank.recovery_key)


def die_while_creating(node, step):
    with Attempt(node) as attempt:
        ended, died = run_with_pause(node, attempt.argv, step, node.engine.kill, **attempt.fds)
        attempt.finish(ended)
    if died:
        assert attempt.ended.status in (0, EXIT_STATUS["state"], EXIT_STATUS["unavailable"]), (step, attempt.ended)
    node.engine.start()
    if "tank" in pools(node):
        assert_opens_by_all(node, attempt.key)
    else:
        assert attempt.ended.status, "it said that the pool is made"
        again = create_again(node, "-f")
        assert_done(again.ended)
        assert_opens_by_all(node, again.key)
    blank(node)
