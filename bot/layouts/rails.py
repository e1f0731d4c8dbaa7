"""Rails: `db/migrate/{stamp}_{name}.rb`. Ruby programs, whose SQL nobody knows before they run: refused.

`db/structure.sql` and `db/schema.rb` are what the tool writes after a migration, and no migrations.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from bot.layouts.base import HistoryTable, Layout, Name, Part, single

_FILE = re.compile(r"(?P<version>[0-9]{1,255})_[a-z0-9_]+(?:\.[a-z0-9_]+)?\.rb")
_FOLDER = re.compile(r"(?:[a-z0-9_]+_)?migrate")


def _parse(path: PurePosixPath) -> Name | None:
    found = _FILE.fullmatch(path.name)
    if not found or not _FOLDER.fullmatch(path.parent.name):
        return None
    number = int(found["version"])
    return Name(found["version"], (number, path.name), Part.CODE, key=number)


def _evidence(path: PurePosixPath, _text: str) -> str | None:
    return f"{path.name} is a Ruby program in a folder named {path.parent.name}" if _parse(path) else None


RAILS = Layout(
    name="rails",
    tool="Rails",
    example="db/migrate/20240131120000_name.rb",
    parse=_parse,
    evidence=_evidence,
    transaction=single,
    history=HistoryTable("schema_migrations", "version"),
    refused=(
        "It is a Ruby program: which SQL it sends is known only when it runs, with the application around it.",
        "Where the application is installed: migration-rehearsal rehearse --command 'bin/rails db:migrate' (docs/command.md). Or "
        "rehearse the SQL that it sends, from a file: migration-rehearsal rehearse FILE.sql. To leave these files out, name the "
        "folders that hold SQL in `migrations`.",
    ),
)
