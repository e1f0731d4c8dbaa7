"""What the history tables of migration tools say, and what follows for the two branches."""

from __future__ import annotations

import hashlib
import zlib

import pytest

from bot import history
from bot.history import Past
from bot.layouts import LAYOUTS, named
from bot.layouts.base import Row
from bot.model import HistoryProblem, Migration, Plan, Recorded, Severity, Standing


def rows(columns: str, *values: str) -> list[Row]:
    """Rows as text: values between bars, `-` for NULL."""
    names = columns.split()
    return [dict(zip(names, [None if v == "-" else v for v in map(str.strip, line.split("|"))], strict=True)) for line in values]


FLYWAY = "installed_rank version description type checksum success"
PRISMA = "migration_name checksum finished_at rolled_back_at"
# layout, its rows -> versions that were run, up to which one, begun and not finished
READ = [
    ("golang-migrate", rows("version dirty", "7 | false"), (["7"], "7", [])),
    ("golang-migrate", rows("version dirty", "7 | true"), (["7"], "7", ["7"])),
    ("golang-migrate", rows("version dirty", "7 | false", "8 | false"), (["7", "8"], None, [])),
    ("goose", rows("id version_id is_applied", "1 | 0 | true", "2 | 5 | true", "3 | 6 | true"), (["5", "6"], None, [])),
    ("goose", rows("id version_id is_applied", "10 | 5 | false", "9 | 5 | true"), ([], None, [])),
    ("dbmate", rows("version", "20240101", "20240102"), (["20240101", "20240102"], None, [])),
    ("diesel", rows("version", "00000000000000"), (["00000000000000"], None, [])),
    ("popx", rows("version", "20240101"), (["20240101"], None, [])),
    ("supabase", rows("version", "20240101000000"), (["20240101000000"], None, [])),
    ("node-pg-migrate", rows("name", "1_a"), (["1_a"], None, [])),
    ("sqlx", rows("version success checksum", r"1 | true | \x00", r"2 | false | \x00"), (["1"], None, ["2"])),
    (
        "flyway",
        rows(FLYWAY, "1 | 1.0 | a | SQL | 5 | true", "2 | - | the view | SQL | 6 | true"),
        (["1", "R the view"], None, []),
    ),
    ("flyway", rows(FLYWAY, "1 | 3 | << Flyway Baseline >> | BASELINE | - | true"), ([], "3", [])),
    ("flyway", rows(FLYWAY, "0 | - | << Flyway Schema Creation >> | SCHEMA | - | true"), ([], None, [])),
    ("flyway", rows(FLYWAY, "2 | 4 | a | UNDO_SQL | 5 | true", "1 | 4 | a | SQL | 5 | true"), ([], None, [])),
    ("flyway", rows(FLYWAY, "1 | 4 | a | SQL | 5 | false"), ([], None, ["4"])),
    ("prisma", rows(PRISMA, "1_a | x | now | -", "2_b | x | - | now", "3_c | x | - | -"), (["1_a"], None, ["3_c"])),
    ("drizzle", rows("created_at hash", "99 | x", "100 | x"), (["99", "100"], "100", [])),
    ("sqitch", rows("change script_hash committed_at", "a | x | 2", "a | y | 1", "b | z | 3"), (["a", "a#2", "b"], None, [])),
    (
        "atlas",
        rows(
            "version type applied total", ".atlas_cloud_identifier | 2 | 0 | 0", "1 | 2 | 3 | 3", "2 | 2 | 1 | 3", "0 | 1 | 0 | 0"
        ),
        (["1"], "0", ["2"]),
    ),
    ("hasura", rows("cli_state", '{"migrations": {"default": {"17": false, "18": true}}}'), (["17"], None, ["18"])),
    *(("hasura", rows("cli_state", text), ([], None, [])) for text in ("-", "{", "[]", '{"migrations": []}', "[" * 99_999)),
]


@pytest.mark.parametrize(("layout", "found", "said"), READ)
def test_what_rows_say(layout: str, found: list[Row], said: object) -> None:
    table = named(layout).history
    assert table is not None
    recorded = table.reading(found)

    assert (list(recorded.versions), recorded.up_to, list(recorded.broken)) == said


@pytest.mark.parametrize("layout", [layout for layout in LAYOUTS if layout.history], ids=lambda layout: layout.name)
def test_rows_that_make_no_sense_raise_nothing(layout: object) -> None:
    table = named(layout.name).history  # type: ignore[attr-defined]
    assert table is not None
    columns = [table.version_column, *table.columns]

    for value in (None, "", "x", "-1", "9" * 5000, "٣", "1.2.3", "\0"):
        recorded = table.reading([dict.fromkeys(columns, value)] * 2)
        assert table.done(recorded)("1") in (True, False)


TEXT = b"CREATE TABLE a ();\r\nSELECT 1;\n"
# layout -> what its table keeps of a file
CHECKSUMS = {
    "sqlx": hashlib.sha384(TEXT).hexdigest(),
    "prisma": hashlib.sha256(TEXT).hexdigest(),
    "drizzle": hashlib.sha256(TEXT).hexdigest(),
    "sqitch": hashlib.sha1(TEXT, usedforsecurity=False).hexdigest(),
    "flyway": str(zlib.crc32(b"CREATE TABLE a ();SELECT 1;") - 2**32),  # a signed number in Java
}


