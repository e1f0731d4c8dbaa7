"""The registry of layouts, and the choice among them."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Set
from pathlib import PurePosixPath

from bot.errors import UsageError
from bot.layouts.alembic import ALEMBIC
from bot.layouts.atlas import ATLAS
from bot.layouts.base import Layout, Name, Part
from bot.layouts.command import COMMAND
from bot.layouts.dbmate import DBMATE
from bot.layouts.diesel import DIESEL
from bot.layouts.django import DJANGO
from bot.layouts.drizzle import DRIZZLE
from bot.layouts.flyway import FLYWAY
from bot.layouts.golang_migrate import GOLANG_MIGRATE
from bot.layouts.goose import GOOSE
from bot.layouts.hasura import HASURA
from bot.layouts.node_pg_migrate import NODE_PG_MIGRATE
from bot.layouts.plain import PLAIN
from bot.layouts.popx import POPX
from bot.layouts.prisma import PRISMA
from bot.layouts.rails import RAILS
from bot.layouts.sqitch import SQITCH
from bot.layouts.sqlx import SQLX
from bot.layouts.supabase import SUPABASE

# From the most telling to the least: the first layout that finds evidence in a file has it.
LAYOUTS: tuple[Layout, ...] = (
    PRISMA, SQITCH, DRIZZLE, FLYWAY, GOOSE, DBMATE, SUPABASE, HASURA, DIESEL, POPX, SQLX, GOLANG_MIGRATE, ATLAS, NODE_PG_MIGRATE,
    RAILS, ALEMBIC, DJANGO, PLAIN,
)  # fmt: skip

__all__ = ["COMMAND", "LAYOUTS", "Layout", "Name", "Part", "detect", "named", "with_folders"]


def named(name: str) -> Layout:
    """The layout of that name. Raises UsageError with the nearest name there is."""
    for layout in (*LAYOUTS, COMMAND):
        if layout.name == name:
            return layout
    names = [layout.name for layout in LAYOUTS]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    raise UsageError(
        f"There is no layout named {name!r}.",
        advice=(f"Did you mean {near[0]!r}? " if near else "") + f"Choose one of: {', '.join(names)}.",
    )


def detect(files: Iterable[tuple[str, str]], there: Set[str] = frozenset()) -> tuple[Layout, str] | None:
    """Takes (path, text) of migration files of one folder to the layout they are of, and why; None if none fits.

    One file decides by the most telling evidence in it; with several files the most telling one decides, as a folder has
    one tool. What lies beside them is evidence too: `there` are all files and folders of the repository.
    """
    best: tuple[int, Layout, str] | None = None
    marked = functools.cache(lambda rank, root: _marked(LAYOUTS[rank], root, there))
    for path, text in files:
        for rank, layout in enumerate(LAYOUTS):
            if best and rank >= best[0]:
                break
            pure = PurePosixPath(path)
            reason = layout.evidence(pure, text) or (layout.parse(pure) and marked(rank, layout.root(pure)))
            if reason:
                best = (rank, layout, reason)
                break
    return (best[1], best[2]) if best else None


def _marked(layout: Layout, root: PurePosixPath, there: Set[str]) -> str | None:
    """What lies in or above the history's folder that only this tool has there."""
    places = [root / mark for mark in layout.marks]
    places += [folder / mark for folder in (root, *root.parents) for mark in layout.marks_above]
    return next((f"{place} is there" for place in places if str(place) in there), None)


def with_folders(paths: Iterable[str]) -> set[str]:
    """Files, and the folders that they lie in."""
    found: set[str] = set()
    for path in paths:
        place = path
        while place and place not in found:
            found.add(place)
            place = place.rpartition("/")[0]
    return found
