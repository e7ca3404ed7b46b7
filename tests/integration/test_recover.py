# SPDX-License-Identifier: MIT
"""recover: from a recovery key, and a header wherever it is, to a machine that opens the pool by itself again."""
import json
import subprocess

import pytest

import headers
from conftest import (ERRORS, EXIT_STATUS, Result, assert_done, assert_nothing_secret, assert_opens,
                      assert_opens_with_key, assert_refused, assert_refused_json, create_pool, is_locked, lock,
                      new_world, one_zfs, run, zseal, zseal_at_terminal, zseal_with_key)
from figures import count
from steps import chosen, needs_strace, programs, run_with_signal, steps_of, wait_for_end
from test_repair import KEY, KEYRING, RECOVERY, SLOT, assert_whole, fill, forget_copies, hide_history, keyring_status


@pytest.fixture
def tank(node):
    made = create_pool(node)
    lock(node, "tank")
    return made


def recover(node, tank, *argv):
    return zseal_with_key(node, tank.recovery_key, "recover", "tank", *argv)


def slots(node, dataset="tank"):
    return set(headers.read(node, dataset).slots)


def move(world, pool="tank", name="b"):
    """The disks are in another machine now."""
    old, new = world.node("a"), world.node(name)
    old.stop()
    run(new, "zpool", "import", "-f", pool)
    return new


def lose(node, *datasets):
    """Everything of zseal's in the pool."""
    for dataset in datasets:
        for name in (KEYRING, KEY, SLOT, RECOVERY):
            headers.put(node, dataset, name, None)


def assert_untouched(node, before, dataset="tank"):
    assert headers.read(node, dataset) == before


# ---- what happens to machines ----

def test_cleared_tpm(node, tank):
    node.tpm.clear()
    assert_refused(zseal(node, "unlock", "tank"), "tpm-cleared", "tank")
    seen = assert_done(recover(node, tank, "--dry-run"))
    assert "slot tpm2-a is made anew for this machine's TPM: " + ERRORS["tpm-cleared"].sentence in seen.stdout
    assert is_locked(node, "tank") and keyring_status(node)["generation"] == 1
    result = assert_done(recover(node, tank, "--yes"))
    assert "tank: unlocked\n" in result.stdout and "opens it by slot tpm2-a" in result.stdout
    assert "next: zseal header backup tank --output FILE" in result.stdout
    assert slots(node) == {"tpm2-a", "recovery"} and keyring_status(node)["generation"] == 2
    again = assert_done(recover(node, tank))
    assert "slot tpm2-a opens with this machine's TPM" in again.stdout
    assert keyring_status(node)["generation"] == 2
    assert_whole(node, tank)


def test_disks_in_another_machine(world, node, tank):
    other = move(world)
    assert_refused(zseal(other, "unlock", "tank"), "pin-missing", "tank")
    result = assert_done(recover(other, tank, "--yes", "--json"))
    assert result.json["tpm"] == {"plan": "add", "slot": "tpm2-b"} and result.json["unlocked"] == 1
    assert slots(other) == {"tpm2-a", "tpm2-b", "recovery"}
    assert_whole(other, tank)
    said = assert_done(recover(other, tank)).stdout
    assert "slot tpm2-a is another machine's and stays; if that one is gone: zseal slot remove tank tpm2-a" in said
    run(other, "zpool", "export", "tank")
    node.start()
    run(node, "zpool", "import", "-f", "tank")
    assert_opens(node, "tank")


@one_zfs
def test_another_board_with_a_fresh_system_and_the_same_name(world, node, tank):
    """Nothing of /etc and /var is left, the TPM is another: the slot of that name was this machine's."""
    node.tpm.clear()
    run(node, "sh", "-c", "rm -rf /etc/zseal/pins /var/lib/zseal/*")
    result = assert_done(recover(node, tank, "--yes"))
    assert "slot tpm2-a is made anew" in result.stdout
    assert slots(node) == {"tpm2-a", "recovery"} and world.node("a") is node
    assert_whole(node, tank)


