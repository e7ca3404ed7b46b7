# SPDX-License-Identifier: MIT
"""What the tests of manual pages and completions share: the build that is tested, what --help says, what is installed.

No conftest.py: tests/integration imports its own by that name.
"""
import functools
import os
import re
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
ZSEAL = Path(os.environ.get("ZSEAL", ROOT / "build/src/zseal"))
BUILD = ZSEAL.parents[1]
MADE = BUILD / "man"
TIMEOUT_S = 60


class Option(NamedTuple):
    """As --help shows it."""
    letter: str
    name: str
    argument: str
    help: str

    @property
    def spellings(self):
        return [spelling for spelling in (self.letter, self.name) if spelling]


def run(*argv, **kw):
    """Gives what it printed to standard output. It must succeed, and say nothing on standard error."""
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=TIMEOUT_S, **kw)
    assert done.returncode == 0 and not done.stderr, (argv, done)
    return done.stdout


@functools.cache
def help_of(*words):
    return run(ZSEAL, *words, "--help")


def verbs():
    """Every verb, as --help lists them."""
    found = re.findall(r"^  ([a-z]+(?: [a-z-]+)?) +[A-Z]", help_of(), re.M)
    assert len(found) > 10
    return found


def options(verb):
    shown = re.findall(r"^  (?:(-\w)(?:, |(?= ))|    )(?:(--[a-z-]+))?( [A-Z=:]+)?(?:\n {29,}|  +)(\S.*)",
                       help_of(*verb.split()), re.M)
    assert shown
    return [Option(letter, name, argument.strip(), text) for letter, name, argument, text in shown]


@pytest.fixture(scope="session", name="installed")
def _installed(tmp_path_factory):
    """The root folder of a machine on which zseal was installed."""
    folder = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", BUILD, "--no-rebuild", "--destdir", folder], check=True,
                   capture_output=True, timeout=TIMEOUT_S)
    return folder


@pytest.fixture(scope="session", name="share")
def _share(installed):
    """There, PREFIX/share."""
    return next(installed.rglob("share/man")).parent


FIXTURES = (_installed, _share)
