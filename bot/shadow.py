"""The shadow: a second clone, in the state before the migration under rehearsal, for what would spoil the first one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, replace

import psycopg

from bot.applying import Applied, Limits, message_of
from bot.clones import Clone, Provider
from bot.clones.session import Session
from bot.errors import CloneError
from bot.model import Migration, Outcome, Rehearsal, SqlError
from bot.performing import perform
from bot.postgres.catalog import Snapshot, take_snapshot
from bot.postgres.counts import Ledger
from bot.progress import Progress
from bot.sources import shown_place
from bot.standing import Clerk
from bot.words import count, size

# What all databases of a server have in common; a statement that makes it may stand in a string, too.
_SHARED = re.compile(
    r"\b(create|alter|drop)\s+(role|group|user(?!\s+mapping)|database|tablespace)\b|\b(reassign|drop)\s+owned\b", re.IGNORECASE
)
_NOT_SUPPORTED = "0A000"
_OUR_MACHINE = ("53100", "53200", "53400", "58030")  # disk_full, out_of_memory, configuration_limit_exceeded, io_error


@dataclass(frozen=True, slots=True)
class Done:
    """A migration that was applied on the clone, the `number` (from 0) among those rehearsed: its snapshots before and after,
    what tables held before it, and `read`, which opens a connection for reading the clone's tables.
    """

    number: int
    migration: Migration
    rehearsal: Rehearsal
    before: Snapshot
    after: Snapshot
    held_before: Ledger
    held_after: Ledger
    read: Callable[[], psycopg.Connection]


class SharedError(CloneError):
    """A migration changes what the clones have in common, as they are databases of one server: tried on the second, it would not
    do what it does, or change the first.
    """

    def __init__(self, migration: Migration) -> None:
        super().__init__(f"{migration.path} changes roles, databases or tablespaces, which the clones have in common.")


class Shadow:
    """A second clone, made when it is first needed, and made anew when its state is not known or not wanted any more.

    What can't be done with it raises CloneError or psycopg.Error; neither says anything about a migration.
    """

    def __init__(
        self,
        migrations: Sequence[Migration],
        provider: Provider,
        limits: Limits,
        progress: Progress,
        *,
        seed_bytes: int = 0,
        clerk: Clerk = Clerk(),  # noqa: B008  frozen
    ) -> None:
        self._migrations, self._provider, self._progress = migrations, provider, progress
        self._limits = limits
        self._seed_bytes, self._clerk = seed_bytes, clerk
        self._stack = ExitStack()
        self._clone: Clone | None = None
        self._session = Session(self.connect)
        self._applied = 0

    def __enter__(self) -> Shadow:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.discard()

    @property
    def limits(self) -> Limits:
        """Those that a migration has on it."""
        return replace(self._limits, guard=self._provider.guard(self._clone)) if self._clone else self._limits

    def discard(self) -> None:
        """Throws the clone away: its state is of no use any more. The next one who needs it gets a new one."""
        self._session.close()
        self._clone, self._applied = None, 0
        self._stack.close()

    def bring_to(self, number: int) -> None:
        """Sees to it that just the first `number` migrations are applied on it, as their tool would, without watching."""
        if self._clone is None or self._applied > number:
            self.discard()
            self._refuse_without_room()
            with self._progress.step("make a second clone", only_if_long=True):
                self._clone = self._stack.enter_context(self._provider.clone())
        missing = self._migrations[self._applied : number]
        if not missing:
            return
        with self._progress.step(f"apply {count(len(missing), 'migration')} on the second clone", only_if_long=True):
            for migration in missing:
                self._applied += 1
                connection = self._session.for_file(migration)
                if error := perform(migration, connection, None, self.limits).error:
                    self.discard()
                    if _SHARED.search(migration.text):
                        raise SharedError(migration)
                    raise CloneError(f"{shown_place(migration, error.line)} fails on a second clone: {error.message}")
                self._clerk.enter(connection, migration)

    def _refuse_without_room(self) -> None:
        """A full disk would fail the next migration, which is more than a trial is worth. Twice, as one may rewrite all of it."""
        room = self._provider.room_bytes()
        if room is not None and room < 2 * self._seed_bytes:
            need = f"{size(2 * self._seed_bytes)} are wanted, and {size(room)} are free"
            raise CloneError(f"There is no room for a second clone: {need}.")

    def run(self, migration: Migration) -> Applied:
        """Runs a migration, or a way back, on a connection of its own, as a tool does that is started anew for it. The caller
        knows what state that leaves.
        """
        if _SHARED.search(migration.text) and migration not in self._migrations:
            raise SharedError(migration)  # what it drops, the first clone would miss
        self._session.close()
        with self.connect() as connection:
            done = perform(migration, connection, None, self.limits)
        if done.error and is_our_machines(done.error):
            raise CloneError(f"This machine could not carry it: {done.error.message}")
        return done

    def connect(self) -> psycopg.Connection:
        """A connection as the migration's role."""
        return self._provider.connect(self._there())

    def read(self) -> psycopg.Connection:
        """A connection for reading tables; see Provider."""
        return self._provider.read(self._there())

    def open_seed(self) -> AbstractContextManager[psycopg.Connection]:
        """A connection for reading the untouched seed."""
        return self._provider.open_seed()

    def snapshot(self) -> Snapshot:
        """Its catalog as it is now."""
        with self._provider.observe(self._there()) as observer:
            return take_snapshot(observer)

    def _there(self) -> Clone:
        if self._clone is None:
            raise CloneError("There is no second clone.")
        return self._clone


def is_shared(migration: Migration) -> bool:
    """Whether it may change what the clones have in common."""
    return _SHARED.search(migration.text) is not None


def is_our_machines(error: SqlError) -> bool:
    """Whether an error says that this machine lacks something, which says nothing about a migration. Shared memory is what holds
    locks: one who takes so many is refused everywhere.
    """
    return error.sqlstate in _OUR_MACHINE and not error.raised and "shared memory" not in error.message


def may_be_tried_later(outcome: Outcome, error: SqlError | None) -> bool:
    """Whether a trial was not made for a reason that the next time may be gone."""
    return outcome is Outcome.SKIPPED and error is not None and error.sqlstate != _NOT_SUPPORTED


def not_tried(error: CloneError | psycopg.Error, line: int = 1) -> SqlError:
    """Why a trial on the shadow could not be made: that is no answer about the migration, and no reason to lose one."""
    if isinstance(error, CloneError):
        said, sqlstate = " ".join(filter(None, (error.what, error.why))), _NOT_SUPPORTED if isinstance(error, SharedError) else ""
    else:
        said, sqlstate = message_of(error), error.sqlstate or ""
    return SqlError(sqlstate, said, line)