@one_zfs
def test_another_boot_chain(node, tank):
    node.tpm.change_boot_chain()
    node.reboot()
    assert_refused(zseal(node, "unlock", "tank"), "tpm-policy", "tank")
    assert ERRORS["tpm-policy"].sentence in assert_done(recover(node, tank, "--yes")).stdout
    assert_whole(node, tank)


@one_zfs
def test_no_tpm(node, tank):
    node.tpm.off()
    before = headers.read(node)
    assert_refused(recover(node, tank, "--yes"), "tpm-missing", "--no-tpm goes without")
    assert_untouched(node, before)
    result = assert_done(recover(node, tank, "--no-tpm"))
    assert "tank: unlocked" in result.stdout and "opens it by slot" not in result.stdout
    assert not is_locked(node, "tank")
    assert_untouched(node, before)


# ---- the header is elsewhere ----

@pytest.mark.parametrize("where", ["copy", "history", "file"])
def test_properties_gone(world, node, tank, where):
    assert_done(zseal(node, "slot", "reseal", "tank"))
    headers.add_root(node, tank, "tank/a")
    text = json.dumps({})
    if where != "history":
        assert_done(zseal(node, "header", "backup", "tank"))
        text = node.path(f"/var/lib/zseal/header/{tank.keyring}/2").read_text()
    lock(node, "tank")
    before = headers.read(node)
    lose(node, "tank", "tank/a")
    argv = []
    if where != "copy":
        node = move(world)
    if where == "file":
        hide_history(node)
        assert_refused(recover(node, tank, "--yes"), "no-copy", "cannot be recovered from here")
        node.path("/run/copy").write_text(text)
        argv = ["--from", "/run/copy"]
    result = assert_done(recover(node, tank, "--yes", *argv))
    named = {"copy": f"/var/lib/zseal/header/{tank.keyring}/2", "history": "the history of pool tank",
             "file": "/run/copy"}[where]
    assert f"the keyring comes back from {named}" in result.stdout
    assert f"tank/a: its record comes back from {named}" in result.stdout
    now = headers.read(node)
    assert now.records == before.records and before.slots.items() <= now.slots.items()
    assert keyring_status(node)["generation"] == 3
    assert_whole(node, tank)


@one_zfs
def test_nothing_anywhere(world, node, tank):
    lose(node, "tank")
    other = move(world)
    hide_history(other)
    result = recover(other, tank, "--yes")
    assert_refused(result, "no-copy", "tank", "neither the pool nor its history")
    assert_refused_json(recover(other, tank, "--yes", "--json"), "no-copy", "recover tank")
    assert is_locked(other, "tank")


@one_zfs
def test_history_of_a_renamed_dataset_and_what_a_vandal_wrote_into_it(world, node, tank):
    """Datasets are known by number; a value that looks like a record of ZFS's is no header whose MAC is right."""
    assert_opens(node, "tank")
    headers.add_root(node, tank, "tank/b")
    run(node, "zfs", "rename", "tank/b", "tank/c")
    good = headers.read(node)
    headers.put(node, "tank", "lab:x", "y\n2026-01-01.00:00:00 [txg:999999] set tank (54) " + KEYRING + "=" +
                good.keyring.replace('"generation":1', '"generation":9'))
    headers.put(node, "tank", KEYRING, "{}")
    headers.put(node, "tank/c", KEY, "rubbish")
    lose(node, "tank", "tank/c")
    other = move(world)
    result = assert_done(recover(other, tank, "--yes"))
    headers.put(other, "tank", "lab:x", None)
    assert "tank/c: its record comes back from the history of pool tank" in result.stdout
    assert headers.read(other).records == good.records
    assert not is_locked(other, "tank/c")
    assert_whole(other, tank)


