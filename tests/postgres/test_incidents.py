"""What is said of whole migrations, and of those that do no harm: every error and warning of all rules, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.model import Migration, Rehearsal, Report, Severity, Verdict
from bot.production import Production
from bot.report import to_json
from bot.rules import Policy, judge
from tests.fix_postgres import Stage
from tests.reports import CLONE, RUN

SEED = """
CREATE TABLE users (id bigserial PRIMARY KEY, email text, note text, name text NOT NULL);
INSERT INTO users (email, note, name)
SELECT 'u' || n, CASE WHEN n > 12000 THEN 'x' END, 'zebra' FROM generate_series(1, 20000) AS n;
CREATE TABLE audit (at timestamptz DEFAULT now(), who text);
CREATE FUNCTION audited() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO audit (who) VALUES (OLD.name); RETURN OLD; END';
CREATE TABLE lines (id serial PRIMARY KEY, sku text);
INSERT INTO lines (sku) SELECT 's' FROM generate_series(1, 15000);
CREATE TRIGGER audited AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION audited();
CREATE TABLE ev (k int, t int) PARTITION BY RANGE (t);
CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (100);
CREATE TABLE ev_2 PARTITION OF ev FOR VALUES FROM (100) TO (200);
INSERT INTO ev SELECT n, n % 200 FROM generate_series(1, 30000) AS n;
CREATE TABLE loose AS SELECT n AS k, 250 AS t FROM generate_series(1, 15000) AS n;
CREATE MATERIALIZED VIEW totals AS SELECT t, count(*) AS n FROM ev GROUP BY t;
CREATE UNIQUE INDEX ON totals (t);
"""

# text -> every error and warning: (severity, rule, line, beginning of the message)
INCIDENTS: dict[str, list[tuple[str, str, int | None, str]]] = {
    "DELETE FROM users;": [("error", "rows-lost", 1, "`users` is emptied: all 20,000 rows are gone; `audit` got 20,000 rows")],
    "SELECT 1;\nTRUNCATE lines; INSERT INTO lines (sku) SELECT 'y' FROM generate_series(1, 15000);": [
        ("error", "rows-lost", 2, "`lines` is emptied: all 15,000 rows"),
        ("warning", "work-under-lock", 2, "1 later statement with 15,000 rows"),
    ],
    "ALTER TABLE users DROP COLUMN email, ADD COLUMN vip boolean NOT NULL DEFAULT false;": [
        ("error", "column-values-lost", 1, "`users.email` is dropped with 20,000 values")
    ],
    "UPDATE users SET email = 'x' WHERE email IS NULL;\nALTER TABLE users DROP COLUMN email;": [
        ("error", "column-values-lost", 2, "`users.email` is dropped")
    ],
    "ALTER TABLE ev DETACH PARTITION ev_1;": [],
    "DROP TABLE ev_1;": [("error", "rows-lost", None, "15,000 of 30,000 rows of `ev` are dropped with `ev_1`")],
    "UPDATE ev SET t = t + 100 WHERE t < 50;": [],
    "CREATE INDEX of_all ON ev (k);": [
        ("warning", "index-not-concurrent", 1, "Index `of_all` was built while writes of `ev`, 30,000 rows, wait")
    ],
    "CREATE INDEX of_none_yet ON ONLY ev (k);": [],
    "ALTER TABLE ev ATTACH PARTITION loose FOR VALUES FROM (200) TO (300);": [
        ("warning", "constraint-scan", 1, "To attach the partition, all 15,000 rows of `loose` were read while reads and writes")
    ],
    "REFRESH MATERIALIZED VIEW totals WITH NO DATA;": [],
    "REFRESH MATERIALIZED VIEW CONCURRENTLY totals;": [],
    "DROP SEQUENCE lines_id_seq CASCADE;": [("warning", "dependent-broken", 1, "Default `lines.id` is dropped together with")],
    "ALTER TABLE users ADD COLUMN pr int NOT NULL DEFAULT 0 CHECK (pr >= 0);": [
        ("warning", "constraint-scan", 1, "The check constraint `users_pr_check` read all 20,000 rows")
    ],
    # Those that do no harm.
    "ALTER TABLE users ADD COLUMN vip boolean NOT NULL DEFAULT false;": [],
    "ALTER TABLE users ADD CONSTRAINT e CHECK (email <> '') NOT VALID;": [],
    "ALTER TABLE users ALTER COLUMN email TYPE varchar;": [],
    "CREATE TABLE n (id bigserial PRIMARY KEY, u bigint REFERENCES users); CREATE INDEX ON n (u);": [],
    "UPDATE users SET note = 'y' WHERE id < 100;": [],
    "INSERT INTO lines (sku) VALUES ('t');": [],
    "CREATE INDEX CONCURRENTLY i ON users (email);": [],
    "CREATE VIEW v AS SELECT id FROM users; COMMENT ON TABLE users IS 'people'; GRANT SELECT ON users TO PUBLIC;": [],
    "BEGIN ISOLATION LEVEL SERIALIZABLE; UPDATE users SET note = 'y' WHERE email = 'u7'; COMMIT;": [],
}


def rehearsed(stage: Stage, text: str) -> Rehearsal:
    # Times are not looked at: a machine may be slow.
    migration = Migration("m.sql", "1", "golang-migrate", text)
    (rehearsal,) = stage.rehearse_migrations(SEED, (migration,))
    return rehearsal


@pytest.mark.parametrize("text", INCIDENTS)
def test_what_is_said(stage: Stage, text: str) -> None:
    rehearsal = rehearsed(stage, text)
    policy = Policy(reads_blocked_ms=1e9, writes_blocked_ms=1e9)

    found = judge((rehearsal,), (), (), policy)

    said = sorted((str(f.severity), f.rule, f.line, f.message) for f in found if f.severity is not Severity.NOTICE)
    assert len(said) == len(INCIDENTS[text]), said
    for (severity, rule, line, message), expected in zip(said, sorted(INCIDENTS[text], key=str), strict=True):
        assert (severity, rule) == expected[:2]
        assert expected[2] is None or line == expected[2]
        assert message.startswith(expected[3])


def test_five_rows_by_their_keys_are_five_rows_in_production(stage: Stage) -> None:
    rehearsal = rehearsed(stage, "ALTER TABLE users ADD z int; UPDATE users SET z = 1 WHERE id IN (1, 2, 3, 4, 5);")

    found = judge((replace(rehearsal),), (), (), Policy(production=Production({"public.users": 10**9})))

    assert {f.rule for f in found} <= {"no-lock-timeout"}


# Each makes PostgreSQL say the value `zebra` of a row.
LEAKS = {
    "RAISE": "DO $$ DECLARE r record; BEGIN SELECT * INTO r FROM users LIMIT 1; RAISE EXCEPTION 'bad %', r.name; END $$;",
    "RAISE with another SQLSTATE, and a hint": (
        "DO $$ DECLARE r record; BEGIN SELECT * INTO r FROM users LIMIT 1;"
        " RAISE unique_violation USING MESSAGE = 'bad ' || r.name, HINT = 'is ' || r.name; END $$;"
    ),
    "RAISE of a notice that looks like PostgreSQL's": (
        "DO $$ DECLARE r record; BEGIN SELECT * INTO r FROM users LIMIT 1;"
        " RAISE NOTICE USING MESSAGE = 'is ' || r.name, ERRCODE = '42622'; END $$;"
    ),
    "a table made twice": (
        "DO $$ DECLARE r record; BEGIN SELECT * INTO r FROM users LIMIT 1;"
        " EXECUTE format('CREATE TABLE %I (a int)', r.name); EXECUTE format('CREATE TABLE %I (a int)', r.name); END $$;"
    ),
    "a column": "DO $$ DECLARE r record; BEGIN SELECT * INTO r FROM users LIMIT 1; EXECUTE 'SELECT ' || r.name; END $$;",
    "a function": (
        "DO $$ DECLARE r record; BEGIN SELECT * INTO r FROM users LIMIT 1; EXECUTE 'SELECT ' || r.name || '()'; END $$;"
    ),
    "a number": "SELECT name::int FROM users;",
    "a relation": "SELECT name::regclass FROM users;",
    "a name too long": (
        "DO $$ DECLARE r record; BEGIN SELECT * INTO r FROM users LIMIT 1;"
        " EXECUTE format('SELECT 1 AS %s', repeat(r.name, 20)); END $$;"
    ),
    "a key": "CREATE UNIQUE INDEX i ON users (name);",
}


@pytest.mark.parametrize("how", LEAKS)
def test_no_value_of_a_row_comes_into_the_report(stage: Stage, how: str) -> None:
    rehearsal = rehearsed(stage, LEAKS[how])
    found = judge((rehearsal,), (), (), Policy())

    report = to_json(Report(Verdict.FAIL, RUN, CLONE, (rehearsal,), found))

    assert "zebra" not in report
    assert rehearsal.error is None or rehearsal.error.message


def test_what_a_migration_says_itself_is_shown(stage: Stage) -> None:
    rehearsal = rehearsed(stage, "DO $$ BEGIN RAISE EXCEPTION 'run the other one first'; END $$;")

    assert rehearsal.error is not None
    assert rehearsal.error.message == "run the other one first"
