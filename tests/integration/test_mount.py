# SPDX-License-Identifier: MIT
"""unlock --mount and lock --unmount: what is mounted, in which order, and what a thief of the disks does not get.

The lab mounts nothing: what would be mounted is asked for, and where zfs is really called, it says no. What is mounted
already is shown to zfs by a table of mounts of the test's own. Real mounts are a virtual machine's business.
"""
import json

import headers
import pytest
import steps
from conftest import (assert_done, assert_opens, assert_refused, assert_said, create_pool, is_locked, lock, one_zfs, run,
                      zseal)

GRUDGE = "mount-unencrypted"


@pytest.fixture
def tank(node):
    """A pool whose file systems are below /mnt, which is the machine's own; its root dataset is mounted nowhere."""
    return create_pool(node)


def file_system(node, name, *properties, canmount="on"):
    """Made without zfs trying to mount it."""
    options = [word for value in properties for word in ("-o", value)]
    run(node, "zfs", "create", "-o", "canmount=noauto", *options, name)
    if canmount != "noauto":
        run(node, "zfs", "set", f"canmount={canmount}", name)


def plant(node, name, mountpoint):
    """What a thief of the disks needs no key for."""
    file_system(node, name, "encryption=off", f"mountpoint={mountpoint}")


def would_mount(node, *argv, status=0):
    """{dataset: mount point, or the error's name} of a dry run, in the order of mounting; text and JSON agree."""
    result = zseal(node, "unlock", "--mount", "--dry-run", "--json", *argv)
    assert result.status == status, result
    mounts = result.json["mounts"]
    assert {mount["outcome"] for mount in mounts} <= {"would", "already", "failed"}
    told = [line for line in zseal(node, "unlock", "--mount", "--dry-run", *argv).stdout.splitlines()
            if " mounted" in line]
    assert [line.split(":")[0] for line in told] == [mount["dataset"] for mount in mounts]
    for line, mount in zip(told, mounts):
        assert ("NOT mounted" in line) == (mount["outcome"] == "failed")
    return {mount["dataset"]: mount["error"]["name"] if "error" in mount else mount["mountpoint"] for mount in mounts}


def configure(node, *allowed):
    lines = "".join(f"allow = {path}\n" for path in allowed)
    node.path("/etc/zseal/zseal.conf").write_text("[mount]\n" + lines)


# ---- what is mounted ----

def test_file_systems_of_a_root_are_mounted_parents_first(node, tank):
    file_system(node, "tank/b", "mountpoint=/mnt/x")
    file_system(node, "tank/b/c")
    file_system(node, "tank/a", "mountpoint=/mnt/x/c/deep")
    file_system(node, "tank/z", "mountpoint=/mnt/a")
    lock(node, "tank")
    result = assert_done(zseal(node, "unlock", "--mount", "--dry-run", "tank"))
    assert result.stdout.splitlines() == [
        "tank: would be unlocked", "tank/z: would be mounted on /mnt/a", "tank/b: would be mounted on /mnt/x",
        "tank/b/c: would be mounted on /mnt/x/c", "tank/a: would be mounted on /mnt/x/c/deep"]
    assert is_locked(node, "tank")
    expected = {"tank/z": "/mnt/a", "tank/b": "/mnt/x", "tank/b/c": "/mnt/x/c", "tank/a": "/mnt/x/c/deep"}
    for arguments in (["--all"], ["tank"]):
        assert list(would_mount(node, *arguments).items()) == list(expected.items())
    assert_opens(node, tank.name)
    assert would_mount(node, "--all") == expected


def test_what_is_not_meant_to_be_mounted_is_passed_over(node, tank):
    file_system(node, "tank/on", "mountpoint=/mnt/on")
    file_system(node, "tank/off", "mountpoint=/mnt/off", canmount="off")
    file_system(node, "tank/off/below")
    file_system(node, "tank/noauto", "mountpoint=/etc", canmount="noauto")
    file_system(node, "tank/legacy", "mountpoint=legacy")
    run(node, "zfs", "create", "-s", "-V", "1M", "-o", "volmode=none", "tank/disk")
    run(node, "zfs", "create", "-s", "-V", "1M", "-o", "volmode=none", "-o", "encryption=off", "tank/plain-disk")
    file_system(node, "tank/mine", "encryption=off", "mountpoint=/mnt/mine", canmount="noauto")
    assert would_mount(node, tank.name) == {"tank/off/below": "/mnt/off/below", "tank/on": "/mnt/on"}


