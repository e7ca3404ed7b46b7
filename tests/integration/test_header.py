# SPDX-License-Identifier: MIT
"""Headers out of the pool, compared, and back into the pool."""
import dataclasses
import json

import pytest

import headers
from conftest import (assert_done, assert_opens, assert_opens_with_key, assert_refused, create_pool, is_locked, lock,
                      one_zfs, run, zseal, zseal_with_key)

KEYRING, SLOT, KEY = "zseal:keyring", "zseal:slot.tpm2-a", "zseal:key"
WHOLE = "the keyring and its slots are whole"


@pytest.fixture
def tank(node):
    made = create_pool(node)
    lock(node, "tank")
    return made


def lock_by_zfs(node, dataset="tank"):
    run(node, "zfs", "unload-key", dataset)


def copies(node, tank):
    """The files of a keyring's copies."""
    return sorted(node.path(f"/var/lib/zseal/header/{tank.keyring}").iterdir())


def copy_of(tank, name="1"):
    """Where it is for programs."""
    return f"/var/lib/zseal/header/{tank.keyring}/{name}"


# ---- header lost ----

def lose(node, *names, dataset="tank"):
    for name in names:
        run(node, "zfs", "inherit", name, dataset)


def test_each_lost_property_is_noticed_and_restored_by_the_tpm_from_the_copy(node, tank):
    before = headers.read(node)
    for name, error in ((KEYRING, "no-keyring"), (SLOT, "no-slot-opens"), (KEY, "no-record")):
        lose(node, name)
        assert_refused(zseal(node, "unlock", "tank"), error, "tank")
        assert zseal(node, "unlock", "--all").status != 0
        result = assert_done(zseal(node, "header", "restore", "tank"))
        assert "opened by slot tpm2-a; " + WHOLE in result.stdout
        assert headers.read(node) == before
        assert_opens(node, "tank")
        lock_by_zfs(node)


@one_zfs
def test_everything_lost_is_restored_by_the_recovery_key_on_another_machine(node, tank):
    """What recovers a pool is the recovery key and the header, wherever that is."""
    before = headers.read(node)
    lose(node, KEYRING, SLOT, "zseal:slot.recovery", KEY)
    other = node.world.node("b")
    text = copies(node, tank)[0].read_text()
    node.stop()
    run(other, "zpool", "import", "-f", "tank")
    assert_refused(zseal_with_key(other, tank.recovery_key, "header", "restore", "tank"), "no-copy", "tank")
    other.path("/run/copy").write_text(text)
    assert_refused(zseal(other, "header", "restore", "tank", "--from", "/run/copy"), "pin-missing", tank.fingerprint)
    result = assert_done(zseal_with_key(other, tank.recovery_key, "header", "restore", "tank", "--from", "/run/copy"))
    assert "opened by slot recovery; " + WHOLE in result.stdout
    assert "tank: its record opens it, restored" in result.stdout
    assert headers.read(other) == before
    assert_opens_with_key(other, "tank", tank.recovery_key)


@one_zfs
def test_roots_below_are_restored_with_their_keyring(node, tank):
    assert_opens(node, "tank")
    headers.add_root(node, tank, "tank/a")
    headers.add_root(node, tank, "tank/b")
    assert_done(zseal(node, "header", "backup", "tank"))
    before = headers.read(node)
    lose(node, KEYRING)
    lose(node, KEY, dataset="tank/b")
    # whichever of them is named
    assert_done(zseal(node, "header", "restore", "tank/b"))
    assert headers.read(node) == before
    lock_by_zfs(node, "tank/b")
    assert_opens(node, "tank/b")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_lost_keyring_shows_in_status(node):
    lose(node, KEYRING)
    text = assert_done(zseal(node, "status")).stdout
    assert "its keyring is lost: zseal header restore tank" in text
    (root,) = assert_done(zseal(node, "status", "--json")).json["roots"]
    assert root["keyring"] is None and root["error"]["name"] == "no-keyring"
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


