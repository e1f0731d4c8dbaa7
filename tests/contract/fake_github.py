"""A GitHub that keeps state, for tests: what a pull-request bot calls, served on 127.0.0.1 from this process.

    with FakeGitHub() as gh:
        gh.tokens["t"] = Access("github-actions[bot]")
        shop = gh.add_repo("octo/shop")
        base = shop.commit({"migrations/1.sql": "create table a ();"})
        shop.set_branch("main", base)
        head = shop.commit({"migrations/1.sql": "create table a ();", "migrations/2.sql": "…"}, base)
        pull = shop.open_pull(number=7, head_sha=head)
        ...                                  # drive a bot at gh.url, then look at shop.comments_on(7)
        assert gh.problems == []

From top to bottom: the values that are kept, git's objects, the repositories, how they are rendered as
GitHub's JSON, one handler for each operation, and last the server with its faults and records. Every request
and answer is checked against GitHub's own description where that is at hand (see `openapi`); what it does
not catch (lengths, authors, conclusions) is enforced here by hand.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
import json
import posixpath
import re
import socket
import socketserver
import sys
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlencode

import pytest

from tests.contract.openapi import AlsoAnswers, Errata, MayBeNull, load_contract

Json = dict[str, Any]
T = TypeVar("T")

BOT = "github-actions[bot]"
DOCS = "https://docs.github.com/rest"

# GitHub's limits; the facts behind them are in its documentation of each operation.
LONGEST_COMMENT = 65_536
LONGEST_STATUS_DESCRIPTION = 140
LONGEST_CHECK_TEXT = 65_535
MOST_ANNOTATIONS = 50
MOST_PULL_FILES = 3_000
MOST_COMPARED_FILES = 300
LARGEST_INLINE_CONTENT = 1_000_000
LARGEST_BLOB = 100_000_000

STATES = ("error", "failure", "pending", "success")
CHECK_STATUSES = ("queued", "in_progress", "completed")
# GitHub alone sets "stale": the description lets a client ask for it, and then has no such answer.
CONCLUSIONS = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out")

ERRATA = Errata(
    nulls=(
        MayBeNull(
            "components/schemas/pull-request/properties/head/properties/repo",
            "null once the fork that a pull request came from is deleted",
        ),
        MayBeNull(
            "components/schemas/pull-request-simple/properties/head/properties/repo",
            "null once the fork that a pull request came from is deleted",
        ),
    ),
    answers=(
        AlsoAnswers(400, "basic-error", "a body that is not JSON is refused everywhere"),
        AlsoAnswers(401, "basic-error", "every operation needs a token, only /user lists what happens without"),
        AlsoAnswers(403, "basic-error", "every write needs a permission, few operations list its lack"),
        AlsoAnswers(404, "basic-error", "what a token can't see is not there, whichever operation asks"),
        AlsoAnswers(422, "validation-error", "every body is validated, statuses and check runs don't list it"),
    ),
)


# --- The values that are kept ---------------------------------------------------------------------


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
        return self.login.endswith("[bot]")

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
    base_branch: str
    base_sha: str
    head_repo: str
    head_branch: str
    head_sha: str
    previous_head_sha: str
    author: str
    title: str
    body: str | None
    draft: bool
    created_at: str
    updated_at: str
    closed_at: str | None = None
    merge_commit_sha: str | None = None

    @property
    def state(self) -> str:
        """GitHub's word for it: a merged pull request is closed too."""
        return "open" if self.closed_at is None else "closed"


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


# --- Git's objects, with the names that git gives them --------------------------------------------


class Entry(NamedTuple):
    """What a tree holds under a name; `kind` is blob, tree, or commit for a submodule."""

    mode: str
    kind: str
    sha: str


@dataclass(frozen=True)
class Commit:
    """A commit; author and committer are one person."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: str
    date: str
    message: str


@dataclass(frozen=True)
class Change:
    """How one path differs between two trees, in the words of GitHub's files listing."""

    path: str
    status: Literal["added", "modified", "removed", "renamed", "changed"]
    old: Entry | None
    new: Entry | None
    previous: str | None = None

    @property
    def sha(self) -> str:
        """The blob that the listing names: the new one, or of a removed file the old one."""
        entry = self.new or self.old
        assert entry is not None
        return entry.sha


def git_sha(kind: str, data: bytes) -> str:
    """The name that git gives an object."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def email_of(login: str) -> str:
    """The address that a user's commits carry."""
    return f"{login}@users.noreply.github.com"


class Objects:
    """The objects of a repository and all its forks, which share them as they do on GitHub."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.trees: dict[str, dict[str, Entry]] = {}
        self.commits: dict[str, Commit] = {}  # parents come before their children
        self._flat: dict[str, dict[str, Entry]] = {}

    def add_tree(self, files: Mapping[str, Content]) -> str:
        """Store a whole folder, given by path; return the tree's name."""
        entries: dict[str, Entry] = {}
        folders: dict[str, dict[str, Content]] = {}
        for path, content in files.items():
            name, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(name, {})[rest] = content
            else:
                entries[name] = self._add_content(content)
        if clash := entries.keys() & folders.keys():
            raise ValueError(f"both a file and a folder: {sorted(clash)}")
        entries |= {name: Entry("040000", "tree", self.add_tree(inside)) for name, inside in folders.items()}
        return self._store_tree(entries)

    def _store_tree(self, entries: dict[str, Entry]) -> str:
        # Git sorts bytes, and a folder as if its name ended with a slash.
        def place(item: tuple[str, Entry]) -> bytes:
            return (item[0] + "/" * (item[1].kind == "tree")).encode()

        ordered = dict(sorted(entries.items(), key=place))
        data = b"".join(
            f"{entry.mode.lstrip('0')} {name}\0".encode() + bytes.fromhex(entry.sha) for name, entry in ordered.items()
        )
        sha = git_sha("tree", data)
        self.trees[sha] = ordered
        return sha

    def _add_content(self, content: Content) -> Entry:
        if isinstance(content, Submodule):
            return Entry("160000", "commit", content.sha)
        if isinstance(content, Symlink):
            return Entry("120000", "blob", self._add_blob(content.target.encode()))
        return Entry("100644", "blob", self._add_blob(content.encode() if isinstance(content, str) else content))

    def _add_blob(self, data: bytes) -> str:
        sha = git_sha("blob", data)
        self.blobs[sha] = data
        return sha

    def add_commit(self, tree: str, parents: tuple[str, ...], author: str, date: str, message: str) -> str:
        """Store a commit; return its name. Unknown parents are an error."""
        missing = [parent for parent in parents if parent not in self.commits]
        if missing:
            raise ValueError(f"no such commit: {missing}")
        signed = f"{author} <{email_of(author)}> {int(datetime.fromisoformat(date).timestamp())} +0000"
        lines = [
            f"tree {tree}",
            *(f"parent {parent}" for parent in parents),
            f"author {signed}",
            f"committer {signed}",
        ]
        sha = git_sha("commit", ("\n".join(lines) + f"\n\n{message}\n").encode())
        self.commits.setdefault(sha, Commit(sha, tree, parents, author, date, message))
        return sha

    def flat(self, tree: str) -> dict[str, Entry]:
        """Every file below a tree, by its path; folders themselves are not in it."""
        if tree not in self._flat:
            self._flat[tree] = {path: entry for path, entry in self.walk(tree) if entry.kind != "tree"}
        return self._flat[tree]

    def walk(self, tree: str, prefix: str = "") -> Iterator[tuple[str, Entry]]:
        """Everything below a tree, each folder before what is in it."""
        for name, entry in self.trees[tree].items():
            yield prefix + name, entry
            if entry.kind == "tree":
                yield from self.walk(entry.sha, f"{prefix}{name}/")

    def entry_at(self, tree: str, path: str) -> Entry | None:
        """What a tree holds at a path ("" is the tree itself), None where nothing is."""
        entry: Entry | None = Entry("040000", "tree", tree)
        for name in filter(None, path.split("/")):
            entry = self.trees[entry.sha].get(name) if entry and entry.kind == "tree" else None
        return entry

    def ancestors(self, sha: str) -> set[str]:
        """A commit and all that it descends from."""
        found: set[str] = set()
        waiting = [sha]
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += self.commits[each].parents
        return found

    def missing_from(self, base: str, head: str) -> list[Commit]:
        """The commits that `head` has and `base` lacks, oldest first."""
        lacking = self.ancestors(head) - self.ancestors(base)
        return [commit for sha, commit in self.commits.items() if sha in lacking]

    def merge_base(self, one: str, other: str) -> str | None:
        """The latest commit that both descend from, None for unrelated histories."""
        shared = self.ancestors(one) & self.ancestors(other)
        # Commits are kept in the order they were made, so the last shared one has no shared descendant.
        return next((sha for sha in reversed(self.commits) if sha in shared), None)

    def changes(self, old_tree: str | None, new_tree: str) -> list[Change]:
        """How two trees differ, by path; None stands for the empty tree."""
        old = self.flat(old_tree) if old_tree else {}
        new = self.flat(new_tree)
        renamed = _renames({path: old[path] for path in sorted(old.keys() - new.keys())}, new, new.keys() - old.keys())
        gone = old.keys() - new.keys() - set(renamed.values())
        found = [Change(path, "removed", old[path], None) for path in gone]
        for path, entry in new.items():
            if path in renamed:
                found.append(Change(path, "renamed", old[renamed[path]], entry, renamed[path]))
            elif path not in old:
                found.append(Change(path, "added", None, entry))
            elif old[path] != entry:
                status: Literal["changed", "modified"] = "changed" if old[path].sha == entry.sha else "modified"
                found.append(Change(path, status, old[path], entry))
        return sorted(found, key=lambda change: change.path)

    def lines_of(self, change: Change) -> LineDiff:
        """The lines added and deleted by a change."""
        old, new = (self.blobs.get(entry.sha, b"") if entry else b"" for entry in (change.old, change.new))
        return line_diff(old, new)


