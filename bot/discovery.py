"""Changed files + layout -> ordered migrations, and what is wrong with the history. Pure: files are read by a callback."""

from __future__ import annotations

import fnmatch
import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import pairwise, product
from pathlib import PurePosixPath
from typing import Any

from bot.errors import MigrationFileError
from bot.groups import grouped
from bot.layouts import LAYOUTS, Layout, Name, Part, detect, named, with_folders
from bot.layouts.base import again, grandparent, is_expectation, number
from bot.layouts.filling import Filling, Unfilled
from bot.layouts.plain import PLAIN
from bot.model import BaseFiles, FileChange, FileStatus, HistoryProblem, Migration, Plan, Severity, Standing
from bot.psql_files import Expanded, expand
from bot.sql import BOM, leaves_open, split
from bot.words import count, size
from bot.words import name as quoted

Read = Callable[[str], bytes]
Include = Callable[[str], bytes | None]

_MOST_BYTES = 32 * 2**20  # of one file
# Without `migrations`, numbered SQL files count as migrations only where a folder's name says so: a repository is full of
# SQL files that no tool runs. Layouts whose files are unmistakable need no such folder.
_FOLDER = re.compile(r"migrat|schema|deploy|upgrade|changes|versions|^db$|^sql$|^ddl$", re.IGNORECASE)
# What tools write beside migrations and never run.
_WRITTEN = ("schema.sql", "structure.sql")
_ONE_EACH = ("migration.sql", "up.sql")  # in a folder for each migration
_NUMBERED_SINCE = 3  # so many numbers without a hole are no chance
_MOST_MISSING = 100  # a date after small numbers leaves out millions, and is no mistake
_MOST_SUMMED = 1000  # files of a folder that are all read to be compared with their sums
_TEXTS_READ = 2  # of the base's files, where names alone do not tell the tool


@dataclass(frozen=True, slots=True)
class _Tree:
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
class _Chosen:
    """A layout, why, and the folders that hold its histories."""

    layout: Layout
    reason: str
    roots: set[PurePosixPath] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Names:
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


_NOTHING = Known()


def plan_files(
    paths: Sequence[str],
    siblings: Sequence[str],
    read: Read,
    layout: str | None,
    *,
    with_base: bool = True,
    known: Known = _NOTHING,
) -> Plan:
    """FILEs named on a command line, rehearsed in the order given.

    `siblings`: every file of their folders; those that the layout puts before the first FILE become the plan's base, unless
    `with_base` is false: a dump has what they did, or some of it, and what is wrong in an old file is no matter then.
    Raises MigrationFileError for a file that can't be read as text, UsageError for an unknown layout.
    """
    tree = _Tree({*paths, *siblings}, read, known.placeholders, known.top, known.include)
    paths = _only_migrations(paths)
    texts = {path: decode(path, read(path)) for path in paths}
    chosen = _Chosen(named(layout), "as told") if layout else _detect_or_plain(texts, tree.paths)
    chosen.roots |= {chosen.layout.root(PurePosixPath(path)) for path in paths}
    _refuse_code(chosen.layout, paths)
    names = _names(chosen, tree)
    each = [_expecting(_to_run(path, chosen.layout, names, tree), chosen.layout, tree) for path in paths]
    migrations = _in_groups(each, chosen.layout)
    first, root = names.of.get(paths[0]), chosen.layout.root(PurePosixPath(paths[0]))
    others = [path for path in siblings if first and path not in texts and chosen.layout.root(PurePosixPath(path)) == root]
    before = [path for path in names.versions(others) if first and names.of[path].order < first.order]
    reason = _reason(chosen, migrations)
    earlier = replace(tree, include=known.include_base, blobs=known.blobs)
    if not with_base:
        standing = _standing(names.versions(others), chosen.layout, names, earlier, due={*before})
        return Plan(migrations, (), (), reason, standing=standing, base_files=_base_files(chosen.layout, names, earlier))
    base = tuple(_to_run(path, chosen.layout, names, earlier) for path in names.ordered(before))
    return Plan(migrations, base, (), reason)


