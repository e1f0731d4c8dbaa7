"""Changed files + layout -> ordered migrations, and what is wrong with the history. Pure: files are read by a callback."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import replace
from pathlib import PurePosixPath

from bot.discovery.choosing import chosen_for, detect_or_plain, is_within
from bot.discovery.mistakes import changed_later, holes, never_run, out_of_order, with_one_version, with_same_version, wrong_sums
from bot.discovery.reading import decode, expectation_paths, expecting, read_migration
from bot.discovery.tree import Chosen, Known, Names, Read, Tree, added_by, names_of, why_skipped
from bot.errors import MigrationFileError
from bot.groups import grouped
from bot.layouts import LAYOUTS, Layout, Part, named
from bot.layouts.base import again, is_expectation
from bot.model import BaseFiles, FileChange, FileStatus, HistoryProblem, Migration, Plan, Standing
from bot.sql import leaves_open
from bot.words import count

__all__ = ["Known", "decode", "expectation_paths", "may_be_migration", "plan_changes", "plan_files", "with_same_version"]

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
    tree = Tree({*paths, *siblings}, read, known.placeholders, known.top, known.include)
    paths = _only_migrations(paths)
    texts = {path: decode(path, read(path)) for path in paths}
    chosen = Chosen(named(layout), "as told") if layout else detect_or_plain(texts, tree.paths)
    chosen.roots |= {chosen.layout.root(PurePosixPath(path)) for path in paths}
    _refuse_code(chosen.layout, paths)
    names = names_of(chosen, tree)
    each = [expecting(_to_run(path, chosen.layout, names, tree), chosen.layout, tree) for path in paths]
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
    head = Tree(at_head, lambda path: (read if path in changed else read_base)(path), *filled, known.include)
    base = Tree({*base_paths}, read_base, *filled, known.include_base, blobs)
    near = [c for c in changes if may_be_migration(c) and is_within(c.path, folders)]
    near = [c for c in near if not (ignored and is_within(c.path, ignored))]
    chosen = chosen_for(near, head, base, layout, told=bool(layout or folders))
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


def _plan_of(chosen: Chosen, near: Sequence[FileChange], head: Tree, base: Tree, *, with_base: bool) -> Plan:
    """What a change brings to the histories of one layout."""
    layout, names, before = chosen.layout, names_of(chosen, head), names_of(chosen, base)
    near = [c for c in near if not _has_other_mode_only(c, names, head, base)]
    titled = {c.path: c.old_path for c in near if c.old_path and _has_other_title_only(c, names, before, layout)}
    new = _new(near, names, before, layout) - {*titled}
    _refuse_code(layout, new)
    ups = names.ordered(new)
    skipped = {path: why for path in ups if (why := why_skipped(path, layout, head))}
    ups = [path for path in ups if path not in skipped]
    migrations = _in_groups([expecting(_to_run(path, layout, names, head), layout, head) for path in ups], layout)
    gone = ({c.old_path for c in near if c.old_path} | added_by(near)) - {*titled.values()}
    versions = [path for path in before.versions(before.of) if path not in gone]
    anew = {path for path in ups if names.of[path].part is Part.REPEATABLE}
    standing = [path for path in versions if ups and path not in anew]
    old = before.ordered(versions)
    problems = [
        *changed_later(near, before, new, layout, titled.keys()),
        *never_run(chosen, near, new, names),
        *(HistoryProblem(path, f"{why}: it is not rehearsed") for path, why in skipped.items()),
        *out_of_order(layout, ups, [path for path in old if path in names.of], names, head),
        *with_one_version(layout, ups, names),
        *holes(layout, ups, versions, names),
        *wrong_sums(chosen, head),
    ]
    reason = _reason(chosen, migrations)
    if not with_base:
        known = _standing(standing, layout, before, base)
        return Plan(migrations, (), tuple(problems), reason, standing=known, base_files=_base_files(layout, before, base))
    replayed = [path for path in before.ordered(standing) if not why_skipped(path, layout, base)]
    return Plan(migrations, tuple(_to_run(path, layout, before, base) for path in replayed), tuple(problems), reason)


def _standing(
    paths: Iterable[str], layout: Layout, names: Names, tree: Tree, due: Set[str] | None = None
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


def _decided_by(path: str, layout: Layout, names: Names, tree: Tree) -> str:
    """A name of all that decides what is sent of a migration that stands: it may have to be run, and nobody has read it yet."""
    beside = str(layout.beside.path(PurePosixPath(path))) if layout.beside else ""
    contents = [tree.content(one) for one in (path, beside) if one in tree.paths]
    if layout.psql and layout.history and not tree.blobs:
        with suppress(MigrationFileError):  # told, if it is to be run
            sent = _to_run(path, layout, names, tree).text
            contents.append(hashlib.sha256(sent.encode()).hexdigest())
    return " ".join(contents)


def _decides_everywhere(layout: Layout, tree: Tree) -> str:
    """The same of what may be in any of them: the values that are put in; of files for psql, other files that they include."""
    if not layout.history or not (tree.values or (layout.psql and tree.blobs)):
        return ""
    files = sorted(tree.blobs.items()) if layout.psql else []
    return f" {hashlib.sha256(repr((sorted(tree.values.items()), files)).encode()).hexdigest()}"


def _base_files(layout: Layout, names: Names, tree: Tree) -> BaseFiles:
    def migration(path: str) -> Migration | None:
        return None if why_skipped(path, layout, tree) else _to_run(path, layout, names, tree)

    return BaseFiles(migration, tree.read, tree.read)


def _to_run(path: str, layout: Layout, names: Names, tree: Tree) -> Migration:
    """A migration with what its tool's history table would have of it."""
    migration, name, table = read_migration(path, layout, names, tree), names.of.get(path), layout.history
    if not name or not table:
        return migration
    checksum = table.checksum(tree.read(path)) if table.checksum else None
    recorded = _recorded_as(path, layout, names)
    return replace(migration, recorded=recorded, repeatable=name.part is Part.REPEATABLE, checksum=checksum)


