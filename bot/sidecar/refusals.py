"""What a caller is told when it gets no upstream's answer: problem details (RFC 9457), with what, why and what to do."""

from __future__ import annotations

import json
from dataclasses import dataclass

from bot.errors import (
    BusyError,
    DriftError,
    EffectError,
    FencedError,
    InDoubtError,
    JournalError,
    RehearsalError,
    SealedError,
    UnreachableError,
)

_TYPE = "urn:migration-rehearsal:sidecar:"
IN_DOUBT, NOT_DONE = "in doubt", "not done"


class RefusedError(RehearsalError):
    """A call that is not made: `status` and `code` for the caller."""

    def __init__(self, what: str, *, status: int, code: str, why: str = "", advice: str = "") -> None:
        self.status, self.code = status, code
        super().__init__(what, why=why, advice=advice)


class NumberingError(DriftError):
    """A call without a number of its own, in an attempt whose numbering can't go on."""


class TransportError(EffectError):
    """The upstream gave no answer that could be passed on: `status` for the caller."""

    def __init__(self, what: str, *, status: int, why: str = "", not_done: bool = False) -> None:
        self.status = status
        advice = (
            "Ask again."
            if not_done
            else "See whether the call had its effect; ask again with Journal-In-Doubt: repeat if twice does no harm."
        )
        super().__init__(what, why=why, advice=advice, not_done=not_done)


class UnrecordedError(JournalError):
    """A call was made, and the journal could not be told of its answer."""

    def __init__(self, error: JournalError) -> None:
        super().__init__(
            "The call was made, and its answer could not be journaled.",
            why=error.what,
            advice="See whether it had its effect. If twice does no harm, ask again with Journal-In-Doubt: repeat.",
        )


class StoppedError(RehearsalError):
    """The sidecar stops, and waits no longer for a call."""

    def __init__(self) -> None:
        super().__init__(
            "The sidecar was stopped before the call was done.",
            why="It waits only so long for calls that are under way.",
            advice="Ask again when it is back; if the call was sent, that it is in doubt is said then.",
        )


# From the narrowest to the widest: the error -> status, code
_STATUSES: tuple[tuple[type[RehearsalError], int, str], ...] = (
    (NumberingError, 409, "numbering"),
    (DriftError, 409, "drift"),
    (InDoubtError, 409, "in-doubt"),
    (SealedError, 409, "sealed"),
    (UnrecordedError, 503, "unrecorded"),
    (BusyError, 503, "busy"),
    (FencedError, 503, "fenced"),
    (UnreachableError, 503, "journal-away"),
    (JournalError, 503, "journal"),
    (StoppedError, 503, "stopped"),
)
_ADVICE: dict[type[RehearsalError], str] = {
    UnreachableError: "Ask again when its server is back; the same call is found again at the same step.",
    FencedError: "Ask again; the run is then taken anew.",
    DriftError: "Send the calls of the first time, in their order; a new name in Journal-Run begins a new run.",
    InDoubtError: "See whether it had its effect. If twice does no harm, ask again with Journal-In-Doubt: repeat.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer of the sidecar's own."""

    status: int
    code: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes


def problem(error: RehearsalError, state: str | None = None) -> Problem:
    """An error -> what the caller gets. `state`: what is known of the call, where that is not in the error."""
    status, code = _status(error)
    if isinstance(error, EffectError):
        state = NOT_DONE if error.not_done else IN_DOUBT
    elif isinstance(error, InDoubtError | UnrecordedError | StoppedError):
        state = IN_DOUBT
    told = {
        "type": _TYPE + code,
        "title": error.what,
        "status": status,
        "detail": error.why,
        "advice": _ADVICE.get(type(error), error.advice),
    }
    headers = [(b"Content-Type", b"application/problem+json"), (b"Journal-Error", code.encode())]
    if state:
        headers.append((b"Journal-State", state.encode()))
    if status == 503:
        headers.append((b"Retry-After", b"2"))
    return Problem(status, code, tuple(headers), json.dumps({k: v for k, v in told.items() if v != ""}).encode() + b"\n")


def _status(error: RehearsalError) -> tuple[int, str]:
    if isinstance(error, RefusedError):
        return error.status, error.code
    if isinstance(error, TransportError):
        return error.status, "upstream"
    return next(((status, code) for kind, status, code in _STATUSES if isinstance(error, kind)), (500, "fault"))
