"""Supabase: `supabase/migrations/{stamp}_{name}.sql`, in the order of the file names.

One transaction a file: its statements are sent as one batch, in which CREATE INDEX CONCURRENTLY fails as it does in a transaction
(`ExecBatch` in pkg/migration/file.go of its command line). Between files the session's settings are reset (apply.go there), and a
file with another name is skipped with a remark (list.go).
"""

from __future__ import annotations

from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, numbered, single


def _parse(path: PurePosixPath) -> Name | None:
    found = numbered(path)
    return Name(found["version"], (path.name,)) if found else None


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    return f"{path.name} is in supabase/migrations" if _parse(path) and path.parts[-3:-1] == ("supabase", "migrations") else None


SUPABASE = Layout(
    name="supabase",
    tool="Supabase",
    example="20240131120000_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=single,
    one_session=False,
    history=HistoryTable(
        "supabase_migrations.schema_migrations",
        "version",
        create=(
            "CREATE SCHEMA IF NOT EXISTS supabase_migrations",
            "CREATE TABLE IF NOT EXISTS {table} (version text NOT NULL PRIMARY KEY, statements text[], name text)",
        ),
        # Where the tool is older the table has no name; of the statements the whole file is the nearest that is known here.
        write=("INSERT INTO {table} (version, name, statements) VALUES (%(version)s, %(title)s, ARRAY[%(text)s])",),
    ),
    late="a database that has that one refuses this, unless --include-all is given",
    twice="fails on the second, whose version it has recorded",
)
