# SPDX-License-Identifier: MIT
"""Slots with a passphrase."""
import json

import pytest

import headers
from conftest import (Dialogue, assert_done, assert_opens, assert_opens_with_key, assert_refused, create_pool, is_locked,
                      keep_secret, lock, one_zfs, zseal)
from typed import configure_cheap, slots, worth, zseal_given

pytestmark = one_zfs

RIGHT, WRONG = "correct horse battery", "correct horse batterx"


@pytest.fixture
def tank(node):
    configure_cheap(node)
    node.tank = create_pool(node)
    assert_done(zseal_given(node, "slot", "add", "tank", "passphrase", new_passphrase=RIGHT))
    lock(node, "tank")
    return node


def unlock(node, passphrase):
    return zseal_given(node, "unlock", "tank", passphrase=passphrase)


def assert_all_open(node):
    """Each way in."""
    assert "slot passphrase" in assert_done(unlock(node, RIGHT)).stdout
    lock(node, "tank")
    assert_opens_with_key(node, "tank", node.tank.recovery_key)
    lock(node, "tank")


def test_passphrase_opens(tank):
    assert_all_open(tank)
    assert "slot tpm2-a" in assert_opens(tank, "tank").stdout


def test_typed_at_a_terminal(tank):
    keep_secret(tank.world, RIGHT)
    with Dialogue(tank, ["zseal", "unlock", "--passphrase", "tank"]) as person:
        person.expect("[Pp]assphrase")
        assert not person.echoes()
        person.type(RIGHT)
        done = assert_done(person.end())
    assert not is_locked(tank, "tank") and RIGHT not in done.stdout


def test_wrong_passphrase(tank):
    assert_refused(unlock(tank, WRONG), "passphrase-wrong", "slot passphrase")
    assert is_locked(tank, "tank")
    assert_all_open(tank)


def test_status(tank):
    slot = slots(tank)["passphrase"]
    assert slot["type"] == "passphrase" and slot["state"] == "attended" and "pin" not in slot
    assert worth(tank) == ("passphrase", "if-unchanged")
    text = assert_done(zseal(tank, "status")).stdout
    assert ("thief of the disks: only with the passphrase of slot passphrase (as strong as that is: nothing limits "
            "guessing)\n") in text
    assert_done(zseal_given(tank, "slot", "remove", "tank", "tpm2-a", passphrase=RIGHT))
    assert worth(tank) == ("passphrase", "passphrase")


@pytest.mark.parametrize("cost, error", [
    ({"log_n": 20, "p": 16}, "stretch-cost"), ({"log_n": 20, "p": 2}, "stretch-cost"), ({"log_n": 10}, "passphrase-wrong"),
    ({"salt": headers.second.b64(bytes(32))}, "passphrase-wrong"), ({"log_n": 21}, "format"), ({"r": 9}, "format"),
], ids=str)
def test_changed_slot(tank, cost, error):
    """Somebody who may set properties: nothing is authenticated anew, and no work is done for bombs."""
    header = headers.read(tank)
    slot = json.loads(header.slots["passphrase"])
    slot["protect"]["stretch"].update(cost)
    header.slots["passphrase"] = headers.second.dump(slot)
    headers.write(tank, header)
    assert_refused(unlock(tank, RIGHT), error, "slot passphrase")
    assert is_locked(tank, "tank")
    told = slots(tank)["passphrase"].get("error", {}).get("name")
    assert told == (None if error == "passphrase-wrong" else error)
    assert_opens_with_key(tank, "tank", tank.tank.recovery_key)
    lock(tank, "tank")
    assert_opens(tank, "tank")


def test_cost_is_configured(node):
    configure_cheap(node)
    create_pool(node)
    assert_done(zseal_given(node, "slot", "add", "tank", "passphrase", new_passphrase=RIGHT))
    slot = json.loads(headers.read(node).slots["passphrase"])
    assert {k: v for k, v in slot["protect"]["stretch"].items() if k != "salt"} == {"log_n": 14, "r": 8, "p": 1}


def test_configuration_is_bounded(node):
    configure_cheap(node)
    for line in ("time = 0", "time = 10001", "time = 1s", "memory = 15", "memory = 1025", "memory = -16", "n = 14"):
        node.path("/etc/zseal/zseal.conf").write_text(f"[scrypt]\n{line}\n")
        assert_refused(zseal(node, "status"), "config", "[scrypt]", "line 2")


@pytest.mark.parametrize("kind, argv", [("passphrase", ["passphrase", "--name", "x"]),
                                        ("pin", ["tpm2", "--name", "x", "--new-pin"])])
def test_without_a_terminal_the_option_is_named(tank, kind, argv):
    """The one without "new" opens with what is there, and is easily taken for it."""
    assert_refused(zseal_given(tank, "slot", "add", "tank", *argv, passphrase=RIGHT), "no-input",
                   f"--new-{kind}-fd and --new-{kind}-credential go without")
    assert "x" not in slots(tank)
