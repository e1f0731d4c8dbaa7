"""Layouts: what a name tells, the order, which layout it is, and how its tool sends a file."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest

from bot.errors import UsageError
from bot.layouts import LAYOUTS, Part, detect, named
from bot.layouts.base import ToolRefusal
from bot.model import Transaction
from bot.sql import split

# layout: names in the order that the tool runs them, and names it does not run at all
ORDER = {
    "plain": (
        ["1_a.sql", "2_b.sql", "2.1-c.sql", "10_a.sql", "20240101120000.sql"],
        ["a.sql", "1_a.txt", "README.sql", "1_a.down.sql"],
    ),
    "golang-migrate": (["1_a.up.sql", "9_b.up.sql", "10_c.up.sql", "000011_d.up.sql"], ["1_a.sql", "x_a.up.sql"]),
    "flyway": (
        ["V1__a.sql", "V1.1__b.sql", "V1_2__c.sql", "V2__d.sql", "V10__e.sql", "R__a.sql", "R__b.sql"],
        ["V1_a.sql", "v1__a.sql", "V__a.sql", "1__a.sql"],
    ),
    "prisma": (["20240101_a/migration.sql", "20240102_b/migration.sql"], ["migration.sql", "20240101_a/steps.sql"]),
    "goose": (["1_a.sql", "9_b.sql", "00010_c.sql"], ["a.sql", "1_a.go"]),
}


@pytest.mark.parametrize("layout", ORDER)
def test_order_is_the_tools(layout: str) -> None:
    paths, foreign = ORDER[layout]
    parse = named(layout).parse

    found = [(name, path) for path in reversed(paths) if (name := parse(PurePosixPath(path)))]
    assert [path for _name, path in sorted(found, key=lambda item: item[0].order)] == paths
    assert [path for path in foreign if parse(PurePosixPath(path))] == []


def test_every_layout_has_its_cases() -> None:
    assert set(ORDER) == {layout.name for layout in LAYOUTS}


# what one folder holds -> the layout it is of
DETECTED = {
    "plain": [("db/1_a.sql", "SELECT 1"), ("db/2_b.sql", "SELECT 1")],
    "golang-migrate": [("db/1_a.up.sql", ""), ("db/1_a.down.sql", "")],
    "flyway": [("db/V1__a.sql", ""), ("db/R__v.sql", "")],
    "prisma": [("prisma/migrations/2024_a/migration.sql", "")],
    "goose": [("db/1_a.sql", ""), ("db/2_b.sql", "-- +goose Up\nSELECT 1;")],
}


@pytest.mark.parametrize("layout", DETECTED)
def test_detected_by_what_the_files_tell(layout: str) -> None:
    found = detect(DETECTED[layout])

    assert found is not None
    assert found[0].name == layout
    assert found[1]  # and says why


def test_nothing_is_detected_in_other_files() -> None:
    assert detect([("a.sql", "SELECT 1"), ("b.txt", "-- +goose Up")]) is None


PARTS = {
    "V1__a.sql": Part.UP,
    "U1__a.sql": Part.DOWN,
    "B1__a.sql": Part.BASELINE,
    "R__a.sql": Part.REPEATABLE,
}


@pytest.mark.parametrize(("path", "part"), PARTS.items())
def test_flyways_prefixes(path: str, part: Part) -> None:
    name = named("flyway").parse(PurePosixPath(path))

    assert name is not None
    assert name.part is part


def test_gooses_parts_keep_their_line_numbers() -> None:
    text = "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n"
    goose = named("goose")

    assert goose.up(f"-- rehearsal: expect true\n{text}").startswith("-- rehearsal: expect true\n-- +goose NO")
    assert goose.up(text) == "-- +goose NO TRANSACTION\n\nSELECT 1;\n\n\n"
    assert goose.down(text) == "-- +goose NO TRANSACTION\n\n\n\nSELECT 2;\n"  # the mark is for both
    assert goose.down("-- +goose Up\nSELECT 1;") is None


CONCURRENTLY = "CREATE INDEX CONCURRENTLY i ON t (a);"
TRANSACTIONS = {
    ("plain", "SELECT 1;"): Transaction.SINGLE,
    ("plain", CONCURRENTLY): Transaction.NONE,
    ("plain", "CREATE INDEX concurrently_named ON t (a);"): Transaction.SINGLE,
    ("plain", "ALTER TYPE e ADD VALUE 'x';"): Transaction.SINGLE,
    ("plain", "VACUUM t;"): Transaction.NONE,
    ("plain", "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;"): Transaction.NONE,
    ("plain", "REFRESH MATERIALIZED VIEW CONCURRENTLY v;"): Transaction.SINGLE,
    ("golang-migrate", CONCURRENTLY): Transaction.IMPLICIT,
    ("prisma", "SELECT 1;"): Transaction.IMPLICIT,
    ("flyway", CONCURRENTLY): Transaction.NONE,
    ("flyway", "SELECT 1;"): Transaction.SINGLE,
    ("goose", CONCURRENTLY): Transaction.SINGLE,
    ("goose", "-- +goose NO TRANSACTION\n" + CONCURRENTLY): Transaction.NONE,
}


@pytest.mark.parametrize(("layout", "text"), TRANSACTIONS)
def test_transaction_policy(layout: str, text: str) -> None:
    assert named(layout).transaction(text, split(text)) is TRANSACTIONS[layout, text]


def test_flyway_refuses_a_mixed_file() -> None:
    text = "SELECT 1;\n\n" + CONCURRENTLY

    with pytest.raises(ToolRefusal, match="mixes") as refused:
        named("flyway").transaction(text, split(text))
    assert refused.value.line == 3


def test_an_unknown_layout_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'flyway'"):
        named("flywya")
