"""What grows with what: start-up, catalogs, statements, migrations, memory: `python -m bench.growth`, or `make bench-growth`.

Each size is done in turn with all others of its table, who begins changes each round, so that whatever else the machine does hits
all alike. «Of linear» is by how much more the time grew than the size did, since the size before it; 1 is linear, more is worse.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from psycopg import sql

from bench.counting import measure_counting
from bench.growing import ROOT, Bench, median, of_linear, repository, timed_ms, verdict
from bench.machine import load, machine_facts
from bench.measure import Section, Work, alternately, expect, number, stats, table
from bench.observing import Size, _psql, _rehearse, _seed
from bench.rendering import measure_rendering
from bench.results import publish, whole
from bot import diff
from bot.cli import stop_in_order_on_sigterm
from bot.clones.embedded import EmbeddedProvider, observer
from bot.postgres.binaries import Needs, choose
from bot.postgres.catalog import Snapshot, take_snapshot
from bot.postgres.embedded import MAKER, Server, embedded_server
from tests.contract.fake_github import BOT, Access, FakeGitHub
from tests.fix_action import BASE_FILES, Action

_BATCH = 200  # tables made in one transaction: more would need more locks than a server has room for
PARTS = ("start-up", "catalogs", "statements", "migrations", "counting", "rendering", "memory")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; gives the exit status."""
    stop_in_order_on_sigterm()
    given = _parser().parse_args(arguments)
    facts = machine_facts(given.postgres_bin)
    print(table(("measured on", ""), list(facts.items())), end="\n\n")
    works: dict[str, Callable[[Bench], None]] = dict(
        zip(PARTS, (_start_up, _catalogs, _statements, _migrations, measure_counting, measure_rendering, _memory), strict=True)
    )
    with tempfile.TemporaryDirectory(prefix="mr-bench-") as name:
        bench = Bench(given.postgres_bin, 3 if given.quick else given.rounds, given.quick, Path(name))
        for part, work in works.items():
            if not given.only or part in given.only:
                work(bench)
    facts["load after"] = load()
    if given.json:
        Path(given.json).write_text(json.dumps(whole(facts, bench.sections, quick=given.quick), indent=1) + "\n")
    if not given.quick and not given.only:
        publish("growth", "Growth", _HEAD, facts, bench.sections, bench.goals)
    return 0


_HEAD = """`make bench-growth`; [what is measured](README.md#growth-and-start-up). Trust the ratios, not the seconds.

![How the time grows with tables, columns, statements and migrations](../docs/growth.svg)"""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.growth", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes and three rounds: not to be quoted, nor kept")
    parser.add_argument("--only", choices=PARTS, action="append", help="one part; may be repeated (default: all); not kept")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default: 5)")
    parser.add_argument("--postgres-bin", default="wheel", metavar="FOLDER", help="PostgreSQL's programs (default: the wheel's)")
    parser.add_argument("--json", metavar="FILE", help="write all samples there, too")
    return parser


# ── Start-up ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _start_up(bench: Bench) -> None:
    sizes = (1, 100) if bench.quick else (1, 100, 1_000, 3_000)
    with FakeGitHub() as github:
        github.tokens["t"] = Access(BOT)
        place = repository(bench.folder / "list", 1)
        works: dict[str, Work] = {
            "python -c pass": lambda: bench.run("-c", "pass"),
            "--help": lambda: bench.run("-m", "bot.cli", "--help"),
            "list, 1 migration": lambda: bench.run("-m", "bot.cli", "list", "--base", "main", cwd=place),
        }
        for size in sizes:
            works[_no_migration(size)] = _action(bench, github, size)
        samples = alternately(works, bench.rounds, warm_up=1)
        expect(github.problems == [], f"the fake GitHub says {github.problems}")
    rows = [
        (name, *(number(getattr(stats(s), key)) for key in ("median", "least", "most")), str(len(s)))
        for name, s in samples.items()
    ]
    bench.tell(
        Section("start-up", "Start-up, a whole process", ("", "median ms", "min ms", "max ms", "n"), rows, "ms", samples),
        f"**`--help`**: {verdict(median(samples['--help']) / 1000, 0.15, 's')}",
        f"**A pull request without migrations**: {verdict(median(samples[_no_migration(sizes[0])]) / 1000, 1, 's')}",
    )


def _no_migration(files: int) -> str:
    return f"action, {files:,} files, no migration"