@one_zfs
def test_renamed_pool(node, tank):
    """Its copies name the old one; what is right is shown by the key, of whichever root is named."""
    assert_opens(node, "tank")
    headers.add_root(node, tank, "tank/a")
    assert_done(zseal(node, "header", "backup", "tank"))
    before = headers.read(node)
    lose(node, "tank", "tank/a")
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-d", "/mnt", "tank", "safe")
    hide_history(node)
    assert_done(zseal(node, "header", "restore", "safe/a"))
    now = headers.read(node, "safe")
    assert now.slots == before.slots
    assert now.records == {"safe": before.records["tank"], "safe/a": before.records["tank/a"]}
    lose(node, "safe", "safe/a")
    assert_done(zseal_with_key(node, tank.recovery_key, "recover", "safe/a", "--yes"))
    assert headers.read(node, "safe").records == now.records
    lock(node, "safe")
    assert_opens(node, "safe")
    assert_done(zseal(node, "header", "verify", "safe"))


def test_raw_replica_without_properties(node, tank):
    """The same wrapping key, under another name, in another pool; with no property of its own."""
    assert_opens(node, "tank")
    run(node, "zpool", "create", "-O", "mountpoint=none", "backup", node.world.disk(2))
    run(node, "zfs", "snapshot", "tank@s")
    run(node, "sh", "-c", "zfs send -w tank@s | zfs receive -u backup/tank")
    assert headers.get(node, "backup/tank", KEYRING) is None and is_locked(node, "backup/tank")
    copy = f"/var/lib/zseal/header/{tank.keyring}/1"
    for argv, where in ((["--from", copy], copy), ([], "/var/lib/zseal/header/")):
        result = assert_done(zseal_with_key(node, tank.recovery_key, "recover", "backup/tank", "--yes", *argv))
        assert f"backup/tank: its record comes back from {where}" in result.stdout
        lock(node, "backup/tank")
        assert_opens(node, "backup/tank")
        lock(node, "backup/tank")
        lose(node, "backup/tank")
    assert_opens(node, "tank")
    assert_whole(node, tank)


@one_zfs
def test_raw_replica_of_one_root_alone(node, tank):
    """Which of the copy's records is its own, only ZFS can tell: the copy has them under other names."""
    assert_opens(node, "tank")
    record = headers.add_root(node, tank, "tank/a")
    assert_done(zseal(node, "header", "backup", "tank"))
    run(node, "zpool", "create", "-O", "mountpoint=none", "backup", node.world.disk(2))
    run(node, "zfs", "snapshot", "tank/a@s")
    run(node, "sh", "-c", "zfs send -w tank/a@s | zfs receive -u backup/vm")
    assert_done(zseal_with_key(node, tank.recovery_key, "recover", "backup/vm", "--yes"))
    assert headers.read(node, "backup/vm").records == {"backup/vm": record}
    lock(node, "backup/vm")
    assert_opens(node, "backup/vm")


@one_zfs
def test_hostile_copies(world, node, tank):
    """Of another pool under this one's name, cut off, rubbish: they are looked at and left."""
    other = create_pool(node, "other", 2)
    before = headers.read(node)
    folder = node.path(f"/var/lib/zseal/header/{tank.keyring}")
    text = (folder / "1").read_text()
    foreign = json.loads(node.path(f"/var/lib/zseal/header/{other.keyring}/1").read_text())
    mine = json.loads(text)
    foreign.update(pool="tank", dataset="tank", pool_guid=mine["pool_guid"], saved=mine["saved"] + 1000)
    foreign["records"] = {"tank": foreign["records"]["other"]}
    (folder / "7").write_text(json.dumps(foreign, indent=2) + "\n")
    (folder / "8").write_text(text[:-20])
    (folder / "9").write_text(text.replace('"v\\":1', '"v\\":2'))
    mine["slots"]["recovery"], mine["saved"] = mine["slots"]["tpm2-a"], mine["saved"] + 2000
    (folder / "10").write_text(json.dumps(mine, indent=2) + "\n")
    lose(node, "tank")
    assert_refused(zseal_with_key(node, other.recovery_key, "recover", "tank", "--yes"), "zfs-key-wrong", "tank")
    assert headers.get(node, "tank", KEYRING) is None
    assert_done(recover(node, tank, "--yes"))
    assert headers.read(node).slots == before.slots
    (folder / "7").unlink()
    (folder / "10").unlink()
    assert_whole(node, tank)
    assert world.node("a") is node


