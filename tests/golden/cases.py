# ruff: noqa: E501  SQL reads better on one line than cut into strings
"""The pull requests whose reports are kept: what is in the seed, what the base branch has, and what the pull request adds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

SHOP = """
CREATE TABLE customers (id int PRIMARY KEY, name text NOT NULL, email text, created_at timestamptz NOT NULL);
INSERT INTO customers SELECT n, 'Customer ' || n, CASE WHEN n % 91 <> 0 THEN 'c' || n % 4990 || '@example.org' END, timestamptz '2020-01-01 00:00Z' + n * interval '15 min' FROM generate_series(1, 5000) AS n;
CREATE TABLE orders (id int PRIMARY KEY, customer_id int NOT NULL, status text NOT NULL, total_cents int NOT NULL, placed_at timestamptz NOT NULL);
INSERT INTO orders SELECT n, 1 + (n * 7919::bigint) % 5003, CASE WHEN n % 142 = 0 THEN 'legacy' WHEN n % 5 = 0 THEN 'open' ELSE 'paid' END, 100 + n % 900, timestamptz '2024-01-01 00:00Z' + n * interval '2 min' FROM generate_series(1, 20000) AS n;
CREATE VIEW open_orders AS SELECT id, customer_id, total_cents FROM orders WHERE status = 'open';
"""
QUICK = "SET LOCAL lock_timeout = '2s';\n"


@dataclass(frozen=True, slots=True)
class Case:
    """One pull request. `files`: what it adds; `base`: what the base branch has; `seed`: the SQL of the dump, None: there is none.
    `twice`: run again with the same journal, so that the second answer is a replay. `verdict` and `shows`: what it is kept for.
    """

    verdict: str
    shows: str
    files: Mapping[str, str]
    base: Mapping[str, str] = field(default_factory=lambda: {"README.md": "A shop.\n"})
    seed: str | None = SHOP
    arguments: tuple[str, ...] = ()
    twice: bool = False


FIRST = '(1, "ALTER TABLE orders ADD note text")'
SECOND = """(2, "UPDATE orders SET note = 'old' WHERE id <= 250")"""
TOOL = """
import os, psycopg
with psycopg.connect(os.environ["DATABASE_URL"]) as connection:
    connection.execute("CREATE TABLE IF NOT EXISTS done (version int)")
    for version, sql in [{}]:
        if not connection.execute("SELECT 1 FROM done WHERE version = %s", [version]).fetchone():
            connection.execute(sql)
            connection.execute("INSERT INTO done VALUES (%s)", [version])