def _renames(gone: dict[str, Entry], new: Mapping[str, Entry], added: set[str]) -> dict[str, str]:
    """For each added path whose very content went away elsewhere: where from, at best a file of its name."""
    sources: dict[Entry, list[str]] = {}
    for path, entry in gone.items():
        sources.setdefault(entry, []).append(path)
    found: dict[str, str] = {}
    for path in sorted(added):
        candidates = sources.get(new[path], [])
        if candidates:
            name = posixpath.basename(path)
            found[path] = next((each for each in candidates if posixpath.basename(each) == name), candidates[0])
            candidates.remove(found[path])
    return found


class LineDiff(NamedTuple):
    """Lines added, lines deleted, and the patch (None for a binary or very large file, as on GitHub)."""

    additions: int
    deletions: int
    patch: str | None


@lru_cache(maxsize=8192)
def line_diff(old: bytes, new: bytes) -> LineDiff:
    """Compare two files line by line."""
    try:
        before, after = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        return LineDiff(0, 0, None)
    if old == new or b"\0" in old + new:
        return LineDiff(0, 0, None)
    if len(old) + len(new) > LARGEST_INLINE_CONTENT:  # comparing takes quadratic time: count it as a rewrite
        return LineDiff(len(after), len(before), None)
    lines = list(difflib.unified_diff(before, after, lineterm=""))[2:]  # without the two lines that name the files
    added = sum(line.startswith("+") for line in lines)
    return LineDiff(added, sum(line.startswith("-") for line in lines), "\n".join(lines))


# --- Repositories, and the world they share -------------------------------------------------------


class World:
    """What all repositories share: a lock, the clock, the counter of ids, and each other.

    The clock moves one second with every look at it, so that times are in order and the same in every run.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.repositories: dict[str, Repo] = {}
        self._seconds = count()
        self._ids = count(1001)

    def now(self) -> str:
        """The next second, as GitHub writes it."""
        moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=next(self._seconds))
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    def next_id(self) -> int:
        """An id that nothing else has, whatever its kind: a mixed-up id is then never found."""
        return next(self._ids)

    def add(self, full_name: str, default_branch: str, fork_of: Repo | None) -> Repo:
        """A new repository; a fork shares its parent's objects."""
        with self.lock:
            if full_name in self.repositories:
                raise ValueError(f"{full_name} is there already")
            objects = fork_of.objects if fork_of else Objects()
            parent = fork_of.full_name if fork_of else None
            repo = Repo(self, full_name, default_branch, parent, self.next_id(), self.now(), objects)
            self.repositories[full_name] = repo
            return repo


@dataclass
class Repo:
    """A repository. Tests arrange it and look into it here; a bot sees it through HTTP only."""

    world: World = field(repr=False)
    full_name: str
    default_branch: str
    fork_of: str | None
    id: int
    created_at: str
    objects: Objects = field(repr=False)
    branches: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    comments: dict[int, Comment] = field(default_factory=dict)
    statuses: list[Status] = field(default_factory=list)
    check_runs: dict[int, CheckRun] = field(default_factory=dict)

    @property
    def owner(self) -> str:
        """The login before the slash."""
        return self.full_name.partition("/")[0]

    @property
    def name(self) -> str:
        """The name after the slash."""
        return self.full_name.partition("/")[2]

    def commit(
        self,
        files: Mapping[str, Content],
        parent: str | Sequence[str] | None = None,
        *,
        message: str = "Change files",
        author: str = "alice",
    ) -> str:
        """Make a commit whose whole tree is `files`; return its SHA. Several parents make it a merge."""
        parents = (parent,) if isinstance(parent, str) else tuple(parent or ())
        with self.world.lock:
            tree = self.objects.add_tree(files)
            return self.objects.add_commit(tree, parents, author, self.world.now(), message)

    def set_branch(self, name: str, sha: str) -> None:
        """Make a branch, or move it."""
        with self.world.lock:
            self.branches[name] = self.objects.commits[sha].sha

    def open_pull(
        self,
        *,
        head_sha: str,
        number: int | None = None,
        base_branch: str | None = None,
        head_repo: str | None = None,
        head_branch: str = "feature",
        draft: bool = False,
        author: str = "alice",
        title: str = "Change the schema",
        body: str | None = None,
    ) -> Pull:
        """Open a pull request; a fork that is named and not there yet is made."""
        with self.world.lock:
            number = number or max(self.pulls, default=0) + 1
            if number in self.pulls:
                raise ValueError(f"{self.full_name}#{number} is there already")
            self._head_repository(head_repo).set_branch(head_branch, head_sha)
            base = base_branch or self.default_branch
            self.pulls[number] = Pull(
                number=number,
                id=self.world.next_id(),
                base_branch=base,
                base_sha=self.branches[base],
                head_repo=head_repo or self.full_name,
                head_branch=head_branch,
                head_sha=head_sha,
                previous_head_sha=head_sha,
                author=author,
                title=title,
                body=body,
                draft=draft,
                created_at=(now := self.world.now()),
                updated_at=now,
            )
            return self.pulls[number]

    def _head_repository(self, full_name: str | None) -> Repo:
        if full_name is None:
            return self
        known = self.world.repositories.get(full_name)
        return known or self.world.add(full_name, self.default_branch, self)

    def push(self, number: int, head_sha: str) -> Pull:
        """Move a pull request's head, as a push to its branch does."""
        with self.world.lock:
            pull = self.pulls[number]
            self.world.repositories[pull.head_repo].set_branch(pull.head_branch, head_sha)
            base_sha = self.branches[pull.base_branch]
            moved = replace(pull, head_sha=head_sha, previous_head_sha=pull.head_sha, base_sha=base_sha)
            self.pulls[number] = replace(moved, updated_at=self.world.now())
            return self.pulls[number]

    def close_pull(self, number: int, merge_commit_sha: str | None = None) -> Pull:
        """Close a pull request; with a merge commit it is merged, and its base branch moves there."""
        with self.world.lock:
            pull = self.pulls[number]
            if merge_commit_sha:
                self.set_branch(pull.base_branch, merge_commit_sha)
            now = self.world.now()
            self.pulls[number] = replace(pull, closed_at=now, updated_at=now, merge_commit_sha=merge_commit_sha)
            return self.pulls[number]

    def add_comment(self, number: int, body: str, author: str = "alice") -> Comment:
        """Put a comment on a pull request, as if its author had written it."""
        with self.world.lock:
            now = self.world.now()
            made = Comment(self.world.next_id(), self.pulls[number].number, author, body, now, now)
            self.comments[made.id] = made
            return made

    def comments_on(self, number: int) -> list[Comment]:
        """The comments on a pull request, oldest first."""
        with self.world.lock:
            return [comment for comment in self.comments.values() if comment.number == number]

    def statuses_of(self, sha: str) -> list[Status]:
        """The statuses of a commit, latest first."""
        with self.world.lock:
            return [status for status in reversed(self.statuses) if status.sha == sha]

    def check_runs_of(self, sha: str) -> list[CheckRun]:
        """The check runs of a commit, latest first."""
        with self.world.lock:
            return [run for run in reversed(self.check_runs.values()) if run.head_sha == sha]

    def resolve(self, ref: str) -> str | None:
        """The commit that a branch, a pull request's ref, a full or a short SHA means; None for none."""
        name = ref.removeprefix("refs/").removeprefix("heads/")
        if name == "HEAD":
            name = self.default_branch
        if name in self.branches:
            return self.branches[name]
        if match := re.fullmatch(r"pull/(\d+)/head", name):
            pull = self.pulls.get(int(match[1]))
            return pull.head_sha if pull else None
        if not re.fullmatch(r"[0-9a-f]{7,40}", ref):
            return None
        matching = [sha for sha in self.objects.commits if sha.startswith(ref)]
        return matching[0] if len(matching) == 1 else None

    def resolve_across_forks(self, ref: str) -> str | None:
        """As `resolve`, and "owner:branch" or "owner:repository:branch" mean a fork's branch."""
        *where, branch = ref.split(":")
        if not where:
            return self.resolve(ref)
        with_objects = [each for each in self.world.repositories.values() if each.objects is self.objects]
        named = [each for each in with_objects if [each.owner, each.name][: len(where)] == where]
        return named[0].resolve(branch) if named else None

    def files_of(self, pull: Pull) -> list[Change]:
        """What a pull request changes: from where it left its base branch to its head."""
        return self.changes_between(self.objects.merge_base(pull.base_sha, pull.head_sha), pull.head_sha)

    def changes_between(self, base: str | None, head: str) -> list[Change]:
        """How the trees of two commits differ; None stands for no commit at all."""
        commits = self.objects.commits
        return self.objects.changes(commits[base].tree if base else None, commits[head].tree)


