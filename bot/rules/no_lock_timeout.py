"""Rule: a table that is not small is locked without a lock_timeout."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity, StatementResult, Transaction
from bot.postgres.locks import blocks
from bot.rules._seen import is_large
from bot.rules.base import Policy, Rule
from bot.words import name, relation


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    for statement in rehearsal.statements:
        table = _locked(rehearsal, policy, statement)
        if table is not None and statement.lock_timeout_ms == 0:
            local = "SET" if rehearsal.transaction is Transaction.NONE else "SET LOCAL"
            yield RULE.found(
                rehearsal,
                f"{name(relation(table))} is locked without a lock_timeout: queries wait behind this statement while it waits",
                line=statement.line,
                measured=0,
                instead=f"{local} lock_timeout = '5s';  -- before it; then try again",
            )
            return


def _locked(rehearsal: Rehearsal, policy: Policy, statement: StatementResult) -> str | None:
    tables = (lock.relation for lock in statement.locks or () if blocks(lock.mode))
    return next((table for table in tables if is_large(rehearsal, policy, table)), None)


RULE = Rule(
    id="no-lock-timeout",
    severity=Severity.NOTICE,
    title="A table is locked without a lock_timeout",
    why=(
        "A statement that needs a strong lock waits for every query under way on the table, and every later query waits behind "
        "it. Behind one report that runs for ten minutes, an ALTER TABLE that takes 2 ms stops the table for ten minutes. A "
        "clone has no other queries, so no rehearsal can show this."
    ),
    instead="Set lock_timeout to a few seconds, in the file or for the role that migrates, and try again when it fails.",
    evidence=(
        "lock_timeout, in milliseconds, as it was in force when the first lock that blocks reads or writes of a table which is "
        "not small was taken; told where it is 0. Once for each migration."
    ),
    check=_check,
)
