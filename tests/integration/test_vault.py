# SPDX-License-Identifier: MIT
"""A slot that a real OpenBao opens, with the least policy for its node, and what happens when it does not."""
import json
import signal
import subprocess
import time

import pytest

import headers
import steps
import vaulting
from conftest import (assert_done, assert_opens, assert_refused, assert_said, create_pool, is_locked, keep_secret, lock,
                      one_zfs, pipe_with, run, zseal)
from typed import slots, worth
from vaulting import add_slot, admin, configure, give, new_secret_id

pytestmark = one_zfs


@pytest.fixture
def bao(node):
    """A pool with slots for TPM, recovery key and Vault, locked; the machine asks Vault first."""
    node.tank = create_pool(node)
    made = vaulting.Vault(node)
    vaulting.set_up(made)
    add_slot(made)
    lock(node, "tank")
    return made


def asked(node):
    """(method, path, status) of every request since the last call."""
    events = [e for e in node.journal() if e.get("ZSEAL_EVENT") == "vault-asked"]
    seen, node.seen = getattr(node, "seen", 0), len(events)
    return [(e["ZSEAL_VAULT_METHOD"], e["ZSEAL_VAULT_PATH"], int(e["ZSEAL_HTTP_STATUS"])) for e in events[seen:]]


def assert_falls_back(node, error, *words, dataset="tank"):
    """The vault slot fails with this error; the TPM opens, and that is told."""
    result = assert_opens(node, dataset)
    assert "(slot tpm2-a, opened by fallback)" in result.stdout
    reason = next(line for line in result.stderr.splitlines() if line.startswith("  slot vault: "))
    for word in (vaulting.sentence(error), *words):
        assert word in reason
    events = [e["ZSEAL_EVENT"] for e in node.journal()]
    assert "opened-by-fallback" in events
    failed = [e for e in node.journal() if e["ZSEAL_EVENT"] == "slot-failed"][-1]
    assert failed["ZSEAL_ERROR"] == error and failed["ZSEAL_SLOT"] == "vault"
    lock(node, dataset)
    return result


LOGIN, DECRYPT = "auth/approle/login", "transit/decrypt/zfs-wrapper-tank"
REVOKE = "auth/token/revoke-self"


# ---- the main job ----

def test_opens(bao):
    asked(bao.node)
    assert assert_opens(bao.node, "tank").stdout == "tank: unlocked (slot vault)\n"
    assert asked(bao.node) == [("POST", LOGIN, 200), ("POST", DECRYPT, 200)]


def test_service_token_is_given_back(bao):
    vaulting.set_token_type(bao, "service")
    asked(bao.node)
    assert_opens(bao.node, "tank")
    assert asked(bao.node) == [("POST", LOGIN, 200), ("POST", DECRYPT, 200), ("POST", REVOKE, 204)]


def test_many_roots_cost_one_login(bao):
    node = bao.node
    assert_opens(node, "tank")
    for name in ("one", "two"):
        with vaulting.key_file(node) as path:
            run(node, "zfs", "create", "-u", "-o", "encryption=on", "-o", "keyformat=raw", "-o",
                f"keylocation=file://{path}", f"tank/{name}")
            assert_done(zseal(node, "adopt", "--key-file", path, f"tank/{name}"))
    assert_done(zseal(node, "lock", "--all"))
    asked(node)
    assert_done(zseal(node, "unlock", "--all"))
    assert asked(node) == [("POST", LOGIN, 200), ("POST", DECRYPT, 200)]


def test_request_is_told_with_its_marks(bao):
    assert_opens(bao.node, "tank")
    login, decrypt = [e for e in bao.node.journal() if e["ZSEAL_EVENT"] == "vault-asked"][-2:]
    assert login["ZSEAL_VAULT_ADDRESS"] == bao.address
    assert login["ZSEAL_VAULT_CORRELATION_ID"] == decrypt["ZSEAL_VAULT_CORRELATION_ID"]
    assert login["ZSEAL_VAULT_REQUEST_ID"] != decrypt["ZSEAL_VAULT_REQUEST_ID"]


