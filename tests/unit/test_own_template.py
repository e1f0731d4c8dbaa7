"""A team's own template: it replaces or extends our blocks, can't break out or hang, and ours stands in for a broken one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import given, settings

from bot import own_template
from bot import report as rendering
from bot.model import Outcome, Report, Template, Verdict
from bot.own_template import comment, summary, template_of
from bot.report import MARKDOWN, MARKER, PLAIN
from tests.reports import HOSTILE, RUN, finding, rehearsal, report

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "templates.md").read_text()
FAILED = report(Verdict.FAIL, rehearsal(outcome=Outcome.FAILED), findings=(finding("`t.c` has NULLs"),))
EXTENDS = '{% extends "comment.md.j2" %}'


def test_a_block_is_replaced_and_extended() -> None:
    text = EXTENDS + "{% block ground %}{{ super() }}\nAsk #db.\n\n{% endblock %}{% block statements %}{% endblock %}"

    made = comment(FAILED, Template("t", text))

    assert made.problem == ""
    assert "as `postgres`.\n\nAsk #db." in made.text
    assert "Rows and NULLs" in made.text
    assert "<b>Statements</b>" not in made.text


def test_it_stands_alone_too_and_makes_the_summary() -> None:
    template = Template("t", "## {{ headline | message }}\n{{ report.migrations | length }} of ours\n")

    assert comment(FAILED, template).text == f"{MARKER}\n## 1 of 1 migration would fail: `t.c` has NULLs\n1 of ours\n"
    assert summary(FAILED, template).text == "## 1 of 1 migration would fail: `t.c` has NULLs\n1 of ours\n"


@pytest.mark.parametrize(
    "forged",
    [MARKER, "<!--migration-rehearsal-->", "<!--  Migration-Rehearsal -->", f"<!-- migration{MARKER}-rehearsal -->"],
)
def test_the_marker_stands_once_and_first(forged: str) -> None:
    made = comment(FAILED, Template("t", f"text {forged} more")).text

    assert made == f"{MARKER}\ntext  more\n"


def test_without_a_template_and_with_one_that_changes_nothing_it_is_ours() -> None:
    ours = rendering.comment(FAILED)

    assert comment(FAILED, None).text == ours
    assert comment(FAILED, Template("nobody has looked for it")).text == ours
    assert comment(FAILED, Template("t", EXTENDS)).text.strip() == ours.strip()


BROKEN = {
    "{% block %}": "line 1",
    "\n\n{{ nothing.there }}": "line 3: 'nothing' is undefined",
    EXTENDS + "\n{% block rows %}{{ report.nope }}{% endblock %}": "line 2: ",
    '{% extends "../../etc/passwd" %}': "there is no template",
    '{% include "comment.txt" %}': "ours is 'comment.md.j2'",
    "{{ ''.__class__.__mro__ }}": "unsafe",
    "{{ cycler.__init__.__globals__.os.environ }}": "unsafe",
    "{{ report.migrations.__class__ }}": "unsafe",
    "{{ 'x' * 10 ** 10 }}": "too much memory",
    '{% include "own" %}': "calls itself",
    "": "empty comment",
    "<!-- migration-rehearsal -->": "empty comment",
    "{{ 'x' * 70000 }}": "more than 60,000 characters",
    "{{ 1 / 0 }}": "division by zero",
    EXTENDS + "\n{% block findigns %}{% endblock %}": "line 2: comment.md.j2 has no block 'findigns' (did you mean 'findings'?)",
    EXTENDS + "\n\nAsk in the channel.": "line 3: what stands outside of blocks would not be shown",
    EXTENDS + "\n{{ headline }}": "line 2: what stands outside of blocks would not be shown",
    "{{ headline | tojson }}": "No filter named 'tojson'",
    "{% for m in report.migrations %}{{ m.nope() }}{% endfor %}": "line 1",
}


@pytest.mark.parametrize(("text", "why"), BROKEN.items(), ids=BROKEN.keys())
def test_a_broken_one_falls_back_to_ours_and_says_why(text: str, why: str) -> None:
    made = comment(FAILED, Template(".github/c.md.j2", text))

    assert made.problem.startswith("The template .github/c.md.j2 was not used: ")
    assert why in made.problem
    told = replace(FAILED, notes=(*FAILED.notes, made.problem))
    assert made.text == rendering.comment(told)
    assert "c.md.j2 was not used" in made.text


@pytest.mark.parametrize("loop", ["{% for a in r %}{% for b in r %}{% endfor %}{% endfor %}"])
def test_an_endless_one_is_ended(loop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_template, "_LIMIT_S", 1)

    made = comment(FAILED, Template("t", "{% set r = range(99999) %}" + loop))

    assert "takes longer than 1 s" in made.problem


def test_it_sees_no_secret_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process has no environment, whatever a sandbox may let through."""
    monkeypatch.setenv("MIGRATION_REHEARSAL_JOURNAL_KEY", "s3cret")
    look = "import json, os; print(json.dumps({'made': ' '.join(os.environ) or 'nothing'}))"
    monkeypatch.setattr(own_template, "_CHILD", look)

    assert comment(FAILED, Template("t", "x")).text in ("nothing", "LC_CTYPE")


