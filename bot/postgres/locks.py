"""Locks that a migration holds: what their modes keep others from, for how long each was held, which was the strongest. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from bot.model import HeldLock, LockSpan, RelationLock

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
_WORKS_ON = MODES.index("ShareUpdateExclusiveLock")


def blocks(mode: str) -> tuple[str, ...]:
    """What a lock mode keeps others from: reads (SELECT), writes (INSERT, UPDATE, DELETE)."""
    return _BLOCKS.get(mode, ())


def strength(mode: str) -> int:
    """A greater number for a stronger mode."""
    return MODES.index(mode)


def works_on(mode: str) -> bool:
    """Whether who holds it may build, scan or rewrite the relation: no mere reader or writer of rows takes it."""
    return strength(mode) >= _WORKS_ON


@dataclass(frozen=True, slots=True, order=True)
class Taken:
    """A lock as pg_locks shows it."""

    relation: str
    mode: str
    oid: int


@dataclass(frozen=True, slots=True)
class Since:
    """When a lock was taken, on the migration's clock, and by the statement in which line."""

    began_ms: float
    line: int


@dataclass(slots=True)
class Held:
    """The locks of the open transaction, and those of transactions that are over."""

    now: dict[Taken, Since] = field(default_factory=dict)
    spans: list[LockSpan] = field(default_factory=list)

    def update(self, new: Iterable[Taken], gone: Iterable[Taken], began_ms: float, line: int) -> tuple[HeldLock, ...]:
        """After a statement: what it added to the locks held, the strongest mode of each relation. What is `gone` (a ROLLBACK
        TO SAVEPOINT lets go) ended with the statement's beginning.
        """
        self._let_go(gone, began_ms)
        added: dict[str, str] = {}
        for lock in sorted(new):
            self.now[lock] = Since(began_ms, line)
            if lock.relation not in added or strength(lock.mode) > strength(added[lock.relation]):
                added[lock.relation] = lock.mode
        return tuple(HeldLock(relation, mode) for relation, mode in sorted(added.items()))

    def release(self, now_ms: float) -> None:
        """The transaction has ended: what it held is held no longer."""
        self._let_go(set(self.now), now_ms)

    def _let_go(self, gone: Iterable[Taken], now_ms: float) -> None:
        for lock in sorted(gone):
            since = self.now.pop(lock)
            self.spans.append(
                LockSpan(lock.relation, lock.mode, round(since.began_ms, 3), round(max(now_ms, since.began_ms), 3), since.line)
            )


def strongest(
    spans: Iterable[LockSpan], rows: Mapping[str, int], kinds: Mapping[str, str] | None = None
) -> tuple[RelationLock, ...]:
    """The strongest lock held on each relation, those that block most first; `rows`: of each table, as far as is known; `kinds`:
    what each relation is.
    """
    by_relation: dict[str, list[LockSpan]] = {}
    for span in spans:
        by_relation.setdefault(span.relation, []).append(span)
    locks = []
    for relation, its in by_relation.items():
        most = max(its, key=lambda span: (strength(span.mode), span.ended_ms - span.began_ms))
        locks.append(
            RelationLock(
                relation,
                most.mode,
                round(most.ended_ms - most.began_ms, 3),
                blocks(most.mode),
                most.line,
                reads_blocked_ms=_blocked_ms(its, "reads"),
                writes_blocked_ms=_blocked_ms(its, "writes"),
                rows=rows.get(relation),
                kind=(kinds or {}).get(relation, "table"),
            )
        )
    return tuple(sorted(locks, key=lambda lock: (strength(lock.mode), lock.held_ms, lock.relation), reverse=True))


def _blocked_ms(spans: Iterable[LockSpan], what: str) -> float:
    """How long a relation's reads or writes had to wait: moments under two locks counted once."""
    total = end = 0.0
    for began, ended in sorted((span.began_ms, span.ended_ms) for span in spans if what in blocks(span.mode)):
        total += max(0.0, ended - max(began, end))
        end = max(end, ended)
    return round(total, 3)
