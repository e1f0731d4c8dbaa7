"""Where the data comes from -> the template database `seed`, restored once, of which clones are made.

A seed is a dump (plain SQL, `.gz`, custom, directory, tar; a path or an https URL), or nothing: then the base branch's own
migrations and an optional SQL file make it. What a dump needs of the server (its version, extensions, roles) is read from it
*before* the restore.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import subprocess
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, cast
from urllib.parse import urlsplit

from psycopg import sql

from bot.clones.embedded import SEED, observer
from bot.errors import SeedError, UsageError
from bot.model import SeedFacts
from bot.postgres.binaries import Binaries, Needs
from bot.postgres.counts import total_rows
from bot.postgres.embedded import Server
from bot.progress import Progress
from bot.words import without_values

_CHUNK = 1 << 20
_EXTENSION = re.compile(rb'^\s*CREATE EXTENSION (?:IF NOT EXISTS )?("[^"]+"|[\w-]+)', re.IGNORECASE)
_ROLE_LIST = rb'((?:"(?:[^"]|"")+"|[\w$]+)(?:\s*,\s*(?:"(?:[^"]|"")+"|[\w$]+))*)'
_ROLES = [
    re.compile(pattern + rb"\s*" + _ROLE_LIST, re.IGNORECASE)
    for pattern in (
        rb"^ALTER .* OWNER TO",
        rb"^GRANT .* TO",
        rb"^REVOKE .* FROM",
        rb"^ALTER DEFAULT PRIVILEGES FOR ROLE",
        rb"^CREATE SCHEMA .* AUTHORIZATION",
        rb"^CREATE POLICY .* TO",
        rb"^SET (?:SESSION AUTHORIZATION|ROLE)",
    )
]
_NOT_ROLES = frozenset({"public", "current_user", "session_user", "current_role", "default", "none", "postgres"})
_DUMPED_FROM = re.compile(rb"Dumped from database version:? (\d+)")
_DUMPED_BY = re.compile(rb"Dumped by pg_dump version:? (\d+)")
_CREATED_AT = re.compile(rb"Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_MAY_QUOTE_A_VALUE = re.compile("invalid input|invalid byte|out of range|malformed|invalid .* value|too long|duplicate key")
_COPY = re.compile(rb"^COPY .* FROM stdin;\s*$", re.IGNORECASE)


class Kind(StrEnum):
    """What a seed is made of."""

    PLAIN = "plain"
    GZIP = "gzip"
    CUSTOM = "custom"
    DIRECTORY = "directory"
    TAR = "tar"
    MIGRATIONS = "migrations"


@dataclass(frozen=True, slots=True)
class SeedFile:
    """A dump on this machine. `taken_at` is ISO 8601 in UTC, or None where nobody knows."""

    path: Path
    kind: Kind
    identity: str
    taken_at: str | None = None
    roles: frozenset[str] = frozenset()
    needs: Needs = Needs()  # noqa: RUF009  frozen


def open_seed(source: str, folder: Path, newest: Binaries, progress: Progress) -> SeedFile:
    """Takes a path or https URL to a dump that was looked into. `folder` is where a download goes, `newest` the newest
    programs there are: their pg_restore reads every older archive.

    Raises SeedError when it is missing, broken or of an unknown kind; UsageError for a URL that is not https.
    """
    taken_at = None
    if "://" in source:
        path, taken_at = _download(source, folder, progress)
    else:
        path = Path(source)
        if not path.exists():
            raise SeedError(
                f"The seed {source} does not exist.",
                advice="Give the path of a dump made by pg_dump (relative to the working directory), or an https URL.",
            )
    kind = _kind(path, source)
    with progress.step(f"look into the seed {path.name} ({kind})", _size(path)) as advance:
        identity = _identity(path)
        if kind in (Kind.PLAIN, Kind.GZIP):
            found = _scan(_plain_lines(path, kind, advance), whole=True)
        else:
            found = _scan(_archive_lines(path, newest), whole=False)
    if not found.anything:
        raise SeedError(f"The seed {source} is empty.", advice="Make it again with pg_dump.")
    return SeedFile(path, kind, identity, found.taken_at or taken_at, frozenset(found.roles), found.needs())


def restore(server: Server, seed: SeedFile, progress: Progress) -> list[str]:
    """Restores a dump into the database `seed` of a server that fits it; gives notes for the report.

    Raises SeedError with what PostgreSQL said.
    """
    notes = _create_roles(server, seed.roles)
    _create_database(server)
    with progress.step(f"restore the seed {seed.path.name}", _size(seed.path)) as advance:
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


def run_sql_file(server: Server, database: str, path: Path, advance: object = None, *, gz: bool = False) -> None:
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
        with _opened(path, gz=gz) as stream:
            while chunk := stream.read(_CHUNK):
                psql.stdin.write(chunk)
                if callable(advance):
                    advance(len(chunk))
    except BrokenPipeError:
        pass  # psql stopped at an error, and says which
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        psql.kill()
        raise _truncated(path, str(error)) from error
    finally:
        with _ignoring_broken_pipe():
            psql.stdin.close()
        said = errors.finish()
    if psql.returncode != 0:
        raise SeedError(
            f"{path.name} could not be restored.",
            why=_first_error(said),
            advice="Restore it into an empty PostgreSQL of the same version with `psql -v ON_ERROR_STOP=1` to see it fail there.",
        )


class _Drain:
    """Reads what a program says while we feed it, so that neither waits for the other for ever."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        import threading  # noqa: PLC0415

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