def test_status_asks_nobody(bao):
    asked(bao.node)
    slot = slots(bao.node)["vault"]
    assert slot["type"] == "vault" and slot["state"] == "ok"
    assert asked(bao.node) == []


def test_worth(bao):
    """To a thief of the machine a vault slot is worth what Vault still grants it."""
    bao.node.tpm.clear()
    assert worth(bao.node) == ("closed", "vault")
    text = assert_done(zseal(bao.node, "status")).stdout
    assert "thief of this whole machine: while Vault answers it (slot vault; revoke its login then)\n" in text


# ---- making and changing slots ----

def test_plaintext_in_vault_is_the_slot_secret_alone(bao):
    """What Transit has is not what the keyring's key is, and the header holds addresses of nobody."""
    header = headers.read(bao.node)
    protect = json.loads(header.slots["vault"])["protect"]
    assert set(protect) == {"cluster", "key", "ciphertext"}
    secret = vaulting.decrypt(bao, header.slots["vault"])
    keep_secret(bao.node.world, secret)
    key, _ = headers.keyring_key(bao.node, header, bao.node.tank.recovery_key)
    assert len(secret) == 32 and secret != key


def test_dry_run_changes_nothing(bao):
    before = headers.read(bao.node)
    policy = bao.ask("GET", "sys/policies/acl/zseal-a")[1]["data"]
    result = assert_done(admin(bao, "slot", "add", "tank", "vault", "--name", "second", "--dry-run"))
    assert "would be added" in result.stdout and headers.read(bao.node) == before
    assert bao.ask("GET", "sys/policies/acl/zseal-a")[1]["data"] == policy


def test_second_slot_of_another_key(bao):
    bao.must("POST", "transit/keys/other", {"derived": True})
    assert_done(admin(bao, "slot", "add", "tank", "vault", "--name", "second", "--transit-key", "other"))
    assert_done(zseal(bao.node, "slot", "test", "tank", "second"))


def test_token_by_a_descriptor(bao):
    with pipe_with(bao.token + "\n") as fd:
        assert_done(zseal(bao.node, "slot", "add", "tank", "vault", "--name", "second", "--vault-token-fd", str(fd),
                          pass_fds=(fd,)))


def test_nodes_own_token_may_not_encrypt(bao):
    """Least policy: without an administrator's token nothing is made."""
    assert_refused(zseal(bao.node, "slot", "add", "tank", "vault", "--name", "second"), "vault-denied")
    assert "second" not in slots(bao.node)


def test_reseal(bao):
    before = headers.read(bao.node).slots["vault"]
    assert_done(admin(bao, "slot", "reseal", "tank", "vault"))
    after = headers.read(bao.node).slots["vault"]
    assert vaulting.context_of(before) != vaulting.context_of(after)
    assert vaulting.contexts(bao) == [vaulting.context_of(after)], "the old one's is taken out of the policy"
    assert_opens(bao.node, "tank")


def test_remove(bao):
    """The node's policy lets go of it, and of nothing else."""
    add_slot(bao, "--name", "second")
    context = vaulting.context_of(headers.read(bao.node).slots["second"])
    result = assert_done(admin(bao, "slot", "remove", "tank", "vault"))
    assert "vault" not in slots(bao.node) and result.stderr == ""
    assert vaulting.contexts(bao) == [context]
    assert "slot second)" in assert_opens(bao.node, "tank").stdout


def test_last_slot_of_a_node_is_removed(bao):
    """A policy without contexts would allow them all."""
    assert_done(admin(bao, "slot", "remove", "tank", "vault"))
    assert vaulting.contexts(bao) == ["no-slot-yet"]
    refused = bao.ask("POST", DECRYPT, {"ciphertext": "vault:v1:AAAA", "context": vaulting.NO_CONTEXT},
                      token=vaulting.log_in(bao))
    assert refused[0] == 403


