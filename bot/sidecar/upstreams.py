"""What may be called: upstreams with a name, and URLs that are allowed. Pure.

A URL is taken apart once, here, and what is sent is put together of the parts that were checked: nobody parses it again.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from bot.errors import UsageError
from bot.sidecar.refusals import RefusedError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_URL = re.compile(r"(?P<scheme>https?)://(?P<authority>[^/?#\\]*)(?P<path>/[^?#\\]*)?", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?P<host>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_RESERVED = ("healthz", "metrics")
ANY_URL = "url"  # what stands for all that is called by its URL, in the metrics


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme, host and port, in the one form in which two that are the same are equal."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        """Host and port as the Host header has them: the port only where it is not the scheme's own."""
        return self.host if self.port == _DEFAULT_PORTS[self.scheme] else f"{self.host}:{self.port}"

    def __str__(self) -> str:
        """As a URL without a path."""
        return f"{self.scheme}://{self.authority}"


@dataclass(frozen=True, slots=True)
class Base:
    """An origin, and the beginning of the paths below which calls may go; without a slash at its end."""

    origin: Origin
    path: str = field(default="", repr=False)  # it may hold a credential

    def holds(self, origin: Origin, path: str) -> bool:
        """Whether a URL lies below, at a boundary of segments."""
        return origin == self.origin and (path == self.path or path.startswith(f"{self.path}/"))


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes. `label`: the upstream's name; `line`: path and query, byte for byte as they are sent."""

    label: str
    origin: Origin
    line: str = field(repr=False)

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.origin}{self.line}"


@dataclass(frozen=True, slots=True)
class Upstreams:
    """All that may be called."""

    named: Mapping[str, Base] = field(default_factory=dict)
    allowed: tuple[Base, ...] = ()

    def find(self, raw_path: bytes, query: bytes) -> Target:
        """The path and the query of a request line -> where the call goes. Raises RefusedError."""
        try:
            path, line = raw_path.decode("ascii"), query.decode("ascii")
        except UnicodeDecodeError:
            raise _bad("The path holds bytes that are not ASCII.", "Percent-encode them.") from None
        if re.match(r"/?https?:", path, re.IGNORECASE):
            return self._by_url(path.removeprefix("/"), f"?{line}" if line else "")
        return self._by_name(path, f"?{line}" if line else "")

    def _by_url(self, url: str, query: str) -> Target:
        try:
            origin, path = _taken_apart(url)
        except UsageError as error:
            raise _bad(error.what, error.advice) from None
        _refuse_tricks(path)
        if not any(base.holds(origin, path) for base in self.allowed):
            raise RefusedError(
                f"Calls to {origin} at this path are not allowed.",
                why="It is below no URL that the sidecar was started with.",
                advice="Start the sidecar with --allow and the URL, or with --upstream.",
                status=403,
                code="not-allowed",
            )
        return Target(ANY_URL, origin, (path or "/") + query)

    def _by_name(self, path: str, query: str) -> Target:
        name, slash, rest = path.removeprefix("/").partition("/")
        base = self.named.get(name)
        if base is None or not path.startswith("/"):
            raise RefusedError(
                "The path begins with no upstream's name.",
                why=f"There {'are' if self.named else 'is no upstream with a name'} {', '.join(self.named)}".strip() + ".",
                advice="Call /<name>/<path>, or /<whole URL> where the sidecar was started with --allow.",
                status=404,
                code="no-such-upstream",
            )
        whole = f"{base.path}{slash}{rest}"
        _refuse_tricks(whole)
        return Target(name, base.origin, (whole or "/") + query)

    def shown(self) -> str:
        """For the line at the start: names and origins; a path may hold a credential."""
        names = [f"{name} ({base.origin})" for name, base in self.named.items()]
        return ", ".join(names + [f"{base.origin}{'/…' if base.path else ''}" for base in self.allowed])


