"""The action from event to exit status, against the fake GitHub and a real PostgreSQL."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest

from bot.errors import GitHubError
from bot.model import Finding, Severity
from bot.report import MARKER
from tests.contract.fake_github import Access, CheckRun
from tests.fix_action import BAD, BASE_FILES, BOT, GOOD, SEED, Action


def test_a_migration_that_passes(action: Action) -> None:
    pull = action.open_pull(GOOD)

    status, _log = action.run_pull(pull)

    assert status == 0
    (comment,) = action.comments()
    assert comment.startswith(MARKER)
    assert "1 migration rehearsed: nothing breaks" in comment.replace("\\", "")
    context, state, description = action.status(pull.head_sha)
    assert (context, state) == ("migration-rehearsal", "success")
    assert description.startswith("1 migration rehearsed: nothing breaks")
    assert action.outputs() == {
        "verdict": "pass", "report": "migration-rehearsal.json", "migrations": "1", "failed": "0", "errors": "0", "warnings": "0",
    }  # fmt: skip
    assert json.loads((action.workspace / "migration-rehearsal.json").read_text())["verdict"] == "pass"
    assert "nothing breaks" in (action.workspace / "summary").read_text()


def test_a_migration_that_fails_on_existing_rows(action: Action) -> None:
    pull = action.open_pull(BAD)

    status, log = action.run_pull(pull)

    assert status == 1
    assert "30 of 90 rows are NULL" in action.comments()[0]
    assert action.status(pull.head_sha)[1] == "failure"
    assert "::error file=db/migrations/1_email.sql,line=2,title=constraint-broken::orders.email cannot become NOT NULL" in log
    assert action.outputs()["failed"] == "1"


def test_one_comment_is_edited_across_pushes_and_found_on_any_page(action: Action) -> None:
    pull = action.open_pull(BAD)
    for n in range(120):
        action.repo.add_comment(7, f"{MARKER} quoted by a reader, {n}")
    action.run_pull(pull)
    for n in range(120):
        action.repo.add_comment(7, f"nice {n}")

    status, _log = action.run_pull(action.push(GOOD | {"db/migrations/1_email.sql": "SELECT 1;"}))

    assert status == 0
    (comment,) = action.comments()
    assert "2 migrations rehearsed" in comment
    assert len(action.repo.comments_on(7)) == 241


def test_what_a_migration_includes_comes_from_its_commit_and_values_from_the_workflow(action: Action) -> None:
    pull = action.open_pull(
        {"db/migrations/1_x.sql": "\\i lib/a.sql\n", "lib/a.sql": "-- here\nALTER TABLE orders ADD :name int NOT NULL;\n"}
    )

    status, log = action.run_pull(pull, placeholders="name=total")
    lacking, said = action.run_pull(pull)

    assert (status, lacking) == (1, 2)
    assert "::error file=db/migrations/1_x.sql,line=1," in log
    assert "(in lib/a.sql:2)" in log
    assert "lib/a.sql:2: the placeholder :name has no value." in said


@pytest.mark.parametrize(("at", "expected"), [("pull request", 0), ("base", 1)])
def test_a_teams_file_is_read_from_the_base_branch(action: Action, at: str, expected: int) -> None:
    """What a pull request makes of it holds when it is merged."""
    text = 'max-reads-blocked-ms = 1\n[severity]\nreads-blocked = "error"\n'
    slow = {"db/migrations/1_x.sql": "LOCK TABLE orders;\nSELECT pg_sleep(0.05);\n"}
    if at == "base":
        action.base = action.repo.commit({**BASE_FILES, ".migration-rehearsal.toml": text})
        action.repo.set_branch("main", action.base)

    status, log = action.run_pull(action.open_pull({**slow, ".migration-rehearsal.toml": text if at != "base" else ""}))

    assert status == expected
    assert ("title=reads-blocked" in log) is (expected == 1)


TEMPLATE = '{% extends "comment.md.j2" %}{% block after %}\nAsk the {{ "data" }} team.\n{% endblock %}'


@pytest.mark.parametrize("named_by", ["input", "file"])
def test_a_teams_template_is_read_from_the_base_branch(action: Action, named_by: str) -> None:
    """Comment, step summary and check run are made by it; a pull request can't change it."""
    files = {".github/c.j2": TEMPLATE, ".migration-rehearsal.toml": 'template = ".github/c.j2"\n' if named_by == "file" else ""}
    action.base = action.repo.commit({**BASE_FILES, **files})
    action.repo.set_branch("main", action.base)
    inputs = {"template": ".github/c.j2"} if named_by == "input" else {}

    action.run_pull(action.open_pull({**GOOD, ".github/c.j2": "✅ all is well"}), check="both", **inputs)

    (comment,) = action.comments()
    assert comment.startswith(MARKER)
    assert "1 migration rehearsed" in comment
    assert comment.endswith("\n\nAsk the data team.\n")
    assert (action.workspace / "summary").read_text().endswith("Ask the data team.\n")


