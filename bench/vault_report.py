# SPDX-License-Identifier: MIT
"""The Vault section of docs/performance.md, from bench/results-vault.json. report.py puts it into the page.

Guarantees: as report.py: the same data give the same bytes.
"""
import json
import re
from pathlib import Path

import plot
from tables import Bound, bounds_table, ratios, spread, table

DATA = Path(__file__).resolve().parent / "results-vault.json"

ASIDE = "zfs get, zpool list"
WAYS = {
    "zseal": "`zseal unlock`",
    "zseal, encrypted": "the same, its credentials encrypted by `systemd-creds`",
    "curl": "`curl` (login, decrypt) `\\| jq \\| base64 -d \\| zfs load-key`",
    "bao": "`bao write` (login, decrypt) `\\| base64 -d \\| zfs load-key`",
}
AWAY_MAX_MS, OVERSHOOT_MAX_MS, ELECTION_MAX_MS = 500, 100, 1000
ADDRESSES = {"all three": "all three addresses", "survivors": "the survivors' two alone"}


def read():
    return json.loads(DATA.read_text())


def dump(results):
    """JSON; a list of numbers is one line."""
    return re.sub(r"\[[-\d.,\s]*\]", lambda found: " ".join(found[0].split()), json.dumps(results, indent=1)) + "\n"


def own(times):
    return [whole - aside for whole, aside in zip(times["zseal"], times[ASIDE])]


def longer(pairs):
    """Turn by turn, by how much the second took longer."""
    return [second - first for first, second in pairs]


def overshoots(results, how=None):
    """Milliseconds from the deadline to the fallback: more than the deadline and an unlock by TPM alone."""
    pairs = results["all_away_ms"]
    return [more - results["deadline_ms"] for name in pairs if how in (None, name) for more in longer(pairs[name])]


def after_election(rounds):
    """Milliseconds from the next leader to a node's end, of those who waited for it."""
    return sorted(ms - one["led_ms"] for one in rounds for ms in one["ms"] if ms > one["led_ms"])


def percentile(values, share, digits=1):
    """Of milliseconds, in seconds; nothing of nothing."""
    values = sorted(values)
    return f"{values[min(len(values) - 1, int(len(values) * share))] / 1000:.{digits}f} s" if values else ""


def failures(rounds):
    """Nodes, and zseal itself where it took part."""
    return sum(len(one["failed"]) + (one.get("zseal_ms", 0) is None) for one in rounds)


# ---- what is to be reached ----

def _requests_bound(results):
    counts = [counts["zseal"] for counts in results["counts"].values()]
    sizes = ", ".join(f"{int(size):,}" for size in results["counts"])
    found = ", ".join(str(requests) for requests, _ in counts)
    most = max(connections for _, connections in counts)
    return Bound(f"requests for {sizes} roots, a probe among them", "3 on 1 connection",
                 f"{found} on {most}", all(tuple(count) == (3, 1) for count in counts))


def _election_bound(results, which):
    rounds = results["leader_dies"][which]
    failed, most = failures(rounds), max(after_election(rounds), default=0)
    most = max([most] + [one["zseal_ms"] - one["led_ms"] for one in rounds if one["zseal_ms"]])
    found = f"{failed} failed" if failed else f"{most / 1000:.2f} s"
    return Bound(f"leader killed, {ADDRESSES[which]}: the last node after the next leader is there",
                 f"≤ {ELECTION_MAX_MS / 1000:.0f} s", found, not failed and most <= ELECTION_MAX_MS)


def bounds(results):
    worst = max((spread(longer(pairs)) for pairs in results["first_away_ms"].values()), key=lambda one: one.median)
    late = spread(overshoots(results))
    failed = failures(results["storm"].values())
    count = len(results["storm"]["well"]["ms"]) + len(results["storm"]["well"]["failed"])
    return [
        _requests_bound(results),
        Bound("the first of three addresses a black hole: longer than with all well", f"≤ {AWAY_MAX_MS} ms",
              worst.told(0, " ms"), worst.median <= AWAY_MAX_MS),
        Bound("all away: the fallback begins after the deadline", f"≤ {OVERSHOOT_MAX_MS} ms", late.told(0, " ms"),
              late.median <= OVERSHOOT_MAX_MS),
        _election_bound(results, "all three"),
        _election_bound(results, "survivors"),
        Bound(f"{count:,} nodes at once, well and with the leader killed: failures", "0", str(failed), failed == 0),
    ]


# ---- tables ----

def ways_table(results):
    times, counts, rows = results["times_ms"]["1"], results["counts"]["1"], []
    for name, words in WAYS.items():
        requests, connections = counts[name]
        rows.append([words, ratios(times[name], times["curl"]), requests, connections])
    rows.insert(1, ["of it, without `zfs get` and `zpool list`", ratios(own(times), times["curl"]), "", ""])
    return table(["one root", "time, `curl` = 1", "requests", "connections"], rows)


