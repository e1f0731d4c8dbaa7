"""An upstream that does as little as one can: `python -m bench.upstream`. It answers `POST /…/<size>` with so many bytes."""

from __future__ import annotations

import asyncio
import os
import sys

_LARGEST = 2**20
_BYTES = os.urandom(_LARGEST)  # nothing that a disk, or TOAST, could make smaller


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """All requests of one connection, one after the other."""
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or 0))
            body = _BYTES[: int(head.split(b" ", 2)[1].rpartition(b"/")[2])]
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n")
            writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the caller has hung up
    finally:
        writer.close()


async def main() -> None:
    """Serves until it is ended; says its port first."""
    server = await asyncio.start_server(_answer, "127.0.0.1", 0, limit=2 * _LARGEST)
    print(f"listening on http://127.0.0.1:{server.sockets[0].getsockname()[1]}", file=sys.stderr, flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
