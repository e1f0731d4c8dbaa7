"""The way back, values behind a changed type, and files run twice: all on real PostgreSQL."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from bot.clones import Clone
from bot.clones.embedded import EmbeddedProvider
from bot.discovery import plan_files
from bot.model import Down, Loss, Migration, Outcome, SecondRun, TypeChange
from bot.settings import Settings
from bot.shadow import may_be_tried_later
from tests.fix_postgres import Stage

SEED = """
CREATE TABLE t (id int PRIMARY KEY, a text, b int DEFAULT 5);
INSERT INTO t SELECT n, CASE WHEN n % 4 = 0 THEN NULL ELSE 'a' || n END, n FROM generate_series(1, 100) AS n;
CREATE INDEX t_b ON t (b);
CREATE TABLE other (id int, t int REFERENCES t);
INSERT INTO other SELECT n, n FROM generate_series(1, 7) AS n;
CREATE TYPE there AS ENUM ('a');
"""


def pair(up: str, down: str | None, layout: str = "golang-migrate", number: int = 1) -> Migration:
    return Migration(f"{number}_x.up.sql", str(number), layout, up, down, f"{number}_x.down.sql")


def tried(stage: Stage, up: str, down: str, layout: str = "golang-migrate", settings: Settings | None = None) -> Down:
    (rehearsal,) = stage.rehearse_migrations(SEED, (pair(up, down, layout),), settings)
    assert rehearsal.outcome is Outcome.APPLIED
    assert rehearsal.down is not None
    return rehearsal.down


# layout, up, down: all is as it was, and the migration can be applied again
RESTORES = {
    "a table": ("golang-migrate", "CREATE TABLE n (id serial PRIMARY KEY, x text);", "DROP TABLE n;"),
    "a column": ("golang-migrate", "ALTER TABLE t ADD c int;", "ALTER TABLE t DROP c;"),
    "an index": ("golang-migrate", "CREATE INDEX i ON t (a);", "DROP INDEX i;"),
    "an index concurrently": ("golang-migrate", "CREATE INDEX CONCURRENTLY i ON t (a);", "DROP INDEX CONCURRENTLY i;"),
    "concurrently in a plain folder": ("plain", "SELECT 1; CREATE INDEX CONCURRENTLY i ON t (a);", "DROP INDEX CONCURRENTLY i;"),
    "rows": ("golang-migrate", "INSERT INTO other VALUES (8, 8);", "DELETE FROM other WHERE id = 8;"),
    "a view": ("golang-migrate", "CREATE VIEW v AS SELECT a FROM t;", "DROP VIEW v;"),
    "a type with its table": (
        "golang-migrate",
        "CREATE TYPE e AS ENUM ('a'); CREATE TABLE n (c e);",
        "DROP TABLE n; DROP TYPE e;",
    ),
    "a name": ("golang-migrate", "ALTER TABLE t RENAME a TO name;", "ALTER TABLE t RENAME name TO a;"),
    "a table's name": ("golang-migrate", "ALTER TABLE t RENAME TO t2;", "ALTER TABLE t2 RENAME TO t;"),
    "a type and back": ("golang-migrate", "ALTER TABLE t ALTER b TYPE bigint;", "ALTER TABLE t ALTER b TYPE int;"),
    "an index dropped and made anew": ("golang-migrate", "DROP INDEX t_b;", "CREATE INDEX t_b ON t (b);"),
    "several statements in a transaction of their own": (
        "golang-migrate",
        "BEGIN; ALTER TABLE t ADD c int; COMMIT;",
        "BEGIN; ALTER TABLE t DROP c; COMMIT;",
    ),
}


@pytest.mark.parametrize(("layout", "up", "down"), RESTORES.values(), ids=RESTORES.keys())
def test_a_way_back_that_restores(stage: Stage, layout: str, up: str, down: str) -> None:
    found = tried(stage, up, down, layout)

    assert (found.outcome, found.restored, found.differences, found.error) == (Outcome.APPLIED, True, (), None)
    assert (found.again, found.again_error, found.rows_lost) == (Outcome.APPLIED, None, 0)
    assert found.path == "1_x.down.sql"
    assert found.duration_ms > 0


# up, down, (kind, name, change) of the differences, SQLSTATE of applying it again
DIFFERS = {
    "forgot the index": (
        "CREATE INDEX i ON t (a);", "SELECT 1;", [("index", "public.i", "added")], "42P07",
    ),
    "forgot the table": ("CREATE TABLE n ();", "SELECT 1;", [("table", "public.n", "added")], "42P07"),
    "left an index away": ("DROP INDEX t_b;", "SELECT 1;", [("index", "public.t_b", "dropped")], "42704"),
    "wrong default": (
        "ALTER TABLE t ALTER b SET DEFAULT 6;",
        "ALTER TABLE t ALTER b SET DEFAULT 7;",
        [("column", "public.t.b", "changed")],
        None,
    ),
    "other type": (
        "ALTER TABLE t DROP b;",
        "ALTER TABLE t ADD b bigint DEFAULT 5; CREATE INDEX t_b ON t (b);",
        [("column", "public.t.b", "changed")],
        None,
    ),
    "forgot NOT NULL": (
        "ALTER TABLE t ALTER b SET NOT NULL;", "SELECT 1;", [("column", "public.t.b", "changed")], None,
    ),
    "other order of columns": (
        "DROP INDEX t_b; ALTER TABLE t DROP a, DROP b;",
        "ALTER TABLE t ADD b int DEFAULT 5, ADD a text; CREATE INDEX t_b ON t (b);",
        [("column order", "public.t", "changed")],
        None,
    ),
    "forgot the constraint": (
        "ALTER TABLE t ADD CONSTRAINT c CHECK (b > 0);", "SELECT 1;", [("constraint", "public.t.c", "added")], "42710",
    ),
    "left a table away": ("DROP TABLE other;", "SELECT 1;", [("table", "public.other", "dropped")], "42P01"),
}  # fmt: skip


@pytest.mark.parametrize(("up", "down", "differences", "again"), DIFFERS.values(), ids=DIFFERS.keys())
def test_a_way_back_that_does_not_restore(
    stage: Stage, up: str, down: str, differences: list[tuple[str, str, str]], again: str | None
) -> None:
    found = tried(stage, up, down)

    assert (found.outcome, found.restored) == (Outcome.APPLIED, False)
    assert set(differences) <= {(d.kind, d.name, d.change) for d in found.differences}
    assert (found.again_error.sqlstate if found.again_error else None) == again


# what is left behind -> up, down, (kind, name) of what is there more, SQLSTATE of applying it again
LEFT_BEHIND = {
    "an enum": ("CREATE TYPE e AS ENUM ('a'); CREATE TABLE n (c e);", "DROP TABLE n;", ("type", "public.e"), "42710"),
    "a value of an enum": ("ALTER TYPE there ADD VALUE 'b';", "SELECT 1;", ("type", "public.there"), "42710"),
    "a function": (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1';",
        "SELECT 1;",
        ("function", "public.f()"),
        "42723",
    ),
    "a sequence": ("CREATE SEQUENCE s;", "SELECT 1;", ("sequence", "public.s"), "42P07"),
    "a schema": ("CREATE SCHEMA x;", "SELECT 1;", ("schema", "x"), "42P06"),
    "a view": ("CREATE VIEW v AS SELECT 1;", "SELECT 1;", ("view", "public.v"), "42P07"),
    "a domain": ("CREATE DOMAIN d AS int;", "SELECT 1;", ("domain", "public.d"), "42710"),
    "a trigger": (
        "CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();",
        "SELECT 1;",
        ("trigger", "public.t.g"),
        "42710",
    ),
    "a comment": ("COMMENT ON TABLE t IS 'x';", "SELECT 1;", ("comment", "table public.t"), None),
    "a privilege": ("GRANT SELECT ON t TO pg_monitor;", "SELECT 1;", ("privileges", "table public.t"), None),
}


@pytest.mark.parametrize(("up", "down", "left", "again"), LEFT_BEHIND.values(), ids=LEFT_BEHIND.keys())
def test_what_is_left_behind(stage: Stage, up: str, down: str, left: tuple[str, str], again: str | None) -> None:
    found = tried(stage, up, down)

    assert (found.outcome, found.restored) == (Outcome.APPLIED, False)
    assert [(d.kind, d.name) for d in found.differences] == [left]
    assert (found.again_error.sqlstate if found.again_error else None) == again


# up, down, the losses, rows lost
LOSES = {
    "a column dropped and added again": (
        "ALTER TABLE t DROP a;", "ALTER TABLE t ADD a text;", [Loss("public.t", "a", 75, kept_before=True)], 0,
    ),
    "a column dropped": ("ALTER TABLE t DROP a;", "SELECT 1;", [Loss("public.t", "a", 75, kept_before=True)], 0),
    "a table dropped and made again": (
        "DROP TABLE other;",
        "CREATE TABLE other (id int, t int REFERENCES t);",
        [Loss("public.other", None, 7, kept_before=True)],
        7,
    ),
    "a table dropped": ("DROP TABLE other;", "SELECT 1;", [Loss("public.other", None, 7, kept_before=True)], 7),
    "rows deleted on the way back": (
        "CREATE TABLE n ();",
        "DROP TABLE n; DELETE FROM other WHERE id > 5;",
        [Loss("public.other", None, 2, kept_before=True)],
        2,
    ),
    "values emptied": ("UPDATE t SET a = NULL WHERE id <= 2;", "SELECT 1;", [Loss("public.t", "a", 2, kept_before=True)], 0),
    "a table that was filled": (
        "CREATE TABLE n AS SELECT 1 AS x FROM t;", "DROP TABLE n;", [Loss("public.n", None, 100, kept_before=False)], 0,
    ),
    "a column that was filled": (
        "ALTER TABLE t ADD c int; UPDATE t SET c = 1 WHERE id <= 9;",
        "ALTER TABLE t DROP c;",
        [Loss("public.t", "c", 9, kept_before=False)],
        0,
    ),
    "a column that only has its default": ("ALTER TABLE t ADD c int DEFAULT 1;", "ALTER TABLE t DROP c;", [], 0),
    "a computed column": (
        "ALTER TABLE t ADD c int GENERATED ALWAYS AS (b * 2) STORED;", "ALTER TABLE t DROP c;", [], 0,
    ),
    "a filled table that stays": ("CREATE TABLE n AS SELECT 1 AS x FROM t;", "SELECT 1;", [], 0),
    "a table with another name": (
        "ALTER TABLE other RENAME TO another; INSERT INTO another VALUES (8, 8);", "ALTER TABLE another RENAME TO other;", [], 0,
    ),
    "a table built anew": (
        "CREATE TABLE n (id int, t int REFERENCES t); INSERT INTO n SELECT * FROM other; DROP TABLE other;"
        " ALTER TABLE n RENAME TO other; ALTER TABLE other RENAME CONSTRAINT n_t_fkey TO other_t_fkey;",
        "SELECT 1;",
        [],
        0,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("up", "down", "losses", "rows"), LOSES.values(), ids=LOSES.keys())
def test_data_that_is_lost(stage: Stage, up: str, down: str, losses: list[Loss], rows: int) -> None:
    found = tried(stage, up, down)

    assert found.outcome is Outcome.APPLIED
    assert list(found.losses) == losses
    assert found.rows_lost == rows


# up, down, restored: a way back without a statement
EMPTY = {
    "of nothing": ("-- nothing", "-- nothing either\n", True),
    "of a table": ("CREATE TABLE n ();", "", False),
    "of rows": ("UPDATE t SET b = 0;", "\n", True),
}


@pytest.mark.parametrize(("up", "down", "restored"), EMPTY.values(), ids=EMPTY.keys())
def test_an_empty_way_back(stage: Stage, up: str, down: str, restored: bool) -> None:
    found = tried(stage, up, down)

    assert (found.outcome, found.empty, found.restored) == (Outcome.APPLIED, True, restored)


# layout, up, down, (SQLSTATE, line)
FAILS = {
    "no such table": ("golang-migrate", "CREATE TABLE n ();", "\nDROP TABLE m;", ("42P01", 2)),
    "what others need": ("golang-migrate", "CREATE TABLE n ();", "DROP TABLE t;", ("2BP01", 1)),
    "concurrently beside another": (
        "golang-migrate", "CREATE INDEX i ON t (a);", "SELECT 1;\nDROP INDEX CONCURRENTLY i;", ("25001", 2),
    ),
    "its tool refuses it": ("flyway", "CREATE INDEX i ON t (a);", "SELECT 1;\nDROP INDEX CONCURRENTLY i;", ("", 2)),
}  # fmt: skip


@pytest.mark.parametrize(("layout", "up", "down", "error"), FAILS.values(), ids=FAILS.keys())
def test_a_way_back_that_fails(stage: Stage, layout: str, up: str, down: str, error: tuple[str, int]) -> None:
    found = tried(stage, up, down, layout)

    assert (found.outcome, found.restored, found.again) == (Outcome.FAILED, False, None)
    assert found.error is not None
    assert (found.error.sqlstate, found.error.line) == error


def test_several_in_a_row_of_which_one_does_not_restore(stage: Stage) -> None:
    migrations = (
        pair("CREATE TABLE one (id int);", "DROP TABLE one;", number=1),
        pair("ALTER TABLE one ADD a int; UPDATE t SET b = b + 1;", "ALTER TABLE one DROP a;", number=2),
        pair("CREATE INDEX i ON one (a);", "SELECT 1;", number=3),
        pair("CREATE TABLE two (id int);", None, number=4),
        pair("ALTER TABLE two ADD b int;", "ALTER TABLE two DROP b;", number=5),
        pair("DROP TABLE two;", "CREATE TABLE two (id int, b int);", number=6),
        pair("SELECT 1 / 0;", "SELECT 1;", number=7),
    )

    downs = [r.down for r in stage.rehearse_migrations(SEED, migrations)]

    assert [d and (d.restored, d.again) for d in downs] == [
        (True, Outcome.APPLIED),
        (True, Outcome.APPLIED),
        (False, Outcome.FAILED),
        None,
        (True, Outcome.APPLIED),
        (True, Outcome.APPLIED),
        None,
    ]


def test_the_shadow_is_carried_along_where_it_is_proven_to_be_as_the_clone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[EmbeddedProvider] = []
    clone = EmbeddedProvider.clone

    def counted(provider: EmbeddedProvider) -> AbstractContextManager[Clone]:
        made.append(provider)
        return clone(provider)

    monkeypatch.setattr(EmbeddedProvider, "clone", counted)

    def clones(*migrations: Migration) -> int:
        made.clear()
        stage.rehearse_migrations(SEED, migrations)
        return len(made) - 1

    assert clones(pair("CREATE TABLE n ();", None)) == 0
    assert clones(*(pair(f"CREATE TABLE n{n} ();", f"DROP TABLE n{n};", number=n) for n in range(1, 6))) == 1
    assert clones(*(pair("UPDATE t SET b = b + 1;", "UPDATE t SET b = b - 1;", number=n) for n in (1, 2))) == 2
    assert clones(*(pair(f"SET x.y = 1; CREATE TABLE n{n} ();", f"DROP TABLE n{n};", number=n) for n in (1, 2))) == 2


def test_goose_has_both_parts_in_one_file_and_one_mark_for_both(stage: Stage) -> None:
    text = (
        "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY i ON t (a);\n"
        "-- +goose Down\nDROP INDEX CONCURRENTLY i;\nDROP TABLE nothing;\n"
    )
    plan = plan_files(["1_x.sql"], ["1_x.sql"], lambda _path: text.encode(), "goose")

    (rehearsal,) = stage.rehearse_migrations(SEED, plan.migrations)

    assert rehearsal.down is not None
    assert rehearsal.down.path == "1_x.sql"
    assert rehearsal.down.error is not None
    assert (rehearsal.down.error.sqlstate, rehearsal.down.error.line) == ("42P01", 6)


def test_the_way_back_can_be_left_out(stage: Stage) -> None:
    migrations = (pair("ALTER TABLE t ALTER a TYPE varchar(2) USING left(a, 2);", "SELECT 1;"),)

    (rehearsal,) = stage.rehearse_migrations(SEED, migrations, Settings(way_back=False))

    assert rehearsal.down is None
    assert [t.values_changed for t in rehearsal.types] == [68]


def test_a_trial_that_can_not_be_made_loses_no_rehearsal(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    up = "SELECT CASE WHEN current_database() LIKE 'rehearsal_2_%' THEN 1 / (SELECT count(*) FROM t WHERE false) END;"

    (rehearsal,) = stage.rehearse_migrations(SEED, (pair(up, "SELECT 1;"),))

    assert rehearsal.outcome is Outcome.APPLIED
    assert rehearsal.down is not None
    assert rehearsal.down.outcome is Outcome.SKIPPED
    assert rehearsal.down.error is not None
    assert may_be_tried_later(rehearsal.down.outcome, rehearsal.down.error)
    assert "1_x.up.sql:1 fails on a second clone: division by zero" in rehearsal.down.error.message


# up, down: the clones are databases of one server, and what these do is done to all of them
SHARED = {
    "a role made": ("CREATE ROLE way_back_1;", "SELECT 1;"),
    "a role that may be there": (
        "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'way_back_2')"
        " THEN CREATE ROLE way_back_2; END IF; END $$;",
        "DROP ROLE way_back_2;",
    ),
}


@pytest.mark.parametrize(("up", "down"), SHARED.values(), ids=SHARED.keys())
def test_what_the_clones_have_in_common_is_not_tried(stage: Stage, up: str, down: str) -> None:
    found = tried(stage, up, down)

    assert (found.outcome, found.restored, found.again) == (Outcome.SKIPPED, False, None)
    assert found.error is not None
    assert "roles, databases or tablespaces, which the clones have in common" in found.error.message
    assert not may_be_tried_later(found.outcome, found.error)


def test_counters_that_prove_nothing_are_not_believed(stage: Stage) -> None:
    hides = Settings(superuser=True)  # others may not
    found = tried(stage, "SELECT 1;", "DELETE FROM other WHERE id = 1; SELECT pg_stat_reset();", settings=hides)

    assert found.losses == (Loss("public.other", None, 1, kept_before=True),)


# ── Types ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

TYPED = """
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN cents AS numeric(10, 4);
CREATE TABLE v (
  id int PRIMARY KEY, "When" timestamptz, price numeric(10, 4), word text, big bigint, small smallint, f float8, digits text,
  doc jsonb, raw json, m mood, flag int, c cents, short varchar(5), day date, tags text[], place point
);
INSERT INTO v SELECT n, '2024-01-01 00:00+00'::timestamptz + (n % 2) * interval '1 hour', 1 + (n % 5) * 0.0025, repeat('x', n), n,
  n, n / 10.0, lpad(n::text, 3, '0'), jsonb_build_object('n', n), '{"a":  1}', CASE WHEN n % 2 = 0 THEN 'sad' ELSE 'ok' END::mood,
  n % 3, n * 0.0001, n::text, '2024-01-01', ARRAY[n::text], point(n, 1.5)
  FROM generate_series(1, 20) AS n;
