"""One migration, run as its tool would run it: transactions, rows, NULLs, locks, failures."""

from __future__ import annotations

import pytest

from bot.model import ColumnNulls, HeldLock, Migration, Outcome, Rehearsal, Transaction
from bot.settings import Settings
from tests.fix_postgres import Stage

SEED = """
CREATE TABLE t (id int PRIMARY KEY, a text, b int);
INSERT INTO t SELECT n, CASE WHEN n % 4 = 0 THEN NULL ELSE 'a' || n END, n FROM generate_series(1, 200) AS n;
CREATE TABLE other (id int);
INSERT INTO other SELECT generate_series(1, 7);
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 10);
CREATE TABLE child (id int, parent int REFERENCES parent ON DELETE CASCADE);
INSERT INTO child SELECT n, n FROM generate_series(1, 10) AS n;
CREATE TABLE parted (k int) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted SELECT 1 + n % 2 FROM generate_series(1, 30) AS n;
"""


def outcome(rehearsal: Rehearsal) -> tuple[str, str | None, int | None]:
    """Outcome, SQLSTATE and line."""
    error = rehearsal.error
    return (str(rehearsal.outcome), error.sqlstate if error else None, error.line if error else None)


# layout, text, (outcome, SQLSTATE, line): what the layout's tool would see.
AS_THE_TOOL_RUNS_IT = {
    "concurrently, alone in a simple query": ("golang-migrate", "CREATE INDEX CONCURRENTLY i ON t (b);", ("applied", None, None)),
    "concurrently, with another statement in a simple query": (
        "golang-migrate",
        "SELECT 1;\nCREATE INDEX CONCURRENTLY i ON t (b);",
        ("failed", "25001", 2),
    ),
    "concurrently under Prisma": ("prisma", "CREATE INDEX CONCURRENTLY i ON t (b);", ("applied", None, None)),
    "concurrently in a plain folder": ("plain", "SELECT 1;\nCREATE INDEX CONCURRENTLY i ON t (b);", ("applied", None, None)),
    "concurrently under goose": ("goose", "CREATE INDEX CONCURRENTLY i ON t (b);", ("failed", "25001", 1)),
    "concurrently under goose, told so": (
        "goose",
        "-- +goose NO TRANSACTION\nCREATE INDEX CONCURRENTLY i ON t (b);",
        ("applied", None, None),
    ),
    "concurrently under Flyway": ("flyway", "CREATE INDEX CONCURRENTLY i ON t (b);", ("applied", None, None)),
    "mixed under Flyway": ("flyway", "SELECT 1;\nCREATE INDEX CONCURRENTLY i ON t (b);", ("failed", "", 2)),
    "vacuum in a plain folder": ("plain", "VACUUM t;", ("applied", None, None)),
    "its own BEGIN and COMMIT": (
        "golang-migrate",
        "BEGIN; CREATE TABLE n (); COMMIT; CREATE TABLE m ();",
        ("applied", None, None),
    ),
    "its own BEGIN and COMMIT in one transaction": ("plain", "BEGIN; CREATE TABLE n (); COMMIT;", ("applied", None, None)),
    "a BEGIN without an end": ("golang-migrate", "BEGIN;\nCREATE TABLE n ();", ("failed", "25001", 2)),
    "COMMIT in a DO body": ("plain", "DO $$ BEGIN CREATE TABLE n (); COMMIT; END $$;", ("failed", "2D000", 1)),
    "LOCK without a transaction": ("golang-migrate", "LOCK TABLE t;", ("failed", "25P01", 1)),
    "savepoints of its own": (
        "plain",
        "INSERT INTO other VALUES (8); SAVEPOINT s; DELETE FROM t; ROLLBACK TO SAVEPOINT s; RELEASE SAVEPOINT s;",
        ("applied", None, None),
    ),
    "an enum made and extended": (
        "plain",
        "CREATE TYPE e AS ENUM ('a');\nALTER TYPE e ADD VALUE 'b';\nCREATE TABLE n (c e);",
        ("applied", None, None),
    ),
    "syntax error": ("plain", "SELECT 1;\n\nCREATE\n  TABEL x ();", ("failed", "42601", 4)),
    "error inside a line": ("plain", "SELECT 1;\nSELECT 1,\n  nothing\nFROM t;", ("failed", "42703", 3)),
    "byte order mark sent by its tool": ("golang-migrate", "\ufeffCREATE TABLE n ();", ("failed", "42601", 1)),
    "CRLF": ("plain", "CREATE TABLE n (a int);\r\n\r\nINSERT INTO n VALUES (1);\r\n", ("applied", None, None)),
    "SQL function bodies": (
        "plain",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END; SELECT f();",
        ("applied", None, None),
    ),
    "a savepoint in a simple query": ("golang-migrate", "SELECT 1; SAVEPOINT a;", ("failed", "25P01", 1)),
    "a savepoint in a BEGIN of its own": (
        "golang-migrate",
        "BEGIN; SAVEPOINT a; ROLLBACK TO a; COMMIT;",
        ("applied", None, None),
    ),
    "COMMIT AND CHAIN in a simple query": ("prisma", "SELECT 1; COMMIT AND CHAIN; SELECT 1;", ("failed", "25P01", 1)),
    "COPY with its data in a simple query": ("golang-migrate", "COPY other FROM stdin;\n8\n\\.\n", ("failed", "42601", 2)),
    "a body that goose would split": (
        "goose",
        "-- +goose Up\nCREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1;\nEND $$;",
        ("failed", "", 4),
    ),
    "a body that goose is told to keep": (
        "goose",
        "-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$\nBEGIN\n  RETURN 1;\nEND $$;\n"
        "-- +goose StatementEnd",
        ("applied", None, None),
    ),
    "COPY to the client": ("plain", "COPY t TO STDOUT; SELECT 1;", ("applied", None, None)),
    "another client_encoding": (
        "plain",
        "SET client_encoding = 'LATIN1'; COPY other FROM stdin;\n8\n\\.\n",
        ("applied", None, None),
    ),
    "a materialised view without data": (
        "plain",
        "CREATE MATERIALIZED VIEW v AS SELECT 1 AS x WITH NO DATA;",
        ("applied", None, None),
    ),
    "everybody else is sent away": (
        "plain",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid();",
        ("applied", None, None),
    ),
    "a split gone wrong is not the migration's fault": (
        "golang-migrate",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1 AS end; SELECT 2; END; CREATE TABLE n ();",
        ("applied", None, None),
    ),
    "COPY with its data": ("plain", "COPY other FROM stdin;\n8\n9\n\\.\nSELECT 1;\n", ("applied", None, None)),
    "empty": ("plain", "", ("applied", None, None)),
    "only comments": ("plain", "-- nothing\n/* at all; */", ("applied", None, None)),
}


