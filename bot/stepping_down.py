"""Root no longer than we are made to be: GitHub's runner starts a container as root, with the engine's socket in it.

Called before anything else is imported or read, so nothing here may import another room.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path

ENGINE_SOCKET = Path("/var/run/docker.sock")
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38


def step_down(folder: str, environment: MutableMapping[str, str]) -> None:
    """Becomes the owner of a folder, for good, where we are root and the owner is not: what we write there is then its owner's,
    and the server is started by somebody who is not root. Root's own folder leaves us root.

    Raises OSError.
    """
    if os.geteuid() != 0:
        return
    owner = _owner(folder)
    if owner is None or owner.st_uid == 0:
        return
    os.setgroups([])
    os.setgid(_group(owner))
    os.setuid(owner.st_uid)
    if not os.access(environment.get("HOME", ""), os.W_OK | os.X_OK):
        environment["HOME"] = tempfile.gettempdir()  # root's home, of which the owner may read nothing


def keep_to_ourselves() -> None:
    """Lets nobody of the same account, as the server is, read our environment and memory, which hold the token; and takes the
    chance to become root from every program that we start. It can't be taken back, and a debugger has no hold on such a process:
    it is for the container's entry, not for the command line on somebody's machine.

    Raises OSError.
    """
    if sys.platform != "linux":
        return
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        if prctl(option, value, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), f"prctl({option}, {value}) was refused")


def _owner(path: str) -> os.stat_result | None:
    """None for what is not there: for a folder this is said later, when something is looked for in it."""
    try:
        return Path(path).stat()
    except OSError:
        return None


def _group(owner: os.stat_result) -> int:
    """The folder's group, unless its members are let to the engine, which would make root of us again."""
    groups = {0}
    if socket := _owner(str(ENGINE_SOCKET)):
        groups.add(socket.st_gid)
    return owner.st_uid if owner.st_gid in groups else owner.st_gid
