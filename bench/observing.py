"""What watching a migration costs beside plain psql, and how that grows: `python -m bench.observing`, or `make bench-observing`.

Each round makes a clone for psql and one for the rehearsal, not counted, and runs the same file on both, psql first every other
time. Counted are, for psql, its process from start to exit; for the rehearsal everything from the first look at the clone to the
finished facts: both snapshots, the statements, the locks, the counts, the differences.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psycopg import sql

from bench.machine import load, machine_facts
from bench.measure import Section, expect, number, stats, table
from bench.results import publish, whole
from bot.cli import stop_in_order_on_sigterm
from bot.clones import Clone
from bot.clones.embedded import EmbeddedProvider
from bot.model import Migration, Outcome
from bot.postgres.binaries import Needs, choose
from bot.postgres.embedded import MAKER, Server, embedded_server
from bot.progress import Progress
from bot.run import rehearse_all
from bot.seeds import close
from bot.settings import Settings

_MANY_TABLES = 10_000  # a clone of so many files takes longer than what is measured on it
_BATCH = 200  # tables made in one transaction: more would need more locks than a server has room for


@dataclass(frozen=True, slots=True)
class Size:
    """A database of `tables` tables with ten columns and three indexes each, the first of them with `rows` rows, and a file of
    `statements` statements.
    """

    tables: int
    rows: int
    statements: int

    def __str__(self) -> str:
        return f"{self.tables:,} tables, {self.rows:,} rows, {self.statements:,} statements"


_FULL = {
    "tables": [Size(n, 1_000, 20) for n in (100, 1_000, 10_000)],
    "rows": [Size(100, n, 20) for n in (1_000, 100_000, 1_000_000)],
    "statements": [Size(100, 1_000, n) for n in (1, 20, 200, 2_000)],
}
_QUICK = {"tables": [Size(100, 1_000, 20), Size(1_000, 1_000, 20)], "statements": [Size(100, 1_000, 1), Size(100, 1_000, 200)]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; gives the exit status."""
    stop_in_order_on_sigterm()
    options = _parser().parse_args(arguments)
    facts = machine_facts(options.postgres_bin)
    print(table(("measured on", ""), list(facts.items())), end="\n\n")
    sections = []
    with embedded_server(choose(Needs(), options.postgres_bin)) as server:
        for what, sizes in (_QUICK if options.quick else _FULL).items():
            if options.only and what not in options.only:
                continue
            sections.append(_section(what, server, sizes, 3 if options.quick else options.rounds))
            print(sections[-1].text(), flush=True)
    facts["load after"] = load()
    if options.json:
        Path(options.json).write_text(json.dumps(whole(facts, sections, quick=options.quick), indent=1) + "\n")
    if not options.quick and not options.only:
        publish("observing", "Observing", _HEAD, facts, sections, ())
    return 0


_HEAD = (
    "`make bench-observing`; [what is measured](README.md#what-watching-a-migration-costs). Trust the ratios, not the seconds."
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.observing", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look in half a minute, too short to be quoted")
    parser.add_argument("--only", choices=tuple(_FULL), action="append", help="one part; may be repeated (default: all)")
    parser.add_argument("--rounds", type=int, default=7, metavar="N", help="rounds for each size (default: 7)")
    parser.add_argument("--postgres-bin", metavar="FOLDER", help="PostgreSQL's programs: a folder, or `wheel`")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
    return parser


def _section(what: str, server: Server, sizes: Sequence[Size], rounds: int) -> Section:
    rows: list[tuple[str, ...]] = []
    samples: dict[str, Sequence[float]] = {}
    for size in sizes:
        psql, ours = _measure(server, size, min(rounds, 5) if size.tables >= _MANY_TABLES else rounds)
        plain, watched = stats(psql), stats(ours)
        beyond = watched.median - 1.3 * plain.median
        rows.append(
            (
                str(size),
                number(plain.median),
                number(watched.median),
                f"{watched.median / plain.median:.2f}×",
                number(watched.median - plain.median),
                f"{beyond:+.0f}",
                str(len(psql)),
            )
        )
        samples |= {f"{size}: psql": psql, f"{size}: rehearsal": ours}
    return Section(
        f"observing-{what}",
        f"Growth with {what}",
        ("", "psql, median ms", "rehearsal, median ms", "ratio", "added, ms", "beyond 1.3×, ms", "n"),
        rows,
        "ms",
        samples,
        notes=("The goal: at 1,000 tables and 20 statements not more than 300 ms beyond 1.3 times psql.",),
    )


