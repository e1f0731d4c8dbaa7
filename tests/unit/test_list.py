"""`migration-rehearsal list` on a disk: what a tool keeps beside a migration is found, whether a file or a folder is named."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from bot.cli import main
from tests.histories import HISTORIES


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(files: dict[str, str]) -> None:
    for path, text in files.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(["list", *arguments]) == 0
    return [line.split("  (")[0] for line in capsys.readouterr().out.splitlines() if "  (" in line]


@pytest.mark.parametrize("layout", HISTORIES)
def test_a_folder_is_listed_in_its_tools_order(layout: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(HISTORIES[layout].files)

    assert listed(capsys, ".") == [*HISTORIES[layout].migrations]


@pytest.mark.parametrize("layout", ["prisma", "sqitch", "drizzle", "diesel", "hasura", "atlas", "golang-migrate"])
def test_a_named_file_is_known_by_what_lies_beside_it(layout: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(HISTORIES[layout].files)
    last = [*HISTORIES[layout].migrations][-1]

    assert main(["list", last]) == 0
    said = capsys.readouterr().out

    assert said.startswith(f"{last}  (version ")
    assert f", {layout})" in said


def test_a_named_file_has_its_settings_and_its_plan_from_the_disk(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sqitch = HISTORIES["sqitch"].files
    subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
    write({path: text for path, text in sqitch.items() if not path.endswith("/x.sql")} | {"sqitch.plan": "z\ny\n"})
    subprocess.run(["git", "add", "."], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *author, "commit", "-qm", "base"], check=True)
    write(sqitch)

    assert main(["list", "deploy/x.sql", "--base", "main", "--format", "json"]) == 0
    said = capsys.readouterr().out

    assert said.index("deploy/x.sql") < said.index("deploy/z.sql") < said.index("deploy/y.sql")  # on these, in this order


def test_rails_is_no_empty_answer(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write({"db/migrate/20240101000000_a.rb": "class A < ActiveRecord::Migration[7.1]; end"})

    assert main(["list", "db/migrate"]) == 2
    assert "which can't be rehearsed" in capsys.readouterr().err


def test_a_named_file_includes_what_lies_in_its_repository(
    place: Path, tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path_factory.mktemp("outside") / "secret.sql"
    secret.write_text("SELECT 1;")
    subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
    write({"db/1_a.sql": "\\i lib/a.sql\n", "lib/a.sql": "SELECT 1;"})
    write({"db/2_b.sql": "\\i lib/link.sql\n", "other/3_c.sql": "\\copy t from 'lib/token'\n"})
    Path("lib/link.sql").symlink_to(secret)
    Path("lib/token").symlink_to("../.git/config")

    assert main(["list", "db/1_a.sql"]) == 0
    assert main(["list", str(Path("db/1_a.sql").absolute())]) == 0
    assert main(["list", "db/2_b.sql"]) == 2
    assert "lib/link.sql, which is no file of the repository" in capsys.readouterr().err
    assert main(["list", "other/3_c.sql"]) == 2
    assert "lib/token, which is no file of the repository" in capsys.readouterr().err


def test_what_the_base_includes_is_the_bases(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    subprocess.run(["git", "init", "-q", "-b", "main"], check=True)
    write({"db/1_a.sql": "\\i lib/a.sql\n", "lib/a.sql": "SELECT 1;"})
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "base"], check=True)
    write({"db/2_b.sql": "SELECT 2;", "lib/a.sql": "\\! touch here"})

    assert main(["list", "db/2_b.sql", "--base", "main"]) == 0
    assert main(["list", "db/2_b.sql"]) == 2
    assert "lib/a.sql:1: \\! is a command of psql" in capsys.readouterr().err


def test_values_are_given_by_name(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write({"db/V1__a.sql": "CREATE SCHEMA ${schema} AUTHORIZATION ${who};\n"})

    assert main(["list", "db/V1__a.sql", "--placeholder", "schema=app"]) == 2
    assert "the placeholder ${who} has no value" in capsys.readouterr().err
    assert main(["list", "db/V1__a.sql", "--placeholder", "schema=app", "--placeholder", "who=me"]) == 0
    assert main(["list", "db/V1__a.sql", "--placeholder", "secret-without-name"]) == 2
    assert "secret-without-name" not in capsys.readouterr().err


def test_a_missing_file_of_settings_is_told_as_such(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--config", "nosuch.toml", "."]) == 2

    assert capsys.readouterr().err.splitlines() == [
        "There is no file nosuch.toml, which --config names.",
        "→ Check its path, or leave --config out.",
    ]
