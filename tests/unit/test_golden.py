"""Reports of real runs, one for each verdict and shape, and how each is shown: to the letter.

What differs is told line by line. If it is meant: `python -m tests.golden.make`, and look at what git says has changed.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import replace

import pytest

from bot import report as rendering
from bot.check_run import check_run_of
from bot.exports.page import page
from bot.model import Outcome, Report, Severity, Verdict
from bot.report import COMMENT_LIMIT, STATUS_LIMIT, summary
from tests.golden.cases import CASES
from tests.golden.make import HERE, kept, read, shown

REPORTS = kept()
FILES = shown(REPORTS)
each_report = pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS.keys())


@pytest.mark.parametrize("name", FILES)
def test_it_is_shown_as_it_was(name: str) -> None:
    was = (HERE / name).read_text(encoding="utf-8")

    differs = "\n".join(difflib.unified_diff(was.splitlines(), FILES[name].splitlines(), "kept", "now", lineterm="", n=1))

    assert FILES[name] == was, f"{name} is not shown as it was. If that is meant: python -m tests.golden.make\n{differs}"


def test_no_file_is_left_over() -> None:
    assert {path.name for path in HERE.iterdir() if path.suffix in (".md", ".txt")} == FILES.keys()
    assert {path.stem for path in HERE.glob("*.json")} == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_its_verdict_is_the_one_it_is_kept_for(name: str) -> None:
    assert REPORTS[name].verdict == CASES[name].verdict


# What each is kept for, besides its verdict -> whether a report has it.
KEPT_FOR: dict[str, Callable[[Report], object]] = {
    "green-one": lambda report: len(report.migrations) == 1 and not report.findings,
    "green-several": lambda report: len(report.migrations) == 3 and all(m.down and m.down.restored for m in report.migrations),
    "notices": lambda report: {f.severity for f in report.findings} == {Severity.NOTICE},
    "warnings": lambda report: {f.rule for f in report.findings} > {"reads-blocked", "index-not-concurrent", "renamed"},
    "failure-counted": lambda report: [c.violations for m in report.migrations for c in m.constraints] == [54],
    "failure-later": lambda report: [m.outcome for m in report.migrations] == [Outcome.APPLIED, Outcome.FAILED, Outcome.SKIPPED],
    "lock-limit": lambda report: {f.rule for f in report.findings if f.severity is Severity.ERROR} == {"reads-blocked"},
    "allowed": lambda report: all(f.allowed_reason for f in report.findings if f.severity is not Severity.NOTICE),
    "error": lambda report: report.error and not report.migrations,
    "nothing": lambda report: not report.migrations,
    "replayed": lambda report: report.run.replayed,
    "no-seed": lambda report: report.clone and report.clone.seed.kind == "migrations",
    "catch-up": lambda report: len(report.caught_up) == 2,
    "group": lambda report: [len(m.files) for m in report.migrations] == [2],
    "way-back": lambda report: {m.down.outcome for m in report.migrations if m.down} == {Outcome.APPLIED, Outcome.FAILED},
    "expectations": lambda report: {e.passed for m in report.migrations for e in m.expectations} == {True, False},
    "command": lambda report: [m.layout for m in report.migrations] == ["command"],
    "hostile-names": lambda report: all("@everyone" in f.message for f in report.findings),
}


@pytest.mark.parametrize("name", CASES)
def test_it_has_what_it_is_kept_for(name: str) -> None:
    assert KEPT_FOR[name](REPORTS[name]), CASES[name].shows


def test_there_is_one_for_each_verdict() -> None:
    assert {report.verdict for report in REPORTS.values()} == set(Verdict)


@each_report
def test_a_report_is_read_as_it_was_written(report: Report) -> None:
    assert read(rendering.to_json(report)) == report


@each_report
def test_it_is_within_githubs_limits(report: Report) -> None:
    told = check_run_of(report, rendering.comment(report), neutral_warnings=False)

    assert 0 < len(rendering.comment(report)) <= COMMENT_LIMIT < 65_536
    assert 0 < len(rendering.status(report)) <= STATUS_LIMIT
    assert max(len(told.summary), *(len(a.message) for a in told.annotations), 0) <= 65_535
    assert len(summary(report).encode()) < 2**20


def test_a_step_summary_is_cut_to_githubs_limit() -> None:
    """One MiB a step; what is cut is said."""
    report = REPORTS["many-statements"]
    huge = replace(report, migrations=report.migrations * 40)

    cut = summary(huge)

    assert len(summary(huge, limit=2**30).encode()) > 2**20 > len(cut.encode())
    assert "more in the JSON report" in cut


@each_report
def test_a_page_says_what_the_summary_says(report: Report) -> None:
    assert page(report).count("<details>") == summary(report).count("<details>")
