# SPDX-License-Identifier: MIT
"""Each response of the TPM in turn is corrupted, cut off, lost, late, twice, of a wrong size, or the last one. zseal ends
in time, with the class of error that fits, or takes the next slot; nothing is left in the TPM, and the pool opens.

A sample of (response, fault) is tried; ZSEAL_ALL_STEPS=1 takes all.
"""
import os
import sys

import pytest
from conftest import (ERRORS, EXIT_STATUS, ROOT, World, assert_done, assert_opens, is_locked, one_zfs, run, zfs_versions,
                      zseal)
from figures import count
from steps import SANITIZED
from verbs import VERBS, assert_kept, kept_files, make_tank, run_verb

sys.path.insert(0, str(ROOT / "lab"))
from tpm.faults import KINDS, SILENT  # pylint: disable=wrong-import-position

pytestmark = one_zfs

# What each may end with: a changed byte can be anybody's key, a damaged object, a policy that does not hold.
UNAVAILABLE = {"tpm-missing", "tpm-failed", "timeout", "tpm-busy"}
CHANGED = UNAVAILABLE | {"tpm-srk", "tpm-not-mine", "tpm-cleared", "tpm-policy", "tpm-bank", "tpm-object", "tpm-auth",
                         "tpm-lockout", "unwrap", "tpm-handle-taken", "no-slot-opens"}
# Seconds until it counts as one that does not end; for a silent TPM less than a slot gets without slot-timeout = 1.
WITHOUT_END, WITHOUT_DEADLINE = 120, 18


def allowed(kind):
    return CHANGED if kind.startswith("corrupt") else {"timeout"} if kind in SILENT else UNAVAILABLE


@pytest.fixture
def node():
    with World(zfs=zfs_versions()[0]) as world:
        world.secrets = set()
        node = world.node()
        node.start()
        node.path("/etc/zseal/zseal.conf").write_text("[unlock]\nslot-timeout = 1\n")
        yield node


def responses_of(node, verb):
    """How many it gets in good times; what makes the machine ready for it asks the TPM, too."""
    done = run_verb(node, verb, begin=node.tpm.log_clear)
    assert done.returncode == 0, done
    return len(node.tpm.log())


def faults_of(verb, responses):
    kinds = [kind for kind in KINDS if verb.soon or kind not in SILENT]
    faults = [(kind, number) for number in range(1, responses + 1) for kind in kinds]
    if os.environ.get("ZSEAL_ALL_STEPS"):
        return faults
    # a step that shares no factor with the kinds, so that these and the numbers are met evenly
    wanted = (28 if verb.soon else 12) // (3 if SANITIZED else 1)
    step = max(1, len(faults) // wanted)
    return faults[::step + (step % len(kinds) == 0)]


def assert_said_so(done, kind, number):
    assert done.returncode in EXIT_STATUS.values() and done.returncode != EXIT_STATUS["bug"], (kind, number, done)
    if done.returncode:
        said = {name for name, error in ERRORS.items() if name != "ok" and error.sentence in done.stdout + done.stderr}
        assert said & allowed(kind), (kind, number, done)
        assert "  next: " in done.stderr


def assert_nothing_left(node):
    for handles in ("handles-transient", "handles-loaded-session", "handles-saved-session"):
        assert not run(node, "tpm2_getcap", handles).strip()


def try_fault(node, verb, kind, number):
    """Gives whether it came to that response."""
    def begin():
        node.tpm.log_clear()
        node.tpm.fault(kind, number)
    done = run_verb(node, verb, begin=begin, timeout=WITHOUT_DEADLINE if kind in SILENT else WITHOUT_END)
    came = len(node.tpm.log()) >= number
    node.tpm.no_fault()
    assert_said_so(done, kind, number)
    assert not kept_files(node), (kind, number)
    assert_kept(node, verb)
    return came


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.tpm], ids=str)
def test_a_response_goes_wrong(node, verb):
    if not verb.makes:
        make_tank(node)
    responses = responses_of(node, verb)
    faults = faults_of(verb, responses)
    came = sum(try_fault(node, verb, kind, number) for kind, number in faults)
    assert came > len(faults) * 2 // 3, "most of them must come to pass"
    again = run_verb(node, verb)
    assert again.returncode == 0, again
    assert_nothing_left(node)
    count("faults on the way from the TPM", tried=came, survived=came)


@pytest.mark.parametrize("kind", ["drop", "close instead", "huge", "another tag"])
def test_the_next_slot_opens(node, kind):
    make_tank(node)
    assert_done(zseal(node, "slot", "add", "tank", "tpm2", "--name", "second"))
    for number in (1, 3):
        run(node, "zfs", "unload-key", "tank")
        node.tpm.fault(kind, number)
        result = assert_opens(node, "tank")
        assert "(slot second, opened by fallback)" in result.stdout and "slot tpm2-a: " in result.stderr, (number, result)
        node.tpm.no_fault()
    count("faults on the way from the TPM", tried=2, survived=2)
    assert not is_locked(node, "tank")
