"""Ardent: a branch of the database that a connector leads to. Two calls are documented, and none that removes a branch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from bot.clones.addresses import encrypted, made
from bot.clones.services.asking import Asking, moment, undone_on_failure
from bot.clones.services.base import Access, Kind, Lease, Leftover, Option, Order, ServiceError, is_ours
from bot.words import name as quoted

_URL = "https://api.tryardent.com"
_LONG_AGO = datetime.fromtimestamp(0, UTC)  # nobody says when a branch was made


class Ardent:
    """See Service. A handle is a branch's name."""

    def __init__(self, access: Access) -> None:
        self._connector = access.options["connector"]
        headers = {"Authorization": f"Bearer {access.token}"}
        self._asking = Asking("Ardent", access.url or _URL, access, headers, said=_said)

    def identity(self) -> str:
        """See Service: nobody says when the data change, so each day is another."""
        return f"ardent:{self._connector}:{datetime.now(UTC):%Y-%m-%d}"

    def acquire(self, order: Order) -> Lease:
        """See Service."""
        wish = {"connector_id": self._connector, "service_type": "postgres", "name": order.name}
        body = self._asking.ask("POST", "/v1/branch/create", json=wish).body
        with undone_on_failure(lambda: self.release(order.name)):
            url = encrypted(self._url(body), "Ardent")
        note = f"Ardent's API removes no branch: remove {quoted(order.name)} on Ardent's own pages."
        return Lease(handle=order.name, url=url, method="branch", notes=(note,))

    def find(self, order: Order) -> Lease | None:
        """See Service. Of a branch that is there only its name is told, so an answer that was lost can't be had again."""
        if order.name not in self._names():
            return None
        raise ServiceError(
            f"Ardent has a branch {quoted(order.name)}, but its answer with the address was lost.",
            why="Its API does not tell a branch's address again.",
            advice="Remove the branch on Ardent's own pages, then run it again.",
        )

    def release(self, handle: str) -> None:
        """See Service."""
        if handle in self._names():
            raise ServiceError(
                f"Ardent's branch {quoted(handle)} is still there.",
                why="Its API has no call that removes one.",
                advice="Remove it on Ardent's own pages.",
                not_done=True,
            )

    def leftovers(self) -> Sequence[Leftover]:
        """See Service."""
        ours = [each for each in self._branches() if is_ours(each.get("name"))]
        return [Leftover(each["name"], each["name"], moment(each.get("created_at")) or _LONG_AGO) for each in ours]

    def close(self) -> None:
        """See Service."""
        self._asking.close()

    def _url(self, body: Any) -> str:
        """The address as a whole if it is told, else made of its parts."""
        if isinstance(body, dict) and body.get("connection_uri"):
            return self._asking.text(body, "connection_uri")
        names = {"user": "username", "password": "password", "host": "host", "dbname": "database"}
        known = {part: self._asking.text(body, name) for part, name in names.items()}
        return made("Ardent", port=str(body.get("port") or 5432), **known)

    def _names(self) -> set[str]:
        return {str(each.get("name")) for each in self._branches()}

    def _branches(self) -> list[dict[str, Any]]:
        """Those that are listed; nobody says under which key, if under any."""
        body = self._asking.insist("GET", f"/v1/branches/{quote(self._connector, safe='')}").body
        lists = [body] if isinstance(body, list) else []
        lists += [value for value in body.values() if isinstance(value, list)] if isinstance(body, dict) else []
        if len(lists) != 1 or not all(isinstance(each, dict) and "name" in each for each in lists[0]):
            raise self._asking.lacks("the list of branches")
        return lists[0]


def _said(body: Any) -> str:
    """What an error says, of the shapes that are usual: none is documented."""
    while isinstance(body, dict):
        body = body.get("message") or body.get("error") or body.get("detail") or ""
    return body if isinstance(body, str) else ""


SERVICE = Kind(
    name="ardent",
    make=Ardent,
    help="a branch of an Ardent connector",
    options=(Option("connector", "the id of the connector to the database", needed=True),),
    needs_token="an API key of Ardent's.",  # noqa: S106  why, not which
    can_release=False,
)
