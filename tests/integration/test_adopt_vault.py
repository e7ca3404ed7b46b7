# SPDX-License-Identifier: MIT
"""zseal adopt from a site's own Vault: a key that lies in KV, as it is or wrapped by Transit, on a real OpenBao; what is
destroyed there afterwards; and everything that can be wrong there, after which root and entry are as before.
"""
import base64
import json
import os
import re

import pytest

import vaulting
from adopting import HEX, KEY, PASSPHRASE, adopt, assert_adopted, dialogue_with_key, get, make_root
from conftest import (ERRORS, Dialogue, assert_done, assert_nothing_secret, assert_refused, assert_said, create_pool,
                      keep_secret, new_world, one_zfs, pipe_with, run, zfs_versions, zseal)
from figures import count
from steps import chosen, needs_strace, run_with_signal, steps_of
from test_adopt_bad import Attempt, assert_untouched, fresh, opens_by_old_way

pytestmark = one_zfs

BASE64 = base64.b64encode(KEY).decode()
WRONG = bytes(range(32))
PLACE = "zfs-keys/a"
# As a site has it that wrote its own scripts.
SITE_MOUNT, SITE_PATH, SITE_KEY = "cooper-n-80s", "environments/dev/zfs-keys/{node}", "zfs-wrapper-cooper-zfs"
QUICK = ("timeout = 2", "request-timeout = 1", "connect-timeout = 1")


# ---- a site ----

def site(node):
    """Its Vault, with Transit, and a KV of version 2 at secret/ and at a mount of its own."""
    bao = vaulting.Vault(node)
    bao.must("POST", "sys/mounts/transit", {"type": "transit"})
    bao.must("POST", f"sys/mounts/{SITE_MOUNT}", {"type": "kv", "options": {"version": "2"}})
    bao.must("POST", "sys/mounts/old", {"type": "kv", "options": {"version": "1"}})
    bao.must("POST", f"transit/keys/{SITE_KEY}", {})
    bao.must("POST", "transit/keys/derives", {"derived": True})
    vaulting.configure(bao)
    return bao


@pytest.fixture
def bao(node):
    return site(node)


def put(bao, path, data, mount="secret"):
    bao.must("POST", f"{mount}/data/{path}", {"data": data})


def there(bao, path=PLACE, mount="secret"):
    """Whether the entry has any version."""
    return bao.ask("GET", f"{mount}/metadata/{path}")[0] == 200


def wrap(bao, plain, key=SITE_KEY, **more):
    plain = plain.encode() if isinstance(plain, str) else plain
    return bao.must("POST", f"transit/encrypt/{key}",
                    {"plaintext": base64.b64encode(plain).decode(), **more})["data"]["ciphertext"]


def take(bao, *argv, place=("--vault-kv", PLACE, "--vault-kv-mount", "secret"), dataset="tank", token=None):
    """zseal adopt as an administrator."""
    return adopt(bao.node, dataset, *place, *argv, env={"BAO_TOKEN": token or bao.token})


def events(bao, name):
    return [entry for entry in bao.node.journal() if entry.get("ZSEAL_EVENT") == name]


def make_node_login(bao, *paths):
    """The node's own AppRole, with this for a policy: (path, capability)."""
    rules = {path: {"capabilities": [what]} for path, what in paths}
    vaulting.set_up_login(bao, json.dumps({"path": rules}))


# ---- from KV ----

@pytest.mark.parametrize("keyformat, text", [("raw", BASE64), ("raw", HEX + "\n"), ("hex", HEX.upper()),
                                             ("hex", BASE64 + "\n"), ("passphrase", PASSPHRASE)],
                         ids=["raw-base64", "raw-hex", "hex", "hex-base64", "passphrase"])
