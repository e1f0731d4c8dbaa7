"""Snapshots of the catalog: what there is at one moment. The queries are files, one for each kind of object.

Every name in them is qualified, and a reader of definitions has `search_path` set to `pg_catalog`, so that definitions come
out qualified as well and nothing that a migration creates can stand in for what we mean.

A snapshot holds everything that `pg_dump -s` would write. A database may have ten thousand tables, and two snapshots are mostly
equal: so columns come as one text for each table, and texts are compared before anything is made of them.
"""

from __future__ import annotations

import functools
import gc
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from typing import Any, NamedTuple, cast

import psycopg
from psycopg import sql
from psycopg.errors import InternalError_
from psycopg.rows import class_row

from bot.words import last_part, parts_of


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `root` is the OID of the partitioned table it belongs to, or its own. `rows` is what the catalog believes: exact
    directly after a VACUUM, -1 where nobody counted yet. `row_security`: whether policies hold; `forced`: for its owner too.
    """

    oid: int
    name: str
    kind: str
    root: int
    filenode: int | None
    populated: bool
    inserted: int
    updated: int
    deleted: int
    rows: float = -1
    row_security: bool = False
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `number` stays when it is renamed, `quoted` is its name as SQL, `definition` its type, collation, default.
    `not_null` is true where no row can hold NULL; `constraint` says how the NOT NULL was declared, `options` the rest. `default`:
    what fills it where an INSERT does not, as SQL says it: a default, an identity, an expression.
    """

    table_oid: int
    number: int
    name: str
    quoted: str
    definition: str
    not_null: bool
    constraint: str = ""
    options: str = ""
    type: str = ""
    type_oid: int = 0
    default: str = ""

    @property
    def whole(self) -> str:
        """All there is to say of it, as SQL says it."""
        return " ".join(part for part in (self.definition, self.constraint, self.options) if part)


@dataclass(frozen=True, slots=True)
class Index:
    """An index with its whole definition; another `filenode` means that it was built anew. A partitioned one has none. `leading`:
    the number of the column that it begins with, or an expression; `partial`: it holds some of the rows.
    """

    oid: int
    table_oid: int
    name: str
    table_name: str
    definition: str
    valid: bool
    filenode: int | None = None
    method: str = ""
    leading: str = ""
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Constraint:
    """Something that rows can break, with what is needed to count them. `table_name`, `source` (what to
    put after FROM to get the rows it holds for), `columns` and the like are quoted as SQL; `schema`, `relation`, `column_name`
    (of a NOT NULL) and `name` are not. `index_definition` makes an ordinary index like an exclusion constraint's;
    `bare_index`: a unique index that no constraint stands for. `oid` is the number
    of the column where it is a NOT NULL, which has no other identity before PostgreSQL 18. In a snapshot `source` is empty, and
    so is all that comes after it: that is read when rows are to be counted. `refers_to`: the unique index, by OID, that a foreign
    key relies on; in a snapshot only.
    """

    oid: int
    table_oid: int
    table_name: str
    schema: str
    relation: str
    column_name: str | None
    name: str
    kind: str
    validated: bool
    definition: str
    columns: list[str]
    bare_index: bool
    source: str = ""
    expression: str | None = None
    referenced: str | None = None
    referenced_columns: list[str] = field(default_factory=list)
    operators: list[str] = field(default_factory=list)
    match_full: bool = False
    nulls_not_distinct: bool = False
    index_definition: str | None = None
    countable: bool = False
    refers_to: int | None = None

    @property
    def key(self) -> tuple[int, str, str]:
        """What makes it the same constraint in two snapshots: NOT NULL has no name of its own before PostgreSQL 18."""
        return (self.table_oid, self.kind, str(self.oid) if self.kind == "not null" else self.name)


class Object(NamedTuple):
    """Anything of the catalog that has a definition. `id` is its catalog and OID, and its number where it is part of something.

    `home` is the object that its name stands in: a schema, or the table of a trigger. `also`: other objects (ids, between spaces)
    that it comes and goes with. `name` is its own name, quoted; a comment or the privileges of something have none, those of a
    column the column's. `hidden` is a digest of what may not be shown.
    """

    id: str
    kind: str
    home: str | None
    also: str | None
    name: str | None
    definition: str
    owner: str | None = None
    hidden: str | None = None


