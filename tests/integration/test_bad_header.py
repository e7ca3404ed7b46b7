# SPDX-License-Identifier: MIT
"""Properties that anybody with a right on the dataset may have written: each bad one is named, spoils only itself, and
the header comes back from its copy."""
import json

import pytest

import headers
from conftest import (ERRORS, assert_done, assert_opens, assert_opens_with_key, assert_refused, assert_said,
                      create_pool, is_locked, lock, one_zfs, run, unlock_with_key, zseal, zseal_with_key)

KEYRING, SLOT, KEY = "zseal:keyring", "zseal:slot.tpm2-a", "zseal:key"


@pytest.fixture
def tank(node):
    made = create_pool(node)
    lock(node, "tank")
    return made


def lock_by_zfs(node, dataset="tank"):
    run(node, "zfs", "unload-key", dataset)


# ---- one value at a time: what is wrong with it, the error that it gives, and a word of where ----

def twice(text):
    """The first member of the object again, at its end."""
    first = text[1:text.index(",")]
    return text[:-1] + "," + first + "}"


DAMAGES = {
    "empty": (lambda text: "", "format", "cut off at byte 0"),
    "cut off": (lambda text: text[:100], "format", "cut off at byte 100"),
    "cut off before its end": (lambda text: text[:-1], "format", "cut off"),
    "as large as ZFS takes": (lambda text: text[:-1] + " " * (8191 - len(text)) + "}", "format", ""),
    "of the next version": (lambda text: text.replace('"v":1', '"v":2', 1), "format-newer", "version 2"),
    "with an unknown member": (lambda text: text.replace('"v":1', '"v":1,"x":1', 1), "format", 'unknown member "x"'),
    "with a member of the wrong type": (lambda text: text.replace('"created":', '"created":true,"c":', 1), "format",
                                        "created"),
    "with a number as text": (lambda text: text.replace('"v":1', '"v":"1"', 1), "format", '"v"'),
    "with a member twice": (twice, "format", ""),
    "with a member missing": (lambda text: headers.changed(text, lambda v: v.pop("v")), "format", '"v"'),
    "with a real number": (lambda text: text.replace('"v":1', '"v":1.0', 1), "format", ""),
    "with blanks": (lambda text: text.replace(",", ", "), "format", ""),
    "in another order": (lambda text: headers.second.dump(dict(reversed(json.loads(text).items()))), "format", ""),
    "an array": (lambda text: "[" + text + "]", "format", ""),
    "nested without end": (lambda text: "[" * 5000, "format", ""),
    "binary": (lambda text: "\x01\x1b[31m\x7f\udcff\udcfe", "format", "not printable ASCII"),
    "in another script": (lambda text: text.replace("v", "\u0432", 1), "format", "not printable ASCII"),
}


TELLING = ("cut off", "of the next version", "binary")
# One value's codec is that of all: tests/vectors has more, and the fuzzer all.
USUAL = (*TELLING, "as large as ZFS takes", "with an unknown member", "with a member of the wrong type",
         "with a member twice")


def damage(node, name, change):
    """Puts a damaged value in the place of a good one."""
    headers.put(node, "tank", name, change(headers.get(node, "tank", name)))


def assert_status_works(node):
    """Whatever is in a pool, status shows the rest of it, as text and as JSON, and nothing raw on the terminal."""
    text = assert_done(zseal(node, "status")).stdout
    assert "tank" in text and text.replace("\n", "").isprintable()
    return assert_done(zseal(node, "status", "--json")).json


@pytest.fixture
def damaged(node, tank):
    """Tries every damage of one property, with the caller's own look at some of them."""
    def each(name, *words, kinds=USUAL):
        value = headers.get(node, "tank", name)
        for what in kinds:
            change, error, where = DAMAGES[what]
            damage(node, name, change)
            result = zseal(node, "unlock", "tank")
            assert_refused(result, error, "tank", where, *words)
            assert result.stderr.replace("\n", "").isprintable(), what
            if what in TELLING:
                yield what, error
            headers.put(node, "tank", name, value)
        assert is_locked(node, "tank")
        assert_opens(node, "tank")
        lock_by_zfs(node)
        assert_opens_with_key(node, "tank", tank.recovery_key)
    return each


