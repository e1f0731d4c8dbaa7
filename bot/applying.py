"""Runs one migration on a connection as its tool would, statement by statement, and watches what it locks."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Protocol

import psycopg
from psycopg.errors import Diagnostic, QueryCanceled
from psycopg.errors import SyntaxError as PostgresSyntaxError
from psycopg.pq import TransactionStatus

from bot.extensions import created_by
from bot.layouts import named
from bot.layouts.base import ToolRefusal, refuses_transaction
from bot.model import ConstraintChange, LockSpan, Migration, Notice, SqlError, StatementResult, Transaction
from bot.postgres.catalog import Snapshot
from bot.postgres.guard import Guard, Stopped
from bot.postgres.looking import Direct
from bot.postgres.reading import Patience
from bot.postgres.sending import send
from bot.postgres.violations import broken_at_commit, diagnose
from bot.postgres.watch import Facts, Watch, is_raised
from bot.sql import BOM, Script, Statement, split
from bot.words import said_by, without_values

# Statements that can fail on existing rows are run behind a savepoint, so that afterwards the rows can be counted in the state
# the statement met. Others are not: an enum value may not be used in the transaction that added it unless the type was
# created there too, and PostgreSQL before 17 takes a type made behind a savepoint for somebody else's.
MAY_BREAK_ROWS = (
    "alter table",
    "alter domain",
    "create unique index",
    "create index",
    "insert",
    "update",
    "delete",
    "merge",
    "with",
    "do",
    "select",
    "call",
    "refresh",
)
_BEGINS = ("begin", "start transaction")
_ENDS = ("commit", "end", "rollback", "abort", "prepare transaction")
_WORDS = re.compile(r"[\w$]+")
# What PostgreSQL says it was executing inside a function or a DO: it may have been put together there, of rows' values.
# feature_not_supported, as to alter a column that a view uses; dependent_objects_still_exist.
_IN_THE_WAY = ("0A000", "2BP01")
_DEPENDENTS_NAMED = 5
_QUOTED_SQL = re.compile(r'^(?:SQL \w+|PL/pgSQL assignment) "(.*?)"$', re.MULTILINE | re.DOTALL)
_COPY_OUT = re.compile(r"\bTO\s+STDOUT\b", re.IGNORECASE)
COUNTED_TAG = re.compile(r"(?:INSERT \d+|UPDATE|DELETE|MERGE|COPY|SELECT|REFRESH MATERIALIZED VIEW|CREATE TABLE AS) (\d+)")


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a migration may take, and how long counting the rows that break one constraint may take; `guard` sees to it.
    `network`: whether a command may reach more than the clone.
    """

    migration_s: float = 3600.0
    count_s: float = 300.0
    guard: Guard = Guard()  # noqa: RUF009  frozen
    network: bool = False

    @property
    def count_ms(self) -> int:
        """`count_s` as PostgreSQL's statement_timeout wants it."""
        return int(self.count_s * 1000)

    @property
    def backstop_ms(self) -> int:
        """When the server itself ends a statement, or an idle transaction, that the guard should have ended before."""
        return int(self.migration_s * 1000) + 60_000

    @property
    def counting(self) -> Patience:
        """For one question of that kind."""
        return Patience(self.count_ms, self.guard)


class MigrationFailed(Exception):  # noqa: N818  an outcome, caught below: not an error of ours
    """Ends the run of a migration's statements."""

    def __init__(self, error: SqlError, constraints: tuple[ConstraintChange, ...] = ()) -> None:
        self.error, self.constraints = error, constraints
        super().__init__(error.message)


