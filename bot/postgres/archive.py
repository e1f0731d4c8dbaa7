"""A directory dump names its own files: none of them may be elsewhere.

pg_restore opens whatever `toc.dat` names, also `../../../etc/passwd`, and puts it into a table; whoever opens a pull request may
have written it. The names are read here as pg_restore reads them (ReadHead and ReadToc in src/bin/pg_dump/pg_backup_archiver.c).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from bot.errors import SeedError

_OLDEST, _NEWEST = (1, 12), (1, 16)  # of the archive's format: pg_dump of PostgreSQL 9.0 to 18
_LARGE_OBJECT = re.compile(rb"[0-9]+ [^/]+")


def refuse_paths_out(folder: Path) -> None:
    """Raises SeedError for a directory dump with a file that is not in it. What is no dump is let pass: others say so."""
    for file in folder.rglob("*"):
        if file.is_symlink():
            raise _out(folder, f"{file.relative_to(folder)} is a link")
    toc = folder / "toc.dat"
    if not toc.is_file():
        return
    try:
        for kind, name in _files_of(_Reader(toc.read_bytes())):
            if "/" in name or name in (".", ".."):
                raise _out(folder, "its table of contents names a file elsewhere")
            if kind == "BLOBS":
                _refuse_large_objects_out(folder, name)
    except (IndexError, UnicodeDecodeError) as error:
        raise SeedError(f"The table of contents of the seed {folder} can't be read.", advice="Make the dump again.") from error


def _refuse_large_objects_out(folder: Path, name: str) -> None:
    """A list of large objects and their files; pg_dump compresses none, but pg_restore would read a compressed one."""
    if not (folder / name).is_file():
        raise _out(folder, "a list of large objects is missing")
    if not all(_LARGE_OBJECT.fullmatch(line) for line in (folder / name).read_bytes().splitlines()):
        raise _out(folder, "a list of large objects names a file elsewhere")


def _out(folder: Path, why: str) -> SeedError:
    return SeedError(
        f"The seed {folder} is no dump of its own files alone: {why}.",
        why="pg_restore would read it from wherever it is on this machine.",
        advice="Make it again with `pg_dump --format=directory`, or better with `--format=custom`.",
    )


class _Reader:
    """Bytes, integers and texts as pg_dump writes them. Raises IndexError at the end."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at, self.int_size = content, 0, 4  # bytes of an integer on every machine there is

    def bytes(self, count: int) -> bytes:
        if self._at + count > len(self._content):
            raise IndexError
        self._at += count
        return self._content[self._at - count : self._at]

    def byte(self) -> int:
        return self.bytes(1)[0]

    def int(self) -> int:
        negative = self.byte()
        value = int.from_bytes(self.bytes(self.int_size), "little")
        return -value if negative else value

    def text(self) -> str | None:
        length = self.int()
        return None if length < 0 else self.bytes(length).decode("utf-8", "surrogateescape")


def _files_of(reader: _Reader) -> Iterator[tuple[str, str]]:
    """What each entry is, and the file that it names."""
    if reader.bytes(5) != b"PGDMP":
        raise IndexError
    version, _revision = (reader.byte(), reader.byte()), reader.byte()
    if not _OLDEST <= version <= _NEWEST:
        raise SeedError(
            f"The seed is a directory dump of the format {version[0]}.{version[1]}, which this program does not know.",
            advice="Make it with `pg_dump --format=custom`.",
        )
    if reader.byte() != reader.int_size:
        raise IndexError
    reader.bytes(2)  # size of an offset, kind of archive
    _ = reader.byte() if version >= (1, 15) else reader.int()  # compression
    for _ in range(7):  # when it was made
        reader.int()
    for _ in range(3):  # database, versions of server and pg_dump
        reader.text()
    for _ in range(reader.int()):
        yield from _entry(reader, version)


def _entry(reader: _Reader, version: tuple[int, int]) -> Iterator[tuple[str, str]]:
    reader.int(), reader.int()  # its number, whether it has data
    for _ in range(3):  # the OIDs of catalog and object, its name
        reader.text()
    kind = reader.text()
    reader.int()  # section
    for _ in range(6 if version >= (1, 14) else 5):  # definition, drop, copy, schema, tablespace, access method
        reader.text()
    if version >= (1, 16):
        reader.int()  # relkind
    for _ in range(2):  # owner, whether with OIDs
        reader.text()
    while reader.text() is not None:  # dependencies
        pass
    if name := reader.text():
        yield kind or "", name
