"""Rule: a large table lost the only index that begins with a column."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules._seen import how_many, is_large, rows_in_production, rows_limit
from bot.rules._sql import concurrently, unquoted
from bot.rules.base import LARGE_TABLE_ROWS, Policy, Rule
from bot.words import name, relation


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    for index in rehearsal.indexes:
        if index.leading is None or not is_large(rehearsal, policy, index.table):
            continue
        again = concurrently(index.definition)
        yield RULE.found(
            rehearsal,
            f"Index {name(relation(index.name))} is gone, and no other index of {name(relation(index.table))}, "
            f"{how_many(rehearsal, policy, index.table)}, begins with {name(unquoted(index.leading))}",
            line=index.line,
            measured=rows_in_production(rehearsal, policy, index.table),
            limit=rows_limit(policy, index.table),
            instead=f"{again}  -- in a file of its own, outside a transaction" if again else None,
        )


RULE = Rule(
    id="index-lost",
    severity=Severity.WARNING,
    title="The only index by a column is gone",
    why=(
        "A query that looked rows up by the column reads the whole table from now on, and so does each DELETE of a row to which "
        "a foreign key in the column refers. To make the index again takes as long as it did at first, and queries are slow "
        "meanwhile."
    ),
    instead=(
        "Look into production's statistics first: `idx_scan` in `pg_stat_user_indexes` says how often an index was used, on "
        "replicas too, each for itself. Where nobody uses it, allow the finding with that reason; else make the new index before "
        "the old one goes."
    ),
    evidence=(
        "An index that was valid and is not there any more, of a column that is; whether another valid index of the table begins "
        "with the same column or expression (a btree also stands for a hash or brin index, one with a WHERE for no other); the "
        "rows of the table, in production where that is known, against `large-table-rows`. Nothing is known of who used it."
    ),
    check=_check,
    options=(LARGE_TABLE_ROWS,),
)