def plan_changes(  # noqa: PLR0913  what there is, and what was said of it
    changes: Sequence[FileChange],
    base_paths: Mapping[str, str] | Sequence[str],
    read: Read,
    read_base: Read,
    *,
    layout: str | None = None,
    folders: Sequence[str] = (),
    with_base: bool = True,
    known: Known = _NOTHING,
    ignored: Sequence[str] = (),
) -> Plan:
    """The new migrations among a pull request's changed files.

    `read` gives a file at the pull request's head, `read_base` at its base, where `base_paths` are all the files, with git's
    names of their contents where they are known. `layout` and `folders` (folders or globs) win over what the files tell,
    `ignored` ones are left alone; `with_base` as for `plan_files`. Raises as `plan_files`.
    """
    changed = {c.path for c in changes}
    there = {c.path for c in changes if c.status is not FileStatus.REMOVED}
    at_head = {*base_paths} - {c.old_path for c in changes} - changed | there
    filled, blobs = (known.placeholders, known.top), base_paths if isinstance(base_paths, Mapping) else {}
    head = _Tree(at_head, lambda path: (read if path in changed else read_base)(path), *filled, known.include)
    base = _Tree({*base_paths}, read_base, *filled, known.include_base, blobs)
    near = [c for c in changes if may_be_migration(c) and _is_within(c.path, folders)]
    near = [c for c in near if not (ignored and _is_within(c.path, ignored))]
    chosen = _chosen_for(near, head, base, layout, told=bool(layout or folders))
    if not chosen:
        return Plan((), reason="no changed file is a migration")
    plans = [_plan_of(one, near, head, base, with_base=with_base) for one in chosen]
    of = {one.path: plan.base_files for plan in plans if plan.base_files for one in plan.standing}
    return Plan(
        tuple(migration for plan in plans for migration in plan.migrations),
        tuple(migration for plan in plans for migration in plan.base),
        tuple(problem for plan in plans for problem in plan.problems),
        "; ".join(plan.reason for plan in plans),
        standing=tuple(one for plan in plans for one in plan.standing),
        base_files=BaseFiles(lambda path: of[path].migration(path), read_base, read_base),
    )


def may_be_migration(change: FileChange) -> bool:
    """Whether a changed file can matter at all: it is SQL, or a program that some tool runs as a migration."""
    for path in (change.path, change.old_path or "-"):
        pure = PurePosixPath(path)
        if pure.suffix.lower() == ".sql" and not is_expectation(pure):
            return True
        if pure.suffix != ".sql" and any(layout.parse(pure) for layout in LAYOUTS):
            return True
    return False


def _plan_of(chosen: _Chosen, near: Sequence[FileChange], head: _Tree, base: _Tree, *, with_base: bool) -> Plan:
    """What a change brings to the histories of one layout."""
    layout, names, before = chosen.layout, _names(chosen, head), _names(chosen, base)
    near = [c for c in near if not _has_other_mode_only(c, names, head, base)]
    titled = {c.path: c.old_path for c in near if c.old_path and _has_other_title_only(c, names, before, layout)}
    new = _new(near, names, before, layout) - {*titled}
    _refuse_code(layout, new)
    ups = names.ordered(new)
    skipped = {path: why for path in ups if (why := _skipped(path, layout, head))}
    ups = [path for path in ups if path not in skipped]
    migrations = _in_groups([_expecting(_to_run(path, layout, names, head), layout, head) for path in ups], layout)
    gone = ({c.old_path for c in near if c.old_path} | _added(near)) - {*titled.values()}
    versions = [path for path in before.versions(before.of) if path not in gone]
    anew = {path for path in ups if names.of[path].part is Part.REPEATABLE}
    standing = [path for path in versions if ups and path not in anew]
    old = before.ordered(versions)
    problems = [
        *_changed_later(near, before, new, layout, titled.keys()),
        *_never_run(chosen, near, new, names),
        *(HistoryProblem(path, f"{why}: it is not rehearsed") for path, why in skipped.items()),
        *_out_of_order(layout, ups, [path for path in old if path in names.of], names, head),
        *_with_one_version(layout, ups, names),
        *_holes(layout, ups, versions, names),
        *_wrong_sums(chosen, head),
    ]
    reason = _reason(chosen, migrations)
    if not with_base:
        known = _standing(standing, layout, before, base)
        return Plan(migrations, (), tuple(problems), reason, standing=known, base_files=_base_files(layout, before, base))
    replayed = [path for path in before.ordered(standing) if not _skipped(path, layout, base)]
    return Plan(migrations, tuple(_to_run(path, layout, before, base) for path in replayed), tuple(problems), reason)


