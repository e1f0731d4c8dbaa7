"""Where the data comes from -> the template database `seed`, restored once, of which clones are made.

A seed is a dump (see bot/dumps.py), or nothing: then the base branch's own migrations and an optional SQL file make it.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO

import psycopg
from psycopg import sql

from bot.clones.embedded import SEED, observer
from bot.dumps import CHUNK, SQL, Kind, SeedFile, Stream, opened, size_of
from bot.errors import SeedError
from bot.model import SeedFacts
from bot.postgres.counts import total_rows
from bot.postgres.embedded import MAKER, SUPERUSER, Server
from bot.postgres.psql import Script, refused_line, start_psql
from bot.progress import Advance, Progress
from bot.room import Watch
from bot.words import said_by

_KEPT = 1 << 16  # bytes of what psql says: the last ones, as it stops at the first error
_ERROR = re.compile(r"^(?:psql:<stdin>:\d+|psql|pg_restore): (?:error|fatal|panic):", re.IGNORECASE | re.MULTILINE)
# Data exceptions; and where a dump was cut or spoilt, the words at which its SQL makes no sense, which may be a row's.
_OF_DATA = re.compile(
    r"ERROR:  (?:22...|42601|42703):|invalid input|invalid byte|out of range|malformed|too long|syntax error|near \"|column \"",
    re.IGNORECASE,
)
# Of a command, only a name that psql knows is shown: where a dump is spoilt it may be a piece of a row.
_COMMAND = re.compile(
    rb"\\(?:!|\?|i|ir|include|include_relative|copy|connect|c|cd|o|out|w|write|g|gx|gexec|gset|set|unset|setenv|getenv|echo|qecho|warn|"
    rb"if|elif|else|endif|d\w{0,3}|l|pset|timing|x|a|t|encoding|restrict|lo_\w{4,6}|watch|q|p|r|s|e|prompt|password)(?=\s|$)"
)
_RAISED = ("exec_stmt_raise", " at RAISE")


def restore(server: Server, seed: SeedFile, progress: Progress) -> list[str]:
    """Restores a dump into the database `seed` of a server that fits it; gives notes for the report.

    Raises SeedError with what PostgreSQL said.
    """
    notes = _create_roles(server, seed.roles)
    here = server.binaries.major
    if seed.source_major not in (0, here):
        notes.append(
            f"The seed was made from PostgreSQL {seed.source_major}, and the clone is PostgreSQL {here}: what is allowed, locked "
            "or rewritten may differ."
        )
    _create_database(server)
    if seed.creates_public:
        with server.connect(SEED, user=MAKER) as connection:
            connection.execute("DROP SCHEMA public")
    watch = Watch(server.folder, "The seed can't be restored")
    watch.need(_least_bytes(seed))
    with progress.step("restore the seed", size_of(seed.path)) as advance:
        if seed.kind in SQL:
            run_sql_file(server, SEED, seed.path, _both(watch, advance))
        else:
            _pg_restore(server, seed, _both(watch, advance))
    return notes


def _least_bytes(seed: SeedFile) -> int:
    """How many bytes a dump surely takes once it is restored. What pg_dump has compressed is never smaller in tables; a text
    may be, where PostgreSQL itself compresses long values.
    """
    return size_of(seed.path) // (10 if seed.kind in (Kind.PLAIN, Kind.TAR) else 1)


def _both(watch: Watch, advance: Advance) -> Advance:
    def told(done: int) -> None:
        watch.look()
        advance(done)

    return told


def create_empty(server: Server) -> None:
    """An empty database `seed`, for the base branch's own migrations."""
    _create_database(server)


def finish(server: Server, kind: str, identity: str, taken_at: str | None, progress: Progress) -> SeedFacts:
    """Makes the restored database a template, with statistics as production has them, and measures it."""
    facts = measure(server, kind, identity, taken_at, progress)
    close_seed(server)
    return facts


def close_seed(server: Server) -> None:
    """Makes the restored database a template."""
    with server.connect("postgres") as admin:
        close(admin, SEED)


def measure(server: Server, kind: str, identity: str, taken_at: str | None, progress: Progress) -> SeedFacts:
    """Gives the restored database statistics as production has them, and measures it."""
    with progress.step("analyze and vacuum the seed"), server.connect(SEED) as connection:
        connection.execute("ANALYZE")
        connection.execute("VACUUM")  # last: it counts all rows, where ANALYZE looks at some
    with observer(server, SEED) as looking:
        rows = total_rows(looking)
        size = looking.execute("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())").fetchone()
    return SeedFacts(kind, identity, taken_at, size[0] if size else 0, rows)


