"""Lines of a text that is made of several files, told as the lines of these files."""

from __future__ import annotations

import pytest

from bot.model import (
    Down,
    Expectation,
    Finding,
    HeldLock,
    LockSpan,
    Migration,
    Outcome,
    Rehearsal,
    Severity,
    Source,
    SqlError,
    StatementResult,
    Transaction,
)
from bot.sources import joined, own_place, place, pointed, told, with_way_back_told

# 1.sql includes lib.sql in its line 3, which includes deep.sql in its line 2.
INCLUDING = Migration(
    "1.sql",
    "1",
    "plain",
    "a\nb\nl1\nd1\nd2\n\nl3\n\nc\n",
    sources=(
        Source(1, "1.sql", 1),
        Source(3, "lib.sql", 1),
        Source(4, "deep.sql", 1),
        Source(6, "lib.sql", 2),
        Source(8, "1.sql", 3),
    ),
)
GROUP = Migration(
    "2.sql",
    "2",
    "drizzle",
    "a\n;\nb\nc",
    expect="x\n;\ny",
    expect_path="2.expect.sql",
    files=("1.sql", "2.sql"),
    sources=(Source(1, "1.sql", 1), Source(3, "2.sql", 1)),
    down="d\n;\ne",
    down_sources=(Source(1, "2.sql", 9), Source(3, "1.sql", 5)),
    expect_sources=(Source(1, "1.expect.sql", 1), Source(3, "2.expect.sql", 1)),
)

# line of the text -> whose it is, and where a finding is put
PLACES = {
    1: (("1.sql", 1), ("1.sql", 1)),
    3: (("lib.sql", 1), ("1.sql", 3)),
    5: (("deep.sql", 2), ("1.sql", 3)),
    7: (("lib.sql", 3), ("1.sql", 3)),
    9: (("1.sql", 4), ("1.sql", 4)),
}


@pytest.mark.parametrize(("line", "places"), PLACES.items())
def test_an_included_line_is_its_files_and_a_finding_is_put_where_it_is_included(
    line: int, places: tuple[tuple[str, int], tuple[str, int]]
) -> None:
    assert (place(INCLUDING.sources, INCLUDING.path, line), own_place(INCLUDING, line)) == places


def test_without_sources_all_lines_are_the_files_own() -> None:
    migration = Migration("1.sql", "1", "plain", "SELECT 1")

    assert own_place(migration, 7) == ("1.sql", 7)


@pytest.mark.parametrize(
    ("line", "put", "said"),
    [(1, ("1.sql", 1), "It fails"), (5, ("1.sql", 3), "It fails (in `deep.sql:2`)"), (None, ("1.sql", None), "It fails")],
)
def test_a_finding_names_the_included_place(line: int | None, put: tuple[str, int | None], said: str) -> None:
    finding = pointed(Finding("x", Severity.ERROR, "It fails", "1.sql", line), [INCLUDING])

    assert ((finding.path, finding.line), finding.message) == (put, said)


# what a rule finds in a group -> where it is put, and what it says
IN_A_GROUP = [
    (Finding("x", Severity.ERROR, "m", "2.sql", 1), ("1.sql", 1, "m")),
    (Finding("x", Severity.ERROR, "m", "2.sql", 4), ("2.sql", 2, "m")),
    (Finding("x", Severity.ERROR, "m", "2.expect.sql", 1), ("1.expect.sql", 1, "m")),
    (Finding("x", Severity.ERROR, "the lock of line 1 kept", "2.sql", 3), ("2.sql", 1, "the lock of `1.sql:1` kept")),
    (Finding("x", Severity.ERROR, "the lock of line 3 kept", "2.sql", 4), ("2.sql", 2, "the lock of line 1 kept")),
    (Finding("x", Severity.ERROR, "m", "other.sql", 1), ("other.sql", 1, "m")),
]


@pytest.mark.parametrize(("finding", "expected"), IN_A_GROUP)
def test_a_finding_points_to_the_file_of_a_group(finding: Finding, expected: tuple[str, int, str]) -> None:
    found = pointed(finding, [GROUP])

    assert (found.path, found.line, found.message) == expected


def test_every_line_of_a_rehearsal_is_told_with_its_file() -> None:
    error = SqlError("42601", "no", 4)
    rehearsal = Rehearsal(
        "2.sql", "2", "drizzle", Outcome.FAILED, Transaction.SINGLE, error=error,
        statements=(
            StatementResult(1, "a", 0.0, None, (HeldLock("t", "ShareLock"),)),
            StatementResult(4, "c", 0.0, None, None, error),
        ),
        lock_spans=(LockSpan("t", "ShareLock", 0.0, 1.0, 1),),
        expectations=(
            Expectation(1, "true", True, path="2.sql"),
            Expectation(3, "TABLE t", True, path="2.expect.sql"),
            Expectation(1, "TABLE u", True, path="2.expect.sql"),
        ),
        down=Down("2.sql", Outcome.FAILED, False, error=SqlError("42601", "no", 3)),
    )  # fmt: skip

    found = told(with_way_back_told(rehearsal, GROUP), GROUP)

    assert found.files == ("1.sql", "2.sql")
    assert found.error and (found.error.path, found.error.line) == (None, 2)
    assert [(s.path, s.line) for s in found.statements] == [("1.sql", 1), (None, 2)]
    assert [(s.path, s.line) for s in found.lock_spans] == [("1.sql", 1)]
    assert found.statements[1].error == found.error
    assert [(e.path, e.line) for e in found.expectations] == [("1.sql", 1), ("2.expect.sql", 1), ("1.expect.sql", 1)]
    assert found.down and found.down.error and (found.down.error.path, found.down.error.line) == ("1.sql", 5)


def test_texts_are_joined_so_that_none_runs_into_the_next() -> None:
    texts = ["SELECT 1 -- no end", "", "SELECT 2;\n", "SELECT 3"]

    text, sources = joined([(text, f"{n}.sql") for n, text in enumerate(texts)])

    assert text == "SELECT 1 -- no end\n;\n\n;\nSELECT 2;\n;\nSELECT 3"
    assert sources == (Source(1, "0.sql", 1), Source(3, "1.sql", 1), Source(5, "2.sql", 1), Source(7, "3.sql", 1))