@pytest.mark.parametrize(("text", "why"), [("{% block %}", "line 1: "), (None, "there is no such file")])
def test_without_the_teams_template_the_comment_is_ours_and_says_why(action: Action, text: str | None, why: str) -> None:
    action.base = action.repo.commit({**BASE_FILES, **({".github/c.j2": text} if text else {})})
    action.repo.set_branch("main", action.base)

    status, log = action.run_pull(action.open_pull(GOOD), template=".github/c.j2")

    assert status == 0
    assert f"::warning title=migration-rehearsal::The template .github/c.j2 was not used: {why}" in log
    assert "1 migration rehearsed" in action.comments()[0]
    assert "c.j2 was not used" in action.comments()[0]


def say_at_base(action: Action, text: str) -> None:
    """Puts a team's file on the base branch."""
    action.base = action.repo.commit({**BASE_FILES, ".migration-rehearsal.toml": text})
    action.repo.set_branch("main", action.base)


def test_a_mistake_in_the_teams_file_is_told_with_its_line(action: Action) -> None:
    say_at_base(action, "\nlarge-table-row = 5\n")
    pull = action.open_pull(GOOD)

    status, log = action.run_pull(pull)

    assert status == 2
    assert ".migration-rehearsal.toml:2: `large-table-row` is no setting. → Did you mean `large-table-rows`?" in log
    assert action.status(pull.head_sha)[1] == "error"  # and in a check run, as nobody knows which one it meant
    assert [conclusion for _status, conclusion, _title in action.checks(pull.head_sha)] == ["failure"]


def test_a_mistake_in_the_teams_file_does_not_stop_who_mends_it(action: Action) -> None:
    say_at_base(action, "large-table-row = 5")
    pull = action.open_pull({".migration-rehearsal.toml": "large-table-rows = 5"})

    status, _log = action.run_pull(pull)

    assert status == 0
    assert action.status(pull.head_sha)[1] == "success"
    assert [conclusion for _status, conclusion, _title in action.checks(pull.head_sha)] == ["success"]


@pytest.mark.parametrize("files", [GOOD, {"app.py": "print()"}], ids=["a migration", "no migration"])
def test_a_teams_file_says_how_it_is_told(action: Action, files: dict[str, str]) -> None:
    """Also where there is nothing to rehearse: the check run may be required."""
    say_at_base(action, 'check = "check-run"\ncomment = false\n')
    pull = action.open_pull(files)

    status, _log = action.run_pull(pull)

    assert status == 0
    assert [conclusion for _status, conclusion, _title in action.checks(pull.head_sha)] == ["success"]
    assert not [r for r in action.github.writes if "/statuses/" in r.path]
    assert action.comments() == []


def test_warnings_are_neutral_where_the_team_says_so_and_the_workflow_has_the_last_word(action: Action) -> None:
    say_at_base(action, 'check = "check-run"\nneutral-warnings = true\n')
    pull = action.open_pull({"db/migrations/1_x.sql": "-- nothing\n"})

    action.run_pull(pull)
    action.run_pull(pull, check="both")

    assert {conclusion for _status, conclusion, _title in action.checks(pull.head_sha)} == {"neutral"}
    assert action.status(pull.head_sha)[1] == "success"


def test_a_team_says_what_must_be_so_after_each_migration(action: Action) -> None:
    say_at_base(action, '[expectations]\n"nobody is lost" = "(SELECT count(*) FROM orders) = 90"\n')

    status, log = action.run_pull(action.open_pull({"db/migrations/1_x.sql": "\nDELETE FROM orders WHERE id = 1;\n"}))

    assert status == 1
    assert "::error file=db/migrations/1_x.sql,line=2,title=expectation-failed::Not as expected: nobody is lost" in log


def test_a_teams_file_that_is_too_large_is_refused_and_a_folder_of_its_name_is_none(action: Action) -> None:
    say_at_base(action, "#" * 2**21)
    refused, log = action.run_pull(action.open_pull(GOOD))
    action.base = action.repo.commit({**BASE_FILES, ".migration-rehearsal.toml/x": "check = 1"})
    action.repo.set_branch("main", action.base)
    action.repo.pulls.pop(7)

    status, _log = action.run_pull(action.open_pull(GOOD))

    assert (refused, status) == (2, 0)
    assert ".migration-rehearsal.toml is larger than 64 kB" in log


def test_when_the_migrations_are_gone_the_comment_says_so(action: Action) -> None:
    action.run_pull(action.open_pull(BAD))

    status, _log = action.run_pull(action.push({}))

    assert status == 0
    assert "No new migrations in this change" in action.comments()[0]
    assert action.status(action.repo.pulls[7].head_sha)[1:] == ("success", "No new migrations in this change")


def test_nothing_to_rehearse_is_a_status_and_no_comment(action: Action) -> None:
    pull = action.open_pull({"app.py": "print()"})

    status, _log = action.run_pull(pull)

    assert status == 0
    assert action.comments() == []
    assert action.status(pull.head_sha)[1] == "success"
    assert [r.method for r in action.github.writes] == ["POST"]


