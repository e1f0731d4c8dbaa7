"""Changed files + layout -> ordered migrations, and what is wrong with the history. Pure: files are read by a callback."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from bot.errors import MigrationFileError
from bot.layouts import LAYOUTS, Layout, Name, Part, detect, named
from bot.layouts.base import is_expectation
from bot.layouts.plain import PLAIN
from bot.model import FileChange, FileStatus, HistoryProblem, Migration, Plan
from bot.sql import BOM, split
from bot.words import size

Read = Callable[[str], bytes]

_MOST_BYTES = 32 * 2**20  # of one file
# Without `migrations`, numbered SQL files count as migrations only where a folder's name says so: a repository is full of
# SQL files that no tool runs. Layouts whose files are unmistakable need no such folder.
_FOLDER = re.compile(r"migrat|schema|deploy|upgrade|changes|versions|^db$|^sql$|^ddl$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files of one folder and layout."""

    layout: Layout
    reason: str


def plan_files(paths: Sequence[str], siblings: Sequence[str], read: Read, layout: str | None, *, with_base: bool = True) -> Plan:
    """FILEs named on a command line, rehearsed in the order given.

    `siblings`: every file of their folders; those that the layout puts before the first FILE become the plan's base, unless
    `with_base` is false: on a dump they are not replayed, and what is wrong in an old file is no matter then.
    Raises MigrationFileError for a file that can't be read as text, UsageError for an unknown layout.
    """
    beside = {*paths, *siblings}
    paths = _only_migrations(paths)
    texts = {path: decode(path, read(path)) for path in paths}
    chosen = Chosen(named(layout), "as told") if layout else _detect_or_plain(texts)
    migrations = tuple(
        _expecting(_migration(path, chosen.layout, read, [*paths, *siblings]), chosen.layout, beside, read) for path in paths
    )
    first = chosen.layout.parse(PurePosixPath(paths[0]))
    folder = _folder(paths[0], chosen.layout)
    before = [
        path
        for path, name in _ordered(siblings, chosen.layout)
        if with_base and first and path not in texts and _folder(path, chosen.layout) == folder and name.order < first.order
    ]
    base = tuple(_migration(path, chosen.layout, read, siblings) for path in before)
    return Plan(migrations, base, (), f"{chosen.layout.name}: {chosen.reason}")


def plan_changes(
    changes: Sequence[FileChange],
    base_paths: Sequence[str],
    read: Read,
    read_base: Read,
    *,
    layout: str | None = None,
    folders: Sequence[str] = (),
    with_base: bool = True,
) -> Plan:
    """The new migrations among a pull request's changed files.

    `read` gives a file at the pull request's head, `read_base` at its base, where `base_paths` are all the files. `layout`
    and `folders` (folders or globs) win over what the files tell; `with_base` as for `plan_files`. Raises as `plan_files`.
    """
    candidates = [c for c in changes if _is_candidate(c.path, folders) and _may_be_migration(c)]
    texts = {}
    for change in candidates:
        content = (read_base if change.status is FileStatus.REMOVED else read)(change.path)
        texts[change.path] = content.decode("utf-8", errors="replace")  # only to find out what it is
        if change.status is FileStatus.MODIFIED and content == read_base(change.path):
            del texts[change.path]  # its mode was changed
    candidates = [c for c in candidates if c.path in texts]
    chosen = _chosen_for(texts, layout, bool(folders))
    if chosen is None:
        return Plan((), reason="no changed file is a migration")
    roots = _roots(texts, chosen.layout, told=bool(layout or folders))
    candidates = [c for c in candidates if _folder(c.path, chosen.layout) in roots]
    new = [c.path for c in candidates if c.status in (FileStatus.ADDED, FileStatus.RENAMED)]
    new += [c.path for c in candidates if c.status is FileStatus.MODIFIED and _is_repeatable(c.path, chosen.layout)]
    ups = [path for path, name in _ordered(new, chosen.layout) if name.part in (Part.UP, Part.REPEATABLE)]
    everything = [*(c.path for c in candidates if c.status is not FileStatus.REMOVED), *base_paths]
    changed = {c.path for c in changes}
    at_head = {*base_paths} - {c.old_path for c in changes} - changed | {
        c.path for c in changes if c.status is not FileStatus.REMOVED
    }

    def read_head(path: str) -> bytes:
        return (read if path in changed else read_base)(path)

    migrations = tuple(
        _expecting(_migration(path, chosen.layout, read, everything), chosen.layout, at_head, read_head) for path in ups
    )
    gone = {c.old_path for c in candidates if c.old_path}
    base = tuple(
        _migration(path, chosen.layout, read_base, base_paths)
        for path, name in (_ordered(base_paths, chosen.layout) if with_base and ups else ())
        if name.part in (Part.UP, Part.REPEATABLE)
        and _folder(path, chosen.layout) in roots
        and path not in gone
        and path not in ups
    )
    problems = tuple(_problems(candidates, chosen.layout, roots))
    return Plan(migrations, base, problems, f"{chosen.layout.name}: {chosen.reason}")


