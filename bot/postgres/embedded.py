"""An embedded PostgreSQL: a server of our own that nobody else can reach and that is gone when we are.

It listens on no TCP port, only on a socket in a folder of its own, which is held (see bot/held.py). Its data is gone with it
(`embedded_server`), or kept in a folder for the next time (`kept_server`). Where the platform lets us, it has no network at all.

Its superuser is ours alone, and only who knows its password, made anew for each server, gets in as it: a migration must not come
back through the socket as somebody else. `postgres` is a role like others, which may do everything while the seed is made, and
not longer (see bot/postgres/roles.py).
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bot.copying import bytes_in, copy_tree, refers
from bot.errors import ServerError
from bot.held import held, held_folder, make_folder
from bot.postgres.binaries import Account, Binaries, cache_folder, prepared_folder, publish
from bot.postgres.no_network import without_network
from bot.room import Watch, room_of

_START_LIMIT_S = 60.0
_STOP_LIMIT_S = 600.0  # all that is in its memory is written first
_LEFT = 0.75  # of the machine's memory may be one server process's
SUPERUSER = "migration_rehearsal"  # initdb's own, which nobody else may be
MAKER = "postgres"  # who makes the seed, as most dumps and histories expect


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its programs, and where its socket is. `password` is its superuser's."""

    binaries: Binaries
    folder: Path
    account: Account
    password: str | None = field(default=None, repr=False)
    has_network: bool = True

    def conninfo(self, database: str, *, user: str = MAKER, **options: str) -> str:
        """A connection string for one of its databases."""
        if user == SUPERUSER and self.password:
            options["password"] = self.password
        return make_conninfo("", host=str(self.folder), user=user, dbname=database, **options)

    def connect(
        self, database: str, *, user: str = SUPERUSER, application: str = "migration-rehearsal", settings: str = ""
    ) -> psycopg.Connection:
        """A connection in autocommit, so that nothing is begun unless somebody says so. `settings`, as for PGOPTIONS, come
        before what somebody has set for a database or a role.
        """
        connection = psycopg.connect(
            self.conninfo(database, user=user, application_name=application, connect_timeout="10", options=settings),
            autocommit=True,
            prepare_threshold=None,
        )
        connection.add_notify_handler(_forget)
        return connection

    def run_tool(
        self, name: str, *arguments: str, stdin: int | None = subprocess.DEVNULL, user: str = MAKER
    ) -> subprocess.Popen[bytes]:
        """Starts one of PostgreSQL's client programs against this server, as the server's account."""
        options = self.account.popen_arguments()
        environment = dict(options["env"], PGHOST=str(self.folder), PGUSER=user)  # type: ignore[call-overload]
        if user == SUPERUSER and self.password:
            environment["PGPASSWORD"] = self.password
        return subprocess.Popen(
            [self.binaries.tool(name), *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **{**options, "env": environment},
        )

    def end_session(self, pid: int) -> None:
        """Ends a session, whatever it is doing. Raises psycopg.Error if the server does not answer."""
        with self.connect("postgres") as admin:
            admin.execute("SELECT pg_catalog.pg_terminate_backend(%s)", [pid])

    def room_bytes(self) -> int | None:
        """The room left on the disk that its data is on; None where that is not known."""
        return room_of(self.folder)

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.folder / "data"

    def clones_by_reference(self) -> bool:
        """Whether it copies a database so that the copy shares the original's blocks: it must be able to (18), and its disk."""
        return self.binaries.major >= 18 and refers(self.folder)

    def stop(self) -> None:
        """Stops it in order, so that its data is whole. Raises ServerError if it does not."""
        pid_file = self.data / "postmaster.pid"
        with suppress(OSError, ValueError):
            pid = int(pid_file.read_text().split("\n", 1)[0])
            # As its account, and one process: who writes to its folder says which.
            if pid > 1:
                command, quiet = ["/bin/sh", "-c", 'kill -INT "$0"', str(pid)], subprocess.DEVNULL
                subprocess.run(command, check=False, stderr=quiet, **self.account.popen_arguments())  # type: ignore[call-overload]
        deadline = time.monotonic() + _STOP_LIMIT_S
        while pid_file.exists():
            if time.monotonic() > deadline:
                raise ServerError("The embedded PostgreSQL did not stop.", why=self.log_tail())
            time.sleep(0.01)

    def last_words(self) -> str:
        """Why the server is gone, if it says so: a full disk, for one. Never the statement, which it logs beside it."""
        lines = [line.partition(" PANIC: ")[2].strip() for line in self.log_tail(50).splitlines()]
        return next(filter(None, lines), "")

    def log_tail(self, lines: int = 5) -> str:
        """The last lines that the server logged."""
        try:
            return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def _forget(_notification: psycopg.Notify) -> None:
    """Without a handler psycopg keeps each notification for whoever asks, and a migration may send itself any number."""


@contextmanager
def embedded_server(binaries: Binaries, data: Path | None = None, *, move: bool = False) -> Iterator[Server]:
    """Starts a server on a fresh data folder, or on a copy of one that another server left when it stopped in order, which is
    moved if nobody needs it any more; whatever happens, it is stopped and its folder removed.

    Raises ServerError when it does not come up.
    """
    account = Account.current()
    with held_folder("mr-") as folder:
        if data is None:
            _copy_fresh_data(binaries, account, folder)
        else:
            _take_data(binaries, account, folder, data, move=move)
        leave = without_network()
        options = account.popen_arguments() | ({"preexec_fn": leave} if leave else {})
        most_kb = int(_memory_bytes() * _LEFT) // 1024
        settings = _THROWN_AWAY | {"temp_file_limit": f"{_most_temporary_bytes(folder) // 1024}kB"}
        # Nothing of it is needed any more: at QUIT it stops at once, where at INT it would write its memory to the disk first.
        with _running(binaries, folder, folder / "data", settings, options, most_kb, stop="QUIT") as server:
            yield _locked_up(replace(server, has_network=leave is None))


def _most_temporary_bytes(folder: Path) -> int:
    """What one session may write to temporary files."""
    return max(2**30, shutil.disk_usage(folder).free // 2)


def _locked_up(server: Server) -> Server:
    """Gives the superuser a password that nobody else knows, and asks for it from now on."""
    password = secrets.token_hex(16)
    with server.connect("postgres") as admin:
        # To derive a key thousands of times makes guessing slow, and each of our connections too. Nobody guesses 128 bits.
        cheap = "scram_iterations = 1" if server.binaries.major >= 16 else "password_encryption = 'md5'"
        admin.execute(f"SET {cheap}".encode())
        admin.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(SUPERUSER), password))
        hba = server.data / "pg_hba.conf"
        hba.write_text(f"local all {SUPERUSER} md5\nlocal all all trust\n")
        admin.execute("SELECT pg_catalog.pg_reload_conf()")
    return replace(server, password=password)


