"""The journal's promises, one by one, on a real PostgreSQL."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from bot.errors import (
    BusyError,
    DriftError,
    EffectError,
    FencedError,
    InDoubtError,
    JournalError,
    RehearsalError,
    SealedError,
    UnreachableError,
    UsageError,
)
from bot.journal.holder import is_gone, this_process
from bot.journal.runs import Journal, Run
from bot.journal.steps import Kind, State, Step, run_id_of
from bot.journal.store import Store
from bot.sealing import seal_of

POST = Step(1, "post", {"text": "hello"})
KEY = "0123456789abcdef" * 4


@contextmanager
def opened(url: str, **more: Any) -> Iterator[Journal]:
    with closing(Journal(Store(url, patience_s=10), **more)) as journal:
        yield journal


@pytest.fixture
def journal(journal_url: str) -> Iterator[Journal]:
    with opened(journal_url) as journal:
        yield journal


class Effects:
    """Counts what was fired."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    def __call__(self, key: str) -> dict[str, int]:
        self.keys.append(key)
        return {"number": len(self.keys)}


class Stop(Exception):  # noqa: N818
    """The process ends here, as far as the journal can tell."""


def stop_at(point: str) -> Callable[[Step, str], None]:
    def at(_step: Step, here: str) -> None:
        if here == point:
            raise Stop

    return at


# ── Once ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_step_is_fired_once_and_replayed_after(journal: Journal) -> None:
    fire = Effects()
    for _time in range(3):
        with journal.run("k") as run:
            done = run.step(POST, fire)

    assert len(fire.keys) == 1
    assert done.response == {"number": 1}
    assert done.replayed


def test_the_table_has_the_columns_that_were_promised(journal: Journal, journal_url: str) -> None:
    with journal.run("k") as run:
        run.step(POST, Effects())
    with psycopg.connect(journal_url) as connection:
        row = connection.execute(
            "SELECT run_id, step_id, request_hash, response_body, completed_at IS NOT NULL, name, attempt, error FROM journal"
        ).fetchone()

    assert row == (run_id_of("k"), 1, POST.request_hash, {"number": 1}, True, "post", 1, None)


@pytest.mark.parametrize("point", ["before intent", "after intent"])
def test_stopped_before_the_effect_it_is_fired_by_the_next(journal_url: str, point: str) -> None:
    fire = Effects()
    with opened(journal_url, at=stop_at(point)) as journal, pytest.raises(Stop), journal.run("k") as run:
        run.step(POST, fire)
    with opened(journal_url) as journal, journal.run("k") as run:
        run.step(POST, fire, look=lambda: None)

    assert len(fire.keys) == 1


@pytest.mark.parametrize("point", ["after effect", "after result"])
def test_stopped_after_the_effect_it_is_found_by_the_next(journal_url: str, point: str) -> None:
    fire = Effects()
    with opened(journal_url, at=stop_at(point)) as journal, pytest.raises(Stop), journal.run("k") as run:
        run.step(POST, fire)
    with opened(journal_url) as journal, journal.run("k") as run:
        done = run.step(POST, fire, look=lambda: {"number": 1})

    assert len(fire.keys) == 1
    assert done.response == {"number": 1}


def test_in_doubt_and_no_way_to_look_is_an_error_however_often_it_is_asked(journal_url: str) -> None:
    fire = Effects()
    with opened(journal_url, at=stop_at("after effect")) as journal, pytest.raises(Stop), journal.run("k") as run:
        run.step(POST, fire)
    with opened(journal_url) as journal, journal.run("k") as run:
        for _time in range(2):
            with pytest.raises(InDoubtError, match="Nobody knows whether step 1"):
                run.step(POST, fire)

    assert len(fire.keys) == 1


def test_in_doubt_and_repeatable_is_repeated_with_the_same_key(journal_url: str) -> None:
    fire = Effects()
    step = replace(POST, repeatable=True)
    with opened(journal_url, at=stop_at("after effect")) as journal, pytest.raises(Stop), journal.run("k") as run:
        run.step(step, fire)
    with opened(journal_url) as journal, journal.run("k") as run:
        run.step(step, fire)
        (row,) = journal.store.steps(run.run_id)

    assert len(fire.keys) == 2
    assert fire.keys[0] == fire.keys[1]
    assert (row.state, row.attempt) == (State.DONE, 2)


