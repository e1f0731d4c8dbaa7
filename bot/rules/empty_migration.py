"""Rule: a migration holds no statement."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Outcome, Rehearsal, Severity
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    if rehearsal.outcome is Outcome.APPLIED and rehearsal.statements_total == 0:
        yield RULE.found(rehearsal, "The migration holds no statement: it is empty, or only comments", line=1)


RULE = Rule(
    id="empty-migration",
    severity=Severity.WARNING,
    title="A migration without a statement",
    why="Its tool records the version as done. When the file is filled later, databases that ran it empty will not run it again.",
    instead="Fill it before it is merged, or delete it.",
    evidence="The number of statements in the file.",
    check=_check,
)
