# SPDX-License-Identifier: MIT
"""What the tests on the lab share: worlds, pools, and how zseal is called and judged.

Guarantees: nothing that a test knows to be secret was in anything that zseal printed or sent to the journal: every call
looks for it. Tests run on each version of ZFS, but for those marked one_zfs, to which it cannot matter.
Refuses: to wait without a bound.
"""
import codecs
import contextlib
import functools
import json
import os
import re
import select
import sys
import termios
import time
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab"), str(ROOT / "tests/second")]

# pylint: disable=wrong-import-position
import terminal
from world import World, zfs_versions

one_zfs = pytest.mark.one_zfs

TYPED_TIMEOUT_S = 60

# ---- what went wrong: the table in base/error.h, and the exit statuses that users are promised ----

EXIT_STATUS = {"ok": 0, "partial": 1, "usage": 2, "not_mine": 3, "unavailable": 4, "refused": 5, "corrupt": 6,
               "state": 7, "interrupted": 8, "bug": 70}


class Error(NamedTuple):
    """A line of the table."""
    status: int
    sentence: str
    advice: str


def _read_errors():
    table = (ROOT / "src/base/error.h").read_text().replace("\\\n", " ")
    text = r'((?:"[^"]*"\s*)+)'
    return {name: Error(EXIT_STATUS[kind.lower()], sentence.strip().strip('"'), advice.strip().strip('"'))
            for name, kind, sentence, advice in re.findall(rf'X\(\w+, "([a-z-]+)", (\w+), {text},\s*{text}\)', table)}


ERRORS = _read_errors()


class Result(NamedTuple):
    """What a program said."""
    status: int
    stdout: str
    stderr: str

    @property
    def json(self):
        return json.loads(self.stdout)


def assert_done(result):
    assert result.status == 0, result
    return result


def assert_said(text, name, *words):
    """The sentence and the advice of an error, and these words: the dataset, the slot, the code. A terminal breaks lines
    where it must."""
    flat = " ".join(text.split())
    for word in (ERRORS[name].sentence, *words):
        assert word in text or word in flat, f"nothing of {word!r} in:\n{text}"
    # where zseal knows which dataset, it names it
    advice = re.escape(ERRORS[name].advice).replace("DATASET", r"[^ ;,\n]+")
    assert re.search(advice, flat), f"nothing of {ERRORS[name].advice!r} in:\n{text}"


def assert_refused(result, name, *words, status=None):
    """Refused by this error, with its exit status unless it was one of several; says so, and names what it is about."""
    assert result.status == (ERRORS[name].status if status is None else status), result
    assert_said(result.stderr, name, *words)


def assert_refused_json(result, name, *words):
    """The same for a program that reads: one object, on standard output."""
    assert result.status == ERRORS[name].status, result
    error = result.json["error"]
    assert error["name"] == name and error["what"] == ERRORS[name].sentence and error["advice"] == ERRORS[name].advice
    for word in words:
        assert word in " ".join(error["where"])


# ---- worlds ----

def pytest_configure(config):
    config.addinivalue_line("markers", "one_zfs: what ZFS does cannot matter to this one")


_versions = functools.cache(zfs_versions)


def pytest_generate_tests(metafunc):
    if "zfs" in metafunc.fixturenames:
        versions = _versions()
        # what a sanitizer finds does not depend on ZFS, and it takes its time
        if metafunc.definition.get_closest_marker("one_zfs") or os.environ.get("ZSEAL_SANITIZED"):
            versions = versions[:1]
        metafunc.parametrize("zfs", versions)


@contextlib.contextmanager
def new_world(zfs, **kw):
    """A world whose journals are searched for secrets at the end. Keywords as World()."""
    with World(zfs=zfs, **kw) as made:
        made.secrets = set()
        yield made
        for folder in sorted((made.path / "nodes").iterdir()):
            assert_nothing_secret(made, folder.name + "'s journal",
                                  "".join(map(json.dumps, made.node(folder.name).journal())))


@pytest.fixture
def world(zfs):
    """Four disks of 256 MiB and as many machines as are asked for."""
    with new_world(zfs) as made:
        yield made


@pytest.fixture
def node(world):
    """The machine that most tests are about."""
    return world.node("a")


# ---- secrets ----

def keep_secret(world, secret):
    """From now on these bytes or this text must not turn up anywhere, in no spelling that a program would choose."""
    raw = secret.encode() if isinstance(secret, str) else secret
    world.secrets |= {raw.hex(), raw.decode("latin-1")}


def keep_recovery_key_secret(world, text):
    """As a whole and each of its groups: six letters of sixteen do not meet by chance."""
    for part in (text, text.replace("-", ""), *text.split("-")):
        keep_secret(world, part)


def assert_nothing_secret(world, where, text):
    for secret in world.secrets:
        assert secret not in text, f"a secret in {where}"


# ---- calling zseal ----

def _result(node, done, secret_output=False):
    if not secret_output:
        assert_nothing_secret(node.world, "the output", done.stdout + done.stderr)
    return Result(done.returncode, done.stdout, done.stderr)


def zseal(node, *argv, **kw):
    """Runs zseal to its end, without a terminal. Keywords as Node.run()."""
    return _result(node, node.run(["zseal", *argv], **kw))


def run(node, *argv, **kw):
    """Runs something that must succeed, and gives what it printed."""
    return node.run(list(argv), check=True, **kw).stdout


