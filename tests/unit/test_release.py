"""What makes a release: an action.yml that names the published image, and its tags."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bot

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / ".github" / "release"
ACTION = (ROOT / "action.yml").read_text()
IMAGE = f"ghcr.io/octo/migration-rehearsal:1.2.3-pg18@sha256:{'0123456789abcdef' * 4}"


def run(script: str, *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    command = [sys.executable, str(RELEASE / script), *arguments]
    done = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_a_released_action_differs_from_this_one_in_the_image_alone() -> None:
    status, released, _ = run("point_at_image.py", IMAGE, stdin=ACTION)

    changed = [(one, other) for one, other in zip(ACTION.splitlines(), released.splitlines(), strict=True) if one != other]
    assert status == 0
    assert changed == [("  image: Dockerfile", f"  image: docker://{IMAGE}")]
    assert released.endswith("\n")


@pytest.mark.parametrize(
    "image", ["ghcr.io/octo/migration-rehearsal:1.2.3", IMAGE[:-1], f"{IMAGE}\n  args: [sh]", f"docker://{IMAGE}", ""]
)
def test_an_image_that_may_change_or_is_none_is_refused(image: str) -> None:
    assert run("point_at_image.py", image, stdin=ACTION)[:2] == (1, "")


def test_an_action_that_is_released_already_is_refused() -> None:
    status, released, said = run("point_at_image.py", IMAGE, stdin=run("point_at_image.py", IMAGE, stdin=ACTION)[1])

    assert (status, released) == (1, "")
    assert "0 lines say" in said


@pytest.mark.parametrize(("major", "suffix"), [("18", ""), ("17", "-pg17"), ("15", "-pg15")])
def test_each_major_of_postgresql_has_its_own_moving_tag(major: str, suffix: str) -> None:
    version = bot.__version__

    assert run("tags.py", version, major)[:2] == (0, f"v{version}{suffix}\nv{version.partition('.')[0]}{suffix}\n")


@pytest.mark.parametrize("version", ["v0.1.0", "0.1", "0.1.0; true", "00.1.0", "0.1.0-", "99.0.0"])
def test_what_is_no_version_or_not_the_programs_own_is_not_released(version: str) -> None:
    assert run("tags.py", version, "18")[:2] == (1, "")


def test_an_unfinished_version_moves_nothing() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); from tags import tags; print(tags('1.2.3-rc.1', 17))"
    done = subprocess.run([sys.executable, "-c", code, str(RELEASE)], capture_output=True, text=True, check=True)

    assert done.stdout == "['v1.2.3-rc.1-pg17']\n"


def test_the_version_and_the_majors_are_the_same_everywhere() -> None:
    majors = [
        re.findall(r"\d+", listed)
        for name in ("image.yml", "release.yml")
        for listed in re.findall(r"postgres: \[(.*)\]", (ROOT / ".github" / "workflows" / name).read_text())
    ]

    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == bot.__version__
    assert majors == [["15", "16", "17", "18"]] * 3
    assert re.findall(r"^ARG POSTGRES_VERSION=(\d+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE) == ["18"]
    assert "DEFAULT_MAJOR = 18 " in (RELEASE / "tags.py").read_text()
