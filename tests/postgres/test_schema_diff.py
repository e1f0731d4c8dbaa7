"""The schema diff against its truth: wherever `pg_dump -s` changes, a change is told, and where it does not, none is.

The cases run one after the other in one database; each may have a statement that takes it back, and then nothing may differ.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from psycopg import sql

from bot.clones.embedded import observer
from bot.diff import schema_changes, schema_differences
from bot.postgres.catalog import Snapshot, take_snapshot
from bot.postgres.embedded import Server
from tests.postgres.schema_cases import BASE, CASES, ROLES, Case


@dataclass(frozen=True, slots=True)
class Database:
    """A database to change, and two ways to look at it."""

    server: Server
    name: str

    def run(self, text: str) -> None:
        """Each statement by itself: some may not be in a transaction with others."""
        with self.server.connect(self.name) as connection:
            connection.execute(text.encode())

    def snapshot(self) -> Snapshot:
        with observer(self.server, self.name) as connection:
            return take_snapshot(connection)

    def dump(self) -> str:
        """What `pg_dump -s` writes, with neighbouring grants sorted: PostgreSQL keeps the order in which they were made."""
        process = self.server.run_tool("pg_dump", "-s", "-d", self.name)
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
            admin.execute(sql.SQL("CREATE DATABASE {} STRATEGY FILE_COPY").format(sql.Identifier(made[-1])))
        database = Database(server, made[-1])
        database.run(text)
        return database

    with server.connect("postgres") as admin:
        admin.execute(ROLES.encode())
    yield make
    with server.connect("postgres") as admin:
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
