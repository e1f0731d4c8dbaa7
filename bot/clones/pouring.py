"""A database of ours -> an empty one elsewhere, over its connection alone: what pg_dump writes, sent statement by statement.

Neither psql nor pg_restore could do it everywhere: those that come in a wheel know no TLS, which services ask for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO

import psycopg
from psycopg import sql

from bot.errors import SeedError
from bot.postgres.embedded import SUPERUSER, Server
from bot.words import one_line, without_values

_COPY = re.compile(rb"^COPY .* FROM stdin;$")
_MOST = 1 << 20  # bytes of statements sent at once


def pour(server: Server, into: psycopg.Connection, database: str = "seed") -> None:
    """Fills an empty database with another's objects and rows; all of them belong to the role of the connection.

    Raises SeedError with what its server said.
    """
    with server.connect("postgres") as admin:  # a template takes no sessions; nothing of a pull request runs beside it
        admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(database)))
    options = ["--no-owner", "--no-privileges", "--no-comments", "--no-publications", "--no-subscriptions", "--no-tablespaces"]
    dump = server.run_tool("pg_dump", *options, "--encoding=UTF8", database, user=SUPERUSER)
    assert dump.stdout is not None  # noqa: S101  made with a pipe
    try:
        for text, rows in _pieces(dump.stdout):
            _send(into, text, rows)
        said = dump.communicate()[1]
    except psycopg.Error as error:
        dump.kill()
        dump.communicate()
        raise SeedError(
            "The seed could not be loaded into the clone.",
            why=one_line(without_values(str(error).strip().partition("\n")[0]))[:300],
            advice="Its server may be older, or lack an extension of the seed, or have no room left.",
        ) from None
    if dump.returncode != 0:
        raise SeedError("The seed could not be dumped.", why=one_line(said.decode(errors="replace").strip()[-300:]))


def _pieces(lines: IO[bytes]) -> Iterator[tuple[bytes, Iterator[bytes] | None]]:
    """Statements up to the next rows, and the rows. pg_dump writes `COPY … FROM stdin;` on a line of its own, sets
    standard_conforming_strings, and quotes a body with dollars.
    """
    text = b""
    body: bytes | None = None
    for line in lines:
        if line.startswith((b"\\restrict", b"\\unrestrict")):  # for psql
            continue
        body = _body_after(line, body)
        if body is None and _COPY.match(line.rstrip(b"\n")):
            if text.strip():
                yield text, None
            text = b""
            yield line, iter(lines.readline, b"\\.\n")
            continue
        text += line
        if body is None and len(text) > _MOST and line.rstrip().endswith(b";"):
            yield text, None
            text = b""
    if text.strip():
        yield text, None


_DOLLARS = re.compile(rb"\$(?:[A-Za-z_]\w*)?\$")


def _body_after(line: bytes, body: bytes | None) -> bytes | None:
    """The dollar quote that is open after a line, if one is."""
    for found in _DOLLARS.findall(line):
        if body is None:
            body = found
        elif found == body:
            body = None
    return body


def _send(into: psycopg.Connection, text: bytes, rows: Iterator[bytes] | None) -> None:
    if rows is None:
        into.execute(text)
        return
    with into.cursor() as cursor, cursor.copy(text.rstrip().rstrip(b";")) as copy:
        for row in rows:
            copy.write(row)
