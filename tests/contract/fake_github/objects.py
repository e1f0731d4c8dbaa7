"""Git's objects, with the names that git gives them, and how they differ."""

from __future__ import annotations

import difflib
import hashlib
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal, NamedTuple

from tests.contract.fake_github.values import Content, Submodule, Symlink

LARGEST_INLINE_CONTENT = 1_000_000


class Entry(NamedTuple):
    """What a tree holds under a name; `kind` is blob, tree, or commit for a submodule."""

    mode: str
    kind: str
    sha: str


@dataclass(frozen=True)
class Commit:
    """A commit; author and committer are one person."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: str
    date: str
    message: str


@dataclass(frozen=True)
class Change:
    """How one path differs between two trees, in the words of GitHub's files listing."""

    path: str
    status: Literal["added", "modified", "removed", "renamed", "changed"]
    old: Entry | None
    new: Entry | None
    previous: str | None = None

    @property
    def sha(self) -> str:
        """The blob that the listing names: the new one, or of a removed file the old one."""
        entry = self.new or self.old
        assert entry is not None
        return entry.sha


def git_sha(kind: str, data: bytes) -> str:
    """The name that git gives an object."""
    return hashlib.sha1(f"{kind} {len(data)}\0".encode() + data, usedforsecurity=False).hexdigest()


def email_of(login: str) -> str:
    """The address that a user's commits carry."""
    return f"{login}@users.noreply.github.com"


class Objects:
    """The objects of a repository and all its forks, which share them as they do on GitHub."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}
        self.trees: dict[str, dict[str, Entry]] = {}
        self.commits: dict[str, Commit] = {}  # parents come before their children
        self._flat: dict[str, dict[str, Entry]] = {}

    def add_tree(self, files: Mapping[str, Content]) -> str:
        """Store a whole folder, given by path; return the tree's name."""
        entries: dict[str, Entry] = {}
        folders: dict[str, dict[str, Content]] = {}
        for path, content in files.items():
            name, slash, rest = path.partition("/")
            if slash:
                folders.setdefault(name, {})[rest] = content
            else:
                entries[name] = self._add_content(content)
        if clash := entries.keys() & folders.keys():
            raise ValueError(f"both a file and a folder: {sorted(clash)}")
        entries |= {name: Entry("040000", "tree", self.add_tree(inside)) for name, inside in folders.items()}
        return self._store_tree(entries)

    def _store_tree(self, entries: dict[str, Entry]) -> str:
        # Git sorts bytes, and a folder as if its name ended with a slash.
        def place(item: tuple[str, Entry]) -> bytes:
            return (item[0] + "/" * (item[1].kind == "tree")).encode()

        ordered = dict(sorted(entries.items(), key=place))
        data = b"".join(
            f"{entry.mode.lstrip('0')} {name}\0".encode() + bytes.fromhex(entry.sha) for name, entry in ordered.items()
        )
        sha = git_sha("tree", data)
        self.trees[sha] = ordered
        return sha

    def _add_content(self, content: Content) -> Entry:
        if isinstance(content, Submodule):
            return Entry("160000", "commit", content.sha)
        if isinstance(content, Symlink):
            return Entry("120000", "blob", self._add_blob(content.target.encode()))
        return Entry("100644", "blob", self._add_blob(content.encode() if isinstance(content, str) else content))

    def _add_blob(self, data: bytes) -> str:
        sha = git_sha("blob", data)
        self.blobs[sha] = data
        return sha

    def add_commit(self, tree: str, parents: tuple[str, ...], author: str, date: str, message: str) -> str:
        """Store a commit; return its name. Unknown parents are an error."""
        if missing := [parent for parent in parents if parent not in self.commits]:
            raise ValueError(f"no such commit: {missing}")
        signed = f"{author} <{email_of(author)}> {int(datetime.fromisoformat(date).timestamp())} +0000"
        lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents), f"author {signed}", f"committer {signed}"]
        sha = git_sha("commit", ("\n".join(lines) + f"\n\n{message}\n").encode())
        self.commits.setdefault(sha, Commit(sha, tree, parents, author, date, message))
        return sha

    def flat(self, tree: str) -> dict[str, Entry]:
        """Every file below a tree, by its path; folders themselves are not in it."""
        if tree not in self._flat:
            self._flat[tree] = {path: entry for path, entry in self.walk(tree) if entry.kind != "tree"}
        return self._flat[tree]

    def walk(self, tree: str, prefix: str = "") -> Iterator[tuple[str, Entry]]:
        """Everything below a tree, each folder before what is in it."""
        for name, entry in self.trees[tree].items():
            yield prefix + name, entry
            if entry.kind == "tree":
                yield from self.walk(entry.sha, f"{prefix}{name}/")

    def entry_at(self, tree: str, path: str) -> Entry | None:
        """What a tree holds at a path ("" is the tree itself), None where nothing is."""
        entry: Entry | None = Entry("040000", "tree", tree)
        for name in filter(None, path.split("/")):
            entry = self.trees[entry.sha].get(name) if entry and entry.kind == "tree" else None
        return entry

    def ancestors(self, sha: str) -> set[str]:
        """A commit and all that it descends from."""
        found: set[str] = set()
        waiting = [sha]
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += self.commits[each].parents
        return found

    def missing_from(self, base: str, head: str) -> list[Commit]:
        """The commits that `head` has and `base` lacks, oldest first."""
        lacking = self.ancestors(head) - self.ancestors(base)
        return [commit for sha, commit in self.commits.items() if sha in lacking]

    def merge_base(self, one: str, other: str) -> str | None:
        """The latest commit that both descend from, None for unrelated histories."""
        shared = self.ancestors(one) & self.ancestors(other)
        # Commits are kept in the order they were made, so the last shared one has no shared descendant.
        return next((sha for sha in reversed(self.commits) if sha in shared), None)

    def changes(self, old_tree: str | None, new_tree: str) -> list[Change]:
        """How two trees differ, by path; None stands for the empty tree."""
        old = self.flat(old_tree) if old_tree else {}
        new = self.flat(new_tree)
        renamed = _renames({path: old[path] for path in sorted(old.keys() - new.keys())}, new, new.keys() - old.keys())
        gone = old.keys() - new.keys() - set(renamed.values())
        found = [Change(path, "removed", old[path], None) for path in gone]
        for path, entry in new.items():
            if path in renamed:
                found.append(Change(path, "renamed", old[renamed[path]], entry, renamed[path]))
            elif path not in old:
                found.append(Change(path, "added", None, entry))
            elif old[path] != entry:
                status: Literal["changed", "modified"] = "changed" if old[path].sha == entry.sha else "modified"
                found.append(Change(path, status, old[path], entry))
        return sorted(found, key=lambda change: change.path)

    def lines_of(self, change: Change) -> LineDiff:
        """The lines added and deleted by a change."""
        old, new = (self.blobs.get(entry.sha, b"") if entry else b"" for entry in (change.old, change.new))
        return line_diff(old, new)

    def count_lines(self, changes: Sequence[Change]) -> tuple[int, int]:
        """How many lines all these changes add, and how many they delete."""
        diffs = [self.lines_of(change) for change in changes]
        return sum(diff.additions for diff in diffs), sum(diff.deletions for diff in diffs)


