#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes docs/performance.md and its plots from bench/performance.md.in and the results of both programs.

Guarantees: the same data give the same bytes, so a test can see that document and data agree. Refuses: absolute times
as results (they would be the lab's, and nobody's hardware), but for the seconds that a bound on Vault is given in.

usage: report.py    writes them anew; `bench/run` and `bench/run-vault` do so after they have measured
"""
import json
import re
from pathlib import Path

import plot
import tables
import vault_report
from tables import Bound, table

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "bench/results.json"
TEMPLATE = ROOT / "bench/performance.md.in"
DOCUMENT = ROOT / "docs/performance.md"

ASIDE = "zfs get, zpool list"
WAYS = {
    "zseal": "`zseal unlock`",
    "floor": "floor: `bench/floor.c`",
    "tpm2_unseal": "`tpm2_unseal \\| zfs load-key`, no policy",
    "tpm2_unseal, PCR policy": "`tpm2_unseal -p pcr:… \\| zfs load-key`",
    "tpm2_unseal, PCR policy in a session":
        "`tpm2_startauthsession`, `policypcr`, `unseal \\| zfs load-key`, `flushcontext`",
    "clevis, PCR policy": "`clevis decrypt \\| zfs load-key`, PCR policy",
}


def own(times):
    """zseal's time without what it waited for zfs and zpool, turn by turn."""
    return [whole - aside for whole, aside in zip(times["zseal"], times[ASIDE])]


def ratio(times, of, to):
    """Turn by turn; of is a name, or a list of times."""
    values = times[of] if isinstance(of, str) else of
    return tables.ratios(values, times[to])


def bounds(results):
    times, lines = results["times_ms"], []
    one, session = times["one"], "tpm2_unseal, PCR policy in a session"

    def add(what, most, found):
        lines.append(Bound(what, f"≤ {most}", str(found), found.median <= most))
    add("one root against the floor, `zfs get` aside", 1.25, ratio(one, own(one), "floor"))
    for size in ("1000", "10000"):
        what = f"{int(size):,} roots against the bare loop, `zfs get` aside"
        if size in times:
            add(what, 1.2, ratio(times[size], own(times[size]), "loop"))
        else:
            lines.append(Bound(what, "≤ 1.2", "not measured in this run", None))
    add("one root against the four tpm2-tools of a policy session, `zfs get` aside", 0.6,
        ratio(one, own(one), session))
    add("one root against `tpm2_unseal -p pcr:…`, `zfs get` aside", 0.6,
        ratio(one, own(one), "tpm2_unseal, PCR policy"))
    add("one root against clevis, `zfs get` aside", 0.2, ratio(one, own(one), "clevis, PCR policy"))
    size, peak = results["own"]["stripped_bytes"] / 1024, results["own"]["peak_kib"]
    lines.append(Bound("stripped `zseal`", "≤ 500 KiB", f"{size:.0f} KiB", size <= 500))
    if "1000" in peak:
        mib = peak["1000"] / 1024
        lines.append(Bound("peak memory at 1,000 roots", "≤ 16 MiB", f"{mib:.1f} MiB", mib <= 16))
    return lines


# ---- tables ----

def bounds_table(results):
    return tables.bounds_table(bounds(results))


def one_table(results):
    one, rows = results["times_ms"]["one"], []
    rows.append(["zseal, `zfs get` and `zpool list` aside", ratio(one, own(one), "floor"), "1"])
    for name, words in WAYS.items():
        rows.append([words, ratio(one, name, "floor"), ratio(one, own(one), name)])
    rows.append(["of zseal: `zfs get` and `zpool list`", ratio(one, ASIDE, "floor"), ""])
    return table(["one root", "time, floor = 1", "zseal, `zfs get` aside, against it"], rows)


def counts_table(results):
    rows = [[words, c["tpm_commands"], c["processes"], f"{c['system_calls']:,}", f"{c['peak_kib'] / 1024:.1f} MiB"]
            for name, words in WAYS.items() for c in [results["counts"][name]]]
    return table(["one root", "TPM commands", "processes", "system calls", "largest process"], rows)