def _standing(
    paths: Iterable[str], layout: Layout, names: _Names, tree: _Tree, due: Set[str] | None = None
) -> tuple[Standing, ...]:
    """Migrations that are there already, without their texts; those that are not `due` come after the new ones."""
    everywhere = _decides_everywhere(layout, tree)
    return tuple(
        Standing(
            path,
            names.of[path].version,
            layout.name,
            _decided_by(path, layout, names, tree) + everywhere,
            _recorded_as(path, layout, names),
            repeatable=names.of[path].part is Part.REPEATABLE,
            sql=names.of[path].part in (Part.UP, Part.REPEATABLE),
            due=due is None or path in due,
        )
        for path in paths
    )


def _decided_by(path: str, layout: Layout, names: _Names, tree: _Tree) -> str:
    """A name of all that decides what is sent of a migration that stands: it may have to be run, and nobody has read it yet."""
    beside = str(layout.beside.path(PurePosixPath(path))) if layout.beside else ""
    contents = [tree.content(one) for one in (path, beside) if one in tree.paths]
    if layout.psql and layout.history and not tree.blobs:
        with suppress(MigrationFileError):  # told, if it is to be run
            sent = _to_run(path, layout, names, tree).text
            contents.append(hashlib.sha256(sent.encode()).hexdigest())
    return " ".join(contents)


def _decides_everywhere(layout: Layout, tree: _Tree) -> str:
    """The same of what may be in any of them: the values that are put in; of files for psql, other files that they include."""
    if not layout.history or not (tree.values or (layout.psql and tree.blobs)):
        return ""
    files = sorted(tree.blobs.items()) if layout.psql else []
    return f" {hashlib.sha256(repr((sorted(tree.values.items()), files)).encode()).hexdigest()}"


def _base_files(layout: Layout, names: _Names, tree: _Tree) -> BaseFiles:
    def migration(path: str) -> Migration | None:
        return None if _skipped(path, layout, tree) else _to_run(path, layout, names, tree)

    return BaseFiles(migration, tree.read, tree.read)


def _to_run(path: str, layout: Layout, names: _Names, tree: _Tree) -> Migration:
    """A migration with what its tool's history table would have of it."""
    migration, name, table = _migration(path, layout, names, tree), names.of.get(path), layout.history
    if not name or not table:
        return migration
    checksum = table.checksum(tree.read(path)) if table.checksum else None
    recorded = _recorded_as(path, layout, names)
    return replace(migration, recorded=recorded, repeatable=name.part is Part.REPEATABLE, checksum=checksum)


def _recorded_as(path: str, layout: Layout, names: _Names) -> str:
    """How its tool's history table has a migration. Of a change that was reworked it has each time."""
    name, table = names.of[path], layout.history
    if not table:
        return ""
    if table.by_stamp:
        age = names.age[path]  # without an index the tool runs nothing, and there is no stamp
        return str(int(age[1])) if len(age) == 2 else ""
    time = names.times.get(path)
    return table.recorded(name) if time is None else again(layout.kept(name.version) or name.version, time)


def _reason(chosen: _Chosen, migrations: Sequence[Migration]) -> str:
    layout = chosen.layout
    groups = [f"{count(len(m.files), 'file')} in one transaction" for m in migrations if m.files]
    return f"{layout.name}: {chosen.reason}" + (f" ({layout.tool} runs {', '.join(groups)})" if groups else "")


