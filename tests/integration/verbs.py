# SPDX-License-Identifier: MIT
"""Every verb, with what it takes to run it again and again while something goes wrong. A new verb is one line in VERBS.

Guarantees: before() puts the machine into the state that the verb needs, whatever the last run left; assert_kept()
shows that nothing is lost: the pool is there, and opens by its TPM slot and by its recovery key; a create left a pool
with both, or none.
"""
import contextlib
import json
import os
import re
from typing import Callable, NamedTuple

import adopting
import headers
import vaulting
from conftest import (assert_done, assert_nothing_secret, assert_opens, assert_opens_with_key, create_pool,
                      keep_recovery_key_secret, keep_secret, pipe_with, run, zseal)

KEY = "([cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}\n"


def _lock(node):
    node.run(["zfs", "unload-key", "tank"])


def _unlock(node):
    assert_done(zseal(node, "unlock", "tank"))


def _lose_header(node):
    run(node, "zfs", "inherit", "zseal:keyring", "tank")


def _lose_slots(node):
    """Both, and the record; the keyring's own property stays."""
    for name in ("zseal:slot.tpm2-a", "zseal:slot.recovery", "zseal:key"):
        headers.put(node, "tank", name, None)


def _lose_everything(node):
    _lock(node)
    _lose_slots(node)
    _lose_header(node)


def _foreign(node):
    """A pool that zseal has never seen, unlocked, and the file with its key."""
    _blank(node)
    adopting.make_root(node, "tank", "raw")
    adopting.write_key(node, "/run/k", adopting.KEY)


def _without_passphrase(node):
    """Stretching is made cheap: what goes wrong does so in a tenth of a second as in a whole one."""
    config = node.path("/etc/zseal/zseal.conf")
    text = config.read_text() if config.exists() else ""
    if "[scrypt]" not in text:
        config.write_text(text + "[scrypt]\ntime = 1\nmemory = 16\n")
    node.run(["zseal", "slot", "remove", "tank", "passphrase"])


def _blank(node):
    """There is no pool, and nobody remembers one."""
    node.run(["zpool", "destroy", "tank"])
    disk = node.world.disk_file(1)
    size = disk.stat().st_size
    os.truncate(disk, 0)
    os.truncate(disk, size)
    node.path("/etc/zseal/pins").unlink(missing_ok=True)


def _with_second(node):
    """A slot that can be removed; it may be there already."""
    node.run(["zseal", "slot", "add", "tank", "tpm2", "--name", "second"])


def _without_second(node):
    node.run(["zseal", "slot", "remove", "tank", "second"])


def _with_vault(node):
    """A key server that is asked first, for no longer than a test can wait; and its slot."""
    if not node.vault:
        node.vault = vaulting.Vault(node)
        vaulting.set_up(node.vault)
        vaulting.configure(node.vault, "timeout = 3", "request-timeout = 1")
        vaulting.add_slot(node.vault)
    _lock(node)


def _foreign_in_vault(node):
    """A pool that zseal has never seen, and its key in KV, where the node's own login may read it."""
    _foreign(node)
    if not node.vault:
        node.vault = vaulting.Vault(node)
        vaulting.set_up_login(node.vault, 'path "secret/data/tank" { capabilities = ["read"] }')
        vaulting.configure(node.vault, "timeout = 3", "request-timeout = 1", "kv-mount = secret")
        node.vault.must("POST", "secret/data/tank", {"data": {"key": adopting.HEX}})


def _without_vault_slot(node):
    _with_vault(node)
    vaulting.admin(node.vault, "slot", "remove", "tank", "vault")


def _with_vault_slot(node):
    _with_vault(node)
    vaulting.admin(node.vault, "slot", "add", "tank", "vault")


def _with_secret_id(node):
    """Plain, and good; what the last run made is gone. The node may make itself another one."""
    _with_vault(node)
    vaulting.allow_renewal(node.vault)
    node.path("/etc/credstore.encrypted/zseal-vault-secret-id").unlink(missing_ok=True)
    vaulting.new_secret_id(node.vault)


class Verb(NamedTuple):
    """words: as typed. before: from whatever state. key: the recovery key is given by a descriptor. makes: there is no
    pool before; adopts: there is one that is not zseal's; both show a recovery key. tpm: it asks the TPM, as no other
    verb here does; soon: for no longer than slot-timeout allows. writes: into the pool. gives: to this option, what a
    person would type. vault: it asks Vault, as an administrator if it gives a token."""
    words: str
    before: Callable
    key: bool = False
    makes: bool = False
    adopts: bool = False
    tpm: bool = False
    soon: bool = False
    writes: bool = False
    gives: str = ""
    vault: bool = False

    def __str__(self):
        words = re.sub(" tank| --(name|key-file|vault-kv) .*", "", self.words)
        return words.replace(" --", "-").replace(" ", "-") + "-by-key" * self.key + (
            "-by-vault" * (self.vault and "vault" not in words))

    @property
    def shows(self):
        return self.makes or self.adopts


