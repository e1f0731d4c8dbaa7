"""The journal's tables. Every method is one transaction, tried again with growing pauses while the server does not answer."""

from __future__ import annotations

import logging
import os
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib.resources import files
from typing import Any, TypeVar

import psycopg
import stamina
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import class_row, dict_row
from psycopg.sql import SQL
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool

from bot.errors import DriftError, FencedError, JournalError, UnreachableError, UsageError
from bot.journal.holder import is_gone
from bot.journal.steps import Busy, Json, Kind, Lease, RunRow, State, Step, StepRow, run_id_of

SCHEMA_VERSION = 1
LOCK_TIMEOUT = "20s"
DEADLINE_S = 60.0
_SCHEMA_LOCK = 7_246_103_557  # any number, as long as every version of this program takes the same
_KEYS, _NAMES = 724_610_355, 724_610_356  # the spaces of our advisory locks on the keys of runs, and on names
_Result = TypeVar("_Result")

_STEP_COLUMNS = """journal.step_id, journal.name, journal.request_hash, journal.idempotency_key, journal.state, journal.attempt,
    journal.token, journal.started_at, journal.completed_at, journal.response_body, journal.error"""


class Store:
    """The tables in one database, through a pool of connections; may be used by many threads."""

    def __init__(self, conninfo: str, *, patience_s: float = 30.0, connections: int = 4) -> None:
        """Connects, and makes or migrates the tables. `patience_s`: how long to try while the server does not answer.

        Raises UnreachableError; JournalError if the tables can't be made, or are somebody else's; UsageError for a URL that
        can't be read.
        """
        self._patience_s = patience_s
        self._conninfo = _complete(conninfo)
        stamina.instrumentation.set_on_retry_hooks([])  # it would tell of each try in the log; we tell the outcome
        logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
        self._patiently(self._prepare)
        self._pool = ConnectionPool(
            self._conninfo,
            min_size=1,
            max_size=connections,
            timeout=min(5.0, patience_s),
            kwargs={"autocommit": True, "prepare_threshold": None},  # a pooler between us may not keep what is prepared
            open=True,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._pool.close()

    def ping(self, patience_s: float = 3.0) -> None:
        """Asks the server for a sign of life. Raises UnreachableError."""

        def once() -> None:
            with self._pool.connection() as connection:
                connection.execute("SELECT 1")

        self._patiently(once, patience_s)

    def connect(self) -> psycopg.Connection:
        """A connection of one's own."""
        return psycopg.connect(self._conninfo, autocommit=True, prepare_threshold=None)

    # ── Leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def acquire(self, key: str, kind: str, holder: str, lease_s: float, *, anew: bool = False) -> Lease | Busy:
        """Takes the newest run of a key, or makes the first; with `anew` one more generation of it. Who asks again under the
        same holder's name, because an answer was lost, gets the same lease.
        """

        def work(connection: psycopg.Connection) -> Lease | Busy:
            connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_KEYS, key))
            newest = connection.execute(
                "SELECT generation, token, holder, finished_at, coalesce(lease_until > clock_timestamp(), false), retired"
                " FROM runs WHERE key = %s ORDER BY generation DESC LIMIT 1 FOR UPDATE",
                (key,),
            ).fetchone()
            if newest is None:
                return self._begin(connection, key, 1, kind, (holder, lease_s))
            generation, token, held_by, finished_at, leased, retired = newest
            if leased and held_by == holder:
                return Lease(run_id_of(key, generation), key, token, generation, token > 1, finished_at is not None)
            if leased and not is_gone(held_by):
                return Busy(held_by)
            if anew or retired:
                return self._begin(connection, key, generation + 1, kind, (holder, lease_s))
            connection.execute(
                "UPDATE runs SET token = token + 1, holder = %s, lease_until = clock_timestamp() + %s"
                " WHERE key = %s AND generation = %s",
                (holder, timedelta(seconds=lease_s), key, generation),
            )
            run_id = run_id_of(key, generation)
            return Lease(run_id, key, token + 1, generation, resumed=True, finished=finished_at is not None)

        return self._patiently_pooled(work)

    @staticmethod
    def _begin(connection: psycopg.Connection, key: str, generation: int, kind: str, held: tuple[str, float]) -> Lease:
        holder, lease_s = held
        run_id = run_id_of(key, generation)
        connection.execute(
            "INSERT INTO runs (run_id, key, generation, kind, token, holder, lease_until)"
            " VALUES (%s, %s, %s, %s, 1, %s, clock_timestamp() + %s)",
            (run_id, key, generation, kind, holder, timedelta(seconds=lease_s)),
        )
        return Lease(run_id, key, 1, generation, resumed=False, finished=False)

    def renew(self, lease: Lease, lease_s: float) -> None:
        """Makes the lease last `lease_s` seconds from now, also if it had run out and nobody took it. Raises FencedError."""
        self._patiently_pooled(lambda connection: _fence(connection, lease, lease_s))

    def release(self, lease: Lease, *, finished: bool, retired: bool = False) -> None:
        """Lets go of a run, `retired` if its answer is not to be given again; nothing happens if somebody else has it. It is not
        tried for long: a lease runs out by itself, and who is cancelled has no time.
        """
        self._patiently_pooled(
            lambda connection: connection.execute(
                "UPDATE runs SET holder = NULL, lease_until = NULL, retired = retired OR %s,"
                " finished_at = CASE WHEN %s THEN coalesce(finished_at, clock_timestamp()) ELSE finished_at END"
                " WHERE run_id = %s AND token = %s",
                (retired, finished, lease.run_id, lease.token),
            ),
            patience_s=2.0,
        )

    # ── Steps ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def look_up(self, lease: Lease, step: Step) -> StepRow | None:
        """A step as the journal holds it, if it does. Raises DriftError if that is another step."""
        return self._patiently_pooled(lambda connection: _look_up(connection, lease, step))

    def intend(self, lease: Lease, lease_s: float, step: Step, idempotency_key: str, *, again: bool = False) -> StepRow | None:
        """Commits that a step is about to be fired; gives it as it was before, if it was. A step that is done or in doubt
        stays as it is, unless it is to be fired `again`. `idempotency_key` is for a step that is new; else its own stays.

        Raises FencedError, DriftError.
        """

        def work(connection: psycopg.Connection) -> StepRow | None:
            _fence(connection, lease, lease_s)
            before = _look_up(connection, lease, step)
            if before is None or before.state is State.NOT_DONE or again:
                _upsert_intent(connection, lease, step, idempotency_key)
            return before

        return self._patiently_pooled(work)

    def complete(self, lease: Lease, lease_s: float, step: Step, response: Json) -> None:
        """Commits the result of a step. Raises FencedError."""
        self._settle(lease, lease_s, step, (State.DONE, response, None))

    def not_done(self, lease: Lease, lease_s: float, step: Step, error: str) -> None:
        """Commits that a step was tried and surely had no effect. Raises FencedError."""
        self._settle(lease, lease_s, step, (State.NOT_DONE, None, error))

    def in_doubt(self, lease: Lease, lease_s: float, step: Step, error: str) -> None:
        """Commits why a step's outcome is not known. Raises FencedError."""
        self._settle(lease, lease_s, step, (State.IN_DOUBT, None, error))

    def _settle(self, lease: Lease, lease_s: float, step: Step, outcome: tuple[State, Json, str | None]) -> None:
        state, response, error = outcome

        def work(connection: psycopg.Connection) -> None:
            _fence(connection, lease, lease_s)
            connection.execute(
                "UPDATE journal SET state = %s, response_body = %s, error = %s,"
                " completed_at = CASE WHEN %s = 'done' THEN clock_timestamp() END"
                " WHERE run_id = %s AND step_id = %s",
                (state, Jsonb(response), error, state, lease.run_id, step.step_id),
            )

        self._patiently_pooled(work)

    def record(self, lease: Lease, lease_s: float, step: Step, response: Json) -> None:
        """Commits a fact, which had no effect outside and needs no intent. Raises FencedError, DriftError."""

        def work(connection: psycopg.Connection) -> None:
            _fence(connection, lease, lease_s)
            _look_up(connection, lease, step)
            connection.execute(
                "INSERT INTO journal (run_id, step_id, name, request_hash, idempotency_key, state, attempt, token,"
                " completed_at, response_body) VALUES (%s, %s, %s, %s, '', 'done', 1, %s, clock_timestamp(), %s)"
                " ON CONFLICT (run_id, step_id) DO UPDATE SET response_body = excluded.response_body, state = 'done',"
                " completed_at = excluded.completed_at, token = excluded.token, error = NULL",
                (lease.run_id, step.step_id, step.name, step.request_hash, lease.token, Jsonb(response)),
            )

        self._patiently_pooled(work)

    def find_fact(self, request_hash: str) -> tuple[StepRow, str] | None:
        """The newest done step of any run that had this request, and that run's key."""

        def work(connection: psycopg.Connection) -> tuple[StepRow, str] | None:
            row = (
                connection.cursor(row_factory=dict_row)
                .execute(
                    f"SELECT {_STEP_COLUMNS}, r.key FROM journal JOIN runs AS r USING (run_id)"  # noqa: S608  our own columns
                    " WHERE request_hash = %s AND state = 'done' AND NOT r.retired ORDER BY completed_at DESC LIMIT 1",
                    (request_hash,),
                )
                .fetchone()
            )
            if row is None:
                return None
            key = row.pop("key")
            return _step_row(row), key

        return self._patiently_pooled(work)

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """Keeps every other process out that asks for the same name, as long as the block runs and the server lives."""
        connection = self._patiently(self.connect)
        try:
            # A transaction, and no session's lock: a pooler may stand between us. Should this machine vanish, the server lets
            # go of it after five minutes.
            connection.execute("BEGIN")
            connection.execute("SET LOCAL idle_in_transaction_session_timeout = '5min'")
            connection.execute("SET LOCAL lock_timeout = '6min'")
            with _deadline(connection, 7 * DEADLINE_S):
                connection.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (_NAMES, name))
        except psycopg.Error as error:
            connection.close()
            raise self._explained(error) from error
        try:
            yield
        finally:
            connection.close()

    # ── For people ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def runs(self, limit: int | None = 50) -> list[RunRow]:
        """The newest runs; all of them without a limit."""
        return self._patiently_pooled(
            lambda connection: (
                connection.cursor(row_factory=class_row(RunRow))
                .execute(
                    "SELECT run_id, key, generation, kind, r.started_at, finished_at, holder,"
                    " coalesce(lease_until > clock_timestamp(), false) AS leased,"
                    " count(*) FILTER (WHERE state = 'done') AS done, count(*) FILTER (WHERE state = 'in doubt') AS in_doubt,"
                    " count(*) FILTER (WHERE state = 'not done') AS not_done"
                    " FROM runs AS r LEFT JOIN journal USING (run_id) WHERE kind <> 'attempt' GROUP BY r.run_id"
                    " ORDER BY r.started_at DESC LIMIT %s",
                    (limit,),
                )
                .fetchall()
            )
        )

    def steps(self, run_id: uuid.UUID) -> list[StepRow]:
        """The steps of a run, in order."""

        def work(connection: psycopg.Connection) -> list[StepRow]:
            rows = connection.cursor(row_factory=dict_row).execute(
                f"SELECT {_STEP_COLUMNS} FROM journal WHERE run_id = %s ORDER BY step_id",  # noqa: S608  our own columns
                (run_id,),
            )
            return [_step_row(row) for row in rows]

        return self._patiently_pooled(work)

    def prune(self, older_than: timedelta, *, kinds: Sequence[Kind] = tuple(Kind), in_doubt: bool = False) -> tuple[int, int]:
        """Removes runs of these kinds that nobody works on and that nothing was written to for so long; those with a step in
        doubt stay, unless `in_doubt`: they know of effects that nobody else knows of. Gives how many were removed, and how many
        stayed.
        """
        names = [str(kind) for kind in kinds]

        def work(connection: psycopg.Connection) -> tuple[int, int]:
            old = (
                "SELECT r.run_id, EXISTS (SELECT FROM journal AS j WHERE j.run_id = r.run_id AND j.state = 'in doubt') AS doubt"
                " FROM runs AS r WHERE (r.lease_until IS NULL OR r.lease_until < clock_timestamp() - interval '1 hour')"
                " AND greatest(r.started_at, r.finished_at, r.lease_until, (SELECT max(greatest(j.started_at, j.completed_at))"
                " FROM journal AS j WHERE j.run_id = r.run_id)) < clock_timestamp() - %s AND r.kind = ANY(%s)"
            )
            removed = connection.execute(
                # The lease is asked for on the very row too: somebody may have taken it since the list was made.
                f"DELETE FROM runs USING ({old}) AS old WHERE runs.run_id = old.run_id AND (%s OR NOT old.doubt)"  # noqa: S608
                " AND (runs.lease_until IS NULL OR runs.lease_until < clock_timestamp() - interval '1 hour')",
                (older_than, names, in_doubt),
            ).rowcount
            stayed = connection.execute(f"SELECT count(*) FROM ({old}) AS old", (older_than, names)).fetchone()  # noqa: S608
            return removed, stayed[0] if stayed else 0

        return self._patiently_pooled(work)

    # ── How ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _prepare(self) -> None:
        with self.connect() as connection, _deadline(connection):
            _make_tables(connection)

    def _patiently_pooled(self, work: Callable[[psycopg.Connection], _Result], patience_s: float | None = None) -> _Result:
        def once() -> _Result:
            with self._pool.connection(patience_s) as connection, _deadline(connection), connection.transaction():
                # Not for the session, which a pooler may give to somebody else: whoever holds a lock for ever must not hang us.
                connection.execute(SQL("SET LOCAL lock_timeout = {}").format(LOCK_TIMEOUT))
                return work(connection)

        return self._patiently(once, patience_s)

    def _patiently(self, work: Callable[[], _Result], patience_s: float | None = None) -> _Result:
        try:
            for attempt in stamina.retry_context(
                on=_may_come_back,
                attempts=None,
                timeout=patience_s or self._patience_s,
                wait_initial=0.05,
                wait_max=2.0,
                wait_jitter=0.1,
            ):
                with attempt:
                    return work()
        except psycopg.Error as error:
            raise self._explained(error) from error
        raise AssertionError  # pragma: no cover  the loop returns or raises

    def _explained(self, error: psycopg.Error) -> JournalError:
        said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        where = _place(self._conninfo)
        if isinstance(error, psycopg.OperationalError):
            does_what = "has no room left" if error.sqlstate in ("53100", "53200", "58030") else "does not answer"
        else:
            does_what = "can't be used"
        return UnreachableError(
            f"The journal at {where} {does_what}.",
            why=said,
            advice="Check the journal's URL and its server; `journal-failure: continue` goes on without it.",
        )