@contextmanager
def kept_server(binaries: Binaries, data: Path, lock: int) -> Iterator[Server]:
    """Starts a server on a data folder that stays, made if there is none; it is stopped at the end, whatever happens.

    `lock` is a file descriptor that holds a lock on the folder: the server inherits it, so that the folder stays locked until
    the last of its processes is gone. Raises ServerError.
    """
    account = Account.owning(data)
    if closed := next((parent for parent in data.parents if not account.may_enter(parent)), None):
        raise ServerError(
            f"PostgreSQL does not run as root, and the account that it runs as may not enter {closed}.",
            advice="Choose a folder that others may enter, or run the program as another user.",
        )
    folder = make_folder("mr-journal-")
    try:
        if not (data / "PG_VERSION").exists():
            _make_kept_data(binaries, account, data)
        data.chmod(0o700)
        _give(data, account.uid, account.gid)  # a cache may have restored it as somebody else
        _give(folder, account.uid, account.gid)
        (data / "postmaster.pid").unlink(missing_ok=True)  # left by a server that was killed: we have the lock
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise ServerError(
            f"The data folder {data} can't be used.", why=error.strerror or str(error), advice="Choose or empty another folder."
        ) from error
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    options = {**account.popen_arguments(), "pass_fds": (lock,)}
    with _running(binaries, folder, data, _KEPT, options) as server:
        yield server


def _make_kept_data(binaries: Binaries, account: Account, data: Path) -> None:
    """Appears at once under its name: a crash leaves none, not half of one."""
    building = data.with_name(f"{data.name}.new")
    shutil.rmtree(building, ignore_errors=True)
    building.mkdir(parents=True)
    _copy_fresh_data(binaries, account, building)
    shutil.rmtree(data, ignore_errors=True)
    (building / "data").rename(data)
    shutil.rmtree(building)


def _forget_clients_settings() -> None:
    """Takes what libpq's variables would change about a connection out of this process's environment: a rehearsal must not
    depend on whoever starts it. What leads to a journal of one's own (PGPASSWORD, PGSSLMODE and the like) stays.
    """
    for name in ("OPTIONS", "DATESTYLE", "TZ", "GEQO", "CLIENTENCODING", "HOSTADDR", "PORT", "SERVICE", "TARGETSESSIONATTRS"):
        os.environ.pop(f"PG{name}", None)


