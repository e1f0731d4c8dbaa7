"""A tap: what a migration tool says to its server goes through us, so that we can look where nobody else can.

A tool of somebody else's has connections of its own. It is given an address on this machine that is ours, with a password made
for this one run, and every message is passed on unchanged. At the end of each statement, before the tool hears of it, the server
waits for us: a transaction's locks are read while it holds them, and what its own session alone can see is asked in that session.

Each client has a thread. What it sends while an answer is outstanding is held back until that answer is complete, so that the
server has nothing to do when we ask. (PostgreSQL manual, "Frontend/Backend Protocol", Message Flow.)
"""

from __future__ import annotations

import hmac
import secrets
import select
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, Self

from psycopg.pq import TransactionStatus

from bot.postgres import wire
from bot.postgres.looking import Rows
from bot.postgres.wire import Message

_STATUS = {b"I": TransactionStatus.IDLE, b"T": TransactionStatus.INTRANS, b"E": TransactionStatus.INERROR}
_NAME = "migration_rehearsal_look"
_CHUNK = 1 << 16
_FULL = 1 << 20  # bytes that wait to be sent: then no more are read
_PATIENCE_S = 60.0  # for the first messages, and for an answer to a question of ours


@dataclass(frozen=True, slots=True)
class Sent:
    """A statement as a client sent it, with its parameters, if it had any, as they were on the wire."""

    sql: str
    types: tuple[int, ...] = ()
    values: tuple[bytes | None, ...] = ()
    formats: tuple[int, ...] = ()


@dataclass(slots=True)
class Exchange:
    """All that a client sent up to the point where the server is ready for more, and what came of it: PostgreSQL's words for what
    was done, in order, whether each gave rows, and the fields of an error.
    """

    sent: list[Sent] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    gave_rows: list[bool] = field(default_factory=list)
    error: Mapping[int, bytes] | None = None


class Listener(Protocol):
    """Who follows one client's session, on that session's thread."""

    def begin(self, sent: Sent) -> None:
        """A statement is about to be sent."""

    def notice(self, fields: Mapping[int, bytes]) -> None:
        """The server remarks something."""

    def end(self, exchange: Exchange) -> None:
        """All that was sent is done, and the server waits."""

    def close(self) -> None:
        """The session is over."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Where the server is, whom clients are there and in which database unless they name another; `options` as for PGOPTIONS."""

    socket_path: str
    user: str
    database: str
    options: str = ""

    def connect(self) -> socket.socket:
        """A connection on which nothing was said yet."""
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(self.socket_path)
        return connection


