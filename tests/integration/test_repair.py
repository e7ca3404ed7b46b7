# SPDX-License-Identifier: MIT
"""repair: a header that was vandalised, cut off, rolled back or half lost is whole again; nothing is left out silently."""
import json
import os
import subprocess
import uuid

import pytest

import headers
from conftest import (ERRORS, EXIT_STATUS, Result, assert_done, assert_nothing_secret, assert_opens,
                      assert_opens_with_key, assert_refused, assert_refused_json, assert_said, create_pool, lock,
                      new_world, one_zfs, run, zseal, zseal_at_terminal, zseal_with_key)
from figures import count
from steps import chosen, needs_strace, programs, run_with_signal, steps_of, wait_for_end

KEYRING, SLOT, RECOVERY, KEY = "zseal:keyring", "zseal:slot.tpm2-a", "zseal:slot.recovery", "zseal:key"
NOTHING = "nothing is wrong with the header of tank\n"


@pytest.fixture
def tank(node):
    """A pool with a second root, whose copy is kept; locked."""
    made = create_pool(node)
    headers.add_root(node, made, "tank/a")
    assert_done(zseal(node, "header", "backup", "tank"))
    lock(node, "tank")
    return made


def keyring_status(node):
    (keyring,) = assert_done(zseal(node, "status", "--json", "tank")).json["keyrings"]
    return keyring


def assert_whole(node, tank):
    """By each slot, each root; and every verb agrees."""
    for opens in (assert_opens, lambda *argv: assert_opens_with_key(*argv, tank.recovery_key)):
        lock(node, "tank")
        opens(node, "tank")
    assert_done(zseal(node, "header", "verify", "tank"))
    status = keyring_status(node)
    assert "error" not in status and status["known"]
    again = assert_done(zseal(node, "repair", "tank"))
    assert again.stdout.endswith(NOTHING), again
    assert keyring_status(node)["generation"] == status["generation"]
    lock(node, "tank")


def forget_copies(node):
    run(node, "rm", "-rf", "/var/lib/zseal/header")


def hide_history(node):
    """As of a pool that was not made by zseal, when years have passed."""
    real = run(node, "sh", "-c", "command -v zpool").strip()
    node.path("/run/zpool").write_text('#!/bin/sh\n[ "$1" = history ] || exec /run/real/zpool "$@"\n')
    run(node, "sh", "-c", f"mkdir -p /run/real && cp {real} /run/real/zpool && chmod 755 /run/zpool && "
        f"mount --bind /run/zpool {real}")


# ---- what was damaged comes back ----

def other_ring(node, change):
    """The keyring's property with its ring changed, and the old MAC."""
    def apply(keyring):
        change(keyring["rings"][0]["ring"])
    return headers.changed(headers.get(node, "tank", KEYRING), apply)


DAMAGE = {
    "slot lost": lambda node: headers.put(node, "tank", SLOT, None),
    "slot damaged": lambda node: headers.put(node, "tank", SLOT, headers.get(node, "tank", SLOT)[:-5]),
    "slot of a vandal": lambda node: headers.put(node, "tank", SLOT, headers.changed(
        headers.get(node, "tank", SLOT), lambda slot: slot.update(created=1))),
    "both slots lost": lambda node: [headers.put(node, "tank", name, None) for name in (SLOT, RECOVERY)],
    "keyring lost": lambda node: headers.put(node, "tank", KEYRING, None),
    "keyring and a slot lost": lambda node: [headers.put(node, "tank", name, None) for name in (KEYRING, SLOT)],
    "keyring damaged": lambda node: headers.put(node, "tank", KEYRING, "{}"),
    "fingerprint changed": lambda node: headers.put(node, "tank", KEYRING, other_ring(
        node, lambda ring: ring.update(fingerprint=headers.second.b64(bytes(32))))),
    "recovery key changed": lambda node: headers.put(node, "tank", KEYRING, other_ring(
        node, lambda ring: ring.update(recovery_public=headers.second.b64(bytes(31) + b"\1")))),
    "order changed": lambda node: headers.put(node, "tank", KEYRING, other_ring(
        node, lambda ring: ring.update(order=["recovery"]))),
    "generation as high as it goes": lambda node: headers.put(node, "tank", KEYRING, other_ring(
        node, lambda ring: ring.update(generation=2**32 - 1))),
    "record lost": lambda node: headers.put(node, "tank/a", KEY, None),
    "record damaged": lambda node: headers.put(node, "tank/a", KEY, "x"),
    "record of another root": lambda node: headers.put(node, "tank/a", KEY, headers.get(node, "tank", KEY)),
    "all lost": lambda node: [headers.put(node, *what, None) for what in (
        ("tank", KEYRING), ("tank", SLOT), ("tank", RECOVERY), ("tank", KEY), ("tank/a", KEY))],
}


