"""Layouts: what a name tells, the order, which layout it is, and how its tool sends a file."""

from __future__ import annotations

import itertools
import re
from pathlib import PurePosixPath
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import UsageError
from bot.layouts import LAYOUTS, Layout, Part, detect, named, with_folders
from bot.layouts.base import Entry, ToolRefusal
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
    "goose": (["1_a.sql", "9_b.sql", "00010_c.sql", "11_d.go"], ["a.sql", "1-a.sql", "1_a_test.go"]),
    "sqlx": (["1_a.sql", "9_b.up.sql", "0010_c.sql"], ["22-x.sql", "a_1.sql", "1_a.SQL"]),
    "dbmate": (["10_c.sql", "22-x.sql", "3.sql", "9_a.sql"], ["a_1.sql", "1_a.txt"]),  # names as text, and no _ is needed
    "diesel": (
        ["00000000000000_setup/up.sql", "2024-01-09-000000_a/up.sql", "20240110000000_b/up.sql"],
        ["2024-01-09-000000_a/other.sql", "2024-01-09-000000/up.sql", "a/up.sql", "1_a.sql"],
    ),
    "hasura": (["9_a/up.sql", "1706702400000_b/up.sql"], ["1706702400000_b/up.yaml", "b/up.sql", "2024-01-01_a/up.sql"]),
    "drizzle": (["0000_a.sql", "0009_b.sql", "10_c.sql"], ["a.sql", "0001_a.up.sql", "meta/_journal.json"]),
    "supabase": (["20240101000000_a.sql", "20240102000000_b.sql", "3_c.sql"], ["a.sql", "20240101-a.sql"]),
    "sqitch": (["deploy/a.sql", "deploy/b.sql", "deploy/users/c.sql"], ["a.sql", "sqitch.plan", "deploy/a.txt"]),
    "node-pg-migrate": (
        # 17 digits are a date: the last one is of the year 2020, in milliseconds 1589352424505
        ["notes.sql", "1_a.sql", "2-a.sql", "1589352424504_b.js", "20200513064704505_c.sql", "1589352424506_d.sql"],
        [".1_hidden.sql", "1_a.txt", "a.js"],
    ),
    "atlas": (["1.sql", "10_a.sql", "9_b.sql", "baseline.sql"], ["1_a.up.sql", "1_a.hcl"]),
    "popx": (
        ["10_a.postgres.up.sql", "2_b.up.sql", "3_c.postgres.autocommit.up.sql"],
        ["1_a.sql", "1_a.oracle.up.sql", "1_a.autocommit.up.sql"],
    ),
    "rails": (["db/migrate/1_a.rb", "db/migrate/20240101000000_b.rb"], ["db/structure.sql", "lib/1_a.rb", "db/migrate/1_a.sql"]),
    "alembic": (["m/versions/0a1b_x.py", "m/versions/1c2d_y.py"], ["m/env.py", "m/versions/__init__.py", "m/versions/1_a.sql"]),
    "django": (["app/migrations/0001_initial.py", "app/migrations/0002_b.py"], ["app/migrations/__init__.py", "app/0001_a.py"]),
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
    "sqlx": [("db/1_a.up.sql", ""), ("db/2_b.sql", "-- no-transaction\nSELECT 1;")],
    "dbmate": [("db/1_a.sql", ""), ("db/2_b.sql", "\n-- migrate:up transaction:false\n")],
    "diesel": [("m/2024-01-09-000000_a/up.sql", "")],
    "hasura": [("m/default/1706702400000_a/up.sql", "")],
    "drizzle": [("m/0000_a.sql", ""), ("m/0001_b.sql", "SELECT 1;\n--> statement-breakpoint\nSELECT 2;")],
    "supabase": [("supabase/migrations/20240101000000_a.sql", "")],
    "node-pg-migrate": [("m/1706702400000_a.sql", "-- Up Migration\nSELECT 1;\n-- Down Migration\n")],
    "atlas": [("m/1_a.sql", "-- atlas:txmode none\n\nSELECT 1;")],
    "popx": [("m/1_a.up.sql", ""), ("m/1_a.mysql.up.sql", "")],
    "rails": [("db/migrate/1_a.rb", "")],
}


