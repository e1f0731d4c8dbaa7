"""What all tests share. Fixtures are plugins: tests/fix_*.py."""

from __future__ import annotations

import os

import hypothesis
import pytest

# A slow machine is no failure.
hypothesis.settings.register_profile("ours", deadline=None)
hypothesis.settings.load_profile("ours")

pytest_plugins = ["tests.fix_postgres", "tests.fix_github", "tests.fix_action", "tests.fix_cli"]


def pytest_report_header(config: pytest.Config) -> list[str]:
    from bot.postgres.binaries import Needs, choose
    from tests.contract.openapi import contract_available

    binaries = choose(Needs(), os.environ.get("MIGRATION_REHEARSAL_POSTGRES_BIN"))
    checked = "checked against the API description" if contract_available() else "UNCHECKED: no API description here"
    return [f"PostgreSQL {binaries.version} ({binaries.origin}); fake GitHub {checked}"]
