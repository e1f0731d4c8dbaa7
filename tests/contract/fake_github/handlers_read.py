"""The operations that read: who asks, repositories, pull requests, commits, and what is in them."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from operator import attrgetter
from urllib.parse import quote

from tests.contract.fake_github.calls import NOT_OURS, Answer, Call, Refused, found, not_found, route
from tests.contract.fake_github.objects import LARGEST_INLINE_CONTENT, Change, Entry
from tests.contract.fake_github.shapes import in_base64, node_id
from tests.contract.fake_github.state import Repo
from tests.contract.fake_github.values import Json, Pull

# GitHub's limits; the facts behind them are in its documentation of each operation.
MOST_PULL_FILES = 3_000
MOST_COMPARED_FILES = 300
MOST_LISTED_IN_A_FOLDER = 1_000

# --- Who and how much ---


@route("GET", "/user")
def get_user(call: Call) -> Answer:
    if not call.access.may_ask_who_it_is:
        raise Refused(403, NOT_OURS)
    return Answer(200, call.render.private_user(call.access.login))


@route("GET", "/rate_limit")
def get_rate_limit(call: Call) -> Answer:
    rate = call.api.rate.body()
    return Answer(200, {"resources": {"core": rate, "search": rate, "graphql": rate}, "rate": rate})


# --- Repositories and pull requests ---


@route("GET", "/repos/{owner}/{repo}")
def get_repository(call: Call) -> Answer:
    return Answer(200, call.render.full_repository(call.repo, writable=call.access.write))


@route("GET", "/repos/{owner}/{repo}/pulls")
def list_pulls(call: Call) -> Answer:
    query = {"state": "open", "sort": "created", **call.query}
    descending = query.get("direction", "desc" if query["sort"] == "created" else "asc") == "desc"
    time = attrgetter("updated_at" if query["sort"] == "updated" else "created_at")
    by_time = sorted(call.repo.pulls.values(), key=time, reverse=descending)
    return call.listed([pull for pull in by_time if _is_asked_for(pull, query)], call.render.pull_simple)


def _is_asked_for(pull: Pull, query: Mapping[str, str]) -> bool:
    """Whether a listing's filters let a pull request through."""
    return (
        query["state"] in {"all", pull.state}
        and query.get("head") in {None, f"{pull.head_owner}:{pull.head_branch}"}
        and query.get("base") in {None, pull.base_branch}
    )


@route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}")
def get_pull(call: Call) -> Answer:
    return Answer(200, call.render.pull(call.repo, call.pull()))


@route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}/files")
def list_pull_files(call: Call) -> Answer:
    pull = call.pull()
    page, links = call.paged(call.repo.files_of(pull)[:MOST_PULL_FILES])
    return Answer(200, _changes(call, page, pull.base_sha, pull.head_sha), links)


def _changes(call: Call, changes: Sequence[Change], base: str | None, head: str) -> list[Json]:
    return [call.render.change(call.repo, change, base, head) for change in changes]


@route("GET", "/repos/{owner}/{repo}/commits/{commit_sha}/pulls")
def list_pulls_of_commit(call: Call) -> Answer:
    sha = call.commit(call.params["commit_sha"]).sha
    kept = [pull for pull in call.repo.pulls.values() if pull.state == "open" or pull.merge_commit_sha]
    return call.listed([pull for pull in kept if _has(call.repo, pull, sha)], call.render.pull_simple)


def _has(repo: Repo, pull: Pull, sha: str) -> bool:
    """Whether a commit belongs to a pull request, or is its merge."""
    mine = {commit.sha for commit in repo.objects.missing_from(pull.base_sha, pull.head_sha)}
    return sha in mine | {pull.merge_commit_sha}


# --- Commits and what is in them ---


@route("GET", "/repos/{owner}/{repo}/commits/{ref}")
def get_commit(call: Call) -> Answer:
    commit = call.commit(call.params["ref"])
    parent = commit.parents[0] if commit.parents else None
    changes = call.repo.changes_between(parent, commit.sha)
    added, deleted = call.repo.objects.count_lines(changes)
    stats = {"additions": added, "deletions": deleted, "total": added + deleted}
    page, links = call.paged(changes[:MOST_PULL_FILES], default=300, most=300)
    files = _changes(call, page, parent, commit.sha)
    return Answer(200, {**call.render.commit(call.repo, commit), "stats": stats, "files": files}, links)


