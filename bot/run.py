"""The glue: from a plan to a report. Read `rehearse_plan` first: it is the program."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import psycopg

from bot import dumps, kept_seeds, seeds
from bot.applying import Limits, apply, message_of
from bot.clones import EMBEDDED, EMPTY, Clone, Provider
from bot.clones.embedded import SEED, EmbeddedProvider, observer, reader
from bot.clones.lookout import Lookout
from bot.clones.remote import Remote
from bot.clones.services import Service, service_of
from bot.clones.session import Session
from bot.commanding import can_be_apart, run_command
from bot.elsewhere import Local, remote, stage
from bot.errors import CloneError, RehearsalError, SeedError, UsageError
from bot.expectations import Standing, how_they_stand, said_before
from bot.extensions import CONNECTING, HARMLESS, created_in
from bot.further import Further
from bot.held import held_folder
from bot.history import NO_PAST, Past, already_run, not_known_here, not_run, to_enter, to_rehearse, unfinished
from bot.journal.runs import Journal, NoJournal, Steps
from bot.journal.steps import Recorded
from bot.model import (
    BaseCommand,
    CloneFacts,
    Elsewhere,
    Migration,
    Outcome,
    Plan,
    PullRequest,
    Rehearsal,
    Report,
    SeedFacts,
    SqlError,
    Transaction,
    Verdict,
)
from bot.plain import from_plain, to_plain
from bot.postgres.binaries import Binaries, Needs, available, choose, newest
from bot.postgres.catalog import table_names, take_snapshot
from bot.postgres.counts import Ledger, next_xid
from bot.postgres.embedded import MAKER, Server, embedded_server
from bot.postgres.guard import Guard
from bot.postgres.roles import Lender, is_there, settle
from bot.program import import_ahead, program_digest
from bot.progress import Progress
from bot.question import ANNOUNCE, Question, Surroundings, question_of
from bot.rehearsal import catch_up, look_again, rehearse
from bot.rules import Policy, judge
from bot.settings import Settings
from bot.shadow import Done, Shadow, is_our_machines, is_shared, may_be_tried_later
from bot.sources import pointed, shown_place, told, with_way_back_told
from bot.standing import Clerk, Entrances, book_of, bring_up
from bot.team import FILE
from bot.verdict import conclude
from bot.words import count, name

# Serialization failure and deadlock, not enough of something, a lock not got, a time limit: the next time it may be otherwise.
_OF_THE_MOMENT = ("40", "53", "55P03", "57")
_READS_FILES = re.compile(r"pg_read_|pg_ls_|lo_import|dblink|file_fdw", re.IGNORECASE)
_FROM_A_FILE = re.compile(r"\bfrom\s+(?:program\b|'|e')", re.IGNORECASE)


class Effects(Protocol):
    """What a run does outside, besides rehearsing: each a step of the run, from the given place on."""

    def announce(self, run: Steps, step_id: int, run_id: str) -> None:
        """Says that the rehearsal has begun."""

    def deliver(self, run: Steps, step_id: int, report: Report) -> None:
        """Brings the report to where people look."""

    def elsewhere(self, plan: Plan) -> Elsewhere:
        """What other branches say about a plan. It is asked when an answer is found, and is part of it: a replay tells what was
        answered, whatever has happened elsewhere since.
        """


class NoEffects:
    """Nobody outside is told."""

    def announce(self, run: Steps, step_id: int, run_id: str) -> None:
        """See Effects."""

    def deliver(self, run: Steps, step_id: int, report: Report) -> None:
        """See Effects."""

    def elsewhere(self, plan: Plan) -> Elsewhere:  # noqa: ARG002  nobody is asked
        """See Effects."""
        return Elsewhere()


def rehearse_plan(
    plan: Plan,
    settings: Settings,
    progress: Progress,
    pull: PullRequest | None = None,
    *,
    journal: Journal | NoJournal | None = None,
    effects: Effects | None = None,
    url: str | None = None,
) -> Report:
    """Rehearses a plan's migrations in order, each on what the one before left, judges what was seen and delivers it. What the
    journal holds is not done again: a whole report, or single rehearsals. `url` is the workflow run's.

    Raises UsageError and NotRehearsedError; whatever happens, no server, clone or file is left.
    """
    journal, effects = journal or NoJournal(), effects or NoEffects()
    with held_folder("mr-seed-") as folder, _service(plan, settings) as service:
        shelf = kept_seeds.Shelf.at(settings.seed_folder, progress)
        seed = dumps.locate(settings.seed, folder, progress, shelf.identity) if settings.seed and plan.migrations else None
        surroundings = _surroundings(plan, settings, seed, service)
        question = question_of(plan, settings, pull, surroundings)
        with journal.run(question.key, anew=settings.force, waiting=lambda who: _say_waiting(progress, who)) as run:
            report = _replayed(run, question)
            if report is None:
                if plan.migrations:
                    effects.announce(run, ANNOUNCE, question.facts(url).run_id)
                source = _Source(folder, seed, shelf, service, surroundings.seed)
                report = _Answer(question, settings, progress, run, url, source, effects).find()
                if journal.lost:
                    report = replace(report, notes=(*report.notes, f"Without the journal: {journal.lost.what}"))
                run.record(question.report(), to_plain(report))
            effects.deliver(run, question.first_delivery, report)
            if _is_of_the_moment(report, plan):
                run.retire()
    return report


def _is_of_the_moment(report: Report, plan: Plan) -> bool:
    """Whether the next time it may be otherwise, though nothing changed that the key names."""
    hit_a_limit = any(e.sqlstate.startswith(_OF_THE_MOMENT) for m in report.migrations for e in _errors(m))
    trials = [trial for m in report.migrations for trial in (m.down, m.second_run) if trial]
    not_tried = any(may_be_tried_later(trial.outcome, trial.error) for trial in trials)
    return hit_a_limit or not_tried or any(_reads_files(migration.text) for migration in (*plan.base, *plan.migrations))


def _reads_files(text: str) -> bool:
    """Whether it may read files. Looked at from semicolon to semicolon, so that a long text takes no longer than its length."""
    if _READS_FILES.search(text):
        return True
    pieces = (piece[piece.lower().find("copy") :] for piece in text.split(";") if "copy" in piece.lower())
    return any(_FROM_A_FILE.search(piece) for piece in pieces)


def _errors(rehearsal: Rehearsal) -> list[SqlError]:
    """Every error of a rehearsal, also of what was tried besides."""
    down, second = rehearsal.down, rehearsal.second_run
    found = [rehearsal.error, down and down.error, down and down.again_error, second and second.error]
    return [error for error in found if error]


def error_report(error: RehearsalError, pull: PullRequest | None = None, url: str | None = None) -> Report:
    """The report of a rehearsal that could not be done."""
    question = question_of(Plan(()), Settings(), pull, Surroundings("", "", "", ""))
    return Report(Verdict.ERROR, question.facts(url), error=tuple(error.lines()), exit_status=error.exit_status)


@contextmanager
def _service(plan: Plan, settings: Settings) -> Iterator[Service | None]:
    """The service that clones come from, if any do. Raises UsageError, ServiceError."""
    if settings.clone.provider == EMBEDDED or not plan.migrations:
        yield None
        return
    if settings.seed and settings.clone.provider not in EMPTY:
        raise UsageError(
            f"There are a seed and the clone provider {settings.clone.provider}, which has data of its own.",
            why="Only one of them can be what is rehearsed on.",
            advice="Leave the input seed out, or the input clone-provider.",
        )
    with closing(service_of(settings.clone)) as service:
        yield service


def _surroundings(plan: Plan, settings: Settings, seed: dumps.Located | None, service: Service | None) -> Surroundings:
    seed_sql = ""
    if settings.seed_sql:
        if not Path(settings.seed_sql).is_file():
            raise SeedError(f"The SQL file {settings.seed_sql} does not exist.", advice="Check the input seed-sql.")
        seed_sql = dumps.identity_of_file(Path(settings.seed_sql))
    wanted = sorted(_wanted(plan, seeded=seed is not None))
    servers = f"{available(settings.postgres_bin)}; wanted: {', '.join(wanted)}"
    data = [seed.identity] if seed else []
    if service and settings.data_is_there:
        data.append(f"{settings.clone.provider}:{service.identity()}")
    return Surroundings(program_digest(), " ".join(data), seed_sql, servers)


def _wanted(plan: Plan, *, seeded: bool) -> frozenset[str]:
    """The extensions that decide which server is chosen, besides the seed's own."""
    return created_in(plan.migrations if seeded else (*plan.base, *plan.migrations))


