"""Rule: a column's new type does not hold its values as they were."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules._sql import unquoted
from bot.rules.base import Policy, Rule
from bot.words import count, name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for change in rehearsal.types:
        what = f"{name(f'{relation(change.table)}.{unquoted(change.column)}')} from {name(change.before)} to {name(change.after)}"
        if change.values_changed is None:
            message = f"{what}: whether its values are still the same could not be compared"
            yield RULE.found(rehearsal, message, line=change.line, severity=Severity.WARNING)
        elif change.values_changed:
            of = f" of {count(change.compared, 'value')}" if change.compared is not None else ""
            message = f"{what}: {change.values_changed:,}{of} are not what they were"
            yield RULE.found(rehearsal, message, line=change.line, measured=change.values_changed, limit=0)


RULE = Rule(
    id="type-change-lossy",
    severity=Severity.ERROR,
    title="A change of type changes values",
    why=(
        "A conversion that PostgreSQL accepts is not always exact: numeric to integer rounds, timestamp to date drops the time, "
        "a shorter numeric scale drops digits, a cast to varchar(n) in USING cuts. Nothing fails, and the values are gone."
    ),
    instead="Mend or copy the values that would change first, or choose a type that holds them all.",
    evidence=(
        "Of the rows that were there before and still are, how many hold another value now, compared as the old type; the limit "
        "is 0. A warning where the two could not be compared."
    ),
    check=_check,
)
