"""Room on a disk: known before something large is begun, and looked at while it goes on, as nobody knows how large it gets."""

from __future__ import annotations

import shutil
from pathlib import Path

from bot.errors import NotRehearsedError, SeedError
from bot.words import size

LEAST_FREE = 128 * 2**20  # bytes that stay free: whoever fills a disk to its end stops others, and the server above all


def room_of(folder: Path) -> int | None:
    """The free bytes where a folder is; None where that is not known."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


class Watch:
    """Keeps a job from filling the disk that a folder is on. `what`: that the job can't be done, a sentence without its end."""

    def __init__(self, folder: Path, what: str, error: type[NotRehearsedError] = SeedError) -> None:
        self._folder, self._what, self._error = folder, what, error

    def need(self, bytes_: int) -> None:
        """Raises the error if there is surely not enough room for so many bytes."""
        free = room_of(self._folder)
        if free is not None and free < bytes_ + LEAST_FREE:
            raise self._too_small(f"It takes {size(bytes_)} at least, and {size(LEAST_FREE)} stay free;", free)

    def look(self) -> None:
        """To be called again and again. Raises the error when the disk is nearly full."""
        free = room_of(self._folder)
        if free is not None and free < LEAST_FREE:
            raise self._too_small(f"It is not done yet, and {size(LEAST_FREE)} stay free;", free)

    def _too_small(self, needed: str, free: int) -> NotRehearsedError:
        return self._error(
            f"{self._what}: there is not enough room.",
            why=f"{needed} {self._folder} has {size(free)} free.",
            advice="Free some, or set TMPDIR to a folder on a larger disk.",
        )
