# SPDX-License-Identifier: MIT
"""What a machine remembers of a keyring, and what it does when that is missing, other, or older."""
import json
import os
import shutil

import pytest

import headers
from conftest import (assert_done, assert_opens, assert_opens_with_key, assert_refused, assert_said, create_pool,
                      is_locked, lock, one_zfs, run, unlock_with_key, zseal, zseal_at_terminal)

PINS = "/etc/zseal/pins"
CONFIG = "/etc/zseal/zseal.conf"


@pytest.fixture
def tank(node):
    """A locked pool that this machine knows."""
    made = create_pool(node)
    lock(node, "tank")
    return made


@pytest.fixture
def unknown(node, tank):
    """The same, and this machine does not know it."""
    node.path(PINS).unlink()
    return tank


def lock_by_zfs(node, dataset="tank"):
    run(node, "zfs", "unload-key", dataset)


def pins(node):
    file = node.path(PINS)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


# ---- a keyring that was never seen ----

@one_zfs
def test_unknown_keyring_is_skipped_before_any_slot_is_tried(node, unknown):
    node.tpm.log_clear()
    for argv in (["tank"], ["--all"]):
        assert_refused(zseal(node, "unlock", *argv), "pin-missing", "tank", unknown.fingerprint)
    assert is_locked(node, "tank")
    assert not node.tpm.log() and not pins(node)


@one_zfs
def test_fingerprint_that_is_vouched_for_is_remembered(node, unknown):
    result = assert_opens(node, "tank", "--trust", unknown.fingerprint)
    assert f"remembers the keyring on tank now: {unknown.fingerprint}" in result.stderr
    (pin,) = pins(node)
    assert (pin["pool"], pin["keyring"], pin["generation"]) == ("tank", unknown.keyring, 1) and "srk" in pin
    lock_by_zfs(node)
    assert "remembers" not in assert_opens(node, "tank").stderr


@one_zfs
def test_another_fingerprint_does_not_vouch(node, unknown):
    other = "0000" + unknown.fingerprint[4:]
    assert_refused(zseal(node, "unlock", "tank", "--trust", other), "pin-missing", "tank", unknown.fingerprint)
    for text in (unknown.fingerprint[:-1], unknown.fingerprint.upper() + "x", "yes", ""):
        assert_refused(zseal(node, "unlock", "tank", "--trust", text), "usage", "--trust")
    assert is_locked(node, "tank") and not pins(node)
    assert_opens(node, "tank", "--trust", unknown.fingerprint)


@one_zfs
def test_vouching_for_what_nothing_here_opens_is_not_remembered(node, unknown):
    node.tpm.off()
    assert_refused(zseal(node, "unlock", "tank", "--trust", unknown.fingerprint), "tpm-missing", "slot tpm2-a")
    assert not pins(node)
    node.tpm.on()
    assert_opens(node, "tank", "--trust", unknown.fingerprint)


@one_zfs
def test_recovery_key_vouches(node, unknown):
    assert_opens_with_key(node, "tank", unknown.recovery_key)
    assert [pin["keyring"] for pin in pins(node)] == [unknown.keyring]
    lock_by_zfs(node)
    assert_opens(node, "tank")


@one_zfs
def test_person_at_a_terminal_is_asked(node, unknown):
    for answer, opens in (("no", False), ("y", False), ("", False), ("yes", True)):
        with zseal_at_terminal(node, "unlock", "tank") as person:
            person.expect("never seen the keyring on tank")
            person.expect(f"Its fingerprint: {unknown.fingerprint}")
            person.expect("Type yes to trust it from now on: ")
            person.type(answer)
            result = person.end()
        assert is_locked(node, "tank") != opens and bool(pins(node)) == opens
        if opens:
            assert_done(result)
        else:
            assert result.status == 5
            assert_said(result.stdout, "pin-missing", "tank", unknown.fingerprint)


@one_zfs
def test_nobody_is_asked_where_a_program_reads_or_writes(node, unknown):
    with zseal_at_terminal(node, "unlock", "tank", "--json") as person:
        result = person.end()
    assert result.status == 5
    assert json.loads(result.stdout[result.stdout.index("{"):])["roots"][0]["outcome"] == "failed"
    assert is_locked(node, "tank")
    assert_opens(node, "tank", "--trust", unknown.fingerprint)


