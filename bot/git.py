"""The local git repository: what changed since the base, and files as they are at a commit. The door of git's command line."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path

from bot.errors import UsageError
from bot.model import FileChange, FileStatus

_DEFAULT_BASES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")
_STATUS = {
    "A": FileStatus.ADDED,
    "C": FileStatus.ADDED,
    "M": FileStatus.MODIFIED,
    "T": FileStatus.MODIFIED,
    "D": FileStatus.REMOVED,
}


class Objects:
    """What is in a repository, asked of one process of git that lives as long as this: histories have thousands of files."""

    def __init__(self, top: Path) -> None:
        self._top = top
        self._process: subprocess.Popen[bytes] | None = None

    def blob(self, name: str) -> bytes:
        """A file's content by a name without a line end. Raises UsageError."""
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None  # noqa: S101  made with pipes
        process.stdin.write(name.encode(errors="surrogateescape") + b"\n")
        process.stdin.flush()
        answer = process.stdout.readline()
        found = re.fullmatch(rb"[0-9a-f]+ (?P<kind>\w+) (?P<size>[0-9]+)\n", answer)
        content = process.stdout.read(int(found["size"]) + 1)[:-1] if found else b""
        if not found or found["kind"] != b"blob":
            raise UsageError(f"git has no file {name}.", why=answer.decode(errors="replace").strip()[-200:])
        return content

    def _start(self) -> subprocess.Popen[bytes]:
        self._process = subprocess.Popen(
            ["git", "-C", str(self._top), "-c", "core.fsmonitor=false", "cat-file", "--batch"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        weakref.finalize(self, _end, self._process)
        return self._process


def _end(process: subprocess.Popen[bytes]) -> None:
    with process:  # closes the pipes, and waits: with its input git ends
        pass


@dataclass(frozen=True, slots=True)
class Repository:
    """A work tree and the commit its changes are told against."""

    top: Path
    base: str  # the merge base of HEAD and what was asked for
    base_name: str
    objects: Objects = field(compare=False, repr=False)

    def changes(self) -> list[FileChange]:
        """What the work tree has that the base has not, uncommitted and untracked files included."""
        fields = _git(self.top, "diff", "--no-ext-diff", "--name-status", "-z", "-M", self.base, "--").split("\0")
        found: list[FileChange] = []
        while len(fields) > 1:
            status, path = fields[0], fields[1]
            if status.startswith(("R", "C")):
                old, path, fields = fields[1], fields[2], fields[3:]
                if status.startswith("R"):
                    found.append(FileChange(path, FileStatus.RENAMED, old))
                    continue
            else:
                fields = fields[2:]
            found.append(FileChange(path, _STATUS.get(status[:1], FileStatus.MODIFIED)))
        untracked = _git(self.top, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
        found += [FileChange(path, FileStatus.ADDED) for path in untracked if path]
        return [change for change in found if change.status is FileStatus.REMOVED or self._is_file(change.path)]

    def _is_file(self, path: str) -> bool:
        """Not a submodule, nor a link, which may lead out of the repository."""
        return (self.top / path).is_file() and not (self.top / path).is_symlink()

    def base_paths(self) -> dict[str, str]:
        """Every file at the base: path -> git's name of its content."""
        entries = [entry.partition("\t") for entry in _git(self.top, "ls-tree", "-r", "-z", self.base).split("\0") if entry]
        return {path: what.split(" ")[2] for what, _tab, path in entries}

    def read(self, path: str) -> bytes:
        """A file of the work tree."""
        return (self.top / path).read_bytes()

    def read_base(self, path: str) -> bytes:
        """A file as it is at the base."""
        if "\n" in path:  # by which one question ends, and the next begins
            return _git_bytes(self.top, "cat-file", "blob", f"{self.base}:{path}")
        return self.objects.blob(f"{self.base}:{path}")

    def export_base(self, folder: Path) -> None:
        """Writes all files of the base into an empty folder. What git ignores in the work tree (installed packages, settings of
        this machine) is linked to, so that a tool finds there what it finds here.
        """
        with tempfile.TemporaryDirectory() as own:  # not `archive`, which leaves out what export-ignore says
            index = Path(own) / "index"
            _git_bytes(self.top, "read-tree", "--no-sparse-checkout", self.base, index=index)
            _git_bytes(self.top, "checkout-index", "--all", f"--prefix={folder.resolve()}/", index=index)
        ignored = _git(self.top, "ls-files", "--others", "--ignored", "--exclude-standard", "--directory", "-z")
        for path in filter(None, ignored.split("\0")):
            link = folder / path.rstrip("/")
            stays = link.parent.is_dir() and link.parent.resolve().is_relative_to(folder.resolve())
            if stays and not link.exists() and not link.is_symlink():
                link.symlink_to(self.top / path.rstrip("/"))

    def identity(self) -> str:
        """Of all files of the base, and of all of the work tree that git does not ignore, as they are now."""
        found = hashlib.sha256(_git_bytes(self.top, "rev-parse", f"{self.base}^{{tree}}", "HEAD^{tree}"))
        found.update(_git_bytes(self.top, "diff", "--no-ext-diff", "--no-textconv", "--binary", "HEAD", "--"))
        for path in _git(self.top, "ls-files", "--others", "--exclude-standard", "-z").split("\0"):
            if path and self._is_file(path):
                found.update(hashlib.sha256(path.encode(errors="surrogateescape") + b"\0" + self.read(path)).digest())
        return f"sha256:{found.hexdigest()}"


def open_repository(folder: Path, base: str | None) -> Repository:
    """The repository around `folder`, against `base` (a ref) or the first usual name of a main branch there is.

    Raises UsageError when there is no repository, or no such base.
    """
    try:
        top = Path(_git(folder, "rev-parse", "--show-toplevel").rstrip("\n"))
    except UsageError as error:
        raise UsageError(
            f"{folder.absolute()} is not in a git repository, so nobody can say which migrations are new.",
            advice="Name the migration files: migration-rehearsal rehearse FILE…",
        ) from error
    names = (base,) if base else _DEFAULT_BASES
    for name in names:
        if commit := _commit(top, name):
            return Repository(top, _merge_base(top, commit, name), name, Objects(top))
    raise UsageError(
        f"There is no commit {base!r} in this repository." if base else "No base branch was found.",
        why="" if base else f"Looked for {', '.join(_DEFAULT_BASES)}.",
        advice="Name a branch or commit that is here, as in --base origin/main; in a workflow check out with fetch-depth: 0.",
    )


def _merge_base(top: Path, commit: str, name: str) -> str:
    try:
        return _git(top, "merge-base", commit, "HEAD").strip()
    except UsageError as error:
        raise UsageError(
            f"HEAD and {name} have no commit in common, so nobody can say what is new.",
            why="They are unrelated, or the clone is shallow.",
            advice="Name another --base, or fetch the whole history: git fetch --unshallow.",
        ) from error


def _commit(top: Path, name: str) -> str | None:
    if name.startswith("-"):
        return None
    try:
        return _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}").strip()
    except UsageError:
        return None


def _git(folder: Path, *arguments: str) -> str:
    return _git_bytes(folder, *arguments).decode("utf-8", errors="surrogateescape")


def _git_bytes(folder: Path, *arguments: str, index: Path | None = None) -> bytes:
    try:
        done = subprocess.run(
            [
                *(("env", f"GIT_INDEX_FILE={index}") if index else ()),
                "git",
                "-C",
                str(folder),
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.quotePath=false",
                *arguments,
            ],
            capture_output=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except FileNotFoundError as error:
        raise UsageError("git is not installed.", advice="Install it, or name the migration files.") from error
    if done.returncode != 0:
        raise UsageError(f"git {arguments[0]} failed.", why=done.stderr.decode(errors="replace").strip())
    return done.stdout
