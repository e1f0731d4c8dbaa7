"""Copies of files: what is copied, and what is not followed. Those by reference are in tests/postgres/test_embedded.py."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.copying import bytes_in, copy_tree, refers


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A small tree."""
    folder = tmp_path / "source"
    (folder / "base/5").mkdir(parents=True, mode=0o700)
    (folder / "base/5/1").write_bytes(b"x" * 3_000_000)
    (folder / "base/5/1").chmod(0o600)
    (folder / "base/empty").write_bytes(b"")
    (folder / "log").mkdir()
    (folder / "log/old").write_bytes(b"old")
    (folder / "log/new").write_bytes(b"new")
    return folder


def test_everything_is_copied_with_its_mode(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    copy_tree(source, target)

    assert sorted(path.relative_to(target) for path in target.rglob("*")) == sorted(
        path.relative_to(source) for path in source.rglob("*")
    )
    assert (target / "base/5/1").read_bytes() == b"x" * 3_000_000
    assert stat.S_IMODE((target / "base/5/1").stat().st_mode) == 0o600
    assert bytes_in(target) == bytes_in(source) == 3_000_006


def test_what_is_to_be_left_is_left(source: Path, tmp_path: Path) -> None:
    asked: list[str] = []

    def leave(path: str) -> bool:
        asked.append(path)
        return path == "log/old"

    copy_tree(source, tmp_path / "target", leave)

    assert [path.name for path in (tmp_path / "target/log").iterdir()] == ["new"]
    assert sorted(asked) == ["base/5/1", "base/empty", "log/new", "log/old"]


# what is in the tree that is neither a file nor a folder
STRANGE: dict[str, Callable[[Path], object]] = {
    "a link to a file": lambda path: path.symlink_to("/etc/passwd"),
    "a link to a folder": lambda path: path.symlink_to("/etc"),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a pipe": os.mkfifo,
}


@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE.keys())
def test_nothing_is_followed(source: Path, tmp_path: Path, make: Callable[[Path], object]) -> None:
    make(source / "base/strange")

    with pytest.raises(OSError):
        copy_tree(source, tmp_path / "target")
    assert not (tmp_path / "target/base/strange").exists()


def test_a_link_in_place_of_the_tree_gives_no_copy(source: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(source)
    with pytest.raises(OSError):
        copy_tree(tmp_path / "link", tmp_path / "target")


def test_copies_on_a_file_system_with_reflinks_share_their_blocks(source: Path, reflinks: Path) -> None:
    assert copy_tree(source, reflinks / "first") is False, "not across file systems"
    assert copy_tree(reflinks / "first", reflinks / "second") is True
    assert (reflinks / "second/base/5/1").read_bytes() == b"x" * 3_000_000
    (reflinks / "second/base/5/1").write_bytes(b"y")
    assert (reflinks / "first/base/5/1").stat().st_size == 3_000_000, "to write to one changes that one alone"


def test_whether_files_can_share_blocks_is_tried(reflinks: Path, tmp_path: Path) -> None:
    assert refers(reflinks) is True
    assert refers(reflinks, tmp_path) is refers(tmp_path, reflinks) is False, "not across file systems"
    assert refers(reflinks / "nowhere") is False
    assert list(reflinks.iterdir()) == []
