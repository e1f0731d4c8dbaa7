"""Snapshot x snapshot -> what changed between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace

from bot.model import ColumnNulls, ConstraintChange, IndexChange, TableChange
from bot.postgres.catalog import Column, Constraint, Index, Snapshot, Table
from bot.postgres.counts import Counts
from bot.schema_diff import full_name, schema_changes, schema_differences

__all__ = [
    "altered_columns",
    "column_nulls",
    "constraint_change",
    "constraint_changes",
    "constraints_gone_with",
    "index_changes",
    "roots",
    "schema_changes",
    "schema_differences",
    "table_changes",
    "touched",
    "untouched",
]


_KINDS = {"p": "partitioned table", "m": "materialized view"}


def roots(snapshot: Snapshot) -> dict[int, list[Table]]:
    """The tables that are reported, each with the relations that hold its rows: a partitioned table with its partitions."""
    found: dict[int, list[Table]] = {}
    for table in snapshot.tables.values():
        found.setdefault(_root(snapshot, table), []).append(table)
    return found


def touched(before: Snapshot, after: Snapshot) -> set[int]:
    """The tables (by OID of their root) that are not proven untouched. A table is untouched if it is made of the same
    relations with the same file nodes, and no row counter of theirs has moved.
    """
    found: set[int] = set()
    for oid in before.tables.keys() | after.tables.keys():
        old, new = _state(before, oid), _state(after, oid)
        if old != new:
            found |= {state[0] for state in (old, new) if state}
    return found


def _state(snapshot: Snapshot, oid: int) -> tuple[int, int | None, int, int, int] | None:
    """The root of a relation, its file and its counters; None where it is not there."""
    t = snapshot.tables.get(oid)
    return (_root(snapshot, t), t.filenode, t.inserted, t.updated, t.deleted) if t else None


def _root(snapshot: Snapshot, table: Table) -> int:
    return table.root if table.root in snapshot.tables else table.oid


def altered_columns(before: Snapshot, after: Snapshot) -> dict[int, set[int]]:
    """Column numbers by table OID that were added or dropped, or whose type, default or nullability changed, in tables that
    were there and still are; a partition's columns are told by its parent.
    """
    found: dict[int, set[int]] = {}
    for oid in before.columns.differing(after.columns):
        if oid not in before.tables or oid not in after.tables or after.tables[oid].root != oid:
            continue
        old, new = ({c.number: c for c in snapshot.columns.of(oid)} for snapshot in (before, after))
        if numbers := {n for n in old.keys() | new.keys() if _differs(old.get(n), new.get(n))}:
            found[oid] = numbers
    return found


def _differs(old: Column | None, new: Column | None) -> bool:
    return old is None or new is None or (old.definition, old.not_null) != (new.definition, new.not_null)


def table_changes(
    before: Snapshot,
    after: Snapshot,
    oids: Set[int],
    counted: tuple[Mapping[int, Counts], Mapping[int, Counts]],
    lines: Mapping[str, int],
) -> tuple[TableChange, ...]:
    """Rows of each touched table before and after; `lines`: which line most likely touched a table, by its name."""
    old, new = roots(before), roots(after)
    changes = []
    for oid in sorted(oids):
        table = after.tables.get(oid) or before.tables[oid]
        was, now = counted[0].get(oid), counted[1].get(oid)
        inserted, updated, deleted = _counters(old.get(oid, []), new.get(oid, []), was, now)
        changes.append(
            TableChange(
                name=table.name,
                rows_before=was.rows if was else None,
                rows_after=now.rows if now else None,
                inserted=inserted,
                updated=updated,
                deleted=deleted,
                bytes_before=was.bytes if was else None,
                bytes_after=now.bytes if now else None,
                rewritten=_rewritten(old.get(oid, []), new.get(oid, [])),
                line=lines.get(before.tables[oid].name if oid in before.tables else table.name),
                kind=_KINDS.get(table.kind, "table"),
            )
        )
    return tuple(changes)


def _counters(
    old: Sequence[Table], new: Sequence[Table], was: Counts | None, now: Counts | None
) -> tuple[int | None, int | None, int | None]:
    """Rows inserted, updated, deleted; None where PostgreSQL's counters contradict the exact counts.

    The counters include rows whose change was undone (by ROLLBACK TO SAVEPOINT, or an exception that was caught), and TRUNCATE
    resets them. So they are taken only where they fit the rows counted before and after, and the rows that were written are
    counted by the transaction that wrote them; a row updated twice is one row.
    """
    if now is None:
        return (None, None, None)
    before = {t.oid: t for t in old}
    inserted = sum(t.inserted - (before[t.oid].inserted if t.oid in before else 0) for t in new)
    updated = sum(t.updated - (before[t.oid].updated if t.oid in before else 0) for t in new)
    deleted = sum(t.deleted - (before[t.oid].deleted if t.oid in before else 0) for t in new)
    if min(inserted, updated, deleted) < 0 or (was.rows if was else 0) + inserted - deleted != now.rows:
        return (None, None, None)
    if now.written is not None and not _rewritten(old, new) and updated + inserted > now.written:
        updated = now.written - inserted
        return (None, None, None) if updated < 0 else (inserted, updated, deleted)
    return (inserted, updated, deleted)


def _rewritten(old: Iterable[Table], new: Iterable[Table]) -> bool:
    """Whether a relation that was there has another file now."""
    files = {t.oid: t.filenode for t in old}
    return any(t.oid in files and files[t.oid] != t.filenode for t in new)


def column_nulls(
    before: Snapshot, after: Snapshot, counted: tuple[Mapping[int, Counts], Mapping[int, Counts]]
) -> tuple[ColumnNulls, ...]:
    """NULLs of columns that were added, altered or dropped, and of those whose number of NULLs changed."""
    altered = altered_columns(before, after)
    changes = []
    # A new table's columns are all new, a dropped one's all gone: its row tells.
    there = sorted((counted[0].keys() | counted[1].keys()) & before.tables.keys() & after.tables.keys())
    kept = (oid for oid in there if before.tables[oid].kind != "m")  # what a materialised view holds is nobody's data
    for key in (key for oid in kept for key in _keys(before, after, oid)):
        oid, number = key
        nulls_before, values_before = _nulls(counted[0].get(oid) if key in before.columns else None, number)
        nulls_after, values_after = _nulls(counted[1].get(oid) if key in after.columns else None, number)
        is_altered = number in altered.get(oid, ())
        if (nulls_before, nulls_after) == (None, None) or not (is_altered or nulls_before != nulls_after):
            continue
        column = after.columns.get(key) or before.columns[key]
        changes.append(ColumnNulls(after.tables[oid].name, column.name, nulls_before, nulls_after, values_before, values_after))
    return tuple(changes)


def _nulls(counts: Counts | None, number: int) -> tuple[int | None, int | None]:
    """How many rows hold NULL in a column, and how many a value."""
    nulls = counts.nulls.get(number) if counts else None
    return (None, None) if counts is None or nulls is None else (nulls, counts.rows - nulls)


def _keys(before: Snapshot, after: Snapshot, oid: int) -> list[tuple[int, int]]:
    return sorted({(oid, c.number) for snapshot in (before, after) for c in snapshot.columns.of(oid)})


def constraint_changes(before: Snapshot, after: Snapshot) -> list[tuple[Constraint, str]]:
    """Constraints that were added, dropped or changed. Left out: NOT NULL of new tables and everything of dropped ones, for
    these say nothing about existing rows; and partition bounds, which are told by the partition.
    """
    changes: list[tuple[Constraint, str]] = []
    columns_renamed = _columns_renamed(before, after)
    differing = sorted(before.constraints.differing(after.constraints))
    there = {key: c for oid in differing for key, c in before.constraints.of(oid).items()}
    now = {key: c for oid in differing for key, c in after.constraints.of(oid).items()}
    by_oid = {(c.kind, c.oid): c for c in there.values() if c.kind != "not null"}
    for key, constraint in now.items():
        old = there.get(key) or by_oid.get((constraint.kind, constraint.oid))
        if constraint.kind == "partition bounds" or (constraint.kind == "not null" and constraint.table_oid not in before.tables):
            continue
        if old is None:
            changes.append((constraint, "added"))
        elif (old.definition, old.validated) != (constraint.definition, constraint.validated) and not _only_renamed(
            old, constraint, columns_renamed=columns_renamed
        ):
            changes.append((constraint, "changed"))
    kept = {(c.kind, c.oid) for c in now.values()}
    for key, constraint in there.items():
        table = after.tables.get(constraint.table_oid)
        # One that has another name now, or is told by the parent that its table was attached to, is not gone.
        renamed = (constraint.kind, constraint.oid) in kept and constraint.kind != "not null"
        attached = table is not None and table.root != table.oid and before.tables[table.oid].root == table.oid
        if key not in now and table and not renamed and not attached and constraint.kind != "partition bounds":
            changes.append((constraint, "dropped"))
    return changes


def _only_renamed(old: Constraint, new: Constraint, *, columns_renamed: bool) -> bool:
    """Whether the same constraint has other words in its definition only because something has another name now."""
    same = old.oid == new.oid and old.kind == new.kind and old.validated == new.validated
    renamed = columns_renamed or old.table_name != new.table_name or old.name != new.name or old.kind == "not null"
    return same and renamed


def _columns_renamed(before: Snapshot, after: Snapshot) -> bool:
    for oid in before.columns.differing(after.columns):
        old, new = ({c.number: c.name for c in snapshot.columns.of(oid)} for snapshot in (before, after))
        if any(old[n] != new[n] for n in old.keys() & new.keys()):
            return True
    return False


def constraint_change(constraint: Constraint, change: str, violations: int | None, rows: int | None) -> ConstraintChange:
    """A change as the report says it. A constraint that PostgreSQL took as valid has no row that breaks it."""
    if change != "dropped" and constraint.validated:
        violations = 0
    return ConstraintChange(
        table=constraint.table_name,
        name=constraint.name,
        kind=constraint.kind,
        change=change,
        validated=constraint.validated,
        violations=violations,
        definition=constraint.definition,
        rows=rows,
        columns=tuple(constraint.columns),
    )


def index_changes(before: Snapshot, after: Snapshot) -> tuple[IndexChange, ...]:
    """Indexes of tables that were there and still are: added, dropped, or of another validity."""
    by_table: dict[int, list[Index]] = {}
    stay = before.tables.keys() & after.tables.keys()
    changes = []
    for oid in sorted(before.indexes.keys() | after.indexes.keys()):
        was, now = before.indexes.get(oid), after.indexes.get(oid)
        index = now or was
        if index is None or index.table_oid not in stay or (was and now and was.valid == now.valid):
            continue
        change = "added" if was is None else "dropped" if now is None else "changed"
        one = IndexChange(after.tables[index.table_oid].name, index.name, change, index.definition, index.valid)
        if now is None and index.valid:
            by_table = by_table or _indexes_by_table(after)
            one = replace(one, leading=_begun_by_none(index, after, by_table.get(index.table_oid, ())))
        changes.append(one)
    return tuple(changes)


def _indexes_by_table(snapshot: Snapshot) -> dict[int, list[Index]]:
    found: dict[int, list[Index]] = {}
    for index in snapshot.indexes.values():
        found.setdefault(index.table_oid, []).append(index)
    return found


def _begun_by_none(gone: Index, after: Snapshot, left: Iterable[Index]) -> str | None:
    """What an index that is gone began with, if it is there and no other valid index serves those who look for it. A partition
    has indexes of its table's, too: nothing is said of it.
    """
    columns = {str(c.number): c.quoted for c in after.columns.of(gone.table_oid)}
    column = columns.get(gone.leading) if gone.leading.isdigit() else gone.leading
    if column is None or after.tables[gone.table_oid].root != gone.table_oid or any(_serves(index, gone) for index in left):
        return None
    return column


def _serves(index: Index, gone: Index) -> bool:
    """Whether an index finds rows by what another one began with: a btree does what a hash or brin did."""
    method = index.method == gone.method or (index.method == "btree" and gone.method in ("hash", "brin"))
    return index.valid and method and index.leading == gone.leading and (gone.partial or not index.partial)


def constraints_gone_with(before: Snapshot, after: Snapshot) -> list[tuple[Constraint, str]]:
    """Foreign keys and checks that went because what they referred to is gone, with the name of that: a table, a constraint or
    index of it, a function. Not those whose own columns are gone, nor where an equal one was made anew.
    """
    changes = constraint_changes(before, after)
    made = {(c.table_name, c.kind, c.definition) for c, how in changes if how == "added"}
    found = []
    for c, how in changes:
        if how != "dropped" or (c.table_name, c.kind, c.definition) in made:
            continue
        gone = _key_gone(c, before, after) if c.kind == "foreign key" else _function_gone(c, before, after)
        own = {column.number for column in before.columns.of(c.table_oid) if column.quoted in c.columns}
        if gone and own <= {column.number for column in after.columns.of(c.table_oid)}:
            found.append((c, gone))
    return found


def _key_gone(constraint: Constraint, before: Snapshot, after: Snapshot) -> str | None:
    """The table that a foreign key referred to, or the unique index that it relied on there."""
    index = before.indexes.get(constraint.refers_to or 0)
    if index is None or index.oid in after.indexes:
        return None
    return index.name if index.table_oid in after.tables else before.tables[index.table_oid].name


def _function_gone(constraint: Constraint, before: Snapshot, after: Snapshot) -> str | None:
    """A function that a check called."""
    if constraint.kind != "check":
        return None
    gone = (full_name(before, o) for i, o in before.objects.items() if o.kind == "function" and i not in after.objects)
    return next((name for name in gone if f"{name.partition('(')[0]}(" in constraint.definition), None)


def untouched(before: Snapshot, after: Snapshot) -> int:
    """How many tables were there before and after and are proven untouched."""
    there, still = ({_root(snapshot, table) for table in snapshot.tables.values()} for snapshot in (before, after))
    return len((there & still) - touched(before, after))
