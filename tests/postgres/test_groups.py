"""Files that their tool runs in one transaction: rehearsed in one, and told file by file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from bot.discovery import plan_files
from bot.model import Finding, Outcome, Rehearsal
from bot.rules import Policy, judge
from bot.sources import pointed, told, with_way_back_told
from tests.fix_cli import Run
from tests.fix_postgres import Stage

SEED = """
CREATE TABLE orders (id int PRIMARY KEY, email text);
INSERT INTO orders SELECT n FROM generate_series(1, 30) AS n;
CREATE TYPE kind AS ENUM ('a');
"""


def rehearsed(stage: Stage, files: Mapping[str, str]) -> tuple[Rehearsal, list[Finding]]:
    """The one rehearsal of a group, and what is found in it, with the places that people are told."""
    plan = plan_files(
        [path for path in files if path.endswith(".sql")], [*files], lambda path: files[path].encode(), "node-pg-migrate"
    )
    (migration,) = plan.migrations
    (rehearsal,) = stage.rehearse_migrations(SEED, plan.migrations)
    rehearsal = with_way_back_told(rehearsal, migration)
    findings = judge([rehearsal], plan.migrations, (), Policy())
    return told(rehearsal, migration), [pointed(finding, plan.migrations) for finding in findings]


def test_a_value_of_an_enum_can_not_be_used_in_the_transaction_that_adds_it(stage: Stage) -> None:
    done, findings = rehearsed(
        stage,
        {
            "1_a.sql": "ALTER TYPE kind ADD VALUE 'b'",
            "2_b.sql": "-- uses it\nCREATE TABLE k (kind kind DEFAULT 'b');\n",
        },
    )

    assert done.outcome is Outcome.FAILED
    assert done.error and done.error.sqlstate == "55P04"
    assert (done.error.path or done.path, done.error.line) == ("2_b.sql", 2)
    assert ("2_b.sql", 2) in {(f.path, f.line) for f in findings}


def test_a_failure_in_the_second_file_undoes_the_first(stage: Stage) -> None:
    done, findings = rehearsed(
        stage, {"1_a.sql": "CREATE TABLE made (id int)", "2_b.sql": "\nALTER TABLE orders ALTER email SET NOT NULL;"}
    )

    assert (done.outcome, done.schema, done.files) == (Outcome.FAILED, (), ("1_a.sql", "2_b.sql"))
    assert [(s.path, s.line) for s in done.statements] == [("1_a.sql", 1), (None, 2)]
    assert {(f.path, f.line) for f in findings if f.rule == "constraint-broken"} == {("2_b.sql", 2)}


def test_locks_of_the_first_file_are_held_to_the_end_of_the_last(stage: Stage) -> None:
    done, findings = rehearsed(
        stage, {"1_a.sql": "-- adds\nALTER TABLE orders ADD note text;\n", "2_b.sql": "SELECT pg_sleep(0.7);\nSELECT 1;"}
    )

    (lock,) = [lock for lock in done.locks if lock.relation == "public.orders"]
    last = done.statements[-1]
    assert (lock.mode, lock.path, lock.line) == ("AccessExclusiveLock", "1_a.sql", 2)
    assert lock.held_ms > last.began_ms - done.statements[0].began_ms
    assert ("1_a.sql", 2) in {(f.path, f.line) for f in findings}


def test_each_file_expects_its_own_and_allows_its_own(stage: Stage) -> None:
    done, findings = rehearsed(
        stage,
        {
            "1_a.sql": "-- rehearsal: expect (SELECT count(*) FROM orders) = 31\n"
            "-- rehearsal: allow expectation-failed no\nINSERT INTO orders VALUES (31)",
            "2_b.sql": "-- rehearsal: expect (SELECT count(*) FROM orders) = 31\nDELETE FROM orders WHERE id = 31",
            "1_a.expect": "SELECT 1 WHERE false",
            "2_b.expect": "\nTABLE orders",
        },
    )

    assert [(e.path, e.line, e.passed) for e in done.expectations] == [
        ("1_a.sql", 1, False),
        ("2_b.sql", 1, False),
        ("1_a.expect", 1, True),
        ("2_b.expect", 2, False),
    ]
    assert {(f.path, f.line) for f in findings if f.rule == "expectation-failed"} == {
        ("1_a.sql", 1), ("2_b.sql", 1), ("2_b.expect", 2)
    }  # fmt: skip
    assert {(f.path, f.line) for f in findings if f.rule == "bad-directive"} == {("1_a.sql", 2)}


def test_the_way_back_of_all(stage: Stage) -> None:
    up = "-- Up Migration\n{}\n-- Down Migration\n{}\n"
    files = {
        "1_a.sql": up.format("CREATE TABLE a (id int PRIMARY KEY);", "DROP TABLE a;"),
        "2_b.sql": up.format("CREATE TABLE b (a int REFERENCES a);", "DROP TABLE b;"),
    }

    done, _findings = rehearsed(stage, files)
    broken, findings = rehearsed(stage, files | {"1_a.sql": up.format("CREATE TABLE a (id int PRIMARY KEY);", "DROP TABLE c;")})

    assert done.down and (done.down.outcome, done.down.restored) == (Outcome.APPLIED, True)
    assert broken.down and broken.down.error and (broken.down.error.path, broken.down.error.line) == ("1_a.sql", 4)
    assert [f.message for f in findings if "1_a.sql:4" in f.message]


def test_reports_name_every_file(run: Callable[..., Run]) -> None:
    folder = Path("drizzle/meta")
    folder.mkdir(parents=True)
    (folder / "_journal.json").write_text('{"entries": [{"tag": "0000_a", "when": 1}, {"tag": "0001_b", "when": 2}]}')
    Path("drizzle/0000_a.sql").write_text("CREATE TABLE a (id int)")
    Path("drizzle/0001_b.sql").write_text("CREATE TABLE b (id int);\n\nSELECT 1 / 0;\n")

    text = run("rehearse", "drizzle", "--quiet").out
    markdown = run("rehearse", "drizzle", "--quiet", "--format", "markdown").out
    report = json.loads(run("rehearse", "drizzle", "--quiet", "--format", "json").out)

    assert text.startswith("❌ 2 of 2 migrations would fail")
    assert "0000_a.sql + 0001_b.sql" in text
    assert "`0000_a.sql + 0001_b.sql`" in markdown
    assert "0000_a.sql:1" in markdown
    assert [m["files"] for m in report["migrations"]] == [["drizzle/0000_a.sql", "drizzle/0001_b.sql"]]
    assert [(s["path"], s["line"]) for s in report["migrations"][0]["statements"]] == [
        ("drizzle/0000_a.sql", 1), (None, 1), (None, 3)
    ]  # fmt: skip
    assert ("drizzle/0001_b.sql", 3) in [(f["path"], f["line"]) for f in report["findings"]]


def test_a_failure_in_an_included_file_names_it(run: Callable[..., Run]) -> None:
    Path("db/lib").mkdir(parents=True)
    Path("db/1_a.sql").write_text("SELECT 1;\n\\ir lib/b.sql\nSELECT 2;\n")
    Path("db/lib/b.sql").write_text("-- here\n\nSELECT 1 / 0;\n")

    report = json.loads(run("rehearse", "db/1_a.sql", "--quiet", "--format", "json").out)

    error = report["migrations"][0]["error"]
    assert (error["path"], error["line"]) == ("db/lib/b.sql", 3)
    (found,) = [f for f in report["findings"] if f["severity"] == "error"]
    assert (found["path"], found["line"]) == ("db/1_a.sql", 2)
    assert found["message"].endswith(" (in `db/lib/b.sql:3`)")


def test_an_earlier_file_that_fails_in_what_it_includes_is_named(run: Callable[..., Run]) -> None:
    Path("db/lib").mkdir(parents=True)
    Path("db/1_a.sql").write_text("SELECT 1;\n\\ir lib/b.sql\n")
    Path("db/lib/b.sql").write_text("\nSELECT 1 / 0;\n")
    Path("db/2_b.sql").write_text("SELECT 2;\n")

    assert "db/lib/b.sql:2 fails, which the rest stands on" in run("rehearse", "db/2_b.sql", "--quiet").err


def test_of_a_group_that_production_has_in_part_the_rest_is_printed_and_replayed(
    run: Callable[..., Run], journal_url: str
) -> None:
    Path("m").mkdir()
    for number in (1, 2, 3):
        Path(f"m/{number}_a.sql").write_text(f"CREATE TABLE t{number} (id int)")
    Path("seed.sql").write_text(
        "CREATE TABLE t1 (id int);\nCREATE TABLE pgmigrations (id serial, name text, run_on timestamp);\n"
        "INSERT INTO pgmigrations (name) VALUES ('1_a');\n"
    )
    command = ("rehearse", "m", "--layout", "node-pg-migrate", "--seed", "seed.sql", "--quiet")

    printed = run(*command, "--print-sql").out
    first, again = (json.loads(run(*command, "--journal", journal_url, "--format", "json").out) for _time in range(2))

    assert printed == "-- m/2_a.sql, m/3_a.sql\nCREATE TABLE t2 (id int)\n;\nCREATE TABLE t3 (id int)\n"
    assert [m["files"] for m in first["migrations"]] == [["m/2_a.sql", "m/3_a.sql"]]
    assert (again["migrations"], again["findings"]) == (first["migrations"], first["findings"])
    assert (first["run"]["replayed"], again["run"]["replayed"]) == (False, True)
