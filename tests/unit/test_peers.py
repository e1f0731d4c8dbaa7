"""What other tools say of the labelled files is judged by the same rules for all, and the tables are what was judged."""

from __future__ import annotations

import json
import tomllib

import pytest

from bench.labels import KINDS, cases
from bench.peer_table import BEGIN, END, replaced, tables, unknown_rules, verdict
from bench.peers import JSON, MAPPING, RESULTS
from docs.make_peers_plot import PLOT, plot

BENCH = json.loads(JSON.read_text())
KINDS_OF_RULES = tomllib.loads(MAPPING.read_text())
RULES = {"drops": ["rows-lost"], "locks": ["blocks", "fails"], "style": []}


@pytest.mark.parametrize(
    ("harm", "said", "expected"),
    [
        (["rows-lost"], [("drops", True)], "hit"),
        (["guard", "fails"], [("locks", True)], "hit"),
        (["blocks"], [("drops", True)], "miss"),
        (["blocks"], [("style", True)], "miss"),
        (["blocks"], [("locks", False)], "miss"),
        (["blocks"], [], "miss"),
        ([], [("drops", True)], "false alarm"),
        ([], [("drops", False), ("unheard of", False)], "quiet"),
        ([], [("style", True)], "quiet"),
        ([], [], "quiet"),
    ],
)
def test_an_alarm_counts_for_the_harm_that_it_tells_of(harm: list[str], said: list[tuple[str, bool]], expected: str) -> None:
    assert verdict(harm, said, RULES) == expected


def test_a_rule_that_the_mapping_lacks_is_named() -> None:
    said = {"tool": {"case": {"said": [("drops", True), ("new", True), ("newer", False)]}}}
    assert unknown_rules(said, {"tool": RULES}) == ["tool: new"]


def test_only_what_is_between_the_marks_is_made_anew() -> None:
    assert replaced(f"above\n{BEGIN}old{END}\nbelow", f"{BEGIN}new{END}") == f"above\n{BEGIN}new{END}\nbelow"


def test_the_mapping_names_kinds_of_harm_that_there_are() -> None:
    assert {kind for rules in KINDS_OF_RULES.values() for kinds in rules.values() for kind in kinds} <= set(KINDS)


def test_the_results_are_of_these_files() -> None:
    assert {name: case["harm"] for name, case in BENCH["cases"].items()} == {case.name: list(case.harm) for case in cases()}


@pytest.mark.parametrize("tool", BENCH["verdicts"])
def test_each_verdict_follows_from_what_was_said(tool: str) -> None:
    for name, one in BENCH["verdicts"][tool].items():
        assert one["verdict"] == verdict(BENCH["cases"][name]["harm"], one["said"], KINDS_OF_RULES[tool]), name


def test_the_table_is_that_of_the_json() -> None:
    assert tables(BENCH) in RESULTS.read_text()


def test_the_picture_is_that_of_the_json() -> None:
    assert PLOT.read_text() == plot(BENCH)
