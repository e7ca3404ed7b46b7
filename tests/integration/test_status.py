# SPDX-License-Identifier: MIT
"""What `zseal status` and `zseal slot list` say, to people and to programs."""
import re

import pytest

import headers
from conftest import (assert_done, assert_opens, assert_refused, assert_refused_json, create_pool, lock, one_zfs, run,
                      zseal)

pytestmark = one_zfs


@pytest.fixture
def plain(node):
    """A pool that is not encrypted, and one root in it of which zseal knows nothing."""
    run(node, "zpool", "create", "-O", "mountpoint=none", "plain", node.world.disk(4))
    run(node, "zfs", "create", "plain/data")
    headers.keep_secret(node.world, b"\7" * 32)
    headers.create_root(node, "plain/foreign", b"\7" * 32)


def without_dates(text):
    return re.sub(r"\d{4}-\d\d-\d\d", "DATE", text)


def test_no_pool_at_all(node):
    assert zseal(node, "status") == (0, "no encrypted pool is imported\n", "")
    assert assert_done(zseal(node, "status", "--json")).json == {"keyrings": [], "roots": [], "absent": [], "suspended": []}
    assert_refused(zseal(node, "status", "tank"), "zfs-not-found", "tank")
    assert_refused_json(zseal(node, "status", "--json", "tank"), "zfs-not-found", "tank")
    assert_refused(zseal(node, "slot", "list"), "no-keyring", "all imported pools")


@pytest.mark.usefixtures("plain")
def test_pools_without_zseal(node):
    expected = "encryption roots without zseal\n      plain/foreign                unlocked aes-256-gcm\n"
    for argv in ([], ["plain"], ["plain/foreign"]):
        assert zseal(node, "status", *argv) == (0, expected, "")
    found = assert_done(zseal(node, "status", "--json")).json
    assert found == {"keyrings": [], "roots": [{
        "dataset": "plain/foreign", "locked": False, "encryption": "aes-256-gcm", "keylocation": "prompt",
        "keyring": None}], "absent": [], "suspended": []}
    assert_refused(zseal(node, "status", "plain/data"), "zfs-not-encrypted", "plain/data")
    assert_refused(zseal(node, "slot", "list", "plain"), "no-keyring", "plain")


def test_tree_for_people(node):
    tank = create_pool(node)
    headers.add_root(node, tank, "tank/vm")
    run(node, "zfs", "unload-key", "tank/vm")
    assert without_dates(assert_done(zseal(node, "status")).stdout) == f"""\
pool tank: 1 of 2 encryption roots LOCKED
  keyring on tank
    {tank.keyring}, generation 1, made DATE
    fingerprint {tank.fingerprint}
    known to this machine: yes
    slots, any of which opens it
      tpm2-a               tpm2      ready; PCR 7; tested here: DATE
      recovery             recovery  typed by a person; tested here: never
    opens for a thief of the disks: no
    opens for a thief of this whole machine: when it boots unchanged (slot tpm2-a has no PIN)
    encryption roots
      tank                         unlocked aes-256-gcm, key 1 made DATE
      tank/vm                      LOCKED   aes-256-gcm, key 1 made DATE
    to unlock: zseal unlock tank
"""
    assert without_dates(assert_done(zseal(node, "slot", "list")).stdout) == """\
keyring on tank
      tpm2-a               tpm2      ready; PCR 7; tested here: DATE
      recovery             recovery  typed by a person; tested here: never
"""


def test_json_for_programs(node):
    tank = create_pool(node, args=["--handle", "0x81010001"])
    found = assert_done(zseal(node, "status", "--json")).json
    (keyring,), (root,) = found["keyrings"], found["roots"]
    slots = keyring.pop("slots")
    created = keyring.pop("created")
    assert keyring == {"dataset": "tank", "pool": "tank", "opens_for_thief_of_disks": "closed",
                       "opens_for_thief_of_machine": "if-unchanged", "known": True, "uuid": tank.keyring, "generation": 1, "fingerprint": tank.fingerprint}
    assert root.pop("key_created") - created in (0, 1, 2)
    assert root == {"dataset": "tank", "locked": False, "encryption": "aes-256-gcm", "keylocation": "prompt",
                    "keyring": "tank", "adoption_unfinished": False, "key_generation": 1}
    tpm, recovery = slots
    assert tpm.pop("tested") >= created
    for slot in slots:
        assert re.fullmatch("[0-9a-f-]{36}", slot.pop("uuid")) and slot.pop("created") - created in (0, 1)
    assert tpm == {"name": "tpm2-a", "type": "tpm2", "state": "ok", "pcrs": [7], "bank": "sha256", "handle": 0x81010001,
                   "pin": False}
    assert recovery == {"name": "recovery", "type": "recovery", "state": "attended", "tested": 0}
    listed = assert_done(zseal(node, "slot", "list", "--json")).json
    assert listed.keys() == {"keyrings"}
    assert [s["name"] for s in listed["keyrings"][0]["slots"]] == ["tpm2-a", "recovery"]


def test_worth_is_that_of_the_weakest_slot(node):
    """No PIN and no PCRs: whoever has the machine has the pool. No TPM slot: only the paper opens it."""
    create_pool(node, "open", 1, args=["--pcrs", "none"])
    create_pool(node, "closed", 2, args=["--no-tpm"])
    text = assert_done(zseal(node, "status", "open")).stdout
    assert "opens for a thief of the disks: no\n" in text
    assert "opens for a thief of this whole machine: YES (slot tpm2-a has no PIN and no PCRs)\n" in text
    text = assert_done(zseal(node, "status", "closed")).stdout
    assert "opens for a thief of this whole machine: no\n" in text
    found = assert_done(zseal(node, "status", "--json")).json["keyrings"]
    assert {k["dataset"]: k["opens_for_thief_of_machine"] for k in found} == {"open": "open", "closed": "closed"}


def test_status_opens_nothing(node):
    create_pool(node)
    lock(node, "tank")
    node.tpm.log_clear()
    journal = len(node.journal())
    assert_done(zseal(node, "status"))
    assert "TPM2_Unseal" not in [name for name, _ in node.tpm.log()]
    assert len(node.journal()) == journal


def test_keylocation_that_is_not_prompt_is_shown(node):
    """A replication stream or a delegated user may have set it: the stock tools would look there."""
    create_pool(node)
    run(node, "zfs", "set", "keylocation=file:///mnt/key", "tank")
    assert "keylocation is 'file:///mnt/key', not prompt" in assert_done(zseal(node, "status")).stdout
    lock(node, "tank")
    assert_opens(node, "tank")


def test_what_was_named_twice_is_shown_and_unlocked_once(node):
    tank = create_pool(node)
    headers.add_root(node, tank, "tank/a")
    found = assert_done(zseal(node, "status", "--json", "tank", "tank/a", "tank")).json
    assert [root["dataset"] for root in found["roots"]] == ["tank", "tank/a"]
    assert_done(zseal(node, "lock", "tank"))
    assert assert_done(zseal(node, "unlock", "tank/a", "tank", "tank/a")).stdout.splitlines() == [
        "tank: unlocked (slot tpm2-a)", "tank/a: unlocked (slot tpm2-a)"]


@pytest.mark.usefixtures("plain")
def test_only_what_was_named_is_shown(node):
    create_pool(node)
    create_pool(node, "other", 2)
    found = assert_done(zseal(node, "status", "--json", "other")).json
    assert [k["dataset"] for k in found["keyrings"]] == ["other"]
    assert [root["dataset"] for root in found["roots"]] == ["other"]
    assert len(assert_done(zseal(node, "status", "--json")).json["roots"]) == 3
