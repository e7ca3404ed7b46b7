# SPDX-License-Identifier: MIT
"""slot add, test, reseal, remove: several ways to open one keyring, and no way to lose the last."""
import json
import os
import re
import signal
import subprocess

import pytest

from conftest import (ERRORS, EXIT_STATUS, Dialogue, Result, assert_done, assert_nothing_secret, assert_opens,
                      assert_opens_with_key, assert_refused, assert_refused_json, create_pool, is_locked,
                      keep_recovery_key_secret, lock, one_zfs, run, unlock_with_key, zseal, zseal_with_key)
from figures import count
from steps import chosen, needs_strace, programs, run_with_pause, run_with_signal, steps_of, wait_for_end

HANDLE = "0x81010001"
CHANGED_PCR = ("tpm2_pcrextend", "7:sha256=" + 32 * "5a")


@pytest.fixture
def standing(node):
    node.tank = create_pool(node)
    return node


def slots(node):
    """By name."""
    found = assert_done(zseal(node, "slot", "list", "--json")).json["keyrings"]
    assert len(found) == 1
    return {slot["name"]: slot for slot in found[0]["slots"]}


def generation(node):
    return assert_done(zseal(node, "status", "--json")).json["keyrings"][0]["generation"]


def handles(node):
    return run(node, "tpm2_getcap", "handles-persistent").lower().split()


def with_new_key(node, *argv, old_key=None):
    """Runs zseal with a new recovery key to a pipe: what it said, and the key or ''."""
    reader, writer = os.pipe()
    argv = (*argv, "--recovery-to-fd", str(writer))
    old_reader, old_writer = os.pipe()
    try:
        if old_key:
            os.write(old_writer, (old_key + "\n").encode())
            argv += ("--recovery-fd", str(old_reader))
        os.close(old_writer)
        done = node.run(["zseal", *argv], pass_fds=(writer, old_reader))
        os.close(writer)
        key = os.read(reader, 4096).decode().strip()
    finally:
        os.close(reader)
        os.close(old_reader)
    if key:
        keep_recovery_key_secret(node.world, key)
    assert_nothing_secret(node.world, "the output", done.stdout + done.stderr)
    return Result(done.returncode, done.stdout, done.stderr), key


def assert_whole(node, key):
    """Every promise about the header, by who reads it most strictly; and the pool opens by TPM and recovery key."""
    assert_done(zseal(node, "header", "verify", "tank"))
    lock(node, "tank")
    assert_opens(node, "tank")
    lock(node, "tank")
    assert_opens_with_key(node, "tank", key)


# ---- the slots of one machine ----

def test_added_slot_opens_alone(standing):
    done = assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "second"))
    assert "slot second of the keyring on tank is added, and was opened as a test" in done.stdout
    assert list(slots(standing)) == ["tpm2-a", "recovery", "second"]
    assert slots(standing)["second"]["tested"] > 0 and slots(standing)["second"]["pcrs"] == [7]
    assert generation(standing) == 2
    assert_done(zseal(standing, "slot", "remove", "tank", "tpm2-a"))
    lock(standing, "tank")
    assert "slot second" in assert_opens(standing, "tank").stdout
    assert_whole(standing, standing.tank.recovery_key)


def test_added_slot_is_in_the_copy_and_the_pin(standing):
    done = assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "second", "--json")).json
    assert done["generation"] == 2 and not done["dry_run"]
    assert "second" in json.loads(standing.path(done["copy"]).read_text())["slots"]
    assert [json.loads(line)["generation"] for line in
            standing.path("/etc/zseal/pins").read_text().splitlines()] == [2]


def test_slot_added_where_it_is_told_in_the_journal(standing):
    assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "second"))
    assert_done(zseal(standing, "slot", "remove", "tank", "second"))
    told = [(entry.get("ZSEAL_EVENT"), entry.get("ZSEAL_SLOT")) for entry in standing.journal()]
    assert ("slot-sealed", "second") in told and ("slot-removed", "second") in told


