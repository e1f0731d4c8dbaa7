"""How things look as GitHub's JSON."""

from __future__ import annotations

import posixpath
import zlib
from dataclasses import dataclass
from urllib.parse import quote

from tests.contract.fake_github.objects import Change, Commit, Entry, email_of
from tests.contract.fake_github.shapes import (
    REACTIONS,
    REPOSITORY_DEFAULTS,
    REPOSITORY_LINKS,
    UNVERIFIED,
    USER_LINKS,
    node_id,
    user_id,
)
from tests.contract.fake_github.state import Repo
from tests.contract.fake_github.values import BOT, CheckRun, Comment, Json, Pull, Status, is_bot


@dataclass(frozen=True)
class Render:
    """Turns what is kept into GitHub's JSON; `api` is where the fake listens, `server` what people see."""

    api: str
    server: str

    def user(self, login: str) -> Json:
        """A simple-user."""
        url = f"{self.api}/users/{quote(login)}"
        bot = is_bot(login)
        return {
            "login": login,
            "id": user_id(login),
            "node_id": node_id("User", login),
            "avatar_url": f"{self.server}/avatars/{user_id(login)}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.server}/apps/{login.removesuffix('[bot]')}" if bot else f"{self.server}/{login}",
            **{key: url + rest for key, rest in USER_LINKS.items()},
            "type": "Bot" if bot else "User",
            "site_admin": False,
        }

    def private_user(self, login: str) -> Json:
        """What a user's own token sees at /user."""
        empty = dict.fromkeys(("bio", "blog", "company", "email", "hireable", "location", "name"))
        counted = ("followers", "following", "public_gists", "public_repos", "collaborators", "disk_usage")
        private = ("owned_private_repos", "private_gists", "total_private_repos")
        times = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z")
        return {**self.user(login), **empty, **dict.fromkeys(counted + private, 0), **times, "two_factor_authentication": True}

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
            "title": "Change the schema",
            "user": self.user(pull.author),
            "body": None,
            **self._pull_addresses(repo, pull),
            **{key: getattr(pull, key) for key in ("created_at", "updated_at", "closed_at", "merge_commit_sha")},
            "merged_at": pull.closed_at if pull.merge_commit_sha else None,
            "assignee": None,
            **{key: [] for key in ("assignees", "requested_reviewers", "requested_teams", "labels")},
            "milestone": None,
            "head": self._side(head_repo, pull.head_owner, pull.head_branch, pull.head_sha),
            "base": self._side(repo, repo.owner, pull.base_branch, pull.base_sha),
            "author_association": self.association(repo, pull.author),
            "auto_merge": None,
            "active_lock_reason": None,
            "draft": False,
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
        changes = repo.files_of(pull)
        added, deleted = repo.objects.count_lines(changes)
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
            "additions": added,
            "deletions": deleted,
            "changed_files": len(changes),
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
                "tree": {"sha": commit.tree, "url": self.at(repo, f"/git/trees/{commit.tree}")},
                "verification": UNVERIFIED,
            },
            "author": self.user(commit.author),
            "committer": self.user(commit.author),
            "parents": [self._parent(repo, sha) for sha in commit.parents],
        }

    def _parent(self, repo: Repo, sha: str) -> Json:
        return {"sha": sha, "url": self.at(repo, f"/commits/{sha}"), "html_url": self.page(repo, f"/commit/{sha}")}

    def comment(self, repo: Repo, comment: Comment) -> Json:
        """An issue-comment."""
        url = self.at(repo, f"/issues/comments/{comment.id}")
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
            "performed_via_github_app": self.app(comment.author) if is_bot(comment.author) else None,
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
