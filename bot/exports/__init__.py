"""A report in the formats that other programs read, one file each. Pure: a report in, a text out."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath

from bot.errors import UsageError
from bot.exports.code_quality import code_quality
from bot.exports.junit import junit
from bot.exports.page import page
from bot.exports.sarif import sarif
from bot.model import Report, Template
from bot.own_template import comment
from bot.report import text, to_json


@dataclass(frozen=True, slots=True)
class Look:
    """How a report is shown: with values of rows, by a team's template, in colour and so many characters wide on a terminal."""

    show_row_data: bool = False
    template: Template | None = None
    color: bool = False
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Format:
    """A format; `endings` of file names mean it."""

    name: str
    endings: tuple[str, ...]
    write: Callable[[Report, Look], str]


def _text(report: Report, look: Look) -> str:
    return text(report, show_row_data=look.show_row_data, color=look.color, width=look.width)


FORMATS = (
    Format("text", (".txt",), _text),
    Format("markdown", (".md",), lambda report, look: comment(report, look.template).text),
    Format("json", (".json",), lambda report, look: to_json(report, show_row_data=look.show_row_data)),
    Format("sarif", (".sarif", ".sarif.json"), lambda report, _look: sarif(report)),
    Format("junit", (".xml",), lambda report, _look: junit(report)),
    Format("code-quality", (".codequality.json", "gl-code-quality-report.json"), lambda report, _look: code_quality(report)),
    Format("html", (".html",), lambda report, _look: page(report)),
)


def named(name: str) -> Format:
    """The format of that name. Raises UsageError with the nearest name there is."""
    for one in FORMATS:
        if one.name == name:
            return one
    names = [one.name for one in FORMATS]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    raise UsageError(
        f"There is no format named {name!r}.",
        advice=(f"Did you mean {near[0]!r}? " if near else "") + f"Choose one of: {', '.join(names)}.",
    )


def for_file(target: str, default: str) -> tuple[Format, str]:
    """The format of a file to write, and its path: as `format=path` says, or else as the longest ending does that is known."""
    word, equals, path = target.partition("=")
    if equals and word in {one.name for one in FORMATS}:
        return named(word), path
    lower = PurePath(target).name.lower()
    fits = [(len(ending), one) for one in FORMATS for ending in one.endings if lower.endswith(ending)]
    return (max(fits, key=lambda fit: fit[0])[1] if fits else named(default)), target
