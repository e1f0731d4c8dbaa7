"""Rule: a migration was stopped, as it took too long or filled the disk."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity, SqlError
from bot.rules.base import Policy, Rule

STOPPED = "stopped: "


def is_why(error: SqlError) -> bool:
    """Whether a migration failed for this reason. PostgreSQL has a SQLSTATE for what was cancelled, by whomever."""
    return error.message.startswith(STOPPED) and error.sqlstate in ("57014", "57P01", "") and not error.raised


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    error = rehearsal.error
    if error is not None and is_why(error):
        yield RULE.found(rehearsal, f"The statement was {error.message}", line=error.line)


RULE = Rule(
    id="limit-reached",
    severity=Severity.ERROR,
    title="Stopped at a limit",
    why=(
        "A rehearsal has an end: a migration that runs for ever, or writes until the disk is full, is stopped here, and nothing "
        "after the statement is known. In production nobody may be there to stop it, and what it holds locked stays so."
    ),
    instead=(
        "Work in batches, each in a transaction of its own. A migration that may take this long has a higher `time-limit`; one "
        "that needs more disk has a larger machine."
    ),
    evidence="The limit `time-limit`, for each migration; and the disk, of which 1 GB, or a tenth of what was free, stays free.",
    check=_check,
    allowable=False,
)
