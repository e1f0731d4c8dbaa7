"""Who waits for a table while a migration holds its locks, and for how long: here, and projected to production."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bot.model import LockSpan, Rehearsal, Severity, StatementResult
from bot.postgres.locks import blocks
from bot.rules._seen import remember_last, rows_here, rows_in_production, spans_by_relation
from bot.rules.base import Policy
from bot.team import Option
from bot.words import duration, name, relation

# So few rows take no time: that of their statement is the statement's own, and would be multiplied with them.
_FEWEST_ROWS_TO_PROJECT = 1000
_ROWS_CHANGE = "RowExclusiveLock"
ERROR_FACTOR = Option("error-factor", 10.0, "How many times the limit is an error.", least=1, most=1e6)


# ── Who waits ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def during(span: LockSpan, statement: StatementResult) -> bool:
    """Whether a lock was held while a statement ran."""
    return span.began_ms < statement.began_ms + statement.duration_ms and statement.began_ms < span.ended_ms


def who_waits(rehearsal: Rehearsal, table: str, statement: StatementResult) -> str:
    """What of others waits for a table while a statement runs: "reads and writes", "writes", or nothing."""
    modes = [span.mode for span in spans_by_relation(rehearsal).get(table, ()) if during(span, statement)]
    kept = sorted((blocks(mode) for mode in modes), key=len)
    return " and ".join(kept[-1]) if kept else ""


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
    spans = [span for span in spans_by_relation(rehearsal).get(relation, ()) if kind in blocks(span.mode)]
    if not spans:
        return None
    here = projected = 0.0
    for began, ended in _union(spans):
        here += ended - began
        projected += ended - began
        for statement, factor in _longer(rehearsal, policy):
            shared = min(ended, statement.began_ms + statement.duration_ms) - max(began, statement.began_ms)
            projected += max(0.0, shared) * (factor - 1)
    return Wait(relation, here, projected, max(spans, key=lambda span: (len(blocks(span.mode)), span.ended_ms - span.began_ms)))


def _union(spans: Iterable[LockSpan]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for span in sorted(spans, key=lambda span: span.began_ms):
        if merged and span.began_ms <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], span.ended_ms))
        else:
            merged.append((span.began_ms, span.ended_ms))
    return merged


@remember_last
def factors(rehearsal: Rehearsal, policy: Policy) -> Sequence[float]:
    """For each statement how many times as long it takes in production: as many times as what it read, rewrote or changed has
    rows there. What reads no rows takes as long as here.
    """
    found, changed_so_far = [], set[str]()
    for statement in rehearsal.statements:
        taken = {lock.relation for lock in statement.locks or () if lock.mode == _ROWS_CHANGE}
        changed_so_far |= taken
        # A lock that an earlier statement took is not told again.
        changed = (taken or changed_so_far) if statement.rows_affected and policy.production.is_known else set()
        worked_on = _worked_on(rehearsal, statement, changed) if policy.production.is_known else ()
        found.append(max((policy.production.factor(table, rows) for table, rows in worked_on), default=1.0))
    return found


@remember_last
def _longer(rehearsal: Rehearsal, policy: Policy) -> Sequence[tuple[StatementResult, float]]:
    """The statements that take longer in production, and how many times."""
    return [(s, factor) for s, factor in zip(rehearsal.statements, factors(rehearsal, policy), strict=True) if factor > 1]


def _worked_on(rehearsal: Rehearsal, statement: StatementResult, changed: set[str]) -> Iterator[tuple[str, int]]:
    tables = {scan.relation for scan in statement.scans} | {*statement.rewrites}
    for table in tables | changed:
        rows = rows_here(rehearsal, table)
        # A few rows, named one by one, are as few in production.
        few = table not in tables and (statement.rows_affected or 0) < _FEWEST_ROWS_TO_PROJECT
        if rows >= _FEWEST_ROWS_TO_PROJECT and not few:
            yield table, rows


def weight(policy: Policy, wait: Wait, limit_ms: float) -> Severity:
    """Many times the limit is an error."""
    return Severity.ERROR if wait.projected_ms > policy.value(ERROR_FACTOR) * limit_ms else Severity.WARNING


def waits(rehearsal: Rehearsal, policy: Policy, wait: Wait, what: str, limit_ms: float) -> str:
    """Who waits, for how long here and in production, against the limit."""
    time = duration(wait.here_ms)
    if wait.projected_ms > wait.here_ms * 1.01:
        here, there = rows_here(rehearsal, wait.relation), rows_in_production(rehearsal, policy, wait.relation)
        rows = f"{there:,} rows" if there > here else "rows"
        time += f" here, about {duration(wait.projected_ms)} with production's {rows}"
    return f"{what} of {name(relation(wait.relation))} wait for {time} (limit {duration(limit_ms)})"