def expectation_paths(path: str) -> list[str]:
    """Where the file with a migration's expectations may be: beside `0042_x.sql` as `0042_x.expect.sql`, beside `x.up.sql` as
    `x.up.expect.sql` or `x.expect.sql`; or as `x.expect`, for tools that take whatever ends in .sql for a migration.
    """
    stem = path.removesuffix(".sql")
    bare = stem.removesuffix(".up")
    return [*dict.fromkeys((f"{stem}.expect.sql", f"{bare}.expect.sql")), f"{bare}.expect"]


def _expecting(migration: Migration, layout: Layout, there: Set[str], read: Read) -> Migration:
    """The migration with its expectations, if a file among those that are `there` holds some."""
    path = next((path for path in expectation_paths(migration.path) if path in there), None)
    if path is None:
        return migration
    text = decode(path, read(path)).removeprefix(BOM)
    _refuse_what_is_not_sql(path, text, layout)
    return replace(migration, expect=text, expect_path=path)


def _only_migrations(paths: Sequence[str]) -> list[str]:
    """FILEs without those that hold expectations, which a pattern like `*.sql` names too."""
    kept = [path for path in paths if not is_expectation(PurePosixPath(path))]
    if not kept:
        raise MigrationFileError(
            f"{paths[0]} holds what a migration expects, and is none.",
            advice="Name the migration: the file is read with it.",
        )
    return kept


def _roots(texts: Mapping[str, str], layout: Layout, *, told: bool) -> set[PurePosixPath]:
    """The folders that hold the layout's history: where a changed file bears evidence of it, in a folder that may hold one."""
    return {
        _folder(path, layout)
        for path, text in texts.items()
        if layout.parse(PurePosixPath(path))
        and (told or (layout.evidence(PurePosixPath(path), text) and (_unmistakable(layout) or _in_migrations_folder(path))))
    }


def _unmistakable(layout: Layout) -> bool:
    return layout is not PLAIN


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


def _migration(path: str, layout: Layout, read: Read, siblings: Sequence[str]) -> Migration:
    whole = decode(path, read(path))
    if layout.strips_bom:
        whole = whole.removeprefix(BOM)
    text = layout.up(whole)
    _refuse_what_is_not_sql(path, text, layout)
    name = layout.parse(PurePosixPath(path))
    down_path = _down_path(path, name, layout, siblings)
    down = layout.down(whole)
    if down is None and down_path:
        down = decode(down_path, read(down_path))
    return Migration(path, name.version if name else PurePosixPath(path).stem, layout.name, text, down, down_path)


