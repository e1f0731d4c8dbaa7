"""The way back, tried on the shadow: up, down, is everything as it was, and up again. And a file run twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import psycopg

from bot import diff
from bot.applying import Applied
from bot.errors import CloneError
from bot.layouts import named
from bot.model import Down, Loss, Migration, Outcome, SecondRun
from bot.postgres.catalog import Column, Snapshot, Table
from bot.postgres.counts import Counts, count_table
from bot.rehearsal import HIDES_ITS_TRACES
from bot.shadow import Done, Shadow, not_tried
from bot.sql import split


def way_back(done: Done, shadow: Shadow) -> Down:
    """Tries the down part of an applied migration on the shadow, which is left in the state after the migration if that is
    proven to be the clone's, and else thrown away.

    A trial that can't be made is no answer, and no reason to lose the rehearsal: its outcome is `skipped`, and `error` says why.
    """
    migration = done.migration
    down = replace(migration, text=migration.down or "", path=migration.down_path or migration.path)
    try:
        return _tried(done, down, shadow)
    except (CloneError, psycopg.Error) as error:
        shadow.discard()
        return Down(down.path, Outcome.SKIPPED, restored=False, empty=_is_empty(down), error=not_tried(error))


def second_run(done: Done, shadow: Shadow) -> SecondRun:
    """Runs a migration on the shadow as a whole, and then once more: what its tool does that is started again after the file
    failed half way. The shadow is thrown away. `skipped`: as for the way back.
    """
    try:
        shadow.bring_to(done.number + 1)
        again = shadow.run(done.migration)
    except (CloneError, psycopg.Error) as error:
        return SecondRun(Outcome.SKIPPED, error=not_tried(error))
    finally:
        shadow.discard()
    if again.error is None:
        return SecondRun(Outcome.APPLIED)
    return SecondRun(Outcome.FAILED, len(again.run.results) if again.run else None, again.error)


def _tried(done: Done, down: Migration, shadow: Shadow) -> Down:
    shadow.bring_to(done.number)
    before = shadow.snapshot()
    shadow.bring_to(done.number + 1)
    back = shadow.run(down)
    tried = Down(
        path=down.path,
        outcome=Outcome.FAILED if back.error else Outcome.APPLIED,
        restored=False,
        duration_ms=round(back.run.now_ms(), 3) if back.run else 0.0,
        empty=_is_empty(down),
        error=back.error,
    )
    if back.error:
        shadow.discard()
        return tried
    after = shadow.snapshot()
    differences = diff.schema_differences(before, after)
    losses = tuple(sorted(_losses(done, before, after, shadow), key=lambda loss: (not loss.kept_before, loss.table)))
    again = shadow.run(done.migration)
    if not _is_as_the_clone(done, again, before, shadow):
        shadow.discard()
    return replace(
        tried,
        restored=not differences,
        differences=differences,
        rows_lost=sum(loss.lost for loss in losses if loss.kept_before and loss.column is None),
        losses=losses,
        again=Outcome.FAILED if again.error else Outcome.APPLIED,
        again_error=again.error,
    )


def _is_empty(migration: Migration) -> bool:
    return not split(migration.text).statements


def _is_as_the_clone(done: Done, again: Applied, before: Snapshot, shadow: Shadow) -> bool:
    """Whether the shadow, after up, down and up again, is proven to be as the clone is after the migration: the schema is, and
    no row that was there before was touched. What the migration made anew it made from the same rows.
    """
    if again.error or _is_felt_by_the_next(done.migration):
        return False
    now = shadow.snapshot()
    touched = _touched(done, before, now) & diff.roots(before).keys()
    return not touched and not diff.schema_differences(done.after, now)


def _touched(done: Done, before: Snapshot, after: Snapshot) -> set[int]:
    """The tables that the round trip may have touched: all of them where the row counters prove nothing."""
    if HIDES_ITS_TRACES.search(f"{done.migration.text} {done.migration.down}"):
        return {*diff.roots(before), *diff.roots(after)}
    return diff.touched(before, after)


def _is_felt_by_the_next(migration: Migration) -> bool:
    """Whether the migration sets something for its session, in which its tool runs the next one too."""
    statements = split(migration.text).statements if named(migration.layout).one_session else ()
    return any("set_config" in s.sql or (s.begins("set") and not s.begins("set local")) for s in statements)


# ── What is lost ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _losses(done: Done, before: Snapshot, after: Snapshot, shadow: Shadow) -> Iterator[Loss]:
    """Data that is not there after the way back. Objects of the clone and the shadow have the same names, but not the same OIDs;
    nor has what the way back made anew.
    """
    yield from _lost_of_before(done, before, after, shadow)
    there = {table.name for table in after.tables.values()}
    columns = {(after.tables[c.table_oid].name, c.name) for c in after.columns.values()}
    for loss in _filled(done):
        if loss.table not in there if loss.column is None else (loss.table, loss.column) not in columns:
            yield loss


def _lost_of_before(done: Done, before: Snapshot, after: Snapshot, shadow: Shadow) -> Iterator[Loss]:
    """Rows, and values of columns, that were there before the migration. Only what the round trip touched is counted."""
    changed = _touched(done, before, after) | diff.altered_columns(before, after).keys()
    oids = {table.name: table.oid for table in done.before.tables.values()}
    tables = [before.tables[oid] for oid in sorted(changed & before.tables.keys()) if _holds_data(before.tables[oid])]
    held = done.held_before.before(oids[table.name] for table in tables if table.name in oids)
    by_name = {table.name: table for table in after.tables.values()}
    patience = shadow.limits.counting.within(shadow.limits.migration_s)
    with shadow.read() as reader:
        for table in tables:
            was = held.get(oids.get(table.name, 0))
            if was is None or was.rows == 0:
                continue
            same = after.tables.get(table.oid) or by_name.get(table.name)
            if same is None:
                yield Loss(table.name, None, was.rows, kept_before=True)
                continue
            now = count_table(reader, same, after.columns.of(same.oid), patience=patience)
            lost = max(0, was.rows - now.rows)
            if lost:
                yield Loss(table.name, None, lost, kept_before=True)
            had = _values(was, done.before.columns.of(oids[table.name]))
            has = _values_now(now, before.columns.of(table.oid), after.columns.of(same.oid))
            for column, values in had.items():
                gone = values - has.get(column, 0) - lost  # those of lost rows are told with the rows
                if gone > 0:
                    yield Loss(table.name, column, gone, kept_before=True)


def _values(counts: Counts, columns: Sequence[Column]) -> dict[str, int]:
    """Values that are not NULL, by column; what is computed from others is nobody's data."""
    return {c.name: counts.rows - counts.nulls.get(c.number, 0) for c in columns if not _is_computed(c)}


