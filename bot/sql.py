"""Text of a migration -> statements with line numbers, directives, and what may not be in it.

PostgreSQL is the last judge of what a statement is, so the splitter follows its lexer and the rules by which psql finds the
end of a statement (src/fe_utils/psqlscan.l): a semicolon counts outside quotes, comments and parentheses, and outside the
`BEGIN … END` body of a `CREATE FUNCTION` or `CREATE PROCEDURE`. Two things only psql knows are found as well: the data after
`COPY … FROM stdin`, and meta-commands (`\\i`, `\\set`, …). Every slice is a piece of the original text: nothing is ever
generated and then run.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

# What begins a name, goes on in one, and goes on in a tag of dollars or a variable of psql: letters, `_`, all that is not ASCII.
# Told by what they are not: to compile a set of a million characters takes Python ten times as long, at each start.
START = r"[^\x00-@\[-^`{-\x7f]"
_WORD = r"[^\x00-#%-/:-@\[-^`{-\x7f]"
NAMED = r"[^\x00-/:-@\[-^`{-\x7f]"
# Between the pieces of one string: blanks with an end of line among them, and comments (quotecontinue in PostgreSQL's scan.l).
_CONTINUED = r"(?:[ \t\f\v]|--[^\r\n]*+(?=[\r\n]))*+[\r\n](?:\s|--[^\r\n]*+(?=[\r\n]))*+"
# For a verbose pattern: comments, quotes and words, which psql reads as the server does.
LEXED = rf"""
    (?P<comment>--[^\r\n]*)
  | (?P<block>/\*)
  | (?P<string>[eE]'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+'(?:{_CONTINUED}'[^'\\]*+(?:(?:\\.|'')[^'\\]*+)*+')*+
             | '[^']*+(?:''[^']*+)*+'
             | "[^"]*+(?:""[^"]*+)*+")
  | (?P<dollar>\$(?:{START}{NAMED}*)?\$)
  | (?P<word>{START}{_WORD}*)
"""
_SCAN = re.compile(
    rf"""{LEXED}
  | (?P<open>\()
  | (?P<close>\))
  | (?P<semicolon>;)
  | (?P<backslash>\\[^\s;]*)
  | (?P<space>\s+)
  | (?P<other>[0-9.,=<>*+:%@#!^&|?~`\[\]{{}}]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Of a statement whose words are known: all that ends nothing, opens no quote and begins no comment.
_DULL = re.compile(
    rf"(?:[\x00-!#%&(-,.0-:<-@\[\]^`{{-\x7f]++|(?![eE]'){START}{_WORD}*+|-(?!-)|/(?!\*))++",
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_COPY_IN = re.compile(r"\s*COPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
_DIRECTIVE = re.compile(r"--\s*rehearsal:\s*(?P<verb>[a-z-]+)\s*(?P<text>.*)", re.IGNORECASE)
BOM = "\ufeff"
MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement as it stands in the file.

    `start` and `end` are offsets into the text (`text[start:end] == sql`, without the semicolon); `line` is where its first
    word stands, counted from 1. `copy_data` is what follows `COPY … FROM stdin`, up to and without its `\\.` line.
    """

    sql: str
    line: int
    start: int
    end: int
    words: tuple[str, ...]
    copy_data: str | None = None

    def begins(self, *starts: str) -> bool:
        """Whether the statement begins with one of these phrases, as in `begins("alter table", "do")`."""
        return any(self.words[: len(phrase)] == phrase for phrase in map(tuple, map(str.split, starts)))


@dataclass(frozen=True, slots=True)
class Directive:
    """A comment for us: `-- rehearsal: <verb> <text>`."""

    verb: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class MetaCommand:
    """A psql meta-command such as `\\i`: no server knows it."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Script:
    """What a file is made of."""

    statements: tuple[Statement, ...]
    directives: tuple[Directive, ...] = ()
    meta_commands: tuple[MetaCommand, ...] = ()


@dataclass(slots=True)
class _Scan:
    """The state while walking over a text; one statement's part of it is reset at each semicolon."""

    text: str
    pos: int = 0
    line: int = 1
    start: int = -1  # where the statement's first token begins; -1 before it
    start_line: int = 1
    end: int = 0  # where its last token ends
    parens: int = 0
    begins: int = 0
    words: list[str] = field(default_factory=list)
    statements: list[Statement] = field(default_factory=list)
    directives: list[Directive] = field(default_factory=list)
    meta_commands: list[MetaCommand] = field(default_factory=list)

    def skip_to(self, end: int) -> None:
        self.line += self.text.count("\n", self.pos, end)
        self.pos = end

    def reset(self) -> None:
        self.start, self.parens, self.begins, self.words = -1, 0, 0, []


@functools.lru_cache(maxsize=4)
def split(text: str) -> Script:
    """Takes a file's text to its statements, directives and meta-commands. Never fails: what no lexer can read (an open
    quote, say) becomes part of the last statement, and PostgreSQL will say what is wrong with it.
    """
    scan = _Scan(text)
    while scan.pos < len(text):
        if _is_known(scan) and (dull := _DULL.match(text, scan.pos)):
            _skip(scan, dull.group())
            continue
        token = _SCAN.match(text, scan.pos)
        assert token is not None and token.lastgroup is not None  # noqa: S101  the last alternative matches anything
        _take(scan, token.lastgroup, token.group())
    _finish(scan)
    return Script(tuple(scan.statements), tuple(scan.directives), tuple(scan.meta_commands))


def _is_known(scan: _Scan) -> bool:
    """Whether no word that follows in the statement means anything to us."""
    words = scan.words
    return (len(words) == MOST_WORDS or (words[:1] == ["insert"] and "values" in words)) and not creates_routine(words)


def _skip(scan: _Scan, dull: str) -> None:
    """Takes many tokens at once: rows by the million are not rare."""
    scan.parens += dull.count("(") - dull.count(")")
    scan.end = scan.pos + len(dull.rstrip()) if not dull.isspace() else scan.end
    scan.skip_to(scan.pos + len(dull))


def _take(scan: _Scan, kind: str, token: str) -> None:
    begin, end = scan.pos, scan.pos + len(token)
    if kind == "space":
        scan.skip_to(end)
        return
    if kind == "comment":
        if found := _DIRECTIVE.match(token):
            scan.directives.append(Directive(found["verb"].lower(), found["text"].strip(), scan.line))
        scan.skip_to(end)
        return
    if kind == "block":
        scan.skip_to(end_of_block_comment(scan.text, begin))
        return
    if kind == "semicolon" and scan.parens <= 0 and scan.begins == 0:
        scan.skip_to(end)
        _finish(scan)
        return
    if scan.start < 0:
        scan.start, scan.start_line = begin, scan.line
    if kind == "backslash":
        scan.meta_commands.append(MetaCommand(token, scan.line))
        end = end_of_line(scan.text, begin)
        if not scan.words:  # a meta-command between statements is a line of its own
            scan.skip_to(end)
            scan.reset()
            return
    elif kind == "word":
        _count_word(scan, token)
    elif kind == "dollar":
        close = scan.text.find(token, end)
        end = len(scan.text) if close < 0 else close + len(token)
    elif kind == "other" and token in ("'", '"'):  # an open quote: it holds the rest
        end = len(scan.text)
    else:
        scan.parens += (kind == "open") - (kind == "close")
    scan.end = end
    scan.skip_to(end)


def _count_word(scan: _Scan, word: str) -> None:
    """Keeps the first words, and follows BEGIN, CASE and END inside a routine's SQL body as psql does."""
    lower = word.lower()
    if len(scan.words) < MOST_WORDS:
        scan.words.append(lower)
    if scan.parens or not creates_routine(scan.words):
        return
    if lower == "begin" or (lower == "case" and scan.begins):
        scan.begins += 1
    elif lower == "end" and scan.begins:
        scan.begins -= 1


def creates_routine(words: list[str]) -> bool:
    """Whether a statement with these first words makes a function or procedure, which may have a body of SQL."""
    if words[:1] != ["create"]:
        return False
    rest = words[3:4] if words[1:3] == ["or", "replace"] else words[1:2]
    return rest in (["function"], ["procedure"])


def _finish(scan: _Scan) -> None:
    """Ends the statement under way, if there is one, and takes the data that belongs to it."""
    if scan.start >= 0:
        sql = scan.text[scan.start : scan.end]
        data = None
        if scan.words[:1] == ["copy"] and _COPY_IN.match(sql):
            data = _copy_data(scan)
        scan.statements.append(Statement(sql, scan.start_line, scan.start, scan.end, tuple(scan.words), data))
    scan.reset()


def _copy_data(scan: _Scan) -> str:
    """The lines after `COPY … FROM stdin;` up to a line `\\.`; the scan goes on after that."""
    begin = min(len(scan.text), end_of_line(scan.text, scan.pos) + 1)
    end_mark = re.compile(r"^\\\.\r?$", re.MULTILINE).search(scan.text, begin)
    data = scan.text[begin : end_mark.start() if end_mark else len(scan.text)]
    scan.skip_to(end_mark.end() if end_mark else len(scan.text))
    return data


def end_of_line(text: str, pos: int) -> int:
    """Where the line ends that `pos` is in."""
    end = text.find("\n", pos)
    return len(text) if end < 0 else end


def end_of_block_comment(text: str, begin: int) -> int:
    """Where the comment ends that begins there: they nest in PostgreSQL."""
    depth = 0
    for edge in _BLOCK_EDGE.finditer(text, begin):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def unquoted(text: str) -> Iterator[tuple[int, int]]:
    """Where a text is neither a comment nor a literal or a quoted name, nor data of a COPY: each token from offset to offset."""
    data = [(s.end, len(s.copy_data)) for s in reversed(split(text).statements) if s.copy_data]
    pos = 0
    while pos < len(text):
        token = _SCAN.match(text, pos)
        assert token is not None and token.lastgroup is not None  # noqa: S101  the last alternative matches anything
        end = token.end()
        if token.lastgroup == "block":
            end = end_of_block_comment(text, pos)
        elif token.lastgroup == "dollar":
            close = text.find(token.group(), end)
            end = len(text) if close < 0 else close + len(token.group())
        elif token.lastgroup == "backslash":
            end = end_of_line(text, pos)
        elif token.lastgroup == "semicolon" and data and data[-1][0] <= pos:
            _begin, length = data.pop()
            end = max(end, end_of_line(text, pos) + 1 + length)
        elif token.lastgroup not in ("comment", "string", "space"):
            yield pos, end
        pos = end


def leaves_open(text: str) -> bool:
    """Whether what follows the text would become part of it: a quote, a comment, a parenthesis or COPY's data is not ended."""
    return len(split(f"{text}\n;\nSELECT").statements) != len(split(text).statements) + 1


def is_one_block(script: Script) -> bool:
    """Whether a file is one transaction by its own BEGIN and COMMIT."""
    statements = script.statements
    edges = ("begin", "start transaction", "commit", "end", "rollback", "abort")
    return (
        len(statements) > 1
        and statements[0].begins("begin", "start transaction")
        and statements[-1].begins("commit", "end")
        and not any(statement.begins(*edges) for statement in statements[1:-1])
    )


def redacted(sql: str, *, limit: int = 200) -> str:
    """A statement on one line with its literals as `$1`, `$2`, …, at most `limit` characters: fit to be shown to others, as a
    literal may be somebody's data. What the tokenizer can't read is shown by its first words only.
    """
    import sqlglot  # noqa: PLC0415  0.1 s that runs without a statement to show do not pay
    from sqlglot.tokenizer_core import TokenType  # noqa: PLC0415

    literals = {
        TokenType.STRING,
        TokenType.NUMBER,
        TokenType.BYTE_STRING,
        TokenType.HEX_STRING,
        TokenType.BIT_STRING,
        TokenType.NATIONAL_STRING,
        TokenType.UNICODE_STRING,
        TokenType.HEREDOC_STRING,
        TokenType.RAW_STRING,
    }
    # A long statement is cut before it is read: only its head is shown. The cut may fall into a literal, hence the margin.
    head = sql if len(sql) <= limit * 20 else sql[: limit * 20]
    try:
        tokens = sqlglot.tokenize(head, read="postgres")
    except sqlglot.errors.TokenError:
        words = re.findall(rf"{START}[\w$]*", sql.split("'", maxsplit=1)[0].split("$", maxsplit=1)[0])
        return " ".join(words)[:limit] + " …"
    line = " ".join(_pieces(head, [(t.start, t.end + 1, t.token_type in literals) for t in tokens]))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _pieces(sql: str, tokens: list[tuple[int, int, bool]]) -> Iterator[str]:
    """Tokens as (start, end, is a literal) -> words as they were written, literals numbered, spaces and comments dropped."""
    piece, number, last_end = "", 0, 0
    for start, end, is_literal in tokens:
        if start > last_end and piece:
            yield piece
            piece = ""
        if is_literal:
            number += 1
        piece = piece.removesuffix("$") if is_literal else piece  # a parameter
        piece += f"${number}" if is_literal else sql[start:end]
        last_end = end
    if piece:
        yield piece
