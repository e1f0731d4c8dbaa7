"""sqlx: `{version}_{title}.sql`, or `.up.sql` with `.down.sql` beside it, in the order of numbers.

One transaction a file. A file that begins with `-- no-transaction` is sent as one simple query instead (`Migrate for
PgConnection` in sqlx-postgres/src/migrate.rs hands its text to `execute` as it is), so that several statements in it still are
one transaction. Names are read in sqlx-core/src/migrate/source.rs: what has no `_` or does not end in .sql is left out
silently, a version that is no number is an error. The first lines that `sqlx migrate add` writes, the prepared queries in
`.sqlx/` and the name of sqlx's table tell its files from those of others; without any of them they look like golang-migrate's
or plain ones.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, first_line, numbered
from bot.model import Transaction
from bot.sql import Script

_TEMPLATE = re.compile(r"--\s*Add (?:up |down )?migration script here\b")
_NO_TRANSACTION = "-- no-transaction"


def _parse(path: PurePosixPath) -> Name | None:
    found = numbered(path)
    if not found:
        return None
    number = int(found["version"])
    part = Part.DOWN if path.name.endswith(".down.sql") else Part.UP
    return Name(found["version"], (number, path.name), part, key=number)


def _evidence(path: PurePosixPath, text: str) -> str | None:
    if not _parse(path):
        return None
    if _TEMPLATE.match(text):
        return f"{path.name} begins with the line that sqlx migrate add writes"
    if first_line(text).startswith(_NO_TRANSACTION):
        return f"{path.name} begins with {_NO_TRANSACTION}"
    return f"{path.name} names _sqlx_migrations" if "_sqlx_migrations" in text else None


def _transaction(text: str, _script: Script) -> Transaction:
    return Transaction.IMPLICIT if text.startswith(_NO_TRANSACTION) else Transaction.SINGLE


SQLX = Layout(
    name="sqlx",
    tool="sqlx",
    example="20240131120000_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    history=HistoryTable("_sqlx_migrations", "version"),
    marks_above=(".sqlx",),
    late="a database that has that one runs this after it",
    twice="fails on the second, whose version it has recorded with another checksum",
)
