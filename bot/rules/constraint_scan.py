"""Rule: a constraint on a table that is not small was proven by reading all of it while others wait."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import ConstraintChange, Finding, Rehearsal, Severity, StatementResult
from bot.rules._seen import how_many, is_large, is_partitioned, readers, rows_in_production, rows_limit
from bot.rules._sql import not_null, not_valid, quoted, unquoted
from bot.rules._waits import who_waits
from bot.rules.base import LARGE_TABLE_ROWS, Policy, Rule
from bot.words import last_part, name, relation

_PROVEN_BY_INDEX = ("unique", "primary key", "exclusion")
_PROVEN_BY_SCAN = ("not null", "check", "foreign key")


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    for constraint, statement in _proofs(rehearsal):
        waiting = who_waits(rehearsal, constraint.table, statement)
        if not waiting or not is_large(rehearsal, policy, constraint.table):
            continue
        rows, table = how_many(rehearsal, policy, constraint.table), name(relation(constraint.table))
        kind = "NOT NULL" if constraint.kind == "not null" else f"the {constraint.kind} constraint"
        yield RULE.found(
            rehearsal,
            f"{kind[0].upper()}{kind[1:]} {name(constraint.name)} read all {rows} of {table} while {waiting} wait",
            line=statement.line,
            measured=rows_in_production(rehearsal, policy, constraint.table),
            limit=rows_limit(policy, constraint.table),
            instead=None if is_partitioned(rehearsal, constraint.table) else _instead(constraint),
        )
    yield from _unexplained(rehearsal, policy)


def _unexplained(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    """A partition that is attached is read as well, to prove that its rows belong there."""
    attached = {
        c.name
        for c in rehearsal.schema
        if c.kind == "table"
        and c.change == "changed"
        and "PARTITION OF" in (c.after or "")
        and "PARTITION OF" not in (c.before or "")
    }
    for table in sorted(attached):
        for statement in readers(rehearsal).get(table, ()):
            waiting = who_waits(rehearsal, table, statement)
            if statement.rows_affected is None and not statement.indexes and waiting and is_large(rehearsal, policy, table):
                rows, shown = how_many(rehearsal, policy, table), name(relation(table))
                yield RULE.found(
                    rehearsal,
                    f"To attach the partition, all {rows} of {shown} were read while {waiting} wait",
                    line=statement.line,
                    measured=rows_in_production(rehearsal, policy, table),
                    limit=rows_limit(policy, table),
                )


def _proofs(rehearsal: Rehearsal) -> Iterator[tuple[ConstraintChange, StatementResult]]:
    """Each constraint with the statement that read the table for it."""
    # A column that is new has one value in all rows: that it is NOT NULL needs no proof.
    new = {(c.table, c.name) for c in rehearsal.columns if c.nulls_before is None and c.values_before is None}
    candidates = [
        c
        for c in rehearsal.constraints
        if c.validated
        and not c.refused
        and c.change in ("added", "changed")
        and not (c.kind == "not null" and (c.table, unquoted(c.columns[0])) in new)
    ]
    certain: set[tuple[str, int]] = set()
    for constraint in sorted(candidates, key=lambda c: c.line is None):
        proving = [s for s in readers(rehearsal).get(constraint.table, ()) if _reads_for(constraint, s)]
        at_its_line = [s for s in proving if s.line == constraint.line]
        # A statement that names one constraint is not taken for the proof of another that no statement names.
        others = [s for s in proving if (constraint.table, s.line) not in certain]
        if at_its_line:
            certain.add((constraint.table, at_its_line[0].line))
        for statement in (at_its_line or others)[:1]:
            yield constraint, statement


def _reads_for(constraint: ConstraintChange, statement: StatementResult) -> bool:
    if constraint.table in statement.rewrites or statement.rows_affected is not None:
        return False  # proven in passing; and what has a count of rows is no DDL
    built = [
        last_part(index.name) for index in statement.indexes if index.table == constraint.table and index.change != "dropped"
    ]
    if constraint.kind in _PROVEN_BY_INDEX:
        return constraint.name in built and not constraint.definition.startswith("CREATE ")
    read = any(scan.relation == constraint.table for scan in statement.scans)
    return constraint.kind in _PROVEN_BY_SCAN and read and (not built or statement.line == constraint.line)


def _instead(constraint: ConstraintChange) -> str | None:
    table, columns = constraint.table, ", ".join(constraint.columns)
    if constraint.kind == "not null":
        return not_null(table, constraint.columns[0], f"fill the rows where {constraint.columns[0]} IS NULL, in batches")
    if constraint.kind in ("check", "foreign key"):
        return not_valid(table, constraint.name, constraint.definition, "then,")
    plain = f"{constraint.kind.upper()} ({columns})"
    if constraint.definition == plain:
        index = quoted(constraint.name)
        return (
            f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} ({columns});  -- in a file of its own, outside a transaction\n"
            f"ALTER TABLE {table} ADD CONSTRAINT {index} {constraint.kind.upper()} USING INDEX {index};"
        )
    return None


RULE = Rule(
    id="constraint-scan",
    severity=Severity.WARNING,
    title="A constraint reads a whole table while others wait",
    why=(
        "To prove a new constraint PostgreSQL reads every row, or builds an index, while it holds the lock of ALTER TABLE: for "
        "NOT NULL, CHECK, UNIQUE, PRIMARY KEY and EXCLUDE nobody can read or write the table, for FOREIGN KEY nobody can write "
        "it or the table that it refers to. The time grows with the table."
    ),
    instead=(
        "Add CHECK and FOREIGN KEY as NOT VALID, which reads nothing, and VALIDATE them in another transaction, which blocks "
        "nobody. NOT NULL: prove it with such a CHECK first; SET NOT NULL then reads nothing. UNIQUE and PRIMARY KEY: CREATE "
        "UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … USING INDEX. For EXCLUDE there is no such way."
    ),
    evidence=(
        "Rows of the table, in production where that is known; the limit is `large-table-rows`. Told only where the statement "
        "read the table or built the index while a lock that blocks reads or writes of it was held."
    ),
    check=_check,
    options=(LARGE_TABLE_ROWS,),
)
