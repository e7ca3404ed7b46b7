# SPDX-License-Identifier: MIT
"""Bad days of a TPM: each is told apart, nothing is lost, and the recovery key opens."""
import uuid

import pytest

import headers
from conftest import (ERRORS, assert_done, assert_opens, assert_opens_with_key, assert_refused, create_pool, is_locked,
                      lock, one_zfs, run, try_create, zseal)

pytestmark = one_zfs

TCTI = "device:/dev/tpmrm0"


@pytest.fixture
def tank(node):
    """A locked pool with a slot of this machine's TPM and one for the recovery key."""
    made = create_pool(node)
    lock(node, "tank")
    return made


def assert_tpm_fails(node, tank, name, *words):
    """Unlocking by the TPM fails by this error, status says the same, and the recovery key opens all the same."""
    assert_refused(zseal(node, "unlock", "tank"), name, "tank", "slot tpm2-a", *words)
    assert is_locked(node, "tank")
    (keyring,) = assert_done(zseal(node, "status", "--json", "tank")).json["keyrings"]
    (slot,) = (s for s in keyring["slots"] if s["name"] == "tpm2-a")
    assert slot["error"]["name"] == name
    assert_opens_with_key(node, "tank", tank.recovery_key)
    lock_by_zfs(node)


def lock_by_zfs(node, dataset="tank"):
    run(node, "zfs", "unload-key", dataset)


def test_missing(node, tank):
    node.tpm.off()
    assert_tpm_fails(node, tank, "tpm-missing", "/dev/tpmrm0", "No such file")
    assert_refused(zseal(node, "unlock", "--all"), "tpm-missing", "tank", "slot tpm2-a")
    node.tpm.on()
    assert "tank: unlocked" in assert_done(zseal(node, "unlock", "--all")).stdout


def test_cleared(node, tank):
    node.tpm.clear()
    assert_tpm_fails(node, tank, "tpm-cleared")


def test_cleared_and_used_again_by_others(node, tank):
    """A storage root key is there, but it is another one."""
    node.tpm.clear()
    result, _ = try_create(node, "-m", "none", "other", node.world.disk(2))
    assert_done(result)
    assert_tpm_fails(node, tank, "tpm-cleared")
    assert not is_locked(node, "other")


def test_storage_root_key_exchanged_for_one_that_is_none(node, tank):
    """Something at 0x81000001 that is not by the template: not used, not replaced."""
    node.tpm.clear()
    run(node, "tpm2_createprimary", "-T", TCTI, "-Q", "-C", "o", "-G", "ecc256:ecdsa", "-a",
        "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign", "-c", "/run/lab/tmp/key")
    run(node, "tpm2_evictcontrol", "-T", TCTI, "-Q", "-C", "o", "-c", "/run/lab/tmp/key", "0x81000001")
    before = run(node, "tpm2_readpublic", "-T", TCTI, "-c", "0x81000001")
    result = zseal(node, "unlock", "tank")
    assert result.status in (3, 5), result
    assert "slot tpm2-a" in result.stderr and "  next: " in result.stderr
    assert is_locked(node, "tank")
    result, key = try_create(node, "-m", "none", "other", node.world.disk(2))
    assert_refused(result, "tpm-srk", "slot tpm2-a")
    assert not key and run(node, "tpm2_readpublic", "-T", TCTI, "-c", "0x81000001") == before
    assert_opens_with_key(node, "tank", tank.recovery_key)


def test_rsa_storage_root_key_by_the_template_is_used_and_not_replaced(node):
    run(node, "tpm2_createprimary", "-T", TCTI, "-Q", "-C", "o", "-g", "sha256", "-G", "rsa2048:aes128cfb", "-a",
        "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt", "-c", "/run/lab/tmp/key")
    run(node, "tpm2_evictcontrol", "-T", TCTI, "-Q", "-C", "o", "-c", "/run/lab/tmp/key", "0x81000001")
    before = run(node, "tpm2_readpublic", "-T", TCTI, "-c", "0x81000001")
    create_pool(node)
    assert run(node, "tpm2_readpublic", "-T", TCTI, "-c", "0x81000001") == before
    lock(node, "tank")
    assert_opens(node, "tank")


def test_owner_with_a_password_cannot_be_sealed_for(node):
    run(node, "tpm2_changeauth", "-T", TCTI, "-c", "owner", "secret")
    result, key = try_create(node, "-m", "none", "tank", node.world.disk(1))
    assert_refused(result, "tpm-auth", "slot tpm2-a")
    assert not key and "tank" not in run(node, "zpool", "list")


def test_another_machines(node, tank):
    """Disks in another machine: its owner looks at the fingerprint, and types the recovery key once."""
    node.stop()
    other = node.world.node("b")
    run(other, "zpool", "import", "-f", "tank")
    assert_refused(zseal(other, "unlock", "tank"), "pin-missing", "tank", tank.fingerprint)
    assert_refused(zseal(other, "unlock", "tank", "--trust", tank.fingerprint), "tpm-not-mine", "slot tpm2-a")
    assert is_locked(other, "tank")
    result = assert_opens_with_key(other, "tank", tank.recovery_key)
    assert f"remembers the keyring on tank now: {tank.fingerprint}" in result.stderr
    lock_by_zfs(other)
    assert_tpm_fails(other, tank, "tpm-not-mine")


