"""Whatever goes wrong, nothing secret is in anything that anybody can read: log, comment, status, summary, outputs, report."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fix_action import GOOD, ROOT, Action
from tests.hostile.fuzzing import HANG_S

ROW = "rowvalue@example.org"
# Where a secret is planted: input or variable -> its value, each with a word of its own.
PLANTED = {
    "INPUT_TOKEN": "ghs_plantedtoken",
    "INPUT_JOURNAL-URL": "postgresql://u:plantedpassword@plantedpassword@127.0.0.1:9/d",
    "INPUT_JOURNAL-KEY": "plantedkey" * 8,
    "DATABASE_PASSWORD": "plantedvariable",
}
WORDS = ("plantedtoken", "plantedpassword", "plantedkey", "plantedvariable", "plantedsignature", "rowvalue")
SEED = f"CREATE TABLE orders (id int PRIMARY KEY, email text);\nINSERT INTO orders VALUES (1, '{ROW}'), (2, '{ROW}');\n"
FAILS = {"db/migrations/1_int.sql": "ALTER TABLE orders ALTER email TYPE int USING email::int;\n"}


def without_journal(environment: dict[str, str]) -> None:
    del environment["INPUT_JOURNAL-URL"]


def bad_event(environment: dict[str, str]) -> None:
    Path(environment["GITHUB_EVENT_PATH"]).write_text(json.dumps({"pull_request": {"head": "plantedtoken"}}))


def unknown_token(environment: dict[str, str]) -> None:
    without_journal(environment)
    environment["INPUT_TOKEN"] = "ghs_plantedtoken2"


def seed_of(url: str) -> Callable[[dict[str, str]], None]:
    def change(environment: dict[str, str]) -> None:
        without_journal(environment)
        environment["INPUT_SEED"] = url

    return change


def seed_text(text: str) -> Callable[[dict[str, str]], None]:
    def change(environment: dict[str, str]) -> None:
        without_journal(environment)
        Path(environment["GITHUB_WORKSPACE"], "seed.sql").write_text(text)

    return change


def nothing_to_say(environment: dict[str, str]) -> None:
    """Leaves all as it is: the journal's URL can't be read."""


# what goes wrong -> how, the files of the pull request, the exit status, and a part of what is said
RUNS: dict[str, tuple[Callable[[dict[str, str]], None], dict[str, str], int, str]] = {
    "the event": (bad_event, GOOD, 2, "lacks what GitHub puts there"),
    "the token": (unknown_token, GOOD, 3, "GitHub answered 401"),
    "the journal": (nothing_to_say, GOOD, 2, "The journal's URL can't be read"),
    "the seed's scheme": (seed_of("http://u:plantedpassword@127.0.0.1:9/x?sig=plantedsignature"), GOOD, 2, "over http"),
    "the seed's host": (seed_of("https://u:plantedpassword@127.0.0.1:9/x?sig=plantedsignature"), GOOD, 3, "from 127.0.0.1"),
    "the seed's URL": (seed_of("https://u:plantedpassword@[/x?sig=plantedsignature"), GOOD, 2, "can't be read"),
    "a dump of rows": (seed_text(SEED + f"INSERT INTO orders VALUES ('{ROW}', 3);\n"), GOOD, 3, "invalid input syntax"),
    "a dump that is cut": (seed_text(SEED + f"INSERT INTO orders VALUES (3, '{ROW}"), GOOD, 3, "unterminated quoted"),
    "a dump that runs programs": (seed_text(SEED + f"\\! echo {ROW} $DATABASE_PASSWORD\n"), GOOD, 3, "is a command of psql"),
    "the migration": (seed_text(SEED), FAILS, 1, "invalid input syntax"),
}


@pytest.mark.parametrize(("change", "files", "expected", "said"), RUNS.values(), ids=RUNS.keys())
def test_nothing_secret_is_said(
    action: Action, change: Callable[[dict[str, str]], None], files: dict[str, str], expected: int, said: str
) -> None:
    action.github.tokens["ghs_plantedtoken"] = action.github.tokens["t"]
    pull = action.open_pull(files)
    environment = action.environment(action.github.pull_request_event(action.repo, pull)) | PLANTED
    environment["HOME"] = str(action.workspace.parent)
    change(environment)

    done = subprocess.run(
        [sys.executable, str(ROOT / "entrypoint.py")],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT), **environment},
        cwd=action.workspace,
        capture_output=True,
        text=True,
        timeout=10 * HANG_S,
        check=False,
    )

    log = "\n".join(line for line in done.stdout.splitlines() if not line.startswith("::add-mask::"))
    assert (done.returncode, said in log) == (expected, True), done.stdout + done.stderr
    assert "Traceback" not in log + done.stderr
    everything = {"log": log, "stderr": done.stderr, **written(action)}
    assert {(where, word) for where, text in everything.items() for word in WORDS if word in text} == set()


def test_a_journal_that_does_not_answer(action: Action, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.journal.opening.PATIENCE_S", 0.2)
    url = "postgresql://u:plantedpassword@127.0.0.1:9/d"

    status, log = action.run_pull(action.open_pull(GOOD), journal_url=url, journal_key=PLANTED["INPUT_JOURNAL-KEY"])

    assert (status, "does not answer" in log) == (3, True)
    everything = {"log": log, **written(action)}
    assert {(where, word) for where, text in everything.items() for word in WORDS if word in text} == set()


def written(action: Action) -> dict[str, Any]:
    """All that a run leaves: its files, and what it told GitHub."""
    files = {name: action.workspace / name for name in ("output", "summary", "migration-rehearsal.json")}
    found = {name: path.read_text() for name, path in files.items() if path.exists()}
    told = [str(statuses) for statuses in (action.repo.statuses_of(pull.head_sha) for pull in action.repo.pulls.values())]
    return found | {"comments": "\n".join(action.comments()), "statuses": "\n".join(told)}


def test_what_is_planted_would_be_found(action: Action) -> None:
    """The migration's own text is shown: so a word in it is in all that is written."""
    named = {"db/migrations/1_a.sql": "ALTER TABLE orders ADD rowvalue int NOT NULL;\n"}
    action.run_pull(action.open_pull(named))

    found = {name for name, text in written(action).items() if "rowvalue" in text}
    assert found >= {"summary", "comments", "migration-rehearsal.json"}