@pytest.mark.parametrize("layout", DETECTED)
def test_detected_by_what_the_files_tell(layout: str) -> None:
    found = detect(DETECTED[layout])

    assert found is not None
    assert found[0].name == layout
    assert found[1]  # and says why


# a migration, and what lies beside it -> the layout, and why
MARKED = {
    ("db/1_a.sql", "db/meta/_journal.json"): ("drizzle", "db/meta/_journal.json is there"),
    ("db/1_a.sql", "db/atlas.sum"): ("atlas", "db/atlas.sum is there"),
    ("deploy/a.sql", "sqitch.plan"): ("sqitch", "sqitch.plan is there"),
    ("crates/db/migrations/1_a.sql", ".sqlx/query-0a.json"): ("sqlx", ".sqlx is there"),
    ("crates/db/migrations/1_a.up.sql", "crates/.sqlx/query-0a.json"): ("sqlx", "crates/.sqlx is there"),
    ("m/1706702400000_a/up.sql", "diesel.toml"): ("hasura", "milliseconds"),
    ("m/1_a/up.sql", "diesel.toml"): ("diesel", "a folder with an up.sql"),
    ("db/V1__a.sql", "db/atlas.sum"): ("flyway", "as Flyway names"),  # Atlas only lints such a folder
    ("m/versions/0a1b_x.py", "m/env.py"): ("alembic", "m/env.py is there"),
    ("m/versions/0a1b_x.py", "m/script.py.mako"): ("alembic", "m/script.py.mako is there"),
    ("app/migrations/0001_initial.py", "app/migrations/__init__.py"): ("django", "app/migrations/__init__.py is there"),
    ("a/app/migrations/0001_initial.py", "a/manage.py"): ("django", "a/manage.py is there"),
    ("db/1_a.up.sql", "db/atlas.sum"): ("golang-migrate", ".up.sql"),
    ("db/1_a.sql", "other/atlas.sum"): ("plain", "begins with a number"),
}


@pytest.mark.parametrize(("files", "told"), MARKED.items(), ids=" + ".join)
def test_detected_by_what_lies_beside(files: tuple[str, str], told: tuple[str, str]) -> None:
    migration, mark = files

    found = detect([(migration, "SELECT 1;")], with_folders([migration, mark]))

    assert found is not None
    assert (found[0].name, told[1] in found[1]) == (told[0], True), found[1]


# the lines that tell a tool's files from those of others with the same names
TEMPLATES = {
    "-- Add migration script here\nSELECT 1;": "sqlx",
    "SELECT 1 FROM _sqlx_migrations;": "sqlx",
    "-- migrate:upwards\nSELECT 1;": "plain",
    "-- a comment\n-- no-transaction\nSELECT 1;": "plain",
    "-- atlas:nolint\nSELECT 1;": "plain",  # of one statement: nothing about the file
    "---- UP  MIGRATION\nSELECT 1;": "node-pg-migrate",
    "-- Up migration: adds a column\nSELECT 1;": "plain",  # anybody's comment, though node-pg-migrate would begin there too
}


@pytest.mark.parametrize(("text", "layout"), TEMPLATES.items())
def test_lines_that_tell_the_tool(text: str, layout: str) -> None:
    found = detect([("db/1_a.sql", text)])

    assert found is not None
    assert found[0].name == layout


def test_nothing_is_detected_in_other_files() -> None:
    assert detect([("a.sql", "SELECT 1"), ("b.txt", "-- +goose Up")]) is None


