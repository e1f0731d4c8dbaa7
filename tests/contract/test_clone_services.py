"""Services that hand out databases, each against its fake: what all must do, and what is peculiar to one."""

from __future__ import annotations

import os
import re
import secrets
import select
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.clones.remote import Remote, Terms
from bot.clones.services import Access, Kind, Lease, Order, Service, ServiceError, kinds, service_of
from bot.clones.services.base import is_ours
from bot.errors import UsageError
from bot.journal.runs import NoJournal, fire_patiently
from bot.words import masked
from tests.contract.fake_clones import (
    Broken,
    Cluster,
    Database,
    Dropped,
    Extra,
    Fail,
    FakeArdent,
    FakeDblab,
    FakeInstanode,
    FakeNeon,
    Lost,
    Slow,
    Without,
)
from tests.fix_clones import make_parent, tended

TOKEN = "planted-0f2c9d7e5b1a4836"
ORDER = Order(f"{7:032x}", datetime(2100, 1, 1, tzinfo=UTC))
HTTP = ("neon", "dblab", "ardent", "instanode", "anonymous")
ALL = (*HTTP, "command")
FORGETS = ("ardent",)  # does not tell a database's address again
KEEPS = ("ardent", "anonymous")  # has no way to give a database back


# ── The services ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Stand:
    """A service and what is behind it. `create` and `remove` are what its fake calls these; `there` is what it holds."""

    name: str
    access: Access
    there: Callable[[], list[Any]]
    fake: Any = None
    create: str = "create"
    remove: str = "delete"
    stack: ExitStack = field(default_factory=ExitStack)

    def service(self, **changed: Any) -> Service:
        made = service_of(replace(self.access, **changed))
        self.stack.callback(made.close)
        return made

    def with_options(self, **options: str) -> Service:
        return self.service(options={**self.access.options, **options})

    def get(self, service: Service, order: Order = ORDER) -> Lease:
        """As the journal does it: again where nothing happened, and looked for where nobody knows."""
        found: list[Lease] = []

        def fire(_key: str) -> dict[str, Any]:
            found.append(service.acquire(order))
            return {}

        def look() -> dict[str, Any] | None:
            lease = service.find(order)
            found.extend([lease] if lease else [])
            return {} if lease else None

        fire_patiently(fire, look, "", repeatable=True)
        return found[-1]

    def tidy(self) -> None:
        """Where nothing can be given back, somebody else does, or time does."""
        if isinstance(self.fake, FakeArdent):
            for name in set(self.fake.branches):
                self.fake.delete(name)
        if self.name == "anonymous":
            self.fake.later(hours=25)


MAKER = """
import json, os, pathlib, sys
import psycopg
from psycopg import sql
verb, folder, admin, address = sys.argv[1:]
given = {name.removeprefix("MIGRATION_REHEARSAL_CLONE_"): value for name, value in os.environ.items()}
folder = pathlib.Path(folder)
def run(*texts, **names):
    with psycopg.connect(admin, autocommit=True) as connection:
        for text in texts:
            connection.execute(sql.SQL(text).format(**{name: sql.Identifier(value) for name, value in names.items()}))
if verb == "acquire":
    made = folder / given["NAME"]
    if not made.exists():
        run("CREATE DATABASE {name}", name=given["NAME"])
        made.touch()
    print("some progress")
    print(json.dumps({"url": address + given["NAME"], "handle": "id-of-" + given["NAME"]}))
if verb == "release":
    name = given["HANDLE"].removeprefix("id-of-")
    run("DROP DATABASE IF EXISTS {name} WITH (FORCE)", name=name)
    (folder / name).unlink(missing_ok=True)
if verb == "list":
    for made in folder.iterdir():
        print(made.name, "2026-01-01T00:00:00Z", "id-of-" + made.name)
"""


def commands(cluster: Cluster, folder: Path, stack: ExitStack) -> Stand:
    """Three commands which make databases on the server behind the fakes."""
    (folder / "maker.py").write_text(MAKER)
    state = folder / "state"
    state.mkdir()
    address = stack.enter_context(somebody(cluster))
    admin = make_conninfo(cluster.admin, dbname="postgres")
    words = [sys.executable, str(folder / "maker.py"), "VERB", str(state), admin, address]
    line = " ".join(f"'{word}'" for word in words)
    options = {verb: line.replace("VERB", verb) for verb in ("acquire", "release", "list")}
    access = Access("command", token=TOKEN, options=options, pause_s=0)
    return Stand("command", access, lambda: [*state.iterdir()])


@contextmanager
def somebody(cluster: Cluster) -> Iterator[str]:
    """Who may log in everywhere: the beginning of a URL."""
    name, password = f"usr_{secrets.token_hex(6)}", f"{TOKEN}/password"
    with cluster.connect() as admin:
        admin.execute(f"CREATE ROLE {name} SUPERUSER LOGIN PASSWORD '{password}'".encode())
    yield f"postgresql://{name}:{quote(password, safe='')}@{cluster.host}:{cluster.port}/"
    with cluster.connect() as admin:
        admin.execute(f"DROP ROLE {name}".encode())


def fake_of(name: str, cluster: Cluster, parent: Database) -> FakeInstanode | FakeNeon | FakeDblab | FakeArdent:
    if name in ("instanode", "anonymous"):
        shop = FakeInstanode(cluster)
        shop.tokens = {TOKEN}
        return shop
    kinds_of: dict[str, type[FakeNeon | FakeDblab | FakeArdent]] = {"neon": FakeNeon, "dblab": FakeDblab, "ardent": FakeArdent}
    fake = kinds_of[name](cluster, parent)
    fake.token = TOKEN
    return fake


