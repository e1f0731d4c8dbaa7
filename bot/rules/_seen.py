"""What several rules ask of a rehearsal: how large a table is, here and in production, and which statement says a name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import ParamSpec, TypeVar

from bot.dependents import Lines
from bot.model import LockSpan, Rehearsal, StatementResult
from bot.rules.base import Policy
from bot.team import FILE
from bot.words import count, last_part, name

_Asked = ParamSpec("_Asked")
_Answer = TypeVar("_Answer")


def remember_last(make: Callable[_Asked, _Answer]) -> Callable[_Asked, _Answer]:
    """Keeps the last answer for as long as the very same objects are asked about: every rule asks about one rehearsal, before
    they come to the next one, and a rehearsal may have thousands of statements.
    """
    last: list[tuple[tuple[object, ...], _Answer]] = []

    @functools.wraps(make)
    def remembered(*asked: _Asked.args, **named: _Asked.kwargs) -> _Answer:
        if not last or any(one is not other for one, other in zip(last[0][0], asked, strict=True)):
            last[:] = [(asked, make(*asked, **named))]
        return last[0][1]

    return remembered


@remember_last
def _rows(rehearsal: Rehearsal) -> Mapping[str, int]:
    """Rows of tables before the migration, the surest knowledge last."""
    rows: dict[str, int] = {}
    for statement in rehearsal.statements:
        for scan in statement.scans:
            rows[scan.relation] = max(scan.rows, rows.get(scan.relation, 0))
    rows |= {lock.relation: lock.rows for lock in rehearsal.locks if lock.rows is not None}
    rows |= {index.table: index.rows for index in rehearsal.indexes if index.rows is not None}
    for change in rehearsal.tables:  # one that was dropped and made anew has two
        if change.rows_before is not None or change.name not in rows:
            rows[change.name] = change.rows_before or 0
    return rows


def is_partitioned(rehearsal: Rehearsal, table: str) -> bool:
    """Whether it is a partitioned table, of which PostgreSQL allows less."""
    kinds = {change.name: change.kind for change in rehearsal.tables} | {lock.relation: lock.kind for lock in rehearsal.locks}
    return kinds.get(table) == "partitioned table"


@remember_last
def _lines(rehearsal: Rehearsal) -> Lines:
    return Lines(rehearsal.statements)


@remember_last
def spans_by_relation(rehearsal: Rehearsal) -> Mapping[str, Sequence[LockSpan]]:
    """The locks that were held on each relation."""
    spans: dict[str, list[LockSpan]] = {}
    for span in rehearsal.lock_spans:
        spans.setdefault(span.relation, []).append(span)
    return spans


@remember_last
def readers(rehearsal: Rehearsal) -> Mapping[str, Sequence[StatementResult]]:
    """The statements that read a whole table, or built an index on it, by table."""
    found: dict[str, list[StatementResult]] = {}
    for statement in rehearsal.statements:
        for table in dict.fromkeys([*(s.relation for s in statement.scans), *(i.table for i in statement.indexes)]):
            found.setdefault(table, []).append(statement)
    return found


def rows_here(rehearsal: Rehearsal, table: str) -> int:
    """How many rows a table had before the migration, as far as was seen; 0 for one that was not there."""
    return _rows(rehearsal).get(table, 0)


def rows_in_production(rehearsal: Rehearsal, policy: Policy, table: str) -> int:
    """The same, of production as far as it is known; never fewer than here."""
    return policy.production.rows_of(table, rows_here(rehearsal, table))


def is_large(rehearsal: Rehearsal, policy: Policy, table: str, rows: int = 0) -> bool:
    """Whether a table is not small, here or in production, where it may have `rows` that no other observation tells; or as the
    team says.
    """
    return policy.large.get(table, max(rows, rows_in_production(rehearsal, policy, table)) >= policy.large_table_rows)


def rows_limit(policy: Policy, table: str) -> int | None:
    """The limit that the rows of a table are measured against; None where the team has said what it is."""
    return None if table in policy.large else policy.large_table_rows


def how_many(rehearsal: Rehearsal, policy: Policy, table: str) -> str:
    """`20,000 rows`, and how many production has, where it has more."""
    here, there = rows_here(rehearsal, table), rows_in_production(rehearsal, policy, table)
    if policy.large.get(table):
        return f"{count(here, 'row')} (large in production, as {name(FILE)} says)"
    return count(here, "row") if there == here else f"{count(here, 'row')} (about {there:,} in production)"


def line_that_says(rehearsal: Rehearsal, qualified: str) -> int | None:
    """The first statement that says a name: a place to point at, where nothing that was observed has one."""
    return _lines(rehearsal).of(last_part(qualified))