def _values_now(counts: Counts, before: Sequence[Column], now: Sequence[Column]) -> dict[str, int]:
    """The same, by the name that a column had before: it is known by its number, or else by its name."""
    numbers = {c.number: c.name for c in before}
    values = _values(counts, now)
    return values | {numbers[c.number]: values[c.name] for c in now if c.number in numbers and c.name in values}


def _filled(done: Done) -> Iterator[Loss]:
    """Rows of the tables that came with the migration, and values of the columns that did, as they are on the clone after it. A
    column that only has its default, in a table of which no row was written, was filled by nobody.
    """
    before, after = done.before, done.after
    names = {table.name for table in before.tables.values()}
    roots = {oid: table for oid, table in after.tables.items() if _holds_data(table)}
    touched = diff.touched(before, after)
    held = done.held_after.before(roots.keys() & touched)
    for oid, table in sorted(roots.items()):
        if oid not in held:
            continue
        if oid not in before.tables:
            if table.name not in names and held[oid].rows:
                yield Loss(table.name, None, held[oid].rows, kept_before=False)
            continue
        known = {c.name for c in before.columns.of(oid)}
        came = [c for c in after.columns.of(oid) if (oid, c.number) not in before.columns and c.name not in known]
        for column, values in _values(held[oid], came).items():
            if values:
                yield Loss(before.tables[oid].name, column, values, kept_before=False)


def _holds_data(table: Table) -> bool:
    """Whether it is told of as a table with rows of its own: no partition, and no materialised view, which can be refreshed."""
    return table.kind in ("r", "p") and table.root == table.oid


def _is_computed(column: Column) -> bool:
    return "GENERATED ALWAYS AS (" in column.definition