# --- How things look as GitHub's JSON -------------------------------------------------------------

USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}

REPOSITORY_LINKS = {
    "forks_url": "/forks",
    "keys_url": "/keys{/key_id}",
    "collaborators_url": "/collaborators{/collaborator}",
    "teams_url": "/teams",
    "hooks_url": "/hooks",
    "issue_events_url": "/issues/events{/number}",
    "events_url": "/events",
    "assignees_url": "/assignees{/user}",
    "branches_url": "/branches{/branch}",
    "tags_url": "/tags",
    "blobs_url": "/git/blobs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "trees_url": "/git/trees{/sha}",
    "statuses_url": "/statuses/{sha}",
    "languages_url": "/languages",
    "stargazers_url": "/stargazers",
    "contributors_url": "/contributors",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "commits_url": "/commits{/sha}",
    "git_commits_url": "/git/commits{/sha}",
    "comments_url": "/comments{/number}",
    "issue_comment_url": "/issues/comments{/number}",
    "contents_url": "/contents/{+path}",
    "compare_url": "/compare/{base}...{head}",
    "merges_url": "/merges",
    "archive_url": "/{archive_format}{/ref}",
    "downloads_url": "/downloads",
    "issues_url": "/issues{/number}",
    "pulls_url": "/pulls{/number}",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "labels_url": "/labels{/name}",
    "releases_url": "/releases{/id}",
    "deployments_url": "/deployments",
}

REPOSITORY_DEFAULTS: Json = {
    "private": False,
    "description": None,
    "homepage": None,
    "size": 0,
    "stargazers_count": 0,
    "watchers_count": 0,
    "language": None,
    "has_issues": True,
    "has_projects": True,
    "has_downloads": True,
    "has_wiki": True,
    "has_pages": False,
    "forks_count": 0,
    "mirror_url": None,
    "archived": False,
    "disabled": False,
    "license": None,
    "forks": 0,
    "watchers": 0,
    "is_template": False,
    "topics": [],
    "visibility": "public",
    "web_commit_signoff_required": False,
}

UNVERIFIED: Json = {
    "verified": False,
    "reason": "unsigned",
    "payload": None,
    "signature": None,
    "verified_at": None,
}
REACTIONS = ("+1", "-1", "laugh", "confused", "heart", "hooray", "eyes", "rocket")


def user_id(login: str) -> int:
    """A number that is always the same for a login; the workflow bot's is its real one."""
    return 41898282 if login == BOT else zlib.crc32(login.encode())


def node_id(kind: str, number: int | str) -> str:
    """An opaque text, as the GraphQL side would name a thing."""
    return base64.b64encode(f"{kind}:{number}".encode()).decode()


def in_base64(data: bytes) -> str:
    """As GitHub sends contents: lines of 60 characters."""
    text = base64.b64encode(data).decode()
    return "".join(text[start : start + 60] + "\n" for start in range(0, len(text), 60))