def test_another_machine_that_has_a_storage_root_key_is_found_by_one_command(node, tank):
    node.stop()
    other = node.world.node("b")
    create_pool(other, "own", 2)
    run(other, "zpool", "import", "-f", "tank")
    other.tpm.log_clear()
    assert_refused(zseal(other, "unlock", "tank", "--trust", tank.fingerprint), "tpm-not-mine", "slot tpm2-a")
    assert [name for name, _ in other.tpm.log()] == ["TPM2_ReadPublic"]


@pytest.mark.usefixtures("tank")
def test_in_lockout_a_slot_without_a_pin_opens_all_the_same(node):
    """Its object is made with noDA: who guesses at other things of the TPM must not be able to keep the pool shut."""
    node.tpm.lockout()
    assert_opens(node, "tank")
    assert "TPM2_DictionaryAttackLockReset" not in [name for name, _ in node.tpm.log()]


def test_pcrs_changed_until_the_next_boot(node, tank):
    node.tpm.extend(7, "something that ran before")
    assert_tpm_fails(node, tank, "tpm-policy", "PCR 7 of sha256")
    assert "TPM2_Unseal" not in [name for name, rc in node.tpm.log() if rc]
    node.tpm.reboot()
    assert_opens(node, "tank")


def test_boot_chain_changed_for_good(node, tank):
    node.tpm.change_boot_chain()
    node.tpm.reboot()
    assert_tpm_fails(node, tank, "tpm-policy", "PCR 7 of sha256")


def test_firmware_update_leaves_pcr_7_alone(node, tank):
    node.tpm.update_firmware()
    node.reboot()
    assert_opens(node, "tank")
    assert tank.fingerprint in zseal(node, "status").stdout


def test_without_the_bank(node, tank):
    node.tpm.no_sha256_bank()
    assert_tpm_fails(node, tank, "tpm-bank", "PCR 7 of sha256")


def test_device_is_only_what_the_configuration_says(node, tank):
    """Never from the environment, and no fallback to a simulator on this machine's own network."""
    environment = {"TSS2_TCTI": "none", "TPM2TOOLS_TCTI": "none", "TSS2_TCTILDR": "none"}
    assert_done(zseal(node, "unlock", "tank", env=environment))
    lock_by_zfs(node)
    config = node.path("/etc/zseal/zseal.conf")
    config.write_text("[tpm2]\ntcti = device:/dev/nothing\n")
    assert_tpm_fails(node, tank, "tpm-missing", "/dev/nothing")
    config.write_text("[tpm2]\ntcti = device:/dev/tpm0\n")
    assert_opens(node, "tank")


def test_device_that_is_no_tpm(node, tank):
    config = node.path("/etc/zseal/zseal.conf")
    config.write_text("[tpm2]\ntcti = device:/dev/null\n")
    result = zseal(node, "unlock", "tank")
    assert result.status == 4, result
    assert "slot tpm2-a" in result.stderr and "  next: " in result.stderr
    assert_opens_with_key(node, "tank", tank.recovery_key)


def test_slot_that_fails_is_reported_and_the_next_one_tried(node, tank):
    def damage(slot):
        slot["uuid"] = str(uuid.uuid4())
        private = slot["protect"]["private"]
        slot["protect"]["private"] = private[:40] + ("A" if private[40] != "A" else "B") + private[41:]
    header = headers.read(node)
    header.slots["broken"] = headers.changed(header.slots["tpm2-a"], damage)
    headers.write(node, headers.sealed_again(node, header, tank.recovery_key,
                                             lambda ring: ring.update(order=["broken", "tpm2-a", "recovery"])))
    result = assert_opens(node, "tank")
    assert "(slot tpm2-a, opened by fallback)" in result.stdout
    assert f"slot broken: {ERRORS['tpm-object'].sentence}" in result.stderr
    assert "slot broken" in "".join(entry["MESSAGE"] for entry in node.journal())


def test_sealed_object_changed(node, tank):
    """One bit of the private part: the TPM refuses it, and the slot is called damaged."""
    def damage(slot):
        private = slot["protect"]["private"]
        slot["protect"]["private"] = private[:40] + ("A" if private[40] != "A" else "B") + private[41:]
    value = headers.get(node, "tank", "zseal:slot.tpm2-a")
    headers.put(node, "tank", "zseal:slot.tpm2-a", headers.changed(value, damage))
    assert_refused(zseal(node, "unlock", "tank"), "tpm-object", "slot tpm2-a")
    assert is_locked(node, "tank")
    assert_done(zseal(node, "status"))
    assert_opens_with_key(node, "tank", tank.recovery_key)


def test_sealed_object_of_another_kind(node, tank):
    """Somebody's own object in the slot: it has other attributes than zseal gives."""
    def exchange(slot):
        public = bytearray(headers.second.base64.b64decode(slot["protect"]["public"]))
        public[7] ^= 0x40  # userWithAuth
        slot["protect"]["public"] = headers.second.b64(bytes(public))
    value = headers.get(node, "tank", "zseal:slot.tpm2-a")
    headers.put(node, "tank", "zseal:slot.tpm2-a", headers.changed(value, exchange))
    assert_refused(zseal(node, "unlock", "tank"), "tpm-object", "slot tpm2-a")
    assert_opens_with_key(node, "tank", tank.recovery_key)
