"""Watches one migration: after each statement its locks, and what it did to the tables that it holds."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psycopg
from psycopg.errors import Diagnostic
from psycopg.pq import TransactionStatus

from bot.model import HeldLock, IndexWork, LockSpan, Notice, Scan
from bot.postgres.catalog import Snapshot
from bot.postgres.locks import Held, Taken, works_on
from bot.postgres.looking import Direct, Look, TableState, Watched, look
from bot.postgres.sampling import LockReader, Relations, Sampler, Seen
from bot.words import last_part, said_by

# Remarks that PostgreSQL makes by itself, and that quote nothing but the file: a transaction is under way already, there is
# none, a name is too long.
_REMARKS = ("25001", "25P01", "42622")
_MOST_NOTICES, _LONGEST_NOTICE = 20, 500
# Commands that work on what they name, and on nothing else that was locked before; any other may work on all that is held.
_SAY_WHAT_THEY_MEAN = (
    "ALTER TABLE",
    "CREATE INDEX",
    "DROP INDEX",
    "CREATE TABLE",
    "INSERT",
    "UPDATE",
    "DELETE",
    "COPY",
    "COMMENT",
)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Facts:
    """What was seen of one statement; see StatementResult."""

    locks: tuple[HeldLock, ...] | None = None
    rewrites: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    scans: tuple[Scan, ...] = ()
    indexes: tuple[IndexWork, ...] = ()
    notices: tuple[Notice, ...] = ()
    lock_timeout_ms: int | None = None
    statement_timeout_ms: int | None = None


@dataclass(slots=True)
class _Files:
    """Files of tables and indexes as the migration's transaction has them; `kept`: as they were when it began."""

    before: Snapshot
    tables: dict[int, int | None] = field(default_factory=dict)
    indexes: dict[int, dict[int, tuple[str, int | None]]] = field(default_factory=dict)
    scanned: dict[int, tuple[int, int]] = field(default_factory=dict)
    _by_word: dict[str, set[int]] = field(default_factory=dict)
    kept: tuple[dict[int, int | None], dict[int, dict[int, tuple[str, int | None]]]] = field(default_factory=lambda: ({}, {}))

    def __post_init__(self) -> None:
        self.tables = {oid: table.filenode for oid, table in self.before.tables.items()}
        for oid, index in self.before.indexes.items():
            self.indexes.setdefault(index.table_oid, {})[oid] = (index.name, index.filenode)
        self.transaction_over(committed=True)

    def transaction_over(self, *, committed: bool) -> None:
        self.scanned.clear()
        if committed:
            self.kept = (dict(self.tables), dict(self.indexes))
        else:
            self.tables, self.indexes = dict(self.kept[0]), dict(self.kept[1])

    def meant_by(self, statement: str) -> set[int]:
        """The tables that a statement names, or an index of theirs."""
        if not self._by_word:
            for oid in self.tables:
                for word in self.words(oid):
                    self._by_word.setdefault(word, set()).add(oid)
        return set().union(*(self._by_word.get(word.lower(), set()) for word in _WORD.findall(statement)))

    def words(self, oid: int) -> set[str]:
        """The names by which a statement may mean a table: its own, its root's, its indexes'."""
        names = {self.before.tables[oid].name, self.name(oid), *(name for name, _file in self.indexes.get(oid, {}).values())}
        return {last_part(name).lower() for name in names}

    def name(self, oid: int) -> str:
        """A table's name; of a partition, that of the table it belongs to."""
        table = self.before.tables[oid]
        return self.before.tables[table.root].name if table.root in self.before.tables else table.name