def _action(bench: Bench, github: FakeGitHub, files: int) -> Work:
    """The action on a pull request of so many files, none of them a migration."""
    workspace = bench.folder / f"action{files}"
    workspace.mkdir()
    repo = github.add_repo(f"octo/files{files}")
    base = repo.commit(BASE_FILES)
    repo.set_branch("main", base)
    action = Action(github, repo, base, workspace)
    action.open_pull({f"src/f{n}.py": f"x = {n}\n" for n in range(files)})
    environment = action.environment(github.pull_request_event(repo, repo.pulls[7]))
    environment |= {"GITHUB_REPOSITORY": repo.full_name, "INPUT_SEED": ""}
    return partial(bench.run, str(ROOT / "entrypoint.py"), cwd=workspace, **environment)


# ── Catalogs ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _catalogs(bench: Bench) -> None:
    tables = (100, 1_000) if bench.quick else (100, 1_000, 10_000)
    columns = (10, 100) if bench.quick else (10, 100, 1_000)
    shapes = [(n, 10) for n in tables] + [(100, n) for n in columns[1:]]
    with ExitStack() as stack:
        server = stack.enter_context(embedded_server(choose(Needs(), bench.bin_option)))
        catalogs = {shape: _Catalog(server, *shape) for shape in shapes}
        looks = {shape: stack.enter_context(_looking(server, catalog)) for shape, catalog in catalogs.items()}
        taken: dict[str, list[float]] = {f"{what}, {_shape(shape)}": [] for what in ("snapshot", "diff") for shape in shapes}
        for n in range(-1, bench.rounds):  # one round goes before and is not counted
            for shape in shapes[n % len(shapes) :] + shapes[: n % len(shapes)]:
                change, *timed = looks[shape]
                change()
                for what, work in zip(("snapshot", "diff"), timed, strict=True):
                    took_ms = timed_ms(work)
                    taken[f"{what}, {_shape(shape)}"] += [took_ms] if n >= 0 else []
    of = {what: {shape: median(taken[f"{what}, {_shape(shape)}"]) for shape in shapes} for what in ("snapshot", "diff")}
    grown = {what: _grown(of[what], tables, columns) for what in of}
    rows = [
        (_shape(s), number(of["snapshot"][s]), grown["snapshot"][s], number(of["diff"][s]), grown["diff"][s], str(bench.rounds))
        for s in shapes
    ]
    largest = (tables[-1], 10)
    bench.tell(
        Section(
            "catalogs",
            "A catalog: one snapshot, and the difference of two",
            ("", "snapshot, median ms", "of linear", "diff, median ms", "of linear", "n"),
            rows,
            "ms",
            taken,
            {"PostgreSQL": server.binaries.version},
            ("Each table has a key, two more indexes and a CHECK, every tenth a foreign key.",),
        ),
        f"**A snapshot of {_shape(largest)}**: {verdict(of['snapshot'][largest] / 1000, 2, 's')}",
        f"**Its difference from another**: {verdict(of['diff'][largest] / 1000, 0.5, 's')}",
    )


def _shape(shape: tuple[int, int]) -> str:
    return f"{shape[0]:,} tables of {shape[1]:,} columns"


def _grown(medians: Mapping[tuple[int, int], float], tables: Sequence[int], columns: Sequence[int]) -> dict[tuple[int, int], str]:
    by_tables = of_linear({n: medians[(n, 10)] for n in tables})
    by_columns = of_linear({n: medians[(100, n)] for n in columns})
    return {(n, 10): by_tables[n] for n in tables} | {(100, n): by_columns[n] for n in columns[1:]}


class _Catalog:
    """A database with so many tables of so many columns."""

    def __init__(self, server: Server, tables: int, columns: int) -> None:
        self.name = f"catalog_{tables}_{columns}"
        with server.connect("postgres") as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(self.name), sql.Identifier(MAKER)))
        more = ", ".join(f"c{n} {('text', 'numeric(10,2)', 'timestamptz DEFAULT now()')[n % 3]}" for n in range(columns - 3))
        with server.connect(self.name, user=MAKER) as connection:
            for first in range(1, tables + 1, _BATCH):
                connection.execute(_made(first, min(tables, first + _BATCH - 1), more).encode())
            connection.execute("VACUUM ANALYZE")


