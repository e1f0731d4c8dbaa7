"""A dump that was spoilt, cut or made with intent: it is restored, or what is wrong is explained, without any of its rows."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import seeds
from bot.clones.embedded import SEED
from bot.dumps import Kind, SeedFile, _Found, _plain_lines, _scan, locate, open_seed
from bot.errors import RehearsalError, SeedError
from bot.postgres.archive import refuse_paths_out
from bot.postgres.binaries import Needs, choose, newest
from bot.postgres.embedded import Server, embedded_server
from bot.progress import Progress
from tests.fix_postgres import POSTGRES_BIN
from tests.hostile.fuzzing import answer

QUIET = Progress(quiet=True)
SECRET = "xyzzyqwv"
SOURCE = f"""
CREATE TABLE people (id int PRIMARY KEY, email text NOT NULL, born date);
INSERT INTO people SELECT n, '{SECRET}' || n || E'@example.org\\n\\\\! it''s', '2000-01-01' FROM generate_series(1, 20) n;
CREATE VIEW v AS SELECT id FROM people;
CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $body$BEGIN RETURN 1; END$body$;
SELECT lo_from_bytea(0, 'large {SECRET}');
"""
FORMS = {"plain.sql": ["-Fp"], "inserts.sql": ["-Fp", "--inserts"], "custom": ["-Fc"], "tar": ["-Ft"], "stored": ["-Fc", "-Z0"]}


@pytest.fixture(scope="module")
def target() -> Iterator[Server]:
    """A server with the database that seeds are restored into."""
    with embedded_server(choose(Needs(), POSTGRES_BIN)) as running:
        seeds.create_empty(running)
        yield running


@pytest.fixture(scope="module")
def dumps(target: Server, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small database, dumped in every form."""
    folder = tmp_path_factory.mktemp("dumps")
    with target.connect("postgres") as connection:
        connection.execute("CREATE DATABASE source")
    with target.connect("source") as connection:
        connection.execute(SOURCE.encode())
    for name, options in FORMS.items():
        dump = target.run_tool("pg_dump", *options, "-d", "source", stdin=None)
        content, error = dump.communicate()
        assert dump.returncode == 0, error
        (folder / name).write_bytes(content)
    (folder / "gzip").write_bytes(gzip.compress((folder / "plain.sql").read_bytes()))
    (folder / "zstd").write_bytes(zstandard.compress((folder / "plain.sql").read_bytes()))
    (folder / "packed").write_bytes(zstandard.compress((folder / "custom").read_bytes()))
    (folder / "restored").mkdir()
    arguments = ["-h", str(target.folder), "-U", "postgres", "-Fd", "-Z0", "-f", str(folder / "directory"), "source"]
    subprocess.run([target.binaries.tool("pg_dump"), *arguments], check=True)
    return folder


PIECES = [
    b"\0", b"\0" * 600, b"\xff\xfe", b"'", b'"', b"$$", b"--", b"/*", b"\\", b"\n\\! touch mark\n", b"\n\\.\n",
    b"\n\\connect x\n", b"\n\\unrestrict `touch mark`\n", b"\nCOPY people FROM PROGRAM 'touch mark';\n",
    b"\nCOPY people FROM stdin;\n", b"x" * 200_000, b"\nGRANT x TO " + b"a," * 5000, b"\n" * 5000, b";" * 5000, b"(" * 5000,
    b"\nSELECT 1/0;\n", b"\x1f\x8b", b"PGDMP", b"PGDMP\x01\x0f\x00\x04", b"\xff" * 4, b"\r", b"\nDROP TABLE people;\n",
    b"\nALTER TABLE x OWNER TO \xff;\n", b'\nCREATE EXTENSION "' + b"e" * 300 + b'";\n',
    b"\nSET client_min_messages = debug5;\n", b"\nCREATE ROLE " + b"r" * 100 + b";\n",
    b"\nDumped from database version 9" + b"9" * 5000 + b"\n",
]  # fmt: skip


def spoilt(content: bytes, data: st.DataObject) -> bytes:
    """A dump cut somewhere, with a bit flipped, or with something put into it."""
    at = data.draw(st.integers(0, len(content) - 1), label="at")
    how = data.draw(st.sampled_from(["cut", "flip", *PIECES]), label="how")
    if how == "cut":
        return content[:at]
    if how == "flip":
        return content[:at] + bytes([content[at] ^ (1 << data.draw(st.integers(0, 7)))]) + content[at + 1 :]
    assert isinstance(how, bytes)
    return content[:at] + how + content[at:]


def look(path: Path) -> SeedFile | RehearsalError:
    def ask() -> SeedFile:
        return open_seed(locate(str(path), path.parent, QUIET), path.parent, newest(POSTGRES_BIN), QUIET)

    found: SeedFile | RehearsalError = answer(ask)
    return found


def without_rows(found: object) -> None:
    """No four letters of what stands in the rows are said."""
    said = str(found) if isinstance(found, RehearsalError) else ""
    assert not [n for n in range(len(SECRET) - 3) if SECRET[n : n + 4] in said], said


FUZZ = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("piece", PIECES, ids=range(len(PIECES)))
def test_a_dump_that_begins_with_something_nasty(dumps: Path, piece: bytes) -> None:
    path = dumps / "spoilt"
    path.write_bytes(piece + (dumps / "plain.sql").read_bytes())

    without_rows(look(path))


