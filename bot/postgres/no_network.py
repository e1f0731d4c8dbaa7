"""Takes a program's network away before it starts: a filter in the kernel lets it open no sockets but those that are files of
this machine (seccomp(2)). Anybody may do that to himself, in a container as well, and it can't be taken back.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import socket
import struct
import subprocess
import sys
from collections.abc import Callable

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _REFUSE, _KILL = 0x7FFF0000, 0x00050000 | 13, 0x80000000  # 13: EACCES
# machine -> what the kernel calls it (AUDIT_ARCH_*), and its number of the call socket(2)
_MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}
_X32 = 0x40000000  # numbers from here on are another way to make the same calls on x86-64
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # instructions of a packet filter (linux/filter.h)
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # where these are in struct seccomp_data


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _instructions(architecture: int, number: int) -> bytes:
    """Each: what, how many to skip if so, how many if not, and a value."""
    program = (
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 3, 0, _X32),
        (_EQUAL, 0, 3, number),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_EQUAL, 1, 0, socket.AF_UNIX),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in program)


@functools.cache
def without_network() -> Callable[[], None] | None:
    """What a new process is to call before it starts a program, whose network is then gone; None where that can't be done."""
    machine = _MACHINES.get(platform.machine()) if sys.platform == "linux" and sys.maxsize > 2**32 else None
    if machine is None:
        return None
    code = _instructions(*machine)
    program, prctl = _Program(len(code) // 8, code), ctypes.CDLL(None).prctl
    nothing = ctypes.c_ulong(0)  # a plain 0 would be an int, and leave half of the argument to chance

    def leave() -> None:
        done = prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), nothing, nothing, nothing) == 0
        if not done or prctl(_PR_SET_SECCOMP, ctypes.c_ulong(_FILTER), ctypes.byref(program), nothing, nothing) != 0:
            raise OSError("the kernel has no such filter")

    try:
        subprocess.run(["true"], preexec_fn=leave, check=True)  # between fork and exec it makes two calls, and no more
    except (OSError, subprocess.SubprocessError):
        return None
    return leave
