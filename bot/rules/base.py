"""What a rule is: data about what it looks for and why, and a function over what was observed. One file each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bot.model import Finding, Rehearsal, Severity
from bot.production import Production
from bot.team import AnyOption, Option

_Unset = TypeVar("_Unset", float, None)

# What every rule has that asks how large a table is: then it has a limit of its own.
LARGE_TABLE_ROWS = Option(
    "large-table-rows",
    None,
    "Tables with fewer rows are small for this rule.",
    least=1,
    most=1e9,
    whole=True,
    unset="the key `large-table-rows`",
)


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits that rules measure against, how large production is, and which tables are `large`, or not, whatever was seen.
    `options` are those that a team has set, by rule; `own` those of the rule that is asked.
    """

    large_table_rows: int = 10_000
    reads_blocked_ms: float = 500.0
    writes_blocked_ms: float = 1000.0
    severities: Mapping[str, Severity | None] = field(default_factory=dict)  # by rule, as a team has set them; None: off
    production: Production = Production()  # noqa: RUF009  frozen
    large: Mapping[str, bool] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    own: Mapping[str, float] = field(default_factory=dict)

    def of(self, rule: Rule) -> Policy:
        """The policy for one rule; the very same where nothing was set for it."""
        own = self.options.get(rule.id)
        if not own:
            return self
        return replace(self, own=own, large_table_rows=int(own.get(LARGE_TABLE_ROWS.name, self.large_table_rows)))

    def value(self, option: Option[_Unset]) -> float | _Unset:
        """What holds for an option of the rule that is asked."""
        return self.own.get(option.name, option.default)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule. `why` says what happens in production, `instead` what to do about it, `evidence` what is measured against which
    limit; `allowable`: whether a migration may accept its findings with `-- rehearsal: allow <id> <reason>`; `options`: numbers
    that a team may set. Its examples are files, tests/cases/<id>/, and are run in the tests.
    """

    id: str
    severity: Severity
    title: str
    why: str
    instead: str
    evidence: str
    check: Callable[[Rehearsal, Policy], Iterable[Finding]]
    allowable: bool = True
    options: tuple[AnyOption, ...] = ()

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
