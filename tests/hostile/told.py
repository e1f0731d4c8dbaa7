"""What a rehearsal tells, as lines: what a case says must be true is compared with these."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Down, Rehearsal


def told(rehearsal: Rehearsal) -> set[str]:
    """Each fact as one line."""
    return set(_lines(rehearsal))


def _lines(rehearsal: Rehearsal) -> Iterator[str]:
    for table in rehearsal.tables:
        yield f"{table.name}: {table.rows_before} → {table.rows_after} rows"
        yield f"{table.name}: {table.inserted} inserted, {table.updated} updated, {table.deleted} deleted"
        if table.rewritten:
            yield f"{table.name}: rewritten"
    if any(statement.locks is None for statement in rehearsal.statements):
        yield "locks: unseen"
    for column in rehearsal.columns:
        yield f"{column.table}.{column.name}: {column.nulls_before} → {column.nulls_after} NULLs"
    for kind in rehearsal.types:
        yield f"{kind.table}.{kind.column}: {kind.values_changed} values changed"
    for lock in rehearsal.locks:
        yield f"{lock.relation}: {lock.mode}"
    for constraint in rehearsal.constraints:
        refused = "refused" if constraint.refused else constraint.change
        yield f"{constraint.name}: {refused}, {constraint.violations} rows break it"
    for change in rehearsal.schema:
        yield f"{change.kind} {change.name}: {change.change}"
    for key in rehearsal.keys:
        yield f"{key.table}.{key.column}: up to {key.highest}"
    for expectation in rehearsal.expectations:
        yield f"expectation: {'fulfilled' if expectation.passed else expectation.detail}"
    if rehearsal.second_run:
        yield f"second run: {rehearsal.second_run.outcome}"
    if rehearsal.down:
        yield from _way_back(rehearsal.down)


def _way_back(down: Down) -> Iterator[str]:
    yield f"way back: {down.outcome}"
    if down.error:
        yield f"way back: {down.error.message}"
    if down.restored:
        yield "way back: all as before"
    yield f"way back: {down.rows_lost} rows lost"