PARTS = {
    "V1__a.sql": Part.UP,
    "U1__a.sql": Part.DOWN,
    "B1__a.sql": Part.BASELINE,
    "R__a.sql": Part.REPEATABLE,
    "afterMigrate.sql": Part.OTHER,
    "beforeEachMigrate__x.sql": Part.OTHER,
}


@pytest.mark.parametrize(("path", "part"), PARTS.items())
def test_flyways_prefixes(path: str, part: Part) -> None:
    name = named("flyway").parse(PurePosixPath(path))

    assert name is not None
    assert name.part is part


# layout, file -> what it is to its tool
OTHER_PARTS = {
    ("golang-migrate", "1_a.down.sql"): Part.DOWN,
    ("sqlx", "1_a.down.sql"): Part.DOWN,
    ("diesel", "2024-01-01-000000_a/down.sql"): Part.DOWN,
    ("hasura", "1706702400000_a/down.sql"): Part.DOWN,
    ("sqitch", "x/revert/a.sql"): Part.DOWN,
    ("sqitch", "verify/a.sql"): Part.OTHER,
    ("popx", "1_a.postgres.down.sql"): Part.DOWN,
    ("popx", "1_a.mysql.up.sql"): Part.OTHER,
    ("popx", "1_a.cockroach.up.sql"): Part.OTHER,
    ("popx", "1_a.up.fizz"): Part.CODE,
    ("goose", "1_a.go"): Part.CODE,
    ("node-pg-migrate", "1706702400000_a.ts"): Part.CODE,
    ("rails", "db/migrate/1_a.rb"): Part.CODE,
    ("alembic", "m/versions/0a1b_x.py"): Part.CODE,
    ("django", "app/migrations/0001_initial.py"): Part.CODE,
}


@pytest.mark.parametrize(("layout", "path"), OTHER_PARTS)
def test_what_is_no_up_part(layout: str, path: str) -> None:
    name = named(layout).parse(PurePosixPath(path))

    assert name is not None
    assert name.part is OTHER_PARTS[layout, path]


# layout, two names -> whether the tool takes them for one version
SAME_VERSION = {
    ("golang-migrate", "1_a.up.sql", "001_b.up.sql"): True,
    ("sqlx", "1_a.sql", "01_b.up.sql"): True,
    ("goose", "1_a.sql", "1_b.go"): True,
    ("flyway", "V1__a.sql", "V1_0__b.sql"): True,
    ("flyway", "V1_1__a.sql", "V1.1__b.sql"): True,
    ("plain", "1_a.sql", "01-b.sql"): True,
    ("diesel", "2024-01-01-000000_a/up.sql", "20240101000000_b/up.sql"): True,
    ("dbmate", "1_a.sql", "1_b.sql"): True,
    ("dbmate", "1_a.sql", "01_b.sql"): False,  # it compares them as text
    ("popx", "1_a.up.sql", "1_a.postgres.up.sql"): True,
    ("prisma", "1_a/migration.sql", "1_b/migration.sql"): False,  # the whole name is the version
    ("drizzle", "0001_a.sql", "0001_b.sql"): False,
    ("node-pg-migrate", "1_a.sql", "1_b.sql"): False,
}


@pytest.mark.parametrize(("layout", "one", "other"), SAME_VERSION)
def test_what_is_one_version(layout: str, one: str, other: str) -> None:
    names = [named(layout).parse(PurePosixPath(path)) for path in (one, other)]

    assert (names[0].identity == names[1].identity) is SAME_VERSION[layout, one, other]  # type: ignore[union-attr]


def test_gooses_parts_keep_their_line_numbers() -> None:
    text = "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;\n-- +goose Down\nSELECT 2;\n"
    goose = named("goose")

    assert goose.up(f"-- rehearsal: expect true\n{text}").startswith("-- rehearsal: expect true\n-- +goose NO")
    assert goose.up(text) == "-- +goose NO TRANSACTION\n\nSELECT 1;\n\n\n"
    assert goose.down(text) == "-- +goose NO TRANSACTION\n\n\n\nSELECT 2;\n"  # the mark is for both
    assert goose.down("-- +goose Up\nSELECT 1;") is None


