"""Values that a change of type changed: the old ones are brought to the clone, beside the new ones, and compared there."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import errors

from bot import diff
from bot.errors import CloneError
from bot.model import Rehearsal, TypeChange
from bot.postgres.catalog import Snapshot
from bot.postgres.reading import Patience
from bot.shadow import Done, Shadow

# The type of each column of one table; `base` is what stands below its domains, if there are any.
_TYPES = """
WITH RECURSIVE bases AS (
  SELECT t.oid, t.oid AS base, -1 AS typmod, t.typcollation <> 0 AS collatable FROM pg_catalog.pg_type AS t WHERE t.typtype <> 'd'
  UNION ALL
  SELECT d.oid, b.base, CASE WHEN d.typtypmod = -1 THEN b.typmod ELSE d.typtypmod END, b.collatable
  FROM pg_catalog.pg_type AS d JOIN bases AS b ON b.oid = d.typbasetype WHERE d.typtype = 'd'
)
SELECT a.attnum::int,
       pg_catalog.format_type(b.base, CASE WHEN b.base = a.atttypid THEN a.atttypmod ELSE b.typmod END),
       b.collatable
FROM pg_catalog.pg_attribute AS a
JOIN bases AS b ON b.oid = a.atttypid
WHERE a.attrelid = pg_catalog.to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
"""
_INTEGERS = ("smallint", "integer", "bigint")
_VARCHAR = re.compile(r"character varying(?:\((\d+)\))?")
_TEXTS = ("text", "character varying", "character", "citext")
_COMPARED_AS = {"json": "jsonb"}  # json tells spaces apart, which mean nothing, and has no equality
# How a new value is looked at as if it were of the old type, from the nearest to the farthest: by a cast, through its text, and
# where the old type has no equality, by the texts that it gives them; `gone`: the old type is there no more.
_WAYS = (
    ("({new})::{type}", "({old})::{type}"),
    ("({new})::text::{type}", "({old})::{type}"),
    ("({new})::{type}::text", "({old})::{type}::text"),
    ("({new})::text::{type}::text", "({old})::{type}::text"),
)
_GONE = ("({new})::text", "({old})::text")
_NO_SUCH_WAY = (errors.CannotCoerce, errors.UndefinedFunction, errors.AmbiguousFunction)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """What stands below a column's domains, if there are any, as SQL."""

    base: str
    collatable: bool


Types = Mapping[int, ColumnType]


@dataclass(frozen=True, slots=True)
class _Table:
    """A table with columns of another type: what to read on either side. Names are as SQL wants them: `keys` and `columns` hold
    one for the old side and one for the new side.
    """

    oid: int
    old: str
    new: str
    keys: Sequence[tuple[str, str]]
    columns: Mapping[int, tuple[str, str]]


def type_changes(done: Done, shadow: Shadow, patience: Patience) -> tuple[TypeChange, ...]:
    """The columns whose type a migration changed, each with how many values are others now.

    What can't be compared, for want of a key, a cast, time or a second clone, has None.
    """
    changes = []
    for oid in sorted(done.before.columns.differing(done.after.columns)):
        table = done.after.tables.get(oid)
        if table is None or table.kind not in ("r", "p") or table.root != oid or oid not in done.before.tables:
            continue
        changed = _changed(done, oid)
        empty = any(t.name == table.name and 0 in (t.rows_before, t.rows_after) for t in done.rehearsal.tables)
        wanted = [] if empty else [number for number in changed if not _is_harmless(done, oid, *changed[number])]
        counts = _compared(done, oid, wanted, shadow, patience.left_ms) if wanted else {}
        for number, (old, new) in changed.items():
            compared, differ = counts.get(number, (None, None)) if number in wanted else (None, 0)
            column = done.after.columns[oid, number].name
            changes.append(TypeChange(table.name, column, old, new, differ, compared, _line(done.rehearsal, column)))
    return tuple(changes)


def _changed(done: Done, oid: int) -> dict[int, tuple[str, str]]:
    """The columns of a table whose type is another one, maybe of the same name, by number: the old and the new."""
    was = {column.number: column for column in done.before.columns.of(oid)}
    return {
        column.number: (was[column.number].type, column.type)
        for column in done.after.columns.of(oid)
        if column.number in was and (was[column.number].type, was[column.number].type_oid) != (column.type, column.type_oid)
    }


def _line(rehearsal: Rehearsal, column: str) -> int | None:
    """The statement that says the column's name and then TYPE."""
    words = re.compile(rf'(?<!\w){re.escape(column)}(?!\w)"?\s+(set\s+data\s+)?type\b', re.IGNORECASE)
    return next((s.line for s in rehearsal.statements if words.search(s.sql)), None)


