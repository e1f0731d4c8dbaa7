"""The fake GitHub is what it claims to be: driven by PyGithub, as the bot does, and by plain HTTP."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from github import Auth, Github, GithubException, GithubRetry
from github.ContentFile import ContentFile

from tests.contract import fake_github
from tests.contract.fake_github import (
    BOT,
    ERRATA,
    ROUTES,
    Access,
    FakeGitHub,
    How,
    Pull,
    Repo,
    Submodule,
    Symlink,
    When,
    github,
)
from tests.contract.openapi import (
    FOLDER_VARIABLE,
    AlsoAnswers,
    Contract,
    Errata,
    Json,
    MayBeNull,
    contract_folder,
    load_contract,
    needs_contract,
)

__all__ = ["github"]  # the fixture, for pytest to find

FIRST = {"migrations/1.sql": "create table shop (id int);\n"}
SECOND = {**FIRST, "migrations/2.sql": "alter table shop add name text;\n"}


@pytest.fixture
def shop(github: FakeGitHub) -> Repo:
    """octo/shop, whose pull request 7 adds a migration."""
    repo = github.add_repo("octo/shop")
    base = repo.commit(FIRST)
    repo.set_branch("main", base)
    repo.open_pull(number=7, head_sha=repo.commit(SECOND, base))
    return repo


@pytest.fixture
def http(github: FakeGitHub) -> Iterator[httpx.Client]:
    """Plain HTTP with the bot's token."""
    # A proxy that the environment names, and certificates, are nothing to an address on this machine.
    token = {"Authorization": "Bearer t"}
    with httpx.Client(base_url=github.url, headers=token, trust_env=False, verify=False) as client:
        yield client


def pygithub(gh: FakeGitHub, retry: GithubRetry | None = None, token: str = "t") -> closing[Github]:
    """PyGithub without its waiting."""
    client = Github(
        base_url=gh.url,
        auth=Auth.Token(token),
        retry=retry,
        lazy=True,
        seconds_between_requests=None,
        seconds_between_writes=None,
    )
    return closing(client)


# --- A bot's walk through it, with PyGithub --------------------------------------------------------


def test_pygithub_reads_a_pull_request_and_its_files(github: FakeGitHub, shop: Repo) -> None:
    with pygithub(github) as client:
        pull = client.get_repo("octo/shop").get_pull(7)
        files = [(file.status, file.filename, file.sha) for file in pull.get_files()]
        head_full_name, base_sha, changed = pull.head.repo.full_name, pull.base.sha, pull.changed_files
    added = shop.objects.flat(shop.objects.commits[shop.pulls[7].head_sha].tree)["migrations/2.sql"]
    assert files == [("added", "migrations/2.sql", added.sha)]
    assert (head_full_name, base_sha, changed) == ("octo/shop", shop.branches["main"], 1)


def test_pygithub_reads_a_migration_as_a_blob_as_contents_and_through_a_tree(github: FakeGitHub, shop: Repo) -> None:
    head = shop.pulls[7].head_sha
    with pygithub(github) as client:
        repo = client.get_repo("octo/shop")
        tree = {entry.path: entry for entry in repo.get_git_tree(head, recursive=True).tree}
        blob = repo.get_git_blob(tree["migrations/2.sql"].sha)
        content = repo.get_contents("migrations/2.sql", ref=head)
        folder = repo.get_contents("migrations", ref=head)
        root = repo.get_contents("", ref="main")
    assert isinstance(content, ContentFile)
    assert base64.b64decode(blob.content) == content.decoded_content == SECOND["migrations/2.sql"].encode()
    assert isinstance(folder, list)
    assert [file.name for file in folder] == ["1.sql", "2.sql"]
    assert isinstance(root, list)
    assert [(each.type, each.path) for each in root] == [("dir", "migrations")]


def test_pygithub_writes_reads_edits_and_deletes_comments(github: FakeGitHub, shop: Repo) -> None:
    shop.add_comment(7, "please look", author="alice")
    with pygithub(github) as client:
        pull = client.get_repo("octo/shop").get_pull(7)
        made = pull.create_issue_comment("first")
        listed = [(comment.user.login, comment.body) for comment in pull.get_issue_comments()]
        made.edit("second")
        again = pull.get_issue_comment(made.id).body
        made.delete()
        with pytest.raises(GithubException) as gone:
            pull.get_issue_comment(made.id).complete()
    assert listed == [("alice", "please look"), (BOT, "first")]
    assert again == "second"
    assert gone.value.status == 404
    assert [comment.body for comment in shop.comments_on(7)] == ["please look"]


def test_pygithub_sets_statuses_and_reads_the_latest_first(github: FakeGitHub, shop: Repo) -> None:
    head = shop.pulls[7].head_sha
    with pygithub(github) as client:
        commit = client.get_repo("octo/shop").get_commit(head)
        commit.create_status("pending", context="rehearsal", description="under way")
        commit.create_status("success", target_url="https://example.com/run", context="rehearsal")
        listed = [(status.state, status.context, status.creator.login) for status in commit.get_statuses()]
    assert listed == [("success", "rehearsal", BOT), ("pending", "rehearsal", BOT)]
    assert [status.state for status in shop.statuses_of(head)] == ["success", "pending"]


