"""Splitting: where PostgreSQL and psql would end a statement, whatever stands in it."""

from __future__ import annotations

import re
import sys

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st

from bot.sources import joined, place
from bot.sql import _WORD, NAMED, START, is_one_block, leaves_open, redacted, split, unquoted

# text -> the statements in it
SPLITS = {
    "two": ("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"]),
    "no final semicolon": ("SELECT 1;\nSELECT 2", ["SELECT 1", "SELECT 2"]),
    "empty": ("", []),
    "only semicolons": (";;; ;", []),
    "in a string": ("SELECT ';', 'it''s;'", ["SELECT ';', 'it''s;'"]),
    "in an escape string": (r"SELECT E'\';', 1; SELECT 2", [r"SELECT E'\';', 1", "SELECT 2"]),
    "a backslash in a plain string": (r"SELECT '\'; SELECT 2", [r"SELECT '\'", "SELECT 2"]),
    "an escape string over two lines": ("SELECT E'a'\n  'b\\'; c'; SELECT 2", ["SELECT E'a'\n  'b\\'; c'", "SELECT 2"]),
    "in a name": ('SELECT 1 AS "a;b""c"; SELECT 2', ['SELECT 1 AS "a;b""c"', "SELECT 2"]),
    "in a comment": ("SELECT 1 -- ; '\n; SELECT 2 /* ; \" */", ["SELECT 1", "SELECT 2"]),
    "in a nested comment": ("SELECT /* /* ; */ ; */ 1; SELECT 2", ["SELECT /* /* ; */ ; */ 1", "SELECT 2"]),
    "dollar quotes": ("DO $$ BEGIN; END $$; SELECT 2", ["DO $$ BEGIN; END $$", "SELECT 2"]),
    "tagged dollar quotes": ("SELECT $a$ ; $$ ; $b$ ; $a$; SELECT 2", ["SELECT $a$ ; $$ ; $b$ ; $a$", "SELECT 2"]),
    "a dollar in a name": ("SELECT a$b$c; SELECT d$b$", ["SELECT a$b$c", "SELECT d$b$"]),
    "parameters": ("SELECT $1; SELECT $2", ["SELECT $1", "SELECT $2"]),
    "BEGIN ATOMIC": (
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN 1 END; END; SELECT 2",
        ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN a THEN 1 END; END", "SELECT 2"],
    ),
    "OR REPLACE PROCEDURE": (
        "CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END; SELECT 2",
        ["CREATE OR REPLACE PROCEDURE p() BEGIN ATOMIC SELECT 1; END", "SELECT 2"],
    ),
    "a transaction is no body": ("BEGIN; SELECT 1; END; SELECT 2", ["BEGIN", "SELECT 1", "END", "SELECT 2"]),
    "a rule with two actions": (
        "CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b); SELECT 2",
        ["CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b)", "SELECT 2"],
    ),
    "COPY data": ("COPY t FROM stdin;\nit's; one\n\\.\nSELECT 2;", ["COPY t FROM stdin", "SELECT 2"]),
    "COPY to stdout has no data": ("COPY t TO stdout; SELECT 2", ["COPY t TO stdout", "SELECT 2"]),
    "an open quote holds the rest": ("SELECT 'a; SELECT 2;", ["SELECT 'a; SELECT 2;"]),
    "an open dollar quote holds the rest": ("SELECT $$a; SELECT 2;", ["SELECT $$a; SELECT 2;"]),
    "CRLF": ("SELECT 1;\r\n\r\nSELECT 2;\r\n", ["SELECT 1", "SELECT 2"]),
    "names beyond ASCII": ("SELECT ä, \U0001f600; SELECT ö", ["SELECT ä, \U0001f600", "SELECT ö"]),
}


@pytest.mark.parametrize(("text", "expected"), SPLITS.values(), ids=SPLITS.keys())
def test_split(text: str, expected: list[str]) -> None:
    assert [s.sql for s in split(text).statements] == expected


