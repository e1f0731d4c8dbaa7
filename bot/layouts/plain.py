"""A plain folder of numbered SQL files, run in order, each as `psql --single-transaction --file` would: one transaction a
file, unless a statement in it can't run in one; a connection for each file.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import Layout, Name, is_expectation, number, single_unless_refused

_FILE = re.compile(r"(?P<version>[0-9]{1,255}(?:[._][0-9]{1,255})*)(?P<rest>[^0-9].*)?\.sql", re.DOTALL)


def _parse(path: PurePosixPath) -> Name | None:
    found = _FILE.fullmatch(path.name)
    if not found or path.name.endswith(".down.sql") or is_expectation(path):
        return None
    numbers = tuple(n for n in map(number, re.split(r"[._]", found["version"])) if n is not None)
    return Name(found["version"], (numbers, path.name), key=numbers)


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    return f"{path.name} begins with a number" if _parse(path) else None


PLAIN = Layout(
    name="plain",
    tool="psql",
    example="1_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=single_unless_refused,
    one_session=False,
    strips_bom=True,
    psql=lambda _path, top: top,
    only_named_so=False,
    twice="runs them in the order of the rest of their names",
)