def test_pygithub_creates_and_completes_a_check_run(github: FakeGitHub, shop: Repo) -> None:
    head = shop.pulls[7].head_sha
    note: dict[str, str | int] = {
        "path": "migrations/2.sql",
        "start_line": 1,
        "end_line": 1,
        "message": "a lock",
    }
    note["annotation_level"] = "warning"
    with pygithub(github) as client:
        repo = client.get_repo("octo/shop")
        run = repo.create_check_run("rehearsal", head, external_id="run-1", status="in_progress")
        repo.get_check_run(run.id).edit(
            conclusion="success", output={"title": "Fine", "summary": "All well", "annotations": [note]}
        )
        run.edit(output={"title": "Fine", "summary": "All well", "annotations": [note]})
        found = list(repo.get_commit(head).get_check_runs(check_name="rehearsal"))
    assert [(each.status, each.conclusion, each.external_id) for each in found] == [("completed", "success", "run-1")]
    assert found[0].output.annotations_count == 2
    assert [pull.number for pull in found[0].pull_requests] == [7]
    assert shop.check_runs_of(head)[0].annotations == (note, note)


def test_pygithub_compares_and_finds_the_pull_requests_of_a_commit(github: FakeGitHub, shop: Repo) -> None:
    head = shop.pulls[7].head_sha
    with pygithub(github) as client:
        repo = client.get_repo("octo/shop")
        comparison = repo.compare("main", head)
        ahead, status, files = comparison.ahead_by, comparison.status, [f.filename for f in comparison.files]
        commits = [commit.sha for commit in comparison.commits]
        numbers = [pull.number for pull in repo.get_commit(head).get_pulls()]
        open_numbers = [pull.number for pull in repo.get_pulls(state="open", base="main")]
        changed = [file.filename for file in repo.get_commit(head).files]
    assert (ahead, status, files, commits) == (1, "ahead", ["migrations/2.sql"], [head])
    assert (numbers, open_numbers, changed) == ([7], [7], ["migrations/2.sql"])


def test_pygithub_learns_who_a_user_is_and_what_is_left(github: FakeGitHub, shop: Repo) -> None:
    github.tokens["alice's"] = Access("alice")
    with pygithub(github, token="alice's") as client:
        assert client.get_user().login == "alice"
        rate = client.get_rate_limit().rate
        assert (rate.limit, rate.remaining) == (5000, 4999)
        assert client.get_repo("octo/shop").permissions.push is True


# --- What is in a repository ----------------------------------------------------------------------


def test_the_names_of_objects_are_git_s_own(tmp_path: Path) -> None:
    git = shutil.which("git")
    if git is None:
        pytest.skip("no git here to compare with")
    files: dict[str, fake_github.Content] = {
        "a.txt": "one\n",
        "a/b/c.sql": "two\n",
        "a/empty": "",
        "link": Symlink("a.txt"),
    }
    for path, content in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (tmp_path / path).write_text(content)
    (tmp_path / "link").symlink_to("a.txt")
    repo = FakeGitHub().add_repo("octo/shop")
    made = repo.objects.commits[repo.commit(files, message="one")]
    person = {"NAME": "alice", "EMAIL": "alice@users.noreply.github.com", "DATE": made.date}
    named = {f"GIT_{who}_{key}": text for who in ("AUTHOR", "COMMITTER") for key, text in person.items()}
    environment = {**os.environ, **named, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path)}

    def run(*arguments: str) -> str:
        call = [git, *arguments]
        done = subprocess.run(call, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    run("init", "--quiet")
    run("add", "a.txt", "a", "link")
    assert run("write-tree") == made.tree
    assert run("commit-tree", made.tree, "-m", "one") == made.sha


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param({}, {"1": "x"}, [("added", "1", None)], id="added"),
        pytest.param({"1": "x"}, {}, [("removed", "1", None)], id="removed"),
        pytest.param({"1": "x"}, {"1": "y"}, [("modified", "1", None)], id="modified"),
        pytest.param({"d/1": "x"}, {"e/1": "x"}, [("renamed", "e/1", "d/1")], id="renamed"),
        pytest.param({"1": "x"}, {"2": "x", "1": "y"}, [("modified", "1", None), ("added", "2", None)], id="copied"),
        pytest.param(
            {"a/1": "x", "b/2": "x"},
            {"c/2": "x", "d/1": "x"},
            [("renamed", "c/2", "b/2"), ("renamed", "d/1", "a/1")],
            id="renamed with its name",
        ),
        pytest.param({"1": "x"}, {"1": Symlink("x")}, [("changed", "1", None)], id="became a link"),
    ],
)
def test_files_of_a_pull_request(
    http: httpx.Client,
    github: FakeGitHub,
    before: dict[str, fake_github.Content],
    after: dict[str, fake_github.Content],
    expected: list[tuple[str, str, str | None]],
) -> None:
    repo = github.add_repo("octo/shop")
    base = repo.commit({"kept": "k", **before})
    repo.set_branch("main", base)
    repo.open_pull(number=1, head_sha=repo.commit({"kept": "k", **after}, base))
    files = http.get("/repos/octo/shop/pulls/1/files").json()
    assert [(each["status"], each["filename"], each.get("previous_filename")) for each in files] == expected


