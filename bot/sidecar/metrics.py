"""What the sidecar counts. The door of prometheus_client. Labels are names that the sidecar was started with, never paths."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from bot.errors import DriftError, EffectError, InDoubtError, RehearsalError, SealedError
from bot.sidecar.refusals import IN_DOUBT, NOT_DONE, RefusedError, UnrecordedError

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
NO_UPSTREAM = "none"  # a call that was refused before it was known where it goes
_OUTCOMES = {None: "fired", NOT_DONE: "not_done", IN_DOUBT: "in_doubt"}
_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)


class Metrics:
    """One sidecar's; two in one process don't share any."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        prefix = "migration_rehearsal_sidecar"
        self._calls = Counter(f"{prefix}_calls", "Calls by outcome.", ["upstream", "outcome"], registry=self._registry)
        self.in_flight = Gauge(f"{prefix}_calls_in_flight", "Calls being worked on.", registry=self._registry)
        self._upstream = Histogram(
            f"{prefix}_upstream_seconds",
            "From sending a call to the end of its answer.",
            ["upstream"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._journal = Histogram(
            f"{prefix}_journal_seconds", "Of one call, what the journal took.", buckets=_SECONDS, registry=self._registry
        )

    def took(self, upstream: str, upstream_s: float | None, journal_s: float) -> None:
        """How long one call took, and where; `upstream_s` is None where nothing was fired."""
        if upstream_s is not None:
            self._upstream.labels(upstream).observe(upstream_s)
        self._journal.observe(journal_s)

    def answered(self, upstream: str, state: str | None, *, replayed: bool) -> None:
        """A caller got an upstream's answer."""
        self._calls.labels(upstream, "replayed" if replayed else _OUTCOMES[state]).inc()

    def failed(self, upstream: str, error: RehearsalError) -> None:
        """A caller got an answer of our own."""
        self._calls.labels(upstream, _outcome(error)).inc()

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)


def _outcome(error: RehearsalError) -> str:
    if isinstance(error, EffectError):
        return "not_done" if error.not_done else "in_doubt"
    if isinstance(error, UnrecordedError):
        return "in_doubt"
    return "refused" if isinstance(error, RefusedError | DriftError | InDoubtError | SealedError) else "error"
