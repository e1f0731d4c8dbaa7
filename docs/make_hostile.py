"""Writes docs/hostile.md, what hostile migrations try and what happens, from the cases that the tests run:
`python -m docs.make_hostile`.

A test holds the page equal to what this makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.hostile.cases import ESCAPES, EXHAUSTION, LIES, TRAPS, Case

PAGE = Path(__file__).parent / "hostile.md"
_SECTIONS: tuple[tuple[str, str, Mapping[str, Case]], ...] = (
    (
        "Out of the sandbox",
        "A migration runs as a role that is no superuser, in a server that only its superuser's password opens.",
        ESCAPES,
    ),
    (
        "Rights that are lent",
        "An extension that is harmless, and yet a superuser's to create, is created with rights lent for this one statement.",
        TRAPS,
    ),
    ("Lies", "What is reported was counted and read by sessions of our own.", LIES),
    ("Exhaustion", "Time and room on the disk have limits, and what reaches one is ended.", EXHAUSTION),
)


def page() -> str:
    """The whole page."""
    head = """# What hostile migrations try

Whoever can open a pull request writes migrations. Each row is a test (`tests/hostile/cases.py`), run against a real server; after
every one of them the server must answer, nobody may have become a superuser, no database may be left, no file be written, and
nothing be told of a secret in our environment or in a file that the server's account can read.
"""
    return head + "".join(_section(*section) for section in _SECTIONS)


def _section(title: str, why: str, cases: Mapping[str, Case]) -> str:
    rows = "".join(f"| {_cell(tries)} | {_cell(_happens(case))} |\n" for tries, case in cases.items())
    return f"\n## {title}\n\n{why}\n\n| a migration that | |\n|---|---|\n{rows}"


def _happens(case: Case) -> str:
    if case.open:
        return f"not yet as it should be: {case.open}"
    if case.no_clone:
        return "the run ends with an error, and says nothing of the migration"
    if case.fails == "42501":
        return "is refused"
    if case.fails:
        return f"fails: `{case.fails}`"
    return "is applied, and the report says: " + "; ".join(case.told) if case.told else "is applied"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