def test_a_path_to_a_template() -> None:
    files = {"a": b"\xef\xbb\xbfhello", "b": b"\xff", "c": b"x" * (2**18 + 1)}

    assert template_of("a", files.get) == Template("a", "hello")
    assert "UTF-8" in template_of("b", files.get).problem
    assert "larger" in template_of("c", files.get).problem
    assert "no such file" in template_of("d", files.get).problem


@settings(max_examples=200, deadline=None)
@given(HOSTILE)
def test_a_template_that_forgets_to_escape_breaks_nothing(name: str) -> None:
    """What no filter has made Markdown is escaped as it is written: here in the same process, for speed."""
    first = "{% set m = report.migrations[0] %}{{ m.path }}\n\n{{ m.version ~ '!' }}\n\n"
    text = first + "| a | b |\n|-|-|\n| {{ m.version }} | b |\n"

    made = rendering.comment(report(Verdict.PASS, rehearsal(name)), text)

    html = cmarkgfm.github_flavored_markdown_to_html(made.removeprefix(MARKER), Options.CMARK_OPT_UNSAFE)
    assert set(re.findall(r"<(\w+)", html)) <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
    assert html.count("<td") == 2
    assert not re.search(r"@\w", re.sub(r"<[^>]*>", "", html))


# Ways to write a foreign text `x`, beside Markdown that a filter has made.
WAYS = (
    "{{ x | e }}",
    "{{ x | escape }}",
    "{{ x | forceescape }}",
    "{{ ('a' | code) ~ x }}",
    "{{ ('a' | code) + x }}",
    "{{ x ~ ('a' | code) ~ x }}",
    "{{ ['a' | code, x] | join(' ') }}",
    "{{ [x, 'a' | code] | join(x) }}",
    "{{ report.migrations | join('a' | code, attribute='path') }}",
    "{{ x | replace('a', 'b' | code) }}",
    "{{ x | code | replace('`', '') }}",
    "{{ x | code | truncate(30) }}",
    "{{ (x | code)[1:] }}",
    "{{ (x | code).split('`') | last }}{{ (x | code).rsplit('`')[1] }}",
    "{{ ('<b>%s</b>' | safe) | format(x) }}",
    "{% set a %}b{% endset %}{{ a ~ x }}",
    "{% autoescape false %}{{ x }}{{ ('a' | code) ~ x }}{% endautoescape %}",
    "{% macro m(y) %}{{ caller(y) }}{% endmacro %}{% call(z) m(x) %}{{ z }}{% endcall %}",
    "{% filter upper %}{{ x }}{% endfilter %}",
)


@pytest.mark.parametrize("way", WAYS)
def test_however_a_text_is_written_it_is_escaped(way: str) -> None:
    hostile = "@team [x](https://evil.example) www.evil.example <img src=x> **b**"
    text = "{% set x = report.migrations[0].path %}" + way

    made = rendering.comment(report(Verdict.PASS, replace(rehearsal(), path=hostile)), text)

    html = cmarkgfm.github_flavored_markdown_to_html(made.removeprefix(MARKER), Options.CMARK_OPT_UNSAFE)
    assert set(re.findall(r"<(\w+)", html)) <= {"p", "code", "b"}
    assert not re.search(r"@\w", re.sub(r"<code>.*?</code>", "", html))


@pytest.mark.parametrize(
    "value",
    [Report(Verdict.ERROR, RUN, error=("The seed is gone.",)), Report(Verdict.PASS, RUN)],
    ids=["an error", "nothing new"],
)
def test_where_nothing_was_rehearsed_a_broken_one_is_told_too(value: Report) -> None:
    made = comment(value, Template("t", EXTENDS + "{% block before %}{{ report.clone.role }}{% endblock %}"))

    assert "line 1: 'None' has no attribute 'role'" in made.problem
    assert "<sub>The template t was not used: line 1" in made.text


def test_a_summary_that_github_would_not_take_is_ours() -> None:
    long = Template(
        "t", "{% if tell_replay %}{% for n in range(50000) %}{{ 'xxxxxxxxxx' * 20 }}{% endfor %}{% else %}x{% endif %}"
    )

    assert comment(FAILED, long).problem == ""
    assert "more than 900,000 bytes" in summary(FAILED, long).problem


def test_the_page_names_every_block_and_filter() -> None:
    ours = (ROOT / "templates" / "comment.md.j2").read_text()
    named = set(re.findall(r"`(\w+)(?:\([^`]*\))?`", PAGE))

    assert set(re.findall(r"\{% block (\w+) %\}", ours)) <= named
    assert {*PLAIN, *MARKDOWN} <= named


def test_the_example_of_the_page_works() -> None:
    example = re.search(r"```jinja\n(.*?)```", PAGE, re.DOTALL)
    assert example

    made = comment(FAILED, Template("t", example[1]))

    assert made.problem == ""
    assert "in the [handbook]" in made.text
    assert "<b>Statements</b>" not in made.text
