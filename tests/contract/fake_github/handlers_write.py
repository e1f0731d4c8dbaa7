"""The operations on what a bot writes: comments, statuses and check runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from tests.contract.fake_github.calls import NOT_OURS, Answer, Call, Refused, found, invalid, malformed, route
from tests.contract.fake_github.values import CheckRun, Comment, Status

# GitHub's limits; the facts behind them are in its documentation of each operation.
LONGEST_COMMENT = 65_536
LONGEST_STATUS_DESCRIPTION = 140
LONGEST_CHECK_TEXT = 65_535
MOST_ANNOTATIONS = 50
LONGEST_ANNOTATION_TITLE = 255  # characters
LARGEST_ANNOTATION_TEXT = 64 * 1024  # bytes, of its message and of its raw details

STATES = ("error", "failure", "pending", "success")
CHECK_STATUSES = ("queued", "in_progress", "completed")
# GitHub alone sets "stale": the description lets a client ask for it, and then has no such answer.
CONCLUSIONS = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out")

# --- Comments ---


@route("GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments")
def list_comments(call: Call) -> Answer:
    pull = call.pull("issue_number")
    since = _moment(call.query.get("since", "1970-01-01T00:00:00Z"))
    comments = [each for each in call.repo.comments_on(pull.number) if _moment(each.updated_at) >= since]
    return call.listed(comments, call.render.comment)


def _moment(text: str) -> datetime:
    """A time in a query or in what is kept; a query without a zone means UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(422, f"Invalid since parameter: {text}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@route("POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments")
def create_comment(call: Call) -> Answer:
    pull = call.pull("issue_number")
    made = call.repo.add_comment(pull.number, _comment_body(call), call.access.login)
    body = call.render.comment(call.repo, made)
    return Answer(201, body, {"Location": body["url"]})


@route("GET", "/repos/{owner}/{repo}/issues/comments/{comment_id}")
def get_comment(call: Call) -> Answer:
    return Answer(200, call.render.comment(call.repo, _comment(call)))


@route("PATCH", "/repos/{owner}/{repo}/issues/comments/{comment_id}")
def update_comment(call: Call) -> Answer:
    comment = replace(_own_comment(call), body=_comment_body(call), updated_at=call.world.now())
    call.repo.comments[comment.id] = comment
    return Answer(200, call.render.comment(call.repo, comment))


@route("DELETE", "/repos/{owner}/{repo}/issues/comments/{comment_id}")
def delete_comment(call: Call) -> Answer:
    del call.repo.comments[_own_comment(call).id]
    return Answer(204)


def _comment(call: Call) -> Comment:
    return found(call.repo.comments, call.number("comment_id"))


def _own_comment(call: Call) -> Comment:
    """The comment that is asked for; another author's is refused.

    GitHub would let some tokens edit and delete what others wrote. A bot that does so is wrong.
    """
    comment = _comment(call)
    if comment.author != call.access.login:
        raise Refused(403, NOT_OURS)
    return comment


def _comment_body(call: Call) -> str:
    """The text of a comment, within GitHub's limits."""
    text = call.required_text("body")
    if not text.strip():
        raise invalid("IssueComment", "data", "Body cannot be blank", "unprocessable")
    if len(text) > LONGEST_COMMENT:
        message = f"Body is too long (maximum is {LONGEST_COMMENT} characters)"
        raise invalid("IssueComment", "data", message, "unprocessable")
    return text


# --- Statuses ---


@route("POST", "/repos/{owner}/{repo}/statuses/{sha}")
def create_status(call: Call) -> Answer:
    state = call.required_text("state")
    if state not in STATES:
        raise invalid("Status", "state", "state is not included in the list")
    description, target = call.text("description"), call.text("target_url")
    if len(description or "") > LONGEST_STATUS_DESCRIPTION:
        message = f"description is too long (maximum is {LONGEST_STATUS_DESCRIPTION} characters)"
        raise invalid("Status", "description", message)
    if target and not target.startswith(("http://", "https://")):
        raise invalid("Status", "target_url", "target_url must use http(s) scheme")
    made = Status(
        sha=call.commit_named(call.params["sha"]).sha,
        id=call.world.next_id(),
        state=state,
        context=call.text("context") or "default",
        description=description,
        target_url=target,
        creator=call.access.login,
        created_at=call.world.now(),
    )
    call.repo.statuses.append(made)
    body = call.render.status(call.repo, made)
    return Answer(201, body, {"Location": body["url"]})


# The legacy path is not in the description, GitHub still has it, and it is the one that PyGithub takes.
@route("GET", "/repos/{owner}/{repo}/commits/{ref}/statuses", legacy="/repos/{owner}/{repo}/statuses/{ref}")
def list_statuses(call: Call) -> Answer:
    sha = call.commit(call.params["ref"]).sha
    return call.listed(call.repo.statuses_of(sha), call.render.status)


# --- Check runs ---


@route("POST", "/repos/{owner}/{repo}/check-runs")
def create_check_run(call: Call) -> Answer:
    if not call.access.is_app:
        raise Refused(403, "You must authenticate via a GitHub App.")
    name, sha = call.required_text("name"), call.commit_named(call.required_text("head_sha")).sha
    now = call.world.now()
    blank = CheckRun(call.world.next_id(), sha, call.access.login, name, "queued", started_at=now)
    if call.body.get("output") is not None:
        _need_members(call.body["output"], ("title", "summary"))
    return Answer(201, call.render.check_run(call.repo, _changed_run(blank, call, now)))


@route("GET", "/repos/{owner}/{repo}/check-runs/{check_run_id}")
def get_check_run(call: Call) -> Answer:
    return Answer(200, call.render.check_run(call.repo, _check_run(call)))


@route("PATCH", "/repos/{owner}/{repo}/check-runs/{check_run_id}")
def update_check_run(call: Call) -> Answer:
    run = _check_run(call)
    if run.app != call.access.login:
        raise Refused(403, "Invalid app_id: a check run can only be modified by the GitHub App that created it.")
    return Answer(200, call.render.check_run(call.repo, _changed_run(run, call, call.world.now())))


@route("GET", "/repos/{owner}/{repo}/commits/{ref}/check-runs")
def list_check_runs(call: Call) -> Answer:
    runs = call.repo.check_runs_of(call.commit(call.params["ref"]).sha)
    if call.query.get("filter", "latest") == "latest":
        latest = {(run.app, run.name): run for run in reversed(runs)}
        runs = [run for run in runs if latest[run.app, run.name] is run]
    wanted = {"name": call.query.get("check_name"), "status": call.query.get("status")}
    runs = [run for run in runs if all(getattr(run, key) == text for key, text in wanted.items() if text)]
    if app := call.query.get("app_id"):
        runs = [run for run in runs if str(call.render.app(run.app)["id"]) == app]
    page, links = call.paged(runs)
    shown = [call.render.check_run(call.repo, run) for run in page]
    return Answer(200, {"total_count": len(runs), "check_runs": shown}, links)


def _check_run(call: Call) -> CheckRun:
    return found(call.repo.check_runs, call.number("check_run_id"))


def _changed_run(run: CheckRun, call: Call, now: str) -> CheckRun:
    """Keep a check run as a create or an update with the call's body leaves it."""
    status, conclusion = call.text("status"), call.text("conclusion")
    _need_one_of("status", status, CHECK_STATUSES)
    _need_one_of("conclusion", conclusion, CONCLUSIONS)
    if status == "completed" and conclusion is None:
        raise malformed('"conclusion" wasn\'t supplied, and the status is completed.')
    if conclusion:  # a conclusion completes the run, whatever else is said
        done = call.text("completed_at")
        run = replace(run, status="completed", conclusion=conclusion, completed_at=now if done is None else done)
    elif status:
        run = replace(run, status=status, conclusion=None, completed_at=None)
    texts = {name: call.text(name) for name in ("name", "started_at", "external_id", "details_url")}
    given: dict[str, Any] = {name: text for name, text in texts.items() if text}
    made = _with_output(replace(run, **given), call.body.get("output"))
    call.repo.check_runs[made.id] = made
    return made


def _with_output(run: CheckRun, output: Any) -> CheckRun:
    """A check run after its output is given: texts replace the old ones, annotations are added to them."""
    if output is None:
        return run
    _need_members(output, ("summary",))
    annotations = output.get("annotations") or []
    limits = {
        "summary": (LONGEST_CHECK_TEXT, "characters"),
        "text": (LONGEST_CHECK_TEXT, "characters"),
        "annotations": (MOST_ANNOTATIONS, "items"),
    }
    for name, (most, what) in limits.items():
        if (size := len(output.get(name) or "")) > most:
            raise malformed(f"For 'properties/{name}', only {most} {what} are allowed; {size} were supplied.")
    for annotation in annotations:
        _check_annotation(annotation)
    texts = {name: output[name] for name in ("title", "summary", "text") if name in output}
    return replace(run, **texts, annotations=(*run.annotations, *annotations))


def _check_annotation(annotation: Any) -> None:
    """GitHub's manual limits its texts, where its description does not."""
    _need_members(annotation, ("path", "start_line", "end_line", "annotation_level", "message"))
    if len(annotation.get("title") or "") > LONGEST_ANNOTATION_TITLE:
        raise malformed(f"For 'annotations/title', only {LONGEST_ANNOTATION_TITLE} characters are allowed.")
    for name in ("message", "raw_details"):
        if len((annotation.get(name) or "").encode("utf-8", "surrogatepass")) > LARGEST_ANNOTATION_TEXT:
            raise malformed(f"For 'annotations/{name}', only {LARGEST_ANNOTATION_TEXT} bytes are allowed.")


def _need_members(value: Any, names: Sequence[str]) -> None:
    missing = [name for name in names if not isinstance(value, dict) or value.get(name) is None]
    if missing:
        raise malformed(f"{', '.join(missing)} weren't supplied.")


def _need_one_of(name: str, value: str | None, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        raise malformed(f"For 'properties/{name}', {value} is not a member of {allowed}.")
