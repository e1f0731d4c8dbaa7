"""`.migration-rehearsal.toml` -> what a team has set for all its pull requests. Pure.

Its keys are names of inputs, and what `KEYS` tells. It is read from the base branch: what a pull request says of it holds when it
is merged. An input that is given in the workflow wins.
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
from bot.production import number_of_rows
from bot.sql import split
from bot.team import FILE, Expected, Settable, Sizes

OFF = "off"
_MOST_BYTES = 2**16
_SEVERITIES = (*(str(severity) for severity in Severity), OFF)


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the file that is no input. `shown` is how it is written, `values` what it takes: docs/configuration.md tells."""

    name: str
    shown: str
    help: str
    values: str
    default: str = ""


KEYS = (
    Key("ignored-paths", "ignored-paths", "Files that are nobody's migrations.", "a list of folders or globs"),
    Key(
        "severity",
        "[severity] <rule>",
        "How much the findings of a rule weigh, of `history-changed`, or of `bad-directive`.",
        ", ".join(f"`{severity}`" for severity in _SEVERITIES),
        "the [rule](rules/README.md)'s own",
    ),
    Key("rules", "[rules.<rule>] <option>", "Numbers of one rule.", "below, by rule"),
    Key(
        "large-tables",
        '[large-tables] "schema.table"',
        "A table that is large, or small, whatever the seed has of it; or how many rows production has of it.",
        "`true`, `false`, or a number of rows",
    ),
    Key(
        "expectations",
        '[expectations] "<in words>"',
        "What must be so after each migration.",
        "a query that must give no row, or a condition that must be true",
    ),
)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the file says: values of inputs by their names, severities by rule (None: off), options by rule, globs of paths to
    leave alone, and the rest.
    """

    inputs: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, Severity | None] = field(default_factory=dict)
    ignored_paths: tuple[str, ...] = ()
    options: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    sizes: Sizes = Sizes()  # noqa: RUF009  frozen
    expectations: tuple[Expected, ...] = ()


def read_configuration(
    content: bytes,
    inputs: Iterable[str],
    rules: Mapping[str, Settable],
    check: Callable[[str, str], None] = lambda _key, _value: None,
    *,
    file: str = FILE,
) -> Configuration:
    """Takes the file to a Configuration. `inputs`: names of those that may be set here; `rules`: by id, what may be set of each;
    `check` raises UsageError for a value that its input can't have.

    Raises UsageError with the line of a mistake and the nearest name that there is.
    """
    text = _text(content, file)
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # of a number of ten thousand digits, of lists in lists
        raise UsageError(
            f"{file} is no TOML: {str(error)[:200]}.", advice="Mend it; of a pull request it is read from the base branch."
        ) from None
    reading = _Reading(file, text.replace("\r\n", "\n").splitlines(keepends=True))
    others = {key.name for key in KEYS}
    values: dict[str, str] = {}
    for key, value in table.items():
        if key not in others.union(inputs):
            reading.refuse((key,), "is no setting", others.union(inputs))
        if key not in others:
            values[key] = _value(reading, key, value)
            try:
                check(key, values[key])
            except UsageError as error:
                reading.refuse((key,), f"is not understood. {error.what} {error.advice}".rstrip(" ."))
    return Configuration(
        values,
        _severities(reading, _table(reading, table, "severity"), rules),
        _strings(reading, "ignored-paths", table.get("ignored-paths", [])),
        _options(reading, _table(reading, table, "rules"), rules),
        _sizes(reading, _table(reading, table, "large-tables")),
        tuple(_expected(reading, name, value) for name, value in _table(reading, table, "expectations").items()),
    )


def _text(content: bytes, file: str) -> str:
    if len(content) > _MOST_BYTES:
        raise UsageError(f"{file} is larger than 64 kB.", advice="It holds a few settings: docs/configuration.md.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{file}:{line}: the file is not UTF-8.", advice="Save it as UTF-8.") from None


# ── Values ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _value(reading: _Reading, key: str, value: object) -> str:
    """A value as an input is written: a list is one a line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | str):
        return str(value)
    if isinstance(value, list):
        return "\n".join(_strings(reading, key, value))
    return reading.refuse((key,), "is neither a text, a number, true or false, nor a list of texts")


