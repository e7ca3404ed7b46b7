# SPDX-License-Identifier: MIT
"""What the Vault part of `make bench` measures on: real OpenBao clusters, a machine whose pool they open, and nodes
that are no more than their credentials.

Guarantees: every way to unlock decrypts with the same Transit key under the same policy, on the same server; secrets
are in the memory of machines and processes only. Refuses: to be a model of anybody's network.
"""
import base64
import json
import os
import subprocess
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from scene import MEMORY, PROGRAMS, Scene  # first: it says where the others are

# pylint: disable=wrong-import-order
import headers
import vaulting
from bao import servers

CLIENT = PROGRAMS / "vault-client"
KEY_NAME = "zfs-wrapper-tank"
KEY_SIZE = 32
CONTEXT_SIZE = 32
CONNECTIONS, BATCH = 8, 100  # OpenBao refuses JSON with more than a thousand strings
UNLOCK_TIMEOUT_S = 120
ENCRYPTED = "/etc/zseal/encrypted.conf"

# One root's key as people script it; for many, one login and then a request for each.
_CURL = "curl -sSf --cacert {ca}"
_CURL_LOGIN = (f"token=$({_CURL} -d @{{memory}}/login.json {{address}}/v1/auth/approle/login | "
               "jq -r .auth.client_token)")
_CURL_ROOT = (f"""{_CURL} -H "X-Vault-Token: $token" -d @{{memory}}/decrypt.json """
              "{address}/v1/transit/decrypt/{key} | jq -r .data.plaintext | base64 -d | zfs load-key {root}")
_BAO_LOGIN = ("BAO_TOKEN=$({bao} write -field=token auth/approle/login role_id=@{memory}/role_id "
              "secret_id=@{memory}/secret_id) && export BAO_TOKEN")
_BAO_ROOT = ("{bao} write -field=plaintext transit/decrypt/{key} ciphertext=@{memory}/ciphertext context={context} | "
             "base64 -d | zfs load-key {root}")


def random_context():
    return os.urandom(CONTEXT_SIZE)


def b64(data):
    return base64.b64encode(data).decode()


class VaultScene(Scene):
    """Scene's pool, whose keyring a cluster of three opens; the same keys for who scripts it."""

    def _seal(self):
        self.cluster = self.node.world.bao_cluster()
        self.bao = vaulting.Vault(self.node, self.cluster)
        vaulting.set_up(self.bao)
        vaulting.add_slot(self.bao)
        self._context = b64(random_context())
        slot = vaulting.context_of(headers.read(self.node).slots["vault"])
        self.bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": vaulting.policy([slot, self._context])})
        made = self.bao.must("POST", f"transit/encrypt/{KEY_NAME}", {"plaintext": b64(self.key), "context": self._context})
        self._give_scripts(made["data"]["ciphertext"])
        self._encrypt_credentials()

    def _give_scripts(self, ciphertext):
        """In files, which favours them: what is in KV costs a request more."""
        role_id, secret_id = vaulting.role_id(self.bao), vaulting.new_secret_id(self.bao)
        texts = {"login.json": json.dumps({"role_id": role_id, "secret_id": secret_id}), "role_id": role_id,
                 "secret_id": secret_id, "ciphertext": ciphertext,
                 "decrypt.json": json.dumps({"ciphertext": ciphertext, "context": self._context})}
        for name, text in texts.items():
            self.node.path(f"{MEMORY}/{name}").write_text(text)

    def _encrypt_credentials(self):
        """The same ones once more, to the host's key, under other names and in a configuration of their own."""
        self.node.run(["systemd-creds", "setup"], check=True)
        folder = self.node.path("/etc/credstore.encrypted")
        folder.mkdir(mode=0o700)
        for name in ("role-id", "secret-id"):
            self.node.run(["systemd-creds", "encrypt", "--with-key=host", f"--name=encrypted-{name}",
                           f"/etc/credstore/zseal-vault-{name}", f"/etc/credstore.encrypted/encrypted-{name}"], check=True)
        self.configure("role-id = encrypted-role-id", "secret-id = encrypted-secret-id")
        self.node.path("/etc/zseal/zseal.conf").rename(self.node.path(ENCRYPTED))
        self.configure()

    # ---- ways to unlock ----

    def configure(self, *lines, order="vault", address=None):
        """zseal.conf; Vault alone opens unless told otherwise."""
        vaulting.configure(self.bao, *lines, unlock=(f"order = {order}",), address=address)

    def ways(self, size):
        """{name: argv}, each of which loads the keys of all roots of a size, from the leader."""
        def script(login, root):
            words = {"ca": self.bao.ca, "memory": MEMORY, "address": self.bao.address, "key": KEY_NAME,
                     "context": self._context, "bao": servers.program(), "root": '"$root"'}
            text = f'{login} &&\nwhile read -r root; do {root} || exit 1; done < {self.roots(size)}'
            return ["sh", "-c", text.format(**words)]
        return {"zseal": ["zseal", "unlock", f"tank/g{size}"],
                "zseal, encrypted": ["zseal", "unlock", "--config", ENCRYPTED, f"tank/g{size}"],
                "curl": script(_CURL_LOGIN, _CURL_ROOT), "bao": script(_BAO_LOGIN, _BAO_ROOT)}

    def environment(self):
        """For the bao program."""
        return {"BAO_ADDR": self.bao.address, "BAO_CACERT": str(self.bao.ca)}

    def count(self, argv, size):
        """(requests, connections) of one run."""
        door = next(server.door for server in self.cluster.servers if server.url == self.bao.address)
        self.node.run(list(map(str, self.lock(size))), check=True, timeout=UNLOCK_TIMEOUT_S)
        door.record()
        door.forget()
        self.node.run(argv, env=self.environment(), check=True, timeout=UNLOCK_TIMEOUT_S)
        door.record(False)
        return len(door.requests), door.connections


