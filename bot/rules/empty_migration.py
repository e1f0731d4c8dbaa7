"""Rule: a migration holds no statement."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Outcome, Rehearsal, Severity
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    if rehearsal.outcome is Outcome.APPLIED and rehearsal.statements_total == 0:
        message = "The migration holds no statement: it is empty, or only comments"
        yield Finding(EMPTY_MIGRATION.id, EMPTY_MIGRATION.severity, message, rehearsal.path, 1)


EMPTY_MIGRATION = Rule(
    id="empty-migration",
    severity=Severity.WARNING,
    title="A migration without a statement",
    why="Its tool records the version as done. When the file is filled later, databases that ran it empty will not run it again.",
    instead="Fill it before it is merged, or delete it.",
    check=_check,
)
