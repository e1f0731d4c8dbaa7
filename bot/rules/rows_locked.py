"""Rule: rows that were changed stay locked while their transaction goes on."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, LockSpan, Rehearsal, Severity, StatementResult
from bot.rules._seen import rows_here, spans_by_relation
from bot.rules._waits import wait_for
from bot.rules.base import LARGE_TABLE_ROWS, Policy, Rule
from bot.words import duration, name, relation

_ROWS_CHANGE = "RowExclusiveLock"
_GOOD_PART = 10  # one row in so many; fewer may be named one by one, and are as few in production


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    for table in rehearsal.tables:
        rows = (table.updated or 0) + (table.deleted or 0)
        if not rows or not _are_many(rehearsal, policy, table.name, rows):
            continue
        wait = wait_for(rehearsal, policy, table.name, "writes")
        if wait is not None and wait.projected_ms > policy.writes_blocked_ms:
            continue  # rules reads-blocked and writes-blocked say it of all rows
        for span in spans_by_relation(rehearsal).get(table.name, ()):
            writer = _writer(rehearsal, span, rows)
            held = span.ended_ms - writer.began_ms - writer.duration_ms if writer else 0.0
            if writer and held > policy.writes_blocked_ms:
                yield RULE.found(
                    rehearsal,
                    f"{rows:,} rows of {name(relation(table.name))} that were changed stay locked for {duration(held)} after the "
                    f"statement, until its transaction ends (limit {duration(policy.writes_blocked_ms)}): who writes one waits",
                    line=writer.line,
                    measured=round(held, 3),
                    limit=policy.writes_blocked_ms,
                )


def _are_many(rehearsal: Rehearsal, policy: Policy, table: str, rows: int) -> bool:
    """Whether as many rows were changed as a large table has; a good part of a table has more of them in production."""
    here = rows_here(rehearsal, table)
    if rows * _GOOD_PART < here:
        return table not in policy.large and rows >= policy.large_table_rows
    return policy.large.get(table, rows * policy.production.factor(table, here) >= policy.large_table_rows)


def _writer(rehearsal: Rehearsal, span: LockSpan, rows: int) -> StatementResult | None:
    """The statement that changed all these rows, and took the lock with which it did; None where there are several."""
    if span.mode != _ROWS_CHANGE or span.sampled:
        return None
    took = (s for s in rehearsal.statements if s.line == span.line and s.began_ms <= span.began_ms <= s.began_ms + s.duration_ms)
    return next((s for s in took if s.rows_affected == rows), None)


RULE = Rule(
    id="rows-locked",
    severity=Severity.WARNING,
    title="Many rows stay locked while the transaction goes on",
    why=(
        "An UPDATE or DELETE locks each row that it changes until the transaction ends. Whoever writes one of them meanwhile "
        "waits, though the table can be read, and other rows written. What comes after it in the same transaction makes that "
        "longer."
    ),
    instead=(
        "Change rows in batches, each in a transaction of its own, or in a migration of its own; else as the last statement of "
        "the transaction."
    ),
    evidence=(
        "Rows that one statement changed, all counted, against `large-table-rows`, in production's number where a tenth of the "
        "table or more was changed; the milliseconds from its end to that of its "
        "transaction against `max-writes-blocked-ms`. How long each row was locked while the statement itself ran is not "
        "measured, and not counted. Silent where `reads-blocked` or `writes-blocked` tell it of the whole table, and where it "
        "can't be told which statement changed the rows."
    ),
    check=_check,
    options=(LARGE_TABLE_ROWS,),
)