def test_every_page_of_a_pull_requests_files(action: Action) -> None:
    many = {f"a/{n:04}.txt": str(n) for n in range(450)}
    pull = action.open_pull(many | {"zz/migrations/1_last.sql": "SELECT 1;"})

    action.run_pull(pull)

    assert action.outputs()["migrations"] == "1"


def test_more_files_than_github_lists_are_found_by_comparing_trees(action: Action) -> None:
    many = {f"a/{n:04}.txt": str(n) for n in range(3100)}
    pull = action.open_pull(many | {"zz/migrations/1_last.sql": "SELECT 1;"})

    status, _log = action.run_pull(pull)

    assert (status, action.outputs()["migrations"]) == (0, "1")


def test_a_tree_that_github_cuts_is_an_error_not_a_pass(action: Action) -> None:
    many = {f"a/{n:04}.txt": str(n) for n in range(3100)}
    pull = action.open_pull(many)
    action.github.limit_trees(1000)

    status, log = action.run_pull(pull)

    assert status == 3
    assert "there are too many" in log
    assert action.status(pull.head_sha)[1] == "error"


def test_without_a_seed_the_base_branchs_own_migrations_make_one(action: Action) -> None:
    base = {"db/migrations/1_orders.sql": SEED, "db/migrations/2_more.sql": "ALTER TABLE orders ADD note text;"}
    sha = action.repo.commit(BASE_FILES | base, parent=action.base)
    action.repo.set_branch("main", sha)
    head = action.repo.commit(BASE_FILES | base | {"db/migrations/3_email.sql": BAD["db/migrations/1_email.sql"]}, parent=sha)
    pull = action.repo.open_pull(number=7, head_sha=head)

    status, _log = action.run_pull(pull, seed="")

    assert status == 1
    assert "30 of 90 rows are NULL" in action.comments()[0]


def test_the_merge_queue_gets_a_status_on_its_own_commit(action: Action) -> None:
    pull = action.open_pull(GOOD)
    merged = action.repo.commit({**BASE_FILES, **GOOD}, parent=[action.base, pull.head_sha])

    status, _log = action.run(action.github.merge_group_event(action.repo, pull, merged), "merge_group", merged)

    assert status == 0
    assert action.status(merged)[:2] == ("migration-rehearsal", "success")
    assert action.comments() == []
    assert action.outputs()["migrations"] == "1"


@pytest.mark.parametrize("inputs", [{"pull_request": "7"}, {}], ids=["by number", "by the branch's commit"])
def test_started_by_hand(action: Action, inputs: dict[str, str]) -> None:
    pull = action.open_pull(GOOD)

    status, _log = action.run(action.github.workflow_dispatch_event(action.repo), "workflow_dispatch", pull.head_sha, **inputs)

    assert status == 0
    assert len(action.comments()) == 1
    assert action.status(pull.head_sha)[1] == "success"


def test_started_by_hand_on_a_branch_without_a_pull_request(action: Action) -> None:
    head = action.repo.commit({**BASE_FILES, **BAD}, parent=action.base)
    action.repo.set_branch("feature", head)

    status, _log = action.run(action.github.workflow_dispatch_event(action.repo), "workflow_dispatch", head)

    assert status == 1
    assert action.status(head)[1] == "failure"


def test_a_fork_can_only_read_and_still_gets_the_report(action: Action) -> None:
    action.github.tokens["read"] = Access(BOT, write=False)
    pull = action.open_pull(BAD, head_repo="mallory/shop", author="mallory")

    status, log = action.run_pull(pull, token="read")

    assert status == 1
    assert action.comments() == []
    assert "a pull request from a fork gets a token that can only read" in log
    assert "30 of 90 rows are NULL" in (action.workspace / "summary").read_text()
    assert "::error file=db/migrations/1_email.sql,line=2" in log


