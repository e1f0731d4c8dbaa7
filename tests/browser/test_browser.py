"""What people see, in a browser: tables are tables, folds fold, charts are drawn, nothing sticks out, and nothing is fetched.

One browser looks once at one page of all golden comments, and at each exported page; the tests say what it must have seen.
Skipped where there is no Chromium; the charts also where Mermaid can't be fetched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot import report as rendering
from bot.exports.page import page
from bot.timeline import lanes
from bot.words import relation
from tests.browser import chromium
from tests.browser.comments import ALLOWED, Filter, page_of, rendered
from tests.browser.mermaid import NotAtHand, mermaid_script
from tests.golden.make import kept

REPORTS = kept()
COMMENTS = {name: rendered(rendering.comment(report)) for name, report in REPORTS.items()}
each = pytest.mark.parametrize("name", REPORTS)
WIDTHS = {"beside the pull request": 732, "on a telephone": 390}
LOOK = Path(__file__).with_name("look.js").read_text(encoding="utf-8")

# Everything that must not be, to see that it would be seen.
UNFIT = Filter("")
UNFIT.parts = [
    "<p style='width: 3000px'>wide</p><script></script><img alt=''><details open><summary>s</summary>bare</details>",
    "<table><tr><td>1</td><td>2</td></tr><tr><td>1</td></tr></table>",
]
UNFIT_PAGE = (
    '<!doctype html><title>x</title><img src="http://tracker.example/x.png"><script>nowhere()</script>'
    '<p style="width: 3000px">wide</p>'
)


@pytest.fixture(scope="module")
def tab() -> Iterator[chromium.Tab]:
    program = chromium.found()
    if program is None:
        pytest.skip(f"there is no browser: none of {', '.join(chromium.NAMES)} is on the PATH")
    with chromium.started(program) as browser:
        yield browser.tab()


@pytest.fixture(scope="module")
def seen(tab: chromium.Tab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the browser saw of each comment. `sticks_out`: at each width."""
    file = tmp_path_factory.mktemp("comments") / "all.html"
    file.write_text(page_of({**COMMENTS, "unfit": UNFIT}), encoding="utf-8")
    tab.open(file)
    found: dict[str, Any] = {}
    for name, width in WIDTHS.items():
        tab.look(width=width)
        found = found or tab.run(f"{LOOK}.all()")  # which opens all folds
        for comment, told in tab.run(f"{LOOK}.sticksOut()").items():
            found[comment].setdefault("sticks_out", {})[name] = told
    return found


@each
def test_tables_are_tables(seen: dict[str, Any], name: str) -> None:
    for table in seen[name]["tables"]:
        assert len(set(table["cells"])) == 1 and table["cells"][0] > 1, table
        assert table["shown"] and table["rows_shown"], table


@each
def test_folds_fold(seen: dict[str, Any], name: str) -> None:
    """Closed at first, with nothing of them to be seen; a click opens them, and all that is in them is there."""
    for fold in seen[name]["folds"]:
        assert fold == {"name": fold["name"], "closed": True, "opens": True, "bare": False}


def test_there_are_tables_and_folds(seen: dict[str, Any]) -> None:
    counted = {
        name: (len(seen[name]["tables"]), len(seen[name]["folds"])) for name in ("green-one", "warnings", "nothing", "error")
    }

    assert counted == {"green-one": (5, 5), "warnings": (7, 5), "nothing": (0, 0), "error": (0, 0)}


def test_two_lines_while_all_is_well(seen: dict[str, Any]) -> None:
    assert seen["green-one"]["lines"] == [
        "✅ 1 migration rehearsed: nothing breaks, nobody waits longer than 10 ms",
        "Rehearsed abcdef0 from db/ on a clone of the seed (25,000 rows, 9.5 MB, PostgreSQL 18.1), as postgres.",
        "Details",
    ]


@each
def test_nothing_foreign_is_in_it(seen: dict[str, Any], name: str) -> None:
    """The only link is ours."""
    assert seen[name]["tags"] and set(seen[name]["tags"]) <= ALLOWED.keys()
    assert set(seen[name]["links"]) <= {"https://github.com/octo/shop/actions/runs/99"}


@each
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out(seen: dict[str, Any], name: str, width: str) -> None:
    assert seen[name]["sticks_out"][width] == []


def test_what_is_wrong_would_be_seen(seen: dict[str, Any]) -> None:
    unfit = seen["unfit"]

    assert [table["cells"] for table in unfit["tables"]] == [[2, 1]]
    assert [(fold["closed"], fold["bare"]) for fold in unfit["folds"]] == [(False, True)]
    assert {"script", "img"} <= set(unfit["tags"])
    assert all(told and told[0].startswith("P: wide") for told in unfit["sticks_out"].values())


