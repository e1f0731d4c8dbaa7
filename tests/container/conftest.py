"""The image, built once from the Dockerfile, and a runner that starts it as GitHub's does.

Both need a container engine that answers, and the tools `github-runner` and `stand-in-image` (PostgreSQL's image under its own
name where no registry can be reached), in the folder that the environment variable ``MIGRATION_REHEARSAL_TOOLS`` names, else in
``../shared/tools`` beside the repository. Where one of them is missing, the tests are skipped and say which.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

TOOLS_VARIABLE = "MIGRATION_REHEARSAL_TOOLS"
POSTGRES_MAJOR = "17"  # the one that there is a stand-in for
_RUNNER_UID = 1001  # of the user that a hosted runner's steps run as
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Image:
    """The image under test, and the major version of the PostgreSQL in it."""

    tag: str
    major: str

    def run(self, *arguments: str, options: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Runs it with these arguments; `options` are those of `docker run`."""
        return _docker("run", "--rm", *options, self.tag, *arguments)


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
class Runner:
    """Runs the action as GitHub's runner does."""

    image: Image
    tool: tuple[str, ...]
    folder: Path

    def run(
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
    ) -> Ran:
        """Runs the action on an event `pull_request`, in a copy of `workspace`. `home`: an archive that a step before has
        unpacked into the home folder, as the cache action does.
        """
        payload = self.folder / "event.json"
        payload.write_text(json.dumps(event))
        command = [*self.tool, "--keep", "--action", str(_ROOT), "--workspace", str(workspace), "--event", str(payload)]
        command += ["--image", self.image.tag, "--repository", event["repository"]["full_name"], "--sha", sha]
        command += ["--network", "host", "--api-url", api_url, "--token", token]
        command += [f"--with={name}={value}" for name, value in (inputs or {}).items()]
        command += [f"--env={name}={value}" for name, value in (env or {}).items()]
        if home:
            command += ["--docker", str(self._docker_after_unpacking(home))]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        log, _, last = done.stdout.rstrip().rpartition("\n")
        if not last.startswith("{"):
            pytest.fail(f"github-runner gave no result:\n{done.stdout}\n{done.stderr}")
        result = json.loads(last)
        kept = self.folder / uuid.uuid4().hex
        shutil.move(result["work"], kept)
        name = event["repository"]["name"]
        log = f"{log}\n{done.stderr}"
        return Ran(result["exit"], result["outputs"], result["summary"], log, kept / name / name, kept / "_temp" / "_github_home")

    def _docker_after_unpacking(self, archive: Path) -> Path:
        """The engine's client, which unpacks an archive where the home folder is mounted from, as the runner's user."""
        script = self.folder / "docker-after-unpacking"
        # No shell script: a shell drops variables that it can't name, as INPUT_JOURNAL-FOLDER.
        script.write_text(
            f"""#!{sys.executable}
import os, subprocess, sys
home = next(each.partition(":")[0] for each in sys.argv if each.endswith(":/github/home"))
owner = {{"user": {_RUNNER_UID}, "group": {_RUNNER_UID}, "extra_groups": []}}
subprocess.run(["tar", "-xf", {str(archive)!r}, "-C", home], check=True, **owner)
os.execvp("docker", ["docker", *sys.argv[1:]])
"""
        )
        script.chmod(0o755)
        return script

    def pack(self, home: Path) -> Path:
        """An archive of a home folder, made as the runner's user: what that one may not read, a cache step can't keep."""
        archive = self.folder / "home.tar"
        with archive.open("wb") as file:
            subprocess.run(
                ["tar", "-c", "-C", str(home), ".migration-rehearsal"],
                check=True,
                stdout=file,
                user=_RUNNER_UID,
                group=_RUNNER_UID,
                extra_groups=[],
            )
        archive.chmod(0o644)
        return archive


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image, built from this repository's Dockerfile."""
    _need_engine()
    stand_in = _need_tool("stand-in-image")
    built = Image(f"migration-rehearsal-test:{uuid.uuid4().hex[:12]}", POSTGRES_MAJOR)
    # Workers of one run share the engine's cache: the second build is a look-up.
    with _lock(tmp_path_factory.getbasetemp().parent / "image.lock"):
        made = subprocess.run([str(stand_in), f"postgres:{POSTGRES_MAJOR}-trixie"], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            pytest.skip(f"there is no image postgres:{POSTGRES_MAJOR}-trixie, and none could be made: {made.stderr[-300:]}")
        done = _docker("build", "--build-arg", f"POSTGRES_VERSION={POSTGRES_MAJOR}", "--tag", built.tag, str(_ROOT))
    if done.returncode != 0:
        pytest.fail(f"the image does not build:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    yield built
    _docker("image", "rm", built.tag)


@pytest.fixture
def runner(image: Image, tmp_path: Path) -> Runner:
    """GitHub's runner, with a folder of its own."""
    folder = tmp_path / "runner"
    folder.mkdir()
    return Runner(image, (_python_with_yaml(), str(_need_tool("github-runner"))), folder)


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """A function that writes files to a folder, which it gives: what a step `actions/checkout` leaves."""

    def write(files: Mapping[str, str]) -> Path:
        folder = tmp_path / "checkouts" / uuid.uuid4().hex
        for path, content in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content)
        return folder

    return write


def _docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False, timeout=900)


def _need_engine() -> None:
    """Skips where no engine answers; none is ever started from here."""
    if shutil.which("docker") is None:
        pytest.skip("no container engine: there is no program `docker`")
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=20)
    except subprocess.TimeoutExpired:
        pytest.skip("no container engine: it does not answer within 20 s")
    if asked.returncode != 0:
        pytest.skip("no container engine answers: start one, or name it in DOCKER_HOST")


def _need_tool(name: str) -> Path:
    named = os.environ.get(TOOLS_VARIABLE)
    tool = (Path(named) if named else _ROOT.parent / "shared" / "tools") / name
    if not tool.is_file():
        pytest.skip(f"no tool {name}: set {TOOLS_VARIABLE} to the folder that holds it")
    return tool


@lru_cache
def _python_with_yaml() -> str:
    """The runner reads action.yml with PyYAML, which this project itself has no use for."""
    for python in (sys.executable, shutil.which("python3"), "/usr/bin/python3"):
        if python and subprocess.run([python, "-c", "import yaml"], capture_output=True, check=False).returncode == 0:
            return python
    pytest.skip("github-runner needs a Python that has PyYAML")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