@pytest.mark.parametrize("argv, error, words", [
    (("tpm2", "--name", "tpm2-a"), "slot-exists", ["slot tpm2-a on tank"]),
    (("tpm2",), "slot-exists", ["slot tpm2-a on tank"]),
    (("recovery",), "no-input", ["--recovery-to-fd"]),
    (("tpm3",), "usage", ["no type of slot 'tpm3'"]),
    (("tpm2", "--name", "Bad Name"), "usage", ["a-z 0-9"]),
    (("tpm2", "--name", 64 * "x"), "usage", ["a-z 0-9"]),
    (("tpm2", "--pcrs", "24"), "usage", ["0 to 23"]),
    (("tpm2", "--handle", "0"), "usage", ["0x81"]),
    (("tpm2", "--name", "x", "--handle", "0x81000001"), "usage", ["0x81000001"]),
    (("tpm2", "--name", "x", "--pcrs", "16"), "tpm-bank", ["slot x"]),
])
@one_zfs
def test_add_refuses(standing, argv, error, words):
    assert_refused(zseal(standing, "slot", "add", "tank", *argv), error, "slot add to tank", *words)
    assert list(slots(standing)) == ["tpm2-a", "recovery"] and generation(standing) == 1
    assert_whole(standing, standing.tank.recovery_key)


@one_zfs
def test_dry_run_changes_nothing(standing):
    before = run(standing, "zfs", "get", "-Hp", "all", "tank"), sorted(standing.path("/var/lib/zseal").rglob("*"))
    for argv in (("add", "tank", "tpm2", "--name", "x", "--handle", HANDLE), ("reseal", "tank"),
                 ("remove", "tank", "recovery", "--no-recovery"), ("add", "tank", "tpm2", "--name", "y", "--json")):
        assert_done(zseal(standing, "slot", *argv, "--dry-run"))
    # what would be refused is refused
    assert_refused(zseal(standing, "slot", "remove", "tank", "tpm2-a", "--dry-run"), "slot-last", "tank")
    after = run(standing, "zfs", "get", "-Hp", "all", "tank"), sorted(standing.path("/var/lib/zseal").rglob("*"))
    slots_of = [[line for line in text.splitlines() if "zseal:" in line] for text in (before[0], after[0])]
    assert slots_of[0] == slots_of[1] and before[1] == after[1]
    assert HANDLE not in handles(standing)


def test_a_full_keyring_takes_no_more(standing):
    for i in range(30):
        assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", f"s{i}", "--pcrs", "none"))
    assert_refused(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "one-more"), "too-large", "32 slots")
    assert len(slots(standing)) == 32
    assert_whole(standing, standing.tank.recovery_key)


# ---- remove ----

@one_zfs
def test_remove_refuses_the_last_that_was_tested(standing):
    assert_refused(zseal(standing, "slot", "remove", "tank", "tpm2-a"), "slot-last", "tank")
    assert_done(zseal_with_key(standing, standing.tank.recovery_key, "slot", "test", "tank", "recovery"))
    assert_done(zseal(standing, "slot", "remove", "tank", "tpm2-a"))
    lock(standing, "tank")
    assert zseal(standing, "unlock", "tank").status == ERRORS["no-slot-opens"].status
    assert_opens_with_key(standing, "tank", standing.tank.recovery_key)
    assert_refused(zseal(standing, "slot", "remove", "tank", "recovery", "--no-recovery"), "no-slot-opens")
    assert_refused(zseal_with_key(standing, standing.tank.recovery_key, "slot", "remove", "tank", "recovery",
                                  "--no-recovery"), "slot-last")


@one_zfs
def test_remove_says_that_it_does_not_revoke(standing):
    assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "second"))
    assert "does not revoke" in assert_done(zseal(standing, "slot", "remove", "tank", "second")).stdout
    assert_refused(zseal(standing, "slot", "remove", "tank", "second"), "no-slot", "second")


