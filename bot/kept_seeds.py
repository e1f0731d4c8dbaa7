"""A restored seed, kept for the next time: the data folder of the server that it was restored on, from before anything of a pull
request or of the base branch ran there. It is copied, never started: no migration ever runs on it.

    <folder>/<key>/data         the data folder
    <folder>/<key>/seed.json    what it is
    <folder>/identities.json    which dump has which identity, so that a large one is not read again only to be known

`key` names the dump's content, the server's programs and the system they run on. What can't be used is not used, and said; it is
never an error. All of it is production's data.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot import seeds
from bot.clones.embedded import SEED
from bot.copying import bytes_in, copy_tree, files_in, refers
from bot.dumps import SeedFile
from bot.errors import SeedError, ServerError
from bot.held import held
from bot.model import SeedFacts
from bot.plain import from_plain, to_plain
from bot.postgres.binaries import Binaries, Needs, publish
from bot.postgres.embedded import Server, embedded_server
from bot.progress import Progress
from bot.room import Watch
from bot.words import size

FORMAT = 1  # of what is kept, and of how a seed is restored: to be raised with either
MOST = 3  # kept in one folder; the one that was not used for longest goes first
_LARGE = 64 * 2**20  # bytes; what is smaller is read faster than anything about it is found
_MOST_IDENTITIES = 50
_ABANDONED_S = 24 * 3600.0
_SETTLED_NS = 2 * 10**9  # a file that was written later than so before may be written again within one tick of its clock


@dataclass(frozen=True, slots=True)
class Paper:
    """What is written beside a kept data folder. `identity` is that by which the dump is found; `shape` names the files, and how
    long each is.
    """

    format: int
    identity: str
    facts: SeedFacts
    notes: tuple[str, ...]
    major: int
    why_major: str
    extensions: tuple[str, ...]
    shape: str = ""

    def needs(self) -> Needs:
        """What the dump needs of a server."""
        return Needs(self.major, self.why_major, frozenset(self.extensions))


@dataclass(frozen=True, slots=True)
class Kept:
    """A kept seed that fits, and the programs that it fits to."""

    place: Path
    paper: Paper
    binaries: Binaries


@dataclass(slots=True)
class Shelf:
    """The folder that seeds are kept in; without one nothing is kept, and nothing found. `notes`, for the report, say what could
    not be used or kept.
    """

    folder: Path | None
    progress: Progress
    notes: list[str] = field(default_factory=list)
    _unusable: set[Path] = field(default_factory=set)

    @classmethod
    def at(cls, folder: str | None, progress: Progress) -> Shelf:
        """The shelf in a folder, if that one is to be trusted."""
        shelf = cls(Path(folder).absolute() if folder else None, progress)
        if shelf.folder and (why := _distrusted(shelf.folder)):
            shelf._say(f"The seed folder {folder} is not used: {why}.")
            shelf.folder = None
        return shelf

    def _say(self, text: str) -> None:
        self.notes.append(text)
        self.progress.say(text)

    # ── Taking ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def find(self, identity: str, choose: Callable[[Needs], Binaries]) -> Kept | None:
        """What is kept of a dump for the very programs that would be chosen for it."""
        for place in self._places():
            paper = self._paper(place)
            if paper is None or paper.format != FORMAT or paper.identity != identity:
                continue
            binaries = choose(paper.needs())
            if place.name == _key(identity, binaries):
                if (why := _distrusted(place)) is None and _shape(place / "data") == paper.shape:
                    return Kept(place, paper, binaries)
                self._leave(place, why or "files of it are missing or of another length")
        return None

    def start(self, kept: Kept, stack: ExitStack) -> Server | None:
        """A server on a copy of a kept seed; None if there is something wrong with that one. Raises SeedError if there is no room
        for a copy.
        """
        try:
            with self.progress.step(f"take the kept seed, with PostgreSQL {kept.binaries.version} ({kept.binaries.origin})"):
                server = stack.enter_context(embedded_server(kept.binaries, kept.place / "data"))
                with server.connect("postgres") as admin:
                    there = admin.execute("SELECT FROM pg_catalog.pg_database WHERE datname = %s", [SEED]).fetchone()
        except ServerError as error:
            self._leave(kept.place, f"{error.what} {error.why}".strip().rstrip("."))
            return None
        if there is None:
            self._leave(kept.place, "it holds no seed")
            return None
        with suppress(OSError):
            os.utime(kept.place / "seed.json")  # used just now
        return server

    def _leave(self, place: Path, why: str) -> None:
        """It is replaced when a seed is kept in its place."""
        self._unusable.add(place)
        self._say(f"The seed kept in {place} could not be used, and is restored again: {why}.")

    def _places(self) -> list[Path]:
        """Where seeds are kept, the one that was used last first."""
        if self.folder is None:
            return []
        found = []
        with suppress(OSError):  # there is none yet
            for place in self.folder.iterdir():
                with suppress(OSError):  # no seed, or one that another run removes just now
                    if not place.name.startswith("."):
                        found.append(((place / "seed.json").stat().st_mtime_ns, place))
        return [place for _used_at, place in sorted(found, reverse=True)]

    def _paper(self, place: Path) -> Paper | None:
        try:
            return from_plain(Paper, json.loads((place / "seed.json").read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError):
            return None  # another version of this program wrote it, or nobody did

    # ── Keeping ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def keep(self, data: Path, paper: Paper, binaries: Binaries, leave: Callable[[str], bool]) -> None:
        """Copies the data folder of a server that was stopped. It appears at once under its name: whoever is killed leaves none,
        not half of one; of two who keep the same seed, the first one's stays. `leave`: files that are not needed.
        """
        assert self.folder is not None  # noqa: S101  the caller asked
        place = self.folder / _key(paper.identity, binaries)
        building = self.folder / f".new-{secrets.token_hex(8)}"
        try:
            with self.progress.step("keep the seed"):
                _make(self.folder)
                building.mkdir(mode=0o700)
                with held(building, options={"env": {"PATH": os.defpath}}):
                    if not refers(data.parent, building):
                        Watch(building, "The seed can't be kept").need(bytes_in(data))
                    copy_tree(data, building / "data", leave)
                    whole = replace(paper, shape=_shape(building / "data") or "")
                    (building / "seed.json").write_text(json.dumps(to_plain(whole)))
                    _give(building, self.folder)
                    if place in self._unusable or (place.exists() and self._paper(place) is None):
                        shutil.rmtree(place)  # or it would be in the way for ever
                    publish(building, place)
                self._clear_away()
        except SeedError as error:
            self._say(f"{error.what} {error.why}")
        except OSError as error:
            self._say(f"The seed could not be kept in {self.folder}: {error.strerror or error}.")

    def _clear_away(self) -> None:
        assert self.folder is not None  # noqa: S101  something was kept in it
        for half in self.folder.glob(".new-*"):  # the machine stopped while it was made
            with suppress(OSError):
                if half.stat().st_mtime < time.time() - _ABANDONED_S:
                    shutil.rmtree(half)
        for place in self._places()[MOST:]:
            freed = bytes_in(place)
            shutil.rmtree(place, ignore_errors=True)
            self.progress.say(f"removed the kept seed {place.name}, which was not used for longest: {size(freed)}")

    # ── Knowing a dump ───────────────────────────────────────────────────────────────────────────────────────────────────

    def identity(self, path: Path, find_out: Callable[[], str]) -> str:
        """The identity of a dump: remembered, if it is large and nothing says that it was written since it was read. The system
        sets a file's change time itself, whatever its writer says of its age.
        """
        if self.folder is None:
            return find_out()
        mark, bytes_, changed_ns = _mark(path)
        known = self._identities()
        if bytes_ < _LARGE or mark in known:
            return known.get(mark) or find_out()
        began_ns = time.time_ns()
        identity = find_out()
        if changed_ns < began_ns - _SETTLED_NS and _mark(path)[0] == mark:
            self._remember({**dict(list(known.items())[1 - _MOST_IDENTITIES :]), mark: identity})
        return identity

    def _identities(self) -> dict[str, str]:
        assert self.folder is not None  # noqa: S101  the caller asked
        try:
            return from_plain(dict[str, str], json.loads((self.folder / "identities.json").read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError):
            return {}

    def _remember(self, identities: dict[str, str]) -> None:
        assert self.folder is not None  # noqa: S101  the caller asked
        building = self.folder / f".identities-{secrets.token_hex(8)}"
        with suppress(OSError):  # it is read again the next time
            _make(self.folder)
            building.write_text(json.dumps(identities))
            _give(building, self.folder)
            building.replace(self.folder / "identities.json")


def restore_and_keep(
    shelf: Shelf, identity: str, seed: SeedFile, binaries: Binaries, stack: ExitStack
) -> tuple[Server, SeedFacts, list[str]]:
    """Restores a dump on a server of its own, stops that one in order, so that its files are whole, keeps them, and goes on with
    another one on the same files. Gives that one, what the seed is, and notes for the report.
    """
    progress = shelf.progress
    with ExitStack() as first:
        with progress.step(f"start PostgreSQL {binaries.version} ({binaries.origin})"):
            server = first.enter_context(embedded_server(binaries))
        notes = seeds.restore(server, seed, progress)
        facts = seeds.measure(server, str(seed.kind), seed.identity, seed.taken_at, progress)
        needed = _stopped(server)
        needs = seed.needs
        paper = Paper(FORMAT, identity, facts, tuple(notes), needs.major, needs.why_major, tuple(sorted(needs.extensions)))
        shelf.keep(server.data, paper, binaries, lambda path: path.startswith("pg_wal/0") and path not in needed)
        return stack.enter_context(embedded_server(binaries, server.data, move=True)), facts, notes


def _stopped(server: Server) -> list[str]:
    """Stops a server; gives the files of its log that the next start reads. All that a restore has written there may be as large
    as the seed.
    """
    with server.connect("postgres") as admin:
        admin.execute("CHECKPOINT")
        row = admin.execute("SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())").fetchone()
    server.stop()
    log = sorted(path.name for path in (server.data / "pg_wal").iterdir())
    return [f"pg_wal/{name}" for name in log if row and name >= row[0]][:2]  # the last checkpoint may be in the next one


def _key(identity: str, binaries: Binaries) -> str:
    """Names a dump and all that its files on disk depend on: the programs, their extensions, how the system sorts texts."""
    with open(binaries.tool("postgres"), "rb") as program:  # noqa: PTH123  a name
        digest = hashlib.file_digest(program, "sha256").hexdigest()
    system = [platform.system(), platform.machine(), *platform.libc_ver()]
    with suppress(OSError):
        system.append(Path("/etc/os-release").read_text())  # its ICU, for one
    named = [FORMAT, identity, binaries.version, digest, binaries.extensions_digest(), system]
    return hashlib.sha256(json.dumps(named).encode()).hexdigest()[:32]


def _shape(data: Path) -> str | None:
    """Names the files and how long each is; None if something is no file, as a link to elsewhere."""
    try:
        found = list(files_in(data))
    except OSError:  # another run removes it just now
        return None
    if not all(stat.S_ISREG(said.st_mode) for _name, said in found):
        return None
    return hashlib.sha256(json.dumps(sorted((name, said.st_size) for name, said in found)).encode()).hexdigest()


def _mark(path: Path) -> tuple[str, int, int]:
    """What tells whether a dump was written since, how large it is, and when that was last."""
    found = [("", path.stat())] if path.is_file() else sorted(files_in(path), key=lambda one: one[0])
    marks = [[name, s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns] for name, s in found]
    digest = hashlib.sha256(json.dumps([str(path.resolve()), marks]).encode(errors="surrogateescape")).hexdigest()
    newest = max((max(s.st_mtime_ns, s.st_ctime_ns) for _name, s in found), default=0)
    return digest, sum(s.st_size for _name, s in found), newest


def _distrusted(folder: Path) -> str | None:
    """Why somebody else may have written to a folder, if so. When we are root, whoever owns the folder above may: a runner's
    user, who keeps it.
    """
    try:
        said = folder.lstat()
    except FileNotFoundError:
        return None
    except OSError as error:
        return error.strerror or "it can't be looked at"
    if not stat.S_ISDIR(said.st_mode):
        return "it is no folder"
    trusted = {0, os.geteuid(), *([folder.parent.stat().st_uid] if os.geteuid() == 0 else [])}
    if said.st_uid not in trusted:
        return "it belongs to somebody else"
    return "others may write to it" if said.st_mode & 0o022 else None


def _make(folder: Path) -> None:
    """Makes a folder that nobody else may enter, and those above it that lack."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        _give(path, path.parent)


def _give(path: Path, like: Path) -> None:
    """Gives a path and all in it to the owner of another one, so that those who keep it can read it. Only root can."""
    if os.geteuid() == 0:
        owner = like.stat()
        for name in [path, *path.rglob("*")]:
            os.chown(name, owner.st_uid, owner.st_gid, follow_symlinks=False)
