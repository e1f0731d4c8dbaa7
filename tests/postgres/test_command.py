"""Command mode: a tool of somebody else's runs its own migrations, and is watched as closely as what we send ourselves."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.applying import Limits
from bot.clones import Clone
from bot.clones.embedded import EmbeddedProvider
from bot.commanding import run_command
from bot.errors import UsageError
from bot.layouts import COMMAND
from bot.model import Migration, Outcome, Rehearsal, Transaction
from bot.postgres.catalog import take_snapshot
from bot.postgres.sampling import LockReader, relations_now
from bot.rules import Policy, judge
from bot.settings import Settings
from tests.fix_cli import Run
from tests.fix_postgres import Stage

EXAMPLES = Path(__file__).parents[2] / "examples"
SEED = """
CREATE TABLE parent (id int PRIMARY KEY);
INSERT INTO parent SELECT generate_series(1, 50);
CREATE TABLE t (id int PRIMARY KEY, a int, b text, parent int);
INSERT INTO t SELECT n, nullif(n % 10, 0), 'b' || n, n % 60 FROM generate_series(1, 1000) AS n;
"""
TOOL = """
import os, sys, psycopg
connection = psycopg.connect(os.environ["DATABASE_URL"], autocommit={autocommit})
execute = connection.execute
{body}
connection.close()
"""


@pytest.fixture
def tool(stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rehearsal]:
    """Rehearses a migration tool of a few lines of Python, which has `connection` and `execute`."""
    monkeypatch.chdir(tmp_path)

    def rehearse(
        body: str, *, autocommit: bool = False, settings: Settings | None = None, seed: str = SEED, down: str | None = None
    ) -> Rehearsal:
        (tmp_path / "tool.py").write_text(TOOL.format(autocommit=autocommit, body=textwrap.dedent(body)))
        migration = Migration("tool", "tool", COMMAND.name, f"exec {sys.executable} tool.py", down)
        (rehearsal,) = stage.rehearse_migrations(seed, (migration,), settings)
        return rehearsal

    return rehearse


# ── As closely as a file ─────────────────────────────────────────────────────────────────────────────────────────────────

AS_CLOSELY = {
    "a column without a default": "ALTER TABLE t ADD c int",
    "a rewrite": "ALTER TABLE t ALTER a TYPE bigint",
    "a backfill": "ALTER TABLE t ADD c int; UPDATE t SET c = 1 WHERE id <= 10; ALTER TABLE t ALTER c SET DEFAULT 0",
    "an index": "CREATE INDEX i ON t (b)",
    "a foreign key that is not checked": "ALTER TABLE t ADD FOREIGN KEY (parent) REFERENCES parent NOT VALID",
    "rows that go": "DELETE FROM t WHERE id > 900; DROP TABLE parent",
    "all rows": "TRUNCATE t",
    "a table of its own": "CREATE TABLE n AS SELECT * FROM t; ALTER TABLE n ADD PRIMARY KEY (id)",
    "a scan under a lock": "ALTER TABLE t ALTER b SET NOT NULL",
    "a lock that is let go": "SAVEPOINT s; LOCK TABLE t; ROLLBACK TO SAVEPOINT s; UPDATE parent SET id = id",
}


@pytest.mark.parametrize("sql", AS_CLOSELY.values(), ids=AS_CLOSELY.keys())
def test_a_command_is_seen_as_closely_as_a_file(stage: Stage, tool: Callable[..., Rehearsal], sql: str) -> None:
    (file,) = stage.rehearse(SEED, sql)

    command = tool("\n".join(f"execute({statement.strip()!r})" for statement in sql.split(";")) + "\nconnection.commit()")

    assert command.outcome is file.outcome is Outcome.APPLIED
    assert command.transaction is file.transaction is Transaction.SINGLE
    for name in ("tables", "columns", "constraints", "indexes", "schema", "untouched_tables"):
        assert [_without_lines(x) for x in _listed(getattr(command, name))] == [
            _without_lines(x) for x in _listed(getattr(file, name))
        ], name
    seen = [_seen(command, line) for line in range(len(command.statements))]
    expected = [_seen(file, n) for n in range(len(file.statements))]
    unsaid = ("BEGIN", "COMMIT", "SAVEPOINT s")
    assert [one for one in seen if one[0] not in unsaid] == [one for one in expected if one[0] not in unsaid]
    assert {(k.relation, k.mode, k.blocks, k.rows) for k in command.locks} == {
        (k.relation, k.mode, k.blocks, k.rows) for k in file.locks
    }


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, tuple) else [value]


def _without_lines(value: object) -> dict[str, object]:
    fields = getattr(value, "__dataclass_fields__", {})
    return {name: getattr(value, name) for name in fields if name not in ("line", "bytes_after")} or {"": value}


def _seen(rehearsal: Rehearsal, number: int) -> tuple[object, ...]:
    s = rehearsal.statements[number]
    return s.sql, s.rows_affected, s.locks, s.rewrites, s.emptied, s.scans, s.indexes, s.lock_timeout_ms


def test_a_timeout_of_ours_is_none_of_the_tools(stage: Stage, tmp_path: Path) -> None:
    """The clone's sessions have one, in case that nobody ends them."""
    limits = Limits()
    provider = EmbeddedProvider(stage.server, stage._seed(SEED), backstop_ms=limits.backstop_ms)
    (tmp_path / "tool.py").write_text(TOOL.format(autocommit=False, body="execute('ALTER TABLE t ADD c int')"))
    with provider.clone() as clone, provider.connect(clone) as own, provider.observe(clone) as observer:
        done = run_command(f"exec {sys.executable} tool.py", tmp_path, own, observer, limits, take_snapshot(observer))

    assert done.run is not None
    assert [s.statement_timeout_ms for s in done.run.results if s.sql.startswith("ALTER")] == [0]


