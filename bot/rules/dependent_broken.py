"""Rule: something that was there before went with what was dropped, or still names what is gone."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Dependent, Finding, Rehearsal, Severity
from bot.rules.base import Policy, Rule
from bot.words import name, relation


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for dependent in rehearsal.dependents:
        yield RULE.found(rehearsal, _message(dependent), line=dependent.line)


def _message(dependent: Dependent) -> str:
    what = f"{dependent.kind.capitalize()} {name(relation(dependent.name))}"
    of = name(relation(dependent.of))
    if dependent.problem == "dropped":
        return f"{what} is dropped together with {of}"
    return f"{what} still names {of}, which is gone: it fails when it is used"


RULE = Rule(
    id="dependent-broken",
    severity=Severity.WARNING,
    title="Something that depends on it is broken or gone",
    why=(
        "DROP … CASCADE takes views, policies, triggers and foreign keys along and says so in a notice that nobody reads: a "
        "policy that is gone may let everybody see every row. The body of a function is text: PostgreSQL does not follow a "
        "rename or a drop into it, and it fails on its next call."
    ),
    instead="Leave CASCADE out, and drop or change what depends on it by name. Replace the function in the same migration.",
    evidence=(
        "What was in the catalog before and is not after, though no statement of its own dropped it; and functions that were "
        "there before and whose text names a table or column that is gone."
    ),
    check=_check,
)
