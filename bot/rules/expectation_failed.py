"""Rule: the data after the migration are not what the migration itself, or the team, says they must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bot.model import Expectation, Finding, Rehearsal, Severity
from bot.rules.base import Policy, Rule
from bot.words import name

_LONGEST = 120


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for expectation in rehearsal.expectations:
        if expectation.passed:
            continue
        if expectation.of_team:  # told beside the migration: nobody is shown the line of a file that was not changed
            line = rehearsal.statements[0].line if rehearsal.statements else None
            place = name(f"{expectation.path}:{expectation.line}")
            yield RULE.found(rehearsal, f"{_message(expectation)}, as {place} says", line=line)
        else:
            found = RULE.found(rehearsal, _message(expectation), line=expectation.line)
            yield replace(found, path=expectation.path or rehearsal.path)


def _message(expectation: Expectation) -> str:
    text = " ".join(expectation.text.split())
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f"Not as expected: {name(shown)}" + (f": {expectation.detail}" if expectation.detail else "")


RULE = Rule(
    id="expectation-failed",
    severity=Severity.ERROR,
    title="The data are not as expected",
    why=(
        "The migration ran, and what its author, or the team, wrote down to be true afterwards is not true on a clone of the "
        "data, so it will not be true in production either."
    ),
    instead=(
        "Mend the migration; or the expectation, if that was wrong. One of the team's that holds no longer is taken out of the "
        "file first, in a change of its own: the file is read from the base branch."
    ),
    evidence=(
        "A condition in `-- rehearsal: expect <boolean SQL>`, asked after the migration, that is not true; or a query in "
        "`<migration>.expect.sql` that gives a row. Or one of the team's in `.migration-rehearsal.toml`, which was met before "
        "the migration; what was not met before it is none of its doing, and a note where it is the first."
    ),
    check=_check,
    allowable=False,
)