@one_zfs
def test_unlock_all_fails_for_a_lost_keyring_even_if_all_of_its_properties_are_lost(node, tank):
    pins = node.path("/etc/zseal/pins")
    text = pins.read_text()
    lose(node, KEYRING)
    assert_refused(zseal(node, "unlock", "--all"), "no-keyring", "tank: ", tank.keyring)
    # its key record alone tells that it was zseal's
    pins.unlink()
    assert_refused(zseal(node, "unlock", "--all"), "no-keyring", "tank: ")
    pins.write_text(text)
    lose(node, KEY, SLOT, "zseal:slot.recovery")
    assert_refused(zseal(node, "unlock", "--all"), "no-keyring", "tank: ", tank.keyring)
    found = zseal(node, "unlock", "--all", "--json")
    assert found.status == 7 and [a["error"]["name"] for a in found.json["absent"]] == ["no-keyring"]
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


# ---- backup ----

@one_zfs
def test_backup_holds_what_the_pool_has(node, tank):
    assert_opens(node, "tank")
    headers.add_root(node, tank, "tank/a")
    result = assert_done(zseal(node, "header", "backup", "tank", "--output", "-"))
    saved = json.loads(result.stdout)
    header = headers.read(node)
    assert (saved["keyring"], saved["slots"], saved["records"]) == (header.keyring, header.slots, header.records)
    assert saved["records"].keys() == {"tank", "tank/a"}
    # the second implementation reads it too
    assert headers.second.parse_copy(result.stdout)["dataset"] == "tank"
    # of whichever root is named, the whole keyring is saved
    assert json.loads(zseal(node, "header", "backup", "tank/a", "--output", "-").stdout)["records"] == saved["records"]


@one_zfs
@pytest.mark.usefixtures("tank")
def test_backup_to_a_file_is_for_root_alone(node):
    assert_done(zseal(node, "header", "backup", "tank", "--output", "/run/copy"))
    assert node.path("/run/copy").stat().st_mode & 0o777 == 0o600
    result = zseal(node, "header", "backup", "tank", "--output", "/nowhere/copy")
    assert_refused(result, "io", "header backup of tank", "/nowhere")


@one_zfs
def test_dry_run_of_backup_writes_nothing(node, tank):
    copies(node, tank)[0].unlink()
    assert "would copy" in assert_done(zseal(node, "header", "backup", "--dry-run", "tank")).stdout
    assert not copies(node, tank)


@one_zfs
def test_backup_of_a_damaged_header_does_not_cost_the_good_copy(node, tank):
    """Somebody lost a slot and a record in the pool, and then made a backup of what was left."""
    before = headers.read(node)
    text = copies(node, tank)[0].read_text()
    headers.put(node, "tank", SLOT, "\x1b[31m")
    result = assert_done(zseal(node, "header", "backup", "tank"))
    assert "1 damaged values are not in the copy" in result.stderr and f"kept as {copy_of(tank)}.1" in result.stdout
    assert [file.name for file in copies(node, tank)] == ["1", "1.1"]
    assert copies(node, tank)[1].read_text() == text
    assert_done(zseal(node, "header", "restore", "tank", "--from", copy_of(tank, "1.1")))
    assert headers.read(node) == before
    assert_opens(node, "tank")


@one_zfs
def test_backup_of_the_same_header_keeps_one_copy(node, tank):
    for _ in range(2):
        assert "kept" not in assert_done(zseal(node, "header", "backup", "tank")).stdout
    assert [file.name for file in copies(node, tank)] == ["1"]


@one_zfs
def test_nothing_to_back_up(node):
    run(node, "zpool", "create", "-O", "mountpoint=none", "plain", node.world.disk(1))
    headers.create_root(node, "plain/foreign", b"\7" * 32)
    headers.keep_secret(node.world, b"\7" * 32)
    assert_refused(zseal(node, "header", "backup", "plain/foreign"), "no-keyring", "header backup of plain/foreign")
    assert_refused(zseal(node, "header", "backup", "plain/missing"), "zfs-not-found", "plain/missing")
    assert_refused(zseal(node, "header", "verify", "plain/foreign"), "no-keyring", "plain/foreign")
    assert_refused(zseal(node, "header", "restore", "plain/foreign"), "no-copy", "plain/foreign")


# ---- verify ----

def test_verify_of_a_whole_header(node, tank):
    result = assert_done(zseal(node, "header", "verify", "tank"))
    assert WHOLE in result.stdout and "tank: its record opens it\n" in result.stdout
    assert f"differences from the copy {copy_of(tank)}: 0\n" in result.stdout
    assert is_locked(node, "tank")
    found = assert_done(zseal(node, "header", "verify", "tank", "--json")).json
    assert found == {"roots": [{"dataset": "tank", "opens": True, "written": False}], "differences": 0,
                     "copy": copy_of(tank), "slot": "tpm2-a"}
    assert "opened by slot recovery" in assert_done(
        zseal_with_key(node, tank.recovery_key, "header", "verify", "tank")).stdout


