"""A file system whose files can share blocks: made in a file and mounted, which takes root, or one that is there already."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MAKERS = (("mkfs.xfs", "-q", "-m", "reflink=1"), ("mkfs.btrfs", "-q"))
_BYTES = 700 * 2**20  # XFS is made no smaller than 300 MB


@pytest.fixture
def reflinks() -> Iterator[Path]:
    """An empty folder there."""
    path = f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin"
    maker = next((maker for maker in _MAKERS if shutil.which(maker[0], path=path)), None)
    if os.geteuid() != 0 or maker is None:
        pytest.skip("mounting a file system with reflinks takes root, and mkfs.xfs or mkfs.btrfs")
    folder = Path(tempfile.mkdtemp(prefix="mr-reflinks-", dir="/tmp"))
    image, place = folder / "image", folder / "mounted"
    place.mkdir()
    folder.chmod(0o755)
    with image.open("wb") as file:
        file.truncate(_BYTES)
    try:
        subprocess.run([*maker, str(image)], check=True, capture_output=True, env={"PATH": path})
        if subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=False, capture_output=True).returncode != 0:
            pytest.skip("this machine mounts no file system from a file")
        try:
            place.chmod(0o755)
            yield place
        finally:
            subprocess.run(["umount", "--lazy", str(place)], check=True)
    finally:
        shutil.rmtree(folder)
