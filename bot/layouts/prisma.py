"""Prisma Migrate: `<stamp>_name/migration.sql`, in the order of the folder names.

Prisma's schema engine sends the file as one simple query, on one connection for the whole run.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, grandparent, implicit


def _parse(path: PurePosixPath) -> Name | None:
    if path.name != "migration.sql" or len(path.parts) < 2:
        return None
    return Name(path.parent.name, (path.parent.name,))


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    return f"{path} is a folder with a migration.sql" if _parse(path) else None


PRISMA = Layout(
    name="prisma",
    tool="Prisma Migrate",
    example="20240131120000_name/migration.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=implicit,
    history=HistoryTable("_prisma_migrations", "migration_name"),
    root=grandparent,
    marks=("migration_lock.toml",),
    late="a database that has that one runs this after it",
)
