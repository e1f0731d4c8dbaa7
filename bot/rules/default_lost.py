"""Rule: a column that takes no NULL has no default any more."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, GuardLost, Rehearsal, Severity
from bot.rules._sql import unquoted
from bot.rules.base import Policy, Rule
from bot.words import name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for lost in rehearsal.guards_lost:
        if lost.kind == "default":
            column = name(f"{relation(lost.table)}.{unquoted(lost.name)}")
            message = f"{column} is NOT NULL and has no default any more: each INSERT that leaves it out fails"
            yield RULE.found(rehearsal, message, line=lost.line, instead=_instead(lost))


def _instead(lost: GuardLost) -> str | None:
    """What brings it back; the expression of a generated column does not come back so."""
    if lost.definition.startswith("GENERATED ALWAYS AS ("):
        return None
    verb = "SET" if lost.definition.startswith("DEFAULT ") else "ADD"
    return f"ALTER TABLE {lost.table} ALTER COLUMN {lost.name} {verb} {lost.definition};"


RULE = Rule(
    id="default-lost",
    severity=Severity.WARNING,
    title="A column that must be filled lost its default",
    why=(
        "The program that runs while the migration does, and until its new version is deployed everywhere, may leave the column "
        "out, as the default allowed: from now on such an INSERT fails. `CREATE TABLE … (LIKE …)` copies NOT NULL and no default."
    ),
    instead=(
        "Let every program give the column a value first, release that, and drop the default in a later release. Where the "
        "column need not be filled, drop the NOT NULL as well."
    ),
    evidence=(
        "A column that had a default, an identity or an expression before, and has none after, while it is NOT NULL; also of a "
        "table that took the name of another. Silent where the column's type brings a default. Whether a program leaves the "
        "column out, or a trigger fills it, is not known."
    ),
    check=_check,
)
