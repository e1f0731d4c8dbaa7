"""The HTTP around the fake: a server that closes all it opened, and one request and answer at a time."""

from __future__ import annotations

import json
import socket
import socketserver
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

from tests.contract.fake_github.calls import Answer
from tests.contract.fake_github.values import NOT_JSON, Request

Serve = Callable[[Request, Mapping[str, str]], Answer | None]


class Server(ThreadingHTTPServer):
    """Keeps its connections, so that it can close those that a client's pool holds and leave no thread."""

    daemon_threads = False  # server_close() waits only for threads that are none
    request_queue_size = 64

    def __init__(self, serve: Serve, problems: list[str]) -> None:
        self.serve = serve
        self._problems = problems
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        """As the base class, without its look-up of the host's name: that may ask a name server."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection and remember it."""
        connection, address = super().get_request()
        self._open.add(connection)
        return connection, address

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection that its thread is done with."""
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """Wake every thread that waits for a client's next request: there will be none."""
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Record what broke; a client that went away mid-answer is no error of ours."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            self._problems.append(f"the server failed: {error!r}")


class _Handler(BaseHTTPRequestHandler):
    """Turns HTTP into a Request, and an Answer into HTTP."""

    protocol_version = "HTTP/1.1"
    # Without these two, headers and body leave in two packets, and every call waits 40 ms for the second.
    wbufsize = -1
    disable_nagle_algorithm = True
    server: Server

    def handle_any(self) -> None:
        """Serve one request, whatever its method."""
        path, _, query = self.path.partition("?")
        request = Request(self.command, path, dict(parse_qsl(query, keep_blank_values=True)), self._read_body())
        answer = self.server.serve(request, {name.title(): text for name, text in self.headers.items()})
        if answer is None:
            self.close_connection = True
        else:
            self._send(answer)

    do_GET = do_HEAD = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any  # noqa: N815

    def _read_body(self) -> Any:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            return json.loads(data) if data else None
        except ValueError:
            return NOT_JSON

    def _send(self, answer: Answer) -> None:
        is_page = isinstance(answer.body, str)
        text = answer.body if is_page else json.dumps(answer.body)
        data = b"" if answer.body is None else text.encode()
        typed = {"Content-Type": "text/html" if is_page else "application/json; charset=utf-8"} if data else {}
        self.send_response(answer.status)
        for name, value in {**typed, **answer.headers, "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: `requests` has it all."""
