"""Rule: a migration leaves an index that PostgreSQL does not use."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules._seen import line_that_says
from bot.rules._sql import concurrently
from bot.rules.base import Policy, Rule
from bot.words import name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for index in rehearsal.indexes:
        if index.valid or index.change == "dropped":
            continue
        line = index.line or line_that_says(rehearsal, index.name)
        left = f"Index {name(relation(index.name))} on {name(relation(index.table))} is left invalid"
        if " ON ONLY " in index.definition:
            message = f"{left} until one of each partition is attached to it"
            yield RULE.found(rehearsal, message, line=line, severity=Severity.NOTICE)
        else:
            again = concurrently(index.definition)
            drop = f"DROP INDEX CONCURRENTLY {index.name};"
            message = f"{left}: no query uses it, every write keeps it up"
            yield RULE.found(rehearsal, message, line=line, instead=f"{drop}\n{again}" if again else drop)


RULE = Rule(
    id="invalid-index",
    severity=Severity.ERROR,
    title="An invalid index is left behind",
    why=(
        "CREATE INDEX CONCURRENTLY and REINDEX CONCURRENTLY work in several transactions. When one fails, the index stays, "
        "marked invalid: no query uses it, every write still pays for it, and CREATE INDEX … IF NOT EXISTS takes it for done."
    ),
    instead="Mend what made it fail, drop the invalid index CONCURRENTLY, and make it again.",
    evidence=(
        "The index is not valid in PostgreSQL's catalog after the migration. A notice for the index of a partitioned table, "
        "which is invalid until each partition's own is attached."
    ),
    check=_check,
)
