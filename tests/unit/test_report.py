"""Reports: the deciding fact first, everything foreign made harmless, never too long."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import report as rendering
from bot.escaping import escape_markdown
from bot.model import (
    CaughtUp,
    ColumnNulls,
    Finding,
    Outcome,
    Report,
    Severity,
    StatementResult,
    TableChange,
    Verdict,
)
from bot.words import duration, visible
from tests.reports import HOSTILE, RUN, finding, rehearsal, report

FAILED = report(
    Verdict.FAIL, rehearsal(outcome=Outcome.FAILED), findings=(finding("`t.c` cannot become NOT NULL: 3 of 12 rows are NULL"),)
)
HEADLINES = {
    "pass": (report(Verdict.PASS, rehearsal()), "1 migration rehearsed: nothing breaks, nobody waits longer than 40 ms"),
    "warn": (
        report(
            Verdict.WARN, rehearsal(), rehearsal(), findings=(finding("slow", Severity.WARNING), finding("x", Severity.WARNING))
        ),
        "2 migrations rehearsed: slow (and 1 more)",
    ),
    "fail": (FAILED, "1 of 1 migration would fail: `t.c` cannot become NOT NULL: 3 of 12 rows are NULL"),
    "error": (Report(Verdict.ERROR, RUN, error=("The seed is gone.",)), "The rehearsal could not be done: The seed is gone."),
    "nothing": (Report(Verdict.PASS, RUN), "No new migrations in this change"),
    "allowed": (
        report(Verdict.PASS, rehearsal(), findings=(finding("slow", Severity.WARNING, allowed_reason="small"),)),
        "1 migration rehearsed: nothing breaks, nobody waits longer than 40 ms",
    ),
}


@pytest.mark.parametrize(("value", "expected"), HEADLINES.values(), ids=HEADLINES.keys())
def test_the_deciding_fact_comes_first(value: Report, expected: str) -> None:
    assert rendering.headline(value) == expected
    assert rendering.comment(value).splitlines()[0] == rendering.MARKER
    assert expected.replace("`", "").split(":")[0] in rendering.comment(value).splitlines()[1].replace("\\", "")
    assert expected.split(":", maxsplit=1)[0] in rendering.text(value).splitlines()[0]


def test_nobody_is_said_to_wait_for_nothing_where_locks_were_not_read() -> None:
    outside = replace(rehearsal(), statements=(StatementResult(1, "x", 1.0, None, None),))

    assert rendering.headline(report(Verdict.PASS, outside)) == "1 migration rehearsed: nothing breaks"


@pytest.mark.parametrize("verdict", ["pass", "warn", "fail", "error", "nothing", "allowed"])
def test_a_status_fits(verdict: str) -> None:
    value = HEADLINES[verdict][0]

    assert 0 < len(rendering.status(value)) <= 140
    long = replace(value, findings=(finding("x" * 500),))
    assert len(rendering.status(long)) <= 140


def test_row_values_are_left_out_unless_asked_for() -> None:
    assert "secret@example.org" not in rendering.to_json(FAILED) + rendering.comment(FAILED) + rendering.text(FAILED)
    assert "secret@example.org" in rendering.to_json(FAILED, show_row_data=True)
    assert "secret@example.org" in rendering.text(FAILED, show_row_data=True)


# what a migration or a command may hold -> what is shown of it
MASKED = {
    "psql postgresql://app:s3cr%40t@db.example.org/shop?sslmode=require": (
        "psql postgresql://app:***@db.example.org/shop?sslmode=require"
    ),
    "postgres://u:a@b@h:5432/d": "postgres://u:***@h:5432/d",
    "https://h/dump.gz?X-Amz-Signature=abc%2F&x=1": "https://h/dump.gz?X-Amz-Signature=***&x=1",
    "postgresql:///shop?user=u&password=s3cret": "postgresql:///shop?user=u&password=***",
    "PGPASSWORD='s3 cret' alembic upgrade head": "PGPASSWORD=*** alembic upgrade head",
    'PGPASSWORD="s3 cret" alembic upgrade head': "PGPASSWORD=*** alembic upgrade head",
    "dblink_connect host=db password=s3cret user=u": "dblink_connect host=db password=*** user=u",
    "password='s3 cret' host=db": "password=*** host=db",
    "UPDATE u SET user=$1, password=crypt(a) WHERE password=b": "UPDATE u SET user=$1, password=crypt(a) WHERE password=b",
    '{"url": "https://h/?token=abc"}': '{"url": "https://h/?token=***"}',
    "PGPASSWORD='s3cret": "PGPASSWORD='s3cret",
    "PGPASSWORD=abc\nSELECT 1": "PGPASSWORD=***\nSELECT 1",
    "ghp_0123456789abcdefABCDEF0123456789abcd": "ghp_***",
    "github_pat_11ABCDEFG0123456789_abc": "github_pat_***",
    "curl -H 'Authorization: Bearer abcdefgh.ijklmnop-qrst' x": "curl -H 'Authorization: Bearer ***' x",
    "AKIAABCDEFGHIJKLMNOP glpat-abcdefghij_klmnopqrst": "AKIA*** glpat-***",
    "SELECT a::int, b.c FROM x WHERE e = 'u@h'": "SELECT a::int, b.c FROM x WHERE e = 'u@h'",
    "https://example.org:8080/x@y": "https://example.org:8080/x@y",
}


@pytest.mark.parametrize(("text", "shown"), MASKED.items())
def test_what_lets_somebody_in_is_masked_wherever_it_stands(text: str, shown: str) -> None:
    value = report(Verdict.FAIL, rehearsal(text, outcome=Outcome.FAILED), findings=(finding(f"`{text}` fails", instead=text),))

    assert visible(text) == shown
    for written in (rendering.comment(value), rendering.summary(value), rendering.text(value), rendering.status(value)):
        assert text == shown or text not in written.replace("\\", "")
    assert text == shown or text not in json.loads(rendering.to_json(value))["migrations"][0]["statements"][0]["sql"]


def test_a_terminal_gets_colour_and_lines_that_fit_it() -> None:
    """Taking the escape sequences away leaves the plain text; none comes from a name."""
    value = replace(FAILED, migrations=(rehearsal("a\x1b[31mred", outcome=Outcome.FAILED), rehearsal("b" * 150)))

    colored, plain = (rendering.text(value, color=color) for color in (True, False))
    narrow = rendering.text(value, width=70)

    assert "\x1b" not in plain
    assert colored != plain
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == plain
    table = narrow[narrow.index("Migration ") :].partition("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 70
    assert table.count("b") >= 150  # folded, not cut


def test_a_terminal_is_told_what_was_there_before_it_went() -> None:
    table = TableChange("t", 12, None, 0, 0, None, 8192, None, rewritten=False)
    gone = replace(rehearsal(), tables=(table,), columns=(ColumnNulls("t", "c", 3, None),))

    lines = rendering.text(report(Verdict.WARN, gone)).splitlines()

    assert lines[1].startswith("   on a clone of the custom seed")
    assert {"   t: 12 rows → gone", "   t.c: 3 NULLs → gone"} <= set(lines)


def test_json_has_the_names_that_are_promised() -> None:
    value = json.loads(rendering.to_json(FAILED))

    assert value["schema_version"] == 1
    assert value["verdict"] == "fail"
    assert value["migrations"][0]["constraints"][0]["violations"] == 3
    assert value["clone"]["seed"]["rows"] == 41_200_000


_SPAN = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)


@pytest.mark.parametrize(
    ("text", "shown"),
    {
        "::add-mask::e": "\\u003a:add-mask::e",
        "a\n  ::add-mask::e": "a\n  \\u003a:add-mask::e",
        "0001_##[add-mask]e": "0001_#\\u0023[add-mask]e",
        "a::int, b[1] ## c": "a::int, b[1] ## c",
    }.items(),
)
def test_no_line_of_a_log_is_a_command_for_the_runner(text: str, shown: str) -> None:
    """It takes `::…` at a line's start for one, and `##[…]` anywhere in it."""
    assert visible(text) == shown


