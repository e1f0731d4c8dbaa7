"""Clones in the embedded server: copies of a template database, by the file system's own cloning where it has it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg
from psycopg import sql

from bot.clones import Clone
from bot.errors import CloneError
from bot.postgres.embedded import Server

SEED = "seed"


class EmbeddedProvider:
    """Makes clones of a template database.

    `STRATEGY FILE_COPY` is several times faster than the default, and with `file_copy_method = clone` (PostgreSQL 18, set
    for the whole server) its time does not grow with the data where the file system has reflinks.
    """

    name = "embedded"

    def __init__(self, server: Server, seed: str = SEED) -> None:
        self._server = server
        self._seed = seed
        self._made = 0

    @contextmanager
    def clone(self) -> Iterator[Clone]:
        """See Provider."""
        self._made += 1
        name = f"rehearsal_{self._seed}_{self._made}"
        began = time.monotonic()
        with self._server.connect("postgres") as admin:
            try:
                admin.execute(
                    sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY").format(
                        sql.Identifier(name), sql.Identifier(self._seed)
                    )
                )
            except psycopg.Error as error:
                raise CloneError("The clone could not be made.", why=str(error).strip()) from error
        try:
            yield Clone(name, round((time.monotonic() - began) * 1000, 3))
        finally:
            # What a migration left in it (a prepared transaction, a subscription) may keep it from being dropped: the whole
            # server is thrown away when the run ends, and a finished report must not be lost over it.
            with suppress(psycopg.Error), self._server.connect("postgres") as admin:
                admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def connect(self, clone: Clone) -> psycopg.Connection:
        """See Provider."""
        return self._server.connect(clone.name)

    def observe(self, clone: Clone) -> psycopg.Connection:
        """See Provider."""
        return observer(self._server, clone.name)

    def room_bytes(self) -> int | None:
        """See Provider. A clone that shares the seed's blocks needs less, but that can't be known beforehand."""
        try:
            return shutil.disk_usage(self._server.folder).free
        except OSError:
            return None

    @contextmanager
    def open_seed(self) -> Iterator[psycopg.Connection]:
        """See Provider. The template takes no sessions while it is copied from, so it is opened and closed again."""
        with self._server.connect("postgres") as admin:
            admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(self._seed)))
            try:
                with observer(self._server, self._seed) as connection:
                    yield connection
            finally:
                admin.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(self._seed)))


def observer(server: Server, database: str) -> psycopg.Connection:
    """A connection for looking, not for touching."""
    connection = server.connect(database, application="migration-rehearsal observer")
    connection.execute("SET search_path = pg_catalog")
    connection.execute("SET lock_timeout = '5s'")
    connection.execute("SET jit = off")  # compiling a catalog query takes a hundred times as long as running it
    return connection
