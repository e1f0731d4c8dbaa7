"""Event payload -> what to rehearse, or why nothing. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.errors import EventError
from bot.model import Ignored, PullRequest

_OURS = "migration-rehearsal"  # the name of our check run
_ACTIONS = frozenset(
    {"opened", "synchronize", "reopened", "ready_for_review", "edited", "labeled", "unlabeled", "converted_to_draft"}
)


def read_event(name: str, payload: Mapping[str, Any], *, repository: str, sha: str, number: int | None) -> PullRequest | Ignored:
    """Takes an event by its name and payload to a PullRequest, or Ignored with the reason.

    `sha` is the commit the workflow runs on and `number` the input `pull-request`: only workflow_dispatch needs them. For a
    number, and for a branch without one, `head_sha` and `base_sha` may be empty: they must be asked for. Raises EventError
    when the payload is not what GitHub sends.
    """
    try:
        if name in ("pull_request", "pull_request_target"):
            return _pull_request(payload, repository)
        if name == "merge_group":
            group = payload["merge_group"]
            return PullRequest(repository, _sha(group["head_sha"]), _sha(group["base_sha"]), base_ref=_name(group["base_ref"]))
        if name == "workflow_dispatch":
            branch = _name(payload["repository"]["default_branch"])
            return PullRequest(repository, "" if number else sha, "", number, base_ref=branch)
        if name == "check_run":
            return _check_run(payload, repository)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EventError(
            f"The payload of the event {name} lacks what GitHub puts there.",
            why=f"Looking for {error}.",
            advice="Check what GITHUB_EVENT_PATH points to.",
        ) from error
    return Ignored(f"the event {name} has no pull request; use pull_request, merge_group or workflow_dispatch")


def asks_anew(name: str) -> bool:
    """Whether an event that is not ignored asks for a new answer: who presses "Re-run" has the one that the journal holds."""
    return name == "check_run"


def _check_run(payload: Mapping[str, Any], repository: str) -> PullRequest | Ignored:
    """The pull request is asked for by the commit: the payload names none that comes from a fork."""
    run, action = payload["check_run"], _name(payload["action"])
    if action != "rerequested":
        return Ignored(f"the check run was {action}: only one that is asked for again is rehearsed")
    if (name := _name(run["name"])) != _OURS:
        return Ignored(f"the check run {name} is not {_OURS}'s")
    return PullRequest(repository, _sha(run["head_sha"]), "", base_ref=_name(payload["repository"]["default_branch"]))


def _pull_request(payload: Mapping[str, Any], repository: str) -> PullRequest | Ignored:
    pull = payload["pull_request"]
    action = _name(payload.get("action", "synchronize"))
    if action not in _ACTIONS:
        return Ignored(f"the pull request was {action}: nothing new to rehearse")
    head, base = pull["head"], pull["base"]
    head_repository = (head.get("repo") or {}).get("full_name")  # null when the fork is gone
    return PullRequest(
        repository=repository,
        head_sha=_sha(head["sha"]),
        base_sha=_sha(base["sha"]),
        number=_number(pull["number"]),
        base_ref=_name(base["ref"]),
        from_fork=head_repository != base["repo"]["full_name"],
    )


def _sha(value: object) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-f]{40}|[0-9a-f]{64}", value):
        raise ValueError("the id of a commit")
    return value


def _name(value: object) -> str:
    """A name that can be shown: git and GitHub allow no control characters in theirs."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= 1000:
        raise ValueError("a name")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**63:
        raise ValueError("a number")
    return value
