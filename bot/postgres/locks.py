"""Locks that a migration holds: read over a second connection while its transaction is open, when they are exact."""

from __future__ import annotations

from dataclasses import dataclass, field

import psycopg

from bot.model import HeldLock, RelationLock

# From the weakest to the strongest (PostgreSQL manual, "Explicit Locking", the conflict table).
MODES = (
    "AccessShareLock",
    "RowShareLock",
    "RowExclusiveLock",
    "ShareUpdateExclusiveLock",
    "ShareLock",
    "ShareRowExclusiveLock",
    "ExclusiveLock",
    "AccessExclusiveLock",
)
_BLOCKS = {
    "ShareLock": ("writes",),
    "ShareRowExclusiveLock": ("writes",),
    "ExclusiveLock": ("writes",),
    "AccessExclusiveLock": ("reads", "writes"),
}
# The observer does not see relations that the open transaction created: those locks block nobody, and are left out.
_QUERY = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, c.relname), l.mode
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.pid = %(pid)s
  AND l.granted
  AND l.locktype = 'relation'
  AND l.database = (SELECT d.oid FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())
  AND c.relkind IN ('r', 'p', 'm', 'v', 'f', 'S')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
"""


def blocks(mode: str) -> tuple[str, ...]:
    """What a lock mode keeps others from: reads (SELECT), writes (INSERT, UPDATE, DELETE)."""
    return _BLOCKS.get(mode, ())


@dataclass(slots=True)
class LockWatch:
    """Follows the locks of one migration's connection, statement by statement.

    Without an observer it sees nothing. `held`: relation -> {mode: (since_ms, line)} in the open transaction.
    """

    observer: psycopg.Connection | None
    pid: int
    held: dict[str, dict[str, tuple[float, int]]] = field(default_factory=dict)
    released: dict[str, RelationLock] = field(default_factory=dict)

    def read(self, began_ms: float, line: int) -> tuple[HeldLock, ...] | None:
        """After a statement: what it added to the locks held, strongest mode of each relation; None if they can't be read
        (it may have locked the catalog itself).
        """
        if self.observer is None:
            return None
        try:
            rows = self.observer.execute(_QUERY, {"pid": self.pid}).fetchall()
        except psycopg.Error:
            self.observer = None  # it would be as blind, and as slow to find out, at the next statement
            return None
        self._let_go({(relation, mode) for relation, mode in rows}, began_ms)
        added: dict[str, str] = {}
        for relation, mode in rows:
            modes = self.held.setdefault(relation, {})
            if mode not in modes:
                modes[mode] = (began_ms, line)
                if relation not in added or MODES.index(mode) > MODES.index(added[relation]):
                    added[relation] = mode
        return tuple(HeldLock(relation, mode) for relation, mode in sorted(added.items()))

    def _let_go(self, held_now: set[tuple[str, str]], now_ms: float) -> None:
        """Locks end before their transaction does when it goes back to a savepoint."""
        for relation in list(self.held):
            gone = {mode: since for mode, since in self.held[relation].items() if (relation, mode) not in held_now}
            if gone:
                self._note(relation, gone, now_ms)
                self.held[relation] = {mode: since for mode, since in self.held[relation].items() if mode not in gone}

    def release(self, now_ms: float) -> None:
        """The transaction has ended: what it held is held no longer."""
        for relation, modes in self.held.items():
            if modes:
                self._note(relation, modes, now_ms)
        self.held.clear()

    def _note(self, relation: str, modes: dict[str, tuple[float, int]], now_ms: float) -> None:
        mode = max(modes, key=MODES.index)
        since, line = modes[mode]
        lock = RelationLock(relation, mode, round(now_ms - since, 3), blocks(mode), line)
        known = self.released.get(relation)
        if known is None or _weight(lock) > _weight(known):
            self.released[relation] = lock

    def strongest(self) -> tuple[RelationLock, ...]:
        """The strongest lock held on each relation, those that block most first."""
        return tuple(sorted(self.released.values(), key=_weight, reverse=True))


def _weight(lock: RelationLock) -> tuple[int, float]:
    return (MODES.index(lock.mode), lock.held_ms)
