# SPDX-License-Identifier: MIT
"""What the tests in virtual machines share: one machine for a file of tests, since a boot is dear, and how zseal is
called and judged there.

Guarantees: nothing that a test knows to be secret was in anything that zseal printed.
"""
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lab/virtual"), str(ROOT / "tests/second"), str(ROOT / "tests/integration")]

from machine import Machine  # pylint: disable=wrong-import-position

KEY = re.compile(r"\b(?:[cbdefghijklnrtuv]{6}-){7}[cbdefghijklnrtuv]{6}\b")


class Pool(NamedTuple):
    """A pool that zseal made or took over, and what its owner has on paper."""
    name: str
    recovery_key: str
    keyring: str


@pytest.fixture(scope="module")
def vm():
    """Off until its first program is run. What broke is in its folder, which is named when it does not answer."""
    if os.geteuid() != 0:
        pytest.skip("this machine can't: only root can make the image of a virtual machine")
    with Machine() as made:
        made.world, made.secrets = made, set()
        yield made


def keep_secret(vm, secret):
    """From now on these bytes or this text must not turn up in what a program prints."""
    raw = secret.encode() if isinstance(secret, str) else secret
    vm.secrets |= {raw.hex(), raw.decode("latin-1")}


def assert_nothing_secret(vm, where, text):
    for secret in vm.secrets:
        assert secret not in text, f"a secret in {where}"


def run(vm, *argv, **kw):
    """Runs something that must succeed, and gives what it printed."""
    return vm.run(list(argv), check=True, **kw).stdout


def _said(vm, done, status):
    said = done.stdout + done.stderr
    assert_nothing_secret(vm, "the output", said)
    assert done.returncode == status, f"exit status {done.returncode}, not {status}:\n{said}"
    return said


def zseal(vm, *argv, status=0):
    """Runs zseal, which must end so, and gives all that it said."""
    return _said(vm, vm.run(["zseal", *argv]), status)


def zseal_with_key(vm, key, *argv, status=0):
    """The same with a recovery key as --recovery-fd."""
    script = '"$@" --recovery-fd 3 3<&0 0</dev/null'
    return _said(vm, vm.run(["sh", "-c", script, "sh", "zseal", *argv], input=key + "\n"), status)


def _group(screen):
    number = int(re.findall(r"Type group (\d)", screen)[-1])
    return KEY.search(screen).group().split("-")[number - 1] + "\n"


TYPED_BACK = [("Type group", _group)] * 2


def keep_shown_key(vm, screen):
    """The recovery key that was shown there, from now on a secret."""
    key = KEY.search(screen).group()
    for part in (key, key.replace("-", ""), *key.split("-")):
        keep_secret(vm, part)
    return key


def shown_key(vm, *argv, then=()):
    """A person runs zseal at a terminal, writes the recovery key down and types two groups back, then answers what else
    is asked. Gives all that was shown, and the key."""
    done = vm.run(["zseal", *argv], pty=True, input=[*TYPED_BACK, *then])
    assert done.returncode == 0, done.stdout
    return done.stdout, keep_shown_key(vm, done.stdout)


def pool_of(vm, name, key):
    keyring = json.loads(run(vm, "zfs", "get", "-H", "-o", "value", "zseal:keyring", name))
    return Pool(name, key, keyring["rings"][0]["ring"]["uuid"])


def steps_of(document, *sections, world=None):
    """What a reader of these sections pastes; world: only the blocks that are marked for it."""
    marked = ["--for", world] if world else []
    return subprocess.run([ROOT / "tools/document-blocks", *marked, ROOT / document, *sections], check=True,
                          capture_output=True, text=True).stdout


def follow(vm, steps, *options, **kw):
    """Does them in a fresh shell; gives how it ended. options: bash's own. Keywords as Machine.run(): pty and input for
    a dialogue."""
    vm.put("/run/steps", steps)
    done = vm.run(["bash", "--norc", *options, "/run/steps"], **kw)
    assert_nothing_secret(vm, "what a document's steps show", done.stdout + done.stderr)
    return done


def is_locked(vm, dataset):
    """What ZFS itself says."""
    status = run(vm, "zfs", "get", "-H", "-o", "value", "keystatus", dataset).strip()
    assert status in ("available", "unavailable")
    return status == "unavailable"


def mounted(vm):
    """{mount point: dataset}, as the first process sees it."""
    lines = vm.get("/proc/1/mountinfo").splitlines()
    return {line.split()[4]: line.split(" - ")[1].split()[1] for line in lines if " - zfs " in line}
