"""An upstream that counts its effects, and answers as a test wants it to."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Answer:
    """What the upstream does. `drop`: closes the connection before or after the effect, or in the middle of the answer. `chunks`:
    sent with chunked transfer coding, each when the event beside it is set.
    """

    status: int = 201
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    chunks: Sequence[tuple[bytes, threading.Event | None]] | None = None
    drop: str = ""
    wait: threading.Event | None = None


@dataclass(frozen=True)
class Got:
    """A request as it came."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    @property
    def key(self) -> str:
        return ",".join(self.values("Idempotency-Key"))


@dataclass
class CountingUpstream:
    """`honours`: a second request with the same Idempotency-Key has no effect, and gets the first one's answer."""

    port: int = 0
    scheme: str = "http"
    honours: bool = False
    requests: list[Got] = field(default_factory=list)
    effects: list[Got] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    arrived: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: dict[str, Answer] = field(default_factory=dict)

    def reset(self) -> None:
        self.honours = False
        self.requests, self.effects, self.answers, self._seen = [], [], [], {}
        self.arrived = threading.Semaphore(0)

    def take(self, got: Got) -> Answer:
        with self._lock:
            self.requests.append(got)
            if self.honours and got.key in self._seen:
                return self._seen[got.key]
            answer = self.answers.pop(0) if self.answers else Answer()
            if answer.drop != "before":
                self.effects.append(got)
            if answer.body is None and answer.chunks is None:
                answer = replace(answer, body=f"number {len(self.effects)}".encode())
            self._seen[got.key] = Answer(answer.status, answer.headers, answer.body, answer.chunks)
            return answer


@contextmanager
def counting_upstream(tls: ssl.SSLContext | None = None) -> Iterator[CountingUpstream]:
    upstream = CountingUpstream(scheme="https" if tls else "http")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 20
        wbufsize = -1  # head and body in one packet
        disable_nagle_algorithm = True

        def __getattr__(self, name: str) -> Any:
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

        def log_message(self, *_arguments: Any) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = upstream.take(Got(self.command, self.path, self.headers.items(), body))
            upstream.arrived.release()
            if answer.wait:
                answer.wait.wait(20)
            if answer.drop in ("before", "after"):
                self.close_connection = True
                return
            with suppress(ConnectionError):
                self.send(answer)

        def send(self, answer: Answer) -> None:
            self.send_response_only(answer.status)
            for name, value in answer.headers:
                self.send_header(name, value)
            if answer.chunks is not None:
                self.send_chunks(answer.chunks)
                return
            body = answer.body or b""
            if answer.status not in (204, 304) and not any(name == "Content-Length" for name, _value in answer.headers):
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if answer.drop == "middle":
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
            elif self.command != "HEAD" and answer.status not in (204, 304):
                self.wfile.write(body)

        def send_chunks(self, chunks: Sequence[tuple[bytes, threading.Event | None]]) -> None:
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for chunk, when in chunks:
                if when:
                    when.wait(20)
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_arguments: Any) -> None:
            pass  # a caller that has gone

    with Server(("127.0.0.1", 0), Handler) as server:
        upstream.port = server.server_address[1]
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield upstream
        finally:
            server.shutdown()
            thread.join()