@pytest.mark.parametrize("error", ["refused", "500"])
def test_the_status_is_set_whatever_became_of_the_comment(action: Action, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from bot.errors import GitHubError
    from bot.github_client import GitHub, Refused

    def fail(*_arguments: object, **_more: object) -> None:
        raise Refused("no") if error == "refused" else GitHubError("no")

    monkeypatch.setattr(GitHub, "sticky_comment", fail)
    pull = action.open_pull(BAD)
    with suppress(GitHubError):
        action.run_pull(pull)

    assert action.status(pull.head_sha)[1] == "failure"


def test_being_refused_to_read_is_explained() -> None:
    import github

    from bot.errors import GitHubError
    from bot.github_client import Refused, _explained

    no = github.GithubException(403, {"message": "Resource not accessible by integration"})
    with pytest.raises(GitHubError, match="contents: read"), _explained("list the files"):
        raise no
    with pytest.raises(Refused), _explained("set the status", writing=True):
        raise no


def test_on_a_dump_what_is_wrong_in_an_old_migration_is_no_matter(action: Action) -> None:
    base = BASE_FILES | {"db/migrations/0_old.sql": "\\i elsewhere.sql"}
    sha = action.repo.commit(base, parent=action.base)
    action.repo.set_branch("main", sha)
    pull = action.repo.open_pull(number=7, head_sha=action.repo.commit(base | GOOD, parent=sha))

    assert action.run_pull(pull)[0] == 0
    assert action.run_pull(pull, seed="")[0] == 2


def test_comments_can_be_turned_off(action: Action) -> None:
    pull = action.open_pull(GOOD)

    action.run_pull(pull, comment="false")

    assert action.comments() == []
    assert action.status(pull.head_sha)[1] == "success"


@pytest.mark.parametrize(
    ("how", "when"),
    [("500", "before"), ("500", "after"), ("drop", "before"), ("drop", "after"), ("502", "after"), ("429", "before")],
)
def test_a_comment_whose_answer_was_lost_is_not_posted_twice(action: Action, how: Any, when: Any) -> None:
    pull = action.open_pull(GOOD)
    action.github.fail("POST", r"/comments$", how=how, when=when, retry_after=1)

    status, _log = action.run_pull(pull)

    assert status == 0
    assert len(action.comments()) == 1
    assert action.status(pull.head_sha)[1] == "success"


@pytest.mark.parametrize(
    ("how", "when"), [("500", "before"), ("502", "after"), ("drop", "before"), ("drop", "after"), ("429", "before")]
)
def test_a_comment_whose_edit_got_no_answer_is_edited(action: Action, how: Any, when: Any) -> None:
    action.run_pull(action.open_pull(BAD))
    action.github.fail("PATCH", r"/comments/", how=how, when=when, retry_after=1)

    status, _log = action.run_pull(action.push({}))

    assert status == 0
    (comment,) = action.comments()
    assert "No new migrations in this change" in comment


@pytest.mark.parametrize("path", [r"/files", r"/git/trees", r"/git/blobs", r"/contents/"])
def test_reading_is_tried_again(action: Action, path: str) -> None:
    pull = action.open_pull(GOOD)
    action.github.fail("GET", path, how="502")

    assert action.run_pull(pull)[0] == 0


def test_an_unknown_token(action: Action) -> None:
    from bot.errors import GitHubError

    pull = action.open_pull(GOOD)

    with pytest.raises(GitHubError, match="401"):
        action.run_pull(pull, token="nonsense")


# what the migration file or an input holds -> exit status and what is said
WRONG: dict[str, tuple[dict[str, str | bytes], dict[str, str], int, str]] = {
    "not UTF-8": ({"db/migrations/1_x.sql": b"SELECT '\xff'"}, {}, 2, "is not UTF-8"),
    "meta-command": ({"db/migrations/1_x.sql": "\\! ls"}, {}, 2, "is a command of psql"),
    "seed that is not there": (dict(GOOD), {"seed": "gone.dump"}, 3, "does not exist"),
    "seed over http": (dict(GOOD), {"seed": "http://example.org/x"}, 2, "can't be fetched over http"),
    "reports outside": ({}, {"reports": "a.html\nsarif=../x"}, 2, "leaves the workspace"),
    "report outside": ({}, {"report": "../x.json"}, 2, "leaves the workspace"),
    "an input": (dict(GOOD), {"fail_on": "sometimes"}, 2, "Choose one of: error, warning, never"),
    "a layout": (dict(GOOD), {"layout": "flywya"}, 2, "Did you mean"),
}


@pytest.mark.parametrize(("files", "inputs", "expected", "said"), WRONG.values(), ids=WRONG.keys())
def test_what_could_not_be_rehearsed_is_said_and_the_status_does_not_stay_pending(
    action: Action, files: dict[str, str], inputs: dict[str, str], expected: int, said: str
) -> None:
    pull = action.open_pull(files)

    status, log = action.run_pull(pull, **inputs)

    assert (status, said in log) == (expected, True)
    assert action.status(pull.head_sha)[1] == "error"
    assert said in action.comments()[0].replace("\\", "")
    assert action.outputs()["verdict"] == "error"


def test_a_checkout_is_used_only_where_it_holds_the_same_content(action: Action) -> None:
    pull = action.open_pull(GOOD)
    local = action.workspace / "db/migrations/1_total.sql"
    local.parent.mkdir(parents=True)
    local.write_text("SELECT 'an older version';")
    action.run_pull(pull)
    local.write_text(GOOD["db/migrations/1_total.sql"])
    asked_before = len([r for r in action.github.requests if "/git/blobs/" in r.path])

    action.run_pull(pull)

    assert asked_before == 1
    assert len([r for r in action.github.requests if "/git/blobs/" in r.path]) == asked_before
    assert "ADD total int" in (action.workspace / "migration-rehearsal.json").read_text()


def test_the_report_is_not_written_through_a_link_of_the_checkout(
    action: Action, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "victim"
    elsewhere.write_text("mine")
    (action.workspace / "migration-rehearsal.json").symlink_to(elsewhere)

    assert action.run_pull(action.open_pull(GOOD))[0] == 0
    assert elsewhere.read_text() == "mine"


def test_more_reports_are_written_beside(action: Action) -> None:
    action.run_pull(action.open_pull(BAD), reports="out/r.sarif\njunit.xml\ncode-quality=cq.json\npage.html\ncomment.md")

    assert (
        json.loads((action.workspace / "out" / "r.sarif").read_text())["runs"][0]["results"][0]["ruleId"] == "constraint-broken"
    )
    assert 'failures="1"' in (action.workspace / "junit.xml").read_text()
    assert json.loads((action.workspace / "cq.json").read_text())[0]["severity"] == "critical"
    assert "30 of 90 rows are NULL" in (action.workspace / "page.html").read_text()
    assert (action.workspace / "comment.md").read_text() == action.comments()[0]


def test_an_event_that_asks_for_nothing(action: Action) -> None:
    status, log = action.run({"ref": "refs/heads/main"}, "push")

    assert (status, action.github.requests) == (0, [])
    assert "Nothing to rehearse" in log


def test_a_cancelled_run_does_not_leave_the_status_pending(action: Action, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bot.run.embedded_server", stop)
    pull = action.open_pull(GOOD)

    with pytest.raises(KeyboardInterrupt):
        action.run_pull(pull)
    assert action.status(pull.head_sha)[1:] == ("error", "Cancelled before the rehearsal was done")


def test_a_fault_of_ours_is_no_failed_migration_and_tells_no_data(action: Action, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_arguments: object, **_more: object) -> None:
        raise ZeroDivisionError("secret@example.org")

    monkeypatch.setattr("bot.action.rehearse_plan", stumble)
    pull = action.open_pull(GOOD)

    status, log = action.run_pull(pull)

    assert (status, action.status(pull.head_sha)[1]) == (3, "error")
    assert "A fault of migration-rehearsal itself: ZeroDivisionError" in log
    assert "secret" not in log + action.comments()[0]


@pytest.mark.parametrize("untouched", [False, True])
def test_what_a_migration_expects_is_read_beside_it(action: Action, untouched: bool) -> None:
    beside = {"db/migrations/1_total.expect.sql": "SELECT id FROM orders;"}
    if untouched:
        action.base = action.repo.commit(BASE_FILES | beside, parent=action.base)
        action.repo.set_branch("main", action.base)
    pull = action.open_pull(GOOD | beside)

    action.run_pull(pull)

    (migration,) = json.loads((action.workspace / "migration-rehearsal.json").read_text())["migrations"]
    assert [(e["passed"], e["detail"], e["path"]) for e in migration["expectations"]] == [(False, "90 rows", *beside)]


GO_SEED = """
CREATE TABLE orders (id int PRIMARY KEY);
CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
INSERT INTO schema_migrations VALUES (1, false);
"""
ORDERS = {"db/migrations/1_orders.up.sql": "CREATE TABLE orders (id int PRIMARY KEY);\n"}


def test_what_the_seed_lacks_of_the_base_is_all_that_is_read_of_it(action: Action) -> None:
    base = BASE_FILES | ORDERS | {"db/migrations/2_note.up.sql": "ALTER TABLE orders ADD note text;\n"}
    sha = action.repo.commit(base, parent=action.base)
    action.repo.set_branch("main", sha)
    third = {"db/migrations/3_index.up.sql": "CREATE INDEX ON orders (note);\n"}
    pull = action.repo.open_pull(number=7, head_sha=action.repo.commit(base | third, parent=sha))
    event = action.github.pull_request_event(action.repo, pull)
    environment = {"seed": "go.sql"}
    (action.workspace / "go.sql").write_text(GO_SEED)

    status, _log = action.run(event, **environment)

    assert status == 0
    assert len([r for r in action.github.requests if "/git/blobs/" in r.path]) == 2
    said = "1 migration of the base branch that the seed lacked was applied first: `db/migrations/2_note.up.sql`"
    assert said in action.comments()[0]
    report = json.loads((action.workspace / "migration-rehearsal.json").read_text())
    assert [(one["path"], one["version"]) for one in report["caught_up"]] == [("db/migrations/2_note.up.sql", "2")]


def test_a_version_that_another_open_pull_request_brings_is_said(action: Action) -> None:
    mine, theirs = {"db/migrations/1_note.up.sql": "SELECT 1;"}, {"db/migrations/01_total.up.sql": "SELECT 2;", "app.py": ""}
    action.repo.open_pull(number=3, head_sha=action.repo.commit({**BASE_FILES, **theirs}, parent=action.base))
    pull = action.open_pull(mine)

    action.run_pull(pull)
    first = action.comments()[0]
    action.repo.close_pull(3)
    action.run_pull(pull)
    again = action.comments()[0]

    said = "has the same version as `db/migrations/01_total.up.sql` in the open pull request 3"
    assert (said in first, said in again) == (True, False)


def test_a_replay_tells_what_was_answered_whatever_happened_elsewhere(action: Action, journal_url: str) -> None:
    theirs = {"db/migrations/01_total.sql": "SELECT 2;"}
    pull = action.open_pull(GOOD)
    action.run_pull(pull, journal_url=journal_url)
    first = action.comments()[0]
    action.repo.open_pull(number=8, head_sha=action.repo.commit({**BASE_FILES, **theirs}, parent=action.base))

    _status, log = action.run_pull(pull, journal_url=journal_url)

    assert "replayed from the journal" in log
    assert action.comments() == [first]


def test_not_to_know_of_other_pull_requests_is_a_note(action: Action) -> None:
    pull = action.open_pull(GOOD)
    action.github.fail("GET", r"/pulls$", how="422", times=9)

    status, _log = action.run_pull(pull)

    assert status == 0
    assert "Whether another open pull request brings the same versions is not known" in action.comments()[0]


def test_two_entries_of_the_merge_queue_with_one_version(action: Action) -> None:
    ahead, mine = {"db/migrations/1_total.up.sql": "SELECT 1;"}, {"db/migrations/1_note.up.sql": "SELECT 2;"}
    pull = action.open_pull(mine)
    queued = action.repo.commit({**BASE_FILES, **ahead}, parent=action.base)
    merged = action.repo.commit({**BASE_FILES, **ahead, **mine}, parent=[queued, pull.head_sha])

    action.run(action.github.merge_group_event(action.repo, pull, merged), "merge_group", merged)

    assert "has the same version as" in (action.workspace / "summary").read_text()


# ── The check run ────────────────────────────────────────────────────────────────────────────────────────────────────────────

WARNED = {"db/migrations/1_mail.sql": "ALTER TABLE orders RENAME email TO mail;\n"}
BY_CHECK_RUN = {"check": "check-run"}

# what is changed, inputs -> how the check run ends, and how its title begins
CONCLUSIONS: dict[str, tuple[dict[str, str], dict[str, str], str, str]] = {
    "nothing breaks": (GOOD, {}, "success", "1 migration rehearsed: nothing breaks"),
    "a failure": (BAD, {}, "failure", "1 of 1 migration would fail: orders.email cannot become NOT NULL"),
    "a warning": (WARNED, {}, "success", "1 migration rehearsed: "),
    "a warning, if set": (WARNED, {"neutral_warnings": "true"}, "neutral", "1 migration rehearsed: "),
    "a warning that fails": (WARNED, {"neutral_warnings": "true", "fail_on": "warning"}, "failure", "1 migration rehearsed: "),
    "a failure that does not": (BAD, {"neutral_warnings": "true", "fail_on": "never"}, "neutral", "1 of 1 migration would fail"),
    "an error": (GOOD, {"seed": "gone.dump"}, "failure", "The rehearsal could not be done: "),
    "an input that is wrong": (GOOD, {"fail_on": "sometimes"}, "failure", "The rehearsal could not be done: "),
    "nothing to rehearse": ({"app.py": "print()"}, {}, "success", "No new migrations in this change"),
}


@pytest.mark.parametrize(("files", "inputs", "conclusion", "title"), CONCLUSIONS.values(), ids=CONCLUSIONS.keys())
def test_the_check_runs_conclusion_follows_the_verdict(
    action: Action, files: dict[str, str], inputs: dict[str, str], conclusion: str, title: str
) -> None:
    pull = action.open_pull(files)

    action.run_pull(pull, **BY_CHECK_RUN, **inputs)

    ((status, found, said),) = action.checks(pull.head_sha)
    assert (status, found) == ("completed", conclusion)
    assert (said or "").startswith(title)
    assert action.repo.statuses_of(pull.head_sha) == []


def test_the_check_run_shows_the_report_and_stands_beside_the_lines(action: Action) -> None:
    pull = action.open_pull(BAD)

    _status, log = action.run_pull(pull, **BY_CHECK_RUN)

    run = action.check(pull.head_sha)
    assert (run.name, run.details_url) == ("migration-rehearsal", "https://github.com/octo/shop/actions/runs/99")
    report = json.loads((action.workspace / "migration-rehearsal.json").read_text())
    assert run.external_id == f"migration-rehearsal:{report['run']['run_id']}"
    assert run.summary == action.comments()[0].removeprefix(MARKER).lstrip()
    (said,) = run.annotations
    assert (said["path"], said["start_line"], said["end_line"]) == ("db/migrations/1_email.sql", 2, 2)
    assert (said["annotation_level"], said["title"]) == ("failure", "constraint-broken")
    assert said["message"].startswith("orders.email cannot become NOT NULL: 30 of 90 rows are NULL")
    assert "::error file" not in log  # it would stand there twice


@pytest.mark.parametrize(("check", "statuses", "checks"), [("status", 2, 0), ("check-run", 0, 1), ("both", 2, 1)])
def test_the_result_is_a_status_or_a_check_run_or_both(action: Action, check: str, statuses: int, checks: int) -> None:
    pull = action.open_pull(GOOD)

    action.run_pull(pull, check=check)

    assert len(action.repo.statuses_of(pull.head_sha)) == statuses
    assert len(action.checks(pull.head_sha)) == checks


def test_the_merge_queue_gets_a_check_run_on_its_own_commit(action: Action) -> None:
    pull = action.open_pull(GOOD)
    merged = action.repo.commit({**BASE_FILES, **GOOD}, parent=[action.base, pull.head_sha])

    action.run(action.github.merge_group_event(action.repo, pull, merged), "merge_group", merged, **BY_CHECK_RUN)

    assert action.check(merged).conclusion == "success"
    assert action.checks(pull.head_sha) == []


def test_a_commit_that_has_nothing_to_rehearse_costs_one_request_that_writes(action: Action) -> None:
    action.run_pull(action.open_pull({"app.py": "print()"}), **BY_CHECK_RUN)

    assert [r.method for r in action.github.writes] == ["POST"]


# how many findings with a line -> how many annotations each request brings, and what the summary says of the others
BATCHES = [(1, [1], ""), (50, [50], ""), (51, [50, 1], ""), (200, [50] * 4, ""), (203, [50] * 4, "3 more findings would have")]


@pytest.mark.parametrize(("findings", "batches", "said"), BATCHES)
def test_annotations_come_in_batches_and_not_without_end(
    action: Action, monkeypatch: pytest.MonkeyPatch, findings: int, batches: list[int], said: str
) -> None:
    found_many(monkeypatch, findings)
    pull = action.open_pull({"db/migrations/1_x.sql": "SELECT 1;\n" * findings})

    action.run_pull(pull, **BY_CHECK_RUN)

    bodies = [r.body["output"].get("annotations", []) for r in action.github.writes if "/check-runs" in r.path]
    assert [len(batch) for batch in bodies if batch] == batches
    run = action.check(pull.head_sha)
    assert (run.status, [a["start_line"] for a in run.annotations]) == ("completed", list(range(1, sum(batches) + 1)))
    assert ("would have an annotation" in (run.summary or "")) is bool(said)
    assert said in (run.summary or "")


def found_many(monkeypatch: pytest.MonkeyPatch, findings: int, path: str = "db/migrations/1_x.sql") -> None:
    """As many warnings, one on each line."""
    found = tuple(Finding("writes-blocked", Severity.WARNING, f"number {n}", path, n + 1) for n in range(findings))
    monkeypatch.setattr("bot.run.judge", lambda *_arguments: found)


@pytest.mark.parametrize(("path", "lines"), [("db/migrations/1_x.sql", 3), ("app.py", 0), ("gone.sql", 0)])
def test_only_lines_that_the_pull_request_has_are_annotated(
    action: Action, monkeypatch: pytest.MonkeyPatch, path: str, lines: int
) -> None:
    found_many(monkeypatch, 5, path)
    pull = action.open_pull({"db/migrations/1_x.sql": "SELECT 1;\n" * 3})

    action.run_pull(pull, **BY_CHECK_RUN)

    run = action.check(pull.head_sha)
    assert (run.conclusion, len(run.annotations)) == ("success", lines)


def test_the_weightiest_findings_are_annotated_first(action: Action, monkeypatch: pytest.MonkeyPatch) -> None:
    order = [Severity.NOTICE] * 200 + [Severity.ERROR, Severity.WARNING]
    found = tuple(Finding("writes-blocked", severity, "so", "db/migrations/1_x.sql", 1) for severity in order)
    monkeypatch.setattr("bot.run.judge", lambda *_arguments: found)
    pull = action.open_pull({"db/migrations/1_x.sql": "SELECT 1;"})

    action.run_pull(pull, **BY_CHECK_RUN)

    levels = [said["annotation_level"] for said in action.check(pull.head_sha).annotations]
    assert levels == ["failure", "warning", *["notice"] * 198]


def test_what_is_already_told_is_not_told_again_and_what_is_new_is_a_new_check_run(action: Action) -> None:
    """A completed one would keep the annotations it had."""
    pull = action.open_pull({"app.py": "print()"})
    for _time in range(2):
        action.run_pull(pull, **BY_CHECK_RUN)
    assert len(action.github.writes) == 1

    action.run_pull(pull, fail_on="sometimes", **BY_CHECK_RUN)
    action.run_pull(pull, **BY_CHECK_RUN)

    assert [conclusion for _status, conclusion, _title in action.checks(pull.head_sha)] == ["success", "failure", "success"]


def test_a_job_of_the_same_name_is_not_ours(action: Action) -> None:
    pull = action.open_pull({"app.py": "print()"})
    job = CheckRun(77, pull.head_sha, BOT, "migration-rehearsal", "in_progress", "2026-01-01T00:00:00Z", external_id="a job's")
    action.repo.check_runs[job.id] = job

    for _time in range(2):
        action.run_pull(pull, **BY_CHECK_RUN)

    assert action.repo.check_runs[job.id] == job
    assert len(action.checks(pull.head_sha)) == 2


NOT_ALLOWED = {
    "a fork's": (Access(BOT, write=False), "mallory/shop", "a pull request from a fork gets a token that can only read"),
    "one that can only read": (Access(BOT, write=False), "octo/shop", "a check run needs `checks: write`"),
    "a person's": (Access("alice"), "octo/shop", "a check run needs `checks: write`"),
}


@pytest.mark.parametrize(("access", "head_repo", "said"), NOT_ALLOWED.values(), ids=NOT_ALLOWED.keys())
def test_a_token_that_may_make_no_check_run_is_no_failure(action: Action, access: Access, head_repo: str, said: str) -> None:
    action.github.tokens["lesser"] = access
    pull = action.open_pull(BAD, head_repo=head_repo)

    status, log = action.run_pull(pull, token="lesser", check="both")

    assert (status, action.checks(pull.head_sha)) == (1, [])
    assert said in log
    assert "::error file=db/migrations/1_email.sql,line=2" in log
    assert len(action.repo.statuses_of(pull.head_sha)) == (2 if access.write else 0)


@pytest.mark.parametrize("how", ["500", "502", "drop"])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_check_run_whose_answer_was_lost_is_made_once(
    action: Action, monkeypatch: pytest.MonkeyPatch, how: Any, when: Any, method: str
) -> None:
    """Also its annotations: GitHub adds those of each request to those that are there."""
    found_many(monkeypatch, 120)
    pull = action.open_pull({"db/migrations/1_x.sql": "SELECT 1;\n" * 120})
    action.github.fail(method, r"/check-runs", how=how, when=when)

    action.run_pull(pull, **BY_CHECK_RUN)

    assert [status for status, _conclusion, _title in action.checks(pull.head_sha)] == ["completed"]
    assert [said["start_line"] for said in action.check(pull.head_sha).annotations] == list(range(1, 121))


def test_a_cancelled_run_completes_its_check_run(action: Action, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_arguments: object, **_more: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bot.run.embedded_server", stop)
    pull = action.open_pull(GOOD)

    with pytest.raises(KeyboardInterrupt):
        action.run_pull(pull, **BY_CHECK_RUN)
    assert action.checks(pull.head_sha) == [("completed", "cancelled", "Cancelled before the rehearsal was done")]


def test_a_fault_after_the_beginning_ends_the_check_run_that_was_begun(action: Action, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_arguments: object, **_more: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("bot.run.embedded_server", stumble)
    pull = action.open_pull(GOOD)

    action.run_pull(pull, **BY_CHECK_RUN)

    ((status, conclusion, title),) = action.checks(pull.head_sha)
    assert (status, conclusion) == ("completed", "failure")
    assert "A fault of migration-rehearsal itself" in (title or "")


def test_whatever_becomes_of_the_check_run_the_rest_is_there(action: Action) -> None:
    pull = action.open_pull(BAD)
    action.github.fail("PATCH", r"/check-runs", how="422")

    with pytest.raises(GitHubError, match="422"):
        action.run_pull(pull, check="both")

    assert len(action.comments()) == 1
    assert action.status(pull.head_sha)[1] == "failure"


@pytest.mark.parametrize("beside", [{}, {".migration-rehearsal.toml": "large-table-rows = 5\n"}], ids=["", "with a team's file"])
def test_a_re_run_of_the_check_run_rehearses_anew(action: Action, journal_url: str, beside: dict[str, str]) -> None:
    action.base = action.repo.commit(BASE_FILES | beside, parent=action.base)
    action.repo.set_branch("main", action.base)
    pull = action.open_pull(GOOD | beside)
    action.run_pull(pull, journal_url=journal_url, **BY_CHECK_RUN)
    event = action.github.check_run_event(action.repo, action.check(pull.head_sha))

    status, log = action.run(event, "check_run", action.base, journal_url=journal_url, **BY_CHECK_RUN)

    assert status == 0
    assert "rehearse db/migrations/1_total.sql" in log
    assert [conclusion for _status, conclusion, _title in action.checks(pull.head_sha)] == ["success", "success"]
    assert len(action.comments()) == 1


@pytest.mark.parametrize(("name", "did"), [("lint", "rerequested"), ("migration-rehearsal", "completed")])
def test_other_check_runs_and_what_else_becomes_of_ours_are_ignored(action: Action, name: str, did: str) -> None:
    pull = action.open_pull(GOOD)
    run = CheckRun(77, pull.head_sha, BOT, name, "completed", "2026-01-01T00:00:00Z", "success", "2026-01-01T00:00:00Z")

    status, log = action.run(action.github.check_run_event(action.repo, run, did), "check_run")

    assert (status, action.github.requests) == (0, [])
    assert "Nothing to rehearse" in log
