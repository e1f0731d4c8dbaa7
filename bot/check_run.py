"""A report -> the check run that tells it: conclusion, title, summary, annotations. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from bot import report as rendering
from bot.model import Finding, Report, Severity, Verdict
from bot.report import MARKER
from bot.words import count, one_line

MOST_ANNOTATIONS = 200  # four requests; GitHub takes fifty in one
_LONGEST_MESSAGE = 4000  # characters; GitHub takes 64 KB
_LEVELS = {Severity.ERROR: "failure", Severity.WARNING: "warning", Severity.NOTICE: "notice"}
_WEIGHT = list(_LEVELS)
# An error is a failure here too: whoever requires the check must not get past it because nothing could be rehearsed.
_CONCLUSIONS = {Verdict.PASS: "success", Verdict.WARN: "success", Verdict.FAIL: "failure", Verdict.ERROR: "failure"}


@dataclass(frozen=True, slots=True)
class Annotation:
    """What is said beside one line; `level` is failure, warning or notice."""

    path: str
    line: int
    level: str
    title: str
    message: str


@dataclass(frozen=True, slots=True)
class CheckRun:
    """What a completed check run shows; `conclusion` is success, neutral, failure or cancelled."""

    conclusion: str
    title: str
    summary: str
    annotations: tuple[Annotation, ...] = ()


def check_run_of(report: Report, comment: str, *, neutral_warnings: bool) -> CheckRun:
    """The check run that tells a report. The summary is the comment's text, and says which findings are told there only."""
    told = annotated(report)
    shown = told[:MOST_ANNOTATIONS]
    summary = comment.removeprefix(MARKER).lstrip()
    if left := len(told) - len(shown):
        summary += f"\n{count(left, 'more finding')} would have an annotation: GitHub is given {MOST_ANNOTATIONS}.\n"
    conclusion = "neutral" if neutral_warnings and report.verdict is Verdict.WARN else _CONCLUSIONS[report.verdict]
    return CheckRun(conclusion, rendering.status(report), summary, tuple(map(_annotation, shown)))


def annotated(report: Report) -> list[Finding]:
    """The findings that have a line to stand beside, the weightiest first."""
    told = [f for f in report.findings if f.allowed_reason is None and f.line]
    return sorted(told, key=lambda finding: _WEIGHT.index(finding.severity))


def cancelled() -> CheckRun:
    """The check run of a rehearsal that was stopped."""
    said = "Cancelled before the rehearsal was done"
    return CheckRun("cancelled", said, f"{said}. Nothing is said about the migrations; run the workflow again.\n")


def _annotation(finding: Finding) -> Annotation:
    message = one_line(finding.message.replace("`", ""))
    if len(message) > _LONGEST_MESSAGE:
        message = message[: _LONGEST_MESSAGE - 1] + "…"
    return Annotation(finding.path, finding.line or 1, _LEVELS[finding.severity], finding.rule, message)