# layout, text -> its up part, its way back
SECTIONS = {
    ("dbmate", "-- a\n-- migrate:up\nSELECT 1;\n-- migrate:down transaction:false\nSELECT 2;\n"): (
        "-- a\n-- migrate:up\nSELECT 1;\n\n\n",
        "\n\n\n-- migrate:down transaction:false\nSELECT 2;\n",  # the mark says how it is sent, and stays
    ),
    ("dbmate", "-- migrate:up\nSELECT 1;"): ("-- migrate:up\nSELECT 1;", None),
    ("node-pg-migrate", "-- rehearsal: expect true\n-- Up Migration\nSELECT 1;\n--- down migration\nSELECT 2;"): (
        "-- rehearsal: expect true\n\nSELECT 1;\n\n",
        "\n\n\n\nSELECT 2;",
    ),
    ("node-pg-migrate", "SELECT 1;\n-- Down Migration\nSELECT 2;"): ("SELECT 1;\n\n", "\n\nSELECT 2;"),
    ("node-pg-migrate", "SELECT 1;"): ("SELECT 1;", None),
    ("drizzle", "SELECT 1;\n--> statement-breakpoint\nSELECT 2;"): ("SELECT 1;\n--> statement-breakpoint\nSELECT 2;", None),
}


@pytest.mark.parametrize(("layout", "text"), SECTIONS)
def test_parts_of_one_file_keep_their_line_numbers(layout: str, text: str) -> None:
    assert (named(layout).up(text), named(layout).down(text)) == SECTIONS[layout, text]


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
    ("sqlx", CONCURRENTLY): Transaction.SINGLE,
    ("sqlx", "-- no-transaction\n" + CONCURRENTLY): Transaction.IMPLICIT,  # sent as it is: still one if there are several
    ("sqlx", "\n-- no-transaction\n" + CONCURRENTLY): Transaction.SINGLE,  # not at the very beginning
    ("dbmate", "-- migrate:up\n" + CONCURRENTLY): Transaction.SINGLE,
    ("dbmate", "-- migrate:up transaction:false\n" + CONCURRENTLY): Transaction.IMPLICIT,
    ("dbmate", "-- migrate:up x:y transaction:false z\n" + CONCURRENTLY): Transaction.IMPLICIT,
    ("dbmate", "-- migrate:up transaction:falsely\n" + CONCURRENTLY): Transaction.SINGLE,
    ("dbmate", "-- migrate:down transaction:false\n" + CONCURRENTLY): Transaction.IMPLICIT,
    ("diesel", CONCURRENTLY): Transaction.SINGLE,
    ("diesel", "/* run_in_transaction = false */ " + CONCURRENTLY): Transaction.IMPLICIT,
    ("flyway", "/* executeInTransaction=false */ SELECT 1;\n" + CONCURRENTLY): Transaction.NONE,
    ("hasura", CONCURRENTLY): Transaction.SINGLE,
    ("drizzle", CONCURRENTLY): Transaction.SINGLE,
    ("supabase", CONCURRENTLY): Transaction.SINGLE,
    ("sqitch", "SELECT 1;"): Transaction.NONE,
    ("node-pg-migrate", CONCURRENTLY): Transaction.SINGLE,
    ("atlas", CONCURRENTLY): Transaction.SINGLE,
    ("atlas", "-- atlas:txmode none\n\n" + CONCURRENTLY): Transaction.NONE,
    ("atlas", "-- atlas:txmode none\n" + CONCURRENTLY): Transaction.SINGLE,  # of the statement, as no empty line follows
    ("popx", CONCURRENTLY): Transaction.SINGLE,
    ("popx", "/* autocommit */ " + CONCURRENTLY): Transaction.IMPLICIT,  # of 1_a.postgres.autocommit.up.sql
}


