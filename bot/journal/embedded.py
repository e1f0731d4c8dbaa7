"""A journal in a server of our own, whose data folder somebody keeps: a workflow with the cache action, a developer at home."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from bot.errors import JournalError, ServerError, UnreachableError
from bot.postgres.binaries import Account, Binaries
from bot.postgres.embedded import kept_server, socket_of
from bot.progress import Progress

_WAIT_S = 900.0


@contextmanager
def embedded_journal(folder: Path, binaries: Binaries, progress: Progress, *, join: bool = False) -> Iterator[str]:
    """Gives a connection string for the journal in a folder, made if there is none; one process at a time has it, and
    whoever comes second waits, or, to `join`, uses the other's server as long as it runs. Each major version of PostgreSQL has a
    journal of its own there.

    Raises JournalError.
    """
    data = folder.absolute() / str(binaries.major) / "data"
    try:
        _make_owned(data.parent)
        lock = os.open(data.parent / "lock", os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise JournalError(
            f"The journal's folder {folder} can't be used.", why=error.strerror or str(error), advice="Choose another folder."
        ) from error
    with ExitStack() as stack:
        stack.callback(os.close, lock)
        if join and (socket := socket_of(data)) and not _locked(lock):
            yield make_conninfo("", host=socket, user="postgres", dbname="postgres")
            return
        _wait_for_lock(lock, folder, progress)
        try:
            with progress.step("start the journal", only_if_long=True):
                server = stack.enter_context(kept_server(binaries, data, lock))
        except ServerError as error:
            raise UnreachableError(
                f"The journal in {folder} could not be started.",
                why=f"{error.what} {error.why}".strip(),
                advice="Choose another folder; one that is broken may be removed (in a workflow: its cache), to begin anew.",
            ) from error
        yield server.conninfo("postgres")


def _make_owned(folder: Path) -> None:
    """Makes a folder and those above it that lack, for whom the next one above belongs to: a runner's user keeps them."""
    account = Account.owning(folder)
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        if os.geteuid() == 0 and account.uid != Account.current().uid:
            os.chown(path, account.uid, account.gid)


def _locked(lock: int) -> bool:
    """Tries to take the lock; whether it is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _wait_for_lock(lock: int, folder: Path, progress: Progress) -> None:
    deadline = time.monotonic() + _WAIT_S
    told = False
    while not _locked(lock):
        if time.monotonic() > deadline:
            raise UnreachableError(
                f"The journal in {folder} is in use by another process.",
                why=f"After {_WAIT_S / 60:.0f} minutes it was not free.",
                advice="Give this process another folder, or give both a journal-url.",
            )
        if not told:
            progress.say(f"another process uses the journal in {folder}: waiting")
            told = True
        time.sleep(0.1)
