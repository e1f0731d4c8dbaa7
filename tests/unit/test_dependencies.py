"""What the image installs: every package pinned, none from anywhere else."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_every_dependency_is_pinned_and_no_index_is_named() -> None:
    text = (ROOT / "requirements.txt").read_text()
    entries = re.findall(
        r"^([a-z0-9-]+)==(\S+)(?: ;.*?)? \\\n((?: {4}--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", text, re.MULTILINE
    )
    pins = {name: version for name, version, _ in entries}
    wanted = map(Requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])

    assert [str(r) for r in wanted if not r.specifier.contains(pins.get(canonicalize_name(r.name), "0"))] == []
    assert len(pins) == len(re.findall(r"^\S+==", text, re.MULTILINE))
    assert not re.search(r"https?://|index-url|find-links", text)
