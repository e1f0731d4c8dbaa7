"""Runs a migration tool by its own command against a database, through a tap, and watches what it does there."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from bot.applying import COUNTED_TAG, MAY_BREAK_ROWS, Applied, Limits, message_of
from bot.errors import CloneError, UsageError
from bot.model import ConstraintChange, LockSpan, SqlError, StatementResult, Transaction
from bot.postgres import apart
from bot.postgres.catalog import Snapshot
from bot.postgres.guard import Guard, Stopped
from bot.postgres.sampling import Relations, relations_now
from bot.postgres.tap import Exchange, Listener, Sent, Session, Tap, Upstream
from bot.postgres.violations import broken_at_commit, diagnose
from bot.postgres.watch import Facts, Watch, is_raised
from bot.sql import split
from bot.words import one_line, visible

_KEPT_BYTES = 1 << 16  # of what the command prints: the last ones
_REPLAYED_BYTES = 1 << 24  # of what a transaction sent: to count what breaks a constraint, it is sent again
_LOOK_S, _GRACE_S = 0.1, 5.0
_LOCKS = ("ALTER", "CREATE INDEX", "DROP", "TRUNCATE", "LOCK", "CREATE TRIGGER", "REINDEX", "VACUUM", "CLUSTER", "REFRESH")
_CHANGES_ROWS = ("INSERT", "UPDATE", "DELETE", "MERGE", "SELECT")
# What every library asks when it connects or looks for what there is.
_ASKS_THE_CATALOG = re.compile(
    r"\b(pg_catalog\.(?!setval\b)|information_schema\.|pg_class\b|pg_type\b|version\(\)|current_schema|set_config\()"
)
# Of our own surroundings: tokens of a workflow, inputs that hold secrets, whoever's database the variables of libpq lead to.
_NOT_PASSED_ON = ("PG", "INPUT_", "MIGRATION_REHEARSAL_", "ACTIONS_", "GITHUB_TOKEN", "GH_TOKEN", "DATABASE_URL")


@dataclass(frozen=True, slots=True)
class _Failure:
    """A statement that failed, and what its transaction had sent before; None: too much, or rows."""

    sent: Sent
    error: psycopg.Error
    line: int
    before: tuple[Sent, ...] | None


class CommandRun:
    """What a command did, as far as its sessions show it: each has a follower here, on a thread of its own. See Ran."""

    def __init__(self, database: str, observer: psycopg.Connection | None, before: Snapshot, backstop_ms: int) -> None:
        self._database, self._observer, self._before = database, observer, before
        self.backstop_ms = backstop_ms  # a timeout of ours, which is none of the tool's
        self._relations = relations_now(observer) if observer else Relations({}, {})
        self._lock = threading.Lock()
        self._began, self._ended, self._looking_s = time.monotonic(), 0.0, 0.0
        self._lookers, self._look_began = 0, 0.0  # sessions look at the same time
        self._spans: list[LockSpan] = []
        self.results: list[StatementResult] = []
        self.sent: list[str] = []  # the texts of what is in results
        self.outside = False  # something other than a row was changed outside any transaction
        self.committed = False
        self.failure: _Failure | None = None

    def listen(self, session: Session) -> Listener:
        """See Tap. What is done in other databases of the server is nothing of this one's."""
        if session.database != self._database:
            return _Bystander()
        watch = Watch(session, self._observer, self._before, self._relations)
        return _Follower(self, session, watch)

    def stop(self) -> None:
        """The command has ended."""
        self._ended = time.monotonic()

    def now_ms(self) -> float:
        """See Ran. It stands still while somebody looks, and never goes back."""
        with self._lock:
            now = self._ended or (self._look_began if self._lookers else time.monotonic())
            return (now - self._began - self._looking_s) * 1000

    def spans(self) -> tuple[LockSpan, ...]:
        """See Ran."""
        return tuple(sorted(self._spans, key=lambda span: (span.began_ms, span.relation, span.ended_ms)))

    @property
    def kinds(self) -> Mapping[str, str]:
        """See Ran."""
        return self._relations.kinds

    @contextmanager
    def looking(self) -> Iterator[None]:
        """What is done in this block is our doing, and not counted as the command's time."""
        with self._lock:
            self._look_began = self._look_began if self._lookers else time.monotonic()
            self._lookers += 1
        try:
            yield
        finally:
            with self._lock:
                self._lookers -= 1
                self._looking_s += 0.0 if self._lookers else time.monotonic() - self._look_began

    def add(self, result: StatementResult, sql: str) -> int:
        """A statement was done: its number among all sessions' stands for a line, as there is no file."""
        with self._lock:
            line = len(self.results) + 1
            error = replace(result.error, line=line) if result.error else None
            self.results.append(replace(result, line=line, error=error))
            self.sent.append(sql)
            return line

    def add_to(self, line: int, duration_ms: float, rows: int | None) -> None:
        """The same statement was done once more, with other parameters."""
        with self._lock:
            one = self.results[line - 1]
            duration_ms = round(one.duration_ms + duration_ms, 3)
            self.results[line - 1] = replace(one, duration_ms=duration_ms, rows_affected=_sum(one.rows_affected, rows))

    def close(self, watch: Watch, lines: Mapping[int, int]) -> None:
        """A session is over; `lines`: those of its statements, by the numbers that its watch knows."""
        watch.close(self.now_ms())
        with self._lock:
            last = max(1, len(self.results))
            self._spans += [replace(span, line=lines.get(span.line, last)) for span in watch.spans()]


