"""Flyway: `V1_2__name.sql` in the order of version numbers, `R__name.sql` after them, `U…` to undo, `B…` as a baseline.

One transaction a file, unless a statement can't run in one; a file that mixes both kinds is refused by Flyway itself unless
`mixed` is set ("Detected both transactional and non-transactional statements within the same migration"). A script's own
settings in `V1__name.sql.conf` can say `executeInTransaction=false` and `placeholderReplacement=false` (Script Configuration in
its manual).

Its table has a row for each run: a baseline counts for all versions before it, a version that was undone later does not count, a
repeatable file has no version and is known by its description. The checksum is the CRC-32 of the lines without their ends; where
a file has another one now, `migrate` refuses (`validateOnMigrate`), and runs a repeatable one again. From the manual's pages on
the schema history table and on `validate`; the checksum from `ChecksumCalculator` in its source.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.layouts import filling
from bot.layouts.base import (
    Beside,
    HistoryTable,
    Layout,
    Name,
    Part,
    Row,
    ToolRefusal,
    is_expectation,
    number,
    rank,
    recorded_of,
    refuses_transaction,
)
from bot.layouts.filling import AS_IT_IS
from bot.model import Recorded, Transaction
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


def _numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, as Flyway compares them: 1.0 is 1. Of another text none."""
    parts = version.replace("_", ".").split(".") if len(version) <= 255 else []
    found = [number(part) for part in parts]
    if not found or None in found:
        return ()
    numbers = [n for n in found if n is not None]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _version(text: str) -> str:
    return ".".join(map(str, _numbers(text)))


def _recorded(name: Name) -> str:
    return f"R {name.version.replace('_', ' ')}" if name.part is Part.REPEATABLE else _version(name.version)


def _read(rows: Sequence[Row]) -> Recorded:
    done: dict[str, str] = {}
    broken: list[str] = []
    baseline: str | None = None
    for row in sorted(rows, key=lambda row: rank(row["installed_rank"])):
        version = _version(row["version"]) if row["version"] else f"R {row['description']}"
        if row["success"] != "true":
            broken.append(version)
        elif (row["type"] or "").startswith("UNDO") or row["type"] == "DELETE":
            done.pop(version, None)
        elif (row["type"] or "").endswith("BASELINE"):
            baseline = version
        elif row["type"] != "SCHEMA":  # that Flyway made the schema
            done[version] = row["checksum"] or ""
    return recorded_of(
        done, up_to=baseline, broken=tuple(broken), checksums={v: checksum for v, checksum in done.items() if checksum}
    )


def _checksum(content: bytes) -> str:
    lines = content.decode("utf-8", errors="replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    crc = zlib.crc32("".join(lines).encode())
    return str(crc - 2**32 if crc >= 2**31 else crc)


FLYWAY = Layout(
    name="flyway",
    tool="Flyway",
    example="V1_2__name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    strips_bom=True,
    history=HistoryTable(
        "flyway_schema_history",
        "version",
        ("installed_rank", "description", "type", "checksum", "success"),
        read=_read,
        recorded=_recorded,
        place=lambda version: _numbers(version) or None,
        checksum=_checksum,
        minds="refuses to run anything (Migration checksum mismatch), unless validateOnMigrate is off",
        refuses=True,
        create=(
            "CREATE TABLE IF NOT EXISTS {table} (installed_rank integer NOT NULL, version varchar(50),"
            " description varchar(200) NOT NULL, type varchar(20) NOT NULL, script varchar(1000) NOT NULL, checksum integer,"
            " installed_by varchar(100) NOT NULL, installed_on timestamp NOT NULL DEFAULT now(), execution_time integer NOT NULL,"
            " success boolean NOT NULL, CONSTRAINT flyway_schema_history_pk PRIMARY KEY (installed_rank))",
            "CREATE INDEX IF NOT EXISTS flyway_schema_history_s_idx ON {table} (success)",
        ),
        write=(
            "INSERT INTO {table} (installed_rank, version, description, type, script, checksum, installed_by, execution_time,"
            " success) SELECT coalesce(max(installed_rank), 0) + 1, CASE WHEN %(repeatable)s THEN NULL ELSE %(shown)s END,"
            " replace(regexp_replace(%(script)s, '^.*?__|[.]sql$', '', 'g'), '_', ' '), 'SQL', %(script)s, %(checksum)s::integer,"
            " current_user, %(ms)s, true FROM {table}",
        ),
    ),
    beside=Beside(lambda path: path.with_name(f"{path.name}.conf"), _remark),
    late="a database that has that one refuses this, unless outOfOrder is set",
    twice="refuses to run anything (Found more than one migration with version …)",
    fill=filling.flyway,
)
