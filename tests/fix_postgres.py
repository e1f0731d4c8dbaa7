"""A real PostgreSQL for each test process, and a short way to rehearse text on it."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from psycopg import sql

from bot.clones.embedded import EmbeddedProvider
from bot.extensions import HARMLESS
from bot.held import make_folder
from bot.model import Migration, Rehearsal
from bot.postgres.binaries import Account, Needs, choose
from bot.postgres.embedded import MAKER, SUPERUSER, Server, _copy_fresh_data, embedded_server
from bot.postgres.roles import may_make_seeds, settle
from bot.progress import Progress
from bot.run import rehearse_all
from bot.seeds import close
from bot.settings import Settings
from tests.contract.crash_action import SHARED_BUFFERS_MB

POSTGRES_BIN = os.environ.get("MIGRATION_REHEARSAL_POSTGRES_BIN")


_BOSS = "boss"  # a superuser, for migrations that need one


@pytest.fixture(scope="session", autouse=True)
def small_shared_buffers() -> Iterator[None]:
    """Of all servers that the tests start in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot.postgres.embedded._shared_buffers_mb", lambda: SHARED_BUFFERS_MB)
        yield


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One embedded server for a test process."""
    with embedded_server(choose(Needs(), POSTGRES_BIN)) as running:
        yield running


@dataclass(slots=True)
class Stage:
    """Makes seeds of SQL text, kept for the test process, and rehearses migrations on clones of them."""

    server: Server
    _seeds: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def rehearse(self, seed: str, *texts: str, layout: str = "plain", settings: Settings | None = None) -> list[Rehearsal]:
        """Rehearses the texts as the migrations 1.sql, 2.sql, … on a clone of what `seed` makes."""
        migrations = tuple(Migration(f"{n}.sql", str(n), layout, text) for n, text in enumerate(texts, start=1))
        return self.rehearse_migrations(seed, migrations, settings)

    def rehearse_migrations(
        self, seed: str, migrations: tuple[Migration, ...], settings: Settings | None = None
    ) -> list[Rehearsal]:
        settings = settings or Settings()
        name, superuser = self._seed(seed), settings.superuser
        role = _BOSS if superuser else MAKER
        provider = EmbeddedProvider(self.server, name, role=role, superuser=superuser, may_create=HARMLESS)
        with provider.clone() as clone:
            return list(rehearse_all(migrations, provider, clone, settings, Progress(quiet=True)))

    def _seed(self, text: str) -> str:
        if text not in self._seeds:
            name = f"seed{next(self._numbers)}"
            may_make_seeds(self.server)
            with self.server.connect("postgres") as admin:
                admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(MAKER)))
            with self.server.connect(name, user=MAKER) as connection:
                connection.execute(text.encode())
                connection.execute("VACUUM ANALYZE")
            settle(self.server, name, MAKER)
            settle(self.server, name, _BOSS, superuser=True)
            with self.server.connect("postgres") as admin:
                close(admin, name)
            self._seeds[text] = name
        return self._seeds[text]


@pytest.fixture(scope="session")
def stage(server: Server) -> Stage:
    """Where migrations are rehearsed."""
    return Stage(server)


@pytest.fixture
def journal_url(server: Server) -> Iterator[str]:
    """The URL of an empty schema of its own: a database would take half a second."""
    name = f"journal_{uuid.uuid4().hex}"
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    yield server.conninfo("postgres", user=SUPERUSER, options=f"-csearch_path={name}")
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture
def journal_database(server: Server) -> Iterator[str]:
    """The URL of an empty database of its own."""
    name = f"journal_{uuid.uuid4().hex}"
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} STRATEGY FILE_COPY").format(sql.Identifier(name)))
    yield server.conninfo(name, user=SUPERUSER)
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


class Restartable:
    """A server on a socket that stays where it is, which can be restarted."""

    def __init__(self, folder: Path) -> None:
        self._binaries, self._account, self._folder = choose(Needs(), POSTGRES_BIN), Account.current(), folder
        _copy_fresh_data(self._binaries, self._account, folder)
        self.url = f"host={folder} user=postgres dbname=postgres"
        self._control("start")

    def _control(self, verb: str, *more: str) -> None:
        options = f"-c listen_addresses='' -c unix_socket_directories='{self._folder}' -c fsync=off"
        command = [self._binaries.tool("pg_ctl"), "-D", str(self._folder / "data"), "-w", "-l", str(self._folder / "log")]
        subprocess.run(  # type: ignore[call-overload]
            [*command, "-o", options, *more, verb], check=True, capture_output=True, **self._account.popen_arguments()
        )

    def restart(self, mode: str) -> None:
        """`fast` ends every connection, `immediate` is a crash with recovery."""
        self._control("restart", "-m", mode)

    def stop(self) -> None:
        self._control("stop", "-m", "immediate")


@pytest.fixture
def restartable() -> Iterator[Restartable]:
    """A server that can be restarted."""
    folder = make_folder("mr-test-")
    try:
        server = Restartable(folder)
        yield server
        with suppress(subprocess.CalledProcessError):  # a test may have stopped it
            server.stop()
    finally:
        shutil.rmtree(folder)
