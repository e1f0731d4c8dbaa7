"""Django: `{app}/migrations/{number}_{name}.py`. Python programs, which only the tool can run: see docs/command.md.

Which migration follows which is said in the files (`dependencies`); the number is for people.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, single

_FILE = re.compile(r"(?P<version>[0-9]{4,255})_\w+\.py")


def _parse(path: PurePosixPath) -> Name | None:
    found = _FILE.fullmatch(path.name) if path.parent.name == "migrations" else None
    return Name(path.stem, (int(found["version"]), path.name), Part.CODE) if found else None


DJANGO = Layout(
    name="django",
    tool="Django",
    example="app/migrations/0001_name.py",
    parse=_parse,
    evidence=lambda _path, _text: None,
    transaction=single,
    marks=("__init__.py",),
    marks_above=("manage.py",),
    history=HistoryTable("django_migrations", "name"),
    refused=(
        "It is a Python program: which SQL it sends is known only when Django runs it.",
        "Where the application is installed: migration-rehearsal rehearse --command 'python manage.py migrate'. A workflow for "
        "that is in docs/command.md; to leave these files out, name the folders that hold SQL in `migrations`.",
    ),
)
