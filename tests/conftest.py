"""What all tests share. Fixtures are plugins: tests/fix_*.py."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest


def _keep_files_in_memory() -> None:
    """The tests make and drop some thousand databases of three hundred files each, and some hundred data folders of a thousand,
    for which a disk's file system takes half of all their time. Pytest's folders are there, too: the folder of a test that passed
    is removed when it has ended (`tmp_path_retention_policy`), so that memory holds only what somebody may want to look at.
    """
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK | os.X_OK) and shutil.disk_usage(memory).free > 4 * 2**30:
        os.environ["TMPDIR"] = tempfile.tempdir = str(memory)


_keep_files_in_memory()

# A slow machine is no failure.
hypothesis.settings.register_profile("ours", deadline=None)
hypothesis.settings.load_profile("ours")

pytest_plugins = [
    "tests.fix_postgres",
    "tests.fix_github",
    "tests.fix_clones",
    "tests.fix_action",
    "tests.fix_cli",
    "tests.fix_reflink",
]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    """Pytest's own folder, of which nothing is left in memory when all tests have passed."""
    if Path(tempfile.gettempdir()) == Path("/dev/shm"):
        for folder in Path("/dev/shm").glob("pytest-of-*"):
            with suppress(OSError):  # somebody else's, or there is something in it
                folder.rmdir()


def pytest_report_header(config: pytest.Config) -> list[str]:
    from bot.postgres.binaries import Needs, choose
    from tests.contract.openapi import contract_available

    binaries = choose(Needs(), os.environ.get("MIGRATION_REHEARSAL_POSTGRES_BIN"))
    checked = "checked against the API description" if contract_available() else "UNCHECKED: no API description here"
    return [f"PostgreSQL {binaries.version} ({binaries.origin}); fake GitHub {checked}"]
