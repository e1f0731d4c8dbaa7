"""Snapshot x snapshot -> what changed in the schema. Pure.

Everything is one loop over objects (bot/postgres/catalog.py): matched by OID, or by name where the two states need not have one
origin. Columns are made objects too, in tables where they differ. Then it is left out what merely follows from another change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from bot.model import SchemaChange
from bot.postgres.catalog import Object, Snapshot
from bot.words import count

_TABLES = ("table", "foreign table", "view", "materialized view")  # what stands by itself, whatever else comes or goes
_TOKEN = re.compile(r'"(?:[^"]|"")*"|[\w$]+|[^\s\w]')
_INHERITED = " (inherited)"
_LONGEST = 50_000  # characters of a definition


def schema_changes(before: Snapshot, after: Snapshot) -> tuple[SchemaChange, ...]:
    """Everything that was added, dropped, renamed or changed; an object is the same one as long as it has the same OID.

    What comes or goes with another object is told in its definition: a table's columns, constraints, indexes, privileges. What
    only names something that has another name now is not told.
    """
    return _told(_Comparison(before, after, _by_oid(before, after)).changes())


def schema_differences(before: Snapshot, after: Snapshot) -> tuple[SchemaChange, ...]:
    """How two schemas differ, which need not have one origin: an object is the same one if it has the same name. The order of a
    table's columns counts.
    """
    matched = _by_name(before, after)
    return _told((*_Comparison(before, after, matched).changes(), *matched.orders))


def _told(changes: Iterable[SchemaChange]) -> tuple[SchemaChange, ...]:
    """In order, and no definition longer than anybody reads: a comment or a function may have hundreds of megabytes."""
    return tuple(replace(c, before=_cut(c.before), after=_cut(c.after)) for c in sorted(changes, key=_place))


def _cut(definition: str | None) -> str | None:
    if definition is None or len(definition) <= _LONGEST:
        return definition
    return f"{definition[:_LONGEST]} … ({count(len(definition), 'character')})"


def _place(change: SchemaChange) -> tuple[str, str, str]:
    return (change.kind, change.name, change.change)


def full_name(snapshot: Snapshot, thing: Object) -> str:
    """The qualified name of an object; a remark has that of what it is about, with its kind."""
    home = snapshot.objects.get(thing.home) if thing.home else None
    if home is None:
        return thing.name or ""
    if not _is_remark(thing):
        return f"{full_name(snapshot, home)}.{thing.name}"
    return f"column {full_name(snapshot, home)}.{thing.name}" if thing.name else f"{home.kind} {full_name(snapshot, home)}"


def _is_remark(thing: Object) -> bool:
    """Whether it is about another object: a comment, a security label, privileges."""
    return "/" in thing.id


# ── What is the same object ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Matched:
    """What two snapshots hold, without what is equal in both: on one side only, by id, or on both and different."""

    added: dict[str, Object] = field(default_factory=dict)
    dropped: dict[str, Object] = field(default_factory=dict)
    both: list[tuple[Object, Object]] = field(default_factory=list)
    orders: list[SchemaChange] = field(default_factory=list)

    def match(self, old: Mapping[Any, Object], new: Mapping[Any, Object]) -> None:
        """Takes in objects by what makes them the same."""
        for key, was in old.items():
            if key not in new:
                self.dropped[was.id] = was
        for key, thing in new.items():
            was_or_none = old.get(key)
            if was_or_none is None:
                self.added[thing.id] = thing
            elif was_or_none != thing:
                self.both.append((was_or_none, thing))


def _by_oid(before: Snapshot, after: Snapshot) -> _Matched:
    matched = _Matched()
    matched.match(before.objects, after.objects)
    for oid in before.columns.differing(after.columns):
        table = f"1259:{oid}"
        if table in before.objects and table in after.objects:
            matched.match({c.id: c for c in _columns(before, table)}, {c.id: c for c in _columns(after, table)})
    return matched


def _by_name(before: Snapshot, after: Snapshot) -> _Matched:
    matched = _Matched()
    old = {(o.kind, full_name(before, o)): o for o in before.objects.values()}
    new = {(o.kind, full_name(after, o)): o for o in after.objects.values()}
    matched.match(old, new)
    for key in old.keys() & new.keys():
        if key[0] not in _TABLES or _pack(before, old[key]) == _pack(after, new[key]):
            continue
        was = {c.name: c for c in _columns(before, old[key].id)}
        now = {c.name: c for c in _columns(after, new[key].id)}
        matched.match(was, now)
        order, order_now = [str(n) for n in was if n in now], [str(n) for n in now if n in was]
        if order != order_now:
            matched.orders.append(SchemaChange("column order", key[1], "changed", ", ".join(order), ", ".join(order_now)))
    return matched


def _pack(snapshot: Snapshot, table: Object) -> str | None:
    return snapshot.columns.packs.get(int(table.id.partition(":")[2]))


def _columns(snapshot: Snapshot, table: str) -> list[Object]:
    columns = snapshot.columns.of(int(table.partition(":")[2]))
    return [Object(f"{table}:{c.number}", "column", table, None, c.quoted, c.whole) for c in columns]


# ── What follows from something else ─────────────────────────────────────────────────────────────────────────────────────


def _comes_with(thing: Object) -> list[str]:
    """The objects (ids) that this one comes and goes with."""
    if thing.kind in _TABLES:
        return []
    in_schema = thing.home is not None and thing.home.startswith("2615:") and not _is_remark(thing)
    return [*([thing.home] if thing.home and not in_schema else []), *(thing.also or "").split()]


@dataclass(slots=True)
class _Renames:
    """What has another name now: single words, and whole names of what stands in another schema now."""

    words: dict[str, str] = field(default_factory=dict)
    moves: dict[str, str] = field(default_factory=dict)

    def explain(self, old: str, new: str) -> bool:
        """Whether a text differs from another one only because something that it names was renamed."""
        if old == new:
            return True
        if not self.words and not self.moves:
            return False
        for was, now in self.moves.items():
            old = re.sub(rf'(?<![\w$".]){re.escape(was)}(?![\w$"])', now.replace("\\", r"\\"), old)
        for was, now in self.words.items():  # a view's column keeps its name: `a` becomes `b AS a`
            new = new.replace(f"{now} AS {was}", now)
        was_words, now_words = _TOKEN.findall(old), _TOKEN.findall(new)
        same = len(was_words) == len(now_words)
        return same and all(a == b or self.words.get(a) == b for a, b in zip(was_words, now_words, strict=True))


@dataclass(slots=True)
class _Comparison:
    """Two snapshots, and what of them differs."""

    before: Snapshot
    after: Snapshot
    matched: _Matched
    renames: _Renames = field(default_factory=_Renames)
    renamed: list[tuple[Object, Object]] = field(default_factory=list)

    def changes(self) -> Iterator[SchemaChange]:
        """Everything that is to be told."""
        self._find_renames()
        yield from self._one_sided(self.after, self.matched.added, "added")
        yield from self._one_sided(self.before, self.matched.dropped, "dropped")
        renamed = {(new.home, old.name, new.name) for old, new in self.renamed if new.kind == "column"}
        ids = {new.id for _old, new in self.renamed}
        for old, new in self.renamed:
            of_constraint = new.kind == "index" and not ids.isdisjoint((new.also or "").split())
            of_parent = new.kind == "column" and any((p, old.name, new.name) in renamed for p in _parents(self.after, new))
            if not of_constraint and not of_parent:
                yield SchemaChange(new.kind, self._new(new), "renamed", self._old(old), self._new(new))
        yield from self._changed()

    def _old(self, thing: Object) -> str:
        return full_name(self.before, thing)

    def _new(self, thing: Object) -> str:
        return full_name(self.after, thing)

    def _find_renames(self) -> None:
        """Simple names first: those of routines and the like hold names of types, which may have been renamed."""
        for old, new in sorted(self.matched.both, key=lambda pair: "(" in (pair[1].name or "")):
            if _is_remark(new) or (old.name == new.name and not self._moved(old, new)):
                continue
            if old.name == new.name or not self.renames.explain(old.name or "", new.name or ""):
                self.renamed.append((old, new))
                self._know(old, new)

    def _know(self, old: Object, new: Object) -> None:
        """Takes in a rename, so that what names it is not taken for changed."""
        if old.name != new.name:
            self.renames.words[(old.name or "").partition("(")[0]] = (new.name or "").partition("(")[0]
        if self._moved(old, new):
            self.renames.moves[self._old(old).partition("(")[0]] = self._new(new).partition("(")[0]

    def _moved(self, old: Object, new: Object) -> bool:
        """Whether it stands in another schema, not only in one with another name."""
        if old.home == new.home or not old.home or not new.home:
            return False
        return full_name(self.before, self.before.objects[old.home]) != full_name(self.after, self.after.objects[new.home])

    # ── Added and dropped ────────────────────────────────────────────────────────────────────────────────────────────────

    def _one_sided(self, snapshot: Snapshot, things: Mapping[str, Object], change: str) -> Iterator[SchemaChange]:
        """What stands by itself, with all that came or went with it in its definition."""
        told: dict[str, list[Object]] = {}
        columns = {(t.home, t.name): t.definition for t in things.values() if t.kind == "column"}
        for thing in things.values():
            own = thing.definition.replace(_INHERITED, "")
            if thing.kind == "column" and any(columns.get((p, thing.name)) == own for p in _parents(snapshot, thing)):
                continue
            told.setdefault(_first(thing, things), []).append(thing)
        for first, all_of_it in told.items():
            thing = things[first]
            text = _definition(snapshot, thing, [other for other in all_of_it if other is not thing])
            before, after = (None, text) if change == "added" else (text, None)
            yield SchemaChange(thing.kind, full_name(snapshot, thing), change, before, after)

    # ── On both sides ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _changed(self) -> Iterator[SchemaChange]:
        texts = {new.id: (old.definition, new.definition) for old, new in self.matched.both}
        owners = {new.id: (old.owner, new.owner) for old, new in self.matched.both}
        columns = {
            (new.home, new.name): tuple(text.replace(_INHERITED, "") for text in texts[new.id])
            for _old, new in self.matched.both
            if new.kind == "column"
        }
        for old, new in self.matched.both:
            if old.owner != new.owner and owners[new.id] not in (owners.get(other) for other in _comes_with(new)):
                yield SchemaChange("owner", f"{new.kind} {self._new(new)}", "changed", old.owner, new.owner)
            if old.hidden != new.hidden and old.definition == new.definition:
                text = f"{new.definition} (values that are not shown)".strip()
                yield SchemaChange(new.kind, self._new(new), "changed", text, text)
            elif not self.renames.explain(old.definition, new.definition) and not self._inherited(new, texts, columns):
                before, after = _shown(self.before, old), _shown(self.after, new)
                if before != after:
                    yield SchemaChange(new.kind, self._new(new), "changed", before, after)

    def _inherited(
        self,
        column: Object,
        texts: Mapping[str, tuple[str, str]],
        columns: Mapping[tuple[str | None, str | None], tuple[str, ...]],
    ) -> bool:
        """Whether a column changed as that of a parent did, or only in that it is inherited or not, which its table tells."""
        if column.kind != "column" or column.home is None:
            return False
        old, new = (text.replace(_INHERITED, "") for text in texts[column.id])
        if old == new:
            return column.home in texts
        return any((old, new) == columns.get((parent, column.name)) for parent in _parents(self.after, column))


def _parents(snapshot: Snapshot, column: Object) -> list[str]:
    """The tables from which the table of a column inherits, or of which it is a partition."""
    table = snapshot.objects.get(column.home or "")
    return (table.also or "").split() if table else []


def _first(thing: Object, things: Mapping[str, Object]) -> str:
    """The object, of those that came or went, in whose definition this one is told: itself, if it stands alone."""
    owner = next((owner for owner in _comes_with(thing) if owner in things), None)
    return thing.id if owner is None else _first(things[owner], things)


def _definition(snapshot: Snapshot, thing: Object, others: Iterable[Object]) -> str:
    """The definition of an object that came or went, with everything that came or went with it."""
    columns = [f"{c.name} {_shown(snapshot, c)}" for c in _columns(snapshot, thing.id)] if thing.kind in _TABLES else []
    more = []
    for other in others:
        if other.kind == "constraint" and other.home == thing.id:
            columns.append(f"CONSTRAINT {other.name} {other.definition}")
        elif other.kind == "index":
            more += [other.definition] if other.definition else []
        else:
            more.append(f"{other.kind} {_short(snapshot, other)}: {other.definition}")
    listed = f"({', '.join(columns)})" if columns or thing.kind == "table" else ""
    return "; ".join(filter(None, (" ".join(filter(None, (listed, _shown(snapshot, thing)))), *more)))


def _shown(snapshot: Snapshot, thing: Object) -> str:
    """The definition, without the name that PostgreSQL 18 gives to a NOT NULL by itself."""
    table = snapshot.objects.get(thing.home or "")
    if thing.kind != "column" or table is None:
        return thing.definition.strip()
    return thing.definition.replace(f"CONSTRAINT {table.name}_{thing.name}_not_null NOT NULL", "NOT NULL")


def _short(snapshot: Snapshot, thing: Object) -> str:
    return full_name(snapshot, thing) if _is_remark(thing) else thing.name or ""
