"""A caller's request, read: which call of which run it is, and what is to be sent on."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import AsyncIterable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import IO

from bot.journal.steps import Json, Step, digest
from bot.sidecar.refusals import RefusedError
from bot.sidecar.upstreams import Target

RawHeaders = Sequence[tuple[bytes, bytes]]

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_IN_MEMORY = 2**20
# Of one connection, not of the message (RFC 9110, 7.6.1); and what we make anew.
_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade"
    b" http2-settings".split()
)
_OURS = frozenset(b"host content-length expect idempotency-key".split())
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class Asked:
    """What a caller's headers say. Without `step` calls are numbered for each `attempt`; `key`: its own idempotency key."""

    run: str
    step: int | None
    attempt: str | None
    name: str | None
    repeat: bool
    key: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body, spooled; `present`: whether there was one, be it empty."""

    file: IO[bytes] = field(repr=False)
    size: int
    sha256: str
    present: bool


@dataclass(frozen=True, slots=True)
class Call:
    """One call, read to its end. `headers` are what the upstream gets; none of them counts for what call it is, except the
    content type.
    """

    asked: Asked
    method: str
    target: Target
    headers: RawHeaders = field(repr=False)
    content_type: str
    body: Body

    @property
    def name(self) -> str:
        """What the journal calls it: never with path or query, which may hold credentials."""
        return self.asked.name or f"{self.method} {self.target.origin}"

    @property
    def request(self) -> Json:
        """What decides its effect."""
        return {"method": self.method, "url": self.target.url, "content_type": self.content_type, "body": self.body.sha256}

    @property
    def digest(self) -> str:
        """The same for the same call."""
        return digest([self.name, self.request])

    def step(self, number: int) -> Step:
        """The call as the journal's step. A response may hold anything, so it is always sealed."""
        repeatable = self.method in SAFE or self.asked.repeat
        return Step(number, self.name, self.request, repeatable=repeatable, secret=True, key=self.asked.key)


def read_headers(headers: RawHeaders) -> Asked:
    """Raises RefusedError."""
    run = _text(headers, "Journal-Run")
    if run is None:
        raise _bad("The header Journal-Run is missing.", "Send a name for the run; the same one when the run is tried again.")
    step, attempt = _text(headers, "Journal-Step"), _text(headers, "Journal-Attempt")
    if step is not None and not re.fullmatch(r"[1-9][0-9]{0,8}", step):
        raise _bad("Journal-Step is not a number from 1 on.", "Number the calls of the run 1, 2, 3, …")
    in_doubt = (_text(headers, "Journal-In-Doubt") or "refuse").lower()
    if in_doubt not in ("repeat", "refuse"):
        raise _bad("Journal-In-Doubt is neither repeat nor refuse.", "Say repeat if twice does no harm.")
    return Asked(
        run=run,
        step=int(step) if step else None,
        attempt=attempt,
        name=_text(headers, "Journal-Name"),
        repeat=in_doubt == "repeat",
        key=_text(headers, "Idempotency-Key"),
    )


def value_of(headers: RawHeaders, name: str) -> bytes | None:
    """A header's first value."""
    return next((value for key, value in headers if key.lower() == name.lower().encode()), None)


def _text(headers: RawHeaders, name: str) -> str | None:
    values = [value for key, value in headers if key.lower() == name.lower().encode()]
    if len(values) > 1:
        raise _bad(f"The header {name} is there more than once.", "Send it once.")
    if not values or not values[0].strip():
        return None
    try:
        text = values[0].decode("utf-8").strip()
    except UnicodeDecodeError:
        raise _bad(f"The header {name} is not UTF-8.", "Keep to ASCII.") from None
    if len(text) > _LONGEST or not text.isprintable():
        raise _bad(
            f"The header {name} has more than {_LONGEST} characters, or some that can't be printed.", "Send a shorter one."
        )
    return text


def forwarded(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """The headers that go on to the upstream, in their order."""
    return [(key, value) for key, value in end_to_end(headers) if key.lower() not in _OURS]


def end_to_end(headers: RawHeaders) -> list[tuple[bytes, bytes]]:
    """Headers of a message without those of its connection, those that it names as such, and the journal's own."""
    named = {
        token.strip().lower() for key, value in headers if key.lower() == b"connection" for token in value.split(b",")
    }  # fmt: skip
    drop = _HOP | named
    return [(key, value) for key, value in headers if key.lower() not in drop and not key.lower().startswith(b"journal-")]


async def spool(chunks: AsyncIterable[bytes], headers: RawHeaders, limit: int) -> Body:
    """Reads a body to its end, to memory and then to a file without a name. Raises RefusedError if it is too large."""
    announced = value_of(headers, "content-length")
    _check_size(int(announced or 0), limit)
    file: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  whoever gets it closes it
    seen, size = hashlib.sha256(), 0
    try:
        async for chunk in chunks:
            size += len(chunk)
            _check_size(size, limit)
            seen.update(chunk)
            file.write(chunk)
    except BaseException:
        file.close()
        raise
    present = announced is not None or value_of(headers, "transfer-encoding") is not None
    return Body(file, size, seen.hexdigest(), present)


def read_again(body: Body, at_once: int = 2**16) -> Iterable[bytes]:
    """A spooled body from its beginning."""
    body.file.seek(0)
    while chunk := body.file.read(at_once):
        yield chunk


def _bad(what: str, advice: str) -> RefusedError:
    return RefusedError(what, advice=advice, status=400, code="bad-header")


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise RefusedError(
            f"The body has more than {limit} bytes.",
            advice="Start the sidecar with a larger --max-body.",
            status=413,
            code="too-large",
        )