class Watch:
    """Follows one session of a migration. Without an observer it sees nothing: nobody asked. `relations`: those that there were
    before the migration; read here if not given.
    """

    def __init__(
        self, session: Watched, observer: psycopg.Connection | None, before: Snapshot, relations: Relations | None = None
    ) -> None:
        self._session, self._observer = session, observer
        self._locks = LockReader(observer, session.pid, relations) if observer else None
        self._held = Held()
        self._read: set[tuple[int, str]] = set()  # locks as they were read last
        self._worked_on: set[int] = set()  # tables that are held so that they may be worked on
        self._named: dict[str, set[int]] = {}  # tables that are held, by the words that mean them; "": none that is a word
        self._files = _Files(before)
        self._notices: list[Notice] = []
        self._began_ms, self._began, self._line, self._sql = 0.0, 0.0, 1, ""
        self._unflushed = False
        self._sampler = Sampler(self._locks) if self._locks else None

    def close(self, now_ms: float) -> None:
        """The migration is at its end, and holds no lock any more."""
        self._held.release(now_ms)
        if self._sampler:
            self._sampler.close()
            self._sampler = None

    @property
    def kinds(self) -> Mapping[str, str]:
        """What each relation is that was there before."""
        return self._locks.kinds if self._locks else {}

    def spans(self) -> tuple[LockSpan, ...]:
        """All locks that were held, in the order in which they were taken."""
        return tuple(sorted(self._held.spans, key=lambda span: (span.began_ms, span.relation, span.ended_ms)))

    # ── One statement ────────────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """Before a transaction begins: counters of earlier ones are sent away, so that it starts at zero."""
        if self._sampler and self._unflushed:
            self._session.ask(["SELECT pg_catalog.pg_stat_force_next_flush()"])
            self._unflushed = False

    def begin(self, began_ms: float, line: int, statement: str) -> None:
        """A statement is about to be sent."""
        self._notices.clear()
        self._began_ms, self._began, self._line, self._sql = began_ms, time.monotonic(), line, statement
        if self._sampler:
            self._sampler.begin(outside=self._session.status is TransactionStatus.IDLE)

    def end(self, now_ms: float, tag: str) -> Facts:
        """A statement has succeeded, `tag` is PostgreSQL's word for it; its transaction, if it has one, is still open."""
        if self._observer is None or self._sampler is None:
            return Facts()
        self._unflushed = True
        seen = self._sampler.end()
        if self._session.status is TransactionStatus.INTRANS:
            return self._inside(tag)
        if self._held.now:  # it was a COMMIT, or took the transaction's end upon itself
            return Facts((), notices=tuple(self._notices))
        return self._outside(seen, now_ms, tag)

    def failed(self, now_ms: float) -> Facts:
        """A statement has failed. What it held is gone, and is known only if it ran long enough to be looked at."""
        if self._sampler is None:
            return Facts()
        seen = self._sampler.end()
        before = {(lock.relation, lock.mode) for lock in self._held.now}
        new = [lock for lock in sorted(seen) if (lock.relation, lock.mode) not in before]
        for lock in new:
            self._add_sampled(lock, self._began_ms, now_ms)
        return Facts(tuple(HeldLock(lock.relation, lock.mode) for lock in new), notices=tuple(self._notices))

    def transaction_over(self, now_ms: float, *, committed: bool) -> None:
        """The transaction has ended."""
        self._held.release(now_ms)
        self._read, self._worked_on = set(), set()
        self._files.transaction_over(committed=committed)

    def _inside(self, tag: str) -> Facts:
        """Exact: the transaction holds its locks until its end."""
        assert self._locks is not None  # noqa: S101  asked by the caller
        try:
            held = self._locks.read()
        except psycopg.Error:
            self._give_up()
            return Facts(None, notices=tuple(self._notices))
        new, gone = self._locks.named(held - self._read), self._locks.named(self._read - held)
        self._read = held
        locks = self._held.update(new, gone, self._began_ms, self._line)
        fresh = {lock.oid for lock in new if works_on(lock.mode) and lock.oid in self._files.tables} - self._worked_on
        if gone:
            self._worked_on = {lock.oid for lock in self._held.now if works_on(lock.mode) and lock.oid in self._files.tables}
        known = self._worked_on - fresh
        self._worked_on |= fresh
        for oid in fresh:
            self._learn_names(oid)
        asks_timeout = any(works_on(lock.mode) for lock in locks)
        wanted = set[int]() if tag == "LOCK TABLE" else fresh | self._meant(known, tag)
        looked = look(self._session, wanted) if wanted or asks_timeout else None
        return self._facts(locks, looked, tag, asks_timeout=asks_timeout)

    def _learn_names(self, oid: int) -> None:
        for word in self._files.words(oid):
            self._named.setdefault(word if _WORD.fullmatch(word) else "", set()).add(oid)

    def _meant(self, held: set[int], tag: str) -> set[int]:
        """Of tables that were held before, those that a statement may have worked on: to look at all of them each time would
        make a long migration's watch grow with the square of its length.
        """
        if not held or not tag.startswith(_SAY_WHAT_THEY_MEAN):
            return held
        said = {word.lower() for word in _WORD.findall(self._sql)}
        meant = set().union(*(self._named.get(word, set()) for word in said), self._named.get("", set()))
        return held & meant

    def _outside(self, seen: Mapping[Taken, Seen], now_ms: float, tag: str) -> Facts:
        """As far as looking often enough could tell."""
        assert self._observer is not None  # noqa: S101  asked by the caller
        for lock, when in sorted(seen.items(), key=lambda item: item[0]):
            first_ms, last_ms = (self._began_ms + (at - self._began) * 1000 for at in (when.first, when.last))
            self._add_sampled(lock, first_ms, min(last_ms, now_ms))
        worked_on = {lock.oid for lock in seen if works_on(lock.mode) and lock.oid in self._files.tables}
        worked_on |= self._files.meant_by(self._sql)  # it may have been over before anybody looked
        if worked_on and self._locks:
            worked_on -= self._locks.kept_from_us(worked_on)
        looked = look(Direct(self._observer), worked_on) if worked_on else None
        locks = tuple(HeldLock(lock.relation, lock.mode) for lock in sorted(seen))
        return self._facts(locks, looked, tag, asks_timeout=False)

    def _add_sampled(self, lock: Taken, began_ms: float, ended_ms: float) -> None:
        span = LockSpan(lock.relation, lock.mode, round(began_ms, 3), round(ended_ms, 3), self._line, sampled=True)
        self._held.spans.append(span)

    def _give_up(self) -> None:
        """The catalog is locked, or the connection ended: the next statement would be as long in finding out."""
        self._observer = None
        if self._sampler:
            self._sampler.close()
            self._sampler = None

    def _facts(self, locks: tuple[HeldLock, ...], looked: Look | None, tag: str, *, asks_timeout: bool) -> Facts:
        if looked is None:
            return Facts(locks, notices=tuple(self._notices))
        rewrites: list[str] = []
        all_gone: list[str] = []
        scans: list[Scan] = []
        indexes: list[IndexWork] = []
        for oid, state in sorted(looked.tables.items()):
            name = self._files.name(oid)
            if state.filenode is None and self._files.tables[oid] is not None:
                continue  # it was dropped
            new_file = state.filenode != self._files.tables[oid]
            emptied = new_file and (tag == "TRUNCATE TABLE" or state.bytes == 0)
            if new_file and tag != "REFRESH MATERIALIZED VIEW":
                (all_gone if emptied else rewrites).append(name)
            work = [] if new_file else list(self._index_work(oid, name, state))
            if rows := self._rows_scanned(oid, state):
                # Workers that help to build an index count for themselves: then the catalog knows better.
                scans.append(Scan(name, max(rows, int(self._files.before.tables[oid].rows)) if work else rows))
            indexes += work
            self._files.tables[oid], self._files.indexes[oid] = state.filenode, dict(state.indexes)
            self._learn_names(oid)
        return Facts(
            locks=locks,
            rewrites=tuple(dict.fromkeys(rewrites)),
            emptied=tuple(dict.fromkeys(all_gone)),
            scans=_by_relation(scans),
            indexes=tuple(indexes),
            notices=tuple(self._notices),
            lock_timeout_ms=looked.lock_timeout_ms if asks_timeout else None,
            statement_timeout_ms=looked.statement_timeout_ms if asks_timeout else None,
        )

    def _rows_scanned(self, oid: int, state: TableState) -> int:
        """Rows that a sequential scan has read since this transaction was last looked at; the mean of several (rebuilding each
        index of a table is one).
        """
        scans, rows = self._files.scanned.get(oid, (0, 0))
        self._files.scanned[oid] = (state.scans, state.rows_read)
        return max(0, state.rows_read - rows) // (state.scans - scans) if state.scans > scans else 0

    def _index_work(self, oid: int, table: str, state: TableState) -> Iterable[IndexWork]:
        known = self._files.indexes.get(oid, {})
        for index, (name, filenode) in sorted(state.indexes.items()):
            if index not in known:
                yield IndexWork(table, name, "built")
            elif known[index][1] != filenode:
                yield IndexWork(table, name, "rebuilt")
        for index in sorted(known.keys() - state.indexes.keys()):
            yield IndexWork(table, known[index][0], "dropped")

    def note(self, diagnostic: Diagnostic) -> None:
        """A notice arrived; a migration may send one for each row."""
        if diagnostic.sqlstate in _REMARKS and not is_raised(diagnostic) and len(self._notices) < _MOST_NOTICES:
            message = said_by(self._sql, diagnostic.message_primary or "")[:_LONGEST_NOTICE]
            self._notices.append(Notice(diagnostic.sqlstate, message))


def is_raised(diagnostic: Diagnostic) -> bool:
    """Whether a RAISE of somebody's own says it, with whatever SQLSTATE (src/pl/plpgsql/src/pl_exec.c): it may hold anything."""
    return diagnostic.source_function == "exec_stmt_raise"


def _by_relation(scans: Iterable[Scan]) -> tuple[Scan, ...]:
    """The partitions of one table taken together."""
    rows: dict[str, int] = {}
    for scan in scans:
        rows[scan.relation] = rows.get(scan.relation, 0) + scan.rows
    return tuple(Scan(relation, n) for relation, n in rows.items())
