"""Rule: a table that is not small was rewritten; says how large it is and how long nobody could use it."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity, StatementResult
from bot.rules._seen import how_many, is_large, rows_in_production, rows_limit
from bot.rules._sql import quoted, unquoted
from bot.rules._waits import wait_for
from bot.rules.base import LARGE_TABLE_ROWS, Policy, Rule
from bot.words import duration, name, relation


def _check(rehearsal: Rehearsal, policy: Policy) -> Iterator[Finding]:
    for table, statements in _rewrites(rehearsal).items():
        if not is_large(rehearsal, policy, table):
            continue
        wait = wait_for(rehearsal, policy, table, "reads")
        blocked = f", nobody could use it for {duration(wait.here_ms)}" if wait else ""
        times = f", {len(statements)} times" if len(statements) > 1 else ""
        rows = how_many(rehearsal, policy, table)
        yield RULE.found(
            rehearsal,
            f"{name(relation(table))} was rewritten{times}, all {rows} of it{blocked}",
            line=statements[0].line,
            measured=rows_in_production(rehearsal, policy, table),
            limit=rows_limit(policy, table),
            instead=_instead(rehearsal, table),
        )


def _rewrites(rehearsal: Rehearsal) -> dict[str, list[StatementResult]]:
    found: dict[str, list[StatementResult]] = {}
    for statement in rehearsal.statements:
        for table in statement.rewrites:
            found.setdefault(table, []).append(statement)
    return found


def _instead(rehearsal: Rehearsal, table: str) -> str | None:
    """SQL for a column whose type changed, or that was added with a default which differs from row to row."""
    for change in rehearsal.types:
        if change.table == table:
            old, new = quoted(change.column), quoted(f"{unquoted(change.column)}_new"[:63])
            return (
                f"ALTER TABLE {table} ADD COLUMN {new} {change.after};\n"
                f"-- a trigger that sets {new} in every new and changed row; then the old ones, in batches:\n"
                f"UPDATE {table} SET {new} = {old}::{change.after} WHERE …;\n"
                f"-- at last, in a short transaction, {new} takes the place of {old}"
            )
    added = (c for c in rehearsal.schema if c.kind == "column" and c.change == "added" and c.name.startswith(f"{table}."))
    for column in added:
        kind, _, default = (column.after or "").partition(" DEFAULT ")
        if default and ";" not in default:
            short, default = column.name.removeprefix(f"{table}."), default.removesuffix(" NOT NULL")
            return (
                f"ALTER TABLE {table} ADD COLUMN {short} {kind};\n"
                f"ALTER TABLE {table} ALTER COLUMN {short} SET DEFAULT {default};  -- for new rows\n"
                f"UPDATE {table} SET {short} = {default} WHERE {short} IS NULL AND …;  -- in batches"
            )
    return None


RULE = Rule(
    id="table-rewritten",
    severity=Severity.WARNING,
    title="A table that is not small is rewritten",
    why=(
        "PostgreSQL writes a new copy of the whole table and of all its indexes, and holds an ACCESS EXCLUSIVE lock until the "
        "transaction ends: nobody can read or write it. The time grows with the table; the disk must hold both copies."
    ),
    instead=(
        "Add a new column of the new type, fill it in batches, keep it up with a trigger, and swap the names in a short "
        "transaction. A default that is a constant, a longer varchar, or varchar to text need no rewrite."
    ),
    evidence=(
        "Rows of the table, in production where that is known; the limit is `large-table-rows`. A rewrite is seen as another "
        "file of the table after the statement; TRUNCATE and REFRESH MATERIALIZED VIEW, which are meant to make one, are left "
        "out."
    ),
    check=_check,
    options=(LARGE_TABLE_ROWS,),
)
