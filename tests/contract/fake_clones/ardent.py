"""Ardent: a branch of what a connector leads to. Nothing but two operations is documented, so nothing else is here.

Four things are ours, because nobody says: the status of an answer, the shape of the list, that of errors, and that a name may be
there twice. A client should depend on none of them.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

from tests.contract.fake_clones.postgres import Cluster, Database
from tests.contract.fake_clones.service import Call, Refused, Service, operation
from tests.contract.fake_github.calls import Answer
from tests.contract.openapi import Contract, Json


def _object(required: tuple[str, ...] = (), **properties: Json) -> Json:
    return {"type": "object", "properties": properties, **({"required": list(required)} if required else {})}


def _sent(schema: Json) -> Json:
    return {"content": {"application/json": {"schema": schema}}}


_TEXT: Json = {"type": "string"}
_FIELDS = ("host", "port", "username", "password", "database", "connection_uri")
_ADDRESS = _object(_FIELDS, **{**dict.fromkeys(_FIELDS, _TEXT), "port": {"type": "integer"}})
_WISH = _object(
    ("connector_id", "service_type", "name"),
    connector_id=_TEXT,
    service_type={"type": "string", "enum": ["postgres"]},
    name={"type": "string", "minLength": 1},
)
_BRANCH = _object(("id", "name"), id=_TEXT, name=_TEXT)
_BRANCHES = _object(("branches",), branches={"type": "array", "items": _BRANCH})
_ERROR = _object(("error",), error=_object(("message",), message=_TEXT, code=_TEXT))
_CONNECTOR = {"name": "connector_id", "in": "path", "required": True, "schema": _TEXT}

# There is no description by Ardent: this one says what its documentation does.
DESCRIPTION: Json = {
    "openapi": "3.1.0",
    "paths": {
        "/v1/branch/create": {
            "post": {
                "requestBody": {"required": True, **_sent(_WISH)},
                "responses": {"200": _sent(_ADDRESS), "201": _sent(_ADDRESS), "default": _sent(_ERROR)},
            }
        },
        "/v1/branches/{connector_id}": {
            "get": {"parameters": [_CONNECTOR], "responses": {"200": _sent(_BRANCHES), "default": _sent(_ERROR)}}
        },
    },
}


@dataclass(frozen=True)
class Branch:
    """A branch of a connector."""

    id: str
    name: str
    database: Database


class FakeArdent(Service):
    """Ardent with one connector. The bearer token is `token`."""

    name = "ardent"
    connector = "connector-1"

    def __init__(self, cluster: Cluster, parent: Database) -> None:
        super().__init__(cluster)
        self.token = "t"
        self.created_status = 200
        self._parent = parent
        self._branches: list[Branch] = []

    def described(self) -> Contract:
        return Contract(DESCRIPTION)

    @property
    def branches(self) -> list[str]:
        """The names of the branches that there are; one name may be there twice."""
        with self._lock:
            return [each.name for each in self._branches]

    def delete(self, name: str) -> None:
        """What a person does on Ardent's own pages; its API has no such operation."""
        with self._lock:
            for each in [each for each in self._branches if each.name == name]:
                self._branches.remove(each)
                self.unmake(each.database)

    def error(self, status: int, code: str, message: str, retry_after: int | None) -> Json:
        return {"error": {"message": message, "code": code}}

    @operation("create", "POST", "/v1/branch/create")
    def create(self, call: Call) -> Answer:
        self._admit(call)
        body: Json = call.request.body or {}
        self._check_connector(body.get("connector_id"))
        if body.get("service_type") != "postgres" or not body.get("name"):
            raise Refused(400, "invalid_request", "connector_id, service_type postgres and a name are needed")
        made = Branch(str(uuid.uuid4()), body["name"], self.make(template=self._parent.name))
        self._branches.append(made)
        return Answer(self.created_status, self._address(made.database))

    @operation("list", "GET", "/v1/branches/{connector_id}")
    def list_branches(self, call: Call) -> Answer:
        self._admit(call)
        self._check_connector(call.params["connector_id"])
        return Answer(200, {"branches": [{"id": each.id, "name": each.name} for each in self._branches]})

    def _admit(self, call: Call) -> None:
        if call.bearer != self.token:
            raise Refused(401, "unauthorized", "The token is not known.")

    def _check_connector(self, connector: object) -> None:
        if connector != self.connector:
            raise Refused(404, "not_found", "There is no such connector.")

    @staticmethod
    def _address(database: Database) -> dict[str, Any]:
        return {
            "host": database.host,
            "port": database.port,
            "username": database.role,
            "password": database.password,
            "database": database.name,
            "connection_uri": database.url(),
        }
