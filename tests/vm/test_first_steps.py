# SPDX-License-Identifier: MIT
"""docs/first-steps.md on a kernel, as a stranger does it who has nothing else: from an unencrypted pool to one that the
TPM opens at each boot, with every file where it was. The blocks that mount something or make a unit are run here only.
"""
import re

import pytest
from conftest import TYPED_BACK, follow, is_locked, keep_shown_key, mounted, run, steps_of, zseal, zseal_with_key

DOCUMENT = "docs/first-steps.md"


def walk(vm, *sections, **names):
    """Pastes these sections with other names in their first lines, and types groups of the recovery key back."""
    script = steps_of(DOCUMENT, *sections, world="vm")
    for name, value in names.items():
        script, found = re.subn(f"^{name}=.*$", f"{name}={value}", script, flags=re.MULTILINE)
        assert found, name
    asks = any(verb in script for verb in ("zseal create", "zseal adopt"))
    done = follow(vm, script, "-e", "-o", "pipefail", pty=True, input=TYPED_BACK if asks else [])
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def moved(vm):
    """An unencrypted pool with somebody's files; then all of section 3, but for the end of the old one."""
    run(vm, "zpool", "create", "tank", vm.disk(1))
    run(vm, "zfs", "create", "tank/home")
    run(vm, "zfs", "create", "-o", "mountpoint=/srv/data", "tank/data")
    vm.put("/tank/home/letter", "a letter\n")
    vm.put("/srv/data/table", "a table\n")
    said = walk(vm, "3.1", "3.2", "3.3", "3.4", "3.5", "3.6", disks=vm.disk(2))
    assert "every snapshot has arrived" in said and "NOT encrypted" not in said
    return keep_shown_key(vm, said)


def assert_all_is_there(vm):
    assert not is_locked(vm, "vault")
    assert mounted(vm) == {"/tank": "vault/tank", "/tank/home": "vault/tank/home", "/srv/data": "vault/tank/data"}
    assert vm.get("/tank/home/letter") == "a letter\n" and vm.get("/srv/data/table") == "a table\n"


@pytest.mark.usefixtures("moved")
def test_the_new_pool_is_where_the_old_one_was(vm):
    assert_all_is_there(vm)


@pytest.mark.usefixtures("moved")
def test_each_boot_opens_it(vm):
    walk(vm, "7")
    vm.reboot()
    vm.run(["systemctl", "is-system-running", "--wait"])
    assert run(vm, "systemctl", "is-active", "zseal-unlock.service").strip() == "active"
    assert_all_is_there(vm)
    unlocked = [entry for entry in vm.journal("-b", "-t", "zseal") if entry.get("ZSEAL_DATASET") == "vault"]
    assert unlocked and unlocked[-1]["_SYSTEMD_UNIT"] == "zseal-unlock.service"


def test_the_end_of_the_old_pool(vm, moved):
    walk(vm, "3.1", "3.7", disks=vm.disk(2))
    assert run(vm, "zpool", "list", "-H", "-o", "name").split() == ["vault"]
    assert "zseal-" not in run(vm, "zfs", "list", "-H", "-t", "snapshot", "-o", "name")
    zseal(vm, "lock", "--unmount", "vault")
    zseal_with_key(vm, moved, "unlock", "--mount", "vault")
    assert_all_is_there(vm)


def test_in_the_same_pool(vm):
    """Section 4: there are no disks for another pool."""
    run(vm, "zpool", "create", "pond", vm.disk(3))
    run(vm, "zfs", "create", "pond/home")
    vm.put("/pond/home/letter", "another letter\n")
    said = walk(vm, "4.1", "4.2", pool="pond", safe="pond/safe", part="home")
    keep_shown_key(vm, said)
    assert "every snapshot has arrived" in said and "pond/home" not in run(vm, "zfs", "list", "-H", "-o", "name").split()
    assert mounted(vm)["/pond/home"] == "pond/safe/home" and vm.get("/pond/home/letter") == "another letter\n"
    zseal(vm, "lock", "--unmount", "pond/safe")
    zseal(vm, "unlock", "--mount", "pond/safe")
    assert vm.get("/pond/home/letter") == "another letter\n"
