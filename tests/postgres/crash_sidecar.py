"""A sidecar that is killed at a named point of a step: `python -m tests.postgres.crash_sidecar URL PORT UPSTREAM [POINT]`."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import closing

from bot.journal.runs import Journal
from bot.journal.steps import Step
from bot.journal.store import Store
from bot.sealing import seal_of
from bot.sidecar import Options, parse_upstreams, serve

KEY = "0123456789abcdef" * 4


def main(url: str, port: str, upstream: str, point: str = "") -> int:
    def at(_step: Step, here: str) -> None:
        if here == point:
            os.kill(os.getpid(), signal.SIGKILL)

    options = Options(upstreams=parse_upstreams([f"up=http://127.0.0.1:{upstream}"], []), port=int(port), stop_s=1)
    with closing(Journal(Store(url), seal=seal_of(KEY), at=at)) as journal:
        return serve(options, journal)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
