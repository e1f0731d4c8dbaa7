"""Rule: values of a column are lost: it was dropped, or they were overwritten with NULL."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import ColumnNulls, Finding, Rehearsal, Severity
from bot.rules._seen import line_that_says
from bot.rules._sql import unquoted
from bot.rules.base import Policy, Rule
from bot.words import count, last_part, name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for column in rehearsal.columns:
        had = column.values_before or 0
        if not had or _is_computed(rehearsal, column):
            continue
        shown = name(f"{relation(column.table)}.{column.name}")
        if column.values_after is None and column.nulls_after is None:
            moved = _moved(rehearsal, column)
            message = f"{shown} is dropped with {count(had, 'value')}"
            if moved:
                message += f"; the new column {name(moved)} has as many"
            yield _finding(rehearsal, column, message, had, Severity.ERROR)
        elif column.values_after is not None:
            # What went with rows that were deleted is told with the rows; where nothing is left in the others, that is all.
            none_left = not column.values_after and bool(column.nulls_after)
            lost = had - column.values_after - (0 if none_left else _rows_gone(rehearsal, column.table))
            if lost > 0:
                message = f"{lost:,} of {count(had, 'value')} of {shown} are NULL now"
                yield _finding(rehearsal, column, message, lost, Severity.WARNING)


def _finding(rehearsal: Rehearsal, column: ColumnNulls, message: str, lost: int, severity: Severity) -> Finding:
    line = line_that_says(rehearsal, column.name)
    return RULE.found(rehearsal, message, line=line, severity=severity, measured=lost, limit=0)


def _is_computed(rehearsal: Rehearsal, column: ColumnNulls) -> bool:
    """Whether its values were computed from other columns: they can be again."""
    gone = (
        c
        for c in rehearsal.schema
        if c.kind == "column" and c.change == "dropped" and "GENERATED ALWAYS AS (" in (c.before or "")
    )
    return any(c.name.startswith(f"{column.table}.") and last_part(c.name) == unquoted(column.name) for c in gone)


def _moved(rehearsal: Rehearsal, gone: ColumnNulls) -> str | None:
    """A column that came to the same table with at least as many values."""
    for column in rehearsal.columns:
        is_new = column.values_before is None and column.nulls_before is None
        if column.table == gone.table and is_new and (column.values_after or 0) >= (gone.values_before or 0):
            return column.name
    return None


def _rows_gone(rehearsal: Rehearsal, table: str) -> int:
    """Rows that went, whose values went with them; rule rows-lost tells of them."""
    for change in rehearsal.tables:
        if change.name == table:
            return max(change.deleted or 0, (change.rows_before or 0) - (change.rows_after or 0), 0)
    return 0


RULE = Rule(
    id="column-values-lost",
    severity=Severity.ERROR,
    title="Values of a column are lost",
    why=(
        "DROP COLUMN takes a moment and can't be undone: the values come back from a backup only. The program that still runs "
        "while the migration does goes on to read and write the column, and fails. An UPDATE that sets a column to NULL is as "
        "final."
    ),
    instead=(
        "Stop reading and writing the column first, release that, and drop the column in a later release. Copy values that are "
        "still needed, and compare them, before."
    ),
    evidence=(
        "Values, not NULL, that were there before and are not after; the limit is 0. A dropped column: an error, or a warning "
        "where a new column of the table has as many. A column that stays: a warning, for values that rows lost which are still "
        "there."
    ),
    check=_check,
)
