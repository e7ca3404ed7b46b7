# SPDX-License-Identifier: MIT
"""What does not depend on a machine's speed: TPM commands and memory. make bench has the times."""
import os

import pytest

import headers
from conftest import ROOT, create_pool, new_world, one_zfs, run

ROOTS = 1000

WITNESS = {"LD_PRELOAD": ROOT / "build/bench/libwitness.so", "ZSEAL_WITNESS": "/run/lab/tmp/witness"}
PEAK_MAX_KIB = 16 << 10


@pytest.fixture
def node(zfs):
    """With disks that have room for so many."""
    with new_world(zfs, disk_size="1G") as world:
        yield world.node()


@one_zfs
def test_many_roots_cost_the_tpm_as_much_as_one_and_little_memory(node):
    if os.environ.get("ZSEAL_SANITIZED"):
        pytest.skip("this machine can't: a sanitizer has its own memory")
    tank = create_pool(node)
    roots = [f"tank/r{number}" for number in range(1, ROOTS)]
    headers.add_roots(node, headers.read(node), tank.recovery_key, roots)
    run(node, "zseal", "lock", "--all")
    node.tpm.log_clear()
    run(node, "zseal", "unlock", "tank", env=WITNESS)
    assert [name for name, _ in node.tpm.log()] == [
        "TPM2_ReadPublic", "TPM2_Load", "TPM2_StartAuthSession", "TPM2_PolicyPCR", "TPM2_PolicyGetDigest",
        "TPM2_Unseal", "TPM2_FlushContext"]
    *_, peak_kib = node.path(WITNESS["ZSEAL_WITNESS"]).read_text().split()
    assert 0 < int(peak_kib) <= PEAK_MAX_KIB
    assert "unavailable" not in run(node, "zfs", "get", "-rHo", "value", "keystatus", "tank")
