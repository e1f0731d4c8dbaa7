"""Rule: readers of a table wait longer than the limit, here or as projected to production."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules._waits import ERROR_FACTOR, wait_for, waits, weight
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    for table in sorted({span.relation for span in rehearsal.lock_spans}):
        wait = wait_for(rehearsal, policy, table, "reads")
        if wait and wait.projected_ms > policy.reads_blocked_ms:
            yield RULE.found(
                rehearsal,
                waits(rehearsal, policy, wait, "Reads and writes", policy.reads_blocked_ms),
                line=wait.strongest.line,
                severity=weight(policy, wait, policy.reads_blocked_ms),
                measured=round(wait.projected_ms, 3),
                limit=policy.reads_blocked_ms,
            )


RULE = Rule(
    id="reads-blocked",
    severity=Severity.WARNING,
    title="Reads of a table wait too long",
    why=(
        "An ACCESS EXCLUSIVE lock keeps everybody from the table, also plain SELECTs, from the statement that takes it until the "
        "transaction ends, whatever else the transaction does meanwhile. Programs that wait hold their connections: a second or "
        "two is enough to use up a pool, and then also what never touches the table stands still."
    ),
    instead=(
        "Take such a lock last and briefly, in a transaction that does nothing else. Do what reads or writes many rows before, "
        "in transactions that take weaker locks: indexes CONCURRENTLY, constraints NOT VALID and then VALIDATE, rows in batches."
    ),
    evidence=(
        "Milliseconds in which an ACCESS EXCLUSIVE lock was held on the table, moments with two counted once; where production's "
        "rows are known, the time of statements that read or write rows is multiplied with how many times as many it has. "
        "The limit is `max-reads-blocked-ms`; `error-factor` times that is an error."
    ),
    check=_check,
    options=(ERROR_FACTOR,),
)
