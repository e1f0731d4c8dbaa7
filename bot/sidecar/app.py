"""The sidecar's HTTP side: who may ask, what a request says, and an answer that is never whole before the journal has it."""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
from collections.abc import Callable
from datetime import UTC

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bot.errors import FaultError, JournalError, RehearsalError
from bot.journal.runs import Journal
from bot.sidecar.asking import Call, forwarded, read_headers, spool, value_of
from bot.sidecar.calls import Calls, Ending, Place
from bot.sidecar.firing import Mark, Part, Start
from bot.sidecar.metrics import CONTENT_TYPE, NO_UPSTREAM, Metrics
from bot.sidecar.options import Options
from bot.sidecar.refusals import RefusedError, StoppedError, problem
from bot.sidecar.threads import Pipe, in_thread

Say = Callable[[str], None]
_OPEN = (b"/healthz", b"/metrics")  # they tell nothing of a call


class _BrokenError(Exception):
    """An answer that was begun can't be ended: the server closes the connection, so that nobody takes it for whole."""


class App:
    """One ASGI application. `say` is told of our own faults; nothing of a call is ever logged."""

    def __init__(self, options: Options, journal: Journal, say: Say) -> None:
        self._options, self._journal, self._say = options, journal, say
        self._metrics = Metrics()
        self.calls = Calls(journal, options, self._metrics)
        self._asked_for_health: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        request = Request(scope, receive)
        try:
            _refuse_strangers(request, self._options)
            if scope["raw_path"] == b"/healthz":
                await (await self._health())(scope, receive, send)
            elif scope["raw_path"] == b"/metrics":
                await Response(self._metrics.text(), media_type=CONTENT_TYPE)(scope, receive, send)
            else:
                with self._metrics.in_flight.track_inprogress():
                    await self._forward(request, send)
        except RefusedError as error:
            self._metrics.failed(NO_UPSTREAM, error)
            await _tell(error, request, send)
        except ClientDisconnect:
            pass  # before its request was whole: there is no call

    async def _health(self) -> Response:
        """One question to the journal for all who ask at the same time."""
        if self._asked_for_health is None or self._asked_for_health.done():
            self._asked_for_health = asyncio.create_task(in_thread(self._journal.store.ping))
        try:
            await asyncio.shield(self._asked_for_health)
        except JournalError as error:
            return _response(error)
        return Response("the journal answers\n")

    async def _forward(self, request: Request, send: Send) -> None:
        call = await self._read(request)
        try:
            ending = await self._made(call, request, send)
            self._metrics.answered(call.target.label, ending.start.state, replayed=ending.replayed)
            await _send_rest(ending, send)
        except RehearsalError as error:
            self._failed(call, error)
            await _tell(error, request, send)
        finally:
            call.body.file.close()

    async def _made(self, call: Call, request: Request, send: Send) -> Ending:
        """Makes a call, and passes on what comes before its end. Raises RehearsalError, as long as nothing was passed on."""
        place = await self.calls.place(call)
        pipe: Pipe[Part] = Pipe(self._options.caller_stall_s)
        working = asyncio.create_task(self._work(call, place, pipe, keep_back=request.scope["http_version"] == "1.0"))
        watching = asyncio.create_task(_watch(request, pipe, place))
        begun = False
        try:
            async for part in pipe:
                await _send_part(part, send)
                begun = True
            ending = await working
        except asyncio.CancelledError:  # the server stops, and has waited long enough
            if begun:
                raise
            raise StoppedError from None
        except RehearsalError as error:
            if not begun:
                raise
            self._failed(call, error)
            raise _BrokenError from error
        finally:
            watching.cancel()
            working.cancel()
        if pipe.gone:
            place.leave_open()
        if pipe.gone and ending.begun:
            raise _BrokenError
        return ending

    async def _work(self, call: Call, place: Place, pipe: Pipe[Part], *, keep_back: bool) -> Ending:
        try:
            return await self.calls.make(call, place, pipe, keep_back=keep_back)
        finally:
            await pipe.end()

    async def _read(self, request: Request) -> Call:
        """A request, read to its end. Raises RefusedError, ClientDisconnect."""
        raw = request.headers.raw
        _refuse_tunnels(request)
        target = self._options.upstreams.find(request.scope["raw_path"], request.scope["query_string"])
        asked = read_headers(raw)
        body = await spool(request.stream(), raw, self._options.max_body)
        content_type = (value_of(raw, "content-type") or b"").decode("latin-1")
        return Call(asked, request.method, target, forwarded(raw), content_type, body)

    def _failed(self, call: Call, error: RehearsalError) -> None:
        """Counts an answer of our own."""
        self._metrics.failed(call.target.label, error)
        if isinstance(error, FaultError):
            for line in error.lines():
                self._say(line)


