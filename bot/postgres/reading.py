"""Reading tables that somebody else's migration has made or changed.

To plan a SELECT is to run somebody's code: PostgreSQL computes what is constant in a table's index expressions and constraints,
by functions of their author's. So it is done as the migration's own role, never as ours, and in a transaction that can write
nothing and is rolled back: what such a function does to the session is gone before the next question.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from bot.postgres.guard import Guard


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one question may take, and who sees to it when a function of somebody's does not let itself be cancelled."""

    limit_ms: int = 3_600_000
    guard: Guard = Guard()  # noqa: RUF009  frozen

    @property
    def limit_s(self) -> float:
        """When the guard steps in: a little after the server should have."""
        return self.limit_ms / 1000 + 1


@contextmanager
def reading(connection: psycopg.Connection, patience: Patience, search_path: str | None = "pg_catalog") -> Iterator[None]:
    """A read-only transaction for one question, as `search_path` finds names (None: as the session does)."""
    path = f"; SET LOCAL search_path = {search_path}" if search_path else ""
    with patience.guard.watching(connection, patience.limit_s):
        connection.execute(f"BEGIN READ ONLY; SET LOCAL statement_timeout = {patience.limit_ms:d}{path}".encode())
        try:
            yield
        finally:
            if not connection.closed:
                connection.rollback()
                # What was read here is not the next migration's doing.
                connection.execute("SELECT pg_catalog.pg_stat_force_next_flush()")
