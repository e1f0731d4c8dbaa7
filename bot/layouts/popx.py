"""Ory's popx: `{version}_{name}.{dialect}.up.sql` with `.down.sql` beside it, and the file without a dialect where there is
none for PostgreSQL; in the order of the versions as text.

popx/match.go and migration_info.go in github.com/ory/x. One transaction a file; `.autocommit.up.sql` is sent as it is. Files are
templates of Go.

The table is made in popx/migrator.go.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts import filling
from bot.layouts.base import HistoryTable, Layout, Name, Part
from bot.model import Transaction
from bot.sql import Script

_FILE = re.compile(
    r"(?P<version>[0-9]{1,255})_[^.]+(?:\.(?P<dialect>[a-z0-9]+))?(?P<outside>\.autocommit)?\.(?P<part>up|down)\.(?P<kind>sql|fizz)"
)
_REMARK = "/* autocommit */ "
_OURS = ("postgres", "postgresql", "pg")
_OTHERS = ("cockroach", "cockroachdb", "crdb", "mysql", "mariadb", "sqlite", "sqlite3")


def _parse(path: PurePosixPath) -> Name | None:
    found = _FILE.fullmatch(path.name)
    if not found or found["dialect"] not in (None, *_OURS, *_OTHERS):
        return None
    part = Part.CODE if found["kind"] == "fizz" else Part.OTHER if found["dialect"] in _OTHERS else Part(found["part"])
    remark = _REMARK if found["outside"] else ""
    return Name(found["version"], (found["version"], path.name), part, specific=found["dialect"] in _OURS, remark=remark)


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    name = _parse(path)
    return f"{path.name} names a dialect" if name and (name.specific or name.part is Part.OTHER) else None


def _transaction(text: str, _script: Script) -> Transaction:
    return Transaction.IMPLICIT if text.startswith(_REMARK) else Transaction.SINGLE


POPX = Layout(
    name="popx",
    tool="Ory's popx",
    example="20240131120000_name.postgres.up.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    history=HistoryTable(
        "schema_migration",
        "version",
        create=(
            "CREATE TABLE IF NOT EXISTS {table} (version varchar(48) NOT NULL, version_self integer NOT NULL DEFAULT 0)",
            "CREATE UNIQUE INDEX IF NOT EXISTS schema_migration_version_idx ON {table} (version)",
            "CREATE INDEX IF NOT EXISTS schema_migration_version_self_idx ON {table} (version_self)",
        ),
        write=("INSERT INTO {table} (version) VALUES (%(version)s)",),
    ),
    fill=filling.popx,
    late="a database that has that one runs this after it",
    twice="runs only one of them",
)
