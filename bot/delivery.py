"""Getting a report to where people look: comment, status, check run, step summary, outputs, annotations, the JSON file.

What happens at GitHub happens through the journal; what is written on the runner is written each time, as each has its own.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TextIO

from bot import own_template
from bot import report as rendering
from bot.check_run import CheckRun, annotated, cancelled, check_run_of
from bot.discovery import with_same_version
from bot.errors import GitHubError, UsageError
from bot.exports import Look, for_file
from bot.github_client import GitHub, Refused, Status
from bot.journal.runs import Steps, Unjournaled
from bot.journal.steps import Step
from bot.model import Elsewhere, Finding, Plan, PullRequest, Report, Severity, Verdict
from bot.plain import to_plain
from bot.report import MARKER, counts
from bot.settings import ActionSettings
from bot.words import one_line

CONTEXT = "migration-rehearsal"  # the status's, and the check run's name
_AT_WORK = "Rehearsing the migrations …"
_STATES = {Verdict.PASS: "success", Verdict.WARN: "success", Verdict.FAIL: "failure", Verdict.ERROR: "error"}
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "notice"}


class Delivery:
    """Delivers about one commit; each effect at GitHub is a step of a run. `settings` may be exchanged before the first one, when
    more is known of them.
    """

    def __init__(self, github: GitHub, pull: PullRequest, settings: ActionSettings, out: TextIO = sys.stdout) -> None:
        self._github, self._pull, self.settings, self._out = github, pull, settings, out
        self.begun = False
        self._status_pending = False
        self._in_progress: str | None = None  # the mark of the check run that this process left so
        self._refused = False

    def announce(self, run: Steps, step_id: int, run_id: str) -> None:
        """Sets the status to pending and makes a check run, so that the commit shows that somebody is at it. The steps `step_id`
        and the next are its.
        """
        with suppress(Refused):  # said when the report is delivered
            if self._by("status"):
                self._status_pending = True
                self._set_status(run, step_id, "status pending", self._status("pending", _AT_WORK))
        with suppress(Refused):
            if self._by("check-run"):
                self._in_progress = _mark(run_id)
                self._begin_check_run(run, step_id + 1, _mark(run_id))

    def elsewhere(self, plan: Plan) -> Elsewhere:
        """The other open pull requests that bring the same versions: of two, the one that is merged second is late, or never run.
        Of a merge queue entry its own files tell: it holds those before it.
        """
        if self._pull.number is None or not self._pull.base_ref:
            return Elsewhere()
        try:
            others = self._github.other_changes(self._pull)
        except GitHubError as error:
            return Elsewhere(notes=(f"Whether another open pull request brings the same versions is not known: {error.what}",))
        return Elsewhere(tuple(with_same_version(plan, others)))

    def cancelled(self) -> None:
        """Ends the status and the check run of a run that is being stopped, if this process left them open. The runner gives us a
        few seconds, too few to wait for a journal that may be away: these effects are not journaled. Twice is as good as once.
        """
        if self._status_pending:  # else another one works on it, or it is final
            with suppress(GitHubError):
                status = self._status("error", "Cancelled before the rehearsal was done")
                self._set_status(Unjournaled(), 1, "status cancelled", status)
        if self._in_progress:
            with suppress(GitHubError):
                self._end_check_run(Unjournaled(), 1, "check run cancelled", self._in_progress, cancelled())

    def deliver(self, run: Steps, step_id: int, report: Report) -> None:
        """Puts the report everywhere; the steps `step_id` and the two after it are its. What the token may not write is said in
        the log and left out: the rest is still there.

        Raises GitHubError if GitHub does not answer, after everything that needs no GitHub is done; JournalError.
        """
        self.begun = True
        try:
            problem = _to_files(report, self.settings)
            if problem:
                _print(self._out, f"::warning title=migration-rehearsal::{_data(problem)}")
        finally:  # the status may be required: it is set whatever becomes of files and comment
            _annotate(self._told_in_the_log(report), report.error, self._out)
            self._to_github(run, step_id, report)

    def _to_github(self, run: Steps, step_id: int, report: Report) -> None:
        """Each effect is tried whatever became of those before it. The stack runs them from the last to the first."""
        with ExitStack() as effects:
            effects.callback(self._say_refused)
            if self._by("check-run"):
                effects.callback(self._unless_refused, lambda: self._check_run(run, step_id + 2, report))
            if self._by("status"):
                effects.callback(self._unless_refused, lambda: self._final_status(run, step_id + 1, report))
            effects.callback(self._unless_refused, lambda: self._comment(run, step_id, report))

    def _by(self, way: str) -> bool:
        """Whether the result is reported on the commit in this way."""
        return self.settings.check in (way, "both")

    def _unless_refused(self, effect: Callable[[], None]) -> None:
        try:
            effect()
        except Refused:
            self._refused = True

    def _say_refused(self) -> None:
        if not self._refused:
            return
        why = "the token can only read"
        if self._pull.from_fork:
            why = "a pull request from a fork gets a token that can only read"
        elif self._by("check-run"):
            why = "the token lacks a permission; a check run needs `checks: write`, of an app's token or the workflow's own"
        said = f"Not everything could be written: {why}. The report is in the step summary."
        _print(self._out, f"::notice title=migration-rehearsal::{said}")

    # ── Status and comment ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _final_status(self, run: Steps, step_id: int, report: Report) -> None:
        self._set_status(run, step_id, "status", self._status(_STATES[report.verdict], rendering.status(report)))
        self._status_pending = False

    def _status(self, state: str, description: str) -> Status:
        return Status(state, description, CONTEXT, self.settings.run_url)

    def _set_status(self, run: Steps, step_id: int, name: str, status: Status) -> None:
        sha = self._pull.head_sha
        request = [self._pull.repository, sha, status.context, status.state, status.description]
        run.step(
            Step(step_id, name, request, lasting=True),
            lambda _key: self._github.set_status(sha, status),
            lambda: self._github.shown_status(sha, status),
        )

    def _comment(self, run: Steps, step_id: int, report: Report) -> None:
        """A pull request that never had a migration gets no comment; one that had gets told that it has none now."""
        number = self._pull.number
        if not self.settings.comment or number is None:
            return
        if self._github.head_sha(number) != self._pull.head_sha:
            _print(self._out, "The pull request has a newer commit: its comment is left to that one.")
            return
        only_edit = not report.migrations and not report.findings and report.verdict is not Verdict.ERROR
        body = self._comment_of(report)
        where = f"{self._pull.repository}#{number}"
        run.step(
            Step(step_id, "comment", [where, body], lasting=True, alone=f"comment on {where}"),
            lambda _key: self._github.sticky_comment(number, MARKER, body, only_edit=only_edit),
            lambda: self._github.shown_comment(number, MARKER, body, only_edit=only_edit),
        )

    # ── The check run ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _begin_check_run(self, run: Steps, step_id: int, mark: str) -> None:
        sha, begun = self._pull.head_sha, CheckRun("", _AT_WORK, "The report comes when it is done.\n")
        run.step(
            Step(step_id, "check run begun", [self._pull.repository, sha, CONTEXT], lasting=True),
            lambda _key: self._github.open_check_run(sha, CONTEXT, mark, begun, self.settings.run_url),
            lambda: self._github.shown_open_check_run(sha, CONTEXT, mark),
        )

    def _check_run(self, run: Steps, step_id: int, report: Report) -> None:
        """An error ends the check run that this process has begun, though it is a run of its own."""
        check = check_run_of(report, self._comment_of(report), neutral_warnings=self.settings.settings.neutral_warnings)
        try:
            self._end_check_run(run, step_id, "check run", self._in_progress or _mark(report.run.run_id), check)
        except GitHubError:  # the lines are told all the same
            _annotate(annotated(report), (), self._out)
            raise
        self._in_progress = None

    def _end_check_run(self, run: Steps, step_id: int, name: str, mark: str, check: CheckRun) -> None:
        """Completes the check run. The request is what there is to tell: which of the lines there are is looked up only then."""
        sha, url = self._pull.head_sha, self.settings.run_url
        there = tuple(each for each in check.annotations if each.line <= self._github.lines(sha, each.path))
        shown = replace(check, annotations=there)
        run.step(
            Step(step_id, name, [self._pull.repository, sha, CONTEXT, to_plain(check)], lasting=True),
            lambda _key: self._github.complete_check_run(sha, CONTEXT, mark, shown, url),
            lambda: self._github.shown_check_run(sha, CONTEXT, mark, shown),
        )

    def _comment_of(self, report: Report) -> str:
        return own_template.comment(report, self.settings.settings.template).text

    def _told_in_the_log(self, report: Report) -> list[Finding]:
        """The findings that no check run will tell beside their lines: to tell them twice would show them twice."""
        told = annotated(report) if self._by("check-run") else []
        return [finding for finding in report.findings if finding.allowed_reason is None and finding not in told]


def _mark(run_id: str) -> str:
    """A check run's external id: by it a run finds its own again. The name comes first, to tell ours from a job's."""
    return f"{CONTEXT}:{run_id}"


def _to_files(report: Report, settings: ActionSettings) -> str:
    """Writes them; gives why the team's template was not used, if it was not."""
    look = Look(settings.settings.show_row_data, settings.settings.template)
    _write(settings, settings.report, rendering.to_json(report, show_row_data=look.show_row_data))
    for target in settings.reports:
        form, path = for_file(target, "json")
        _write(settings, path, form.write(report, look))
    made = own_template.summary(report, look.template)
    if settings.summary_path:
        with Path(settings.summary_path).open("a", encoding="utf-8") as summary:
            summary.write(made.text)
    if settings.output_path:
        values = {"verdict": str(report.verdict), "report": settings.report, **counts(report)}
        with Path(settings.output_path).open("a", encoding="utf-8") as outputs:
            for name, value in values.items():
                # A delimiter that nobody can guess, as GitHub asks for: a value must not end its own entry.
                edge = secrets.token_hex(16)
                outputs.write(f"{name}<<{edge}\n{value}\n{edge}\n")
    return made.problem


