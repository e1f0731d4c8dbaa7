"""Sending one call to its upstream, and its answer on to the caller. The door of httpx, of which only the transport is used: a
client would add headers, keep cookies and tell URLs to the log.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

from bot.errors import EffectError
from bot.journal.steps import Json
from bot.sidecar.asking import SAFE, Call, RawHeaders, end_to_end, read_again, value_of
from bot.sidecar.options import Options
from bot.sidecar.refusals import IN_DOUBT, NOT_DONE, RefusedError, TransportError
from bot.sidecar.threads import Pipe


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of an answer. `state`: what it says of the call, None where it is final."""

    status: int
    headers: RawHeaders = field(repr=False)
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Where in the journal a call stands."""

    run_id: uuid.UUID
    number: int


Part = bytes | tuple[Mark, Start]  # what can be passed on before the end


class AnswerError(EffectError):
    """The upstream answered with a status that does not settle the call; the answer is passed on all the same."""


class _Body(httpx.SyncByteStream):
    """A spooled body, as the transport wants it."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._chunks


class Upstream:
    """The connections to all upstreams; may be used by many threads."""

    def __init__(self, options: Options) -> None:
        limits = httpx.Limits(max_connections=options.calls_at_once, max_keepalive_connections=20, keepalive_expiry=5.0)
        # The certificates of SSL_CERT_FILE or SSL_CERT_DIR, else those that httpx brings; but no proxy from the environment.
        self._transport = httpx.HTTPTransport(verify=httpx.create_ssl_context(), trust_env=False, limits=limits)
        self._timeouts = {
            "connect": options.connect_timeout_s,
            "pool": options.connect_timeout_s,
            "read": options.upstream_timeout_s,
            "write": options.upstream_timeout_s,
        }

    @contextmanager
    def asked(self, call: Call, key: str) -> Iterator[httpx.Response]:
        """Sends a call with its idempotency key; gives the answer, whose body is yet to come. Raises TransportError, also for
        what happens in the block.
        """
        try:
            request = httpx.Request(
                call.method,
                str(call.target.origin),
                headers=_headers(call, key),
                stream=_Body(read_again(call.body)),
                extensions={"timeout": self._timeouts, "target": call.target.line.encode()},
            )
            response = self._transport.handle_request(request)
            try:
                yield response
            finally:
                response.close()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise _explained(error, call) from error

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()


class Firing:
    """Fires one call, as the journal's step does it: `fire(key)`. `start` and `last` are then what the caller has not got yet:
    the end of an answer is kept back until the journal has it.
    """

    def __init__(self, call: Call, upstream: Upstream, pipe: Pipe[Part], options: Options, *, keep_back: bool) -> None:
        self._call, self._upstream, self._pipe, self._options = call, upstream, pipe, options
        self._keep_back = keep_back
        self.mark: Mark | None = None
        self._kept: bytearray | None = bytearray()
        self._size = 0
        self.start: Start | None = None
        self.last = bytearray()
        self.fired, self.begun, self.seconds = False, False, 0.0

    def __call__(self, key: str) -> Json:
        """Gives what the journal keeps. Raises TransportError, AnswerError."""
        began = time.monotonic()
        self.fired = True
        try:
            with self._upstream.asked(self._call, key) as response:
                self.start = self._started(response)
                assert isinstance(response.stream, httpx.SyncByteStream)  # noqa: S101  the transport is
                for chunk in response.stream:
                    self._take(chunk)
        finally:
            self.seconds = time.monotonic() - began
        if self.start.state:
            what = f"The upstream answered with {self.start.status}."
            raise AnswerError(what, not_done=self.start.state == NOT_DONE)
        return stored(self.start, self._size, self._kept)

    def _started(self, response: httpx.Response) -> Start:
        status, options = response.status_code, self._options
        if not 200 <= status <= 599:
            raise TransportError(f"The upstream answered with the status {status}, which is none of HTTP.", status=502)
        state = NOT_DONE if status in options.not_done else IN_DOUBT if status in options.in_doubt else None
        headers = end_to_end(response.headers.raw)
        if value_of(response.headers.raw, "transfer-encoding") is not None:  # the length is then no length (RFC 9112, 6.3)
            headers = [(name, value) for name, value in headers if name.lower() != b"content-length"]
        self._keep_back = self._keep_back and value_of(headers, "content-length") is None
        return Start(status, headers, state)

    def _take(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > self._options.max_response:
            self._kept = None
        elif self._kept is not None:
            self._kept += chunk
        if self._keep_back and self._kept is not None:
            self.last += chunk
            return
        if self.last:
            self._pass_on(bytes(self.last))
        self.last = bytearray(chunk)

    def _pass_on(self, chunk: bytes) -> None:
        if not self.begun and self.start and self.mark:
            self.begun = True
            self._pipe.put((self.mark, self.start))
        self._pipe.put(chunk)


def stored(start: Start, size: int, body: bytes | bytearray | None) -> Json:
    """An answer as the journal keeps it; of a body that is too large only the size."""
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in start.headers]
    kept = {"bytes": size} if body is None else {"body": base64.b64encode(body).decode()}
    return {"status": start.status, "headers": headers, **kept}


def restored(response: Json) -> tuple[Start, bytes]:
    """What the journal kept -> the answer. Raises RefusedError if it kept no body."""
    if "body" not in response:
        raise RefusedError(
            f"The call is done, and its answer of {response['bytes']} bytes was not kept.",
            why="It was larger than the sidecar's --max-response.",
            advice="Ask the upstream for what the call made; or begin a new run with a larger --max-response.",
            status=409,
            code="not-kept",
        )
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in response["headers"]]
    return Start(response["status"], headers), base64.b64decode(response["body"])


def _headers(call: Call, key: str) -> list[tuple[bytes, bytes]]:
    headers = [(b"host", call.target.origin.authority.encode()), *call.headers]
    if call.body.present:
        headers.append((b"content-length", str(call.body.size).encode()))
    if call.asked.key or call.method not in SAFE:
        headers.append((b"idempotency-key", key.encode()))
    return headers


def _explained(error: httpx.HTTPError | httpx.InvalidURL, call: Call) -> TransportError:
    """What went wrong on the way. The library's own words are left out, as they may quote what was sent."""
    where, kind = f"{call.target.origin}", type(error).__name__
    if isinstance(error, httpx.PoolTimeout):
        return TransportError(f"No connection to {where} was free in time.", why=kind, status=504, not_done=True)
    if isinstance(error, httpx.ConnectTimeout):
        return TransportError(f"{where} did not accept a connection in time.", why=kind, status=504, not_done=True)
    if isinstance(error, httpx.ConnectError):
        return TransportError(f"{where} could not be reached; nothing was sent.", why=_reason(error), status=502, not_done=True)
    if isinstance(error, httpx.TimeoutException):
        return TransportError(f"{where} did not answer in time.", why=kind, status=504)
    return TransportError(f"The connection to {where} broke before the answer was complete.", why=kind, status=502)


def _reason(error: httpx.ConnectError) -> str:
    """Of a connection that was never made, what the system says holds nothing of the request."""
    return str(error) or type(error).__name__
