# SPDX-License-Identifier: MIT
"""A node that logs in by its TLS certificate, on a real OpenBao; and what an administrator's client takes from the
environment. Each refusal with its message, its class, and one try."""
import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

import vaulting
from conftest import (assert_done, assert_opens, assert_refused, assert_said, create_pool, keep_secret, lock, new_world,
                      one_zfs, run, zfs_versions, zseal)
from vaulting import admin, configure

pytestmark = one_zfs

LOGIN, DECRYPT = "auth/cert/login", "transit/decrypt/zfs-wrapper-tank"
ROLE = "auth/cert/certs/zseal-a"
CLIENT = "/etc/zseal/vault-client"


@pytest.fixture(scope="module")
def shared():
    """One pool and one server: a test leaves Vault as it was."""
    with new_world(zfs_versions()[0]) as world:
        node = world.node("a")
        node.tank = create_pool(node)
        made = vaulting.Vault(node)
        made.certificates = made.server.certificates
        configure(made)
        assert_done(set_up(made, made.certificates.client()[0], "--mounts"))
        use(made, "good")
        assert_done(admin(made, "slot", "add", "tank", "vault"))
        yield made


@pytest.fixture
def bao(shared):
    """The node has its certificate, its pool is locked, the role knows the certificate itself."""
    use(shared, "good")
    shared.node.run(["zfs", "unload-key", "tank"])
    yield shared
    shared.server.door.no_fault()
    shared.server.door.record(False)


def set_up(bao, certificate, *argv):
    return admin(bao, "vault", "setup", "tank", "--login", "cert", "--certificate", str(certificate), *argv)


def use(bao, kind, key=None, mode=0o600, lines=()):
    """The node's own copy of a certificate, as zseal.conf names it."""
    certificate, own_key = bao.certificates.client(kind)
    for source, ending, bits in ((certificate, ".pem", 0o644), (key or own_key, ".key", mode)):
        path = bao.node.path(CLIENT + ending)
        if path.is_symlink() or path.exists():
            path.unlink()
        path.write_bytes(Path(source).read_bytes())
        path.chmod(bits)
    configure(bao, "login = cert", f"client-cert = {CLIENT}.pem", f"client-key = {CLIENT}.key", *lines)


@pytest.fixture
def by_authority(bao):
    """The role takes whatever the authority has signed for this name; then the certificate itself again."""
    assert_done(set_up(bao, bao.certificates.ca, "--cert-name", "node.test"))
    yield bao
    assert_done(set_up(bao, bao.certificates.client()[0]))


def asked(node):
    """(path, status) of every request since the last call."""
    events = [e for e in node.journal() if e.get("ZSEAL_EVENT") == "vault-asked"]
    seen, node.seen = getattr(node, "seen", 0), len(events)
    return [(e["ZSEAL_VAULT_PATH"], int(e["ZSEAL_HTTP_STATUS"])) for e in events[seen:]]


def assert_not_let_in(bao, error, *words, requests=((LOGIN, 400),)):
    """The TPM opens instead, and the reason is told; nothing was tried twice."""
    asked(bao.node)
    result = assert_opens(bao.node, "tank")
    assert "(slot tpm2-a, opened by fallback)" in result.stdout
    reason = next(line for line in result.stderr.splitlines() if line.startswith("  slot vault: "))
    for word in (vaulting.sentence(error), *words):
        assert word in reason
    assert asked(bao.node) == list(requests)
    lock(bao.node, "tank")


# ---- it opens ----

def test_opens(bao):
    """Two requests, and no credential is read."""
    asked(bao.node)
    assert assert_opens(bao.node, "tank").stdout == "tank: unlocked (slot vault)\n"
    assert asked(bao.node) == [(LOGIN, 200), (DECRYPT, 200)]
    assert not [e for e in bao.node.journal() if e["ZSEAL_EVENT"] == "credential-plain"]
    assert not bao.node.path("/etc/credstore/zseal-vault-secret-id").exists()


def test_login_test_and_slot_test(bao):
    found = assert_done(zseal(bao.node, "vault", "login-test", "--json")).json
    assert found == {"node": "a", "address": bao.address, "token": "batch", "ttl_s": 300}
    assert_done(zseal(bao.node, "slot", "test", "tank", "vault"))