@one_zfs
def test_bad_keyring(node, tank, damaged):
    """Nothing opens it, not even the recovery key: it is unknown what it is."""
    for what, error in damaged(KEYRING, "keyring on tank", kinds=DAMAGES):
        assert_refused(unlock_with_key(node, tank.recovery_key, "tank"), error, "keyring on tank")
        (keyring,) = assert_status_works(node)["keyrings"]
        assert keyring["error"]["name"] == error, what
        if error == "format-newer":
            assert_refused(zseal(node, "header", "restore", "tank"), error, "keyring on tank")
        else:
            assert_done(zseal(node, "header", "restore", "--dry-run", "tank"))


@one_zfs
def test_bad_slot(node, tank, damaged):
    """The slot is lost, the recovery key opens: loudly, since the slots are not those that the MAC covers."""
    for what, error in damaged(SLOT, "slot tpm2-a"):
        result = assert_opens_with_key(node, "tank", tank.recovery_key)
        assert_said(result.stderr, "mac", "WARNING: tank")
        lock_by_zfs(node)
        (keyring,) = assert_status_works(node)["keyrings"]
        (slot,) = (s for s in keyring["slots"] if s["name"] == "tpm2-a")
        assert slot["error"]["name"] == error and slot["type"] == "unknown", what


@one_zfs
def test_bad_key_record(node, damaged):
    """The keyring opens, its root does not."""
    for what, error in damaged(KEY, "zseal:key on tank"):
        (root,) = assert_status_works(node)["roots"]
        assert root["error"]["name"] == error, what


def test_bad_values_are_restored_from_the_copy(node, tank):
    """Once for each kind, on each ZFS."""
    for name in KEYRING, SLOT, KEY:
        damage(node, name, DAMAGES["binary"][0])
        assert zseal(node, "unlock", "tank").status == 6
        if name == SLOT:
            assert_refused(zseal(node, "header", "verify", "tank"), "format", "slot tpm2-a")
        assert_done(zseal_with_key(node, tank.recovery_key, "header", "restore", "tank"))
        assert_opens(node, "tank")
        assert_done(zseal(node, "header", "verify", "tank"))
        lock_by_zfs(node)


@one_zfs
def test_one_bad_record_spoils_no_other_root(node, tank):
    headers.add_root(node, tank, "tank/a")
    headers.add_root(node, tank, "tank/b")
    headers.put(node, "tank/a", KEY, "{}")
    for dataset in "tank/a", "tank/b":
        lock_by_zfs(node, dataset)
    assert_refused(zseal(node, "unlock", "--all"), "format", "zseal:key on tank/a", status=1)
    assert [is_locked(node, d) for d in ("tank", "tank/a", "tank/b")] == [False, True, False]


@one_zfs
@pytest.mark.usefixtures("tank")
def test_slots_with_names_that_are_none_are_passed_over(node):
    for name in "zseal:slot.", "zseal:slot.a.b", "zseal:slot." + "x" * 64, "zseal:slot.a:b":
        headers.put(node, "tank", name, "\x1b[31m")
    assert assert_opens(node, "tank").stderr == ""


@one_zfs
def test_more_slots_than_a_keyring_can_have(node, tank):
    """Somebody's heap of slots keeps none of the keyring's own from being tried."""
    value = headers.changed(headers.get(node, "tank", SLOT), lambda slot: slot.update(type="vault"))
    run(node, "zfs", "set", *(f"zseal:slot.heap{i}={value}" for i in range(200)), "tank")
    assert_status_works(node)
    assert_said(assert_opens(node, "tank").stderr, "mac", "tank")
    lock_by_zfs(node)
    assert_said(assert_opens_with_key(node, "tank", tank.recovery_key).stderr, "mac", "tank")
    lock_by_zfs(node)
    assert_done(zseal(node, "header", "restore", "tank"))
    assert assert_opens(node, "tank").stderr == ""


# ---- slots that are not those that the keyring was made with ----

