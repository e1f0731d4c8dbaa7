"""How many existing rows break a constraint: for each kind, refused or added NOT VALID, whatever statement ran into it."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from bot.model import ConstraintChange, Outcome
from tests.fix_postgres import Stage

SEED = """
CREATE EXTENSION btree_gist;
CREATE TABLE orgs (id int PRIMARY KEY);
INSERT INTO orgs VALUES (1), (2), (3);
CREATE TABLE users (id int PRIMARY KEY, email text, org int, age int CONSTRAINT age_sane CHECK (age < 1000), region text);
INSERT INTO users
SELECT n, CASE WHEN n % 10 = 0 THEN NULL WHEN n % 7 = 0 THEN 'twin' || n % 2 ELSE 'u' || n END, n % 5, n % 100, 'r'
FROM generate_series(1, 1000) AS n;
CREATE TABLE pets (id int PRIMARY KEY, owner int NOT NULL REFERENCES users, a int, b int);
INSERT INTO pets SELECT n, n, nullif(n % 4, 0), nullif(n % 3, 0) FROM generate_series(1, 60) AS n;
CREATE TABLE bookings (room int, during int4range, cancelled bool DEFAULT false);
INSERT INTO bookings (room, during) VALUES (1, '[1,5)'), (1, '[4,8)'), (1, '[7,9)'), (2, '[1,9)'), (3, '[1,9)');
INSERT INTO bookings VALUES (3, '[2,3)', true);
CREATE TABLE pairs (a int, b int, PRIMARY KEY (a, b));
INSERT INTO pairs VALUES (1, 1), (2, 2);
CREATE TABLE "Odd ""Name" ("a b" int, "select" text);
INSERT INTO "Odd ""Name" VALUES (1, NULL), (1, 'x'), (2, 'y');
CREATE TABLE ci (mail text);
INSERT INTO ci VALUES ('A@x'), ('a@x'), ('b@x'), (NULL), (NULL);
CREATE TABLE events (at int NOT NULL) PARTITION BY RANGE (at);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (100);
INSERT INTO events SELECT n % 90 FROM generate_series(1, 180) AS n;
CREATE TABLE loose (at int NOT NULL);
INSERT INTO loose SELECT n FROM generate_series(95, 204) AS n;
CREATE TABLE papa (a int);
INSERT INTO papa VALUES (1), (-1);
CREATE TABLE child_of_papa () INHERITS (papa);
INSERT INTO child_of_papa SELECT -1 FROM generate_series(1, 50);
CREATE ROLE app;
CREATE TABLE guarded (id int, email text);
INSERT INTO guarded SELECT n, nullif(n % 2, 0) FROM generate_series(1, 100) AS n;
ALTER TABLE guarded OWNER TO app;
ALTER TABLE guarded ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY few ON guarded USING (id < 10);
CREATE TABLE fenced (a int);
INSERT INTO fenced SELECT generate_series(1, 10);
CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
CREATE TRIGGER no BEFORE TRUNCATE ON fenced EXECUTE FUNCTION no();
CREATE TABLE states (s int);
INSERT INTO states VALUES (1), (2);
CREATE FUNCTION is_state(n int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM states WHERE s = n)';
"""


@dataclass(frozen=True)
class Case:
    """A migration, and of the table that it trips over: how many rows break which constraint, of how many."""

    sql: str
    name: str
    kind: str
    violations: int | None
    rows: int | None
    change: str = "added"


CASES = {
    "not null": Case("ALTER TABLE users ALTER email SET NOT NULL", "email", "not null", 100, 1000),
    "not null of a column added before": Case(
        "ALTER TABLE users ADD w text; UPDATE users SET w = 'x' WHERE id % 2 = 0; ALTER TABLE users ALTER w SET NOT NULL",
        "w",
        "not null",
        500,
        1000,
    ),
    "not null column without default": Case("ALTER TABLE users ADD q int NOT NULL", "q", "not null", 1000, 1000),
    "not null by an update": Case("UPDATE pets SET owner = NULL WHERE id <= 7", "owner", "not null", 7, 60, "broken"),
    "unique index": Case("CREATE UNIQUE INDEX u ON users (email)", "u", "unique", 128, 1000),
    "unique index, concurrently": Case("CREATE UNIQUE INDEX CONCURRENTLY u ON users (email)", "u", "unique", 128, 1000),
    "unique constraint": Case("ALTER TABLE users ADD CONSTRAINT u UNIQUE (email, org)", "u", "unique", 128, 1000),
    "unique on an expression": Case("CREATE UNIQUE INDEX u ON ci (lower(mail))", "u", "unique", 2, 5),
    "unique on some rows": Case("CREATE UNIQUE INDEX u ON users (email) WHERE id <= 70", "u", "unique", 9, 1000),
    "unique, nulls not distinct": Case("CREATE UNIQUE INDEX u ON ci (mail) NULLS NOT DISTINCT", "u", "unique", 2, 5),
    "primary key": Case("ALTER TABLE users DROP CONSTRAINT users_pkey CASCADE, ADD CONSTRAINT p PRIMARY KEY (org)",
                        "p", "primary key", 1000, 1000),
    "unique broken by an update": Case("UPDATE users SET id = 1 WHERE id < 5", "users_pkey", "primary key", 4, 1000, "broken"),
    "unique broken by an insert": Case("INSERT INTO orgs VALUES (3), (4), (1)", "orgs_pkey", "primary key", 4, 6, "broken"),
    "check": Case("ALTER TABLE users ADD CONSTRAINT c CHECK (age < 50)", "c", "check", 500, 1000),
    "check by an update": Case("UPDATE users SET age = age * 100", "age_sane", "check", 900, 1000, "broken"),
    "check, after a not valid": Case(
        "ALTER TABLE users ADD CONSTRAINT c CHECK (age < 50) NOT VALID; ALTER TABLE users VALIDATE CONSTRAINT c",
        "c",
        "check",
        500,
        1000,
        "changed",
    ),
    "foreign key": Case("ALTER TABLE users ADD CONSTRAINT f FOREIGN KEY (org) REFERENCES orgs", "f", "foreign key", 400, 1000),
    "foreign key of two columns": Case(
        "ALTER TABLE pets ADD CONSTRAINT f FOREIGN KEY (a, b) REFERENCES pairs", "f", "foreign key", 20, 60
    ),
    "foreign key, match full": Case(
        "ALTER TABLE pets ADD CONSTRAINT f FOREIGN KEY (a, b) REFERENCES pairs MATCH FULL", "f", "foreign key", 45, 60
    ),
    "foreign key by a delete": Case("DELETE FROM users WHERE id <= 10", "pets_owner_fkey", "foreign key", 10, 60, "broken"),
    "foreign key, deferred to the commit": Case(
        "ALTER TABLE pets ADD CONSTRAINT d FOREIGN KEY (id) REFERENCES orgs NOT VALID DEFERRABLE INITIALLY DEFERRED;"
        " UPDATE pets SET id = id WHERE id = 4; INSERT INTO pets VALUES (99, 1)",
        "d",
        "foreign key",
        58,
        61,
        "added",
    ),
    "exclusion": Case(
        "ALTER TABLE bookings ADD CONSTRAINT x EXCLUDE USING gist (room WITH =, during WITH &&) WHERE (NOT cancelled)",
        "x",
        "exclusion",
        3,
        6,
    ),
    "exclusion on an expression": Case(
        "ALTER TABLE bookings ADD CONSTRAINT x EXCLUDE USING gist ((room + 0) WITH =, during WITH &&)", "x", "exclusion", 5, 6
    ),
    "partition bounds": Case(
        "ALTER TABLE events ATTACH PARTITION loose FOR VALUES FROM (100) TO (200)", "loose", "partition bounds", 10, 110
    ),
    "check on a partitioned table": Case("ALTER TABLE events ADD CONSTRAINT c CHECK (at < 45)", "c", "check", 90, 180),
    "odd names": Case('ALTER TABLE "Odd ""Name" ALTER "select" SET NOT NULL', "select", "not null", 1, 3),
    "odd names, unique": Case('CREATE UNIQUE INDEX "i;x" ON "Odd ""Name" ("a b")', "i;x", "unique", 2, 3),
    "NO INHERIT leaves the children out": Case(
        "ALTER TABLE papa ADD CONSTRAINT c CHECK (a > 0) NO INHERIT", "c", "check", 1, 2
    ),
    "the whole row": Case("ALTER TABLE ci ADD CONSTRAINT c CHECK (ci.* IS NOT NULL)", "c", "check", 2, 5),
    "a constant": Case("CREATE UNIQUE INDEX u ON ci ((1))", "u", "unique", 5, 5),
    "another collation": Case('CREATE UNIQUE INDEX u ON ci (upper(mail) COLLATE "C")', "u", "unique", 2, 5),
    "a role that sees less, and no time": Case(
        "SET ROLE app; SET statement_timeout = 5; ALTER TABLE guarded ALTER email SET NOT NULL", "email", "not null", 50, 100
    ),
    "what truncation's trigger forbids": Case(
        "ALTER TABLE fenced ADD CONSTRAINT c CHECK (a > 5)", "c", "check", 5, 10
    ),
    "inside a DO block": Case("DO $$ BEGIN ALTER TABLE users ALTER email SET NOT NULL; END $$", "email", "not null", 100, 1000),
    "under another search_path": Case(
        "CREATE SCHEMA s; SET search_path = s; ALTER TABLE public.users ADD CONSTRAINT c CHECK (age < 50)",
        "c",
        "check",
        500,
        1000,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_counts_every_row_that_breaks_a_refused_constraint(stage: Stage, case: Case) -> None:
    (rehearsal,) = stage.rehearse(SEED, case.sql)

    assert rehearsal.outcome is Outcome.FAILED
    (refused,) = [c for c in rehearsal.constraints if c.refused]
    # PostgreSQL 18 gives a NOT NULL constraint a name of its own; before, it goes by its column's.
    name = refused.columns[0].strip('"') if refused.kind == "not null" else refused.name
    assert (name, refused.kind, refused.violations, refused.rows, refused.change) == (
        case.name,
        case.kind,
        case.violations,
        case.rows,
        case.change if case.change != "changed" else "added",  # added by the same migration
    )


NOT_VALID = {
    "check": ("ALTER TABLE users ADD CONSTRAINT c CHECK (age < 50) NOT VALID", 500, 1000),
    "foreign key": ("ALTER TABLE users ADD CONSTRAINT c FOREIGN KEY (org) REFERENCES orgs NOT VALID", 400, 1000),
    "with a function that relies on the search_path": ("ALTER TABLE orgs ADD CONSTRAINT c CHECK (is_state(id)) NOT VALID", 1, 3),
    "obeyed": ("ALTER TABLE users ADD CONSTRAINT c CHECK (age < 500) NOT VALID", 0, 1000),
}


@pytest.mark.parametrize(("sql", "violations", "rows"), NOT_VALID.values(), ids=NOT_VALID.keys())
def test_counts_rows_that_break_what_was_added_not_valid(stage: Stage, sql: str, violations: int, rows: int) -> None:
    (rehearsal,) = stage.rehearse(SEED, sql)

    assert rehearsal.outcome is Outcome.APPLIED
    (added,) = rehearsal.constraints
    assert (added.change, added.validated, added.violations, added.rows) == ("added", False, violations, rows)


def test_counts_every_constraint_of_a_statement_not_only_the_first(stage: Stage) -> None:
    sql = "ALTER TABLE users ADD CONSTRAINT a CHECK (age < 50), ADD CONSTRAINT b CHECK (org > 0), ADD CONSTRAINT c CHECK (id > 0)"

    (rehearsal,) = stage.rehearse(SEED, sql)

    assert _by_name(rehearsal.constraints) == {"a": 500, "b": 200}


INNOCENT = {
    "a column that is new and unique": "ALTER TABLE users ADD a int UNIQUE, ADD CONSTRAINT c CHECK (age < 50)",
    "a table that is new": (
        "DO $$ BEGIN CREATE TABLE n (id int PRIMARY KEY); ALTER TABLE users ADD CONSTRAINT c CHECK (age < 50); END $$"
    ),
}


@pytest.mark.parametrize("sql", INNOCENT.values(), ids=INNOCENT.keys())
def test_what_nothing_breaks_is_not_said_to_be_broken(stage: Stage, sql: str) -> None:
    (rehearsal,) = stage.rehearse(SEED, sql)

    assert _by_name(rehearsal.constraints) == {"c": 500}


def test_a_statement_that_changes_the_values_it_constrains_is_not_counted_on_the_old_ones(stage: Stage) -> None:
    sql = "ALTER TABLE users ALTER email TYPE varchar USING left(email, 1), ADD CONSTRAINT u UNIQUE (email)"

    (rehearsal,) = stage.rehearse(SEED, sql)

    assert _by_name(rehearsal.constraints) == {"u": None}


def test_not_null_not_valid_of_postgresql_18(stage: Stage) -> None:
    if stage.server.binaries.major < 18:
        pytest.skip("PostgreSQL 18 and newer have it")
    (rehearsal,) = stage.rehearse(SEED, "ALTER TABLE users ADD CONSTRAINT nn NOT NULL email NOT VALID")

    (added,) = rehearsal.constraints
    assert (added.kind, added.validated, added.violations) == ("not null", False, 100)
    assert rehearsal.columns == ()


def test_what_is_not_enforced_is_not_judged(stage: Stage) -> None:
    if stage.server.binaries.major < 18:
        pytest.skip("PostgreSQL 18 and newer have it")
    (rehearsal,) = stage.rehearse(SEED, "ALTER TABLE users ADD CONSTRAINT c CHECK (age < 50) NOT ENFORCED")

    assert [(c.name, c.violations) for c in rehearsal.constraints] == [("c", None)]


def test_a_later_failure_sees_what_earlier_statements_did(stage: Stage) -> None:
    sql = "DELETE FROM users WHERE id > 100 AND email IS NULL; ALTER TABLE users ALTER email SET NOT NULL"

    (rehearsal,) = stage.rehearse(SEED, sql)

    assert _by_name(rehearsal.constraints) == {rehearsal.constraints[0].name: 10}


def test_counting_leaves_nothing_behind(stage: Stage) -> None:
    """The failed statement is run again on emptied tables, or with the constraint dropped: all of that is undone."""
    for sql in ("DELETE FROM users WHERE id <= 10", "CREATE UNIQUE INDEX u ON users (email)"):
        (rehearsal,) = stage.rehearse(SEED, sql)

        assert rehearsal.outcome is Outcome.FAILED
        assert (rehearsal.tables, rehearsal.schema) == ((), ())


def test_a_cast_that_fails_is_no_constraint(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "ALTER TABLE users ALTER email TYPE int USING email::int")

    assert rehearsal.constraints == ()
    assert rehearsal.error is not None
    assert (rehearsal.error.sqlstate, rehearsal.error.message) == ("22P02", "invalid input syntax for type integer: …")


def _by_name(constraints: tuple[ConstraintChange, ...]) -> dict[str, int | None]:
    return {c.name: c.violations for c in constraints if c.refused}