def test_a_key_in_kv(bao, keyformat, text):
    make_root(bao.node, "tank", keyformat)
    keep_secret(bao.node.world, text.strip())
    put(bao, PLACE, {"key": text})
    result, key = take(bao)
    assert_done(result)
    assert "KV entry secret/zfs-keys/a: still there" in result.stdout
    assert "bao kv metadata delete -mount=secret zfs-keys/a" in result.stdout
    assert "Transit" not in result.stdout and not events(bao, "vault-key-shared")
    assert there(bao)
    assert_adopted(bao.node, "tank", key)


def test_the_field_may_be_named_and_the_mount_found(bao):
    """As `bao kv get secret/zfs-keys/a` finds it; a number beside the only text is no other one."""
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"key": BASE64, "other": "x", "rotated": 17})
    result, key = take(bao, "--vault-field", "key", place=("--vault-kv", "secret/" + PLACE))
    assert_done(result)
    assert "KV entry secret/zfs-keys/a: still there; it has other fields" in result.stdout
    assert_adopted(bao.node, "tank", key)
    make_root(bao.node, "tank/own", "raw")
    put(bao, "dots.and-dashes/own", {"key": BASE64, "rotated": 17}, mount=SITE_MOUNT)
    vaulting.configure(bao, f"kv-mount = {SITE_MOUNT}")
    result, _ = take(bao, place=("--vault-kv", "dots.and-dashes/own"), dataset="tank/own")
    assert_done(result)
    assert_adopted(bao.node, "tank/own", key)


def test_the_token_comes_by_a_descriptor(bao):
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"key": BASE64})
    with pipe_with(bao.token + "\n") as fd:
        done = bao.node.run(["zseal", "adopt", "tank", "--vault-kv", PLACE, "--vault-kv-mount", "secret",
                             "--vault-token-fd", str(fd), "--no-recovery"], pass_fds=(fd,))
    assert done.returncode == 0, done.stderr


def test_without_a_token_the_node_asks(bao):
    """Its policy allows what its script did; nobody needs an administrator."""
    make_root(bao.node, "tank", "raw")
    make_node_login(bao, (f"{SITE_MOUNT}/data/environments/dev/zfs-keys/a", "read"),
                    (f"transit/decrypt/{SITE_KEY}", "update"))
    put(bao, SITE_PATH.replace("{node}", "a"), {"ciphertext": wrap(bao, KEY)}, mount=SITE_MOUNT)
    result, key = adopt(bao.node, "tank", "--vault-kv", f"{SITE_MOUNT}/{SITE_PATH}", "--vault-transit", SITE_KEY)
    assert_done(result)
    assert_adopted(bao.node, "tank", key)


def test_a_root_joins_a_keyring_that_vault_opens(node):
    """The node opens the keyring by its own login, the administrator reads the key: two who ask, in one command."""
    tank = create_pool(node)
    bao = vaulting.Vault(node)
    vaulting.set_up(bao)
    vaulting.add_slot(bao)
    make_root(node, "tank/vm", "raw")
    put(bao, PLACE, {"key": BASE64})
    before = len(events(bao, "keyring-opened"))
    result, key = take(bao, dataset="tank/vm")
    assert_done(result)
    assert not key and "the keyring on tank opens it" in result.stdout
    assert events(bao, "keyring-opened")[before]["ZSEAL_SLOT"] == "vault"
    assert_adopted(node, "tank/vm", tank.recovery_key)


# ---- wrapped by Transit ----

@pytest.mark.parametrize("keyformat, content", [("raw", KEY), ("raw", HEX), ("hex", BASE64 + "\n"),
                                                ("passphrase", PASSPHRASE + "\n")],
                         ids=["bytes", "hex", "base64", "passphrase"])
