# SPDX-License-Identifier: MIT
"""The main job: a pool is made, locked, and unlocked by the TPM and by the recovery key."""
import json

import pytest

import headers
from conftest import (ROOT, assert_done, assert_opens, assert_opens_with_key, assert_refused, assert_said, create_pool,
                      is_locked, keep_recovery_key_secret, lock, one_zfs, run, try_create, unlock_with_key, zseal,
                      zseal_at_terminal)

UNSEALS = ("TPM2_Unseal", 0)


def properties(node, dataset, *names):
    """Values, in the order of names."""
    lines = run(node, "zfs", "get", "-Hp", "-o", "property,value", ",".join(names), dataset).splitlines()
    found = dict(line.split("\t", 1) for line in lines)
    return [found[name] for name in names]


def ashift_of(node, pool):
    return run(node, "zpool", "get", "-Hp", "-o", "value", "ashift", pool).strip()


def pins(node):
    file = node.path("/etc/zseal/pins")
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def copies(node):
    return sorted(node.path("/var/lib/zseal").glob("header/*/*"))


def commands(node):
    return [name for name, _ in node.tpm.log()]


def slots_of(node):
    """By name, as `zseal slot list` has them."""
    (keyring,) = assert_done(zseal(node, "slot", "list", "--json")).json["keyrings"]
    return {slot["name"]: slot for slot in keyring["slots"]}


def assert_nothing_was_made(node, pool="tank"):
    """No pool, no pin, no copy, nothing kept in the TPM but its storage root key."""
    assert pool not in run(node, "zpool", "list", "-H", "-o", "name").split()
    assert not pins(node) and not copies(node)
    assert persistent_handles(node) <= {"0x81000001"}


def persistent_handles(node):
    return set(run(node, "tpm2_getcap", "-T", "device:/dev/tpmrm0", "handles-persistent").replace("-", "").split())


# ---- create ----

def test_pool_is_made_unlocked_and_opens_by_each_of_its_slots(node):
    tank = create_pool(node)
    assert not is_locked(node, "tank")
    lock(node, "tank")
    assert "tank: unlocked (slot tpm2-a)" in assert_opens(node, "tank").stdout
    lock(node, "tank")
    assert "tank: unlocked (slot recovery)" in assert_opens_with_key(node, "tank", tank.recovery_key).stdout


@one_zfs
def test_pool_opens_after_a_reboot(node):
    create_pool(node)
    node.reboot()
    assert is_locked(node, "tank")
    assert_opens(node, "tank")


def test_defaults_are_what_guests_need(node):
    create_pool(node)
    names = ["encryption", "compression", "atime", "recordsize", "keyformat", "keylocation", "encryptionroot"]
    assert properties(node, "tank", *names) == ["aes-256-gcm", "lz4", "off", "1048576", "raw", "prompt", "tank"]
    assert ashift_of(node, "tank") == "12"
    # ZFS 2.3 shows xattr=sa as "on"
    assert "xattr=sa" in run(node, "zpool", "history", "tank")


def test_each_default_gives_way_to_what_was_given(node):
    create_pool(node, args=["-o", "ashift=13", "-O", "encryption=aes-128-ccm", "-O", "compression=zstd", "-O",
                            "atime=on", "-O", "xattr=off", "-O", "recordsize=128K"])
    assert properties(node, "tank", "encryption", "compression", "atime", "xattr", "recordsize") == [
        "aes-128-ccm", "zstd", "on", "off", "131072"]
    assert ashift_of(node, "tank") == "13"
    lock(node, "tank")
    assert_opens(node, "tank")


@one_zfs
def test_options_of_zpool_create_are_passed_on(node):
    create_pool(node, args=["-f", "-o", "comment=for guests", "-o", "autotrim=on", "-O", "quota=100M", "-R", "/mnt/x"])
    assert run(node, "zpool", "get", "-H", "-o", "value", "comment,autotrim", "tank") == "for guests\non\n"
    assert properties(node, "tank", "quota", "mountpoint") == [str(100 << 20), "none"]


def test_vdevs_are_as_zpool_create_takes_them(node):
    disks = [node.world.disk(n) for n in (1, 2, 3)]
    assert_done(try_create(node, "-m", "none", "tank", "mirror", *disks[:2], "spare", disks[2])[0])
    status = run(node, "zpool", "status", "tank")
    assert "mirror-0" in status and "spares" in status
    lock(node, "tank")
    assert_opens(node, "tank")


