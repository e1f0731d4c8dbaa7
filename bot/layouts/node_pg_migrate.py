"""node-pg-migrate's SQL files: `{stamp}_{name}.sql`, `-- Up Migration` and `-- Down Migration` in one file.

All pending files run in one transaction, as its option single-transaction is on unless it is turned off (src/runner.ts), in the
order of the number that the name begins with: 17 digits are a date in UTC, whose milliseconds since 1970 are the number; what
begins with none comes first, and is refused since version 9 (src/utils/fileNameUtils.ts; before that version `1-x.sql` began with
none). A file without marks is an up part as a whole (src/sqlMigration.ts).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, is_expectation, lines_of, section, single

_UP = re.compile(r"\s*+--[\s-]*+up\s+migration", re.IGNORECASE)
_DOWN = re.compile(r"\s*+--[\s-]*+down\s+migration", re.IGNORECASE)
_TEMPLATE = re.compile(rf"{_UP.pattern}[\s-]*+$", re.IGNORECASE)
_FOR_THE_FILE = re.compile(r"--\s*rehearsal:", re.IGNORECASE)
_NUMBER = re.compile(r"[0-9]{1,255}")
_CODE = (".js", ".ts", ".mjs", ".cjs", ".mts", ".cts")


def _parse(path: PurePosixPath) -> Name | None:
    prefix = path.name.partition("_")[0]
    if path.suffix in _CODE and "_" in path.name and _NUMBER.fullmatch(prefix):
        return Name(path.stem, (_stamp(prefix), path.stem), Part.CODE)
    if path.suffix != ".sql" or path.name.startswith(".") or is_expectation(path):
        return None
    found = _NUMBER.match(path.name)
    return Name(path.stem, (_stamp(found[0]) if found else 0, path.stem))


def _stamp(prefix: str) -> int:
    if len(prefix) == 17:
        try:
            moment = datetime.strptime(prefix[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            return 0
        return int(moment.timestamp()) * 1000 + int(prefix[14:])
    return int(prefix)


def _evidence(path: PurePosixPath, text: str) -> str | None:
    name = _parse(path)
    if name and name.part is Part.UP and any(_TEMPLATE.match(line) for line in text.split("\n")):
        return f"{path.name} has a line -- Up Migration"
    return None


def _up(text: str) -> str:
    """Without a line that begins it, all that is before the down part."""
    found = section(text, _UP, _DOWN, _FOR_THE_FILE)
    if found is not None:
        return found
    lines = lines_of(text)
    end = next((n for n, line in enumerate(lines) if _DOWN.match(line)), len(lines))
    return "".join(lines[:end] + ["\n" * line.endswith("\n") for line in lines[end:]])


def _down(text: str) -> str | None:
    return section(text, _DOWN, _UP)


NODE_PG_MIGRATE = Layout(
    name="node-pg-migrate",
    tool="node-pg-migrate",
    example="1706702400000_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=single,
    together=True,
    up=_up,
    down=_down,
    history=HistoryTable(
        "pgmigrations",
        "name",
        create=(
            "CREATE TABLE IF NOT EXISTS {table} (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL)",
        ),
        write=("INSERT INTO {table} (name, run_on) VALUES (%(version)s, now())",),
    ),
    late="a database that has that one refuses to run anything, unless the order is not to be checked",
)