@pytest.mark.parametrize(("layout", "text", "expected"), AS_THE_TOOL_RUNS_IT.values(), ids=AS_THE_TOOL_RUNS_IT.keys())
def test_runs_a_file_as_its_tool_would(
    stage: Stage, layout: str, text: str, expected: tuple[str, str | None, int | None]
) -> None:
    (rehearsal,) = stage.rehearse(SEED, text, layout=layout)

    assert outcome(rehearsal) == expected


# text -> table: (rows before, after, inserted, updated, deleted, rewritten)
ROWS = {
    "update": ("UPDATE t SET b = b + 1 WHERE id <= 50", {"public.t": (200, 200, 0, 50, 0, False)}),
    "delete": ("DELETE FROM t WHERE id <= 50", {"public.t": (200, 150, 0, 0, 50, False)}),
    "insert": ("INSERT INTO other VALUES (8), (9)", {"public.other": (7, 9, 2, 0, 0, False)}),
    "copy": ("COPY other FROM stdin;\n8\n9\n\\.\n", {"public.other": (7, 9, 2, 0, 0, False)}),
    "truncate": ("TRUNCATE other", {"public.other": (7, 0, None, None, None, True)}),
    "new table": ("CREATE TABLE n AS SELECT 1 AS x", {"public.n": (None, 1, 1, 0, 0, False)}),
    "dropped table": ("DROP TABLE other", {"public.other": (7, None, None, None, None, False)}),
    "cascading delete": (
        "DELETE FROM parent WHERE id <= 3",
        {"public.parent": (10, 7, 0, 0, 3, False), "public.child": (10, 7, 0, 0, 3, False)},
    ),
    "rewrite": ("ALTER TABLE t ALTER b TYPE bigint", {"public.t": (200, 200, 0, 0, 0, True)}),
    "vacuum full": ("VACUUM FULL t", {"public.t": (200, 200, 0, 0, 0, True)}),
    "no rewrite": ("ALTER TABLE t ADD c int DEFAULT 5", {}),
    "undone to a savepoint": ("SAVEPOINT s; DELETE FROM t; ROLLBACK TO s", {"public.t": (200, 200, None, None, None, False)}),
    "updated, then undone": ("SAVEPOINT s; UPDATE t SET b = 0; ROLLBACK TO s", {"public.t": (200, 200, 0, 0, 0, False)}),
    "updated, undone, updated less": (
        "SAVEPOINT s; UPDATE t SET b = 0; ROLLBACK TO s; UPDATE t SET b = 1 WHERE id = 1",
        {"public.t": (200, 200, 0, 1, 0, False)},
    ),
    "an exception that is caught": (
        "DO $$ BEGIN BEGIN INSERT INTO other SELECT generate_series(1, 9); DELETE FROM other WHERE id > 7; RAISE 'x';"
        " EXCEPTION WHEN OTHERS THEN NULL; END; END $$",
        {"public.other": (7, 7, None, None, None, False)},
    ),
    "updated twice is updated once": ("UPDATE t SET b = 1; UPDATE t SET b = 2", {"public.t": (200, 200, 0, 200, 0, False)}),
    "with counting turned off": ("SET track_counts = off; DELETE FROM other", {"public.other": (7, 0, None, None, None, False)}),
    "diagnosing does not count": (
        "UPDATE t SET b = 0 WHERE id <= 10; VACUUM other; UPDATE t SET id = 1 WHERE id > 10",
        {"public.t": (200, 200, 0, 10, 0, False)},
    ),
    "partitions are told by their parent": ("DELETE FROM parted WHERE k = 1", {"public.parted": (30, 15, 0, 0, 15, False)}),
    "a function that writes": (
        "CREATE FUNCTION w() RETURNS void LANGUAGE sql AS 'UPDATE t SET b = 0 WHERE id = 1'; SELECT w()",
        {"public.t": (200, 200, 0, 1, 0, False)},
    ),
    "failed and rolled back": ("DELETE FROM t; SELECT 1 / 0", {}),
    "failed outside a transaction": (
        "DELETE FROM other WHERE id = 1; VACUUM t; SELECT 1 / 0",
        {"public.other": (7, 6, 0, 0, 1, False)},
    ),
    "only reading": ("SELECT count(*) FROM t", {}),
}


