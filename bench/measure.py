"""Samples in, numbers and aligned text out. Pure, but for the clock."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Stats:
    """What is said of samples, in their own unit."""

    n: int
    median: float
    p95: float
    p99: float
    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Section:
    """One table, and the samples that it was made of, by name, each in `unit`."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    unit: str
    samples: Mapping[str, Sequence[float]]
    facts: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """For people."""
        facts = ", ".join(f"{name} {value}" for name, value in self.facts.items())
        parts = [f"── {self.title} ──", *([facts] if facts else []), "", table(self.columns, self.rows), ""]
        return "\n".join(parts + [f"  {note}" for note in self.notes] + [""] * bool(self.notes))

    def plain(self) -> dict[str, Any]:
        """For a program: every sample, and what is said of them."""
        measured = {
            name: {"stats": {key: round(getattr(stats(all_), key), 4) for key in Stats.__slots__}, "samples": rounded(all_)}
            for name, all_ in self.samples.items()
        }
        return {"name": self.name, "title": self.title, "facts": dict(self.facts), "unit": self.unit, "measured": measured}


def percentile(samples: Sequence[float], percent: float) -> float:
    """The smallest sample that so many percent of them don't exceed (nearest rank): always one that was really measured."""
    ordered = sorted(samples)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def stats(samples: Sequence[float]) -> Stats:
    """What is said of samples; there must be one."""
    return Stats(
        n=len(samples),
        median=statistics.median(samples),
        p95=percentile(samples, 95),
        p99=percentile(samples, 99),
        least=min(samples),
        most=max(samples),
    )


def rounded(samples: Sequence[float]) -> list[float]:
    """Samples as they are written to a file."""
    return [round(sample, 4) for sample in samples]


def differences(more: Sequence[float], less: Sequence[float]) -> list[float]:
    """What was added, round by round: of two that were measured right after each other."""
    return [one - other for one, other in zip(more, less, strict=True)]


def alternately(
    works: Mapping[str, Work], rounds: int, warm_up: int = 0, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Does each work once a round, and gives the milliseconds of each. Whatever else the machine does hits all of them alike;
    who begins changes from round to round, so that none is always the one after the slow one. Rounds of `warm_up` come first
    and are not counted.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    names = list(works)
    for number in range(-warm_up, rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            began = clock()
            works[name]()
            took = clock() - began
            if number >= 0:
                taken[name].append(took * 1000)
    return taken


def expect(condition: bool, what: str) -> None:
    """Raises RuntimeError where something else was measured than the table will say."""
    if not condition:
        raise RuntimeError(f"This measures nothing: {what}.")


# ── Text ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned text: the first column to the left, all others to the right."""
    every = [columns, *rows]
    widths = [max(len(row[n]) for row in every) for n in range(len(columns))]
    lines = [
        "  ".join(
            cell.ljust(width) if n == 0 else cell.rjust(width) for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in every
    ]
    return "\n".join(line.rstrip() for line in [lines[0], "  ".join("─" * width for width in widths), *lines[1:]])


def number(value: float) -> str:
    """Three digits that count: 0.0123, 1.23, 12.3, 123, 1234."""
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{value:.{min(4, max(0, digits))}f}"


def times(value: float, base: float) -> str:
    """A ratio."""
    return f"{number(value / base)}×" if base else "–"
