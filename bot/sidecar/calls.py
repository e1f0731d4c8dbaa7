"""One call under the journal: its number, its run, and then once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from bot.errors import BusyError, DriftError, JournalError, RehearsalError, as_fault
from bot.journal.runs import Journal, Run
from bot.journal.steps import Kind, digest
from bot.sidecar.asking import Call
from bot.sidecar.firing import AnswerError, Firing, Mark, Part, Start, Upstream, restored
from bot.sidecar.leases import Leases
from bot.sidecar.metrics import Metrics
from bot.sidecar.numbering import Numbering, lost
from bot.sidecar.options import Options
from bot.sidecar.refusals import NumberingError, UnrecordedError
from bot.sidecar.threads import Pipe, in_thread


@dataclass(frozen=True, slots=True)
class Ending:
    """What is left to give to the caller: all of an answer, or, where it was `begun`, its last part. `made_at`: when a final
    answer was journaled.
    """

    mark: Mark
    start: Start
    body: bytes = field(repr=False)
    begun: bool
    replayed: bool
    made_at: datetime | None


@dataclass(slots=True)
class Place:
    """A call's number, and what becomes of it. `numbering` is None where the caller numbers its calls."""

    number: int
    digest: str
    numbering: Numbering | None
    _settled: bool = False

    def leave_open(self) -> None:
        """The caller got no final answer: the same call, asked again, takes the same number."""
        if self.numbering and not self._settled:
            self.numbering.open_again(self.number, self.digest)
        self._settled = True

    def lose(self) -> None:
        """The journal holds another call here."""
        if self.numbering:
            self.numbering.lose(self.number)
        self._settled = True


class Calls:
    """Makes calls. Everything but the waiting for upstreams and for the journal happens in one event loop."""

    def __init__(self, journal: Journal, options: Options, metrics: Metrics) -> None:
        self._journal, self._options, self._metrics = journal, options, metrics
        self._upstream = Upstream(options)
        self._leases = Leases(journal, options.patience_s, options.idle_s)
        self._numberings: dict[tuple[str, str | None], asyncio.Task[Numbering]] = {}
        self._locks: dict[tuple[str, int], tuple[asyncio.Lock, list[None]]] = {}
        self._slots = asyncio.Semaphore(options.calls_at_once)

    async def place(self, call: Call) -> Place:
        """The number of a call: its own, or one in order of arrival. Raises NumberingError, UnreachableError."""
        if call.asked.step is not None:
            return Place(call.asked.step, call.digest, None)
        key = (call.asked.run, call.asked.attempt)
        task = self._numberings.get(key)
        if task is None:
            task = self._numberings[key] = asyncio.ensure_future(self._begin(*key))
        try:
            numbering = await asyncio.shield(task)
        except RehearsalError:
            if self._numberings.get(key) is task:
                del self._numberings[key]
            raise
        return Place(numbering.take(call.digest), call.digest, numbering)

    async def _begin(self, run: str, attempt: str | None) -> Numbering:
        """A numbering that begins at 1. If the attempt has a name, only if nobody has counted it before, be it we before a
        restart. The journal knows: each attempt is an empty run of its own there.
        """
        if attempt is None:
            return Numbering(named=False)

        def is_new() -> bool:
            try:
                marked = self._journal.acquire(f"attempt:{run}:{digest([run, attempt])[7:23]}", Kind.ATTEMPT, wait_s=0)
            except BusyError:
                return False
            marked.release()
            return not marked.lease.resumed

        if not await in_thread(is_new):
            raise lost(
                "The numbering of this attempt is lost.",
                "Another sidecar, or this one before it was started anew, has counted its calls, and nobody knows how far.",
            )
        return Numbering()

    async def make(self, call: Call, place: Place, pipe: Pipe[Part], *, keep_back: bool) -> Ending:
        """Makes a call once. What can be passed on before it is journaled goes into the pipe. Raises RehearsalError."""
        try:
            async with (
                self._alone(call.asked.run, place.number),
                self._leases.held(call.asked.run) as run,
                self._slots,
            ):
                firing = Firing(call, self._upstream, pipe, self._options, keep_back=keep_back)
                ending = await in_thread(lambda: self._step(run, call, place.number, firing))
        except DriftError as error:
            if not isinstance(error, NumberingError):
                place.lose()
            raise
        except RehearsalError:
            place.leave_open()
            raise
        if ending.start.state:
            place.leave_open()
        return ending

    @asynccontextmanager
    async def _alone(self, run: str, number: int) -> AsyncIterator[None]:
        """Of two that ask for the same step at once the second waits, and finds it done."""
        lock, users = self._locks.setdefault((run, number), (asyncio.Lock(), []))
        users.append(None)
        try:
            async with lock:
                yield
        finally:
            users.pop()
            if not users:
                del self._locks[run, number]

    def _step(self, run: Run, call: Call, number: int, firing: Firing) -> Ending:
        """In a thread of its own: the journal's step."""
        mark = firing.mark = Mark(run.run_id, number)
        began = time.monotonic()
        try:
            done = run.step(call.step(number), firing)
        except AnswerError:
            assert firing.start is not None  # noqa: S101  it is what the error is about
            return Ending(mark, firing.start, bytes(firing.last), firing.begun, replayed=False, made_at=None)
        except JournalError as error:
            if firing.fired:
                raise UnrecordedError(error) from error
            raise
        except RehearsalError:
            raise
        except Exception as fault:
            raise as_fault(fault) from fault
        finally:
            seconds = time.monotonic() - began - firing.seconds
            self._metrics.took(call.target.label, firing.seconds if firing.fired else None, seconds)
        if done.replayed:
            start, body = restored(done.response)
            return Ending(mark, start, body, begun=False, replayed=True, made_at=done.made_at)
        assert firing.start is not None  # noqa: S101  what is not replayed was fired
        return Ending(mark, firing.start, bytes(firing.last), firing.begun, replayed=False, made_at=done.made_at)

    def close(self) -> None:
        """Lets go of the runs and the connections, after the loop has ended."""
        self._leases.close()
        self._upstream.close()
