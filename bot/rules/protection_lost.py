"""Rule: a table lost its row level security, a policy or a trigger, and is still there."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, GuardLost, Rehearsal, Severity
from bot.rules._sql import unquoted
from bot.rules.base import Policy, Rule
from bot.words import name, relation

_OTHER = "is another table now, without "


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for lost in rehearsal.guards_lost:
        if lost.kind in _MESSAGES:
            # DROP TRIGGER says what it does; to forget ENABLE is easy.
            meant = lost.kind == "trigger" and not lost.disabled and not lost.replaced
            severity = Severity.NOTICE if meant else Severity.WARNING
            yield RULE.found(rehearsal, _message(lost), line=lost.line, severity=severity, instead=_instead(lost))


# (on the table that had it, on another one that has its name now, what comes of it)
_MESSAGES = {
    "row security": (
        "Row level security of {table} is off",
        "the row level security of the old one",
        "who may read it reads all rows, whatever the policies say",
    ),
    "forced row security": (
        "Row level security of {table} is no longer forced",
        "the forced row level security of the old one",
        "its owner sees and changes all rows",
    ),
    "policy": (
        "Policy {name} of {table} is gone, and no new one takes its place",
        "the old one's policy {name}",
        "who got at rows by it does not any more",
    ),
    "restrictive policy": (
        "Policy {name} of {table} is gone, and no new one takes its place",
        "the old one's policy {name}",
        "the rows that it kept back can be seen",
    ),
    "trigger": (
        "Trigger {name} of {table} is gone, and no other calls the same function",
        "the old one's trigger {name}",
        "what it did is not done any more",
    ),
}


def _message(lost: GuardLost) -> str:
    here, elsewhere, then = _MESSAGES[lost.kind]
    told = "{table} " + _OTHER + elsewhere if lost.replaced and not lost.disabled else here
    if lost.kind == "trigger" and lost.disabled:
        told = "Trigger {name} of {table} is disabled and stays so"
    return f"{told.format(table=name(relation(lost.table)), name=name(unquoted(lost.name)))}: {then}"


def _instead(lost: GuardLost) -> str:
    """What brings it back."""
    if lost.kind == "trigger":
        return f"ALTER TABLE {lost.table} ENABLE TRIGGER {lost.name};" if lost.disabled else f"{lost.definition};"
    if lost.name:
        return f"CREATE POLICY {lost.name} ON {lost.table} {lost.definition};"
    return f"ALTER TABLE {lost.table} {lost.definition};"


RULE = Rule(
    id="protection-lost",
    severity=Severity.WARNING,
    title="What protects a table is off or gone",
    why=(
        "Nothing fails when row level security is off, or a trigger: everybody sees every row, nobody writes the audit log, and "
        "it is noticed much later. A trigger that was disabled for a backfill stays so until somebody enables it. A table that "
        "is built anew and takes the old one's name has none of this, unless it is made for it as well."
    ),
    instead=(
        "Enable again in the same transaction what was disabled for a while; give a table that takes another's place its row "
        "level security, policies and triggers before it gets the name. What is meant to go: allow the finding with the reason."
    ),
    evidence=(
        "Row level security, policies and triggers that fired, in PostgreSQL's catalog before and after, of the table that has "
        "the name. Silent where a new policy of the same sort is for the same commands, where another trigger calls the same "
        "function, where no policy held because row level security was off, and about triggers that belong to constraints. A "
        "notice for a trigger that was dropped by its name."
    ),
    check=_check,
)
