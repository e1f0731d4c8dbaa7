"""The embedded server: nobody else can reach it, and it is gone when we are, however we went."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Literal

import psycopg
import pytest

from bot.clones.embedded import EmbeddedProvider
from bot.errors import CloneError, SeedError, ServerError
from bot.held import held
from bot.model import Outcome
from bot.postgres.binaries import Account, Needs, choose
from bot.postgres.embedded import Server, embedded_server
from tests.fix_postgres import POSTGRES_BIN, Stage


def test_it_listens_on_no_tcp_port(server: Server) -> None:
    with server.connect("postgres") as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)


def test_nothing_of_our_environment_is_in_its_process() -> None:
    code = f"""
import os
os.environ["INPUT_TOKEN"] = "ghs_secret"
from bot.postgres.binaries import Needs, choose
from bot.postgres.embedded import embedded_server
with embedded_server(choose(Needs(), {POSTGRES_BIN!r})) as server:
    pid = int((server.folder / "data/postmaster.pid").read_text().splitlines()[0])
    environment = open(f"/proc/{{pid}}/environ", "rb").read()
    assert b"ghs_secret" not in environment, environment
"""
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc here")
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_as_root_it_runs_as_somebody_else(server: Server) -> None:
    assert Account.current().uid != 0
    assert (server.folder / "data").stat().st_uid == Account.current().uid


def test_it_is_gone_after_an_exception() -> None:
    with pytest.raises(RuntimeError), embedded_server(choose(Needs(), POSTGRES_BIN)) as server:
        raise RuntimeError
    assert not server.folder.exists()
    with pytest.raises(psycopg.OperationalError):
        server.connect("postgres")


HOLD = f"""
import signal, sys, time
from bot.cli import stop_in_order_on_sigterm
from bot.postgres.binaries import Needs, choose
from bot.held import held_folder
from bot.postgres.embedded import embedded_server
stop_in_order_on_sigterm()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it
with held_folder("mr-seed-") as scratch, embedded_server(choose(Needs(), {POSTGRES_BIN!r})) as server:
    (scratch / "seed").write_text("production's data")
    pid = (server.folder / "data/postmaster.pid").read_text().splitlines()[0]
    print(server.folder, scratch, pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_it_is_gone_when_we_are_killed(how: signal.Signals) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    *folders, pid = process.stdout.readline().split()
    process.send_signal(how)
    process.wait()
    process.stdout.close()

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (_left(folders) or _alive(int(pid))):
        time.sleep(0.05)
    assert (_left(folders), _alive(int(pid))) == ([], False)


# What is copied so slowly that we are killed meanwhile.
COPYING = f"""
import time
from pathlib import Path
from bot.postgres import embedded
from bot.postgres.binaries import Needs, choose

def half(source, target, **_):
    target.mkdir()
    (target / "16384").write_text("production's data")
    print(target.parent, flush=True)
    time.sleep(600)

embedded.copy_tree = half
with embedded.embedded_server(choose(Needs(), {POSTGRES_BIN!r})):
    pass
"""


def test_its_folder_is_gone_when_we_are_killed_while_it_is_filled() -> None:
    process = subprocess.Popen([sys.executable, "-c", COPYING], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    folder = process.stdout.readline().strip()
    assert Path(folder, "data/16384").exists()
    process.kill()
    process.wait()
    process.stdout.close()

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and _left([folder]):
        time.sleep(0.05)
    assert _left([folder]) == []


@pytest.mark.parametrize("stop", ["INT", "QUIT"])
@pytest.mark.parametrize("after_ms", [0, 1, 2, 4, 6, 8, 10])
def test_a_program_that_is_stopped_while_it_starts_stops(after_ms: int, stop: Literal["INT", "QUIT"], tmp_path: Path) -> None:
    """Until it has handlers of its own, it has those of the shell that started it, which ignores both signals."""
    (tmp_path / "held").mkdir()
    program = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"

    last_resort = threading.Timer(20, lambda: os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL))

    with held(tmp_path / "held", [sys.executable, "-S", "-c", program], stop=stop):
        time.sleep(after_ms / 1000)
        last_resort.start()

    assert last_resort.is_alive()
    last_resort.cancel()
    assert not (tmp_path / "held").exists()


def _left(folders: list[str]) -> list[str]:
    return [folder for folder in folders if Path(folder).exists()]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_two_at_once_do_not_meet() -> None:
    binaries = choose(Needs(), POSTGRES_BIN)
    with embedded_server(binaries) as one, embedded_server(binaries) as two:
        assert one.folder != two.folder


@pytest.mark.parametrize("move", [False, True], ids=["copied", "moved"])
def test_another_server_goes_on_with_the_data_of_one_that_was_stopped(move: bool) -> None:
    binaries = choose(Needs(), POSTGRES_BIN)
    with embedded_server(binaries) as first:
        with first.connect("postgres") as connection:
            connection.execute("CREATE DATABASE kept")
            connection.execute("ALTER SYSTEM SET work_mem = '1MB'")
        password = first.password
        first.stop()
        with embedded_server(binaries, first.data, move=move) as second:
            with second.connect("kept") as connection:
                assert connection.execute("SHOW work_mem").fetchone() == ("4MB",), "nothing of its configuration is taken over"
            with pytest.raises(psycopg.OperationalError):
                replace(second, password=password).connect("postgres")
        assert first.data.exists() is not move
    assert not first.folder.exists()
    assert not second.folder.exists()


def test_data_with_a_link_in_it_is_not_taken_over(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/pg_wal").symlink_to("/etc")

    with (
        pytest.raises(ServerError, match="could not be taken over") as said,
        embedded_server(choose(Needs(), POSTGRES_BIN), tmp_path / "data"),
    ):
        pass
    assert "neither a file nor a folder" in said.value.why


def test_a_link_is_not_moved_into_the_datas_place(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")

    with (
        pytest.raises(ServerError, match="could not be taken over"),
        embedded_server(choose(Needs(), POSTGRES_BIN), tmp_path / "data", move=True),
    ):
        pass
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_data_that_does_not_fit_is_not_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setattr("bot.room.room_of", lambda _folder: 0)

    with (
        pytest.raises(SeedError, match="can't be copied: there is not enough room"),
        embedded_server(choose(Needs(), POSTGRES_BIN), tmp_path / "data"),
    ):
        pass


# ── Clones ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_clone_that_does_not_fit_is_not_begun(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.room.room_of", lambda _folder: 128 * 2**20)
    monkeypatch.setattr(Server, "clones_by_reference", lambda _self: False)

    with pytest.raises(CloneError, match="The seed can't be cloned: there is not enough room") as said:
        stage.rehearse("CREATE TABLE t (id int);", "SELECT 1;")
    assert "128 MB free" in said.value.why


def test_a_clone_by_reference_takes_no_room(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.room.room_of", lambda _folder: 0)
    monkeypatch.setattr(Server, "clones_by_reference", lambda _self: True)

    (done,) = stage.rehearse("CREATE TABLE t (id int);", "SELECT 1;")
    assert done.outcome is Outcome.APPLIED


# programs -> how a clone is made on a file system with reflinks
METHODS = {"wheel": "by reference", "/usr/lib/postgresql/15/bin": "copied"}


@pytest.mark.parametrize("programs", METHODS)
def test_how_a_clone_is_made_where_files_can_share_blocks(reflinks: Path, monkeypatch: pytest.MonkeyPatch, programs: str) -> None:
    if programs != "wheel" and not Path(programs).exists():
        pytest.skip(f"no {programs} here")
    monkeypatch.setattr("tempfile.tempdir", str(reflinks))
    with embedded_server(choose(Needs(), programs)) as server:
        assert server.folder.parent == reflinks
        with server.connect("postgres") as admin:
            admin.execute("CREATE DATABASE seed")
        with server.connect("seed") as connection:
            connection.execute("CREATE TABLE t AS SELECT repeat(md5(n::text), 30) FROM generate_series(1, 60000) n; CHECKPOINT")
            size = connection.execute("SELECT pg_table_size('t')").fetchone()
        before = used(reflinks)
        with EmbeddedProvider(server).clone() as clone:
            taken = used(reflinks) - before
            assert clone.method == METHODS[programs]
            with server.connect(clone.name) as connection:
                assert connection.execute("SELECT count(*) FROM t").fetchone() == (60000,)
    assert size
    assert (taken < size[0] / 2) is (clone.method == "by reference")


def used(folder: Path) -> int:
    subprocess.run(["sync", "--file-system", str(folder)], check=True)
    return shutil.disk_usage(folder).used


def test_a_folder_without_a_server_is_named() -> None:
    with pytest.raises(ServerError, match="There is no PostgreSQL server in /nowhere"):
        choose(Needs(), "/nowhere")


def test_a_too_old_server_is_said() -> None:
    with pytest.raises(ServerError, match="is older than 99, which somebody needs"):
        choose(Needs(99, "which somebody needs"), POSTGRES_BIN)
