"""Rule: after a statement has locked a large table, the same transaction goes on to work while others wait."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, LockSpan, Rehearsal, Severity, StatementResult
from bot.postgres.locks import blocks
from bot.rules._seen import is_large
from bot.rules._waits import during, factor_of, taker
from bot.rules.base import Policy, Rule
from bot.words import count, duration, name, relation


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    """One finding, of the lock that blocks most: what runs under it runs under weaker ones as well."""
    worst: tuple[tuple[int, float], Finding] | None = None
    for span in rehearsal.lock_spans:
        number = taker(rehearsal, span)
        if number is None or not blocks(span.mode) or not is_large(rehearsal, policy, span.relation):
            continue
        found = _finding(rehearsal, policy, span, number)
        weight = (len(blocks(span.mode)), found.measured or 0.0) if found else (0, 0.0)
        if found and (worst is None or weight > worst[0]):
            worst = (weight, found)
    if worst:
        yield worst[1]


def _finding(rehearsal: Rehearsal, policy: Policy, span: LockSpan, number: int) -> Finding | None:
    later = [n for n, s in enumerate(rehearsal.statements) if n > number and during(span, s)]
    work = [n for n in later if _rows(rehearsal.statements[n]) * factor_of(rehearsal, policy, n) >= policy.large_table_rows]
    time = sum(rehearsal.statements[n].duration_ms * factor_of(rehearsal, policy, n) for n in later)
    limit = policy.reads_blocked_ms if "reads" in blocks(span.mode) else policy.writes_blocked_ms
    if not work and time <= limit:
        return None
    here, waiting = sum(rehearsal.statements[n].duration_ms for n in later), " and ".join(blocks(span.mode))
    rows = sum(_rows(rehearsal.statements[n]) for n in later)
    done = f"{count(len(later), 'later statement')} with {count(rows, 'row')} ran for {duration(here)}"
    projected = f", about {duration(time)} in production" if time > here * 1.01 else ""
    table, line = name(relation(span.relation)), rehearsal.statements[number].line
    return RULE.found(
        rehearsal,
        f"{done}{projected}, while the lock of line {line} kept {waiting} of {table} waiting",
        line=rehearsal.statements[(work or later)[0]].line,
        measured=round(time, 3),
        limit=limit,
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
)
