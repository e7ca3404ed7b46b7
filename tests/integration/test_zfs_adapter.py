# SPDX-License-Identifier: MIT
"""The ZFS adapter on a real ZFS, each version that there is, called by zfs_probe."""
import contextlib
import errno
import fcntl
import os
import re
import subprocess
import sys
import termios
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest
from conftest import ROOT, one_zfs, run
from world import World

PROBE = Path(os.environ.get("ZSEAL") or ROOT / "build/src/zseal").with_name("zfs") / "zfs_probe"
KEY, OTHER_KEY = "11" * 32, "22" * 32
ENCRYPTED = ["-O", "encryption=aes-256-gcm", "-O", "mountpoint=none"]
VALUE_MAX = 8191
RECORD_SIZE = 312  # of a stream: dmu_replay_record_t
NOBODY = 65534


class Refusal(NamedTuple):
    name: str
    errno: int
    place: str


class Property(NamedTuple):
    dataset: str
    name: str
    value: str
    source: str
    inherited: bool


def call(node, *arguments, **kw):
    done = node.run([PROBE, *arguments], **kw)
    assert done.returncode in (0, 1) and done.stderr == "", done
    return done


def probe(node, *arguments, **kw):
    """The lines that it prints when it succeeds."""
    done = call(node, *arguments, **kw)
    assert done.returncode == 0, done
    return done.stdout.splitlines()


def refused(node, *arguments, **kw):
    """The error that it ends with."""
    done = call(node, *arguments, **kw)
    assert done.returncode == 1, done
    name, number, place = done.stdout.splitlines()[-1].split("\t")
    return Refusal(name, int(number), place)


def get(node, properties, *datasets, verb="get"):
    for line in probe(node, verb, properties, *datasets):
        dataset, name, value, source, how = line.split("\t")
        yield Property(dataset, name, bytes.fromhex(value).decode("utf-8", "surrogateescape"), source,
                       how == "inherited")


def value_of(node, name, dataset="tank"):
    """The value that a dataset has of its own, or None."""
    [prop] = get(node, name, dataset)
    return None if prop.source == "-" or prop.inherited else prop.value


@contextlib.contextmanager
def busy(node, snapshot):
    """A send that waits for a reader holds the key, as a mount does: its pipe has room for the first record only."""
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 1 << 20)  # as large as zfs would make it
    os.write(writer, bytes(size - RECORD_SIZE))
    send = node.popen(["zfs", "send", snapshot], stdout=writer, stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        deadline = time.monotonic() + 20
        while int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder) < size:
            assert send.poll() is None and time.monotonic() < deadline
        yield
    finally:
        os.close(reader)
        send.wait(20)


def history(node):
    return run(node, "zpool", "history", "-i", "tank").splitlines()


@pytest.fixture
def node(world):
    return world.node("a", tpm=False)


@pytest.fixture
def pool(node):
    """An encryption root with a child and a volume, and a dataset without encryption."""
    probe(node, "create", "tank", KEY, *ENCRYPTED, "--", "zseal:keyring=one", "--", node.world.disk(1))
    run(node, "zfs", "create", "tank/child")
    run(node, "zfs", "create", "-s", "-V", "1M", "tank/volume")
    run(node, "zfs", "create", "-o", "encryption=off", "tank/plain")
    run(node, "zfs", "snapshot", "tank@now")
    return "tank"


# ---- create ----

def test_create_makes_all_of_it_at_once(node):
    probe(node, "create", "tank", KEY, *ENCRYPTED, "-O", "atime=off", "--", "zseal:keyring={\"v\":1, \"x\":\"=\"}",
          "zseal:slot.a=b", "--", node.world.disk(1))
    names = "encryption,keyformat,keylocation,keystatus,atime,zseal:keyring,zseal:slot.a"
    assert [p.value for p in get(node, names, "tank")] == [
        "aes-256-gcm", "raw", "prompt", "available", "off", '{"v":1, "x":"="}', "b"]
    assert probe(node, "load", "tank", KEY) == ["was loaded"]


def test_create_dry_run_makes_nothing(node):
    said = probe(node, "dry-run", "tank", KEY, *ENCRYPTED, "--", "--", "mirror", node.world.disk(1),
                 node.world.disk(2))
    assert "would create 'tank'" in said[0] and any("mirror" in line for line in said)
    assert not probe(node, "pools")


