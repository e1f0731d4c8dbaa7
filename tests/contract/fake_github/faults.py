"""Failures on demand."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from typing import Literal

from tests.contract.fake_github.calls import DOCS, Answer

When = Literal["before", "after"]
How = Literal["500", "502", "drop", "403-rate", "403-primary", "429", "422"]


@dataclass
class Fault:
    """A failure that waits for its request: `before` leaves no trace of it, `after` loses only the answer."""

    method: str
    path: re.Pattern[str]
    times: int
    when: When
    how: How
    retry_after: int

    def strikes(self, method: str, path: str) -> bool:
        """Whether a request is one that should fail."""
        return self.times > 0 and self.method in {"*", method} and self.path.search(path) is not None

    def answer(self) -> Answer | None:
        """What the client gets; None is a connection that is closed without a word."""
        wait = {"Retry-After": str(self.retry_after)}
        slow_down = "You have exceeded a secondary rate limit. Please wait a few minutes."
        slow_down_body = {"message": slow_down, "documentation_url": DOCS}
        spent = {"message": "API rate limit exceeded for installation.", "documentation_url": DOCS}
        reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + self.retry_after)}
        answers: dict[How, Answer | None] = {
            "500": Answer(500, {"message": "Server Error"}),
            "502": Answer(502, "<html><body><h1>502 Bad Gateway</h1></body></html>"),  # its proxy's, so not JSON
            "drop": None,
            "403-rate": Answer(403, slow_down_body, wait),
            "403-primary": Answer(403, spent, reset),
            "429": Answer(429, slow_down_body, wait),
            "422": Answer(422, {"message": "Validation Failed", "documentation_url": DOCS, "errors": []}),
        }
        return answers[self.how]
