"""What a dump is, and what it needs of a server: known before anything is restored."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import re
import subprocess
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from bot.errors import SeedError, UsageError
from bot.postgres.archive import refuse_paths_out
from bot.postgres.binaries import Binaries, Needs
from bot.progress import Advance, Progress
from bot.room import Watch

if TYPE_CHECKING:
    import httpx

CHUNK = 1 << 20
_EXTENSION = re.compile(rb'^\s*CREATE EXTENSION (?:IF NOT EXISTS )?("[^"]+"|[\w-]+)', re.IGNORECASE)
_ROLE_LIST = rb'((?:"(?:[^"]|"")+"|[\w$]+)(?:\s*,\s*(?:"(?:[^"]|"")+"|[\w$]+))*)'
_ROLES = [
    re.compile(pattern + rb"\s*" + _ROLE_LIST, re.IGNORECASE)
    for pattern in (
        rb"^ALTER .* OWNER TO",
        rb"^GRANT .* TO",
        rb"^REVOKE .* FROM",
        rb"^ALTER DEFAULT PRIVILEGES FOR ROLE",
        rb"^ALTER DEFAULT PRIVILEGES .* (?:TO|FROM)",
        rb"^(?:CREATE|ALTER) USER MAPPING .*FOR",
        rb"^CREATE SCHEMA .* AUTHORIZATION",
        rb"^CREATE POLICY .* TO",
        rb"^SET (?:SESSION AUTHORIZATION|ROLE)",
    )
]
_MAKES_ROLE = re.compile(rb'^\s*CREATE (?:ROLE|GROUP|USER(?!\s+MAPPING)) ("(?:[^"]|"")+"|[\w$]+)', re.IGNORECASE)
_NOT_ROLES = frozenset({"public", "current_user", "session_user", "current_role", "default", "none", "postgres"})
_DUMPED_FROM = re.compile(rb"Dumped from database version:? (\d{1,4})")
_DUMPED_BY = re.compile(rb"Dumped by pg_dump version:? (\d{1,4})")
_CREATED_AT = re.compile(rb"Archive created at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)")
_CREATES_PUBLIC = re.compile(rb"^CREATE SCHEMA public;\s*$")
_QUOTE = re.compile(rb"'|\$(?:[A-Za-z_]\w*)?\$|--")
_COPY = re.compile(rb"^COPY .* FROM stdin;\s*$", re.IGNORECASE)


_LONGEST_LINE = 4 * CHUNK
_HAND_WRITTEN = 64 * 2**20  # bytes; a larger one was made by pg_dump, which writes no such command
_READS_ELSEWHERE = re.compile(rb"\bfrom\s+(?:program\b|'/)", re.IGNORECASE)


class Kind(StrEnum):
    """What a seed is made of."""

    PLAIN = "plain"
    GZIP = "gzip"
    ZSTD = "zstd"
    CUSTOM = "custom"
    DIRECTORY = "directory"
    TAR = "tar"
    MIGRATIONS = "migrations"


SQL = frozenset({Kind.PLAIN, Kind.GZIP, Kind.ZSTD})  # what psql reads


@dataclass(frozen=True, slots=True)
class SeedFile:
    """A dump on this machine. `taken_at` is ISO 8601 in UTC, or None where nobody knows."""

    path: Path
    kind: Kind
    identity: str
    taken_at: str | None = None
    roles: frozenset[str] = frozenset()
    creates_public: bool = False  # made with --schema public: a new database has that schema already
    needs: Needs = Needs()  # noqa: RUF009  frozen
    source_major: int = 0  # of the server that it was made from; 0: it does not say


@dataclass(frozen=True, slots=True)
class Located:
    """Where a dump is, and what names its content: `identity` changes when the content does. `path` is None as long as it
    was not downloaded.
    """

    source: str = field(repr=False)
    identity: str
    path: Path | None = None
    taken_at: str | None = None


def locate(
    source: str, folder: Path, progress: Progress, remembered: Callable[[Path, Callable[[], str]], str] | None = None
) -> Located:
    """Finds out what a path or https URL holds without downloading it, where its server says by an ETag or a date; `folder`
    is where a download goes otherwise. `remembered` may know the identity of a path, or is given how to find it out.

    Raises SeedError when it is missing; UsageError for a URL that is not https.
    """
    if "://" in source:
        identity = _identity_of_url(source)
        if identity:
            return Located(source, identity)
        path, taken_at = _download(source, folder, progress)
        return Located(source, _identity(path), path, taken_at)
    path = Path(source)
    try:
        _refuse_what_is_no_seed(path, source)
        with progress.step("read the seed", size_of(path), only_if_long=True):
            return Located(source, remembered(path, lambda: _identity(path)) if remembered else _identity(path), path)
    except OSError as error:
        raise SeedError(f"The seed {source} can't be read.", why=error.strerror or str(error)) from error


def _refuse_what_is_no_seed(path: Path, source: str) -> None:
    if not path.exists():
        raise SeedError(
            f"The seed {source} does not exist.",
            advice="Give the path of a dump made by pg_dump (relative to the working directory), or an https URL.",
        )
    if not (path.is_file() or path.is_dir()):
        raise SeedError(f"The seed {source} is neither a file nor a folder.", advice="Give the path of a dump made by pg_dump.")
    if path.is_dir():
        refuse_paths_out(path)


def open_seed(located: Located, folder: Path, newest: Binaries, progress: Progress) -> SeedFile:
    """Takes a dump that was found to one that was looked into. `folder` is where a download goes, `newest` the newest programs
    there are: their pg_restore reads every older archive.

    Raises SeedError when it is broken or of an unknown kind.
    """
    path, taken_at, identity = located.path, located.taken_at, located.identity
    if path is None:
        path, taken_at = _download(located.source, folder, progress, identity=located.identity)
        identity = _identity(path)
    name = path.name if "://" in located.source else located.source
    path, kind = _unpacked(path, name, folder, progress)
    with progress.step(f"look into the seed ({kind})", size_of(path)) as advance:
        if kind in SQL:
            found = _scan(_plain_lines(path, advance), whole=True)
        else:
            found = _scan(_archive_lines(path, newest), whole=False)
    if not found.anything:
        raise SeedError(f"The seed {name} is empty.", advice="Make it again with pg_dump.")
    roles = frozenset(found.roles - found.makes)
    return SeedFile(
        path, kind, identity, found.taken_at or taken_at, roles, found.creates_public, found.needs(), found.source_major
    )


@dataclass(slots=True)
class _Found:
    roles: set[str]
    extensions: set[str]
    major: int = 0
    source_major: int = 0
    taken_at: str | None = None
    anything: bool = False
    creates_public: bool = False
    makes: set[str] = field(default_factory=set)  # roles that it creates itself

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
    quotes = _Quotes()
    for number, line in enumerate(lines):
        if quotes.hold(line):
            continue
        found.anything = found.anything or bool(line.strip())
        in_header = number < 50
        if in_header or line.startswith(b";"):
            by_pg_dump = by_pg_dump or _DUMPED_BY.search(line) is not None
            for pattern in (_DUMPED_FROM, _DUMPED_BY):
                if said := pattern.search(line):
                    found.major = max(found.major, int(said[1]))
                    found.source_major = int(said[1]) if pattern is _DUMPED_FROM else found.source_major
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


class _Quotes:
    """Follows string constants and function bodies from line to line: what stands in them is no statement of the dump."""

    def __init__(self) -> None:
        self._open: bytes | None = None

    def hold(self, line: bytes) -> bool:
        """Whether the line begins inside a quote; to be asked for each line in order."""
        inside = self._open is not None
        if line.startswith(b";"):  # pg_restore --list, which is no SQL
            return inside
        for token in _QUOTE.finditer(line):
            if self._open is None:
                if token[0] == b"--":
                    break
                self._open = token[0]
            elif token[0] == self._open:
                self._open = None
        return inside


def _note_names(line: bytes, found: _Found) -> None:
    found.creates_public = found.creates_public or _CREATES_PUBLIC.match(line) is not None
    if extension := _EXTENSION.match(line):
        found.extensions.add(extension[1].decode(errors="replace").strip('"'))
        return
    if made := _MAKES_ROLE.match(line):
        found.makes.add(_role(made[1].decode(errors="replace")))
    for pattern in _ROLES:
        if named := pattern.match(line):
            for name in re.findall(rb'"(?:[^"]|"")+"|[\w$]+', named[1]):
                found.roles.add(_role(name.decode(errors="replace")))
    found.roles -= _NOT_ROLES


def _role(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name.lower()


def _plain_lines(path: Path, advance: Advance) -> Iterator[bytes]:
    """The lines of a plain dump without the rows: data after COPY is skipped without being split into lines."""
    lines = _Lines()
    with opened(path) as stream:
        for chunk in stream.chunks(advance):
            yield from lines.take(chunk)
    if lines.in_data:
        raise not_whole(path, "it ends in the middle of a table's rows")
    yield lines.rest


class _Lines:
    """Cuts a plain dump into lines, chunk by chunk. What is kept of it is never more than a chunk and a long line: of one that is
    longer still, which no statement with a name that we look for is, each piece counts as a line.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.in_data = False

    def take(self, chunk: bytes) -> Iterator[bytes]:
        text, at = self.rest + chunk, 0
        while True:
            if self.in_data:
                # The line break before the data may be the one that ends the COPY itself.
                end = text.find(b"\n\\.", max(0, at - 1))
                if end < 0:
                    at = max(at - 1, len(text) - 2, 0)
                    break
                at, self.in_data = end + 3, False
            end = text.find(b"\n", at)
            if end < 0:
                break
            line = text[at:end]
            at, self.in_data = end + 1, _COPY.match(line) is not None
            yield line
        self.rest = text[at:]
        if len(self.rest) > _LONGEST_LINE and not self.in_data:
            yield self.rest
            self.rest = b""


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


