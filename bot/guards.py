"""What kept rows safe, filled columns or let others in, and does so no more: on a relation that stays, or on the one that has its
name now, as when a table is built anew beside the old one and takes its place. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from bot.dependents import Lines
from bot.model import GuardLost, RightLost
from bot.postgres.catalog import Column, Object, Snapshot, Table
from bot.schema_diff import full_name
from bot.words import last_part

_RELATIONS = ("table", "foreign table", "view", "materialized view", "sequence")
_ROUTINES = ("function", "procedure", "aggregate")
_OFF = (" DISABLED", " ENABLE REPLICA")  # as a snapshot ends the definition of a trigger that does not fire
# As remarks.sql words privileges, one list after the other: `SELECT, UPDATE to reporting by boss`.
_ROLE = r'"(?:[^"]|"")*"|[^\s;]+'
_LIST = re.compile(rf"(?P<taken>without )?(?P<privileges>[A-Z][A-Z, ]*) to (?P<role>{_ROLE})(?: by (?:{_ROLE}))?(?:; |$)")


@dataclass(frozen=True, slots=True)
class Held:
    """What a role was granted on something before, and what stands in its place now."""

    now: Object
    name: str
    role: str  # as SQL says it; PUBLIC is everybody
    privilege: str
    replaced: bool


# ── Which is which ───────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Now:
    """Everything of some kinds after a migration, by name."""

    before: Snapshot
    after: Snapshot
    by_name: Mapping[str, Object]

    def in_place_of(self, old: Object, *, of_kind: bool = True) -> Object | None:
        """What has the name that something had before, or else itself with another one; None if it is gone. `of_kind`: only if
        it is a table as well, or whatever the old one was.
        """
        named = self.by_name.get(full_name(self.before, old))
        return named if named and (named.kind == old.kind or not of_kind) else self.after.objects.get(old.id)


def _now(before: Snapshot, after: Snapshot, kinds: Iterable[str]) -> _Now:
    return _Now(before, after, {full_name(after, thing): thing for thing in after.objects.values() if thing.kind in kinds})


def _oid(thing: Object) -> int:
    return int(thing.id.partition(":")[2])


# ── Protection, and defaults ─────────────────────────────────────────────────────────────────────────────────────────────


def guards_lost(before: Snapshot, after: Snapshot, said: Lines, gone_with_others: Set[str]) -> tuple[GuardLost, ...]:
    """`gone_with_others`: the names of what was dropped by CASCADE, which is told as such."""
    now = _now(before, after, _RELATIONS)
    found = [*_row_security(now), *_attached(now), *_defaults(before, after)]
    told = (lost for lost in found if f"{lost.table}.{lost.name}" not in gone_with_others)
    return tuple(replace(lost, line=_line(said, lost.table, lost.name)) for lost in sorted(told, key=_place))


def _place(lost: GuardLost) -> tuple[str, str, str]:
    return (lost.table, lost.kind, lost.name)


def _line(said: Lines, qualified: str, part: str) -> int | None:
    """The statement that says both names, or one of them."""
    table, own = last_part(qualified), last_part(part) if part else ""
    return (own and (said.of(table, own) or said.of(own))) or said.of(table)


def _row_security(now: _Now) -> Iterator[GuardLost]:
    for oid, was in now.before.tables.items():
        if not was.row_security or f"1259:{oid}" not in now.before.objects:
            continue
        there = now.in_place_of(now.before.objects[f"1259:{oid}"])
        table = now.after.tables.get(_oid(there)) if there else None
        if table is None:
            continue
        replaced = table.oid != oid
        if not table.row_security:
            yield GuardLost("row security", table.name, "", "ENABLE ROW LEVEL SECURITY", not replaced, replaced)
        elif was.forced and not table.forced:
            yield GuardLost("forced row security", table.name, "", "FORCE ROW LEVEL SECURITY", not replaced, replaced)


def _attached(now: _Now) -> Iterator[GuardLost]:
    """Triggers and policies; those that a partition has from its table are told by that."""
    here: dict[str, list[Object]] = {}
    for thing in now.after.objects.values():
        if thing.kind in ("trigger", "policy") and thing.home:
            here.setdefault(thing.home, []).append(thing)
    for thing in now.before.objects.values():
        if thing.kind not in ("trigger", "policy") or thing.also or not thing.home:
            continue
        there = now.in_place_of(now.before.objects[thing.home])
        if there is None or (now.after.objects.get(thing.id) == thing and there.id == thing.home):
            continue
        others = [other for other in here.get(there.id, ()) if other.kind == thing.kind]
        lost = _trigger(thing, others) if thing.kind == "trigger" else _policy(now, thing, there, others)
        if lost:
            yield replace(lost, table=full_name(now.after, there), replaced=there.id != thing.home)


def _same(thing: Object, others: Iterable[Object]) -> Object | None:
    """The very same, maybe with another name, or one of its name."""
    return next((other for other in others if other.id == thing.id or other.name == thing.name), None)


def _trigger(was: Object, others: Iterable[Object]) -> GuardLost | None:
    """A trigger that fired and does not; not where another one calls the same function."""
    others, same = list(others), _same(was, others)
    fires = (other for other in others if not other.definition.endswith(_OFF))
    if was.definition.endswith(_OFF) or any(other is same or _calls(other) == _calls(was) for other in fires):
        return None
    return GuardLost("trigger", "", was.name or "", was.definition, disabled=same is not None)


def _calls(trigger: Object) -> str:
    """The function that a trigger calls."""
    return trigger.definition.rpartition(" EXECUTE FUNCTION ")[2].partition("(")[0]


def _policy(now: _Now, was: Object, there: Object, others: Iterable[Object]) -> GuardLost | None:
    """A policy that held and is gone; not where a new one of its sort is for the same commands."""
    tables = (now.before.tables.get(_oid(now.before.objects[was.home or ""])), now.after.tables.get(_oid(there)))
    held = all(isinstance(table, Table) and table.row_security for table in tables)
    _as, sort, _for, command, *_rest = was.definition.split(" ", 4)
    if not held or _same(was, others):
        return None
    for other in others:
        _as, its_sort, _for, its_command, *_rest = other.definition.split(" ", 4)
        if other.id not in now.before.objects and its_sort == sort and (command == "ALL" or its_command in (command, "ALL")):
            return None
    return GuardLost("restrictive policy" if sort == "RESTRICTIVE" else "policy", "", was.name or "", was.definition)


def _defaults(before: Snapshot, after: Snapshot) -> Iterator[GuardLost]:
    """Columns that take no NULL, and that nothing fills any more where an INSERT does not; its parent tells a partition's."""
    names, differing = {table.name: oid for oid, table in after.tables.items()}, before.columns.differing(after.columns)
    for oid, was in before.tables.items():
        now = names.get(was.name, oid)
        table = after.tables.get(now)
        if table is None or table.root != now or (now == oid and oid not in differing):
            continue
        old = {(c.number if now == oid else c.name): c for c in before.columns.of(oid)}
        for column in after.columns.of(now):
            filled = old.get(column.number if now == oid else column.name)
            if filled and filled.default and column.constraint and not column.default and not _filled_by_its_type(after, column):
                yield GuardLost("default", table.name, column.quoted, filled.default, replaced=now != oid)


