"""The sidecar's promises, one by one: a real PostgreSQL, a real upstream that counts its effects, real HTTP between them."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
import trustme

from bot.errors import UnreachableError, UsageError
from bot.journal.runs import Journal
from bot.journal.steps import State, Step, run_id_of
from bot.journal.store import Store
from bot.postgres.embedded import SUPERUSER, Server
from bot.sealing import seal_of
from bot.sidecar import Options, Sidecar, parse_upstreams, serve
from tests.postgres.counting_upstream import Answer, CountingUpstream, counting_upstream
from tests.postgres.crash_sidecar import KEY

ROOT = Path(__file__).parents[2]
OURS = {"journal-replayed", "journal-run-id", "journal-step", "journal-completed-at", "journal-state"}


@dataclass
class Running:
    """A sidecar in a thread of this process, and a caller."""

    port: int
    url: str
    client: httpx.Client
    journal: Journal
    run: str = "r"
    said: list[str] = field(default_factory=list)

    def ask(self, step: int | None = 1, method: str = "POST", path: str = "/up/pay", **more: Any) -> httpx.Response:
        """Asks for a call; names of headers may be written with underscores."""
        content = more.pop("content", b"10 EUR" if method in ("POST", "PUT", "PATCH") else None)
        headers = {"Journal-Run": self.run} | ({} if step is None else {"Journal-Step": str(step)})
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        return self.client.request(method, path, content=content, headers=headers)

    def state(self, step: int = 1) -> str | None:
        rows = self.journal.store.steps(run_id_of(f"calls:{self.run}"))
        return next((row.state for row in rows if row.step_id == step), None)


@contextmanager
def running(url: str, upstream: CountingUpstream, journal: dict[str, Any] | None = None, **options: Any) -> Iterator[Running]:
    upstreams = parse_upstreams(
        [f"up={upstream.scheme}://127.0.0.1:{upstream.port}", f"based=http://127.0.0.1:{upstream.port}/base"],
        [f"http://127.0.0.1:{upstream.port}/free", "http://127.0.0.1:9"],
    )
    said: list[str] = []
    with closing(Journal(Store(url, patience_s=10), seal=seal_of(KEY), **(journal or {}))) as opened:
        sidecar = Sidecar(Options(upstreams=upstreams, port=0, stop_s=5, **options), opened, said.append)
        thread = threading.Thread(target=sidecar.run)
        thread.start()
        try:
            base = f"http://127.0.0.1:{sidecar.port}"
            with httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
                yield Running(sidecar.port, url, client, opened, said=said)
        finally:
            sidecar.stop()
            thread.join()
    assert said == []  # no fault of our own


@pytest.fixture(scope="module")
def shared_upstream() -> Iterator[CountingUpstream]:
    with counting_upstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(shared_upstream: CountingUpstream) -> CountingUpstream:
    shared_upstream.reset()
    return shared_upstream


@pytest.fixture(scope="module")
def shared_sidecar(server: Server, shared_upstream: CountingUpstream) -> Iterator[Running]:
    name = f"sidecar_{uuid.uuid4().hex}"
    with server.connect("postgres") as admin:
        admin.execute(f"CREATE DATABASE {name}".encode())
    with running(server.conninfo(name, user=SUPERUSER), shared_upstream, connect_timeout_s=2, upstream_timeout_s=5) as sidecar:
        yield sidecar
    with server.connect("postgres") as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def sidecar(shared_sidecar: Running, upstream: CountingUpstream) -> Running:
    """The sidecar that most tests share; each has a run of its own."""
    return replace(shared_sidecar, run=uuid.uuid4().hex)


def journals(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name in OURS - {"journal-run-id", "journal-completed-at"}}


def told(answer: httpx.Response) -> tuple[int, str | None, str | None]:
    return answer.status_code, answer.headers.get("journal-error"), answer.headers.get("journal-state")


def as_it_was(answer: httpx.Response) -> tuple[int, list[tuple[bytes, bytes]]]:
    kept = [(name, value) for name, value in answer.headers.raw if name.decode().lower() not in OURS]
    return answer.status_code, kept


# ── Once ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_call_is_made_once_and_answered_from_the_journal_after(sidecar: Running, upstream: CountingUpstream) -> None:
    answers = [sidecar.ask() for _time in range(3)]

    assert len(upstream.requests) == 1
    assert [a.text for a in answers] == ["number 1"] * 3
    assert [a.headers["journal-replayed"] for a in answers] == ["false", "true", "true"]
    assert {a.headers["journal-run-id"] for a in answers} == {str(run_id_of(f"calls:{sidecar.run}"))}
    assert answers[1].headers["journal-completed-at"] == answers[2].headers["journal-completed-at"]
    assert as_it_was(answers[0]) == as_it_was(answers[1])


def test_the_intent_is_journaled_before_the_call_is_sent(sidecar: Running, upstream: CountingUpstream) -> None:
    gate = threading.Event()
    upstream.answers = [Answer(wait=gate)]
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(sidecar.ask)
        upstream.arrived.acquire()
        assert sidecar.state() == State.IN_DOUBT
        gate.set()
        answer.result()

    assert sidecar.state() == State.DONE


METHODS = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "PROPFIND"]


@pytest.mark.parametrize("method", METHODS)
def test_every_method(sidecar: Running, upstream: CountingUpstream, method: str) -> None:
    answers = [sidecar.ask(method=method, path="/based/a%2Fb?q=%7B+%7D") for _time in range(2)]

    (got,) = upstream.requests
    assert (got.method, got.target) == (method, "/base/a%2Fb?q=%7B+%7D")
    assert [a.text for a in answers] == ["" if method == "HEAD" else "number 1"] * 2
    assert answers[0].headers["content-length"] == answers[1].headers["content-length"] == "8"
    assert got.values("host") == [f"127.0.0.1:{upstream.port}"]


# answers of all kinds: they come as they were, and come again as they were
KINDS: list[Answer] = [
    Answer(200, [("Content-Type", "application/octet-stream")], bytes(range(256)) * 9),
    Answer(200, [("Content-Encoding", "gzip"), ("Content-Type", "text/plain")], gzip.compress(b"hello", mtime=0)),
    Answer(201, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Latin", "\xe9")], b"x"),
    Answer(204, [("X-Empty", "yes")]),
    Answer(304, [("ETag", '"1"')]),
    Answer(302, [("Location", "http://127.0.0.1:9/elsewhere")], b"moved"),
    Answer(404, [], b"no such thing"),
    Answer(422, [("Content-Type", "application/problem+json")], b'{"title": "bad"}'),
    Answer(200, [], b""),
    Answer(200, [("X-Stream", "1")], None, [(b"one ", None), (b"two ", None), (b"three", None)]),
    Answer(200, [], bytes(300_000)),
    Answer(200, [("Date", "Thu, 01 Jan 1970 00:00:00 GMT"), ("Server", "theirs")], b"dated"),
]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.status}-{len(kind.headers)}-{len(kind.body or b'')}")
def test_an_answer_comes_as_it_was_and_comes_again(sidecar: Running, upstream: CountingUpstream, kind: Answer) -> None:
    upstream.answers = [kind]
    first, again = raw(sidecar), raw(sidecar)

    expected = kind.body if kind.chunks is None else b"".join(chunk for chunk, _when in kind.chunks)
    assert (first[0], first[2]) == (kind.status, expected or b"")
    assert [(n, v) for n, v in first[1] if n in dict(kind.headers)] == list(kind.headers)
    assert first == again
    assert len(upstream.requests) == 1


def raw(sidecar: Running, method: str = "POST") -> tuple[int, list[tuple[str, str]], bytes]:
    """Asked with a client that undoes nothing: status, headers without the journal's, body."""
    with closing(http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=20)) as connection:
        connection.request(method, "/up/pay", b"x", {"Journal-Run": sidecar.run, "Journal-Step": "1"})
        answer = connection.getresponse()
        headers = [(name, value) for name, value in answer.getheaders() if name.lower() not in OURS]
        return answer.status, headers, answer.read()


