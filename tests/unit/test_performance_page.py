# SPDX-License-Identifier: MIT
"""docs/performance.md: says what the results in bench/ have, and what does not depend on the machine's speed holds here."""
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
import vault_report

RESULTS, VAULT = json.loads(report.DATA.read_text()), vault_report.read()
RENDERED = report.render(RESULTS, VAULT)


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


def test_each_bound_on_vault_has_its_line():
    wanted = [bound.wanted for bound in vault_report.bounds(VAULT)]
    assert wanted == ["3 on 1 connection", "≤ 500 ms", "≤ 100 ms", "≤ 1 s", "≤ 1 s", "0"]


def test_vault_is_asked_as_often_for_many_roots_and_nobody_failed():
    """Where a machine's speed has no say."""
    held = {bound.wanted: bound.holds for bound in vault_report.bounds(VAULT)}
    assert held["3 on 1 connection"] and held["0"]


def bounds_with(**changes):
    return {bound.wanted: bound for bound in vault_report.bounds({**VAULT, **changes})}


def test_a_bound_on_vault_that_is_missed_is_told():
    one = {"ms": [1000, 3001], "failed": [], "killed_ms": 1100, "led_ms": 2000, "zseal_ms": 2500}
    late = bounds_with(leader_dies={"all three": [one], "survivors": [one]}, counts={"1": {"zseal": [4, 1]}},
                       all_away_ms={"refused": [[100, 1250]]}, first_away_ms={"leader": [[100, 601]]})
    assert not any(late[wanted].holds for wanted in late if wanted != "0")
    assert late["≤ 1 s"].found == "1.00 s" and late["≤ 100 ms"].found == "150 ms (150 to 150)"
    failed = {"ms": [1000], "failed": ["vault-down"], "led_ms": 900}
    assert not bounds_with(storm={"well": failed, "leader killed": failed})["0"].holds


def test_who_had_its_key_before_the_next_leader_does_not_count():
    assert vault_report.after_election([{"ms": [1000, 2250, 2100], "led_ms": 2000}]) == [100, 250]


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
