"""Flyway: `V1_2__name.sql` in the order of version numbers, `R__name.sql` after them, `U…` to undo, `B…` as a baseline.

One transaction a file, unless a statement can't run in one; a file that mixes both kinds is refused by Flyway itself unless
`mixed` is set ("Detected both transactional and non-transactional statements within the same migration"). A script's own
settings in `V1__name.sql.conf` can say `executeInTransaction=false` and `placeholderReplacement=false` (Script Configuration in
its manual).
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts import filling
from bot.layouts.base import Beside, HistoryTable, Layout, Name, Part, ToolRefusal, is_expectation, refuses_transaction
from bot.layouts.filling import AS_IT_IS
from bot.model import Transaction
from bot.sql import Script

_VERSIONED = re.compile(r"(?P<kind>[VUB])(?P<version>[0-9]{1,255}(?:[._][0-9]{1,255})*)__(?P<title>.*)\.sql", re.DOTALL)
_CALLBACK = re.compile(r"(?:before|after|create)[A-Z][A-Za-z]*(?:__.*)?\.sql", re.DOTALL)
_REPEATABLE = re.compile(r"R__(?P<title>.*)\.sql", re.DOTALL)
_OUTSIDE = re.compile(r"^[ \t]*+(?:flyway\.)?executeInTransaction[ \t]*+=[ \t]*+false[ \t]*+\r?$", re.IGNORECASE | re.MULTILINE)
_AS_IT_IS = re.compile(
    r"^[ \t]*+(?:flyway\.)?placeholderReplacement[ \t]*+=[ \t]*+false[ \t]*+\r?$", re.IGNORECASE | re.MULTILINE
)
_REMARK = "/* executeInTransaction=false */ "
_PARTS = {"V": Part.UP, "U": Part.DOWN, "B": Part.BASELINE}


def _parse(path: PurePosixPath) -> Name | None:
    if is_expectation(path):
        return None
    if found := _VERSIONED.fullmatch(path.name):
        numbers = [int(n) for n in re.split(r"[._]", found["version"])]
        while len(numbers) > 1 and numbers[-1] == 0:  # 1.0 is 1
            numbers.pop()
        return Name(found["version"].replace("_", "."), (0, tuple(numbers), path.name), _PARTS[found["kind"]], key=tuple(numbers))
    if found := _REPEATABLE.fullmatch(path.name):
        return Name(found["title"], (1, (), found["title"]), Part.REPEATABLE)
    if _CALLBACK.fullmatch(path.name):
        return Name(path.stem, (2, (), path.name), Part.OTHER)
    return None


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    name = _parse(path)
    return f"{path.name} is named as Flyway names files" if name and name.part is not Part.OTHER else None


def _remark(settings: str) -> str:
    return (AS_IT_IS if _AS_IT_IS.search(settings) else "") + (_REMARK if _OUTSIDE.search(settings) else "")


def _transaction(text: str, script: Script) -> Transaction:
    if text.removeprefix(AS_IT_IS).startswith(_REMARK):
        return Transaction.NONE
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
    example="V1_2__name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    strips_bom=True,
    history=HistoryTable("flyway_schema_history", "version"),
    beside=Beside(lambda path: path.with_name(f"{path.name}.conf"), _remark),
    late="a database that has that one refuses this, unless outOfOrder is set",
    twice="refuses to run anything (Found more than one migration with version …)",
    fill=filling.flyway,
)
