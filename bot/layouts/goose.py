"""goose: `N_name.sql` with `-- +goose Up` and `-- +goose Down` in one file.

One transaction a file unless it says `-- +goose NO TRANSACTION`.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from pathlib import PurePosixPath

from bot.layouts import filling
from bot.layouts.base import HistoryTable, Layout, Name, Part, ToolRefusal, numbered, section
from bot.model import Transaction
from bot.sql import Script

_CODE = re.compile(r"(?P<version>[0-9]{1,255})_.*(?<!_test)\.go", re.DOTALL)
_UP = re.compile(r"--\s*\+goose\s+up\b", re.IGNORECASE)
_DOWN = re.compile(r"--\s*\+goose\s+down\b", re.IGNORECASE)
_STATEMENT = re.compile(r"\s*--\s*\+goose\s+statement(begin|end)\b", re.IGNORECASE)
_LINE_END = re.compile(r";\s*(--.*)?$")
_NO_TRANSACTION = re.compile(r"^--\s*\+goose\s+no\s+transaction\b", re.IGNORECASE | re.MULTILINE)

_FOR_THE_FILE = re.compile(rf"{_NO_TRANSACTION.pattern}|^--\s*rehearsal:", re.IGNORECASE | re.MULTILINE)  # wherever it stands


def _parse(path: PurePosixPath) -> Name | None:
    found = numbered(path) or _CODE.fullmatch(path.name)
    if not found:
        return None
    version = int(found["version"])
    return Name(found["version"], (version, path.name), Part.UP if path.suffix == ".sql" else Part.CODE, key=version)


def _evidence(path: PurePosixPath, text: str) -> str | None:
    if path.suffix == ".sql" and _parse(path) and any(_UP.match(line) for line in text.split("\n")):
        return f"{path.name} has a line -- +goose Up"
    return None


def _up(text: str) -> str:
    return section(text, _UP, _DOWN, _FOR_THE_FILE) or ""


def _down(text: str) -> str | None:
    return section(text, _DOWN, _UP, _NO_TRANSACTION)


def _transaction(text: str, script: Script) -> Transaction:
    _refuse_what_goose_would_split(text, script)
    return Transaction.NONE if _NO_TRANSACTION.search(text) else Transaction.SINGLE


def _refuse_what_goose_would_split(text: str, script: Script) -> None:
    """Outside `-- +goose StatementBegin` and `StatementEnd` goose ends a statement at each line that ends in a semicolon, also
    inside a function's body. Raises ToolRefusal.
    """
    inside = False
    # Statements stand in order, and so do their lines: the first that ends on this line or below is the one it may be within.
    spans = [(s.line, s.line + s.sql.count("\n")) for s in script.statements]
    ends = [end for _begin, end in spans]
    for number, line in enumerate(text.split("\n"), start=1):
        if mark := _STATEMENT.match(line):
            inside = mark[1].lower() == "begin"
        elif not inside and _LINE_END.search(line):
            nearest = bisect_left(ends, number)
            if nearest < len(spans) and spans[nearest][0] <= number < ends[nearest]:
                raise ToolRefusal(
                    "goose ends a statement at this line: put the whole statement between -- +goose StatementBegin and "
                    "-- +goose StatementEnd",
                    number,
                )


GOOSE = Layout(
    name="goose",
    tool="goose",
    example="1_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    fill=filling.goose,
    up=_up,
    down=_down,
    history=HistoryTable("goose_db_version", "version_id"),
    late="a database that has that one refuses this (missing migrations), unless -allow-missing is given",
    twice="refuses to run anything (duplicate version detected)",
)