# ── Who may ask, and for what ────────────────────────────────────────────────────────────────────────────────────────────────


def _refuse_strangers(request: Request, options: Options) -> None:
    """Raises RefusedError. With a token, whoever knows it may ask. Without one, whoever is on this machine: but no page in a
    browser here whose site lets its name resolve to our address.
    """
    raw, path = request.headers.raw, request.scope["raw_path"]
    if options.token is not None:
        given = value_of(raw, "journal-token") or b""
        if path not in _OPEN and not hmac.compare_digest(given, options.token.encode()):
            raise RefusedError(
                "The header Journal-Token is missing or wrong.", advice="Send the sidecar's token.", status=401, code="token"
            )
        return
    host = value_of(raw, "host")
    if path.startswith(b"/") and host is not None and not is_host_of_ours(host.decode("latin-1"), options.host):
        raise RefusedError(
            "The header Host names another machine.",
            why="Without a token only an address, localhost or the name that the sidecar listens on will do.",
            advice="Call it by its address.",
            status=421,
            code="host",
        )


def is_host_of_ours(header: str, listening: str) -> bool:
    """Whether a Host header is an address, localhost, or the name that we listen on."""
    found = re.fullmatch(r"(?P<name>\[[0-9a-fA-F:.]+\]|[^:\[\]]+)(:[0-9]*)?", header.strip())
    if not found:
        return False
    name = found["name"].lower()
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return name in ("localhost", listening.lower())
    return True


def _refuse_tunnels(request: Request) -> None:
    """Raises RefusedError for what would be no call with one answer."""
    upgrade = (value_of(request.headers.raw, "upgrade") or b"").strip().lower()
    if request.method == "CONNECT" or upgrade not in (b"", b"h2c"):  # a server may go on without h2c (RFC 9110, 7.8)
        raise RefusedError(
            "The sidecar makes no tunnels.",
            why="A call has one request and one answer; what goes through CONNECT or a WebSocket can't be journaled.",
            advice="Call it by its name, /<upstream>/<path>, or by its URL, /https://<host>/<path>.",
            status=501,
            code="tunnel",
        )


async def _watch(request: Request, pipe: Pipe[Part], place: Place) -> None:
    """Waits for the caller to go. Its call goes on, and is found by the same call asked again."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    place.leave_open()
    pipe.leave()


# ── Answers ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _send_part(part: Part, send: Send) -> None:
    if isinstance(part, bytes):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    else:
        mark, start = part
        await send({"type": "http.response.start", "status": start.status, "headers": _marked(mark, start)})


async def _send_rest(ending: Ending, send: Send) -> None:
    """What the caller has not got yet: the journal has it now."""
    if not ending.begun:
        headers = _marked(ending.mark, ending.start, replayed=ending.replayed)
        if ending.made_at:
            headers.append((b"Journal-Completed-At", ending.made_at.astimezone(UTC).isoformat(timespec="milliseconds").encode()))
        await send({"type": "http.response.start", "status": ending.start.status, "headers": headers})
    await send({"type": "http.response.body", "body": ending.body, "more_body": False})


def _marked(mark: Mark, start: Start, *, replayed: bool = False) -> list[tuple[bytes, bytes]]:
    """An upstream's headers, and what the journal knows."""
    headers = [
        *start.headers,
        (b"Journal-Replayed", b"true" if replayed else b"false"),
        (b"Journal-Run-Id", str(mark.run_id).encode()),
        (b"Journal-Step", str(mark.number).encode()),
    ]
    return [*headers, (b"Journal-State", start.state.encode())] if start.state else headers


async def _tell(error: RehearsalError, request: Request, send: Send) -> None:
    await _response(error)(request.scope, request.receive, send)


def _response(error: RehearsalError) -> Response:
    told = problem(error)
    response = Response(told.body, told.status)
    response.raw_headers.extend(told.headers)
    return response