# ── Looking into a dump ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Found:
    roles: set[str]
    extensions: set[str]
    major: int = 0
    taken_at: str | None = None
    anything: bool = False

    def needs(self) -> Needs:
        if not self.major:
            return Needs(extensions=frozenset(self.extensions))
        return Needs(
            max(self.major, Needs().major),
            f"which the seed needs (made from or by PostgreSQL {self.major})",
            frozenset(self.extensions),
        )


def _scan(lines: Iterator[bytes], *, whole: bool) -> _Found:
    """Reads the lines of a dump's schema. `whole`: it is all of a plain dump, so its end must be there too."""
    found = _Found(set(), set())
    by_pg_dump = complete = in_header = False
    for number, line in enumerate(lines):
        found.anything = found.anything or bool(line.strip())
        in_header = number < 50
        if in_header or line.startswith(b";"):
            by_pg_dump = by_pg_dump or _DUMPED_BY.search(line) is not None
            for pattern in (_DUMPED_FROM, _DUMPED_BY):
                if said := pattern.search(line):
                    found.major = max(found.major, int(said[1]))
            if said := _CREATED_AT.search(line):
                found.taken_at = said[1].decode().replace(" ", "T") + "Z"
        if line.startswith(b"-- PostgreSQL database dump complete"):
            complete = True
        elif whole and line.startswith((b"\\connect", b"\\c ")):
            raise SeedError(
                "The seed connects to a database of its own.",
                why=f"Line {number + 1} is a \\connect: it was made by pg_dumpall or by pg_dump --create.",
                advice="Make it with plain `pg_dump <database>`, better with -Fc.",
            )
        _note_names(line, found)
    if whole and by_pg_dump and not complete:
        raise SeedError(
            "The seed is not whole.",
            why="pg_dump ends a dump with the line «PostgreSQL database dump complete», and this one lacks it.",
            advice="Make or download it again.",
        )
    return found


def _note_names(line: bytes, found: _Found) -> None:
    if extension := _EXTENSION.match(line):
        found.extensions.add(extension[1].decode(errors="replace").strip('"'))
        return
    for pattern in _ROLES:
        if named := pattern.match(line):
            for name in re.findall(rb'"(?:[^"]|"")+"|[\w$]+', named[1]):
                found.roles.add(_role(name.decode(errors="replace")))
    found.roles -= _NOT_ROLES