def own_table(results):
    calls, peaks = results["own"]["system_calls"], results["own"]["peak_kib"]
    rows = [[f"{int(size):,}", f"{calls[size]:,}" if size in calls else "",
             f"{peak / 1024:.1f} MiB"] for size, peak in peaks.items()]
    return table(["roots", "system calls of zseal's own process", "its peak memory"], rows)


def instructions_line(results):
    counted = results["own"]["instructions"]
    return ("Instructions in user space, by callgrind, with one root, children aside:\n"
            f"{counted['zseal'] / 1e6:.1f} million by zseal, {counted['floor'] / 1e6:.1f} million by the floor, "
            f"{counted['zseal'] / counted['floor']:.2f} of it.")


def many_table(results):
    rows = []
    for size, times in results["times_ms"].items():
        if size != "one":
            rows.append([f"{int(size):,}", len(times["zseal"]), ratio(times, own(times), "loop"),
                         ratio(times, "zseal", "loop"), ratio(times, "zfs load-key -r", "loop"),
                         ratio(times, "zseal", "zfs load-key -r")])
    return table(["roots", "rounds", "zseal, `zfs get` aside", "zseal, whole", "`zfs load-key -r`",
                  "zseal, whole, against `zfs load-key -r`"], rows)


def origin_line(results):
    rounds = len(results["times_ms"]["one"]["zseal"])
    return (f"Measured on {results['date']} with ZFS {results['zfs']} in the lab, {rounds} rounds unless a table says\notherwise, on {results['processors']} processors with a load average of "
            f"{results['load']:.1f}: far more than 1 for each means that others worked there, too.\n")


TABLES = {"bounds": bounds_table, "one": one_table, "counts": counts_table, "own": own_table, "many": many_table,
          "instructions": instructions_line, "origin": origin_line}


# ---- plots ----

def one_plot(results):
    one = results["times_ms"]["one"]
    names = {"floor": "the floor: nine TPM commands, one ioctl", "tpm2_unseal": "tpm2_unseal | zfs load-key, no policy",
             "tpm2_unseal, PCR policy": "the same with -p pcr:…",
             "tpm2_unseal, PCR policy in a session": "the same with a policy session",
             "clevis, PCR policy": "clevis decrypt | zfs load-key"}
    mine, aside = ratio(one, own(one), "floor").median, ratio(one, ASIDE, "floor").median
    bars = [plot.Bar("zseal unlock", mine, f"{mine:.2f} itself, {aside:.2f} in zfs get and zpool list", aside)]
    bars += [plot.Bar(words, ratio(one, name, "floor").median) for name, words in names.items()]
    return plot.bars("Unlocking one encryption root through the TPM",
                     "time, the floor = 1; shorter is better", bars, (1.25, "bound for zseal itself: 1.25"))


def many_plot(results):
    sizes = [size for size in results["times_ms"] if size != "one"]

    def line(name, of):
        times = results["times_ms"]
        return plot.Line(name, [(int(size), ratio(times[size], of(times[size]), "loop").median) for size in sizes])
    lines = [line("zseal, zfs get aside", own), line("zseal, whole", lambda times: times["zseal"]),
             line("zfs load-key -r", lambda times: times["zfs load-key -r"])]
    return plot.lines("Unlocking many encryption roots on one keyring",
                      "time, a bare loop of lzc_load_key = 1; lower is better", "encryption roots", lines,
                      (1.2, "bound for zseal, zfs get aside: 1.2"))


PLOTS = {"one-root.svg": one_plot, "many-roots.svg": many_plot}


def render(results, vault):
    """{path: text} of the document and its plots; vault is what bench/run-vault has measured."""
    folder, text = DOCUMENT.parent / "performance", TEMPLATE.read_text()
    made = {folder / name: draw(results) for name, draw in PLOTS.items()}
    made |= {folder / name: draw(vault) for name, draw in vault_report.PLOTS.items()}
    texts = {name: make(results) for name, make in TABLES.items()}
    texts |= {name: make(vault) for name, make in vault_report.TABLES.items()}
    made[DOCUMENT] = re.sub(r"\{\{(\w+)\}\}", lambda found: texts[found[1]], text)
    return made


def write(results):
    for path, text in render(results, vault_report.read()).items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    write(json.loads(DATA.read_text()))
