"""The program's own files: where the templates are, and which program this is."""

from __future__ import annotations

import functools
import hashlib
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
