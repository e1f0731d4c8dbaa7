"""What makes a release: an action.yml that names the published image, and its tags."""

from __future__ import annotations

import json
import os
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


GH = """#!/usr/bin/env python3
# Answers as GitHub does; what it was asked is kept, one line each. A tag that is not there can't be moved.
import json, os, pathlib, sys
log = pathlib.Path(os.environ["GH_LOG"])
asked = sys.argv[1:]
contents = [pathlib.Path(each.partition("=@")[2]).read_text() for each in asked if "content]=@" in each]
lines = log.read_text().splitlines() if log.exists() else []
log.write_text("\\n".join([*lines, json.dumps([asked, contents])]))
if "PATCH" in asked and asked[3].endswith("/v0"):
    sys.exit(1)
if any(each.endswith("refs/tags/" + os.environ.get("GH_HAS", "?")) for each in asked if "--method" not in asked):
    sys.exit(1)
print(f"{len(lines):040x}")
"""


def tag(folder: Path, has: str = "?") -> tuple[int, list[tuple[list[str], list[str]]]]:
    """Runs the script that tags, with digests for two majors; gives its exit status and what it asked GitHub for."""
    published, log = folder / "published", folder / "log"
    published.mkdir()
    for number, major in enumerate(("17", "18")):
        (published / major).write_text(f"sha256:{str(number) * 64}\n")
    (folder / "gh").write_text(GH)
    (folder / "gh").chmod(0o755)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    environment = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "GH_LOG": str(log),
        "GH_HAS": has,
        "VERSION": bot.__version__,
        "IMAGE": "ghcr.io/octo/migration-rehearsal",
        "GITHUB_REPOSITORY": "octo/migration-rehearsal",
        "GITHUB_SHA": head,
    }
    done = subprocess.run([str(RELEASE / "tag"), str(published)], cwd=ROOT, env=environment, capture_output=True, check=False)
    return done.returncode, [json.loads(line) for line in log.read_text().splitlines()]


def tags_of(asked: list[tuple[list[str], list[str]]]) -> list[str]:
    """The tags that were made or moved, with the commit that each is on, by the number of the call that made it."""
    found = []
    for call, _ in asked:
        name = re.search(r"refs/tags/(\S+)", " ".join(call))
        if name:
            sha = next(each for each in call if each.startswith("sha=")).removeprefix("sha=")
            found.append(f"{'moves' if 'PATCH' in call else 'makes'} {name[1]} {int(sha, 16)}")
    return found


def test_tags_that_stay_come_first_and_each_is_on_the_commit_that_names_its_image(tmp_path: Path) -> None:
    status, asked = tag(tmp_path)

    contents = [content for _, written in asked for content in written]
    version = bot.__version__
    assert status == 0
    assert [re.findall(r"image: docker://(\S+)", content) for content in contents] == [
        [f"ghcr.io/octo/migration-rehearsal:{version}-pg17@sha256:{'0' * 64}"],
        [f"ghcr.io/octo/migration-rehearsal:{version}-pg18@sha256:{'1' * 64}"],
    ]
    # Calls 0 to 2 make tree, commit and tag for 17, calls 3 to 5 for 18. `v0` is not there yet.
    assert tags_of(asked) == [
        f"makes v{version}-pg17 1",
        f"makes v{version} 4",
        "moves v0-pg17 1",
        "moves v0 4",
        "makes v0 4",
    ]


def test_what_is_released_is_not_released_anew_and_nothing_moves(tmp_path: Path) -> None:
    status, asked = tag(tmp_path, has=f"v{bot.__version__}")

    assert status != 0
    assert not any("PATCH" in call for call, _ in asked)
