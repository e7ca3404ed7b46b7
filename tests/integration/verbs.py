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

from conftest import (assert_done, assert_nothing_secret, assert_opens, assert_opens_with_key, create_pool,
                      keep_recovery_key_secret, pipe_with, run, zseal)

KEY = "([cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}\n"


def _lock(node):
    node.run(["zfs", "unload-key", "tank"])


def _unlock(node):
    assert_done(zseal(node, "unlock", "tank"))


def _lose_header(node):
    run(node, "zfs", "inherit", "zseal:keyring", "tank")


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


class Verb(NamedTuple):
    """words: as typed. before: from whatever state. key: the recovery key is given by a descriptor. makes: there is no
    pool before. tpm: it asks the TPM; soon: for no longer than slot-timeout allows.
    writes: into the pool."""
    words: str
    before: Callable
    key: bool = False
    makes: bool = False
    tpm: bool = False
    soon: bool = False
    writes: bool = False

    def __str__(self):
        return self.words.split(" tank")[0].replace(" ", "-") + ("-by-key" if self.key else "")


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
]


def make_tank(node):
    """The pool that the verbs are about, and what its owner has of it."""
    node.tank = create_pool(node)
    return node.tank


@contextlib.contextmanager
def prepared(node, verb):
    """Its command line, and what popen() needs besides. At the end of a create that made a pool, its key is known."""
    verb.before(node)
    if verb.makes:
        with _pipe_for_key(node) as fd:
            yield ["zseal", "create", "--recovery-to-fd", str(fd), "-m", "none", "tank", node.world.disk(1)], (fd,)
    elif verb.key:
        with pipe_with((node.tank.recovery_key + "\n") * 2) as fd:
            yield ["zseal", *verb.words.split(), "--recovery-fd", str(fd)], (fd,)
    else:
        yield ["zseal", *verb.words.split()], ()


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
    key = node.shown if verb.makes else node.tank.recovery_key
    assert key, "a pool is there, and nobody has its recovery key"
    _lock(node)
    if node.run(["zfs", "get", "-H", "-o", "value", "zseal:keyring", "tank"]).stdout.strip() == "-":
        assert_done(zseal(node, "header", "restore", "tank"))
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
