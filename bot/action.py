"""The action: an event in, a report out. Reads nothing but its arguments; `entrypoint.py` brings the environment."""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

from bot.delivery import Delivery
from bot.discovery import Known, may_be_migration, plan_changes
from bot.errors import EventError, FencedError, GitHubError, JournalError, RehearsalError, as_fault
from bot.event import asks_anew, read_event
from bot.github_client import GitHub
from bot.journal.opening import open_journal
from bot.journal.place import Place
from bot.journal.runs import Journal, NoJournal, Unjournaled
from bot.journal.steps import digest
from bot.model import FileChange, Ignored, Plan, PullRequest, Report
from bot.own_template import template_of
from bot.progress import Progress
from bot.run import error_report, rehearse_plan
from bot.settings import ActionSettings, action_configured
from bot.team import FILE
from bot.verdict import exit_status
from bot.words import count, one_line


def run_action(
    settings: ActionSettings,
    *,
    make_github: Callable[[ActionSettings], GitHub],
    make_journal: Callable[[Place, Progress], AbstractContextManager[Journal | NoJournal]] = open_journal,
    out: TextIO = sys.stdout,
) -> int:
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
        print(f"Nothing to rehearse: {one_line(event.reason)}.", file=out)
        return 0
    if asks_anew(settings.event_name):
        # As an input too: with a team's file the settings are made of the inputs anew.
        settings = replace(settings, settings=replace(settings.settings, force=True), given={**settings.given, "rerun": "force"})
    with closing(make_github(settings)) as github, ExitStack() as stack:
        pull = _completed(event, github)
        delivery = Delivery(github, pull, settings, out)
        journal: Journal | NoJournal = NoJournal()
        try:
            settings = delivery.settings = _with_the_teams(pull, settings, github)
            plan = _checked_plan(pull, settings, github, out)
            settings = delivery.settings = _with_template(pull, settings, github, plan)
            progress = Progress(out)
            journal = stack.enter_context(make_journal(_place(settings, plan), progress))
            report = rehearse_plan(
                plan, settings.settings, progress, pull, journal=journal, effects=delivery, url=settings.run_url
            )
            if report.run.replayed:
                progress.say(f"replayed from the journal, where it has been since {report.run.made_at}")
        except KeyboardInterrupt:
            delivery.cancelled()
            raise
        except Exception as fault:
            if isinstance(fault, FencedError) or (delivery.begun and isinstance(fault, GitHubError)):
                raise  # the run is somebody else's now; or the report was on its way, and no other one should replace it
            error = fault if isinstance(fault, RehearsalError) else as_fault(fault)
            report = error_report(error, pull, settings.run_url)
            _deliver_error(report, settings, delivery, NoJournal() if isinstance(fault, JournalError) else journal)
        return report.exit_status or exit_status(report.verdict)


def github_of(settings: ActionSettings) -> GitHub:
    """The real client."""
    return GitHub(settings.token, settings.repository, settings.api_url, workspace=Path(settings.workspace))


def _place(settings: ActionSettings, plan: Plan) -> Place:
    """Where the journal is. Most pull requests have nothing to rehearse: for those none is begun; one that is there goes on."""
    place = settings.settings.journal
    if plan.migrations or place.url or not place.folder or Path(place.folder).exists():
        return place
    return Place()


def _deliver_error(report: Report, settings: ActionSettings, delivery: Delivery, journal: Journal | NoJournal) -> None:
    """An error is about this attempt, not an answer that the next one may replay: it is a run of its own."""
    attempt = settings.attempt or uuid.uuid4().hex
    try:
        with journal.run(f"{report.run.key}:error:{attempt}:{digest(list(report.error))[7:23]}") as run:
            delivery.deliver(run, 1, report)
    except JournalError:  # it must be told all the same
        delivery.deliver(Unjournaled(), 1, report)


def _with_the_teams(pull: PullRequest, settings: ActionSettings, github: GitHub) -> ActionSettings:
    """The settings with what the base branch's file says. It is asked for whatever was changed: it may say that the result is a
    check run, which may be required.
    """
    if settings.wrong:
        raise settings.wrong
    content = github.content(pull.base_sha, FILE)
    return settings if content is None else action_configured(settings, content)


def _checked_plan(pull: PullRequest, settings: ActionSettings, github: GitHub, out: TextIO) -> Plan:
    """What is to be rehearsed. A mistake in the team's file is none of a pull request's that has no migration: it may mend it."""
    changes = github.changes(pull)
    if not any(may_be_migration(change) for change in changes):  # the base's listing is not asked for: most have none
        plan = Plan((), reason="no SQL file was changed")
    elif settings.wrong:
        raise settings.wrong
    else:
        plan = _plan(pull, changes, github.files(pull.base_sha), settings, github)
    print(f"{count(len(plan.migrations), 'new migration')} ({one_line(plan.reason)})", file=out, flush=True)
    return plan


def _with_template(pull: PullRequest, settings: ActionSettings, github: GitHub, plan: Plan) -> ActionSettings:
    """The settings with the team's template, as the base branch has it: it is needed where there is something to tell."""
    named = settings.settings.template
    if named is None or not plan.migrations:
        return settings
    template = template_of(named.name, lambda name: github.content(pull.base_sha, name))
    return replace(settings, settings=replace(settings.settings, template=template))


def _plan(
    pull: PullRequest, changes: Sequence[FileChange], at_base: Mapping[str, str], settings: ActionSettings, github: GitHub
) -> Plan:
    plan = plan_changes(
        changes,
        at_base,
        github.reader(pull.head_sha),
        github.reader(pull.base_sha),
        layout=settings.settings.layout,
        folders=settings.settings.migrations,
        with_base=not settings.settings.data_is_there,
        known=Known(settings.settings.placeholders),
        ignored=settings.settings.ignored_paths,
    )
    return replace(plan, base_files=plan.base_files and replace(plan.base_files, at_hand=github.at_hand(pull.base_sha)))


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
    except (ValueError, RecursionError) as error:  # the latter: lists in lists in lists
        raise EventError(f"The event in {path} is not JSON.", why=str(error)[:200]) from error
    if not isinstance(payload, dict):
        raise EventError(f"The event in {path} is not an object.")
    return payload
