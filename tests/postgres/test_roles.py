"""Whom migrations run as, what that role may do, and who else is kept out."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import sql

from bot.applying import Limits
from bot.clones.embedded import EmbeddedProvider
from bot.extensions import HARMLESS
from bot.model import Migration, Outcome
from bot.postgres.embedded import MAKER, SUPERUSER, Server
from bot.postgres.roles import may_make_seeds, settle
from bot.progress import Progress
from bot.run import rehearse_all
from bot.settings import Settings
from tests.fix_postgres import Stage

MakeSeed = Callable[[str], str]


@pytest.fixture(scope="module")
def make_seed(server: Server) -> Iterator[MakeSeed]:
    """A function that makes a database as a seed is made, and gives its name."""
    made: list[str] = []

    def make(text: str) -> str:
        may_make_seeds(server)
        made.append(f"roles{len(made)}")
        with server.connect("postgres") as admin:
            admin.execute("REVOKE roles_owner, roles_reader FROM postgres")  # what settling another seed here has left
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(made[-1]), sql.Identifier(MAKER)))
        with server.connect(made[-1], user=MAKER) as connection:
            connection.execute(text.encode())
        return made[-1]

    with server.connect("postgres") as admin:
        admin.execute("CREATE ROLE roles_owner; CREATE ROLE roles_reader")
    yield make
    with server.connect("postgres") as admin:
        for name in made:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


MOST = """
CREATE TABLE a (); CREATE TABLE b (); CREATE TABLE e (); CREATE TABLE c ();
ALTER TABLE a OWNER TO roles_owner; ALTER TABLE b OWNER TO roles_owner; ALTER TABLE e OWNER TO roles_owner;
"""
# a seed, what the input `role` says, and the role
WHO = {
    "nothing in the seed": ("", None, "postgres"),
    "all made by who makes the seed": ("CREATE TABLE a ()", None, "postgres"),
    "who owns most": (MOST, None, "roles_owner"),
    "tables of an extension don't count": ("CREATE EXTENSION pg_stat_statements; CREATE TABLE a ();", None, "postgres"),
    "who was named": (MOST, "roles_reader", "roles_reader"),
    "a role that there is not": (MOST, "Deploy er", "Deploy er"),
}


@pytest.mark.parametrize(("text", "wanted", "role"), WHO.values(), ids=WHO)
def test_who_migrations_run_as(server: Server, make_seed: MakeSeed, text: str, wanted: str | None, role: str) -> None:
    assert settle(server, make_seed(text), wanted) == role


def test_the_role_may_do_what_the_owners_of_the_clone_and_all_in_it_may(server: Server, make_seed: MakeSeed) -> None:
    seed = make_seed(MOST + "CREATE SCHEMA closed; CREATE TABLE closed.d (id int); INSERT INTO closed.d VALUES (1);")
    provider = EmbeddedProvider(server, seed, role=settle(server, seed))

    with provider.clone() as clone, provider.connect(clone) as connection:
        connection.execute("ALTER TABLE c ADD id int; CREATE TABLE d (); CREATE SCHEMA s; CREATE EXTENSION citext")
        connection.execute("ALTER TABLE d OWNER TO postgres; GRANT SELECT ON a TO roles_reader; SET ROLE postgres; RESET ROLE")
        connection.execute("UPDATE closed.d SET id = 2; DROP SCHEMA closed CASCADE; SET session_replication_role = replica")
        connection.execute("CREATE ROLE one_more; DROP ROLE one_more")
        connection.execute(
            "DO $$ BEGIN EXECUTE pg_catalog.format('ALTER DATABASE %I SET work_mem = 5000', current_database()); END $$"
        )
        who = connection.execute("SELECT current_user::text").fetchone()

    assert who == ("roles_owner",)


BACKSTOPS = ("statement_timeout", "idle_in_transaction_session_timeout")
NOBODY_IS = "SELECT rolname::text FROM pg_roles WHERE rolsuper AND rolname !~ '^pg_' AND rolname <> 'boss' ORDER BY 1"


def test_nobody_is_a_superuser_any_more(server: Server, make_seed: MakeSeed) -> None:
    settle(server, make_seed("CREATE TABLE a ()"))

    with server.connect("postgres") as admin:
        assert [row[0] for row in admin.execute(NOBODY_IS)] == [SUPERUSER]


def test_one_who_asks_for_it_is_a_superuser(server: Server, make_seed: MakeSeed) -> None:
    seed = make_seed("CREATE TABLE a ()")
    provider = EmbeddedProvider(server, seed, role=settle(server, seed, "boss", superuser=True), superuser=True)

    with provider.clone() as clone, provider.connect(clone) as connection:
        connection.execute("CREATE TABLE x AS SELECT pg_read_file('PG_VERSION')")


def test_a_restored_seed_that_revokes_everything_can_be_read(stage: Stage) -> None:
    """An owner may take rights from itself; rows are counted all the same, and whatever a policy hides is."""
    seed = "CREATE TABLE t (id int); INSERT INTO t SELECT generate_series(1, 9); CREATE POLICY none ON t USING (false);"
    hidden = "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; REVOKE ALL ON t FROM postgres;"

    (rehearsal,) = stage.rehearse(seed, "DELETE FROM t WHERE id = 1;" + hidden)

    assert [(t.rows_before, t.rows_after) for t in rehearsal.tables] == [(9, 8)]


def test_a_role_is_dropped_that_only_the_seed_still_knows(stage: Stage) -> None:
    """The seed and the clones are databases of one server, and roles belong to all of them."""
    seed = (
        "CREATE ROLE roles_old; CREATE TABLE t (id int); GRANT SELECT ON t TO roles_old; CREATE SCHEMA o AUTHORIZATION roles_old;"
    )
    texts = (
        "ALTER TABLE t ADD a int;",
        "REVOKE ALL ON t FROM roles_old; DROP SCHEMA o; DROP ROLE roles_old;",
        "ALTER TABLE t ADD b int;",
    )
    migrations = tuple(
        Migration(f"{n}.up.sql", str(n), "golang-migrate", text, "ALTER TABLE t DROP a;" if n == 1 else None, f"{n}.down.sql")
        for n, text in enumerate(texts, 1)
    )

    rehearsals = stage.rehearse_migrations(seed, migrations)

    assert [rehearsal.error for rehearsal in rehearsals] == [None, None, None]
    assert rehearsals[0].down is not None
    assert rehearsals[0].down.restored


def test_who_made_the_seed_still_reads_what_its_views_read(server: Server, make_seed: MakeSeed) -> None:
    seed = make_seed(MOST + "CREATE MATERIALIZED VIEW m AS TABLE a; CREATE VIEW v AS SELECT FROM a;")
    provider = EmbeddedProvider(server, seed, role=settle(server, seed))

    with provider.clone() as clone, provider.connect(clone) as connection:
        connection.execute("REFRESH MATERIALIZED VIEW m; SELECT FROM v")


def test_it_grants_what_hosted_servers_let_their_master_grant(server: Server, make_seed: MakeSeed) -> None:
    seed = make_seed("CREATE TABLE a ()")
    provider = EmbeddedProvider(server, seed, role=settle(server, seed))

    with provider.clone() as clone, provider.connect(clone) as connection:
        connection.execute("CREATE ROLE roles_new IN ROLE pg_signal_backend; GRANT pg_monitor, pg_read_all_data TO roles_new")
        connection.execute("DROP ROLE roles_new; CHECKPOINT" if server.binaries.major > 15 else "DROP ROLE roles_new")


# ── Kept out ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_superuser_needs_a_password(server: Server) -> None:
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(host=str(server.folder), user=SUPERUSER, dbname="postgres")


def test_the_server_has_no_network(server: Server, make_seed: MakeSeed) -> None:
    if server.has_network:
        pytest.skip("this platform does not let us take a process's network away")
    with socket.create_server(("127.0.0.1", 0)) as listener, server.connect(make_seed("CREATE EXTENSION dblink")) as admin:
        port = listener.getsockname()[1]

        with pytest.raises(psycopg.Error, match="could not establish connection"):
            admin.execute(f"SELECT dblink_connect('x', 'host=127.0.0.1 port={port} password=x')")
        listener.settimeout(0)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_functions_that_an_extension_keeps_from_the_public_are_kept_from_the_role(server: Server, make_seed: MakeSeed) -> None:
    """dblink_connect_u takes no password, and so would let anybody in whom the server trusts."""
    seed = make_seed("CREATE EXTENSION dblink")
    provider = EmbeddedProvider(server, seed, role=settle(server, seed))

    with provider.clone() as clone, provider.connect(clone) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT dblink_connect_u('x', 'dbname=postgres')")
        with pytest.raises(psycopg.Error, match="password"):
            connection.execute(f"SELECT dblink_connect('y', 'host={server.folder} user={SUPERUSER} dbname=postgres')")


# ── Rights that are lent ─────────────────────────────────────────────────────────────────────────────────────────────────

NEEDS_ONE = "CREATE EXTENSION earthdistance CASCADE;"
SEED = """
CREATE SCHEMA other;
CREATE FUNCTION other.old() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE TABLE t (id int);
"""
# what stands before CREATE EXTENSION in the migration -> whether the extension may be created then
LENT = {
    "nothing": ("", True),
    "tables and rows": ("CREATE TABLE n (id serial PRIMARY KEY, a text); INSERT INTO n (a) VALUES ('x');", True),
    "another extension": ("CREATE EXTENSION citext;", True),
    "an enum": ("CREATE TYPE mood AS ENUM ('sad');", True),
    "a function": ("CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1';", False),
    "a temporary function": ("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1';", False),
    "a function that was replaced": ("CREATE OR REPLACE FUNCTION other.old() RETURNS int LANGUAGE sql AS 'SELECT 2';", False),
    "a function that was moved": ("ALTER FUNCTION other.old() SET SCHEMA public;", False),
    "a function that was renamed": ("ALTER FUNCTION other.old() RENAME TO new;", False),
    "an operator": ("CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);", False),
    "a domain": ("CREATE DOMAIN d AS int CHECK (value > 0);", False),
    "another role": ("SET ROLE roles_owner;", False),
}


@pytest.mark.parametrize(("before", "created"), LENT.values(), ids=LENT)
@pytest.mark.usefixtures("make_seed")  # and its roles
def test_an_extension_that_is_not_trusted(stage: Stage, before: str, created: bool) -> None:
    (rehearsal,) = stage.rehearse(SEED, before + NEEDS_ONE)

    assert (rehearsal.outcome is Outcome.APPLIED) is created, rehearsal.error
    assert created or (rehearsal.error and rehearsal.error.sqlstate == "42501")
    assert ("earthdistance" in [change.name for change in rehearsal.schema if change.kind == "extension"]) is created
    with stage.server.connect("postgres") as admin:
        assert [row[0] for row in admin.execute(NOBODY_IS)] == [SUPERUSER]


def test_what_an_earlier_migration_has_laid_counts_too(stage: Stage) -> None:
    _first, second = stage.rehearse(SEED, LENT["a function"][0], NEEDS_ONE)

    assert second.error is not None
    assert second.error.sqlstate == "42501"


def test_nothing_is_lent_where_there_are_event_triggers(stage: Stage) -> None:
    seed = """
    CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
    CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();
    """

    (rehearsal,) = stage.rehearse(seed, NEEDS_ONE)

    assert rehearsal.error is not None
    assert rehearsal.error.sqlstate == "42501"


def test_its_way_back_and_up_again(stage: Stage) -> None:
    down = "DROP EXTENSION earthdistance; DROP EXTENSION cube;"
    migration = Migration("1.up.sql", "1", "golang-migrate", NEEDS_ONE, down, "1.down.sql")

    (rehearsal,) = stage.rehearse_migrations(SEED, (migration,))

    assert rehearsal.down is not None
    assert (rehearsal.down.error, rehearsal.down.restored, rehearsal.down.again) == (None, True, Outcome.APPLIED)


def test_an_extension_that_is_on_no_list(stage: Stage) -> None:
    (rehearsal,) = stage.rehearse(SEED, "CREATE EXTENSION pageinspect")

    assert rehearsal.error is not None
    assert rehearsal.error.sqlstate == "42501"


def test_the_team_may_add_to_the_list(server: Server, make_seed: MakeSeed) -> None:
    seed = make_seed("")
    provider = EmbeddedProvider(server, seed, role=settle(server, seed), may_create=HARMLESS | {"pageinspect"})

    with provider.clone() as clone:
        migration = Migration("1.sql", "1", "plain", "CREATE EXTENSION pageinspect")
        (rehearsal,) = rehearse_all((migration,), provider, clone, Settings(), Progress(quiet=True))

    assert rehearsal.outcome is Outcome.APPLIED


def test_the_servers_own_limits_stand_behind_ours(server: Server, make_seed: MakeSeed) -> None:
    """And are not told as if they were the migration's."""
    seed = make_seed("CREATE TABLE a ()")
    provider = EmbeddedProvider(server, seed, role=settle(server, seed), backstop_ms=Limits(60).backstop_ms)

    with provider.clone() as clone:
        with provider.connect(clone) as connection:
            shown = [connection.execute(f"SHOW {name}".encode()).fetchone() for name in BACKSTOPS]
        migration = Migration("1.sql", "1", "plain", "ALTER TABLE a ADD b int")
        (rehearsal,) = rehearse_all((migration,), provider, clone, Settings(time_limit_s=60), Progress(quiet=True))

    assert shown == [("2min",), ("2min",)]
    assert [s.statement_timeout_ms for s in rehearsal.statements] == [0]