class _Bystander:
    """Takes no notice. See Listener."""

    def begin(self, sent: Sent) -> None: ...

    def notice(self, fields: Mapping[int, bytes]) -> None: ...

    def end(self, exchange: Exchange) -> None: ...

    def close(self) -> None: ...


class _Follower:
    """Follows one session. See Listener."""

    def __init__(self, run: CommandRun, session: Session, watch: Watch) -> None:
        self._run, self._session, self._watch = run, session, watch
        self._began_ms, self._began = 0.0, 0.0  # by the run's clock; by one that goes on while other sessions are looked at
        self._number = 0  # of its statements, here; other sessions send theirs in between
        self._lines: dict[int, int] = {}
        self._last, self._last_line = "", 0
        self._repeats = False
        self._broke: _Failure | None = None  # in the transaction that is under way
        self._transaction: list[Sent] | None = []
        self._bytes = 0
        self._was_outside = True

    def begin(self, sent: Sent) -> None:
        self._began_ms, self._began = self._run.now_ms(), time.monotonic()
        self._was_outside = self._session.status is TransactionStatus.IDLE
        self._repeats = sent.sql == self._last
        if not self._repeats:
            self._number += 1
            self._watch.begin(self._began_ms, self._number, sent.sql)

    def notice(self, fields: Mapping[int, bytes]) -> None:
        self._watch.note(errors.Diagnostic(dict(fields)))

    def end(self, exchange: Exchange) -> None:
        ended_ms, took_ms = self._run.now_ms(), (time.monotonic() - self._began) * 1000
        tag = exchange.tags[-1] if exchange.tags else ""
        done = _done(exchange)
        if self._repeats and not exchange.error and len(done) == 1:
            self._run.add_to(self._last_line, took_ms, done[0].rows)
        else:
            with self._run.looking():
                facts = self._watch.failed(ended_ms) if exchange.error else self._watch.end(ended_ms, tag)
            if self._was_outside and not facts.locks and not exchange.error and tag.startswith(_LOCKS):
                facts = replace(facts, locks=None)  # over before anybody looked: that nobody waited is not known
            self._note(exchange, done, facts, took_ms)
        self._follow_transaction(exchange, ended_ms)

    def close(self) -> None:
        self._run.close(self._watch, self._lines)

    def _note(self, exchange: Exchange, done: Sequence[_Done], facts: Facts, took_ms: float) -> None:
        self._last = ""
        for one in done:
            is_last = one is done[-1]
            error = _as_error(exchange.error) if exchange.error and is_last else None
            if not error and _is_a_librarys(one.sent.sql, one.tag, facts):
                continue
            if self._was_outside and not one.tag.startswith((*_CHANGES_ROWS, "BEGIN", "COMMIT", "SHOW", "SET")):
                self._run.outside = self._run.outside or bool(one.tag)
            duration_ms = took_ms if is_last else 0.0
            said = _sql_error(error, one.sent.sql, 0) if error else None
            result = self._result(one.sent, duration_ms, one.rows, facts if is_last else Facts(()), said)
            line = self._lines[self._number] = self._run.add(result, one.sent.sql)
            if error:
                self._fail(one.sent, error, line)
            self._last = one.sent.sql if is_last and not error and one.tag.startswith(_CHANGES_ROWS) else ""
            self._last_line = line

    def _result(self, sent: Sent, duration_ms: float, rows: int | None, facts: Facts, error: SqlError | None) -> StatementResult:
        return StatementResult(
            line=0,  # given when it is added
            sql=sent.sql,
            duration_ms=round(duration_ms, 3),
            rows_affected=rows,
            locks=facts.locks,
            error=error,
            began_ms=round(self._began_ms, 3),
            rewrites=facts.rewrites,
            emptied=facts.emptied,
            scans=facts.scans,
            indexes=facts.indexes,
            notices=facts.notices,
            lock_timeout_ms=facts.lock_timeout_ms,
            statement_timeout_ms=0 if facts.statement_timeout_ms == self._run.backstop_ms else facts.statement_timeout_ms,
        )

    def _fail(self, sent: Sent, error: psycopg.Error, line: int) -> None:
        """Keeps why a statement failed. That others of its transaction are ignored after it is no reason of their own."""
        if self._broke and isinstance(error, errors.InFailedSqlTransaction):
            return
        before = tuple(self._transaction) if self._transaction is not None else None
        self._broke = self._run.failure = _Failure(sent, error, line, before)

    def _follow_transaction(self, exchange: Exchange, ended_ms: float) -> None:
        if self._broke and not exchange.error and exchange.tags[-1:] not in (["ROLLBACK"], ["RELEASE"]):
            self._mended()
        if self._session.status is TransactionStatus.INTRANS:
            self._remember(exchange.sent)
        if self._session.status is TransactionStatus.IDLE:
            self._transaction, self._bytes, self._broke = [], 0, None
            committed = not exchange.error and exchange.tags[-1:] != ["ROLLBACK"]
            self._run.committed = self._run.committed or committed
            self._watch.transaction_over(ended_ms, committed=committed)
            with self._run.looking():
                self._watch.prepare()

    def _mended(self) -> None:
        """The tool went back to a savepoint, and goes on in the same transaction: that is not why it fails, if it does."""
        if self._run.failure is self._broke:
            self._run.failure = None
        self._broke = None

    def _remember(self, sent: Sequence[Sent]) -> None:
        """What a transaction did, so that it can be done again where a statement after it fails."""
        self._bytes += sum(len(one.sql) + sum(len(value or b"") for value in one.values) for one in sent)
        has_rows = any(split(one.sql).statements[:1] and split(one.sql).statements[0].begins("copy") for one in sent)
        if self._transaction is not None and self._bytes <= _REPLAYED_BYTES and not has_rows:
            self._transaction += sent
        else:
            self._transaction = None


