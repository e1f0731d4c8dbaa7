"""Seeds: every kind of dump restores; what is missing or broken is said before anything is restored."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard

from bot import seeds
from bot.dumps import SQL, Kind, SeedFile, locate, open_seed
from bot.errors import SeedError, ServerError, UsageError
from bot.postgres.binaries import Binaries, Needs, choose, newest
from bot.postgres.embedded import MAKER, Server, embedded_server
from bot.postgres.psql import _restrictable, has_restricted_mode, start_psql
from bot.postgres.roles import may_make_seeds
from bot.progress import Advance, Progress
from bot.room import LEAST_FREE
from tests.fix_postgres import POSTGRES_BIN, Stage

QUIET = Progress(quiet=True)
SOURCE = """
CREATE ROLE shop_owner; CREATE ROLE "Shop Reader";
CREATE TABLE items (id int PRIMARY KEY, name text);
ALTER TABLE items OWNER TO shop_owner;
GRANT SELECT ON items TO "Shop Reader";
INSERT INTO items SELECT n, 'CREATE EXTENSION "not real"; ' || n FROM generate_series(1, 500) n;
CREATE EXTENSION citext;
CREATE VIEW v AS SELECT id FROM items;
"""


def in_frames(content: bytes) -> bytes:
    """As zstd packs on several processors: a frame to be skipped, then frames of data, one of them empty."""
    half = len(content) // 2
    pieces = map(zstandard.compress, (content[:half], b"", content[half:]))
    return b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip" + b"".join(pieces)


@pytest.fixture(scope="session")
def dumps(server: Server, stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One database, dumped in every form that pg_dump has."""
    folder = tmp_path_factory.mktemp("dumps")
    with server.connect("postgres") as admin:
        admin.execute("CREATE DATABASE source OWNER postgres")
    may_make_seeds(server)
    with server.connect("source", user=MAKER) as connection:
        connection.execute(SOURCE.encode())
    for name, form in {"plain.sql": "p", "custom.dump": "c", "tar.tar": "t"}.items():
        dump = server.run_tool("pg_dump", "-F", form, "-d", "source")
        out, error = dump.communicate()
        assert dump.returncode == 0, error
        (folder / name).write_bytes(out)
    for name in ("plain.sql", "custom.dump", "tar.tar"):
        content = (folder / name).read_bytes()
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        (folder / f"{name}.zst").write_bytes(in_frames(content))
    subprocess.run(
        [
            server.binaries.tool("pg_dump"),
            "-h",
            str(server.folder),
            "-U",
            "postgres",
            "-Fd",
            "-f",
            str(folder / "directory"),
            "source",
        ],
        check=True,
    )
    return folder


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """An empty database, for files that are run without all the rest."""
    name = f"files_{uuid.uuid4().hex}"
    with server.connect("postgres") as admin:
        admin.execute(f"CREATE DATABASE {name} OWNER postgres TEMPLATE template0 STRATEGY FILE_COPY".encode())
    yield name
    with server.connect("postgres") as admin:
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    return choose(Needs(), POSTGRES_BIN)


def look(path: Path, tmp_path: Path) -> SeedFile:
    return open_seed(locate(str(path), tmp_path, QUIET), tmp_path, newest(POSTGRES_BIN), QUIET)


KINDS = {
    "plain.sql": "plain",
    "plain.sql.gz": "gzip",
    "plain.sql.zst": "zstd",
    "custom.dump": "custom",
    "custom.dump.gz": "custom",
    "custom.dump.zst": "custom",
    "tar.tar": "tar",
    "tar.tar.zst": "tar",
    "directory": "directory",
}


