"""The action as a step on a runner: one repository with one pull request, the fake GitHub, a workspace."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bot.action import github_of, run_action
from bot.settings import action_settings
from tests.contract.crash_action import AtOnce
from tests.contract.fake_github import CheckRun, FakeGitHub, Pull, Repo
from tests.fix_postgres import POSTGRES_BIN

ROOT = Path(__file__).parents[1]

BOT = "github-actions[bot]"
SEED = """
CREATE TABLE orders (id int PRIMARY KEY, email text);
INSERT INTO orders SELECT n, nullif(n % 3, 0) FROM generate_series(1, 90) n;
"""
GOOD = {"db/migrations/1_total.sql": "ALTER TABLE orders ADD total int DEFAULT 0;\n"}
BAD = {"db/migrations/1_email.sql": "-- everybody has one\nALTER TABLE orders ALTER email SET NOT NULL;\n"}


@dataclass
class Action:
    """One repository with one pull request, and a workspace on a runner."""

    github: FakeGitHub
    repo: Repo
    base: str
    workspace: Path

    def open_pull(self, files: Mapping[str, str], **more: Any) -> Pull:
        head = self.repo.commit({**BASE_FILES, **files}, parent=self.base)
        return self.repo.open_pull(number=7, head_sha=head, **more)

    def push(self, files: Mapping[str, str]) -> Pull:
        head = self.repo.commit({**BASE_FILES, **files}, parent=self.repo.pulls[7].head_sha)
        return self.repo.push(7, head)

    def environment(self, event: Mapping[str, Any], name: str = "pull_request", sha: str = "", **inputs: str) -> dict[str, str]:
        """What the runner gives a step."""
        (self.workspace / "event.json").write_text(json.dumps(event))
        (self.workspace / "seed.sql").write_text(SEED)
        given = {"token": "t", "seed": "seed.sql", "postgres-bin": POSTGRES_BIN or ""} | {
            k.replace("_", "-"): v for k, v in inputs.items()
        }
        environment = {f"INPUT_{key.upper()}": value for key, value in given.items()}
        environment |= {
            "GITHUB_REPOSITORY": "octo/shop",
            "GITHUB_EVENT_NAME": name,
            "GITHUB_EVENT_PATH": str(self.workspace / "event.json"),
            "GITHUB_API_URL": self.github.url,
            "GITHUB_WORKSPACE": str(self.workspace),
            "GITHUB_SHA": sha,
            "GITHUB_OUTPUT": str(self.workspace / "output"),
            "GITHUB_STEP_SUMMARY": str(self.workspace / "summary"),
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_RUN_ID": "99",
        }
        return environment

    def run(self, event: Mapping[str, Any], name: str = "pull_request", sha: str = "", **inputs: str) -> tuple[int, str]:
        """Runs the action as a step; gives its exit status and its log."""
        out = io.StringIO()
        settings = action_settings(self.environment(event, name, sha, **inputs))
        return run_action(settings, make_github=github_of, out=out), out.getvalue()

    def run_pull(self, pull: Pull, **inputs: str) -> tuple[int, str]:
        return self.run(self.github.pull_request_event(self.repo, pull), **inputs)

    def process(
        self, pull: Pull, *crash: str, program: Sequence[str] = ("-m", "tests.contract.crash_action"), **inputs: str
    ) -> subprocess.Popen[str]:
        """The action as a process of its own, which kills itself at a named point of a step, if one is named."""
        environment = self.environment(self.github.pull_request_event(self.repo, pull), **inputs)
        own = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "INPUT_"))} | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            [sys.executable, *program, *crash],
            env=own | environment,
            cwd=self.workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def comments(self) -> list[str]:
        """Bodies of the bot's comments."""
        return [c.body for c in self.repo.comments_on(7) if c.author == BOT]

    def status(self, sha: str) -> tuple[str, str, str]:
        newest = self.repo.statuses_of(sha)[0]
        return (newest.context, newest.state, newest.description or "")

    def checks(self, sha: str) -> list[tuple[str, str | None, str | None]]:
        """State, conclusion and title of a commit's check runs, the oldest first."""
        return [(run.status, run.conclusion, run.title) for run in reversed(self.repo.check_runs_of(sha))]

    def check(self, sha: str) -> CheckRun:
        """The newest check run of a commit, which is the one that counts."""
        return self.repo.check_runs_of(sha)[0]

    def outputs(self) -> dict[str, str]:
        lines = (self.workspace / "output").read_text().splitlines()
        return {lines[n].split("<<")[0]: lines[n + 1] for n in range(0, len(lines), 3)}


BASE_FILES = {"README.md": "shop", "app.py": "pass"}


@pytest.fixture
def action(github: FakeGitHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Action:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("github.Github", AtOnce)
    repo = github.add_repo("octo/shop")
    base = repo.commit(BASE_FILES)
    repo.set_branch("main", base)
    return Action(github, repo, base, tmp_path)
