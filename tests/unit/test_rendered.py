"""The comment as GitHub's own Markdown library renders it (cmark-gfm): tables are tables, folds fold, foreign names are text."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given, settings

from bot import report as rendering
from bot.model import Outcome, Report, Severity, Verdict
from tests.browser import comments
from tests.golden.make import kept
from tests.reports import HOSTILE, RUN, finding, rehearsal, report

BROKEN = finding("`t.c` cannot become NOT NULL: 3 of 12 rows are NULL", instead="ALTER TABLE t …")
NOTICE = finding("no lock_timeout", Severity.NOTICE)
GOLDEN = {
    "green": report(Verdict.PASS, rehearsal()),
    "a notice": report(Verdict.PASS, rehearsal(), findings=(NOTICE,)),
    "a warning": report(Verdict.WARN, rehearsal(), findings=(finding("slow", Severity.WARNING), NOTICE)),
    "a failure": report(Verdict.FAIL, rehearsal(outcome=Outcome.FAILED), rehearsal("b"), findings=(BROKEN, NOTICE)),
    "accepted": report(Verdict.PASS, rehearsal(), findings=(replace(BROKEN, allowed_reason="it is small"),)),
    "an error": Report(Verdict.ERROR, RUN, error=("The seed is gone.", "It was there yesterday.", "→ Look for it.")),
    "nothing": Report(Verdict.PASS, RUN),
    "long": report(Verdict.PASS, *(rehearsal(f"migration_{n}") for n in range(300))),
}
KEPT = kept()
_VOID = ("br", "hr", "img", "input", "meta")


class Page(HTMLParser):
    """What a page is made of: its tags, whether each is closed in its place, and its text without what is folded, or code."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.open: list[str] = []
        self.crossed = False
        self.links: list[str] = []
        self.comments: list[str] = []
        self.outside_folds = ""
        self.outside_code = ""
        self.rows: list[int] = []  # cells of each row of a table
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        if tag == "a":
            self.links.append(dict(attrs).get("href") or "")
        if tag == "tr":
            self.rows.append(0)
        if tag in ("td", "th"):
            self.rows[-1] += 1
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.crossed = True

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def handle_data(self, data: str) -> None:
        if "details" not in self.open or ("summary" in self.open and self.open.count("details") == 1):
            self.outside_folds += data
        if "code" not in self.open:
            self.outside_code += data


def rendered(value: Report) -> Page:
    options = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_GITHUB_PRE_LANG
    return Page(cmarkgfm.github_flavored_markdown_to_html(rendering.comment(value), options=options))


@pytest.mark.parametrize("value", GOLDEN.values(), ids=GOLDEN.keys())
def test_the_comment_is_well_made(value: Report) -> None:
    page = rendered(value)

    assert (page.crossed, page.open) == (False, [])
    assert page.comments == [" migration-rehearsal "]
    assert page.tags["h3"] == 1 and page.tags["details"] == page.tags["summary"]
    assert page.links == []
    assert "|" not in page.outside_code and "**" not in page.outside_code and "](" not in page.outside_code


@pytest.mark.parametrize("value", KEPT.values(), ids=KEPT.keys())
def test_a_real_comment_is_well_made(value: Report) -> None:
    """Nothing of it is filtered out by GitHub but our marker; what a browser makes of it is in tests/browser."""
    page, told = rendered(value), comments.rendered(rendering.comment(value))

    assert (page.crossed, page.open) == (False, [])
    assert told.dropped == [rendering.MARKER]


def test_what_github_filters_out_is_told() -> None:
    assert comments.rendered("a <img src=x onerror=y> <b class=z>b</b> <!-- c -->").dropped == ["<img>", "b class", "<!-- c -->"]


def test_two_lines_when_all_is_well() -> None:
    lines = [line for line in rendered(GOLDEN["green"]).outside_folds.split("\n") if line.strip()]

    assert lines == [
        "✅ 1 migration rehearsed: nothing breaks, nobody waits longer than 40 ms",
        "Rehearsed abcdef0 from db/ on a clone of the seed as of 2026-11-22T03:10:00Z "
        "(41,200,000 rows, 18.4 GB, PostgreSQL 18.6), as postgres.",
        "Details",
    ]


def test_what_decides_is_seen_without_unfolding() -> None:
    page = rendered(GOLDEN["a failure"])

    for seen in ("t.c cannot become NOT NULL: 3 of 12 rows are NULL", "1.sql:3", "constraint-broken", "ALTER TABLE t …"):
        assert seen in page.outside_folds
    assert "1 notice" in page.outside_folds and "no lock_timeout" not in page.outside_folds


@pytest.mark.parametrize("name", ["green", "a failure"])
def test_every_table_is_one(name: str) -> None:
    page = rendered(GOLDEN[name])

    assert page.tags["table"] >= 8
    assert {cells for cells in page.rows if cells < 3} == set()


@settings(max_examples=60)
@given(HOSTILE)
def test_no_name_changes_how_the_comment_is_built(name: str) -> None:
    """Backticks, pipes, line ends, tags, comments, mentions, our own marker: the page has the same parts, and only those."""

    def failing(foreign: str, message: str) -> Report:
        bad = finding(message, instead=f"ALTER TABLE {foreign};")
        return report(Verdict.FAIL, rehearsal(foreign, outcome=Outcome.FAILED), findings=(bad,))

    page = rendered(failing(name or "x", f"`{name.replace('`', 'ˋ')}` and {name}"))
    plain = rendered(failing("x", "`x` and x"))

    assert (page.crossed, page.links, page.comments) == (False, [], plain.comments)
    assert {tag: n for tag, n in page.tags.items() if tag != "code"} == {tag: n for tag, n in plain.tags.items() if tag != "code"}
    assert page.rows == plain.rows
    assert not re.search(r"(?<!\w)@\w", page.outside_code)
