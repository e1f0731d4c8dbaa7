"""Flyway: `V1_2__name.sql` in the order of version numbers, `R__name.sql` after them, `U…` to undo, `B…` as a baseline.

One transaction a file, unless a statement can't run in one; a file that mixes both kinds is refused by Flyway itself unless
`mixed` is set ("Detected both transactional and non-transactional statements within the same migration").
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, ToolRefusal, is_expectation, refuses_transaction
from bot.model import Transaction
from bot.sql import Script

_VERSIONED = re.compile(r"(?P<kind>[VUB])(?P<version>[0-9]{1,255}(?:[._][0-9]{1,255})*)__(?P<title>.*)\.sql", re.DOTALL)
_REPEATABLE = re.compile(r"R__(?P<title>.*)\.sql", re.DOTALL)
_PARTS = {"V": Part.UP, "U": Part.DOWN, "B": Part.BASELINE}


def _parse(path: PurePosixPath) -> Name | None:
    if is_expectation(path):
        return None
    if found := _VERSIONED.fullmatch(path.name):
        numbers = [int(n) for n in re.split(r"[._]", found["version"])]
        while len(numbers) > 1 and numbers[-1] == 0:  # 1.0 is 1
            numbers.pop()
        return Name(found["version"].replace("_", "."), (0, tuple(numbers), path.name), _PARTS[found["kind"]])
    if found := _REPEATABLE.fullmatch(path.name):
        return Name(found["title"], (1, (), found["title"]), Part.REPEATABLE)
    return None


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    return f"{path.name} is named as Flyway names files" if _parse(path) else None


def _transaction(_text: str, script: Script) -> Transaction:
    refused = [refuses_transaction(s) for s in script.statements]
    if any(refused) and not all(refused):
        line = script.statements[refused.index(True)].line
        raise ToolRefusal(
            "Flyway refuses a file that mixes statements which run in a transaction with one that can't, "
            "unless `mixed` is set: put it in a file of its own",
            line,
        )
    return Transaction.NONE if any(refused) else Transaction.SINGLE


FLYWAY = Layout(
    name="flyway",
    tool="Flyway",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    strips_bom=True,
    history=HistoryTable("flyway_schema_history", "version"),
    placeholder=re.compile(r"\$\{(?P<name>[^{}\s]+)\}"),
)
