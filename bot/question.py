"""What decides an answer: its digests, the key of the run that finds it, and the places of that run's steps. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bot.history import named_tables
from bot.journal.steps import Json, Step, digest, run_id_of
from bot.model import Migration, Plan, PullRequest, RunFacts
from bot.plain import to_plain
from bot.settings import Settings

ANNOUNCE, _CLONE, _FIRST_REHEARSAL = 1, 3, 4  # to announce takes two places: the status, the check run


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an answer depends on besides the files and settings: which program, which data, which servers there are."""

    program: str
    seed: str  # the identity of the dump; empty: made by the base's migrations
    seed_sql: str  # a digest of the SQL file's content
    servers: str


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one run. Two questions with one key have the same answer."""

    plan: Plan
    pull: PullRequest | None
    surroundings: Json
    key: str

    def clone(self) -> Step:
        """The fact of the clone: what was rehearsed on."""
        return Step(_CLONE, "clone", self.surroundings)

    def rehearsals(self) -> list[Step]:
        """The fact of each rehearsal: decided by its migration and all that ran before it, not by the commit."""
        steps, before = [], digest(self.surroundings)
        for number, migration in enumerate(self.plan.migrations):
            step = Step(_FIRST_REHEARSAL + number, to_plain(f"rehearse {migration.path}"), [before, _decides(migration)])
            before = step.request_hash
            steps.append(step)
        return steps

    def report(self) -> Step:
        """The fact of the report."""
        return Step(_FIRST_REHEARSAL + len(self.plan.migrations), "report", self.key)

    @property
    def first_delivery(self) -> int:
        """The place of the first step that delivers."""
        return self.report().step_id + 1

    def facts(self, url: str | None) -> RunFacts:
        """The run as its report tells of it."""
        pull = self.pull
        return RunFacts(
            run_id=str(run_id_of(self.key)),
            key=self.key,
            repository=pull.repository if pull else None,
            pull_request=pull.number if pull else None,
            head_sha=pull.head_sha if pull else None,
            url=url,
        )


def question_of(plan: Plan, settings: Settings, pull: PullRequest | None, surroundings: Surroundings) -> Question:
    """The question that a plan asks. Settings that only say where an answer goes don't decide it."""
    decides = [
        surroundings.program,
        _ground(plan, surroundings),
        [plan.tree, plan.base_command.line if plan.base_command else None, settings.network],
        surroundings.seed_sql,
        surroundings.servers,
        settings.clone.provider,
        settings.time_limit_s,
        settings.way_back,
        [settings.role, settings.superuser, sorted(settings.extensions)],
        settings.show_row_data,
        [[one.name, one.sql, one.path, one.line] for one in settings.expectations],
        sorted(settings.sizes.names),  # whether they are there is said
    ]
    judged = [
        [settings.fail_on, settings.neutral_warnings],
        settings.large_table_rows,
        settings.max_reads_blocked_ms,
        settings.max_writes_blocked_ms,
        sorted([rule, str(severity)] for rule, severity in settings.severities.items()),
        [{rule: dict(own) for rule, own in settings.rule_options.items()}, dict(settings.sizes.large)],
        [settings.production.total, dict(settings.production.rows)],
        to_plain(settings.template),
        plan.reason,
        [to_plain([m.sources, m.down_sources, m.expect_sources]) for m in plan.migrations],  # where findings point
        [[p.path, p.message, str(p.severity)] for p in plan.problems],
    ]
    answer = digest([decides, [_decides(migration) for migration in plan.migrations], judged])
    return Question(plan, pull, digest(decides), f"{subject(pull)}:{answer.removeprefix('sha256:')[:32]}")


def _ground(plan: Plan, surroundings: Surroundings) -> Json:
    """What is rehearsed on: a dump with what the base branch has, which may lack some of it; or what the base's migrations make,
    and the history tables that are written then because somebody names them.
    """
    if surroundings.seed:
        standing = [[s.path, s.version, s.layout, s.content, s.recorded, s.repeatable, s.sql, s.due] for s in plan.standing]
        return [surroundings.seed, plan.reviewed, standing]
    return [plan.reviewed, list(named_tables(plan)), *(_decides(migration) for migration in plan.base)]


def subject(pull: PullRequest | None) -> str:
    """What a run is about: a commit of a pull request, or files on this machine."""
    return f"{pull.repository}#{pull.number or ''}@{pull.head_sha}" if pull else "local"


def _decides(migration: Migration) -> Json:
    ran = [migration.path, migration.version, migration.layout, migration.text, migration.down]
    members = [[one.path, one.recorded] for one in migration.members]
    return [*ran, migration.expect, migration.expect_path, migration.recorded, migration.checksum, members]
