# SPDX-License-Identifier: MIT
"""zseal vault renew, and the warnings before a secret_id ends, on a real OpenBao. Whatever happens, the node can log
in."""
import json
import os
import signal
import subprocess
import time

import pytest

import vaulting
from conftest import (EXIT_STATUS, Result, assert_done, assert_opens, assert_refused, assert_said, create_pool,
                      keep_secret, lock, new_world, one_zfs, pipe_with, zfs_versions, zseal)
from figures import count
from steps import chosen, needs_strace, run_with_pause, run_with_signal, steps_of, wait_for_end, programs
from vaulting import admin, configure

pytestmark = one_zfs

ROLE = "auth/approle/role/zseal-a"
NAME = "zseal-vault-secret-id"
DAY = 86400


@pytest.fixture(scope="module")
def shared():
    with new_world(zfs_versions()[0]) as world:
        node = world.node("a")
        node.tank = create_pool(node)
        made = vaulting.Vault(node)
        configure(made)
        set_up(made, "--mounts")
        enroll(made)
        assert_done(admin(made, "slot", "add", "tank", "vault"))
        yield made


@pytest.fixture
def bao(shared):
    """Enrolled with a secret_id of 30 days, which the node may renew; the pool is locked."""
    configure(shared)
    set_up(shared)
    shared.must("POST", ROLE, {"token_type": "batch"})
    for accessor in accessors(shared):
        shared.must("POST", f"{ROLE}/secret-id-accessor/destroy", {"secret_id_accessor": accessor})
    enroll(shared)
    shared.node.run(["zfs", "unload-key", "tank"])
    yield shared
    shared.server.door.no_fault()


def set_up(bao, *argv, renewable=True):
    if not renewable:
        forbid(bao)
    assert_done(admin(bao, "vault", "setup", "tank", "--secret-id-ttl", str(30 * DAY), *argv,
                      *(["--renewable"] if renewable else [])))


def forbid(bao, *endings):
    """The policy without these rules of renewal, or without any."""
    text = json.loads(bao.must("GET", "sys/policies/acl/zseal-a")["data"]["policy"])
    for path in [path for path in text["path"] if "secret-id" in path and (not endings or path.endswith(endings))]:
        del text["path"][path]
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": json.dumps(text)})


def enroll(bao):
    answer = bao.server.api("POST", f"{ROLE}/secret-id", {}, bao.token, headers={"X-Vault-Wrap-TTL": "300s"}).json
    keep_secret(bao.node.world, answer["wrap_info"]["token"])
    with pipe_with(answer["wrap_info"]["token"] + "\n") as fd:
        assert_done(zseal(bao.node, "vault", "enroll", "--wrapped-token-fd", str(fd), "--role-id",
                          vaulting.role_id(bao), pass_fds=(fd,)))


def accessors(bao):
    """Of the secret_ids that are good now."""
    return set((bao.ask("LIST", f"{ROLE}/secret-id")[1].get("data") or {}).get("keys") or [])


def remembered(node):
    return node.path(f"/var/lib/zseal/vault/{NAME}")


def age(node, left, life=30 * DAY):
    """As if it had been made so long ago that this is left of it, in seconds."""
    state, now = json.loads(remembered(node).read_text()), int(time.time())
    state.update(made=now + left - life, ends=now + left)
    remembered(node).write_text(json.dumps(state))


def renew(node, *argv):
    return zseal(node, "vault", "renew", *argv)


def kept(node):
    return node.path(f"/etc/credstore.encrypted/{NAME}").read_bytes()


def assert_logs_in(bao):
    assert_done(zseal(bao.node, "vault", "login-test"))


def asked(node):
    events = [e for e in node.journal() if e.get("ZSEAL_EVENT") == "vault-asked"]
    seen, node.seen = getattr(node, "seen", 0), len(events)
    return [(e["ZSEAL_VAULT_PATH"], int(e["ZSEAL_HTTP_STATUS"])) for e in events[seen:]]


# ---- it renews ----

