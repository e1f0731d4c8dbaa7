"""What a migration locked, scanned, rewrote, built and used, statement by statement."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bot.model import Dependent, IndexWork, KeyUse, Outcome, Rehearsal, Scan
from bot.settings import Settings
from tests.fix_postgres import Stage

SEED = """
CREATE TABLE t (id int PRIMARY KEY, a text, b int NOT NULL);
INSERT INTO t SELECT n, 'a' || n, n FROM generate_series(1, 20000) AS n;
CREATE INDEX t_b ON t (b);
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 100);
CREATE TABLE child (id int, parent int);
INSERT INTO child SELECT n, 1 + n % 100 FROM generate_series(1, 300) AS n;
CREATE TABLE parted (k int, v int) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted SELECT 1 + n % 2, n FROM generate_series(1, 30) AS n;
CREATE MATERIALIZED VIEW mv AS SELECT * FROM parent;
CREATE VIEW v AS SELECT id, a FROM t;
CREATE FUNCTION f() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(a) FROM t); END';
CREATE FUNCTION g() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE empty (id int);
CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN $1; END';
"""


def watched(stage: Stage, text: str) -> Rehearsal:
    (rehearsal,) = stage.rehearse(SEED, text)
    assert rehearsal.outcome is Outcome.APPLIED, rehearsal.error
    return rehearsal


@dataclass(frozen=True)
class Work:
    """What the statements did: rewrites, scans and indexes of all of them."""

    rewrites: tuple[str, ...] = ()
    scans: tuple[Scan, ...] = ()
    indexes: tuple[IndexWork, ...] = ()


T, ALL = "public.t", 20_000
WORK = {
    "a constant default rewrites nothing": ("ALTER TABLE t ADD c int DEFAULT 7", Work()),
    "a volatile default rewrites": ("ALTER TABLE t ADD c float DEFAULT random()", Work((T,), (Scan(T, ALL),))),
    "a wider integer rewrites": ("ALTER TABLE t ALTER b TYPE bigint", Work((T,), (Scan(T, ALL),))),
    "a type that looks the same inside does not": ("DROP VIEW v; ALTER TABLE t ALTER a TYPE varchar", Work()),
    "LOCK first": ("LOCK TABLE t; ALTER TABLE t ADD c float DEFAULT random()", Work((T,), (Scan(T, ALL),))),
    "a table that was changed before": (
        "ALTER TABLE t ADD c int; SELECT 1; ALTER TABLE child ADD c int; ALTER TABLE t ALTER b TYPE bigint",
        Work((T,), (Scan(T, ALL),)),
    ),
    "an index of a table that was changed before": (
        "ALTER TABLE t ADD c int; DROP INDEX t_b; CREATE INDEX i ON t (c)",
        Work((), (Scan(T, ALL),), (IndexWork(T, "public.t_b", "dropped"), IndexWork(T, "public.i", "built"))),
    ),
    "SET UNLOGGED rewrites": ("ALTER TABLE t SET UNLOGGED", Work((T,), (Scan(T, ALL),))),
    "CLUSTER rewrites": ("CLUSTER t USING t_b", Work((T,), (Scan(T, ALL),))),
    "VACUUM FULL rewrites": ("VACUUM FULL t", Work((T,))),
    "TRUNCATE makes a new file and rewrites nothing": ("TRUNCATE t", Work()),
    "TRUNCATE inside DO as well": ("DO $$ BEGIN TRUNCATE t; END $$", Work()),
    "an empty table is not rewritten": ("ALTER TABLE empty ALTER id TYPE bigint", Work()),
    "REFRESH is no rewrite": ("REFRESH MATERIALIZED VIEW mv", Work()),
    "a partitioned table's rewrite is told once": (
        "ALTER TABLE parted ALTER v TYPE bigint",
        Work(("public.parted",), (Scan("public.parted", 30),)),
    ),
    "SET NOT NULL scans": ("ALTER TABLE t ALTER a SET NOT NULL", Work((), (Scan(T, ALL),))),
    "SET NOT NULL that a CHECK proves does not": (
        "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t VALIDATE CONSTRAINT c;"
        "ALTER TABLE t ALTER a SET NOT NULL",
        Work((), (Scan(T, ALL),)),
    ),
    "a CHECK scans": ("ALTER TABLE t ADD CHECK (b > 0)", Work((), (Scan(T, ALL),))),
    "a CHECK that is NOT VALID does not": ("ALTER TABLE t ADD CHECK (b > 0) NOT VALID", Work()),
    "a foreign key scans both sides": (
        "ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent",
        Work((), (Scan("public.parent", 100), Scan("public.child", 300))),
    ),
    "an index is built": ("CREATE INDEX i ON t (a)", Work((), (Scan(T, ALL),), (IndexWork(T, "public.i", "built"),))),
    "a primary key builds one": (
        "ALTER TABLE child ADD PRIMARY KEY (id)",
        Work(
            (), (Scan("public.child", 300), Scan("public.child", 300)), (IndexWork("public.child", "public.child_pkey", "built"),)
        ),
    ),
    "an index is dropped": ("DROP INDEX t_b", Work((), (), (IndexWork(T, "public.t_b", "dropped"),))),
    "an index is rebuilt": ("REINDEX INDEX t_b", Work((), (Scan(T, ALL),), (IndexWork(T, "public.t_b", "rebuilt"),))),
    "an index of its own table is nobody's business": ("CREATE TABLE n (id int PRIMARY KEY)", Work()),
    "reading and writing rows is no work on the table": ("UPDATE t SET b = b + 1; SELECT count(*) FROM t", Work()),
}


@pytest.mark.parametrize("case", WORK)
def test_what_statements_do_to_tables(stage: Stage, case: str) -> None:
    text, expected = WORK[case]

    statements = watched(stage, text).statements

    scans = tuple(scan for s in statements for scan in s.scans)
    found = Work(
        tuple(r for s in statements for r in s.rewrites),
        tuple(sorted(scans, key=lambda s: s.rows)),
        tuple(i for s in statements for i in s.indexes),
    )
    if case == "a primary key builds one":  # SET NOT NULL and the build, in one pass or two, as the version has it
        assert {s.relation for s in scans} == {"public.child"}
        assert found.indexes == expected.indexes
    else:
        assert found == expected


def test_concurrent_builds_are_seen_with_the_locks_that_they_take(stage: Stage) -> None:
    rehearsal = watched(stage, "CREATE INDEX CONCURRENTLY i ON child (slow(id));\nDROP INDEX CONCURRENTLY t_b;")

    built, _dropped = rehearsal.statements
    child = "public.child"
    assert built.indexes == (IndexWork(child, "public.i", "built"),)
    assert {(lock.relation, lock.mode) for lock in built.locks or ()} == {(child, "ShareUpdateExclusiveLock")}
    assert [(lock.relation, lock.blocks) for lock in rehearsal.locks if lock.relation == child] == [(child, ())]
    assert all(span.sampled for span in rehearsal.lock_spans)


def test_a_procedure_that_commits_is_seen_from_outside(stage: Stage) -> None:
    text = "DO $$ BEGIN LOCK TABLE parent; PERFORM pg_sleep(0.2); COMMIT; PERFORM pg_sleep(0.3); END $$"
    (rehearsal,) = stage.rehearse(SEED, text, layout="golang-migrate")

    (lock,) = [lock for lock in rehearsal.locks if lock.relation == "public.parent"]
    assert lock.mode == "AccessExclusiveLock"
    assert 100 <= lock.reads_blocked_ms <= rehearsal.duration_ms - 250


def test_what_a_failed_statement_held_is_told(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "DO $$ BEGIN LOCK TABLE parent; PERFORM pg_sleep(0.2); RAISE 'no'; END $$")

    (lock,) = rehearsal.locks
    assert (lock.relation, lock.blocks, rehearsal.outcome) == ("public.parent", ("reads", "writes"), Outcome.FAILED)
    assert lock.reads_blocked_ms >= 200


def test_both_sides_of_a_foreign_key_are_locked_against_writes(stage: Stage) -> None:
    rehearsal = watched(stage, "ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent")

    assert {(lock.relation, lock.mode, lock.rows) for lock in rehearsal.locks} == {
        ("public.child", "ShareRowExclusiveLock", 300),
        ("public.parent", "ShareRowExclusiveLock", 100),
    }


def test_blocked_times_sum_over_transactions_and_count_no_moment_twice(stage: Stage) -> None:
    text = (
        "BEGIN; LOCK TABLE t IN SHARE MODE; SELECT pg_sleep(0.1); LOCK TABLE t; SELECT pg_sleep(0.1); COMMIT;"
        "BEGIN; LOCK TABLE t IN SHARE MODE; SELECT pg_sleep(0.1); COMMIT;"
    )
    (rehearsal,) = stage.rehearse(SEED, text, layout="golang-migrate")

    (lock,) = [lock for lock in rehearsal.locks if lock.relation == T]
    assert lock.mode == "AccessExclusiveLock"
    assert 100 <= lock.reads_blocked_ms < lock.writes_blocked_ms - 150
    assert [span.mode for span in rehearsal.lock_spans if span.relation == T] == ["ShareLock", "AccessExclusiveLock", "ShareLock"]


def test_a_lock_let_go_by_a_savepoint_ends_there(stage: Stage) -> None:
    text = "SAVEPOINT s; LOCK TABLE t; ROLLBACK TO SAVEPOINT s; SELECT pg_sleep(0.2)"
    rehearsal = watched(stage, text)

    (lock,) = rehearsal.locks
    assert lock.held_ms <= rehearsal.duration_ms - 200


# text -> lock_timeout and statement_timeout in force when each statement took a lock that others wait for
TIMEOUTS: dict[str, list[tuple[int, int] | None]] = {
    "ALTER TABLE t ADD c int": [(0, 0)],
    "SET lock_timeout = '2s'; ALTER TABLE t ADD c int; SELECT 1": [None, (2000, 0), None],
    "SET LOCAL lock_timeout = '1min'; SET statement_timeout = '1h'; LOCK TABLE t; UPDATE parent SET id = id": [
        None,
        None,
        (60_000, 3_600_000),
        None,
    ],
}


@pytest.mark.parametrize("text", TIMEOUTS)
def test_the_timeouts_in_force(stage: Stage, text: str) -> None:
    found = [(s.lock_timeout_ms, s.statement_timeout_ms) for s in watched(stage, text).statements]

    assert found == [expected or (None, None) for expected in TIMEOUTS[text]]


# What the migration does to its own session must not be changed by our looking, nor hide anything from it.
ODD_SESSIONS = {
    "a serializable transaction, whose reads leave locks of their own kind": (
        "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; UPDATE t SET a = 'y' WHERE b = 7; ALTER TABLE parent ADD c int"
    ),
    "a statement_timeout shorter than our question": "SET statement_timeout = '1ms'; ALTER TABLE parent ADD c int; RESET ALL",
    "LOCK, then the isolation level": "LOCK TABLE t; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; SELECT 1",
    "a search_path of its own, with its own operators": (
        "CREATE FUNCTION public.no(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false';"
        "CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = public.no);"
        "SET search_path = public, pg_catalog; ALTER TABLE t ADD c float DEFAULT random()"
    ),
    "a savepoint of our name": "SAVEPOINT rehearsal_look; ALTER TABLE t ADD c int; ROLLBACK TO SAVEPOINT rehearsal_look",
    "a role that may do little": (
        "CREATE ROLE little; GRANT little TO current_user; ALTER TABLE parent OWNER TO little;"
        "GRANT ALL ON SCHEMA public TO little; SET ROLE little; ALTER TABLE parent ADD c int; RESET ROLE;"
        "REASSIGN OWNED BY little TO postgres; DROP OWNED BY little; DROP ROLE little"
    ),
}


@pytest.mark.parametrize("case", ODD_SESSIONS)
def test_odd_sessions(stage: Stage, case: str) -> None:
    rehearsal = watched(stage, ODD_SESSIONS[case])

    if "random()" in ODD_SESSIONS[case]:
        assert rehearsal.statements[-1].rewrites == (T,)


NOTICES = {
    "a name too long": (f"CREATE TABLE {'x' * 70} ()", "plain", ["42622"]),
    "BEGIN inside a transaction": ("BEGIN; SELECT 1; COMMIT", "plain", ["25001"]),
    "COMMIT without one": ("COMMIT", "golang-migrate", ["25P01"]),
    "COMMIT in a simple query without BEGIN": ("SELECT 1; COMMIT; SELECT 2", "golang-migrate", ["25P01"]),
    "BEGIN in a simple query": ("SELECT 1; BEGIN; SELECT 2; COMMIT", "golang-migrate", []),
    "BEGIN twice in a simple query": ("BEGIN; BEGIN; COMMIT", "golang-migrate", ["25001"]),
    "what a migration says itself is not kept": ("DO $$ BEGIN RAISE NOTICE 'row %', 1; RAISE WARNING 'row'; END $$", "plain", []),
}


@pytest.mark.parametrize("case", NOTICES)
def test_remarks_of_postgresql(stage: Stage, case: str) -> None:
    text, layout, expected = NOTICES[case]
    (rehearsal,) = stage.rehearse(SEED, text, layout=layout)

    assert [n.sqlstate for s in rehearsal.statements for n in s.notices] == expected


def test_a_flood_of_notices_is_no_flood_of_facts(stage: Stage) -> None:
    name = "x" * 70
    rehearsal = watched(stage, f"DO $$ BEGIN FOR i IN 1..500 LOOP EXECUTE 'SELECT 1 AS {name}'; END LOOP; END $$")

    assert len(rehearsal.statements[0].notices) == 20


def test_log_disk_and_temporary_files_are_measured(stage: Stage) -> None:
    rehearsal = watched(stage, "SET work_mem = '64kB'; CREATE TABLE n AS SELECT * FROM t ORDER BY a;")

    assert (rehearsal.wal_bytes or 0) > 500_000
    assert (rehearsal.disk_bytes or 0) > 500_000
    assert (rehearsal.temp_bytes or 0) > 100_000


def test_nothing_costs_nothing(stage: Stage) -> None:
    rehearsal = watched(stage, "SELECT 1")

    assert (rehearsal.wal_bytes or 0) < 10_000
    assert (rehearsal.disk_bytes, rehearsal.temp_bytes) == (0, 0)


# text -> [(index, change, valid, line)]
INDEXES = {
    "CREATE INDEX i ON t (a)": [("public.i", "added", True, 1)],
    "SELECT 1;\nCREATE INDEX ON t (a)": [("public.t_a_idx", "added", True, 2)],
    "DROP INDEX t_b": [("public.t_b", "dropped", True, 1)],
    "CREATE INDEX i ON ONLY parted (v)": [("public.i", "added", False, 1)],
}


@pytest.mark.parametrize("text", INDEXES)
def test_indexes(stage: Stage, text: str) -> None:
    assert [(i.name, i.change, i.valid, i.line) for i in watched(stage, text).indexes] == INDEXES[text]


def test_an_invalid_index_is_left_by_a_failed_build(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "CREATE UNIQUE INDEX CONCURRENTLY i ON child (parent)")

    assert [(i.name, i.valid) for i in rehearsal.indexes] == [("public.i", False)]
    assert rehearsal.outcome is Outcome.FAILED


FK = "ALTER TABLE child ADD FOREIGN KEY (parent) REFERENCES parent"
FOREIGN_KEYS = {
    FK: False,
    f"CREATE INDEX ON child (parent, id); {FK}": True,
    f"CREATE INDEX ON child (id, parent); {FK}": False,
    f"CREATE INDEX ON child (parent) WHERE id > 1; {FK}": False,
    "CREATE TABLE n (p int REFERENCES parent, q int)": False,
    "CREATE TABLE n (p int PRIMARY KEY REFERENCES parent)": True,
}


@pytest.mark.parametrize("text", FOREIGN_KEYS)
def test_whether_a_foreign_key_has_an_index_on_its_own_side(stage: Stage, text: str) -> None:
    (key,) = [c for c in watched(stage, text).constraints if c.kind == "foreign key"]

    assert key.indexed is FOREIGN_KEYS[text]


KEYS = {
    "the real maximum": ("UPDATE t SET id = 2000000000 WHERE id = 1", [KeyUse(T, "id", "integer", 2_000_000_000, 2**31 - 1)]),
    "a sequence that is ahead": (
        "CREATE TABLE n (id smallserial, x text); SELECT setval('n_id_seq', 30000)",
        [KeyUse("public.n", "id", "smallint", 30_000, 32_767)],
    ),
    "a key that is bigint now": ("DROP VIEW v; ALTER TABLE t ALTER id TYPE bigint", []),
    "a table that is only read": ("SELECT count(*) FROM t", []),
}


@pytest.mark.parametrize("case", KEYS)
def test_how_far_integer_keys_have_come(stage: Stage, case: str) -> None:
    text, expected = KEYS[case]

    assert list(watched(stage, text).keys) == expected


DEPENDENTS = {
    "a view dropped by CASCADE": (
        "ALTER TABLE t DROP a CASCADE",
        {("view", "public.v", "dropped"), ("function", "public.f", "names")},
    ),
    "a view dropped by name": ("DROP VIEW v", set()),
    "a function that names the table": ("ALTER TABLE t RENAME TO u", {("function", "public.f", "names")}),
    "a function that names the column": ("ALTER TABLE t RENAME a TO z", {("function", "public.f", "names")}),
    "a function that names another column": ("ALTER TABLE t RENAME b TO z", set()),
    "a function that is mended as well": (
        "ALTER TABLE t RENAME TO u; CREATE OR REPLACE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM u'",
        set(),
    ),
    "a view that stands in for the old name": ("ALTER TABLE t RENAME TO u; CREATE VIEW t AS SELECT * FROM u", set()),
}


@pytest.mark.parametrize("case", DEPENDENTS)
def test_what_breaks_when_a_name_goes(stage: Stage, case: str) -> None:
    text, expected = DEPENDENTS[case]

    found = watched(stage, text).dependents

    assert {(d.kind, d.name.split("(")[0], d.problem) for d in found} == expected
    assert all(isinstance(d, Dependent) and d.line == 1 for d in found)


def test_the_time_limit_ends_the_watch_too(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "VACUUM FULL t; SELECT pg_sleep(600)", settings=Settings(time_limit_s=0.5))

    assert rehearsal.outcome is Outcome.FAILED