@pytest.mark.parametrize("copies", ["copy", "history"])
@one_zfs
def test_each_damage_is_repaired(node, tank, copies):
    """With the machine's copies, and without them out of the pool's history."""
    whole = headers.read(node)
    for what, damage in DAMAGE.items():
        if copies == "history" and what not in ("slot damaged", "keyring lost", "record of another root", "all lost"):
            continue
        damage(node)
        damaged = headers.read(node) if headers.get(node, "tank", KEYRING) else None
        if copies == "history":
            forget_copies(node)
        seen = assert_done(zseal(node, "repair", "tank", "--dry-run"))
        assert "nothing was written" in seen.stdout and " from " in seen.stdout, what
        assert damaged is None or headers.read(node) == damaged, what
        result = assert_done(zseal(node, "repair", "tank", "--json"))
        assert result.json["roots"][1]["dataset"] == "tank/a", what
        now = headers.read(node)
        assert (now.slots, now.records) == (whole.slots, whole.records), what
        ring, before = (json.loads(header.keyring)["rings"][0]["ring"] for header in (now, whole))
        assert {**ring, "generation": 0} == {**before, "generation": 0}, what
        lock(node, "tank")
        assert_opens(node, "tank")
        lock(node, "tank")
    assert_whole(node, tank)


def test_repair_on_each_zfs_and_of_what_is_whole(node, tank):
    result = assert_done(zseal(node, "repair", "tank"))
    assert result.stdout.endswith(NOTHING) and "tank/a: its record opens it" in result.stdout
    assert keyring_status(node)["generation"] == 1
    headers.put(node, "tank", SLOT, "x")
    forget_copies(node)
    assert_refused(zseal(node, "slot", "test", "tank"), "format", status=6)
    result = assert_done(zseal(node, "repair", "tank"))
    assert "slot tpm2-a comes back from the history of pool tank" in result.stdout
    assert "slot recovery stays: it is as in the history of pool tank" in result.stdout
    assert "the header of tank is whole, in generation 2" in result.stdout
    assert_whole(node, tank)


@one_zfs
def test_a_root_that_no_record_opens(node, tank):
    """The others are as they should be; what cannot be mended is said."""
    headers.put(node, "tank/a", KEY, headers.get(node, "tank", KEY))
    forget_copies(node)
    hide_history(node)
    result = zseal(node, "repair", "tank")
    assert_refused(result, "partial", "1 of 2 encryption roots have no record that opens them")
    assert "tank/a: NO record opens it" in result.stdout and "nothing is wrong" not in result.stdout
    assert ERRORS["zfs-key-wrong"].sentence in result.stderr
    assert zseal_with_key(node, tank.recovery_key, "recover", "tank", "--yes").status == ERRORS["partial"].status
    assert keyring_status(node)["generation"] == 1


@one_zfs
def test_a_stray_is_no_slot_for_anybody_and_repair_removes_it(node, tank):
    for value in ("x", headers.changed(headers.get(node, "tank", SLOT),
                                       lambda slot: slot.update(keyring=str(uuid.uuid4())))):
        headers.put(node, "tank", "zseal:slot.odd", value)
        assert ERRORS["slot-stray"].sentence in zseal(node, "status").stdout
        assert_said(assert_done(zseal(node, "header", "verify", "tank")).stderr, "slot-stray", "odd")
        assert "odd" not in assert_opens(node, "tank").stderr
        lock(node, "tank")
        result = assert_done(zseal(node, "repair", "tank"))
        assert "slot odd is no slot of this keyring, and is removed" in result.stdout
        assert headers.get(node, "tank", "zseal:slot.odd") is None
        assert_whole(node, tank)