@dataclass(frozen=True)
class Render:
    """Turns what is kept into GitHub's JSON; `api` is where the fake listens, `server` what people see."""

    api: str
    server: str

    def user(self, login: str) -> Json:
        """A simple-user."""
        url = f"{self.api}/users/{quote(login)}"
        is_bot = login.endswith("[bot]")
        return {
            "login": login,
            "id": user_id(login),
            "node_id": node_id("User", login),
            "avatar_url": f"{self.server}/avatars/{user_id(login)}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.server}/apps/{login.removesuffix('[bot]')}" if is_bot else f"{self.server}/{login}",
            **{key: url + rest for key, rest in USER_LINKS.items()},
            "type": "Bot" if is_bot else "User",
            "site_admin": False,
        }

    def private_user(self, login: str) -> Json:
        """What a user's own token sees at /user."""
        empty = dict.fromkeys(("bio", "blog", "company", "email", "hireable", "location", "name"))
        counted = ("followers", "following", "public_gists", "public_repos", "collaborators", "disk_usage")
        private = ("owned_private_repos", "private_gists", "total_private_repos")
        times = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z")
        return {
            **self.user(login),
            **empty,
            **dict.fromkeys(counted + private, 0),
            **times,
            "two_factor_authentication": True,
        }

    def app(self, login: str) -> Json:
        """The app that a bot's login belongs to."""
        slug = login.removesuffix("[bot]")
        return {
            "id": 15368 if login == BOT else zlib.crc32(slug.encode()),
            "slug": slug,
            "node_id": node_id("App", slug),
            "owner": self.user("github"),
            "name": slug.replace("-", " ").title(),
            "description": None,
            "external_url": f"{self.server}/apps/{slug}/about",
            "html_url": f"{self.server}/apps/{slug}",
            "created_at": "2018-07-30T09:30:17Z",
            "updated_at": "2018-07-30T09:30:17Z",
            "permissions": {"checks": "write", "contents": "read", "issues": "write", "statuses": "write"},
            "events": ["pull_request"],
        }

    def at(self, repo: Repo, path: str = "") -> str:
        """An address in the API, below a repository."""
        return f"{self.api}/repos/{repo.full_name}{path}"

    def page(self, repo: Repo, path: str = "") -> str:
        """An address that people see, below a repository."""
        return f"{self.server}/{repo.full_name}{path}"

    def repository(self, repo: Repo) -> Json:
        """A repository, as it is nested in other answers and in events."""
        open_pulls = sum(pull.state == "open" for pull in repo.pulls.values())
        host = self.server.partition("://")[2]
        return {
            **REPOSITORY_DEFAULTS,
            "id": repo.id,
            "node_id": node_id("Repository", repo.id),
            "name": repo.name,
            "full_name": repo.full_name,
            "owner": self.user(repo.owner),
            "html_url": self.page(repo),
            "fork": repo.fork_of is not None,
            "url": self.at(repo),
            **{key: self.at(repo, rest) for key, rest in REPOSITORY_LINKS.items()},
            **dict.fromkeys(("created_at", "updated_at", "pushed_at"), repo.created_at),
            "git_url": f"git://{host}/{repo.full_name}.git",
            "ssh_url": f"git@{host}:{repo.full_name}.git",
            "clone_url": self.page(repo, ".git"),
            "svn_url": self.page(repo),
            "open_issues_count": open_pulls,
            "open_issues": open_pulls,
            "default_branch": repo.default_branch,
        }

    def full_repository(self, repo: Repo, *, writable: bool) -> Json:
        """A repository asked for by name."""
        parent = repo.world.repositories.get(repo.fork_of or "")
        nested = dict.fromkeys(("parent", "source"), self.repository(parent)) if parent else {}
        permissions = {"admin": False, "maintain": False, "push": writable, "triage": writable, "pull": True}
        counted = {"network_count": 0, "subscribers_count": 0, "has_discussions": False}
        return {**self.repository(repo), **counted, "permissions": permissions, **nested}

    def association(self, repo: Repo, login: str) -> str:
        """What an author is to a repository."""
        return "OWNER" if login == repo.owner else "NONE"

    def pull_simple(self, repo: Repo, pull: Pull) -> Json:
        """A pull request, as it is listed."""
        head_repo = repo.world.repositories.get(pull.head_repo)
        return {
            "id": pull.id,
            "node_id": node_id("PullRequest", pull.id),
            "number": pull.number,
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "user": self.user(pull.author),
            "body": pull.body,
            **self._pull_addresses(repo, pull),
            **{key: getattr(pull, key) for key in ("created_at", "updated_at", "closed_at", "merge_commit_sha")},
            "merged_at": pull.closed_at if pull.merge_commit_sha else None,
            "assignee": None,
            **{key: [] for key in ("assignees", "requested_reviewers", "requested_teams", "labels")},
            "milestone": None,
            "head": self._side(head_repo, pull.head_repo.partition("/")[0], pull.head_branch, pull.head_sha),
            "base": self._side(repo, repo.owner, pull.base_branch, pull.base_sha),
            "author_association": self.association(repo, pull.author),
            "auto_merge": None,
            "active_lock_reason": None,
            "draft": pull.draft,
        }

    def _pull_addresses(self, repo: Repo, pull: Pull) -> Json:
        page = self.page(repo, f"/pull/{pull.number}")
        links = {
            "self": self.at(repo, f"/pulls/{pull.number}"),
            "html": page,
            "issue": self.at(repo, f"/issues/{pull.number}"),
            "comments": self.at(repo, f"/issues/{pull.number}/comments"),
            "review_comments": self.at(repo, f"/pulls/{pull.number}/comments"),
            "review_comment": self.at(repo, "/pulls/comments{/number}"),
            "commits": self.at(repo, f"/pulls/{pull.number}/commits"),
            "statuses": self.at(repo, f"/statuses/{pull.head_sha}"),
        }
        named = {f"{name}_url": url for name, url in links.items() if name != "self"}
        return {
            "url": links["self"],
            **named,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            "_links": {name: {"href": url} for name, url in links.items()},
        }

    def _side(self, repo: Repo | None, owner: str, ref: str, sha: str) -> Json:
        """One end of a pull request; a deleted fork is null."""
        nested = self.repository(repo) if repo else None
        return {"label": f"{owner}:{ref}", "ref": ref, "sha": sha, "user": self.user(owner), "repo": nested}

    def pull(self, repo: Repo, pull: Pull) -> Json:
        """A pull request asked for by number, and in events."""
        merged = pull.merge_commit_sha is not None
        diffs = [repo.objects.lines_of(change) for change in repo.files_of(pull)]
        return {
            **self.pull_simple(repo, pull),
            "merged": merged,
            "mergeable": None if pull.state == "closed" else True,
            "rebaseable": None,
            "mergeable_state": "unknown" if pull.state == "closed" else "clean",
            "merged_by": self.user(repo.owner) if merged else None,
            "comments": sum(comment.number == pull.number for comment in repo.comments.values()),
            "review_comments": 0,
            "maintainer_can_modify": pull.head_repo != repo.full_name,
            "commits": len(repo.objects.missing_from(pull.base_sha, pull.head_sha)),
            "additions": sum(diff.additions for diff in diffs),
            "deletions": sum(diff.deletions for diff in diffs),
            "changed_files": len(diffs),
        }

    def pull_minimal(self, repo: Repo, pull: Pull) -> Json:
        """A pull request as a check run names it."""
        nested = {"id": repo.id, "url": self.at(repo), "name": repo.name}
        return {
            "id": pull.id,
            "number": pull.number,
            "url": self.at(repo, f"/pulls/{pull.number}"),
            "head": {"ref": pull.head_branch, "sha": pull.head_sha, "repo": nested},
            "base": {"ref": pull.base_branch, "sha": pull.base_sha, "repo": nested},
        }

    def change(self, repo: Repo, change: Change, base: str | None, head: str) -> Json:
        """A line of a files listing; a removed file's addresses are those of the commit that last had it."""
        sha = base if change.status == "removed" and base else head
        path = quote(change.path)
        diff = repo.objects.lines_of(change)
        return {
            "sha": change.sha,
            "filename": change.path,
            "status": change.status,
            "additions": diff.additions,
            "deletions": diff.deletions,
            "changes": diff.additions + diff.deletions,
            "blob_url": self.page(repo, f"/blob/{sha}/{path}"),
            "raw_url": self.page(repo, f"/raw/{sha}/{path}"),
            "contents_url": self.at(repo, f"/contents/{path}?ref={sha}"),
            **({"patch": diff.patch} if diff.patch else {}),
            **({"previous_filename": change.previous} if change.previous else {}),
        }

    def commit(self, repo: Repo, commit: Commit) -> Json:
        """A commit, without the files it changes."""
        person = {"name": commit.author, "email": email_of(commit.author), "date": commit.date}
        url = self.at(repo, f"/commits/{commit.sha}")
        tree = {"sha": commit.tree, "url": self.at(repo, f"/git/trees/{commit.tree}")}
        return {
            "url": url,
            "sha": commit.sha,
            "node_id": node_id("Commit", commit.sha),
            "html_url": self.page(repo, f"/commit/{commit.sha}"),
            "comments_url": f"{url}/comments",
            "commit": {
                "url": self.at(repo, f"/git/commits/{commit.sha}"),
                "author": person,
                "committer": person,
                "message": commit.message,
                "comment_count": 0,
                "tree": tree,
                "verification": UNVERIFIED,
            },
            "author": self.user(commit.author),
            "committer": self.user(commit.author),
            "parents": [self._parent(repo, sha) for sha in commit.parents],
        }

    def _parent(self, repo: Repo, sha: str) -> Json:
        return {
            "sha": sha,
            "url": self.at(repo, f"/commits/{sha}"),
            "html_url": self.page(repo, f"/commit/{sha}"),
        }

    def comment(self, repo: Repo, comment: Comment) -> Json:
        """An issue-comment."""
        url = self.at(repo, f"/issues/comments/{comment.id}")
        is_bot = comment.author.endswith("[bot]")
        return {
            "id": comment.id,
            "node_id": node_id("IssueComment", comment.id),
            "url": url,
            "html_url": self.page(repo, f"/pull/{comment.number}#issuecomment-{comment.id}"),
            "issue_url": self.at(repo, f"/issues/{comment.number}"),
            "user": self.user(comment.author),
            "body": comment.body,
            "created_at": comment.created_at,
            "updated_at": comment.updated_at,
            "author_association": self.association(repo, comment.author),
            "performed_via_github_app": self.app(comment.author) if is_bot else None,
            "reactions": {"url": f"{url}/reactions", "total_count": 0, **dict.fromkeys(REACTIONS, 0)},
        }

    def status(self, repo: Repo, status: Status) -> Json:
        """A commit status."""
        kept = ("id", "state", "description", "target_url", "context", "created_at")
        return {
            **{key: getattr(status, key) for key in kept},
            "node_id": node_id("StatusContext", status.id),
            "url": self.at(repo, f"/statuses/{status.sha}"),
            "avatar_url": self.user(status.creator)["avatar_url"],
            "updated_at": status.created_at,
            "creator": self.user(status.creator),
        }

    def check_run(self, repo: Repo, run: CheckRun) -> Json:
        """A check run. As on GitHub, pull requests from forks are not named in it."""
        kept = ("id", "name", "head_sha", "external_id", "status", "conclusion", "started_at", "completed_at")
        url = self.at(repo, f"/check-runs/{run.id}")
        page = self.page(repo, f"/runs/{run.id}")
        own = (pull for pull in repo.pulls.values() if pull.state == "open" and pull.head_repo == repo.full_name)
        return {
            **{key: getattr(run, key) for key in kept},
            "node_id": node_id("CheckRun", run.id),
            "url": url,
            "html_url": page,
            "details_url": run.details_url or page,
            "output": {
                "title": run.title,
                "summary": run.summary,
                "text": run.text,
                "annotations_count": len(run.annotations),
                "annotations_url": f"{url}/annotations",
            },
            "check_suite": {"id": zlib.crc32(f"{run.head_sha} {run.app}".encode())},
            "app": self.app(run.app),
            "pull_requests": [self.pull_minimal(repo, pull) for pull in own if pull.head_sha == run.head_sha],
        }

    def content(self, repo: Repo, path: str, entry: Entry, ref: str) -> Json:
        """What lies at a path, without its content."""
        kind = {"120000": "symlink", "160000": "submodule", "040000": "dir"}.get(entry.mode, "file")
        is_file = kind in {"file", "symlink"}
        place = quote(path)
        url = self.at(repo, f"/contents/{place}?ref={quote(ref)}")
        git = None if kind == "submodule" else self.at(repo, f"/git/{entry.kind}s/{entry.sha}")
        shown = "tree" if kind == "dir" else "blob"
        html = None if kind == "submodule" else self.page(repo, f"/{shown}/{quote(ref)}/{place}")
        return {
            "type": kind,
            "name": posixpath.basename(path),
            "path": path,
            "sha": entry.sha,
            "size": len(repo.objects.blobs[entry.sha]) if is_file else 0,
            "url": url,
            "git_url": git,
            "html_url": html,
            "download_url": self.page(repo, f"/raw/{quote(ref)}/{place}") if is_file else None,
            "_links": {"self": url, "git": git, "html": html},
        }

    def tree_entry(self, repo: Repo, path: str, entry: Entry) -> Json:
        """A line of a tree."""
        line: Json = {"path": path, "mode": entry.mode, "type": entry.kind, "sha": entry.sha}
        if entry.kind == "commit":  # a submodule: its commit is another repository's
            return line
        size = {"size": len(repo.objects.blobs[entry.sha])} if entry.kind == "blob" else {}
        return {**line, **size, "url": self.at(repo, f"/git/{entry.kind}s/{entry.sha}")}


# --- One handler for each operation ---------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """What goes back; a body that is text is sent as HTML, any other as JSON."""

    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):  # noqa: N818 - an answer on its way out, not a failure of ours
    """Ends a handler with one of GitHub's error answers."""

    def __init__(self, status: int, message: str, errors: Sequence[Json] = ()) -> None:
        super().__init__(message)
        body: Json = {"message": message, "documentation_url": DOCS}
        if status == 422:  # the description has no `status` in this one
            body |= {"errors": list(errors)} if errors else {}
        else:
            body["status"] = str(status)
        self.answer = Answer(status, body)


