# SPDX-License-Identifier: MIT
"""docs/recovery.md, row by row: the damage is done, the row's sentence is what zseal says, its commands are typed as
they stand by a person who has the paper, and then the pool opens.

Guarantees: no row with commands is left out, and none here that the document has no more.
"""
import re
from typing import NamedTuple

import pytest

import headers
from conftest import (ERRORS, ROOT, Dialogue, assert_done, assert_opens, assert_opens_with_key, assert_refused,
                      create_pool, is_locked, keep_recovery_key_secret, lock, one_zfs, pipe_with, run,
                      unlock_with_key, zseal, zseal_with_key)
from test_repair import KEY, KEYRING, SLOT
from typed import configure_cheap

pytestmark = one_zfs

DOCUMENT = ROOT / "docs/recovery.md"
KEY_SHOWN = "(?:[cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}"
PINS, COPY = "/etc/zseal/pins", "/root/tank.zseal-header"


def rows():
    """{first cell: commands} of the table."""
    cells = re.findall(r"^\| (?!what you see)([`*].+?) \| (.*) \| (.*?) ?\|$", DOCUMENT.read_text(), re.MULTILINE)
    return {seen.strip("`*"): re.findall(r"`((?:zseal|zpool) [^`]+)`", todo) for seen, _, todo in cells}


ROWS = rows()


# ---- the damage ----

def pcrs(node, _):
    node.tpm.change_boot_chain()
    node.reboot()


def gone(node, _):
    """The disks are in another machine."""
    node.stop()
    return node.world.node("b")


def moved(node, tank):
    """The same, and the other one opened the pool by the recovery key already."""
    other = gone(node, tank)
    run(other, "zpool", "import", "-f", "-N", "tank")
    assert_opens_with_key(other, "tank", tank.recovery_key)
    run(other, "zfs", "unload-key", "tank")
    return other


def lockout(node, _):
    """Of a slot with a PIN, which is all that there is beside the recovery key."""
    with pipe_with("4711 4711\n") as fd:
        assert_done(zseal(node, "slot", "add", "tank", "tpm2", "--name", "own", "--new-pin-fd", str(fd), pass_fds=(fd,)))
    assert_done(zseal(node, "slot", "remove", "tank", "tpm2-a"))
    node.tpm.lockout()


def another_keyring(node, tank):
    """Under the same UUID, made by somebody who has the keys: what an owner could do, too."""
    header = headers.read(node)
    keys = {d: k[0] for d, k in headers.open_with(node, header, tank.recovery_key).wrapping_keys.items()}
    newer, _ = headers.exchanged(node, header, keys, headers.second.recovery_parse(tank.recovery_key))
    headers.write(node, newer)


def rolled_back(node, _):
    text = node.path(PINS).read_text()
    node.path(PINS).write_text(text.replace('"generation":1', '"generation":2'))


def put(name, change):
    return lambda node, _: headers.put(node, "tank", name, change(headers.get(node, "tank", name)))


def another_roots_record(node, tank):
    headers.add_root(node, tank, "tank/a")
    headers.put(node, "tank", KEY, headers.get(node, "tank/a", KEY))
    run(node, "zfs", "unload-key", "tank/a")


def cut_off(node, _):
    """As by a crash: the copy of the new header is written, the pool is not."""
    before, pins = headers.read(node), node.path(PINS).read_text()
    assert_done(zseal(node, "slot", "add", "tank", "tpm2", "--name", "spare"))
    headers.put(node, "tank", "zseal:slot.spare", None)
    headers.write(node, before)
    node.path(PINS).write_text(pins)


def raw_replica(node, _):
    """Of the whole pool, without properties, where its own disks and this machine's copies are gone."""
    assert_done(zseal(node, "header", "backup", "tank", "--output", COPY))
    run(node, "zpool", "create", "-O", "mountpoint=none", "backup", node.world.disk(2))
    run(node, "zfs", "snapshot", "tank@s")
    run(node, "sh", "-c", "zfs send -w tank@s | zfs receive -u backup/tank")
    run(node, "zpool", "destroy", "tank")
    run(node, "rm", "-rf", "/var/lib/zseal/header", PINS)


def only_paper(node, tank):
    assert_done(zseal_with_key(node, tank.recovery_key, "slot", "test", "tank", "recovery"))
    assert_done(zseal(node, "slot", "remove", "tank", "tpm2-a"))


def nothing(_, __):
    pass


class Case(NamedTuple):
    """How a row comes about: damage may give another machine. By which verb it is seen, if by one. Whether the pool
    opens without a person afterwards. What its dataset is called."""
    damage: object
    verb: str = "unlock"
    alone: bool = True
    dataset: str = "tank"