class Columns(Mapping[tuple[int, int], Column]):
    """The columns of all tables, by table and number. `packs`: a JSON text for each table, which is read when somebody asks."""

    def __init__(self, packs: Mapping[int, str] | None = None) -> None:
        self.packs: Mapping[int, str] = packs or {}
        self._read: dict[int, dict[tuple[int, int], Column]] = {}

    def of(self, table_oid: int) -> list[Column]:
        """The columns of one table, in order."""
        return list(self._of(table_oid).values())

    def differing(self, other: Columns) -> set[int]:
        """The tables, of both, whose columns differ in anything."""
        return {oid for oid in self.packs.keys() & other.packs.keys() if self.packs[oid] != other.packs[oid]}

    def _of(self, table_oid: int) -> dict[tuple[int, int], Column]:
        if table_oid not in self._read:
            rows = json.loads(self.packs.get(table_oid, "[]"))
            self._read[table_oid] = {(table_oid, row[0]): _Packed(*row).column(table_oid) for row in rows}
        return self._read[table_oid]

    def __getitem__(self, key: tuple[int, int]) -> Column:
        return self._of(key[0])[key]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for oid in self.packs:
            yield from self._of(oid)

    def __len__(self) -> int:
        return sum(len(self._of(oid)) for oid in self.packs)


class _Packed(NamedTuple):
    """A column of a pack; `not_null` is 2 where the rows that were there were not looked at."""

    number: int
    quoted: str
    type: str
    collation: str | None
    default: str | None
    not_null: int
    options: str | None
    constraint: str | None
    inheritance: str | None
    type_oid: int = 0

    def column(self, table_oid: int) -> Column:
        """It as a value."""
        definition = " ".join(filter(None, (self.type, self.collation, self.default)))
        named = f"CONSTRAINT {self.constraint}" if self.constraint else None
        words = (named, "NOT NULL", self.inheritance, "NOT VALID" if self.not_null == 2 else None)
        constraint = " ".join(filter(None, words)) if self.not_null else ""
        name = last_part(self.quoted)
        not_null = self.not_null == 1
        return Column(
            table_oid,
            self.number,
            name,
            self.quoted,
            definition,
            not_null,
            constraint,
            self.options or "",
            self.type,
            self.type_oid,
            self.default or "",
        )


class _Declared(NamedTuple):
    """A row of constraint_definitions.sql."""

    oid: int
    table_oid: int
    domain_oid: int
    name: str
    type: str
    validated: bool
    definition: str
    numbers: str | None
    index_oid: int
    parent: int | None


class _IndexRow(NamedTuple):
    """A row of indexes.sql."""

    oid: int
    table_oid: int
    name: str
    table_name: str
    definition: str
    valid: bool
    filenode: int | None
    schema_oid: int
    own_name: str
    parent: int | None
    of_constraint: int | None
    more: str | None
    options: str | None
    unique_columns: list[str] | None
    method: str
    leading: str
    partial: bool


_KINDS = {"c": "check", "f": "foreign key", "p": "primary key", "u": "unique", "x": "exclusion"}


