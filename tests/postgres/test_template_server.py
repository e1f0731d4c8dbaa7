"""Clones on somebody's server: copies of its template database, given back whatever happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from bot.clones.services import Order, ServiceError, service_of
from bot.clones.services.server import TemplateServer
from tests.fix_cli import Run
from tests.fix_clones import Staging


@pytest.fixture
def rehearse(run: Callable[..., Run], staging: Staging, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """The command line, with clones of the template."""
    monkeypatch.setenv("MIGRATION_REHEARSAL_CLONE_PROVIDER", "server")
    monkeypatch.setenv("MIGRATION_REHEARSAL_CLONE_URL", staging.url)
    return lambda *arguments: run("rehearse", "--format", "json", *arguments)


def test_a_rehearsal_tells_what_it_would_tell_of_a_dump(rehearse: Callable[..., Run], staging: Staging) -> None:
    done = rehearse("1_good.sql", "2_bad.sql")

    report = json.loads(done.out)
    assert done.status == 1, done.err
    first, second = report["migrations"]
    (table,) = [t for t in first["tables"] if t["name"] == "public.orders"]
    assert (table["rows_before"], table["rows_after"], table["updated"]) == (90, 90, 90)
    assert second["error"]["sqlstate"] == "23502"
    assert [c["violations"] for c in second["constraints"] if c["violations"]] == [30]
    assert report["clone"]["provider"] == report["clone"]["seed"]["kind"] == "server"
    assert report["clone"]["role"] == staging.template.role
    assert staging.clones() == []


GOOD_AND_BACK = {
    "2_total.up.sql": "ALTER TABLE orders ADD vat int NOT NULL DEFAULT 0;\nUPDATE orders SET vat = 1;\n",
    "2_total.down.sql": "ALTER TABLE orders DROP vat;\nDELETE FROM orders WHERE id = 1;\n",
}


def test_the_way_back_is_tried_on_a_clone_of_its_own(rehearse: Callable[..., Run], staging: Staging) -> None:
    for name, text in GOOD_AND_BACK.items():
        Path(name).write_text(text)

    done = rehearse("2_total.up.sql")

    (migration,) = json.loads(done.out)["migrations"]
    assert (migration["down"]["outcome"], migration["down"]["restored"], migration["down"]["rows_lost"]) == ("applied", True, 1)
    assert staging.clones() == []


def test_a_seed_is_not_passed_over_in_silence(rehearse: Callable[..., Run], staging: Staging) -> None:
    done = rehearse("1_good.sql", "--seed", "seed.sql")

    assert (done.status, "a seed and the clone provider server" in done.err) == (2, True)
    assert staging.clones() == []


def test_nobody_is_made_a_superuser_unawares(run: Callable[..., Run], staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    url = make_conninfo(staging.cluster.admin, dbname=staging.template.name)
    monkeypatch.setenv("MIGRATION_REHEARSAL_CLONE_PROVIDER", "server")
    monkeypatch.setenv("MIGRATION_REHEARSAL_CLONE_URL", url)

    refused = run("rehearse", "1_good.sql")
    done = run("rehearse", "1_good.sql", "--superuser")

    assert refused.status == 3
    assert "migrations would run as a superuser" in refused.err
    assert done.status == 0
    assert staging.clones() == []


@pytest.mark.parametrize("group", ["migration_rehearsal", "pg_execute_server_program"])
def test_nobody_can_become_a_superuser_unawares(rehearse: Callable[..., Run], staging: Staging, group: str) -> None:
    """SET ROLE would do."""
    granted, role = sql.Identifier(group), sql.Identifier(staging.template.role)
    staging.cluster.session.execute(sql.SQL("GRANT {} TO {}").format(granted, role))

    refused, done = rehearse("1_good.sql"), rehearse("1_good.sql", "--superuser")

    staging.cluster.session.execute(sql.SQL("REVOKE {} FROM {}").format(granted, role))
    assert (refused.status, f"could become {group}" in refused.err) == (3, True), refused.err
    assert done.status == 0
    assert staging.clones() == []


def test_a_migration_may_be_another_role_than_who_makes_the_clones(
    rehearse: Callable[..., Run], staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then it can drop neither other clones nor the template."""
    user, session = f"{staging.template.role}_m", staging.cluster.session
    named, owner = sql.Identifier(user), sql.Identifier(staging.template.role)
    session.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'm' IN ROLE {}").format(named, owner))
    session.execute(sql.SQL("ALTER DATABASE {} OWNER TO migration_rehearsal").format(sql.Identifier(staging.template.name)))
    session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE true").format(sql.Identifier(staging.template.name)))
    monkeypatch.setenv("MIGRATION_REHEARSAL_CLONE_TOKEN", "m")
    monkeypatch.setenv("MIGRATION_REHEARSAL_CLONE_OPTIONS", f"user={user}")
    Path("3_drop.sql").write_text(f'ALTER DATABASE "{staging.template.name}" IS_TEMPLATE false;\n')

    good, drop = rehearse("1_good.sql"), rehearse("3_drop.sql")

    session.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(staging.template.name)))
    session.execute(sql.SQL("DROP ROLE {}").format(named))
    assert (good.status, json.loads(good.out)["clone"]["role"]) == (0, user), good.err
    assert json.loads(drop.out)["migrations"][0]["error"]["sqlstate"] == "42501"


