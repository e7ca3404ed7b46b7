# SPDX-License-Identifier: MIT
"""Datasets and pools that are not as a command needs them: missing, read-only, full, busy, no root, going away."""
import contextlib
import os
import subprocess
import time

import pytest

import headers
from adopting import KEY, adopt, make_root
from conftest import (ERRORS, assert_done, assert_opens, assert_opens_with_key, assert_refused, assert_said, create_pool,
                      is_locked, lock, new_world, one_zfs, run, zseal, zseal_at_terminal)
from steps import needs_strace, wait_until_traced
from test_zfs_adapter import busy


@pytest.fixture
def tank(node):
    """A pool with a child that is no root, one that is, a volume, a snapshot, and one that is not encrypted."""
    made = create_pool(node)
    for argv in (["zfs", "create", "tank/child"], ["zfs", "create", "-o", "encryption=off", "tank/plain"],
                 ["zfs", "create", "-s", "-V", "1M", "-o", "volmode=none", "tank/volume"],
                 ["zfs", "snapshot", "tank@now"]):
        run(node, *argv)
    headers.add_root(node, made, "tank/root")
    return made


def lock_by_zfs(node, dataset="tank"):
    run(node, "zfs", "unload-key", dataset)


@one_zfs
def test_what_is_not_there(node, tank):
    for verb in (["unlock"], ["lock"], ["status"], ["slot", "list"], ["header", "backup"], ["header", "verify"],
                 ["header", "restore"]):
        for name in "tank/missing", "missing", "missing/a":
            assert_refused(zseal(node, *verb, name), "zfs-not-found", name)
    assert_opens(node, tank.name)


@one_zfs
def test_one_name_that_is_wrong_unlocks_nothing(node, tank):
    """All names are looked at before anything is done, so that a mistyped line does nothing by halves."""
    assert_done(zseal(node, "lock", "tank"))
    for name, error in (("missing", "zfs-not-found"), ("tank/child", "zfs-not-root"), ("tank@now", "usage")):
        assert_refused(zseal(node, "unlock", "tank", name), error, name)
    assert is_locked(node, "tank")
    assert_opens(node, tank.name)


def test_what_is_no_encryption_root(node, tank):
    for verb in "unlock", "lock", "status":
        for name in "tank/child", "tank/volume":
            assert_refused(zseal(node, verb, name), "zfs-not-root", f"{name} belongs to tank")
        assert_refused(zseal(node, verb, "tank/plain"), "zfs-not-encrypted", "tank/plain")
    assert_opens(node, tank.name)


@one_zfs
def test_what_is_no_dataset(node, tank):
    for name in "tank@now", "tank#mark", "/tank", "tank/", "tank//root", "../tank", "tank/ro\tot", "-tank", "":
        result = zseal(node, "unlock", "--", name)
        assert_refused(result, "usage")
    assert_opens(node, tank.name)


@one_zfs
def test_root_below_a_locked_root_is_unlocked_alone(node, tank):
    assert_done(zseal(node, "lock", "tank"))
    assert_opens(node, "tank/root")
    assert is_locked(node, tank.name)


def test_root_that_is_a_volume(node, tank):
    """Guests' disks may be roots of their own."""
    header = headers.read(node)
    key, epoch = headers.keyring_key(node, header, tank.recovery_key)
    wrapping_key = os.urandom(32)
    headers.keep_secret(node.world, wrapping_key)
    headers.create_root(node, "tank/disk", wrapping_key, "-s", "-V", "1M", "-o", "volmode=none")
    headers.put(node, "tank/disk", "zseal:key", headers.record(header, key, epoch, wrapping_key))
    lock_by_zfs(node, "tank/disk")
    assert "tank/disk: unlocked" in assert_opens(node, "tank/disk").stdout


@one_zfs
def test_root_of_another_hand_below_the_keyring(node, tank):
    """It has no record: it is not opened, and not closed either, since zseal could not open it again."""
    headers.keep_secret(node.world, b"\7" * 32)
    headers.create_root(node, "tank/foreign", b"\7" * 32)
    assert_refused(zseal(node, "lock", "tank"), "no-record", "tank/foreign", status=1)
    assert not is_locked(node, "tank/foreign") and is_locked(node, "tank") and is_locked(node, "tank/root")
    lock_by_zfs(node, "tank/foreign")
    assert_refused(zseal(node, "unlock", "tank"), "no-record", "tank/foreign", status=1)
    assert not is_locked(node, tank.name) and not is_locked(node, "tank/root")