def test_a_patch_counts_its_lines(http: httpx.Client, github: FakeGitHub) -> None:
    repo = github.add_repo("octo/shop")
    base = repo.commit({"1.sql": "one\ntwo\n", "binary": b"\x00\x01"})
    repo.set_branch("main", base)
    repo.open_pull(head_sha=repo.commit({"1.sql": "one\n2\n3\n", "binary": b"\x00\x02"}, base))
    text, binary = http.get("/repos/octo/shop/pulls/1/files").json()
    assert (text["additions"], text["deletions"], text["changes"]) == (2, 1, 3)
    assert text["patch"] == "@@ -1,2 +1,3 @@\n one\n-two\n+2\n+3"
    assert "patch" not in binary


def test_files_are_those_since_the_branch_was_left(http: httpx.Client, shop: Repo) -> None:
    shop.set_branch("main", shop.commit({**FIRST, "README": "new on main"}, shop.branches["main"]))
    pull = shop.push(7, shop.commit({**SECOND, "3.sql": "x"}, shop.pulls[7].head_sha))
    assert pull.base_sha == shop.branches["main"]
    files = http.get("/repos/octo/shop/pulls/7/files").json()
    assert [each["filename"] for each in files] == ["3.sql", "migrations/2.sql"]


def test_a_listing_of_files_ends_at_3000_though_more_changed(http: httpx.Client, github: FakeGitHub) -> None:
    repo = github.add_repo("octo/shop")
    base = repo.commit({"kept": "k"})
    repo.set_branch("main", base)
    repo.open_pull(number=1, head_sha=repo.commit({f"{n:04}.sql": f"{n}" for n in range(3100)}, base))
    pages = [http.get("/repos/octo/shop/pulls/1/files", params={"per_page": 100})]
    while "next" in pages[-1].links:
        pages.append(http.get(pages[-1].links["next"]["url"]))
    assert sum(len(page.json()) for page in pages) == 3000
    assert len(pages) == 30
    assert http.get("/repos/octo/shop/pulls/1").json()["changed_files"] == 3101
    head = repo.pulls[1].head_sha
    assert len(http.get(f"/repos/octo/shop/compare/main...{head}").json()["files"]) == 300


def test_a_comparison_knows_where_two_histories_parted(http: httpx.Client, shop: Repo) -> None:
    parted = shop.branches["main"]
    shop.set_branch("main", shop.commit({**FIRST, "README": "new on main"}, parted))
    body = http.get("/repos/octo/shop/compare/main...feature").json()
    assert (body["status"], body["ahead_by"], body["behind_by"]) == ("diverged", 1, 1)
    assert body["merge_base_commit"]["sha"] == parted
    assert [each["filename"] for each in body["files"]] == ["migrations/2.sql"]


def test_a_comparison_pages_its_commits_and_names_the_files_once(http: httpx.Client, shop: Repo) -> None:
    head = shop.pulls[7].head_sha
    for number in range(3, 6):
        head = shop.commit({**SECOND, f"{number}.sql": "x"}, head)
    first = http.get(f"/repos/octo/shop/compare/main...{head}", params={"per_page": 3})
    second = http.get(first.links["next"]["url"])
    assert [len(page.json()["commits"]) for page in (first, second)] == [3, 1]
    assert [len(page.json()["files"]) for page in (first, second)] == [2, 0]
    assert second.json()["commits"][0]["sha"] == head


def test_a_fork_s_branch_can_be_compared_and_its_commits_are_found(http: httpx.Client, shop: Repo) -> None:
    pull = open_from_fork(shop)
    body = http.get("/repos/octo/shop/compare/main...bob:feature").json()
    assert body["commits"][0]["sha"] == pull.head_sha
    shown = http.get("/repos/octo/shop/pulls/8").json()
    assert (shown["head"]["label"], shown["head"]["repo"]["fork"]) == ("bob:feature", True)
    assert http.get(f"/repos/bob/shop/commits/{pull.head_sha}").status_code == 200
    own = http.get("/repos/octo/shop/pulls", params={"head": "bob:feature"}).json()
    assert [each["number"] for each in own] == [8]


def test_the_head_repository_of_a_deleted_fork_is_null(http: httpx.Client, github: FakeGitHub, shop: Repo) -> None:
    pull = open_from_fork(shop)
    github.delete_repo("bob/shop")
    assert http.get("/repos/octo/shop/pulls/8").json()["head"]["repo"] is None
    assert len(http.get("/repos/octo/shop/pulls").json()) == 2
    event = github.pull_request_event(shop, pull, "opened")
    assert event["pull_request"]["head"]["repo"] is None


def open_from_fork(shop: Repo) -> Pull:
    """Pull request 8, from bob's fork."""
    head = shop.commit({**SECOND, "3.sql": "x"}, shop.branches["main"], author="bob")
    return shop.open_pull(number=8, head_sha=head, head_repo="bob/shop", author="bob")


