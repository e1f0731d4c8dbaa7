"""Inputs -> Settings; and the one list of inputs against action.yml, the README and the command line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.cli import _parser
from bot.errors import UsageError
from bot.journal.place import Place
from bot.layouts import LAYOUTS
from bot.production import Production
from bot.settings import CONFIGURABLE, INPUTS, Settings, action_configured, action_settings, configured, settings_from

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
ACTION_YML = (ROOT / "action.yml").read_text()
RUNNER = {
    "GITHUB_REPOSITORY": "o/r",
    "GITHUB_EVENT_NAME": "pull_request",
    "GITHUB_EVENT_PATH": "/event.json",
    "INPUT_TOKEN": "ghs_secret",
}


def test_nothing_given_and_empty_strings_are_the_defaults() -> None:
    assert settings_from({}) == settings_from({i.name: "" for i in INPUTS}) == Settings()


def test_every_input_is_understood() -> None:
    given = {
        "seed": " prod.dump ",
        "seed-sql": "extra.sql",
        "seed-folder": "/var/seeds",
        "layout": "flyway",
        "migrations": "db/a\n\n db/b \n",
        "placeholders": "schema=app\n\n flyway:user = a=b \nempty=\n",
        "clone-provider": "embedded",
        "fail-on": "Warning",
        "large-table-rows": "5_000",
        "max-reads-blocked-ms": "200",
        "max-writes-blocked-ms": "2000",
        "production-rows": "41_000_000",
        "time-limit": "0.5",
        "postgres-bin": "/opt/pg/bin",
        "show-row-data": "true",
        "rerun": "force",
        "journal-url": "postgresql://h/d",
        "journal-folder": "/var/journal",
        "journal-key": "k" * 64,
        "journal-failure": "continue",
    }

    assert settings_from(given) == Settings(
        seed="prod.dump",
        seed_sql="extra.sql",
        seed_folder="/var/seeds",
        layout="flyway",
        migrations=("db/a", "db/b"),
        placeholders={"schema": "app", "flyway:user": "a=b", "empty": ""},
        fail_on="warning",
        large_table_rows=5000,
        max_reads_blocked_ms=200.0,
        max_writes_blocked_ms=2000.0,
        production=Production(total=41_000_000),
        time_limit_s=30.0,
        postgres_bin="/opt/pg/bin",
        show_row_data=True,
        force=True,
        journal=Place(url="postgresql://h/d", folder="/var/journal", key="k" * 64, go_on=True, postgres_bin="/opt/pg/bin"),
    )


# input, wrong value -> a part of what is said
WRONG = [
    ("layout", "golang", "Did you mean 'golang-migrate'"),
    ("clone-provider", "embeded", "Did you mean 'embedded'"),
    ("clone-provider", "somewhere", "Choose one of: embedded"),
    ("fail-on", "all", "Choose one of: error, warning, never"),
    ("large-table-rows", "many", "Give a number greater than 0"),
    ("large-table-rows", "nan", "Give a number greater than 0"),
    ("max-reads-blocked-ms", "0", "Give a number greater than 0"),
    ("max-writes-blocked-ms", "soon", "Give a number greater than 0"),
    ("production-rows", "no/such/file.csv", "no number, and no file that can be read"),
    ("time-limit", "-1", "Give a number greater than 0"),
    ("show-row-data", "perhaps", "Say true or false"),
    ("rerun", "yes", "Choose one of: force."),
    ("journal-failure", "ignore", "Choose one of: stop, continue"),
]


@pytest.mark.parametrize(("name", "value", "said"), WRONG)
def test_a_wrong_value_is_named(name: str, value: str, said: str) -> None:
    with pytest.raises(UsageError) as wrong:
        settings_from({name: value})
    assert said in str(wrong.value)


# journal-url, journal-folder, journal-failure -> does it go on without
FAILURE = [
    ("", "", "", False),
    ("postgresql://h/d", "/j", "", False),
    ("postgresql://h/d", "", "continue", True),
    ("", "/j", "", True),
    ("", "/j", "stop", False),
]


@pytest.mark.parametrize(("url", "folder", "failure", "goes_on"), FAILURE)
def test_a_journal_that_nobody_asked_for_stops_no_check(url: str, folder: str, failure: str, goes_on: bool) -> None:
    given = {"journal-url": url, "journal-folder": folder, "journal-failure": failure}

    assert settings_from(given).journal.go_on is goes_on


FILE = b"""
check = "check-run"
comment = false
neutral-warnings = true
fail-on = "warning"

[large-tables]
"public.orders" = 1_000

