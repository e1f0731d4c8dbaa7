"""Events, as a workflow finds them at GITHUB_EVENT_PATH."""

from __future__ import annotations

from collections.abc import Mapping

from tests.contract.fake_github.objects import email_of
from tests.contract.fake_github.render import Render
from tests.contract.fake_github.state import Repo
from tests.contract.fake_github.values import CheckRun, Json, Pull


class Events:
    """The payloads that a fake GitHub makes."""

    render: Render

    def pull_request_event(self, repo: Repo, pull: Pull, action: str = "synchronize") -> Json:
        """The payload of `pull_request` and `pull_request_target`."""
        pushed = {"before": pull.previous_head_sha, "after": pull.head_sha} if action == "synchronize" else {}
        event: Json = {"action": action, "number": pull.number, "pull_request": self.render.pull(repo, pull), **pushed}
        for side in ("head", "base"):
            if nested := event["pull_request"][side]["repo"]:
                nested["custom_properties"] = {}
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

    def check_run_event(self, repo: Repo, run: CheckRun, action: str = "rerequested") -> Json:
        """The payload of `check_run`: somebody pressed "Re-run" beside it."""
        return {"action": action, "check_run": self.render.check_run(repo, run), **self._event_base(repo, "alice")}

    def workflow_dispatch_event(self, repo: Repo, *, inputs: Mapping[str, str] | None = None) -> Json:
        """The payload of `workflow_dispatch`; a workflow without inputs gets null."""
        return {
            "inputs": dict(inputs) if inputs is not None else None,
            "ref": f"refs/heads/{repo.default_branch}",
            "workflow": ".github/workflows/rehearsal.yml",
            **self._event_base(repo, "alice"),
        }

    def _event_base(self, repo: Repo, sender: str) -> Json:
        nested = {**self.render.repository(repo), "custom_properties": {}}
        return {"repository": nested, "sender": self.render.user(sender)}