def _write(settings: ActionSettings, path: str, text: str) -> None:
    target = Path(settings.workspace, path)
    if target.is_symlink():  # a checkout may hold one that leads anywhere
        target.unlink()
    if not target.resolve().is_relative_to(Path(settings.workspace).resolve()):
        raise UsageError(f"The report {path} would leave the workspace over a link.", advice="Choose another report.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def _annotate(findings: Iterable[Finding], error: Sequence[str], out: TextIO) -> None:
    """A workflow command for each finding, which GitHub shows beside the line; it keeps ten of a kind for each step."""
    for finding in findings:
        _print(out, _command(finding))
    if error:
        _print(out, f"::error title=migration-rehearsal::{_data(' '.join(error))}")


def _command(finding: Finding) -> str:
    properties = [f"file={_property(finding.path)}", f"title={_property(finding.rule)}"]
    if finding.line:
        properties.insert(1, f"line={finding.line}")
    shown = one_line(finding.message.replace("`", ""))
    return f"::{_COMMANDS[finding.severity]} {','.join(properties)}::{_data(shown)}"


def _data(value: str) -> str:
    """As the runner's toolkit escapes a command's message: a line break in it would begin another command."""
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def _print(out: TextIO, line: str) -> None:
    print(line.encode("utf-8", "replace").decode(), file=out, flush=True)
