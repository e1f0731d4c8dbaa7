"""How long readers and writers wait, from the locks that were held; and names as SQL writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import sql

from bot.dependents import names_gone
from bot.model import HeldLock, LockSpan, SchemaChange
from bot.postgres.locks import MODES, Held, Taken, blocks, strongest
from bot.postgres.looking import milliseconds
from bot.words import last_part, parts_of

TIMES = st.integers(0, 50).map(float)
SPANS = st.lists(
    st.builds(
        lambda mode, began, took: LockSpan("t", mode, began, began + took, 1), st.sampled_from(MODES), TIMES, st.integers(0, 20)
    ),
    min_size=1,
)


@given(SPANS)
def test_blocked_times_are_those_of_a_clock_that_looks_each_millisecond(spans: list[LockSpan]) -> None:
    (lock,) = strongest(spans, {})

    for what, told in (("reads", lock.reads_blocked_ms), ("writes", lock.writes_blocked_ms)):
        seen = sum(any(s.began_ms <= ms < s.ended_ms and what in blocks(s.mode) for s in spans) for ms in range(80))
        assert told == seen


@given(SPANS)
def test_the_strongest_lock_is_told_with_its_own_time(spans: list[LockSpan]) -> None:
    (lock,) = strongest(spans, {"t": 7})

    its = [s for s in spans if s.mode == lock.mode]
    assert all(MODES.index(s.mode) <= MODES.index(lock.mode) for s in spans)
    assert lock.held_ms == max(s.ended_ms - s.began_ms for s in its)
    assert lock.rows == 7


def test_a_transaction_holds_what_it_took_until_its_end() -> None:
    held = Held()
    share, all_ = Taken("t", "ShareLock", 1), Taken("t", "AccessExclusiveLock", 1)

    assert held.update([share], [], 10.0, 1) == (HeldLock("t", "ShareLock"),)
    assert held.update([all_], [], 20.0, 2) == (HeldLock("t", "AccessExclusiveLock"),)
    assert held.update([], [all_], 30.0, 3) == ()  # a savepoint let go of it
    held.release(50.0)

    assert [(s.mode, s.began_ms, s.ended_ms, s.line) for s in held.spans] == [
        ("AccessExclusiveLock", 20.0, 30.0, 2),
        ("ShareLock", 10.0, 50.0, 1),
    ]


# How SHOW writes a time -> milliseconds
SETTINGS = {"0": 0, "250ms": 250, "2s": 2000, "1min": 60_000, "1h": 3_600_000, "1d": 86_400_000, "strange": None}


@pytest.mark.parametrize("setting", SETTINGS)
def test_times_as_show_writes_them(setting: str) -> None:
    assert milliseconds(setting) == SETTINGS[setting]


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=3))
def test_a_quoted_name_comes_back_in_its_parts(parts: list[str]) -> None:
    quoted = sql.Identifier(*parts).as_string(None)

    assert parts_of(quoted) == parts
    assert last_part(quoted) == parts[-1]


def change(kind: str, name: str, how: str, before: str | None = None) -> SchemaChange:
    return SchemaChange(kind, name, how, before, name)


# schema changes -> the names that are gone, with the words that code would use
GONE = {
    "a table renamed": ([change("table", "public.u", "renamed", "public.t")], {"public.t": ("t",)}),
    "a column dropped": ([change("column", 'public.t."Odd.Name"', "dropped")], {'public.t."Odd.Name"': ("t", "Odd.Name")}),
    "a view in its place": (
        [change("table", "public.u", "renamed", "public.t"), change("view", "public.t", "added")],
        {},
    ),
    "two that change places": (
        [change("table", "public.u", "renamed", "public.t"), change("table", "public.t", "renamed", "public.u")],
        {},
    ),
    "an index": ([change("index", "public.i", "dropped")], {}),
}


@pytest.mark.parametrize("case", GONE)
def test_names_that_are_gone(case: str) -> None:
    changes, expected = GONE[case]

    assert names_gone(changes) == expected
