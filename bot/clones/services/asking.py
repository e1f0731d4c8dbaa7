"""One HTTP service, asked with patience: time limits, TLS verified, no redirects, and errors that say what is known.

No URL, token or password is ever told: errors name the service, the verb and the status, and what the service said with secrets
masked. httpx logs each request with its URL at level INFO: nobody here turns that on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from bot.clones.services.base import Access, ServiceError
from bot.words import masked, one_line

_MOST_WAIT_S = 60.0
_MOST_BYTES = 2**22
_TRIES = 6  # of what may be asked again
# Of what a service says: addresses, which may let somebody in, and the ids that are as good as a password.
_UNTOLD = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>]+|\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE)
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status below 400, or one of those that the caller wants to see."""

    status: int
    body: Any  # JSON, None if there is none
    headers: Mapping[str, str]


class Asking:
    """A client of one service. `said`: how to read what an error's body says; `not_done` statuses surely had no effect."""

    def __init__(
        self,
        service: str,
        base_url: str,
        access: Access,
        headers: Mapping[str, str],
        *,
        said: Callable[[Any], str] = lambda body: (
            str(body.get("message") or body.get("error") or "") if isinstance(body, dict) else ""
        ),
        timeout_s: float = 30.0,
    ) -> None:
        self._service, self._access, self._said = service, access, said
        self._secrets = {access.token} if access.token else set()
        try:
            self._client = httpx.Client(
                base_url=base_url.rstrip("/"), headers=dict(headers), timeout=timeout_s, follow_redirects=False, trust_env=False
            )
        except (httpx.InvalidURL, UnicodeEncodeError) as error:
            raise ServiceError(
                f"{service} can't be asked.",
                why=type(error).__name__,
                advice="Check the inputs clone-url and clone-token: an address begins with https://, a token is plain ASCII.",
                not_done=True,
            ) from None

    @property
    def host(self) -> str:
        """The machine that is asked."""
        return self._client.base_url.host

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def hide(self, secret: str) -> None:
        """Something else that is never told."""
        self._secrets.add(secret)

    def shown(self, said: object) -> str:
        """What a service said, as it may be told: in one line, not all of it, and without what lets somebody in."""
        text = str(said)
        for secret in self._secrets:
            text = text.replace(secret, "***").replace(quote(secret, safe=""), "***")
        return one_line(masked(_UNTOLD.sub("…", text)))[:300]

    def insist(self, method: str, path: str, **how: Any) -> Answer:
        """As `ask`, for what may be asked any number of times: it is, while that is worth it."""
        until = time.monotonic() + self._access.patience_s
        for tries in range(_TRIES):
            try:
                return self.ask(method, path, **how)
            except ServiceError as error:
                wait = None if error.again_in_s is None else max(error.again_in_s, self._access.pause_s * 2**tries)
                if wait is None or tries == _TRIES - 1 or time.monotonic() + wait > until:
                    raise
            time.sleep(wait)
        raise AssertionError  # the last try returns or raises

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: Container[int] = (),
        timeout_s: float | None = None,
    ) -> Answer:
        """One request. `accept`: statuses from 400 on that are answers. Raises ServiceError: not done where the service declined
        (4xx) or was never reached, unknown where an answer was lost or the service failed; with a time to wait where it asks for
        one.
        """
        try:
            extra = {"timeout": timeout_s} if timeout_s else {}
            answer = self._client.request(method, path, json=json, params=params, headers=headers, **extra)  # type: ignore[arg-type]
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ServiceError(
                f"{self._service} could not be reached.",
                why=type(error).__name__,
                advice="Check the input clone-url, and that this machine may reach the service.",
                not_done=True,
                again_in_s=2 * self._access.pause_s,
            ) from None
        except httpx.HTTPError as error:
            raise ServiceError(
                f"No answer from {self._service} when asked to {method} {_shown(path)}.",
                why=type(error).__name__,
                advice="Run it again.",
                again_in_s=self._access.pause_s,
            ) from None
        got = Answer(answer.status_code, _json(answer), answer.headers)
        if got.status < 300 or got.status in accept:
            return got
        raise self.refused(method, path, got)

    def refused(self, method: str, path: str, answer: Answer) -> ServiceError:
        """The error for an answer that is none. A conflict is about something that is there: somebody has made it."""
        status = answer.status
        advice = {
            401: "Check the input clone-token: the service does not know it.",
            403: "Check what the token in clone-token may do.",
            404: "Check the names in clone-options.",
            429: "Run it again later: too much was asked of the service.",
        }.get(status, "Run it again; if it stays, look at the service's own status." if status >= 500 else "")
        return ServiceError(
            f"Status {status} from {self._service} when asked to {method} {_shown(path)}.",
            why=self.shown(self._said(answer.body)),
            advice=advice,
            not_done=(status < 500 and status not in (408, 409)) or status == 503,
            again_in_s=_wait_s(answer, self._access.pause_s),
        )

    def lacks(self, what: str) -> ServiceError:
        """The error for an answer that is not as described."""
        return ServiceError(
            f"An answer of {self._service} lacks {what}.",
            why="The service is not as its description says, or something stands between.",
            advice="Check the input clone-url; if it is right, please report it.",
        )

    def text(self, body: Any, *place: str | int) -> str:
        """A text of an answer that must be there."""
        found = at(body, *place)
        if not isinstance(found, str) or not found:
            raise self.lacks(".".join(map(str, place)))
        return found

    def objects(self, body: Any, *place: str) -> list[dict[str, Any]]:
        """The objects of a list that must be there."""
        found = at(body, *place)
        if not isinstance(found, list):
            raise self.lacks(".".join(place) or "a list")
        return [each for each in found if isinstance(each, dict)]

    def wait_for(self, what: str, look: Callable[[], _Value | None]) -> _Value:
        """Looks until there is something. Raises ServiceError when patience is over."""
        until = time.monotonic() + self._access.patience_s
        while (found := look()) is None:
            if time.monotonic() >= until:
                raise ServiceError(
                    f"{self._service}: {what} after {self._access.patience_s:.0f} s.",
                    advice="Look at the service's own pages; run it again later.",
                )
            time.sleep(self._access.pause_s)
        return found


