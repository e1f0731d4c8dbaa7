"""bench/clones.json -> docs/clone-time.svg: `PYTHONPATH=. python docs/make_clone_plot.py`."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
DATA, PLOT = _ROOT / "bench" / "clones.json", _ROOT / "docs" / "clone-time.svg"

# Both axes are logarithmic: the time of what grows with the data is a line that goes up, of what does not a level one.
_LEFT, _TOP, _WIDTH, _HEIGHT, _LABELS = 60, 44, 440, 330, 260
_LINE_HEIGHT = 16
_COLOURS = {"restore": "#b45309", "copies": "#1d4ed8", "XFS": "#15803d", "btrfs": "#7e22ce", "reflinks": "#15803d"}


def plot(bench: Mapping[str, Any]) -> str:
    """The picture of a bench's medians."""
    measured = bench["sections"][0]["measured"]
    sizes = sorted({float(name.rpartition(", ")[2].removesuffix(" GB")) for name in measured})
    lines = _lines(measured, sizes)
    times = [seconds for points in lines.values() for _size, seconds in points]
    low, high = 10 ** math.floor(math.log10(min(times))), 10 ** math.ceil(math.log10(max(times)))
    parts = [*_axes(sizes, low, high)]
    places = {name: [(_x(size, sizes), _y(seconds, low, high)) for size, seconds in points] for name, points in lines.items()}
    labels = _apart({name: points[-1][1] for name, points in places.items()})
    for name, points in places.items():
        parts += _line(name, points, labels[name])
    width, height = _LEFT + _WIDTH + _LABELS, _TOP + _HEIGHT + 40
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">'
    )
    background = f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    title = f'<text x="{_LEFT}" y="22" font-size="15" fill="#111827">Seconds until a clone can be used</text>'
    return "\n".join([head, background, title, *parts, "</svg>"]) + "\n"


def _lines(measured: Mapping[str, Any], sizes: Sequence[float]) -> dict[str, list[tuple[float, float]]]:
    """Size and median seconds, by what was done; what was not done with every size is left out."""
    found: dict[str, list[tuple[float, float]]] = {}
    for named, one in measured.items():
        name, _, size = named.rpartition(", ")
        found.setdefault(name, []).append((float(size.removesuffix(" GB")), statistics.median(one["samples"]) / 1000))
    return {name: sorted(points) for name, points in found.items() if len(points) == len(sizes)}


def _x(size: float, sizes: Sequence[float]) -> float:
    return _LEFT + _WIDTH * math.log(size / min(sizes)) / math.log(max(sizes) / min(sizes))


def _y(seconds: float, low: float, high: float) -> float:
    return _TOP + _HEIGHT * (1 - math.log(seconds / low) / math.log(high / low))


def _apart(wanted: Mapping[str, float]) -> dict[str, float]:
    """Heights near those wanted at which lines of text do not overlap."""
    found: dict[str, float] = {}
    lowest = -math.inf
    for name, height in sorted(wanted.items(), key=lambda one: one[1]):
        lowest = found[name] = max(height, lowest + _LINE_HEIGHT)
    too_far = max(0.0, lowest - (_TOP + _HEIGHT))
    for name, height in sorted(found.items(), key=lambda one: -one[1]):
        found[name] = min(height, lowest - too_far)
        lowest = found[name] - _LINE_HEIGHT + too_far
    return found


def _axes(sizes: Sequence[float], low: float, high: float) -> list[str]:
    parts = []
    for power in range(round(math.log10(low)), round(math.log10(high)) + 1):
        y = _y(10.0**power, low, high)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_LEFT + _WIDTH}" y2="{y:.1f}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="#4b5563">{10.0**power:g} s</text>')
    for size in sizes:
        x = _x(size, sizes)
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_TOP + _HEIGHT}" stroke="#e5e7eb"/>')
        parts.append(f'<text x="{x:.1f}" y="{_TOP + _HEIGHT + 20}" text-anchor="middle" fill="#4b5563">{size:g} GB</text>')
    return parts


def _line(name: str, points: Sequence[tuple[float, float]], label: float) -> list[str]:
    colour = _COLOURS.get(name.partition(":")[0], "#374151")
    dashes = ' stroke-dasharray="5 4"' if "kept seed" in name else ""
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return [
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>',
        *(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="2.5" fill="{colour}"/>' for px, py in points),
        f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{x + 18:.1f}" y2="{label:.1f}" stroke="{colour}" stroke-width="0.6"/>',
        f'<text x="{x + 22:.1f}" y="{label + 4:.1f}" fill="{colour}">{escape(name)}</text>',
    ]


if __name__ == "__main__":
    PLOT.write_text(plot(json.loads(DATA.read_text())))
