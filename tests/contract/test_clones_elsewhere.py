"""A whole rehearsal on clones of each service, over the connection URL that its fake gives out: a real database."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.fake_clones import Cluster, Database, Fail, FakeArdent, FakeDblab, FakeInstanode, FakeNeon, Lost
from tests.fix_cli import Run

SEED = """
CREATE TABLE goods (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO goods VALUES (1, 'apple'), (2, 'pear'), (3, 'quince');
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS $$ SELECT n * 2; -- COPY x FROM stdin;
$$;
"""
PRICE = "ALTER TABLE goods ADD price int;\nUPDATE goods SET price = 5 WHERE id < 3;\n"
NOT_NULL = "ALTER TABLE goods ALTER price SET NOT NULL;\n"


@pytest.fixture
def files(run: Callable[..., Run]) -> Callable[..., Run]:
    """Two migrations, of which the second fails on one row; and a dump of what the services hold."""
    Path("seed.sql").write_text(SEED)
    Path("3_price.sql").write_text(PRICE)
    Path("4_price.sql").write_text(NOT_NULL)
    return lambda *more: run("rehearse", "3_price.sql", "4_price.sql", "--format", "json", *more)


def use(monkeypatch: pytest.MonkeyPatch, provider: str, url: str, token: str = "t", **options: str) -> None:
    given = {"PROVIDER": provider, "URL": url, "TOKEN": token, "OPTIONS": "\n".join(f"{k}={v}" for k, v in options.items())}
    for name, value in given.items():
        monkeypatch.setenv(f"MIGRATION_REHEARSAL_CLONE_{name}", value)


def holds(done: Run, provider: str) -> dict[str, Any]:
    """What must be told, whoever made the clone."""
    assert done.status == 1, done.err
    report: dict[str, Any] = json.loads(done.out)
    first, second = report["migrations"]
    (table,) = first["tables"]
    assert (table["name"], table["rows_before"], table["rows_after"], table["updated"]) == ("public.goods", 3, 3, 2)
    assert [(c["name"], c["nulls_before"], c["nulls_after"]) for c in first["columns"]] == [("price", None, 1)]
    assert first["locks"][0]["mode"] == "AccessExclusiveLock"
    assert second["error"]["sqlstate"] == "23502"
    assert [c["violations"] for c in second["constraints"] if c["refused"]] == [1]
    assert report["clone"]["provider"] == provider
    return report


def test_neon(files: Callable[..., Run], neon: FakeNeon, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "neon", neon.url, project=neon.project)

    report = holds(files(), "neon")

    assert report["clone"]["seed"]["taken_at"]
    assert any("by itself at" in note for note in report["notes"])


def test_dblab(files: Callable[..., Run], dblab: FakeDblab, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "dblab", dblab.url)

    assert holds(files(), "dblab")["clone"]["seed"]["taken_at"]


def test_ardent(files: Callable[..., Run], ardent: FakeArdent, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, "ardent", ardent.url, connector=ardent.connector)

    report = holds(files(), "ardent")

    assert any("remove `mr-" in note for note in report["notes"])
    for name in ardent.branches:
        ardent.delete(name)


@pytest.mark.parametrize("token", ["", "t"], ids=["anonymous", "of an account"])
def test_instanode(files: Callable[..., Run], instanode: FakeInstanode, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    """Empty, and with two connections: the seed is loaded over one of them, and one looks while the migration has the other."""
    use(monkeypatch, "instanode", instanode.url, token)

    report = holds(files("--seed", "seed.sql"), "instanode")

    assert report["clone"]["seed"]["kind"] == "plain"


def test_two_commands(files: Callable[..., Run], cluster: Cluster, parent: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other service: here one that gives the same database to everybody who asks."""
    clone = cluster.create(template=parent.name)
    log = Path("log").absolute()
    monkeypatch.setenv("THE_URL", clone.url())
    use(
        monkeypatch,
        "command",
        "",
        "",
        acquire=f"echo got $MIGRATION_REHEARSAL_CLONE_NAME >> {log}; echo $THE_URL",
        release=f"echo gave back $MIGRATION_REHEARSAL_CLONE_HANDLE >> {log}",
    )
    Path("4_price.sql").write_text(PRICE.replace("price", "tax"))

    done = files()

    cluster.drop(clone)
    assert done.status == 0, done.err
    lines = log.read_text().splitlines()
    got, gave = (sorted(line.split()[-1] for line in lines if line.startswith(what)) for what in ("got", "gave back"))
    assert len(got) == 2  # the clone, and the one in which is counted what tables held before
    assert got == gave


@pytest.mark.parametrize("misbehaviour", [Lost(), Fail(503), Fail(429, retry_after=0)], ids=repr)
def test_a_lost_or_refused_answer_is_no_reason_to_give_up(
    files: Callable[..., Run], neon: FakeNeon, monkeypatch: pytest.MonkeyPatch, misbehaviour: Any
) -> None:
    use(monkeypatch, "neon", neon.url, project=neon.project)
    neon.next("create", misbehaviour)

    holds(files(), "neon")


def test_a_clone_that_dies_in_the_middle_is_no_fault_of_the_migration(
    files: Callable[..., Run], neon: FakeNeon, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "neon", neon.url, project=neon.project)
    Path("3_price.sql").write_text("SELECT pg_sleep(30);\n")

    def kill() -> None:
        while not ended.wait(0.05):
            row = neon.cluster.session.execute(
                "SELECT datname FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(30)%' AND state = 'active'"
            ).fetchone()
            if row:
                neon.cluster.session.execute(f'DROP DATABASE "{row[0]}" WITH (FORCE)'.encode())
                return

    ended = threading.Event()
    thread = threading.Thread(target=kill)
    thread.start()
    done = files()
    ended.set()
    thread.join()

    assert done.status == 3, done.out
    assert "The clone could not be looked at" in done.err


def test_where_an_empty_database_is_another_postgresql_than_ours_it_is_said(
    files: Callable[..., Run], instanode: FakeInstanode, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, "instanode", instanode.url, "t")
    cluster.session.execute("ALTER SYSTEM SET timezone = 'Asia/Tokyo'")
    cluster.session.execute("SELECT pg_reload_conf()")
    try:
        report = holds(files("--seed", "seed.sql"), "instanode")
    finally:
        cluster.session.execute("ALTER SYSTEM RESET timezone")
        cluster.session.execute("SELECT pg_reload_conf()")

    (note,) = [note for note in report["notes"] if "differs from the server" in note]
    assert "`TimeZone`: Asia/Tokyo, not " in note
