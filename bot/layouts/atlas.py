"""Atlas: every `.sql` file of a folder with `atlas.sum`, in the order of the file names as text.

One transaction a file, unless it says `-- atlas:txmode none`. Such directives count in the comments at the very top only, with
an empty line after them (`LocalFile.Directive` in sql/migrate/dir.go). A file that says `-- atlas:checkpoint` stands for those
before it, and runs on new databases only. A folder whose names are another tool's is taken for that tool's, with Atlas as its
linter.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, is_expectation
from bot.model import Transaction
from bot.sql import Script

_DIRECTIVE = re.compile(r"[ -~]*?atlas:(?P<name>\w+)(?: +(?P<value>[ -~]*))?")


def _parse(path: PurePosixPath) -> Name | None:
    if path.suffix != ".sql" or is_expectation(path) or path.name.endswith((".up.sql", ".down.sql")):
        return None
    return Name(path.stem.partition("_")[0], (path.name,))


def _evidence(path: PurePosixPath, text: str) -> str | None:
    names = _directives(text)
    return f"{path.name} says atlas:{next(iter(names))}" if _parse(path) and names else None


def _directives(text: str) -> dict[str, str]:
    """The directives for the whole file, in the comments at its top."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        if not line.startswith(("--", "#")):
            return {} if line else found
        if directive := _DIRECTIVE.match(line.strip()):
            found.setdefault(directive["name"], (directive["value"] or "").strip())
    return found


def _transaction(text: str, _script: Script) -> Transaction:
    return Transaction.NONE if _directives(text).get("txmode") == "none" else Transaction.SINGLE


def _skips(text: str) -> str | None:
    return "is a checkpoint, which Atlas runs on new databases only" if "checkpoint" in _directives(text) else None


ATLAS = Layout(
    name="atlas",
    tool="Atlas",
    example="20240131120000_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    history=HistoryTable("atlas_schema_revisions.atlas_schema_revisions", "version"),
    marks=("atlas.sum",),
    skips=_skips,
    late="a database that has that one refuses this, unless exec-order is set to non-linear",
)
