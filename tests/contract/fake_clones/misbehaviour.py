"""What a service can do to its clients, as data: `fake.next("create", Lost())` is for the next call of an operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fail:
    """Answer with an error and do nothing. The body is the service's own for that status, unless one is given."""

    status: int
    code: str = ""
    body: Any = None
    retry_after: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Dropped:
    """Do nothing, and close the connection without an answer."""


@dataclass(frozen=True)
class Lost:
    """Do what was asked, and close the connection without an answer."""


@dataclass(frozen=True)
class Delayed:
    """Do what was asked, and answer after this long, or at the end of the fake, or when it is told to `hasten`."""

    seconds: float


@dataclass(frozen=True)
class Slow:
    """What was asked takes this many looks until it is done. At instanode, which has nothing to look at, the answer is lost,
    and the key is in flight for so many further tries.
    """

    polls: int


@dataclass(frozen=True)
class Broken:
    """What was asked is begun, and is found to have failed when it would be done. `state` where the service has several."""

    state: str = ""


@dataclass(frozen=True)
class Extra:
    """The answer has these fields too, of which no description tells, in the object at a place ("branch", "endpoints.*")."""

    fields: Mapping[str, Any]
    at: str = ""


@dataclass(frozen=True)
class Without:
    """The answer lacks these, each with its place ("connection_uris", "branch.expires_at"). They must be optional."""

    names: tuple[str, ...]


Misbehaviour = Fail | Dropped | Lost | Delayed | Slow | Broken | Extra | Without


def reached(body: Any, place: str) -> list[Any]:
    """What is at a place in a body; `*` is each item of a list, a place that is not there is nothing."""
    found = [body]
    for key in filter(None, place.split(".")):
        if key == "*":
            found = [each for items in found if isinstance(items, list) for each in items]
        else:
            found = [each[key] for each in found if isinstance(each, dict) and key in each]
    return found


def taken_out(body: Any, wish: Without) -> None:
    """Remove what is to be missing."""
    for name in wish.names:
        place, _, key = name.rpartition(".")
        for each in reached(body, place):
            each.pop(key, None)


def put_in(body: Any, wish: Extra) -> None:
    """Add what nobody described."""
    for each in reached(body, wish.at):
        each.update(wish.fields)
