"""The dozen GitHub verbs we need. The door of PyGithub.

PyGithub's own retry repeats a POST whose answer was lost, which leaves two comments, and a PATCH, which leaves a check run's
annotations twice; here only GET is repeated. What became of the others, and whether another try is worth it, is told by the
GitHubError; for each effect there is a way to look for it.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.check_run import Annotation, CheckRun
from bot.errors import GitHubError
from bot.model import FileChange, FileStatus, PullRequest

if TYPE_CHECKING:
    from github.CheckRun import CheckRun as GitHubCheckRun
    from github.IssueComment import IssueComment
    from github.PullRequest import PullRequest as GitHubPull
    from github.Repository import Repository

LISTED_FILES = 3000  # GitHub lists no more files of a pull request than these
_STATUS = {
    "added": FileStatus.ADDED,
    "copied": FileStatus.ADDED,
    "removed": FileStatus.REMOVED,
    "renamed": FileStatus.RENAMED,
}
_ANNOTATIONS_A_REQUEST = 50
_IN_PROGRESS = "in_progress"
_MAX_WAIT_S = 60
Json = dict[str, Any]


class Refused(GitHubError):  # noqa: N818  an answer to work with, not a failure
    """GitHub does not let this token write: a fork's token can only read, a person's makes no check runs."""


@dataclass(frozen=True, slots=True)
class Status:
    """A commit status: `state` is success, failure, error or pending."""

    state: str
    description: str
    context: str
    url: str | None = None


class GitHub:
    """One repository, through one token."""

    def __init__(self, token: str, repository: str, api_url: str, *, workspace: Path | None = None) -> None:
        from github import Auth, Github  # noqa: PLC0415  0.4 s that only the action pays
        from github.GithubRetry import GithubRetry  # noqa: PLC0415

        logging.getLogger("github").setLevel(logging.CRITICAL)  # it tells of each retry and refusal; we say what matters
        retry = GithubRetry(
            total=4,
            backoff_factor=0.5,
            allowed_methods={"GET"},
            secondary_rate_wait=_MAX_WAIT_S,
            max_rate_limit_wait=_MAX_WAIT_S,
        )
        self._client = Github(
            auth=Auth.Token(token),
            base_url=api_url.rstrip("/"),
            retry=retry,
            timeout=20,
            per_page=100,
            lazy=True,
            seconds_between_requests=None,
            seconds_between_writes=0.2,
        )
        self._name = repository
        self._workspace = workspace
        self._trees: dict[str, dict[str, str]] = {}
        self._blobs: dict[str, bytes] = {}
        self._pulls: dict[int, GitHubPull] = {}

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    @cached_property
    def _repository(self) -> Repository:
        return self._client.get_repo(self._name)

    # ── Reading ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def pull(self, number: int) -> PullRequest:
        """A pull request as it is now."""
        with _explained(f"ask for pull request {number}"):
            pull = self._pull(number)
            fork = pull.head.repo is None or pull.head.repo.full_name != self._name
            return PullRequest(self._name, pull.head.sha, pull.base.sha, number, pull.base.ref, fork)

    def pull_of_commit(self, sha: str) -> PullRequest | None:
        """The open pull request that a commit belongs to, if there is one."""
        with _explained(f"ask for the pull requests of {sha[:7]}"):
            for pull in self._repository.get_commit(sha).get_pulls():
                if pull.state == "open" and pull.head.sha == sha:
                    return self.pull(pull.number)
        return None

    def branch_sha(self, branch: str) -> str:
        """The commit at the tip of a branch."""
        with _explained(f"ask for the branch {branch}"):
            return self._repository.get_commit(branch).sha

    def changes(self, pull: PullRequest) -> list[FileChange]:
        """The files that a change touches: every page of a pull request's listing, or where there is no listing, it is of a newer
        commit, or would stop short, the two trees side by side.
        """
        if pull.number is not None and self.head_sha(pull.number) == pull.head_sha:
            with _explained(f"list the files of pull request {pull.number}"):
                files = list(self._pull(pull.number).get_files())
            if len(files) < LISTED_FILES:
                self._trees.setdefault(pull.head_sha, {}).update({f.filename: f.sha for f in files if f.status != "removed"})
                return [
                    FileChange(f.filename, _STATUS.get(f.status, FileStatus.MODIFIED), f.previous_filename or None) for f in files
                ]
        return _compare_trees(self.files(self._merge_base(pull)), self.files(pull.head_sha))

    def files(self, commit: str) -> dict[str, str]:
        """Every file at a commit: path -> blob."""
        with _explained(f"list the files at {commit[:7]}"):
            tree = self._repository.get_git_tree(commit, recursive=True)
            if tree.raw_data.get("truncated"):
                raise GitHubError(
                    f"GitHub does not list all files at {commit[:7]}: there are too many.",
                    why="A listing of a tree ends at 100,000 files; migrations could be missed.",
                    advice="Run `migration-rehearsal rehearse --base` on a checkout instead.",
                )
            found = {entry.path: entry.sha for entry in tree.tree if entry.type == "blob" and entry.mode != "120000"}
        self._trees[commit] = found
        return found

    def reader(self, commit: str) -> Callable[[str], bytes]:
        """A function from the path of a file that was listed to its content at that commit."""

        def read(path: str) -> bytes:
            blob = self._trees.get(commit, {}).get(path)
            if blob is None:
                blob = self.files(commit).get(path)
            if blob is None:
                raise GitHubError(f"There is no file {path} at {commit[:7]}.")
            return self._blob(path, blob)

        return read

    def content(self, commit: str, path: str) -> bytes | None:
        """The content of one file at a commit, for one request; None if there is none."""
        from github import UnknownObjectException  # noqa: PLC0415

        with _explained(f"read {path} at {commit[:7]}"):
            try:
                found = self._repository.get_contents(path, ref=commit)
            except UnknownObjectException:
                return None
            if isinstance(found, list):  # a folder of that name
                return None
            # Of what is larger than a megabyte only the blob is told.
            return found.decoded_content if found.encoding == "base64" else self._blob(path, found.sha)

    def at_hand(self, commit: str) -> Callable[[str], bytes | None]:
        """The same for what costs no request: what was read before, or the checkout has; else None."""

        def read(path: str) -> bytes | None:
            blob = self._trees.get(commit, {}).get(path)
            if blob is None or blob in self._blobs:
                return self._blobs.get(blob or "")
            return _content_if_same(self._workspace, path, blob) if self._workspace else None

        return read

    def other_changes(self, pull: PullRequest, *, most: int = 30) -> list[tuple[int, list[FileChange]]]:
        """The changed files of the other open pull requests with the same base that were changed last, by their numbers. It costs
        a request for the listing and one for each, which tells its first hundred files.
        """
        with _explained("list the open pull requests"):
            listed = self._repository.get_pulls(state="open", sort="updated", direction="desc", base=pull.base_ref).get_page(0)
            others = [other for other in listed if other.number != pull.number][:most]
            return [
                (
                    other.number,
                    [FileChange(f.filename, _STATUS.get(f.status, FileStatus.MODIFIED)) for f in other.get_files().get_page(0)],
                )
                for other in others
            ]

    def _blob(self, path: str, blob: str) -> bytes:
        """A file's content: from the checkout, if there is one and it holds just this content, else from GitHub."""
        if blob not in self._blobs:
            local = _content_if_same(self._workspace, path, blob) if self._workspace else None
            self._blobs[blob] = self._fetched(path, blob) if local is None else local
        return self._blobs[blob]

    def _fetched(self, path: str, blob: str) -> bytes:
        with _explained(f"read {path}"):
            return base64.b64decode(self._repository.get_git_blob(blob).content)

    def _merge_base(self, pull: PullRequest) -> str:
        with _explained(f"compare {pull.base_sha[:7]} and {pull.head_sha[:7]}"):
            return self._repository.compare(pull.base_sha, pull.head_sha).merge_base_commit.sha

    def _pull(self, number: int) -> GitHubPull:
        """A pull request, of which nobody needs what changes: each asking would be a request."""
        return self._pulls.get(number) or self._repository.get_pull(number)

    # ── Writing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def sticky_comment(self, number: int, marker: str, body: str, *, only_edit: bool = False) -> Json:
        """Puts `body`, which begins with `marker`, into the bot's own comment of that marker; makes one if there is none,
        unless `only_edit`. Gives the comment's id and URL, null where there is none.

        Raises Refused if the token may not write, GitHubError if GitHub does not answer.
        """
        with _explained("write the comment", writing=True):
            found = self._own_comment(number, marker)
            if found is None and not only_edit:
                found = self._made_comment(number, marker, body)
            elif found is not None and not _same_text(found.body, body):
                found.edit(body)
            return {"comment": found and found.id, "url": found and found.html_url}

    def _made_comment(self, number: int, marker: str, body: str) -> IssueComment:
        """Makes the comment. Another runner that shares no journal with us may have made one since we looked: the first one
        stays, and who made a later one takes it away.
        """
        made = self._pull(number).create_issue_comment(body)
        first = self._own_comment(number, marker)
        if first is None or first.id >= made.id:
            return made
        first.edit(body)
        made.delete()
        return first

    def head_sha(self, number: int) -> str:
        """The newest commit of a pull request, asked for anew."""
        with _explained(f"ask for pull request {number}"):
            pull = self._pulls[number] = self._repository.get_pull(number)
            return pull.head.sha

    def shown_comment(self, number: int, marker: str, body: str, *, only_edit: bool = False) -> Json | None:
        """What `sticky_comment` gives, if the pull request shows this very text already."""
        with _explained("look for the comment"):
            found = self._own_comment(number, marker)
            if found is None:
                return {"comment": None, "url": None} if only_edit else None
            return {"comment": found.id, "url": found.html_url} if _same_text(found.body, body) else None

    def set_status(self, sha: str, status: Status) -> Json:
        """Sets a commit status: the newest of a context counts. Gives its id. Raises as above."""
        from github.GithubObject import NotSet  # noqa: PLC0415

        with _explained("set the status", writing=True):
            made = self._repository.get_commit(sha).create_status(
                state=status.state,
                description=status.description,
                context=status.context,
                target_url=status.url or NotSet,
            )
            return {"status": made.id}

    def shown_status(self, sha: str, status: Status) -> Json | None:
        """What `set_status` gives, if the commit shows this very status already; the URL does not count."""
        with _explained("look for the status"):
            for found in self._repository.get_commit(sha).get_statuses():
                if found.context == status.context:
                    same = (found.state, found.description) == (status.state, status.description)
                    return {"status": found.id} if same else None
        return None

    # A completed check run is never changed: GitHub keeps annotations that it once had. What is told anew is told in a new one,
    # and of several with one name the newest counts.

    def open_check_run(self, sha: str, name: str, external_id: str, check: CheckRun, url: str | None = None) -> Json:
        """Makes a check run that is in progress and shows a title and a summary. Gives its id. Raises as above."""
        with _explained("make the check run", writing=True):
            made = self._made_check_run(
                sha, name, external_id, url, status=_IN_PROGRESS, output=_output(check, check.annotations)
            )
            return {"check_run": made.id}

    def shown_open_check_run(self, sha: str, name: str, external_id: str) -> Json | None:
        """What `open_check_run` gives, if one is in progress already."""
        with _explained("look for the check run"):
            opened = self._open_check_runs(self._check_runs(sha, name), external_id)
            return {"check_run": opened[0].id} if opened else None

    def complete_check_run(self, sha: str, name: str, external_id: str, check: CheckRun, url: str | None = None) -> Json:
        """Completes the check run that is in progress, or a new one; one that was left half way gets what it lacks. Gives its id.
        Raises as above.
        """
        with _explained("write the check run", writing=True):
            opened = self._open_check_runs(self._check_runs(sha, name), external_id)
            for found in opened[1:]:  # of another runner that shares no journal with us
                self._fill(found, check, found.output.annotations_count)
            if opened:
                return {"check_run": self._fill(opened[0], check, opened[0].output.annotations_count)}
            first = check.annotations[:_ANNOTATIONS_A_REQUEST]
            is_all = first == check.annotations
            state = _completed(check) if is_all else {"status": _IN_PROGRESS}
            made = self._made_check_run(sha, name, external_id, url, output=_output(check, first), **state)
            return {"check_run": made.id if is_all else self._fill(made, check, len(first))}

    def shown_check_run(self, sha: str, name: str, external_id: str, check: CheckRun) -> Json | None:
        """What `complete_check_run` gives, if the newest of ours shows just this and none is in progress."""
        with _explained("look for the check run"):
            runs = self._check_runs(sha, name)
            if not runs or self._open_check_runs(runs, external_id):
                return None
            shown = runs[0].output
            same = (runs[0].conclusion, shown.title, shown.annotations_count) == (
                check.conclusion,
                check.title,
                len(check.annotations),
            )
            return {"check_run": runs[0].id} if same and _same_text(shown.summary or "", check.summary) else None

    def lines(self, commit: str, path: str) -> int:
        """How many lines a file has that was listed and read at a commit; 0 for any other."""
        content = self.at_hand(commit)(path)
        return len(content.splitlines()) if content else 0

    def _check_runs(self, sha: str, name: str) -> list[GitHubCheckRun]:
        """Our check runs of a commit, the newest first. A job of the same name has one too, with another external id."""
        found = self._repository.get_commit(sha).get_check_runs(check_name=name, filter="all")
        return sorted((run for run in found if (run.external_id or "").startswith(name)), key=lambda run: run.id, reverse=True)

    @staticmethod
    def _open_check_runs(runs: list[GitHubCheckRun], external_id: str) -> list[GitHubCheckRun]:
        return [run for run in runs if run.external_id == external_id and run.status == _IN_PROGRESS]

    def _made_check_run(self, sha: str, name: str, external_id: str, url: str | None, **more: Any) -> GitHubCheckRun:
        from github.GithubObject import NotSet  # noqa: PLC0415

        return self._repository.create_check_run(name, sha, details_url=url or NotSet, external_id=external_id, **more)

    @staticmethod
    def _fill(run: GitHubCheckRun, check: CheckRun, sent: int) -> int:
        """Adds the annotations that a check run lacks, as many as a request takes, and completes it with the last of them."""
        while True:
            batch = check.annotations[sent : sent + _ANNOTATIONS_A_REQUEST]
            sent += len(batch)
            is_last = sent >= len(check.annotations)
            state = _completed(check) if is_last else {"status": _IN_PROGRESS}
            run.edit(output=_output(check, batch), **state)
            if is_last:
                return run.id

    def _own_comment(self, number: int, marker: str) -> IssueComment | None:
        """The first of our own comments that begins with the marker, on any page; somebody else may have quoted it."""
        for comment in self._pull(number).get_issue_comments():
            if comment.body.startswith(marker) and self._is_own(comment.user.login, comment.user.type):
                return comment
        return None

    def _is_own(self, login: str, kind: str) -> bool:
        return login == self._login if self._login else kind == "Bot"

    @cached_property
    def _login(self) -> str | None:
        """Who we are; a workflow's token may not ask, and then we are a bot."""
        from github import GithubException  # noqa: PLC0415

        try:
            return self._client.get_user().login
        except GithubException as error:
            if error.status in (401, 403, 404):
                return None
            raise