def test_lines_begin_at_the_first_word_not_at_a_comment() -> None:
    text = "-- why\n\n/* and\n how */ SELECT 1;\r\nCOPY t FROM stdin;\n1\n2\n\\.\n  SELECT 2"

    assert [(s.sql, s.line) for s in split(text).statements] == [("SELECT 1", 4), ("COPY t FROM stdin", 5), ("SELECT 2", 9)]


def test_copy_data_is_what_stands_before_the_end_mark() -> None:
    statements = split("COPY t FROM stdin;\na\tb\n\\N\tc\n\\.\nSELECT 1").statements

    assert [s.copy_data for s in statements] == ["a\tb\n\\N\tc\n", None]


def test_meta_commands_are_found_by_name_and_line() -> None:
    script = split("\\i other.sql\nSELECT 1; \\echo done; hm\nSELECT 'no \\d here', E'\\n' -- \\x\n\\gexec\n")

    assert [(m.name, m.line) for m in script.meta_commands] == [("\\i", 1), ("\\echo", 2), ("\\gexec", 4)]


def test_directives_are_read_from_comments() -> None:
    script = split(
        "-- rehearsal: allow table-rewritten small on the day\nSELECT '-- rehearsal: allow x y';\n--rehearsal:expect true"
    )

    assert [(d.verb, d.text, d.line) for d in script.directives] == [
        ("allow", "table-rewritten small on the day", 1),
        ("expect", "true", 3),
    ]


_PIECES = st.lists(
    st.sampled_from(
        ["SELECT 1", ";", "'", "''", '"', "$$", "$a$", "(", ")", "--", "/*", "*/", "\n", "\r\n", " ", "\\", "E'", "BEGIN", "END",
         "CREATE FUNCTION f()", "COPY t FROM stdin;\n", "\\.\n", "ä", "\ufeff", "CASE"]
    ),
    max_size=30,
).map("".join)  # fmt: skip


@given(_PIECES)
def test_every_slice_is_a_piece_of_the_text_on_its_line_and_in_order(text: str) -> None:
    end = 0
    for statement in split(text).statements:
        assert text[statement.start : statement.end] == statement.sql
        assert statement.start >= end
        assert statement.line == 1 + text.count("\n", 0, statement.start)
        end = statement.end


_WORDS = st.sampled_from(["SELECT", "a", "'x;y'", '"n;m"', "/* ; */", "1.5", "$$ ; $$", "::int", ",", "(1)", "-- c\n"])
_STATEMENTS = st.lists(_WORDS, min_size=1, max_size=6).map(lambda words: "SELECT 1, " + " ".join(words))


@given(st.lists(_STATEMENTS, min_size=1, max_size=6))
def test_splits_where_sqlglots_tokenizer_sees_semicolons(statements: list[str]) -> None:
    text = ";\n".join(statements)
    semicolons = [t for t in sqlglot.tokenize(text, read="postgres") if t.token_type.name == "SEMICOLON"]

    assert len(split(text).statements) == len(semicolons) + 1


# Statements that are hard to tell apart, whole, as files hold them; what follows COPY's semicolon are its data.
_HARD = st.sampled_from([
    "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END",
    "CREATE OR REPLACE PROCEDURE p()\nBEGIN ATOMIC\n  INSERT INTO t VALUES (';');\nEND",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (\n  DELETE FROM a;\n  DELETE FROM b WHERE c = ')'\n)",
    "DO $do$ BEGIN EXECUTE $q$ SELECT 1; $q$; COMMIT; END $do$",
    "CREATE FUNCTION g() RETURNS text LANGUAGE sql AS $$ SELECT '$a$; --'; $$",
    "SELECT $a$ $b$ ; $b$ $$ ; $$ $a$, $1",
    "SELECT 1 /* ; /* ; */ ' ; */ + 2 -- ; $$\n + 3",
    "SELECT E'\\';', ';', U&'\\0041;', \"a;b\"\n  'c;'\n  ';d'",
    "BEGIN", "COMMIT", "START TRANSACTION", "END", "SAVEPOINT s",
    "INSERT INTO t (a, b) VALUES (1, '--'), (2, '$$;'),\n(3, ';')",
    "COPY t FROM STDIN", "COPY t (a) FROM stdin WITH (FORMAT csv)", "ALTER TABLE ä ADD \"ö;\" int",
])  # fmt: skip
_Script = tuple[str, list[tuple[str, int, str | None]], list[tuple[str, int]]]
_BETWEEN = st.sampled_from(["", " ", "\n", "\n\n", "-- a comment; it's $$\n", "/* ; /* ' */ */", "\n;;\n"])
_DATA = st.sampled_from(["", "1\tit's;\n", "$$\n/*\n--\n", "BEGIN;\n\\N\n\n"])
_COMMANDS = st.sampled_from(["", "", "", "\\echo it's; done\n", "\\i other.sql\n"])


