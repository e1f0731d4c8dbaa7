"""The registry of rules: every module here that has a `RULE`. To add one is to add a file; CONTRIBUTING says it all."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from bot.model import Finding, HistoryProblem, Migration, Rehearsal, Severity
from bot.rules.base import Policy, Rule
from bot.sources import own_place
from bot.sql import split
from bot.team import Settable
from bot.words import name


def _discovered() -> Iterator[Rule]:
    for module in pkgutil.iter_modules(__path__):
        rule = getattr(importlib.import_module(f"{__name__}.{module.name}"), "RULE", None)
        if isinstance(rule, Rule):
            yield rule


# What can't be allowed comes first: of the errors of a migration that fails, why it fails decides.
RULES: tuple[Rule, ...] = tuple(sorted(_discovered(), key=lambda rule: (rule.allowable, rule.id)))

# Findings that no rehearsal makes, with an id of their own.
HISTORY_CHANGED = "history-changed"
BAD_DIRECTIVE = "bad-directive"

_WEIGHT = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTICE: 2}

__all__ = ["BAD_DIRECTIVE", "HISTORY_CHANGED", "RULES", "Policy", "Rule", "judge", "settable"]


def settable() -> dict[str, Settable]:
    """All ids of findings, and what may be set of them: what says that a migration can't be run stays an error."""
    rules = {rule.id: Settable(rule.allowable, rule.options) for rule in RULES}
    return rules | {HISTORY_CHANGED: Settable(), BAD_DIRECTIVE: Settable()}


def judge(
    rehearsals: Iterable[Rehearsal], migrations: Iterable[Migration], problems: Iterable[HistoryProblem], policy: Policy
) -> tuple[Finding, ...]:
    """Takes what was observed to findings, the weightiest first; those that a file accepts carry its reason."""
    asked = [(rule, policy.of(rule)) for rule in RULES]
    findings = [finding for rehearsal in rehearsals for rule, own in asked for finding in _ranked(rule.check(rehearsal, own))]
    for migration in migrations:
        findings = _accepted(findings, migration)
    findings += [Finding(HISTORY_CHANGED, p.severity, f"{name(p.path)} {p.message}", p.path) for p in problems]
    findings = [replace(f, severity=to) for f in findings if (to := policy.severities.get(f.rule, f.severity))]
    decides = {rule.id for rule in RULES if not rule.allowable}
    return tuple(sorted(findings, key=lambda f: (f.allowed_reason is not None, _WEIGHT[f.severity], f.rule not in decides)))


def _ranked(findings: Iterable[Finding]) -> list[Finding]:
    """What one rule finds in one migration: the largest measured value first, as it decides."""
    return sorted(findings, key=lambda finding: -(finding.measured or 0))


def _accepted(findings: list[Finding], migration: Migration) -> list[Finding]:
    """Applies the `-- rehearsal: allow <rule> <reason>` comments of one file."""
    if "rehearsal:" not in migration.text:
        return findings
    allowable = {rule.id for rule in RULES if rule.allowable}
    reasons: dict[tuple[str, str], str] = {}  # of a file and a rule: of a group each file allows what is in it
    wrong: list[Finding] = []
    for directive in split(migration.text).directives:
        rule, _, reason = directive.text.partition(" ")
        if directive.verb == "expect":  # the rehearsal has looked: rule expectation-failed
            continue
        if directive.verb != "allow":
            problem = f"`-- rehearsal: {directive.verb}` is not understood by this version: nothing was checked"
        elif rule not in allowable:
            problem = f"`-- rehearsal: allow` names no rule that can be allowed: {name(rule)}"
        elif not reason.strip():
            problem = f"`-- rehearsal: allow {rule}` needs a reason after the rule's name"
        else:
            reasons[own_place(migration, directive.line)[0], rule] = reason.strip()
            continue
        wrong.append(Finding(BAD_DIRECTIVE, Severity.WARNING, problem, migration.path, directive.line))
    return [
        replace(f, allowed_reason=_reason(f, migration, reasons)) if f.path == migration.path else f for f in findings
    ] + wrong


def _reason(finding: Finding, migration: Migration, reasons: Mapping[tuple[str, str], str]) -> str | None:
    """Why a file accepts a finding; one without a line is about all of a group's files, and any of them may."""
    if finding.line is not None:
        return reasons.get((own_place(migration, finding.line)[0], finding.rule))
    return next((why for (_path, rule), why in reasons.items() if rule == finding.rule), finding.allowed_reason)
