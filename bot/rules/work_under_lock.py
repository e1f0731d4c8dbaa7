"""Rule: after a statement has locked a large table, the same transaction goes on to work while others wait."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate
from itertools import count as count_from
from operator import mul

from bot.model import Finding, LockSpan, Rehearsal, Severity, StatementResult
from bot.postgres.locks import blocks
from bot.rules._seen import is_large
from bot.rules._waits import during, factors
from bot.rules.base import LARGE_TABLE_ROWS, Policy, Rule
from bot.words import count, duration, name, relation


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    """Work under several locks is told once: of the first statement that took one, the lock under which most is done."""
    timeline = _Timeline(rehearsal, policy)
    best: tuple[int, Finding] | None = None
    for span in rehearsal.lock_spans:
        if not blocks(span.mode) or not is_large(rehearsal, policy, span.relation):
            continue
        number = timeline.taker(span)
        if number is None or (best and number > best[0]):
            continue
        found = _finding(rehearsal, policy, span, number, timeline)
        if found and (best is None or number < best[0] or (found.measured or 0) > (best[1].measured or 0)):
            best = (number, found)
    if best:
        yield best[1]


class _Timeline:
    """The statements in time, with sums over them: a migration may have thousands, and as many locks."""

    def __init__(self, rehearsal: Rehearsal, policy: Policy) -> None:
        self._statements = rehearsal.statements
        times = [s.duration_ms for s in self._statements]
        longer = list(map(mul, times, factors(rehearsal, policy)))
        rows = [_rows(s) for s in self._statements]
        self._began = [s.began_ms for s in self._statements]
        self._sums = [list(accumulate(values, initial=0.0)) for values in (times, longer, rows)]
        large = zip(count_from(0), rows, factors(rehearsal, policy))
        self._work = [n for n, here, factor in large if here * factor >= policy.large_table_rows]

    def taker(self, span: LockSpan) -> int | None:
        """Which statement took a lock, as its index; None if that is not known."""
        first = max(0, bisect_right(self._began, span.began_ms) - 1)
        near = range(first, min(first + 2, len(self._statements)))
        return next((n for n in near if self._statements[n].line == span.line and during(span, self._statements[n])), None)

    def later(self, span: LockSpan, number: int) -> range:
        """The statements that began after that one, while the lock was held."""
        return range(number + 1, bisect_left(self._began, span.ended_ms))

    def sums(self, statements: range) -> tuple[float, float, int]:
        """Milliseconds here, in production, and rows."""
        here, longer, rows = (sums[statements.stop] - sums[statements.start] for sums in self._sums)
        return here, longer, int(rows)

    def work(self, statements: range) -> int | None:
        """The first of them that did work on many rows."""
        place = bisect_left(self._work, statements.start)
        return self._work[place] if place < len(self._work) and self._work[place] < statements.stop else None


def _finding(rehearsal: Rehearsal, policy: Policy, span: LockSpan, number: int, timeline: _Timeline) -> Finding | None:
    later = timeline.later(span, number)
    if not later:
        return None
    here, time, rows = timeline.sums(later)
    work = timeline.work(later)
    limit = policy.reads_blocked_ms if "reads" in blocks(span.mode) else policy.writes_blocked_ms
    if work is None and time <= limit:
        return None
    waiting = " and ".join(blocks(span.mode))
    done = f"{count(len(later), 'later statement')} with {count(rows, 'row')} ran for {duration(here)}"
    projected = f", about {duration(time)} in production" if time > here * 1.01 else ""
    table, line = name(relation(span.relation)), rehearsal.statements[number].line
    by_rows = time <= limit  # then it is not the time that is too much
    return RULE.found(
        rehearsal,
        f"{done}{projected}, while the lock of line {line} kept {waiting} of {table} waiting",
        line=rehearsal.statements[later[0] if work is None else work].line,
        measured=rows if by_rows else round(time, 3),
        limit=policy.large_table_rows if by_rows else limit,
    )


def _rows(statement: StatementResult) -> int:
    """Rows that a statement changed or read."""
    return max(statement.rows_affected or 0, *(scan.rows for scan in statement.scans), 0)


RULE = Rule(
    id="work-under-lock",
    severity=Severity.WARNING,
    title="Work goes on while a table is locked",
    why=(
        "A lock is held until its transaction ends, not until its statement does. ADD COLUMN takes a moment; the UPDATE after it "
        "in the same transaction takes minutes, and all the while nobody can read or write the table."
    ),
    instead=(
        "Change the schema in one migration and fill the rows in another, in batches that are committed one by one. Where both "
        "must be together, do the work first and take the lock last."
    ),
    evidence=(
        "Milliseconds of the statements that ran after the one which locked a table that is not small, as projected to "
        "production where its rows are known. Told where they changed or read `large-table-rows` rows, or took longer than "
        "`max-reads-blocked-ms` or `max-writes-blocked-ms` allows."
    ),
    check=_check,
    options=(LARGE_TABLE_ROWS,),
)
