# SPDX-License-Identifier: MIT
"""The lab's key servers: that they are real, that what is done to one has happened to it, and that doors do what was
planned and nothing else."""
import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest

LAB = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(LAB))

# pylint: disable=wrong-import-position
from bao.servers import ACTIVE, SEALED, STANDBY, BaoError, wait_for
from world import World

# What is there comes at once; what is not is waited for so long.
SILENCE_S = 1
ANSWER_S = 20
ELECTION_S = 60

KEY = base64.b64encode(b"a key of thirty-two bytes, plain").decode()

# A program in a machine: prints the status that an address answers with.
GET = """
import ssl, sys, urllib.request
context = ssl.create_default_context(cafile=sys.argv[2])
print(urllib.request.urlopen(sys.argv[1], timeout=20, context=context).status)
"""


@pytest.fixture(name="world", scope="module")
def fixture_world():
    with World() as world:
        yield world
        assert (world.path / "bao/keeper.err").read_text() == ""


@pytest.fixture(name="bao")
def fixture_bao(world):
    """Runs, and its doors are as they should be, whatever an earlier test left."""
    bao = world.bao()
    yield bao
    bao.door.no_fault()
    bao.door.record(False)
    bao.door.forget()
    bao.cont()
    bao.heal()
    bao.start()


@pytest.fixture(name="cluster")
def fixture_cluster(world):
    cluster = world.bao_cluster()
    yield cluster
    for server in cluster.servers:
        server.door.no_fault()
        server.cont()
        server.heal()
        server.start()
        if server.health() == SEALED:
            server.unseal()
    cluster.wait_for_leader(ELECTION_S)


def connect(server, timeout=ANSWER_S, client=None):
    """By the door, from the host. A connection that ends without TLS's goodbye is an error."""
    context = ssl.create_default_context(cafile=server.ca)
    if client:
        context.load_cert_chain(*client)
    port = urlsplit(server.url).port
    plain = socket.create_connection(("127.0.0.1", port), timeout)
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.sock = context.wrap_socket(plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False)
    except BaseException:
        plain.close()
        raise
    return connection


def ask(server, path="sys/health", method="GET", body=None, timeout=ANSWER_S, token=""):
    """Status, headers and body of one request on a connection of its own."""
    with contextlib.closing(connect(server, timeout)) as connection:
        headers = {"X-Vault-Token": token} if token else {}
        connection.request(method, f"/v1/{path}", body and json.dumps(body), headers)
        response = connection.getresponse()
        return response.status, response.headers, response.read()


def read_status(node, server):
    return node.run(["/usr/bin/python3", "-c", GET, f"{server.url}/v1/sys/health", server.ca], check=True).stdout


# The development server


def test_a_new_server_keeps_secrets_and_is_audited(bao):
    assert bao.api("POST", "secret/data/a", {"data": {"colour": "orange"}}, check=True).status == 200
    assert bao.api("GET", "secret/data/a").data["data"] == {"colour": "orange"}
    assert bao.api("GET", "secret/data/a", token="").status == 403
    bao.api("POST", "sys/config/auditing/request-headers/X-Correlation-Id", {"hmac": False}, check=True)
    bao.api("GET", "secret/data/a", headers={"X-Correlation-Id": "find-me"})
    entries = [entry for entry in bao.audit() if entry["request"].get("headers", {}).get("x-correlation-id")]
    assert {entry["request"]["path"] for entry in entries} == {"secret/data/a"}
    assert "find-me" in bao.audit_file.read_text()
    assert "orange" not in bao.audit_file.read_text()


def test_transit_wraps_a_key_that_the_audit_log_does_not_show(bao):
    bao.api("POST", "sys/mounts/transit", {"type": "transit"}, check=True)
    bao.api("POST", "transit/keys/k", {"derived": True}, check=True)
    context = base64.b64encode(b"slot").decode()
    made = bao.api("POST", "transit/encrypt/k", {"plaintext": KEY, "context": context}, check=True).data
    opened = bao.api("POST", "transit/decrypt/k", {"ciphertext": made["ciphertext"], "context": context}).data
    assert opened["plaintext"] == KEY
    assert KEY not in bao.audit_file.read_text()


def test_two_machines_and_the_host_reach_it_at_one_address(world, bao):
    assert [read_status(world.node(name), bao) for name in ("a", "b")] == ["200\n", "200\n"]
    assert ask(bao)[0] == ACTIVE
    world.node("a").reboot()
    assert read_status(world.node("a"), bao) == "200\n"