def _measure(server: Server, size: Size, rounds: int) -> tuple[list[float], list[float]]:
    """Milliseconds of psql and of the rehearsal, round by round; one round goes before and is not counted."""
    psql: list[float] = []
    ours: list[float] = []
    text = migration_text(size)
    with _seed(server, size) as seed:
        for number_of_round in range(-1, rounds):
            works = [(_psql, psql), (_rehearse, ours)]
            for work, samples in works if number_of_round % 2 else reversed(works):
                with EmbeddedProvider(server, seed).clone() as clone:
                    took_ms = work(server, seed, clone.name, text)
                if number_of_round >= 0:
                    samples.append(took_ms)
    return psql, ours


def _psql(server: Server, _seed: str, clone: str, text: str) -> float:
    began = time.perf_counter()
    process = server.run_tool("psql", "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-d", clone, "-f", "-", stdin=subprocess.PIPE)
    said = process.communicate(text.encode())
    took_ms = (time.perf_counter() - began) * 1000
    expect(process.returncode == 0, f"psql failed: {said!r}")
    return took_ms


def _rehearse(server: Server, seed: str, clone: str, text: str) -> float:
    provider = EmbeddedProvider(server, seed)
    migration = Migration("1.sql", "1", "plain", text)
    began = time.perf_counter()
    (rehearsal,) = rehearse_all((migration,), provider, Clone(clone, 0.0), Settings(), Progress(quiet=True))
    took_ms = (time.perf_counter() - began) * 1000
    expect(rehearsal.outcome is Outcome.APPLIED, f"the rehearsal failed: {rehearsal.error}")
    expect(bool(rehearsal.locks), "nothing was watched")
    return took_ms


@contextmanager
def _seed(server: Server, size: Size) -> Iterator[str]:
    """A template database of a size; dropped at the end."""
    name = f"bench_{size.tables}_{size.rows}"
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(MAKER)))
    with server.connect(name, user=MAKER) as connection:
        for first in range(1, size.tables + 1, _BATCH):
            connection.execute(_tables(first, min(size.tables, first + _BATCH - 1)).encode())
        connection.execute(f"INSERT INTO t1 (a, f) SELECT n, 'f' FROM generate_series(1, {size.rows:d}) AS n".encode())  # noqa: S608
        connection.execute("VACUUM ANALYZE")
    with server.connect("postgres") as admin:
        close(admin, name)
    yield name
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _tables(first: int, last: int) -> str:
    return f"""DO $$ BEGIN FOR i IN {first:d}..{last:d} LOOP
        EXECUTE format('CREATE TABLE t%s (id bigserial PRIMARY KEY, a int NOT NULL, b text DEFAULT ''x'', c timestamptz NOT NULL
            DEFAULT now(), d numeric(10,2), e text CHECK (e <> ''''), f text NOT NULL, g int, h int, j jsonb)', i);
        EXECUTE format('CREATE INDEX ON t%s (a)', i);
        EXECUTE format('CREATE INDEX ON t%s (c, f)', i);
    END LOOP; END $$"""


def migration_text(size: Size) -> str:
    """A file of so many statements: columns, constraints, rows and indexes in turn, most on tables that are there."""
    kinds = (
        "ALTER TABLE t{t} ADD COLUMN n{n} int DEFAULT 0",
        "UPDATE t1 SET g = {n} WHERE id % 10 = 0",
        "CREATE INDEX i{n} ON t{t} (h)",
        "ALTER TABLE t{t} ADD CONSTRAINT c{n} CHECK (a > -1) NOT VALID",
        "CREATE TABLE new{n} (id bigint PRIMARY KEY, t bigint REFERENCES t{t})",
    )
    return "".join(kinds[n % len(kinds)].format(n=n, t=n % size.tables + 1) + ";\n" for n in range(size.statements))


if __name__ == "__main__":
    raise SystemExit(main())