def test_service_token_is_given_back(bao):
    bao.must("POST", ROLE, {**bao.must("GET", ROLE)["data"], "token_type": "service"})
    asked(bao.node)
    assert_opens(bao.node, "tank")
    assert asked(bao.node)[-1] == ("auth/token/revoke-self", 204)
    assert_done(set_up(bao, bao.certificates.client()[0]))


def test_status_asks_nobody(bao):
    asked(bao.node)
    assert "vault     ready" in assert_done(zseal(bao.node, "status")).stdout
    text = assert_done(zseal(bao.node, "vault", "status")).stdout
    assert "this machine logs in by certificate, which ends on 20" in text
    assert asked(bao.node) == []


def test_another_mount(bao):
    bao.must("POST", "sys/auth/node-certs", {"type": "cert"})
    wanted = {"certificate": bao.certificates.client()[0].read_text(), "token_policies": ["zseal-a"]}
    bao.must("POST", "auth/node-certs/certs/zseal-a", wanted)
    use(bao, "good", lines=["cert-mount = node-certs"])
    asked(bao.node)
    assert "slot vault)" in assert_opens(bao.node, "tank").stdout
    assert asked(bao.node)[0] == ("auth/node-certs/login", 200)
    bao.must("DELETE", "sys/auth/node-certs")


def test_whatever_the_authority_signed_for_the_name(by_authority):
    assert "slot vault)" in assert_opens(by_authority.node, "tank").stdout


# ---- it does not ----

def test_certificate_of_another_authority(bao):
    use(bao, "other-ca")
    assert_not_let_in(bao, "vault-login-cert", "not the one that its role knows")


def test_certificate_that_the_role_does_not_know(bao):
    """Of the right authority, and another than the role has."""
    use(bao, "soon")
    assert_not_let_in(bao, "vault-login-cert", "not the one that its role knows")


def test_certificate_of_another_name(by_authority):
    assert_done(set_up(by_authority, by_authority.certificates.ca, "--cert-name", "other.test"))
    assert_not_let_in(by_authority, "vault-login-cert", "none of the names")


def test_role_of_another_node_is_not_this_nodes_login(bao):
    """The certificate is good for zseal-a; a machine that calls itself b is not let in with it."""
    use(bao, "good", lines=["node = b"])
    assert_not_let_in(bao, "vault-login-cert")


def test_certificate_that_has_ended(by_authority):
    """OpenBao answers 500, which else passes: it is not tried again."""
    use(by_authority, "expired")
    assert_not_let_in(by_authority, "vault-login-cert", "it ended on 20", requests=((LOGIN, 500),))
    text = assert_done(zseal(by_authority.node, "status")).stdout
    assert "vault     REFUSED" in text and vaulting.sentence("vault-login-cert") in text


def test_certificate_that_ended_by_the_servers_clock_alone(bao):
    body = {"errors": ["failed to verify client's certificate: x509"]}
    bao.server.door.fault("answer", path=LOGIN, status=500, body=body)
    assert_not_let_in(bao, "vault-login-cert", "out of date, by that server's clock", requests=((LOGIN, 500),))


def test_listener_that_asks_for_no_certificate(bao):
    """A door that ends TLS is one, as a proxy would be."""
    bao.server.door.record()
    assert_not_let_in(bao, "vault-login-cert", "no certificate came there")


def test_network_that_the_role_does_not_allow(bao):
    assert_done(set_up(bao, bao.certificates.client()[0], "--cidr", "192.0.2.0/24"))
    assert_not_let_in(bao, "vault-denied", requests=((LOGIN, 403),))
    assert_done(set_up(bao, bao.certificates.client()[0]))


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o622, 0o700])
def test_key_that_others_can_read(bao, mode):
    use(bao, "good", mode=mode)
    assert_not_let_in(bao, "credential-open", f"vault-client.key has mode {mode:04o}, not 0600", requests=())
    assert_refused(zseal(bao.node, "vault", "login-test"), "credential-open", f"{mode:04o}")


def test_key_of_another_user(bao):
    os.chown(bao.node.path(CLIENT + ".key"), 1, 0)
    assert_not_let_in(bao, "credential-open", "belongs to user 1", requests=())


def test_key_is_a_link(bao):
    path = bao.node.path(CLIENT + ".key")
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    assert_not_let_in(bao, "vault-client-cert", "vault-client.key", requests=())


@pytest.mark.parametrize("ending", [".pem", ".key"])
def test_file_is_missing(bao, ending):
    bao.node.path(CLIENT + ending).unlink()
    assert_not_let_in(bao, "vault-client-cert", CLIENT + ending, requests=())
    assert "vault     REFUSED" in assert_done(zseal(bao.node, "status")).stdout


