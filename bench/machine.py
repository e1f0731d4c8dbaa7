"""What the numbers were measured on: nothing that names the machine."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from pathlib import Path

import psycopg

from bot import __version__
from bot.journal.place import Place
from bot.postgres.binaries import Needs, choose
from bot.program import program_digest

_SETTINGS = ("fsync", "synchronous_commit", "wal_sync_method", "full_page_writes")


def machine_facts(postgres_bin: str | None) -> dict[str, str]:
    """The program, and the machine that runs it."""
    binaries = choose(Needs(), postgres_bin)
    return {
        "migration-rehearsal": f"{__version__} ({program_digest()[:12]})",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "embedded PostgreSQL": f"{binaries.version} ({binaries.origin})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": str(cores()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB",
        "file system": file_system(Path(tempfile.gettempdir())),
        "load before": load(),
    }


def server_facts(connection: psycopg.Connection) -> dict[str, str]:
    """What decides how long a journal's server takes to commit."""
    facts = {"PostgreSQL": str(connection.info.parameter_status("server_version"))}
    for name in _SETTINGS:
        row = connection.execute(f"SHOW {name}".encode()).fetchone()
        facts[name] = str(row[0]) if row else "?"
    return facts


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> str:
    """How many processes wanted to run, over the last minute."""
    return f"{os.getloadavg()[0]:.2f}"


def file_system(folder: Path) -> str:
    """The type of the file system that a folder is on, where the system tells."""
    try:
        lines = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return "unknown"
    where = folder.resolve()
    mounts = [(Path(fields[1]), fields[2], fields[0]) for fields in map(str.split, lines)]
    found = [(len(point.parts), n, kind, device) for n, (point, kind, device) in enumerate(mounts) if where.is_relative_to(point)]
    _depth, _n, kind, device = max(found, default=(0, 0, "unknown", ""))
    if kind in ("tmpfs", "ramfs"):
        return f"{kind}: fsync costs nothing there, set TMPDIR to a folder on a disk"
    # Without one it keeps the inodes of removed files for minutes, and looks through them for each file that is made
    # (fs/ext4/ialloc.c, recently_deleted): a clone of a thousand files takes up to ten times as long.
    task = Path("/sys/fs/ext4", Path(device).name, "journal_task")
    if kind == "ext4" and task.exists() and task.read_text().strip() == "<none>":
        return f"{kind} without a journal: slow after many files were removed, set TMPDIR to a folder on another one"
    return kind


def shown_place(place: Place) -> str:
    """A journal's place in a title."""
    return "the server of --journal-url" if place.url else "an embedded server, its folder kept"


def _processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.processor() or "unknown"