def assert_opens_loudly_and_changes_nothing(node, tank):
    """AES-KW and ZFS vouch for the keys; the MAC does not for the rest."""
    result = assert_opens(node, "tank")
    assert_said(result.stderr, "mac", "WARNING: tank")
    found = [entry for entry in node.journal() if "A header is not as it should be" in entry["MESSAGE"]]
    assert found and "tank" in found[-1]["MESSAGE"]
    assert_refused(zseal(node, "header", "verify", "tank"), "mac", "keyring on tank")
    lock_by_zfs(node)
    found = assert_done(zseal(node, "unlock", "tank", "--json")).json
    assert found["keyrings"][0]["warning"]["name"] == "mac"
    lock_by_zfs(node)
    assert_said(assert_opens_with_key(node, "tank", tank.recovery_key).stderr, "mac")
    lock_by_zfs(node)


@one_zfs
def test_slot_changed(node, tank):
    value = headers.get(node, "tank", SLOT)
    headers.put(node, "tank", SLOT, headers.changed(value, lambda slot: slot.update(created=1)))
    assert_opens_loudly_and_changes_nothing(node, tank)
    assert_done(zseal(node, "header", "restore", "tank"))
    assert assert_opens(node, "tank").stderr == ""


@one_zfs
def test_slot_half_written(node, tank):
    """A new slot is there, and the keyring's property, which knows of it, was not written."""
    value = headers.get(node, "tank", "zseal:slot.recovery")
    headers.put(node, "tank", "zseal:slot.another", value)
    assert_opens_loudly_and_changes_nothing(node, tank)
    assert_done(zseal(node, "header", "restore", "tank"))
    assert headers.get(node, "tank", "zseal:slot.another") is None
    assert assert_opens(node, "tank").stderr == ""


@one_zfs
def test_ring_changed(node, tank):
    """The order of slots, say: it is covered too."""
    headers.put(node, "tank", KEYRING, headers.changed(
        headers.get(node, "tank", KEYRING), lambda k: k["rings"][0]["ring"].update(order=["recovery", "tpm2-a"])))
    assert_opens_loudly_and_changes_nothing(node, tank)
    assert_done(zseal(node, "header", "restore", "tank"))
    assert assert_opens(node, "tank").stderr == ""


@one_zfs
@pytest.mark.usefixtures("tank")
def test_header_whose_mac_is_wrong_is_not_restored(node):
    """A copy of the damage, under the name of a good copy."""
    (copy,) = node.path("/var/lib/zseal").glob("header/*/*")
    value = headers.get(node, "tank", SLOT)
    text = copy.read_text()
    saved = json.loads(text)
    saved["slots"]["tpm2-a"] = headers.changed(value, lambda slot: slot.update(created=1))
    copy.write_text(headers.second.dump_indented(saved))
    before = headers.read(node)
    assert_refused(zseal(node, "header", "restore", "tank"), "mac", "tank")
    assert headers.read(node) == before
    copy.write_text(text)
    assert_opens(node, "tank")


@one_zfs
def test_slot_of_another_keyring_copied_in(node, tank):
    """It does not open this keyring, says whose it is, and leaves the MAC right: it is none of this keyring's slots."""
    create_pool(node, "other", 2)
    value = headers.get(node, "other", SLOT)
    headers.put(node, "tank", "zseal:slot.zzz", value)
    assert assert_opens(node, "tank").stderr == ""
    lock_by_zfs(node)
    headers.put(node, "tank", "zseal:slot.zzz", None)
    headers.put(node, "tank", SLOT, value)
    assert_refused(zseal(node, "unlock", "tank"), "format", "slot tpm2-a belongs to another keyring")
    assert_said(assert_opens_with_key(node, "tank", tank.recovery_key).stderr, "mac", "WARNING: tank")
    assert_done(zseal(node, "unlock", "other"))


