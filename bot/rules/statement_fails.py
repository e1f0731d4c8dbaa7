"""Rule: a statement fails, for any reason that has no rule of its own."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    error = rehearsal.error
    if error is None or any(c.refused for c in rehearsal.constraints):
        return
    message = error.message if not error.sqlstate else f"{error.message} (SQLSTATE {error.sqlstate})"
    if error.hint:
        message += f". {error.hint}"
    yield Finding(STATEMENT_FAILS.id, STATEMENT_FAILS.severity, message, rehearsal.path, error.line)


STATEMENT_FAILS = Rule(
    id="statement-fails",
    severity=Severity.ERROR,
    title="A statement fails",
    why="PostgreSQL refused the statement on a clone of the data, so it will refuse it on the day of the deployment as well.",
    instead="Read PostgreSQL's message and the line it names; the statements before it ran.",
    check=_check,
    allowable=False,
)