@pytest.mark.parametrize("ending", [".pem", ".key"])
def test_file_is_something_else(bao, ending):
    path = bao.node.path(CLIENT + ending)
    path.write_text("-----BEGIN nonsense\n")
    assert_not_let_in(bao, "vault-client-cert", requests=())


def test_key_of_another_certificate(bao):
    use(bao, "good", key=bao.certificates.client("soon")[1])
    assert_not_let_in(bao, "vault-client-cert", requests=())


def test_key_with_a_password_asks_nobody(bao):
    """At a terminal, OpenSSL would."""
    run(bao.node, "openssl", "pkcs8", "-topk8", "-in", str(bao.certificates.client()[1]), "-out", f"{CLIENT}.key",
        "-passout", "pass:secret")
    bao.node.path(CLIENT + ".key").chmod(0o600)
    result = bao.node.run(["zseal", "unlock", "tank"], pty=True, input="")
    assert result.returncode == 0 and "opened by fallback" in result.stdout
    assert "pass phrase" not in result.stdout
    assert vaulting.sentence("vault-client-cert") in " ".join(result.stdout.split())


CHECKING_LISTENER = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
context.load_verify_locations(sys.argv[3])
context.verify_mode = ssl.CERT_REQUIRED
context.maximum_version = getattr(ssl.TLSVersion, sys.argv[4])
listener = socket.create_server(("127.0.0.1", 8298))
print("ready", flush=True)
kept = []  # one that is closed with unread bytes is reset, and the alert may be lost
while True:
    connection = context.wrap_socket(listener.accept()[0], server_side=True, do_handshake_on_connect=False)
    kept.append(connection)
    try:
        connection.do_handshake()
    except OSError:
        pass
