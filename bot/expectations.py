"""What a migration expects of the data after it: conditions in its directives, and queries in the file beside it."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from bot.applying import message_of
from bot.model import Expectation, Migration
from bot.postgres.reading import Patience, reading
from bot.postgres.watch import is_raised
from bot.sql import Statement, redacted, split
from bot.words import count

_MOST_ROWS = 100_000
_BOOLEAN = 16  # the OID of pg_catalog.bool
_QUERIES = ("select", "with", "values", "table")


def check_expectations(
    migration: Migration, connect: Callable[[], psycopg.Connection], patience: Patience
) -> tuple[Expectation, ...]:
    """Asks whether all is as a migration that was applied expects it. `connect` opens a connection as the migration's role; each
    expectation has its own, so that none can change what another one sees.
    """
    found = []
    for directive in split(migration.text).directives if "rehearsal:" in migration.text else ():
        if directive.verb == "expect":
            detail = _asked(connect, patience, directive.text, _condition)
            found.append(Expectation(directive.line, directive.text, detail is None, detail, migration.path))
    for statement in split(migration.expect or "").statements:
        if not (statement.begins(*_QUERIES) or statement.sql.startswith("(")):
            detail = f"it is no query, and was not run: only {', '.join(_QUERIES).upper()} are asked"
        else:
            detail = _asked(connect, patience, statement.sql, _query)
        found.append(Expectation(statement.line, _shown(statement), detail is None, detail, migration.expect_path))
    return tuple(found)


def _shown(statement: Statement) -> str:
    return redacted(statement.sql)


def _asked(
    connect: Callable[[], psycopg.Connection], patience: Patience, text: str, ask: Callable[[psycopg.Connection, str], str | None]
) -> str | None:
    """What is wrong, or None. It is asked in a transaction that can write nothing, and that is rolled back."""
    limit_ms = patience.left_ms
    with connect() as connection, reading(connection, patience, search_path=None):
        try:
            return ask(connection, text)
        except psycopg.errors.QueryCanceled as error:
            if is_raised(error.diag):
                return message_of(error, text)
            return f"it took longer than {limit_ms / 1000:.3g} s, which is what was left for it"
        except psycopg.Error as error:
            return message_of(error, text)


def _condition(connection: psycopg.Connection, text: str) -> str | None:
    # The line break keeps a comment at its end from swallowing the parenthesis. Asked for as binary, PostgreSQL takes it as one
    # statement and refuses more.
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT (\n{text}\n) LIMIT 0".encode(), binary=True)
        assert cursor.description is not None  # noqa: S101  a SELECT has columns
        if cursor.description[0].type_code != _BOOLEAN:
            return "it is no condition: it is neither true nor false"
        rows = cursor.execute(f"SELECT (\n{text}\n) LIMIT 2".encode(), binary=True).fetchall()
        if len(rows) != 1:
            return "it gives more than one answer" if rows else "it gives no answer"
        return {True: None, False: "it is false"}.get(rows[0][0], "it is NULL, neither true nor false")


def _query(connection: psycopg.Connection, text: str) -> str | None:
    """Counts the rows where they are: none is fetched."""
    connection.execute(f"DECLARE rehearsal NO SCROLL CURSOR FOR {text}".encode())
    moved = connection.execute(f"MOVE FORWARD {_MOST_ROWS + 1} IN rehearsal".encode()).statusmessage or ""
    rows = int(moved.rpartition(" ")[2] or 0)
    if rows == 0:
        return None
    return f"more than {count(_MOST_ROWS, 'row')}" if rows > _MOST_ROWS else count(rows, "row")