@pytest.mark.parametrize("name", [SITE_KEY, f"transit/keys/{SITE_KEY}"], ids=["name", "path"])
def test_a_key_that_transit_wrapped(bao, keyformat, content, name):
    """By a key that does not derive, as older sites have: that is told. The entry has the node's name in its path."""
    make_root(bao.node, "tank", keyformat)
    put(bao, SITE_PATH.replace("{node}", "a"), {"wrapped": wrap(bao, content), "by": "ansible"}, mount=SITE_MOUNT)
    result, key = take(bao, "--vault-transit", name, place=("--vault-kv", SITE_PATH, "--vault-kv-mount", SITE_MOUNT))
    assert_done(result)
    assert f"WARNING: the Transit key transit/{SITE_KEY} does not derive" in " ".join(result.stderr.split())
    assert f"the Transit key transit/{SITE_KEY}, which wrapped it, may serve others" in result.stdout
    assert events(bao, "vault-key-shared")[-1]["ZSEAL_VAULT_KEY"] == SITE_KEY
    assert_adopted(bao.node, "tank", key)


def test_a_key_that_derives_takes_its_context(bao):
    make_root(bao.node, "tank", "raw")
    context = base64.b64encode(b"node a").decode()
    put(bao, PLACE, {"wrapped": wrap(bao, KEY, "derives", context=context)})
    result, key = take(bao, "--vault-transit", "derives", "--vault-context", context)
    assert_done(result)
    assert "does not derive" not in result.stderr and not events(bao, "vault-key-shared")
    assert_adopted(bao.node, "tank", key)


# ---- what is told ----

def test_a_dry_run_asks_nobody(bao):
    make_root(bao.node, "tank", "raw")
    result = assert_done(zseal(bao.node, "adopt", "--dry-run", "tank", "--vault-kv", PLACE, env={"BAO_TOKEN": bao.token}))
    assert "would be adopted" in result.stdout and not events(bao, "vault-asked")
    assert_untouched(bao.node, "tank", "raw")


def test_what_it_says_as_json(bao):
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"wrapped": wrap(bao, KEY)})
    result, _ = take(bao, "--json", "--vault-transit", SITE_KEY)
    said = assert_done(result).json
    assert said["leftovers"] == [{"what": "KV entry secret/zfs-keys/a", "proven": True, "destroyed": False,
                                  "needed_by": None}]
    assert said["transit_key"] == f"transit/{SITE_KEY}"


# ---- destroying ----

def test_the_entry_is_destroyed_when_asked_to(bao):
    """With all its versions, and nothing else."""
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"key": "an older one"})
    put(bao, PLACE, {"wrapped": wrap(bao, KEY)})
    put(bao, "zfs-keys/b", {"key": "of another node"})
    result, key = take(bao, "--vault-transit", SITE_KEY, "--destroy-leftovers")
    assert_done(result)
    assert "KV entry secret/zfs-keys/a: destroyed with all its versions" in result.stdout
    assert not there(bao) and there(bao, "zfs-keys/b")
    assert bao.ask("GET", f"transit/keys/{SITE_KEY}")[0] == 200
    assert_adopted(bao.node, "tank", key)


def test_the_same_command_again_destroys_it(bao):
    """First adopt, live with it for some days, then destroy; after that there is nothing to name."""
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"key": BASE64})
    result, key = take(bao)
    assert_done(result)
    for told in (True, False):
        again, none = take(bao, "--destroy-leftovers")
        assert_done(again)
        assert "tank is adopted already" in again.stdout and not none and "WARNING" not in again.stderr
        assert ("destroyed with all its versions" in again.stdout) == told
        assert not there(bao)
    assert_adopted(bao.node, "tank", key)


def test_an_entry_of_another_key_is_not_destroyed_later(bao):
    """The command line names it by mistake; or it holds the passphrase that the root had before."""
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"key": BASE64})
    put(bao, "zfs-keys/b", {"key": WRONG.hex()})
    assert_done(take(bao)[0])
    result, _ = take(bao, "--destroy-leftovers", place=("--vault-kv", "secret/zfs-keys/b"))
    assert_done(result)
    assert there(bao, "zfs-keys/b")
    assert "KV entry secret/zfs-keys/b: still there, and not proven to be a copy" in result.stdout


