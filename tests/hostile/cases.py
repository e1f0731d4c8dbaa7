# ruff: noqa: E501  SQL reads better on one line than cut into strings
"""What strangers may send: each case has what it tries, its SQL, and what must happen. They are run by test_migrations.py, and
docs/make_hostile.py makes a page of them.

`<FOLDER>` stands for a folder that the server's account can write to and that holds the file `secret`, `<SOCKET>` for the folder of
our server's socket, `<PID>` for our own process.
"""

from __future__ import annotations

from dataclasses import dataclass

SECRET = "canary-4d0c7c51f3"  # in our environment, and in a file that the server's account can read

SEED = """
CREATE TABLE t (id int PRIMARY KEY, a text, b int NOT NULL);
INSERT INTO t SELECT n, CASE WHEN n % 4 = 0 THEN NULL ELSE 'a' || n END, n FROM generate_series(1, 200) AS n;
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 10);
CREATE TABLE child (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent);
INSERT INTO child SELECT n, n FROM generate_series(1, 10) AS n;
"""


@dataclass(frozen=True, slots=True)
class Case:
    """`sql`: one migration, or several in a row, of which the last is the one that is judged. `fails`: a piece of its SQLSTATE
    and message; None: it is applied. `told`: lines that must be among the facts of its report (see told.py), whatever it did
    against that; `not_told`: that must not. `no_clone`: the run ends with an error that says so, and says nothing of the migration.
    `room_mb`: how much room the disk seems to have. `open`: why it does not happen yet.
    `denied_since_16`: newer versions do not let it.
    """

    sql: str | tuple[str, ...]
    fails: str | None = None
    told: tuple[str, ...] = ()
    not_told: tuple[str, ...] = ()
    no_clone: str | None = None
    seed: str = SEED
    layout: str = "plain"
    down: str | None = None
    expect: str | None = None
    limit_s: float = 30.0
    count_s: float = 10.0
    room_mb: int | None = None
    open: str | None = None
    denied_since_16: bool = False


def plpgsql(body: str, name: str = "f(x int)", returns: str = "int", more: str = "IMMUTABLE") -> str:
    """A function."""
    return f"CREATE FUNCTION {name} RETURNS {returns} LANGUAGE plpgsql {more} AS $f$ {body} $f$;"


def when_counted(body: str) -> str:
    """Makes a function that behaves while the migration runs, and does `body` when a table is read for the first time afterwards:
    PostgreSQL computes what is constant in an index's expression whenever it plans a SELECT.
    """
    quiet = "current_setting('my.quiet', true) = 'yes'"
    function = plpgsql(f"BEGIN IF {quiet} THEN RETURN x; END IF; PERFORM public.g(); RETURN x; END")
    function += plpgsql(f"BEGIN {body} END", "g()", "void", "VOLATILE")
    return f"SET my.quiet = 'yes'; {function} CREATE INDEX sly ON t ((b + f(1))); UPDATE t SET b = b + 1 WHERE id <= 50;"


DENIED = "42501"
T_UPDATED = "public.t: 0 inserted, 50 updated, 0 deleted"
LOOP = "LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP;"

# ── Out of the sandbox ───────────────────────────────────────────────────────────────────────────────────────────────────

