"""The fake itself: what tests arrange and look at, and what becomes of each request."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Self

import pytest

from tests.contract.fake_github import handlers_read, handlers_write  # noqa: F401 - importing them registers them
from tests.contract.fake_github.calls import NOT_OURS, Answer, Api, Call, Handler, Refused, found, not_found, routed
from tests.contract.fake_github.events import Events
from tests.contract.fake_github.faults import Fault, How, When
from tests.contract.fake_github.objects import Objects
from tests.contract.fake_github.render import Render
from tests.contract.fake_github.server import Server
from tests.contract.fake_github.state import Repo, World
from tests.contract.fake_github.values import BOT, NOT_JSON, Access, Request
from tests.contract.openapi import AlsoAnswers, Errata, MayBeNull, load_contract

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

# Stands in for the repository of operations that have none, so that all others need not ask.
_NOWHERE = Repo(World(), "nobody/nowhere", None, 0, "2026-01-01T00:00:00Z", Objects())


class FakeGitHub(Events):
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
        self._server = Server(self.serve, self.problems)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.render = Render(self.url, self.server_url)
        self.api = Api(self.world, self.render)
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

    def add_repo(self, full_name: str) -> Repo:
        """A new, empty repository; opening a pull request from a fork makes the fork."""
        return self.world.add(full_name)

    def delete_repo(self, full_name: str) -> None:
        """Delete a repository; pull requests that came from it stay, with a head repository of null."""
        with self.world.lock:
            del self.world.repositories[full_name]

    def limit_trees(self, entries: int) -> None:
        """Truncate the listing of any tree after this many entries (GitHub: 100,000)."""
        self.api.most_tree_entries = entries

    def fail(
        self, method: str, path_regex: str, *, times: int = 1, when: When = "before", how: How = "500", retry_after: int = 0
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

    # What the server calls, once for each request

    def serve(self, request: Request, headers: Mapping[str, str]) -> Answer | None:
        """Record, then fail or answer a request, one at a time; None drops the connection.

        The names of the headers are in title case.
        """
        with self.world.lock:
            self._requests.append(request)
            self.api.rate.used += request.path != "/rate_limit"
            answer = self._answer_or_fail(request, headers)
            return answer and replace(answer, headers={**self.api.rate.headers(), **answer.headers})

    def _answer_or_fail(self, request: Request, headers: Mapping[str, str]) -> Answer | None:
        fault = next((each for each in self._faults if each.strikes(request.method, request.path)), None)
        if fault is None:
            return self._answer(request, headers)
        fault.times -= 1
        if fault.when == "after":
            self._answer(request, headers)
        return fault.answer()

    def record(self, request: Request, problems: Sequence[str]) -> None:
        """Keep what was wrong with a request or its answer."""
        self.problems += [f"{request.method} {request.path}: {problem}" for problem in problems]

    def _answer(self, request: Request, headers: Mapping[str, str]) -> Answer:
        """Check, answer, and check the answer."""
        meant = routed(request.method, request.path)
        if meant is None:
            self.record(request, ["the fake has no such operation"])
            return not_found().answer
        if media := _media_type_not_served(headers.get("Accept", "")):
            self.record(request, [f"the fake does not serve the media type {media}"])
            return Refused(415, "Unsupported 'Accept' header").answer
        known, params = meant
        if self._contract:
            body = None if request.body is NOT_JSON else request.body
            self.record(request, self._contract.check_request(known.method, known.template, params, request.query, body))
        answer = self._handled(known.handler, request, headers, params)
        if self._contract and answer.status != 500:  # a 500 is the fake's own failure, recorded already
            problems = self._contract.check_answer(known.method, known.template, answer.status, answer.body)
            self.record(request, problems)
        return answer

    def _handled(self, handler: Handler, request: Request, headers: Mapping[str, str], params: Mapping[str, str]) -> Answer:
        try:
            return handler(self._call(request, headers, params))
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
            return Call(self.api, request, access, params, _NOWHERE)
        repo = found(self.world.repositories, f"{params['owner']}/{params['repo']}")
        if request.method != "GET" and not access.write:
            raise Refused(403, NOT_OURS)
        if request.body is NOT_JSON:
            raise Refused(400, "Problems parsing JSON")
        return Call(self.api, request, access, params, repo)


def _media_type_not_served(accept: str) -> str | None:
    """The first media type that means something else than JSON (raw, diff, …), None when all is well."""
    other = re.search(r"application/vnd\.github\.(?:v3\.)?(?:raw|diff|patch|sha|object|html|text|full|base64)\b", accept)
    return other[0] if other else None


@pytest.fixture
def github() -> Iterator[FakeGitHub]:
    """A fake GitHub that lets the workflow's token "t" in; what it is asked and says must be as described."""
    with FakeGitHub() as gh:
        gh.tokens["t"] = Access(BOT)
        yield gh
    assert gh.problems == []