@dataclass(slots=True)
class Run:
    """One migration under way on one connection."""

    connection: psycopg.Connection
    watch: Watch
    limits: Limits
    transaction: Transaction
    one_query: bool  # a single statement sent by itself: even an implicit transaction has no block then
    began: float = field(default_factory=time.monotonic)
    ended: float | None = None
    looking_s: float = 0.0  # spent on looking, not on the migration
    results: list[StatementResult] = field(default_factory=list)
    explicit: bool = False  # inside a BEGIN of the file's own
    committed: bool = False  # something of the file is there to stay

    def now_ms(self) -> float:
        """The migration's own clock: it stands still while we look, and at its end."""
        return ((self.ended or time.monotonic()) - self.began - self.looking_s) * 1000

    def stop(self) -> None:
        """The migration is at its end, and holds no lock any more."""
        self.watch.close(self.now_ms())
        self.ended = time.monotonic()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """What is done in this block is our doing, and not counted as the migration's time."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.looking_s += time.monotonic() - began

    def status(self) -> TransactionStatus:
        return self.connection.info.transaction_status

    def in_block(self) -> bool:
        return self.status() is not TransactionStatus.IDLE

    def begin(self) -> None:
        """Begins a transaction as its tool does."""
        with self.looking():
            self.watch.prepare()
        self.connection.execute("BEGIN")

    def spans(self) -> tuple[LockSpan, ...]:
        """See Ran."""
        return self.watch.spans()

    @property
    def kinds(self) -> Mapping[str, str]:
        """See Ran."""
        return self.watch.kinds

    def transaction_over(self, *, committed: bool) -> None:
        """The transaction is at its end, or there was none."""
        self.committed = self.committed or committed
        self.watch.transaction_over(self.now_ms(), committed=committed)


class Ran(Protocol):
    """What was seen of a migration that was run: its statements, its locks, and whether something of it is there to stay."""

    @property
    def results(self) -> Sequence[StatementResult]:
        """Its statements, in order."""

    @property
    def committed(self) -> bool:
        """Whether something of it is there to stay."""

    @property
    def kinds(self) -> Mapping[str, str]:
        """What each relation is that was there before."""

    def now_ms(self) -> float:
        """How long it took, without our looking."""

    def spans(self) -> tuple[LockSpan, ...]:
        """All locks that were held, in the order in which they were taken."""


@dataclass(frozen=True, slots=True)
class Applied:
    """A migration that was run: how, and how far it came. `statements`: how many it has; `sent`: what was sent, where that is
    not the file's text. `run` is None when its tool would not have begun.
    """

    statements: int
    transaction: Transaction
    run: Ran | None
    error: SqlError | None = None
    refused: tuple[ConstraintChange, ...] = ()
    sent: str = ""


def apply(
    migration: Migration,
    connection: psycopg.Connection,
    observer: psycopg.Connection | None,
    limits: Limits,
    before: Snapshot | None = None,
) -> Applied:
    """Runs a migration's statements as its tool would, and leaves the connection outside any transaction. Without an observer
    nothing is watched: for what the base branch already has. `before`: the catalog as it is now, for the watch to compare with.
    """
    script = split(migration.text)
    try:
        transaction = named(migration.layout).transaction(migration.text, script)
    except ToolRefusal as refusal:
        return Applied(len(script.statements), Transaction.SINGLE, None, SqlError("", str(refusal), refusal.line))
    watch = Watch(Direct(connection), observer, before or Snapshot())
    one_query = transaction is Transaction.IMPLICIT and len(script.statements) == 1
    run = Run(connection, watch, limits, transaction, one_query)
    connection.add_notice_handler(watch.note)
    try:
        with limits.guard.watching(connection, limits.migration_s) as stopped:
            _run_script(run, script, migration.text, stopped)
        return Applied(len(script.statements), transaction, run)
    except MigrationFailed as failed:
        return Applied(len(script.statements), transaction, run, failed.error, failed.constraints)
    finally:
        run.stop()
        connection.remove_notice_handler(watch.note)
        _end_everything(connection)


def _run_script(run: Run, script: Script, text: str, stopped: Stopped) -> None:
    """Runs the statements in order and commits. Raises MigrationFailed."""
    try:
        for number, statement in enumerate(script.statements):
            _check_limits(stopped, statement)
            _open_block(run, first=number == 0)
            _run_statement(run, statement, stopped)
        _close_block(run, script)
    except MigrationFailed as failed:
        may_be_ours = failed.error.sqlstate == PostgresSyntaxError.sqlstate and not failed.error.raised
        if may_be_ours and _runs_whole(run, script, text):
            return
        raise


def _check_limits(stopped: Stopped, statement: Statement) -> None:
    """Between two statements there was nothing to cancel. Raises MigrationFailed."""
    if stopped.why:
        raise MigrationFailed(SqlError("57014", f"stopped: {stopped.why}", statement.line))


def _open_block(run: Run, *, first: bool) -> None:
    """Sends the BEGIN that the tool sends, or that one simple query with several statements implies."""
    if run.in_block() or run.transaction is Transaction.NONE or run.one_query:
        return
    if first or run.transaction is Transaction.IMPLICIT:
        run.begin()


def _close_block(run: Run, script: Script) -> None:
    last = script.statements[-1] if script.statements else None
    if not run.in_block() or last is None:
        return
    if run.explicit and run.transaction is not Transaction.SINGLE:
        raise MigrationFailed(
            SqlError("25001", "The file begins a transaction and does not end it: everything since is lost.", last.line)
        )
    _check_deferred(run, last.line)
    _time_and_run(run, "COMMIT", last.line)
    run.transaction_over(committed=True)


def _refuse_in_simple_query(run: Run, statement: Statement) -> None:
    """What a file sent as one simple query can't hold, and we, who send it statement by statement, could: commands that want a
    transaction block begun by hand, and data for COPY, which only psql sends. Raises MigrationFailed as the tool would see it.
    """
    if run.transaction is not Transaction.IMPLICIT or run.explicit:
        return
    if statement.copy_data:
        message = "syntax error: the data after COPY … FROM stdin is for psql, and its tool sends the whole file as SQL"
        raise MigrationFailed(SqlError("42601", message, statement.line + 1))
    if statement.begins("savepoint", "release", "rollback to", "rollback transaction to", "rollback work to"):
        name = statement.words[0].upper() if statement.words[0] != "rollback" else "ROLLBACK TO SAVEPOINT"
        raise MigrationFailed(SqlError("25P01", f"{name} can only be used in transaction blocks", statement.line))
    if statement.begins("commit", "rollback") and "chain" in statement.words and "no" not in statement.words:
        name = f"{statement.words[0].upper()} AND CHAIN"
        raise MigrationFailed(SqlError("25P01", f"{name} can only be used in transaction blocks", statement.line))


def _run_statement(run: Run, statement: Statement, stopped: Stopped) -> None:
    _refuse_in_simple_query(run, statement)
    if run.in_block() and statement.begins("commit", "end"):
        _check_deferred(run, statement.line)
    guarded = statement.begins(*MAY_BREAK_ROWS) and run.status() is TransactionStatus.INTRANS
    if guarded:
        with run.looking():
            run.connection.execute("SAVEPOINT rehearsal")
    # A statement that would be alone in its transaction is given one, so that its locks can be read before they are gone.
    alone = not run.in_block() and _may_be_wrapped(statement)
    began_ms = run.now_ms()
    try:
        if alone:
            run.begin()
        run.watch.begin(began_ms, statement.line, statement.sql)
        if created_by(statement) in run.limits.guard.may_create:
            tag, rows = _execute_alone(run, statement)
        else:
            tag, rows = _execute(run.connection, statement)
        duration_ms = run.now_ms() - began_ms
        with run.looking():
            facts = run.watch.end(began_ms + duration_ms, tag)
            if guarded and run.status() is TransactionStatus.INTRANS:
                run.connection.execute("RELEASE SAVEPOINT rehearsal")
        if alone:
            run.connection.execute("COMMIT")
            duration_ms = run.now_ms() - began_ms
    except psycopg.Error as error:
        # What runs outside a transaction may leave something though it fails: an invalid index, what it committed before.
        run.committed = run.committed or run.status() is TransactionStatus.IDLE
        _record_failure(run, statement, error, began_ms, stopped)
        _back_to_before(run, guarded=guarded, alone=alone)
        raise _explained(run, statement, error) from error
    facts = _as_implied(run, statement, facts)
    _note_block(run, statement)
    run.results.append(_result(run, statement, began_ms, duration_ms, rows, facts))
    if not run.in_block():
        run.transaction_over(committed=tag != "ROLLBACK")


def _execute_alone(run: Run, statement: Statement) -> tuple[str, None]:
    """Executes a statement with rights that are lent to it. It is sent so that PostgreSQL takes one statement and no more."""
    with run.limits.guard.lend(run.connection):
        cursor = run.connection.execute(statement.sql.encode(), binary=True)
        return cursor.statusmessage or "", None


def _as_implied(run: Run, statement: Statement, facts: Facts) -> Facts:
    """What PostgreSQL remarks on a file sent as one simple query. The transaction is implied there and begun by us here: BEGIN
    takes it over without a word, and COMMIT is told that there is none (EndTransactionBlock in its source).
    """
    if run.transaction is not Transaction.IMPLICIT or run.one_query or run.explicit:
        return facts
    if statement.begins(*_BEGINS):
        return replace(facts, notices=tuple(n for n in facts.notices if n.sqlstate != "25001"))
    if statement.begins(*_ENDS[:4]) and "to" not in statement.words[:3]:
        return replace(facts, notices=(*facts.notices, Notice("25P01", "there is no transaction in progress")))
    return facts


def _result(
    run: Run,
    statement: Statement,
    began_ms: float,
    duration_ms: float,
    rows: int | None,
    facts: Facts,
    error: SqlError | None = None,
) -> StatementResult:
    timeout_ms = facts.statement_timeout_ms
    return StatementResult(
        line=statement.line,
        sql=statement.sql,
        duration_ms=round(duration_ms, 3),
        rows_affected=rows,
        locks=facts.locks,
        error=error,
        began_ms=round(began_ms, 3),
        rewrites=facts.rewrites,
        emptied=facts.emptied,
        scans=facts.scans,
        indexes=facts.indexes,
        notices=facts.notices,
        lock_timeout_ms=facts.lock_timeout_ms,
        statement_timeout_ms=0 if timeout_ms == run.limits.backstop_ms else timeout_ms,  # that one is ours
    )


def _record_failure(run: Run, statement: Statement, error: psycopg.Error, began_ms: float, stopped: Stopped) -> None:
    said = _sql_error(error, statement, stopped)
    duration_ms = run.now_ms() - began_ms
    facts = run.watch.failed(began_ms + duration_ms)
    run.results.append(_result(run, statement, began_ms, duration_ms, None, facts, said))
    if run.connection.closed:
        raise MigrationFailed(said) from error


def _explained(run: Run, statement: Statement, error: psycopg.Error) -> MigrationFailed:
    """The failure with the rows that stand in its way, counted in the state that the statement met, if it can be had."""
    said = run.results[-1].error
    assert said is not None  # noqa: S101  recorded just before
    if run.status() is TransactionStatus.INERROR:
        return MigrationFailed(said)
    with run.looking():
        in_the_way = diagnose(run.connection, statement.sql, error, line=said.line, limit_ms=run.limits.count_ms)
    return MigrationFailed(said, in_the_way)


def _back_to_before(run: Run, *, guarded: bool, alone: bool) -> None:
    """After a statement that failed. Raises MigrationFailed if its session has just been ended, too."""
    try:
        if guarded:
            run.connection.execute("ROLLBACK TO SAVEPOINT rehearsal")
        elif alone:
            _end_everything(run.connection)
    except psycopg.OperationalError as error:
        said = run.results[-1].error
        assert said is not None  # noqa: S101  recorded just before
        raise MigrationFailed(said) from error


def _check_deferred(run: Run, line: int) -> None:
    """Asks for deferred constraints just before a COMMIT would, when the rows that break one can still be counted."""
    if run.status() is not TransactionStatus.INTRANS:
        return
    run.connection.execute("SAVEPOINT rehearsal")
    try:
        run.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        run.connection.execute("RELEASE SAVEPOINT rehearsal")
    except psycopg.Error as error:
        said = SqlError(error.sqlstate or "", message_of(error), line, error.diag.message_detail)
        run.connection.execute("ROLLBACK TO SAVEPOINT rehearsal")
        with run.looking():
            in_the_way = broken_at_commit(run.connection, error, line=line, limit_ms=run.limits.count_ms)
        raise MigrationFailed(said, in_the_way) from error


def _time_and_run(run: Run, command: str, line: int) -> None:
    try:
        run.connection.execute(command.encode())
    except psycopg.Error as error:
        raise MigrationFailed(SqlError(error.sqlstate or "", message_of(error), line, error.diag.message_detail)) from error


def _runs_whole(run: Run, script: Script, text: str) -> bool:
    """A syntax error may be our splitter's fault: sends the file whole, as its tool would. Whether it ran."""
    if run.committed or run.transaction is Transaction.NONE or any(s.copy_data is not None for s in script.statements):
        return False
    _end_everything(run.connection)
    began_ms = run.now_ms()
    try:
        if run.transaction is Transaction.SINGLE:
            run.connection.execute("BEGIN")
        send(run.connection, text.encode())
        if run.in_block():
            run.connection.execute("COMMIT")
        run.transaction_over(committed=True)
    except psycopg.Error:
        return False
    line = script.statements[0].line
    run.results[:] = [StatementResult(line, text, round(run.now_ms() - began_ms, 3), None, None)]
    return True


