"""The image, built once from the Dockerfile, and a runner that starts it as GitHub's does.

Both need a container engine that answers; the runner needs the tool `github-runner`, in the folder that the environment
variable ``MIGRATION_REHEARSAL_TOOLS`` names, else in ``../shared/tools`` beside the repository. Where one of them is missing, the
tests are skipped and say which. Where no registry can be reached, the tool `stand-in-image` makes PostgreSQL's image under its
own name.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import pytest

from tests.container.runner import Image, Runner, docker

TOOLS_VARIABLE = "MIGRATION_REHEARSAL_TOOLS"
POSTGRES_MAJOR = "17"  # the one that there is a stand-in for
_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image, built from this repository's Dockerfile."""
    with _built(tmp_path_factory, "VERSION=1.2.3", "REVISION=0123abc") as built:
        yield built


@pytest.fixture(scope="session")
def image_with_vectors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """The image with an extension that PostgreSQL does not bring along."""
    with _built(tmp_path_factory, "EXTENSIONS=pgvector") as built:
        yield built


@contextmanager
def _built(tmp_path_factory: pytest.TempPathFactory, *arguments: str) -> Iterator[Image]:
    _need_engine()
    built = Image(f"migration-rehearsal-test:{uuid.uuid4().hex[:12]}", POSTGRES_MAJOR)
    # Workers of one run share the engine's cache: the second build is a look-up.
    with _lock(tmp_path_factory.getbasetemp().parent / "image.lock"):
        _have(f"postgres:{POSTGRES_MAJOR}-trixie")
        given = [f"--build-arg={each}" for each in (f"POSTGRES_VERSION={POSTGRES_MAJOR}", *arguments)]
        done = docker("build", *given, "--tag", built.tag, str(_ROOT))
    if done.returncode != 0:
        pytest.fail(f"the image does not build:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    try:
        yield built
    finally:
        docker("image", "rm", built.tag)


@pytest.fixture(scope="session")
def stand_in() -> Callable[[str], None]:
    """A function that makes sure of an image where no registry can be reached."""
    return _have


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


def _have(name: str) -> None:
    """Makes a stand-in for an image where there is a tool for it; otherwise the engine fetches it."""
    if (tool := _tool("stand-in-image")).is_file():
        made = subprocess.run([str(tool), name], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            pytest.skip(f"there is no image {name}, and none could be made: {made.stderr[-300:]}")


def _tool(name: str) -> Path:
    named = os.environ.get(TOOLS_VARIABLE)
    return (Path(named) if named else _ROOT.parent / "shared" / "tools") / name


def _need_tool(name: str) -> Path:
    if not (tool := _tool(name)).is_file():
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
