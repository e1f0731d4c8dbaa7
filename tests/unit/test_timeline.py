"""Who waited when: lock spans of one relation taken together, and drawn by Mermaid."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.model import LockSpan, Outcome, Rehearsal, Transaction
from bot.timeline import lanes, mermaid

EXCLUSIVE, SHARE = "AccessExclusiveLock", "ShareLock"


def rehearsal(*spans: tuple[str, str, float, float]) -> Rehearsal:
    """A migration with locks: relation, mode, from, to."""
    held = tuple(LockSpan(relation, mode, began, ended, 1) for relation, mode, began, ended in spans)
    return Rehearsal("1.sql", "1", "plain", Outcome.APPLIED, Transaction.SINGLE, lock_spans=held)


def waits(found: Rehearsal) -> list[tuple[str, str, float, float]]:
    return [(lane.relation, wait.what, wait.began_ms, wait.ended_ms) for lane in lanes(found) for wait in lane.waits]


# spans of a table t as (mode, from, to) -> who waits when
TOGETHER = {
    "one lock": ([(EXCLUSIVE, 0, 100)], [("reads and writes", 0, 100)]),
    "a lock that nobody waits for": ([("RowExclusiveLock", 0, 100)], []),
    "two of a kind": ([(SHARE, 0, 50), (SHARE, 40, 100)], [("writes", 0, 100)]),
    "one after the other": ([(SHARE, 0, 50), (SHARE, 60, 100)], [("writes", 0, 50), ("writes", 60, 100)]),
    "a stronger one inside": (
        [(SHARE, 0, 100), (EXCLUSIVE, 20, 30)],
        [("writes", 0, 20), ("reads and writes", 20, 30), ("writes", 30, 100)],
    ),
    "a stronger one to the end": ([(SHARE, 0, 100), (EXCLUSIVE, 60, 100)], [("writes", 0, 60), ("reads and writes", 60, 100)]),
    "a stronger one all the time": ([(SHARE, 10, 90), (EXCLUSIVE, 0, 100)], [("reads and writes", 0, 100)]),
    "not worth a picture": ([(EXCLUSIVE, 0, 9)], []),
}


@pytest.mark.parametrize(("spans", "expected"), TOGETHER.values(), ids=TOGETHER.keys())
def test_locks_of_one_relation_are_taken_together(
    spans: Sequence[tuple[str, float, float]], expected: list[tuple[str, float, float]]
) -> None:
    assert waits(rehearsal(*(("public.t", *span) for span in spans))) == [("public.t", *wait) for wait in expected]


SPANS = st.lists(
    st.tuples(st.sampled_from([EXCLUSIVE, SHARE]), st.integers(0, 99), st.integers(1, 99)).map(
        lambda s: (s[0], s[1], s[1] + s[2])
    ),
    min_size=1,
    max_size=8,
)


@given(SPANS)
def test_no_moment_is_told_twice_or_left_out(spans: list[tuple[str, int, int]]) -> None:
    told_of = lanes(rehearsal(*(("t", *span) for span in spans), ("u", EXCLUSIVE, 0, 10)))
    found = next(lane for lane in told_of if lane.relation == "t").waits
    for moment in (n + 0.5 for n in range(200)):
        modes = {mode for mode, began, ended in spans if began < moment < ended}
        told = [wait.what for wait in found if wait.began_ms < moment < wait.ended_ms]
        assert told == (["reads and writes"] if EXCLUSIVE in modes else ["writes"] if modes else [])


def test_the_chart_of_a_migration() -> None:
    found = rehearsal(("public.orders", EXCLUSIVE, 0.4, 1204.2), ("public.items", SHARE, 1000, 61_000))

    assert mermaid(found) == (
        "gantt\n"
        "dateFormat YYYY-MM-DD HH:mm:ss.SSS\n"
        "axisFormat %M:%S\n"
        "section items\n"
        "writes 60.0 s :active, 2000-01-01 00:00:01.000, 2000-01-01 00:01:01.000\n"
        "section orders\n"
        "reads and writes 1.2 s :crit, 2000-01-01 00:00:00.000, 2000-01-01 00:00:01.205"
    )


@given(st.text(min_size=1, max_size=80))
def test_no_name_breaks_the_chart(name: str) -> None:
    lines = mermaid(rehearsal((name, EXCLUSIVE, 0, 100))).split("\n")

    assert len(lines) == 5
    assert re.fullmatch(r"section [\w.$ -]{1,60}", lines[3])
