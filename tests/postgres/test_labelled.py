"""Every label of bench/labelled is true: hand-written SQL proves it, without our program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.labels import KINDS, Case, cases, faults, make, rows_of
from bot.postgres.embedded import Server

CASES = cases()


@dataclass(frozen=True, slots=True)
class Place:
    """The database of before.sql, and how many rows its tables have."""

    server: Server
    rows: dict[str, int]


@pytest.fixture(scope="module")
def place(server: Server) -> Iterator[Place]:
    with server.connect("postgres") as admin:
        admin.execute("CREATE DATABASE labelled")
        # What parallel workers read for an index is not in the numbers of the session that the proof asks for.
        admin.execute("ALTER DATABASE labelled SET max_parallel_maintenance_workers = 0")
        with server.connect("labelled") as connection:
            make(admin, connection)
            rows = rows_of(connection)
        yield Place(server, rows)
        admin.execute("DROP DATABASE labelled WITH (FORCE)")


def test_there_are_as_many_safe_as_harmful_and_sixty_at_least() -> None:
    harmful = [case for case in CASES if case.harm]
    assert len(CASES) >= 60
    assert len(harmful) * 2 == len(CASES)
    assert {kind for case in CASES for kind in case.harm} == set(KINDS)


@pytest.mark.parametrize("name", [case.name.removesuffix("-harm") for case in CASES if case.harm])
def test_each_has_a_twin_that_looks_alike(name: str) -> None:
    assert f"{name}-safe" in {case.name for case in CASES if not case.harm}


@pytest.mark.parametrize("case", [case for case in CASES if case.proof.run != "psql"], ids=lambda case: case.name)
def test_a_label_is_true(place: Place, case: Case) -> None:
    with place.server.connect("labelled") as connection, connection.transaction(force_rollback=True):
        assert faults(case, connection, place.rows) == []


@pytest.mark.parametrize("case", [case for case in CASES if case.proof.run == "psql"], ids=lambda case: case.name)
def test_a_label_is_true_outside_of_a_transaction(place: Place, case: Case) -> None:
    with place.server.connect("postgres") as admin:
        admin.execute("CREATE DATABASE labelled_clone TEMPLATE labelled STRATEGY FILE_COPY")
        try:
            with place.server.connect("labelled_clone") as connection:
                assert faults(case, connection, place.rows) == []
        finally:
            admin.execute("DROP DATABASE labelled_clone WITH (FORCE)")


@pytest.mark.parametrize(
    ("label", "text", "fault"),
    [
        ("unique-harm", "SELECT 1;", "ends with None, and not with 23505"),
        ("delete-all-safe", "DELETE FROM stock;", "stock lost rows"),
        ("index-safe", "CREATE INDEX ON orders (placed_at);", "orders was locked for long"),
        ("index-harm", "CREATE INDEX ON countries (name);", "orders was not locked for long; []"),
        ("rename-table-harm", "SELECT 1;", "does not fail: SELECT FROM coupons"),
    ],
)
def test_a_label_that_is_not_true_is_found_out(place: Place, label: str, text: str, fault: str, tmp_path: Path) -> None:
    (tmp_path / "up.sql").write_text(text)
    told = next(case for case in CASES if case.name == label)
    case = Case(told.name, told.harm, told.why, told.layout, told.proof, tmp_path)
    with place.server.connect("labelled") as connection, connection.transaction(force_rollback=True):
        assert fault in faults(case, connection, place.rows)
