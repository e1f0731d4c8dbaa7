"""sqitch: `deploy/{change}.sql` in the order of `sqitch.plan`, `revert/{change}.sql` as the way back, `verify/{change}.sql` as
a check.

Each script is run by psql on a connection of its own, outside any transaction but those that it begins itself. A line of the
plan begins with the change's name; `%` begins a pragma, `#` a comment, `@` a tag of the change before it (sqitchchanges(5)). A
change that was reworked stands in the plan twice, and the script of the earlier one is kept as `{change}@{tag}.sql`, with the
tag that came next. A change's id is made of those before it too, so that a change put before a deployed one makes sqitch refuse
(github.com/sqitchers/sqitch/issues/269).

`sqitch.changes` has a row for each, a reworked one twice, under the change's name. The SHA-1 of its script is kept there and only
`sqitch check` compares it. Rows are not written here: a change's id is made of its plan (App::Sqitch::Plan::Change).
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.layouts.base import Entry, HistoryTable, Index, Layout, Name, Part, Row, again, is_expectation, recorded_of
from bot.model import Recorded, Transaction
from bot.sql import Script

_PARTS = {"deploy": Part.UP, "revert": Part.DOWN, "verify": Part.OTHER}
_CHANGE = re.compile(r"[ \t]*+(?:\+[ \t]*+)?(?P<name>[^\s#%@+\-\[][^\s\[#]*+)")
_TAG = re.compile(r"[ \t]*+@(?P<name>[^\s#]++)")


def _place(path: PurePosixPath) -> int | None:
    """Where in a path the folder of deploy, revert or verify scripts is."""
    folders = path.parts[:-1]
    return next((n for n in range(len(folders) - 1, -1, -1) if folders[n] in _PARTS), None)


def _parse(path: PurePosixPath) -> Name | None:
    place = _place(path)
    if place is None or path.suffix != ".sql" or is_expectation(path):
        return None
    change = "/".join(path.parts[place + 1 :]).removesuffix(".sql")
    return Name(change, (1, change), _PARTS[path.parts[place]])


def _root(path: PurePosixPath) -> PurePosixPath:
    place = _place(path)
    return path.parent if place is None else PurePosixPath(*path.parts[:place])


def _evidence(_path: PurePosixPath, _text: str) -> str | None:
    return None  # a folder named deploy is no evidence: the plan is


def _listed(text: str) -> dict[str, Entry]:
    places: dict[str, int] = {}
    untagged: dict[str, int] = {}  # reworked since the last tag: the earlier script goes by the tag to come
    pending: set[str] = set()
    since: dict[str, str] = {}  # change -> the first tag after it
    for place, line in enumerate(text.split("\n")):
        if tag := _TAG.match(line):
            since |= dict.fromkeys(pending, tag["name"])
            pending.clear()
        elif change := _CHANGE.match(line):
            name = change["name"]
            if name in places and name in since:
                untagged[f"{name}@{since.pop(name)}"] = places[name]
            places[name] = place
            pending.add(name)
    return {name: Entry(place, place) for name, place in (places | untagged).items()}


def _kept(version: str) -> str | None:
    return version.partition("@")[0] if "@" in version else None


def _transaction(_text: str, _script: Script) -> Transaction:
    return Transaction.NONE


def _read(rows: Sequence[Row]) -> Recorded:
    times: Counter[str] = Counter()
    done: dict[str | None, str] = {}
    for row in sorted(rows, key=lambda row: row["committed_at"] or ""):
        change = row["change"] or ""
        times[change] += 1
        done[again(change, times[change])] = row["script_hash"] or ""
    return recorded_of(done, checksums={change: checksum for change, checksum in done.items() if change})


SQITCH = Layout(
    name="sqitch",
    tool="sqitch",
    example="deploy/name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    one_session=False,
    strips_bom=True,
    psql=lambda path, _top: str(_root(path)),
    history=HistoryTable(
        "sqitch.changes",
        "change",
        ("script_hash", "committed_at"),
        read=_read,
        checksum=lambda content: hashlib.sha1(content, usedforsecurity=False).hexdigest(),
        minds="does not notice, unless `sqitch check` is asked",
    ),
    root=_root,
    marks=("sqitch.plan",),
    index=Index("sqitch.plan", _listed),
    kept=_kept,
    late="a database that has that one refuses this (Cannot find change), as a change's id holds all before it",
)
