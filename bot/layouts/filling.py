"""What tools put into the place of names in a file, before anything of it is sent. Pure.

Values are given, never taken from this program's environment, and no message holds one: they may be secrets. None holds a line
break, so lines stay where they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from bot.sql import unquoted


@dataclass(frozen=True, slots=True)
class Filling:
    """What is put into a file: values by their names; `settings`: the comment that the settings beside the file gave."""

    values: Mapping[str, str]
    path: PurePosixPath
    settings: str = ""


class Unfilled(Exception):  # noqa: N818  what a file lacks, told with its place by whoever knows it
    """A placeholder that can't be filled in: as it stands at the offset `at`; the `name` to give a value for, if that helps."""

    def __init__(self, shown: str, at: int, name: str | None = None, why: str = "") -> None:
        self.shown, self.at, self.name, self.why = shown, at, name, why
        super().__init__(shown)


Fill = Callable[[str, Filling], str]
_BRACED = re.compile(r"\$\{(?P<dollar>[^{}\s]+)\}|\{\{[ \t]*(?P<braces>[^{}\s]+)[ \t]*\}\}")
# As the package reads a line that goose has interpolated; a number after the dollar is a parameter.
_ENVSUB = re.compile(r"\$\{(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:-|-|\?)(?P<other>[^}]*))?\}|\$(?P<bare>[A-Za-z_]\w*)", re.ASCII)
_SWITCH = re.compile(r"--\s*\+goose\s+envsub\s+(?P<way>on|off)\s*$", re.IGNORECASE)
_TEMPLATE = re.compile(r"\{\{[^{}\n]*\}\}")
_PARAMETER = re.compile(r"\{\{[ \t]*(?P<checked>identifier[ \t]+)?\.Parameters\.(?P<name>\w+)[ \t]*\}\}", re.ASCII)
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
AS_IT_IS = "/* placeholderReplacement=false */ "


def braced(text: str, filling: Filling) -> str:
    """For a tool that has no placeholders of its own, or only after something else has put values in: `${name}` and `{{name}}`,
    wherever they stand. Raises Unfilled.
    """
    values = filling.values
    if "${" not in text and "{{" not in text:
        return text
    return refuse_braced(_BRACED.sub(lambda found: values.get(found["dollar"] or found["braces"], found[0]), text))


def refuse_braced(text: str) -> str:
    """The text, if it has no placeholder where no server could read one: outside of quotes. Raises Unfilled."""
    found = _BRACED.finditer(text)
    one = next(found, None)
    for begin, end in unquoted(text) if one else ():
        while one and one.start() < begin:
            one = next(found, None)
        if one is None:
            break
        if one.start() < end:
            raise Unfilled(one[0], one.start(), one["dollar"] or one["braces"])
    return text


def flyway(text: str, filling: Filling) -> str:
    """`${name}` everywhere, also in comments and quotes, in large or small letters; some that Flyway knows itself (Placeholders
    in its manual). What depends on the connection or the clock has to be given. Raises Unfilled.
    """
    if filling.settings.startswith(AS_IT_IS) or "${" not in text:
        return refuse_braced(text)
    known = {"flyway:defaultschema": "public", "flyway:table": "flyway_schema_history", "flyway:filename": filling.path.name}
    known |= {name.lower(): value for name, value in filling.values.items()}

    def value(found: re.Match[str]) -> str:
        if found["name"].lower() not in known:
            raise Unfilled(found[0], found.start(), found["name"])
        return known[found["name"].lower()]

    return refuse_braced(re.sub(r"\$\{(?P<name>[^{}]*)\}", value, text))


def goose(text: str, filling: Filling) -> str:
    """`$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}` and `${NAME?message}` on the lines between `-- +goose ENVSUB ON`
    and `OFF` (Environment variable substitution in its README). Raises Unfilled.
    """
    if not re.search("envsub", text, re.IGNORECASE):
        return refuse_braced(text)
    lines, on, at = [], False, 0
    for line in text.split("\n"):
        if switch := _SWITCH.match(line):
            on = switch["way"].lower() == "on"
        begin = at
        lines.append(_ENVSUB.sub(lambda found: _of_environment(found, filling.values, begin), line) if on else line)  # noqa: B023
        at += len(line) + 1
    return refuse_braced("\n".join(lines))


def _of_environment(found: re.Match[str], values: Mapping[str, str], begin: int) -> str:
    name = found["name"] or found["bare"]
    value = values.get(name)
    if value is None and found["operator"] in (None, "?"):
        why = "goose would put nothing in its place, or whatever its environment has."
        raise Unfilled(found[0], begin + found.start(), name, why)
    if value is None or (not value and found["operator"] == ":-"):
        return found["other"] or ""
    return value


def popx(text: str, filling: Filling) -> str:
    """`{{ .Parameters.name }}` and `{{ identifier .Parameters.name }}` of Go's templates (popx/migration_content.go); what else a
    template can do is not done here. Raises Unfilled.
    """

    def value(found: re.Match[str]) -> str:
        parameter = _PARAMETER.fullmatch(found[0])
        if parameter is None:
            why = "It is Go's, and only {{ .Parameters.name }} can be filled in here."
            raise Unfilled(found[0], found.start(), None, why)
        given = filling.values.get(parameter["name"])
        if given is None:
            raise Unfilled(found[0], found.start(), parameter["name"])
        if parameter["checked"] and not _IDENTIFIER.fullmatch(given):
            why = "The value that is given is no identifier, and popx refuses it."
            raise Unfilled(found[0], found.start(), parameter["name"], why)
        return given

    return refuse_braced(_TEMPLATE.sub(value, text))
