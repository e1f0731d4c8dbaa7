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


def plpgsql(body: str, name: str = "f(x int)", returns: str = "int", more: str = "IMMUTABLE") -> str:
    """A function."""
    return f"CREATE FUNCTION {name} RETURNS {returns} LANGUAGE plpgsql {more} AS $f$ {body} $f$;"


def when_counted(body: str) -> str:
    """Makes a function that behaves while the migration runs, and does `body` when a table is read for the first time afterwards:
    PostgreSQL computes what is constant in an index's expression whenever it plans a SELECT.
    """
    quiet = "current_setting('my.quiet', true) = 'yes'"
    function = plpgsql(f"BEGIN IF {quiet} THEN RETURN x; END IF; {body} RETURN x; END")
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
    "calls the C library": Case("CREATE FUNCTION s(text) RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'system'", DENIED),
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
        plpgsql("BEGIN END", "e()", "event_trigger", "") + "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION e()", DENIED
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
        "CREATE OR REPLACE FUNCTION pg_catalog.pg_relation_size(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT 0::bigint'", DENIED
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
    "creates an untrusted extension that is harmless": Case("CREATE EXTENSION cube; CREATE EXTENSION earthdistance", told=("extension earthdistance: added",)),
    "plants an operator for an extension's script": Case(
        _SURE + "CREATE FUNCTION evil(cube, int) RETURNS cube LANGUAGE sql AS 'SELECT $1'; CREATE OPERATOR public./ (LEFTARG = cube, RIGHTARG = int, FUNCTION = evil); CREATE EXTENSION earthdistance",
        DENIED,
    ),
    "plants a function in its temporary schema": Case(
        _SURE + "CREATE FUNCTION pg_temp.cube_dim(cube) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE EXTENSION earthdistance", DENIED
    ),
    "plants a domain": Case(_SURE + "CREATE DOMAIN public.earth AS cube; CREATE EXTENSION earthdistance", DENIED),
    "plants a function in the migration before": Case(
        (_SURE + "CREATE FUNCTION public.cube_distance(cube, text) RETURNS float8 LANGUAGE sql AS 'SELECT 1::float8'", "CREATE EXTENSION earthdistance"),
        DENIED,
    ),
    "makes a function a member of a trusted extension, so that it looks like one": Case(
        "CREATE EXTENSION cube; CREATE FUNCTION public.cube_distance(cube, text) RETURNS float8 LANGUAGE sql AS 'SELECT 1::float8';"
        "ALTER EXTENSION cube ADD FUNCTION public.cube_distance(cube, text); CREATE EXTENSION earthdistance",
        DENIED,
    ),
    "replaces a member of an extension that it has created": Case(
        "CREATE EXTENSION cube; CREATE EXTENSION earthdistance;"
        "CREATE OR REPLACE FUNCTION public.earth() RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT 1::float8'; CREATE EXTENSION xml2",
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
        DENIED,
    ),
    "puts a second statement behind the one that is lent rights, by another encoding": Case(
        (
            "CREATE EXTENSION dblink",
            "SET client_encoding = 'SJIS';\n"
            "CREATE EXTENSION IF NOT EXISTS dblink VERSION E'\N{HIRAGANA LETTER SMALL A}\N{LATIN SMALL LETTER O WITH STROKE}\\'; COPY t TO PROGRAM $q$cat > <FOLDER>/rows$q$; --'",
        ),
        "",
    ),
    "creates an extension that is not harmless along with one that is": Case(
        "CREATE EXTENSION earthdistance CASCADE; CREATE EXTENSION file_fdw", DENIED
    ),
    "hides the name of the extension behind a comment": Case("CREATE EXTENSION /* dblink */ file_fdw -- dblink", DENIED),
    "keeps the rights that were lent": Case("CREATE EXTENSION dblink; COPY t TO '<FOLDER>/rows'", DENIED),
    "keeps the rights that were lent, by changing its own role first": Case(
        "ALTER ROLE CURRENT_USER CONNECTION LIMIT 50; CREATE EXTENSION dblink; COPY t TO '<FOLDER>/rows'", DENIED
    ),
    "keeps the rights that were lent for another migration": Case(("CREATE EXTENSION dblink", "COPY t TO '<FOLDER>/rows'"), DENIED),
}

CASES = {**ESCAPES, **TRAPS}