def _added(near: Sequence[FileChange]) -> set[str]:
    return {c.path for c in near if c.status in (FileStatus.ADDED, FileStatus.RENAMED)}


def _new(near: Sequence[FileChange], names: _Names, before: _Names, layout: Layout) -> set[str]:
    """The files with something new to run: added ones, changed ones that the tool runs again, and those whose earlier text it
    keeps under another name.
    """
    ours = {path: names.of[path] for path in _added(near) if path in names.of}
    versions = {name.version for name in before.of.values()}
    kept = {path: was for path, name in ours.items() if (was := layout.kept(name.version)) in versions}
    modified = {c.path: names.of[c.path] for c in near if c.status is FileStatus.MODIFIED and c.path in names.of}
    again = {
        path for path, n in modified.items() if n.part is Part.REPEATABLE or (n.part is Part.UP and n.version in kept.values())
    }
    return {*ours} - {*kept} | again


def _has_other_mode_only(change: FileChange, names: _Names, head: _Tree, base: _Tree) -> bool:
    path = change.path
    return change.status is FileStatus.MODIFIED and path in names.of and head.read(path) == base.read(path)


def _has_other_title_only(change: FileChange, names: _Names, before: _Names, layout: Layout) -> bool:
    """Whether a renamed file still has the version by which its tool knows it, and is not run again."""
    path, old = change.path, change.old_path or ""
    is_one = path in names.of and old in before.of and names.of[path].part is before.of[old].part is Part.UP
    if not (is_one and layout.history) or layout.root(PurePosixPath(path)) != layout.root(PurePosixPath(old)):
        return False
    recorded = _recorded_as(path, layout, names)
    return recorded != "" and recorded == _recorded_as(old, layout, before)


def _skipped(path: str, layout: Layout, tree: _Tree) -> str | None:
    return layout.skips(tree.read(path).decode("utf-8", errors="replace")) if layout.skips else None


def _refuse_code(layout: Layout, paths: Iterable[str]) -> None:
    """Raises MigrationFileError where nothing of the tool can be rehearsed: an empty plan would look like a passed one."""
    for path in sorted(paths):
        name = layout.parse(PurePosixPath(path)) if layout.refused else None
        if name and layout.refused:
            why, advice = layout.refused
            raise MigrationFileError(f"{path} is a migration of {layout.tool}, which can't be rehearsed.", why=why, advice=advice)


# ── What the files of a history are ──────────────────────────────────────────────────────────────────────────────────────


def _names(chosen: _Chosen, tree: _Tree) -> _Names:
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
    return _Names(listed, age, unlisted, downs, _times(listed, layout))


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
    root: PurePosixPath, layout: Layout, tree: _Tree, found: dict[str, Name], age: dict[str, Any], unlisted: set[str]
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


# ── Which layout ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _chosen_for(near: Sequence[FileChange], head: _Tree, base: _Tree, layout: str | None, *, told: bool) -> list[_Chosen]:
    """The layouts of the folders in which something was changed. A folder has one tool; its files at the base say which, too."""
    chosen: dict[str, _Chosen] = {}
    beside = _Beside(_sql_files(base.paths if near else ()), with_folders(head.paths | base.paths))
    for folder, changes in _by_folder(near).items():
        texts = {c.path: _telling_text(c, head, base) for c in changes}
        places = beside.places(folder)
        found = (named(layout), "as told") if layout else _detected(folder, texts, places, beside, base, told=told)
        if found is None:
            continue
        one = chosen.setdefault(found[0].name, _Chosen(*found))
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
    folder: PurePosixPath, texts: Mapping[str, str], places: Sequence[str], beside: _Beside, base: _Tree, *, told: bool
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


def _telling_text(change: FileChange, head: _Tree, base: _Tree) -> str:
    """A changed file's text, to find out what it is. None is asked of files without a number: a repository is full of SQL."""
    pure = PurePosixPath(change.path)
    if not re.search("[0-9]", f"{pure.parent.name}{pure.name}"):
        return ""
    tree = base if change.status is FileStatus.REMOVED else head
    return tree.read(change.path).decode("utf-8", errors="replace") if pure.suffix == ".sql" else ""


