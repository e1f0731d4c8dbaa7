"""What the fuzz tests share: nasty pieces of text, JSON and bytes; a limit on work; and what counts as an answer."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from hypothesis import strategies as st

from bot.errors import FaultError, RehearsalError

HANG_S = 20  # of the processor's time: many times what anything here takes


class Hang(Exception):  # noqa: N818
    """Something does not come to an end."""


@contextmanager
def no_hang(limit_s: float = HANG_S) -> Iterator[None]:
    """Ends what takes more than so much of the processor's own time, which a busy machine does not use up. `re` looks for signals
    too.
    """

    def stop(_number: int, _frame: object) -> NoReturn:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def answer(ask: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """What a function gives, or the error that it explains. Whatever else it raises, and a hang, fails the test."""
    with no_hang():
        try:
            return ask(*arguments, **more)
        except RehearsalError as error:
            assert not isinstance(error, FaultError)
            assert error.exit_status in (2, 3)
            assert error.what
            return error


# ── SQL ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────

SQL_TOKENS = [
    "SELECT 1", "sel\u200bect", ";", "'", "''", '"', '""', "\\", "\\'", "E'", "e'\\", "U&'\\00", "N'", "B'01", "X'f", "$$",
    "$a$", "$é$", "$1", "(", ")", "[", "{", "--", "/*", "*/", "/", "*", "\n", "\r", "\r\n", "\t", " ", "\ufeff", "\0",
    "\ud800", "\u202e", "\u2028", "\x0b", "\x1c", "\x85", "ä", "\U0001f600", "BEGIN", "BEGIN ATOMIC", "END", "CASE",
    "CREATE FUNCTION f()", "CREATE OR REPLACE PROCEDURE p", "COPY t FROM stdin;\n", "COPY t FROM STDIN", "\\.\n", "\\i x\n",
    "\\gexec", "\\!", "::", "1e999", "9" * 400, "0x", "1_", ".", "-- rehearsal: allow", "-- rehearsal:",
    "--rehearsal:EXPECT true", "-- rehearsal: allow x \u202e", "-- rehearsal: " + "a" * 300, "-- +goose Up\n",
    "-- +goose Down\n", "-- +goose StatementBegin\n", "-- +goose StatementEnd\n", "-- +goose NO TRANSACTION\n", "${x}", "${",
    "-- migrate:up\n", "-- migrate:down transaction:false\n", "-- Up Migration\n", "--- down migration\n", "-- no-transaction\n",
    "-- atlas:txmode none\n\n", "-- atlas:checkpoint", "--> statement-breakpoint\n", "{{ .x }}", "{{",
    "}", "CREATE INDEX CONCURRENTLY i ON t (a)", "ALTER TABLE t", "VACUUM", "do $$",
]  # fmt: skip
sql_texts = st.lists(st.sampled_from(SQL_TOKENS) | st.text(max_size=3), max_size=40).map("".join)

# Each is repeated until it is long: whoever looks at it must not look at all of it again and again.
LONG_OF = [
    *"'\"\\;()$-/ \n:.0a[{#`|<&*_@é\u200b", "''", '""', "$$", "$a", "$a$", "${", "/*", "*/", "--", "E'", "E''", "E''\n",
    "\\'", "U&'", "\n::", "\n :", "\n ", "\r\n", "--\n", "copy ", "from '", "::", "<!--", "www.", "](", "begin ", "case ",
    "CREATE FUNCTION f() ", "SELECT 1;\n", "SELECT 'a\n;\n';\n", ";\n", "COPY t FROM stdin;\n", "COPY t FROM STDIN ",
    "-- rehearsal: ", "-- rehearsal: allow x y\n", "-- +goose Up\n", "-- +goose StatementBegin\n", "do $$\n;\n$$;\n",
    "-- migrate:up x ", "-- migrate:up\n", "-- Up Migration\n", "-- - ", "-- atlas:x y ", "-- atlas:x y\n", "{{", "{{ x }}",
    "--> statement-breakpoint\n", "run_in_transaction = ", "executeInTransaction = ", "a@b ", "@v1\n", "+ a\n", "\t",
    "function f(", '"a" ', "ALTER x OWNER TO ", "GRANT x TO a, ", "x, ", "\ufeff",
]  # fmt: skip

# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────

scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        [
            "",
            "x" * 100_000,
            "\ud800",
            "a\n::error::b",
            "\x1b[31m",
            "../../x",
            10**30,
            "7",
            -1,
            0,
            [],
            {},
            [[]],
        ]
    )
)
json_values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to each value inside a JSON value, and to the value itself."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, inner in inside for found in leaves(inner, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A JSON value with another one at a path."""
    if not path:
        return new
    if isinstance(value, dict):
        return {**value, path[0]: replaced(value[path[0]], path[1:], new)}
    return [*value[: path[0]], replaced(value[path[0]], path[1:], new), *value[path[0] + 1 :]]


def dropped(value: dict[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    """A JSON object without what is at a path."""
    *above, last = path
    there: Any = value
    for key in above:
        there = there[key]
    without = {k: v for k, v in there.items() if k != last} if isinstance(there, dict) else []
    found: dict[str, Any] = replaced(value, tuple(above), without)
    return found


# ── Names and values ─────────────────────────────────────────────────────────────────────────────────────────────────────

NAME_PARTS = [
    "/", "..", ".", "//", "\\", "\n", "\r", "\0", "\ud800", "\udcff", " ", "a", "A", "é", "e\u0301", "1", "01", "1_", "1.2",
    "9" * 300, "9" * 5000, "x" * 4096, "V1__a", "V1_0__", "R__", "U1__", "B2__", "V", "__", "_", ".up", ".down", ".sql",
    ".SQL", ".expect", "migration.sql", "up.sql", "down.sql", "deploy/", "revert/", "sqitch.plan",
    "meta/_journal.json", "atlas.sum", ".postgres", ".mysql", ".autocommit", ".fizz", ".go", ".js", ".rb",
    "migrate/1_a", "supabase/", "2024-01-31-120000_a/",
    "migrations/", "db/", "~", "%2e%2e", "*", "?", "[", "-", "²", "١",
]  # fmt: skip
names = st.lists(st.sampled_from(NAME_PARTS) | st.text(max_size=2), min_size=1, max_size=8).map("".join)
file_names = names | names.map(lambda name: f"{name}.sql") | names.map(lambda name: f"db/migrations/1{name}.sql")

VALUES = [
    "\0", "9" * 400, "9" * 5000, "a" * 5000, "é" * 300, "\ud800", "\udcff", "~nobody-here/x", "~", "/", ".", "..", "../x",
    "/dev/zero", "/proc/self/environ", "1e308", "nan", "-inf", "0.4", "1e-320", "-0", "+5", "5.", "1_000", "0x10", "\u0663",
    "1\u00a0", "true\n", "TRUE", "[::", "postgresql://u:p@[", "postgresql://u:%zz@h/d", "https://[", "https://",
    "https://h:99999/", "\ufeff", "a\nb\n\n", "**", "[", "a/**/b",
]  # fmt: skip
values = st.sampled_from(VALUES) | st.text(max_size=20)
