# SPDX-License-Identifier: MIT
"""Killed at any system call while something in Vault is changed with something in the pool: a slot that the header has
opens, the pool opens, and the same command run again ends well."""
import signal

import pytest

import headers
import vaulting
from conftest import assert_done, assert_opens, create_pool, is_locked, lock, one_zfs, zseal
from figures import count
from steps import chosen, needs_strace, programs, run_with_signal, steps_of, wait_for_end
from typed import slots
from vaulting import admin

pytestmark = [one_zfs, needs_strace]


@pytest.fixture
def bao(node):
    node.tank = create_pool(node)
    made = vaulting.Vault(node)
    vaulting.set_up(made)
    lock(node, "tank")
    return made


CHANGES = {"add": ("add", "tank", "vault"), "reseal": ("reseal", "tank", "vault"), "remove": ("remove", "tank", "vault")}


def make_ready(bao, change):
    has = "vault" in slots(bao.node)
    if has != (change != "add"):
        assert_done(admin(bao, "slot", "remove" if has else "add", "tank", "vault"))


def assert_slot_opens(bao):
    """The one that the header has; and it is the first to be asked."""
    node = bao.node
    has = "vault" in slots(node)
    if has:
        assert_done(zseal(node, "slot", "test", "tank", "vault"))
    lock(node, "tank")
    assert f"(slot {'vault' if has else 'tpm2-a'})" in assert_opens(node, "tank").stdout
    return has


@pytest.mark.parametrize("change", CHANGES)
def test_change_is_killed(bao, change):
    node = bao.node
    argv = ["env", f"BAO_TOKEN={bao.token}", "zseal", "slot", *CHANGES[change]]
    make_ready(bao, change)
    steps, ended = steps_of(node, argv)
    assert ended.status == 0, ended
    outcomes, killed, tried = set(), 0, chosen(steps, 16)
    for step in tried:
        make_ready(bao, change)
        before = headers.read(node).slots.get("vault")
        ended = run_with_signal(node, argv, step, "SIGKILL")
        wait_for_end([pid for name in ("zseal", "zpool", "zfs") for pid in programs(node, name)])
        killed += ended.status == -signal.SIGKILL
        assert_slot_opens(bao)
        outcomes.add(headers.read(node).slots.get("vault") == before)
        make_ready(bao, change)
        assert_done(admin(bao, "slot", *CHANGES[change]))
        assert assert_slot_opens(bao) == (change != "remove")
    count("kills", tried=killed, survived=killed)
    assert killed > len(tried) * 3 // 4
    assert outcomes == {True, False}, "the kills were all before or all after"


def test_unlock_is_killed(bao):
    node, argv = bao.node, ["zseal", "unlock", "tank"]
    make_ready(bao, "reseal")
    lock(node, "tank")
    steps, ended = steps_of(node, argv)
    assert ended.status == 0, ended
    killed, tried = 0, chosen(steps, 16)
    for step in tried:
        if not is_locked(node, "tank"):
            lock(node, "tank")
        ended = run_with_signal(node, argv, step, "SIGKILL")
        wait_for_end([pid for name in ("zseal", "zpool", "zfs") for pid in programs(node, name)])
        killed += ended.status == -signal.SIGKILL
        assert_done(zseal(node, "unlock", "tank"))
    count("kills", tried=killed, survived=killed)
    assert killed > len(tried) * 3 // 4
