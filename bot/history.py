"""What a seed's history tables say, beside what the branches have -> what is to be run first, and what is wrong. Pure.

A tool's table is known by the name that it has by default (`HistoryTable` in bot/layouts/base.py). Where there is none, or it is
empty, as a dump without data has it, nothing is known, and the seed is taken to have all that the base branch has. So it is where
the table knows none of the base's migrations: then it is another history's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from bot.groups import without
from bot.layouts import named
from bot.layouts.base import HistoryTable
from bot.model import CaughtUp, HistoryProblem, Migration, Plan, Recorded, Severity, Standing
from bot.words import count
from bot.words import name as quoted

_TOLD = 5  # migrations that are told one by one
_NAMED = 3  # versions that are named in a note; the rest is counted
_LONGEST = 100  # characters of one
MOST_COMPARED = 50  # files that are fetched to be compared with their checksums


@dataclass(frozen=True, slots=True)
class Past:
    """What a seed had run, by layout, and what came of it before anything was rehearsed: decided by the seed and by what stands,
    whatever the new migrations are. What it means for these is asked of it each time.
    """

    recorded: Mapping[str, Recorded]
    caught_up: tuple[CaughtUp, ...] = ()
    problems: tuple[HistoryProblem, ...] = ()


NO_PAST = Past({})


def tables(plan: Plan) -> dict[str, HistoryTable]:
    """The history tables of a plan's layouts, by layout."""
    names = dict.fromkeys(one.layout for one in (*_all(plan), *plan.base))
    return {name: table for name in names if (table := named(name).history)}


def named_tables(plan: Plan) -> tuple[str, ...]:
    """The layouts of those that a migration of the plan names: it depends on what its tool has written there."""
    migrations = [*plan.base, *plan.migrations]
    return tuple(layout for layout, table in tables(plan).items() if any(_names(table, one) for one in migrations))


def to_enter(migrations: Sequence[Migration]) -> frozenset[str]:
    """The paths of those behind which one comes that names the table which they would be in."""
    found: set[str] = set()
    named_since: set[str] = set()  # the layouts whose table one of those seen names: from the last to the first
    kept = {layout: table for layout in {one.layout for one in migrations} if (table := named(layout).history)}
    for migration in reversed(migrations):
        if migration.layout in named_since:
            found.add(migration.path)
        named_since |= {layout for layout, table in kept.items() if layout not in named_since and _names(table, migration)}
    return frozenset(found)


def _names(table: HistoryTable, migration: Migration) -> bool:
    return table.table.rpartition(".")[2].lower() in migration.text.lower()


def is_of(recorded: Recorded, plan: Plan, layout: str) -> bool:
    """Whether a table's rows are about this history: they are not if they know none of what the base branch has."""
    table, standing = named(layout).history, [one for one in plan.standing if one.layout == layout and one.recorded]
    if table is None:
        return False
    is_done, broken = table.done(recorded), frozenset(recorded.broken)
    return not standing or any(is_done(one.recorded) or one.recorded in broken for one in standing)


def pending(plan: Plan, recorded: Mapping[str, Recorded], changed: Set[str] = frozenset()) -> list[Standing]:
    """What the base branch has and its tool would still run on the seed, in order; `changed`: paths of repeatable ones that it
    would run again. Nothing, where the tool would go no further.
    """
    is_done = _is_done(recorded)
    return [
        one
        for one in plan.standing
        if one.due
        and one.recorded
        and one.layout in recorded
        and not recorded[one.layout].broken
        and (one.path in changed or not is_done(one))
    ]


def already_run(plan: Plan, past: Past) -> dict[str, HistoryProblem]:
    """The new files that their tool would not run, as the seed has them already or is past them; by their paths."""
    found: dict[str, HistoryProblem] = {}
    is_done = _is_done(past.recorded)
    for one in (one for migration in plan.migrations for one in migration.each):
        if one.layout in past.recorded and one.recorded and not one.repeatable and is_done(one):
            found[one.path] = HistoryProblem(one.path, _why_not_run(one, past.recorded[one.layout]))
    return found


def to_rehearse(plan: Plan, past: Past) -> tuple[Migration, ...]:
    """The plan's migrations, in their places; of a group that was run in part only the rest. What was run as a whole stays as it
    is: `already_run` names it.
    """
    run_already = already_run(plan, past).keys()
    return tuple(without(migration, run_already) for migration in plan.migrations)


def not_run(plan: Plan, past: Past) -> Iterator[HistoryProblem]:
    """The same as is said of them: of a whole folder that is rehearsed on a dump that has most of it, the first ones."""
    problems = [*already_run(plan, past).values()]
    yield from problems[:_TOLD]
    if more := problems[_TOLD:]:
        yield HistoryProblem(
            more[0].path, f"and {len(more) - 1} more would not be run by their tool either: they are not rehearsed"
        )


def _why_not_run(migration: Migration, recorded: Recorded) -> str:
    layout = named(migration.layout)
    where = f"{layout.tool}, whose table {quoted(recorded.table)} in the seed"
    if migration.recorded in recorded.versions:
        return f"was run already, says {where} has its version: it would not be run, and is not rehearsed"
    return f"would never be run by {where} is at {shown(recorded.up_to or '')} already: it is not rehearsed"


