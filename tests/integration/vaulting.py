# SPDX-License-Identifier: MIT
"""A real OpenBao for a machine of the lab: set up by hand as an administrator would, with the least policy for a node.

Guarantees: tokens and secret_ids are secret from when they are made (conftest.keep_secret).
"""
import base64
import contextlib
import json
import os
import subprocess
import time
import uuid

import headers
from conftest import ERRORS, assert_done, keep_secret, pipe_with, run, zseal

ROLE = "zseal-a"
NO_CONTEXT = base64.b64encode(bytes(32)).decode()


class Vault:
    """The world's development server, or its cluster, as one machine's key server and its administrator see it."""

    def __init__(self, node, server=None):
        self.node, self.server = node, server or node.world.bao()
        self.address = self.server.leader().url if server else self.server.url
        self.plain_address, self.ca = None if server else self.server.plain_url, self.server.ca
        # not the root token, which is the word "root": it is looked for in all that is printed
        self.token = str(uuid.uuid4())
        self.must("POST", "auth/token/create", {"id": self.token, "policies": ["root"]}, token=self.server.token)
        keep_secret(node.world, self.token)

    def ask(self, method, path, body=None, token=None):
        """(status, answer)."""
        answer = self.server.api(method, path, body, self.token if token is None else token)
        return answer.status, answer.json or {}

    def must(self, method, path, body=None, token=None):
        status, answer = self.ask(method, path, body, token)
        assert status in (200, 204), (status, answer)
        return answer


def context_of(value):
    """What Transit derives a slot's key with."""
    slot = json.loads(value)
    return base64.b64encode(uuid.UUID(slot["keyring"]).bytes + uuid.UUID(slot["uuid"]).bytes).decode()


def contexts(bao, key="zfs-wrapper-tank", node="a"):
    """What the node's policy allows to decrypt."""
    text = bao.must("GET", f"sys/policies/acl/zseal-{node}")["data"]["policy"]
    return json.loads(text)["path"][f"transit/decrypt/{key}"]["allowed_parameters"]["context"]


def policy(contexts, key="zfs-wrapper-tank"):
    return json.dumps({"path": {
        f"transit/decrypt/{key}": {
            "capabilities": ["update"], "required_parameters": ["context"],
            "allowed_parameters": {"ciphertext": [], "context": contexts}},
        "auth/token/revoke-self": {"capabilities": ["update"]}}})


def set_up(bao, token_type="batch"):
    """Mounts, key, policy and role; the node's credentials in its credstore, plain."""
    bao.must("POST", "sys/mounts/transit", {"type": "transit"})
    bao.must("POST", "transit/keys/zfs-wrapper-tank", {"type": "aes256-gcm96", "derived": True})
    set_up_login(bao, policy(["no-slot-yet"]), token_type)
    configure(bao)


def set_up_login(bao, text, token_type="batch"):
    """The node's role, with this policy, and its credentials."""
    bao.must("POST", "sys/auth/approle", {"type": "approle"})
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": text})
    bao.must("POST", f"auth/approle/role/{ROLE}", {
        "token_policies": ["zseal-a"], "token_type": token_type, "token_no_default_policy": True, "token_ttl": "60s"})
    role_id = bao.must("GET", f"auth/approle/role/{ROLE}/role-id")["data"]["role_id"]
    give(bao.node, "zseal-vault-role-id", role_id)
    new_secret_id(bao)


def allow_renewal(bao):
    """As vault setup --renewable does, more or less."""
    text = json.loads(bao.must("GET", "sys/policies/acl/zseal-a")["data"]["policy"])
    for path in ("", "/lookup", "/destroy"):
        text["path"][f"auth/approle/role/{ROLE}/secret-id{path}"] = {"capabilities": ["update"]}
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": json.dumps(text)})


def new_secret_id(bao):
    secret_id = bao.must("POST", f"auth/approle/role/{ROLE}/secret-id", {})["data"]["secret_id"]
    give(bao.node, "zseal-vault-secret-id", secret_id)
    return secret_id


def give(node, name, text):
    """A credential in the machine's credstore."""
    keep_secret(node.world, text)
    folder = node.path("/etc/credstore")
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / name).write_text(text)
    (folder / name).chmod(0o600)


def kept_secret_id(node):
    """As the next login finds it."""
    name = "zseal-vault-secret-id"
    encrypted = f"/etc/credstore.encrypted/{name}"
    if not node.path(encrypted).exists():
        return node.path(f"/etc/credstore/{name}").read_text()
    return run(node, "systemd-creds", "--newline=no", f"--name={name}", "decrypt", encrypted, "-")


def configure(bao, *lines, unlock=("order = vault, tpm2",), address=None):
    text = "\n".join(["[vault]", *(f"address = {one}" for one in address or [bao.address]), f"ca = {bao.ca}", *lines,
                      "[unlock]", *unlock, "[scrypt]", "time = 1", "memory = 16", ""])
    bao.node.path("/etc/zseal/zseal.conf").write_text(text)


