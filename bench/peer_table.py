"""What tools said, judged by the labels, and the tables of it. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from bench.measure import number, table

HIT, MISS, FALSE_ALARM, QUIET = "hit", "miss", "false alarm", "quiet"
BEGIN, END = "<!-- made by bench/peers.py -->", "<!-- until here -->"
Mapping_ = Mapping[str, Mapping[str, Sequence[str]]]  # of a tool's rules: the kinds of harm that each tells of; none: advice


def verdict(harm: Sequence[str], said: Sequence[Sequence[Any]], rules: Mapping[str, Sequence[str]]) -> str:
    """Of one tool on one file; `said`: pairs of a rule and whether it was an alarm. An alarm about another kind of harm than
    the file's is no hit. Advice, which is as true of a harmless file, is neither a hit nor a false alarm.
    """
    alarms = [set(rules[rule]) for rule, alarm in said if alarm]
    if harm:
        return HIT if any(kinds & set(harm) for kinds in alarms) else MISS
    return FALSE_ALARM if any(alarms) else QUIET


def unknown_rules(verdicts: Mapping[str, Mapping[str, Any]], mapping: Mapping_) -> list[str]:
    """Rules of alarms that the mapping does not have."""
    return sorted(
        {
            f"{tool}: {rule}"
            for tool, by_case in verdicts.items()
            for one in by_case.values()
            for rule, alarm in one["said"]
            if alarm and rule not in mapping[tool]
        }
    )


def tables(bench: Mapping[str, Any]) -> str:
    """Everything that is made of a bench's JSON, as it stands in RESULTS.md."""
    facts = table(("measured on", ""), list(bench["facts"].items()))
    parts = [
        facts,
        "",
        "── Files ──",
        "",
        _summary(bench),
        "",
        "── Hits, by the first kind of harm of a file ──",
        "",
        _by_kind(bench),
    ]
    return "\n".join([BEGIN, "", "```text", *parts, "```", "", *_misses(bench), "", END])


def counts(bench: Mapping[str, Any], tool: str) -> dict[str, int]:
    """How often a tool gave each verdict, and on how many safe files it had an alarm of any sort."""
    verdicts = bench["verdicts"][tool]
    found = {kind: sum(one["verdict"] == kind for one in verdicts.values()) for kind in (HIT, MISS, FALSE_ALARM, QUIET)}
    safe = [name for name, case in bench["cases"].items() if not case["harm"]]
    return {**found, "with advice": sum(any(alarm for _, alarm in verdicts[name]["said"]) for name in safe)}


def _summary(bench: Mapping[str, Any]) -> str:
    rows = []
    for name, tool in bench["tools"].items():
        found = counts(bench, name)
        seconds = statistics.median(statistics.median(samples) for samples in tool["samples"].values()) / 1000
        shown = (found[HIT], found[MISS], found[FALSE_ALARM], found["with advice"])
        rows.append((name, tool["version"], *map(str, shown), number(seconds), tool["rows"]))
    columns = ("tool", "version", "hits", "misses", "false alarms", "safe, any alarm", "seconds", "of rows it says")
    return table(columns, rows)


def _by_kind(bench: Mapping[str, Any]) -> str:
    harmful = {name: case["harm"][0] for name, case in bench["cases"].items() if case["harm"]}
    kinds = list(dict.fromkeys(harmful.values()))
    columns = ("tool", *kinds)
    rows = [("files", *(str(sum(kind == one for one in harmful.values())) for kind in kinds))]
    for tool, verdicts in bench["verdicts"].items():
        hits = [kind for name, kind in harmful.items() if verdicts[name]["verdict"] == HIT]
        rows.append((tool, *(str(hits.count(kind)) for kind in kinds)))
    return table(columns, rows)


def _misses(bench: Mapping[str, Any]) -> list[str]:
    """Ours, each with who did better."""
    ours, *others = bench["verdicts"]
    lines = []
    for name, case in bench["cases"].items():
        bad = bench["verdicts"][ours][name]["verdict"]
        if bad in (MISS, FALSE_ALARM):
            well = HIT if case["harm"] else QUIET
            better = [other for other in others if bench["verdicts"][other][name]["verdict"] == well]
            who = "; ".join(better) if better else "none"
            lines.append(f"- `{name}`: {bad} of ours. {case['why']} Better: {who}.")
    return lines


def replaced(results: str, made: str) -> str:
    """RESULTS.md with what is between the marks made anew."""
    before, _, rest = results.partition(BEGIN)
    return before + made + rest.partition(END)[2]
