"""How many existing rows break a constraint: PostgreSQL stops at the first one, we count them all.

The definition of a constraint that PostgreSQL refused is nowhere in the catalog. It is not read from the migration's text
either: the failed statement is run once more on *emptied* tables, where it succeeds, its constraints are read from the catalog,
and that transaction is rolled back. Then the real rows are counted. Where a statement broke a constraint that was there before
(an UPDATE that makes duplicates), the constraint is dropped, the statement run again, the rows counted, and all rolled back.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace

import psycopg
from psycopg import sql
from psycopg.errors import IntegrityError, UndefinedColumn

from bot.model import ConstraintChange
from bot.postgres.catalog import Constraint, read_constraints
from bot.postgres.sending import send

_MAX_TABLES = 20
_AS_WE_READ = "SET LOCAL search_path = pg_catalog; SET LOCAL client_encoding = UTF8; SET LOCAL jit = off"
_COLUMN_TYPES = """
SELECT a.attrelid::bigint, a.attnum::int, pg_catalog.concat_ws(' ', a.atttypid, a.atttypmod, a.attcollation)
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
WHERE c.relkind IN ('r', 'p') AND NOT a.attisdropped
"""


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
    return f"SELECT pg_catalog.count(*) FROM {constraint.source} WHERE {condition}"


def _not_null(constraint: Constraint) -> str:
    return _rows_where(constraint, f"{constraint.columns[0]} IS NULL")


def _check(constraint: Constraint) -> str:
    return _rows_where(constraint, f"NOT ({constraint.expression})")  # NULL passes a CHECK


def _unique(constraint: Constraint) -> str:
    names = [f"key{n}" for n in range(len(constraint.columns))]
    keys = ", ".join(f"{key} AS {name}" for key, name in zip(constraint.columns, names, strict=True))
    where = f" WHERE {constraint.expression}" if constraint.expression else ""
    with_nulls = constraint.nulls_not_distinct
    compared = "" if with_nulls else f" WHERE pg_catalog.num_nulls({', '.join(names)}) OPERATOR(pg_catalog.=) 0"
    return (
        "SELECT coalesce(pg_catalog.sum(g.n), 0) FROM (SELECT pg_catalog.count(*) AS n"
        f" FROM (SELECT {keys} FROM {constraint.source}{where}) AS r{compared}"
        f" GROUP BY {', '.join(names)} HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1) AS g"
    )


def _foreign_key(constraint: Constraint) -> str:
    pairs = zip(constraint.referenced_columns, constraint.operators, constraint.columns, strict=True)
    matches = " AND ".join(f"rehearsal_r.{theirs} {operator} rehearsal_a.{ours}" for theirs, operator, ours in pairs)
    nulls = f"pg_catalog.num_nulls({', '.join(f'rehearsal_a.{column}' for column in constraint.columns)})"
    orphan = (
        f"{nulls} OPERATOR(pg_catalog.=) 0 AND NOT EXISTS (SELECT FROM {constraint.referenced} AS rehearsal_r WHERE {matches})"
    )
    if constraint.match_full:
        some = f"{nulls} OPERATOR(pg_catalog.>) 0 AND {nulls} OPERATOR(pg_catalog.<) {len(constraint.columns)}"
        orphan = f"({some}) OR ({orphan})"
    return f"SELECT pg_catalog.count(*) FROM {constraint.source} AS rehearsal_a WHERE {orphan}"


def _exclusion(constraint: Constraint) -> str:
    keys = ", ".join(f"{key} AS key{n}" for n, key in enumerate(constraint.columns))
    where = f" WHERE {constraint.expression}" if constraint.expression else ""
    rows = f"SELECT tableoid AS place, ctid AS tuple, {keys} FROM {constraint.source}{where}"
    conflict = " AND ".join(f"a.key{n} {operator} b.key{n}" for n, operator in enumerate(constraint.operators))
    return (
        f"SELECT pg_catalog.count(*) FROM ({rows}) AS a"
        f" WHERE EXISTS (SELECT FROM ({rows}) AS b"
        f" WHERE (a.place, a.tuple) OPERATOR(pg_catalog.<>) (b.place, b.tuple) AND {conflict})"
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
    """Counts in a transaction that is rolled back, as the session's own user: what a migration made of its role and settings
    must not decide which rows are seen. None if it can't be counted, or not in `limit_ms`.
    """
    if not constraint.source:
        constraint = read_constraints(connection, [constraint.table_oid]).get(constraint.key, constraint)
    if not constraint.countable:
        return None
    try:
        with connection.transaction(force_rollback=True):
            _as_ourselves(connection, limit_ms)
            if constraint.index_definition:  # without an index each row is compared with every other one
                connection.execute(constraint.index_definition.encode())
            row = connection.execute(count_query(constraint).encode()).fetchone()
    except UndefinedColumn:
        return _all_rows(connection, constraint, limit_ms) if constraint.kind == "not null" else None
    except psycopg.Error:
        return None
    return Violations(*row) if row else None


def _as_ourselves(connection: psycopg.Connection, limit_ms: int) -> None:
    """For the rest of the transaction: the user who logged in, whom no row policy holds back, and time enough. PostgreSQL's own
    names come first, as definitions were read so; then those that functions of the author's may rely on.
    """
    connection.execute(f"SET LOCAL statement_timeout = {limit_ms:d}".encode())
    connection.execute("SET LOCAL SESSION AUTHORIZATION DEFAULT")
    connection.execute("SET LOCAL row_security = off")
    path = connection.execute("SELECT pg_catalog.convert_to(pg_catalog.current_setting('search_path'), 'UTF8')").fetchone()
    names = ", ".join(filter(None, ("pg_catalog", path[0].decode() if path else "")))
    connection.execute("SELECT pg_catalog.set_config('search_path', pg_catalog.convert_from(%b, 'UTF8'), true)", [names.encode()])


def _all_rows(connection: psycopg.Connection, constraint: Constraint, limit_ms: int) -> Violations | None:
    """A NOT NULL column that the failed statement itself would have added is NULL in every row there is."""
    try:
        with connection.transaction(force_rollback=True):
            _as_ourselves(connection, limit_ms)
            row = connection.execute(f"SELECT pg_catalog.count(*) FROM {constraint.source}".encode()).fetchone()
    except psycopg.Error:
        return None
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
        there = _read(connection, limit_ms)
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
    # One that can't be counted is only said to be broken when PostgreSQL's error says so.
    return tuple(_refusal(c, change, v, line) for c, v in counted if (v.violations if v else _is_named(c, error)))


def broken_at_commit(
    connection: psycopg.Connection, error: psycopg.Error, *, line: int, limit_ms: int
) -> tuple[ConstraintChange, ...]:
    """The deferred constraint on which a transaction would fail to commit, with the rows that break it."""
    known = _named(_read(connection, limit_ms), error)
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


def _read(connection: psycopg.Connection, limit_ms: int) -> dict[tuple[int, str, str], Constraint]:
    """The constraints as the connection's transaction sees them, with qualified definitions."""
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL statement_timeout = {limit_ms:d}".encode())
        connection.execute(_AS_WE_READ)
        return read_constraints(connection)


