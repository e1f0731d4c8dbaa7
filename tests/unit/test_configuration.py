"""`.migration-rehearsal.toml`: what it says, and the line and the nearest name for each mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.configuration import Configuration, read_configuration
from bot.errors import UsageError
from bot.model import Severity

INPUTS = ("large-table-rows", "max-reads-blocked-ms", "migrations", "way-back")
RULES = {"table-rewritten": True, "statement-fails": False, "no-lock-timeout": True}

SAID = {
    "nothing": ("", Configuration()),
    "a number": ("large-table-rows = 50_000", Configuration({"large-table-rows": "50000"})),
    "a flag": ("way-back = false", Configuration({"way-back": "false"})),
    "a list": ('migrations = ["a", "b/*"]', Configuration({"migrations": "a\nb/*"})),
    "severities": (
        '[severity]\ntable-rewritten = "error"\nno-lock-timeout = "off"\nstatement-fails = "error"',
        Configuration(severities={"table-rewritten": Severity.ERROR, "no-lock-timeout": None, "statement-fails": Severity.ERROR}),
    ),
    "paths": ('ignored-paths = ["legacy/**"]', Configuration(ignored_paths=("legacy/**",))),
    "a byte order mark": ("\ufeffway-back = true", Configuration({"way-back": "true"})),
}


@pytest.mark.parametrize(("text", "expected"), SAID.values(), ids=SAID.keys())
def test_what_is_said(text: str, expected: Configuration) -> None:
    assert read_configuration(text.encode(), INPUTS, RULES) == expected


WRONG = {
    "no TOML": ("a = ", r"is no TOML: .* \(at end of document\)"),
    "no such setting": ("\nlarge-table-row = 5", r"toml:2: `large-table-row` is no setting.* Did you mean `large-table-rows`"),
    "no such rule": (
        '[severity]\n\ntable-rewriten = "off"',
        r"toml:3: `table-rewriten` is no rule.* Did you mean `table-rewritten`",
    ),
    "no such severity": ('[severity]\ntable-rewritten = "fatal"', r"toml:2: .* not one of: error, warning, notice, off"),
    "a failure made less": ('[severity]\nstatement-fails = "off"', r"toml:2: .* can't be less than an error"),
    "no table": ('way-back = true\nseverity = "off"', r"toml:2: `severity` is no table"),
    "a table for a number": ("[large-table-rows]\na = 1", r"toml:1: `large-table-rows` is neither"),
    "a list of numbers": ("migrations = [1]", r"toml:1: `migrations` is no list of texts"),
    "no list": ('ignored-paths = "a"', r"toml:1: `ignored-paths` is no list"),
    "no UTF-8": (b"way-back = true\n# \xff", r"toml:2: the file is not UTF-8"),
    "lists in lists": ("migrations = " + "[" * 10_000, "is no TOML"),
    "an endless number": ("large-table-rows = 1" + "0" * 10_000, "is no TOML"),
    "too large": (b"#" * 2**21, "larger than a megabyte"),
}


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_told_with_their_line(text: str | bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_configuration(text if isinstance(text, bytes) else text.encode(), INPUTS, RULES)


@given(st.binary(max_size=200))
def test_whatever_is_in_it_there_is_an_answer(content: bytes) -> None:
    try:
        read_configuration(content, INPUTS, RULES)
    except UsageError as error:
        assert len(str(error)) < 2000