@one_zfs
def test_what_zseal_sets_itself_cannot_be_given(node):
    for option in ("keyformat=passphrase", "keylocation=file:///x", "pbkdf2iters=350000", "encryption=off",
                   "zseal:key=x", "zseal:anything=x"):
        result, key = try_create(node, "-m", "none", "-O", option, "tank", node.world.disk(1))
        assert_refused(result, "usage", option)
        assert not key
    assert_nothing_was_made(node)


def test_dry_run_makes_nothing(node):
    result, key = try_create(node, "--dry-run", "-m", "none", "tank", node.world.disk(1))
    assert_done(result)
    assert "would create 'tank'" in result.stdout
    assert not key
    assert_nothing_was_made(node)


@one_zfs
def test_pool_without_a_tpm_opens_by_the_recovery_key_alone(node):
    node.tpm.off()
    tank = create_pool(node, args=["--no-tpm"])
    lock(node, "tank")
    assert_refused(zseal(node, "unlock", "tank"), "no-slot-opens", "keyring on tank", "without a person")
    assert_opens_with_key(node, "tank", tank.recovery_key)


@one_zfs
def test_pool_without_a_recovery_key_opens_by_the_tpm_and_says_what_is_missing(node):
    result = assert_done(zseal(node, "create", "--no-recovery", "-m", "none", "tank", node.world.disk(1)))
    assert "there is NO recovery key: if the TPM is lost, so is the pool" in result.stdout
    lock(node, "tank")
    assert_opens(node, "tank")


@one_zfs
def test_pool_that_nothing_would_open_is_refused(node):
    result = zseal(node, "create", "--no-tpm", "--no-recovery", "-m", "none", "tank", node.world.disk(1))
    assert_refused(result, "usage", "nothing would open the pool")
    assert_nothing_was_made(node)


@one_zfs
@pytest.mark.parametrize("given, pcrs", [("0+7", [0, 7]), ("0,7", [0, 7]), ("4", [4]), ("none", [])])
def test_pcrs_can_be_chosen(node, given, pcrs):
    create_pool(node, args=["--pcrs", given])
    assert slots_of(node)["tpm2-a"]["pcrs"] == pcrs
    lock(node, "tank")
    assert_opens(node, "tank")
    lock(node, "tank")
    for pcr in (0, 7, 4):
        node.tpm.extend(pcr, "another")
    opens = not pcrs
    assert zseal(node, "unlock", "tank").status == (0 if opens else 5)
    assert is_locked(node, "tank") != opens


@one_zfs
def test_pcrs_that_are_none_are_refused(node):
    for pcrs in ("24", "7+", "+7", "", "seven", "7 8", "-1", "0x7", "7++8"):
        result, _ = try_create(node, "--pcrs", pcrs, "-m", "none", "tank", node.world.disk(1))
        assert_refused(result, "usage", "--pcrs")
    assert_nothing_was_made(node)


@one_zfs
def test_pcrs_that_nothing_was_measured_into_are_refused_by_name(node):
    result, _ = try_create(node, "--pcrs", "16", "-m", "none", "tank", node.world.disk(1))
    assert_refused(result, "tpm-bank", "slot tpm2-a")
    assert_nothing_was_made(node)


@one_zfs
def test_slot_can_be_named(node):
    create_pool(node, args=["--slot-name", "mainboard"])
    lock(node, "tank")
    assert "(slot mainboard)" in assert_opens(node, "tank").stdout


@one_zfs
def test_slot_names_that_are_none_are_refused(node):
    for name in ("Main", "a.b", "", "x" * 64, "recovery"):
        result, _ = try_create(node, "--slot-name", name, "-m", "none", "tank", node.world.disk(1))
        assert_refused(result, "usage", "--slot-name")
    assert_nothing_was_made(node)


@one_zfs
def test_sealed_object_is_kept_at_a_handle_for_stock_tools(node):
    create_pool(node, args=["--handle", "0x81010001"])
    assert slots_of(node)["tpm2-a"]["handle"] == 0x81010001
    done = node.run(["sh", "-c", "tpm2_unseal -T device:/dev/tpmrm0 -c 0x81010001 -p pcr:sha256:7 | wc -c"], check=True)
    assert done.stdout.strip() == "32"
    lock(node, "tank")
    assert_opens(node, "tank")


