#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Adds up what the tests counted, for docs/reliability.md: faults tried and survived, kills, searches, fuzzing.

tests/integration/figures.py and fuzz/run write the files. A kind is a line; what it counts are its columns.

usage: figures.py [--json] [FOLDER]    FOLDER is build/test-logs/figures unless it is named
"""
import json
import sys
from pathlib import Path

DEFAULT = Path(__file__).resolve().parents[1] / "build/test-logs/figures"


def add_up(folder):
    """{kind: {what: number}}"""
    total = {}
    for path in sorted(Path(folder).glob("*.json")):
        for kind, numbers in json.loads(path.read_text()).items():
            own = total.setdefault(kind, {})
            for what, number in numbers.items():
                own[what] = own.get(what, 0) + number
    return total


def as_table(total):
    lines = ["| what | figures |", "|---|---|"]
    for kind, numbers in sorted(total.items()):
        lines.append(f"| {kind} | {', '.join(f'{number:,} {what}' for what, number in numbers.items())} |")
    return "\n".join(lines)


def main(arguments):
    as_json = arguments[:1] == ["--json"]
    folder = Path((arguments[as_json:] or [DEFAULT])[0])
    total = add_up(folder)
    if not total:
        print(f"no test left figures in {folder}: run tests/run first", file=sys.stderr)
        return 1
    print(json.dumps(total, indent=2, sort_keys=True) if as_json else as_table(total))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