def _say_waiting(progress: Progress, who: str) -> None:
    progress.say(f"another runner works on this very rehearsal ({who}): waiting for its result")


def _replayed(run: Steps, question: Question) -> Report | None:
    recorded = run.recall(question.report())
    if recorded is None:
        return None
    report = from_plain(Report, recorded.response)
    return replace(report, run=replace(report.run, replayed=True, made_at=_iso(recorded.made_at)))


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class _Known:
    """A rehearsal in the journal, and for which commit and when it was made."""

    rehearsal: Rehearsal
    commit: str | None
    made_at: str


@dataclass(frozen=True, slots=True)
class _Ground:
    """What was rehearsed on, what a reader should know of it, and what its history tables say."""

    clone: CloneFacts
    notes: tuple[str, ...]
    past: Past


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the data come from: a dump, of which `folder` takes what is downloaded and `shelf` keeps what is restored; a service;
    and what names them.
    """

    folder: Path
    located: dumps.Located | None
    shelf: kept_seeds.Shelf
    service: Service | None
    identity: str


@dataclass(frozen=True, slots=True)
class _Restored:
    """A dump that was restored, and notes for the report. `measured`: the facts are whole, and the tables have statistics."""

    facts: SeedFacts
    notes: list[str]
    measured: bool


@dataclass(frozen=True, slots=True)
class _Answer:
    """One question being answered."""

    question: Question
    settings: Settings
    progress: Progress
    run: Steps
    url: str | None
    source: _Source
    effects: Effects

    def find(self) -> Report:
        """Rehearses what the journal does not hold, and judges all of it."""
        began = time.monotonic()
        plan, facts = self.question.plan, self.question.facts(self.url)
        if not plan.migrations:
            findings = judge((), (), plan.problems, Policy(severities=self.settings.severities))
            return Report(conclude(findings, self.settings.fail_on), facts, findings=findings, notes=(plan.reason,))
        provider = self._remote()
        known = self._known()
        ground = self._known_ground() if self._is_all(known) else None
        rehearsals = [k.rehearsal for k in known]
        if ground is None:
            ground, rehearsals = self._rehearsed(known, provider)
        clone, past, other = ground.clone, ground.past, self.effects.elsewhere(plan)
        migrations = to_rehearse(plan, past)
        rehearsals += map(_skipped, migrations[len(rehearsals) :])
        seed = (*past.problems, *unfinished(plan, past.recorded), *not_run(plan, past))
        problems = (*plan.problems, *seed, *other.problems)
        rehearsals = list(map(with_way_back_told, rehearsals, migrations))
        findings = judge(rehearsals, migrations, problems, self._policy(clone))
        return Report(
            verdict=conclude(findings, self.settings.fail_on),
            run=facts,
            clone=clone,
            migrations=tuple(map(told, rehearsals, migrations)),
            findings=tuple(pointed(finding, migrations) for finding in findings),
            notes=(
                *ground.notes,
                *not_known_here(plan, past.recorded),
                f"Layout {plan.reason}.",
                *other.notes,
                *self._what_was_known(known),
            ),
            total_ms=round((time.monotonic() - began) * 1000, 3),
            caught_up=past.caught_up,
        )

    def _policy(self, clone: CloneFacts) -> Policy:
        settings = self.settings
        return Policy(
            large_table_rows=settings.large_table_rows,
            reads_blocked_ms=settings.max_reads_blocked_ms,
            writes_blocked_ms=settings.max_writes_blocked_ms,
            severities=settings.severities,
            production=replace(settings.production, rows_here=clone.seed.rows),
            large=settings.sizes.large,
            options=settings.rule_options,
        )

    # ── What the journal holds ───────────────────────────────────────────────────────────────────────────────────────────

    def _known(self) -> list[_Known]:
        """The rehearsals that were done before, from the first on."""
        known: list[_Known] = []
        for step in self.question.rehearsals():
            recorded = self.run.recall(step, of_any_run=True)
            if recorded is None:
                break
            known.append(from_plain(_Known, recorded.response))
            if recorded.key != self.run.key:
                self.run.record(step, recorded.response)
            if known[-1].rehearsal.outcome is Outcome.FAILED:
                break
        return known

    def _is_all(self, known: Sequence[_Known]) -> bool:
        failed = bool(known) and known[-1].rehearsal.outcome is Outcome.FAILED
        return failed or len(known) == len(self.question.plan.migrations)

    def _known_ground(self) -> _Ground | None:
        recorded = self.run.recall(self.question.clone(), of_any_run=True)
        if recorded is None:
            return None
        self._keep_clone(recorded)
        return from_plain(_Ground, recorded.response)

    def _keep_clone(self, recorded: Recorded) -> None:
        if recorded.key != self.run.key:
            self.run.record(self.question.clone(), recorded.response)

    def _what_was_known(self, known: Sequence[_Known]) -> list[str]:
        """Says which rehearsals are not of now."""
        if not known:
            return []
        of = f"{len(known)} of {count(len(self.question.plan.migrations), 'rehearsal')}"
        when = " and ".join(sorted({k.made_at for k in known})[:3])
        commits = sorted({k.commit[:7] for k in known if k.commit} - {(self.question.facts(None).head_sha or "")[:7]})
        if commits:
            return [f"{of} reused from {' and '.join(commits)} ({when}): migrations, seed and settings are the same."]
        return [f"{of} reused from the journal ({when}): migrations, seed and settings are the same."]

    # ── What it does not ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _remote(self) -> Remote | None:
        """The provider of a service's clones; what an earlier attempt at this run has left there is given back first."""
        if self.source.service is None:
            return None
        provider = remote(self.source.service, self.question.plan, self.settings, self.run)
        provider.give_back_earlier()
        return provider

    def _rehearsed(self, known: Sequence[_Known], away: Remote | None) -> tuple[_Ground, list[Rehearsal]]:
        late: list[str] = []  # what is known only when all is given back
        with ExitStack() as stack:
            provider, clone, ground = self._elsewhere(stack, away, late) if away else self._here(stack)
            standing = _standing(provider, clone, self.settings, self.progress)
            notes = (*said_before(self.settings.expectations, standing), *_not_there(provider, clone, self.settings))
            ground = replace(ground, notes=(*ground.notes, *notes))
            self.run.record(self.question.clone(), to_plain(ground))
            rehearsals = self._rehearsals(provider, clone, ground.past, known, standing)
        return replace(ground, notes=(*ground.notes, *late)), rehearsals

    def _here(self, stack: ExitStack) -> tuple[Provider, Clone, _Ground]:
        """A clone in a server of our own."""
        settings, progress = self.settings, self.progress
        server, facts, role, since_xid, notes, past = self._seeded(stack)
        if self.question.plan.tree and (settings.network or not can_be_apart()):
            why = "as --network says" if settings.network else "as this system gives it no network of its own"
            notes.append(f"The command could reach other hosts than the clone, {why}.")
        provider = EmbeddedProvider(
            server,
            role=role,
            superuser=settings.superuser,
            may_create=_may_create(server, settings),
            backstop_ms=Limits(settings.time_limit_s).backstop_ms,
            since_xid=since_xid,
        )
        import_ahead()
        with progress.step("clone the seed"):
            clone = stack.enter_context(provider.clone())
        version, superuser = server.binaries.version, settings.superuser
        ms, how = clone.acquire_ms, clone.method
        clone_facts = CloneFacts(provider.name, version, facts, ms, role, superuser, server.has_network, how)
        return provider, clone, _Ground(clone_facts, tuple(notes), past)

    def _seeded(self, stack: ExitStack) -> tuple[Server, SeedFacts, str, int, list[str], Past]:
        """A server of our own with the seed in it; see `_make_seed`."""
        plan, settings, progress = self.question.plan, self.settings, self.progress
        server, seed = self._begun(stack)
        facts, role, since_xid, notes, past = _make_seed(server, seed, plan, settings, progress)
        return server, facts, role, since_xid, [*notes, *self.source.shelf.notes], past

    def _elsewhere(self, stack: ExitStack, provider: Remote, late: list[str]) -> tuple[Provider, Clone, _Ground]:
        """A clone of a service, filled from a server of our own where the service gives an empty one."""
        local, notes = None, list[str]()
        if self.settings.clone.provider in EMPTY:
            server, facts, _role, _since_xid, notes, past = self._seeded(stack)
            local = Local(server, facts, past)
        stack.callback(lambda: late.extend(provider.notes))  # called when all is given back
        import_ahead()
        where = stage(stack, provider, self.question.plan, self.settings, self.source.identity, self.progress, local)
        return where.provider, where.clone, _Ground(where.facts, (*notes, *where.notes), where.past)

    def _rehearsals(
        self, provider: Provider, clone: Clone, past: Past, known: Sequence[_Known], standing: Standing
    ) -> list[Rehearsal]:
        """All rehearsals: those that are known, and the others, each kept as soon as it is there."""
        plan, settings, progress = self.question.plan, self.settings, self.progress
        rehearsals = [k.rehearsal for k in known]
        run_already = already_run(plan, past).keys()
        migrations = to_rehearse(plan, past)
        todo = tuple(m for m in migrations if m.path not in run_already)
        done = tuple(r for r in rehearsals if r.path not in run_already)
        new = rehearse_all(todo, provider, clone, settings, progress, known=done, standing=standing)
        for step, rehearsal in zip(
            self.question.rehearsals()[len(known) :], self._all(new, run_already, migrations[len(known) :]), strict=True
        ):
            rehearsals.append(rehearsal if settings.show_row_data else _without_row_data(rehearsal))
            if rehearsal.outcome is not Outcome.SKIPPED or rehearsal.path in run_already:
                head = self.question.pull.head_sha if self.question.pull else None
                self.run.record(step, to_plain(_Known(rehearsals[-1], head, _iso(datetime.now(UTC)))))
        return rehearsals

    def _begun(self, stack: ExitStack) -> tuple[Server, _Restored | None]:
        """A server with the restored dump: on a copy of a kept one, or restored now and kept, if somebody asked for that. Without
        a dump, an empty one.
        """
        plan, settings, progress = self.question.plan, self.settings, self.progress
        located, shelf, folder = self.source.located, self.source.shelf, self.source.folder
        can_be_kept = located is not None and shelf.folder is not None and not located.identity.startswith("unknown:")
        kept = shelf.find(located.identity, lambda needs: _chosen(plan, settings, needs)) if located and can_be_kept else None
        if kept and (server := shelf.start(kept, stack)):
            return server, _Restored(kept.paper.facts, [*kept.paper.notes, "The seed was restored before, and kept."], True)
        seed, binaries = _look_into_seed(plan, settings, located, folder, progress)
        if seed and located and can_be_kept:
            server, facts, notes = kept_seeds.restore_and_keep(shelf, located.identity, seed, binaries, stack)
            return server, _Restored(facts, notes, True)
        with progress.step(f"start PostgreSQL {binaries.version} ({binaries.origin})"):
            fresh = stack.enter_context(embedded_server(binaries))
        if seed is None:
            return fresh, None
        notes = seeds.restore(fresh, seed, progress)
        return fresh, _Restored(SeedFacts(str(seed.kind), seed.identity, seed.taken_at, 0, 0), notes, False)

    def _all(self, new: Iterator[Rehearsal], run_already: Set[str], migrations: Sequence[Migration]) -> Iterator[Rehearsal]:
        """The new rehearsals, and in their places what was run already, which is none."""
        for migration in migrations:
            yield _skipped(migration) if migration.path in run_already else next(new)
        yield from new  # nothing, and its sessions are ended