@dataclass(frozen=True, slots=True)
class _Done:
    """A statement that was done, or failed; the same several times in a row is one."""

    sent: Sent
    tag: str
    rows: int | None


def _done(exchange: Exchange) -> list[_Done]:
    """What was done of all that was sent: nothing is, after one that failed."""
    tags, sent = exchange.tags, exchange.sent
    done: list[_Done] = []
    for number, one in enumerate(sent[: len(tags) + 1] if exchange.error else sent):
        tag = tags[number] if number < len(tags) else ""
        several = number == len(sent) - 1 and len(tags) > len(sent)
        rows = None if several or not tag else _rows(exchange, number)
        if done and done[-1].sent.sql == one.sql and tag.startswith(_CHANGES_ROWS):
            done[-1] = _Done(one, tag, _sum(done[-1].rows, rows))
        else:
            done.append(_Done(one, tag, rows))
    return done


def _sum(one: int | None, other: int | None) -> int | None:
    return one + other if one is not None and other is not None else None


def run_command(
    line: str,
    folder: Path,
    connection: psycopg.Connection,
    observer: psycopg.Connection | None,
    limits: Limits,
    before: Snapshot | None = None,
) -> Applied:
    """Runs a command line in a folder; its tool finds the database that `connection` is to in DATABASE_URL and in libpq's
    variables, and comes in as the same role. Without an observer nothing is watched.

    Raises UsageError if it has not been there at all.
    """
    info = connection.info
    upstream = Upstream(f"{info.host}/.s.PGSQL.{info.port}", info.user, info.dbname, info.options)
    run = CommandRun(info.dbname, observer, before or Snapshot(), limits.backstop_ms)
    stopped = Stopped()
    with _started(line, folder, network=limits.network) as start:
        output = _Output(start.process)
        with Tap(start.listening, upstream, run.listen) as tap:
            start.go(_environment(tap, upstream))
            _wait(start.process, tap, limits, stopped)
            start.end()
            _wait_for_sessions(tap, limits.guard)
            run.stop()
        said = output.text()
    if tap.failure:
        raise tap.failure
    status = start.process.returncode
    if not tap.sessions:
        raise _never_came(line, status, said, apart=start.apart)
    error: SqlError | None = None
    refused: tuple[ConstraintChange, ...] = ()
    if status != 0 or stopped.why:
        error, refused = _why(run, line, status, said, stopped), _in_the_way(run, connection, limits) if observer else ()
    transaction = Transaction.NONE if run.outside else Transaction.SINGLE
    return Applied(len(run.results), transaction, run, error, refused, "\n".join(run.sent))


