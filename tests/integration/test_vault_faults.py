# SPDX-License-Identifier: MIT
"""What goes wrong between zseal and a key server: each with its message and its class, the TPM opens all the same, and
nothing secret is in what was said. Then a cluster whose leader dies."""
import ctypes
import time

import pytest

import vaulting
from conftest import (ERRORS, assert_done, assert_opens, create_pool, is_locked, lock, new_world, one_zfs, run,
                      zfs_versions, zseal)
from steps import SANITIZED, fault_library
from vaulting import add_slot, configure

pytestmark = one_zfs

LOGIN, DECRYPT, HEALTH = "auth/approle/login", "transit/decrypt", "sys/health"
TIMES = ("timeout = 3", "request-timeout = 1", "connect-timeout = 1")


@pytest.fixture(scope="module")
def shared():
    """One pool and one server for all rows: none of them changes anything."""
    with new_world(zfs_versions()[0]) as world:
        node = world.node("a")
        node.tank = create_pool(node)
        made = vaulting.Vault(node)
        vaulting.set_up(made)
        add_slot(made)
        yield made


@pytest.fixture
def bao(shared):
    node = shared.node
    node.run(["zfs", "unload-key", "tank"])
    configure(shared, *TIMES)
    yield shared
    shared.server.door.no_fault()


def unlock(node):
    """What came of the vault slot: an error's name, or None if it opened."""
    before = len(node.journal())
    result = assert_opens(node, "tank")
    failed = [e for e in node.journal()[before:] if e.get("ZSEAL_EVENT") == "slot-failed" and e["ZSEAL_SLOT"] == "vault"]
    assert bool(failed) == ("opened by fallback" in result.stdout)
    lock(node, "tank")
    return (failed[-1]["ZSEAL_ERROR"] if failed else None), result


# kind, options, path, what comes of it
ROWS = [
    ("half-open", {}, None, "vault-down"), ("reset", {}, None, "vault-down"), ("garbage", {}, None, "vault-down"),
    ("plain-http", {}, None, "vault-down"), ("close-after", {"bytes": 100}, None, "vault-down"),
    ("certificate", {"which": "wrong-name"}, None, "vault-tls"), ("certificate", {"which": "other-ca"}, None, "vault-tls"),
    ("certificate", {"which": "expired"}, None, "by-the-clock"),
    ("certificate", {"which": "not-yet-valid"}, None, "by-the-clock"),
]
for _path in (HEALTH, LOGIN, DECRYPT):
    ROWS += [
        ("no-answer", {}, _path, "vault-down"), ("reset-request", {}, _path, "vault-down"),
        ("lost-answer", {}, _path, "vault-down"), ("garbage-answer", {}, _path, "vault-answer"),
        ("not-json", {}, _path, "vault-answer"), ("huge", {}, _path, "vault-answer"),
    ] + [("answer", options, _path, error) for options, error in (
        ({"status": 500}, "vault-busy"), ({"status": 502, "body": b"<html>"}, "vault-busy"),
        ({"status": 503}, "vault-sealed"), ({"status": 501}, "vault-sealed"), ({"status": 530}, "vault-no-leader"),
        ({"status": 412}, "vault-busy"), ({"status": 200, "body": b""}, "vault-answer"),
        ({"status": 200, "body": []}, "vault-answer"), ({"status": 200, "body": {}}, "vault-answer"),
        ({"status": 302}, "vault-answer"))]
ROWS += [
    ("change", {}, HEALTH, "vault-answer"), ("change", {}, LOGIN, "vault-answer"),
    ("change", {}, DECRYPT, "vault-answer"),
    ("answer", {"status": 200, "body": {"data": {"plaintext": "AAAA"}}}, DECRYPT, "vault-ciphertext"),
    ("answer", {"status": 429, "headers": {"Retry-After": "9999"}}, LOGIN, "vault-busy"),
    ("answer", {"status": 403}, LOGIN, "vault-denied"), ("answer", {"status": 403}, DECRYPT, "vault-denied"),
    ("answer", {"status": 400}, LOGIN, "vault-login"), ("answer", {"status": 400}, DECRYPT, "vault-ciphertext"),
    ("answer", {"status": 404}, DECRYPT, "vault-not-found"), ("redirect", {}, LOGIN, "vault-no-leader"),
] + [("redirect", {"to": to}, LOGIN, "vault-redirect") for to in (
    "https://192.0.2.1:8200", "http://127.0.0.1:8200", "https://user@127.0.0.1:1", "//x")]


def clock_is_set():
    """As the kernel has it: only then is a certificate's date a reason to distrust it."""
    class Timex(ctypes.Structure):
        _fields_ = [("modes", ctypes.c_uint), *((name, ctypes.c_long) for name in ("offset", "freq", "max", "error")),
                    ("status", ctypes.c_int), ("rest", ctypes.c_byte * 256)]
    found = Timex()
    return ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(found)) != 5 and not found.status & 0x40


