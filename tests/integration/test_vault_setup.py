# SPDX-License-Identifier: MIT
"""zseal vault setup, enroll, status and login-test on a real OpenBao."""
import json
import uuid

import pytest

import headers
import vaulting
from conftest import (assert_done, assert_opens, assert_refused, create_pool, keep_secret, lock, one_zfs, pipe_with,
                      zseal)
from vaulting import admin, configure

pytestmark = one_zfs

ROLE = "auth/approle/role/zseal-a"


@pytest.fixture
def bao(node):
    """A pool, a machine that knows its Vault's address, and a Vault in which nothing was made."""
    node.tank = create_pool(node)
    made = vaulting.Vault(node)
    configure(made)
    return made


@pytest.fixture
def ready(bao):
    assert_done(admin(bao, "vault", "setup", "tank", "--mounts"))
    return bao


def steps(result):
    return {step["what"]: step["state"] for step in assert_done(result).json["steps"]}


def wrapped_secret_id(bao, path=f"{ROLE}/secret-id"):
    answer = bao.server.api("POST", path, {}, bao.token, headers={"X-Vault-Wrap-TTL": "300s"}).json
    keep_secret(bao.node.world, answer["wrap_info"]["token"])
    return answer["wrap_info"]["token"]


def enroll(bao, token, *argv):
    with pipe_with(token + "\n") as fd:
        return zseal(bao.node, "vault", "enroll", "--wrapped-token-fd", str(fd), *argv, pass_fds=(fd,))


def role_id(bao):
    found = bao.must("GET", f"{ROLE}/role-id")["data"]["role_id"]
    return found


# ---- set-up ----

def test_second_run_changes_nothing(bao):
    first = steps(admin(bao, "vault", "setup", "tank", "--mounts", "--cidr", "127.0.0.0/8,192.0.2.1/32", "--json"))
    assert set(first.values()) == {"made"}
    second = steps(admin(bao, "vault", "setup", "tank", "--mounts", "--cidr", "127.0.0.0/8,192.0.2.1/32", "--json"))
    assert set(second.values()) == {"there"} and second.keys() == first.keys()


def test_what_it_makes(ready):
    key = ready.must("GET", "transit/keys/zfs-wrapper-tank")["data"]
    assert key["derived"] and not key["exportable"] and not key["deletion_allowed"] and key["type"] == "aes256-gcm96"
    assert ready.must("GET", "transit/config/keys")["data"]["disable_upsert"]
    assert ready.must("GET", "sys/auth/approle/tune")["data"]["user_lockout_disable"]
    role = ready.must("GET", ROLE)["data"]
    assert role["token_policies"] == ["zseal-a"] and role["token_type"] == "batch" and role["token_no_default_policy"]
    header = ready.must("GET", "sys/config/auditing/request-headers/X-Correlation-Id")["data"]
    assert header == {"X-Correlation-Id": {"hmac": False}}


def test_dry_run_prints_every_request_and_makes_none(bao):
    result = assert_done(admin(bao, "vault", "setup", "tank", "--mounts", "--dry-run"))
    for path in ("sys/mounts/transit", "sys/auth/approle", "sys/auth/approle/tune", "transit/keys/zfs-wrapper-tank",
                 "transit/config/keys", "sys/policies/acl/zseal-a", "sys/policies/acl/zseal-admin", ROLE,
                 "sys/config/auditing/request-headers/X-Correlation-Id"):
        assert f" /v1/{path}\n" in result.stdout
    assert bao.ask("GET", "sys/mounts/transit")[0] == 400 and bao.ask("GET", "sys/policies/acl/zseal-a")[0] == 404