# ---- what nothing vouches for ----

def add_unknown(node, name="odd"):
    """A slot of this keyring that a vandal made of another one."""
    headers.put(node, "tank", f"zseal:slot.{name}", headers.changed(
        headers.get(node, "tank", RECOVERY), lambda slot: slot.update(uuid=str(uuid.uuid4()))))


@one_zfs
def test_unknown_slots_go_only_by_name(node, tank):
    add_unknown(node)
    add_unknown(node, "odder")
    before = headers.read(node)
    result = zseal(node, "repair", "tank")
    assert_refused(result, "slot-unknown", "slot odd")
    assert "slot odd nothing vouches for it" in result.stdout
    assert_refused(zseal(node, "repair", "tank", "--drop", "tpm2-a"), "no-slot", "slot tpm2-a")
    assert_refused(zseal(node, "repair", "tank", "--drop", "odd"), "slot-unknown", "slot odder")
    assert headers.read(node) == before
    result = assert_done(zseal(node, "repair", "tank", "--drop", "odd", "--drop", "odder"))
    assert "slot odd nothing vouches for it; it is left out" in result.stdout
    assert set(headers.read(node).slots) == {"tpm2-a", "recovery"}
    assert_whole(node, tank)


@one_zfs
def test_json_of_a_refusal(node, tank):
    add_unknown(node)
    assert_refused_json(zseal(node, "repair", "tank", "--json"), "slot-unknown", "odd")
    result = assert_done(zseal(node, "repair", "tank", "--json", "--drop-unknown"))
    judged = {slot["name"]: (slot["judgement"], slot["dropped"]) for slot in result.json["slots"]}
    assert judged == {"tpm2-a": ("as-copy", False), "recovery": ("as-copy", False), "odd": ("unknown", True)}
    assert result.json["generation"] == 2
    assert_whole(node, tank)


@one_zfs
def test_a_person_is_asked_for_each(node, tank):
    add_unknown(node)
    before = headers.read(node)
    with zseal_at_terminal(node, "repair", "tank") as person:
        person.expect("Leave slot odd out for good")
        person.type("no")
        result = person.end()
    assert result.status == ERRORS["slot-unknown"].status and ERRORS["slot-unknown"].sentence in result.stdout
    assert headers.read(node) == before
    with zseal_at_terminal(node, "repair", "tank") as person:
        person.expect("Leave slot odd out for good")
        person.type("yes")
        assert_done(person.end())
    assert_whole(node, tank)


@one_zfs
def test_without_any_copy_what_opens_or_the_recovery_key_vouches_for_stays(node, tank):
    forget_copies(node)
    hide_history(node)
    add_unknown(node)
    # nothing vouches for whose the recovery key is, nor for its slot: this machine's TPM opens its own alone
    result = zseal(node, "repair", "tank")
    assert_refused(result, "slot-unknown", "slot odd")
    assert "slot tpm2-a stays: it opened the keyring here and now" in result.stdout
    assert_refused(zseal(node, "repair", "tank", "--drop", "odd", "--drop", "recovery"), "slot-unknown", "--recovery")
    result = assert_done(zseal_with_key(node, tank.recovery_key, "repair", "tank", "--drop", "odd"))
    assert "slot recovery stays: it opened the keyring here and now" in result.stdout
    assert set(headers.read(node).slots) == {"tpm2-a", "recovery"}
    assert_whole(node, tank)


@one_zfs
def test_renew_vouches_for_another_machines_slot(node, tank):
    other = node.world.node("b")
    node.stop()
    run(other, "zpool", "import", "-f", "tank")
    hide_history(other)
    headers.put(other, "tank", "zseal:slot.odd", headers.changed(
        headers.get(other, "tank", RECOVERY), lambda slot: slot.update(uuid=str(uuid.uuid4()))))
    result = assert_done(zseal_with_key(other, tank.recovery_key, "repair", "tank", "--drop", "odd"))
    assert "slot tpm2-a stays: the recovery key vouches for it" in result.stdout
    run(other, "zpool", "export", "tank")
    node.start()
    run(node, "zpool", "import", "-f", "tank")
    assert_opens(node, "tank")


