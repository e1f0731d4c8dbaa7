"""The frozen values that travel through the house. Times are milliseconds (`_ms`), sizes bytes (`_bytes`).

Field names of everything under `Report` are the names of the JSON report (docs/report.schema.json): add, never rename.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Severity(StrEnum):
    """How much a finding weighs; only an error fails the check by itself."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


class Verdict(StrEnum):
    """What the program concludes. `error`: the rehearsal itself could not be done."""

    PASS = "pass"  # noqa: S105  not a password
    WARN = "warn"
    FAIL = "fail"
    ERROR = "error"


class Outcome(StrEnum):
    """What became of a migration; `skipped`: one before it failed, so its tool would not have come to it."""

    APPLIED = "applied"
    FAILED = "failed"
    SKIPPED = "skipped"


class Transaction(StrEnum):
    """How a layout's tool sends a file: in one transaction of its own, in none, or as one simple query (which PostgreSQL
    runs as one implicit transaction when it holds more than one statement).
    """

    SINGLE = "single"
    NONE = "none"
    IMPLICIT = "implicit"


class FileStatus(StrEnum):
    """What a change did to a file."""

    ADDED = "added"
    MODIFIED = "modified"
    REMOVED = "removed"
    RENAMED = "renamed"


# ── What is to be rehearsed ──────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class FileChange:
    """One changed file of a pull request; `old_path` when it was renamed."""

    path: str
    status: FileStatus
    old_path: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """From line `line` of a text on, its lines are those of the file `path`, beginning with that file's line `of`."""

    line: int
    path: str
    of: int


@dataclass(frozen=True, slots=True)
class Migration:
    """One migration as its tool sees it. `text` is its up part, with the line numbers of the file (lines of a down part in
    the same file are blank); `down` likewise, or None where there is no way back.

    Where a text is made of several files (what psql includes, or files that run in one transaction), its `sources` say whose
    line each line is; without any, all lines are the file's own. `files`: all files of a group that runs in one transaction, in
    order; its `path` and `version` are the last one's, at which the transaction is committed. `members`: the group's migrations
    one by one, as a seed may have run some of them.
    """

    path: str
    version: str
    layout: str
    text: str
    down: str | None = None
    down_path: str | None = None
    expect: str | None = None  # queries that must give no row afterwards, from the file `expect_path`
    expect_path: str | None = None
    files: tuple[str, ...] = ()
    sources: tuple[Source, ...] = ()
    down_sources: tuple[Source, ...] = ()
    expect_sources: tuple[Source, ...] = ()
    recorded: str = ""  # how its tool's history table has it; empty: not at all, or nobody knows
    repeatable: bool = False  # run again whenever it changes
    checksum: str | None = None  # of its file, where the table keeps one
    members: tuple[Migration, ...] = field(default=(), repr=False)

    @property
    def each(self) -> tuple[Migration, ...]:
        """The migrations that its tool knows: those of a group, else itself."""
        return self.members or (self,)


