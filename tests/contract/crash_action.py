"""The action as a process of its own, which kills itself at a named point of a step; for test_journaled_action.py.

python -m tests.contract.crash_action [STEP POINT]      the runner's environment is this process's
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bot.action import github_of, run_action
from bot.journal.opening import open_journal
from bot.journal.place import Place
from bot.journal.runs import Journal, NoJournal
from bot.journal.steps import Step
from bot.progress import Progress
from bot.settings import action_settings


def main(where: list[str]) -> int:
    number = signal.Signals[where[2]] if len(where) > 2 else signal.SIGKILL

    def kill_here(step: Step, point: str) -> None:
        if where[:2] == [step.name, point]:
            os.kill(os.getpid(), number)

    @contextmanager
    def opened(place: Place, progress: Progress) -> Iterator[Journal | NoJournal]:
        with open_journal(place, progress) as journal:
            if isinstance(journal, Journal):
                journal.at = kill_here
                journal.lease_s = journal.lease_s if number == signal.SIGKILL else 1.0
            yield journal

    return run_action(action_settings(os.environ), make_github=github_of, make_journal=opened)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
