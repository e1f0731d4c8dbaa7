"""instanode.dev: an empty database for whoever asks, into which the seed is loaded; without a token a small one, for a day."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from bot.clones.addresses import encrypted
from bot.clones.services.asking import Answer, Asking, at, moment, stamp, undone_on_failure
from bot.clones.services.base import Access, Kind, Lease, Leftover, Order, ServiceError, is_ours
from bot.words import name as quoted

_URL = "https://api.instanode.dev"
_PATIENCE_S = 120.0  # a database is made while the request waits
_KEYS = 5
_KEPT = timedelta(hours=23)  # an answer is kept for 24 hours under its key, by the service's clock
_IN_PROGRESS = "idempotency_key_in_progress"


class Instanode:
    """See Service. A handle is a database's token, which removes it; empty for an anonymous one, which nobody can remove."""

    def __init__(self, access: Access) -> None:
        self._access = access
        headers = {"Authorization": f"Bearer {access.token}"} if access.token else {}
        self._asking = Asking("instanode.dev", access.url or _URL, access, headers)

    def identity(self) -> str:
        """See Service: what it hands out is empty, the seed alone says what the data are."""
        return "instanode"

    def acquire(self, order: Order) -> Lease:
        """See Service. An answer is kept under the request's key, and given again: the address too, as long as the database is
        there. A refusal is kept as well, though its reason may have gone: then the next key is as good, as nothing was made.
        """
        for number in range(1, _KEYS):
            answer = self._ask(order, number)
            if not self._is_stale(answer):
                return self._lease(order, answer)
        return self._lease(order, self._ask(order, _KEYS))

    def find(self, order: Order) -> Lease | None:
        """See Service. Without a token nothing can be listed; but who asks again is given the same one, so nothing is lost."""
        item = next((each for each in self._items() if each.get("name") == order.name), None)
        if item is None:
            return None
        made_at = moment(item.get("created_at"))
        if made_at and datetime.now(UTC) - made_at < _KEPT:
            return self.acquire(order)
        self.release(self._asking.text(item, "token"))  # nobody tells its address any more
        return None

    def release(self, handle: str) -> None:
        """See Service."""
        if handle:
            self._asking.insist("DELETE", _path(handle), accept=(404,))

    def leftovers(self) -> Sequence[Leftover]:
        """See Service: those of a token. Anonymous ones are not listed, and go by themselves."""
        ours = [(each, moment(each.get("created_at"))) for each in self._items() if is_ours(each.get("name"))]
        return [Leftover(self._asking.text(each, "token"), each["name"], when) for each, when in ours if when]

    def close(self) -> None:
        """See Service."""
        self._asking.close()

    def _ask(self, order: Order, number: int) -> Answer:
        """Asks under the order's key of that number; while the same request is under way, it is asked again."""
        headers = {"Idempotency-Key": order.name if number == 1 else f"{order.name}-{number}"}
        until = time.monotonic() + self._access.patience_s
        while True:
            answer = self._asking.ask(
                "POST", "/db/new", json={"name": order.name}, headers=headers, accept=range(400, 500), timeout_s=_PATIENCE_S
            )
            if answer.status != 409 or at(answer.body, "error") != _IN_PROGRESS:
                return answer
            wait = at(answer.body, "retry_after_seconds")
            wait = max(self._access.pause_s, wait if isinstance(wait, int | float) else 0)
            if time.monotonic() + wait > until:
                raise ServiceError("instanode.dev is still making the database.", advice="Run it again.")
            time.sleep(wait)

    def _is_stale(self, answer: Answer) -> bool:
        """Whether an answer is one from before that is of no use now."""
        if answer.headers.get("x-idempotent-replay", "").lower() != "true":
            return False
        if answer.status != 201:
            return True
        return bool(self._access.token) and self._is_gone(self._asking.text(answer.body, "token"))

    def _is_gone(self, token: str) -> bool:
        return self._asking.insist("GET", _path(token), accept=(404,)).status == 404

    def _lease(self, order: Order, answer: Answer) -> Lease:
        if answer.status == 200:
            raise ServiceError(
                "instanode.dev has handed out a database that was there before, which is not used.",
                why="The databases that this network may have in a day without a token are spent.",
                advice="Give the input clone-token, or run it again tomorrow.",
                not_done=True,
            )
        if answer.status != 201:
            raise self._asking.refused("POST", "/db/new", answer)
        handle = self._asking.text(answer.body, "token") if self._access.token else ""
        with undone_on_failure(lambda: self._undo(handle)):
            if "name" in (at(answer.body, "ignored_fields") or ()):
                raise self._asking.lacks("the name that was asked for")
            url = encrypted(at(answer.body, "connection_url"), "instanode.dev")
        expires_at = stamp(moment(at(answer.body, "expires_at")))
        notes = () if handle else (_note(order, expires_at),)
        return Lease(handle=handle, url=url, expires_at=expires_at, method="empty database", notes=notes)

    def _undo(self, handle: str) -> None:
        if not handle:
            raise ServiceError("An anonymous database of instanode.dev can't be given back.")
        self.release(handle)

    def _items(self) -> list[dict[str, Any]]:
        if not self._access.token:
            return []
        body = self._asking.insist("GET", "/api/v1/resources").body
        items = self._asking.objects(body) if isinstance(body, list) else self._asking.objects(body, "items")
        return [each for each in items if each.get("resource_type", "postgres") == "postgres"]


def _note(order: Order, expires_at: str | None) -> str:
    """Without the address by which it can be claimed: that lets in whoever has it, and a report may be public."""
    when = f"at {expires_at}" if expires_at else "24 hours after it was made"
    return (
        f"{quoted(order.name)} is an anonymous database of instanode.dev, which can't be given back and goes by itself {when}. "
        "With the input clone-token it belongs to an account, and is removed after the rehearsal."
    )


def _path(token: str) -> str:
    return f"/api/v1/resources/{quote(token, safe='')}"


SERVICE = Kind(
    name="instanode",
    make=Instanode,
    help="an empty database of instanode.dev, into which the seed is loaded",
    empty=True,
    most_connections=2,
)