# ---- older, unfinished ----

@one_zfs
def test_rolled_back_header_comes_up_again(node, tank):
    old = headers.read(node)
    assert_done(zseal(node, "slot", "add", "tank", "tpm2", "--name", "x"))
    assert_done(zseal(node, "slot", "reseal", "tank", "tpm2-a"))
    new = headers.read(node)
    removed = dict(new.slots)
    assert_done(zseal(node, "slot", "remove", "tank", "x"))
    new = headers.read(node)
    headers.write(node, old)
    headers.put(node, "tank", "zseal:slot.x", removed["x"])
    result = zseal(node, "repair", "tank")
    assert_refused(result, "slot-unknown", "slot x")
    assert "slot x was put back after it was removed" in result.stdout
    assert_done(zseal(node, "repair", "tank", "--drop", "x"))
    now = headers.read(node)
    assert now.slots == new.slots and keyring_status(node)["generation"] == 5
    assert_whole(node, tank)


@one_zfs
def test_rolled_back_without_a_copy_of_what_was(node, tank):
    assert_done(zseal(node, "slot", "reseal", "tank", "tpm2-a"))
    hide_history(node)
    forget_copies(node)
    pins = node.path("/etc/zseal/pins")
    pins.write_text(pins.read_text().replace('"generation":2', '"generation":7'))
    before = headers.read(node)
    assert_refused(zseal(node, "repair", "tank"), "pin-rollback", "generation 2", "--accept-older")
    assert headers.read(node) == before
    assert "older than one that was seen" in assert_done(zseal(node, "repair", "tank", "--accept-older")).stdout
    assert keyring_status(node)["generation"] == 8
    assert_whole(node, tank)


@one_zfs
def test_a_change_that_was_cut_off_is_taken_back(node, tank):
    """Its copy is one generation ahead, which verify does not take for damage."""
    old, pins = headers.read(node), node.path("/etc/zseal/pins").read_text()
    hide_history(node)  # which has what came to be in this test, and would not have
    assert_done(zseal(node, "slot", "reseal", "tank", "tpm2-a"))
    headers.write(node, old)
    node.path("/etc/zseal/pins").write_text(pins)
    ahead = node.path(f"/var/lib/zseal/header/{tank.keyring}/2")
    assert ahead.exists()
    assert_done(zseal(node, "header", "verify", "tank"))
    status = assert_done(zseal(node, "status")).stdout
    assert "a change to generation 2" in status and "was cut off" in status
    assert "a change to generation 2 was cut off: it is taken back" in assert_done(
        zseal(node, "repair", "tank", "--dry-run")).stdout
    assert ahead.exists()
    assert "a change to generation 2 was cut off: it is taken back" in assert_done(zseal(node, "repair", "tank")).stdout
    assert not ahead.exists() and headers.read(node) == old
    assert "was cut off" not in assert_done(zseal(node, "status")).stdout
    assert_whole(node, tank)


@one_zfs
def test_what_this_machine_remembers_shows(node, tank):
    """A pool that is not imported; and what a create that was killed has left goes with the next write."""
    pins = node.path("/etc/zseal/pins")
    (line,) = pins.read_text().splitlines()
    guid = json.loads(line)["pool_guid"]
    left = [line.replace(guid, "0").replace(tank.keyring, str(uuid.uuid4())).replace('"pool":"tank"', f'"pool":"{name}"')
            for name in ("tank", "later")]
    pins.write_text("\n".join([line, *left]) + "\n")
    run(node, "zpool", "export", "tank")
    assert f"pool tank (guid {guid}) is not imported" in assert_done(zseal(node, "status")).stdout
    assert assert_done(zseal(node, "status", "--json")).json["absent"] == [
        {"pool": "tank", "pool_guid": guid, "keyring": tank.keyring}]
    run(node, "zpool", "import", "-d", "/mnt", "tank")
    assert "not imported" not in assert_done(zseal(node, "status")).stdout
    headers.put(node, "tank", SLOT, None)
    assert_done(zseal(node, "repair", "tank"))
    now = [json.loads(line) for line in pins.read_text().splitlines()]
    assert [(pin["pool"], pin["pool_guid"], pin["generation"]) for pin in now] == [("tank", guid, 2), ("later", "0", 1)]
    assert_whole(node, tank)