def _compare_trees(old: dict[str, str], new: dict[str, str]) -> list[FileChange]:
    """Two listings -> changes; a file that is gone and came back elsewhere with the same content was renamed."""
    gone = {blob: path for path, blob in old.items() if path not in new}
    changes, moved = [], set()
    for path, blob in new.items():
        if path in old:
            if old[path] != blob:
                changes.append(FileChange(path, FileStatus.MODIFIED))
        elif blob in gone:
            moved.add(gone[blob])
            changes.append(FileChange(path, FileStatus.RENAMED, gone.pop(blob)))
        else:
            changes.append(FileChange(path, FileStatus.ADDED))
    removed = old.keys() - new.keys() - moved
    return changes + [FileChange(path, FileStatus.REMOVED) for path in sorted(removed)]


def _content_if_same(workspace: Path, path: str, blob: str) -> bytes | None:
    """A file of the checkout, if git would name its content by this hash: then it is the same file wherever it came from."""
    target = workspace / path
    try:
        if target.is_symlink() or not target.resolve().is_relative_to(workspace.resolve()):
            return None
        content = target.read_bytes()
    except OSError:
        return None
    name = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    return content if name == blob else None


def _completed(check: CheckRun) -> Json:
    return {"status": "completed", "conclusion": check.conclusion}


