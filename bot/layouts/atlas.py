"""Atlas: every `.sql` file of a folder with `atlas.sum`, in the order of the file names as text.

One transaction a file, unless it says `-- atlas:txmode none`. Such directives count in the comments at the very top only, with
an empty line after them (`LocalFile.Directive` in sql/migrate/dir.go). A file that says `-- atlas:checkpoint` stands for those
before it, and runs on new databases only. A folder whose names are another tool's is taken for that tool's, with Atlas as its
linter.

Its table has a row for each version, with how many of how many statements were applied; a row of type 1 is a baseline, which
counts for all versions before it. `atlas.sum` has a line for each file with the SHA-256 of all names and contents up to this one,
and before these one of all the lines; where a file does not fit, Atlas runs nothing (`NewHashFile`, `Validate` in
sql/migrate/dir.go). Files are compared with `atlas.sum`, not with the table: of that only the statements of a file
that was left half way (`Executor.Execute` in sql/migrate/migrate.go; the table in cmd/atlas/internal/migrate/ent).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Row, Sums, is_expectation, rank, recorded_of
from bot.model import Recorded, Transaction
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


def _sums(text: str, files: Sequence[tuple[str, bytes]]) -> tuple[str, str] | None:
    """Compares a folder with its `atlas.sum`: the first file that does not fit, and what is wrong with it."""
    total, *lines = [line.strip() for line in text.strip().split("\n")]
    listed = dict(line.rsplit(" h1:", 1) for line in lines if " h1:" in line)
    running = hashlib.sha256()
    for name, content in files:
        running.update(name.encode())
        if _directives(content.decode("utf-8", errors="replace")).get("sum") == "ignore":
            continue
        running.update(content)
        if name not in listed:
            return name, "is not in `atlas.sum`"
        if listed.pop(name) != base64.b64encode(running.digest()).decode():
            return name, "is not what `atlas.sum` was made of, or a file before it was put in or taken away since"
    if listed:
        return next(iter(listed)), "is in `atlas.sum`, and not in the folder"
    sums = "".join(line.replace(" h1:", "") for line in lines)
    if total != f"h1:{base64.b64encode(hashlib.sha256(sums.encode()).digest()).decode()}":
        return "atlas.sum", "does not fit itself: its first line is not of the others, as after a merge"
    return None


def _read(rows: Sequence[Row]) -> Recorded:
    rows = [row for row in rows if not (row["version"] or "").startswith(".")]  # of the tool's own: whose the database is
    broken = {row["version"] for row in rows if rank(row["applied"]) < rank(row["total"])}
    baselines = [row["version"] for row in rows if row["type"] == "1" and row["version"]]
    return recorded_of(
        (row["version"] for row in rows if row["version"] not in {*broken, *baselines}),
        up_to=max(baselines, default=None),
        broken=tuple(sorted(version for version in broken if version)),
    )


ATLAS = Layout(
    name="atlas",
    tool="Atlas",
    example="20240131120000_name.sql",
    parse=_parse,
    evidence=_evidence,
    transaction=_transaction,
    history=HistoryTable(
        "atlas_schema_revisions.atlas_schema_revisions",
        "version",
        ("type", "applied", "total"),
        read=_read,
        place=lambda version: version,
        create=(
            "CREATE SCHEMA IF NOT EXISTS atlas_schema_revisions",
            "CREATE TABLE IF NOT EXISTS {table} (version varchar NOT NULL PRIMARY KEY, description varchar NOT NULL,"
            " type bigint NOT NULL DEFAULT 2, applied bigint NOT NULL DEFAULT 0, total bigint NOT NULL DEFAULT 0,"
            " executed_at timestamptz NOT NULL, execution_time bigint NOT NULL, error text, error_stmt text,"
            " hash varchar NOT NULL, partial_hashes jsonb, operator_version varchar NOT NULL)",
        ),
        # The hash is of all files up to this one, and is not compared: it is left empty.
        write=(
            "INSERT INTO {table} (version, description, applied, total, executed_at, execution_time, hash, operator_version)"
            " VALUES (%(version)s, %(title)s, %(statements)s, %(statements)s, now(), %(ms)s * 1000000, '',"
            " 'migration-rehearsal')",
        ),
    ),
    marks=("atlas.sum",),
    sums=Sums("atlas.sum", _sums, "runs nothing until `atlas migrate hash` was run and looked at (checksum mismatch)"),
    skips=_skips,
    late="a database that has that one refuses this, unless exec-order is set to non-linear",
)