def invalid(resource: str, name: str, message: str, code: str = "custom") -> Refused:
    """GitHub's 422 about one field."""
    return Refused(422, "Validation Failed", [{"resource": resource, "code": code, "field": name, "message": message}])


NOT_OURS = "Resource not accessible by integration"


@dataclass(frozen=True)
class Call:
    """One request on its way through a handler."""

    request: Request
    access: Access
    params: Mapping[str, str]
    repo: Repo

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters, as text."""
        return self.request.query

    def number(self, name: str) -> int:
        """A path parameter that is a number; anything else is not found."""
        text = self.params[name]
        if not text.isdecimal():
            raise Refused(404, "Not Found")
        return int(text)

    @property
    def body(self) -> Json:
        """The body, which must be an object."""
        if not isinstance(self.request.body, dict):
            raise Refused(422, "Invalid request.\n\nFor 'properties', the body is not an object.")
        return self.request.body

    def text(self, name: str, default: str | None = None) -> str | None:
        """A member of the body that is text or absent."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, str):
            raise Refused(422, f"Invalid request.\n\nFor 'properties/{name}', {value!r} is not a string.")
        return default if value is None else value

    def required_text(self, name: str) -> str:
        """A member of the body that is text and must be there."""
        value = self.text(name)
        if value is None:
            raise Refused(422, f'Invalid request.\n\n"{name}" wasn\'t supplied.')
        return value

    def commit(self, ref: str) -> Commit:
        """The commit that a ref means."""
        sha = self.repo.resolve(ref)
        if sha is None:
            raise Refused(422, f"No commit found for SHA: {ref}")
        return self.repo.objects.commits[sha]

    def commit_named(self, sha: str) -> Commit:
        """The commit of a full SHA: where something is written, GitHub takes no branch's name."""
        if sha not in self.repo.objects.commits:
            raise Refused(422, f"No commit found for SHA: {sha}")
        return self.repo.objects.commits[sha]


Handler = Callable[["Api", Call], Answer]


class Route(NamedTuple):
    """An operation and what answers it; `template` is the path as the description writes it."""

    method: str
    template: str
    pattern: re.Pattern[str]
    handler: Handler


ROUTES: list[Route] = []


def route(method: str, template: str, *, legacy: str | None = None) -> Callable[[Handler], Handler]:
    """Register the decorated handler for an operation, and for an older path that still leads to it."""

    def slot(match: re.Match[str]) -> str:
        # Two parameters may hold bare slashes: a file's path, and branch names on both sides of a comparison.
        return f"(?P<{match[1]}>{'.*' if match[1] in {'path', 'basehead'} else '[^/]+'})"

    def register(handler: Handler) -> Handler:
        for path in filter(None, (template, legacy)):
            pattern = re.compile(re.sub(r"\{(\w+)\}", slot, path))
            ROUTES.append(Route(method, template, pattern, handler))
        return handler

    return register


