"""Brings a restored seed to where the base branch is, as its history table says what it lacks; and keeps that table as its tool.

The table is written behind each file that is run, in a transaction of its own; tools do it within the file's, or just behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import psycopg

from bot import history
from bot.applying import Limits, apply
from bot.clones.session import Session
from bot.errors import RehearsalError, SeedError
from bot.history import NO_PAST, Past
from bot.layouts import named
from bot.model import CaughtUp, Migration, Plan, Recorded, SqlError, Standing
from bot.postgres import history as history_table
from bot.postgres.guard import Guard
from bot.postgres.history import Found
from bot.progress import Progress
from bot.words import count

_MOST_AT_HAND = 1000  # files whose checksums are compared; each is read


@dataclass(slots=True)
class Book:
    """The history tables of a database, as far as they are to be written. `made`: they are made where they are missing."""

    guard: Guard
    found: dict[str, Found] = field(default_factory=dict)
    to_make: tuple[str, ...] = ()

    def open(self, connection: psycopg.Connection) -> None:
        """Makes what is missing, as the tool does before it runs anything."""
        for layout in self.to_make:
            table = named(layout).history
            if table and (made := history_table.create(connection, table)):
                self.found[layout] = made
        self.to_make = ()

    def enter(self, connection: psycopg.Connection, migration: Migration, ms: float) -> None:
        """Writes that a migration was run."""
        table, found = named(migration.layout).history, self.found.get(migration.layout)
        if table and found:
            history_table.write(connection, found, table, migration, ms, self.guard)


def book_of(plan: Plan, guard: Guard) -> Book:
    """For a seed that the base's migrations make: only tables that one of the migrations names are made."""
    return Book(guard, to_make=history.named_tables(plan))


@dataclass(frozen=True, slots=True)
class Clerk:
    """Enters rehearsed migrations into their tool's table, on the connection that ran them: those of `paths`, as a later one
    depends on it.
    """

    paths: frozenset[str] = frozenset()
    guard: Guard = Guard()  # noqa: RUF009  frozen

    def enter(self, connection: psycopg.Connection, migration: Migration, ms: float = 0.0) -> None:
        """Writes that a migration was run, if it is one of those."""
        table = named(migration.layout).history if migration.path in self.paths else None
        with suppress(psycopg.Error):  # what the migration has done to the session may keep us from it
            if table and (found := history_table.find(connection, table)):
                for one in migration.each:
                    history_table.write(connection, found, table, one, ms, self.guard)
                connection.execute("SELECT pg_catalog.pg_stat_force_next_flush()")


@dataclass(frozen=True, slots=True)
class Entrances:
    """Ways into a database: as the migrations' role, to look at the catalog, and to read tables."""

    run: Callable[[], psycopg.Connection]
    look: Callable[[], psycopg.Connection]
    read: Callable[[], psycopg.Connection]


def bring_up(into: Entrances, plan: Plan, limits: Limits, progress: Progress) -> tuple[Past, list[str]]:
    """Reads what a database has run, runs what it lacks of the base branch as the migrations' role, and tells of both.

    Raises SeedError if a migration of the base branch fails.
    """
    recorded, found, strange = _read(into, plan, limits.guard)
    notes = history.unknown(plan, recorded, strange)
    if not recorded:
        return NO_PAST, notes
    compared, left_out = _compared(plan, recorded)
    pending = history.pending(plan, recorded, history.changed(compared, recorded))
    caught_up, not_run = _catch_up(into, plan, pending, limits, progress, Book(limits.guard, found))
    problems = tuple(history.differing(compared, recorded))
    notes += history.skipped_notes(not_run)
    if left_out:
        notes.append(f"Of {count(left_out, 'older migration')} the text was not compared with the checksum in the seed.")
    kept = {layout: replace(one, checksums={}) for layout, one in recorded.items()}
    return Past(kept, tuple(caught_up), problems), notes


def _read(into: Entrances, plan: Plan, guard: Guard) -> tuple[dict[str, Recorded], dict[str, Found], dict[str, str]]:
    """What the seed's tables say, where they are, and those that are of another history; by layout."""
    recorded: dict[str, Recorded] = {}
    found: dict[str, Found] = {}
    strange: dict[str, str] = {}
    for layout, table in history.tables(plan).items():
        with into.look() as looking:
            place = history_table.find(looking, table)
        if place is None:
            continue
        with into.read() as connection:
            rows = history_table.read(connection, place, table, guard)
        if not rows:
            continue
        said = replace(table.reading(rows), table=str(place))
        if history.is_of(said, plan, layout):
            recorded[layout], found[layout] = said, place
        else:
            strange[layout] = str(place)
    return recorded, found, strange


def _compared(plan: Plan, recorded: Mapping[str, Recorded]) -> tuple[list[tuple[Standing, bytes]], int]:
    """Standing migrations with their texts, as far as they are here or few; and how many were left out."""
    wanted, fetched = history.to_compare(plan, recorded), 0
    compared: list[tuple[Standing, bytes]] = []
    for one in wanted[:_MOST_AT_HAND] if plan.base_files else ():
        assert plan.base_files is not None  # noqa: S101  just looked
        try:
            content = plan.base_files.at_hand(one.path)
            if content is None and fetched < history.MOST_COMPARED:
                content, fetched = plan.base_files.fetched(one.path), fetched + 1
        except RehearsalError:  # to compare is not worth a rehearsal
            break
        if content is not None:
            compared.append((one, content))
    return compared, len(wanted) - len(compared)


def _catch_up(
    into: Entrances, plan: Plan, pending: Sequence[Standing], limits: Limits, progress: Progress, book: Book
) -> tuple[list[CaughtUp], list[Standing]]:
    """Runs what the seed lacks, in order; gives what was run, and what can't be run here."""
    programs = [one for one in pending if not one.sql]
    files = plan.base_files
    found = [files.migration(one.path) for one in pending if one.sql] if files else []
    migrations = [migration for migration in found if migration]
    if not migrations:
        return [], programs
    caught_up = []
    what = f"apply {count(len(migrations), 'migration')} of the base branch that the seed lacks"
    with progress.step(what), Session(into.run) as session:
        for migration in migrations:
            connection = session.for_file(migration)
            done = apply(migration, connection, None, limits)
            if done.error:
                raise _not_caught_up(migration, done.error)
            ms = round(done.run.now_ms(), 3) if done.run else 0.0
            caught_up.append(CaughtUp(migration.path, migration.version, ms))
            book.enter(connection, migration, ms)
    return caught_up, programs


def _not_caught_up(migration: Migration, error: SqlError) -> SeedError:
    layout = named(migration.layout)
    return SeedError(
        f"{migration.path}:{error.line} of the base branch fails on the seed, which lacks it: {error.message}",
        why=f"The seed's history table says that {layout.tool} has not run it yet: it would fail in production likewise, and "
        "what comes after it could not be run.",
        advice="Mend that migration first; or give a newer dump, if production has run it since.",
    )
