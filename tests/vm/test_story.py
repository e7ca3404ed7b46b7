# SPDX-License-Identifier: MIT
"""A pool's life on a kernel: made, mounted, its volume's device, restarts, another boot, and the power going away.

The tests are one story: each goes on where the one before left the machine.
"""
import json
import re
import time

import canaries
import pytest
from conftest import is_locked, mounted, pool_of, run, shown_key, zseal

MOUNTS = {"/tank": "tank", "/tank/home": "tank/home", "/srv/data": "tank/data"}
VOLUME = "/dev/zvol/tank/disk"
POLICY = "the PCRs differ from those that the slot was sealed to"


def waits_for(vm, condition):
    """udev makes and removes devices after zfs has returned; it says when it is done."""
    run(vm, "udevadm", "settle", "--timeout=60")
    return vm.run(["test", *condition]).returncode == 0


@pytest.fixture(scope="module")
def tank(vm):
    """Made by a person at a terminal; then file systems, one with a mount point of its own, and a volume."""
    said, key = shown_key(vm, "create", "--no-qr", "tank", vm.disk(1))
    assert "tank is made, unlocked" in said, said
    run(vm, "zfs", "create", "tank/home")
    run(vm, "zfs", "create", "-o", "mountpoint=/srv/data", "tank/data")
    run(vm, "zfs", "create", "-s", "-V", "16M", "tank/disk")
    vm.put("/tank/home/letter", "a letter\n")
    vm.put("/srv/data/table", "a table\n")
    return pool_of(vm, "tank", key)


@pytest.fixture(scope="module")
def search(vm, tank):
    return canaries.Search(canaries.secrets_of(vm, tank))


def assert_all_is_there(vm):
    assert not is_locked(vm, "tank") and mounted(vm) == MOUNTS
    assert vm.get("/tank/home/letter") == "a letter\n" and vm.get("/srv/data/table") == "a table\n"
    assert waits_for(vm, ["-b", VOLUME])


@pytest.mark.usefixtures("tank")
def test_boot_was_measured_and_zfs_is_the_kernels(vm):
    for number, value in vm.tpm.pcrs(0, 1, 2, 3, 4, 5, 6, 7, 9).items():
        assert re.fullmatch("0x[0-9A-F]{64}", value) and int(value, 16) not in (0, 2 ** 256 - 1), number
    assert "EV_SEPARATOR" in run(vm, "tpm2_eventlog", "/sys/kernel/security/tpm0/binary_bios_measurements")
    assert run(vm, "cat", "/sys/module/zfs/version").startswith("2.")
    assert '"pcrs":[7]' in run(vm, "zfs", "get", "-H", "-o", "value", "zseal:slot.tpm2-vm", "tank")


@pytest.mark.usefixtures("tank")
def test_lock_and_unlock_mount_and_unmount(vm):
    assert_all_is_there(vm)
    said = zseal(vm, "lock", "tank", status=7)
    assert "mounted" in said and not is_locked(vm, "tank")
    run(vm, "dd", "if=/dev/urandom", f"of={VOLUME}", "bs=1M", "count=1", "conv=fsync")
    zseal(vm, "lock", "--unmount", "tank")
    assert is_locked(vm, "tank") and not mounted(vm)
    assert vm.run(["dd", f"if={VOLUME}", "of=/dev/null", "count=1"]).returncode != 0
    zseal(vm, "unlock", "tank")
    assert not is_locked(vm, "tank") and not mounted(vm)
    said = zseal(vm, "unlock", "--mount", "tank")
    for place, dataset in MOUNTS.items():
        assert f"{dataset}: mounted on {place}" in said
    assert_all_is_there(vm)


@pytest.mark.usefixtures("tank")
def test_what_is_in_use_stays_open(vm):
    run(vm, "systemd-run", "--quiet", "--unit=user", "--property=WorkingDirectory=/tank/home", "sleep", "infinity")
    said = zseal(vm, "lock", "--unmount", "tank", status=1)
    assert "tank/home: NOT unmounted" in said and not is_locked(vm, "tank")
    run(vm, "systemctl", "stop", "user")
    zseal(vm, "unlock", "--mount", "tank")
    run(vm, "sh", "-c", f"systemd-run --quiet --unit=user sh -c 'exec sleep infinity <{VOLUME}'")
    assert "tank: NOT locked" in zseal(vm, "lock", "--unmount", "tank", status=1)
    assert not is_locked(vm, "tank")
    run(vm, "systemctl", "stop", "user")
    zseal(vm, "lock", "--unmount", "tank")
    assert is_locked(vm, "tank")
    zseal(vm, "unlock", "--mount", "tank")
    assert_all_is_there(vm)