@one_zfs
def test_configuration_may_allow_first_use(node, unknown):
    node.path(CONFIG).write_text("[trust]\nfirst-use = no\n")
    assert_refused(zseal(node, "unlock", "--all"), "pin-missing", "tank", unknown.fingerprint)
    node.path(CONFIG).write_text("[trust]\nfirst-use = yes\n")
    assert "tank: unlocked" in assert_done(zseal(node, "unlock", "--all")).stdout
    assert not pins(node)


@one_zfs
def test_configuration_may_list_fingerprints(node, unknown):
    other = "0000" + unknown.fingerprint[4:]
    node.path(CONFIG).write_text(f"[trust]\nfingerprint = {other}\n")
    assert_refused(zseal(node, "unlock", "--all"), "pin-missing", "tank", unknown.fingerprint)
    node.path(CONFIG).write_text(f"[trust]\nfingerprint = {other}\nfingerprint = {unknown.fingerprint}\n")
    assert "tank: unlocked" in assert_done(zseal(node, "unlock", "--all")).stdout


# ---- a keyring that is another one ----

@one_zfs
def test_keyring_exchanged_under_the_same_uuid_is_refused_whoever_vouches(node, tank):
    """A thief brings the pool back with data, header and keys of his own: his recovery key would open it."""
    header = headers.read(node)
    keys = {d: k[0] for d, k in headers.open_with(node, header, tank.recovery_key).wrapping_keys.items()}
    exchanged, thiefs_key = headers.exchanged(node, header, keys)
    headers.write(node, exchanged)
    his = headers.fingerprint_of(exchanged)
    for trusting in "", "first-use = yes", f"fingerprint = {his}":
        node.path(CONFIG).write_text(f"[trust]\n{trusting}\n")
        for result in (zseal(node, "unlock", "tank"), zseal(node, "unlock", "--all"),
                       zseal(node, "unlock", "tank", "--trust", his), unlock_with_key(node, thiefs_key, "tank"),
                       unlock_with_key(node, tank.recovery_key, "tank")):
            assert_refused(result, "pin-fingerprint", "tank", his, tank.fingerprint)
    with zseal_at_terminal(node, "unlock", "tank") as person:
        result = person.end()
    assert result.status == 5
    assert_said(result.stdout, "pin-fingerprint", his, tank.fingerprint)
    assert is_locked(node, "tank")
    status = assert_done(zseal(node, "status", "--json")).json["keyrings"][0]
    assert status["known"] is False and status["error"]["name"] == "pin-fingerprint"
    # the owner's header is in the copy
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


@one_zfs
def test_keyring_that_claims_the_right_fingerprint_and_has_another_key_does_not_open(node, tank):
    header = headers.read(node)
    keys = {d: k[0] for d, k in headers.open_with(node, header, tank.recovery_key).wrapping_keys.items()}
    exchanged, thiefs_key = headers.exchanged(node, header, keys)
    right = json.loads(header.keyring)["rings"][0]["ring"]["fingerprint"]
    exchanged.keyring = headers.changed(exchanged.keyring, lambda k: k["rings"][0]["ring"].update(fingerprint=right))
    headers.write(node, exchanged)
    assert_refused(unlock_with_key(node, thiefs_key, "tank"), "recovery-wrong", "tank", "slot recovery")
    assert is_locked(node, "tank")
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


@one_zfs
def test_another_keyring_in_a_known_pool_is_told_from_a_new_pool(node, tank):
    """The pool was made anew under its name, or its header was replaced by one with another UUID."""
    header = headers.read(node)
    keys = {d: k[0] for d, k in headers.open_with(node, header, tank.recovery_key).wrapping_keys.items()}
    other = headers.changed(header.keyring,
                            lambda k: k["rings"][0]["ring"].update(uuid="0" * 8 + k["rings"][0]["ring"]["uuid"][8:]))
    headers.write(node, headers.exchanged(node, headers.Header("tank", other, {}, {}), keys)[0])
    assert_refused(zseal(node, "unlock", "tank"), "pin-missing", "tank", "this pool had another keyring")
    result = zseal(node, "unlock", "--all")
    assert result.status != 0
    assert_said(result.stderr, "no-keyring", tank.keyring)
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")


# ---- a keyring that is older ----

