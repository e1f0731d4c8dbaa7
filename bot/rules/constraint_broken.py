"""Rule: the migration fails because existing rows break a constraint; says how many."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import ConstraintChange, Finding, Rehearsal, Severity
from bot.rules._sql import not_null, not_valid
from bot.rules.base import Policy, Rule
from bot.words import count, name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for constraint in rehearsal.constraints:
        if constraint.refused:
            yield RULE.found(
                rehearsal,
                _message(constraint),
                line=constraint.line,
                measured=constraint.violations,
                limit=0,
                instead=_instead(constraint),
            )


def _message(constraint: ConstraintChange) -> str:
    if constraint.violations is None or constraint.rows is None:
        return f"Existing rows of {name(relation(constraint.table))} break {_what(constraint)}; how many could not be counted"
    are = "is" if constraint.violations == 1 else "are"
    of = f"{constraint.violations:,} of {count(constraint.rows, 'row')}"
    if constraint.kind == "not null":
        column = name(f"{constraint.table.removeprefix('public.')}.{constraint.columns[0]}")
        if constraint.change == "broken":
            return f"{column} is NOT NULL, and {of} would be NULL"
        return f"{column} cannot become NOT NULL: {of} {are} NULL"
    break_ = "breaks" if constraint.violations == 1 else "break"
    would = f"would {break_.rstrip('s')}" if constraint.change == "broken" else break_
    return f"{of} of {name(relation(constraint.table))} {would} {_what(constraint)}"


def _what(constraint: ConstraintChange) -> str:
    kind = {"unique": "the unique index", "partition bounds": "the bounds of the partition"}.get(
        constraint.kind, f"the {constraint.kind} constraint"
    )
    return f"{kind} {name(constraint.name)}"


def _instead(constraint: ConstraintChange) -> str | None:
    """SQL for the table and column at hand."""
    table, columns = constraint.table, ", ".join(constraint.columns)
    if constraint.change == "broken":
        return None
    if constraint.kind == "not null":
        column = constraint.columns[0]
        return not_null(table, column, f"fill the {constraint.violations or 0:,} rows where {column} IS NULL, in batches")
    if constraint.kind in ("unique", "primary key"):
        return (
            f"-- these have more than one row:\nSELECT {columns}, count(*) FROM {table} GROUP BY {columns} HAVING count(*) > 1;"
        )
    if constraint.kind in ("check", "foreign key"):
        mend = f"mend the {constraint.violations or 0:,} rows; then,"
        return not_valid(table, constraint.name, constraint.definition, mend)
    return None


RULE = Rule(
    id="constraint-broken",
    severity=Severity.ERROR,
    title="Existing rows break a constraint",
    why=(
        "PostgreSQL checks every existing row when a constraint is added, and fails at the first one that breaks it. On an empty "
        "database the same migration passes. All rows in the way are counted here, not only the first."
    ),
    instead=(
        "Mend the rows first. Add the constraint as NOT VALID, which holds for new rows at once and reads nothing; mend the old "
        "rows in batches; then VALIDATE it, which blocks nobody."
    ),
    evidence="Existing rows that take part in breaking the constraint, all counted; the limit is 0.",
    check=_check,
    allowable=False,
)
