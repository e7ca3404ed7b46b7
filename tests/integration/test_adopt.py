# SPDX-License-Identifier: MIT
"""zseal adopt: existing encryption roots taken over, whatever keeps their key, and the old way gone afterwards."""
import json
import os
import re

import pytest
from adopting import (HEX, KEY, PASSPHRASE, adopt, assert_adopted, assert_by_zseal_only, dialogue_with_key, make_root,
                      seal_at, write_key)
from conftest import (assert_done, assert_nothing_secret, assert_opens_with_key, assert_refused, assert_said,
                      create_pool, is_locked, keep_secret, one_zfs, run, zseal, zseal_at_terminal, zseal_with_key)

HANDLE = "0x81010001"


# ---- the core ways, on both versions of ZFS ----

def test_a_raw_root_with_a_key_file(node):
    """The default: keylocation names the file. The key is kept, the old location is not."""
    make_root(node, "tank", "raw", location="file:///run/tank.key")
    result, key = adopt(node, "tank")
    assert_done(result)
    assert "tank is adopted, and opens by tpm2-a or recovery" in result.stdout
    assert "/run/tank.key: still there" in result.stdout
    assert node.path("/run/tank.key").exists()
    assert_adopted(node, "tank", key)
    run(node, "zfs", "unload-key", "tank")
    run(node, "zfs", "load-key", "-L", "file:///run/tank.key", "tank")


def test_a_hex_root_keeps_its_key(node):
    make_root(node, "tank", "hex", location="file:///run/tank.key")
    result, key = adopt(node, "tank")
    assert_done(result)
    assert_adopted(node, "tank", key)
    run(node, "zfs", "unload-key", "tank")
    node.path("/run/raw").write_bytes(KEY)
    run(node, "zfs", "load-key", "-L", "file:///run/raw", "tank")


def test_a_passphrase_root_gets_a_new_key(node):
    make_root(node, "tank", "passphrase")
    result, key = adopt(node, "tank", given=PASSPHRASE + "\n")
    assert_done(result)
    assert "new random key" in result.stdout
    assert_adopted(node, "tank", key)
    assert_by_zseal_only(node, "tank")


@pytest.mark.parametrize("keyformat", ["raw", "hex", "passphrase"])
def test_a_locked_root_is_adopted_and_stays_locked(node, keyformat):
    make_root(node, "tank", keyformat)
    run(node, "zfs", "unload-key", "tank")
    given = {"raw": KEY, "hex": HEX, "passphrase": PASSPHRASE}[keyformat]
    result, key = adopt(node, "tank", given=given)
    assert_done(result)
    assert is_locked(node, "tank")
    assert_adopted(node, "tank", key)


def test_a_child_root_joins_its_parents_keyring(node):
    """No new slots and no recovery key: a record is all it takes."""
    tank = create_pool(node)
    make_root(node, "tank/vm", "raw")
    before = run(node, "zfs", "get", "-H", "-o", "value", "zseal:keyring", "tank")
    result, key = adopt(node, "tank/vm", given=KEY)
    assert_done(result)
    assert not key and "the keyring on tank opens it" in result.stdout
    assert run(node, "zfs", "get", "-H", "-o", "value", "zseal:keyring", "tank") == before
    assert_adopted(node, "tank/vm", tank.recovery_key)
    assert_done(zseal(node, "header", "verify", "tank"))
    run(node, "zfs", "inherit", "zseal:key", "tank/vm")
    assert_done(zseal(node, "header", "restore", "tank/vm"))
    assert_adopted(node, "tank/vm", tank.recovery_key)


def test_a_passphrase_child_joins_its_parents_keyring(node):
    tank = create_pool(node)
    make_root(node, "tank/vm", "passphrase")
    result, _ = adopt(node, "tank/vm", given=PASSPHRASE)
    assert_done(result)
    assert_adopted(node, "tank/vm", tank.recovery_key)
    assert_by_zseal_only(node, "tank/vm")


# ---- every source ----

@one_zfs
@pytest.mark.parametrize("keyformat, given", [("raw", KEY), ("raw", HEX), ("raw", HEX.upper() + "\r\n"),
                                              ("hex", HEX + "\n"), ("hex", KEY), ("passphrase", PASSPHRASE)],
                         ids=["raw", "raw-digits", "raw-upper", "hex", "hex-raw", "passphrase"])
def test_a_key_from_a_file(node, keyformat, given):
    make_root(node, "tank", keyformat)
    write_key(node, "/run/given", given)
    result, key = adopt(node, "tank", "--key-file", "/run/given")
    assert_done(result)
    assert_adopted(node, "tank", key)


