"""What a rule is: data about what it looks for and why, and a function over what was observed. One file each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bot.model import Finding, Rehearsal, Severity


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits that rules measure against."""

    large_table_rows: int = 10_000


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `why` says what happens in production, `instead` what to do about it; `allowable`: whether a migration may accept
    its findings with `-- rehearsal: allow <id> <reason>`. Its examples are files, tests/cases/<id>/, and are run in the tests.
    """

    id: str
    severity: Severity
    title: str
    why: str
    instead: str
    check: Callable[[Rehearsal, Policy], Iterable[Finding]]
    allowable: bool = True
