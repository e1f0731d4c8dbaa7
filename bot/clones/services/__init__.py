"""Services that hand out disposable databases, one file each: each has a `SERVICE`, by which it is found. The door of httpx."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta

from bot.clones.services.base import Access, Kind, Lease, Leftover, Option, Order, Service, ServiceError
from bot.errors import UsageError

__all__ = [
    "EMBEDDED",
    "Access",
    "Kind",
    "Lease",
    "Leftover",
    "Option",
    "Order",
    "Service",
    "ServiceError",
    "forgotten",
    "kinds",
    "service_of",
]

EMBEDDED = "embedded"  # no service: a server of our own


def kinds() -> Mapping[str, Kind]:
    """All services there are, by name."""
    return {kind.name: kind for kind in _discovered()}


def _discovered() -> Iterator[Kind]:
    for module in pkgutil.iter_modules(__path__):
        kind = getattr(importlib.import_module(f"{__name__}.{module.name}"), "SERVICE", None)
        if isinstance(kind, Kind):
            yield kind


def service_of(access: Access) -> Service:
    """The service that the settings name, ready to be asked. Raises UsageError for what they lack, or say and should not."""
    known = kinds()
    if access.provider not in known:
        names = [EMBEDDED, *known]
        raise UsageError(f"There is no clone provider named {access.provider!r}.", advice=_near(access.provider, names))
    kind = known[access.provider]
    names = [option.name for option in kind.options]
    for given in access.options:
        if given not in names:
            raise UsageError(
                f"{kind.name} has no clone option named {given!r}.",
                advice=_near(given, names) if names else "It has none at all.",
            )
    missing = [option for option in kind.options if option.needed and not access.options.get(option.name)]
    if missing:
        raise UsageError(
            f"The clone provider {kind.name} needs to know {missing[0].name}: {missing[0].help}",
            advice=f"Say it in the input clone-options, in a line `{missing[0].name}=…`.",
        )
    for what, value, needed in (("clone-url", access.url, kind.needs_url), ("clone-token", access.token, kind.needs_token)):
        if needed and not value:
            raise UsageError(
                f"The clone provider {kind.name} needs the input {what}: {needed}", advice="Give it, best as a secret."
            )
    return kind.make(access)


def forgotten(service: Service, older_than: timedelta) -> list[Leftover]:
    """Those of ours that nobody has given back and that are of that age, the oldest first. Raises ServiceError."""
    old = [left for left in service.leftovers() if left.made_at < datetime.now(UTC) - older_than]
    return sorted(old, key=lambda left: left.made_at)


def _near(name: str, names: list[str]) -> str:
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Choose one of: {', '.join(names)}."