def close(admin: psycopg.Connection, database: str) -> None:
    """Makes a database a template that nobody may enter, nor rename or drop: no longer its owner either."""
    named = sql.Identifier(database)
    admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(named, sql.Identifier(SUPERUSER)))
    admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true ALLOW_CONNECTIONS false").format(named))


def identity_of_texts(texts: Sequence[str]) -> str:
    """The identity of a seed that is made by running these texts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return f"sha256:{digest.hexdigest()}"


def run_sql_file(
    server: Server,
    database: str,
    path: Path,
    advance: Advance | None = None,
    *,
    role: str = MAKER,
    limit_s: float | None = None,
) -> None:
    """Runs a SQL file with psql, as a role; psql's own commands are refused. Raises SeedError with the first thing that went
    wrong, or when it takes longer than `limit_s`.
    """
    psql = start_psql(server, database, role)
    assert psql.stdin is not None  # noqa: S101  made with a pipe
    errors = _Drain(psql)
    late = threading.Timer(limit_s or threading.TIMEOUT_MAX, psql.kill)
    late.daemon = True
    late.start()
    try:
        with opened(path) as stream:
            _feed(psql.stdin, stream, Script(path.name), advance)
    except BrokenPipeError:
        pass  # psql stopped at an error, and says which
    except SeedError:
        psql.kill()
        raise
    finally:
        with _ignoring_broken_pipe():
            psql.stdin.close()
        said = errors.finish()
        late.cancel()
    if limit_s and psql.returncode == -signal.SIGKILL:
        raise SeedError(
            f"{path.name} took longer than {limit_s:g} s, the limit set for it.",
            advice="Give it fewer rows, or the input time-limit more minutes.",
        )
    if psql.returncode != 0:
        _refuse_command(path, said)
        raise SeedError(
            f"{path.name} could not be restored.",
            why=server.last_words() or _first_error(said, path),
            advice=_RESTORE_BY_HAND if role == MAKER else _AS_A_MIGRATION,
        )


_RESTORE_BY_HAND = "Restore it into an empty PostgreSQL of the same version with `psql -v ON_ERROR_STOP=1` to see it fail there."
_AS_A_MIGRATION = (
    "It has the rights of a migration: `SET session_replication_role = replica;` turns triggers off, where DISABLE TRIGGER ALL "
    "is a superuser's; the input superuser gives all rights."
)


def _feed(psql: IO[bytes], stream: Stream, script: Script, advance: Advance | None) -> None:
    for chunk in stream.chunks(advance):
        psql.write(script.take(chunk))
    psql.write(script.take(b"", last=True))


def _refuse_command(path: Path, said: str) -> None:
    """Says where a command of psql stands, if that is what psql stopped at. Raises SeedError."""
    number = refused_line(said)
    if number is None:
        return
    with opened(path) as stream:
        line = next(islice(stream.content, number - 1, None), b"").strip()
    found = _COMMAND.match(line)
    command = found[0].decode() if found else "a backslash outside quotes"
    raise SeedError(
        f"{path.name}:{number}: {command} is a command of psql, and of such a file only SQL is run.",
        why="Commands of psql can run any program, and whoever opens a pull request may have written the file.",
        advice="Write it as SQL: rows as `COPY … FROM stdin;` with the rows below it, another file's content in its place.",
    )


class _Drain:
    """Reads what a program says while we feed it, so that neither waits for the other for ever."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._said = b""
        self._threads = [
            threading.Thread(target=self._read, args=(stream, keep), daemon=True)
            for stream, keep in ((process.stderr, True), (process.stdout, False))
        ]
        for thread in self._threads:
            thread.start()

    def _read(self, stream: IO[bytes], keep: bool) -> None:
        while chunk := stream.read(1 << 16):
            if keep:
                self._said = (self._said + chunk)[-_KEPT:]
        stream.close()

    def finish(self) -> str:
        for thread in self._threads:
            thread.join()
        self._process.wait()
        return self._said.decode(errors="replace")