def _renames(gone: dict[str, Entry], new: Mapping[str, Entry], added: set[str]) -> dict[str, str]:
    """For each added path whose very content went away elsewhere: where from, at best a file of its name."""
    sources: dict[Entry, list[str]] = {}
    for path, entry in gone.items():
        sources.setdefault(entry, []).append(path)
    found: dict[str, str] = {}
    for path in sorted(added):
        candidates = sources.get(new[path], [])
        if candidates:
            name = posixpath.basename(path)
            found[path] = next((each for each in candidates if posixpath.basename(each) == name), candidates[0])
            candidates.remove(found[path])
    return found


class LineDiff(NamedTuple):
    """Lines added, lines deleted, and the patch (None for a binary or very large file, as on GitHub)."""

    additions: int
    deletions: int
    patch: str | None


@lru_cache(maxsize=8192)
def line_diff(old: bytes, new: bytes) -> LineDiff:
    """Compare two files line by line."""
    try:
        before, after = old.decode().splitlines(), new.decode().splitlines()
    except UnicodeDecodeError:
        return LineDiff(0, 0, None)
    if old == new or b"\0" in old + new:
        return LineDiff(0, 0, None)
    if len(old) + len(new) > LARGEST_INLINE_CONTENT:  # comparing takes quadratic time: count it as a rewrite
        return LineDiff(len(after), len(before), None)
    lines = list(difflib.unified_diff(before, after, lineterm=""))[2:]  # without the two lines that name the files
    added = sum(line.startswith("+") for line in lines)
    return LineDiff(added, sum(line.startswith("-") for line in lines), "\n".join(lines))