@pytest.fixture
def make_stand(cluster: Cluster, parent: Database, tmp_path: Path) -> Iterator[Callable[[str], Stand]]:
    """Makes a stand; whatever a test does there, nothing is left when it is over."""
    with ExitStack() as stack:

        def make(name: str) -> Stand:
            if name == "command":
                stand = commands(cluster, tmp_path, stack)
            else:
                fake = stack.enter_context(tended(fake_of(name, cluster, parent)))
                options = {"neon": {"project": FakeNeon.project}, "ardent": {"connector": FakeArdent.connector}}.get(name, {})
                provider = "instanode" if name == "anonymous" else name
                token = None if name == "anonymous" else TOKEN
                create = "provision" if provider == "instanode" else "create"
                access = Access(provider, fake.url, token, options, pause_s=0)
                stand = Stand(name, access, fake.databases, fake, create)
            stack.enter_context(stand.stack)
            return stand

        yield make


@pytest.fixture
def stand(make_stand: Callable[[str], Stand], request: pytest.FixtureRequest) -> Iterator[Stand]:
    """The service that a test is parametrized with; at the end there is nothing in it."""
    made = make_stand(request.param)
    yield made
    made.tidy()
    assert made.there() == []


def on(*names: str) -> pytest.MarkDecorator:
    """Runs a test on some services."""
    return pytest.mark.parametrize("stand", names, indirect=True)


def enters(url: str) -> bool:
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


# ── What all do ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@on(*ALL)
def test_a_database_can_be_used_as_one_likes_and_is_gone_after_it_was_given_back(stand: Stand) -> None:
    service = stand.service()
    lease = service.acquire(ORDER)
    with psycopg.connect(lease.url) as connection:
        connection.execute("CREATE TABLE mine (id int)")
        assert connection.execute("SELECT count(*) FROM mine").fetchone() == (0,)

    stand.tidy()
    service.release(lease.handle)

    assert not enters(lease.url)
    assert stand.there() == []


@on("neon", "dblab", "ardent")
def test_it_holds_the_data_and_they_may_be_changed(stand: Stand) -> None:
    lease = stand.service().acquire(ORDER)
    with psycopg.connect(lease.url) as connection:
        assert connection.execute("SELECT count(*) FROM goods").fetchone() == (3,)
        connection.execute("ALTER TABLE goods ADD COLUMN price int")
    stand.service().release(lease.handle) if stand.name not in KEEPS else None


@on(*(name for name in ALL if name not in FORGETS))
def test_who_asks_again_with_the_same_order_is_given_the_same_one(stand: Stand) -> None:
    first, again = stand.service().acquire(ORDER), stand.service().acquire(ORDER)

    assert (again.handle, again.url) == (first.handle, first.url)
    assert len(stand.there()) == 1
    stand.service().release(first.handle)


@on(*(name for name in HTTP if name not in FORGETS))
@pytest.mark.parametrize(
    "trouble", [(Lost(),), (Dropped(),), (Fail(500),), (Fail(502),), (Fail(503),), (Fail(429),)], ids=lambda each: repr(each[0])
)
def test_trouble_with_making_one_ends_with_one(stand: Stand, trouble: tuple[Any, ...]) -> None:
    stand.fake.next(stand.create, *trouble)
    service = stand.service()

    lease = stand.get(service)

    assert enters(lease.url)
    assert len(stand.there()) == 1
    service.release(lease.handle)


@on(*(name for name in HTTP if name not in KEEPS), "command")
def test_another_process_finds_what_was_handed_out(stand: Stand) -> None:
    lease = stand.service().acquire(ORDER)

    found = stand.service().find(ORDER)

    assert found is not None
    assert (found.handle, found.url) == (lease.handle, lease.url)
    assert enters(found.url)
    stand.service().release(found.handle)


@on(*ALL)
def test_what_nobody_ordered_is_not_found(stand: Stand) -> None:
    assert stand.service().find(ORDER) is None


@on(*ALL)
def test_what_is_gone_can_be_given_back(stand: Stand) -> None:
    service = stand.service()
    lease = service.acquire(ORDER)
    stand.tidy()

    service.release(lease.handle)
    service.release(lease.handle)


@on(*(name for name in HTTP if name not in KEEPS))
@pytest.mark.parametrize("trouble", [Lost(), Dropped(), Fail(500), Fail(503), Fail(429)], ids=repr)
def test_a_database_is_given_back_in_spite_of_trouble(stand: Stand, trouble: Any) -> None:
    service = stand.service()
    lease = service.acquire(ORDER)
    stand.fake.next(stand.remove, trouble, times=3)

    service.release(lease.handle)

    assert stand.there() == []


@on(*(name for name in ALL if name not in KEEPS))
def test_it_says_which_of_ours_are_there(stand: Stand) -> None:
    service = stand.service()
    lease = service.acquire(ORDER)

    (left,) = service.leftovers()

    assert (left.handle, left.name) == (lease.handle, ORDER.name)
    assert left.made_at <= datetime.now(UTC) + timedelta(minutes=1)
    service.release(left.handle)
    assert [*service.leftovers()] == []


@on(*ALL)
def test_the_identity_is_the_same_for_the_same_and_holds_no_secret(stand: Stand) -> None:
    assert stand.service().identity() == stand.service().identity()
    assert TOKEN not in stand.service().identity()


@on(*ALL)
def test_a_lease_shows_no_secret(stand: Stand) -> None:
    service = stand.service()
    lease = service.acquire(ORDER)

    assert lease.url not in repr(lease)
    assert [note for note in lease.notes if masked(note) != note or TOKEN in note] == []
    stand.tidy()
    service.release(lease.handle)


