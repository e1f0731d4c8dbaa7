"""Providers of disposable clones, one file each. A provider makes a clone of the seed and destroys it."""

from __future__ import annotations

import difflib
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import psycopg

from bot.errors import UsageError

PROVIDERS = ("embedded",)


@dataclass(frozen=True, slots=True)
class Clone:
    """A disposable database; `acquire_ms` is the time from asking for it to having it."""

    name: str
    acquire_ms: float


class Provider(Protocol):
    """What every provider can do."""

    name: str

    def clone(self) -> AbstractContextManager[Clone]:
        """A clone of the seed, destroyed at the end of the block whatever happens. Raises CloneError."""

    def connect(self, clone: Clone) -> psycopg.Connection:
        """A connection to a clone, in autocommit, as the migration's role."""

    def observe(self, clone: Clone) -> psycopg.Connection:
        """A connection to a clone for the observer: its search_path is pg_catalog, and it waits for no lock for long."""

    def room_bytes(self) -> int | None:
        """How much room there is where clones are made; None where that is not known, or no matter."""

    def open_seed(self) -> AbstractContextManager[psycopg.Connection]:
        """A connection to the untouched seed, as for an observer."""


def check_provider(name: str) -> str:
    """The name of a provider there is. Raises UsageError with the nearest one."""
    if name in PROVIDERS:
        return name
    near = difflib.get_close_matches(name, PROVIDERS, n=1, cutoff=0.5)
    raise UsageError(
        f"There is no clone provider named {name!r}.",
        advice=(f"Did you mean {near[0]!r}? " if near else "") + f"Choose one of: {', '.join(PROVIDERS)}.",
    )
