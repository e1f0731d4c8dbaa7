"""What is asked of a clone after a migration, besides its catalog and counts: what it cost, how far integer keys have come, which
foreign keys lack an index, which functions still name what is gone, which sequences give numbers that are there, what roles may
not do any more.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from bot.model import KeyUse, SequenceBehind
from bot.postgres.catalog import Object, Snapshot
from bot.postgres.counts import YOUNGER
from bot.postgres.reading import Patience, reading

_USAGE = """
SELECT pg_catalog.pg_current_wal_insert_lsn()::text, pg_catalog.pg_stat_get_db_temp_bytes(d.oid)
FROM pg_catalog.pg_database AS d
WHERE d.datname = pg_catalog.current_database()
"""
# A foreign key's own side is indexed where a valid index over all rows begins with its columns, in any order.
_INDEXED = """
SELECT k.oid::bigint, EXISTS (
  SELECT FROM pg_catalog.pg_index AS i
  WHERE i.indrelid = k.conrelid AND i.indisvalid AND i.indpred IS NULL
    AND (i.indkey::int2[])[0:pg_catalog.cardinality(k.conkey) - 1] @> k.conkey
    AND (i.indkey::int2[])[0:pg_catalog.cardinality(k.conkey) - 1] <@ k.conkey)
FROM pg_catalog.pg_constraint AS k
WHERE k.oid = ANY (%(oids)s)
"""
# smallint and integer columns that number rows: a sequence of their own fills them, or they are the whole primary key.
_NUMBERING = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relkind::text, a.attname::text,
       pg_catalog.format_type(a.atttypid, NULL),
       CASE a.atttypid WHEN 'pg_catalog.int2'::pg_catalog.regtype THEN 32767 ELSE 2147483647 END::bigint,
       s.last, p.indexed
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
  SELECT pg_catalog.max(pg_catalog.pg_sequence_last_value(d.objid)) AS last, pg_catalog.count(*) > 0 AS there
  FROM pg_catalog.pg_depend AS d
  WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
    AND d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype IN ('a', 'i')
    AND EXISTS (SELECT FROM pg_catalog.pg_sequence AS q WHERE q.seqrelid = d.objid)) AS s
CROSS JOIN LATERAL (
  SELECT EXISTS (SELECT FROM pg_catalog.pg_index AS i
                 WHERE i.indrelid = a.attrelid AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum) AS indexed,
         EXISTS (SELECT FROM pg_catalog.pg_index AS i
                 WHERE i.indrelid = a.attrelid AND i.indisprimary AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum) AS key) AS p
WHERE a.attrelid = ANY (%(oids)s) AND a.attnum > 0 AND NOT a.attisdropped
  AND a.atttypid IN ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype)
  AND (s.there OR p.key)
"""
_FUNCTIONS = """
SELECT pg_catalog.format('%I.%I', n.nspname, p.proname), p.prosrc
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND l.lanname NOT IN ('c', 'internal')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
"""
# The number that each sequence gives next, as far as can be seen without reading each: one that has not given any begins anew.
_NEXT = """
SELECT q.seqrelid::bigint,
       (coalesce(CASE WHEN pg_catalog.has_sequence_privilege(q.seqrelid, 'SELECT, USAGE')
                      THEN pg_catalog.pg_sequence_last_value(q.seqrelid)::numeric + q.seqincrement END, q.seqstart))::text
FROM pg_catalog.pg_sequence AS q
JOIN pg_catalog.pg_class AS c ON c.oid = q.seqrelid
WHERE c.relpersistence <> 't' AND q.seqincrement > 0 AND NOT q.seqcycle
"""
# Columns of which no value may be there twice and which a sequence fills: as an identity, or in the default.
_FILLED = """
SELECT DISTINCT c.oid::bigint, a.attnum::int, pg_catalog.format('%%I.%%I', n.nspname, c.relname), c.relkind::text,
       a.attname::text, q.seqrelid::bigint, pg_catalog.format('%%I.%%I', sn.nspname, s.relname), q.seqincrement
FROM pg_catalog.pg_sequence AS q
JOIN pg_catalog.pg_class AS s ON s.oid = q.seqrelid
JOIN pg_catalog.pg_namespace AS sn ON sn.oid = s.relnamespace
JOIN (SELECT d.objid AS sequence, d.refobjid AS relation, d.refobjsubid AS number
      FROM pg_catalog.pg_depend AS d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.deptype = 'i' AND d.refobjsubid > 0
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
      UNION ALL
      SELECT d.refobjid, f.adrelid, f.adnum
      FROM pg_catalog.pg_depend AS d
      JOIN pg_catalog.pg_attrdef AS f ON f.oid = d.objid
      WHERE d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass
        AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjsubid = 0) AS fills
  ON fills.sequence = q.seqrelid
JOIN pg_catalog.pg_class AS c ON c.oid = fills.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = fills.relation AND a.attnum = fills.number
JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid AND i.indkey[0] = a.attnum
WHERE (c.oid = ANY (%(oids)s) OR q.seqrelid = ANY (%(sequences)s))
  AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1 AND i.indpred IS NULL
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND s.relpersistence <> 't'
  AND a.atttypid IN ('pg_catalog.int2'::pg_catalog.regtype, 'pg_catalog.int4'::pg_catalog.regtype,
                     'pg_catalog.int8'::pg_catalog.regtype)
  AND q.seqincrement > 0 AND NOT q.seqcycle
"""
# Which of these privileges a role that is still there does not have now: granted, by membership, as the owner or as a superuser.
_NOT_HAD = """
SELECT asked.place::int - 1
FROM ROWS FROM (pg_catalog.unnest(%(oids)s::oid[]), pg_catalog.unnest(%(kinds)s::text[]),
                pg_catalog.unnest(%(roles)s::text[]), pg_catalog.unnest(%(privileges)s::text[])) WITH ORDINALITY
  AS asked (oid, kind, role, privilege, place)
LEFT JOIN pg_catalog.pg_roles AS r ON pg_catalog.quote_ident(r.rolname) = asked.role
WHERE (r.oid IS NOT NULL OR asked.role = 'PUBLIC')
  AND NOT CASE asked.kind
    WHEN 'routine' THEN pg_catalog.has_function_privilege(coalesce(r.rolname, 'public'), asked.oid, asked.privilege)
    WHEN 'sequence' THEN pg_catalog.has_sequence_privilege(coalesce(r.rolname, 'public'), asked.oid, asked.privilege)
    ELSE pg_catalog.has_table_privilege(coalesce(r.rolname, 'public'), asked.oid, asked.privilege)
         OR (asked.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
             AND pg_catalog.has_any_column_privilege(coalesce(r.rolname, 'public'), asked.oid, asked.privilege)) END
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """How far the server's log (WAL) has come, and what the database has written to temporary files."""

    wal: int
    temp_bytes: int