def test_nothing_is_done_while_it_is_good_for_long(bao):
    """For a timer: nobody is asked, no program is run."""
    before = kept(bao.node), accessors(bao)
    asked(bao.node)
    result = assert_done(renew(bao.node))
    assert result.stdout.startswith("not renewed yet: the secret_id ends on 20") and not result.stderr
    assert assert_done(renew(bao.node, "--json")).json["outcome"] == "not-due"
    assert (kept(bao.node), accessors(bao)) == before and asked(bao.node) == []


def test_renews(bao):
    """A new one that is logged in with before it is kept; the old one is worthless then."""
    age(bao.node, 10 * DAY)
    before = accessors(bao)
    asked(bao.node)
    result = assert_done(renew(bao.node))
    assert result.stdout.startswith("renewed: the new secret_id ends on 20")
    assert "the old one is destroyed" in result.stdout
    assert asked(bao.node) == [("auth/approle/login", 200), (f"{ROLE}/secret-id", 200), (f"{ROLE}/secret-id/lookup", 200),
                               ("auth/approle/login", 200), (f"{ROLE}/secret-id/destroy", 204)]
    assert len(accessors(bao)) == 1 and not accessors(bao) & before
    assert "slot vault)" in assert_opens(bao.node, "tank").stdout
    assert [e for e in bao.node.journal() if e["ZSEAL_EVENT"] == "vault-login-renewed"]
    ends = assert_done(zseal(bao.node, "vault", "status", "--json")).json["login"]["ends"]
    assert abs(ends - time.time() - 30 * DAY) < DAY
    assert renew(bao.node).stdout.startswith("not renewed yet")


@pytest.mark.parametrize("left, life, argv, outcome", [
    (31, 90, [], "not-due"), (29, 90, [], "would"), (6, 10, [], "not-due"), (4, 10, [], "would"),
    (80, 90, ["--now"], "would"), (40, 90, ["--within", str(41 * DAY)], "would"),
    (40, 90, ["--within", str(39 * DAY)], "not-due")], ids=str)
def test_when_it_is_due(bao, left, life, argv, outcome):
    age(bao.node, left * DAY, life * DAY)
    assert assert_done(renew(bao.node, "--dry-run", "--json", *argv)).json["outcome"] == outcome


def test_dry_run_logs_in_and_makes_nothing(bao):
    age(bao.node, DAY)
    before = kept(bao.node), accessors(bao), remembered(bao.node).read_text()
    asked(bao.node)
    assert "would be renewed: the secret_id ends on 20" in assert_done(renew(bao.node, "--dry-run")).stdout
    assert (kept(bao.node), accessors(bao), remembered(bao.node).read_text()) == before
    assert asked(bao.node) == [("auth/approle/login", 200)]


def test_for_programs(bao):
    found = assert_done(renew(bao.node, "--now", "--json")).json
    assert found["outcome"] == "renewed" and found["old_destroyed"] is True and found["host_only"] is False
    assert abs(found["ends"] - time.time() - 30 * DAY) < DAY


def test_service_tokens_are_given_back(bao):
    bao.must("POST", ROLE, {"token_type": "service"})
    asked(bao.node)
    assert_done(renew(bao.node, "--now"))
    assert asked(bao.node)[-2:] == [("auth/token/revoke-self", 204)] * 2


def test_plain_credential_is_encrypted_by_it(bao):
    """What a site had put there plain; its end is not known, so the first run renews it."""
    bao.node.path(f"/etc/credstore.encrypted/{NAME}").unlink()
    vaulting.new_secret_id(bao)
    assert "ends when nobody here knows" in assert_done(zseal(bao.node, "vault", "status")).stdout
    assert_done(renew(bao.node))
    assert not bao.node.path(f"/etc/credstore/{NAME}").exists()
    assert renew(bao.node).stdout.startswith("not renewed yet")
    assert_logs_in(bao)


