"""The action: an event in, a report out. Reads nothing but its arguments; `entrypoint.py` brings the environment."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from bot import delivery
from bot.discovery import plan_changes
from bot.errors import EventError, RehearsalError, as_fault
from bot.event import read_event
from bot.github_client import GitHub
from bot.model import Ignored, Plan, PullRequest, Report
from bot.progress import Progress
from bot.run import error_report, rehearse_plan
from bot.settings import ActionSettings
from bot.verdict import exit_status
from bot.words import count, one_line


def run_action(settings: ActionSettings, *, make_github: Callable[[ActionSettings], GitHub], out: TextIO = sys.stdout) -> int:
    """Rehearses what the event asks for and delivers the report; gives the exit status.

    Whatever happens is delivered, also a cancelled run and a fault of our own, so that the required status never stays pending.
    """
    event = read_event(
        settings.event_name,
        _payload(settings.event_path),
        repository=settings.repository,
        sha=settings.sha,
        number=settings.pull_request,
    )
    if isinstance(event, Ignored):
        print(f"Nothing to rehearse: {event.reason}.", file=out)
        return 0
    with closing(make_github(settings)) as github:
        pull = _completed(event, github)
        try:
            report = _rehearse(pull, settings, github, out)
        except RehearsalError as error:
            report = error_report(error, pull)
        except KeyboardInterrupt:
            delivery.cancelled(github, pull, settings)
            raise
        except Exception as fault:  # noqa: BLE001  a fault of ours must not look like a failed migration
            report = error_report(as_fault(fault), pull)
        delivery.deliver(github, pull, report, settings, out=out)
        return report.exit_status or exit_status(report.verdict)


def github_of(settings: ActionSettings) -> GitHub:
    """The real client."""
    return GitHub(settings.token, settings.repository, settings.api_url, workspace=Path(settings.workspace))


def _rehearse(pull: PullRequest, settings: ActionSettings, github: GitHub, out: TextIO) -> Report:
    if settings.wrong:
        raise settings.wrong
    plan = _plan(pull, settings, github)
    print(f"{count(len(plan.migrations), 'new migration')} ({one_line(plan.reason)})", file=out, flush=True)
    if plan.migrations:
        delivery.announce(github, pull, settings)
    return rehearse_plan(plan, settings.settings, Progress(out), pull)


def _plan(pull: PullRequest, settings: ActionSettings, github: GitHub) -> Plan:
    """The base's listing is asked for only when a SQL file was changed: most pull requests have none."""
    changes = github.changes(pull)
    if not any(PurePosixPath(c.path).suffix == ".sql" or (c.old_path or "").endswith(".sql") for c in changes):
        return Plan((), reason="no SQL file was changed")
    return plan_changes(
        changes,
        list(github.files(pull.base_sha)),
        github.reader(pull.head_sha),
        github.reader(pull.base_sha),
        layout=settings.settings.layout,
        folders=settings.settings.migrations,
        with_base=settings.settings.seed is None,
    )


def _completed(pull: PullRequest, github: GitHub) -> PullRequest:
    """Asks for what a workflow_dispatch event does not say."""
    if pull.number is not None and not pull.head_sha:
        return github.pull(pull.number)
    if pull.base_sha:
        return pull
    return github.pull_of_commit(pull.head_sha) or replace(pull, base_sha=github.branch_sha(pull.base_ref))


def _payload(path: str) -> dict[str, Any]:
    try:
        payload = json.loads(Path(path).read_bytes())
    except OSError as error:
        raise EventError(f"The event can't be read from {path}.", why=error.strerror or str(error)) from error
    except ValueError as error:
        raise EventError(f"The event in {path} is not JSON.", why=str(error)) from error
    if not isinstance(payload, dict):
        raise EventError(f"The event in {path} is not an object.")
    return payload