class Tap:
    """Takes clients from a listening socket while it is open. `listen` makes a listener for a session that has begun.

    A listener that raises ends its session; `failure` is the first such error, to be raised by whoever opened the tap.
    """

    def __init__(self, server: socket.socket, upstream: Upstream, listen: Callable[[Session], Listener]) -> None:
        self._upstream, self._listen = upstream, listen
        self.password = secrets.token_urlsafe(18)
        self.sessions = 0  # that clients have had
        self.failure: Exception | None = None
        self._server = server
        self._server.settimeout(0.5)  # where to shut it down does not wake who waits for it
        self.host: str = server.getsockname()[0]
        self.port: int = server.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._sessions: set[Session] = set()
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_exception: object) -> None:
        """Ends all sessions."""
        self._closed = True
        for one in (self._server, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it
        for thread in self._threads:
            thread.join()
        self._server.close()

    def pids(self) -> list[int]:
        """The server's processes for the sessions that are open."""
        with self._lock:
            return [session.pid for session in self._sessions if session.pid]

    def is_idle(self) -> bool:
        """Whether no client is there any more."""
        return not self._open

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name="tap", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _address = self._server.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._open.add(client)
            self._start(lambda client=client: self._serve(client))  # type: ignore[misc]

    def _serve(self, client: socket.socket) -> None:
        try:
            with client, suppress(OSError, wire.ProtocolError):
                client.settimeout(_PATIENCE_S)
                entered = self._enter(client)
                if entered is None:
                    return
                server, database = entered
                with server:
                    self._open.add(server)
                    session = Session(client, server, database, self._listen)
                    with self._lock:
                        self.sessions += database == self._upstream.database
                        self._sessions.add(session)
                    try:
                        session.run()
                    finally:
                        with self._lock:
                            self._sessions.discard(session)
                        self._open.discard(server)
        except Exception as error:  # noqa: BLE001  raised by whoever opened the tap
            self.failure = self.failure or error
        finally:
            self._open.discard(client)

    def _enter(self, client: socket.socket) -> tuple[socket.socket, str] | None:
        """Lets a client in who knows the password. A connection on which the server was greeted in its name, and to which of its
        databases.
        """
        first = _first(client)
        if first is None:
            return None
        code, body = first
        if code == wire.CANCEL:
            with self._upstream.connect() as server:
                server.sendall(len(body + b"12345678").to_bytes(4, "big") + code.to_bytes(4, "big") + body)
            return None
        asked = wire.startup_parameters(body)
        if asked.get("user") != self._upstream.user:
            client.sendall(wire.fatal("28000", f"this rehearsal is for the role {self._upstream.user}"))
            return None
        client.sendall(wire.ASK_PASSWORD)
        answer = _one(client, bytearray())
        if answer.kind != b"p" or not hmac.compare_digest(answer.body.rstrip(b"\0"), self.password.encode()):
            client.sendall(wire.fatal("28P01", "the password is not the one made for this rehearsal"))
            return None
        options = " ".join(filter(None, (self._upstream.options, asked.get("options"))))
        server = self._upstream.connect()
        server.settimeout(_PATIENCE_S)
        wanted = {"database": self._upstream.database, **asked, "options": options}
        server.sendall(wire.startup({name: value for name, value in wanted.items() if value}))
        return server, wanted["database"]


def _first(client: socket.socket) -> tuple[int, bytes] | None:
    """A client's first message that is no question for encryption, which there is none of; None if it goes away."""
    buffer = bytearray()
    while True:
        while first := wire.first_message(buffer):
            if first[0] not in (wire.SSL, wire.GSS):
                return first
            client.sendall(b"N")
        more = client.recv(_CHUNK)
        if not more:
            return None
        buffer += more


def _one(connection: socket.socket, buffer: bytearray) -> Message:
    """The next message that comes. Raises OSError when there is no more."""
    while True:
        for message in wire.messages(buffer):
            return message
        more = connection.recv(_CHUNK)
        if not more:
            raise ConnectionError
        buffer += more


class Session:
    """One client's session: passes messages on, and tells its listener."""

    def __init__(
        self, client: socket.socket, server: socket.socket, database: str, listen: Callable[[Session], Listener]
    ) -> None:
        self._client, self._server, self.database = client, server, database
        self._listen = listen
        self._listener: Listener | None = None
        self.pid = 0
        self.status = TransactionStatus.UNKNOWN
        self._from_client, self._from_server = bytearray(), bytearray()
        self._to_client, self._to_server = bytearray(), bytearray()
        self._held: Message | None = None  # of the client's, until the server is ready
        self._busy, self._copying = True, False  # the greeting is under way
        self._exchange = Exchange()
        self._gives_rows = False
        self._parsed = Sent("")  # the last one
        self._prepared: dict[str, Sent] = {}
        self._portals: dict[str, Sent] = {}

    def run(self) -> None:
        """Until one of the two goes away. Raises OSError, ProtocolError and what the listener raises."""
        self._client.setblocking(False)
        self._server.setblocking(False)
        try:
            while self._turn():
                pass
        finally:
            if self._listener:
                self._listener.close()

    def _turn(self) -> bool:
        """Waits until there is something to do, and does it."""
        read = [self._server] if len(self._to_client) < _FULL else []
        if len(self._to_server) < _FULL and (self._held is None or len(self._from_client) < _FULL):
            read.append(self._client)
        write = [one for one, waiting in ((self._server, self._to_server), (self._client, self._to_client)) if waiting]
        readable, writable, _ = select.select(read, write, [])
        if self._server in readable and not self._heard(self._server, self._from_server):
            self._flush()
            return False
        if self._client in readable and not self._heard(self._client, self._from_client):
            with suppress(OSError):  # it may be gone without a word
                self._server.sendall(wire.TERMINATE)
            return False
        self._take_from_server()
        self._take_from_client()
        if self._server in writable or self._to_server:
            _send(self._server, self._to_server)
        if self._client in writable or self._to_client:
            _send(self._client, self._to_client)
        return True

    @staticmethod
    def _heard(connection: socket.socket, buffer: bytearray) -> bool:
        try:
            more = connection.recv(_CHUNK)
        except BlockingIOError:
            return True
        buffer += more
        return bool(more)

    def _flush(self) -> None:
        """The server's last words; it may have ended the session because of what was sent."""
        self._take_from_server()
        if self._listener and self._exchange.error and self._exchange.sent:
            self.status = TransactionStatus.UNKNOWN
            self._listener.end(self._exchange)
        self._client.settimeout(1.0)
        with suppress(OSError):
            self._client.sendall(self._to_client)

    # ── What the client says ─────────────────────────────────────────────────────────────────────────────────────────────

    def _take_from_client(self) -> None:
        while message := self._held or next(wire.messages(self._from_client), None):
            may_pass = not self._busy or self._copying or message.kind in (b"d", b"c", b"f")
            self._held = None if may_pass else message
            if not may_pass:
                return
            self._note_client(message)
            self._to_server += message.raw

    def _note_client(self, message: Message) -> None:
        match message.kind:
            case b"Q":
                self._begin(Sent(message.texts(1)[0]))
                self._busy, self._copying = True, False
            case b"F" | b"S":
                self._busy, self._copying = True, False
            case b"P":
                self._note_parse(message)
            case b"B":
                self._note_bind(message)
            case b"E":
                self._begin(self._portals.get(message.texts(1)[0], Sent("")))
            case b"C":
                known = self._prepared if message.body[:1] == b"S" else self._portals
                known.pop(message.body[1:].split(b"\0", 1)[0].decode(errors="replace"), None)

    def _note_parse(self, message: Message) -> None:
        name, text = message.texts(2)
        types = message.body.split(b"\0", 2)[2]
        count = int.from_bytes(types[:2], "big")
        oids = (int.from_bytes(types[2 + 4 * n : 6 + 4 * n], "big") for n in range(count))
        self._prepared[name] = self._parsed = Sent(text, tuple(oids))

    def _note_bind(self, message: Message) -> None:
        portal, name = message.texts(2)
        statement = self._prepared.get(name, Sent(""))
        formats, values = _parameters(message.body.split(b"\0", 2)[2])
        self._portals[portal] = Sent(statement.sql, statement.types, values, formats)

    def _begin(self, sent: Sent) -> None:
        if not self._exchange.sent and self._listener:
            self._listener.begin(sent)
        self._exchange.sent.append(sent)

    # ── What the server says ─────────────────────────────────────────────────────────────────────────────────────────────

    def _take_from_server(self) -> None:
        for message in wire.messages(self._from_server):
            match message.kind:
                case b"K":
                    self.pid = int.from_bytes(message.body[:4], "big")
                case b"C":
                    self._exchange.tags.append(message.texts(1)[0])
                    self._exchange.gave_rows.append(self._gives_rows)
                    self._gives_rows = False
                case b"T" | b"D":
                    self._gives_rows = True
                case b"I" | b"s":  # an empty text, or a cursor of which not all was fetched
                    self._exchange.tags.append("")
                    self._exchange.gave_rows.append(True)
                case b"E":
                    self._exchange.error = wire.fields(message.body)
                case b"N" if self._listener:
                    self._listener.notice(wire.fields(message.body))
                case b"G" | b"W":
                    self._copying = True
                case b"Z":
                    self._ready(_STATUS.get(message.body, TransactionStatus.UNKNOWN))
            self._to_client += message.raw

    def _ready(self, status: TransactionStatus) -> None:
        self.status, self._busy, self._copying = status, False, False
        self._gives_rows = False  # a description of something that was prepared, and not done
        if self._listener is None:
            self._listener = self._listen(self)
        exchange, self._exchange = self._exchange, Exchange()
        if exchange.error and not exchange.sent:  # it was no more than prepared
            exchange.sent.append(self._parsed)
        if exchange.sent:
            self._listener.end(exchange)

    # ── What we ask ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def ask(self, questions: Sequence[str]) -> list[Rows] | None:
        """See Watched. Only the listener may, when it is told that something has ended."""
        inside = self.status is TransactionStatus.INTRANS
        framed = [f"SAVEPOINT {_NAME}", *questions, f"RELEASE SAVEPOINT {_NAME}"] if inside else questions
        answers = self._asked(framed)
        if answers is None and inside:
            self._asked([f"ROLLBACK TO SAVEPOINT {_NAME}", f"RELEASE SAVEPOINT {_NAME}"])
        return [rows for rows in answers if rows is not None] if answers is not None else None

    def _asked(self, questions: Sequence[str]) -> list[Rows | None] | None:
        """For each question its rows, or None where it has none. None if one fails."""
        self._server.settimeout(_PATIENCE_S)
        try:
            self._server.sendall(b"".join(wire.extended(question, _NAME) for question in questions) + wire.SYNC)
            answers: list[Rows | None] = []
            types: list[int] | None = None
            rows: Rows = []
            failed = False
            while (message := _one(self._server, self._from_server)).kind != b"Z":
                match message.kind:
                    case b"T":
                        types, rows = wire.column_types(message.body), []
                    case b"n":
                        types = None
                    case b"D":
                        rows.append(wire.row(message.body, types or []))
                    case b"C":
                        answers.append(rows if types is not None else None)
                    case b"E":
                        failed = True
                    case b"A" | b"S":  # a notification or a setting that has nothing to do with us
                        self._to_client += message.raw
            return None if failed else answers
        finally:
            self._server.setblocking(False)


def _parameters(body: bytes) -> tuple[tuple[int, ...], tuple[bytes | None, ...]]:
    """The formats and values in a Bind message."""
    count = int.from_bytes(body[:2], "big")
    formats = [int.from_bytes(body[2 + 2 * n : 4 + 2 * n], "big") for n in range(count)]
    at = 2 + 2 * count
    number = int.from_bytes(body[at : at + 2], "big")
    at += 2
    values: list[bytes | None] = []
    for _value in range(number):
        length = int.from_bytes(body[at : at + 4], "big", signed=True)
        at += 4
        values.append(body[at : at + length] if length >= 0 else None)
        at += max(0, length)
    each = formats * number if len(formats) == 1 else formats or [0] * number
    return tuple(each), tuple(values)


def _send(connection: socket.socket, buffer: bytearray) -> None:
    if buffer:
        with suppress(BlockingIOError):
            del buffer[: connection.send(buffer)]