def _unpacked(path: Path, source: str, folder: Path, progress: Progress) -> tuple[Path, Kind]:
    """What a seed is by its first bytes, never by its name, and where it is. An archive that was compressed once more is unpacked
    first, as pg_restore can't read one; SQL is read through its compression.
    """
    if path.is_dir():
        return path, _kind_of_folder(path, source)
    packing = packing_of(path)
    with opened(path) as stream:
        kind = _kind(stream.content.read(512), source)
    if packing is None or kind is Kind.PLAIN:
        return path, kind if packing is None else packing
    unpacked = folder / "unpacked"
    with progress.step(f"unpack the seed ({packing})", size_of(path)) as advance, opened(path) as stream:
        watch = Watch(folder, f"The seed {source} can't be unpacked")
        watch.need(path.stat().st_size)
        with unpacked.open("wb") as file:
            for chunk in stream.chunks(advance):
                watch.look()
                file.write(chunk)
    return unpacked, kind


def _kind_of_folder(path: Path, source: str) -> Kind:
    if (path / "toc.dat").exists():
        return Kind.DIRECTORY
    raise SeedError(
        f"The seed {source} is a folder, but no dump.",
        why="A directory dump holds a file toc.dat.",
        advice="Make one with `pg_dump --format=directory`.",
    )


