"""What others say of the same files: `python -m bench.peers`, or `make bench-peers`.

Every tool judges every labelled migration (bench/labels.py) once. What it says is held against the label by
bench/labelled/mapping.toml, which says of each rule which kinds of harm it tells of. Then some files are judged again, one by one
and tool by tool in turn, and timed from the start of the process to its end, with the copy of the database that it needs.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from bench.labels import LABELLED, Case, cases
from bench.machine import load, machine_facts
from bench.measure import alternately, expect
from bench.peer_table import replaced, tables, unknown_rules, verdict
from bench.peer_tools import Place, Said, Tool, place, tools
from bot.cli import stop_in_order_on_sigterm

_HERE = Path(__file__).parent
JSON, RESULTS, MAPPING = _HERE / "peers.json", _HERE / "RESULTS.md", LABELLED / "mapping.toml"
# A file of each sort: what fails, is long, is quick, and changes rows.
_LOOKED_AT = ("not-null-harm", "not-null-safe", "index-harm", "index-safe", "rewrite-harm", "rewrite-safe")
TIMED = ("not-null-harm", "index-harm", "rewrite-safe", "update-all-safe")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, prints and writes; gives the exit status."""
    stop_in_order_on_sigterm()
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often the timed files are judged (default: 5)")
    parser.add_argument(
        "--judge", action="store_true", help="ask nobody: judge what peers.json holds, by what the mapping says now"
    )
    parser.add_argument(
        "--answers", metavar="FILE", help="keep what was said there, and go on from it: for a run that was interrupted"
    )
    parser.add_argument(
        "--only", action="append", metavar="CASE", help="judge these files only; may be repeated; nothing is written"
    )
    parser.add_argument("--quick", action="store_true", help="six files, timed once: a look; nothing is written")
    given = parser.parse_args(arguments)
    if given.quick:
        given.only, given.rounds = list(_LOOKED_AT), 1
    chosen = [case for case in cases() if not given.only or case.name in given.only]
    bench = json.loads(JSON.read_text()) if given.judge else _measured(chosen, given.rounds, given.answers)
    if not given.only:
        _write(bench)  # before it is judged: a rule that the mapping lacks must not cost what was measured
    _judge(bench)
    made = tables(bench)
    print(made)
    if not given.only:
        _write(bench)
        RESULTS.write_text(replaced(RESULTS.read_text(), made))
    return 0


def _write(bench: dict[str, Any]) -> None:
    JSON.write_text(json.dumps(bench, ensure_ascii=False, indent=1) + "\n")


def _judge(bench: dict[str, Any]) -> None:
    """Writes each verdict beside what was said."""
    mapping = tomllib.loads(MAPPING.read_text())
    unknown = unknown_rules(bench["verdicts"], mapping)
    expect(not unknown, f"{MAPPING.name} does not say what these tell of: {', '.join(unknown)}")
    for tool, by_case in bench["verdicts"].items():
        for name, one in by_case.items():
            one["verdict"] = verdict(bench["cases"][name]["harm"], one["said"], mapping[tool])


def _measured(chosen: Sequence[Case], rounds: int, answers: str | None) -> dict[str, Any]:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "migration-rehearsal-bench")
    facts = machine_facts(None)
    used = [tool for tool in tools() if tool.registry != "npm" or shutil.which("npm")]
    with place(cache) as at:
        said = _asked(at, used, chosen, Path(answers) if answers else None)
        samples = _timed(at, used, [case for case in chosen if case.name in TIMED] or chosen[:1], rounds)
        versions = {tool.name: tool.version(at) for tool in used}
    return {
        "facts": {**facts, "load after": load()},
        "cases": {case.name: {"harm": list(case.harm), "why": case.why} for case in chosen},
        "tools": {
            tool.name: {"version": versions[tool.name], "rows": tool.rows, "unit": "ms", "samples": samples[tool.name]}
            for tool in used
        },
        "verdicts": {
            tool: {name: {"verdict": "", "said": _alarms(one)} for name, one in by_case.items()} for tool, by_case in said.items()
        },
    }


def _alarms(said: Sequence[Said]) -> list[list[Any]]:
    """Each rule once, whether it was an alarm or not."""
    return [list(one) for one in sorted({(one.rule, one.alarm) for one in said})]


def _asked(at: Place, used: Sequence[Tool], chosen: Sequence[Case], kept: Path | None) -> dict[str, dict[str, list[Said]]]:
    """Two at a time: nothing is timed here."""
    found = json.loads(kept.read_text()) if kept and kept.exists() else {}
    with ThreadPoolExecutor(2) as pool:
        for tool in used:
            if tool.name in found:
                continue
            answers = zip(chosen, pool.map(partial(tool.ask, at), chosen), strict=True)
            found[tool.name] = {case.name: [[one.rule, one.alarm, one.text] for one in said] for case, said in answers}
            print(f"{tool.name}: asked …", file=sys.stderr, flush=True)
            if kept:
                kept.write_text(json.dumps(found))
    return {tool.name: {case.name: [Said(*one) for one in found[tool.name][case.name]] for case in chosen} for tool in used}


def _timed(at: Place, used: Sequence[Tool], chosen: Sequence[Case], rounds: int) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = {tool.name: {} for tool in used}
    for case in chosen:
        taken = alternately({tool.name: partial(tool.ask, at, case) for tool in used}, rounds)
        for name, samples in taken.items():
            found[name][case.name] = [round(sample, 1) for sample in samples]
    return found


if __name__ == "__main__":
    raise SystemExit(main())
