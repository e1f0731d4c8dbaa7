"""What may be called through the sidecar: URLs taken apart, and the tricks with them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import UsageError
from bot.sidecar.app import is_host_of_ours
from bot.sidecar.asking import end_to_end, forwarded
from bot.sidecar.numbering import Numbering
from bot.sidecar.options import Options, parse_limit, parse_listen, parse_statuses, parse_timeout
from bot.sidecar.refusals import NumberingError, RefusedError
from bot.sidecar.upstreams import Upstreams, parse_upstreams

ALL = parse_upstreams(
    ["api=https://api.example.org/base/", "bare=http://127.0.0.1:8080", "six=https://[0:0::1]:443"],
    ["https://allowed.example.org/v1", "http://open.example.org"],
)

# path, query -> the URL that is called
FOUND = [
    ("/api/x", "", "https://api.example.org/base/x"),
    ("/api", "", "https://api.example.org/base"),
    ("/api/", "a=1", "https://api.example.org/base/?a=1"),
    ("/api//x", "", "https://api.example.org/base//x"),
    ("/api/a%2Fb%20c", "q=%7B%7D&r=a+b", "https://api.example.org/base/a%2Fb%20c?q=%7B%7D&r=a+b"),
    ("/api/https://elsewhere.org/x", "", "https://api.example.org/base/https://elsewhere.org/x"),
    ("/api/a{b}|c", "", "https://api.example.org/base/a{b}|c"),
    ("/bare", "", "http://127.0.0.1:8080/"),
    ("/bare", "x=1", "http://127.0.0.1:8080/?x=1"),
    ("/six/y", "", "https://[::1]/y"),
    ("/https://allowed.example.org/v1", "", "https://allowed.example.org/v1"),
    ("/https://allowed.example.org/v1/x", "y=1", "https://allowed.example.org/v1/x?y=1"),
    ("/HTTPS://Allowed.Example.ORG:443/v1/x", "", "https://allowed.example.org/v1/x"),
    ("/http://open.example.org", "", "http://open.example.org/"),
    ("/http://open.example.org:80/", "u=http://x", "http://open.example.org/?u=http://x"),
    ("http://open.example.org/absolute", "form=1", "http://open.example.org/absolute?form=1"),
]

# path -> the status of the refusal
REFUSED = [
    ("/", 404),
    ("/nobody/x", 404),
    ("/API/x", 404),
    ("//api.example.org/x", 404),
    ("//https://allowed.example.org/v1/x", 404),
    ("*", 404),
    ("api/x", 404),
    ("/https://elsewhere.org/v1/x", 403),
    ("/http://allowed.example.org/v1/x", 403),
    ("/https://allowed.example.org:8443/v1/x", 403),
    ("/https://allowed.example.org./v1/x", 400),
    ("/https://allowed.example.org/v10", 403),
    ("/https://allowed.example.org/v1;x", 403),
    ("/https://allowed.example.org/%761/x", 403),
    ("/https://allowed.example.org//v1/x", 403),
    ("/https://allowed.example.org", 403),
    ("/https://allowed.example.org.evil.org/v1/x", 403),
    ("/https://allowed.example.org@evil.org/v1/x", 400),
    ("/https://user:hunter2@allowed.example.org/v1/x", 400),
    ("/https://allowed.example.org:x/v1", 400),
    ("/https://allowed.example.org:99999/v1", 400),
    ("/https://allowed.example.org\\@evil.org/v1/x", 400),
    ("/https:/allowed.example.org/v1/x", 400),
    ("/https:///allowed.example.org/v1/x", 400),
    ("/https://[::1/v1", 400),
    ("/https://[12]/v1", 400),
    ("/https://allowed.example.org/v1#/x", 400),
    ("/https%3A%2F%2Fallowed.example.org/v1", 404),
    *(
        (f"{below}/{trick}", 400)
        for below in ("/api", "/https://allowed.example.org/v1")
        for trick in (
            "..", "../x", "a/../../x", "./x", "%2e%2e/x", "%2E./x", ".%2e", "..%2fx", "a%2f..%2f..%2fx", "..%5cx", "..\\x",
            "..;a=b/x", "%252e%252e/x", "%25252e%25252e%25252fx", "a#b",
        )
    ),
]  # fmt: skip


@pytest.mark.parametrize(("path", "query", "url"), FOUND)
def test_where_a_call_goes(path: str, query: str, url: str) -> None:
    assert ALL.find(path.encode(), query.encode()).url == url


@pytest.mark.parametrize(("path", "status"), REFUSED)
def test_where_no_call_goes(path: str, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        ALL.find(path.encode(), b"")
    assert refused.value.status == status
    assert "hunter2" not in str(refused.value)


@given(st.text(alphabet="/.:%@#\\;?25efEF[]ahtps", max_size=40))
def test_no_path_leads_out_of_what_is_allowed(path: str) -> None:
    try:
        target = ALL.find(f"/https://allowed.example.org{path}".partition("?")[0].encode(), b"")
    except RefusedError:
        return
    assert str(target.origin) == "https://allowed.example.org"
    assert target.line == "/v1" or target.line.startswith("/v1/")


def test_bytes_that_are_not_ascii_are_refused() -> None:
    with pytest.raises(RefusedError, match="not ASCII"):
        ALL.find("/api/ä".encode(), b"")


# what is given as --upstream, --allow -> what is said
WRONG = [
    ([], [], "Nothing may be called"),
    (["x"], [], "no name that can be used"),
    (["=https://h"], [], "no name that can be used"),
    (["healthz=https://h"], [], "no name that can be used"),
    (["a b=https://h"], [], "no name that can be used"),
    (["x=ftp://h"], [], "no absolute http or https URL"),
    (["x=https://h/a?b=secret"], [], "no absolute http or https URL"),
    (["x=https://u:secret@h/"], [], "no user and no password"),
    (["x=https://h/../a"], [], "Write its path plainly"),
    (["x=https://h", "x=https://i"], [], "two upstreams with the name x"),
    ([], ["h/v1"], "no absolute http or https URL"),
    ([], ["https://ä.org"], "no absolute http or https URL"),
]


@pytest.mark.parametrize(("named", "allowed", "said"), WRONG)
def test_a_wrong_upstream_is_said_and_not_shown(named: list[str], allowed: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said) as wrong:
        parse_upstreams(named, allowed)
    assert "secret" not in str(wrong.value)


def test_the_line_at_the_start_shows_no_path() -> None:
    shown = parse_upstreams(["bot=https://api.example.org/bot123:secret"], ["https://h/secret"]).shown()

    assert shown == "bot (https://api.example.org), https://h/…"
    assert "secret" not in repr(parse_upstreams(["bot=https://api.example.org/secret"], []))


# ── The rest of the command line ─────────────────────────────────────────────────────────────────────────────────────────────


def test_addresses_sizes_times_and_statuses_are_understood() -> None:
    assert [parse_listen(text) for text in ("127.0.0.1:8377", "[::1]:0", "localhost:80")] == [
        ("127.0.0.1", 8377),
        ("::1", 0),
        ("localhost", 80),
    ]
    assert [parse_limit(text, "--max-body") for text in ("64M", "1 GiB", "10", "2kB")] == [64 * 2**20, 2**30, 10, 2048]
    assert parse_statuses("425, 429,503", "--not-done") == {425, 429, 503}
    assert parse_statuses("", "--not-done") == frozenset()
    assert parse_timeout("0.5", "--timeout") == 0.5


@pytest.mark.parametrize("text", ["8377", ":8377", "::1:8377", "h:x", "h:70000", "[h]:1:2"])
def test_a_wrong_address_is_said(text: str) -> None:
    with pytest.raises(UsageError, match="no address to listen on"):
        parse_listen(text)


def test_wrong_numbers_are_said() -> None:
    with pytest.raises(UsageError, match="no size for --max-body"):
        parse_limit("much", "--max-body")
    with pytest.raises(UsageError, match="no list of HTTP statuses for --not-done"):
        parse_statuses("429,5x", "--not-done")
    with pytest.raises(UsageError, match="no time for --timeout"):
        parse_timeout("nan", "--timeout")
    with pytest.raises(UsageError, match="The status 503 is both"):
        Options(upstreams=ALL, in_doubt=frozenset({503})).check()


LISTENING = [
    ("127.0.0.1", None, True), ("::1", None, True), ("localhost", None, True),
    ("0.0.0.0", None, False), ("0.0.0.0", "t" * 32, True), ("host", None, False),
]  # fmt: skip


@pytest.mark.parametrize(("host", "token", "fine"), LISTENING)
def test_only_this_machine_may_ask_without_a_token(host: str, token: str | None, fine: bool) -> None:
    options = Options(upstreams=Upstreams(), host=host, token=token)
    if fine:
        options.check()
    else:
        with pytest.raises(UsageError, match="for everybody who can reach it"):
            options.check()


HOSTS = [
    ("127.0.0.1:8377", True), ("[::1]:8377", True), ("LOCALHOST", True), ("sidecar.local:1", True), ("10.0.0.7", True),
    ("evil.example.org", False), ("evil.example.org:8377", False), ("127.0.0.1.evil.org", False), ("localhost.evil.org", False),
    ("", False),
]  # fmt: skip


@pytest.mark.parametrize(("header", "fine"), HOSTS)
def test_a_host_header_must_name_an_address_or_us(header: str, fine: bool) -> None:
    assert is_host_of_ours(header, "sidecar.local") is fine


# ── Headers and numbers ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_headers_of_a_connection_and_our_own_are_not_passed_on() -> None:
    dropped = [b"Connection", b"TE", b"Transfer-Encoding", b"Journal-Run", b"journal-anything", b"X-Named", b"Keep-Alive"]
    headers = [(b"connection", b"close, x-named"), *((name, b"1") for name in dropped), (b"A", b"1"), (b"a", b"2")]

    assert end_to_end(headers) == [(b"A", b"1"), (b"a", b"2")]
    assert forwarded([(b"Host", b"h"), (b"expect", b"100-continue"), (b"Authorization", b"x")]) == [(b"Authorization", b"x")]


def test_calls_are_numbered_in_order_and_an_open_one_is_found_again() -> None:
    numbering = Numbering()
    assert [numbering.take("a"), numbering.take("a"), numbering.take("b")] == [1, 2, 3]
    numbering.open_again(2, "a")
    numbering.open_again(1, "a")
    assert [numbering.take("b"), numbering.take("a"), numbering.take("a"), numbering.take("a")] == [4, 1, 2, 5]
    numbering.lose(5)
    with pytest.raises(NumberingError, match="step 5 of this attempt was another one"):
        numbering.take("c")
