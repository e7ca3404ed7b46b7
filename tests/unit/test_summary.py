# SPDX-License-Identifier: MIT
"""tests/summary.py: whatever goes wrong must not add up to a pass."""
import subprocess
import sys
from pathlib import Path

import pytest

SUMMARY = Path(__file__).parents[1] / "summary.py"

PASS = '<testcase classname="c" name="a"/>'
FAIL = '<testcase classname="c" name="b"><failure message="expected 1">got 2</failure></testcase>'
ERROR = '<testcase classname="c" name="e"><error message="fixture broke"/></testcase>'
SKIP = '<testcase classname="c" name="s"><skipped message="not today"/></testcase>'
EXCUSED = '<testcase classname="c" name="s"><skipped message="this machine can\'t: mount"/></testcase>'
MESON_EXCUSED = '<testcase name="1"><skipped/><system-out>this machine can\'t: mount</system-out></testcase>'
MESON_SKIP_ALL = MESON_EXCUSED.replace("this", "1..0 # SKIP this")
MESON_CRASH = PASS + "<system-err>(test program exited with status code -9)</system-err>"


def suite(*parts):
    return f'<testsuites><testsuite name="s">{"".join(parts)}</testsuite></testsuites>'


def summarize(folder, *arguments, ci="false"):
    """Exit status and last line."""
    done = subprocess.run([sys.executable, SUMMARY, *arguments, folder], env={"CI": ci}, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()[-1], done.stdout


def stage(folder, name, kind, status=None, xml=None, log=""):
    with (folder / "stages").open("a") as stages:
        stages.write(f"{name} {kind}\n")
    (folder / f"{name}.log").write_text(log)
    if status is not None:
        (folder / f"{name}.status").write_text(f"{status}\n")
    if xml is not None:
        (folder / f"{name}.xml").write_text(xml)


@pytest.mark.parametrize("xml, status, ci, expected", [
    (suite(PASS, PASS), 0, "false", (0, "2 passed, 0 failed, 0 skipped")),
    (suite(PASS, FAIL), 1, "false", (1, "1 passed, 1 failed, 0 skipped")),
    (suite(PASS, ERROR), 1, "false", (1, "1 passed, 1 failed, 0 skipped")),
    (suite(PASS, FAIL, ERROR), 0, "false", (1, "1 passed, 2 failed, 0 skipped")),
    (suite(PASS, SKIP), 0, "false", (0, "1 passed, 0 failed, 1 skipped")),
    (suite(PASS, SKIP), 0, "true", (1, "1 passed, 0 failed, 1 skipped")),
    (suite(PASS, EXCUSED), 0, "true", (0, "1 passed, 0 failed, 1 skipped")),
    (suite(PASS, MESON_EXCUSED), 0, "true", (0, "1 passed, 0 failed, 1 skipped")),
    (suite(PASS, MESON_SKIP_ALL), 0, "true", (0, "1 passed, 0 failed, 1 skipped")),
    (suite(MESON_CRASH), 1, "false", (1, "1 passed, 1 failed, 0 skipped")),
    (suite(PASS), 3, "false", (1, "1 passed, 1 failed, 0 skipped")),        # died after its tests
    (suite(), 0, "false", (1, "0 passed, 1 failed, 0 skipped")),            # ran no test
    (suite(), 5, "false", (1, "0 passed, 1 failed, 0 skipped")),            # ran no test, counted once
    (suite(PASS)[:-9], 0, "false", (1, "0 passed, 1 failed, 0 skipped")),   # XML cut off
    (None, 0, "false", (1, "0 passed, 1 failed, 0 skipped")),               # no XML
    (suite(PASS), None, "false", (1, "0 passed, 1 failed, 0 skipped")),     # never ended
])
def test_stage_of_tests(tmp_path, xml, status, ci, expected):
    stage(tmp_path, "unit", "tests", status, xml)
    assert summarize(tmp_path, ci=ci)[:2] == (expected[0], f"zseal: {expected[1]}")


@pytest.mark.parametrize("status, expected", [(0, (0, "1 passed, 0 failed")), (2, (1, "0 passed, 1 failed")),
                                              (None, (1, "0 passed, 1 failed"))])
def test_step_is_one_test(tmp_path, status, expected):
    stage(tmp_path, "build", "step", status)
    assert summarize(tmp_path)[:2] == (expected[0], f"zseal: {expected[1]}, 0 skipped")


def test_sum_over_stages(tmp_path):
    stage(tmp_path, "build", "step", 0)
    stage(tmp_path, "unit", "tests", 1, suite(PASS, FAIL))
    stage(tmp_path, "integration", "tests", 0, suite(PASS, EXCUSED).replace("testsuites", "x"))
    assert summarize(tmp_path)[:2] == (1, "zseal: 3 passed, 1 failed, 1 skipped")


def test_no_stage_is_a_failure(tmp_path):
    assert summarize(tmp_path)[:2] == (1, "zseal: 0 passed, 1 failed, 0 skipped")


def test_details_of_one_stage(tmp_path):
    stage(tmp_path, "unit", "tests", 1, suite(PASS, FAIL))
    stage(tmp_path, "build", "step", 2, log="cc: no such file\n")
    status, _, said = summarize(tmp_path, "--stage", "unit")
    assert status == 1 and "FAILED c: b" in said and "expected 1" in said and "got 2" in said
    assert "cc: no such file" in summarize(tmp_path, "--stage", "build")[2]


def test_summary_says_why_again(tmp_path):
    """Who looks at a long log looks at its end."""
    stage(tmp_path, "unit", "tests", 99, suite(PASS), log="LeakSanitizer: 16 bytes of zseal_open\n")
    said = summarize(tmp_path)[2]
    assert "FAILED unit" in said and "16 bytes of zseal_open" in said