@pytest.fixture(scope="module")
def drawn(tab: chromium.Tab, seen: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """What Mermaid makes of each comment's charts."""
    try:
        script = mermaid_script()
    except NotAtHand as why:
        pytest.skip(str(why))
    file = tmp_path_factory.mktemp("charts") / "charts.html"
    file.write_text(page_of({}, script.as_uri()), encoding="utf-8")
    tab.look(width=WIDTHS["beside the pull request"])
    tab.open(file)
    tab.run("mermaid.initialize({startOnLoad: false, securityLevel: 'strict'})")
    sources = {name: told["charts"] for name, told in seen.items()} | {
        "unfit": ["gantt\nsection x\na task without an end :crit, :::"]
    }
    return {name: tab.run(f"{LOOK}.charts({json.dumps(charts)})") for name, charts in sources.items()}


@each
def test_mermaid_draws_each_chart(drawn: dict[str, Any], seen: dict[str, Any], name: str) -> None:
    """One for each migration that others waited for, with a bar for each wait and the name of each relation."""
    with_waits = [there for m in REPORTS[name].migrations if (there := lanes(m))]

    assert len(drawn[name]) == len(with_waits)
    for chart, there in zip(drawn[name], with_waits, strict=True):
        assert (chart["fault"], chart["shown"]) == (None, True)
        assert chart["tasks"] == sum(len(lane.waits) for lane in there)
        assert {relation(lane.relation) for lane in there} <= set(chart["texts"])


def test_there_are_charts_and_a_bad_one_is_told(drawn: dict[str, Any]) -> None:
    assert [name for name, charts in drawn.items() if charts] == ["warnings", "lock-limit", "many-statements", "unfit"]
    assert drawn["unfit"][0]["fault"]


# ── The page of `--format html` ──────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Opened:
    """An exported page in the browser: what it asked for besides itself, what it complained of, and what is to be seen."""

    requests: list[str]
    complaints: list[str]
    lines: list[str]
    charts: list[dict[str, Any]]
    tables: int
    too_wide_at: list[int]


PAGE = """(() => {
  document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
  const box = (element) => element.getBoundingClientRect();
  return {
    lines: document.body.innerText.split("\\n"),
    tables: [...document.querySelectorAll("table")].filter((table) => box(table).height > 0).length,
    charts: [...document.querySelectorAll("svg")].map((svg) => ({
      shown: svg.checkVisibility() && box(svg).height > 0,
      bars: [...svg.querySelectorAll("rect")].filter((bar) => box(bar).width > 0).length,
      outside: [...svg.querySelectorAll("text, rect")].filter((part) => box(part).right > box(svg).right + 1)
        .map((part) => part.textContent),
    })),
  };
})()"""


@pytest.fixture(scope="module")
def opened(tab: chromium.Tab, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Opened]:
    """Each report's page, as the browser has it."""
    folder = tmp_path_factory.mktemp("pages")
    pages = {name: page(report) for name, report in REPORTS.items()} | {"unfit": UNFIT_PAGE}
    found = {}
    for name, text in pages.items():
        file = folder / f"{name}.html"
        file.write_text(text, encoding="utf-8")
        tab.open(file)
        told = tab.run(PAGE)
        too_wide = []
        for width in (1200, 390):
            tab.look(width=width)
            too_wide += [width] if tab.run("document.documentElement.scrollWidth > window.innerWidth") else []
        others = [url for url in tab.requests if url != file.as_uri()]
        found[name] = Opened(others, [*tab.complaints], **told, too_wide_at=too_wide)
    return found


@each
def test_a_page_opens_without_a_word_and_asks_for_nothing(opened: dict[str, Opened], name: str) -> None:
    assert (opened[name].requests, opened[name].complaints) == ([], [])


@each
def test_a_page_shows_all(opened: dict[str, Opened], seen: dict[str, Any], name: str) -> None:
    """The first line of the comment, and no fewer tables; charts are drawn, within their frames."""
    report, told = REPORTS[name], opened[name]
    with_waits = [there for m in report.migrations if (there := lanes(m))]

    assert told.lines[0] == seen[name]["lines"][0]
    assert told.tables >= len(seen[name]["tables"]) and told.too_wide_at == []
    assert told.charts == [{"shown": True, "bars": sum(len(lane.waits) for lane in there), "outside": []} for there in with_waits]


def test_what_a_page_does_would_be_seen(opened: dict[str, Opened]) -> None:
    assert opened["unfit"].requests == ["http://tracker.example/x.png"]
    assert opened["unfit"].too_wide_at == [1200, 390]
    assert any("nowhere" in told or "Uncaught" in told for told in opened["unfit"].complaints)