def _may_be_wrapped(statement: Statement) -> bool:
    """Whether a BEGIN around the statement changes nothing for it: not for what ends or begins transactions itself (a CALL
    or DO may COMMIT), nor for what PostgreSQL refuses in a block, or outside one (LOCK).
    """
    return statement.begins(
        "alter table", "create", "drop", "insert", "update", "delete", "merge", "with", "truncate", "comment", "grant", "revoke",
        "refresh", "alter type", "alter index", "alter sequence", "alter view", "alter schema", "alter domain",
    ) and not refuses_transaction(statement)  # fmt: skip


def _note_block(run: Run, statement: Statement) -> None:
    if statement.begins(*_BEGINS):
        run.explicit = True
    elif statement.begins(*_ENDS) and "to" not in statement.words[:3]:  # not ROLLBACK TO SAVEPOINT
        run.explicit = run.in_block()


def _execute(connection: psycopg.Connection, statement: Statement) -> tuple[str, int | None]:
    """Sends one statement as it stands. PostgreSQL's word for it, and the rows affected, where its command has such a count."""
    if statement.copy_data is None and not statement.begins("copy"):
        tag, gave_rows = send(connection, statement.sql.encode())
        counted = None if gave_rows else COUNTED_TAG.fullmatch(tag)
        return tag, int(counted[1]) if counted else None
    with connection.cursor() as cursor:
        if statement.copy_data is not None:
            with cursor.copy(statement.sql.encode()) as copy:
                copy.write(statement.copy_data.encode())  # as they are in the file, whatever client_encoding says
        elif _COPY_OUT.search(statement.sql):
            with cursor.copy(statement.sql.encode()) as copy:
                for _rows in copy:
                    pass
        else:
            cursor.execute(statement.sql.encode())
        tag = cursor.statusmessage or ""
        counted = COUNTED_TAG.fullmatch(tag) if cursor.description is None else None
        return tag, int(counted[1]) if counted else None