"""
# Names as somebody would choose them who wants to break the layout, mention people, hide text or forge the marker.
BAD_TABLE = "a | b `c` **d** @everyone #1 </td></details>"
BAD_COLUMN = "<!-- migration-rehearsal --> ](http://x.example)"
BAD_STATE = "<script>alert(1)</script> <img src=//x.example/y.png>"

CASES = {
    "green-one": Case(
        "pass",
        "two lines while it is folded",
        {"db/0007_note.sql": f"{QUICK}ALTER TABLE orders ADD COLUMN note text;\n"},
    ),
    "green-several": Case(
        "pass",
        "new tables, indexes, a backfill, ways back that lead back",
        {
            "db/0007_refunds.up.sql": f"{QUICK}CREATE TABLE refunds (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, order_id int NOT NULL, cents bigint NOT NULL CHECK (cents > 0));\nINSERT INTO refunds (order_id, cents) SELECT id, total_cents FROM orders WHERE id % 40 = 0;\n",
            "db/0007_refunds.down.sql": "DROP TABLE refunds;\n",
            "db/0008_by_customer.up.sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_customer_id ON orders (customer_id);\n",
            "db/0008_by_customer.down.sql": "DROP INDEX CONCURRENTLY IF EXISTS orders_customer_id;\n",
            "db/0009_vip.up.sql": f"{QUICK}ALTER TABLE customers ADD COLUMN vip boolean NOT NULL DEFAULT false;\nCREATE VIEW vips AS SELECT id, name FROM customers WHERE vip;\n",
            "db/0009_vip.down.sql": "DROP VIEW vips;\nALTER TABLE customers DROP COLUMN vip;\n",
        },
        arguments=("--layout", "golang-migrate"),
    ),
    "notices": Case(
        "pass",
        "what is remarked but does not matter is folded",
        {
            "db/0007_state.sql": "ALTER TABLE orders ADD COLUMN state text;\n",
            "db/0008_phone.sql": "ALTER TABLE customers ADD COLUMN phone text;\nCOMMENT ON COLUMN customers.phone IS 'with its country';\n",
        },
    ),
    "warnings": Case(
        "warn",
        "a lock that is held for long, an index that keeps writers out, a dependent view that goes, and a timeline",
        {
            "db/0007_rename.sql": f"{QUICK}DROP VIEW open_orders;\nALTER TABLE orders ADD COLUMN state text;\nUPDATE orders SET state = status;\nSELECT pg_sleep(2);\n",
            "db/0008_index.sql": f"{QUICK}CREATE INDEX orders_placed_at ON orders (placed_at);\nALTER TABLE orders RENAME COLUMN total_cents TO cents;\n",
        },
    ),
    "failure-counted": Case(
        "fail",
        "a statement fails, the rows that break it are counted, what comes after is not run",
        {
            "db/0007_email.sql": f"-- everybody has one\n{QUICK}ALTER TABLE customers ALTER COLUMN email SET NOT NULL;\n",
            "db/0008_known.sql": f"{QUICK}ALTER TABLE orders ADD CONSTRAINT orders_status_known CHECK (status IN ('open', 'paid'));\n",
        },
    ),
    "failure-later": Case(
        "fail",
        "one is good, one is broken by a foreign key, one by a unique index, and a statement that can't be parsed would be next",
        {
            "db/0007_note.sql": f"{QUICK}ALTER TABLE orders ADD COLUMN note text;\n",
            "db/0008_customer.sql": f"{QUICK}ALTER TABLE orders ADD CONSTRAINT orders_customer\n  FOREIGN KEY (customer_id) REFERENCES customers (id);\n",
            "db/0009_typo.sql": "ALTER TABEL orders ADD COLUMN oops text;\n",
        },
    ),
    "lock-limit": Case(
        "fail",
        "nothing breaks, but readers wait so much longer than allowed that it is an error",
        {
            "db/0007_slow.sql": f"{QUICK}ALTER TABLE orders ADD COLUMN slow int;\nSELECT pg_sleep(1);\nALTER TABLE customers ADD COLUMN slow int;\nSELECT pg_sleep(1);\n"
        },
        arguments=("--max-reads-blocked-ms", "100"),
    ),
    "allowed": Case(
        "pass",
        "findings that a file accepts, with its reasons",
        {
            "db/0007_rows.sql": f"-- rehearsal: allow rows-lost they are archived, see the runbook of 2026-11\n{QUICK}DELETE FROM orders WHERE status = 'legacy';\n",
            "db/0008_index.sql": f"-- rehearsal: allow index-not-concurrent nobody writes on Sundays\n{QUICK}CREATE INDEX orders_placed_at ON orders (placed_at);\n",
        },
    ),
    "error": Case(
        "error",
        "the rehearsal itself could not be done",
        {"db/0007_note.sql": "ALTER TABLE orders ADD COLUMN note text;\n"},
        seed="CREATE TABLE customers (id int PRIMARY KEY);\nINSERT INTO costumers VALUES (1);\n",
    ),
    "nothing": Case("pass", "a pull request without a migration", {"src/app.py": "pass\n"}),
    "replayed": Case(
        "pass",
        "an answer from the journal",
        {"db/0007_note.sql": f"{QUICK}ALTER TABLE orders ADD COLUMN note text;\n"},
        twice=True,
    ),
    "no-seed": Case(
        "pass",
        "on what the earlier migrations make, where there is no data",
        {"db/0003_total.sql": f"{QUICK}ALTER TABLE orders ADD COLUMN total_cents int NOT NULL;\n"},
        base={
            "db/0001_customers.sql": "CREATE TABLE customers (id int PRIMARY KEY);\n",
            "db/0002_orders.sql": "CREATE TABLE orders (id int PRIMARY KEY, customer_id int REFERENCES customers);\n",
        },
        seed=None,
    ),
    "catch-up": Case(
        "pass",
        "a dump that lacks two migrations of the base branch",
        {
            "m/4_note.up.sql": f"{QUICK}ALTER TABLE orders ADD COLUMN note text;\n",
            "m/4_note.down.sql": "ALTER TABLE orders DROP COLUMN note;\n",
        },
        base={
            "m/1_shop.up.sql": "SELECT 1;\n",
            "m/2_phone.up.sql": "ALTER TABLE customers ADD COLUMN phone text;\n",
            "m/3_paid.up.sql": "UPDATE orders SET status = 'paid' WHERE status = 'legacy';\n",
        },
        seed=SHOP
        + "CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);\nINSERT INTO schema_migrations VALUES (1, false);\n",
    ),
    "group": Case(
        "fail",
        "files that their tool runs in one transaction: what fails in the second undoes the first",
        {
            "migrations/1706702400000_phone.sql": "-- Up Migration\nALTER TABLE customers ADD COLUMN phone text;\n-- Down Migration\nALTER TABLE customers DROP COLUMN phone;\n",
            "migrations/1706702400001_email.sql": "-- Up Migration\nALTER TABLE customers ALTER COLUMN email SET NOT NULL;\n-- Down Migration\nALTER TABLE customers ALTER COLUMN email DROP NOT NULL;\n",
        },
        arguments=("--layout", "node-pg-migrate"),
    ),
    "way-back": Case(
        "warn",
        "ways back that lose rows, leave something, or fail",
        {
            "db/7_merge.up.sql": f"{QUICK}ALTER TABLE customers ADD COLUMN label text;\nUPDATE customers SET label = name || ' ' || coalesce(email, '?');\nDELETE FROM orders WHERE status = 'open' AND id < 50;\n",
            "db/7_merge.down.sql": "ALTER TABLE customers DROP COLUMN label;\n",
            "db/8_index.up.sql": "CREATE INDEX CONCURRENTLY IF NOT EXISTS orders_by_day ON orders (placed_at);\n",
            "db/8_index.down.sql": "SELECT 1;\n",
            "db/9_status.up.sql": f"{QUICK}ALTER TABLE orders ADD COLUMN kind text;\n",
            "db/9_status.down.sql": "ALTER TABLE orders DROP COLUMN kinds;\n",
        },
        arguments=("--layout", "golang-migrate"),
    ),
    "expectations": Case(
        "fail",
        "what the migration expects of the data is and is not so",
        {
            "db/0007_vip.sql": "-- rehearsal: expect (SELECT count(*) FROM customers WHERE vip) BETWEEN 1 AND 100\n-- rehearsal: expect (SELECT count(*) FROM customers) = 5000\n"
            f"{QUICK}ALTER TABLE customers ADD COLUMN vip boolean NOT NULL DEFAULT false;\nUPDATE customers SET vip = true WHERE id % 2 = 0;\n",
            "db/0007_vip.expect.sql": "SELECT id FROM customers WHERE vip AND email IS NULL;\nSELECT id FROM orders WHERE customer_id IS NULL;\n",
        },
    ),
    "command": Case(
        "pass",
        "another tool's own command",
        {"tool.py": TOOL.format(f"{FIRST}, {SECOND}")},
        base={"tool.py": TOOL.format(FIRST)},
        arguments=("--command", "python tool.py"),
    ),
    "hostile-names": Case(
        "fail",
        "names that try to break the layout, mention people, hide text and forge the marker",
        {
            "db/0007_`@everyone`_|.sql": f'{QUICK}ALTER TABLE "{BAD_TABLE}" ALTER COLUMN "{BAD_COLUMN}" SET NOT NULL;\n',
            "db/0008_<b>_&amp;.sql": "SELECT 1;\n",
        },
        seed=f'CREATE TABLE "{BAD_TABLE}" (id int PRIMARY KEY, "{BAD_COLUMN}" text DEFAULT $${BAD_STATE}$$, state text);\nINSERT INTO "{BAD_TABLE}" SELECT n, nullif(n % 3, 0), $${BAD_STATE}$$ FROM generate_series(1, 90) AS n;\n',
    ),
}