# ── The process ──────────────────────────────────────────────────────────────────────────────────────────────────────────


class _Output:
    """Reads what a command prints, so that it never waits for us; keeps the end of it."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process, self._said = process, b""
        self._thread = threading.Thread(target=self._read, name="output", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101  made with a pipe
        with suppress(ValueError, OSError):  # closed by us, where somebody whom it has left behind holds it open
            while chunk := os.read(self._process.stdout.fileno(), 1 << 16):
                self._said = (self._said + chunk)[-_KEPT_BYTES:]

    def text(self) -> str:
        """What it has printed last."""
        self._thread.join(timeout=1.0)  # a process that it left behind may hold the pipe open
        return self._said.decode(errors="replace").strip()


def can_be_apart() -> bool:
    """Whether a command can be given a network in which there is nothing but the clone."""
    with _started("true", Path("/"), network=False) as start:
        return start.apart


@dataclass(frozen=True, slots=True)
class _Start:
    """A command that is about to begin; `apart`: with no network but the one in which somebody is `listening`."""

    process: subprocess.Popen[bytes]
    listening: socket.socket
    apart: bool
    _ours: socket.socket

    def go(self, environment: Mapping[str, str]) -> None:
        """Lets it begin."""
        with suppress(BrokenPipeError):
            self._ours.sendall(json.dumps(environment).encode() + b"\n")

    def end(self) -> None:
        """Ends it, if it has not ended, and all that it has started."""
        _end(self.process, self._ours)


@contextmanager
def _started(line: str, folder: Path, *, network: bool) -> Iterator[_Start]:
    """A command in a session of its own, of which nothing is left at the end of the block; see bot/postgres/apart.py."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", apart.__file__, str(theirs.fileno()), "open" if network else "apart", line],
            cwd=folder,
            env={},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
    with ours:
        try:
            word, listening = _greeted(ours)
            if listening is None and not network:  # it has lost its network, and has got no other one
                _end(process, ours)
                with _started(line, folder, network=True) as start:
                    yield start
                return
            if listening is None:
                raise CloneError(f"{one_line(line)} could not be started.", why=word)
            with listening:
                yield _Start(process, listening, word == "apart", ours)
        finally:
            _end(process, ours)
            if process.stdout:
                process.stdout.close()


