"""A rehearsal on clones of a service: each is brought to where the base branch is, and told of as the seed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg

from bot.applying import Limits, message_of
from bot.clones import Clone
from bot.clones.embedded import SEED
from bot.clones.pouring import pour
from bot.clones.remote import Remote, Terms
from bot.clones.services import Service, kinds
from bot.errors import SeedError, UsageError
from bot.history import Past
from bot.journal.runs import Steps
from bot.model import CloneFacts, Plan, SeedFacts
from bot.postgres.counts import total_rows
from bot.postgres.embedded import Server
from bot.progress import Progress
from bot.settings import Settings
from bot.standing import Entrances, bring_up
from bot.words import name

_LONGEST = timedelta(days=29)  # what services take as a time of expiry


@dataclass(frozen=True, slots=True)
class Stage:
    """What a rehearsal is done on."""

    provider: Remote
    clone: Clone
    facts: CloneFacts
    notes: tuple[str, ...]
    past: Past


@dataclass(frozen=True, slots=True)
class Local:
    """The seed in a server of our own, for a service that hands out empty databases."""

    server: Server
    facts: SeedFacts
    past: Past


def remote(service: Service, plan: Plan, settings: Settings, run: Steps) -> Remote:
    """The provider of a service's clones. Raises UsageError for what can't be done on them."""
    if plan.tree:
        raise UsageError(
            "A command can't be rehearsed on a service's clone yet.",
            advice="Use the clone provider embedded with a dump; or rehearse files of SQL.",
        )
    return Remote(service, kinds()[settings.clone.provider], run, _terms(plan, settings))


def stage(
    stack: ExitStack,
    provider: Remote,
    plan: Plan,
    settings: Settings,
    identity: str,
    progress: Progress,
    local: Local | None = None,
) -> Stage:
    """Gets a clone, brings it up and measures it; `stack` gives it back. Raises CloneError, SeedError."""
    pasts, notes = list[Past](), list[str]()

    def prepare(clone: Clone) -> None:
        past, said = _prepared(provider, clone, plan, settings, progress, local)
        if not pasts:
            notes.extend(said)
        pasts.append(past)

    provider.prepare = prepare
    stack.enter_context(provider)
    with progress.step(f"get a clone from {provider.name}"):
        clone = stack.enter_context(provider.clone())
    facts, method_notes = _facts(provider, clone, identity, local)
    return Stage(provider, clone, facts, (*method_notes, *notes), pasts[0])


def _terms(plan: Plan, settings: Settings) -> Terms:
    """The longest that a run may take, and some: each migration may be run on each of three clones."""
    longest = timedelta(seconds=3 * settings.time_limit_s * (len(plan.migrations) + 1)) + timedelta(hours=1)
    return Terms(
        datetime.now(UTC) + min(longest, _LONGEST),
        settings.role,
        settings.superuser,
        Limits(settings.time_limit_s).backstop_ms,
    )


def _prepared(
    provider: Remote, clone: Clone, plan: Plan, settings: Settings, progress: Progress, local: Local | None
) -> tuple[Past, list[str]]:
    """Brings one clone to where the base branch is."""
    if local:
        with progress.step("load the seed into the clone"), provider.connect(clone) as connection:
            pour(local.server, connection)
        return local.past, []
    into = Entrances(*_each(provider.connect, provider.observe, provider.read, of=clone))
    past, notes = bring_up(into, plan, Limits(settings.time_limit_s, guard=provider.guard(clone)), progress)
    if settings.seed_sql:
        with progress.step(f"run {settings.seed_sql}"), provider.connect(clone) as connection:
            _run_sql_file(connection, Path(settings.seed_sql))
    return past, notes


def _each(*ways: Callable[[Clone], psycopg.Connection], of: Clone) -> list[Callable[[], psycopg.Connection]]:
    def bound(way: Callable[[Clone], psycopg.Connection]) -> Callable[[], psycopg.Connection]:
        return lambda: way(of)

    return [bound(way) for way in ways]


def _run_sql_file(connection: psycopg.Connection, path: Path) -> None:
    """Runs all of a file as one query, with the rights of a migration. Raises SeedError."""
    try:
        connection.execute(path.read_bytes())
    except (psycopg.Error, OSError) as error:
        why = message_of(error) if isinstance(error, psycopg.Error) else error.strerror or ""
        raise SeedError(
            f"{path.name} could not be run on the clone.", why=why, advice="There it must be SQL alone, without rows for COPY."
        ) from None


def _facts(provider: Remote, clone: Clone, identity: str, local: Local | None) -> tuple[CloneFacts, tuple[str, ...]]:
    """What was got: version, size, age, role."""
    lease = provider.lease(clone)
    with provider.connect(clone) as connection:
        row = connection.execute(
            "SELECT pg_catalog.current_setting('server_version'), pg_catalog.pg_database_size(pg_catalog.current_database()),"
            " current_user::text, (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user)"
        ).fetchone()
        assert row is not None  # noqa: S101  one row always
        version, size, role, superuser = row
        rows = total_rows(connection)
    seed = local.facts if local else SeedFacts(provider.name, identity, lease.taken_at, size, rows)
    notes = [*lease.notes]
    if lease.expires_at:
        notes.append(f"{provider.name} takes its clones back by itself at {lease.expires_at} if we do not.")
    facts = CloneFacts(provider.name, str(version).split()[0], seed, clone.acquire_ms, role, bool(superuser), True, lease.method)
    if local:
        notes += _differences(local.server, provider, clone)
    return facts, tuple(notes)


# What changes how a migration behaves, or what its rows become.
_COMPARED = (
    "server_version_num",
    "server_encoding",
    "default_transaction_isolation",
    "default_table_access_method",
    "default_toast_compression",
    "standard_conforming_strings",
    "TimeZone",
    "DateStyle",
    "bytea_output",
    "session_replication_role",
    "wal_level",
)
_ASKED = """
SELECT name::text, setting FROM pg_catalog.pg_settings WHERE name = ANY (%s)
UNION ALL
SELECT 'locale', datcollate || ' ' || datctype FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()
UNION ALL
SELECT 'extension ' || extname, extversion FROM pg_catalog.pg_extension
"""


def _asked(connection: psycopg.Connection) -> dict[str, str]:
    return {str(name): str(value) for name, value in connection.execute(_ASKED, [list(_COMPARED)])}


def _differences(server: Server, provider: Remote, clone: Clone) -> list[str]:
    """Where a clone that we filled is another PostgreSQL than the one that the seed was restored on: a note for the report."""
    with server.connect(SEED) as connection:
        here = _asked(connection)
    with provider.connect(clone) as connection:
        there = _asked(connection)
    differing = sorted(each for each in here.keys() | there.keys() if here.get(each) != there.get(each))
    if not differing:
        return []
    said = "; ".join(f"{name(each)}: {there.get(each, 'none')}, not {here.get(each, 'none')}" for each in differing)
    return [f"The clone differs from the server that the seed was restored on: {said}."]