@one_zfs
def test_slot_of_another_keyring_that_claims_to_be_this_ones(node, tank):
    """Its TPM object opens, and what comes out of it unwraps nothing here."""
    create_pool(node, "other", 2)
    value = headers.get(node, "other", SLOT)
    headers.put(node, "tank", SLOT, headers.changed(value, lambda slot: slot.update(keyring=tank.keyring)))
    result = zseal(node, "unlock", "tank")
    assert_refused(result, "unwrap", "slot tpm2-a")
    assert is_locked(node, "tank")
    assert_said(assert_opens_with_key(node, "tank", tank.recovery_key).stderr, "mac", "WARNING: tank")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_slot_under_another_name_opens_loudly(node):
    value = headers.get(node, "tank", SLOT)
    headers.put(node, "tank", "zseal:slot.zzz", value)
    headers.put(node, "tank", SLOT, None)
    result = assert_opens(node, "tank")
    assert "(slot zzz)" in result.stdout
    assert_said(result.stderr, "mac", "WARNING: tank")


@one_zfs
def test_slot_of_a_type_that_is_not_known_here_is_skipped(node, tank):
    """A newer zseal elsewhere added it: the MAC over raw bytes is right, the next slot opens, quietly but for it."""
    header = headers.read(node)
    header.slots["vault"] = headers.changed(header.slots["recovery"], lambda slot: slot.update(
        type="later", protect={"key": "x"}))
    header.slots["next"] = header.slots["vault"].replace('"v":1', '"v":9', 1)
    headers.write(node, headers.sealed_again(
        node, header, tank.recovery_key, lambda ring: ring.update(order=["vault", "next", "tpm2-a", "recovery"])))
    result = assert_opens(node, "tank")
    assert "(slot tpm2-a)" in result.stdout and "WARNING" not in result.stderr
    for name in "vault", "next":
        assert f"slot {name}: {ERRORS['format-newer'].sentence}" in result.stderr
    states = {s["name"]: s["state"] for s in assert_status_works(node)["keyrings"][0]["slots"]}
    assert states == {"vault": "state", "next": "state", "tpm2-a": "ok", "recovery": "attended"}


# ---- key records ----

def test_record_of_another_root_is_refused_by_zfs_itself(node):
    tank = create_pool(node)
    headers.add_root(node, tank, "tank/a")
    right = headers.get(node, "tank/a", KEY)
    headers.put(node, "tank/a", KEY, headers.get(node, "tank", KEY))
    lock_by_zfs(node, "tank/a")
    assert_refused(zseal(node, "unlock", "tank/a"), "zfs-key-wrong", "tank/a")
    assert_refused(unlock_with_key(node, tank.recovery_key, "tank/a"), "zfs-key-wrong", "tank/a")
    headers.put(node, "tank/a", KEY, right)
    assert_opens(node, "tank/a")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_record_that_was_changed_does_not_unwrap(node):
    def flip(records):
        key = records["records"][0]["key"]
        records["records"][0]["key"] = ("A" if key[0] != "A" else "B") + key[1:]
    headers.put(node, "tank", KEY, headers.changed(headers.get(node, "tank", KEY), flip))
    assert_refused(zseal(node, "unlock", "tank"), "unwrap", "tank")
    assert_refused(zseal(node, "header", "verify", "tank"), "unwrap", "tank", status=1)
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_record_of_another_keyring_is_none(node):
    create_pool(node, "other", 2)
    headers.put(node, "tank", KEY, headers.get(node, "other", KEY))
    assert_refused(zseal(node, "unlock", "tank"), "no-record", "tank")
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


@one_zfs
def test_root_that_inherits_its_parents_record_is_not_opened_with_it(node):
    tank = create_pool(node)
    headers.add_root(node, tank, "tank/a")
    headers.put(node, "tank/a", KEY, None)
    lock_by_zfs(node, "tank/a")
    assert_refused(zseal(node, "unlock", "tank/a"), "no-record", "tank/a has only the record of tank")
    (a,) = (r for r in assert_status_works(node)["roots"] if r["dataset"] == "tank/a")
    assert a["error"]["name"] == "no-record"


@one_zfs
def test_two_records_are_tried_newest_first(node, tank):
    """A rotation was cut off: either of them may be the key."""
    header = headers.read(node)
    key, epoch = headers.keyring_key(node, header, tank.recovery_key)
    new = json.loads(headers.record(header, key, epoch, b"\7" * 32, generation=2))["records"]
    headers.put(node, "tank", KEY, headers.changed(header.records["tank"], lambda v: v.update(
        records=new + v["records"])))
    assert_opens(node, "tank")
