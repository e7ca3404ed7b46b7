# SPDX-License-Identifier: MIT
"""What each attacker of docs/threat-model.md gets, where no other test has it; also what zseal does not protect from.

Guarantees: an attacker here uses what he would use, the stock tools, as the user that he is.
"""
import json
import re

import pytest

import canaries
import headers
from conftest import (assert_done, assert_opens, assert_opens_with_key, assert_refused, assert_said, create_pool,
                      is_locked, keep_secret, lock, one_zfs, pipe_with, run, zseal)
from steps import environment, needs_strace
from test_documents import FOLDER, FROM_POOL, MAC, OPEN, TPM, blocks, prepare

pytestmark = one_zfs

USER = 1000
RIGHT_PIN = "a PIN, 4 to 64 bytes"
UNSEAL = bytes.fromhex("0000015e")  # TPM_CC_Unseal


@pytest.fixture
def tank(node):
    made = create_pool(node)
    lock(node, "tank")
    return made


# ---- a listener on the TPM's bus ----

SOCKET = r"^\d+ +(\w+)\(\d+<[\w-]+:\[(\d+).*"
TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})+)"')


def bytes_on_the_bus(node, argv):
    """Everything that the programs of a command line and the TPM's device told each other. In the lab that is a socket,
    known by its inode from its connect() on."""
    log = node.folder / "bus.strace"
    done = node.run(["strace", "-f", "-qq", "-xx", "-yy", "-s", "100000", "-e", "trace=connect,read,write,recvfrom,"
                     "sendto,readv,writev,recvmsg,sendmsg", "-o", log, *argv], env=environment())
    assert done.returncode == 0, done.stderr
    buses, passed = set(), b""
    for call in re.finditer(SOCKET, log.read_text(), re.MULTILINE):
        texts = b"".join(bytes.fromhex(text.replace("\\x", "")) for text in TEXT.findall(call[0]))
        if call[1] == "connect" and texts.startswith(b"/dev/tpm"):
            buses.add(call[2])
        elif call[2] in buses:
            passed += texts
    return passed


@needs_strace
def test_listener_on_the_bus_reads_no_key(node):
    """The same search finds the slot's secret where a stock tool asks for it without such a session."""
    made = create_pool(node, args=["--handle", "0x81010001", "--pcrs", "none"])
    search = canaries.Search(canaries.secrets_of(node, made))
    lock(node, "tank")
    unseal = ("export TPM2TOOLS_TCTI=device:/dev/tpmrm0 && tpm2_startauthsession -Q --policy-session -S session && "
              "tpm2_unseal -Q -c 0x81010001 -p session:session -o /dev/null && tpm2_flushcontext session")
    plain = bytes_on_the_bus(node, ["bash", "-c", f"cd {FOLDER} && {unseal}"])
    assert search.in_bytes(plain) == {"secret of slot tpm2-a"}
    passed = bytes_on_the_bus(node, ["zseal", "unlock", "tank"])
    assert UNSEAL in passed and not search.in_bytes(passed)
    assert not is_locked(node, "tank")
    run(node, "zfs", "unload-key", "tank")
    passed = bytes_on_the_bus(node, prepare(node, blocks("1", *FROM_POOL, *TPM, *OPEN, *MAC, "6", "7")))
    assert UNSEAL in passed and not search.in_bytes(passed)
    assert not is_locked(node, "tank")


# ---- a thief of the disks ----

def test_thief_of_the_disks_sees_names_and_the_header_and_opens_nothing(node, tank):
    node.stop()
    thief = node.world.node("thief")
    run(thief, "zpool", "import", "-N", "-f", "tank")
    header = headers.read(thief)
    assert set(header.slots) == {"tpm2-a", "recovery"}
    assert_refused(zseal(thief, "unlock", "tank", "--trust", tank.fingerprint), "tpm-not-mine", "slot tpm2-a")
    guess = headers.second.recovery_print(bytes(20))
    with pytest.raises(headers.second.HeaderError):
        headers.second.open_all(header.keyring, header.slots, header.records, guess)
    assert is_locked(thief, "tank")


