"""The program against doing it by hand: `python -m bench.by_hand`, or `make bench-by-hand`.

Six migrations on a database of 200 tables. In each round, for each migration, in turn: `psql -f` alone on a clone that is ready;
by_hand.sh, which clones, counts, dumps, runs, dumps and counts; and `migration-rehearsal rehearse` from the start of its process
to its exit: with a dump that it has restored before, and with clones of the script's own template. The server of psql and of the
script runs already, with the settings of the program's own. «Clone, psql, drop» is the least that any way with a clone can take.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.machine import load, machine_facts
from bench.measure import Section, expect, number, stats, table, times
from bench.results import BENCH, publish, whole
from bot.cli import stop_in_order_on_sigterm
from bot.postgres.binaries import Needs, choose
from bot.postgres.embedded import MAKER, Server, embedded_server
from bot.postgres.roles import may_make_seeds

_ROOT = BENCH.parent
_TABLES = 200
_LARGE, _MIDDLE, _SMALL = 5_000_000, 1_000_000, 10_000  # rows
_WHATEVER_IS_FOUND = ("--fail-on", "never")  # a table that is locked for seconds is an error
_LEAST_FASTER, _MOST_SLOWER, _MOST_MORE_S = 3.0, 1.1, 1.0
MIGRATIONS = {
    "instant DDL": "ALTER TABLE orders ADD COLUMN note text;\n",
    "index, 5 million rows": "CREATE INDEX orders_customer ON orders (customer_id);\n",
    "SET NOT NULL, 5 million rows": "ALTER TABLE orders ALTER COLUMN email SET NOT NULL;\n",
    "volatile default, 1 million rows": "ALTER TABLE customers ADD COLUMN token uuid DEFAULT gen_random_uuid();\n",
    "backfill, 1 million rows": "UPDATE customers SET region = 'region ' || id % 17;\n",
    "foreign key, 5 million rows": "ALTER TABLE orders ADD CONSTRAINT orders_customer_fk"
    " FOREIGN KEY (customer_id) REFERENCES customers;\n",
}
BARE, LEAST, BY_HAND, EACH = "psql", "clone, psql, drop", "by hand", "by hand, psql each"
OURS, CLONED, SERVER = "rehearse", "clone ready", "rehearse, same server"


@dataclass(frozen=True, slots=True)
class _Place:
    """A server with the database `source`, the same as a dump, and a folder for files."""

    server: Server
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """For PostgreSQL's programs and ours; as in the image, modules are compiled once."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "PYTHON", "MIGRATION_"))}
        path = f"{Path(self.server.binaries.tool('psql')).parent}:{os.environ.get('PATH', '')}"
        ours = {"PYTHONPATH": str(_ROOT), "PYTHONPYCACHEPREFIX": str(self.folder / "compiled")}
        return {**own, **ours, "PATH": path, "PGHOST": str(self.server.folder), "PGUSER": MAKER}

    def run(self, *command: str, **environment: str) -> float:
        """Milliseconds of a process from its start to its exit."""
        began, own = time.perf_counter(), self.environment | environment
        done = subprocess.run(command, env=own, cwd=self.folder, capture_output=True, text=True, check=False)
        took_ms = (time.perf_counter() - began) * 1000
        expect(done.returncode == 0, f"exit status {done.returncode} of {command[0]}: {done.stdout[-500:]}{done.stderr[-500:]}")
        return took_ms


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; gives the exit status."""
    stop_in_order_on_sigterm()
    given = _parser().parse_args(arguments)
    facts = machine_facts(given.postgres_bin)
    print(table(("measured on", ""), list(facts.items())), end="\n\n")
    smaller = 50 if given.quick else given.smaller
    if smaller > 1:
        facts["rows"] = f"of each table 1/{smaller} of those named"
    with _place(given.postgres_bin, smaller) as place:
        samples = _measured(place, given.postgres_bin, 2 if given.quick else given.rounds)
        section, goals = _section(samples, place.server), _goals(samples)
    facts["load after"] = load()
    print(section.text(), *goals, sep="\n", flush=True)
    if given.json:
        Path(given.json).write_text(json.dumps(whole(facts, [section], quick=given.quick), indent=1) + "\n")
    if not given.quick:
        publish("by_hand", "By hand", _HEAD, facts, [section], goals)
    return 0


_HEAD = """`make bench-by-hand`; [what is measured](README.md#against-doing-it-by-hand). Trust the ratios, not the seconds.

![Seconds for six migrations: psql alone, by hand, rehearsed](../docs/by-hand.svg)"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.by_hand", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fiftieth of the rows, two rounds: not to be quoted, nor kept")
    parser.add_argument("--smaller", type=int, default=1, metavar="N", help="divide all rows by N, which the table says")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--postgres-bin", default="wheel", metavar="FOLDER", help="PostgreSQL's programs (default: the wheel's)")
    parser.add_argument("--json", metavar="FILE", help="write all samples there, too")
    return parser