@pytest.mark.parametrize(("name", "kind"), KINDS.items())
def test_every_kind_of_dump(dumps: Path, binaries: Binaries, tmp_path: Path, name: str, kind: str) -> None:
    told: list[tuple[str, int, int]] = []
    seed = look(dumps / name, tmp_path)

    assert seed.kind == kind
    assert seed.roles == {"shop_owner", "Shop Reader"}
    assert seed.needs.extensions == {"citext"}
    assert seed.needs.major == binaries.major
    with embedded_server(binaries) as server:
        notes = seeds.restore(server, seed, Told(told))
        facts = seeds.finish(server, str(seed.kind), seed.identity, seed.taken_at, QUIET)
        with server.connect("postgres") as admin:
            admin.execute("ALTER DATABASE seed ALLOW_CONNECTIONS true")
        with server.connect("seed") as connection:
            owner = connection.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'items'").fetchone()
    assert notes == ["The seed names roles that a new server lacks; they were created without login: Shop Reader, shop_owner."]
    assert (facts.rows, owner) == (500, ("shop_owner",))
    assert [(text, 0 <= done <= total) for text, done, total in told] == [("restore the seed", True)]
    if seed.kind in SQL:
        assert told[0][1] == told[0][2], "the bytes that were read are those of the file, however it is compressed"


class Told(Progress):
    """Notes how far each step of known size was said to have come."""

    def __init__(self, told: list[tuple[str, int, int]]) -> None:
        super().__init__(quiet=True)
        self._told = told

    @contextmanager
    def step(self, text: str, total_bytes: int | None = None, *, only_if_long: bool = False) -> Iterator[Advance]:
        done: list[int] = []
        yield done.append
        if total_bytes is not None:
            self._told.append((text, sum(done), total_bytes))


def test_what_a_dump_is_does_not_hang_on_its_name(dumps: Path, tmp_path: Path) -> None:
    path = tmp_path / "prod.sql"
    shutil.copyfile(dumps / "custom.dump.zst", path)

    assert look(path, tmp_path).kind == "custom"


def test_only_what_can_be_read_anywhere_is_restored_in_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(64)), raising=False)

    assert {kind.value: seeds.jobs(kind) for kind in (Kind.CUSTOM, Kind.DIRECTORY, Kind.TAR)} == {
        "custom": 8,
        "directory": 8,
        "tar": 1,
    }


def test_a_restore_in_parallel(dumps: Path, binaries: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seeds, "jobs", lambda _kind: 4)

    with embedded_server(binaries) as server:
        seeds.restore(server, look(dumps / "custom.dump", tmp_path), QUIET)
        assert seeds.finish(server, "custom", "", None, QUIET).rows == 500


# ── Room on the disk ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def nearly_full(monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
    """The disk says that it has so much free, the last of it from then on."""
    says = iter(free)
    monkeypatch.setattr("bot.room.room_of", lambda _folder: next(says, free[-1]))


