"""Rule: a constraint was added NOT VALID and its later validation would fail; says on how many rows."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules.base import Policy, Rule
from bot.words import count, name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for constraint in rehearsal.constraints:
        if constraint.refused or constraint.validated or constraint.violations == 0 or constraint.change == "dropped":
            continue
        what = f"{name(constraint.name)} on {name(relation(constraint.table))} is not valid"
        if constraint.violations is not None:
            of = f"{constraint.violations:,} of {count(constraint.rows or 0, 'row')}"
            message = f"{what}: {of} break it, and VALIDATE would fail"
            yield RULE.found(rehearsal, message, line=constraint.line, measured=constraint.violations, limit=0)
        elif constraint.kind in ("check", "foreign key", "not null"):
            message = f"{what}, and the rows that break it could not be counted"
            yield RULE.found(rehearsal, message, line=constraint.line, severity=Severity.NOTICE)


RULE = Rule(
    id="not-valid-broken",
    severity=Severity.WARNING,
    title="Rows break a constraint that was added NOT VALID",
    why=(
        "The migration passes today. New and changed rows must obey the constraint at once, also an UPDATE of another column of "
        "an old row; and the day the constraint is validated, that migration fails on the rows counted here."
    ),
    instead="Mend the rows in the same release, then VALIDATE the constraint in a migration of its own.",
    evidence="Rows that break the constraint, all counted; the limit is 0. A notice where they could not be counted.",
    check=_check,
)
