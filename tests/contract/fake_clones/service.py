"""What the fakes share: HTTP in front, a contract on both ways, a clock, misbehaviour, and real databases behind."""

from __future__ import annotations

import copy
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, ClassVar, NamedTuple, Self, TypeVar
from urllib.parse import unquote

from tests.contract.fake_clones.misbehaviour import (
    Broken,
    Delayed,
    Dropped,
    Extra,
    Fail,
    Lost,
    Misbehaviour,
    Slow,
    Without,
    put_in,
    taken_out,
)
from tests.contract.fake_clones.postgres import Cluster, Database
from tests.contract.fake_github.calls import Answer
from tests.contract.fake_github.server import Server
from tests.contract.fake_github.values import NOT_JSON, Request
from tests.contract.openapi import NO_ERRATA, Contract, Errata, Json, load_contract

SECRET_HEADERS = frozenset({"Authorization", "Verification-Token"})

K = TypeVar("K")
T = TypeVar("T")
M = TypeVar("M", bound=Misbehaviour)


class Refused(Exception):  # noqa: N818 - an answer on its way out, not a failure of ours
    """Ends a handler with one of the service's errors; `retry_after` is in seconds."""

    def __init__(self, status: int, code: str, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.retry_after = status, code, message, retry_after


@dataclass(frozen=True)
class Seen:
    """One call, for a test to look at: secrets in its headers are written as `hidden`."""

    operation: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


class Route(NamedTuple):
    """An operation: `name` is what tests call it, `template` the path as the description writes it, `takes` what of all
    misbehaviour only some know.
    """

    name: str
    method: str
    template: str
    pattern: re.Pattern[str]
    handler: Callable[[Any, Call], Answer]
    takes: tuple[type[Misbehaviour], ...]


@dataclass(frozen=True)
class Call:
    """One request on its way through a handler."""

    request: Request
    headers: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    plan: tuple[Misbehaviour, ...] = ()

    def planned(self, kind: type[M]) -> M | None:
        """The misbehaviour of a kind that a test ordered for this call."""
        return next((each for each in self.plan if isinstance(each, kind)), None)

    @property
    def bearer(self) -> str | None:
        """The token after `Bearer`, if there is one."""
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        return token if scheme.lower() == "bearer" else None


@dataclass(frozen=True)
class Limit:
    """No more than `most` calls in `seconds`, of all routes together or of each."""

    most: int
    seconds: float
    each_route: bool = False


Handler = Callable[[T, Call], Answer]


def operation(
    name: str, method: str, template: str, takes: tuple[type[Misbehaviour], ...] = ()
) -> Callable[[Handler[T]], Handler[T]]:
    """Mark the decorated method as what answers an operation."""
    pattern = re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))

    def mark(handler: Handler[T]) -> Handler[T]:
        handler.__dict__["route"] = Route(name, method, template, pattern, handler, takes)
        return handler

    return mark


