"""The action with a journal: replays, resumes, every effect once. Its journal is a real PostgreSQL, GitHub is the fake."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bot.action import github_of, run_action
from bot.errors import GitHubError, SeedError
from bot.github_client import GitHub
from bot.journal.opening import open_journal
from bot.journal.place import Place
from bot.journal.runs import Journal
from bot.progress import Progress
from bot.settings import action_settings
from tests.contract.fake_github import Pull
from tests.fix_action import BAD, GOOD, ROOT, Action
from tests.fix_postgres import Restartable

TWO = {
    "db/migrations/1_total.sql": "ALTER TABLE orders ADD total int;\nUPDATE orders SET total = 1 WHERE id <= 30;\n",
    "db/migrations/2_email.sql": "ALTER TABLE orders ALTER total SET NOT NULL;\n",
}
FIRST, SECOND = (f"rehearse {path}" for path in TWO)
EFFECTS = ("before intent", "after intent", "after effect", "after result")
FACTS = ("before result", "after result")
POINTS = [(name, point) for name in ("status pending", "comment", "status") for point in EFFECTS]
POINTS += [(name, point) for name in ("clone", FIRST, SECOND, "report") for point in FACTS]
BY_BOTH = {"check": "both"}
BOTH_POINTS = [(name, point) for name in ("check run begun", "check run") for point in EFFECTS]
BOTH_POINTS += [("status", "after effect"), ("comment", "after intent"), (SECOND, "before result")]  # with one begun


RESTART_AT = [
    ("status pending", "after intent"),
    (FIRST, "before result"),
    ("comment", "after effect"),
    ("status", "before intent"),
]


def writes(action: Action) -> list[str]:
    """What was changed at GitHub, in order."""
    paths = [re.sub(r"/\d+$", "/ID", re.sub("[0-9a-f]{40}", "SHA", request.path)) for request in action.github.writes]
    return [f"{request.method} {path}" for request, path in zip(action.github.writes, paths, strict=True)]


def states(action: Action, pull: Pull) -> list[str]:
    """The states that were set, in order."""
    return [status.state for status in reversed(action.repo.statuses_of(pull.head_sha))]


def ends(action: Action, pull: Pull) -> list[str | None]:
    """How the check runs ended, in order; one that is in progress has no end."""
    return [conclusion for _status, conclusion, _title in action.checks(pull.head_sha)]


def report(action: Action) -> Any:
    return json.loads((action.workspace / "migration-rehearsal.json").read_text())


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    log, _nothing = process.communicate(timeout=120)
    return process.returncode, log


def leftovers(folder: Path) -> list[str]:
    """What our processes left in a folder for temporary files; a killed one's holder needs a moment."""
    deadline = time.monotonic() + 20
    while (left := [path.name for path in folder.glob("mr-*")]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


# ── Replays ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_rerun_of_the_same_commit_replays(action: Action, journal_url: str) -> None:
    pull = action.open_pull(BAD)
    first = action.run_pull(pull, journal_url=journal_url)
    before, first_report = writes(action), report(action)

    status, log = action.run_pull(pull, journal_url=journal_url)

    assert (first[0], status) == (1, 1)
    assert writes(action) == before
    assert "PostgreSQL" not in log  # no server was started
    assert "replayed from the journal, where it has been since 20" in log
    assert "::error file=db/migrations/1_email.sql,line=2" in log
    assert report(action)["run"]["replayed"]
    assert report(action)["migrations"] == first_report["migrations"]
    assert "Replayed from the journal" in (action.workspace / "summary").read_text()


@pytest.mark.parametrize("check", ["status", "check-run", "both"])
def test_a_replay_writes_nothing_however_it_is_reported(action: Action, journal_url: str, check: str) -> None:
    pull = action.open_pull(TWO)
    action.run_pull(pull, journal_url=journal_url, check=check)
    before = writes(action)

    action.run_pull(pull, journal_url=journal_url, check=check)

    assert writes(action) == before


def test_who_wants_a_check_run_later_gets_one_from_the_journal(action: Action, journal_url: str) -> None:
    pull = action.open_pull(TWO)
    action.run_pull(pull, journal_url=journal_url)

    _status, log = action.run_pull(pull, journal_url=journal_url, **BY_BOTH)

    assert "PostgreSQL" not in log
    assert ends(action, pull) == ["failure"]
    assert len(action.check(pull.head_sha).annotations) == 1


def test_what_may_be_otherwise_the_next_time_is_not_replayed(action: Action, journal_url: str) -> None:
    pull = action.open_pull({"db/migrations/1_slow.sql": "SET statement_timeout = '50ms';\nSELECT pg_sleep(9);"})
    for _time in range(2):
        status, log = action.run_pull(pull, journal_url=journal_url)
        assert (status, "rehearse db/migrations/1_slow.sql" in log) == (1, True)

    assert len(action.comments()) == 1


def test_nothing_to_rehearse_is_replayed_too(action: Action, journal_url: str) -> None:
    pull = action.open_pull({"app.py": "print()"})
    for _time in range(2):
        assert action.run_pull(pull, journal_url=journal_url)[0] == 0

    assert writes(action) == ["POST /repos/octo/shop/statuses/SHA"]


def test_forced_it_rehearses_anew_and_writes_only_what_changed(action: Action, journal_url: str) -> None:
    pull = action.open_pull(BAD)
    action.run_pull(pull, journal_url=journal_url)

    status, log = action.run_pull(pull, journal_url=journal_url, rerun="force")

    assert status == 1
    assert "rehearse db/migrations/1_email.sql" in log
    assert not report(action)["run"]["replayed"]
    assert len(action.comments()) == 1


# what another run has in its own way -> whether its answer may be this one's
OTHER: list[tuple[dict[str, str], bool]] = [
    ({}, True),
    ({"comment": "false"}, True),
    ({"check": "both"}, True),
    ({"neutral_warnings": "true"}, False),
    ({"fail_on": "never"}, False),
    ({"large_table_rows": "1"}, False),
    ({"time_limit": "1"}, False),
    ({"seed_sql": "event.json.sql"}, False),
    ({"seed": ""}, False),
    ({"show_row_data": "true"}, False),
]


@pytest.mark.parametrize(("inputs", "same"), OTHER, ids=str)
def test_what_decides_the_answer_is_in_the_key(action: Action, journal_url: str, inputs: dict[str, str], same: bool) -> None:
    (action.workspace / "event.json.sql").write_text("INSERT INTO orders VALUES (1000, NULL);")
    pull = action.open_pull(GOOD)
    action.run_pull(pull, journal_url=journal_url)

    action.run_pull(pull, journal_url=journal_url, **inputs)

    assert report(action)["run"]["replayed"] is same


def test_another_seed_under_the_same_name_is_another_question(action: Action, journal_url: str) -> None:
    pull = action.open_pull(GOOD)
    seed = action.workspace / "other.sql"
    seed.write_text("CREATE TABLE orders (id int);")
    action.run_pull(pull, journal_url=journal_url, seed="other.sql")
    seed.write_text("CREATE TABLE orders (id int); INSERT INTO orders VALUES (1);")

    action.run_pull(pull, journal_url=journal_url, seed="other.sql")

    assert report(action)["clone"]["seed"]["rows"] == 1


def test_a_new_commit_with_the_same_migrations_reuses_the_rehearsals_and_says_so(action: Action, journal_url: str) -> None:
    pull = action.open_pull(TWO)
    action.run_pull(pull, journal_url=journal_url)

    status, log = action.run_pull(action.push({**TWO, "app.py": "print(1)"}), journal_url=journal_url)

    assert status == 1
    assert "PostgreSQL" not in log
    assert f"2 of 2 rehearsals reused from {pull.head_sha[:7]}" in action.comments()[0].replace("\\", "")
    assert not report(action)["run"]["replayed"]
    assert action.status(action.repo.pulls[7].head_sha)[1] == "failure"


def test_of_a_commit_that_adds_one_only_that_one_is_rehearsed(action: Action, journal_url: str) -> None:
    """And what it finds is what it would have found in one go."""
    first = {"db/migrations/1_total.sql": TWO["db/migrations/1_total.sql"]}
    action.run_pull(action.open_pull(first), journal_url=journal_url)

    _status, log = action.run_pull(action.push(TWO), journal_url=journal_url)
    resumed = report(action)["migrations"]
    action.run_pull(action.push(TWO))
    at_once = report(action)["migrations"]

    assert "rehearse db/migrations/1_total.sql" not in log
    assert "apply 1 migration rehearsed before" in log
    assert "rehearse db/migrations/2_email.sql" in log
    assert list(_differences(resumed, at_once)) == []
    assert resumed[1]["constraints"][0]["violations"] == 60


def _differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """Where two reports differ, but for times, the line of a table's longest statement, which is told by times, and bytes of log,
    which are a header more or less where a page of the log begins.
    """
    if isinstance(one, dict) and isinstance(other, dict):
        by_chance = {k for k in one if k.endswith("_ms")} | {"wal_bytes"} | ({"line"} if "rows_before" in one else set())
        for key in (one.keys() | other.keys()) - by_chance:
            yield from _differences(one.get(key), other.get(key), f"{path}.{key}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differences(left, right, f"{path}[{number}]")
    elif one != other:
        yield f"{path}: {one!r} != {other!r}"


def test_going_back_to_an_earlier_commit_puts_its_comment_back(action: Action, journal_url: str) -> None:
    bad = action.open_pull(BAD)
    action.run_pull(bad, journal_url=journal_url)
    action.run_pull(action.push({**GOOD, "db/migrations/1_email.sql": "SELECT 1;"}), journal_url=journal_url)
    assert "30 of 90 rows" not in action.comments()[0]

    action.run_pull(action.repo.push(7, bad.head_sha), journal_url=journal_url)

    assert "30 of 90 rows" in action.comments()[0]
    assert report(action)["run"]["replayed"]


def test_what_somebody_deleted_or_overwrote_is_put_back(action: Action, journal_url: str) -> None:
    pull = action.open_pull(GOOD)
    action.run_pull(pull, journal_url=journal_url)
    action.run_pull(pull, journal_url=journal_url, seed="gone.dump")
    assert action.status(pull.head_sha)[1] == "error"

    status, log = action.run_pull(pull, journal_url=journal_url)

    assert (status, action.status(pull.head_sha)[1]) == (0, "success")
    assert "could not be done" not in action.comments()[0]
    assert "PostgreSQL" not in log


def test_an_error_is_no_answer_and_is_not_replayed(action: Action, journal_url: str) -> None:
    pull = action.open_pull(GOOD)
    for _time in range(2):
        status, _log = action.run_pull(pull, journal_url=journal_url, seed="gone.dump")
        assert (status, action.status(pull.head_sha)[1]) == (3, "error")
    (action.workspace / "gone.dump").write_text("CREATE TABLE orders (id int);")

    assert action.run_pull(pull, journal_url=journal_url, seed="gone.dump")[0] == 0
    assert action.status(pull.head_sha)[1] == "success"


def test_a_token_that_could_not_write_may_write_the_next_time(action: Action, journal_url: str) -> None:
    from tests.contract.fake_github import Access

    action.github.tokens["read"] = Access("github-actions[bot]", write=False)
    pull = action.open_pull(BAD)
    action.run_pull(pull, token="read", journal_url=journal_url)
    assert action.comments() == []

    _status, log = action.run_pull(pull, journal_url=journal_url)

    assert len(action.comments()) == 1
    assert "PostgreSQL" not in log


def test_no_row_value_is_in_the_journal(action: Action, journal_url: str) -> None:
    pull = action.open_pull({"db/migrations/1_u.sql": "CREATE UNIQUE INDEX ON orders (email);"})
    action.run_pull(pull, journal_url=journal_url)
    with psycopg.connect(journal_url) as connection:
        told = str(connection.execute("SELECT response_body FROM journal").fetchall())

    assert "is duplicated" not in told
    assert "orders" in told


# ── Crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The place for temporary files of our processes alone. Its name is short: see make_folder()."""
    with tempfile.TemporaryDirectory(prefix="mr-scratch-") as name:
        Path(name).chmod(0o1777)  # as /tmp: the server's account removes its folders there
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


@pytest.mark.parametrize(("step", "point"), POINTS, ids=lambda value: value.replace(" ", "-").replace("/", "-"))
def test_killed_anywhere_it_resumes_and_does_everything_once(
    action: Action, journal_url: str, step: str, point: str, scratch: Path
) -> None:
    pull = action.open_pull(TWO)

    killed, _log = finished(action.process(pull, step, point, journal_url=journal_url))
    assert killed == -signal.SIGKILL
    status, log = finished(action.process(pull, journal_url=journal_url))

    assert status == 1, log
    assert states(action, pull) == ["pending", "failure"], log
    assert sorted(writes(action)) == [
        "POST /repos/octo/shop/issues/7/comments",
        "POST /repos/octo/shop/statuses/SHA",
        "POST /repos/octo/shop/statuses/SHA",
    ]
    assert states(action, pull) == ["pending", "failure"]
    assert len(action.comments()) == 1
    order = ["status pending", "clone", FIRST, SECOND, "report", "comment", "status"]
    for name in (FIRST, SECOND):
        was_kept = order.index(name) < order.index(step) or (name == step and point == "after result")
        assert (f"{name} …" in log) is not was_kept, f"{name} rehearsed twice, or not at all"
    assert leftovers(scratch) == []


@pytest.mark.parametrize(("step", "point"), BOTH_POINTS, ids=lambda value: value.replace(" ", "-").replace("/", "-"))
def test_killed_anywhere_there_is_one_check_run_and_each_annotation_once(
    action: Action, journal_url: str, step: str, point: str
) -> None:
    pull = action.open_pull(TWO)

    killed, _log = finished(action.process(pull, step, point, journal_url=journal_url, **BY_BOTH))
    assert killed == -signal.SIGKILL
    status, log = finished(action.process(pull, journal_url=journal_url, **BY_BOTH))

    assert status == 1, log
    assert ends(action, pull) == ["failure"], log
    annotated = [(said["path"], said["start_line"]) for said in action.check(pull.head_sha).annotations]
    assert annotated == sorted(set(annotated)) == [("db/migrations/2_email.sql", 1)]
    assert sorted(writes(action)) == [
        "PATCH /repos/octo/shop/check-runs/ID",
        "POST /repos/octo/shop/check-runs",
        "POST /repos/octo/shop/issues/7/comments",
        "POST /repos/octo/shop/statuses/SHA",
        "POST /repos/octo/shop/statuses/SHA",
    ]


@pytest.mark.parametrize("batches", [1, 2, 3])
def test_killed_between_two_batches_of_annotations_the_next_run_sends_the_others(
    action: Action, journal_url: str, batches: int
) -> None:
    indexes = "".join(f"CREATE INDEX i{n} ON orders (email);\n" for n in range(130))
    pull = action.open_pull({"db/migrations/1_indexes.sql": indexes})
    given = {"large_table_rows": "1", "fail_on": "never", "check": "check-run", "journal_url": journal_url}
    killed, _log = finished(action.process(pull, "batch", str(batches), **given))

    status, log = finished(action.process(pull, **given))

    assert (killed, status) == (-signal.SIGKILL, 0), log
    assert ends(action, pull) == ["success"]
    told = sorted((said["start_line"], said["title"]) for said in action.check(pull.head_sha).annotations)
    assert told == sorted((f["line"], f["rule"]) for f in report(action)["findings"] if f["line"])
    assert len(told) > 100


def test_cancelled_it_says_so_and_the_next_run_goes_on(action: Action, journal_url: str) -> None:
    slow = {"db/migrations/1_total.sql": TWO["db/migrations/1_total.sql"], "db/migrations/2_slow.sql": "SELECT pg_sleep(3);"}
    pull = action.open_pull(slow)
    process = action.process(pull, program=(str(ROOT / "entrypoint.py"),), journal_url=journal_url, **BY_BOTH)
    with psycopg.connect(journal_url, autocommit=True) as connection:
        while not _has_step(connection, FIRST):
            time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert finished(process)[0] == 130
    assert action.status(pull.head_sha)[1:] == ("error", "Cancelled before the rehearsal was done")

    status, log = action.run_pull(pull, journal_url=journal_url, **BY_BOTH)

    assert (status, FIRST in log) == (0, False)
    assert states(action, pull) == ["pending", "error", "pending", "success"]
    assert ends(action, pull) == ["cancelled", "success"]
    assert len(action.comments()) == 1


def _has_step(connection: psycopg.Connection, name: str) -> bool:
    there = connection.execute("SELECT to_regclass('journal')").fetchone()
    return bool(there and there[0] and connection.execute("SELECT FROM journal WHERE name = %s", (name,)).fetchone() is not None)


def test_eight_runners_with_the_same_key_at_once(action: Action, journal_url: str) -> None:
    pull = action.open_pull(TWO)
    all_of_them = [action.process(pull, journal_url=journal_url, **BY_BOTH) for _number in range(8)]
    ended = [finished(process) for process in all_of_them]

    assert [status for status, _log in ended] == [1] * 8
    assert states(action, pull) == ["pending", "failure"]
    assert ends(action, pull) == ["failure"]
    assert len(action.comments()) == 1
    assert sum(f"{FIRST} …" in log for _status, log in ended) == 1


# where it sleeps -> whether it finds the other's result when it looks; else it is about to write, and is refused
@pytest.mark.parametrize(("point", "refused"), [("before intent", False), ("after intent", True)])
def test_a_runner_that_sleeps_too_long_and_wakes_up_writes_nothing(
    action: Action, journal_url: str, point: str, refused: bool
) -> None:
    pull = action.open_pull(BAD)
    asleep = action.process(pull, "comment", point, "SIGSTOP", journal_url=journal_url)
    os.waitid(os.P_PID, asleep.pid, os.WSTOPPED | os.WNOWAIT)

    status, _log = finished(action.process(pull, journal_url=journal_url))
    before = writes(action)
    asleep.send_signal(signal.SIGCONT)
    woken, log = finished(asleep)

    assert (status, woken) == (1, 1)  # the sleeper ends with an exception, which entrypoint.py maps to 3
    assert ("Another process has taken this run over" in log) is refused
    assert writes(action) == before
    assert len(action.comments()) == 1


@pytest.mark.parametrize("shared", [True, False], ids=["one journal", "none"])
def test_two_that_look_for_the_comment_at_the_same_moment_make_one(
    action: Action, journal_url: str, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """The worst interleaving, forced: each has looked and found none before the other makes one."""
    both_looked = threading.Barrier(2)
    look = GitHub._own_comment

    def look_together(self: GitHub, number: int, marker: str) -> Any:
        found = look(self, number, marker)
        if found is None:
            with suppress(threading.BrokenBarrierError):
                both_looked.wait(3 if shared else 20)  # behind a lock they never meet
        return found

    monkeypatch.setattr(GitHub, "_own_comment", look_together)
    pull = action.open_pull(BAD)
    event = action.github.pull_request_event(action.repo, pull)
    settings = [
        action_settings(action.environment(event, journal_url=journal_url if shared else "", fail_on=fail_on))
        for fail_on in ("error", "warning")  # two questions
    ]
    with ThreadPoolExecutor() as threads:
        list(threads.map(lambda one: run_action(one, make_github=github_of, out=io.StringIO()), settings))

    assert len(action.comments()) == 1


def test_an_old_commit_run_again_leaves_the_comment_to_the_newer_one(action: Action, journal_url: str) -> None:
    old = action.open_pull(BAD)
    old_event, old_sha = action.github.pull_request_event(action.repo, old), old.head_sha
    action.run_pull(old, journal_url=journal_url)
    action.run_pull(action.push({**GOOD, "db/migrations/1_email.sql": "SELECT 1;"}), journal_url=journal_url)
    newest = action.comments()

    status, log = action.run(old_event, journal_url=journal_url)

    assert status == 1
    assert "has a newer commit" in log
    assert action.comments() == newest
    assert action.status(old_sha)[1] == "failure"


def test_runs_of_two_commits_at_once_make_one_comment(action: Action, journal_url: str) -> None:
    first = action.open_pull(BAD)
    process = action.process(first, journal_url=journal_url)
    other = action.process(action.push({**BAD, "db/migrations/2_x.sql": "SELECT 1;"}), journal_url=journal_url)

    assert [finished(one)[0] for one in (process, other)] == [1, 1]
    assert len(action.comments()) == 1


# ── GitHub's bad days ────────────────────────────────────────────────────────────────────────────────────────────────────────

FAULTS: list[tuple[Any, Any]] = [
    ("500", "before"), ("500", "after"), ("502", "after"), ("drop", "before"), ("drop", "after"),
    ("403-rate", "before"), ("403-primary", "before"), ("429", "before"),
]  # fmt: skip


@pytest.mark.parametrize("path", [r"/comments$", r"/statuses/"])
@pytest.mark.parametrize(("how", "when"), FAULTS)
def test_an_effect_whose_answer_was_lost_happens_once(action: Action, journal_url: str, path: str, how: Any, when: Any) -> None:
    pull = action.open_pull(GOOD)
    action.github.fail("POST", path, how=how, when=when, retry_after=1)

    status, _log = action.run_pull(pull, journal_url=journal_url)

    assert status == 0
    assert len(action.comments()) == 1
    assert states(action, pull) == ["pending", "success"]


def test_while_github_is_down_nothing_is_lost(action: Action, journal_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # it is asked again, and again: nobody has to wait for it here
    pull = action.open_pull(BAD)
    action.github.fail("POST", r"/comments$", how="drop", when="after", times=1)
    action.github.fail("POST", r"/comments$", how="500", times=100)
    action.github.fail("GET", r"/comments", how="500", times=100)
    with pytest.raises(GitHubError):
        action.run_pull(pull, journal_url=journal_url)
    assert action.status(pull.head_sha)[1] == "failure"  # set whatever became of the comment
    action.github._faults.clear()

    status, log = action.run_pull(pull, journal_url=journal_url)

    assert status == 1
    assert len(action.comments()) == 1
    assert "rehearse" not in log


# ── The journal's bad days ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_its_server_is_restarted_in_the_middle_of_a_run(action: Action, restartable: Restartable, mode: str) -> None:
    @contextmanager
    def opened(place: Place, progress: Progress) -> Iterator[Any]:
        with open_journal(place, progress) as journal:
            assert isinstance(journal, Journal)
            journal.at = lambda step, point: restartable.restart(mode) if (step.name, point) in RESTART_AT else None
            yield journal

    pull = action.open_pull(TWO)
    settings = action_settings(
        action.environment(action.github.pull_request_event(action.repo, pull), journal_url=restartable.url)
    )
    assert run_action(settings, make_github=github_of, make_journal=opened, out=io.StringIO()) == 1
    assert states(action, pull) == ["pending", "failure"]
    assert len(action.comments()) == 1
    assert len(writes(action)) == 3


@pytest.mark.parametrize("failure", ["stop", "continue"])
def test_an_error_is_told_though_the_journal_is_gone(
    action: Action, restartable: Restartable, monkeypatch: pytest.MonkeyPatch, failure: str
) -> None:
    monkeypatch.setattr("bot.journal.opening.PATIENCE_S", 0.3)

    def stop_and_stumble(*_arguments: object, **_more: object) -> None:
        restartable.stop()
        raise SeedError("The seed is broken.")

    monkeypatch.setattr("bot.run.embedded_server", stop_and_stumble)
    pull = action.open_pull(GOOD)
    status, _log = action.run_pull(pull, journal_url=restartable.url, journal_failure=failure)

    assert (status, states(action, pull)) == (3, ["pending", "error"])
    assert len(action.comments()) == 1


@pytest.mark.parametrize("name", ["migration-rehearsal.json", "summary"])
def test_the_status_is_set_though_a_file_can_not_be_written(action: Action, journal_url: str, name: str) -> None:
    (action.workspace / name).mkdir()
    pull = action.open_pull(GOOD)
    with suppress(OSError):
        action.run_pull(pull, journal_url=journal_url)

    assert action.status(pull.head_sha)[1] == "error"
    assert len(action.comments()) == 1


def test_a_waiting_runner_that_is_cancelled_leaves_the_status_alone(action: Action, journal_url: str) -> None:
    pull = action.open_pull(GOOD)
    worker = action.process(pull, "status", "after result", "SIGSTOP", journal_url=journal_url)
    os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WNOWAIT)
    with psycopg.connect(journal_url, autocommit=True) as connection:
        connection.execute("UPDATE runs SET lease_until = now() + interval '1 hour'")
    waiter = action.process(pull, program=(str(ROOT / "entrypoint.py"),), journal_url=journal_url)
    assert waiter.stdout
    while "waiting for its result" not in waiter.stdout.readline():
        pass
    waiter.send_signal(signal.SIGTERM)
    assert finished(waiter)[0] == 130
    worker.send_signal(signal.SIGCONT)
    finished(worker)

    assert states(action, pull) == ["pending", "success"]


def test_without_its_journal_it_stops_or_goes_on(action: Action, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bot.journal.opening.PATIENCE_S", 0.3)
    pull = action.open_pull(GOOD)
    away = f"host={tmp_path} dbname=journal password=hush"

    stopped, log = action.run_pull(pull, journal_url=away)
    assert (stopped, action.status(pull.head_sha)[1]) == (3, "error")
    assert "does not answer" in log
    assert "hush" not in log + action.comments()[0]

    status, _log = action.run_pull(pull, journal_url=away, journal_failure="continue")
    assert (status, action.status(pull.head_sha)[1]) == (0, "success")
    assert "Without the journal: The journal at" in action.comments()[0].replace("\\", "")
    assert len(action.comments()) == 1


@pytest.fixture
def kept() -> Iterator[Path]:
    """A folder that the server's account may enter, as a runner's is."""
    with tempfile.TemporaryDirectory(prefix="kept-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def test_the_default_journal_is_a_folder_that_a_workflow_can_keep(action: Action, kept: Path) -> None:
    pull = action.open_pull(BAD)
    action.run_pull(pull, journal_folder=str(kept / "home" / "journal"))
    before = writes(action)
    shutil.move(kept / "home", kept / "restored")  # by another job, to another place

    action.run_pull(pull, journal_folder=str(kept / "restored" / "journal"))

    assert report(action)["run"]["replayed"]
    assert writes(action) == before


def test_killed_with_its_own_journal_it_resumes_from_the_folder(action: Action, kept: Path) -> None:
    pull = action.open_pull(TWO)
    killed, _log = finished(action.process(pull, "comment", "after effect", journal_folder=str(kept)))
    status, log = finished(action.process(pull, journal_folder=str(kept)))

    assert (killed, status) == (-signal.SIGKILL, 1)
    assert len(writes(action)) == 3
    assert "rehearse" not in log


def test_a_journal_in_the_workspace_is_refused(action: Action) -> None:
    pull = action.open_pull(GOOD)
    status, log = action.run_pull(pull, journal_folder=".migration-rehearsal")

    assert status == 2
    assert "lies in the workspace" in log
    assert not (action.workspace / ".migration-rehearsal").exists()
