"""diesel: `{version}_{name}/up.sql` with `down.sql` beside it, in the order of the versions as text, without their `-`.

One transaction a file, unless `metadata.toml` beside it says `run_in_transaction = false`: the file is then sent as one simple
query (`batch_execute`), so that several statements in it still are one transaction.
diesel_migrations/src/file_based_migrations.rs.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import Beside, HistoryTable, Layout, Name, Part, grandparent
from bot.model import Transaction
from bot.sql import Script

_FOLDER = re.compile(r"(?P<version>[0-9][0-9-]{0,254})_.*", re.DOTALL)
_PARTS = {"up.sql": Part.UP, "down.sql": Part.DOWN}
_OUTSIDE = re.compile(r"^[ \t]*+run_in_transaction[ \t]*+=[ \t]*+false\b", re.MULTILINE)
_REMARK = "/* run_in_transaction = false */ "


def _parse(path: PurePosixPath) -> Name | None:
    found = _FOLDER.fullmatch(path.parent.name)
    if not found or path.name not in _PARTS:
        return None
    version = found["version"].replace("-", "")
    return Name(version, (version, path.parent.name), _PARTS[path.name])


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    return f"{path.parent.name} is a folder with an up.sql" if _parse(path) else None


def _transaction(text: str, _script: Script) -> Transaction:
    return Transaction.IMPLICIT if text.startswith(_REMARK) else Transaction.SINGLE


DIESEL = Layout(
    name="diesel",
    tool="diesel",
    example="2024-01-31-120000_name/up.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    history=HistoryTable(
        "__diesel_schema_migrations",
        "version",
        create=(
            "CREATE TABLE IF NOT EXISTS {table} (version varchar(50) PRIMARY KEY NOT NULL,"
            " run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP)",
        ),
        write=("INSERT INTO {table} (version) VALUES (%(version)s)",),
    ),
    root=grandparent,
    marks_above=("diesel.toml",),
    beside=Beside(lambda path: path.parent / "metadata.toml", lambda text: _REMARK if _OUTSIDE.search(text) else ""),
    late="a database that has that one runs this after it",
    twice="runs only one of them",
)
