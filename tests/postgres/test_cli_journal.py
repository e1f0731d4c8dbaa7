"""The journal on the command line: replays for an agent, `journal show` and `prune`, the sidecar's arguments, a kept folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from bot.errors import UnreachableError
from bot.journal.embedded import embedded_journal
from bot.journal.opening import open_journal
from bot.journal.place import Place
from bot.journal.runs import Journal
from bot.postgres.binaries import Needs, choose
from bot.progress import Progress
from tests.fix_cli import BAD, Run
from tests.fix_postgres import POSTGRES_BIN

QUIET = Progress(quiet=True)
Call = Callable[..., Run]


@pytest.fixture
def kept() -> Iterator[Path]:
    """A folder that the server's account may enter."""
    with tempfile.TemporaryDirectory(prefix="kept-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


# ── rehearse ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_rehearsed_is_replayed_until_something_changes(run: Call, journal_url: str, tmp_path: Path) -> None:
    ask = ("rehearse", "1_good.sql", "2_bad.sql", "--seed", "seed.sql", "--journal", journal_url)
    first, second = run(*ask), run(*ask)
    (tmp_path / "2_bad.sql").write_text(BAD + ";")
    third = run(*ask)

    assert (first.status, second.status, third.status) == (1, 1, 1)
    assert second.err == ""
    assert "replayed from the journal, where it has been since" in second.out
    assert "rehearse 1_good.sql" not in third.err
    assert "rehearse 2_bad.sql" in third.err
    assert "1 of 2 rehearsals reused from the journal" in third.out


def test_forced_it_is_rehearsed_anew(run: Call, journal_url: str) -> None:
    ask = ("rehearse", "1_good.sql", "--seed", "seed.sql", "--journal", journal_url)
    run(*ask)

    again = run(*ask, "--rerun", "force", "--format", "json")

    assert "rehearse 1_good.sql" in again.err
    assert not json.loads(again.out)["run"]["replayed"]


def test_the_journal_may_come_from_the_environment(run: Call, journal_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIGRATION_REHEARSAL_JOURNAL_URL", journal_url)
    for _time in range(2):
        done = run("rehearse", "1_good.sql", "--seed", "seed.sql", "--format", "json")

    assert json.loads(done.out)["run"]["replayed"]


def test_a_journal_that_is_away(run: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.journal.opening.PATIENCE_S", 0.2)
    ask = ("rehearse", "1_good.sql", "--seed", "seed.sql", "--journal", f"host={tmp_path} dbname=j password=hush")
    stopped, gone_on = run(*ask), run(*ask, "--journal-failure", "continue")

    assert (stopped.status, gone_on.status) == (3, 0)
    assert "does not answer" in stopped.err
    assert "Without the journal: The journal at" in gone_on.out
    assert "hush" not in stopped.err + stopped.out + gone_on.err + gone_on.out


def test_libpqs_variables_are_no_part_of_an_answer(run: Call, journal_url: str, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "1_day.sql").write_text("SELECT '31/01/2024'::date;")
    statuses = []
    for style in ("ISO, DMY", "ISO, MDY"):
        monkeypatch.setenv("PGDATESTYLE", style)
        monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=1")
        monkeypatch.setenv("PGPORT", "6000")
        statuses.append(run("rehearse", "1_day.sql", "--seed", "seed.sql").status)

    assert statuses == [1, 1]


def test_a_seed_that_reads_other_files_is_not_taken_for_the_same(run: Call, journal_url: str, kept: Path, tmp_path: Path) -> None:
    (kept / "users.csv").write_text("a\n")
    (tmp_path / "users.sql").write_text(f"CREATE TABLE users (name text); COPY users FROM '{kept}/users.csv' (FORMAT csv);\n")
    (tmp_path / "3_names.sql").write_text("ALTER TABLE users ALTER name SET NOT NULL;")
    ask = ("rehearse", "3_names.sql", "--seed", str(tmp_path / "users.sql"), "--journal", journal_url)
    first = run(*ask)
    (kept / "users.csv").write_text("\n")

    assert (first.status, run(*ask).status) == (0, 1), first.err


def test_a_migration_that_reads_a_file_is_rehearsed_each_time(run: Call, journal_url: str, tmp_path: Path) -> None:
    (tmp_path / "1_load.sql").write_text("COPY orders FROM '/dev/null';")
    ask = ("rehearse", "1_load.sql", "--seed", "seed.sql", "--journal", journal_url)
    run(*ask)

    assert "rehearse 1_load.sql" in run(*ask).err


def test_a_file_name_that_is_not_utf_8(run: Call, journal_url: str, tmp_path: Path) -> None:
    name = os.fsdecode(b"1_caf\xe9.sql")
    (tmp_path / name).write_text("SELECT 1;")
    done = [run("rehearse", name, "--seed", "seed.sql", "--journal", journal_url) for _time in range(2)]

    assert [one.status for one in done] == [0, 0], done[0].err


# ── journal show, journal prune ──────────────────────────────────────────────────────────────────────────────────────────────


def test_show_lists_runs_and_steps(run: Call, journal_url: str) -> None:
    run("rehearse", "1_good.sql", "2_bad.sql", "--seed", "seed.sql", "--journal", journal_url)
    runs = run("journal", "show", "--journal", journal_url)
    as_json = run("journal", "show", "--journal", journal_url, "--format", "json")
    run_id = json.loads(as_json.out)["runs"][0]["run_id"]
    steps = run("journal", "show", run_id[:8], "--journal", journal_url)
    steps_as_json = run("journal", "show", run_id, "--journal", journal_url, "--format", "json")

    assert [line.split()[-1].split(":")[0] for line in runs.out.splitlines()] == ["About", "local"]
    assert "finished" in runs.out
    assert [line.split()[1] for line in steps.out.splitlines()[4:]] == ["clone", "rehearse", "rehearse", "report"]
    assert [step["state"] for step in json.loads(steps_as_json.out)["steps"]] == ["done"] * 4


def test_show_of_a_run_that_is_not_there(run: Call, journal_url: str) -> None:
    done = run("journal", "show", "abc", "--journal", journal_url)

    assert (done.status, "No runs have an id that begins with 'abc'" in done.err) == (2, True)


def test_prune(run: Call, journal_url: str) -> None:
    run("rehearse", "1_good.sql", "--seed", "seed.sql", "--journal", journal_url)
    young = run("journal", "prune", "--journal", journal_url)
    with psycopg.connect(journal_url) as connection:
        connection.execute("UPDATE runs SET started_at = '2020-01-01', finished_at = '2020-01-01'")
        connection.execute("UPDATE journal SET started_at = '2020-01-01', completed_at = '2020-01-01'")
    old = run("journal", "prune", "--journal", journal_url)

    assert (young.out, old.out) == ("0 runs removed\n", "1 run removed\n")


# arguments -> what is said, with exit status 2
WRONG = [
    (("journal", "show"), "No journal is named"),
    (("journal", "prune", "--older-than", "-1", "--journal", "x"), "Give 0 or more"),
    (("journal", "show", "--journal", "postgresql://u:hush@[x"), "can't be read"),
    (("sidecar", "--upstream", "x=https://h"), "No journal is named"),
    (("sidecar", "--listen", "here"), "is no address to listen on"),
    (("sidecar", "--upstream", "https://h"), ""),
    (("sidecar", "--upstream", "x=https://h", "--not-done", "x"), "is no list of HTTP statuses"),
    (("rehearse", "1_good.sql", "--rerun", "again"), "Choose one of: force."),
    (("journal", "show", "--journal", "/nowhere/at/all"), "There is no journal in /nowhere/at/all"),
    (("journal", "show", "--limit", "0", "--journal", "host=/nowhere"), "Give 1 or more"),
    (("journal", "prune", "--older-than", "999999999999", "--journal", "x"), "a hundred years"),
    (("journal", "show", "--journal", "~nosuchuser/x"), "~nosuchuser/x, can't be found"),
    (("journal", "show", "--journal", "postgresql://bob:abc@hush@127.0.0.1:1/db"), "Write @ as %40"),
    (("journal", "show", "--journal", "postgresql://bob:pa/hush@127.0.0.1:1/db"), "Write @ as %40"),
]


@pytest.mark.parametrize(("arguments", "said"), WRONG)
def test_wrong_arguments(run: Call, arguments: tuple[str, ...], said: str) -> None:
    done = run(*arguments)

    assert done.status == 2
    assert said in done.err
    assert "hush" not in done.err
    assert "Traceback" not in done.err


def test_the_sidecar_wants_a_key(run: Call, journal_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MIGRATION_REHEARSAL_JOURNAL_KEY", raising=False)
    done = run("sidecar", "--upstream", "x=https://h", "--journal", journal_url, "--listen", "127.0.0.1:0")

    assert (done.status, "openssl rand -hex 32" in done.err) == (2, True)


# ── A folder that is kept ────────────────────────────────────────────────────────────────────────────────────────────────────


def place(folder: Path) -> Place:
    return Place(folder=str(folder), postgres_bin=POSTGRES_BIN)


def test_who_comes_second_waits_for_the_folder(kept: Path) -> None:
    order = []

    def second() -> None:
        with open_journal(place(kept), QUIET):
            order.append("second")

    thread = threading.Thread(target=second)
    with open_journal(place(kept), QUIET):
        thread.start()
        thread.join(0.5)
        order.append("first")
    thread.join()

    assert order == ["first", "second"]


def test_show_looks_into_a_folder_that_is_in_use(run: Call, kept: Path) -> None:
    with open_journal(place(kept), QUIET) as journal:
        assert isinstance(journal, Journal)
        with journal.run("a run under way"):
            done = run("journal", "show", "--journal", str(kept))

    assert "a run under way" in done.out
    assert "at work" in done.out


def test_after_a_kill_the_folder_opens_again(kept: Path) -> None:
    code = f"""
import os, signal
from bot.journal.opening import open_journal
from bot.journal.place import Place
from bot.journal.steps import Step
from bot.progress import Progress
with open_journal(Place(folder={str(kept)!r}, postgres_bin={POSTGRES_BIN!r}), Progress()) as journal, journal.run("k") as run:
    run.record(Step(1, "fact", 1), "kept")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ | {"PYTHONPATH": os.getcwd()})  # noqa: PTH109
    assert ended.returncode == -signal.SIGKILL

    with open_journal(place(kept), QUIET) as journal:
        assert isinstance(journal, Journal)
        assert [(run.key, run.done) for run in journal.store.runs()] == [("k", 1)]


def test_a_broken_folder_is_said_and_can_be_gone_on_without(kept: Path) -> None:
    binaries = choose(Needs(), POSTGRES_BIN)
    with embedded_journal(kept, binaries, QUIET):
        pass
    (kept / str(binaries.major) / "data" / "global" / "pg_control").write_bytes(b"")

    with pytest.raises(UnreachableError, match="could not be started"), open_journal(place(kept), QUIET):
        pass
    with open_journal(Place(folder=str(kept), postgres_bin=POSTGRES_BIN, go_on=True), QUIET) as journal:
        assert journal.lost


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs its server as somebody else")
def test_a_folder_that_the_servers_account_may_not_enter_is_named(kept: Path) -> None:
    (kept / "closed").mkdir(mode=0o700)
    with pytest.raises(UnreachableError, match=r"may not enter .*/closed"), open_journal(place(kept / "closed" / "j"), QUIET):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_is_kept_belongs_to_whom_the_folder_belongs_to(kept: Path) -> None:
    """A runner's cache step runs as the runner's user, and could not read PostgreSQL's files otherwise."""
    os.chown(kept, 12345, 12345)
    with open_journal(place(kept / "home" / "journal"), QUIET):
        owners = {path.stat().st_uid for path in kept.rglob("*") if path.name != "lock"}

    assert owners == {12345}


def test_the_lock_and_everything_else_can_be_read_by_its_owner(kept: Path) -> None:
    with open_journal(place(kept), QUIET):
        pass
    assert [path.name for path in kept.rglob("lock") if not path.stat().st_mode & 0o004] == []