def test_a_vault_that_is_away_later_is_told(bao):
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"key": BASE64})
    _, key = take(bao)
    vaulting.configure(bao, *QUICK)
    bao.server.kill()
    result, _ = take(bao, "--destroy-leftovers")
    assert_done(result)
    assert_said(result.stderr, "vault-down", "WARNING")
    assert_adopted(bao.node, "tank", key)


def test_who_may_read_may_not_always_destroy(bao):
    """The node's policy does not: that is said, and the root is adopted all the same."""
    make_root(bao.node, "tank", "raw")
    make_node_login(bao, ("secret/data/zfs-keys/a", "read"))
    put(bao, PLACE, {"key": BASE64})
    result, key = adopt(bao.node, "tank", "--vault-kv", "secret/" + PLACE, "--destroy-leftovers")
    assert_refused(result, "vault-denied", "KV entry secret/zfs-keys/a", status=1)
    assert "bao kv metadata delete -mount=secret zfs-keys/a" in result.stdout
    assert there(bao)
    assert_adopted(bao.node, "tank", key)


def test_an_entry_that_holds_more_stays(bao):
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"key": BASE64, "password of the printer": "x"})
    result, key = take(bao, "--vault-field", "key", "--destroy-leftovers")
    assert_refused(result, "leftover-more", "KV entry secret/zfs-keys/a", status=1)
    assert bao.must("GET", "secret/data/" + PLACE)["data"]["data"]["key"] == BASE64
    assert_adopted(bao.node, "tank", key)


def test_an_entry_that_was_written_anew_meanwhile_stays(bao):
    """Offered to a person, who says yes; but what is there then is another's."""
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"key": BASE64})
    argv = ["zseal", "adopt", "tank", "--vault-kv", PLACE, "--vault-kv-mount", "secret"]
    with Dialogue(bao.node, argv, env={"BAO_TOKEN": bao.token}) as person:
        key = dialogue_with_key(bao.node, person)
        person.expect("Destroy KV entry secret/zfs-keys/a.*N. ")
        put(bao, PLACE, {"key": "somebody's new one"})
        person.type("y")
        result = person.end()
    assert result.status == 1
    assert_said(result.stdout, "vault-changed")
    assert bao.must("GET", "secret/data/" + PLACE)["data"]["data"]["key"] == "somebody's new one"
    assert_adopted(bao.node, "tank", key)


def test_a_person_has_the_entry_destroyed(bao):
    make_root(bao.node, "tank", "raw")
    put(bao, PLACE, {"key": BASE64})
    argv = ["zseal", "adopt", "tank", "--vault-kv", PLACE, "--vault-kv-mount", "secret"]
    with Dialogue(bao.node, argv, env={"BAO_TOKEN": bao.token}) as person:
        key = dialogue_with_key(bao.node, person)
        person.expect("Destroy KV entry secret/zfs-keys/a.*N. ")
        assert there(bao), "before the slots are proven and the person has agreed"
        person.type("y")
        assert_done(person.end())
    assert not there(bao)
    assert_adopted(bao.node, "tank", key)


# ---- bad days ----

@pytest.fixture(scope="module", name="shared")
def fixture_shared():
    """One root and one server for all that changes nothing; at the end the root is adopted after all."""
    with new_world(zfs_versions()[0]) as world:
        made = site(world.node("a"))
        make_root(made.node, "tank", "raw")
        vaulting.configure(made, *QUICK)
        yield made
        put(made, "good", {"key": BASE64})
        result, key = take(made, place=("--vault-kv", "secret/good"))
        assert_done(result)
        assert_adopted(made.node, "tank", key)


CONTEXT = base64.b64encode(b"context").decode()
FIELD = ("--vault-field", "key")
TRANSIT = ("--vault-transit", SITE_KEY)

