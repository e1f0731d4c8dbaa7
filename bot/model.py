"""The frozen values that travel through the house. Times are milliseconds (`_ms`), sizes bytes (`_bytes`).

Field names of everything under `Report` are the names of the JSON report (docs/report.schema.json): add, never rename.
"""

from __future__ import annotations

from dataclasses import dataclass
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
class Migration:
    """One migration as its tool sees it. `text` is its up part, with the line numbers of the file (lines of a down part in
    the same file are blank); `down` likewise, or None where there is no way back.
    """

    path: str
    version: str
    layout: str
    text: str
    down: str | None = None
    down_path: str | None = None


@dataclass(frozen=True, slots=True)
class HistoryProblem:
    """Something about the files that a reviewer should know: an edited old migration, a file no tool would run."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What will be rehearsed, in order; `base` is what stands before it on the base branch, oldest first."""

    migrations: tuple[Migration, ...]
    base: tuple[Migration, ...] = ()
    problems: tuple[HistoryProblem, ...] = ()
    reason: str = ""  # why this layout


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
    """A failed statement: `line` is in the file, and points at the place PostgreSQL names, else at the statement."""

    sqlstate: str
    message: str
    line: int
    detail: str | None = None  # may hold row values: shown only if the settings allow it
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class HeldLock:
    """A relation and the lock mode that a statement added to what its transaction holds on it, as pg_locks names the mode."""

    relation: str
    mode: str


@dataclass(frozen=True, slots=True)
class StatementResult:
    """One statement that was run. `sql` has its literals replaced; `rows_affected` is None where the command has no such
    count; `locks` is None where they could not be read (statements that run outside a transaction).
    """

    line: int
    sql: str
    duration_ms: float
    rows_affected: int | None
    locks: tuple[HeldLock, ...] | None
    error: SqlError | None = None


@dataclass(frozen=True, slots=True)
class RelationLock:
    """The strongest lock the migration held on a relation that existed before, from the start of the statement that took it
    to the end of its transaction, and what that keeps others from: "reads", "writes".
    """

    relation: str
    mode: str
    held_ms: float
    blocks: tuple[str, ...]
    line: int


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


@dataclass(frozen=True, slots=True)
class ColumnNulls:
    """NULLs of a column that was added or changed, or whose number of NULLs changed; None: there was no such column then."""

    table: str
    name: str
    nulls_before: int | None
    nulls_after: int | None


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


@dataclass(frozen=True, slots=True)
class SchemaChange:
    """An object of the catalog that was added, dropped or changed, with its definition before and after."""

    kind: str
    name: str
    change: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a migration expects of the data after it. Not read yet: a file that holds one gets a finding that says so."""

    line: int
    text: str
    passed: bool
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """One migration, run on a clone and watched: facts, never opinions."""

    path: str
    version: str
    layout: str
    outcome: Outcome
    transaction: Transaction
    duration_ms: float = 0.0
    wal_bytes: int | None = None
    error: SqlError | None = None
    statements: tuple[StatementResult, ...] = ()
    locks: tuple[RelationLock, ...] = ()
    tables: tuple[TableChange, ...] = ()
    columns: tuple[ColumnNulls, ...] = ()
    constraints: tuple[ConstraintChange, ...] = ()
    schema: tuple[SchemaChange, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    down: None = None  # the way back is not rehearsed yet
    untouched_tables: int = 0
    statements_total: int = 0


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
    """The clone that was rehearsed on; `acquire_ms` is the time from asking for it to having it."""

    provider: str
    postgres_version: str
    seed: SeedFacts
    acquire_ms: float


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