@one_zfs
def test_handle_that_is_taken_is_refused_and_left_alone(node):
    create_pool(node, args=["--handle", "0x81010001"])
    before = run(node, "tpm2_readpublic", "-T", "device:/dev/tpmrm0", "-c", "0x81010001")
    result, key = try_create(node, "--handle", "0x81010001", "-m", "none", "other", node.world.disk(2))
    assert_refused(result, "tpm-handle-taken", "0x81010001")
    assert not key and "other" not in run(node, "zpool", "list")
    assert run(node, "tpm2_readpublic", "-T", "device:/dev/tpmrm0", "-c", "0x81010001") == before
    lock(node, "tank")
    assert_opens(node, "tank")


@one_zfs
def test_handles_that_are_not_for_this_are_refused(node):
    for handle in ("0x81000001", "0x80000001", "0x81800000", "0", "x", "-1", "0x1ffffffff"):
        result, _ = try_create(node, "--handle", handle, "-m", "none", "tank", node.world.disk(1))
        assert_refused(result, "usage", "handle")
    assert_nothing_was_made(node)


def test_pool_whose_name_is_taken_is_refused_and_left_alone(node):
    tank = create_pool(node, args=["--handle", "0x81010001"])
    before = pins(node), copies(node)
    result, key = try_create(node, "-m", "none", "tank", node.world.disk(2))
    assert_refused(result, "zfs-exists", "tank")
    assert not key
    assert (pins(node), copies(node)) == before
    lock(node, "tank")
    assert_opens(node, "tank")
    lock(node, "tank")
    assert_opens_with_key(node, "tank", tank.recovery_key)


def test_missing_disk_is_refused_in_zpools_own_words(node):
    result, _ = try_create(node, "--handle", "0x81010001", "-m", "none", "tank", "/mnt/nothing")
    assert_refused(result, "zfs-failed", "zpool create", "/mnt/nothing")
    assert_nothing_was_made(node)


@one_zfs
def test_disk_in_use_is_refused_and_its_pool_left_alone(node):
    create_pool(node)
    result, _ = try_create(node, "-m", "none", "other", node.world.disk(1))
    assert_refused(result, "zfs-failed", "zpool create", "disk1 is part of active pool 'tank'")
    assert "other" not in run(node, "zpool", "list")
    lock(node, "tank")
    assert_opens(node, "tank")


@one_zfs
def test_names_that_no_pool_can_have_are_refused(node):
    for name in ("tank/data", "1tank", "", "tank@snap", "mirror", "x" * 300):
        result, _ = try_create(node, "-m", "none", name, node.world.disk(1))
        assert_refused(result, "usage", "is no pool's name")
    assert_nothing_was_made(node)


@one_zfs
def test_copy_and_pin_are_there_once_the_pool_is(node):
    tank = create_pool(node)
    guid = run(node, "zpool", "get", "-Hp", "-o", "value", "guid", "tank").strip()
    (copy,), (pin,) = copies(node), pins(node)
    assert copy.parts[-2:] == (tank.keyring, "1") and copy.stat().st_mode & 0o777 == 0o600
    saved = json.loads(copy.read_text())
    assert (saved["pool"], saved["pool_guid"], saved["dataset"]) == ("tank", guid, "tank")
    header = headers.read(node)
    assert (saved["keyring"], saved["slots"], saved["records"]) == (header.keyring, header.slots, header.records)
    assert (pin["pool"], pin["pool_guid"], pin["keyring"], pin["generation"]) == ("tank", guid, tank.keyring, 1)
    assert "srk" in pin


@one_zfs
def test_key_is_nowhere_but_in_zfs(node):
    create_pool(node)
    assert properties(node, "tank", "keylocation") == ["prompt"]
    assert run(node, "zpool", "history", "tank").count("zpool create") == 1
    assert {name for name, _ in (line.split("\t") for line in run(
        node, "zfs", "get", "-H", "-s", "local", "-o", "property,value", "all", "tank").splitlines())
            if name.startswith("zseal:")} == {"zseal:keyring", "zseal:key", "zseal:slot.tpm2-a", "zseal:slot.recovery"}


@one_zfs
def test_old_machine_with_sha1_alone_is_sealed_to_that(node):
    node.tpm.no_sha256_bank()
    create_pool(node)
    slot = slots_of(node)["tpm2-a"]
    assert (slot["bank"], slot["pcrs"]) == ("sha1", [7])
    lock(node, "tank")
    assert_opens(node, "tank")


