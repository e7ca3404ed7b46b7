# SPDX-License-Identifier: MIT
"""Several machines at one Vault: a pool that moves from one to another, and pools of one name that stay apart.

Each machine has what `zseal vault setup` and `zseal vault enroll` give it, and a pool's fingerprint in its zseal.conf.
"""
import contextlib
import json

import pytest

import headers
import vaulting
from conftest import (assert_done, assert_opens, assert_refused, create_pool, is_locked, lock, new_world, one_zfs, run,
                      zseal, zfs_versions)
from typed import slots
from vaulting import add_slot, admin, configure

pytestmark = one_zfs

ORDER = "order = vault, tpm2"
KEY = "zfs-wrapper-tank"


def trusting(pool):
    """Lines of zseal.conf."""
    return ORDER, "[trust]", f"fingerprint = {pool.fingerprint}"


def set_up(bao, *argv):
    return assert_done(admin(bao, "vault", "setup", "tank", *argv))


def move(source, target, pool="tank"):
    """As a cluster does it."""
    run(source.node, "zpool", "export", pool)
    run(target.node, "zpool", "import", "-N", pool)


def allowed(bao, node):
    """The contexts that a node's policy names."""
    return vaulting.contexts(bao, node=node)


def context_of(bao, slot="vault", dataset="tank"):
    return vaulting.context_of(headers.read(bao.node, dataset).slots[slot])


def was_asked(node):
    return [e for e in node.journal() if e.get("ZSEAL_EVENT") == "vault-asked"]


def new_node(world, name, vdev):
    """A machine whose pool tank opens by Vault, by its TPM, and by its recovery key."""
    made = vaulting.Vault(world.node(name))
    made.tank = create_pool(made.node, vdev=vdev)
    configure(made, unlock=trusting(made.tank))
    set_up(made, "--mounts")
    vaulting.enroll_node(made)
    add_slot(made)
    lock(made.node, "tank")
    return made


@pytest.fixture
def a(world):
    """The machine that made the pool."""
    return new_node(world, "a", 1)


@pytest.fixture
def b(a):
    """Another one of the cluster; Vault knows nothing of it."""
    made = vaulting.Vault(a.node.world.node("b"))
    configure(made, unlock=trusting(a.tank))
    return made


# ---- a pool that moves ----

@pytest.mark.parametrize("where", ["before it moves", "after it moved"])
def test_pool_that_moved_opens_by_vault_alone(a, b, where):
    """Set-up is run where the pool is: there for the other node, or here."""
    if where == "before it moves":
        set_up(a, "--node", "b", "--allow-slots")
        move(a, b)
    else:
        move(a, b)
        set_up(b)
    vaulting.enroll_node(b)
    assert assert_opens(b.node, "tank").stdout == "tank: unlocked (slot vault)\n"
    assert not b.node.path("/etc/zseal/pins").exists()


def test_node_that_may_not_open_it_says_why(a, b):
    """First it does not know the pool, then it is nobody to Vault, then its policy lacks the slot."""
    set_up(a, "--node", "b")
    move(a, b)
    configure(b)
    for argv in (["tank"], ["--all"]):
        assert_refused(zseal(b.node, "unlock", *argv), "pin-missing", "tank", a.tank.fingerprint)
    configure(b, unlock=trusting(a.tank))
    for error in ("vault-credential", "vault-denied"):
        result = zseal(b.node, "unlock", "tank")
        assert result.status != 0 and is_locked(b.node, "tank")
        assert f"  slot vault: {vaulting.sentence(error)}" in result.stderr
        assert f"  slot tpm2-a: {vaulting.sentence('tpm-not-mine')}" in result.stderr
        assert bool(was_asked(b.node)) == (error == "vault-denied")
        vaulting.enroll_node(b)
    set_up(b)
    assert "(slot vault)" in assert_opens(b.node, "tank").stdout