def _first_error(said: str, path: Path) -> str:
    """The first error of psql or pg_restore, without what may be a row's value: whatever a data exception quotes; of what others
    quote, and of what a function RAISEs, what the file at `path` does not say. A seed's SQL may have read the rows before it.
    """
    found = _ERROR.search(said)
    if found is None:
        return "It says nothing that can be shown."
    said = said[found.start() :]
    first = said.partition("\n")[0][:400]
    if any(sign in said for sign in _RAISED):
        head, edge, raised = first.rpartition("ERROR:  ")
        known = _said_in(path, raised.split())
        return head + edge + " ".join(word if word in known else "…" for word in raised.split())
    if _OF_DATA.search(first):
        shown, quote, _rest = first.partition('"')  # what is quoted may hold quotes itself
        return shown + ("…" if quote else "")
    return said_by(" ".join(_said_in(path, re.findall(r'"([^"]+)"', first))), first)


def _said_in(path: Path, words: Sequence[str]) -> set[str]:
    """Those of the words that a file holds."""
    missing = {word for word in words if len(word) < 256}
    found: set[str] = set()
    rest = b""
    with suppress(OSError, SeedError), opened(path) as stream:
        while missing and (chunk := stream.content.read(CHUNK)):
            rest = rest[-1024:] + chunk
            there = {word for word in missing if word.encode() in rest}
            missing, found = missing - there, found | there
    return found


@contextmanager
def _ignoring_broken_pipe() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        return


def _create_roles(server: Server, roles: frozenset[str]) -> list[str]:
    """The roles that a dump names must exist before it is restored, or its owners and grants fail."""
    with server.connect("postgres") as admin:
        there = {row[0] for row in admin.execute("SELECT rolname FROM pg_catalog.pg_roles")}
        missing = sorted(role for role in roles - there if not role.startswith("pg_"))
        for role in {role.encode()[:63].decode(errors="ignore"): None for role in missing}:  # PostgreSQL cuts a name there
            admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    if not missing:
        return []
    return [f"The seed names roles that a new server lacks; they were created without login: {', '.join(missing)}."]


def _create_database(server: Server) -> None:
    with server.connect("postgres") as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE template0 OWNER {}").format(sql.Identifier(SEED), sql.Identifier(MAKER))
        )


_MOST_JOBS = 8
_POLL_S = 0.2


def jobs(kind: Kind) -> int:
    """How many tables pg_restore may load at once: as many as we have processors; a tar can be read in its order only."""
    if kind not in (Kind.CUSTOM, Kind.DIRECTORY):
        return 1
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, _MOST_JOBS)


def _pg_restore(server: Server, seed: SeedFile, advance: Advance) -> None:
    """pg_restore only reads the archive and talks to our server, so it may run as ourselves and read what only we can."""
    parallel = ["--jobs", str(jobs(seed.kind))] if jobs(seed.kind) > 1 else []
    process = subprocess.Popen(
        [
            server.binaries.tool("pg_restore"),
            *("--exit-on-error", "--no-tablespaces", "--no-subscriptions", *parallel),
            *("--host", str(server.folder), "--username", MAKER, "--dbname", SEED),
            str(seed.path),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        start_new_session=True,
    )
    errors = _Drain(process)
    try:
        _follow(process, size_of(seed.path), advance)
    except BaseException:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and its workers
        errors.finish()
        raise
    said = errors.finish()
    if process.returncode != 0:
        raise SeedError(
            f"{seed.path.name} could not be restored.",
            why=server.last_words() or _first_error(said, seed.path / "toc.dat" if seed.path.is_dir() else seed.path),
            advice="Restore it into an empty PostgreSQL with `pg_restore --exit-on-error` to see it fail there.",
        )


def _follow(process: subprocess.Popen[bytes], total: int, advance: Advance) -> None:
    """Waits for pg_restore, and tells how far it and its workers have read the archive, where the system tells us."""
    read: dict[int, int] = {}  # bytes by process; a worker that is done has still read what it read
    told = 0
    while process.poll() is None:
        read.update(_bytes_read(process.pid))
        done = min(sum(read.values()), total)
        advance(max(0, done - told))
        told = max(told, done)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_POLL_S)


def _bytes_read(pid: int) -> Iterator[tuple[int, int]]:
    """What a process and its children have read from files so far (Linux); what comes from sockets is not among it."""
    with suppress(OSError, ValueError, IndexError):
        yield pid, int(Path(f"/proc/{pid}/io").read_text().split()[1])
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            yield from _bytes_read(int(child))
