"""Progress of long steps: a live line on a terminal, plain lines elsewhere, and always on standard error."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from bot.words import one_line

Advance = Callable[[int], None]


class Progress:
    """Says which long step is under way.

    On a terminal each step is one live line with a spinner, or a bar where its size is known; elsewhere a line when it is
    done. `quiet` says nothing.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream or sys.stderr
        self._quiet = quiet
        self._live = not quiet and self._stream.isatty()

    def say(self, text: str) -> None:
        """One line of its own."""
        if not self._quiet:
            print(one_line(text), file=self._stream, flush=True)

    @contextmanager
    def step(self, text: str, total_bytes: int | None = None, *, only_if_long: bool = False) -> Iterator[Advance]:
        """Frames one step; the callback it gives takes the number of bytes done since the last call. `only_if_long`: no line
        of its own if it took less than a second.
        """
        text = one_line(text)
        if self._quiet:
            yield lambda _done: None
        elif self._live:
            with self._live_step(text, total_bytes) as advance:
                yield advance
        else:
            begin = time.monotonic()
            try:
                yield lambda _done: None
            except BaseException:
                print(f"{text} … failed after {time.monotonic() - begin:.1f} s", file=self._stream, flush=True)
                raise
            took_s = time.monotonic() - begin
            if took_s >= 1 or not only_if_long:
                print(f"{text} … {took_s:.1f} s", file=self._stream, flush=True)

    @contextmanager
    def _live_step(self, text: str, total_bytes: int | None) -> Iterator[Advance]:
        from rich import progress  # noqa: PLC0415  only terminals pay for it
        from rich.console import Console  # noqa: PLC0415

        columns: list[progress.ProgressColumn] = [
            progress.SpinnerColumn(),
            progress.TextColumn("{task.description}", markup=False),
            progress.TimeElapsedColumn(),
        ]
        if total_bytes is not None:
            columns += [progress.BarColumn(), progress.DownloadColumn(), progress.TransferSpeedColumn()]
        with progress.Progress(*columns, console=Console(file=self._stream)) as bar:
            task = bar.add_task(text, total=total_bytes)
            yield lambda done: bar.advance(task, done)
            bar.update(task, total=total_bytes or 1, completed=total_bytes or 1)
