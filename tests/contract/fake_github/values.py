"""The values that the fake keeps, all of them frozen: a change is a new value in an old one's place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

Json = dict[str, Any]

BOT = "github-actions[bot]"
# The body of a request that sent one which is not JSON.
NOT_JSON = object()


def is_bot(login: str) -> bool:
    """Whether a login is an app's."""
    return login.endswith("[bot]")


@dataclass(frozen=True)
class Access:
    """Whom a token speaks for, and whether it may write.

    A bot's token is an installation's: GitHub answers 403 to its GET /user, and lets only such a token write
    check runs.
    """

    login: str
    write: bool = True
    user_endpoint: bool | None = None

    @property
    def is_app(self) -> bool:
        """Whether the token is an app's installation token."""
        return is_bot(self.login)

    @property
    def may_ask_who_it_is(self) -> bool:
        """Whether GET /user answers: as said, else for users and not for apps."""
        return not self.is_app if self.user_endpoint is None else self.user_endpoint


@dataclass(frozen=True)
class Symlink:
    """The content of a file that is a symbolic link."""

    target: str


@dataclass(frozen=True)
class Submodule:
    """The content of a path where another repository is mounted, at its commit `sha`."""

    sha: str


Content = bytes | str | Symlink | Submodule


@dataclass(frozen=True)
class Pull:
    """A pull request; `head_repo` is the full name of the repository that holds its branch."""

    number: int
    id: int
    base_sha: str
    head_repo: str
    head_sha: str
    previous_head_sha: str
    author: str
    created_at: str
    updated_at: str
    base_branch: str = "main"
    head_branch: str = "feature"
    closed_at: str | None = None
    merge_commit_sha: str | None = None

    @property
    def state(self) -> str:
        """GitHub's word for it: a merged pull request is closed too."""
        return "open" if self.closed_at is None else "closed"

    @property
    def head_owner(self) -> str:
        """The login before the slash of the repository that holds its branch."""
        return self.head_repo.partition("/")[0]


@dataclass(frozen=True)
class Comment:
    """A comment on a pull request's conversation."""

    id: int
    number: int
    author: str
    body: str
    created_at: str
    updated_at: str


@dataclass(frozen=True)
class Status:
    """A commit status; many of one context may be kept for a commit, and the latest counts."""

    id: int
    sha: str
    state: str
    context: str
    description: str | None
    target_url: str | None
    creator: str
    created_at: str


@dataclass(frozen=True)
class CheckRun:
    """A check run of an app, with every annotation it was given so far."""

    id: int
    head_sha: str
    app: str
    name: str
    status: str
    started_at: str
    conclusion: str | None = None
    completed_at: str | None = None
    external_id: str = ""
    details_url: str | None = None
    title: str | None = None
    summary: str | None = None
    text: str | None = None
    annotations: tuple[Json, ...] = ()


class Request(NamedTuple):
    """One request as it came in: the path as sent, the query as text, the body as JSON (None is none)."""

    method: str
    path: str
    query: dict[str, str]
    body: Any
