"""The registry of rules. To add one: a file with a Rule, a line here, a folder tests/cases/<id>/; CONTRIBUTING says it all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from bot.model import Finding, HistoryProblem, Migration, Rehearsal, Severity
from bot.rules.base import Policy, Rule
from bot.rules.constraint_broken import CONSTRAINT_BROKEN
from bot.rules.empty_migration import EMPTY_MIGRATION
from bot.rules.not_valid_broken import NOT_VALID_BROKEN
from bot.rules.statement_fails import STATEMENT_FAILS
from bot.rules.table_rewritten import TABLE_REWRITTEN
from bot.sql import split
from bot.words import name

RULES: tuple[Rule, ...] = (CONSTRAINT_BROKEN, STATEMENT_FAILS, NOT_VALID_BROKEN, TABLE_REWRITTEN, EMPTY_MIGRATION)

# Findings that no rehearsal makes, with an id of their own.
HISTORY_CHANGED = "history-changed"
BAD_DIRECTIVE = "bad-directive"

_WEIGHT = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTICE: 2}

__all__ = ["BAD_DIRECTIVE", "HISTORY_CHANGED", "RULES", "Policy", "Rule", "judge"]


def judge(
    rehearsals: Iterable[Rehearsal], migrations: Iterable[Migration], problems: Iterable[HistoryProblem], policy: Policy
) -> tuple[Finding, ...]:
    """Takes what was observed to findings, the weightiest first; those that a file accepts carry its reason."""
    findings = [finding for rehearsal in rehearsals for rule in RULES for finding in rule.check(rehearsal, policy)]
    for migration in migrations:
        findings = _accepted(findings, migration)
    findings += [Finding(HISTORY_CHANGED, Severity.WARNING, f"{name(p.path)} {p.message}", p.path) for p in problems]
    return tuple(sorted(findings, key=lambda f: (f.allowed_reason is not None, _WEIGHT[f.severity])))


def _accepted(findings: list[Finding], migration: Migration) -> list[Finding]:
    """Applies the `-- rehearsal: allow <rule> <reason>` comments of one file."""
    if "rehearsal:" not in migration.text:
        return findings
    allowable = {rule.id for rule in RULES if rule.allowable}
    reasons: dict[str, str] = {}
    wrong: list[Finding] = []
    for directive in split(migration.text).directives:
        if directive.verb == "expect":  # was checked when it was rehearsed
            continue
        rule, _, reason = directive.text.partition(" ")
        if directive.verb != "allow":
            problem = f"`-- rehearsal: {directive.verb}` is not understood by this version: nothing was checked"
        elif rule not in allowable:
            problem = f"`-- rehearsal: allow` names no rule that can be allowed: {name(rule)}"
        elif not reason.strip():
            problem = f"`-- rehearsal: allow {rule}` needs a reason after the rule's name"
        else:
            reasons[rule] = reason.strip()
            continue
        wrong.append(Finding(BAD_DIRECTIVE, Severity.WARNING, problem, migration.path, directive.line))
    return [
        replace(f, allowed_reason=reasons[f.rule]) if f.path == migration.path and f.rule in reasons else f for f in findings
    ] + wrong