def test_a_merged_pull_request_is_found_by_its_merge(http: httpx.Client, shop: Repo) -> None:
    merge = shop.commit(SECOND, [shop.branches["main"], shop.pulls[7].head_sha], message="Merge #7")
    shop.close_pull(7, merge)
    shown = http.get("/repos/octo/shop/pulls/7").json()
    assert (shown["state"], shown["merged"], shown["merge_commit_sha"]) == ("closed", True, merge)
    numbers = [each["number"] for each in http.get(f"/repos/octo/shop/commits/{merge}/pulls").json()]
    assert numbers == [7]
    assert http.get("/repos/octo/shop/pulls").json() == []


def test_a_tree_can_be_truncated_and_asked_for_by_branch_commit_or_tree(
    http: httpx.Client, github: FakeGitHub, shop: Repo
) -> None:
    commit = shop.objects.commits[shop.branches["main"]]
    for asked in ("main", commit.sha, commit.tree):
        flat = http.get(f"/repos/octo/shop/git/trees/{asked}").json()
        assert ([each["path"] for each in flat["tree"]], flat["truncated"]) == (["migrations"], False)
    github.limit_trees(1)
    cut = http.get("/repos/octo/shop/git/trees/main", params={"recursive": "1"}).json()
    assert ([each["path"] for each in cut["tree"]], cut["truncated"]) == (["migrations"], True)


def test_contents_follow_links_name_submodules_and_leave_out_what_is_large(http: httpx.Client, github: FakeGitHub) -> None:
    repo = github.add_repo("octo/shop")
    files: dict[str, fake_github.Content] = {
        "d/real.sql": "select 1;",
        "d/link.sql": Symlink("real.sql"),
        "outside": Symlink("../../etc/passwd"),
        "vendor": Submodule("1" * 40),
        "large.sql": b"-" * 1_000_001,
    }
    repo.set_branch("main", repo.commit(files))
    got = {path: http.get(f"/repos/octo/shop/contents/{path}").json() for path in files}
    assert {path: body["type"] for path, body in got.items()} == {
        "d/real.sql": "file",
        "d/link.sql": "file",
        "outside": "symlink",
        "vendor": "submodule",
        "large.sql": "file",
    }
    assert base64.b64decode(got["d/link.sql"]["content"]) == b"select 1;"
    assert (got["large.sql"]["encoding"], got["large.sql"]["content"]) == ("none", "")
    blob = http.get(f"/repos/octo/shop/git/blobs/{got['large.sql']['sha']}").json()
    assert base64.b64decode(blob["content"]) == files["large.sql"]
    assert len(http.get("/repos/octo/shop/contents/").json()) == 4


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/repos/octo/nothing", 404),
        ("/repos/octo/shop/pulls/99", 404),
        ("/repos/octo/shop/issues/99/comments", 404),
        ("/repos/octo/shop/contents/nothing", 404),
        ("/repos/octo/shop/contents/migrations?ref=nothing", 404),
        ("/repos/octo/shop/compare/main...nothing", 404),
        ("/repos/octo/shop/git/trees/nothing", 404),
        ("/repos/octo/shop/git/blobs/" + "0" * 40, 404),
        ("/repos/octo/shop/git/blobs/short", 422),
        ("/repos/octo/shop/commits/nothing", 422),
        ("/repos/octo/shop/check-runs/99", 404),
    ],
)
def test_what_is_not_there(http: httpx.Client, shop: Repo, path: str, status: int) -> None:
    assert http.get(path).status_code == status


def test_comments_come_in_pages_that_lead_to_each_other(http: httpx.Client, shop: Repo) -> None:
    for number in range(250):
        shop.add_comment(7, f"comment {number}")
    url = "/repos/octo/shop/issues/7/comments"
    middle = http.get(url, params={"per_page": 100, "page": 2})
    assert set(middle.links) == {"first", "prev", "next", "last"}
    assert [len(http.get(middle.links[name]["url"]).json()) for name in ("first", "last")] == [100, 50]
    assert len(http.get(url).json()) == 30
    since = shop.comments_on(7)[240].updated_at
    assert len(http.get(url, params={"since": since, "per_page": 100}).json()) == 10


# --- What the description does not catch ----------------------------------------------------------

COMMENTS = "/repos/octo/shop/issues/7/comments"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("x" * 65_536, 201),
        ("x" * 65_537, 422),
        ("\N{PINE DECORATION}" * 65_536, 201),  # characters count, not bytes
        ("", 422),
        (" \n", 422),
    ],
)
def test_the_length_of_a_comment(http: httpx.Client, shop: Repo, body: str, status: int) -> None:
    assert http.post(COMMENTS, json={"body": body}).status_code == status
    assert len(shop.comments_on(7)) == (status == 201)


def test_another_author_s_comment_is_left_alone(http: httpx.Client, shop: Repo) -> None:
    theirs = shop.add_comment(7, "mine", author="alice")
    url = f"/repos/octo/shop/issues/comments/{theirs.id}"
    assert http.patch(url, json={"body": "yours"}).status_code == 403
    assert http.delete(url).status_code == 403
    assert shop.comments_on(7) == [theirs]