def _recorded_as(path: str, layout: Layout, names: Names) -> str:
    """How its tool's history table has a migration. Of a change that was reworked it has each time."""
    name, table = names.of[path], layout.history
    if not table:
        return ""
    if table.by_stamp:
        age = names.age[path]  # without an index the tool runs nothing, and there is no stamp
        return str(int(age[1])) if len(age) == 2 else ""
    time = names.times.get(path)
    return table.recorded(name) if time is None else again(layout.kept(name.version) or name.version, time)


def _reason(chosen: Chosen, migrations: Sequence[Migration]) -> str:
    layout = chosen.layout
    groups = [f"{count(len(m.files), 'file')} in one transaction" for m in migrations if m.files]
    return f"{layout.name}: {chosen.reason}" + (f" ({layout.tool} runs {', '.join(groups)})" if groups else "")


def _new(near: Sequence[FileChange], names: Names, before: Names, layout: Layout) -> set[str]:
    """The files with something new to run: added ones, changed ones that the tool runs again, and those whose earlier text it
    keeps under another name.
    """
    ours = {path: names.of[path] for path in added_by(near) if path in names.of}
    versions = {name.version for name in before.of.values()}
    kept = {path: was for path, name in ours.items() if (was := layout.kept(name.version)) in versions}
    modified = {c.path: names.of[c.path] for c in near if c.status is FileStatus.MODIFIED and c.path in names.of}
    again = {
        path for path, n in modified.items() if n.part is Part.REPEATABLE or (n.part is Part.UP and n.version in kept.values())
    }
    return {*ours} - {*kept} | again


def _has_other_mode_only(change: FileChange, names: Names, head: Tree, base: Tree) -> bool:
    path = change.path
    return change.status is FileStatus.MODIFIED and path in names.of and head.read(path) == base.read(path)


def _has_other_title_only(change: FileChange, names: Names, before: Names, layout: Layout) -> bool:
    """Whether a renamed file still has the version by which its tool knows it, and is not run again."""
    path, old = change.path, change.old_path or ""
    is_one = path in names.of and old in before.of and names.of[path].part is before.of[old].part is Part.UP
    if not (is_one and layout.history) or layout.root(PurePosixPath(path)) != layout.root(PurePosixPath(old)):
        return False
    recorded = _recorded_as(path, layout, names)
    return recorded != "" and recorded == _recorded_as(old, layout, before)


def _refuse_code(layout: Layout, paths: Iterable[str]) -> None:
    """Raises MigrationFileError where nothing of the tool can be rehearsed: an empty plan would look like a passed one."""
    for path in sorted(paths):
        name = layout.parse(PurePosixPath(path)) if layout.refused else None
        if name and layout.refused:
            why, advice = layout.refused
            raise MigrationFileError(f"{path} is a migration of {layout.tool}, which can't be rehearsed.", why=why, advice=advice)


def _only_migrations(paths: Sequence[str]) -> list[str]:
    """FILEs without those that hold expectations, which a pattern like `*.sql` names too."""
    kept = [path for path in paths if not is_expectation(PurePosixPath(path))]
    if not kept:
        raise MigrationFileError(
            f"{paths[0]} holds what a migration expects, and is none.",
            advice="Name the migration: the file is read with it.",
        )
    return kept


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
