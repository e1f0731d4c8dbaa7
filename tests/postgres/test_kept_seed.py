"""A restored seed, kept: the next run takes a copy of it, and what is wrong with it is said and costs no more than a restore."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bot import kept_seeds
from bot.copying import copy_tree
from bot.kept_seeds import Paper, Shelf, _key
from bot.model import SeedFacts
from bot.postgres.binaries import Binaries, Needs, choose
from bot.progress import Progress
from tests.fix_cli import Run
from tests.fix_postgres import POSTGRES_BIN

QUIET = Progress(quiet=True)
SEED = """
CREATE ROLE shop_owner;
CREATE TABLE orders (id int PRIMARY KEY, email text);
INSERT INTO orders SELECT n, nullif(n % 3, 0) FROM generate_series(1, 90) n;
CREATE UNLOGGED TABLE carts AS SELECT 1 AS id;
ALTER TABLE orders OWNER TO shop_owner;
"""
LARGE = "CREATE TABLE large AS SELECT repeat(md5(n::text), 30) FROM generate_series(1, 60000) n;"
SETTINGS = "ALTER SYSTEM SET archive_command = 'touch /tmp/x'; ALTER SYSTEM SET work_mem = '1MB';"
TAKEN = "take the kept seed"
RESTORED = "restore the seed"
ANALYZED = "analyze and vacuum the seed"


@pytest.fixture
def rehearse(run: Callable[..., Run], tmp_path: Path) -> Callable[..., Run]:
    """Rehearses on the same seed, kept in the folder `kept`."""
    (tmp_path / "seed.sql").write_text(SEED)
    return lambda *arguments: run("rehearse", "--seed", "seed.sql", "--seed-folder", "kept", *(arguments or ("1_good.sql",)))


def places(tmp_path: Path) -> list[Path]:
    return sorted(path.parent for path in (tmp_path / "kept").glob("*/seed.json"))


def tree(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What would show that somebody wrote to a folder."""
    return {
        str(path): (said.st_size, said.st_mtime_ns, said.st_ino)
        for path in folder.rglob("*")
        if stat.S_ISREG((said := path.lstat()).st_mode)
    }


def facts(run: Run) -> dict[str, object]:
    found: dict[str, object] = json.loads(run.out)["clone"]["seed"]
    return found


def counted(run: Run) -> list[tuple[object, ...]]:
    (migration,) = json.loads(run.out)["migrations"]
    return [tuple(table[key] for key in ("name", "rows_before", "rows_after", "updated")) for table in migration["tables"]]


def test_a_rerun_restores_nothing(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    first = rehearse("1_good.sql", "--format", "json")
    (place,) = places(tmp_path)
    before = tree(place / "data")
    again = rehearse("1_good.sql", "--format", "json")

    assert (RESTORED in first.err, TAKEN in first.err) == (True, False)
    assert (RESTORED in again.err, TAKEN in again.err, ANALYZED in again.err) == (False, True, False)
    assert facts(first) == facts(again)
    assert counted(first) == counted(again) == [("public.orders", 90, 90, 90)]
    assert "The seed was restored before, and kept." in json.loads(again.out)["notes"]
    assert tree(place / "data") == before, "no migration runs on what is kept"


def test_nothing_is_kept_unless_somebody_asks(run: Callable[..., Run], tmp_path: Path) -> None:
    before = set(tmp_path.iterdir())

    run("rehearse", "--seed", "seed.sql", "1_good.sql")

    assert set(tmp_path.iterdir()) == before


def test_what_is_kept_is_for_nobody_else(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    rehearse()

    (place,) = places(tmp_path)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "kept", place, place / "data")}
    assert set(modes.values()) == {0o700}
    owner = (tmp_path / "kept").parent.stat().st_uid
    assert {path.lstat().st_uid for path in [tmp_path / "kept", *(tmp_path / "kept").rglob("*")]} == {owner}


def test_the_log_of_the_restore_is_not_kept(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "seed.sql").write_text(SEED + LARGE)
    rehearse()

    (place,) = places(tmp_path)
    assert len([path for path in (place / "data/pg_wal").iterdir() if path.is_file()]) <= 2


