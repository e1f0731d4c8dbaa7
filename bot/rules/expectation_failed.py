"""Rule: the data after the migration are not what the migration itself says they must be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bot.model import Expectation, Finding, Rehearsal, Severity
from bot.rules.base import Policy, Rule
from bot.words import name

_LONGEST = 120


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for expectation in rehearsal.expectations:
        if not expectation.passed:
            found = RULE.found(rehearsal, _message(expectation), line=expectation.line)
            yield replace(found, path=expectation.path or rehearsal.path)


def _message(expectation: Expectation) -> str:
    text = " ".join(expectation.text.split())
    shown = text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
    return f"Not as expected: {name(shown)}" + (f": {expectation.detail}" if expectation.detail else "")


RULE = Rule(
    id="expectation-failed",
    severity=Severity.ERROR,
    title="The data are not as the migration expects",
    why=(
        "The migration ran, and what its author wrote down to be true afterwards is not true on a clone of the data, so it will "
        "not be true in production either."
    ),
    instead="Mend the migration; or the expectation, if that was wrong.",
    evidence=(
        "A condition in `-- rehearsal: expect <boolean SQL>`, asked after the migration, that is not true; or a query in "
        "`<migration>.expect.sql` that gives a row."
    ),
    check=_check,
    allowable=False,
)
