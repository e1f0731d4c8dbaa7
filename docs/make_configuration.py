"""Writes the table of docs/configuration.md, all that can be set, from the code: `python docs/make_configuration.py`.

A test holds the page equal to what this makes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.cli import _parser
from bot.configuration import KEYS
from bot.rules import RULES
from bot.settings import INPUTS, Input

PAGE = Path(__file__).with_name("configuration.md")
_BEGIN, _END = "<!-- made by docs/make_configuration.py -->\n", "<!-- until here -->\n"
_HEAD = ("name", "default", "input", "option", "`MIGRATION_REHEARSAL_…`", "in the file", "what", "values")
_PREFIX = "MIGRATION_REHEARSAL_"
_IN_THE_KEYS = {"rules"}  # told by their options


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that can be set, and where; an empty text: not there."""

    name: str
    default: str
    help: str
    values: str
    input: bool = False
    option: str = ""
    variable: str = ""
    key: str = ""

    def text(self) -> str:
        """As a line of the table."""
        places = ["yes" if self.input else "", *map(_code, (self.option, self.variable.removeprefix(_PREFIX), self.key))]
        cells = [_code(self.name), self.default, *places, self.help, self.values]
        return "".join("| " + cell.replace("|", "\\|") + " " for cell in cells) + "|\n"


def rows() -> Iterator[Row]:
    """Every input, every key of the team's file, and every option of `rehearse` that is neither."""
    yield from map(_of_input, INPUTS)
    for key in KEYS:
        if key.name not in _IN_THE_KEYS:
            yield Row(key.name, key.default, key.help, key.values, key=key.shown)
    for rule in RULES:
        for option in rule.options:
            name = f"{rule.id}.{option.name}"
            yield Row(name, option.shown_default, option.help, option.values, key=f"[rules.{rule.id}] {option.name}")
    flags = {one.flag for one in INPUTS}
    for action in options():
        if action.option_strings[0] not in flags:
            name = action.option_strings[0].removeprefix("--")
            shown = f"--{name} {action.metavar or ''}".strip()
            yield Row(name, "", _sentence(action.help or ""), "", option=shown)


def options() -> list[argparse.Action]:
    """The options of `rehearse`, but the one for help."""
    commands = _parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    rehearse: argparse.ArgumentParser = commands["rehearse"]  # type: ignore[index]
    return [action for action in rehearse._actions if action.option_strings and action.dest != "help"]


def _of_input(one: Input) -> Row:
    default = "the workflow's own" if "$" in one.default else one.default and f"`{one.default}`"
    key = one.name if one.key else ""
    return Row(one.name, default, one.help, one.values, True, one.flag or "", one.environment or "", key)


def table() -> str:
    """All of them."""
    return f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}\n" + "".join(row.text() for row in rows())


def page(text: str) -> str:
    """The page with the table as it must be, whatever it has in its place."""
    before, _begin, rest = text.partition(_BEGIN)
    _old, _end, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table()}\n{_END}{after}"


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
