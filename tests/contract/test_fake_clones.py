"""The fakes of the services that hand out databases are what the services' specs and sources say: driven by plain HTTP."""

from __future__ import annotations

import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psycopg
import pytest

from bot.postgres.binaries import Needs, choose
from tests.contract.fake_clones import (
    Broken,
    Cluster,
    Database,
    Delayed,
    Dropped,
    Extra,
    Fail,
    FakeArdent,
    FakeDblab,
    FakeInstanode,
    FakeNeon,
    Lost,
    Service,
    Slow,
    Without,
    postgres,
    tcp_server,
)
from tests.contract.fake_clones.dblab import LEAST_BITS, bits
from tests.contract.openapi import (
    FOLDER_VARIABLE,
    NO_ERRATA,
    AlsoHolds,
    AnswersWith,
    Contract,
    Errata,
    Json,
    load_contract,
    needs_contract_named,
)
from tests.fix_clones import make_parent, tended
from tests.fix_postgres import POSTGRES_BIN

T = TypeVar("T")
Talk = Callable[..., httpx.Client]
NEON = f"/projects/{FakeNeon.project}"
BRANCHES = f"{NEON}/branches"
RESOURCES = "/api/v1/resources"
BEARER = {"Authorization": "Bearer t"}
GOODS = [(1, "apple"), (2, "pear"), (3, "quince")]
SECRET = "correct-Horse7battery"


@pytest.fixture
def talk() -> Iterator[Talk]:
    """Plain HTTP with a service: as whom its headers say."""
    with ExitStack() as stack:

        def client(service: Service, headers: dict[str, str] | None = None) -> httpx.Client:
            # A proxy that the environment names, and certificates, are nothing to an address on this machine.
            made = httpx.Client(base_url=service.url, headers=headers, trust_env=False, verify=False)
            return stack.enter_context(made)

        yield client


def rows(conninfo: str, query: str = "SELECT * FROM goods ORDER BY id") -> list[Any]:
    """What a query gives, as a client with that URL sees it."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        return connection.execute(query.encode()).fetchall()


def is_open(conninfo: str) -> bool:
    """Whether a URL leads into a database."""
    try:
        rows(conninfo, "SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def eventually(look: Callable[[], T]) -> T:
    """What a look shows as soon as there is something; a server in another thread gets a minute for it."""
    deadline = time.monotonic() + 60
    while not (seen := look()) and time.monotonic() < deadline:
        time.sleep(0.001)
    return seen


def keyed(key: str) -> dict[str, str]:
    """A header that makes a request one and the same however often it is sent."""
    return {"Idempotency-Key": key}


def error_of(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an error of instanode."""
    return answer.status_code, answer.json()["error"]


# --- instanode --------------------------------------------------------------------------------------


@pytest.fixture
def anybody(talk: Talk, instanode: FakeInstanode) -> httpx.Client:
    """Somebody without a token."""
    return talk(instanode)


@pytest.fixture
def owner(talk: Talk, instanode: FakeInstanode) -> httpx.Client:
    """Somebody with a token."""
    return talk(instanode, BEARER)


def provisioned(client: httpx.Client, name: str = "shop", **more: Any) -> Json:
    """What a database was handed out with."""
    answer = client.post("/db/new", json={"name": name, **more}, headers=keyed(uuid.uuid4().hex))
    assert answer.status_code == 201, answer.text
    body: Json = answer.json()
    return body


def test_instanode_201_is_a_new_empty_database_of_a_role_that_may_make_what_it_likes(anybody: httpx.Client) -> None:
    url = provisioned(anybody)["connection_url"]
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE mine (id int)")
    assert rows(url, "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace") == [("mine",)]
    assert url.startswith("postgres://")


def test_instanode_an_anonymous_answer_has_the_limits_and_the_ways_to_claim_it(anybody: httpx.Client) -> None:
    body = provisioned(anybody)
    assert body["limits"] == {"storage_mb": 10, "connections": 2, "expires_in": "24h"}
    assert body["tier"] == "anonymous"
    assert {"upgrade", "claim_url", "upgrade_jwt", "expires_at"} <= body.keys()
    assert uuid.UUID(body["id"]) != uuid.UUID(body["token"])


def test_instanode_an_owners_answer_has_no_end_and_nothing_to_claim(owner: httpx.Client) -> None:
    assert provisioned(owner).keys() & {"upgrade", "claim_url", "upgrade_jwt", "expires_at"} == set()


def test_instanode_an_anonymous_database_takes_two_connections_and_no_third(anybody: httpx.Client) -> None:
    url = provisioned(anybody)["connection_url"]
    with (
        psycopg.connect(url),
        psycopg.connect(url),
        pytest.raises(psycopg.OperationalError, match="too many connections for role"),
    ):
        psycopg.connect(url)


def test_instanode_one_database_is_closed_to_the_role_of_another(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    provisioned(anybody, "one"), provisioned(anybody, "other")
    one, other = instanode.databases()
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(one.url().replace(one.name, other.name))


def test_instanode_200_after_the_daily_cap_is_an_existing_database(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    names = [f"shop {n}" for n in range(instanode.anonymous_a_day)]
    first, *_ = [provisioned(anybody, name) for name in names]
    answer = anybody.post("/db/new", json={"name": "one more"}, headers=keyed("k"))
    assert (answer.status_code, answer.json()["connection_url"]) == (200, first["connection_url"])
    assert len(instanode.databases()) == 5


def test_instanode_200_may_be_somebody_elses_database_with_data_in_it(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    theirs = instanode.spend_anonymous_cap()
    answer = anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k"))
    assert (answer.status_code, answer.json()["name"]) == (200, "somebody else's")
    assert theirs.name in answer.json()["connection_url"]
    with instanode.cluster.connect(theirs.name) as admin:
        assert admin.execute("SELECT precious FROM somebody_elses").fetchall() == [(1,)]


def test_instanode_the_cap_is_for_a_day_and_for_anonymous_callers(
    anybody: httpx.Client, owner: httpx.Client, instanode: FakeInstanode
) -> None:
    instanode.spend_anonymous_cap()
    provisioned(owner)
    instanode.later(hours=25)
    provisioned(anybody)


@pytest.mark.parametrize("name", ["a", "9", "Shop 7 pull_1-2", "a" * 64])
def test_instanode_a_name(anybody: httpx.Client, name: str) -> None:
    assert provisioned(anybody, name)["name"] == name


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "name_required"),
        ({"name": ""}, "name_required"),
        ({"name": "-a"}, "invalid_name"),
        ({"name": "a.b"}, "invalid_name"),
        ({"name": "a" * 65}, "invalid_name"),
        ({"name": "a", "env": "Test"}, "invalid_env"),
    ],
)
def test_instanode_400_for_a_body_it_does_not_take(
    anybody: httpx.Client, instanode: FakeInstanode, body: Json, code: str
) -> None:
    assert error_of(anybody.post("/db/new", json=body)) == (400, code)
    assert instanode.databases() == []
    instanode.take_problems()


def test_instanode_keys_it_does_not_know_are_accepted_and_told_in_ignored_fields(anybody: httpx.Client) -> None:
    body = provisioned(anybody, seed_dump_url="https://example.com/dump.sql")
    assert body["ignored_fields"] == ["seed_dump_url"]
    assert "ignored_fields" not in provisioned(anybody)


