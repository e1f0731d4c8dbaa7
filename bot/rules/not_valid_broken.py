"""Rule: a constraint was added NOT VALID and its later validation would fail; says on how many rows."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import ConstraintChange, Finding, Rehearsal, Severity
from bot.rules.base import Policy, Rule
from bot.words import count, name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for constraint in rehearsal.constraints:
        if constraint.refused or constraint.validated or constraint.violations == 0 or constraint.change == "dropped":
            continue
        if constraint.violations is None:
            if constraint.kind in ("check", "foreign key", "not null"):
                yield _uncounted(constraint, rehearsal.path)
            continue
        of = f"{constraint.violations:,} of {count(constraint.rows or 0, 'row')}"
        yield Finding(
            NOT_VALID_BROKEN.id,
            NOT_VALID_BROKEN.severity,
            f"{name(constraint.name)} on {name(relation(constraint.table))} is not valid: {of} break it, and VALIDATE would fail",
            rehearsal.path,
            constraint.line,
            measured=constraint.violations,
            limit=0,
        )


def _uncounted(constraint: ConstraintChange, path: str) -> Finding:
    message = (
        f"{name(constraint.name)} on {name(relation(constraint.table))} is not valid, "
        "and the rows that break it could not be counted"
    )
    return Finding(NOT_VALID_BROKEN.id, Severity.NOTICE, message, path, constraint.line)


NOT_VALID_BROKEN = Rule(
    id="not-valid-broken",
    severity=Severity.WARNING,
    title="Rows break a constraint that was added NOT VALID",
    why=(
        "The migration passes today. New and changed rows must obey the constraint at once, also an UPDATE of another column of "
        "an old row; and the day the constraint is validated, that migration fails on the rows counted here."
    ),
    instead="Mend the rows in the same release, then VALIDATE the constraint in a migration of its own.",
    check=_check,
)
