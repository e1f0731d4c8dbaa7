"""What a step is, and what the journal remembers of one. Pure."""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

_NAMESPACE = uuid.UUID("6a1f2f0e-3f57-5d0c-9a55-8f5a5a1c7f31")

Json = Any  # what json.dumps takes


class State(StrEnum):
    """What is known of a step."""

    IN_DOUBT = "in doubt"  # fired, or about to be, and no answer yet
    DONE = "done"
    NOT_DONE = "not done"  # tried, and surely without effect


class Kind(StrEnum):
    """Whose run it is: a rehearsal's, a caller's of the sidecar, or none's: it only says that a caller's attempt was counted."""

    REHEARSAL = "rehearsal"
    CALLS = "calls"
    ATTEMPT = "attempt"


@dataclass(frozen=True, slots=True)
class Step:
    """One outside effect. `step_id` is its place in the run, from 1 on; `request` is what decides the effect, of which only a
    digest is kept; `repeatable`: twice is as good as once; `lasting`: others may undo it, so that it is looked for again when
    a run is replayed; `alone`: a name under which no other process fires at the same time; `secret`: the response is sealed;
    `key`: an idempotency key to use instead of our own, where this is the first try.
    """

    step_id: int
    name: str
    request: Json
    repeatable: bool = False
    lasting: bool = False
    alone: str | None = None
    secret: bool = False
    key: str | None = None

    @property
    def request_hash(self) -> str:
        """The digest of the request."""
        return digest(self.request)


@dataclass(frozen=True, slots=True)
class Recorded:
    """A step that is done: its response, and when it was made. `replayed`: nothing was fired for it now; `key`: of the run
    that made it.
    """

    response: Json
    made_at: datetime
    replayed: bool
    key: str = ""


@dataclass(frozen=True, slots=True)
class StepRow:
    """A step as the journal holds it; `response_body` as stored, sealed or not."""

    step_id: int
    name: str
    request_hash: str
    idempotency_key: str
    state: State
    attempt: int
    token: int
    started_at: datetime
    completed_at: datetime | None
    response_body: Json
    error: str | None


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as the journal holds it, with how many of its steps are in which state."""

    run_id: uuid.UUID
    key: str
    generation: int
    kind: str
    started_at: datetime
    finished_at: datetime | None
    holder: str | None
    leased: bool
    done: int
    in_doubt: int
    not_done: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a run. `token` rises with every holder; `resumed`: somebody worked on it before."""

    run_id: uuid.UUID
    key: str
    token: int
    generation: int
    resumed: bool
    finished: bool


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody else has the lease, and may still be alive."""

    holder: str


def digest(value: Json) -> str:
    """SHA-256 of a value's JSON, whose object members are in order: the same for the same value on every machine."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def run_id_of(key: str, generation: int = 1) -> uuid.UUID:
    """A run's id: a UUIDv5 of its key, and of its generation where it was asked for anew."""
    return uuid.uuid5(_NAMESPACE, key if generation == 1 else f"{key}#{generation}")