ESCAPES = {
    "runs a program and reads what it prints": Case("CREATE TABLE o (l text); COPY o FROM PROGRAM 'id'", DENIED),
    "gives rows to a program": Case("COPY t TO PROGRAM 'cat > <FOLDER>/rows'", DENIED),
    "reads a file of the server": Case("CREATE TABLE o (l text); COPY o FROM '<FOLDER>/secret'", DENIED),
    "writes a file of the server": Case("COPY t TO '<FOLDER>/rows'", DENIED),
    "reads a file by a function": Case("SELECT pg_read_file('<FOLDER>/secret')", DENIED),
    "reads our process's environment": Case("SELECT pg_read_binary_file('/proc/<PID>/environ')", DENIED),
    "lists a folder of the server": Case("SELECT pg_ls_dir('<FOLDER>')", DENIED),
    "asks whether a file is there": Case("SELECT pg_stat_file('<FOLDER>/secret')", DENIED),
    "reads a file as a large object": Case("SELECT lo_import('<FOLDER>/secret')", DENIED),
    "writes a large object into a file": Case(
        "SELECT lo_from_bytea(4711, 'x'); SELECT lo_export(4711, '<FOLDER>/large')", DENIED
    ),
    "changes the server's settings": Case(
        "ALTER SYSTEM SET archive_command = 'touch <FOLDER>/archived'", DENIED, layout="golang-migrate"
    ),
    "calls the C library": Case(
        "CREATE FUNCTION s(text) RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'system'", DENIED
    ),
    "calls a function inside the server under another name": Case(
        "CREATE FUNCTION r(text) RETURNS text LANGUAGE internal AS 'pg_read_file_all'", DENIED
    ),
    "creates an untrusted language": Case("CREATE LANGUAGE plpython3u HANDLER plpgsql_call_handler", DENIED),
    "loads a library": Case("LOAD '/lib/x86_64-linux-gnu/libc.so.6'", DENIED),
    "has a library loaded into its next session": Case("SET session_preload_libraries = '<FOLDER>/evil'", DENIED),
    "has the next session of its role load a library": Case(
        "ALTER ROLE CURRENT_USER SET session_preload_libraries = '<FOLDER>/evil'", DENIED
    ),
    "creates an extension that reads files": Case("CREATE EXTENSION file_fdw", DENIED),
    "creates an extension that writes files": Case("CREATE EXTENSION IF NOT EXISTS adminpack", "extension"),
    "creates an extension that reads raw pages": Case("CREATE EXTENSION pageinspect", DENIED),
    "creates a tablespace in a folder": Case("CREATE TABLESPACE ts LOCATION '<FOLDER>'", DENIED, layout="golang-migrate"),
    "subscribes to another server": Case(
        "CREATE SUBSCRIPTION s CONNECTION 'host=<SOCKET> dbname=postgres' PUBLICATION p WITH (connect = false)", DENIED
    ),
    "creates an event trigger": Case(
        plpgsql("BEGIN END", "e()", "event_trigger", "") + "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()",
        DENIED,
    ),
    "makes a superuser": Case("CREATE ROLE root SUPERUSER", DENIED),
    "makes itself a superuser": Case("ALTER ROLE CURRENT_USER SUPERUSER", DENIED),
    "makes itself one that replicates": Case("CREATE ROLE copier REPLICATION LOGIN", DENIED, seed=SEED),
    "gives the server's superuser a password of its own": Case("ALTER ROLE migration_rehearsal PASSWORD 'x'", DENIED),
    "locks the server's superuser out": Case("ALTER ROLE migration_rehearsal NOLOGIN", DENIED),
    "renames the server's superuser": Case("ALTER ROLE migration_rehearsal RENAME TO nobody", DENIED),
    "drops the server's superuser": Case("DROP ROLE migration_rehearsal", DENIED),
    "becomes the server's superuser": Case("SET ROLE migration_rehearsal", DENIED),
    "is granted the server's superuser": Case("GRANT migration_rehearsal TO CURRENT_USER", DENIED),
    "logs in as the server's superuser": Case("SET SESSION AUTHORIZATION migration_rehearsal", DENIED),
    "goes back to whom it was before": Case("RESET SESSION AUTHORIZATION; RESET ROLE; COPY t TO PROGRAM 'cat'", DENIED),
    "is granted the right to run programs": Case("GRANT pg_execute_server_program TO CURRENT_USER", DENIED),
    "is granted the right to read files": Case("GRANT pg_read_server_files TO CURRENT_USER", DENIED),
    "is granted the right to write files": Case("GRANT pg_write_server_files TO CURRENT_USER", DENIED),
    "grants the right to run programs to a new role, and becomes that": Case(
        "CREATE ROLE runner IN ROLE pg_execute_server_program; SET ROLE runner; COPY t TO PROGRAM 'cat'", DENIED
    ),
    "becomes the role that may run programs": Case("SET ROLE pg_execute_server_program", DENIED),
    "writes itself into the catalog as a superuser": Case("UPDATE pg_authid SET rolsuper = true", DENIED),
    "writes into the catalog with all rights to write data": Case(
        "DO $$ BEGIN GRANT pg_write_all_data TO CURRENT_USER; EXCEPTION WHEN insufficient_privilege THEN NULL; END $$;"
        "UPDATE pg_authid SET rolsuper = true WHERE rolname = CURRENT_USER",
        DENIED,
    ),
    "changes a function of PostgreSQL in the catalog": Case("UPDATE pg_proc SET prosecdef = true", DENIED),
    "makes the catalog writable": Case("SET allow_system_table_mods = on; DELETE FROM pg_class", DENIED),
    "replaces a function of PostgreSQL": Case(
        "CREATE OR REPLACE FUNCTION pg_catalog.pg_relation_size(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'",
        DENIED,
    ),
    "puts a table into PostgreSQL's schema": Case("CREATE TABLE pg_catalog.pg_shadowed ()", DENIED),
    "hides a table in a schema whose name looks like PostgreSQL's": Case("CREATE SCHEMA pg_hidden", "42939"),
    "hides a table among PostgreSQL's own": Case("ALTER TABLE t SET SCHEMA information_schema", DENIED),
    "connects to our own server as its superuser": Case(
        "CREATE EXTENSION dblink; SELECT dblink_connect('host=<SOCKET> dbname=postgres user=migration_rehearsal')", "2F003"
    ),
    "connects to our own server as itself": Case(
        "CREATE EXTENSION dblink; SELECT dblink_connect('host=<SOCKET> dbname=postgres user=postgres password=x')", "2F003"
    ),
    "connects to our own server by the function that asks for no password": Case(
        "CREATE EXTENSION dblink; SELECT dblink_connect_u('host=<SOCKET> dbname=postgres user=postgres')", "2F003"
    ),
    "takes the function that asks for no password for its own": Case(
        "CREATE EXTENSION dblink; GRANT EXECUTE ON FUNCTION dblink_connect_u(text) TO PUBLIC;"
        "SELECT dblink_connect_u('host=<SOCKET> dbname=postgres user=postgres')",
        "2F003",
    ),
    "reads another database of our server over a foreign table without a password": Case(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '<SOCKET>', dbname 'postgres');"
        "CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (user 'postgres', password_required 'false')",
        DENIED,
    ),
    "makes the log show what others say": Case("SET log_directory = '<FOLDER>'", "55P02"),
    "shuts the server down": Case("SELECT pg_reload_conf(), pg_promote()", DENIED),
    "drops the database that it stands in": Case("DROP DATABASE postgres WITH (FORCE)", DENIED, layout="golang-migrate"),
    "drops the seed that clones are made of": Case(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RENAME TO gone', (SELECT datname FROM pg_database WHERE datname ~ '^seed' LIMIT 1)); END $$",
        DENIED,
    ),
}