def routed(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """The operation that a request means, and its path parameters; None where the fake has none."""
    for each in ROUTES:
        match = each.pattern.fullmatch(path)
        if match and each.method == method:
            return each, {name: unquote(text) for name, text in match.groupdict().items()}
    return None


class Api:
    """GitHub's operations. Each handler takes a Call whose token and repository are known to be good."""

    def __init__(self, world: World, render: Render) -> None:
        self.world = world
        self.render = render
        self.most_tree_entries = 100_000
        self.rate = {"limit": 5000, "remaining": 5000, "used": 0}

    def paged(self, call: Call, items: Sequence[T], default: int = 30, most: int = 100) -> tuple[Sequence[T], Json]:
        """The page of `items` that is asked for, and the Link header that leads to the others."""
        page = max(1, _whole(call.query.get("page"), 1))
        size = min(most, max(1, _whole(call.query.get("per_page"), default)))
        last = max(1, -(-len(items) // size))
        near = {"prev": page - 1, "next": page + 1, "last": last, "first": 1}
        if page == 1:
            del near["prev"], near["first"]
        if page >= last:
            del near["next"], near["last"]
        address = self.render.api + call.request.path
        links = [f'<{address}?{urlencode({**call.query, "page": number})}>; rel="{name}"' for name, number in near.items()]
        return items[(page - 1) * size : page * size], {"Link": ", ".join(links)} if links else {}

    def listed(self, call: Call, items: Sequence[T], render: Callable[[Repo, T], Json]) -> Answer:
        """A page of items as an array."""
        page, links = self.paged(call, items)
        return Answer(200, [render(call.repo, item) for item in page], links)

    # Who and how much

    @route("GET", "/user")
    def get_user(self, call: Call) -> Answer:
        if not call.access.may_ask_who_it_is:
            raise Refused(403, NOT_OURS)
        return Answer(200, self.render.private_user(call.access.login))

    @route("GET", "/rate_limit")
    def get_rate_limit(self, call: Call) -> Answer:
        rate = {**self.rate, "reset": _next_hour()}
        return Answer(200, {"resources": {"core": rate, "search": rate, "graphql": rate}, "rate": rate})

    # Repositories and pull requests

    @route("GET", "/repos/{owner}/{repo}")
    def get_repository(self, call: Call) -> Answer:
        return Answer(200, self.render.full_repository(call.repo, writable=call.access.write))

    @route("GET", "/repos/{owner}/{repo}/pulls")
    def list_pulls(self, call: Call) -> Answer:
        query = {"state": "open", "sort": "created", **call.query}
        keys: dict[str, Callable[[Pull], str]] = {"updated": lambda pull: pull.updated_at}
        descending = query.get("direction", "desc" if query["sort"] == "created" else "asc") == "desc"
        by_time = sorted(
            call.repo.pulls.values(),
            key=keys.get(query["sort"], lambda pull: pull.created_at),
            reverse=descending,
        )
        return self.listed(call, [pull for pull in by_time if _is_asked_for(pull, query)], self.render.pull_simple)

    @route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}")
    def get_pull(self, call: Call) -> Answer:
        return Answer(200, self.render.pull(call.repo, _found(call.repo.pulls, call.number("pull_number"))))

    @route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}/files")
    def list_pull_files(self, call: Call) -> Answer:
        pull = _found(call.repo.pulls, call.number("pull_number"))
        page, links = self.paged(call, call.repo.files_of(pull)[:MOST_PULL_FILES])
        return Answer(200, self._changes(call.repo, page, pull.base_sha, pull.head_sha), links)

    def _changes(self, repo: Repo, changes: Sequence[Change], base: str | None, head: str) -> list[Json]:
        return [self.render.change(repo, change, base, head) for change in changes]

    @route("GET", "/repos/{owner}/{repo}/commits/{commit_sha}/pulls")
    def list_pulls_of_commit(self, call: Call) -> Answer:
        sha = call.commit(call.params["commit_sha"]).sha
        kept = [pull for pull in call.repo.pulls.values() if pull.state == "open" or pull.merge_commit_sha]
        return self.listed(call, [pull for pull in kept if _has(call.repo, pull, sha)], self.render.pull_simple)

    # Commits and what is in them

    @route("GET", "/repos/{owner}/{repo}/commits/{ref}")
    def get_commit(self, call: Call) -> Answer:
        commit = call.commit(call.params["ref"])
        parent = commit.parents[0] if commit.parents else None
        changes = call.repo.changes_between(parent, commit.sha)
        diffs = [call.repo.objects.lines_of(change) for change in changes]
        added, deleted = sum(diff.additions for diff in diffs), sum(diff.deletions for diff in diffs)
        stats = {"additions": added, "deletions": deleted, "total": added + deleted}
        page, links = self.paged(call, changes[:MOST_PULL_FILES], default=300, most=300)
        files = self._changes(call.repo, page, parent, commit.sha)
        return Answer(200, {**self.render.commit(call.repo, commit), "stats": stats, "files": files}, links)

    @route("GET", "/repos/{owner}/{repo}/compare/{basehead}")
    def compare(self, call: Call) -> Answer:
        repo = call.repo
        base, head = (repo.resolve_across_forks(ref) for ref in _both_ends(call.params["basehead"]))
        merge_base = repo.objects.merge_base(base, head) if base and head else None
        if base is None or head is None or merge_base is None:
            raise Refused(404, "Not Found")
        ahead = repo.objects.missing_from(base, head)
        behind = len(repo.objects.missing_from(head, base))
        page, links = self.paged(call, ahead, default=250, most=1000)
        # The files come with the first page of commits only, and are never paged.
        changes = repo.changes_between(merge_base, head)[:MOST_COMPARED_FILES] if _is_first_page(call) else []
        body = {
            **self._comparison_addresses(repo, call.params["basehead"]),
            "base_commit": self.render.commit(repo, repo.objects.commits[base]),
            "merge_base_commit": self.render.commit(repo, repo.objects.commits[merge_base]),
            "status": _standing(len(ahead), behind),
            "ahead_by": len(ahead),
            "behind_by": behind,
            "total_commits": len(ahead),
            "commits": [self.render.commit(repo, commit) for commit in page],
            "files": self._changes(repo, changes, merge_base, head),
        }
        return Answer(200, body, links)

    def _comparison_addresses(self, repo: Repo, basehead: str) -> Json:
        page = self.render.page(repo, f"/compare/{quote(basehead)}")
        links = {
            "html_url": page,
            "permalink_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
        }
        return {"url": self.render.at(repo, f"/compare/{quote(basehead)}"), **links}

    @route("GET", "/repos/{owner}/{repo}/git/trees/{tree_sha}")
    def get_tree(self, call: Call) -> Answer:
        objects, asked = call.repo.objects, call.params["tree_sha"]
        commit = call.repo.resolve(asked)
        sha = commit or asked  # GitHub echoes the commit it was asked for, not the commit's tree
        tree = objects.commits[commit].tree if commit else asked
        if tree not in objects.trees:
            raise Refused(404, "Not Found")
        # Any value at all makes it recursive, "0" and "false" too.
        lines = list(objects.walk(tree) if "recursive" in call.query else objects.trees[tree].items())
        shown = lines[: self.most_tree_entries]
        body = {
            "sha": sha,
            "url": self.render.at(call.repo, f"/git/trees/{sha}"),
            "tree": [self.render.tree_entry(call.repo, path, entry) for path, entry in shown],
            "truncated": len(shown) < len(lines),
        }
        return Answer(200, body)

    @route("GET", "/repos/{owner}/{repo}/git/blobs/{file_sha}")
    def get_blob(self, call: Call) -> Answer:
        sha = call.params["file_sha"]
        if not re.fullmatch(r"[0-9a-f]{40}", sha):
            raise Refused(422, "The sha parameter must be exactly 40 characters and contain only [0-9a-f].")
        data = _found(call.repo.objects.blobs, sha)
        if len(data) > LARGEST_BLOB:
            raise Refused(403, "This API returns blobs up to 100 MB in size.")
        body = {
            "sha": sha,
            "node_id": node_id("Blob", sha),
            "size": len(data),
            "url": self.render.at(call.repo, f"/git/blobs/{sha}"),
            "content": in_base64(data),
            "encoding": "base64",
        }
        return Answer(200, body)

    @route("GET", "/repos/{owner}/{repo}/contents/{path}")
    def get_content(self, call: Call) -> Answer:
        ref = call.query.get("ref") or call.repo.default_branch
        commit, path = call.repo.resolve(ref), call.params["path"].strip("/")
        if commit is None:
            raise Refused(404, f"No commit found for the ref {ref}")
        tree = call.repo.objects.commits[commit].tree
        entry = call.repo.objects.entry_at(tree, path)
        if entry is None:
            raise Refused(404, "Not Found")
        if entry.kind == "tree":
            return Answer(200, self._folder(call.repo, path, entry, ref))
        return Answer(200, self._file(call.repo, tree, path, entry, ref))

    def _folder(self, repo: Repo, path: str, entry: Entry, ref: str) -> list[Json]:
        inside = repo.objects.trees[entry.sha].items()
        # GitHub lists a submodule as a file here, for the sake of old clients.
        listed = [self.render.content(repo, posixpath.join(path, name), each, ref) for name, each in inside]
        return [{**line, "type": "file"} if line["type"] == "submodule" else line for line in listed][:1000]

    def _file(self, repo: Repo, tree: str, path: str, entry: Entry, ref: str) -> Json:
        body = self.render.content(repo, path, entry, ref)
        if body["type"] == "submodule":
            return {**body, "submodule_git_url": self.render.page(repo, ".git")}
        data = repo.objects.blobs[entry.sha]
        if body["type"] == "symlink":
            target = data.decode()
            meant = repo.objects.entry_at(tree, posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
            # A link to a file of the same repository is followed; any other is shown as what it is.
            if meant is None or meant.mode != "100644":
                return {**body, "target": target}
            data, body = repo.objects.blobs[meant.sha], {**body, "type": "file"}
        if len(data) > LARGEST_BLOB:
            raise Refused(403, "This API returns blobs up to 100 MB in size.")
        if len(data) > LARGEST_INLINE_CONTENT:
            return {**body, "size": len(data), "content": "", "encoding": "none"}
        return {**body, "size": len(data), "content": in_base64(data), "encoding": "base64"}

    # Comments

    @route("GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments")
    def list_comments(self, call: Call) -> Answer:
        pull = _found(call.repo.pulls, call.number("issue_number"))
        since = _moment(call.query.get("since", "1970-01-01T00:00:00Z"))
        comments = [each for each in call.repo.comments_on(pull.number) if _moment(each.updated_at) >= since]
        return self.listed(call, comments, self.render.comment)

    @route("POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments")
    def create_comment(self, call: Call) -> Answer:
        pull = _found(call.repo.pulls, call.number("issue_number"))
        made = call.repo.add_comment(pull.number, _comment_body(call), call.access.login)
        body = self.render.comment(call.repo, made)
        return Answer(201, body, {"Location": body["url"]})

    @route("GET", "/repos/{owner}/{repo}/issues/comments/{comment_id}")
    def get_comment(self, call: Call) -> Answer:
        return Answer(200, self.render.comment(call.repo, _found(call.repo.comments, call.number("comment_id"))))

    @route("PATCH", "/repos/{owner}/{repo}/issues/comments/{comment_id}")
    def update_comment(self, call: Call) -> Answer:
        comment = replace(_own_comment(call), body=_comment_body(call), updated_at=self.world.now())
        call.repo.comments[comment.id] = comment
        return Answer(200, self.render.comment(call.repo, comment))

    @route("DELETE", "/repos/{owner}/{repo}/issues/comments/{comment_id}")
    def delete_comment(self, call: Call) -> Answer:
        del call.repo.comments[_own_comment(call).id]
        return Answer(204)

    # Statuses

    @route("POST", "/repos/{owner}/{repo}/statuses/{sha}")
    def create_status(self, call: Call) -> Answer:
        state = call.required_text("state")
        if state not in STATES:
            raise invalid("Status", "state", "state is not included in the list")
        description, target = call.text("description"), call.text("target_url")
        if len(description or "") > LONGEST_STATUS_DESCRIPTION:
            raise invalid("Status", "description", "description is too long (maximum is 140 characters)")
        if target and not target.startswith(("http://", "https://")):
            raise invalid("Status", "target_url", "target_url must use http(s) scheme")
        sha = call.commit_named(call.params["sha"]).sha
        made = Status(
            id=self.world.next_id(),
            sha=sha,
            state=state,
            context=call.text("context") or "default",
            description=description,
            target_url=target,
            creator=call.access.login,
            created_at=self.world.now(),
        )
        call.repo.statuses.append(made)
        body = self.render.status(call.repo, made)
        return Answer(201, body, {"Location": body["url"]})

    # The legacy path is not in the description, GitHub still has it, and it is the one that PyGithub takes.
    @route(
        "GET",
        "/repos/{owner}/{repo}/commits/{ref}/statuses",
        legacy="/repos/{owner}/{repo}/statuses/{ref}",
    )
    def list_statuses(self, call: Call) -> Answer:
        sha = call.commit(call.params["ref"]).sha
        return self.listed(call, call.repo.statuses_of(sha), self.render.status)

    # Check runs

    @route("POST", "/repos/{owner}/{repo}/check-runs")
    def create_check_run(self, call: Call) -> Answer:
        if not call.access.is_app:
            raise Refused(403, "You must authenticate via a GitHub App.")
        name, sha = call.required_text("name"), call.commit_named(call.required_text("head_sha")).sha
        now = self.world.now()
        blank = CheckRun(self.world.next_id(), sha, call.access.login, name, "queued", started_at=now)
        if call.body.get("output") is not None:
            _need_members(call.body["output"], ("title", "summary"))
        made = _changed_run(blank, call, now)
        call.repo.check_runs[made.id] = made
        return Answer(201, self.render.check_run(call.repo, made))

    @route("GET", "/repos/{owner}/{repo}/check-runs/{check_run_id}")
    def get_check_run(self, call: Call) -> Answer:
        return Answer(200, self.render.check_run(call.repo, _found(call.repo.check_runs, call.number("check_run_id"))))

    @route("PATCH", "/repos/{owner}/{repo}/check-runs/{check_run_id}")
    def update_check_run(self, call: Call) -> Answer:
        run = _found(call.repo.check_runs, call.number("check_run_id"))
        if run.app != call.access.login:
            raise Refused(403, "Invalid app_id: a check run can only be modified by the GitHub App that created it.")
        made = _changed_run(run, call, self.world.now())
        call.repo.check_runs[run.id] = made
        return Answer(200, self.render.check_run(call.repo, made))

    @route("GET", "/repos/{owner}/{repo}/commits/{ref}/check-runs")
    def list_check_runs(self, call: Call) -> Answer:
        runs = call.repo.check_runs_of(call.commit(call.params["ref"]).sha)
        if call.query.get("filter", "latest") == "latest":
            latest = {(run.app, run.name): run for run in reversed(runs)}
            runs = [run for run in runs if latest[run.app, run.name] is run]
        wanted = {"name": call.query.get("check_name"), "status": call.query.get("status")}
        runs = [run for run in runs if all(getattr(run, key) == text for key, text in wanted.items() if text)]
        if app := call.query.get("app_id"):
            runs = [run for run in runs if str(self.render.app(run.app)["id"]) == app]
        page, links = self.paged(call, runs)
        found = [self.render.check_run(call.repo, run) for run in page]
        return Answer(200, {"total_count": len(runs), "check_runs": found}, links)


K = TypeVar("K")


def _found(kept: Mapping[K, T], key: K) -> T:
    """What is kept under a key, else 404."""
    if key not in kept:
        raise Refused(404, "Not Found")
    return kept[key]


def _whole(text: str | None, default: int) -> int:
    """A query parameter as a number; what is not one counts as absent, as on GitHub."""
    return int(text) if text and text.isdecimal() else default


def _is_first_page(call: Call) -> bool:
    return _whole(call.query.get("page"), 1) <= 1


def _moment(text: str) -> datetime:
    """A time in a query or in what is kept; a query without a zone means UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Refused(422, f"Invalid since parameter: {text}") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _next_hour() -> int:
    """When the rate limit starts anew: in real time, because clients compare it with their own clock."""
    return int(time.time()) + 3600


def _is_asked_for(pull: Pull, query: Mapping[str, str]) -> bool:
    """Whether a listing's filters let a pull request through."""
    head = f"{pull.head_repo.partition('/')[0]}:{pull.head_branch}"
    return (
        query["state"] in {"all", pull.state}
        and query.get("head") in {None, head}
        and query.get("base") in {None, pull.base_branch}
    )


def _has(repo: Repo, pull: Pull, sha: str) -> bool:
    """Whether a commit belongs to a pull request, or is its merge."""
    mine = {commit.sha for commit in repo.objects.missing_from(pull.base_sha, pull.head_sha)}
    return sha in mine | {pull.merge_commit_sha}


def _both_ends(basehead: str) -> tuple[str, str]:
    base, dots, head = basehead.partition("...")
    if not dots:
        raise Refused(404, "Not Found")
    return base, head


def _standing(ahead: int, behind: int) -> str:
    """GitHub's word for how a head stands to its base."""
    if ahead and behind:
        return "diverged"
    if ahead:
        return "ahead"
    return "behind" if behind else "identical"


def _comment_body(call: Call) -> str:
    """The text of a comment, within GitHub's limits."""
    text = call.required_text("body")
    if not text.strip():
        raise invalid("IssueComment", "data", "Body cannot be blank", "unprocessable")
    if len(text) > LONGEST_COMMENT:
        message = f"Body is too long (maximum is {LONGEST_COMMENT} characters)"
        raise invalid("IssueComment", "data", message, "unprocessable")
    return text


def _own_comment(call: Call) -> Comment:
    """The comment that is asked for; another author's is refused.

    GitHub would let some tokens edit and delete what others wrote. A bot that does so is wrong.
    """
    comment = _found(call.repo.comments, call.number("comment_id"))
    if comment.author != call.access.login:
        raise Refused(403, NOT_OURS)
    return comment


def _changed_run(run: CheckRun, call: Call, now: str) -> CheckRun:
    """A check run after a create or an update with the call's body."""
    status, conclusion = call.text("status"), call.text("conclusion")
    _need_one_of("status", status, CHECK_STATUSES)
    _need_one_of("conclusion", conclusion, CONCLUSIONS)
    if status == "completed" and conclusion is None:
        raise Refused(422, 'Invalid request.\n\n"conclusion" wasn\'t supplied, and the status is completed.')
    if conclusion:  # a conclusion completes the run, whatever else is said
        done = call.text("completed_at", now)
        run = replace(run, status="completed", conclusion=conclusion, completed_at=done)
    elif status:
        run = replace(run, status=status, conclusion=None, completed_at=None)
    return _with_output(
        replace(
            run,
            name=call.text("name") or run.name,
            started_at=call.text("started_at") or run.started_at,
            external_id=call.text("external_id") or run.external_id,
            details_url=call.text("details_url") or run.details_url,
        ),
        call.body.get("output"),
    )


def _with_output(run: CheckRun, output: Any) -> CheckRun:
    """A check run after its output is given: texts replace the old ones, annotations are added to them."""
    if output is None:
        return run
    _need_members(output, ("summary",))
    for name in ("summary", "text"):
        if len(output.get(name) or "") > LONGEST_CHECK_TEXT:
            limit = f"only {LONGEST_CHECK_TEXT} characters are allowed; {len(output[name])} were supplied."
            raise Refused(422, f"Invalid request.\n\nFor 'properties/{name}', {limit}")
    annotations = output.get("annotations") or []
    if len(annotations) > MOST_ANNOTATIONS:
        limit = f"only {MOST_ANNOTATIONS} items are allowed; {len(annotations)} were supplied."
        raise Refused(422, f"Invalid request.\n\nFor 'properties/annotations', {limit}")
    for annotation in annotations:
        _need_members(annotation, ("path", "start_line", "end_line", "annotation_level", "message"))
    texts = {name: output[name] for name in ("title", "summary", "text") if name in output}
    return replace(run, **texts, annotations=(*run.annotations, *annotations))


def _need_members(value: Any, names: Sequence[str]) -> None:
    missing = [name for name in names if not isinstance(value, dict) or value.get(name) is None]
    if missing:
        raise Refused(422, f"Invalid request.\n\n{', '.join(missing)} weren't supplied.")


def _need_one_of(name: str, value: str | None, allowed: Sequence[str]) -> None:
    if value is not None and value not in allowed:
        raise Refused(422, f"Invalid request.\n\nFor 'properties/{name}', {value} is not a member of {allowed}.")


# --- Faults ---------------------------------------------------------------------------------------

When = Literal["before", "after"]
How = Literal["500", "502", "drop", "403-rate", "403-primary", "429", "422"]


@dataclass
class Fault:
    """A failure that waits for its request: `before` leaves no trace of it, `after` loses only the answer."""

    method: str
    path: re.Pattern[str]
    times: int
    when: When
    how: How
    retry_after: int

    def strikes(self, method: str, path: str) -> bool:
        """Whether a request is one that should fail."""
        return self.times > 0 and self.method in {"*", method} and self.path.search(path) is not None

    def answer(self) -> Answer | None:
        """What the client gets; None is a connection that is closed without a word."""
        wait = {"Retry-After": str(self.retry_after)}
        slow_down = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
        spent = {"message": "API rate limit exceeded for installation."}
        reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + self.retry_after)}
        answers: dict[How, Answer | None] = {
            "500": Answer(500, {"message": "Server Error"}),
            "502": Answer(502, "<html><body><h1>502 Bad Gateway</h1></body></html>"),  # its proxy's, so not JSON
            "drop": None,
            "403-rate": Answer(403, {**slow_down, "documentation_url": DOCS}, wait),
            "403-primary": Answer(403, {**spent, "documentation_url": DOCS}, reset),
            "429": Answer(429, {**slow_down, "documentation_url": DOCS}, wait),
            "422": Answer(422, {"message": "Validation Failed", "documentation_url": DOCS, "errors": []}),
        }
        return answers[self.how]