def roots_table(results):
    rows = []
    for size, times in results["times_ms"].items():
        counts = results["counts"][size]
        rows.append([f"{int(size):,}", len(times["zseal"]), ratios(times["zseal"], times["curl"]),
                     ratios(times["zseal"], times["bao"]) if "bao" in times else "",
                     *("{}, {}".format(*counts[name]) if name in counts else "" for name in ("zseal", "curl", "bao"))])
    return table(["roots", "rounds", "zseal against `curl`", "against `bao`", "zseal: requests, connections", "`curl`",
                  "`bao`"], rows)


def away_table(results):
    rows = [[f"the first address a black hole: {name}", spread(longer(pairs)).told(0, " ms")]
            for name, pairs in results["first_away_ms"].items()]
    words = {"refused": "connections refused", "dropped": "a black hole", "silent": "connected, and never an answer"}
    rows += [[f"all away, {words[how]}: beyond the deadline", spread(overshoots(results, how)).told(0, " ms")]
             for how in results["all_away_ms"]]
    return table(["what", "longer"], rows)


def leader_table(results):
    rows = []
    for which, rounds in results["leader_dies"].items():
        waited, after = sum(ms > one["killed_ms"] for one in rounds for ms in one["ms"]), after_election(rounds)
        elections = [(one["led_ms"] - one["killed_ms"]) / 1000 for one in rounds]
        real = [(one["zseal_ms"] - one["led_ms"]) / 1000 for one in rounds if one["zseal_ms"]]
        rows.append([ADDRESSES[which], len(rounds), f"{min(elections):.1f} to {max(elections):.1f} s", waited,
                     failures(rounds), *(percentile(after, share, 2) for share in (0.5, 0.99)),
                     f"{max(real):.2f} s" if real else ""])
    return table(["configured", "rounds", "election", "nodes that were waiting", "failed", "p50", "p99",
                  "last zseal"], rows)


def storm_table(results):
    rows = [[name, failures([one]), *(percentile(one["ms"], share) for share in (0.5, 0.99, 1)),
             f"{(one['led_ms'] - one['killed_ms']) / 1000:.1f} s" if "led_ms" in one else ""]
            for name, one in results["storm"].items()]
    return table(["", "failures", "p50", "p99", "last", "election"], rows)


def servers_table(results):
    rows = []
    for name, one in results["storm"].items():
        for server in one["servers"]:
            dies = "led_ms" in one and server["role"] == "leader"
            rows.append([name, server["role"] + (", until it was killed" if dies else ""),
                         f"{server['processor_s']:.1f} s", f"{server['connections']:,}", f"{server['requests']:,}"])
        rows.append([name, "all nodes", f"{one['nodes_processor_s']:.1f} s", "", ""])
    return table(["", "who", "processor time", "connections taken", "requests answered"], rows)


def origin_line(results):
    rounds = len(results["times_ms"]["1"]["zseal"])
    return (f"Measured on {results['date']} with OpenBao {results['openbao']}, {rounds} rounds unless a table says "
            f"otherwise,\non {results['processors']} processors with a load average of {results['load']:.1f}.\n")


TABLES = {"vault_bounds": lambda results: bounds_table(bounds(results)), "vault_ways": ways_table,
          "vault_roots": roots_table, "vault_away": away_table, "vault_leader": leader_table,
          "vault_storm": storm_table, "vault_servers": servers_table, "vault_origin": origin_line}


# ---- plots ----

def leader_plot(results):
    lines = [plot.Line(ADDRESSES[which], [ms / 1000 for ms in after], len(after) + failures(rounds))
             for which, rounds in results["leader_dies"].items() for after in [after_election(rounds)]]
    return plot.shares("Nodes that unlock while the leader of three is killed",
                       "share of those who had to wait for the election; further left is better",
                       "seconds since the next leader was there", lines, [(ELECTION_MAX_MS / 1000, "bound: 1 s")])


def storm_plot(results):
    storm = results["storm"]
    count = len(storm["well"]["ms"]) + len(storm["well"]["failed"])
    lines = [plot.Line(name, [ms / 1000 for ms in one["ms"]], count) for name, one in storm.items()]
    killed = storm["leader killed"]
    return plot.shares(f"{count:,} nodes unlock at once", "share of nodes that have their key; further left is better",
                       "seconds since the start", lines,
                       [(killed["killed_ms"] / 1000, "leader killed"), (killed["led_ms"] / 1000, "the next one")])


PLOTS = {"leader-killed.svg": leader_plot, "boot-storm.svg": storm_plot}
