"""Who holds a lease: a process, told apart from every other, and whether it is still there.

A lease runs out by itself. On one machine nobody needs to wait for that: a process that was killed can be seen to be gone.
"""

from __future__ import annotations

import json
import os
import socket
import uuid
from pathlib import Path


def this_process() -> str:
    """A name for this process, to be stored as the holder of leases; unique for each call."""
    return json.dumps(
        {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "machine": _machine(),
            "started": _started(os.getpid()),
            "id": uuid.uuid4().hex,
        }
    )


def shown(holder: str) -> str:
    """A holder in a message."""
    said = _read(holder)
    return f"process {said.get('pid', '?')} on {said.get('host', '?')}"


def is_gone(holder: str) -> bool:
    """Whether a holder was a process of this machine and is none any more; False where that can't be seen."""
    said = _read(holder)
    machine, pid, started = said.get("machine"), said.get("pid"), said.get("started")
    if not machine or machine != _machine() or not isinstance(pid, int) or not started:
        return False
    return _started(pid) != started and not _is_somebody_elses(pid)


def _is_somebody_elses(pid: int) -> bool:
    """Whether there is a process that we may not look at (/proc can be mounted with hidepid)."""
    if Path(f"/proc/{pid}").exists():
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(holder: str) -> dict[str, object]:
    try:
        said = json.loads(holder)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _machine() -> str | None:
    """Names this boot of the machine, and the space where a process number means something; None where Linux does not tell."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115  it points at no file
    except OSError:
        return None


def _started(pid: int) -> str | None:
    """When a process began, in ticks since the boot (proc(5), /proc/pid/stat field 22); None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
