"""A file of a history -> the migration that its tool would run: its parts, what is put into them, what they expect."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePosixPath

from bot.discovery.tree import Names, Tree
from bot.errors import MigrationFileError
from bot.layouts import Layout
from bot.layouts.filling import Filling, Unfilled
from bot.model import Migration
from bot.psql_files import Expanded, expand
from bot.sql import BOM, split
from bot.words import size

_MOST_BYTES = 32 * 2**20  # of one file


def expectation_paths(path: str) -> list[str]:
    """Where the file with a migration's expectations may be: beside `0042_x.sql` as `0042_x.expect.sql`, beside `x.up.sql` as
    `x.up.expect.sql` or `x.expect.sql`; or as `x.expect`, for tools that take whatever ends in .sql for a migration.
    """
    stem = path.removesuffix(".sql")
    bare = stem.removesuffix(".up")
    return [*dict.fromkeys((f"{stem}.expect.sql", f"{bare}.expect.sql")), f"{bare}.expect"]


def expecting(migration: Migration, layout: Layout, tree: Tree) -> Migration:
    """The migration with its expectations, if a file among those that are `there` holds some."""
    path = next((path for path in expectation_paths(migration.path) if path in tree.paths), None)
    if path is None:
        return migration
    text = _filled(path, decode(path, tree.read(path)).removeprefix(BOM), layout, tree)
    _refuse_what_is_not_sql(path, text)
    return replace(migration, expect=text, expect_path=path)


def decode(path: str, content: bytes) -> str:
    """A migration file's text. Raises MigrationFileError when it is not UTF-8, holds a NUL byte, or is too large."""
    if len(content) > _MOST_BYTES:
        raise MigrationFileError(
            f"{path} is {size(len(content))}, more than the {size(_MOST_BYTES)} that a migration may be.",
            why="All of it is read and sent as one text, statement by statement, as a migration tool does.",
            advice="Load data in bulk with a tool made for it, and leave the schema to the migration.",
        )
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise MigrationFileError(
            f"{path}:{line}: the file is not UTF-8 (byte 0x{content[error.start]:02x} at offset {error.start}).",
            why="PostgreSQL would refuse it or store other characters than you see.",
            advice=f"Save it as UTF-8, for instance: iconv -f latin1 -t utf-8 {PurePosixPath(path).name}",
        ) from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise MigrationFileError(
            f"{path}:{line}: the file holds a NUL byte, which no PostgreSQL text can hold.",
            why="It may be saved as UTF-16, or not be SQL at all.",
            advice="Save it as UTF-8.",
        )
    return text


def read_migration(path: str, layout: Layout, names: Names, tree: Tree) -> Migration:
    pure = PurePosixPath(path)
    name = names.of.get(path)
    settings = _settings(pure, layout, tree) if name else ""
    whole = _whole(path, layout, tree, settings)
    remark = settings + (name.remark if name else "")
    sent = _as_sent(path, remark + layout.up(whole), layout, tree)
    down_path = names.downs.get((layout.root(pure), name.identity)) if name else None
    down, back = layout.down(whole), None
    if down is not None:
        back = _as_sent(path, remark + down, layout, tree, is_down=True)
    elif down_path:
        text = settings + names.of[down_path].remark + _whole(down_path, layout, tree, settings)
        back = _as_sent(down_path, text, layout, tree, is_down=True)
    return Migration(
        path,
        name.version if name else pure.stem,
        layout.name,
        sent.text,
        back.text if back else None,
        down_path,
        sources=sent.sources,
        down_sources=back.sources if back else (),
    )


def _whole(path: str, layout: Layout, tree: Tree, settings: str) -> str:
    """A file's text with its tool's values in it."""
    text = decode(path, tree.read(path))
    if layout.strips_bom:
        text = text.removeprefix(BOM)
    return _filled(path, text, layout, tree, settings)


def _filled(path: str, text: str, layout: Layout, tree: Tree, settings: str = "") -> str:
    """Raises MigrationFileError with the place of a placeholder that has no value."""
    try:
        return layout.fill(text, Filling(tree.values, PurePosixPath(path), settings))
    except Unfilled as unfilled:
        line = text.count("\n", 0, unfilled.at) + 1
        give = f"Give it one: `placeholders: {unfilled.name}=value`, --placeholder {unfilled.name}=value."
        raise MigrationFileError(
            f"{path}:{line}: the placeholder {unfilled.shown[:100]} has no value.",
            why=unfilled.why
            or f"{layout.tool}, or what runs before it, puts a value in its place, and this program is not told which.",
            advice=give if unfilled.name else "Write what it stands for into the file.",
        ) from None


def _as_sent(path: str, text: str, layout: Layout, tree: Tree, *, is_down: bool = False) -> Expanded:
    """A part of a file as its tool sends it."""
    if layout.psql is None:
        if not is_down:  # a way back that can't be run is a fact about it
            _refuse_what_is_not_sql(path, text)
        return Expanded(text)

    def read(included: str) -> str | None:
        content = tree.included(included)
        return None if content is None else _filled(included, decode(included, content).removeprefix(BOM), layout, tree)

    folder = layout.psql(PurePosixPath(path), tree.top)
    return expand(path, text, read, top="" if folder == "." else folder, given=tree.values)


def _settings(path: PurePosixPath, layout: Layout, tree: Tree) -> str:
    """What the settings beside a migration say of how it is sent, as a comment."""
    beside = str(layout.beside.path(path)) if layout.beside else ""
    if not layout.beside or beside not in tree.paths:
        return ""
    return layout.beside.remark(tree.read(beside).decode("utf-8", errors="replace"))


def _refuse_what_is_not_sql(path: str, text: str) -> None:
    for command in split(text).meta_commands[:1] if "\\" in text else ():
        raise MigrationFileError(
            f"{path}:{command.line}: {command.name} is a command of psql, not SQL.",
            why="Only psql knows it; a PostgreSQL server answers it with a syntax error.",
            advice="Write what it does as SQL, or put the file's content in its place.",
        )
