"""The documentation against the code: pages of rules, commands, exit statuses, the schema; links that lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest

from bot.cli import _parser
from bot.clones.services import Kind, kinds
from bot.configuration import read_configuration
from bot.errors import UsageError
from bot.layouts import LAYOUTS, Layout, Part
from bot.rules import RULES, Rule, settable
from bot.settings import CONFIGURABLE, INPUTS, configured
from docs.make_configuration import PAGE as CONFIGURATION_PAGE
from docs.make_configuration import page as configuration_page
from docs.make_hostile import PAGE as HOSTILE
from docs.make_hostile import page as hostile_page
from docs.make_rules import INDEX, PAGES, index, page
from docs.make_schema import TARGET, schema_text

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rules_page_is_what_the_rule_says(rule: Rule) -> None:
    assert (PAGES / f"{rule.id}.md").read_text() == page(rule)


def test_there_is_no_page_without_a_rule() -> None:
    assert {path.stem for path in PAGES.iterdir() if path != INDEX} == {rule.id for rule in RULES}


def test_the_table_of_rules_is_what_the_rules_say() -> None:
    assert INDEX.read_text() == index()
    assert "(docs/rules/README.md)" in README


def test_the_page_of_hostile_migrations_is_what_the_tests_run() -> None:
    assert HOSTILE.read_text() == hostile_page()


def test_the_schema_on_disk_is_the_models() -> None:
    assert TARGET.read_text() == schema_text()


def test_the_readme_names_every_command_and_no_other() -> None:
    commands = set(_parser()._subparsers._group_actions[0].choices)  # type: ignore[union-attr,arg-type]

    assert set(re.findall(r"^migration-rehearsal (\w+)", README, re.MULTILINE)) == commands


def test_the_sidecars_page_names_options_that_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["sidecar", "--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    named = set(re.findall(r"`(--[a-z-]+)", (ROOT / "docs" / "sidecar.md").read_text()))

    assert named - options == set()


def test_the_journals_page_names_the_columns_that_there_are() -> None:
    made = (ROOT / "bot" / "journal" / "journal_1.sql").read_text()
    page_text = (ROOT / "docs" / "journal.md").read_text()
    table = page_text[page_text.index("| `journal` |") :].splitlines()[0]

    assert [name for name in re.findall(r"`(\w+)`", table) if not re.search(rf"^    {name} ", made, re.MULTILINE)] == ["journal"]


def test_the_readme_tells_every_exit_status() -> None:
    assert re.findall(r"^\| (\d) \|", README, re.MULTILINE) == ["0", "1", "2", "3"]


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "docs/journal.md",
        "docs/sidecar.md",
        "docs/container.md",
        "docs/production-rows.md",
        "docs/configuration.md",
        "docs/forks.md",
        "docs/command.md",
        "docs/layouts.md",
        "docs/rules/README.md",
        *(f"docs/clones/{name}.md" for name in kinds()),
    ],
)
def test_links_inside_the_repository_lead_somewhere(name: str) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", (ROOT / name).read_text())

    assert [target for target in targets if not ((ROOT / name).parent / target).exists()] == []


# ── Services ─────────────────────────────────────────────────────────────────────────────────────────────────────────────

CLONES = ROOT / "docs" / "clones"


def test_each_service_has_a_page_and_each_page_a_service() -> None:
    assert {page.stem for page in CLONES.iterdir()} == {*kinds()}


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_a_services_page_names_its_options_and_shows_the_inputs_that_it_needs(kind: Kind) -> None:
    text = (CLONES / f"{kind.name}.md").read_text()
    example = text.partition("```yaml\n")[2].partition("```")[0]
    rows = re.findall(r"^\| `([a-z]+)` \|", text, re.MULTILINE)

    assert rows == ([option.name for option in kind.options] if rows else [])
    assert [option.name for option in kind.options if f"`{option.name}" not in text and f" {option.name}=" not in text] == []
    assert f"clone-provider: {kind.name}\n" in example
    assert [option.name for option in kind.options if option.needed and f"{option.name}=" not in example] == []
    assert ("clone-url:" in example) >= bool(kind.needs_url)
    assert ("clone-token:" in example) >= bool(kind.needs_token)
    assert ("seed:" in example) is kind.empty


# ── Layouts ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

LAYOUT_ROWS = {
    cells[0].strip("` "): cells
    for line in (ROOT / "docs" / "layouts.md").read_text().splitlines()
    if len(cells := line.strip("|").split("|")) == 6 and cells[0].startswith(" `")
}


def test_the_page_of_layouts_has_a_row_for_each() -> None:
    assert [*LAYOUT_ROWS] == [layout.name for layout in LAYOUTS]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layouts_row_is_what_it_does(layout: Layout) -> None:
    _name, files, _order, back, history, not_run = LAYOUT_ROWS[layout.name]

    def parts(cell: str) -> set[Part | None]:
        names = [layout.parse(PurePosixPath(name)) for name in re.findall(r"`([\w./-]+\.\w+)`", cell)]
        return {name.part if name else None for name in names}

    assert parts(files) <= {Part.UP, Part.REPEATABLE}
    assert bool(parts(files)) is (layout.refused is None)
    assert parts(back) <= {Part.DOWN}
    assert not parts(not_run) & {Part.UP, Part.REPEATABLE, Part.DOWN}
    assert (f"`{layout.history.table}`" if layout.history else "–") == history.strip()
    assert (f"`{layout.index.file}`" if layout.index else "") in _order


def test_the_page_tells_of_each_history_table_and_its_checksum() -> None:
    text = (ROOT / "docs" / "layouts.md").read_text().partition("| layout | was run |")[2].partition("\n\n")[0]
    cells = [line.strip("|").split("|") for line in text.splitlines()[2:]]
    checksums = {name: row[2].strip() for row in cells for name in re.findall(r"`([\w-]+)`", row[0])}
    kept = {layout.name: layout.history.checksum for layout in LAYOUTS if layout.history and not layout.refused}

    assert checksums.keys() == kept.keys()
    assert {name for name, said in checksums.items() if re.match("SHA|CRC", said)} == {name for name in kept if kept[name]}


def test_what_the_page_says_of_old_versions_is_what_findings_say() -> None:
    text = (ROOT / "docs" / "layouts.md").read_text()
    never, refuse = re.search(r"with what the tool does then: (.*) never run it, without a word; (.*) refuse;", text).groups()  # type: ignore[union-attr]

    def tools(listed: str) -> set[str]:
        return set(re.split(r", | and ", listed))

    assert tools(never) == {layout.tool for layout in LAYOUTS if "never" in layout.late}
    assert tools(refuse) == {layout.tool for layout in LAYOUTS if "has that one refuses" in layout.late}


# ── What can be set ──────────────────────────────────────────────────────────────────────────────────────────────────────

CONFIGURATION = CONFIGURATION_PAGE.read_text()
HEAD, *SETTABLE = [
    line.removeprefix("| ").removesuffix(" |").split(" | ")
    for line in CONFIGURATION.partition("made by")[2].splitlines()
    if line.startswith("| ")
]


def column(title: str) -> list[str]:
    """What stands in a column of the table, without what is empty."""
    return [cell for row in SETTABLE if (cell := row[HEAD.index(title)].strip("`"))]


def test_the_table_of_all_that_can_be_set_is_what_the_code_says() -> None:
    assert configuration_page(CONFIGURATION) == CONFIGURATION


def test_the_table_has_each_input_of_the_action() -> None:
    inputs = re.findall(r"^  ([a-z-]+):$", (ROOT / "action.yml").read_text().split("\noutputs:\n")[0], re.MULTILINE)
    rows = {row[0].strip("`"): row for row in SETTABLE if row[HEAD.index("input")] == "yes"}

    assert [*rows] == inputs
    for one in INPUTS:
        assert {one.help, f"`{one.default}`" if one.default and "$" not in one.default else ""} <= {*rows[one.name], ""}


def test_the_table_has_each_option_of_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["rehearse", "--help"])
    there = set(re.findall(r"^  (--[a-z-]+)", capsys.readouterr().out, re.MULTILINE)) - {"--help"}

    assert {option.split()[0] for option in column("option")} == there


def test_the_table_has_each_variable_that_the_command_line_reads() -> None:
    assert column("`MIGRATION_REHEARSAL_…`") == [i.name.upper().replace("-", "_") for i in INPUTS if i.flag or i.variable]


def test_what_the_table_says_of_the_file_is_read_from_it() -> None:
    keys = column("in the file")
    written = [key.replace("] ", "]\n") for key in keys]
    options = [f"[rules.{rule.id}] {option.name}" for rule in RULES for option in rule.options]

    assert [key for key in keys if not key.startswith("[")] == [*CONFIGURABLE, "ignored-paths"]
    assert [key for key in keys if key.startswith("[rules.")] == options
    for text in written:  # a value that none can have: it is known, and looked at
        line = text.replace("<rule>", "table-rewritten").replace("<in words>", "words") + " = [[]]"
        with pytest.raises(UsageError, match=r"is no list|is \[\[\]\], and n|is not one query|is no table with"):
            read_configuration(line.encode(), CONFIGURABLE, settable())


def test_the_example_of_a_teams_file_is_understood() -> None:
    example = CONFIGURATION.partition("```toml\n")[2].partition("```")[0]

    found = configured({}, example.encode())

    assert found.severities["foreign-key-without-index"] is None
    assert found.rule_options["no-lock-timeout"] == {"large-table-rows": 1000, "max-ms": 10_000}
    assert found.sizes.large == {"public.sessions": True, "public.countries": False}
    assert found.production.rows == {"public.events": 41_200_000}
    assert [(one.name, one.is_query) for one in found.expectations] == [
        ("every order has a customer", True),
        ("there is one set of settings", False),
    ]
