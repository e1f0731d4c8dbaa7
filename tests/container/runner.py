"""GitHub's runner, as the tool `github-runner` plays it, and what a run leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

RUNNER_UID = 1001  # of the user that a hosted runner's steps run as
ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


@dataclass(frozen=True)
class Image:
    """The image under test, and the major version of the PostgreSQL in it."""

    tag: str
    major: str

    def run(self, *arguments: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Runs it with these arguments; `options` are those of `docker run`."""
        return docker("run", "--rm", *options, self.tag, *arguments)


@dataclass(frozen=True)
class Ran:
    """What is left of a run of the action; `log` is what it printed, on both channels."""

    exit_status: int
    outputs: dict[str, str]
    summary: str
    log: str
    workspace: Path
    home: Path

    def report(self) -> Any:
        """The JSON report, from where the output `report` says it is."""
        return json.loads((self.workspace / self.outputs["report"]).read_bytes())


@dataclass(frozen=True)
class Running:
    """A run of the action that goes on."""

    process: subprocess.Popen[str]
    image: Image
    repository: str
    kept: Path

    def container(self) -> str:
        """The container's name, once it is there."""
        begins = "".join(re.findall("[a-z0-9]", self.image.tag)) + "_"  # as the runner names it
        asked = ("ps", "--format", "{{.Names}}", "--filter", f"name=^{begins}")
        return self.wait_for(lambda: docker(*asked).stdout.strip())  # noqa: PLW0108  asked anew each time

    def wait_for(self, look: Callable[[], T], seconds: float = 60) -> T:
        """Looks, while the run goes on, until there is something to be seen, which it gives."""
        deadline = time.monotonic() + seconds
        while not (found := look()):
            if self.process.poll() is not None:
                pytest.fail("the run was over before: " + "\n".join(self.process.communicate()))
            if time.monotonic() > deadline:
                pytest.fail(f"not to be seen within {seconds:.0f} s")
            time.sleep(0.05)
        return found

    def result(self) -> Ran:
        """Waits for the end."""
        stdout, stderr = self.process.communicate(timeout=120)
        log, _, last = stdout.rstrip().rpartition("\n")
        if not last.startswith("{"):
            pytest.fail(f"github-runner gave no result:\n{stdout}\n{stderr}")
        result = json.loads(last)
        shutil.move(result["work"], self.kept)
        name = self.repository.partition("/")[2]
        home = self.kept / "_temp" / "_github_home"
        return Ran(result["exit"], result["outputs"], result["summary"], f"{log}\n{stderr}", self.kept / name / name, home)


@dataclass(frozen=True)
class Runner:
    """Runs the action as GitHub's runner does."""

    image: Image
    tool: tuple[str, ...]
    folder: Path

    def start(
        self,
        event: Mapping[str, Any],
        workspace: Path,
        *,
        api_url: str,
        token: str,
        sha: str,
        inputs: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
        home: Path | None = None,
        options: Sequence[str] = (),
        uid: int = RUNNER_UID,
    ) -> Running:
        """Starts the action on an event `pull_request`, in a copy of `workspace`. `home`: an archive that a step before has
        unpacked into the home folder, as the cache action does; `options`: further ones of `docker run`.
        """
        payload = self.folder / "event.json"
        payload.write_text(json.dumps(event))
        repository = event["repository"]["full_name"]
        command = [*self.tool, "--keep", "--action", str(ROOT), "--workspace", str(workspace), "--event", str(payload)]
        command += ["--image", self.image.tag, "--repository", repository, "--sha", sha, "--uid", str(uid)]
        command += ["--network", "host", "--api-url", api_url, "--token", token, "--docker-sock", str(self._socket())]
        command += [f"--with={name}={value}" for name, value in (inputs or {}).items()]
        command += [f"--env={name}={value}" for name, value in (env or {}).items()]
        command += ["--docker", str(self._docker(home, options))]
        # What it leaves is moved to our folder: from there it keeps its owners.
        beside = {**os.environ, "TMPDIR": str(self.folder)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=beside)
        return Running(process, self.image, repository, self.folder / uuid.uuid4().hex)

    def _socket(self) -> Path:
        """The engine's socket, which the runner mounts: wherever the engine under test has it, its usual place if elsewhere."""
        host = os.environ.get("DOCKER_HOST", "")
        return Path(host.removeprefix("unix://") if host.startswith("unix://") else "/var/run/docker.sock")

    def _docker(self, archive: Path | None, options: Sequence[str]) -> Path:
        """The engine's client, which unpacks an archive where the home folder is mounted from, as the runner's user, and adds
        options to `docker run`.
        """
        script = self.folder / "docker"
        # No shell script: a shell drops variables that it can't name, as INPUT_JOURNAL-FOLDER.
        script.write_text(
            f"""#!{sys.executable}
import os, subprocess, sys
archive, arguments = {archive and str(archive)!r}, sys.argv[1:]
if archive:
    home = next(each.partition(":")[0] for each in arguments if each.endswith(":/github/home"))
    owner = {{"user": {RUNNER_UID}, "group": {RUNNER_UID}, "extra_groups": []}}
    subprocess.run(["tar", "-x"], stdin=open(archive), cwd=home, check=True, **owner)
os.execvp("docker", ["docker", arguments[0], *{list(options)!r}, *arguments[1:]])
"""
        )
        script.chmod(0o755)
        return script

    def pack(self, home: Path) -> Path:
        """An archive of a home folder, made as the runner's user: what that one may not read, a cache step can't keep."""
        archive = self.folder / "home.tar"
        with archive.open("wb") as file:
            # As the working folder: the runner's user may not go through the folders of a test.
            owner: dict[str, Any] = {"user": RUNNER_UID, "group": RUNNER_UID, "extra_groups": []}
            subprocess.run(["tar", "-c", ".migration-rehearsal"], check=True, stdout=file, cwd=home, **owner)
        return archive


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the engine's client."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=900)
