"""The glue: from a plan to a report. Read `rehearse_plan` first: it is the program."""

from __future__ import annotations

import hashlib
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psycopg

from bot import __version__, dumps, seeds
from bot.applying import Limits, apply
from bot.clones import Clone, Provider
from bot.clones.embedded import SEED, EmbeddedProvider
from bot.errors import CloneError, RehearsalError, SeedError
from bot.held import scratch_folder
from bot.layouts import named
from bot.model import (
    CloneFacts,
    Migration,
    Outcome,
    Plan,
    PullRequest,
    Rehearsal,
    Report,
    RunFacts,
    SeedFacts,
    Transaction,
    Verdict,
)
from bot.postgres.binaries import Binaries, Needs, choose, newest
from bot.postgres.catalog import take_snapshot
from bot.postgres.counts import Ledger
from bot.postgres.embedded import Server, embedded_server
from bot.progress import Progress
from bot.rehearsal import rehearse
from bot.rules import Policy, judge
from bot.settings import Settings
from bot.sql import split
from bot.verdict import conclude
from bot.words import count, without_values

_EXTENSION = re.compile(r'create\s+extension\s+(?:if\s+not\s+exists\s+)?(?:"(?P<quoted>[^"]+)"|(?P<plain>[\w-]+))', re.IGNORECASE)
_OUR_MACHINE = ("53100", "58030")  # disk_full, io_error
_NAMESPACE = uuid.UUID("6a1f2f0e-3f57-5d0c-9a55-8f5a5a1c7f31")


def rehearse_plan(plan: Plan, settings: Settings, progress: Progress, pull: PullRequest | None = None) -> Report:
    """Rehearses a plan's migrations in order, each on what the one before left, and judges what was seen.

    Raises UsageError and NotRehearsedError; whatever happens, no server, clone or file is left.
    """
    began = time.monotonic()
    if not plan.migrations:
        findings = judge((), (), plan.problems, Policy())
        return Report(
            conclude(findings, settings.fail_on), _run_facts(plan, settings, None, pull), findings=findings, notes=(plan.reason,)
        )
    with scratch_folder() as folder, ExitStack() as stack:
        seed, binaries = _look_into_seed(plan, settings, folder, progress)
        with progress.step(f"start PostgreSQL {binaries.version} ({binaries.origin})"):
            server = stack.enter_context(embedded_server(binaries))
        facts, notes = _make_seed(server, seed, plan, settings, progress)
        provider = EmbeddedProvider(server)
        with progress.step("clone the seed"):
            clone = stack.enter_context(provider.clone())
        rehearsals = list(rehearse_all(plan.migrations, provider, clone, settings, progress))
    policy = Policy(settings.large_table_rows)
    findings = judge(rehearsals, plan.migrations, plan.problems, policy)
    return Report(
        verdict=conclude(findings, settings.fail_on),
        run=_run_facts(plan, settings, facts, pull),
        clone=CloneFacts(provider.name, binaries.version, facts, clone.acquire_ms),
        migrations=tuple(rehearsals),
        findings=findings,
        notes=(*notes, f"Layout {plan.reason}."),
        total_ms=round((time.monotonic() - began) * 1000, 3),
    )


def error_report(error: RehearsalError, pull: PullRequest | None = None) -> Report:
    """The report of a rehearsal that could not be done."""
    run = _run_facts(Plan(()), Settings(), None, pull)
    return Report(Verdict.ERROR, run, error=tuple(error.lines()), exit_status=error.exit_status)


def _look_into_seed(plan: Plan, settings: Settings, folder: Path, progress: Progress) -> tuple[dumps.SeedFile | None, Binaries]:
    """What the seed is, and the first server that fits it and the migrations: known before anything is restored."""
    seed = None
    needs = Needs()
    if settings.seed_sql and not Path(settings.seed_sql).is_file():
        raise SeedError(f"The SQL file {settings.seed_sql} does not exist.", advice="Check the input seed-sql.")
    if settings.seed:
        seed = dumps.open_seed(settings.seed, folder, newest(settings.postgres_bin), progress)
        needs = seed.needs
    wanted = extensions_of(plan.migrations if seed else (*plan.base, *plan.migrations))
    needs = replace(needs, extensions=needs.extensions | wanted)
    return seed, choose(needs, settings.postgres_bin)


def extensions_of(migrations: Iterable[Migration]) -> frozenset[str]:
    """The extensions that migrations create outright; one that is created only if something holds is not known to be needed."""
    found = set()
    for migration in migrations:
        if "extension" not in migration.text.lower():
            continue
        for statement in split(migration.text).statements:
            if statement.begins("create extension") and (name := _EXTENSION.match(statement.sql)):
                found.add(name["quoted"] or name["plain"].lower())
    return frozenset(found)