# Traps for the script of an extension that is created with a superuser's rights: it must not be given these rights.
_SURE = "CREATE EXTENSION cube; "
TRAPS = {
    "creates an untrusted extension that is harmless": Case(
        "CREATE EXTENSION cube; CREATE EXTENSION earthdistance", told=("extension earthdistance: added",)
    ),
    "creates an extension that is harmless, and then runs a program outside the transaction": Case(
        "COMMIT; CREATE EXTENSION dblink; COPY t TO PROGRAM 'cat > <FOLDER>/rows'", DENIED, layout="golang-migrate"
    ),
    "plants an operator for an extension's script": Case(
        _SURE
        + "CREATE FUNCTION evil(cube, int) RETURNS cube LANGUAGE sql AS 'SELECT $1'; CREATE OPERATOR public./ (LEFTARG = cube, RIGHTARG = int, FUNCTION = evil); CREATE EXTENSION earthdistance",
        DENIED,
    ),
    "plants a function in its temporary schema": Case(
        _SURE + "CREATE FUNCTION pg_temp.cube_dim(cube) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE EXTENSION earthdistance",
        DENIED,
    ),
    "plants a domain": Case(_SURE + "CREATE DOMAIN public.earth AS cube; CREATE EXTENSION earthdistance", DENIED),
    "plants a function in the migration before": Case(
        (
            _SURE + "CREATE FUNCTION public.cube_distance(cube, text) RETURNS float8 LANGUAGE sql AS 'SELECT 1::float8'",
            "CREATE EXTENSION earthdistance",
        ),
        DENIED,
    ),
    "makes a function a member of a trusted extension, so that it looks like one": Case(
        "CREATE EXTENSION cube; CREATE FUNCTION public.cube_distance(cube, text) RETURNS float8 LANGUAGE sql AS 'SELECT 1::float8';"
        "ALTER EXTENSION cube ADD FUNCTION public.cube_distance(cube, text); CREATE EXTENSION earthdistance",
        DENIED,
    ),
    "replaces a member of an extension that it has created": Case(
        "CREATE EXTENSION cube; CREATE EXTENSION earthdistance;"
        "CREATE OR REPLACE FUNCTION public.earth() RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 1::float8'; CREATE EXTENSION dblink",
        DENIED,
    ),
    "changes a function of the seed": Case(
        ("CREATE OR REPLACE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 2'", "CREATE EXTENSION dblink"),
        DENIED,
        seed=SEED + "CREATE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    ),
    "changes a function of the seed and changes it back": Case(
        "CREATE OR REPLACE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 2';"
        "CREATE OR REPLACE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE EXTENSION dblink",
        DENIED,
        seed=SEED + "CREATE FUNCTION helper() RETURNS int LANGUAGE sql AS 'SELECT 1';",
    ),
    "moves a function of the seed to where a script finds it": Case(
        "ALTER FUNCTION aside.cube_dim(text) SET SCHEMA public; CREATE EXTENSION dblink",
        DENIED,
        seed=SEED + "CREATE SCHEMA aside; CREATE FUNCTION aside.cube_dim(text) RETURNS int LANGUAGE sql AS 'SELECT 1';",
    ),
    "has an event trigger of the seed read a file, by a column's default": Case(
        "ALTER TABLE ddl_log ADD note text DEFAULT pg_read_file('<FOLDER>/secret')",
        DENIED,
        seed="""
CREATE TABLE ddl_log (at timestamptz, tag text);
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO ddl_log VALUES (now(), tg_tag); END $$;
CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note();
""",
    ),
    "has an event trigger of the seed read a file while an extension is created": Case(
        "ALTER TABLE ddl_log ADD note text; ALTER TABLE ddl_log ALTER note SET DEFAULT pg_read_file('<FOLDER>/secret');"
        "CREATE EXTENSION dblink",
        DENIED,
        seed="""
CREATE TABLE ddl_log (at timestamptz, tag text);
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
  IF tg_tag = 'CREATE EXTENSION' THEN INSERT INTO ddl_log VALUES (now(), tg_tag); END IF; END $$;
CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION note();
""",
    ),
    "puts a second statement behind the one that is lent rights, by another reading of quotes": Case(
        (
            "CREATE EXTENSION dblink",
            "SET standard_conforming_strings = off;\n"
            r"CREATE EXTENSION IF NOT EXISTS dblink VERSION 'a\''; COPY t TO PROGRAM $q$cat > <FOLDER>/rows$q$; --'",
        ),
        # PostgreSQL takes one statement and no more; sent whole, as its tool would, the file is read before the setting is changed.
    ),
    "puts a second statement behind the one that is lent rights, by another encoding": Case(
        (
            "CREATE EXTENSION dblink",
            "SET client_encoding = 'SJIS';\n"
            "CREATE EXTENSION IF NOT EXISTS dblink VERSION E'\N{LATIN CAPITAL LETTER A WITH ACUTE}\\'; COPY t TO PROGRAM $q$cat > <FOLDER>/rows$q$; --'",
        ),
        # PostgreSQL takes one statement and no more; sent whole, as its tool would, the file is read before the setting is changed.
    ),
    "puts a second statement behind the one that is lent rights, in a string that goes on behind a comment": Case(
        (
            "CREATE EXTENSION dblink",
            "CREATE EXTENSION IF NOT EXISTS dblink VERSION E'1.2' -- c\n"
            r"'\' '; COPY t TO PROGRAM $q$cat > <FOLDER>/rows$q$; --'",
        ),
        DENIED,
    ),
    "puts a second statement behind the one that is lent rights, in a string that goes on behind a carriage return": Case(
        (
            "CREATE EXTENSION dblink",
            "CREATE EXTENSION IF NOT EXISTS dblink VERSION E'1.2'\r" + r"'\' '; COPY t TO PROGRAM $q$cat > <FOLDER>/rows$q$; --'",
        ),
        DENIED,
    ),
    "creates an extension that is not harmless along with one that is": Case(
        "CREATE EXTENSION earthdistance CASCADE; CREATE EXTENSION file_fdw", DENIED
    ),
    "hides the name of the extension behind a comment": Case("CREATE EXTENSION /* dblink */ file_fdw -- dblink", DENIED),
    "has a second session use the rights while they are lent": Case(
        "SELECT dblink_connect_u('c', 'host=<SOCKET> dbname=postgres user=postgres');"
        "SELECT dblink_send_query('c', $q$ DO $$ BEGIN FOR i IN 1..300 LOOP BEGIN COPY pg_class TO '<FOLDER>/rows'; EXCEPTION WHEN OTHERS THEN PERFORM pg_sleep(0.01); END; END LOOP; END $$ $q$);"
        "CREATE EXTENSION bloom",
        DENIED,
        seed="CREATE ROLE app; CREATE EXTENSION dblink; GRANT EXECUTE ON FUNCTION dblink_connect_u(text, text) TO app;",
    ),
    "keeps the rights that were lent": Case("CREATE EXTENSION dblink; COPY t TO '<FOLDER>/rows'", DENIED),
    "keeps the rights that were lent, by changing its own role first": Case(
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT 50; CREATE EXTENSION dblink; COPY t TO '<FOLDER>/rows'", DENIED
    ),
    "keeps the rights that were lent for another migration": Case(
        ("CREATE EXTENSION dblink", "COPY t TO '<FOLDER>/rows'"), DENIED
    ),
}

# ── Lies to the observer ─────────────────────────────────────────────────────────────────────────────────────────────────


def set_for_database(setting: str) -> str:
    """Sets something for all later sessions of the database."""
    return f"DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {setting}', current_database()); END $$;"


WITHOUT_TIME_SINCE_17 = (
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET transaction_timeout = 1', current_database());"
    " EXCEPTION WHEN undefined_object THEN NULL; END $$;"
)
WRITES = "UPDATE t SET b = b + 1 WHERE id <= 50; DELETE FROM child WHERE id = 1;"
WRITTEN = ("public.t: 0 inserted, 50 updated, 0 deleted", "public.child: 10 → 9 rows", "public.t: RowExclusiveLock")
SHADOWS = """
CREATE SCHEMA evil;
CREATE FUNCTION evil.count(anyelement) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
CREATE FUNCTION evil.format(text, name, name) RETURNS text LANGUAGE sql AS $$ SELECT 'x'::text $$;
CREATE FUNCTION evil.pg_relation_size(oid) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint';
CREATE FUNCTION evil.no(int8, int8) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION evil.no(oid, oid) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION evil.no(text, text) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE FUNCTION evil.no(int4, int4) RETURNS bool LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR evil.= (LEFTARG = int8, RIGHTARG = int8, FUNCTION = evil.no);
CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.no);
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.no);
CREATE OPERATOR evil.< (LEFTARG = int4, RIGHTARG = int4, FUNCTION = evil.no);
CREATE OPERATOR evil.> (LEFTARG = int4, RIGHTARG = int4, FUNCTION = evil.no);
CREATE OPERATOR evil.> (LEFTARG = int8, RIGHTARG = int8, FUNCTION = evil.no);
CREATE DOMAIN evil.int8 AS text;
CREATE DOMAIN evil.text AS int;
CREATE DOMAIN evil.regclass AS text;
"""
LIES = {
    "shadows the functions, operators and types by which is counted": Case(
        SHADOWS + "SET search_path = evil, pg_catalog, public;" + WRITES + "ALTER TABLE t ALTER b TYPE bigint",
        told=(*WRITTEN[:2], "public.t: rewritten"),
    ),
    "shadows them for all later sessions of its role": Case(
        SHADOWS
        + "ALTER ROLE CURRENT_USER SET search_path = evil, pg_catalog, public;"
        + WRITES
        + "ALTER TABLE t ADD CONSTRAINT small CHECK (b < 101) NOT VALID",
        told=(*WRITTEN[:2], "small: added, 100 rows break it"),
    ),
    "shadows the catalog by temporary tables": Case(
        "CREATE TEMP TABLE pg_class (oid oid, relname name); CREATE TEMP TABLE pg_locks (pid int);"
        "CREATE TEMP TABLE pg_stat_activity (pid int); CREATE TEMP VIEW pg_namespace AS SELECT 1 AS oid;" + WRITES,
        told=WRITTEN,
    ),
    "shadows the catalog by tables in public": Case(
        'CREATE TABLE public.pg_class (oid oid); CREATE TABLE public.pg_locks (pid int); CREATE TABLE "pg_catalog.pg_class" ();'
        "SET search_path = public, pg_catalog;" + WRITES,
        told=(*WRITTEN, "table public.pg_class: added"),
    ),
    "makes tables of the names that we use": Case(
        "CREATE TABLE rehearsal_old (k0 text, v0 text); CREATE FUNCTION rehearsal_differs(int, text) RETURNS bool LANGUAGE sql AS 'SELECT false';"
        "ALTER TABLE t ALTER b TYPE numeric USING b + 1",
        told=("public.t.b: 200 values changed",),
    ),
    "has the next sessions find nothing": Case(
        (
            set_for_database("search_path = nowhere"),
            "UPDATE public.t SET b = b + 1 WHERE id <= 50; DELETE FROM public.child WHERE id = 1",
        ),
        told=WRITTEN,
    ),
    "gives later sessions no time": Case(
        set_for_database("statement_timeout = 1")
        + set_for_database("lock_timeout = 1")
        + set_for_database("idle_session_timeout = 1")
        + WITHOUT_TIME_SINCE_17
        + WRITES
        + "ALTER TABLE t ADD CONSTRAINT small CHECK (b < 101) NOT VALID",
        told=(*WRITTEN[:2], "small: added, 100 rows break it"),
    ),
    "has an expectation asked without time": Case(
        set_for_database("statement_timeout = 1")
        + WRITES
        + "\n-- rehearsal: expect (SELECT count(*) FROM t, pg_sleep(0.05)) = 200\n",
        told=("expectation: fulfilled",),
    ),
    "lets later sessions only read": Case(
        set_for_database("default_transaction_read_only = on")
        + WRITES
        + "ALTER TABLE t ALTER a TYPE varchar(2) USING a::varchar(2)",
        told=(*WRITTEN[:2], "public.t.a: 143 values changed"),
    ),
    "has later sessions quote, count and compare in another way": Case(
        "".join(
            set_for_database(setting)
            for setting in (
                "quote_all_identifiers = on",
                "transform_null_equals = on",
                "DateStyle = \\'German\\'".replace("\\'", "''"),
                "bytea_output = escape",
                "row_security = off",
                "stats_fetch_consistency = snapshot",
                "client_min_messages = debug1",
                "plan_cache_mode = force_generic_plan",
                "work_mem = 64",
                "enable_seqscan = off",
                "client_encoding = ''LATIN1''",
                "exit_on_error = on",
                "standard_conforming_strings = off",
                "array_nulls = off",
                "default_transaction_isolation = serializable",
            )
        )
        + WRITES,
        told=WRITTEN,
        not_told=("table public.t: changed",),
    ),
    "has later sessions act as a role that may do nothing": Case(
        "CREATE ROLE nobody; GRANT nobody TO CURRENT_USER; ALTER ROLE CURRENT_USER SET role = nobody;"
        + WRITES
        + "ALTER TABLE t ADD CONSTRAINT small CHECK (b < 101) NOT VALID",
        told=(*WRITTEN[:2], "small: added, 100 rows break it"),
    ),
    "has later sessions load a library that is not there": Case(
        "ALTER ROLE CURRENT_USER SET local_preload_libraries = nothing;" + WRITES, told=WRITTEN
    ),
    "has the session of the migration after it load a library that is not there": Case(
        ("ALTER ROLE CURRENT_USER SET local_preload_libraries = nothing", WRITES),
        no_clone="2.sql",
    ),
    "takes from itself the right to read what it gives away": Case(
        WRITES
        + "CREATE ROLE other; GRANT other TO CURRENT_USER; GRANT CREATE ON SCHEMA public TO other; ALTER TABLE t OWNER TO other;"
        "REVOKE ALL ON t FROM PUBLIC; REVOKE other, pg_read_all_data FROM CURRENT_USER",
        no_clone="InsufficientPrivilege",
    ),
    "lets nobody connect any more": Case(
        WRITES + "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I ALLOW_CONNECTIONS false', current_database()); END $$", "22023"
    ),
    "lets no more sessions in": Case(
        WRITES + "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database()); END $$",
        no_clone="looked at",
    ),
    "renames its database": Case(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RENAME TO another', current_database()); END $$", "0A000"
    ),
    "forbids itself to connect": Case(
        WRITES + "DO $$ BEGIN EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC, postgres', current_database()); END $$",
        no_clone="looked at",
    ),
    "forbids itself to log in": Case(WRITES + "ALTER ROLE CURRENT_USER NOLOGIN", no_clone="looked at", denied_since_16=True),
    "takes all rights on its tables from itself": Case(
        WRITES
        + "REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC, CURRENT_USER; REVOKE ALL ON SCHEMA public FROM PUBLIC, CURRENT_USER, pg_database_owner",
        told=WRITTEN,
    ),
    "hides all rows behind a policy": Case(
        WRITES + "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY none ON t USING (false)",
        told=("public.t: 200 → 200 rows", *WRITTEN[:2]),
    ),
    "gives its tables to a role, and leaves that": Case(
        "CREATE ROLE other; GRANT other TO CURRENT_USER; GRANT CREATE ON SCHEMA public TO other; "
        + WRITES
        + "ALTER TABLE t OWNER TO other; ALTER TABLE child OWNER TO other; REVOKE other FROM CURRENT_USER",
        told=WRITTEN[:2],
    ),
    "forgets what was counted": Case(WRITES + "SELECT pg_stat_reset()", DENIED),
    "forgets what was counted of one table": Case(WRITES + "SELECT pg_stat_reset_single_table_counters('t'::regclass)", DENIED),
    "does not let be counted": Case("SET track_counts = off;" + WRITES, DENIED),
    "raises when its table is read": Case(when_counted("RAISE 'no';"), no_clone="looked at"),
    "sleeps when its table is read": Case(when_counted("PERFORM pg_sleep(60);"), no_clone="looked at", limit_s=1.5, count_s=1),
    "loops when its table is read, and catches what would stop it": Case(
        when_counted(LOOP), no_clone="looked at", limit_s=1.5, count_s=1
    ),
    "ends the session that reads its table": Case(
        when_counted("PERFORM pg_terminate_backend(pg_backend_pid());"), no_clone="looked at"
    ),
    "writes when its table is read": Case(when_counted("DELETE FROM public.child;"), no_clone="ReadOnlySqlTransaction"),
    "changes the settings of the session that reads its table": Case(
        when_counted(
            "PERFORM set_config('search_path', 'evil', false), set_config('statement_timeout', '1', false), set_config('row_security', 'off', false);"
        )
        + "DELETE FROM child WHERE id = 1",
        told=WRITTEN[:2],
    ),
    "locks tables when its table is read": Case(
        when_counted("LOCK TABLE public.child, pg_class IN ACCESS SHARE MODE;"), told=(T_UPDATED,)
    ),
    "tries to run a program when its table is read": Case(
        when_counted("COPY public.t TO PROGRAM 'cat > <FOLDER>/rows';"), no_clone="InsufficientPrivilege"
    ),
    "tries to run a program when its constraint is counted": Case(
        plpgsql("BEGIN IF current_setting('my.quiet', true) = 'yes' THEN RETURN x; END IF; PERFORM g(); RETURN x; END")
        + plpgsql("BEGIN COPY t TO '<FOLDER>/rows'; END", "g()", "void", "VOLATILE")
        + "SET my.quiet = 'yes'; ALTER TABLE t ADD CONSTRAINT c CHECK (f(b) < 101) NOT VALID",
        told=("c: added, None rows break it",),
    ),
    "sleeps when its constraint is counted": Case(
        plpgsql("BEGIN PERFORM pg_sleep(60); RETURN x; END") + "ALTER TABLE t ADD CONSTRAINT c CHECK (f(b) < 101) NOT VALID",
        told=("c: added, None rows break it",),
        count_s=1,
    ),
    "catches what would stop its constraint's count": Case(
        plpgsql(f"BEGIN {LOOP} END") + "ALTER TABLE t ADD CONSTRAINT c CHECK (f(b) < 101) NOT VALID",
        told=("c: added, None rows break it",),
        count_s=0.5,
    ),
    "changes values by a cast that lies": Case(
        "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE FUNCTION lie(mood) RETURNS text LANGUAGE sql AS $$ SELECT 'a1'::text $$;"
        "CREATE CAST (mood AS text) WITH FUNCTION lie(mood) AS IMPLICIT; ALTER TABLE t ALTER a TYPE mood USING 'bad'::mood",
        told=("public.t: rewritten",),
        not_told=("public.t.a: 0 values changed",),
    ),
    "undoes by a trigger what it reports": Case(
        plpgsql("BEGIN RETURN NULL; END", "undo()", "trigger", "")
        + "CREATE TRIGGER undo BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION undo(); UPDATE t SET b = 0; DELETE FROM child WHERE id = 1",
        told=("public.child: 10 → 9 rows",),
        not_told=("public.t: 0 inserted, 200 updated, 0 deleted",),
    ),
    "writes by a rule instead of what it says": Case(
        "CREATE RULE r AS ON UPDATE TO parent DO INSTEAD DELETE FROM child; UPDATE parent SET id = id",
        told=("public.child: 10 → 0 rows",),
    ),
    "uses savepoints of our names": Case(
        "SAVEPOINT rehearsal; SAVEPOINT rehearsal_look; ALTER TABLE child ADD c int; DELETE FROM child WHERE id = 2;"
        "ROLLBACK TO SAVEPOINT rehearsal_look; RELEASE SAVEPOINT rehearsal_look; ROLLBACK TO rehearsal; RELEASE SAVEPOINT rehearsal;"
        + WRITES,
        told=WRITTEN,
        not_told=("column public.child.c: added",),
    ),
    "commits and goes on": Case(
        "DELETE FROM child WHERE id = 1; COMMIT; BEGIN; DELETE FROM child WHERE id = 2; ROLLBACK; DELETE FROM child WHERE id = 3",
        told=("public.child: 10 → 8 rows",),
    ),
    "prepares its transaction for later": Case(WRITES + "PREPARE TRANSACTION 'later'", "55000"),
    "aborts in the middle": Case("DELETE FROM child; ABORT; DELETE FROM child WHERE id = 1", told=("public.child: 10 → 9 rows",)),
    "ends all other sessions": Case(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database();"
        + WRITES,
        told=(*WRITTEN[:2], "locks: unseen"),
    ),
    "ends all other sessions, by a function that hides it": Case(
        "DO $$ BEGIN EXECUTE 'SELECT pg_term' || 'inate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()'; END $$;"
        + WRITES,
        DENIED,
    ),
    "ends its own session": Case(
        WRITES + "SELECT pg_terminate_backend(pg_backend_pid())", "terminating connection due to administrator command"
    ),
    "drops all that it owns": Case(
        "DROP OWNED BY CURRENT_USER CASCADE", told=("table public.t: dropped", "public.t: 200 → None rows")
    ),
    "drops the schema with all that is in it": Case(
        "DROP SCHEMA public CASCADE; CREATE SCHEMA public", told=("public.t: 200 → None rows",)
    ),
    "gives away all that it owns": Case(
        "CREATE ROLE other; GRANT other TO CURRENT_USER; REASSIGN OWNED BY CURRENT_USER TO other; REVOKE other FROM CURRENT_USER",
        told=(),
    ),
    "swaps its table for a copy of the same name": Case(
        "ALTER TABLE child RENAME TO was; CREATE TABLE child AS SELECT * FROM was WHERE id > 5; DROP TABLE was",
        told=("public.child: None → 5 rows", "public.child: 10 → None rows"),
    ),
    "says that our disk is full": Case(
        "DO $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file: No space left on device'; END $$",
        "53100",
    ),
    "says that our memory is full": Case(
        "DO $$ BEGIN RAISE SQLSTATE '53200' USING MESSAGE = 'out of memory'; END $$",
        "53200",
    ),
    "says in its way back that our disk is full": Case(
        "CREATE TABLE n ()",
        down="DO $$ BEGIN RAISE disk_full USING MESSAGE = 'no'; END $$",
        told=("way back: failed",),
    ),
    "says that we have stopped it": Case(
        "DO $$ BEGIN RAISE SQLSTATE '57014' USING MESSAGE = 'stopped: it took longer than 0.3 s, the limit set for it'; END $$",
        "57014",
    ),
    "says that the connection is lost": Case("DO $$ BEGIN RAISE SQLSTATE '08006'; END $$", "08006"),
    "says that the server shuts down": Case("DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$", "57P01"),
    "says that a constraint is broken which is not": Case(
        "DO $$ BEGIN RAISE unique_violation USING SCHEMA = 'public', TABLE = 't', CONSTRAINT = 't_pkey'; END $$",
        "23505",
        not_told=("t_pkey: refused, 200 rows break it",),
    ),
    "talks in an encoding without a name here": Case(
        "SET client_encoding = 'SQL_ASCII'; ALTER TABLE t ALTER b TYPE bigint;" + WRITES,
        told=(*WRITTEN[:2], "public.t: rewritten"),
    ),
    "talks in an encoding that few know": Case("SET client_encoding = 'EUC_TW';" + WRITES, no_clone="EUC_TW"),
    "raises an error in another encoding": Case("SET client_encoding = 'LATIN1'; DO $$ BEGIN RAISE 'é'; END $$", "P0001"),
    "lies in its way back by the settings of later sessions": Case(
        set_for_database("search_path = nowhere")
        + set_for_database("quote_all_identifiers = on")
        + "ALTER TABLE t ADD c int DEFAULT 1",
        down="ALTER TABLE public.t DROP c; DELETE FROM public.child WHERE id <= 3",
        told=("way back: 3 rows lost",),
    ),
    "uses settings of our names": Case("SET rehearsal.look = 'x'; SET migration_rehearsal.done = 'yes';" + WRITES, told=WRITTEN),
    "holds advisory locks": Case("SELECT pg_advisory_lock(n) FROM generate_series(0, 500) AS n;" + WRITES, told=WRITTEN),
}

# ── Exhaustion ───────────────────────────────────────────────────────────────────────────────────────────────────────────

STOPPED = "stopped: it took longer than 0.5 s"
FULL = "are left on the disk"


def in_a_loop(body: str) -> str:
    """A DO block that never ends."""
    return f"DO $$ BEGIN LOOP {body} END LOOP; END $$"


EXHAUSTION = {
    "sends rows by a COPY that does not look like one": Case(
        r"SET standard_conforming_strings = off; SELECT 'a\''; COPY t TO STDOUT; --'", told=("public.t: AccessShareLock",)
    ),
    "waits for rows by a COPY that does not look like one": Case(
        r"SET standard_conforming_strings = off; SELECT 'a\''; COPY t FROM STDIN; --'", "COPY"
    ),
    "loops for ever": Case(in_a_loop("NULL;"), STOPPED, limit_s=0.5),
    "loops for ever in SQL": Case(
        "WITH RECURSIVE r AS (SELECT 1 UNION ALL SELECT 1 FROM r) SELECT count(*) FROM r", STOPPED, limit_s=0.5
    ),
    "sleeps": Case("SELECT pg_sleep(3600)", STOPPED, limit_s=0.5),
    "sleeps without a limit of its own": Case("SET statement_timeout = 0; SELECT pg_sleep(3600)", STOPPED, limit_s=0.5),
    "sleeps a little, again and again": Case("SELECT pg_sleep(0.1);" * 100, "stopped: it took longer than 0.5 s", limit_s=0.5),
    "joins everything with everything": Case(
        "SELECT count(*) FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b WHERE a < b", STOPPED, limit_s=0.5
    ),
    "catches what would stop it": Case(f"DO $$ BEGIN {LOOP} END $$", STOPPED, limit_s=0.5),
    "catches what would stop its way back": Case(
        "CREATE TABLE n ()",
        down=f"DO $$ BEGIN {LOOP} END $$",
        told=("way back: failed", "way back: stopped: it took longer than 1.5 s, the limit set for it"),
        limit_s=1.5,
    ),
    "catches what would stop its second run": Case(
        "VACUUM child; CREATE TABLE IF NOT EXISTS n (); "
        f"DO $$ BEGIN IF EXISTS (SELECT FROM pg_stat_activity WHERE false) OR (SELECT count(*) FROM child WHERE id = 1) = 0 THEN {LOOP} END IF; DELETE FROM child WHERE id = 1; END $$",
        told=("second run: failed", "public.child: 10 → 9 rows"),
        limit_s=1.5,
    ),
    "catches what would stop its expectation": Case(
        plpgsql(f"BEGIN {LOOP} END") + "\n-- rehearsal: expect f(1) = 1",
        told=("expectation: terminating connection due to administrator command",),
        count_s=0.3,
    ),
    "raises in its expectation that time is over": Case(
        plpgsql("BEGIN RAISE query_canceled USING MESSAGE = 'no'; END") + "\n-- rehearsal: expect f(1) = 1",
        told=("expectation: …",),
    ),
    "expects what takes for ever": Case(
        "SELECT 1; -- rehearsal: x\n-- rehearsal: expect pg_sleep(3600) IS NULL",
        told=("expectation: it took longer than 0.3 s, which is what was left for it",),
        count_s=0.3,
    ),
    "expects more rows than there can be": Case(
        "SELECT 1", expect="SELECT generate_series(1, 1000000000000)", told=("expectation: more than 100,000 rows",)
    ),
    "builds an index on what sleeps": Case(
        plpgsql("BEGIN PERFORM pg_sleep(60); RETURN x; END") + "CREATE INDEX i ON t (f(b))", STOPPED, limit_s=0.5
    ),
    "builds an index on what sleeps, concurrently": Case(
        (plpgsql("BEGIN PERFORM pg_sleep(60); RETURN x; END"), "CREATE INDEX CONCURRENTLY i ON t (f(b))"),
        "stopped: it took longer than 1.5 s",
        limit_s=1.5,
    ),
    "fills the disk with rows": Case(
        "CREATE TABLE n AS SELECT repeat(md5(i::text), 30) AS x FROM generate_series(1, 1000000000) AS i", FULL, room_mb=60
    ),
    "fills the disk with temporary files": Case(
        "SET work_mem = '64kB'; SELECT count(*) FROM (SELECT DISTINCT repeat(md5(i::text), 9) FROM generate_series(1, 1000000000) AS i) AS x",
        FULL,
        room_mb=60,
    ),
    "fills the disk with an index": Case(
        "CREATE TABLE n AS SELECT i FROM generate_series(1, 900000) AS i; CREATE INDEX ON n (repeat(md5(i::text), 20))",
        FULL,
        room_mb=60,
    ),
    "fills the disk a little at a time, and goes on": Case(
        in_a_loop(
            "BEGIN CREATE TABLE IF NOT EXISTS n (x text); INSERT INTO n SELECT repeat(md5(i::text), 30) FROM generate_series(1, 20000) AS i; EXCEPTION WHEN query_canceled THEN NULL; END;"
        ),
        FULL,
        room_mb=60,
    ),
    "makes a text of a gigabyte": Case("SELECT length(repeat('x', 1100000000))", "54000"),
    "makes texts until memory is full": Case(
        "SELECT length(string_agg(repeat('x', 100000000), '')) FROM generate_series(1, 20)", "54000"
    ),
    "calls itself for ever": Case(plpgsql("BEGIN RETURN f(x + 1); END") + "SELECT f(1)", "54001"),
    "nests parentheses": Case("SELECT " + "(" * 50_000 + "1" + ")" * 50_000, "42601"),
    "adds ten thousand numbers": Case("CREATE VIEW v AS SELECT " + "1+" * 4_000 + "1 AS x", told=("view public.v: added",)),
    "nests arrays": Case("SELECT '" + "{" * 100_000 + "'::int[]", "54000"),
    "nests JSON": Case("SELECT '" + "[" * 100_000 + "'::json", "54001"),
    "nests XML": Case("SELECT xmlparse(document '" + "<a>" * 100_000 + "')", "XML"),
    "locks more than there is room for": Case(
        "DO $$ BEGIN FOR i IN 1..1000000 LOOP PERFORM pg_advisory_xact_lock(i); END LOOP; END $$", "53200"
    ),
    "makes five hundred tables": Case(
        "DO $$ BEGIN FOR i IN 1..500 LOOP EXECUTE format('CREATE TABLE n%s ()', i); END LOOP; END $$",
        told=("table public.n500: added",),
    ),
    "makes twenty thousand subtransactions": Case(
        "DO $$ BEGIN FOR i IN 1..20000 LOOP BEGIN INSERT INTO parent VALUES (100 + i); EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$",
        told=("public.parent: 10 → 20010 rows",),
    ),
    "makes a table of 1,600 columns": Case(
        "DO $$ BEGIN EXECUTE 'CREATE TABLE n (' || (SELECT string_agg(format('c%s int', i), ', ') FROM generate_series(1, 1600) AS i) || ')'; END $$;"
        "INSERT INTO n (c1) SELECT 1 FROM generate_series(1, 10)",
        told=("public.n: None → 10 rows",),
    ),
    "has a regular expression explode": Case("SELECT repeat('a', 10000) ~ '((a{1,250}){1,250}){1,250}$'", "2201B"),
    "keeps cursors open after its transaction": Case(
        "DECLARE c CURSOR WITH HOLD FOR SELECT * FROM generate_series(1, 100000);" + WRITES, told=WRITTEN
    ),
    "exhausts a sequence": Case("CREATE SEQUENCE s MAXVALUE 2; SELECT nextval('s') FROM generate_series(1, 3)", "2200H"),
    "brings a key to its end": Case(
        "CREATE TABLE n (id serial PRIMARY KEY); SELECT setval('n_id_seq', 2147483647)", told=("public.n.id: up to 2147483647",)
    ),
    "locks everything": Case(
        "DO $$ DECLARE r regclass; BEGIN FOR r IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP EXECUTE format('LOCK TABLE %s', r); END LOOP; END $$",
        told=("public.t: AccessExclusiveLock", "public.child: AccessExclusiveLock"),
    ),
    "locks the catalog": Case("LOCK TABLE pg_catalog.pg_class IN ACCESS EXCLUSIVE MODE", DENIED),
    "raises a notice for each of 30,000 rows": Case(
        "DO $$ BEGIN FOR i IN 1..30000 LOOP RAISE NOTICE 'row %', i; END LOOP; END $$;" + WRITES, told=WRITTEN
    ),
    "sends itself 50,000 notifications": Case(
        "LISTEN x; SELECT count(pg_notify('x', 'payload ' || n)) FROM generate_series(1, 50000) AS n;" + WRITES, told=WRITTEN
    ),
    "raises an error of 6 MB": Case("DO $$ BEGIN RAISE '%', repeat('ab ', 2000000); END $$", "P0001"),
    "writes a comment of 10 MB": Case(
        "DO $$ BEGIN EXECUTE format('COMMENT ON TABLE t IS %L', repeat('x', 10000000)); END $$",
        told=("comment table public.t: added",),
    ),
    "names things as long as can be": Case(
        f'CREATE TABLE "{"é" * 31}" ("{"`" * 63}" int); INSERT INTO "{"é" * 31}" VALUES (1)',
        told=(f'public."{"é" * 31}": None → 1 rows',),
    ),
}

CASES = {**ESCAPES, **TRAPS, **LIES, **EXHAUSTION}