def expectation_paths(path: str) -> list[str]:
    """Where the file with a migration's expectations may be: beside `0042_x.sql` as `0042_x.expect.sql`, beside `x.up.sql` as
    `x.up.expect.sql` or `x.expect.sql`; or as `x.expect`, for tools that take whatever ends in .sql for a migration.
    """
    stem = path.removesuffix(".sql")
    bare = stem.removesuffix(".up")
    return [*dict.fromkeys((f"{stem}.expect.sql", f"{bare}.expect.sql")), f"{bare}.expect"]


def _expecting(migration: Migration, layout: Layout, tree: _Tree) -> Migration:
    """The migration with its expectations, if a file among those that are `there` holds some."""
    path = next((path for path in expectation_paths(migration.path) if path in tree.paths), None)
    if path is None:
        return migration
    text = _filled(path, decode(path, tree.read(path)).removeprefix(BOM), layout, tree)
    _refuse_what_is_not_sql(path, text)
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


def _migration(path: str, layout: Layout, names: _Names, tree: _Tree) -> Migration:
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


def _whole(path: str, layout: Layout, tree: _Tree, settings: str) -> str:
    """A file's text with its tool's values in it."""
    text = decode(path, tree.read(path))
    if layout.strips_bom:
        text = text.removeprefix(BOM)
    return _filled(path, text, layout, tree, settings)


def _filled(path: str, text: str, layout: Layout, tree: _Tree, settings: str = "") -> str:
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


def _as_sent(path: str, text: str, layout: Layout, tree: _Tree, *, is_down: bool = False) -> Expanded:
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


def _settings(path: PurePosixPath, layout: Layout, tree: _Tree) -> str:
    """What the settings beside a migration say of how it is sent, as a comment."""
    beside = str(layout.beside.path(path)) if layout.beside else ""
    if not layout.beside or beside not in tree.paths:
        return ""
    return layout.beside.remark(tree.read(beside).decode("utf-8", errors="replace"))


def _in_groups(migrations: Sequence[Migration], layout: Layout) -> tuple[Migration, ...]:
    """The migrations as the tool sends them: those of one history as one, where it runs all that is pending in one transaction.
    What a file leaves open would swallow the next one: no server takes it, and the group ends with it.
    """
    if not layout.together:
        return tuple(migrations)
    histories: dict[PurePosixPath, list[list[Migration]]] = {}
    for migration in migrations:
        groups = histories.setdefault(layout.root(PurePosixPath(migration.path)), [[]])
        groups[-1].append(migration)
        if leaves_open(migration.text):
            groups.append([])
    return tuple(grouped(members) for groups in histories.values() for members in groups if members)


def _refuse_what_is_not_sql(path: str, text: str) -> None:
    for command in split(text).meta_commands[:1] if "\\" in text else ():
        raise MigrationFileError(
            f"{path}:{command.line}: {command.name} is a command of psql, not SQL.",
            why="Only psql knows it; a PostgreSQL server answers it with a syntax error.",
            advice="Write what it does as SQL, or put the file's content in its place.",
        )


def _detect_or_plain(texts: Mapping[str, str], there: Set[str]) -> _Chosen:
    found = detect(texts.items(), with_folders(there))
    return _Chosen(*found) if found else _Chosen(PLAIN, "SQL files in the order given")


def _is_within(path: str, folders: Sequence[str]) -> bool:
    return not folders or any(
        PurePosixPath(path).is_relative_to(folder.rstrip("/")) or fnmatch.fnmatchcase(path, folder) for folder in folders
    )


def _in_migrations_folder(folder: PurePosixPath) -> bool:
    return any(_FOLDER.search(part) for part in folder.parts)


# ── What is wrong with the history ───────────────────────────────────────────────────────────────────────────────────────