@pytest.mark.parametrize("kind, options, path, error", ROWS, ids=str)
def test_fault(bao, kind, options, path, error):
    if error == "by-the-clock":
        error = "vault-tls" if clock_is_set() else "vault-clock"
    bao.server.door.fault(kind, path, **options)
    began = time.monotonic()
    found, result = unlock(bao.node)
    assert found == error, result
    assert ERRORS[error].sentence in result.stderr
    assert time.monotonic() - began < 30


if not SANITIZED:
    # A sanitizer's library has to be the first that is loaded.

    @pytest.mark.parametrize("years", [-20, 20])
    @pytest.mark.parametrize("state, error", [("set", "vault-tls"), ("unset", "vault-clock")])
    def test_clock_is_off(bao, years, state, error):
        """A certificate that is out of date by a clock that nothing has set may be a good one: that passes."""
        result = zseal(bao.node, "unlock", "tank", env={
            "LD_PRELOAD": fault_library("clock"), "ZSEAL_CLOCK": f"{years * 365 * 86400}:{state}"})
        assert_done(result)
        assert "slot tpm2-a, opened by fallback" in result.stdout and ERRORS[error].sentence in result.stderr


@pytest.mark.parametrize("kind, path", [("drip-answer", LOGIN), ("delay-answer", DECRYPT), ("cut", LOGIN)])
def test_slow_answers_are_waited_for_within_bounds(bao, kind, path):
    """The slot's time is not stretched by a byte now and then."""
    bao.server.door.fault(kind, path, **({"seconds": 60} if kind == "delay-answer" else {}))
    began = time.monotonic()
    found, result = unlock(bao.node)
    assert found in ("vault-down", "vault-answer"), result
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("kind, options, path", [
    ("reset", {}, None), ("no-answer", {}, HEALTH), ("reset-request", {}, LOGIN), ("lost-answer", {}, DECRYPT),
    ("answer", {"status": 503}, DECRYPT), ("answer", {"status": 429}, LOGIN), ("redirect", {}, LOGIN)], ids=str)
def test_what_passes_is_tried_again(bao, kind, options, path):
    configure(bao, "timeout = 60", "request-timeout = 1", unlock=("order = vault, tpm2", "slot-timeout = 60"))
    bao.server.door.fault(kind, path, times=1, **options)
    assert unlock(bao.node)[0] is None


def play_standby(bao):
    """As far as sys/health tells."""
    bao.server.door.fault("answer", HEALTH, status=429, body={"initialized": True, "sealed": False})


def test_standby_names_a_leader_without_an_address(bao):
    """During an election that is a dead one. Nothing is sent there, and it passes."""
    configure(bao, "timeout = 60", "request-timeout = 1", unlock=("order = vault, tpm2", "slot-timeout = 60"))
    play_standby(bao)
    bao.server.door.fault("redirect", LOGIN, times=1, to="https://192.0.2.1:8200")
    assert unlock(bao.node)[0] is None


def test_standby_names_a_leader_without_an_address_for_ever(bao):
    play_standby(bao)
    bao.server.door.fault("redirect", LOGIN, to="https://192.0.2.1:8200")
    found, result = unlock(bao.node)
    assert found == "vault-no-leader" and "[vault] has no address of" in result.stderr


@pytest.mark.parametrize("status", [400, 403])
def test_a_refused_login_is_not_tried_again(bao, status):
    """Five of them lock the role."""
    bao.server.door.forget()
    bao.server.door.fault("answer", LOGIN, status=status)
    unlock(bao.node)
    assert [r.path for r in bao.server.door.requests if r.path.endswith("login")] == [f"/v1/{LOGIN}"]


def test_one_connection_and_few_requests(bao):
    door = bao.server.door
    door.record()
    door.forget()
    assert unlock(bao.node)[0] is None
    door.record(False)
    assert [(r.method, r.path) for r in door.requests] == [
        ("GET", "/v1/sys/health"), ("POST", f"/v1/{LOGIN}"), ("POST", f"/v1/{DECRYPT}/zfs-wrapper-tank")]
    assert {r.connection for r in door.requests} == {1}
    assert all(r.headers["x-vault-request"] == "true" for r in door.requests)
    assert len({r.headers["x-correlation-id"] for r in door.requests}) == 1


def test_server_echoes_what_it_was_sent(bao):
    """Nothing that a server says in words is repeated: the search in all output would find it."""
    secret = bao.node.path("/etc/credstore/zseal-vault-secret-id").read_text()
    bao.server.door.fault("answer", LOGIN, status=400, body={"errors": [f"no such secret_id: {secret}"]})
    assert unlock(bao.node)[0] == "vault-login"
    bao.server.door.no_fault()
    bao.server.door.fault("answer", DECRYPT, status=403, body={"errors": [secret], "request_id": secret + "x"})
    assert unlock(bao.node)[0] == "vault-denied"


# ---- a cluster ----

@pytest.fixture
def cluster(node):
    node.tank = create_pool(node)
    made = vaulting.Vault(node, node.world.bao_cluster())
    vaulting.set_up(made)
    add_slot(made)
    lock(node, "tank")
    return made


