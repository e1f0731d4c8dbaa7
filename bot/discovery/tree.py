"""All files at one commit, and which of them are a history's, in their tool's order. Pure: files are read by a callback."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from bot.layouts import Layout, Name, Part
from bot.model import FileChange, FileStatus

Read = Callable[[str], bytes]
Include = Callable[[str], bytes | None]


@dataclass(frozen=True, slots=True)
class Tree:
    """All files at one commit, how to read them, and what is put into them. `top`: of the repository. `include`: gives what a
    migration names, or None, where that may be another file than those known. `blobs`: what git calls the content of some.
    """

    paths: Set[str]
    read: Read
    values: Mapping[str, str] = field(default_factory=dict, repr=False)
    top: str = ""
    include: Include | None = None
    blobs: Mapping[str, str] = field(default_factory=dict)

    def included(self, path: str) -> bytes | None:
        if self.include:
            return self.include(path)
        return self.read(path) if path in self.paths else None

    def content(self, path: str) -> str:
        """A name of a file's content, which another content has not."""
        return self.blobs.get(path) or f"sha256:{hashlib.sha256(self.read(path)).hexdigest()}"


@dataclass(slots=True)
class Chosen:
    """A layout, why, and the folders that hold its histories."""

    layout: Layout
    reason: str
    roots: set[PurePosixPath] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Names:
    """What the files of a layout's histories are at one commit: in the order of the index where the tool has one. `age` tells old
    from new. `unlisted`: what the index does not name. `times`: of changes that were reworked, which time a file is.
    """

    of: Mapping[str, Name]
    age: Mapping[str, Any]
    unlisted: Set[str]
    downs: Mapping[tuple[PurePosixPath, object], str]
    times: Mapping[str, int]

    def ordered(self, paths: Iterable[str]) -> list[str]:
        """Those that the tool runs, as it runs them."""
        runs = {path for path in paths if path in self.of and self.of[path].part in (Part.UP, Part.REPEATABLE)}
        return self._sorted(runs)

    def versions(self, paths: Iterable[str]) -> list[str]:
        """Those that may stand in the tool's history table: programs and baselines, too."""
        parts = (Part.UP, Part.REPEATABLE, Part.CODE, Part.BASELINE)
        return self._sorted({path for path in paths if path in self.of and self.of[path].part in parts})

    def _sorted(self, paths: Iterable[str]) -> list[str]:
        return sorted(paths, key=lambda path: (self.of[path].order, path))


@dataclass(frozen=True, slots=True)
class Known:
    """What is known besides a history's own files. `placeholders`: the values that its tool puts into them; `top`: the
    repository's; `include`, `include_base`: how a file that a migration includes is read, at the head and at the base, where not
    every file is listed; `blobs`: what git calls the content of files at the base.
    """

    placeholders: Mapping[str, str] = field(default_factory=dict, repr=False)
    top: str = ""
    include: Include | None = None
    include_base: Include | None = None
    blobs: Mapping[str, str] = field(default_factory=dict, repr=False)


def added_by(near: Sequence[FileChange]) -> set[str]:
    return {c.path for c in near if c.status in (FileStatus.ADDED, FileStatus.RENAMED)}


def why_skipped(path: str, layout: Layout, tree: Tree) -> str | None:
    return layout.skips(tree.read(path).decode("utf-8", errors="replace")) if layout.skips else None


def names_of(chosen: Chosen, tree: Tree) -> Names:
    layout = chosen.layout
    found: dict[str, Name] = {}
    within = tuple("" if str(root) == "." else f"{root}/" for root in chosen.roots)
    for path in tree.paths:
        name = layout.parse(PurePosixPath(path)) if path.startswith(within) else None
        if name and layout.root(PurePosixPath(path)) in chosen.roots:
            found[path] = name
    found = _without_what_gives_way(found, layout)
    age: dict[str, Any] = {path: name.order for path, name in found.items()}
    unlisted: set[str] = set()
    for root in chosen.roots:
        _follow_index(root, layout, tree, found, age, unlisted)
    downs = {
        (layout.root(PurePosixPath(path)), name.identity): path
        for path, name in sorted(found.items(), reverse=True)
        if name.part is Part.DOWN
    }
    listed = {path: name for path, name in found.items() if path not in unlisted}
    return Names(listed, age, unlisted, downs, _times(listed, layout))


def _times(found: Mapping[str, Name], layout: Layout) -> dict[str, int]:
    """Which time of its change a file is, where the tool keeps earlier texts of it."""
    reworked = {was for name in found.values() if (was := layout.kept(name.version)) is not None}
    times: dict[str, int] = {}
    seen: Counter[str] = Counter()
    for path in sorted(found, key=lambda path: (found[path].order, path)) if reworked else ():
        change = layout.kept(found[path].version) or found[path].version
        if found[path].part is Part.UP and change in reworked:
            seen[change] += 1
            times[path] = seen[change]
    return times


def _without_what_gives_way(found: Mapping[str, Name], layout: Layout) -> dict[str, Name]:
    """Without the files for all databases where there is one for PostgreSQL."""
    where = {path: (layout.root(PurePosixPath(path)), name.identity, name.part) for path, name in found.items()}
    specific = {where[path] for path, name in found.items() if name.specific}
    return {path: name for path, name in found.items() if name.specific or where[path] not in specific}


def _follow_index(
    root: PurePosixPath, layout: Layout, tree: Tree, found: dict[str, Name], age: dict[str, Any], unlisted: set[str]
) -> None:
    """Puts the migrations of a root in the order of its index, where there is one."""
    file = str(root / layout.index.file) if layout.index else ""
    if not layout.index or file not in tree.paths:
        return
    listed = layout.index.read(tree.read(file).decode("utf-8", errors="replace"))
    for path, name in found.items():
        if name.part is not Part.UP or layout.root(PurePosixPath(path)) != root:
            continue
        if entry := listed.get(name.version):
            found[path] = replace(name, order=(0, entry.place))  # before those of a root without an index
            age[path] = (0, entry.stamp)
        else:
            unlisted.add(path)