@route("GET", "/repos/{owner}/{repo}/compare/{basehead}")
def compare(call: Call) -> Answer:
    repo, render, asked = call.repo, call.render, call.params["basehead"]
    if "..." not in asked:
        raise not_found()
    base, head = (repo.resolve_across_forks(ref) for ref in asked.split("...", 1))
    merge_base = repo.objects.merge_base(base, head) if base and head else None
    if base is None or head is None or merge_base is None:
        raise not_found()
    ahead = repo.objects.missing_from(base, head)
    behind = len(repo.objects.missing_from(head, base))
    page, links = call.paged(ahead, default=250, most=1000)
    # The files come with the first page of commits only, and are never paged.
    changes = repo.changes_between(merge_base, head)[:MOST_COMPARED_FILES] if call.page == 1 else []
    address = f"/compare/{quote(asked)}"
    html = render.page(repo, address)
    body = {
        "url": render.at(repo, address),
        "html_url": html,
        "permalink_url": html,
        "diff_url": f"{html}.diff",
        "patch_url": f"{html}.patch",
        "base_commit": render.commit(repo, repo.objects.commits[base]),
        "merge_base_commit": render.commit(repo, repo.objects.commits[merge_base]),
        "status": ("identical", "ahead", "behind", "diverged")[bool(ahead) + 2 * bool(behind)],
        "ahead_by": len(ahead),
        "behind_by": behind,
        "total_commits": len(ahead),
        "commits": [render.commit(repo, commit) for commit in page],
        "files": _changes(call, changes, merge_base, head),
    }
    return Answer(200, body, links)


@route("GET", "/repos/{owner}/{repo}/git/trees/{tree_sha}")
def get_tree(call: Call) -> Answer:
    objects, asked = call.repo.objects, call.params["tree_sha"]
    commit = call.repo.resolve(asked)
    sha = commit or asked  # GitHub echoes the commit it was asked for, not the commit's tree
    tree = objects.commits[commit].tree if commit else asked
    top = found(objects.trees, tree)
    # Any value at all makes it recursive, "0" and "false" too.
    lines = list(objects.walk(tree) if "recursive" in call.query else top.items())
    shown = lines[: call.api.most_tree_entries]
    body = {
        "sha": sha,
        "url": call.render.at(call.repo, f"/git/trees/{sha}"),
        "tree": [call.render.tree_entry(call.repo, path, entry) for path, entry in shown],
        "truncated": len(shown) < len(lines),
    }
    return Answer(200, body)


@route("GET", "/repos/{owner}/{repo}/git/blobs/{file_sha}")
def get_blob(call: Call) -> Answer:
    sha = call.params["file_sha"]
    if not re.fullmatch(r"[0-9a-f]{40}", sha):
        raise Refused(422, "The sha parameter must be exactly 40 characters and contain only [0-9a-f].")
    data = found(call.repo.objects.blobs, sha)
    address = call.render.at(call.repo, f"/git/blobs/{sha}")
    return Answer(200, {"sha": sha, "node_id": node_id("Blob", sha), "url": address, **_inline(data)})


def _inline(data: bytes) -> Json:
    return {"size": len(data), "content": in_base64(data), "encoding": "base64"}


@route("GET", "/repos/{owner}/{repo}/contents/{path}")
def get_content(call: Call) -> Answer:
    ref = call.query.get("ref") or call.repo.default_branch
    commit, path = call.repo.resolve(ref), call.params["path"].strip("/")
    if commit is None:
        raise Refused(404, f"No commit found for the ref {ref}")
    tree = call.repo.objects.commits[commit].tree
    entry = call.repo.objects.entry_at(tree, path)
    if entry is None:
        raise not_found()
    if entry.kind == "tree":
        return Answer(200, _folder(call, path, entry, ref))
    return Answer(200, _file(call, tree, path, entry, ref))


def _folder(call: Call, path: str, entry: Entry, ref: str) -> list[Json]:
    inside = call.repo.objects.trees[entry.sha].items()
    # GitHub lists a submodule as a file here, for the sake of old clients.
    listed = [call.render.content(call.repo, posixpath.join(path, name), each, ref) for name, each in inside]
    shown = listed[:MOST_LISTED_IN_A_FOLDER]
    return [{**line, "type": "file"} if line["type"] == "submodule" else line for line in shown]


def _file(call: Call, tree: str, path: str, entry: Entry, ref: str) -> Json:
    objects = call.repo.objects
    body = call.render.content(call.repo, path, entry, ref)
    if body["type"] == "submodule":
        return {**body, "submodule_git_url": call.render.page(call.repo, ".git")}
    data = objects.blobs[entry.sha]
    if body["type"] == "symlink":
        target = data.decode()
        meant = objects.entry_at(tree, posixpath.normpath(posixpath.join(posixpath.dirname(path), target)))
        # A link to a file of the same repository is followed; any other is shown as what it is.
        if meant is None or meant.mode != "100644":
            return {**body, "target": target}
        data, body = objects.blobs[meant.sha], {**body, "type": "file"}
    if len(data) > LARGEST_INLINE_CONTENT:
        return {**body, "size": len(data), "content": "", "encoding": "none"}
    return {**body, **_inline(data)}