@on("neon", "dblab", "ardent", "instanode")
def test_a_token_that_nobody_knows_is_an_error_that_names_the_input(stand: Stand) -> None:
    with pytest.raises(ServiceError) as caught:
        stand.service(token="wrong").acquire(ORDER)

    assert caught.value.not_done
    assert caught.value.again_in_s is None
    assert "clone-token" in caught.value.advice


@on(*HTTP)
@pytest.mark.parametrize("url", ["http://127.0.0.1:1/planted-path", "nonsense", "http://["])
def test_a_service_that_is_not_there_is_an_error_that_names_the_input_and_not_the_address(stand: Stand, url: str) -> None:
    with pytest.raises(ServiceError) as caught:
        stand.service(url=url).acquire(ORDER)

    assert caught.value.not_done
    assert "clone-url" in caught.value.advice
    assert url not in str(caught.value)


@on(*HTTP)
@pytest.mark.parametrize("body", [None, [], {}, {"weird": [1]}, "text", 7])
@pytest.mark.parametrize("status", [200, 201])
def test_an_answer_that_nobody_described_is_no_database(stand: Stand, status: int, body: Any) -> None:
    stand.fake.next(stand.create, Fail(status, body=body if body is not None else "null"))

    with pytest.raises(ServiceError):
        stand.service().acquire(ORDER)


@on("neon", "dblab")
def test_once_it_was_made_no_trouble_of_the_service_counts_as_nothing_done(stand: Stand) -> None:
    """Else the journal would have it made again, and nobody would give the first one back."""
    for look in {"neon": ("operation", "databases", "connection_uri"), "dblab": ("get",)}[stand.name]:
        stand.fake.next(look, Fail(503), times=6)
        with pytest.raises(ServiceError) as caught:
            stand.service().acquire(ORDER)
        assert not caught.value.not_done
        assert caught.value.again_in_s is not None
        stand.service().release(stand.get(stand.service()).handle)


# ── No error tells a secret ──────────────────────────────────────────────────────────────────────────────────────────────

PASSWORD = "planted-password-81f3"
ADDRESS = f"postgresql://planted-user:{PASSWORD}@db.planted.example:5432/shop?sslmode=require"
CLAIM = "0d5b2a3e-7c1f-4b8e-9a6d-2f3c4d5e6f70"
PLANTED = (TOKEN, PASSWORD, "planted.example", CLAIM, "planted-user")


def everything(error: BaseException) -> str:
    """All that a log may show of an error."""
    told = error.lines() if isinstance(error, ServiceError) else []
    return "\n".join([str(error), repr(error), *told, *traceback.format_exception_only(error)])


TEXT = f"it is {TOKEN} {ADDRESS} https://claim.planted.example/?t={CLAIM} {CLAIM}"
ECHO = {"message": TEXT, "error": TEXT, "detail": TEXT, "code": TEXT, "ok": False, "retry_after_seconds": None}


def told_by(stand: Stand) -> list[str]:
    """What the errors of all calls of a service tell that has no patience."""
    service, told = stand.service(patience_s=0.0), []
    calls: list[Callable[[], object]] = [service.identity, service.leftovers, lambda: service.release(CLAIM)]
    calls += [lambda: service.acquire(ORDER), lambda: service.find(ORDER)]
    for call in calls:
        try:
            call()
        except ServiceError as error:
            told.append(everything(error))
    return told


@on("neon", "dblab", "ardent", "instanode")
@pytest.mark.parametrize("status", [400, 401, 409, 429, 503, 301])
def test_no_error_of_any_call_tells_what_lets_somebody_in(stand: Stand, status: int) -> None:
    texts, stand.fake.limits = [], ()
    for route in stand.fake.routes:
        stand.fake.next(route.name, Fail(status, body=ECHO), times=20)
        texts += told_by(stand)
        stand.fake._orders.clear()
        stand.tidy()
        for left in stand.service().leftovers():
            stand.service().release(left.handle)
    stand.fake.take_problems()  # no description tells of such bodies

    assert texts
    assert [(secret, text) for secret in PLANTED for text in texts if secret in text] == []


@on("dblab")
def test_the_password_that_was_made_is_not_told_when_an_engine_tells_it(stand: Stand) -> None:
    service = stand.service()
    password = conninfo_to_dict(service.acquire(ORDER).url)["password"]
    service.release(ORDER.name)
    stand.fake.next("create", Fail(400, body={"message": f"insecure password {password}"}))

    with pytest.raises(ServiceError) as caught:
        service.acquire(ORDER)

    assert "insecure password ***" in str(caught.value)
    assert str(password) not in everything(caught.value)


# ── Neon ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@on("neon")
def test_neon_waits_until_each_operation_is_finished(stand: Stand) -> None:
    stand.fake.next("create", Slow(3))

    lease = stand.service().acquire(ORDER)

    assert enters(lease.url)
    assert len(stand.fake.called("operation")) > 4
    stand.service().release(lease.handle)


@on("neon")
def test_neon_waits_for_the_endpoint_of_a_branch_whose_operations_nobody_knows(stand: Stand) -> None:
    stand.fake.next("create", Slow(3), Lost())

    lease = stand.get(stand.service())

    assert enters(lease.url)
    assert stand.fake.called("operation") == []
    stand.service().release(lease.handle)


@on("neon")
@pytest.mark.parametrize("state", ["failed", "error", "cancelled"])
def test_neon_an_operation_that_failed_is_told_and_its_branch_removed(stand: Stand, state: str) -> None:
    stand.fake.next("create", Slow(1), Broken(state))

    with pytest.raises(ServiceError, match=f"ended as {state}") as caught:
        stand.service().acquire(ORDER)

    assert caught.value.not_done
    assert stand.there() == []


