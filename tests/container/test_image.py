"""The image as GitHub's runner starts it, on pull requests of a fake GitHub; and what is in it, and what must not be."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.contract.fake_github import BOT, Access, FakeGitHub, Pull, Repo

if TYPE_CHECKING:
    from tests.container.conftest import Image, Ran, Runner

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "ghs_thetokenofthisworkflow"
READ_ONLY = "ghs_thetokenofafork"
MARKER = "<!-- migration-rehearsal -->"

# Ten customers, three of them without an address.
TABLE = "CREATE TABLE customers (id bigint PRIMARY KEY, email text);\n"
ROWS = "INSERT INTO customers SELECT n, CASE WHEN n > 3 THEN 'c' || n || '@example.org' END FROM generate_series(1, 10) AS n;\n"
BASE = {"migrations/1.sql": TABLE, "seed.sql": TABLE + ROWS, "rows.sql": ROWS}
GOOD = {"migrations/2.sql": "ALTER TABLE customers ADD COLUMN phone text;\n"}
BAD = {"migrations/2.sql": "ALTER TABLE customers\n  ALTER COLUMN email SET NOT NULL;\n"}


@dataclass(frozen=True)
class Shop:
    """octo/shop on the fake GitHub, and the action on its pull request 7."""

    github: FakeGitHub
    repo: Repo
    runner: Runner
    checkout: Callable[[Mapping[str, str]], Path]

    def open_pull(self, added: Mapping[str, str], *, head_repo: str | None = None) -> Pull:
        """Opens pull request 7, which adds files to the base branch's."""
        return self.repo.open_pull(number=7, head_sha=self._head(added), head_repo=head_repo)

    def push(self, added: Mapping[str, str]) -> Pull:
        """Replaces what the pull request adds."""
        return self.repo.push(7, self._head(added))

    def rehearse(
        self, pull: Pull, *, token: str = TOKEN, env: Mapping[str, str] | None = None, home: Path | None = None, **inputs: str
    ) -> Ran:
        """Runs the action on the pull request; the input `fail-on` is given as `fail_on`."""
        tree = self.repo.objects.flat(self.repo.objects.commits[pull.head_sha].tree)
        files = {path: self.repo.objects.blobs[entry.sha].decode() for path, entry in tree.items()}
        return self.runner.run(
            self.github.pull_request_event(self.repo, pull),
            self.checkout(files),
            api_url=self.github.url,
            token=token,
            sha=pull.head_sha,
            inputs={name.replace("_", "-"): value for name, value in {"seed": "seed.sql", **inputs}.items()},
            env=env,
            home=home,
        )

    def comments(self) -> list[str]:
        """The texts of the comments on the pull request."""
        return [comment.body for comment in self.repo.comments_on(7)]

    def states(self, pull: Pull) -> list[str]:
        """The states that the head commit's status went through, the final one last."""
        return [s.state for s in reversed(self.repo.statuses_of(pull.head_sha)) if s.context == "migration-rehearsal"]

    def _head(self, added: Mapping[str, str]) -> str:
        return self.repo.commit({**BASE, **added}, self.repo.branches["main"])


@pytest.fixture
def open_folders(tmp_path: Path) -> None:
    """Lets the runner's user through to what a test keeps."""
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.stat().st_mode & 0o077 == 0:
            folder.chmod(0o711)


@pytest.fixture
def shop(github: FakeGitHub, runner: Runner, checkout: Callable[[Mapping[str, str]], Path]) -> Shop:
    """The repository, its base branch holding one migration and the seed."""
    github.tokens |= {TOKEN: Access(BOT), READ_ONLY: Access(BOT, write=False)}
    repo = github.add_repo("octo/shop")
    repo.set_branch("main", repo.commit(BASE))
    return Shop(github, repo, runner, checkout)


# ── On a pull request ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_migration_that_passes(shop: Shop) -> None:
    pull = shop.open_pull(GOOD)

    ran = shop.rehearse(pull)

    assert ran.exit_status == 0, ran.log
    assert ran.outputs == {
        "verdict": "pass",
        "report": "migration-rehearsal.json",
        "migrations": "1",
        "failed": "0",
        "errors": "0",
        "warnings": "0",
    }
    assert shop.states(pull) == ["pending", "success"]
    [comment] = shop.comments()
    assert comment.startswith(f"{MARKER}\n### ✅")
    assert "10 rows" in comment
    assert ran.summary.startswith("### ✅")
    [migration] = ran.report()["migrations"]
    assert (migration["path"], migration["outcome"]) == ("migrations/2.sql", "applied")


def test_a_migration_that_existing_rows_break_and_its_repair(shop: Shop) -> None:
    pull = shop.open_pull(BAD)

    ran = shop.rehearse(pull)

    assert ran.exit_status == 1, ran.log
    assert (ran.outputs["verdict"], ran.outputs["failed"]) == ("fail", "1")
    assert shop.states(pull) == ["pending", "failure"]
    [comment] = shop.comments()
    for told in (comment, ran.summary, ran.log, shop.repo.statuses_of(pull.head_sha)[0].description or ""):
        assert re.search(r"\b3\b.*\b10\b", told), told
    assert "::error file=migrations/2.sql,line=1," in ran.log
    assert ran.report()["clone"]["postgres_version"].startswith(f"{shop.runner.image.major}.")

    repaired = shop.push({"migrations/2.sql": f"UPDATE customers SET email = '' WHERE email IS NULL;\n{BAD['migrations/2.sql']}"})
    assert shop.rehearse(repaired).exit_status == 0
    [comment] = shop.comments()
    assert comment.startswith(f"{MARKER}\n### ✅")
    assert shop.states(repaired) == ["pending", "success"]


