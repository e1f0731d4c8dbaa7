"""Folders that are gone when we are, however we went.

A small shell holds the folder: when we let go of its standard input, by closing it or by dying in whatever way, it stops the
program it was given, if any, and removes the folder. What lies in such a folder is production's data.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

# $0: the folder, $1: the memory in kB that one process may have, $2: the signal that stops the program, the rest: its command
# line. `cat` ends when our end of its standard input closes. When memory runs out, the system is to end this program, and not the
# one that reports it.
# A shell starts what is in the background with INT and QUIT ignored, and until the program has handlers of its own they are lost:
# TERM ends it then, and a PostgreSQL that is up follows the more urgent one that comes after it.
# Who holds nothing but a folder may have to remove it while a server in it, which another one holds, still ends.
_HOLDER = """
folder=$0
[ -z "$1" ] || ulimit -v "$1"
stop=$2
shift 2
echo 900 >/proc/self/oom_score_adj
if [ $# -gt 0 ]; then "$@" >"$folder/log" 2>&1 & program=$!; fi
cat >/dev/null
if [ -n "$program" ]; then kill -TERM $program 2>/dev/null; kill -"$stop" $program 2>/dev/null; wait $program; fi
cd /
rm -rf "$folder" 2>/dev/null
[ -n "$program" ] || for more in 1 2 3 4 5 6 7 8 9 10; do
  [ -e "$folder" ] || break
  sleep 0.5
  rm -rf "$folder" 2>/dev/null
done
"""


def make_folder(prefix: str) -> Path:
    """A new folder of ours in the system's place for temporary files; in /tmp where that one's name is too long for a socket,
    whose path may have 107 bytes, or holds a comma, which PostgreSQL takes for the end of a folder's name.
    """
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix=prefix, dir="/tmp" if len(usual) > 60 or "," in usual else usual))  # noqa: S108


@contextmanager
def held(
    folder: Path,
    command: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    *,
    most_kb: int | None = None,
    stop: Literal["INT", "QUIT"] = "INT",
) -> Iterator[subprocess.Popen[bytes]]:
    """Holds a folder, and a program that runs in the background and writes to `<folder>/log`; at the end of the block, or of
    this process, the program gets the signal `stop` and is waited for, and the folder removed. `options` are for the holder's
    Popen; no process of it may have more memory than `most_kb`.
    """
    holder: subprocess.Popen[bytes] = subprocess.Popen(
        ["/bin/sh", "-c", _HOLDER, str(folder), str(most_kb or ""), stop, *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # a Ctrl-C in our terminal is ours; the program is stopped in order
        **(options or {}),
    )
    try:
        yield holder
    finally:
        assert holder.stdin is not None  # noqa: S101  it was made with a pipe
        holder.stdin.close()
        holder.wait()
        shutil.rmtree(folder, ignore_errors=True)  # the holder could not remove it from a folder it may not write


@contextmanager
def held_folder(prefix: str) -> Iterator[Path]:
    """A new folder of ours, held as long as the block."""
    folder = make_folder(prefix)
    with held(folder, options={"env": {"PATH": os.defpath}}):  # with nothing of ours, which the server's account could read
        yield folder
