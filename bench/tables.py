# SPDX-License-Identifier: MIT
"""What the parts of the report share: a median with its quartiles, a bound and whether it was reached, a table."""
import statistics
from typing import NamedTuple


class Spread(NamedTuple):
    """A median, and the quartiles around it."""
    low: float
    median: float
    high: float

    def __str__(self):
        return self.told(2)

    def told(self, digits, unit=""):
        low, median, high = (f"{value:,.{digits}f}" for value in self)
        return f"{median}{unit} ({low} to {high})"


def spread(values):
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, median, high)


def ratios(of, to):
    """Turn by turn."""
    return spread([a / b for a, b in zip(of, to)])


class Bound(NamedTuple):
    """One line of what is to be reached; holds is None for what this run has not measured."""
    what: str
    wanted: str
    found: str
    holds: bool

    @property
    def verdict(self):
        return {True: "reached", False: "**not reached**", None: ""}[self.holds]

    def told(self):
        return f"{self.what}: {self.found}, wanted {self.wanted} {self.verdict}"


def table(head, rows):
    aligned = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (head, aligned, *rows))


def bounds_table(bounds):
    return table(["what", "wanted", "found", ""], [[b.what, b.wanted, b.found, b.verdict] for b in bounds])