def test_a_rerun_replays_from_the_home_folder_that_a_cache_step_kept(shop: Shop, open_folders: None) -> None:
    pull = shop.open_pull(BAD)
    first = shop.rehearse(pull)
    writes = len(shop.github.writes)

    again = shop.rehearse(pull, home=shop.runner.pack(first.home))

    assert again.exit_status == 1, again.log
    assert again.report()["run"]["replayed"]
    assert len(shop.github.writes) == writes
    assert "restore the seed" in first.log
    assert "restore the seed" not in again.log


def test_no_migration_is_told_by_the_status_alone(shop: Shop) -> None:
    pull = shop.open_pull({"README.md": "A shop.\n"})

    ran = shop.rehearse(pull)

    assert ran.exit_status == 0, ran.log
    assert (ran.outputs["verdict"], ran.outputs["migrations"]) == ("pass", "0")
    assert shop.comments() == []
    assert shop.states(pull) == ["success"]
    assert ran.summary.startswith("### ✅")


@pytest.mark.parametrize(("added", "exit_status", "verdict"), [(GOOD, 0, "pass"), (BAD, 1, "fail")], ids=["passes", "fails"])
def test_a_fork_whose_token_can_only_read(shop: Shop, added: dict[str, str], exit_status: int, verdict: str) -> None:
    pull = shop.open_pull(added, head_repo="mallory/shop")

    ran = shop.rehearse(pull, token=READ_ONLY)

    assert (ran.exit_status, ran.outputs["verdict"]) == (exit_status, verdict), ran.log
    assert shop.comments() == []
    assert shop.states(pull) == []
    assert ran.summary.startswith("### ")
    assert "can only read" in ran.log


def test_a_bad_input_is_named_where_its_author_looks(shop: Shop) -> None:
    pull = shop.open_pull(GOOD)

    ran = shop.rehearse(pull, fail_on="sometimes")

    assert (ran.exit_status, ran.outputs["verdict"]) == (2, "error")
    assert re.search(r"^::error .*fail-on.*sometimes.*error, warning, never", ran.log, re.MULTILINE)
    assert shop.states(pull) == ["error"]
    [comment] = shop.comments()
    assert "sometimes" in comment


def test_a_seed_that_is_not_there_leaves_no_status_pending(shop: Shop) -> None:
    pull = shop.open_pull(GOOD)

    ran = shop.rehearse(pull, seed="nowhere.dump")

    assert (ran.exit_status, ran.outputs["verdict"]) == (3, "error"), ran.log
    assert shop.states(pull)[-1] == "error"
    [comment] = shop.comments()
    assert "nowhere.dump" in comment


# ── What somebody else's checkout can't do ───────────────────────────────────────────────────────────────────────────────


def test_the_checkout_can_not_bring_modules_of_its_own(shop: Shop) -> None:
    trap = "raise SystemExit('a module of the checkout was imported')\n"
    pull = shop.open_pull({**GOOD, "bot/__init__.py": trap, "jinja2.py": trap, "json.py": trap})

    ran = shop.rehearse(pull, env={"PYTHONPATH": "/github/workspace", "PYTHONSTARTUP": "/github/workspace/json.py"})

    assert ran.exit_status == 0, ran.log


def test_the_token_is_printed_only_to_be_masked(shop: Shop) -> None:
    ran = shop.rehearse(shop.open_pull(BAD), seed="", seed_sql="rows.sql")

    assert ran.exit_status == 1, ran.log
    assert [line for line in ran.log.splitlines() if TOKEN in line] == [f"::add-mask::{TOKEN}"]
    assert TOKEN not in ran.summary + json.dumps(ran.outputs) + "".join(shop.comments())


# ── The image itself ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_it_holds_its_server_and_nothing_that_builds(image: Image) -> None:
    listed = image.run(
        "-c",
        'postgres --version; for each in cc gcc make pip pip3 git; do command -v "$each"; done; '
        "ls /opt/migration-rehearsal/lib/python3*/site-packages | grep embedded",
        options=["--entrypoint", "sh"],
    )

    assert re.fullmatch(rf"postgres \(PostgreSQL\) {image.major}\.\d.*\n", listed.stdout)


def test_every_account_may_start_it(image: Image) -> None:
    done = image.run("--version", options=["--user", "12345:12345"])

    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_line_rehearses_without_a_network_and_without_root(
    image: Image, checkout: Callable[[Mapping[str, str]], Path]
) -> None:
    folder = checkout({"1.sql": BASE["migrations/1.sql"], "2.sql": GOOD["migrations/2.sql"]})

    done = image.run(
        *("rehearse", "--format", "json", "1.sql", "2.sql"),
        options=["--user", "postgres", "--network", "none", "--volume", f"{folder}:/w:ro", "--workdir", "/w"],
    )

    assert done.returncode == 0, done.stderr
    report: Any = json.loads(done.stdout)
    assert [m["outcome"] for m in report["migrations"]] == ["applied", "applied"]


def test_every_dependency_is_pinned_and_no_index_is_named() -> None:
    text = (ROOT / "requirements.txt").read_text()
    entries = re.findall(
        r"^([a-z0-9-]+)==(\S+)(?: ;.*?)? \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE
    )
    pins = {name: version for name, version, _ in entries}
    wanted = map(Requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])

    assert [str(r) for r in wanted if not r.specifier.contains(pins.get(canonicalize_name(r.name), "0"))] == []
    assert len(pins) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert not re.search(r"https?://|index-url|find-links", text)
