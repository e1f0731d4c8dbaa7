"""golang-migrate: `{version}_{title}.up.sql` with `.down.sql` beside it.

Its PostgreSQL driver sends a file as one simple query (unless `x-multi-statement` is set in the URL, which it advises against
for PostgreSQL), on one connection for the whole run.

Its table has one row, the version that the database is at: what is not later counts as run. `dirty` while a file runs, and after
one failed (`ensureVersionTable`, `SetVersion` in database/postgres/postgres.go; `readUp` in migrate.go).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, Row, as_number, implicit, number, recorded_of
from bot.model import Recorded

_FILE = re.compile(r"(?P<version>[0-9]{1,255})_(?P<title>.*)\.(?P<part>up|down)\.(?i:sql)", re.DOTALL)


def _parse(path: PurePosixPath) -> Name | None:
    found = _FILE.fullmatch(path.name)
    if not found:
        return None
    version = int(found["version"])
    return Name(found["version"], (version, path.name), Part(found["part"]), key=version)


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    return f"{path.name} is named {{version}}_{{title}}.up.sql" if _parse(path) else None


def _read(rows: Sequence[Row]) -> Recorded:
    at = [row["version"] for row in rows if row["version"]]
    broken = tuple(row["version"] or "" for row in rows if row["dirty"] == "true")
    return recorded_of(at, up_to=at[0] if len(at) == 1 else None, broken=broken)


GOLANG_MIGRATE = Layout(
    name="golang-migrate",
    tool="golang-migrate",
    example="1_name.up.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=implicit,
    history=HistoryTable(
        "schema_migrations",
        "version",
        ("dirty",),
        read=_read,
        recorded=as_number,
        place=number,
        create=("CREATE TABLE IF NOT EXISTS {table} (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL)",),
        write=("TRUNCATE {table}", "INSERT INTO {table} (version, dirty) VALUES (%(version)s::bigint, false)"),
    ),
    late="a database that has that one never runs this, without a word, as golang-migrate goes on from the version it is at",
    twice="refuses to run anything (duplicate migration file)",
)
