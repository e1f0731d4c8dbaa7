"""Rule: what a migration locked could not be seen."""

from __future__ import annotations

from collections.abc import Iterator

from bot.layouts import COMMAND
from bot.model import Finding, Rehearsal, Severity
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for statement in rehearsal.statements:
        if statement.locks is None and statement.error is None and rehearsal.layout == COMMAND.name:
            message = "It ran outside a transaction and was over before its locks could be looked at: it may keep others waiting"
            yield RULE.found(rehearsal, message, line=statement.line, severity=Severity.NOTICE)
            return
        if statement.locks is None and statement.error is None:
            message = "What this and later statements lock could not be seen: they may keep others waiting"
            yield RULE.found(rehearsal, message, line=statement.line)
            return


RULE = Rule(
    id="locks-unseen",
    severity=Severity.WARNING,
    title="Locks could not be seen",
    why=(
        "The session that watches was ended by the migration, or locked out of PostgreSQL's catalog. Nothing is known then of "
        "who would have had to wait; that nobody is named does not mean that nobody waits. In production such a migration ends "
        "other people's sessions, or stops everybody who connects."
    ),
    instead="Don't end other sessions, and don't lock the catalog, in a migration.",
    evidence=(
        "Told at the first statement after which the locks of the migration's session could not be read. A notice where a "
        "command's statement ran outside a transaction and was over at once."
    ),
    check=_check,
)