def _sql_error(error: psycopg.Error, statement: Statement, stopped: Stopped) -> SqlError:
    position = int(error.diag.statement_position or 1)
    line = statement.line + statement.sql.count("\n", 0, position - 1)
    message = message_of(error, statement.sql)
    hint = None if is_raised(error.diag) else error.diag.message_hint
    if stopped.why and (isinstance(error, QueryCanceled) or error.sqlstate in (None, "57P01")):
        message = f"stopped: {stopped.why}"
    elif statement.sql.startswith(BOM):
        hint = "The file begins with a byte order mark, which its tool sends to the server. Save it as UTF-8 without one."
    return SqlError(error.sqlstate or "", message, line, error.diag.message_detail, hint, raised=is_raised(error.diag))


def message_of(error: psycopg.Error, sql: str = "") -> str:
    """PostgreSQL's own message without what may be a row's value, at most 1,000 characters: a name may be as long as its file."""
    return _without_what_is_not_said(error, sql)[:1000]


def _without_what_is_not_said(error: psycopg.Error, sql: str) -> str:
    """Without whatever a data exception (class 22) quotes; of what others quote, what neither the statement says nor the catalog
    names; of what a migration RAISEs, what the statement does not say.
    """
    diag = error.diag
    message = diag.message_primary or str(error).strip() or type(error).__name__
    state = error.sqlstate or ""
    if state.startswith("22") and not is_raised(diag):
        return without_values(message)
    if state.startswith("P0") or is_raised(diag):
        return message if message in sql else " ".join(word if word in sql else "…" for word in message.split())
    names = (diag.schema_name, diag.table_name, diag.column_name, diag.constraint_name, diag.datatype_name)
    said = " ".join((sql, *filter(None, names)))
    made_up = _words(" ".join((diag.internal_query or "", *_QUOTED_SQL.findall(diag.context or "")))) - _words(said)
    message = _WORDS.sub(lambda word: "…" if word[0].lower() in made_up else word[0], message)
    # A statement that was put together at run time may name what a row's value says.
    return said_by(said, message) + ("" if made_up else _what_depends(diag, state))


def _what_depends(diag: Diagnostic, state: str) -> str:
    """What stands in the way, where PostgreSQL says it in the DETAIL: names of the catalog, and never a row's value."""
    if state not in _IN_THE_WAY or not diag.message_detail:
        return ""
    lines = [line.strip() for line in diag.message_detail.splitlines() if line.strip()]
    more = f"; and {len(lines) - _DEPENDENTS_NAMED} more" if len(lines) > _DEPENDENTS_NAMED else ""
    return f" ({'; '.join(lines[:_DEPENDENTS_NAMED])}{more})"


def _words(text: str) -> set[str]:
    return {word.lower() for word in _WORDS.findall(text)}


def _end_everything(connection: psycopg.Connection) -> None:
    """Leaves whatever transaction is open, and makes the connection's row counters known to the observer."""
    if connection.closed:
        return
    with suppress(psycopg.OperationalError):  # it has just been ended
        if connection.info.transaction_status is not TransactionStatus.IDLE:
            connection.rollback()
        connection.execute("SELECT pg_catalog.pg_stat_force_next_flush()")