"""


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
@pytest.mark.parametrize("kind", ["other-ca", "expired"])
def test_listener_that_checks_certificates_itself(bao, version, kind):
    """It ends TLS with an alert, not HTTP with a status: that does not pass either."""
    use(bao, kind)
    text = bao.node.path("/etc/zseal/zseal.conf").read_text()
    bao.node.path("/etc/zseal/zseal.conf").write_text(text.replace(bao.address, "https://127.0.0.1:8298"))
    argv = ["/usr/bin/python3", "-c", CHECKING_LISTENER, *map(str, bao.certificates.server()), str(bao.ca), version]
    with bao.node.popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            assert_not_let_in(bao, "vault-login-cert", requests=())
        finally:
            process.kill()


# ---- configuration ----

@pytest.mark.parametrize("lines, word", [
    (["login = cert"], "client-cert"), (["login = cert", "client-key = /k"], "client-cert"),
    (["login = cert", "client-cert = /c"], "client-key"), (["login = certificate"], "approle or cert"),
    (["cert-mount = a.b"], "cert-mount"), (["cert-mount = /a"], "cert-mount")])
def test_configuration_is_strict(bao, lines, word):
    configure(bao, *lines)
    assert_refused(zseal(bao.node, "vault", "login-test"), "config", "[vault]", word)


def test_nothing_to_enroll_or_renew(bao):
    enroll = zseal(bao.node, "vault", "enroll", "--wrapped-token-fd", "0", input="")
    assert_refused(enroll, "usage", "nothing to enroll")
    assert_refused(zseal(bao.node, "vault", "renew"), "usage", "no secret_id to renew")


# ---- set-up ----

def steps(result):
    return {step["what"]: step for step in assert_done(result).json["steps"]}


def test_set_up_makes_it_and_a_second_run_changes_nothing(bao):
    role = bao.must("GET", ROLE)["data"]
    assert role["token_policies"] == ["zseal-a"] and role["token_type"] == "batch" and role["token_no_default_policy"]
    assert role["certificate"] == bao.certificates.client()[0].read_text() and role["token_ttl"] == 300
    argv = ("--mounts", "--cidr", "127.0.0.0/8,192.0.2.1/32", "--token-ttl", "60", "--json")
    first = steps(set_up(bao, bao.certificates.client()[0], *argv))
    assert {what for what, step in first.items() if step["state"] == "made"} == {"the node's certificate"}
    assert {step["state"] for step in steps(set_up(bao, bao.certificates.client()[0], *argv)).values()} == {"there"}
    assert "the AppRole method" not in first
    assert_done(set_up(bao, bao.certificates.client()[0]))


def test_set_up_says_what_to_do_on_the_node(bao):
    text = assert_done(set_up(bao, bao.certificates.client()[0])).stdout
    assert "login = cert" in text and "zseal vault login-test" in text and "secret_id" not in text


def test_set_up_dry_run(bao):
    before = bao.must("GET", ROLE)["data"]
    result = assert_done(set_up(bao, bao.certificates.client("soon")[0], "--dry-run"))
    assert f" /v1/{ROLE}\n" in result.stdout and "the node's certificate: would be made" in result.stdout
    assert bao.must("GET", ROLE)["data"] == before


def test_set_up_of_a_mount_that_is_missing(bao):
    configure(bao, "cert-mount = elsewhere")
    assert_refused(set_up(bao, bao.certificates.client()[0]), "vault-not-found", "certificate method", "--mounts")


def test_authority_needs_a_name(bao):
    """Else each of its machines could log in as any of them."""
    assert_refused(set_up(bao, bao.certificates.ca), "usage", "--cert-name", "node a")


@pytest.mark.parametrize("argv, word", [
    ([], "--certificate FILE"), (["--certificate", "/etc/hostname"], "no certificate"),
    (["--certificate", "/nonexistent"], "/nonexistent"), (["--certificate", "CLIENT", "--renewable"], "--renewable"),
    (["--certificate", "CLIENT", "--cert-name", "a b"], "--cert-name"),
    (["--certificate", "CLIENT", "--cert-name", ","], "--cert-name")])
def test_set_up_with_bad_options(bao, argv, word):
    argv = [str(bao.certificates.client()[0]) if text == "CLIENT" else text for text in argv]
    result = admin(bao, "vault", "setup", "tank", "--login", "cert", *argv)
    assert result.status in (2, 7) and word in " ".join(result.stderr.split())


@pytest.mark.parametrize("argv", [["--login", "ldap"], ["--login", "approle", "--certificate", "/x"],
                                  ["--login", "approle", "--cert-name", "x"]])
def test_set_up_with_options_of_the_other_login(bao, argv):
    assert_refused(admin(bao, "vault", "setup", "tank", *argv), "usage", argv[-2] if len(argv) > 2 else "--login")


def test_administrators_policy_is_enough_for_a_certificate(bao):
    token = str(uuid.uuid4())
    bao.must("POST", "auth/token/create", {"id": token, "policies": ["zseal-admin"], "no_default_policy": True})
    keep_secret(bao.node.world, token)
    body = bao.must("GET", ROLE, token=token)["data"]
    assert bao.ask("POST", ROLE, body, token)[0] == 204
    assert bao.ask("DELETE", ROLE, None, token)[0] == 403
    assert bao.ask("POST", "auth/cert/config", {}, token)[0] == 403


# ---- the end comes near ----

def test_warned_of_well_before(by_authority):
    """By status, vault status, slot list and unlock; in the journal with what to do."""
    bao = by_authority
    use(bao, "soon")
    words = vaulting.sentence("vault-cert-ends")
    assert f"WARNING: {words}: on 20" in assert_done(zseal(bao.node, "status")).stdout
    assert words in assert_done(zseal(bao.node, "vault", "status")).stderr
    slot = next(s for s in assert_done(zseal(bao.node, "slot", "list", "--json")).json["keyrings"][0]["slots"]
                if s["name"] == "vault")
    assert slot["state"] == "ok" and slot["warning"]["name"] == "vault-cert-ends" and slot["login_ends"] > 0
    result = assert_opens(bao.node, "tank")
    assert_said(result.stderr, "vault-cert-ends", "UTC")
    told = [e for e in bao.node.journal() if e["ZSEAL_EVENT"] == "vault-login-ends"][-1]
    assert told["ZSEAL_ERROR"] == "vault-cert-ends" and told["PRIORITY"] == "4"
    (warning,) = assert_done(zseal(bao.node, "unlock", "--json", "tank")).json["warnings"]
    assert warning["name"] == "vault-cert-ends"


def test_not_warned_of_before_that(bao):
    result = assert_opens(bao.node, "tank")
    assert not result.stderr and "WARNING" not in assert_done(zseal(bao.node, "vault", "status")).stderr
    assert "warnings" not in assert_done(zseal(bao.node, "unlock", "--json", "tank")).json


def test_warned_of_also_where_the_tpm_comes_first(bao):
    """Where another slot opens, nobody would notice that Vault's does not any more."""
    use(bao, "soon")
    text = bao.node.path("/etc/zseal/zseal.conf").read_text().replace("vault, tpm2", "tpm2, vault")
    bao.node.path("/etc/zseal/zseal.conf").write_text(text)
    assert_said(assert_opens(bao.node, "tank").stderr, "vault-cert-ends")