def test_locks_are_held_from_their_statement_to_the_end_of_the_transaction(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("execute('ALTER TABLE t ADD c int'); execute('SELECT pg_sleep(0.2)'); connection.commit()")

    (lock,) = seen.locks
    assert (lock.relation, lock.mode, lock.blocks, lock.rows) == ("public.t", "AccessExclusiveLock", ("reads", "writes"), 1000)
    assert lock.held_ms >= 200


def test_outside_a_transaction_locks_are_seen_by_looking_often(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("execute('CREATE INDEX CONCURRENTLY i ON t (b)'); execute('VACUUM FULL t')", autocommit=True)

    assert seen.transaction is Transaction.NONE
    assert [i.name for i in seen.indexes] == ["public.i"]
    assert [s.rewrites for s in seen.statements] == [(), ("public.t",)]


# ── Nothing in between ───────────────────────────────────────────────────────────────────────────────────────────────────

SAID = {
    "parameters": "print(execute('SELECT %s::int + 1, %s::text', (41, 'x')).fetchall())",
    "binary": "print(connection.cursor(binary=True).execute('SELECT 7::int8, now() > now()').fetchall())",
    "a statement that is prepared": "for n in range(8): print(execute('SELECT %s::int', (n,), prepare=True).fetchone())",
    "many at once": """
        cursor = connection.cursor()
        cursor.executemany('INSERT INTO parent VALUES (%s)', [(n,) for n in range(1000, 3000)])
        print(cursor.rowcount, execute('SELECT count(*) FROM parent').fetchone())""",
    "a pipeline": """
        with connection.pipeline():
            cursors = [execute('SELECT %s::int', (n,)) for n in range(50)]
        print([cursor.fetchone() for cursor in cursors])""",
    "a pipeline that breaks": """
        try:
            with connection.pipeline():
                execute('SELECT 1'); execute('SELECT 1 / 0'); execute('SELECT 2')
        except psycopg.Error as error:
            print(error.sqlstate)
        connection.rollback(); print(execute('SELECT 3').fetchone())""",
    "several statements in one": """
        cursor = execute('SELECT 1; SELECT 2; UPDATE t SET a = 1 WHERE id < 4')
        print(cursor.fetchall()); cursor.nextset(); print(cursor.fetchall()); cursor.nextset(); print(cursor.rowcount)""",
    "rows that go in": """
        with connection.cursor().copy('COPY parent FROM STDIN') as copy:
            for n in range(100, 20000): copy.write_row((n,))
        print(execute('SELECT count(*), sum(id) FROM parent').fetchone())""",
    "rows that go in and are wrong": """
        try:
            with connection.cursor().copy('COPY parent FROM STDIN') as copy:
                copy.write('x\\n')
        except psycopg.Error as error:
            print(error.sqlstate, error.diag.message_primary)""",
    "rows that come out": """
        with connection.cursor().copy('COPY t TO STDOUT') as copy:
            print(sum(len(piece) for piece in copy))""",
    "a cursor on the server": """
        with connection.cursor('c') as cursor:
            cursor.itersize = 10
            print(sum(row[0] for row in cursor.execute('SELECT id FROM t')))""",
    "many rows": "print(len(execute('SELECT repeat(n::text, 100) FROM generate_series(1, 50000) n').fetchall()))",
    "a large value": "print(len(execute('SELECT %s::text', ('x' * 5_000_000,)).fetchone()[0]))",
    "remarks": """
        connection.add_notice_handler(lambda notice: print(notice.sqlstate, notice.message_primary))
        execute("DO $$ BEGIN RAISE NOTICE 'hello'; END $$")""",
    "notifications": """
        connection.autocommit = True
        execute('LISTEN c'); execute("NOTIFY c, 'p'")
        print([(n.channel, n.payload) for n in connection.notifies(timeout=5, stop_after=1)])""",
    "an error that is mended": """
        try:
            with connection.transaction(): execute('INSERT INTO parent VALUES (1)')
        except psycopg.IntegrityError as error:
            print(error.diag.constraint_name, error.diag.message_detail)
        print(execute('SELECT count(*) FROM parent').fetchone())""",
    "a syntax error": """
        try: execute('SELEC')
        except psycopg.Error as error: print(error)""",
    "two sessions": """
        with psycopg.connect(os.environ['DATABASE_URL']) as other:
            other.execute("SET application_name = 'other'"); execute('CREATE TABLE mine ()')
            print(other.execute('SELECT count(*) FROM t').fetchone()); other.execute('CREATE TABLE others ()')
        connection.commit(); print(execute("SELECT to_regclass('mine') IS NULL, to_regclass('others') IS NULL").fetchone())""",
    "a cancellation": """
        import threading
        threading.Timer(0.2, connection.cancel_safe).start()
        try: execute('SELECT pg_sleep(60)')
        except psycopg.errors.QueryCanceled: print('cancelled')""",
    "settings in the address": """
        with psycopg.connect(os.environ['DATABASE_URL'], options='-c work_mem=5MB') as other:
            print(other.execute('SHOW work_mem').fetchone())""",
}


@pytest.mark.parametrize("body", SAID.values(), ids=SAID.keys())
def test_a_tool_hears_what_the_server_says(stage: Stage, tool: Callable[..., Rehearsal], tmp_path: Path, body: str) -> None:
    """The same program on the server itself, and through the tap."""
    through = tool(f"sys.stdout = open('said', 'w')\n{textwrap.dedent(body)}\nconnection.rollback()")
    said = (tmp_path / "said").read_text()

    provider = EmbeddedProvider(stage.server, stage._seed(SEED))
    with provider.clone() as clone:
        directly = os.environ | {"DATABASE_URL": _address(stage, clone)}
        subprocess.run([sys.executable, "tool.py"], env=directly, check=True, cwd=tmp_path)

    assert through.outcome is Outcome.APPLIED
    assert said == (tmp_path / "said").read_text() != ""


def _address(stage: Stage, clone: Clone) -> str:
    return f"postgresql://postgres@/{clone.name}?host={stage.server.folder}"


# ── What breaks ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_that_break_a_constraint_are_counted_as_the_transaction_had_left_them(tool: Callable[..., Rehearsal]) -> None:
    """100 rows have no `a`; the tool fills 30 of them, with parameters, in the transaction that then fails."""
    seen = tool("""
        for n in range(10, 310, 10):
            execute('UPDATE t SET a = %s WHERE id = %s', (n, n))
        execute('ALTER TABLE t ALTER a SET NOT NULL')
        connection.commit()""")

    assert (seen.outcome, seen.error and seen.error.sqlstate) == (Outcome.FAILED, "23502")
    assert [(c.columns, c.refused, c.violations, c.rows) for c in seen.constraints] == [(("a",), True, 70, 1000)]
    updates = [s for s in seen.statements if s.sql.startswith("UPDATE")]
    assert [(s.sql, s.rows_affected) for s in updates] == [("UPDATE t SET a = $1 WHERE id = $2", 30)]


def test_an_error_that_the_tool_mends_is_none(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("""
        try:
            with connection.transaction():
                execute('DROP TABLE nobody')
        except psycopg.errors.UndefinedTable:
            execute('ALTER TABLE t ADD c int')
        connection.commit()""")

    assert (seen.outcome, seen.error) == (Outcome.APPLIED, None)
    assert [s.error.sqlstate for s in seen.statements if s.error] == ["42P01"]
    assert [c.name for c in seen.columns] == ["c"]


def test_an_error_that_was_mended_is_not_why_a_tool_fails(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("""
        execute('ALTER TABLE t ADD c int')
        try:
            with connection.transaction():
                execute('DROP TABLE nobody')
        except psycopg.errors.UndefinedTable:
            execute('ALTER TABLE t ADD d int')
        sys.exit('of its own')""")

    assert seen.error is not None and "exit status 1, and no statement failed" in seen.error.message


def test_that_a_transaction_is_aborted_is_no_reason(tool: Callable[..., Rehearsal]) -> None:
    """Many tools send something after what failed, an unlocking for instance."""
    seen = tool("""
        try:
            execute('DROP TABLE nobody')
        finally:
            execute('UPDATE t SET a = 1')""")

    assert seen.error is not None and (seen.error.sqlstate, seen.error.line) == ("42P01", 2)


def test_of_what_was_sent_at_once_the_one_that_failed_is_named(tool: Callable[..., Rehearsal]) -> None:
    """What was sent after it was not done, and is not told."""
    seen = tool("""
        with connection.pipeline():
            execute('UPDATE t SET a = 1'); execute('DROP TABLE nobody'); execute('DROP TABLE parent')""")

    told = [(s.sql, s.line, s.error is not None) for s in seen.statements]
    assert told[1:] == [("UPDATE t SET a = $1", 2, False), ("DROP TABLE nobody", 3, True)]
    assert seen.error is not None and (seen.error.sqlstate, seen.error.line) == ("42P01", 3)


def test_a_statement_that_ends_its_session_has_failed(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("execute('DO $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$')", autocommit=True)

    assert seen.error is not None and (seen.error.sqlstate, seen.error.line) == ("57P01", 1)


def test_rows_that_break_a_constraint_at_the_end_of_a_transaction_are_counted(tool: Callable[..., Rehearsal]) -> None:
    """A deferred one; also in a transaction that went back to a savepoint before."""
    seen = tool("""
        execute('''ALTER TABLE t ADD CONSTRAINT known FOREIGN KEY (parent) REFERENCES parent
                   DEFERRABLE INITIALLY DEFERRED NOT VALID''')
        try:
            with connection.transaction():
                execute('DROP TABLE nobody')
        except psycopg.errors.UndefinedTable:
            execute('UPDATE t SET parent = NULL WHERE parent NOT BETWEEN 1 AND 50')
        execute('UPDATE t SET parent = 99 WHERE id <= 7')
        connection.commit()""")

    assert seen.error is not None and seen.error.sqlstate == "23503"
    assert [(c.name, c.refused, c.violations, c.rows) for c in seen.constraints] == [("known", True, 7, 1000)]


def test_many_times_the_same_is_one_statement_however_it_is_sent(tool: Callable[..., Rehearsal]) -> None:
    """At once, one after the other, and by two sessions in turn."""
    seen = tool(
        """
        connection.cursor().executemany('INSERT INTO parent VALUES (%s)', [(n,) for n in range(1000, 1500)])
        with psycopg.connect(os.environ['DATABASE_URL'], autocommit=True) as other:
            for n in range(20):
                execute('UPDATE parent SET id = id WHERE id = %s', (n + 1,))
                other.execute('UPDATE t SET a = 1 WHERE id IN (%s, %s)', (n + 1, n + 101))""",
        autocommit=True,
    )

    told = {s.sql: (s.line, s.rows_affected) for s in seen.statements if s.rows_affected is not None}
    assert list(told.values()) == [(1, 500), (2, 20), (3, 40)]
    assert len(seen.statements) == 3


def test_many_sessions_at_once_have_one_clock_that_never_goes_back(tool: Callable[..., Rehearsal]) -> None:
    """Each is looked at while others work; what each did is told once."""
    seen = tool("""
        import threading
        def work(number):
            with psycopg.connect(os.environ['DATABASE_URL']) as own:
                for n in range(20):
                    own.execute('UPDATE t SET a = %s WHERE id = %s', (n, number))
                    own.execute('INSERT INTO parent VALUES (%s)', (1000 * number + n,))
        threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 9)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()""")

    assert [s.line for s in seen.statements] == list(range(1, len(seen.statements) + 1))
    assert sum(s.rows_affected or 0 for s in seen.statements) == 2 * 8 * 20
    assert [s for s in seen.statements if s.duration_ms < 0] == [] == [lock for lock in seen.locks if lock.held_ms < 0]


def test_what_was_only_described_hides_no_rows(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("""
        execute('SELECT 1')
        connection.pgconn.prepare(b'', b'SELECT * FROM t')
        connection.pgconn.describe_prepared(b'')
        with connection.cursor().copy('COPY parent FROM STDIN') as copy:
            copy.write_row((1000,))
        connection.commit()""")

    assert [s.rows_affected for s in seen.statements if s.sql.startswith("COPY")] == [1]


def test_a_statement_that_sounds_like_a_librarys_is_told(tool: Callable[..., Rehearsal]) -> None:
    seen = tool(
        """
        execute('CREATE FUNCTION next_version() RETURNS int LANGUAGE sql AS $$ SELECT 2 $$')
        execute('SELECT version()'); execute('SELECT next_version()'); execute("SELECT pg_catalog.setval('s', 7)")""",
        autocommit=True,
        seed=SEED + "CREATE SEQUENCE s;",
    )

    assert [s.sql.split("(")[0] for s in seen.statements] == [
        *("CREATE FUNCTION next_version", "SELECT next_version", "SELECT pg_catalog.setval")
    ]


def test_a_tool_that_fails_though_no_statement_did(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("execute('ALTER TABLE t ADD c int'); connection.commit(); print('of row 7'); sys.exit(3)")

    assert seen.error is not None and seen.error.message.startswith(f"`exec {sys.executable} tool.py` ended with exit status 3")
    assert seen.error.detail == "of row 7"  # shown only where rows may be
    assert [c.name for c in seen.columns] == ["c"]  # and what it committed is there


def test_a_tool_is_ended_when_its_time_is_over(tool: Callable[..., Rehearsal]) -> None:
    seen = tool(
        """
        import subprocess
        subprocess.Popen(['sleep', '4711'])
        execute('SELECT pg_sleep(4711)')""",
        settings=Settings(time_limit_s=2.0),
    )

    assert seen.error is not None and seen.error.message == "stopped: it took longer than 2 s, the limit set for it"
    assert subprocess.run(["pgrep", "-f", "sleep 4711"], check=False, capture_output=True).stdout == b""


def test_a_statement_that_failed_and_was_passed_over_is_no_passed_check(tool: Callable[..., Rehearsal]) -> None:
    seen = tool(
        """
        for statement in ('ALTER TABLE t ALTER a SET NOT NULL', 'ALTER TABLE t ADD c int', 'SELECT * FROM nobody'):
            try: execute(statement)
            except psycopg.Error: pass""",
        autocommit=True,
    )

    findings = judge([seen], (), (), Policy())

    assert seen.outcome is Outcome.APPLIED
    assert [(f.line, str(f.severity)) for f in findings if f.rule == "statement-fails"] == [(1, "warning")]


def test_a_command_that_does_nothing_is_said_to(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("execute('SELECT 1')")

    (finding,) = judge([seen], (), (), Policy())

    assert (finding.rule, str(finding.severity)) == ("empty-migration", "notice")


def test_what_was_over_before_anybody_looked_is_not_said_to_keep_nobody_waiting(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("execute('ALTER TABLE t ADD c int')", autocommit=True)

    (statement,) = seen.statements
    assert statement.locks is None or [lock.mode for lock in statement.locks] == ["AccessExclusiveLock"]


def test_what_another_session_holds_is_not_waited_for(stage: Stage) -> None:
    """To ask for a table's size is to wait for whoever holds it alone: another session of the same tool."""
    provider = EmbeddedProvider(stage.server, stage._seed(SEED))
    with provider.clone() as clone, provider.observe(clone) as observer, provider.connect(clone) as holder:
        reader = LockReader(observer, 0)
        oids = {name: oid for oid, name in relations_now(observer).names.items()}
        with holder.transaction():
            holder.execute("LOCK TABLE t; LOCK TABLE parent IN SHARE MODE")
            kept = reader.kept_from_us(oids.values())

        assert kept == {oids["public.t"]}
        assert reader.kept_from_us(oids.values()) == set()


def test_other_databases_are_not_this_one(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("""
        with psycopg.connect(os.environ['DATABASE_URL'], dbname='postgres') as other:
            other.execute('SELECT 1')
        execute('ALTER TABLE t ADD c int'); connection.commit()""")

    assert [s.sql for s in seen.statements] == ["BEGIN", "ALTER TABLE t ADD c int", "COMMIT"]


NEVER_CAME = {
    "another database": ("true", "did not connect to the clone"),
    "no such program": ("no-such-tool up", "ended with exit status 127 before it connected to the clone"),
    "a tool that fails first": ("echo broken settings; exit 4", "It said: broken settings"),
}


@pytest.mark.parametrize(("command", "said"), NEVER_CAME.values(), ids=NEVER_CAME.keys())
def test_a_command_that_was_never_on_the_clone(stage: Stage, command: str, said: str) -> None:
    """It is no answer, and never a passed check."""
    with pytest.raises(UsageError, match=said):
        stage.rehearse_migrations(SEED, (Migration("tool", "", COMMAND.name, command),))


def test_strangers_are_turned_away(tool: Callable[..., Rehearsal]) -> None:
    seen = tool("""
        for number, wrong in enumerate([{'password': 'guess'}, {'user': 'boss'}, {'user': 'migration_rehearsal'}]):
            try:
                psycopg.connect(os.environ['DATABASE_URL'], **wrong)
            except psycopg.OperationalError:
                execute('INSERT INTO parent VALUES (%s)', (1000 + number,))
        connection.commit()""")

    assert [(t.name, t.inserted) for t in seen.tables] == [("public.parent", 3)]


def test_a_tool_is_not_told_our_secrets(tool: Callable[..., Rehearsal], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("MIGRATION_REHEARSAL_JOURNAL_KEY", "INPUT_TOKEN", "GITHUB_TOKEN", "ACTIONS_RUNTIME_TOKEN", "PGPASSFILE"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("DATABASE_URL", "postgresql://production/")
    monkeypatch.setenv("HARMLESS", "1")

    tool("import json; json.dump(dict(os.environ), open('told', 'w')); execute('SELECT 1')")

    told = json.loads((tmp_path / "told").read_text())
    assert "secret" not in told.values() and "production" not in told["DATABASE_URL"] and told["HARMLESS"] == "1"
    assert {name for name in told if name.startswith("PG")} == {
        *("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSSLMODE", "PGGSSENCMODE")
    }


@pytest.mark.skipif(sys.platform != "linux", reason="networks of one's own are Linux's")
def test_a_tool_reaches_nothing_but_the_clone(tool: Callable[..., Rehearsal], tmp_path: Path) -> None:
    """Whatever its settings name. Where the system does not allow that to us, the tool keeps its network."""
    if subprocess.run(["unshare", "--user", "--net", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("this system lets nobody have a network of his own")
    body = "execute('SELECT 1'); open('seen', 'w').write(open('/proc/net/dev').read())"

    tool(body)
    alone = (tmp_path / "seen").read_text()
    tool(body, settings=Settings(network=True))
    with_network = (tmp_path / "seen").read_text()

    assert [line.split(":")[0].strip() for line in alone.splitlines()[2:]] == ["lo"]
    assert with_network == Path("/proc/net/dev").read_text() or len(with_network.splitlines()) > len(alone.splitlines())


def test_nothing_is_left_of_a_command(tool: Callable[..., Rehearsal], stage: Stage) -> None:
    began = time.monotonic()
    tool("import subprocess; subprocess.Popen(['sleep', '4712']); execute('SELECT 1')")

    assert subprocess.run(["pgrep", "-f", "sleep 4712"], check=False, capture_output=True).stdout == b""
    with stage.server.connect("postgres") as admin:
        databases = admin.execute("SELECT count(*) FROM pg_database WHERE datname ~ '^rehearsal_'").fetchone()
    assert databases == (0,) and time.monotonic() > began


@pytest.mark.skipif(sys.platform != "linux", reason="what has left its group is found by Linux's means")
@pytest.mark.parametrize("settings", [Settings(), Settings(time_limit_s=2.0)], ids=["that ends", "that is ended"])
def test_nothing_is_left_of_a_daemon(tool: Callable[..., Rehearsal], settings: Settings, tmp_path: Path) -> None:
    """It has a session of its own, and its parent has gone; and it does not listen to those who ask it to end."""
    tool(
        f"""
        import subprocess, time
        subprocess.run(['setsid', 'sh', '-c', 'trap "" TERM; setsid sleep 4714 & echo $! $$ > daemons'], check=True)
        execute('SELECT pg_sleep(4714 * {int(settings.time_limit_s < 60)})')""",
        settings=settings,
    )

    daemons = [int(pid) for pid in (tmp_path / "daemons").read_text().split()]
    assert len(daemons) == 2 and [pid for pid in daemons if Path(f"/proc/{pid}").exists()] == []


def test_a_command_finds_signals_as_they_are(stage: Stage, tmp_path: Path) -> None:
    """Python ignores SIGPIPE, and so would whom it starts: `yes | head` then complains."""
    with pytest.raises(UsageError, match="did not connect"):
        stage.rehearse_migrations(SEED, (Migration("tool", "", COMMAND.name, f"yes 2> {tmp_path}/said | head -1"),))

    assert (tmp_path / "said").read_text() == ""


def test_nothing_is_left_of_a_command_whose_rehearsal_is_killed(run: Callable[..., Run]) -> None:
    """Even so that it can do nothing about it."""
    line = [sys.executable, "-m", "bot.cli", "rehearse", "--base-command", "none", "--command", "touch begun; sleep 4713 & wait"]
    with subprocess.Popen(line, env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)}, stderr=subprocess.DEVNULL) as killed:
        _wait_until(Path("begun").exists)
        killed.kill()

    _wait_until(lambda: subprocess.run(["pgrep", "-f", "sleep 4713"], check=False, capture_output=True).stdout == b"")


def _wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_the_way_back_of_a_command(tool: Callable[..., Rehearsal]) -> None:
    seen = tool(
        """
        down = sys.argv[1:] == ['down']
        execute('ALTER TABLE t DROP c, ADD b text' if down else 'ALTER TABLE t ADD c int DEFAULT 1, DROP b')
        connection.commit()""",
        down=f"{sys.executable} tool.py down",
    )

    assert seen.down is not None and (seen.down.outcome, seen.down.again) == (Outcome.APPLIED, Outcome.APPLIED)
    assert [(loss.column, loss.lost) for loss in seen.down.losses if loss.kept_before] == [("b", 1000)]


# ── On the command line, with real tools ─────────────────────────────────────────────────────────────────────────────────


def git(*arguments: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *identity, *arguments], check=True, capture_output=True)


def branch(example: str, new: str) -> None:
    """A repository of an example, whose main branch has not its newest migration yet."""
    shutil.copytree(EXAMPLES / example, ".", dirs_exist_ok=True, ignore=shutil.ignore_patterns("node_modules", "__pycache__"))
    newest = Path(new).read_bytes()
    Path(new).unlink()
    Path(".gitignore").write_text("node_modules\n__pycache__\n*.sql\n")
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "base")
    Path(new).write_bytes(newest)


TOOLS = {
    "alembic": ("migrations/versions/0003_email_required.py", "alembic upgrade head", "alembic downgrade -1", "customers"),
    "django": (
        "shop/migrations/0003_email_required.py",
        "python manage.py migrate",
        "python manage.py migrate shop 0002",
        "shop_customer",
    ),
    "node-pg-migrate": (
        "migrations/1706745600000_email_required.js",
        "npx node-pg-migrate up",
        "npx node-pg-migrate down",
        "customers",
    ),
}


@pytest.mark.parametrize("example", TOOLS)
def test_real_tools(run: Callable[..., Run], example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    new, up, down, table = TOOLS[example]
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    branch(example, new)
    if example == "node-pg-migrate":
        if not shutil.which("npm"):
            pytest.skip("there is no npm")
        installed = subprocess.run(["npm", "install", "--silent", "--no-fund", "--no-audit"], check=False, capture_output=True)
        if installed.returncode != 0:
            pytest.skip(f"npm can't install: {installed.stderr.decode()[-200:]}")

    done = run("rehearse", "--command", up, "--down-command", down, "--format", "json")

    report = json.loads(done.out)
    assert (done.status, report["verdict"]) == (0, "pass"), done.out + done.err
    (migration,) = report["migrations"]
    assert {(t["name"], t["rows_before"], t["updated"]) for t in migration["tables"]} >= {(f"public.{table}", 1000, 10)}
    assert [(c["name"], c["nulls_before"], c["nulls_after"]) for c in migration["columns"]] == [("email", 10, 0)]
    assert "reads" in {what for lock in migration["locks"] if lock["relation"] == f"public.{table}" for what in lock["blocks"]}
    assert (migration["down"]["restored"], migration["down"]["again"]) == (True, "applied")
    assert f"First `{up}` ran on the base branch's files" in " ".join(report["notes"])


def test_a_command_is_replayed_while_no_file_has_changed(run: Callable[..., Run], journal_url: str) -> None:
    tool = TOOL.format(autocommit=True, body="execute(open('up').read())")
    Path("tool.py").write_text(tool)
    Path("up").write_text("CREATE TABLE IF NOT EXISTS made ()")
    Path(".gitignore").write_text("*.sql\n")
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "base")
    Path("up").write_text("CREATE TABLE IF NOT EXISTS made (); ALTER TABLE made ADD c int")
    arguments = ("rehearse", "--command", f"{sys.executable} tool.py", "--journal", journal_url, "--format", "json")

    first, again = (json.loads(run(*arguments).out) for _time in range(2))
    Path("up").write_text("CREATE TABLE IF NOT EXISTS made (); ALTER TABLE made ADD d int")
    other = json.loads(run(*arguments).out)

    assert [report["run"]["replayed"] for report in (first, again, other)] == [False, True, False]
    sent = [report["migrations"][0]["statements"][-1]["sql"] for report in (first, again, other)]
    assert [sql.split()[-2] for sql in sent] == ["c", "c", "d"]


WRONG = {
    "with files": (("1_good.sql", "--command", "true"), "no FILE, --layout, --migrations or --print-sql goes with it"),
    "a way back without a way": (("--down-command", "true"), "belong to --command"),
    "printed": (("--command", "true", "--print-sql"), "no FILE"),
    "a base where there is none": (("--command", "true", "--base-command", "true"), "There is no base branch to run `true` on"),
    "a base that fails": (("--command", "true", "--base-command", "false"), "ended with exit status 1 before"),
}


@pytest.mark.parametrize(("arguments", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_use_is_explained(run: Callable[..., Run], arguments: tuple[str, ...], said: str) -> None:
    if "false" in arguments:
        Path(".gitignore").write_text("*.sql\n")
        git("init", "-q", "-b", "main")
        git("add", ".")
        git("commit", "-qm", "base")

    done = run("rehearse", *arguments)

    assert (done.status, done.out) == (2, "") and said in done.err


# ── The base branch's files ──────────────────────────────────────────────────────────────────────────────────────────────


def commit_all(message: str) -> None:
    git("add", ".")
    git("commit", "-qm", message)


def test_the_base_has_every_file_of_its_commit(run: Callable[..., Run]) -> None:
    """Also one that no archive of it has, and links to wherever they lead."""
    Path("tool.py").write_text(TOOL.format(autocommit=True, body="for name in sys.argv[1:]: execute(open(name).read())"))
    Path("base.txt").write_text("CREATE TABLE IF NOT EXISTS base ()")
    Path("absolute").symlink_to("/nowhere/at/all")
    Path("outwards").symlink_to("../../../nowhere")
    Path(".gitattributes").write_text("base.txt export-ignore\n")
    git("init", "-q", "-b", "main")
    commit_all("base")
    tool = f"{sys.executable} tool.py base.txt"

    done = run("rehearse", "--command", tool, "--format", "json")

    assert done.status == 0, done.err
    assert f"First `{tool}` ran on the base branch's files: 1 statement" in " ".join(json.loads(done.out)["notes"])


def test_the_same_command_elsewhere_is_another_question(
    run: Callable[..., Run], journal_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder of the same files, and on another base."""
    top = Path.cwd()
    git("init", "-q", "-b", "main")
    for service in ("orders", "customers"):
        (top / service).mkdir()
        (top / service / "tool.py").write_text(TOOL.format(autocommit=True, body=f"execute('CREATE TABLE {service} ()')"))
    commit_all("one")
    git("tag", "base")
    Path("more").touch()
    commit_all("two")

    def is_replayed(service: str) -> bool:
        monkeypatch.chdir(top / service)
        where = ("--base", "base", "--journal", journal_url, "--format", "json")
        done = run("rehearse", "--command", f"{sys.executable} tool.py", "--base-command", "none", *where)
        return bool(json.loads(done.out)["run"]["replayed"])

    assert [is_replayed("orders"), is_replayed("orders"), is_replayed("customers")] == [False, True, False]
    git("tag", "-f", "base", "main")
    assert is_replayed("orders") is False