# what the entry holds, options, the error, what is said
ENTRIES = {
    "other field": ({"one": HEX, "two": "x"}, FIELD, "vault-field", "none is called 'key'; it has: one, two"),
    "several": ({"one": HEX, "two": "x"}, (), "vault-field", "more than one of its fields is a text: one, two"),
    "no text": ({"one": 1, "two": {}}, (), "vault-field", "none of its fields is a text: one, two"),
    "nothing": ({}, (), "vault-field", "it has no field"),
    "odd names": ({"\x1b[31m\n": "x", "ü" * 900: "y", **{f"n{i}": "z" for i in range(99)}}, (), "vault-field",
                  "?[31m?", "more"),
    "number": ({"key": 12345678}, FIELD, "key-shape", "field 'key'", "a number, no text"),
    "object": ({"key": {"key": HEX}}, FIELD, "key-shape", "an object, no text"),
    "list": ({"key": [HEX]}, FIELD, "key-shape", "a list, no text"),
    "null": ({"key": None}, FIELD, "key-shape", "null, no text"),
    "true": ({"key": True}, FIELD, "key-shape", "true or false, no text"),
    "empty": ({"key": ""}, (), "key-shape", "it is empty"),
    "long": ({"key": "x" * 515}, (), "key-shape", "more than 514 bytes"),
    "huge": ({"key": HEX, "log": "x" * 40000}, FIELD, "vault-answer", "more than 32768 bytes"),
    "short": ({"key": HEX[:63]}, (), "key-shape", "it has 63 bytes"),
    "no digits": ({"key": "g" * 64}, (), "key-shape", "hexadecimal"),
    "no base64": ({"key": "!" * 44}, (), "key-shape", "base64"),
    "another's": ({"key": WRONG.hex()}, (), "key-not-this", "tank"),
    "not wrapped": ({"key": HEX}, (*FIELD, *TRANSIT), "key-shape", "no ciphertext of Transit"),
    "no ciphertext": ({"key": HEX}, TRANSIT, "vault-field", "none of its fields is a ciphertext"),
    "damaged": ({"key": "vault:v1:" + BASE64}, TRANSIT, "vault-unwrap", SITE_KEY),
    "no key": ({"key": "vault:v1:" + BASE64}, ("--vault-transit", "none"), "vault-unwrap", "no key of that name"),
    "no mount": ({"key": "vault:v1:" + BASE64}, ("--vault-transit", "none/x"), "vault-not-found", "none/decrypt/x"),
    "no context": ({"key": "vault:v1:" + BASE64}, ("--vault-transit", "derives"), "vault-unwrap", "derives"),
    "other context": ({"key": "vault:v1:" + BASE64}, ("--vault-transit", "derives", "--vault-context", CONTEXT),
                      "vault-unwrap", "another key or context"),
}


def assert_nothing_happened(bao, result, key, name, *words):
    assert_refused(result, name, *words)
    assert not key and len(result.stderr) < 1100, result.stderr
    assert "\x1b[31m" not in result.stderr
    assert_untouched(bao.node, "tank", "raw")


@pytest.mark.parametrize("how", ENTRIES)
def test_an_entry_that_has_no_key_of_this_root(shared, how):
    data, options, name, *words = ENTRIES[how]
    put(shared, PLACE, data)
    result, key = take(shared, *options)
    assert_nothing_happened(shared, result, key, name, *words)
    assert there(shared)


@pytest.mark.parametrize("content, words", [(KEY[:31], "it has 31 bytes"), (b"x" * 515, "more than 514"),
                                            (WRONG, None)], ids=["short", "long", "another's"])
def test_what_was_wrapped_is_no_key_of_this_root(shared, content, words):
    put(shared, PLACE, {"wrapped": wrap(shared, content)})
    result, key = take(shared, *TRANSIT)
    assert_nothing_happened(shared, result, key, "key-shape" if words else "key-not-this", words or "tank")