VERBS = [
    Verb("unlock tank", _lock, tpm=True, soon=True),
    Verb("unlock tank", _lock, key=True),
    Verb("lock tank", _unlock),
    Verb("status tank", _lock, tpm=True),
    Verb("slot list tank", _lock),
    Verb("slot test tank", _lock, tpm=True, soon=True),
    Verb("slot add tank tpm2 --name second", _without_second, tpm=True, writes=True),
    Verb("slot reseal tank tpm2-a", _lock, tpm=True, writes=True),
    Verb("slot remove tank second", _with_second, writes=True),
    Verb("header backup tank", _lock),
    Verb("header verify tank", _lock, tpm=True),
    Verb("header restore tank", _lose_header, tpm=True, writes=True),
    Verb("create", _blank, makes=True, tpm=True, writes=True),
    Verb("slot add tank passphrase", _without_passphrase, tpm=True, writes=True, gives="--new-passphrase-fd"),
    Verb("unlock --mount tank", _lock, tpm=True, soon=True),
    Verb("lock --unmount tank", _unlock),
    Verb("adopt --key-file /run/k tank", _foreign, adopts=True, tpm=True, writes=True),
    Verb("repair tank", _lose_slots, tpm=True, writes=True),
    Verb("recover tank --yes", _lose_everything, key=True, tpm=True, writes=True),
    Verb("unlock tank", _with_vault, vault=True),
    Verb("adopt --vault-kv tank tank", _foreign_in_vault, adopts=True, writes=True, vault=True),
    Verb("slot add tank vault", _without_vault_slot, writes=True, gives="--vault-token-fd", vault=True),
    Verb("slot reseal tank vault", _with_vault_slot, writes=True, gives="--vault-token-fd", vault=True),
    Verb("slot remove tank vault", _with_vault_slot, writes=True, gives="--vault-token-fd", vault=True),
    Verb("vault login-test", _with_vault, vault=True),
    Verb("vault renew --now", _with_secret_id, vault=True),
    Verb("vault setup tank", _with_vault, gives="--vault-token-fd", vault=True),
]

PASSPHRASE = "a horse that nobody drew"


def make_tank(node):
    """The pool that the verbs are about, and what its owner has of it."""
    keep_secret(node.world, PASSPHRASE)
    node.vault = None
    node.tank = create_pool(node)
    return node.tank


@contextlib.contextmanager
def prepared(node, verb):
    """Its command line, and what popen() needs besides. At the end of a create that made a pool, its key is known."""
    verb.before(node)
    argv = ["zseal", *verb.words.split()]
    if verb.shows:
        with _pipe_for_key(node) as fd:
            argv += ["--recovery-to-fd", str(fd)]
            yield argv + (["-m", "none", "tank", node.world.disk(1)] if verb.makes else []), (fd,)
    elif verb.key or verb.gives:
        option, text = ("--recovery-fd", node.tank.recovery_key) if verb.key else (
            verb.gives, node.vault.token if verb.vault else PASSPHRASE)
        with pipe_with((text + "\n") * (1 if verb.vault else 2)) as fd:
            yield [*argv, option, str(fd)], (fd,)
    else:
        yield argv, ()


@contextlib.contextmanager
def _pipe_for_key(node):
    reader, writer = os.pipe()
    node.shown = ""
    try:
        yield writer
    finally:
        os.close(writer)
        text = os.read(reader, 4096).decode()
        os.close(reader)
        if re.fullmatch(KEY, text):
            node.shown = text.strip()
            keep_recovery_key_secret(node.world, node.shown)


def run_verb(node, verb, begin=None, **kw):
    """Once, to its end; nothing secret in what it says. begin() is called when the machine is ready for it."""
    with prepared(node, verb) as (argv, fds):
        if begin:
            begin()
        done = node.run(argv, pass_fds=fds, **kw)
    assert_nothing_secret(node.world, "the output", done.stdout + done.stderr)
    return done


def has_pool(node):
    return "tank" in node.run(["zpool", "list", "-H", "-o", "name"]).stdout.split()


def assert_kept(node, verb):
    """After a run that went wrong, or not. What did not write cannot have touched the recovery slot."""
    if verb.makes and not has_pool(node):
        return
    _lock(node)
    has_header = adopting.get(node, "tank", "zseal:keyring") != "-"
    if verb.adopts and not has_header:
        run(node, "zfs", "load-key", "-L", "file:///run/k", "tank")
        return
    key = node.shown if verb.shows else node.tank.recovery_key
    assert key, "a pool is there, and nobody has its recovery key"
    if not has_header:
        assert_done(zseal(node, "header", "restore", "tank"))
    elif adopting.get(node, "tank", "zseal:slot.tpm2-a") == "-":
        assert_done(zseal(node, "repair", "tank", "--recovery-fd", "0", input=key + "\n"))
    assert_opens(node, "tank")
    if verb.writes:
        _lock(node)
        assert_opens_with_key(node, "tank", key)


def kept_files(node):
    """Pins and header copies: whole, each of them. Gives those that were not finished."""
    unfinished = []
    for folder in ("etc/zseal", "var/lib/zseal"):
        for path in (node.folder / folder).rglob("*"):
            if not path.is_file() or path.name == ".pins.lock" or path.name.startswith(".lock-"):
                continue
            text = path.read_text()
            assert_nothing_secret(node.world, str(path), text)
            if path.name.startswith("."):
                unfinished.append(path)
            elif path.name == "pins":
                assert all(json.loads(line)["v"] == 1 for line in text.splitlines())
            elif path.parent.parent.name == "header":
                assert {"keyring", "slots", "records"} <= json.loads(text).keys(), path
    return unfinished