def _is_harmless(done: Done, oid: int, old: str, new: str) -> bool:
    """Whether no value can be another one: the rows are in the file they were in, or the type only got wider."""
    files = [{table.oid: table.filenode for table in diff.roots(snapshot).get(oid, [])} for snapshot in (done.before, done.after)]
    return files[0] == files[1] or _is_wider(old, new)


def _is_wider(old: str, new: str) -> bool:
    if old in _INTEGERS and new in _INTEGERS:
        return _INTEGERS.index(new) > _INTEGERS.index(old)
    was, now = _VARCHAR.fullmatch(old), _VARCHAR.fullmatch(new)
    if was is None or (now is None and new != "text"):
        return False
    return now is None or now[1] is None or (was[1] is not None and int(now[1]) >= int(was[1]))


# ── Comparing ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _compared(done: Done, oid: int, numbers: Sequence[int], shadow: Shadow, limit_ms: int) -> dict[int, tuple[int, int]]:
    """For columns of one table: how many rows were compared, and how many values differ."""
    keys = _key(done, oid)
    if not keys:
        return {}
    guard = shadow.limits.guard
    with (
        done.read() as new,
        guard.watching(new, limit_ms / 1000 + 1),
    ):  # a clone that can't be looked at any more is no matter of a comparison
        try:
            with _old_side(done, oid, shadow) as (old, names), guard.watching(old, limit_ms / 1000 + 1):
                old.execute(f"SET statement_timeout = {limit_ms}".encode())
                table = _table(done, oid, keys, numbers, names)
                was, now = _read_types(old, table.old), _read_types(new, table.new)
                with new.transaction(force_rollback=True):
                    new.execute(f"SET LOCAL statement_timeout = {limit_ms}".encode())
                    _bring(old, new, table)
                    found = {number: _count(new, table, number, was[number], now[number]) for number in numbers}
                new.execute("SELECT pg_catalog.pg_stat_force_next_flush()")
        except (CloneError, psycopg.Error):
            return {}
    return {number: counted for number, counted in found.items() if counted}


def _read_types(connection: psycopg.Connection, table: str) -> dict[int, ColumnType]:
    rows = connection.execute(_TYPES, [table.removeprefix("ONLY ")]).fetchall()
    return {number: ColumnType(base, collatable) for number, base, collatable in rows}


@contextmanager
def _old_side(done: Done, oid: int, shadow: Shadow) -> Iterator[tuple[psycopg.Connection, Snapshot | None]]:
    """Where the old values are: the seed, if nothing touched the table before, whose snapshot is given too; else the shadow."""
    if done.held_before.untouched(oid):
        with shadow.open_seed() as reader:
            yield reader, done.held_before.seed
        return
    shadow.bring_to(done.number)
    with shadow.read() as reader:
        yield reader, None


def _key(done: Done, oid: int) -> list[int]:
    """The numbers of the columns by which a row of before is found again: of the primary key, or a unique index over columns
    that are NOT NULL, whose types the migration left alone, and not of some rows only (WHERE). Empty if there is none.
    """
    numbers = {c.quoted: c.number for c in done.before.columns.of(oid) if c.not_null}
    changed = _changed(done, oid)
    there = {c.number for c in done.after.columns.of(oid)} - changed.keys()
    found = []
    for constraint in done.before.constraints.of(oid).values():
        if constraint.kind not in ("primary key", "unique") or not constraint.validated:
            continue
        columns = [numbers.get(column, 0) for column in constraint.columns]
        if " WHERE " not in constraint.definition and columns and there.issuperset(columns):
            found.append((constraint.kind, len(columns), columns))
    return min(found)[2] if found else []


def _table(done: Done, oid: int, keys: Iterable[int], numbers: Iterable[int], names: Snapshot | None) -> _Table:
    was, now = names or done.before, done.after

    def pair(number: int) -> tuple[str, str]:
        return was.columns[oid, number].quoted, now.columns[oid, number].quoted

    only = "ONLY " if now.tables[oid].kind == "r" else ""
    return _Table(
        oid,
        only + was.tables[oid].name,
        only + now.tables[oid].name,
        [pair(number) for number in keys],
        {number: pair(number) for number in numbers},
    )