def test_create_refuses_a_pool_that_is_there(node, pool):
    assert refused(node, "create", pool, KEY, *ENCRYPTED, "--", "--", node.world.disk(2)) == ("zfs-exists", 0, "tank")
    assert refused(node, "dry-run", pool, KEY, *ENCRYPTED, "--", "--", node.world.disk(2)).name == "zfs-exists"


def test_create_passes_on_all_that_zpool_complains_about(node, pool):
    done = call(node, "create", "other", KEY, *ENCRYPTED, "--", "--", node.world.disk(1))
    assert "is part of active pool 'tank'" in done.stdout and "use '-f'" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("child\t0\tzpool create ended with status 1: ")
    assert "11" * 16 not in done.stdout
    assert [line.split("\t")[0] for line in probe(node, "pools")] == [pool]


# ---- pools ----

def test_pools(node, pool):
    probe(node, "create", "a b", KEY, *ENCRYPTED, "--", "--", node.world.disk(2))
    guids = dict(line.split("\t") for line in run(node, "zpool", "list", "-Hpo", "name,guid").splitlines())
    assert probe(node, "pools") == [f"{name}\t{guids[name]}\twritable\talive" for name in ("a b", pool)]


def test_no_pools(node):
    assert not probe(node, "pools")
    assert not list(get(node, "zseal:key"))
    assert not list(get(node, "zseal:key", verb="get-recursive"))


# ---- keys ----

def test_load_and_unload(node, pool):
    assert probe(node, "unload", pool) == ["unloaded"]
    assert probe(node, "unload", pool) == ["was not loaded"]
    assert refused(node, "load", pool, OTHER_KEY) == ("zfs-key-wrong", 13, "loading the key of tank")
    assert value_of(node, "keystatus") is None  # it is nobody's own
    assert [p.value for p in get(node, "keystatus", pool)] == ["unavailable"]
    assert probe(node, "load", pool, KEY) == ["loaded"]
    assert probe(node, "load", pool, KEY) == ["was loaded"]
    assert refused(node, "load", pool, OTHER_KEY).name == "zfs-key-wrong"
    assert [p.value for p in get(node, "keystatus", pool)] == ["available"]


def test_prove_does_not_load(node, pool):
    for status in ("available", "unavailable"):
        probe(node, "prove", pool, KEY)
        assert refused(node, "prove", pool, OTHER_KEY).name == "zfs-key-wrong"
        assert [p.value for p in get(node, "keystatus", pool)] == [status]
        probe(node, "unload", pool)


def test_keys_of_what_is_no_root(node, pool):
    assert pool == "tank"
    for dataset, expected in (("tank/child", "zfs-not-root"), ("tank/volume", "zfs-not-root"),
                              ("tank/plain", "zfs-not-root"), ("tank/missing", "zfs-not-found"),
                              ("missing", "zfs-not-found"), ("tank@now", "usage"), ("tank/", "usage")):
        for verb in ("load", "prove", "change"):
            refusal = refused(node, verb, dataset, OTHER_KEY)
            assert refusal.name == expected and dataset in refusal.place
    assert [p.value for p in get(node, "encryptionroot", "tank/child")] == ["tank"]


def test_unload_of_what_is_not_there(node, pool):
    assert pool == "tank"
    assert refused(node, "unload", "tank/missing").name == "zfs-not-found"
    assert probe(node, "unload", "tank/child") == ["was not loaded"]


def test_unload_while_it_is_used(node, pool):
    with busy(node, "tank@now"):
        assert refused(node, "unload", pool).name == "zfs-busy"
    assert probe(node, "unload", pool) == ["unloaded"]


def test_change_key(node, pool):
    probe(node, "change", pool, OTHER_KEY)
    probe(node, "prove", pool, OTHER_KEY)
    assert refused(node, "prove", pool, KEY).name == "zfs-key-wrong"
    assert [p.value for p in get(node, "encryptionroot,keylocation", "tank/child")] == ["tank", "none"]
    node.engine.restart()
    assert probe(node, "load", pool, OTHER_KEY) == ["loaded"]


