"""Rules over observations made by hand: limits, who speaks, what is projected. Their examples run on a real server."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.errors import UsageError
from bot.model import (
    ColumnNulls,
    ConstraintChange,
    Dependent,
    Down,
    Expectation,
    Finding,
    GuardLost,
    HeldLock,
    IndexChange,
    IndexWork,
    KeyUse,
    LockSpan,
    Loss,
    Notice,
    Outcome,
    Rehearsal,
    RelationLock,
    RightLost,
    Scan,
    SchemaChange,
    SecondRun,
    SequenceBehind,
    SqlError,
    StatementResult,
    TableChange,
    Transaction,
    TypeChange,
)
from bot.production import Production, read_statistics
from bot.rules import RULES, Policy, judge

T = "public.orders"
EXCLUSIVE, SHARE, ROW = "AccessExclusiveLock", "ShareLock", "RowExclusiveLock"
LARGE = (RelationLock(T, EXCLUSIVE, 10.0, ("reads", "writes"), 1, rows=20_000),)
TEN_TIMES = Production({T: 200_000})
INDEX = IndexChange(T, "public.i", "added", "CREATE UNIQUE INDEX i ON public.orders USING btree (a)", True)
UNIQUE = ConstraintChange(T, "i", "unique", "added", True, 0, "UNIQUE (a)", columns=("a",))
CHECK = ConstraintChange(T, "c", "check", "added", True, 0, "CHECK (a > 0)", columns=("a",), line=1)
FOREIGN = ConstraintChange(T, "f", "foreign key", "added", True, 0, "…", columns=("a", '"B"'), line=1, indexed=False)
GONE = ColumnNulls(T, "phone", 10, None, 90, None)
OFF = GuardLost("row security", T, "", "ENABLE ROW LEVEL SECURITY", disabled=True, line=1)
UNGUARDED = GuardLost("trigger", T, '"Log"', "CREATE TRIGGER …", line=1)
OPEN = GuardLost("policy", T, "own", "AS PERMISSIVE FOR ALL TO PUBLIC USING (true)", line=1)
UNFILLED = GuardLost("default", T, '"At"', "DEFAULT now()", line=1)
REVOKED = RightLost("table", T, "app", ("INSERT", "SELECT"), line=1)
BEHIND = SequenceBehind(T, "id", "public.orders_id_seq", 2, 2000, line=1)
UPDATED = TableChange(T, 20_000, 20_000, 0, 20_000, 0, None, None, False, 1)
UNINDEXED = replace(INDEX, change="dropped", leading='"A"', rows=20_000, line=1)


def rehearsal(*statements: StatementResult, **more: object) -> Rehearsal:
    outcome = Outcome.FAILED if "error" in more else Outcome.APPLIED
    values = {"statements": statements, "statements_total": len(statements) or 1, "transaction": Transaction.SINGLE} | more
    return Rehearsal("m.sql", "1", "plain", outcome, **values)  # type: ignore[arg-type]


def ran(began: float, ended: float, rows: int | None = None, *, line: int = 1, **more: object) -> StatementResult:
    """A statement, from one millisecond to another."""
    return StatementResult(line, "x", ended - began, rows, (), began_ms=began, **more)  # type: ignore[arg-type]


def held(mode: str, began: float, ended: float, *, line: int = 1, table: str = T) -> LockSpan:
    return LockSpan(table, mode, began, ended, line)


def found(rule: str, value: Rehearsal, policy: Policy) -> list[Finding]:
    return [finding for finding in judge([value], (), (), policy) if finding.rule == rule]


def table(name: str, before: int | None, after: int | None, *, inserted: int = 0, deleted: int = 0) -> TableChange:
    return TableChange(name, before, after, inserted, 0, deleted, None, None, False, 1)


def down(**more: object) -> Down:
    return Down(**{"path": "m.down.sql", "outcome": Outcome.APPLIED, "restored": True, "again": Outcome.APPLIED} | more)  # type: ignore[arg-type]


def error(state: str, message: str = "no") -> SqlError:
    return SqlError(state, message, 2)


INSTANT = ran(0, 1)
CHANGED = ran(0, 500, 20_000)
SCAN = ran(0, 300, scans=(Scan(T, 20_000),))
BACKFILL = (ran(0, 2), ran(2, 40, 20_000, line=2))
UNDER_LOCK: dict[str, object] = {"locks": LARGE, "lock_spans": (held(EXCLUSIVE, 0, 40),)}
CHANGES: dict[str, object] = {"schema": (SchemaChange("column", f"{T}.a", "added", None, "integer"),)}
RENAMED = SchemaChange("table", "public.bills", "renamed", T, "public.bills")

# rule, what was observed -> severity and a part of each finding's message
CASES: list[tuple[str, Rehearsal, list[tuple[str, str]]]] = [
    # Reads and writes that wait
    ("reads-blocked", rehearsal(lock_spans=(held(EXCLUSIVE, 0, 500),)), []),
    ("reads-blocked", rehearsal(lock_spans=(held(EXCLUSIVE, 0, 501),)), [("warning", "`orders` wait for 501 ms (limit 500 ms)")]),
    ("reads-blocked", rehearsal(lock_spans=(held(EXCLUSIVE, 0, 5001),)), [("error", "wait for 5.0 s (limit 500 ms)")]),
    ("reads-blocked", rehearsal(lock_spans=(held(EXCLUSIVE, 0, 300), held(EXCLUSIVE, 100, 400))), []),
    ("reads-blocked", rehearsal(lock_spans=(held(EXCLUSIVE, 0, 300), held(EXCLUSIVE, 400, 700))), [("warning", "600 ms")]),
    ("reads-blocked", rehearsal(lock_spans=(held(SHARE, 0, 9000),)), []),
    (
        "writes-blocked",
        rehearsal(lock_spans=(held(SHARE, 0, 1500),)),
        [("warning", "Writes of `orders` wait for 1.5 s (limit 1.0 s)")],
    ),
    ("writes-blocked", rehearsal(lock_spans=(held(ROW, 0, 9000), held("ShareUpdateExclusiveLock", 0, 9000))), []),
    ("writes-blocked", rehearsal(lock_spans=(held(EXCLUSIVE, 0, 1500),)), []),  # reads-blocked has said it of both
    ("writes-blocked", rehearsal(lock_spans=(held(EXCLUSIVE, 0, 600), held(SHARE, 600, 3000))), [("warning", "3.0 s")]),
    # Rewrites, indexes, constraints
    (
        "table-rewritten",
        rehearsal(ran(0, 9, rewrites=(T,)), locks=LARGE),
        [("warning", "`orders` was rewritten, all 20,000 rows")],
    ),
    (
        "table-rewritten",
        rehearsal(ran(0, 9, rewrites=(T,)), ran(9, 18, rewrites=(T,)), locks=LARGE),
        [("warning", ", 2 times, ")],
    ),
    ("table-rewritten", rehearsal(ran(0, 9, rewrites=("public.small",)), locks=LARGE), []),
    (
        "index-not-concurrent",
        rehearsal(ran(0, 9, indexes=(IndexWork(T, "public.i", "built"),)), locks=LARGE, lock_spans=(held(SHARE, 0, 9),)),
        [("warning", "Index `i` was built while writes of `orders`, 20,000 rows, wait")],
    ),
    (
        "index-not-concurrent",  # its own statement's lock is not one that others wait for
        rehearsal(ran(0, 9, indexes=(IndexWork(T, "public.i", "built"),)), locks=LARGE, lock_spans=(held(SHARE, 9, 20),)),
        [],
    ),
    (
        "index-not-concurrent",
        rehearsal(
            ran(0, 9, indexes=(IndexWork(T, "public.i", "built"),)),
            constraints=(UNIQUE,),
            **UNDER_LOCK,
        ),
        [],
    ),
    (
        "index-not-concurrent",
        rehearsal(
            ran(0, 9, indexes=(IndexWork(T, "public.i", "dropped"),)),
            schema=(SchemaChange("column", f"{T}.a", "dropped", "integer", None),),
            indexes=(replace(INDEX, change="dropped"),),
            **UNDER_LOCK,
        ),
        [],
    ),
    (
        "constraint-scan",
        rehearsal(ran(0, 9, indexes=(IndexWork(T, "public.i", "built"),)), constraints=(UNIQUE,), **UNDER_LOCK),
        [("warning", "The unique constraint `i` read all 20,000 rows of `orders` while reads and writes wait")],
    ),
    ("constraint-scan", rehearsal(SCAN, constraints=(CHECK,), **UNDER_LOCK), [("warning", "The check constraint `c`")]),
    ("constraint-scan", rehearsal(SCAN, constraints=(replace(CHECK, validated=False),), **UNDER_LOCK), []),
    ("constraint-scan", rehearsal(SCAN, constraints=(CHECK,), locks=LARGE), []),  # VALIDATE: nobody waits
    ("constraint-scan", rehearsal(replace(SCAN, rows_affected=5), constraints=(CHECK,), **UNDER_LOCK), []),
    ("constraint-scan", rehearsal(INSTANT, constraints=(CHECK,), **UNDER_LOCK), []),
    (
        "constraint-scan",  # a statement that names one constraint proves no other that nobody names
        rehearsal(SCAN, constraints=(CHECK, replace(CHECK, name="d", kind="not null", line=None)), **UNDER_LOCK),
        [("warning", "`c`")],
    ),
    # Work under locks
    (
        "work-under-lock",
        rehearsal(*BACKFILL, **UNDER_LOCK),
        [("warning", "1 later statement with 20,000 rows ran for 38 ms, while")],
    ),
    ("work-under-lock", rehearsal(*BACKFILL, locks=LARGE, lock_spans=(held(EXCLUSIVE, 0, 2),)), []),
    ("work-under-lock", rehearsal(*BACKFILL, lock_spans=(held(EXCLUSIVE, 0, 40),)), []),  # the table is small
    ("work-under-lock", rehearsal(BACKFILL[0], ran(2, 40, 5, line=2), **UNDER_LOCK), []),
    (
        "work-under-lock",
        rehearsal(ran(0, 2), ran(2, 900, line=2), locks=LARGE, lock_spans=(held(EXCLUSIVE, 0, 900),)),
        [("warning", "1 later statement with 0 rows ran for 898 ms")],
    ),
    (
        "no-lock-timeout",
        rehearsal(*(replace(ran(0, 1, line=n), locks=(HeldLock(T, EXCLUSIVE),), lock_timeout_ms=0) for n in (1, 2)), locks=LARGE),
        [("notice", "`orders` is locked without a lock_timeout")],
    ),
    ("no-lock-timeout", rehearsal(replace(INSTANT, locks=(HeldLock(T, EXCLUSIVE),), lock_timeout_ms=5000), locks=LARGE), []),
    ("no-lock-timeout", rehearsal(replace(INSTANT, locks=(HeldLock(T, ROW),), lock_timeout_ms=0), locks=LARGE), []),
    # What is lost
    ("rows-lost", rehearsal(tables=(table(T, 5, None),)), [("error", "`orders` is dropped with 5 rows")]),
    ("rows-lost", rehearsal(tables=(table(T, 5, 0),)), [("error", "`orders` is emptied: all 5 rows are gone")]),
    (
        "rows-lost",
        rehearsal(tables=(table(T, 5, None), table("public.n", None, 5))),
        [("error", "`orders` is dropped with 5 rows; `n` got 5 rows")],
    ),
    (
        "rows-lost",  # built anew beside the old one, whose name it takes
        rehearsal(tables=(table(T, 5, None), table(T, None, 6))),
        [("error", "`orders` is dropped with 5 rows; the table that has its name now has 6 rows, the same or not")],
    ),
    ("rows-lost", rehearsal(tables=(table(T, 5, None), table(T, None, 4))), [("error", "`orders` is dropped with 5 rows")]),
    ("rows-lost", rehearsal(tables=(table(T, 5, 3, deleted=2),)), [("warning", "2 of 5 rows of `orders` are deleted")]),
    ("rows-lost", rehearsal(tables=(table(T, 5, 5, inserted=2, deleted=2),)), [("warning", "2 of 5 rows")]),
    (
        "rows-lost",
        rehearsal(tables=(table(T, 5, 3, deleted=2), table("public.n", 1, 3, inserted=2))),
        [("warning", "2 of 5 rows of `orders` are deleted; `n` got 2 rows")],
    ),
    ("rows-lost", rehearsal(tables=(table(T, 0, None), table("public.n", 5, 9, inserted=4))), []),
    (
        "rows-lost",
        rehearsal(tables=(replace(table("public.m", 5, 3), kind="materialized view"),)),
        [],
    ),
    (
        "rows-lost",  # emptied, and filled again
        rehearsal(ran(0, 1, emptied=(T,)), tables=(table(T, 5, 5),)),
        [("error", "`orders` is emptied: all 5 rows are gone")],
    ),
    (
        "rows-lost",  # from one partition to another
        rehearsal(tables=(replace(table(T, 5, 5, inserted=2, deleted=2), kind="partitioned table"),)),
        [],
    ),
    (
        "rows-lost",
        rehearsal(
            tables=(replace(table(T, 5, 3), kind="partitioned table"), table("public.o1", 2, 2)),
            schema=(SchemaChange("table", "public.o1", "changed", f"PARTITION OF {T} FOR VALUES IN (1)", ""),),
        ),
        [],
    ),
    (
        "rows-lost",
        rehearsal(
            tables=(replace(table(T, 5, 3), kind="partitioned table"),),
            schema=(SchemaChange("table", "public.o1", "dropped", f"(a int) PARTITION OF {T} FOR VALUES IN (1)", None),),
        ),
        [("error", "2 of 5 rows of `orders` are dropped with `o1`")],
    ),
    (
        "column-values-lost",  # what is left of the rows holds no value, so those that went may have held none
        rehearsal(columns=(ColumnNulls(T, "a", 12, 10, 8, 0),), tables=(table(T, 20, 10, deleted=10),)),
        [("warning", "8 of 8 values of `orders.a` are NULL")],
    ),
    ("locks-unseen", rehearsal(ran(0, 1), replace(ran(1, 1), locks=None, line=4)), [("warning", "could not be seen")]),
    ("column-values-lost", rehearsal(columns=(GONE,)), [("error", "`orders.phone` is dropped with 90 values")]),
    (
        "column-values-lost",
        rehearsal(columns=(GONE, ColumnNulls(T, "mobile", None, 10, None, 90))),
        [("error", "the new column `mobile` has as many")],
    ),
    ("column-values-lost", rehearsal(columns=(GONE, ColumnNulls(T, "mobile", None, 11, None, 89))), [("error", "90 values")]),
    ("column-values-lost", rehearsal(columns=(replace(GONE, values_before=0),)), []),
    (
        "column-values-lost",
        rehearsal(
            columns=(GONE,), schema=(SchemaChange("column", f"{T}.phone", "dropped", "text GENERATED ALWAYS AS (x)", None),)
        ),
        [],
    ),
    (
        "column-values-lost",
        rehearsal(columns=(ColumnNulls(T, "a", 0, 7, 9, 2),)),
        [("warning", "7 of 9 values of `orders.a` are NULL")],
    ),
    ("column-values-lost", rehearsal(columns=(ColumnNulls(T, "a", 0, 0, 9, 2),), tables=(table(T, 9, 2, deleted=7),)), []),
    ("column-values-lost", rehearsal(columns=(ColumnNulls(T, "a", 9, 0, 0, 9),)), []),
    ("type-change-lossy", rehearsal(types=(TypeChange(T, "a", "numeric", "integer", 0, 5),)), []),
    (
        "type-change-lossy",
        rehearsal(types=(TypeChange(T, "a", "numeric", "integer", 2, 5),)),
        [("error", "2 of 5 values are not what")],
    ),
    ("type-change-lossy", rehearsal(types=(TypeChange(T, "a", "text", "jsonb", None),)), [("warning", "could not be compared")]),
    # What is left
    (
        "invalid-index",
        rehearsal(indexes=(replace(INDEX, valid=False),)),
        [("error", "Index `i` on `orders` is left invalid: no query")],
    ),
    ("invalid-index", rehearsal(indexes=(INDEX, replace(INDEX, valid=False, change="dropped"))), []),
    (
        "invalid-index",
        rehearsal(indexes=(replace(INDEX, valid=False, definition="CREATE INDEX i ON ONLY public.orders USING btree (a)"),)),
        [("notice", "until one of each partition is attached")],
    ),
    ("foreign-key-without-index", rehearsal(constraints=(FOREIGN,)), [("notice", "No index of `orders` begins with")]),
    ("foreign-key-without-index", rehearsal(constraints=(FOREIGN,), locks=LARGE), [("warning", '`f`: `a, "B"`')]),
    ("foreign-key-without-index", rehearsal(constraints=(replace(FOREIGN, indexed=True), replace(FOREIGN, indexed=None))), []),
    (
        "dependent-broken",
        rehearsal(dependents=(Dependent("view", "public.v", "dropped", T), Dependent("function", "public.f", "names", f"{T}.a"))),
        [
            ("warning", "View `v` is dropped together with `orders`"),
            ("warning", "Function `f` still names `orders.a`, which is gone"),
        ],
    ),
    ("renamed", rehearsal(schema=(RENAMED,)), [("warning", "Table `orders` is now `bills`")]),
    ("renamed", rehearsal(schema=(replace(RENAMED, kind="index"), replace(RENAMED, change="changed"))), []),
    ("key-near-end", rehearsal(keys=(KeyUse(T, "id", "integer", 79, 100),)), []),
    (
        "key-near-end",
        rehearsal(keys=(KeyUse(T, "id", "integer", 80, 100),)),
        [("warning", "`orders.id` (integer) has come to 80 of 100")],
    ),
    ("key-near-end", rehearsal(keys=(KeyUse(T, "id", "integer", 9_999, 10_000),)), [("error", "99 % of its numbers are used")]),
    # Rows that stay locked
    (
        "rows-locked",
        rehearsal(CHANGED, tables=(UPDATED,), lock_spans=(held(ROW, 0, 1501),)),
        [("warning", "20,000 rows of `orders` that were changed stay locked for 1.0 s after the statement")],
    ),
    ("rows-locked", rehearsal(CHANGED, tables=(UPDATED,), lock_spans=(held(ROW, 0, 1500),)), []),
    (
        "rows-locked",
        rehearsal(CHANGED, tables=(replace(UPDATED, updated=5_000, deleted=15_000),), lock_spans=(held(ROW, 0, 9000),)),
        [("warning", "20,000 rows of `orders`")],
    ),
    ("rows-locked", rehearsal(CHANGED, tables=(replace(UPDATED, updated=20_001),), lock_spans=(held(ROW, 0, 9000),)), []),
    ("rows-locked", rehearsal(CHANGED, tables=(replace(UPDATED, updated=None),), lock_spans=(held(ROW, 0, 9000),)), []),
    ("rows-locked", rehearsal(CHANGED, tables=(UPDATED,), lock_spans=(replace(held(ROW, 0, 9000), sampled=True),)), []),
    ("rows-locked", rehearsal(CHANGED, tables=(UPDATED,), lock_spans=(held(ROW, 0, 9000, line=2),)), []),
    (
        "rows-locked",  # writes-blocked has said it of all rows
        rehearsal(CHANGED, tables=(UPDATED,), lock_spans=(held(ROW, 0, 9000), held(SHARE, 0, 9000))),
        [],
    ),
    # What kept rows safe, filled columns or let others in
    (
        "protection-lost",
        rehearsal(guards_lost=(OFF, replace(OFF, kind="forced row security"))),
        [("warning", "Row level security of `orders` is off: who"), ("warning", "`orders` is no longer forced: its owner")],
    ),
    (
        "protection-lost",
        rehearsal(guards_lost=(replace(OFF, disabled=False, replaced=True),)),
        [("warning", "`orders` is another table now, without the row level security of the old one: who may read it")],
    ),
    (
        "protection-lost",
        rehearsal(guards_lost=(OPEN, replace(OPEN, kind="restrictive policy"))),
        [
            ("warning", "Policy `own` of `orders` is gone, and no new one takes its place: who got at rows by it"),
            ("warning", "takes its place: the rows that it kept back can be seen"),
        ],
    ),
    (
        "protection-lost",
        rehearsal(
            guards_lost=(UNGUARDED, replace(UNGUARDED, disabled=True), replace(UNGUARDED, replaced=True)),
        ),
        [
            ("warning", "Trigger `Log` of `orders` is disabled and stays so"),
            ("warning", "`orders` is another table now, without the old one's trigger `Log`"),
            ("notice", "Trigger `Log` of `orders` is gone, and no other calls the same function"),
        ],
    ),
    ("protection-lost", rehearsal(guards_lost=(UNFILLED,)), []),
    ("default-lost", rehearsal(guards_lost=(UNFILLED,)), [("warning", "`orders.At` is NOT NULL and has no default any more")]),
    ("default-lost", rehearsal(guards_lost=(OFF, OPEN, UNGUARDED)), []),
    ("right-lost", rehearsal(rights_lost=(REVOKED,)), [("warning", "`app` may not INSERT, SELECT any more on `orders`")]),
    (
        "right-lost",
        rehearsal(rights_lost=(replace(REVOKED, role="PUBLIC", replaced=True),)),
        [
            (
                "warning",
                "Not everybody may INSERT, SELECT any more on `orders`: it is another object, without the old one's rights",
            )
        ],
    ),
    (
        "right-lost",  # as REVOKE … ON ALL TABLES does
        rehearsal(rights_lost=tuple(replace(REVOKED, name=f"public.t{n}") for n in range(5))),
        [("warning", "on `t0`, `t1`, `t2` and 2 more")],
    ),
    (
        "right-lost",
        rehearsal(rights_lost=(REVOKED, replace(REVOKED, role="other"), replace(REVOKED, privileges=("DELETE",)))),
        [("warning", "`app` may not INSERT"), ("warning", "`other` may not INSERT"), ("warning", "`app` may not DELETE")],
    ),
    (
        "sequence-behind",
        rehearsal(sequences_behind=(BEHIND,)),
        [("warning", "`orders.id` has come to 2,000, and its sequence `orders_id_seq` gives 2 next")],
    ),
    (
        "index-lost",
        rehearsal(indexes=(UNINDEXED,)),
        [("warning", "Index `i` is gone, and no other index of `orders`, 20,000 rows, begins with `A`")],
    ),
    ("index-lost", rehearsal(indexes=(replace(UNINDEXED, leading=None),)), []),
    ("index-lost", rehearsal(indexes=(replace(UNINDEXED, rows=9_999),)), []),
    ("index-lost", rehearsal(indexes=(replace(UNINDEXED, rows=None),)), []),
    # How it runs
    ("statement-fails", rehearsal(error=error("42501")), []),
    ("statement-fails", rehearsal(error=error("57014", "stopped: it took longer")), []),
    (
        "statement-fails",
        rehearsal(error=error("57014", "canceling statement due to statement timeout")),
        [("error", "canceling")],
    ),
    ("limit-reached", rehearsal(error=error("57014", "stopped: it took longer")), [("error", "The statement was stopped: it")]),
    (
        "limit-reached",
        rehearsal(error=error("57P01", "stopped: it wrote 3 GB")),
        [("error", "The statement was stopped: it wrote")],
    ),
    ("limit-reached", rehearsal(error=error("P0001", "stopped: says the author")), []),
    ("right-missing", rehearsal(error=error("42P01")), []),
    ("right-missing", rehearsal(error=error("42501", "no such words")), [("error", "no such words")]),
    (
        "right-missing",
        rehearsal(error=error("42501", 'permission denied to create extension "file_fdw"')),
        [("error", "the extension file_fdw is not marked trusted")],
    ),
    # 15 and later say it differently
    (
        "right-missing",
        rehearsal(
            error=error(
                "42501",
                "must be superuser or have privileges of the pg_execute_server_program role "
                "to COPY to or from an external program",
            )
        ),
        [("error", "may start programs on the server")],
    ),
    (
        "right-missing",
        rehearsal(error=error("42501", "permission denied to COPY to or from an external program")),
        [("error", "may start programs on the server")],
    ),
    (
        "right-missing",
        rehearsal(error=error("42501", 'permission denied to grant role "pg_read_server_files"')),
        [("error", "only members of pg_read_server_files that have ADMIN OPTION")],
    ),
    (
        "right-missing",
        rehearsal(error=error("42501", "must be superuser to alter superuser roles or change superuser attribute")),
        [("error", "it is a superuser's")],
    ),
    (
        "right-missing",
        rehearsal(error=error("42501", "permission denied for function lo_import")),
        [("error", "EXECUTE on lo_import")],
    ),
    ("right-missing", rehearsal(error=error("42501", "permission denied for table t")), [("error", "a privilege on table t is")]),
    ("right-missing", rehearsal(error=error("42501", "must be owner of table t")), [("error", "only who owns table t")]),
    (
        "right-missing",
        rehearsal(error=error("42501", 'permission denied to set parameter "track_counts"')),
        [("error", "GRANT SET ON PARAMETER track_counts")],
    ),
    ("statement-fails", rehearsal(error=error("42P01")), [("error", "no (SQLSTATE 42P01)")]),
    ("statement-fails", rehearsal(error=error("55P04")), []),
    ("enum-used-at-once", rehearsal(error=error("55P04", "unsafe use")), [("error", "before that is committed: unsafe use")]),
    ("statement-fails", rehearsal(error=error("25001", "VACUUM cannot run inside a transaction block")), [("error", "VACUUM")]),
    ("transaction-unbalanced", rehearsal(error=error("25001", "VACUUM cannot run inside a transaction block")), []),
    ("transaction-unbalanced", rehearsal(ran(0, 1, notices=(Notice("25001", "x"),))), [("warning", "this BEGIN does nothing")]),
    ("transaction-unbalanced", rehearsal(ran(0, 1, notices=(Notice("25P01", "x"),) * 2)), [("warning", "committed by itself")]),
    (
        "down-incomplete",
        rehearsal(down=Down("1.down.sql", Outcome.SKIPPED, restored=False, error=error("", "no room"))),
        [("notice", "not tried: no room")],
    ),
    (
        "identifier-truncated",
        rehearsal(ran(0, 1, notices=(Notice("42622", 'identifier "abc" will be truncated to "ab"'),))),
        [("warning", "`abc` is too long for a name: PostgreSQL keeps `ab`")],
    ),
    (
        "not-rerunnable",
        rehearsal(ran(0, 1), ran(1, 2), second_run=SecondRun(Outcome.FAILED, 1, error("42P07", "exists"))),
        [("warning", "stops at statement 1 of 2: exists")],
    ),
    ("not-rerunnable", rehearsal(ran(0, 1), ran(1, 2), second_run=SecondRun(Outcome.FAILED, 2, error("42P07"))), []),
    ("not-rerunnable", rehearsal(ran(0, 1), second_run=SecondRun(Outcome.APPLIED)), []),
    # What it promises
    (
        "expectation-failed",
        rehearsal(expectations=(Expectation(3, "a  =\n1", False, "it is false"), Expectation(4, "true", True))),
        [("error", "Not as expected: `a = 1`: it is false")],
    ),
    ("down-incomplete", rehearsal(down=down(), **CHANGES), []),
    ("down-incomplete", rehearsal(down=down(empty=True, restored=False), **CHANGES), [("warning", "holds no statement")]),
    ("down-incomplete", rehearsal(down=down(empty=True)), []),
    (
        "down-incomplete",
        rehearsal(down=down(outcome=Outcome.SKIPPED, restored=False, error=error("0A000", "no second clone")), **CHANGES),
        [("notice", "was not tried: no second clone")],
    ),
    (
        "down-incomplete",
        rehearsal(down=down(outcome=Outcome.FAILED, restored=False, error=error("42P01"))),
        [("warning", "The way back fails at line 2: no")],
    ),
    (
        "down-incomplete",
        rehearsal(down=down(restored=False, differences=(SchemaChange("index", "public.i", "dropped", "x", None),) * 5)),
        [("warning", "index `i` is missing, index `i` is missing, index `i` is missing, and 2 more")],
    ),
    (
        "down-incomplete",
        rehearsal(
            down=down(
                restored=False,
                differences=(
                    SchemaChange("column", "public.states.name", "added", None, "text"),
                    SchemaChange("column order", "public.states", "added", None, "name"),
                    SchemaChange("index", "public.states_pkey", "added", None, "x"),
                    SchemaChange("table", "public.states", "added", None, "r"),
                ),
            )
        ),
        [("warning", "schema: table `states` is left, index `states_pkey` is left")],
    ),
    (
        "down-incomplete",
        rehearsal(down=down(again=Outcome.FAILED, again_error=error("42P07"))),
        [("warning", "migration fails: no")],
    ),
    (
        "down-incomplete",
        rehearsal(down=down(rows_lost=4, losses=(Loss(T, None, 4, kept_before=True), Loss(T, "a", 9, kept_before=False)))),
        [
            ("warning", "4 rows of `orders` are lost that were there before"),
            ("notice", "loses 9 values of `orders.a` that came with"),
        ],
    ),
]


@pytest.mark.parametrize(("rule", "value", "expected"), CASES, ids=[f"{n}-{case[0]}" for n, case in enumerate(CASES)])
def test_what_a_rule_says(rule: str, value: Rehearsal, expected: list[tuple[str, str]]) -> None:
    said = found(rule, value, Policy())

    assert [str(f.severity) for f in said] == [severity for severity, _part in expected], [f.message for f in said]
    for finding, (_severity, part) in zip(said, expected, strict=True):
        assert part in finding.message


def test_every_rule_but_those_of_one_line_has_a_case() -> None:
    assert {rule.id for rule in RULES} - {case[0] for case in CASES} == {
        "constraint-broken",
        "not-valid-broken",
        "empty-migration",
    }


# ── Production ───────────────────────────────────────────────────────────────────────────────────────────────────────────

BLOCKED = (held(EXCLUSIVE, 0, 100),)
# statements, production -> for how long reads wait there, after 100 ms here, of which the statement is 30
PROJECTED = [
    ((ran(0, 30),), TEN_TIMES, None),  # instant DDL never scales
    ((ran(0, 30, scans=(Scan(T, 20_000),)),), TEN_TIMES, 370.0),
    ((ran(0, 30, rewrites=(T,)),), TEN_TIMES, 370.0),
    ((ran(90, 120, rewrites=(T,)),), TEN_TIMES, 190.0),  # the lock was let go meanwhile
    ((ran(0, 30, rewrites=(T,)),), Production({T: 50}), None),
    ((ran(0, 30, rewrites=(T,)),), Production(total=600_000, rows_here=60_000), 370.0),
    ((ran(0, 30, rewrites=("public.other",)),), TEN_TIMES, None),
    ((replace(ran(0, 30, 20_000), locks=(HeldLock(T, ROW),)),), TEN_TIMES, 370.0),
    ((replace(ran(0, 30, 5), locks=(HeldLock(T, ROW),)),), TEN_TIMES, None),  # five rows are five rows there
    ((replace(ran(0, 0), locks=(HeldLock(T, ROW),)), ran(0, 30, 20_000)), TEN_TIMES, 370.0),  # its lock was taken before
]


@pytest.mark.parametrize(("statements", "production", "there"), PROJECTED)
def test_what_grows_with_a_table_is_projected(
    statements: tuple[StatementResult, ...], production: Production, there: float | None
) -> None:
    value = rehearsal(*statements, locks=LARGE, lock_spans=BLOCKED)

    (said,) = found("reads-blocked", value, Policy(reads_blocked_ms=50, production=production))

    assert said.measured == pytest.approx(there or 100.0)
    assert ("with production's" in said.message) is (there is not None)


def test_both_times_are_said() -> None:
    value = rehearsal(ran(0, 31, scans=(Scan(T, 410_000),)), lock_spans=(held(EXCLUSIVE, 0, 31),))

    (said,) = found("reads-blocked", value, Policy(production=Production({T: 41_000_000})))

    assert said.message == (
        "Reads and writes of `orders` wait for 31 ms here, about 3.1 s with production's 41,000,000 rows (limit 500 ms)"
    )
    assert (said.line, said.limit) == (1, 500)


def test_nothing_is_projected_from_a_handful_of_rows() -> None:
    value = rehearsal(ran(0, 31, scans=(Scan(T, 40),)), lock_spans=(held(EXCLUSIVE, 0, 31),))

    assert found("reads-blocked", value, Policy(production=Production({T: 41_000_000}))) == []


def test_a_table_is_large_that_is_so_in_production() -> None:
    value = rehearsal(ran(0, 9, rewrites=(T,)), tables=(table(T, 40, 40),))

    (said,) = found("table-rewritten", value, Policy(production=Production({T: 41_000_000})))

    assert "all 40 rows (about 41,000,000 in production) of it" in said.message


# ── What a team sets ─────────────────────────────────────────────────────────────────────────────────────────────────────

SMALL = (table(T, 500, 500),)
ON_SMALL = {
    "table-rewritten": rehearsal(ran(0, 9, rewrites=(T,)), tables=SMALL),
    "constraint-scan": rehearsal(
        ran(0, 9, scans=(Scan(T, 500),)), constraints=(CHECK,), lock_spans=(held(EXCLUSIVE, 0, 9),), tables=SMALL
    ),
    "index-not-concurrent": rehearsal(
        ran(0, 9, indexes=(IndexWork(T, "public.i", "built"),)), lock_spans=(held(SHARE, 0, 9),), tables=SMALL
    ),
    "no-lock-timeout": rehearsal(replace(ran(0, 9, lock_timeout_ms=0), locks=(HeldLock(T, EXCLUSIVE),)), tables=SMALL),
    "work-under-lock": rehearsal(
        ran(0, 1), ran(1, 900, 500, line=2), lock_spans=(held(EXCLUSIVE, 0, 900),), tables=SMALL
    ),
    "index-lost": rehearsal(indexes=(replace(UNINDEXED, rows=500),)),
    "rows-locked": rehearsal(
        ran(0, 1, 500), tables=(replace(UPDATED, rows_before=500, rows_after=500, updated=500),), lock_spans=(held(ROW, 0, 9000),)
    ),
}  # fmt: skip


@pytest.mark.parametrize("rule", ON_SMALL)
@pytest.mark.parametrize(
    ("policy", "is_found"),
    [
        (Policy(), False),
        (Policy(large={T: True}), True),
        (Policy(large_table_rows=500), True),
        (Policy(large_table_rows=500, large={T: False}), False),
        (Policy(production=Production({T: 10_000})), True),
        (Policy(production=Production({T: 10_000}), large={T: False}), False),
    ],
    ids=["small", "said to be large", "at the limit", "said to be small", "large in production", "small all the same"],
)
def test_a_table_is_as_large_as_the_team_says(rule: str, policy: Policy, is_found: bool) -> None:
    assert bool(found(rule, ON_SMALL[rule], policy)) is is_found


@pytest.mark.parametrize("rule", ON_SMALL)
def test_each_rule_may_have_a_limit_of_its_own(rule: str) -> None:
    others = {other: {"large-table-rows": 500.0} for other in ON_SMALL if other != rule}

    assert found(rule, ON_SMALL[rule], Policy(options={rule: {"large-table-rows": 500.0}}))
    assert found(rule, ON_SMALL[rule], Policy(options=others)) == []


def test_who_says_that_a_table_is_large_is_told() -> None:
    (said,) = found("table-rewritten", ON_SMALL["table-rewritten"], Policy(large={T: True}))

    assert "all 500 rows (large in production, as `.migration-rehearsal.toml` says) of it" in said.message
    assert said.limit is None


def test_a_foreign_keys_table_is_as_large_as_the_team_says() -> None:
    key = rehearsal(constraints=(replace(FOREIGN, rows=20_000),))
    policies = (Policy(), Policy(large={T: False}), Policy(options={"foreign-key-without-index": {"large-table-rows": 30_000}}))

    assert [str(found("foreign-key-without-index", key, policy)[0].severity) for policy in policies] == [
        "warning", "notice", "notice",
    ]  # fmt: skip


LOST = rehearsal(tables=(table(T, 100, 40, deleted=60),))
WAITED = rehearsal(ran(0, 1200), lock_spans=(held(EXCLUSIVE, 0, 1200),))
WRITES_WAITED = rehearsal(ran(0, 1200), lock_spans=(held(SHARE, 0, 1200),))
USED = rehearsal(keys=(KeyUse(T, "id", "integer", 85, 100),))
TIMEOUT = rehearsal(replace(ran(0, 9, lock_timeout_ms=60_000), locks=(HeldLock(T, EXCLUSIVE),)), locks=LARGE)

# rule, option, what was seen: option's value (None: not set) -> severity, None if nothing is said
OPTIONS: list[tuple[str, str, Rehearsal, dict[float | None, str | None]]] = [
    ("key-near-end", "warning-at", USED, {None: "warning", 0.85: "warning", 0.86: None, 1: None}),
    ("key-near-end", "error-at", USED, {0.85: "error", 0.86: "warning", 0.5: "error"}),
    ("reads-blocked", "error-factor", WAITED, {None: "warning", 1: "error", 2: "error", 3: "warning"}),
    ("writes-blocked", "error-factor", WRITES_WAITED, {None: "warning", 1: "error", 2: "warning"}),
    ("rows-lost", "fewest-rows", LOST, {None: "warning", 60: "warning", 61: None}),
    ("rows-lost", "error-share", LOST, {0.6: "error", 0.61: "warning", 0: "error"}),
    ("no-lock-timeout", "max-ms", TIMEOUT, {None: None, 60_000: None, 59_999: "notice"}),
]


@pytest.mark.parametrize(("rule", "option", "value", "said"), OPTIONS, ids=[f"{case[0]} {case[1]}" for case in OPTIONS])
def test_an_option_of_a_rule(rule: str, option: str, value: Rehearsal, said: dict[float | None, str | None]) -> None:
    for number, severity in said.items():
        policy = Policy() if number is None else Policy(options={rule: {option: number}})
        assert [str(f.severity) for f in found(rule, value, policy)] == ([severity] if severity else []), number


def test_every_option_has_a_case() -> None:
    told = {(rule, option) for rule, option, *_more in OPTIONS}
    own_limits = {(rule, "large-table-rows") for rule in (*ON_SMALL, "foreign-key-without-index")}

    assert {(rule.id, option.name) for rule in RULES for option in rule.options} == told | own_limits


def test_what_holds_where_nothing_is_set_is_a_value_that_can_be() -> None:
    options = [option for rule in RULES for option in rule.options]

    assert [option.name for option in options if not (option.takes(option.default) or option.unset)] == []


def test_a_timeout_that_is_too_long_is_told_with_a_shorter_one() -> None:
    (said,) = found("no-lock-timeout", TIMEOUT, Policy(options={"no-lock-timeout": {"max-ms": 2500.0}}))

    assert "locked with a lock_timeout of 60.0 s" in said.message
    assert said.instead == "SET LOCAL lock_timeout = '2500ms';  -- before it; then try again"


def test_what_the_team_expects_is_told_beside_the_migration() -> None:
    expectation = Expectation(12, "nobody is lost", False, "3 rows", ".migration-rehearsal.toml", of_team=True)

    (said,) = found("expectation-failed", rehearsal(ran(0, 1, line=4), expectations=(expectation,)), Policy())

    assert said.message == "Not as expected: `nobody is lost`: 3 rows, as `.migration-rehearsal.toml:12` says"
    assert (said.path, said.line) == ("m.sql", 4)


FACTORS = [
    (Production(), T, 100, 1.0),
    (Production({T: 1000}), T, 100, 10.0),
    (Production({T: 10}), T, 100, 1.0),
    (Production({T: 1000}), T, 0, 1.0),
    (Production({T: 1000}), "public.other", 100, 1.0),
    (Production(total=1000, rows_here=500), T, 100, 2.0),
    (Production(total=1000), T, 100, 1.0),
    (Production(total=0, rows_here=500), T, 100, 1.0),
]


@pytest.mark.parametrize(("production", "name", "here", "factor"), FACTORS)
def test_how_many_times_as_large(production: Production, name: str, here: int, factor: float) -> None:
    assert production.factor(name, here) == factor


def test_a_file_of_statistics() -> None:
    text = 'table,rows\npublic.orders,41000000\n"public.""Odd, Name""",7\n\npublic.orders,1\n'

    assert read_statistics(text.splitlines(keepends=True), "p.csv").rows == {T: 41_000_001, 'public."Odd, Name"': 7}


