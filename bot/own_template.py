"""A team's own template for the comment: rendered apart, within limits, and by ours where it can't be.

It extends `comment.md.j2`, whose blocks it replaces or adds to, or stands alone. It comes from the base branch, but a loop in it
must not hang a required check, and it must not get at anything: a process of its own renders it, in Jinja's sandbox, with an
empty environment, a limit of time and one of memory.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from bot import report as rendering
from bot.model import Report, Template
from bot.plain import from_plain, to_plain
from bot.words import one_line

MOST_BYTES = 2**18
_LIMIT_S = 10
_MEMORY_BYTES = 2**30
_LONGEST_REASON = 300  # characters


@dataclass(frozen=True, slots=True)
class Made:
    """A text, and in a sentence why the team's template did not make it; empty if it did, or if there is none."""

    text: str
    problem: str = ""


def template_of(name: str, read: Callable[[str], bytes | None]) -> Template:
    """Takes a path to the template there; `read` gives None where there is none. What is wrong with it is no error: the comment
    is ours then, and says why.
    """
    content = read(name)
    if content is None:
        return Template(name, None, "there is no such file (of a pull request, on the base branch)")
    if len(content) > MOST_BYTES:
        return Template(name, None, f"it is larger than {MOST_BYTES >> 10} kB")
    try:
        return Template(name, content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Template(name, None, "it is not UTF-8")


def comment(report: Report, template: Template | None) -> Made:
    """The comment as the team's template makes it; ours, which says why, if it can't."""
    return _made("comment", report, template)


def summary(report: Report, template: Template | None) -> Made:
    """The step summary, likewise."""
    return _made("summary", report, template)


@dataclass(frozen=True, slots=True)
class _Broken:
    reason: str


def _made(kind: Literal["comment", "summary"], report: Report, template: Template | None) -> Made:
    ours = rendering.comment if kind == "comment" else rendering.summary
    if template is None or template == Template(template.name):
        return Made(ours(report))
    made = _apart(kind, report, template)
    if isinstance(made, str):
        return Made(made)
    problem = f"The template {one_line(template.name)} was not used: {made.reason.rstrip('.')}."
    return Made(ours(replace(report, notes=(*report.notes, problem))), problem)


def _apart(kind: str, report: Report, template: Template) -> str | _Broken:
    """What the template makes of a report, in a process of its own."""
    if template.text is None:
        return _Broken(template.problem)
    asked = json.dumps({"kind": kind, "own": template.text, "report": to_plain(report)})
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _CHILD, *sys.path],
            input=asked.encode(),
            capture_output=True,
            check=False,
            timeout=_LIMIT_S,
            env={},
        )
    except subprocess.TimeoutExpired:
        return _Broken(f"it takes longer than {_LIMIT_S} s")
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        return _Broken("it ends the process that renders it, or needs too much memory")
    return str(answer["made"]) if "made" in answer else _Broken(str(answer["broken"]))


# An isolated interpreter takes no path from its environment or folder: it is given ours.
_CHILD = "import sys; sys.path[:] = sys.argv[1:]; from bot.own_template import render_asked; render_asked()"


def render_asked() -> None:
    """The process of its own: a question on standard input, the answer on standard output."""
    with suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_LIMIT_S, _LIMIT_S))
    asked = json.load(sys.stdin.buffer)
    json.dump(_answer(asked), sys.stdout)


def _answer(asked: dict[str, Any]) -> dict[str, str]:
    make = rendering.comment if asked["kind"] == "comment" else rendering.summary
    try:
        return {"made": make(from_plain(Report, asked["report"]), asked["own"])}
    except MemoryError:
        return {"broken": "it needs too much memory"}
    except RecursionError:
        return {"broken": "it calls itself without an end"}
    except Exception as error:  # noqa: BLE001  a template can raise whatever Python can
        return {"broken": _reason(error)}


def _reason(error: Exception) -> str:
    """What is wrong and in which line, as Jinja says it."""
    from jinja2 import TemplateError, TemplateNotFound  # noqa: PLC0415

    if isinstance(error, TemplateNotFound):
        return one_line(f"there is no template {error.name!r}; ours is {rendering.OURS!r}")[:_LONGEST_REASON]
    line = getattr(error, "lineno", None)
    trace = error.__traceback__
    while trace:  # an error when it runs has its line in the frame of the template
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f"line {line}: " if line else ""
    said = error.message if isinstance(error, TemplateError) else str(error)
    return one_line(f"{where}{said or type(error).__name__}")[:_LONGEST_REASON]
