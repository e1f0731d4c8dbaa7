"""Lock spans -> who waited when, and that as a Mermaid chart. Pure.

Mermaid's Gantt takes a task per line, `name :tags, from, to`, under `section name` lines; a colon ends a name, a semicolon or a
hash a line. Names are somebody else's: what is not a letter, a digit or one of a few signs is left out of them. Times are given
as dates that a reader's own time zone does not move.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.model import LockSpan, Rehearsal
from bot.postgres.locks import blocks
from bot.words import duration, relation

_LEAST_MS = 10.0  # of waiting in all: less is not worth a picture
_MOST_RELATIONS, _MOST_WAITS = 8, 4
_LONGEST_NAME = 60
_NOT_FOR_MERMAID = re.compile(r"[^\w.$ -]+")
Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Wait:
    """From when to when, on the migration's clock, others wait for a relation, and with what: "reads and writes", or "writes"."""

    what: str
    began_ms: float
    ended_ms: float

    @property
    def took_ms(self) -> float:
        """How long."""
        return self.ended_ms - self.began_ms


@dataclass(frozen=True, slots=True)
class Lane:
    """One relation's waits, in their order."""

    relation: str
    waits: tuple[Wait, ...]

    @property
    def took_ms(self) -> float:
        """How long in all."""
        return sum(wait.took_ms for wait in self.waits)


def lanes(rehearsal: Rehearsal) -> tuple[Lane, ...]:
    """The relations that others waited for, the longest first; nothing where nobody waited for long."""
    spans: dict[str, list[LockSpan]] = {}
    for span in rehearsal.lock_spans:
        if blocks(span.mode):
            spans.setdefault(span.relation, []).append(span)
    found = [Lane(name, _waits(held)) for name, held in spans.items()]
    if not any(lane.took_ms >= _LEAST_MS for lane in found):
        return ()
    return tuple(sorted(found, key=lambda lane: (-lane.took_ms, lane.relation)))


def _waits(spans: Sequence[LockSpan]) -> tuple[Wait, ...]:
    both = _merged((s.began_ms, s.ended_ms) for s in spans if "reads" in blocks(s.mode))
    writes = _merged((s.began_ms, s.ended_ms) for s in spans)
    waits = [Wait("reads and writes", *interval) for interval in both]
    waits += [Wait("writes", *interval) for whole in writes for interval in _without(whole, both)]
    return tuple(sorted(waits, key=lambda wait: wait.began_ms))


def _merged(intervals: Iterable[Interval]) -> list[Interval]:
    """Intervals that touch or overlap, as one."""
    found: list[Interval] = []
    for began, ended in sorted(intervals):
        if found and began <= found[-1][1]:
            found[-1] = (found[-1][0], max(ended, found[-1][1]))
        else:
            found.append((began, ended))
    return found


def _without(whole: Interval, parts: Iterable[Interval]) -> Iterable[Interval]:
    """What is left of an interval; the parts are in order and apart."""
    began, ended = whole
    for start, end in parts:
        if start > began:
            yield began, min(start, ended)
        began = max(began, end)
        if began >= ended:
            return
    if began < ended:
        yield began, ended


def mermaid(rehearsal: Rehearsal) -> str:
    """The chart of one migration; empty where nobody waited for long."""
    there = lanes(rehearsal)[:_MOST_RELATIONS]
    if not there:
        return ""
    end_ms = max(wait.ended_ms for lane in there for wait in lane.waits)
    lines = ["gantt", "dateFormat YYYY-MM-DD HH:mm:ss.SSS", f"axisFormat {'%M:%S' if end_ms >= 60_000 else '%S.%L'}"]
    for lane in there:
        lines.append(f"section {_shown(relation(lane.relation))}")
        longest = sorted(lane.waits, key=lambda wait: -wait.took_ms)[:_MOST_WAITS]
        for wait in sorted(longest, key=lambda wait: wait.began_ms):
            tag = "crit" if wait.what != "writes" else "active"
            lines.append(
                f"{wait.what} {duration(wait.took_ms)} :{tag}, {_moment(wait.began_ms)}, {_moment(wait.ended_ms, up=True)}"
            )
    return "\n".join(lines)


def _shown(name: str) -> str:
    return _NOT_FOR_MERMAID.sub(" ", name).strip()[:_LONGEST_NAME] or "a relation"


def _moment(at_ms: float, *, up: bool = False) -> str:
    """A date so many milliseconds after midnight; `up`: a part of one counts as a whole, as nothing shorter is drawn."""
    ms = min(int(at_ms) + (1 if up and at_ms % 1 else 0), 24 * 3_600_000 - 1)
    return f"2000-01-01 {ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"