@pytest.mark.parametrize(("text", "expected"), ROWS.values(), ids=ROWS.keys())
def test_counts_rows_of_touched_tables(stage: Stage, text: str, expected: dict[str, tuple[int | bool | None, ...]]) -> None:
    hides = "track_counts" in text  # which only a superuser may

    (rehearsal,) = stage.rehearse(SEED, text, settings=Settings(superuser=hides))

    found = {t.name: (t.rows_before, t.rows_after, t.inserted, t.updated, t.deleted, t.rewritten) for t in rehearsal.tables}
    assert {name: row for name, row in found.items() if name in expected or not hides} == expected


NULLS = {
    "added": ("ALTER TABLE t ADD c int", [ColumnNulls("public.t", "c", None, 200, None, 0)]),
    "added with default": ("ALTER TABLE t ADD c int DEFAULT 1", [ColumnNulls("public.t", "c", None, 0, None, 200)]),
    "filled": ("UPDATE t SET a = 'x' WHERE a IS NULL AND id < 100", [ColumnNulls("public.t", "a", 50, 26, 150, 174)]),
    "type changed": ("ALTER TABLE t ALTER a TYPE varchar(20)", [ColumnNulls("public.t", "a", 50, 50, 150, 150)]),
    "renamed and filled": (
        "ALTER TABLE t RENAME a TO z; UPDATE t SET z = 'x' WHERE z IS NULL",
        [ColumnNulls("public.t", "z", 50, 0, 150, 200)],
    ),
    "made not null": (
        "UPDATE t SET a = 'x' WHERE a IS NULL; ALTER TABLE t ALTER a SET NOT NULL",
        [ColumnNulls("public.t", "a", 50, 0, 150, 200)],
    ),
    "dropped": ("UPDATE t SET b = 0; ALTER TABLE t DROP a", [ColumnNulls("public.t", "a", 50, None, 150, None)]),
    "dropped without touching a row": ("ALTER TABLE t DROP a", [ColumnNulls("public.t", "a", 50, None, 150, None)]),
    "of a partitioned table, told once": ("ALTER TABLE parted ADD c int", [ColumnNulls("public.parted", "c", None, 30, None, 0)]),
    "untouched": ("UPDATE t SET b = 0", []),
}


