"""Rule: the file's own BEGIN and COMMIT don't fit each other, or the transaction that its tool makes."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity, SqlError
from bot.rules.base import Policy, Rule

_REMARKS = {
    "25001": (
        "The file begins a transaction where one is under way: this BEGIN does nothing, and the COMMIT that belongs to it ends "
        "the transaction that its tool began; what follows is outside"
    ),
    "25P01": "The file ends a transaction that it did not begin: what stands before is committed by itself, not with the rest",
}


def is_why(error: SqlError) -> bool:
    """Whether a migration failed for this reason. PostgreSQL has the same SQLSTATE for what it refuses inside a transaction."""
    return error.sqlstate == "25001" and error.message.startswith("The file begins a transaction")


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    if rehearsal.error and is_why(rehearsal.error):
        yield RULE.found(rehearsal, rehearsal.error.message.rstrip("."), line=rehearsal.error.line)
    for statement in rehearsal.statements:
        for state in dict.fromkeys(notice.sqlstate for notice in statement.notices if notice.sqlstate in _REMARKS):
            yield RULE.found(rehearsal, _REMARKS[state], line=statement.line, severity=Severity.WARNING)


RULE = Rule(
    id="transaction-unbalanced",
    severity=Severity.ERROR,
    title="BEGIN and COMMIT of the file don't fit",
    why=(
        "PostgreSQL has no transactions inside transactions. A BEGIN without an end is rolled back when the tool disconnects, "
        "and the tool records the version as done. A BEGIN in the tool's own transaction is only remarked on; the file's COMMIT "
        "then ends the tool's transaction, and a failure after it leaves half of the migration."
    ),
    instead="Leave BEGIN and COMMIT to the tool. Where it makes no transaction, give the file both, and nothing after COMMIT.",
    evidence=(
        "A transaction that is open when the file has ended (error); PostgreSQL's warnings 25001, there is a transaction "
        "already, and 25P01, there is none (warning)."
    ),
    check=_check,
    allowable=False,
)
