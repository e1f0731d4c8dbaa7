"""Rule: writers of a table wait longer than the limit, here or as projected to production, while it can be read."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity
from bot.rules._waits import ERROR_FACTOR, wait_for, waits, weight
from bot.rules.base import Policy, Rule


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    not_written = {lock.relation for lock in rehearsal.locks if lock.kind == "materialized view"}
    for table in sorted({span.relation for span in rehearsal.lock_spans} - not_written):
        wait = wait_for(rehearsal, policy, table, "writes")
        if wait is None or wait.projected_ms <= policy.writes_blocked_ms:
            continue
        reads = wait_for(rehearsal, policy, table, "reads")
        told = reads.projected_ms if reads and reads.projected_ms > policy.reads_blocked_ms else 0.0
        if told and wait.projected_ms - told <= policy.writes_blocked_ms:
            continue  # rule reads-blocked has said it of both
        yield RULE.found(
            rehearsal,
            waits(rehearsal, policy, wait, "Writes", policy.writes_blocked_ms),
            line=wait.strongest.line,
            severity=weight(policy, wait, policy.writes_blocked_ms),
            measured=round(wait.projected_ms, 3),
            limit=policy.writes_blocked_ms,
        )


RULE = Rule(
    id="writes-blocked",
    severity=Severity.WARNING,
    title="Writes of a table wait too long",
    why=(
        "A SHARE, SHARE ROW EXCLUSIVE or EXCLUSIVE lock lets others read the table and keeps every INSERT, UPDATE and DELETE "
        "waiting until the transaction ends. CREATE INDEX takes the first, ADD FOREIGN KEY the second, on both tables. Programs "
        "that wait hold their connections, until the pool has none left for readers either."
    ),
    instead=(
        "CREATE INDEX CONCURRENTLY, outside a transaction; ADD FOREIGN KEY … NOT VALID and, in a transaction of its own, "
        "VALIDATE CONSTRAINT. What takes long belongs into a transaction that holds no such lock."
    ),
    evidence=(
        "Milliseconds in which a lock that blocks writes was held on the table, moments with two counted once; where "
        "production's rows are known, the time of statements that read or write rows is multiplied with how many times as many "
        "it has. The limit is `max-writes-blocked-ms`; `error-factor` times that is an error. Silent where `reads-blocked` "
        "has told it of both."
    ),
    check=_check,
    options=(ERROR_FACTOR,),
)