def _strings(reading: _Reading, key: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        reading.refuse((key,), "is no list of texts")
    return tuple(value)


def _table(reading: _Reading, table: Mapping[str, object], *path: str) -> Mapping[str, object]:
    found = table.get(path[-1], {})
    if not isinstance(found, dict):
        reading.refuse(path, f"is no table: write it as [{'.'.join(path)}], with a line for each of its keys")
    return found


def _severities(reading: _Reading, table: Mapping[str, object], rules: Mapping[str, Settable]) -> dict[str, Severity | None]:
    found: dict[str, Severity | None] = {}
    for rule, value in table.items():
        place = ("severity", rule)
        if rule not in rules:
            reading.refuse(place, "is no rule", rules)
        if value not in _SEVERITIES:
            reading.refuse(place, f"is {_shown(value)}, and not one of: {', '.join(_SEVERITIES)}")
        if not rules[rule].weakenable and value != Severity.ERROR:
            reading.refuse(place, "can't be less than an error: a migration that can't be run is no passed check")
        found[rule] = None if value == OFF else Severity(str(value))
    return found


def _options(reading: _Reading, table: Mapping[str, object], rules: Mapping[str, Settable]) -> dict[str, dict[str, float]]:
    having = {rule for rule, settable in rules.items() if settable.options}
    found: dict[str, dict[str, float]] = {}
    for rule in table:
        if rule not in having:
            reading.refuse(("rules", rule), "is a rule without options" if rule in rules else "is no rule", having)
        options = {option.name: option for option in rules[rule].options}
        for name, value in _table(reading, table, "rules", rule).items():
            place = ("rules", rule, name)
            if name not in options:
                reading.refuse(place, f"is no option of {rule}", options)
            if isinstance(value, bool) or not isinstance(value, int | float) or not options[name].takes(value):
                reading.refuse(place, f"is {_shown(value)}, and not {options[name].values}")
            found.setdefault(rule, {})[name] = float(value)
    return found


# All that is not ASCII is a letter; told by what it is not, as in bot/sql.py.
_PART = r'(?:[^\x00-^`{-\x7f][^\x00-#%-/:-^`{-\x7f]*|"(?:[^"]|"")+")'
_TABLE = re.compile(rf"{_PART}\.{_PART}")


def _sizes(reading: _Reading, table: Mapping[str, object]) -> Sizes:
    large: dict[str, bool] = {}
    rows: dict[str, int] = {}
    for name, value in table.items():
        place = ("large-tables", name)
        if not _TABLE.fullmatch(name):
            why = 'is no table with its schema, as PostgreSQL writes it: "public.orders" = true, \'public."Orders"\' = true'
            reading.refuse(place, why)
        if isinstance(value, bool):
            large[name] = value
        elif isinstance(value, int) and number_of_rows(str(value)) is not None:
            rows[name] = value
        else:
            reading.refuse(place, f"is {_shown(value)}, and neither true, false, nor a number of rows")
    return Sizes(large, rows)


_QUERIES = ("select", "with", "values", "table")


def _expected(reading: _Reading, name: str, value: object) -> Expected:
    """One text of SQL. What begins as a query does is one; all else is a condition."""
    place = ("expectations", name)
    if not name.strip() or not name.isprintable():
        reading.refuse(place, "is no name that a report can show: say in words what is expected")
    statements = split(value).statements if isinstance(value, str) else ()
    if len(statements) != 1:
        reading.refuse(
            place, 'is not one query or condition: "no total is missing" = "SELECT id FROM orders WHERE total IS NULL"'
        )
    sql, begins_so = statements[0].sql, statements[0].begins(*_QUERIES)
    is_query = begins_so and not sql.startswith("(")  # which begins `(SELECT …) = 0`
    return Expected(name, sql, is_query, reading.line(place), reading.file)


def _shown(value: object) -> str:
    try:
        return repr(value)[:40]
    except ValueError:  # a number of ten thousand digits
        return "a long number"


# ── Where it is ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Reading:
    """The file's lines, to find that of a key. Parsers of TOML do not tell: of the file's beginnings, the longest that can be
    read and does not have the key ends before it.
    """

    file: str
    lines: list[str]
    read: dict[int, Mapping[str, Any] | None] = field(default_factory=dict)

    def refuse(self, path: tuple[str, ...], why: str, names: Iterable[str] = ()) -> NoReturn:
        """Raises UsageError for the key that one comes to over these names."""
        near = difflib.get_close_matches(path[-1], list(names), n=1, cutoff=0.5)
        raise UsageError(
            f"{self.file}:{self.line(path)}: `{path[-1][:80]}` {why}.",
            advice=(f"Did you mean `{near[0]}`? " if near else "") + "docs/configuration.md has all of them.",
        )

    def line(self, path: tuple[str, ...]) -> int:
        """Where a key is set, as a number counted from 1: the first line of what sets it, whatever lines its value has."""
        before, after = 0, len(self.lines)  # it is not set in so many lines, and is in as many
        while after - before > 1:
            middle = (before + after) // 2
            whole = next((n for n in range(middle, after) if self._up_to(n) is not None), None)
            if whole is None or _is_in(self._up_to(whole), path):
                after = middle
            else:
                before = whole
        return before + 1

    def _up_to(self, line: int) -> Mapping[str, Any] | None:
        """What the first lines say; None where they end inside of a value."""
        if line not in self.read:
            try:
                self.read[line] = tomllib.loads("".join(self.lines[:line]))
            except ValueError:
                self.read[line] = None
        return self.read[line]


def _is_in(table: object, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(table, dict) or name not in table:
            return False
        table = table[name]
    return True