@pytest.mark.parametrize("away", [False, True])
def test_remove_without_asking_vault(bao, away):
    """Without a token, or without Vault, the slot goes all the same, and what is left there is told."""
    context = vaulting.context_of(headers.read(bao.node).slots["vault"])
    if away:
        bao.server.kill()
        configure(bao, "timeout = 2")
    result = assert_done((admin if away else lambda bao, *argv: zseal(bao.node, *argv))(
        bao, "slot", "remove", "tank", "vault"))
    assert "vault" not in slots(bao.node)
    assert f"still allows its context, which opens nothing any more\n  {context}\n" in result.stderr
    assert "slot tpm2-a)" in assert_opens(bao.node, "tank").stdout


@pytest.mark.parametrize("variable, value, word", [
    ("BAO_SKIP_VERIFY", "1", "SKIP_VERIFY"), ("VAULT_ADDR", "ftp://x", "VAULT_ADDR"),
    ("BAO_NAMESPACE", "a/../b", "NAMESPACE"), ("BAO_TLS_SERVER_NAME", "a b", "TLS_SERVER_NAME")])
def test_environment_is_checked(bao, variable, value, word):
    assert_refused(admin(bao, "slot", "add", "tank", "vault", "--name", "x", env={variable: value}), "usage", word)


def test_bao_wins_over_vault_in_the_environment(bao):
    assert_done(admin(bao, "slot", "add", "tank", "vault", "--name", "second",
                      env={"VAULT_ADDR": "https://127.0.0.1:1", "BAO_ADDR": bao.address, "VAULT_TOKEN": "nonsense"}))