def _standing(provider: Provider, clone: Clone, settings: Settings, progress: Progress) -> Standing:
    """How the team's expectations stand on the clone. Raises CloneError."""
    if not settings.expectations:
        return {}
    limits = Limits(settings.time_limit_s, guard=provider.guard(clone))
    with progress.step("check what the team expects", only_if_long=True), _explained("the first migration"):
        patience = limits.counting.within(limits.migration_s)
        return how_they_stand(settings.expectations, lambda: provider.read(clone, own_names=True), patience)


def _not_there(provider: Provider, clone: Clone, settings: Settings) -> list[str]:
    """Says which tables the team gives a size that the clone does not have, and which one may be meant. Raises CloneError."""
    if not settings.sizes.names:
        return []
    with _explained("the first migration"), provider.observe(clone) as observer:
        there = table_names(observer)
    notes = []
    for table in sorted(settings.sizes.names - there):
        near = difflib.get_close_matches(table, sorted(there), n=1)
        meant = f" Is it {near[0]}?" if near else ""
        notes.append(f"{FILE} gives a size to {table}, which is not there before the first migration.{meant}")
    return notes


def _may_create(server: Server, settings: Settings) -> frozenset[str]:
    """The extensions for which rights are lent."""
    return (HARMLESS - CONNECTING if server.has_network else HARMLESS) | frozenset(settings.extensions)


