"""Migrations that their tool runs in one transaction, as one; and what is left of it where some were run already. Pure."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace

from bot.errors import MigrationFileError
from bot.model import Migration
from bot.sources import joined
from bot.words import size

_MOST_BYTES = 32 * 2**20


def grouped(members: Sequence[Migration]) -> Migration:
    """Several migrations as one. Raises MigrationFileError if they are too large for that."""
    if len(members) == 1:
        return members[0]
    if (total := sum(len(m.text) for m in members)) > _MOST_BYTES:
        raise MigrationFileError(
            f"{members[0].path} and the files after it are {size(total)}, more than the {size(_MOST_BYTES)} of one migration.",
            why="Their tool runs them in one transaction, and so they are rehearsed.",
            advice="Bring them in several changes.",
        )
    text, sources = joined([(m.text, m.path) for m in members])
    backs = [(m.down, m.down_path or m.path) for m in reversed(members) if m.down is not None]
    down, down_sources = joined(backs) if len(backs) == len(members) else (None, ())
    asking = [(m.expect, m.expect_path) for m in members if m.expect is not None and m.expect_path is not None]
    expect, expect_sources = joined(asking) if asking else (None, ())
    return replace(
        members[-1],
        text=text,
        down=down,
        expect=expect,
        expect_path=asking[-1][1] if asking else None,
        files=tuple(m.path for m in members),
        sources=sources,
        down_sources=down_sources,
        expect_sources=expect_sources,
        members=tuple(members),
    )


def without(migration: Migration, paths: Set[str]) -> Migration:
    """A group without the files that were run already; whole, if all of them were: then nothing of it is rehearsed."""
    left = [one for one in migration.each if one.path not in paths]
    return migration if len(left) in (0, len(migration.each)) else grouped(left)