# ---- a person ----

@one_zfs
def test_at_a_terminal(node, tank):
    node.tpm.clear()
    before = headers.read(node)
    key = tank.recovery_key
    with zseal_at_terminal(node, "recover", "tank") as person:
        person.expect("Recovery key")
        assert not person.echoes()
        person.type("b" * 48)
        person.expect("mistyped")
        person.expect("Recovery key")
        person.type(key)
        person.expect("slot tpm2-a is made anew")
        person.expect("Type yes")
        person.type("no")
        result = person.end()
    assert result.status == ERRORS["no-input"].status and "nothing was written" in result.stdout
    assert_nothing_secret(node.world, "the screen", result.stdout)
    assert_untouched(node, before)
    with zseal_at_terminal(node, "recover", "tank") as person:
        person.expect("Recovery key")
        person.type(key)
        person.expect("Type yes")
        person.type("yes")
        assert_done(person.end())
    assert_whole(node, tank)


@one_zfs
def test_wrong_key_may_be_typed_again(node, tank):
    other = create_pool(node, "other", 2)
    with zseal_at_terminal(node, "recover", "tank") as person:
        person.expect("Recovery key")
        person.type(other.recovery_key)
        person.expect("belongs to something else")
        person.expect("Recovery key")
        person.type(tank.recovery_key)
        assert_done(person.end())
    assert not is_locked(node, "tank")
    assert_refused(zseal_with_key(node, other.recovery_key, "recover", "tank"), "recovery-wrong", "tank")
    assert_refused(zseal_with_key(node, "c" * 47, "recover", "tank"), "recovery-typo")


@one_zfs
def test_nobody_to_ask(node, tank):
    node.tpm.clear()
    before = headers.read(node)
    assert_refused(recover(node, tank), "no-input", "--yes")
    assert_refused_json(recover(node, tank, "--json"), "no-input", "--yes")
    assert_untouched(node, before)
    assert is_locked(node, "tank")
    # by a slot that needs nobody, where one opens
    assert_refused(zseal(node, "recover", "tank", "--yes"), "tpm-cleared", "tank")


@one_zfs
def test_an_unattended_slot_will_do(node, tank):
    headers.put(node, "tank", RECOVERY, None)
    assert_done(zseal(node, "recover", "tank", "--yes"))
    assert_whole(node, tank)


# ---- bad days ----

@one_zfs
def test_read_only_pool(node, tank):
    node.tpm.clear()
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-d", "/mnt", "-o", "readonly=on", "tank")
    result = recover(node, tank, "--yes")
    assert_refused(result, "zfs-readonly", "tank")
    assert "tank: unlocked" in result.stdout and not is_locked(node, "tank")
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-d", "/mnt", "tank")
    assert_done(recover(node, tank, "--yes"))
    assert_whole(node, tank)


@one_zfs
def test_full_pool(zfs):
    with new_world(zfs, disks=1, disk_size="64M") as world:
        node = world.node("a")
        tank = create_pool(node)
        node.tpm.clear()
        fill(node)
        lock(node, "tank")
        before = headers.read(node)
        assert_refused(recover(node, tank, "--yes"), "zfs-full", "tank")
        assert_untouched(node, before)
        assert not is_locked(node, "tank"), "the data is there before anything is written"
        run(node, "zfs", "destroy", "tank/ballast")
        assert_done(recover(node, tank, "--yes"))
        assert_whole(node, tank)


@one_zfs
def test_vandalised_header(node, tank):
    """What repair would do is done on the way, and asked for in the same words."""
    node.tpm.clear()
    headers.put(node, "tank", SLOT, None)
    headers.put(node, "tank", "zseal:slot.odd", headers.changed(
        headers.get(node, "tank", RECOVERY), lambda slot: slot.update(uuid=slot["uuid"][::-1].replace("-", "")[:8] +
                                                                      slot["uuid"][8:])))
    assert_refused(recover(node, tank, "--yes"), "slot-unknown", "slot odd")
    assert_done(recover(node, tank, "--yes", "--drop", "odd"))
    assert slots(node) == {"tpm2-a", "recovery"}
    assert_whole(node, tank)


