"""Reading tables that somebody else's migration has made or changed.

To plan a SELECT is to run somebody's code: PostgreSQL computes what is constant in a table's index expressions and constraints,
by functions of their author's. So it is done as the migration's own role, never as ours, and in a transaction that can write
nothing and is rolled back: what such a function does to the session is gone before the next question.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import psycopg

from bot.postgres.guard import Guard

_LATER_S = 1.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one question may take, and all of them together (`until`, on the monotonic clock): a migration can make thousands
    of tables that are slow to read. `guard` sees to it when a function of somebody's does not let itself be cancelled.
    """

    limit_ms: int = 3_600_000
    guard: Guard = Guard()  # noqa: RUF009  frozen
    until: float = math.inf

    def within(self, seconds: float) -> Patience:
        """For several questions that may take so long together, from now on."""
        return replace(self, until=time.monotonic() + seconds)

    @property
    def left_ms(self) -> int:
        """For the next question."""
        return max(1, int(min(self.limit_ms, (self.until - time.monotonic()) * 1000)))

    @property
    def left_s(self) -> float:
        """When the guard steps in: a little after the server should have."""
        return self.left_ms / 1000 + _LATER_S


@contextmanager
def reading(connection: psycopg.Connection, patience: Patience, search_path: str | None = "pg_catalog") -> Iterator[None]:
    """A read-only transaction for one question, as `search_path` finds names (None: as the session does)."""
    path = f"; SET LOCAL search_path = {search_path}" if search_path else ""
    with patience.guard.watching(connection, patience.left_s):
        connection.execute(f"BEGIN READ ONLY; SET LOCAL statement_timeout = {patience.left_ms:d}{path}".encode())
        try:
            yield
        finally:
            if not connection.closed:
                connection.rollback()
                # What was read here is not the next migration's doing.
                connection.execute("SELECT pg_catalog.pg_stat_force_next_flush()")