def _filled_by_its_type(snapshot: Snapshot, column: Column) -> bool:
    domain = snapshot.objects.get(f"1247:{column.type_oid}")
    return domain is not None and domain.kind == "domain" and " DEFAULT " in domain.definition


# ── Rights ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def rights_taken(before: Snapshot, after: Snapshot) -> list[Held]:
    """What was granted on something and is not granted on what has its name now. Whether a role has the right in another way can
    only be asked.
    """
    now, taken = _now(before, after, (*_RELATIONS, *_ROUTINES)), list[Held]()
    lists = {home: told for home, told in _granted(before).items() if home in before.objects}
    lists_now = _granted(after)
    for home, was in lists.items():
        old = before.objects[home]
        there = now.in_place_of(old, of_kind=False) if old.kind in (*_RELATIONS, *_ROUTINES) else None
        if there is None or (there.kind == "sequence") != (old.kind == "sequence"):
            continue
        name, granted = full_name(after, there), _rights(lists_now.get(there.id, ()))
        if there.id == home and was == lists_now.get(home):
            continue
        taken += [Held(there, name, role, what, there.id != home) for role, what in sorted(_rights(was) - granted)]
    return taken


def _granted(snapshot: Snapshot) -> dict[str, list[str]]:
    """The lists of privileges on each thing, and on its columns."""
    found: dict[str, list[str]] = {}
    for thing in snapshot.objects.values():
        if thing.kind == "privileges" and thing.home:
            found.setdefault(thing.home, []).append(thing.definition)
    return found


def _rights(lists: Iterable[str]) -> set[tuple[str, str]]:
    """Role and privilege, of lists as a snapshot words them."""
    return {
        (part["role"], privilege.removesuffix(" WITH GRANT OPTION"))
        for text in lists
        for part in _LIST.finditer(text)
        if not part["taken"]
        for privilege in part["privileges"].split(", ")
    }


def rights_lost(taken: Iterable[Held], said: Lines) -> tuple[RightLost, ...]:
    """What was taken and is not had in another way, told for each role and thing at once."""
    together: dict[tuple[str, str, str, bool], list[str]] = {}
    for held in taken:
        together.setdefault((held.now.kind, held.name, held.role, held.replaced), []).append(held.privilege)
    return tuple(
        RightLost(kind, name, role, tuple(privileges), replaced, _line(said, name.partition("(")[0], role))
        for (kind, name, role, replaced), privileges in sorted(together.items())
    )