def _made(first: int, last: int, more: str) -> str:
    return f"""DO $$ BEGIN FOR i IN {first:d}..{last:d} LOOP
        EXECUTE format('CREATE TABLE t%s (id bigint PRIMARY KEY, a int NOT NULL, b text CHECK (b <> ''''), {more})', i);
        EXECUTE format('CREATE INDEX ON t%s (a)', i);
        EXECUTE format('CREATE INDEX ON t%s (b, a)', i);
        IF i % 10 = 0 THEN EXECUTE format('ALTER TABLE t%s ADD FOREIGN KEY (a) REFERENCES t%s (id) NOT VALID', i, i); END IF;
    END LOOP; END $$""".replace("(a) REFERENCES t%s (id)", "(id) REFERENCES t%s (id)")


@contextmanager
def _looking(server: Server, catalog: _Catalog) -> Iterator[tuple[Work, Work, Work]]:
    """Works on one catalog: it is changed, looked at, and compared with what it was."""
    with ExitStack() as stack:
        hand = stack.enter_context(server.connect(catalog.name, user=MAKER))
        states = [_looked_at(server, catalog.name)]
        numbers = itertools.count()

        def change() -> None:
            n = next(numbers)
            hand.execute(f"ALTER TABLE t{n % 50 + 1} ADD COLUMN new{n} int; CREATE TABLE new{n} (id bigint PRIMARY KEY)".encode())

        def snapshot() -> None:
            states[:] = [states[-1], _looked_at(server, catalog.name)]

        def compare() -> None:
            told = compared(states[0], states[-1])
            expect(told > 0, "the two do not differ")

        yield change, snapshot, compare


def _looked_at(server: Server, database: str) -> Snapshot:
    """A snapshot over connections that know nothing yet, as the first one of a rehearsal is taken."""
    with observer(server, database) as one, observer(server, database) as other:
        return take_snapshot(one, other)


def compared(before: Snapshot, after: Snapshot) -> int:
    """Everything that a rehearsal compares but counts; how many changes there were."""
    touched, altered = diff.touched(before, after), diff.altered_columns(before, after)
    schema, constraints = diff.schema_changes(before, after), diff.constraint_changes(before, after)
    indexes, untouched = diff.index_changes(before, after), diff.untouched(before, after)
    expect(bool(touched) and bool(altered) and bool(constraints) and untouched > 0, f"not all was compared, {len(indexes)}")
    return len(schema)


# ── Statements ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def statements_text(statements: int) -> str:
    """A file of so many statements whose own cost does not grow: rows, columns' settings and comments in turn."""
    kinds = (
        "INSERT INTO t{t} (a, f) VALUES ({n}, 'f')",
        "COMMENT ON TABLE t{t} IS 'comment {n}'",
        "ALTER TABLE t{t} ALTER COLUMN a SET STATISTICS {s}",
        "UPDATE t{t} SET g = {n} WHERE id = 1",
    )
    return "".join(kinds[n % len(kinds)].format(n=n, t=n % 97 + 1, s=n % 1000) + ";\n" for n in range(statements))


def _statements(bench: Bench) -> None:
    sizes = (1, 10, 100) if bench.quick else (1, 10, 100, 1_000, 5_000)
    with embedded_server(choose(Needs(), bench.bin_option)) as server, _seed(server, Size(100, 100, 0)) as seed:
        psql: dict[int, list[float]] = {size: [] for size in sizes}
        ours: dict[int, list[float]] = {size: [] for size in sizes}
        for n in range(bench.rounds):
            for size in sizes[n % len(sizes) :] + sizes[: n % len(sizes)]:
                works = [(_psql, psql), (_rehearse, ours)]
                for work, taken in works if n % 2 else reversed(works):
                    with EmbeddedProvider(server, seed).clone() as clone:
                        taken[size].append(work(server, seed, clone.name, statements_text(size)))
    linear = of_linear({size: median(ours[size]) for size in sizes})
    rows = [
        (
            f"{size:,}",
            *(number(median(of[size])) for of in (psql, ours)),
            number(median(ours[size]) / size),
            linear[size],
            str(len(ours[size])),
        )
        for size in sizes
    ]
    samples = {
        f"{name}, {size} statements": taken[size] for name, taken in (("psql", psql), ("rehearsal", ours)) for size in sizes
    }
    bench.tell(
        Section(
            "statements",
            "Statements of one migration",
            ("statements", "psql, median ms", "rehearsal, median ms", "each", "of linear", "n"),
            rows,
            "ms",
            samples,
            {"PostgreSQL": server.binaries.version},
        )
    )


