"""bench/growth.json, by_hand.json -> docs/growth.svg, by-hand.svg: `PYTHONPATH=. python docs/make_growth_plots.py`."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
GROWTH, BY_HAND = _ROOT / "bench" / "growth.json", _ROOT / "bench" / "by_hand.json"
GROWTH_PLOT, BY_HAND_PLOT = _ROOT / "docs" / "growth.svg", _ROOT / "docs" / "by-hand.svg"
_LEFT, _TOP, _WIDTH, _HEIGHT, _GAP = 60, 60, 250, 230, 70
_BLUE, _GREEN, _BROWN, _GREY = "#1d4ed8", "#15803d", "#b45309", "#6b7280"
_COLOURS = {"snapshot": _BLUE, "diff": _GREEN, "rehearsal": _BLUE, "psql": _GREY, "rehearse": _BLUE, "list": _GREEN}
_BARS = {"psql": _GREY, "by hand": _BROWN, "rehearse, same server": _GREEN, "rehearse": _BLUE}
Points = Sequence[tuple[float, float]]
# Both axes are logarithmic: what grows with the size is a line of 45 degrees or less, as the dashed one.
_PANELS = (
    ("tables, of 10 columns", re.compile(r"(?P<name>snapshot|diff), (?P<size>[\d,]+) tables of 10 columns")),
    ("columns, of 100 tables", re.compile(r"(?P<name>snapshot|diff), 100 tables of (?P<size>[\d,]+) columns")),
    ("statements", re.compile(r"(?P<name>psql|rehearsal), (?P<size>\d+) statements")),
    ("migrations, whole program", re.compile(r"(?P<name>rehearse|list), (?P<size>\d+) migrations")),
)


def growth(bench: Mapping[str, Any]) -> str:
    """A panel for each thing that grows: milliseconds by size."""
    measured = {name: one for section in bench["sections"] for name, one in section["measured"].items()}
    panels = [_panel(n, title, _lines(measured, pattern)) for n, (title, pattern) in enumerate(_PANELS)]
    width = _LEFT + len(_PANELS) * (_WIDTH + _GAP)
    return _svg(width, _TOP + _HEIGHT + 50, "How the time grows", [part for panel in panels for part in panel])


def by_hand(bench: Mapping[str, Any]) -> str:
    """Bars for each migration: seconds."""
    measured = bench["sections"][0]["measured"]
    names = list(dict.fromkeys(name.rpartition(": ")[0] for name in measured))
    medians = {(n, bar): statistics.median(measured[f"{n}: {bar}"]["samples"]) / 1000 for n in names for bar in _BARS}
    longest, left, width = max(medians.values()), 230, 500
    parts, y = list[str](), _TOP
    for name in names:
        parts.append(f'<text x="{left - 10}" y="{y + 32}" text-anchor="end" fill="#111827">{escape(name)}</text>')
        for bar, colour in _BARS.items():
            seconds = medians[(name, bar)]
            long = width * seconds / longest
            parts.append(f'<rect x="{left}" y="{y}" width="{long:.1f}" height="11" fill="{colour}"/>')
            parts.append(f'<text x="{left + long + 6:.1f}" y="{y + 10}" font-size="11" fill="{colour}">{seconds:.2f} s</text>')
            y += 13
        y += 14
    for n, (bar, colour) in enumerate(_BARS.items()):
        parts.append(f'<text x="{left + n * 150}" y="44" fill="{colour}">{escape(bar)}</text>')
    return _svg(left + width + 90, y + 10, "Seconds for six migrations", parts)


def _svg(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">'
    )
    background = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    return (
        "\n".join([head, background, f'<text x="20" y="22" font-size="15" fill="#111827">{title}</text>', *parts, "</svg>"])
        + "\n"
    )


def _lines(measured: Mapping[str, Any], pattern: re.Pattern[str]) -> dict[str, list[tuple[float, float]]]:
    """Size and median milliseconds, by what was done."""
    found: dict[str, list[tuple[float, float]]] = {}
    for named, one in measured.items():
        if match := pattern.fullmatch(named):
            point = (float(match["size"].replace(",", "")), statistics.median(one["samples"]))
            found.setdefault(match["name"], []).append(point)
    return {name: sorted(points) for name, points in found.items()}


def _panel(number: int, title: str, lines: Mapping[str, Points]) -> list[str]:
    left = _LEFT + number * (_WIDTH + _GAP)
    sizes = sorted({size for points in lines.values() for size, _ms in points})
    times = [ms for points in lines.values() for _size, ms in points]
    low, high = math.floor(math.log10(min(times))), math.ceil(math.log10(max(times)))

    def x(size: float) -> float:
        return left + _WIDTH * math.log(size / sizes[0]) / math.log(sizes[-1] / sizes[0])

    def y(ms: float) -> float:
        return _TOP + _HEIGHT * (high - math.log10(ms)) / (high - low)

    parts = [f'<text x="{left}" y="{_TOP - 12}" fill="#111827">{escape(title)}</text>']
    for power in range(low, high + 1):
        parts.append(f'<line x1="{left}" y1="{y(10**power):.1f}" x2="{left + _WIDTH}" y2="{y(10**power):.1f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{left - 5}" y="{y(10**power) + 4:.1f}" text-anchor="end" fill="#4b5563">{_time(power)}</text>')
    for size in sizes:
        place = f'x="{x(size):.1f}" y="{_TOP + _HEIGHT + 18}"'
        parts.append(f'<text {place} text-anchor="middle" fill="#4b5563">{size:,.0f}</text>')
    parts += [part for name, points in lines.items() for part in _line(name, points, x, y)]
    return [*parts, *_as_linear(max(lines.values(), key=lambda points: points[-1][1]), x, y, low)]


def _line(name: str, points: Points, x: Callable[[float], float], y: Callable[[float], float]) -> list[str]:
    path = " ".join(f"{x(size):.1f},{y(ms):.1f}" for size, ms in points)
    at = f'x="{x(points[-1][0]):.1f}" y="{y(points[-1][1]) - 7:.1f}"'
    return [
        f'<polyline points="{path}" fill="none" stroke="{_COLOURS[name]}" stroke-width="2"/>',
        *(f'<circle cx="{x(size):.1f}" cy="{y(ms):.1f}" r="2.5" fill="{_COLOURS[name]}"/>' for size, ms in points),
        f'<text {at} text-anchor="end" fill="{_COLOURS[name]}">{escape(name)}</text>',
    ]


def _as_linear(points: Points, x: Callable[[float], float], y: Callable[[float], float], low: int) -> list[str]:
    """What a linear growth up to the last point would be."""
    (first, _), (last, most) = points[0], points[-1]
    begin = max(first, last * 10**low / most)
    ends = f'x1="{x(begin):.1f}" y1="{y(most * begin / last):.1f}" x2="{x(last):.1f}" y2="{y(most):.1f}"'
    return [f'<line {ends} stroke="{_GREY}" stroke-dasharray="4 4"/>']


def _time(power: int) -> str:
    return f"{10.0 ** (power - 3):g} s" if power >= 3 else f"{10.0**power:g} ms"


if __name__ == "__main__":
    for data, plot, made in ((GROWTH, GROWTH_PLOT, growth), (BY_HAND, BY_HAND_PLOT, by_hand)):
        if data.exists():
            plot.write_text(made(json.loads(data.read_text())))
