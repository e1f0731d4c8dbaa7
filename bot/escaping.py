"""Foreign text -> Markdown in which it is text: no mention, link, tag, or end of a table's cell is born from a name. Pure."""

from __future__ import annotations

import re

from bot.words import visible

_MARKDOWN = re.compile(r"[\\`*_\[\]<>~|$&#!^]|:(?=[\w/+-])|(?<=www)\.|^ ?\d*[-+=.)]")
# What GitHub makes links and signs of: a mention, an address, an issue (`#12`, `GH-12`), an emoji (`:tada:`, not `03:10:00`).
_POINTS_AT = re.compile(r"(@|#(?=\w|$)|\bgh-(?=\d)|:(?=[\w+-]{1,60}:)(?!(?!100:|1234:)\d+:))", re.IGNORECASE)


def code(value: object) -> str:
    """A code span: nothing in it is Markdown, HTML or a mention."""
    shown = re.sub(r"\s+", " ", visible(value)).strip() or " "
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    edge = "`" * (longest + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{edge}{pad}{shown}{pad}{edge}"


def cell(value: object) -> str:
    """A code span inside a table, where a pipe would end the cell."""
    return code(value).replace("\\|", "\\ |").replace("|", "\\|")


def escape_markdown(value: object) -> str:
    """Text with its Markdown taken away; no mention, issue link or URL is born from it."""
    shown = re.sub(r"\s+", " ", visible(value))
    # GitHub looks for these when Markdown is done and backslashes are gone: only a character between keeps it from finding
    # one; this one, a word joiner, can't be seen.
    joined = _POINTS_AT.sub("\\1\u2060", shown)
    return _MARKDOWN.sub(lambda found: found[0][:-1] + "\\" + found[0][-1], joined)


def message(value: object) -> str:
    """A finding's message: what stands between backticks is a name and becomes a code span, the rest is escaped."""
    parts = str(value).split("`")
    if len(parts) % 2 == 0:
        return escape_markdown(value)
    return "".join(code(part) if n % 2 else escape_markdown(part) for n, part in enumerate(parts))


def fence(value: object, language: str = "sql") -> str:
    """A fenced block with a fence longer than any run of backticks in it."""
    shown = visible(value)
    edge = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", shown)), default=0))
    return f"{edge}{language}\n{shown}\n{edge}"


def nowrap(value: object) -> str:
    """A number and its unit stay on one line. What a filter has made Markdown is not escaped again."""
    shown = str(value) if hasattr(value, "__html__") else escape_markdown(value)
    return shown.replace(" ", "\u00a0")
