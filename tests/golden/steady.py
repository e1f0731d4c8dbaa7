"""What differs from run to run is taken out of a report: which run it was, and how fast the machine was.

Times and sizes on the disk keep one digit. That keeps their order: who waited longer still did, and what touched still touches.
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from typing import Any

from bot.model import Report, RunFacts
from bot.plain import from_plain, to_plain
from bot.words import duration, size

_SAID_TIME = re.compile(r"\b(\d+(?:\.\d+)?) (ms|s)\b")
_SAID_SIZE = re.compile(r"\b(\d+(?:\.\d+)?) (kB|MB|GB)\b")
_SIZES = ("bytes", "wal_bytes", "disk_bytes", "temp_bytes", "bytes_before", "bytes_after")
MOMENT = "2026-11-22T03:10:00Z"
_LEAST_MS = 500.0  # what takes less may take a tenth of it the next time: cases.py waits for a second or more, or not at all
_BRIEFLY_MS = 10.0


def steady(report: Report) -> Report:
    """The report as another run of the same would have it."""
    run = RunFacts(
        "11111111-1111-5111-8111-111111111111",
        "rehearse/octo/shop",
        "octo/shop",
        7,
        "abcdef0123" * 4,
        report.run.replayed,
        MOMENT if report.run.made_at else None,
        "https://github.com/octo/shop/actions/runs/99",
    )
    plain = _rounded(to_plain(replace(report, run=run)))
    plain["total_ms"] = 4000.0
    if clone := plain["clone"]:
        clone["acquire_ms"] = 200.0
        clone["postgres_version"] = "18.1"
        clone["seed"] |= {"identity": "sha256:0", "taken_at": clone["seed"]["taken_at"] and MOMENT}
    return from_plain(Report, plain)


def _rounded(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item, name) for item in value]
    if isinstance(value, str):
        said = _SAID_TIME.sub(lambda found: duration(_time(float(found[1]) * (1000 if found[2] == "s" else 1))), value)
        return _SAID_SIZE.sub(lambda found: size(_size(float(found[1]) * 1024 ** (1 + ("kB", "MB", "GB").index(found[2])))), said)
    if isinstance(value, float) and (name.endswith("_ms") or name == "measured"):
        return _time(value)
    return _size(value) if name in _SIZES and value is not None else value


def _time(ms: float) -> float:
    return float(_one_digit(ms)) if ms >= _LEAST_MS else _BRIEFLY_MS if ms > 0 else ms


def _size(of: float) -> int:
    return int(math.copysign(_one_digit(abs(of)), of)) if of else 0


def _one_digit(value: float) -> int:
    step: int = 10 ** math.floor(math.log10(value))
    return round(value / step) * step