CREATE TABLE keyless (a text);
INSERT INTO keyless VALUES ('abcdef');
CREATE TABLE uniq (code text NOT NULL UNIQUE, other int UNIQUE, n numeric(6, 3));
INSERT INTO uniq VALUES ('a', 1, 1.001), ('b', NULL, 2.5), ('c', 2, NULL);
CREATE TABLE parted (k int, at timestamptz, PRIMARY KEY (k)) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES IN (2);
INSERT INTO parted VALUES (1, '2024-01-01 00:00+00'), (2, '2024-01-01 01:00+00');
"""
# what is done to v -> (values changed, rows compared)
TYPES = {
    'ALTER "When" TYPE date': (10, 20),
    "ALTER price TYPE numeric(10, 2)": (12, 20),
    "ALTER price TYPE int": (16, 20),
    "ALTER word TYPE varchar(3) USING left(word, 3)": (17, 20),
    "ALTER big TYPE int": (0, 20),
    "ALTER big TYPE int USING CASE WHEN big > 18 THEN NULL ELSE big END": (2, 20),
    "ALTER small TYPE int": (0, None),
    "ALTER id TYPE bigint": (0, None),
    "ALTER f TYPE float4": (16, 20),
    "ALTER digits TYPE int USING digits::int": (20, 20),
    "ALTER doc TYPE text": (0, 20),
    "ALTER doc TYPE text USING doc ->> 'n'": (20, 20),
    "ALTER raw TYPE jsonb": (0, 20),
    "ALTER m TYPE text": (0, 20),
    "ALTER m TYPE text USING CASE m WHEN 'sad' THEN 'blue' ELSE m::text END": (10, 20),
    "ALTER flag TYPE boolean USING flag <> 0": (7, 20),
    "ALTER c TYPE numeric(10, 2)": (20, 20),
    "ALTER short TYPE varchar(10)": (0, None),
    "ALTER short TYPE text": (0, None),
    "ALTER short TYPE char(1) USING left(short, 1)": (11, 20),
    "ALTER day TYPE timestamptz": (0, 20),
    "ALTER big TYPE text": (0, 20),
    "ALTER big TYPE text USING CASE WHEN big = 3 THEN 'three' ELSE big::text END": (1, 20),
    "ALTER tags TYPE varchar[]": (0, 20),
    "ALTER place TYPE text USING place[0]::text": (20, 20),
}


@pytest.mark.parametrize("how", TYPES)
@pytest.mark.parametrize("second", [False, True], ids=["the first migration", "a second one"])
def test_values_behind_a_changed_type(stage: Stage, how: str, second: bool) -> None:
    before = ["UPDATE v SET short = short;"] if second else []

    found = stage.rehearse(TYPED, *before, f"\nALTER TABLE v {how};")[-1]

    assert found.error is None
    assert [(t.values_changed, t.compared) for t in found.types] == [TYPES[how]]
    assert found.types[0].line == 2


# migrations -> (table, column, values changed, rows compared) of the last one
MORE_TYPES = {
    "another type of the same name": (
        [
            "CREATE TYPE st AS ENUM ('a', 'b'); CREATE TABLE n (id int PRIMARY KEY, s st); INSERT INTO n SELECT k, 'b' FROM"
            " generate_series(1, 9) AS k;",
            "ALTER TYPE st RENAME TO st_old; CREATE TYPE st AS ENUM ('a');"
            " ALTER TABLE n ALTER s TYPE st USING 'a'; DROP TYPE st_old;",
        ],
        [("public.n", "s", 9, 9)],
    ),
    "a text that was JSON": (
        [
            """CREATE TABLE n (id int PRIMARY KEY, j text); INSERT INTO n VALUES (1, '{"b": 1,   "a": 2}'), (2, '[]');""",
            "ALTER TABLE n ALTER j TYPE jsonb USING j::jsonb;",
        ],
        [("public.n", "j", 0, 2)],
    ),
    "a text that was something else": (
        [
            "CREATE TABLE n (id int PRIMARY KEY, j text); INSERT INTO n VALUES (1, '1.50'), (2, 'none');",
            "ALTER TABLE n ALTER j TYPE numeric USING CASE j WHEN 'none' THEN 0 ELSE j::numeric END;",
        ],
        [("public.n", "j", 1, 2)],
    ),
    "no rows, and no key": (
        ["CREATE TABLE n (a text);", "ALTER TABLE n ALTER a TYPE int USING a::int;"], [("public.n", "a", 0, None)],
    ),
    "no key": (["ALTER TABLE keyless ALTER a TYPE varchar(3) USING left(a, 3);"], [("public.keyless", "a", None, None)]),
    "a unique index": (["ALTER TABLE uniq ALTER n TYPE numeric(6, 2);"], [("public.uniq", "n", 1, 3)]),
    "the key itself": (["ALTER TABLE uniq ALTER code TYPE varchar(9) USING code;"], [("public.uniq", "code", None, None)]),
    "partitions": (["ALTER TABLE parted ALTER at TYPE date;"], [("public.parted", "at", 1, 2)]),
    "a type that is gone": (
        ["ALTER TABLE v ALTER m TYPE text USING upper(m::text); DROP TYPE mood;"], [("public.v", "m", 20, 20)],
    ),
    "two columns": (
        ["ALTER TABLE v ALTER price TYPE int, ALTER big TYPE int;"],
        [("public.v", "price", 16, 20), ("public.v", "big", 0, 20)],
    ),
    "other names": (
        ["ALTER TABLE v RENAME TO w; ALTER TABLE w RENAME price TO cost; ALTER TABLE w ALTER cost TYPE int;"],
        [("public.w", "cost", 16, 20)],
    ),
    "some rows are gone, others are new": (
        ["DELETE FROM v WHERE id > 10; INSERT INTO v (id) VALUES (99); ALTER TABLE v ALTER price TYPE int;"],
        [("public.v", "price", 8, 10)],
    ),
    "a table of an earlier migration": (
        [
            "CREATE TABLE n (id int PRIMARY KEY, x numeric(9, 3)); INSERT INTO n VALUES (1, 1.5), (2, 2);",
            "ALTER TABLE n ALTER x TYPE int;",
        ],
        [("public.n", "x", 1, 2)],
    ),
    "values that an earlier migration wrote": (
        ["UPDATE v SET price = 2;", "ALTER TABLE v ALTER price TYPE int;"], [("public.v", "price", 0, 20)],
    ),
    "nothing but a default": (["ALTER TABLE v ALTER big SET DEFAULT 1;"], []),
    "two values that the old type can't hold": (
        ["ALTER TABLE v ALTER small TYPE bigint; UPDATE v SET small = 100000 WHERE id < 3; ALTER TABLE v ALTER f TYPE text;"
         " UPDATE v SET f = 'none' WHERE id = 1;"],
        [("public.v", "small", 0, None), ("public.v", "f", 1, 20)],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("texts", "told"), MORE_TYPES.values(), ids=MORE_TYPES.keys())
def test_values_behind_changed_types(stage: Stage, texts: list[str], told: list[tuple[str, str, int | None, int | None]]) -> None:
    found = stage.rehearse(TYPED, *texts)[-1]

    assert found.error is None
    assert [(t.table, t.column, t.values_changed, t.compared) for t in found.types] == told


def test_types_are_told_as_they_are_written(stage: Stage) -> None:
    (found,) = stage.rehearse(TYPED, "ALTER TABLE v ALTER c TYPE numeric(10, 2);")

    assert found.types == (TypeChange("public.v", "c", "public.cents", "numeric(10,2)", 20, 20, 1),)


def test_comparing_leaves_the_clone_as_it_is(stage: Stage) -> None:
    first = "ALTER TABLE v ALTER price TYPE int;"

    found = stage.rehearse(TYPED, first, "SELECT 1;")[1]

    assert (found.tables, found.schema) == ((), ())


# ── Run twice ────────────────────────────────────────────────────────────────────────────────────────────────────────────

# text -> what the second run did, None where there is none
TWICE = {
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON t (a); CREATE INDEX CONCURRENTLY IF NOT EXISTS j ON t (b);": (
        Outcome.APPLIED,
        None,
    ),
    "CREATE INDEX CONCURRENTLY i ON t (a);\nCREATE INDEX CONCURRENTLY j ON t (b);": (Outcome.FAILED, 1),
    "ALTER TABLE t ADD IF NOT EXISTS c int;\nCREATE INDEX CONCURRENTLY i ON t (c);": (Outcome.FAILED, 2),
    "DROP INDEX CONCURRENTLY IF EXISTS t_b;\nCREATE INDEX CONCURRENTLY t_b ON t (b);": (Outcome.APPLIED, None),
    "CREATE INDEX CONCURRENTLY i ON t (a);": None,
    "CREATE TABLE n ();\nCREATE TABLE m ();": None,
}


@pytest.mark.parametrize("text", TWICE)
@pytest.mark.parametrize(
    "down", [None, "DROP INDEX CONCURRENTLY IF EXISTS i, j;", "DROP INDEX IF EXISTS i; DROP INDEX IF EXISTS j;"]
)
def test_a_file_outside_one_transaction_is_run_twice(stage: Stage, text: str, down: str | None) -> None:
    (rehearsal,) = stage.rehearse_migrations(SEED, (pair(text, down, "plain"),))

    second = rehearsal.second_run
    assert (second and (second.outcome, second.statement)) == TWICE[text]
    assert second is None or (second.error is None) == (second.outcome is Outcome.APPLIED)


def test_nothing_is_run_twice_when_it_is_left_out(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "SELECT 1; CREATE INDEX CONCURRENTLY i ON t (a);", settings=Settings(way_back=False))

    assert rehearsal.second_run is None
    assert SecondRun(Outcome.APPLIED) != rehearsal.second_run


def test_without_room_for_a_second_clone_none_is_made(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.clones.embedded.EmbeddedProvider.room_bytes", lambda _self: 1_000_000)
    migration = Migration("1_x.up.sql", "1", "golang-migrate", "CREATE TABLE n ();", down="DROP TABLE n;")

    (rehearsal,) = stage.rehearse_migrations("SELECT 1;", (migration,))

    assert rehearsal.down is not None
    assert rehearsal.down.outcome is Outcome.SKIPPED
    assert rehearsal.down.error is not None
    assert "no room for a second clone" in rehearsal.down.error.message
