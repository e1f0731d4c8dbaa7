"""What is asked of a clone after a migration, besides its catalog and counts: what it cost, how far integer keys have come, which
foreign keys lack an index, which functions still name what is gone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from bot.model import KeyUse
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
