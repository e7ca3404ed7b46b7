# SPDX-License-Identifier: MIT
"""What opens a vault slot, and what comes out of it, is nowhere when zseal ends: not in its memory, not in arguments or in
a child's environment, not in a file. The same for a key that adopt takes out of KV, or has unwrapped."""
import base64

import pytest

import vaulting
from adopting import HEX, KEY, make_root
from canaries import Search, secrets_of
from conftest import assert_done, create_pool, keep_secret, one_zfs, pipe_with, run, zseal
from steps import EXIT, SANITIZED, Step, environment, needs_strace, programs, run_with_pause, steps_of
from vaulting import add_slot, admin

pytestmark = [one_zfs, needs_strace]


@pytest.fixture
def bao(node):
    node.tank = create_pool(node)
    made = vaulting.Vault(node)
    vaulting.set_up(made)
    add_slot(made)
    made.secret_id = node.path("/etc/credstore/zseal-vault-secret-id").read_text()
    return made


def secrets(bao):
    return {**secrets_of(bao.node, bao.node.tank), "secret_id": bao.secret_id.encode(), "token": bao.token.encode()}


def memory_at(bao, argv, step, **kw):
    """What of the secrets is in the memory of a process that waits there."""
    found = []
    search = Search(secrets(bao))

    def action():
        for pid in programs(bao.node, "zseal"):
            found.append(search.in_memory(pid))
    _, paused = run_with_pause(bao.node, argv, step, action, **kw)
    assert paused and found
    return set().union(*(names for memory in found for names in memory.values()))


if not SANITIZED:
    # A sanitizer keeps freed memory, and needs a process that may be traced.

    def test_memory_is_clean_when_an_unlock_by_vault_ends(bao):
        bao.node.run(["zfs", "unload-key", "tank"])
        steps, ended = steps_of(bao.node, ["zseal", "unlock", "tank"])
        assert "slot vault)" in ended.stdout
        bao.node.run(["zfs", "unload-key", "tank"])
        load = [step for step in steps if step.call == "sendmsg"][-1]
        assert "wrapping key" in memory_at(bao, ["zseal", "unlock", "tank"], load), "the control: it is there"
        bao.node.run(["zfs", "unload-key", "tank"])
        assert not memory_at(bao, ["zseal", "unlock", "tank"], EXIT)

    def test_memory_is_clean_when_a_slot_was_made(bao):
        """The administrator's token included."""
        argv = ["zseal", "slot", "reseal", "tank", "vault"]
        with pipe_with(bao.token + "\n") as fd:
            assert not memory_at(bao, [*argv, "--vault-token-fd", str(fd)], EXIT, pass_fds=(fd,))

    def test_memory_is_clean_when_vault_is_away(bao):
        vaulting.configure(bao, "timeout = 1")
        bao.node.run(["zfs", "unload-key", "tank"])
        bao.server.kill()
        assert not memory_at(bao, ["zseal", "unlock", "tank"], EXIT)


    def test_memory_is_clean_when_a_secret_id_was_renewed(bao):
        """Of the old one and of the new one, which is known when it is kept."""
        vaulting.allow_renewal(bao)
        argv, found = ["zseal", "vault", "renew", "--now"], []
        assert_done(zseal(bao.node, *argv[1:]))
        old = vaulting.kept_secret_id(bao.node)

        def action():
            new = vaulting.kept_secret_id(bao.node)
            assert new != old
            search = Search({**secrets(bao), "old": old.encode(), "new": new.encode()})
            found.extend(search.in_memory(pid) for pid in programs(bao.node, "zseal"))
        _, paused = run_with_pause(bao.node, argv, EXIT, action)
        assert paused and found and not any(found)


def executed(bao, *argv, env=None, **kw):
    """Arguments and environments of zseal's children, not its own."""
    run(bao.node, "strace", "-f", "-qq", "-v", "-s", "100000", "-e", "trace=execve", "-o", "/run/lab/tmp/exec", *argv,
        env=environment() | (env or {}), **kw)
    return [line for line in bao.node.path("/run/lab/tmp/exec").read_text().splitlines() if '["zseal"' not in line]