@one_zfs
def test_without_a_tpm_a_pool_is_not_made_silently_without_its_slot(node):
    node.tpm.off()
    result, key = try_create(node, "-m", "none", "tank", node.world.disk(1))
    assert_refused(result, "tpm-missing", "/dev/tpmrm0")
    assert not key
    node.tpm.on()
    assert_nothing_was_made(node)


# ---- create, with a person ----

def type_back(dialogue, key, wrong=0):
    """Answers one question for a group of the recovery key, first wrongly if asked to."""
    number = int(dialogue.expect(r"Type group (\d) of the recovery key back: ")[1])
    for _ in range(wrong):
        dialogue.type("cccccc" if key.split("-")[number - 1] != "cccccc" else "bbbbbb")
        dialogue.expect(f"That is not group {number}.\n")
        assert int(dialogue.expect(r"Type group (\d) of the recovery key back: ")[1]) == number
    dialogue.type(key.split("-")[number - 1].upper())
    return number


def read_key(dialogue):
    return dialogue.expect(r"\n +((?:[a-z]{6}-){7}[a-z]{6})\n")[1]


@one_zfs
def test_recovery_key_is_shown_once_and_two_groups_are_typed_back(node):
    with zseal_at_terminal(node, "create", "-m", "none", "tank", node.world.disk(1)) as person:
        key = read_key(person)
        assert "tank" not in run(node, "zpool", "list")
        first, second = type_back(person, key), type_back(person, key, wrong=1)
        person.expect("pool tank is made, unlocked, and opens by tpm2-a or recovery")
        result = assert_done(person.end())
    assert first != second
    assert result.stdout.count(key) == 1
    keep_recovery_key_secret(node.world, key)
    lock(node, "tank")
    assert_opens_with_key(node, "tank", key)


@one_zfs
def test_recovery_key_that_was_not_written_down_makes_no_pool(node):
    argv = ["create", "--handle", "0x81010001", "-m", "none", "tank", node.world.disk(1)]
    with zseal_at_terminal(node, *argv) as person:
        read_key(person)
        for _ in range(3):
            person.expect("back: ")
            person.type("bcdefg")
        result = person.end()
    assert result.status == 5
    assert_said(result.stdout, "recovery-typo", "was not typed back; nothing was changed")
    assert_nothing_was_made(node)


@one_zfs
def test_recovery_key_needs_somebody_to_take_it(node):
    result = zseal(node, "create", "-m", "none", "tank", node.world.disk(1))
    assert_refused(result, "no-input", "--recovery-to-fd", "--no-recovery")
    assert_nothing_was_made(node)


@one_zfs
def test_recovery_key_is_asked_for_without_echo(node):
    tank = create_pool(node)
    lock(node, "tank")
    with zseal_at_terminal(node, "unlock", "--recovery", "tank") as person:
        person.expect("Recovery key .*: ")
        assert not person.echoes()
        # as people type: no hyphens, upper case
        person.type(tank.recovery_key.replace("-", " ").upper())
        person.expect(r"tank: unlocked \(slot recovery\)")
        result = assert_done(person.end())
    assert tank.recovery_key.split("-")[0].upper() not in result.stdout
    assert not is_locked(node, "tank")


@one_zfs
def test_mistyped_recovery_key_may_be_typed_again(node):
    tank = create_pool(node)
    lock(node, "tank")
    with zseal_at_terminal(node, "unlock", "--recovery", "tank") as person:
        person.expect("Recovery key .*: ")
        person.type(mistype(tank.recovery_key, 5))
        person.expect("the recovery key is mistyped: group 5 of 8")
        person.expect("Recovery key .*: ")
        person.type(tank.recovery_key)
        assert_done(person.end())
    assert not is_locked(node, "tank")


# ---- lock and unlock ----

@one_zfs
def test_unlocking_what_is_unlocked_succeeds_and_leaves_the_tpm_alone(node):
    create_pool(node)
    node.tpm.log_clear()
    assert assert_opens(node, "tank").stdout == "tank: already unlocked\n"
    result = zseal(node, "unlock", "--all", "--json")
    assert result.json["roots"] == [{"dataset": "tank", "outcome": "already"}]
    assert commands(node) == []


@one_zfs
def test_locking_what_is_locked_succeeds(node):
    create_pool(node)
    lock(node, "tank")
    assert assert_done(zseal(node, "lock", "tank")).stdout == "tank: already locked\n"


