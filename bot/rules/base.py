"""What a rule is: data about what it looks for and why, and a function over what was observed. One file each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from bot.model import Finding, Rehearsal, Severity
from bot.production import Production


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits that rules measure against, and how large production is. `key_used`: the part of its numbers that a key may
    have used.
    """

    large_table_rows: int = 10_000
    reads_blocked_ms: float = 500.0
    writes_blocked_ms: float = 1000.0
    key_used: float = 0.8
    severities: Mapping[str, Severity | None] = field(default_factory=dict)  # by rule, as a team has set them; None: off
    production: Production = Production()  # noqa: RUF009  frozen


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `why` says what happens in production, `instead` what to do about it, `evidence` what is measured against which
    limit; `allowable`: whether a migration may accept its findings with `-- rehearsal: allow <id> <reason>`. Its examples are
    files, tests/cases/<id>/, and are run in the tests.
    """

    id: str
    severity: Severity
    title: str
    why: str
    instead: str
    evidence: str
    check: Callable[[Rehearsal, Policy], Iterable[Finding]]
    allowable: bool = True

    def found(
        self,
        rehearsal: Rehearsal,
        message: str,
        *,
        line: int | None = None,
        severity: Severity | None = None,
        measured: float | None = None,
        limit: float | None = None,
        instead: str | None = None,
    ) -> Finding:
        """A finding of this rule, of its usual severity unless another is given."""
        return Finding(self.id, severity or self.severity, message, rehearsal.path, line, measured, limit, instead)
