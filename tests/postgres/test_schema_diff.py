"""The schema diff against its truth: wherever `pg_dump -s` changes, a change is told, and where it does not, none is.

The cases run one after the other in one database; each may have a statement that takes it back, and then nothing may differ.
"""

from __future__ import annotations

import difflib
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from bot.clones.embedded import observer
from bot.diff import schema_changes, schema_differences
from bot.postgres.catalog import Snapshot, take_snapshot
from bot.postgres.embedded import MAKER, SUPERUSER, Server
from bot.postgres.roles import may_make_seeds
from tests.postgres.replay import plan_folder
from tests.postgres.schema_cases import BASE, CASES, ROLES, Case
from tests.postgres.test_histories import FOLDERS


@dataclass(frozen=True, slots=True)
class Database:
    """A database to change, and two ways to look at it."""

    server: Server
    name: str

    def run(self, text: str) -> None:
        """Each statement by itself: some may not be in a transaction with others."""
        with self.server.connect(self.name, user=MAKER) as connection:
            connection.execute(text.encode())

    def snapshot(self) -> Snapshot:
        with observer(self.server, self.name) as connection:
            return take_snapshot(connection)

    def dump(self) -> str:
        """What `pg_dump -s` writes, with neighbouring grants sorted: PostgreSQL keeps the order in which they were made."""
        process = self.server.run_tool("pg_dump", "-s", "-d", self.name, user=SUPERUSER)
        out, error = process.communicate()
        assert process.returncode == 0, error.decode()
        kept = [line for line in out.decode().splitlines(keepends=True) if not line.startswith(("\\restrict", "\\unrestrict"))]
        return re.sub(
            r"(?:^(?:GRANT|REVOKE) .*\n)+",
            lambda m: "".join(sorted(m[0].splitlines(keepends=True))),
            "".join(kept),
            flags=re.MULTILINE,
        )

    def look(self) -> State:
        """Both, at once."""
        with ThreadPoolExecutor(1) as other:
            dump = other.submit(self.dump)
            return State(self.snapshot(), dump.result())


@pytest.fixture(scope="module")
def new_database(server: Server) -> Iterator[Callable[[str], Database]]:
    """Makes databases."""
    made: list[str] = []

    def make(text: str) -> Database:
        made.append(f"truth{len(made)}")
        with server.connect("postgres") as admin:
            create = sql.SQL("CREATE DATABASE {} OWNER {} STRATEGY FILE_COPY")
            admin.execute(create.format(sql.Identifier(made[-1]), sql.Identifier(MAKER)))
        may_make_seeds(server)
        database = Database(server, made[-1])
        database.run(text)
        return database

    with server.connect("postgres") as admin:
        admin.execute(ROLES.encode())
    yield make
    with suppress(psycopg.Error), server.connect("postgres") as admin:  # a subscription, say, keeps its database
        for name in made:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        admin.execute("DROP ROLE truth_app; DROP ROLE truth_owner")


@dataclass(frozen=True, slots=True)
class State:
    """How a database looks at one moment."""

    snapshot: Snapshot
    dump: str


def problems(before: State, after: State, case: Case) -> Iterator[str]:
    """What is not as it must be between two states."""
    changes = schema_changes(before.snapshot, after.snapshot)
    differences = schema_differences(before.snapshot, after.snapshot)
    if (after.dump == before.dump) != bool(case.silent):
        yield "pg_dump shows:\n" + "\n".join(
            difflib.unified_diff(before.dump.split("\n"), after.dump.split("\n"), n=0, lineterm="")
        )
    if case.names not in {f"{c.kind} {c.name}" for c in changes} if case.names else changes:
        yield f"expected {case.names or 'nothing'!r}: {changes}"
    if bool(differences) != bool(case.names):
        yield f"by name: {differences}"
    if "secret" in repr((changes, differences)):
        yield "a secret is told"


@pytest.mark.parametrize("section", CASES)
def test_what_pg_dump_shows_is_told(section: str, new_database: Callable[[str], Database]) -> None:
    database = new_database(BASE)
    found, before = [], database.look()
    for case in CASES[section]:
        if database.server.binaries.major < case.since:
            continue
        database.run(case.sql)
        after = database.look()
        found += [f"{case.sql}: {problem}" for problem in problems(before, after, case)]
        if case.undo:
            database.run(case.undo)
            undone = State(database.snapshot(), before.dump)  # the next case sees if it is not
            if differences := schema_differences(before.snapshot, undone.snapshot):
                found.append(f"{case.undo}: {differences}")
            if not schema_changes(after.snapshot, undone.snapshot):
                found.append(f"{case.undo}: is not seen")
            after = undone
        before = after

    assert found == [], "\n\n".join(found)


STATEMENTS = [text for cases in CASES.values() for case in cases for text in (case.sql, case.undo) if text]
SHOWN_BY_US_ONLY = ("CREATE INDEX alone",)  # an index that is not valid: pg_dump leaves it out, and what is done to it


