"""Becoming the owner of the workspace: tried in a process of its own, as there is no way back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OWNER, GROUP, ENGINE = 1001, 1002, 998
WHO = """
import json, os, pathlib, sys
from bot import stepping_down
folder, stepping_down.ENGINE_SOCKET = sys.argv[1], pathlib.Path(sys.argv[2])
environment = {"HOME": sys.argv[3]}
stepping_down.step_down(folder, environment)
print(json.dumps([os.getresuid(), os.getresgid(), os.getgroups(), environment["HOME"]]))
"""
ALONE = """
import pathlib
from bot.stepping_down import keep_to_ourselves
keep_to_ourselves()
print(pathlib.Path("/proc/self/environ").stat().st_uid, "NoNewPrivs:\\t1" in pathlib.Path("/proc/self/status").read_text())
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def who(folder: Path, socket: Path, home: Path) -> list[object]:
    found: list[object] = json.loads(run(WHO, folder, socket, home))
    return found


def owned(path: Path, uid: int, gid: int) -> Path:
    path.mkdir()
    os.chown(path, uid, gid)
    return path


@as_root
@pytest.mark.parametrize(("group", "expected"), [(GROUP, GROUP), (ENGINE, OWNER), (0, OWNER)], ids=["own", "engine's", "root's"])
def test_root_becomes_the_owner_but_never_a_member_of_a_group_that_leads_back(tmp_path: Path, group: int, expected: int) -> None:
    workspace, socket = owned(tmp_path / "workspace", OWNER, group), owned(tmp_path / "socket", 0, ENGINE)

    assert who(workspace, socket, tmp_path)[:3] == [[OWNER] * 3, [expected] * 3, []]


@as_root
def test_a_home_that_the_owner_may_not_write_is_not_kept(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    workspace, home = owned(tmp_path / "workspace", OWNER, GROUP), owned(tmp_path / "home", 0, 0)

    assert who(workspace, tmp_path / "no socket", home)[3] == tempfile.gettempdir()


@as_root
def test_in_a_folder_of_root_and_in_one_that_is_not_there_root_stays(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        assert who(folder, tmp_path / "no socket", tmp_path)[0] == [0, 0, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_what_keeps_to_itself_can_not_be_read_by_its_own_account(tmp_path: Path) -> None:
    owner, no_new_privileges = run(ALONE).split()

    assert (owner, no_new_privileges) == ("0", "True")  # the files in /proc are root's now, whoever runs it
