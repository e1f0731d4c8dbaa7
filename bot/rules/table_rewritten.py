"""Rule: a table that is not small was rewritten; says how large it is and how long nobody could use it."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules.base import Policy, Rule
from bot.words import count, duration, name, relation


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    held = {lock.relation: lock for lock in rehearsal.locks}
    for table in rehearsal.tables:
        rows = table.rows_before or 0
        emptied = table.rows_after == 0 or table.inserted is None  # TRUNCATE makes a new file too, and resets the counters
        if not table.rewritten or rows < policy.large_table_rows or emptied:
            continue
        lock = held.get(table.name)
        wait = f", nobody could use it for {duration(lock.held_ms)}" if lock and "reads" in lock.blocks else ""
        yield Finding(
            TABLE_REWRITTEN.id,
            TABLE_REWRITTEN.severity,
            f"{name(relation(table.name))} was rewritten, all {count(rows, 'row')} of it{wait}",
            rehearsal.path,
            table.line,
            measured=rows,
            limit=policy.large_table_rows,
        )


TABLE_REWRITTEN = Rule(
    id="table-rewritten",
    severity=Severity.WARNING,
    title="A table that is not small is rewritten",
    why=(
        "PostgreSQL writes a new copy of the whole table and of all its indexes, and holds an ACCESS EXCLUSIVE lock until the "
        "transaction ends: nobody can read or write it. The time grows with the table; the disk must hold both copies."
    ),
    instead=(
        "Add a new column of the new type, fill it in batches, keep it up with a trigger, and swap the names in a short "
        "transaction. A default that is a constant, a longer varchar, or varchar to text need no rewrite."
    ),
    check=_check,
)