@st.composite
def _scripts(draw: st.DrawFn) -> _Script:
    """A file; its statements, their lines and data; its commands of psql and their lines."""
    text = draw(st.sampled_from(["", "-- made\n", "\ufeffSELECT 0;"]))  # a byte order mark is sent, and is the first statement's
    statements: list[tuple[str, int, str | None]] = [("\ufeffSELECT 0", 1, None)] if text.startswith("\ufeff") else []
    commands: list[tuple[str, int]] = []
    for sql in draw(st.lists(_HARD, max_size=8)):
        text += draw(_BETWEEN)
        if command := draw(_COMMANDS):
            text += "" if text.endswith("\n") or not text else "\n"
            commands.append((command.split()[0], text.count("\n") + 1))
            text += command
        data = draw(_DATA) if sql.startswith("COPY") else None
        statements.append((sql, text.count("\n") + 1, data))
        text += f"{sql};" + ("" if data is None else f"\n{data}\\.\n")
    if statements and statements[-1][2] is None and draw(st.booleans()):
        text = text.removesuffix(";")  # many files end without one, and without a line end
    return text, statements, commands


@given(_scripts())
def test_hard_statements_are_told_apart_each_with_its_line_and_data(
    script: _Script,
) -> None:
    text, statements, commands = script
    found = split(text)

    assert [(s.sql, s.line, s.copy_data) for s in found.statements] == statements
    assert [(m.name, m.line) for m in found.meta_commands] == commands


@given(_scripts())
def test_line_ends_of_windows_change_no_place(
    script: _Script,
) -> None:
    text, statements, commands = script
    found = split(text.replace("\n", "\r\n"))

    assert [(s.sql.replace("\r\n", "\n"), s.line) for s in found.statements] == [(sql, line) for sql, line, _data in statements]
    assert [(m.name, m.line) for m in found.meta_commands] == commands


@given(_scripts())
def test_slices_and_what_stands_between_them_are_the_file(
    script: _Script,
) -> None:
    text = script[0]
    pieces, between, end = [], [], 0
    for statement in split(text).statements:
        between.append(text[end : statement.start])
        pieces += [between[-1], text[statement.start : statement.end]]
        end = statement.end
        if statement.copy_data is not None:
            data = text.index(statement.copy_data + "\\.", end) + len(statement.copy_data) + 2
            pieces.append(text[end:data])
            end = data
    assert "".join([*pieces, text[end:]]) == text
    assert [split(gap).statements for gap in between] == [()] * len(between)


@given(_scripts(), _scripts())
def test_a_text_that_leaves_nothing_open_can_be_followed_by_another(one: _Script, other: _Script) -> None:
    assert not leaves_open(one[0])
    text, sources = joined([(one[0], "1.sql"), (other[0], "2.sql")])

    assert [(s.sql, *place(sources, "-", s.line)) for s in split(text).statements] == [
        *((sql, "1.sql", line) for sql, line, _data in one[1]),
        *((sql, "2.sql", line) for sql, line, _data in other[1]),
    ]


@pytest.mark.parametrize("text", ["SELECT 'a", 'SELECT "a', "SELECT $$a", "/* a", "SELECT (1", "COPY t FROM stdin;\n1\n"])
def test_what_is_left_open_is_known(text: str) -> None:
    assert leaves_open(text)


