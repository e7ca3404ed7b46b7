# SPDX-License-Identifier: MIT
"""docs/first-steps.md, as a reader with nothing else does it: its blocks are pasted into one bash at a terminal, and a
person writes the recovery key down, types groups of it back, and keeps old keys when asked.

Guarantees: every block that is marked for the lab is run here; every other one is marked for a virtual machine or a
checkout, or its section says that it was not verified.
"""
import base64
import re
import subprocess

import pytest
import vaulting
from adopting import KEY, assert_adopted, get, make_root, seal_at, write_key
from conftest import (ROOT, Dialogue, assert_done, assert_opens, assert_opens_with_key, is_locked,
                      keep_recovery_key_secret, lock, one_zfs, run, zseal)

DOCUMENT = ROOT / "docs/first-steps.md"
KEY_SHOWN = "(?:[cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}"
HANDLE = "0x81010001"

# What each test below does, in the lab's worlds.
NEW_POOL = ["2"]
ANOTHER_POOL = ["3.1", "3.2", "3.3", "3.4", "3.5", "3.7"]
SAME_POOL = ["4.1", "4.2"]
KEY_FILE, IN_VAULT, TPM_SCRIPTS = ["5"], ["5.1"], ["6"]


def blocks(*sections, world="lab"):
    return subprocess.run([ROOT / "tools/document-blocks", "--for", world, DOCUMENT, *sections], check=True,
                          capture_output=True, text=True).stdout


def follow(node, script, typed=None, **names):
    """Does this at a terminal with other names in its first lines. Gives what was shown, and the recovery key. typed is
    {pattern of a question: the answer}, besides those that each of them asks."""
    for name, value in names.items():
        assert re.search(f"^{name}=", script, re.MULTILINE), name
        script = re.sub(f"^{name}=.*$", f"{name}={value}", script, flags=re.MULTILINE)
    run(node, "tee", "/run/lab/tmp/steps", input=script)

    def group(found, screen):
        return re.search(KEY_SHOWN, screen).group().split("-")[int(found[1]) - 1]
    with Dialogue(node, ["bash", "-e", "-o", "pipefail", "/run/lab/tmp/steps"]) as person:
        done = person.attend({r"Type group (\d) of the recovery key back: ": group, r"\[y/N\] ": "n",
                              **(typed or {})})
    key = re.search(KEY_SHOWN, done.stdout)
    if key:
        keep_recovery_key_secret(node.world, key.group())
    assert_done(done)
    return done.stdout, key and key.group()


def fill_unencrypted(node, pool="tank"):
    """What people have: properties on every level, a volume, snapshots, a clone."""
    run(node, "zpool", "create", "-O", "mountpoint=none", "-O", "compression=zstd", pool, node.world.disk(1))
    run(node, "zfs", "create", "-o", "compression=gzip", "-o", "zseal.test:mine=yes", f"{pool}/home")
    run(node, "zfs", "create", "-o", "quota=100M", f"{pool}/home/anna")
    run(node, "zfs", "create", "-s", "-V", "8M", f"{pool}/vm")
    run(node, "zfs", "snapshot", "-r", f"{pool}@monday")
    run(node, "zfs", "clone", f"{pool}/home/anna@monday", f"{pool}/aclone")


def names(node, dataset):
    """All that is below a dataset, snapshots too, without its own name."""
    listed = run(node, "zfs", "list", "-H", "-r", "-t", "all", "-o", "name", dataset).split()
    return {name.removeprefix(dataset) for name in listed}


def assert_encrypted_under(node, root, dataset):
    listed = run(node, "zfs", "list", "-H", "-r", "-t", "filesystem,volume", "-o", "encryption,encryptionroot",
                 dataset).split("\n")[:-1]
    assert set(listed) == {f"aes-256-gcm\t{root}"}


# ---- the walks ----

def test_a_new_pool(node):
    said, key = follow(node, blocks(*NEW_POOL), disks=node.world.disk(1))
    assert "tank: unlocked (slot tpm2-a)" in said and "opens for a thief of the disks: no" in said
    assert node.path("/root/tank.zseal-header").exists()
    lock(node, "tank")
    assert_opens_with_key(node, "tank", key)


def test_from_an_unencrypted_pool_to_another(node):
    fill_unencrypted(node)
    before = names(node, "tank")
    said, key = follow(node, blocks(*ANOTHER_POOL), disks=node.world.disk(2))
    assert "every snapshot has arrived" in said and "NOT encrypted" not in said
    assert {name for name in names(node, "vault/tank") if "zseal-" not in name} == before
    assert not [name for name in names(node, "vault/tank") if "zseal-" in name]
    assert_encrypted_under(node, "vault", "vault")
    assert get(node, "vault/tank/home/anna", "compression") == "gzip"
    assert get(node, "vault/tank/home/anna", "quota") == str(100 << 20)
    assert get(node, "vault/tank/home", "zseal.test:mine") == "yes"
    assert get(node, "vault/tank/aclone", "origin") == "vault/tank/home/anna@monday"
    lock(node, "vault")
    assert_opens(node, "vault")
    lock(node, "vault")
    assert_opens_with_key(node, "vault", key)
    assert names(node, "tank") >= before, "the old pool is as it was"


@one_zfs
def test_what_did_not_arrive_is_noticed(node):
    """The document's comparison is worth something: one snapshot less, and one dataset that is not encrypted."""
    fill_unencrypted(node)
    follow(node, blocks("3.1", "3.2", "3.3", "3.4"), disks=node.world.disk(2))
    run(node, "zfs", "destroy", "vault/tank/vm@monday")
    run(node, "zfs", "create", "-o", "encryption=off", "vault/plain")
    run(node, "tee", "/run/lab/tmp/steps", input=blocks("3.1", "3.5"))
    said = node.run(["bash", "/run/lab/tmp/steps"]).stdout
    assert "/vm@monday" in said and "every snapshot has arrived" not in said
    assert "NOT encrypted: vault/plain" in said