@one_zfs
def test_without_the_option_nothing_is_mounted_or_said(node, tank):
    plant(node, "tank/planted", "/mnt/planted")
    lock(node, tank.name)
    result = assert_done(zseal(node, "unlock", "--json", "--all"))
    assert "mounts" not in result.json
    assert assert_opens(node, "tank").stdout == "tank: already unlocked\n"


@one_zfs
def test_what_is_named_is_mounted_with_what_lies_below_and_nothing_else(node, tank):
    for name in "a", "ab":
        headers.add_root(node, tank, f"tank/{name}")
        file_system(node, f"tank/{name}/data", f"mountpoint=/mnt/{name}")
    assert would_mount(node, "tank/a") == {"tank/a/data": "/mnt/a"}
    assert would_mount(node, "tank/ab") == {"tank/ab/data": "/mnt/ab"}


@one_zfs
def test_altroot_is_part_of_a_mount_point(node, tank):
    file_system(node, "tank/a", "mountpoint=/etc")
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-N", "-R", "/mnt/altroot", "tank")
    assert would_mount(node, tank.name) == {"tank/a": "/mnt/altroot/etc"}
    run(node, "zpool", "export", "tank")
    run(node, "zpool", "import", "-N", "-R", "/usr", "tank")
    assert would_mount(node, tank.name, status=1) == {"tank/a": "mount-point"}
    assert_opens(node, tank.name)


# ---- roots ----

def test_nested_root_that_stays_locked_stays_unmounted(node, tank):
    for name in "tank/good", "tank/bad":
        headers.add_root(node, tank, name)
        file_system(node, name + "/data", f"mountpoint=/mnt/{name}")
    headers.put(node, "tank/bad", "zseal:key", headers.get(node, "tank/good", "zseal:key"))
    assert_done(zseal(node, "lock", "tank"))
    result = zseal(node, "unlock", "--mount", "--json", "tank")
    assert result.status == 1
    assert {root["dataset"]: root["outcome"] for root in result.json["roots"]} == {
        "tank": "unlocked", "tank/good": "unlocked", "tank/bad": "failed"}
    # zfs was asked for this one alone; the lab cannot
    assert [(mount["dataset"], mount["error"]["name"]) for mount in result.json["mounts"]] == [
        ("tank/good/data", "zfs-mount")]
    assert is_locked(node, "tank/bad") and not is_locked(node, "tank/good")
    assert would_mount(node, "tank/good") == {"tank/good/data": "/mnt/tank/good"}


def test_root_of_another_hand_is_not_mounted(node, tank):
    """A thief's own, below ours: its key is one that he knows, and that somebody loads for him."""
    headers.keep_secret(node.world, b"\7" * 32)
    headers.create_root(node, "tank/theirs", b"\7" * 32, "-o", "mountpoint=/mnt/theirs", "-o", "canmount=noauto")
    run(node, "zfs", "set", "canmount=on", "tank/theirs")
    file_system(node, "tank/theirs/data")
    file_system(node, "tank/ours", "mountpoint=/mnt/ours")
    assert not is_locked(node, "tank/theirs")
    assert would_mount(node, "--all") == {"tank/ours": "/mnt/ours"}
    result = assert_done(zseal(node, "unlock", "--all"))
    assert "tank/theirs: left alone" in result.stdout and "tank: already unlocked" in result.stdout
    assert_opens(node, tank.name)


def test_root_that_was_unlocked_from_a_file_is_not_trusted(node, tank):
    """Root and key were exchanged by a thief, and something that runs `zfs load-key -a` fetched his key for him."""
    headers.add_root(node, tank, "tank/a")
    file_system(node, "tank/a/data", "mountpoint=/mnt/data")
    assert would_mount(node, "tank/a") == {"tank/a/data": "/mnt/data"}
    run(node, "zfs", "set", "keylocation=file:///usr/share/common", "tank/a")
    result = zseal(node, "unlock", "--mount", "tank/a")
    assert_refused(result, "zfs-property", "tank/a/data", "keylocation=file:///usr/share/common", status=1)
    # zseal's own key for it is another matter
    lock(node, "tank/a")
    assert would_mount(node, "tank/a") == {"tank/a/data": "/mnt/data"}
    assert_opens(node, "tank/a")


