"""The registry of layouts, and the choice among them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import PurePosixPath

from bot.errors import UsageError
from bot.layouts.base import Layout, Name, Part
from bot.layouts.flyway import FLYWAY
from bot.layouts.golang_migrate import GOLANG_MIGRATE
from bot.layouts.goose import GOOSE
from bot.layouts.plain import PLAIN
from bot.layouts.prisma import PRISMA

# From the most telling to the least: the first layout that finds evidence in a file has it.
LAYOUTS: tuple[Layout, ...] = (PRISMA, FLYWAY, GOLANG_MIGRATE, GOOSE, PLAIN)

__all__ = ["LAYOUTS", "Layout", "Name", "Part", "detect", "named"]


def named(name: str) -> Layout:
    """The layout of that name. Raises UsageError with the nearest name there is."""
    for layout in LAYOUTS:
        if layout.name == name:
            return layout
    names = [layout.name for layout in LAYOUTS]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    raise UsageError(
        f"There is no layout named {name!r}.",
        advice=(f"Did you mean {near[0]!r}? " if near else "") + f"Choose one of: {', '.join(names)}.",
    )


def detect(files: Iterable[tuple[str, str]]) -> tuple[Layout, str] | None:
    """Takes (path, text) of migration files of one folder to the layout they are of, and why; None if none fits.

    One file decides by the most telling evidence in it; with several files the most telling one decides, as a folder has
    one tool.
    """
    best: tuple[int, Layout, str] | None = None
    for path, text in files:
        for rank, layout in enumerate(LAYOUTS):
            if best and rank >= best[0]:
                break
            reason = layout.evidence(PurePosixPath(path), text)
            if reason:
                best = (rank, layout, reason)
                break
    return (best[1], best[2]) if best else None
