# SPDX-License-Identifier: MIT
"""docs/performance.md: says what bench/results.json has, and what does not depend on the machine's speed holds here."""
import json
import os
import subprocess
import sys
import xml.etree.ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

# pylint: disable=wrong-import-position
import report

RESULTS = json.loads(report.DATA.read_text())
RENDERED = report.render(RESULTS)


@pytest.mark.parametrize("path", RENDERED, ids=lambda path: path.name)
def test_document_and_plots_are_what_the_data_say(path):
    assert path.read_text() == RENDERED[path], "written by hand? bench/report.py makes it"


@pytest.mark.parametrize("path", [path for path in RENDERED if path.suffix == ".svg"], ids=lambda path: path.name)
def test_plots_are_well_formed_and_in_the_document(path):
    xml.etree.ElementTree.fromstring(path.read_text())
    assert f"performance/{path.name}" in report.DOCUMENT.read_text()


def test_each_bound_has_its_line():
    wanted = [bound.wanted for bound in report.bounds(RESULTS)]
    assert wanted == ["≤ 1.25", "≤ 1.2", "≤ 1.2", "≤ 0.6", "≤ 0.6", "≤ 0.2", "≤ 500 KiB", "≤ 16 MiB"]


def test_ratios_are_of_the_same_turn():
    times = {"zseal": [30, 60], "floor": [10, 20], report.ASIDE: [10, 20]}
    assert report.ratio(times, "zseal", "floor") == (3, 3, 3)
    assert report.ratio(times, report.own(times), "floor") == (2, 2, 2)


def test_the_stripped_program_is_small(tmp_path):
    if os.environ.get("ZSEAL_SANITIZED"):
        pytest.skip("this machine can't: a sanitized build is of another size")
    stripped = tmp_path / "zseal"
    program = os.environ.get("ZSEAL") or ROOT / "build/src/zseal"
    subprocess.run(["strip", "-o", stripped, program], check=True)
    assert stripped.stat().st_size <= 500 << 10
