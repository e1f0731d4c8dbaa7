"""Hostile migrations: what each tries and what must happen is in cases.py. After every one of them the server must answer, nobody
may have become a superuser, nothing may be left that harms the next, no secret be told, and no file be written.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from types import FrameType

import psycopg
import pytest
from psycopg import sql

from bot.applying import Limits
from bot.clones.embedded import EmbeddedProvider
from bot.errors import CloneError
from bot.extensions import HARMLESS
from bot.held import make_folder
from bot.model import Migration, Outcome, Rehearsal
from bot.postgres.binaries import Account, Needs, choose
from bot.postgres.embedded import MAKER, Server, embedded_server
from bot.progress import Progress
from bot.run import rehearse_all
from bot.settings import Settings
from tests.fix_postgres import POSTGRES_BIN, Stage
from tests.hostile.cases import CASES, DENIED, SECRET, Case
from tests.hostile.told import told

_PATIENCE_S = 60  # for one case, on a machine that others use too: what takes longer hangs
_LONGEST = 2_000_000  # characters of what is kept of a rehearsal: who sends more floods the report
_ROLES = "SELECT rolname::text FROM pg_catalog.pg_roles"
_SUPERUSERS = f"{_ROLES} WHERE rolsuper"
_DATABASES = "SELECT datname::text FROM pg_catalog.pg_database"


@pytest.fixture(scope="module")
def canary() -> Iterator[Path]:
    """A folder that the server's account may write to, with a file that it may read; what the file says is in our environment,
    too.
    """
    folder, account = make_folder("mr-canary-"), Account.current()
    secret = folder / "secret"
    secret.write_text(SECRET)
    folder.chmod(0o777)
    secret.chmod(0o644)
    assert account.may_enter(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MIGRATION_REHEARSAL_JOURNAL_KEY", SECRET)
        yield folder
    secret.unlink()
    folder.rmdir()  # which fails if anybody has left something


@pytest.fixture(scope="module")
def hostile_server(canary: Path) -> Iterator[Server]:
    """A server of its own: what these migrations make of its roles is no matter for other tests."""
    with embedded_server(choose(Needs(), POSTGRES_BIN)) as running:
        yield running


@pytest.fixture(scope="module")
def admin(hostile_server: Server) -> Iterator[psycopg.Connection]:
    """The server's superuser, who stays connected whatever happens: the server answers as long as he gets answers."""
    with hostile_server.connect("postgres") as connection:
        yield connection


@pytest.fixture(scope="module")
def hostile_stage(hostile_server: Server) -> Stage:
    return Stage(hostile_server)


@dataclass(frozen=True, slots=True)
class _NarrowServer(Server):
    """A server on a disk that seems to have little room, from when it is made."""

    most_bytes: int = 0

    @staticmethod
    def of(server: Server, room_mb: int) -> _NarrowServer:
        values = {field.name: getattr(server, field.name) for field in fields(server)}
        return _NarrowServer(**values, most_bytes=size_of(server.folder) + room_mb * 2**20)

    def room_bytes(self) -> int | None:
        return max(0, self.most_bytes - size_of(self.folder))


