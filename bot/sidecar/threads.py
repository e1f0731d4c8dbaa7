"""Between the event loop and the threads that wait for upstreams and for the journal."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

_Result = TypeVar("_Result")
_Item = TypeVar("_Item")
_ROOM = 4


async def in_thread(work: Callable[[], _Result]) -> _Result:
    """Runs blocking work beside the loop. In a thread that does not keep the process from ending: what an upstream does not
    answer in time is in doubt, and must not hold up a stop.
    """
    future: Future[_Result] = Future()

    def run() -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001  it is raised where the work is waited for
            future.set_exception(error)

    threading.Thread(target=run, name="sidecar", daemon=True).start()
    return await asyncio.wrap_future(future)


class Pipe(Generic[_Item]):
    """What a thread makes, for one reader in the loop. A slow reader slows the thread; one that has gone, or takes nothing for
    `stall_s` seconds, does not stop it.
    """

    def __init__(self, stall_s: float) -> None:
        self._queue: asyncio.Queue[_Item | None] = asyncio.Queue(_ROOM)
        self._loop = asyncio.get_running_loop()
        self._stall_s = stall_s
        self.gone = False

    def put(self, item: _Item) -> None:
        """For the thread: waits until there is room."""
        if self.gone:
            return
        offer = self._offer(item)
        try:
            asyncio.run_coroutine_threadsafe(offer, self._loop).result()
        except RuntimeError:  # the loop is closed
            offer.close()
            self.gone = True

    async def _offer(self, item: _Item) -> None:
        try:
            async with asyncio.timeout(self._stall_s):
                await self._queue.put(item)
        except TimeoutError:
            self.leave()

    def leave(self) -> None:
        """For the loop: nobody reads any more."""
        self.gone = True
        while not self._queue.empty():  # whoever waits for room goes on
            self._queue.get_nowait()
        self._queue.put_nowait(None)

    async def end(self) -> None:
        """For the loop: nothing more comes."""
        await self._queue.put(None)

    async def __aiter__(self) -> AsyncIterator[_Item]:
        """What came, until the end."""
        while (item := await self._queue.get()) is not None:
            yield item
