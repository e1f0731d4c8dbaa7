"""Whose line a line of a text is, and a finished report told in the lines of the files that people wrote. Pure.

Rules and all before them know the lines of a migration's text. They are exchanged once, at the end. A fact has the very place:
the line of the included file, with its path. A finding points at a file of the migration, as only there a comment can be put
beside the line: at the outermost `\\i` for what stands in an included file, and its message names the place in that.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar, cast

from bot.model import Finding, Migration, Rehearsal, Source
from bot.words import name

_Value = TypeVar("_Value")
Place = tuple[str, int]
NEWLINE = "\n"
_OTHERS = ("down", "expectations")  # their lines are of other texts
_OF_LINE = re.compile(r"(?<=the lock of )line (\d+)")  # as the rule work-under-lock names another statement


def joined(parts: Sequence[tuple[str, str]]) -> tuple[str, tuple[Source, ...]]:
    """Texts of files as one, each from a line of its own on, with a semicolon between two: files lack the last one, and a final
    newline. The parts are (text, path).
    """
    pieces, sources, line = list[str](), list[Source](), 1
    for number, (text, path) in enumerate(parts, start=1):
        sources.append(Source(line, path, 1))
        piece = text if number == len(parts) else f"{text}{'' if text.endswith(NEWLINE) else NEWLINE};{NEWLINE}"
        line += piece.count(NEWLINE)
        pieces.append(piece)
    return "".join(pieces), tuple(sources)


def place(sources: Sequence[Source], path: str, line: int) -> Place:
    """The file and line that a line of a text is; `path` where there are no sources."""
    at = _source(sources, line)
    return (path, line) if at is None else (sources[at].path, sources[at].of + line - sources[at].line)


def shown_place(migration: Migration, line: int) -> str:
    """The same as people are told it: `lib/common.sql:3`."""
    path, there = place(migration.sources, migration.path, line)
    return f"{path}:{there}"


def own_place(migration: Migration, line: int) -> Place:
    """The same in one of the migration's own files: for a line of an included file, the line that includes it."""
    own = migration.files or (migration.path,)
    at = _source(migration.sources, line)
    found = place(migration.sources, migration.path, line)
    if at is None or found[0] in own:
        return found
    after = (source for source in migration.sources[at:] if source.path in own)  # there an inclusion's own line goes on
    return next(((source.path, source.of) for source in after), found)


def _source(sources: Sequence[Source], line: int) -> int | None:
    at = bisect_right([source.line for source in sources], line) - 1 if sources else -1
    return None if at < 0 else at


def told(rehearsal: Rehearsal, migration: Migration) -> Rehearsal:
    """A rehearsal of this migration with the lines of its files; `path` beside a line where it is not the migration's own."""
    rehearsal = replace(rehearsal, files=migration.files)  # the journal may have it from files with other names
    if migration.sources:
        parts = {f.name: getattr(rehearsal, f.name) for f in fields(rehearsal)}
        own = {n: _placed(value, migration.sources, migration.path) for n, value in parts.items() if n not in _OTHERS}
        rehearsal = replace(rehearsal, **own)
    if migration.expect_sources or migration.sources:
        texts = {migration.path: migration.sources, migration.expect_path: migration.expect_sources}
        asked = tuple(_placed(e, texts.get(e.path, ()), e.path or migration.path) for e in rehearsal.expectations)
        rehearsal = replace(rehearsal, expectations=asked)
    return rehearsal


def with_way_back_told(rehearsal: Rehearsal, migration: Migration) -> Rehearsal:
    """The same for its way back, which is another text; before it is judged, as a rule that names its line names a file's."""
    down, path = rehearsal.down, migration.down_path or migration.path
    if down is None:
        return rehearsal
    error, again = (
        _placed(down.error, migration.down_sources, path),
        _placed(down.again_error, migration.sources, migration.path),
    )
    return replace(rehearsal, down=replace(down, error=error, again_error=again))


def _placed(value: _Value, sources: tuple[Source, ...], path: str) -> _Value:
    """A value, and what is in it, with the lines of files."""
    if not sources or value is None:
        return value
    if isinstance(value, tuple):
        return cast("_Value", tuple(_placed(item, sources, path) for item in value))
    if not is_dataclass(value) or isinstance(value, type):
        return value
    changed: dict[str, Any] = {}
    for field in fields(value):
        inner = getattr(value, field.name)
        if field.name == "line" and inner is not None:
            where, changed["line"] = place(sources, path, inner)
            if where != path:
                changed["path"] = where
        elif isinstance(inner, tuple) or is_dataclass(inner):
            changed[field.name] = _placed(inner, sources, path)
    return cast("_Value", replace(value, **changed))


def pointed(finding: Finding, migrations: Sequence[Migration]) -> Finding:
    """A finding with the place that it is put beside."""
    migration = next((m for m in migrations if finding.path in (m.path, m.expect_path)), None)
    if migration is None or finding.line is None:
        return finding
    if finding.path == migration.expect_path:
        path, line = place(migration.expect_sources, finding.path, finding.line)
        return replace(finding, path=path, line=line)
    if not migration.sources:
        return finding
    (path, line), (where, there) = own_place(migration, finding.line), place(migration.sources, migration.path, finding.line)
    inside = f" (in {name(f'{where}:{there}')})" if (where, there) != (path, line) else ""
    message = _OF_LINE.sub(lambda named: _named(migration, int(named[1]), path), finding.message)
    return replace(finding, path=path, line=line, message=message + inside)


def _named(migration: Migration, line: int, beside: str) -> str:
    path, there = place(migration.sources, migration.path, line)
    return f"line {there}" if path == beside else name(f"{path}:{there}")