@one_zfs
def test_older_header_opens_loudly(node, tank):
    """Rolled back to generation 1, when this machine has seen 2: also with the recovery key, also if vouched for."""
    text = node.path(PINS).read_text()
    node.path(PINS).write_text(text.replace('"generation":1', '"generation":2'))
    for open_it in (lambda: assert_opens(node, "tank"), lambda: assert_opens(node, "tank", "--trust", tank.fingerprint),
                    lambda: assert_opens_with_key(node, "tank", tank.recovery_key)):
        assert_said(open_it().stderr, "pin-rollback", "WARNING: tank", "generation 1, this machine has seen 2")
        lock_by_zfs(node)
    found = assert_done(zseal(node, "unlock", "tank", "--json")).json
    assert found["keyrings"][0]["warning"]["name"] == "pin-rollback"
    assert "A header is not as it should be" in "".join(entry["MESSAGE"] for entry in node.journal())
    assert pins(node)[0]["generation"] == 2
    status = assert_done(zseal(node, "status", "--json")).json["keyrings"][0]
    assert status["known"] is False and status["error"]["name"] == "pin-rollback"


@one_zfs
def test_newer_header_opens_quietly(node, tank):
    header = headers.read(node)
    headers.write(node, headers.sealed_again(node, header, tank.recovery_key, lambda ring: ring.update(generation=7)))
    assert assert_opens(node, "tank").stderr == ""


# ---- replicas and other machines ----

def test_local_replica_opens_without_alarm(node):
    tank = create_pool(node)
    run(node, "zpool", "create", "-O", "mountpoint=none", "backup", node.world.disk(2))
    run(node, "zfs", "snapshot", "tank@one")
    run(node, "sh", "-c", "zfs send -wp tank@one | zfs receive -u backup/tank")
    assert is_locked(node, "backup/tank")
    result = assert_opens(node, "backup/tank")
    assert result.stdout == "backup/tank: unlocked (slot tpm2-a)\n" and result.stderr == ""
    assert len(pins(node)) == 1
    lock(node, "backup/tank")
    assert_opens_with_key(node, "backup/tank", tank.recovery_key)
    assert not is_locked(node, "tank")


def test_replica_with_another_key_of_that_uuid_is_refused(node):
    tank = create_pool(node)
    run(node, "zpool", "create", "-O", "mountpoint=none", "backup", node.world.disk(2))
    run(node, "zfs", "snapshot", "tank@one")
    run(node, "sh", "-c", "zfs send -wp tank@one | zfs receive -u backup/tank")
    header = headers.read(node, "backup/tank")
    keys = {d: k[0] for d, k in headers.open_with(node, header, tank.recovery_key).wrapping_keys.items()}
    exchanged, thiefs_key = headers.exchanged(node, header, keys)
    headers.write(node, exchanged)
    assert_refused(unlock_with_key(node, thiefs_key, "backup/tank"), "pin-fingerprint", "backup/tank",
                   headers.fingerprint_of(exchanged))
    assert is_locked(node, "backup/tank")
    lock(node, "tank")
    assert_opens(node, "tank")


@one_zfs
def test_child_that_copies_the_keyrings_uuid_poisons_nobody(node):
    """A user with the right to set properties on a child gives it a keyring of its own with the parent's UUID."""
    tank = create_pool(node)
    headers.add_root(node, tank, "tank/a")
    headers.add_root(node, tank, "tank/b")
    header = headers.read(node)
    exchanged, _ = headers.exchanged(node, header, {"tank/a": os.urandom(32)})
    exchanged.dataset = "tank/a"
    node.run(["zfs", "set", f"zseal:keyring={exchanged.keyring}", "tank/a"], check=True)
    node.run(["zfs", "set", f"zseal:slot.recovery={exchanged.slots['recovery']}", "tank/a"], check=True)
    for dataset in "tank/b", "tank/a", "tank":
        lock_by_zfs(node, dataset)
    result = zseal(node, "unlock", "--all")
    assert_refused(result, "pin-fingerprint", "tank/a", headers.fingerprint_of(exchanged), status=1)
    assert [is_locked(node, d) for d in ("tank", "tank/a", "tank/b")] == [False, True, False]
    assert "WARNING" not in result.stderr
    # whoever may, takes it away again
    run(node, "zfs", "inherit", "zseal:keyring", "tank/a")
    run(node, "zfs", "inherit", "zseal:slot.recovery", "tank/a")
    assert_opens(node, "tank/a")


