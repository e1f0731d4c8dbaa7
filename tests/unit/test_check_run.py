"""Check runs: what a report becomes, within what GitHub takes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.check_run import MOST_ANNOTATIONS, cancelled, check_run_of
from bot.model import Outcome, Severity, Verdict
from bot.report import comment
from tests.reports import HOSTILE, finding, rehearsal, report

LONGEST_SUMMARY = 65_535
LONGEST_MESSAGE = 64 * 1024  # bytes
FINDINGS_LENGTH = 200_000  # of all of them: too much for a summary, however few or many they are

# verdict -> the conclusion, and what it is where warnings are neutral
CONCLUSIONS = {
    Verdict.PASS: ("success", "success"),
    Verdict.WARN: ("success", "neutral"),
    Verdict.FAIL: ("failure", "failure"),
    Verdict.ERROR: ("failure", "failure"),
}


@pytest.mark.parametrize("verdict", Verdict)
def test_the_conclusion_follows_the_verdict(verdict: Verdict) -> None:
    value = report(verdict, rehearsal())

    found = tuple(check_run_of(value, "", neutral_warnings=neutral).conclusion for neutral in (False, True))

    assert found == CONCLUSIONS[verdict]


def test_a_stopped_rehearsal_is_neither_good_nor_bad() -> None:
    assert (cancelled().conclusion, cancelled().annotations) == ("cancelled", ())


# a finding -> the level of its annotation, None for none
ANNOTATED = [
    (finding("so", Severity.ERROR), "failure"),
    (finding("so", Severity.WARNING), "warning"),
    (finding("so", Severity.NOTICE), "notice"),
    (finding("so", Severity.ERROR, allowed_reason="a small table"), None),
]


@pytest.mark.parametrize(("one", "level"), ANNOTATED)
def test_a_finding_with_a_line_stands_beside_it(one: object, level: str | None) -> None:
    check = check_run_of(report(Verdict.FAIL, rehearsal(), findings=(one,)), "", neutral_warnings=False)  # type: ignore[arg-type]

    told = [(said.path, said.line, said.level, said.title) for said in check.annotations]
    assert told == ([("db/1.sql", 3, level, "constraint-broken")] if level else [])


@settings(max_examples=20)
@given(st.integers(min_value=1, max_value=300), st.integers(min_value=0, max_value=20_000), HOSTILE)
def test_findings_of_any_number_length_and_content_fit(count: int, length: int, name: str) -> None:
    length = min(length, FINDINGS_LENGTH // count)
    findings = tuple(finding(f"so `{name}`" + "é" * length) for _ in range(count))

    value = report(Verdict.FAIL, rehearsal(outcome=Outcome.FAILED), findings=findings)

    check = check_run_of(value, comment(value), neutral_warnings=False)

    assert len(check.summary) <= LONGEST_SUMMARY
    assert len(check.annotations) == min(count, MOST_ANNOTATIONS)
    assert all(0 < len(said.message.encode()) <= LONGEST_MESSAGE for said in check.annotations)
    assert ("would have an annotation" in check.summary) is (count > MOST_ANNOTATIONS)