def _skipped(migration: Migration) -> Rehearsal:
    return Rehearsal(
        migration.path, migration.version, migration.layout, Outcome.SKIPPED, Transaction.SINGLE, files=migration.files
    )


def _without_row_data(rehearsal: Rehearsal) -> Rehearsal:
    """A DETAIL holds values of rows: where it may not be shown, it is not kept either."""
    down, second = rehearsal.down, rehearsal.second_run
    return replace(
        rehearsal,
        error=_without_detail(rehearsal.error),
        statements=tuple(replace(s, error=_without_detail(s.error)) if s.error else s for s in rehearsal.statements),
        down=replace(down, error=_without_detail(down.error), again_error=_without_detail(down.again_error)) if down else None,
        second_run=replace(second, error=_without_detail(second.error)) if second else None,
    )


def _without_detail(error: SqlError | None) -> SqlError | None:
    return replace(error, detail=None) if error else None


def _look_into_seed(
    plan: Plan, settings: Settings, located: dumps.Located | None, folder: Path, progress: Progress
) -> tuple[dumps.SeedFile | None, Binaries]:
    """What the seed is, and the first server that fits it and the migrations: known before anything is restored."""
    seed = None
    if located:
        seed = dumps.open_seed(located, folder, newest(settings.postgres_bin), progress)
    return seed, _chosen(plan, settings, seed.needs if seed else None)


