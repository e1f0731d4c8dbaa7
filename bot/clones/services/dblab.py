"""Database Lab Engine: a thin clone of a snapshot, a server of its own. Its id is ours, so what is asked twice is made once."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict

from bot.clones.addresses import made
from bot.clones.services.asking import Asking, at, moment, stamp, undone_on_failure
from bot.clones.services.base import Access, Kind, Lease, Leftover, Option, Order, ServiceError, is_ours
from bot.words import name as quoted


class Dblab:
    """See Service. A handle is a clone's id, which is the order's name."""

    def __init__(self, access: Access) -> None:
        self._options, self._token = access.options, access.token or ""
        self._asking = Asking("Database Lab Engine", access.url or "", access, {"Verification-Token": self._token})

    def identity(self) -> str:
        """See Service: data are those of a snapshot."""
        return f"dblab:{self._snapshot()}:{self._options.get('database', '')}"

    def acquire(self, order: Order) -> Lease:
        """See Service."""
        answer = self._asking.ask("POST", "/clone", json=self._wish(order), accept=(400,))
        if answer.status != 400:
            return self._lease(order)
        # Something is wrong with what was asked, or a try before this one has made it: only looking tells.
        clone = self._look(order.name)
        if clone is None:
            raise self._refused(answer.body)
        if self._code(clone) != "DELETING":
            return self._lease(order)
        self._wait_until_gone(order.name)
        raise ServiceError("A clone of this name was being deleted.", advice="Run it again.", not_done=True, again_in_s=0.0)

    def find(self, order: Order) -> Lease | None:
        """See Service."""
        clone = self._look(order.name)
        if clone is not None and self._code(clone) == "DELETING":
            self._wait_until_gone(order.name)
            return None
        return self._lease(order) if clone is not None else None

    def release(self, handle: str) -> None:
        """See Service. An engine may protect what it makes by itself, and deletes in the background."""
        clone = self._look(handle)
        if clone is None:
            return
        if clone.get("protected") is True:
            self._asking.insist("PATCH", self._path(handle), json={"protected": False}, accept=(404,))
        if self._code(clone) != "DELETING":
            self._delete(handle)
        self._wait_until_gone(handle)

    def leftovers(self) -> Sequence[Leftover]:
        """See Service."""
        clones = self._asking.objects(self._asking.insist("GET", "/clones").body)
        ours = [(each["id"], moment(each.get("createdAt"))) for each in clones if is_ours(each.get("id"))]
        return [Leftover(name, name, when) for name, when in ours if when]

    def close(self) -> None:
        """See Service."""
        self._asking.close()

    def _wish(self, order: Order) -> dict[str, Any]:
        # Restricted: it owns all that is in the database, and is no superuser of a server that stands beside production's data.
        db = {"username": _user(order), "password": self._password(order), "restricted": True}
        wish: dict[str, Any] = {"id": order.name, "protected": False, "db": db}
        if self._options.get("database"):
            db["db_name"] = self._options["database"]
        if self._options.get("snapshot"):
            wish["snapshot"] = {"id": self._options["snapshot"]}
        if self._options.get("branch"):
            wish["branch"] = self._options["branch"]
        return wish

    def _password(self, order: Order) -> str:
        """The same at each try, as the engine does not tell it again; nobody guesses it who has not the engine's own token."""
        digest = hmac.digest(self._token.encode(), f"password of {order.key}".encode(), hashlib.sha256)
        password = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        self._asking.hide(password)
        return password

    def _refused(self, body: object) -> ServiceError:
        return ServiceError(
            "Database Lab Engine refused to make a clone (status 400).",
            why=self._asking.shown(at(body, "message") or ""),
            advice="Check the lines `branch`, `snapshot` and `database` in the input clone-options.",
            not_done=True,
        )

    def _lease(self, order: Order) -> Lease:
        with undone_on_failure(lambda: self.release(order.name)):
            clone = self._asking.wait_for("the clone is not ready", lambda: self._ready(order.name))
            return Lease(
                handle=order.name,
                url=self._url(order, clone),
                expires_at=stamp(moment(clone.get("deleteAt"))),
                taken_at=stamp(moment(at(clone, "snapshot", "dataStateAt"))),
                method="thin clone",
            )

    def _ready(self, handle: str) -> dict[str, Any] | None:
        clone = self._look(handle)
        code = self._code(clone) if clone else "gone"
        if clone is None or code in ("FATAL", "DELETING"):
            raise ServiceError(
                f"Database Lab Engine's clone is {code}, and was to be used.",
                why=self._asking.shown(at(clone, "status", "message") or ""),
                advice="Look at the engine's log; run it again.",
            )
        return clone if code == "OK" else None

    def _url(self, order: Order, clone: dict[str, Any]) -> str:
        database = self._options.get("database") or _database(at(clone, "db", "connStr")) or "postgres"
        host = at(clone, "db", "host") or self._asking.host  # a clone is on the engine's own machine
        port = str(at(clone, "db", "port") or "")
        if not port.isascii() or not port.isdigit():
            raise self._asking.lacks("db.port")
        who = {"user": _user(order), "password": self._password(order)}
        return made("Database Lab Engine", host=host, port=port, dbname=database, **who)

    def _snapshot(self) -> str:
        """The newest, if none is asked for, as the engine takes it."""
        if self._options.get("snapshot"):
            return self._options["snapshot"]
        branch = self._options.get("branch")
        listed = self._asking.insist("GET", "/snapshots", params={"branch": branch} if branch else None).body
        snapshots = [(moment(each.get("dataStateAt")), each.get("id")) for each in self._asking.objects(listed)]
        known = [(when, name) for when, name in snapshots if when and name]
        if not known:
            raise ServiceError(
                f"Database Lab Engine has no snapshot{f' of the branch {quoted(branch)}' if branch else ''}.",
                advice="Wait until it has retrieved the data, or check `branch` in the input clone-options.",
                not_done=True,
            )
        return str(max(known)[1])

    def _look(self, handle: str) -> dict[str, Any] | None:
        answer = self._asking.insist("GET", self._path(handle), accept=(404,))
        if answer.status != 404 and not isinstance(answer.body, dict):
            raise self._asking.lacks("the clone")
        return None if answer.status == 404 else answer.body

    def _code(self, clone: dict[str, Any]) -> str:
        return self._asking.text(clone, "status", "code")

    def _delete(self, handle: str) -> None:
        self._asking.insist("DELETE", self._path(handle), accept=(404,))

    def _wait_until_gone(self, handle: str) -> None:
        self._asking.wait_for("the clone is not deleted", lambda: self._is_gone(handle))

    def _is_gone(self, handle: str) -> bool | None:
        clone = self._look(handle)
        if clone is not None and self._code(clone) != "DELETING":
            self._delete(handle)  # it could not be, or was not begun
        return True if clone is None else None

    @staticmethod
    def _path(handle: str) -> str:
        return f"/clone/{quote(handle, safe='')}"


def _user(order: Order) -> str:
    """A role of its own: the data may have one of any other name."""
    return order.name[:15].replace("-", "_")


def _database(line: object) -> str | None:
    """The database that an engine's connection string names."""
    try:
        return str(conninfo_to_dict(str(line)).get("dbname") or "") or None
    except psycopg.ProgrammingError:
        return None


SERVICE = Kind(
    name="dblab",
    make=Dblab,
    help="a thin clone of a Database Lab Engine",
    options=(
        Option("branch", "the engine's branch; its default one if not given"),
        Option("snapshot", "the snapshot's id; the newest if not given"),
        Option("database", "the database in the clone; the one that the engine names if not given"),
    ),
    needs_url="the address of its API, as in https://dblab.example.org/api.",
    needs_token="its verification token.",  # noqa: S106  why, not which
)
