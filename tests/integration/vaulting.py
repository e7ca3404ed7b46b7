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
from conftest import assert_done, keep_secret, run, zseal

BAO = os.environ.get("ZSEAL_BAO", "bao")
ADDRESS = "http://127.0.0.1:8200"
ROOT = "root-token-of-the-lab"
ROLE = "zseal-a"


class Bao:
    """A development server on a machine's loopback."""

    def __init__(self, node):
        self.node, self.process, self.address = node, None, ADDRESS
        keep_secret(node.world, ROOT)

    def start(self):
        self.process = self.node.popen(
            [BAO, "server", "-dev", f"-dev-root-token-id={ROOT}", "-dev-no-store-token",
             "-dev-listen-address=127.0.0.1:8200"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while self.node.run(["curl", "-sf", ADDRESS + "/v1/sys/health"]).returncode != 0:
            assert time.monotonic() < deadline, "OpenBao does not start"

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, method, path, body=None, token=ROOT):
        """(status, answer)."""
        done = run(self.node, "curl", "-sS", "-X", method, "-H", f"X-Vault-Token: {token}", "-w", "\n%{http_code}",
                   *(["-d", json.dumps(body)] if body is not None else []), f"{ADDRESS}/v1/{path}")
        text, status = done.rsplit("\n", 1)
        return int(status), json.loads(text) if text.strip() else {}

    def must(self, method, path, body=None, token=ROOT):
        status, answer = self.ask(method, path, body, token)
        assert status in (200, 204), (status, answer)
        return answer


@contextlib.contextmanager
def running(node):
    bao = Bao(node)
    try:
        bao.start()
        yield bao
    finally:
        bao.stop()


def context_of(value):
    """What Transit derives a slot's key with."""
    slot = json.loads(value)
    return base64.b64encode(uuid.UUID(slot["keyring"]).bytes + uuid.UUID(slot["uuid"]).bytes).decode()


def policy(contexts):
    return json.dumps({"path": {
        "transit/decrypt/zfs-wrapper-tank": {
            "capabilities": ["update"], "required_parameters": ["context"],
            "allowed_parameters": {"ciphertext": [], "context": contexts}},
        "auth/token/revoke-self": {"capabilities": ["update"]}}})


def set_up(bao, token_type="batch"):
    """Mounts, key, policy and role; the node's credentials in its credstore, plain."""
    bao.must("POST", "sys/mounts/transit", {"type": "transit"})
    bao.must("POST", "sys/auth/approle", {"type": "approle"})
    bao.must("POST", "transit/keys/zfs-wrapper-tank", {"type": "aes256-gcm96", "derived": True})
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": policy(["none yet"])})
    bao.must("POST", f"auth/approle/role/{ROLE}", {
        "token_policies": ["zseal-a"], "token_type": token_type, "token_no_default_policy": True, "token_ttl": "60s"})
    role_id = bao.must("GET", f"auth/approle/role/{ROLE}/role-id")["data"]["role_id"]
    give(bao.node, "zseal-vault-role-id", role_id)
    new_secret_id(bao)
    configure(bao.node)


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


def configure(node, *lines, unlock=("order = vault, tpm2",), address=(ADDRESS,)):
    text = "\n".join(["[vault]", *(f"address = {one}" for one in address), "allow-http = yes", *lines,
                      "[unlock]", *unlock, "[scrypt]", "time = 1", "memory = 16", ""])
    node.path("/etc/zseal/zseal.conf").write_text(text)


def allow(bao, *names, dataset="tank"):
    """The node's policy names the contexts of these slots."""
    slots = headers.read(bao.node, dataset).slots
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": policy([context_of(slots[name]) for name in names])})


def admin(node, *argv, **kw):
    """zseal with an administrator's token."""
    return zseal(node, *argv, env={"BAO_TOKEN": ROOT, **kw.pop("env", {})}, **kw)


def add_slot(bao, *argv):
    """Adds a vault slot to tank. The policy allows any context while it is made, then this one."""
    bao.must("PUT", "sys/policies/acl/zseal-a", {"policy": policy([]).replace('"required_parameters": ["context"], ', "")})
    result = assert_done(admin(bao.node, "slot", "add", "tank", "vault", *argv))
    allow(bao, "vault")
    return result
