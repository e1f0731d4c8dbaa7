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

In the order in which each builds on those before it: `values` that are kept, git's `objects`, the repositories
as `state`, how they `render` as GitHub's JSON, `calls` and the `handlers_…` of each operation, the `faults` and
`events` that tests ask for, the HTTP `server`, and `fake`, which holds it all. Every request and answer is checked
against GitHub's own description where that is at hand (see `openapi`); what it does not catch (lengths, authors,
conclusions) is enforced here by hand.
"""

from tests.contract.fake_github.calls import ROUTES
from tests.contract.fake_github.fake import ERRATA, FakeGitHub, github
from tests.contract.fake_github.faults import How, When
from tests.contract.fake_github.state import Repo
from tests.contract.fake_github.values import BOT, Access, CheckRun, Comment, Content, Pull, Request, Status, Submodule, Symlink

__all__ = [
    "BOT",
    "ERRATA",
    "ROUTES",
    "Access",
    "CheckRun",
    "Comment",
    "Content",
    "FakeGitHub",
    "How",
    "Pull",
    "Repo",
    "Request",
    "Status",
    "Submodule",
    "Symlink",
    "When",
    "github",
]