def test_one_that_other_hands_have_replaced_is_not_mistaken_for_the_old(bao):
    age(bao.node, 1)
    path = bao.node.path(f"/etc/credstore.encrypted/{NAME}")
    os.utime(path, ns=(path.stat().st_mtime_ns + 1,) * 2)
    status = assert_done(zseal(bao.node, "vault", "status"))
    assert "ends when nobody here knows" in status.stdout and not status.stderr


def test_one_that_never_ends(bao):
    """There is nothing to renew, and nothing to warn of."""
    bao.must("POST", ROLE, {"secret_id_ttl": 0})
    enroll(bao)
    assert "does not end" in assert_done(zseal(bao.node, "vault", "status")).stdout
    assert renew(bao.node).stdout == "not renewed yet: the secret_id does not end\n"
    assert assert_done(renew(bao.node, "--within", "1000", "--json")).json == {"outcome": "not-due", "ends": None}
    assert renew(bao.node, "--now").stdout.startswith("renewed: the new secret_id does not end")


def test_without_a_tpm(bao):
    bao.node.path("/etc/credstore.encrypted/zseal-vault-role-id").unlink()
    vaulting.give(bao.node, "zseal-vault-role-id", vaulting.role_id(bao))
    bao.node.path(f"/etc/credstore.encrypted/{NAME}").unlink()
    vaulting.new_secret_id(bao)
    bao.node.tpm.off()
    try:
        result = assert_done(renew(bao.node))
        assert "WARNING: no TPM took part" in result.stderr
        assert_logs_in(bao)
    finally:
        bao.node.tpm.on()


# ---- it does not ----

def test_policy_that_does_not_allow_it(bao):
    set_up(bao, renewable=False)
    before = kept(bao.node), accessors(bao)
    asked(bao.node)
    assert_refused(renew(bao.node, "--now"), "vault-denied", "--renewable", "zseal-a")
    assert (kept(bao.node), accessors(bao)) == before and asked(bao.node)[-1] == (f"{ROLE}/secret-id", 403)
    assert_logs_in(bao)


def test_policy_that_does_not_allow_destroying(bao):
    """The old one stays good until it ends, and that is said."""
    forbid(bao, "/destroy")
    result = assert_done(renew(bao.node, "--now"))
    assert "the old one was not destroyed: it ends by itself" in result.stdout
    assert len(accessors(bao)) == 2
    assert_logs_in(bao)


def test_policy_that_does_not_allow_looking(bao):
    """Then the login is tried at once."""
    forbid(bao, "/lookup")
    asked(bao.node)
    assert "the old one is destroyed" in assert_done(renew(bao.node, "--now")).stdout
    assert (f"{ROLE}/secret-id/lookup", 403) in asked(bao.node)


def test_server_that_never_gets_to_know_the_new_one(bao):
    """Within bounds, and without a login that would count as a wrong one."""
    configure(bao, "timeout = 2")
    before = kept(bao.node), accessors(bao)
    bao.server.door.fault("answer", path="secret-id/lookup", status=204, body=b"")
    asked(bao.node)
    assert_refused(renew(bao.node, "--now"), "vault-busy", "does not get to know")
    assert (kept(bao.node), accessors(bao)) == before
    assert [path for path, _ in asked(bao.node)].count("auth/approle/login") == 1


def test_already_over(bao):
    """Vault has forgotten it, and this machine knows why."""
    for accessor in accessors(bao):
        bao.must("POST", f"{ROLE}/secret-id-accessor/destroy", {"secret_id_accessor": accessor})
    age(bao.node, -5)
    assert_refused(renew(bao.node), "vault-login", "it ended on 20")
    assert_refused(zseal(bao.node, "vault", "login-test"), "vault-login", "it ended on 20")
    result = assert_opens(bao.node, "tank")
    assert "opened by fallback" in result.stdout and "it ended on 20" in result.stderr
    assert_said(result.stderr, "vault-login")
    assert "vault     REFUSED" in assert_done(zseal(bao.node, "status")).stdout
    enroll(bao)
    assert_logs_in(bao)