def _named(there: dict[tuple[int, str, str], Constraint], error: psycopg.Error) -> Constraint | None:
    """The constraint that an error names, if it is there."""
    return next((constraint for constraint in there.values() if _is_named(constraint, error)), None)


def _is_named(constraint: Constraint, error: psycopg.Error) -> bool:
    diag = error.diag
    if (constraint.schema, constraint.relation) != (diag.schema_name, diag.table_name):
        return False
    if constraint.kind == "not null":
        return bool(diag.column_name) and constraint.column_name == diag.column_name
    if constraint.kind == "partition bounds":
        return not diag.constraint_name
    return bool(diag.constraint_name) and constraint.name == diag.constraint_name


def _refused_on_empty_tables(
    connection: psycopg.Connection,
    statement: str,
    error: psycopg.Error,
    there: dict[tuple[int, str, str], Constraint],
    limit_ms: int,
) -> list[Constraint]:
    """Runs the statement on emptied tables and gives the constraints that it adds there; nothing of it stays.

    Constraints of tables that the statement itself makes are left out: there are no existing rows in these. Where the statement
    also changes what a column holds, the rows as they are say nothing: such a constraint is not to be counted.
    """
    columns = _column_types(connection, limit_ms)
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
                _empty(connection, emptied)
                send(connection, statement.encode())
                connection.execute(f"SET LOCAL statement_timeout = {limit_ms:d}".encode())
                connection.execute(_AS_WE_READ)
                now = read_constraints(connection)
                changed = {key[0] for key, kind in _column_types(connection, limit_ms).items() if columns.get(key, kind) != kind}
        except IntegrityError as again:
            failed = again
            continue
        new = [c for key, c in now.items() if key not in there or (c.validated and not there[key].validated)]
        tables = {key[0] for key in columns}
        return [replace(c, countable=c.countable and c.table_oid not in changed) for c in new if c.table_oid in tables]
    return []


def _empty(connection: psycopg.Connection, tables: list[tuple[str, str]]) -> None:
    """Empties tables without their triggers having a say, if we may."""
    with suppress(psycopg.Error), connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
    for schema, name in tables:
        connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.Identifier(schema, name)))
    with suppress(psycopg.Error), connection.transaction():
        connection.execute("SET LOCAL session_replication_role = origin")


def _column_types(connection: psycopg.Connection, limit_ms: int) -> dict[tuple[int, int], str]:
    """The type of each column of each table, by table and number."""
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL statement_timeout = {limit_ms:d}".encode())
        connection.execute(_AS_WE_READ)
        rows = connection.execute(_COLUMN_TYPES).fetchall()
    return {(oid, number): kind for oid, number, kind in rows}


def _counted_without(connection: psycopg.Connection, statement: str, constraint: Constraint, limit_ms: int) -> Violations | None:
    """Runs the statement with the constraint out of its way, and counts what it would have left."""
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL statement_timeout = {limit_ms:d}".encode())
        connection.execute(_drop(constraint))
        send(connection, statement.encode())
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