def allow(bao, *names, dataset="tank", key="zfs-wrapper-tank"):
    """The node's policy names the contexts of these slots."""
    slots = headers.read(bao.node, dataset).slots
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": policy([context_of(slots[name]) for name in names], key)})


def admin(bao, *argv, **kw):
    """zseal with an administrator's token."""
    return zseal(bao.node, *argv, env={"BAO_TOKEN": bao.token, **kw.pop("env", {})}, **kw)


def add_slot(bao, *argv):
    """Adds a vault slot to tank; the node's policy allows its context from then on."""
    return assert_done(admin(bao, "slot", "add", "tank", "vault", *argv))


def open_policy(bao, key="zfs-wrapper-tank"):
    """Any context, until the slot that is to be made has one."""
    text = policy([], key).replace('"required_parameters": ["context"], ', "")
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": text})


def sentence(error):
    return ERRORS[error].sentence


def role_id(bao, role=ROLE):
    return bao.must("GET", f"auth/approle/role/{role}/role-id")["data"]["role_id"]


def log_in(bao, role=ROLE):
    """A token such as the node's own login gets."""
    secret_id = bao.must("POST", f"auth/approle/role/{role}/secret-id", {})["data"]["secret_id"]
    return bao.must("POST", "auth/approle/login", {"role_id": role_id(bao, role), "secret_id": secret_id},
                    token="")["auth"]["client_token"]


def enroll_node(bao):
    """As its administrator and the machine do it: a secret_id of its own role, wrapped, encrypted to its TPM."""
    role = f"zseal-{bao.node.name}"
    answer = bao.server.api("POST", f"auth/approle/role/{role}/secret-id", {}, bao.token, check=True,
                            headers={"X-Vault-Wrap-TTL": "300s"})
    wrapped = answer.json["wrap_info"]["token"]
    keep_secret(bao.node.world, wrapped)
    with pipe_with(wrapped + "\n") as fd:
        assert_done(zseal(bao.node, "vault", "enroll", "--role-id", role_id(bao, role), "--wrapped-token-fd", str(fd),
                          pass_fds=(fd,)))


def set_token_type(bao, kind):
    bao.must("POST", f"auth/approle/role/{ROLE}", {"token_type": kind})


def decrypt(bao, value):
    """The slot secret, as whoever may ask Transit gets it."""
    protect = json.loads(value)["protect"]
    answer = bao.must("POST", f"transit/decrypt/{protect['key']}",
                      {"ciphertext": protect["ciphertext"], "context": context_of(value)})
    return base64.b64decode(answer["data"]["plaintext"])


@contextlib.contextmanager
def key_file(node):
    """A raw key in the machine's memory."""
    key = os.urandom(32)
    keep_secret(node.world, key)
    path = node.path("/run/lab/tmp/key")
    path.write_bytes(key)
    path.chmod(0o600)
    try:
        yield "/run/lab/tmp/key"
    finally:
        path.unlink()


SILENT = """
import socket
listener = socket.create_server(("127.0.0.1", 8299))
kept = []
print("ready", flush=True)
while True:
    kept.append(listener.accept())
    open("/run/lab/tmp/connected", "w").close()
"""


@contextlib.contextmanager
def silent_server(node):
    """Takes connections, and never says anything."""
    with node.popen(["/usr/bin/python3", "-c", SILENT], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        try:
            yield "https://127.0.0.1:8299"
        finally:
            process.kill()


def await_connection(node):
    deadline = time.monotonic() + 30
    while not node.path("/run/lab/tmp/connected").exists():
        assert time.monotonic() < deadline, "nobody connects"
        time.sleep(0.02)


def await_event(node, **fields):
    """Until the journal has an entry with these."""
    deadline = time.monotonic() + 60
    while not any(fields.items() <= entry.items() for entry in node.journal()):
        assert time.monotonic() < deadline, f"nothing in the journal with {fields}"
        time.sleep(0.05)


def encrypt_credentials(node):
    """To the host's key alone."""
    folder = node.path("/etc/credstore.encrypted")
    folder.mkdir(mode=0o700, exist_ok=True)
    run(node, "systemd-creds", "setup")
    for name in ("zseal-vault-role-id", "zseal-vault-secret-id"):
        run(node, "systemd-creds", "encrypt", "--with-key=host", f"--name={name}", f"/etc/credstore/{name}",
            f"/etc/credstore.encrypted/{name}")
        (node.path("/etc/credstore") / name).unlink()


def forget_host_key(node):
    path = node.path("/var/lib/systemd/credential.secret")
    run(node, "chattr", "-i", "/var/lib/systemd/credential.secret")
    path.unlink()
    run(node, "systemd-creds", "setup")