# ── The works ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _measured(place: _Place, bin_option: str, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds by migration and work. One rehearsal goes before: it restores the dump."""
    what = (BARE, LEAST, BY_HAND, EACH, SERVER, OURS, CLONED)
    samples: dict[str, dict[str, list[float]]] = {name: {work: [] for work in what} for name in MIGRATIONS}
    time.sleep(3)  # a file that was written just now is not remembered
    _rehearse(place, bin_option, "instant DDL")
    for number_of_round in range(rounds):
        for name, taken in samples.items():
            works = [_bare, _by_hand, _by_hand_each, _rehearse, _on_server]
            turn = number_of_round % len(works)
            for work in works[turn:] + works[:turn]:
                for named, took_ms in work(place, bin_option, name).items():
                    taken[named].append(took_ms)
        print(f"round {number_of_round + 1} of {rounds} …", file=sys.stderr, flush=True)
    return samples


def _file(place: _Place, name: str) -> Path:
    path = place.folder / f"1_{name.replace(' ', '_').replace(',', '')}.sql"
    path.write_text(MIGRATIONS[name])
    return path


def _bare(place: _Place, _bin_option: str, name: str) -> dict[str, float]:
    with place.server.connect("postgres") as admin:
        began = time.perf_counter()
        admin.execute(f"CREATE DATABASE bare TEMPLATE source STRATEGY FILE_COPY OWNER {MAKER}".encode())
        clone_ms = (time.perf_counter() - began) * 1000
        try:
            file = str(_file(place, name))
            psql_ms = place.run("psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", "bare", "-f", file)
        finally:
            began = time.perf_counter()
            admin.execute("DROP DATABASE bare WITH (FORCE)")
        drop_ms = (time.perf_counter() - began) * 1000
        return {BARE: psql_ms, LEAST: clone_ms + psql_ms + drop_ms}


def _by_hand(place: _Place, _bin_option: str, name: str) -> dict[str, float]:
    return {BY_HAND: _scripted(place, name, "one")}


def _by_hand_each(place: _Place, _bin_option: str, name: str) -> dict[str, float]:
    return {EACH: _scripted(place, name, "each")}


def _scripted(place: _Place, name: str, how: str) -> float:
    with tempfile.TemporaryDirectory(dir=place.folder) as folder:
        took_ms = place.run(str(BENCH / "by_hand.sh"), "source", str(_file(place, name)), folder, how)
        rows = [len((Path(folder) / file).read_text().splitlines()) for file in ("rows_before", "rows_after")]
        expect(rows == [_TABLES, _TABLES], f"the script counted {rows} tables")
        return took_ms


def _on_server(place: _Place, _bin_option: str, name: str) -> dict[str, float]:
    """The whole program, its clone a copy of the template that the script copies."""
    report = place.folder / "report.json"
    command = [sys.executable, "-m", "bot.cli", "rehearse", str(_file(place, name)), "--quiet", "--output", str(report)]
    url = f"postgresql://{MAKER}@/source?host={place.server.folder}"
    took_ms = place.run(
        *command,
        *_WHATEVER_IS_FOUND,
        "--superuser",
        MIGRATION_REHEARSAL_CLONE_PROVIDER="server",
        MIGRATION_REHEARSAL_CLONE_URL=url,
    )
    _check(report, name)
    return {SERVER: took_ms}


def _rehearse(place: _Place, bin_option: str, name: str) -> dict[str, float]:
    """The whole program on a copy of the seed that it keeps, and when it said that its clone was there."""
    report = place.folder / "report.json"
    command = [sys.executable, "-m", "bot.cli", "rehearse", str(_file(place, name)), "--seed", str(place.folder / "dump")]
    command += [
        *_WHATEVER_IS_FOUND,
        "--seed-folder",
        str(place.folder / "shelf"),
        "--postgres-bin",
        bin_option,
        "--output",
        str(report),
    ]
    began, cloned, said = time.perf_counter(), 0.0, ""
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=place.environment, cwd=place.folder
    ) as process:
        assert process.stderr is not None  # noqa: S101  made with a pipe
        for line in process.stderr:
            said += line
            if line.startswith("clone the seed"):
                cloned = time.perf_counter() - began
    took = time.perf_counter() - began
    expect(process.returncode == 0 and cloned > 0, f"exit status {process.returncode}: {said}")
    _check(report, name)
    return {OURS: took * 1000, CLONED: cloned * 1000}


def _check(report: Path, name: str) -> None:
    (migration,) = json.loads(report.read_text())["migrations"]
    expect(migration["outcome"] == "applied" and bool(migration["locks"]), f"{name} was not rehearsed")
    report.unlink()