def test_the_length_of_a_status_s_description(http: httpx.Client, shop: Repo) -> None:
    url = f"/repos/octo/shop/statuses/{shop.pulls[7].head_sha}"
    answers = [http.post(url, json={"state": "success", "description": "x" * size}) for size in (140, 141)]
    assert [answer.status_code for answer in answers] == [201, 422]
    assert "maximum is 140" in answers[1].json()["errors"][0]["message"]


def test_a_status_needs_a_known_commit_and_a_web_address(http: httpx.Client, shop: Repo) -> None:
    known = f"/repos/octo/shop/statuses/{shop.pulls[7].head_sha}"
    target = {"state": "success", "target_url": "file:///run"}
    assert http.post(known, json=target).status_code == 422
    for sha in ("0" * 40, "main"):
        assert http.post(f"/repos/octo/shop/statuses/{sha}", json={"state": "success"}).status_code == 422


@needs_contract
def test_a_status_of_no_known_state_is_refused_and_is_a_problem(http: httpx.Client, github: FakeGitHub, shop: Repo) -> None:
    url = f"/repos/octo/shop/statuses/{shop.pulls[7].head_sha}"
    assert http.post(url, json={"state": "passed"}).status_code == 422
    assert "'passed' is not one of" in github.take_problems()[0]


CHECKS = "/repos/octo/shop/check-runs"


def check_run(shop: Repo, **more: Any) -> Json:
    """The body of a check run for pull request 7."""
    return {"name": "rehearsal", "head_sha": shop.pulls[7].head_sha, **more}


def test_a_completed_check_run_needs_a_conclusion(http: httpx.Client, github: FakeGitHub, shop: Repo) -> None:
    assert http.post(CHECKS, json=check_run(shop, status="completed")).status_code == 422
    made = http.post(CHECKS, json=check_run(shop)).json()
    assert (made["status"], made["conclusion"], made["completed_at"]) == ("queued", None, None)
    assert http.patch(f"{CHECKS}/{made['id']}", json={"status": "completed"}).status_code == 422
    github.take_problems()  # an update is judged by the description too
    done = http.patch(f"{CHECKS}/{made['id']}", json={"conclusion": "failure"}).json()
    assert (done["status"], done["conclusion"]) == ("completed", "failure")
    assert done["completed_at"] is not None


@pytest.mark.parametrize(
    ("output", "status"),
    [
        ({"title": "t", "summary": "x" * 65_535, "text": "x" * 65_535}, 201),
        ({"title": "t", "summary": "x" * 65_536}, 422),
        ({"title": "t", "summary": "s", "text": "x" * 65_536}, 422),
        ({"title": "t"}, 422),
        ({"title": "t", "summary": "s", "annotations": [{"path": "1.sql"}]}, 422),
    ],
)
def test_the_output_of_a_check_run(http: httpx.Client, github: FakeGitHub, shop: Repo, output: Json, status: int) -> None:
    assert http.post(CHECKS, json=check_run(shop, output=output)).status_code == status
    problems = github.take_problems()
    if load_contract("github"):
        assert (problems == []) == (status == 201)


