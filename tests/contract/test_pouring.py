"""A seed that is sent over a connection into an empty database: what pg_dump says of both is the same."""

from __future__ import annotations

import io
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bot.clones.pouring import _pieces, pour
from bot.errors import SeedError
from bot.postgres.embedded import SUPERUSER, Server
from tests.contract.fake_clones import Cluster, Database

ROWS = "CREATE TABLE after_it (t int); INSERT INTO after_it VALUES (1), (2);\n"
SEEDS = {
    "dollars in a default": "CREATE TABLE a (t text DEFAULT '$$', u text DEFAULT 'costs $x$');",
    "dollars in a name": 'CREATE TABLE "a $x$ b" ("c$$d" text, e$$f text, GRANT$x$ int);',
    "a line break in a column's name": 'CREATE TABLE a ("one\ntwo" int); INSERT INTO a VALUES (1);',
    "COPY in a default": "CREATE TABLE a (t text DEFAULT 'x\nCOPY public.after_it (t) FROM stdin;\n');",
    "COPY in a view": "CREATE VIEW v AS SELECT 'x\nCOPY public.after_it (t) FROM stdin;\n7\n\\.\n'::text AS x;",
    "quotes behind backslashes": "CREATE VIEW v AS SELECT E'\\\\\\' $x$ ''\n--\n\\'' AS x, E'\\\\' AS y;",
    "COPY in a function": "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $a$ SELECT $$x$$ || '$_$' ||\n$q$\n"
    "COPY after_it FROM stdin;\n\\restrict x\n--\n\\.\n$q$ $a$;",
    "a body that ends as its quote begins": "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $b$SELECT 1 AS a$x$b$;",
    "a long body without a quote": "DO $$ BEGIN FOR n IN 1..5 LOOP EXECUTE format('CREATE FUNCTION f%s() RETURNS int LANGUAGE sql"
    " BEGIN ATOMIC %s END', n, repeat('SELECT 1 AS a_name_that_is_somewhat_long; ', 7000)); END LOOP; END $$;",
    "a large object": "SELECT lo_from_bytea(0, decode(repeat('5c', 1500000), 'hex'));",
    "values like ends": "CREATE TABLE a (t text); INSERT INTO a VALUES ('\\.'), (E'a\\n\\\\.\\n'), ('\\N'), (NULL), ('--');",
    "its owner's rows hidden": "CREATE TABLE a (t int); INSERT INTO a VALUES (1); ALTER TABLE a ENABLE ROW LEVEL SECURITY;"
    " ALTER TABLE a FORCE ROW LEVEL SECURITY; CREATE POLICY p ON a USING (t > 1); CREATE MATERIALIZED VIEW v AS SELECT t FROM a;",
}


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[Database]:
    made = cluster.create()
    yield made
    cluster.drop(made)


def dumped(server: Server, database: str, *of: str) -> list[str]:
    options = ("--no-owner", "--no-privileges", "--no-comments", "--encoding=UTF8")
    process = server.run_tool("pg_dump", *options, *of, database, user=SUPERUSER)
    said, why = process.communicate()
    assert process.returncode == 0, why
    return [line for line in said.decode().splitlines() if not line.startswith(("\\restrict", "\\unrestrict"))]


@pytest.mark.parametrize("script", SEEDS.values(), ids=SEEDS.keys())
def test_a_seed_is_the_same_elsewhere(script: str, server: Server, cluster: Cluster, empty: Database) -> None:
    name = sql.Identifier(empty.name)
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
    try:
        with server.connect(empty.name) as connection:
            connection.execute((script + ROWS).encode())
        with psycopg.connect(empty.url(), autocommit=True, prepare_threshold=None) as into:
            pour(server, into, empty.name)

        there = make_conninfo(cluster.admin, dbname=empty.name)
        assert dumped(server, there) == dumped(server, empty.name)
    finally:
        with server.connect("postgres") as admin:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


def test_a_dump_that_ends_among_rows_is_no_end_of_them() -> None:
    """Its program was killed."""
    copy, rows = next(_pieces(io.BytesIO(b"--\n-- Data\n--\n\nCOPY a (t) FROM stdin;\n1\n")))

    assert copy.startswith(b"--\n-- Data")
    assert rows is not None
    with pytest.raises(SeedError, match="in the middle of a table's rows"):
        list(rows)


def test_what_is_sent_at_once_stays_small() -> None:
    """A server has room for some thousand locks, and all that is sent at once is one transaction."""
    dump = b"".join(b"--\n-- Name: t%d\n--\n\nCREATE TABLE t%d ();\n\n\n" % (n, n) for n in range(1000))

    pieces = [text for text, _rows in _pieces(io.BytesIO(dump))]

    assert b"".join(pieces) == dump
    assert max(piece.count(b"CREATE") for piece in pieces) <= 100
