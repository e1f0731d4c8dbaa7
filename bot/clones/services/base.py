"""What every service can do: hand out a database, find one that it has handed out, take it back, and say which of ours it has."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bot.errors import EffectError

PREFIX = "mr-"  # of every name that we give, here and nowhere else: what does not begin so is not ours
PATIENCE_S = 120.0  # how long a database may take until it can be used


_OURS = re.compile(re.escape(PREFIX) + "[0-9a-f]{32}")


def is_ours(name: object) -> bool:
    """Whether a name is one that we give. The prefix alone proves nothing: somebody's merge request 42 may well be `mr-42`."""
    return isinstance(name, str) and _OURS.fullmatch(name) is not None


class ServiceError(EffectError):
    """A service could not be asked, did not answer, or refused. See EffectError for `not_done` and `again_in_s`."""


@dataclass(frozen=True, slots=True)
class Option:
    """Something that one service must or may be told, as a line `name=value` of the input clone-options."""

    name: str
    help: str
    needed: bool = False


@dataclass(frozen=True, slots=True)
class Access:
    """What the settings say of a service: which one, where it is, what lets us in, and its options. `pause_s`: between two looks
    at something that takes a while.
    """

    provider: str
    url: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    pause_s: float = 1.0
    patience_s: float = PATIENCE_S


@dataclass(frozen=True, slots=True)
class Order:
    """One database that is wanted. `key`, 32 hex digits, is the same for every attempt to get it, and for nothing else; `until`:
    when the service may take it back by itself, in case that we are not there any more to do it.
    """

    key: str
    until: datetime

    @property
    def name(self) -> str:
        """What it is to be called: ours, and nobody else's; see is_ours."""
        return PREFIX + self.key[:32]


@dataclass(frozen=True, slots=True)
class Lease:
    """A database that a service has handed out. `handle` is what it takes to give it back; `url` a libpq connection URL.
    `expires_at`: when the service takes it back by itself; `taken_at`: how old its data are (both ISO 8601 in UTC, None where
    nobody says); `method`: how it was made, in a word; `notes`: what a reader of the report should know.
    """

    handle: str = field(repr=False)
    url: str = field(repr=False)
    expires_at: str | None = None
    taken_at: str | None = None
    method: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Leftover:
    """A database of ours that a service still has."""

    handle: str = field(repr=False)
    name: str
    made_at: datetime


class Service(Protocol):
    """A service, ready to be asked. Whatever fails raises ServiceError, which never tells a URL, a token or a password."""

    def identity(self) -> str:
        """Names the data as they are now: what was rehearsed on the same need not be rehearsed again. It changes at least each
        day where the service does not say when the data do.
        """

    def acquire(self, order: Order) -> Lease:
        """A database of one's own, ready to be used. It is asked again with the same order where an answer was lost."""

    def find(self, order: Order) -> Lease | None:
        """The database that was handed out for an order, ready to be used; None if there surely is none."""

    def release(self, handle: str) -> None:
        """Gives one back; it is no error that it is gone already. When this returns it is gone, or surely will be."""

    def leftovers(self) -> Sequence[Leftover]:
        """Those of ours that are there: by the prefix of our names, and whatever else proves that we made them."""

    def close(self) -> None:
        """Ends connections."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of service. `empty`: what it hands out is empty, and the seed is loaded by us; `most_connections` at a time (None:
    enough); `needs_url`, `needs_token`: why it needs the input of that name (empty: it does not); `can_release`: whether a
    database can be given back at all; `by_name`: whether one can be given back by its name, without having been found.
    """

    name: str
    make: Callable[[Access], Service]
    help: str
    options: tuple[Option, ...] = ()
    empty: bool = False
    most_connections: int | None = None
    needs_url: str = ""
    needs_token: str = ""
    can_release: bool = True
    by_name: bool = False
