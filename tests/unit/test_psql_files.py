"""What psql would send of a file: what it includes, its variables, data of other files; and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import MigrationFileError
from bot.model import Source
from bot.psql_files import expand
from bot.sql import split

FILES = {
    "lib/one.sql": "SELECT 1;\n",
    "lib/open.sql": "SELECT 'no semicolon' -- at the end",
    "lib/nested.sql": "\\ir one.sql\nSELECT 'nested';\n",
    "lib/top.sql": "\\i lib/one.sql\n",
    "lib/sets.sql": "\\set later there\n",
    "lib/quote.sql": "SELECT 'open",
    "lib/comment.sql": "/* open",
    "lib/paren.sql": "SELECT (1",
    "lib/itself.sql": "\\i lib/itself.sql\n",
    "rows.csv": "1,a\n2,b",
    "rows.tsv": "1\ta\r\n2\tb",
    "ended.csv": "1,a\n\\.\nrubbish",
    "empty.csv": "",
    **{f"deep/{n}.sql": f"\\ir {n + 1}.sql\n" for n in range(30)},
}

# a file -> what is sent, with what ends a line taken away
SENT = {
    "nothing of psql's": ("SELECT 1;", ["SELECT 1;"]),
    "an included file": ("\\i lib/one.sql\nSELECT 2;", ["SELECT 1;", "SELECT 2;"]),
    "beside the including one": ("\\i lib/nested.sql", ["SELECT 1;", "SELECT 'nested';"]),
    "from where psql is started": ("\\i lib/top.sql", ["SELECT 1;"]),
    "by the long names": ("\\include lib/one.sql\n\\include_relative ../lib/one.sql", ["SELECT 1;", "SELECT 1;"]),
    "with a semicolon after it": ("\\i lib/one.sql;", ["SELECT 1;"]),
    "in quotes": ("\\i 'lib/one.sql'", ["SELECT 1;"]),
    "named by a variable": ("\\set f lib/one\n\\i :f.sql", []),
    "two on a line": ("\\i lib/one.sql \\i lib/one.sql \\\\ SELECT 3;", ["SELECT 1;", "SELECT 1;", " SELECT 3;"]),
    "without its semicolon": ("\\i lib/open.sql\nSELECT 2;", ["SELECT 'no semicolon' -- at the end", ";", "SELECT 2;"]),
    "variables outlive the file": ("\\i lib/sets.sql\nSELECT :later;", ["SELECT there;"]),
    "a variable": ("\\set t orders\nSELECT * FROM :t, public.:t;", ["SELECT * FROM orders, public.orders;"]),
    "as a literal and a name": ("\\set v 'it''s'\nSELECT :'v' AS :\"v\";", ["SELECT 'it''s' AS \"it's\";"]),
    "a literal with a backslash": ("\\set v 'a\\\\b'\nSELECT :'v';", ["SELECT  E'a\\\\b';"]),
    "arguments are joined": ("\\set v 1 + :one\n\\set one 1\n\\set v :one + :one\nSELECT :v;", ["SELECT 1+1;"]),
    "set to nothing": ("\\set v\nSELECT 1:v;", ["SELECT 1;"]),
    "unset": ("\\set v 1\n\\unset v\nSELECT a[1:v];", ["SELECT a[1:v];"]),
    "whether it is set": ("\\set v 1\nSELECT :{?v}, :{?w};", ["SELECT TRUE, FALSE;"]),
    "not within quotes": (
        "\\set v 1\nSELECT ':v', \":v\", $$:v$$, $a$:v$a$, E'\\':v' -- :v\n/* :v */;",
        ["SELECT ':v', \":v\", $$:v$$, $a$:v$a$, E'\\':v' -- :v", "/* :v */;"],
    ),
    "no cast, no assignment": ("\\set int 1\nSELECT 1::int, f(a := 1);", ["SELECT 1::int, f(a := 1);"]),
    "slices": ("SELECT a[1:2], a[i:j], a[:n];", ["SELECT a[1:2], a[i:j], a[:n];"]),
    "keys of JSON": ("SELECT JSON_OBJECT('a':b);", ["SELECT JSON_OBJECT('a':b);"]),
    "in rows": ("\\set v 1\nINSERT INTO t VALUES (1, '12:30:v'), (:v, 2);", ["INSERT INTO t VALUES (1, '12:30:v'), (1, 2);"]),
    "a value of statements": ("\\set v 'SELECT 1;'\n:v SELECT 2;", ["SELECT 1; SELECT 2;"]),
    "data in the file": ("COPY t FROM stdin;\n:v\\i x\n\\.\nSELECT 1;", ["COPY t FROM stdin;", ":v\\i x", "\\.", "SELECT 1;"]),
    "a body of SQL": (
        "\\set v 1\nCREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT :v; END;\nSELECT :v;",
        ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; END;", "SELECT 1;"],
    ),
    "what only shows": ("\\echo it's\n\\timing on\n\\pset pager off\n\\x\n\\t\n\\a\n\\encoding UTF8\nSELECT 1;", ["SELECT 1;"]),
    "of newer dumps": ("\\restrict abc\nSELECT 1;\n\\unrestrict abc\n", ["SELECT 1;"]),
    "within a statement": ("SELECT 1\n\\echo hm\n, 2;", ["SELECT 1", ", 2;"]),
    "data of a file": (
        "\\copy t (a, b) from 'rows.csv' with (format csv)\nSELECT 1;",
        ["COPY t (a, b) FROM STDIN with (format csv);", "1,a", "2,b", "\\.", "SELECT 1;"],
    ),
    "with its own line ends": ("\\copy t FROM rows.tsv", ["COPY t FROM STDIN;", "1\ta\r", "2\tb\r", "\\."]),
    "up to its end mark": ("\\copy \"T t\" from 'ended.csv' csv", ['COPY "T t" FROM STDIN csv;', "1,a", "\\."]),
    "no data": ("\\copy t from 'empty.csv'", ["COPY t FROM STDIN;", "\\."]),
}  # fmt: skip
SENT["named by a variable"] = ("\\set f lib/one.sql\n\\i :f", ["SELECT 1;"])


@pytest.mark.parametrize(("text", "sent"), SENT.values(), ids=SENT.keys())
def test_what_psql_sends(text: str, sent: list[str]) -> None:
    expanded = expand("m/1.sql", text, FILES.get)

    assert [line for line in expanded.text.split("\n") if line.strip()] == sent
    assert split(expanded.text).meta_commands == ()


# a file -> a part of why it is refused
REFUSED = {
    "\\! rm": r"m/1.sql:1: \! is a command of psql",
    "SELECT 1;\n\\connect other": r"m/1.sql:2: \connect is a command of psql",
    "SELECT 1 \\gexec": r"\gexec is a command of psql",
    "SELECT 1 \\; SELECT 2;": r"\; is a command of psql",
    "\\if true\n\\endif": r"\if is a command of psql",
    "\\o out.txt": r"\o is a command of psql",
    "\\copy t to 'x'": r"this \copy is a command of psql",
    "\\copy t from program 'ls'": r"this \copy is a command of psql",
    "\\copy t from stdin": r"this \copy is a command of psql",
    "\\copy t from 'rows.csv' with (format binary)": r"this \copy is a command of psql",
    "\\copy (SELECT 1) to 'x'": r"this \copy is a command of psql",
    "\\copy t from '/etc/passwd'": r"\copy /etc/passwd is not a file of the repository",
    "\\i /etc/passwd": r"\i /etc/passwd is not a file of the repository",
    "\\i ../secret.sql": r"\i ../secret.sql is not a file of the repository",
    "\\ir ../../secret.sql": r"\ir ../../secret.sql is not a file of the repository",
    "\\i lib/../../secret.sql": "is not a file of the repository",
    "\\i ~/secret.sql": "is not a file of the repository",
    "\\i .git/config": "is not a file of the repository",
    "\\i lib/../.GIT/config": "is not a file of the repository",
    "\\i missing.sql": r"m/1.sql:1: \i names missing.sql, which is no file of the repository",
    "\\i": "names no file",
    "\\i lib/itself.sql": "lib/itself.sql:1: \\i lib/itself.sql includes a file that includes it",
    "\\i deep/0.sql": "goes too deep",
    "\\i lib/quote.sql": "m/1.sql:1: lib/quote.sql ends within a statement",
    "\\i lib/comment.sql": "ends within a statement",
    "\\i lib/paren.sql": "ends within a statement",
    "SELECT (1];\n\\i lib/one.sql\n;": r"m/1.sql:2: \i stands within a statement",
    "SELECT 1\n\\i lib/one.sql\n;": r"m/1.sql:2: \i stands within a statement",
    "\\set v `date`": "runs a program",
    "\\echo `date`": "runs a program",
    "\\set v 'open": "has a quote that is not closed",
    "\\set v 'a\\nb'": "a value with a line break",
    "\\set AUTOCOMMIT off": "changes how psql goes on",
    "\\set ON_ERROR_STOP off": "changes how psql goes on",
    "\\encoding LATIN1": "is not read here",
    "SELECT 1;\nSELECT :missing;": "m/1.sql:2: the placeholder :missing has no value",
    "SELECT :'missing';": "the placeholder :'missing' has no value",
    "\\set v '''open'\nSELECT :v;": "holds what can't be put into a statement",
}


@pytest.mark.parametrize(("text", "said"), REFUSED.items())
def test_what_can_not_be_done_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(MigrationFileError) as refused:
        expand("m/1.sql", text, FILES.get)
    assert said in str(refused.value)


def test_variables_may_be_given() -> None:
    assert expand("1.sql", 'SET ROLE :"who";\n', FILES.get, given={"who": "a b"}).text == 'SET ROLE "a b";\n'


def test_psql_may_be_started_in_a_folder() -> None:
    found = expand("db/deploy/x.sql", "\\i lib/a.sql\n\\i ../other.sql\n", lambda path: f"-- {path}\n", top="db")

    assert [line for line in found.text.split("\n") if line] == ["-- db/lib/a.sql", "-- other.sql"]


def test_lines_are_those_of_their_files() -> None:
    found = expand(
        "1.sql", "SELECT 0;\nSELECT 1; \\i lib/nested.sql\nSELECT 2;\n\\copy t from 'rows.csv' csv\nSELECT 3;", FILES.get
    )

    assert found.sources == (
        Source(1, "1.sql", 1),
        Source(3, "lib/one.sql", 1),
        Source(4, "lib/nested.sql", 1),
        Source(6, "1.sql", 2),
        Source(8, "1.sql", 4),
        Source(9, "rows.csv", 1),
        Source(11, "1.sql", 4),
        Source(12, "1.sql", 4),
    )


def test_too_much_is_refused() -> None:
    lines = {"a.sql": "\\i b.sql\n" * 1200, "b.sql": ""}
    with pytest.raises(MigrationFileError, match=r"a.sql:1000: \\i b.sql is one file too many"):
        expand("1.sql", "\\i a.sql", lines.get)
    with pytest.raises(MigrationFileError, match=r"1.sql:1001: \\copy b.sql is one file too many"):
        expand("1.sql", "\\copy t from b.sql\n" * 1200, lines.get)
    with pytest.raises(MigrationFileError, match="more than 32 MiB"):
        expand("1.sql", "\\i a.sql\n" * 40, {"a.sql": f"SELECT '{'x' * 2**20}';\n"}.get)
    with pytest.raises(MigrationFileError, match="more than 1048576 characters"):
        expand("1.sql", "\\set v xxxxxxxxxxxxxxxx\n" + "\\set v :v:v\n" * 60, FILES.get)


_PIECES = st.lists(
    st.sampled_from(
        ["\\i a.sql", "\\ir b.sql", "\\set v 1", "\\set w 'a b'", ":v", ":'w'", ':"w"', "::", "SELECT 1", ";", "\n", "'", '"',
         "$$", "--", "/*", "*/", "(", ")", "[", "]", "\\", "\\\\", "\\copy t from 'r'", "COPY t FROM stdin;\n", "\\.\n", "\r\n",
         "`", "é"]
    ),
    max_size=25,
).map("".join)  # fmt: skip


@given(_PIECES, _PIECES)
def test_whatever_stands_in_files_is_sent_or_refused(text: str, other: str) -> None:
    try:
        found = expand("1.sql", text, {"a.sql": other, "b.sql": "SELECT 1", "r": "1\n"}.get)
    except MigrationFileError:
        return
    assert all(source.line == 1 for source in found.sources[:1])
    assert [s.line for s in found.sources] == sorted({s.line for s in found.sources})
