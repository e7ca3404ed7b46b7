# SPDX-License-Identifier: MIT
"""zseal adopt on bad days: what is looked for beforehand, wrong keys from every source, and ends at any instant.

After each the root opens by its old way or by zseal, status tells the truth, and the same command again ends well.
"""
import contextlib
import fcntl
import os
import signal
import struct
import subprocess
import termios
import time

import pytest
from adopting import (HEX, KEY, PASSPHRASE, adopt, as_bytes, assert_adopted, get, make_root, seal_at, write_key)
from conftest import (EXIT_STATUS, Result, World, assert_done, assert_opens, assert_refused, assert_said, create_pool,
                      is_locked, keep_recovery_key_secret, new_world, one_zfs, run, zfs_versions, zseal)
from figures import count
from steps import chosen, needs_strace, programs, run_with_pause, run_with_signal, steps_of, wait_for_end
from test_bad_zfs import fill

HANDLE = "0x81010001"
WRONG = bytes(range(32))
WRONG_PASSPHRASE = "a horse that somebody drew"
GIVEN = {"raw": KEY, "hex": HEX, "passphrase": PASSPHRASE}


def opens_by_old_way(node, dataset, keyformat):
    """By zfs alone, with what its owner has."""
    write_key(node, "/run/old-way", GIVEN[keyformat])
    location = ["-L", "file:///run/old-way"]
    done = node.run(["zfs", "load-key", "-n", *location, dataset])
    node.path("/run/old-way").unlink()
    return done.returncode == 0


def assert_untouched(node, dataset, keyformat):
    """As before: its key, its properties; and nothing is adopted."""
    assert opens_by_old_way(node, dataset, keyformat)
    assert "zseal:" not in run(node, "zfs", "get", "-H", "-o", "property", "all", dataset)
    assert get(node, dataset, "keyformat") == keyformat
    assert dataset in zseal(node, "status").stdout.split("encryption roots without zseal")[1]


def assert_adopts_now(node, dataset, given):
    """What was wrong is mended."""
    result, key = adopt(node, dataset, given=given)
    assert_done(result)
    assert_adopted(node, dataset, key)


# ---- what is no root of its own ----

@pytest.fixture
def tank(node):
    make_root(node, "tank", "raw")
    return node


@one_zfs
def test_what_is_no_encryption_root(tank):
    run(tank, "zfs", "create", "tank/child")
    run(tank, "zpool", "create", "-O", "mountpoint=none", "plain", tank.world.disk(2))
    for dataset, name, word in (("tank/child", "zfs-not-root", "belongs to tank"),
                                ("plain", "zfs-not-encrypted", "plain"), ("tank/none", "zfs-not-found", "tank/none"),
                                ("tank@snap", "usage", "tank@snap"), ("-x", "usage", "-x")):
        result, key = adopt(tank, dataset, given=KEY)
        assert_refused(result, name, word)
        assert not key
    assert_untouched(tank, "tank", "raw")
    assert_adopts_now(tank, "tank", KEY)


@one_zfs
def test_a_promoted_clone_is_the_root(tank):
    """ZFS moves the root to the clone: the former one says so, the clone is adopted, and both open."""
    make_root(tank, "tank/a", "raw")
    run(tank, "zfs", "snapshot", "tank/a@s")
    run(tank, "zfs", "clone", "tank/a@s", "tank/b")
    run(tank, "zfs", "promote", "tank/b")
    result, _ = adopt(tank, "tank/a", given=KEY)
    assert_refused(result, "zfs-not-root", "belongs to tank/b")
    result, key = adopt(tank, "tank/b", given=KEY)
    assert_done(result)
    assert_said(result.stderr, "adopt-shared", "tank/a")
    assert_adopted(tank, "tank/b", key)
    assert not is_locked(tank, "tank/a")