def _changed_later(
    near: Sequence[FileChange], before: _Names, new: Set[str], layout: Layout, titled: Set[str]
) -> Iterator[HistoryProblem]:
    """Changes to migrations that the base branch already has: databases that ran the old text will not run the new one."""
    said = {
        FileStatus.MODIFIED: "was on the base branch already and is edited here: databases that ran it will not run the new text",
        FileStatus.REMOVED: "was on the base branch already and is deleted here: databases that ran it still have what it did",
    }
    for change in near:
        name = before.of.get(change.old_path or change.path)
        if not name or name.part not in (Part.UP, Part.CODE) or (change.path in new and change.status is FileStatus.MODIFIED):
            continue
        if change.status in said:
            yield HistoryProblem(change.path, said[change.status])
        elif change.status is FileStatus.RENAMED and layout.kept(PurePosixPath(change.path).stem) is None:
            known = "its tool knows it by its version, and databases that ran it will not run this"
            then = known if change.path in titled else "its tool will run it again"
            yield HistoryProblem(change.path, f"was on the base branch as {quoted(change.old_path or change.path)}: {then}")


def _never_run(chosen: _Chosen, near: Sequence[FileChange], new: Set[str], names: _Names) -> Iterator[HistoryProblem]:
    """New files that the tool will not run, which is how migrations go missing, and those that it runs and we can't."""
    layout = chosen.layout
    holding = {PurePosixPath(path).parent for path, name in names.of.items() if name.part is Part.UP}
    for path in sorted(_added(near)):
        name = names.of.get(path)
        if name and path in new and name.part is Part.CODE:
            yield HistoryProblem(path, f"is no SQL: {layout.tool} runs it, but it is not rehearsed, and later files stand on it")
        elif name and name.part is Part.BASELINE:
            yield HistoryProblem(path, f"is a baseline, which {layout.tool} runs on new databases only: it is not rehearsed")
        elif path in names.unlisted and layout.index:
            yield HistoryProblem(path, f"is not in `{layout.index.file}`: {layout.tool} does not run it")
        elif _is_misnamed(PurePosixPath(path), layout, holding, chosen.roots):
            yield HistoryProblem(
                path, f"is not named as {layout.tool} names migrations, as in `{layout.example}`: it would never be run"
            )


def _is_misnamed(path: PurePosixPath, layout: Layout, holding: Set[PurePosixPath], roots: Set[PurePosixPath]) -> bool:
    if path.suffix.lower() != ".sql" or is_expectation(path) or layout.parse(path) or path.name in _WRITTEN:
        return False
    if not layout.only_named_so:  # a folder of anybody's files: only what looks like a version is meant to be one
        return path.parent in holding and re.match("[A-Za-z]?[0-9]", path.name) is not None and not path.stem.endswith(".down")
    return path.parent in holding or (layout.root is grandparent and {path.parent, path.parent.parent} & roots != set())


def _out_of_order(layout: Layout, ups: Sequence[str], old: Sequence[str], names: _Names, head: _Tree) -> Iterator[HistoryProblem]:
    """New migrations that the tool puts before the newest that the base branch has, of those that it runs."""
    versions = sorted((path for path in old if names.of[path].part is Part.UP), key=lambda path: (names.age[path], path))
    late = [path for path in ups if names.of[path].part is Part.UP and versions and names.age[path] < names.age[versions[-1]]]
    newest = next((path for path in reversed(versions) if late and not _skipped(path, layout, head)), None)
    for path in late:
        if newest and names.age[path] < names.age[newest]:
            yield HistoryProblem(path, f"comes before {quoted(newest)}, which the base branch has: {layout.late}")


def _wrong_sums(chosen: _Chosen, head: _Tree) -> Iterator[HistoryProblem]:
    """Folders that do not fit the sums beside them. All of a folder has to be read: not where it is large."""
    sums = chosen.layout.sums
    for root in sorted(chosen.roots) if sums else ():
        assert sums is not None  # noqa: S101  asked just before
        there = str(root / sums.file)
        files = sorted(path for path in head.paths if path.endswith(".sql") and PurePosixPath(path).parent == root)
        if there not in head.paths or len(files) > _MOST_SUMMED:
            continue
        text = head.read(there).decode("utf-8", errors="replace")
        if wrong := sums.check(text, [(PurePosixPath(path).name, head.read(path)) for path in files]):
            yield HistoryProblem(str(root / wrong[0]), f"{wrong[1]}: {chosen.layout.tool} {sums.refusal}")


