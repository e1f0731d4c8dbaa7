"""Listening, and stopping in order. The door of uvicorn."""

from __future__ import annotations

import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvicorn

from bot.errors import UsageError
from bot.journal.runs import Journal
from bot.sidecar.app import App, Say
from bot.sidecar.options import Options
from bot.words import one_line


class _Server(uvicorn.Server):
    """uvicorn's, which would raise the signal that stopped it once more when all is done: we stopped in order."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Lets SIGINT and SIGTERM stop the server, as long as the block runs."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


class Sidecar:
    """A sidecar that listens already; `run()` answers."""

    def __init__(self, options: Options, journal: Journal, say: Say) -> None:
        """Raises UsageError where the options, the journal or the address will not do."""
        options.check()
        _check_journal(journal)
        self._app = App(options, journal, say)
        self._socket = _listen(options.host, options.port)
        self.port = int(self._socket.getsockname()[1])
        for name in ("httpx", "httpcore"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # they tell URLs
        self._server = _Server(
            uvicorn.Config(
                self._app,
                http="h11",  # gives the request line byte for byte
                ws="none",
                loop="asyncio",
                lifespan="off",
                interface="asgi3",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,  # the upstream's own are passed on
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=75,
                timeout_graceful_shutdown=options.stop_s,
            )
        )

    def run(self) -> None:
        """Answers until it is stopped, then finishes the calls that are under way, and lets go of all runs."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._app.calls.close()
            self._socket.close()

    def stop(self) -> None:
        """Ends `run`, from another thread."""
        self._server.should_exit = True


def serve(options: Options, journal: Journal, say: Say = lambda line: print(line, file=sys.stderr, flush=True)) -> int:
    """Runs a sidecar until SIGTERM or SIGINT; gives the exit status. The journal stays open. Raises UsageError."""
    sidecar = Sidecar(options, journal, say)
    host = f"[{options.host}]" if ":" in options.host else options.host
    say(one_line(f"listening on http://{host}:{sidecar.port}; calls may go to {options.upstreams.shown()}"))
    sidecar.run()
    return 0


def _check_journal(journal: Journal) -> None:
    if journal.seal is None:
        raise UsageError(
            "The sidecar needs a key for its journal.",
            why="Answers may hold credentials; they are kept sealed, and without a key they could not be kept.",
            advice="Set MIGRATION_REHEARSAL_JOURNAL_KEY; make one with: openssl rand -hex 32",
        )
    if journal.go_on:
        raise UsageError(
            "The sidecar can't go on without its journal.",
            why="Without it a call could be made twice.",
            advice="Leave journal-failure at its default.",
        )


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _name, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        # The protocol is named because asyncio sets TCP_NODELAY only where it is: without, an answer may wait 40 ms.
        with ExitStack() as stack:
            listening = stack.enter_context(socket.socket(family, kind, protocol))
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(1024)
            stack.pop_all()
    except OSError as error:
        raise UsageError(
            f"Port {port} of {host} can't be listened on.",
            why=error.strerror or str(error),
            advice="Choose another with --listen; port 0 is any free one.",
        ) from error
    return listening
