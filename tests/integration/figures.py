# SPDX-License-Identifier: MIT
"""What the tests tried, in numbers, for docs/reliability.md: see tests/figures.py, which prints them.

Guarantees: one file for each process of the test run, so that several may count at once; without ZSEAL_FIGURES nothing
is written.
"""
import json
import os
from pathlib import Path


def count(what, **numbers):
    """Adds to what this kind of test has counted so far: count("kills", tried=3, survived=3)."""
    folder = os.environ.get("ZSEAL_FIGURES")
    if not folder:
        return
    path = Path(folder) / f"{os.getpid()}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    figures = json.loads(path.read_text()) if path.exists() else {}
    own = figures.setdefault(what, {})
    for name, number in numbers.items():
        own[name] = own.get(name, 0) + number
    path.write_text(json.dumps(figures))
