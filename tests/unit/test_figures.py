# SPDX-License-Identifier: MIT
"""tests/figures.py: what several processes counted is added up, and nothing counted is no success."""
import json
import subprocess
import sys
from pathlib import Path

FIGURES = Path(__file__).parents[1] / "figures.py"


def figures(*arguments):
    done = subprocess.run([sys.executable, FIGURES, *arguments], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_what_was_counted_is_added_up(tmp_path):
    (tmp_path / "1.json").write_text('{"kills": {"tried": 1200, "survived": 1200}}')
    (tmp_path / "2.json").write_text('{"kills": {"tried": 3, "survived": 2}, "fuzzing pin": {"executions": 7}}')
    total = {"kills": {"tried": 1203, "survived": 1202}, "fuzzing pin": {"executions": 7}}
    status, said = figures("--json", tmp_path)
    assert status == 0 and json.loads(said) == total
    status, said = figures(tmp_path)
    assert status == 0 and "| kills | 1,203 tried, 1,202 survived |" in said


def test_nothing_counted_is_a_failure(tmp_path):
    assert figures(tmp_path) == (1, "")
