"""A file for psql -> the SQL that psql sends: included files, variables and data in their places, and whose line each is. Pure.

Follows psql's manual page and its scanners (src/fe_utils/psqlscan.l, src/bin/psql/psqlscanslash.l): a variable is filled in
outside of quotes, comments and COPY data only, and what it holds is read again as SQL; a command ends with its line or at the
next backslash; a file that is included is read to its end, where a statement that lacks its semicolon is sent. What can't be
done here, or would reach out of the repository, is refused by name. Files are read by a callback, which gives None for one that
is not there: whoever wrote the migration names them.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NoReturn

from bot.errors import MigrationFileError
from bot.model import Source
from bot.sql import LEXED, MOST_WORDS, NAMED, START, creates_routine, end_of_block_comment, end_of_line

Read = Callable[[str], str | None]

_NAME = rf"{NAMED}+"
_VARIABLE = rf"""(?P<variable>:{_NAME} | :'{_NAME}' | :"{_NAME}" | :\{{\?{_NAME}\}})"""
_TOKEN = re.compile(
    rf"""{LEXED}
  | (?P<bracket>[()\[\]])
  | (?P<semicolon>;)
  | (?P<backslash>\\)
  | {_VARIABLE}
  | (?P<space>\s+)
  | (?P<other>::|:=|[0-9.,=<>*+%@#!^&|?~`{{}}]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
# Inside an INSERT's rows nothing of it means anything but what the pattern leaves out.
_DULL = re.compile(rf"(?:[\x00-!#%&*-,.0-9<-@^`{{-\x7f]++|(?![eE]'){START}[\w$]*+|-(?!-)|/(?!\*))++")
_MAY_CONCERN_PSQL = re.compile(rf"\\|:(?:{_NAME}|'{_NAME}'|\"{_NAME}\"|\{{\?)")
_COMMAND = re.compile(r"\\[^\s\\]*")
_ARGUMENT = re.compile(
    rf"""(?P<quoted>'(?:[^'\\\n]|''|\\[^\n])*') | (?P<named>"[^"\n]*") | {_VARIABLE}
      | (?P<open>['"`]) | (?P<plain>[^\s\\'"`:]+|:)""",
    re.VERBOSE,
)
_ESCAPES = {"n": "\n", "t": "\t", "b": "\b", "r": "\r", "f": "\f"}
_ESCAPED = re.compile(r"''|\\(?:(?P<octal>[0-7]{1,3})|x(?P<hex>[0-9A-Fa-f]{1,2})|(?P<one>.))", re.DOTALL)
_COPY_FILE = re.compile(
    r"""\s*(?P<table>(?:[^\s("']|"(?:[^"]|"")*+")++(?:\s*\([^()]*+\))?)\s+from\s+
        (?:'(?P<quoted>(?:[^']|'')*+)'|(?P<bare>[^\s';]+))(?P<options>.*)""",
    re.VERBOSE | re.IGNORECASE,
)
_END_OF_DATA = re.compile(r"^\\\.\r?$", re.MULTILINE)
_ONLY_SHOWS = {
    "\\echo", "\\qecho", "\\warn", "\\timing", "\\pset", "\\x", "\\t", "\\a", "\\f", "\\H", "\\C", "\\T",
    "\\restrict", "\\unrestrict",
}  # fmt: skip
_ON, _OFF = ("on", "true", "yes", "1"), ("off", "false", "no", "0")
# Variables that change what psql sends, or what it does after an error, and the values with which it does as is done here.
_BEHAVIOUR = {"AUTOCOMMIT": _ON, "ON_ERROR_STOP": _ON, "ON_ERROR_ROLLBACK": _OFF, "SINGLELINE": _OFF, "SINGLESTEP": _OFF}

_DEEPEST = 16  # files within files
_MOST_FILES = 1000
_LONGEST_VALUE = 2**20
_MOST_CHARACTERS = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Expanded:
    """What psql sends, and whose lines these are: no sources where they are the file's own."""

    text: str
    sources: tuple[Source, ...] = ()


def expand(path: str, text: str, read: Read, *, top: str = "", given: Mapping[str, str] | None = None) -> Expanded:
    """Takes a file's text to what psql would send of it. `top`: the folder that psql is started in, for `\\i` and `\\copy`;
    `given`: variables, as `-v` gives them.

    Raises MigrationFileError with the place of what is refused.
    """
    if not _MAY_CONCERN_PSQL.search(text):
        return Expanded(text)
    expansion = _Expansion(read, top, dict(given or {}))
    expansion.file(path, text)
    sources = tuple(expansion.sources)
    return Expanded("".join(expansion.sent), () if sources == (Source(1, path, 1),) else sources)


@dataclass(slots=True)
class _Statement:
    """What is known of the statement under way. `open`: something of it was read."""

    open: bool = False
    parens: int = 0  # square brackets keep no statement open
    slices: int = 0
    begins: int = 0
    words: list[str] = field(default_factory=list)
    last_word: str = ""
    has_data: bool = False  # COPY … FROM stdin
    is_json: bool = False  # where a colon may part a key from its value

    def word(self, word: str) -> None:
        lower = word.lower()
        if len(self.words) < MOST_WORDS:
            self.words.append(lower)
        is_from_stdin = self.words[0] == "copy" and (self.last_word, lower) == ("from", "stdin")
        self.has_data = self.has_data or (is_from_stdin and not self.parens)
        self.is_json = self.is_json or lower.startswith("json_")
        self.last_word = lower
        if self.parens or not creates_routine(self.words):
            return
        if lower == "begin" or (lower == "case" and self.begins):
            self.begins += 1
        elif lower == "end" and self.begins:
            self.begins -= 1

    def bracket(self, sign: str) -> None:
        step = 1 if sign in "([" else -1
        if sign in "()":
            self.parens = max(self.parens + step, 0)
        else:
            self.slices = max(self.slices + step, 0)

    def is_dull(self) -> bool:
        """Whether no word that follows in it means anything."""
        return self.words[:1] == ["insert"] and "values" in self.words

    def may_have_colons(self) -> bool:
        """Whether a colon before a name may be SQL's own: `a[i:j]`, `JSON_OBJECT(k: v)`. Elsewhere no server takes it."""
        return self.slices > 0 or self.is_json


@dataclass(slots=True)
class _Expansion:
    """A file and what it includes, read by one psql."""

    read: Read
    top: str
    variables: dict[str, str]
    sent: list[str] = field(default_factory=list)
    sources: list[Source] = field(default_factory=list)
    line: int = 1  # of what is sent
    size: int = 0
    files: int = 0
    unclosed: bool = False  # a quote or comment that a file does not end
    including: list[str] = field(default_factory=list)
    statement: _Statement = field(default_factory=_Statement)

    # ── What is sent ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, text: str, where: str) -> None:
        self.size += len(text)
        if self.size > _MOST_CHARACTERS:
            raise MigrationFileError(
                f"{where}: with all that it includes the file is more than {_MOST_CHARACTERS // 2**20} MiB.",
                why="All of it is read and sent as one text, statement by statement.",
                advice="Load data in bulk with a tool made for it, and leave the schema to the migration.",
            )
        if text:
            self.sent.append(text)
        self.line += text.count("\n")

    def at_line_start(self) -> bool:
        return not self.sent or self.sent[-1].endswith("\n")

    def new_line(self, where: str) -> None:
        if not self.at_line_start():
            self.send("\n", where)

    def from_here(self, path: str, line: int) -> None:
        """What is sent from here on is of that file and line."""
        if self.sources and self.sources[-1].line == self.line:
            self.sources.pop()
        self.sources.append(Source(self.line, path, line))

    # ── A file ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def file(self, path: str, text: str) -> None:
        """Reads a file to its end, token by token; what does not concern psql is sent as it stands."""
        reading = _Reading(path, text)
        self.including.append(path)
        self.from_here(path, 1)
        while reading.pos < len(text):
            if self.statement.is_dull() and (dull := _DULL.match(text, reading.pos)):
                reading.pos = dull.end()
                continue
            token = _TOKEN.match(text, reading.pos)
            assert token is not None and token.lastgroup is not None  # noqa: S101  the last alternative matches anything
            if token.lastgroup == "backslash":
                self.send(reading.taken(reading.pos), reading.where())
                reading.kept = reading.pos = self.command(reading)
            elif token.lastgroup == "variable":
                self.send(reading.taken(reading.pos), reading.where())
                self.send(self.value(token.group(), reading), reading.where())
                self.statement.open = True
                reading.kept = reading.pos = token.end()
            else:
                reading.pos = self.follow(token.lastgroup, token.group(), reading.text, reading.pos)
        self.send(reading.taken(len(text)), reading.where())
        self.including.pop()

    def follow(self, kind: str, token: str, text: str, begin: int) -> int:
        """Takes note of a token that is sent as it is; gives where it ends, or what belongs to it."""
        statement, end = self.statement, begin + len(token)
        if kind in ("space", "comment"):
            return end
        if kind == "block":
            end = end_of_block_comment(text, begin)
            self.unclosed = self.unclosed or not text.endswith("*/", 0, end)
            return end
        if kind == "semicolon" and not statement.parens and not statement.begins:
            self.statement = _Statement()
            return _end_of_data(text, end) if statement.has_data else end
        statement.open = True
        if kind == "word":
            statement.word(token)
        elif kind == "bracket":
            statement.bracket(token)
        elif kind == "dollar":
            close = text.find(token, end)
            self.unclosed = self.unclosed or close < 0
            return len(text) if close < 0 else close + len(token)
        elif kind == "other" and token in ("'", '"'):  # it holds the rest
            self.unclosed = True
            return len(text)
        return end

    # ── Variables ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def value(self, token: str, reading: _Reading) -> str:
        """What stands in a variable's place in a statement; the token itself where psql leaves it."""
        if token.startswith(":{"):
            return self.filled(token)
        name = token[1:].strip("'\"")
        if name not in self.variables:
            if self.statement.may_have_colons() or name.isdigit():
                return token
            _refuse_unset(token, name, reading.where())
        value = self.filled(token)
        if token[1] not in "'\"":
            self.follow_value(name, value, reading)
        return value

    def filled(self, token: str) -> str:
        """The same for one that is set; in a command's argument, one that is not set is left as it stands."""
        name = token.strip(":'\"{?}")
        if token.startswith(":{"):
            return "TRUE" if name in self.variables else "FALSE"
        if name not in self.variables:
            return token
        value = self.variables[name]
        if token[1] == '"':
            return '"' + value.replace('"', '""') + '"'
        if token[1] != "'":
            return value
        quoted = "'" + value.replace("'", "''").replace("\\", "\\\\") + "'"
        return f" E{quoted}" if "\\" in value else quoted

    def follow_value(self, name: str, value: str, reading: _Reading) -> None:
        """Reads a value as the SQL that it is: it may hold words, brackets, whole statements."""
        pos = 0
        while pos < len(value):
            token = _TOKEN.match(value, pos)
            assert token is not None and token.lastgroup is not None  # noqa: S101  the last alternative matches anything
            kind = token.lastgroup
            if kind in ("backslash", "variable", "comment", "block", "dollar") or token.group() in ("'", '"'):
                _refuse(
                    f"{reading.where()}: the variable {name} holds what can't be put into a statement here.",
                    "It has an open quote, a comment, another variable or a backslash, which psql would read as its own.",
                    "Write what it holds where it is used.",
                )
            pos = self.follow(kind, token.group(), value, pos)

    # ── Commands ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def command(self, reading: _Reading) -> int:
        """Does what a command says; gives where it ends."""
        found = _COMMAND.match(reading.text, reading.pos)
        assert found is not None  # noqa: S101  it begins with a backslash
        name, where = found.group(), reading.where()
        if name == "\\copy":
            self.copy(reading, found.end(), where)
            return end_of_line(reading.text, found.end())
        arguments, end = self.arguments(reading, found.end(), name)
        if name in ("\\i", "\\include", "\\ir", "\\include_relative"):
            self.include(reading, name, arguments)
        elif name == "\\set":
            self.set(where, arguments)
        elif name == "\\unset":
            self.variables.pop(arguments[0] if arguments else "", None)
        elif name == "\\encoding":
            if arguments and arguments[0].upper().replace("-", "").replace("_", "") not in ("UTF8", "UNICODE"):
                _refuse(
                    f"{where}: \\encoding {arguments[0]} is not read here.", "Files are read as UTF-8.", "Save the file as UTF-8."
                )
        elif name not in _ONLY_SHOWS:
            _refuse_command(name, where)
        return end + 2 if reading.text.startswith("\\\\", end) else end

    def arguments(self, reading: _Reading, begin: int, command: str) -> tuple[list[str], int]:
        """A command's arguments, up to the end of its line or the next backslash, and where that is."""
        text, pos, stop = reading.text, begin, end_of_line(reading.text, begin)
        found: list[list[str]] = []
        inside, room = False, _LONGEST_VALUE
        while pos < stop and text[pos] != "\\":
            if text[pos].isspace():
                inside, pos = False, pos + 1
                continue
            piece = _ARGUMENT.match(text, pos, stop)
            if piece is None or piece.lastgroup == "open":
                if command in _ONLY_SHOWS and text[pos] != "`":  # an apostrophe in what is told
                    return [], stop
                _refuse(
                    f"{reading.where()}: the argument of {command} has a quote that is not closed, or runs a program.",
                    "What stands between backquotes is run by psql as a command of the shell.",
                    "Write the value itself, between two quotes on one line.",
                )
            if not inside:
                found.append([])
            inside = True
            found[-1].append(self.argument(piece))
            room, pos = room - len(found[-1][-1]), piece.end()
            if room < 0:
                _refuse(
                    f"{reading.where()}: {command} has arguments of more than {_LONGEST_VALUE} characters.",
                    "Variables that hold each other grow without end.",
                    "Write it as SQL.",
                )
        return ["".join(pieces) for pieces in found], pos

    def argument(self, piece: re.Match[str]) -> str:
        if piece.lastgroup == "quoted":
            return _ESCAPED.sub(_unescaped, piece.group()[1:-1])
        return self.filled(piece.group()) if piece.lastgroup == "variable" else piece.group()

    def set(self, where: str, arguments: list[str]) -> None:
        if not arguments:
            return
        name, value = arguments[0], "".join(arguments[1:])
        if name in _BEHAVIOUR and (value or "on").lower() not in _BEHAVIOUR[name]:
            _refuse(
                f"{where}: \\set {name} gives it a value that changes how psql goes on, which is not done here.",
                "What is rehearsed stops at the first error, and each statement is committed as its file says.",
                "Leave it out, or write BEGIN and COMMIT.",
            )
        if re.search(r"[\r\n]", value):
            _refuse(
                f"{where}: \\set {name} gives it a value with a line break.",
                "Lines of what follows would not be those of the file any more.",
                "Write what it holds where it is used.",
            )
        self.variables[name] = value

    def include(self, reading: _Reading, command: str, arguments: list[str]) -> None:
        where = reading.where()
        if not arguments:
            _refuse(f"{where}: {command} names no file.", "psql refuses it.", "Name the file.")
        folder = posixpath.dirname(reading.path) if command in ("\\ir", "\\include_relative") else self.top
        path = self.found(arguments[0].rstrip(";"), folder, where, command)
        if path in self.including or len(self.including) > _DEEPEST:
            _refuse(
                f"{where}: {command} {path} includes a file that includes it, or goes too deep.",
                f"psql would not come to an end; here files are read {_DEEPEST} deep.",
                "Take the circle out.",
            )
        text = self.content(path, where, command)
        self.refuse_within_statement(where, command)
        self.new_line(where)
        self.file(path, text)
        self.finish(path, where)
        self.from_here(reading.path, reading.line())

    def finish(self, path: str, where: str) -> None:
        """At the end of an included file psql sends the statement that lacks its semicolon, and forgets what is open."""
        self.new_line(where)
        if self.statement.parens or self.statement.begins or self.unclosed:
            _refuse(
                f"{where}: {path} ends within a statement.", "psql sends it as it is, and it fails.", "Close what is open in it."
            )
        if self.statement.open:
            self.send(";\n", where)
        self.statement = _Statement()

    def copy(self, reading: _Reading, begin: int, where: str) -> None:
        """`\\copy table from 'file'`: sent as COPY, with the file's lines as data."""
        found = _COPY_FILE.fullmatch(reading.text[begin : end_of_line(reading.text, begin)].rstrip().rstrip(";"))
        file = (found["bare"] or found["quoted"].replace("''", "'")) if found else ""
        if (
            not found
            or file.lower() in ("stdin", "pstdin", "program")
            or re.search(r"\bbinary\b", found["options"], re.IGNORECASE)
        ):
            _refuse(
                f"{where}: this \\copy is a command of psql that can't be done here.",
                "Only \\copy table from 'file' is, with a file of the repository that is text.",
                "Write the rows as INSERT, or as COPY … FROM stdin with the data after it.",
            )
        path = self.found(file, self.top, where, "\\copy")
        data = self.content(path, where, "\\copy")
        self.refuse_within_statement(where, "\\copy")
        self.new_line(where)
        self.from_here(reading.path, reading.line())
        self.send(f"COPY {found['table']} FROM STDIN{found['options'].rstrip()};\n", where)
        self.from_here(path, 1)
        data = data[: end.start()] if (end := _END_OF_DATA.search(data)) else data
        if data and not data.endswith("\n"):
            data += "\r\n" if "\r\n" in data else "\n"
        self.send(data, where)
        self.from_here(reading.path, reading.line())
        self.send("\\.\n", where)
        self.from_here(reading.path, reading.line())

    def refuse_within_statement(self, where: str, command: str) -> None:
        if self.statement.open:
            _refuse(
                f"{where}: {command} stands within a statement.",
                "psql does it before the statement, which has no semicolon yet.",
                "End the statement before it.",
            )

    def found(self, named: str, folder: str, where: str, command: str) -> str:
        """The path of a file that a command names. Whether a link in it leads out is for whoever reads it."""
        path = posixpath.normpath(posixpath.join(folder, named))
        within = path.removeprefix(f"{self.top}/") if self.top else path
        leaves = within.startswith("/") or (within.split("/")[0] == ".." and not self.top.startswith(".."))
        keeps_secrets = ".git" in path.lower().split("/")  # a checkout's settings hold its token
        if named.startswith(("/", "~")) or leaves or keeps_secrets or not named:
            _refuse(
                f"{where}: {command} {named} is not a file of the repository.",
                "Whoever wrote the migration could have any file of this machine read.",
                "Name a file of the repository.",
            )
        return path

    def content(self, path: str, where: str, command: str) -> str:
        self.files += 1
        if self.files > _MOST_FILES:  # each may cost a process of git, or a call to GitHub
            _refuse(
                f"{where}: {command} {path} is one file too many.",
                f"All files that a migration includes are read before anything is run: no more than {_MOST_FILES}.",
                "Put what they hold into fewer files.",
            )
        text = self.read(path)
        if text is None:
            _refuse(
                f"{where}: {command} names {path}, which is no file of the repository.",
                "A path is taken from the folder that psql is started in, the repository's top or that of sqitch.plan; "
                "with \\ir from the file's own.",
                "Check the path; a link that leads out of the repository is not followed.",
            )
        return text


@dataclass(slots=True)
class _Reading:
    """A file under way: `pos` is how far it is read, `kept` how far it is sent."""

    path: str
    text: str
    pos: int = 0
    kept: int = 0
    counted: int = 0
    lines: int = 1

    def taken(self, end: int) -> str:
        return self.text[self.kept : end]

    def line(self) -> int:
        self.lines += self.text.count("\n", self.counted, self.pos)
        self.counted = self.pos
        return self.lines

    def where(self) -> str:
        return f"{self.path}:{self.line()}"


def _end_of_data(text: str, pos: int) -> int:
    begin = min(len(text), end_of_line(text, pos) + 1)
    end = _END_OF_DATA.search(text, begin)
    return end.end() if end else len(text)


def _unescaped(found: re.Match[str]) -> str:
    if found.group() == "''":
        return "'"
    if found["octal"] or found["hex"]:
        return chr(int(found["octal"], 8) & 255 if found["octal"] else int(found["hex"], 16))
    return _ESCAPES.get(found["one"], found["one"])


def _refuse_unset(token: str, name: str, where: str) -> NoReturn:
    _refuse(
        f"{where}: the placeholder {token} has no value.",
        "psql leaves a variable that is not set as it stands, and a PostgreSQL server answers it with a syntax error.",
        f"Set it in the file, or give it a value: `placeholders: {name}=value`, --placeholder {name}=value.",
    )


def _refuse_command(name: str, where: str) -> NoReturn:
    _refuse(
        f"{where}: {name} is a command of psql, not SQL.",
        "Only psql knows it, and it is none of those that are done here: \\i, \\ir, \\set, \\copy … from 'file', \\echo.",
        "Write what it does as SQL.",
    )


def _refuse(what: str, why: str, advice: str) -> NoReturn:
    raise MigrationFileError(what, why=why, advice=advice)