# ---- bad days ----

def damage(node):
    headers.put(node, "tank", SLOT, None)
    headers.put(node, "tank/a", KEY, None)


@one_zfs
def test_wrong_and_mistyped_recovery_key(node, tank):
    other = create_pool(node, "other", 2)
    damage(node)
    before = headers.read(node)
    assert_refused(zseal_with_key(node, other.recovery_key, "repair", "tank"), "recovery-wrong", "tank", "recovery")
    slip = tank.recovery_key[:7] + tank.recovery_key[8] + tank.recovery_key[7] + tank.recovery_key[9:]
    if slip != tank.recovery_key:
        assert_refused(zseal_with_key(node, slip, "repair", "tank"), "recovery-typo", "group 2")
    assert headers.read(node) == before
    assert_done(zseal_with_key(node, tank.recovery_key, "repair", "tank"))
    assert_whole(node, tank)


@pytest.mark.parametrize("accident,error", [("off", "tpm-missing"), ("clear", "tpm-cleared"),
                                            ("change_boot_chain", "tpm-policy")])
@one_zfs
def test_tpm_that_does_not_open(node, tank, accident, error):
    damage(node)
    before = headers.read(node)
    getattr(node.tpm, accident)()
    assert_refused(zseal(node, "repair", "tank"), error, "tank", "tpm2-a", status=ERRORS[error].status)
    assert headers.read(node) == before
    result = assert_done(zseal_with_key(node, tank.recovery_key, "repair", "tank"))
    assert "slot tpm2-a comes back" in result.stdout and "slot recovery stays" in result.stdout
    assert_opens_with_key(node, "tank", tank.recovery_key)
    assert_done(zseal_with_key(node, tank.recovery_key, "header", "verify", "tank"))


@one_zfs
def test_read_only_pool(node, tank):
    damage(node)
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-d", "/mnt", "-o", "readonly=on", "tank")
    assert_refused(zseal(node, "repair", "tank"), "zfs-readonly", "tank")
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-d", "/mnt", "tank")
    assert_done(zseal(node, "repair", "tank"))
    assert_whole(node, tank)


def fill(node):
    """Until ZFS takes nothing more, not even one property."""
    run(node, "zfs", "create", "tank/ballast")
    for many in 30, 1:
        done = None
        for number in range(1000):
            values = [f"fill:{many}.{number}.{i}={os.urandom(4000).hex()}" for i in range(many)]
            done = node.run(["zfs", "set", *values, "tank/ballast"])
            if done.returncode != 0:
                break
        assert "out of space" in done.stderr


@one_zfs
def test_full_pool(zfs):
    with new_world(zfs, disks=1, disk_size="64M") as world:
        node = world.node("a")
        tank = create_pool(node)
        headers.put(node, "tank", SLOT, None)
        fill(node)
        before = headers.read(node)
        assert_refused(zseal(node, "repair", "tank"), "zfs-full", "tank")
        assert headers.read(node) == before
        assert [path.name for path in node.path(f"/var/lib/zseal/header/{tank.keyring}").iterdir()] == ["1"]
        lock(node, "tank")
        assert_opens_with_key(node, "tank", tank.recovery_key)
        run(node, "zfs", "destroy", "tank/ballast")
        assert_done(zseal(node, "repair", "tank"))
        assert_whole(node, tank)