def _chosen(plan: Plan, settings: Settings, needs: Needs | None) -> Binaries:
    """The first server that fits a seed, if there is one, and the migrations."""
    of_seed = needs or Needs()
    wanted = _wanted(plan, seeded=needs is not None)
    return choose(replace(of_seed, extensions=of_seed.extensions | wanted), settings.postgres_bin)


def _make_seed(
    server: Server, seed: _Restored | None, plan: Plan, settings: Settings, progress: Progress
) -> tuple[SeedFacts, str, int, list[str], Past]:
    """Fills the template database: with what the dump lacks of the base branch, or by the base branch's own migrations; then the
    SQL file. Gives the role that migrations run as, too, and the first transaction that is younger than what the team
    made.
    """
    notes: list[str] = []
    past = NO_PAST
    if seed:
        notes += seed.notes
        kind, identity, taken_at = seed.facts.kind, seed.facts.identity, seed.facts.taken_at
    else:
        seeds.create_empty(server)
        kind, taken_at = str(dumps.Kind.MIGRATIONS), None
        identity = seeds.identity_of_texts([m.text for m in plan.base])
        if plan.reviewed:
            _replay(server, plan, settings, progress, MAKER)
        notes.append(_what_base_gave(plan))
    if settings.role and not is_there(server, settings.role):
        notes.append(f"The seed knows no role {settings.role}, which was created to run the migrations.")
    role = settle(server, SEED, settings.role or (None if seed else MAKER), superuser=settings.superuser)
    since_xid = _next_xid(server)
    if seed:
        past, more = _bring_up(server, plan, settings, progress, role)
        notes += more
        since_xid = _next_xid(server) if plan.reviewed else since_xid
    if not (seed or plan.reviewed):  # whoever wrote the migration may have written what it stands on
        _replay(server, plan, settings, progress, role)
    if plan.base_command:
        notes.append(_run_base_command(server, plan.base_command, settings, progress, role))
    if settings.seed_sql:  # mostly a file of the repository: it has the rights of a migration
        with progress.step(f"run {settings.seed_sql}"):
            seeds.run_sql_file(server, SEED, Path(settings.seed_sql), role=role, limit_s=settings.time_limit_s)
    if seed and seed.measured and not (past.caught_up or plan.base_command or settings.seed_sql):
        seeds.close_seed(server)
        return seed.facts, role, since_xid, notes, past
    return seeds.finish(server, kind, identity, taken_at, progress), role, since_xid, notes, past