@on("neon")
def test_neon_what_is_not_ready_in_time_is_told_and_removed(stand: Stand) -> None:
    stand.fake.next("create", Slow(1000))

    with pytest.raises(ServiceError, match="not finished after 0 s"):
        stand.service(patience_s=0.0).acquire(ORDER)

    assert stand.there() == []


@on("neon")
@pytest.mark.parametrize(
    ("until", "days"), [(timedelta(hours=6), 0.25), (timedelta(days=300), 30)], ids=["as ordered", "at most 30 days"]
)
def test_neon_takes_a_branch_back_by_itself_if_nobody_does(stand: Stand, until: timedelta, days: float) -> None:
    lease = stand.service().acquire(Order("a" * 32, datetime.now(UTC) + until))

    assert lease.expires_at is not None
    ends = datetime.fromisoformat(lease.expires_at)
    assert timedelta(days=days - 0.02) < ends - datetime.now(UTC) < timedelta(days=days)
    stand.fake.later(days=days)
    stand.service().release(lease.handle)


@on("neon")
def test_neon_a_branch_that_is_gone_is_answered_with_204_or_404(stand: Stand) -> None:
    lease = stand.service().acquire(ORDER)
    stand.service().release(lease.handle)
    stand.service().release(lease.handle)
    stand.service().release("br-never-there")

    assert [each.method for each in stand.fake.called("delete")] == ["DELETE"] * 3


@on("neon")
@pytest.mark.parametrize("status", [423, 503])
def test_neon_what_is_locked_is_asked_again(stand: Stand, status: int) -> None:
    for operation in ("create", "connection_uri", "delete"):
        stand.fake.next(operation, Fail(status))

    stand.service().release(stand.get(stand.service()).handle)

    assert len(stand.fake.called("create")) == len(stand.fake.called("delete")) == 2


@on("neon")
def test_neon_asks_for_the_direct_address_of_the_one_database_as_its_owner(stand: Stand) -> None:
    lease = stand.service().acquire(ORDER)

    (asked,) = stand.fake.called("connection_uri")
    assert asked.query == {
        "branch_id": lease.handle,
        "database_name": stand.fake.database,
        "role_name": stand.fake.role,
        "pooled": "false",
    }
    stand.service().release(lease.handle)


@on("neon")
def test_neon_of_several_databases_one_must_be_named(stand: Stand, cluster: Cluster) -> None:
    second = make_parent(cluster)
    stand.fake.add_database("second", second)
    stand.fake.add_role("admin")

    with pytest.raises(ServiceError, match="`shop`, `second`") as caught:
        stand.service().acquire(ORDER)
    assert "database=" in caught.value.advice
    assert stand.there() == []

    lease = stand.with_options(database="second", role="admin").acquire(ORDER)
    assert enters(lease.url)
    assert stand.fake.called("connection_uri")[-1].query["role_name"] == "admin"
    stand.service().release(lease.handle)

    with pytest.raises(ServiceError, match="no database `third`"):
        stand.with_options(database="third").acquire(ORDER)
    cluster.drop(second)


@on("neon")
@pytest.mark.parametrize("branch", ["main", FakeNeon.main])
def test_neon_a_branch_is_named_or_its_id_is_told(stand: Stand, branch: str) -> None:
    service = stand.with_options(branch=branch)

    service.release(service.acquire(ORDER).handle)

    assert stand.fake.called("create")[0].body["branch"]["parent_id"] == FakeNeon.main
    assert service.identity().startswith(f"neon:{FakeNeon.project}:{FakeNeon.main}:")


@on("neon")
def test_neon_a_parent_that_is_not_there_is_told_before_anything_is_made(stand: Stand) -> None:
    with pytest.raises(ServiceError, match="no branch `mai`") as caught:
        stand.with_options(branch="mai").acquire(ORDER)

    assert caught.value.not_done
    assert stand.fake.called("create") == []


@on("neon")
def test_neon_a_branch_is_found_on_any_page_by_its_whole_name(stand: Stand) -> None:
    stand.fake.page_size = 1
    others = [replace(ORDER, key=f"{n:032x}") for n in range(3)]
    handles = [stand.service().acquire(order).handle for order in [ORDER, *others]]

    assert stand.service().find(ORDER) is not None
    assert stand.service().find(Order("9" * 32, ORDER.until)) is None
    assert {left.handle for left in stand.service().leftovers()} == {*handles}
    for handle in handles:
        stand.service().release(handle)


@on("neon")
def test_neon_somebody_elses_branch_that_begins_as_ours_do_is_not_ours(stand: Stand) -> None:
    with httpx.Client(base_url=stand.fake.url, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False) as client:
        for name in ("mr-42", f"{ORDER.name}-kept"):
            client.post(f"/projects/{FakeNeon.project}/branches", json={"branch": {"name": name}})

    assert [*stand.service().leftovers()] == []
    assert stand.service().find(ORDER) is None
    stand.fake.later(days=1)
    for branch in list(stand.fake._branches.values()):
        stand.service().release(branch.id) if branch.parent else None


def test_neon_over_tls_a_clone_can_be_entered(tls_cluster: Cluster) -> None:
    parent = make_parent(tls_cluster)
    with tended(FakeNeon(tls_cluster, parent)) as fake:
        service = service_of(Access("neon", fake.url, "t", {"project": fake.project}, pause_s=0))
        lease = service.acquire(ORDER)
        with psycopg.connect(lease.url) as connection:
            assert connection.execute("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").fetchone() == (True,)
        service.release(lease.handle)
        service.close()
    tls_cluster.drop(parent)