def _kind(head: bytes, source: str) -> Kind:
    if not head:
        raise SeedError(f"The seed {source} is empty.", advice="Make it again with pg_dump.")
    if head.startswith(b"PGDMP"):
        return Kind.CUSTOM
    if head[257:262] == b"ustar":
        return Kind.TAR
    if b"\0" in head:
        raise SeedError(
            f"The seed {source} is no dump that this program knows.",
            why="It is neither plain SQL nor an archive of pg_dump (custom, directory, tar), compressed or not.",
            advice="Make it with `pg_dump --format=custom`.",
        )
    return Kind.PLAIN


def _identity(path: Path) -> str:
    if not path.is_dir():
        return identity_of_file(path)
    digest = hashlib.sha256()
    for file in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(f"{file.relative_to(path)}\0{identity_of_file(file)}\0".encode(errors="surrogateescape"))
    return f"sha256:{digest.hexdigest()}"


def identity_of_file(path: Path) -> str:
    """What names a file's content. A small SQL file that has the server read other files has another identity each time it is
    asked for: nobody knows what it gives.
    """
    if path.stat().st_size < _HAND_WRITTEN:
        content = path.read_bytes()
        if b"\0" not in content[:4096] and _READS_ELSEWHERE.search(content):
            return f"unknown:{uuid.uuid4().hex}"
    with path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def size_of(path: Path) -> int:
    """How many bytes a dump has."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) if path.is_dir() else path.stat().st_size


def packing_of(path: Path) -> Kind | None:
    """How a file is compressed, if it is, by its first bytes."""
    with path.open("rb") as file:
        head = file.read(4)
    if head.startswith(b"\x1f\x8b"):
        return Kind.GZIP
    # A frame of data, or one to be skipped, as pzstd begins with.
    is_zstd = head == b"\x28\xb5\x2f\xfd" or (head[1:] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F)
    return Kind.ZSTD if is_zstd else None


@dataclass(frozen=True, slots=True)
class Stream:
    """A file's content without its compression; `file` is the file itself."""

    content: IO[bytes]
    file: IO[bytes]

    def chunks(self, advance: Advance | None = None) -> Iterator[bytes]:
        """The content in pieces; `advance` is told how many bytes of the file were read for them."""
        done = 0
        while chunk := self.content.read(CHUNK):
            if advance:
                advance(self.file.tell() - done)
                done = self.file.tell()
            yield chunk


@contextmanager
def opened(path: Path) -> Iterator[Stream]:
    """A file to be read, through gzip or zstd if it is compressed. Raises SeedError if that breaks off."""
    packing = packing_of(path)
    with path.open("rb") as file:
        if packing is Kind.ZSTD:
            yield Stream(io.BufferedReader(_Zstd(file, path), CHUNK), file)
        elif packing is Kind.GZIP:
            try:
                with gzip.open(file) as content:
                    yield Stream(cast("IO[bytes]", content), file)
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise not_whole(path, str(error)) from error
        else:
            yield Stream(file, file)


