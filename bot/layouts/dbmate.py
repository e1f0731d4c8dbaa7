"""dbmate: `{version}{anything}.sql` with `-- migrate:up` and `-- migrate:down` in one file, in the order of the file names.

One transaction a file. With `transaction:false` behind the mark the section is sent as it is, as one simple query, so that
several statements in it still are one transaction. Both are in pkg/dbmate/db.go of dbmate; marks and options in migration.go,
where a statement before the first mark is an error too. Names are compared as text: 10_a.sql comes before 9_a.sql.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, ToolRefusal, is_expectation, lines_of, section
from bot.model import Transaction
from bot.sql import Script

_FILE = re.compile(r"(?P<version>[0-9]{1,255}).*\.sql", re.DOTALL)
_UP = re.compile(r"--\s*migrate:up(?:\s|$)")
_DOWN = re.compile(r"--\s*migrate:down(?:\s|$)")
_NO_TRANSACTION = re.compile(r"--\s*migrate:(?:up|down)\s(?:.*\s)?transaction:false(?:\s|$)")


def _parse(path: PurePosixPath) -> Name | None:
    found = _FILE.fullmatch(path.name)
    return Name(found["version"], (path.name,)) if found and not is_expectation(path) else None


def _evidence(path: PurePosixPath, text: str) -> str | None:
    if _parse(path) and any(_UP.match(line) for line in text.split("\n")):
        return f"{path.name} has a line -- migrate:up"
    return None


def _up(text: str) -> str:
    """What is not of the down part. The mark stays, as it says how the part is sent; so does what stands before it, which dbmate
    refuses.
    """
    kept, inside = [], True
    for line in lines_of(text):
        inside = bool(_UP.match(line)) or (inside and not _DOWN.match(line))
        kept.append(line if inside else "\n" * line.endswith("\n"))
    return "".join(kept)


def _down(text: str) -> str | None:
    return section(text, _DOWN, _UP, keep=_DOWN)


def _transaction(text: str, script: Script) -> Transaction:
    marks = [(n, line) for n, line in enumerate(text.split("\n"), 1) if _UP.match(line) or _DOWN.match(line)]
    if not marks:
        raise ToolRefusal("dbmate refuses a file without a line -- migrate:up", 1)
    number, mark = marks[0]
    if script.statements and script.statements[0].line < number:
        raise ToolRefusal("dbmate refuses statements before -- migrate:up", script.statements[0].line)
    return Transaction.IMPLICIT if _NO_TRANSACTION.match(mark) else Transaction.SINGLE


DBMATE = Layout(
    name="dbmate",
    tool="dbmate",
    example="20240131120000_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    up=_up,
    down=_down,
    history=HistoryTable(
        "schema_migrations",
        "version",
        create=("CREATE TABLE IF NOT EXISTS {table} (version varchar(128) NOT NULL PRIMARY KEY)",),
        write=("INSERT INTO {table} (version) VALUES (%(version)s)",),
    ),
    late="a database that has that one runs this after it, and with --strict dbmate refuses",
    twice="takes the second for done where the version is recorded already",
)
