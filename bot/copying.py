"""Copies of files that share their blocks with the original, where the file system has that (XFS, btrfs, ZFS with block cloning,
APFS): such a copy takes no time and no room, whatever its size. Elsewhere they are copied by the kernel.

The originals may belong to somebody who changes them meanwhile: no link in a folder is followed.
"""

from __future__ import annotations

import errno
import functools
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

_FICLONE = 0x40049409  # linux/fs.h, on x86, ARM and most others
_PROBE_BYTES = 1 << 16  # btrfs keeps what is much smaller within its tree, which is another thing to share


def copy_tree(
    source: Path, target: Path, leave: Callable[[str], bool] = lambda _path: False, owner: tuple[int, int] | None = None
) -> bool:
    """Copies a folder of plain files and folders to a place where nothing is yet; whether all of it shares its blocks with the
    original. Modes are kept, times are not; `owner` is a user and a group to give it to, ourselves if None. `leave` is asked for
    each file, by its path from the source, whether it is to be left out. Raises OSError, also for a link or a device: what it
    leads to is not the folder's.
    """
    shared = True
    give = functools.partial(_give, owner=owner) if owner else _keep
    if not stat.S_ISDIR(source.lstat().st_mode):
        raise _strange(source.name)
    target.mkdir(mode=0o700)
    give(target)
    for at, folders, files, descriptor in os.fwalk(source, onerror=_raise):
        inner = os.path.relpath(at, source)
        for name in folders:
            _copy_folder(name, descriptor, target / inner / name)
            give(target / inner / name)
        for name in files:
            path = os.path.normpath(os.path.join(inner, name))  # noqa: PTH118  a thousand files, each in microseconds
            if not leave(path):
                copy = os.path.join(target, path)  # noqa: PTH118
                shared = _copy_file(name, descriptor, copy, by_reference=shared) and shared
                give(copy)
    return shared


def _give(path: Path | str, owner: tuple[int, int]) -> None:
    os.chown(path, *owner, follow_symlinks=False)


def _keep(path: Path | str) -> None:
    """The owner of a file that we made is who we are."""


def _raise(error: OSError) -> None:
    raise error


def _copy_folder(name: str, parent: int, target: Path) -> None:
    mode = os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode
    if not stat.S_ISDIR(mode):
        raise _strange(name)
    target.mkdir(mode=0o700)
    target.chmod(stat.S_IMODE(mode))


def _copy_file(name: str, parent: int, target: str, *, by_reference: bool) -> bool:
    """Whether it was copied by reference, which is tried unless it is known not to work there."""
    original = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
    try:
        mode = os.fstat(original).st_mode
        if not stat.S_ISREG(mode):
            raise _strange(name)
        shared = by_reference and _reference(original, target)
        if not shared:
            _copy_bytes(original, target)
    finally:
        os.close(original)
    os.chmod(target, stat.S_IMODE(mode))  # noqa: PTH101
    return shared


def _strange(name: str) -> OSError:
    return OSError(errno.EINVAL, f"{name} is neither a file nor a folder")


def _copy_bytes(original: int, target: str) -> None:
    with open(target, "wb") as copy:  # noqa: PTH123
        if sys.platform == "linux":
            while os.sendfile(copy.fileno(), original, None, 1 << 30):
                pass
        else:
            with os.fdopen(os.dup(original), "rb") as content:
                shutil.copyfileobj(content, copy, 1 << 20)


def files_in(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """The files below a folder, by their path from there; a link is one, whatever it leads to."""
    for path, folders, files in os.walk(folder):
        for name in (*files, *folders):
            file = os.path.join(path, name)  # noqa: PTH118  a thousand files
            said = os.lstat(file)
            if not stat.S_ISDIR(said.st_mode):
                yield os.path.relpath(file, folder), said


def bytes_in(folder: Path) -> int:
    """How long all files below a folder are together."""
    return sum(said.st_size for _name, said in files_in(folder))


def refers(folder: Path, target: Path | None = None) -> bool:
    """Whether copies of a folder's files, into itself or into another one, are made by reference: tried with a small one, as no
    name of a file system says it.
    """
    try:
        with (
            tempfile.TemporaryFile(dir=folder) as original,
            tempfile.TemporaryDirectory(prefix="mr-refers-", dir=target or folder) as place,
        ):
            original.write(bytes(range(256)) * (_PROBE_BYTES // 256))
            original.flush()
            return _reference(original.fileno(), os.path.join(place, "copy"))  # noqa: PTH118
    except OSError:
        return False


if sys.platform == "darwin":

    def _reference(original: int, target: str) -> bool:
        """By fclonefileat(2), which makes the file itself."""
        import ctypes  # noqa: PLC0415  only here

        clone = ctypes.CDLL(None, use_errno=True).fclonefileat
        here, no_owner = -2, 2  # AT_FDCWD: the target's path is whole; CLONE_NOOWNERCOPY, or root would keep the original's
        return bool(clone(original, here, os.fsencode(target), no_owner) == 0)

elif sys.platform == "linux":

    def _reference(original: int, target: str) -> bool:
        """By the request FICLONE."""
        import fcntl  # noqa: PLC0415  of Unix

        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.ioctl(copy, _FICLONE, original)
        except OSError:
            return False
        finally:
            os.close(copy)
        return True

else:

    def _reference(original: int, target: str) -> bool:  # noqa: ARG001  there is no way that we know
        return False