_PIECE = 2048  # bytes of zstd that are unpacked at once: they give 64 MB at the most


class _Zstd(io.RawIOBase):
    """What zstd has packed, frame after frame. The library's own reader does not say when a file was cut off."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        import zstandard  # noqa: PLC0415  only a seed that needs it pays for it

        self._file, self._path = file, path
        self._decompressor, self._wrong = zstandard.ZstdDecompressor(), zstandard.ZstdError
        self._frame: Any = None
        self._packed = self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            self._packed = self._packed or self._file.read(_PIECE)
            if not self._packed:
                if self._frame is not None:
                    raise not_whole(self._path, "it ends in the middle of a zstd frame")
                return 0
            self._unpack()
        count = min(len(buffer), len(self._ready))
        buffer[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def _unpack(self) -> None:
        self._frame = self._frame or self._decompressor.decompressobj()
        try:
            self._ready = self._frame.decompress(self._packed)
        except self._wrong as error:
            raise not_whole(self._path, str(error)) from error
        self._packed = b""
        if self._frame.eof:
            self._packed, self._frame = self._frame.unused_data, None


def not_whole(path: Path, why: str) -> SeedError:
    return SeedError(f"The seed {path.name} is not whole.", why=why, advice="Make or download it again.")


def _identity_of_url(url: str) -> str | None:
    """What names the content at a URL, from the head of the answer to a GET (a signed URL may allow nothing else), whose body
    is left where it is; None where the server does not say.
    """
    with _asked(url) as answer:
        return _identity_by_headers(url, answer)


def _identity_by_headers(url: str, answer: httpx.Response) -> str | None:
    """By a strong ETag: a weak one, or a date, may stand for two contents. The query is left out, as it holds the signature."""
    etag = answer.headers.get("etag", "")
    if not etag or etag.startswith("W/"):
        return None
    parts = urlsplit(url)
    named = "\0".join([parts.netloc.rpartition("@")[2], parts.path, etag, answer.headers.get("content-length", "")])
    return f"url:{hashlib.sha256(named.encode()).hexdigest()}"


def _download(url: str, folder: Path, progress: Progress, *, identity: str | None = None) -> tuple[Path, str | None]:
    """Streams a dump to a file, if it still has the identity it was asked for before. The URL may hold a signature: only its host
    is ever shown.
    """
    path = folder / "seed"
    with _asked(url) as answer:
        if identity and _identity_by_headers(url, answer) != identity:
            raise SeedError(f"The seed at {_https_host(url)} was changed just now.", advice="Run it again.")
        length = _content_length(answer)
        watch = Watch(folder, "The seed can't be downloaded")
        watch.need(length or 0)
        with progress.step(f"download the seed from {_https_host(url)}", length) as advance, path.open("wb") as file:
            for chunk in answer.iter_bytes(CHUNK):
                watch.look()
                file.write(chunk)
                advance(len(chunk))
        return path, _as_iso(answer.headers.get("last-modified"))


def _content_length(answer: httpx.Response) -> int | None:
    said = answer.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else None


@contextmanager
def _asked(url: str) -> Iterator[httpx.Response]:
    """The answer to a GET, to be read or not. Raises SeedError, also for what goes wrong while it is read."""
    import httpx  # noqa: PLC0415  only a seed from the network pays for it

    host = _https_host(url)
    stay = {"request": [lambda request: _stay_on_https(request.url.scheme)]}
    try:
        with httpx.Client(follow_redirects=True, timeout=60.0, event_hooks=stay) as client, client.stream("GET", url) as answer:
            if answer.status_code != 200:
                raise SeedError(
                    f"{host} answered {answer.status_code} when asked for the seed.",
                    advice="Check the URL and whether its signature has run out.",
                )
            yield answer
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise SeedError(f"The seed could not be fetched from {host}.", why=type(error).__name__) from error


def _https_host(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise UsageError("The seed's URL can't be read.", advice="Check it; it is not shown here.") from None
    _stay_on_https(parts.scheme)
    if not host:
        raise UsageError("The seed's URL names no host.", advice="Check it; it is not shown here.")
    return host


def _stay_on_https(scheme: str) -> None:
    """For the URL itself, and for each place it sends us to."""
    if scheme != "https":
        raise UsageError(
            f"A seed can't be fetched over {scheme}.",
            why="A dump is production data; it travels over https only, also where it is redirected to.",
            advice="Give an https URL, or download it in a step before and give the path.",
        )


def _as_iso(modified: str | None) -> str | None:
    """A Last-Modified header in ISO 8601; None where it says nothing that can be read."""
    try:
        return parsedate_to_datetime(modified).strftime("%Y-%m-%dT%H:%M:%SZ") if modified else None
    except ValueError:
        return None
