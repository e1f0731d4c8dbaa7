"""What stands between somebody else's SQL and our server: it ends what takes too long or fills the disk, and lends rights for the
few statements that need more and are harmless.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Set
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass

import psycopg

from bot.words import size

_CANCELS = 5
_LOOK_S = 0.25
_AGAIN_S = 1.0  # between two attempts to end something
_LEAVE_BYTES, _LEAVE_SHARE = 2**30, 0.1  # of the disk: the smaller of the two stays free


@dataclass(slots=True)
class Stopped:
    """Why something was stopped, as words for its author; None as long as it was not."""

    why: str | None = None


class Limit:
    """How long something may take from now on, and how much room has to be left on the disk; `room_bytes` as in Guard."""

    def __init__(self, seconds: float, room_bytes: Callable[[], int | None]) -> None:
        self._seconds, self._room_bytes, self._had = seconds, room_bytes, room_bytes()
        self.until = time.monotonic() + seconds

    def exceeded(self) -> str | None:
        """Why it is to be stopped, as words for its author; None: it may go on."""
        room, had = self._room_bytes(), self._had
        if time.monotonic() >= self.until:
            return f"it took longer than {self._seconds:g} s, the limit set for it"
        if had is not None and room is not None and room < min(_LEAVE_BYTES, int(had * _LEAVE_SHARE)):
            return f"it wrote {size(had - room)}, and {size(room)} are left on the disk"
        return None


@dataclass(frozen=True, slots=True)
class Guard:
    """How to end a session that does not listen to a cancellation, by the id of its process; how much room there is on the disk
    (None: not known); and how to lend a connection's role the rights that creating an extension needs, which it `may_create`.
    """

    end_session: Callable[[int], None] | None = None
    room_bytes: Callable[[], int | None] = lambda: None
    lend: Callable[[psycopg.Connection], AbstractContextManager[None]] = lambda _connection: nullcontext()
    may_create: Set[str] = frozenset()

    @contextmanager
    def watching(self, connection: psycopg.Connection, seconds: float) -> Iterator[Stopped]:
        """Cancels what runs on the connection once `seconds` are over or the disk is nearly full, again each second, and ends the
        connection when that does not help: a migration can catch a cancellation.
        """
        done, stopped = threading.Event(), Stopped()
        pid = connection.info.backend_pid
        thread = threading.Thread(target=self._watch, args=(connection, pid, seconds, done, stopped), name="guard", daemon=True)
        thread.start()
        try:
            yield stopped
        finally:
            done.set()
            thread.join()

    def limit(self, seconds: float) -> Limit:
        """What may not be exceeded from now on."""
        return Limit(seconds, self.room_bytes)

    def _watch(self, connection: psycopg.Connection, pid: int, seconds: float, done: threading.Event, stopped: Stopped) -> None:
        limit = self.limit(seconds)
        while not done.wait(max(0.0, min(_LOOK_S, limit.until - time.monotonic()))):
            stopped.why = limit.exceeded()
            if stopped.why:
                self._stop(connection, pid, done)
                return

    def _stop(self, connection: psycopg.Connection, pid: int, done: threading.Event) -> None:
        for _attempt in range(_CANCELS):
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=5)
            if done.wait(_AGAIN_S):
                return
        while self.end_session:
            with suppress(psycopg.Error):
                self.end_session(pid)
            if done.wait(_AGAIN_S):
                return