def test_an_effect_that_surely_did_not_happen_is_fired_again_by_the_next(journal: Journal) -> None:
    def refuse(_key: str) -> None:
        raise EffectError("no", not_done=True)

    fire = Effects()
    with pytest.raises(EffectError), journal.run("k") as run:
        run.step(POST, refuse)
    (row,) = journal.store.steps(run_id_of("k"))
    assert (row.state, row.error) == (State.NOT_DONE, "no")
    with journal.run("k") as run:
        run.step(POST, fire)

    assert len(fire.keys) == 1


# how the first try ends: surely not done, worth another try; found by looking -> how often it is fired, and is it done
TRIES = [
    (EffectError("later", not_done=True, again_in_s=0), None, 2, True),
    (EffectError("lost", again_in_s=0), {"number": 1}, 1, True),
    (EffectError("lost", again_in_s=0), None, 2, True),
    (EffectError("never", not_done=True), None, 1, False),
]


@pytest.mark.parametrize(("error", "found", "fired", "done"), TRIES)
def test_what_may_be_tried_again_at_once(journal: Journal, error: EffectError, found: Any, fired: int, done: bool) -> None:
    effects = Effects()

    def fire(key: str) -> Any:
        answer = effects(key)
        if len(effects.keys) == 1:
            raise error
        return answer

    with journal.run("k") as run:
        with suppress(EffectError):
            run.step(POST, fire, look=lambda: found)
        (row,) = journal.store.steps(run.run_id)

    assert (len(effects.keys), row.state is State.DONE) == (fired, done)


def test_an_unknown_outcome_without_a_way_to_look_is_not_tried_again(journal: Journal) -> None:
    effects = Effects()

    def fire(key: str) -> None:
        effects(key)
        raise EffectError("lost", again_in_s=0)

    with journal.run("k") as run, pytest.raises(EffectError):
        run.step(POST, fire)

    assert len(effects.keys) == 1


def test_an_effect_that_should_last_is_fired_again_when_somebody_undid_it(journal: Journal) -> None:
    fire = Effects()
    there: dict[str, int] | None = None
    lasting = replace(POST, lasting=True)
    with journal.run("k") as run:
        run.step(lasting, fire, look=lambda: there)
        there = {"number": 1}
        run.step(lasting, fire, look=lambda: there)
        assert len(fire.keys) == 1
        there = None
        run.step(lasting, fire, look=lambda: there)

    assert len(fire.keys) == 2


@pytest.mark.parametrize("step", [replace(POST, name="edit"), replace(POST, request={"text": "bye"})])
def test_another_step_at_the_same_place_is_an_error_that_says_which(journal: Journal, step: Step) -> None:
    with journal.run("k") as run:
        run.step(POST, Effects())
        with pytest.raises(DriftError, match=f"Step 1 of run {run.run_id} has another (name|request)"):
            run.step(step, Effects())


# ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_fact_is_found_again_by_this_run_and_on_demand_by_any(journal: Journal) -> None:
    fact = Step(2, "count", {"table": "orders"})
    with journal.run("first") as run:
        assert run.recall(fact) is None
        run.record(fact, {"rows": 3})
    with journal.run("second") as run:
        assert run.recall(fact) is None
        found = run.recall(replace(fact, step_id=9), of_any_run=True)

    assert found is not None
    assert (found.response, found.key) == ({"rows": 3}, "first")


def test_asked_for_anew_nothing_that_was_found_out_counts(journal: Journal) -> None:
    fact = Step(2, "count", {"table": "orders"})
    with journal.run("k") as run:
        run.record(fact, {"rows": 3})
    with journal.run("k", anew=True) as run:
        assert run.recall(fact, of_any_run=True) is None
        run.record(fact, {"rows": 4})
    with journal.run("k") as run:
        found = run.recall(fact)

    assert found is not None
    assert found.response == {"rows": 4}


def test_a_retired_answer_is_not_given_again(journal: Journal) -> None:
    fact = Step(2, "count", {"table": "orders"})
    with journal.run("k") as run:
        run.record(fact, {"rows": 3})
        run.retire()
    with journal.run("k") as again, journal.run("other") as other:
        assert again.lease.generation == 2
        assert again.recall(fact, of_any_run=True) is other.recall(fact, of_any_run=True) is None