def _output(check: CheckRun, annotations: Sequence[Annotation]) -> Json:
    """What a request says of a check run. Texts replace those that are there, annotations are added to them."""
    shown = [
        {
            "path": each.path,
            "start_line": each.line,
            "end_line": each.line,
            "annotation_level": each.level,
            "title": each.title,
            "message": each.message,
        }
        for each in annotations
    ]
    return {"title": check.title, "summary": check.summary} | ({"annotations": shown} if shown else {})


def _same_text(one: str, other: str) -> bool:
    """Whether two texts say the same; GitHub may give line ends back as browsers send them."""
    return one.replace("\r\n", "\n").strip() == other.replace("\r\n", "\n").strip()


def _wait_s(status: int, said: str, headers: Mapping[str, str], now: float) -> float | None:
    """How long GitHub asks to wait before another try is worth it; None if it is not, or not within a minute.

    The order is the one in its "Best practices for using the REST API": retry-after, else the reset of a limit that is used up,
    else a minute.
    """
    if status >= 500:
        return 1.0
    if status not in (403, 429):
        return None
    after = headers.get("retry-after", "")
    if after.isdigit():
        wait = float(after)
    elif headers.get("x-ratelimit-remaining") == "0" and headers.get("x-ratelimit-reset", "").isdigit():
        wait = max(1.0, float(headers["x-ratelimit-reset"]) - now)
    elif status == 429 or "rate limit" in said.lower():
        wait = float(_MAX_WAIT_S)
    else:
        return None
    return wait if wait <= _MAX_WAIT_S else None


