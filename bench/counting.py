"""Growth of what a count takes, with rows and with columns: beside a bare `count(*)` of the same table."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from bench.growing import Bench, median, of_linear
from bench.measure import Section, Work, alternately, expect, number, times
from bot.clones.embedded import SEED, observer, reader
from bot.postgres.binaries import Needs, choose
from bot.postgres.catalog import take_snapshot
from bot.postgres.counts import count_table, next_xid
from bot.postgres.embedded import MAKER, embedded_server

_FEW_ROWS, _FEW_COLUMNS = 10_000, 10
Shape = tuple[int, int]  # rows and columns


def measure_counting(bench: Bench) -> None:
    """The program's own count of a table, after a migration that wrote to every row, and a bare one."""
    rows = (10_000, 100_000) if bench.quick else (10_000, 100_000, 1_000_000, 5_000_000)
    columns = (10, 100) if bench.quick else (10, 100, 1_000)
    shapes = [(n, _FEW_COLUMNS) for n in rows] + [(_FEW_ROWS, n) for n in columns[1:]]
    with embedded_server(choose(Needs(), bench.bin_option)) as server, ExitStack() as stack:
        with server.connect("postgres") as admin:
            admin.execute(f"CREATE DATABASE {SEED} OWNER {MAKER}".encode())
        hand = stack.enter_context(server.connect(SEED, user=MAKER))
        for shape in shapes:
            hand.execute(_table(*shape).encode())
        hand.execute("VACUUM ANALYZE")
        eyes = [stack.enter_context(observer(server, SEED)) for _ in range(2)]
        looker = stack.enter_context(reader(server, SEED, MAKER))
        there, since = take_snapshot(*eyes), next_xid(eyes[0])
        for shape in shapes:
            hand.execute(f"UPDATE {_name(*shape)} SET id = id".encode())  # noqa: S608  a number
        works: dict[str, Work] = {}
        for shape in shapes:
            (table,) = (t for t in there.tables.values() if t.name == f"public.{_name(*shape)}")
            counted = partial(count_table, looker, table, there.columns.of(table.oid), since_xid=since)
            found = counted()
            expect(found.rows == found.written == shape[0], f"{table.name} has another number of rows")
            works[f"count, {_told(shape)}"] = counted
            works[f"bare, {_told(shape)}"] = partial(looker.execute, f"SELECT count(*) FROM {table.name}".encode())  # noqa: S608
        samples = alternately(works, bench.rounds, warm_up=1)
    of = {what: {shape: median(samples[f"{what}, {_told(shape)}"]) for shape in shapes} for what in ("bare", "count")}
    grown = {(n, _FEW_COLUMNS): told for n, told in of_linear({n: of["count"][(n, _FEW_COLUMNS)] for n in rows}).items()}
    by_columns = of_linear({n: of["count"][(_FEW_ROWS, n)] for n in columns})
    grown |= {(_FEW_ROWS, n): by_columns[n] for n in columns[1:]}
    bench.tell(
        Section(
            "counting",
            "A count of rows, of the NULLs of each column, and of the rows written",
            ("", "bare count(*), median ms", "ours, median ms", "of bare", "of linear", "n"),
            [(_told(s), *_row(of["bare"][s], of["count"][s]), grown[s], str(bench.rounds)) for s in shapes],
            "ms",
            samples,
            {"PostgreSQL": server.binaries.version},
        )
    )  # fmt: skip


def _row(bare_ms: float, ours_ms: float) -> tuple[str, ...]:
    return number(bare_ms), number(ours_ms), times(ours_ms, bare_ms)


def _told(shape: Shape) -> str:
    return f"{shape[0]:,} rows of {shape[1]:,} columns"


def _name(rows: int, columns: int) -> str:
    return f"rows_{rows}_columns_{columns}"


def _table(rows: int, columns: int) -> str:
    more = ", ".join(f"CASE WHEN n % {c + 2} > 0 THEN n % 100 END AS c{c}" for c in range(columns - 1))
    return f"CREATE TABLE {_name(rows, columns)} AS SELECT n AS id, {more} FROM generate_series(1, {rows}) AS n"  # noqa: S608  numbers