# ── Leases ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_who_comes_second_waits_and_gets_the_result(journal_url: str) -> None:
    fire, entered, told = Effects(), threading.Event(), list[str]()

    def first() -> None:
        with opened(journal_url) as journal, journal.run("k") as run:
            entered.set()
            while not told:
                threading.Event().wait(0.01)
            run.step(POST, fire)

    def second() -> Any:
        entered.wait()
        with opened(journal_url) as journal, journal.run("k", waiting=told.append) as run:
            return run.step(POST, fire)

    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(second)
        threads.submit(first).result()
        done = waiting.result()

    assert (len(fire.keys), done.replayed) == (1, True)
    assert "process" in told[0]


@pytest.mark.parametrize("time", range(20))
def test_eight_runners_racing_on_one_key(journal_url: str, time: int) -> None:
    fire = Effects()
    start = threading.Barrier(8)

    def run_it(_number: int) -> Any:
        start.wait()
        with opened(journal_url) as journal, journal.run(f"k{time}") as run:
            return run.step(POST, fire).response

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(run_it, range(8)))

    assert answers == [{"number": 1}] * 8
    assert len(fire.keys) == 1


def test_a_lease_that_runs_out_is_taken_over_and_the_stale_one_writes_nothing(journal_url: str) -> None:
    fire = Effects()
    with opened(journal_url, lease_s=0.5) as stale, opened(journal_url, lease_s=30) as fresh:
        stale._stop.set()  # its heart stands still, as in a process that was stopped
        old = stale.acquire("k", Kind.REHEARSAL)
        new = fresh.acquire("k", Kind.REHEARSAL)
        assert new.lease.token == old.lease.token + 1

        for attempt in (
            lambda: old.step(POST, fire),
            lambda: old.record(replace(POST, step_id=2), {}),
            old.check,
        ):
            with pytest.raises(FencedError, match="taken this run over"):
                attempt()
        old.release()

        assert fire.keys == []
        new.step(POST, fire)
        assert len(fire.keys) == 1


def test_a_stale_runner_that_wakes_between_intent_and_effect_does_not_fire(journal_url: str) -> None:
    fire = Effects()
    taken: list[Run] = []
    with opened(journal_url, lease_s=30) as fresh:

        def sleep_too_long(_step: Step, point: str) -> None:
            if point == "after intent":
                taken.append(fresh.acquire("k", Kind.REHEARSAL))

        with opened(journal_url, lease_s=0.5, at=sleep_too_long) as stale:
            stale._stop.set()
            with pytest.raises(FencedError):
                stale.acquire("k", Kind.REHEARSAL).step(POST, fire)

        assert fire.keys == []


def test_a_heartbeat_keeps_a_lease_for_as_long_as_the_work_takes(journal_url: str) -> None:
    with (
        opened(journal_url, lease_s=0.6) as one,
        opened(journal_url) as other,
        one.run("k"),
        pytest.raises(BusyError, match="Another process works on the run k"),
    ):
        other.acquire("k", Kind.REHEARSAL, wait_s=2)


def test_a_holder_that_is_gone_is_seen_to_be() -> None:
    import json
    import subprocess
    import sys

    holder = this_process()
    assert not is_gone(holder)
    code = "from bot.journal.holder import this_process; print(this_process())"
    dead = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert is_gone(dead)
    assert not is_gone(json.dumps({**json.loads(dead), "machine": "elsewhere"}))
    assert not is_gone("nonsense")


# ── The tables ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_that_start_at_once_make_the_tables_once(journal_database: str) -> None:
    def start(_number: int) -> None:
        Store(journal_database).close()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(start, range(8)))
    with psycopg.connect(journal_database) as connection:
        assert connection.execute("SELECT version FROM journal_schema").fetchall() == [(1,)]


# what a database holds already -> what is said
FOREIGN = [
    ("CREATE TABLE runs (id int)", "a table runs that is not the journal's"),
    ("CREATE TABLE journal_schema (version int); INSERT INTO journal_schema VALUES (99)", "have version 99"),
    ("REVOKE CREATE ON SCHEMA public FROM public; CREATE ROLE {role} LOGIN", "can't be made"),
]


@pytest.mark.parametrize(("made", "said"), FOREIGN)
def test_a_database_that_will_not_do(journal_database: str, made: str, said: str) -> None:
    role = f"journal_{abs(hash(journal_database))}"
    with psycopg.connect(journal_database, autocommit=True) as connection:
        connection.execute(made.format(role=role).encode())
    with pytest.raises(JournalError, match=said):
        Store(psycopg.conninfo.make_conninfo(journal_database, user=role) if "{role}" in made else journal_database)


