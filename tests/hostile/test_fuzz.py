"""Whatever a pull request, an event or a configuration holds: an answer or an explained error. No traceback, no hang."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import dumps, escaping, report, sidecar, words
from bot.action import _payload
from bot.cli import main
from bot.discovery import decode, plan_changes, plan_files
from bot.errors import EventError, MigrationFileError, RehearsalError, UsageError
from bot.event import read_event
from bot.layouts import LAYOUTS, Layout
from bot.layouts.base import ToolRefusal
from bot.layouts.filling import Filling, Unfilled
from bot.model import FileChange, FileStatus, Ignored, Plan, PullRequest, Transaction
from bot.production import Production, read_statistics
from bot.psql_files import expand
from bot.run import _reads_files
from bot.settings import INPUTS, Settings, action_settings, settings_from
from bot.sql import redacted, split
from tests.fix_action import ROOT, Action
from tests.hostile.fuzzing import (
    HANG_S,
    LONG_OF,
    VALUES,
    answer,
    dropped,
    file_names,
    json_values,
    leaves,
    no_hang,
    replaced,
    sql_texts,
    values,
)
from tests.unit.test_event import EVENTS

FEW, SOME = settings(max_examples=60), settings(max_examples=150)

# ── Events ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

NAMES = ["pull_request", "pull_request_target", "merge_group", "workflow_dispatch", "push", "", "x\n::error::y"]
REAL = [(name, payload) for name, payload, _expected in EVENTS.values()]


def check_event(name: str, payload: Any, number: int | None = None) -> None:
    found = answer(read_event, name, payload, repository="o/r", sha="c" * 40, number=number)

    assert isinstance(found, PullRequest | Ignored | EventError)
    if isinstance(found, PullRequest):
        texts = (found.head_sha, found.base_sha, found.base_ref)
        assert all(isinstance(text, str) and text.isprintable() for text in texts)
        assert found.number is None or (isinstance(found.number, int) and found.number > 0)


@given(st.sampled_from(NAMES), st.dictionaries(st.text(max_size=8), json_values, max_size=4), st.none() | st.just(7))
@FEW
def test_any_payload_is_an_event_or_is_explained(name: str, payload: dict[str, Any], number: int | None) -> None:
    check_event(name, payload, number)


@given(st.sampled_from(REAL), json_values, st.data())
@example(REAL[0], float("inf"), None)
@SOME
def test_a_real_payload_with_anything_in_it(real: tuple[str, dict[str, Any]], new: Any, data: Any) -> None:
    name, payload = real
    paths = [path for path in leaves(payload) if path]
    for path in paths if data is None else [data.draw(st.sampled_from(paths))]:
        check_event(name, replaced(payload, path, new))
        check_event(name, dropped(payload, path))


# what GITHUB_EVENT_PATH holds
FILES: dict[str, bytes] = {
    "nothing": b"",
    "not JSON": b"{'a': 1}",
    "not UTF-8": b'{"action": "\xff"}',
    "half of it": b'{"pull_request": {"number": 7, "head": {"sha": "',
    "a list": b"[]",
    "a number of 5,000 digits": b'{"number": ' + b"9" * 5000 + b"}",
    "lists in lists": b"[" * 200_000,
    "objects in objects": b'{"pull_request":' * 200_000,
    "NUL": b"\0" * 1000,
    "10 MB": b'{"pull_request": {"number": "' + b"7" * 10_000_000 + b'"}}',
    "10 MB of keys": b'{"a": 1, ' * 1_000_000,
    "the same key again": b'{"pull_request": {}, "pull_request": null}',
    "half a character in the action": b'{"action": "\\ud800\\n::error::x", "pull_request": {}}',
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_any_event_file_is_explained(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "event.json"
    path.write_bytes(content)

    with pytest.raises(EventError) as refused, no_hang():
        check = read_event("pull_request", _payload(str(path)), repository="o/r", sha="", number=None)
        assert isinstance(check, PullRequest)
    assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("name", ["not JSON", "not UTF-8", "lists in lists", "10 MB", "half a character in the action", "a list"])
def test_the_action_explains_any_event_and_shows_no_token(action: Action, name: str) -> None:
    environment = action.environment({}, token="ghs_planted")
    (action.workspace / "event.json").write_bytes(FILES[name])

    done = subprocess.run(
        [sys.executable, str(ROOT / "entrypoint.py")],
        env={"PATH": os.defpath, "PYTHONPATH": str(ROOT), **environment},
        cwd=action.workspace,
        capture_output=True,
        text=True,
        timeout=10 * HANG_S,
        check=False,
    )

    assert done.returncode == 2, done.stderr
    assert done.stdout.splitlines()[-1].startswith("::error title=migration-rehearsal::The ")
    assert done.stdout.replace("::add-mask::ghs_planted", "").count("ghs_planted") == 0
    assert done.stderr == ""


# ── SQL ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@given(sql_texts)
@settings(max_examples=300)
def test_any_text_is_split_into_pieces_of_it(text: str) -> None:
    script = answer(split, text)

    end = 0
    for statement in script.statements:
        assert statement.sql == text[statement.start : statement.end] != ""
        assert statement.start >= end
        end = statement.end
    lines = [s.line for s in script.statements]
    assert lines == sorted(lines)
    assert all(1 <= found.line <= 1 + text.count("\n") for found in (*script.directives, *script.meta_commands))


@given(sql_texts)
@SOME
def test_any_text_is_shown_on_one_short_line(text: str) -> None:
    shown = answer(redacted, text)

    assert len(shown) <= 202
    for show in (
        words.visible,
        words.one_line,
        escaping.message,
        escaping.code,
        escaping.cell,
        escaping.fence,
        escaping.escape_markdown,
    ):
        answer(show, text).encode()  # half a character could not be written anywhere


@given(st.sampled_from(LAYOUTS), sql_texts)
@SOME
def test_any_text_has_parts_and_a_policy(layout: Layout, text: str) -> None:
    up, down = answer(layout.up, text), answer(layout.down, text)
    for part in filter(None, (up, down)):
        assert part.count("\n") == text.count("\n")  # lines stay where they are
        try:
            policy = answer(layout.transaction, part, split(part))
            assert isinstance(policy, Transaction)
        except ToolRefusal as refusal:
            assert 1 <= refusal.line <= 1 + text.count("\n")


@given(sql_texts.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=30), st.sampled_from(LAYOUTS))
@SOME
def test_any_file_is_a_plan_or_is_explained(content: bytes, layout: Layout) -> None:
    found = answer(plan_files, ["1_a.up.sql", "V1__a.sql"], ["1_a.expect"], lambda _path: content, layout.name)

    assert isinstance(found, Plan | RehearsalError)
    assert isinstance(answer(decode, "1.sql", content), str | RehearsalError)


def layouts_read(text: str) -> None:
    script = split(text)
    for layout in LAYOUTS:
        layout.up(text), layout.down(text)
        layout.evidence(PurePosixPath("1_a.sql"), text)
        if layout.skips:
            layout.skips(text)
        if layout.beside:
            layout.beside.remark(text)
        if layout.index:
            layout.index.read(text)
        with suppress(Unfilled):
            layout.fill(text, Filling({"a": "b"}, PurePosixPath("1_a.sql")))
        with suppress(MigrationFileError):
            expand("1_a.sql", text, lambda _path: text)
        try:
            layout.transaction(text, script)
        except ToolRefusal as refusal:
            assert refusal.line


READERS: dict[str, Callable[[str], object]] = {
    "split and layouts": layouts_read,
    "redacted": redacted,
    "reads files": _reads_files,
    "visible": words.visible,
    "without values": words.without_values,
    "markdown": lambda text: (escaping.message(text), escaping.cell(text), escaping.fence(text)),
    "names of a dump": lambda text: dumps._note_names(text.encode(), dumps._Found(set(), set())),
    "quotes of a dump": lambda text: dumps._Quotes().hold(text.encode()),
    "files that a dump reads": lambda text: dumps._READS_ELSEWHERE.search(text.encode()),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())
def test_a_long_text_takes_no_longer_than_its_length(read: Callable[[str], object]) -> None:
    """What looks at 30 kB from each of its bytes anew takes more than the limit, the rest a tenth of it."""
    for piece in LONG_OF:
        for before in ("", "E''"):
            text = before + piece * (30_000 // len(piece))
            with no_hang(1.25):
                read(text)


# ── Paths ────────────────────────────────────────────────────────────────────────────────────────────────────────────────

changes = st.lists(
    st.builds(FileChange, file_names, st.sampled_from(FileStatus), st.none() | file_names), min_size=1, max_size=6
)  # fmt: skip


@given(changes, st.lists(file_names, max_size=6), st.none() | st.sampled_from([layout.name for layout in LAYOUTS]), sql_texts)
@settings(max_examples=200)
def test_any_names_are_a_plan_of_these_files(found: list[FileChange], base: list[str], layout: str | None, text: str) -> None:
    asked: list[str] = []

    def read(path: str) -> bytes:
        asked.append(path)
        return text.encode("utf-8", "surrogatepass")

    plan = answer(plan_changes, found, base, read, read, layout=layout)

    assert {*asked} <= {*base, *(change.path for change in found)}
    if isinstance(plan, Plan):
        answer(report.plan_text, plan).encode()


@given(st.lists(file_names, min_size=1, max_size=5), st.lists(file_names, max_size=5))
@FEW
def test_any_named_files_are_a_plan_of_them(paths: list[str], siblings: list[str]) -> None:
    asked: list[str] = []
    answer(plan_files, paths, siblings, lambda path: asked.append(path) or b"SELECT 1", None)  # type: ignore[func-returns-value]

    assert {*asked} <= {*paths, *siblings}


def test_links_out_of_a_folder_are_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "outside").write_text("\\secret of this machine")
    folder = tmp_path / "db/migrations"
    folder.mkdir(parents=True)
    (folder / "1_a.sql").write_text("SELECT 1;")
    for name in ("2_b.sql", "1_a.expect.sql", "1_a.expect", "0_before.sql"):
        (folder / name).symlink_to(tmp_path / "outside")
    (folder / "3_within.sql").symlink_to("1_a.sql")

    # What is outside would be refused as no SQL if it were read.
    assert main(["list", str(folder)]) == 0
    assert main(["list", str(folder / "1_a.sql")]) == 0
    assert main(["list", str(folder / "1_a.sql"), str(folder / "3_within.sql")]) == 0
    said = capsys.readouterr()
    assert "3_within.sql" in said.out
    assert "2_b.sql" not in said.out
    assert "secret" not in said.out + said.err


@pytest.mark.parametrize("name", ["seed", "seed-sql", "production-rows"])
def test_the_action_reads_no_file_over_a_link_out_of_the_checkout(action: Action, tmp_path_factory: Any, name: str) -> None:
    outside = tmp_path_factory.mktemp("outside") / "file"
    outside.write_text("secret")
    (action.workspace / "folder").mkdir()
    (action.workspace / "folder/link").symlink_to(outside)

    def wrong(path: str) -> UsageError | None:
        return action_settings(action.environment({}, **{"seed": "", name: path})).wrong

    for path in ("folder/link", "./folder/../folder/link", str(action.workspace / "folder/link")):
        assert "leads out of the workspace" in str(wrong(path))
    assert "leads out" not in str(wrong(str(outside)))  # the workflow's author may name any file


# ── Inputs ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

RUNNER = {"GITHUB_REPOSITORY": "o/r", "GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": "/e", "INPUT_TOKEN": "ghs_x"}


@pytest.mark.parametrize("name", [i.name for i in INPUTS])
def test_what_is_nasty_for_numbers_paths_or_urls_is_understood_or_named(name: str) -> None:
    for value in VALUES:
        check_input(name, value)


@given(st.sampled_from([i.name for i in INPUTS]), values)
@SOME
def test_any_input_is_understood_or_named(name: str, value: str) -> None:
    check_input(name, value)


def check_input(name: str, value: str) -> None:
    found = answer(settings_from, {name: value})
    assert isinstance(found, Settings) or (
        isinstance(found, UsageError) and name.replace("-", " ") in str(found).replace("-", " ")
    )
    if name != "token":
        ours = answer(action_settings, {**RUNNER, f"INPUT_{name.upper()}": value})
        said = str(ours) if isinstance(ours, RehearsalError) else str(ours.wrong) + repr(ours.settings)
        assert name != "journal-url" or len(value.strip()) < 9 or value.strip() not in said


STATISTICS = [
    b"table,rows\n", b"public.a,1\n", b",", b'"', b"9" * 5000, b"\n", b"\0", b"\xff", b"a.b,-1\n", b"a.b,1e3\n",
    b"x" * 200_000, b"\r", b"\xef\xbb\xbf", b'a."b,c",2\n',
]  # fmt: skip


@given(st.binary(max_size=60) | st.lists(st.sampled_from(STATISTICS), max_size=8).map(b"".join))
@example(b"table,rows\npublic.a," + b"9" * 5000)
@SOME
def test_any_file_of_statistics_is_read_or_explained(content: bytes) -> None:
    lines = content.decode("utf-8", "replace").splitlines(keepends=True)
    found = answer(read_statistics, lines, "rows.csv")

    assert isinstance(found, Production) or str(found).startswith("rows.csv")
    if isinstance(found, Production):
        assert all(1 <= found.factor(table, 3) < 1e16 for table in found.rows)


def test_statistics_from_what_is_no_file() -> None:
    for path in ("/dev/zero", "/dev/stdin", "/"):
        assert "no number, and no file" in str(answer(settings_from, {"production-rows": path}))


# journal-url -> the password that nobody may see
PASSWORDS = {
    "postgresql://u:planted@h/d": "planted",
    "postgresql://u:pl%40anted@h/d": "pl@anted",
    "postgresql://h/d?user=u&password=planted": "planted",
    "postgresql://h/d?sslpassword=pl%26anted&user=u": "pl&anted",
    "host=h password=planted dbname=d": "planted",
    "host=h password = 'pl anted' dbname=d": "pl anted",
}


@pytest.mark.parametrize(("url", "password"), PASSWORDS.items())
def test_the_journals_password_is_masked_however_it_is_written(url: str, password: str) -> None:
    ours = action_settings({**RUNNER, "INPUT_JOURNAL-URL": url})

    assert password in ours.secrets()
    assert "planted" not in repr(ours)


SIDECAR: list[Callable[[str], object]] = [
    sidecar.parse_listen,
    lambda text: sidecar.parse_statuses(text, "--x"),
    lambda text: sidecar.parse_limit(text, "--x"),
    lambda text: sidecar.parse_timeout(text, "--x"),
    lambda text: sidecar.parse_upstreams([text], []),
    lambda text: sidecar.parse_upstreams([f"a={text}"], []),
    lambda text: sidecar.parse_upstreams([], [text]),
]


ADDRESSES = [
    "http://", "https://", "h", ":", "9" * 5000, "@", "[", "]", "/", "²", "1", "M", "=", "a", "%", "\n", "é", "?", "#", ".",
    ",",
]  # fmt: skip


@given(st.sampled_from(SIDECAR), values | st.lists(st.sampled_from(ADDRESSES), max_size=8).map("".join))
@example(SIDECAR[0], "h:" + "9" * 5000)
@example(SIDECAR[2], "9" * 5000)
@settings(max_examples=300)
def test_any_option_of_the_sidecar_is_understood_or_refused(parse: Callable[[str], object], text: str) -> None:
    found = answer(parse, text)

    assert not isinstance(found, RehearsalError) or isinstance(found, UsageError)


def test_json_is_written_of_whatever_was_planned() -> None:
    name = "db/migrations/1_\udcff\u202e.sql"
    plan = plan_changes([FileChange(name, FileStatus.ADDED)], [], lambda _path: b"SELECT 1", lambda _path: b"")

    assert json.loads(report.plan_to_json(plan))["migrations"]