def test_what_is_wrapped_is_said_to_be(shared):
    put(shared, PLACE, {"key": wrap(shared, KEY)})
    result, key = take(shared)
    assert_nothing_happened(shared, result, key, "key-shape", "--vault-transit")


def test_another_transit_key_opens_it_not(shared):
    shared.must("POST", "transit/keys/another", {})
    put(shared, PLACE, {"key": wrap(shared, KEY)})
    result, key = take(shared, "--vault-transit", "another")
    assert_nothing_happened(shared, result, key, "vault-unwrap", "made with another key")


def test_entries_that_are_gone(shared):
    for path, words in (("none", "nothing is at this path"), ("deleted", "was deleted"), ("gone", "was destroyed")):
        if path != "none":
            put(shared, path, {"key": BASE64})
        if path == "deleted":
            shared.must("DELETE", "secret/data/deleted")
        if path == "gone":
            shared.must("POST", "secret/destroy/gone", {"versions": [1]})
        result, key = take(shared, place=("--vault-kv", path, "--vault-kv-mount", "secret"))
        assert_nothing_happened(shared, result, key, "vault-no-entry" if path == "none" else "vault-deleted", words,
                                f"KV entry secret/{path}")


def test_mounts_that_are_none(shared):
    """KV of version 1 has no versions that could be told apart; it is named."""
    shared.must("POST", "old/entry", {"key": BASE64})
    for place, name, *words in (
            (("old/entry",), "vault-no-entry", "mount old is not KV of version 2"),
            (("entry", "--vault-kv-mount", "old"), "vault-no-entry", "nothing is at this path"),
            (("transit/entry",), "vault-no-entry", "mount transit is not KV of version 2"),
            (("secret",), "vault-no-entry", "no mount"), (("none/entry",), "vault-denied", "--vault-kv-mount"),
            (("entry", "--vault-kv-mount", "none"), "vault-no-entry", "nothing is at this path")):
        result, key = take(shared, place=("--vault-kv", *place))
        assert_nothing_happened(shared, result, key, name, *words)


def test_tokens_that_may_not(shared):
    put(shared, PLACE, {"key": BASE64})
    token = shared.must("POST", "auth/token/create", {"policies": ["default"]})["auth"]["client_token"]
    keep_secret(shared.node.world, token)
    for bad in (token, "s.none"):
        result, key = take(shared, token=bad)
        assert_nothing_happened(shared, result, key, "vault-denied", "KV entry secret/zfs-keys/a")
    shared.must("PUT", "sys/policies/acl/reads", {"policy": 'path "secret/data/*" { capabilities = ["read"] }'})
    reader = shared.must("POST", "auth/token/create", {"policies": ["reads"]})["auth"]["client_token"]
    keep_secret(shared.node.world, reader)
    put(shared, PLACE, {"key": wrap(shared, KEY)})
    result, key = take(shared, *TRANSIT, token=reader)
    assert_nothing_happened(shared, result, key, "vault-denied", f"transit/decrypt/{SITE_KEY}")


def test_nobody_to_ask_as(shared):
    shared.node.path("/etc/zseal/zseal.conf").write_text("")
    result, key = adopt(shared.node, "tank", "--vault-kv", PLACE)
    assert_nothing_happened(shared, result, key, "vault-token", "no [vault] address")
    vaulting.configure(shared, *QUICK)
    result, key = adopt(shared.node, "tank", "--vault-kv", PLACE)
    assert_nothing_happened(shared, result, key, "vault-credential")