# ── Database Lab Engine ──────────────────────────────────────────────────────────────────────────────────────────────────


@on("dblab")
def test_dblab_our_name_is_the_clones_id_and_the_password_that_nobody_tells_is_known_again(stand: Stand) -> None:
    stand.fake.next("create", Slow(2), Lost())

    lease = stand.get(stand.service())

    (asked,) = stand.fake.called("create")
    assert asked.body["id"] == ORDER.name == lease.handle
    assert asked.body["db"]["restricted"] is True
    assert enters(lease.url)
    stand.service().release(lease.handle)


@on("dblab")
def test_dblab_each_order_and_each_token_has_its_own_password(stand: Stand) -> None:
    stand.fake.next("create", Fail(400), times=3)
    for token, key in ((TOKEN, "a"), (TOKEN, "b"), ("other", "a")):
        with pytest.raises(ServiceError):
            stand.service(token=token).acquire(Order(key, ORDER.until))

    assert len({call.body["db"]["password"] for call in stand.fake.called("create")}) == 3


@on("dblab")
def test_dblab_a_clone_that_could_not_be_made_says_why_and_is_removed(stand: Stand) -> None:
    stand.fake.next("create", Slow(2), Broken("FATAL"))

    with pytest.raises(ServiceError, match="is FATAL") as caught:
        stand.service().acquire(ORDER)

    assert caught.value.why == "Clone is FATAL."
    assert caught.value.not_done
    assert stand.fake.clone_ids() == []


@on("dblab")
def test_dblab_protection_is_removed_before_the_clone_is(stand: Stand) -> None:
    service = stand.service()
    handle = service.acquire(ORDER).handle
    headers = {"Verification-Token": TOKEN}
    httpx.patch(f"{stand.fake.url}/clone/{handle}", json={"protected": True}, headers=headers, trust_env=False)

    service.release(handle)

    assert [call.operation for call in stand.fake.called("update", "delete")] == ["update", "update", "delete"]
    assert stand.fake.clone_ids() == []


@on("dblab")
@pytest.mark.parametrize("how", [Slow(3), Broken("FATAL"), Broken("OK")], ids=repr)
def test_dblab_a_clone_is_deleted_when_it_is_gone_and_not_before(stand: Stand, how: Any) -> None:
    service = stand.service()
    handle = service.acquire(ORDER).handle
    stand.fake.next("delete", how)

    service.release(handle)

    assert stand.fake.clone_ids() == []


@on("dblab")
def test_dblab_a_clone_that_is_being_deleted_is_none_and_its_name_is_free_when_it_is_gone(stand: Stand) -> None:
    for ask in (stand.get, lambda service: service.find(ORDER)):
        stand.service().acquire(ORDER)
        stand.fake.next("delete", Slow(2))
        httpx.delete(f"{stand.fake.url}/clone/{ORDER.name}", headers={"Verification-Token": TOKEN}, trust_env=False)

        lease = ask(stand.service())

        assert lease is None or enters(lease.url)
        stand.service().release(ORDER.name)


@on("dblab")
@pytest.mark.parametrize("option", ["snapshot", "branch", "database"])
def test_dblab_what_is_not_there_is_told_with_what_the_engine_says(stand: Stand, option: str) -> None:
    with pytest.raises(ServiceError, match=f"no such {option}") as caught:
        stand.with_options(**{option: "nothing"}).acquire(ORDER)

    assert caught.value.not_done
    assert "clone-options" in caught.value.advice


@on("dblab")
def test_dblab_the_data_are_as_old_as_the_snapshot_which_names_them(stand: Stand) -> None:
    service = stand.with_options(branch="main", snapshot=FakeDblab.snapshot, database=FakeDblab.database)
    lease = service.acquire(ORDER)

    assert lease.taken_at == "2026-01-01T00:00:00Z"
    assert service.identity() == f"dblab:{FakeDblab.snapshot}:{FakeDblab.database}"
    assert stand.service().identity() == f"dblab:{FakeDblab.snapshot}:"
    service.release(lease.handle)


@on("dblab")
def test_dblab_a_branch_without_a_snapshot_has_no_data(stand: Stand) -> None:
    with pytest.raises(ServiceError, match="no snapshot of the branch `empty`"):
        stand.with_options(branch="empty").identity()


