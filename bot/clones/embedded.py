"""Clones in the embedded server: copies of a template database, by the file system's own cloning where it has it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from bot.clones import Clone
from bot.clones.hindrances import OURS, UNHINDERED, as_options
from bot.errors import CloneError
from bot.postgres.counts import next_xid
from bot.postgres.embedded import MAKER, Server
from bot.postgres.guard import Guard
from bot.postgres.roles import Lender
from bot.room import Watch

SEED = "seed"
BY_REFERENCE, COPIED = "by reference", "copied"


class EmbeddedProvider:
    """Makes clones of a template database.

    `STRATEGY FILE_COPY` is several times faster than the default, and with `file_copy_method = clone` (PostgreSQL 18, set
    for the whole server) its time does not grow with the data where the file system has reflinks.
    """

    name = "embedded"
    few_connections = False
    counts_first = False

    def __init__(
        self,
        server: Server,
        seed: str = SEED,
        *,
        role: str = MAKER,
        superuser: bool = False,
        may_create: Set[str] = frozenset(),
        backstop_ms: int = 0,
        since_xid: int = 0,
    ) -> None:
        self._server, self._seed, self._role = server, seed, role
        self._may_create = frozenset() if superuser else may_create  # a superuser needs nothing lent
        # In case that we, who end a migration in time, are there and can't.
        self._backstop = {"statement_timeout": str(backstop_ms), "idle_in_transaction_session_timeout": str(backstop_ms)}
        self._since_xid = since_xid  # the first transaction that somebody else's file may have made in the seed; 0: none
        self._made = 0
        self._by_reference = server.clones_by_reference()
        self._ours: set[int] = set()  # processes of the sessions opened here
        self._lenders: dict[str, Lender] = {}

    @contextmanager
    def clone(self) -> Iterator[Clone]:
        """See Provider."""
        self._made += 1
        name = f"rehearsal_{self._made}_{secrets.token_hex(4)}"  # its owner could drop another one, if its name were known
        began = time.monotonic()
        with self._server.connect("postgres") as admin:
            self._need_room(admin)
            try:
                with self._owners_remembered(admin):
                    admin.execute(
                        sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY").format(
                            sql.Identifier(name), sql.Identifier(self._seed), sql.Identifier(MAKER)
                        )
                    )
                since_xid = self._since_xid or next_xid(admin)
            except psycopg.Error as error:
                raise CloneError("The clone could not be made.", why=str(error).strip()) from error
        try:
            method = BY_REFERENCE if self._by_reference else COPIED
            yield Clone(name, round((time.monotonic() - began) * 1000, 3), since_xid, method)
        finally:
            # What a migration left in it (a prepared transaction, a subscription) may keep it from being dropped: the whole
            # server is thrown away when the run ends, and a finished report must not be lost over it.
            with suppress(psycopg.Error), self._server.connect("postgres") as admin:
                admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _need_room(self, admin: psycopg.Connection) -> None:
        """Raises CloneError if the disk surely can't hold a copy."""
        if not self._by_reference:
            row = admin.execute("SELECT pg_catalog.pg_database_size(%s::pg_catalog.name)", [self._seed]).fetchone()
            Watch(self._server.folder, "The seed can't be cloned", CloneError).need(row[0] if row else 0)

    @contextmanager
    def _owners_remembered(self, admin: psycopg.Connection) -> Iterator[None]:
        """What the seed's objects have to do with roles is known to the server only while a clone inherits it: a migration may
        drop a role that nothing in its own database needs any more, and nobody uses the seed.
        """
        kept, seed = sql.Identifier(f"owners of {self._seed}"), sql.Literal(self._seed)
        its_own = sql.SQL("dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = {})").format(seed)
        if admin.execute("SELECT pg_catalog.to_regclass(%s)", [kept.as_string(admin)]).fetchone() == (None,):
            admin.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM pg_catalog.pg_shdepend WHERE {}").format(kept, its_own))
        else:
            admin.execute(sql.SQL("INSERT INTO pg_catalog.pg_shdepend SELECT * FROM {}").format(kept))
        try:
            yield
        finally:
            admin.execute(sql.SQL("DELETE FROM pg_catalog.pg_shdepend WHERE {}").format(its_own))

    def connect(self, clone: Clone) -> psycopg.Connection:
        """See Provider."""
        settings = " ".join(f"-c {name}={value}" for name, value in self._backstop.items())
        return self._known(self._server.connect(clone.name, user=self._role, settings=settings))

    def read(self, clone: Clone, *, own_names: bool = False) -> psycopg.Connection:
        """See Provider."""
        settings = _settings(self._server, UNHINDERED if own_names else OURS)
        return self._known(self._server.connect(clone.name, user=self._role, settings=settings))

    def _known(self, connection: psycopg.Connection) -> psycopg.Connection:
        self._ours.add(connection.info.backend_pid)
        return connection

    def observe(self, clone: Clone) -> psycopg.Connection:
        """See Provider."""
        return observer(self._server, clone.name)

    def guard(self, clone: Clone) -> Guard:
        """See Provider."""
        server = self._server
        lender = self._lenders.setdefault(clone.name, Lender(server, clone.since_xid, self._ours))
        return Guard(server.end_session, server.room_bytes, lender.rights, self._may_create)

    def room_bytes(self) -> int | None:
        """See Provider. A clone that shares the seed's blocks needs less, but that can't be known beforehand."""
        return self._server.room_bytes()

    @contextmanager
    def open_seed(self) -> Iterator[psycopg.Connection]:
        """See Provider. The template takes no sessions while it is copied from, so it is opened and closed again."""
        with self._server.connect("postgres") as admin:
            admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(self._seed)))
            try:
                with self._server.connect(self._seed, user=self._role, settings=_settings(self._server, OURS)) as connection:
                    yield connection
            finally:
                admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(self._seed)))


def observer(server: Server, database: str) -> psycopg.Connection:
    """A connection for looking at the catalog, not for touching."""
    settings = _settings(server, OURS)
    if server.binaries.major >= 17:
        settings += " -c event_triggers=off"  # one on login would run as ourselves
    return server.connect(database, application="migration-rehearsal observer", settings=settings)


def reader(server: Server, database: str, role: str) -> psycopg.Connection:
    """A connection for reading tables as a role, whatever a dump has set for it."""
    return server.connect(database, user=role, settings=_settings(server, OURS))


def _settings(server: Server, settings: Mapping[str, str]) -> str:
    return as_options(settings, server.binaries.major)