def test_thief_of_the_disks_can_plant_what_is_not_encrypted(node, tank):
    """ZFS lets him, without any key. What he planted is not taken for an encrypted child, and nothing is mounted."""
    node.stop()
    thief = node.world.node("thief")
    run(thief, "zpool", "import", "-N", "-f", "tank")
    run(thief, "zfs", "create", "-u", "-o", "encryption=off", "-o", "mountpoint=/etc", "tank/planted")
    run(thief, "zfs", "set", "mountpoint=/etc", "tank")
    run(thief, "zpool", "export", "tank")
    thief.stop()
    node.start()
    run(node, "zpool", "import", "-N", "-f", "tank")
    assert is_locked(node, "tank")
    assert_opens(node, "tank")
    assert [root["dataset"] for root in assert_done(zseal(node, "status", "--json")).json["roots"]] == ["tank"]
    assert run(node, "zfs", "get", "-rH", "-o", "value", "mounted", "tank").split() == ["no", "no"]
    assert tank.fingerprint in zseal(node, "status").stdout


# ---- somebody who may set properties ----

def test_delegated_user_can_lock_out_for_an_hour_and_deceive_nobody(node, tank):
    """He has `zfs allow userprop`: he spoils a slot, then the whole header, then puts his own in its place."""
    run(node, "zfs", "allow", "-u", str(USER), "userprop", "tank")
    header = headers.read(node)
    keys = {d: k[0] for d, k in headers.open_with(node, header, tank.recovery_key).wrapping_keys.items()}

    def as_user(name, value):
        run(node, "zfs", "set", f"{name}={value}", "tank", uid=USER)

    as_user("zseal:slot.tpm2-a", "{}")
    result = assert_opens_with_key(node, "tank", tank.recovery_key)
    assert_said(result.stderr, "mac", "WARNING: tank")
    run(node, "zfs", "unload-key", "tank")
    his, his_key = headers.exchanged(node, header, keys)
    as_user("zseal:keyring", his.keyring)
    as_user("zseal:slot.recovery", his.slots["recovery"])
    as_user("zseal:key", his.records["tank"])
    assert_refused(zseal(node, "unlock", "tank"), "pin-fingerprint", tank.fingerprint)
    assert is_locked(node, "tank") and his_key != tank.recovery_key
    as_user("zseal:keyring", "\"")
    assert_refused(zseal(node, "unlock", "tank"), "format", "tank")
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank")
    assert headers.read(node) == header


def test_user_without_rights_reads_the_header_and_changes_nothing(node, tank):
    header = json.loads(run(node, "zfs", "get", "-H", "-o", "value", "zseal:keyring", "tank", uid=USER))
    assert header["rings"][0]["ring"]["uuid"] == tank.keyring
    for argv in (["zfs", "set", "zseal:keyring=x", "tank"], ["zfs", "inherit", "zseal:keyring", "tank"],
                 ["zfs", "load-key", "tank"], ["cat", "/dev/tpmrm0"], ["zseal", "unlock", "tank"]):
        assert node.run(argv, input="x" * 32, uid=USER).returncode != 0
    assert headers.get(node, "tank", "zseal:keyring") == headers.second.dump(header)
    assert is_locked(node, "tank")
    assert_opens(node, "tank")


# ---- a thief of the whole machine ----

DICTIONARY = ["tpm2_dictionarylockout", "-T", "device:/dev/tpmrm0"]


def try_pin(node, pin):
    with pipe_with(pin + "\n") as fd:
        return zseal(node, "unlock", "tank", "--pin-fd", str(fd), pass_fds=(fd,))


@pytest.fixture
def pinned(node):
    """A locked pool whose TPM slot needs a PIN."""
    made = create_pool(node, args=["--no-tpm"])
    keep_secret(node.world, RIGHT_PIN)
    with pipe_with(RIGHT_PIN + "\n") as pin, pipe_with(made.recovery_key + "\n") as key:
        assert_done(zseal(node, "slot", "add", "tank", "tpm2", "--new-pin-fd", str(pin), "--recovery-fd", str(key),
                          pass_fds=(pin, key)))
    lock(node, "tank")
    return made


