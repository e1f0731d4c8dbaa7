"""What a layout is: one tool's convention for its migration files.

A layout is data and a few pure functions, one file for each tool; the registry in `bot/layouts/__init__.py` lists them. To
add one: write the file, add it to the registry, add a folder of examples to `tests/unit/test_layouts.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath

from bot.model import Transaction
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


@dataclass(frozen=True, slots=True)
class Name:
    """What a path tells. `order` sorts as the tool sorts; `version` is how the tool writes it. No file's name is longer than 255
    bytes, so a number in it has no more digits: Python would not read thousands of them.
    """

    version: str
    order: tuple[object, ...]
    part: Part = Part.UP


@dataclass(frozen=True, slots=True)
class HistoryTable:
    """Where the tool keeps what it has run, and the column that holds the version."""

    table: str
    version_column: str


@dataclass(frozen=True, slots=True)
class Layout:
    """A tool's convention.

    - `parse`: path -> what its name tells, or None: not a file of this layout;
    - `evidence`: (path, text) -> why this file must be of this layout, or None: its name alone does not say so;
    - `up`, `down`: text of a file -> the part to run, keeping line numbers; `down` gives None where the file has none;
    - `transaction`: the parsed up part -> how the tool sends it; it may raise ToolRefusal;
    - `one_session`: whether the tool runs all pending files on one connection, so that a SET in one is felt by the next;
    - `strips_bom`: whether the tool drops a byte order mark before it sends the file.
    """

    name: str
    tool: str
    parse: Callable[[PurePosixPath], Name | None]
    evidence: Callable[[PurePosixPath, str], str | None]
    transaction: Callable[[str, Script], Transaction]
    up: Callable[[str], str] = lambda text: text
    down: Callable[[str], str | None] = lambda _text: None
    one_session: bool = True
    strips_bom: bool = False
    history: HistoryTable | None = None
    placeholder: re.Pattern[str] | None = None


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
        if begins.match(line):
            inside = found = True
            kept.append(_blank(line))
        elif ends.match(line):
            inside = False
            kept.append(_blank(line))
        else:
            kept.append(line if inside or (keep and keep.match(line)) else _blank(line))
    return "".join(kept) if found else None


def lines_of(text: str) -> list[str]:
    """The lines as a tool reads them, each with its end: at line feeds alone, where `str.splitlines` knows ten more line ends."""
    return [f"{line}\n" for line in text.split("\n")[:-1]] + [text.rpartition("\n")[2]]


def _blank(line: str) -> str:
    return "\n" if line.endswith("\n") else ""


def number(text: str) -> int | None:
    """A numeric version, so that 10 comes after 9."""
    return int(text) if text.isascii() and text.isdigit() else None
