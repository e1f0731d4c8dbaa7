"""The real PostgreSQL behind the fakes: a server on TCP with passwords, and the databases they hand out of it."""

from __future__ import annotations

import secrets
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import trustme
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bot.errors import ServerError
from bot.held import make_folder
from bot.postgres.binaries import Account, Binaries
from bot.postgres.embedded import _THROWN_AWAY, SUPERUSER, _copy_fresh_data, _give, _running

_HOST = "127.0.0.1"
_TRIES = 5  # another process may take a free port before the server does


@dataclass(frozen=True)
class Database:
    """One database on the server, and the role that owns it."""

    name: str
    role: str
    password: str = field(repr=False)
    host: str
    port: int
    tls: bool = False

    def url(self, scheme: str = "postgresql") -> str:
        """A URL for it, as a service would write it."""
        secret = quote(self.password, safe="")
        return f"{scheme}://{self.role}:{secret}@{self.host}:{self.port}/{self.name}{'?sslmode=require' if self.tls else ''}"


@dataclass(frozen=True)
class Cluster:
    """A server on TCP: where it is, how its superuser gets in, and who signed its certificate, if it has one."""

    admin: str
    host: str
    port: int
    session: psycopg.Connection = field(repr=False, compare=False)  # the superuser's, kept because a new one is slow
    ca_file: Path | None = None

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """A connection of the superuser, in autocommit."""
        return psycopg.connect(make_conninfo(self.admin, dbname=database), autocommit=True)

    def create(self, *, template: str | None = None, most_connections: int = -1, is_open: bool = True) -> Database:
        """A database with a role of its own that owns it, empty or a copy of another; until it is open its role can't log in.

        What the other's owner owns in it, the new role may change too: it becomes a member of that owner.
        """
        mark = secrets.token_hex(6)
        made = Database(f"db_{mark}", f"usr_{mark}", secrets.token_hex(12), self.host, self.port, tls=self.ca_file is not None)
        try:
            self._make_role(made, most_connections, is_open)
            self._make_database(made, template)
        except BaseException:
            self.drop(made)
            raise
        return made

    def _make_role(self, made: Database, most_connections: int, is_open: bool) -> None:
        making = sql.SQL("CREATE ROLE {} {} PASSWORD {} CONNECTION LIMIT {}")
        login = sql.SQL("LOGIN" if is_open else "NOLOGIN")
        self.session.execute(making.format(sql.Identifier(made.role), login, sql.Literal(made.password), most_connections))

    def _make_database(self, made: Database, template: str | None) -> None:
        """Only its own role may connect to it."""
        name, role = sql.Identifier(made.name), sql.Identifier(made.role)
        if template is not None:
            self.session.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(self._owner(template)), role))
        copied = sql.Identifier(template or "template1")
        self.session.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(name, role, copied))
        self.session.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))

    def _owner(self, database: str) -> str:
        query = "SELECT rolname, rolsuper FROM pg_database JOIN pg_roles r ON r.oid = datdba WHERE datname = %s"
        row = self.session.execute(query, [database]).fetchone()
        if row is None or row[1]:
            raise LookupError(f"the parent database {database} must be there, and belong to a role that is no superuser")
        return str(row[0])

    def open(self, database: Database, *, password: str | None = None) -> None:
        """Let its role log in, with a password of its own or one that is given."""
        secret = sql.Literal(password or database.password)
        self.session.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(database.role), secret))

    def remake(self, database: Database, template: str) -> None:
        """Make it a fresh copy of another; who is in it is thrown out."""
        self.kill(database)
        self._make_database(database, template)

    def kill(self, database: Database) -> None:
        """Drop it under whoever is in it; its role stays, as a clone's address does when the clone dies."""
        self.session.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database.name)))

    def drop(self, database: Database) -> None:
        """Drop it and its role."""
        self.kill(database)
        self.session.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(database.role)))

    def names(self) -> frozenset[str]:
        """Every database and login role that is not the server's own; a role is written with an @ before it."""
        query = """
            SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'
            UNION ALL SELECT '@' || rolname FROM pg_roles WHERE NOT rolsuper AND rolname !~ '^pg_'
        """
        return frozenset(name for (name,) in self.session.execute(query))

    def sessions(self, database: Database) -> int:
        """How many are in it."""
        row = self.session.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", [database.name]).fetchone()
        assert row is not None
        return int(row[0])


@contextmanager
def tcp_server(binaries: Binaries, *, tls: bool = False) -> Iterator[Cluster]:
    """A server on a free port of this machine that asks for a password, with a certificate if so wished."""
    with ExitStack() as stack:
        yield _entered(stack, binaries, tls)


def _entered(stack: ExitStack, binaries: Binaries, tls: bool) -> Cluster:
    """A server that runs for as long as the stack; on another port if somebody else took the first."""
    for _ in range(_TRIES - 1):
        try:
            return stack.enter_context(_tcp_server(binaries, tls))
        except ServerError as error:
            if "TCP/IP sockets" not in (error.why or ""):
                raise
    return stack.enter_context(_tcp_server(binaries, tls))


@contextmanager
def _tcp_server(binaries: Binaries, tls: bool) -> Iterator[Cluster]:
    account, folder, port = Account.current(), make_folder("mr-test-"), _free_port()
    try:
        _copy_fresh_data(binaries, account, folder)
        (folder / "data" / "pg_hba.conf").write_text(f"local all {SUPERUSER} trust\nhost all all {_HOST}/32 scram-sha-256\n")
        settings = {**_THROWN_AWAY, **_settings(binaries, port), **(_certified(folder) if tls else {})}
        _give(folder, account.uid, account.gid)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    with _running(binaries, folder, folder / "data", settings, account.popen_arguments()):
        admin = make_conninfo("", host=str(folder), port=str(port), user=SUPERUSER)
        with psycopg.connect(admin, dbname="postgres", autocommit=True) as session:
            yield Cluster(admin, _HOST, port, session, folder / "ca.pem" if tls else None)


def _settings(binaries: Binaries, port: int) -> Mapping[str, str]:
    settings = {"listen_addresses": _HOST, "port": str(port), "password_encryption": "scram-sha-256", "shared_buffers": "16MB"}
    if binaries.major >= 16:
        settings["scram_iterations"] = "1"  # nobody guesses these passwords, and each connection is faster
    return settings


def _certified(folder: Path) -> Mapping[str, str]:
    """Writes a certificate for this machine, its key, and who signed it."""
    authority = trustme.CA()
    issued = authority.issue_cert(_HOST, "localhost")
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "server.pem"))
    issued.private_key_pem.write_to_path(str(folder / "server.key"))
    (folder / "server.key").chmod(0o600)
    return {"ssl": "on", "ssl_cert_file": str(folder / "server.pem"), "ssl_key_file": str(folder / "server.key")}


def has_tls(cluster: Cluster) -> bool:
    """Whether the server's programs were built with TLS."""
    row = cluster.session.execute("SHOW ssl_library").fetchone()
    return bool(row and row[0])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port
