"""One migration on a clone, run and watched -> Rehearsal: what it did to rows, NULLs, constraints and the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace

import psycopg

from bot import diff
from bot.applying import Limits, Run, apply
from bot.errors import CloneError
from bot.model import ColumnNulls, ConstraintChange, Migration, Outcome, Rehearsal, StatementResult, TableChange
from bot.postgres.catalog import Snapshot, read_constraints, take_snapshot
from bot.postgres.counts import Counts, Ledger, count_table, next_xid
from bot.postgres.violations import count_violations
from bot.progress import Progress
from bot.sql import redacted


def rehearse(
    migration: Migration,
    connection: psycopg.Connection,
    observe: Callable[[], psycopg.Connection],
    before: Snapshot,
    ledger: Ledger,
    limits: Limits,
    progress: Progress,
) -> tuple[Rehearsal, Snapshot]:
    """Runs a migration on `connection` and reports it; gives the snapshot after it too.

    `observe` opens another connection to the same clone, for looking: one watches while the migration runs, which may end it or
    lock it out, and a fresh one looks afterwards. `before` is the clone's snapshot; `ledger` knows what its tables held. The
    connection is left outside any transaction.
    """
    with progress.step(f"rehearse {migration.path}"), observe() as watcher:
        since_xid = next_xid(watcher)
        done = apply(migration, connection, watcher, limits)
    with observe() as observer:
        after = take_snapshot(observer)
        with progress.step(f"count what {migration.path} touched", only_if_long=True):
            touched = diff.touched(before, after)
            if _HIDES_ITS_TRACES.search(migration.text):
                touched = before.tables.keys() | after.tables.keys()
            facts = _facts(observer, _Change(before, after, touched, since_xid), ledger, limits, done.run)
    run = done.run
    rehearsal = Rehearsal(
        path=migration.path,
        version=migration.version,
        layout=migration.layout,
        outcome=Outcome.FAILED if done.error else Outcome.APPLIED,
        transaction=done.transaction,
        duration_ms=round(run.now_ms(), 3) if run else 0.0,
        error=done.error,
        statements=tuple(replace(r, sql=redacted(r.sql)) for r in run.results) if run else (),
        statements_total=len(done.script.statements),
        locks=run.watch.strongest() if run else (),
        tables=facts.tables,
        columns=facts.columns,
        constraints=_merged(done.refused, facts.constraints, before),
        schema=diff.schema_changes(before, after),
        untouched_tables=diff.untouched(before, after),
    )
    return rehearsal, after


def catch_up(
    migrations: Sequence[Migration],
    connect: Callable[[Migration], psycopg.Connection],
    observe: Callable[[], psycopg.Connection],
    before: Snapshot,
    ledger: Ledger,
    limits: Limits,
) -> Snapshot:
    """Runs migrations again that were rehearsed before, without watching them, so that the next one finds what they leave;
    gives the snapshot after them, and tells `ledger` what they touched.

    Raises CloneError if one fails, which was applied when it was rehearsed.
    """
    for migration in migrations:
        if error := apply(migration, connect(migration), None, limits).error:
            raise CloneError(
                f"{migration.path}:{error.line} fails, which was applied when it was rehearsed before: {error.message}",
                why="A rehearsal in the journal was to be continued, and the migration does not do the same each time.",
                advice="Rehearse anew: `rerun: force`.",
            )
    with observe() as observer:
        after = take_snapshot(observer)
        touched = diff.touched(before, after) | diff.altered_columns(before, after).keys()
        if any(_HIDES_ITS_TRACES.search(migration.text) for migration in migrations):
            touched = before.tables.keys() | after.tables.keys()
        there = sorted(touched & after.tables.keys())
        ledger.after({oid: count_table(observer, after.tables[oid], after.columns.of(oid)) for oid in there})
    return after


# Then the row counters prove nothing, and every table is counted.
_HIDES_ITS_TRACES = re.compile(r"track_counts|pg_stat_reset", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Change:
    """The clone before and after a migration, the tables it touched, and the first transaction id that was its own."""

    before: Snapshot
    after: Snapshot
    touched: Set[int]
    since_xid: int


@dataclass(frozen=True, slots=True)
class _Facts:
    tables: tuple[TableChange, ...]
    columns: tuple[ColumnNulls, ...]
    constraints: tuple[ConstraintChange, ...]


def _facts(observer: psycopg.Connection, change: _Change, ledger: Ledger, limits: Limits, run: Run | None) -> _Facts:
    """Counts what the migration touched, before it and after it, and the rows that break what it added NOT VALID."""
    if run is None or not run.committed:  # rolled back as a whole: that nothing stayed need not be counted
        return _Facts((), (), ())
    before, after = change.before, change.after
    changed = change.touched | diff.altered_columns(before, after).keys()
    was = ledger.before(changed)
    now: dict[int, Counts] = {}
    for oid in sorted(changed & after.tables.keys()):
        now[oid] = count_table(observer, after.tables[oid], after.columns.of(oid), since_xid=change.since_xid)
    ledger.after(now)
    lines = _lines_of_tables(run)
    tables = diff.table_changes(before, after, change.touched, (was, now), lines)
    constraints = []
    changes = diff.constraint_changes(before, after)
    there = {c.table_oid for c, how in changes if how != "dropped"}
    whole = read_constraints(observer, there) if there else {}
    for found, how in changes:
        constraint, counted = whole.get(found.key, found), None
        if how != "dropped" and not constraint.validated:
            counted = count_violations(observer, constraint, limit_ms=limits.count_ms, default_path=True)
        told = diff.constraint_change(constraint, how, counted.violations if counted else None, counted.rows if counted else None)
        constraints.append(replace(told, line=_line_of_name(run, constraint.name)))
    return _Facts(tables, diff.column_nulls(before, after, (was, now)), tuple(constraints))


def _merged(
    refused: tuple[ConstraintChange, ...], changed: tuple[ConstraintChange, ...], before: Snapshot
) -> tuple[ConstraintChange, ...]:
    """What was refused, then what changed; an invalid index that a refused one left is told once, as added."""
    names = {(c.table_name, c.name) for c in before.constraints.values()} if refused else set()
    told = [replace(c, change="added") if (c.table, c.name) not in names else c for c in refused]
    again = {(c.table, c.name) for c in told}
    return (*told, *(c for c in changed if (c.table, c.name) not in again))


def _line_of_name(run: Run, name: str) -> int | None:
    """The first statement that says a constraint's name; None if PostgreSQL made the name up."""
    word = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
    return next((result.line for result in run.results if word.search(result.sql)), None)


def _lines_of_tables(run: Run) -> dict[str, int]:
    """For each relation the line of the longest statement that added a lock on it: most likely the one that changed it."""
    longest: dict[str, StatementResult] = {}
    for result in run.results:
        for lock in result.locks or ():
            known = longest.get(lock.relation)
            if known is None or result.duration_ms > known.duration_ms:
                longest[lock.relation] = result
    return {relation: result.line for relation, result in longest.items()}