def _all(plan: Plan) -> list[Standing | Migration]:
    return [*plan.standing, *(one for migration in plan.migrations for one in migration.each)]


def _is_done(recorded: Mapping[str, Recorded]) -> Callable[[Standing | Migration], bool]:
    """Whether a migration of one of these layouts is done."""
    has = {layout: table.done(said) for layout, said in recorded.items() if (table := named(layout).history)}
    return lambda one: one.layout in has and has[one.layout](one.recorded)


# ── What is said of it ───────────────────────────────────────────────────────────────────────────────────────────────────


def unknown(plan: Plan, recorded: Mapping[str, Recorded], strange: Mapping[str, str]) -> list[str]:
    """What is assumed where nothing is known of a layout's history; nothing, where the base branch has none. `strange`: tables
    that know none of it, by layout.
    """
    notes = []
    for name in dict.fromkeys(one.layout for one in plan.standing if one.layout not in recorded):
        layout, there = named(name), [one for one in plan.standing if one.layout == name]
        assumed = f"it is taken to have all that the base branch has ({count(len(there), 'migration')})"
        if layout.history is None:
            notes.append(f"{layout.name} keeps no history table in the seed: {assumed}.")
        elif name in strange:
            notes.append(f"{strange[name]} in the seed has no version that the branch has: {assumed}.")
        else:
            notes.append(f"The seed has no {layout.history.table} that says what {layout.tool} has run: {assumed}.")
    return notes


def not_known_here(plan: Plan, recorded: Mapping[str, Recorded]) -> list[str]:
    """Versions that the seed has, and neither branch."""
    notes = []
    for layout, one in recorded.items():
        ours = {known.recorded for known in _all(plan) if known.layout == layout}
        strange = [version for version in one.versions if version not in ours]
        if strange:
            names = ", ".join(map(shown, strange[:_NAMED])) + (", …" if len(strange) > _NAMED else "")
            versions = count(len(strange), "version")
            notes.append(f"{one.table} in the seed has {versions} that the branch has not: {names}.")
    return notes


def unfinished(plan: Plan, recorded: Mapping[str, Recorded]) -> Iterator[HistoryProblem]:
    """What the tool began and did not finish: it goes no further until somebody mends that."""
    for layout, one in recorded.items():
        path = next((m.path for m in plan.migrations if m.layout == layout), "")
        for version in one.broken[:_NAMED]:
            files = [known.path for known in _all(plan) if known.recorded == version]
            yield HistoryProblem(
                files[0] if files else path,
                f"is blocked: {quoted(one.table)} in the seed has version {shown(version)} as begun and not finished, and "
                f"{named(layout).tool} runs nothing until that is mended",
            )


def to_compare(plan: Plan, recorded: Mapping[str, Recorded]) -> list[Standing]:
    """Migrations whose checksum the seed has; repeatable ones first, which are run again for it, then the newest."""
    with_one = [one for one in plan.standing if one.layout in recorded and one.recorded in recorded[one.layout].checksums]
    newest_first = [one for one in with_one if one.sql][::-1]
    return sorted(newest_first, key=lambda one: not one.repeatable)


def differing(compared: Iterable[tuple[Standing, bytes]], recorded: Mapping[str, Recorded]) -> Iterator[HistoryProblem]:
    """Migrations whose text is not the one that the seed has run; of line ends git may have made others on somebody's machine."""
    for one, content in compared:
        layout = named(one.layout)
        table, was = layout.history, recorded[one.layout].checksums[one.recorded]
        if not one.repeatable and table and table.checksum and was and was not in _checksums(table, content):
            yield HistoryProblem(
                one.path,
                f"is not the text that the seed has run, says the checksum in {quoted(recorded[one.layout].table)}: "
                f"{layout.tool} {table.minds}",
                Severity.WARNING if table.refuses else Severity.NOTICE,
            )


def changed(compared: Iterable[tuple[Standing, bytes]], recorded: Mapping[str, Recorded]) -> set[str]:
    """Repeatable migrations that have another text than the seed has run, by their paths."""
    found = set()
    for one, content in compared:
        table = named(one.layout).history
        same = not table or not table.checksum or recorded[one.layout].checksums[one.recorded] in _checksums(table, content)
        if one.repeatable and not same:
            found.add(one.path)
    return found


def _checksums(table: HistoryTable, content: bytes) -> set[str]:
    assert table.checksum is not None  # noqa: S101  the caller has looked
    unix = content.replace(b"\r\n", b"\n")
    return {table.checksum(content), table.checksum(unix), table.checksum(unix.replace(b"\n", b"\r\n"))}


def shown(version: str) -> str:
    """A version as a seed has it: anybody's text."""
    return quoted(version if len(version) <= _LONGEST else version[:_LONGEST] + "…")


def skipped_notes(skipped: Sequence[Standing]) -> list[str]:
    """What the seed lacks and can't be run here."""
    if not skipped:
        return []
    names = ", ".join(quoted(one.path) for one in skipped[:_NAMED]) + (", …" if len(skipped) > _NAMED else "")
    return [f"The seed lacks {count(len(skipped), 'program')} of the base branch that can't be run here: {names}."]