@pytest.mark.parametrize(("text", "expected"), NULLS.values(), ids=NULLS.keys())
def test_counts_nulls_of_changed_columns(stage: Stage, text: str, expected: list[ColumnNulls]) -> None:
    (rehearsal,) = stage.rehearse(SEED, text)

    assert list(rehearsal.columns) == expected


def test_each_migration_starts_from_what_the_one_before_left(stage: Stage) -> None:
    first, second, third = stage.rehearse(
        SEED,
        "ALTER TABLE t ADD c int; DELETE FROM t WHERE id > 100",
        "UPDATE t SET c = 1 WHERE id <= 10",
        "INSERT INTO other VALUES (0)",
    )

    assert [(t.rows_before, t.rows_after) for r in (first, second, third) for t in r.tables] == [(200, 100), (100, 100), (7, 8)]
    assert list(second.columns) == [ColumnNulls("public.t", "c", 100, 90, 0, 10)]


def test_after_a_failure_the_rest_is_skipped(stage: Stage) -> None:
    rehearsals = stage.rehearse(SEED, "SELECT 1", "SELECT 1 / 0", "SELECT 1")

    assert [r.outcome for r in rehearsals] == [Outcome.APPLIED, Outcome.FAILED, Outcome.SKIPPED]


def test_a_setting_is_felt_by_the_next_file_only_where_the_tool_keeps_its_connection(stage: Stage) -> None:
    files = ("SET search_path = pg_catalog", "CREATE TABLE n ()")

    kept = stage.rehearse(SEED, *files, layout="golang-migrate")
    fresh = stage.rehearse(SEED, *files, layout="plain")

    assert [r.outcome for r in kept] == [Outcome.APPLIED, Outcome.FAILED]
    assert [r.outcome for r in fresh] == [Outcome.APPLIED, Outcome.APPLIED]