@contextmanager
def _deadline(connection: psycopg.Connection, limit_s: float | None = None) -> Iterator[None]:
    """Cuts a connection whose server takes what we send and never answers: no timeout of the server's own would help there."""

    def cut() -> None:
        with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as wire:
            wire.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(limit_s or DEADLINE_S, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _fence(connection: psycopg.Connection, lease: Lease, lease_s: float) -> None:
    """Renews the lease, and locks it to the end of the transaction: nobody takes over while this transaction writes."""
    mine = connection.execute(
        "UPDATE runs SET lease_until = clock_timestamp() + %s WHERE run_id = %s AND token = %s",
        (timedelta(seconds=lease_s), lease.run_id, lease.token),
    ).rowcount
    if not mine:
        raise FencedError(
            "Another process has taken this run over.",
            why="This one was not heard of for longer than its lease lasts, or the run was pruned.",
            advice="Nothing more was written; look at the other run's result.",
        )


def _look_up(connection: psycopg.Connection, lease: Lease, step: Step) -> StepRow | None:
    row = (
        connection.cursor(row_factory=dict_row)
        .execute(
            f"SELECT {_STEP_COLUMNS} FROM journal WHERE run_id = %s AND step_id = %s",  # noqa: S608  our own columns
            (lease.run_id, step.step_id),
        )
        .fetchone()
    )
    if row is None:
        return None
    found = _step_row(row)
    for what, journaled, asked in (
        ("name", found.name, step.name),
        ("request", found.request_hash, step.request_hash),
    ):
        if journaled != asked:
            raise DriftError(
                f"Step {step.step_id} of run {lease.run_id} has another {what} than the journal holds.",
                why=f"The journal has «{journaled}», and now «{asked}» was asked for.",
                advice="Ask for the steps in the order and with the requests of the first time, or begin a new run.",
            )
    return found


def _upsert_intent(connection: psycopg.Connection, lease: Lease, step: Step, idempotency_key: str) -> None:
    connection.execute(
        "INSERT INTO journal (run_id, step_id, name, request_hash, idempotency_key, state, attempt, token)"
        " VALUES (%s, %s, %s, %s, %s, 'in doubt', 1, %s)"
        " ON CONFLICT (run_id, step_id) DO UPDATE SET state = 'in doubt', completed_at = NULL,"
        " attempt = journal.attempt + 1, token = excluded.token, started_at = clock_timestamp()",
        (lease.run_id, step.step_id, step.name, step.request_hash, idempotency_key, lease.token),
    )


def _step_row(row: dict[str, Any]) -> StepRow:
    return StepRow(**{**row, "state": State(row["state"])})


def _make_tables(connection: psycopg.Connection) -> None:
    """Makes the tables, or migrates them; two that start at once wait for each other."""
    if _version(connection) == SCHEMA_VERSION:
        return
    try:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))
            version = _version(connection)
            if version == 0:
                _refuse_other_tables(connection)
                connection.execute("CREATE TABLE journal_schema (version int NOT NULL)")
                connection.execute("INSERT INTO journal_schema VALUES (0)")
            for number in range(version + 1, SCHEMA_VERSION + 1):
                connection.execute(files("bot.journal").joinpath(f"journal_{number}.sql").read_bytes())
                connection.execute("UPDATE journal_schema SET version = %s", (number,))
    except psycopg.errors.InvalidSchemaName as error:
        raise JournalError(
            "The journal's tables can't be made: the schema that the URL names is not there.",
            advice="Make it: CREATE SCHEMA …; or leave ?options=-csearch_path%3D… out of the URL.",
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise JournalError(
            "The journal's tables can't be made.",
            why=str(error).splitlines()[0],
            advice="Give its role a database of its own, or CREATE on the schema; another schema is named by "
            "?options=-csearch_path%3Dname in the URL.",
        ) from error


def _version(connection: psycopg.Connection) -> int:
    """The version of the tables; 0 where there are none. Raises JournalError for a newer one than this program knows."""
    if not _table(connection, "journal_schema"):
        return 0
    row = connection.execute("SELECT version FROM journal_schema").fetchone()
    version = int(row[0]) if row else 0
    if version > SCHEMA_VERSION:
        raise JournalError(
            f"The journal's tables have version {version}; this program knows versions up to {SCHEMA_VERSION}.",
            advice="Use the newer program everywhere, or give this one a journal of its own.",
        )
    return version


def _refuse_other_tables(connection: psycopg.Connection) -> None:
    for name in ("runs", "journal"):
        if _table(connection, name):
            raise JournalError(
                f"The journal's database has a table {name} that is not the journal's.",
                advice="Give the journal a database of its own, or a schema: ?options=-csearch_path%3Dname in the URL.",
            )


def _table(connection: psycopg.Connection, name: str) -> bool:
    """Whether there is such a table. `to_regclass` would not do: it may answer from a cache that is older than the lock we
    waited for, where reading pg_class sees what was committed.
    """
    there = connection.execute(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relname = %s AND relkind IN ('r', 'p', 'v')"
        " AND pg_catalog.pg_table_is_visible(oid))",
        (name,),
    ).fetchone()
    return bool(there and there[0])


def _may_come_back(error: Exception) -> bool:
    """Whether it is worth another try: the server is away, starting or stopping, or has no connection left; not when it
    refuses us.
    """
    if not isinstance(error, psycopg.OperationalError):
        return isinstance(error, psycopg.InterfaceError)
    if error.sqlstate:
        return error.sqlstate[:2] == "08" or error.sqlstate in ("57P01", "57P02", "57P03", "53300", "40001", "40P01")
    return not any(refusal in str(error) for refusal in ("authentication failed", "does not exist", "pg_hba.conf", "certificate"))


def _complete(conninfo: str) -> str:
    """Adds what keeps a dead network from hanging us, where the URL does not say so itself. Raises UsageError."""
    ours: dict[str, Any] = {
        "application_name": "migration-rehearsal journal",
        "connect_timeout": "10",
        "keepalives_idle": "10",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "20000",
    }
    try:
        given = conninfo_to_dict(conninfo)
    except psycopg.Error:
        raise UsageError(
            "The journal's URL can't be read.",
            advice="Write it as postgresql://user:password@host:5432/database; it is not shown here.",
        ) from None
    hosts, ports, database = (str(given.get(name) or "") for name in ("host", "port", "dbname"))
    if "://" in conninfo and ("@" in hosts + database or "/" in database or not re.fullmatch(r"[0-9,]*", ports)):
        raise UsageError(
            "The journal's URL can't be read: its password holds a character that means something in a URL.",
            advice="Write @ as %40, / as %2F, : as %3A, ? as %3F, # as %23; it is not shown here.",
        )
    return make_conninfo("", **(ours | given))


def _place(conninfo: str) -> str:
    """Where a journal is, without anything secret."""
    given = conninfo_to_dict(conninfo)
    return f"{given.get('host') or 'the local socket'}, database {given.get('dbname') or 'of its user'}"
