"""Rule: a statement fails, for any reason that has no rule of its own."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Outcome, Rehearsal, Severity
from bot.rules import enum_used_at_once, limit_reached, right_missing, transaction_unbalanced
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    error = rehearsal.error
    if rehearsal.outcome is Outcome.APPLIED:
        yield from _passed_over(rehearsal)
    if error is None or any(c.refused for c in rehearsal.constraints):
        return
    if any(rule.is_why(error) for rule in (enum_used_at_once, limit_reached, right_missing, transaction_unbalanced)):
        return
    message = error.message if not error.sqlstate else f"{error.message} (SQLSTATE {error.sqlstate})"
    if error.hint:
        message += f". {error.hint}"
    yield RULE.found(rehearsal, message, line=error.line)


def _passed_over(rehearsal: Rehearsal) -> Iterator[Finding]:
    """Of a command: statements that failed and that its tool took for done. One that is rolled back is mended by its author, and
    to ask for what is not there is a way to look.
    """
    for number, statement in enumerate(rehearsal.statements):
        after = rehearsal.statements[number + 1].sql if number + 1 < len(rehearsal.statements) else ""
        asks = statement.sql.lstrip().upper().startswith(("SELECT", "SHOW"))
        if statement.error and not asks and not after.upper().startswith("ROLLBACK"):
            said = f"{statement.error.message} (SQLSTATE {statement.error.sqlstate})"
            message = f"{said}; the command went on, and ended without an error"
            yield RULE.found(rehearsal, message, line=statement.line, severity=Severity.WARNING)


RULE = Rule(
    id="statement-fails",
    severity=Severity.ERROR,
    title="A statement fails",
    why="PostgreSQL refused the statement on a clone of the data, so it will refuse it on the day of the deployment as well.",
    instead="Read PostgreSQL's message and the line it names; the statements before it ran.",
    evidence=(
        "PostgreSQL's own message, with its SQLSTATE. What a rule of its own explains better is told by that rule. A warning "
        "where a command's statement failed, was not rolled back, and the command ended with exit status 0."
    ),
    check=_check,
    allowable=False,
)
