"""Comments -> one page that shows them as a pull request does: rendered by GitHub's own renderer, filtered as GitHub filters."""

from __future__ import annotations

import html
from collections.abc import Mapping
from html.parser import HTMLParser

import cmarkgfm
from cmarkgfm.cmark import Options

# Of what GitHub lets through: what a comment of ours may be made of, and the attributes that it may have.
ALLOWED: Mapping[str, frozenset[str]] = {
    tag: frozenset(attributes.split())
    for tag, attributes in {
        "h3": "", "p": "", "code": "", "pre": "lang", "strong": "", "b": "", "sub": "", "blockquote": "", "ul": "", "ol": "",
        "li": "", "details": "", "summary": "", "table": "", "thead": "", "tbody": "", "tr": "", "th": "align", "td": "align",
        "a": "href", "br": "", "em": "",
    }.items()
}  # fmt: skip
# What decides on boxes and folds in GitHub's own style.
STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --back: #fff; --line: #d1d9e0; --soft: #f6f8fa; --code: #eff1f3;
  --link: #0969da; }
@media (prefers-color-scheme: dark) {
  :root { --text: #f0f6fc; --back: #0d1117; --line: #3d444d; --soft: #151b23; --code: #262c36; --link: #4493f8; } }
body { margin: 0; padding: 16px; background: var(--back); color: var(--text); }
article { box-sizing: border-box; max-width: 700px; margin: 0 0 24px; padding: 16px; border: 1px solid var(--line);
  border-radius: 6px; overflow-wrap: break-word; font: 14px/1.5 "Noto Sans", Helvetica, Arial, "DejaVu Sans", sans-serif; }
h3 { font-size: 1.25em; margin: 0 0 16px; line-height: 1.25; } p, ul, blockquote { margin: 0 0 16px; }
blockquote { padding: 0 1em; border-left: .25em solid var(--line); } a { color: var(--link); }
code { font: 12px ui-monospace, "DejaVu Sans Mono", monospace; white-space: break-spaces; background: var(--code);
  padding: .2em .4em; border-radius: 6px; }
pre { background: var(--soft); padding: 16px; margin: 0 0 16px; border-radius: 6px; overflow: auto; }
pre code { background: none; padding: 0; white-space: pre; }
table { border-collapse: collapse; display: block; width: max-content; max-width: 100%; overflow: auto; margin: 0 0 16px; }
td, th { border: 1px solid var(--line); padding: 6px 13px; } tr:nth-child(2n) td { background: var(--soft); }
details { display: block; margin: 0 0 16px; } summary { cursor: pointer; }
"""


class Filter(HTMLParser):
    """Leaves tags and attributes out that a comment of ours has no use for, and keeps what it left out in `dropped`."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=False)
        self.parts: list[str] = []
        self.dropped: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        allowed = ALLOWED.get(tag)
        if allowed is None:
            self.dropped.append(f"<{tag}>")
            return
        self.dropped += [f"{tag} {name}" for name, _value in attrs if name not in allowed]
        kept = "".join(f' {name}="{html.escape(value or "")}"' for name, value in attrs if name in allowed)
        self.parts.append(f"<{tag}{kept}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in ALLOWED:
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_entityref(self, name: str) -> None:
        self.parts.append(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.parts.append(f"&#{name};")

    def handle_comment(self, data: str) -> None:
        self.dropped.append(f"<!--{data}-->")


def rendered(markdown: str) -> Filter:
    """A comment's Markdown as GitHub makes HTML of it."""
    options = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_GITHUB_PRE_LANG
    return Filter(cmarkgfm.github_flavored_markdown_to_html(markdown, options=options))


def page_of(comments: Mapping[str, Filter], script: str | None = None) -> str:
    """A page with all comments, each in an <article> of its own; `script` is the address of one that it loads."""
    articles = "".join(f'<article id="{html.escape(name)}">{"".join(one.parts)}</article>\n' for name, one in comments.items())
    loads = f'<script src="{html.escape(script)}"></script>' if script else ""
    head = f'<meta charset="utf-8"><style>{STYLE}</style>{loads}'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>\n{articles}</body></html>\n'