def test_what_no_crash_would_leave_is_there(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    """Tables without a log are empty after a crash: the kept server was stopped in order."""
    (tmp_path / "3_carts.sql").write_text("DO $$ BEGIN ASSERT (SELECT count(*) FROM carts) = 1; END $$;")
    rehearse()

    assert rehearse("3_carts.sql").status == 0


def test_what_runs_on_a_seed_is_not_in_what_is_kept(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    """A SQL file and a migration may change roles and settings of the whole server: the next one has none of it."""
    (tmp_path / "more.sql").write_text("INSERT INTO orders VALUES (1000); CREATE ROLE left_behind;")
    (tmp_path / "3_role.sql").write_text("CREATE ROLE left_behind_too; ALTER ROLE shop_owner SET work_mem = '1MB';")
    (tmp_path / "4_look.sql").write_text(
        "DO $$ BEGIN ASSERT (SELECT count(*) FROM orders) = 90;"
        " ASSERT NOT EXISTS (SELECT FROM pg_roles WHERE rolname ~ '^left_behind');"
        " ASSERT (SELECT rolconfig IS NULL FROM pg_roles WHERE rolname = 'shop_owner'); END $$;"
    )

    first = rehearse("3_role.sql", "--seed-sql", "more.sql", "--format", "json")
    again = rehearse("4_look.sql", "--role", "shop_owner")

    assert (facts(first)["rows"], first.err.count(ANALYZED)) == (92, 2), "what was added is counted"
    assert (again.status, TAKEN in again.err) == (0, True)


def test_a_dump_of_other_content_is_another_seed(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    rehearse()
    (tmp_path / "seed.sql").write_text(SEED + "INSERT INTO orders VALUES (91);")
    other = rehearse("1_good.sql", "--format", "json")

    assert RESTORED in other.err
    assert facts(other)["rows"] == 92
    assert len(places(tmp_path)) == 2


def test_a_dump_that_reads_other_files_is_not_kept(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    """Nobody knows what it gives the next time."""
    (tmp_path / "seed.sql").write_text(SEED + "COPY orders FROM '/dev/null';")

    assert [RESTORED in rehearse().err for _ in range(2)] == [True, True]
    assert not (tmp_path / "kept").exists()


def test_the_server_has_none_of_the_settings_that_a_dump_made(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "seed.sql").write_text(SEED + SETTINGS)
    (tmp_path / "3_look.sql").write_text("DO $$ BEGIN ASSERT current_setting('work_mem') = '4MB'; END $$;")

    assert [rehearse("3_look.sql").status for _ in range(2)] == [0, 0]


# ── What is not as it was left ───────────────────────────────────────────────────────────────────────────────────────────────


def lose_a_file(place: Path) -> None:
    max((path for path in place.rglob("data/base/*/*") if path.is_file()), key=lambda path: path.stat().st_size).unlink()


def cut_a_file(place: Path) -> None:
    with (place / "data/global/pg_control").open("r+b") as file:
        file.truncate(100)


def lead_out(place: Path) -> None:
    shutil.rmtree(place / "data/pg_twophase")
    (place / "data/pg_twophase").symlink_to("/etc")


def overwrite_control(place: Path) -> None:
    control = place / "data/global/pg_control"
    control.write_bytes(os.urandom(control.stat().st_size))


def let_others_write(place: Path) -> None:
    place.chmod(0o777)


# what happened to it -> what is said
SPOILT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file is lost": (lose_a_file, "files of it are missing or of another length"),
    "a file is cut": (cut_a_file, "files of it are missing or of another length"),
    "a link leads out": (lead_out, "files of it are missing or of another length"),
    "no server starts on it": (overwrite_control, "The embedded PostgreSQL did not start"),
    "others may write to it": (let_others_write, "others may write to it"),
}


@pytest.mark.parametrize(("spoil", "said"), SPOILT.values(), ids=SPOILT.keys())
def test_a_spoilt_one_is_said_and_replaced(
    rehearse: Callable[..., Run], tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    rehearse()
    (place,) = places(tmp_path)
    spoil(place)

    second, third = rehearse("1_good.sql", "--format", "json"), rehearse()

    assert second.status == third.status == 0
    assert RESTORED in second.err
    assert any(said in note for note in json.loads(second.out)["notes"])
    assert TAKEN in third.err
    assert RESTORED not in third.err
    assert places(tmp_path) == [place]


# what is written in place of its paper
PAPERS: dict[str, Callable[[bytes], bytes]] = {
    "no JSON": lambda _paper: b"{",
    "of a later version": lambda paper: json.dumps({**json.loads(paper), "format": kept_seeds.FORMAT + 1}).encode(),
    "of another shape": lambda _paper: b'{"format": 1}',
    "without an end": lambda _paper: b"[" * 100_000,
}


@pytest.mark.parametrize("change", PAPERS.values(), ids=PAPERS.keys())
def test_one_that_another_program_wrote_is_left_alone(
    rehearse: Callable[..., Run], tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    rehearse()
    (place,) = places(tmp_path)
    (place / "seed.json").write_bytes(change((place / "seed.json").read_bytes()))

    again = rehearse()

    assert (again.status, RESTORED in again.err) == (0, True)


@pytest.mark.parametrize("paper", ["no JSON", "of another shape", "without an end"])
def test_one_whose_paper_nobody_can_read_is_replaced(rehearse: Callable[..., Run], tmp_path: Path, paper: str) -> None:
    rehearse()
    (place,) = places(tmp_path)
    (place / "seed.json").write_bytes(PAPERS[paper](b""))

    again, third = rehearse(), rehearse()

    assert (again.status, RESTORED in again.err) == (0, True)
    assert (third.status, TAKEN in third.err) == (0, True)
    assert places(tmp_path) == [place]


def test_half_of_one_is_no_seed(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    """As a run leaves it that was killed, machine and all, while it kept one."""
    rehearse()
    (place,) = places(tmp_path)
    half = place.with_name(".new-0123456789abcdef")
    place.rename(half)
    lose_a_file(half)
    os.utime(half, (0, 0))

    assert RESTORED in rehearse().err
    assert list((tmp_path / "kept").iterdir()) == [place]


def test_a_folder_that_others_may_write_to_is_not_used(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept").chmod(0o777)

    done = rehearse("1_good.sql", "--format", "json")

    assert done.status == 0
    assert any("is not used: others may write to it" in note for note in json.loads(done.out)["notes"])
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_file_in_the_folders_place_is_said(rehearse: Callable[..., Run], tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("")

    assert "is not used: it is no folder" in rehearse().err


def test_no_room_to_keep_it_is_said(rehearse: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("bot.room.room_of", lambda folder: 0 if "kept" in str(folder) else 2**40)

    done = rehearse()

    assert (done.status, places(tmp_path)) == (0, [])
    assert "The seed can't be kept: there is not enough room" in done.err
    assert list((tmp_path / "kept").iterdir()) == []


# ── Several ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def binaries() -> Binaries:
    return choose(Needs(), POSTGRES_BIN)


def paper(identity: str) -> Paper:
    return Paper(kept_seeds.FORMAT, identity, SeedFacts("plain", identity, None, 0, 0), (), 15, "", ())


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Something that looks like a data folder from afar."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data/PG_VERSION").write_text("15")
    return tmp_path / "data"


def test_the_newest_three_stay(tmp_path: Path, data: Path, binaries: Binaries) -> None:
    shelf = Shelf.at(str(tmp_path / "kept"), QUIET)
    for number in range(5):
        shelf.keep(data, paper(f"sha256:{number}"), binaries, lambda _path: False)
        os.utime(tmp_path / "kept" / _key(f"sha256:{number}", binaries) / "seed.json", (number, number))

    found = [shelf.find(f"sha256:{number}", lambda _needs: binaries) is not None for number in range(5)]
    assert found == [False, False, True, True, True]


def test_of_two_at_once_the_first_stays(tmp_path: Path, data: Path, binaries: Binaries) -> None:
    one, other = Shelf.at(str(tmp_path / "kept"), QUIET), Shelf.at(str(tmp_path / "kept"), QUIET)
    one.keep(data, paper("sha256:1"), binaries, lambda _path: False)
    (place,) = places(tmp_path)
    first = place.stat().st_ino
    other.keep(data, paper("sha256:1"), binaries, lambda _path: False)

    assert (places(tmp_path), place.stat().st_ino) == ([place], first)
    assert (one.notes, other.notes) == ([], [])
    assert [path.name for path in (tmp_path / "kept").iterdir()] == [place.name], "nothing half is left"


def test_other_programs_have_a_seed_of_their_own(tmp_path: Path, data: Path, binaries: Binaries) -> None:
    shelf = Shelf.at(str(tmp_path / "kept"), QUIET)
    shelf.keep(data, paper("sha256:1"), binaries, lambda _path: False)
    newer = Binaries(binaries.folder, f"{binaries.major}.99", binaries.origin)

    assert shelf.find("sha256:1", lambda _needs: newer) is None
    assert shelf.find("sha256:1", lambda _needs: binaries) is not None


KEEP = """
import sys, time
from pathlib import Path
import bot.kept_seeds as kept_seeds
from bot.postgres.binaries import Needs, choose
from bot.progress import Progress
from tests.postgres.test_kept_seed import paper

def slowly(source, target, leave):
    target.mkdir()
    (target / "half").write_text("production's data")
    print("begun", flush=True)
    time.sleep(600)

kept_seeds.copy_tree = slowly
shelf = kept_seeds.Shelf.at(sys.argv[1] + "/kept", Progress(quiet=True))
shelf.keep(Path(sys.argv[1]) / "data", paper("sha256:1"), choose(Needs(), None), lambda _path: False)
"""


def test_who_is_killed_while_keeping_leaves_nothing(tmp_path: Path, data: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KEEP, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    assert len(list((tmp_path / "kept").iterdir())) == 1
    process.kill()
    process.wait()
    process.stdout.close()

    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and list((tmp_path / "kept").iterdir()):
        time.sleep(0.05)
    assert list((tmp_path / "kept").iterdir()) == []
    assert data.exists()


# ── Knowing a dump without reading it ────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dump that counts as large, and was written a while ago."""
    monkeypatch.setattr(kept_seeds, "_LARGE", 10)
    monkeypatch.setattr(kept_seeds, "_SETTLED_NS", -(10**12))
    path = tmp_path / "prod.dump"
    path.write_bytes(b"x" * 100)
    return path


class Reader:
    """Counts how often a dump is read."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> str:
        self.times += 1
        return f"sha256:{self.times}"


def test_a_large_dump_is_read_once(tmp_path: Path, dump: Path) -> None:
    read = Reader()

    assert [Shelf.at(str(tmp_path / "kept"), QUIET).identity(dump, read) for _ in range(3)] == ["sha256:1"] * 3
    assert read.times == 1


# what is done to it -> nothing tells that but the system's own note of the last change
def overwrite(dump: Path) -> None:
    said = dump.stat()
    dump.write_bytes(b"y" * 100)
    os.utime(dump, ns=(said.st_atime_ns, said.st_mtime_ns))


def put_another_in_its_place(dump: Path) -> None:
    said = dump.stat()
    dump.with_suffix(".new").write_bytes(b"y" * 100)
    dump.with_suffix(".new").replace(dump)
    os.utime(dump, ns=(said.st_atime_ns, said.st_mtime_ns))


def grow(dump: Path) -> None:
    with dump.open("ab") as file:
        file.write(b"y")


@pytest.mark.parametrize("change", [overwrite, put_another_in_its_place, grow])
def test_one_that_was_changed_is_read_again(tmp_path: Path, dump: Path, change: Callable[[Path], None]) -> None:
    shelf, read = Shelf.at(str(tmp_path / "kept"), QUIET), Reader()
    shelf.identity(dump, read)
    time.sleep(0.02)  # more than a tick of the file system's clock
    change(dump)

    assert shelf.identity(dump, read) == "sha256:2"


def test_one_that_was_written_just_now_is_read_again(tmp_path: Path, dump: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be written once more within the same tick."""
    monkeypatch.setattr(kept_seeds, "_SETTLED_NS", 10**12)
    shelf, read = Shelf.at(str(tmp_path / "kept"), QUIET), Reader()

    assert [shelf.identity(dump, read) for _ in range(2)] == ["sha256:1", "sha256:2"]


def test_a_folder_of_files_is_known_by_all_of_them(tmp_path: Path, dump: Path) -> None:
    folder = tmp_path / "directory"
    folder.mkdir()
    dump.rename(folder / "toc.dat")
    shelf, read = Shelf.at(str(tmp_path / "kept"), QUIET), Reader()
    known = [shelf.identity(folder, read) for _ in range(2)]
    (folder / "1.dat").write_text("more")

    assert (known, shelf.identity(folder, read)) == (["sha256:1"] * 2, "sha256:2")


def test_without_a_folder_nothing_is_remembered(dump: Path) -> None:
    shelf, read = Shelf.at(None, QUIET), Reader()

    assert [shelf.identity(dump, read) for _ in range(2)] == ["sha256:1", "sha256:2"]


# ── A file system with reflinks ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_kept_seed_takes_no_room_of_its_own(
    rehearse: Callable[..., Run], reflinks: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Data, kept seed and copy on one file system with reflinks: only one of them has blocks."""
    monkeypatch.setattr("tempfile.tempdir", str(reflinks))
    (tmp_path / "seed.sql").write_text(SEED + LARGE)
    method = [
        json.loads(rehearse("1_good.sql", "--seed-folder", str(reflinks / "kept"), "--format", "json").out)["clone"]["method"]
        for _ in range(2)
    ]
    (place,) = (path.parent for path in (reflinks / "kept").glob("*/seed.json"))
    large = max((path for path in place.rglob("data/base/*/*") if path.is_file()), key=lambda path: path.stat().st_size)
    free = shutil.disk_usage(reflinks).free
    copy_tree(place / "data", reflinks / "copy")
    subprocess.run(["sync", "--file-system", str(reflinks)], check=True)

    assert free - shutil.disk_usage(reflinks).free < large.stat().st_size
    assert method == ["by reference" if choose(Needs(), POSTGRES_BIN).major >= 18 else "copied"] * 2
