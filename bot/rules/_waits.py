"""Who waits for a table while a migration holds its locks, and for how long: here, and projected to production."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bot.model import LockSpan, Rehearsal, Severity, StatementResult
from bot.postgres.locks import blocks
from bot.rules._seen import rows_here, rows_in_production
from bot.rules.base import Policy
from bot.words import duration, name, relation

# So few rows take no time: that of their statement is the statement's own, and would be multiplied with them.
_FEWEST_ROWS_TO_PROJECT = 1000
_ROWS_CHANGE = "RowExclusiveLock"


# ── Who waits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def during(span: LockSpan, statement: StatementResult) -> bool:
    """Whether a lock was held while a statement ran."""
    return span.began_ms < statement.began_ms + statement.duration_ms and statement.began_ms < span.ended_ms


def who_waits(rehearsal: Rehearsal, table: str, statement: StatementResult) -> str:
    """What of others waits for a table while a statement runs: "reads and writes", "writes", or nothing."""
    modes = [span.mode for span in rehearsal.lock_spans if span.relation == table and during(span, statement)]
    kept = sorted((blocks(mode) for mode in modes), key=len)
    return " and ".join(kept[-1]) if kept else ""


def taker(rehearsal: Rehearsal, span: LockSpan) -> int | None:
    """Which statement took a lock, as its index; None if that is not known."""
    return next((n for n, s in enumerate(rehearsal.statements) if s.line == span.line and during(span, s)), None)


# ── For how long ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Wait:
    """How long others wait for a relation: here, and in production as far as it is known; and the lock that does most of it."""

    relation: str
    here_ms: float
    projected_ms: float
    strongest: LockSpan


def wait_for(rehearsal: Rehearsal, policy: Policy, relation: str, kind: str) -> Wait | None:
    """How long "reads" or "writes" of a relation wait; None if they don't. Moments with two locks are counted once."""
    spans = [span for span in rehearsal.lock_spans if span.relation == relation and kind in blocks(span.mode)]
    if not spans:
        return None
    here = projected = 0.0
    for began, ended in _union(spans):
        here += ended - began
        projected += ended - began
        for number, statement in enumerate(rehearsal.statements):
            shared = min(ended, statement.began_ms + statement.duration_ms) - max(began, statement.began_ms)
            if shared > 0:
                projected += shared * (factor_of(rehearsal, policy, number) - 1)
    return Wait(relation, here, projected, max(spans, key=lambda span: (len(blocks(span.mode)), span.ended_ms - span.began_ms)))


def _union(spans: Iterable[LockSpan]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for span in sorted(spans, key=lambda span: span.began_ms):
        if merged and span.began_ms <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.ended_ms))
        else:
            merged.append((span.began_ms, span.ended_ms))
    return merged


def factor_of(rehearsal: Rehearsal, policy: Policy, number: int) -> float:
    """How many times as long a statement takes in production: as many times as what it read, rewrote or changed has rows
    there. What reads no rows takes as long as here.
    """
    return max((policy.production.factor(table, rows) for table, rows in _worked_on(rehearsal, policy, number)), default=1.0)


def _worked_on(rehearsal: Rehearsal, policy: Policy, number: int) -> Iterator[tuple[str, int]]:
    statement = rehearsal.statements[number]
    tables = {scan.relation for scan in statement.scans} | {*statement.rewrites}
    changed = _changed(rehearsal, number)
    for table in tables | changed:
        rows = rows_here(rehearsal, table)
        # A few rows, named one by one, are as few in production.
        few = table not in tables and (statement.rows_affected or 0) * policy.production.factor(table, rows) < (
            policy.large_table_rows
        )
        if rows >= _FEWEST_ROWS_TO_PROJECT and not few:
            yield table, rows


def _changed(rehearsal: Rehearsal, number: int) -> set[str]:
    """The tables whose rows a statement may have changed. A lock that an earlier statement took is not told again."""
    statements = rehearsal.statements
    if not statements[number].rows_affected:
        return set()
    for taken in ((statements[number],), statements[:number]):
        if found := {lock.relation for s in taken for lock in s.locks or () if lock.mode == _ROWS_CHANGE}:
            return found
    return set()


def weight(wait: Wait, limit_ms: float) -> Severity:
    """Ten times the limit is an error."""
    return Severity.ERROR if wait.projected_ms > 10 * limit_ms else Severity.WARNING


def waits(rehearsal: Rehearsal, policy: Policy, wait: Wait, what: str, limit_ms: float) -> str:
    """Who waits, for how long here and in production, against the limit."""
    time = duration(wait.here_ms)
    if wait.projected_ms > wait.here_ms * 1.01:
        here, there = rows_here(rehearsal, wait.relation), rows_in_production(rehearsal, policy, wait.relation)
        rows = f"{there:,} rows" if there > here else "rows"
        time += f" here, about {duration(wait.projected_ms)} with production's {rows}"
    return f"{what} of {name(relation(wait.relation))} wait for {time} (limit {duration(limit_ms)})"
