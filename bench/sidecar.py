"""What the sidecar adds to a call: the same call to the same upstream, direct and through it. Three processes beside ours: the
upstream, the sidecar, its journal's PostgreSQL.
"""

from __future__ import annotations

import http.client
import itertools
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

import httpx

from bench.machine import shown_place
from bench.measure import Section, Stats, Work, alternately, differences, expect, number, stats, times
from bot.journal.place import Place
from bot.progress import Progress

ROOT = Path(__file__).parents[1]
_KINDS = ("direct", "fired", "replayed")
_START_LIMIT_S = 60.0
_HOLDER = '"$@" & program=$!; cat >/dev/null; kill -TERM $program 2>/dev/null; wait $program'


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is measured: for each payload, by its name, its bytes, rounds of the latency, and seconds of a throughput."""

    payloads: tuple[tuple[str, int, int, float], ...]
    callers: tuple[int, ...]
    slices: int  # how often each throughput is measured


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the upstream and the sidecar are."""

    upstream: int
    sidecar: int

    def of(self, kind: str) -> tuple[int, str]:
        """A call's port and the beginning of its path."""
        return (self.upstream, "") if kind == "direct" else (self.sidecar, "/up")


def measure_sidecar(place: Place, extent: Extent, progress: Progress) -> Iterator[Section]:
    """A sidecar with the journal at a place -> a table of latencies, one of throughputs."""
    with running(place) as ports:
        title = f"One call through the sidecar, one caller; {shown_place(place)}"
        with progress.step(title):
            yield _latencies(place, title, extent, ports)
        title = f"Calls a second through the sidecar; {shown_place(place)}"
        with progress.step(title):
            yield _throughputs(place, title, extent, ports)


# ── The processes ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def running(place: Place) -> Iterator[Ports]:
    """An upstream and a sidecar, each a process that ends with the block, and with us."""
    with ExitStack() as stack:
        upstream = stack.enter_context(_listening(["-m", "bench.upstream"], {}))
        command = [
            str(ROOT / "entrypoint.py"),
            "sidecar",
            "--listen",
            "127.0.0.1:0",
            "--upstream",
            f"up=http://127.0.0.1:{upstream}",
        ]
        environment = {"MIGRATION_REHEARSAL_JOURNAL_KEY": uuid.uuid4().hex * 2}
        for name, value in (("URL", place.url), ("FOLDER", place.folder)):
            environment |= {f"MIGRATION_REHEARSAL_JOURNAL_{name}": value} if value else {}
        environment |= {"MIGRATION_REHEARSAL_POSTGRES_BIN": place.postgres_bin} if place.postgres_bin else {}
        yield Ports(upstream, stack.enter_context(_listening(command, environment)))


@contextmanager
def _listening(arguments: Sequence[str], environment: dict[str, str]) -> Iterator[int]:
    """A Python program that says «listening on http://…:<port>»; gives the port. It is ended with the block, and with us, however
    we end: a shell waits for the end of its standard input. bot.held would send SIGINT, which a program that has just been
    started in a shell's background does not hear.
    """
    own = {name: value for name, value in os.environ.items() if not name.startswith("MIGRATION_REHEARSAL_")}
    command = ["/bin/sh", "-c", _HOLDER, "sh", sys.executable, *arguments]
    with tempfile.TemporaryFile() as log:
        holder = subprocess.Popen(
            command,
            env=own | {"PYTHONPATH": str(ROOT)} | environment,
            stdin=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # a Ctrl-C in our terminal is ours
        )
        try:
            yield _port(log.fileno(), holder)
        finally:
            holder.communicate()


def _port(log: int, holder: subprocess.Popen[bytes]) -> int:
    """The port that a program says it listens on."""
    deadline = time.monotonic() + _START_LIMIT_S
    while not (found := re.search(rb"listening on http://\S+:(\d+)", said := os.pread(log, 2**16, 0))):
        expect(holder.poll() is None and time.monotonic() < deadline, f"a program does not listen: {said.decode()}")
        time.sleep(0.02)
    return int(found[1])


# ── Latency ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Asking:
    """One caller with httpx, which keeps its connections."""

    ports: Ports
    client: httpx.Client
    size: int
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    step: int = 0
    body: bytes = b""

    def direct(self) -> None:
        """To the upstream itself."""
        self._ask("direct", None)

    def fired(self) -> None:
        """A new call through the sidecar."""
        self.step += 1
        self._ask("fired", "false")

    def replayed(self) -> None:
        """The last call through the sidecar again."""
        self._ask("replayed", "true")

    def _ask(self, kind: str, replayed: str | None) -> None:
        port, path = self.ports.of(kind)
        headers = {"Journal-Run": self.run, "Journal-Step": str(self.step)} if replayed else {}
        answer = self.client.post(f"http://127.0.0.1:{port}{path}/{self.size}", content=self.body, headers=headers)
        right = answer.status_code == 200 and len(answer.content) == self.size
        expect(right and answer.headers.get("Journal-Replayed") == replayed, f"{kind}: {answer.status_code} {answer.headers}")


