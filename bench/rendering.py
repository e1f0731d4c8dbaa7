"""Growth of what a report takes to be written, with migrations and with what one of them changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from bench.growing import Bench, median, of_linear, repository
from bench.measure import Section, Work, alternately, expect, number
from bot import report as rendering
from bot.model import Report
from bot.plain import from_plain

_FORMATS: dict[str, Callable[[Report], str]] = {"comment": rendering.comment, "text": rendering.text, "JSON": rendering.to_json}


def measure_rendering(bench: Bench) -> None:
    """Reports of real rehearsals, each written for a pull request, for a terminal and for a program."""
    migrations, tables = ((1, 20), (10, 100)) if bench.quick else ((1, 20, 200), (10, 100, 1_000))
    reports = {f"{n:,} migrations": _of_migrations(bench, n) for n in migrations}
    reports |= {f"{n:,} tables made": _of_tables(bench, n) for n in tables}
    works: dict[str, Work] = {
        f"{name}, {report}": partial(write, reports[report]) for report in reports for name, write in _FORMATS.items()
    }
    samples = alternately(works, bench.rounds, warm_up=1)
    of = {name: {report: median(samples[f"{name}, {report}"]) for report in reports} for name in _FORMATS}
    grown: dict[str, dict[str, str]] = {}
    for sizes, what in ((migrations, "migrations"), (tables, "tables made")):
        linear = {name: of_linear({n: of[name][f"{n:,} {what}"] for n in sizes}) for name in _FORMATS}
        grown |= {f"{n:,} {what}": {name: linear[name][n] for name in _FORMATS} for n in sizes}
    bench.tell(
        Section(
            "rendering",
            "A report, written",
            ("", *(column for name in _FORMATS for column in (f"{name}, median ms", "of linear")), "n"),
            [(report, *_row(of, grown, report), str(bench.rounds)) for report in reports],
            "ms",
            samples,
            notes=("A comment is cut at 60,000 characters.",),
        )
    )  # fmt: skip


def _row(of: Mapping[str, Mapping[str, float]], grown: Mapping[str, Mapping[str, str]], report: str) -> tuple[str, ...]:
    return tuple(cell for name in _FORMATS for cell in (number(of[name][report]), grown[report][name]))


def _of_migrations(bench: Bench, migrations: int) -> Report:
    """Of so many migrations that change the same table."""
    place = bench.folder / f"report_of_migrations{migrations}"
    read = _rehearsed(
        bench, repository(place, migrations, lambda n: f"ALTER TABLE orders ADD c{n} int;\nUPDATE orders SET c{n} = 1;\n")
    )
    expect(len(read.migrations) == migrations, f"{len(read.migrations)} migrations were rehearsed")
    return read


def _of_tables(bench: Bench, tables: int) -> Report:
    """Of one migration that makes so many tables."""
    text = "".join(f"CREATE TABLE t{n} (id bigint PRIMARY KEY, a text);\n" for n in range(tables))
    read = _rehearsed(bench, repository(bench.folder / f"report_of_tables{tables}", 1, lambda _n: text))
    expect(len(read.migrations[0].tables) == tables, f"{len(read.migrations[0].tables)} tables are in the report")
    return read


def _rehearsed(bench: Bench, place: Path) -> Report:
    what = ("rehearse", "--base", "main", "--quiet", "--fail-on", "never")
    bench.run("-m", "bot.cli", *what, "--postgres-bin", bench.bin_option, "--output", "report.json", cwd=place)
    return from_plain(Report, json.loads((place / "report.json").read_text()))