def _greeted(ours: socket.socket) -> tuple[str, socket.socket | None]:
    """What a command that is about to begin says, and the socket that it listens on for us."""
    said, sockets, _flags, _address = socket.recv_fds(ours, 1000, 1)
    return said.decode(errors="replace"), socket.socket(fileno=sockets[0]) if sockets else None


def _end(process: subprocess.Popen[bytes], ours: socket.socket) -> None:
    """Asks a command to end, and then sees to it that it does; see stay_with in bot/postgres/apart.py."""
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
    if process.poll() is None:
        with suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)  # as if we were gone
        with suppress(subprocess.TimeoutExpired):
            process.wait(2 * _GRACE_S)
        process.kill()
    process.wait()


def _wait(process: subprocess.Popen[bytes], tap: Tap, limits: Limits, stopped: Stopped) -> None:
    """Until it ends by itself, or has to be ended: `stopped` says why."""
    limit = limits.guard.limit(limits.migration_s)
    while tap.failure is None:
        with suppress(subprocess.TimeoutExpired):
            process.wait(_LOOK_S)
            return
        stopped.why = limit.exceeded()
        if stopped.why:
            return


def _wait_for_sessions(tap: Tap, guard: Guard) -> None:
    """The tool has gone; what it was doing on the server has to end, too."""
    until = time.monotonic() + _GRACE_S
    while not tap.is_idle() and time.monotonic() < until:
        time.sleep(0.002)
    for pid in tap.pids():
        if guard.end_session:
            with suppress(psycopg.Error):
                guard.end_session(pid)


def _environment(tap: Tap, upstream: Upstream) -> dict[str, str]:
    """Ours, without what is nobody else's business, and with the address of the database."""
    passed = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
    user, database = quote(upstream.user, safe=""), quote(upstream.database, safe="")
    return passed | {
        "DATABASE_URL": f"postgresql://{user}:{tap.password}@{tap.host}:{tap.port}/{database}",
        "PGHOST": tap.host,
        "PGPORT": str(tap.port),
        "PGUSER": upstream.user,
        "PGPASSWORD": tap.password,
        "PGDATABASE": upstream.database,
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
    }


# ── What became of it ────────────────────────────────────────────────────────────────────────────────────────────────────


def _never_came(line: str, status: int, said: str, *, apart: bool) -> UsageError:
    """It has not been on the clone: what it prints holds nobody's rows."""
    tail = one_line(" / ".join(said.splitlines()[-5:]))[-600:]
    without = " It could reach nothing but the clone: --network lets it reach what it needs besides." if apart else ""
    if status != 0:
        return UsageError(
            f"`{one_line(line)}` ended with exit status {status} before it connected to the clone.",
            why=tail and f"It said: {tail}",
            advice="Run it by hand: its tool must be on PATH, and take the database from DATABASE_URL or libpq's variables."
            + without,
        )
    other = "it has migrated nothing" if apart else "if it has migrated a database, it was another one"
    return UsageError(
        f"`{one_line(line)}` did not connect to the clone: {other}.",
        why="It is told the clone's address in DATABASE_URL, and in PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE.",
        advice="Let its configuration read one of them, or put it into the command: --command 'tool --url \"$DATABASE_URL\" up'.",
    )


