"""Whole histories: rehearsed from the first to the last migration, the schema must be what plain psql gives.

Small ones of our own, one of each layout, always; other people's where MIGRATION_REHEARSAL_HISTORIES, or
../shared/data/histories, holds some.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.errors import ServerError
from bot.model import Outcome
from tests.fix_postgres import POSTGRES_BIN
from tests.histories import HISTORIES
from tests.postgres.replay import replay

ROOT = Path(__file__).parents[2]
OTHERS = Path(os.environ.get("MIGRATION_REHEARSAL_HISTORIES") or ROOT.parent / "shared/data/histories")
FOLDERS = sorted(path for path in OTHERS.glob("*") if path.is_dir())


def check(folder: Path, seed: Path | None = None) -> None:
    try:
        done = replay(folder, seed=seed, postgres_bin=POSTGRES_BIN)
    except ServerError as error:
        pytest.skip(str(error))
    assert [r for r in done.rehearsals if r.outcome is not Outcome.APPLIED] == []
    assert done.rehearsals
    assert done.same, done.difference()


@pytest.mark.parametrize("layout", HISTORIES)
def test_a_history_of_each_layout_ends_where_psql_ends(tmp_path: Path, layout: str) -> None:
    for path, text in HISTORIES[layout].files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)

    check(tmp_path)


@pytest.mark.parametrize("folder", FOLDERS or [None], ids=lambda path: path.name if path else "none")
def test_others_histories_end_where_psql_ends(folder: Path | None) -> None:
    if folder is None:
        pytest.skip(f"there are no histories in {OTHERS.name}")
    check(folder)


def test_our_shop_ends_where_psql_ends_on_its_dump(tmp_path: Path) -> None:
    for path in sorted((ROOT / "examples/shop/migrations").glob("*.sql"))[:4]:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    seed = tmp_path / "small.sql"
    text = (ROOT / "examples/shop/seed.sql").read_text()
    seed.write_text(text.replace("200000", "2000").replace("400000", "4000").replace("699999", "6999"))
    migrations = tmp_path / "m"
    migrations.mkdir()
    for path in tmp_path.glob("00*.sql"):
        path.rename(migrations / path.name)

    check(migrations, seed)


@pytest.mark.skipif(not (OTHERS.parent / "northwind.sql.gz").exists(), reason="the dump is not here")
def test_a_real_dump_restores_whole(tmp_path: Path) -> None:
    (tmp_path / "1_note.sql").write_text("ALTER TABLE orders ADD COLUMN note text;\n")

    check(tmp_path, OTHERS.parent / "northwind.sql.gz")