@on("neon", "dblab", "instanode", "command")
def test_who_is_ended_while_a_database_is_made_leaves_none(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """SIGTERM and Ctrl-C come as KeyboardInterrupt: after the service has made one, before we know of it."""
    service = stand.service()
    acquire = service.acquire

    def ended(order: Order) -> Lease:
        acquire(order)
        raise KeyboardInterrupt

    monkeypatch.setattr(service, "acquire", ended)
    with (
        NoJournal().run("") as run,
        Remote(service, kinds()[stand.access.provider], run, Terms(ORDER.until)) as provider,
        pytest.raises(KeyboardInterrupt),
        provider.clone(),
    ):
        pass

    assert stand.there() == []


# ── Ardent ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@on("ardent")
def test_ardent_the_report_names_what_only_a_person_can_remove(stand: Stand) -> None:
    lease = stand.service().acquire(ORDER)

    assert not kinds()["ardent"].can_release
    assert any(ORDER.name in note for note in lease.notes)
    assert [left.name for left in stand.service().leftovers()] == [ORDER.name]
    with pytest.raises(ServiceError, match="still there"):
        stand.service().release(lease.handle)


@on("ardent", "anonymous")
def test_what_nobody_can_give_back_is_named_in_the_report_and_keeps_no_run_from_going_on(stand: Stand) -> None:
    with NoJournal().run("") as run:
        kind = kinds()[stand.access.provider]
        with Remote(stand.service(), kind, run, Terms(ORDER.until)) as provider, provider.clone() as first:
            told = [*provider.lease(first).notes]  # which the report has from there
            with provider.clone() as second:
                told += provider.lease(second).notes
            provider.give_back_earlier()

    assert provider.notes == told[1:]
    assert len({*told}) == len(stand.there()) == 2


@on("ardent")
@pytest.mark.parametrize("trouble", [Lost(), Dropped(), Fail(500)], ids=repr)
def test_ardent_a_lost_answer_is_no_second_branch(stand: Stand, trouble: Any) -> None:
    stand.fake.next("create", trouble)

    if isinstance(trouble, Lost):
        with pytest.raises(ServiceError, match="answer with the address was lost") as caught:
            stand.get(stand.service())
        assert ORDER.name in caught.value.what
    else:
        assert enters(stand.get(stand.service()).url)

    assert stand.fake.branches == [ORDER.name]


@on("ardent")
def test_ardent_an_address_in_parts_is_one_too(stand: Stand, cluster: Cluster, parent: Database) -> None:
    body = {"host": "127.0.0.1", "port": 5433, "username": "a b", "password": "p@/:?", "database": "shop"}
    stand.fake.next("create", Fail(200, body=body))

    assert stand.service().acquire(ORDER).url == "postgresql://a%20b:p%40%2F%3A%3F@127.0.0.1:5433/shop"


@on("ardent")
@pytest.mark.parametrize("listed", [[{"name": "other"}], {"data": [{"name": "other"}]}, []])
def test_ardent_branches_are_listed_in_whatever_shape(stand: Stand, listed: Any) -> None:
    stand.fake.next("list", Fail(200, body=listed))

    assert stand.service().find(ORDER) is None


@on("ardent")
@pytest.mark.parametrize("listed", [{}, {"branches": ["a"]}, "text"])
def test_ardent_a_list_that_nobody_understands_is_no_proof_that_nothing_is_there(stand: Stand, listed: Any) -> None:
    stand.fake.next("list", Fail(200, body=listed))

    with pytest.raises(ServiceError, match="lacks the list of branches"):
        stand.service().find(ORDER)


# ── instanode.dev ────────────────────────────────────────────────────────────────────────────────────────────────────────


@on("anonymous")
def test_instanode_a_database_that_was_there_before_is_never_used(stand: Stand) -> None:
    stranger = stand.fake.spend_anonymous_cap()

    with pytest.raises(ServiceError, match="there before") as caught:
        stand.service().acquire(ORDER)

    assert (caught.value.not_done, caught.value.again_in_s) == (True, None)
    with stand.fake.cluster.connect(stranger.name) as admin:
        assert admin.execute("SELECT precious FROM somebody_elses").fetchall() == [(1,)]


@on("anonymous")
def test_instanode_a_new_day_is_not_answered_with_what_was_said_yesterday(stand: Stand) -> None:
    """Refusals are kept under a key, as answers are."""
    stand.fake.spend_anonymous_cap()
    with pytest.raises(ServiceError):
        stand.service().acquire(ORDER)
    stand.fake._days.clear()

    assert enters(stand.service().acquire(ORDER).url)


@on("instanode")
@pytest.mark.parametrize("refusal", [Fail(402), Fail(400, "invalid_name"), Fail(409, "idempotency_key_conflict")])
def test_instanode_a_refusal_whose_reason_has_gone_is_no_refusal(stand: Stand, refusal: Fail) -> None:
    stand.fake.next("provision", refusal)
    with pytest.raises(ServiceError):
        stand.service().acquire(ORDER)

    first, again = stand.service().acquire(ORDER), stand.service().acquire(ORDER)

    assert first.url == again.url
    assert len(stand.there()) == 1
    stand.service().release(first.handle)


@on("instanode")
def test_instanode_a_kept_answer_about_a_database_that_is_gone_is_not_believed(stand: Stand) -> None:
    service = stand.service()
    service.release(service.acquire(ORDER).handle)

    lease = service.acquire(ORDER)

    assert enters(lease.url)
    service.release(lease.handle)


@on("instanode", "anonymous")
def test_instanode_a_request_that_is_under_way_is_asked_again_with_its_key(stand: Stand) -> None:
    stand.fake.next("provision", Slow(3))

    lease = stand.get(stand.service())

    keys = [call.headers["Idempotency-Key"] for call in stand.fake.called("provision")]
    assert len(keys) == 5
    assert {*keys} == {ORDER.name}
    stand.service().release(lease.handle)


@on("instanode")
def test_instanode_a_request_that_stays_under_way_is_in_doubt(stand: Stand) -> None:
    stand.fake.next("provision", Fail(409, "idempotency_key_in_progress", retry_after=30))

    with pytest.raises(ServiceError, match="still making") as caught:
        stand.service(patience_s=0.0).acquire(ORDER)

    assert not caught.value.not_done


@on("instanode")
@pytest.mark.parametrize("status", [429, 503])
def test_instanode_says_how_long_to_wait(stand: Stand, status: int) -> None:
    stand.fake.next("provision", Fail(status, retry_after=30))

    with pytest.raises(ServiceError) as caught:
        stand.service().acquire(ORDER)

    assert (caught.value.not_done, caught.value.again_in_s) == (True, 30)


@on("instanode")
def test_instanode_the_token_removes_a_database_and_not_its_id(stand: Stand) -> None:
    lease = stand.service().acquire(ORDER)
    (resource,) = stand.fake._resources.values()

    stand.service().release(lease.handle)

    (call,) = stand.fake.called("delete")
    assert lease.handle == resource.token != resource.id
    assert call.path == f"/api/v1/resources/{resource.token}"


@on("anonymous")
def test_instanode_an_anonymous_database_goes_by_itself_and_its_note_tells_nothing_by_which_to_claim_it(stand: Stand) -> None:
    lease = stand.service().acquire(ORDER)
    (resource,) = stand.fake._resources.values()

    (note,) = lease.notes
    assert lease.expires_at is not None
    assert ORDER.name in note
    assert lease.expires_at in note
    assert [word for word in (resource.token, resource.id, "claim?", "signature", "://") if word in note] == []
    stand.service().release(lease.handle)
    assert stand.fake.called("delete") == []
    assert [*stand.service().leftovers()] == []


@on("instanode")
def test_instanode_a_database_of_an_account_has_no_end_and_no_note(stand: Stand) -> None:
    lease = stand.service().acquire(ORDER)

    assert (lease.expires_at, lease.notes) == (None, ())
    stand.service().release(lease.handle)


@on("instanode")
@pytest.mark.parametrize("bare", [False, True])
def test_instanode_an_older_generations_list_is_read_too(stand: Stand, bare: bool) -> None:
    stand.fake.bare_list = bare
    handle = stand.service().acquire(ORDER).handle
    httpx.post(f"{stand.fake.url}/db/new", json={"name": "mr-42"}, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False)

    assert [left.handle for left in stand.service().leftovers()] == [handle]
    for token in list(stand.fake._resources):
        stand.service().release(token)


@on("instanode")
def test_instanode_what_is_ignored_of_what_we_need_is_an_error_and_nothing_is_left(stand: Stand) -> None:
    stand.fake.next("provision", Extra({"ignored_fields": ["name"]}))

    with pytest.raises(ServiceError, match="lacks the name") as caught:
        stand.service().acquire(ORDER)

    assert caught.value.not_done
    assert stand.there() == []


@on("instanode")
def test_instanode_nothing_but_a_name_is_sent(stand: Stand) -> None:
    stand.service().release(stand.service().acquire(ORDER).handle)

    assert [call.body for call in stand.fake.called("provision")] == [{"name": ORDER.name}]


@on("instanode")
def test_instanode_one_whose_address_nobody_tells_any_more_is_removed(stand: Stand) -> None:
    stand.fake.later(hours=-25)
    stand.service().acquire(ORDER)
    stand.fake.later(hours=25)

    assert stand.service().find(ORDER) is None
    assert stand.there() == []


@on("instanode")
def test_instanode_what_need_not_be_told_may_be_missing(stand: Stand) -> None:
    stand.fake.next("provision", Without(("limits", "id", "name", "tier", "env")))

    stand.service().release(stand.service().acquire(ORDER).handle)


@on("anonymous")
def test_instanode_two_connections_are_as_many_as_the_service_says_there_are(stand: Stand) -> None:
    kind = kinds()["instanode"]
    lease = stand.service().acquire(ORDER)
    with ExitStack() as stack:
        for _ in range(kind.most_connections or 0):
            stack.enter_context(psycopg.connect(lease.url))
        assert not enters(lease.url)
    assert kind.empty


# ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def command(acquire: str, **more: Any) -> Service:
    options = {"acquire": acquire, "release": "true", **more.pop("options", {})}
    return service_of(Access("command", token=TOKEN, options=options, pause_s=0, **more))


@pytest.mark.parametrize(
    ("printed", "handle", "taken_at"),
    [
        ("postgresql://a:b@h/d", ORDER.name, None),
        ("making it…\n\npostgres://a:b@h/d\n\n", ORDER.name, None),
        ('{"url": "postgresql://a:b@h/d"}', ORDER.name, None),
        (
            'making it\n{"url": "postgresql://a:b@h/d", "handle": "7", "taken_at": "2026-01-01T02:00:00+02:00"}',
            "7",
            "2026-01-01T00:00:00Z",
        ),
        ('{"url": "postgresql://a:b@h/d", "handle": 7, "taken_at": 7}', ORDER.name, None),
    ],
)
def test_a_command_prints_an_address_alone_or_with_more(printed: str, handle: str, taken_at: str | None, tmp_path: Path) -> None:
    (tmp_path / "printed").write_text(printed)

    lease = command(f"cat {tmp_path}/printed").acquire(ORDER)

    assert re.fullmatch("postgres(ql)?://a:b@h/d", lease.url)
    assert (lease.handle, lease.taken_at) == (handle, taken_at)


@pytest.mark.parametrize(
    "printed",
    ["", "done", "host=h password=planted", "mysql://a:planted@h/d", '{"uri": 1}', "{", "postgresql://a:planted@h/d?nonsense=1"],
)
def test_a_command_that_prints_no_address_is_told_without_what_it_printed(printed: str, tmp_path: Path) -> None:
    (tmp_path / "printed").write_text(printed)

    with pytest.raises(ServiceError, match="no connection URL") as caught:
        command(f"cat {tmp_path}/printed").acquire(ORDER)

    assert not caught.value.not_done
    assert "planted" not in everything(caught.value)


def test_a_command_is_told_a_name_and_what_the_inputs_say_and_not_our_other_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INPUT_TOKEN", "other")
    monkeypatch.setenv("MIGRATION_REHEARSAL_JOURNAL_KEY", "other")
    monkeypatch.setenv("ACTIONS_RUNTIME_TOKEN", "other")
    monkeypatch.setenv("AWS_PROFILE", "theirs")

    command(f"env >{tmp_path}/told; echo postgresql://h/d", url="https://clones.example.org").acquire(ORDER)

    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines() if "=" in line)
    assert "other" not in told.values()
    assert told["AWS_PROFILE"] == "theirs"
    assert {name.removeprefix("MIGRATION_REHEARSAL_CLONE_"): told[name] for name in told if name.startswith("MIGRATION")} == {
        "NAME": ORDER.name,
        "UNTIL": "2100-01-01T00:00:00Z",
        "URL": "https://clones.example.org",
        "TOKEN": TOKEN,
    }


