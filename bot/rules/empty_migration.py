"""Rule: a migration holds no statement."""

from __future__ import annotations

from collections.abc import Iterator

from bot.layouts import COMMAND
from bot.model import Finding, Outcome, Rehearsal, Severity
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    if rehearsal.outcome is Outcome.APPLIED and rehearsal.statements_total == 0 and rehearsal.layout != COMMAND.name:
        yield RULE.found(rehearsal, "The migration holds no statement: it is empty, or only comments", line=1)
    if changed_nothing(rehearsal):
        message = "The command changed nothing: no row, and nothing in the schema. If there is a new migration, it did not run it"
        yield RULE.found(rehearsal, message, severity=Severity.NOTICE)


def changed_nothing(rehearsal: Rehearsal) -> bool:
    """Whether a command was run that had nothing to do."""
    changes = (rehearsal.tables, rehearsal.columns, rehearsal.schema, rehearsal.indexes, rehearsal.constraints)
    return rehearsal.layout == COMMAND.name and rehearsal.outcome is Outcome.APPLIED and not any(changes)


RULE = Rule(
    id="empty-migration",
    severity=Severity.WARNING,
    title="A migration without a statement",
    why="Its tool records the version as done. When the file is filled later, databases that ran it empty will not run it again.",
    instead="Fill it before it is merged, or delete it.",
    evidence="The number of statements in the file. A notice where a command changed no row and nothing in the schema.",
    check=_check,
)