def test_a_seed_that_surely_does_not_fit_is_not_restored(
    dumps: Path, binaries: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seed = look(dumps / "custom.dump", tmp_path)
    nearly_full(monkeypatch, LEAST_FREE + seed.path.stat().st_size - 1)

    with (
        embedded_server(binaries) as server,
        pytest.raises(SeedError, match="can't be restored: there is not enough room") as said,
    ):
        seeds.restore(server, seed, QUIET)
    assert str(server.folder) in said.value.why
    assert "128 MB free" in said.value.why
    assert "TMPDIR" in said.value.advice


@pytest.mark.parametrize("name", ["plain.sql.zst", "custom.dump"])
def test_a_restore_ends_before_the_disk_is_full(
    dumps: Path, binaries: Binaries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    seed = look(dumps / name, tmp_path)
    nearly_full(monkeypatch, 2**40, LEAST_FREE - 1)

    with embedded_server(binaries) as server, pytest.raises(SeedError, match="can't be restored: there is not enough room"):
        seeds.restore(server, seed, QUIET)


def test_a_bomb_ends_before_the_disk_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, folder = tmp_path / "bomb.dump.zst", tmp_path / "scratch"
    folder.mkdir()
    path.write_bytes(zstandard.compress(b"PGDMP" + bytes(50 * 2**20)))
    nearly_full(monkeypatch, 2**40, 2**40, 2**40, LEAST_FREE - 1)

    with pytest.raises(SeedError, match="can't be unpacked: there is not enough room"):
        open_seed(locate(str(path), folder, QUIET), folder, newest(POSTGRES_BIN), QUIET)
    assert (folder / "unpacked").stat().st_size == 2 * 2**20


def test_the_same_dump_has_the_same_identity(dumps: Path, tmp_path: Path) -> None:
    first, again = look(dumps / "custom.dump", tmp_path), look(dumps / "custom.dump", tmp_path)
    other = look(dumps / "tar.tar", tmp_path)

    assert first.identity == again.identity != other.identity


def test_an_archive_tells_when_it_was_made(dumps: Path, tmp_path: Path) -> None:
    taken_at = look(dumps / "custom.dump", tmp_path).taken_at

    assert taken_at is not None
    assert taken_at.startswith("20")
    assert taken_at.endswith("Z")


def cut(content: bytes) -> bytes:
    return content[: len(content) * 2 // 3]


Spoil = Callable[[Path], bytes]
# name -> what makes it of the dumps, and what must be said
BROKEN: dict[str, tuple[Spoil, str]] = {
    "empty": (lambda _d: b"", "is empty"),
    "cut plain dump": (lambda d: cut((d / "plain.sql").read_bytes()), "is not whole"),
    "cut after its rows": (
        lambda d: (d / "plain.sql").read_bytes().rsplit(b"-- PostgreSQL database dump complete")[0],
        "is not whole",
    ),
    "cut gzip": (lambda d: cut((d / "plain.sql.gz").read_bytes()), "is not whole"),
    "cut custom dump": (lambda d: (d / "custom.dump").read_bytes()[:300], "can't read the seed"),
    "cut gzip of an archive": (lambda d: cut((d / "custom.dump.gz").read_bytes()), "is not whole"),
    "cut zstd": (lambda d: cut((d / "plain.sql.zst").read_bytes()), "is not whole"),
    "cut zstd of an archive": (lambda d: cut((d / "custom.dump.zst").read_bytes()), "is not whole"),
    "spoilt zstd": (lambda d: (d / "plain.sql.zst").read_bytes()[:-4] + b"oops", "is not whole"),
    "zstd of nothing": (lambda _d: zstandard.compress(b""), "is empty"),
    "gzip of something binary": (lambda _d: gzip.compress(b"\x89PNG\r\n\0"), "is no dump that this program knows"),
    "something binary": (lambda _d: b"\x89PNG\r\n\x1a\n\0\0\0", "is no dump that this program knows"),
    "pg_dumpall": (lambda _d: b"CREATE ROLE a;\n\\connect shop\nCREATE TABLE x ();\n", "connects to a database of its own"),
}


@pytest.mark.parametrize(("spoil", "said"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_seed_is_said_before_the_restore(dumps: Path, tmp_path: Path, spoil: Spoil, said: str) -> None:
    path = tmp_path / "seed"
    path.write_bytes(spoil(dumps))

    with pytest.raises(SeedError, match=said) as refused:
        look(path, tmp_path)
    assert refused.value.exit_status == 3


def test_a_custom_dump_cut_in_its_rows_fails_in_the_restore(dumps: Path, binaries: Binaries, tmp_path: Path) -> None:
    path = tmp_path / "cut.dump"
    path.write_bytes((dumps / "custom.dump").read_bytes()[:-400])
    seed = look(path, tmp_path)

    with embedded_server(binaries) as server, pytest.raises(SeedError, match="could not be restored"):
        seeds.restore(server, seed, QUIET)


def test_a_failing_restore_says_what_without_row_values(binaries: Binaries, tmp_path: Path) -> None:
    path = tmp_path / "seed.sql"
    path.write_text("CREATE TABLE t (a int);\nCOPY t FROM stdin;\nsecret@example.org\n\\.\n")

    with embedded_server(binaries) as server, pytest.raises(SeedError) as refused:
        seeds.restore(server, look(path, tmp_path), QUIET)
    assert "invalid input syntax for type integer" in str(refused.value)
    assert "secret" not in str(refused.value)


# A plain dump as pg_dump has written it since 15.14, 16.10, 17.6 and 18.
DUMP = """\
--
-- PostgreSQL database dump
--

\\restrict K1

-- Dumped from database version 15.18
CREATE TABLE {table} (a text);
COPY {table} FROM stdin;
\\\\unrestrict K1
\\\\! touch x
\\.
--
-- PostgreSQL database dump complete
--

\\unrestrict K1

"""
HEAVY = "INSERT INTO two VALUES ('" + "x" * 1000 + "');\n"
ONLY_SQL = {
    "two dumps in one file": DUMP.format(table="one") + DUMP.format(table="two").replace("K1", "K2"),
    "a dump with line ends of Windows": (DUMP.format(table="one") + "CREATE TABLE two (a text);\n").replace("\n", "\r\n"),
    "a dump without its comments": "\\restrict K1\nCREATE TABLE one (a text);\n\\unrestrict K1\nCREATE TABLE two (a text);\n",
    # The mark of the second dump lies across the edge of the pieces in which a file is read.
    **{
        f"marks {shift} bytes before the end of a piece": (
            "CREATE TABLE two (a text);\n" + HEAVY * ((2**20 - shift) // len(HEAVY) - 1)
        ).ljust(2**20 - shift - 46) + "\n" + DUMP.format(table="one")
        for shift in (0, 3, 20, 60, 512)
    },
}  # fmt: skip


@pytest.mark.parametrize("text", ONLY_SQL.values(), ids=ONLY_SQL.keys())
def test_the_marks_of_pg_dump_itself_are_understood(server: Server, database: str, tmp_path: Path, text: str) -> None:
    path = tmp_path / "seed.sql"
    path.write_text(text, newline="")

    seeds.run_sql_file(server, database, path)

    with server.connect(database) as connection:
        assert connection.execute("SELECT to_regclass('one'), to_regclass('two')").fetchone() == ("one", "two")


# what of a file is not SQL -> what is said; each would make the file MARK if it were run
COMMANDS = {
    "a program": ("SELECT 1;\n\\! touch MARK\n", r"seed.sql:2: \\! is a command of psql"),
    "output to a program": ("\\o |touch MARK\n", r"seed.sql:1: \\o is a command of psql"),
    "rows of a program": ("CREATE TABLE t (a text);\n\\copy t from program 'touch MARK'\n", r"seed.sql:2: \\copy is a command"),
    "backticks": ("\\set x `touch MARK`\n", r"seed.sql:1: \\set is a command of psql"),
    "another file": ("\n\n\\i other.sql\n", r"seed.sql:3: \\i is a command of psql"),
    "after a statement": ("SELECT '\\! touch MARK' \\g |sh\n", "seed.sql:1: a backslash outside quotes is a command of psql"),
    "below rows": ("CREATE TABLE t (a text);\nCOPY t FROM stdin;\na\nb\n\\.\n\\! touch MARK\n", r"seed.sql:6: \\! is a"),
    "after a byte order mark": ("\ufeff\\! touch MARK\n", "seed.sql:1: a backslash outside quotes"),
    "after the end of a dump": (DUMP.format(table="t") + "\\! touch MARK\n", r"seed.sql:19: \\! is a command"),
    "the end of a mode that it did not begin": ("\\unrestrict `touch MARK`\n", r"seed.sql:1: \\unrestrict ends what no"),
    "the end of a dump with more": (
        DUMP.format(table="t").replace("unrestrict K1\n\n", "unrestrict K1 `touch MARK`\n"),
        r"seed.sql:17: \\unrestrict ends what no",
    ),
    "a key with more": ("\\restrict `touch MARK`\n", r"seed.sql:1: \\restrict is a command"),
    "far below": (f"-- {'x' * 1000}\n" * 3000 + "\\unrestrict `touch MARK`\n", r"seed.sql:3001: \\unrestrict ends what no"),
}


@pytest.mark.parametrize(("text", "said"), COMMANDS.values(), ids=COMMANDS.keys())
@pytest.mark.parametrize("gz", [False, True], ids=["plain", "gzip"])
def test_no_command_of_psql_is_run(server: Server, database: str, tmp_path: Path, text: str, said: str, gz: bool) -> None:
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    folder.chmod(0o777)  # whoever psql runs as may write it
    content = text.replace("MARK", str(folder / "mark")).encode()
    path = tmp_path / "seed.sql"
    path.write_bytes(gzip.compress(content) if gz else content)
    try:
        with pytest.raises(SeedError, match=said):
            seeds.run_sql_file(server, database, path)
        assert list(folder.iterdir()) == []
    finally:
        shutil.rmtree(folder)


def test_a_line_without_an_end_is_not_kept_in_memory(
    server: Server, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.postgres.psql.LONGEST_LINE", 3 * 2**20)
    path = tmp_path / "seed.sql.gz"
    path.write_bytes(gzip.compress(b"SELECT 1;\n" + b" " * 5 * 2**20))

    with pytest.raises(SeedError, match=r"seed.sql.gz:2: the line is longer than 3 MB"):
        seeds.run_sql_file(server, database, path)
    path.write_bytes(gzip.compress((b" " * 2**20 + b"\n") * 5))
    seeds.run_sql_file(server, database, path)


@pytest.mark.parametrize(
    ("version", "has"),
    [("15.13", False), ("15.14", True), ("16.9", False), ("16.10", True), ("17.5", False), ("17.6", True), ("18.0", True),
     ("18beta1", True), ("19devel", True)],
)  # fmt: skip
def test_which_psql_can_be_restricted(version: str, has: bool) -> None:
    assert has_restricted_mode(version) is has


def test_an_old_psql_is_not_given_the_file(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Server(replace(server.binaries, version="15.13"), server.folder, server.account)
    newer = newest(POSTGRES_BIN)
    assert _restrictable(old.binaries) == newer

    monkeypatch.setattr("bot.postgres.psql.newest", lambda _explicit: old.binaries)
    with pytest.raises(SeedError, match=r"psql 15\.13 can't be kept from running programs"):
        start_psql(old, "postgres", "postgres")


# what fails -> what is said of it, and that it does not say: what stands in a row, though a name or a message may be made of it
ROWS = "CREATE TABLE people AS SELECT 'sec' || 'ret@example.org' AS email;\n"
LEAKS = {
    "a cast": ("SELECT email::int FROM people;", "22P02: invalid input syntax for type integer: …"),
    "a name that is a value": ("SELECT left(email, 6)::regrole FROM people;", "42704: role … does not exist"),
    "what a function says": ("DO $$BEGIN RAISE 'sorry %', (SELECT email FROM people); END$$;", "… sorry …"),
    "a notice that looks like an error": (
        "DO $$BEGIN RAISE NOTICE E'\\nerror: %', (SELECT email FROM people); END$$;\nSELECT 1/0;",
        "22012: division by zero",
    ),
    "a row that is cut": ("INSERT INTO people VALUES ('sec' secret@example.org);", "42601: syntax error at or near …"),
    "a quote that swallows a row": (
        "SELECT \"\"; INSERT INTO people VALUES ('sec' || 'secret@example.org');",
        "zero-length delimited identifier at or near …",
    ),
    "its own names are shown": ("CREATE TABLE b (a no_such_type);", '42704: type "no_such_type" does not exist'),
}


@pytest.mark.parametrize(("text", "said"), LEAKS.values(), ids=LEAKS.keys())
def test_what_fails_is_said_without_rows(server: Server, database: str, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "seed.sql"
    path.write_text(ROWS + text)

    with pytest.raises(SeedError) as refused:
        seeds.run_sql_file(server, database, path)
    assert said in refused.value.why
    assert "secret" not in str(refused.value)


def test_what_stands_in_a_string_or_a_body_is_no_statement(tmp_path: Path) -> None:
    path = tmp_path / "seed.sql"
    path.write_text(
        "CREATE TABLE t (a text);\n-- it's a comment\nINSERT INTO t VALUES ('one\nGRANT SELECT ON x TO secretperson;\n"
        "\\connect elsewhere\n');\nCREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\nSELECT 'x';\n"
        "-- CREATE EXTENSION nope;\n$$;\nALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO reader;\n"
    )

    seed = look(path, tmp_path)

    assert seed.roles == {"reader"}
    assert seed.needs.extensions == frozenset()


@pytest.mark.parametrize("form", ["p", "c"])
def test_a_dump_of_the_schema_public_alone(dumps: Path, server: Server, binaries: Binaries, tmp_path: Path, form: str) -> None:
    dump = server.run_tool("pg_dump", "-F", form, "-n", "public", "-T", "v", "-d", "source")
    out, _error = dump.communicate()
    (tmp_path / "seed").write_bytes(out)
    seed = look(tmp_path / "seed", tmp_path)

    with embedded_server(binaries) as fresh:
        seeds.restore(fresh, seed, QUIET)
        assert seeds.finish(fresh, "x", seed.identity, None, QUIET).rows == 500


def test_a_pipe_is_no_seed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(SeedError, match="neither a file nor a folder"):
        look(tmp_path / "pipe", tmp_path)


def test_a_seed_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="does not exist"):
        look(tmp_path / "gone", tmp_path)


def test_a_folder_that_is_no_dump(tmp_path: Path) -> None:
    with pytest.raises(SeedError, match="is a folder, but no dump"):
        look(tmp_path, tmp_path)


@pytest.mark.parametrize("url", ["http://h/x.dump", "ftp://h/x.dump", "file:///etc/passwd"])
def test_only_https_urls(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="can't be fetched over"):
        open_seed(locate(url, tmp_path, QUIET), tmp_path, newest(POSTGRES_BIN), QUIET)


def test_missing_extensions_are_named_for_every_server_there_is() -> None:
    with pytest.raises(ServerError, match="lacks the extensions nowhere_a, nowhere_b") as refused:
        choose(Needs(extensions=frozenset({"nowhere_b", "nowhere_a"})), POSTGRES_BIN)
    assert refused.value.advice


def test_a_seed_of_a_newer_server(tmp_path: Path) -> None:
    path = tmp_path / "new.sql"
    path.write_text("-- PostgreSQL database dump\n-- Dumped from database version 99.1\nSELECT 1;\n")
    seed = look(path, tmp_path)

    with pytest.raises(ServerError, match="is older than 99, which the seed needs"):
        choose(seed.needs, POSTGRES_BIN)


def test_a_role_that_the_seed_makes_itself_is_not_made_before(tmp_path: Path) -> None:
    path = tmp_path / "seed.sql"
    path.write_text(
        'CREATE ROLE shop;\nCREATE USER "Odd One";\nCREATE TABLE t ();\nALTER TABLE t OWNER TO shop;\nGRANT ALL ON t TO other;\n'
    )

    assert look(path, tmp_path).roles == {"other"}


def test_test_data_has_an_end(server: Server, database: str, tmp_path: Path) -> None:
    path = tmp_path / "rows.sql"
    path.write_text("SELECT pg_sleep(60);")

    with pytest.raises(SeedError, match=r"took longer than 0\.2 s"):
        seeds.run_sql_file(server, database, path, limit_s=0.2)


def test_publications_are_restored(server: Server, binaries: Binaries, tmp_path: Path) -> None:
    may_make_seeds(server)
    with server.connect("postgres") as admin:
        admin.execute("CREATE DATABASE published OWNER postgres")
    with server.connect("published", user=MAKER) as connection:
        connection.execute("CREATE TABLE t (id int); CREATE PUBLICATION p FOR TABLE t; CREATE PUBLICATION every FOR ALL TABLES")
    dump = server.run_tool("pg_dump", "-Fc", "-d", "published")
    (tmp_path / "seed.dump").write_bytes(dump.communicate()[0])

    with embedded_server(binaries) as fresh:
        seeds.restore(fresh, look(tmp_path / "seed.dump", tmp_path), QUIET)
        with fresh.connect("seed") as connection:
            assert connection.execute("SELECT pubname FROM pg_publication ORDER BY 1").fetchall() == [("every",), ("p",)]