@pytest.mark.usefixtures("tank")
def test_thiefs_datasets_are_not_mounted(vm):
    run(vm, "zfs", "create", "-u", "-o", "encryption=off", "-o", "mountpoint=/srv/planted", "tank/planted")
    run(vm, "zfs", "create", "-u", "-o", "mountpoint=/etc", "tank/home/over")
    zseal(vm, "lock", "--unmount", "tank")
    said = zseal(vm, "unlock", "--mount", "tank", status=1)
    assert re.search("tank/planted: NOT mounted", said) and re.search("tank/home/over: NOT mounted", said), said
    assert mounted(vm) == MOUNTS and not vm.run(["test", "-e", "/etc/fstab"]).returncode
    run(vm, "zfs", "destroy", "tank/planted")
    run(vm, "zfs", "destroy", "tank/home/over")


@pytest.mark.usefixtures("tank")
def test_journal_has_entries_of_ours(vm):
    entries = vm.journal("-t", "zseal")
    assert {entry.get("ZSEAL_DATASET") for entry in entries} >= {"tank"}
    for entry in entries:
        assert re.fullmatch("[0-9a-f]{32}", entry["MESSAGE_ID"]) and entry["ZSEAL_EVENT"] and entry["_COMM"] == "zseal"


def test_neither_journal_nor_system_disk_has_a_key(vm, search):
    assert not search.in_text(json.dumps(vm.journal()))
    run(vm, "journalctl", "--flush", "--sync")
    run(vm, "sync")
    assert not search.in_file(vm.folder / "root.qcow2") and not search.in_file(vm.disk_file(1))


# ---- restarts ----

@pytest.mark.usefixtures("tank")
def test_other_command_line_changes_pcr_9_alone(vm):
    """The slot that is sealed to PCR 7 opens after it, the one that is sealed to PCR 9 says why it does not."""
    zseal(vm, "slot", "add", "tank", "tpm2", "--name", "nine", "--pcrs", "9")
    zseal(vm, "slot", "test", "tank", "nine")
    before = vm.tpm.pcrs(*range(8), 9)
    vm.append = "quiet"
    vm.reboot()
    after = vm.tpm.pcrs(*range(8), 9)
    assert {number for number in before if before[number] != after[number]} == {9}
    assert is_locked(vm, "tank") and not mounted(vm)
    assert POLICY in zseal(vm, "slot", "test", "tank", "nine", status=5)
    zseal(vm, "slot", "test", "tank", "tpm2-vm")
    said = zseal(vm, "unlock", "--all", "--mount")
    assert "tank: unlocked" in said
    assert_all_is_there(vm)


@pytest.mark.usefixtures("tank")
def test_power_goes_as_a_slot_is_written(vm):
    """At the moment when others see the new slot; and the same boot as at first: both slots open again."""
    wait = 'while [ -z "$(zfs get -H -s local -o value zseal:slot.cut tank)" ]; do :; done; echo written; wait'
    line = vm.begin(["sh", "-c", f"zseal slot add tank tpm2 --name cut >/dev/null 2>&1 & {wait}"])
    assert line.receive(time.monotonic() + 120) == (b"O", b"written\n")
    vm.power_cut()
    vm.append = ""
    vm.start()
    assert is_locked(vm, "tank") and not mounted(vm)
    zseal(vm, "unlock", "--all", "--mount")
    assert_all_is_there(vm)
    zseal(vm, "header", "verify", "tank")
    zseal(vm, "slot", "test", "tank", "nine", "tpm2-vm")


@pytest.mark.usefixtures("tank")
def test_changed_pcrs_are_refused_until_the_next_boot(vm):
    zseal(vm, "lock", "--unmount", "tank")
    vm.tpm.extend(7, "a boot loader that nobody signed")
    vm.tpm.extend(9, "a kernel that nobody built")
    assert POLICY in zseal(vm, "unlock", "tank", status=5)
    assert is_locked(vm, "tank")


def test_after_all_that_still_neither_has_a_key(vm, search):
    test_neither_journal_nor_system_disk_has_a_key(vm, search)
