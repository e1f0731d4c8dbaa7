"""A request on its way through a handler: what the handler asks of it, how it answers, and which handler it is."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlencode

from tests.contract.fake_github.objects import Commit
from tests.contract.fake_github.render import Render
from tests.contract.fake_github.state import Repo, World
from tests.contract.fake_github.values import Access, Json, Pull, Request

K = TypeVar("K")
T = TypeVar("T")

DOCS = "https://docs.github.com/rest"
NOT_OURS = "Resource not accessible by integration"


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


def not_found() -> Refused:
    """GitHub's 404."""
    return Refused(404, "Not Found")


def malformed(message: str) -> Refused:
    """GitHub's 422 about a body that is not as described."""
    return Refused(422, f"Invalid request.\n\n{message}")


def invalid(resource: str, name: str, message: str, code: str = "custom") -> Refused:
    """GitHub's 422 about one field."""
    return Refused(422, "Validation Failed", [{"resource": resource, "code": code, "field": name, "message": message}])


def found(kept: Mapping[K, T], key: K) -> T:
    """What is kept under a key, else 404."""
    if key not in kept:
        raise not_found()
    return kept[key]


@dataclass
class Rate:
    """How many requests were made, of how many."""

    used: int = 0
    limit: int = 5000

    def body(self) -> dict[str, int]:
        """As /rate_limit has it. It starts anew in real time, because clients compare that with their own clock."""
        reset = int(time.time()) + 3600
        return {"limit": self.limit, "remaining": self.limit - self.used, "used": self.used, "reset": reset}

    def headers(self) -> dict[str, str]:
        """As every answer has it."""
        counted = {f"X-RateLimit-{name.title()}": str(number) for name, number in self.body().items()}
        return {**counted, "X-RateLimit-Resource": "core"}


@dataclass
class Api:
    """What all handlers share."""

    world: World
    render: Render
    most_tree_entries: int = 100_000
    rate: Rate = field(default_factory=Rate)


@dataclass(frozen=True)
class Call:
    """One request on its way through a handler, its token and repository known to be good."""

    api: Api
    request: Request
    access: Access
    params: Mapping[str, str]
    repo: Repo

    @property
    def render(self) -> Render:
        """What turns things into JSON."""
        return self.api.render

    @property
    def world(self) -> World:
        """The clock and the ids."""
        return self.api.world

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters, as text."""
        return self.request.query

    @property
    def page(self) -> int:
        """The page that is asked for, from 1."""
        return max(1, self._whole("page", 1))

    def _whole(self, name: str, default: int) -> int:
        """A query parameter as a number; what is not one counts as absent, as on GitHub."""
        text = self.query.get(name, "")
        return int(text) if text.isdecimal() else default

    def number(self, name: str) -> int:
        """A path parameter that is a number; anything else is not found."""
        text = self.params[name]
        if not text.isdecimal():
            raise not_found()
        return int(text)

    def pull(self, name: str = "pull_number") -> Pull:
        """The pull request that a path parameter means."""
        return found(self.repo.pulls, self.number(name))

    @property
    def body(self) -> Json:
        """The body, which must be an object."""
        if not isinstance(self.request.body, dict):
            raise malformed("For 'properties', the body is not an object.")
        return self.request.body

    def text(self, name: str) -> str | None:
        """A member of the body that is text or absent."""
        value = self.body.get(name)
        if value is not None and not isinstance(value, str):
            raise malformed(f"For 'properties/{name}', {value!r} is not a string.")
        return value

    def required_text(self, name: str) -> str:
        """A member of the body that is text and must be there."""
        value = self.text(name)
        if value is None:
            raise malformed(f'"{name}" wasn\'t supplied.')
        return value

    def commit(self, ref: str) -> Commit:
        """The commit that a ref means."""
        return self.commit_named(self.repo.resolve(ref) or ref)

    def commit_named(self, sha: str) -> Commit:
        """The commit of a full SHA: where something is written, GitHub takes no branch's name."""
        if sha not in self.repo.objects.commits:
            raise Refused(422, f"No commit found for SHA: {sha}")
        return self.repo.objects.commits[sha]

    def paged(self, items: Sequence[T], default: int = 30, most: int = 100) -> tuple[Sequence[T], Json]:
        """The page of `items` that is asked for, and the Link header that leads to the others."""
        page = self.page
        size = min(most, max(1, self._whole("per_page", default)))
        last = max(1, -(-len(items) // size))
        after = page < last
        near = {"prev": page - 1, "next": (page + 1) * after, "last": last * after, "first": int(page > 1)}  # 0 is none
        address = self.render.api + self.request.path
        links = [f'<{address}?{urlencode({**self.query, "page": to})}>; rel="{name}"' for name, to in near.items() if to]
        return items[(page - 1) * size : page * size], {"Link": ", ".join(links)} if links else {}

    def listed(self, items: Sequence[T], render: Callable[[Repo, T], Json]) -> Answer:
        """A page of items as an array."""
        page, links = self.paged(items)
        return Answer(200, [render(self.repo, item) for item in page], links)


Handler = Callable[[Call], Answer]


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
