# SPDX-License-Identifier: MIT
"""What the documents say is done here, as it stands: the shell blocks of docs/without-zseal.md open pools, README's
first session is what zseal prints, and each claim of docs/threat-model.md has its test.

Guarantees: blocks are run in the document's order, by a shell that finds only the programs that the document names.
"""
import os
import re
import subprocess

import pytest

import canaries
import headers
from conftest import (ROOT, assert_nothing_secret, assert_opens, create_pool, is_locked, lock, one_zfs, run,
                      zseal)
from steps import needs_strace

DOCUMENT = ROOT / "docs/without-zseal.md"
FOLDER = "/run/lab/tmp"

# The document's first sentence. Of coreutils, those that it uses.
TOOLS = """bash cat cut grep head jq mktemp openssl base64 rm sed sort tail tr xxd zfs zpool tpm2_flushcontext tpm2_load
           tpm2_policypcr tpm2_readpublic tpm2_sessionconfig tpm2_startauthsession tpm2_unseal""".split()

BEGIN = ["1", "2"]
FROM_POOL, FROM_COPY, FROM_HISTORY = ["3.1", "3.4"], ["3.2", "3.4"], ["3.3", "3.4"]
TPM, HANDLE, RECOVERY = ["4.1", "4.1a", "4.1c"], ["4.1", "4.1b", "4.1c"], ["4.2"]
OPEN, MAC, END = ["5"], ["5.1"], ["6", "7"]


def blocks(*sections):
    return subprocess.run([ROOT / "tools/document-blocks", DOCUMENT, *sections], check=True, capture_output=True,
                          text=True).stdout


def prepare(node, script):
    """Puts a script into the machine, beside the programs that it may use."""
    run(node, "bash", "-c", f'mkdir -p {FOLDER}/bin && for tool in {" ".join(TOOLS)}; do'
                            f' ln -sf "$(command -v "$tool")" {FOLDER}/bin/; done')
    run(node, "tee", f"{FOLDER}/steps", input=script)
    return ["env", f"PATH={FOLDER}/bin", "bash", "--norc", f"{FOLDER}/steps"]


def follow(node, *sections, typed="", root="tank", before=()):
    """Does what these sections say in a fresh shell; gives what it showed."""
    script = blocks(*sections).replace("\nroot=tank\n", f"\nroot={root}\n")
    argv = prepare(node, script)
    done = node.run([*before, *argv], input=typed)
    said = done.stdout + done.stderr
    assert_nothing_secret(node.world, "what the document's steps show", said)
    return said


def assert_opened(node, said, tank, root="tank"):
    assert not is_locked(node, root), said
    assert tank.fingerprint in said.splitlines(), said
    assert not re.search("WRONG|MISTYPED|not found|rror:", said), said


@pytest.fixture
def tank(node):
    """A pool with a slot of each type, exported."""
    made = create_pool(node, args=["--handle", "0x81010001"])
    run(node, "zpool", "export", "tank")
    return made


def lose_header(node):
    run(node, "zpool", "import", "-N", "tank")
    names = run(node, "zfs", "get", "-H", "-s", "local", "-o", "property", "all", "tank").split()
    for name in filter(lambda name: name.startswith("zseal:"), names):
        run(node, "zfs", "inherit", name, "tank")
    run(node, "zpool", "export", "tank")


# ---- without-zseal.md ----

@pytest.mark.parametrize("slot", [TPM, HANDLE, RECOVERY], ids=["tpm2", "handle", "recovery"])
def test_pool_opens_without_zseal(node, tank, slot):
    said = follow(node, *BEGIN, *FROM_POOL, *slot, *OPEN, *MAC, *END, typed=tank.recovery_key + "\n")
    assert_opened(node, said, tank)
    assert "the MAC is right" in said
    assert ("the right TPM" in said) == (slot != RECOVERY)
    assert not run(node, "sh", "-c", "ls -d /run/without-zseal.* 2>&1 || true").startswith("/run")


@pytest.mark.parametrize("header", [FROM_COPY, FROM_HISTORY], ids=["copy", "history"])
def test_pool_whose_header_is_lost_opens_without_zseal(node, tank, header):
    lose_header(node)
    mac = MAC if header is FROM_COPY else []
    said = follow(node, *BEGIN, *header, *RECOVERY, *OPEN, *mac, *END, typed=tank.recovery_key + "\n")
    assert_opened(node, said, tank)
    assert ("the MAC is right" in said) == bool(mac)