@contextlib.contextmanager
def pipe_with(text):
    """A descriptor from which a program can read this."""
    reader, writer = os.pipe()
    try:
        os.write(writer, text.encode())
        os.close(writer)
        yield reader
    finally:
        os.close(reader)


def zseal_with_key(node, key, *argv):
    """Runs zseal with a recovery key as --recovery-fd; argv is the verb and what follows."""
    with pipe_with(key + "\n") as fd:
        return zseal(node, *argv, "--recovery-fd", str(fd), pass_fds=(fd,))


def unlock_with_key(node, key, *argv):
    """zseal unlock with a recovery key."""
    return zseal_with_key(node, key, "unlock", *argv)


# ---- pools ----

class Pool(NamedTuple):
    """A pool that zseal made, and what its owner has on paper."""
    name: str
    recovery_key: str
    fingerprint: str
    keyring: str


def try_create(node, *argv):
    """zseal create with these arguments and the recovery key to a pipe: what it said, and the key or ''."""
    reader, writer = os.pipe()
    try:
        done = node.run(["zseal", "create", "--recovery-to-fd", str(writer), *argv], pass_fds=(writer,))
        os.close(writer)
        writer = None
        key = os.read(reader, 4096).decode().strip()
    finally:
        os.close(reader)
        if writer is not None:
            os.close(writer)
    if key:
        keep_recovery_key_secret(node.world, key)
    return _result(node, done), key


def create_pool(node, name="tank", vdev=1, args=()):
    """Makes a pool on a disk. It is not mounted: the lab cannot."""
    result, key = try_create(node, "-m", "none", "--json", *args, name, node.world.disk(vdev))
    assert_done(result)
    assert re.fullmatch("([cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}", key)
    made = result.json
    assert made["pool"] == name
    return Pool(name, key, made["fingerprint"], made["keyring"])


def is_locked(node, dataset):
    """What ZFS itself says."""
    status = run(node, "zfs", "get", "-H", "-o", "value", "keystatus", dataset).strip()
    assert status in ("available", "unavailable")
    return status == "unavailable"


def lock(node, dataset):
    """Locks by zseal; ZFS agrees."""
    assert_done(zseal(node, "lock", dataset))
    assert is_locked(node, dataset)


def assert_opens(node, dataset, *argv):
    """zseal unlock succeeds, and ZFS agrees."""
    result = assert_done(zseal(node, "unlock", dataset, *argv))
    assert not is_locked(node, dataset)
    return result


def assert_opens_with_key(node, dataset, key):
    """The same with a recovery key."""
    result = assert_done(unlock_with_key(node, key, dataset))
    assert not is_locked(node, dataset)
    return result


# ---- a person at a terminal ----

COLOURS = re.compile(r"\033\[[0-9;]*m")


class Dialogue:
    """A program on a terminal of its own. Everything that it shows is in .screen, without its colours; in .raw as it
    was sent."""

    def __init__(self, node, argv, **kw):
        self._node, self.screen, self.raw, self._read_to = node, "", "", 0
        # a read may end in the middle of a character
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._master, self._slave = terminal._open(node)  # pylint: disable=protected-access
        self._process = node.popen(["setsid", "--ctty", *argv], stdin=self._slave, stdout=self._slave,
                                   stderr=self._slave, **kw)

    def _read(self, deadline):
        """More of the screen; False at the end."""
        ready, _, _ = select.select([self._master], [], [], max(0, deadline - time.monotonic()))
        assert ready, f"the program shows nothing more and waits:\n{self.screen}"
        data = os.read(self._master, 65536)
        self.raw += self._decode(data)
        self.screen = COLOURS.sub("", self.raw).replace("\r\n", "\n")
        return bool(data)

    def expect(self, pattern):
        """Waits until a regular expression matches what was not matched before; gives the match."""
        deadline = time.monotonic() + TYPED_TIMEOUT_S
        while not (found := re.search(pattern, self.screen[self._read_to:])):
            self._read(deadline)
        self._read_to += found.end()
        return found

    def echoes(self):
        """Does the terminal show what is typed now?"""
        return bool(termios.tcgetattr(self._slave)[3] & termios.ECHO)

    def type(self, line):
        os.write(self._master, (line + "\n").encode())

    def press(self, keys):
        os.write(self._master, keys)

    def attend(self, answers):
        """Until the program's end, gives the answer to each question that is asked, as often as it is. answers is
        {pattern of a question: a line, or a function from its match and the screen to a line}."""
        os.close(self._slave)
        self._slave = None
        deadline = time.monotonic() + TYPED_TIMEOUT_S
        with contextlib.suppress(OSError):  # EIO is how a terminal says that the other side is closed
            while self._read(deadline):
                for pattern, answer in answers.items():
                    if found := re.search(pattern + r"\Z", self.screen[self._read_to:]):
                        self._read_to = len(self.screen)
                        self.type(answer(found, self.screen) if callable(answer) else answer)
        return Result(self._process.wait(TYPED_TIMEOUT_S), self.screen, "")

    def end(self):
        """Waits for the program's end; what it said is all that was on the screen."""
        return self.attend({})

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        os.close(self._master)
        if self._slave is not None:
            os.close(self._slave)


def zseal_at_terminal(node, *argv):
    """A person starts zseal: use as a context, with expect() and type()."""
    return Dialogue(node, ["zseal", *argv])
