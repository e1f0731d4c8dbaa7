"""Clones of a service and the journal: however a run ends, each clone is given back, if not by it then by the next."""

from __future__ import annotations

import signal

import psycopg
import pytest

from tests.fix_action import ROOT, Action
from tests.fix_clones import Staging

TWO = {
    "db/migrations/1_total.sql": "ALTER TABLE orders ADD total int;\nUPDATE orders SET total = 1;\n",
    "db/migrations/2_total.sql": "ALTER TABLE orders ALTER total SET NOT NULL;\n",
}
EFFECTS = ("before intent", "after intent", "after effect", "after result")
POINTS = [(name, point) for name in ("get clone 0", "give clone 0 back") for point in EFFECTS]
# The one in which is counted what tables held before.
POINTS += [("get clone 1", "after effect"), ("give clone 1 back", "before intent")]
POINTS += [("clone", "after result"), ("rehearse db/migrations/1_total.sql", "after result"), ("report", "before result")]


def of_service(staging: Staging, journal_url: str) -> dict[str, str]:
    return {
        "seed": "",
        "clone_provider": "server",
        "clone_url": staging.url,
        "journal_url": journal_url,
    }


@pytest.mark.parametrize(("name", "point"), POINTS, ids=[f"{name}, {point}".replace("/", "-") for name, point in POINTS])
def test_killed_anywhere_the_next_run_gives_all_clones_back(
    action: Action, staging: Staging, journal_url: str, name: str, point: str
) -> None:
    pull = action.open_pull(TWO)
    inputs = of_service(staging, journal_url)

    killed = action.process(pull, name, point, **inputs)
    killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL
    again = action.process(pull, **inputs)
    log, _nothing = again.communicate(timeout=120)

    assert again.returncode == 0, log
    assert "2 migrations rehearsed: nothing breaks" in action.comments()[0]
    assert staging.clones() == []
    (state,) = [status.state for status in action.repo.statuses_of(pull.head_sha) if status.state != "pending"]
    assert state == "success"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_it_gives_its_clones_back_itself(
    action: Action, staging: Staging, journal_url: str, number: signal.Signals
) -> None:
    pull = action.open_pull({"db/migrations/1_slow.sql": "SELECT pg_sleep(60)"})
    program = (str(ROOT / "entrypoint.py"),)
    running = action.process(pull, program=program, **of_service(staging, journal_url))
    wait_until_slow(staging)
    assert len(staging.clones()) == 1

    running.send_signal(number)
    log, _nothing = running.communicate(timeout=60)

    assert running.returncode == 130, log
    assert staging.clones() == []


def wait_until_slow(staging: Staging) -> None:
    """Until the migration runs."""
    for _try in range(600):
        row = staging.cluster.session.execute(
            "SELECT count(*), pg_sleep(0.05) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND datname LIKE 'mr-%'"
        ).fetchone()
        if row and row[0]:
            return
    raise AssertionError("the migration does not run")


def test_a_rerun_replays_and_gets_no_clone(action: Action, staging: Staging, journal_url: str) -> None:
    pull = action.open_pull(TWO)
    inputs = of_service(staging, journal_url)
    _status, first = action.run_pull(pull, **inputs)

    status, log = action.run_pull(pull, **inputs)

    assert (status, "replayed from the journal" in log) == (0, True)
    assert ("get a clone" in first, "get a clone" in log) == (True, False)


def test_new_data_are_rehearsed_on_anew(action: Action, staging: Staging, journal_url: str) -> None:
    """A replay of what was found on yesterday's data would be no answer about today's."""
    pull = action.open_pull(TWO)
    inputs = of_service(staging, journal_url)
    action.run_pull(pull, **inputs)
    with psycopg.connect(staging.url, autocommit=True) as connection:
        connection.execute("INSERT INTO orders VALUES (1000)")
        connection.execute("SELECT pg_stat_force_next_flush()")

    _status, log = action.run_pull(pull, **inputs)

    assert "replayed from the journal" not in log
