"""Starts a command in a network of its own, where there is nothing but one address, on which whoever started this listens.

A migration tool whose settings name another database would migrate that one, and production is next door. This file is run as a
program, with Python's own library alone: in the child of a program with threads, no more than a start is safe. It sends the
socket, already listening, to the parent, reads the environment from it, and starts the command (unshare(2), namespaces(7)). It
stays with it until its end, or the parent's, and then ends all that there still is of it: also what has left the command's group
and session, as a daemon does, which becomes a child of this process (PR_SET_CHILD_SUBREAPER in prctl(2)).
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
from contextlib import suppress

_NEWUSER, _NEWNET = 0x10000000, 0x40000000
_GET_FLAGS, _SET_FLAGS, _UP = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 5.0  # until what was killed is gone


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
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    command = os.fork()
    if command == 0:
        become(line, json.loads(said), parent)
    os.closerange(0, 3)
    stay_with(command, parent)


def become(line: str, environment: dict[str, str], parent: socket.socket) -> None:
    """Never returns: the command, in a group of its own, with signals as a program finds them that Python has not started."""
    os.setpgid(0, 0)
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    parent.close()
    os.execve("/bin/sh", ["/bin/sh", "-c", line], environment)  # noqa: S606  the command is whose it is


def stay_with(command: int, parent: socket.socket) -> None:
    """Never returns: passes on to the command that it is to end, waits until it has, or the parent has, and ends as it did."""
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    signal.signal(signal.SIGTERM, lambda number, _frame: end_group(command, number))
    ended: dict[int, int] = {}
    while reap(ended) and command not in ended:
        ready, _, _ = select.select([parent, woken], [], [])
        if parent in ready:
            break
        woken.recv(1000)
    end_all(command, ended)
    status = os.waitstatus_to_exitcode(ended.get(command, signal.SIGKILL))
    os._exit(status if status >= 0 else 128 - status)


def end_all(command: int, ended: dict[int, int]) -> None:
    """Ends all processes of the command."""
    end_group(command, signal.SIGKILL)
    until = time.monotonic() + _PATIENCE_S
    while reap(ended) and time.monotonic() < until:
        for child in children():
            with suppress(ProcessLookupError, PermissionError):  # another user's
                os.kill(child, signal.SIGKILL)
        time.sleep(0.002)


def end_group(command: int, number: int) -> None:
    """Sends a signal to those that have not left the command's group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(command, number)


def reap(ended: dict[int, int]) -> bool:
    """Notes how children have ended; whether there is one that has not."""
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if child == 0:
            return True
        ended[child] = status


def children() -> list[int]:
    """The children of this process, orphans of theirs among them; none where there is no /proc."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else ()):  # noqa: PTH112, PTH208  see above
        with suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
            if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(name))
    return found


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), sys.argv[3], may_leave=sys.argv[2] == "apart")