def test_fifty_annotations_at_a_time(http: httpx.Client, github: FakeGitHub, shop: Repo) -> None:
    note = {"path": "1.sql", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
    sizes = {50: 201, 51: 422}
    for size, status in sizes.items():
        output = {"title": "t", "summary": "s", "annotations": [note] * size}
        assert http.post(CHECKS, json=check_run(shop, output=output)).status_code == status
    github.take_problems()  # the description limits them too
    made = shop.check_runs_of(shop.pulls[7].head_sha)[0]
    more = {"output": {"summary": "s", "annotations": [note] * 50}}
    assert http.patch(f"{CHECKS}/{made.id}", json=more).json()["output"]["annotations_count"] == 100


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({"title": "x" * 255}, 201),
        ({"title": "x" * 256}, 422),
        ({"message": "x" * 65_536}, 201),
        ({"message": "x" * 65_537}, 422),
        ({"message": "é" * 32_769}, 422),  # bytes count, not characters
        ({"raw_details": "x" * 65_537}, 422),
    ],
)
def test_the_texts_of_an_annotation(http: httpx.Client, shop: Repo, more: Json, status: int) -> None:
    note = {"path": "1.sql", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
    output = {"title": "t", "summary": "s", "annotations": [note | more]}
    assert http.post(CHECKS, json=check_run(shop, output=output)).status_code == status


def test_the_latest_check_run_of_a_name_is_listed(http: httpx.Client, shop: Repo) -> None:
    first, second = (http.post(CHECKS, json=check_run(shop)).json()["id"] for _ in range(2))
    url = f"/repos/octo/shop/commits/{shop.pulls[7].head_sha}/check-runs"
    latest, every = (http.get(url, params={"filter": which}).json() for which in ("latest", "all"))
    assert [run["id"] for run in latest["check_runs"]] == [second]
    assert [run["id"] for run in every["check_runs"]] == [second, first]
    assert every["total_count"] == 2


def test_check_runs_are_for_apps_and_for_the_app_that_made_them(github: FakeGitHub, shop: Repo) -> None:
    github.tokens |= {"user": Access("alice"), "other": Access("other[bot]")}
    with httpx.Client(base_url=github.url) as http:
        made = http.post(CHECKS, json=check_run(shop), headers={"Authorization": "token t"}).json()
        as_user, as_other = ({"Authorization": f"Bearer {token}"} for token in ("user", "other"))
        assert http.post(CHECKS, json=check_run(shop), headers=as_user).status_code == 403
        update = {"conclusion": "success"}
        assert http.patch(f"{CHECKS}/{made['id']}", json=update, headers=as_other).status_code == 403


# --- Who may ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic t"}])
def test_an_unknown_token_comes_in_nowhere(github: FakeGitHub, headers: dict[str, str]) -> None:
    answer = httpx.get(f"{github.url}/repos/octo/shop", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (401, "Bad credentials")


def test_a_fork_s_token_reads_and_does_not_write(github: FakeGitHub, shop: Repo) -> None:
    github.tokens["t"] = Access(BOT, write=False)
    with pygithub(github) as client:
        pull = client.get_repo("octo/shop").get_pull(7)
        with pytest.raises(GithubException) as refused:
            pull.create_issue_comment("hello")
    assert refused.value.status == 403
    assert "Resource not accessible by integration" in str(refused.value)
    assert shop.comments_on(7) == []


@pytest.mark.parametrize(
    ("access", "status"),
    [
        (Access(BOT), 403),
        (Access("alice"), 200),
        (Access(BOT, user_endpoint=True), 200),
        (Access("alice", user_endpoint=False), 403),
    ],
)
def test_an_installation_is_not_told_who_it_is(http: httpx.Client, github: FakeGitHub, access: Access, status: int) -> None:
    github.tokens["t"] = access
    assert http.get("/user").status_code == status


# --- Faults -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize(
    ("how", "status"),
    [("500", 500), ("502", 502), ("403-rate", 403), ("403-primary", 403), ("429", 429), ("422", 422)],
)
def test_a_request_fails_before_or_after_its_effect(
    http: httpx.Client, github: FakeGitHub, shop: Repo, when: When, stored: int, how: How, status: int
) -> None:
    github.fail("POST", r"/issues/7/comments$", when=when, how=how, retry_after=3)
    answer = http.post(COMMENTS, json={"body": "once"})
    assert answer.status_code == status
    assert answer.headers.get("Retry-After") == ("3" if how in {"403-rate", "429"} else None)
    assert (answer.headers["X-RateLimit-Remaining"] == "0") == (how == "403-primary")
    assert len(shop.comments_on(7)) == stored
    assert http.post(COMMENTS, json={"body": "again"}).status_code == 201


@pytest.mark.parametrize(("when", "stored"), [("before", 0), ("after", 1)])
def test_a_connection_drops_before_or_after_the_effect(
    http: httpx.Client, github: FakeGitHub, shop: Repo, when: When, stored: int
) -> None:
    github.fail("POST", "comments", when=when, how="drop")
    with pytest.raises(httpx.RemoteProtocolError):
        http.post(COMMENTS, json={"body": "once"})
    assert len(shop.comments_on(7)) == stored
    assert [request.body for request in github.writes] == [{"body": "once"}]


def test_a_fault_strikes_only_its_method_and_path_and_only_so_often(http: httpx.Client, github: FakeGitHub, shop: Repo) -> None:
    github.fail("*", "/pulls/7", times=2)
    asked = ["/repos/octo/shop", "/repos/octo/shop/pulls/7", "/repos/octo/shop/pulls/7/files"]
    assert [http.get(path).status_code for path in [*asked, *asked]] == [200, 500, 500, 200, 200, 200]


def test_pygithub_s_own_retry_comments_twice_and_ours_does_not(github: FakeGitHub, shop: Repo) -> None:
    github.fail("POST", "comments", when="after", how="502")
    with pygithub(github, GithubRetry(total=3, backoff_factor=0)) as client:
        client.get_repo("octo/shop").get_pull(7).create_issue_comment("once?")
    assert len(shop.comments_on(7)) == 2

    github.fail("POST", "comments", when="after", how="drop")
    careful = GithubRetry(total=3, backoff_factor=0, allowed_methods={"GET", "PATCH"})
    with pygithub(github, careful) as client, pytest.raises(requests.exceptions.ConnectionError):
        client.get_repo("octo/shop").get_pull(7).create_issue_comment("once!")
    assert [comment.body for comment in shop.comments_on(7)] == ["once?", "once?", "once!"]


def test_pygithub_waits_as_a_limit_tells_it(github: FakeGitHub, shop: Repo) -> None:
    github.fail("GET", "/pulls/7$", how="403-rate", times=2)
    retry = GithubRetry(total=3, backoff_factor=0, allowed_methods={"GET"}, max_rate_limit_wait=1)
    with pygithub(github, retry) as client:
        assert client.get_repo("octo/shop").get_pull(7).title == "Change the schema"
    assert [request.path for request in github.requests] == ["/repos/octo/shop/pulls/7"] * 3


# --- What it says about its clients -----------------------------------------------------------------


@pytest.mark.parametrize("path", ["/repos/octo/shop/issues/7", "/graphql", "/repos/octo/shop/commits/main/status"])
def test_an_operation_it_lacks_is_a_problem(http: httpx.Client, github: FakeGitHub, shop: Repo, path: str) -> None:
    assert http.get(path).status_code == 404
    assert github.take_problems() == [f"GET {path}: the fake has no such operation"]


def test_a_media_type_it_lacks_is_a_problem(http: httpx.Client, github: FakeGitHub, shop: Repo) -> None:
    raw = {"Accept": "application/vnd.github.raw+json"}
    assert http.get("/repos/octo/shop/contents/migrations/1.sql", headers=raw).status_code == 415
    assert "media type application/vnd.github.raw" in github.take_problems()[0]


@needs_contract
@pytest.mark.parametrize(
    ("method", "path", "body", "problem"),
    [
        ("POST", COMMENTS, {"body": "b", "minimized": True}, "'minimized' was unexpected"),
        ("POST", COMMENTS, {}, "'body' is a required property"),
        ("POST", COMMENTS, {"body": 1}, "1 is not of type 'string'"),
        ("POST", COMMENTS, None, "None is not of type 'object'"),
        ("GET", COMMENTS + "?perpage=100", None, "query parameter perpage is not described"),
        ("GET", COMMENTS + "?per_page=many", None, "'many' is not of type 'integer'"),
        ("GET", "/repos/octo/shop/pulls?state=merged", None, "'merged' is not one of"),
        ("GET", "/repos/octo/shop/pulls/seven", None, "path parameter pull_number: at $: 'seven'"),
        ("GET", "/repos/octo/shop/pulls", {"state": "open"}, "a body, where none is described"),
    ],
)
def test_a_request_that_is_not_as_described_is_a_problem(
    http: httpx.Client,
    github: FakeGitHub,
    shop: Repo,
    method: str,
    path: str,
    body: Json | None,
    problem: str,
) -> None:
    http.request(method, path, json=body) if body is not None else http.request(method, path)
    assert problem in "\n".join(github.take_problems())


def test_a_body_that_is_not_json_is_refused(http: httpx.Client, github: FakeGitHub, shop: Repo) -> None:
    assert http.post(COMMENTS, content=b"{").status_code == 400
    github.take_problems()


def test_a_bug_in_the_fake_is_a_problem_and_not_a_hanging_client(http: httpx.Client, github: FakeGitHub, shop: Repo) -> None:
    shop.branches["main"] = "no commit"
    assert http.get("/repos/octo/shop/git/trees/main").status_code == 500
    assert "the fake failed: KeyError('no commit')" in github.take_problems()[0]


# --- Events -----------------------------------------------------------------------------------------


def keys_of(value: Any, at: str = "") -> set[str]:
    """Every path of keys in a payload; lists are passed over, for ours are empty where real ones are not."""
    if not isinstance(value, dict):
        return set()
    return {f"{at}/{key}" for key in value}.union(*(keys_of(each, f"{at}/{key}") for key, each in value.items()))


@needs_contract
@pytest.mark.parametrize("action", ["opened", "synchronize"])
def test_a_pull_request_s_event_has_every_key_of_a_real_one(github: FakeGitHub, shop: Repo, action: str) -> None:
    real = contract_folder() / "events" / f"pull_request.{action}.json"
    expected = keys_of(json.loads(real.read_text(encoding="utf-8")))
    # Only an app's webhook has it, the payload of a workflow has not.
    installation = {"/installation", "/installation/id", "/installation/node_id"}
    event = github.pull_request_event(shop, shop.pulls[7], action)
    assert expected - keys_of(event) == installation
    assert ("before" in event) == (action == "synchronize")


def test_a_push_s_event_names_the_commits_before_and_after(github: FakeGitHub, shop: Repo) -> None:
    old = shop.pulls[7].head_sha
    pull = shop.push(7, shop.commit({**SECOND, "3.sql": "x"}, old))
    event = github.pull_request_event(shop, pull)
    assert (event["before"], event["after"]) == (old, pull.head_sha)
    assert event["pull_request"]["head"]["sha"] == pull.head_sha


def test_a_merge_queue_s_event_names_the_commit_to_try(github: FakeGitHub, shop: Repo) -> None:
    tried = shop.commit(SECOND, [shop.branches["main"], shop.pulls[7].head_sha])
    event = github.merge_group_event(shop, shop.pulls[7], tried)
    group = event["merge_group"]
    assert (event["action"], group["head_sha"], group["base_ref"]) == (
        "checks_requested",
        tried,
        "refs/heads/main",
    )
    assert group["head_ref"] == f"refs/heads/gh-readonly-queue/main/pr-7-{shop.branches['main']}"
    assert group["head_commit"]["tree_id"] == shop.objects.commits[tried].tree


def test_a_dispatched_workflow_s_event_has_its_inputs_or_null(github: FakeGitHub, shop: Repo) -> None:
    with_inputs = github.workflow_dispatch_event(shop, inputs={"seed": "dump"})
    assert (with_inputs["inputs"], with_inputs["ref"]) == ({"seed": "dump"}, "refs/heads/main")
    assert github.workflow_dispatch_event(shop)["inputs"] is None


# --- The server itself ------------------------------------------------------------------------------


def test_it_leaves_no_thread_though_a_client_holds_its_connection() -> None:
    before = set(threading.enumerate())
    with httpx.Client() as http:
        with FakeGitHub() as gh:
            http.get(gh.url)
        assert set(threading.enumerate()) - before == set()


def test_two_of_them_know_nothing_of_each_other() -> None:
    with FakeGitHub() as one, FakeGitHub() as other:
        one.add_repo("octo/shop")
        assert one.url != other.url
        assert other.world.repositories == {}


def test_many_clients_at_once_lose_nothing(http: httpx.Client, github: FakeGitHub, shop: Repo) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: http.post(COMMENTS, json={"body": f"{n}"}), range(40)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({comment.id for comment in shop.comments_on(7)}) == 40
    assert len(github.writes) == 40


def test_without_the_description_it_serves_unchecked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with FakeGitHub() as gh:
        gh.tokens["t"] = Access("alice")
        url = f"{gh.url}/user?unheard=of"
        assert httpx.get(url, headers={"Authorization": "Bearer t"}).json()["login"] == "alice"
        assert gh.problems == []


@needs_contract
def test_it_has_every_operation_of_the_description_and_no_other() -> None:
    contract = load_contract("github", ERRATA)
    assert contract is not None
    assert {(route.method, route.template) for route in ROUTES} == contract.operations


# --- The checking itself, on a small description ----------------------------------------------------

PET = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "kind": {"type": "string", "enum": ["cat"], "nullable": True},
        "born": {"type": "string", "format": "date-time", "nullable": True},
        "page": {"type": "string", "format": "uri"},
        "owner": {"$ref": "#/components/schemas/owner"},
    },
}
OWNER = {"type": "object", "nullable": True, "properties": {"name": {"type": "string"}}}