def test_its_certificate_is_checked(bao):
    with pytest.raises(ssl.SSLCertVerificationError):
        context = ssl.create_default_context()
        http.client.HTTPSConnection("127.0.0.1", bao.door.port, context=context, timeout=ANSWER_S).request("GET", "/")


@pytest.mark.parametrize("kind, status", [("good", 200), ("other-ca", 400), (None, 400)])
def test_clients_have_certificates_to_log_in_with(bao, kind, status):
    bao.api("POST", "sys/auth/cert", {"type": "cert"})
    bao.api("POST", "auth/cert/certs/node", {"certificate": bao.ca.read_text(), "token_policies": "default"}, check=True)
    with contextlib.closing(connect(bao, client=kind and bao.certificates.client(kind))) as connection:
        connection.request("POST", "/v1/auth/cert/login", "{}")
        assert connection.getresponse().status == status


def test_it_speaks_plain_http_at_another_address(bao):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", bao.plain_door.port,
                                                       timeout=ANSWER_S)) as connection:
        connection.request("GET", "/v1/sys/health")
        assert connection.getresponse().status == ACTIVE


def test_a_killed_server_refuses_and_comes_back_empty(bao):
    bao.api("POST", "secret/data/b", {"data": {"x": 1}}, check=True)
    bao.kill()
    assert bao.pid is None
    with pytest.raises(ConnectionRefusedError):
        ask(bao)
    bao.start()
    assert ask(bao)[0] == ACTIVE
    assert bao.api("GET", "secret/data/b").status == 404