@one_zfs
def test_recovery_key_goes_only_if_insisted(standing):
    assert_refused(zseal(standing, "slot", "remove", "tank", "recovery"), "slot-last", "--no-recovery")
    assert_done(zseal(standing, "slot", "remove", "tank", "recovery", "--no-recovery"))
    lock(standing, "tank")
    assert_refused(unlock_with_key(standing, standing.tank.recovery_key, "tank"), "no-slot-opens")
    assert_opens(standing, "tank")
    assert "renew" not in run(standing, "zfs", "get", "-H", "-o", "value", "zseal:slot.tpm2-a", "tank")
    done, key = with_new_key(standing, "slot", "add", "tank", "recovery")
    assert_done(done)
    assert "renew" in run(standing, "zfs", "get", "-H", "-o", "value", "zseal:slot.tpm2-a", "tank")
    assert_whole(standing, key)


# ---- reseal ----

def test_reseal_after_the_pcrs_changed(standing):
    key = standing.tank.recovery_key
    run(standing, *CHANGED_PCR)
    lock(standing, "tank")
    assert_refused(zseal(standing, "unlock", "tank"), "tpm-policy", "PCR 7")
    assert_refused(zseal(standing, "slot", "reseal", "tank"), "tpm-policy", "PCR 7")
    assert_done(zseal_with_key(standing, key, "slot", "reseal", "tank"))
    assert_opens(standing, "tank")
    assert slots(standing)["tpm2-a"]["pcrs"] == [7]
    assert_whole(standing, key)


@one_zfs
def test_reseal_after_the_tpm_was_cleared(standing):
    key = standing.tank.recovery_key
    run(standing, "tpm2_clear")
    assert_refused(zseal(standing, "slot", "test", "tank", "tpm2-a"), "tpm-cleared", "tpm2-a")
    assert_done(zseal_with_key(standing, key, "slot", "reseal", "tank", "tpm2-a"))
    assert_whole(standing, key)


def test_new_recovery_key(standing):
    old = standing.tank.recovery_key
    done, new = with_new_key(standing, "slot", "reseal", "tank", "recovery", old_key=old)
    assert_done(done)
    lock(standing, "tank")
    assert_refused(unlock_with_key(standing, old, "tank"), "recovery-wrong")
    assert_whole(standing, new)
    # the first one that it replaced gave a renew to every slot: so does this
    assert "renew" in run(standing, "zfs", "get", "-H", "-o", "value", "zseal:slot.tpm2-a", "tank")


@one_zfs
def test_a_keyring_has_one_recovery_key(standing):
    done, key = with_new_key(standing, "slot", "add", "tank", "recovery", "--name", "paper2")
    assert_refused(done, "slot-exists", "one recovery key")
    assert not key
    assert_whole(standing, standing.tank.recovery_key)


@one_zfs
def test_new_recovery_key_is_typed_back(standing):
    with Dialogue(standing, ["zseal", "slot", "reseal", "tank", "recovery"]) as person:
        key = person.expect("([cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}").group()
        for _ in range(2):
            group = int(person.expect(r"Type group (\d) ").group(1))
            person.type(key.split("-")[group - 1])
        assert_done(person.end())
    assert slots(standing)["recovery"]["tested"] > 0
    assert_whole(standing, key)


# ---- objects in the TPM ----

@one_zfs
def test_handle_goes_with_its_slot(standing):
    assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "kept", "--handle", HANDLE))
    first = run(standing, "tpm2_readpublic", "-c", HANDLE)
    assert_refused(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "other", "--handle", HANDLE),
                   "tpm-handle-taken", HANDLE)
    assert_done(zseal(standing, "slot", "reseal", "tank", "kept"))
    assert run(standing, "tpm2_readpublic", "-c", HANDLE) != first
    assert slots(standing)["kept"]["handle"] == int(HANDLE, 16)
    assert_done(zseal(standing, "slot", "remove", "tank", "kept"))
    assert HANDLE not in handles(standing)