def test_root_that_is_in_use_stays_open_and_the_others_are_locked(node, tank):
    run(node, "zfs", "snapshot", "tank/root@now")
    with busy(node, "tank/root@now"):
        assert_refused(zseal(node, "lock", "tank"), "zfs-busy", "tank/root", status=1)
        assert not is_locked(node, "tank/root")
    assert_done(zseal(node, "lock", "tank"))
    assert is_locked(node, "tank/root")
    assert_opens(node, tank.name)


def test_pool_that_is_read_only_is_unlocked_and_not_changed(node, tank):
    run(node, "zfs", "inherit", "zseal:slot.recovery", "tank")
    before = headers.read(node)
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-d", "/mnt", "-o", "readonly=on", "tank")
    assert "pool tank (read-only): LOCKED\n" in assert_done(zseal(node, "status")).stdout
    assert_opens(node, "tank")
    assert_refused(zseal(node, "header", "restore", "tank"), "zfs-readonly", "header restore of tank")
    assert_done(zseal(node, "lock", "tank"))
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-d", "/mnt", "tank")
    assert headers.read(node) == before
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens_with_key(node, "tank", tank.recovery_key)


def test_pool_that_is_exported_and_imported_again(node, tank):
    run(node, "zpool", "export", "tank")
    assert_refused(zseal(node, "unlock", "tank"), "zfs-not-found", "tank")
    assert_refused(zseal(node, "unlock", "--all"), "zfs-not-found", "pool tank")
    assert_refused(zseal(node, "header", "restore", "tank"), "zfs-not-found", "tank")
    run(node, "zpool", "import", "-d", "/mnt", "tank")
    assert is_locked(node, "tank")
    assert_done(zseal(node, "unlock", "--all"))
    assert not is_locked(node, tank.name)


def test_pool_that_is_exported_under_way(node, tank):
    """While a person types: what was read before is no longer there."""
    assert_done(zseal(node, "lock", "tank"))
    with zseal_at_terminal(node, "unlock", "--recovery", "tank/root") as person:
        person.expect("Recovery key .*: ")
        run(node, "zpool", "export", "tank")
        person.type(tank.recovery_key)
        result = person.end()
    assert result.status == ERRORS["zfs-not-found"].status
    assert_said(result.stdout, "zfs-not-found", "tank/root: NOT unlocked")
    run(node, "zpool", "import", "-d", "/mnt", "tank")
    assert_opens(node, "tank")


@one_zfs
def test_pool_whose_name_is_taken_under_way_is_left_alone(node):
    """While a person types the recovery key back, somebody else makes a pool of that name."""
    with zseal_at_terminal(node, "create", "-m", "none", "tank", node.world.disk(1)) as person:
        key = person.expect(r"\n +((?:[a-z]{6}-){7}[a-z]{6})\n")[1].split("-")
        run(node, "zpool", "create", "-O", "mountpoint=none", "tank", node.world.disk(2))
        for _ in range(2):
            person.type(key[int(person.expect(r"Type group (\d) .*: ")[1]) - 1])
        result = person.end()
    assert result.status == ERRORS["zfs-exists"].status
    assert_said(result.stdout, "zfs-exists", "making pool tank")
    assert run(node, "zfs", "get", "-H", "-o", "value", "encryption", "tank") == "off\n"
    # nothing of the pool that was not made is remembered
    assert not list(node.path("/var/lib/zseal").glob("header/*/*"))
    assert_done(zseal(node, "unlock", "--all"))


@one_zfs
def test_pool_that_was_renamed_is_the_same_to_pins(node, tank):
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-d", "/mnt", "tank", "pond")
    assert assert_opens(node, "pond").stderr == ""
    assert_done(zseal(node, "unlock", "--all"))
    lock(node, "pond/root")
    assert_opens_with_key(node, "pond/root", tank.recovery_key)


def test_zfs_that_is_gone_while_it_is_needed(node, tank):
    """The engine is killed: commands end with an error, and the pool is there again when it is started."""
    assert_done(zseal(node, "lock", "tank"))
    node.engine.kill()
    for verb in (["unlock", "tank"], ["unlock", "--all"], ["lock", "tank"], ["status"]):
        assert_refused(zseal(node, *verb), "zfs-absent")
    node.engine.start()
    assert_opens(node, tank.name)


