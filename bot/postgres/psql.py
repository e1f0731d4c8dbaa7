"""psql for files that somebody else may have written: it runs their SQL, and no command of its own.

A command such as `\\!`, `\\copy … program` or `\\o |…` runs programs, and whoever opens a pull request may have written the file.
So psql works in its restricted mode, which `\\restrict` begins and only `\\unrestrict` with the same key ends. Two things are
kept from it: pg_dump's own pair of the two, as a mode can't be begun twice; and any other `\\unrestrict`, as a psql before 15.19,
16.15, 17.11 and 18.6 runs what stands in backticks after it (CVE-2026-18408).
"""

from __future__ import annotations

import re
import secrets
import subprocess
from dataclasses import replace

from bot.errors import SeedError
from bot.postgres.binaries import Binaries, newest
from bot.postgres.embedded import Server

_SINCE_MINOR = {15: 14, 16: 10, 17: 6}  # the restricted mode; of other versions all that this program works with have it
_KEY = rb"([0-9A-Za-z]{1,128})(?=\r?\n)"
# As pg_dump writes it: before anything but comments, or in a file of several dumps below the head of one.
_FIRST_OPENS = re.compile(rb"(?:\xef\xbb\xbf)?(?:(?:--[^\n]*|\r)?\n)*(?P<mark>\\restrict " + _KEY + rb")")
_OPENS = re.compile(
    rb"^--\r?\n-- PostgreSQL database[^\n]{0,20}\n--\r?\n(?:\r?\n)?(?P<mark>\\restrict " + _KEY + rb")", re.MULTILINE
)
_UNRESTRICT = re.compile(rb"(?<!\\)\\unrestrict\b")
LONGEST_LINE = 512 * 2**20  # bytes
_HELD = 512  # bytes; longer than what _OPENS can match, which may begin in one piece and end in the next


def start_psql(server: Server, database: str, role: str) -> subprocess.Popen[bytes]:
    """Starts psql, as the server's account and a role, for SQL that is written to its standard input. Raises SeedError."""
    arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-d", database]
    arguments += ["-c", f"\\restrict {secrets.token_hex(16)}", "-f", "-"]
    able = replace(server, binaries=_restrictable(server.binaries))
    return able.run_tool("psql", *arguments, stdin=subprocess.PIPE, user=role)


def _restrictable(own: Binaries) -> Binaries:
    """The server's own psql, or else the newest one: each works with older servers."""
    if has_restricted_mode(own.version):
        return own
    other = newest(None)
    if has_restricted_mode(other.version):
        return other
    raise SeedError(
        f"psql {own.version} can't be kept from running programs that a file names.",
        why="Its restricted mode (\\restrict) came with PostgreSQL 15.14, 16.10 and 17.6.",
        advice="Update PostgreSQL, or give the seed in pg_dump's custom format (-Fc), and no seed-sql.",
    )


def has_restricted_mode(version: str) -> bool:
    """Whether psql of this version, as in "17.6" or "19devel", knows `\\restrict`."""
    major, minor = re.match(r"(\d+)(?:\.(\d+))?", version).groups()  # type: ignore[union-attr]
    return int(minor or 0) >= _SINCE_MINOR.get(int(major), 0)


class Script:
    """A SQL file on its way to psql, in pieces: lines stay where they are."""

    def __init__(self, name: str) -> None:
        self._name, self._held, self._lines, self._line_bytes = name, b"", 0, 0
        self._key: bytes | None = None
        self._opens = _FIRST_OPENS.match

    def take(self, piece: bytes, *, last: bool = False) -> bytes:
        """What of the file may go to psql now that this piece of it was read. Raises SeedError."""
        text = self._without_own_marks(self._held + piece)
        end = len(text) if last else max(0, len(text) - _HELD)
        if (found := _UNRESTRICT.search(text)) and found.start() < end:
            line = self._lines + text.count(b"\n", 0, found.start()) + 1
            raise SeedError(
                f"{self._name}:{line}: \\unrestrict ends what no \\restrict began.",
                why="Only the pair that pg_dump writes is known, at a dump's begin and end.",
                advice="Take the line out. Where it is part of the data, give the seed in pg_dump's custom format (-Fc).",
            )
        self._refuse_endless_line(text, end)
        self._held = text[end:]
        self._lines += text.count(b"\n", 0, end)
        return text[:end]

    def _refuse_endless_line(self, text: bytes, end: int) -> None:
        """A line is kept three times in memory by psql, and a small file may unpack to a line of any length. Raises SeedError."""
        newline = text.rfind(b"\n", 0, end)
        self._line_bytes = self._line_bytes + end if newline < 0 else end - newline - 1
        if self._line_bytes > LONGEST_LINE:
            raise SeedError(
                f"{self._name}:{self._lines + 1}: the line is longer than {LONGEST_LINE >> 20} MB.",
                why="PostgreSQL takes no statement and no value of a gigabyte.",
                advice="If it is a dump, make it in pg_dump's custom format (-Fc).",
            )

    def _without_own_marks(self, text: bytes) -> bytes:
        """pg_dump's own `\\restrict` and `\\unrestrict` are blanked out; its key is one that nothing in the dump holds."""
        at = 0
        while found := self._next_mark(text, at):
            begin, at = found.span("mark")
            self._key = found[2] if self._key is None else None
            text = text[:begin] + b" " * (at - begin) + text[at:]
        return text

    def _next_mark(self, text: bytes, at: int) -> re.Match[bytes] | None:
        if self._key is not None:
            return re.compile(rb"^(?P<mark>\\unrestrict " + self._key + rb")(?![^\r\n])", re.MULTILINE).search(text, at)
        opens, self._opens = self._opens, _OPENS.search
        return opens(text, at)


_REFUSED = re.compile(r"psql:<stdin>:(\d+): error: backslash commands are restricted")


def refused_line(said: str) -> int | None:
    """The line with a command of psql that it refused to run, if that is what stopped it."""
    found = _REFUSED.search(said)
    return int(found[1]) if found else None
