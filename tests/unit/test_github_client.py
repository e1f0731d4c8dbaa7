"""What GitHub's answers say about trying again."""

from __future__ import annotations

import pytest

from bot.github_client import _same_text, _wait_s

NOW = 1_000_000.0

# status, message, headers -> seconds until another try is worth it, or None
WAITS: list[tuple[int, str, dict[str, str], float | None]] = [
    (500, "", {}, 1.0),
    (502, "", {"retry-after": "30"}, 1.0),
    (403, "", {"retry-after": "7"}, 7.0),
    (429, "", {"retry-after": "60"}, 60.0),
    (429, "", {"retry-after": "61"}, None),  # longer than a workflow should stand still
    (403, "", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1000009"}, 9.0),
    (403, "", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "999000"}, 1.0),
    (403, "", {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1003600"}, None),
    (403, "You have exceeded a secondary rate limit.", {}, 60.0),
    (429, "", {}, 60.0),
    (403, "Resource not accessible by integration", {"x-ratelimit-remaining": "4999"}, None),
    (404, "Not Found", {}, None),
    (422, "Validation Failed", {"retry-after": "7"}, None),
]


@pytest.mark.parametrize(("status", "said", "headers", "wait"), WAITS)
def test_how_long_to_wait(status: int, said: str, headers: dict[str, str], wait: float | None) -> None:
    assert _wait_s(status, said, headers, NOW) == wait


def test_line_ends_and_blanks_at_the_edges_are_no_difference() -> None:
    assert _same_text("a\r\nb\r\n", "a\nb")
    assert not _same_text("a b", "ab")
