# SPDX-License-Identifier: MIT
"""A pool that was there before zseal: taken over while it is in use, opened at a restart, by a unit with a credential,
after the TPM was exchanged, and without zseal. The tests are one story, see test_story.py.
"""
import pytest
from conftest import (follow, is_locked, keep_secret, mounted, pool_of, run, shown_key, steps_of, zseal,
                      zseal_with_key)

PIN = "1234 is a PIN"
NOT_ITS_KEY = "treljv-tlddvi-fjchnk-frdlgt-renftc-kuurci-lltkfu-lkuffr"
WITHOUT_ZSEAL = ["1", "3.1", "3.4", "4", "4.1", "4.1a", "4.1c", "5", "5.1", "6", "7"]  # the pool is imported: no step 2


def assert_all_is_there(vm):
    assert not is_locked(vm, "tank") and mounted(vm) == {"/tank": "tank", "/tank/home": "tank/home"}
    assert vm.get("/tank/home/letter") == "a letter\n"


@pytest.fixture(scope="module")
def tank(vm):
    """A recipe's root with its key in a file; then adopted, with somebody at work in it."""
    run(vm, "sh", "-c", "umask 077; head -c 32 /dev/urandom >/root/tank.key")
    run(vm, "zpool", "create", "-O", "encryption=on", "-O", "keyformat=raw", "-O", "keylocation=file:///root/tank.key",
        "tank", vm.disk(1))
    run(vm, "zfs", "create", "tank/home")
    vm.put("/tank/home/letter", "a letter\n")
    run(vm, "systemd-run", "--quiet", "--unit=user", "--property=WorkingDirectory=/tank/home", "sleep", "infinity")
    said, key = shown_key(vm, "adopt", "--no-qr", "tank", then=[("Destroy /root/tank.key", "y\n")])
    assert "tank is adopted" in said, said
    return pool_of(vm, "tank", key)


@pytest.mark.usefixtures("tank")
def test_adopted_in_use(vm):
    """Whoever was at work in it noticed nothing; ZFS looks for its key nowhere else any more."""
    assert run(vm, "systemctl", "is-active", "user").strip() == "active"
    assert_all_is_there(vm)
    assert run(vm, "zfs", "get", "-H", "-o", "value", "keylocation", "tank").strip() == "prompt"
    assert vm.run(["test", "-e", "/root/tank.key"]).returncode == 1


@pytest.mark.usefixtures("tank")
def test_adopted_opens_after_a_restart(vm):
    vm.reboot()
    assert is_locked(vm, "tank") and not mounted(vm)
    said = zseal(vm, "unlock", "--all", "--mount")
    assert "tank: unlocked (slot tpm2-vm)" in said
    assert_all_is_there(vm)


@pytest.mark.usefixtures("tank")
def test_unit_opens_with_a_credential(vm):
    """A PIN that systemd keeps encrypted, given to a unit; with a wrong one the unit fails."""
    keep_secret(vm, PIN)
    vm.run(["sh", "-c", "zseal slot add tank tpm2 --name pin --new-pin-fd 3 3<&0 0</dev/null"], input=PIN + "\n",
           check=True)
    for name, content, status in (("right", PIN, 0), ("wrong", "4321 is a PIN", 5)):
        vm.run(["systemd-creds", "encrypt", "--with-key=host", "--name=pin", "-", f"/root/{name}.cred"], input=content,
               check=True)
        zseal(vm, "lock", "--unmount", "tank")
        done = vm.run(["systemd-run", "--quiet", "--wait", "--pipe", f"--unit=by-{name}", "-p", "Type=oneshot",
                       "-p", f"LoadCredentialEncrypted=pin:/root/{name}.cred",
                       "zseal", "unlock", "--pin-credential", "pin", "tank"])
        assert done.returncode == status, done.stdout + done.stderr
        assert is_locked(vm, "tank") == bool(status)
    zseal(vm, "unlock", "--mount", "tank")


@pytest.mark.usefixtures("tank")
def test_steps_without_zseal_open_it(vm):
    zseal(vm, "lock", "--unmount", "tank")
    steps = steps_of("docs/without-zseal.md", *WITHOUT_ZSEAL).replace("slot_named tpm2-a", "slot_named tpm2-vm")
    done = follow(vm, steps)
    assert not is_locked(vm, "tank"), done.stdout + done.stderr
    assert "the MAC is right" in done.stdout
    run(vm, "zfs", "mount", "-a")
    assert_all_is_there(vm)


def test_another_mainboard(vm, tank):
    """Its TPM refuses, another pool's recovery key too; the right one makes this machine a member again."""
    vm.stop()
    vm.tpm.replace()
    vm.start()
    assert "TPM was cleared or its storage root key exchanged" in zseal(vm, "unlock", "tank", status=3)
    assert "belongs to something else" in zseal_with_key(vm, NOT_ITS_KEY, "recover", "--yes", "tank", status=5)
    assert is_locked(vm, "tank")
    said = zseal_with_key(vm, tank.recovery_key, "recover", "--yes", "tank")
    assert "opens it by slot tpm2-vm" in said
    zseal(vm, "slot", "test", "tank", "tpm2-vm")
    vm.reboot()
    assert is_locked(vm, "tank")
    assert "tank: unlocked (slot tpm2-vm)" in zseal(vm, "unlock", "--all", "--mount")
    assert_all_is_there(vm)


def test_journal_has_no_key(vm, tank):
    text = "".join(map(str, vm.journal()))
    for secret in (tank.recovery_key, PIN, *tank.recovery_key.split("-")):
        assert secret not in text
