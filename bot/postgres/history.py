"""The history tables of migration tools in a seed: read, and written as the tool would.

A dump is somebody's: what bears the table's name may be a view that calls functions, or hold columns of types that somebody made.
Only an ordinary table with columns of PostgreSQL's own types is read, as the migrations' role, in a transaction that can write
nothing; so many rows, so much of each value, and no longer than a minute.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath

import psycopg
from psycopg import sql

from bot.layouts.base import HistoryTable, Row
from bot.model import Migration
from bot.postgres.guard import Guard
from bot.postgres.reading import Patience, reading
from bot.sql import split

_MOST_ROWS = 20_000
_LONGEST = 2**20  # characters of a value: Hasura keeps all versions in one
_PATIENCE_MS = 60_000
# A table of that name, in the schema if one is wanted, else `public` before others; and its columns that are wanted.
_FIND = """
SELECT n.nspname::pg_catalog.text, c.relname::pg_catalog.text,
       (SELECT pg_catalog.array_agg(a.attname::pg_catalog.text)
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        WHERE a.attrelid = c.oid AND NOT a.attisdropped AND t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace
          AND a.attname::pg_catalog.text = ANY (%(columns)s))
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname::pg_catalog.text = %(table)s AND c.relkind = 'r' AND n.nspname !~ '^pg_'
  AND (%(schema)s::pg_catalog.text IS NULL OR n.nspname::pg_catalog.text = %(schema)s)
ORDER BY n.nspname <> 'public', n.nspname
LIMIT 2
"""


@dataclass(frozen=True, slots=True)
class Found:
    """A history table in a database, by its schema and name."""

    schema: str
    name: str

    @property
    def quoted(self) -> sql.Identifier:
        """The name as SQL has it."""
        return sql.Identifier(self.schema, self.name)

    def __str__(self) -> str:
        return self.name if self.schema == "public" else f"{self.schema}.{self.name}"


def find(observer: psycopg.Connection, table: HistoryTable) -> Found | None:
    """Where a database has a tool's history table; None if it has none, several in schemas of which none is `public`, or one with
    other columns. `observer` looks at the catalog.
    """
    schema, _, name = table.table.rpartition(".")
    columns = [table.version_column, *table.columns]
    rows = observer.execute(_FIND, {"schema": schema or None, "table": name, "columns": columns}).fetchall()
    if not rows or (len(rows) > 1 and rows[0][0] != "public"):
        return None
    return Found(rows[0][0], rows[0][1]) if set(columns) <= set(rows[0][2] or ()) else None


def read(reader: psycopg.Connection, found: Found, table: HistoryTable, guard: Guard) -> list[Row] | None:
    """The rows of a history table as text, over a connection as the migrations' role; None if they can't be had, are none or too
    many.
    """
    columns = [table.version_column, *table.columns]
    values = sql.SQL(", ").join(
        sql.SQL("pg_catalog.left({}::pg_catalog.text, {})").format(sql.Identifier(column), sql.Literal(_LONGEST))
        for column in columns
    )
    question = sql.SQL("SELECT {} FROM ONLY {} LIMIT {}").format(values, found.quoted, sql.Literal(_MOST_ROWS + 1))
    try:
        with reading(reader, Patience(_PATIENCE_MS, guard)):
            rows = reader.execute(question).fetchall()
    except psycopg.Error:
        return None
    if not rows or len(rows) > _MOST_ROWS:
        return None
    return [dict(zip(columns, map(_text, row), strict=True)) for row in rows]


def _text(value: object) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else None if value is None else str(value)


def create(connection: psycopg.Connection, table: HistoryTable) -> Found | None:
    """Makes a history table as its tool does, in `public` if the tool says no schema; None where it does not make it itself."""
    if not table.create:
        return None
    schema, _, name = table.table.rpartition(".")
    found = Found(schema or "public", name)
    for statement in table.create:
        connection.execute(sql.SQL(statement).format(table=found.quoted))
    return found


def write(
    connection: psycopg.Connection, found: Found, table: HistoryTable, migration: Migration, ms: float, guard: Guard
) -> None:
    """Writes what the tool writes once it has run a migration, in one transaction. What the table does not take is left out: it
    may be of another version of the tool.
    """
    if not (table.write and migration.recorded):
        return
    path = PurePosixPath(migration.path)
    title = re.sub(r"(?:\.up)?\.sql$", "", path.name).partition("_")[2]
    values = {
        "version": migration.recorded,
        "shown": migration.version,
        "title": title,
        "script": path.name,
        "folder": path.parent.parent.name,
        "repeatable": migration.repeatable,
        "checksum": migration.checksum,
        "text": migration.text,
        "ms": int(ms),
        "statements": len(split(migration.text).statements),
    }
    with suppress(psycopg.Error), guard.watching(connection, _PATIENCE_MS / 1000), connection.transaction():
        for statement in table.write:
            connection.execute(sql.SQL(statement).format(table=found.quoted), values)