def test_change_key_of_a_passphrase_root(node, pool):
    assert pool == "tank"
    run(node, "zfs", "create", "-o", "encryption=on", "-o", "keyformat=passphrase", "tank/root",
        input="a passphrase\n")
    probe(node, "change", "tank/root", OTHER_KEY)
    probe(node, "unload", "tank/root")
    assert probe(node, "load", "tank/root", OTHER_KEY) == ["loaded"]
    assert [p.value for p in get(node, "keyformat,pbkdf2iters", "tank/root")] == ["raw", "0"]


def test_change_key_needs_the_present_one(node, pool):
    probe(node, "unload", pool)
    refusal = refused(node, "change", pool, OTHER_KEY)
    assert refusal.name == "zfs-denied" and "not loaded" in refusal.place
    probe(node, "prove", pool, KEY)


def test_change_key_of_a_clone(node, pool):
    run(node, "zfs", "clone", "tank@now", "tank/clone")
    assert refused(node, "change", "tank/clone", OTHER_KEY).name == "zfs-not-root"
    probe(node, "prove", pool, KEY)


def test_keys_do_not_show_in_the_history(node, pool):
    probe(node, "unload", pool)
    probe(node, "load", pool, KEY)
    probe(node, "change", pool, OTHER_KEY)
    shown = run(node, "zpool", "history", "-il", pool)
    assert "change-key" in shown
    for key in (KEY, OTHER_KEY):
        assert key not in shown and bytes.fromhex(key).decode() not in shown


# ---- write ----

def test_write_sets_and_removes_in_one_record(node, pool):
    probe(node, "write", pool, "zseal:keyring=one", "zseal:a=1", "zseal:b=2", "zseal:c=3")
    before = len(history(node))
    probe(node, "write", pool, "zseal:keyring=one", "zseal:keyring=two", "zseal:b", "zseal:a=4", "zseal:never-set")
    assert [value_of(node, f"zseal:{name}") for name in ("keyring", "a", "b", "c")] == ["two", "4", None, "3"]
    records = history(node)[before:]
    assert sum("channel_program" in line for line in records) == 1
    assert len({line.split("]")[0].split("txg:")[1] for line in records if "txg:" in line}) == 1


def test_write_compares_first(node, pool):
    for expected, matches in (("zseal:keyring=On", False), ("zseal:keyring=", False), ("zseal:keyring", False),
                              ("zseal:none=", False), ("zseal:none=x", False), ("zseal:keyring=one", True),
                              ("zseal:none", True)):
        before = value_of(node, "zseal:a")
        arguments = ("write", pool, expected, f"zseal:a={expected}", "zseal:b")
        if matches:
            probe(node, *arguments)
        else:
            refusal = refused(node, *arguments)
            assert refusal.name == "zfs-raced" and expected.split("=")[0] in refusal.place and pool in refusal.place
        assert value_of(node, "zseal:a") == (expected if matches else before)


def test_write_compares_what_is_inherited(node, pool):
    """A value is compared wherever it comes from; "none" means none of its own."""
    assert pool == "tank"
    probe(node, "write", "tank/child", "zseal:keyring=one", "zseal:key=1")
    assert refused(node, "write", "tank/child", "zseal:keyring=two", "zseal:key=2").name == "zfs-raced"
    probe(node, "write", "tank/child", "zseal:keyring", "zseal:key=3")
    assert value_of(node, "zseal:key", "tank/child") == "3"


def test_write_over_what_was_received(node, pool):
    assert pool == "tank"
    run(node, "sh", "-c", "zfs send -wp tank@now | zfs receive tank/copy")
    [prop] = get(node, "zseal:keyring", "tank/copy")
    assert (prop.value, prop.source) == ("one", "received")
    assert refused(node, "write", "tank/copy", "zseal:keyring", "zseal:keyring=two").name == "zfs-raced"
    probe(node, "write", "tank/copy", "zseal:keyring=one", "zseal:keyring=two")
    assert value_of(node, "zseal:keyring", "tank/copy") == "two"
    probe(node, "write", "tank/copy", "zseal:keyring=two", "zseal:keyring")
    [prop] = get(node, "zseal:keyring", "tank/copy")
    assert (prop.value, prop.source) == ("one", "tank")


def test_only_one_of_many_writers_wins(node, pool):
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda number: call(node, "write", pool, "zseal:keyring=one",
                                                       f"zseal:keyring=by {number}", f"zseal:a=by {number}"), range(8)))
    winners = [number for number, done in enumerate(answers) if done.returncode == 0]
    assert len(winners) == 1
    assert all(done.returncode == 0 or done.stdout.startswith("zfs-raced") for done in answers)
    assert value_of(node, "zseal:keyring") == value_of(node, "zseal:a") == f"by {winners[0]}"


