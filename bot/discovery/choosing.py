"""Which layout a change is of: by what was told, by its files, by what lies beside them."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from bot.discovery.tree import Chosen, Tree
from bot.layouts import LAYOUTS, Layout, detect, named, with_folders
from bot.layouts.base import is_expectation
from bot.layouts.plain import PLAIN
from bot.model import FileChange, FileStatus

# Without `migrations`, numbered SQL files count as migrations only where a folder's name says so: a repository is full of
# SQL files that no tool runs. Layouts whose files are unmistakable need no such folder.
_FOLDER = re.compile(r"migrat|schema|deploy|upgrade|changes|versions|^db$|^sql$|^ddl$", re.IGNORECASE)
_ONE_EACH = ("migration.sql", "up.sql")  # in a folder for each migration
_TEXTS_READ = 2  # of the base's files, where names alone do not tell the tool


def chosen_for(near: Sequence[FileChange], head: Tree, base: Tree, layout: str | None, *, told: bool) -> list[Chosen]:
    """The layouts of the folders in which something was changed. A folder has one tool; its files at the base say which, too."""
    chosen: dict[str, Chosen] = {}
    beside = _Beside(_sql_files(base.paths if near else ()), with_folders(head.paths | base.paths))
    for folder, changes in _by_folder(near).items():
        texts = {c.path: _telling_text(c, head, base) for c in changes}
        places = beside.places(folder)
        found = (named(layout), "as told") if layout else _detected(folder, texts, places, beside, base, told=told)
        if found is None:
            continue
        one = chosen.setdefault(found[0].name, Chosen(*found))
        one.roots |= _roots(texts, found[0]).union(*(beside.roots(place, found[0]) for place in places))
    return sorted(chosen.values(), key=lambda one: LAYOUTS.index(one.layout))


@dataclass(frozen=True, slots=True)
class _Beside:
    """The SQL files of the base, by `_sql_files`, and what their names tell: asked once of each place, as thousands of changed
    folders may lie in one. `there`: all files and folders.
    """

    files: Mapping[str, Sequence[str]]
    there: Set[str]
    _told: dict[str, tuple[Layout, str] | None] = field(default_factory=dict)
    _roots: dict[tuple[str, str], set[PurePosixPath]] = field(default_factory=dict)

    def places(self, folder: PurePosixPath) -> list[str]:
        """Where files beside those of a folder are."""
        return [place for place in (str(folder), f"{folder}/*", f"{folder.parent}/*") if place in self.files]

    def told(self, place: str) -> tuple[Layout, str] | None:
        """The layout that a place's names tell."""
        if place not in self._told:
            self._told[place] = detect([(path, "") for path in self.files[place]], self.there)
        return self._told[place]

    def roots(self, place: str, layout: Layout) -> set[PurePosixPath]:
        """The histories of a layout that a place's files are of."""
        if (place, layout.name) not in self._roots:
            self._roots[place, layout.name] = _roots(self.files[place], layout)
        return self._roots[place, layout.name]

    def newest(self, places: Iterable[str]) -> list[str]:
        """The last ones of all these places by name."""
        return sorted({path for place in places for path in self.files[place][-_TEXTS_READ:]})[-_TEXTS_READ:]


def _roots(paths: Iterable[str], layout: Layout) -> set[PurePosixPath]:
    pures = map(PurePosixPath, paths)
    return {layout.root(pure) for pure in pures if layout.parse(pure)}


def _detected(
    folder: PurePosixPath, texts: Mapping[str, str], places: Sequence[str], beside: _Beside, base: Tree, *, told: bool
) -> tuple[Layout, str] | None:
    found = _most_telling([*map(beside.told, places), detect(texts.items(), beside.there)])
    if places and (found is None or not _unmistakable(found[0])):
        read = {path: base.read(path).decode("utf-8", errors="replace") for path in beside.newest(places)}
        found = _most_telling([found, detect(read.items(), beside.there)])
    if found and not (told or _unmistakable(found[0]) or _in_migrations_folder(folder)):
        return None
    return found


def _most_telling(found: Iterable[tuple[Layout, str] | None]) -> tuple[Layout, str] | None:
    return min(filter(None, found), key=lambda one: LAYOUTS.index(one[0]), default=None)


def _by_folder(near: Sequence[FileChange]) -> dict[PurePosixPath, list[FileChange]]:
    found: dict[PurePosixPath, list[FileChange]] = {}
    for change in near:
        found.setdefault(PurePosixPath(change.path).parent, []).append(change)
    return found


def _sql_files(paths: Iterable[str]) -> dict[str, list[str]]:
    """SQL files by their folder, and those of folders that hold one migration each by the pattern of these: `db/*`."""
    found: dict[str, list[str]] = {}
    for path in paths:
        parent, _, name = path.rpartition("/")
        if name.endswith(".sql") and not is_expectation(PurePosixPath(path)):
            found.setdefault(parent or ".", []).append(path)
            if name in _ONE_EACH:
                found.setdefault(f"{parent.rpartition('/')[0] or '.'}/*", []).append(path)
    return {place: sorted(files) for place, files in found.items()}


def _telling_text(change: FileChange, head: Tree, base: Tree) -> str:
    """A changed file's text, to find out what it is. None is asked of files without a number: a repository is full of SQL."""
    pure = PurePosixPath(change.path)
    if not re.search("[0-9]", f"{pure.parent.name}{pure.name}"):
        return ""
    tree = base if change.status is FileStatus.REMOVED else head
    return tree.read(change.path).decode("utf-8", errors="replace") if pure.suffix == ".sql" else ""


def _unmistakable(layout: Layout) -> bool:
    return layout is not PLAIN


def detect_or_plain(texts: Mapping[str, str], there: Set[str]) -> Chosen:
    found = detect(texts.items(), with_folders(there))
    return Chosen(*found) if found else Chosen(PLAIN, "SQL files in the order given")


def is_within(path: str, folders: Sequence[str]) -> bool:
    return not folders or any(
        PurePosixPath(path).is_relative_to(folder.rstrip("/")) or fnmatch.fnmatchcase(path, folder) for folder in folders
    )


def _in_migrations_folder(folder: PurePosixPath) -> bool:
    return any(_FOLDER.search(part) for part in folder.parts)
