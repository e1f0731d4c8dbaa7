"""Database Lab Engine: a clone is a server of its own, with the databases of a snapshot, for a user that the client names.

Its messages are worded otherwise than the engine's, which words them otherwise in each version: a client should not read them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.contract.fake_clones.door import Door
from tests.contract.fake_clones.misbehaviour import Broken, Slow
from tests.contract.fake_clones.postgres import Cluster, Database
from tests.contract.fake_clones.service import Call, Refused, Service, found, operation
from tests.contract.fake_github.calls import Answer
from tests.contract.openapi import AlsoAnswers, Errata, Json

ERRATA = Errata(
    answers=(
        AlsoAnswers(400, "Error", "every body is validated, and a protected clone is not deleted"),
        AlsoAnswers(404, "Error", "a clone may be gone, few operations list it"),
        AlsoAnswers(429, "Error", "what stands before an engine may refuse"),
        AlsoAnswers(500, "Error", "any service may fail"),
        AlsoAnswers(502, "Error", "any service may fail"),
        AlsoAnswers(503, "Error", "any service may be down"),
    )
)

ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
LEAST_BITS = 60
_CLONE = "/clone/{id}"


@dataclass(frozen=True)
class Clone:
    """A clone: `then` is the status that it has after so many looks; GONE is none. It has an address once it was started."""

    id: str
    made_at: datetime
    username: str
    password: str = field(repr=False)
    snapshot: str
    protected: bool
    database: Database
    door: Door
    code: str = "CREATING"
    polls: int = 0
    then: str = "OK"
    is_started: bool = False


class FakeDblab(Service):
    """An engine with one snapshot, of a server whose database is called `shop`. Its verification token is `token`."""

    name = "dblab"
    prefix = "/api"
    errata = ERRATA
    snapshot = "pool@snapshot_20260101000000"
    database = "shop"

    def __init__(self, cluster: Cluster, parent: Database) -> None:
        super().__init__(cluster)
        self.token = "t"
        self.max_idle_minutes = 120
        self._parent = parent
        self._idle_since: dict[str, datetime] = {}
        self._clones: dict[str, Clone] = {}

    # What tests look at

    def clone_ids(self) -> list[str]:
        """The ids of the clones that there are, those that are being deleted too."""
        with self._lock:
            return list(self._clones)

    def close(self) -> None:
        for each in self._clones.values():
            each.door.close()

    def kill(self, database: Database) -> None:
        """As everywhere; the engine notices."""
        super().kill(database)
        with self._lock:
            for each in self._clones.values():
                if each.database == database:
                    self._clones[each.id] = replace(each, code="FATAL")

    def sweep(self) -> None:
        """Clones that nobody was in for long vanish, unless they are protected."""
        now = self.now()
        for each in list(self._clones.values()):
            if each.code != "OK" or each.protected or self.cluster.sessions(each.database):
                self._idle_since[each.id] = now
            elif now - self._idle_since.get(each.id, each.made_at) > timedelta(minutes=self.max_idle_minutes):
                self._forget(each)

    def error(self, status: int, code: str, message: str, retry_after: int | None) -> Json:
        usual = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 404: "NOT_FOUND"}
        return {"code": code.upper() or usual.get(status, "INTERNAL_ERROR"), "message": message}

    # The operations

    @operation("create", "POST", "/clone", takes=(Slow, Broken))
    def create(self, call: Call) -> Answer:
        self._admit(call)
        body = call.request.body or {}
        name = self._free_id(body.get("id"))
        wanted = self._checked_account(body.get("db", {}))
        if body.get("snapshot", {}).get("id", self.snapshot) != self.snapshot:
            raise Refused(400, "bad_request", "no such snapshot")
        if body.get("branch", "main") != "main":
            raise Refused(400, "bad_request", "no such branch")
        database = self.make(template=self._parent.name, is_open=False)
        real = {wanted["username"]: database.role}
        door = Door(database.host, database.port, {self.database: database.name}, real)
        is_protected = bool(body.get("protected", False))
        made = Clone(name, self.now(), wanted["username"], wanted["password"], self.snapshot, is_protected, database, door)
        slow, broken = call.planned(Slow), call.planned(Broken)
        end = (broken.state or "FATAL") if broken else "OK"
        self._clones[name] = replace(made, polls=slow.polls if slow else 0, then=end)
        return Answer(201, self._clone(self._clones[name]))

    @operation("get", "GET", _CLONE)
    def get(self, call: Call) -> Answer:
        clone = self._moved_on(self._asked(call))
        if clone is None:
            raise Refused(404, "not_found", "clone not found")
        return Answer(200, self._clone(clone))

    @operation("delete", "DELETE", _CLONE, takes=(Slow, Broken))
    def delete(self, call: Call) -> Answer:
        clone = self._asked(call)
        if clone.protected and clone.code != "FATAL":
            raise Refused(400, "bad_request", "clone is protected")
        if not clone.is_started:
            self._forget(clone)
            return Answer(200)
        slow, broken = call.planned(Slow), call.planned(Broken)
        end = (broken.state or "FATAL") if broken else "GONE"
        self._clones[clone.id] = replace(clone, code="DELETING", polls=slow.polls if slow else 1, then=end)
        return Answer(200)

    @operation("update", "PATCH", _CLONE)
    def update(self, call: Call) -> Answer:
        clone = self._asked(call)
        changed = replace(clone, protected=bool((call.request.body or {}).get("protected", False)))
        self._clones[clone.id] = changed
        return Answer(200, self._clone(changed))

    @operation("reset", "POST", f"{_CLONE}/reset", takes=(Slow,))
    def reset(self, call: Call) -> Answer:
        clone, slow, body = self._asked(call), call.planned(Slow), call.request.body or {}
        if not clone.is_started:
            raise Refused(404, "not_found", "clone is not started")
        if body.get("latest") and body.get("snapshotID"):
            raise Refused(400, "bad_request", "the latest snapshot or another one, not both")
        if body.get("snapshotID", self.snapshot) != self.snapshot:
            raise Refused(400, "bad_request", "no such snapshot")
        self.cluster.remake(clone.database, self._parent.name)
        self._clones[clone.id] = replace(clone, code="RESETTING", polls=slow.polls if slow else 0, then="OK")
        return Answer(200)

    @operation("list", "GET", "/clones")
    def list_clones(self, call: Call) -> Answer:
        self._admit(call)
        return Answer(200, [self._clone(each) for each in reversed(self._clones.values())])

    @operation("snapshots", "GET", "/snapshots")
    def snapshots(self, call: Call) -> Answer:
        self._admit(call)
        return Answer(200, [self._snapshot()] if call.request.query.get("branch", "main") == "main" else [])

    @operation("branches", "GET", "/branches")
    def branches(self, call: Call) -> Answer:
        self._admit(call)
        main = {"name": "main", "parent": "", "dataStateAt": "2026-01-01T00:00:00Z", "snapshotID": self.snapshot}
        return Answer(200, [main])

    @operation("status", "GET", "/status")
    def status(self, call: Call) -> Answer:
        self._admit(call)
        clones = [self._clone(each) for each in self._clones.values()]
        status = {"code": "OK", "message": "Instance is ready"}
        return Answer(200, {"status": status, "engine": self._engine(), "cloning": {"numClones": len(clones), "clones": clones}})

    @operation("healthz", "GET", "/healthz")
    def healthz(self, call: Call) -> Answer:
        return Answer(200, self._engine())

    # Parts of them

    def _admit(self, call: Call) -> None:
        if call.headers.get("Verification-Token") != self.token:
            raise Refused(401, "unauthorized", "the verification token is wrong")

    def _asked(self, call: Call) -> Clone:
        self._admit(call)
        return found(self._clones, call.params["id"], "clone")

    def _free_id(self, name: str | None) -> str:
        if not name:
            return f"clone{self.number()}"
        if not ID.fullmatch(name):
            raise Refused(400, "bad_request", f"clone ID must match {ID.pattern}")
        if name in self._clones:
            raise Refused(400, "bad_request", f"there is a clone {name}")
        return name

    def _checked_account(self, wanted: Mapping[str, str]) -> Mapping[str, str]:
        for name in ("username", "password"):
            if not wanted.get(name):
                raise Refused(400, "bad_request", f"missing DB {name}")
        if wanted.get("db_name") not in {None, self.database}:
            raise Refused(400, "bad_request", "no such database")
        if bits(wanted["password"]) < LEAST_BITS:
            raise Refused(400, "bad_request", "insecure password")
        return wanted

    def _moved_on(self, clone: Clone) -> Clone | None:
        """What a clone is at one more look at it; None when it is gone."""
        if clone.code not in {"CREATING", "RESETTING", "DELETING"}:
            return clone
        if clone.polls > 0:
            self._clones[clone.id] = replace(clone, polls=clone.polls - 1)
            return clone
        if clone.then == "GONE":
            self._forget(clone)
            return None
        self._clones[clone.id] = ready = replace(clone, code=clone.then)
        if ready.code == "OK" and not ready.is_started:
            self.cluster.open(ready.database, password=ready.password)
            self._clones[clone.id] = ready = replace(ready, is_started=True)
        return ready

    def _forget(self, clone: Clone) -> None:
        del self._clones[clone.id]
        self._idle_since.pop(clone.id, None)
        clone.door.close()
        self.unmake(clone.database)

    # As JSON

    def _clone(self, clone: Clone) -> Json:
        messages = {"CREATING": "Clone is being created.", "OK": "Clone is ready to accept Postgres connections."}
        return {
            "id": clone.id,
            "snapshot": self._snapshot(),
            "protected": clone.protected,
            "createdAt": self.stamp(clone.made_at),
            "status": {"code": clone.code, "message": messages.get(clone.code, f"Clone is {clone.code}.")},
            "db": self._address(clone),
            "metadata": {"maxIdleMinutes": self.max_idle_minutes},
        }

    def _address(self, clone: Clone) -> Json:
        """Where it is, which is not known before it is ready; never the password."""
        host, port = (clone.database.host, str(clone.door.port)) if clone.is_started else ("", "")
        line = f"host={host} port={port} user={clone.username} dbname={self.database}" if clone.is_started else ""
        return {"connStr": line, "host": host, "port": port, "username": clone.username, "password": ""}

    def _snapshot(self) -> Json:
        moment = "2026-01-01T00:00:00Z"
        return {"id": self.snapshot, "createdAt": moment, "dataStateAt": moment, "pool": "pool", "numClones": len(self._clones)}

    @staticmethod
    def _engine() -> Json:
        return {"version": "v4.1.0", "edition": "standard"}


_KINDS = ("abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789", "!@$&*", "_-., ", "\"#%'()+/:;<=>?[\\]^{|}~")
_ROWS = ("abcdefghijklmnopqrstuvwxyz", "0123456789", "qwertyuiop", "asdfghjkl", "zxcvbnm")


def bits(password: str) -> float:
    """How hard a password is to guess: by its length and the kinds of characters in it. What goes on with a row of the alphabet
    or the keyboard, or repeats itself, counts for nothing after its second character.
    """
    length = sum(not _goes_on(password[max(0, at - 2) : at + 1].lower()) for at in range(len(password)))
    pool = sum(len(kind) for kind in _KINDS if set(kind) & set(password))
    return length * math.log2(pool) if pool else 0.0


def _goes_on(three: str) -> bool:
    return len(three) == 3 and (len(set(three)) == 1 or any(three in row or three[::-1] in row for row in _ROWS))
