"""Clones in a service elsewhere: databases behind a connection URL, each got and given back as a step of the run.

There we are nobody in particular: one role, the migration's own, and what it may see. Sessions of ours are opened as that role,
with what a migration may have set for it set back.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.clones import Clone
from bot.clones.addresses import refusal
from bot.clones.hindrances import NETWORK, OURS, UNHINDERED, as_options
from bot.clones.services import Kind, Lease, Leftover, Order, Service, ServiceError, forgotten
from bot.errors import CloneError, JournalError, RehearsalError
from bot.journal.runs import Steps
from bot.journal.steps import Step, StepRow
from bot.plain import from_plain, to_plain
from bot.postgres.counts import next_xid
from bot.postgres.guard import Guard
from bot.words import name

_FIRST_STEP = 1000  # the steps of a clone: got, and given back; far behind those of a rehearsal
_FORGOTTEN = timedelta(hours=24)  # after which a clone of ours is nobody's any more
_ENTER_S = 30.0  # a service may say that a database is ready before it takes connections
# Who may do on that server whatever its account may: what a role is, or may become by SET ROLE.
_MIGHTY = """
SELECT rolname::text FROM pg_catalog.pg_roles
WHERE (rolsuper OR rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files'))
  AND pg_catalog.pg_has_role(session_user, oid, 'MEMBER')
ORDER BY rolname
"""
_NOT_YET = ("57P03",)  # cannot_connect_now
_Connection = TypeVar("_Connection", bound=psycopg.Connection)


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms clones are got: for how long at most, as which role if not as the URL's, whether that may be a superuser,
    and what a statement of a migration may take if we are not there to end it.
    """

    until: datetime
    role: str | None = None
    superuser: bool = False
    backstop_ms: int = 0


@dataclass(slots=True)
class _Held:
    """A clone that we have. `looking`: the one connection that looks, where there may not be another."""

    lease: Lease = field(repr=False)
    number: int
    major: int = 0
    looking: _Kept | None = None


class Remote:
    """Clones of one service. `prepare` is called with each new clone, to bring it to where the base branch is. `notes` are for
    the report.
    """

    def __init__(
        self,
        service: Service,
        kind: Kind,
        run: Steps,
        terms: Terms,
    ) -> None:
        self.name, self.notes = kind.name, list[str]()
        self.few_connections = kind.most_connections is not None and kind.most_connections < 3
        self.counts_first = kind.empty
        self.prepare: Callable[[Clone], None] = lambda _clone: None
        self._service, self._kind, self._run, self._terms = service, kind, run, terms
        self._held: dict[str, _Held] = {}
        self._has_told = False  # the first clone's notes are told with what else is known of it
        self._next = 0
        self._stack = ExitStack()
        self._pristine: Clone | None = None

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    # ── Getting one, and giving it back ──────────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def clone(self) -> Iterator[Clone]:
        """See Provider."""
        number, began = self._next, time.monotonic()
        self._next += 1
        try:
            lease = self._acquired(number)
        except ServiceError as error:
            raise CloneError(f"{self.name} gave no clone. {error.what}", why=error.why, advice=error.advice) from error
        except BaseException:  # Ctrl-C while one was made: nobody has its handle
            with _undisturbed(), suppress(RehearsalError):
                self._give_back_half_made(self._order(number).name)
            raise
        name = f"clone {number}"
        self._held[name] = _Held(lease, number)
        self.notes.extend(lease.notes if self._has_told else ())
        self._has_told = True
        try:
            with self._entered(name) as connection:
                clone = Clone(name, round((time.monotonic() - began) * 1000, 3), next_xid(connection))
            self.prepare(clone)
            yield clone
        finally:
            held = self._held.pop(name)
            if held.looking:
                held.looking.end()
            with _undisturbed():
                self._give_back(number, lease.handle)

    def lease(self, clone: Clone) -> Lease:
        """How a clone was got."""
        return self._held[clone.name].lease

    def _acquired(self, number: int) -> Lease:
        order = self._order(number)
        got = self._run.step(
            self._getting(number), lambda _key: to_plain(self._service.acquire(order)), lambda: self._found(order)
        )
        return from_plain(Lease, got.response)

    def _getting(self, number: int) -> Step:
        """What is asked for is decided by the key of the run; a step that asks for another clone is none of this run."""
        return Step(_FIRST_STEP + 2 * number, f"get clone {number}", [self.name, self._order(number).name], secret=True)

    def _found(self, order: Order) -> object:
        lease = self._service.find(order)
        return None if lease is None else to_plain(lease)

    def _order(self, number: int) -> Order:
        return Order(f"{self._run.id.replace('-', '')[:28]}{number:04x}", self._terms.until)

    def _give_back(self, number: int, handle: str) -> None:
        """The report is not lost over a clone that could not be given back; it is said, and somebody else's `reap` takes it."""
        if not self._kind.can_release:
            return
        step = Step(_FIRST_STEP + 2 * number + 1, f"give clone {number} back", [self.name, number], repeatable=True)

        def give_back(_key: str) -> object:
            self._service.release(handle)
            return {}

        try:
            self._run.step(step, give_back)
        except JournalError:  # it is nobody else's, whoever has the run now
            with suppress(RehearsalError):
                give_back("")
        except RehearsalError as error:
            self.notes.append(
                f"A clone could not be given back: {error.what} `migration-rehearsal reap` removes it when it is a day old."
            )

    def _give_back_half_made(self, name: str) -> None:
        """What was asked for and not answered yet. It is not waited for: who ends us waits some seconds only."""
        handle = next((left.handle for left in self._service.leftovers() if left.name == name), None)
        if handle is None and self._kind.by_name:
            handle = name
        if handle is not None and self._kind.can_release:
            self._service.release(handle)

    def give_back_earlier(self) -> None:
        """What an earlier attempt at this run, which broke off, has got and not given back: its state is not known. And what
        others have forgotten. To be called before a clone is got, and where none has to be got any more, too. Raises
        ServiceError.
        """
        steps = {row.step_id - _FIRST_STEP: row for row in self._run.steps_from(_FIRST_STEP)}
        for place in sorted(place for place in steps if place % 2 == 0 and not _is_done(steps.get(place + 1))):
            if handle := self._handle_of(place // 2):
                self._give_back(place // 2, handle)
        self._next = max((place // 2 + 1 for place in steps), default=0)
        with suppress(ServiceError):  # a run is not stopped by what others left
            for left in forgotten(self._service, _FORGOTTEN) if self._kind.can_release else ():
                self._give_back_forgotten(left)

    def _give_back_forgotten(self, left: Leftover) -> None:
        """One that can't be given back does not keep the others."""
        try:
            self._service.release(left.handle)
        except ServiceError as error:
            self.notes.append(f"The clone {name(left.name)}, left by a run of more than a day ago, is still there: {error.what}")
        else:
            self.notes.append(f"The clone {name(left.name)}, left by a run of more than a day ago, was given back.")

    def _handle_of(self, number: int) -> str | None:
        """By what a clone is given back that an earlier attempt asked for: as the journal has it, or else the service."""
        recorded = self._run.recall(self._getting(number))
        if recorded and recorded.response:
            return from_plain(Lease, recorded.response).handle
        order = self._order(number)
        found = self._service.find(order)
        return found.handle if found else order.name if self._kind.by_name else None

    # ── Connections ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def connect(self, clone: Clone) -> psycopg.Connection:
        """See Provider."""
        stop = str(self._terms.backstop_ms)
        options = f"-c statement_timeout={stop} -c idle_in_transaction_session_timeout={stop}"
        return self._as_role(self._opened(self._held[clone.name], options))

    def read(self, clone: Clone, *, own_names: bool = False) -> psycopg.Connection:
        """See Provider."""
        held = self._held[clone.name]
        if self.few_connections:
            kept = self._looking(held)
            kept.begin(own_names=own_names)
            return kept
        return self._as_role(self._opened(held, as_options(UNHINDERED if own_names else OURS, held.major)))

    def observe(self, clone: Clone) -> psycopg.Connection:
        """See Provider."""
        held = self._held[clone.name]
        if self.few_connections:
            return self._looking(held)
        return self._opened(held, as_options(OURS, held.major))

    def guard(self, clone: Clone) -> Guard:
        """See Provider. A role may end its own sessions."""

        def end_session(pid: int) -> None:
            held = self._held[clone.name]
            with self._opened(held, as_options(UNHINDERED, held.major)) as connection:
                connection.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [pid])

        return Guard(end_session)

    def room_bytes(self) -> int | None:
        """See Provider: a service's disk is its own."""
        return None

    @contextmanager
    def open_seed(self) -> Iterator[psycopg.Connection]:
        """See Provider: a clone of its own, on which nothing is run, got when it is first needed."""
        if self._pristine is None:
            self._pristine = self._stack.enter_context(self.clone())
        with self.read(self._pristine) as connection:
            yield connection

    def _looking(self, held: _Held) -> _Kept:
        if held.looking is None or held.looking.closed:
            held.looking = _open(held.lease.url, as_options(OURS, held.major), _Kept)
            self._as_role(held.looking)
        return held.looking

    def _opened(self, held: _Held, options: str) -> psycopg.Connection:
        return _open(held.lease.url, options, psycopg.Connection)

    def _as_role(self, connection: _Connection) -> _Connection:
        if self._terms.role:
            connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(self._terms.role)))
        return connection

    @contextmanager
    def _entered(self, name: str) -> Iterator[psycopg.Connection]:
        """The first connection to a clone, tried until it takes some. Raises CloneError, also where we would be a superuser."""
        held, until = self._held[name], time.monotonic() + _ENTER_S
        while True:
            try:
                connection = self._opened(held, as_options(UNHINDERED, 0))
                break
            except psycopg.Error as error:
                if time.monotonic() > until or not _may_come(error):
                    raise CloneError(
                        f"The clone of {self.name} can't be entered.",
                        why=refusal(error),
                        advice="Look at what the service gives out: a connection URL that this machine can use.",
                    ) from None
                time.sleep(0.5)
        with connection:
            held.major = connection.info.server_version // 10_000
            self._refuse_superuser(connection)
            yield connection

    def _refuse_superuser(self, connection: psycopg.Connection) -> None:
        """A superuser reads and writes the server's files and starts programs there, and the migration is somebody else's."""
        mighty = [str(row[0]) for row in connection.execute(_MIGHTY)]
        if mighty and not self._terms.superuser:
            own = connection.info.user in mighty
            raise CloneError(
                f"On the clone of {self.name} migrations would run as a superuser, {connection.info.user}."
                if own
                else f"On the clone of {self.name} migrations could become {mighty[0]}: {connection.info.user} is a member.",
                why="Whoever opens a pull request could read and write the files of that server, and start programs on it.",
                advice="Give a URL of a role that is none: one that owns the tables, or is a member of who does; or, where "
                "nobody else opens pull requests, `superuser: true`.",
            )


class _Kept(psycopg.Connection):
    """The one connection that looks, where there may not be another: who is done with it leaves it open, as it was."""

    def begin(self, *, own_names: bool) -> None:
        """For a reader."""
        if own_names:
            for name in OURS.keys() - UNHINDERED.keys():
                self.execute(f"RESET {name}".encode())

    def close(self) -> None:
        """Ends nothing but what was begun."""
        if self.closed:
            return
        try:
            self.rollback()
            for name in OURS.keys() - UNHINDERED.keys():
                self.execute(f"SET {name} = '{OURS[name]}'".encode())
        except psycopg.Error:
            self.end()

    def end(self) -> None:
        """Ends the connection."""
        super().close()


def _is_done(row: StepRow | None) -> bool:
    return row is not None and row.completed_at is not None


def _open(url: str, options: str, kind: type[_Connection]) -> _Connection:
    """A connection in autocommit. What a URL says in `options` itself stays."""
    said = conninfo_to_dict(url).get("options")
    more = {"options": " ".join(filter(None, (str(said or ""), options)))} if said or options else {}
    conninfo = make_conninfo(url, application_name="migration-rehearsal", **NETWORK, **more)
    return kind.connect(conninfo, autocommit=True, prepare_threshold=None)


def _may_come(error: psycopg.Error) -> bool:
    """Whether a connection that was refused may be had a little later: the server starts, or its name is not known everywhere."""
    return error.sqlstate in (None, *_NOT_YET) and "password" not in str(error) and "certificate" not in str(error)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A second Ctrl-C does not keep us from giving back what costs money; each request has its time limit."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
