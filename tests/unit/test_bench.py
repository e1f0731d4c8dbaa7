"""What the bench makes of its samples: a wrong percentile, or a loop that measures in an unfair order, would be believed."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from bench.growing import of_linear, verdict
from bench.growth import statements_text
from bench.measure import Section, alternately, differences, expect, number, percentile, stats, table, times
from bench.results import with_section
from bot.sql import split
from docs import make_growth_plots as growth_plots
from docs.make_clone_plot import DATA, PLOT, _apart, plot

ROOT = Path(__file__).parents[2]
PUBLISHED = {
    "Growth": (growth_plots.GROWTH, growth_plots.GROWTH_PLOT, growth_plots.growth),
    "By hand": (growth_plots.BY_HAND, growth_plots.BY_HAND_PLOT, growth_plots.by_hand),
}
HUNDRED = [float(n) for n in range(100, 0, -1)]


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        (HUNDRED, 50, 50.0),
        (HUNDRED, 95, 95.0),
        (HUNDRED, 99, 99.0),
        (HUNDRED, 100, 100.0),
        (HUNDRED, 0, 1.0),
        ([3.0, 1.0, 2.0], 95, 3.0),
        ([7.0], 99, 7.0),
    ],
)
def test_a_percentile_is_a_sample(samples: list[float], percent: float, expected: float) -> None:
    assert percentile(samples, percent) == expected


def test_what_is_said_of_samples() -> None:
    said = stats([4.0, 1.0, 2.0, 3.0])

    assert (said.n, said.median, said.p95, said.least, said.most) == (4, 2.5, 4.0, 1.0, 4.0)


def test_each_work_is_done_once_a_round_and_all_begin_in_turn() -> None:
    did: list[str] = []

    alternately({name: lambda name=name: did.append(name) for name in "abc"}, rounds=3)  # type: ignore[misc]

    assert "".join(did) == "abc" + "bca" + "cab"


def test_what_was_measured_is_each_works_own_time_in_ms_without_the_warm_up() -> None:
    now = itertools.count()
    calls: list[int] = []

    taken = alternately({"a": lambda: calls.append(next(now)), "b": lambda: None}, 2, warm_up=1, clock=lambda: float(next(now)))

    assert taken == {"a": [2000.0, 2000.0], "b": [1000.0, 1000.0]}
    assert len(calls) == 3


def test_what_was_added_is_taken_round_by_round() -> None:
    assert differences([5.0, 9.0], [4.0, 4.0]) == [1.0, 5.0]
    with pytest.raises(ValueError, match="shorter"):
        differences([5.0, 9.0], [4.0])


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, "0"), (0.01234, "0.0123"), (1.234, "1.23"), (12.34, "12.3"), (123.4, "123"), (6543.2, "6543"), (-1.234, "-1.23")],
)
def test_three_digits_count(value: float, expected: str) -> None:
    assert number(value) == expected


def test_a_ratio_to_nothing_is_none() -> None:
    assert (times(3, 2), times(3, 0)) == ("1.50×", "–")


def test_a_table_is_aligned() -> None:
    assert table(("", "ms"), [("first", "1"), ("next", "1234")]) == (
        "         ms\n"
        "─────  ────\n"
        "first     1\n"
        "next   1234"
    )  # fmt: skip


def test_a_section_is_written_with_every_sample() -> None:
    section = Section("s", "Title", ("", "ms"), [("a", "2")], "ms", {"a": [1.0, 2.0, 3.00001]}, {"fsync": "on"})

    assert section.text().startswith("── Title ──\nfsync on\n")
    measured = section.plain()["measured"]["a"]
    assert measured["samples"] == [1.0, 2.0, 3.0]
    assert measured["stats"] == {"n": 3, "median": 2.0, "p95": 3.0, "p99": 3.0, "least": 1.0, "most": 3.0}


def test_what_was_not_measured_is_not_told() -> None:
    with pytest.raises(RuntimeError, match="a replay was fired"):
        expect(False, "a replay was fired")


def test_the_plot_is_that_of_the_numbers() -> None:
    assert PLOT.read_text() == plot(json.loads(DATA.read_text())), "PYTHONPATH=. python docs/make_clone_plot.py"


def test_the_numbers_of_the_plot_are_those_of_the_table() -> None:
    (section,) = json.loads(DATA.read_text())["sections"]
    results = (ROOT / "bench/RESULTS.md").read_text()

    for name, one in section["measured"].items():
        what = name.rpartition(", ")[0]
        (row,) = [line for line in results.splitlines() if line.startswith(f"{what}  ")]
        assert number(stats(one["samples"]).median / 1000) in row.split()


@pytest.mark.parametrize("wanted", [[100.0] * 12, [50.0, 60.0, 374.0, 374.0, 374.0], [44.0, 374.0], [374.0] * 20])
def test_labels_do_not_overlap_and_stay_in_the_picture(wanted: list[float]) -> None:
    heights = sorted(_apart({str(n): height for n, height in enumerate(wanted)}).values())

    assert all(later - earlier > 15.9 for earlier, later in itertools.pairwise(heights))
    assert heights[-1] <= 374.1


@pytest.mark.parametrize("title", PUBLISHED)
def test_a_plot_is_that_of_its_numbers(title: str) -> None:
    data, made, plotted = PUBLISHED[title]

    assert made.read_text() == plotted(json.loads(data.read_text())), "PYTHONPATH=. python docs/make_growth_plots.py"


@pytest.mark.parametrize("title", PUBLISHED)
def test_a_section_of_the_results_is_that_of_its_numbers(title: str) -> None:
    """Every median of a table of milliseconds or megabytes is in the section, and the machine it was measured on."""
    bench = json.loads(PUBLISHED[title][0].read_text())
    (told,) = [part for part in (ROOT / "bench/RESULTS.md").read_text().split("\n## ") if part.startswith(f"{title}\n")]
    words = set(told.split())

    assert not bench["quick"]
    assert all(value in told for value in bench["facts"].values())
    for section in bench["sections"]:
        in_seconds = section["name"] == "by_hand"
        for name, one in section["measured"].items():
            median = stats(one["samples"]).median
            assert len(one["samples"]) >= 5
            assert number(median / 1000 if in_seconds else median) in words, name


def test_growth_is_told_beside_that_of_the_size() -> None:
    assert of_linear({1: 5.0, 10: 50.0, 100: 1000.0}) == {1: "–", 10: "1.00", 100: "2.00"}


@pytest.mark.parametrize(
    ("value", "said"), [(0.1, "0.100 s. The goal: below 0.15 s; met."), (0.2, "0.200 s. The goal: below 0.15 s; not met.")]
)
def test_a_goal_is_met_or_not(value: float, said: str) -> None:
    assert verdict(value, 0.15, "s") == said


@pytest.mark.parametrize("statements", [1, 10, 1000])
def test_a_file_has_as_many_statements_as_is_said(statements: int) -> None:
    assert len(split(statements_text(statements)).statements) == statements


def test_a_section_takes_the_place_of_the_one_before_it() -> None:
    page = "# Results\n\n## A\n\nold\n\n## B\n\nstays\n"

    assert with_section(page, "A", "## A\n\nnew\n") == "# Results\n\n## A\n\nnew\n\n## B\n\nstays\n"
    assert with_section(page, "C", "## C\n\nmore\n") == page + "\n## C\n\nmore\n"