def parse_upstreams(named: Iterable[str], allowed: Iterable[str]) -> Upstreams:
    """The values of --upstream and --allow -> Upstreams. Raises UsageError, also where nothing may be called."""
    names: dict[str, Base] = {}
    for name, base in map(parse_upstream, named):
        if name in names:
            raise UsageError(f"There are two upstreams with the name {name}.", advice="Give each a name of its own.")
        names[name] = base
    upstreams = Upstreams(names, tuple(map(parse_allowed, allowed)))
    if not upstreams.named and not upstreams.allowed:
        raise UsageError(
            "Nothing may be called through the sidecar.",
            why="It sends calls only where it was told that they may go.",
            advice="Give --upstream NAME=URL, or --allow URL; each may be repeated.",
        )
    return upstreams


def parse_upstream(text: str) -> tuple[str, Base]:
    """`name=https://api.example.org/base` -> its name and where it is. Raises UsageError."""
    name, equals, url = text.strip().partition("=")
    if not equals or not _NAME.fullmatch(name) or name in _RESERVED:
        raise UsageError(
            "An upstream has no name that can be used.",  # what was given may hold a credential
            why="A name has letters, digits, dots, hyphens and underscores, and is not healthz or metrics.",
            advice="Write it as --upstream github=https://api.github.com",
        )
    return name, _base(url, f"The upstream {name}")


def parse_allowed(text: str) -> Base:
    """`https://api.example.org/v1` -> what is allowed by it. Raises UsageError."""
    return _base(text.strip(), "An allowed URL")


def _base(url: str, what: str) -> Base:
    try:
        origin, path = _taken_apart(url)
        _refuse_tricks(path)
    except UsageError as error:
        raise UsageError(f"{what} can't be used: {error.what}", why=error.why, advice=error.advice) from None
    except RefusedError as error:
        raise UsageError(f"{what} can't be used: {error.what}", why=error.why, advice="Write its path plainly.") from None
    return Base(origin, path.rstrip("/"))


def _taken_apart(url: str) -> tuple[Origin, str]:
    """A URL without a query -> its origin, and its path as it is. Raises UsageError, which does not show it."""
    advice = "Write it as https://host[:port]/path"
    found = _URL.fullmatch(url)
    if not found or not url.isascii() or not url.isprintable() or " " in url:
        raise UsageError("this is no absolute http or https URL without query and fragment.", advice=advice)
    scheme, authority = found["scheme"].lower(), found["authority"].lower()
    if "@" in authority:
        raise UsageError("a URL here has no user and no password.", advice="Send credentials in a header.")
    parts = _AUTHORITY.fullmatch(authority)
    port = int(parts["port"] or _DEFAULT_PORTS[scheme]) if parts else 0
    if not parts or not 0 < port < 65536:
        raise UsageError("its host and port can't be read.", advice=f"{advice}; a name that is not ASCII as xn--….")
    return Origin(scheme, _host(parts["host"]), port), found["path"] or ""


def _host(text: str) -> str:
    if not text.startswith("["):
        return text
    try:
        return f"[{ipaddress.IPv6Address(text[1:-1]).compressed}]"
    except ValueError:
        raise UsageError("its IPv6 address can't be read.", advice="Write it as https://[::1]:8443/path") from None


def _refuse_tricks(path: str) -> None:
    """Raises RefusedError for a path that some servers read as a path elsewhere: `..`, however it is encoded."""
    if "#" in path or "\\" in path:
        raise _bad("The path holds a # or a backslash.", "Percent-encode it.")
    level = path
    for _time in range(4):  # encoded twice is undone twice by some
        for segment in re.split(r"[/\\]", level):
            if segment.partition(";")[0] in (".", ".."):  # `..;x` is `..` to servers that know parameters of segments
                raise _bad("The path holds . or .. as a segment.", "Send the path that is meant.")
        level, before = unquote(level, errors="replace"), level
        if level == before:
            return
    raise _bad("The path is percent-encoded over and over.", "Encode it once.")


def _bad(what: str, advice: str) -> RefusedError:
    return RefusedError(what[:1].upper() + what[1:], advice=advice, status=400, code="bad-target")