def test_unlocking_takes_nothing_from_the_environment(bao):
    environment = {"BAO_ADDR": "http://127.0.0.1:1", "VAULT_ADDR": "http://127.0.0.1:1", "BAO_TOKEN": "nonsense",
                   "BAO_SKIP_VERIFY": "1", "http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}
    result = assert_done(zseal(bao.node, "unlock", "tank", env=environment))
    assert "slot vault)" in result.stdout


@pytest.mark.parametrize("key", ["a/b", "..", "", "x" * 64, "a b"])
def test_bad_transit_key(bao, key):
    assert_refused(admin(bao, "slot", "add", "tank", "vault", "--name", "x", "--transit-key", key), "usage", "Transit")


# ---- Vault is away ----

def test_vault_is_away(bao):
    """The TPM opens when the deadline has passed, and not before."""
    bao.server.kill()
    configure(bao, "timeout = 2")
    began = time.monotonic()
    assert_falls_back(bao.node, "vault-down", bao.address)
    assert time.monotonic() - began >= 2


def test_status_tells_of_the_fallback(bao):
    """As long as it is unlocked; and not after an unlock by the slot that should."""
    assert assert_done(zseal(bao.node, "status", "--json")).json["keyrings"][0].get("opened") is None
    bao.server.door.shut()
    configure(bao, "timeout = 1")
    assert_opens(bao.node, "tank")
    text = assert_done(zseal(bao.node, "status")).stdout
    assert "by slot tpm2-a, opened by fallback: slot vault should have opened it\n" in text
    assert vaulting.sentence("vault-down") in text
    opened = assert_done(zseal(bao.node, "status", "--json")).json["keyrings"][0]["opened"]
    assert opened == {"slot": "tpm2-a", "when": opened["when"], "by_fallback": True,
                      "missed": {"slot": "vault", "error": "vault-down"}}
    lock(bao.node, "tank")
    assert "fallback" not in assert_done(zseal(bao.node, "status")).stdout
    bao.server.door.open()
    configure(bao)
    assert_opens(bao.node, "tank")
    text = assert_done(zseal(bao.node, "status")).stdout
    assert "by slot vault\n" in text and "fallback" not in text
    bao.node.reboot()
    assert_done(zseal(bao.node, "unlock", "tank"))
    bao.node.path("/run/zseal/opened").chmod(0o777)
    assert "fallback" not in assert_done(zseal(bao.node, "status")).stdout, "what others may have written is not told"


def test_unlock_does_not_need_its_memory(bao):
    """What status tells lies in /run; an unlock goes on without."""
    bao.node.path("/run/zseal").write_text("no folder")
    assert_opens(bao.node, "tank")
    assert "by slot" not in assert_done(zseal(bao.node, "status")).stdout


@pytest.mark.parametrize("order", ["vault (1 s), tpm2", "vault(1s),tpm2", "vault ( 1 s ) tpm2", "vault (1 s), tpm2-a (9 s)"])
def test_order_gives_a_slot_its_time(bao, order):
    """Less than that of its kind: with that, this test would not end in time."""
    bao.server.door.shut()
    configure(bao, "timeout = 3600", unlock=(f"order = {order}",))
    assert_falls_back(bao.node, "vault-down")


def test_order_gives_a_slot_more_time(bao):
    """Than that of its kind: it waits for a server that comes late."""
    bao.server.door.shut()
    configure(bao, "timeout = 1", "request-timeout = 1", unlock=("order = vault (60 s)",))
    with bao.node.popen(["zseal", "unlock", "tank"], stdout=subprocess.PIPE, text=True) as process:
        time.sleep(2)  # longer than its kind has
        bao.server.door.open()
        assert process.communicate(timeout=90)[0] == "tank: unlocked (slot vault)\n"


def test_several_keyrings_wait_once(bao):
    """What was away for one keyring is away for the next."""
    other = create_pool(bao.node, "other", 2)
    bao.must("POST", "transit/keys/zfs-wrapper-other", {"derived": True})
    assert_done(admin(bao, "slot", "add", "other", "vault"))
    lock(bao.node, "other")
    bao.server.kill()
    configure(bao, "timeout = 2")
    began = time.monotonic()
    result = assert_done(zseal(bao.node, "unlock", "--all"))
    assert result.stdout.count("opened by fallback") == 2 and other.name in result.stdout
    assert time.monotonic() - began < 4


def test_fallback_for_programs(bao):
    bao.server.kill()
    configure(bao, "timeout = 1")
    (keyring,) = assert_done(zseal(bao.node, "unlock", "--json", "tank")).json["keyrings"]
    assert keyring["by_fallback"] is True
    assert keyring["attempts"][0]["error"]["class"] == "unavailable" and keyring["attempts"][1]["opened"]


def test_no_fallback(bao):
    """zseal.conf's order is complete: what it leaves out is not tried."""
    bao.server.kill()
    configure(bao, "timeout = 1", unlock=("order = vault",))
    assert_refused(zseal(bao.node, "unlock", "tank"), "vault-down", bao.address)
    assert is_locked(bao.node, "tank")


def test_hedge(bao):
    """The TPM opens after a second, though Vault would be waited for longer."""
    bao.server.kill()
    configure(bao, "timeout = 30", unlock=("order = vault, tpm2", "hedge = 1"))
    began = time.monotonic()
    assert_falls_back(bao.node, "vault-down")
    assert time.monotonic() - began < 15


def test_hedged_slot_gets_all_its_time_in_the_end(bao):
    configure(bao, "timeout = 60", "request-timeout = 1",
              unlock=("order = vault, tpm2", "hedge = 1", "slot-timeout = 60"))
    bao.node.tpm.off()
    bao.server.stop()
    with bao.node.popen(["zseal", "unlock", "tank"]) as process:
        vaulting.await_event(bao.node, ZSEAL_EVENT="slot-failed", ZSEAL_SLOT="tpm2-a")
        bao.server.cont()
        assert process.wait(60) == 0
    assert not is_locked(bao.node, "tank")


def test_vault_comes_back_within_the_deadline(bao):
    configure(bao, "timeout = 60", "request-timeout = 1", unlock=("order = vault", "slot-timeout = 60"))
    bao.server.stop()
    with bao.node.popen(["zseal", "unlock", "tank"]) as process:
        vaulting.await_event(bao.node, ZSEAL_EVENT="credential-plain")
        bao.server.cont()
        assert process.wait(60) == 0
    assert not is_locked(bao.node, "tank")


def test_sealed(bao):
    bao.must("POST", "sys/seal", {})
    configure(bao, "timeout = 1")
    assert_falls_back(bao.node, "vault-sealed")


def test_interrupted(bao):
    """SIGTERM ends the waiting at once."""
    with vaulting.silent_server(bao.node) as address:
        configure(bao, "timeout = 60", address=[address])
        with bao.node.popen(["zseal", "unlock", "tank"]) as process:
            vaulting.await_connection(bao.node)
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 8
    assert is_locked(bao.node, "tank")


def test_first_address_is_silent(bao):
    """The second one is asked a moment later, and answers."""
    with vaulting.silent_server(bao.node) as address:
        configure(bao, address=[address, bao.address])
        assert "slot vault)" in assert_opens(bao.node, "tank").stdout


def test_all_but_the_last_address_refuse(bao):
    configure(bao, address=[f"https://127.0.0.1:{port}" for port in range(1, 8)] + [bao.address])
    assert "slot vault)" in assert_opens(bao.node, "tank").stdout


def test_server_whose_name_nobody_knows(bao):
    configure(bao, "timeout = 1", address=["https://vault.invalid:8200"])
    assert_falls_back(bao.node, "vault-down", "vault.invalid")
    configure(bao, address=["https://vault.invalid:8200", bao.address])
    assert "slot vault)" in assert_opens(bao.node, "tank").stdout


def test_server_by_its_name(bao):
    """The machine's hosts file knows it; the certificate has to have it."""
    configure(bao, address=[bao.address.replace("127.0.0.1", "localhost")])
    assert "slot vault)" in assert_opens(bao.node, "tank").stdout


# ---- Vault says no ----

def test_wrong_secret_id_is_tried_once(bao):
    """Five of them would lock the role."""
    give(bao.node, "zseal-vault-secret-id", "00000000-1111-2222-3333-444444444444")
    asked(bao.node)
    assert_falls_back(bao.node, "vault-login")
    assert asked(bao.node) == [("POST", LOGIN, 400)]


def test_role_that_is_locked_out(bao):
    for _ in range(6):
        bao.ask("POST", LOGIN, {"role_id": vaulting.role_id(bao), "secret_id": "wrong"}, token="")
    assert_falls_back(bao.node, "vault-denied")


def test_secret_id_of_another_network(bao):
    bao.must("POST", f"auth/approle/role/{vaulting.ROLE}", {"secret_id_bound_cidrs": ["192.0.2.0/24"]})
    new_secret_id(bao)
    assert_falls_back(bao.node, "vault-login", "not from this network address")


def test_policy_without_the_context(bao):
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": vaulting.policy(["AAAA"])})
    assert_falls_back(bao.node, "vault-denied")


def test_keyring_key_is_not_asked_for_twice(bao):
    """A refusal is no reason to ask again."""
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": vaulting.policy(["AAAA"])})
    asked(bao.node)
    assert_falls_back(bao.node, "vault-denied")
    assert asked(bao.node) == [("POST", LOGIN, 200), ("POST", DECRYPT, 403)]


def test_no_such_key(bao):
    bao.must("POST", "transit/keys/zfs-wrapper-tank/config", {"deletion_allowed": True})
    bao.must("DELETE", "transit/keys/zfs-wrapper-tank")
    assert_falls_back(bao.node, "vault-key")


def test_archived_version_of_the_key(bao):
    bao.must("POST", "transit/keys/zfs-wrapper-tank/rotate", {})
    bao.must("POST", "transit/keys/zfs-wrapper-tank/config", {"min_decryption_version": 2})
    assert_falls_back(bao.node, "vault-key")


def test_no_such_mount(bao):
    bao.must("DELETE", "sys/auth/approle")
    result = assert_opens(bao.node, "tank")
    assert "opened by fallback" in result.stdout


def spoil(slot):
    text = slot["protect"]["ciphertext"]
    slot["protect"]["ciphertext"] = text[:20] + ("A" if text[20] != "A" else "B") + text[21:]


def test_ciphertext_was_changed(bao):
    """By whoever may set properties: the slot is damaged, the TPM opens, and the MAC tells."""
    header = headers.read(bao.node)
    header.slots["vault"] = headers.changed(header.slots["vault"], spoil)
    headers.write(bao.node, header)
    result = assert_falls_back(bao.node, "vault-ciphertext")
    assert_said(result.stderr, "mac", "tank")


def test_slot_names_another_cluster(bao):
    """It is another machine's business: no alarm, no fallback."""
    configure(bao, "cluster = elsewhere")
    result = assert_opens(bao.node, "tank")
    assert "tank: unlocked (slot tpm2-a)\n" in result.stdout
    assert vaulting.sentence("vault-unset") in result.stderr


def test_machine_without_vault(bao):
    bao.node.path("/etc/zseal/zseal.conf").unlink()
    assert_refused(zseal(bao.node, "slot", "test", "tank", "vault"), "vault-unset", "vault")
    assert "slot tpm2-a" in assert_opens(bao.node, "tank").stdout


# ---- credentials ----

def credential(node, name="zseal-vault-secret-id"):
    return node.path("/etc/credstore") / name


def plain_told(node):
    return [e["ZSEAL_CREDENTIAL"] for e in node.journal() if e["ZSEAL_EVENT"] == "credential-plain"]


def test_no_credential(bao):
    credential(bao.node).unlink()
    assert_falls_back(bao.node, "vault-credential", "zseal-vault-secret-id")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o700])
