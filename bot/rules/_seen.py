"""What several rules ask of a rehearsal: how large a table is, here and in production, and which statement says a name."""

from __future__ import annotations

from bot.dependents import line_of
from bot.model import Rehearsal
from bot.rules.base import Policy
from bot.words import count, last_part


def rows_here(rehearsal: Rehearsal, table: str) -> int:
    """How many rows a table had before the migration, as far as was seen; 0 for one that was not there."""
    for change in rehearsal.tables:
        if change.name == table:
            return change.rows_before or 0
    for lock in rehearsal.locks:
        if lock.relation == table and lock.rows is not None:
            return lock.rows
    return max((scan.rows for s in rehearsal.statements for scan in s.scans if scan.relation == table), default=0)


def rows_in_production(rehearsal: Rehearsal, policy: Policy, table: str) -> int:
    """The same, of production as far as it is known; never fewer than here."""
    return policy.production.rows_of(table, rows_here(rehearsal, table))


def is_large(rehearsal: Rehearsal, policy: Policy, table: str) -> bool:
    """Whether a table is not small, here or in production."""
    return rows_in_production(rehearsal, policy, table) >= policy.large_table_rows


def how_many(rehearsal: Rehearsal, policy: Policy, table: str) -> str:
    """`20,000 rows`, and how many production has, where it has more."""
    here, there = rows_here(rehearsal, table), rows_in_production(rehearsal, policy, table)
    return count(here, "row") if there == here else f"{count(here, 'row')} (about {there:,} in production)"


def line_that_says(rehearsal: Rehearsal, qualified: str) -> int | None:
    """The first statement that says a name: a place to point at, where nothing that was observed has one."""
    return line_of(rehearsal.statements, last_part(qualified))