@one_zfs
def test_clones_go_with_a_passphrase_root(node):
    make_root(node, "tank", "passphrase")
    run(node, "zfs", "create", "tank/a")
    run(node, "zfs", "snapshot", "tank/a@s")
    run(node, "zfs", "clone", "tank/a@s", "tank/b")
    result, key = adopt(node, "tank", given=PASSPHRASE)
    assert_done(result)
    assert_said(result.stderr, "adopt-shared", "tank/b")
    assert_said(result.stderr, "adopt-rewrap", "tank/a")
    assert_adopted(node, "tank", key)
    assert not is_locked(node, "tank/b")


@one_zfs
def test_child_roots_are_named(tank):
    make_root(tank, "tank/own", "raw")
    result, _ = adopt(tank, "tank", given=KEY)
    assert_done(result)
    assert_said(result.stderr, "adopt-children", "tank/own")
    again, none = adopt(tank, "tank/own", given=KEY)
    assert_done(again)
    assert not none and "adopt-children" not in again.stderr
    run(tank, "zfs", "unload-key", "tank/own")
    assert_opens(tank, "tank/own")


# ---- what was received ----

def replica(node, keyformat):
    """tank/r of a pool of its own: a raw copy with its properties."""
    make_root(node, "source", keyformat, vdev=2)
    make_root(node, "source/r", keyformat)
    run(node, "zfs", "set", "com.example:note=x", "source/r")
    run(node, "zfs", "snapshot", "source/r@s")
    run(node, "zpool", "create", "-O", "mountpoint=none", "tank", node.world.disk(1))
    run(node, "bash", "-c", "zfs send -wp source/r@s | zfs receive -u tank/r")


@one_zfs
def test_a_replica_is_warned_of_or_refused(node):
    replica(node, "passphrase")
    result, key = adopt(node, "tank/r", given=PASSPHRASE)
    assert_refused(result, "adopt-replica", "tank/r", "com.example:note")
    assert not key and opens_by_old_way(node, "tank/r", "passphrase")
    result, key = adopt(node, "tank/r", "--replica", given=PASSPHRASE)
    assert_done(result)
    assert is_locked(node, "tank/r")
    assert_opens(node, "tank/r")


@one_zfs
def test_a_raw_replica_keeps_its_key(node):
    replica(node, "raw")
    result, _ = adopt(node, "tank/r", given=KEY)
    assert_done(result)
    assert_said(result.stderr, "adopt-received", "com.example:note")
    assert_opens(node, "tank/r")


@one_zfs
def test_a_half_received_dataset(tank):
    make_root(tank, "tank/a", "raw")
    run(tank, "zfs", "snapshot", "tank/a@s")
    run(tank, "zpool", "create", "-O", "mountpoint=none", "copy", tank.world.disk(2))
    run(tank, "bash", "-c", "zfs send -w tank/a@s >/run/stream; head -c -312 /run/stream >/run/all-but-its-end")
    assert tank.run(["bash", "-c", "zfs receive -s -u copy/a </run/all-but-its-end"]).returncode != 0
    assert get(tank, "copy/a", "receive_resume_token") != "-"
    result, key = adopt(tank, "copy/a", given=KEY)
    assert_refused(result, "adopt-half-received", "copy/a")
    assert not key
    run(tank, "zfs", "receive", "-A", "copy/a")
    run(tank, "bash", "-c", "zfs receive -u copy/a </run/stream")
    assert_adopts_now(tank, "copy/a", KEY)


def wait_until_read(pipe):
    """All that was written so far has been taken out."""
    deadline = time.monotonic() + 60
    while struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]:
        assert time.monotonic() < deadline, "nobody reads"


