"""Neon: a branch of a project, which shares its parent's pages until it writes its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from bot.clones.addresses import verified
from bot.clones.services.asking import Asking, at, moment, stamp, undone_on_failure
from bot.clones.services.base import PREFIX, Access, Kind, Lease, Leftover, Option, Order, ServiceError, is_ours
from bot.words import name as quoted

_URL = "https://console.neon.tech/api/v2"
_LONGEST = timedelta(days=30, minutes=-10)  # Neon takes 30 days, by its own clock
_DONE, _FAILED = ("finished", "skipped"), ("failed", "error", "cancelling", "cancelled")


class Neon:
    """See Service. A handle is a branch's id."""

    def __init__(self, access: Access) -> None:
        self._options, self._asking = access.options, _asking(access)
        self._project = f"/projects/{quote(access.options['project'], safe='')}"

    def identity(self) -> str:
        """See Service: Neon does not say when a branch's data changed last, so each day is another."""
        parent = self._asking.text(self._parent(), "id")
        names = [self._options["project"], parent, self._options.get("database", "")]
        return f"neon:{':'.join(names)}:{datetime.now(UTC):%Y-%m-%d}"

    def acquire(self, order: Order) -> Lease:
        """See Service."""
        until = min(order.until, datetime.now(UTC) + _LONGEST)
        branch = {"name": order.name, "expires_at": stamp(until)}
        if self._options.get("branch"):
            branch["parent_id"] = self._asking.text(self._parent(), "id")
        wish = {"endpoints": [{"type": "read_write"}], "branch": branch}
        answer = self._asking.ask("POST", f"{self._project}/branches", json=wish, accept=(409,))
        if answer.status == 409:
            return self._taken(order)
        made = self._asking.text(answer.body, "branch", "id")
        with undone_on_failure(lambda: self.release(made)):
            for operation in at(answer.body, "operations") or []:
                self._finish(self._asking.text(operation, "id"))
            return self._lease(answer.body["branch"])

    def find(self, order: Order) -> Lease | None:
        """See Service: a name is there once."""
        branch = self._named(order.name)
        if branch is None:
            return None
        made = self._asking.text(branch, "id")
        with undone_on_failure(lambda: self.release(made)):
            self._asking.wait_for("the branch is not ready", lambda: self._is_ready(made))
            return self._lease(branch)

    def release(self, handle: str) -> None:
        """See Service."""
        self._asking.insist("DELETE", self._branch(handle), accept=(404,))

    def leftovers(self) -> Sequence[Leftover]:
        """See Service."""
        ours = [branch for branch in self._branches(PREFIX) if is_ours(branch.get("name"))]
        made = [(branch, moment(branch.get("created_at"))) for branch in ours]
        return [Leftover(self._asking.text(each, "id"), each["name"], when) for each, when in made if when]

    def close(self) -> None:
        """See Service."""
        self._asking.close()

    def _taken(self, order: Order) -> Lease:
        """There is a branch of that name: a try before this one has made it."""
        lease = self.find(order)
        if lease is None:
            raise ServiceError(
                f"Neon says that there is a branch {quoted(order.name)}, and lists none.", advice="Run it again.", again_in_s=1.0
            )
        return lease

    def _finish(self, operation: str) -> None:
        def look() -> dict[str, Any] | None:
            answer = self._asking.insist("GET", f"{self._project}/operations/{quote(operation, safe='')}")
            status = self._asking.text(answer.body, "operation", "status")
            return answer.body["operation"] if status in (*_DONE, *_FAILED) else None

        done = self._asking.wait_for("an operation is not finished", look)
        if done["status"] in _FAILED:
            raise ServiceError(
                f"Neon's operation {self._asking.shown(done.get('action'))} ended as {done['status']}.",
                why=self._asking.shown(done.get("error") or ""),
                advice="Look at the project's operations on Neon's pages; run it again.",
            )

    def _is_ready(self, branch: str) -> bool | None:
        """Its operations are not known any more, but what they were for is."""
        state = at(self._asking.insist("GET", self._branch(branch)).body, "branch", "current_state")
        endpoints = self._asking.objects(self._asking.insist("GET", f"{self._branch(branch)}/endpoints").body, "endpoints")
        if not endpoints:
            raise self._asking.lacks("the branch's endpoint")
        # One that is idle wakes up when somebody connects.
        return True if state == "ready" and all(each.get("current_state") in ("active", "idle") for each in endpoints) else None

    def _lease(self, branch: dict[str, Any]) -> Lease:
        handle = self._asking.text(branch, "id")
        database, role = self._whose(handle)
        asked = {"branch_id": handle, "database_name": database, "role_name": role, "pooled": "false"}
        uri = self._asking.text(self._asking.insist("GET", f"{self._project}/connection_uri", params=asked).body, "uri")
        return Lease(
            handle=handle,
            url=verified(uri, "Neon"),
            expires_at=stamp(moment(branch.get("expires_at"))),
            taken_at=stamp(moment(branch.get("parent_timestamp")) or moment(branch.get("created_at"))),
            method="copy-on-write branch",
        )

    def _whose(self, branch: str) -> tuple[str, str]:
        """The database that is rehearsed on, and the role that does it: its owner, if no other one is asked for."""
        listed = self._asking.insist("GET", f"{self._branch(branch)}/databases").body
        databases = {self._asking.text(each, "name"): each for each in self._asking.objects(listed, "databases")}
        names = self._asking.shown(", ".join(map(quoted, databases)) or "none")
        wanted = self._options.get("database") or (next(iter(databases)) if len(databases) == 1 else "")
        if not wanted:
            raise ServiceError(
                f"Neon's branch has {len(databases)} databases: {names}.",
                advice="Say which in the input clone-options, in a line `database=…`.",
            )
        if wanted not in databases:
            raise ServiceError(
                f"Neon's branch has no database {quoted(wanted)}.",
                why=f"It has: {names}.",
                advice="Check `database` in clone-options.",
            )
        return wanted, self._options.get("role") or self._asking.text(databases[wanted], "owner_name")

    def _parent(self) -> dict[str, Any]:
        wanted = self._options.get("branch")
        for branch in self._branches(wanted or ""):
            if branch.get("default") is True if not wanted else wanted in (branch.get("name"), branch.get("id")):
                return branch
        raise ServiceError(
            f"Neon's project has no branch {quoted(wanted)}." if wanted else "Neon's project has no default branch.",
            advice="Check the lines `project=…` and `branch=…` in the input clone-options: a branch's name or its id.",
            not_done=True,
        )

    def _named(self, name: str) -> dict[str, Any] | None:
        return next((branch for branch in self._branches(name) if branch.get("name") == name), None)

    def _branches(self, search: str) -> Iterator[dict[str, Any]]:
        asked, seen = {"search": search} if search else {}, set[str]()
        while True:
            body = self._asking.insist("GET", f"{self._project}/branches", params=asked).body
            yield from self._asking.objects(body, "branches")
            following = at(body, "pagination", "next")
            if not following or following in seen:
                return
            seen.add(following)
            asked = {**asked, "cursor": following}

    def _branch(self, handle: str) -> str:
        return f"{self._project}/branches/{quote(handle, safe='')}"


def _asking(access: Access) -> Asking:
    """A client of Neon's API."""
    return Asking("Neon", access.url or _URL, access, {"Authorization": f"Bearer {access.token}"})


SERVICE = Kind(
    name="neon",
    make=Neon,
    help="a branch of a Neon project",
    options=(
        Option("project", "the project's id, as in `shop-123456`", needed=True),
        Option("branch", "the branch whose data are rehearsed on, by name or id; the project's default branch if not given"),
        Option("database", "the database, where the branch has several"),
        Option("role", "the role that runs the migrations; the database's owner if not given"),
    ),
    needs_token="an API key of Neon's, best one of the project alone.",  # noqa: S106  why, not which
)
