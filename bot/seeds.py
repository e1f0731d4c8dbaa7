"""Where the data comes from -> the template database `seed`, restored once, of which clones are made.

A seed is a dump (see bot/dumps.py), or nothing: then the base branch's own migrations and an optional SQL file make it.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import subprocess
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from psycopg import sql

from bot.clones.embedded import SEED, observer
from bot.dumps import CHUNK, Kind, SeedFile, not_whole, opened, size_of
from bot.errors import SeedError
from bot.model import SeedFacts
from bot.postgres.counts import total_rows
from bot.postgres.embedded import MAKER, Server
from bot.progress import Advance, Progress
from bot.words import without_values

_MAY_QUOTE_A_VALUE = re.compile("invalid input|invalid byte|out of range|malformed|invalid .* value|too long|duplicate key")


def restore(server: Server, seed: SeedFile, progress: Progress) -> list[str]:
    """Restores a dump into the database `seed` of a server that fits it; gives notes for the report.

    Raises SeedError with what PostgreSQL said.
    """
    notes = _create_roles(server, seed.roles)
    _create_database(server)
    if seed.creates_public:
        with server.connect(SEED, user=MAKER) as connection:
            connection.execute("DROP SCHEMA public")
    with progress.step("restore the seed", size_of(seed.path)) as advance:
        if seed.kind in (Kind.PLAIN, Kind.GZIP):
            run_sql_file(server, SEED, seed.path, advance, gz=seed.kind is Kind.GZIP)
        else:
            _pg_restore(server, seed)
    return notes


def create_empty(server: Server) -> None:
    """An empty database `seed`, for the base branch's own migrations."""
    _create_database(server)


def finish(server: Server, kind: str, identity: str, taken_at: str | None, progress: Progress) -> SeedFacts:
    """Makes the restored database a template, with statistics as production has them, and measures it."""
    with progress.step("analyze and vacuum the seed"), server.connect(SEED) as connection:
        connection.execute("ANALYZE")
        connection.execute("VACUUM")  # last: it counts all rows, where ANALYZE looks at some
    with observer(server, SEED) as looking:
        rows = total_rows(looking)
        size = looking.execute("SELECT pg_catalog.pg_database_size(pg_catalog.current_database())").fetchone()
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true ALLOW_CONNECTIONS false").format(sql.Identifier(SEED)))
    return SeedFacts(kind, identity, taken_at, size[0] if size else 0, rows)


def identity_of_texts(texts: Sequence[str]) -> str:
    """The identity of a seed that is made by running these texts."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    return f"sha256:{digest.hexdigest()}"


def run_sql_file(server: Server, database: str, path: Path, advance: Advance | None = None, *, gz: bool = False) -> None:
    """Runs a SQL file with psql, as the server's account. Raises SeedError with the first thing that went wrong."""
    psql = server.run_tool(
        "psql",
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-v",
        "VERBOSITY=terse",
        "-d",
        database,
        "-f",
        "-",
        stdin=subprocess.PIPE,
    )
    assert psql.stdin is not None  # noqa: S101  made with a pipe
    assert psql.stdout is not None  # noqa: S101
    errors = _Drain(psql)
    try:
        with opened(path, gz=gz) as stream:
            while chunk := stream.read(CHUNK):
                psql.stdin.write(chunk)
                if advance:
                    advance(len(chunk))
    except BrokenPipeError:
        pass  # psql stopped at an error, and says which
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        psql.kill()
        raise not_whole(path, str(error)) from error
    finally:
        with _ignoring_broken_pipe():
            psql.stdin.close()
        said = errors.finish()
    if psql.returncode != 0:
        raise SeedError(
            f"{path.name} could not be restored.",
            why=server.last_words() or _first_error(said),
            advice="Restore it into an empty PostgreSQL of the same version with `psql -v ON_ERROR_STOP=1` to see it fail there.",
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
            if keep and len(self._said) < 1 << 16:
                self._said += chunk
        stream.close()

    def finish(self) -> str:
        for thread in self._threads:
            thread.join()
        self._process.wait()
        return self._said.decode(errors="replace")


def _first_error(said: str) -> str:
    """The first error of psql or pg_restore, without what may be a row's value."""
    lines = [line for line in said.splitlines() if "error" in line.lower() or "fatal" in line.lower()]
    first = (lines or said.splitlines() or [""])[0][-400:]
    return without_values(first) if _MAY_QUOTE_A_VALUE.search(first) else first


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


def _pg_restore(server: Server, seed: SeedFile) -> None:
    """pg_restore only reads the archive and talks to our server, so it may run as ourselves and read what only we can."""
    done = subprocess.run(
        [
            server.binaries.tool("pg_restore"),
            *("--exit-on-error", "--no-tablespaces", "--no-subscriptions", "--no-publications"),
            *("--host", str(server.folder), "--username", MAKER, "--dbname", SEED),
            str(seed.path),
        ],
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": os.defpath, "LC_ALL": "C"},
    )
    if done.returncode != 0:
        raise SeedError(
            f"{seed.path.name} could not be restored.",
            why=server.last_words() or _first_error(done.stderr.decode(errors="replace")),
            advice="Restore it into an empty PostgreSQL with `pg_restore --exit-on-error` to see it fail there.",
        )