@one_zfs
def test_unlocked_root_without_a_keyring_is_not_mounted(node, tank):
    headers.keep_secret(node.world, b"\7" * 32)
    file_system(node, "tank/plain", "encryption=off", "mountpoint=/mnt/plain", canmount="off")
    headers.create_root(node, "tank/plain/own", b"\7" * 32, "-o", "canmount=noauto")
    file_system(node, "tank/plain/own/data")
    run(node, "zfs", "inherit", "zseal:keyring", "tank")
    result = zseal(node, "unlock", "--mount", "tank/plain/own")
    assert_refused(result, "no-keyring", "tank/plain/own/data", status=1)
    assert result.stdout.splitlines()[0] == "tank/plain/own: already unlocked"
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_done(zseal(node, "lock", "--all"))
    assert_done(zseal(node, "unlock", "--all"))
    assert not is_locked(node, tank.name)


# ---- what a thief does without a key ----

def assert_mount_refused(node, dataset, name, *words):
    """Refused and told, in the journal too; keys are loaded all the same, and what is good goes on to zfs."""
    assert_done(zseal(node, "lock", "tank"))
    result = zseal(node, "unlock", "--mount", "--all")
    assert_refused(result, name, f"zseal: {dataset}: ", *words, status=1)
    assert f"{dataset}: NOT mounted" in result.stdout
    assert "tank/good: NOT mounted (ZFS could not mount it)" in result.stdout
    assert not is_locked(node, "tank")
    events = [(entry.get("ZSEAL_DATASET"), entry.get("ZSEAL_ERROR"), entry.get("PRIORITY"))
              for entry in node.journal() if entry.get("ZSEAL_EVENT") == "mount-refused"]
    assert (dataset, name, "3") in events and ("tank/good", "zfs-mount", "3") in events
    seen = would_mount(node, "tank", status=1)
    assert seen[dataset] == name and seen["tank/good"] == "/mnt/good"


def test_planted_file_system_is_not_mounted(node, tank):
    file_system(node, "tank/good", "mountpoint=/mnt/good")
    lock(node, tank.name)
    plant(node, "tank/planted", "/mnt/planted")
    plant(node, "tank/good/planted", "/mnt/good/planted")
    assert_mount_refused(node, "tank/planted", GRUDGE, "lies below an encryption root")
    assert_said(zseal(node, "unlock", "--mount", "tank").stderr, GRUDGE, "tank/good/planted")
    configure(node, "/mnt", "/")
    assert would_mount(node, "tank", status=1)["tank/planted"] == GRUDGE


def test_mount_point_that_a_thief_has_moved_is_refused(node, tank):
    file_system(node, "tank/good", "mountpoint=/mnt/good")
    lock(node, tank.name)
    run(node, "zfs", "set", "mountpoint=/etc", "tank")
    run(node, "zfs", "set", "mountpoint=/mnt/good", "tank/good")
    assert_mount_refused(node, "tank", "mount-point", "/etc is a system folder", "mountpoint=PATH tank;")
    # what inherits goes where its parent was moved
    file_system(node, "tank/below")
    assert would_mount(node, "tank", status=1)["tank/below"] == "mount-point"


def test_mount_point_from_an_unencrypted_parent_is_judged_like_any(node, tank):
    file_system(node, "tank/plain", "encryption=off", canmount="off")
    headers.add_root(node, tank, "tank/plain/root")
    run(node, "zfs", "set", "canmount=noauto", "tank/plain/root")
    run(node, "zfs", "set", "mountpoint=/mnt/plain", "tank/plain")
    file_system(node, "tank/plain/root/data")
    assert would_mount(node, "tank/plain/root") == {"tank/plain/root/data": "/mnt/plain/root/data"}
    run(node, "zfs", "set", "mountpoint=/usr/lib", "tank/plain")
    assert would_mount(node, "tank/plain/root", status=1) == {"tank/plain/root/data": "mount-point"}
    run(node, "zfs", "set", "mountpoint=/", "tank/plain")
    result = zseal(node, "unlock", "--mount", "tank/plain/root")
    assert_refused(result, "mount-point", "/root/data lies in the system folder /root", status=1)
    assert_opens(node, tank.name)


