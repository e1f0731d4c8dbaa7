"""Providers of disposable clones. A provider makes a clone of the seed and destroys it: a server of our own, or a service
elsewhere (bot/clones/services).
"""

from __future__ import annotations

import difflib
import pkgutil
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psycopg

from bot.errors import UsageError
from bot.postgres.guard import Guard

EMBEDDED = "embedded"
# By the names of their files: to import them is for who needs one.
_FILES = (one.name for one in pkgutil.iter_modules([str(Path(__file__).parent / "services")]))
EMPTY = ("instanode",)  # who hands out a database without anything in it: the seed is loaded by us
PROVIDERS = (EMBEDDED, *sorted(name for name in _FILES if name not in ("asking", "base")))


@dataclass(frozen=True, slots=True)
class Clone:
    """A disposable database; `acquire_ms` is the time from asking for it to having it, `since_xid` the first transaction that is
    younger than it (0: not known), `method` how it was made, as in the report's CloneFacts.
    """

    name: str
    acquire_ms: float
    since_xid: int = 0
    method: str | None = None


class Provider(Protocol):
    """What every provider can do. `few_connections`: two at once are all there are, so one looks while the migration has the
    other. `counts_first`: tables are to be counted before anything is rehearsed, as there is no seed to look into afterwards.
    """

    name: str
    few_connections: bool
    counts_first: bool

    def clone(self) -> AbstractContextManager[Clone]:
        """A clone of the seed, destroyed at the end of the block whatever happens. Raises CloneError."""

    def connect(self, clone: Clone) -> psycopg.Connection:
        """A connection to a clone, in autocommit, as the migration's role."""

    def read(self, clone: Clone, *, own_names: bool = False) -> psycopg.Connection:
        """A connection for reading tables, as the same role: to read one is to run code of its author's (postgres/reading.py).
        Nothing that a migration has set for its role or database holds for it; with `own_names` only where names are looked for,
        and how values are written, which functions may rely on.
        """

    def observe(self, clone: Clone) -> psycopg.Connection:
        """A connection for looking at the catalog, and at nothing else: its search_path is pg_catalog, and it waits for no lock
        for long. A migration can't end it, where there is a superuser to be had.
        """

    def guard(self, clone: Clone) -> Guard:
        """What keeps a migration on a clone within its limits."""

    def room_bytes(self) -> int | None:
        """How much room there is where clones are made; None where that is not known, or no matter."""

    def open_seed(self) -> AbstractContextManager[psycopg.Connection]:
        """A connection to the untouched seed, as `read` gives to a clone."""


def check_provider(name: str) -> str:
    """The name of a provider there is. Raises UsageError with the nearest one."""
    if name in PROVIDERS:
        return name
    near = difflib.get_close_matches(name, PROVIDERS, n=1, cutoff=0.5)
    raise UsageError(
        f"There is no clone provider named {name!r}.",
        advice=(f"Did you mean {near[0]!r}? " if near else "") + f"Choose one of: {', '.join(PROVIDERS)}.",
    )
