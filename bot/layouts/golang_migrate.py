"""golang-migrate: `{version}_{title}.up.sql` with `.down.sql` beside it.

Its PostgreSQL driver sends a file as one simple query (unless `x-multi-statement` is set in the URL, which it advises against
for PostgreSQL), on one connection for the whole run.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, implicit

_FILE = re.compile(r"(?P<version>[0-9]{1,255})_(?P<title>.*)\.(?P<part>up|down)\.sql", re.DOTALL)


def _parse(path: PurePosixPath) -> Name | None:
    found = _FILE.fullmatch(path.name)
    if not found:
        return None
    version = int(found["version"])
    return Name(found["version"], (version, path.name), Part(found["part"]), key=version)


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    return f"{path.name} is named {{version}}_{{title}}.up.sql" if _parse(path) else None


GOLANG_MIGRATE = Layout(
    name="golang-migrate",
    tool="golang-migrate",
    example="1_name.up.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=implicit,
    history=HistoryTable("schema_migrations", "version"),
    late="a database that has that one never runs this, without a word, as golang-migrate goes on from the version it is at",
    twice="refuses to run anything (duplicate migration file)",
)
