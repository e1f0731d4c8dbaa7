"""A port of its own for one clone: an engine's clone is a whole server, on which databases and users have the names they have
everywhere. Here all clones are databases of one server, so whoever comes in under such a name is led to the real one.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

# The first word of what a client sends: a request to encrypt, with TLS or GSSAPI. Both are declined, with one letter.
_MAY_WE_ENCRYPT = {80877103, 80877104}
_START_UP = 196608  # version 3.0 of the protocol; other words (a cancel request) are passed on as they are


class Door:
    """Listens on a free port of this machine and passes connections on, with names of databases and users exchanged."""

    def __init__(self, host: str, port: int, databases: Mapping[str, str], users: Mapping[str, str]) -> None:
        self._target = host, port
        self._names = {"database": databases, "user": users}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._open: set[socket.socket] = {self._listener}
        self._threads: list[threading.Thread] = []
        self._run(self._accept)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up on everybody, and wait until each thread has noticed."""
        with self._lock:
            closing, self._open = list(self._open), set()
        with suppress(OSError):  # where a shut listener does not wake who waits at it, a caller does
            socket.create_connection(("127.0.0.1", self.port)).close()
        for each in closing:
            _shut(each)
        while self._threads:
            self._threads.pop().join()
        for each in closing:
            each.close()

    def _run(self, what: object, *arguments: object) -> None:
        thread = threading.Thread(target=what, args=arguments, name="door")  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _keep(self, connection: socket.socket) -> bool:
        """Remember an open connection; False when the door is closed already."""
        with self._lock:
            if self._listener in self._open:
                self._open.add(connection)
                return True
        connection.close()
        return False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            if not self._keep(client):
                return
            self._run(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        """Lead one client to the server, and carry what the server says back."""
        with suppress(OSError, EOFError):
            first = self._first_packet(client)
            server = socket.create_connection(self._target)
            if not self._keep(server):
                return
            server.sendall(first)
            self._run(_pump, client, server)
            _pump(server, client)
        _shut(client)

    def _first_packet(self, client: socket.socket) -> bytes:
        while True:
            (size,) = struct.unpack("!i", _exactly(client, 4))
            rest = _exactly(client, size - 4)
            (word,) = struct.unpack("!i", rest[:4])
            if word not in _MAY_WE_ENCRYPT:
                break
            client.sendall(b"N")
        if word == _START_UP:
            rest = rest[:4] + self._renamed(rest[4:])
        return struct.pack("!i", len(rest) + 4) + rest

    def _renamed(self, settings: bytes) -> bytes:
        words = settings.decode().removesuffix("\0").removesuffix("\0").split("\0")
        named = dict(zip(words[::2], words[1::2], strict=True))
        named.setdefault("database", named.get("user", ""))
        exchanged = {key: self._names.get(key, {}).get(value, value) for key, value in named.items()}
        return "".join(f"{key}\0{value}\0" for key, value in exchanged.items()).encode() + b"\0"


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes until there are none; then say so on the other side."""
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    _shut(target)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
