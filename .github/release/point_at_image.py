#!/usr/bin/env python3
"""Makes the action.yml of a release: the same, but for the image, which is pulled and not built.

    point_at_image.py ghcr.io/org/migration-rehearsal:1.2.3-pg18@sha256:… <action.yml >released.yml

Everything else stays byte for byte. Exit status 1, and nothing written, where the image is not named by a digest or action.yml is
not one that builds the Dockerfile: a release of anything else would be a release of something that nobody has tested.
"""

from __future__ import annotations

import re
import sys

_BUILT = re.compile(r"^(  image: )Dockerfile$", re.MULTILINE)
_BY_DIGEST = re.compile(r"[a-z0-9.-]+(?::\d+)?(?:/[a-z0-9._-]+)+(?::[A-Za-z0-9_.-]{1,128})?@sha256:[0-9a-f]{64}")


def point_at(action: str, image: str) -> str:
    """The same description with the published image. Raises ValueError."""
    if not _BY_DIGEST.fullmatch(image):
        raise ValueError(f"not an image that is named by its digest: {image!r}")
    pointed, count = _BUILT.subn(rf"\g<1>docker://{image}", action)
    if count != 1:
        raise ValueError(f"{count} lines say `image: Dockerfile`, where one should")
    return pointed


def main() -> int:
    """Standard input to standard output."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        pointed = point_at(sys.stdin.read(), sys.argv[1])
    except ValueError as wrong:
        print(f"point_at_image: {wrong}", file=sys.stderr)
        return 1
    sys.stdout.write(pointed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