class Service:
    """A service for the length of a `with` block; a client is pointed at `url`.

    `calls` is what was asked, `problems` whatever was not as described, `databases()` what it handed out and still is there.
    """

    name: ClassVar[str]
    prefix: ClassVar[str] = ""
    errata: ClassVar[Errata] = NO_ERRATA
    limits: tuple[Limit, ...] = ()
    routes: ClassVar[tuple[Route, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls.routes = tuple(each.route for each in vars(cls).values() if hasattr(each, "route"))

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.url = ""
        self.retry_after = 0  # seconds, in every answer that says when to come back
        self.problems: list[str] = []
        self._calls: list[Seen] = []
        self._made: list[Database] = []
        self._names: set[str] = set()  # of all that was ever made
        self._orders: list[tuple[str, tuple[Misbehaviour, ...]]] = []
        self._ahead = timedelta()
        self._passed: list[tuple[str, datetime]] = []
        self._lock = threading.RLock()
        self._hurry = threading.Event()
        self._numbers = 0
        self._contract = self.described()

    def __enter__(self) -> Self:
        self._server = Server(self._serve, self.problems)
        self.url = f"http://127.0.0.1:{self._server.server_port}{self.prefix}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), name=f"fake-{self.name}")
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.hasten()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()  # waits for the threads of the connections just closed
        self.close()
        while self._made:  # the latest first: roles may depend on those before
            self.cluster.drop(self._made.pop())

    # What each service has of its own

    def described(self) -> Contract | None:
        """What requests and answers are held to; None where the description is absent."""
        return load_contract(self.name, self.errata)

    def error(self, status: int, code: str, message: str, retry_after: int | None) -> Json:
        """The body of an error."""
        raise NotImplementedError

    def sweep(self) -> None:
        """Let go of what has had its time."""

    def close(self) -> None:
        """Let go of what a service holds beside its databases."""

    def respond(self, call: Call, route: Route) -> Answer:
        """Answer a call that nothing kept from being heard."""
        return self.fail_or(call, route)

    def is_lost(self, call: Call) -> bool:
        """Whether the connection is closed in place of the answer."""
        return call.planned(Lost) is not None

    def answered(self, call: Call) -> None:
        """Told when an answer leaves, or is lost."""

    # What tests arrange

    def next(self, operation: str, *what: Misbehaviour, times: int = 1) -> None:
        """How the next calls of an operation go; all of `what` together, for each of them."""
        routes = {route.name: route for route in self.routes}
        if operation not in routes:
            raise LookupError(f"{self.name} has no operation {operation}: {', '.join(routes)}")
        kinds = {type(each) for each in what} & {Slow, Broken}
        if unable := kinds - set(routes[operation].takes):
            raise LookupError(f"{operation} of {self.name} can't be {unable.pop().__name__}")
        with self._lock:
            self._orders += [(operation, what)] * times

    def hasten(self) -> None:
        """Send every delayed answer now, and delay none from now on."""
        self._hurry.set()

    def later(self, **by: float) -> None:
        """Let time pass (as of timedelta: `hours=24`)."""
        with self._lock:
            self._ahead += timedelta(**by)
            self.sweep()

    def kill(self, database: Database) -> None:
        """Let a clone die under whoever is in it; the service may not know."""
        self.cluster.kill(database)

    # What tests look at

    @property
    def calls(self) -> list[Seen]:
        """Every call so far, those that were made to fail too."""
        with self._lock:
            return list(self._calls)

    def called(self, *operations: str) -> list[Seen]:
        """The calls of some operations."""
        return [call for call in self.calls if call.operation in operations]

    def databases(self) -> list[Database]:
        """What was handed out and is there, as the server itself says."""
        with self._lock:
            names = self.cluster.names()
            return [made for made in self._made if made.name in names]

    def left(self) -> frozenset[str]:
        """The databases and roles that were ever made and are there, handed out or not: none once the fake is ended."""
        return self.cluster.names() & self._names

    def take_problems(self) -> list[str]:
        """The problems so far, which are then forgotten: a test expected them."""
        with self._lock:
            taken, self.problems[:] = list(self.problems), []
            return taken

    # What the services use

    def now(self) -> datetime:
        """The time here."""
        return datetime.now(UTC) + self._ahead

    def stamp(self, moment: datetime | None = None) -> str:
        """A time as JSON has it; without one, now."""
        return (moment or self.now()).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def number(self) -> int:
        """A number that no other thing here has."""
        self._numbers += 1
        return self._numbers

    def make(self, *, template: str | None = None, most_connections: int = -1, is_open: bool = True) -> Database:
        """A database, which is gone with the fake at the latest."""
        made = self.cluster.create(template=template, most_connections=most_connections, is_open=is_open)
        self._made.append(made)
        self._names |= {made.name, f"@{made.role}"}
        return made

    def unmake(self, database: Database) -> None:
        """Drop a database before that."""
        self.cluster.drop(database)
        self._made.remove(database)

    # A request on its way

    def _serve(self, request: Request, headers: Mapping[str, str]) -> Answer | None:
        with self._lock:
            route, call = self._routed(request, headers)
            self._calls.append(_seen(route.name if route else "", call))
            answer = None if call.planned(Dropped) else self._checked(call, route)
        if delay := call.planned(Delayed):
            self._hurry.wait(delay.seconds)
        with self._lock:
            self.answered(call)
        return None if self.is_lost(call) else answer

    def _routed(self, request: Request, headers: Mapping[str, str]) -> tuple[Route | None, Call]:
        path = request.path.removeprefix(self.prefix) if request.path.startswith(self.prefix + "/") else ""
        for route in self.routes:
            match = route.pattern.fullmatch(path)
            if match and route.method == request.method:
                params = {name: unquote(text) for name, text in match.groupdict().items()}
                return route, Call(request, headers, params, self._ordered(route.name))
        return None, Call(request, headers)

    def _ordered(self, name: str) -> tuple[Misbehaviour, ...]:
        for at, (operation, what) in enumerate(self._orders):
            if operation == name:
                del self._orders[at]
                return what
        return ()

    def _checked(self, call: Call, route: Route | None) -> Answer:
        """Check the request, answer, check the answer; then spoil it, if that was ordered."""
        if route is None:
            self.record(call, ["the fake has no such operation"])
            return self.refusal(Refused(404, "not_found", "There is no such operation."))
        self.record(call, self._wrong_with(call, route))
        answer = self._handled(call, route)
        fault = call.planned(Fail)
        ours = answer.status == 500 and fault is None  # recorded already
        if self._contract and not ours and not (fault and fault.body is not None):
            self.record(call, self._contract.check_answer(route.method, route.template, answer.status, answer.body))
        return self._spoilt(call, route, answer)

    def _wrong_with(self, call: Call, route: Route) -> list[str]:
        request, kind = call.request, call.headers.get("Content-Type", "")
        found = ["a body that is not sent as application/json"] if request.body is not None and not _is_json(kind) else []
        if request.body is NOT_JSON:
            found.append("a body that is not JSON")
        if self._contract:
            body = None if request.body is NOT_JSON else request.body
            found += self._contract.check_request(route.method, route.template, call.params, request.query, body, call.headers)
        return found

    def _handled(self, call: Call, route: Route) -> Answer:
        try:
            self._let_pass(route)
            self.sweep()
            return self.respond(call, route)
        except Refused as refused:
            return self.refusal(refused)
        except Exception as error:  # noqa: BLE001 - a bug in the fake must fail the test, not hang its client
            self.record(call, [f"the fake failed: {error!r}"])
            return Answer(500, self.error(500, "", "The fake failed.", None))

    def _let_pass(self, route: Route) -> None:
        """Refuse what comes too often."""
        now = self.now()
        self._passed.append((route.name, now))
        for limit in self.limits:
            since = now - timedelta(seconds=limit.seconds)
            if sum(at > since and (not limit.each_route or name == route.name) for name, at in self._passed) > limit.most:
                raise Refused(429, "rate_limited", "Too many requests.", self.retry_after)

    def fail_or(self, call: Call, route: Route) -> Answer:
        """The failure that was ordered, else what the handler answers."""
        fault = call.planned(Fail)
        if fault is None:
            if call.request.body is not None and not isinstance(call.request.body, dict):
                raise Refused(400, "", "The body is no JSON object.")
            return route.handler(self, call)
        wait = self.retry_after if fault.retry_after is None and fault.status in {429, 503} else fault.retry_after
        answer = self.refusal(Refused(fault.status, fault.code, f"This was ordered: {fault.status}.", wait))
        body = answer.body if fault.body is None else fault.body
        return replace(answer, body=body, headers={**answer.headers, **fault.headers})

    def refusal(self, refused: Refused) -> Answer:
        """An error as the service says it."""
        body = self.error(refused.status, refused.code, refused.message, refused.retry_after)
        wait = {} if refused.retry_after is None else {"Retry-After": str(refused.retry_after)}
        return Answer(refused.status, body, wait)

    def _spoilt(self, call: Call, route: Route, answer: Answer) -> Answer:
        without = [each for each in call.plan if isinstance(each, Without)]
        body = copy.deepcopy(answer.body)
        for wish in without:
            taken_out(body, wish)
        if without and self._contract:
            problems = self._contract.check_answer(route.method, route.template, answer.status, body)
            self.record(call, [f"not optional: {problem}" for problem in problems])
        for each in call.plan:
            if isinstance(each, Extra):
                put_in(body, each)
        return replace(answer, body=body)

    def record(self, call: Call, problems: Sequence[str]) -> None:
        """Keep what was wrong with a request or its answer."""
        self.problems += [f"{self.name}: {call.request.method} {call.request.path}: {problem}" for problem in problems]


def _seen(name: str, call: Call) -> Seen:
    headers = {key: "hidden" if key in SECRET_HEADERS else text for key, text in call.headers.items()}
    request = call.request
    return Seen(name, request.method, request.path, dict(request.query), headers, copy.copy(request.body))


def _is_json(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() == "application/json"


def found(kept: Mapping[K, T], key: K, what: str) -> T:
    """What is kept under a key, else 404."""
    if key not in kept:
        raise Refused(404, "not_found", f"{what} not found")
    return kept[key]
