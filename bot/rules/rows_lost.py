"""Rule: rows that were there are not there any more."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity, TableChange
from bot.rules._seen import line_that_says
from bot.rules._sql import quoted
from bot.rules.base import Policy, Rule
from bot.team import Option
from bot.words import count, last_part, name, relation

_FEWEST_ROWS = Option("fewest-rows", 1, "Fewer rows that are lost are no finding.", least=1, most=1e15, whole=True)
_ERROR_SHARE = Option(
    "error-share", None, "Part of a table's rows whose loss is an error, besides all of them.", least=0, most=1, unset="only all"
)


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    emptied = {relation: s.line for s in rehearsal.statements for relation in s.emptied}
    for table in rehearsal.tables:
        if table.kind == "materialized view":
            continue  # what it holds is nobody's data
        lost = _lost(table, emptied=table.name in emptied) - _detached(rehearsal, table)
        if lost < policy.value(_FEWEST_ROWS):
            continue
        partitions = _dropped_partitions(rehearsal, table)
        whole = not table.rows_after or table.name in emptied or bool(partitions)
        yield RULE.found(
            rehearsal,
            _message(rehearsal, table, lost, partitions, emptied=table.name in emptied),
            line=emptied.get(table.name) or table.line or line_that_says(rehearsal, table.name),
            severity=Severity.ERROR if whole or _is_much(policy, table, lost) else Severity.WARNING,
            measured=lost,
            limit=policy.value(_FEWEST_ROWS) - 1,
            instead=_instead(table),
        )


def _is_much(policy: Policy, table: TableChange, lost: int) -> bool:
    share = policy.value(_ERROR_SHARE)
    return share is not None and lost >= share * (table.rows_before or 0)


def _lost(table: TableChange, *, emptied: bool) -> int:
    """Rows that were deleted or went with their table. Counters that do not tell leave what is missing at the least; those of
    a partitioned table count a row that goes from one partition to another as deleted.
    """
    before, after = table.rows_before or 0, table.rows_after or 0
    if not after or emptied:
        return before
    if table.kind == "partitioned table":
        return before - after
    return max(before - after, min(table.deleted or 0, before))


def _of_partitions(rehearsal: Rehearsal, table: TableChange, change: str) -> Iterator[str]:
    """Tables that were partitions of this one, and are gone or stand alone."""
    for c in rehearsal.schema:
        was = f"PARTITION OF {table.name} " in f"{c.before or ''} "
        if c.kind == "table" and c.change == change and was and "PARTITION OF" not in (c.after or ""):
            yield c.name


def _detached(rehearsal: Rehearsal, table: TableChange) -> int:
    """Rows that stand in tables of their own now."""
    alone = set(_of_partitions(rehearsal, table, "changed"))
    return sum(other.rows_after or 0 for other in rehearsal.tables if other.name in alone)


def _dropped_partitions(rehearsal: Rehearsal, table: TableChange) -> list[str]:
    return list(_of_partitions(rehearsal, table, "dropped"))


def _message(rehearsal: Rehearsal, table: TableChange, lost: int, partitions: list[str], *, emptied: bool) -> str:
    shown = name(relation(table.name))
    if (instead := _replaced(rehearsal, table)) is not None:
        has = count(instead.rows_after or 0, "row")
        return f"{shown} is dropped with {count(lost, 'row')}; the table that has its name now has {has}, the same or not"
    if table.rows_after is None:
        message = f"{shown} is dropped with {count(lost, 'row')}"
    elif table.rows_after == 0 or emptied:
        message = f"{shown} is emptied: all {count(lost, 'row')} are gone"
    elif partitions:
        gone = ", ".join(name(relation(partition)) for partition in partitions[:3])
        message = f"{lost:,} of {count(table.rows_before or 0, 'row')} of {shown} are dropped with {gone}"
    else:
        message = f"{lost:,} of {count(table.rows_before or 0, 'row')} of {shown} are deleted"
    for other in rehearsal.tables:
        if other is not table and _gained(other) >= lost:
            return f"{message}; {name(relation(other.name))} got {count(_gained(other), 'row')}"
    return message


def _replaced(rehearsal: Rehearsal, table: TableChange) -> TableChange | None:
    """The table that has the name of one that was dropped, with as many rows: they may be the same, which no count tells."""
    if table.rows_after is not None:
        return None
    same = (other for other in rehearsal.tables if other.name == table.name and other is not table)
    return next((other for other in same if (other.rows_after or 0) >= (table.rows_before or 0)), None)


def _gained(table: TableChange) -> int:
    return max(table.inserted or 0, (table.rows_after or 0) - (table.rows_before or 0), 0)


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
        "Rows that were there before and are not after, all counted; told from `fewest-rows` on. All rows of a table or "
        "a partition, or the `error-share` of them: an error; fewer: a warning. Where another "
        "table got as many, or has the name now and as many, the message says so: they may be there, or not."
    ),
    check=_check,
    options=(_FEWEST_ROWS, _ERROR_SHARE),
)