@one_zfs
def test_two_at_once(node, tank):
    node.tpm.clear()
    running = []
    for _ in range(2):
        process = node.popen(["zseal", "recover", "tank", "--yes", "--recovery-fd", "0"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process.stdin.write(tank.recovery_key + "\n")
        process.stdin.flush()
        running.append(process)
    done = 0
    for process in running:
        stdout, stderr = process.communicate(timeout=120)
        assert_nothing_secret(node.world, "the output", stdout + stderr)
        done += process.returncode == 0
        if process.returncode:
            assert_refused(Result(process.returncode, stdout, stderr), "zfs-raced", "tank")
    assert done >= 1
    assert_done(recover(node, tank, "--yes"))
    assert_whole(node, tank)


RECOVER = ["zseal", "recover", "tank", "--yes", "--slot-name", "new"]


def get_ready(node):
    """The recovery slot is lost again."""
    lock(node, "tank")
    headers.put(node, "tank", RECOVERY, None)


@pytest.fixture
def elsewhere(node, tank):
    """Other PCRs. The key comes from a slot that needs nobody, so that the same command can be run again and again."""
    assert_done(zseal(node, "slot", "add", "tank", "tpm2", "--name", "kept", "--pcrs", "none"))
    node.tpm.change_boot_chain()
    node.reboot()
    return tank


def assert_recovered(node, tank):
    assert_done(zseal(node, "header", "verify", "tank"))
    lock(node, "tank")
    assert_opens_with_key(node, "tank", tank.recovery_key)


@needs_strace
@one_zfs
def test_killed_anywhere(node, elsewhere):
    get_ready(node)
    steps, ended = steps_of(node, RECOVER)
    assert ended.status == 0, ended
    for step in chosen(steps, 8):
        get_ready(node)
        ended = run_with_signal(node, RECOVER, step, "SIGKILL")
        wait_for_end([pid for name in ("zseal", "zpool", "zfs") for pid in programs(node, name)])
        assert_nothing_secret(node.world, "the output", ended.stdout + ended.stderr)
        assert_done(zseal(node, "status"))
        assert_done(zseal(node, *RECOVER[1:]))
        lock(node, "tank")
        assert_opens(node, "tank")
        count("kills", tried=1, survived=1)
    assert_recovered(node, elsewhere)


@needs_strace
@one_zfs
def test_interrupted_anywhere(node, elsewhere):
    """It says that it was, or is done all the same; never something between."""
    get_ready(node)
    steps, ended = steps_of(node, RECOVER)
    assert ended.status == 0, ended
    outcomes = set()
    for step in chosen(steps, 6):
        get_ready(node)
        ended = run_with_signal(node, RECOVER, step, "SIGTERM")
        outcomes.add(ended.status)
        assert ended.status in (0, EXIT_STATUS["interrupted"]), (step, ended)
        assert_done(zseal(node, "status"))
        assert_done(zseal(node, *RECOVER[1:]))
        lock(node, "tank")
        assert_opens(node, "tank")
        count("interruptions", tried=1, survived=1)
    assert EXIT_STATUS["interrupted"] in outcomes
    assert_recovered(node, elsewhere)


@one_zfs
def test_refusals_of_the_command_line(node, tank):
    assert_refused(zseal(node, "recover", "nowhere"), "zfs-not-found", "nowhere")
    assert_refused(zseal(node, "recover", "tank", "--from", "/run/none"), "no-copy", "/run/none")
    headers.put(node, "tank", SLOT, None)
    forget_copies(node)
    hide_history(node)
    assert_refused(recover(node, tank, "--slot-name", "recovery", "--yes"), "slot-exists", "recovery")
    done = node.run(["setpriv", "--reuid=65534", "--clear-groups", "zseal", "recover", "tank"])
    assert_refused(Result(done.returncode, done.stdout, done.stderr), "not-root")