# text -> what of it stands outside of quotes, comments and data
UNQUOTED = {
    "a 'b' \"c\" -- d\ne /* f */ $$g$$ h": ["a", "e", "h"],
    "COPY t FROM stdin;\n1 2\n\\.\nb": ["COPY", "t", "FROM", "stdin", "b"],
    "\\echo it's\na": ["a"],
    "a ${b}": ["a", "$", "{", "b", "}"],
}


@pytest.mark.parametrize(("text", "outside"), UNQUOTED.items())
def test_what_stands_outside_of_quotes(text: str, outside: list[str]) -> None:
    assert [text[begin:end] for begin, end in unquoted(text) if text[begin:end] != ";"][: len(outside)] == outside


# statement -> as it is shown
REDACTED = {
    "literals": ("UPDATE t SET a = 'x', b = 12 WHERE c = $$y$$", "UPDATE t SET a = $1, b = $2 WHERE c = $3"),
    "one line": ("SELECT a\n  -- secret 'x'\n  FROM t", "SELECT a FROM t"),
    "names stay": ('ALTER TABLE "My Table" ADD c int', 'ALTER TABLE "My Table" ADD c int'),
    "what can't be read": ("SELECT 'open", "SELECT …"),
}


@pytest.mark.parametrize(("sql", "shown"), REDACTED.values(), ids=REDACTED.keys())
def test_redacted(sql: str, shown: str) -> None:
    assert redacted(sql) == shown


def test_a_long_statement_is_cut() -> None:
    assert len(redacted("SELECT " + "a, " * 100_000)) <= 200


# What a lexer may stumble over, put together at random.
STUMBLES = st.sampled_from([
    "INSERT INTO t VALUES ", "SELECT a, b, c, d, e, f, g, h ", "(", ")", ";", "'a''b'", r"E'a\'b'", "e", "E", "date'x'", "$1",
    "$$a;b$$", "a$b$", "$t$;$t$", "--x;\n", "/* ; */", "-", "/", '"a;b"', "\\x ", "\n", " ", "1e5", "'open", "é'a'", "_e'a'",
    "CREATE RULE r AS ON INSERT TO t DO ALSO (", "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END",
])  # fmt: skip


@given(st.lists(STUMBLES, max_size=14).map("".join))
def test_long_statements_are_split_as_short_ones_are(text: str) -> None:
    quickly = split(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bot.sql._is_known", lambda _scan: False)  # token by token
        slowly = split.__wrapped__(text)

    assert [(s.sql, s.line, s.copy_data) for s in quickly.statements] == [(s.sql, s.line, s.copy_data) for s in slowly.statements]
    assert (quickly.directives, quickly.meta_commands) == (slowly.directives, slowly.meta_commands)


# a file -> whether its own BEGIN and COMMIT make it one transaction
BLOCKS = {
    "BEGIN;\nSELECT 1;\nCOMMIT;": True,
    "-- Deploy users\nSTART TRANSACTION;\nSELECT 1;\nEND": True,
    "BEGIN;\nSELECT 1;\nCOMMIT;\nSELECT 2;": False,
    "BEGIN;\nSELECT 1;\nCOMMIT;\nBEGIN;\nSELECT 2;\nCOMMIT;": False,
    "SELECT 1;\nCOMMIT;": False,
    "DO $$ BEGIN END $$;\nCOMMIT;": False,
    "BEGIN;": False,
    "": False,
}


@pytest.mark.parametrize(("text", "one"), BLOCKS.items())
def test_a_file_that_is_one_transaction_by_itself(text: str, one: bool) -> None:
    assert is_one_block(split(text)) is one


@pytest.mark.parametrize(
    ("told", "letters"),
    [(START, "A-Za-z_"), (NAMED, "A-Za-z_0-9"), (_WORD, "A-Za-z_0-9$")],
)
def test_a_name_has_what_postgresql_takes_for_a_letter(told: str, letters: str) -> None:
    """All of Unicode: the sets are told by what they are not, which nobody reads as easily."""
    every = "".join(map(chr, range(sys.maxunicode + 1)))

    assert re.findall(told, every) == re.findall(rf"[{letters}\x80-\U0010ffff]", every)
