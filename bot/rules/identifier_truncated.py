"""Rule: a name is longer than PostgreSQL keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.model import Finding, Notice, Rehearsal, Severity
from bot.rules.base import Policy, Rule
from bot.words import name

_SAID = re.compile(r'identifier "(?P<whole>.*)" will be truncated to "(?P<kept>.*)"', re.DOTALL)


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    for statement in rehearsal.statements:
        for notice in dict.fromkeys(n for n in statement.notices if n.sqlstate == "42622"):
            yield RULE.found(rehearsal, _message(notice), line=statement.line)


def _message(notice: Notice) -> str:
    said = _SAID.search(notice.message)
    if said is None:
        return f"A name is too long: {notice.message}"
    return f"{name(said['whole'])} is too long for a name: PostgreSQL keeps {name(said['kept'])}"


RULE = Rule(
    id="identifier-truncated",
    severity=Severity.WARNING,
    title="A name is too long, and is cut off",
    why=(
        "PostgreSQL keeps 63 bytes of a name and only remarks on the rest. Two long names that begin alike become one, and a "
        "program or a later migration that looks the whole name up in the catalog does not find it."
    ),
    instead="Choose a name of at most 63 bytes.",
    evidence="PostgreSQL's notice 42622, which names both.",
    check=_check,
)
