"""Drizzle: `0001_name.sql` in the order of `meta/_journal.json`, statements parted by `--> statement-breakpoint`.

All pending files run in one transaction (`PgDialect.migrate` in drizzle-orm/src/pg-core/dialect.ts), and pending is what the
journal dates after the newest that was run: what it dates before, or does not list, is never run (drizzle-orm/src/migrator.ts).
A line `--> statement-breakpoint` is a comment to PostgreSQL, and stays.

Its table has that date and the SHA-256 of the file's text, which it never compares.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.layouts.base import Entry, HistoryTable, Index, Layout, Name, Row, number, numbered, rank, recorded_of, single
from bot.model import Recorded

_BREAKPOINT = "--> statement-breakpoint"


def _parse(path: PurePosixPath) -> Name | None:
    found = numbered(path)
    if not found or path.name.endswith((".up.sql", ".down.sql")):
        return None
    return Name(path.stem, (1, int(found["version"]), path.name))


def _evidence(path: PurePosixPath, text: str) -> str | None:
    return f"{path.name} has a line {_BREAKPOINT}" if _parse(path) and _BREAKPOINT in text else None


def _listed(text: str) -> dict[str, Entry]:
    try:
        entries = json.loads(text)["entries"]
        found = [(entry["tag"], entry["when"]) for entry in entries]
    except (ValueError, RecursionError, KeyError, TypeError):  # no journal of Drizzle's
        return {}
    # What has no date is later than nothing: it is never run.
    return {
        tag: Entry(place, float(when))
        for place, (tag, when) in enumerate(found)
        if isinstance(tag, str) and isinstance(when, int | float) and 0 <= when < 2**53
    }


def _read(rows: Sequence[Row]) -> Recorded:
    done = {row["created_at"]: row["hash"] or "" for row in rows if row["created_at"]}
    return recorded_of(done, up_to=max(done, key=rank, default=None), checksums=done)


DRIZZLE = Layout(
    name="drizzle",
    tool="Drizzle",
    example="0001_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=single,
    together=True,
    history=HistoryTable(
        "drizzle.__drizzle_migrations",
        "created_at",
        ("hash",),
        read=_read,
        by_stamp=True,
        place=number,
        checksum=lambda content: hashlib.sha256(content).hexdigest(),
        create=(
            "CREATE SCHEMA IF NOT EXISTS drizzle",
            "CREATE TABLE IF NOT EXISTS {table} (id serial PRIMARY KEY, hash text NOT NULL, created_at bigint)",
        ),
        write=("INSERT INTO {table} (hash, created_at) VALUES (%(checksum)s, %(version)s::bigint)",),
    ),
    marks=("meta/_journal.json",),
    index=Index("meta/_journal.json", _listed),
    late="a database that has that one never runs this, without a word, as its `when` in meta/_journal.json is not later",
)
