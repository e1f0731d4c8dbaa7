"""Which of a pull request's files are migrations, in which order, on what base, and what is wrong with the history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

import pytest

from bot.discovery import decode, plan_changes, plan_files
from bot.errors import MigrationFileError
from bot.layouts import LAYOUTS, Layout
from bot.model import FileChange, FileStatus, Plan

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
    return [m.path for m in found.migrations], [m.path for m in found.base]


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
    "meta-command": (b"SELECT 1;\n\\i other.sql\n", "1.sql:2: \\i is a command of psql"),
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
