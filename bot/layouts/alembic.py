"""Alembic: `versions/{revision}_{name}.py` beside `env.py`. Python programs, which only the tool can run: see docs/command.md.

Which revision follows which is said in the files (`down_revision`), not by their names.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, grandparent, single


def _parse(path: PurePosixPath) -> Name | None:
    if path.suffix != ".py" or path.name == "__init__.py" or path.parent.name != "versions":
        return None
    return Name(path.stem.partition("_")[0], (path.name,), Part.CODE)


ALEMBIC = Layout(
    name="alembic",
    tool="Alembic",
    example="versions/0123abcd_name.py",
    parse=_parse,
    evidence=lambda _path, _text: None,
    transaction=single,
    root=grandparent,
    marks=("script.py.mako", "env.py"),
    history=HistoryTable("alembic_version", "version_num"),
    refused=(
        "It is a Python program: which SQL it sends is known only when Alembic runs it.",
        "Where Alembic is installed: migration-rehearsal rehearse --command 'alembic upgrade head'. A workflow for that is in "
        "docs/command.md; to leave these files out, name the folders that hold SQL in `migrations`.",
    ),
)
