"""A small history for each layout: its files, the migrations among them in their order, and how each is sent.

The unit tests plan them, tests/postgres runs them and compares the schema with what psql gives.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from hashlib import sha256

from bot.model import Transaction

TABLE = "CREATE TABLE customers (id bigint PRIMARY KEY, email text);\n"
COLUMN = "ALTER TABLE customers ADD COLUMN name text;\n"
INDEX = "CREATE INDEX CONCURRENTLY customers_name ON customers (name);\n"  # fails in a transaction
NO_COLUMN = "ALTER TABLE customers DROP COLUMN name;\n"
SINGLE, NONE, IMPLICIT = Transaction.SINGLE, Transaction.NONE, Transaction.IMPLICIT


@dataclass(frozen=True, slots=True)
class History:
    """Files by their paths; `migrations`: path -> how it is sent, in order; `with_down`: those that have a way back."""

    files: dict[str, str]
    migrations: dict[str, Transaction]
    with_down: tuple[str, ...] = ()


def with_atlas_sum(files: dict[str, str]) -> dict[str, str]:
    """A folder of Atlas with the sums that Atlas writes beside its files: of each, all before it included, and of the sums."""
    running, lines = sha256(), []
    for path, text in sorted(files.items()):
        name = path.rpartition("/")[2]
        running.update(f"{name}{text}".encode())
        lines.append(f"{name} h1:{b64encode(running.digest()).decode()}")
    total = b64encode(sha256("".join(lines).replace(" h1:", "").encode()).digest()).decode()
    folder = next(iter(files)).rpartition("/")[0]
    return {**files, f"{folder}/atlas.sum": "\n".join([f"h1:{total}", *lines, ""])}


HISTORIES = {
    "prisma": History(
        {
            "prisma/migrations/migration_lock.toml": 'provider = "postgresql"\n',
            "prisma/migrations/20240101000000_a/migration.sql": TABLE + COLUMN,
            "prisma/migrations/20240102000000_b/migration.sql": INDEX,
        },
        {
            "prisma/migrations/20240101000000_a/migration.sql": IMPLICIT,
            "prisma/migrations/20240102000000_b/migration.sql": IMPLICIT,
        },
    ),
    "sqitch": History(
        {
            "sqitch.plan": "%project=shop\n\nz 2024-01-01T00:00:00Z A <a@b>\ny [z] 2024-01-02T00:00:00Z A <a@b> # name\n@v1\nx\n",
            "deploy/z.sql": f"-- Deploy shop:z\nBEGIN;\n{TABLE}COMMIT;\n",
            "deploy/y.sql": f"BEGIN;\n{COLUMN}COMMIT;\n",
            "deploy/x.sql": INDEX,
            "revert/y.sql": NO_COLUMN,
            "verify/y.sql": "SELECT name FROM customers WHERE false;\n",
        },
        {"deploy/z.sql": NONE, "deploy/y.sql": NONE, "deploy/x.sql": NONE},
        ("deploy/y.sql",),
    ),
    "drizzle": History(
        {
            "drizzle/meta/_journal.json": '{"entries": [{"tag": "0001_z", "when": 1}, {"tag": "0000_a", "when": 2}]}',
            "drizzle/meta/0000_snapshot.json": "{}",
            "drizzle/0001_z.sql": f"{TABLE}--> statement-breakpoint\nCREATE INDEX ON customers (email);\n",
            "drizzle/0000_a.sql": COLUMN,
        },
        {"drizzle/0001_z.sql": SINGLE, "drizzle/0000_a.sql": SINGLE},
    ),
    "flyway": History(
        {
            "db/V9__a.sql": TABLE,
            "db/V10__b.sql": COLUMN,
            "db/U10__b.sql": NO_COLUMN,
            "db/V10_1__c.sql": INDEX,
            "db/V11__d.sql": INDEX.replace("customers_name", "customers_name_2") + "SELECT 1;\n",
            "db/V11__d.sql.conf": "executeInTransaction=false\n",
            "db/R__view.sql": "CREATE OR REPLACE VIEW names AS SELECT name FROM customers;\n",
            "db/afterMigrate.sql": "ANALYZE;\n",
        },
        {
            "db/V9__a.sql": SINGLE,
            "db/V10__b.sql": SINGLE,
            "db/V10_1__c.sql": NONE,
            "db/V11__d.sql": NONE,
            "db/R__view.sql": SINGLE,
        },
        ("db/V10__b.sql",),
    ),
    "goose": History(
        {
            "m/9_a.sql": f"-- +goose Up\n{TABLE}",
            "m/10_b.sql": f"-- +goose Up\n{COLUMN}\n-- +goose Down\n{NO_COLUMN}",
            "m/11_c.sql": f"-- +goose NO TRANSACTION\n-- +goose Up\n{INDEX}",
        },
        {"m/9_a.sql": SINGLE, "m/10_b.sql": SINGLE, "m/11_c.sql": NONE},
        ("m/10_b.sql",),
    ),
    "dbmate": History(
        {
            "db/migrations/10_a.sql": f"-- migrate:up\n{TABLE}\n-- migrate:down\n",
            "db/migrations/8_b.sql": f"-- migrate:up\n{COLUMN}\n-- migrate:down\n{NO_COLUMN}",
            "db/migrations/9_c.sql": f"-- migrate:up transaction:false\n{INDEX}",
        },
        {"db/migrations/10_a.sql": SINGLE, "db/migrations/8_b.sql": SINGLE, "db/migrations/9_c.sql": IMPLICIT},
        ("db/migrations/10_a.sql", "db/migrations/8_b.sql"),
    ),
    "supabase": History(
        {"supabase/migrations/20240101000000_a.sql": TABLE, "supabase/migrations/20240102000000_b.sql": COLUMN},
        {"supabase/migrations/20240101000000_a.sql": SINGLE, "supabase/migrations/20240102000000_b.sql": SINGLE},
    ),
    "hasura": History(
        {
            "migrations/default/1706702400000_a/up.sql": TABLE,
            "migrations/default/1706702400001_b/up.sql": COLUMN,
            "migrations/default/1706702400001_b/down.sql": NO_COLUMN,
        },
        {"migrations/default/1706702400000_a/up.sql": SINGLE, "migrations/default/1706702400001_b/up.sql": SINGLE},
        ("migrations/default/1706702400001_b/up.sql",),
    ),
    "diesel": History(
        {
            "migrations/00000000000000_setup/up.sql": TABLE,
            "migrations/2024-01-01-000000_b/up.sql": COLUMN,
            "migrations/2024-01-01-000000_b/down.sql": NO_COLUMN,
            "migrations/2024-01-02-000000_c/up.sql": INDEX,
            "migrations/2024-01-02-000000_c/metadata.toml": "run_in_transaction = false\n",
        },
        {
            "migrations/00000000000000_setup/up.sql": SINGLE,
            "migrations/2024-01-01-000000_b/up.sql": SINGLE,
            "migrations/2024-01-02-000000_c/up.sql": IMPLICIT,
        },
        ("migrations/2024-01-01-000000_b/up.sql",),
    ),
    "popx": History(
        {
            "m/20240101_a.up.sql": TABLE,
            "m/20240102_b.up.sql": "ALTER TABLE customers ADD COLUMN name longtext;\n",
            "m/20240102_b.mysql.up.sql": "ALTER TABLE `customers` ADD COLUMN `name` longtext;\n",
            "m/20240102_b.postgres.up.sql": COLUMN,
            "m/20240102_b.down.sql": NO_COLUMN,
            "m/20240103_c.postgres.autocommit.up.sql": INDEX,
        },
        {
            "m/20240101_a.up.sql": SINGLE,
            "m/20240102_b.postgres.up.sql": SINGLE,
            "m/20240103_c.postgres.autocommit.up.sql": IMPLICIT,
        },
        ("m/20240102_b.postgres.up.sql",),
    ),
    "sqlx": History(
        {
            "crates/db/migrations/9_a.up.sql": f"-- Add up migration script here\n{TABLE}",
            "crates/db/migrations/10_b.up.sql": COLUMN,
            "crates/db/migrations/10_b.down.sql": NO_COLUMN,
            "crates/db/migrations/11_c.up.sql": f"-- no-transaction\n{INDEX}",
        },
        {
            "crates/db/migrations/9_a.up.sql": SINGLE,
            "crates/db/migrations/10_b.up.sql": SINGLE,
            "crates/db/migrations/11_c.up.sql": IMPLICIT,
        },
        ("crates/db/migrations/10_b.up.sql",),
    ),
    "golang-migrate": History(
        {"m/9_a.up.sql": TABLE, "m/10_b.up.sql": COLUMN, "m/10_b.down.sql": NO_COLUMN, "m/11_c.up.sql": INDEX},
        {"m/9_a.up.sql": IMPLICIT, "m/10_b.up.sql": IMPLICIT, "m/11_c.up.sql": IMPLICIT},
        ("m/10_b.up.sql",),
    ),
    "atlas": History(
        with_atlas_sum(
            {
                "migrations/20240101000000.sql": TABLE,
                "migrations/20240102000000_b.sql": f"-- a comment\n{COLUMN}",
                "migrations/20240103000000_c.sql": f"-- atlas:txmode none\n\n-- atlas:nolint\n{INDEX}",
                "migrations/20240104000000_all.sql": f"-- atlas:checkpoint\n\n{TABLE}",
            }
        ),
        {
            "migrations/20240101000000.sql": SINGLE,
            "migrations/20240102000000_b.sql": SINGLE,
            "migrations/20240103000000_c.sql": NONE,
        },
    ),
    "node-pg-migrate": History(
        {
            "migrations/999_a.sql": TABLE,
            "migrations/1000_b.sql": f"-- Up Migration\n{COLUMN}\n-- Down Migration\n{NO_COLUMN}",
        },
        {"migrations/999_a.sql": SINGLE, "migrations/1000_b.sql": SINGLE},
        ("migrations/1000_b.sql",),
    ),
    "plain": History(
        {"migrations/9_a.sql": TABLE, "migrations/10_b.sql": COLUMN, "migrations/10.1_c.sql": INDEX, "README.sql": "SELECT 1;"},
        {"migrations/9_a.sql": SINGLE, "migrations/10_b.sql": SINGLE, "migrations/10.1_c.sql": NONE},
    ),
}