def test_a_schema_of_its_own(journal_database: str) -> None:
    with psycopg.connect(journal_database, autocommit=True) as connection:
        connection.execute("CREATE TABLE runs (id int); CREATE SCHEMA rehearsal")
    url = psycopg.conninfo.make_conninfo(journal_database, options="-csearch_path=rehearsal")
    with opened(url) as journal, journal.run("k") as run:
        run.step(POST, Effects())


def test_a_url_that_can_t_be_read_is_not_shown() -> None:
    with pytest.raises(UsageError) as caught:
        Store("postgresql://user:secret@[broken")
    assert "secret" not in "\n".join(caught.value.lines())


def test_a_server_that_does_not_answer(tmp_path: Any) -> None:
    with pytest.raises(UnreachableError, match="does not answer"):
        Store(f"host={tmp_path} dbname=x password=secret", patience_s=0.2)


# ── Sealing ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

SECRET = replace(POST, secret=True)


def test_a_secret_response_is_sealed_and_opened_again(journal_url: str) -> None:
    with opened(journal_url, seal=seal_of(KEY)) as journal:
        for _time in range(2):
            with journal.run("k") as run:
                done = run.step(SECRET, lambda _key: {"url": "postgresql://u:hush@h/d"})
        (row,) = journal.store.steps(run.run_id)

    assert done.response == {"url": "postgresql://u:hush@h/d"}
    assert "hush" not in str(row)
    assert set(row.response_body) == {"sealed", "key"}


def test_without_a_key_a_secret_is_not_stored_and_fetched_anew(journal: Journal) -> None:
    with journal.run("k") as run:
        run.step(SECRET, lambda _key: {"url": "hush"})
        (row,) = journal.store.steps(run.run_id)
        again = run.step(SECRET, Effects(), look=lambda: {"url": "hush"})

    assert row.response_body is None
    assert again.response == {"url": "hush"}


def test_an_old_key_in_a_second_line_still_opens(journal_url: str) -> None:
    with opened(journal_url, seal=seal_of(KEY)) as journal, journal.run("k") as run:
        run.step(SECRET, Effects())
    with opened(journal_url, seal=seal_of(f"{'n' * 32}\n{KEY}")) as journal, journal.run("k") as run:
        assert run.step(SECRET, Effects()).response == {"number": 1}


def test_a_sealed_response_that_can_t_be_opened(journal_url: str) -> None:
    with opened(journal_url, seal=seal_of(KEY)) as journal:
        with journal.run("k") as run:
            run.step(SECRET, Effects())
        with journal.run("other") as run:
            run.step(SECRET, Effects())
            moved = "UPDATE journal SET response_body = (SELECT response_body FROM journal WHERE run_id = %s) WHERE run_id = %s"
            with psycopg.connect(journal_url) as connection:
                connection.execute(moved, (run_id_of("k"), run.run_id))
            with pytest.raises(SealedError, match="was changed"):
                run.step(SECRET, Effects())
    for seal, said in ((seal_of("n" * 32), "another key"), (None, "is sealed")):
        with opened(journal_url, seal=seal) as journal, journal.run("k") as run, pytest.raises(SealedError, match=said):
            run.step(SECRET, Effects())


def test_a_short_key_is_refused() -> None:
    with pytest.raises(UsageError, match="fewer than 16"):
        seal_of("hunter2")


# ── When its server is away ──────────────────────────────────────────────────────────────────────────────────────────────────


def end_connections(url: str) -> None:
    """What a restart of the server does to everybody who is connected."""
    with psycopg.connect(url, autocommit=True, application_name="restart") as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'migration-rehearsal journal'"
        )


def test_a_connection_that_breaks_between_any_two_points_is_made_again(journal_url: str) -> None:
    fire = Effects()
    with opened(journal_url, at=lambda _step, _point: end_connections(journal_url)) as journal, journal.run("k") as run:
        run.step(POST, fire)
        run.step(replace(POST, step_id=2, alone="the comment"), fire)
        run.record(replace(POST, step_id=3), {"rows": 1})

        assert len(fire.keys) == 2
        assert [row.state for row in journal.store.steps(run.run_id)] == [State.DONE] * 3