@one_zfs
def test_link_into_a_system_folder_is_refused_even_if_allowed(node, tank):
    run(node, "ln", "-s", "/etc", "/mnt/link")
    file_system(node, "tank/good", "mountpoint=/mnt/good")
    file_system(node, "tank/link", "mountpoint=/mnt/link")
    file_system(node, "tank/below", "mountpoint=/mnt/link/cron.d")
    file_system(node, "tank/dots", "mountpoint=/mnt/x/../../etc")
    for allowed in [], ["/mnt"], ["/"]:
        configure(node, *allowed)
        assert would_mount(node, "tank", status=1) == {
            "tank/good": "/mnt/good", "tank/link": "mount-point", "tank/below": "mount-point",
            "tank/dots": "mount-point"}
    assert_mount_refused(node, "tank/below", "mount-point", "/mnt/link is a symbolic link")
    assert_opens(node, tank.name)


@one_zfs
def test_mount_point_of_odd_characters_writes_nothing_on_a_terminal(node, tank):
    file_system(node, "tank/a", "mountpoint=/mnt/\x1b[31m\ntank: unlocked\tä")
    file_system(node, "tank/b", "mountpoint=/etc/\x1b[31m\n")
    for argv in (["--dry-run"], []):
        result = zseal(node, "unlock", "--mount", *argv, "tank")
        assert "\x1b" not in result.stdout + result.stderr and "ä" not in result.stdout + result.stderr
        assert result.stdout.splitlines().count("tank: already unlocked") == 1
        assert not [line for line in result.stdout.splitlines() if line.startswith("tank: unlocked")]
    assert {mount["dataset"] for mount in zseal(node, "unlock", "--mount", "--json", "tank").json["mounts"]} == {
        "tank/a", "tank/b"}
    assert_opens(node, tank.name)


# ---- zseal.conf ----

def test_configuration_allows_a_folder_and_what_lies_below(node, tank):
    file_system(node, "tank/local", "mountpoint=/usr/local")
    file_system(node, "tank/share", "mountpoint=/usr/local/share")
    file_system(node, "tank/locale", "mountpoint=/usr/locale")
    refused = dict.fromkeys(["tank/local", "tank/share", "tank/locale"], "mount-point")
    assert would_mount(node, tank.name, status=1) == refused
    configure(node, "/opt/x", "/usr/local/")
    assert would_mount(node, tank.name, status=1) == {**refused, "tank/local": "/usr/local",
                                                      "tank/share": "/usr/local/share"}


@one_zfs
@pytest.mark.parametrize("value", ["", "usr", "/usr/../etc", "none"])
def test_configuration_that_allows_no_path_is_refused(node, tank, value):
    configure(node, "/opt", value)
    run(node, "zfs", "unload-key", "tank")
    assert_refused(zseal(node, "unlock", "--mount", "tank"), "config", "[mount] allow", "line 3")
    assert is_locked(node, "tank")
    configure(node, "/opt")
    assert_opens(node, tank.name)


@one_zfs
def test_configuration_that_allows_too_many_paths_is_refused(node, tank):
    configure(node, *(f"/opt/{i}" for i in range(32)))
    assert_opens(node, tank.name)
    configure(node, *(f"/opt/{i}" for i in range(33)))
    assert_refused(zseal(node, "unlock", "--mount", "tank"), "config", "[mount] allow", "at most 32", "line 34")


# ---- what zfs says no to ----

