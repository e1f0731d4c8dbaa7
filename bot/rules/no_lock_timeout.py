"""Rule: a table that is not small is locked without a lock_timeout."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity, StatementResult, Transaction
from bot.postgres.locks import blocks
from bot.rules._seen import is_large
from bot.rules.base import LARGE_TABLE_ROWS, Policy, Rule
from bot.team import Option
from bot.words import duration, name, relation

_ADVISED_MS = 5000
_MAX_MS = Option(
    "max-ms", None, "A lock_timeout of more milliseconds is told as well.", least=1, most=1e9, whole=True, unset="any is right"
)


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    most = policy.value(_MAX_MS)
    for statement in rehearsal.statements:
        table, timeout = _locked(rehearsal, policy, statement), statement.lock_timeout_ms
        if table is None or timeout is None or not (timeout == 0 or (most is not None and timeout > most)):
            continue
        without = f"with a lock_timeout of {duration(timeout)}" if timeout else "without a lock_timeout"
        local = "SET" if rehearsal.transaction is Transaction.NONE else "SET LOCAL"
        yield RULE.found(
            rehearsal,
            f"{name(relation(table))} is locked {without}: queries wait behind this statement while it waits",
            line=statement.line,
            measured=timeout,
            limit=most,
            instead=f"{local} lock_timeout = '{_advised(most)}';  -- before it; then try again",
        )
        return


def _advised(most: float | None) -> str:
    ms = int(min(most or _ADVISED_MS, _ADVISED_MS))
    return f"{ms}ms" if ms % 1000 else f"{ms // 1000}s"


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
        "not small was taken; told where it is 0, or more than `max-ms`. Once for each migration."
    ),
    check=_check,
    options=(LARGE_TABLE_ROWS, _MAX_MS),
)
