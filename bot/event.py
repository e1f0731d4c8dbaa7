"""Event payload -> what to rehearse, or why nothing. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bot.errors import EventError
from bot.model import Ignored, PullRequest

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
            return PullRequest(repository, group["head_sha"], group["base_sha"], base_ref=group["base_ref"])
        if name == "workflow_dispatch":
            branch = payload["repository"]["default_branch"]
            return PullRequest(repository, "" if number else sha, "", number, base_ref=branch)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise EventError(
            f"The payload of the event {name} lacks what GitHub puts there.",
            why=f"Looking for {error}.",
            advice="Check what GITHUB_EVENT_PATH points to.",
        ) from error
    return Ignored(f"the event {name} has no pull request; use pull_request, merge_group or workflow_dispatch")


def _pull_request(payload: Mapping[str, Any], repository: str) -> PullRequest | Ignored:
    pull = payload["pull_request"]
    action = str(payload.get("action", "synchronize"))
    if action not in _ACTIONS:
        return Ignored(f"the pull request was {action}: nothing new to rehearse")
    head, base = pull["head"], pull["base"]
    head_repository = (head.get("repo") or {}).get("full_name")  # null when the fork is gone
    return PullRequest(
        repository=repository,
        head_sha=head["sha"],
        base_sha=base["sha"],
        number=int(pull["number"]),
        base_ref=base["ref"],
        from_fork=head_repository != base["repo"]["full_name"],
    )
