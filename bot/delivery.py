"""Getting a report to where people look: comment, status, step summary, outputs, annotations, the JSON file."""

from __future__ import annotations

import secrets
import sys
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from bot import report as rendering
from bot.errors import GitHubError, UsageError
from bot.github_client import GitHub, Refused
from bot.model import Finding, PullRequest, Report, Severity, Verdict
from bot.report import MARKER, counts
from bot.settings import ActionSettings
from bot.words import one_line

CONTEXT = "migration-rehearsal"
_STATES = {Verdict.PASS: "success", Verdict.WARN: "success", Verdict.FAIL: "failure", Verdict.ERROR: "error"}
_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "notice"}


def announce(github: GitHub, pull: PullRequest, settings: ActionSettings) -> None:
    """Sets the status to pending, so that the commit shows that somebody is at it."""
    with suppress(Refused):  # said when the report is delivered
        github.set_status(pull.head_sha, "pending", "Rehearsing the migrations …", CONTEXT, settings.run_url)


def cancelled(github: GitHub, pull: PullRequest, settings: ActionSettings) -> None:
    """Ends the status of a run that is being stopped; the runner gives us a few seconds."""
    with suppress(Refused, GitHubError):
        github.set_status(pull.head_sha, "error", "Cancelled before the rehearsal was done", CONTEXT, settings.run_url)


def deliver(github: GitHub, pull: PullRequest, report: Report, settings: ActionSettings, *, out: TextIO = sys.stdout) -> None:
    """Puts the report everywhere. What the token may not write is said in the log and left out: the rest is still there.

    Raises GitHubError if GitHub does not answer, after everything that needs no GitHub is done.
    """
    _to_files(report, settings)
    _annotate(report, out)
    refused = False
    try:
        _comment(github, pull, report, settings)
    except Refused:
        refused = True
    finally:  # the status may be required: it is set whatever became of the comment
        try:
            state = _STATES[report.verdict]
            github.set_status(pull.head_sha, state, rendering.status(report), CONTEXT, settings.run_url)
        except Refused:
            refused = True
    if refused:
        _say_refused(pull, out)


def _comment(github: GitHub, pull: PullRequest, report: Report, settings: ActionSettings) -> None:
    """A pull request that never had a migration gets no comment; one that had gets told that it has none now."""
    if not settings.comment or pull.number is None:
        return
    only_edit = not report.migrations and not report.findings and report.verdict is not Verdict.ERROR
    body = rendering.comment(report, run_url=settings.run_url)
    github.sticky_comment(pull.number, MARKER, body, only_edit=only_edit)


def _say_refused(pull: PullRequest, out: TextIO) -> None:
    why = "a pull request from a fork gets a token that can only read" if pull.from_fork else "the token can only read"
    _print(out, f"::notice title=migration-rehearsal::Not everything could be written: {why}. The report is in the step summary.")


def _to_files(report: Report, settings: ActionSettings) -> None:
    target = Path(settings.workspace, settings.report)
    if target.is_symlink():  # a checkout may hold one that leads anywhere
        target.unlink()
    if not target.resolve().is_relative_to(Path(settings.workspace).resolve()):
        raise UsageError(f"The report {settings.report} would leave the workspace over a link.", advice="Choose another report.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(rendering.to_json(report, show_row_data=settings.settings.show_row_data), encoding="utf-8")
    if settings.summary_path:
        with Path(settings.summary_path).open("a", encoding="utf-8") as summary:
            summary.write(rendering.summary(report))
    if settings.output_path:
        values = {"verdict": str(report.verdict), "report": settings.report, **counts(report)}
        with Path(settings.output_path).open("a", encoding="utf-8") as outputs:
            for name, value in values.items():
                # A delimiter that nobody can guess, as GitHub asks for: a value must not end its own entry.
                edge = secrets.token_hex(16)
                outputs.write(f"{name}<<{edge}\n{value}\n{edge}\n")


def _annotate(report: Report, out: TextIO) -> None:
    """A workflow command for each finding, which GitHub shows beside the line; it keeps ten of a kind for each step."""
    for finding in report.findings:
        if finding.allowed_reason is None:
            _print(out, _command(finding))
    for line in report.error[:1]:
        _print(out, f"::error title=migration-rehearsal::{_data(' '.join(report.error) or line)}")


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
