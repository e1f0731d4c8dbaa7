"""Rule: an index of a table that is not small was built, rebuilt or dropped while others wait for the table."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.model import Finding, IndexWork, Rehearsal, Severity, StatementResult
from bot.rules._seen import how_many, is_large, rows_in_production, rows_limit
from bot.rules._sql import concurrently
from bot.rules._waits import who_waits
from bot.rules.base import LARGE_TABLE_ROWS, Policy, Rule
from bot.words import last_part, name, relation

_ALONE = "  -- in a file of its own, outside a transaction"


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    for statement in rehearsal.statements:
        for index in statement.indexes:
            if index.table in statement.rewrites or not is_large(rehearsal, policy, index.table):
                continue
            if _is_alone(rehearsal, statement, index):
                continue
            waiting = who_waits(rehearsal, index.table, statement)
            if waiting and not _comes_with_another(rehearsal, index):
                yield _finding(rehearsal, policy, statement, index, waiting)


def _finding(rehearsal: Rehearsal, policy: Policy, statement: StatementResult, index: IndexWork, waiting: str) -> Finding:
    rows = how_many(rehearsal, policy, index.table)
    return RULE.found(
        rehearsal,
        f"Index {name(relation(index.name))} was {index.change} while {waiting} of {name(relation(index.table))}, {rows}, wait",
        line=statement.line,
        measured=rows_in_production(rehearsal, policy, index.table),
        limit=rows_limit(policy, index.table),
        instead=_instead(rehearsal, index),
    )


def _is_alone(rehearsal: Rehearsal, statement: StatementResult, index: IndexWork) -> bool:
    """Whether an index of a partitioned table (PostgreSQL writes it with ONLY) was made without any of a partition: it holds
    nothing then, and no partition was locked for it.
    """
    if index.change != "built" or f" ON ONLY {index.table} " not in _definition(rehearsal, index) or statement.locks is None:
        return False
    return not any(lock.mode == "ShareLock" and lock.relation != index.table for lock in statement.locks)


def _definition(rehearsal: Rehearsal, index: IndexWork) -> str:
    return next((i.definition for i in rehearsal.indexes if (i.table, i.name) == (index.table, index.name)), "")


def _comes_with_another(rehearsal: Rehearsal, index: IndexWork) -> bool:
    """Whether an index was made for a constraint, or went with a constraint, column or table: CONCURRENTLY is no choice then."""
    short = last_part(index.name)
    if any(c.table == index.table and c.name == short and not c.definition.startswith("CREATE ") for c in rehearsal.constraints):
        return True
    if index.change != "dropped":
        return False
    gone = [c for c in rehearsal.schema if c.change == "dropped"]
    if any(c.name == index.table for c in gone):
        return True
    definition = next((i.definition for i in rehearsal.indexes if i.name == index.name), "")
    columns = (last_part(c.name) for c in gone if c.kind == "column" and c.name.startswith(f"{index.table}."))
    return any(re.search(rf"(?<!\w){re.escape(column)}(?!\w)", definition) for column in columns)


def _instead(rehearsal: Rehearsal, index: IndexWork) -> str | None:
    if index.change == "dropped":
        return f"DROP INDEX CONCURRENTLY {index.name};{_ALONE}"
    if index.change == "rebuilt":
        return f"REINDEX INDEX CONCURRENTLY {index.name};{_ALONE}"
    definition = _definition(rehearsal, index)
    statement = concurrently(definition) if definition else None
    return f"{statement}{_ALONE}" if statement else None


RULE = Rule(
    id="index-not-concurrent",
    severity=Severity.WARNING,
    title="An index of a table that is not small is made or dropped while others wait",
    why=(
        "CREATE INDEX holds a SHARE lock from its beginning to the end of the transaction: nobody can insert, update or delete "
        "until the whole table has been read and sorted. REINDEX does too, and keeps queries from using the index. DROP INDEX "
        "needs an ACCESS EXCLUSIVE lock of the table: it takes no time, but it waits for every query under way, and all others "
        "wait behind it."
    ),
    instead=(
        "CREATE INDEX CONCURRENTLY, DROP INDEX CONCURRENTLY and REINDEX CONCURRENTLY, outside a transaction, in a file of their "
        "own: they take longer and block nobody. One that fails leaves an invalid index, which must be dropped. On a partitioned "
        "table: CREATE INDEX ON ONLY it, then CONCURRENTLY on each partition, and ATTACH each."
    ),
    evidence=(
        "Rows of the table, in production where that is known; the limit is `large-table-rows`. Told only where a lock that "
        "blocks reads or writes of the table was held meanwhile, and not for indexes of constraints, or of a table that was "
        "rewritten."
    ),
    check=_check,
    options=(LARGE_TABLE_ROWS,),
)
