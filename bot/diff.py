"""Snapshot x snapshot -> what changed between them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from bot.model import ColumnNulls, ConstraintChange, IndexChange, SchemaChange, TableChange
from bot.postgres.catalog import Column, Constraint, Snapshot, Table
from bot.postgres.counts import Counts

_KINDS = {"r": "table", "p": "table", "m": "materialized view"}


def roots(snapshot: Snapshot) -> dict[int, list[Table]]:
    """The tables that are reported, each with the relations that hold its rows: a partitioned table with its partitions."""
    found: dict[int, list[Table]] = {}
    for table in snapshot.tables.values():
        found.setdefault(table.root if table.root in snapshot.tables else table.oid, []).append(table)
    return found


def touched(before: Snapshot, after: Snapshot) -> set[int]:
    """The tables (by OID of their root) that are not proven untouched. A table is untouched if it is made of the same
    relations with the same file nodes, and no row counter of theirs has moved.
    """
    old, new = roots(before), roots(after)
    return {oid for oid in old.keys() | new.keys() if _state(old.get(oid, [])) != _state(new.get(oid, []))}


def _state(tables: Iterable[Table]) -> set[tuple[int | None, ...]]:
    return {(t.oid, t.filenode, t.inserted, t.updated, t.deleted) for t in tables}


def altered_columns(before: Snapshot, after: Snapshot) -> dict[int, set[int]]:
    """Column numbers by table OID that were added or dropped, or whose type, default or nullability changed, in tables that
    were there and still are; a partition's columns are told by its parent.
    """
    found: dict[int, set[int]] = {}
    for key in before.columns.keys() | after.columns.keys():
        oid, number = key
        stays = oid in before.tables and oid in after.tables and after.tables[oid].root == oid
        if stays and _differs(before.columns.get(key), after.columns.get(key)):
            found.setdefault(oid, set()).add(number)
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
    for key in sorted(before.columns.keys() | after.columns.keys()):
        oid, number = key
        if oid not in before.tables or oid not in after.tables:
            continue  # a new table's columns are all new, a dropped one's all gone: its row tells
        nulls_before = counted[0][oid].nulls.get(number) if oid in counted[0] and key in before.columns else None
        nulls_after = counted[1][oid].nulls.get(number) if oid in counted[1] and key in after.columns else None
        is_altered = number in altered.get(oid, ())
        if (nulls_before, nulls_after) == (None, None) or not (is_altered or nulls_before != nulls_after):
            continue
        column = after.columns.get(key) or before.columns[key]
        changes.append(ColumnNulls(after.tables[oid].name, column.name, nulls_before, nulls_after))
    return tuple(changes)


def constraint_changes(before: Snapshot, after: Snapshot) -> list[tuple[Constraint, str]]:
    """Constraints that were added, dropped or changed. Left out: NOT NULL of new tables and everything of dropped ones, for
    these say nothing about existing rows; and partition bounds, which are told by the partition.
    """
    changes: list[tuple[Constraint, str]] = []
    columns_renamed = _columns_renamed(before, after)
    by_oid = {(c.kind, c.oid): c for c in before.constraints.values() if c.kind != "not null"}
    for key, constraint in after.constraints.items():
        old = before.constraints.get(key) or by_oid.get((constraint.kind, constraint.oid))
        if constraint.kind == "partition bounds" or (constraint.kind == "not null" and constraint.table_oid not in before.tables):
            continue
        if old is None:
            changes.append((constraint, "added"))
        elif (old.definition, old.validated) != (constraint.definition, constraint.validated) and not _only_renamed(
            old, constraint, columns_renamed=columns_renamed
        ):
            changes.append((constraint, "changed"))
    kept = {(c.kind, c.oid) for c in after.constraints.values()}
    for key, constraint in before.constraints.items():
        table = after.tables.get(constraint.table_oid)
        # One that has another name now, or is told by the parent that its table was attached to, is not gone.
        renamed = (constraint.kind, constraint.oid) in kept and constraint.kind != "not null"
        attached = table is not None and table.root != table.oid and before.tables[table.oid].root == table.oid
        if key not in after.constraints and table and not renamed and not attached and constraint.kind != "partition bounds":
            changes.append((constraint, "dropped"))
    return changes


def _only_renamed(old: Constraint, new: Constraint, *, columns_renamed: bool) -> bool:
    """Whether the same constraint has other words in its definition only because something has another name now."""
    same = old.oid == new.oid and old.kind == new.kind and old.validated == new.validated
    renamed = columns_renamed or old.table_name != new.table_name or old.name != new.name or old.kind == "not null"
    return same and renamed


def _columns_renamed(before: Snapshot, after: Snapshot) -> bool:
    return any(before.columns[key].name != after.columns[key].name for key in before.columns.keys() & after.columns.keys())


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
    stay = before.tables.keys() & after.tables.keys()
    changes = []
    for oid in sorted(before.indexes.keys() | after.indexes.keys()):
        was, now = before.indexes.get(oid), after.indexes.get(oid)
        index = now or was
        if index is None or index.table_oid not in stay or (was and now and was.valid == now.valid):
            continue
        change = "added" if was is None else "dropped" if now is None else "changed"
        changes.append(IndexChange(after.tables[index.table_oid].name, index.name, change, index.definition, index.valid))
    return tuple(changes)


def untouched(before: Snapshot, after: Snapshot) -> int:
    """How many tables were there before and after and are proven untouched."""
    return len((roots(before).keys() & roots(after).keys()) - touched(before, after))


def schema_changes(before: Snapshot, after: Snapshot) -> tuple[SchemaChange, ...]:
    """Tables, columns and indexes that were added, dropped or changed; a new table's columns stand in its definition."""
    old, new = _objects(before, after), _objects(after, before)
    changes = []
    for key in sorted(old.keys() | new.keys(), key=str):
        was, now = old.get(key), new.get(key)
        if was == now:
            continue
        change = "added" if was is None else "dropped" if now is None else "changed"
        name, before_text = was or ("", None)
        if now:
            name = now[0]
        changes.append(SchemaChange(str(key[0]), name, change, before_text, now[1] if now else None))
    return tuple(changes)