@contextmanager
def undone_on_failure(undo: Callable[[], None]) -> Iterator[None]:
    """For what is done once a database was made: a failure of it is not one of making it, and what was made in vain is given
    back, unless another try is worth it. Where that fails too, it is said.
    """
    try:
        yield
    except ServiceError as error:
        gone, advice = False, error.advice
        if error.again_in_s is None:
            try:
                undo()
                gone = True
            except ServiceError:
                advice = f"{advice} What was made is still there: `migration-rehearsal reap` removes it.".strip()
        raise ServiceError(error.what, why=error.why, advice=advice, not_done=gone, again_in_s=error.again_in_s) from None


def at(body: Any, *place: str | int) -> Any:
    """What is at a place in an answer, None if nothing is."""
    for key in place:
        if isinstance(body, dict) and isinstance(key, str):
            body = body.get(key)
        elif isinstance(body, list) and isinstance(key, int) and key < len(body):
            body = body[key]
        else:
            return None
    return body


def moment(text: Any) -> datetime | None:
    """A time as JSON has it, in UTC; None if it is none."""
    try:
        found = datetime.fromisoformat(text) if isinstance(text, str) else None
        return found and (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def stamp(when: datetime | None) -> str | None:
    """A time as JSON has it."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if when else None


def _shown(path: str) -> str:
    """A path without what may be a secret: of instanode the token is part of it."""
    return "/".join(part if len(part) < 20 else "…" for part in path.split("?", maxsplit=1)[0].split("/"))


def _json(answer: httpx.Response) -> Any:
    if len(answer.content) > _MOST_BYTES:
        return None
    try:
        return answer.json() if answer.content else None
    except (ValueError, RecursionError):
        return None


def _wait_s(answer: Answer, usual_s: float) -> float | None:
    """How long the service asks to wait: in the header, or in the body; None if another try is not worth it."""
    asked = at(answer.body, "retry_after_seconds")
    header = answer.headers.get("retry-after", "")
    if header.isascii() and header.isdigit():
        asked = float(header)
    if answer.status not in (423, 425, 429, 500, 502, 503, 504) and asked is None:
        return None
    wait = float(asked) if isinstance(asked, int | float) else usual_s
    return wait if 0 <= wait <= _MOST_WAIT_S else None