@pytest.mark.parametrize(("layout", "text"), TRANSACTIONS)
def test_transaction_policy(layout: str, text: str) -> None:
    assert named(layout).transaction(text, split(text)) is TRANSACTIONS[layout, text]


def test_flyway_refuses_a_mixed_file() -> None:
    text = "SELECT 1;\n\n" + CONCURRENTLY

    with pytest.raises(ToolRefusal, match="mixes") as refused:
        named("flyway").transaction(text, split(text))
    assert refused.value.line == 3


# what dbmate refuses -> the line it stumbles on
REFUSED_BY_DBMATE = {
    "SELECT 1;": 1,
    "-- a\n\nSELECT 1;\n-- migrate:up\nSELECT 2;": 3,
    "-- migrate:down\nSELECT 1;": 1,
}


@pytest.mark.parametrize(("text", "line"), REFUSED_BY_DBMATE.items())
def test_dbmate_refuses_a_file_without_its_marks(text: str, line: int) -> None:
    up = named("dbmate").up(text)

    with pytest.raises(ToolRefusal, match="dbmate refuses") as refused:
        named("dbmate").transaction(up, split(up))
    assert refused.value.line == line


def test_atlas_tells_a_checkpoint_by_its_head() -> None:
    skips = named("atlas").skips
    assert skips is not None

    assert skips("-- atlas:checkpoint\n\nCREATE TABLE t ();") is not None
    assert skips("-- atlas:checkpoint v1\n\nCREATE TABLE t ();") is not None
    assert skips("SELECT 1;\n-- atlas:checkpoint\n\n") is None


# ── Indexes, and settings beside a file ──────────────────────────────────────────────────────────────────────────────────

PLAN = """\
%syntax-version=1.0.0
%project=shop

schema 2024-01-01T00:00:00Z Ann <ann@example.org> # the schema
users [schema] 2024-01-02T00:00:00Z Ann <ann@example.org>
@v1 2024-01-03T00:00:00Z Ann <ann@example.org> # first release
  + orders [users schema] 2024-01-04T00:00:00Z Ann <ann@example.org>
# a comment

users [users@v1] 2024-01-05T00:00:00Z Ann <ann@example.org> # reworked
"""


def test_sqitchs_plan_is_its_order() -> None:
    listed = named("sqitch").index.read(PLAN)  # type: ignore[union-attr]

    # The script of a change that was reworked is kept under the next tag, and the name is the new one's.
    assert sorted(listed, key=lambda name: listed[name].place) == ["schema", "users@v1", "orders", "users"]
    assert named("sqitch").kept("users@v1") == "users"
    assert named("sqitch").kept("users") is None


JOURNAL = """{"version": "7", "entries": [
    {"idx": 0, "when": 1700000000000, "tag": "0000_a", "breakpoints": true},
    {"idx": 1, "when": 1600000000000, "tag": "0001_b", "breakpoints": true}]}"""


def test_drizzles_journal_is_its_order_and_its_dates_tell_what_is_new() -> None:
    listed = named("drizzle").index.read(JOURNAL)  # type: ignore[union-attr]

    assert {tag: entry.place for tag, entry in listed.items()} == {"0000_a": 0, "0001_b": 1}
    assert listed["0001_b"].stamp < listed["0000_a"].stamp


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout.index], ids=lambda layout: layout.name)
@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", "[" * 100_000, '{"entries": 1}', '{"entries": [{"tag": 1, "when": {}}]}', "%@#+-\n@\n+\n\0", "9" * 5000],
)
def test_any_index_is_read(layout: Layout, text: str) -> None:
    assert all(isinstance(entry, Entry) for entry in layout.index.read(text).values())  # type: ignore[union-attr]


