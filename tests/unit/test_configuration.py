"""`.migration-rehearsal.toml`: what it says, and the line and the nearest name for each mistake."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.configuration import KEYS, Configuration, Key, read_configuration
from bot.errors import UsageError
from bot.model import Severity
from bot.team import Expected, Option, Settable, Sizes

INPUTS = ("large-table-rows", "max-reads-blocked-ms", "migrations", "way-back")
SHARE = Option("share", 0.5, "A part.", least=0, most=1)
MOST = Option("most-rows", None, "Rows.", least=1, most=1000, whole=True, unset="any")
RULES = {
    "table-rewritten": Settable(options=(SHARE, MOST)),
    "statement-fails": Settable(weakenable=False),
    "no-lock-timeout": Settable(),
}

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
    "options of a rule": (
        "[rules.table-rewritten]\nshare = 1\nmost-rows = 1_000",
        Configuration(options={"table-rewritten": {"share": 1.0, "most-rows": 1000.0}}),
    ),
    "options in one line": (
        "rules = { table-rewritten = { share = 0.25 } }",
        Configuration(options={"table-rewritten": {"share": 0.25}}),
    ),
    "sizes of tables": (
        "[large-tables]\n'public.orders' = true\n'public.countries' = false\n'app.events' = 41_000_000\n'app.\"Old\"' = true",
        Configuration(
            sizes=Sizes({"public.orders": True, "public.countries": False, 'app."Old"': True}, {"app.events": 41_000_000})
        ),
    ),
    "expectations": (
        '# ours\n[expectations]\n\n"a query" = """\n-- of rows\nSELECT 1\nWHERE false;\n"""\n"a condition" = "(SELECT 1) = 1"\n'
        '"a word" = "selected"',
        Configuration(
            expectations=(
                Expected("a query", "SELECT 1\nWHERE false", is_query=True, line=4),
                Expected("a condition", "(SELECT 1) = 1", is_query=False, line=9),
                Expected("a word", "selected", is_query=False, line=10),
            )
        ),
    ),
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
    "a key and a rule of one name": (
        'large-table-rows = 5\n[severity]\ntable-rewritten = "off"\n[rules]\ntable-rewritten.shares = 1',
        r"toml:5: `shares` is no option of table-rewritten.* Did you mean `share`",
    ),
    "options of no rule": ("\n[rules.table-rewriten]\nshare = 1", r"toml:2: `table-rewriten` is no rule.* `table-rewritten`"),
    "options where there are none": ("[rules.no-lock-timeout]\nms = 1", r"toml:1: `no-lock-timeout` is a rule without options"),
    "an option out of its range": ("[rules.table-rewritten]\nshare = 2", r"toml:2: `share` is 2, and not a number from 0 to 1"),
    "an option that is no number": (
        "[rules.table-rewritten]\nmost-rows = true",
        r"toml:2: `most-rows` is True, and not a whole number from 1 to 1,000",
    ),
    "an option with a fraction": ("[rules.table-rewritten]\nmost-rows = 1.5", r"toml:2: `most-rows` is 1.5, and not a whole"),
    "not a number": ("[rules.table-rewritten]\nshare = nan", r"toml:2: `share` is nan"),
    "a number for options": (
        "[rules]\ntable-rewritten = 1",
        r"toml:2: `table-rewritten` is no table: .*\[rules.table-rewritten\]",
    ),
    "a table without its schema": ("[large-tables]\norders = true", r"toml:2: `orders` is no table with its schema"),
    "a table with capitals": ("[large-tables]\n'public.Orders' = true", r"toml:2: `public.Orders` is no table"),
    "a table without its quotes": ("[large-tables]\npublic.orders = true", r"toml:2: `public` is no table with its schema"),
    "a size that is none": ("[large-tables]\n'public.a' = -1", r"toml:2: `public.a` is -1, and neither true, false, nor"),
    "two statements": ("[expectations]\nx = 'SELECT 1; SELECT 2'", r"toml:2: `x` is not one query or condition"),
    "nothing to expect": ("[expectations]\n\nx = ' -- '", r"toml:3: `x` is not one query or condition"),
    "an expectation that is no text": ("[expectations]\nx = 1", r"toml:2: `x` is not one query or condition"),
    "a nameless expectation": ("[expectations]\n'' = 'true'", r"toml:2: `` is no name"),
    "after values of many lines": (
        'migrations = [\n  "a",\n]\nway-back = """\nlarge-table-row = 1\n"""\r\n\r\nlarge-table-row = 1\r\n',
        r"toml:8: `large-table-row` is no setting",
    ),
    "no table": ('way-back = true\nseverity = "off"', r"toml:2: `severity` is no table"),
    "a table for a number": ("[large-table-rows]\na = 1", r"toml:1: `large-table-rows` is neither"),
    "a list of numbers": ("migrations = [1]", r"toml:1: `migrations` is no list of texts"),
    "no list": ('ignored-paths = "a"', r"toml:1: `ignored-paths` is no list"),
    "no UTF-8": (b"way-back = true\n# \xff", r"toml:2: the file is not UTF-8"),
    "lists in lists": ("migrations = " + "[" * 10_000, "is no TOML"),
    "an endless number": ("large-table-rows = 1" + "0" * 10_000, "is no TOML"),
    "a number that is endless in hexadecimal": (
        "[rules.table-rewritten]\nshare = 0x1" + "0" * 10_000,
        "`share` is a long number",
    ),
    "too large": (b"#" * 2**17, "larger than 64 kB"),
}


def test_a_value_that_its_input_can_not_have_is_told_in_whole_sentences() -> None:
    def check(_key: str, _value: str) -> None:
        raise UsageError("The input way-back is 'x'.", advice="Say true or false.")

    with pytest.raises(UsageError) as raised:
        read_configuration(b"way-back = 'x'", INPUTS, RULES, check)

    assert raised.value.what == (
        ".migration-rehearsal.toml:1: `way-back` is not understood. The input way-back is 'x'. Say true or false."
    )


@pytest.mark.parametrize(("text", "said"), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_told_with_their_line(text: str | bytes, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_configuration(text if isinstance(text, bytes) else text.encode(), INPUTS, RULES)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_each_key_is_read(key: Key) -> None:
    with pytest.raises(UsageError, match=rf":1: `{key.name}` is no (table|list)"):
        read_configuration(f"{key.name} = 1".encode(), INPUTS, RULES)


def test_a_file_of_another_name_is_told_by_it() -> None:
    with pytest.raises(UsageError, match=r"^ours\.toml:1: "):
        read_configuration(b"x = 1", INPUTS, RULES, file="ours.toml")


def test_the_line_is_found_whatever_lines_are_above_it() -> None:
    lines = [f'"{n}" = """\n{n}\n\n"""  # "x" = 1' if n % 3 else f"'{n}' = '{n}'\n" for n in range(300)]
    text = "[expectations]\n" + "\n".join(lines)

    found = read_configuration(text.encode(), INPUTS, RULES).expectations

    assert [one.line for one in found] == [text.split("\n").index(line.split("\n")[0]) + 1 for line in lines]


@given(st.binary(max_size=200))
def test_whatever_is_in_it_there_is_an_answer(content: bytes) -> None:
    try:
        read_configuration(content, INPUTS, RULES)
    except UsageError as error:
        assert len(str(error)) < 2000
