"""Rule: a value is added to an enum and used in the same transaction, which PostgreSQL refuses."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity, SqlError
from bot.rules.base import Policy, Rule


def is_why(error: SqlError) -> bool:
    """Whether a migration failed for this reason."""
    return error.sqlstate == "55P04"  # unsafe_new_enum_value_usage


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    if rehearsal.error and is_why(rehearsal.error):
        message = f"A value is added to an enum and used before that is committed: {rehearsal.error.message}"
        yield RULE.found(rehearsal, message, line=rehearsal.error.line)


RULE = Rule(
    id="enum-used-at-once",
    severity=Severity.ERROR,
    title="A new value of an enum is used in the transaction that adds it",
    why=(
        "A value that ALTER TYPE … ADD VALUE adds may be used only after its transaction has ended: were it rolled back, rows "
        "and indexes would hold a value that does not exist. Only where the type itself was made in the same transaction is it "
        "safe."
    ),
    instead="Add the value in a migration of its own, and use it in the next one.",
    evidence="The SQLSTATE 55P04, with which PostgreSQL refuses the statement.",
    check=_check,
    allowable=False,
)