@pytest.fixture
def full(zfs):
    """A machine with a pool of little room, and what it holds: a root without its record, and a ballast."""
    with new_world(zfs, disks=1, disk_size="64M") as world:
        node = world.node("a")
        tank = create_pool(node)
        headers.add_root(node, tank, "tank/root")
        assert_done(zseal(node, "header", "backup", "tank"))
        run(node, "zfs", "inherit", "zseal:key", "tank/root")
        run(node, "zfs", "create", "tank/ballast")
        fill(node)
        yield node


def fill(node):
    """Until ZFS takes nothing more, not even one property."""
    for many in 30, 1:
        done = None
        for number in range(1000):
            values = [f"fill:{many}.{number}.{i}={os.urandom(4000).hex()}" for i in range(many)]
            done = node.run(["zfs", "set", *values, "tank/ballast"])
            if done.returncode != 0:
                break
        assert "out of space" in done.stderr


@one_zfs
def test_full_pool_is_unlocked_and_loses_nothing(full):
    before = headers.read(full)
    lock_by_zfs(full)
    assert "tank: unlocked (slot tpm2-a)" in zseal(full, "unlock", "tank").stdout
    result = zseal(full, "header", "restore", "tank")
    assert_refused(result, "zfs-full", "tank/root", status=1)
    assert "tank/root: its record opens it, NOT restored\n" in result.stdout
    assert headers.read(full) == before
    run(full, "zfs", "destroy", "tank/ballast")
    assert_done(zseal(full, "header", "restore", "tank"))
    lock_by_zfs(full, "tank/root")
    assert_opens(full, "tank")
    assert not is_locked(full, "tank/root")


# ---- suspended ----

@contextlib.contextmanager
def suspended(node, pool):
    """Its disk fails each write, and ZFS gives it up until somebody clears it."""
    strace = subprocess.Popen(["strace", "-qq", "-f", "-o", "/dev/null", "-e", "trace=pwrite64", "-e",
                               "inject=pwrite64:error=EIO", "-p", str(node.engine.pid)], stderr=subprocess.PIPE)
    try:
        wait_until_traced(node.engine.pid)
        with node.popen(["zfs", "set", "org:touched=yes", pool]) as writer:
            deadline = time.monotonic() + 60
            while run(node, "zpool", "list", "-H", "-o", "health", pool) != "SUSPENDED\n":
                assert writer.poll() is None and time.monotonic() < deadline, "the pool takes writes"
            yield
            strace.terminate()
            strace.wait()
            run(node, "zpool", "clear", pool)
            assert writer.wait(60) == 0
    finally:
        strace.kill()
        strace.wait()
        strace.stderr.close()


@needs_strace
def test_a_suspended_pool(node):
    """Its datasets look as if they were not there; each verb says what is the matter, and none says that it is lost."""
    tank = create_pool(node)
    make_root(node, "old", "raw", vdev=2)
    verbs = ("unlock tank", "lock tank", "status tank", "slot list tank", "slot test tank", "slot add tank tpm2 --name x",
             "slot reseal tank tpm2-a", "slot remove tank tpm2-a", "header backup tank", "header verify tank",
             "header restore tank", "repair tank", "recover tank --yes")
    with suspended(node, "tank"):
        for verb in verbs:
            assert_refused(zseal(node, *verb.split()), "zfs-io", "tank", "suspended")
        assert_refused(zseal(node, "unlock", "--all"), "zfs-io", "tank: the pool is suspended")
        status = assert_done(zseal(node, "status"))
        assert "pool tank: SUSPENDED" in status.stdout and "zpool clear tank" in status.stdout
        assert assert_done(zseal(node, "status", "--json")).json["suspended"] == ["tank"]
    with suspended(node, "old"):
        result, key = adopt(node, "old", given=KEY)
        assert_refused(result, "zfs-io", "old", "suspended")
        assert not key
    assert_done(zseal(node, "slot", "test", "tank"))
    assert_done(zseal(node, "lock", "tank"))
    assert_opens_with_key(node, "tank", tank.recovery_key)
    result, key = adopt(node, "old", given=KEY)
    assert_done(result)
    assert_opens(node, "old")