def _objects(snapshot: Snapshot, other: Snapshot) -> dict[tuple[object, ...], tuple[str, str]]:
    """(kind, identity) -> (name, definition) of what a reviewer sees; what belongs to a table that the other snapshot does
    not have is told by that table.
    """
    found: dict[tuple[object, ...], tuple[str, str]] = {}
    columns: dict[int, list[str]] = {}
    for column in snapshot.columns.values():
        definition = column.definition + (" NOT NULL" if column.not_null else "")
        columns.setdefault(column.table_oid, []).append(f"{column.quoted} {definition}")
        if column.table_oid in other.tables:
            table = snapshot.tables[column.table_oid]
            found["column", column.table_oid, column.number] = (f"{table.name}.{column.quoted}", definition)
    for table in snapshot.tables.values():
        text = ", ".join(columns.get(table.oid, [])) if table.oid not in other.tables else table.name
        found[_KINDS[table.kind], table.oid] = (table.name, text)
    for index in snapshot.indexes.values():
        if index.table_oid in other.tables and index.table_oid in snapshot.tables:
            text = index.definition + ("" if index.valid else " (invalid)")
            found["index", index.name] = (index.name, text)
    return found


def schema_differences(before: Snapshot, after: Snapshot) -> tuple[SchemaChange, ...]:
    """What is not the same in two schemas, by name: their objects may have been made anew, with other OIDs."""
    told: list[dict[tuple[str, str], str]] = []
    for snapshot in (before, after):
        names = {table.oid: table.name for table in snapshot.tables.values()}
        found = {(_KINDS[table.kind], table.name): table.kind for table in snapshot.tables.values()}
        for (oid, _number), c in sorted(snapshot.columns.items()):
            found["column", f"{names[oid]}.{c.quoted}"] = c.definition + (" NOT NULL" if c.not_null else "")
            order = found.get(("column order", names[oid]))
            found["column order", names[oid]] = f"{order}, {c.quoted}" if order else c.quoted
        found |= {("index", i.name): i.definition + ("" if i.valid else " (invalid)") for i in snapshot.indexes.values()}
        for k in snapshot.constraints.values():
            if k.kind != "not null":
                found[k.kind, f"{k.table_name}.{k.name}"] = k.definition + ("" if k.validated else " (not valid)")
        told.append(found)
    was, now = told
    return tuple(
        SchemaChange(*key, "added" if key not in was else "dropped" if key not in now else "changed", was.get(key), now.get(key))
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
    )