@dataclass(frozen=True, slots=True)
class HistoryProblem:
    """Something about the files that a reviewer should know: an edited old migration, a file no tool would run."""

    path: str
    message: str
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What other branches than a plan's two say about it, and what a reader should know of how they were asked."""

    problems: tuple[HistoryProblem, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Standing:
    """A migration that the base branch has, as far as its name tells. `content` names its text without holding it: git's name
    of the blob, or a digest. `recorded` as a Migration has it. `sql`: whether it is SQL that its tool runs on a database in use;
    `due`: whether it comes before what is rehearsed.
    """

    path: str
    version: str
    layout: str
    content: str
    recorded: str
    repeatable: bool = False
    sql: bool = True
    due: bool = True


@dataclass(frozen=True, slots=True)
class BaseFiles:
    """How to read what stands. `migration`: as it would be run, None where its tool skips it; `at_hand`: a file's bytes if they
    are here, `fetched`: wherever they are.
    """

    migration: Callable[[str], Migration | None]
    at_hand: Callable[[str], bytes | None]
    fetched: Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a tool's history table says. `versions`: what was run, as the table has it; `up_to`: and all that its tool puts
    before this one; `broken`: what was begun and is not finished, so that its tool goes no further; `checksums`: of what was run.
    """

    versions: tuple[str, ...] = ()
    up_to: str | None = None
    broken: tuple[str, ...] = ()
    checksums: Mapping[str, str] = field(default_factory=dict)
    table: str = ""  # where it was found


@dataclass(frozen=True, slots=True)
class BaseCommand:
    """A command line that brings the seed to where the base branch is, and the folder with the base's files to run it in."""

    line: str
    folder: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be rehearsed, in order; `base` is what stands before it, oldest first. `reviewed`: the base branch has it; else
    it lies about on the disk, and may be of whoever wrote the rest. Where a seed is given `standing` takes the place of `base`:
    nobody knows yet which of it is to be run, and `base_files` reads what is. A plan of a command has one migration, which is
    the command; `tree` then stands for all files that it may read.
    """

    migrations: tuple[Migration, ...]
    base: tuple[Migration, ...] = ()
    problems: tuple[HistoryProblem, ...] = ()
    reason: str = ""  # why this layout
    reviewed: bool = True
    standing: tuple[Standing, ...] = ()
    base_files: BaseFiles | None = field(default=None, compare=False, repr=False)
    base_command: BaseCommand | None = None
    tree: str = ""


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What an event asks to rehearse. `number` is None for a merge queue entry or a branch without a pull request."""

    repository: str
    head_sha: str
    base_sha: str
    number: int | None = None
    base_ref: str = ""
    from_fork: bool = False


@dataclass(frozen=True, slots=True)
class Ignored:
    """An event that asks for nothing, and why."""

    reason: str


# ── What was observed ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class SqlError:
    """A failed statement: `line` is in the file, and points at the place PostgreSQL names, else at the statement. `raised`: a
    RAISE of somebody's own says it, which may bear any SQLSTATE.
    """

    sqlstate: str
    message: str
    line: int
    detail: str | None = None  # may hold row values: shown only if the settings allow it
    hint: str | None = None
    raised: bool = False
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A relation and the lock mode that a statement added to what its transaction holds on it, as pg_locks names the mode."""

    relation: str
    mode: str


@dataclass(frozen=True, slots=True)
class Scan:
    """A table that a statement read from its beginning to its end, while it held a lock on it that others may wait for."""

    relation: str
    rows: int


@dataclass(frozen=True, slots=True)
class IndexWork:
    """An index that a statement built, rebuilt (another file) or dropped on a table that was there before the migration."""

    table: str
    name: str
    change: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What PostgreSQL remarked on a statement; kept are only remarks that its own code makes and that hold no row's value."""

    sqlstate: str
    message: str


@dataclass(frozen=True, slots=True)
class StatementResult:
    """One statement that was run. `sql` has its literals replaced; `rows_affected` is None where the command has no such
    count; `locks` is None where they could not be read. `began_ms` is on the migration's clock. `rewrites` are the relations
    whose rows it wrote into another file, `emptied` those that it gave an empty one (TRUNCATE). `lock_timeout_ms` and
    `statement_timeout_ms` were in force when it took a lock that others wait for (0: none; None: it took no such lock, or it
    could not be asked).
    """

    line: int
    sql: str
    duration_ms: float
    rows_affected: int | None
    locks: tuple[HeldLock, ...] | None
    error: SqlError | None = None
    began_ms: float = 0.0
    rewrites: tuple[str, ...] = ()
    emptied: tuple[str, ...] = ()
    scans: tuple[Scan, ...] = ()
    indexes: tuple[IndexWork, ...] = ()
    notices: tuple[Notice, ...] = ()
    lock_timeout_ms: int | None = None
    statement_timeout_ms: int | None = None
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class LockSpan:
    """One lock mode on one relation that existed before the migration, from the start of the statement that took it to its
    release, on the migration's clock. `sampled`: seen by looking every few milliseconds, so that the ends are known only so far;
    without it both are exact.
    """

    relation: str
    mode: str
    began_ms: float
    ended_ms: float
    line: int
    sampled: bool = False
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class RelationLock:
    """The strongest lock the migration held on a relation that existed before, from the start of the statement that took it
    to the end of its transaction, and what that keeps others from: "reads", "writes". `reads_blocked_ms` and
    `writes_blocked_ms` sum all the migration's locks on the relation, moments with two of them counted once. `rows`: in the
    table, before the migration; `kind`: table, partitioned table, materialized view, view, foreign table, sequence.
    """

    relation: str
    mode: str
    held_ms: float
    blocks: tuple[str, ...]
    line: int
    reads_blocked_ms: float = 0.0
    writes_blocked_ms: float = 0.0
    rows: int | None = None
    kind: str = "table"
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class TableChange:
    """A table that the migration touched. Counts are exact; None: there was no such table then, or (inserted, updated,
    deleted) PostgreSQL's counters do not tell.
    """

    name: str
    rows_before: int | None
    rows_after: int | None
    inserted: int | None
    updated: int | None
    deleted: int | None
    bytes_before: int | None
    bytes_after: int | None
    rewritten: bool
    line: int | None = None  # the statement that most likely did it
    kind: str = "table"  # or partitioned table, materialized view
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class ColumnNulls:
    """NULLs of a column that was added or changed, or whose number of NULLs changed; None: there was no such column then.
    `values_before`: its values that were not NULL.
    """

    table: str
    name: str
    nulls_before: int | None
    nulls_after: int | None
    values_before: int | None = None
    values_after: int | None = None


@dataclass(frozen=True, slots=True)
class TypeChange:
    """A column whose type changed. `values_changed`: of the rows that were there before and still are, how many hold another
    value now, which the old type tells apart; None where that could not be compared. `compared`: how many were.
    """

    table: str
    column: str
    before: str
    after: str
    values_changed: int | None
    compared: int | None = None
    line: int | None = None
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class IndexChange:
    """An index on a table that was there before: added, dropped, or valid where it was not (and the other way round). Of one that
    was dropped: `leading`, the column or expression that it began with, if that is still there and no other valid index of the
    table begins with it; `rows`: in the table before the migration, as far as is known.
    """

    table: str
    name: str
    change: str
    definition: str
    valid: bool
    bytes: int | None = None
    line: int | None = None
    path: str | None = None  # the file that `line` is in, where it is not the migration's own
    leading: str | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class ConstraintChange:
    """A constraint or unique index that was added, dropped or changed, or is as it was and was broken. `refused`: the
    migration failed on it. `violations`: existing rows that take part in breaking it, of `rows` in the table; None where there is
    nothing to count, or it could not be counted in the time allowed.
    """

    table: str
    name: str
    kind: str
    change: str
    validated: bool
    violations: int | None
    definition: str
    refused: bool = False
    rows: int | None = None
    columns: tuple[str, ...] = ()
    line: int | None = None
    indexed: bool | None = None  # a foreign key's own side, when it was added: whether an index begins with its columns
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """An object of the catalog that was added, dropped, renamed or changed, with its definition before and after."""

    kind: str
    name: str
    change: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a migration expects of the data after it, and whether it is so: a condition that must be true, or a query that must
    give no row. `path`: the file that holds it, and `line` in that. `detail` says how it failed, without values of rows.
    `of_team`: it stands in the team's file, for all migrations, and `text` is what it is called there.
    """

    line: int
    text: str
    passed: bool
    detail: str | None = None
    path: str | None = None
    of_team: bool = False


@dataclass(frozen=True, slots=True)
class Loss:
    """Data that the way back loses. `rows` of a table, or values that are not NULL of a `column`. `kept_before`: whether it was
    there before the migration (the round trip lost it), or came with the migration and goes with it.
    """

    table: str
    column: str | None
    lost: int
    kept_before: bool


@dataclass(frozen=True, slots=True)
class Down:
    """The way back, tried on another clone: up, down, compare, up again. `restored`: the schema is what it was before; if not,
    `differences` say where (`before`: before the migration, `after`: after the way back). `empty`: it holds no statement.
    `rows_lost`: rows that were there before the migration and are not any more. `again`: the up part after the down part; None
    where it was not come to.
    """

    path: str
    outcome: Outcome
    restored: bool
    differences: tuple[SchemaChange, ...] = ()
    rows_lost: int = 0
    losses: tuple[Loss, ...] = ()
    duration_ms: float = 0.0
    empty: bool = False
    error: SqlError | None = None
    again: Outcome | None = None
    again_error: SqlError | None = None


@dataclass(frozen=True, slots=True)
class SecondRun:
    """A file that runs outside one transaction, run twice on another clone: what a tool does that starts it anew after a
    failure half way. `error` is the second run's; `statement`, counted from 1, is where it stopped.
    """

    outcome: Outcome
    statement: int | None = None
    error: SqlError | None = None


@dataclass(frozen=True, slots=True)
class KeyUse:
    """An integer column that numbers rows (a sequence fills it, or it is the whole primary key), and how far it has come: the
    greatest value in it, of the greatest its type can hold.
    """

    table: str
    column: str
    type: str
    highest: int
    limit: int


@dataclass(frozen=True, slots=True)
class Dependent:
    """Something that was there before and does not work, or is not there, after a table or column was renamed or dropped.
    `kind`: view, materialized view, function, policy, trigger, default, foreign key, check; `problem`: "dropped" with it, or
    "names" what is gone. `of`: the table, column, function or constraint that went.
    """

    kind: str
    name: str
    problem: str
    of: str
    line: int | None = None
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class GuardLost:
    """Something that a relation had before and has no more: the relation itself, or the one that has its name now (`replaced`).
    `kind`: row security, forced row security, policy, restrictive policy, trigger, or default (of a column that takes no NULL);
    `name`: of the policy, trigger or column, quoted as SQL; empty where the relation's own. `definition`: as it was. `disabled`:
    it is there, and off.
    """

    kind: str
    table: str
    name: str
    definition: str
    disabled: bool = False
    replaced: bool = False
    line: int | None = None
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class RightLost:
    """What a role was granted on a relation or function before and may not do after, not by another way either: on the same
    one, or on the one that has its name now (`replaced`). `kind`: what it is now.
    """

    kind: str
    name: str
    role: str
    privileges: tuple[str, ...]
    replaced: bool = False
    line: int | None = None
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class SequenceBehind:
    """A sequence that fills a column of which no value may be there twice, and gives numbers that are there already: `next` is
    the one it gives next, `highest` the greatest in the column. It was not so before the migration.
    """

    table: str
    column: str
    sequence: str
    next: int
    highest: int
    line: int | None = None
    path: str | None = None  # the file that `line` is in, where it is not the migration's own


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One migration, run on a clone and watched: facts, never opinions. `files`: those of a group that ran in one transaction;
    its `path` and `version` are the last one's.
    """

    path: str
    version: str
    layout: str
    outcome: Outcome
    transaction: Transaction
    duration_ms: float = 0.0
    wal_bytes: int | None = None
    disk_bytes: int | None = None  # how much the whole database grew
    temp_bytes: int | None = None  # written to temporary files
    error: SqlError | None = None
    statements: tuple[StatementResult, ...] = ()
    locks: tuple[RelationLock, ...] = ()
    lock_spans: tuple[LockSpan, ...] = ()
    tables: tuple[TableChange, ...] = ()
    columns: tuple[ColumnNulls, ...] = ()
    types: tuple[TypeChange, ...] = ()
    constraints: tuple[ConstraintChange, ...] = ()
    indexes: tuple[IndexChange, ...] = ()
    schema: tuple[SchemaChange, ...] = ()
    dependents: tuple[Dependent, ...] = ()
    keys: tuple[KeyUse, ...] = ()
    guards_lost: tuple[GuardLost, ...] = ()
    rights_lost: tuple[RightLost, ...] = ()
    sequences_behind: tuple[SequenceBehind, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    down: Down | None = None  # None: there is no way back, or it was not come to
    second_run: SecondRun | None = None  # None: the file runs in one transaction, or was not run twice
    untouched_tables: int = 0
    statements_total: int = 0
    files: tuple[str, ...] = ()


# ── What is made of it ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule's judgement: what, where, and the evidence (measured value and limit). `instead` is SQL or words to do it
    better; `allowed_reason` is set when the file accepts the finding with a reason.
    """

    rule: str
    severity: Severity
    message: str
    path: str
    line: int | None = None
    measured: float | None = None
    limit: float | None = None
    instead: str | None = None
    allowed_reason: str | None = None


@dataclass(frozen=True, slots=True)
class SeedFacts:
    """Where the data came from. `taken_at` is ISO 8601, None when the seed does not tell; `rows` and `bytes` are measured
    in the restored template.
    """

    kind: str
    identity: str
    taken_at: str | None
    bytes: int
    rows: int


@dataclass(frozen=True, slots=True)
class CloneFacts:
    """The clone that was rehearsed on; `acquire_ms` is the time from asking for it to having it. `role`: whom migrations ran as;
    `network`: whether the server could have reached others; `method`: "by reference" (it shares the seed's blocks) or "copied",
    None where nobody knows.
    """

    provider: str
    postgres_version: str
    seed: SeedFacts
    acquire_ms: float
    role: str = "postgres"
    superuser: bool = False
    network: bool = True
    method: str | None = None


@dataclass(frozen=True, slots=True)
class CaughtUp:
    """A migration of the base branch that the seed lacked, and that was run on it before anything was rehearsed."""

    path: str
    version: str
    duration_ms: float


@dataclass(frozen=True, slots=True)
class Template:
    """A team's own template for the comment: what it is called and its text, or why there is none. Without both nobody has looked
    for it yet.
    """

    name: str
    text: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Which run made a report; repository, pull request and commit are None on a command line. `replayed`: the report comes
    from the journal, where it has been since `made_at` (ISO 8601). `url`: of the workflow run that made it.
    """

    run_id: str
    key: str
    repository: str | None = None
    pull_request: int | None = None
    head_sha: str | None = None
    replayed: bool = False
    made_at: str | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a template renders and the JSON report says. `error` is set when the verdict is `error`."""

    verdict: Verdict
    run: RunFacts
    clone: CloneFacts | None = None
    migrations: tuple[Rehearsal, ...] = ()
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()  # what a reader should know of how it was done: roles created, seed assumed, …
    error: tuple[str, ...] = ()
    exit_status: int = 0  # of the error, when the verdict is `error`
    total_ms: float = 0.0
    schema_version: int = 1
    caught_up: tuple[CaughtUp, ...] = ()
