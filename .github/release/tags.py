#!/usr/bin/env python3
"""The tags of a release, one a line: first the one that stays, then those that move to it.

    tags.py 1.2.3 18            v1.2.3  v1        on the commit whose action.yml names the image with PostgreSQL 18
    tags.py 1.2.3 17            v1.2.3-pg17  v1-pg17
    tags.py 1.2.3-rc.1 18       v1.2.3-rc.1       nothing moves to what is not finished

With --image those of the image: 1.2.3-pg18  1-pg18  1.2.3  1; each has its major in a tag, also the default one.

Exit status 1 where the version is none, or not the program's own.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

DEFAULT_MAJOR = 18  # of the tags that name no major of PostgreSQL, and of the Dockerfile
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z]+(?:\.[0-9A-Za-z]+)*)?")


def tags(version: str, major: int) -> list[str]:
    """The repository's tags of a version for one major of PostgreSQL. Raises ValueError."""
    return [f"v{each}{_suffix(major)}" for each in _names(version)]


def image_tags(version: str, major: int) -> list[str]:
    """The image's. Raises ValueError."""
    names = _names(version)
    return [f"{each}-pg{major}" for each in names] + ([] if _suffix(major) else names)


def _suffix(major: int) -> str:
    return "" if major == DEFAULT_MAJOR else f"-pg{major}"


def _names(version: str) -> list[str]:
    if not (parts := _VERSION.fullmatch(version)):
        raise ValueError(f"not a version such as 1.2.3: {version!r}")
    return [version] if parts[4] else [version, parts[1]]


def main(arguments: list[str]) -> int:
    """Prints the tags."""
    make = image_tags if "--image" in arguments else tags
    match [each for each in arguments if each != "--image"]:
        case [version, major] if major.isdecimal():
            pass
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    own = tomllib.loads(Path("pyproject.toml").read_text())["project"]["version"]
    if version != own:
        print(f"tags: the program says that it is {own}, and the release is to be {version}", file=sys.stderr)
        return 1
    try:
        found = make(version, int(major))
    except ValueError as wrong:
        print(f"tags: {wrong}", file=sys.stderr)
        return 1
    print("\n".join(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
