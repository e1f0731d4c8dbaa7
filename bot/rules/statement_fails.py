"""Rule: a statement fails, for any reason that has no rule of its own."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules import enum_used_at_once, limit_reached, right_missing, transaction_unbalanced
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    error = rehearsal.error
    if error is None or any(c.refused for c in rehearsal.constraints):
        return
    if any(rule.is_why(error) for rule in (enum_used_at_once, limit_reached, right_missing, transaction_unbalanced)):
        return
    message = error.message if not error.sqlstate else f"{error.message} (SQLSTATE {error.sqlstate})"
    if error.hint:
        message += f". {error.hint}"
    yield RULE.found(rehearsal, message, line=error.line)


RULE = Rule(
    id="statement-fails",
    severity=Severity.ERROR,
    title="A statement fails",
    why="PostgreSQL refused the statement on a clone of the data, so it will refuse it on the day of the deployment as well.",
    instead="Read PostgreSQL's message and the line it names; the statements before it ran.",
    evidence="PostgreSQL's own message, with its SQLSTATE. What a rule of its own explains better is told by that rule.",
    check=_check,
    allowable=False,
)
