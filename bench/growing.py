"""What all benches of growth use: where they work, how they tell what they measured, and how growth is told."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.measure import Section, Work, expect, number, stats
from bench.results import BENCH

ROOT = BENCH.parent


@dataclass(slots=True)
class Bench:
    """What is measured, and what was: samples by name, their tables, and what is said of the goals."""

    bin_option: str
    rounds: int
    quick: bool
    folder: Path
    sections: list[Section] = field(default_factory=list)
    goals: list[str] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """For the program as a process; as in the image, modules are compiled once."""
        own = {n: v for n, v in os.environ.items() if not n.startswith(("PYTHON", "GITHUB_", "INPUT_", "MIGRATION_", "PG"))}
        return {**own, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(self.folder / "compiled")}

    def run(self, *command: str, cwd: Path | None = None, **environment: str) -> None:
        """A process of Python to its end."""
        done = subprocess.run(
            [sys.executable, *command],
            env=self.environment | environment,
            cwd=cwd or self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        expect(done.returncode == 0, f"exit status {done.returncode} of {command}: {done.stdout[-500:]}{done.stderr[-500:]}")

    def peak_mb(self, *command: str, cwd: Path | None = None) -> float:
        """The most memory that the program's process had."""
        file = self.folder / "peak"
        self.run("-m", "bench.peak", str(file), *command, cwd=cwd)
        return int(file.read_text()) / 1024

    def tell(self, section: Section, *goals: str) -> None:
        """Prints a table at once, and keeps it."""
        print(section.text(), *goals, sep="\n", flush=True)
        self.sections.append(section)
        self.goals.extend(goals)


def of_linear(medians: Mapping[int, float]) -> dict[int, str]:
    """By size: by how much more the time grew than the size did, since the size before."""
    sizes = sorted(medians)
    grown = {now: (medians[now] / medians[was]) / (now / was) for was, now in itertools.pairwise(sizes)}
    return {size: f"{grown[size]:.2f}" if size in grown else "–" for size in sizes}


def verdict(value: float, most: float, unit: str) -> str:
    """What is said of a goal."""
    return f"{number(value)} {unit}. The goal: below {most:g} {unit}; {'met' if value < most else 'not met'}."


def timed_ms(work: Work) -> float:
    """Milliseconds of a work."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def median(samples: Sequence[float]) -> float:
    """Of samples."""
    return stats(samples).median


def repository(folder: Path, migrations: int, text: Callable[[int], str] = lambda n: f"CREATE TABLE t{n} (a int);\n") -> Path:
    """A repository whose branch has so many migrations more than `main`."""
    place = folder / "db/migrations"
    place.mkdir(parents=True)

    def git(*arguments: str) -> None:
        own = ["-c", "user.name=bench", "-c", "user.email=bench@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *own, *arguments], cwd=folder, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    (place / "0001_begin.sql").write_text("CREATE TABLE orders (id bigint PRIMARY KEY, email text);\n")
    git("add", ".")
    git("commit", "-q", "-m", "begin")
    git("checkout", "-q", "-b", "more")
    for n in range(migrations):
        (place / f"{n + 2:04}_more.sql").write_text(text(n))
    git("add", ".")
    git("commit", "-q", "-m", "more")
    return folder