# a file -> what is said of it
WRONG_FILES = {
    "": "p.csv names no table",
    "relname,n_live_tup\n": "p.csv:1 is not the header `table,rows`",
    "table,rows\n": "p.csv names no table",
    "table,rows\norders,5\n": "p.csv:2 names a table without its schema",
    "table,rows\npublic.orders,5\npublic.x,many\n": "p.csv:3 says a number of rows that is none",
    "table,rows\npublic.orders,-5\n": "p.csv:2 says a number of rows that is none",
    "table,rows\npublic.orders\n": "p.csv:2 has 1 values",
    'table,rows\n"public.orders,5\n': "p.csv:2 is no CSV",
}


@pytest.mark.parametrize("text", WRONG_FILES)
def test_a_wrong_file_of_statistics_is_named_with_its_line_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as wrong:
        read_statistics(text.splitlines(keepends=True), "p.csv")

    assert WRONG_FILES[text] in str(wrong.value)
    assert "many" not in str(wrong.value)


# ── What is offered instead ──────────────────────────────────────────────────────────────────────────────────────────────

DEFAULTED = SchemaChange("column", f"{T}.token", "added", None, "uuid DEFAULT gen_random_uuid() NOT NULL")
# rule, what was observed -> the first line of the SQL that is offered
INSTEAD = [
    (
        "index-not-concurrent",
        rehearsal(ran(0, 9, indexes=(IndexWork(T, "public.i", "built"),)), indexes=(INDEX,), **UNDER_LOCK),
        "CREATE UNIQUE INDEX CONCURRENTLY i ON public.orders USING btree (a);  -- in a file of its own, outside a transaction",
    ),
    (
        "index-not-concurrent",
        rehearsal(ran(0, 9, indexes=(IndexWork(T, "public.i", "rebuilt"),)), **UNDER_LOCK),
        "REINDEX INDEX CONCURRENTLY public.i;  -- in a file of its own, outside a transaction",
    ),
    (
        "constraint-scan",
        rehearsal(SCAN, constraints=(CHECK,), **UNDER_LOCK),
        'ALTER TABLE public.orders ADD CONSTRAINT "c" CHECK (a > 0) NOT VALID;',
    ),
    (
        "constraint-scan",
        rehearsal(ran(0, 9, indexes=(IndexWork(T, "public.i", "built"),)), constraints=(UNIQUE,), **UNDER_LOCK),
        'CREATE UNIQUE INDEX CONCURRENTLY "i" ON public.orders (a);  -- in a file of its own, outside a transaction',
    ),
    (
        "table-rewritten",
        rehearsal(ran(0, 9, rewrites=(T,)), locks=LARGE, types=(TypeChange(T, "id", "integer", "bigint", 0),)),
        'ALTER TABLE public.orders ADD COLUMN "id_new" bigint;',
    ),
    (
        "table-rewritten",
        rehearsal(ran(0, 9, rewrites=(T,)), locks=LARGE, schema=(DEFAULTED,)),
        "ALTER TABLE public.orders ADD COLUMN token uuid;",
    ),
    (
        "foreign-key-without-index",
        rehearsal(constraints=(FOREIGN,)),
        'CREATE INDEX CONCURRENTLY ON public.orders (a, "B");  -- in a file of its own, outside a transaction',
    ),
    ("renamed", rehearsal(schema=(RENAMED,)), 'ALTER TABLE public.orders RENAME TO "bills";'),
    ("protection-lost", rehearsal(guards_lost=(OFF,)), "ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY;"),
    ("protection-lost", rehearsal(guards_lost=(UNGUARDED,)), "CREATE TRIGGER …;"),
    (
        "protection-lost",
        rehearsal(guards_lost=(replace(UNGUARDED, disabled=True),)),
        'ALTER TABLE public.orders ENABLE TRIGGER "Log";',
    ),
    (
        "protection-lost",
        rehearsal(guards_lost=(OPEN,)),
        "CREATE POLICY own ON public.orders AS PERMISSIVE FOR ALL TO PUBLIC USING (true);",
    ),
    (
        "default-lost",
        rehearsal(guards_lost=(UNFILLED,)),
        'ALTER TABLE public.orders ALTER COLUMN "At" SET DEFAULT now();',
    ),
    (
        "default-lost",
        rehearsal(guards_lost=(replace(UNFILLED, definition="GENERATED ALWAYS AS IDENTITY"),)),
        'ALTER TABLE public.orders ALTER COLUMN "At" ADD GENERATED ALWAYS AS IDENTITY;',
    ),
    ("default-lost", rehearsal(guards_lost=(replace(UNFILLED, definition="GENERATED ALWAYS AS (1) STORED"),)), None),
    ("right-lost", rehearsal(rights_lost=(REVOKED,)), "GRANT INSERT, SELECT ON public.orders TO app;"),
    (
        "right-lost",
        rehearsal(rights_lost=(replace(REVOKED, kind="function", name="public.f(integer)", privileges=("EXECUTE",)),)),
        "GRANT EXECUTE ON ROUTINE public.f(integer) TO app;",
    ),
    (
        "sequence-behind",
        rehearsal(sequences_behind=(BEHIND,)),
        "SELECT setval('public.orders_id_seq', (SELECT max(\"id\") FROM public.orders));",
    ),
    (
        "index-lost",
        rehearsal(indexes=(UNINDEXED,)),
        "CREATE UNIQUE INDEX CONCURRENTLY i ON public.orders USING btree (a);  -- in a file of its own, outside a transaction",
    ),
    ("invalid-index", rehearsal(indexes=(replace(INDEX, valid=False),)), "DROP INDEX CONCURRENTLY public.i;"),
]


@pytest.mark.parametrize(("rule", "value", "first"), INSTEAD)
def test_what_is_offered_names_what_is_at_hand(rule: str, value: Rehearsal, first: str | None) -> None:
    (said,) = found(rule, value, Policy())

    assert (said.instead.splitlines()[0] if said.instead else None) == first


def test_why_a_migration_fails_decides() -> None:
    value = rehearsal(error=error("42P01"), columns=(GONE,))

    assert [f.rule for f in judge([value], (), (), Policy())] == ["statement-fails", "column-values-lost"]
