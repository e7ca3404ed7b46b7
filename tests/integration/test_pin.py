# SPDX-License-Identifier: MIT
"""TPM slots with a PIN: what opens them, what a wrong PIN costs, and what status says of it."""
import pytest

import headers
from conftest import (Dialogue, assert_done, assert_opens_with_key, assert_refused, create_pool, is_locked, keep_secret,
                      lock, one_zfs, run, zseal)
from typed import configure_cheap, failures, slots, worth, zseal_given

pytestmark = one_zfs

PIN, WRONG = "48151623", "48151624"
EMPTY = "WARNING: this TPM's lockout authorisation is empty"


@pytest.fixture
def pinned(node):
    """A pool with a slot that needs a PIN, and no other of the TPM."""
    configure_cheap(node)
    node.tank = create_pool(node)
    done = assert_done(zseal_given(node, "slot", "add", "tank", "tpm2", "--name", "pin", new_pin=PIN))
    assert EMPTY in done.stderr and "tpm2_changeauth -c lockout" in done.stderr
    assert_done(zseal(node, "slot", "remove", "tank", "tpm2-a"))
    lock(node, "tank")
    node.tpm.log_clear()
    return node


def unlock(node, pin):
    return zseal_given(node, "unlock", "tank", pin=pin)


def unseals(node):
    return [name for name, _ in node.tpm.log()].count("TPM2_Unseal")


def assert_pin_opens(node):
    assert "slot pin" in assert_done(unlock(node, PIN)).stdout
    assert not is_locked(node, "tank")
    lock(node, "tank")


def assert_key_opens(node):
    assert_opens_with_key(node, "tank", node.tank.recovery_key)
    lock(node, "tank")


def test_pin_opens(pinned):
    assert_pin_opens(pinned)
    assert unseals(pinned) == 1 and failures(pinned) == 0
    assert_done(zseal_given(pinned, "slot", "test", "tank", "pin", pin=PIN))
    assert slots(pinned)["pin"]["tested"] > 0
    assert_key_opens(pinned)


def test_nobody_is_there_to_give_it(pinned):
    assert_refused(zseal(pinned, "unlock", "tank"), "no-slot-opens", "opens without a person")
    assert is_locked(pinned, "tank") and unseals(pinned) == 0
    assert_pin_opens(pinned)


def test_wrong_pin_costs_one_try_and_says_what_is_left(pinned):
    assert_refused(unlock(pinned, WRONG), "pin-wrong", "slot pin", "2 of 3 tries are left")
    assert is_locked(pinned, "tank") and unseals(pinned) == 1 and failures(pinned) == 1
    assert_pin_opens(pinned)
    assert_key_opens(pinned)


def test_unattended_pin_cannot_lock_the_chip(pinned):
    for _ in range(2):
        assert_refused(unlock(pinned, WRONG), "pin-wrong", "slot pin")
    for pin in (WRONG, PIN, WRONG):
        assert_refused(unlock(pinned, pin), "tpm-lockout-near", "slot pin", "2 wrong values of 3")
    assert failures(pinned) == 2 and unseals(pinned) == 2
    assert_key_opens(pinned)
    with Dialogue(pinned, ["zseal", "unlock", "--pin", "tank"]) as person:
        person.expect("PIN")
        person.type(PIN)
        assert_done(person.end())
    assert not is_locked(pinned, "tank")


def test_a_person_may_take_the_last_try(pinned):
    keep_secret(pinned.world, WRONG)
    for _ in range(2):
        assert_refused(unlock(pinned, WRONG), "pin-wrong")
    with Dialogue(pinned, ["zseal", "unlock", "--pin", "tank"]) as person:
        person.expect("PIN")
        person.type(WRONG)
        done = person.end()
    assert done.status == 5 and "the TPM has locked itself" in done.stdout
    assert WRONG not in done.stdout
    assert_refused(unlock(pinned, PIN), "tpm-lockout", "slot pin", "is forgotten within")
    assert unseals(pinned) == 3
    assert slots(pinned)["pin"]["lockout"]["in_lockout"] and slots(pinned)["pin"]["state"] == "unavailable"
    assert_key_opens(pinned)
    run(pinned, "tpm2_dictionarylockout", "-c")
    assert_pin_opens(pinned)