def small(version: str = "3.0.3", errata: Errata | None = None, **changed: Any) -> Contract:
    """A description of one operation, that answers 200 with a pet."""
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/pet"}}}}
    path = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
    document = {
        "openapi": version,
        "paths": {"/pets/{id}": {"get": {"parameters": [path], "responses": {"200": answer, "204": {}}}}},
        "components": {"schemas": {"pet": PET, "owner": OWNER, **changed}},
    }
    return Contract(document, errata or Errata())


def answered(contract: Contract, body: Any, status: int = 200) -> list[str]:
    """What the contract says to an answer."""
    return contract.check_answer("GET", "/pets/{id}", status, body)


@pytest.mark.parametrize(
    "pet",
    [
        {"name": "Tom"},
        {"name": "Tom", "kind": "cat", "born": "2026-01-01T00:00:00Z", "page": "http://127.0.0.1:1/t"},
        {"name": "Tom", "kind": None, "born": None, "owner": None},
        {"name": "Tom", "owner": {"name": "Ann"}},
    ],
)
def test_an_answer_as_described(pet: Json) -> None:
    assert answered(small(), pet) == []


@pytest.mark.parametrize(
    ("pet", "violation"),
    [
        ({}, "answer at $: 'name' is a required property"),
        ({"name": None}, "answer at $.name: None is not of type 'string'"),
        ({"name": "Tom", "kind": "dog"}, "answer at $.kind: 'dog' is not one of ['cat', None]"),
        ({"name": "Tom", "born": "yesterday"}, "answer at $.born: 'yesterday' is not a 'date-time'"),
        ({"name": "Tom", "page": "/tom"}, "answer at $.page: '/tom' is not a 'uri'"),
        ({"name": "Tom", "owner": {"age": 1}}, "answer at $.owner: Additional properties are not allowed"),
    ],
)
def test_an_answer_not_as_described(pet: Json, violation: str) -> None:
    assert [each[: len(violation)] for each in answered(small(), pet)] == [violation]


