"""The runs that the sidecar has the lease of: one for each name, kept a little longer than somebody uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bot.errors import FencedError, JournalError
from bot.journal.runs import Journal, Run
from bot.journal.steps import Kind
from bot.sidecar.threads import in_thread


@dataclass(slots=True, eq=False)
class _Held:
    """`change`: the taking or releasing of the lease that is under way; all who need the run wait for the same one."""

    run: Run | None = None
    users: int = 0
    change: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    abandoned: bool = False


class Leases:
    """Gives out runs. Everything happens in one event loop."""

    def __init__(self, journal: Journal, patience_s: float, idle_s: float) -> None:
        self._journal, self._patience_s, self._idle_s = journal, patience_s, idle_s
        self._all: dict[str, _Held] = {}

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[Run]:
        """The run of a name, as long as the block lasts. Raises BusyError, UnreachableError."""
        held = self._all.setdefault(name, _Held())
        held.users += 1
        if held.timer:
            held.timer.cancel()
        try:
            while held.run is None:
                held.change = held.change or asyncio.create_task(self._take(name, held))
                await asyncio.shield(held.change)
            run = held.run
            try:
                yield run
            except asyncio.CancelledError:
                held.abandoned = True  # its thread may still be at work
                raise
            except JournalError as error:
                if isinstance(error, FencedError) or isinstance(error.__cause__, FencedError):
                    self._drop(held, run)
                raise
        finally:
            held.users -= 1
            if not held.users:
                held.timer = asyncio.get_running_loop().call_later(self._idle_s, self._let_go, name, held)

    async def _take(self, name: str, held: _Held) -> None:
        try:
            held.run = await in_thread(
                lambda: self._journal.acquire(f"calls:{name}", Kind.CALLS, wait_s=self._patience_s)
            )  # fmt: skip
        finally:
            held.change = None

    def _drop(self, held: _Held, run: Run) -> None:
        """Another process has it: the next call takes it anew."""
        self._journal.forget(run)
        self._journal.forget_fired(run.lease)
        if held.run is run:
            held.run = None

    def _let_go(self, name: str, held: _Held) -> None:
        if not held.users and held.change is None:
            held.change = asyncio.create_task(self._release(name, held))

    async def _release(self, name: str, held: _Held) -> None:
        run, held.run = held.run, None
        try:
            if run:
                await in_thread(run.release)
        finally:
            held.change = None
            if not held.users:
                self._all.pop(name, None)

    def close(self) -> None:
        """Lets go of every run, after the loop has ended; not of those with a call that nobody waited for to its end: their
        leases run out by themselves.
        """
        for held in self._all.values():
            if held.run and held.abandoned:
                self._journal.forget(held.run)
            elif held.run:
                held.run.release()
