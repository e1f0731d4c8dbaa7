"""sqlx: `{version}_{title}.sql`, or `.up.sql` with `.down.sql` beside it, in the order of numbers.

One transaction a file. A file that begins with `-- no-transaction` is sent as one simple query instead (`Migrate for
PgConnection` in sqlx-postgres/src/migrate.rs hands its text to `execute` as it is), so that several statements in it still are
one transaction. Names are read in sqlx-core/src/migrate/source.rs: what has no `_` or does not end in .sql is left out
silently, a version that is no number is an error. The first lines that `sqlx migrate add` writes, the prepared queries in
`.sqlx/` and the name of sqlx's table tell its files from those of others; without any of them they look like golang-migrate's
or plain ones.

Its table keeps the SHA-384 of each file's bytes, and another one stops it (`VersionMismatch` in sqlx-core, the table in
sqlx-postgres/src/migrate.rs); so does a row without success.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, Row, as_number, first_line, numbered, recorded_of
from bot.model import Recorded, Transaction
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


def _read(rows: Sequence[Row]) -> Recorded:
    done = {row["version"]: (row["checksum"] or "").removeprefix("\\x") for row in rows if row["success"] == "true"}
    checksums = {version: checksum for version, checksum in done.items() if version}
    return recorded_of(done, checksums=checksums, broken=tuple(row["version"] or "" for row in rows if row["success"] == "false"))


SQLX = Layout(
    name="sqlx",
    tool="sqlx",
    example="20240131120000_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    history=HistoryTable(
        "_sqlx_migrations",
        "version",
        ("success", "checksum"),
        read=_read,
        recorded=as_number,
        checksum=lambda content: hashlib.sha384(content).hexdigest(),
        minds="refuses to run anything (was previously applied but has been modified)",
        refuses=True,
        create=(
            "CREATE TABLE IF NOT EXISTS {table} (version bigint PRIMARY KEY, description text NOT NULL,"
            " installed_on timestamptz NOT NULL DEFAULT now(), success boolean NOT NULL, checksum bytea NOT NULL,"
            " execution_time bigint NOT NULL)",
        ),
        write=(
            "INSERT INTO {table} (version, description, success, checksum, execution_time)"
            " VALUES (%(version)s::bigint, replace(%(title)s, '_', ' '), true, decode(%(checksum)s, 'hex'), %(ms)s * 1000000)",
        ),
    ),
    marks_above=(".sqlx",),
    late="a database that has that one runs this after it",
    twice="fails on the second, whose version it has recorded with another checksum",
)
