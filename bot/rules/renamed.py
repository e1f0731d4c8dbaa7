"""Rule: a table, column or view that was there has another name, which the running program does not know."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, SchemaChange, Severity
from bot.rules._seen import line_that_says
from bot.rules._sql import quoted
from bot.rules.base import Policy, Rule
from bot.words import last_part, name, relation

_KINDS = ("table", "column", "view", "materialized view")


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for change in rehearsal.schema:
        if change.change == "renamed" and change.kind in _KINDS:
            old, new = relation(change.before or ""), relation(change.after or change.name)
            yield RULE.found(
                rehearsal,
                f"{change.kind.capitalize()} {name(old)} is now {name(new)}: the program that is running knows the old name only",
                line=line_that_says(rehearsal, new),
                instead=_instead(change),
            )


def _instead(change: SchemaChange) -> str | None:
    """The old name of a table goes on as a view of it."""
    if change.kind != "table" or not change.before or not change.after or "." not in change.before:
        return None
    return (
        f"ALTER TABLE {change.before} RENAME TO {quoted(last_part(change.after))};\n"
        f"CREATE VIEW {change.before} AS TABLE {change.after};  -- in the same transaction; drop it in a later release"
    )


RULE = Rule(
    id="renamed",
    severity=Severity.WARNING,
    title="Something that programs use has another name",
    why=(
        "The program that runs while the migration does, and until its new version is deployed everywhere, asks for the old "
        "name: each such query fails from the moment the migration commits. Going back to the old version fails in the same way."
    ),
    instead=(
        "A table: rename it and make a view with the old name in the same transaction; a simple view can be written to as well. "
        "A column: add the new one, write both, move the readers, drop the old one in a later release. Or keep the name in the "
        "database and change it in the program only."
    ),
    evidence="A table, column or view that is the same object in PostgreSQL's catalog before and after, with another name.",
    check=_check,
)
