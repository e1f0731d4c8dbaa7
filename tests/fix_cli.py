"""The command line, run in a fresh folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.cli import main
from tests.fix_postgres import POSTGRES_BIN

SEED = """
CREATE TABLE orders (id int PRIMARY KEY, email text);
INSERT INTO orders SELECT n, nullif(n % 3, 0) FROM generate_series(1, 90) n;
"""
GOOD = "ALTER TABLE orders ADD total int DEFAULT 0;\nUPDATE orders SET total = 1;\n"
BAD = "ALTER TABLE orders ALTER email SET NOT NULL"


@dataclass
class Run:
    status: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Run]:
    """Runs the command line in a fresh folder that holds a seed, a good and a bad migration."""
    monkeypatch.chdir(tmp_path)
    if POSTGRES_BIN:
        monkeypatch.setenv("MIGRATION_REHEARSAL_POSTGRES_BIN", POSTGRES_BIN)
    (tmp_path / "seed.sql").write_text(SEED)
    (tmp_path / "1_good.sql").write_text(GOOD)
    (tmp_path / "2_bad.sql").write_text(BAD)

    def call(*arguments: str) -> Run:
        try:
            status = main(arguments)
        except SystemExit as ended:  # argparse
            status = int(ended.code or 0)
        captured = capsys.readouterr()
        return Run(status, captured.out, captured.err)

    return call