@contextmanager
def _explained(what: str, *, writing: bool = False) -> Iterator[None]:
    """Turns what PyGithub and requests raise into GitHubError, which says what we wanted; into Refused where a token that can
    only read was asked to write.
    """
    import requests  # noqa: PLC0415
    from github import GithubException  # noqa: PLC0415

    try:
        yield
    except GithubException as error:
        said = error.data.get("message", "") if isinstance(error.data, dict) else ""
        refusal = f"GitHub answered {error.status} when asked to {what}."
        if writing and error.status in (403, 404) and ("not accessible" in said or "via a GitHub App" in said):
            raise Refused(refusal, why=said, not_done=True) from error
        advice = {
            401: "Check the input `token`: GitHub does not know it.",
            403: "Give the job the permissions `contents: read`, `pull-requests: write`, `statuses: write` (or `checks: write`).",
            404: "Check the repository and the token's permissions: GitHub shows neither to those who may not see it.",
            429: "Run it again later: too much was asked of GitHub.",
        }.get(error.status, "Run it again; see githubstatus.com if it stays.")
        headers = {key.lower(): value for key, value in (error.headers or {}).items()}
        wait = _wait_s(error.status, said, headers, time.time())
        # Below 500 GitHub has looked at what was asked, and declined.
        raise GitHubError(refusal, why=said, advice=advice, not_done=error.status < 500, again_in_s=wait) from error
    except requests.exceptions.RequestException as error:
        raise GitHubError(
            f"GitHub did not answer when asked to {what}.", why=type(error).__name__, advice="Run it again.", again_in_s=1.0
        ) from error