def size_of(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # the server removes files while we look
            total += path.lstat().st_size
    return total


@contextmanager
def no_longer_than(seconds: int) -> Iterator[None]:
    """A hang becomes a failure."""

    def late(_signal: int, _frame: FrameType | None) -> None:
        raise TimeoutError(f"not done after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def names(admin: psycopg.Connection, question: str) -> set[str]:
    return {row[0] for row in admin.execute(question.encode())}


def rehearse(stage: Stage, case: Case, canary: Path) -> list[Rehearsal]:
    """Rehearses a case as run.py does; its text may name the canary's folder, our server's socket, and our process."""
    known = {"FOLDER": str(canary), "SOCKET": str(stage.server.folder), "PID": str(os.getpid())}

    def filled(text: str | None) -> str | None:
        for name, value in known.items():
            text = text and text.replace(f"<{name}>", value)
        return text

    texts = case.sql if isinstance(case.sql, tuple) else (case.sql,)
    migrations = [Migration(f"{n}.sql", str(n), case.layout, filled(text) or "") for n, text in enumerate(texts, start=1)]
    migrations[-1] = replace(migrations[-1], down=filled(case.down), expect=filled(case.expect), expect_path="1.expect.sql")
    settings = Settings(time_limit_s=case.limit_s)
    seed = stage._seed(case.seed)
    server = _NarrowServer.of(stage.server, case.room_mb) if case.room_mb else stage.server
    provider = EmbeddedProvider(server, seed, role=MAKER, may_create=HARMLESS)
    with provider.clone() as clone:
        return list(rehearse_all(tuple(migrations), provider, clone, settings, Progress(quiet=True)))


@pytest.mark.parametrize(
    "tries",
    [pytest.param(tries, marks=pytest.mark.xfail(reason=case.open)) if case.open else tries for tries, case in CASES.items()],
)
def test_hostile_migration(
    hostile_stage: Stage,
    admin: psycopg.Connection,
    canary: Path,
    tries: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    case = CASES[tries]
    if case.denied_since_16 and hostile_stage.server.binaries.major >= 16:
        case = replace(case, fails=DENIED, no_clone=None, told=())
    monkeypatch.setattr("bot.postgres.guard._CANCELS", 1)
    monkeypatch.setattr("bot.postgres.guard._AGAIN_S", 0.3)
    monkeypatch.setattr("bot.postgres.reading._LATER_S", 0.3)
    monkeypatch.setattr("bot.run.Limits", partial(Limits, count_s=case.count_s))
    hostile_stage._seed(case.seed)
    roles, superusers, databases = names(admin, _ROLES), names(admin, _SUPERUSERS), names(admin, _DATABASES)
    files = set(canary.iterdir())
    try:
        said = outcome(hostile_stage, case, canary)
        assert len(said) < _LONGEST
        assert SECRET not in said + "".join(capfd.readouterr())
        assert names(admin, _SUPERUSERS) == superusers
        assert names(admin, _DATABASES) == databases
        assert set(canary.iterdir()) == files
    finally:
        tidy(admin, roles)


def outcome(stage: Stage, case: Case, canary: Path) -> str:
    """All that the rehearsal says, when it is what must happen."""
    try:
        with no_longer_than(_PATIENCE_S):
            rehearsals = rehearse(stage, case, canary)
    except CloneError as error:
        assert case.no_clone is not None, str(error)
        assert case.no_clone in str(error)
        return str(error)
    assert case.no_clone is None, rehearsals
    check(case, rehearsals)
    return repr(rehearsals)


def check(case: Case, rehearsals: list[Rehearsal]) -> None:
    *earlier, last = rehearsals
    assert [(r.path, r.error) for r in earlier if r.outcome is not Outcome.APPLIED] == []
    if case.fails is None:
        assert (last.outcome, last.error) == (Outcome.APPLIED, None)
    else:
        assert last.error is not None, "it was applied"
        assert case.fails in f"{last.error.sqlstate} {last.error.message}"
    facts = told(last)
    assert [line for line in case.told if line not in facts] == [], sorted(facts)
    assert [line for line in case.not_told if line in facts] == [], sorted(facts)


def tidy(admin: psycopg.Connection, roles: set[str]) -> None:
    """All databases of a server share its roles: what a migration made of them is undone, as one server is for one run only."""
    maker = sql.Identifier(MAKER)
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user")
    admin.execute(sql.SQL("ALTER ROLE {} LOGIN CREATEDB CREATEROLE CONNECTION LIMIT -1 VALID UNTIL 'infinity'").format(maker))
    admin.execute(sql.SQL("ALTER ROLE {} RESET ALL").format(maker))
    admin.execute(sql.SQL("GRANT pg_read_all_data TO {}").format(maker))
    for name in names(admin, _ROLES) - roles:
        admin.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(sql.Identifier(name)))


def test_the_suite_is_large_enough_and_says_what_each_tries() -> None:
    assert len(CASES) >= 60
    assert [tries for tries in CASES if tries.endswith(".") or tries[0].isupper()] == []


def test_a_rehearsal_says_nothing_that_was_in_our_environment(hostile_server: Server, canary: Path) -> None:
    """The canary would sing: the server's account can read the file, and our environment holds the secret."""
    assert os.environ["MIGRATION_REHEARSAL_JOURNAL_KEY"] == SECRET
    with hostile_server.connect("postgres") as admin:
        row = admin.execute("SELECT pg_catalog.pg_read_file(%s)", [str(canary / "secret")]).fetchone()
    assert row == (SECRET,)


def test_the_superuser_needs_its_password(hostile_server: Server) -> None:
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(host=str(hostile_server.folder), user="migration_rehearsal", dbname="postgres")