@pytest.mark.parametrize("layout", CHECKSUMS)
def test_checksums(layout: str) -> None:
    table = named(layout).history
    assert table is not None
    assert table.checksum is not None

    assert table.checksum(TEXT) == CHECKSUMS[layout]
    assert {layout.name for layout in LAYOUTS if layout.history and layout.history.checksum} == CHECKSUMS.keys()


@pytest.mark.parametrize("text", [b"CREATE TABLE a ();\nSELECT 1;", b"\xef\xbb\xbfCREATE TABLE a ();\r\nSELECT 1;\r\n", TEXT])
def test_to_flyway_line_ends_and_a_byte_order_mark_make_no_difference(text: bytes) -> None:
    table = named("flyway").history
    assert table is not None
    assert table.checksum is not None

    assert table.checksum(text) == CHECKSUMS["flyway"]


def standing(number: int, **more: object) -> Standing:
    return Standing(f"m/{number}_x.up.sql", str(number), "golang-migrate", "blob", str(number), **more)  # type: ignore[arg-type]


NEW = Migration("m/9_x.up.sql", "9", "golang-migrate", "SELECT 1;", recorded="9")
PLAN = Plan((NEW,), standing=tuple(standing(n) for n in range(1, 4)))
AT_2 = Recorded(("2",), "2", table="schema_migrations")
# what the plan is, what the seed has -> what is run first
PENDING = [
    (PLAN, AT_2, ["m/3_x.up.sql"]),
    (PLAN, Recorded(("2",), table="x"), ["m/1_x.up.sql", "m/3_x.up.sql"]),
    (PLAN, Recorded(("2",), "2", ("2",)), []),  # the tool would go no further
    (Plan((NEW,), standing=(standing(1), standing(3, due=False))), AT_2, []),
    (Plan((NEW,), standing=(standing(1), standing(3, sql=False))), AT_2, ["m/3_x.up.sql"]),  # said: it can't be run here
]


@pytest.mark.parametrize(("plan", "recorded", "paths"), PENDING)
def test_what_the_seed_lacks(plan: Plan, recorded: Recorded, paths: list[str]) -> None:
    assert [one.path for one in history.pending(plan, {"golang-migrate": recorded})] == paths


# what a table says -> whether it is about the base branch's migrations
OURS = [(AT_2, True), (Recorded(("77",)), False), (Recorded(broken=("3",)), True), (Recorded(("9",)), False), (Recorded(), False)]


@pytest.mark.parametrize(("recorded", "ours"), OURS)
def test_a_table_that_knows_none_of_ours_is_anothers(recorded: Recorded, ours: bool) -> None:
    assert history.is_of(recorded, PLAN, "golang-migrate") is ours
    assert history.is_of(recorded, Plan((NEW,)), "golang-migrate")  # the base branch has none that it could know


def test_a_new_migration_that_was_run_or_never_would_be() -> None:
    run = Recorded(("9",), "9", table="schema_migrations")
    past = Recorded(("`*99*`",), "12", table="schema_migrations")

    said = [history.already_run(PLAN, Past({"golang-migrate": recorded})) for recorded in (AT_2, run, past)]

    table = "golang-migrate, whose table `schema_migrations` in the seed"
    assert said == [
        {},
        {
            NEW.path: HistoryProblem(
                NEW.path, f"was run already, says {table} has its version: it would not be run, and is not rehearsed"
            )
        },
        {NEW.path: HistoryProblem(NEW.path, f"would never be run by {table} is at `12` already: it is not rehearsed")},
    ]


def test_of_a_folder_that_the_seed_has_the_first_are_told() -> None:
    plan = Plan(tuple(Migration(f"m/{n}.up.sql", str(n), "golang-migrate", "", recorded=str(n)) for n in range(1, 21)))

    told = list(history.not_run(plan, Past({"golang-migrate": Recorded(("17",), "17", table="x")})))

    assert [p.path for p in told] == [f"m/{n}.up.sql" for n in range(1, 7)]
    assert told[-1].message == "and 11 more would not be run by their tool either: they are not rehearsed"


def test_versions_that_only_the_seed_has_are_named_as_anybodys_text() -> None:
    recorded = Recorded(("1", "`x`", "y" * 200, "z", "zz"), table="schema_migrations")

    (note,) = history.not_known_here(PLAN, {"golang-migrate": recorded})

    assert note == f"schema_migrations in the seed has 4 versions that the branch has not: `ˋxˋ`, `{'y' * 100}…`, `z`, …."


def test_a_text_that_differs_from_the_recorded_one_weighs_what_its_tool_makes_of_it() -> None:
    weights = {}
    for layout in CHECKSUMS:
        one = Standing("m/1.sql", "1", layout, "blob", "1")
        found = list(history.differing([(one, TEXT)], {layout: Recorded(("1",), checksums={"1": "x"}, table="t")}))
        weights[layout] = found[0].severity

    assert weights == {
        "sqlx": Severity.WARNING,
        "flyway": Severity.WARNING,
        "prisma": Severity.NOTICE,
        "drizzle": Severity.NOTICE,
        "sqitch": Severity.NOTICE,
    }


def test_only_tables_that_a_migration_names_are_written_without_a_dump() -> None:
    named_it = Migration("m/9_x.up.sql", "9", "golang-migrate", 'DELETE FROM "Schema_Migrations"', recorded="9")

    assert (history.named_tables(PLAN), history.named_tables(Plan((named_it,)))) == ((), ("golang-migrate",))