# --- The server -----------------------------------------------------------------------------------


class FakeGitHub:
    """GitHub for the length of a `with` block. `url` is what GITHUB_API_URL would be.

    `tokens` says who may come in, `problems` collects whatever was not as GitHub has it, `requests` what was
    asked. Addresses for people (html_url and the like) are below `server_url`, where nothing listens.
    """

    server_url = "https://github.com"

    def __init__(self) -> None:
        self.tokens: dict[str, Access] = {}
        self.problems: list[str] = []
        self.url = ""
        self.world = World()
        self._faults: list[Fault] = []
        self._requests: list[Request] = []
        self._contract = load_contract("github", ERRATA)

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.render = Render(self.url, self.server_url)
        self.api = Api(self.world, self.render)
        # The thread looks this often whether it should stop: leaving the block takes no longer.
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name="fake-github")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()  # waits for the threads of the connections just closed

    # What tests arrange

    def add_repo(self, full_name: str, *, default_branch: str = "main", fork_of: str | None = None) -> Repo:
        """A new, empty repository; a fork shares the commits of the repository it is forked from."""
        return self.world.add(full_name, default_branch, self.world.repositories[fork_of] if fork_of else None)

    def repo(self, full_name: str) -> Repo:
        """A repository that is there already."""
        return self.world.repositories[full_name]

    def delete_repo(self, full_name: str) -> None:
        """Delete a repository; pull requests that came from it stay, with a head repository of null."""
        with self.world.lock:
            del self.world.repositories[full_name]

    def limit_trees(self, entries: int) -> None:
        """Truncate the listing of any tree after this many entries (GitHub: 100,000)."""
        self.api.most_tree_entries = entries

    def fail(
        self,
        method: str,
        path_regex: str,
        *,
        times: int = 1,
        when: When = "before",
        how: How = "500",
        retry_after: int = 0,
    ) -> None:
        """Make the next `times` requests fail whose method ("*" is any) and path (searched) match.

        `before` fails without an effect; `after` does what was asked and then loses the answer.
        """
        with self.world.lock:
            self._faults.append(Fault(method.upper(), re.compile(path_regex), times, when, how, retry_after))

    # What tests look at

    @property
    def requests(self) -> list[Request]:
        """Every request so far, those that were made to fail too."""
        with self.world.lock:
            return list(self._requests)

    @property
    def writes(self) -> list[Request]:
        """The requests that would change something."""
        return [request for request in self.requests if request.method in {"POST", "PATCH", "PUT", "DELETE"}]

    def take_problems(self) -> list[str]:
        """The problems so far, which are then forgotten: for a test that causes them on purpose."""
        with self.world.lock:
            taken = list(self.problems)
            self.problems.clear()
            return taken

    # Events, as a workflow finds them at GITHUB_EVENT_PATH

    def pull_request_event(self, repo: Repo, pull: Pull, action: str = "synchronize") -> Json:
        """The payload of `pull_request` and `pull_request_target`."""
        pushed = {"before": pull.previous_head_sha, "after": pull.head_sha} if action == "synchronize" else {}
        event: Json = {
            "action": action,
            "number": pull.number,
            "pull_request": self.render.pull(repo, pull),
            **pushed,
        }
        for side in ("head", "base"):
            nested = event["pull_request"][side]["repo"]
            event["pull_request"][side]["repo"] = nested and {**nested, "custom_properties": {}}
        return {**event, **self._event_base(repo, pull.author)}

    def merge_group_event(self, repo: Repo, pull: Pull, head_sha: str) -> Json:
        """The payload of `merge_group`; `head_sha` is the commit that the queue made for the try."""
        base_sha = repo.branches[pull.base_branch]
        commit = repo.objects.commits[head_sha]
        person = {"name": commit.author, "email": email_of(commit.author)}
        group = {
            "head_sha": head_sha,
            "head_ref": f"refs/heads/gh-readonly-queue/{pull.base_branch}/pr-{pull.number}-{base_sha}",
            "base_sha": base_sha,
            "base_ref": f"refs/heads/{pull.base_branch}",
            "head_commit": {
                "id": head_sha,
                "tree_id": commit.tree,
                "message": commit.message,
                "timestamp": commit.date,
                "author": person,
                "committer": person,
            },
        }
        return {"action": "checks_requested", "merge_group": group, **self._event_base(repo, pull.author)}

    def workflow_dispatch_event(
        self,
        repo: Repo,
        *,
        ref: str | None = None,
        inputs: Mapping[str, str] | None = None,
        sender: str = "alice",
    ) -> Json:
        """The payload of `workflow_dispatch`; a workflow without inputs gets null."""
        return {
            "inputs": dict(inputs) if inputs is not None else None,
            "ref": ref or f"refs/heads/{repo.default_branch}",
            "workflow": ".github/workflows/rehearsal.yml",
            **self._event_base(repo, sender),
        }

    def _event_base(self, repo: Repo, sender: str) -> Json:
        nested = {**self.render.repository(repo), "custom_properties": {}}
        return {"repository": nested, "sender": self.render.user(sender)}

    # What the server calls, once for each request

    def serve(self, request: Request, headers: Mapping[str, str]) -> Answer | None:
        """Record, then fail or answer a request, one at a time; None drops the connection.

        The names of the headers are in title case.
        """
        with self.world.lock:
            self._requests.append(request)
            if request.path != "/rate_limit":
                self.api.rate["used"] += 1
                self.api.rate["remaining"] -= 1
            fault = next((each for each in self._faults if each.strikes(request.method, request.path)), None)
            if fault:
                fault.times -= 1
            if fault and fault.when == "before":
                return fault.answer()
            answer = self._answer(request, headers)
            return fault.answer() if fault else answer

    def record(self, request: Request, problems: Sequence[str]) -> None:
        """Keep what was wrong with a request or its answer."""
        self.problems += [f"{request.method} {request.path}: {problem}" for problem in problems]

    def _answer(self, request: Request, headers: Mapping[str, str]) -> Answer:
        """Check, answer, and check the answer."""
        found = routed(request.method, request.path)
        if found is None:
            self.record(request, ["the fake has no such operation"])
            return Refused(404, "Not Found").answer
        if media := _media_type_not_served(headers.get("Accept", "")):
            self.record(request, [f"the fake does not serve the media type {media}"])
            return Refused(415, "Unsupported 'Accept' header").answer
        known, params = found
        if self._contract:
            args = (params, request.query, None if request.body is NOT_JSON else request.body)
            self.record(request, self._contract.check_request(known.method, known.template, *args))
        answer = self._handled(known.handler, request, headers, params)
        if self._contract and answer.status != 500:  # a 500 is the fake's own failure, recorded already
            args_back = (answer.status, answer.body)
            self.record(request, self._contract.check_answer(known.method, known.template, *args_back))
        return answer

    def _handled(self, handler: Handler, request: Request, headers: Mapping[str, str], params: Mapping[str, str]) -> Answer:
        try:
            return handler(self.api, self._call(request, headers, params))
        except Refused as refused:
            return refused.answer
        except Exception as error:  # noqa: BLE001 - a bug in the fake must fail the test, not hang its client
            self.record(request, [f"the fake failed: {error!r}"])
            return Answer(500, {"message": "Server Error"})

    def _call(self, request: Request, headers: Mapping[str, str], params: Mapping[str, str]) -> Call:
        """Let the request in: token, then repository, then permission, in GitHub's order."""
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        access = self.tokens.get(token) if scheme.lower() in {"bearer", "token"} else None
        if access is None:
            raise Refused(401, "Bad credentials")
        if "repo" not in params:
            return Call(request, access, params, _NOWHERE)
        repo = _found(self.world.repositories, f"{params['owner']}/{params['repo']}")
        if request.method != "GET" and not access.write:
            raise Refused(403, NOT_OURS)
        if request.body is NOT_JSON:
            raise Refused(400, "Problems parsing JSON")
        return Call(request, access, params, repo)


