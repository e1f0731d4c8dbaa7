"""The place of a call in its run, for callers that don't number their calls. Pure.

Numbers are given in order of arrival, from 1 on, for each attempt: one life of the caller's process. A call whose caller got no
final answer is open, and the same call takes its number again: to a library that tries again after a 500 or a timeout, a new
number would mean a second effect.

A caller that names no attempt is taken to live as long as the sidecar. Should it make a call again that was done, it may as well
have been started anew: that is refused, as nobody can know.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bot.sidecar.refusals import NumberingError


@dataclass(slots=True)
class Numbering:
    """The numbers of one attempt; `named`: by the caller."""

    named: bool = True
    _last: int = 0
    _done: set[str] = field(default_factory=set)
    _open: dict[str, set[int]] = field(default_factory=dict)
    _lost_at: int | None = None

    def take(self, digest: str) -> int:
        """The number of a call: that of the same call which is open, or the next. Raises NumberingError."""
        if self._lost_at is not None:
            raise lost(
                f"The call at step {self._lost_at} of this attempt was another one than the journal holds there.",
                "What came after it can't be matched with the journal by counting.",
            )
        if numbers := self._open.get(digest):
            number = min(numbers)
            numbers.remove(number)
            if not numbers:
                del self._open[digest]
            return number
        if digest in self._done and not self.named:
            raise lost(
                "This very call was made before in its run.",
                "Without Journal-Attempt a caller that makes a call twice can't be told from one that was started anew.",
            )
        self._done.add(digest)
        self._last += 1
        return self._last

    def open_again(self, number: int, digest: str) -> None:
        """The call came to nothing final that its caller knows of."""
        self._open.setdefault(digest, set()).add(number)

    def lose(self, number: int) -> None:
        """The call was not the one that the journal holds at its number."""
        self._lost_at = number


def lost(what: str, why: str) -> NumberingError:
    """An error that says why a call has no number."""
    return NumberingError(
        what,
        why=why,
        advice="Start the caller anew, with a new Journal-Attempt: what is done is then replayed. Or number its calls with"
        " Journal-Step.",
    )