CASES = {
    "the PCRs differ from those that the slot was sealed to": Case(pcrs),
    "the TPM has no live PCR bank for this": Case(lambda node, _: node.tpm.no_sha256_bank(), alone=False),
    "this machine's TPM was cleared or its storage root key exchanged": Case(lambda node, _: node.tpm.clear()),
    "sealed by another machine's TPM": Case(moved),
    "no TPM answers": Case(lambda node, _: node.tpm.off(), alone=False),
    "the TPM is in dictionary-attack lockout": Case(lockout, verb="unlock --pin-fd 0", alone=False),
    "this machine has never seen this keyring": Case(lambda node, _: node.path(PINS).unlink()),
    "the keyring is not the one that this machine remembers": Case(another_keyring, alone=False),
    "the header is older than the one that this machine remembers": Case(rolled_back),
    "the keyring's slots were changed or half-written": Case(
        put(SLOT, lambda value: headers.changed(value, lambda slot: slot.update(created=1)))),
    "the stored value is damaged": Case(put(KEYRING, lambda _: "{}")),
    "no zseal keyring found here": Case(put(KEYRING, lambda _: None)),
    "the encryption root has no key record of this keyring": Case(put(KEY, lambda _: None)),
    "ZFS refused the key: it is not this encryption root's": Case(another_roots_record),
    "no slot opened the keyring": Case(only_paper, alone=False),
    "there is no such dataset or pool": Case(lambda node, _: run(node, "zpool", "export", "tank") and None),
    "a change to generation 2 begun on": Case(cut_off, verb="status"),
    "the machine is gone; its disks are in another one": Case(gone, verb=""),
    "only a raw replica is left, received without properties": Case(raw_replica, verb="", dataset="backup/tank"),
    "the paper is lost, and the TPM still opens it": Case(nothing, verb=""),
}


# ---- the person ----

def type_line(node, tank, line):
    """Types it into a shell at a terminal, and answers as somebody does who has the paper."""
    def group(found, screen):
        return re.findall(KEY_SHOWN, screen)[-1].split("-")[int(found[1]) - 1]
    answers = {r"Recovery key .*: ": tank.recovery_key, r"Type yes.*: ": "yes",
               r"Type group (\d) of the recovery key back: ": group}
    with Dialogue(node, ["bash", "-c", line]) as person:
        done = person.attend(answers)
    for key in re.findall(KEY_SHOWN, done.stdout):
        keep_recovery_key_secret(node.world, key)
    return done


def assert_is_told(node, case, seen):
    """The words, in what a person would look at first."""
    if case.verb:
        result = zseal(node, *case.verb.split(), "tank", input="4711 4711\n")
        assert seen in result.stdout + result.stderr, result


MAY_FAIL = {  # it tells by its status that something is wrong; it says that there is no newer copy, and asks for the next
    "zseal header verify tank", "zseal repair tank",
}


def before_the_commands(node, seen):
    """What a row says in words: a line of a file, the firmware's set-up."""
    if seen == "the keyring is not the one that this machine remembers":
        node.path(PINS).unlink()


def before_the_last_command(node, seen):
    if seen == "no TPM answers":
        node.tpm.on()


@pytest.mark.parametrize("seen", CASES)
def test_row(node, seen):
    configure_cheap(node)
    case, tank = CASES[seen], create_pool(node)
    where = case.damage(node, tank) or node
    where.run(["zfs", "unload-key", "tank"])
    assert_is_told(where, case, seen)
    before_the_commands(where, seen)
    for line in ROWS[seen]:
        if line == ROWS[seen][-1]:
            before_the_last_command(where, seen)
        done = type_line(where, tank, re.sub(r"\btank$", case.dataset, line))
        assert done.status == 0 or line in MAY_FAIL, done
    assert not is_locked(where, case.dataset) or case.alone
    if case.alone:
        where.run(["zfs", "unload-key", case.dataset])
        assert assert_opens(where, case.dataset).stderr == ""


def test_a_new_recovery_key_takes_the_place_of_the_lost_one(node):
    """The row has more to it: the new one opens, the lost one does not."""
    tank = create_pool(node)
    (line,) = ROWS["the paper is lost, and the TPM still opens it"]
    new = re.search(KEY_SHOWN, type_line(node, tank, line).stdout).group()
    lock(node, "tank")
    assert_refused(unlock_with_key(node, tank.recovery_key, "tank"), "recovery-wrong")
    assert_opens_with_key(node, "tank", new)


def test_the_table_is_all_played_through():
    assert {seen for seen, commands in ROWS.items() if commands} == set(CASES)
    sentences = {error.sentence for error in ERRORS.values()}
    assert sum(seen in sentences for seen in ROWS) > 14
    for seen, case in CASES.items():
        assert not case.verb or seen in sentences or seen.startswith("a change to generation"), seen
