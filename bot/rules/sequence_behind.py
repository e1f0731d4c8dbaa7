"""Rule: a sequence gives numbers that are there already."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, SequenceBehind, Severity
from bot.rules._sql import quoted
from bot.rules.base import Policy, Rule
from bot.words import name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for sequence in rehearsal.sequences_behind:
        column, of = name(f"{relation(sequence.table)}.{sequence.column}"), name(relation(sequence.sequence))
        yield RULE.found(
            rehearsal,
            f"{column} has come to {sequence.highest:,}, and its sequence {of} gives {sequence.next:,} next: "
            "an INSERT that gets a number which is there fails",
            line=sequence.line,
            measured=sequence.highest,
            limit=sequence.next - 1,
            instead=_instead(sequence),
        )


def _instead(sequence: SequenceBehind) -> str:
    named = sequence.sequence.replace("'", "''")
    return f"SELECT setval('{named}', (SELECT max({quoted(sequence.column)}) FROM {sequence.table}));"  # noqa: S608  names as the catalog has them


RULE = Rule(
    id="sequence-behind",
    severity=Severity.WARNING,
    title="A sequence gives numbers that are there",
    why=(
        "Rows that are inserted with their own numbers don't move the sequence, and a new sequence begins with 1, however many "
        "rows there are. The next INSERT that takes its number from it breaks the unique key, and so does each one after it "
        "until the sequence has passed what is there."
    ),
    instead="Set the sequence to the greatest number in the same migration, after all rows are in.",
    evidence=(
        "The number that the sequence gives next, and the greatest value of the column that it fills, as an identity or in the "
        "default, where a unique index holds just this column. Silent where it was so before, and where rows that were there "
        "were updated, so that nobody can tell."
    ),
    check=_check,
)
