"""Files that only psql understands: rehearsed, their schema and rows must be what psql itself makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from bot.errors import ServerError
from bot.model import Outcome
from tests.fix_postgres import POSTGRES_BIN
from tests.postgres.replay import Replay, replay

TABLE = "CREATE TABLE t (a int, b text);\n"
PLAN = "%project=shop\n\nz 2024-01-01T00:00:00Z A <a@b>\n"

# files by their paths; the migrations are in m/ or, of sqitch, in deploy/
HISTORIES: dict[str, dict[str, str]] = {
    "included files": {
        "m/1_a.sql": TABLE + "\\ir lib/rows.sql\nINSERT INTO t VALUES (9, 'last');\n",
        "m/2_b.sql": "\\i m/lib/view.sql \\i m/lib/open.sql\n-- after\nINSERT INTO t VALUES (10, 'after');",
        "m/lib/rows.sql": "INSERT INTO t VALUES (1, 'one');\n\\i m/lib/more/two.sql\n\\ir more/two.sql\n",
        "m/lib/more/two.sql": "\ufeffINSERT INTO t VALUES (2, 'two')",
        "m/lib/view.sql": "CREATE VIEW v AS SELECT a FROM t;\n",
        "m/lib/open.sql": "INSERT INTO t VALUES (3, 'open') -- no semicolon",
    },
    "variables": {
        "m/1_a.sql": (
            "\\set ON_ERROR_STOP on\n\\set name 'it''s\\ta tab'\n\\set table t\n\\set both :table 2\n\\set path 'a\\\\b'\n"
            "CREATE TABLE :table (a int[], b text DEFAULT :'name', c text DEFAULT :'path', \"d:table\" int);\n"
            'CREATE TABLE :"both" (a int);\n\\set one 1\n'
            "INSERT INTO :table (a) VALUES (ARRAY[:one, 2, 3]::int[]), ((ARRAY[:one, 2, 3])[1:2]);\n"
            "INSERT INTO t (b) VALUES (':one'), ($$:one$$), ('12:30:one'), (E'\\':one'); -- :one\n"
            "INSERT INTO t (b) VALUES (:{?one}::text), (:{?two}::text);\n"
            "\\unset one\nINSERT INTO t (a) SELECT a[1:one] FROM t CROSS JOIN (VALUES (1)) AS x(one) WHERE a IS NOT NULL;\n"
            "\\set insert 'INSERT INTO t (b) VALUES (1); INSERT INTO t (b) VALUES (2);'\n:insert\n"
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;\n"
        )
    },
    "data of files": {
        "m/1_a.sql": TABLE + "\\copy t from 'data/rows.csv' with (format csv, header)\n\\copy public.t (b) FROM data/b.tsv\n"
        "\\copy t from 'data/none.csv'\n"
        "\\copy \"t\" (a) from 'data/it''s.txt' where a > 1;\nSELECT 1;\nCOPY t FROM stdin;\n5\t:a \\\\i it's\n\\.\n",
        "data/rows.csv": "a,b\n1,\"two\nlines\"\n2,'it''s'",
        "data/b.tsv": "x\r\n\\N\r\ny",
        "data/none.csv": "",
        "data/it's.txt": "1\n2\n",
    },
    "what only shows": {
        "m/1_a.sql": "\\echo its not run\n\\timing off\n\\pset pager off\n\\x\n\\t on\n\\a\n"
        "\\encoding UTF8\nCREATE TABLE t\n\\echo within\n(a int);\n\\qecho done\n\\warn hm\n"
    },
    "sqitch": {
        "db/sqitch.plan": PLAN,
        "db/deploy/z.sql": "-- Deploy shop:z\nBEGIN;\n\\i lib/t.sql\n\\ir ../lib/u.sql\nCOMMIT;\n",
        "db/lib/t.sql": TABLE,
        "db/lib/u.sql": "CREATE TABLE u ();\n",
    },
    "values that are given": {"m/1_a.sql": "CREATE TABLE :\"name\" (a text DEFAULT :'name');\n"},
}


def rehearsed(folder: Path, files: Mapping[str, str], values: Mapping[str, str] | None = None) -> Replay:
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, newline="")
    layout = "sqitch" if any(path.endswith("sqitch.plan") for path in files) else "plain"
    inside = {path: text for path, text in files.items() if not path.startswith("m/lib/")}
    assert inside
    try:
        return replay(folder, layout=layout, postgres_bin=POSTGRES_BIN, values=values, rows=True)
    except ServerError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("case", HISTORIES)
def test_schema_and_rows_are_what_psql_makes(tmp_path: Path, case: str) -> None:
    done = rehearsed(tmp_path, HISTORIES[case], {"name": "a b"} if case == "values that are given" else None)

    assert [(r.path, r.error) for r in done.rehearsals if r.outcome is not Outcome.APPLIED] == []
    assert done.rehearsals
    assert done.same, done.difference()
