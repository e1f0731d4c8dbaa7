"""How the sidecar was started: one frozen value, and the reading of what stands on a command line. Pure."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass, field

from bot.errors import UsageError
from bot.sidecar.upstreams import Upstreams

NOT_DONE = frozenset({425, 429, 503})
IN_DOUBT = frozenset({408, 500, 502, 504})
_SIZE = re.compile(r"(?P<number>[0-9]{1,15})\s*(?P<unit>|k|m|g)i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the sidecar may call and how. Statuses that are in neither class are final. `patience_s`: how long a call waits for
    another process to let go of its run; `caller_stall_s`: how long for a caller that reads nothing.
    """

    upstreams: Upstreams
    host: str = "127.0.0.1"
    port: int = 8377
    token: str | None = field(default=None, repr=False)
    not_done: frozenset[int] = NOT_DONE
    in_doubt: frozenset[int] = IN_DOUBT
    max_body: int = 64 * 2**20
    max_response: int = 16 * 2**20
    connect_timeout_s: float = 10.0
    upstream_timeout_s: float = 300.0
    patience_s: float = 10.0
    idle_s: float = 5.0
    caller_stall_s: float = 60.0
    stop_s: int = 10
    calls_at_once: int = 64

    def check(self) -> None:
        """Raises UsageError for what does not go together."""
        if both := self.not_done & self.in_doubt:
            raise UsageError(
                f"The status {min(both)} is both without effect and in doubt.",
                advice="Name each status in one of --not-done and --in-doubt.",
            )
        if not is_loopback(self.host) and not self.token:
            raise UsageError(
                f"The sidecar would listen on {self.host}, for everybody who can reach it.",
                why="Whoever can call it can spend its journal and reach its upstreams.",
                advice="Set MIGRATION_REHEARSAL_SIDECAR_TOKEN, which callers send as Journal-Token; or listen on 127.0.0.1.",
            )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def parse_listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:8377`, `[::1]:8377`, `localhost:8377` -> host and port. Raises UsageError."""
    host, colon, port = text.strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or (":" in bare) != (bare != host) or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise UsageError(
            f"«{text}» is no address to listen on.", advice="Write it as 127.0.0.1:8377 or [::1]:8377; port 0 is any free one."
        )
    return bare, int(port)


def parse_statuses(text: str, name: str) -> frozenset[int]:
    """`425,429,503` -> statuses; an empty text is none. Raises UsageError."""
    given = [one.strip() for one in text.split(",") if one.strip()]
    if not all(re.fullmatch(r"[2-5][0-9][0-9]", one) for one in given):
        raise UsageError(f"«{text}» is no list of HTTP statuses for {name}.", advice=f"Write it as {name} 429,503")
    return frozenset(map(int, given))


def parse_limit(text: str, name: str) -> int:
    """`64M`, `1 GiB`, `65536` -> bytes. Raises UsageError."""
    found = _SIZE.fullmatch(text.strip())
    if not found or int(found["number"]) == 0:
        raise UsageError(f"«{text}» is no size for {name}.", advice=f"Write it as {name} 64M")
    return int(found["number"]) * _UNITS[found["unit"].lower()]


def parse_timeout(text: str, name: str) -> float:
    """Seconds. Raises UsageError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"«{text}» is no time for {name}.", advice=f"Write it in seconds, as {name} 30")
    return seconds
