# SPDX-License-Identifier: MIT
"""The Vault part of make bench, in small: it runs, its page can be made, and no node of it fails."""
import json
import os
import subprocess
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "bench"))

# pylint: disable=wrong-import-position
import report
import vault_report

SMALL = ["--rounds", "1", "--sizes", "1,2", "--nodes", "4", "--kills", "1", "--storm", "9"]


def test_bench_runs(tmp_path):
    if os.environ.get("ZSEAL_SANITIZED"):
        pytest.skip("this machine can't: what measures is not built with sanitizers")
    output = tmp_path / "results.json"
    subprocess.run(["/usr/bin/python3", ROOT / "bench/run-vault", *SMALL, "--output", output], check=True, timeout=300)
    results = json.loads(output.read_text())
    held = {bound.wanted: bound.holds for bound in vault_report.bounds(results)}
    assert held["3 on 1 connection"] and held["0"]
    assert [vault_report.failures(rounds) for rounds in results["leader_dies"].values()] == [0, 0]
    assert results["counts"]["2"]["curl"] == [3, 3]
    assert "{{" not in report.render(json.loads(report.DATA.read_text()), results)[report.DOCUMENT]
