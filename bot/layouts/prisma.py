"""Prisma Migrate: `<stamp>_name/migration.sql`, in the order of the folder names.

Prisma's schema engine sends the file as one simple query, on one connection for the whole run.

Its table has a row for each try: one that is neither finished nor rolled back makes `migrate deploy` refuse (P3009); the SHA-256
of the file is kept, and `deploy` only warns where it differs, while `migrate dev` wants to reset the database (its manual, "About
migration histories").
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Row, grandparent, implicit, recorded_of
from bot.model import Recorded


def _parse(path: PurePosixPath) -> Name | None:
    if path.name != "migration.sql" or len(path.parts) < 2:
        return None
    return Name(path.parent.name, (path.parent.name,))


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    return f"{path} is a folder with a migration.sql" if _parse(path) else None


def _read(rows: Sequence[Row]) -> Recorded:
    tried = [row for row in rows if row["rolled_back_at"] is None]
    done = [row for row in tried if row["finished_at"] is not None]
    checksums = {row["migration_name"]: row["checksum"] for row in done if row["migration_name"] and row["checksum"]}
    broken = tuple(row["migration_name"] or "" for row in tried if row["finished_at"] is None)
    return recorded_of((row["migration_name"] for row in done), checksums=checksums, broken=broken)


PRISMA = Layout(
    name="prisma",
    tool="Prisma Migrate",
    example="20240131120000_name/migration.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=implicit,
    history=HistoryTable(
        "_prisma_migrations",
        "migration_name",
        ("checksum", "finished_at", "rolled_back_at"),
        read=_read,
        checksum=lambda content: hashlib.sha256(content).hexdigest(),
        minds="warns in `migrate deploy` and wants to reset the database in `migrate dev`",
        create=(
            "CREATE TABLE IF NOT EXISTS {table} (id varchar(36) PRIMARY KEY NOT NULL, checksum varchar(64) NOT NULL,"
            " finished_at timestamptz, migration_name varchar(255) NOT NULL, logs text, rolled_back_at timestamptz,"
            " started_at timestamptz NOT NULL DEFAULT now(), applied_steps_count integer NOT NULL DEFAULT 0)",
        ),
        write=(
            "INSERT INTO {table} (id, checksum, finished_at, migration_name, started_at, applied_steps_count)"
            " VALUES (gen_random_uuid()::text, %(checksum)s, now(), %(version)s, now(), 1)",
        ),
    ),
    root=grandparent,
    marks=("migration_lock.toml",),
    late="a database that has that one runs this after it",
)