@one_zfs
def test_header_of_another_keyring_in_its_place(node, tank):
    """Pool, header and key exchanged together are a matter for the pin; a header alone is brought back."""
    other = create_pool(node, "other", 2)
    before = headers.read(node)
    foreign = headers.read(node, "other")
    headers.write(node, headers.Header("tank", foreign.keyring, foreign.slots, {"tank": foreign.records["other"]}))
    result = zseal(node, "repair", "tank")
    assert result.status == 1 or result.status == 0, result
    if result.status:
        # the foreign keyring opens by this machine's TPM, but none of its records opens anything here
        assert "NO record opens it" in result.stdout or "opens nothing" in result.stderr
    assert_done(zseal(node, "header", "restore", "tank", "--from",
                      f"/var/lib/zseal/header/{tank.keyring}/1"))
    assert_done(zseal(node, "repair", "tank"))
    now = headers.read(node)
    assert now.slots == before.slots and now.records == before.records
    assert_whole(node, tank)
    assert_opens(node, other.name)


@one_zfs
def test_two_at_once(node, tank):
    damage(node)
    running = [node.popen(["zseal", "repair", "tank"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
               for _ in range(3)]
    done = 0
    for process in running:
        stdout, stderr = process.communicate(timeout=120)
        done += process.returncode == 0
        if process.returncode:
            assert_refused(Result(process.returncode, stdout, stderr), "zfs-raced", "tank")
    assert done >= 1
    assert_whole(node, tank)


@one_zfs
def test_refusals_of_the_command_line(node, tank):
    assert_refused(zseal(node, "repair", "nowhere"), "zfs-not-found", "nowhere")
    assert_refused(zseal(node, "repair", "tank", "--from", "/run/none"), "no-copy", "/run/none")
    done = node.run(["setpriv", "--reuid=65534", "--clear-groups", "zseal", "repair", "tank"])
    assert_refused(Result(done.returncode, done.stdout, done.stderr), "not-root")
    run(node, "zpool", "create", "-O", "mountpoint=none", "plain", node.world.disk(2))
    headers.create_root(node, "plain/foreign", b"\7" * 32)
    assert_refused(zseal(node, "repair", "plain/foreign"), "no-copy", "plain/foreign")
    assert_whole(node, tank)


@needs_strace
@one_zfs
def test_killed_anywhere(node, tank):
    argv = ["zseal", "repair", "tank"]
    damage(node)
    steps, ended = steps_of(node, argv)
    assert ended.status == 0, ended
    for step in chosen(steps, 10):
        damage(node)
        ended = run_with_signal(node, argv, step, "SIGKILL")
        wait_for_end([pid for name in ("zseal", "zpool", "zfs") for pid in programs(node, name)])
        assert_nothing_secret(node.world, "the output", ended.stdout + ended.stderr)
        assert zseal_with_key(node, tank.recovery_key, "unlock", "tank").status in (0, 1)
        lock(node, "tank")
        assert_done(zseal(node, "status"))
        assert_done(zseal(node, *argv[1:]))
        lock(node, "tank")
        assert_opens(node, "tank")
        lock(node, "tank")
        count("kills", tried=1, survived=1)
    assert_whole(node, tank)


@needs_strace
@one_zfs
def test_interrupted_anywhere(node, tank):
    """It says that it was, or is done all the same; never something between."""
    argv = ["zseal", "repair", "tank"]
    damage(node)
    steps, ended = steps_of(node, argv)
    assert ended.status == 0, ended
    outcomes = set()
    for step in chosen(steps, 6):
        damage(node)
        ended = run_with_signal(node, argv, step, "SIGTERM")
        outcomes.add(ended.status)
        assert ended.status in (0, EXIT_STATUS["interrupted"]), (step, ended)
        assert zseal_with_key(node, tank.recovery_key, "unlock", "tank").status in (0, 1)
        lock(node, "tank")
        assert_done(zseal(node, *argv[1:]))
        assert_whole(node, tank)
        count("interruptions", tried=1, survived=1)
    assert EXIT_STATUS["interrupted"] in outcomes


@one_zfs
def test_engine_killed(node, tank):
    """As the write is made: what is there afterwards is the old header or the new one."""
    damage(node)
    node.engine.kill()
    result = zseal(node, "repair", "tank")
    assert result.status not in (0, 70), result
    node.engine.start()
    assert_done(zseal(node, "repair", "tank"))
    assert_whole(node, tank)