@pytest.mark.parametrize("configured", ["all", "survivors"])
def test_leader_is_killed(cluster, configured):
    """During the election and after it: Vault opens in the end, without the TPM. The survivors send us to the dead one,
    whether we have its address or not."""
    leader = cluster.server.leader()
    addresses = [s.url for s in cluster.server.servers if configured == "all" or s is not leader]
    configure(cluster, "timeout = 90", unlock=("order = vault", "slot-timeout = 90"), address=addresses)
    leader.kill()
    assert "slot vault)" in assert_opens(cluster.node, "tank").stdout


@pytest.mark.parametrize("what", ["stop", "cut_off"])
def test_leader_falls_silent(cluster, what):
    configure(cluster, "timeout = 90", "request-timeout = 2", unlock=("order = vault", "slot-timeout = 90"),
              address=cluster.server.urls)
    leader = cluster.server.leader()
    getattr(leader, what)()
    assert "slot vault)" in assert_opens(cluster.node, "tank").stdout


def test_no_quorum(cluster):
    """The last server calls a dead one its leader for ever: no leader, and the TPM opens."""
    configure(cluster, "timeout = 4", "request-timeout = 2", address=cluster.server.urls)
    standby = cluster.server.standbys()[0]
    for server in cluster.server.servers:
        if server is not standby:
            server.kill()
    result = assert_opens(cluster.node, "tank")
    assert "opened by fallback" in result.stdout
    assert any(ERRORS[name].sentence in result.stderr for name in ("vault-no-leader", "vault-busy"))


def test_all_sealed(cluster):
    configure(cluster, "timeout = 2", address=cluster.server.urls)
    for server in cluster.server.servers:
        server.restart()
    result = assert_opens(cluster.node, "tank")
    assert "opened by fallback" in result.stdout and ERRORS["vault-sealed"].sentence in result.stderr


def test_any_one_address_is_enough(cluster):
    for server in cluster.server.servers:
        configure(cluster, address=[server.url])
        assert "slot vault)" in assert_opens(cluster.node, "tank").stdout
        lock(cluster.node, "tank")


def test_status_of_a_cluster(cluster):
    configure(cluster, address=cluster.server.urls)
    states = [s["state"] for s in assert_done(zseal(cluster.node, "vault", "status", "--json")).json["servers"]]
    assert sorted(states) == ["active", "standby", "standby"]
    assert is_locked(cluster.node, "tank")


# ---- TLS ----

def test_name_in_the_certificate(bao):
    """It may be another than the address's; then it is what is looked for, and sent."""
    configure(bao, "server-name = bao.test", *TIMES)
    assert unlock(bao.node)[0] is None
    configure(bao, "server-name = elsewhere.test", *TIMES)
    assert unlock(bao.node)[0] == "vault-tls"


def test_without_its_authority(bao):
    configure(bao, *TIMES)
    text = bao.node.path("/etc/zseal/zseal.conf").read_text()
    bao.node.path("/etc/zseal/zseal.conf").write_text(text.replace(f"ca = {bao.ca}\n", ""))
    assert unlock(bao.node)[0] == "vault-tls"


def test_an_authority_of_the_system_does_not_count_beside_the_one_in_zseal_conf(bao):
    other = bao.server.certificates.other_ca
    name = run(bao.node, "openssl", "x509", "-hash", "-noout", "-in", other).strip()
    trusted = bao.node.path(f"/etc/ssl/certs/{name}.0")
    trusted.write_bytes(other.read_bytes())
    try:
        bao.server.door.fault("certificate", which="other-ca")
        assert unlock(bao.node)[0] == "vault-tls"
        configure(bao, *TIMES)
        text = bao.node.path("/etc/zseal/zseal.conf").read_text()
        bao.node.path("/etc/zseal/zseal.conf").write_text(text.replace(f"ca = {bao.ca}\n", ""))
        assert unlock(bao.node)[0] is None
    finally:
        trusted.unlink()


@pytest.mark.parametrize("name, error", [("ca", "vault-tls"), ("client-cert", "vault-client-cert")])
def test_file_that_is_not_there(bao, name, error):
    text = bao.node.path("/etc/zseal/zseal.conf").read_text()
    line = f"ca = {bao.ca}\n"
    bao.node.path("/etc/zseal/zseal.conf").write_text(text.replace(line, "" if name == "ca" else line).replace(
        "[unlock]", f"{name} = /etc/zseal/nowhere.pem\n[unlock]"))
    assert unlock(bao.node)[0] == error


def test_client_certificate_is_shown(bao):
    """The server does not ask for one: that it is taken is all that can be seen here."""
    certificate, key = bao.server.certificates.client()
    configure(bao, f"client-cert = {certificate}", f"client-key = {key}", *TIMES)
    assert unlock(bao.node)[0] is None


def test_retry_after_is_kept(bao):
    """But not beyond the slot's deadline, see the rows above."""
    configure(bao, "timeout = 60", unlock=("order = vault, tpm2", "slot-timeout = 60"))
    bao.server.door.fault("answer", LOGIN, times=1, status=429, headers={"Retry-After": "2"})
    began = time.monotonic()
    assert unlock(bao.node)[0] is None
    assert time.monotonic() - began >= 2
