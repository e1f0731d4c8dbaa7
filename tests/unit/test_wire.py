"""PostgreSQL's protocol, as far as the tap knows it: whole messages off a stream, whatever pieces it comes in."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.postgres import wire
from bot.postgres.tap import Tap, Upstream

BODIES = st.lists(st.tuples(st.sampled_from([b"Q", b"d", b"Z", b"E"]), st.binary(max_size=50)), max_size=8)


@given(BODIES, st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_messages_come_whole_whatever_pieces_they_arrive_in(sent: list[tuple[bytes, bytes]], pieces: list[int]) -> None:
    stream = b"".join(wire.message(kind, body) for kind, body in sent)
    buffer, got = bytearray(), []
    while stream:
        for length in pieces:
            buffer += stream[:length]
            stream = stream[length:]
            got += list(wire.messages(buffer))

    assert [(m.kind, m.body) for m in got] == sent
    assert buffer == b""


@given(st.binary(max_size=64))
def test_what_is_no_message_is_waited_for_or_refused(garbage: bytes) -> None:
    for read in (lambda: list(wire.messages(bytearray(garbage))), lambda: wire.first_message(bytearray(garbage))):
        with suppress(wire.ProtocolError):
            read()


@given(st.dictionaries(st.text("abc_", min_size=1), st.text("xyz -=", min_size=1)))
def test_a_greeting_is_read_as_it_was_written(parameters: dict[str, str]) -> None:
    code, body = wire.first_message(bytearray(wire.startup(parameters))) or (0, b"")

    assert (code, wire.startup_parameters(body)) == (wire.STARTUP, parameters)


def test_rows_are_read_by_the_types_of_their_columns() -> None:
    column = struct.Struct("!IHIHIH")  # of no table, a type, its length and modifier, as text
    described = b"".join(name + b"\0" + column.pack(0, 0, oid, 0, 0, 0) for name, oid in ((b"n", 20), (b"t", 25), (b"u", 20)))
    values = struct.pack("!Hi", 3, 2) + b"42" + struct.pack("!i", 1) + b"7" + struct.pack("!i", -1)

    types = wire.column_types(struct.pack("!H", 3) + described)

    assert (types, wire.row(values, types)) == ([20, 25, 20], (42, "7", None))


GARBAGE = {
    "nothing": b"",
    "another protocol": b"GET / HTTP/1.1\r\n\r\n",
    "a length without end": b"\xff" * 64,
    "a question for encryption, and no more": struct.pack("!II", 8, wire.SSL),
    "a greeting as somebody else": wire.startup({"user": "postgres"}),
    "a greeting, and then no password": wire.startup({"user": "me"}) + wire.message(b"Q", b"SELECT 1\0"),
    "a greeting, and a wrong password": wire.startup({"user": "me"}) + wire.message(b"p", b"guess\0"),
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE.keys())
def test_no_stranger_gets_through_to_the_server(said: bytes, tmp_path: Path) -> None:
    """Whatever a program on this machine says to the tap: there is no server behind it, and nobody asks for one."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        Tap(listening, Upstream(str(tmp_path / "none"), "me", "d"), lambda _session: pytest.fail("let in")) as tap,
        socket.create_connection((tap.host, tap.port)) as client,
    ):
        client.sendall(said)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(10)
        with suppress(ConnectionError):
            while client.recv(1000):
                pass

    assert (tap.sessions, tap.failure) == (0, None)
    assert [thread for thread in threading.enumerate() if thread.name == "tap"] == []
