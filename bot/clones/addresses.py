"""Connection URLs as services give them: whether they are ones, and that what is sent over a network is encrypted."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import quote

import certifi
import psycopg
from psycopg.conninfo import conninfo_to_dict

from bot.clones.services.base import ServiceError
from bot.words import masked, one_line

_STRICTNESS = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")  # sslmode


def parts(url: object, service: str) -> dict[str, str]:
    """What a libpq connection URL says. Raises ServiceError, without the URL, if it is none."""
    try:
        if isinstance(url, str) and re.match("postgres(ql)?://", url):
            return {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.ProgrammingError:
        pass
    raise ServiceError(
        f"What {service} gave is no connection URL.",
        why="It is not told here, as there may be a password in it.",
        advice="It must begin with postgresql:// and hold nothing that a URL may not, as `/` or `@` in a password.",
    )


def encrypted(url: object, service: str) -> str:
    """The URL, which asks for TLS; on this machine nobody listens."""
    return _with(url, service, sslmode="require")


def verified(url: object, service: str) -> str:
    """The URL, which asks for TLS with a server that proves who it is, by the authorities that httpx trusts as well: the libpq
    that comes with psycopg looks for the system's in a folder that no system has, so `sslrootcert=system` finds none.
    """
    return _with(url, service, sslmode="verify-full", sslrootcert=certifi.where())


def made(service: str, **given: str) -> str:
    """A URL of its parts."""
    user, password, host, database = (quote(given[name], safe="") for name in ("user", "password", "host", "dbname"))
    host = f"[{given['host']}]" if ":" in given["host"] else host
    url = f"postgresql://{user}:{password}@{host}:{given['port']}/{database}"
    parts(url, service)
    return url


def refusal(error: psycopg.Error) -> str:
    """What a refused connection says, without where and who: libpq begins with the host, the port and the user. What it quotes
    before there is an answer is a piece of the URL; with an `@` in it that is a piece of the password.
    """
    said = str(error).strip().rpartition("failed: ")[2]
    if error.sqlstate is None:
        said = re.sub(r"'.*'|\".*\"", "…", said)
    return one_line(masked(said))[:300]


def _with(url: object, service: str, *, sslmode: str, **more: str) -> str:
    said = parts(url, service)
    if all(_is_here(host) for name in ("host", "hostaddr") for host in said.get(name, "").split(",") if host):
        return str(url)
    strict = said.get("sslmode", "prefer")
    add = {"sslmode": sslmode} if strict not in _STRICTNESS or _STRICTNESS.index(strict) < _STRICTNESS.index(sslmode) else {}
    add |= {name: value for name, value in more.items() if name not in said}
    # libpq takes the last of two of a name.
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in add.items())
    return f"{url}{'&' if '?' in str(url) else '?'}{query}" if query else str(url)


def _is_here(host: str) -> bool:
    try:
        return host.startswith("/") or host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
