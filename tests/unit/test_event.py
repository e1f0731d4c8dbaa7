"""Events: what each asks for."""

from __future__ import annotations

from typing import Any

import pytest

from bot.errors import EventError
from bot.event import asks_anew, read_event
from bot.model import Ignored, PullRequest


def pull_request(action: str = "synchronize", head_repo: str | None = "o/r") -> dict[str, Any]:
    return {
        "action": action,
        "pull_request": {
            "number": 7,
            "head": {"sha": "b" * 40, "repo": {"full_name": head_repo} if head_repo else None},
            "base": {"sha": "a" * 40, "ref": "main", "repo": {"full_name": "o/r"}},
        },
    }


def check_run(action: str = "rerequested", name: str = "migration-rehearsal") -> dict[str, Any]:
    run = {"name": name, "head_sha": "b" * 40, "pull_requests": []}
    return {"action": action, "check_run": run, "repository": {"default_branch": "trunk"}}


def read(name: str, payload: dict[str, Any], number: int | None = None) -> PullRequest | Ignored:
    return read_event(name, payload, repository="o/r", sha="c" * 40, number=number)


FROM_FORK = PullRequest("o/r", "b" * 40, "a" * 40, 7, "main", from_fork=True)
OWN = PullRequest("o/r", "b" * 40, "a" * 40, 7, "main")
EVENTS = {
    "opened": ("pull_request", pull_request("opened"), OWN),
    "pushed to": ("pull_request", pull_request(), OWN),
    "from a fork": ("pull_request", pull_request(head_repo="x/r"), FROM_FORK),
    "from a fork that is gone": ("pull_request", pull_request(head_repo=None), FROM_FORK),
    "merge queue": (
        "merge_group",
        {"merge_group": {"head_sha": "b" * 40, "base_sha": "a" * 40, "base_ref": "refs/heads/main"}},
        PullRequest("o/r", "b" * 40, "a" * 40, base_ref="refs/heads/main"),
    ),
    "a check run asked for again": (
        "check_run",
        check_run(),
        PullRequest("o/r", "b" * 40, "", base_ref="trunk"),
    ),
    "by hand on a branch": (
        "workflow_dispatch",
        {"repository": {"default_branch": "trunk"}},
        PullRequest("o/r", "c" * 40, "", base_ref="trunk"),
    ),
}


@pytest.mark.parametrize(("name", "payload", "expected"), EVENTS.values(), ids=EVENTS.keys())
def test_what_an_event_asks_for(name: str, payload: dict[str, Any], expected: PullRequest) -> None:
    assert read(name, payload) == expected


def test_by_hand_for_a_pull_request() -> None:
    payload = {"repository": {"default_branch": "main"}}

    assert read("workflow_dispatch", payload, number=9) == PullRequest("o/r", "", "", 9, "main")


NOTHING = [
    ("push", {}),
    ("schedule", {}),
    ("pull_request", pull_request("closed")),
    ("check_run", check_run("completed")),
    ("check_run", check_run(name="lint")),
]


@pytest.mark.parametrize(("name", "payload"), NOTHING)
def test_events_that_ask_for_nothing(name: str, payload: dict[str, Any]) -> None:
    assert isinstance(read(name, payload), Ignored)


@pytest.mark.parametrize("payload", [{}, {"pull_request": None}, {"pull_request": {"head": []}}, {"pull_request": {"head": 3}}])
def test_a_payload_that_github_would_not_send(payload: dict[str, Any]) -> None:
    with pytest.raises(EventError, match="lacks what GitHub puts there"):
        read("pull_request", payload)


def test_a_check_run_without_a_commit() -> None:
    with pytest.raises(EventError, match="lacks what GitHub puts there"):
        read("check_run", {"action": "rerequested", "check_run": {"name": "migration-rehearsal"}})


def test_only_a_check_run_asked_for_again_wants_a_new_answer() -> None:
    names = ["pull_request", "pull_request_target", "merge_group", "workflow_dispatch", "check_run"]

    assert [name for name in names if asks_anew(name)] == ["check_run"]
