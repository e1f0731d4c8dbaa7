"""The image as GitHub's runner starts it, on pull requests of a fake GitHub; and what is in it, and what must not be."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.container.runner import RUNNER_UID, Image, Ran, Runner, Running, docker
from tests.contract.fake_github import BOT, Access, FakeGitHub, Pull, Repo

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "ghs_thetokenofthisworkflow"
READ_ONLY = "ghs_thetokenofafork"
MARKER = "<!-- migration-rehearsal -->"

# Ten customers, three of them without an address.
TABLE = "CREATE TABLE customers (id bigint PRIMARY KEY, email text);\n"
ROWS = "INSERT INTO customers SELECT n, CASE WHEN n > 3 THEN 'c' || n || '@example.org' END FROM generate_series(1, 10) AS n;\n"
BASE = {"migrations/1.sql": TABLE, "seed.sql": TABLE + ROWS, "rows.sql": ROWS}
GOOD = {"migrations/2.sql": "ALTER TABLE customers ADD COLUMN phone text;\n"}
SLOW = {"migrations/2.sql": "SELECT pg_sleep(4);\nALTER TABLE customers ADD COLUMN phone text;\n"}
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

    def rehearse(self, pull: Pull, **how: Any) -> Ran:
        """Runs the action on the pull request."""
        return self.start(pull, **how).result()

    def start(
        self,
        pull: Pull,
        *,
        token: str = TOKEN,
        env: Mapping[str, str] | None = None,
        home: Path | None = None,
        options: Sequence[str] = (),
        uid: int = RUNNER_UID,
        **inputs: str,
    ) -> Running:
        """Starts the action on the pull request; the input `fail-on` is given as `fail_on`."""
        tree = self.repo.objects.flat(self.repo.objects.commits[pull.head_sha].tree)
        files = {path: self.repo.objects.blobs[entry.sha].decode() for path, entry in tree.items()}
        return self.runner.start(
            self.github.pull_request_event(self.repo, pull),
            self.checkout(files),
            api_url=self.github.url,
            token=token,
            sha=pull.head_sha,
            inputs={name.replace("_", "-"): value for name, value in {"seed": "seed.sql", **inputs}.items()},
            env=env,
            home=home,
            options=options,
            uid=uid,
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
    clone = ran.report()["clone"]
    assert (clone["role"], clone["superuser"], clone["network"]) == ("postgres", False, False)


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


def test_a_rerun_replays_from_the_home_folder_that_a_cache_step_kept(shop: Shop) -> None:
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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("fail-on", "sometimes"),
        ("layout", "railway"),
        ("large-table-rows", "many"),
        ("time-limit", "-1"),
        ("way-back", "perhaps"),
        ("clone-provider", "nowhere"),
        ("postgres-bin", "/nowhere"),
        ("production-rows", "nowhere.csv"),
    ],
)
def test_a_bad_input_is_named_where_its_author_looks(shop: Shop, name: str, value: str) -> None:
    pull = shop.open_pull(GOOD)

    ran = shop.rehearse(pull, **{name: value})

    assert (ran.exit_status, ran.outputs["verdict"]) == (3 if name == "postgres-bin" else 2, "error"), ran.log
    assert re.search(rf"^::error .*{value}", ran.log, re.MULTILINE)
    assert shop.states(pull)[-1] == "error"
    [comment] = shop.comments()
    assert value in comment
    assert "fault of migration-rehearsal" not in comment


def test_a_seed_that_is_not_there_leaves_no_status_pending(shop: Shop) -> None:
    pull = shop.open_pull(GOOD)

    ran = shop.rehearse(pull, seed="nowhere.dump")

    assert (ran.exit_status, ran.outputs["verdict"]) == (3, "error"), ran.log
    assert shop.states(pull)[-1] == "error"
    [comment] = shop.comments()
    assert "nowhere.dump" in comment


# ── When it does not end well ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("cached", [True, False], ids=["with its journal", "without"])
def test_a_run_that_was_killed_is_done_again_and_told_once(shop: Shop, cached: bool) -> None:
    pull = shop.open_pull(SLOW)
    first = shop.start(pull)
    container = first.container()
    first.wait_for(lambda: asleep(container))

    docker("kill", container)
    killed = first.result()
    again = shop.rehearse(pull, home=shop.runner.pack(killed.home) if cached else None)

    assert (killed.exit_status, killed.outputs) == (137, {})
    assert {path.name for path in killed.workspace.iterdir()} == {"migrations", "seed.sql", "rows.sql"}
    assert docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"name={container}").stdout == ""
    assert (again.exit_status, again.outputs["verdict"]) == (0, "pass"), again.log
    [comment] = shop.comments()
    assert comment.startswith(f"{MARKER}\n### ✅")
    assert shop.states(pull) == ["pending", *([] if cached else ["pending"]), "success"]


def test_a_run_that_is_cancelled_says_so(shop: Shop) -> None:
    pull = shop.open_pull(SLOW)
    running = shop.start(pull)
    container = running.container()
    running.wait_for(lambda: asleep(container))

    docker("stop", container)
    ran = running.result()

    assert ran.exit_status == 130, ran.log
    assert shop.states(pull) == ["pending", "error"]


@pytest.mark.parametrize("megabytes", [20, 120], ids=["the server does not fit", "the data does not fit"])
def test_a_disk_that_is_too_small_is_said_to_be(shop: Shop, megabytes: int) -> None:
    many = ROWS.replace("(1, 10)", "(1, 3000000)")
    pull = shop.open_pull({**GOOD, "seed.sql": TABLE + many})

    ran = shop.rehearse(pull, options=["--tmpfs", f"/tmp:size={megabytes}m"])

    assert (ran.exit_status, ran.outputs["verdict"]) == (3, "error"), ran.log
    assert shop.states(pull)[-1] == "error"
    [comment] = shop.comments()
    for told in (ran.log, comment):
        assert re.search("disk|space", told), told
        assert "fault of migration-rehearsal" not in told, told
    assert {path.name for path in ran.workspace.iterdir()} >= {"migrations", "seed.sql"}


# ── Whom it runs as ──────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Process:
    """A process in a container, from /proc/pid/status."""

    name: str
    uids: set[int]
    groups: set[int]
    capabilities: int
    no_new_privileges: bool


def asleep(container: str) -> bool:
    """Whether the migration runs."""
    return "SELECT" in docker("top", container, "-o", "pid,cmd").stdout


def inside(container: str, *command: str, user: int = 0) -> subprocess.CompletedProcess[str]:
    return docker("exec", "--user", f"{user}:{user}", container, *command)


def processes(container: str) -> list[Process]:
    """All but those of whoever looks."""
    found = []
    for text in re.split(r"(?=^Name:)", inside(container, "sh", "-c", "cat /proc/[0-9]*/status").stdout, flags=re.MULTILINE)[1:]:
        fields = dict(re.findall(r"^(\w+):\t(.*)", text, re.MULTILINE))
        groups = {int(each) for each in fields["Gid"].split() + fields["Groups"].split()}
        found.append(
            Process(
                fields["Name"],
                set(map(int, fields["Uid"].split())),
                groups,
                int(fields["CapEff"], 16),
                fields["NoNewPrivs"] == "1",
            )
        )
    return [process for process in found if process.name not in ("sh", "cat") or process.no_new_privileges]


def test_nothing_runs_as_root_and_the_server_can_not_reach_what_the_program_has(shop: Shop) -> None:
    running = shop.start(shop.open_pull(SLOW))
    container = running.container()
    running.wait_for(lambda: asleep(container))

    seen = processes(container)
    readable = {
        pid: inside(container, "cat", f"/proc/{pid}/environ", user=RUNNER_UID)
        for pid in inside(container, "sh", "-c", "cd /proc && echo [0-9]*").stdout.split()
    }
    asked = inside(
        container,
        *("/opt/migration-rehearsal/bin/python", "-c"),
        "import socket; socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
        user=RUNNER_UID,
    )
    docker("kill", container)
    running.result()

    assert {"postgres", "python"} <= {process.name.rstrip("3") for process in seen}
    assert {(*p.uids, *p.groups, p.capabilities, p.no_new_privileges) for p in seen} == {(RUNNER_UID, RUNNER_UID, 0, True)}
    assert "Permission denied" in readable["1"].stderr
    assert "PATH=" in "".join(one.stdout for one in readable.values())  # of the server's
    assert [pid for pid, one in readable.items() if TOKEN in one.stdout] == [], inside
    assert "PermissionError" in asked.stderr


def test_what_it_leaves_belongs_to_the_runners_user(shop: Shop) -> None:
    ran = shop.rehearse(shop.open_pull(BAD))

    left = [*ran.workspace.rglob("*"), *ran.home.rglob("*")]
    assert {ran.workspace / "migration-rehearsal.json", ran.home / ".migration-rehearsal"} <= set(left)
    assert {(path.lstat().st_uid, path.lstat().st_gid) for path in left} == {(RUNNER_UID, RUNNER_UID)}


def test_a_workspace_of_root_is_worked_in_as_root_and_the_server_is_not(shop: Shop) -> None:
    running = shop.start(shop.open_pull(SLOW), uid=0)
    container = running.container()
    running.wait_for(lambda: asleep(container))

    seen = processes(container)
    ran = running.result()

    assert {frozenset(p.uids) for p in seen if p.name.startswith("python")} == {frozenset({0})}
    assert not any(p.uids & {0} or p.capabilities for p in seen if p.name == "postgres")
    assert (ran.exit_status, ran.outputs["verdict"]) == (0, "pass"), ran.log


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("uid", [0, 1234])
def test_on_the_command_line_a_report_belongs_to_the_owner_of_the_folder(
    image: Image, checkout: Callable[[Mapping[str, str]], Path], uid: int
) -> None:
    folder = checkout({"1.sql": TABLE})
    os.chown(folder, uid, uid)

    done = image.run("rehearse", "1.sql", "--output", "report.txt", options=["--volume", f"{folder}:/w", "--workdir", "/w"])

    assert done.returncode == 0, done.stderr
    assert (folder / "report.txt").stat().st_uid == uid


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


def test_an_extension_is_installed_by_its_short_name(
    image_with_vectors: Image, checkout: Callable[[Mapping[str, str]], Path]
) -> None:
    folder = checkout({"1.sql": "CREATE EXTENSION vector;\nCREATE TABLE words (at vector(3));\n"})

    done = image_with_vectors.run(
        "rehearse", "--format", "json", "1.sql", options=["--volume", f"{folder}:/w:ro", "--workdir", "/w"]
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["migrations"][0]["outcome"] == "applied"


def test_it_says_of_which_commit_it_is(image: Image) -> None:
    labels = json.loads(docker("image", "inspect", image.tag, "--format", "{{json .Config.Labels}}").stdout)

    said = {name.removeprefix("org.opencontainers.image."): value for name, value in labels.items()}
    assert (said["title"], said["version"], said["revision"]) == ("migration-rehearsal", "1.2.3", "0123abc")