@one_zfs
def test_what_others_keep_at_the_handle_stays(standing):
    assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "kept", "--handle", HANDLE))
    run(standing, "tpm2_evictcontrol", "-C", "o", "-c", HANDLE)
    run(standing, "bash", "-c", "tpm2_createprimary -C o -G ecc -c /tmp/o && tpm2_evictcontrol -C o -c /tmp/o " + HANDLE)
    theirs = run(standing, "tpm2_readpublic", "-c", HANDLE)
    done = assert_done(zseal(standing, "slot", "remove", "tank", "kept"))
    assert "slot kept: its object may still be in its TPM" in done.stderr
    assert run(standing, "tpm2_readpublic", "-c", HANDLE) == theirs


@one_zfs
def test_slots_are_removed_without_a_tpm(standing):
    """What may be left in it is told of slots that have something there, and of no others."""
    assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "kept", "--handle", HANDLE))
    assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "plain"))
    standing.tpm.off()
    done = assert_done(zseal_with_key(standing, standing.tank.recovery_key, "slot", "remove", "tank", "plain"))
    assert not done.stderr
    done = assert_done(zseal_with_key(standing, standing.tank.recovery_key, "slot", "remove", "tank", "kept"))
    assert "slot kept: its object may still be in its TPM" in done.stderr


# ---- test ----

@one_zfs
def test_slot_test_loads_nothing(standing):
    lock(standing, "tank")
    done = assert_done(zseal(standing, "slot", "test", "tank"))
    assert "slot tpm2-a: opens the keyring" in done.stdout and "slot recovery: not tested" in done.stdout
    assert is_locked(standing, "tank")
    assert_refused(zseal(standing, "slot", "test", "tank", "recovery"), "no-input", "slot recovery")
    assert_refused(zseal(standing, "slot", "test", "tank", "nope"), "no-slot", "nope")
    done = assert_done(zseal_with_key(standing, standing.tank.recovery_key, "slot", "test", "tank", "--json")).json
    assert {slot["name"]: slot["result"] for slot in done["slots"]} == {"tpm2-a": "opens", "recovery": "opens"}


@one_zfs
def test_slot_test_tells_what_is_wrong_once(standing):
    run(standing, *CHANGED_PCR)
    done = zseal(standing, "slot", "test", "tank")
    assert_refused(done, "tpm-policy", "PCR 7")
    assert done.stderr.count(ERRORS["tpm-policy"].sentence) == 1


# ---- a cluster ----

def test_each_node_has_its_own_slot(standing):
    world, a, key = standing.world, standing, standing.tank.recovery_key
    b = world.node("b")
    run(a, "zpool", "export", "tank")
    run(b, "zpool", "import", "-d", "/mnt", "-N", "tank")
    assert_refused(zseal(b, "slot", "add", "tank", "tpm2"), "pin-missing")
    assert_done(zseal_with_key(b, key, "slot", "add", "tank", "tpm2"))
    assert list(slots(b)) == ["tpm2-a", "recovery", "tpm2-b"]
    assert_refused(zseal(b, "slot", "reseal", "tank", "tpm2-a"), "tpm-not-mine", "slot tpm2-a")
    assert "slot tpm2-a: another machine's" in assert_done(zseal(b, "slot", "test", "tank")).stdout
    assert "slot tpm2-b" in assert_opens(b, "tank").stdout
    run(b, "zpool", "export", "tank")
    run(a, "zpool", "import", "-d", "/mnt", "-N", "tank")
    assert "slot tpm2-a" in assert_opens(a, "tank").stdout
    assert_done(zseal(a, "slot", "remove", "tank", "tpm2-b"))
    assert_whole(a, key)


# ---- bad days ----

