"""The connections that a tool runs its files on."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from bot.layouts import named
from bot.model import Migration


class Session:
    """The connection that a tool runs its files on: one for all, or a new one for each; never more than one is open."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection | None = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection; the next file gets a new one."""
        if self._connection:
            self._connection.close()
        self._connection = None

    def for_file(self, migration: Migration) -> psycopg.Connection:
        """The connection for a file."""
        if not named(migration.layout).one_session:
            self.close()
        self._connection = self._connection or self._connect()
        return self._connection
