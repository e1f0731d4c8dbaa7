"""`.migration-rehearsal.toml` -> what a team has set for all its pull requests. Pure.

Its keys are names of inputs, a table of severities, and paths that are left alone. It is read from the base branch: what a pull
request says of it holds when it is merged. An input that is given in the workflow wins.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from bot.errors import UsageError
from bot.model import Severity

FILE = ".migration-rehearsal.toml"
OFF = "off"
_MOST_BYTES = 2**20
_SEVERITIES = (*(str(severity) for severity in Severity), OFF)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the file says: values of inputs by their names, severities by rule (None: off), globs of paths to leave alone."""

    inputs: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, Severity | None] = field(default_factory=dict)
    ignored_paths: tuple[str, ...] = ()


def read_configuration(
    content: bytes,
    inputs: Iterable[str],
    rules: Mapping[str, bool],
    check: Callable[[str, str], None] = lambda _key, _value: None,
) -> Configuration:
    """Takes the file to a Configuration. `inputs`: names of those that may be set here; `rules`: their ids, and whether a finding
    of theirs may be made less than an error; `check` raises UsageError for a value that its input can't have.

    Raises UsageError with the line of a mistake and the nearest name that there is.
    """
    text = _text(content)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of a number of ten thousand digits, of lists in lists
        raise UsageError(
            f"{FILE} is no TOML: {str(error)[:200]}.", advice="Mend it on the base branch, from which it is read."
        ) from None
    reading = _Reading(text)
    known = {*inputs, "severity", "ignored-paths"}
    values: dict[str, str] = {}
    for key, value in table.items():
        if key not in known:
            reading.refuse(key, "is no setting", known)
        if key not in ("severity", "ignored-paths"):
            values[key] = _value(reading, key, value)
            try:
                check(key, values[key])
            except UsageError as error:
                reading.refuse(key, f"is not understood. {error.what} {error.advice}".strip())
    return Configuration(
        values,
        _severities(reading, table.get("severity", {}), rules),
        _strings(reading, "ignored-paths", table.get("ignored-paths", [])),
    )


def _text(content: bytes) -> str:
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{FILE} is larger than a megabyte.", advice="It holds a few settings: docs/configuration.md.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{FILE}:{line}: the file is not UTF-8.", advice="Save it as UTF-8.") from None


def _value(reading: _Reading, key: str, value: object) -> str:
    """A value as an input is written: a list is one a line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return str(value)
    if isinstance(value, list):
        return "\n".join(_strings(reading, key, value))
    return reading.refuse(key, "is neither a text, a number, true or false, nor a list of texts")


def _strings(reading: _Reading, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        reading.refuse(key, "is no list of texts")
    return tuple(value)


def _severities(reading: _Reading, table: object, rules: Mapping[str, bool]) -> dict[str, Severity | None]:
    if not isinstance(table, dict):
        reading.refuse("severity", "is no table: write it as [severity], with a line for each rule")
    found: dict[str, Severity | None] = {}
    for rule, value in table.items():
        if rule not in rules:
            reading.refuse(rule, "is no rule", rules)
        if value not in _SEVERITIES:
            reading.refuse(rule, f"is {str(value)[:40]!r}, and not one of: {', '.join(_SEVERITIES)}")
        if not rules[rule] and value != Severity.ERROR:
            reading.refuse(rule, "can't be less than an error: a migration that can't be run is no passed check")
        found[rule] = None if value == OFF else Severity(value)
    return found


@dataclass(frozen=True, slots=True)
class _Reading:
    """The file's text, to find the line of a key that was refused."""

    text: str

    def refuse(self, key: str, why: str, names: Iterable[str] = ()) -> NoReturn:
        near = difflib.get_close_matches(key, list(names), n=1, cutoff=0.5)
        raise UsageError(
            f"{FILE}:{self._line(key)}: `{key[:80]}` {why}.",
            advice=(f"Did you mean `{near[0]}`? " if near else "") + "docs/configuration.md has all of them.",
        )

    def _line(self, key: str) -> int:
        """Where a key is set. Parsers of TOML do not tell."""
        quoted: Any = re.escape(key)
        found = re.search(rf"""^\s*(?:\[\s*)?["']?{quoted}["']?\s*(?:=|\]|\.)""", self.text, re.MULTILINE)
        return self.text.count("\n", 0, found.end()) + 1 if found else 1