def _latencies(place: Place, title: str, extent: Extent, ports: Ports) -> Section:
    samples: dict[str, list[float]] = {}
    rows: list[tuple[str, ...]] = []
    for payload, size, rounds, _seconds in extent.payloads:
        with httpx.Client(trust_env=False, timeout=60) as client:
            asking = _Asking(ports, client, size, body=os.urandom(size))
            asking.fired()
            works: dict[str, Work] = {"direct": asking.direct, "fired": asking.fired, "replayed": asking.replayed}
            taken = alternately(works, rounds, warm_up=max(3, rounds // 20))
        samples |= {f"{payload}, {kind}": taken[kind] for kind in _KINDS}
        for kind in _KINDS:
            added = stats(differences(taken[kind], taken["direct"])) if kind != "direct" else None
            rows.append(_latency_row(f"{payload}, {kind}", stats(taken[kind]), stats(taken["direct"]), added))
    return Section(
        name="sidecar latency, url" if place.url else "sidecar latency, folder",
        title=title,
        columns=("", "× direct", "added, median ms", "added, p95", "added, p99", "median ms", "p95", "p99", "n"),
        rows=rows,
        unit="ms",
        samples=samples,
        notes=(
            "The payload goes both ways. «Added» is taken call by call, against the direct call of the same round.",
            "The upstream answers at once, so «× direct» is the worst there is: look at what is added.",
        ),
    )


def _latency_row(name: str, said: Stats, direct: Stats, added: Stats | None) -> tuple[str, ...]:
    more = (number(added.median), number(added.p95), number(added.p99)) if added else ("", "", "")
    own = (number(said.median), number(said.p95), number(said.p99))
    return (name, times(said.median, direct.median), *more, *own, str(said.n))


# ── Throughput ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Caller:
    """A caller that asks as fast as it can, with the standard library's client: httpx would take longer than what is measured."""

    ports: Ports
    size: int
    body: bytes = field(repr=False)
    run: str
    numbers: Iterator[int]
    done: list[int] = field(default_factory=list)  # the steps that may be replayed

    def ask(self, kind: str, until: float) -> int:
        """Calls until a time; gives how many. At least one is made."""
        port, path = self.ports.of(kind)
        again = itertools.cycle(self.done)
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            for made in itertools.count(1):
                step = next(self.numbers) if kind == "fired" else next(again) if kind == "replayed" else 0
                self._ask(connection, f"{path}/{self.size}", kind, step)
                if time.monotonic() >= until:
                    return made
        raise AssertionError  # pragma: no cover  the loop returns

    def _ask(self, connection: http.client.HTTPConnection, path: str, kind: str, step: int) -> None:
        headers = {"Journal-Run": self.run, "Journal-Step": str(step)} if step else {}
        connection.request("POST", path, self.body, headers)
        answer = connection.getresponse()
        right = len(answer.read()) == self.size and answer.status == 200
        expected = {"direct": None, "fired": "false", "replayed": "true"}[kind]
        expect(right and answer.getheader("Journal-Replayed") == expected, f"{kind}: {answer.status}")
        if kind == "fired":
            self.done.append(step)


def _throughputs(place: Place, title: str, extent: Extent, ports: Ports) -> Section:
    samples: dict[str, list[float]] = {}
    rows: list[tuple[str, ...]] = []
    for payload, size, _rounds, seconds in extent.payloads:
        for count in extent.callers:
            name = f"{payload}, {count} caller{'s' if count > 1 else ''}"
            rates = _rates(ports, size, count, seconds, extent.slices)
            samples |= {f"{name}, {kind}": all_ for kind, all_ in rates.items()}
            said = {kind: median(all_) for kind, all_ in rates.items()}
            shares = [f"{100 * said[kind] / said['direct']:.0f} %" for kind in ("fired", "fired in one run", "replayed")]
            rows.append((name, *shares, *(number(value) for value in said.values())))
    return Section(
        name="sidecar throughput, url" if place.url else "sidecar throughput, folder",
        title=title,
        columns=(
            *("", "fired: of direct", "in one run", "replayed"),
            *("direct/s", "fired/s", "fired in one run/s", "replayed/s"),
        ),
        rows=rows,
        unit="calls a second",
        samples=samples,
        notes=(
            f"The median of {extent.slices} turns each, in turn. Callers have a run each, or all of them one.",
            "Callers, upstream, sidecar and PostgreSQL share the machine's cores: through the sidecar, all four work.",
        ),
    )


def _rates(ports: Ports, size: int, count: int, seconds: float, slices: int) -> dict[str, list[float]]:
    """Calls a second of so many callers, direct and through the sidecar in turn."""
    body = os.urandom(size)
    apart = [_Caller(ports, size, body, uuid.uuid4().hex, itertools.count(1)) for _n in range(count)]
    run, numbers = uuid.uuid4().hex, itertools.count(1)
    together = [_Caller(ports, size, body, run, numbers) for _n in range(count)]
    rates: dict[str, list[float]] = {"direct": [], "fired": [], "fired in one run": [], "replayed": []}
    for _slice in range(slices):
        for kind, all_ in rates.items():
            callers = together if kind == "fired in one run" else apart
            all_.append(_rate([partial(caller.ask, kind.split()[0]) for caller in callers], seconds))
    return rates


def _rate(asks: Sequence[Callable[[float], int]], seconds: float) -> float:
    """Calls a second of all together, from the first one's start to the last one's end."""
    made: list[int] = []
    failed: list[BaseException] = []
    began = time.monotonic()

    def work(ask: Callable[[float], int]) -> None:
        try:
            made.append(ask(began + seconds))
        except BaseException as error:  # noqa: BLE001  raised again below, in the thread that waits
            failed.append(error)

    threads = [threading.Thread(target=work, args=(ask,)) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return sum(made) / (time.monotonic() - began)
