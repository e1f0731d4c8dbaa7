"""Findings + policy -> verdict, and the exit status it means. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from bot.model import Finding, Severity, Verdict

FAIL_ON = ("error", "warning", "never")


def conclude(findings: Iterable[Finding], fail_on: str) -> Verdict:
    """`fail_on`: the least severity that fails: "error", "warning", or "never". What a file allows does not count."""
    severities = {f.severity for f in findings if f.allowed_reason is None}
    if not severities & {Severity.ERROR, Severity.WARNING}:
        return Verdict.PASS
    fails = {"error": {Severity.ERROR}, "warning": {Severity.ERROR, Severity.WARNING}, "never": set()}[fail_on]
    return Verdict.FAIL if severities & fails else Verdict.WARN


def exit_status(verdict: Verdict) -> int:
    """0: pass, or warn below `fail-on`; 1: a migration failed; 3: the rehearsal could not be done."""
    return {Verdict.PASS: 0, Verdict.WARN: 0, Verdict.FAIL: 1, Verdict.ERROR: 3}[verdict]