def _bring(old: psycopg.Connection, new: psycopg.Connection, table: _Table) -> None:
    """Copies keys and old values into a temporary table of the open transaction, as texts."""
    for setting in ("DateStyle", "IntervalStyle", "TimeZone", "bytea_output", "extra_float_digits", "lc_monetary"):
        shown = new.execute(f"SHOW {setting}".encode()).fetchone()
        old.execute("SELECT pg_catalog.set_config(%s, %s, false)", [setting, shown[0] if shown else ""])
    keys = [f"k{number}" for number in range(len(table.keys))]
    values = [f"v{number}" for number in table.columns]
    columns = ", ".join(f"{name} text" for name in keys + values)
    new.execute(f"CREATE TEMPORARY TABLE rehearsal_old ({columns}) ON COMMIT DROP".encode())
    wanted = ", ".join([f"({old_key})::text" for old_key, _ in table.keys] + [old_name for old_name, _ in table.columns.values()])
    with (
        old.cursor().copy(f"COPY (SELECT {wanted} FROM {table.old}) TO STDOUT".encode()) as source,  # noqa: S608  from the catalog
        new.cursor().copy(b"COPY pg_temp.rehearsal_old FROM STDIN") as target,
    ):
        for data in source:
            target.write(data)
    new.execute("ANALYZE pg_temp.rehearsal_old")


def _count(new: psycopg.Connection, table: _Table, number: int, was: ColumnType, now: ColumnType) -> tuple[int, int] | None:
    """Rows compared and values that differ, in the first way that there is; None if there is none."""
    if was.base.startswith(_TEXTS) and now.base in ("json", "jsonb"):
        return _as_json(new, table, number, now)
    kind = _COMPARED_AS.get(was.base, was.base)
    column = f"n.{table.columns[number][1]}"
    for left, right in _WAYS:
        texts = was.collatable or left.endswith("::text")
        differs = _differs(left, right, kind, texts=texts)
        try:
            return _try(new, table, differs.format(new=column, old=f"o.v{number}"))
        except _NO_SUCH_WAY:
            continue
        except errors.UndefinedObject:
            return _try(new, table, _differs(*_GONE, kind, texts=True).format(new=column, old=f"o.v{number}"))
        except errors.DataError:
            return _try(new, table, f"pg_temp.rehearsal_differs({column}, o.v{number})", _guard(differs, now))
    return None


def _as_json(new: psycopg.Connection, table: _Table, number: int, now: ColumnType) -> tuple[int, int]:
    """Blanks and the order of keys in a JSON text mean nothing. A text that is no JSON became something that it did not say."""
    differs = "({new})::jsonb IS DISTINCT FROM ({old})::jsonb"
    column = f"n.{table.columns[number][1]}"
    try:
        return _try(new, table, differs.format(new=column, old=f"o.v{number}"))
    except errors.DataError:
        return _try(new, table, f"pg_temp.rehearsal_differs({column}, o.v{number})", _guard(differs, now))


def _differs(left: str, right: str, kind: str, *, texts: bool) -> str:
    """The comparison, with {new} and {old} still to be put in; texts are compared byte by byte, whatever their collation."""
    collation = ' COLLATE pg_catalog."C"' if texts else ""
    kind = kind.replace("{", "{{").replace("}", "}}")
    left, right = (side.replace("{type}", kind) for side in (left, right))
    return f"{left}{collation} IS DISTINCT FROM {right}{collation}"


def _guard(differs: str, now: ColumnType) -> str:
    """A function for values that the old type can't even hold: those are others."""
    body = f"BEGIN RETURN {differs.format(new='$1', old='$2')}; EXCEPTION WHEN data_exception THEN RETURN true; END"
    head = f"CREATE OR REPLACE FUNCTION pg_temp.rehearsal_differs({now.base}, text) RETURNS boolean LANGUAGE plpgsql"
    return f"{head} AS $rehearsal${body}$rehearsal$"


def _try(new: psycopg.Connection, table: _Table, differs: str, first: str = "") -> tuple[int, int]:
    joined = " AND ".join(f'({key})::text COLLATE pg_catalog."C" = o.k{number}' for number, key in enumerate(_new_keys(table)))
    with new.transaction():
        new.execute("SET LOCAL search_path = pg_catalog")  # whatever a function of the author's has made of it
        if first:
            new.execute(first.encode())
        row = new.execute(
            f"SELECT pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE {differs})"  # noqa: S608  names from the catalog
            f" FROM {table.new} AS n JOIN pg_temp.rehearsal_old AS o ON {joined}".encode()
        ).fetchone()
    assert row is not None  # noqa: S101  an aggregate has one row
    return row[0], row[1]


def _new_keys(table: _Table) -> list[str]:
    return [f"n.{new}" for _old, new in table.keys]