def test_credential_that_others_can_read(bao, mode):
    credential(bao.node).chmod(mode)
    asked(bao.node)
    assert_falls_back(bao.node, "credential-open", f"{mode:04o}")
    assert asked(bao.node) == []


def test_plain_credential_is_told(bao):
    assert_opens(bao.node, "tank")
    assert plain_told(bao.node)[-2:] == ["zseal-vault-role-id", "zseal-vault-secret-id"]


@pytest.mark.parametrize("text", ["", "\n", "x" * 1025, 'a"b', "a\\b", "a\nb"])
def test_credential_that_can_be_none(bao, text):
    path = credential(bao.node)
    path.write_text(text)
    path.chmod(0o600)
    assert_falls_back(bao.node, "vault-credential")


def test_credential_is_a_link(bao):
    path = credential(bao.node)
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    assert_falls_back(bao.node, "vault-credential")


def test_encrypted_credential(bao):
    """Encrypted by systemd-creds to this machine, decrypted by a child when the slot's turn comes."""
    vaulting.encrypt_credentials(bao.node)
    before = plain_told(bao.node)
    assert "slot vault)" in assert_opens(bao.node, "tank").stdout
    assert plain_told(bao.node) == before


def test_encrypted_credential_of_another_machine(bao):
    vaulting.encrypt_credentials(bao.node)
    vaulting.forget_host_key(bao.node)
    assert_falls_back(bao.node, "vault-credential", "systemd-creds")