def _bring_up(server: Server, plan: Plan, settings: Settings, progress: Progress, role: str) -> tuple[Past, list[str]]:
    """Runs what a dump lacks of the base branch, with the rights that the new migrations will have."""
    lender = Lender(server, _next_xid(server), set())
    lent = frozenset() if settings.superuser else _may_create(server, settings)
    guard = Guard(server.end_session, server.room_bytes, lender.rights, lent)
    into = Entrances(
        run=lambda: server.connect(SEED, user=role),
        look=lambda: observer(server, SEED),
        read=lambda: reader(server, SEED, role),
    )
    return bring_up(into, plan, Limits(settings.time_limit_s, guard=guard), progress)


def _next_xid(server: Server) -> int:
    with server.connect("postgres") as admin:
        return next_xid(admin)


def _run_base_command(server: Server, command: BaseCommand, settings: Settings, progress: Progress, role: str) -> str:
    """Brings the seed to where the base branch is. Raises SeedError."""
    limits = Limits(settings.time_limit_s, guard=Guard(server.end_session, server.room_bytes), network=settings.network)
    with progress.step(f"{command.line}, on the base branch's files"), server.connect(SEED, user=role) as connection:
        done = run_command(command.line, Path(command.folder), connection, None, limits)
    if done.error:
        raise SeedError(
            f"{name(command.line)} fails on the base branch's files, which the rest stands on: {done.error.message}",
            why=(done.error.detail or "") if settings.show_row_data else "",
            advice="Try it there by hand; --base-command names another one, or `none` to take the seed as it is.",
        )
    seconds = (done.run.now_ms() if done.run else 0.0) / 1000
    return f"First {name(command.line)} ran on the base branch's files: {count(done.statements, 'statement')}, {seconds:.1f} s."