class Constraints(Mapping[tuple[int, str, str], Constraint]):
    """Everything that rows can break, by its key; made of what a snapshot holds when somebody asks, table by table."""

    def __init__(
        self,
        tables: Mapping[int, Table] | None = None,
        columns: Columns | None = None,
        declared: Iterable[_Declared] = (),
        indexes: Iterable[_IndexRow] = (),
    ) -> None:
        self._tables, self._columns = tables or {}, Columns() if columns is None else columns  # its length would read it all
        self._rows: dict[int, list[_Declared | _IndexRow]] = {}
        partitions_too = ("c", "f")  # an index constraint that a partition has from its table is told by the table
        for row in declared:
            if row.table_oid in self._tables and (row.parent is None or row.type in partitions_too):
                self._rows.setdefault(row.table_oid, []).append(row)
        for index in indexes:
            if index.unique_columns is not None and index.parent is None:
                self._rows.setdefault(index.table_oid, []).append(index)
        self._read: dict[int, dict[tuple[int, str, str], Constraint]] = {}

    def of(self, table_oid: int) -> Mapping[tuple[int, str, str], Constraint]:
        """The constraints of one table."""
        if table_oid not in self._read:
            table = self._tables.get(table_oid)
            made = self._make(table) if table and table.kind in ("r", "p") else ()
            self._read[table_oid] = {c.key: c for c in made}
        return self._read[table_oid]

    def differing(self, other: Constraints) -> set[int]:
        """The tables whose constraints may differ, with those that only one of the two has."""
        return {oid for oid in self._tables.keys() | other._tables.keys() if self._state(oid) != other._state(oid)}

    def _state(self, oid: int) -> tuple[object, ...]:
        table = self._tables.get(oid)
        return (table and (table.name, table.root), self._rows.get(oid), self._columns.packs.get(oid))

    def _make(self, table: Table) -> Iterator[Constraint]:
        schema, relation = parts_of(table.name)
        place = (table.oid, table.name, schema, relation)
        quoted = {c.number: c.quoted for c in self._columns.of(table.oid)}
        for row in self._rows.get(table.oid, ()):
            if isinstance(row, _Declared):
                columns = [quoted[int(n)] for n in (row.numbers or "").split() if int(n) in quoted]
                oid, kind, name = row.index_oid if row.type in "pux" else row.oid, _KINDS[row.type], last_part(row.name)
                refers_to = row.index_oid if row.type == "f" else None
                yield Constraint(
                    oid, *place, None, name, kind, row.validated, row.definition, columns, bare_index=False, refers_to=refers_to
                )
            else:
                name, columns = last_part(row.own_name), row.unique_columns or []
                yield Constraint(row.oid, *place, None, name, "unique", row.valid, row.definition, columns, bare_index=True)
        if table.root != table.oid:
            yield Constraint(table.oid, *place, None, relation, "partition bounds", True, "", [], bare_index=False)
            return  # and its NOT NULLs are told by its table
        for c in self._columns.of(table.oid):
            if c.constraint:
                told = f"{c.quoted} NOT NULL"
                yield Constraint(
                    c.number, *place, c.name, _not_null_name(c), "not null", c.not_null, told, [c.quoted], bare_index=False
                )

    def __getitem__(self, key: tuple[int, str, str]) -> Constraint:
        return self.of(key[0])[key]

    def __iter__(self) -> Iterator[tuple[int, str, str]]:
        for oid in self._tables:
            yield from self.of(oid)

    def __len__(self) -> int:
        return sum(len(self.of(oid)) for oid in self._tables)


_NAMED = re.compile(r'CONSTRAINT ("(?:[^"]|"")*"|\S+) ')


def _not_null_name(column: Column) -> str:
    named = _NAMED.match(column.constraint)
    return last_part(named[1]) if named else column.name


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The catalog at one moment. `objects` holds, by their id, all that has a definition but columns; `disk_bytes` is the size of
    the database.
    """

    tables: Mapping[int, Table] = field(default_factory=dict)
    columns: Columns = field(default_factory=Columns)
    indexes: Mapping[int, Index] = field(default_factory=dict)
    constraints: Constraints = field(default_factory=Constraints)
    objects: Mapping[str, Object] = field(default_factory=dict)
    disk_bytes: int = 0


@functools.cache
def query(name: str) -> bytes:
    """The text of queries/<name>.sql."""
    return resources.files(__package__).joinpath("queries", f"{name}.sql").read_bytes()


def table_names(connection: psycopg.Connection) -> set[str]:
    """The names of all tables that are not PostgreSQL's own."""
    rows = connection.execute(
        "SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class AS c "
        "JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace "
        "WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
    )
    return {name for (name,) in rows}