def test_a_journal_that_is_away_when_a_run_is_taken(journal_url: str) -> None:
    fire = Effects()
    with closing(Journal(Store(journal_url, patience_s=0.3), go_on=True)) as journal:
        journal.store._patiently_pooled = _away  # type: ignore[method-assign,assignment]
        with journal.run("k") as run:
            assert run.recall(POST) is None
            run.step(replace(POST, alone="it"), fire)
            run.record(replace(POST, step_id=2), {})
        assert isinstance(journal.lost, UnreachableError)

    assert len(fire.keys) == 1


def test_a_lock_that_nobody_lets_go_of_hangs_nobody(journal_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.journal.store.LOCK_TIMEOUT", "200ms")
    with opened(journal_url) as journal, journal.run("k") as run:
        with psycopg.connect(journal_url) as idle:
            idle.execute("LOCK TABLE runs")
            with pytest.raises(UnreachableError, match="lock timeout"):
                run.step(POST, Effects())
        run.step(POST, Effects())


def test_a_lost_journal_stops_or_goes_on_as_it_was_asked(journal_url: str) -> None:
    fire = Effects()
    for go_on in (False, True):
        with closing(Journal(Store(journal_url, patience_s=0.3), go_on=go_on)) as journal:
            run = journal.acquire(f"k {go_on}", Kind.REHEARSAL)
            journal.store._pool.close()
            journal.store._patiently_pooled = _away  # type: ignore[method-assign,assignment]
            if go_on:
                assert run.step(POST, fire).response == {"number": 1}
                assert run.recall(replace(POST, step_id=2)) is None
                run.record(replace(POST, step_id=2), {})
                assert isinstance(journal.lost, UnreachableError)
            else:
                with pytest.raises(UnreachableError):
                    run.step(POST, fire)

    assert len(fire.keys) == 1


def _away(_work: Any, patience_s: float | None = None) -> Any:
    raise UnreachableError("gone")


def test_a_server_that_takes_what_we_send_and_never_answers(journal_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.journal.store.DEADLINE_S", 0.3)
    with closing(Store(journal_url, patience_s=0.2)) as store:
        before = time.monotonic()
        with pytest.raises(UnreachableError):
            store._patiently_pooled(lambda connection: connection.execute("SELECT pg_sleep(60)"))
        assert time.monotonic() - before < 30  # not a measure: it came back at all


def test_letting_go_late_changes_nothing_of_the_next_holder(journal_url: str) -> None:
    with opened(journal_url, lease_s=0.3) as stale, opened(journal_url) as fresh:
        stale._stop.set()
        old = stale.acquire("k", Kind.REHEARSAL)
        fresh.acquire("k", Kind.REHEARSAL)
        old.release()

        assert [run.leased for run in fresh.store.runs()] == [True]


def test_the_first_idempotency_key_stays(journal_url: str) -> None:
    fire = Effects()
    first, second = replace(POST, key="mine", repeatable=True), replace(POST, key="another", repeatable=True)
    with opened(journal_url, at=stop_at("after effect")) as journal, pytest.raises(Stop), journal.run("k") as run:
        run.step(first, fire)
    with opened(journal_url) as journal, journal.run("k") as run:
        run.step(second, fire)

    assert fire.keys == ["mine", "mine"]


# ── For people ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_prune_keeps_what_is_young_worked_on_or_in_doubt(journal_url: str) -> None:
    with opened(journal_url) as journal:
        with journal.run("old") as run:
            run.step(POST, Effects())
        with journal.run("doubtful") as run, pytest.raises(RehearsalError):
            run.step(POST, _lose)
        with journal.run("young"):
            pass
        with psycopg.connect(journal_url) as connection:
            connection.execute("UPDATE runs SET started_at = '2020-01-01', finished_at = '2020-01-01' WHERE key <> 'young'")
            connection.execute("UPDATE journal SET started_at = '2020-01-01', completed_at = '2020-01-01' WHERE state = 'done'")
            connection.execute("UPDATE journal SET started_at = '2020-01-01' WHERE state <> 'done'")
        with journal.run("busy"):
            assert journal.store.prune(timedelta(days=30)) == (1, 1)
            assert {r.key for r in journal.store.runs()} == {"doubtful", "young", "busy"}
            assert journal.store.prune(timedelta(days=30), in_doubt=True) == (1, 0)


def _lose(_key: str) -> None:
    raise EffectError("the answer was lost")