def test_mount_that_fails_is_told_and_keys_stay_loaded(node, tank):
    file_system(node, "tank/a", "mountpoint=/mnt/a")
    lock(node, tank.name)
    result = zseal(node, "unlock", "--mount", "tank")
    assert_refused(result, "zfs-mount", "zseal: tank/a: ", "zfs mount ended with status 1: cannot mount",
                   "zfs mount tank/a;", status=1)
    assert result.stdout.splitlines() == ["tank: unlocked (slot tpm2-a)",
                                          "tank/a: NOT mounted (ZFS could not mount it)"]
    assert not is_locked(node, "tank")
    found = zseal(node, "unlock", "--mount", "--json", "tank")
    assert found.status == 1 and found.json["roots"] == [{"dataset": "tank", "outcome": "already"}]
    assert [mount["error"]["class"] for mount in found.json["mounts"]] == ["state"]


@one_zfs
@steps.needs_strace
@pytest.mark.parametrize("as_json", [False, True])
def test_interrupted_between_two_mounts_tells_what_was_done(node, tank, as_json):
    for name in "a", "b":
        file_system(node, f"tank/{name}", f"mountpoint=/mnt/{name}")
    lock(node, tank.name)
    argv = ["zseal", "unlock", "--mount", *(["--json"] if as_json else []), "tank"]
    known, ended = steps.steps_of(node, argv)
    assert ended.status == 1
    lock(node, tank.name)
    children = [step for step in known if step.call.startswith(("clone", "vfork"))]
    # the last four: zfs mount, zfs get, for each of the two
    ended = steps.run_with_signal(node, argv, children[-4], "SIGTERM")
    assert ended.status == 8, ended
    if as_json:
        assert [mount["dataset"] for mount in json.loads(ended.stdout)["mounts"]] == ["tank/a"]
    else:
        assert ended.stdout.splitlines() == ["tank: unlocked (slot tpm2-a)",
                                             "tank/a: NOT mounted (ZFS could not mount it)"]
    assert_said(ended.stderr, "interrupted")
    assert not is_locked(node, "tank")
    lock(node, tank.name)
    assert_opens(node, tank.name)


# ---- mounted already ----

no_sanitizer = pytest.mark.skipif(steps.SANITIZED, reason="this machine can't: a sanitizer needs its own /proc")


def zseal_with_mounts(node, mounts, *argv):
    """zseal in a machine whose table of mounts says so: {dataset: mount point}."""
    table = node.path("/run/mounts/self")
    table.mkdir(parents=True, exist_ok=True)
    (table / "mounts").write_text("".join(f"{dataset} {point} zfs rw 0 0\n" for dataset, point in mounts.items()))
    done = node.run(["unshare", "--mount", "bash", "-c", 'mount --bind /run/mounts /proc && exec zseal "$@"', "zseal",
                     *argv])
    return done


@no_sanitizer
def test_what_is_mounted_already_is_success(node, tank):
    file_system(node, "tank/a", "mountpoint=/mnt/a")
    file_system(node, "tank/local", "mountpoint=/usr/local")
    done = zseal_with_mounts(node, {"tank/a": "/mnt/a", "tank/local": "/usr/local"}, "unlock", "--mount", tank.name)
    assert done.returncode == 0, done
    assert done.stdout.splitlines() == ["tank: already unlocked", "tank/a: already mounted on /mnt/a",
                                        "tank/local: already mounted on /usr/local"]
    assert done.stderr == ""


@no_sanitizer
def test_planted_file_system_is_told_though_it_was_mounted(node, tank):
    """The stock `zfs mount -a` at boot needs no key for it."""
    plant(node, "tank/planted", "/mnt/planted")
    done = zseal_with_mounts(node, {"tank/planted": "/mnt/planted"}, "unlock", "--mount", tank.name)
    assert done.returncode == 1, done
    assert_said(done.stderr, GRUDGE, "tank/planted", "was mounted by others")


