"""What is wrong with a history, as findings: files that never run, or run late, changed ones, versions twice or left out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import pairwise, product
from pathlib import PurePosixPath

from bot.discovery.tree import Chosen, Names, Tree, added_by, why_skipped
from bot.layouts import Layout, Part, named
from bot.layouts.base import grandparent, is_expectation, number
from bot.model import FileChange, FileStatus, HistoryProblem, Plan, Severity
from bot.words import name as quoted

# What tools write beside migrations and never run.
_WRITTEN = ("schema.sql", "structure.sql")
_NUMBERED_SINCE = 3  # so many numbers without a hole are no chance
_MOST_MISSING = 100  # a date after small numbers leaves out millions, and is no mistake
_MOST_SUMMED = 1000  # files of a folder that are all read to be compared with their sums


def changed_later(
    near: Sequence[FileChange], before: Names, new: Set[str], layout: Layout, titled: Set[str]
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


def never_run(chosen: Chosen, near: Sequence[FileChange], new: Set[str], names: Names) -> Iterator[HistoryProblem]:
    """New files that the tool will not run, which is how migrations go missing, and those that it runs and we can't."""
    layout = chosen.layout
    holding = {PurePosixPath(path).parent for path, name in names.of.items() if name.part is Part.UP}
    for path in sorted(added_by(near)):
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


def out_of_order(layout: Layout, ups: Sequence[str], old: Sequence[str], names: Names, head: Tree) -> Iterator[HistoryProblem]:
    """New migrations that the tool puts before the newest that the base branch has, of those that it runs."""
    versions = sorted((path for path in old if names.of[path].part is Part.UP), key=lambda path: (names.age[path], path))
    late = [path for path in ups if names.of[path].part is Part.UP and versions and names.age[path] < names.age[versions[-1]]]
    newest = next((path for path in reversed(versions) if late and not why_skipped(path, layout, head)), None)
    for path in late:
        if newest and names.age[path] < names.age[newest]:
            yield HistoryProblem(path, f"comes before {quoted(newest)}, which the base branch has: {layout.late}")


def wrong_sums(chosen: Chosen, head: Tree) -> Iterator[HistoryProblem]:
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


def with_one_version(layout: Layout, ups: Sequence[str], names: Names) -> Iterator[HistoryProblem]:
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


def holes(layout: Layout, ups: Sequence[str], versions: Sequence[str], names: Names) -> Iterator[HistoryProblem]:
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
        for other, layout in product(sorted(added_by(changes)), layouts):
            pure = PurePosixPath(other)
            name = layout.parse(pure)
            own = mine.get((layout.name, layout.root(pure), name.identity)) if name and name.part is Part.UP else None
            if own and own != other:
                why = f"{layout.tool} {layout.twice}"
                yield HistoryProblem(own, f"has the same version as {quoted(other)} in the open pull request {pull}: {why}")
