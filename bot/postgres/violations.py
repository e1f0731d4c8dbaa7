"""How many existing rows break a constraint: PostgreSQL stops at the first one, we count them all.

The definition of a constraint that PostgreSQL refused is nowhere in the catalog. It is not read from the migration's text
either: the failed statement is run once more on *emptied* tables, where it succeeds, its constraints are read from the catalog,
and that transaction is rolled back. Then the real rows are counted. Where a statement broke a constraint that was there before
(an UPDATE that makes duplicates), the constraint is dropped, the statement run again, the rows counted, and all rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.errors import IntegrityError, UndefinedColumn

from bot.model import ConstraintChange
from bot.postgres.catalog import Constraint, read_constraints

_MAX_TABLES = 20


@dataclass(frozen=True, slots=True)
class Violations:
    """`rows` of the table, `violations` of them in breach."""

    violations: int
    rows: int


def count_query(constraint: Constraint) -> str:
    """SQL with one row (violations, rows). For unique and exclusion constraints every row of each conflicting group counts."""
    broken = _COUNTS[constraint.kind](constraint)
    return f"SELECT ({broken})::bigint, (SELECT pg_catalog.count(*) FROM {constraint.source})"


def _rows_where(constraint: Constraint, condition: str) -> str:
    return f"SELECT pg_catalog.count(*) FROM {constraint.source} AS rehearsal_a WHERE {condition}"


def _not_null(constraint: Constraint) -> str:
    return _rows_where(constraint, f"{constraint.columns[0]} IS NULL")


def _check(constraint: Constraint) -> str:
    return _rows_where(constraint, f"NOT ({constraint.expression})")  # NULL passes a CHECK


def _unique(constraint: Constraint) -> str:
    keys = ", ".join(constraint.columns)
    conditions = [] if constraint.nulls_not_distinct else [f"pg_catalog.num_nulls({keys}) = 0"]
    if constraint.expression:
        conditions.append(f"({constraint.expression})")
    where = " AND ".join(conditions) or "true"
    return (
        f"SELECT coalesce(pg_catalog.sum(g.n), 0) FROM (SELECT pg_catalog.count(*) AS n FROM {constraint.source}"
        f" WHERE {where} GROUP BY {keys} HAVING pg_catalog.count(*) > 1) AS g"
    )


def _foreign_key(constraint: Constraint) -> str:
    pairs = zip(constraint.referenced_columns, constraint.operators, constraint.columns, strict=True)
    matches = " AND ".join(f"rehearsal_r.{theirs} {operator} rehearsal_a.{ours}" for theirs, operator, ours in pairs)
    columns = ", ".join(f"rehearsal_a.{column}" for column in constraint.columns)
    orphan = (
        f"pg_catalog.num_nulls({columns}) = 0 AND NOT EXISTS (SELECT FROM {constraint.referenced} AS rehearsal_r WHERE {matches})"
    )
    if constraint.match_full:
        orphan = f"(pg_catalog.num_nulls({columns}) BETWEEN 1 AND {len(constraint.columns) - 1}) OR ({orphan})"
    return _rows_where(constraint, orphan)


def _exclusion(constraint: Constraint) -> str:
    keys = ", ".join(f"{key} AS key{n}" for n, key in enumerate(constraint.columns))
    where = f" WHERE {constraint.expression}" if constraint.expression else ""
    rows = f"SELECT tableoid AS place, ctid AS tuple, {keys} FROM {constraint.source}{where}"
    conflict = " AND ".join(f"a.key{n} {operator} b.key{n}" for n, operator in enumerate(constraint.operators))
    return (
        f"SELECT pg_catalog.count(*) FROM ({rows}) AS a"
        f" WHERE EXISTS (SELECT FROM ({rows}) AS b WHERE (a.place, a.tuple) <> (b.place, b.tuple) AND {conflict})"
    )


_COUNTS = {
    "not null": _not_null,
    "check": _check,
    "partition bounds": _check,
    "unique": _unique,
    "primary key": _unique,
    "foreign key": _foreign_key,
    "exclusion": _exclusion,
}


def count_violations(connection: psycopg.Connection, constraint: Constraint, *, limit_ms: int) -> Violations | None:
    """Counts in a transaction that is rolled back; None if it can't be counted, or not in `limit_ms`."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(f"SET LOCAL statement_timeout = {limit_ms:d}".encode())
            if constraint.index_definition:  # without an index each row is compared with every other one
                connection.execute(constraint.index_definition.encode())
            row = connection.execute(count_query(constraint).encode()).fetchone()
    except UndefinedColumn:
        return _all_rows(connection, constraint) if constraint.kind == "not null" else None
    except psycopg.Error:
        return None
    return Violations(*row) if row else None


def _all_rows(connection: psycopg.Connection, constraint: Constraint) -> Violations | None:
    """A NOT NULL column that the failed statement itself would have added is NULL in every row there is."""
    row = connection.execute(f"SELECT pg_catalog.count(*) FROM {constraint.source}".encode()).fetchone()
    return Violations(row[0], row[0]) if row else None


