"""Exact counts: rows, NULLs and bytes of a table, in one pass over it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import psycopg

from bot.postgres.catalog import Column, Snapshot, Table
from bot.postgres.reading import Patience, reading

# Transaction ids go round; the distance between two is told by 32-bit arithmetic (src/backend/access/transam/transam.c).
YOUNGER = "((xmin::text::bigint - {0} + 4294967296) % 4294967296) < 2147483648 AND xmin::text::bigint > 2"


@dataclass(frozen=True, slots=True)
class Counts:
    """A table at one moment; `nulls` by column number. `written`: rows whose newest version is younger than a given
    transaction, so that what was undone does not count; None where nobody asked.
    """

    rows: int
    bytes: int
    nulls: Mapping[int, int]
    written: int | None = None


def count_table(
    reader: psycopg.Connection,
    table: Table,
    columns: Iterable[Column],
    *,
    since_xid: int | None = None,
    patience: Patience = Patience(),  # noqa: B008  frozen
) -> Counts:
    """Counts a table's rows and the NULLs of each of its columns, partitions included, children by inheritance not; and the
    rows that transactions from `since_xid` on have written. `reader` is a connection as the migration's role.
    """
    columns = list(columns)
    if not table.populated:  # a materialised view WITH NO DATA can't be read
        return Counts(0, 0, {}, 0)
    nullable = [c for c in columns if not c.not_null]
    source = table.name if table.kind == "p" else f"ONLY {table.name}"
    written = f"pg_catalog.count(*) FILTER (WHERE {YOUNGER.format(since_xid)})" if since_xid else "NULL"
    counted = ", ".join(["pg_catalog.count(*)", written, *(f"pg_catalog.count({c.quoted})" for c in nullable)])
    with reading(reader, patience):
        size = reader.execute(
            "SELECT coalesce(pg_catalog.sum(pg_catalog.pg_total_relation_size(t)), 0)::bigint FROM ("
            " SELECT relid::oid AS t FROM pg_catalog.pg_partition_tree(%(oid)s)"
            " UNION SELECT %(oid)s::oid) AS parts",
            {"oid": table.oid},
        ).fetchone()
        # Last: to plan it may run code of the table's author, and names are found as that leaves it.
        row = reader.execute(f"SELECT {counted} FROM {source}".encode()).fetchone()  # noqa: S608  the catalog has quoted them
    assert row is not None  # noqa: S101  an aggregate has one row
    assert size is not None  # noqa: S101
    nulls = {c.number: 0 for c in columns} | {c.number: row[0] - n for c, n in zip(nullable, row[2:], strict=True)}
    return Counts(row[0], size[0], nulls, row[1])


@dataclass(slots=True)
class Ledger:
    """What tables held before the next migration: counted after an earlier migration touched them, or else in the
    untouched seed, and there only when somebody asks: a table that nothing touches is never counted.
    """

    seed: Snapshot
    open_seed: Callable[[], AbstractContextManager[psycopg.Connection]]
    patience: Patience = Patience()  # noqa: RUF009  frozen
    known: dict[int, Counts] = field(default_factory=dict)
    seeded: dict[int, Counts] = field(default_factory=dict)  # counted in the seed

    def copy(self) -> Ledger:
        """What it knows now, and goes on to know when the next migration is told to the original."""
        return replace(self, known=dict(self.known))

    def untouched(self, oid: int) -> bool:
        """Whether a table is as it is in the seed."""
        return oid in self.seed.tables and oid not in self.known

    def before(self, oids: Iterable[int]) -> dict[int, Counts]:
        """Counts by OID; tables that did not exist are left out."""
        oids = set(oids)
        unknown = [self.seed.tables[oid] for oid in oids if self.untouched(oid) and oid not in self.seeded]
        if unknown:
            with self.open_seed() as reader:
                for table in unknown:
                    columns = self.seed.columns.of(table.oid)
                    self.seeded[table.oid] = count_table(reader, table, columns, patience=self.patience)
        counts = self.seeded | self.known
        return {oid: counts[oid] for oid in oids if oid in counts}

    def count_all(self, reader: psycopg.Connection) -> None:
        """Counts every table where it is, before anything happens to it: there will be no untouched seed to look into."""
        for table in self.seed.tables.values():
            self.seeded[table.oid] = count_table(reader, table, self.seed.columns.of(table.oid), patience=self.patience)

    def rows_known(self, snapshot: Snapshot) -> dict[str, int]:
        """Rows by name of the tables of a snapshot, without counting: what was counted, or what the last VACUUM found."""
        known = {table.name: int(table.rows) for table in snapshot.tables.values() if table.rows >= 0}
        return known | {
            snapshot.tables[oid].name: c.rows for oid, c in (self.seeded | self.known).items() if oid in snapshot.tables
        }

    def after(self, counts: Mapping[int, Counts]) -> None:
        """Keeps what was counted after a migration."""
        self.known.update(counts)


def total_rows(observer: psycopg.Connection) -> int:
    """The rows of the whole database, from `reltuples`: exact directly after a first VACUUM, which reads every page."""
    row = observer.execute(
        "SELECT coalesce(pg_catalog.sum(c.reltuples), 0)::bigint FROM pg_catalog.pg_class AS c"
        " JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'm') AND c.reltuples > 0"
        " AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    ).fetchone()
    return int(row[0]) if row else 0


def next_xid(observer: psycopg.Connection) -> int:
    """The id that the next transaction which writes will have, as `xmin` shows it."""
    row = observer.execute(
        "SELECT pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint % 4294967296"
    ).fetchone()
    assert row is not None  # noqa: S101  one row always
    return int(row[0])