def test_a_command_that_gives_back_is_told_the_handle(tmp_path: Path) -> None:
    release = f'printf %s "$MIGRATION_REHEARSAL_CLONE_HANDLE" >{tmp_path}/told'

    command("true", options={"release": release}).release("id 'of' it; $(none)")

    assert (tmp_path / "told").read_text() == "id 'of' it; $(none)"


@pytest.mark.parametrize("secret", [TOKEN, "p%40ssw0rd-planted", "p@ssw0rd-planted", "postgresql://x:other-planted@h/d"])
def test_a_command_that_fails_is_told_with_some_of_its_complaint_and_no_secret(secret: str, tmp_path: Path) -> None:
    (tmp_path / "err").write_text("first line\n" + "y" * 500 + "\nmiddle\n" * 5 + f"it is {secret} that was wrong\n")
    line = f"echo postgresql://a:p%40ssw0rd-planted@h/d; cat {tmp_path}/err >&2; exit 3"

    with pytest.raises(ServiceError, match="`acquire` of clone-options ended with exit status 3") as caught:
        command(line).acquire(ORDER)

    assert "that was wrong" in caught.value.why
    assert "first line" not in str(caught.value)
    assert [word for word in ("planted", line) if word in everything(caught.value)] == []


def test_a_command_that_takes_too_long_is_ended_with_all_that_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as one of them lives, it holds the pipe open. They are asked first, and these don't listen."""
    monkeypatch.setattr("bot.clones.services.command._GRACE_S", 0.1)
    os.mkfifo(tmp_path / "alive")
    reader = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    line = f"exec 7>{tmp_path}/alive; echo there >&7; trap '' TERM; (sleep 600) & wait; sleep 600"

    with pytest.raises(ServiceError, match=r"did not end in 0\.5 s") as caught:
        command(line, options={"seconds": "0.5"}).acquire(ORDER)

    assert not caught.value.not_done
    said = [os.read(reader, 100)]
    while said[-1] and select.select([reader], [], [], 60)[0]:
        said.append(os.read(reader, 100))
    os.close(reader)
    assert said == [b"there\n", b""]  # the end: nobody has it open any more