# ---- what is loaded ----

def opened_files(node, *argv):
    run(node, "strace", "-f", "-o", "/run/lab/tmp/opened", "-e", "trace=openat,connect", *argv,
        env=steps.environment())
    return node.path("/run/lab/tmp/opened").read_text()


def test_machine_with_tpm_slots_alone_has_no_network_code(bao):
    configure(bao, unlock=("order = tpm2, vault",))
    assert "libcurl" not in opened_files(bao.node, "zseal", "unlock", "tank")
    lock(bao.node, "tank")
    configure(bao)
    assert "libcurl" in opened_files(bao.node, "zseal", "unlock", "tank")


def test_libcurl_is_missing(bao):
    library = bao.node.run(["sh", "-c", "readlink -f /usr/lib/*/libcurl.so.4"]).stdout.strip()
    run(bao.node, "mount", "--bind", "/dev/null", library)
    result = assert_falls_back(bao.node, "vault-library", "libcurl.so.4")
    assert result.status == 0


def test_plain_http_is_refused_unless_allowed(bao):
    configure(bao, address=[bao.plain_address])
    asked(bao.node)
    result = assert_opens(bao.node, "tank")
    assert "allow-http" in result.stderr and "slot tpm2-a" in result.stdout
    assert asked(bao.node) == []


def test_plain_http_is_warned_of(bao):
    configure(bao, "allow-http = yes", address=[bao.plain_address])
    assert_opens(bao.node, "tank")
    assert [e for e in bao.node.journal() if e["ZSEAL_EVENT"] == "vault-plain"]


# ---- the configuration ----