def test_a_status_that_is_not_listed_and_one_without_a_body() -> None:
    assert answered(small(), None, 204) == []
    assert answered(small(), {}, 204) == ["answer: a body, where none is described"]
    assert answered(small(), {}, 404) == ["status 404 is not listed"]


def test_errata_let_known_differences_pass_and_no_others() -> None:
    errata = Errata(
        nulls=(MayBeNull("components/schemas/pet/properties/page", "a stray has none"),),
        answers=(AlsoAnswers(404, "owner", "nobody lists it"),),
    )
    assert answered(small(errata=errata), {"name": "Tom", "page": None}) == []
    assert answered(small(errata=errata), {"name": "gone"}, 404) == []
    assert answered(small(errata=errata), {"message": "gone"}, 404) != []


def test_an_erratum_that_points_nowhere_is_an_error() -> None:
    with pytest.raises(KeyError):
        small(errata=Errata(nulls=(MayBeNull("components/schemas/pet/properties/gone", "none"),)))


def test_null_is_said_another_way_in_openapi_3_1() -> None:
    pet = {"type": "object", "properties": {"name": {"type": ["string", "null"]}}}
    assert answered(small("3.1.0", pet=pet), {"name": None}) == []
    assert answered(small("3.1.0"), {"name": "Tom", "kind": None}) != []
    with pytest.raises(ValueError, match=r"not 2\.0"):
        small("2.0")