def test_kv_where_copies_lie_is_a_mount_too(bao):
    """If zseal.conf has one; of version 2, and one of another version is left as it is, and told."""
    configure(bao, "kv-mount = copies")
    assert_refused(admin(bao, "vault", "setup", "tank"), "vault-not-found")
    assert steps(admin(bao, "vault", "setup", "tank", "--mounts", "--json"))["the KV engine, version 2"] == "made"
    assert bao.must("GET", "sys/mounts/copies")["data"]["options"] == {"version": "2"}
    bao.must("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
    configure(bao, "kv-mount = old")
    assert steps(admin(bao, "vault", "setup", "tank", "--mounts", "--json"))["the KV engine, version 2"] == "differs"
    assert bao.must("GET", "sys/mounts/old")["data"]["options"] == {"version": "1"}


def test_missing_mounts_are_made_only_if_asked_for(bao):
    assert_refused(admin(bao, "vault", "setup", "tank"), "vault-not-found", "Transit", "--mounts")
    assert bao.ask("GET", "sys/mounts/transit")[0] == 400


def test_key_that_does_not_derive_is_left_alone(bao):
    """An older site's. It is told, here and whenever a slot is made with it."""
    bao.must("POST", "sys/mounts/transit", {"type": "transit"})
    bao.must("POST", "transit/keys/zfs-wrapper-tank", {})
    result = assert_done(admin(bao, "vault", "setup", "tank", "--mounts"))
    assert "the Transit key: DIFFERS" in result.stdout
    assert not bao.must("GET", "transit/keys/zfs-wrapper-tank")["data"]["derived"]
    assert_done(enroll(bao, wrapped_secret_id(bao), "--role-id", role_id(bao)))
    assert_done(admin(bao, "slot", "add", "tank", "vault"))
    assert [e for e in bao.node.journal() if e["ZSEAL_EVENT"] == "vault-key-shared"]
    lock(bao.node, "tank")
    assert "slot vault)" in assert_opens(bao.node, "tank").stdout


def test_policy_of_another_hand_is_left_alone(ready):
    ready.must("PUT", "sys/policies/acl/zseal-a", {"policy": 'path "x" { capabilities = ["read"] }'})
    assert_refused(admin(ready, "vault", "setup", "tank"), "vault-policy", "zseal-a")


def test_no_token(bao):
    assert_refused(zseal(bao.node, "vault", "setup", "tank"), "vault-token")


def test_token_that_may_nothing(bao):
    token = str(uuid.uuid4())
    bao.must("POST", "auth/token/create", {"id": token, "policies": ["default"]})
    keep_secret(bao.node.world, token)
    assert_refused(zseal(bao.node, "vault", "setup", "tank", env={"VAULT_TOKEN": token}), "vault-denied", "Transit")


@pytest.mark.parametrize("option, value", [
    ("--node", "a/b"), ("--transit-key", "../x"), ("--cidr", "x y"), ("--token-ttl", "1h")])
def test_bad_options(bao, option, value):
    assert_refused(admin(bao, "vault", "setup", "tank", option, value), "usage")


def test_printed_policy_is_what_vault_takes(ready):
    """HCL for Terraform: the same rights as what setup writes."""
    text = assert_done(admin(ready, "vault", "setup", "tank", "--print-policy")).stdout
    node, admins = text.split("# policy zseal-admin\n")
    for name, part in (("zseal-a", node), ("zseal-admin", admins)):
        ready.must("PUT", f"sys/policies/acl/printed-{name}", {"policy": part})
    assert_done(enroll(ready, wrapped_secret_id(ready), "--role-id", role_id(ready)))
    assert_done(admin(ready, "slot", "add", "tank", "vault"))
    text = assert_done(admin(ready, "vault", "setup", "tank", "--print-policy")).stdout
    ready.must("PUT", "sys/policies/acl/printed", {"policy": text.split("# policy zseal-admin\n")[0]})
    ready.must("POST", ROLE, {"token_policies": ["printed"]})
    lock(ready.node, "tank")
    assert "slot vault)" in assert_opens(ready.node, "tank").stdout


def test_administrators_policy_is_enough_and_no_more(ready):
    """A token with it sets nothing up that is not zseal's, decrypts nothing, and makes slots."""
    token = str(uuid.uuid4())
    ready.must("POST", "auth/token/create", {"id": token, "policies": ["zseal-admin"], "no_default_policy": True})
    keep_secret(ready.node.world, token)
    assert_done(enroll(ready, wrapped_secret_id(ready), "--role-id", role_id(ready)))
    assert_done(zseal(ready.node, "slot", "add", "tank", "vault", env={"BAO_TOKEN": token}))
    value = headers.read(ready.node).slots["vault"]
    protect = json.loads(value)["protect"]
    for method, path, body in (
            ("POST", "transit/decrypt/zfs-wrapper-tank", {"ciphertext": protect["ciphertext"],
                                                          "context": vaulting.context_of(value)}),
            ("DELETE", "transit/keys/zfs-wrapper-tank", None), ("DELETE", "sys/policies/acl/zseal-a", None),
            ("GET", "transit/export/encryption-key/zfs-wrapper-tank", None), ("DELETE", ROLE, None),
            ("PUT", "sys/policies/acl/other", {"policy": ""}), ("POST", "sys/mounts/x", {"type": "kv"}),
            ("POST", "transit/encrypt/new-key", {})):
        assert ready.ask(method, path, body, token)[0] in (400, 403), path
    assert ready.ask("GET", "transit/keys/new-key")[0] == 404


def test_node_may_do_nothing_but_open_its_slots(ready):
    """What its policy forbids, tried with the node's own login."""
    token = wrapped_secret_id(ready)
    assert_done(enroll(ready, token, "--role-id", role_id(ready)))
    assert_done(admin(ready, "slot", "add", "tank", "vault"))
    value = headers.read(ready.node).slots["vault"]
    ciphertext, context = json.loads(value)["protect"]["ciphertext"], vaulting.context_of(value)
    secret_id = ready.must("POST", f"{ROLE}/secret-id", {})["data"]["secret_id"]
    login = ready.must("POST", "auth/approle/login", {"role_id": role_id(ready), "secret_id": secret_id}, token="")
    own = login["auth"]["client_token"]
    right = {"ciphertext": ciphertext, "context": context}
    assert ready.ask("POST", "transit/decrypt/zfs-wrapper-tank", right, own)[0] == 200
    other = {"ciphertext": ciphertext, "context": vaulting.NO_CONTEXT}
    for method, path, body in (
            ("POST", "transit/decrypt/zfs-wrapper-tank", {"ciphertext": ciphertext}),
            ("POST", "transit/decrypt/zfs-wrapper-tank", other),
            ("POST", "transit/decrypt/zfs-wrapper-tank", {"batch_input": [right]}),
            ("POST", "transit/encrypt/zfs-wrapper-tank", {"plaintext": "", "context": context}),
            ("POST", "transit/rewrap/zfs-wrapper-tank", right), ("GET", "transit/keys/zfs-wrapper-tank", None),
            ("POST", f"{ROLE}/secret-id", {}), ("GET", f"{ROLE}/role-id", None), ("GET", "sys/policies/acl/zseal-a", None),
            ("GET", "auth/token/lookup-self", None), ("GET", "secret/data/x", None)):
        assert ready.ask(method, path, body, own)[0] == 403, path


# ---- enroll ----

def test_enroll(ready):
    result = assert_done(enroll(ready, wrapped_secret_id(ready), "--role-id", role_id(ready)))
    assert "logged in at " in result.stdout
    for name in ("zseal-vault-role-id", "zseal-vault-secret-id"):
        path = ready.node.path("/etc/credstore.encrypted") / name
        assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(p.name for p in ready.node.path("/etc/credstore.encrypted").iterdir()) == [
        "zseal-vault-role-id", "zseal-vault-secret-id"]
    assert_done(admin(ready, "slot", "add", "tank", "vault"))
    lock(ready.node, "tank")
    assert "slot vault)" in assert_opens(ready.node, "tank").stdout


def test_enroll_without_a_tpm(ready):
    """Said loudly: who has the system disk has the secret_id."""
    ready.node.tpm.off()
    result = assert_done(enroll(ready, wrapped_secret_id(ready), "--role-id", role_id(ready)))
    assert "WARNING: no TPM took part" in result.stderr


def test_wrapping_token_that_was_used(ready):
    token = wrapped_secret_id(ready)
    assert_done(enroll(ready, token, "--role-id", role_id(ready)))
    assert_refused(enroll(ready, token), "vault-wrapped", "used up")


def test_wrapping_token_from_elsewhere_is_not_used_up(ready):
    """It is left to whoever has to explain it."""
    ready.must("POST", "auth/approle/role/other", {"token_policies": ["default"]})
    token = wrapped_secret_id(ready, "auth/approle/role/other/secret-id")
    assert_refused(enroll(ready, token, "--role-id", role_id(ready)), "vault-wrapped", "zseal-a")
    assert ready.ask("POST", "sys/wrapping/unwrap", {}, token)[0] == 200


def test_enroll_without_a_role_id_uses_nothing_up(ready):
    token = wrapped_secret_id(ready)
    assert_refused(enroll(ready, token), "credential", "zseal-vault-role-id")
    assert_done(enroll(ready, token, "--role-id", role_id(ready)))


def test_answer_that_was_lost_is_not_taken_for_a_theft(ready):
    """The token is used up then, by ourselves: it is not sent again, to be told that somebody has used it."""
    ready.server.door.record()
    ready.server.door.fault("lost-answer", path="wrapping/unwrap")
    assert_refused(enroll(ready, wrapped_secret_id(ready), "--role-id", role_id(ready)), "vault-down", "unwrap")
    assert len([r for r in ready.server.door.requests if r.path.endswith("wrapping/unwrap")]) == 1


# ---- status, login-test ----

def test_status(bao):
    result = assert_done(zseal(bao.node, "vault", "status"))
    assert f"{bao.address}: active, version 2." in result.stdout
    (server,) = assert_done(zseal(bao.node, "vault", "status", "--json")).json["servers"]
    assert server["state"] == "active" and server["address"] == bao.address


def test_status_of_several(bao):
    configure(bao, address=["https://127.0.0.1:1", bao.address])
    text = assert_done(zseal(bao.node, "vault", "status")).stdout
    assert "https://127.0.0.1:1: no Vault server answers\n" in text and "active" in text


def test_status_when_all_are_away(bao):
    bao.server.kill()
    result = zseal(bao.node, "vault", "status")
    assert result.status == 4 and "no Vault server answers" in result.stdout


def test_machine_without_vault(node):
    create_pool(node)
    for verb in ("status", "login-test"):
        assert_refused(zseal(node, "vault", verb), "vault-unset")


def test_login_test(ready):
    assert_refused(zseal(ready.node, "vault", "login-test"), "vault-credential")
    assert_done(enroll(ready, wrapped_secret_id(ready), "--role-id", role_id(ready)))
    found = assert_done(zseal(ready.node, "vault", "login-test", "--json")).json
    assert found == {"node": "a", "address": ready.address, "token": "batch", "ttl_s": 300}


# ---- a namespace ----

def test_all_of_it_in_a_namespace(bao):
    """The administrator's from the environment, the node's from zseal.conf; nothing is made outside of it."""
    bao.must("POST", "sys/namespaces/team", {})
    configure(bao, "namespace = team")
    setup = ("vault", "setup", "tank", "--mounts", "--json")
    assert set(steps(admin(bao, *setup, env={"BAO_NAMESPACE": "team"})).values()) <= {"made", "there"}
    again = assert_done(admin(bao, *setup[:-1], env={"BAO_NAMESPACE": "team"})).stdout
    assert "bao write -namespace=team -wrap-ttl" in again and "audit" not in again
    token = wrapped_secret_id(bao, f"team/{ROLE}/secret-id")
    found = bao.must("GET", f"team/{ROLE}/role-id")["data"]["role_id"]
    assert_done(enroll(bao, token, "--role-id", found))
    assert_done(admin(bao, "slot", "add", "tank", "vault"))
    lock(bao.node, "tank")
    assert "slot vault)" in assert_opens(bao.node, "tank").stdout
    assert bao.ask("GET", f"{ROLE}/role-id")[0] == 404
    assert bao.ask("GET", "transit/keys/zfs-wrapper-tank")[0] == 404
    lock(bao.node, "tank")
    configure(bao, "namespace = other")
    assert "opened by fallback" in assert_opens(bao.node, "tank").stdout
