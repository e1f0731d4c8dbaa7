"""Rule: a role may not do any more what it was granted."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Finding, Rehearsal, RightLost, Severity
from bot.rules.base import Policy, Rule
from bot.words import name, relation

_SHOWN = 3
_ROUTINES = ("function", "procedure", "aggregate")


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    together: dict[tuple[object, ...], list[RightLost]] = {}
    for lost in rehearsal.rights_lost:  # GRANT and REVOKE may be for all tables of a schema
        together.setdefault((lost.role, lost.privileges, lost.replaced, lost.line), []).append(lost)
    for rights in together.values():
        yield RULE.found(rehearsal, _message(rights), line=rights[0].line, instead="\n".join(_grant(lost) for lost in rights))


def _message(rights: list[RightLost]) -> str:
    first = rights[0]
    shown = ", ".join(name(relation(lost.name)) for lost in rights[:_SHOWN])
    more = f" and {len(rights) - _SHOWN:,} more" if len(rights) > _SHOWN else ""
    who = "Not everybody may" if first.role == "PUBLIC" else f"{name(first.role)} may not"
    told = f"{who} {', '.join(first.privileges)} any more on {shown}{more}"
    if not first.replaced:
        return told
    old = "another object, without the old one's rights" if len(rights) == 1 else "other objects, without the old ones' rights"
    return f"{told}: {'it is' if len(rights) == 1 else 'they are'} {old}"


def _grant(lost: RightLost) -> str:
    kind = "SEQUENCE " if lost.kind == "sequence" else "ROUTINE " if lost.kind in _ROUTINES else ""
    return f"GRANT {', '.join(lost.privileges)} ON {kind}{lost.name} TO {lost.role};"


RULE = Rule(
    id="right-lost",
    severity=Severity.WARNING,
    title="A role lost a right",
    why=(
        "Programs that work as this role fail with «permission denied» from the moment the migration commits. Rights belong to "
        "an object and not to its name: a table, view or function that was dropped and made anew, or that took the name of "
        "another, has none of the old one's."
    ),
    instead=(
        "Grant the rights in the same transaction. CREATE OR REPLACE keeps those of a view or function; ALTER TABLE those of a "
        "table. A right that is meant to go: allow the finding with the reason."
    ),
    evidence=(
        "Privileges that were granted on a table, view, sequence or function before, and that the role does not have on what has "
        "the name after: not by a grant, a membership, as owner or as superuser. Silent where nothing has the name any more, and "
        "of roles that are gone."
    ),
    check=_check,
)
