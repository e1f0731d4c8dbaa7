"""One HTTP service, asked with patience: time limits, TLS verified, no redirects, and errors that say what is known.

No URL, token or password is ever told: errors name the service, the verb and the status, and what the service said with secrets
masked. httpx logs each request with its URL at level INFO: nobody here turns that on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import httpx

from bot.clones.services.base import Access, ServiceError
from bot.words import masked, one_line

_MOST_WAIT_S = 60.0
_MOST_BYTES = 2**22
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status below 400, or one of those that the caller wants to see."""

    status: int
    body: Any  # JSON, None if there is none


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
        self._client = httpx.Client(
            base_url=base_url.rstrip("/"), headers=dict(headers), timeout=timeout_s, follow_redirects=False, trust_env=False
        )

    def close(self) -> None:
        """Ends the connections."""
        self._client.close()

    def ask(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: tuple[int, ...] = (),
        timeout_s: float | None = None,
    ) -> Answer:
        """One request. `accept`: statuses from 400 on that are answers. Raises ServiceError: not done where the service declined
        (4xx) or was never reached, unknown where an answer was lost or the service failed; with a time to wait where it asks for
        one.
        """
        what = f"{self._service} when asked to {method} {_shown(path)}"
        try:
            extra = {"timeout": timeout_s} if timeout_s else {}
            answer = self._client.request(method, path, json=json, params=params, headers=headers, **extra)  # type: ignore[arg-type]
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
            raise ServiceError(
                f"{self._service} could not be reached.",
                why=type(error).__name__,
                advice="Check the input clone-url, and that this machine may reach the service.",
                not_done=True,
                again_in_s=2.0,
            ) from None
        except httpx.HTTPError as error:
            raise ServiceError(
                f"No answer from {what}.", why=type(error).__name__, advice="Run it again.", again_in_s=1.0
            ) from None
        body = _json(answer)
        if answer.status_code < 300 or answer.status_code in accept:
            return Answer(answer.status_code, body)
        raise self._refusal(what, answer, body)

    def _refusal(self, what: str, answer: httpx.Response, body: Any) -> ServiceError:
        status = answer.status_code
        advice = {
            401: "Check the input clone-token: the service does not know it.",
            403: "Check what the token in clone-token may do.",
            404: "Check the names in clone-options.",
            429: "Run it again later: too much was asked of the service.",
        }.get(status, "Run it again; if it stays, look at the service's own status." if status >= 500 else "")
        wait = _wait_s(answer, body)
        said = one_line(masked(self._said(body)))[:300]
        if self._access.token:
            said = said.replace(self._access.token, "***")
        return ServiceError(
            f"Status {status} from {what}.", why=said, advice=advice, not_done=status < 500 or status == 503, again_in_s=wait
        )

    def wait_for(self, what: str, look: Callable[[], _Value | None]) -> _Value:
        """Looks until there is something. Raises ServiceError when patience is over."""
        until = time.monotonic() + self._access.patience_s
        while (found := look()) is None:
            if time.monotonic() >= until:
                raise ServiceError(
                    f"{self._service}: {what} after {self._access.patience_s:.0f} s.",
                    advice="Look at the service; what it made is removed by `migration-rehearsal reap`.",
                )
            time.sleep(self._access.pause_s)
        return found


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


def _wait_s(answer: httpx.Response, body: Any) -> float | None:
    """How long the service asks to wait: in the header, or in the body; None if another try is not worth it."""
    asked = body.get("retry_after_seconds") if isinstance(body, dict) else None
    header = answer.headers.get("retry-after", "")
    if header.isascii() and header.isdigit():
        asked = float(header)
    if answer.status_code not in (423, 425, 429, 500, 502, 503, 504) and asked is None:
        return None
    wait = float(asked) if isinstance(asked, int | float) else 1.0
    return wait if 0 <= wait <= _MOST_WAIT_S else None
