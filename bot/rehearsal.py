"""One migration on a clone, run and watched -> Rehearsal: what it did to rows, NULLs, constraints and the schema."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import ExitStack
from dataclasses import dataclass, replace

import psycopg

from bot import diff
from bot.applying import Applied, Limits
from bot.clones.lookout import Lookout
from bot.dependents import Lines, dependents, lines_of_tables, names_gone
from bot.errors import CloneError
from bot.guards import guards_lost, rights_lost, rights_taken
from bot.model import (
    ColumnNulls,
    ConstraintChange,
    Dependent,
    GuardLost,
    IndexChange,
    KeyUse,
    LockSpan,
    Migration,
    Outcome,
    Rehearsal,
    RightLost,
    SchemaChange,
    SequenceBehind,
    TableChange,
)
from bot.performing import perform
from bot.postgres.afterwards import (
    Written,
    functions_naming,
    indexed,
    keys,
    next_numbers,
    not_had,
    sequences_behind,
    usage,
)
from bot.postgres.catalog import Constraint, Snapshot, read_constraints, take_snapshot
from bot.postgres.counts import Counts, Ledger, count_table, next_xid
from bot.postgres.locks import strongest
from bot.postgres.reading import Patience
from bot.postgres.violations import Violations, count_violations
from bot.progress import Progress
from bot.sources import shown_place
from bot.sql import redacted
from bot.words import last_part


def rehearse(
    migration: Migration,
    connection: psycopg.Connection,
    lookout: Lookout,
    before: Snapshot,
    ledger: Ledger,
    limits: Limits,
    progress: Progress,
) -> tuple[Rehearsal, Snapshot]:
    """Runs a migration on `connection` and reports it; gives the snapshot after it too.

    `lookout` has other connections to the same clone, for looking: one watches while the migration runs, which may end it or
    lock it out. `before` is the clone's snapshot; `ledger` knows what its tables held. The connection is left outside any
    transaction.
    """
    with progress.step(f"rehearse {migration.path}"), ExitStack() as stack:
        watcher = lookout.one()
        since_xid, used, numbers = next_xid(watcher), usage(watcher), next_numbers(watcher)
        if _ENDS_SESSIONS.search(migration.text):  # as its role might: sessions of its own, and not a superuser's
            lookout.close()
            watcher = stack.enter_context(lookout.read())
        done = perform(migration, connection, watcher, limits, before)
        if done.error:
            connection.close()  # what it holds for its session would be in our way, and nothing runs on it any more
    observer = lookout.one()
    uses = usage(observer)
    after = take_snapshot(*lookout.two())
    with progress.step(f"count what {migration.path} touched", only_if_long=True):
        touched = diff.touched(before, after)
        if HIDES_ITS_TRACES.search(done.sent or migration.text):
            touched = before.tables.keys() | after.tables.keys()
        facts = _facts(lookout, _Change(before, after, touched, since_xid, numbers), ledger, limits, done)
    run = done.run
    rehearsal = Rehearsal(
        path=migration.path,
        version=migration.version,
        layout=migration.layout,
        outcome=Outcome.FAILED if done.error else Outcome.APPLIED,
        transaction=done.transaction,
        duration_ms=round(run.now_ms(), 3) if run else 0.0,
        wal_bytes=uses.wal - used.wal if not done.error else None,
        disk_bytes=after.disk_bytes - before.disk_bytes if not done.error else None,
        temp_bytes=uses.temp_bytes - used.temp_bytes if not done.error else None,
        error=done.error,
        statements=tuple(replace(r, sql=redacted(r.sql)) for r in run.results) if run else (),
        statements_total=done.statements,
        locks=strongest(run.spans(), facts.rows_before, run.kinds) if run else (),
        lock_spans=run.spans() if run else (),
        tables=facts.tables,
        columns=facts.columns,
        constraints=_merged(done.refused, facts.constraints, before),
        indexes=facts.indexes,
        schema=facts.schema,
        dependents=facts.dependents,
        keys=facts.keys,
        guards_lost=facts.guards_lost,
        rights_lost=facts.rights_lost,
        sequences_behind=facts.sequences_behind,
        untouched_tables=diff.untouched(before, after),
        files=migration.files,
    )
    return rehearsal, after


def catch_up(
    migrations: Sequence[Migration],
    connect: Callable[[Migration], psycopg.Connection],
    lookout: Lookout,
    before: Snapshot,
    ledger: Ledger,
    limits: Limits,
    behind: Callable[[psycopg.Connection, Migration], None],
) -> Snapshot:
    """Runs migrations again that were rehearsed before, without watching them, so that the next one finds what they leave, and
    `behind` each what their tool does; gives the snapshot after them, and tells `ledger` what they touched.

    Raises CloneError if one fails, which was applied when it was rehearsed.
    """
    for migration in migrations:
        connection = connect(migration)
        if error := perform(migration, connection, None, limits).error:
            raise CloneError(
                f"{shown_place(migration, error.line)} fails, which was applied when it was rehearsed before: {error.message}",
                why="A rehearsal in the journal was to be continued, and the migration does not do the same each time.",
                advice="Rehearse anew: `rerun: force`.",
            )
        behind(connection, migration)
    hidden = any(HIDES_ITS_TRACES.search(migration.text) for migration in migrations)
    return look_again(lookout, before, ledger, limits, hidden=hidden)


def look_again(lookout: Lookout, before: Snapshot, ledger: Ledger, limits: Limits, *, hidden: bool = False) -> Snapshot:
    """The snapshot after something that is not told as a migration's doing; `ledger` is told what it touched, or where that is
    `hidden` all there is.
    """
    after = take_snapshot(*lookout.two())
    touched = diff.touched(before, after) | diff.altered_columns(before, after).keys()
    if hidden:
        touched = before.tables.keys() | after.tables.keys()
    with lookout.read() as reader:
        ledger.after(_counted(reader, after, touched, limits))
    return after


# Then the row counters prove nothing, and every table is counted.
HIDES_ITS_TRACES = re.compile(r"track_counts|pg_stat_reset", re.IGNORECASE)
_ENDS_SESSIONS = re.compile(r"pg_(terminate|cancel)_backend", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class _Change:
    """The clone before and after a migration, the tables it touched, the first transaction id that was its own, and the number
    that each sequence gave next before it.
    """

    before: Snapshot
    after: Snapshot
    touched: Set[int]
    since_xid: int
    numbers: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class _Facts:
    """What was found afterwards. `rows_before`: of each table by its name, as far as is known without counting."""

    rows_before: Mapping[str, int]
    tables: tuple[TableChange, ...] = ()
    columns: tuple[ColumnNulls, ...] = ()
    constraints: tuple[ConstraintChange, ...] = ()
    indexes: tuple[IndexChange, ...] = ()
    schema: tuple[SchemaChange, ...] = ()
    dependents: tuple[Dependent, ...] = ()
    keys: tuple[KeyUse, ...] = ()
    guards_lost: tuple[GuardLost, ...] = ()
    rights_lost: tuple[RightLost, ...] = ()
    sequences_behind: tuple[SequenceBehind, ...] = ()


def _facts(lookout: Lookout, change: _Change, ledger: Ledger, limits: Limits, done: Applied) -> _Facts:
    """Counts what the migration touched, before it and after it, and the rows that break what it added NOT VALID."""
    before, after, run = change.before, change.after, done.run
    if run is None or not run.committed:  # rolled back as a whole: that nothing stayed need not be counted
        return _Facts(ledger.rows_known(before))
    changed = change.touched | diff.altered_columns(before, after).keys()
    was = ledger.before(changed)
    rows_before, written, said = ledger.rows_known(before), _locked(run.spans()), Lines(run.results)
    observer, worked_on = lookout.one(), change.touched | {oid for oid, t in after.tables.items() if t.name in written}
    patience = limits.counting.within(limits.migration_s)
    with lookout.read() as reader:
        now = _counted(reader, after, change.touched, limits, change.since_xid)
        now |= _counted(reader, after, changed - change.touched, limits)  # no row of theirs was written
        tables = diff.table_changes(before, after, change.touched, (was, now), lines_of_tables(run.results))
        used = keys(observer, reader, worked_on & after.tables.keys(), patience=patience)
        numbered = Written(change.numbers, before, change.since_xid, _only_inserted(after, tables))
        behind = sequences_behind(observer, reader, worked_on & after.tables.keys(), numbered, patience=patience)
        constraints = _constraints(lookout, change, patience, said)
    ledger.after(now)
    schema, built = diff.schema_changes(before, after), {work.name: r.line for r in run.results for work in r.indexes}
    gone = dependents(schema, functions_naming(observer, names_gone(schema)), diff.constraints_gone_with(before, after), said)
    taken = rights_taken(before, after)
    return _Facts(
        rows_before,
        tables=tables,
        columns=diff.column_nulls(before, after, (was, now)),
        constraints=constraints,
        indexes=tuple(
            replace(i, line=built.get(i.name) or said.of(last_part(i.name)), rows=rows_before.get(i.table) if i.leading else None)
            for i in diff.index_changes(before, after)
        ),
        schema=schema,
        dependents=gone,
        keys=used,
        guards_lost=guards_lost(before, after, said, {d.name for d in gone if d.problem == "dropped"}),
        rights_lost=rights_lost([taken[n] for n in not_had(observer, [(t.now, t.role, t.privilege) for t in taken])], said),
        sequences_behind=tuple(replace(b, line=said.of(last_part(b.sequence)) or said.of(last_part(b.table))) for b in behind),
    )


def _only_inserted(after: Snapshot, tables: Iterable[TableChange]) -> set[int]:
    """Tables whose rows, as far as they were there before, are as they were: by OID."""
    names = {t.name for t in tables if t.rows_before is None or ((t.updated, t.deleted) == (0, 0) and not t.rewritten)}
    return {oid for oid, table in after.tables.items() if table.name in names}


def _counted(
    reader: psycopg.Connection, snapshot: Snapshot, oids: Set[int], limits: Limits, since_xid: int | None = None
) -> dict[int, Counts]:
    """Counts of those tables that there are."""
    tables = [snapshot.tables[oid] for oid in sorted(oids & snapshot.tables.keys())]
    patience = Patience(guard=limits.guard).within(limits.migration_s)
    return {t.oid: count_table(reader, t, snapshot.columns.of(t.oid), since_xid=since_xid, patience=patience) for t in tables}


def _constraints(lookout: Lookout, change: _Change, patience: Patience, said: Lines) -> tuple[ConstraintChange, ...]:
    observer = lookout.one()
    changes = diff.constraint_changes(change.before, change.after)
    there = {c.table_oid for c, how in changes if how != "dropped"}
    whole = read_constraints(observer, there) if there else {}
    keys_added = [c.oid for c, how in changes if c.kind == "foreign key" and how == "added"]
    has_index = indexed(observer, keys_added) if keys_added else {}
    broken = {found.key for found, how in changes if how != "dropped" and not whole.get(found.key, found).validated}
    counts = _violations(lookout, [whole.get(key, found) for found, _how in changes if (key := found.key) in broken], patience)
    told = []
    for found, how in changes:
        constraint, counted = whole.get(found.key, found), counts.get(found.key)
        one = diff.constraint_change(constraint, how, counted.violations if counted else None, counted.rows if counted else None)
        index = has_index.get(constraint.oid) if constraint.kind == "foreign key" else None
        told.append(replace(one, line=said.of(constraint.name) or _line_of_columns(constraint, how, said), indexed=index))
    return tuple(told)


def _violations(
    lookout: Lookout, constraints: Sequence[Constraint], patience: Patience
) -> dict[tuple[int, str, str], Violations | None]:
    """By key; counted with the database's own search_path: a function in a CHECK may rely on it."""
    counts: dict[tuple[int, str, str], Violations | None] = {}
    with ExitStack() as stack:
        connection: psycopg.Connection | None = None
        for constraint in constraints:
            if connection is None or connection.closed:  # the guard may have ended it
                connection = stack.enter_context(lookout.read(own_names=True))
            with patience.guard.watching(connection, patience.left_s):
                counts[constraint.key] = count_violations(connection, constraint, limit_ms=patience.left_ms)
    return counts


def _line_of_columns(constraint: Constraint, how: str, said: Lines) -> int | None:
    """A constraint that PostgreSQL named itself: the statement that says its table and its columns."""
    if how != "added" or not constraint.columns:
        return None
    return said.of(last_part(constraint.table_name), *(last_part(column) for column in constraint.columns))


def _locked(spans: Iterable[LockSpan]) -> set[str]:
    """Relations whose rows the migration wrote, or that it worked on."""
    return {span.relation for span in spans if span.mode not in ("AccessShareLock", "RowShareLock")}


def _merged(
    refused: tuple[ConstraintChange, ...], changed: tuple[ConstraintChange, ...], before: Snapshot
) -> tuple[ConstraintChange, ...]:
    """What was refused, then what changed; an invalid index that a refused one left is told once, as added."""
    names = {(c.table_name, c.name) for c in before.constraints.values()} if refused else set()
    told = [replace(c, change="added") if (c.table, c.name) not in names else c for c in refused]
    again = {(c.table, c.name) for c in told}
    return (*told, *(c for c in changed if (c.table, c.name) not in again))
