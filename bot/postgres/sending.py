"""Sending a statement whose rows nobody wants: they are thrown away as they come, however many there are."""

from __future__ import annotations

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGconn, PGresult

_ROWS_AT_ONCE = 100
_FAILED = (ExecStatus.FATAL_ERROR, ExecStatus.BAD_RESPONSE)


def send(connection: psycopg.Connection, statement: bytes) -> tuple[str, bool]:
    """Sends one simple query that is no COPY. Gives PostgreSQL's word for what it did, and whether it gave rows.

    Raises psycopg.Error, as its cursor would, which keeps all rows that it is given.
    """
    with connection.lock:
        connection.pgconn.send_query(statement)
        if psycopg.capabilities.has_stream_chunked():
            connection.pgconn.set_chunked_rows_mode(_ROWS_AT_ONCE)
        else:
            connection.pgconn.set_single_row_mode()
        return connection.wait(_results(connection.pgconn, connection.info.encoding))


def _results(pgconn: PGconn, encoding: str) -> PQGen[tuple[str, bool]]:
    yield from generators.send(pgconn)
    tag, gave_rows, error = "", False, None
    while result := (yield from _next(pgconn)):
        if result.status == ExecStatus.COPY_OUT:  # of a second statement that was read as the end of the first one
            while isinstance((yield from generators.copy_from(pgconn)), memoryview | bytes):
                pass
        elif result.status == ExecStatus.COPY_IN:
            yield from generators.copy_end(pgconn, b"there are no rows")
        elif result.status in _FAILED:
            error = error or error_from_result(result, encoding)  # the first says why the connection is lost
        elif result.command_status:
            tag, gave_rows = result.command_status.decode(), result.nfields > 0
    if error:
        raise error
    return tag, gave_rows


def _next(pgconn: PGconn) -> PQGen[PGresult | None]:
    result: PGresult | None
    try:
        result = yield from generators.fetch(pgconn)
    except psycopg.OperationalError:  # the connection is lost: what PostgreSQL said before is there
        result = pgconn.get_result()
        if result is None:
            raise
    return result