def usage(observer: psycopg.Connection) -> Usage:
    """Asks for it."""
    row = observer.execute(_USAGE).fetchone()
    assert row is not None  # noqa: S101  the database we are connected to
    high, _, low = row[0].partition("/")  # "16/B374D848": two halves of 64 bits (manual, pg_lsn)
    return Usage((int(high, 16) << 32) + int(low, 16), row[1])


def indexed(observer: psycopg.Connection, oids: Iterable[int]) -> Mapping[int, bool]:
    """For foreign keys, by OID: whether an index helps to find the rows that refer to a given one."""
    return dict(observer.execute(_INDEXED, {"oids": list(oids)}).fetchall())


def keys(
    observer: psycopg.Connection, reader: psycopg.Connection, oids: Iterable[int], *, patience: Patience
) -> tuple[KeyUse, ...]:
    """How far the integer keys of tables have come. The greatest value is read from an index, over the connection `reader`;
    without one, where the column's sequence stands must do.
    """
    found = []
    for table, kind, column, type_name, limit, last, has_index in observer.execute(_NUMBERING, {"oids": list(oids)}).fetchall():
        highest = last
        if has_index:
            with reading(reader, patience):
                only = sql.SQL("" if kind == "p" else "ONLY ")
                question = sql.SQL("SELECT pg_catalog.max({}) FROM {}").format(sql.Identifier(column), only)
                row = reader.execute(question + sql.SQL(table)).fetchone()
            highest = max((n for n in (last, row[0] if row else None) if n is not None), default=None)
        if highest is not None and highest > 0:
            found.append(KeyUse(table, column, type_name, highest, limit))
    return tuple(sorted(found, key=lambda key: (key.table, key.column)))


