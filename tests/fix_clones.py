"""A PostgreSQL on TCP, and in front of it the fakes of the services that hand out disposable databases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import pytest

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