@pytest.mark.parametrize("line", [
    "address = https://a/b", "address = https://u@a", "address = ftp://a", "address = https://", "address = a:8200",
    "address = https://a:0", "address = https://a:65536", "address = https://a?x", "address = https://a:1:2",
    "address = https://a\naddress = https://A:443", "ca = cert.pem", "ca = /a/../b", "server-name = a b",
    "namespace = a/../b", "namespace = /a",
    "approle-mount = a//b", "transit-mount = a.b", "cluster = a/b", "node = ..", "role-id = a/b", "allow-http = true",
    "timeout = 0", "timeout = 3601", "connect-timeout = 61", "request-timeout = 1s", "secret = x"])
def test_configuration_is_strict(bao, line):
    configure(bao, line)
    assert_refused(zseal(bao.node, "status"), "config", "[vault]")


def test_at_most_eight_addresses(bao):
    configure(bao, address=[f"https://a{i}" for i in range(9)])
    assert_refused(zseal(bao.node, "status"), "config", "[vault] address")


# ---- a copy in KV ----

KV = "site/env/zfs-keys"


@pytest.fixture
def kv(bao):
    """The slot again, with a copy of its ciphertext under the node's name."""
    configure(bao, "kv-mount = secret")
    assert_done(admin(bao, "slot", "reseal", "tank", "vault", "--kv", f"{KV}/{{pool}}/{{node}}"))
    return bao


def copy_path():
    return f"secret/data/{KV}/tank/a"


def test_copy_in_kv(kv):
    """It holds the ciphertext alone, and an unlock does not ask for it."""
    protect = json.loads(headers.read(kv.node).slots["vault"])["protect"]
    assert kv.must("GET", copy_path())["data"]["data"] == {"ciphertext": protect["ciphertext"]}
    assert protect["kv"] == f"{KV}/tank/{{node}}"
    asked(kv.node)
    assert "slot vault)" in assert_opens(kv.node, "tank").stdout
    assert asked(kv.node) == [("POST", LOGIN, 200), ("POST", DECRYPT, 200)]


def test_copy_serves_where_the_pools_own_is_damaged(kv):
    header = headers.read(kv.node)
    header.slots["vault"] = headers.changed(header.slots["vault"], spoil)
    headers.write(kv.node, header)
    result = assert_opens(kv.node, "tank")
    assert "slot vault)" in result.stdout and vaulting.sentence("mac") in result.stderr


def test_lost_copy_is_noticed_by_a_test_and_does_not_keep_the_pool_locked(kv):
    kv.must("DELETE", copy_path().replace("/data/", "/metadata/"))
    assert_refused(zseal(kv.node, "slot", "test", "tank", "vault"), "vault-not-found", "KV", status=7)
    assert "slot vault)" in assert_opens(kv.node, "tank").stdout


def test_copy_of_another_slot_is_noticed_by_a_test(kv):
    kv.must("POST", copy_path(), {"data": {"ciphertext": "vault:v1:AAAA"}})
    assert_refused(zseal(kv.node, "slot", "test", "tank", "vault"), "vault-ciphertext", "KV")


def test_another_nodes_copy_may_not_be_read(kv):
    kv.must("POST", f"secret/data/{KV}/tank/b", {"data": {"ciphertext": "vault:v1:AAAA"}})
    kv.must("POST", "auth/approle/role/zseal-a", {"token_type": "service"})
    own = vaulting.log_in(kv)
    assert kv.ask("GET", copy_path(), token=own)[0] == 200
    assert kv.ask("GET", f"secret/data/{KV}/tank/b", token=own)[0] == 403


@pytest.mark.parametrize("path", ["/a", "a/", "a//b", "..", "{x}/a", "a.b", ""])
def test_bad_path_in_kv(bao, path):
    configure(bao, "kv-mount = secret")
    assert_refused(admin(bao, "slot", "add", "tank", "vault", "--name", "x", "--kv", path), "usage", "--kv")


def test_copy_without_a_mount(bao):
    assert_refused(admin(bao, "slot", "add", "tank", "vault", "--name", "x", "--kv", "a"), "config", "kv-mount")