@one_zfs
def test_verify_tells_each_difference(node, tank):
    assert_opens(node, "tank")
    headers.add_root(node, tank, "tank/a")
    header = headers.read(node)
    header.slots["extra"] = headers.changed(header.slots["recovery"],
                                            lambda slot: slot.update(uuid="0" * 8 + slot["uuid"][8:], type="vault"))
    del header.slots["recovery"]
    headers.write(node, headers.sealed_again(node, headers.read(node), tank.recovery_key))
    with_keys = headers.read(node)
    sealed = headers.sealed_again(node, dataclasses.replace(with_keys, slots={**with_keys.slots, **header.slots}),
                                  tank.recovery_key, lambda ring: ring.update(generation=2))
    del sealed.slots["recovery"]
    key, _ = headers.keyring_key(node, with_keys, tank.recovery_key)
    rings = json.loads(sealed.keyring)
    ring = rings["rings"][0]["ring"]
    rings["rings"][0]["mac"] = headers.second.b64(headers.second.table_mac(key, headers.second.dump(ring), ring["uuid"],
                                                                           sealed.slots))
    sealed.keyring = headers.second.dump(rings)
    headers.write(node, sealed)
    result = zseal(node, "header", "verify", "tank")
    assert_refused(result, "copy-differs", "header verify of tank", copy_of(tank))
    assert result.stdout.splitlines()[:5] == [
        "  zseal:keyring on tank differs from the copy",
        "  zseal:slot.recovery on tank is missing in the pool",
        "  zseal:slot.extra on tank is not in the copy",
        "  zseal:key on tank/a is not in the copy",
        f"differences from the copy {copy_of(tank)}: 4"]
    assert WHOLE in result.stdout
    assert_done(zseal(node, "header", "backup", "tank"))
    assert_done(zseal(node, "header", "verify", "tank"))


@one_zfs
def test_verify_without_a_copy_says_so_and_proves_all_the_same(node, tank):
    copies(node, tank)[0].unlink()
    result = assert_done(zseal(node, "header", "verify", "tank"))
    assert "WARNING: tank: no copy of the header was found" in result.stderr and WHOLE in result.stdout
    assert_refused(zseal(node, "header", "verify", "tank", "--from", "/run/missing"), "no-copy", "/run/missing")


@one_zfs
def test_verify_finds_a_record_that_is_another_roots(node, tank):
    assert_opens(node, "tank")
    headers.add_root(node, tank, "tank/a")
    headers.put(node, "tank/a", KEY, headers.get(node, "tank", KEY))
    result = zseal(node, "header", "verify", "tank")
    assert_refused(result, "zfs-key-wrong", "tank/a", status=1)
    assert "tank: its record opens it" in result.stdout and "tank/a: its record does NOT open it" in result.stdout
    found = zseal(node, "header", "verify", "tank", "--json")
    assert found.status == 1
    assert {root["dataset"]: root["opens"] for root in found.json["roots"]} == {"tank": True, "tank/a": False}


# ---- restore ----

@one_zfs
@pytest.mark.usefixtures("tank")
def test_dry_run_of_restore_writes_nothing(node):
    lose(node, KEY)
    before = headers.read(node)
    result = assert_done(zseal(node, "header", "restore", "--dry-run", "tank"))
    assert "tank: its record opens it, would be restored" in result.stdout
    assert "would restore the header of tank" in result.stdout
    assert headers.read(node) == before
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_restore_of_what_is_whole_changes_nothing(node):
    before = headers.read(node)
    assert_done(zseal(node, "header", "restore", "tank"))
    assert headers.read(node) == before
    assert not any("A header was restored" in entry["MESSAGE"] for entry in node.journal())
    assert_opens(node, "tank")