def _why(run: CommandRun, line: str, status: int, said: str, stopped: Stopped) -> SqlError:
    at = max(1, len(run.results))
    if stopped.why:
        return SqlError("57014", f"stopped: {stopped.why}", at)
    if run.failure:
        return _sql_error(run.failure.error, run.failure.sent.sql, run.failure.line)
    message = (
        f"`{one_line(line)}` ended with exit status {status}, and no statement failed; what it printed may hold rows' values"
    )
    return SqlError("", f"{message}: --show-row-data shows it", at, detail=visible(said[-2000:]) or None)


def _in_the_way(run: CommandRun, connection: psycopg.Connection, limits: Limits) -> tuple[ConstraintChange, ...]:
    """The rows on which a statement failed: counted on a connection of ours, in a transaction that does what its own had done."""
    failure = run.failure
    if failure is None or failure.before is None or connection.closed:
        return ()
    statements = split(failure.sent.sql).statements
    commits = any(s.begins("commit", "end") for s in statements)
    if not commits and not any(s.begins(*MAY_BREAK_ROWS) for s in statements):
        return ()
    try:
        with limits.guard.watching(connection, limits.count_s), connection.transaction(force_rollback=True):
            for sent in failure.before:
                _send_again(connection, sent)
            if commits:
                return broken_at_commit(connection, failure.error, line=failure.line, limit_ms=limits.count_ms)
            connection.execute("SAVEPOINT rehearsal")
            return diagnose(connection, failure.sent.sql, failure.error, line=failure.line, limit_ms=limits.count_ms)
    except psycopg.Error:
        return ()


def _send_again(connection: psycopg.Connection, sent: Sent) -> None:
    """As it was sent, but for what begins a transaction. Raises psycopg.Error."""
    statements = split(sent.sql).statements
    if all(s.begins("begin", "start transaction") for s in statements):
        return
    if not sent.values:
        connection.execute(sent.sql.encode())
        return
    types = (*sent.types, *([0] * (len(sent.values) - len(sent.types))))
    result = connection.pgconn.exec_params(sent.sql.encode(), sent.values, types, sent.formats)
    if result.error_message:
        raise errors.error_from_result(result)


def _is_a_librarys(sql: str, tag: str, facts: Facts) -> bool:
    """Whether a statement is one of those by which a library looks around, which nobody wrote."""
    if tag.startswith(("SHOW", "DEALLOCATE", "SAVEPOINT", "RELEASE")) or not (tag or sql.strip(" ;\n")):
        return True
    asks = tag.startswith(("SELECT", "SET")) and _ASKS_THE_CATALOG.search(sql) is not None
    return asks and not facts.locks and not facts.notices


def _rows(exchange: Exchange, number: int) -> int | None:
    """How many rows a statement wrote, where PostgreSQL counts them."""
    counted = COUNTED_TAG.fullmatch(exchange.tags[number]) if not exchange.gave_rows[number] else None
    return int(counted[1]) if counted else None


def _as_error(fields: Mapping[int, bytes]) -> psycopg.Error:
    """An error as psycopg would raise it."""
    info: dict[int, bytes | None] = dict(fields)
    sqlstate = fields.get(ord("C"), b"").decode()
    try:
        kind: type[psycopg.Error] = errors.lookup(sqlstate)
    except KeyError:
        kind = psycopg.DatabaseError
    error = kind(fields.get(ord("M"), b"").decode(errors="replace"), info=info)
    error.sqlstate = sqlstate
    return error


def _sql_error(error: psycopg.Error, sql: str, line: int) -> SqlError:
    raised = is_raised(error.diag)
    hint = None if raised else error.diag.message_hint
    return SqlError(error.sqlstate or "", message_of(error, sql), line, error.diag.message_detail, hint, raised=raised)