def test_a_stopped_server_takes_connections_and_does_not_answer(bao):
    bao.stop()
    assert Path(f"/proc/{bao.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"
    with socket.create_connection(("127.0.0.1", bao.door.port), timeout=ANSWER_S):
        pass
    with pytest.raises(TimeoutError):
        ask(bao, timeout=SILENCE_S)
    bao.cont()
    assert ask(bao)[0] == ACTIVE


def test_a_server_that_is_cut_off_answers_no_packet(world, bao):
    bao.cut_off()
    with pytest.raises(TimeoutError):
        socket.create_connection(("127.0.0.1", bao.door.port), timeout=SILENCE_S)
    failed = world.node().run(["/usr/bin/python3", "-c", GET.replace("20", "1"), bao.url, bao.ca])
    assert "timed out" in failed.stderr
    assert bao.health(timeout=SILENCE_S) is None
    bao.heal()
    assert read_status(world.node(), bao) == "200\n"


def test_a_program_that_is_connected_hears_nothing_more_when_the_cable_is_cut(bao):
    with contextlib.closing(connect(bao, SILENCE_S)) as connection:
        connection.request("GET", "/v1/sys/health")
        connection.getresponse().read()
        bao.cut_off()
        with pytest.raises(TimeoutError):
            connection.request("GET", "/v1/sys/health")
            connection.getresponse()


def test_one_that_does_not_start_is_told_with_its_words(world):
    bao = world.bao()
    bao.kill()
    file = bao.folder / "config.hcl"
    good = file.read_text()
    file.write_text("no configuration")
    try:
        with pytest.raises(BaoError, match="(?s)dev has ended:.*config.hcl"):
            bao.start()
    finally:
        file.write_text(good)
        bao.start()


MAKER = """
import sys
sys.path.insert(0, sys.argv[1])
from world import World
world = World()
bao = world.bao()
print(world.path, bao.pid, flush=True)
sys.stdin.read()
"""


def test_a_server_ends_with_a_maker_that_is_killed(tmp_path):
    with subprocess.Popen(["/usr/bin/python3", "-c", MAKER, LAB], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True, env={**os.environ, "TMPDIR": str(tmp_path)}) as maker:
        folder, pid = maker.stdout.readline().split()
        os.kill(int(pid), signal.SIGSTOP)
        maker.kill()
        wait_for("the server to end", lambda: not Path(f"/proc/{pid}").exists())
        wait_for("the folder to go", lambda: not Path(folder).exists())


# The cluster


def test_each_server_takes_requests_and_one_leads(cluster):
    assert sorted(server.health() for server in cluster.servers) == [ACTIVE, STANDBY, STANDBY]
    cluster.api("POST", "sys/mounts/kv", {"type": "kv"}, check=True)
    cluster.api("POST", "kv/x", {"y": "z"}, check=True)
    for server in cluster.servers:
        wait_for("the entry", lambda server=server: server.api("GET", "kv/x", token=cluster.token).status == 200)
        assert json.loads(ask(server, "kv/x", token=cluster.token)[2])["data"] == {"y": "z"}


def test_a_standby_that_does_not_forward_names_the_leaders_url(cluster):
    leader, standby = cluster.leader(), cluster.standbys()[0]
    answer = standby.api("POST", "sys/mounts/other", {"type": "kv"}, headers={"X-Vault-No-Request-Forwarding": "true"})
    assert (answer.status, answer.headers["Location"]) == (307, f"{leader.url}/v1/sys/mounts/other")


def test_another_leads_when_the_leader_is_killed_and_it_comes_back(cluster):
    old = cluster.leader()
    old.kill()
    assert cluster.wait_for_leader(ELECTION_S) is not old
    old.start()
    assert old.health() == SEALED
    old.unseal()
    assert old.health() in (ACTIVE, STANDBY)


@pytest.mark.parametrize("how, undo", [("stop", "cont"), ("cut_off", "heal")])
def test_another_leads_when_the_leader_hears_nothing(cluster, how, undo):
    old = cluster.leader()
    getattr(old, how)()
    new = cluster.wait_for_leader(ELECTION_S)
    assert new is not old
    with pytest.raises(TimeoutError):
        ask(old, timeout=SILENCE_S)
    getattr(old, undo)()
    wait_for("the old leader to follow", lambda: old.health() == STANDBY, ELECTION_S)
    assert ask(old)[0] == STANDBY


def test_a_sealed_server_says_so_and_another_leads(cluster):
    old = cluster.leader()
    old.seal()
    assert (old.health(), ask(old)[0]) == (SEALED, SEALED)
    assert cluster.wait_for_leader(ELECTION_S) is not old
    old.unseal()


def test_without_a_quorum_nobody_leads(cluster):
    last, *others = cluster.standbys() + [cluster.leader()]
    for server in others:
        server.kill()
    assert cluster.leader() is None
    assert last.health() == STANDBY


# Doors


def test_a_door_counts_connections_and_records_requests_without_secrets(world, bao):
    bao.door.record()
    bao.door.forget()
    with contextlib.closing(connect(bao)) as connection:
        for path, body in (("sys/health", None), ("secret/data/c", '{"data": {"x": "my secret"}}')):
            connection.request("POST" if body else "GET", f"/v1/{path}", body,
                               {"X-Vault-Token": "root", "X-Correlation-Id": "42"})
            assert connection.getresponse().read()
    read_status(world.node(), bao)
    assert bao.door.connections == 2
    assert [(r.method, r.path, r.connection, r.place) for r in bao.door.requests] == [
        ("GET", "/v1/sys/health", 1, "host"), ("POST", "/v1/secret/data/c", 1, "host"),
        ("GET", "/v1/sys/health", 2, "a")]
    posted = bao.door.requests[1]
    assert (posted.headers["x-vault-token"], posted.headers["x-correlation-id"]) == ("(secret)", "42")
    assert posted.body_length == len('{"data": {"x": "my secret"}}')
    assert "my secret" not in str(bao.door.requests) and "root" not in str(bao.door.requests)


@pytest.mark.parametrize("kind, options, expected", [
    ("half-open", {}, TimeoutError),
    ("reset", {}, ConnectionResetError),
    ("garbage", {}, ssl.SSLError),
    ("plain-http", {}, ssl.SSLError),
    ("close-after", {"bytes": 100}, (ConnectionResetError, ssl.SSLError)),
    ("close-after", {"bytes": 1500}, (ConnectionResetError, ssl.SSLError)),
    ("delay", {"seconds": 3 * SILENCE_S}, TimeoutError),
    ("drip", {"interval": SILENCE_S / 10}, TimeoutError),
    ("certificate", {"which": "expired"}, "certificate has expired"),
    ("certificate", {"which": "not-yet-valid"}, "certificate is not yet valid"),
    ("certificate", {"which": "wrong-name"}, "IP address mismatch"),
    ("certificate", {"which": "other-ca"}, "unable to get local issuer certificate"),
])
def test_a_connection_goes_wrong_as_planned_and_the_next_does_not(bao, kind, options, expected):
    fault = bao.door.fault(kind, times=1, **options)
    deadline = time.monotonic() + SILENCE_S
    if isinstance(expected, str):
        with pytest.raises(ssl.SSLCertVerificationError, match=expected):
            ask(bao)
    else:
        with pytest.raises(expected):
            timeout = SILENCE_S if expected is TimeoutError else ANSWER_S
            ask_until(bao, deadline if kind == "drip" else None, timeout)
    assert fault.taken == 1
    assert ask(bao)[0] == ACTIVE


def ask_until(server, deadline, timeout):
    """A deadline for the whole: a byte now and then keeps a timeout from coming."""
    if deadline is None:
        return ask(server, timeout=timeout)
    with socket.create_connection(("127.0.0.1", server.door.port), timeout=timeout) as plain:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = ssl.create_default_context(cafile=server.ca).wrap_bio(incoming, outgoing,
                                                                        server_hostname="127.0.0.1")
        while True:
            try:
                return session.do_handshake()
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                data = plain.recv(4096)
                assert len(data) == 1
                incoming.write(data)
            if time.monotonic() > deadline:
                raise TimeoutError


# The ways in which a client says that a connection broke within an answer, or that this was none.
BROKEN = (ConnectionResetError, http.client.HTTPException, ssl.SSLEOFError)


@pytest.mark.parametrize("kind, options", [
    ("reset-request", {}), ("lost-answer", {}), ("garbage-answer", {}), ("cut", {"bytes": 30}), ("cut", {"bytes": 0}),
    ("cut", {}),
])
def test_a_request_breaks_as_planned(bao, kind, options):
    bao.door.fault(kind, path="sys/health", times=1, **options)
    with pytest.raises(BROKEN):
        ask(bao)
    assert ask(bao)[0] == ACTIVE


def test_an_answer_that_is_lost_was_an_answer(bao):
    bao.door.fault("lost-answer", path="data/lost")
    with pytest.raises(BROKEN):
        ask(bao, "secret/data/lost", "POST", {"data": {"x": 1}}, token="root")
    assert bao.api("GET", "secret/data/lost").data["data"] == {"x": 1}


def test_a_request_that_the_door_answers_does_not_reach_the_server(bao):
    bao.door.fault("answer", path="data/never", status=503)
    assert ask(bao, "secret/data/never", "POST", {"data": {"x": 1}}, token="root")[0] == 503
    assert bao.api("GET", "secret/data/never").status == 404


@pytest.mark.parametrize("kind", ["no-answer", "drip-answer", "delay-answer"])
def test_an_answer_does_not_come_in_time(bao, kind):
    bao.door.fault(kind, times=1, **({"seconds": 3 * SILENCE_S} if kind == "delay-answer" else {}))
    with contextlib.closing(connect(bao, SILENCE_S)) as connection:
        connection.request("GET", "/v1/sys/health")
        if kind == "drip-answer":
            connection.sock.recv(1)
            assert len(connection.sock.recv(4096)) == 1
        else:
            with pytest.raises(TimeoutError):
                connection.getresponse()
    assert ask(bao)[0] == ACTIVE


@pytest.mark.parametrize("status", [400, 403, 404, 412, 429, 500, 501, 503])
def test_a_status_comes_with_the_headers_that_were_planned(bao, status):
    bao.door.fault("answer", status=status, headers={"Retry-After": "7"})
    answered, headers, body = ask(bao)
    assert (answered, headers["Retry-After"], list(json.loads(body))) == (status, "7", ["errors"])


def test_redirects_go_elsewhere_or_in_a_circle(bao):
    bao.door.fault("redirect", times=1, to="https://192.0.2.1:8200")
    bao.door.fault("redirect", times=1)
    assert [ask(bao)[1]["Location"] for _ in range(2)] == [
        "https://192.0.2.1:8200/v1/sys/health", f"{bao.url}/v1/sys/health"]


def test_answers_are_not_json_or_have_wrong_types(bao):
    bao.door.fault("not-json", times=1)
    bao.door.fault("change", times=1)
    bao.door.fault("change", times=1, change=lambda answer: {**answer, "sealed": None})
    with pytest.raises(ValueError):
        json.loads(ask(bao)[2])
    real = bao.api("GET", "sys/health").json
    twisted = json.loads(ask(bao)[2])
    assert twisted.keys() == real.keys()
    assert all(not isinstance(twisted[key], type(real[key])) for key in real)
    assert json.loads(ask(bao)[2])["sealed"] is None


def test_an_answer_is_huge(bao):
    bao.door.fault("huge", bytes=10_000_000)
    assert json.loads(ask(bao)[2]) == {"data": "A" * 10_000_000}


def test_the_nth_request_to_a_path_is_hit_and_no_other(bao):
    bao.door.fault("answer", path="sys/seal-status", nth=2, status=500)
    paths = ["sys/seal-status", "sys/health", "sys/seal-status", "sys/seal-status"]
    assert [ask(bao, path)[0] for path in paths] == [200, 200, 500, 200]


def test_a_plan_that_cannot_be_is_refused(bao):
    with pytest.raises(ValueError):
        bao.door.fault("half-open", path="sys/health")
    with pytest.raises(ValueError):
        bao.door.fault("no such thing")