def take_snapshot(observer: psycopg.Connection, second: psycopg.Connection | None = None) -> Snapshot:
    """Reads the catalog over an observing connection, which is in no transaction: one whose search_path is pg_catalog. A second
    one reads one half of it at the same time, of the same moment.

    What PostgreSQL cannot put into words, because somebody deleted from the catalog by hand, is left out.
    """
    with _no_garbage():
        try:
            return _snapshot(observer, second, _rows)
        except InternalError_:
            return _snapshot(observer, None, _readable_rows)


@contextmanager
def _no_garbage() -> Iterator[None]:
    """Thousands of values are made here and all are kept: looking through them for garbage, again and again, would take a tenth
    of the time.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


_Read = Callable[[psycopg.Connection, str], list[tuple[Any, ...]]]
_Told = dict[str, list[tuple[Any, ...]]]
# Two halves that take about as long as each other.
_HALVES = (
    ("indexes", "constraint_definitions", "routines", "attached", "rarities", "subscriptions"),
    ("tables", "columns", "relations", "types", "remarks", "members", "size"),
)


def _snapshot(observer: psycopg.Connection, second: psycopg.Connection | None, read: _Read) -> Snapshot:
    with observer.transaction():
        observer.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        if second is None:
            told = _half(observer, _HALVES[0], read) | _half(observer, _HALVES[1], read)
        else:
            row = observer.execute("SELECT pg_catalog.pg_export_snapshot()").fetchone()
            with ThreadPoolExecutor(1) as other, second.transaction():
                second.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                second.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(row[0] if row else ""))
                half = other.submit(_half, second, _HALVES[1], read)
                told = _half(observer, _HALVES[0], read) | half.result()
        declared = [_Declared._make(row) for row in told["constraint_definitions"]]
        indexes = list(_index_rows(observer, told["indexes"], declared))
    return _made_of(told, declared, indexes)


def _half(observer: psycopg.Connection, names: Iterable[str], read: _Read) -> _Told:
    observer.execute("SET LOCAL max_parallel_workers_per_gather = 0")  # to start one takes longer than it saves
    observer.execute("SET LOCAL work_mem = '64MB'")
    may = observer.execute("SELECT pg_catalog.has_table_privilege('pg_catalog.pg_subscription', 'SELECT')").fetchone()
    return {name: read(observer, name) if name != "subscriptions" or may == (True,) else [] for name in names}


def _made_of(told: _Told, declared: Sequence[_Declared], indexes: Sequence[_IndexRow]) -> Snapshot:
    tables = {row[0]: Table(*row) for row in told["tables"]}
    columns = Columns(dict(cast("list[tuple[int, str]]", told["columns"])))
    things = {name: [Object._make(row) for row in told[name]] for name in _OBJECTS}
    objects = sorted(things["rarities"], key=lambda thing: thing.kind != "schema")  # a home comes before what is in it
    for name in ("relations", "types", "routines", "subscriptions"):
        objects += things[name]
    objects += [*_constraint_objects(declared, indexes), *map(_index_object, indexes), *things["attached"], *things["remarks"]]
    return Snapshot(
        tables,
        columns,
        {i.oid: Index(*i[:7], i.method, i.leading, i.partial) for i in indexes if i.parent is None},
        Constraints(tables, columns, declared, indexes),
        _own(objects, {row[0] for row in told["members"]}),
        disk_bytes=told["size"][0][0],
    )


_OBJECTS = ("relations", "types", "routines", "attached", "rarities", "remarks", "subscriptions")


def _rows(observer: psycopg.Connection, name: str) -> list[tuple[Any, ...]]:
    return observer.execute(query(name)).fetchall()


def _readable_rows(observer: psycopg.Connection, name: str, low: int = 0, high: int = 0xFFFF) -> list[tuple[Any, ...]]:
    """The rows of a query but those that it fails on, which are found by halving what is asked for."""
    key = "oid" if b"::bigint AS oid" in query(name) else "id"
    some = f"WHERE pg_catalog.hashtext(q.{key}::text) & 65535 BETWEEN {low} AND {high}"
    try:
        with observer.transaction():
            return observer.execute(b"SELECT * FROM (" + query(name) + b") AS q " + some.encode()).fetchall()
    except InternalError_:
        if low == high:
            return []
        middle = (low + high) // 2
        return [*_readable_rows(observer, name, low, middle), *_readable_rows(observer, name, middle + 1, high)]


_KEY = re.compile(r"(?:PRIMARY KEY|UNIQUE)( NULLS NOT DISTINCT)? (\(.*\))(?: (?:NOT )?DEFERRABLE.*)?")


def _index_rows(
    observer: psycopg.Connection, rows: Iterable[tuple[Any, ...]], declared: Iterable[_Declared]
) -> Iterator[_IndexRow]:
    """The indexes; the definition of a plain one that a constraint stands for comes empty, and is made of that constraint's."""
    keys = {row.index_oid: row.definition for row in declared if row.type in "pu"}
    for row in map(_IndexRow._make, rows):
        if row.definition:
            yield row
        elif key := _KEY.fullmatch(keys.get(row.oid, "")):
            end = f"{key[2]}{key[1] or ''}"
            yield row._replace(definition=f"CREATE UNIQUE INDEX {row.own_name} ON {row.table_name} USING btree {end}")
        else:  # one without overlaps, in PostgreSQL 18
            definition = observer.execute("SELECT pg_catalog.pg_get_indexdef(%s)", [row.oid]).fetchone()
            yield row._replace(definition=definition[0] if definition else "")


