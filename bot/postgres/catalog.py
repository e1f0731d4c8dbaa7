"""Snapshots of the catalog: what there is at one moment. The queries are files, one for each kind of object.

Every name in them is qualified, and a reader of definitions has `search_path` set to `pg_catalog`, so that definitions come
out qualified as well and nothing that a migration creates can stand in for what we mean.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from typing import TypeVar

import psycopg
from psycopg.rows import class_row

_Row = TypeVar("_Row")


@dataclass(frozen=True, slots=True)
class Table:
    """A table; `root` is the OID of the partitioned table it belongs to, or its own. `rows` is what the catalog believes: exact
    directly after a VACUUM, -1 where nobody counted yet.
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


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `number` stays when it is renamed, `quoted` is its name as SQL, `definition` its type, collation, default."""

    table_oid: int
    number: int
    name: str
    quoted: str
    definition: str
    not_null: bool


@dataclass(frozen=True, slots=True)
class Index:
    """An index with its whole definition; another `filenode` means that it was built anew. A partitioned one has none."""

    oid: int
    table_oid: int
    name: str
    table_name: str
    definition: str
    valid: bool
    filenode: int | None = None


@dataclass(frozen=True, slots=True)
class Constraint:
    """Something that rows can break, with what is needed to count them. `table_name`, `source` (what to
    put after FROM to get the rows it holds for), `columns` and the like are quoted as SQL; `schema`, `relation`, `column_name`
    (of a NOT NULL) and `name` are not. `index_definition` makes an ordinary index like an exclusion constraint's;
    `bare_index`: a unique index that no constraint stands for. `oid` is the number
    of the column where it is a NOT NULL, which has no other identity before PostgreSQL 18.
    """

    oid: int
    table_oid: int
    table_name: str
    source: str
    schema: str
    relation: str
    column_name: str | None
    name: str
    kind: str
    validated: bool
    definition: str
    columns: list[str]
    expression: str | None
    referenced: str | None
    referenced_columns: list[str]
    operators: list[str]
    match_full: bool
    nulls_not_distinct: bool
    index_definition: str | None
    bare_index: bool
    countable: bool

    @property
    def key(self) -> tuple[int, str, str]:
        """What makes it the same constraint in two snapshots: NOT NULL has no name of its own before PostgreSQL 18."""
        return (self.table_oid, self.kind, str(self.oid) if self.kind == "not null" else self.name)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The catalog at one moment."""

    tables: Mapping[int, Table] = field(default_factory=dict)
    columns: Mapping[tuple[int, int], Column] = field(default_factory=dict)
    indexes: Mapping[int, Index] = field(default_factory=dict)
    constraints: Mapping[tuple[int, str, str], Constraint] = field(default_factory=dict)


@functools.cache
def query(name: str) -> bytes:
    """The text of queries/<name>.sql."""
    return resources.files(__package__).joinpath("queries", f"{name}.sql").read_bytes()


def take_snapshot(observer: psycopg.Connection) -> Snapshot:
    """Reads the catalog over an observing connection: one whose search_path is pg_catalog."""
    tables = _rows(observer, "tables", Table)
    columns = _rows(observer, "columns", Column)
    indexes = _rows(observer, "indexes", Index)
    return Snapshot(
        {t.oid: t for t in tables},
        {(c.table_oid, c.number): c for c in columns},
        {i.oid: i for i in indexes},
        read_constraints(observer),
    )


def read_constraints(connection: psycopg.Connection) -> dict[tuple[int, str, str], Constraint]:
    """Everything that rows can break, by its key."""
    return {c.key: c for c in _rows(connection, "constraints", Constraint)}


def _rows(connection: psycopg.Connection, name: str, row: type[_Row]) -> list[_Row]:
    with connection.cursor(row_factory=class_row(row)) as cursor:
        return cursor.execute(query(name)).fetchall()