def _what_base_gave(plan: Plan) -> str:
    if plan.base_command:
        return "No seed was given: rehearsed on what the base branch's own migrations make, without data of production."
    if not plan.base:
        return "No seed was given, and there are no earlier migrations: rehearsed on an empty database."
    return f"No seed was given: rehearsed on what {count(len(plan.base), 'earlier migration')} made, without data of production."


def _replay(server: Server, plan: Plan, settings: Settings, progress: Progress, role: str) -> None:
    limits = Limits(settings.time_limit_s, guard=Guard(server.end_session, server.room_bytes))
    book = book_of(plan, limits.guard)
    session = Session(lambda: server.connect(SEED, user=role))
    if book.to_make:
        with server.connect(SEED, user=role) as connection:
            book.open(connection)
    if not plan.base:
        return
    with progress.step(f"apply {count(len(plan.base), 'earlier migration')}"), session:
        for migration in plan.base:
            connection = session.for_file(migration)
            done = apply(migration, connection, None, limits)
            book.enter(connection, migration, done.run.now_ms() if done.run else 0.0)
            if error := done.error:
                rights = (
                    ""
                    if plan.reviewed
                    else " With --base the base branch's files are run, with all rights; --superuser gives these."
                )
                raise SeedError(
                    f"{shown_place(migration, error.line)} fails, which the rest stands on: {error.message}",
                    why="Without a seed the earlier migrations are run from the first to the last to make one.",
                    advice="Give a dump as seed, or mend the history so that it replays on an empty database." + rights,
                )


