"""Starts a command in a network of its own, where there is nothing but one address, on which whoever started this listens.

A migration tool whose settings name another database would migrate that one, and production is next door. This file is run as a
program, with Python's own library alone: in the child of a program with threads, no more than a start is safe. It sends the
socket, already listening, to the parent, reads the environment from it, and becomes the command (unshare(2), namespaces(7)).
Whatever becomes of the parent, nothing of the command outlives it: a second process waits for that.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import signal
import socket
import struct
import sys

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP


def leave_network() -> bool:
    """Puts this process into an empty network; whether that was done. What can't be undone half way is done last."""
    if sys.platform != "linux":
        return False
    unshare, uid, gid = ctypes.CDLL(None).unshare, os.getuid(), os.getgid()
    if unshare(_NEWNET) != 0:
        if unshare(_NEWUSER | _NEWNET) != 0:
            return False
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:  # noqa: PTH123  nothing more is loaded than has to be
                file.write(text)
    with socket.socket() as any_socket:
        request = fcntl.ioctl(any_socket, _GET_FLAGS, struct.pack("16sH14x", b"lo", 0))
        flags = struct.unpack("16sH14x", request)[1]
        fcntl.ioctl(any_socket, _SET_FLAGS, struct.pack("16sH14x", b"lo", flags | _UP))
    return True


def main(parent: socket.socket, line: str, *, may_leave: bool) -> None:
    """Never returns, unless the parent is gone."""
    try:
        apart = may_leave and leave_network()
    except OSError as error:  # half way: there may be no network to listen on
        socket.send_fds(parent, [f"no {error.strerror}".encode()], [])
        return
    listening = socket.create_server(("127.0.0.1", 0))
    socket.send_fds(parent, [b"apart" if apart else b"open"], [listening.fileno()])
    listening.close()
    with parent.makefile("rb") as reader:
        said = reader.readline()
    if not said:
        return
    if os.fork() == 0:
        outlive(parent)
    parent.close()
    os.execve("/bin/sh", ["/bin/sh", "-c", line], json.loads(said))  # noqa: S606  the command is whose it is


def outlive(parent: socket.socket) -> None:
    """Waits for the parent's end, and ends all processes of the command, this one among them."""
    os.closerange(0, 3)
    parent.recv(1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[3], may_leave=sys.argv[2] == "apart")
