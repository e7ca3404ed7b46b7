#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Adds up what the stages of tests/run left behind in a folder, and says it in one line.

The folder holds `stages`, a line for each stage that was to run: its name and its kind; and for each stage
NAME.status (its exit status), NAME.log, and, when its kind is `tests`, NAME.xml (JUnit's format). A stage of kind
`step` is one test itself.

Guarantees: nothing that went wrong adds up to a pass. A stage that never ended, that left no readable XML, that ran no
test, or that exited with a failure which none of its tests shows, counts as one failure each. With CI=true a skip
counts too, unless it says that the machine cannot do it: there, nobody would notice it otherwise.

usage: summary.py [--stage NAME] FOLDER    one stage with the details of its failures, or the summary of all
"""
import os
import sys
import xml.etree.ElementTree as xml
from dataclasses import dataclass, field
from pathlib import Path

EXCUSE = "this machine can't:"
SKIP_ALL = "1..0 # SKIP "  # TAP of a program that skips all of its tests, which meson passes on as it is
DETAIL_LINES = 40
REPEATED = 5  # failures, in the summary of all stages


@dataclass
class Result:
    passed: int = 0
    failed: list = field(default_factory=list)   # (test, details)
    skipped: list = field(default_factory=list)  # (test, reason)

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return f"{self.passed} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"


def text_of(element):
    """What an element says, in its message or its body; pytest uses both, meson the body of a sibling."""
    said = [element.get("message"), element.text, element.findtext("system-out"), element.findtext("system-err")]
    return "\n".join(part.strip() for part in said if part and part.strip())


def read_case(case, suite, result):
    name = f"{case.get('classname') or suite.get('name')}: {case.get('name')}"
    wrong = [found for kind in ("failure", "error") for found in case.findall(kind)]
    skip = case.find("skipped")
    if wrong:
        details = "\n".join(filter(None, map(text_of, wrong))) or text_of(case) or text_of(suite)
        result.failed.append((name, details))
    elif skip is not None:
        reason = text_of(skip) or text_of(case) or "no reason given"
        result.skipped.append((name, reason.splitlines()[0].removeprefix(SKIP_ALL)))
    else:
        result.passed += 1


def read_suite(suite):
    result = Result()
    for case in suite.findall("testcase"):
        read_case(case, suite, result)
    # meson: a program that died half-way through its tests leaves only those that it had passed.
    if not result.failed and "test program exited with status code" in (suite.findtext("system-err") or ""):
        result.failed.append((suite.get("name"), text_of(suite)))
    return result


def read_xml(path):
    result = Result()
    for suite in xml.parse(path).getroot().iter("testsuite"):
        result += read_suite(suite)
    return result


def tail_of(log):
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return "\n".join(lines[-DETAIL_LINES:])


def read_stage(folder, name, kind):
    log = tail_of(folder / f"{name}.log")
    try:
        status = int((folder / f"{name}.status").read_text())
    except (OSError, ValueError):
        return Result(failed=[(name, f"did not come to an end\n{log}")])
    if kind == "step":
        return Result(failed=[(name, f"exit status {status}\n{log}")]) if status else Result(passed=1)
    try:
        result = read_xml(folder / f"{name}.xml")
    except (OSError, xml.ParseError):
        return Result(failed=[(name, f"left no results, exit status {status}\n{log}")])
    if result == Result():
        result.failed.append((name, f"ran no test, exit status {status}\n{log}"))
    elif status and not result.failed:
        result.failed.append((name, f"exit status {status}, though no test failed\n{log}"))
    return result


def read_stages(folder):
    """The stages that were to run, as {name: kind}."""
    try:
        return dict(line.split() for line in (folder / "stages").read_text().splitlines())
    except OSError:
        return {}


def print_details(failed):
    for name, details in failed:
        print(f"FAILED {name}")
        for line in details.splitlines()[:DETAIL_LINES * 2]:
            print(f"    {line}")


def unexcused(result):
    return [skip for skip in result.skipped if not skip[1].startswith(EXCUSE)]


def print_summary(folder, in_ci):
    stages = read_stages(folder)
    total = Result() if stages else Result(failed=[("no stage", "")])
    for name, kind in stages.items():
        total += read_stage(folder, name, kind)
    for name, reason in total.skipped:
        print(f"skipped {name}: {reason}")
    print_details(total.failed[:REPEATED])  # again: who reads the end of a long log sees why
    for name, _ in total.failed[REPEATED:]:
        print(f"FAILED {name}")
    if in_ci and unexcused(total):
        print(f'in CI, a skip is a failure unless its reason starts with "{EXCUSE}"')
    print(f"zseal: {total}")
    return 1 if total.failed or (in_ci and unexcused(total)) else 0


def main(arguments):
    match arguments:
        case ["--stage", name, folder]:
            result = read_stage(Path(folder), name, read_stages(Path(folder))[name])
            print_details(result.failed)
            print(f"   {result}")
            return 1 if result.failed else 0
        case [folder]:
            return print_summary(Path(folder), os.environ.get("CI") == "true")
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
