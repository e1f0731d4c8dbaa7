"""Hasura: `{milliseconds}_{name}/up.sql` with `down.sql` beside it, in the order of numbers; one transaction a file.

diesel has such folders too: its versions have dashes or 14 digits, Hasura's are the milliseconds since 1970, which have 13.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, grandparent, single

_FOLDER = re.compile(r"(?P<version>[0-9]{1,255})_.*", re.DOTALL)
_PARTS = {"up.sql": Part.UP, "down.sql": Part.DOWN}


def _parse(path: PurePosixPath) -> Name | None:
    found = _FOLDER.fullmatch(path.parent.name)
    if not found or path.name not in _PARTS:
        return None
    number = int(found["version"])
    return Name(found["version"], (number, path.parent.name), _PARTS[path.name], key=number)


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    name = _parse(path)
    if name and len(name.version) == 13:
        return f"{path.parent.name} is a folder named by milliseconds, with an up.sql"
    return None


HASURA = Layout(
    name="hasura",
    tool="Hasura",
    example="1706702400000_name/up.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=single,
    history=HistoryTable("hdb_catalog.hdb_version", "cli_state"),
    root=grandparent,
)