# a text outside of code -> as GitHub makes no link, sign or list of it; `·` stands for a character that can't be seen
ESCAPED = {
    "see GH-12, gh-7": "see GH-·12, gh-·7",
    "high-12": "high-12",
    "o/r#12 and @team": "o/r\\#·12 and @·team",
    "db/-@.sql and a@": "db/-@·.sql and a@·",
    "done :tada: :+1: :100:": "done :·tada: :·+1: :·100:",
    "at 03:10:00": "at 03\\:10\\:00",
    " 1. no list": " 1\\. no list",
    " - no list": " \\- no list",
}


@pytest.mark.parametrize(("text", "escaped"), ESCAPED.items())
def test_what_github_makes_of_a_text_is_kept_from_it(text: str, escaped: str) -> None:
    assert escape_markdown(text).replace("\u2060", "·") == escaped


def outside_code(markdown: str) -> str:
    """What is left of Markdown when fenced blocks and code spans are taken out: what may be markup."""
    without_blocks = re.sub(r"^(`{3,})(?:sql|mermaid)\n.*?^\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return "\n".join(_SPAN.sub("", line) for line in without_blocks.split("\n"))


@given(HOSTILE)
def test_no_name_breaks_out_of_the_comment(name: str) -> None:
    value = report(
        Verdict.FAIL,
        rehearsal(name or "x", outcome=Outcome.FAILED),
        findings=(finding(f"`{name.replace('`', 'ˋ')}` and {name}", instead=f"ALTER TABLE {name};"),),
    )
    plain = report(
        Verdict.FAIL, rehearsal("x", outcome=Outcome.FAILED), findings=(finding("`x` and x", instead="ALTER TABLE x;"),)
    )

    markdown, expected = rendering.comment(value), rendering.comment(plain)

    left = outside_code(markdown)
    assert left.count(rendering.MARKER) == 1
    for tag in ("<details>", "</details>", "<summary>", "<sub>"):
        assert _unescaped(left, tag) == _unescaped(outside_code(expected), tag)
    for foreign in ("<script>", "@everyone", "](http"):
        assert _unescaped(left, foreign) == 0
    assert not re.search(r"(?<![\\\w])www\.", left)  # an address in the middle of a word is none
    assert not re.search("[\u202a-\u202e\u200b\x1b]", markdown)
    assert _table_shape(markdown) == _table_shape(expected)


def _unescaped(text: str, piece: str) -> int:
    return len(re.findall(r"(?<!\\)" + re.escape(piece), text))


def _table_shape(markdown: str) -> list[int]:
    """The number of cells of each table row: pipes that are not escaped."""
    return [len(re.findall(r"(?<!\\)\|", line)) for line in markdown.splitlines() if line.startswith("| ")]


def test_a_comment_is_never_too_long_and_says_what_was_cut() -> None:
    many = tuple(rehearsal(f"a_rather_long_name_of_a_migration_{n}") for n in range(150))
    wide = tuple(replace(m, tables=m.tables * 50, statements=m.statements * 50) for m in many)

    text = rendering.comment(report(Verdict.PASS, *wide))

    assert len(text) <= rendering.COMMENT_LIMIT
    assert "in the JSON report" in text


FINDINGS_LENGTH = 100_000  # of all of them: too much for a comment, however few or many they are


@settings(max_examples=20)
@given(st.integers(min_value=1, max_value=300), st.integers(min_value=0, max_value=20_000))
def test_findings_of_any_number_and_length_fit(count: int, length: int) -> None:
    length = min(length, FINDINGS_LENGTH // count)
    findings = tuple(finding("|" * length, instead="`" * length) for _ in range(count))

    assert (
        len(rendering.comment(report(Verdict.FAIL, rehearsal(outcome=Outcome.FAILED), findings=findings)))
        <= rendering.COMMENT_LIMIT
    )


DURATIONS = {0.2: "1 ms", 12.4: "12 ms", 1900: "1.9 s", 130_000: "2 min 10 s"}


def test_a_summary_is_never_too_long() -> None:
    """GitHub takes 1 MiB, and shows nothing of a longer one."""
    findings = tuple(finding("y" * 30_000) for _ in range(60))

    text = rendering.summary(report(Verdict.FAIL, rehearsal(), findings=findings))

    assert len(text.encode()) <= 900_000 and text.startswith("### ❌ ")


@pytest.mark.parametrize(("ms", "shown"), DURATIONS.items())
def test_durations(ms: float, shown: str) -> None:
    assert duration(ms) == shown


MARKS = {
    "nothing was found": (Outcome.APPLIED, (), "✅"),
    "a notice": (Outcome.APPLIED, (Severity.NOTICE,), "✅"),
    "a warning": (Outcome.APPLIED, (Severity.WARNING, Severity.NOTICE), "⚠️"),
    "an error": (Outcome.APPLIED, (Severity.WARNING, Severity.ERROR), "❌"),
    "it failed": (Outcome.FAILED, (Severity.WARNING,), "❌"),
}


@pytest.mark.parametrize("case", MARKS)
def test_a_migration_bears_the_sign_of_its_weightiest_finding(case: str) -> None:
    outcome, severities, expected = MARKS[case]
    migration = rehearsal(outcome=outcome)

    findings = [Finding("r", severity, "m", migration.path) for severity in severities]

    assert rendering.mark(migration, [*findings, Finding("r", Severity.ERROR, "m", "another.sql")]) == expected


# what was run on the seed first -> how it is told
CAUGHT_UP = {
    (): "",
    ("m/`2`_b.sql",): "1 migration of the base branch that the seed lacked was applied first: `m/ˋ2ˋ_b.sql` (40 ms).",
    tuple(f"m/{n}.sql" for n in range(1, 8)): (
        "7 migrations of the base branch that the seed lacked were applied first: "
        "`3.sql`, `4.sql`, `5.sql`, `6.sql`, `7.sql`, … (280 ms)."
    ),
}


@pytest.mark.parametrize("paths", CAUGHT_UP)
def test_what_the_seed_lacked_is_told_in_a_sentence(paths: tuple[str, ...]) -> None:
    told = replace(report(Verdict.PASS, rehearsal()), caught_up=tuple(CaughtUp(path, "1", 40.0) for path in paths))

    assert rendering.caught_up_text(told) == CAUGHT_UP[paths]
    assert CAUGHT_UP[paths] in rendering.text(told)
    assert ("lacked" in rendering.comment(told)) is bool(paths)


# how the clone was made -> what the comment's last line says of it, and the terminal
METHODS = {
    "by reference": ("the clone 100 ms (by reference).", "; as postgres; the clone 100 ms, by reference; from db/"),
    "copied": ("the clone 100 ms (copied).", "; as postgres; the clone 100 ms, copied; from db/"),
    None: ("the clone 100 ms.", "; as postgres; from db/"),
}


@pytest.mark.parametrize("method", METHODS)
def test_how_the_clone_was_made_is_told(method: str | None) -> None:
    made = report(Verdict.PASS, rehearsal())
    assert made.clone
    made = replace(made, clone=replace(made.clone, method=method))

    assert METHODS[method][0] in rendering.comment(made)
    assert METHODS[method][1] in rendering.text(made)
    assert json.loads(rendering.to_json(made))["clone"]["method"] == method


def test_what_is_not_rehearsed_is_not_counted_as_such() -> None:
    findings = (Finding("history-changed", Severity.WARNING, "`b.sql` was run already", "b.sql"),)
    skipped = rehearsal(outcome=Outcome.SKIPPED)

    assert rendering.headline(report(Verdict.WARN, skipped, findings=findings)) == "`b.sql` was run already"
    assert rendering.headline(report(Verdict.WARN, rehearsal(), skipped, findings=findings)).startswith("1 migration rehearsed")