def test_what_a_command_leaves_running_is_not_waited_for() -> None:
    service = command("sleep 5 & echo postgresql://h/d")

    assert service.acquire(ORDER).url == "postgresql://h/d"


@pytest.mark.parametrize("seconds", ["soon", "0", "-1", "1e9", "nan"])
def test_a_time_limit_is_a_number_of_seconds(seconds: str) -> None:
    with pytest.raises(ServiceError, match="no number of seconds"):
        command("true", options={"seconds": seconds})


def test_commands_that_list_nothing_leave_nothing_to_find() -> None:
    assert [*command("false").leftovers()] == []
    assert [*command("false", options={"list": "true"}).leftovers()] == []
    assert command("false", options={"list": "true"}).find(ORDER) is None


def test_commands_that_list_nothing_are_asked_again_for_the_database_of_a_name() -> None:
    lease = command('echo "postgresql://h/$MIGRATION_REHEARSAL_CLONE_NAME"').find(ORDER)

    assert lease is not None
    assert (lease.handle, lease.url) == (ORDER.name, f"postgresql://h/{ORDER.name}")


def test_of_a_list_only_ours_are_ours(tmp_path: Path) -> None:
    (tmp_path / "listed").write_text(
        f"{ORDER.name} 2026-01-01T00:00:00Z\nmr-42 2026-01-01T00:00:00Z\n{ORDER.name[:-1]}0 soon\n\nnoise\n"
    )

    (left,) = command("false", options={"list": f"cat {tmp_path}/listed"}).leftovers()

    assert (left.handle, left.name, left.made_at) == (ORDER.name, ORDER.name, datetime(2026, 1, 1, tzinfo=UTC))


# ── Names and settings ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "ours"),
    [(ORDER.name, True), (f"{ORDER.name}0", False), ("mr-42", False), (f"mr-{'x' * 32}", False), (None, False)],
)
def test_a_name_that_we_give_is_told_from_others(name: str | None, ours: bool) -> None:
    assert is_ours(name) is ours


def _bare(kind: Kind) -> Mapping[str, Any]:
    options = {option.name: "x" for option in kind.options if option.needed}
    url = "postgresql://h/template" if kind.name == "server" else "https://h"
    return {"url": url if kind.needs_url else None, "token": "x" if kind.needs_token else None, "options": options}


@pytest.mark.parametrize("kind", kinds().values(), ids=lambda kind: kind.name)
def test_a_service_is_made_of_what_it_needs_and_asks_for_what_it_lacks(kind: Kind) -> None:
    service_of(Access(kind.name, **_bare(kind))).close()
    needed = [option.name for option in kind.options if option.needed]

    for name in needed:
        options = {key: value for key, value in _bare(kind)["options"].items() if key != name}
        with pytest.raises(UsageError, match=f"needs to know {name}"):
            service_of(Access(kind.name, **{**_bare(kind), "options": options}))
    for what in ("url", "token"):
        if _bare(kind)[what]:
            with pytest.raises(UsageError, match=f"clone-{what}"):
                service_of(Access(kind.name, **{**_bare(kind), what: None}))