def diagnose(
    connection: psycopg.Connection, statement: str, error: psycopg.Error, *, line: int, limit_ms: int
) -> tuple[ConstraintChange, ...]:
    """Takes a statement that failed on a constraint to the constraints it failed on, with the rows that break each.

    The connection must be as it was before the statement: outside a transaction, or back at a savepoint. It is left so.
    """
    if not isinstance(error, IntegrityError):
        return ()
    try:
        there = _read(connection)
        known = _named(there, error)
        if known is None:
            refused = _refused_on_empty_tables(connection, statement, error, there, limit_ms)
            change, counted = "added", [(c, count_violations(connection, c, limit_ms=limit_ms)) for c in refused]
        elif known.validated:
            change, counted = "broken", [(known, _counted_without(connection, statement, known, limit_ms))]
        else:  # VALIDATE CONSTRAINT, or the invalid index that CREATE UNIQUE INDEX CONCURRENTLY left
            change, counted = "changed", [(known, count_violations(connection, known, limit_ms=limit_ms))]
    except psycopg.Error:
        return ()
    return tuple(_refusal(c, change, v, line) for c, v in counted if v is None or v.violations)


def broken_at_commit(
    connection: psycopg.Connection, error: psycopg.Error, *, line: int, limit_ms: int
) -> tuple[ConstraintChange, ...]:
    """The deferred constraint on which a transaction would fail to commit, with the rows that break it."""
    known = _named(_read(connection), error)
    if known is None:
        return ()
    return (_refusal(known, "broken", count_violations(connection, known, limit_ms=limit_ms), line),)


def _refusal(constraint: Constraint, change: str, counted: Violations | None, line: int) -> ConstraintChange:
    """A constraint that PostgreSQL refused, as the report says it."""
    return ConstraintChange(
        table=constraint.table_name,
        name=constraint.name,
        kind=constraint.kind,
        change=change,
        validated=False,
        violations=counted.violations if counted else None,
        definition=constraint.definition,
        refused=True,
        rows=counted.rows if counted else None,
        columns=tuple(constraint.columns),
        line=line,
    )


def _read(connection: psycopg.Connection) -> dict[tuple[int, str, str], Constraint]:
    """The constraints as the connection's transaction sees them, with qualified definitions."""
    with connection.transaction(force_rollback=True):
        connection.execute("SET LOCAL search_path = pg_catalog")
        return read_constraints(connection)


def _named(there: dict[tuple[int, str, str], Constraint], error: psycopg.Error) -> Constraint | None:
    """The constraint that an error names, if it is there."""
    diag = error.diag
    for constraint in there.values():
        if (constraint.schema, constraint.relation) != (diag.schema_name, diag.table_name):
            continue
        if constraint.kind == "not null":
            if diag.column_name and constraint.column_name == diag.column_name:
                return constraint
        elif diag.constraint_name and constraint.name == diag.constraint_name:
            return constraint
    return None


def _refused_on_empty_tables(
    connection: psycopg.Connection,
    statement: str,
    error: psycopg.Error,
    there: dict[tuple[int, str, str], Constraint],
    limit_ms: int,
) -> list[Constraint]:
    """Runs the statement on emptied tables and gives the constraints that it adds there; nothing of it stays."""
    emptied: list[tuple[str, str]] = []
    failed: psycopg.Error = error
    while len(emptied) < _MAX_TABLES:
        table = _table(failed)
        if table is None or table in emptied:
            return []
        emptied.append(table)
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(f"SET LOCAL statement_timeout = {limit_ms:d}".encode())
                for schema, name in emptied:
                    connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(schema, name)))
                connection.execute(statement.encode())
                connection.execute("SET LOCAL search_path = pg_catalog")
                now = read_constraints(connection)
        except IntegrityError as again:
            failed = again
            continue
        return [c for key, c in now.items() if key not in there or (c.validated and not there[key].validated)]
    return []


def _counted_without(connection: psycopg.Connection, statement: str, constraint: Constraint, limit_ms: int) -> Violations | None:
    """Runs the statement with the constraint out of its way, and counts what it would have left."""
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL statement_timeout = {limit_ms:d}".encode())
        connection.execute(_drop(constraint))
        connection.execute(statement.encode())
        return count_violations(connection, constraint, limit_ms=limit_ms)


def _drop(constraint: Constraint) -> sql.Composed:
    table = sql.Identifier(constraint.schema, constraint.relation)
    name = sql.Identifier(constraint.name)
    if constraint.kind == "not null":
        column = sql.Identifier(constraint.column_name or "")
        return sql.SQL("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL").format(table, column)
    if constraint.bare_index:
        return sql.SQL("DROP INDEX {} CASCADE").format(sql.Identifier(constraint.schema, constraint.name))
    return sql.SQL("ALTER TABLE {} DROP CONSTRAINT {} CASCADE").format(table, name)


def _table(error: psycopg.Error) -> tuple[str, str] | None:
    diag = error.diag
    return (diag.schema_name, diag.table_name) if diag.schema_name and diag.table_name else None
