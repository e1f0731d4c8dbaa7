"""Looks at a session's locks from outside while a statement runs: the only way to see those of a statement that takes and drops
them inside (CREATE INDEX CONCURRENTLY, VACUUM), and those of one that fails, which are gone when it says so.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psycopg

from bot.postgres.locks import Taken

# Relations that are there before the migration: locks on others block nobody, and are left out.
_RELATIONS = """
SELECT c.oid::bigint, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relkind::text
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm', 'v', 'f', 'S')
  AND n.nspname !~ '^pg_'
  AND n.nspname <> 'information_schema'
"""
# No join: it is asked after each statement, and a long migration holds thousands of locks, most on what it made itself.
_LOCKS = """
SELECT l.relation::bigint, l.mode
FROM pg_catalog.pg_locks AS l
WHERE l.pid = %(pid)s
  AND l.granted
  AND l.locktype = 'relation'
  AND l.database = %(database)s
  AND l.relation <= %(newest)s
  AND l.mode <> 'SIReadLock'
"""
_EXCLUSIVE = """
SELECT l.relation::bigint
FROM pg_catalog.pg_locks AS l
WHERE l.relation = ANY (%(oids)s) AND l.database = %(database)s AND l.granted AND l.mode = 'AccessExclusiveLock'
"""
_KINDS = {"p": "partitioned table", "m": "materialized view", "v": "view", "f": "foreign table", "S": "sequence"}
_PATIENCE_S = 0.015  # a statement in a transaction that is over sooner is not looked at while it runs
_SHORTEST_S, _LONGEST_S = 0.005, 0.1
_SHARE = 0.02  # of a statement's time may pass between two looks


@dataclass(frozen=True, slots=True)
class Relations:
    """The relations that there were at a moment: names by OID, and what each is by its name."""

    names: Mapping[int, str]
    kinds: Mapping[str, str]


def relations_now(observer: psycopg.Connection) -> Relations:
    """Those that there are now."""
    rows = observer.execute(_RELATIONS).fetchall()
    return Relations({oid: name for oid, name, _kind in rows}, {name: _KINDS.get(kind, "table") for _oid, name, kind in rows})


class LockReader:
    """Reads the locks that one session holds on the relations that there were, or are now."""

    def __init__(self, observer: psycopg.Connection, pid: int, relations: Relations | None = None) -> None:
        self._observer = observer
        relations = relations or relations_now(observer)
        self._names, self.kinds = relations.names, relations.kinds
        row = observer.execute(
            "SELECT d.oid::bigint FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()"
        ).fetchone()
        assert row is not None  # noqa: S101  the database we are connected to
        self._which = {"pid": pid, "database": row[0], "newest": max(self._names, default=0)}

    def read(self) -> set[tuple[int, str]]:
        """The locks held at this moment: relation and mode. Raises psycopg.Error."""
        return set(self._observer.execute(_LOCKS, self._which).fetchall())

    def kept_from_us(self, oids: Iterable[int]) -> set[int]:
        """Those of the relations that some session holds so that we would wait for it: another one of the same tool's."""
        try:
            return {row[0] for row in self._observer.execute(_EXCLUSIVE, {"oids": list(oids), **self._which}).fetchall()}
        except psycopg.Error:
            return set()

    def named(self, locks: Iterable[tuple[int, str]]) -> set[Taken]:
        """Those of them that are on relations which there were, with their names."""
        return {Taken(self._names[oid], mode, oid) for oid, mode in locks if oid in self._names}


@dataclass(frozen=True, slots=True)
class Seen:
    """When a lock was first and last seen, in seconds of the monotonic clock."""

    first: float
    last: float


@dataclass(slots=True)
class _Statement:
    """The statement under way, and the locks seen while it ran."""

    began: float
    outside: bool
    seen: dict[Taken, Seen] = field(default_factory=dict)


class Sampler:
    """A thread that looks while a statement is under way, first often, then less."""

    def __init__(self, locks: LockReader) -> None:
        self._locks = locks
        self._statement: _Statement | None = None
        self._wake = threading.Event()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="lock sampler", daemon=True)
        self._thread.start()

    def begin(self, *, outside: bool) -> None:
        """A statement begins; `outside` any transaction its locks can be seen only while it runs."""
        self._statement = _Statement(time.monotonic(), outside)
        if outside:
            self._wake.set()

    def end(self) -> Mapping[Taken, Seen]:
        """The statement is over: the locks that were seen while it ran."""
        statement, self._statement = self._statement, None
        return statement.seen if statement else {}

    def close(self) -> None:
        """Ends the thread; the connection stays open."""
        self._closed = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed:
            pause_s = self._look()
            if pause_s is None:
                return  # the migration has locked us out, or ended our connection: nothing more is to be seen
            self._wake.wait(pause_s)
            self._wake.clear()

    def _look(self) -> float | None:
        """Looks, if there is reason to. How long to wait until the next time, in seconds; None: never again."""
        statement = self._statement
        if statement is None:
            return _PATIENCE_S
        ran_s = time.monotonic() - statement.began
        if not statement.outside and ran_s < _PATIENCE_S:
            return _PATIENCE_S - ran_s
        at = time.monotonic()
        try:
            taken = self._locks.named(self._locks.read())
        except psycopg.Error:
            return None
        if statement is self._statement:  # else what was seen may be the next one's
            for lock in taken:
                first = statement.seen[lock].first if lock in statement.seen else at
                statement.seen[lock] = Seen(first, time.monotonic())
        return min(_LONGEST_S, max(_SHORTEST_S, ran_s * _SHARE))
