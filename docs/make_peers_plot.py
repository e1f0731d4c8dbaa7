"""bench/peers.json -> docs/peers.svg: `PYTHONPATH=. python docs/make_peers_plot.py`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from bench.peer_table import FALSE_ALARM, HIT, counts

_ROOT = Path(__file__).parents[1]
DATA, PLOT = _ROOT / "bench" / "peers.json", _ROOT / "docs" / "peers.svg"

# One row a tool: to the right what it found of the harmful files, to the left where it cried wolf.
_NAMES, _SIDE, _TOP, _ROW, _BAR = 190, 260, 64, 30, 18


def plot(bench: Mapping[str, Any]) -> str:
    """The picture of a bench's verdicts."""
    harmful = sum(bool(case["harm"]) for case in bench["cases"].values())
    safe = len(bench["cases"]) - harmful
    width, height = _NAMES + 2 * _SIDE + 60, _TOP + _ROW * len(bench["tools"]) + 16
    middle = _NAMES + _SIDE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="22" font-size="15" fill="#111827">What each tool says of the labelled migrations</text>',
        _text(middle - 6, 48, f"false alarms, of {safe} safe files", "end", "#b91c1c"),
        _text(middle + 6, 48, f"hits, of {harmful} harmful files", "start", "#15803d"),
    ]
    for number, name in enumerate(bench["tools"]):
        found, y = counts(bench, name), _TOP + number * _ROW
        wrong, right = _SIDE * found[FALSE_ALARM] / safe, _SIDE * found[HIT] / harmful
        parts += [
            _text(_NAMES - 40, y + 13, name, "end", "#111827"),
            f'<rect x="{middle - wrong:.1f}" y="{y}" width="{wrong:.1f}" height="{_BAR}" fill="#b91c1c"/>',
            f'<rect x="{middle}" y="{y}" width="{right:.1f}" height="{_BAR}" fill="#15803d"/>',
            _text(middle - wrong - 6, y + 13, str(found[FALSE_ALARM]), "end", "#111827"),
            _text(middle + right + 6, y + 13, str(found[HIT]), "start", "#111827"),
        ]
    return "\n".join([*parts, "</svg>"]) + "\n"


def _text(x: float, y: float, text: str, anchor: str, colour: str) -> str:
    return f'<text x="{x:.1f}" y="{y}" text-anchor="{anchor}" fill="{colour}">{escape(text)}</text>'


if __name__ == "__main__":
    PLOT.write_text(plot(json.loads(DATA.read_text())))