@pytest.mark.parametrize("name", [*FORMS, "gzip", "zstd", "packed"])
@FUZZ
@given(data=st.data())
def test_a_spoilt_dump_is_looked_into_or_refused(dumps: Path, name: str, data: Any) -> None:
    path = dumps / f"spoilt-{name}"
    path.write_bytes(spoilt((dumps / name).read_bytes(), data))

    without_rows(look(path))


@pytest.mark.parametrize("name", ["plain.sql", "inserts.sql", "gzip", "zstd", "custom", "stored", "tar"])
@settings(FUZZ, max_examples=12)
@given(data=st.data())
def test_a_spoilt_dump_is_restored_or_refused(target: Server, dumps: Path, name: str, data: Any) -> None:
    path = dumps / f"spoilt-{name}"
    path.write_bytes(spoilt((dumps / name).read_bytes(), data))
    with target.connect(SEED) as connection:
        connection.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public")
        connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")

    if name in ("plain.sql", "inserts.sql", "gzip", "zstd"):
        found = answer(seeds.run_sql_file, target, SEED, path)
    else:
        found = answer(seeds._pg_restore, target, SeedFile(path, Kind.CUSTOM, ""), lambda _done: None)

    assert found is None or isinstance(found, SeedError)
    without_rows(found)
    assert not list(dumps.rglob("mark"))


def test_a_dump_that_unpacks_to_a_gigabyte_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for _ in range(150):
            stream.write(b" " * 2**20)
    tracemalloc.start()
    try:
        found = _scan(_plain_lines(path, lambda _done: None), whole=True)
        _now, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert isinstance(found, _Found)
    assert not found.anything
    assert most < 40 * 2**20


def text(value: str) -> bytes:
    """A text as it stands in a table of contents."""
    return b"\0" + len(value).to_bytes(4, "little") + value.encode()


def test_a_directory_dump_reads_only_its_own_files(target: Server, dumps: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dump"
    shutil.copytree(dumps / "directory", folder)
    refuse_paths_out(folder)  # as it is, nothing is wrong with it
    (data,) = [file for file in folder.glob("*.dat") if f"{SECRET}1@".encode() in file.read_bytes()]
    shutil.copy(data, tmp_path / "outside")
    toc = (folder / "toc.dat").read_bytes()
    (folder / "toc.dat").write_bytes(toc.replace(text(data.name), text("../outside")))

    with target.connect(SEED) as connection:
        connection.execute("DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO public")
        connection.execute("SELECT lo_unlink(oid) FROM pg_largeobject_metadata")
    seeds._pg_restore(target, SeedFile(folder, Kind.DIRECTORY, ""), lambda _done: None)  # this is what it would do
    with target.connect(SEED) as connection:
        assert connection.execute("SELECT count(*) FROM people").fetchone() == (20,)
    with pytest.raises(SeedError, match="names a file elsewhere"):
        locate(str(folder), tmp_path, QUIET)


# what is done to a directory dump -> what is said
ELSEWHERE = {
    "a link": (lambda folder: (folder / "0.dat").symlink_to("/etc/passwd"), "0.dat is a link"),
    "a folder that is a link": (lambda folder: (folder / "more").symlink_to("/etc"), "more is a link"),
    "large objects elsewhere": (
        lambda folder: next(folder.glob("blobs*.toc")).write_text("16400 ../../../etc/passwd\n"),
        "a list of large objects names a file elsewhere",
    ),
    "large objects packed": (
        lambda folder: next(folder.glob("blobs*.toc")).rename(folder / "blobs.toc.gz"),
        "a list of large objects is missing",
    ),
    "half a table of contents": (
        lambda folder: (folder / "toc.dat").write_bytes((folder / "toc.dat").read_bytes()[:-5]),
        "can't be read",
    ),
    "integers of another size": (
        lambda folder: (folder / "toc.dat").write_bytes(b"PGDMP\x01\x0e\x00\x08\x08\x03" + bytes(1000)),
        "can't be read",
    ),
    "a format of tomorrow": (
        lambda folder: (folder / "toc.dat").write_bytes(b"PGDMP\x01\x63\x00\x04\x08\x03" + bytes(1000)),
        "does not know",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "said"), ELSEWHERE.values(), ids=ELSEWHERE.keys())
def test_a_directory_dump_with_files_elsewhere(dumps: Path, tmp_path: Path, spoil: Any, said: str) -> None:
    folder = tmp_path / "dump"
    shutil.copytree(dumps / "directory", folder)
    spoil(folder)

    with pytest.raises(SeedError, match=said):
        locate(str(folder), tmp_path, QUIET)


@FUZZ
@given(data=st.data())
def test_any_table_of_contents_is_read_or_refused(dumps: Path, data: Any) -> None:
    folder = dumps / "spoilt-directory"
    folder.mkdir(exist_ok=True)
    for file in (dumps / "directory").glob("*.toc"):
        shutil.copy(file, folder)
    (folder / "toc.dat").write_bytes(spoilt((dumps / "directory/toc.dat").read_bytes(), data))

    found = answer(refuse_paths_out, folder)
    assert found is None or isinstance(found, SeedError)
