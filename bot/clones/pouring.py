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

_MOST = 1 << 20  # bytes of statements sent at once, which are one transaction
_MOST_ENTRIES = 100  # objects likewise: a server has room for some thousand locks, and an object needs several


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
    """Statements up to the next rows, and the rows. Before each object pg_dump writes a comment that begins with a line `--`, and
    ends its `COPY … FROM stdin;` with a line; in a quoted text the same lines may stand as well.
    """
    text, entry, entries, last = b"", b"", 0, b""
    quote: bytes | None = None
    for line in lines:
        if quote is None and line.startswith(b"ALTER TABLE ") and line.endswith(_FORCED):
            last += line  # from then on it holds for us who own the table, and its rows are still to come
            continue
        if quote is None and line.startswith((b"\\restrict", b"\\unrestrict")):  # for psql
            continue
        if quote is None and _ends(entry, line):
            text, entry, entries = text + entry, b"", entries + 1
            if entries >= _MOST_ENTRIES or len(text) > _MOST:
                yield text, None
                text, entries = b"", 0
        entry += line
        quote = _quote_after(line, quote)
        if quote is None and line.endswith(_STDIN) and _COMMENTS.sub(b"", entry).startswith(b"COPY "):
            if text.strip():
                yield text, None
            yield entry, _rows(lines)
            text, entry, entries = b"", b"", 0
    if (text + entry + last).strip():
        yield text + entry + last, None


def _ends(entry: bytes, line: bytes) -> bool:
    """Whether a line outside quotes begins something that may be sent apart."""
    return (line == b"--\n" and _COMMENTS.sub(b"", entry) != b"") or (len(entry) > _MOST and entry.endswith(_OF_LARGE_OBJECT))


def _rows(lines: IO[bytes]) -> Iterator[bytes]:
    """Rows up to their end. Raises SeedError if the dump ends before."""
    while (line := lines.readline()) != b"\\.\n":
        if not line:
            raise SeedError("The seed could not be dumped.", why="pg_dump ended in the middle of a table's rows.")
        yield line


_STDIN = b" FROM stdin;\n"
_FORCED = b" FORCE ROW LEVEL SECURITY;\n"
_OF_LARGE_OBJECT = b"');\n"  # of one, a dump holds many statements
_COMMENTS = re.compile(rb"\A(?:(?:--.*)?\n)*")
# A dollar inside a name quotes nothing, and neither does an e at a name's end.
_OPENS = re.compile(rb"--|\"|'|(?<![\w$\x80-\xff])(?:[eE]'|\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$)")
_END_OF_ESCAPED = re.compile(rb"(?:[^'\\]+|\\.|'')*+'", re.DOTALL)


def _quote_after(line: bytes, quote: bytes | None) -> bytes | None:
    """What is open after a line, if anything is: a quote, or a dollar quote with its tag."""
    at = 0
    while True:
        if quote is None:
            opened = _OPENS.search(line, at)
            if opened is None or opened[0] == b"--":
                return None
            quote, at = opened[0], opened.end()
        if quote in (b"E'", b"e'"):
            closed = _END_OF_ESCAPED.match(line, at)
            end = closed.end() if closed else -1
        else:
            found = line.find(quote, at)
            end = found + len(quote) if found >= 0 else -1
        if end < 0:
            return quote
        quote, at = None, end


def _send(into: psycopg.Connection, text: bytes, rows: Iterator[bytes] | None) -> None:
    if rows is None:
        into.execute(text)
        return
    with into.cursor() as cursor, cursor.copy(text.rstrip().rstrip(b";")) as copy:
        for row in rows:
            copy.write(row)