def _role(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _plain_lines(path: Path, kind: Kind, advance: object) -> Iterator[bytes]:
    """The lines of a plain dump without the rows: data after COPY is skipped without being split into lines."""
    rest, in_data = b"", False
    try:
        with _opened(path, gz=kind is Kind.GZIP) as stream:
            while chunk := stream.read(_CHUNK):
                if callable(advance):
                    advance(len(chunk))
                rest += chunk
                while True:
                    if in_data:
                        end = rest.find(b"\n\\.")
                        if end < 0:
                            rest = rest[-2:]
                            break
                        rest, in_data = rest[end + 3 :], False
                    line, newline, after = rest.partition(b"\n")
                    if not newline:
                        break
                    rest = after
                    in_data = _COPY.match(line) is not None
                    if in_data:
                        rest = b"\n" + rest
                    yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _truncated(path, str(error)) from error
    if in_data:
        raise _truncated(path, "it ends in the middle of a table's rows")
    yield rest


def _archive_lines(path: Path, newest: Binaries) -> Iterator[bytes]:
    """The table of contents and the schema of an archive, as pg_restore prints them."""
    for arguments in (["--list"], ["--schema-only", "--file=-"]):
        done = subprocess.run(
            [newest.tool("pg_restore"), *arguments, str(path)],
            capture_output=True,
            check=False,
            env={"PATH": os.defpath, "LC_ALL": "C"},
        )
        if done.returncode != 0:
            said = done.stderr.decode(errors="replace").strip()
            newer = "unsupported version" in said
            raise SeedError(
                f"pg_restore {newest.version} can't read the seed {path.name}"
                + (": it was made by a newer pg_dump." if newer else "."),
                why=said[-400:],
                advice=f"Install PostgreSQL newer than {newest.major}." if newer else "Make or download it again.",
            )
        yield from done.stdout.splitlines()


def _kind(path: Path, source: str) -> Kind:
    if path.is_dir():
        if (path / "toc.dat").exists():
            return Kind.DIRECTORY
        raise SeedError(
            f"The seed {source} is a folder, but no dump.",
            why="A directory dump holds a file toc.dat.",
            advice="Make one with `pg_dump --format=directory`.",
        )
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise SeedError(f"The seed {source} can't be read.", why=error.strerror or str(error)) from error
    if not head:
        raise SeedError(f"The seed {source} is empty.", advice="Make it again with pg_dump.")
    if head.startswith(b"PGDMP"):
        return Kind.CUSTOM
    if head.startswith(b"\x1f\x8b"):
        return _kind_of_gzip(path, source)
    if tarfile.is_tarfile(path):
        return Kind.TAR
    if b"\0" in head:
        raise SeedError(
            f"The seed {source} is no dump that this program knows.",
            why="It is neither plain SQL nor an archive of pg_dump (custom, directory, tar).",
            advice="Make it with `pg_dump --format=custom`.",
        )
    return Kind.PLAIN


def _kind_of_gzip(path: Path, source: str) -> Kind:
    try:
        with gzip.open(path) as stream:
            inner = stream.read(5)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _truncated(path, str(error)) from error
    if inner == b"PGDMP":
        raise SeedError(
            f"The seed {source} is a compressed archive.",
            why="Archives of pg_dump are compressed already; pg_restore can't read one that was compressed again.",
            advice=f"Unpack it first: gunzip {path.name}",
        )
    return Kind.GZIP


def _identity(path: Path) -> str:
    digest = hashlib.sha256()
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    for file in files:
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"


def _size(path: Path) -> int | None:
    return None if path.is_dir() else path.stat().st_size


@contextmanager
def _opened(path: Path, *, gz: bool) -> Iterator[IO[bytes]]:
    if gz:
        with gzip.open(path, "rb") as stream:
            yield cast("IO[bytes]", stream)
    else:
        with path.open("rb") as stream:
            yield stream


def _truncated(path: Path, why: str) -> SeedError:
    return SeedError(f"The seed {path.name} is not whole.", why=why, advice="Make or download it again.")


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


# ── Restoring it ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _create_roles(server: Server, roles: frozenset[str]) -> list[str]:
    """The roles that a dump names must exist before it is restored, or its owners and grants fail."""
    with server.connect("postgres") as admin:
        there = {row[0] for row in admin.execute("SELECT rolname FROM pg_catalog.pg_roles")}
        missing = sorted(role for role in roles - there if not role.startswith("pg_"))
        for role in missing:
            admin.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(role)))
    if not missing:
        return []
    return [f"The seed names roles that a new server lacks; they were created without login: {', '.join(missing)}."]


def _create_database(server: Server) -> None:
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(SEED)))


def _pg_restore(server: Server, seed: SeedFile) -> None:
    """pg_restore only reads the archive and talks to our server, so it may run as ourselves and read what only we can."""
    done = subprocess.run(
        [
            server.binaries.tool("pg_restore"),
            *("--exit-on-error", "--no-tablespaces", "--no-subscriptions", "--no-publications"),
            *("--host", str(server.folder), "--username", "postgres", "--dbname", SEED),
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
            why=_first_error(done.stderr.decode(errors="replace")),
            advice="Restore it into an empty PostgreSQL with `pg_restore --exit-on-error` to see it fail there.",
        )


def _download(url: str, folder: Path, progress: Progress) -> tuple[Path, str | None]:
    """Streams a dump to a file. The URL may hold a signature: only its host is ever shown."""
    import httpx  # noqa: PLC0415  only a seed from the network pays for it

    parts = urlsplit(url)
    if parts.scheme != "https":
        raise UsageError(
            f"A seed can't be fetched over {parts.scheme}.",
            why="A dump is production data; it travels over https only.",
            advice="Give an https URL, or download it in a step before and give the path.",
        )
    path = folder / (Path(parts.path).name or "seed")
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=60.0) as answer:
            if answer.status_code != 200:
                raise SeedError(
                    f"{parts.hostname} answered {answer.status_code} when asked for the seed.",
                    advice="Check the URL and whether its signature has run out.",
                )
            length = int(answer.headers.get("content-length") or 0) or None
            with progress.step(f"download the seed from {parts.hostname}", length) as advance, path.open("wb") as file:
                for chunk in answer.iter_bytes(_CHUNK):
                    file.write(chunk)
                    advance(len(chunk))
            modified = answer.headers.get("last-modified")
    except httpx.HTTPError as error:
        raise SeedError(f"The seed could not be fetched from {parts.hostname}.", why=type(error).__name__) from error
    taken_at = parsedate_to_datetime(modified).strftime("%Y-%m-%dT%H:%M:%SZ") if modified else None
    return path, taken_at