def test_any_value_comes_back_as_it_was(node, pool):
    for dataset in (pool, "tank/volume"):
        last = "zseal:key"
        for value in ("", "-", "a\tb\nc\n", "'\"]]\\ .. end return os.exit() --", "%s%n",
                      "ä\N{BLACK HEART SUIT}\x01\x7f", "v" * VALUE_MAX):
            probe(node, "write", dataset, last, f"zseal:key={value}")
            assert value_of(node, "zseal:key", dataset) == value
            last = f"zseal:key={value}"


def test_write_a_whole_header(node, pool):
    """As many and as large properties as there may be, written and removed at once."""
    slots = [f"zseal:slot.{number}" for number in range(32)]
    probe(node, "write", pool, "zseal:keyring=one", f"zseal:keyring={'k' * VALUE_MAX}",
          *(f"{slot}={slot[-1] * VALUE_MAX}" for slot in slots))
    found = {p.name: p.value for p in get(node, "zseal:keyring,zseal:slot.*", pool)}
    assert set(found) == {"zseal:keyring", *slots} and found["zseal:slot.31"] == "1" * VALUE_MAX
    probe(node, "write", pool, f"zseal:keyring={'k' * VALUE_MAX}", "zseal:keyring=two", *slots)
    assert [p.name for p in get(node, "zseal:*", pool)] == ["zseal:keyring"]


# Runs a channel program that may not execute more than one instruction. ZFS looks for that where it looks for signals.
RUN_STOPPED = """
import ctypes, sys
lzc, nvpair = ctypes.CDLL("libzfs_core.so.3"), ctypes.CDLL("libnvpair.so.3")
nvpair.fnvlist_alloc.restype = ctypes.c_void_p
arguments, result = ctypes.c_void_p(nvpair.fnvlist_alloc()), ctypes.c_void_p()
for name, value in (b"dataset", b"tank"), (b"expect", b"zseal:keyring"), (b"value", b"one"):
    nvpair.fnvlist_add_string(arguments, name, value)
names = [b"zseal:%d" % number for number in range(int(sys.argv[2]))]
for key, array in (b"set", names), (b"to", names), (b"remove", []):
    nvpair.fnvlist_add_string_array(arguments, key, (ctypes.c_char_p * len(array))(*array), len(array))
assert lzc.libzfs_core_init() == 0
print(lzc.lzc_channel_program(b"tank", sys.argv[1].encode(), ctypes.c_uint64(1), ctypes.c_uint64(4 << 20), arguments,
                              ctypes.byref(result)))
"""


def test_write_that_is_stopped_has_written_nothing(node, pool):
    """The signal that killed zseal came while its transaction waited: ZFS sees it before the first change."""
    probe(node, "write", pool, "zseal:keyring=one", "zseal:keyring=one")
    program = re.search(r"program: '(.*? or err\n)'", run(node, "zpool", "history", "-i", pool), re.DOTALL)[1]
    for how_many in range(1, 12):
        stopped = run(node, "/usr/bin/python3", "-c", RUN_STOPPED, program, str(how_many))
        assert int(stopped) == errno.ETIME
        assert {p.name for p in get(node, "zseal:*", pool)} == {"zseal:keyring"}


def test_write_to_what_is_not_there(node, pool):
    assert pool == "tank"
    for dataset, expected in (("tank/missing", "zfs-not-found"), ("missing", "zfs-not-found"),
                              ("missing/a", "zfs-not-found"), ("tank@now", "usage")):
        assert refused(node, "write", dataset, "zseal:keyring", "zseal:a=1").name == expected


def test_write_too_much(node, pool):
    before = history(node)
    assert refused(node, "write", pool, "zseal:keyring=one", f"zseal:a={'v' * (VALUE_MAX + 1)}").name == "too-large"
    assert refused(node, "write", pool, "zseal:keyring=one", f"zseal:{'a' * 250}=1").name == "too-large"
    assert refused(node, "write", pool, "zseal:keyring=one", "mountpoint").name == "bug"
    assert history(node) == before