def test_really_over(bao):
    """By Vault's own clock."""
    bao.must("POST", ROLE, {"secret_id_ttl": 2})
    assert renew(bao.node, "--now").status == 0
    deadline = time.monotonic() + 60
    while (result := zseal(bao.node, "vault", "login-test")).status == 0:
        assert time.monotonic() < deadline, "it does not end"
    assert_refused(result, "vault-login")
    assert_refused(renew(bao.node), "vault-login", "it ended on 20")


def test_wrong_for_another_reason(bao):
    """Somebody revoked it: nothing here says that it has ended."""
    for accessor in accessors(bao):
        bao.must("POST", f"{ROLE}/secret-id-accessor/destroy", {"secret_id_accessor": accessor})
    assert_refused(renew(bao.node, "--now"), "vault-login", "wrong, expired or used up")


def test_new_one_that_does_not_log_in_is_not_kept(bao):
    """What cannot be used takes nothing's place, and is destroyed."""
    before = kept(bao.node), accessors(bao)
    bao.server.door.fault("answer", path="approle/login", nth=2, status=400, body={"errors": ["invalid secret id"]})
    assert_refused(renew(bao.node, "--now"), "vault-login", "the old one is kept")
    assert (kept(bao.node), accessors(bao)) == before


def test_vault_is_away(bao):
    configure(bao, "timeout = 1", address=["https://127.0.0.1:1"])
    assert_refused(renew(bao.node, "--now"), "vault-down")


def test_answer_that_was_lost_is_not_asked_for_again(bao):
    """One too many is there then; it ends by itself. The next run ends well."""
    bao.server.door.fault("lost-answer", path="role/zseal-a/secret-id", nth=1)
    assert_refused(renew(bao.node, "--now"), "vault-down")
    assert len(accessors(bao)) == 2
    bao.server.door.no_fault()
    assert_logs_in(bao)
    assert_done(renew(bao.node, "--now"))


@pytest.mark.parametrize("body", [{}, {"data": {}}, {"data": {"secret_id": 7}}, {"data": {"secret_id": ""}},
                                  {"data": {"secret_id": "x" * 2000}}], ids=str)
def test_answers_without_a_secret_id(bao, body):
    bao.server.door.fault("answer", path="role/zseal-a/secret-id", status=200, body=body)
    assert_refused(renew(bao.node, "--now"), "vault-answer")
    assert_logs_in(bao)


def test_credential_cannot_be_written(bao):
    """The new one is destroyed again, the old one stays."""
    before = kept(bao.node), accessors(bao)
    folder = bao.node.path("/etc/credstore.encrypted")
    bao.node.run(["chattr", "+i", "/etc/credstore.encrypted"], check=True)
    try:
        result = renew(bao.node, "--now")
        assert_refused(result, "io", "credential " + NAME)
    finally:
        bao.node.run(["chattr", "-i", "/etc/credstore.encrypted"], check=True)
    assert (kept(bao.node), accessors(bao)) == before and len(list(folder.iterdir())) == 2


def test_memory_of_its_end_cannot_be_written(bao):
    """It is renewed all the same, which is told as in part a failure; then its end is not known."""
    bao.node.run(["chattr", "+i", f"/var/lib/zseal/vault/{NAME}"], check=True)
    try:
        assert_refused(renew(bao.node, "--now"), "io", "remembering when the secret_id ends")
    finally:
        bao.node.run(["chattr", "-i", f"/var/lib/zseal/vault/{NAME}"], check=True)
    assert len(accessors(bao)) == 1
    assert "ends when nobody here knows" in assert_done(zseal(bao.node, "vault", "status")).stdout
    assert_logs_in(bao)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"v":2}', '{"v":1,"changed":0,"made":0,"ends":-1}', "x" * 5000,
                                  '{"v":1,"changed":"1","made":0,"ends":1}'])
def test_memory_that_is_none(bao, text):
    remembered(bao.node).write_text(text)
    status = assert_done(zseal(bao.node, "vault", "status"))
    assert "ends when nobody here knows" in status.stdout and not status.stderr