@one_zfs
def test_a_receive_that_runs(tank):
    """A newer snapshot is on its way into the root: it is adopted meanwhile, the receive ends well, and both keys agree."""
    make_root(tank, "tank/a", "raw")
    run(tank, "zfs", "snapshot", "tank/a@s")
    run(tank, "zpool", "create", "-O", "mountpoint=none", "copy", tank.world.disk(2))
    run(tank, "bash", "-c", "zfs send -w tank/a@s | zfs receive -u copy/a")
    write_key(tank, "/run/k", KEY)
    run(tank, "zfs", "load-key", "-L", "file:///run/k", "copy/a")
    run(tank, "zfs", "create", "-o", "canmount=off", "tank/a/child")
    run(tank, "zfs", "snapshot", "tank/a@t")
    run(tank, "bash", "-c", "zfs send -w -i @s tank/a@t >/run/stream; mkfifo /run/line")
    receiver = tank.popen(["bash", "-c", "zfs receive -u copy/a </run/line"])
    with receiver, open(tank.path("/run/line"), "wb", buffering=0) as line:
        stream = tank.path("/run/stream").read_bytes()
        line.write(stream[:len(stream) // 2])
        wait_until_read(line)
        result, key = adopt(tank, "copy/a", given=KEY)
        line.write(stream[len(stream) // 2:])
        line.close()
        assert receiver.wait(60) == 0
    assert_done(result)
    assert_adopted(tank, "copy/a", key)


# ---- what is there already ----

@one_zfs
@pytest.mark.parametrize("name", ["zseal:key", "zseal:slot.mine"])
def test_strange_properties(tank, name):
    run(tank, "zfs", "set", f"{name}=of something else", "tank")
    result, key = adopt(tank, "tank", given=KEY)
    assert_refused(result, "adopt-taken", name)
    assert not key and opens_by_old_way(tank, "tank", "raw")
    run(tank, "zfs", "inherit", name, "tank")
    assert_adopts_now(tank, "tank", KEY)


@one_zfs
def test_a_lost_keyring_is_restored_not_replaced(node):
    pool = create_pool(node)
    run(node, "zfs", "inherit", "zseal:keyring", "tank")
    result, key = adopt(node, "tank", given=KEY)
    assert_refused(result, "adopt-taken", "zseal:slot.recovery")
    assert not key
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_adopted(node, "tank", pool.recovery_key)


@one_zfs
def test_a_damaged_keyring_above(node):
    pool = create_pool(node)
    make_root(node, "tank/vm", "raw")
    run(node, "zfs", "set", "zseal:keyring=x", "tank")
    result, _ = adopt(node, "tank/vm", given=KEY)
    assert_refused(result, "format", "keyring on tank")
    assert opens_by_old_way(node, "tank/vm", "raw")
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_done(adopt(node, "tank/vm", given=KEY)[0])
    assert_adopted(node, "tank/vm", pool.recovery_key)


@one_zfs
def test_a_web_address_and_units_are_named(tank):
    run(tank, "zfs", "set", "keylocation=https://keys.example/tank", "tank")
    units = tank.path("/etc/systemd/system")
    units.mkdir(parents=True, exist_ok=True)
    (units / "zfs-load-tank.service").write_text("[Service]\nExecStart=/sbin/zfs load-key tank\n")
    result, key = adopt(tank, "tank", given=KEY)
    assert_done(result)
    assert_said(result.stderr, "adopt-https", "https://keys.example/tank")
    assert_said(result.stderr, "adopt-units", "zfs-load-tank.service")
    assert_adopted(tank, "tank", key)


# ---- keys that are none ----

BAD_KEYS = {
    "raw": {"short": (KEY[:31], "key-shape"), "long": (KEY + b"x", "key-shape"), "empty": (b"", "key-shape"),
            "no digits": ("g" * 64, "key-shape"), "another's": (WRONG, "key-not-this"),
            "huge": (b"x" * 5000, "key-shape")},
    "hex": {"another's": (WRONG.hex(), "key-not-this"), "63": (HEX[:63], "key-shape")},
    "passphrase": {"short": ("1234567", "key-shape"), "long": ("x" * 513, "key-shape"),
                   "another": (WRONG_PASSPHRASE, "key-not-this")},
}


@one_zfs
@pytest.mark.parametrize("keyformat", BAD_KEYS)
def test_what_is_given_is_no_key_of_this_root(node, keyformat):
    make_root(node, "tank", keyformat)
    for how, (given, name) in BAD_KEYS[keyformat].items():
        result, key = adopt(node, "tank", given=given)
        assert_refused(result, name, "tank")
        assert not key and len(result.stderr) < 600, how
        text = as_bytes(given).decode("latin-1")
        assert len(text) < 8 or text not in result.stderr
        write_key(node, "/run/given", given)
        assert_refused(adopt(node, "tank", "--key-file", "/run/given")[0], name, "tank")
    assert_untouched(node, "tank", keyformat)
    assert_adopts_now(node, "tank", GIVEN[keyformat])


@one_zfs
def test_key_files_that_cannot_be_read(tank):
    folder = tank.path("/run")
    (folder / "dir").mkdir()
    (folder / "link").symlink_to("/run/good")
    os.mkfifo(folder / "fifo")
    write_key(tank, "/run/good", KEY)
    for path, word in (("/run/none", "No such file"), ("/run/dir", "no regular file"), ("/run/fifo", "--key-fd"),
                       ("/run/link", "symbolic link")):
        result, key = adopt(tank, "tank", "--key-file", path)
        assert_refused(result, "io", path, word)
        assert not key
    assert_untouched(tank, "tank", "raw")
    (folder / "good").chmod(0o644)
    result, key = adopt(tank, "tank", "--key-file", "/run/good")
    assert_done(result)
    assert_said(result.stderr, "key-file-open", "/run/good")
    assert_adopted(tank, "tank", key)


@one_zfs
def test_sources_that_do_not_go_together(tank):
    for arguments, name, word in (
            (("--key-file", "/x", "--prompt"), "usage", "--key-file and --prompt"),
            (("--tpm-pcrs", "sha256:7", "--prompt"), "usage", "--tpm-handle"),
            (("--tpm-handle", "0x80000001"), "usage", "0x81"),
            (("--tpm-handle", HANDLE, "--tpm-pcrs", "sha256:24"), "usage", "sha256:24"),
            (("--tpm-handle", HANDLE, "--tpm-pcrs", "md5:7"), "usage", "md5:7"),
            (("--tpm-handle", HANDLE, "--tpm-pcrs", "7"), "usage", "'7'"),
            (("--key-fd", "77"), "usage", "77"), ((), "no-input", "--key-file")):
        result, key = adopt(tank, "tank", *arguments)
        assert_refused(result, name, word)
        assert not key
    assert_untouched(tank, "tank", "raw")


@one_zfs
def test_tpm_handles_that_do_not_open(tank):
    seal_at(tank, HANDLE, KEY, "sha256:7")
    seal_at(tank, "0x81010002", WRONG)
    assert_refused(adopt(tank, "tank", "--tpm-handle", "0x81010009")[0], "tpm-no-object", "0x81010009")
    assert_refused(adopt(tank, "tank", "--tpm-handle", HANDLE)[0], "tpm-object-closed", HANDLE, "only a policy")
    for pcrs in ("sha256:0", "sha1:7", "sha256:0,7"):
        assert_refused(adopt(tank, "tank", "--tpm-handle", HANDLE, "--tpm-pcrs", pcrs)[0], "tpm-object-closed", HANDLE)
    assert_refused(adopt(tank, "tank", "--tpm-handle", "0x81010002")[0], "key-not-this", "tank")
    assert_refused(adopt(tank, "tank", "--tpm-handle", "0x81000001")[0], "tpm-no-object", "0x81000001")
    tank.tpm.extend(7, "a stranger's boot loader")
    assert_refused(adopt(tank, "tank", "--tpm-handle", HANDLE, "--tpm-pcrs", "sha256:7")[0], "tpm-object-closed", "PCR 7")
    tank.tpm.off()
    assert_refused(adopt(tank, "tank", "--tpm-handle", HANDLE)[0], "tpm-missing")
    assert_untouched(tank, "tank", "raw")


@one_zfs
def test_a_clevis_that_is_missing_or_fails(tank):
    write_key(tank, "/run/jwe", "eyJhbGciOiJkaXIifQ.garbage")
    if not os.path.exists("/usr/bin/clevis"):
        assert_refused(adopt(tank, "tank", "--clevis", "/run/jwe")[0], "no-program", "clevis")
    else:
        assert_refused(adopt(tank, "tank", "--clevis", "/run/jwe")[0], "child", "/run/jwe")
        write_key(tank, "/run/k", KEY * 20)
        run(tank, "bash", "-c", "clevis encrypt tpm2 '{}' </run/k >/run/long")
        assert_refused(adopt(tank, "tank", "--clevis", "/run/long")[0], "child", "more than 514 bytes")
    write_key(tank, "/run/empty", "")
    assert_refused(adopt(tank, "tank", "--clevis", "/run/empty")[0], "key-shape", "/run/empty")
    assert_untouched(tank, "tank", "raw")


# ---- pools in no state for it ----

@one_zfs
def test_a_read_only_pool(tank):
    run(tank, "zpool", "export", "tank")
    run(tank, "zpool", "import", "-o", "readonly=on", "tank")
    write_key(tank, "/run/k", KEY)
    result, _ = adopt(tank, "tank", "--key-file", "/run/k")
    assert_refused(result, "zfs-readonly", "tank")
    run(tank, "zpool", "export", "tank")
    run(tank, "zpool", "import", "tank")
    assert_untouched(tank, "tank", "raw")
    assert_adopts_now(tank, "tank", KEY)


@one_zfs
def test_a_full_pool(zfs):
    """Nothing is written, nothing is lost; with room it goes on."""
    with new_world(zfs, disks=1, disk_size="64M") as world:
        node = world.node()
        make_root(node, "tank", "raw")
        run(node, "zfs", "create", "tank/ballast")
        fill(node)
        result, key = adopt(node, "tank", given=KEY)
        assert_refused(result, "zfs-full", "tank")
        assert key, "it was handed over before the pool was touched"
        assert_untouched(node, "tank", "raw")
        assert_done(zseal(node, "unlock", "--all"))
        run(node, "zfs", "destroy", "tank/ballast")
        assert_adopts_now(node, "tank", KEY)


@one_zfs
def test_zfs_that_is_not_there(tank):
    write_key(tank, "/run/k", KEY)
    tank.engine.kill()
    assert_refused(adopt(tank, "tank", "--key-file", "/run/k")[0], "zfs-absent")
    tank.engine.start()
    assert_adopts_now(tank, "tank", KEY)


@one_zfs
def test_two_at_once(tank):
    """Both go as far as they can; one header is there, and whoever was told a recovery key can use it."""
    write_key(tank, "/run/k", KEY)
    both, keys = [], []
    for _ in range(2):
        reader, writer = os.pipe()
        both.append((tank.popen(["zseal", "adopt", "--key-file", "/run/k", "--recovery-to-fd", str(writer), "tank"],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                pass_fds=(writer,)), reader))
        os.close(writer)
    results = []
    for process, reader in both:
        with process:
            out, err = process.communicate(timeout=100)
        results.append(Result(process.returncode, out, err))
        keys.append(os.read(reader, 4096).decode().strip())
        os.close(reader)
    for key in filter(None, keys):
        keep_recovery_key_secret(tank.world, key)
    winners = [i for i, result in enumerate(results) if result.status == 0]
    assert winners, results
    for result in results:
        if result.status:
            assert result.status in (EXIT_STATUS["unavailable"], EXIT_STATUS["state"]), result
    key = next(keys[i] for i in winners if keys[i])
    assert_adopted(tank, "tank", key)


# ---- ends at any instant ----

class Attempt:
    """zseal adopt with a key file, its recovery key into a pipe that is read at the end."""

    def __init__(self, node, *options):
        self._node = node
        self._reader, self.writer = os.pipe()
        options = options or ("--key-file", "/run/k")
        self.argv = ["zseal", "adopt", *options, "--recovery-to-fd", str(self.writer), "tank"]
        self.fds = {"pass_fds": (self.writer,)}
        self.key = ""

    def finish(self, ended):
        wait_for_end([pid for name in ("zseal", "zpool", "zfs") for pid in programs(self._node, name)])
        os.close(self.writer)
        self.key = os.read(self._reader, 4096).decode().strip()
        os.close(self._reader)
        if self.key:
            keep_recovery_key_secret(self._node.world, self.key)
        return Result(*ended)


def fresh(node, keyformat):
    if "tank" in run(node, "zpool", "list", "-H", "-o", "name").split():
        run(node, "zpool", "destroy", "tank")
    make_root(node, "tank", keyformat)
    write_key(node, "/run/k", GIVEN[keyformat])


def assert_one_way_is_open(node, keyformat, step):
    """Gives whether zseal opens it, which is when the pool has a header."""
    has_header = get(node, "tank", "zseal:keyring") != "-"
    said = assert_done(zseal(node, "status", "tank")).stdout
    node.run(["zfs", "unload-key", "tank"])
    assert is_locked(node, "tank")
    old = opens_by_old_way(node, "tank", keyformat)
    result = zseal(node, "unlock", "tank") if has_header else None
    assert old or (result and result.status == 0), f"{step}: nothing opens it"
    finished = get(node, "tank", "keyformat") == "raw" and get(node, "tank", "keylocation") == "prompt"
    assert ("cut off" in said) == (has_header and not finished), f"{step}: {said}"
    assert ("encryption roots without zseal" in said) == (not has_header)
    return has_header


@needs_strace
@pytest.mark.parametrize("keyformat", ["raw", "passphrase"])
def test_killed_anywhere(keyformat):
    with World(zfs=zfs_versions()[0]) as world:
        world.secrets = set()
        node = world.node()
        fresh(node, keyformat)
        attempt = Attempt(node)
        steps, ended = steps_of(node, attempt.argv, **attempt.fds)
        assert_done(attempt.finish(ended))
        assert_adopted(node, "tank", attempt.key)
        outcomes = set()
        for step in chosen(steps, 16):
            fresh(node, keyformat)
            attempt = Attempt(node)
            attempt.finish(run_with_signal(node, attempt.argv, step, "SIGKILL", **attempt.fds))
            written = assert_one_way_is_open(node, keyformat, step)
            outcomes.add(written)
            assert attempt.key or not written, f"{step}: a keyring whose recovery key nobody has"
            again = Attempt(node)
            done = node.run(again.argv, **again.fds)
            assert_done(again.finish((done.returncode, done.stdout, done.stderr)))
            assert_adopted(node, "tank", again.key or attempt.key)
            count("kills", tried=1, survived=1)
        assert outcomes == {True, False}, "the kills were all before or all after"


def adopt_again(node, *options):
    again = Attempt(node, *options)
    done = node.run(again.argv, **again.fds)
    return again.finish((done.returncode, done.stdout, done.stderr)), again.key


@needs_strace
@one_zfs
def test_killed_anywhere_with_a_key_out_of_the_tpm(tank):
    """The object that the key came from stays in the TPM: the same command finishes, and both ways open."""
    seal_at(tank, HANDLE, KEY)
    options = ("--tpm-handle", HANDLE)

    def ready():
        fresh(tank, "raw")
        return Attempt(tank, *options)
    attempt = ready()
    steps, ended = steps_of(tank, attempt.argv, **attempt.fds)
    assert_done(attempt.finish(ended))
    for step in chosen(steps, 8):
        attempt = ready()
        attempt.finish(run_with_signal(tank, attempt.argv, step, "SIGKILL", **attempt.fds))
        assert_one_way_is_open(tank, "raw", step)
        result, key = adopt_again(tank, *options)
        assert_done(result)
        assert HANDLE in run(tank, "tpm2_getcap", "handles-persistent").lower() and HANDLE in result.stdout
        assert_adopted(tank, "tank", key or attempt.key)
        count("kills", tried=1, survived=1)


@needs_strace
@one_zfs
def test_killed_with_a_handle_says_what_to_do(tank):
    """Nobody is left to take the new slot's object out of the TPM; the next adopt names it, and any other handle does."""
    write_key(tank, "/run/k", KEY)
    options = ("--key-file", "/run/k", "--handle", HANDLE)
    attempt = Attempt(tank, *options)
    steps, ended = steps_of(tank, attempt.argv, **attempt.fds)
    assert_done(attempt.finish(ended))
    run(tank, "tpm2_evictcontrol", "-c", HANDLE)
    fresh(tank, "raw")
    copied = next(i for i, step in enumerate(steps) if step.call.startswith("rename"))
    left = 0
    for step in [step for step in steps[copied:] if step.call in ("clone", "renameat", "sendmsg")][:8]:
        attempt = Attempt(tank, *options)
        attempt.finish(run_with_signal(tank, attempt.argv, step, "SIGKILL", **attempt.fds))
        written = assert_one_way_is_open(tank, "raw", step)
        if not written and HANDLE in run(tank, "tpm2_getcap", "handles-persistent").lower():
            left += 1
            assert_refused(adopt_again(tank, *options)[0], "tpm-handle-taken", HANDLE)
            run(tank, "tpm2_evictcontrol", "-c", HANDLE)
        result, key = adopt_again(tank, *options)
        assert_done(result)
        assert_adopted(tank, "tank", key or attempt.key)
        count("kills", tried=1, survived=1)
        run(tank, "tpm2_evictcontrol", "-c", HANDLE)
        fresh(tank, "raw")
    assert left, "no kill left an object behind"


@needs_strace
@one_zfs
@pytest.mark.parametrize("keyformat", ["raw", "passphrase"])
def test_a_header_that_changes_meanwhile_is_not_written_over(node, keyformat):
    fresh(node, keyformat)
    attempt = Attempt(node)
    steps, ended = steps_of(node, attempt.argv, **attempt.fds)
    assert_done(attempt.finish(ended))
    fresh(node, keyformat)
    attempt = Attempt(node)
    copies = [step for step in steps if step.call == "renameat"]
    result, paused = run_with_pause(node, attempt.argv, copies[0],
                                    lambda: run(node, "zfs", "set", "zseal:keyring=a stranger's", "tank"), **attempt.fds)
    result = attempt.finish(result)
    assert paused
    assert_refused(result, "zfs-raced", "tank")
    assert get(node, "tank", "zseal:keyring") == "a stranger's" and opens_by_old_way(node, "tank", keyformat)
    run(node, "zfs", "inherit", "zseal:keyring", "tank")
    assert_adopts_now(node, "tank", GIVEN[keyformat])


@needs_strace
@one_zfs
def test_a_record_that_does_not_come_back_switches_nothing(node):
    """Somebody spoils it just before it is read back: the passphrase stays the root's key."""
    fresh(node, "passphrase")
    attempt = Attempt(node)
    steps, ended = steps_of(node, attempt.argv, **attempt.fds)
    assert_done(attempt.finish(ended))
    # the last three are zfs get, for the roots and for the keyring: names, then values
    reading_back = [step for step in steps if step.call.startswith("clone")][-4]
    fresh(node, "passphrase")
    attempt = Attempt(node)
    ended, paused = run_with_pause(node, attempt.argv, reading_back,
                                   lambda: run(node, "zfs", "set", "zseal:key=spoilt", "tank"), **attempt.fds)
    result = attempt.finish(ended)
    assert paused
    assert_refused(result, "format", "tank")
    assert get(node, "tank", "keyformat") == "passphrase" and opens_by_old_way(node, "tank", "passphrase")
    result, none = adopt(node, "tank", given=PASSPHRASE)
    assert_done(result)
    assert not none
    assert_adopted(node, "tank", attempt.key)


@needs_strace
@one_zfs
@pytest.mark.parametrize("keyformat", ["raw", "passphrase"])
def test_zfs_dies_in_the_middle(node, keyformat):
    """The engine is killed at calls between the copy and the end; the pool comes back with one way or the other."""
    fresh(node, keyformat)
    attempt = Attempt(node)
    steps, ended = steps_of(node, attempt.argv, **attempt.fds)
    assert_done(attempt.finish(ended))
    first = next(i for i, step in enumerate(steps) if step.call == "renameat")
    calls = [step for step in steps[first:] if step.call == "sendmsg"]
    assert calls
    failed = 0
    for step in calls[::max(1, len(calls) // 4)]:
        fresh(node, keyformat)
        attempt = Attempt(node)
        ended, paused = run_with_pause(node, attempt.argv, step, node.engine.kill, **attempt.fds)
        with contextlib.suppress(Exception):
            node.engine.start()
        result = attempt.finish(ended)
        assert paused
        assert ("next:" in result.stderr) == (result.status != 0), result
        failed += result.status != 0
        assert_one_way_is_open(node, keyformat, step)
        again = Attempt(node)
        done = node.run(again.argv, **again.fds)
        assert_done(again.finish((done.returncode, done.stdout, done.stderr)))
        assert_adopted(node, "tank", again.key or attempt.key)
    assert failed, "it never noticed"


@needs_strace
@one_zfs
def test_a_signal_waits_until_it_is_over_or_prevents_it(node):
    fresh(node, "passphrase")
    attempt = Attempt(node)
    steps, ended = steps_of(node, attempt.argv, **attempt.fds)
    assert_done(attempt.finish(ended))
    outcomes = set()
    for step in chosen(steps, 6):
        fresh(node, "passphrase")
        attempt = Attempt(node)
        result = attempt.finish(run_with_signal(node, attempt.argv, step, "SIGTERM", **attempt.fds))
        outcomes.add(result.status)
        if result.status == EXIT_STATUS["interrupted"]:
            assert_said(result.stderr, "interrupted", signal.Signals.SIGTERM.name)
            if get(node, "tank", "zseal:keyring") == "-":
                assert_untouched(node, "tank", "passphrase")
                continue
        else:
            assert_done(result)
        assert_adopted(node, "tank", attempt.key)
    assert EXIT_STATUS["interrupted"] in outcomes


# ---- what a thief of the disks may have written ----

@one_zfs
@pytest.mark.parametrize("iterations", ["50000001", "18446744073709551615"])
def test_a_passphrase_root_with_a_hostile_cost(node, iterations):
    """zfs itself would need minutes to years to make such a root: its answer is changed on the way."""
    make_root(node, "tank", "passphrase")
    real = run(node, "sh", "-c", "command -v zfs").strip()
    node.path("/run/zfs").write_text(f"#!/bin/sh\n/run/real/zfs \"$@\" | sed '/pbkdf2iters/s/100000/{iterations}/'\n")
    run(node, "sh", "-c", f"mkdir -p /run/real && cp {real} /run/real/zfs && chmod 755 /run/zfs && "
        f"mount --bind /run/zfs {real}")
    result, key = adopt(node, "tank", given=PASSPHRASE)
    assert_refused(result, "zfs-property", f"tank has pbkdf2iters={iterations}; zseal takes 1 to 50000000")
    assert not key
    run(node, "umount", real)
    assert_untouched(node, "tank", "passphrase")
    assert_adopts_now(node, "tank", PASSPHRASE)
