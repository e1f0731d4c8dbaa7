"""Numbers and names as a reader takes them in; for messages and templates alike."""

from __future__ import annotations


def name(text: str) -> str:
    """A name inside a message: the renderer shows what stands between backticks as code, so a name may hold none itself."""
    return "`" + text.replace("`", "ˋ") + "`"


def relation(text: str) -> str:
    """A relation without the schema that everybody expects."""
    return text.removeprefix("public.")


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 row`, `2,187 rows`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def duration(ms: float) -> str:
    """Milliseconds as a reader takes them in; less than one counts as one."""
    if ms < 1000:
        return f"{ms:.0f} ms" if ms >= 1 else "1 ms" if ms > 0 else "0 ms"
    seconds = ms / 1000
    return f"{seconds:.1f} s" if seconds < 120 else f"{int(seconds) // 60} min {int(seconds) % 60} s"


def size(value: float) -> str:
    """Bytes as a reader takes them in."""
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if abs(value) < 1000 or unit == "TB":
            break
        value /= 1024
    return f"{value:.0f} {unit}" if unit == "B" or abs(value) >= 100 else f"{value:.1f} {unit}"