@pytest.mark.parametrize("argv", [["--within", "0"], ["--within", "x"], ["--within", "5", "--now"], ["--within", "-1"]])
def test_bad_options(bao, argv):
    assert_refused(renew(bao.node, *argv), "usage")


def test_needs_root(bao):
    done = bao.node.run(["setpriv", "--reuid", "65534", "--clear-groups", "zseal", "vault", "renew"])
    assert_refused(Result(done.returncode, done.stdout, done.stderr), "not-root")


# ---- set-up ----

def test_renewal_is_opt_in(bao):
    """And no more than that: not for other networks, not with a text of one's own, not other nodes'."""
    set_up(bao, renewable=False)
    paths = json.loads(bao.must("GET", "sys/policies/acl/zseal-a")["data"]["policy"])["path"]
    assert not [path for path in paths if "secret-id" in path]
    set_up(bao)
    bao.must("POST", "auth/approle/role/zseal-b", {"token_policies": ["zseal-b"]})
    token = vaulting.log_in(bao)
    for path, body, status in (
            (f"{ROLE}/secret-id", {}, 200), (f"{ROLE}/secret-id", {"cidr_list": ["0.0.0.0/0"]}, 403),
            (f"{ROLE}/secret-id", {"ttl": "99999h"}, 403), (f"{ROLE}/secret-id", {"num_uses": 0}, 403),
            (f"{ROLE}/custom-secret-id", {"secret_id": "a" * 36}, 403), (ROLE, {"token_ttl": 1}, 403),
            ("auth/approle/role/zseal-b/secret-id", {}, 403), (f"{ROLE}/role-id", {"role_id": "x"}, 403),
            (f"{ROLE}/secret-id-accessor/destroy", {"secret_id_accessor": "x"}, 403)):
        assert bao.ask("POST", path, body, token)[0] == status, (path, body)
    assert bao.ask("LIST", f"{ROLE}/secret-id", None, token)[0] == 403


def test_set_up_again_changes_nothing(bao):
    """Without the option what was allowed stays: a set-up for a second pool must not end a node's renewal."""
    argv = ("vault", "setup", "tank", "--secret-id-ttl", str(30 * DAY), "--json")
    for more in (["--renewable"], []):
        steps = assert_done(admin(bao, *argv, *more)).json["steps"]
        assert {step["state"] for step in steps} == {"there"}
    assert_done(renew(bao.node, "--now"))


def test_printed_policy_is_enough(bao):
    text = assert_done(admin(bao, "vault", "setup", "tank", "--renewable", "--print-policy")).stdout
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": text.split("# policy zseal-admin\n")[0]})
    try:
        assert "the old one is destroyed" in assert_done(renew(bao.node, "--now")).stdout
    finally:
        bao.must("DELETE", "sys/policies/acl/zseal-a")


# ---- warnings ----

@pytest.mark.parametrize("left, life, near", [
    (15 * DAY, 90 * DAY, False), (13 * DAY, 90 * DAY, True), (5 * DAY, 16 * DAY, False), (3 * DAY, 16 * DAY, True),
    (DAY, 3 * DAY, False)])
def test_when_to_warn(bao, left, life, near):
    """A quarter of its life, and of a long one 14 days."""
    age(bao.node, left, life)
    login = assert_done(zseal(bao.node, "vault", "status", "--json")).json["login"]
    assert ("warning" in login) == near and login["by"] == "approle"


def test_warned_of(bao):
    age(bao.node, 2 * DAY)
    words = vaulting.sentence("vault-login-ends")
    assert f"WARNING: {words}: on 20" in assert_done(zseal(bao.node, "status")).stdout
    assert_said(assert_done(zseal(bao.node, "vault", "status")).stderr, "vault-login-ends")
    result = assert_opens(bao.node, "tank")
    assert "slot vault)" in result.stdout
    assert_said(result.stderr, "vault-login-ends", "UTC", "zseal vault renew")
    told = [e for e in bao.node.journal() if e["ZSEAL_EVENT"] == "vault-login-ends"][-1]
    assert told["ZSEAL_ERROR"] == "vault-login-ends" and "zseal vault renew" in told["ZSEAL_ADVICE"]
    lock(bao.node, "tank")
    assert_done(renew(bao.node))
    assert not assert_opens(bao.node, "tank").stderr