# layout, its settings -> whether they take the migration out of its transaction
SETTINGS = {
    ("diesel", "run_in_transaction = false\n"): True,
    ("diesel", "# a comment\n  run_in_transaction=false # why"): True,
    ("diesel", "# run_in_transaction = false"): False,
    ("diesel", "run_in_transaction = true"): False,
    ("flyway", "executeInTransaction=false"): True,
    ("flyway", "encoding=UTF-8\r\nflyway.executeInTransaction = FALSE\r\n"): True,
    ("flyway", "#executeInTransaction=false"): False,
}


@pytest.mark.parametrize(("layout", "text"), SETTINGS)
def test_settings_beside_a_file(layout: str, text: str) -> None:
    beside = named(layout).beside
    assert beside is not None

    remark = beside.remark(text)

    assert bool(remark) is SETTINGS[layout, text]
    assert "\n" not in remark  # lines stay where they are
    assert (named(layout).transaction(f"{remark}SELECT 1;", split("SELECT 1;")) is not Transaction.SINGLE) is bool(remark)


# ── Every layout ─────────────────────────────────────────────────────────────────────────────────────────────────────────

KINDS = [
    "{v}_x.sql", "{v}-x.sql", "{v}.sql", "V{v}__x.sql", "R__{v}.sql", "{v}_x.up.sql", "{v}_x.postgres.up.sql", "{v}_x/up.sql",
    "{v}_x/migration.sql", "deploy/{v}.sql", "db/migrate/{v}_x.rb", "{v}_y.js",
]  # fmt: skip
VERSIONS = st.integers(0, 10**18).map(str) | st.from_regex(r"\A[0-9]{1,18}([._-][0-9]{1,9}){0,2}\Z")
NAMES = st.builds(lambda kind, version: kind.format(v=version), st.sampled_from(KINDS), VERSIONS)


@given(st.sampled_from(LAYOUTS), st.lists(NAMES, unique=True, max_size=12), st.randoms(use_true_random=False))
def test_every_layouts_order_is_total_and_no_matter_of_the_input(layout: Layout, paths: list[str], random: Random) -> None:
    parsed = {path: name for path in paths if (name := layout.parse(PurePosixPath(path)))}

    def ordered(these: list[str]) -> list[str]:
        return sorted(these, key=lambda path: (parsed[path].order, path))

    shuffled = [*parsed]
    random.shuffle(shuffled)
    assert ordered(shuffled) == ordered([*parsed])
    # Any two are in the same order as among all: what compares so is no matter of what else is there.
    for one, other in itertools.pairwise(ordered([*parsed])):
        assert ordered([other, one]) == [one, other]


BY_NUMBER = ["plain", "golang-migrate", "goose", "sqlx", "hasura", "drizzle", "flyway"]
BY_VERSION_AS_TEXT = ["diesel", "popx"]
BY_NAME_AS_TEXT = ["dbmate", "prisma", "supabase", "atlas"]


@given(st.lists(st.integers(0, 10**12), unique=True, min_size=2, max_size=8))
def test_numbers_are_compared_as_the_tool_does(numbers: list[int]) -> None:
    for layout in map(named, [*BY_NUMBER, *BY_VERSION_AS_TEXT, *BY_NAME_AS_TEXT]):
        shape = re.sub("[0-9]+([_-][0-9]+)*", "{}", layout.example, count=1)
        names = {n: layout.parse(PurePosixPath(shape.format(n))) for n in numbers}

        ordered = sorted(numbers, key=lambda n: names[n].order)  # type: ignore[union-attr]

        key = int if layout.name in BY_NUMBER else str if layout.name in BY_VERSION_AS_TEXT else "{}_name".format
        assert ordered == sorted(numbers, key=key), layout.name


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layouts_example_is_a_migration_of_it(layout: Layout) -> None:
    name = layout.parse(PurePosixPath(layout.example))

    assert name is not None
    assert name.part is (Part.CODE if layout.refused else Part.UP)


def test_an_unknown_layout_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'flyway'"):
        named("flywya")