def guess_until_lockout(node):
    assert_refused(try_pin(node, "another PIN"), "pin-wrong", "slot tpm2-a")
    node.tpm.lockout()
    assert_refused(try_pin(node, RIGHT_PIN), "tpm-lockout", "slot tpm2-a")
    assert is_locked(node, "tank")


def test_thief_of_the_machine_guesses_a_pin_a_few_times(node, pinned):
    """If lockoutAuth is set, which is then all that ends it before its time. The owner's recovery key opens."""
    run(node, "tpm2_changeauth", "-T", "device:/dev/tpmrm0", "-c", "lockout", "a password of the owner")
    guess_until_lockout(node)
    assert node.run([*DICTIONARY, "-c"]).returncode != 0
    assert_refused(try_pin(node, RIGHT_PIN), "tpm-lockout", "slot tpm2-a")
    assert_opens_with_key(node, "tank", pinned.recovery_key)


@pytest.mark.usefixtures("pinned")
def test_thief_of_the_machine_guesses_without_limit_if_lockout_auth_is_empty(node):
    guess_until_lockout(node)
    run(node, *DICTIONARY, "-c")
    assert_done(try_pin(node, RIGHT_PIN))
    assert not is_locked(node, "tank")


# ---- what does not protect ----

def follow_as(node, group, *sections):
    """The steps of docs/without-zseal.md as a user in this group."""
    script = blocks(*sections).replace("mktemp -d /run/", f"mktemp -d {FOLDER}/user/")
    run(node, "install", "-d", "-m", "0777", f"{FOLDER}/user")
    argv = prepare(node, script)
    run(node, "chmod", "0755", FOLDER, "/run/lab")
    done = node.run(["setpriv", f"--reuid={USER}", f"--regid={group}", "--clear-groups", *argv])
    return done.stdout + done.stderr


def test_group_tss_opens_a_slot_without_a_pin(node, tank):
    """Any user reads the header; who may use the TPM as well has the keyring's key. PCRs do not tell users apart."""
    sections = ["1", *FROM_POOL, *TPM, *OPEN, *MAC]
    said = follow_as(node, USER, *sections)
    assert "the MAC is right" not in said and tank.fingerprint not in said
    said = follow_as(node, "tss", *sections)
    assert "the MAC is right" in said and tank.fingerprint in said.splitlines(), said
    assert is_locked(node, "tank")
    assert_opens(node, "tank")


def test_removed_slot_opens_from_the_pools_history(node, tank):
    """Removing a slot revokes nothing: its wrap of the same keyring key is still to be read."""
    headers.put(node, "tank", "zseal:slot.recovery", None)
    old = re.findall(r" set tank \(\d+\) zseal:slot\.recovery=(.*)", run(node, "zpool", "history", "-i", "tank"))
    header = headers.read(node)
    assert "recovery" not in header.slots and old
    header.slots["recovery"] = old[-1]
    keys = headers.open_with(node, header, tank.recovery_key).wrapping_keys["tank"]
    assert len(keys) == 1
    assert_opens(node, "tank")


def test_order_of_slots_is_no_protection(node, tank):
    """The TPM comes last and opens all the same, since the others do not answer."""
    header = headers.read(node)
    headers.write(node, headers.sealed_again(node, header, tank.recovery_key,
                                             lambda ring: ring.update(order=["recovery", "tpm2-a"])))
    result = assert_opens(node, "tank")
    assert "(slot tpm2-a)" in result.stdout and "WARNING" not in result.stderr


def test_whatever_runs_with_the_same_pcrs_opens(node, tank):
    """PCR 7 knows who signed what boots, not what it is: another kernel or command line (PCR 9, PCR 4) is the same."""
    for pcr in (0, 4, 9):
        node.tpm.extend(pcr, "a live system that the same vendor signed")
    said = node.run(prepare(node, blocks("1", *FROM_POOL, *TPM, *OPEN))).stdout
    assert tank.fingerprint in said.splitlines()
    assert_opens(node, "tank")
