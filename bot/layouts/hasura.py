"""Hasura: `{milliseconds}_{name}/up.sql` with `down.sql` beside it, in the order of numbers; one transaction a file.

diesel has such folders too: its versions have dashes or 14 digits, Hasura's are the milliseconds since 1970, which have 13.

What was run stands in a JSON value of the server's own table, as a version and whether it is dirty, for each database
(cli/internal/statestore of the server's repository). Before config v3 it was `hdb_catalog.schema_migrations`, which is not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, Row, as_number, grandparent, recorded_of, single
from bot.model import Recorded

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


def _read(rows: Sequence[Row]) -> Recorded:
    dirty: dict[str, bool] = {}
    for row in rows:
        try:
            for versions in json.loads(row["cli_state"] or "{}")["migrations"].values():
                dirty |= {version: bool(is_dirty) for version, is_dirty in versions.items()}
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
            continue
    return recorded_of(
        (version for version, is_dirty in dirty.items() if not is_dirty),
        broken=tuple(version for version, is_dirty in dirty.items() if is_dirty),
    )


HASURA = Layout(
    name="hasura",
    tool="Hasura",
    example="1706702400000_name/up.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=single,
    history=HistoryTable(
        "hdb_catalog.hdb_version",
        "cli_state",
        read=_read,
        recorded=as_number,
        write=(
            "UPDATE {table} SET cli_state = coalesce(cli_state, '{{}}') || jsonb_build_object('migrations',"
            " coalesce(cli_state -> 'migrations', '{{}}') || jsonb_build_object(%(folder)s::text,"
            " coalesce(cli_state -> 'migrations' -> %(folder)s::text, '{{}}') || jsonb_build_object(%(version)s::text, false)))",
        ),
    ),
    root=grandparent,
)
