"""A PostgreSQL on TCP, and in front of it the fakes of the services that hand out disposable databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest
from psycopg import sql

from bot.clones.services import Access
from bot.postgres.binaries import Needs, choose
from tests.contract.fake_clones import (
    Cluster,
    Database,
    FakeArdent,
    FakeDblab,
    FakeInstanode,
    FakeNeon,
    Service,
    has_tls,
    tcp_server,
)
from tests.fix_postgres import POSTGRES_BIN

S = TypeVar("S", bound=Service)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A server on TCP that asks for a password, one for a test process."""
    with tcp_server(choose(Needs(), POSTGRES_BIN)) as running:
        yield running


@pytest.fixture(scope="session")
def tls_cluster(cluster: Cluster) -> Iterator[Cluster]:
    """The same with TLS, and a certificate that `ca_file` has signed."""
    if not has_tls(cluster):
        pytest.skip("this PostgreSQL was built without TLS, as the wheel is")
    with tcp_server(choose(Needs(), POSTGRES_BIN), tls=True) as running:
        yield running


@pytest.fixture(scope="session")
def parent(cluster: Cluster) -> Database:
    """The database that all clones of a session are copies of: three goods. Nobody may stay connected to it."""
    return make_parent(cluster)


GOODS = """
    CREATE TABLE goods (id int PRIMARY KEY, name text NOT NULL);
    INSERT INTO goods VALUES (1, 'apple'), (2, 'pear'), (3, 'quince');
"""


def make_parent(cluster: Cluster, script: str = GOODS) -> Database:
    """A database that holds what a script makes, all of it owned by a role that nobody logs in as."""
    made = cluster.create(is_open=False)
    with cluster.connect(made.name) as admin:
        admin.execute(f"SET ROLE {made.role}".encode())
        admin.execute(script.encode())
    return made


@contextmanager
def tended(fake: S) -> Iterator[S]:
    """A fake whose client must have done as described; afterwards nothing that it made is left."""
    with fake:
        yield fake
    assert fake.problems == []
    assert fake.left() == frozenset()


@pytest.fixture
def instanode(cluster: Cluster) -> Iterator[FakeInstanode]:
    """instanode.dev, with the token "t"."""
    with tended(FakeInstanode(cluster)) as fake:
        yield fake


@pytest.fixture
def neon(cluster: Cluster, parent: Database) -> Iterator[FakeNeon]:
    """Neon, with the token "t"."""
    with tended(FakeNeon(cluster, parent)) as fake:
        yield fake


@pytest.fixture
def dblab(cluster: Cluster, parent: Database) -> Iterator[FakeDblab]:
    """A Database Lab Engine, with the token "t"."""
    with tended(FakeDblab(cluster, parent)) as fake:
        yield fake


@pytest.fixture
def ardent(cluster: Cluster, parent: Database) -> Iterator[FakeArdent]:
    """Ardent, with the token "t"."""
    with tended(FakeArdent(cluster, parent)) as fake:
        yield fake


SHOP = """
    CREATE TABLE orders (id int PRIMARY KEY, email text);
    INSERT INTO orders SELECT n, nullif(n % 3, 0) FROM generate_series(1, 90) n;
    CREATE TABLE schema_migrations (version text PRIMARY KEY);
    INSERT INTO schema_migrations VALUES ('1');
"""


@dataclass(frozen=True)
class Staging:
    """A server with a template, and the URL of a role that may copy it."""

    cluster: Cluster
    template: Database
    url: str

    def clones(self) -> list[str]:
        return sorted(name for name in self.cluster.names() if name.startswith("mr-"))

    def access(self, **more: object) -> Access:
        return Access("server", self.url, pause_s=0.05, **more)  # type: ignore[arg-type]


@pytest.fixture
def staging(cluster: Cluster) -> Iterator[Staging]:
    template = make_parent(cluster, SHOP)
    cluster.open(template)
    role = sql.Identifier(template.role)
    cluster.session.execute(sql.SQL("ALTER ROLE {} CREATEDB").format(role))
    there = Staging(cluster, template, template.url())
    yield there
    left = there.clones()
    for name in left:
        cluster.session.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
    cluster.drop(template)
    assert left == []