@settings(max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(st.sampled_from(STATEMENTS), min_size=10, max_size=14, unique=True))
def test_any_order_of_statements(texts: list[str], new_database: Callable[[str], Database]) -> None:
    database = new_database(BASE)
    first = before = database.look()
    for text in texts:
        try:
            database.run(text)
        except psycopg.Error:
            continue  # it needs what is not there (any more)
        after = database.look()
        changed = before.dump != after.dump
        assert not changed or schema_changes(before.snapshot, after.snapshot), text
        assert not changed or schema_differences(before.snapshot, after.snapshot), text
        before = after
    assert before.dump == first.dump or schema_differences(first.snapshot, before.snapshot)


INDEXES = """
CREATE TABLE t (a integer, b varchar(9) COLLATE "C", "c d" text, e tsvector, r int4range, p point, PRIMARY KEY (a, b));
CREATE TABLE q (a integer UNIQUE NULLS NOT DISTINCT, b text, UNIQUE (b, a) DEFERRABLE, c integer UNIQUE WITH (fillfactor = 50)) ;
CREATE TABLE parted (a integer, b integer, PRIMARY KEY (a)) PARTITION BY RANGE (a);
CREATE TABLE part PARTITION OF parted DEFAULT;
CREATE INDEX ON parted (b); CREATE INDEX ON ONLY parted (a, b);
CREATE INDEX ON t (a, b, "c d"); CREATE INDEX ON t (b COLLATE "POSIX"); CREATE INDEX ON t (b varchar_pattern_ops);
CREATE INDEX ON t (a DESC); CREATE INDEX ON t (a NULLS FIRST, b); CREATE INDEX ON t (lower(b)); CREATE INDEX ON t (a) WHERE a > 1;
CREATE UNIQUE INDEX "I x" ON t ("c d") INCLUDE (a); CREATE INDEX ON t USING gin (e) WITH (fastupdate = off);
CREATE INDEX ON t USING gist (r, e); CREATE INDEX ON t USING hash ("c d"); CREATE INDEX ON t USING brin (a, b);
CREATE INDEX ON t USING spgist (p); CREATE INDEX ON t USING gist (r) ; CREATE UNIQUE INDEX ON t (a, "c d") NULLS NOT DISTINCT;
ALTER TABLE t ADD EXCLUDE USING gist (r WITH &&); ALTER TABLE q ADD UNIQUE (a) INCLUDE (b);
"""


def test_definitions_of_indexes_are_those_of_postgresql(new_database: Callable[[str], Database]) -> None:
    """Plain ones are put together here, which is quicker."""
    database = new_database(INDEXES)
    with observer(database.server, database.name) as connection:
        found = {oid: index.definition for oid, index in take_snapshot(connection).indexes.items()}
        rows = connection.execute("SELECT oid::bigint, pg_get_indexdef(oid) FROM pg_class WHERE relkind IN ('i', 'I')").fetchall()

    assert len(found) > 20
    assert found == {oid: text for oid, text in rows if oid in found}


def test_a_schema_is_the_same_in_another_database(new_database: Callable[[str], Database]) -> None:
    one, other = new_database(BASE), new_database("CREATE TABLE first (a integer)")
    other.run("DROP TABLE first")
    other.run(BASE)

    assert schema_differences(one.snapshot(), other.snapshot()) == ()
    other.run("ALTER TABLE app.parent ADD COLUMN z integer; ALTER TABLE app.events ADD COLUMN z integer")
    other.run("ALTER TABLE app.customers DROP COLUMN email; ALTER TABLE app.customers ADD COLUMN email text DEFAULT 'x'")
    differences = schema_differences(one.snapshot(), other.snapshot())
    assert [(c.kind, c.name, c.after) for c in differences] == [
        ("column", "app.events.z", "integer"),
        ("column", "app.parent.z", "integer"),
        ("column order", "app.customers", "id, name, born, score, email"),
    ]


@pytest.mark.parametrize("folder", FOLDERS[:3] or [None], ids=lambda path: path.name if path else "none")
def test_step_by_step_through_others_histories(folder: Path | None, new_database: Callable[[str], Database]) -> None:
    if folder is None:
        pytest.skip("there are no histories here")
    database = new_database("SELECT 1")
    before = database.look()
    for migration in plan_folder(folder).migrations[:15]:
        psql = database.server.run_tool("psql", "-X", "-q", "-d", database.name, "-f", "-", stdin=subprocess.PIPE)
        psql.communicate(migration.text.encode())
        after = database.look()
        if after.dump != before.dump:
            assert schema_changes(before.snapshot, after.snapshot), migration.path
            assert schema_differences(before.snapshot, after.snapshot), migration.path
        before = after


def test_what_cannot_be_read_is_left_out_and_the_rest_is_there(new_database: Callable[[str], Database]) -> None:
    database = new_database(
        "CREATE FUNCTION gone() RETURNS integer LANGUAGE sql AS 'SELECT 1'; CREATE VIEW broken AS SELECT gone();"
        "CREATE TABLE t (a integer DEFAULT 1); CREATE VIEW fine AS SELECT a FROM t"
    )
    before = database.snapshot()
    database.run("DELETE FROM pg_proc WHERE proname = 'gone'")

    told = {(c.kind, c.name, c.change) for c in schema_changes(before, database.snapshot())}
    assert told == {("function", "public.gone()", "dropped"), ("view", "public.broken", "dropped")}