def _own(objects: Iterable[Object], members: set[str]) -> dict[str, Object]:
    """By id, without what belongs to an extension or to PostgreSQL, and what stands in or comes with that."""
    found: dict[str, Object] = {}
    for thing in objects:
        of_extension = thing.id in members or (thing.also and not members.isdisjoint(thing.also.split()))
        if not of_extension and (thing.home is None or thing.home in found):
            found[thing.id] = thing
    return found


def _index_object(row: _IndexRow) -> Object:
    """An index; one that a constraint stands for is told with that, and here only to have a name."""
    home = f"2615:{row.schema_oid}"
    if row.of_constraint:
        return Object(f"1259:{row.oid}", "index", home, f"2606:{row.of_constraint}", row.own_name, "")
    also = f"1259:{row.table_oid}" if row.parent is None else f"1259:{row.table_oid} 1259:{row.parent}"
    attached = "PARTITION" if row.parent is not None else None
    definition = " ".join(filter(None, (row.definition, row.more, attached, None if row.valid else "(invalid)")))
    return Object(f"1259:{row.oid}", "index", home, also, row.own_name, definition)


def _constraint_objects(declared: Iterable[_Declared], indexes: Iterable[_IndexRow]) -> Iterator[Object]:
    """Constraints as objects; what is set on a constraint's index is told with it."""
    settings = {
        i.oid: " ".join(filter(None, (f"WITH ({i.options})" if i.options else None, i.more)))
        for i in indexes
        if i.of_constraint and (i.options or i.more)
    }
    for row in declared:
        home = f"1247:{row.domain_oid}" if row.domain_oid else f"1259:{row.table_oid}"
        also = f"2606:{row.parent}" if row.parent is not None else None
        more = settings.get(row.index_oid) if row.type in "pux" else None
        definition = f"{row.definition} {more}" if more else row.definition
        yield Object(f"2606:{row.oid}", "constraint", home, also, row.name, definition)


def read_constraints(connection: psycopg.Connection, only: Iterable[int] | None = None) -> dict[tuple[int, str, str], Constraint]:
    """Everything that rows can break, by its key, with what is needed to count; of some tables `only`, by their OIDs."""
    text = query("constraints")
    if only is not None:
        chosen = ", ".join(str(int(oid)) for oid in only) or "0"
        text = text.replace(b"AND true -- only some tables", f"AND c.oid IN ({chosen}) --".encode())
    with connection.cursor(row_factory=class_row(Constraint)) as cursor:
        return {c.key: c for c in cursor.execute(text)}