def test_constraints_added_dropped_and_changed(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(
        SEED,
        """
        ALTER TABLE t ADD CONSTRAINT positive CHECK (b > 0), ALTER b SET NOT NULL;
        CREATE UNIQUE INDEX t_b ON t (b);
        ALTER TABLE child DROP CONSTRAINT child_parent_fkey;
        CREATE TABLE n (id int PRIMARY KEY, t int REFERENCES t);
        """,
    )

    found = {(c.table, c.kind, c.change, c.violations) for c in rehearsal.constraints}
    assert found == {
        ("public.t", "check", "added", 0),
        ("public.t", "not null", "added", 0),
        ("public.t", "unique", "added", 0),
        ("public.child", "foreign key", "dropped", None),
        ("public.n", "primary key", "added", 0),
        ("public.n", "foreign key", "added", 0),
    }


def test_locks_held_on_relations_that_were_there(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "CREATE TABLE n (p int REFERENCES parent); ALTER TABLE t ADD c int; UPDATE t SET c = 1")

    first, second, third = (s.locks for s in rehearsal.statements)
    assert first == (HeldLock("public.parent", "ShareRowExclusiveLock"),)
    assert second == (HeldLock("public.t", "AccessExclusiveLock"),)
    assert third == (HeldLock("public.t", "RowExclusiveLock"),)
    strongest = {k.relation: (k.mode, k.blocks, k.line) for k in rehearsal.locks}
    assert strongest == {
        "public.t": ("AccessExclusiveLock", ("reads", "writes"), 1),
        "public.parent": ("ShareRowExclusiveLock", ("writes",), 1),
    }


def test_a_lock_given_back_at_a_savepoint_is_held_no_longer(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "SAVEPOINT a; LOCK t; ROLLBACK TO a; SELECT pg_sleep(0.3)")

    (lock,) = rehearsal.locks
    assert lock.held_ms < 300


def test_untouched_tables_are_those_that_were_there_and_still_are(stage: Stage) -> None:
    counts = [stage.rehearse(SEED, sql)[0].untouched_tables for sql in ("SELECT 1", "DROP TABLE other", "UPDATE t SET b = 0")]

    assert counts == [5, 4, 4]


def test_each_plain_file_has_a_session_of_its_own_and_only_one_is_open(stage: Stage) -> None:
    rehearsals = stage.rehearse(SEED, *["SELECT pg_advisory_lock(1)"] * 110)

    assert {r.outcome for r in rehearsals} == {Outcome.APPLIED}


RENAMES = {
    "a column": "ALTER TABLE t RENAME id TO key",
    "a constraint": "ALTER TABLE parent RENAME CONSTRAINT parent_pkey TO p",
    "a table": "ALTER TABLE t RENAME TO u",
}


@pytest.mark.parametrize("sql", RENAMES.values(), ids=RENAMES.keys())
def test_a_rename_adds_and_drops_no_constraint(stage: Stage, sql: str) -> None:
    (rehearsal,) = stage.rehearse(SEED, sql)

    assert rehearsal.constraints == ()


def test_a_lock_is_held_to_the_commit_not_to_the_end_of_its_statement(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "ALTER TABLE t ADD c int; SELECT pg_sleep(0.2)")

    (lock,) = rehearsal.locks
    assert lock.held_ms >= 200
    assert rehearsal.statements[0].duration_ms < lock.held_ms


def test_a_migration_is_stopped_at_its_time_limit(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "SELECT pg_sleep(600)", settings=Settings(time_limit_s=0.3))

    assert rehearsal.error is not None
    assert (rehearsal.outcome, rehearsal.error.sqlstate) == (Outcome.FAILED, "57014")
    assert "0.3 s" in rehearsal.error.message


def test_a_migration_that_catches_its_cancellation_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.postgres.guard._CANCELS", 2)
    stubborn = "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"

    first, second = stage.rehearse(SEED, stubborn, "SELECT 1", settings=Settings(time_limit_s=0.3))

    assert (first.outcome, second.outcome) == (Outcome.FAILED, Outcome.SKIPPED)
    assert first.error is not None
    assert "0.3 s" in first.error.message


def test_locking_the_catalog_does_not_hang_the_observer(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(
        SEED,
        "LOCK pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE; SELECT 1; UPDATE t SET b = 0 WHERE id = 1",
        settings=Settings(superuser=True),
    )

    assert rehearsal.outcome is Outcome.APPLIED
    assert [s.locks for s in rehearsal.statements] == [None, None, None]
    assert [t.updated for t in rehearsal.tables] == [1]


# what a message of PostgreSQL says of a row's value -> what is left
VALUES = {
    "SELECT 'secret'::int": "invalid input syntax for type integer: …",
    "SELECT '99999999999'::int": "value … is out of range for type integer",
    "SELECT '{a\"b'::int[]": "malformed array literal: …",
}


@pytest.mark.parametrize("sql", VALUES)
def test_messages_do_not_tell_values(stage: Stage, sql: str) -> None:
    (rehearsal,) = stage.rehearse(SEED, sql)

    assert rehearsal.error is not None
    assert rehearsal.error.message == VALUES[sql]


HOLDS = "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'secret')"
# what a function puts together of a row's value and executes -> what is said
MADE_UP = {
    "EXECUTE 'SELECT x.' || (SELECT a FROM t) || ' FROM t AS x'": "column x.… does not exist",
    "EXECUTE 'CREATE TYPE ' || (SELECT a FROM t) || ' AS ENUM ()'; EXECUTE 'SELECT 1::' || (SELECT a FROM t)": (
        "cannot cast type integer to …"
    ),
    "EXECUTE 'CREATE TABLE ' || (SELECT a FROM t) || '(i) AS SELECT 1';"
    "EXECUTE 'CREATE VIEW v AS SELECT * FROM ' || (SELECT a FROM t);"
    "EXECUTE 'DROP TABLE ' || (SELECT a FROM t)": "cannot drop table … because other objects depend on it",
    "EXECUTE 'DROP TABLE nosuch'": 'table "nosuch" does not exist',
}


@pytest.mark.parametrize("body", MADE_UP)
def test_names_that_were_put_together_are_not_told(stage: Stage, body: str) -> None:
    (rehearsal,) = stage.rehearse(HOLDS, f"DO $$ BEGIN {body}; END $$")

    assert rehearsal.error is not None
    assert rehearsal.error.message == MADE_UP[body]


WITH_A_VIEW = HOLDS + "; CREATE VIEW open_ones AS SELECT a FROM t"
# what something else stands in the way of -> what is said of it: names of the catalog
IN_THE_WAY = {
    "ALTER TABLE t ALTER a TYPE varchar(9)": (
        'cannot alter type of a column used by a view or rule (rule _RETURN on view open_ones depends on column "a")'
    ),
    "DROP TABLE t": "cannot drop table t because other objects depend on it (view open_ones depends on table t)",
}


@pytest.mark.parametrize("sql", IN_THE_WAY)
def test_what_stands_in_the_way_is_named(stage: Stage, sql: str) -> None:
    (rehearsal,) = stage.rehearse(WITH_A_VIEW, sql)

    assert rehearsal.error is not None
    assert rehearsal.error.message == IN_THE_WAY[sql]


def test_a_syntax_error_that_is_raised_does_not_have_the_file_sent_unwatched(stage: Stage) -> None:
    once = (
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) THEN"
        " PERFORM pg_advisory_lock(7); RAISE syntax_error; END IF; END $$;"
    )

    (rehearsal,) = stage.rehearse(HOLDS, once + "ALTER TABLE t ALTER a TYPE varchar(9)")

    assert rehearsal.error is not None
    assert (rehearsal.outcome, rehearsal.error.raised) == (Outcome.FAILED, True)


def test_what_tables_hold_is_asked_of_the_untouched_seed(stage: Stage) -> None:
    """A table created by one migration and dropped by the next is known; renamed ones keep their past."""
    _first, second = stage.rehearse(
        SEED,
        "CREATE TABLE n AS SELECT generate_series(1, 5) AS x; ALTER TABLE other RENAME TO renamed",
        "DROP TABLE n; DELETE FROM renamed",
    )

    assert {(t.name, t.rows_before, t.rows_after) for t in second.tables} == {
        ("public.n", 5, None),
        ("public.renamed", 7, 0),
    }


def test_transaction_policy_is_told(stage: Stage) -> None:
    told = [stage.rehearse(SEED, "SELECT 1", layout=layout)[0].transaction for layout in ("plain", "prisma", "goose")]

    assert told == [Transaction.SINGLE, Transaction.IMPLICIT, Transaction.SINGLE]


def test_statement_literals_are_not_shown(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "UPDATE t SET a = 'secret' WHERE id = 12345")

    assert [s.sql for s in rehearsal.statements] == ["UPDATE t SET a = $1 WHERE id = $2"]


def test_two_thousand_statements_in_one_file(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "INSERT INTO other VALUES (1);\n" * 2000)

    assert rehearsal.statements_total == 2000
    assert [(t.rows_before, t.rows_after) for t in rehearsal.tables] == [(7, 2007)]


def test_migration_values_are_kept(stage: Stage) -> None:
    migration = Migration("db/V1__x.sql", "1", "flyway", "SELECT 1")

    (rehearsal,) = stage.rehearse_migrations(SEED, (migration,))

    assert (rehearsal.path, rehearsal.version, rehearsal.layout) == ("db/V1__x.sql", "1", "flyway")