# ── The service alone ─────────────────────────────────────────────────────────────────────────────────────────────────────


def order(key: str = "a" * 32) -> Order:
    return Order(key, datetime.now(UTC) + timedelta(hours=1))


def test_a_clone_is_known_by_its_comment_and_asked_for_twice_there_is_one(staging: Staging) -> None:
    service = service_of(staging.access())

    first, again = service.acquire(order()), service.acquire(order())
    found = service.find(order())

    assert first.handle == again.handle == (found.handle if found else None) == order().name
    assert [left.handle for left in service.leftovers()] == [first.handle]
    assert service.find(order("b" * 32)) is None
    service.release(first.handle)
    service.release(first.handle)  # gone already


def test_what_is_not_ours_stays(staging: Staging) -> None:
    """A name alone proves nothing: who has put another comment on it has made something else of it."""
    service = service_of(staging.access())
    lease = service.acquire(order())
    staging.cluster.session.execute(sql.SQL("COMMENT ON DATABASE {} IS 'mine'").format(sql.Identifier(lease.handle)))

    assert service.leftovers() == []
    with pytest.raises(ServiceError, match="none of ours"):
        service.release(staging.template.name)
    service.release(lease.handle)


OLD = "migration-rehearsal: clone of x, made 2026-01-01T00:00:00Z"


def test_only_what_is_old_is_reaped(rehearse: Callable[..., Run], run: Callable[..., Run], staging: Staging) -> None:
    service = service_of(staging.access())
    old, new = service.acquire(order()), service.acquire(order("b" * 32))
    staging.cluster.session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(old.handle), sql.Literal(OLD)))

    said = run("reap", "--dry-run")
    assert (said.status, said.out) == (0, f"{old.handle}  of 2026-01-01 00:00 UTC\n1 clone would be given back\n")
    assert staging.clones() == sorted([old.handle, new.handle])
    assert run("reap").out.endswith("1 clone was given back\n")
    assert staging.clones() == [new.handle]
    assert run("reap", "--older-than", "0").status == 0
    assert staging.clones() == []


def comment(staging: Staging, database: str, text: str) -> None:
    staging.cluster.session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(database), sql.Literal(text)))