# ---- nodes that are their credentials ----

class Node(NamedTuple):
    """One of them: an AppRole, a policy that allows its context alone, and a ciphertext."""
    role_id: str
    secret_id: str
    context: bytes
    ciphertext: str

    def line(self):
        return f"{self.role_id} {self.secret_id} {self.context.hex()} {self.ciphertext}\n"


class _Api:
    """One connection to a server that is kept; for one thread."""

    def __init__(self, server):
        self._connection = server.connect()
        self._headers = {"X-Vault-Token": server.token, "X-Vault-Request": "true"}

    def ask(self, method, path, body):
        self._connection.request(method, f"/v1/{path}", json.dumps(body), self._headers)
        answer = self._connection.getresponse()
        data = answer.read()
        if answer.status not in (200, 204):
            raise RuntimeError(f"{method} {path}: {answer.status} {data.decode(errors='replace')}")
        return json.loads(data)["data"] if data else {}


def _encrypt(api, contexts):
    """A ciphertext of a new secret for each."""
    made = []
    for first in range(0, len(contexts), BATCH):
        answer = api.ask("POST", f"transit/encrypt/{KEY_NAME}", {"batch_input": [
            {"plaintext": b64(os.urandom(KEY_SIZE)), "context": b64(context)}
            for context in contexts[first:first + BATCH]]})
        made += [one["ciphertext"] for one in answer["batch_results"]]
    return made


def provision(cluster, names):
    """A Node for each name: what `zseal vault setup`, `vault enroll` and `slot add` make for one, on a few connections
    that are kept. The key and the mounts must be there."""
    leader = cluster.wait_for_leader()
    contexts = [random_context() for _ in names]
    ciphertexts = _encrypt(_Api(leader), contexts)
    kept = threading.local()

    def enroll(name, context, ciphertext):
        if not hasattr(kept, "api"):
            kept.api = _Api(leader)
        role_id, secret_id = str(uuid.uuid4()), str(uuid.uuid4())
        kept.api.ask("PUT", f"sys/policies/acl/{name}", {"policy": vaulting.policy([b64(context)])})
        kept.api.ask("POST", f"auth/approle/role/{name}", {
            "role_id": role_id, "token_policies": [name], "token_type": "batch", "token_no_default_policy": True,
            "token_ttl": "60s"})
        kept.api.ask("POST", f"auth/approle/role/{name}/custom-secret-id", {"secret_id": secret_id})
        return Node(role_id, secret_id, context, ciphertext)
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        return list(pool.map(enroll, names, contexts, ciphertexts))


class Ended(NamedTuple):
    """What came of a node; seconds of the monotonic clock."""
    number: int
    began: float
    ended: float
    error: str


class Crowd:
    """Nodes that start at once, each a process (vault-client.c)."""

    def __init__(self, popen, ca, timeout_s, addresses, nodes):
        self._process = popen(["nice", "-n", "19", CLIENT, ca, KEY_NAME, str(timeout_s * 1000), *addresses],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._left = len(nodes)
        self._process.stdin.write("".join(node.line() for node in nodes) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("vault-client did not start")

    def go(self):
        """Yields what comes of each, as it ends."""
        self._process.stdin.write("go\n")
        self._process.stdin.close()
        for line in self._process.stdout:
            number, began, ended, error = line.split()
            self._left -= 1
            yield Ended(int(number), float(began), float(ended), error)
        if self._process.wait(UNLOCK_TIMEOUT_S) != 0 or self._left:
            raise RuntimeError(f"vault-client: status {self._process.returncode}, {self._left} nodes said nothing")


# ---- servers ----

def monotonic_of_log(line):
    """When a server wrote a line."""
    stamp = datetime.fromisoformat(line.split(" ", 1)[0].replace("Z", "+00:00")).timestamp()
    return stamp - time.time() + time.monotonic()


_LEADS = "post-unseal setup complete"


class Logs:
    """What servers write from now on."""

    def __init__(self, cluster):
        self._at = {server: len(server.log()) for server in cluster.servers}

    def led(self):
        """When a server took over, the first of them; None if none has."""
        lines = [line for server, at in self._at.items() for line in server.log()[at:].splitlines() if _LEADS in line]
        return min(map(monotonic_of_log, lines), default=None)


def processor_s(server):
    """Its processor time so far."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def connections_taken(server):
    """TCP connections that its kernel has taken so far."""
    names, values = (line.split() for line in Path(f"/proc/{server.pid}/net/snmp").read_text().splitlines()
                     if line.startswith("Tcp:"))
    return int(values[names.index("PassiveOpens")])


def work(server):
    """Its processor time and the connections that it took, so far."""
    return processor_s(server), connections_taken(server)


def answered(server):
    """How many requests it has answered itself so far, by its audit, which sys/health is not in. What a standby had to
    forward is there with an error."""
    return sum(entry["type"] == "response" and not entry.get("error") for entry in server.audit())


def mount(cluster):
    """What all nodes share."""
    leader = cluster.wait_for_leader()
    leader.api("POST", "sys/mounts/transit", {"type": "transit"}, check=True)
    leader.api("POST", "sys/auth/approle", {"type": "approle"}, check=True)
    leader.api("POST", f"transit/keys/{KEY_NAME}", {"type": "aes256-gcm96", "derived": True}, check=True)


def version():
    """Of the server."""
    told = subprocess.run([servers.program(), "version"], capture_output=True, text=True, check=True).stdout
    return told.split()[1].lstrip("v")
