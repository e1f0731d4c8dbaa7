"""What a layout is: one tool's convention for its migration files.

A layout is data and a few pure functions, one file for each tool; the registry in `bot/layouts/__init__.py` lists them. To
add one: write the file, add it to the registry, add a folder of examples to `tests/unit/test_layouts.py`.

What stands outside a file's name and text is told by other files, which the layout names and reads: an index that gives the order
(`Index`), and settings beside a file (`Beside`). Discovery knows of both, and of no tool.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from bot.layouts.filling import Fill, braced
from bot.model import Recorded, Transaction
from bot.sql import Script, Statement


class ToolRefusal(Exception):  # noqa: N818  an answer of the tool, which becomes the migration's outcome
    """The tool itself would not run this file; `line` is where it stumbles."""

    def __init__(self, message: str, line: int) -> None:
        self.line = line
        super().__init__(message)


class Part(StrEnum):
    """What a file is to its tool."""

    UP = "up"
    DOWN = "down"
    REPEATABLE = "repeatable"  # run again whenever its text changes, after all versions
    BASELINE = "baseline"  # stands for the versions before it on a new database; never run where there is one
    CODE = "code"  # a program that the tool runs, in another language than SQL
    OTHER = "other"  # of the tool, but no migration of PostgreSQL: a check, or for another database


@dataclass(frozen=True, slots=True)
class Name:
    """What a path tells. `order` sorts as the tool sorts; `version` is how the tool writes it, `key` what it compares (1.0 is
    1). `remark`: what the name says of how the file is sent, as `Beside` has it. `specific`: written for PostgreSQL, so that
    the file for all databases with the same version gives way. No file's name is longer than 255 bytes, so a number in it has
    no more digits: Python would not read thousands of them.
    """

    version: str
    order: tuple[Any, ...]
    part: Part = Part.UP
    key: object = None
    specific: bool = False
    remark: str = ""

    @property
    def identity(self) -> object:
        """What two files of one version have in common."""
        return self.version if self.key is None else self.key


Row = Mapping[str, str | None]  # of a history table: a column's name -> its value as text


@dataclass(frozen=True, slots=True)
class HistoryTable:
    """Where the tool keeps what it has run, under the name that it has unless somebody configures another.

    - `table`: without a schema it is looked for in all, `public` first; `version_column`, `columns`: what is read of it;
    - `read`: its rows -> what they say; without it each row is a version that was run;
    - `recorded`: a file's name -> how the table has it; `by_stamp`: it has the stamp of the tool's index instead;
    - `place`: what the table has -> where it stands in the order, for tools that compare it with the newest one;
    - `checksum`: a file's bytes -> what the table keeps of them; `minds`: what the tool does where the two differ, `refuses`:
      whether it then runs nothing;
    - `create`: how the tool makes the table; `write`: what it writes for a migration that it has run, with the parameters of
      `bot/postgres/history.py`. `{table}` stands for the table. Empty: it is not written here.
    """

    table: str
    version_column: str
    columns: tuple[str, ...] = ()
    read: Callable[[Sequence[Row]], Recorded] | None = None
    recorded: Callable[[Name], str] = lambda name: name.version
    by_stamp: bool = False
    place: Callable[[str], Any] | None = None
    checksum: Callable[[bytes], str] | None = None
    minds: str = "does not notice"
    refuses: bool = False
    create: tuple[str, ...] = ()
    write: tuple[str, ...] = ()

    def reading(self, rows: Sequence[Row]) -> Recorded:
        """What the rows say."""
        return self.read(rows) if self.read else recorded_of(row[self.version_column] for row in rows)

    def done(self, recorded: Recorded) -> Callable[[str], bool]:
        """Whether the tool takes a version for done. Thousands of versions are asked of thousands."""
        versions, place = frozenset(recorded.versions), self.place
        newest = place(recorded.up_to) if place and recorded.up_to is not None else None

        def has(version: str) -> bool:
            if version in versions or place is None or newest is None:
                return version in versions
            own = place(version)
            return own is not None and bool(own <= newest)

        return has


def recorded_of(versions: Iterable[str | None], **more: Any) -> Recorded:
    """Versions that were run, each once, in the order given; `more` as Recorded has it."""
    return replace(Recorded(tuple(dict.fromkeys(version for version in versions if version))), **more)


def again(version: str, time: int) -> str:
    """How a version is told from an earlier one of the same name: the second time it is `name#2`."""
    return version if time == 1 else f"{version}#{time}"


def rank(text: str | None) -> int:
    """A number that rows are sorted by."""
    return number(text or "") or 0


def as_number(name: Name) -> str:
    """A numeric version as a table of numbers has it: without leading zeros."""
    return str(number(name.version))


@dataclass(frozen=True, slots=True)
class Entry:
    """Where an index has a migration: its place in the order, and the stamp by which the tool tells new from old."""

    place: int
    stamp: float


@dataclass(frozen=True, slots=True)
class Index:
    """A file in the history's folder without which the tool runs nothing: what it does not list is not run. `read`: its text ->
    each version that it lists; whatever the text is, it raises nothing.
    """

    file: str
    read: Callable[[str], dict[str, Entry]]


@dataclass(frozen=True, slots=True)
class Sums:
    """A file in the history's folder with sums of all SQL files in it. `check`: its text, and names and contents in the order of
    the names -> the first file that does not fit and what is wrong with it; `refusal`: what the tool does then.
    """

    file: str
    check: Callable[[str, Sequence[tuple[str, bytes]]], tuple[str, str] | None]
    refusal: str


@dataclass(frozen=True, slots=True)
class Beside:
    """A file of settings that belongs to one migration. `path`: of the migration -> of the settings; `remark`: the settings'
    text -> a comment without a line end, or nothing. Both parts begin with the comment: what decides how a migration is sent is
    in its text alone, and whoever compares or prints it sees it.
    """

    path: Callable[[PurePosixPath], PurePosixPath]
    remark: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Layout:
    """A tool's convention.

    - `example`: the name of a migration, as people are told it;
    - `parse`: path -> what its name tells, or None: not a file of this layout;
    - `evidence`: (path, text) -> why this file must be of this layout, or None: its name alone does not say so;
    - `up`, `down`: text of a file -> the part to run, keeping line numbers; `down` gives None where the file has none;
    - `transaction`: the parsed up part -> how the tool sends it; it may raise ToolRefusal;
    - `one_session`: whether the tool runs all pending files on one connection, so that a SET in one is felt by the next;
    - `together`: whether it runs all pending files in one transaction;
    - `strips_bom`: whether the tool drops a byte order mark before it sends the file;
    - `fill`: text of a file -> the same with the values that the tool puts in, before `up` and `down`;
    - `psql`: where its tool is psql: (path, the repository's top) -> the folder that psql is started in;
    - `root`: path -> the folder that holds the history;
    - `marks`: files or folders in the history's folder that only this tool has there; `marks_above`: in it or above it;
    - `index`, `sums`, `beside`: other files that tell more of the migrations;
    - `only_named_so`: whether a folder of such names holds nothing else, so that a file with another name is a mistake;
    - `kept`: version -> the version whose earlier text it keeps, where the tool keeps such copies;
    - `skips`: text -> why the tool does not run such a file on a database that has run others, or None;
    - `late`: what the tool does with a version older than one it has run; `twice`: with two files of one version;
    - `refused`: why nothing of this tool can be rehearsed here, and what to do instead.
    """

    name: str
    tool: str
    example: str
    parse: Callable[[PurePosixPath], Name | None]
    evidence: Callable[[PurePosixPath, str], str | None]
    transaction: Callable[[str, Script], Transaction]
    up: Callable[[str], str] = lambda text: text
    down: Callable[[str], str | None] = lambda _text: None
    one_session: bool = True
    together: bool = False
    strips_bom: bool = False
    history: HistoryTable | None = None
    fill: Fill = braced
    psql: Callable[[PurePosixPath, str], str] | None = None
    root: Callable[[PurePosixPath], PurePosixPath] = lambda path: path.parent
    marks: tuple[str, ...] = ()
    marks_above: tuple[str, ...] = ()
    index: Index | None = None
    sums: Sums | None = None
    beside: Beside | None = None
    only_named_so: bool = True
    kept: Callable[[str], str | None] = lambda _version: None
    skips: Callable[[str], str | None] | None = None
    late: str = "a database that has that one runs this after it, if at all"
    twice: str = "can record only one of them"
    refused: tuple[str, str] | None = None


_LONGEST_NAME = 255
_NUMBERED = re.compile(r"(?P<version>[0-9]{1,255})_(?P<title>.*)\.sql", re.DOTALL)


def numbered(path: PurePosixPath) -> re.Match[str] | None:
    """The `version` and `title` of `{version}_{title}.sql`; None for a file that holds expectations."""
    return None if is_expectation(path) else _NUMBERED.fullmatch(path.name)


def grandparent(path: PurePosixPath) -> PurePosixPath:
    """The history's folder, where each migration has a folder of its own in it."""
    return path.parent.parent


def is_expectation(path: PurePosixPath) -> bool:
    """Whether a file holds what the migration beside it expects, and is none itself."""
    return path.name.endswith((".expect.sql", ".expect"))


_OUTSIDE_ONLY = (
    "create database",
    "drop database",
    "alter system",
    "create tablespace",
    "drop tablespace",
    "vacuum",
    "create subscription",
    "drop subscription",
    "discard all",
    "reindex database",
    "reindex system",
    "reindex schema",
)


def refuses_transaction(statement: Statement) -> bool:
    """Whether PostgreSQL refuses the statement inside a transaction block (PreventInTransactionBlock in its source; the
    manual says so on each command's page). `ALTER TYPE … ADD VALUE` is not among them since version 12.
    """
    if "concurrently" in statement.words:
        return statement.begins("create index", "create unique index", "drop index", "reindex") or (
            statement.begins("alter table") and "detach" in statement.words
        )
    return statement.begins(*_OUTSIDE_ONLY)


def single_unless_refused(_text: str, script: Script) -> Transaction:
    """One transaction a file, unless a statement can't run in one."""
    refused = any(refuses_transaction(s) for s in script.statements)
    return Transaction.NONE if refused else Transaction.SINGLE


def single(_text: str, _script: Script) -> Transaction:
    """One transaction a file, whatever is in it."""
    return Transaction.SINGLE


def implicit(_text: str, _script: Script) -> Transaction:
    """The whole file as one simple query."""
    return Transaction.IMPLICIT


def section(text: str, begins: re.Pattern[str], ends: re.Pattern[str], keep: re.Pattern[str] | None = None) -> str | None:
    """The lines after each line matching `begins`, up to one matching `ends`, and those matching `keep`; the rest is blanked,
    so that line numbers stay. None if no line matches `begins`.
    """
    kept: list[str] = []
    inside = found = False
    for line in lines_of(text):
        begun, ended = bool(begins.match(line)), bool(ends.match(line))
        inside = begun or (inside and not ended)
        found = found or begun
        wanted = (inside and not begun) or (keep and not ended and keep.match(line))
        kept.append(line if wanted else _blank(line))
    return "".join(kept) if found else None


def lines_of(text: str) -> list[str]:
    """The lines as a tool reads them, each with its end: at line feeds alone, where `str.splitlines` knows ten more line ends."""
    return [f"{line}\n" for line in text.split("\n")[:-1]] + [text.rpartition("\n")[2]]


def first_line(text: str) -> str:
    """The first line, without its end."""
    return text.partition("\n")[0]


def _blank(line: str) -> str:
    return "\n" if line.endswith("\n") else ""


def number(text: str) -> int | None:
    """A numeric version, so that 10 comes after 9. Longer than a file's name none is, and Python reads no thousands of digits."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_NAME else None