# ── Migrations ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _migrations(bench: Bench) -> None:
    sizes = (1, 20) if bench.quick else (1, 20, 200)
    rehearse = (
        "-m",
        "bot.cli",
        "rehearse",
        "--base",
        "main",
        "--quiet",
        "--postgres-bin",
        bench.bin_option,
        "--output",
        "report.md",
    )
    works: dict[str, Work] = {}
    for size in sizes:
        place = repository(
            bench.folder / f"migrations{size}",
            size,
            lambda n: (
                f"CREATE TABLE t{n} (id bigint PRIMARY KEY);\nALTER TABLE orders ADD c{n} int;\nUPDATE orders SET c{n} = 1;\n"
            ),
        )
        works[f"rehearse, {size} migrations"] = partial(bench.run, *rehearse, cwd=place)
        works[f"list, {size} migrations"] = partial(bench.run, "-m", "bot.cli", "list", "--base", "main", cwd=place)
    samples = alternately(works, bench.rounds)
    of = {what: {size: median(samples[f"{what}, {size} migrations"]) for size in sizes} for what in ("rehearse", "list")}
    linear = of_linear(of["rehearse"])
    rows = [
        (
            f"{size}",
            number(of["list"][size]),
            number(of["rehearse"][size]),
            number(of["rehearse"][size] / size),
            linear[size],
            str(bench.rounds),
        )
        for size in sizes
    ]
    times = of["rehearse"][sizes[-1]] / of["rehearse"][sizes[0]]
    bench.tell(
        Section(
            "migrations",
            "New migrations in one branch, the whole program",
            ("migrations", "list, median ms", "rehearse, median ms", "each", "of linear", "n"),
            rows,
            "ms",
            samples,
        ),
        f"**{sizes[-1]} migrations** cost {number(times)} times what one does. The goal: less than {sizes[-1]} times; "
        f"{'met' if times < sizes[-1] else 'not met'}. The start is most of one: each more of them costs "
        f"{number((of['rehearse'][sizes[-1]] - of['rehearse'][sizes[0]]) / (sizes[-1] - sizes[0]))} ms.",
    )


# ── Memory ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _memory(bench: Bench) -> None:
    sizes = (1, 10) if bench.quick else (1, 10, 100)
    cases: dict[str, tuple[str, ...]] = {}
    folder = bench.folder / "memory"
    folder.mkdir()
    (folder / "1_small.sql").write_text("UPDATE big SET a = 1;\n")
    for size in sizes:
        dump, rows, file = (folder / f"{what}{size}.sql" for what in ("dump", "rows", "2_file"))
        with dump.open("w") as out:
            out.write("CREATE TABLE big (id int, a int, b text);\nCOPY big FROM stdin;\n")
            out.writelines(f"{n}\t{n % 7}\t{'a text of some length ' * 4}{n}\n" for n in range(size * 10_000))
            out.write("\\.\n")
        made = f"generate_series(1, {size * 20_000}) AS n"
        rows.write_text(f"CREATE TABLE big AS SELECT n AS id, n % 7 AS a FROM {made};\n")  # noqa: S608  a number
        cases[f"dump of {size} MB"] = ("1_small.sql", "--seed", dump.name)
        cases[f"{size * 20_000:,} rows written"] = ("1_small.sql", "--seed", rows.name)
    for size in sizes[:-1] if not bench.quick else sizes:
        file = folder / f"2_file{size}.sql"
        with file.open("w") as out:
            for m in range(size * 66):
                out.write(f"INSERT INTO big VALUES {', '.join(f'({n}, {m})' for n in range(900))};\n")  # noqa: S608  numbers
        cases[f"file of {file.stat().st_size / 1e6:.1f} MB"] = (file.name, "--seed", "rows1.sql")
    peaks: dict[str, list[float]] = {name: [] for name in cases}
    names = list(cases)
    for n in range(bench.rounds):
        for name in names[n % len(names) :] + names[: n % len(names)]:
            more = ("--quiet", "--postgres-bin", bench.bin_option)
            peaks[name].append(bench.peak_mb("rehearse", *cases[name], *more, cwd=folder))
    ordered = sorted(cases, key=lambda name: name.split()[0] != "dump")
    rows_told = [
        (name, *(number(getattr(stats(peaks[name]), key)) for key in ("median", "most")), str(len(peaks[name])))
        for name in ordered
    ]
    bench.tell(
        Section("memory", "Peak resident memory of the program", ("", "median MB", "most MB", "n"), rows_told, "MB", peaks)
    )


if __name__ == "__main__":
    began = time.monotonic()
    status = main()
    print(f"{time.monotonic() - began:.0f} s", file=sys.stderr)
    raise SystemExit(status)