def _make_seed(
    server: Server, seed: dumps.SeedFile | None, plan: Plan, settings: Settings, progress: Progress
) -> tuple[SeedFacts, list[str]]:
    """Fills the template database: from the dump, or by the base branch's own migrations; then the SQL file."""
    notes: list[str] = []
    if seed:
        notes += seeds.restore(server, seed, progress)
        kind, identity, taken_at = str(seed.kind), seed.identity, seed.taken_at
    else:
        seeds.create_empty(server)
        kind, taken_at = str(dumps.Kind.MIGRATIONS), None
        identity = seeds.identity_of_texts([m.text for m in plan.base])
        _replay(server, plan.base, settings, progress)
        notes.append(_what_base_gave(plan))
    if settings.seed_sql:
        with progress.step(f"run {settings.seed_sql}"):
            seeds.run_sql_file(server, SEED, Path(settings.seed_sql))
    return seeds.finish(server, kind, identity, taken_at, progress), notes


def _what_base_gave(plan: Plan) -> str:
    if not plan.base:
        return "No seed was given, and there are no earlier migrations: rehearsed on an empty database."
    return f"No seed was given: rehearsed on what {count(len(plan.base), 'earlier migration')} made, without data of production."


def _replay(server: Server, base: tuple[Migration, ...], settings: Settings, progress: Progress) -> None:
    if not base:
        return
    limits = Limits(settings.time_limit_s)
    with progress.step(f"apply {count(len(base), 'migration')} of the base"), _Session(lambda: server.connect(SEED)) as session:
        for migration in base:
            if error := apply(migration, session.for_file(migration), None, limits).error:
                raise SeedError(
                    f"{migration.path}:{error.line} fails, which the base branch has already: {error.message}",
                    why="Without a seed the base branch's migrations are run from the first to the last to make one.",
                    advice="Give a dump as seed, or mend the history so that it replays on an empty database.",
                )


class _Session:
    """The connection that a tool runs its files on: one for all, or a new one for each; never more than one is open."""

    def __init__(self, connect: Callable[[], psycopg.Connection]) -> None:
        self._connect = connect
        self._connection: psycopg.Connection | None = None

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._connection:
            self._connection.close()

    def for_file(self, migration: Migration) -> psycopg.Connection:
        """The connection for a file."""
        if self._connection and not named(migration.layout).one_session:
            self._connection.close()
            self._connection = None
        self._connection = self._connection or self._connect()
        return self._connection


def rehearse_all(
    migrations: tuple[Migration, ...], provider: Provider, clone: Clone, settings: Settings, progress: Progress
) -> Iterator[Rehearsal]:
    """Rehearses in order; after a failure the rest is skipped, as the tool would not come to it."""
    limits = Limits(settings.time_limit_s)
    failed = False
    with provider.observe(clone) as observer:
        snapshot = take_snapshot(observer)
    ledger = Ledger(snapshot, provider.open_seed)
    with _Session(lambda: provider.connect(clone)) as session:
        for migration in migrations:
            if failed:
                yield Rehearsal(migration.path, migration.version, migration.layout, Outcome.SKIPPED, Transaction.SINGLE)
                continue
            connection = session.for_file(migration)
            try:
                rehearsal, snapshot = rehearse(
                    migration, connection, lambda: provider.observe(clone), snapshot, ledger, limits, progress
                )
            except psycopg.Error as error:
                raise CloneError(
                    f"The clone could not be looked at after {migration.path}.",
                    why=f"{type(error).__name__}: {without_values(str(error).strip())[-300:]}",
                    advice="A migration can end the server's connections, or lock its catalog and not let go.",
                ) from error
            if rehearsal.error and rehearsal.error.sqlstate in _OUR_MACHINE:
                raise CloneError(
                    f"This machine could not carry {migration.path}: {rehearsal.error.message}",
                    why="That is no answer about the migration.",
                    advice="Give the server more disk: a table that is rewritten is there twice for a while.",
                )
            failed = rehearsal.outcome is Outcome.FAILED
            yield rehearsal


def _run_facts(plan: Plan, settings: Settings, seed: SeedFacts | None, pull: PullRequest | None) -> RunFacts:
    """The key names everything that decides the answer; the run's id is a UUIDv5 of it."""
    decides = [
        __version__,
        seed.identity if seed else "",
        repr(settings),
        *(f"{m.path}\0{m.text}" for m in (*plan.base, *plan.migrations)),
    ]
    digest = hashlib.sha256("\0\0".join(decides).encode("utf-8", errors="surrogateescape")).hexdigest()[:16]
    where = f"{pull.repository}#{pull.number or ''}@{pull.head_sha}" if pull else "local"
    key = f"{where}:{digest}"
    return RunFacts(
        run_id=str(uuid.uuid5(_NAMESPACE, key)),
        key=key,
        repository=pull.repository if pull else None,
        pull_request=pull.number if pull else None,
        head_sha=pull.head_sha if pull else None,
    )