[rules.reads-blocked]
error-factor = 2
"""


def test_what_a_team_says_of_how_it_is_told_holds_where_the_workflow_says_nothing() -> None:
    plain = action_settings(RUNNER | {"INPUT_CHECK": "status", "INPUT_COMMENT": "true"})  # as GitHub gives the defaults
    own = action_settings(RUNNER | {"INPUT_CHECK": "both", "INPUT_FAIL-ON": "never"})

    found, other = action_configured(plain, FILE), action_configured(own, FILE)

    assert (found.check, found.comment, found.settings.neutral_warnings) == ("check-run", False, True)
    assert (other.check, other.comment, other.settings.fail_on) == ("both", False, "never")


@pytest.mark.parametrize("text", ['check = "statsu"', "comment = 'perhaps'", "neutral-warnings = 3", "no TOML"])
def test_a_mistake_in_the_teams_file_is_told_in_both_ways(text: str) -> None:
    found = action_configured(action_settings(RUNNER), text.encode())

    assert found.wrong is not None and found.wrong.what.startswith(".migration-rehearsal.toml")
    assert found.check == "both"
    assert action_configured(action_settings(RUNNER | {"INPUT_CHECK": "check-run"}), text.encode()).check == "check-run"


def test_rows_of_production_in_the_teams_file_give_way_to_those_of_the_workflow(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("table,rows\npublic.orders,5000\n")

    assert configured({}, FILE).production == Production({"public.orders": 1000})
    assert configured({"production-rows": "77"}, FILE).production == Production({"public.orders": 1000}, 77)
    assert configured({"production-rows": str(tmp_path / "rows.csv")}, FILE).production == Production({"public.orders": 5000})
    assert configured({}, FILE).rule_options == {"reads-blocked": {"error-factor": 2.0}}


@pytest.mark.parametrize("name", CONFIGURABLE)
def test_each_key_that_is_an_input_is_looked_at(name: str) -> None:
    """What can be no value of the input is refused, with its line."""
    wrong = f'\n{name} = "pg_{{x}} \\u0000"'

    with pytest.raises(UsageError, match=r"^\.migration-rehearsal\.toml:2: "):
        configured({}, wrong.encode())


def test_every_secret_is_masked_as_it_stands_and_as_it_is_meant() -> None:
    journal = {
        "INPUT_JOURNAL-URL": "postgresql://u:p%40ss@h/d",
        "INPUT_JOURNAL-KEY": "first key 0123456789\nsecond key 0123456789",
    }
    broken = {"INPUT_JOURNAL-URL": "postgresql://u:p@[h"}

    assert action_settings(RUNNER | journal).secrets() == [
        "ghs_secret", "postgresql://u:p%40ss@h/d", "p%40ss", "p@ss", "first key 0123456789", "second key 0123456789",
    ]  # fmt: skip
    assert action_settings(RUNNER | broken).secrets() == ["ghs_secret", "postgresql://u:p@[h"]


def test_the_runners_environment() -> None:
    found = action_settings(
        RUNNER | {"INPUT_FAIL-ON": "warning", "INPUT_PULL-REQUEST": "12", "GITHUB_SERVER_URL": "https://h", "GITHUB_RUN_ID": "5"}
    )

    assert (found.settings.fail_on, found.pull_request, found.run_url) == ("warning", 12, "https://h/o/r/actions/runs/5")
    assert "ghs_secret" not in repr(found)


@pytest.mark.parametrize("name", ["journal-folder", "seed-folder"])
def test_a_folder_in_the_workspace_is_refused(name: str, tmp_path: Path) -> None:
    """A pull request's own files lie there."""
    places = {"inside": tmp_path / "work" / "kept", "outside": tmp_path / "kept"}
    found = {
        where: action_settings(RUNNER | {f"INPUT_{name.upper()}": str(folder), "GITHUB_WORKSPACE": str(tmp_path / "work")}).wrong
        for where, folder in places.items()
    }

    assert found["outside"] is None
    assert f"The input {name} is" in str(found["inside"])
    assert "lies in the workspace" in str(found["inside"])


@pytest.mark.parametrize("missing", ["INPUT_TOKEN", "GITHUB_EVENT_PATH", "GITHUB_EVENT_NAME", "GITHUB_REPOSITORY"])
def test_what_the_action_can_not_do_without(missing: str) -> None:
    with pytest.raises(UsageError):
        action_settings({key: value for key, value in RUNNER.items() if key != missing})


def test_action_yml_has_these_inputs_and_no_others() -> None:
    section = ACTION_YML.split("\ninputs:\n")[1].split("\noutputs:\n")[0]
    found = re.findall(
        r'^  ([a-z-]+):\n    description: "(.*)"\n    required: false\n    default: "(.*)"$', section, re.MULTILINE
    )

    assert found == [(i.name, i.help, i.default) for i in INPUTS]


def test_the_readmes_rows_are_of_inputs() -> None:
    section = README.split("\n## Inputs\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*?) \| (.*) \|$", section, re.MULTILINE)

    known = {(i.name, i.default and f"`{i.default}`", i.help) for i in INPUTS}
    assert len(rows) > 10
    assert [row for row in rows if row not in known] == []


def test_the_readme_names_every_output() -> None:
    outputs = re.findall(r"^  ([a-z]+):$", ACTION_YML.split("\noutputs:\n")[1].split("\nruns:\n")[0], re.MULTILINE)
    (line,) = [line for line in README.splitlines() if line.startswith("Outputs:")]

    assert re.findall(r"`([a-z]+)`", line) == outputs


def test_the_readme_names_every_layout() -> None:
    section = README.split("\n## Which files\n")[1].split("\n## ")[0]

    assert re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE) == [layout.name for layout in LAYOUTS]


def test_every_flag_is_an_option_of_rehearse() -> None:
    usage = _parser()._subparsers._group_actions[0].choices["rehearse"].format_help()  # type: ignore[union-attr,index]

    assert [i.flag for i in INPUTS if i.flag and i.flag not in usage] == []
