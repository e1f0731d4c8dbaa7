"""Rule: rows that were there are not there any more."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity, TableChange
from bot.rules._seen import line_that_says
from bot.rules._sql import quoted
from bot.rules.base import Policy, Rule
from bot.words import count, last_part, name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    derived = {c.name for c in rehearsal.schema if c.kind == "materialized view"}
    for table in rehearsal.tables:
        lost = _lost(table)
        if not lost or table.name in derived or _is_refreshed(rehearsal, table):
            continue
        moved = sum(_gained(other) for other in rehearsal.tables if other is not table) >= lost
        whole = not table.rows_after
        yield RULE.found(
            rehearsal,
            _message(table, lost, moved=moved),
            line=table.line or line_that_says(rehearsal, table.name),
            severity=_severity(whole=whole, moved=moved),
            measured=lost,
            limit=0,
            instead=_instead(table),
        )


def _lost(table: TableChange) -> int:
    """Rows that were deleted or went with their table. Counters that do not tell leave what is missing at the least."""
    before, after = table.rows_before or 0, table.rows_after or 0
    if not before:
        return 0
    return max(before - after, min(table.deleted or 0, before)) if after else before


def _gained(table: TableChange) -> int:
    return max(table.inserted or 0, (table.rows_after or 0) - (table.rows_before or 0), 0)


def _is_refreshed(rehearsal: Rehearsal, table: TableChange) -> bool:
    """Whether it is a materialized view that was filled anew: nothing but the statement tells that."""
    statements = [s.sql.split(maxsplit=2)[:2] for s in rehearsal.statements if s.line == table.line]
    return any([word.lower() for word in words] == ["refresh", "materialized"] for words in statements)


def _severity(*, whole: bool, moved: bool) -> Severity:
    """All rows of a table are more than some, and less if other tables have got as many."""
    if whole:
        return Severity.WARNING if moved else Severity.ERROR
    return Severity.NOTICE if moved else Severity.WARNING


def _message(table: TableChange, lost: int, *, moved: bool) -> str:
    shown = name(relation(table.name))
    if table.rows_after is None:
        message = f"{shown} is dropped with {count(lost, 'row')}"
    elif table.rows_after == 0:
        message = f"{shown} is emptied: all {count(lost, 'row')} are gone"
    else:
        message = f"{lost:,} of {count(table.rows_before or 0, 'row')} of {shown} are deleted"
    return message + ("; as many were added to other tables" if moved else "")


def _instead(table: TableChange) -> str | None:
    """A table that is renamed can be brought back."""
    if table.rows_after is not None:
        return None
    kept = quoted(f"{last_part(table.name)}_dropped"[:63])
    return f"ALTER TABLE {table.name} RENAME TO {kept};  -- and DROP it in a later release, when nobody has missed it"


RULE = Rule(
    id="rows-lost",
    severity=Severity.ERROR,
    title="Rows are lost",
    why=(
        "What is dropped, truncated or deleted in production comes back from a backup only, with everything that was written "
        "since lost instead. A WHERE that matches more rows than was meant looks no different in review."
    ),
    instead=(
        "Rename a table first and drop it in a later release. Copy rows elsewhere before they are deleted. Where they are meant "
        "to go, say so: allow the finding with the reason."
    ),
    evidence=(
        "Rows that were there before and are not after, all counted; the limit is 0. All rows of a table: an error; some: a "
        "warning. One step less where other tables got as many in the same migration: they were moved."
    ),
    check=_check,
)