def test_each_node_has_its_own_tpm_behind_vault(a, b):
    """The second slot is named by its node, is tested, and stays when the pool moves on."""
    set_up(a, "--node", "b", "--allow-slots")
    move(a, b)
    vaulting.enroll_node(b)
    assert_done(zseal(b.node, "slot", "add", "tank", "tpm2"))
    assert list(slots(b.node)) == ["tpm2-a", "recovery", "vault", "tpm2-b"]
    said = assert_done(zseal(b.node, "slot", "test", "tank")).stdout
    assert "slot tpm2-b: opens" in said and "slot vault: opens" in said and "slot tpm2-a: another machine's" in said
    a.server.cut_off()
    for here, there in ((b, a), (a, b)):
        configure(here, "timeout = 1", unlock=trusting(a.tank))
        assert f"(slot tpm2-{here.node.name}, opened by fallback)" in assert_opens(here.node, "tank").stdout
        lock(here.node, "tank")
        move(here, there)
    a.server.heal()
    for here, there in ((b, a), (a, b)):
        assert "(slot vault)" in assert_opens(here.node, "tank").stdout
        assert set(slots(here.node)) == {"tpm2-a", "tpm2-b", "vault", "recovery"}
        lock(here.node, "tank")
        move(here, there)


def test_new_slot_is_the_makers_alone_until_the_other_is_let(a, b):
    """A resealed one, too: it has another context."""
    set_up(a, "--node", "b", "--allow-slots")
    assert_done(admin(a, "slot", "reseal", "tank", "vault"))
    assert context_of(a) in allowed(a, "a") and context_of(a) not in allowed(a, "b")
    set_up(a, "--node", "b", "--allow-slots")
    assert context_of(a) in allowed(a, "b")
    vaulting.enroll_node(b)
    move(a, b)
    assert "(slot vault)" in assert_opens(b.node, "tank").stdout


# ---- what set-up lets another node do ----

def test_another_nodes_policy_gets_no_slot_unasked(a):
    result = set_up(a, "--node", "b")
    assert "the vault slots of tank (1) were not added" in result.stdout and "--allow-slots" in result.stdout
    assert allowed(a, "b") == ["no-slot-yet"]
    found = set_up(a, "--node", "b", "--json").json
    assert (found["slots"], found["slots_left_out"]) == (0, 1)


def test_another_nodes_policy_gets_the_slots_if_asked(a):
    found = set_up(a, "--node", "b", "--allow-slots", "--json").json
    assert (found["slots"], found["slots_left_out"]) == (1, 0)
    assert allowed(a, "b") == [context_of(a)]
    again = set_up(a, "--node", "b", "--allow-slots", "--json").json
    assert {step["state"] for step in again["steps"]} == {"there"}


def test_this_machine_by_its_name_is_no_other(a):
    assert set_up(a, "--node", "a", "--json").json["slots"] == 1


def test_printed_policy_of_another_node(a):
    assert context_of(a) not in set_up(a, "--node", "b", "--print-policy").stdout
    printed = set_up(a, "--node", "b", "--allow-slots", "--print-policy").stdout
    assert context_of(a) in printed and "# policy zseal-b\n" in printed


def test_slots_that_are_not_there_can_not_be_allowed(a, b):
    """A pool that is imported elsewhere, and one that has none of this key: nothing is made."""
    assert_refused(admin(b, "vault", "setup", "tank", "--node", "c", "--allow-slots"), "zfs-not-found", "tank")
    assert_refused(admin(a, "vault", "setup", "tank", "--node", "c", "--allow-slots", "--transit-key", "other"),
                   "no-slot", "tank", "other")
    assert a.ask("GET", "sys/policies/acl/zseal-c")[0] == 404 and a.ask("GET", "transit/keys/other")[0] == 404


def test_path_of_its_copy_in_kv_may_be_read_by_the_other_node(a, b):
    """Where all of them read the same path."""
    for bao in (a, b):
        configure(bao, "kv-mount = secret", unlock=trusting(a.tank))
    assert_done(admin(a, "slot", "reseal", "tank", "vault", "--kv", "site/{pool}"))
    set_up(a, "--node", "b", "--allow-slots")
    move(a, b)
    vaulting.enroll_node(b)
    assert_done(zseal(b.node, "slot", "test", "tank", "vault"))