def test_a_request_goes_on_as_it_is_without_what_is_the_connections(sidecar: Running, upstream: CountingUpstream) -> None:
    sidecar.ask(Authorization="Bearer x", Content_Type="text/plain", Connection="X-Hop", X_Hop="1", Journal_Name="pay", X_Own="2")

    (got,) = upstream.requests
    names = {name.lower() for name, _value in got.headers}
    assert got.body == b"10 EUR"
    assert (got.values("authorization"), got.values("x-own"), got.values("content-length")) == (["Bearer x"], ["2"], ["6"])
    assert not {name for name in names if name.startswith("journal")} | (names & {"x-hop", "connection"})


def test_a_large_body_without_a_length_goes_on_with_one(sidecar: Running, upstream: CountingUpstream) -> None:
    sidecar.ask(content=iter([b"a" * 700_000] * 3))

    assert upstream.requests[0].values("content-length") == ["2100000"]
    assert upstream.requests[0].body == b"a" * 2_100_000


def test_by_name_by_url_and_as_a_proxy_it_is_the_same_call(sidecar: Running, upstream: CountingUpstream) -> None:
    by_url = sidecar.ask(path=f"/http://127.0.0.1:{upstream.port}/free/x?y=1")
    by_name = sidecar.ask(path="/up/free/x?y=1")
    with httpx.Client(proxy=f"http://127.0.0.1:{sidecar.port}", trust_env=False) as client:
        as_proxy = client.post(
            f"http://127.0.0.1:{upstream.port}/free/x?y=1",
            content=b"10 EUR",
            headers={"Journal-Run": sidecar.run, "Journal-Step": "1"},
        )

    assert [a.headers["journal-replayed"] for a in (by_url, by_name, as_proxy)] == ["false", "true", "true"]
    assert [got.target for got in upstream.requests] == ["/free/x?y=1"]


