"""What a migration expects of the data after it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.model import Expectation, Migration, Outcome, Rehearsal
from bot.postgres.reading import Patience
from bot.rules import Policy, judge
from bot.settings import Settings
from bot.team import FILE, Expected
from tests.fix_cli import Run
from tests.fix_postgres import Stage
from tests.postgres.test_cli import git

SEED = """
CREATE TABLE t (id int PRIMARY KEY, email text);
INSERT INTO t SELECT n, 'secret' || n FROM generate_series(1, 40) AS n;
CREATE SEQUENCE s;
CREATE FUNCTION writes() RETURNS int LANGUAGE sql AS 'DELETE FROM t RETURNING id';
CREATE FUNCTION raises() RETURNS int LANGUAGE sql AS 'SELECT email::int FROM t';
"""


def rehearsed(stage: Stage, text: str, expect: str | None = None) -> Rehearsal:
    migration = Migration("1_x.sql", "1", "plain", text, expect=expect, expect_path="1_x.expect.sql" if expect else None)
    (rehearsal,) = stage.rehearse_migrations(SEED, (migration,))
    return rehearsal


# condition -> what is said of it, None if it holds
CONDITIONS = {
    "(SELECT count(*) FROM t) = 40": None,
    "true -- and a comment": None,
    "NOT EXISTS (SELECT FROM t WHERE email IS NULL)": None,
    "(SELECT count(*) FROM t) = 41": "it is false",
    "NULL": "it is no condition: it is neither true nor false",
    "(SELECT count(*) FROM t) = NULL": "it is NULL, neither true nor false",
    "(SELECT true FROM t WHERE false)": "it is NULL, neither true nor false",
    "1": "it is no condition: it is neither true nor false",
    "'infinity'::timestamptz": "it is no condition: it is neither true nor false",
    "pg_terminate_backend(pg_backend_pid())": "terminating connection due to administrator command",
    "generate_series(1, 2) = 1": "it gives more than one answer",
    "": 'syntax error at or near ")"',
    "SELECT true": None,
    "id = 1 FROM t": 'syntax error at or near "FROM"',
    "true); DELETE FROM t; SELECT (true": "cannot insert multiple commands into a prepared statement",
    "nothing > 1": 'column "nothing" does not exist',
    "(SELECT count(*) FROM nowhere) = 1": 'relation "nowhere" does not exist',
    "raises() = 1": "invalid input syntax for type integer: …",
    "writes() = 1": "cannot execute DELETE in a read-only transaction",
    "nextval('s') = 1": "cannot execute nextval() in a read-only transaction",
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition(stage: Stage, condition: str) -> None:
    found = rehearsed(stage, f"SELECT 1;\n-- rehearsal: expect {condition}")

    said = CONDITIONS[condition]
    assert found.expectations == (Expectation(2, condition, said is None, said, "1_x.sql"),)


# query -> what is said of it, None if it gives no row
QUERIES = {
    "SELECT id FROM t WHERE email IS NULL": None,
    "WITH a AS (SELECT 1 AS x) SELECT FROM a WHERE x > 1": None,
    "(SELECT 1 WHERE false)": None,
    "SELECT id FROM t WHERE id > 39": "1 row",
    "TABLE t": "40 rows",
    "VALUES (1), (2)": "2 rows",
    "SELECT FROM generate_series(1, 100000)": "100,000 rows",
    "SELECT FROM generate_series(1, 1000000)": "more than 100,000 rows",
    "SELECT nothing FROM t": 'column "nothing" does not exist',
    "SELECT email::int FROM t": "invalid input syntax for type integer: …",
    "SELECT id FROM t FOR UPDATE": "cannot execute SELECT FOR UPDATE in a read-only transaction",
    "SELECT writes()": "cannot execute DELETE in a read-only transaction",
    "DELETE FROM t": "it is no query, and was not run: only SELECT, WITH, VALUES, TABLE are asked",
    "COMMIT": "it is no query, and was not run: only SELECT, WITH, VALUES, TABLE are asked",
    "WITH d AS (DELETE FROM t RETURNING 1) TABLE d": "DECLARE CURSOR must not contain data-modifying statements in WITH",
}


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_of_the_file_beside(stage: Stage, query: str) -> None:
    found = rehearsed(stage, "SELECT 1;", f"-- what must not be\n{query};")

    (expectation,) = found.expectations
    said = QUERIES[query]
    assert (expectation.line, expectation.passed, expectation.detail) == (2, said is None, said)
    assert expectation.path == "1_x.expect.sql"


def test_each_is_asked_for_itself_of_what_the_migration_left(stage: Stage) -> None:
    text = "-- rehearsal: expect (SELECT count(*) FROM t) = 0\nDELETE FROM t;\n-- rehearsal: expect broken(\n"

    found = rehearsed(stage, text, "SELECT 1 / 0;\nSELECT * FROM t;\n\nSELECT 'secret', 7 WHERE true;")

    assert [(e.line, e.passed) for e in found.expectations] == [(1, True), (3, False), (1, False), (2, True), (4, False)]
    assert found.expectations[-1].text == "SELECT $1, $2 WHERE true"


def test_there_are_none_for_what_failed_or_was_skipped(stage: Stage) -> None:
    found = stage.rehearse(SEED, "SELECT 1 / 0;\n-- rehearsal: expect true", "-- rehearsal: expect true")

    assert [(r.outcome, r.expectations) for r in found] == [(Outcome.FAILED, ()), (Outcome.SKIPPED, ())]


def test_they_leave_no_trace_in_the_next_rehearsal(stage: Stage) -> None:
    found = stage.rehearse(SEED, "-- rehearsal: expect (SELECT count(*) FROM t) = 40\nSELECT 1;", "SELECT 1;")

    assert (found[1].tables, found[1].schema) == ((), ())


def test_a_directive_that_expects_is_understood(stage: Stage) -> None:
    migration = Migration("m.sql", "1", "plain", "-- rehearsal: expect true\nSELECT 1;")

    assert judge((), (migration,), (), Policy()) == ()


def test_a_time_limit(stage: Stage) -> None:
    from bot.expectations import check_expectations

    seed = stage.server
    migration = Migration(
        "m.sql", "1", "plain", "-- rehearsal: expect pg_sleep(9) IS NULL", expect="SELECT pg_sleep(9)", expect_path="e"
    )

    found = check_expectations(migration, lambda: seed.connect("postgres"), Patience(50))

    assert [e.detail for e in found] == ["it took longer than 0.05 s, which is what was left for it"] * 2


@pytest.mark.parametrize("named", [["1_good.sql"], ["./1_good.sql"], ["1_good.sql", "1_good.expect.sql"]])
def test_on_the_command_line(run: Callable[..., Run], tmp_path: Path, named: list[str]) -> None:
    (tmp_path / "1_good.expect.sql").write_text("SELECT id FROM orders WHERE total IS NULL;\nSELECT id FROM orders")

    done = run("rehearse", *named, "--seed", "seed.sql", "--format", "json")

    (migration,) = json.loads(done.out)["migrations"]
    assert [(e["line"], e["passed"], e["detail"]) for e in migration["expectations"]] == [(1, True, None), (2, False, "90 rows")]


@pytest.mark.parametrize("how", [["--base", "main"], ["m/2_b.up.sql", "--base", "main"], ["m/2_b.up.sql"], ["m"]])
def test_in_a_repository(run: Callable[..., Run], how: list[str]) -> None:
    Path("m").mkdir()
    Path("m/1_a.up.sql").write_text("CREATE TABLE n (id int);")
    git("init", "-b", "main")
    git("add", "-A")
    git("commit", "-m", "base")
    Path("m/2_b.up.sql").write_text("INSERT INTO n VALUES (1);")
    Path("m/2_b.down.sql").write_text("DELETE FROM n;")
    Path("m/2_b.expect").write_text("TABLE n")

    done = run("rehearse", *how, "--migrations", "m", "--format", "json")

    migration = json.loads(done.out)["migrations"][-1]
    assert [(e["path"], e["detail"]) for e in migration["expectations"]] == [("m/2_b.expect", "1 row")]
    assert (migration["down"]["path"], migration["down"]["restored"]) == ("m/2_b.down.sql", True)


# ── The team's, for all migrations ───────────────────────────────────────────────────────────────────────────────────────

NO_NULLS = Expected("nobody is without an address", "SELECT id FROM t WHERE email IS NULL", is_query=True, line=3)
FORTY = Expected("there are forty", "(SELECT count(*) FROM t) = 40", is_query=False, line=4)
NO_MORE = Expected("there are thirty", "(SELECT count(*) FROM t) = 30", is_query=False, line=5)
LATER = Expected("the new table is empty", "SELECT FROM later", is_query=True, line=6)


def became(stage: Stage, expected: Expected, *texts: str) -> list[list[tuple[bool, str | None]]]:
    """What each migration made of an expectation."""
    migrations = tuple(Migration(f"{n}.sql", str(n), "plain", text) for n, text in enumerate(texts, start=1))
    found = stage.rehearse_migrations(SEED, migrations, Settings(expectations=(expected,)))
    for rehearsal in found:
        assert all(
            (e.line, e.text, e.path, e.of_team) == (expected.line, expected.name, FILE, True) for e in rehearsal.expectations
        )
    return [[(e.passed, e.detail) for e in rehearsal.expectations] for rehearsal in found]


MET, GONE = (True, None), (False, 'relation "t" does not exist')
# what is expected, migrations -> what each made of it
TEAM = {
    "met all along": (NO_NULLS, ("SELECT 1", "DELETE FROM t"), [[MET], [MET]]),
    "broken by the second, and no fault of the third": (
        NO_NULLS,
        ("SELECT 1", "UPDATE t SET email = NULL WHERE id < 4", "SELECT 1"),
        [[MET], [(False, "3 rows")], []],
    ),
    "broken and mended": (FORTY, ("DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (1)"), [[(False, "it is false")], [MET]]),
    "never met": (NO_MORE, ("SELECT 1", "DELETE FROM t WHERE id < 3"), [[], []]),
    "not met before": (NO_MORE, ("DELETE FROM t WHERE id <= 10", "SELECT 1"), [[MET], [MET]]),
    "about what comes later": (
        LATER,
        ("SELECT 1", "CREATE TABLE later ()", "INSERT INTO later DEFAULT VALUES"),
        [[], [MET], [(False, "1 row")]],
    ),
    "about what comes and is not as expected": (LATER, ("CREATE TABLE later AS SELECT 1",), [[(False, "1 row")]]),
    "about what goes": (FORTY, ("DROP TABLE t CASCADE", "SELECT 1"), [[GONE], []]),
    "that writes": (Expected("x", "writes() = 1", is_query=False, line=1), ("SELECT 1",), [[]]),
    "that is none": (Expected("x", "SELECT nonsense(", is_query=True, line=1), ("SELECT 1",), [[]]),
    "after a failure": (FORTY, ("DELETE FROM t; SELECT 1 / 0", "SELECT 1"), [[], []]),
}  # fmt: skip


@pytest.mark.parametrize("case", TEAM)
def test_what_a_migration_makes_of_what_the_team_expects(stage: Stage, case: str) -> None:
    expected, texts, said = TEAM[case]

    assert became(stage, expected, *texts) == said


def test_the_teams_are_asked_besides_the_migrations_own(stage: Stage) -> None:
    migration = Migration("1.sql", "1", "plain", "DELETE FROM t;\n-- rehearsal: expect true")

    (found,) = stage.rehearse_migrations(SEED, (migration,), Settings(expectations=(FORTY, NO_NULLS)))

    assert [(e.text, e.passed) for e in found.expectations] == [
        ("true", True), ("there are forty", False), ("nobody is without an address", True),
    ]  # fmt: skip
    assert [(f.path, f.line, f.rule) for f in judge((found,), (), (), Policy()) if "forty" in f.message] == [
        ("1.sql", 1, "expectation-failed")
    ]


TEAMS_FILE = """
[expectations]
"every order has a total" = "SELECT id FROM orders WHERE total IS NULL"
"there are ninety" = "(SELECT count(*) FROM orders) = 90"
"there are ten" = "(SELECT count(*) FROM orders) = 10"
"refunds are small" = "SELECT 1 FROM refunds WHERE amount > 100"
"""


def test_what_was_not_so_before_is_a_note_and_no_fault(run: Callable[..., Run]) -> None:
    Path(".migration-rehearsal.toml").write_text(TEAMS_FILE)
    Path("9_less.sql").write_text("-- a word\nDELETE FROM orders WHERE id = 1;")

    done = run("rehearse", "9_less.sql", "--seed", "seed.sql", "--format", "json")

    report = json.loads(done.out)
    assert done.status == 1
    notes = [note for note in report["notes"] if "expectation" in note]
    assert notes == [
        "Before the first migration the expectation “every order has a total” (.migration-rehearsal.toml:3) can't be asked: "
        'column "total" does not exist.',
        "Not met already before the first migration, and no fault of it: the expectation “there are ten” "
        "(.migration-rehearsal.toml:5): it is false.",
        "Before the first migration the expectation “refunds are small” (.migration-rehearsal.toml:6) can't be asked: "
        'relation "refunds" does not exist.',
    ]
    (finding,) = [f for f in report["findings"] if f["rule"] == "expectation-failed"]
    assert (finding["path"], finding["line"]) == ("9_less.sql", 2)
    assert finding["message"] == ("Not as expected: `there are ninety`: it is false, as `.migration-rehearsal.toml:4` says")


def test_a_run_that_goes_on_knows_how_they_stood(run: Callable[..., Run], journal_url: str) -> None:
    """The first migration is not rehearsed again; what it broke is not the second one's fault."""
    Path(".migration-rehearsal.toml").write_text(TEAMS_FILE)
    Path("8_less.sql").write_text("DELETE FROM orders WHERE id = 1;")
    run("rehearse", "8_less.sql", "--seed", "seed.sql", "--journal", journal_url)
    Path("9_one.sql").write_text("SELECT 1;")

    done = run("rehearse", "8_less.sql", "9_one.sql", "--seed", "seed.sql", "--journal", journal_url, "--format", "json")

    report = json.loads(done.out)
    assert any("reused from the journal" in note for note in report["notes"])
    assert [[e["text"] for e in m["expectations"] if not e["passed"]] for m in report["migrations"]] == [["there are ninety"], []]
    assert sum("there are ten" in note for note in report["notes"]) == 1