def test_header_that_this_machine_does_not_know_allows_nothing(a):
    """Somebody who may make datasets below tank copies another pool's header to where set-up looks."""
    other = new_node(a.node.world, "c", 2)
    stolen = headers.read(other.node)
    assert_opens(a.node, "tank")
    headers.create_root(a.node, "tank/guest", bytes(32), "-u")
    headers.put(a.node, "tank/guest", "zseal:keyring", stolen.keyring)
    headers.put(a.node, "tank/guest", "zseal:slot.vault", stolen.slots["vault"])
    headers.put(a.node, "tank/guest", "zseal:key", stolen.records["tank"])
    result = set_up(a)
    assert vaulting.sentence("pin-missing") in result.stderr and other.tank.fingerprint in result.stderr
    assert allowed(a, "a") == [context_of(a)]


# ---- pools of one name, one Transit key ----

@pytest.fixture(scope="module")
def three():
    """Machines with a pool tank each, by name."""
    with new_world(zfs_versions()[0]) as world:
        yield {name: new_node(world, name, vdev) for vdev, name in enumerate("abc", 1)}


def test_each_opens_its_own(three):
    assert len({context_of(bao) for bao in three.values()}) == 3
    for bao in three.values():
        assert assert_opens(bao.node, "tank").stdout == "tank: unlocked (slot vault)\n"
        lock(bao.node, "tank")


def test_each_policy_names_its_own_context_alone(three):
    for name, bao in three.items():
        assert allowed(bao, name) == [context_of(bao)]


def test_no_login_decrypts_for_another_node(three):
    """Nor does the other's ciphertext open under the own context."""
    for name, own in three.items():
        token = vaulting.log_in(own, f"zseal-{name}")
        for whose, other in three.items():
            value = headers.read(other.node).slots["vault"]
            ciphertext = json.loads(value)["protect"]["ciphertext"]
            for context, expected in ((context_of(other), 200 if whose == name else 403),
                                      (context_of(own), 200 if whose == name else 400)):
                status, answer = own.ask("POST", f"transit/decrypt/{KEY}",
                                         {"ciphertext": ciphertext, "context": context}, token)
                assert status == expected, (name, whose, answer)
                assert ("data" in answer) == (whose == name)


def test_disks_of_another_node_do_not_open_with_this_ones_login(three):
    """It trusts the pool, and has a TPM and a Vault: neither is for that."""
    a, b = three["a"], three["b"]
    run(a.node, "zpool", "export", "tank")
    run(b.node, "zpool", "import", "-N", "-d", "/mnt/disk1", "tank", "stolen")
    try:
        assert_denied(b, zseal(b.node, "unlock", "--trust", a.tank.fingerprint, "stolen"), "stolen")
    finally:
        run(b.node, "zpool", "export", "stolen")
        run(a.node, "zpool", "import", "-N", "-d", "/mnt/disk1", "stolen", "tank")


def assert_denied(bao, result, dataset):
    """Vault was asked, and its policy said no."""
    assert result.status != 0 and is_locked(bao.node, dataset)
    assert f"  slot vault: {vaulting.sentence('vault-denied')}" in result.stderr
    assert f"  slot tpm2-a: {vaulting.sentence('tpm-not-mine')}" in result.stderr
    assert was_asked(bao.node)[-1]["ZSEAL_HTTP_STATUS"] == "403"


@contextlib.contextmanager
def header_of(bao, header):
    """A pool with another header."""
    own = headers.read(bao.node)
    headers.write(bao.node, header)
    try:
        yield
    finally:
        headers.write(bao.node, own)
    assert "(slot vault)" in assert_opens(bao.node, "tank").stdout
    lock(bao.node, "tank")


def test_header_of_another_node_does_not_open_with_this_ones_login(three):
    """It is not the one that the machine remembers; trusted all the same, the policy refuses its slot."""
    a, b = three["a"], three["b"]
    with header_of(b, headers.read(a.node)):
        assert_refused(zseal(b.node, "unlock", "tank"), "pin-missing", "tank", a.tank.fingerprint)
        assert_denied(b, zseal(b.node, "unlock", "--trust", a.tank.fingerprint, "tank"), "tank")


def test_slot_of_another_node_is_no_slot_here(three):
    """It opens nothing, and set-up does not allow it."""
    a, b = three["a"], three["b"]
    header = headers.read(b.node)
    header.slots["copied"] = headers.read(a.node).slots["vault"]
    with header_of(b, header):
        assert zseal(b.node, "slot", "test", "tank", "copied").status != 0
        set_up(b)
        assert allowed(b, "b") == [context_of(b)]