@one_zfs
def test_unlocking_a_root_with_a_pcr_policy_takes_nine_tpm_commands_at_most(node):
    create_pool(node, args=["--pcrs", "7"])
    lock(node, "tank")
    node.tpm.log_clear()
    assert_opens(node, "tank")
    assert commands(node).count("TPM2_Unseal") == 1
    assert len(commands(node)) <= 9, commands(node)


@one_zfs
def test_unlocking_leaves_nothing_in_the_tpm(node):
    create_pool(node)
    lock(node, "tank")
    assert_opens(node, "tank")
    for kind in "handles-transient", "handles-loaded-session", "handles-saved-session":
        assert run(node, "tpm2_getcap", "-T", "device:/dev/tpm0", kind).strip() == ""


def test_roots_on_one_keyring_are_unlocked_together_and_locked_deepest_first(node):
    tank = create_pool(node)
    for dataset in "tank/a", "tank/a/b", "tank/c":
        headers.add_root(node, tank, dataset)
    result = assert_done(zseal(node, "lock", "tank"))
    assert result.stdout.splitlines() == [f"{d}: locked" for d in ("tank/c", "tank/a/b", "tank/a", "tank")]
    node.tpm.log_clear()
    result = assert_done(zseal(node, "unlock", "--all"))
    assert result.stdout.splitlines() == [f"{d}: unlocked (slot tpm2-a)"
                                          for d in ("tank", "tank/a", "tank/a/b", "tank/c")]
    assert node.tpm.log().count(UNSEALS) == 1


@one_zfs
def test_what_is_named_is_unlocked_with_what_lies_below_and_nothing_else(node):
    tank = create_pool(node)
    for dataset in "tank/a", "tank/a/b", "tank/ab":
        headers.add_root(node, tank, dataset)
    assert_done(zseal(node, "lock", "tank"))
    assert_done(zseal(node, "unlock", "tank/a"))
    assert [is_locked(node, d) for d in ("tank", "tank/a", "tank/a/b", "tank/ab")] == [True, False, False, True]


@one_zfs
def test_dry_run_of_unlock_and_lock_does_nothing(node):
    create_pool(node)
    assert assert_done(zseal(node, "lock", "--dry-run", "tank")).stdout == "tank: would be locked\n"
    assert not is_locked(node, "tank")
    lock(node, "tank")
    node.tpm.log_clear()
    assert assert_done(zseal(node, "unlock", "--dry-run", "--all")).stdout == "tank: would be unlocked\n"
    assert is_locked(node, "tank")
    assert commands(node) == []


def test_a_root_that_fails_stops_no_other(node):
    tank = create_pool(node)
    for dataset in "tank/a", "tank/b", "tank/c":
        headers.add_root(node, tank, dataset)
    other = headers.get(node, "tank/a", "zseal:key")
    headers.put(node, "tank/b", "zseal:key", other)
    assert_done(zseal(node, "lock", "tank"))
    result = zseal(node, "unlock", "--all")
    assert_refused(result, "zfs-key-wrong", "tank/b", status=1)
    assert [is_locked(node, d) for d in ("tank", "tank/a", "tank/b", "tank/c")] == [False, False, True, False]
    assert "tank/b: NOT unlocked" in result.stdout and "tank/c: unlocked" in result.stdout
    result = zseal(node, "unlock", "--all", "--json")
    assert result.status == 1
    assert [root["outcome"] for root in result.json["roots"]] == ["already", "already", "failed", "already"]


@one_zfs
def test_a_pool_that_fails_stops_no_other(node):
    create_pool(node, "first", 1)
    other = create_pool(node, "second", 2)
    node.run(["sh", "-c", "zpool export first && zpool export second"], check=True)
    run(node, "zpool", "import", "-d", "/mnt", "first")
    run(node, "zpool", "import", "-d", "/mnt", "second")
    headers.put(node, "first", "zseal:slot.tpm2-a", "{}")
    result = zseal(node, "unlock", "--all")
    assert_refused(result, "format", "first", "tpm2-a", status=1)
    assert is_locked(node, "first") and not is_locked(node, "second")
    lock(node, "second")
    assert_opens_with_key(node, "second", other.recovery_key)