@pytest.mark.parametrize("kind, options, name", [
    ("answer", {"status": 503}, "vault-sealed"), ("answer", {"status": 500}, "vault-busy"),
    ("no-answer", {}, "vault-down"), ("not-json", {}, "vault-answer"), ("reset", {}, "vault-down"),
    ("answer", {"status": 200, "body": {}}, "vault-answer"), ("answer", {"status": 200, "body": {"data": {"data": 7}}}, "vault-answer"),
    ("answer", {"status": 404, "body": {"data": {"metadata": "x"}}}, "vault-no-entry"),
    ("redirect", {"to": "https://192.0.2.1:8200"}, "vault-redirect"),
], ids=str)
def test_a_vault_that_cannot(shared, kind, options, name):
    put(shared, PLACE, {"key": BASE64})
    shared.server.door.fault(kind, None if kind == "reset" else "secret/data", **options)
    try:
        result, key = take(shared)
    finally:
        shared.server.door.no_fault()
    assert_nothing_happened(shared, result, key, name)


@pytest.mark.parametrize("options, words", [
    (("--vault-kv", PLACE, "--key-file", "/x"), "--key-file and --vault-kv"), (FIELD, "--vault-kv"),
    (TRANSIT, "--vault-kv"), (("--vault-kv-mount", "secret"), "--vault-kv"), (("--vault-token-fd", "7"), "--vault-kv"),
    (("--vault-kv", PLACE, "--vault-context", CONTEXT), "--vault-transit"),
    (("--vault-kv", PLACE, *TRANSIT, "--vault-context", "!"), "--vault-context"),
    *((("--vault-kv", bad), "--vault-kv takes") for bad in ("", "/a", "a/", "a//b", "a/../b", ".", "a b", "a?b=c",
                                                           "a/%2e%2e/b", "{pool}", "x" * 300)),
    (("--vault-kv", "a", "--vault-kv-mount", "secret/"), "--vault-kv-mount takes"),
    *((("--vault-kv", "a", "--vault-transit", bad), "--vault-transit takes")
      for bad in ("", "a/", "/a", "../a", "a/..", "a b", "x" * 64)),
], ids=lambda value: "-" if isinstance(value, str) else "_".join(value)[:60])
def test_wrong_usage(shared, options, words):
    result, key = adopt(shared.node, "tank", *options, env={"BAO_TOKEN": shared.token})
    assert_nothing_happened(shared, result, key, "usage", words)


# ---- ends at any instant ----

@needs_strace
@pytest.mark.parametrize("keyformat", ["raw", "passphrase"])
def test_killed_anywhere(bao, keyformat):
    """The key is in Vault, or zseal opens the root: also when the entry is to be destroyed."""
    node = bao.node
    make_node_login(bao, ("secret/data/zfs-keys/a", "read"), ("secret/metadata/zfs-keys/a", "delete"))
    text = BASE64 if keyformat == "raw" else PASSPHRASE
    argv = ("--vault-kv", "secret/" + PLACE, "--destroy-leftovers")

    def ready():
        fresh(node, keyformat)
        if not there(bao):
            put(bao, PLACE, {"key": text})
        return Attempt(node, *argv)
    attempt = ready()
    steps, ended = steps_of(node, attempt.argv, **attempt.fds)
    assert_done(attempt.finish(ended))
    assert not there(bao)
    outcomes = set()
    for step in chosen(steps, 14):
        attempt = ready()
        attempt.finish(run_with_signal(node, attempt.argv, step, "SIGKILL", **attempt.fds))
        has_header, has_entry = get(node, "tank", "zseal:keyring") != "-", there(bao)
        outcomes.add((has_header, has_entry))
        node.run(["zfs", "unload-key", "tank"])
        opens = has_header and zseal(node, "unlock", "tank").status == 0
        assert opens or (has_entry and opens_by_old_way(node, "tank", keyformat)), f"{step}: nothing opens it"
        again = Attempt(node, *argv)
        done = node.run(again.argv, **again.fds)
        assert_done(again.finish((done.returncode, done.stdout, done.stderr)))
        assert not there(bao) or (keyformat == "passphrase" and opens)
        assert_adopted(node, "tank", again.key or attempt.key)
        count("kills", tried=1, survived=1)
    assert {(False, True), (True, False)} <= outcomes, "the kills were all before or all after"
