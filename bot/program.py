"""The program itself: where its templates are, which program it is, and how it starts and ends quickly."""

from __future__ import annotations

import functools
import gc
import hashlib
import importlib
import threading
from contextlib import suppress
from pathlib import Path

_HERE = Path(__file__).parent


def templates_folder() -> Path:
    """Where the templates are: inside the package when it is installed, beside it in a checkout."""
    return next(path for path in (_HERE / "templates", _HERE.parent / "templates") if path.is_dir())


@functools.cache
def program_digest() -> str:
    """Names this very program: its version would not do, as `uses: …@main` changes without one."""
    digest = hashlib.sha256()
    files = {*_HERE.rglob("*.py"), *_HERE.rglob("*.sql"), *templates_folder().glob("*.j2")}
    for file in sorted(files, key=lambda path: (path.name, path)):
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def look_for_garbage_less_often() -> None:
    """Importing makes many objects and next to no garbage: to look through them as often as Python does is a tenth of a start."""
    gc.set_threshold(50_000)


def leave_no_garbage_to_look_for() -> None:
    """For the very end of a process: otherwise Python looks through all that was ever imported before it goes, for 0.08 s."""
    gc.disable()
    gc.freeze()


def import_ahead() -> None:
    """Starts to import what is needed when a migration has run, while we wait for a clone: a seventh of a second."""
    threading.Thread(target=_import_all, args=("sqlglot.dialects.postgres", "jinja2"), daemon=True).start()


def _import_all(*modules: str) -> None:
    for module in modules:
        with suppress(Exception):  # whoever needs it says so
            importlib.import_module(module)