@one_zfs
def test_slot_in_a_childs_properties_is_not_the_keyrings(node):
    tank = create_pool(node)
    headers.add_root(node, tank, "tank/a")
    headers.put(node, "tank/a", "zseal:slot.tpm2-a", "{}")
    for dataset in "tank/a", "tank":
        lock_by_zfs(node, dataset)
    assert assert_done(zseal(node, "unlock", "--all")).stderr == ""


def test_slot_that_did_not_come_with_its_replica_is_not_the_keyrings(node):
    """Half of a header from a stream and half of one from here is neither: what counts has the keyring's own source."""
    create_pool(node)
    run(node, "zpool", "create", "-O", "mountpoint=none", "backup", node.world.disk(2))
    run(node, "zfs", "snapshot", "tank@one")
    run(node, "sh", "-c", "zfs send -wp tank@one | zfs receive -u backup/tank")
    headers.put(node, "backup/tank", "zseal:slot.another", headers.get(node, "tank", "zseal:slot.tpm2-a"))
    assert assert_opens(node, "backup/tank").stderr == ""
    (keyring,) = assert_done(zseal(node, "status", "--json", "backup")).json["keyrings"]
    assert [slot["name"] for slot in keyring["slots"]] == ["tpm2-a", "recovery"]


@one_zfs
@pytest.mark.usefixtures("tank")
def test_pool_that_is_remembered_and_not_imported_is_a_failure(node):
    create_pool(node, "other", 2)
    run(node, "zpool", "export", "tank")
    result = zseal(node, "unlock", "--all")
    assert_refused(result, "zfs-not-found", "tank", PINS, status=1)
    assert result.stdout == "other: already unlocked\n"
    found = zseal(node, "unlock", "--all", "--json")
    assert found.status == 1
    assert [(a["pool"], a["error"]["name"]) for a in found.json["absent"]] == [("tank", "zfs-not-found")]
    # what was not asked for is not missed
    assert_done(zseal(node, "unlock", "other"))
    run(node, "zpool", "export", "other")
    assert_refused(zseal(node, "unlock", "--all"), "zfs-not-found", "pool tank", "pool other")
    run(node, "zpool", "import", "-a", "-d", "/mnt")
    assert_done(zseal(node, "unlock", "--all"))
    assert not is_locked(node, "tank")


@one_zfs
def test_nothing_to_unlock_on_a_machine_that_remembers_nothing_is_success(node):
    assert zseal(node, "unlock", "--all") == (
        0, "nothing to unlock: no encryption root with a keyring is imported\n", "")


# ---- the files themselves ----

