"""Connections for looking at one clone, kept from one migration to the next: a session that has read the catalog before reads it
again in three quarters of the time, and two read it in half of that.
"""

from __future__ import annotations

from contextlib import suppress

import psycopg
from psycopg.pq import TransactionStatus

from bot.clones import Clone, Provider


class Lookout:
    """Opens connections for looking at the catalog when they are needed. All are closed at the end."""

    def __init__(self, provider: Provider, clone: Clone) -> None:
        self._provider, self._clone = provider, clone
        self._open: list[psycopg.Connection] = []

    def __enter__(self) -> Lookout:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends them; they are opened anew when they are needed."""
        for connection in self._open:
            with suppress(psycopg.Error):
                connection.close()
        self._open.clear()

    def read(self, *, own_names: bool = False) -> psycopg.Connection:
        """A new connection for reading tables; see Provider."""
        return self._provider.read(self._clone, own_names=own_names)

    def one(self) -> psycopg.Connection:
        """A connection that answers. Raises psycopg.Error if there is none to be had."""
        return self._usable(0)

    def two(self) -> tuple[psycopg.Connection, ...]:
        """The same one and another, if there may be one."""
        return (self._usable(0),) if self._provider.few_connections else (self._usable(0), self._usable(1))

    def _usable(self, place: int) -> psycopg.Connection:
        while len(self._open) <= place:
            self._open.append(self._provider.observe(self._clone))
        if not _answers(self._open[place]):
            self._open[place].close()
            self._open[place] = self._provider.observe(self._clone)
        return self._open[place]


def _answers(connection: psycopg.Connection) -> bool:
    if connection.closed or connection.info.transaction_status is not TransactionStatus.IDLE:
        return False
    try:
        connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True
