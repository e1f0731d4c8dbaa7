"""Reports with one of everything, and a foreign name in every place where one can be."""

from __future__ import annotations

from hypothesis import strategies as st

from bot.model import (
    CloneFacts,
    ColumnNulls,
    ConstraintChange,
    Down,
    Expectation,
    Finding,
    HeldLock,
    IndexChange,
    LockSpan,
    Loss,
    Outcome,
    Rehearsal,
    RelationLock,
    Report,
    RunFacts,
    SchemaChange,
    SeedFacts,
    Severity,
    SqlError,
    StatementResult,
    TableChange,
    Transaction,
    Verdict,
)

RUN = RunFacts("11111111-1111-5111-8111-111111111111", "k", "o/r", 7, "abcdef0123" * 4)
CLONE = CloneFacts("embedded", "18.6", SeedFacts("custom", "sha256:1", "2026-11-22T03:10:00Z", 19_756_849_561, 41_200_000), 100.0)


def rehearsal(name: str = "orders", *, outcome: Outcome = Outcome.APPLIED) -> Rehearsal:
    """A rehearsal with one of everything, `name` in every place where a foreign name can be."""
    error = SqlError("23502", f"column {name} is bad", 2, detail="Key (email)=(secret@example.org)")
    failed = outcome is Outcome.FAILED
    return Rehearsal(
        path=f"db/{name}.sql",
        version=name,
        layout="plain",
        outcome=outcome,
        transaction=Transaction.SINGLE,
        duration_ms=1900.0,
        error=error if failed else None,
        statements=(
            StatementResult(
                1, f"ALTER TABLE {name}", 12.0, 5, (HeldLock(name, "AccessExclusiveLock"),), error if failed else None
            ),
        ),
        statements_total=1,
        locks=(RelationLock(name, "AccessExclusiveLock", 40.0, ("reads", "writes"), 1, 40.0, 40.0, 12),),
        lock_spans=(LockSpan(name, "AccessExclusiveLock", 0.0, 40.0, 1),),
        wal_bytes=12_000_000,
        disk_bytes=3_000_000,
        temp_bytes=2_000_000,
        tables=(TableChange(name, 10, 12, 2, 1, 0, 8192, 16384, False, 1),),
        columns=(ColumnNulls(name, name, None, 3),),
        indexes=(IndexChange(name, name, "added", f"CREATE INDEX {name}", valid=False, line=1),),
        expectations=(Expectation(1, f"{name} > 0", passed=False, detail="it is not so"),),
        down=Down(
            f"db/{name}.down.sql",
            Outcome.FAILED if failed else Outcome.APPLIED,
            restored=False,
            differences=(SchemaChange("view", name, "changed", name, name), SchemaChange("index", name, "added", None, name)),
            rows_lost=3,
            losses=(Loss(name, None, 3, kept_before=True), Loss(name, name, 4, kept_before=False)),
            error=error if failed else None,
            again=Outcome.FAILED,
        ),
        constraints=(ConstraintChange(name, name, "check", "added", False, 3, f"CHECK ({name})", failed, 12),),
        schema=(SchemaChange("column", name, "changed", name, name),),
    )


def report(verdict: Verdict, *migrations: Rehearsal, findings: tuple[Finding, ...] = ()) -> Report:
    return Report(verdict, RUN, CLONE, migrations, findings, notes=("plain: because",), total_ms=48_000.0)


def finding(message: str, severity: Severity = Severity.ERROR, **more: object) -> Finding:
    return Finding("constraint-broken", severity, message, "db/1.sql", 3, **more)  # type: ignore[arg-type]


# Names as somebody would choose them who wants to break the layout, mention people, hide text or forge the marker.
HOSTILE = st.lists(
    st.sampled_from(
        [*"`|\\<>*_[]()!#@~-=+.:\n\r\t\"'$&",
         "\u202e", "\u200b", "a", "1", "@everyone", "<!-- migration-rehearsal -->", "</details>",
         "<script>", "](http://x)", "```", "www.x.org", "#12", "\x1b[31m", "é", "\udc80"]
    ),
    max_size=12,
).map("".join)  # fmt: skip
