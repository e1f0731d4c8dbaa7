"""The action from its start to its exit, as the runner starts it, against a fake GitHub: with and without the journal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.machine import server_facts
from bench.measure import Section, Work, expect, number, stats, times
from bot.journal.opening import open_journal
from bot.journal.place import Place
from bot.journal.runs import Journal
from bot.progress import Progress
from tests.contract.fake_github import BOT, Access, FakeGitHub
from tests.fix_action import BASE_FILES, Action

ROOT = Path(__file__).parents[1]
_FIRST, _EXISTING, _PLAIN = "first run, journal made", "first run, journal there", "run without a journal"
_REPLAY, _REUSE, _START = "rerun: replayed", "new commit: reused", "imports alone"
_MIGRATIONS = {
    "db/migrations/1_total.sql": "ALTER TABLE orders ADD total numeric(12,2) NOT NULL DEFAULT 0;\n",
    "db/migrations/2_email.sql": "ALTER TABLE orders ALTER email SET NOT NULL;\n",
}


def measure_action(
    folder: Path, rounds: int, seed_rows: int, postgres_bin: str | None, progress: Progress, *, quick: bool = False
) -> Section:
    """Whole runs of the action, their files in a folder -> a table. `quick`: without the round before and the last row."""
    title = f"The action, from start to exit; seed of {seed_rows:,} rows, 2 migrations"
    with progress.step(title), FakeGitHub() as github:
        github.tokens["t"] = Access(BOT)
        runner = _Runner(github, folder, postgres_bin or "")
        _write_seed(runner.workspace / "dump.sql", seed_rows)
        samples = runner.measure(rounds, quick=quick)
        expect(github.problems == [], f"the fake GitHub says {github.problems}")
        facts = _facts(runner.journal, postgres_bin)
    return _section(title, samples, runner.asked, facts)


@dataclass(slots=True)
class _Runner:
    """A runner with one workspace. Each round has repositories, and a journal, of its own."""

    github: FakeGitHub
    folder: Path
    postgres_bin: str
    action: Action = field(init=False)
    round: int = 0
    asked: dict[str, tuple[int, int]] = field(default_factory=dict)  # requests to GitHub, and those of them that write

    def __post_init__(self) -> None:
        self.workspace.mkdir()
        self.action = self._repository("first")

    @property
    def workspace(self) -> Path:
        """What a workflow checks out."""
        return self.folder / "workspace"

    @property
    def journal(self) -> Path:
        """The folder of this round's journal."""
        return self.folder / f"journal{self.round}"

    def measure(self, rounds: int, *, quick: bool) -> dict[str, list[float]]:
        """Milliseconds of each run. The runs of a round are in the one order that makes sense, one round after the other; the
        first round makes what is cached (a fresh data folder, compiled Python) and is not counted.
        """
        works: dict[str, Work] = {
            _START: lambda: self._run_python("-c", "import bot.action"),
            _PLAIN: lambda: self._rehearse(_PLAIN, "plain", _MIGRATIONS, journal=False),
            _FIRST: lambda: self._rehearse(_FIRST, "shop", _MIGRATIONS),
            _REPLAY: lambda: self._again(_REPLAY, {}),
            _REUSE: lambda: self._again(_REUSE, {"app.py": f"print({time.monotonic_ns()})"}),
            _EXISTING: lambda: self._rehearse(_EXISTING, "other", self._other()),
        }
        if quick:
            del works[_EXISTING]
        taken: dict[str, list[float]] = {name: [] for name in works}
        for self.round in range(1 if quick else 0, rounds + 1):
            for name, work in works.items():
                began = time.perf_counter()
                work()
                if self.round:
                    taken[name].append((time.perf_counter() - began) * 1000)
        return taken

    def _other(self) -> Mapping[str, str]:
        """The same work under a text of its own, so that nothing of it is in the journal."""
        return {path: f"-- another\n{text}" for path, text in _MIGRATIONS.items()}

    def _repository(self, name: str) -> Action:
        repo = self.github.add_repo(f"octo/{name}{self.round}")
        base = repo.commit(BASE_FILES)
        repo.set_branch("main", base)
        return Action(self.github, repo, base, self.workspace)

    def _rehearse(self, what: str, name: str, files: Mapping[str, str], *, journal: bool = True) -> None:
        """A new pull request."""
        self.action = self._repository(name)
        self.action.open_pull(files)
        said = self._run(what, journal=journal)
        expect(not said["run"]["replayed"] and not _reused(said), "a first run did not rehearse")

    def _again(self, what: str, more: Mapping[str, str]) -> None:
        """The same pull request; with `more` files a new commit of it."""
        if more:
            self.action.push({**_MIGRATIONS, **more})
        said = self._run(what)
        expect(said["run"]["replayed"] or (bool(more) and _reused(said)), f"{what}: it rehearsed anew")

    def _run(self, what: str, *, journal: bool = True) -> Any:
        """The action on the pull request as it is now; gives its report."""
        before = len(self.github.requests)
        folder = {"journal_folder": str(self.journal)} if journal else {}
        pull = self.action.repo.pulls[7]
        event = self.github.pull_request_event(self.action.repo, pull)
        environment = self.action.environment(event, seed="dump.sql", postgres_bin=self.postgres_bin, **folder)
        report = self.workspace / "migration-rehearsal.json"
        report.unlink(missing_ok=True)
        environment["GITHUB_REPOSITORY"] = self.action.repo.full_name
        self._run_python(str(ROOT / "entrypoint.py"), **environment)
        requests = self.github.requests[before:]
        self.asked[what] = (len(requests), sum(request.method != "GET" for request in requests))
        return json.loads(report.read_text())

    def _run_python(self, *arguments: str, **environment: str) -> None:
        ours = ("GITHUB_", "INPUT_", "MIGRATION_REHEARSAL_")
        own = {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [sys.executable, *arguments],
            env=own | environment,
            cwd=self.workspace,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        expect(done.returncode == 0, f"exit status {done.returncode} of\n{done.stdout}")


def _reused(report: Any) -> bool:
    return any("2 of 2 rehearsals reused" in note for note in report["notes"])


def _write_seed(path: Path, rows: int) -> None:
    """A dump as pg_dump writes one, always the same; a row has about 100 bytes."""
    with path.open("w") as file:
        file.write("CREATE TABLE orders (id int PRIMARY KEY, email text, note text, placed timestamptz);\n")
        file.write("COPY orders (id, email, note, placed) FROM stdin;\n")
        for n in range(rows):
            file.write(
                f"{n}\tcustomer{n % 9973}@example.org\t{'a note of some length ' * 2}{n}\t2026-01-{n % 28 + 1:02} 10:00+00\n"
            )
        file.write("\\.\n")


def _facts(journal: Path, postgres_bin: str | None) -> dict[str, str]:
    """Of the journal that the last round has left."""
    with open_journal(Place(folder=str(journal), postgres_bin=postgres_bin), Progress(quiet=True)) as opened:
        assert isinstance(opened, Journal)  # noqa: S101  the place names one
        with closing(opened.store.connect()) as connection:
            return server_facts(connection)


def _section(
    title: str, samples: dict[str, list[float]], asked: Mapping[str, tuple[int, int]], facts: Mapping[str, str]
) -> Section:
    base = stats(samples[_PLAIN]).median
    rows = []
    for name, taken in samples.items():
        said, (requests, writes) = stats(taken), asked.get(name, (0, 0))
        seconds = (number(value / 1000) for value in (said.median, said.least, said.most))
        rows.append((name, times(said.median, base), *seconds, str(requests), str(writes), str(said.n)))
    to_first = times(stats(samples[_REPLAY]).median, stats(samples[_FIRST]).median)
    slowest = stats(samples[_REPLAY]).most / 1000
    return Section(
        name="action",
        title=title,
        columns=("", "× no journal", "median s", "min s", "max s", "GitHub calls", "of them writes", "n"),
        rows=rows,
        unit="ms",
        samples=samples,
        facts=facts,
        notes=(
            f"A replay takes {to_first} what the first run took.",
            f"Promised is a replay under 2 s; the slowest took {number(slowest)} s.",
            "The fake GitHub answers at once; a real one adds a round trip for each call.",
        ),
    )
