"""What one statement did to tables that it holds: new files, scans, indexes; asked where it can be seen.

Inside a transaction only its own connection sees what it has done. That connection belongs to the migration, so what is sent
over it names no function, type or operator without its schema, stands behind a savepoint of its own, and is sent only when the
statement before it holds a lock that readers and writers of rows do not take. Outside a transaction the observer asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
from psycopg.pq import TransactionStatus

_STATE = """
SELECT u.oid::pg_catalog.int8,
       pg_catalog.pg_relation_filenode(u.oid)::pg_catalog.int8,
       pg_catalog.pg_relation_size(u.oid),
       pg_catalog.pg_stat_get_xact_numscans(u.oid),
       pg_catalog.pg_stat_get_xact_tuples_returned(u.oid)
FROM pg_catalog.unnest(ARRAY[{oids}]::pg_catalog.oid[]) AS u(oid)
"""
_INDEXES = """
SELECT i.indrelid::pg_catalog.int8, i.indexrelid::pg_catalog.int8,
       pg_catalog.format('%I.%I', n.nspname, c.relname),
       pg_catalog.pg_relation_filenode(i.indexrelid)::pg_catalog.int8
FROM pg_catalog.pg_index AS i
JOIN pg_catalog.pg_class AS c ON c.oid OPERATOR(pg_catalog.=) i.indexrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
WHERE i.indrelid OPERATOR(pg_catalog.=) ANY (ARRAY[{oids}]::pg_catalog.oid[])
  AND NOT c.relispartition
"""
Rows = list[tuple[Any, ...]]
_UNITS_MS = {"": 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class Watched(Protocol):
    """A session that runs a migration, as far as we use it for looking."""

    @property
    def pid(self) -> int:
        """Of the process that serves it."""

    @property
    def status(self) -> TransactionStatus:
        """Whether it is inside a transaction."""

    def ask(self, questions: Sequence[str]) -> list[Rows] | None:
        """The rows that each question gives; a session inside a transaction is left as it was. None if there is no answer."""


@dataclass(frozen=True, slots=True)
class Direct:
    """A session that we have opened ourselves."""

    connection: psycopg.Connection

    @property
    def pid(self) -> int:
        """See Watched."""
        return self.connection.info.backend_pid

    @property
    def status(self) -> TransactionStatus:
        """See Watched."""
        return self.connection.info.transaction_status

    def ask(self, questions: Sequence[str]) -> list[Rows] | None:
        """See Watched."""
        return ask(self.connection, questions)


@dataclass(frozen=True, slots=True)
class TableState:
    """A table as its transaction sees it. `scans` and `rows_read` count sequential scans of the transaction so far; `indexes`:
    OID -> (qualified name, file node).
    """

    filenode: int | None
    bytes: int
    scans: int
    rows_read: int
    indexes: Mapping[int, tuple[str, int | None]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Look:
    """The answer: tables by OID, and the timeouts in force (0: none)."""

    tables: Mapping[int, TableState]
    lock_timeout_ms: int | None
    statement_timeout_ms: int | None


def look(session: Watched, oids: Iterable[int]) -> Look | None:
    """Asks in a session; one that is inside a transaction is left as it was. None if there is no answer (a `statement_timeout` of
    the migration's own may be shorter than the question).
    """
    listed = ", ".join(str(int(oid)) for oid in sorted(oids))
    questions = ["SHOW lock_timeout", "SHOW statement_timeout"]
    if listed:
        questions += [_STATE.format(oids=listed), _INDEXES.format(oids=listed)]
    answers = session.ask(questions)
    return _answer(answers, with_tables=bool(listed)) if answers else None


def ask(connection: psycopg.Connection, questions: Iterable[str]) -> list[Rows] | None:
    """The rows that each question gives; a connection inside a transaction is left as it was. None if there is no answer."""
    in_block = connection.info.transaction_status is TransactionStatus.INTRANS
    if in_block:
        questions = ["SAVEPOINT rehearsal_look", *questions, "RELEASE SAVEPOINT rehearsal_look"]
    try:
        return _results(connection.execute("; ".join(questions).encode()))
    except psycopg.Error:
        if in_block and connection.info.transaction_status is TransactionStatus.INERROR:
            connection.execute("ROLLBACK TO SAVEPOINT rehearsal_look; RELEASE SAVEPOINT rehearsal_look")
        return None


def _results(cursor: psycopg.Cursor[tuple[Any, ...]]) -> list[Rows]:
    """The rows of each question that has rows."""
    results = []
    while True:
        if cursor.description is not None:
            results.append([tuple(map(_as_text, row)) for row in cursor])
        if not cursor.nextset():
            return results


def _as_text(value: Any) -> Any:
    """What comes as bytes where the migration has set `client_encoding` to SQL_ASCII, which is none."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _answer(results: list[Rows], *, with_tables: bool) -> Look:
    timeouts_ms = milliseconds(results[0][0][0]), milliseconds(results[1][0][0])
    if not with_tables:
        return Look({}, *timeouts_ms)
    indexes: dict[int, dict[int, tuple[str, int | None]]] = {}
    for table, oid, name, filenode in results[3]:
        indexes.setdefault(table, {})[oid] = (name, filenode)
    tables = {
        oid: TableState(filenode, size or 0, scans, rows_read, indexes.get(oid, {}))
        for oid, filenode, size, scans, rows_read in results[2]
    }
    return Look(tables, *timeouts_ms)


def milliseconds(setting: str) -> int | None:
    """A time as SHOW writes it ("5s", "1min", "0") in milliseconds; None if it is written otherwise."""
    found = re.fullmatch(r"(\d+)(ms|s|min|h|d|)", setting)
    return int(found[1]) * _UNITS_MS[found[2]] if found else None