@one_zfs
def test_stale_copy_never_replaces_a_newer_header(node, tank):
    header = headers.read(node)
    newer = headers.sealed_again(node, header, tank.recovery_key, lambda ring: ring.update(generation=2))
    headers.write(node, newer)
    assert_refused(zseal(node, "header", "restore", "tank"), "pin-rollback", "the copy has generation 1, the pool 2")
    assert_refused(zseal_with_key(node, tank.recovery_key, "header", "restore", "tank"), "pin-rollback", "tank")
    assert headers.read(node) == newer
    # a claim that nobody who holds the keyring's key has signed is none
    headers.put(node, "tank", KEYRING, headers.changed(header.keyring,
                                                       lambda k: k["rings"][0]["ring"].update(generation=2)))
    assert_done(zseal(node, "header", "restore", "tank"))
    assert headers.read(node) == header
    assert_opens(node, "tank")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_copy_that_is_older_than_what_this_machine_remembers_is_refused(node):
    pins = node.path("/etc/zseal/pins")
    pins.write_text(pins.read_text().replace('"generation":1', '"generation":2'))
    lose(node, KEYRING)
    assert_refused(zseal(node, "header", "restore", "tank"), "pin-rollback", "generation 1, this machine has seen 2")
    assert headers.get(node, "tank", KEYRING) is None
    pins.write_text(pins.read_text().replace('"generation":2', '"generation":1'))
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_copy_of_another_pool_is_refused(node):
    other = create_pool(node, "other", 2)
    before = headers.read(node), headers.read(node, "other")
    # by its name
    result = zseal(node, "header", "restore", "tank", "--from", copy_of(other))
    assert_refused(result, "no-copy", "the copy is not of tank")
    # and by its keys, if the name is the same
    text = copies(node, other)[0].read_text().replace('"other"', '"tank"')
    node.path("/run/copy").write_text(text)
    result = zseal(node, "header", "restore", "tank", "--from", "/run/copy")
    assert_refused(result, "zfs-key-wrong", "tank", status=1)
    assert (headers.read(node), headers.read(node, "other")) == before
    assert_opens(node, "tank")


@one_zfs
def test_damaged_copy_is_refused(node, tank):
    (file,) = copies(node, tank)
    text = file.read_text()
    lose(node, KEY)
    unknown = text.replace('"zseal_header": 1', '"zseal_header": 1, "x": 1')
    for damaged in text[:200], text + "x", unknown, "", "\x1b[31m":
        file.write_text(damaged)
        assert_refused(zseal(node, "header", "restore", "tank"), "no-copy", "tank")
        assert_refused(zseal(node, "header", "restore", "tank", "--from", copy_of(tank)), "format", copy_of(tank))
    file.write_text(text.replace('"zseal_header": 1', '"zseal_header": 2'))
    assert_refused(zseal(node, "header", "restore", "tank", "--from", copy_of(tank)), "format-newer", copy_of(tank))
    file.write_text(text)
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


@one_zfs
def test_copy_with_one_wrong_record_brings_back_the_others(node, tank):
    assert_opens(node, "tank")
    headers.add_root(node, tank, "tank/a")
    assert_done(zseal(node, "header", "backup", "tank"))
    file = copies(node, tank)[0]
    saved = json.loads(file.read_text())
    right = saved["records"]["tank/a"]
    saved["records"]["tank/a"] = saved["records"]["tank"]
    file.write_text(headers.second.dump_indented(saved))
    lose(node, KEYRING, KEY)
    result = zseal(node, "header", "restore", "tank")
    assert_refused(result, "zfs-key-wrong", "tank/a", status=1)
    assert "tank: its record opens it, restored" in result.stdout
    assert headers.get(node, "tank/a", KEY) == right
    lock_by_zfs(node, "tank/a")
    assert_opens(node, "tank/a")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_slots_that_the_copy_does_not_know_go_with_the_restore(node):
    headers.put(node, "tank", "zseal:slot.vandal", headers.get(node, "tank", SLOT))
    assert_done(zseal(node, "header", "restore", "tank"))
    assert headers.get(node, "tank", "zseal:slot.vandal") is None
    assert assert_opens(node, "tank").stderr == ""


@one_zfs
def test_restore_for_a_dataset_that_is_gone_says_which(node, tank):
    assert_opens(node, "tank")
    headers.add_root(node, tank, "tank/a")
    assert_done(zseal(node, "header", "backup", "tank"))
    run(node, "zfs", "destroy", "tank/a")
    lose(node, KEYRING)
    assert_refused(zseal(node, "header", "restore", "tank"), "zfs-not-found", "tank/a", status=1)
    lock_by_zfs(node)
    assert_opens(node, "tank")