# ---- the administrator's environment ----

def environment(bao, **variables):
    """vault setup --dry-run, as somebody whose zseal.conf has no authority."""
    text = bao.node.path("/etc/zseal/zseal.conf").read_text()
    bao.node.path("/etc/zseal/zseal.conf").write_text(text.replace(f"ca = {bao.ca}\n", ""))
    return admin(bao, "vault", "setup", "tank", "--login", "cert", "--certificate", str(bao.certificates.client()[0]),
                 "--dry-run", env=variables)


@pytest.fixture
def folder(bao):
    """A folder of authorities with the right one in it, by openssl rehash."""
    path = bao.node.path("/run/lab/tmp/authorities")
    path.mkdir()
    shutil.copy(bao.ca, path / "ca.pem")
    run(bao.node, "openssl", "rehash", "/run/lab/tmp/authorities")
    yield "/run/lab/tmp/authorities"
    shutil.rmtree(path)


def test_folder_of_authorities(bao, folder):
    assert_refused(environment(bao), "vault-tls")
    assert_done(environment(bao, BAO_CAPATH=folder))
    assert_done(environment(bao, VAULT_CAPATH=folder))
    assert_done(environment(bao, BAO_CACERT=str(bao.ca), BAO_CAPATH="/nonexistent"))
    assert_refused(environment(bao, BAO_CACERT=str(bao.certificates.other_ca), BAO_CAPATH=folder), "vault-tls")


def test_folder_of_authorities_takes_the_place_of_zseal_confs(bao, folder):
    shutil.copy(bao.certificates.other_ca, bao.node.path("/etc/zseal/other.pem"))
    text = bao.node.path("/etc/zseal/zseal.conf").read_text()
    bao.node.path("/etc/zseal/zseal.conf").write_text(text.replace(str(bao.ca), "/etc/zseal/other.pem"))
    assert_done(admin(bao, "vault", "setup", "tank", "--certificate", str(bao.certificates.client()[0]), "--dry-run",
                      env={"BAO_CAPATH": folder}))


def health_requests(bao):
    return [r.path for r in bao.server.door.requests if r.path.endswith("sys/health")]


@pytest.mark.parametrize("retries, tried", [("0", 1), ("2", 3)])
def test_retries(bao, retries, tried):
    """As the official client counts them: beside the first try."""
    bao.server.door.record()
    before = len(health_requests(bao))
    bao.server.door.fault("answer", path="sys/health", status=503)
    assert_refused(environment(bao, BAO_CACERT=str(bao.ca), BAO_MAX_RETRIES=retries), "vault-sealed")
    assert len(health_requests(bao)) - before == tried


def test_timeout(bao):
    """Of a request: the server never answers, and there is no second try."""
    bao.server.door.fault("no-answer", path="sys/health")
    result = environment(bao, BAO_CACERT=str(bao.ca), BAO_CLIENT_TIMEOUT="1s", VAULT_MAX_RETRIES="0")
    assert_refused(result, "vault-down")


@pytest.mark.parametrize("name, value", [
    ("BAO_CLIENT_TIMEOUT", "0"), ("BAO_CLIENT_TIMEOUT", "x"), ("VAULT_CLIENT_TIMEOUT", "1d"),
    ("BAO_CLIENT_TIMEOUT", "61m"), ("BAO_CLIENT_TIMEOUT", "-1"), ("BAO_CLIENT_TIMEOUT", "1m30s"),
    ("BAO_MAX_RETRIES", "-1"), ("BAO_MAX_RETRIES", "x"), ("VAULT_MAX_RETRIES", "101"), ("BAO_CAPATH", "x" * 300)])
def test_nonsense_in_the_environment(bao, name, value):
    assert_refused(environment(bao, BAO_CACERT=str(bao.ca), **{name: value}), "usage", name.split("_", 1)[1])


@pytest.mark.parametrize("value", ["30", "30s", "2m", "1h"])
def test_timeouts_that_are_some(bao, value):
    assert_done(environment(bao, BAO_CACERT=str(bao.ca), BAO_CLIENT_TIMEOUT=value))