@one_zfs
def test_a_header_that_is_not_whole_is_not_changed(standing):
    value = run(standing, "zfs", "get", "-H", "-o", "value", "zseal:slot.recovery", "tank").strip()
    run(standing, "zfs", "set", "zseal:slot.copied=" + value, "tank")
    for argv in (("add", "tank", "tpm2", "--name", "x"), ("reseal", "tank"), ("remove", "tank", "tpm2-a")):
        assert_refused(zseal(standing, "slot", *argv), "mac", "tank")
    run(standing, "zfs", "inherit", "zseal:slot.copied", "tank")
    assert_whole(standing, standing.tank.recovery_key)


@one_zfs
def test_a_header_that_was_rolled_back_is_not_changed(standing):
    old = {name: run(standing, "zfs", "get", "-H", "-o", "value", name, "tank").strip()
           for name in ("zseal:keyring", "zseal:slot.tpm2-a")}
    assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "x"))
    run(standing, "zfs", "inherit", "zseal:slot.x", "tank")
    for name, value in old.items():
        run(standing, "zfs", "set", f"{name}={value}", "tank")
    assert_refused(zseal(standing, "slot", "add", "tank", "tpm2", "--name", "y"), "pin-rollback", "generation 1")


@one_zfs
def test_read_only_pool(standing):
    run(standing, "zpool", "export", "tank")
    run(standing, "zpool", "import", "-d", "/mnt", "-N", "-o", "readonly=on", "tank")
    for argv in (("add", "tank", "tpm2", "--name", "x"), ("reseal", "tank"), ("remove", "tank", "tpm2-a")):
        assert_refused(zseal(standing, "slot", *argv), "zfs-readonly", "tank")
    assert_done(zseal(standing, "slot", "test", "tank"))


@one_zfs
def test_no_room_for_the_copy(standing):
    folder = standing.path("/var/lib/zseal/header")
    run(standing, "mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=2", "none", "/var/lib/zseal/header")
    assert folder.exists()
    done = zseal(standing, "slot", "add", "tank", "tpm2", "--name", "x", "--handle", HANDLE)
    assert_refused(done, "io", "tank")
    run(standing, "umount", "/var/lib/zseal/header")
    assert HANDLE not in handles(standing) and generation(standing) == 1
    assert_whole(standing, standing.tank.recovery_key)


@pytest.mark.parametrize("verb", ["add", "reseal", "remove", "test"])
@one_zfs
def test_nobody_but_root(standing, verb):
    arguments = {"add": ["tpm2"], "remove": ["tpm2-a"]}.get(verb, [])
    done = standing.run(["setpriv", "--reuid=65534", "--clear-groups", "zseal", "slot", verb, "tank", *arguments])
    assert_refused(Result(done.returncode, done.stdout, done.stderr), "not-root")


@one_zfs
def test_json_errors(standing):
    assert_refused_json(zseal(standing, "slot", "remove", "tank", "nope", "--json"), "no-slot", "nope")


def test_many_at_once(standing):
    """Each is done whole, or not at all and says so."""
    names = [f"s{i}" for i in range(4)]
    running = [standing.popen(["zseal", "slot", "add", "tank", "tpm2", "--name", name], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True) for name in names]
    added = set()
    for name, process in zip(names, running):
        stdout, stderr = process.communicate(timeout=120)
        if process.returncode == 0:
            added.add(name)
        else:
            assert_refused(Result(process.returncode, stdout, stderr), "zfs-raced", "tank")
    assert added and set(slots(standing)) == added | {"tpm2-a", "recovery"}
    assert generation(standing) == 1 + len(added)
    for name in set(names) - added:
        assert_done(zseal(standing, "slot", "add", "tank", "tpm2", "--name", name))
    assert_whole(standing, standing.tank.recovery_key)


# ---- killed anywhere ----

CHANGES = {
    "add": (("add", "tank", "tpm2", "--name", "x", "--handle", HANDLE), "slot-exists"),
    "reseal": (("reseal", "tank", "kept"), None),
    "remove": (("remove", "tank", "kept"), "no-slot"),
}