def test_instanode_a_dump_that_is_not_ignored_is_restored(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    def restore(url: str, database: Database) -> None:
        with psycopg.connect(database.url()) as connection:
            connection.execute("CREATE TABLE restored (url text)")
            connection.execute("INSERT INTO restored VALUES (%s)", [url])

    instanode.restore = restore
    body = provisioned(anybody, seed_dump_url="https://example.com/dump.sql")
    assert "ignored_fields" not in body
    assert rows(body["connection_url"], "SELECT url FROM restored") == [("https://example.com/dump.sql",)]


def test_instanode_a_key_replays_its_answer_for_a_day(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    def ask() -> httpx.Response:
        return anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k"))

    first, second = ask(), ask()
    assert (second.status_code, second.json()) == (201, first.json())
    assert "X-Idempotent-Replay" not in first.headers
    assert second.headers["X-Idempotent-Replay"] == "true"
    instanode.later(hours=23)
    assert ask().json() == first.json()
    instanode.later(hours=1)
    assert ask().json()["token"] != first.json()["token"]


def test_instanode_a_key_belongs_to_one_caller(anybody: httpx.Client, owner: httpx.Client) -> None:
    tokens = {who.post("/db/new", json={"name": "shop"}, headers=keyed("k")).json()["token"] for who in (anybody, owner)}
    assert len(tokens) == 2


def test_instanode_409_for_a_key_with_another_body(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k"))
    answer = anybody.post("/db/new", json={"name": "other"}, headers=keyed("k"))
    assert error_of(answer) == (409, "idempotency_key_conflict")
    assert len(instanode.databases()) == 1


def test_instanode_409_while_a_key_is_in_flight_then_its_answer(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    instanode.next("provision", Slow(2))
    with pytest.raises(httpx.RemoteProtocolError):
        anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k"))
    tries = [anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k")) for _ in range(3)]
    assert [each.status_code for each in tries] == [409, 409, 201]
    assert error_of(tries[0]) == (409, "idempotency_key_in_progress")
    assert (tries[0].json()["retry_after_seconds"], tries[0].headers["Retry-After"]) == (0, "0")
    assert len(instanode.databases()) == 1


def test_instanode_409_while_another_connection_waits_for_the_same_key(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    instanode.next("provision", Delayed(60))

    def ask() -> httpx.Response:
        return anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k"))

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask)
        eventually(instanode.databases)
        assert error_of(ask()) == (409, "idempotency_key_in_progress")
        instanode.hasten()
        assert first.result().json() == ask().json()


@pytest.mark.parametrize(("status", "again"), [(402, 402), (400, 400), (503, 201), (500, 201), (429, 201)])
def test_instanode_4xx_answers_are_cached_under_the_key_and_5xx_are_not(
    anybody: httpx.Client, instanode: FakeInstanode, status: int, again: int
) -> None:
    instanode.next("provision", Fail(status))
    tries = [anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k")) for _ in range(2)]
    assert [each.status_code for each in tries] == [status, again]


def test_instanode_its_own_400_is_cached_under_the_key(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    tries = [anybody.post("/db/new", json={}, headers=keyed("k")) for _ in range(2)]
    assert [("X-Idempotent-Replay" in each.headers, *error_of(each)) for each in tries] == [
        (False, 400, "name_required"),
        (True, 400, "name_required"),
    ]
    instanode.take_problems()


@pytest.mark.parametrize("key", ["", "k" * 256, "k\u00e9"])
def test_instanode_a_key_is_1_to_255_printable_ascii(anybody: httpx.Client, instanode: FakeInstanode, key: str) -> None:
    answer = anybody.post("/db/new", json={"name": "shop"}, headers={b"Idempotency-Key": key.encode("latin-1")})
    assert error_of(answer) == (400, "invalid_idempotency_key")
    instanode.take_problems()


def test_instanode_without_a_key_an_identical_body_replays_for_120_s(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    def ask(name: str = "shop") -> str:
        token: str = anybody.post("/db/new", json={"name": name}).json()["token"]
        return token

    first = ask()
    assert ask() == first
    assert ask("other") != first
    instanode.later(seconds=119)
    assert ask() == first
    instanode.later(seconds=2)
    assert ask() != first


def test_instanode_a_lost_answer_is_had_again_with_its_key(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    instanode.next("provision", Lost())
    with pytest.raises(httpx.RemoteProtocolError):
        anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k"))
    answer = anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k"))
    assert [each.url("postgres") for each in instanode.databases()] == [answer.json()["connection_url"]]


def test_instanode_delete_takes_the_token(owner: httpx.Client, instanode: FakeInstanode) -> None:
    body = provisioned(owner)
    assert owner.delete(f"{RESOURCES}/{body['token']}").json() == {"ok": True, "message": "Resource deleted"}
    assert instanode.databases() == []
    assert not is_open(body["connection_url"])


def test_instanode_404_for_a_delete_by_id(owner: httpx.Client, instanode: FakeInstanode) -> None:
    body = provisioned(owner)
    assert error_of(owner.delete(f"{RESOURCES}/{body['id']}")) == (404, "not_found")
    assert is_open(body["connection_url"])


def test_instanode_404_for_a_second_delete_and_400_for_what_is_no_token(owner: httpx.Client, instanode: FakeInstanode) -> None:
    token = provisioned(owner)["token"]
    assert [owner.delete(f"{RESOURCES}/{token}").status_code for _ in range(2)] == [200, 404]
    assert error_of(owner.delete(f"{RESOURCES}/shop")) == (400, "invalid_id")
    instanode.take_problems()


def test_instanode_delete_and_list_need_a_token_and_ownership(
    talk: Talk, anybody: httpx.Client, owner: httpx.Client, instanode: FakeInstanode
) -> None:
    instanode.tokens.add("u")
    other = talk(instanode, {"Authorization": "Bearer u"})
    one = f"{RESOURCES}/{provisioned(owner)['token']}"
    assert [anybody.delete(one).status_code, other.delete(one).status_code] == [401, 404]
    assert [anybody.get(RESOURCES).status_code, other.get(RESOURCES).json()["total"]] == [401, 0]
    assert len(instanode.databases()) == 1


def test_instanode_401_for_a_token_it_does_not_know(talk: Talk, instanode: FakeInstanode) -> None:
    wrong = talk(instanode, {"Authorization": "Bearer wrong"})
    assert [wrong.post("/db/new", json={"name": "a"}).status_code, wrong.get(RESOURCES).status_code] == [401, 401]


def test_instanode_an_anonymous_database_cannot_be_deleted(
    anybody: httpx.Client, owner: httpx.Client, instanode: FakeInstanode
) -> None:
    one = f"{RESOURCES}/{provisioned(anybody)['token']}"
    assert [anybody.delete(one).status_code, owner.delete(one).status_code] == [401, 404]
    assert len(instanode.databases()) == 1


def test_instanode_anonymous_databases_expire_after_a_day_and_those_of_an_owner_never(
    anybody: httpx.Client, owner: httpx.Client, instanode: FakeInstanode
) -> None:
    passing, staying = provisioned(anybody)["connection_url"], provisioned(owner)["connection_url"]
    instanode.later(hours=23)
    assert (is_open(passing), is_open(staying)) == (True, True)
    instanode.later(hours=1)
    assert (is_open(passing), is_open(staying)) == (False, True)
    instanode.later(days=365)
    assert is_open(staying)


def test_instanode_the_list_is_an_object_and_was_a_bare_array(owner: httpx.Client, instanode: FakeInstanode) -> None:
    token = provisioned(owner)["token"]
    told = owner.get(RESOURCES).json()
    assert (told["ok"], told["total"], [each["token"] for each in told["items"]]) == (True, 1, [token])
    assert owner.get(f"{RESOURCES}/{token}").json()["item"] == told["items"][0]
    instanode.bare_list = True
    assert owner.get(RESOURCES).json() == told["items"]


@pytest.mark.parametrize(
    ("fault", "code", "wait"),
    [
        (Fail(402), "quota_exceeded", None),
        (Fail(402, "free_tier_recycle_requires_claim"), "free_tier_recycle_requires_claim", None),
        (Fail(429), "rate_limited", 0),
        (Fail(503, retry_after=30), "provision_failed", 30),
    ],
)
def test_instanode_errors(anybody: httpx.Client, instanode: FakeInstanode, fault: Fail, code: str, wait: int | None) -> None:
    instanode.next("provision", fault)
    answer = anybody.post("/db/new", json={"name": "shop"}, headers=keyed("k"))
    assert error_of(answer) == (fault.status, code)
    assert (answer.json()["ok"], answer.json()["retry_after_seconds"]) == (False, wait)
    assert answer.headers.get("Retry-After") == (None if wait is None else str(wait))
    assert instanode.databases() == []


def test_instanode_415_for_a_body_of_another_kind(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    answer = anybody.post("/db/new", content=b'{"name": "a"}', headers={"Content-Type": "text/plain"})
    assert error_of(answer) == (415, "unsupported_media_type")
    assert "not sent as application/json" in instanode.take_problems()[0]


def test_instanode_429_for_more_than_a_hundred_requests_a_minute(owner: httpx.Client, instanode: FakeInstanode) -> None:
    assert [limit.most for limit in instanode.limits] == [100]
    statuses = [owner.get(RESOURCES).status_code for _ in range(101)]
    assert (set(statuses[:100]), statuses[100]) == ({200}, 429)
    instanode.later(minutes=1)
    assert owner.get(RESOURCES).status_code == 200


# --- Neon -------------------------------------------------------------------------------------------


@pytest.fixture
def console(talk: Talk, neon: FakeNeon) -> httpx.Client:
    """Somebody with Neon's key."""
    return talk(neon, BEARER)


def wish(name: str = "rehearsal-1", endpoint: bool = True, **branch: str) -> Json:
    """The body that asks for a branch."""
    endpoints = [{"type": "read_write"}] if endpoint else []
    return {"endpoints": endpoints, "branch": {"parent_id": FakeNeon.main, "name": name, **branch}}


def branched(client: httpx.Client, *arguments: Any, **more: Any) -> Json:
    """What a new branch is told with."""
    answer = client.post(BRANCHES, json=wish(*arguments, **more))
    assert answer.status_code == 201, answer.text
    body: Json = answer.json()
    return body


def uri_of(client: httpx.Client, branch_id: str) -> httpx.Response:
    """The connection URI of a branch's only database."""
    return client.get(
        f"{NEON}/connection_uri", params={"branch_id": branch_id, "database_name": "shop", "role_name": "shop_owner"}
    )


def looks(client: httpx.Client, operation: Json, times: int) -> list[str]:
    """The statuses that an operation has at so many looks."""
    address = f"{NEON}/operations/{operation['id']}"
    return [client.get(address).json()["operation"]["status"] for _ in range(times)]


def test_neon_a_branch_holds_its_parents_data_and_changes_to_it_stay_there(console: httpx.Client, neon: FakeNeon) -> None:
    (uri,) = branched(console)["connection_uris"]
    with psycopg.connect(uri["connection_uri"]) as connection:
        assert connection.execute("SELECT * FROM goods ORDER BY id").fetchall() == GOODS
        connection.execute("ALTER TABLE goods ADD COLUMN price int")  # which needs an owner's rights
        connection.execute("DELETE FROM goods")
    second = branched(console, "rehearsal-2")["connection_uris"][0]["connection_uri"]
    assert rows(second) == GOODS


def test_neon_a_branch_of_a_branch(console: httpx.Client) -> None:
    first = branched(console)
    with psycopg.connect(first["connection_uris"][0]["connection_uri"]) as connection:
        connection.execute("DELETE FROM goods WHERE id > 1")
    second = branched(console, "rehearsal-2", parent_id=first["branch"]["id"])
    assert rows(second["connection_uris"][0]["connection_uri"]) == GOODS[:1]


def test_neon_an_answer_names_branch_endpoints_operations_roles_and_databases(console: httpx.Client) -> None:
    body = branched(console)
    assert body.keys() == {"branch", "endpoints", "operations", "roles", "databases", "connection_uris"}
    assert [each["action"] for each in body["operations"]] == ["create_branch", "start_compute"]
    assert [each["name"] for each in body["databases"]] == ["shop"]


def test_neon_no_endpoint_is_created_unless_asked_for(console: httpx.Client) -> None:
    body = branched(console, endpoint=False)
    assert (body["endpoints"], "connection_uris" in body) == ([], False)
    assert console.get(f"{BRANCHES}/{body['branch']['id']}/endpoints").json() == {"endpoints": []}
    assert uri_of(console, body["branch"]["id"]).status_code == 404


@pytest.mark.parametrize("more", ["database", "role"])
def test_neon_connection_uris_are_left_out_with_several_roles_or_databases(
    console: httpx.Client, neon: FakeNeon, parent: Database, more: str
) -> None:
    neon.add_database("stock", parent) if more == "database" else neon.add_role("reader")
    body = branched(console)
    assert "connection_uris" not in body
    assert rows(uri_of(console, body["branch"]["id"]).json()["uri"]) == GOODS
    assert len(body[f"{more}s"]) == 2
    told = console.get(f"{BRANCHES}/{body['branch']['id']}/{more}s").json()
    assert told == {f"{more}s": body[f"{more}s"]}


@pytest.mark.parametrize(("name", "value"), [("database_name", "x"), ("role_name", "x"), ("branch_id", "br-x")])
def test_neon_404_for_the_uri_of_what_is_not_there(console: httpx.Client, name: str, value: str) -> None:
    branch = branched(console)["branch"]["id"]
    query = {"branch_id": branch, "database_name": "shop", "role_name": "shop_owner", name: value}
    assert console.get(f"{NEON}/connection_uri", params=query).status_code == 404


def test_neon_an_operation_is_looked_at_until_it_is_finished_and_only_then_is_the_database_open(
    console: httpx.Client, neon: FakeNeon
) -> None:
    neon.next("create", Slow(2))
    body = branched(console)
    uri = body["connection_uris"][0]["connection_uri"]
    assert {each["status"] for each in body["operations"]} == {"running"}
    start = body["operations"][-1]
    assert looks(console, start, 2) == ["running", "running"]
    assert not is_open(uri)
    assert looks(console, start, 2) == ["finished", "finished"]
    assert is_open(uri)


def test_neon_looks_at_the_branch_or_its_endpoint_do_too_where_the_operations_are_not_known(
    console: httpx.Client, neon: FakeNeon
) -> None:
    neon.next("create", Slow(2), Lost())
    with pytest.raises(httpx.RemoteProtocolError):
        branched(console)
    (found,) = console.get(BRANCHES, params={"search": "rehearsal-1"}).json()["branches"]
    one = f"{BRANCHES}/{found['id']}"
    assert [console.get(one).json()["branch"]["current_state"] for _ in range(2)] == ["init", "init"]
    (endpoint,) = console.get(f"{one}/endpoints").json()["endpoints"]
    assert (endpoint["current_state"], "pending_state" in endpoint) == ("active", False)
    assert console.get(one).json()["branch"]["current_state"] == "ready"
    assert rows(uri_of(console, found["id"]).json()["uri"]) == GOODS


@pytest.mark.parametrize("end", ["failed", "error", "cancelled", "skipped"])
def test_neon_an_operation_that_fails_leaves_a_branch_that_must_be_deleted(
    console: httpx.Client, neon: FakeNeon, end: str
) -> None:
    neon.next("create", Slow(1), Broken(end))
    body = branched(console)
    assert looks(console, body["operations"][-1], 2) == ["running", end]
    assert not is_open(body["connection_uris"][0]["connection_uri"])
    assert neon.branches == ["rehearsal-1"]
    assert console.delete(f"{BRANCHES}/{body['branch']['id']}").status_code == 200
    assert neon.databases() == []


def test_neon_delete_is_200_and_204_when_it_is_already_gone(console: httpx.Client, neon: FakeNeon) -> None:
    one = f"{BRANCHES}/{branched(console)['branch']['id']}"
    first, second = console.delete(one), console.delete(one)
    assert (first.status_code, second.status_code, second.content) == (200, 204, b"")
    assert looks(console, first.json()["operations"][0], 1) == ["finished"]
    assert (neon.databases(), console.get(one).status_code) == ([], 404)


def test_neon_a_branch_with_children_is_not_deleted(console: httpx.Client) -> None:
    first = branched(console)["branch"]["id"]
    second = branched(console, "rehearsal-2", parent_id=first)["branch"]["id"]
    assert [console.delete(f"{BRANCHES}/{each}").status_code for each in (first, second, first)] == [422, 200, 200]


def test_neon_to_delete_the_main_branch_is_a_problem(console: httpx.Client, neon: FakeNeon) -> None:
    assert console.delete(f"{BRANCHES}/{neon.main}").status_code == 422
    assert "deletes the project's main branch" in neon.take_problems()[0]


def test_neon_a_branch_whose_answer_was_lost_is_found_by_its_name(console: httpx.Client, neon: FakeNeon) -> None:
    branched(console, "rehearsal-10")
    neon.next("create", Lost())
    with pytest.raises(httpx.RemoteProtocolError):
        branched(console, "rehearsal-1")
    answer = console.get(BRANCHES, params={"search": "rehearsal-1"}).json()
    assert {each["name"] for each in answer["branches"]} == {"rehearsal-10", "rehearsal-1"}  # a part of a name is enough
    found = next(each for each in answer["branches"] if each["name"] == "rehearsal-1")
    assert rows(uri_of(console, found["id"]).json()["uri"]) == GOODS
    one = console.get(f"{BRANCHES}/{found['id']}").json()
    assert one["branch"] == found


def test_neon_a_list_comes_in_pages(console: httpx.Client, neon: FakeNeon) -> None:
    branched(console)
    neon.page_size = 1
    first = console.get(BRANCHES).json()
    second = console.get(BRANCHES, params={"cursor": first["pagination"]["next"]}).json()
    assert [each["name"] for page in (first, second) for each in page["branches"]] == ["rehearsal-1", "main"]
    assert "pagination" not in second


def test_neon_there_is_no_idempotency_and_a_name_is_there_once(console: httpx.Client, neon: FakeNeon) -> None:
    branched(console)
    again = console.post(BRANCHES, json=wish(), headers=keyed("k"))
    assert (again.status_code, again.json()["code"]) == (409, "BRANCH_ALREADY_EXISTS")
    assert len(neon.databases()) == 1


@pytest.mark.parametrize(("days", "status"), [(1, 201), (29.9, 201), (30.1, 400), (-1, 400)])
def test_neon_expires_at_is_at_most_30_days_ahead(console: httpx.Client, days: float, status: int) -> None:
    expires_at = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    answer = console.post(BRANCHES, json=wish(expires_at=expires_at))
    assert answer.status_code == status
    assert "expires_at" in (answer.json()["branch"] if status == 201 else answer.json()["message"])


@needs_contract_named("neon")
@pytest.mark.parametrize("text", ["tomorrow", "2026-12-01T00:00:00", "1767225600"])
def test_neon_expires_at_is_of_rfc_3339(console: httpx.Client, neon: FakeNeon, text: str) -> None:
    assert console.post(BRANCHES, json=wish(expires_at=text)).status_code == 400
    assert "is not a 'date-time'" in neon.take_problems()[0]


def test_neon_a_branch_expires(console: httpx.Client, neon: FakeNeon) -> None:
    body = branched(console, expires_at=(datetime.now(UTC) + timedelta(hours=1)).isoformat())
    branched(console, "stays")
    neon.later(hours=2)
    assert (neon.branches, is_open(body["connection_uris"][0]["connection_uri"])) == (["stays"], False)


@pytest.mark.parametrize("status", [423, 429, 503])
def test_neon_what_is_to_be_retried(console: httpx.Client, neon: FakeNeon, status: int) -> None:
    neon.next("create", Fail(status), times=2)
    tries = [console.post(BRANCHES, json=wish()) for _ in range(3)]
    assert [each.status_code for each in tries] == [status, status, 201]
    assert tries[0].json().keys() == {"request_id", "code", "message"}


def test_neon_700_requests_a_minute_and_40_a_second_for_a_route(console: httpx.Client, neon: FakeNeon) -> None:
    assert [(limit.most, limit.seconds, limit.each_route) for limit in neon.limits] == [(700, 60, False), (40, 1, True)]
    neon.limits = tuple(type(limit)(limit.most // 20, limit.seconds * 60, limit.each_route) for limit in neon.limits)
    assert [console.get(NEON).status_code for _ in range(3)] == [200, 200, 429]
    assert console.get(BRANCHES).status_code == 200  # another route
    neon.later(minutes=60)
    assert console.get(NEON).status_code == 200


@pytest.mark.parametrize(("headers", "path", "status"), [({}, NEON, 401), (BEARER, "/projects/other", 404)])
def test_neon_needs_its_key_and_knows_its_project(
    talk: Talk, neon: FakeNeon, headers: dict[str, str], path: str, status: int
) -> None:
    client = talk(neon, headers)
    assert [client.get(path).status_code, client.get(f"{path}/branches").status_code] == [status, status]


# --- Database Lab Engine ----------------------------------------------------------------------------


@pytest.fixture
def engine(talk: Talk, dblab: FakeDblab) -> httpx.Client:
    """Somebody with the engine's token."""
    return talk(dblab, {"Verification-Token": "t"})


def clone_wish(name: str = "rehearsal-1", **more: Any) -> Json:
    """The body that asks for a clone."""
    db = {"username": "tester", "password": SECRET, "db_name": "shop", **more.pop("db", {})}
    return {"id": name, "snapshot": {"id": FakeDblab.snapshot}, "branch": "main", "protected": False, "db": db, **more}


def cloned(client: httpx.Client, name: str = "rehearsal-1", **more: Any) -> Json:
    """A clone that is ready, as it is told."""
    assert client.post("/clone", json=clone_wish(name, **more)).status_code == 201
    body: Json = client.get(f"/clone/{name}").json()
    assert body["status"]["code"] == "OK"
    return body


def address(clone: Json, password: str = SECRET) -> str:
    """Where a client connects to a clone: it knows the password and the database's name by itself."""
    db = clone["db"]
    return f"host={db['host']} port={db['port']} user={db['username']} password={password} dbname=shop"


def test_dblab_a_new_clone_is_being_created_and_is_looked_at_until_it_is_ok(engine: httpx.Client, dblab: FakeDblab) -> None:
    dblab.next("create", Slow(2))
    answer = engine.post("/clone", json=clone_wish())
    assert (answer.status_code, answer.json()["status"]["code"]) == (201, "CREATING")
    assert [engine.get("/clone/rehearsal-1").json()["status"]["code"] for _ in range(4)] == ["CREATING", "CREATING", "OK", "OK"]


def test_dblab_a_clone_that_is_being_created_has_no_address_yet(engine: httpx.Client) -> None:
    db = engine.post("/clone", json=clone_wish()).json()["db"]
    assert (db["host"], db["port"], db["connStr"]) == ("", "", "")


def test_dblab_a_clone_has_the_snapshots_data_and_the_users_rights(engine: httpx.Client) -> None:
    with psycopg.connect(address(cloned(engine))) as connection:
        assert connection.execute("SELECT * FROM goods ORDER BY id").fetchall() == GOODS
        connection.execute("ALTER TABLE goods ADD COLUMN price int")


def test_dblab_the_port_is_text_and_the_password_is_not_echoed(engine: httpx.Client) -> None:
    clone = cloned(engine)
    assert clone["db"]["port"].isdecimal()
    assert SECRET not in str(clone)


def test_dblab_two_clones_have_a_port_each_for_the_same_user_and_database(engine: httpx.Client) -> None:
    first, second = cloned(engine), cloned(engine, "rehearsal-2", db={"password": SECRET + "2"})
    rows(address(first), "DELETE FROM goods RETURNING 1")
    assert (rows(address(first)), rows(address(second, SECRET + "2"))) == ([], GOODS)
    assert not is_open(address(second))  # the first one's password


def test_dblab_a_statement_can_be_cancelled_through_a_clones_own_port(engine: httpx.Client) -> None:
    with psycopg.connect(address(cloned(engine))) as connection, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(connection.execute, "SELECT pg_sleep(60)")
        while not waiting.done():
            connection.cancel_safe()
        with pytest.raises(psycopg.errors.QueryCanceled):
            waiting.result()


def test_dblab_400_for_a_repeated_id_whose_clone_stays(engine: httpx.Client, dblab: FakeDblab) -> None:
    clone = cloned(engine)
    again = engine.post("/clone", json=clone_wish())
    assert (again.status_code, again.json()["code"]) == (400, "BAD_REQUEST")
    assert (dblab.clone_ids(), rows(address(clone))) == (["rehearsal-1"], GOODS)


def test_dblab_a_clone_whose_answer_was_lost_is_found_by_its_id(engine: httpx.Client, dblab: FakeDblab) -> None:
    dblab.next("create", Lost())
    with pytest.raises(httpx.RemoteProtocolError):
        engine.post("/clone", json=clone_wish())
    assert rows(address(engine.get("/clone/rehearsal-1").json())) == GOODS


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"name": "-a"}, "clone ID must match"),
        ({"name": "a b"}, "clone ID must match"),
        ({"db": {"username": ""}}, "missing DB username"),
        ({"db": {"password": ""}}, "missing DB password"),
        ({"db": {"password": "shop1234"}}, "insecure password"),
        ({"snapshot": {"id": "other"}}, "no such snapshot"),
        ({"branch": "other"}, "no such branch"),
    ],
)
def test_dblab_400_for_a_wish_it_does_not_take(engine: httpx.Client, dblab: FakeDblab, more: Json, message: str) -> None:
    answer = engine.post("/clone", json=clone_wish(**more))
    assert (answer.status_code, answer.json()["message"][: len(message)]) == (400, message)
    assert dblab.databases() == []


@pytest.mark.parametrize(
    ("password", "is_enough"),
    [
        ("7f3a9c1e5b2d", True),  # 36 ** 12 is just above 2 ** 60
        ("7f3a9c1e5b2", False),
        ("kxvqwjzmtrbph", True),
        ("kxvqwjzmtrbp", False),
        ("kX7-vQ2_w!", True),
        ("0123456789abcdefghijkl", False),
        ("qwertyuiopasdfghjklzxcvbnm", False),
        ("lkjihgfedcba9876543210", False),
        ("a" * 100, False),
        ("", False),
    ],
)
def test_dblab_a_password_needs_60_bits(password: str, is_enough: bool) -> None:
    assert (bits(password) >= LEAST_BITS) == is_enough


def test_dblab_a_delete_happens_in_the_background_until_404(engine: httpx.Client, dblab: FakeDblab) -> None:
    clone = cloned(engine)
    dblab.next("delete", Slow(2))
    assert engine.delete("/clone/rehearsal-1").status_code == 200
    answers = [engine.get("/clone/rehearsal-1") for _ in range(3)]
    assert [each.status_code for each in answers] == [200, 200, 404]
    assert {each.json()["status"]["code"] for each in answers[:2]} == {"DELETING"}
    assert (dblab.databases(), is_open(address(clone)), engine.delete("/clone/rehearsal-1").status_code) == ([], False, 404)


def test_dblab_a_protected_clone_is_not_deleted_before_it_is_patched(engine: httpx.Client, dblab: FakeDblab) -> None:
    cloned(engine, protected=True)
    assert engine.delete("/clone/rehearsal-1").json()["message"] == "clone is protected"
    assert len(dblab.databases()) == 1
    assert engine.patch("/clone/rehearsal-1", json={"protected": False}).json()["protected"] is False
    assert engine.delete("/clone/rehearsal-1").status_code == 200


def test_dblab_a_clone_may_turn_out_fatal_and_must_be_deleted(engine: httpx.Client, dblab: FakeDblab) -> None:
    dblab.next("create", Slow(1), Broken())
    engine.post("/clone", json=clone_wish())
    assert [engine.get("/clone/rehearsal-1").json()["status"]["code"] for _ in range(2)] == ["CREATING", "FATAL"]
    assert len(dblab.databases()) == 1
    engine.delete("/clone/rehearsal-1")
    assert (engine.get("/clone/rehearsal-1").status_code, dblab.databases()) == (404, [])


def test_dblab_a_fatal_clone_is_deleted_though_it_is_protected(engine: httpx.Client, dblab: FakeDblab) -> None:
    cloned(engine, protected=True)
    dblab.kill(dblab.databases()[0])
    assert engine.delete("/clone/rehearsal-1").status_code == 200


def test_dblab_a_delete_that_fails_in_the_background_leaves_a_fatal_clone(engine: httpx.Client, dblab: FakeDblab) -> None:
    cloned(engine)
    dblab.next("delete", Broken())
    engine.delete("/clone/rehearsal-1")
    assert [engine.get("/clone/rehearsal-1").json()["status"]["code"] for _ in range(2)] == ["DELETING", "FATAL"]
    assert len(dblab.databases()) == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 200),
        ({"snapshotID": FakeDblab.snapshot}, 200),
        ({"snapshotID": "other"}, 400),
        ({"snapshotID": FakeDblab.snapshot, "latest": True}, 400),
    ],
)
def test_dblab_what_a_clone_is_reset_to(engine: httpx.Client, body: Json, status: int) -> None:
    engine.post("/clone", json=clone_wish())
    assert engine.post("/clone/rehearsal-1/reset", json=body).status_code == 404  # it is not started yet
    engine.get("/clone/rehearsal-1")
    assert engine.post("/clone/rehearsal-1/reset", json=body).status_code == status


def test_dblab_a_reset_clone_is_as_it_was(engine: httpx.Client, dblab: FakeDblab) -> None:
    clone = cloned(engine)
    rows(address(clone), "DELETE FROM goods RETURNING 1")
    dblab.next("reset", Slow(1))
    assert engine.post("/clone/rehearsal-1/reset", json={"latest": True}).status_code == 200
    assert [engine.get("/clone/rehearsal-1").json()["status"]["code"] for _ in range(2)] == ["RESETTING", "OK"]
    assert rows(address(clone)) == GOODS


def test_dblab_idle_clones_vanish_after_max_idle_minutes(engine: httpx.Client, dblab: FakeDblab) -> None:
    idle, busy = cloned(engine, "idle"), cloned(engine, "busy")
    cloned(engine, "protected", protected=True)
    assert idle["metadata"]["maxIdleMinutes"] == 120
    with psycopg.connect(address(busy)):
        dblab.later(minutes=119)
        assert dblab.clone_ids() == ["idle", "busy", "protected"]
        dblab.later(minutes=2)
        assert dblab.clone_ids() == ["busy", "protected"]
    assert engine.get("/clone/idle").status_code == 404


@pytest.mark.parametrize("path", ["/clone/rehearsal-1", "/clones", "/snapshots", "/branches", "/status"])
def test_dblab_401_for_a_wrong_verification_token(talk: Talk, dblab: FakeDblab, path: str) -> None:
    assert talk(dblab, {"Verification-Token": "wrong"}).get(path).status_code == 401
    assert talk(dblab).get("/healthz").status_code == 200


@needs_contract_named("dblab")
def test_dblab_a_missing_verification_token_is_a_problem(talk: Talk, dblab: FakeDblab) -> None:
    assert talk(dblab).get("/clones").status_code == 401
    assert dblab.take_problems() == ["dblab: GET /api/clones: header parameter Verification-Token is missing"]


def test_dblab_what_there_is(engine: httpx.Client) -> None:
    cloned(engine), cloned(engine, "rehearsal-2")
    assert [each["id"] for each in engine.get("/clones").json()] == ["rehearsal-2", "rehearsal-1"]
    assert [each["id"] for each in engine.get("/snapshots").json()] == [FakeDblab.snapshot]
    assert [each["name"] for each in engine.get("/branches").json()] == ["main"]
    assert engine.get("/status").json()["cloning"]["numClones"] == 2


# --- Ardent -----------------------------------------------------------------------------------------


@pytest.fixture
def connector(talk: Talk, ardent: FakeArdent) -> httpx.Client:
    """Somebody with Ardent's key."""
    return talk(ardent, BEARER)


BRANCH = {"connector_id": FakeArdent.connector, "service_type": "postgres", "name": "rehearsal-1"}


@pytest.mark.parametrize("status", [200, 201])
def test_ardent_a_branch_is_there_at_once_with_all_that_leads_to_it(
    connector: httpx.Client, ardent: FakeArdent, status: int
) -> None:
    ardent.created_status = status
    answer = connector.post("/v1/branch/create", json=BRANCH)
    body = answer.json()
    assert answer.status_code == status
    assert body.keys() == {"host", "port", "username", "password", "database", "connection_uri"}
    by_parts = "host={host} port={port} user={username} password={password} dbname={database}".format(**body)
    assert rows(body["connection_uri"]) == rows(by_parts) == GOODS


def test_ardent_the_branches_of_a_connector_are_listed(connector: httpx.Client) -> None:
    connector.post("/v1/branch/create", json=BRANCH)
    listed = connector.get(f"/v1/branches/{FakeArdent.connector}").json()["branches"]
    assert [each["name"] for each in listed] == ["rehearsal-1"]
    assert connector.get("/v1/branches/other").status_code == 404


def test_ardent_has_no_delete(connector: httpx.Client, ardent: FakeArdent) -> None:
    connector.post("/v1/branch/create", json=BRANCH)
    assert connector.delete(f"/v1/branches/{FakeArdent.connector}").status_code == 404
    assert "the fake has no such operation" in ardent.take_problems()[0]
    assert ardent.branches == ["rehearsal-1"]
    ardent.delete("rehearsal-1")  # by hand, on a page of theirs
    assert ardent.databases() == []


def test_ardent_a_create_that_is_blindly_tried_again_leaves_two(connector: httpx.Client, ardent: FakeArdent) -> None:
    ardent.next("create", Lost())
    with pytest.raises(httpx.RemoteProtocolError):
        connector.post("/v1/branch/create", json=BRANCH)
    connector.post("/v1/branch/create", json=BRANCH)
    assert ardent.branches == ["rehearsal-1", "rehearsal-1"]


def test_ardent_needs_its_key(talk: Talk, ardent: FakeArdent) -> None:
    assert talk(ardent).post("/v1/branch/create", json=BRANCH).status_code == 401


# --- What all of them do to their clients -----------------------------------------------------------


def test_a_dropped_connection_is_without_an_effect_and_a_lost_answer_with_one(console: httpx.Client, neon: FakeNeon) -> None:
    neon.next("create", Dropped())
    with pytest.raises(httpx.RemoteProtocolError):
        branched(console)
    assert neon.databases() == []
    neon.next("create", Lost())
    with pytest.raises(httpx.RemoteProtocolError):
        branched(console)
    assert len(neon.databases()) == 1


def test_a_client_gives_up_on_a_delayed_answer_whose_effect_is_there(console: httpx.Client, neon: FakeNeon) -> None:
    neon.next("create", Delayed(60))
    with pytest.raises(httpx.ReadTimeout):
        console.post(BRANCHES, json=wish(), timeout=0.1)
    assert eventually(lambda: neon.branches) == ["rehearsal-1"]


@pytest.mark.parametrize("body", ["<html><body>502 Bad Gateway</body></html>", {"unheard": "of"}, []])
def test_an_error_with_a_body_of_the_tests_own(console: httpx.Client, neon: FakeNeon, body: Any) -> None:
    neon.next("get_project", Fail(502, body=body, headers={"X-Proxy": "p"}))
    answer = console.get(NEON)
    assert (answer.status_code, answer.headers["X-Proxy"]) == (502, "p")
    assert (answer.text if isinstance(body, str) else answer.json()) == body


def test_retry_after_is_0_unless_it_is_said(console: httpx.Client, neon: FakeNeon) -> None:
    neon.next("get_project", Fail(429))
    neon.next("get_project", Fail(429, retry_after=7))
    neon.next("get_project", Fail(423))
    assert [console.get(NEON).headers.get("Retry-After") for _ in range(4)] == ["0", "7", None, None]


def test_orders_are_for_their_operation_and_in_their_order(console: httpx.Client, neon: FakeNeon) -> None:
    neon.next("list", Fail(503))
    neon.next("get_project", Fail(503), times=2)
    neon.next("get_project", Fail(423))
    assert [console.get(path).status_code for path in [NEON, NEON, NEON, NEON, BRANCHES, BRANCHES]] == [
        503,
        503,
        423,
        200,
        503,
        200,
    ]


def test_an_order_for_what_it_does_not_have_is_an_error(neon: FakeNeon) -> None:
    with pytest.raises(LookupError, match="neon has no operation reset: get_project, create, list"):
        neon.next("reset", Lost())


def test_an_order_that_an_operation_can_not_follow_is_an_error(ardent: FakeArdent, neon: FakeNeon) -> None:
    with pytest.raises(LookupError, match="create of ardent can't be Slow"):
        ardent.next("create", Lost(), Slow(1))
    with pytest.raises(LookupError, match="delete of neon can't be Broken"):
        neon.next("delete", Broken())


def test_a_parent_that_can_not_be_copied_is_a_problem_and_leaves_nothing(cluster: Cluster, parent: Database, talk: Talk) -> None:
    before = cluster.names()
    with FakeArdent(cluster, replace(parent, name="postgres")) as fake:
        assert talk(fake, BEARER).post("/v1/branch/create", json=BRANCH).status_code == 500
        assert "belong to a role that is no superuser" in fake.take_problems()[0]
        assert cluster.names() == before


def test_fields_that_nobody_described(console: httpx.Client, neon: FakeNeon) -> None:
    neon.next("create", Extra({"is_new": True}, at="endpoints.*"), Extra({"more": 1}))
    body = branched(console)
    assert ([each["is_new"] for each in body["endpoints"]], body["more"]) == ([True], 1)
    assert "is_new" not in console.get(f"{BRANCHES}/{neon.main}").json()["branch"]


def test_optional_fields_that_are_missing(anybody: httpx.Client, instanode: FakeInstanode) -> None:
    instanode.next("provision", Without(("limits.expires_in", "tier", "claim_url")))
    body = provisioned(anybody)
    assert body["limits"].keys() == {"storage_mb", "connections"}
    assert body.keys().isdisjoint({"tier", "claim_url"})


@needs_contract_named("neon")
def test_fields_that_are_missing_must_be_optional(console: httpx.Client, neon: FakeNeon) -> None:
    neon.next("create", Without(("branch.id",)))
    branched(console)
    assert "not optional: answer at $.branch: 'id' is a required property" in neon.take_problems()[0]


def test_a_clone_dies_under_whoever_is_in_it(engine: httpx.Client, dblab: FakeDblab) -> None:
    with psycopg.connect(address(cloned(engine))) as connection:
        dblab.kill(dblab.databases()[0])
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
    assert dblab.databases() == []
    assert engine.get("/clone/rehearsal-1").json()["status"]["code"] == "FATAL"


def test_a_branch_that_died_is_deleted_like_any(console: httpx.Client, neon: FakeNeon) -> None:
    body = branched(console)
    neon.kill(neon.databases()[0])
    assert not is_open(body["connection_uris"][0]["connection_uri"])
    assert console.delete(f"{BRANCHES}/{body['branch']['id']}").status_code == 200


def test_calls_are_kept_without_secrets(engine: httpx.Client, dblab: FakeDblab) -> None:
    cloned(engine)
    dblab.next("delete", Fail(503))
    engine.delete("/clone/rehearsal-1")
    assert [(each.operation, each.method, each.path) for each in dblab.calls] == [
        ("create", "POST", "/api/clone"),
        ("get", "GET", "/api/clone/rehearsal-1"),
        ("delete", "DELETE", "/api/clone/rehearsal-1"),
    ]
    (create,) = dblab.called("create")
    assert (create.headers["Verification-Token"], create.body) == ("hidden", clone_wish())


# --- What they say about their clients --------------------------------------------------------------


@pytest.mark.parametrize(
    ("service", "method", "path", "body", "problem"),
    [
        ("instanode", "POST", "/db/new", {"name": "a", "seed": 1}, "'seed' was unexpected"),
        ("instanode", "POST", "/db/new", {"name": "a.b"}, "'a.b' does not match"),
        ("instanode", "GET", f"{RESOURCES}?page=1", None, "query parameter page is not described"),
        ("neon", "POST", BRANCHES, {"branch": {"title": "a"}}, "'title' was unexpected"),
        ("neon", "POST", BRANCHES, {"name": "a"}, "'name' was unexpected"),
        ("neon", "POST", BRANCHES, {"endpoints": [{"type": "both"}]}, "'both' is not one of"),
        ("neon", "GET", f"{NEON}/connection_uri?role_name=a", None, "query parameter database_name is missing"),
        ("neon", "GET", f"{NEON}/operations/1", None, "path parameter operation_id"),
        ("dblab", "POST", "/clone", {"db": {"user": "a"}}, "'user' was unexpected"),
        ("dblab", "PATCH", "/clone/a", {"protected": "no"}, "'no' is not of type 'boolean'"),
        ("ardent", "POST", "/v1/branch/create", {**BRANCH, "service_type": "mysql"}, "'mysql' is not one of ['postgres']"),
        ("ardent", "POST", "/v1/branch/create", {"name": "a"}, "'connector_id' is a required property"),
    ],
)
def test_a_request_that_is_not_as_described_is_a_problem(
    request: pytest.FixtureRequest, talk: Talk, service: str, method: str, path: str, body: Json | None, problem: str
) -> None:
    fake: Service = request.getfixturevalue(service)
    if fake.described() is None:
        pytest.skip(f"no {service}.openapi.json to check against: set {FOLDER_VARIABLE} to the folder that holds it")
    client = talk(fake, {**BEARER, "Verification-Token": "t"})
    client.request(method, path, json=body) if body is not None else client.request(method, path)
    told = "\n".join(fake.take_problems())
    assert problem in told
    assert told.startswith(f"{service}: {method} {fake.prefix}{path.partition('?')[0]}: ")


@pytest.mark.parametrize(
    ("service", "path"), [("instanode", "/db/new"), ("neon", BRANCHES), ("dblab", "/clone"), ("ardent", "/v1/branch/create")]
)
@pytest.mark.parametrize("body", ["{", "[]"])
def test_a_body_that_is_no_json_object_is_refused(
    request: pytest.FixtureRequest, talk: Talk, service: str, path: str, body: str
) -> None:
    fake: Service = request.getfixturevalue(service)
    client = talk(fake, {**BEARER, "Verification-Token": "t", "Content-Type": "application/json"})
    assert client.post(path, content=body).status_code == 400
    fake.take_problems()


@pytest.mark.parametrize("service", ["instanode", "neon", "dblab", "ardent"])
def test_an_operation_it_lacks_is_a_problem(request: pytest.FixtureRequest, talk: Talk, service: str) -> None:
    fake: Service = request.getfixturevalue(service)
    assert talk(fake).get("/v2/anything").status_code == 404
    assert fake.take_problems() == [f"{service}: GET {fake.prefix}/v2/anything: the fake has no such operation"]


def test_a_bug_in_the_fake_is_a_problem_and_not_a_hanging_client(
    console: httpx.Client, neon: FakeNeon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(neon, "token")
    assert console.get(NEON).status_code == 500
    assert "the fake failed: AttributeError" in neon.take_problems()[0]


@pytest.mark.parametrize("fake", [FakeInstanode, FakeNeon, FakeDblab])
def test_it_has_every_operation_of_the_description_and_no_other(fake: type[Service]) -> None:
    contract = load_contract(fake.name, fake.errata)
    if contract is None:
        pytest.skip(f"no {fake.name}.openapi.json to check against: set {FOLDER_VARIABLE} to the folder that holds it")
    assert {(route.method, route.template) for route in fake.routes} == contract.operations


def test_without_the_description_it_serves_unchecked(
    cluster: Cluster, parent: Database, talk: Talk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    with tended(FakeNeon(cluster, parent)) as fake:
        assert talk(fake, BEARER).get(f"{NEON}?unheard=of").status_code == 200


# --- The servers themselves -------------------------------------------------------------------------


def test_nothing_is_left_though_clients_hold_their_connections(cluster: Cluster, parent: Database, talk: Talk) -> None:
    before, threads = cluster.names(), set(threading.enumerate())
    with ExitStack() as held:
        with tended(FakeDblab(cluster, parent)) as dblab, tended(FakeNeon(cluster, parent)) as neon:
            clone = address(cloned(talk(dblab, {"Verification-Token": "t"})))
            holding = held.enter_context(closing(psycopg.connect(clone)))
            first = branched(talk(neon, BEARER))["branch"]["id"]
            branched(talk(neon, BEARER), "child", parent_id=first)
            assert len(cluster.names() - before) == 6
        assert cluster.names() == before
        assert set(threading.enumerate()) - threads == set()
        with pytest.raises(psycopg.OperationalError):
            holding.execute("SELECT 1")


def test_two_fakes_of_a_service_know_nothing_of_each_other(cluster: Cluster, parent: Database, talk: Talk) -> None:
    with tended(FakeNeon(cluster, parent)) as one, FakeNeon(cluster, parent) as other:
        branched(talk(one, BEARER))
        assert (len(one.databases()), other.databases(), other.calls) == (1, [], [])


def test_many_clients_at_once_lose_nothing(console: httpx.Client, neon: FakeNeon) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: branched(console, f"rehearsal-{n}")["branch"]["id"], range(8)))
        assert len(neon.databases()) == 8
        assert {each.status_code for each in pool.map(lambda each: console.delete(f"{BRANCHES}/{each}"), made)} == {200}
    assert neon.databases() == []


def test_the_server_asks_for_a_password(cluster: Cluster, neon: FakeNeon, console: httpx.Client) -> None:
    uri = branched(console)["connection_uris"][0]["connection_uri"]
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(re.sub(r":[0-9a-f]+@", ":wrong@", uri))
    with cluster.connect() as admin:
        hidden = admin.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [neon.databases()[0].role]).fetchone()
    assert hidden is not None
    assert hidden[0].startswith("SCRAM-SHA-256$")


def test_a_port_that_somebody_takes_first_is_tried_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ports = [taken.getsockname()[1]]
        free = postgres._free_port
        monkeypatch.setattr(postgres, "_free_port", lambda: ports.pop() if ports else free())
        with tcp_server(choose(Needs(), POSTGRES_BIN)) as cluster:
            assert cluster.port != taken.getsockname()[1]
            assert cluster.names() == frozenset()


def test_with_tls_the_url_asks_for_it_and_a_client_can_verify_the_server(tls_cluster: Cluster, talk: Talk) -> None:
    parent = make_parent(tls_cluster)
    with tended(FakeNeon(tls_cluster, parent)) as fake:
        uri = branched(talk(fake, BEARER))["connection_uris"][0]["connection_uri"]
        assert uri.endswith("?sslmode=require")
        with psycopg.connect(uri, sslmode="verify-full", sslrootcert=str(tls_cluster.ca_file)) as connection:
            assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
        with pytest.raises(psycopg.OperationalError, match="certificate verify failed"):
            psycopg.connect(uri, sslmode="verify-full", sslrootcert="system")
    tls_cluster.drop(parent)


# --- What these descriptions need of the checking ---------------------------------------------------

NAMED = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
AGED = {"type": "object", "properties": {"age": {"type": "integer"}}}
BOTH = {"allOf": [{"$ref": "#/components/schemas/named"}, {"$ref": "#/components/schemas/aged"}]}


def answering(schema: Json | None, errata: Errata = NO_ERRATA, media: str = "application/json") -> Contract:
    """A description of one operation, which answers 200 with a schema and anything else with what is named."""
    header = {"name": "Pet-Key", "in": "header", "required": True, "schema": {"type": "string", "maxLength": 3}}
    found = {"content": {media: {"schema": schema} if schema is not None else {}}}
    other = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/named"}}}}
    document = {
        "openapi": "3.0.3",
        "paths": {"/pet": {"get": {"parameters": [header], "responses": {"200": found, "204": {}, "default": other}}}},
        "components": {"schemas": {"named": NAMED, "aged": AGED, "both": BOTH}},
    }
    return Contract(document, errata)


def judged(contract: Contract, body: Any, status: int = 200) -> str:
    """What the contract says to an answer, in one line."""
    return "; ".join(contract.check_answer("GET", "/pet", status, body))


@pytest.mark.parametrize("schema", [BOTH, {"allOf": [BOTH]}, {"$ref": "#/components/schemas/both"}])
def test_all_parts_of_an_answer_are_one_closed_object(schema: Json) -> None:
    contract = answering(schema)
    assert judged(contract, {"name": "Tom", "age": 7}) == ""
    assert "'name' is a required property" in judged(contract, {"age": 7})
    assert "'7' is not of type 'integer'" in judged(contract, {"name": "Tom", "age": "7"})
    assert "'kind' was unexpected" in judged(contract, {"name": "Tom", "kind": "cat"})


def test_what_is_not_one_object_stays_as_it_is() -> None:
    contract = answering({"allOf": [{"$ref": "#/components/schemas/aged"}, {"type": "object", "minProperties": 2}]})
    assert "does not have enough properties" in judged(contract, {"age": 7})


def test_a_status_that_is_not_listed_is_held_to_the_default() -> None:
    assert judged(answering(NAMED), {"name": "gone"}, 404) == ""
    assert "'name' is a required property" in judged(answering(NAMED), {}, 404)


def test_a_medium_without_a_schema_may_be_anything_and_any_medium_is_judged() -> None:
    assert [judged(answering(None), body) for body in (None, [1], {"a": 1})] == ["", "", ""]
    assert "'name' is a required property" in judged(answering(NAMED, media="*/*"), {})


@pytest.mark.parametrize(
    ("headers", "problem"),
    [
        ({"pet-key": "abc", "Other": "x"}, []),
        ({"Other": "x"}, ["header parameter Pet-Key is missing"]),
        ({"Pet-Key": "abcd"}, ["header parameter Pet-Key: at $: 'abcd' is too long"]),
        (None, []),
    ],
)
def test_a_header_that_is_described_is_judged_where_headers_are_given(headers: dict[str, str] | None, problem: list[str]) -> None:
    assert answering(NAMED).check_request("GET", "/pet", {}, {}, None, headers) == problem


def test_errata_add_a_property_and_say_what_was_told_in_prose() -> None:
    more = AlsoHolds("components/schemas/named", "id", '{"type": "string", "format": "uuid"}', "a recipe sends it")
    said = AnswersWith("GET", "/pet", 204, '{"type": "array"}', "told in prose")
    contract = answering({"$ref": "#/components/schemas/named"}, Errata(properties=(more,), bodies=(said,)))
    assert judged(contract, {"name": "Tom", "id": str(uuid.uuid4())}) == ""
    assert "'7' is not a 'uuid'" in judged(contract, {"name": "Tom", "id": "7"})
    assert (judged(contract, [], 204), "is not of type 'array'" in judged(contract, {}, 204)) == ("", True)