@one_zfs
@pytest.mark.parametrize("keyformat, typed", [("hex", HEX), ("raw", HEX), ("passphrase", PASSPHRASE)], ids=["hex", "raw", "passphrase"])
def test_a_key_is_typed_without_echo(node, keyformat, typed):
    make_root(node, "tank", keyformat)
    arguments = ["--prompt"] if keyformat == "raw" else []
    with zseal_at_terminal(node, "adopt", *arguments, "tank") as person:
        person.expect("Passphrase of" if keyformat == "passphrase" else "Key of")
        assert not person.echoes()
        person.type(typed)
        key = dialogue_with_key(node, person)
        result = person.end()
    assert_done(result)
    assert_nothing_secret(node.world, "the screen", re.sub(re.escape(key), "", result.stdout).split("Type group")[0])
    assert_adopted(node, "tank", key)


@one_zfs
@pytest.mark.parametrize("pcrs", ["", "sha256:0,7"], ids=["password", "policy"])
@pytest.mark.parametrize("content", [KEY, HEX], ids=["raw", "hex"])
def test_a_key_from_a_tpm_handle(node, pcrs, content):
    make_root(node, "tank", "raw")
    seal_at(node, HANDLE, content, pcrs)
    node.reboot()
    result, key = adopt(node, "tank", "--tpm-handle", HANDLE, *(["--tpm-pcrs", pcrs] if pcrs else []))
    assert_done(result)
    assert f"TPM handle {HANDLE}: still there" in result.stdout
    assert_adopted(node, "tank", key)


@one_zfs
@pytest.mark.skipif(not os.path.exists("/usr/bin/clevis"), reason="this machine can't: clevis is not installed")
def test_a_key_from_a_clevis_jwe(node):
    make_root(node, "tank", "raw")
    write_key(node, "/run/k", KEY)
    run(node, "bash", "-c", "clevis encrypt tpm2 '{}' </run/k >/run/tank.jwe")
    result, key = adopt(node, "tank", "--clevis", "/run/tank.jwe")
    assert_done(result)
    assert "/run/tank.jwe: still there" in result.stdout
    assert_adopted(node, "tank", key)


# ---- afterwards ----

@one_zfs
def test_the_same_command_again_has_nothing_to_do(node):
    make_root(node, "tank", "raw", location="file:///run/tank.key")
    _, key = adopt(node, "tank")
    for arguments in (("--key-file", "/run/tank.key"), ()):
        result, none = adopt(node, "tank", *arguments)
        assert_done(result)
        assert "tank is adopted already" in result.stdout and not none
        assert ("/run/tank.key" in result.stdout) == bool(arguments)
    assert_adopted(node, "tank", key)


@one_zfs
def test_a_dry_run_changes_nothing_and_needs_no_key(node):
    make_root(node, "tank", "passphrase")
    make_root(node, "tank/own", "raw")
    before = run(node, "zfs", "get", "-Hpr", "-o", "name,property,value", "all", "tank")
    result = assert_done(zseal(node, "adopt", "--dry-run", "tank"))
    assert "its key is replaced by a random one" in result.stdout
    assert_said(result.stderr, "adopt-children", "tank/own")
    assert zseal(node, "adopt", "--dry-run", "--json", "tank").json["new_key"] is True
    assert run(node, "zfs", "get", "-Hpr", "-o", "name,property,value", "all", "tank") == before


@one_zfs
def test_what_it_says_as_json(node):
    make_root(node, "tank", "raw", location="file:///run/tank.key")
    result, key = adopt(node, "tank", "--json", "--no-tpm")
    said = assert_done(result).json
    assert (said["dataset"], said["new_keyring"], said["new_key"], said["was_adopted"]) == ("tank", True, False, False)
    assert said["leftovers"] == [{"what": "/run/tank.key", "proven": True, "destroyed": False, "needed_by": None}]
    run(node, "zfs", "unload-key", "tank")
    assert_opens_with_key(node, "tank", key)


# ---- leftovers ----

@one_zfs
def test_leftovers_are_destroyed_when_asked_to(node):
    make_root(node, "tank", "raw", location="file:///run/tank.key")
    others = ("tank.pub", "tank.priv", "tank.ctx", "tank.seed", "other.key")
    for name in others:
        node.path("/run/" + name).write_text("of somebody else")
    write_key(node, "/run/tank.key.seed", HEX + "\n")
    seal_at(node, HANDLE, KEY)
    result, key = adopt(node, "tank", "--tpm-handle", HANDLE, "--destroy-leftovers")
    assert_done(result)
    for name in ("tank.key", "tank.key.seed"):
        assert not node.path("/run/" + name).exists(), name
    for name in others:
        assert node.path("/run/" + name).exists(), name
    assert "/run/tank.pub: still there, and not proven" in result.stdout and "other.key" not in result.stdout
    assert HANDLE not in run(node, "tpm2_getcap", "handles-persistent").lower()
    assert "readable on the disk" in result.stdout
    assert_adopted(node, "tank", key)


