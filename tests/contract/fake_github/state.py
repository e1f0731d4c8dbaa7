"""Repositories and the world they share: what tests arrange and look into."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count

from tests.contract.fake_github.objects import Change, Objects
from tests.contract.fake_github.values import CheckRun, Comment, Content, Pull, Status


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

    def add(self, full_name: str, fork_of: Repo | None = None) -> Repo:
        """A new repository; a fork shares its parent's objects."""
        with self.lock:
            if full_name in self.repositories:
                raise ValueError(f"{full_name} is there already")
            objects = fork_of.objects if fork_of else Objects()
            parent = fork_of.full_name if fork_of else None
            repo = Repo(self, full_name, parent, self.next_id(), self.now(), objects)
            self.repositories[full_name] = repo
            return repo


@dataclass
class Repo:
    """A repository. Tests arrange it and look into it here; a bot sees it through HTTP only."""

    world: World = field(repr=False)
    full_name: str
    fork_of: str | None
    id: int
    created_at: str
    objects: Objects = field(repr=False)
    default_branch: str = "main"
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

    def open_pull(self, *, head_sha: str, number: int | None = None, head_repo: str | None = None, author: str = "alice") -> Pull:
        """Open a pull request; a fork that is named and not there yet is made."""
        with self.world.lock:
            number = number or max(self.pulls, default=0) + 1
            if number in self.pulls:
                raise ValueError(f"{self.full_name}#{number} is there already")
            name = head_repo or self.full_name
            holder = self.world.repositories.get(name) or self.world.add(name, self)
            pull = self.pulls[number] = Pull(
                number=number,
                id=self.world.next_id(),
                base_sha=self.branches[self.default_branch],
                head_repo=holder.full_name,
                head_sha=head_sha,
                previous_head_sha=head_sha,
                author=author,
                created_at=(now := self.world.now()),
                updated_at=now,
            )
            holder.set_branch(pull.head_branch, head_sha)
            return pull

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
        """The commit that a branch, a full or a short SHA means; None for none."""
        name = ref.removeprefix("refs/").removeprefix("heads/")
        if name in self.branches:
            return self.branches[name]
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