def test_one_that_can_not_be_given_back_keeps_no_other(
    rehearse: Callable[..., Run], run: Callable[..., Run], staging: Staging, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = service_of(staging.access())
    stuck, other = service.acquire(order()), service.acquire(order("b" * 32))
    for lease in (stuck, other):
        comment(staging, lease.handle, OLD)
    drop = TemplateServer._drop

    def refuse(self: TemplateServer, admin: psycopg.Connection, database: str) -> None:
        if database == stuck.handle:
            raise ServiceError("It is being used by prepared transactions.")
        drop(self, admin, database)

    monkeypatch.setattr(TemplateServer, "_drop", refuse)
    said = run("reap")
    assert (said.status, "1 clone was given back" in said.out, "prepared transactions" in said.err) == (3, True, True)
    assert staging.clones() == [stuck.handle]
    later = service.acquire(order("c" * 32))
    comment(staging, later.handle, OLD.replace("-01-01", "-01-02"))  # behind the one that is stuck

    notes = json.loads(rehearse("1_good.sql").out)["notes"]

    assert [stuck.handle in note for note in notes if "is still there" in note] == [True]
    assert staging.clones() == [stuck.handle]
    monkeypatch.undo()
    service.release(stuck.handle)


def test_a_clone_that_a_migration_made_a_template_is_dropped(rehearse: Callable[..., Run], staging: Staging) -> None:
    statement = "EXECUTE format('ALTER DATABASE %I IS_TEMPLATE true', current_database());"
    Path("3_template.sql").write_text(f"DO $$ BEGIN {statement} END $$;\n")

    assert rehearse("3_template.sql").status == 0
    assert staging.clones() == []


@pytest.mark.usefixtures("rehearse")
def test_a_comment_without_a_time_zone_is_a_time_too(run: Callable[..., Run], staging: Staging) -> None:
    lease = service_of(staging.access()).acquire(order())
    comment(staging, lease.handle, "migration-rehearsal: clone of x, made 2026-01-01T00:00:00")

    assert run("reap").out.startswith(f"{lease.handle}  of 2026-01-01 00:00 UTC\n")
    assert staging.clones() == []


def test_one_of_another_template_that_is_being_made_is_not_taken_for_half_made(staging: Staging) -> None:
    """Between CREATE DATABASE and COMMENT nobody looks for those that were left so."""
    service = service_of(staging.access(patience_s=1))
    with psycopg.connect(make_conninfo(staging.url, dbname="postgres"), autocommit=True) as somebody:
        somebody.execute("SELECT pg_advisory_lock_shared(%s::int4, 0)", [0x6D72])

        with pytest.raises(ServiceError, match="Somebody else"):
            service.leftovers()
        service.release(service.acquire(order()).handle)  # others may make some
    assert service.leftovers() == []


def test_what_a_migration_sets_for_its_role_hinders_nobody(rehearse: Callable[..., Run], staging: Staging) -> None:
    """Its role makes the clones as well, and the second one is got afterwards."""
    Path("3_hinder.sql").write_text(
        "DO $$ BEGIN EXECUTE format('ALTER ROLE %I SET statement_timeout = 1', current_user);"
        " EXECUTE format('ALTER ROLE %I SET default_transaction_read_only = on', current_user); END $$;\n"
        "ALTER TABLE orders ADD vat int;\n"
    )

    done = rehearse("3_hinder.sql")

    assert done.status == 0, done.err
    assert staging.clones() == []


def test_a_rehearsal_gives_back_what_others_forgot(rehearse: Callable[..., Run], staging: Staging) -> None:
    old = service_of(staging.access()).acquire(order())
    staging.cluster.session.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(old.handle), sql.Literal(OLD)))

    report = json.loads(rehearse("1_good.sql").out)

    assert any(old.handle in note and "was given back" in note for note in report["notes"])
    assert staging.clones() == []


def test_a_clone_left_half_made_is_made_anew(staging: Staging) -> None:
    """Between CREATE DATABASE and COMMENT a process was killed."""
    service = service_of(staging.access())
    lease = service.acquire(order())
    staging.cluster.session.execute(sql.SQL("COMMENT ON DATABASE {} IS NULL").format(sql.Identifier(lease.handle)))

    assert service.find(order()) is None
    assert staging.clones() == []


def test_who_is_connected_to_the_template_is_waited_for_and_named(staging: Staging) -> None:
    service = service_of(staging.access(patience_s=0.1))

    with psycopg.connect(staging.url, application_name="nightly report"), pytest.raises(ServiceError) as refused:
        service.acquire(order())

    assert "nightly report is connected to it" in refused.value.what
    assert refused.value.not_done


def test_new_data_are_another_identity(staging: Staging) -> None:
    service = service_of(staging.access())
    before = service.identity()
    assert service.identity() == before

    with psycopg.connect(staging.url, autocommit=True) as connection:
        connection.execute("INSERT INTO orders VALUES (1000)")
        connection.execute("SELECT pg_stat_force_next_flush()")

    assert service.identity() != before


WRONG = {
    "no template": ("postgresql://u:secretword@h:1", "names no template database"),
    "the maintenance database": ("postgresql://u:secretword@h:1/postgres", "names no template database"),
    "no URL": ("postgresql://u:secretword@[h", "can't be read"),
}


@pytest.mark.parametrize(("url", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_url_is_told_without_its_password(
    url: str, said: str, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_REHEARSAL_CLONE_URL", url)

    done = run("rehearse", "1_good.sql", "--clone-provider", "server")

    assert (done.status, said in done.err, "secretword" in done.err) == (2, True, False), done.err


# What libpq takes for something else, and says.
MISTAKEN = {
    "an @ in the password": "postgresql://u:x@secretword@127.0.0.1:1/t",
    "an @ before a name": "postgresql://u:x@secretword/t",
    "a mode": "postgresql://u:x@127.0.0.1:1/t?sslmode=secretword",
    "a service": "postgresql://u:x@127.0.0.1:1/t?service=secretword",
}


@pytest.mark.parametrize("url", MISTAKEN.values(), ids=MISTAKEN.keys())
def test_a_url_that_is_read_in_another_way_is_told_without_its_pieces(
    url: str, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIGRATION_REHEARSAL_CLONE_URL", url)

    done = run("rehearse", "1_good.sql", "--clone-provider", "server")

    assert done.status == 3, done.err
    assert "secretword" not in done.out + done.err
    assert "%40" in done.err
