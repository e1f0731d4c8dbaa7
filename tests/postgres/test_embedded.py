"""The embedded server: nobody else can reach it, and it is gone when we are, however we went."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from bot.errors import ServerError
from bot.postgres.binaries import Account, Needs, choose
from bot.postgres.embedded import Server, embedded_server
from tests.fix_postgres import POSTGRES_BIN


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
from bot.held import scratch_folder
from bot.postgres.embedded import embedded_server
stop_in_order_on_sigterm()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets what it starts in the background ignore it
with scratch_folder() as scratch, embedded_server(choose(Needs(), {POSTGRES_BIN!r})) as server:
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


def test_a_folder_without_a_server_is_named() -> None:
    with pytest.raises(ServerError, match="There is no PostgreSQL server in /nowhere"):
        choose(Needs(), "/nowhere")


def test_a_too_old_server_is_said() -> None:
    with pytest.raises(ServerError, match="is older than 99, which somebody needs"):
        choose(Needs(99, "which somebody needs"), POSTGRES_BIN)
