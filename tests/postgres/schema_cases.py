# ruff: noqa: E501  a case is read better on one line
"""DDL of every kind, each with the object that it changes; the cases of test_schema_diff.py."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Case:
    """One statement (or some), what it changes as "kind name", and what takes it back. `silent`: why pg_dump does not show it."""

    sql: str
    names: str
    undo: str = ""
    since: int = 15
    silent: str = ""


ROLES = "CREATE ROLE truth_app; CREATE ROLE truth_owner"

BASE = """
CREATE SCHEMA app;
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE TYPE app.pair AS (a integer, b text);
CREATE DOMAIN app.positive AS integer CONSTRAINT positive_check CHECK (VALUE > 0);
CREATE TABLE app.customers (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, email text DEFAULT 'x', born date, score integer,
  CONSTRAINT score_check CHECK (score >= 0));
CREATE TABLE app.orders (
  id serial PRIMARY KEY, customer bigint CONSTRAINT orders_customer REFERENCES app.customers (id), total numeric(10,2),
  state app.mood, amount app.positive, note text);
CREATE INDEX orders_state ON app.orders (state);
CREATE INDEX orders_lower ON app.orders (lower(note));
CREATE TABLE app.events (at timestamptz NOT NULL, kind text) PARTITION BY RANGE (at);
CREATE TABLE app.events_1 PARTITION OF app.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE app.events_2 (at timestamptz NOT NULL, kind text);
CREATE TABLE app.parent (a integer, b integer);
CREATE TABLE app.child (c integer) INHERITS (app.parent);
CREATE VIEW app.rich AS SELECT id, name FROM app.customers WHERE score > 10;
CREATE MATERIALIZED VIEW app.totals AS SELECT customer, sum(total) AS total FROM app.orders GROUP BY customer;
CREATE FUNCTION app.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n * 2';
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE PROCEDURE app.work() LANGUAGE plpgsql AS 'BEGIN END';
CREATE TRIGGER touch BEFORE UPDATE ON app.orders FOR EACH ROW EXECUTE FUNCTION app.touch();
CREATE POLICY mine ON app.orders USING (customer = 1);
CREATE RULE quiet AS ON DELETE TO app.rich DO INSTEAD NOTHING;
CREATE SEQUENCE app.numbers;
CREATE STATISTICS app.linked (dependencies) ON customer, state FROM app.orders;
CREATE FOREIGN DATA WRAPPER wrap;
CREATE SERVER far FOREIGN DATA WRAPPER wrap OPTIONS (host 'a');
CREATE FOREIGN TABLE app.remote (a integer) SERVER far OPTIONS (name 'x');
CREATE USER MAPPING FOR truth_app SERVER far OPTIONS (password 'secret-one');
CREATE PUBLICATION pub FOR TABLE app.orders;
CREATE TEXT SEARCH CONFIGURATION app.words (COPY = pg_catalog.english);
"""

CASES: dict[str, list[Case]] = {
    "schemas, owners, privileges": [
        Case("CREATE SCHEMA extra", "schema extra", "DROP SCHEMA extra"),
        Case("ALTER SCHEMA app OWNER TO truth_owner", "owner schema app", "ALTER SCHEMA app OWNER TO postgres"),
        Case("GRANT USAGE ON SCHEMA app TO truth_app", "privileges schema app", "REVOKE USAGE ON SCHEMA app FROM truth_app"),
        Case("GRANT CREATE ON SCHEMA public TO truth_app", "privileges schema public", "REVOKE CREATE ON SCHEMA public FROM truth_app"),
        Case("ALTER TABLE app.orders OWNER TO truth_owner", "owner table app.orders", "ALTER TABLE app.orders OWNER TO postgres"),
        Case("GRANT SELECT, INSERT ON app.orders TO truth_app", "privileges table app.orders", "REVOKE ALL ON app.orders FROM truth_app"),
        Case("GRANT SELECT ON app.customers TO truth_app WITH GRANT OPTION", "privileges table app.customers",
             "REVOKE SELECT ON app.customers FROM truth_app"),
        Case("GRANT UPDATE (note) ON app.orders TO truth_app", "privileges column app.orders.note",
             "REVOKE UPDATE (note) ON app.orders FROM truth_app"),
        Case("REVOKE EXECUTE ON FUNCTION app.twice FROM PUBLIC", "privileges function app.twice(integer)",
             "GRANT EXECUTE ON FUNCTION app.twice TO PUBLIC"),
        Case("GRANT USAGE ON SEQUENCE app.numbers TO truth_app", "privileges sequence app.numbers",
             "REVOKE USAGE ON SEQUENCE app.numbers FROM truth_app"),
        Case("REVOKE USAGE ON TYPE app.mood FROM PUBLIC", "privileges type app.mood", "GRANT USAGE ON TYPE app.mood TO PUBLIC"),
        Case("GRANT EXECUTE ON FUNCTION pg_catalog.pg_ls_waldir() TO truth_app", "privileges function pg_ls_waldir()",
             "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_ls_waldir() FROM truth_app"),
        Case("GRANT USAGE ON FOREIGN SERVER far TO truth_app", "privileges server far", "REVOKE USAGE ON FOREIGN SERVER far FROM truth_app"),
        Case("GRANT USAGE ON FOREIGN DATA WRAPPER wrap TO truth_app", "privileges foreign data wrapper wrap",
             "REVOKE USAGE ON FOREIGN DATA WRAPPER wrap FROM truth_app"),
        Case("REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC", "privileges language plpgsql", "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC"),
        Case("ALTER DEFAULT PRIVILEGES IN SCHEMA app GRANT SELECT ON TABLES TO truth_app",
             "default privileges FOR ROLE postgres IN SCHEMA app ON TABLES",
             "ALTER DEFAULT PRIVILEGES IN SCHEMA app REVOKE SELECT ON TABLES FROM truth_app"),
        Case("ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC", "default privileges FOR ROLE postgres ON FUNCTIONS",
             "ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC"),
    ],
    "comments": [
        Case("COMMENT ON SCHEMA app IS 'ours'", "comment schema app", "COMMENT ON SCHEMA app IS NULL"),
        Case("COMMENT ON TABLE app.orders IS 'all of them'", "comment table app.orders", "COMMENT ON TABLE app.orders IS NULL"),
        Case("COMMENT ON COLUMN app.orders.note IS 'by hand'", "comment column app.orders.note", "COMMENT ON COLUMN app.orders.note IS NULL"),
        Case("COMMENT ON COLUMN app.rich.name IS 'view'", "comment column app.rich.name", "COMMENT ON COLUMN app.rich.name IS NULL"),
        Case("COMMENT ON COLUMN app.pair.a IS 'part'", "comment column app.pair.a", "COMMENT ON COLUMN app.pair.a IS NULL"),
        Case("COMMENT ON CONSTRAINT score_check ON app.customers IS 'c'", "comment constraint app.customers.score_check",
             "COMMENT ON CONSTRAINT score_check ON app.customers IS NULL"),
        Case("COMMENT ON CONSTRAINT positive_check ON DOMAIN app.positive IS 'c'", "comment constraint app.positive.positive_check",
             "COMMENT ON CONSTRAINT positive_check ON DOMAIN app.positive IS NULL"),
        Case("COMMENT ON INDEX app.orders_state IS 'i'", "comment index app.orders_state", "COMMENT ON INDEX app.orders_state IS NULL"),
        Case("COMMENT ON INDEX app.orders_pkey IS 'i'", "comment index app.orders_pkey", "COMMENT ON INDEX app.orders_pkey IS NULL"),
        Case("COMMENT ON TRIGGER touch ON app.orders IS 't'", "comment trigger app.orders.touch",
             "COMMENT ON TRIGGER touch ON app.orders IS NULL"),
        Case("COMMENT ON POLICY mine ON app.orders IS 'p'", "comment policy app.orders.mine", "COMMENT ON POLICY mine ON app.orders IS NULL"),
        Case("COMMENT ON RULE quiet ON app.rich IS 'r'", "comment rule app.rich.quiet", "COMMENT ON RULE quiet ON app.rich IS NULL"),
        Case("COMMENT ON FUNCTION app.twice IS 'f'", "comment function app.twice(integer)", "COMMENT ON FUNCTION app.twice IS NULL"),
        Case("COMMENT ON TYPE app.mood IS 't'", "comment type app.mood", "COMMENT ON TYPE app.mood IS NULL"),
        Case("COMMENT ON DOMAIN app.positive IS 'd'", "comment domain app.positive", "COMMENT ON DOMAIN app.positive IS NULL"),
        Case("COMMENT ON PUBLICATION pub IS 'p'", "comment publication pub", "COMMENT ON PUBLICATION pub IS NULL"),
        Case("COMMENT ON STATISTICS app.linked IS 's'", "comment statistics app.linked", "COMMENT ON STATISTICS app.linked IS NULL"),
    ],
    "tables": [
        Case("CREATE TABLE app.extra (id integer PRIMARY KEY, t text UNIQUE CHECK (t <> ''))", "table app.extra", "DROP TABLE app.extra"),
        Case("DROP TABLE app.events_2", "table app.events_2", "CREATE TABLE app.events_2 (at timestamptz NOT NULL, kind text)"),
        Case("ALTER TABLE app.orders RENAME TO purchases", "table app.purchases", "ALTER TABLE app.purchases RENAME TO orders"),
        Case("ALTER TABLE app.events_2 SET SCHEMA public", "table public.events_2", "ALTER TABLE public.events_2 SET SCHEMA app"),
        Case("ALTER TABLE app.parent SET UNLOGGED", "table app.parent", "ALTER TABLE app.parent SET LOGGED"),
        Case("ALTER TABLE app.orders SET (fillfactor = 70)", "table app.orders", "ALTER TABLE app.orders RESET (fillfactor)"),
        Case("ALTER TABLE app.orders SET (toast.autovacuum_enabled = false)", "table app.orders",
             "ALTER TABLE app.orders RESET (toast.autovacuum_enabled)"),
        Case("ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY", "table app.orders", "ALTER TABLE app.orders DISABLE ROW LEVEL SECURITY"),
        Case("ALTER TABLE app.orders FORCE ROW LEVEL SECURITY", "table app.orders", "ALTER TABLE app.orders NO FORCE ROW LEVEL SECURITY"),
        Case("ALTER TABLE app.orders REPLICA IDENTITY FULL", "table app.orders", "ALTER TABLE app.orders REPLICA IDENTITY DEFAULT"),
        Case("ALTER TABLE app.orders REPLICA IDENTITY USING INDEX orders_pkey", "table app.orders",
             "ALTER TABLE app.orders REPLICA IDENTITY DEFAULT"),
        Case("ALTER TABLE app.orders CLUSTER ON orders_pkey", "constraint app.orders.orders_pkey", "ALTER TABLE app.orders SET WITHOUT CLUSTER"),
        Case("ALTER TABLE app.orders CLUSTER ON orders_state", "index app.orders_state", "ALTER TABLE app.orders SET WITHOUT CLUSTER"),
        Case("CREATE ACCESS METHOD heap_two TYPE TABLE HANDLER heap_tableam_handler", "access method heap_two",
             "DROP ACCESS METHOD heap_two"),
        Case("CREATE ACCESS METHOD pile TYPE TABLE HANDLER heap_tableam_handler; CREATE TABLE app.piled (a int) USING pile",
             "table app.piled", "DROP TABLE app.piled; DROP ACCESS METHOD pile"),
        Case("CREATE TABLE app.typed OF app.pair", "table app.typed", "DROP TABLE app.typed"),
        Case("CREATE TABLE app.pairs (a integer, b text); ALTER TABLE app.pairs OF app.pair", "table app.pairs", "DROP TABLE app.pairs"),
        Case("ALTER TABLE app.child NO INHERIT app.parent", "table app.child"),
        Case("ALTER TABLE app.child INHERIT app.parent", "table app.child"),
        Case("ALTER TABLE app.events ATTACH PARTITION app.events_2 FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')", "table app.events_2",
             "ALTER TABLE app.events DETACH PARTITION app.events_2"),
        Case("CREATE TABLE app.events_0 PARTITION OF app.events DEFAULT", "table app.events_0", "DROP TABLE app.events_0"),
    ],
    "columns": [
        Case("ALTER TABLE app.orders ADD COLUMN extra integer", "column app.orders.extra", "ALTER TABLE app.orders DROP COLUMN extra"),
        Case("ALTER TABLE app.orders ADD COLUMN n serial", "column app.orders.n", "ALTER TABLE app.orders DROP COLUMN n"),
        Case("ALTER TABLE app.orders ADD COLUMN d integer GENERATED ALWAYS AS (id * 2) STORED", "column app.orders.d",
             "ALTER TABLE app.orders DROP COLUMN d"),
        Case("ALTER TABLE app.orders ADD COLUMN d integer GENERATED ALWAYS AS (id * 2) VIRTUAL", "column app.orders.d",
             "ALTER TABLE app.orders DROP COLUMN d", since=18),
        Case("ALTER TABLE app.customers DROP COLUMN born", "column app.customers.born"),
        Case("ALTER TABLE app.customers ADD COLUMN born date", "column app.customers.born"),
        Case("ALTER TABLE app.orders RENAME COLUMN note TO remark", "column app.orders.remark",
             "ALTER TABLE app.orders RENAME COLUMN remark TO note"),
        Case("ALTER TABLE app.parent ALTER COLUMN a TYPE bigint", "column app.parent.a", "ALTER TABLE app.parent ALTER COLUMN a TYPE integer"),
        Case("ALTER TABLE app.orders ALTER COLUMN note SET DEFAULT 'none'", "column app.orders.note",
             "ALTER TABLE app.orders ALTER COLUMN note DROP DEFAULT"),
        Case("ALTER TABLE app.orders ALTER COLUMN note SET NOT NULL", "column app.orders.note",
             "ALTER TABLE app.orders ALTER COLUMN note DROP NOT NULL"),
        Case('ALTER TABLE app.orders ALTER COLUMN note TYPE text COLLATE "C"', "column app.orders.note",
             "ALTER TABLE app.orders ALTER COLUMN note TYPE text"),
        Case("ALTER TABLE app.orders ALTER COLUMN note SET STORAGE EXTERNAL", "column app.orders.note",
             "ALTER TABLE app.orders ALTER COLUMN note SET STORAGE EXTENDED"),
        Case("ALTER TABLE app.orders ALTER COLUMN note SET COMPRESSION pglz", "column app.orders.note",
             "ALTER TABLE app.orders ALTER COLUMN note SET COMPRESSION default"),
        Case("ALTER TABLE app.orders ALTER COLUMN note SET STATISTICS 500", "column app.orders.note",
             "ALTER TABLE app.orders ALTER COLUMN note SET STATISTICS -1"),
        Case("ALTER TABLE app.orders ALTER COLUMN note SET (n_distinct = 5)", "column app.orders.note",
             "ALTER TABLE app.orders ALTER COLUMN note RESET (n_distinct)"),
        Case("ALTER TABLE app.customers ALTER COLUMN id SET GENERATED BY DEFAULT", "column app.customers.id",
             "ALTER TABLE app.customers ALTER COLUMN id SET GENERATED ALWAYS"),
        Case("ALTER TABLE app.customers ALTER COLUMN id SET START WITH 1000", "sequence app.customers_id_seq",
             "ALTER TABLE app.customers ALTER COLUMN id SET START WITH 1"),
        Case("ALTER TABLE app.parent ADD COLUMN d text", "column app.parent.d", "ALTER TABLE app.parent DROP COLUMN d"),
        Case("ALTER TABLE ONLY app.parent DROP COLUMN b", "column app.parent.b"),
        Case("ALTER TABLE app.child ALTER COLUMN a SET DEFAULT 3", "column app.child.a", "ALTER TABLE app.child ALTER COLUMN a DROP DEFAULT"),
        Case("ALTER TABLE app.events ADD COLUMN more text", "column app.events.more", "ALTER TABLE app.events DROP COLUMN more"),
        Case("ALTER FOREIGN TABLE app.remote ALTER COLUMN a OPTIONS (ADD name 'b')", "column app.remote.a",
             "ALTER FOREIGN TABLE app.remote ALTER COLUMN a OPTIONS (DROP name)"),
        Case("ALTER TABLE app.orders ADD CONSTRAINT note_there NOT NULL note", "column app.orders.note",
             "ALTER TABLE app.orders DROP CONSTRAINT note_there", since=18),
        Case("ALTER TABLE app.orders ADD CONSTRAINT note_there NOT NULL note NOT VALID", "column app.orders.note",
             "ALTER TABLE app.orders DROP CONSTRAINT note_there", since=18),
        Case("ALTER TABLE app.customers RENAME CONSTRAINT customers_name_not_null TO named", "column app.customers.name",
             "ALTER TABLE app.customers RENAME CONSTRAINT named TO customers_name_not_null", since=18),
    ],
    "constraints and indexes": [
        Case("ALTER TABLE app.orders ADD CONSTRAINT total_check CHECK (total > 0) NOT VALID", "constraint app.orders.total_check"),
        Case("ALTER TABLE app.orders VALIDATE CONSTRAINT total_check", "constraint app.orders.total_check"),
        Case("ALTER TABLE app.orders RENAME CONSTRAINT total_check TO total_positive", "constraint app.orders.total_positive"),
        Case("ALTER TABLE app.orders DROP CONSTRAINT total_positive", "constraint app.orders.total_positive"),
        Case("ALTER TABLE app.orders ALTER CONSTRAINT orders_customer DEFERRABLE INITIALLY DEFERRED", "constraint app.orders.orders_customer",
             "ALTER TABLE app.orders ALTER CONSTRAINT orders_customer NOT DEFERRABLE"),
        Case("ALTER TABLE app.orders ALTER CONSTRAINT orders_customer NOT ENFORCED", "constraint app.orders.orders_customer",
             "ALTER TABLE app.orders ALTER CONSTRAINT orders_customer ENFORCED", since=18),
        Case("ALTER TABLE app.orders ADD CONSTRAINT note_once UNIQUE (note) WITH (fillfactor = 80)", "constraint app.orders.note_once"),
        Case("ALTER INDEX app.note_once SET (fillfactor = 90)", "constraint app.orders.note_once"),
        Case("ALTER TABLE app.orders DROP CONSTRAINT note_once", "constraint app.orders.note_once"),
        Case("ALTER TABLE app.orders ADD CONSTRAINT same EXCLUDE (total WITH =)", "constraint app.orders.same",
             "ALTER TABLE app.orders DROP CONSTRAINT same"),
        Case("ALTER TABLE app.parent ADD CONSTRAINT a_check CHECK (a > 0) NO INHERIT", "constraint app.parent.a_check",
             "ALTER TABLE app.parent DROP CONSTRAINT a_check"),
        Case("ALTER TABLE app.events ADD PRIMARY KEY (at)", "constraint app.events.events_pkey",
             "ALTER TABLE app.events DROP CONSTRAINT events_pkey", since=18),
        Case("CREATE INDEX extra ON app.orders USING hash (note)", "index app.extra", "DROP INDEX app.extra"),
        Case("CREATE UNIQUE INDEX partial ON app.orders (note DESC) INCLUDE (total) NULLS NOT DISTINCT WHERE total > 1", "index app.partial",
             "DROP INDEX app.partial"),
        Case("CREATE INDEX kinds ON app.events (kind)", "index app.kinds", "DROP INDEX app.kinds"),
        Case("CREATE INDEX alone ON ONLY app.events (kind)", "index app.alone", "DROP INDEX app.alone"),
        Case("ALTER INDEX app.orders_state RENAME TO orders_by_state", "index app.orders_by_state",
             "ALTER INDEX app.orders_by_state RENAME TO orders_state"),
        Case("ALTER INDEX app.orders_state SET (fillfactor = 60)", "index app.orders_state", "ALTER INDEX app.orders_state RESET (fillfactor)"),
        Case("ALTER INDEX app.orders_lower ALTER COLUMN 1 SET STATISTICS 100", "index app.orders_lower",
             "ALTER INDEX app.orders_lower ALTER COLUMN 1 SET STATISTICS -1"),
    ],
    "sequences and views": [
        Case("CREATE SEQUENCE app.more INCREMENT 5", "sequence app.more", "DROP SEQUENCE app.more"),
        Case("ALTER SEQUENCE app.numbers CYCLE CACHE 7 MAXVALUE 99", "sequence app.numbers",
             "ALTER SEQUENCE app.numbers NO CYCLE CACHE 1 NO MAXVALUE"),
        Case("ALTER SEQUENCE app.numbers OWNED BY app.orders.id", "sequence app.numbers", "ALTER SEQUENCE app.numbers OWNED BY NONE"),
        Case("ALTER SEQUENCE app.orders_id_seq AS bigint", "sequence app.orders_id_seq", "ALTER SEQUENCE app.orders_id_seq AS integer"),
        Case("SELECT nextval('app.numbers')", "", silent="a value is data"),
        Case("CREATE VIEW app.names AS SELECT name FROM app.customers", "view app.names", "DROP VIEW app.names"),
        Case("CREATE OR REPLACE VIEW app.rich AS SELECT id, name FROM app.customers WHERE score > 20", "view app.rich",
             "CREATE OR REPLACE VIEW app.rich AS SELECT id, name FROM app.customers WHERE score > 10"),
        Case("ALTER VIEW app.rich SET (security_barrier = true, security_invoker = true)", "view app.rich",
             "ALTER VIEW app.rich RESET (security_barrier, security_invoker)"),
        Case("ALTER VIEW app.rich ALTER COLUMN name SET DEFAULT 'n'", "view app.rich", "ALTER VIEW app.rich ALTER COLUMN name DROP DEFAULT"),
        Case("ALTER VIEW app.rich RENAME COLUMN name TO title", "view app.rich", "ALTER VIEW app.rich RENAME COLUMN title TO name"),
        Case("CREATE UNIQUE INDEX totals_key ON app.totals (customer)", "index app.totals_key", "DROP INDEX app.totals_key"),
        Case("ALTER MATERIALIZED VIEW app.totals ALTER COLUMN total SET STATISTICS 9", "column app.totals.total",
             "ALTER MATERIALIZED VIEW app.totals ALTER COLUMN total SET STATISTICS -1"),
        Case("DROP MATERIALIZED VIEW app.totals", "materialized view app.totals",
             "CREATE MATERIALIZED VIEW app.totals AS SELECT customer, sum(total) AS total FROM app.orders GROUP BY customer"),
        Case("REFRESH MATERIALIZED VIEW app.totals WITH NO DATA", "", silent="what it holds is data"),
    ],
    "functions, triggers, rules, policies": [
        Case("CREATE FUNCTION app.thrice(n integer) RETURNS integer LANGUAGE sql RETURN n * 3", "function app.thrice(integer)",
             "DROP FUNCTION app.thrice"),
        Case("CREATE OR REPLACE FUNCTION app.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n + n'",
             "function app.twice(integer)",
             "CREATE OR REPLACE FUNCTION app.twice(n integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT n * 2'"),
        Case("ALTER FUNCTION app.twice SECURITY DEFINER COST 7 PARALLEL SAFE SET search_path = app", "function app.twice(integer)",
             "ALTER FUNCTION app.twice SECURITY INVOKER COST 100 PARALLEL UNSAFE RESET search_path"),
        Case("ALTER FUNCTION app.twice RENAME TO double", "function app.double(integer)", "ALTER FUNCTION app.double RENAME TO twice"),
        Case("ALTER FUNCTION app.twice OWNER TO truth_owner", "owner function app.twice(integer)", "ALTER FUNCTION app.twice OWNER TO postgres"),
        Case("DROP PROCEDURE app.work", "procedure app.work()", "CREATE PROCEDURE app.work() LANGUAGE plpgsql AS 'BEGIN END'"),
        Case("CREATE AGGREGATE app.product(integer) (SFUNC = int4mul, STYPE = integer, INITCOND = '1')", "aggregate app.product(integer)",
             "DROP AGGREGATE app.product(integer)"),
        Case("CREATE TRIGGER touch2 AFTER INSERT ON app.orders FOR EACH STATEMENT EXECUTE FUNCTION app.touch()",
             "trigger app.orders.touch2", "DROP TRIGGER touch2 ON app.orders"),
        Case("ALTER TABLE app.orders DISABLE TRIGGER touch", "trigger app.orders.touch", "ALTER TABLE app.orders ENABLE TRIGGER touch"),
        Case("ALTER TABLE app.orders ENABLE ALWAYS TRIGGER touch", "trigger app.orders.touch", "ALTER TABLE app.orders ENABLE TRIGGER touch"),
        Case("ALTER TRIGGER touch ON app.orders RENAME TO touching", "trigger app.orders.touching",
             "ALTER TRIGGER touching ON app.orders RENAME TO touch"),
        Case("CREATE TRIGGER part BEFORE INSERT ON app.events FOR EACH ROW EXECUTE FUNCTION app.touch()", "trigger app.events.part"),
        Case("ALTER TABLE app.events_1 DISABLE TRIGGER part", "trigger app.events_1.part"),
        Case("DROP TRIGGER part ON app.events", "trigger app.events.part"),
        Case("CREATE CONSTRAINT TRIGGER late AFTER INSERT ON app.orders DEFERRABLE FOR EACH ROW EXECUTE FUNCTION app.touch()",
             "trigger app.orders.late", "DROP TRIGGER late ON app.orders"),
        Case("CREATE OR REPLACE RULE quiet AS ON DELETE TO app.rich DO INSTEAD SELECT 1", "rule app.rich.quiet",
             "CREATE OR REPLACE RULE quiet AS ON DELETE TO app.rich DO INSTEAD NOTHING"),
        Case("CREATE RULE loud AS ON UPDATE TO app.orders DO ALSO NOTIFY loud", "rule app.orders.loud", "DROP RULE loud ON app.orders"),
        Case("CREATE RULE off AS ON UPDATE TO app.orders DO NOTHING; ALTER TABLE app.orders DISABLE RULE off", "rule app.orders.off", "DROP RULE off ON app.orders"),
        Case("CREATE POLICY yours ON app.orders AS RESTRICTIVE FOR UPDATE TO truth_app USING (true) WITH CHECK (total > 0)",
             "policy app.orders.yours", "DROP POLICY yours ON app.orders"),
        Case("ALTER POLICY mine ON app.orders USING (customer = 2)", "policy app.orders.mine",
             "ALTER POLICY mine ON app.orders USING (customer = 1)"),
        Case("CREATE FUNCTION app.watch() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
             "CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION app.watch()", "event trigger watch"),
        Case("ALTER EVENT TRIGGER watch DISABLE", "event trigger watch"),
        Case("DROP EVENT TRIGGER watch; DROP FUNCTION app.watch", "event trigger watch"),
    ],
    "types": [
        Case("CREATE TYPE app.size AS ENUM ('s', 'm')", "type app.size", "DROP TYPE app.size"),
        Case("ALTER TYPE app.mood ADD VALUE 'so' BEFORE 'ok'", "type app.mood"),
        Case("ALTER TYPE app.mood RENAME VALUE 'so' TO 'meh'", "type app.mood", "ALTER TYPE app.mood RENAME VALUE 'meh' TO 'so'"),
        Case("ALTER TYPE app.mood RENAME TO feeling", "type app.feeling", "ALTER TYPE app.feeling RENAME TO mood"),
        Case("CREATE TYPE app.triple AS (a integer)", "type app.triple"),
        Case("ALTER TYPE app.triple ADD ATTRIBUTE b text COLLATE \"C\"", "type app.triple"),
        Case("DROP TYPE app.triple", "type app.triple"),
        Case("CREATE TYPE app.span AS RANGE (SUBTYPE = integer, SUBTYPE_DIFF = int4range_subdiff)", "type app.span", "DROP TYPE app.span"),
        Case("CREATE TYPE app.shell", "type app.shell", "DROP TYPE app.shell"),
        Case("CREATE TYPE app.raw; CREATE FUNCTION app.raw_in(cstring) RETURNS app.raw LANGUAGE internal IMMUTABLE STRICT AS 'textin';"
             "CREATE FUNCTION app.raw_out(app.raw) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';"
             "CREATE TYPE app.raw (INPUT = app.raw_in, OUTPUT = app.raw_out, LIKE = text)", "type app.raw"),
        Case("ALTER TYPE app.raw SET (STORAGE = external)", "type app.raw"),
        Case("DROP TYPE app.raw CASCADE", "type app.raw"),
        Case("ALTER DOMAIN app.positive ADD CONSTRAINT small CHECK (VALUE < 99) NOT VALID", "constraint app.positive.small",
             "ALTER DOMAIN app.positive DROP CONSTRAINT small"),
        Case("ALTER DOMAIN app.positive SET DEFAULT 5", "domain app.positive", "ALTER DOMAIN app.positive DROP DEFAULT"),
        Case("ALTER DOMAIN app.positive SET NOT NULL", "domain app.positive", "ALTER DOMAIN app.positive DROP NOT NULL"),
        Case("CREATE DOMAIN app.word AS text COLLATE \"C\" CHECK (VALUE <> '')", "domain app.word", "DROP DOMAIN app.word"),
    ],
    "the rest": [
        Case("CREATE STATISTICS app.extra (ndistinct) ON total, state FROM app.orders", "statistics app.extra", "DROP STATISTICS app.extra"),
        Case("ALTER STATISTICS app.linked SET STATISTICS 77", "statistics app.linked", "ALTER STATISTICS app.linked SET STATISTICS -1"),
        Case("CREATE CAST (app.pair AS text) WITH INOUT AS ASSIGNMENT", "cast (app.pair AS text)", "DROP CAST (app.pair AS text)"),
        Case("CREATE OPERATOR app.=== (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq, COMMUTATOR = OPERATOR(app.===), MERGES)",
             "operator app.===(integer, integer)", "DROP OPERATOR app.=== (integer, integer)"),
        Case("CREATE OPERATOR CLASS app.ints FOR TYPE integer USING btree AS OPERATOR 3 =, FUNCTION 1 btint4cmp(integer, integer)",
             "operator class app.ints USING btree"),
        Case("ALTER OPERATOR FAMILY app.ints USING btree ADD OPERATOR 1 < (integer, bigint)", "operator family app.ints USING btree"),
        Case("DROP OPERATOR FAMILY app.ints USING btree CASCADE", "operator class app.ints USING btree"),
        Case("CREATE COLLATION app.plain (PROVIDER = libc, LOCALE = 'C')", "collation app.plain", "DROP COLLATION app.plain"),
        Case("CREATE CONVERSION app.conv FOR 'UTF8' TO 'LATIN1' FROM utf8_to_iso8859_1", "conversion app.conv", "DROP CONVERSION app.conv"),
        Case("CREATE TEXT SEARCH DICTIONARY app.dict (TEMPLATE = simple, accept = false)", "text search dictionary app.dict",
             "DROP TEXT SEARCH DICTIONARY app.dict"),
        Case("ALTER TEXT SEARCH CONFIGURATION app.words ALTER MAPPING FOR word WITH simple", "text search configuration app.words",
             "ALTER TEXT SEARCH CONFIGURATION app.words ALTER MAPPING FOR word WITH english_stem"),
        Case("CREATE TEXT SEARCH PARSER app.parse (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)",
             "text search parser app.parse", "DROP TEXT SEARCH PARSER app.parse"),
        Case("CREATE TEXT SEARCH TEMPLATE app.temp (LEXIZE = dsimple_lexize)", "text search template app.temp",
             "DROP TEXT SEARCH TEMPLATE app.temp"),
        Case("CREATE TRANSFORM FOR integer LANGUAGE sql (FROM SQL WITH FUNCTION prsd_lextype(internal))",
             "transform FOR integer LANGUAGE sql", "DROP TRANSFORM FOR integer LANGUAGE sql"),
        Case("CREATE LANGUAGE talk HANDLER plpgsql_call_handler", "language talk", "DROP LANGUAGE talk"),
        Case("ALTER FOREIGN DATA WRAPPER wrap OPTIONS (ADD debug 'true')", "foreign data wrapper wrap",
             "ALTER FOREIGN DATA WRAPPER wrap OPTIONS (DROP debug)"),
        Case("ALTER SERVER far OPTIONS (SET host 'b')", "server far", "ALTER SERVER far OPTIONS (SET host 'a')"),
        Case("ALTER FOREIGN TABLE app.remote OPTIONS (SET name 'y')", "foreign table app.remote",
             "ALTER FOREIGN TABLE app.remote OPTIONS (SET name 'x')"),
        Case("ALTER USER MAPPING FOR truth_app SERVER far OPTIONS (SET password 'secret-two')", "user mapping FOR truth_app SERVER far",
             "ALTER USER MAPPING FOR truth_app SERVER far OPTIONS (SET password 'secret-one')"),
        Case("CREATE USER MAPPING FOR PUBLIC SERVER far", "user mapping FOR PUBLIC SERVER far", "DROP USER MAPPING FOR PUBLIC SERVER far"),
        Case("ALTER PUBLICATION pub ADD TABLE app.customers (id, name) WHERE (id > 5)", "publication pub",
             "ALTER PUBLICATION pub DROP TABLE app.customers"),
        Case("ALTER PUBLICATION pub SET (publish = 'insert')", "publication pub",
             "ALTER PUBLICATION pub SET (publish = 'insert, update, delete, truncate')"),
        Case("CREATE PUBLICATION whole FOR TABLES IN SCHEMA app", "publication whole", "DROP PUBLICATION whole"),
        Case("CREATE SUBSCRIPTION sub CONNECTION 'host=nowhere password=secret-three' PUBLICATION p WITH (connect = false, slot_name = NONE)",
             "subscription sub"),
        Case("ALTER SUBSCRIPTION sub CONNECTION 'host=nowhere password=secret-four'", "subscription sub"),
        Case("ALTER SUBSCRIPTION sub SET (binary = true)", "subscription sub"),
        Case("DROP SUBSCRIPTION sub", "subscription sub"),
        Case("DROP EXTENSION plpgsql CASCADE", "function app.touch()"),
        Case("CREATE EXTENSION plpgsql", "extension plpgsql"),
    ],
    "no change": [
        Case("INSERT INTO app.parent VALUES (1)", "", silent="rows are data"),
        Case("CREATE TEMPORARY TABLE t (a integer)", "", silent="it is gone with its session"),
        Case("ANALYZE app.orders", "", silent="statistics are no schema"),
        Case("VACUUM FULL app.orders", "", silent="another file, the same table"),
        Case("REINDEX INDEX app.orders_state", "", silent="another file, the same index"),
        Case("GRANT SELECT ON app.child TO postgres", "", silent="the owner has it anyway"),
    ],
    "names": [
        Case('CREATE TABLE app."We""ird \' näme\n%s" ("a""\'b\nc" integer DEFAULT 1 NOT NULL, "select" text)',
             'table app."We""ird \' näme\n%s"'),
        Case('ALTER TABLE app."We""ird \' näme\n%s" ALTER COLUMN "a""\'b\nc" DROP DEFAULT',
             'column app."We""ird \' näme\n%s"."a""\'b\nc"'),
        Case('ALTER TABLE app."We""ird \' näme\n%s" RENAME TO tame', "table app.tame"),
        Case("DROP TABLE app.tame", "table app.tame"),
        Case("ALTER SCHEMA app RENAME TO shop", "schema shop", "ALTER SCHEMA shop RENAME TO app"),
    ],
}  # fmt: skip