# ── What is said of it ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _section(samples: Mapping[str, Mapping[str, Sequence[float]]], server: Server) -> Section:
    rows = []
    for name, taken in samples.items():
        of = {work: stats(samples).median for work, samples in taken.items()}
        seconds = [number(ms / 1000) for ms in (*of.values(), _rest(taken))]
        ratios = [times(of[script], of[work]) for work in (SERVER, OURS) for script in (BY_HAND, EACH)]
        rows.append((name, *seconds, f"{_beyond(taken):+.2f}", *ratios, str(len(taken[OURS]))))
    return Section(
        "by_hand",
        f"Six migrations on a database of {_TABLES} tables",
        (
            "median seconds", BARE, LEAST, BY_HAND, EACH, SERVER, OURS, "its clone ready", "the rest", "rest beyond 1.1× psql",
            "by hand : same server", "psql each : same server", "by hand : rehearse", "psql each : rehearse", "n",
        ),
        rows,
        "ms",
        {f"{name}: {work}": taken[work] for name, taken in samples.items() for work in taken},
        {"PostgreSQL": server.binaries.version},
        (
            "«rehearse» starts a server on a copy of the seed that it keeps; «same server» copies the script's template there.",
            "«The rest» is everything after the clone was ready, to the exit of the process.",
        ),
    )  # fmt: skip


def _rest(taken: Mapping[str, Sequence[float]]) -> float:
    """What the program took from its ready clone on."""
    return stats([whole - cloned for whole, cloned in zip(taken[OURS], taken[CLONED], strict=True)]).median


def _beyond(taken: Mapping[str, Sequence[float]]) -> float:
    """Seconds from the ready clone on that are beyond what psql may take."""
    return (_rest(taken) - _MOST_SLOWER * stats(taken[BARE]).median) / 1000


def _goals(samples: Mapping[str, Mapping[str, Sequence[float]]]) -> list[str]:
    whole = {
        name: (stats(taken[OURS]).median - _MOST_SLOWER * stats(taken[BARE]).median) / 1000 for name, taken in samples.items()
    }
    rest = {name: _beyond(taken) for name, taken in samples.items()}
    said = [
        f"**Beside psql on a ready clone**, the whole program, its own clone and its start among it: "
        f"{_least_and_most(whole)} s beyond 1.1 times psql. The goal: 1 s; {_met(max(whole.values()) <= _MOST_MORE_S)}.",
        f"**From its ready clone on**: {_least_and_most(rest)} s beyond 1.1 times psql; "
        f"below 1 s: {_met(max(rest.values()) <= _MOST_MORE_S)}. Some of its libraries are imported while the clone is made.",
    ]
    for work, how in ((SERVER, "with its template on the same server"), (OURS, "with a seed that it keeps")):
        faster, each = ({n: _median(t[script]) / _median(t[work]) for n, t in samples.items()} for script in (BY_HAND, EACH))
        said.append(
            f"**Beside the script**, {how}: {_least_and_most(faster)} times as fast. The goal: {_LEAST_FASTER:g} times; "
            f"{_met(min(faster.values()) >= _LEAST_FASTER)}. Beside the one with a psql for each table: {_least_and_most(each)}."
        )
    can = {name: _median(taken[BY_HAND]) / _median(taken[LEAST]) for name, taken in samples.items()}
    said.append(
        f"**What can be had**: a clone, psql and the clone's removal alone are {_least_and_most(can)} times as fast as the "
        "script."
    )
    return said


def _median(samples: Sequence[float]) -> float:
    return stats(samples).median


def _least_and_most(of: Mapping[str, float]) -> str:
    """Two figures, and the migrations that they are of."""
    least, most = min(of, key=lambda name: of[name]), max(of, key=lambda name: of[name])
    return f"{of[least]:.2f} ({least}) to {of[most]:.2f} ({most})"


def _met(met: bool) -> str:
    return "met" if met else "not met"


# ── The data ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _place(bin_option: str, smaller: int) -> Iterator[_Place]:
    with tempfile.TemporaryDirectory(prefix="mr-bench-") as name, embedded_server(choose(Needs(), bin_option)) as server:
        may_make_seeds(server)
        _make(server, smaller)
        place = _Place(server, Path(name))
        place.run("pg_dump", "-Fc", "-Z1", "-d", "source", "-f", str(place.folder / "dump"))
        yield place


def _make(server: Server, smaller: int) -> None:
    with server.connect("postgres") as admin:
        admin.execute(f"CREATE DATABASE source OWNER {MAKER}".encode())
    with server.connect("source", user=MAKER) as connection:
        connection.execute(
            "CREATE TABLE customers (id int PRIMARY KEY, region text, name text);"  # noqa: S608  numbers
            f" INSERT INTO customers SELECT n, 'r', 'customer ' || n FROM generate_series(1, {_MIDDLE // smaller}) AS n;"
            " CREATE TABLE orders (id int PRIMARY KEY, customer_id int, email text, placed timestamptz);"
            f" INSERT INTO orders SELECT n, n % {_MIDDLE // smaller} + 1, n || '@example.org', now()"
            f" FROM generate_series(1, {_LARGE // smaller}) AS n;".encode()
        )
        for n in range(_TABLES - 2):
            connection.execute(
                f"CREATE TABLE t{n} (id int PRIMARY KEY, a int NOT NULL, b text, c timestamptz DEFAULT now(), d numeric, e text);"  # noqa: S608
                f" INSERT INTO t{n} (id, a, b) SELECT n, n % 7, 'row ' || n FROM generate_series(1, {_SMALL // smaller}) AS n;"
                f" CREATE INDEX ON t{n} (a)".encode()
            )
        connection.execute("VACUUM ANALYZE")


if __name__ == "__main__":
    raise SystemExit(main())