@pytest.fixture
def small_pool(zfs):
    """With little room, so that it can be filled."""
    with World(zfs=zfs, disks=1, disk_size="64M") as world:
        small = world.node("a", tpm=False)
        probe(small, "create", "tank", KEY, *ENCRYPTED, "--", "zseal:keyring=one", "--", world.disk(1))
        yield small


def write_until_full(node, how_many):
    """Writes so many new properties at a time. How that ended: the error's name and place, and how many are there."""
    for number in range(1000):
        names = [f"zseal:{how_many}x{number}.{letter}" for letter in range(how_many)]
        done = call(node, "write", "tank", "zseal:keyring=one", *(f"{name}={os.urandom(4000).hex()}" for name in names))
        if done.returncode:
            name, _, place = done.stdout.strip().split("\t")
            return name, place, len(list(get(node, f"zseal:{how_many}x{number}.*", "tank")))
    raise AssertionError("it is never full")


def test_write_when_the_pool_is_full(small_pool):
    """What ZFS cannot undo is told. If there is too little room even for the check, there is nothing to undo."""
    name, place, written = write_until_full(small_pool, 40)
    assert name == "zfs-full" and 0 < written < 40 and "in part" in place
    name, place, written = write_until_full(small_pool, 80)
    assert name == "zfs-full" and written == 0 and "in part" not in place
    write_until_full(small_pool, 8)
    name, place, written = write_until_full(small_pool, 1)
    assert name == "zfs-full" and written == 0 and "in part" not in place
    assert value_of(small_pool, "zseal:keyring") == "one"


# ---- read-only ----

def test_pool_imported_read_only(node, pool):
    run(node, "zpool", "export", pool)
    run(node, "zpool", "import", "-o", "readonly=on", pool)
    [line] = probe(node, "pools")
    assert line.endswith("\tread-only\talive")
    assert value_of(node, "zseal:keyring") == "one"
    probe(node, "prove", pool, KEY)
    assert probe(node, "load", pool, KEY) == ["loaded"]
    assert refused(node, "change", pool, OTHER_KEY).name == "zfs-readonly"
    assert refused(node, "write", pool, "zseal:keyring=one", "zseal:a=1").name == "zfs-readonly"
    assert probe(node, "unload", pool) == ["unloaded"]


# ---- get ----

def test_get_tells_sources_and_types(node, pool):
    run(node, "zfs", "create", "tank/child/a b")
    found = {(p.dataset, p.name): p[2:] for p in get(node, "zseal:keyring,keystatus,encryptionroot", pool,
                                                     verb="get-recursive")}
    assert [dataset for dataset, name in found if name == "keystatus"] == [
        "tank", "tank/child", "tank/child/a b", "tank/plain", "tank/volume"]
    assert found["tank", "zseal:keyring"] == ("one", "local", False)
    assert found["tank/child/a b", "zseal:keyring"] == ("one", "tank", True)
    assert found["tank/volume", "encryptionroot"] == ("tank", "-", False)
    assert found["tank/plain", "keystatus"] == ("-", "-", False)


def test_get_of_some_and_of_all(node, pool):
    probe(node, "create", "other", KEY, *ENCRYPTED, "--", "--", node.world.disk(2))
    assert [p.dataset for p in get(node, "guid", "tank/child", pool)] == [pool, "tank/child"]
    assert {p.dataset for p in get(node, "guid", "other", "tank/child", verb="get-recursive")} == {
        "other", "tank/child"}
    assert {p.dataset for p in get(node, "guid", verb="get-recursive")} == {
        "other", "tank", "tank/child", "tank/plain", "tank/volume"}


def test_get_names_what_is_missing(node, pool):
    assert refused(node, "get", "guid", pool, "tank/missing", "tank/child") == ("zfs-not-found", 0, "tank/missing")
    assert refused(node, "get", "all", "missing/a") == ("zfs-not-found", 0, "missing/a")
    assert refused(node, "get", "guid", pool, "tank@now").name == "usage"
    refusal = refused(node, "get", "no-such-property", pool)
    assert refusal.name == "child" and "bad property list" in refusal.place


