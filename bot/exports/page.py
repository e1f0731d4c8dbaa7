"""One self-contained HTML page: what the comment says, nothing cut, with the timeline drawn.

The comment's Markdown is rendered, as GitHub would; names and texts of others are code spans or escaped in it already. In case
that something got through, the page may load nothing and run nothing (Content-Security-Policy).
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from bot.model import Report
from bot.report import headline, summary
from bot.timeline import Lane, lanes
from bot.words import duration, one_line, relation

if TYPE_CHECKING:
    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; --line: #d1d9e0; --soft: #f6f8fa; --both: #cf222e; --writes: #9a6700; }
@media (prefers-color-scheme: dark) { :root { --line: #3d444d; --soft: #151b23; --both: #f85149; --writes: #d29922; } }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; font: 15px/1.5 system-ui, sans-serif; }
code, pre { font: 13px ui-monospace, monospace; background: var(--soft); border-radius: 6px; }
code { padding: .15em .35em; } pre { padding: 1em; overflow: auto; } pre code { padding: 0; }
table { border-collapse: collapse; display: block; overflow: auto; margin: 1em 0; }
td, th { border: 1px solid var(--line); padding: .35em .8em; } th { background: var(--soft); }
details { margin: 1em 0; } summary { cursor: pointer; }
.chart { overflow-x: auto; } svg { width: 100%; min-width: 40rem; height: auto; }
svg text { font: 12px system-ui, sans-serif; fill: currentColor; }
"""
_WIDTH, _LEFT, _ROW, _TOP = 900, 220, 26, 8


def page(report: Report) -> str:
    """The whole page."""
    from markdown_it import MarkdownIt  # noqa: PLC0415  runs that make no page do not pay for it

    charts = [_svg(there) for m in report.migrations if (there := lanes(m))]
    drawn = iter(charts)
    markdown = MarkdownIt("commonmark", {"html": True}).enable("table")

    def fence(renderer: RendererHTML, tokens: Sequence[Token], at: int, options: Any, env: Any) -> str:
        if tokens[at].info == "mermaid":
            return next(drawn, "")
        return renderer.fence(tokens, at, options, env)

    markdown.add_render_rule("fence", fence)
    title = html.escape(one_line(headline(report).replace("`", "")))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style></head>\n<body>\n{markdown.render(summary(report))}</body></html>\n"
    )


def _svg(there: Sequence[Lane]) -> str:
    """Who waits when, a row for each relation; what is drawn is said in words, too."""
    end_ms = max(wait.ended_ms for lane in there for wait in lane.waits) or 1.0
    height = _TOP + _ROW * len(there) + 24
    rows = [_row(number, lane, end_ms) for number, lane in enumerate(there)]
    axis = [
        f'<text x="{_LEFT + (_WIDTH - _LEFT - 60) * part / 4:.0f}" y="{height - 6}">{duration(end_ms * part / 4)}</text>'
        for part in range(5)
    ]
    return (
        f'<div class="chart"><svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Who waits when">'
        f"{''.join([*rows, *axis])}</svg></div>\n"
    )


def _row(number: int, lane: Lane, end_ms: float) -> str:
    top = _TOP + _ROW * number
    name = one_line(relation(lane.relation))
    shown = html.escape(name if len(name) <= 30 else f"{name[:29]}…")
    bars = []
    for wait in lane.waits:
        left = _LEFT + (_WIDTH - _LEFT - 60) * wait.began_ms / end_ms
        width = max(1.0, (_WIDTH - _LEFT - 60) * wait.took_ms / end_ms)
        color = "--writes" if wait.what == "writes" else "--both"
        said = f"{wait.what} of {html.escape(name)} wait {duration(wait.took_ms)}, from {duration(wait.began_ms)} on"
        bars.append(
            f'<rect x="{left:.1f}" y="{top + 3}" width="{width:.1f}" height="{_ROW - 8}" rx="3" fill="var({color})">'
            f"<title>{said}</title></rect>"
        )
    return f'<text x="0" y="{top + 17}">{shown}</text>{"".join(bars)}'