def _with_one_version(layout: Layout, ups: Sequence[str], names: _Names) -> Iterator[HistoryProblem]:
    """New migrations with a version that another file has."""
    first: dict[tuple[PurePosixPath, object], str] = {}
    mine = {*ups}
    for path in sorted(names.of, key=lambda path: (path in mine, path)):
        name = names.of[path]
        if name.part is not Part.UP:
            continue
        other = first.setdefault((layout.root(PurePosixPath(path)), name.identity), path)
        if other != path and path in mine:
            yield HistoryProblem(path, f"has the same version as {quoted(other)}: {layout.tool} {layout.twice}")


def _holes(layout: Layout, ups: Sequence[str], versions: Sequence[str], names: _Names) -> Iterator[HistoryProblem]:
    """Numbers that new migrations leave out where the base branch leaves out none: somebody may be about to bring them."""
    if layout.index:
        return
    stood, brought, at_head = (_numbers(paths, layout) for paths in (versions, ups, names.of))
    for root in sorted(brought):
        old, new = stood.get(root, {}), brought[root]
        if len(old) < _NUMBERED_SINCE or min(old) > 1 or len(old) != max(old) - min(old) + 1:
            continue
        before = max(old)
        there = sorted(at_head.get(root, {}).keys() | old.keys())
        for last, version in pairwise(n for n in there if n >= before):
            if version in new and 1 < version - last <= _MOST_MISSING:
                yield HistoryProblem(new[version], _hole(layout, last + 1, version - 1), Severity.NOTICE)


def _hole(layout: Layout, first: int, last: int) -> str:
    left = f"the number {first}" if first == last else f"the numbers {first} to {last}"
    return f"leaves out {left}; of a file that brings {'it' if first == last else 'one'} later: {layout.late}"


def _numbers(paths: Iterable[str], layout: Layout) -> dict[PurePosixPath, dict[int, str]]:
    """Those whose version is a single number, by their history's folder and by that."""
    found: dict[PurePosixPath, dict[int, str]] = {}
    for path in paths:
        if (version := _number(path, layout)) is not None:
            found.setdefault(layout.root(PurePosixPath(path)), {})[version] = path
    return found


def _number(path: str, layout: Layout) -> int | None:
    """The number that a version is, where it is a single one."""
    name = layout.parse(PurePosixPath(path))
    if not name or name.part not in (Part.UP, Part.CODE):
        return None
    key = name.key[0] if isinstance(name.key, tuple) and len(name.key) == 1 else name.key
    return key if isinstance(key, int) else number(name.version) if key is None else None


def with_same_version(plan: Plan, others: Iterable[tuple[int, Sequence[FileChange]]]) -> Iterator[HistoryProblem]:
    """New migrations with a version that another open pull request brings, too: `others` has its number and changed files. A file
    of the same name is none: git knows of that.
    """
    mine: dict[tuple[str, PurePosixPath, object], str] = {}
    for one in (one for migration in plan.migrations for one in migration.each):
        layout, path = named(one.layout), PurePosixPath(one.path)
        if parsed := layout.parse(path):
            mine[layout.name, layout.root(path), parsed.identity] = one.path
    layouts = [named(layout) for layout in sorted({migration.layout for migration in plan.migrations})]
    for pull, changes in others:
        for other, layout in product(sorted(_added(changes)), layouts):
            pure = PurePosixPath(other)
            name = layout.parse(pure)
            own = mine.get((layout.name, layout.root(pure), name.identity)) if name and name.part is Part.UP else None
            if own and own != other:
                why = f"{layout.tool} {layout.twice}"
                yield HistoryProblem(own, f"has the same version as {quoted(other)} in the open pull request {pull}: {why}")
