"""instanode.dev: an empty database for whoever asks; for who has no token, a small one for a day."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from tests.contract.fake_clones.misbehaviour import Delayed, Fail, Slow
from tests.contract.fake_clones.postgres import Cluster, Database
from tests.contract.fake_clones.service import Call, Limit, Refused, Route, Service, operation
from tests.contract.fake_github.calls import Answer
from tests.contract.openapi import AlsoAnswers, AlsoHolds, AnswersWith, Errata, Json

_ITEM = {"$ref": "#/components/schemas/ResourceItem"}
_ITEM_ANSWER = {"type": "object", "properties": {"ok": {"type": "boolean"}, "item": _ITEM}}
_DELETED = {"type": "object", "properties": {"ok": {"type": "boolean"}, "message": {"type": "string"}}}
_LIST = {"anyOf": [{"$ref": "#/components/schemas/ResourceListResponse"}, {"type": "array", "items": _ITEM}]}
_ONE = "/api/v1/resources/{id}"

ERRATA = Errata(
    answers=(
        AlsoAnswers(401, "ErrorResponse", "a token nobody knows is refused everywhere, where none is needed too"),
        AlsoAnswers(409, "ErrorResponse", "a service may be busy anywhere"),
        AlsoAnswers(429, "ErrorResponse", "the limit for an address is for every route, few list it"),
        AlsoAnswers(500, "ErrorResponse", "any service may fail"),
        AlsoAnswers(502, "ErrorResponse", "any service may fail"),
        AlsoAnswers(503, "ErrorResponse", "any service may be down"),
    ),
    properties=(
        AlsoHolds(
            "components/schemas/ProvisionRequest",
            "seed_dump_url",
            '{"type": "string", "format": "uri"}',
            "a published recipe sends it; keys that are not known are accepted and told in ignored_fields",
        ),
    ),
    bodies=(
        AnswersWith("GET", _ONE, 200, json.dumps(_ITEM_ANSWER), "told in prose"),
        AnswersWith("DELETE", _ONE, 200, json.dumps(_DELETED), "told in prose"),
        AnswersWith("GET", "/api/v1/resources", 200, json.dumps(_LIST), "an older generation answered a bare array"),
    ),
)

KNOWN_FIELDS = frozenset({"name", "env", "parent_resource_id", "dedicated"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,63}")
_KEY = re.compile(r"[\x20-\x7e]{1,255}")
_KEY_LIVES = timedelta(hours=24)
_BODY_LIVES = timedelta(seconds=120)
_ANONYMOUS_LIVES = timedelta(hours=24)


@dataclass(frozen=True)
class Resource:
    """A database that was handed out; `owner` is the token it was asked for with, None for anonymous ones."""

    id: str
    token: str
    name: str
    env: str
    owner: str | None
    made_at: datetime
    database: Database

    @property
    def expires_at(self) -> datetime | None:
        """When it goes by itself: those of an owner never do."""
        return self.made_at + _ANONYMOUS_LIVES if self.owner is None else None


@dataclass(frozen=True)
class Kept:
    """A first answer, under its key or, where none was sent, under its body. While it is in flight the answer has not left:
    `polls` more tries are told so, or all while `leaving`.
    """

    body: str
    answer: Answer
    until: datetime
    polls: int = 0
    leaving: bool = False


class FakeInstanode(Service):
    """instanode.dev. `tokens` are those it knows; no token at all is an anonymous caller."""

    name = "instanode"
    errata = ERRATA

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self.tokens = {"t"}
        self.limits = (Limit(100, 60),)
        self.anonymous_a_day = 5
        self.bare_list = False  # as the older generation answered
        self.restore: Callable[[str, Database], None] | None = None  # what is done with seed_dump_url, once it is not ignored
        self._resources: dict[str, Resource] = {}
        self._kept: dict[tuple[str | None, str], Kept] = {}
        self._days: list[datetime] = []

    # What tests arrange and look at

    def spend_anonymous_cap(self) -> Database:
        """Let somebody else of this network use up the day's databases; gives the one that is handed out from now on."""
        stranger = self._provision("somebody else's", "development", None)
        self._days += [self.now()] * self.anonymous_a_day
        with self.cluster.connect(stranger.database.name) as admin:
            admin.execute("CREATE TABLE somebody_elses AS SELECT 1 AS precious")
        return stranger.database

    def sweep(self) -> None:
        now = self.now()
        for token, each in list(self._resources.items()):
            if each.expires_at and each.expires_at <= now:
                self._forget(token)
        self._kept = {key: kept for key, kept in self._kept.items() if kept.until > now}
        self._days = [at for at in self._days if at > now - timedelta(days=1)]

    def error(self, status: int, code: str, message: str, retry_after: int | None) -> Json:
        usual = {
            400: "invalid_body",
            402: "quota_exceeded",
            409: "idempotency_key_in_progress",
            429: "rate_limited",
            503: "provision_failed",
        }
        told = code or usual.get(status, "error")
        return {"ok": False, "error": told, "message": message, "retry_after_seconds": retry_after}

    # Answering once

    def respond(self, call: Call, route: Route) -> Answer:
        if route.name != "provision" or self._is_outside(call.planned(Fail)):
            return self.fail_or(call, route)
        key = call.headers.get("Idempotency-Key")
        if key is not None and not _KEY.fullmatch(key):
            raise Refused(400, "invalid_idempotency_key", "1 to 255 printable ASCII characters")
        body = json.dumps(call.request.body, sort_keys=True, default=repr)
        place = (call.bearer, f"body {body}" if key is None else f"key {key}")
        if place in self._kept:
            return self._replayed(place, body)
        try:
            answer = self.fail_or(call, route)
        except Refused as refused:  # its answer is kept too
            answer = self.refusal(refused)
        slow, until = call.planned(Slow), self.now() + (_BODY_LIVES if key is None else _KEY_LIVES)
        self._kept[place] = Kept(body, answer, until, slow.polls if slow else 0, call.planned(Delayed) is not None)
        return answer

    @staticmethod
    def _is_outside(fault: Fail | None) -> bool:
        """Whether a failure is none that is kept: too many requests, or nobody there."""
        return fault is not None and (fault.status == 429 or fault.status >= 500)

    def _replayed(self, place: tuple[str | None, str], body: str) -> Answer:
        kept = self._kept[place]
        if kept.body != body:
            raise Refused(409, "idempotency_key_conflict", "This key came with another body before.")
        if kept.leaving or kept.polls:
            self._kept[place] = replace(kept, polls=max(0, kept.polls - 1))
            raise Refused(409, "idempotency_key_in_progress", "The first request is in flight.", self.retry_after)
        return replace(kept.answer, headers={**kept.answer.headers, "X-Idempotent-Replay": "true"})

    def is_lost(self, call: Call) -> bool:
        """A slow answer too: its client has given up, and has nothing to look at, but to ask again with the same key."""
        return super().is_lost(call) or call.planned(Slow) is not None

    def answered(self, call: Call) -> None:
        if call.planned(Delayed):
            self._kept = {place: replace(kept, leaving=False) for place, kept in self._kept.items()}

    # The operations

    @operation("provision", "POST", "/db/new", takes=(Slow,))
    def provision(self, call: Call) -> Answer:
        owner, body = self._caller(call), self._provision_body(call)
        name, env = self._checked_name(body), self._checked_env(body)
        if owner is None and (body.get("dedicated") or body.get("parent_resource_id")):
            raise Refused(402, "auth_required", "Only with a token.")
        if owner is None and len(self._days) >= self.anonymous_a_day:
            return Answer(200, self._rendered(self._handed_out_again(), body))
        made = self._provision(name, env, owner)
        if self.restore and body.get("seed_dump_url"):
            self.restore(body["seed_dump_url"], made.database)
        return Answer(201, self._rendered(made, body))

    @operation("list", "GET", "/api/v1/resources")
    def list_resources(self, call: Call) -> Answer:
        owner, env = self._owner(call), call.request.query.get("env")
        own = [each for each in self._resources.values() if each.owner == owner and env in {None, each.env}]
        items = [self._item(each) for each in own]
        return Answer(200, items if self.bare_list else {"ok": True, "items": items, "total": len(items)})

    @operation("get", "GET", _ONE)
    def get(self, call: Call) -> Answer:
        return Answer(200, {"ok": True, "item": self._item(self._own(call))})

    @operation("delete", "DELETE", _ONE)
    def delete(self, call: Call) -> Answer:
        self._forget(self._own(call).token)
        return Answer(200, {"ok": True, "message": "Resource deleted"})

    # Parts of them

    def _caller(self, call: Call) -> str | None:
        """Whose token came with a call; None for none."""
        if "Authorization" in call.headers and call.bearer not in self.tokens:
            raise Refused(401, "unauthorized", "The token is not known.")
        return call.bearer

    def _owner(self, call: Call) -> str:
        owner = self._caller(call)
        if owner is None:
            raise Refused(401, "unauthorized", "This needs a token.")
        return owner

    def _own(self, call: Call) -> Resource:
        """The caller's own database of a token; anybody else's, and anonymous ones, are not there."""
        owner, token = self._owner(call), call.params["id"]
        try:
            uuid.UUID(token)
        except ValueError:
            raise Refused(400, "invalid_id", "This is no token.") from None
        resource = self._resources.get(token)
        if resource is None or resource.owner != owner:
            raise Refused(404, "not_found", "There is no such resource.")
        return resource

    @staticmethod
    def _provision_body(call: Call) -> Json:
        body: Json = call.request.body or {}
        if body and not call.headers.get("Content-Type", "").startswith("application/json"):
            raise Refused(415, "unsupported_media_type", "Send application/json.")
        return body

    @staticmethod
    def _checked_name(body: Json) -> str:
        name = body.get("name")
        if not name:
            raise Refused(400, "name_required", "A name is needed.")
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise Refused(400, "invalid_name", "1 to 64 of letters, digits, blanks, _ and -.")
        return name

    @staticmethod
    def _checked_env(body: Json) -> str:
        env = body.get("env", "development")
        if not isinstance(env, str) or not re.fullmatch(r"[a-z0-9-]{1,32}", env):
            raise Refused(400, "invalid_env", "1 to 32 of a-z, 0-9 and -.")
        return env

    def _provision(self, name: str, env: str, owner: str | None) -> Resource:
        database = self.make(most_connections=2 if owner is None else -1)
        made = Resource(str(uuid.uuid4()), str(uuid.uuid4()), name, env, owner, self.now(), database)
        self._resources[made.token] = made
        if owner is None:
            self._days.append(made.made_at)
        return made

    def _handed_out_again(self) -> Resource:
        """One that is there already: the oldest of this network."""
        there = [each for each in self._resources.values() if each.owner is None]
        return there[0] if there else self._provision("somebody else's", "development", None)

    def _forget(self, token: str) -> None:
        self.unmake(self._resources.pop(token).database)

    def _rendered(self, resource: Resource, asked: Json) -> Json:
        honoured = KNOWN_FIELDS | ({"seed_dump_url"} if self.restore else set())
        body: Json = {
            "ok": True,
            "id": resource.id,
            "token": resource.token,
            "name": resource.name,
            "connection_url": resource.database.url("postgres"),
            "env": resource.env,
        }
        if "env" not in asked:
            body["env_override_reason"] = "default_no_env_specified"
        if ignored := sorted(asked.keys() - honoured):
            body["ignored_fields"] = ignored
        return body | (self._anonymous(resource) if resource.owner is None else self._authenticated(asked))

    def _anonymous(self, resource: Resource) -> Json:
        claim = f"https://instanode.dev/claim?t={resource.token}"
        return {
            "tier": "anonymous",
            "limits": {"storage_mb": 10, "connections": 2, "expires_in": "24h"},
            "expires_at": self.stamp(resource.expires_at),
            "upgrade": claim,
            "claim_url": claim,
            "upgrade_jwt": "header.claims.signature",
        }

    @staticmethod
    def _authenticated(asked: Json) -> Json:
        limits = {"storage_mb": 1024, "connections": 20}
        return {"tier": "hobby", "limits": limits, "dedicated": bool(asked.get("dedicated", False))}

    def _item(self, resource: Resource) -> dict[str, Any]:
        return {
            "id": resource.id,
            "token": resource.token,
            "name": resource.name,
            "resource_type": "postgres",
            "status": "active",
            "tier": "hobby",
            "env": resource.env,
            "created_at": self.stamp(resource.made_at),
            "expires_at": None,
            "connections_limit": 20,
        }