@one_zfs
@pytest.mark.usefixtures("tank")
def test_pins_that_others_could_have_written_are_refused(node):
    file = node.path(PINS)
    file.chmod(0o666)
    assert_refused(zseal(node, "unlock", "tank"), "config-unsafe", PINS)
    file.chmod(0o644)
    shutil.chown(file, 65534)
    assert_refused(zseal(node, "unlock", "tank"), "config-unsafe", PINS)
    shutil.chown(file, 0)
    node.path("/etc/zseal").chmod(0o777)
    assert_refused(zseal(node, "unlock", "tank"), "config-unsafe", "/etc/zseal")
    node.path("/etc/zseal").chmod(0o755)
    text = file.read_text()
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")
    result = zseal(node, "unlock", "tank")
    assert result.status == 7 and PINS in result.stderr and "  next: " in result.stderr
    file.unlink()
    file.write_text(text)
    assert_opens(node, "tank")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_damaged_pins_are_refused_with_their_line(node):
    file = node.path(PINS)
    text = file.read_text()
    for damaged, line in ((text + "{}\n", "line 2"), (text[:50], "line 1"), (text * 2, "line 2"),
                          (text.replace('"v":1', '"v":1,"x":1'), "line 1"), ("\x1b[31m\n", "line 1")):
        file.write_text(damaged)
        assert_refused(zseal(node, "unlock", "tank"), "config", PINS, line)
    assert is_locked(node, "tank")
    file.write_text(text.replace('"v":1', '"v":2'))
    assert_refused(zseal(node, "unlock", "tank"), "format-newer", PINS, "line 1")
    file.write_text("\n" + text)
    assert_opens(node, "tank")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_wrong_configuration_is_refused_with_its_place(node):
    config = node.path(CONFIG)
    for text, *words in (
            ("[unlock]\nspeed = 1\n", "[unlock]", "speed", "line 2"),
            ("[trust]\nfirst-use = perhaps\n", "[trust] first-use", "yes or no", "line 2"),
            ("\n\n[trust]\nfirst-use = YES\n", "line 4"),
            ("[nothing]\nx = 1\n", "[nothing]", "line 2"),
            ("x = 1\n", "line 1"),
            ("[unlock]\nslot-timeout = 0\n", "slot-timeout", "1 to 3600"),
            ("[unlock]\nslot-timeout = 20s\n", "slot-timeout", "1 to 3600"),
            ("[unlock]\norder = vault (20)\n", "order", "vault (20 s), tpm2"),
            ("[unlock]\norder = vault (0 s)\n", "order", "vault (20 s), tpm2"),
            ("[unlock]\norder = vault (3601 s)\n", "order", "vault (20 s), tpm2"),
            ("[unlock]\norder = vault (20 s\n", "order", "vault (20 s), tpm2"),
            ("[unlock]\norder = vault (-2 s)\n", "order", "vault (20 s), tpm2"),
            ("[unlock]\norder = (20 s)\n", "order", "vault (20 s), tpm2"),
            ("[unlock]\norder = vault (20 s) (20 s)\n", "order", "vault (20 s), tpm2"),
            ("[unlock]\norder = ,\n", "order", "vault (20 s), tpm2"),
            ("[unlock]\norder = ../x\n", "order", "names or types"),
            ("[unlock]\norder =\n", "order"),
            ("[trust]\nfingerprint = 1234\n", "fingerprint"),
            ("[tpm2]\ntcti =\n", "tcti"),
            ("[tpm2\ntcti = device:/dev/tpm0\n", "line 1"),
            ("not a line\n", "line 1"),
    ):
        config.write_text(text)
        assert_refused(zseal(node, "unlock", "tank"), "config", CONFIG, *words)
    config.write_text("[tpm2]\ntcti = tabrmd\n")
    assert_refused(zseal(node, "unlock", "tank"), "config", "tabrmd")
    assert is_locked(node, "tank")
    config.write_text("# nothing\n[unlock]\n; nothing\nslot-timeout = 5\norder = tpm2, recovery\n")
    assert_opens(node, "tank")


@one_zfs
@pytest.mark.usefixtures("tank")
def test_configuration_that_others_could_have_written_is_refused(node):
    config = node.path(CONFIG)
    config.write_text("[trust]\nfirst-use = yes\n")
    for mode in (0o646, 0o664):
        config.chmod(mode)
        assert_refused(zseal(node, "unlock", "tank"), "config-unsafe", CONFIG)
    config.chmod(0o644)
    other = node.path("/etc/zseal/other.conf")
    config.rename(other)
    config.symlink_to("other.conf")
    result = zseal(node, "unlock", "tank")
    assert result.status == 7 and CONFIG in result.stderr and "  next: " in result.stderr
    config.unlink()
    assert_refused(zseal(node, "unlock", "tank", "--config", "other.conf"), "usage", "other.conf")
    result = zseal(node, "unlock", "tank", "--config", "/etc/zseal/missing.conf")
    assert_refused(result, "usage", "/etc/zseal/missing.conf", "No such file")
    assert is_locked(node, "tank")
    assert_opens(node, "tank", "--config", "/etc/zseal/other.conf")


@one_zfs
def test_order_of_the_configuration_is_complete(node, tank):
    """A slot that it leaves out is not tried, but the recovery key is when it is typed."""
    config = node.path(CONFIG)
    config.write_text("[unlock]\norder = vault\n")
    assert_refused(zseal(node, "unlock", "tank"), "no-slot-opens", "tank")
    assert_opens_with_key(node, "tank", tank.recovery_key)
    lock_by_zfs(node)
    for order in ("tpm2", "tpm2-a", "vault tpm2-a"):
        config.write_text(f"[unlock]\norder = {order}\n")
        assert_opens(node, "tank")
        lock_by_zfs(node)