CHANGES: list[dict[str, Any]] = [
    {"method": "PUT"},
    {"path": "/up/pay?x"},
    {"content": b"11 EUR"},
    {"Content_Type": "text/csv"},
    {"Journal_Name": "x"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_another_call_at_the_same_step_is_409_and_not_made(sidecar: Running, upstream: CountingUpstream, change: Any) -> None:
    sidecar.ask()
    answer = sidecar.ask(**change)

    assert (answer.status_code, answer.headers["journal-error"]) == (409, "drift")
    assert answer.headers["content-type"] == "application/problem+json"
    assert re.search("Step 1 of run .* has another (name|request) than the journal holds", answer.json()["title"])
    assert len(upstream.requests) == 1


def test_https_is_used_with_a_certificate_that_is_trusted_and_not_with_another(
    journal_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    with counting_upstream(tls) as upstream:
        with running(journal_url, upstream) as sidecar:
            refused = sidecar.ask()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        with running(journal_url, upstream) as sidecar:
            answer = sidecar.ask()

    assert told(refused) == (502, "upstream", "not done")
    assert (answer.status_code, answer.text) == (201, "number 1")


def test_credentials_may_change_between_two_tries(sidecar: Running) -> None:
    answers = [sidecar.ask(Authorization=f"Bearer {n}", User_Agent=f"client/{n}") for n in range(2)]

    assert [a.headers["journal-replayed"] for a in answers] == ["false", "true"]


def test_of_two_that_ask_at_once_the_second_gets_the_replay(sidecar: Running, upstream: CountingUpstream) -> None:
    gate = threading.Event()
    upstream.answers = [Answer(wait=gate)]
    with ThreadPoolExecutor() as threads:
        asked = [threads.submit(sidecar.ask) for _n in range(6)]
        upstream.arrived.acquire()
        gate.set()
        answers = [one.result() for one in asked]

    assert len(upstream.requests) == 1
    assert {a.text for a in answers} == {"number 1"}
    assert sorted(a.headers["journal-replayed"] for a in answers) == ["false"] + ["true"] * 5


# ── What a status says of a call ─────────────────────────────────────────────────────────────────────────────────────────────

# status; the state then; the second ask: status, how often the upstream was asked in the end
OUTCOMES = [
    *((status, None, State.DONE, status, 1) for status in (200, 301, 400, 401, 404, 409, 422, 501, 505)),
    *((status, "not done", State.NOT_DONE, 201, 2) for status in (425, 429, 503)),
    *((status, "in doubt", State.IN_DOUBT, 409, 1) for status in (408, 500, 502, 504)),
]


@pytest.mark.parametrize(("status", "said", "state", "then", "asked"), OUTCOMES)
def test_what_a_status_says_of_a_call(
    sidecar: Running, upstream: CountingUpstream, status: int, said: str | None, state: State, then: int, asked: int
) -> None:
    upstream.answers = [Answer(status, [("Retry-After", "7")], b"as it was")]
    first = sidecar.ask()

    assert (first.status_code, first.text, first.headers["retry-after"]) == (status, "as it was", "7")
    assert first.headers.get("journal-state") == said
    assert sidecar.state() == state
    assert sidecar.ask().status_code == then
    assert len(upstream.requests) == asked


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_method_is_repeated_without_asking(sidecar: Running, upstream: CountingUpstream, method: str) -> None:
    upstream.answers = [Answer(500), Answer(200, body=b"")]
    answers = [sidecar.ask(method=method) for _time in range(3)]

    assert [a.status_code for a in answers] == [500, 200, 200]
    assert len(upstream.requests) == 2


def test_in_doubt_is_explained_and_repeated_only_with_permission_and_the_same_key(
    sidecar: Running, upstream: CountingUpstream
) -> None:
    upstream.answers = [Answer(500)]
    sidecar.ask()
    refused = sidecar.ask()
    repeated = sidecar.ask(Journal_In_Doubt="repeat")

    assert told(refused) == (409, "in-doubt", "in doubt")
    assert "The upstream answered with 500" in refused.json()["detail"]
    assert "Journal-In-Doubt: repeat" in refused.json()["advice"]
    assert (repeated.status_code, repeated.headers["journal-replayed"]) == (201, "false")
    assert len({got.key for got in upstream.requests}) == 1
    assert upstream.requests[0].key


def test_the_callers_own_key_is_sent_and_the_first_one_wins(sidecar: Running, upstream: CountingUpstream) -> None:
    upstream.answers = [Answer(500), Answer(503)]
    for key in ("mine-1", "mine-2", "mine-3"):
        sidecar.ask(Idempotency_Key=key, Journal_In_Doubt="repeat")

    assert [got.key for got in upstream.requests] == ["mine-1"] * 3


def test_two_steps_have_two_keys_and_a_get_has_none(sidecar: Running, upstream: CountingUpstream) -> None:
    for step, method in ((1, "POST"), (2, "POST"), (3, "GET")):
        sidecar.ask(step, method)

    first, second, third = upstream.requests
    assert first.key != second.key
    assert third.values("idempotency-key") == []


# what happens to the connection -> status, state, how many effects
BROKEN = [("before", 0), ("after", 1), ("middle", 1)]


@pytest.mark.parametrize(("drop", "effects"), BROKEN)
def test_a_connection_that_breaks_leaves_the_call_in_doubt(
    sidecar: Running, upstream: CountingUpstream, drop: str, effects: int
) -> None:
    upstream.answers = [Answer(drop=drop)]

    assert told(sidecar.ask()) == (502, "upstream", "in doubt")
    assert (sidecar.state(), len(upstream.effects)) == (State.IN_DOUBT, effects)
    assert sidecar.ask().status_code == 409
    assert len(upstream.requests) == 1


def test_an_upstream_that_can_t_be_reached_surely_had_no_effect(sidecar: Running) -> None:
    answer = sidecar.ask(path="/http://127.0.0.1:9/x")

    assert (answer.status_code, answer.headers["journal-state"]) == (502, "not done")
    assert answer.json()["title"] == "http://127.0.0.1:9 could not be reached; nothing was sent."
    assert sidecar.state() == State.NOT_DONE


def test_an_upstream_that_takes_too_long_leaves_the_call_in_doubt(journal_url: str, upstream: CountingUpstream) -> None:
    gate = threading.Event()
    upstream.answers = [Answer(wait=gate)]
    with running(journal_url, upstream, upstream_timeout_s=0.3) as sidecar:
        answer = sidecar.ask()
        gate.set()

    assert (answer.status_code, answer.headers["journal-state"]) == (504, "in doubt")


def test_the_classes_of_statuses_can_be_chosen(journal_url: str, upstream: CountingUpstream) -> None:
    upstream.answers = [Answer(500), Answer(429)]
    with running(journal_url, upstream, not_done=frozenset({500}), in_doubt=frozenset()) as sidecar:
        states = [(sidecar.ask().status_code, sidecar.state()) for _time in range(3)]

    assert states == [(500, State.NOT_DONE), (429, State.DONE), (429, State.DONE)]


# ── Streams ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_answer_is_passed_on_as_it_comes_and_its_end_once_it_is_journaled(
    journal_url: str, upstream: CountingUpstream
) -> None:
    more, ended, early = threading.Event(), threading.Event(), []

    def at(_step: Step, point: str) -> None:
        if point == "after effect":
            early.append(ended.wait(0.3))

    upstream.answers = [Answer(200, chunks=[(b"one", None), (b"two", None), (b"end", more)])]
    with running(journal_url, upstream, {"at": at}) as sidecar:
        headers = {"Journal-Run": "r", "Journal-Step": "1"}
        with sidecar.client.stream("POST", "/up/x", content=b"", headers=headers) as answer:
            chunks = answer.iter_raw()
            assert answer.headers["journal-replayed"] == "false"
            assert next(chunks) == b"one"
            assert sidecar.state() == State.IN_DOUBT
            more.set()
            assert next(chunks) == b"two"
            assert next(chunks) == b"end"
            ended.set()
            assert sidecar.state() == State.DONE
        assert sidecar.ask(path="/up/x", content=b"").content == b"onetwoend"

    assert early == [False]


def test_a_stream_that_breaks_is_broken_for_the_caller_too(sidecar: Running, upstream: CountingUpstream) -> None:
    upstream.answers = [Answer(200, body=bytes(4_000_000), drop="middle")]
    with pytest.raises(httpx.RemoteProtocolError):
        sidecar.ask()

    assert sidecar.state() == State.IN_DOUBT
    assert sidecar.ask().headers["journal-error"] == "in-doubt"


def test_a_caller_that_goes_does_not_stop_its_call(sidecar: Running, upstream: CountingUpstream) -> None:
    gate = threading.Event()
    upstream.answers = [Answer(200, body=bytes(2_000_000), wait=gate)]
    with contextlib.suppress(httpx.ReadTimeout):
        sidecar.client.post("/up/pay", content=b"10 EUR", headers={"Journal-Run": sidecar.run, "Journal-Step": "1"}, timeout=0.3)
    gate.set()

    answer = sidecar.ask()
    assert (answer.headers["journal-replayed"], len(answer.content)) == ("true", 2_000_000)
    assert len(upstream.requests) == 1


def test_a_caller_that_reads_nothing_does_not_hold_up_the_journal(journal_url: str, upstream: CountingUpstream) -> None:
    upstream.answers = [Answer(200, body=bytes(14_000_000))]
    with running(journal_url, upstream, caller_stall_s=0.3) as sidecar:
        address = ("127.0.0.1", sidecar.port)
        with socket.create_connection(address) as lazy:
            lazy.sendall(b"POST /up/pay HTTP/1.1\r\nHost: 127.0.0.1\r\nJournal-Run: r\r\nJournal-Step: 1\r\n")
            lazy.sendall(b"Content-Length: 1\r\n\r\nx")
            answer = sidecar.ask(content=b"x")

    assert (answer.headers["journal-replayed"], len(answer.content)) == ("true", 14_000_000)


def test_a_caller_that_can_t_tell_a_broken_answer_gets_it_whole(sidecar: Running, upstream: CountingUpstream) -> None:
    upstream.answers = [Answer(200, chunks=[(b"one", None), (b"two", None)])]
    with socket.create_connection(("127.0.0.1", sidecar.port)) as old:
        old.sendall(f"POST /up/pay HTTP/1.0\r\nJournal-Run: {sidecar.run}\r\nJournal-Step: 1\r\n\r\n".encode())
        answer = b"".join(iter(lambda: old.recv(65536), b""))

    assert b"Journal-Completed-At" in answer  # the whole answer waited for the journal
    assert answer.endswith(b"onetwo")


def test_an_answer_that_is_too_large_is_passed_on_and_not_kept(journal_url: str, upstream: CountingUpstream) -> None:
    upstream.answers = [Answer(200, body=b"x" * 2000)]
    with running(journal_url, upstream, max_response=1000) as sidecar:
        first, again = sidecar.ask(), sidecar.ask()

    assert first.content == b"x" * 2000
    assert (again.status_code, again.headers["journal-error"]) == (409, "not-kept")
    assert "its answer of 2000 bytes was not kept" in again.json()["title"]
    assert len(upstream.requests) == 1


def test_a_body_that_is_too_large_is_refused_before_anything_happens(journal_url: str, upstream: CountingUpstream) -> None:
    with running(journal_url, upstream, max_body=1000) as sidecar:
        answers = [
            sidecar.ask(content=b"x" * 1001),
            sidecar.ask(content=iter([b"x" * 600] * 2)),
            sidecar.ask(content=b"x" * 1000),
        ]

    assert [a.status_code for a in answers] == [413, 413, 201]


# ── Numbering ────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_without_numbers_calls_are_matched_in_order_of_arrival(sidecar: Running, upstream: CountingUpstream) -> None:
    lives = [[sidecar.ask(None, content=c, Journal_Attempt=life) for c in (b"a", b"b", b"b")] for life in ("one", "two")]
    further = sidecar.ask(None, content=b"c", Journal_Attempt="two")

    assert [[a.headers["journal-step"] for a in life] for life in lives] == [["1", "2", "3"]] * 2
    assert [[a.text for a in life] for life in lives] == [["number 1", "number 2", "number 3"]] * 2
    assert (further.headers["journal-step"], further.headers["journal-replayed"]) == ("4", "false")
    assert len(upstream.requests) == 4


def test_with_a_run_alone_the_sidecars_life_is_taken_for_the_callers(journal_url: str, upstream: CountingUpstream) -> None:
    lives = []
    for _life in range(2):
        with running(journal_url, upstream) as sidecar:
            lives.append([sidecar.ask(None, content=c) for c in (b"a", b"b")])

    assert [[a.headers["journal-step"] for a in life] for life in lives] == [["1", "2"]] * 2
    assert [[a.headers["journal-replayed"] for a in life] for life in lives] == [["false"] * 2, ["true"] * 2]
    assert len(upstream.requests) == 2


def test_with_a_run_alone_a_call_made_again_may_be_a_caller_started_anew(sidecar: Running, upstream: CountingUpstream) -> None:
    sidecar.ask(None)
    again = sidecar.ask(None)
    anew = sidecar.ask(None, Journal_Attempt="two")

    assert (again.status_code, again.headers["journal-error"]) == (409, "numbering")
    assert "new Journal-Attempt" in again.json()["advice"]
    assert (anew.headers["journal-step"], anew.headers["journal-replayed"]) == ("1", "true")
    assert len(upstream.requests) == 1


# how the first try ends -> what the same call gets when it is asked again, and how many effects there are
TRIED_AGAIN = [
    (Answer(503), 201, 2),
    (Answer(500), 409, 1),
    (Answer(drop="after"), 409, 1),
]


@pytest.mark.parametrize(("first", "then", "effects"), TRIED_AGAIN)
def test_a_library_that_tries_again_asks_for_the_same_step(
    sidecar: Running, upstream: CountingUpstream, first: Answer, then: int, effects: int
) -> None:
    upstream.answers = [first]
    sidecar.ask(None, Journal_Attempt="one")
    again = sidecar.ask(None, Journal_Attempt="one")
    other = sidecar.ask(None, Journal_Attempt="one", content=b"another")

    assert again.status_code == then
    assert other.headers["journal-step"] == "2"
    assert len(upstream.effects) == effects + 1


def test_who_lost_patience_and_asks_again_gets_the_same_step(sidecar: Running, upstream: CountingUpstream) -> None:
    gate = threading.Event()
    upstream.answers = [Answer(wait=gate)]
    headers = {"Journal-Run": sidecar.run, "Journal-Attempt": "one"}
    with pytest.raises(httpx.ReadTimeout):
        sidecar.client.post("/up/pay", content=b"10 EUR", headers=headers, timeout=0.3)
    with ThreadPoolExecutor() as threads:
        again = threads.submit(sidecar.ask, None, Journal_Attempt="one")
        gate.set()
        answer = again.result()

    assert (answer.headers["journal-step"], answer.headers["journal-replayed"]) == ("1", "true")
    assert len(upstream.requests) == 1


def test_who_does_something_else_than_before_is_stopped(sidecar: Running, upstream: CountingUpstream) -> None:
    for content in (b"a", b"b"):
        sidecar.ask(None, Journal_Attempt="one", content=content)
    answers = [sidecar.ask(None, Journal_Attempt="two", content=content) for content in (b"a", b"other", b"b")]

    assert [a.status_code for a in answers] == [201, 409, 409]
    assert [a.headers.get("journal-error") for a in answers] == [None, "drift", "numbering"]
    assert len(upstream.requests) == 2


def test_a_numbering_that_was_lost_in_a_restart_is_never_begun_again(journal_url: str, upstream: CountingUpstream) -> None:
    with running(journal_url, upstream) as sidecar:
        sidecar.ask(None, Journal_Attempt="one")
    with running(journal_url, upstream) as sidecar:
        lost = sidecar.ask(None, Journal_Attempt="one")
        anew = sidecar.ask(None, Journal_Attempt="two")

    assert (lost.status_code, lost.headers["journal-error"]) == (409, "numbering")
    assert "new Journal-Attempt" in lost.json()["advice"]
    assert anew.headers["journal-replayed"] == "true"
    assert len(upstream.requests) == 1


# ── What is refused ──────────────────────────────────────────────────────────────────────────────────────────────────────────

# what is asked -> status, code, a part of what is said
REFUSED: list[tuple[dict[str, Any], int, str, str]] = [
    ({"Journal_Step": "0"}, 400, "bad-header", "not a number from 1 on"),
    ({"Journal_Step": "one"}, 400, "bad-header", "not a number from 1 on"),
    ({"Journal_In_Doubt": "maybe"}, 400, "bad-header", "neither repeat nor refuse"),
    ({"Journal_Name": "x" * 300}, 400, "bad-header", "more than 256 characters"),
    ({"Journal_Run": ""}, 400, "bad-header", "Journal-Run is missing"),
    ({"path": "/nobody/x"}, 404, "no-such-upstream", "no upstream's name"),
    ({"path": "/https://elsewhere.example.org/x"}, 403, "not-allowed", "not allowed"),
    ({"path": "/based/%2e%2e/x"}, 400, "bad-target", "as a segment"),
    ({"Upgrade": "websocket", "Connection": "Upgrade", "method": "GET"}, 501, "tunnel", "no tunnels"),
    ({"Host": "evil.example.org"}, 421, "host", "names another machine"),
]


@pytest.mark.parametrize(("asked", "status", "code", "said"), REFUSED)
def test_what_is_refused_is_explained(
    sidecar: Running, upstream: CountingUpstream, asked: dict[str, Any], status: int, code: str, said: str
) -> None:
    answer = sidecar.ask(**asked)

    assert (answer.status_code, answer.headers["journal-error"], answer.json()["status"]) == (status, code, status)
    assert said in answer.json()["title"]
    assert answer.json()["advice"]
    assert "journal-replayed" not in answer.headers
    assert upstream.requests == []


def test_connect_is_refused(sidecar: Running) -> None:
    with socket.create_connection(("127.0.0.1", sidecar.port)) as plain:
        plain.sendall(b"CONNECT api.example.org:443 HTTP/1.1\r\nHost: api.example.org:443\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: plain.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 501")
    assert b"no tunnels" in answer


def test_a_client_that_offers_http2_is_answered_without(sidecar: Running, upstream: CountingUpstream) -> None:
    answer = sidecar.ask(Upgrade="h2c", Connection="Upgrade, HTTP2-Settings", HTTP2_Settings="AAMAAABkAAQ")

    assert answer.status_code == 201
    assert upstream.requests[0].values("upgrade") == []


def test_no_page_in_a_browser_may_read_an_answer(sidecar: Running) -> None:
    answer = sidecar.ask(Origin="https://evil.example.org")

    assert [name for name in answer.headers if name.startswith("access-control")] == []


def test_with_a_token_only_who_knows_it_is_served(journal_url: str, upstream: CountingUpstream) -> None:
    with running(journal_url, upstream, token="s3cret-token") as sidecar:
        answers = [
            sidecar.ask(),
            sidecar.ask(Journal_Token="wrong"),
            sidecar.ask(Journal_Token="s3cret-token", Host="sidecar.internal"),
        ]
        health = sidecar.client.get("/healthz")

    assert [a.status_code for a in answers] == [401, 401, 201]
    assert health.status_code == 200
    assert upstream.requests[0].values("journal-token") == []


def test_what_it_will_not_start_with(journal_url: str, upstream: CountingUpstream) -> None:
    options = Options(upstreams=parse_upstreams([f"up=http://127.0.0.1:{upstream.port}"], []), port=0)
    with closing(Journal(Store(journal_url))) as unsealed, pytest.raises(UsageError, match="needs a key for its journal"):
        serve(options, unsealed)
    with (
        closing(Journal(Store(journal_url), seal=seal_of(KEY), go_on=True)) as careless,
        pytest.raises(UsageError, match="can't go on without its journal"),
    ):
        serve(options, careless)
    with closing(Journal(Store(journal_url), seal=seal_of(KEY))) as journal, socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(UsageError, match="can't be listened on"):
            serve(replace(options, port=taken.getsockname()[1]), journal)
        with pytest.raises(UsageError, match="everybody who can reach it"):
            serve(replace(options, host="0.0.0.0"), journal)


# ── When the journal is away ─────────────────────────────────────────────────────────────────────────────────────────────────


def end_connections(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_connections_that_break_between_any_two_points_are_made_again(journal_url: str, upstream: CountingUpstream) -> None:
    with running(journal_url, upstream, {"at": lambda _step, _point: end_connections(journal_url)}) as sidecar:
        answers = [sidecar.ask(step) for step in (1, 2, 1)]

    assert [a.status_code for a in answers] == [201] * 3
    assert len(upstream.requests) == 2


def test_without_the_journal_nothing_is_sent_and_afterwards_all_goes_on(journal_url: str, upstream: CountingUpstream) -> None:
    with running(journal_url, upstream) as sidecar:
        store = sidecar.journal.store
        asked = store._patiently
        store._patiently = away  # type: ignore[assignment]
        answers = [sidecar.ask(), sidecar.ask(None, Journal_Attempt="one"), sidecar.client.get("/healthz")]
        assert [(a.status_code, a.headers["journal-error"]) for a in answers] == [(503, "journal-away")] * 3
        assert answers[0].headers["retry-after"]
        assert upstream.requests == []

        store._patiently = asked  # type: ignore[method-assign]
        assert sidecar.client.get("/healthz").status_code == 200
        assert sidecar.ask(None, Journal_Attempt="one").status_code == 201


def test_a_result_that_could_not_be_journaled_is_in_doubt_and_not_handed_out(
    journal_url: str, upstream: CountingUpstream
) -> None:
    stores: list[Any] = []

    def at(_step: Step, point: str) -> None:
        if point == "after effect":
            stores[0]._patiently = away

    with running(journal_url, upstream, {"at": at}) as sidecar:
        stores.append(sidecar.journal.store)
        asked = sidecar.journal.store._patiently
        answer = sidecar.ask()
        sidecar.journal.store._patiently = asked  # type: ignore[method-assign]
        again = sidecar.ask()

    assert told(answer) == (503, "unrecorded", "in doubt")
    assert told(again) == (409, "in-doubt", "in doubt")
    assert len(upstream.requests) == 1


def test_in_doubt_stays_in_doubt_when_a_lease_could_not_be_released(journal_url: str, upstream: CountingUpstream) -> None:
    upstream.answers = [Answer(500)]
    with running(journal_url, upstream, idle_s=0) as sidecar:
        store = sidecar.journal.store
        release, tried = store.release, threading.Event()

        def lost(*_arguments: Any, **_more: Any) -> None:
            tried.set()
            raise UnreachableError("gone")

        store.release = lost  # type: ignore[method-assign]
        sidecar.ask()
        tried.wait(20)
        store.release = release  # type: ignore[method-assign]

        assert sidecar.ask().headers["journal-error"] == "in-doubt"
    assert len(upstream.requests) == 1


def away(_work: Any, _patience_s: float | None = None) -> Any:
    raise UnreachableError("The journal does not answer.")


# ── Two sidecars ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_two_sidecars_on_one_journal_make_a_call_once(journal_url: str, upstream: CountingUpstream) -> None:
    with (
        running(journal_url, upstream, idle_s=0.1) as one,
        running(journal_url, upstream, idle_s=0.1) as two,
        ThreadPoolExecutor() as threads,
    ):
        asked = [threads.submit(s.ask, step) for step in (1, 2, 3) for s in (one, two)]
        answers = [a.result() for a in asked]

    assert [a.status_code for a in answers] == [201] * 6
    assert [a.headers["journal-replayed"] for a in answers].count("false") == 3
    assert len(upstream.requests) == 3


def test_a_run_that_another_sidecar_keeps_busy_is_503(journal_url: str, upstream: CountingUpstream) -> None:
    with running(journal_url, upstream, idle_s=60) as one, running(journal_url, upstream, patience_s=0) as two:
        one.ask()
        answer = two.ask()
        assert (answer.status_code, answer.headers["journal-error"]) == (503, "busy")
        assert two.ask(Journal_Run="another").status_code == 201


def test_a_sidecar_that_was_taken_over_takes_the_run_again(journal_url: str, upstream: CountingUpstream) -> None:
    with running(journal_url, upstream, idle_s=60) as sidecar:
        sidecar.ask()
        with psycopg.connect(journal_url) as connection:
            connection.execute("UPDATE runs SET token = token + 1, holder = NULL, lease_until = NULL")
        answers = [sidecar.ask(2), sidecar.ask(2)]

    assert [(a.status_code, a.headers.get("journal-error")) for a in answers] == [(503, "fenced"), (201, None)]
    assert len(upstream.requests) == 2


# ── Crashes ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def child(url: str, upstream: CountingUpstream, port: int = 0, point: str = "") -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A sidecar in a process of its own, killed at a point; gives it, and where it listens."""
    command = [sys.executable, "-m", "tests.postgres.crash_sidecar", url, str(port), str(upstream.port), point]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            line = process.stderr.readline()
            found = re.search(r"listening on http://127\.0\.0\.1:(\d+); calls may go to up \(http://127\.0\.0\.1:\d+\)$", line)
            assert found, line + process.stderr.read()
            yield process, int(found[1])
        finally:
            process.kill()


def post(port: int, in_doubt: str) -> httpx.Response:
    headers = {"Journal-Run": "r", "Journal-Step": "1", "Journal-In-Doubt": in_doubt}
    return httpx.post(f"http://127.0.0.1:{port}/up/pay", content=b"10 EUR", headers=headers, trust_env=False, timeout=30)


# where the sidecar is killed; may the call be repeated -> what the caller gets from the next one; effects at an upstream that
# honours Idempotency-Key. Killed between intent and result nobody knows whether the call was sent: refused, there is at most
# one effect (none, where it had not been sent yet), never two.
KILLED = [
    ("before intent", "refuse", 201, 1),
    ("after intent", "refuse", 409, 0),
    ("after effect", "refuse", 409, 1),
    ("after result", "refuse", 201, 1),
    ("before intent", "repeat", 201, 1),
    ("after intent", "repeat", 201, 1),
    ("after effect", "repeat", 201, 1),
    ("after result", "repeat", 201, 1),
]


@pytest.mark.parametrize(("point", "in_doubt", "status", "effects"), KILLED)
def test_killed_at_any_point_a_call_has_at_most_one_effect(
    journal_url: str, upstream: CountingUpstream, point: str, in_doubt: str, status: int, effects: int
) -> None:
    upstream.honours = True
    with child(journal_url, upstream, point=point) as (process, port):
        with pytest.raises(httpx.TransportError):
            post(port, in_doubt)
        assert process.wait(20) == -signal.SIGKILL
    with child(journal_url, upstream, port) as (process, port):
        answers = [post(port, in_doubt) for _time in range(2)]

    assert [a.status_code for a in answers] == [status] * 2
    assert len(upstream.effects) == effects
    assert len({got.key for got in upstream.requests}) <= 1
    assert answers[-1].text == "number 1" if status == 201 else answers[-1].headers["journal-error"] == "in-doubt"


def test_stopped_with_sigterm_it_ends_the_calls_under_way_and_a_new_one_replays_them(
    journal_url: str, upstream: CountingUpstream
) -> None:
    gate = threading.Event()
    upstream.answers = [Answer(200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")], bytes(range(256)) * 500, wait=gate)]
    with child(journal_url, upstream) as (process, port), ThreadPoolExecutor() as threads:
        first = threads.submit(post, port, "refuse")
        upstream.arrived.acquire()
        process.send_signal(signal.SIGTERM)
        gate.set()
        answer = first.result()
        assert process.wait(20) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    with psycopg.connect(journal_url) as connection:
        assert connection.execute("SELECT holder FROM runs").fetchall() == [(None,)]
    with child(journal_url, upstream, port) as (_process, port):
        again = post(port, "refuse")

    assert (as_it_was(answer), answer.content) == (as_it_was(again), again.content)
    assert again.headers["journal-replayed"] == "true"
    assert len(upstream.requests) == 1


def test_a_call_that_does_not_end_does_not_hold_up_a_stop(journal_url: str, upstream: CountingUpstream) -> None:
    gate = threading.Event()
    upstream.answers = [Answer(wait=gate)]
    with child(journal_url, upstream) as (process, port), ThreadPoolExecutor() as threads:
        lost = threads.submit(post, port, "refuse")
        upstream.arrived.acquire()
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        answer = lost.result()
    gate.set()
    with child(journal_url, upstream) as (_process, port):
        again = post(port, "refuse")

    assert [told(a) for a in (answer, again)] == [(503, "stopped", "in doubt"), (409, "in-doubt", "in doubt")]
    assert len(upstream.requests) == 1


# ── Secrets, and what is counted ─────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_secret_lies_in_the_journal_in_clear(journal_url: str, upstream: CountingUpstream) -> None:
    upstream.answers = [
        Answer(200, [("X-Secret", "hush-header")], b"hush-answer"),
        Answer(500, [], b"hush-error"),
        Answer(drop="after"),
    ]
    with running(journal_url, upstream) as sidecar:
        for step in (1, 2, 3):
            sidecar.ask(step, path="/based/hush-path?k=hush-query", content=b"hush-body", Authorization="Bearer hush-token")
    with psycopg.connect(journal_url) as connection:
        tables = [row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")]
        text = "\n".join(
            str(row) for table in tables for row in connection.execute(f'SELECT t::text FROM "{table}" AS t'.encode())
        )

    assert {"journal", "runs"} <= set(tables)
    assert "POST http://127.0.0.1" in text
    assert "hush" not in text
    assert "aHVzaC" not in text  # the same in base64


def test_calls_are_counted_by_upstream_and_outcome(journal_url: str, upstream: CountingUpstream) -> None:
    upstream.answers = [Answer(200), Answer(500), Answer(429)]
    with running(journal_url, upstream) as sidecar:
        for step in (1, 1, 2, 2, 3):
            sidecar.ask(step)
        sidecar.ask(4, path=f"/http://127.0.0.1:{upstream.port}/free")
        sidecar.ask(5, path="/nobody/secret-path")
        text = sidecar.client.get("/metrics").text

    counted = dict(re.findall(r"^migration_rehearsal_sidecar_calls_total\{(.*)\} (.*)$", text, re.MULTILINE))
    assert counted == {
        'outcome="fired",upstream="up"': "1.0",
        'outcome="replayed",upstream="up"': "1.0",
        'outcome="in_doubt",upstream="up"': "1.0",
        'outcome="refused",upstream="up"': "1.0",
        'outcome="not_done",upstream="up"': "1.0",
        'outcome="fired",upstream="url"': "1.0",
        'outcome="refused",upstream="none"': "1.0",
    }
    assert 'migration_rehearsal_sidecar_upstream_seconds_count{upstream="up"} 3.0' in text
    assert "migration_rehearsal_sidecar_calls_in_flight 0.0" in text
    assert "secret-path" not in text


# ── The examples ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", [[sys.executable, "examples/sidecar/client.py"], ["sh", "examples/sidecar/client.sh"]])
def test_the_examples_work(sidecar: Running, upstream: CountingUpstream, command: list[str]) -> None:
    environment = {"SIDECAR": f"http://127.0.0.1:{sidecar.port}/up", "RUN": sidecar.run, "PATH": "/usr/bin:/bin"}
    outputs = [
        subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=30).stdout
        for _time in range(2)
    ]

    assert len(upstream.effects) == 2
    assert outputs[0].count("replayed: false") == outputs[1].count("replayed: true") == 2
    assert json.dumps(outputs[0]).replace("false", "true") == json.dumps(outputs[1])