def test_from_unencrypted_datasets_in_the_same_pool(node):
    fill_unencrypted(node)
    run(node, "zfs", "destroy", "tank/aclone")
    before = names(node, "tank/home")
    said, key = follow(node, blocks(*SAME_POOL))
    assert "every snapshot has arrived" in said
    assert names(node, "tank/safe/home") == before | {"@zseal-1", "/anna@zseal-1"}
    assert "/home" not in names(node, "tank")
    assert_encrypted_under(node, "tank/safe", "tank/safe")
    assert_adopted(node, "tank/safe", key)


def test_from_a_key_file(node):
    node.path("/etc/zfs").mkdir(exist_ok=True)
    make_root(node, "tank", "raw", location="file:///etc/zfs/tank.key")
    said, key = follow(node, blocks(*KEY_FILE))
    assert "would be adopted" in said and "/etc/zfs/tank.key: still there" in said
    assert "tank: unlocked (slot tpm2-a)" in said and "tank is adopted already" in said
    assert not node.path("/etc/zfs/tank.key").exists()
    assert_adopted(node, "tank", key)


@one_zfs
def test_from_a_key_in_vault(node):
    """Wrapped by Transit; the plain one has the same steps without one line."""
    bao = vaulting.Vault(node)
    bao.must("POST", "sys/mounts/transit", {"type": "transit"})
    wrapped = bao.must("POST", "transit/encrypt/zfs-wrapper", {"plaintext": base64.b64encode(KEY).decode()})
    bao.must("POST", "secret/data/zfs-keys/a", {"data": {"key": wrapped["data"]["ciphertext"]}})
    make_root(node, "tank", "raw")
    said, key = follow(node, blocks(*IN_VAULT), {"Token: ": bao.token}, BAO_ADDR=bao.address, BAO_CACERT=bao.ca)
    assert "KV entry secret/zfs-keys/a: still there" in said
    assert "tank: unlocked (slot tpm2-a)" in said and "destroyed with all its versions" in said
    assert bao.ask("GET", "secret/metadata/zfs-keys/a")[0] == 404
    assert bao.token not in said
    assert_adopted(node, "tank", key)


@one_zfs
def test_from_scripts_around_a_tpm(node):
    make_root(node, "tank", "raw")
    seal_at(node, HANDLE, KEY, "sha256:7")
    said, key = follow(node, blocks(*TPM_SCRIPTS))
    assert "would be adopted" in said and f"TPM handle {HANDLE}: still there" in said
    assert "tank: unlocked (slot tpm2-a)" in said
    assert HANDLE not in run(node, "tpm2_getcap", "handles-persistent")
    assert_adopted(node, "tank", key)


@one_zfs
def test_from_another_key_file(node):
    """Section 5's sentence about it."""
    assert "`zseal adopt --key-file FILE tank`" in DOCUMENT.read_text()
    make_root(node, "tank", "raw")
    write_key(node, "/run/own.key", KEY)
    follow(node, "zseal adopt --key-file /run/own.key tank\n")
    assert not is_locked(node, "tank")
    assert_done(zseal(node, "header", "verify", "tank"))


# ---- what is not run in the lab ----

def test_the_checkout_installs_the_program(tmp_path):
    """Section 1: its last line, into a folder of its own; the lines before it built what is tested here."""
    assert blocks("1", world="checkout").split("\n")[-2] == "make install"
    subprocess.run(["make", "install", f"DESTDIR={tmp_path}"], cwd=ROOT, check=True, capture_output=True, timeout=300)
    installed = tmp_path / "usr/sbin/zseal"
    assert subprocess.run([installed, "version"], check=True, capture_output=True, text=True).stdout.startswith("zseal ")


@pytest.mark.skipif(not subprocess.run(["sh", "-c", "command -v systemd-analyze"], capture_output=True,
                                       check=False).stdout, reason="this machine can't: it has no systemd-analyze")
def test_the_unit_is_one(tmp_path):
    text = re.search(r"<<'END'\n(.*?)^END$", blocks("7", world="vm"), re.MULTILINE | re.DOTALL)[1]
    unit = tmp_path / "zseal-unlock.service"
    unit.write_text(text.replace("/usr/sbin/zseal", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert done.returncode == 0 and unit.name not in done.stderr, done.stderr


def sections():
    """(number, text) of each."""
    parts = re.split(r"^#+ (\d[\d.]*?)\.? .*$", DOCUMENT.read_text(), flags=re.MULTILINE)
    return list(zip(parts[1::2], parts[2::2]))


def test_every_block_is_run_somewhere_or_says_that_it_is_not():
    done_here = {*NEW_POOL, *ANOTHER_POOL, *SAME_POOL, *KEY_FILE, *IN_VAULT, *TPM_SCRIPTS}
    found = set()
    for number, text in sections():
        for info in re.findall(r"^```(.+)$", text, re.MULTILINE):
            language, *worlds = info.split()
            assert language == "sh" and worlds and set(worlds) <= {"lab", "vm", "checkout", "proxmox"}, info
            assert "lab" not in worlds or number in done_here, f"section {number} has a block that nobody runs"
            assert "proxmox" not in worlds or "**Not verified" in text, number
            found |= set(worlds)
    assert found == {"lab", "vm", "checkout", "proxmox"}
