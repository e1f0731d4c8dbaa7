"""Which of a pull request's files are migrations, in which order, on what base, and what is wrong with the history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from pathlib import PurePosixPath
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.discovery import Known, decode, plan_changes, plan_files, with_same_version
from bot.errors import MigrationFileError
from bot.layouts import LAYOUTS, Layout, detect, named
from bot.model import FileChange, FileStatus, Plan, Severity
from bot.sources import place
from bot.sql import split
from tests.histories import HISTORIES, with_atlas_sum

A, M, D, R = FileStatus.ADDED, FileStatus.MODIFIED, FileStatus.REMOVED, FileStatus.RENAMED


def plan(
    changes: Sequence[FileChange], base: Sequence[str] = (), texts: Mapping[str, str] | None = None, **options: object
) -> Plan:
    """A plan over files that hold `SELECT 2` now and `SELECT 1` at the base unless told otherwise."""

    def read(path: str) -> bytes:
        return (texts or {}).get(path, "SELECT 2;").encode()

    def read_base(path: str) -> bytes:
        return (texts or {}).get(path, "SELECT 1;").encode()

    return plan_changes(changes, base, read, read_base, **options)  # type: ignore[arg-type]


def paths(found: Plan) -> tuple[list[str], list[str]]:
    """What is rehearsed, and what it stands on."""
    return [path for m in found.migrations for path in m.files or (m.path,)], [m.path for m in found.base]


def test_new_files_in_order_on_what_the_base_has() -> None:
    base = ["db/migrations/1_a.sql", "db/migrations/2_b.sql", "src/3_c.sql"]
    changes = [FileChange("db/migrations/10_d.sql", A), FileChange("db/migrations/9_c.sql", A), FileChange("app.py", A)]

    assert paths(plan(changes, base)) == (
        ["db/migrations/9_c.sql", "db/migrations/10_d.sql"],
        ["db/migrations/1_a.sql", "db/migrations/2_b.sql"],
    )


def test_a_numbered_sql_file_counts_only_in_a_folder_of_migrations() -> None:
    changes = [FileChange("docs/1_example.sql", A), FileChange("tests/data/2_rows.sql", A)]

    assert paths(plan(changes)) == ([], [])
    assert paths(plan(changes, folders=["tests/data"]))[0] == ["tests/data/2_rows.sql"]


def test_folders_and_layout_win_over_what_files_tell() -> None:
    changes = [FileChange("a/V1__x.sql", A), FileChange("b/2_y.sql", A)]

    assert paths(plan(changes, folders=["b"]))[0] == ["b/2_y.sql"]
    assert paths(plan(changes, layout="plain", folders=["*/*.sql"]))[0] == ["b/2_y.sql"]


def test_down_files_are_paired_not_rehearsed() -> None:
    changes = [FileChange("m/1_a.down.sql", A), FileChange("m/1_a.up.sql", A), FileChange("m/2_b.up.sql", A)]

    found = plan(changes, texts={"m/1_a.down.sql": "SELECT 'down'"})

    assert [(m.path, m.down_path, m.down) for m in found.migrations] == [
        ("m/1_a.up.sql", "m/1_a.down.sql", "SELECT 'down'"),
        ("m/2_b.up.sql", None, None),
    ]


def test_prismas_base_is_beside_the_new_folder() -> None:
    base = ["prisma/migrations/1_a/migration.sql", "other/migrations/1_z/migration.sql"]

    assert paths(plan([FileChange("prisma/migrations/2_b/migration.sql", A)], base)) == (
        ["prisma/migrations/2_b/migration.sql"],
        ["prisma/migrations/1_a/migration.sql"],
    )


def test_a_changed_repeatable_is_run_again_after_all_versions() -> None:
    base = ["db/R__view.sql", "db/V1__a.sql"]

    assert paths(plan([FileChange("db/R__view.sql", M), FileChange("db/V2__b.sql", A)], base)) == (
        ["db/V2__b.sql", "db/R__view.sql"],
        ["db/V1__a.sql"],
    )


# what happened to a file that the base has -> a part of what is said of it
PROBLEMS = {
    FileChange("db/V1__a.sql", M): "edited",
    FileChange("db/V1__a.sql", D): "deleted",
    FileChange("db/V3__a.sql", R, "db/V1__a.sql"): "run it again",
}


@pytest.mark.parametrize("change", PROBLEMS, ids=PROBLEMS.values())
def test_changing_what_was_merged_is_a_problem(change: FileChange) -> None:
    found = plan([change, FileChange("db/V9__new.sql", A)], ["db/V1__a.sql"])

    (problem,) = found.problems
    assert PROBLEMS[change] in problem.message


@pytest.mark.parametrize("status", [M, D])
def test_a_change_without_a_new_migration_is_said_too(status: FileStatus) -> None:
    found = plan([FileChange("db/V1__a.sql", status)], ["db/V1__a.sql"])

    assert (len(found.migrations), len(found.problems)) == (0, 1)


def test_a_changed_mode_is_no_edit() -> None:
    found = plan([FileChange("db/V1__a.sql", M)], ["db/V1__a.sql"], texts={"db/V1__a.sql": "SELECT 1;"})

    assert found.problems == ()


def test_a_file_that_is_no_migration_is_not_read_as_one() -> None:
    def read(path: str) -> bytes:
        return b"SELECT '\xff'" if path == "db/other.sql" else b"SELECT 1;"

    found = plan_changes([FileChange("db/other.sql", A), FileChange("db/V1__a.sql", A)], [], read, read)

    assert [m.path for m in found.migrations] == ["db/V1__a.sql"]


def test_named_files_keep_the_order_given_and_stand_on_the_earlier_ones() -> None:
    texts = {f"m/{n}_x.sql": b"SELECT 1;" for n in range(1, 6)}

    found = plan_files(["m/4_x.sql", "m/3_x.sql"], list(texts), texts.__getitem__, None)

    assert paths(found) == (["m/4_x.sql", "m/3_x.sql"], ["m/1_x.sql", "m/2_x.sql"])


def test_a_file_of_no_layout_is_rehearsed_when_it_is_named() -> None:
    found = plan_files(["fix.sql"], [], lambda _path: b"SELECT 1;", None)

    assert [(m.path, m.version, m.layout) for m in found.migrations] == [("fix.sql", "fix", "plain")]
    assert found.base == ()


# content of a file -> what the error must say
WRONG_FILES = {
    "latin1": (b"SELECT 1;\n-- caf\xe9", "1.sql:2: the file is not UTF-8 (byte 0xe9 at offset 16)"),
    "utf16": ("SELECT 1".encode("utf-16"), "1.sql:1: the file is not UTF-8"),
    "nul": (b"SELECT 1;\0", "1.sql:1: the file holds a NUL byte"),
    "meta-command": (b"SELECT 1;\n\\gexec other.sql\n", "1.sql:2: \\gexec is a command of psql"),
}


@pytest.mark.parametrize(("content", "said"), WRONG_FILES.values(), ids=WRONG_FILES.keys())
def test_a_file_that_no_server_could_read_is_refused_with_its_line(content: bytes, said: str) -> None:
    with pytest.raises(MigrationFileError) as refused:
        plan_files(["1.sql"], [], lambda _path: content, None)
    assert said in str(refused.value)
    assert refused.value.exit_status == 2


def test_a_placeholder_without_a_value_is_named() -> None:
    with pytest.raises(MigrationFileError, match=r"V1__a.sql:2: the placeholder \$\{schema\} has no value"):
        plan_files(["V1__a.sql"], [], lambda _path: b"SELECT 1;\nSET search_path = ${schema};", None)


def test_a_byte_order_mark_is_dropped_where_the_tool_drops_it() -> None:
    content = "\ufeffSELECT 1;".encode()

    texts = [plan_files([path], [], lambda _path: content, None).migrations[0].text for path in ("V1__a.sql", "1_a.up.sql")]

    assert texts == ["SELECT 1;", "\ufeffSELECT 1;"]


def test_decode_takes_what_is_utf8() -> None:
    assert decode("x", "ä\r\n".encode()) == "ä\r\n"


# ── Expectations ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# migration -> the file beside it that holds what it expects
EXPECTATIONS = {
    "db/migrations/0042_x.sql": "db/migrations/0042_x.expect.sql",
    "m/1_x.up.sql": "m/1_x.up.expect.sql",
    "m/2_x.up.sql": "m/2_x.expect.sql",
    "db/V1_2__x.sql": "db/V1_2__x.expect.sql",
    "db/R__x.sql": "db/R__x.expect.sql",
    "prisma/migrations/1_x/migration.sql": "prisma/migrations/1_x/migration.expect.sql",
    "goose/migrations/3_x.sql": "goose/migrations/3_x.expect.sql",
    "goose/migrations/4_x.sql": "goose/migrations/4_x.expect",
    "m/3_x.up.sql": "m/3_x.expect",
}


def text_of(path: str) -> str:
    return "-- +goose Up\nSELECT 1;" if path.startswith("goose") else f"SELECT '{path}'"


@pytest.mark.parametrize(("path", "beside"), EXPECTATIONS.items())
@pytest.mark.parametrize("where", ["added too", "untouched", "changed"])
def test_what_a_migration_expects_stands_beside_it(path: str, beside: str, where: str) -> None:
    def read(at: str) -> bytes:
        assert not (at == beside and where == "untouched"), "it is not among what the head was asked for"
        return text_of(at).encode()

    def read_base(at: str) -> bytes:
        assert where == "untouched"
        return text_of(at).encode()

    statuses = {"added too": [FileChange(beside, A)], "changed": [FileChange(beside, M)], "untouched": []}
    found = plan_changes(
        [FileChange(path, A), *statuses[where]], [] if where == "added too" else [beside], read, read_base, with_base=False
    )

    (migration,) = found.migrations
    assert (migration.path, migration.expect, migration.expect_path) == (path, text_of(beside), beside)
    assert found.problems == ()


@pytest.mark.parametrize(("path", "beside"), EXPECTATIONS.items())
def test_what_a_named_file_expects(path: str, beside: str) -> None:
    def read(at: str) -> bytes:
        return text_of(at).encode()

    found = [plan_files([path], [path, beside], read, None), plan_files([path, beside], [], read, None)]

    assert [(m.path, m.expect_path, m.expect) for p in found for m in p.migrations] == [(path, beside, text_of(beside))] * 2
    assert [p.base for p in found] == [(), ()]


@pytest.mark.parametrize("beside", EXPECTATIONS.values())
@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_expectations_are_no_migration_in_any_layout(layout: Layout, beside: str) -> None:
    assert layout.parse(PurePosixPath(beside)) is None
    assert layout.evidence(PurePosixPath(beside), "-- +goose Up") is None


def test_expectations_that_go_with_the_change_are_not_read() -> None:
    changes = [
        FileChange("migrations/1_x.sql", A),
        FileChange("migrations/1_x.expect.sql", D),
        FileChange("migrations/y.expect.sql", R, "migrations/2_y.expect.sql"),
    ]

    found = plan([*changes, FileChange("migrations/2_y.sql", A)], ["migrations/1_x.expect.sql", "migrations/2_y.expect.sql"])

    assert [(m.path, m.expect) for m in found.migrations] == [("migrations/1_x.sql", None), ("migrations/2_y.sql", None)]


def test_expectations_alone_are_nothing_to_rehearse() -> None:
    found = plan([FileChange("db/V1__x.expect.sql", M)], ["db/V1__x.sql", "db/V1__x.expect.sql"])

    assert (found.migrations, found.problems) == ((), ())
    with pytest.raises(MigrationFileError, match=r"m/1_x\.expect\.sql holds what a migration expects"):
        plan_files(["m/1_x.expect.sql"], [], lambda _path: b"SELECT 1", None)


def test_expectations_that_can_not_be_read_are_named() -> None:
    texts = {"1.sql": b"SELECT 1;", "1.expect.sql": b"SELECT 1;\n\\d t\n"}

    with pytest.raises(MigrationFileError, match=r"1.expect.sql:2: \\d is a command of psql"):
        plan_files(["1.sql"], list(texts), texts.__getitem__, None)


# ── Tools whose files are told by others ─────────────────────────────────────────────────────────────────────────────────


def folder_plan(new: Mapping[str, str], base: Mapping[str, str] | None = None, **options: object) -> Plan:
    """A plan of a change that adds or changes files with these texts, on a base with those."""
    before = base or {}
    changes = [FileChange(path, M if path in before else A) for path in new]

    def read(path: str) -> bytes:
        return new[path].encode()

    def read_base(path: str) -> bytes:
        return before[path].encode()

    return plan_changes(changes, [*before], read, read_base, **options)  # type: ignore[arg-type]


def said(found: Plan) -> dict[str, str]:
    return {problem.path: problem.message for problem in found.problems}


SQITCH = {
    "sqitch.plan": "%project=shop\n\nusers 2024-01-01T00:00:00Z A <a@b> # u\norders 2024-01-02T00:00:00Z A <a@b> # o\n",
    "deploy/users.sql": "BEGIN;\nCREATE TABLE users ();\nCOMMIT;",
    "deploy/orders.sql": "BEGIN;\nCREATE TABLE orders ();\nCOMMIT;",
    "revert/users.sql": "DROP TABLE users;",
    "verify/users.sql": "SELECT FROM users;",
}
DRIZZLE = {
    "drizzle/meta/_journal.json": '{"entries": [{"tag": "0000_z", "when": 5}, {"tag": "0001_a", "when": 7}]}',
    "drizzle/0000_z.sql": "CREATE TABLE z ();\n--> statement-breakpoint\nCREATE TABLE y ();",
    "drizzle/0001_a.sql": "CREATE TABLE a ();",
}


def test_sqitchs_plan_gives_the_order_and_reverts_are_the_way_back() -> None:
    found = folder_plan(SQITCH)

    assert [(m.path, m.version, m.down) for m in found.migrations] == [
        ("deploy/users.sql", "users", "DROP TABLE users;"),
        ("deploy/orders.sql", "orders", None),
    ]
    assert (found.reason, found.problems) == ("sqitch: sqitch.plan is there", ())


def test_what_the_plan_does_not_list_is_not_run() -> None:
    found = folder_plan({"deploy/lost.sql": "SELECT 1;"}, SQITCH)

    assert paths(found)[0] == []
    assert said(found) == {"deploy/lost.sql": "is not in `sqitch.plan`: sqitch does not run it"}


def test_a_change_put_before_others_in_the_plan_is_refused() -> None:
    plan = SQITCH["sqitch.plan"].replace("orders", "early 2024-01-02T00:00:00Z A <a@b>\norders", 1)

    found = folder_plan({"sqitch.plan": plan, "deploy/early.sql": "SELECT 1;"}, SQITCH)

    assert paths(found)[0] == ["deploy/early.sql"]
    assert "comes before `deploy/orders.sql`" in said(found)["deploy/early.sql"]
    assert "refuses this" in said(found)["deploy/early.sql"]


def test_a_reworked_change_is_run_and_its_kept_copy_is_not() -> None:
    plan = SQITCH["sqitch.plan"] + "@v1 2024-01-03T00:00:00Z A <a@b>\nusers [users@v1] 2024-01-04T00:00:00Z A <a@b> # again\n"
    texts = {"sqitch.plan": plan, "deploy/users@v1.sql": SQITCH["deploy/users.sql"], "deploy/users.sql": "SELECT 'reworked';"}

    found = folder_plan(texts, SQITCH)

    assert paths(found) == (["deploy/users.sql"], ["deploy/users.sql", "deploy/orders.sql"])
    assert [m.text for m in (found.migrations[0], found.base[0])] == ["SELECT 'reworked';", SQITCH["deploy/users.sql"]]
    assert found.problems == ()


def test_drizzles_journal_gives_the_order_and_one_transaction_is_said() -> None:
    found = folder_plan(DRIZZLE)

    assert paths(found)[0] == ["drizzle/0000_z.sql", "drizzle/0001_a.sql"]
    assert "(Drizzle runs 2 files in one transaction)" in found.reason


# files -> the files of each migration that is made of them
GROUPS = {
    "one file stays one": ({"1_a.sql": "SELECT 1"}, [()]),
    "all of one history": ({"9_a.sql": "SELECT 1", "10_b.sql": "SELECT 2"}, [("m/9_a.sql", "m/10_b.sql")]),
    "what is left open ends a group": (
        {"1_a.sql": "SELECT 1", "2_b.sql": "SELECT 'open", "3_c.sql": "SELECT 3", "4_d.sql": "SELECT 4"},
        [("m/1_a.sql", "m/2_b.sql"), ("m/3_c.sql", "m/4_d.sql")],
    ),
}


@pytest.mark.parametrize(("files", "groups"), GROUPS.values(), ids=GROUPS.keys())
@pytest.mark.parametrize("named_so", [True, False])
def test_files_that_run_in_one_transaction_are_one_migration(
    files: dict[str, str], groups: list[tuple[str, ...]], named_so: bool
) -> None:
    texts = {f"m/{name}": text for name, text in files.items()}
    found = (
        plan_files([*texts], [], lambda path: texts[path].encode(), "node-pg-migrate")
        if named_so
        else folder_plan(texts, layout="node-pg-migrate")
    )

    assert [m.files for m in found.migrations] == groups


def test_each_history_has_its_own_transaction() -> None:
    texts = {f"{app}/migrations/{n}_x.sql": "SELECT 1" for app in "ba" for n in (2, 1)}

    found = folder_plan(texts, layout="node-pg-migrate")

    assert [m.files for m in found.migrations] == [
        ("a/migrations/1_x.sql", "a/migrations/2_x.sql"),
        ("b/migrations/1_x.sql", "b/migrations/2_x.sql"),
    ]


def test_a_group_is_its_last_file_and_goes_back_in_the_opposite_order() -> None:
    texts = {
        "m/1_a.sql": "-- Up Migration\nSELECT 1\n-- Down Migration\nSELECT -1",
        "m/2_b.sql": "-- Up Migration\nSELECT 2\n-- Down Migration\nSELECT -2\n",
        "m/1_a.expect": "SELECT 1 WHERE false",
        "m/2_b.expect": "SELECT 2 WHERE false",
    }

    (group,) = folder_plan(texts).migrations

    assert (group.path, group.version, group.expect_path) == ("m/2_b.sql", "2_b", "m/2_b.expect")
    assert [(s.sql, *place(group.sources, "-", s.line)) for s in split(group.text).statements] == [
        ("SELECT 1", "m/1_a.sql", 2),
        ("SELECT 2", "m/2_b.sql", 2),
    ]
    assert [(s.sql, *place(group.down_sources, "-", s.line)) for s in split(group.down or "").statements] == [
        ("SELECT -2", "m/2_b.sql", 4),
        ("SELECT -1", "m/1_a.sql", 4),
    ]
    assert [place(group.expect_sources, "-", s.line)[0] for s in split(group.expect or "").statements] == [
        "m/1_a.expect",
        "m/2_b.expect",
    ]


def test_a_group_without_all_ways_back_has_none() -> None:
    texts = {"m/1_a.sql": "SELECT 1", "m/2_b.sql": "-- Up Migration\nSELECT 2\n-- Down Migration\nSELECT -2\n"}

    assert [m.down for m in folder_plan(texts).migrations] == [None]


def test_what_psql_includes_is_read_where_the_migration_is() -> None:
    texts = {"m/2_b.sql": "\\i lib/a.sql\n\\ir ../lib/a.sql\n"}
    base = {"lib/a.sql": "SELECT 'base';", "m/1_a.sql": "\\i lib/a.sql\n"}

    found = folder_plan(texts, base, folders=["m"])
    changed = folder_plan(texts | {"lib/a.sql": "SELECT 'head';"}, base, folders=["m"])

    assert [m.text.count("base") for m in (*found.base, *found.migrations)] == [1, 2]
    assert [m.text.count("base") for m in (*changed.base, *changed.migrations)] == [1, 0]


def test_a_way_back_is_read_by_psql_too() -> None:
    texts = {
        "db/sqitch.plan": SQITCH["sqitch.plan"],
        "db/deploy/users.sql": "\\i lib/users.sql\n",
        "db/revert/users.sql": "-- back\n\\set t users\n\\i lib/drop.sql\n",
        "db/lib/users.sql": "CREATE TABLE users ();\n",
        "db/lib/drop.sql": "DROP TABLE :t;\n",
    }

    (found,) = folder_plan(texts).migrations

    assert (split(found.text).statements[0].sql, split(found.down or "").statements[0].sql) == (
        "CREATE TABLE users ()",
        "DROP TABLE users",
    )
    assert place(found.down_sources, "-", split(found.down or "").statements[0].line) == ("db/lib/drop.sql", 1)


def test_what_the_journal_dates_before_others_is_never_run() -> None:
    journal = DRIZZLE["drizzle/meta/_journal.json"].replace("]}", ', {"tag": "0002_b", "when": 6}]}')
    texts = {"drizzle/meta/_journal.json": journal, "drizzle/0002_b.sql": "SELECT 1;", "drizzle/0003_c.sql": "SELECT 2;"}

    found = folder_plan(texts, DRIZZLE)

    assert paths(found) == (["drizzle/0002_b.sql"], ["drizzle/0000_z.sql", "drizzle/0001_a.sql"])
    assert "never runs this, without a word" in said(found)["drizzle/0002_b.sql"]
    assert said(found)["drizzle/0003_c.sql"] == "is not in `meta/_journal.json`: Drizzle does not run it"


def test_settings_beside_a_migration_are_read_with_it() -> None:
    outside = {
        "m/2024-01-01-000000_a/up.sql": "SELECT 1;",
        "m/2024-01-01-000000_a/down.sql": "SELECT 2;",
        "m/2024-01-01-000000_a/metadata.toml": "run_in_transaction = false\n",
        "m/2024-01-02-000000_b/up.sql": "SELECT 3;",
    }

    one, other = folder_plan(outside).migrations

    assert (one.text, one.down) == ("/* run_in_transaction = false */ SELECT 1;", "/* run_in_transaction = false */ SELECT 2;")
    assert (other.text, other.down) == ("SELECT 3;", None)


def test_settings_that_the_base_has_are_read_too() -> None:
    base = {"m/2024-01-01-000000_a/up.sql": "SELECT 1;", "m/2024-01-01-000000_a/metadata.toml": "run_in_transaction = false\n"}

    found = folder_plan({"m/2024-01-02-000000_b/up.sql": "SELECT 3;"}, base)

    assert [m.text for m in found.base] == ["/* run_in_transaction = false */ SELECT 1;"]


def test_the_file_for_postgresql_stands_for_that_for_all_databases() -> None:
    texts = {
        "m/1_a.up.sql": "SELECT 'all';",
        "m/1_a.postgres.up.sql": "SELECT 'postgres';",
        "m/1_a.mysql.up.sql": "SELECT `mysql`;",
        "m/1_a.down.sql": "SELECT 'all down';",
        "m/2_b.up.sql": "SELECT 2;",
    }

    found = folder_plan(texts)

    assert [(m.path, m.down_path) for m in found.migrations] == [
        ("m/1_a.postgres.up.sql", "m/1_a.down.sql"),
        ("m/2_b.up.sql", None),
    ]
    assert found.problems == ()


def test_each_folder_has_its_own_layout() -> None:
    texts = {"a/V1__x.sql": "SELECT 1;", "b/1_y.up.sql": "SELECT 2;", "c/migrations/1_z.sql": "-- migrate:up\n-- migrate:down\n"}

    found = folder_plan(texts)

    assert [(m.path, m.layout) for m in found.migrations] == [
        ("a/V1__x.sql", "flyway"),
        ("c/migrations/1_z.sql", "dbmate"),
        ("b/1_y.up.sql", "golang-migrate"),
    ]
    assert found.reason.count(";") == 2  # says why, of each


# ── Files that would not be run, and not in their place ──────────────────────────────────────────────────────────────────

# files that the base has, a new file -> a part of what is said of it
NEVER_RUN = {
    ("db/V1__a.sql", "db/V2_b.sql"): "is not named as Flyway names migrations, as in `V1_2__name.sql`",
    ("m/1_a.up.sql", "m/2_b.sql"): "as in `1_name.up.sql`: it would never be run",
    ("m/21_a.sql:-- +goose Up", "m/22-b.sql"): "not named as goose names migrations",
    ("m/1_a.sql:-- Add migration script here", "m/2-b.sql"): "not named as sqlx",
    ("prisma/migrations/1_a/migration.sql", "prisma/migrations/2_b.sql"): "not named as Prisma Migrate",
    ("prisma/migrations/1_a/migration.sql", "prisma/migrations/2_b/up2.sql"): "not named as Prisma Migrate",
    ("m/2024-01-01-000000_a/up.sql", "m/2024-01-02-000000_b.sql"): "not named as diesel",
    ("m/1706702400000_a/up.sql", "m/1706702400001_b/upp.sql"): "not named as Hasura",
    ("supabase/migrations/1_a.sql", "supabase/migrations/b.sql"): "not named as Supabase",
    ("migrations/1_a.sql", "migrations/v2.sql"): "not named as psql",
    ("m/1_a.sql:-- +goose Up", "m/2_b.go"): "is no SQL: goose runs it, but it is not rehearsed",
    ("m/1706702400000_a.sql:-- Up Migration", "m/1706702400001_b.js"): "is no SQL: node-pg-migrate runs it",
    ("db/V1__a.sql", "db/B2__b.sql"): "is a baseline, which Flyway runs on new databases only",
    (
        "m/1_a.sql:-- atlas:txmode none\n\n",
        "m/2_b.sql:-- atlas:checkpoint\n\nSELECT 1;",
    ): "is a checkpoint, which Atlas runs on new",
}


def with_texts(*files: str) -> dict[str, str]:
    return {path: text or "SELECT 1;" for path, _, text in (file.partition(":") for file in files)}


@pytest.mark.parametrize(("old", "new"), NEVER_RUN)
def test_a_new_file_that_would_not_be_run_is_said(old: str, new: str) -> None:
    found = folder_plan(with_texts(new), with_texts(old))

    assert paths(found)[0] == []
    (problem,) = found.problems
    assert NEVER_RUN[old, new] in problem.message


# files that the base has, a new file of which nothing is to be said though it is no migration
NO_MISTAKE = [
    ("db/V1__a.sql", "db/afterMigrate.sql"),
    ("db/V1__a.sql", "db/U1__a.sql"),
    ("m/1_a.up.sql", "m/1_a.down.sql"),
    ("m/1_a.up.sql", "other/2_b.sql"),
    ("m/1_a.up.sql", "m/structure.sql"),
    ("m/1_a.up.sql", "m/1_a.expect.sql"),
    ("m/1_a.postgres.up.sql", "m/1_a.mysql.up.sql"),
    ("sql/1_a.sql", "sql/report.sql"),
]


@pytest.mark.parametrize(("old", "new"), NO_MISTAKE)
def test_other_files_are_no_mistake(old: str, new: str) -> None:
    found = folder_plan(with_texts(new), with_texts(old))

    assert (found.migrations, found.problems) == ((), ())


# layout -> a file that the base has, a new one that comes before it, and what the tool does with it
LATE = {
    "flyway": ("db/V10__b.sql", "db/V9__a.sql", "refuses this, unless outOfOrder is set"),
    "golang-migrate": ("m/10_b.up.sql", "m/9_a.up.sql", "never runs this, without a word"),
    "goose": ("m/10_b.sql:-- +goose Up", "m/9_a.sql", "unless -allow-missing"),
    "sqlx": ("m/10_b.sql:-- Add migration script here", "m/9_a.sql", "runs this after it"),
    "dbmate": ("m/9_b.sql:-- migrate:up", "m/10_a.sql:-- migrate:up", "--strict"),  # text: 1 is before 9
    "prisma": ("p/2_b/migration.sql", "p/1_a/migration.sql", "runs this after it"),
    "diesel": ("m/2024-01-02-000000_b/up.sql", "m/2024-01-01-000000_a/up.sql", "runs this after it"),
    "hasura": ("m/1706702400001_b/up.sql", "m/1706702400000_a/up.sql", "if at all"),
    "supabase": ("supabase/migrations/2_b.sql", "supabase/migrations/1_a.sql", "--include-all"),
    "node-pg-migrate": ("m/2_b.sql:-- Up Migration", "m/1_a.sql", "refuses to run anything"),
    "atlas": ("m/2_b.sql:-- atlas:txmode none\n\n", "m/1_a.sql", "non-linear"),
    "popx": ("m/2_b.postgres.up.sql", "m/1_a.up.sql", "runs this after it"),
    "plain": ("migrations/10_b.sql", "migrations/9_a.sql", "if at all"),
}


@pytest.mark.parametrize("layout", [layout.name for layout in LAYOUTS if not layout.index and not layout.refused])
def test_a_version_older_than_the_newest_on_the_base_is_said(layout: str) -> None:
    old, new, what = LATE[layout]

    found = folder_plan(with_texts(new), with_texts(old))

    assert [m.layout for m in found.migrations] == [layout]
    (problem,) = found.problems
    assert problem.message.startswith(f"comes before `{old.partition(':')[0]}`")
    assert what in problem.message
    assert folder_plan(with_texts(old), with_texts(new)).problems == ()  # the other way round it is in its place


# new files, files that the base has -> what is said of which
ONE_VERSION = {
    (("db/V2__b.sql",), ("db/V2.0__a.sql",)): {"db/V2__b.sql": "has the same version as `db/V2.0__a.sql`: Flyway refuses"},
    (("m/2_b.up.sql",), ("m/02_a.up.sql",)): {"m/2_b.up.sql": "has the same version as `m/02_a.up.sql`: golang-migrate refuses"},
    (("m/2_a.up.sql", "m/2_b.up.sql"), ("m/1_a.up.sql",)): {"m/2_b.up.sql": "has the same version as `m/2_a.up.sql`"},
    (("m/2_b.up.sql",), ("other/2_a.up.sql", "m/1_a.up.sql")): {},
    (("m/2_b.up.sql", "m/2_b.down.sql"), ("m/1_a.up.sql",)): {},
    (("migrations/2_b.sql",), ("migrations/2_a.sql",)): {"migrations/2_b.sql": "psql runs them in the order of"},
}


@pytest.mark.parametrize(("new", "old"), ONE_VERSION)
def test_two_files_of_one_version_are_said(new: tuple[str, ...], old: tuple[str, ...]) -> None:
    found = said(folder_plan(with_texts(*new), with_texts(*old)))

    expected = ONE_VERSION[new, old]
    assert found.keys() == expected.keys()
    assert all(part in found[path] for path, part in expected.items())


def test_a_hole_between_two_numbers_is_nothing() -> None:
    assert folder_plan(with_texts("db/V9__b.sql"), with_texts("db/V1__a.sql")).problems == ()


def test_a_way_back_may_be_edited() -> None:
    found = folder_plan({"m/1_a.down.sql": "SELECT 2;"}, with_texts("m/1_a.up.sql", "m/1_a.down.sql"))

    assert found.problems == ()  # it is run when it is needed, as it is then


# what a folder holds besides 1_a.sql and 2_b.sql as they were when atlas.sum was made -> what is said of which file
ATLAS_SUM = {
    "as it was": ({}, []),
    "a file that was not summed": ({"m/3_c.sql": "SELECT 3;"}, ["m/3_c.sql is not in `atlas.sum`"]),
    "another text": ({"m/1_a.sql": "SELECT 9;"}, ["m/1_a.sql is not what `atlas.sum` was made of"]),
    "a file in between": ({"m/1z_b.sql": "-- atlas:sum ignore\n\nSELECT 3;"}, ["m/2_b.sql is not what `atlas.sum` was made of"]),
    "a merge": ({"m/atlas.sum": "h1:AAAA=\n{lines}"}, ["m/atlas.sum does not fit itself"]),
    "a line too many": ({"m/atlas.sum": "{total}\n{lines}9_z.sql h1:AAAA=\n"}, ["m/9_z.sql is in `atlas.sum`, and not"]),
    "nothing": ({"m/atlas.sum": ""}, ["m/1_a.sql is not in `atlas.sum`"]),
}


@pytest.mark.parametrize(("other", "said"), ATLAS_SUM.values(), ids=ATLAS_SUM.keys())
def test_a_folder_of_atlas_fits_its_sum(other: dict[str, str], said: list[str]) -> None:
    texts = with_atlas_sum({"m/1_a.sql": "SELECT 1;", "m/2_b.sql": "SELECT 2;\n"})
    total, _, lines = texts["m/atlas.sum"].partition("\n")
    texts |= {path: text.format(total=total, lines=lines) if path == "m/atlas.sum" else text for path, text in other.items()}

    problems = [f"{p.path} {p.message}" for p in folder_plan(texts, layout="atlas").problems]

    assert len(problems) == len(said)
    assert all(found.startswith(start) and "Atlas runs nothing" in found for found, start in zip(problems, said, strict=True))


def test_rails_is_refused_with_what_to_do() -> None:
    texts = with_texts("db/migrate/20240101000000_a.rb", "db/structure.sql")

    with pytest.raises(MigrationFileError, match=r"20240101000000_a\.rb is a migration of Rails, .* can't .* FILE\.sql"):
        folder_plan(texts)
    with pytest.raises(MigrationFileError, match="is a migration of Rails"):
        plan_files(["db/migrate/1_a.rb"], [], lambda _path: b"class A", None)
    assert folder_plan(with_texts("db/structure.sql")).reason == "no changed file is a migration"
    assert paths(folder_plan({**texts, **with_texts("sql/1_b.sql")}, folders=["sql"]))[0] == ["sql/1_b.sql"]


PYTHON = {
    "Alembic": (["app/migrations/versions/0a1b_x.py"], ["app/migrations/env.py"], "alembic upgrade head"),
    "Django": (["app/migrations/0002_x.py"], ["manage.py", "app/migrations/__init__.py"], "python manage.py migrate"),
}


@pytest.mark.parametrize(("new", "beside", "command"), PYTHON.values(), ids=PYTHON.keys())
def test_what_only_its_tool_can_run_is_no_passed_check(new: list[str], beside: list[str], command: str) -> None:
    with pytest.raises(MigrationFileError, match=f"which can't be rehearsed.* --command '{command}'"):
        folder_plan(with_texts(*new), with_texts(*beside))
    with pytest.raises(MigrationFileError, match=f"--command '{command}'"):
        plan_files(new, beside, lambda _path: b"", None)
    assert folder_plan(with_texts(*new)).reason == "no changed file is a migration"  # nothing says that it is one


def test_a_template_that_nobody_fills_in_is_named() -> None:
    with pytest.raises(MigrationFileError, match=r"1_a\.postgres\.up\.sql:1: the placeholder \{\{ \.X \}\} has no value"):
        folder_plan({"m/1_a.postgres.up.sql": "SELECT {{ .X }};"})


def test_named_files_stand_on_what_their_plan_has_before() -> None:
    texts = {path: text.encode() for path, text in SQITCH.items()}

    found = plan_files(["deploy/orders.sql"], list(texts), texts.__getitem__, None)

    assert paths(found) == (["deploy/orders.sql"], ["deploy/users.sql"])


# ── A history of each layout ─────────────────────────────────────────────────────────────────────────────────────────────


def test_there_is_a_history_of_each_layout() -> None:
    assert [*HISTORIES] == [layout.name for layout in LAYOUTS if not layout.refused]


@pytest.mark.parametrize("layout", HISTORIES)
def test_a_history_is_detected_ordered_and_sent_as_its_tool_does(layout: str) -> None:
    history = HISTORIES[layout]

    found = folder_plan(dict(sorted(history.files.items())))

    assert found.reason.startswith(f"{layout}: ")
    assert {m.layout for m in found.migrations} == {layout}
    sent = {path: named(layout).transaction(m.text, split(m.text)) for m in found.migrations for path in m.files or (m.path,)}
    assert [*sent.items()] == [*history.migrations.items()]
    if not named(layout).together:
        assert tuple(m.path for m in found.migrations if m.down is not None) == history.with_down


@pytest.mark.parametrize("layout", HISTORIES)
def test_the_last_of_a_history_stands_on_the_others(layout: str) -> None:
    history = HISTORIES[layout]
    *before, last = history.migrations
    base = {path: text for path, text in history.files.items() if path != last}

    found = folder_plan({last: history.files[last]}, base)

    assert paths(found) == ([last], before)
    assert found.problems == ()
    assert {m.layout for m in (*found.migrations, *found.base)} == {layout}


@pytest.mark.parametrize("layout", HISTORIES)
def test_a_told_layout_needs_no_evidence(layout: str) -> None:
    history = HISTORIES[layout]

    found = folder_plan(dict(sorted(history.files.items())), layout=layout)

    assert paths(found)[0] == [*history.migrations]
    assert found.reason.startswith(f"{layout}: as told")


@given(st.sampled_from(sorted(HISTORIES)), st.randoms(use_true_random=False), st.integers(0, 4))
def test_the_order_in_which_files_are_listed_decides_nothing(layout: str, random: Random, old: int) -> None:
    files = HISTORIES[layout].files
    before = {*[*HISTORIES[layout].migrations][:old]}
    changes = [FileChange(path, A) for path in files if path not in before]
    base, shuffled = sorted(before), random.sample(changes, len(changes))

    def read(path: str) -> bytes:
        return files[path].encode()

    expected = plan_changes(changes, base, read, read, layout=layout)
    found = plan_changes(shuffled, random.sample(base, len(base)), read, read, layout=layout)

    assert (found.migrations, found.base, {*found.problems}) == (expected.migrations, expected.base, {*expected.problems})


def test_a_byte_order_mark_is_psqls_to_drop() -> None:
    texts = {"sqitch.plan": "users", "deploy/users.sql": "\ufeff\\ir ../lib.sql\n", "lib.sql": "\ufeffSELECT 1;"}

    assert [m.text for m in folder_plan(texts).migrations] == ["SELECT 1;\n\n"]


def test_on_a_dump_the_base_is_known_without_being_read() -> None:
    base = {"db/V1__a.sql": "blob1", "db/V1_2__b.sql": "blob2", "db/R__v.sql": "blob3", "db/B1__all.sql": "blob4"}

    def read(path: str) -> bytes:
        assert path not in base
        return b"SELECT 1;"

    found = plan_changes([FileChange("db/V2__c.sql", A)], base, read, read, with_base=False)

    assert found.base == ()
    assert [(s.path, s.version, s.content, s.recorded, s.repeatable, s.sql) for s in found.standing] == [
        ("db/B1__all.sql", "1", "blob4", "1", False, False),
        ("db/V1__a.sql", "1", "blob1", "1", False, True),
        ("db/V1_2__b.sql", "1.2", "blob2", "1.2", False, True),
        ("db/R__v.sql", "v", "blob3", "R v", True, True),
    ]


def test_named_files_on_a_dump_stand_on_the_earlier_ones_and_know_of_the_later() -> None:
    texts = {f"m/{n}_x.up.sql": b"SELECT 1;" for n in range(1, 6)}

    found = plan_files(["m/3_x.up.sql"], list(texts), texts.__getitem__, None, with_base=False)

    assert [(s.recorded, s.due) for s in found.standing] == [("1", True), ("2", True), ("4", False), ("5", False)]
    assert len({s.content for s in found.standing}) == 1


# layout -> how its history table has each of the migrations in tests/histories.py
RECORDED = {
    "prisma": ["20240101000000_a", "20240102000000_b"],
    "sqitch": ["z", "y", "x"],
    "drizzle": ["1", "2"],
    "flyway": ["9", "10", "10.1", "11", "R view"],
    "goose": ["9", "10", "11"],
    "dbmate": ["10", "8", "9"],
    "supabase": ["20240101000000", "20240102000000"],
    "hasura": ["1706702400000", "1706702400001"],
    "diesel": ["00000000000000", "20240101000000", "20240102000000"],
    "popx": ["20240101", "20240102", "20240103"],
    "sqlx": ["9", "10", "11"],
    "golang-migrate": ["9", "10", "11"],
    "atlas": ["20240101000000", "20240102000000", "20240103000000"],
    "node-pg-migrate": ["999_a", "1000_b"],
    "plain": ["", "", ""],
}


@pytest.mark.parametrize("layout", RECORDED)
def test_how_a_history_table_has_a_migration(layout: str) -> None:
    files = HISTORIES[layout].files
    found = plan([FileChange(path, A) for path in files], texts=files)

    recorded = [m.recorded for m in found.migrations]
    assert recorded == (RECORDED[layout][-1:] if found.migrations[0].files else RECORDED[layout])  # of a group the last one's
    assert RECORDED.keys() == HISTORIES.keys()


def test_a_reworked_change_of_sqitch_is_there_once_for_each_time() -> None:
    plan_text = "a 2024-01-01T00:00:00Z A <a@b>\n@v1\na [a@v1] 2024-01-02T00:00:00Z A <a@b>\n"
    texts = {"sqitch.plan": plan_text, "deploy/a.sql": "SELECT 2;", "deploy/a@v1.sql": "SELECT 1;"}

    found = plan([FileChange(path, A) for path in texts], texts=texts)

    assert [(m.path, m.recorded) for m in found.migrations] == [("deploy/a@v1.sql", "a"), ("deploy/a.sql", "a#2")]


# the base branch's versions, the new ones, what is said of these
HOLES = [
    (["1", "2", "3"], ["4"], []),
    (["1", "2", "3"], ["5"], ["the number 4"]),
    (["1", "2", "3"], ["4", "7"], ["the numbers 5 to 6"]),
    (["0", "1", "2"], ["4", "6"], ["the number 3", "the number 5"]),
    (["01", "002", "3"], ["05"], ["the number 4"]),
    (["1", "2"], ["4"], []),  # two are no habit
    (["1", "3", "4"], ["6"], []),  # nor is this one
    (["2", "3", "4"], ["6"], []),
    (["1", "2", "3"], ["20240131"], []),  # from now on they are dates
    (["20240101", "20240102", "20240103"], ["20240105"], []),
]


@pytest.mark.parametrize(("old", "new", "said"), HOLES)
def test_a_number_that_is_left_out(old: list[str], new: list[str], said: list[str]) -> None:
    changes = [FileChange(f"m/{n}_x.up.sql", A) for n in new]

    found = [p for p in plan(changes, [f"m/{n}_x.up.sql" for n in old]).problems if "leaves out" in p.message]

    assert [p.message.partition(";")[0] for p in found] == [f"leaves out {numbers}" for numbers in said]
    assert {p.severity for p in found} <= {Severity.NOTICE}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("m/5_other.up.sql", True),
        ("m/005_other.up.sql", True),
        ("m/5_mine.up.sql", False),
        ("m/6_other.up.sql", False),
        ("m/5_other.down.sql", False),
        ("elsewhere/5_other.up.sql", False),
    ],
)
def test_a_version_that_another_pull_request_brings(path: str, found: bool) -> None:
    mine = plan([FileChange("m/5_mine.up.sql", A)])
    added, changed = [FileChange(path, A)], [FileChange(path, M)]

    assert [p.path for p in with_same_version(mine, [(7, added)])] == ["m/5_mine.up.sql"] * found
    assert list(with_same_version(mine, [(7, changed)])) == []


# folders of a layout that holds one migration in each -> how a migration is called
ONE_EACH = ("p/{}_x/migration.sql", "migrations/2024-01-01-{:06}_x/up.sql", "h/1706702400{:03}_x/up.sql")


@pytest.mark.parametrize("path", ONE_EACH)
def test_thousands_of_folders_beside_each_other_are_looked_at_once(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    looked: list[str] = []

    def counting(files: Iterable[tuple[str, str]], there: Set[str]) -> object:
        files = list(files)
        looked.extend(path for path, _text in files)
        return detect(files, there)

    monkeypatch.setattr("bot.discovery.choosing.detect", counting)

    found = plan([FileChange(path.format(n), A) for n in range(50, 100)], [path.format(n) for n in range(50)])

    assert (len(found.migrations), len(found.base)) == (50, 50)
    assert len(looked) <= 200


def test_what_a_tool_keeps_is_asked_of_each_file_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    counting = replace(named("sqlx"), kept=asked.append)
    monkeypatch.setattr("bot.discovery.named", lambda _name: counting)

    plan_files(["m/100_x.sql"], [f"m/{n}_x.sql" for n in range(101)], lambda _path: b"SELECT 1;", "sqlx")

    assert len(asked) <= 10 * 100


# what decides how a migration that stands is run, if a seed lacks it -> layout, its file, what changes, values before and after
DECIDES_LATER: dict[str, tuple[str, str, Mapping[str, str], Mapping[str, str]]] = {
    "its text": ("flyway", "m/V1__a.sql", {"m/V1__a.sql": "SELECT 2;"}, {}),
    "settings beside it": ("flyway", "m/V1__a.sql", {"m/V1__a.sql.conf": "executeInTransaction=false"}, {}),
    "a value that is put in": ("flyway", "m/V1__a.sql", {}, {"schema": "app"}),
    "what it includes": ("sqitch", "deploy/a.sql", {"lib/a.sql": "SELECT 2;"}, {}),
}


@pytest.mark.parametrize("with_blobs", [True, False])
@pytest.mark.parametrize("case", DECIDES_LATER)
def test_what_decides_a_migration_that_stands_is_in_its_content(case: str, *, with_blobs: bool) -> None:
    layout, path, changed, values = DECIDES_LATER[case]
    files = {path: "SELECT 1;", "lib/a.sql": "SELECT 1;", "m/V1__a.sql.conf": "", "sqitch.plan": "a x\nb x\n"}
    files["deploy/a.sql"] = "\\i lib/a.sql\n"
    new = {"flyway": "m/V2__b.sql", "sqitch": "deploy/b.sql"}[layout]

    def content(texts: Mapping[str, str], values: Mapping[str, str]) -> str:
        read = lambda path: texts.get(path, "SELECT 3;").encode()  # noqa: E731
        base = {path: f"blob of {text}" for path, text in texts.items()} if with_blobs else list(texts)
        found = plan_changes([FileChange(new, A)], base, read, read, layout=layout, with_base=False, known=Known(values))
        return found.standing[0].content

    assert content(files, {}) == content(dict(files), {})
    assert content(files, {}) != content({**files, **changed}, values)


def test_files_that_git_knows_are_not_read_to_be_told_apart() -> None:
    read = {"m/2_b.sql": b"SELECT 2;"}

    found = plan_files(
        ["m/2_b.sql"], ["m/1_a.sql"], read.__getitem__, "sqlx", with_base=False, known=Known(blobs={"m/1_a.sql": "blob"})
    )

    assert [one.content for one in found.standing] == ["blob"]


# layout, how its file is called with a title -> whether the tool takes one with another title for another one
TITLES = {
    ("golang-migrate", "m/2_{}.up.sql"): False,
    ("goose", "m/2_{}.sql"): False,
    ("dbmate", "m/2_{}.sql"): False,
    ("flyway", "m/V2__{}.sql"): False,
    ("diesel", "m/20240102_{}/up.sql"): False,
    ("prisma", "m/2_{}/migration.sql"): True,
    ("node-pg-migrate", "m/2_{}.sql"): True,
    ("plain", "m/2_{}.sql"): True,
}


@pytest.mark.parametrize(("layout", "path"), TITLES)
def test_another_title_is_another_migration_to_some_tools(layout: str, path: str) -> None:
    new, old = path.format("better"), path.format("bad")
    later = path.replace("2", "3", 1).format("c")

    found = plan([FileChange(new, R, old), FileChange(later, A)], [old], layout=layout)

    runs_it = TITLES[layout, path]
    assert [one for m in found.migrations for one in (m.files or (m.path,))] == [*([new] if runs_it else []), later]
    assert [m.path for m in found.base] == ([] if runs_it else [old])
    said = "run it again" if runs_it else "databases that ran it will not run this"
    assert [p.message for p in found.problems if p.path == new and said in p.message]


def test_a_file_whose_name_ends_in_large_letters_is_not_passed_over() -> None:
    goose = plan([FileChange("m/2_b.SQL", A)], ["m/1_a.sql"], layout="goose")
    golang = plan([FileChange("m/2_b.up.SQL", A)], ["m/1_a.up.sql"])

    assert ([m.path for m in goose.migrations], [p.path for p in goose.problems]) == ([], ["m/2_b.SQL"])
    assert [m.path for m in golang.migrations] == ["m/2_b.up.SQL"]