@contextmanager
def _running(
    binaries: Binaries,
    folder: Path,
    data: Path,
    settings: Mapping[str, str],
    options: Mapping[str, Any],
    most_kb: int | None = None,
    *,
    stop: Literal["INT", "QUIT"] = "INT",
) -> Iterator[Server]:
    """A server whose socket and log are in `folder`, which is removed when it has stopped."""
    _forget_clients_settings()
    with held(folder, _command(binaries, folder, data, settings), options, most_kb=most_kb, stop=stop) as holder:
        server = Server(binaries, folder, Account.current())
        _wait_until_up(server, data, holder)
        yield server


_THROWN_AWAY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_wal_size": "16GB",
    "checkpoint_timeout": "1h",
    "maintenance_work_mem": "256MB",
    "autovacuum": "off",  # nothing but the migration may change what is counted
    "restart_after_crash": "off",  # on a full disk it can't, and one that tries is not to be stopped
}
_SINCE_16 = {"createrole_self_grant": "set, inherit"}  # as a superuser may do with the roles it makes
_KEPT = {"shared_buffers": "16MB", "max_connections": "50", "max_wal_size": "64MB", "min_wal_size": "32MB"}


def _command(binaries: Binaries, folder: Path, data: Path, more: Mapping[str, str]) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "unix_socket_permissions": "0700",
        "wal_level": "replica",  # as in production, where an index or a rewritten table goes through the log: it is measured
        "max_wal_senders": "0",
        "shared_buffers": f"{_shared_buffers_mb()}MB",
        "dynamic_shared_memory_type": "mmap",  # a container's /dev/shm has 64 MB: too little for a parallel index build
        "log_min_messages": "fatal",
        "log_min_error_statement": "panic",  # statements hold data
        **more,
    }
    if binaries.major >= 16:
        settings.update(_SINCE_16)
    if binaries.major >= 18:
        settings["file_copy_method"] = "clone"
    command = [binaries.tool("postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    return command


def socket_of(data: Path) -> str | None:
    """The folder of the socket of a server that runs on a data folder; None if none is ready there."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return None
    return lines[4] if len(lines) > 7 and lines[7].strip() == "ready" else None


def _wait_until_up(server: Server, data: Path, holder: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_LIMIT_S
    while not socket_of(data):
        if holder.poll() is not None or time.monotonic() > deadline or _gave_up(server):
            raise ServerError(
                "The embedded PostgreSQL did not start.",
                why=server.log_tail() or f"It did not answer within {_START_LIMIT_S:.0f} s.",
                advice="Name another server's programs in postgres-bin.",
            )
        time.sleep(0.01)


def _gave_up(server: Server) -> bool:
    tail = server.log_tail()
    return "FATAL" in tail or "PANIC" in tail or "error while loading" in tail or tail.startswith("postgres: ")


def _copy_fresh_data(binaries: Binaries, account: Account, folder: Path) -> None:
    """Copies a fresh data folder, made once by initdb (1 s) for each set of programs, and gives it to an account."""
    try:
        copy_tree(_fresh_data(binaries), folder / "data", owner=_other(account))
    except OSError as error:
        raise ServerError(
            "The server's data folder could not be made.",
            why=f"In {folder.parent}: {error.strerror or error}.",
            advice="It takes 40 MB, and the seed twice: look at the free disk space.",
        ) from error
    (folder / "data").chmod(0o700)
    if owner := _other(account):
        os.chown(folder, *owner)


# What decides how a server runs and whom it lets in. Whoever filled a data folder may have changed it (ALTER SYSTEM).
_CONFIGURATION = ("postgresql.conf", "postgresql.auto.conf", "pg_hba.conf", "pg_ident.conf")


def _take_data(binaries: Binaries, account: Account, folder: Path, data: Path, *, move: bool) -> None:
    """Takes over a data folder: its databases and roles, and nothing of its configuration, nor its superuser's password, which
    is made anew. Raises SeedError if there is no room for it, ServerError for whatever else.
    """
    if not move and not refers(data.parent, folder):
        Watch(folder, "The kept seed can't be copied").need(bytes_in(data))
    try:
        if move:
            data.rename(folder / "data")
            if (folder / "data").is_symlink():
                raise NotADirectoryError(errno.ENOTDIR, "It is a link")
        else:
            copy_tree(data, folder / "data", owner=_other(account))
            (folder / "data").chmod(0o700)
        for name in _CONFIGURATION:
            _write_configuration(folder / "data" / name, _fresh_data(binaries) / name, account)
        if owner := _other(account):
            os.chown(folder, *owner)
    except OSError as error:
        raise ServerError(
            "The data folder of a seed could not be taken over.", why=f"In {folder.parent}: {error.strerror or error}."
        ) from error


def _write_configuration(path: Path, content: Path, account: Account) -> None:
    """In a folder that something which a dump has started may still reach: no file of its is written to, or given away."""
    path.unlink(missing_ok=True)
    with path.open("xb") as file:
        file.write(content.read_bytes())
        os.fchmod(file.fileno(), 0o600)
        if os.geteuid() == 0:
            os.fchown(file.fileno(), account.uid, account.gid)


def _fresh_data(binaries: Binaries) -> Path:
    """Where the fresh data folder is: one that was prepared for everybody on this machine, or else in our cache."""
    name = f"{binaries.version}-{int(Path(binaries.tool('postgres')).stat().st_mtime)}-{_DATA_VERSION}"
    prepared = prepared_folder() / name
    if os.access(prepared / "PG_VERSION", os.R_OK):
        return prepared
    maker = Account.current()
    fresh = cache_folder() / "fresh" / f"{name}-{maker.uid}"
    if not (fresh / "PG_VERSION").exists():
        _initdb(binaries, maker, fresh)
    return fresh


def prepare(binaries: Binaries) -> Path:
    """Makes the fresh data folder for everybody on this machine, for an image: an account without an entry in the system's list
    of users can start a server on a copy of it, where initdb would refuse. Only root can. Gives its place.
    """
    prepared = prepared_folder() / _fresh_data(binaries).name.rpartition("-")[0]
    if not prepared.exists():
        shutil.copytree(_fresh_data(binaries), prepared, symlinks=True)
        for path in [prepared, *prepared.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    return prepared


_DATA_VERSION = 2  # of what _initdb makes


def _initdb(binaries: Binaries, account: Account, fresh: Path) -> None:
    """Makes a fresh data folder in the cache. It ends up ours: no later migration, whose server runs as that account, may
    change what the next server starts from. initdb, other than the server, needs an account that has an entry in the system's
    list of users.
    """
    building = fresh.with_name(f"{fresh.name}.{os.getpid()}")
    building.mkdir(parents=True, mode=0o700)
    try:
        _give(building, account.uid, account.gid)
        command = [binaries.tool("initdb"), "-D", str(building), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        if binaries.major >= 18:
            command.append("--no-data-checksums")  # on by default since 18; nothing here outlives the run
        single = [binaries.tool("postgres"), "--single", "-D", str(building), "-c", "fsync=off", "postgres"]
        roles = f"CREATE ROLE {MAKER} SUPERUSER CREATEDB CREATEROLE BYPASSRLS LOGIN\n"
        _run_or_say(command, account, "")
        _run_or_say(single, account, roles)
        _give(building, os.geteuid(), os.getegid())
        publish(building, fresh)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _run_or_say(command: Sequence[str], account: Account, given: str) -> None:
    done = subprocess.run(  # type: ignore[call-overload]
        command, capture_output=True, text=True, check=False, input=given, **account.popen_arguments()
    )
    if done.returncode != 0 or "ERROR:" in done.stderr:
        raise ServerError(
            f"{Path(command[0]).name} could not make a data folder.",
            why=done.stderr.strip()[-500:],
            advice="Look at the free disk space; the user must have an entry in the system's list of users.",
        )


def _other(account: Account) -> tuple[int, int] | None:
    """The account's user and group, where that is somebody else: only root can give a file away, and only root has to."""
    return (account.uid, account.gid) if os.geteuid() == 0 else None


def _give(folder: Path, uid: int, gid: int) -> None:
    """Makes somebody the owner of a folder and all that is in it. Only root can, and only root has to."""
    if os.geteuid() != 0:
        return
    for path, _folders, files in os.walk(folder):
        for name in [path, *(os.path.join(path, file) for file in files)]:  # noqa: PTH118  a thousand files
            os.chown(name, uid, gid, follow_symlinks=False)


def _memory_bytes() -> int:
    """The machine's memory, or what the container may have of it (cgroup v2)."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        there = min(there, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return there


def _shared_buffers_mb() -> int:
    """A gigabyte, less where memory is short."""
    return max(32, min(1024, _memory_bytes() // 2**20 // 8))