@one_zfs
def test_of_a_passphrase_the_file_that_held_it_is_destroyed(node):
    make_root(node, "tank", "passphrase", location="file:///run/tank.pass")
    node.path("/run/tank.key").write_text("a phrase of somebody else")
    result, key = adopt(node, "tank", "--destroy-leftovers")
    assert_done(result)
    assert not node.path("/run/tank.pass").exists() and node.path("/run/tank.key").exists()
    assert_adopted(node, "tank", key)


@one_zfs
def test_a_file_that_was_not_read_in_this_run_is_not_destroyed(node):
    """The keyring has the key already: what the command line names by mistake is nobody's leftover."""
    make_root(node, "tank", "raw")
    result, key = adopt(node, "tank", given=KEY)
    assert_done(result)
    write_key(node, "/run/mistaken", bytes(range(32)))
    write_key(node, "/run/right", KEY)
    assert "/run/mistaken: still there" in assert_done(
        zseal(node, "adopt", "--no-recovery", "--key-file", "/run/mistaken", "--destroy-leftovers", "tank")).stdout
    assert_done(zseal(node, "adopt", "--no-recovery", "--key-file", "/run/right", "--destroy-leftovers", "tank"))
    assert node.path("/run/mistaken").exists() and not node.path("/run/right").exists()
    assert_adopted(node, "tank", key)


@one_zfs
def test_leftovers_are_offered_to_a_person(node):
    make_root(node, "tank", "raw", location="file:///run/tank.key")
    node.path("/run/tank.pub").write_text("x")
    with zseal_at_terminal(node, "adopt", "tank") as person:
        key = dialogue_with_key(node, person)
        person.expect("Destroy /run/tank.key.*N. ")
        person.type("y")
        person.expect("Destroy /run/tank.pub.*N. ")
        person.type("n")
        assert_done(person.end())
    assert not node.path("/run/tank.key").exists() and node.path("/run/tank.pub").exists()
    assert_adopted(node, "tank", key)


@one_zfs
def test_a_file_that_another_root_needs_stays(node):
    make_root(node, "tank", "raw", location="file:///run/tank.key")
    make_root(node, "tank/two", "raw", location="file:///run/tank.key")
    result, key = adopt(node, "tank", "--destroy-leftovers")
    assert_refused(result, "leftover-shared", "/run/tank.key", "tank/two", status=1)
    assert node.path("/run/tank.key").exists()
    assert_adopted(node, "tank", key)
    again, none = adopt(node, "tank/two", "--destroy-leftovers")
    assert_done(again)
    assert not none and not node.path("/run/tank.key").exists()
    assert_adopted(node, "tank/two", key)


# ---- what must not be found ----

@one_zfs
@pytest.mark.parametrize("keyformat", ["raw", "passphrase"])
def test_the_key_is_nowhere(node, keyformat):
    """In no output (every call looks), no argument, no file of zseal's, no journal entry."""
    make_root(node, "tank", keyformat)
    keep_secret(node.world, KEY)
    keep_secret(node.world, PASSPHRASE)
    result, key = adopt(node, "tank", given=KEY if keyformat == "raw" else PASSPHRASE)
    assert_done(result)
    for folder in ("etc/zseal", "var/lib/zseal"):
        for path in (node.folder / folder).rglob("*"):
            if path.is_file():
                assert_nothing_secret(node.world, str(path), path.read_text(encoding="latin-1"))
    assert_nothing_secret(node.world, "the history", run(node, "zpool", "history", "-i", "tank"))
    assert any("adopted" in entry["MESSAGE"] for entry in node.journal())
    assert_adopted(node, "tank", key)


@one_zfs
def test_the_keyring_is_opened_with_the_recovery_key(node):
    tank = create_pool(node)
    make_root(node, "tank/vm", "raw")
    node.tpm.clear()
    write_key(node, "/run/given", KEY)
    assert_refused(zseal(node, "adopt", "--key-file", "/run/given", "tank/vm"), "tpm-cleared", "tank/vm")
    assert_done(zseal_with_key(node, tank.recovery_key, "adopt", "--key-file", "/run/given", "tank/vm"))
    run(node, "zfs", "unload-key", "tank/vm")
    assert_opens_with_key(node, "tank/vm", tank.recovery_key)
    assert json.loads(zseal(node, "status", "--json", "tank").stdout)["roots"][1]["key_generation"] == 1
