"""Reports for other programs: what each format's own reader makes of them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from junitparser import Error, Failure, JUnitXml, Skipped
from sarif_pydantic import Sarif

from bot.cli import FORMATS as NAMES
from bot.errors import UsageError
from bot.exports import FORMATS, Look, for_file, named
from bot.model import Outcome, Report, Severity, Verdict
from tests.reports import HOSTILE, RUN, finding, rehearsal, report

BROKEN = finding("`t.c` cannot become NOT NULL: 3 of 12 rows are NULL", instead="ALTER TABLE t …")
VERDICTS = {
    "pass": report(Verdict.PASS, rehearsal()),
    "warn": report(Verdict.WARN, rehearsal(), findings=(finding("slow", Severity.WARNING), finding("x", Severity.NOTICE))),
    "fail": report(
        Verdict.FAIL,
        replace(rehearsal(outcome=Outcome.FAILED), path="db/1.sql"),
        replace(rehearsal(outcome=Outcome.SKIPPED), path="db/2.sql"),
        findings=(BROKEN, BROKEN),
    ),
    "allowed": report(Verdict.PASS, rehearsal(), findings=(finding("slow", Severity.WARNING, allowed_reason="at night"),)),
    "error": Report(Verdict.ERROR, RUN, error=("The seed is gone.", "→ Look for it.")),
    "nothing": Report(Verdict.PASS, RUN),
}


def test_the_command_line_knows_the_formats() -> None:
    assert tuple(one.name for one in FORMATS) == NAMES


# what --output says -> format and path
TARGETS = {
    "r.json": ("json", "r.json"),
    "R.SARIF": ("sarif", "R.SARIF"),
    "a/r.sarif.json": ("sarif", "a/r.sarif.json"),
    "junit.xml": ("junit", "junit.xml"),
    "gl-code-quality-report.json": ("code-quality", "gl-code-quality-report.json"),
    "code-quality=r.json": ("code-quality", "r.json"),
    "r.html": ("html", "r.html"),
    "a=b.md": ("markdown", "a=b.md"),
    "r": ("text", "r"),
}


@pytest.mark.parametrize(("target", "expected"), TARGETS.items(), ids=TARGETS.keys())
def test_a_file_is_of_the_format_that_its_name_says(target: str, expected: tuple[str, str]) -> None:
    form, path = for_file(target, "text")

    assert (form.name, path) == expected


def test_a_format_that_there_is_not() -> None:
    with pytest.raises(UsageError, match="Did you mean 'sarif'"):
        named("serif")


# ── SARIF ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("verdict", VERDICTS)
def test_sarif_is_read(verdict: str) -> None:
    value = VERDICTS[verdict]

    (run,) = Sarif.model_validate_json(named("sarif").write(value, Look())).runs

    assert [(r.rule_id, str(r.level).rpartition(".")[2].lower()) for r in run.results or []] == [
        (f.rule, {"notice": "note"}.get(f.severity, f.severity)) for f in value.findings
    ]
    rules = run.tool.driver.rules or []
    assert [rules[r.rule_index or 0].id for r in run.results or []] == [f.rule for f in value.findings]
    assert [bool(getattr(r, "suppressions", None)) for r in run.results or []] == [
        f.allowed_reason is not None for f in value.findings
    ]
    assert [i.execution_successful for i in run.invocations or []] == [verdict != "error"]


def test_sarif_says_where() -> None:
    (result,) = json.loads(named("sarif").write(report(Verdict.FAIL, findings=(replace(BROKEN, path="a b/ü.sql"),)), Look()))[
        "runs"
    ][0]["results"]

    place = result["locations"][0]["physicalLocation"]
    assert (place["artifactLocation"]["uri"], place["region"]) == ("a%20b/%C3%BC.sql", {"startLine": 3})
    assert result["message"]["text"] == "t.c cannot become NOT NULL: 3 of 12 rows are NULL\n\nALTER TABLE t …"


def test_what_a_command_did_is_in_no_file() -> None:
    command = replace(rehearsal(), path="alembic upgrade head", layout="command")
    value = report(Verdict.FAIL, command, findings=(replace(BROKEN, path="alembic upgrade head"),))

    (result,) = json.loads(named("sarif").write(value, Look()))["runs"][0]["results"]

    assert result["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "alembic upgrade head"}]}]


def test_the_same_finding_has_the_same_fingerprint_whatever_was_measured() -> None:
    def fingerprint(message: str, line: int) -> str:
        found = replace(BROKEN, message=message, line=line)
        text = named("code-quality").write(report(Verdict.FAIL, findings=(found,)), Look())
        return str(json.loads(text)[0]["fingerprint"])

    assert fingerprint("3 of 12 rows are NULL", 3) == fingerprint("4 of 13 rows are NULL", 7) != fingerprint("other", 3)


# ── JUnit and code quality ───────────────────────────────────────────────────────────────────────────────────────────────

CASES = {
    "pass": [("db/orders.sql", None)],
    "warn": [("db/orders.sql", None), ("db/1.sql", None), ("db/1.sql", None)],
    "fail": [("db/1.sql", Failure), ("db/2.sql", Skipped)],
    "allowed": [("db/orders.sql", None)],
    "error": [("rehearsal", Error)],
    "nothing": [],
}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_junit_is_read(verdict: str) -> None:
    (suite,) = JUnitXml.fromstring(named("junit").write(VERDICTS[verdict], Look()).encode())

    found = [(case.name, type(case.result[0]) if case.result else None) for case in suite]
    assert found == CASES[verdict]
    assert (suite.tests, suite.failures, suite.errors, suite.skipped) == (
        len(found),
        *(sum(kind is wanted for _name, kind in found) for wanted in (Failure, Error, Skipped)),
    )


@pytest.mark.parametrize("verdict", VERDICTS)
def test_code_quality_has_what_gitlab_asks_for(verdict: str) -> None:
    value = VERDICTS[verdict]

    entries = json.loads(named("code-quality").write(value, Look()))

    assert len(entries) == len([f for f in value.findings if f.allowed_reason is None])
    assert len({entry["fingerprint"] for entry in entries}) == len(entries)
    for entry in entries:
        assert entry.keys() == {"description", "check_name", "fingerprint", "severity", "location"}
        assert entry["severity"] in ("info", "minor", "major", "critical", "blocker")
        assert isinstance(entry["location"]["lines"]["begin"], int)


# ── The page ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Seen(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _value in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def seen(value: Report) -> Seen:
    parser = Seen()
    parser.feed(named("html").write(value, Look()))
    return parser


def test_the_page_says_what_the_comment_says_and_draws_who_waits() -> None:
    page = seen(VERDICTS["fail"])

    assert "t.c cannot become NOT NULL: 3 of 12 rows are NULL" in page.text
    assert page.tags.count("svg") == 2 and "rect" in page.tags and "gantt" not in page.text
    assert {"table", "details", "summary"} <= {*page.tags}


def test_the_page_loads_nothing() -> None:
    text = named("html").write(VERDICTS["fail"], Look())

    assert not {"src", "href", "srcset"} & seen(VERDICTS["fail"]).attributes
    assert "default-src 'none'" in text and "@import" not in text and "url(" not in text


@settings(max_examples=50)
@given(HOSTILE)
def test_no_name_breaks_any_format(name: str) -> None:
    """Whatever it is, readers read what is written, and a page has no tag that one without it has not."""
    message = f"`{name.replace('`', 'ˋ')}` and {name}"
    value, plain = (
        report(
            Verdict.FAIL,
            rehearsal(n, outcome=Outcome.FAILED),
            findings=(replace(finding(m, instead=f"ALTER TABLE {n};", allowed_reason=None), path=f"db/{n}.sql"),),
        )
        for n, m in ((name or "x", message), ("x", "`x` and x"))
    )

    Sarif.model_validate_json(named("sarif").write(value, Look()))
    json.loads(named("code-quality").write(value, Look()))
    JUnitXml.fromstring(named("junit").write(value, Look()).encode())
    page = named("html").write(value, Look())
    assert not re.search("[\u202a-\u202e\u200b\x1b]", page)
    assert sorted({*seen(value).tags}) == sorted({*seen(plain).tags})
    assert seen(value).attributes <= seen(plain).attributes | {"class"}