def _refuse_what_is_not_sql(path: str, text: str, layout: Layout) -> None:
    for command in split(text).meta_commands[:1] if "\\" in text else ():
        raise MigrationFileError(
            f"{path}:{command.line}: {command.name} is a command of psql, not SQL.",
            why="Only psql knows it; a PostgreSQL server answers it with a syntax error.",
            advice="Write what it does as SQL, or put the file's content in its place.",
        )
    found = layout.placeholder.search(text) if layout.placeholder else None
    if found:
        line = text.count("\n", 0, found.start()) + 1
        raise MigrationFileError(
            f"{path}:{line}: the placeholder {found.group()} has no value.",
            why=f"{layout.tool} puts a value in its place, and this program is not told which.",
            advice="Write the value into the file; values for placeholders can't be given yet.",
        )


def _down_path(path: str, name: Name | None, layout: Layout, siblings: Sequence[str]) -> str | None:
    if name is None:
        return None
    folder = PurePosixPath(path).parent
    for other in siblings:
        pure = PurePosixPath(other)
        found = layout.parse(pure) if pure.parent == folder else None
        if found and found.part is Part.DOWN and found.version == name.version:
            return other
    return None


def _chosen_for(texts: dict[str, str], layout: str | None, folders_given: bool) -> Chosen | None:
    if layout:
        return Chosen(named(layout), "as told")
    found = detect(texts.items())
    if found is None:
        return None
    if not (_unmistakable(found[0]) or folders_given):
        found = detect((path, text) for path, text in texts.items() if _in_migrations_folder(path))
    return Chosen(*found) if found else None


def _detect_or_plain(texts: dict[str, str]) -> Chosen:
    found = detect(texts.items())
    return Chosen(*found) if found else Chosen(PLAIN, "SQL files in the order given")


def _may_be_migration(change: FileChange) -> bool:
    return any(layout.parse(PurePosixPath(path)) for path in (change.path, change.old_path or "-") for layout in LAYOUTS)


def _is_candidate(path: str, folders: Sequence[str]) -> bool:
    if not path.endswith(".sql"):
        return False
    return not folders or any(
        PurePosixPath(path).is_relative_to(folder.rstrip("/")) or fnmatch.fnmatchcase(path, folder) for folder in folders
    )


def _in_migrations_folder(path: str) -> bool:
    return any(_FOLDER.search(part) for part in PurePosixPath(path).parts[:-1])


def _is_repeatable(path: str, layout: Layout) -> bool:
    name = layout.parse(PurePosixPath(path))
    return name is not None and name.part is Part.REPEATABLE


def _folder(path: str, layout: Layout) -> PurePosixPath:
    """The folder that holds a layout's history: for Prisma the one above the migration's own."""
    parent = PurePosixPath(path).parent
    return parent.parent if layout.name == "prisma" else parent


def _ordered(paths: Sequence[str], layout: Layout) -> list[tuple[str, Name]]:
    parsed = [(path, layout.parse(PurePosixPath(path))) for path in dict.fromkeys(paths)]
    found = [(path, name) for path, name in parsed if name]
    return sorted(found, key=lambda item: (item[1].order, item[0]))


def _problems(candidates: Sequence[FileChange], layout: Layout, roots: Set[PurePosixPath]) -> list[HistoryProblem]:
    """Changes to migrations that the base branch already has: databases that ran the old text will not run the new one."""
    said = {
        FileStatus.MODIFIED: "was on the base branch already and is edited here: databases that ran it will not run the new text",
        FileStatus.REMOVED: "was on the base branch already and is deleted here: databases that ran it still have what it did",
    }
    problems = []
    for change in candidates:
        path = change.old_path or change.path
        name = layout.parse(PurePosixPath(path))
        if not name or name.part is Part.REPEATABLE or _folder(path, layout) not in roots:
            continue
        if change.status in said:
            problems.append(HistoryProblem(change.path, said[change.status]))
        elif change.status is FileStatus.RENAMED:
            problems.append(
                HistoryProblem(change.path, f"was on the base branch as {change.old_path}: its tool will run it again")
            )
    return problems
