"""An embedded PostgreSQL: a server of our own that nobody else can reach and that is gone when we are.

It listens on no TCP port, only on a socket in a folder of its own, which is held (see bot/held.py). Its data is gone with it
(`embedded_server`), or kept in a folder for the next time (`kept_server`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from bot.errors import ServerError
from bot.held import held, make_folder
from bot.postgres.binaries import Account, Binaries, cache_folder, publish

_START_LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its programs, and where its socket is."""

    binaries: Binaries
    folder: Path
    account: Account

    def conninfo(self, database: str, **options: str) -> str:
        """A connection string for one of its databases, as its superuser."""
        return make_conninfo("", host=str(self.folder), user="postgres", dbname=database, **options)

    def connect(self, database: str, *, application: str = "migration-rehearsal") -> psycopg.Connection:
        """A connection in autocommit, so that nothing is begun unless somebody says so."""
        return psycopg.connect(
            self.conninfo(database, application_name=application, connect_timeout="10"),
            autocommit=True,
            prepare_threshold=None,
        )

    def run_tool(self, name: str, *arguments: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        """Starts one of PostgreSQL's client programs against this server, as the server's account."""
        options = self.account.popen_arguments()
        environment = dict(options["env"], PGHOST=str(self.folder), PGUSER="postgres")  # type: ignore[call-overload]
        return subprocess.Popen(
            [self.binaries.tool(name), *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **{**options, "env": environment},
        )

    def log_tail(self, lines: int = 5) -> str:
        """The last lines that the server logged."""
        try:
            return "\n".join((self.folder / "log").read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


@contextmanager
def embedded_server(binaries: Binaries) -> Iterator[Server]:
    """Starts a server on a fresh data folder; whatever happens, it is stopped and its folder removed.

    Raises ServerError when it does not come up.
    """
    account = Account.current()
    folder = make_folder("mr-")
    try:
        _copy_fresh_data(binaries, account, folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    with _running(binaries, folder, folder / "data", _THROWN_AWAY, account.popen_arguments()) as server:
        yield server


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
    binaries: Binaries, folder: Path, data: Path, settings: Mapping[str, str], options: Mapping[str, Any]
) -> Iterator[Server]:
    """A server whose socket and log are in `folder`, which is removed when it has stopped."""
    _forget_clients_settings()
    with held(folder, _command(binaries, folder, data, settings), options) as holder:
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
}
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
    """Copies the cached fresh data folder, made once by initdb (1 s) for each set of programs, and gives it to an account.
    initdb, other than the server, needs an account that has an entry in the system's list of users.
    """
    maker = Account.current()
    stamp = f"{binaries.version}-{int(Path(binaries.tool('postgres')).stat().st_mtime)}-{maker.uid}"
    fresh = cache_folder() / "fresh" / stamp
    if not (fresh / "PG_VERSION").exists():
        _initdb(binaries, maker, fresh)
    shutil.copytree(fresh, folder / "data", symlinks=True)
    (folder / "data").chmod(0o700)
    _give(folder, account.uid, account.gid)


def _initdb(binaries: Binaries, account: Account, fresh: Path) -> None:
    """Makes a fresh data folder in the cache. It ends up ours: no later migration, whose server runs as that account, may
    change what the next server starts from.
    """
    building = fresh.with_name(f"{fresh.name}.{os.getpid()}")
    building.mkdir(parents=True, mode=0o700)
    try:
        _give(building, account.uid, account.gid)
        command = [binaries.tool("initdb"), "-D", str(building), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        command += ["--locale=C.UTF-8", "--no-sync", "--no-instructions"]
        if binaries.major >= 18:
            command.append("--no-data-checksums")  # on by default since 18; nothing here outlives the run
        done = subprocess.run(  # type: ignore[call-overload]
            command, capture_output=True, text=True, check=False, **account.popen_arguments()
        )
        if done.returncode != 0:
            raise ServerError(
                "initdb could not make a data folder.",
                why=done.stderr.strip()[-500:],
                advice="Look at the free disk space; the user must have an entry in the system's list of users.",
            )
        _give(building, os.geteuid(), os.getegid())
        publish(building, fresh)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _give(folder: Path, uid: int, gid: int) -> None:
    """Makes somebody the owner of a folder and all that is in it. Only root can, and only root has to."""
    if os.geteuid() != 0:
        return
    for path, _folders, files in os.walk(folder):
        for name in [path, *(os.path.join(path, file) for file in files)]:  # noqa: PTH118  a thousand files
            os.chown(name, uid, gid, follow_symlinks=False)


def _shared_buffers_mb() -> int:
    """A gigabyte, less where memory is short."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(32, min(1024, total // 2**20 // 8))