# Stands in for the repository of operations that have none, so that all others need not ask.
_NOWHERE = Repo(World(), "nobody/nowhere", "main", None, 0, "2026-01-01T00:00:00Z", Objects())
# The body of a request that sent one which is not JSON.
NOT_JSON = object()


def _media_type_not_served(accept: str) -> str | None:
    """The first media type that means something else than JSON (raw, diff, …), None when all is well."""
    other = re.search(r"application/vnd\.github\.(?:v3\.)?(?:raw|diff|patch|sha|object|html|text|full|base64)\b", accept)
    return other[0] if other else None


class _Server(ThreadingHTTPServer):
    """Keeps its connections, so that it can close those that a client's pool holds and leave no thread."""

    daemon_threads = False  # server_close() waits only for threads that are none
    request_queue_size = 64
    fake: FakeGitHub

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """As the base class, without its look-up of the host's name: that may ask a name server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it."""
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that its thread is done with."""
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Wake every thread that waits for a client's next request: there will be none."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Record what broke; a client that went away mid-answer is no error of ours."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self.fake.problems.append(f"the server failed: {error!r}")


class _Handler(BaseHTTPRequestHandler):
    """Turns HTTP into a Request, and an Answer into HTTP."""

    protocol_version = "HTTP/1.1"
    # Without these two, headers and body leave in two packets, and every call waits 40 ms for the second.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def handle_any(self) -> None:
        """Serve one request, whatever its method."""
        path, _, query = self.path.partition("?")
        request = Request(self.command, path, dict(parse_qsl(query, keep_blank_values=True)), self._read_body())
        answer = self.server.fake.serve(request, {name.title(): text for name, text in self.headers.items()})
        if answer is None:
            self.close_connection = True
        else:
            self._send(answer)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815

    def _read_body(self) -> Any:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            return json.loads(data) if data else None
        except ValueError:
            return NOT_JSON

    def _send(self, answer: Answer) -> None:
        is_page = isinstance(answer.body, str)
        text = answer.body if is_page else json.dumps(answer.body)
        data = b"" if answer.body is None else text.encode()
        kind = "text/html" if is_page else "application/json; charset=utf-8"
        rate = self.server.fake.api.rate
        counted = {f"X-RateLimit-{name.title()}": str(number) for name, number in rate.items()}
        always = {**counted, "X-RateLimit-Reset": str(_next_hour()), "X-RateLimit-Resource": "core"}
        typed = {"Content-Type": kind} if data else {}
        self.send_response(answer.status)
        for name, text in {**always, **typed, **answer.headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `requests` has it all."""


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    """A fake GitHub that lets the workflow's token "t" in; what it is asked and says must be as described."""
    with FakeGitHub() as gh:
        gh.tokens["t"] = Access(BOT)
        yield gh
    assert gh.problems == []
