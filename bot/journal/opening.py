"""From settings to an open journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from pathlib import Path

from bot.errors import JournalError
from bot.journal.embedded import embedded_journal
from bot.journal.place import Place
from bot.journal.runs import Journal, NoJournal
from bot.journal.steps import Kind
from bot.journal.store import Store
from bot.postgres.binaries import Needs, choose
from bot.progress import Progress
from bot.sealing import seal_of

PATIENCE_S = 30.0
_KEPT_FOR = timedelta(days=30)  # in a folder that is kept, nobody prunes


@contextmanager
def open_journal(place: Place, progress: Progress, *, join: bool = False) -> Iterator[Journal | NoJournal]:
    """Opens a journal, and closes it at the end of the block; NoJournal where there is to be none, or where it can't be used
    and we are to go on without it. `join`: a journal in a folder that another process has open is looked at beside it.

    Raises UsageError, ServerError; JournalError if we are not to go on.
    """
    with ExitStack() as stack:
        journal: Journal | NoJournal = NoJournal()
        try:
            if place:
                journal = stack.enter_context(closing(_opened(place, progress, stack, join=join)))
        except JournalError as error:
            if not place.go_on:
                raise
            progress.say(f"going on without a journal: {' '.join(error.lines())}")
            journal = NoJournal(error)
        yield journal


def _opened(place: Place, progress: Progress, stack: ExitStack, *, join: bool) -> Journal:
    seal = seal_of(place.key) if place.key else None
    url = place.url
    if not url:
        binaries = choose(Needs(), place.postgres_bin)
        url = stack.enter_context(embedded_journal(Path(place.folder or ""), binaries, progress, join=join))
    store = Store(url, patience_s=PATIENCE_S)
    if not place.url and not join:
        store.prune(_KEPT_FOR, kinds=[Kind.REHEARSAL])  # calls are promised to be kept
    return Journal(store, seal=seal, go_on=place.go_on)
