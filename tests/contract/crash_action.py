"""The action as a process of its own, which kills itself at a named point of a step; for test_journaled_action.py.

python -m tests.contract.crash_action [STEP POINT]      the runner's environment is this process's
python -m tests.contract.crash_action batch NUMBER      when GitHub has answered so many updates of a check run
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import github
from github.CheckRun import CheckRun

from bot.action import github_of, run_action
from bot.journal.opening import open_journal
from bot.journal.place import Place
from bot.journal.runs import Journal, NoJournal
from bot.journal.steps import Step
from bot.postgres import embedded
from bot.progress import Progress
from bot.settings import action_settings

SHARED_BUFFERS_MB = 64  # to start a server, and to make or drop a database, takes longer the more there is


class AtOnce(github.Github):
    """A client that makes no pause between two writes, for which GitHub asks, and its fake does not."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**{**given, "seconds_between_writes": None})


def main(where: list[str]) -> int:
    github.Github = AtOnce  # type: ignore[misc,assignment]
    number = signal.Signals[where[2]] if len(where) > 2 else signal.SIGKILL
    embedded._shared_buffers_mb = lambda: SHARED_BUFFERS_MB

    def kill_here(step: Step, point: str) -> None:
        if where[:2] == [step.name, point]:
            os.kill(os.getpid(), number)

    if where[:1] == ["batch"]:
        _kill_after_updates(int(where[1]))

    @contextmanager
    def opened(place: Place, progress: Progress) -> Iterator[Journal | NoJournal]:
        with open_journal(place, progress) as journal:
            if isinstance(journal, Journal):
                journal.at = kill_here
                journal.lease_s = journal.lease_s if number == signal.SIGKILL else 1.0
            yield journal

    return run_action(action_settings(os.environ), make_github=github_of, make_journal=opened)


def _kill_after_updates(last: int) -> None:
    edit, done = CheckRun.edit, count(1)

    def edit_and_die(self: CheckRun, **changes: Any) -> None:
        edit(self, **changes)
        if next(done) == last:
            os.kill(os.getpid(), signal.SIGKILL)

    CheckRun.edit = edit_and_die  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
