"""What is expected of the data after a migration: by itself, in conditions in its directives and queries in the file beside it;
and by the team, of all migrations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from bot.applying import message_of
from bot.model import Expectation, Migration
from bot.postgres.reading import Patience, reading
from bot.postgres.watch import is_raised
from bot.sql import Statement, redacted, split
from bot.team import Expected
from bot.words import count

_MOST_ROWS = 100_000
_BOOLEAN = 16  # the OID of pg_catalog.bool
_QUERIES = ("select", "with", "values", "table")
# A schema, table, column, function, type that is not there (yet).
_MISSING = ("3F000", "42P01", "42703", "42883", "42704")

_Connect = Callable[[], psycopg.Connection]


def check_expectations(migration: Migration, connect: _Connect, patience: Patience) -> tuple[Expectation, ...]:
    """Asks whether all is as a migration that was applied expects it. `connect` opens a connection as the migration's role; each
    expectation has its own, so that none can change what another one sees.
    """
    found = []
    for directive in split(migration.text).directives if "rehearsal:" in migration.text else ():
        if directive.verb == "expect":
            detail = _asked(connect, patience, directive.text, _condition).wrong
            found.append(Expectation(directive.line, directive.text, detail is None, detail, migration.path))
    for statement in split(migration.expect or "").statements:
        if not (statement.begins(*_QUERIES) or statement.sql.startswith("(")):
            detail = f"it is no query, and was not run: only {', '.join(_QUERIES).upper()} are asked"
        else:
            detail = _asked(connect, patience, statement.sql, _query).wrong
        found.append(Expectation(statement.line, _shown(statement), detail is None, detail, migration.expect_path))
    return tuple(found)


def _shown(statement: Statement) -> str:
    return redacted(statement.sql)


# ── The team's ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Answer:
    """What is wrong with an expectation, None if it is met; `is_missing`: what it asks about is not there."""

    wrong: str | None
    is_missing: bool = False


Standing = Mapping[str, Answer]  # how the team's expectations stand, by what they are called


def how_they_stand(expected: Sequence[Expected], connect: _Connect, patience: Patience) -> Standing:
    """Asks for each of the team's expectations whether it is met now, as `check_expectations` does."""
    return {one.name: _asked(connect, patience, one.sql, _query if one.is_query else _condition) for one in expected}


def what_became_of(expected: Sequence[Expected], before: Standing, after: Standing) -> tuple[Expectation, ...]:
    """What a migration made of the team's expectations. One that was not met before it, and is not now, is not its doing; nor is
    one about what is not there yet.
    """
    found = []
    for one in expected:
        was, now = before[one.name], after[one.name]
        blameless = was.wrong is not None and (not was.is_missing or now.is_missing)
        if now.wrong is None or not blameless:
            found.append(Expectation(one.line, one.name, now.wrong is None, now.wrong, one.path, of_team=True))
    return tuple(found)


def said_before(expected: Sequence[Expected], standing: Standing) -> list[str]:
    """Notes about those that are not met before the first migration."""
    notes = []
    for one in expected:
        place, now = f"“{one.name}” ({one.path}:{one.line})", standing[one.name]
        if now.is_missing:
            notes.append(f"Before the first migration the expectation {place} can't be asked: {now.wrong}.")
        elif now.wrong is not None:
            notes.append(f"Not met already before the first migration, and no fault of it: the expectation {place}: {now.wrong}.")
    return notes


# ── Asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _asked(connect: _Connect, patience: Patience, text: str, ask: Callable[[psycopg.Connection, str], str | None]) -> Answer:
    """It is asked in a transaction that can write nothing, and that is rolled back."""
    limit_ms = patience.left_ms
    with connect() as connection, reading(connection, patience, search_path=None):
        try:
            return Answer(ask(connection, text))
        except psycopg.errors.QueryCanceled as error:
            if is_raised(error.diag):
                return Answer(message_of(error, text))
            return Answer(f"it took longer than {limit_ms / 1000:.3g} s, which is what was left for it")
        except psycopg.Error as error:
            return Answer(message_of(error, text), is_missing=error.sqlstate in _MISSING and not is_raised(error.diag))


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