def make_ready(node, change):
    """So that the change can be made again; what an earlier one has left does not stand in its way."""
    there = slots(node)
    if change == "add" and "x" in there:
        assert_done(zseal(node, "slot", "remove", "tank", "x"))
    if change != "add" and "kept" not in there:
        assert_done(zseal(node, "slot", "add", "tank", "tpm2", "--name", "kept", "--handle", HANDLE))


@needs_strace
@pytest.mark.parametrize("change", CHANGES)
@one_zfs
def test_killed_anywhere(standing, change):
    argv, when_done = CHANGES[change]
    make_ready(standing, change)
    steps, ended = steps_of(standing, ["zseal", "slot", *argv])
    assert ended.status == 0, ended
    outcomes, killed, tried = set(), 0, chosen(steps, 16)
    for step in tried:
        make_ready(standing, change)
        before = generation(standing)
        ended = run_with_signal(standing, ["zseal", "slot", *argv], step, "SIGKILL")
        wait_for_end([pid for name in ("zseal", "zpool", "zfs") for pid in programs(standing, name)])
        written = generation(standing) > before
        outcomes.add(written)
        lock(standing, "tank")
        assert_opens(standing, "tank")
        assert_done(zseal(standing, "slot", "test", "tank"))
        again = zseal(standing, "slot", *argv)
        if written and when_done:
            assert_refused(again, when_done)
        else:
            assert_done(again)
        # how often it waits differs a little from run to run: a step near the end may not come
        assert ended.status in (0, -signal.SIGKILL) and (written or ended.status), step
        killed += ended.status == -signal.SIGKILL
        assert_done(zseal(standing, "header", "verify", "tank"))
        there = slots(standing)
        assert (HANDLE in handles(standing)) == ("x" in there or "kept" in there), f"{step}: handle and header differ"
    count("kills", tried=killed, survived=killed)
    assert killed > len(tried) * 3 // 4
    assert outcomes == {True, False}, "the kills were all before or all after"
    assert_whole(standing, standing.tank.recovery_key)


@needs_strace
@one_zfs
def test_zfs_ends_after_the_write(standing):
    """What cannot be read back was written all the same: nothing of it is taken back."""
    argv, _ = CHANGES["add"]
    make_ready(standing, "add")
    steps, ended = steps_of(standing, ["zseal", "slot", *argv])
    assert ended.status == 0
    make_ready(standing, "add")
    reading_back = [step for step in steps if step.call == "clone"][-2]
    ended, paused = run_with_pause(standing, ["zseal", "slot", *argv], reading_back, standing.engine.kill)
    assert paused
    standing.engine.start()
    assert_refused(Result(*ended), "unfinished", "tank", "could not be read back")
    assert "x" in slots(standing) and HANDLE in handles(standing)
    assert_refused(zseal(standing, "slot", *argv), "slot-exists")
    assert_opens(standing, "tank")
    assert_whole(standing, standing.tank.recovery_key)


@needs_strace
@pytest.mark.parametrize("change", CHANGES)
@one_zfs
def test_interrupted_anywhere(standing, change):
    argv, _ = CHANGES[change]
    make_ready(standing, change)
    steps, ended = steps_of(standing, ["zseal", "slot", *argv])
    assert ended.status == 0
    outcomes = set()
    for step in chosen(steps, 6):
        make_ready(standing, change)
        before, had = generation(standing), handles(standing)
        ended = run_with_signal(standing, ["zseal", "slot", *argv], step, "SIGTERM")
        outcomes.add(ended.status)
        if ended.status == EXIT_STATUS["interrupted"]:
            assert generation(standing) == before and handles(standing) == had, f"{step}: half-done"
        else:
            assert ended.status == 0 and generation(standing) == before + 1, ended
    assert EXIT_STATUS["interrupted"] in outcomes
    assert_whole(standing, standing.tank.recovery_key)
