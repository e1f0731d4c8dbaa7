"""Rule: a foreign key was added to columns that no index begins with."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules._seen import how_many, is_large, is_partitioned, rows_in_production, rows_limit
from bot.rules.base import LARGE_TABLE_ROWS, Policy, Rule
from bot.words import name, relation


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    for key in rehearsal.constraints:
        if key.kind != "foreign key" or key.change != "added" or key.refused or key.indexed is not False:
            continue
        table, columns = name(relation(key.table)), ", ".join(key.columns)
        rows = rows_in_production(rehearsal, policy, key.table) or key.rows or 0
        large = is_large(rehearsal, policy, key.table, rows)
        size = f", {how_many(rehearsal, policy, key.table)}," if large else ""
        yield RULE.found(
            rehearsal,
            f"No index of {table}{size} begins with the columns of its foreign key {name(key.name)}: {name(columns)}",
            line=key.line,
            severity=Severity.WARNING if large else Severity.NOTICE,
            measured=rows,
            limit=rows_limit(policy, key.table),
            instead=None
            if is_partitioned(rehearsal, key.table)
            else f"CREATE INDEX CONCURRENTLY ON {key.table} ({columns});  -- in a file of its own, outside a transaction",
        )


RULE = Rule(
    id="foreign-key-without-index",
    severity=Severity.WARNING,
    title="A foreign key has no index",
    why=(
        "PostgreSQL makes no index for a foreign key. Each DELETE of a row that is referred to, and each UPDATE of its key, then "
        "reads the whole referring table to look for rows that refer to it, row by row."
    ),
    instead="Make an index that begins with the foreign key's columns, CONCURRENTLY, before the constraint.",
    evidence=(
        "Whether an index that is valid and has no WHERE begins with the columns; the rows of the referring table, in production "
        "where that is known, against `large-table-rows`. A notice where the table is small."
    ),
    check=_check,
    options=(LARGE_TABLE_ROWS,),
)