def test_children_see_no_token_and_no_secret_id(bao):
    search = Search(secrets(bao))
    lines = executed(bao, "zseal", "slot", "reseal", "tank", "vault", env={"BAO_TOKEN": bao.token})
    assert any("zfs" in line for line in lines)
    assert not search.in_text("\n".join(lines))
    assert not [line for line in lines if "BAO_" in line or "VAULT_" in line]


def test_enrolling_leaves_the_secret_id_encrypted_alone(bao):
    wrapped = bao.server.api("POST", f"auth/approle/role/{vaulting.ROLE}/secret-id", {}, bao.token,
                             headers={"X-Vault-Wrap-TTL": "300s"}).json["wrap_info"]["token"]
    bao.node.path("/etc/credstore/zseal-vault-secret-id").unlink()
    with pipe_with(wrapped + "\n") as fd:
        lines = executed(bao, "zseal", "vault", "enroll", "--wrapped-token-fd", str(fd), pass_fds=(fd,))
    search = Search({"wrapping token": wrapped.encode()})
    assert any("systemd-creds" in line for line in lines) and not search.in_text("\n".join(lines))
    assert_done(zseal(bao.node, "vault", "login-test"))
    for path in bao.node.path("/etc/credstore.encrypted").iterdir():
        assert b"-" not in path.read_bytes()[:64], "a UUID as text has some"
    assert not bao.node.path("/etc/credstore/zseal-vault-secret-id").exists()
    assert_done(admin(bao, "slot", "reseal", "tank", "vault"))


# ---- a key that adopt takes out of Vault ----

@pytest.fixture
def site(node):
    """A site's Vault that has the key of a root which zseal does not know yet."""
    made = vaulting.Vault(node)
    made.must("POST", "sys/mounts/transit", {"type": "transit"})
    vaulting.configure(made)
    keep_secret(node.world, KEY)
    return made


def begin(site):
    """The root, locked; its key in KV as text, and wrapped by Transit."""
    wrapped = site.must("POST", "transit/encrypt/site", {"plaintext": base64.b64encode(KEY).decode()})
    site.must("POST", "secret/data/plain", {"data": {"key": HEX}})
    site.must("POST", "secret/data/wrapped", {"data": {"key": wrapped["data"]["ciphertext"]}})
    site.node.run(["zpool", "destroy", "tank"])
    make_root(site.node, "tank", "raw")
    site.node.run(["zfs", "unload-key", "tank"])


ADOPT = ["zseal", "adopt", "tank", "--no-recovery", "--destroy-leftovers", "--vault-kv"]
SOURCES = {"plain": ("secret/plain",), "wrapped": ("secret/wrapped", "--vault-transit", "site")}


def site_search(site):
    return Search({"wrapping key": KEY, "token": site.token.encode()})


if not SANITIZED:

    @pytest.mark.parametrize("how", SOURCES)
    def test_memory_is_clean_when_a_key_in_vault_was_adopted(site, how):
        """The entry's text in it was jansson's and libcurl's."""
        found = []

        def look():
            for pid in programs(site.node, "zseal"):
                found.append(site_search(site).in_memory(pid))
        for step in (Step("renameat", 1), EXIT):
            begin(site)
            with pipe_with(site.token + "\n") as fd:
                _, paused = run_with_pause(site.node, [*ADOPT, *SOURCES[how], "--vault-token-fd", str(fd)], step, look,
                                           pass_fds=(fd,))
            assert paused
        during, after = (set().union(*each.values()) for each in found)
        assert "wrapping key" in during, "the control: it is there"
        assert not after


@pytest.mark.parametrize("how", SOURCES)
def test_what_adopt_starts_and_leaves_has_no_key_out_of_vault(site, how):
    begin(site)
    lines = executed(site, *ADOPT, *SOURCES[how], env={"BAO_TOKEN": site.token})
    assert any("zfs" in line for line in lines) and not site_search(site).in_text("\n".join(lines))
    assert not [line for line in lines if "BAO_" in line or "VAULT_" in line]
    for folder in ("/etc/zseal", "/var/lib/zseal", "/run/lab/tmp"):
        found = site_search(site).in_folder(site.node.path(folder))
        assert not {path for path in found if not path.endswith("/exec")}, found
    assert not site_search(site).in_text("".join(map(str, site.node.journal())))
    assert not site_search(site).in_text(run(site.node, "zpool", "history", "-i", "tank"))
