"""Makes docs/comment.png: the comment of `make demo` as a pull request shows it, shot in a real browser.

    make demo && python docs/picture.py [--browser chromium]

Needs markdown-it-py (it comes with rich) and a Chromium.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
STYLE = """
body { margin: 0; padding: 20px; width: 900px; background: #fff; color: #1f2328;
  font: 14px/1.5 -apple-system, "Segoe UI", "Noto Sans", Helvetica, Arial, "DejaVu Sans", sans-serif, "Noto Color Emoji"; }
.box { border: 1px solid #d1d9e0; border-radius: 6px; }
.who { padding: 8px 16px; background: #f6f8fa; border-bottom: 1px solid #d1d9e0; border-radius: 6px 6px 0 0; color: #59636e; }
.who b { color: #1f2328; } .body { padding: 8px 16px; }
h3 { font-size: 1.25em; margin: 16px 0; } p { margin: 0 0 16px; }
code { font: 12px ui-monospace, "DejaVu Sans Mono", monospace; background: #eff1f3; padding: .2em .4em; border-radius: 6px; }
pre { background: #f6f8fa; padding: 12px 16px; border-radius: 6px; } pre code { background: none; padding: 0; }
table { border-collapse: collapse; margin: 0 0 16px; } td, th { border: 1px solid #d1d9e0; padding: 6px 13px; }
tr:nth-child(2n) td { background: #f6f8fa; } details { margin: 0 0 16px; }
"""


def page(markdown: str) -> str:
    """A comment's Markdown -> a page that looks like a pull request."""
    body = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    who = '<div class="who"><b>github-actions</b> commented just now</div>'
    return (
        f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style><div class="box">{who}<div class="body">{body}</div></div>'
    )


def main() -> None:
    """Renders, shoots, and says where the picture is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--browser", default="chromium")
    parser.add_argument("--markdown", type=Path, default=ROOT / "demo/report.md")
    parser.add_argument("--target", type=Path, default=ROOT / "docs/comment.png")
    parser.add_argument("--open-details", action="store_true", help="unfold what is folded")
    parser.add_argument("--height", type=int, default=1010)
    options = parser.parse_args()
    shown = page(options.markdown.read_text(encoding="utf-8"))
    if options.open_details:
        shown = shown.replace("<details>", "<details open>")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "comment.html")
        source.write_text(shown, encoding="utf-8")
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        flags += ["--disable-sync", "--no-first-run", "--hide-scrollbars", "--force-device-scale-factor=1.5"]
        flags += [f"--user-data-dir={folder}/profile", f"--window-size=940,{options.height}", f"--screenshot={options.target}"]
        subprocess.run([options.browser, *flags, source.as_uri()], check=True, capture_output=True, timeout=120)
    print(options.target)


if __name__ == "__main__":
    main()