def test_lockout_by_somebody_else(pinned):
    pinned.tpm.lockout()
    pinned.tpm.log_clear()
    assert_refused(unlock(pinned, PIN), "tpm-lockout", "slot pin")
    assert_refused(zseal_given(pinned, "slot", "add", "tank", "tpm2", "--name", "more", new_pin=PIN, recovery=
                               pinned.tank.recovery_key), "tpm-lockout")
    assert unseals(pinned) == 0 and list(slots(pinned)) == ["recovery", "pin"]
    assert_key_opens(pinned)


def test_changed_boot_chain_costs_no_try(pinned):
    pinned.tpm.change_boot_chain()
    pinned.tpm.log_clear()
    for pin in (WRONG, PIN):
        assert_refused(unlock(pinned, pin), "tpm-policy", "slot pin", "PCR 7 of sha256")
    assert unseals(pinned) == 0 and failures(pinned) == 0
    assert_key_opens(pinned)


def test_power_cuts_are_not_wrong_pins(pinned):
    """The TPM counts them, and may lock itself: then that is what is said, and the recovery key opens."""
    for _ in range(4):
        done = unlock(pinned, PIN)
        if done.status:
            assert "pin-wrong" not in done.stderr
            assert_refused(done, "tpm-lockout" if failures(pinned) >= 3 else "tpm-lockout-near", "slot pin")
            assert_key_opens(pinned)
        else:
            lock(pinned, "tank")
        pinned.tpm.power_cut()
    run(pinned, "tpm2_dictionarylockout", "-c")
    assert_pin_opens(pinned)


def change_protect(node, change):
    """Somebody who may set properties: nothing is authenticated anew."""
    header = headers.read(node)
    slot = headers.second.load(header.slots["pin"])
    change(slot["protect"])
    header.slots["pin"] = headers.second.dump(slot)
    headers.write(node, header)


@pytest.mark.parametrize("change, error", [
    (lambda p: p.pop("pin"), "tpm-object"),
    (lambda p: p["pin"].update(log_n=20, p=16), "stretch-cost"),
    (lambda p: p["pin"].update(log_n=21), "format"),
    (lambda p: p["pin"].update(salt=headers.second.b64(bytes(32))), "pin-wrong"),
], ids=["no-pin", "bomb", "beyond-bounds", "salt"])
def test_changed_slot(pinned, change, error):
    change_protect(pinned, change)
    said = unlock(pinned, PIN) if error != "tpm-object" else zseal(pinned, "unlock", "tank")
    words = [] if error == "format" else ["slot pin"]
    if error == "format":  # its needs cannot be told
        assert said.status != 0 and is_locked(pinned, "tank")
    else:
        assert_refused(said, error, *words)
    assert failures(pinned) == (error == "pin-wrong")
    assert_key_opens(pinned)


def test_status(pinned):
    pin = slots(pinned)["pin"]
    lockout = pin.pop("lockout")
    assert pin["pin"] is True and pin["state"] == "attended" and pin["pcrs"] == [7]
    assert lockout["tries_left"] == lockout["tries_max"] == 3
    assert not lockout["in_lockout"] and not lockout["authorisation_set"]
    assert worth(pinned) == ("closed", "pin-without-limit")
    text = assert_done(zseal(pinned, "status")).stdout
    assert "ready, with its PIN; PCR 7" in text and EMPTY in text
    assert "thief of the disks: no\n" in text
    assert ("thief of this whole machine: YES, if he guesses the PIN of slot pin, without limit: the lockout "
            "authorisation is empty\n") in text
    run(pinned, "tpm2_changeauth", "-c", "lockout", "a-lockout-password")
    assert worth(pinned) == ("closed", "pin")
    text = assert_done(zseal(pinned, "status")).stdout
    assert EMPTY not in text
    assert "thief of this whole machine: only with the PIN of slot pin (the TPM limits guessing)\n" in text
    assert failures(pinned) == 0 and unseals(pinned) == 0


def test_pin_and_handle(node):
    """The TPM keeps the object as well: with the attributes that make it count wrong PINs, and opened by the same PIN."""
    configure_cheap(node)
    create_pool(node)
    assert_done(zseal_given(node, "slot", "add", "tank", "tpm2", "--name", "pin", "--handle", "0x81010001",
                            new_pin=PIN))
    assert slots(node)["pin"]["handle"] == 0x81010001
    assert "value: fixedtpm|fixedparent\n" in run(node, "tpm2_readpublic", "-c", "0x81010001")
    lock(node, "tank")
    assert "slot pin" in assert_done(unlock(node, PIN)).stdout
    lock(node, "tank")
    assert "slot tpm2-a" in assert_done(zseal(node, "unlock", "tank")).stdout