def rehearse_all(
    migrations: tuple[Migration, ...],
    provider: Provider,
    clone: Clone,
    settings: Settings,
    progress: Progress,
    *,
    known: Sequence[Rehearsal] = (),
    standing: Standing | None = None,
) -> Iterator[Rehearsal]:
    """Rehearses in order; after a failure the rest is skipped, as the tool would not come to it. The first ones may be `known`
    already, and applied: then the rest is rehearsed. `standing`: how the team's expectations stand before all of them, where that
    was asked.
    """
    limits = Limits(settings.time_limit_s, guard=provider.guard(clone), network=settings.network)
    failed = False
    with (
        Lookout(provider, clone) as lookout,
        Session(lambda: provider.connect(clone)) as session,
        ExitStack() as stack,
    ):
        snapshot = take_snapshot(*lookout.two())
        clerk = Clerk(to_enter(migrations), limits.guard)
        shadow = stack.enter_context(Shadow(migrations, provider, limits, progress, seed_bytes=snapshot.disk_bytes, clerk=clerk))
        ledger = Ledger(snapshot, provider.open_seed, limits.counting)
        if provider.counts_first:
            with progress.step("count all tables", only_if_long=True), lookout.read() as counting:
                ledger.count_all(counting)
        if known:
            with progress.step(f"apply {count(len(known), 'migration')} rehearsed before"):
                before = migrations[: len(known)]
                with _explained(before[-1].path):
                    snapshot = catch_up(before, session.for_file, lookout, snapshot, ledger, limits, clerk.enter)
        if known or standing is None:
            standing = _standing(provider, clone, settings, progress)
        further = Further(
            provider,
            clone,
            shadow,
            progress,
            trials=settings.way_back,
            expected=settings.expectations,
            standing=standing,
        )
        for number, migration in enumerate(migrations[len(known) :], start=len(known)):
            if failed:
                yield _skipped(migration)
                continue
            earlier, held = snapshot, ledger.copy()
            if is_shared(migration):
                shadow.discard()  # what is in it may need a role that the migration drops
            with _explained(migration.path):
                connection = session.for_file(migration)
                rehearsal, snapshot = rehearse(migration, connection, lookout, earlier, ledger, limits, progress)
                if rehearsal.outcome is Outcome.APPLIED:
                    done = Done(number, migration, rehearsal, earlier, snapshot, held, ledger, lookout.read)
                    rehearsal = further.look_into(done)
                if rehearsal.outcome is Outcome.APPLIED and migration.path in clerk.paths:
                    clerk.enter(connection, migration, rehearsal.duration_ms)
                    snapshot = look_again(lookout, snapshot, ledger, limits)
            _refuse_what_our_machine_could_not(rehearsal)
            failed = rehearsal.outcome is Outcome.FAILED
            yield rehearsal


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """A clone that can't be entered or looked at any more. Raises CloneError."""
    try:
        yield
    except psycopg.Error as error:
        raise CloneError(
            f"The clone could not be looked at, before or after {path}.",
            why=f"{type(error).__name__}: {message_of(error)}",
            advice="A migration can end sessions of its role, and hinder later ones (ALTER … SET, CONNECTION LIMIT).",
        ) from error


def _refuse_what_our_machine_could_not(rehearsal: Rehearsal) -> None:
    """A full disk says nothing about a migration. Raises CloneError."""
    if rehearsal.error and is_our_machines(rehearsal.error):
        raise CloneError(
            f"This machine could not carry {rehearsal.path}: {rehearsal.error.message}",
            why="That is no answer about the migration.",
            advice="Give the server more disk: a table that is rewritten is there twice for a while.",
        )