def next_numbers(observer: psycopg.Connection) -> Mapping[int, int]:
    """The number that each sequence gives next, by OID; not those that count down or go round."""
    return {oid: int(number) for oid, number in observer.execute(_NEXT).fetchall()}


@dataclass(frozen=True, slots=True)
class Written:
    """What a migration did to sequences and rows: the numbers they gave next `before` it, the `snapshot` before it, the first
    transaction id that was its own, and the tables (by OID) into which it inserted rows and did nothing else to those that
    were there.
    """

    before: Mapping[int, int]
    snapshot: Snapshot
    since_xid: int
    only_inserted: Set[int]


def sequences_behind(
    observer: psycopg.Connection, reader: psycopg.Connection, oids: Iterable[int], written: Written, *, patience: Patience
) -> tuple[SequenceBehind, ...]:
    """Sequences, of those tables or of others, that give numbers which are there, and did not before the migration. Where it
    can't be told whether they did, nothing is said.
    """
    moved = [oid for oid, number in next_numbers(observer).items() if written.before.get(oid) != number]
    found = list[SequenceBehind]()
    for row in observer.execute(_FILLED, {"oids": list(oids), "sequences": moved}).fetchall():
        with suppress(psycopg.errors.InsufficientPrivilege), reading(reader, patience):  # a role may use what it may not read
            found += _behind(reader, row, written)
    return tuple(sorted(found, key=lambda one: (one.table, one.column)))


def _behind(reader: psycopg.Connection, row: tuple[Any, ...], written: Written) -> Iterator[SequenceBehind]:
    """One sequence and the column that it fills, a row of `_FILLED`; nothing if it is ahead, or was as far behind before."""
    oid, column_number, table, kind, column, sequence_oid, sequence, increment = row
    last, called = _one(reader, sql.SQL("SELECT last_value, is_called FROM ") + sql.SQL(sequence))
    source = sql.SQL("FROM {}").format(sql.SQL(table if kind == "p" else f"ONLY {table}"))
    (highest,) = _one(reader, sql.SQL("SELECT pg_catalog.max({}) ").format(sql.Identifier(column)) + source)
    gives = last + increment if called else last
    if highest is None or gives > highest:
        return
    was, stood = written.snapshot.columns.get((oid, column_number)), written.before.get(sequence_oid)
    if was and was.default and stood is not None and stood <= highest:
        older = sql.SQL(" WHERE {} >= {} AND NOT (").format(sql.Identifier(column), sql.Literal(stood))
        young = sql.SQL(YOUNGER.format(written.since_xid))
        (before,) = _one(reader, sql.SQL("SELECT EXISTS (SELECT ") + source + older + young + sql.SQL("))"))
        if before or oid not in written.only_inserted:
            return
    yield SequenceBehind(table, column, sequence, gives, highest)


def _one(reader: psycopg.Connection, question: sql.Composed) -> tuple[Any, ...]:
    row = reader.execute(question).fetchone()
    assert row is not None  # noqa: S101  an aggregate, or a sequence, which has one row
    return row


def not_had(observer: psycopg.Connection, asked: Sequence[tuple[Object, str, str]]) -> list[int]:
    """Which (by place) of these a role may not do: relation or routine, role as SQL says it, privilege."""
    if not asked:
        return []
    kinds = ["routine" if thing.id.startswith("1255:") else thing.kind for thing, _role, _privilege in asked]
    given = {
        "oids": [int(thing.id.partition(":")[2]) for thing, _role, _privilege in asked],
        "kinds": kinds,
        "roles": [role for _thing, role, _privilege in asked],
        "privileges": [privilege for _thing, _role, privilege in asked],
    }
    return sorted(place for (place,) in observer.execute(_NOT_HAD, given).fetchall())


def functions_naming(observer: psycopg.Connection, names: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Functions whose body holds all the words that stand for something: (function, what it names). `names`: what -> words."""
    if not names:
        return []
    words = {what: [_word(part) for part in parts] for what, parts in names.items()}
    found = []
    for function, body in observer.execute(_FUNCTIONS).fetchall():
        found += [(function, what) for what, parts in words.items() if all(part.search(body or "") for part in parts)]
    return sorted(found)


def _word(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
