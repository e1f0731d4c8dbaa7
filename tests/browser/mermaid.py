"""Mermaid itself, in one file for a browser: fetched once with npm, kept outside the tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

VERSION = "12.3.0"
_INSIDE = "package/dist/mermaid.min.js"


class NotAtHand(Exception):  # noqa: N818  a reason to skip a test, no failure
    """Why there is no Mermaid here."""


def mermaid_script() -> Path:
    """The file. Raises NotAtHand."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "migration-rehearsal-tests")
    script = cache / f"mermaid-{VERSION}.min.js"
    if not script.exists():
        if not shutil.which("npm"):
            raise NotAtHand("there is no npm to fetch Mermaid with")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _fetch(Path(folder)).replace(script)  # at once: two test processes may fetch it
    return script


def _fetch(folder: Path) -> Path:
    command = ["npm", "pack", "--silent", f"mermaid@{VERSION}"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    packed = folder / f"mermaid-{VERSION}.tgz"
    if done.returncode != 0 or not packed.exists():
        raise NotAtHand(f"npm can't fetch Mermaid: {done.stderr[-200:]}")
    with tarfile.open(packed) as archive:
        archive.extract(_INSIDE, folder, filter="data")
    return folder / _INSIDE
