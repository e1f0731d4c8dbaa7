"""Rule: a key that numbers rows is running out of numbers."""

from __future__ import annotations

import math
from collections.abc import Iterator

from bot.model import Finding, KeyUse, Rehearsal, Severity
from bot.rules._seen import line_that_says
from bot.rules._sql import quoted, unquoted
from bot.rules.base import Policy, Rule
from bot.team import Option
from bot.words import name, relation

_WARNING_AT = Option("warning-at", 0.8, "Part of its numbers that a key has used when it is told.", least=0.01, most=1)
_ERROR_AT = Option("error-at", 0.95, "Part of its numbers that a key has used when it is an error.", least=0.01, most=1)


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    limit, error_at = min(policy.value(_WARNING_AT), policy.value(_ERROR_AT)), policy.value(_ERROR_AT)
    for key in rehearsal.keys:
        used = key.highest / key.limit if key.limit > 0 else 0.0
        if used < limit:
            continue
        percent = math.floor(used * 100)  # 99.99 % is not all of it
        shown = name(f"{relation(key.table)}.{unquoted(key.column)}")
        yield RULE.found(
            rehearsal,
            f"{shown} ({key.type}) has come to {key.highest:,} of {key.limit:,}: {percent} % of its numbers are used",
            line=line_that_says(rehearsal, key.table),
            severity=Severity.ERROR if used >= error_at else Severity.WARNING,
            measured=round(used, 4),
            limit=limit,
            instead=_instead(key),
        )


def _instead(key: KeyUse) -> str:
    new, old = quoted(f"{unquoted(key.column)}_new"[:63]), quoted(key.column)
    return (
        f"ALTER TABLE {key.table} ADD COLUMN {new} bigint;\n"
        f"-- a trigger that sets {new} in every new and changed row; then the old ones, in batches; a unique index;\n"
        f"-- at last, in a short transaction, {new} takes the place of {old}, its default and its keys"
    )


RULE = Rule(
    id="key-near-end",
    severity=Severity.WARNING,
    title="A key is running out of numbers",
    why=(
        "An integer key ends at 2,147,483,647, a smallint at 32,767. The INSERT after the last number fails, and so does every "
        "one after it, until the type is changed: which rewrites the table while nobody can use it."
    ),
    instead=(
        "Move to bigint while there is time: a new column, a trigger, a backfill in batches, and a short swap. Columns that "
        "refer to the key need the same."
    ),
    evidence=(
        "The greatest value in the column, of the greatest that its type holds: from `warning-at` on it is a "
        "warning, from `error-at` on an error. A dump has "
        "production's own values, so nothing is projected."
    ),
    check=_check,
    options=(_WARNING_AT, _ERROR_AT),
)