@no_sanitizer
def test_unmounting_goes_deepest_first_and_leaves_others_alone(node, tank):
    headers.add_root(node, tank, "tank/root")
    file_system(node, "tank/root/a", "mountpoint=/mnt/a")
    file_system(node, "tank/root/a/b")
    file_system(node, "tank/root/c", "mountpoint=/mnt/a/b/c", canmount="noauto")
    file_system(node, "tank/other", "mountpoint=/mnt/other")
    plant(node, "tank/root/plain", "/mnt/plain")
    mounts = {"tank/root/a": "/mnt/a", "tank/root/a/b": "/mnt/a/b", "tank/root/c": "/mnt/a/b/c",
              "tank/other": "/mnt/other", "tank/root/plain": "/mnt/plain"}
    done = zseal_with_mounts(node, mounts, "lock", "--unmount", "--dry-run", "tank/root")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.splitlines() == [
        "tank/root/c: would be unmounted from /mnt/a/b/c", "tank/root/a/b: would be unmounted from /mnt/a/b",
        "tank/root/a: would be unmounted from /mnt/a", "tank/root: would be locked"]
    done = zseal_with_mounts(node, mounts, "lock", "--unmount", "--dry-run", "--json", "tank/root")
    assert [mount["dataset"] for mount in json.loads(done.stdout)["mounts"]] == [
        "tank/root/c", "tank/root/a/b", "tank/root/a"]
    assert not is_locked(node, "tank/root")


@no_sanitizer
def test_root_that_could_not_be_opened_again_is_not_unmounted(node, tank):
    file_system(node, "tank/a", "mountpoint=/mnt/a")
    run(node, "zfs", "inherit", "zseal:key", "tank")
    done = zseal_with_mounts(node, {"tank/a": "/mnt/a"}, "lock", "--unmount", "tank")
    assert done.returncode == 7, done
    assert_said(done.stderr, "no-record", "tank")
    assert "unmount" not in done.stdout and not is_locked(node, "tank")
    assert_done(zseal(node, "header", "restore", "tank"))
    lock(node, tank.name)
    assert_opens(node, tank.name)


@no_sanitizer
def test_unmount_that_fails_is_told(node, tank):
    file_system(node, "tank/a", "mountpoint=/mnt/a")
    done = zseal_with_mounts(node, {"tank/a": "/mnt/a"}, "lock", "--unmount", tank.name)
    assert done.returncode == 1, done
    assert_said(done.stderr, "zfs-unmount", "zseal: tank/a: ", "zfs unmount ended with status 1: cannot unmount")
    assert "tank/a: NOT unmounted" in done.stdout
    assert [entry["ZSEAL_DATASET"] for entry in node.journal() if entry.get("ZSEAL_EVENT") == "lock-refused"] == [
        "tank/a"]
    assert_opens(node, tank.name)


@one_zfs
def test_locking_with_nothing_mounted_needs_no_unmounting(node, tank):
    file_system(node, "tank/a", "mountpoint=/mnt/a")
    result = assert_done(zseal(node, "lock", "--unmount", "--json", tank.name))
    assert result.json["mounts"] == [] and is_locked(node, "tank")
    assert_opens(node, tank.name)


# ---- roots that were never given to zseal ----

def test_foreign_root_is_left_alone_by_all_and_a_lost_record_is_a_failure(node, tank):
    headers.keep_secret(node.world, b"\7" * 32)
    headers.create_root(node, "tank/foreign", b"\7" * 32)
    headers.add_root(node, tank, "tank/ours")
    assert_done(zseal(node, "header", "backup", "tank"))
    node.engine.restart()
    result = assert_done(zseal(node, "unlock", "--all"))
    assert "tank/foreign: left alone (it has no key record: it was never given to zseal)\n" in result.stdout
    assert is_locked(node, "tank/foreign") and not is_locked(node, "tank/ours")
    outcomes = {root["dataset"]: root["outcome"] for root in zseal(node, "unlock", "--all", "--json").json["roots"]}
    assert outcomes == {"tank": "already", "tank/foreign": "left-alone", "tank/ours": "already"}
    # named, it was asked for
    assert_refused(zseal(node, "unlock", "tank/foreign"), "no-record", "tank/foreign")
    # the machine's copy of the header knows what the pool has lost
    headers.put(node, "tank/ours", "zseal:key", None)
    node.engine.restart()
    result = zseal(node, "unlock", "--all")
    assert_refused(result, "no-record", "zseal: tank/ours: ", "zseal header restore tank/ours", status=1)
    assert "tank/foreign: left alone" in result.stdout
    assert_done(zseal(node, "header", "restore", "tank"))
    assert_opens(node, "tank/ours")
    result = assert_done(zseal(node, "lock", "--all"))
    assert "tank/foreign: left alone" in result.stdout