@one_zfs
def test_a_thousand_roots_take_one_unseal(node):
    result, recovery_key = try_create(node, "-m", "none", "tank", *(node.world.disk(n) for n in (1, 2, 3, 4)))
    assert_done(result)
    names = [f"tank/r{i}" for i in range(1000)]
    headers.add_roots(node, headers.read(node), recovery_key, names)
    # keys are gone with the engine; zseal lock would wait for a transaction for each
    node.engine.restart()
    node.tpm.log_clear()
    result = assert_done(zseal(node, "unlock", "--all", "--json"))
    outcomes = {root["dataset"]: root["outcome"] for root in result.json["roots"]}
    assert outcomes == dict.fromkeys(["tank", *names], "unlocked")
    assert node.tpm.log().count(UNSEALS) == 1
    assert len(commands(node)) <= 9
    assert not any(is_locked(node, dataset) for dataset in ("tank", names[0], names[499], names[999]))


def test_unlocking_writes_nothing_to_a_pool(node):
    create_pool(node)
    lock(node, "tank")
    before = headers.read(node), run(node, "zpool", "history", "-i", "tank").count("zcp")
    assert_opens(node, "tank")
    assert (headers.read(node), run(node, "zpool", "history", "-i", "tank").count("zcp")) == before


@one_zfs
def test_every_step_is_in_the_journal(node):
    create_pool(node)
    lock(node, "tank")
    assert_opens(node, "tank")
    found = [entry["MESSAGE"] for entry in node.journal() if entry.get("SYSLOG_IDENTIFIER", "zseal") == "zseal"]
    for subject in ("A keyring was made", "A slot was sealed", "An encryption root was locked", "A keyring was opened",
                    "An encryption root was unlocked"):
        assert any(subject in message and "tank" in message for message in found), (subject, found)


# ---- the recovery key ----

def mistype(key, number):
    """Another letter in one group, 1 to 8."""
    groups = key.split("-")
    group = groups[number - 1]
    groups[number - 1] = ("c" if group[0] != "c" else "b") + group[1:]
    return "-".join(groups)


@one_zfs
def test_mistyped_recovery_key_says_which_group(node):
    tank = create_pool(node)
    lock(node, "tank")
    for number in range(1, 9):
        assert_refused(unlock_with_key(node, mistype(tank.recovery_key, number), "tank"), "recovery-typo",
                       f"group {number} of 8")
    groups = tank.recovery_key.split("-")
    swapped = "-".join([*groups[:2], groups[3], groups[2], *groups[4:]])
    assert_refused(unlock_with_key(node, swapped, "tank"), "recovery-typo", "group 3 of 8")
    assert_refused(unlock_with_key(node, "-".join(groups[:7]), "tank"), "recovery-typo", "42 letters")
    assert is_locked(node, "tank")
    assert_opens_with_key(node, "tank", tank.recovery_key)


@one_zfs
def test_recovery_key_may_be_typed_as_people_type(node):
    tank = create_pool(node)
    for typed in (tank.recovery_key.upper(), tank.recovery_key.replace("-", ""), tank.recovery_key.replace("-", "  ")):
        lock(node, "tank")
        assert_opens_with_key(node, "tank", typed)


@one_zfs
def test_recovery_key_of_another_pool_is_told_from_a_mistyped_one(node):
    tank, other = create_pool(node), create_pool(node, "other", 2)
    lock(node, "tank")
    assert_refused(unlock_with_key(node, other.recovery_key, "tank"), "recovery-wrong", "tank", "slot recovery")
    assert is_locked(node, "tank")
    assert_opens_with_key(node, "tank", tank.recovery_key)


@one_zfs
def test_recovery_key_from_nowhere(node):
    create_pool(node)
    lock(node, "tank")
    assert_refused(unlock_with_key(node, "", "tank"), "no-input")
    assert_refused(zseal(node, "unlock", "tank", "--recovery-fd", "99"), "usage", "--recovery-fd 99")
    assert_refused(zseal(node, "unlock", "tank", "--recovery"), "no-input")
    assert_refused(zseal(node, "unlock", "tank", "--recovery-fd", "x"), "usage", "--recovery-fd")
    assert_opens(node, "tank")


def test_second_implementation_opens_the_pool(node):
    """The format's document is enough: Python, the recovery key, and zfs load-key."""
    tank = create_pool(node)
    lock(node, "tank")
    header = headers.read(node)
    keys = headers.second.open_header(header.keyring, header.slots, header.records, tank.recovery_key)
    with node.popen(["zfs", "load-key", "tank"], stdin=-1) as process:
        process.communicate(keys["tank"], timeout=60)
    assert process.returncode == 0 and not is_locked(node, "tank")
    assert (ROOT / "docs/format.md").exists()