def test_get_by_patterns(node, pool):
    run(node, "zfs", "set", "zseal:slot.b=2", "zseal:slot.a=1", "zseal:slotted=3", "other:a=4", pool)
    assert {p.name for p in get(node, "zseal:slot.*", pool)} == {"zseal:slot.a", "zseal:slot.b"}
    assert [p.name for p in get(node, "keystatus,zseal:slot.b*,guid", pool)] == ["keystatus", "zseal:slot.b", "guid"]
    assert not list(get(node, "zseal:none.*", pool))
    every = {p.name: p.value for p in get(node, "all", pool)}
    assert every["other:a"] == "4" and every["keylocation"] == "prompt" and every["zseal:slotted"] == "3"
    assert run(node, "zfs", "get", "-Ho", "property", "all", pool).split() == [p.name for p in get(node, "all", pool)]


def test_get_is_not_deceived(node, pool):
    """Whoever may set a property of the child cannot say anything about others."""
    lies = ["v\tlocal\ntank\tzseal:keyring\tforged", "v\tinherited from tank", "\n\n\t\t\n",
            "v\tlocal\ntank/zz\tzseal:keyring\tforged\tlocal\ntank/child\tx\ty",
            "v\tlocal\ntank/child\tkeystatus\tunavailable"]
    for lie in lies:
        run(node, "zfs", "set", f"zseal:keyring={lie}", "tank/child")
        found = {(p.dataset, p.name): p.value for p in get(node, "zseal:keyring,keystatus", pool, verb="get-recursive")}
        assert found["tank", "zseal:keyring"] == "one" and found["tank/child", "zseal:keyring"] == lie
        assert found["tank/child", "keystatus"] == "available" and "tank/zz" not in {d for d, _ in found}
        assert {p.name: p.value for p in get(node, "all", "tank/child")}["zseal:keyring"] == lie


def test_get_bytes_that_are_no_text(node, pool):
    run(node, "sh", "-c", "zfs set zseal:a=\"$(printf '\\377\\001x')\" tank")
    assert value_of(node, "zseal:a", pool) == "\udcff\x01x"


def test_get_leaves_no_history(node, pool):
    before = history(node)
    list(get(node, "all", pool))
    list(get(node, "zseal:key", verb="get-recursive"))
    assert history(node) == before


MAKE_THOUSAND = """
import ctypes
lzc = ctypes.CDLL("libzfs_core.so.3")
assert lzc.libzfs_core_init() == 0
for number in range(1000):
    assert lzc.lzc_create(b"tank/child/%d" % number, 2, None, None, 0) == 0
"""


@one_zfs
def test_get_of_a_thousand(node, pool):
    run(node, "/usr/bin/python3", "-c", MAKE_THOUSAND)
    found = list(get(node, "zseal:keyring,zseal:key,keystatus", pool, verb="get-recursive"))
    assert len(found) == 3 * (4 + 1000)
    assert {p.value for p in found if p.name == "zseal:keyring"} == {"one"}


# ---- no ZFS, no root ----

@one_zfs
def test_without_the_kernel_module(world):
    bare = world.node("bare", tpm=False, zfs_module=False)
    for arguments in (("get", "guid"), ("get", "all", "tank"), ("pools",), ("load", "tank", KEY), ("unload", "tank"),
                      ("write", "tank", "zseal:a", "zseal:a=1"), ("create", "tank", KEY, "--", "--", world.disk(1))):
        assert refused(bare, *arguments).name == "zfs-absent", arguments


def test_when_the_kernel_module_was_unloaded(node, pool):
    """The device is still there, but nobody answers."""
    node.engine.kill()
    for arguments in (("get", "guid", pool), ("pools",), ("load", pool, KEY)):
        assert refused(node, *arguments).name == "zfs-absent", arguments


@one_zfs
def test_without_the_programs(node):
    hidden = ["sh", "-c", 'mount -t tmpfs none /usr/sbin && exec "$@"', "sh"]
    done = node.run(["unshare", "--mount", "--propagation", "private", *hidden, PROBE, "pools"])
    assert done.stdout.startswith("no-program\t"), done


def test_as_another_user(node, pool):
    assert value_of(node, "zseal:keyring") == "one"
    assert [p.value for p in get(node, "zseal:keyring", pool)] == ["one"]
    for verb in ("load", "prove", "change"):
        assert refused(node, verb, pool, KEY, uid=NOBODY).name == "zfs-denied"
    assert refused(node, "unload", pool, uid=NOBODY).name == "zfs-denied"
    assert refused(node, "write", pool, "zseal:keyring=one", "zseal:a=1", uid=NOBODY).name == "not-root"
