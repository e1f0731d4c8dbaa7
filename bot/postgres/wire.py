"""PostgreSQL's protocol, as far as one has to know it who stands between a client and a server (PostgreSQL manual, "Frontend/
Backend Protocol", Message Formats). Pure.

A message is a letter, a length that counts itself, and a body; the first ones of a connection have no letter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

STARTUP, CANCEL, SSL, GSS = 196608, 80877102, 80877103, 80877104
_HEADER = 5
_MOST_BYTES = 2**30  # of one message; the server takes no more either
_STARTUP_MOST_BYTES = 10_000  # MAX_STARTUP_PACKET_LENGTH in the server's source
_INTEGERS = (20, 21, 23, 26)  # OIDs of int8, int2, int4 and oid


class ProtocolError(Exception):
    """What came is no message of PostgreSQL's protocol."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `raw` is all of it, as it came."""

    kind: bytes
    raw: bytes

    @property
    def body(self) -> bytes:
        """What stands after letter and length."""
        return self.raw[_HEADER:]

    def texts(self, number: int) -> list[str]:
        """The strings, each ended by a zero byte, that a body begins with; fewer if there are no more."""
        return [text.decode(errors="replace") for text in self.body.split(b"\0", number)[:number]]


def messages(buffer: bytearray) -> Iterator[Message]:
    """Takes whole messages off the front of a buffer. Raises ProtocolError."""
    while len(buffer) >= _HEADER:
        length = int.from_bytes(buffer[1:_HEADER], "big")
        if not 4 <= length <= _MOST_BYTES:
            raise ProtocolError(f"a message of {length} bytes")
        if len(buffer) <= length:
            return
        raw = bytes(buffer[: length + 1])
        del buffer[: length + 1]
        yield Message(raw[:1], raw)


def first_message(buffer: bytearray) -> tuple[int, bytes] | None:
    """Takes a first message, which has no letter, off a buffer: its code and its body; None if it is not whole yet."""
    if len(buffer) < 8:
        return None
    length, code = struct.unpack("!II", buffer[:8])
    if not 8 <= length <= _STARTUP_MOST_BYTES:
        raise ProtocolError(f"a first message of {length} bytes")
    if len(buffer) < length:
        return None
    body = bytes(buffer[8:length])
    del buffer[:length]
    return code, body


def startup_parameters(body: bytes) -> dict[str, str]:
    """The settings in a first message, `user` and `database` among them."""
    words = [word.decode(errors="replace") for word in body.split(b"\0")]
    return {name: value for name, value in zip(words[::2], words[1::2], strict=False) if name}


def startup(parameters: Mapping[str, str]) -> bytes:
    """A first message with these settings."""
    words = b"".join(word.encode() + b"\0" for pair in parameters.items() for word in pair)
    return struct.pack("!II", len(words) + 9, STARTUP) + words + b"\0"


def message(kind: bytes, body: bytes = b"") -> bytes:
    """A message as it is sent."""
    return kind + struct.pack("!I", len(body) + 4) + body


ASK_PASSWORD = message(b"R", struct.pack("!I", 3))
SYNC = message(b"S")
TERMINATE = message(b"X")


def fatal(sqlstate: str, text: str) -> bytes:
    """The error with which a server ends a connection."""
    fields = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": text}
    return message(b"E", b"".join(f"{name}{value}\0".encode() for name, value in fields.items()) + b"\0")


def extended(sql: str, name: str) -> bytes:
    """A statement sent by the extended protocol under a name, so that it does away with nothing of the client's (a simple query
    destroys the statement and the portal that have no name), its answer as text; a Sync must follow.
    """
    named = name.encode() + b"\0"
    return b"".join((
        message(b"P", named + sql.encode() + b"\0" + struct.pack("!H", 0)),
        message(b"B", named + named + struct.pack("!HHH", 0, 0, 0)),
        message(b"D", b"P" + named),
        message(b"E", named + struct.pack("!I", 0)),
        message(b"C", b"P" + named),
        message(b"C", b"S" + named),
    ))  # fmt: skip


def fields(body: bytes) -> dict[int, bytes]:
    """The fields of an error or a notice by their letters, as psycopg takes them (its DiagnosticField is the letter's number)."""
    return {field[0]: field[1:] for field in body.split(b"\0") if field}


def column_types(body: bytes) -> list[int]:
    """The OIDs of the types in a RowDescription."""
    count, found, at = int.from_bytes(body[:2], "big"), [], 2
    for _column in range(count):
        at = body.index(b"\0", at) + 1
        found.append(int.from_bytes(body[at + 6 : at + 10], "big"))
        at += 18
    return found


def row(body: bytes, types: Sequence[int]) -> tuple[str | int | None, ...]:
    """A DataRow whose values are text: integers as such, all else as it is written."""
    values: list[str | int | None] = []
    at = 2
    for oid in types:
        length = int.from_bytes(body[at : at + 4], "big", signed=True)
        at += 4
        if length < 0:
            values.append(None)
            continue
        text = body[at : at + length].decode(errors="replace")
        values.append(int(text) if oid in _INTEGERS else text)
        at += length
    return tuple(values)
