"""Rule: a file that runs outside one transaction can't be started anew after a failure half way."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Outcome, Rehearsal, Severity
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    second = rehearsal.second_run
    if second is None or second.outcome is not Outcome.FAILED or second.statement is None:
        return
    if second.statement < rehearsal.statements_total:
        said = f": {second.error.message}" if second.error else ""
        where = f"statement {second.statement} of {rehearsal.statements_total}"
        yield RULE.found(
            rehearsal,
            f"Started anew after a failure half way, it stops at {where}{said}",
            line=second.error.line if second.error else None,
            measured=second.statement,
            limit=rehearsal.statements_total,
        )


RULE = Rule(
    id="not-rerunnable",
    severity=Severity.WARNING,
    title="It can't be started anew after a failure",
    why=(
        "A file that runs outside one transaction keeps what it did before the statement that failed. When its tool starts it "
        "anew, it stops at the first statement that was done already, and somebody has to finish it by hand, in production."
    ),
    instead=(
        "One such statement a file; or write each so that it can be run twice: DROP INDEX CONCURRENTLY IF EXISTS before CREATE "
        "INDEX CONCURRENTLY, which clears away an invalid one too; ADD COLUMN IF NOT EXISTS; UPDATE … WHERE it is not done yet."
    ),
    evidence="The statement at which a second run of the file stops, on another clone; told where it is not the last one.",
    check=_check,
)