def test_clock_that_stands_before_its_beginning_warns_of_nothing(bao):
    """A machine whose clock stopped knows nothing of the end."""
    age(bao.node, 30 * DAY, 10 * DAY)
    assert "warning" not in assert_done(zseal(bao.node, "vault", "status", "--json")).json["login"]


# ---- a cluster ----

def test_by_a_standby(world):
    """It answers logins by itself, and hears of a new secret_id a moment later: a login too early is a wrong one, and
    five wrong ones lock a role out, unless set-up has switched that off. Here it has not."""
    node = world.node()
    node.tank = create_pool(node)
    cluster = world.bao_cluster()
    bao = vaulting.Vault(node, cluster)
    vaulting.set_up(bao)
    vaulting.allow_renewal(bao)
    configure(bao, address=[cluster.standbys()[0].url])
    for _ in range(8):
        assert_done(renew(node, "--now"))
    assert_logs_in(bao)


# ---- it is killed ----

ARGV = ["zseal", "vault", "renew", "--now"]


@pytest.fixture(scope="module")
def renew_steps(shared):
    configure(shared)
    set_up(shared)
    enroll(shared)
    steps, ended = steps_of(shared.node, ARGV)
    assert ended.status == 0
    return steps


def end_of_children(node):
    wait_for_end([pid for name in ("zseal", "systemd-creds") for pid in programs(node, name)])


@needs_strace
def test_killed_anywhere(bao, renew_steps):
    """What is kept logs in: the old one or the new one, never none; and the next run ends well."""
    before, changed = kept(bao.node), 0
    tried = chosen(renew_steps, 18)
    for step in tried:
        ended = run_with_signal(bao.node, ARGV, step, "SIGKILL")
        end_of_children(bao.node)
        assert ended.status in (0, -signal.SIGKILL), ended
        assert_logs_in(bao)
        changed += kept(bao.node) != before
        before = kept(bao.node)
    assert 0 < changed < len(tried), "the kills were all before or all after"
    count("kills", tried=len(tried), survived=len(tried))
    assert "renewed" in assert_done(renew(bao.node, "--now")).stdout
    assert renew(bao.node).stdout.startswith("not renewed yet")
    names = sorted(path.name for path in bao.node.path("/etc/credstore.encrypted").iterdir())
    assert [name for name in names if not name.startswith(".zseal-")] == ["zseal-vault-role-id", NAME]


@needs_strace
def test_interrupted_anywhere(bao, renew_steps):
    tried = chosen(renew_steps, 9)
    outcomes = set()
    for step in tried:
        ended = run_with_signal(bao.node, ARGV, step, "SIGTERM")
        outcomes.add(ended.status)
        assert ended.status in (0, EXIT_STATUS["interrupted"]), ended
        assert_logs_in(bao)
    count("interruptions", tried=len(tried), survived=len(tried))
    assert EXIT_STATUS["interrupted"] in outcomes
    assert_done(renew(bao.node, "--now"))


@needs_strace
def test_two_at_once(bao, renew_steps):
    """The second one waits, and then there is nothing to do for it, or says that it waits no longer."""
    age(bao.node, DAY)
    argv = ARGV[:-1]
    steps, _ = steps_of(bao.node, argv)
    age(bao.node, DAY)
    second = []

    def action():
        with bao.node.popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            out, err = process.communicate(timeout=60)
            second.append(Result(process.returncode, out, err))
    first, waited = run_with_pause(bao.node, argv, next(s for s in steps if s.call.startswith("rename")), action)
    assert waited and first.status == 0
    assert_refused(second[0], "locked")
    assert_logs_in(bao)
