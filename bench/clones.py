"""How long it takes until a clone can be used, by each local way, and how that grows with the data: `python -m bench.clones`, or
`make bench-clones`.

A database of each size is made and dumped in every form; each form is restored, analyzed and vacuumed as the program does it.
Then clones of it are made in every way there is, on the file system of TMPDIR and on those with reflinks: that of `--reflinks`,
or some that are made in a file and mounted, where root may do that. «Kept seed» is the wall time of the program's `rehearse` from
the start of its process until its clone is ready, which it says on standard error.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from unittest.mock import patch

import zstandard
from psycopg import sql

from bench.machine import file_system, load, machine_facts
from bench.measure import Section, alternately, expect, number, stats, table
from bench.results import publish, whole
from bot import seeds
from bot.cli import stop_in_order_on_sigterm
from bot.clones.embedded import SEED
from bot.copying import copy_tree, refers
from bot.dumps import locate, open_seed
from bot.kept_seeds import _stopped
from bot.postgres.binaries import Binaries, Needs, choose, newest
from bot.postgres.embedded import MAKER, Server, embedded_server
from bot.postgres.roles import may_make_seeds
from bot.progress import Progress

_QUIET = Progress(quiet=True)
_ROOT = Path(__file__).parents[1]
_TABLES = 4
_UNIT_ROWS = 117_000  # one table's share of 100 MB
_FULL, _QUICK = (0.1, 1.0, 5.0), (0.02, 0.1)
_LARGE_GB = 1.0  # from here on a restore is measured once
_FORMS = ("plain", "plain, gzip", "plain, zstd", "custom", "custom, -j", "directory, -j")


@dataclass(frozen=True, slots=True)
class Options:
    """What is measured."""

    sizes: tuple[float, ...]
    rounds: int
    binaries: Binaries
    bin_option: str
    places: Mapping[str, Path]  # by what they are called in the table


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and prints; gives the exit status."""
    stop_in_order_on_sigterm()
    given = _parser().parse_args(arguments)
    facts = machine_facts(given.postgres_bin)
    print(table(("measured on", ""), list(facts.items())), end="\n\n")
    sizes = tuple(given.size) if given.size else _QUICK if given.quick else _FULL
    with _places(given.reflinks, sizes[-1]) as places:
        options = Options(sizes, given.rounds, choose(Needs(), given.postgres_bin), given.postgres_bin, places)
        measured = _measured(options)
        section, goals = _section(options, measured), _goals(measured)
    facts["load after"] = load()
    print(section.text(), *goals, sep="\n", flush=True)
    if given.json:
        Path(given.json).write_text(json.dumps(whole(facts, [section], quick=given.quick), indent=1) + "\n")
    if not given.quick and not given.size and not given.reflinks:
        publish("clones", "Clones", _HEAD, facts, [section], goals)
    return 0


_HEAD = """`make bench-clones`; [what is measured](README.md#until-a-clone-can-be-used). Trust the ratios, not the seconds.
Restores of 1 GB and more are measured once. «Copies» is the file system named above; XFS and btrfs were made in files on it
and mounted.

![Seconds until a clone can be used, by size and way](../docs/clone-time.svg)"""
_MOST_BY_REFERENCE_S, _MOST_GROWTH, _MOST_RERUN_S = 0.3, 2.0, 2.0


def _goals(measured: Mapping[str, Mapping[float, Sequence[float]]]) -> list[str]:
    """What is said of the goals for clones that share their blocks with the seed."""
    said = []
    for name, by_size in measured.items():
        seconds = [stats(by_size[size]).median / 1000 for size in sorted(by_size)]
        if name.endswith(": template, by reference"):
            met = seconds[-1] < _MOST_BY_REFERENCE_S and seconds[-1] <= _MOST_GROWTH * seconds[0]
            said.append(
                f"**{name}**: {number(seconds[-1])} s for the largest, {seconds[-1] / seconds[0]:.2f} times what the "
                f"smallest takes. The goal: below {_MOST_BY_REFERENCE_S:g} s, within {_MOST_GROWTH:g} times; "
                f"{'met' if met else 'not met'}."
            )
        elif name.endswith(": kept seed, whole program"):
            met = seconds[-1] < _MOST_RERUN_S
            said.append(
                f"**{name}**: {number(seconds[-1])} s until the clone of the largest is ready. The goal, where there are "
                f"reflinks: below {_MOST_RERUN_S:g} s; {'met' if met else 'not met'}."
            )
    return said


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.clones", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes: a look, not to be quoted")
    parser.add_argument("--size", type=float, action="append", metavar="GB", help="a size; may be repeated (default: 0.1, 1, 5)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds of all that takes no minutes (default: 5)")
    parser.add_argument("--postgres-bin", default="wheel", metavar="FOLDER", help="PostgreSQL's programs (default: the wheel's)")
    parser.add_argument("--reflinks", metavar="FOLDER", help="an empty folder on a file system that has them")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
    return parser


def _section(options: Options, measured: Mapping[str, Mapping[float, Sequence[float]]]) -> Section:
    rows = []
    for name, by_size in measured.items():
        medians = [number(stats(by_size[size]).median / 1000) if size in by_size else "–" for size in options.sizes]
        rows.append((name, *medians, "/".join(str(len(by_size[size])) for size in options.sizes if size in by_size)))
    return Section(
        "clones",
        "Until a clone can be used",
        ("median seconds", *(f"{size:g} GB" for size in options.sizes), "n"),
        rows,
        "ms",
        {f"{name}, {size:g} GB": samples for name, by_size in measured.items() for size, samples in by_size.items()},
        {"PostgreSQL": options.binaries.version, **{name: file_system(place) for name, place in options.places.items()}},
        () if len(options.places) > 1 else ("Nothing was measured on a file system with reflinks: none is here, or to be made.",),
    )


def _measured(options: Options) -> dict[str, dict[float, list[float]]]:
    """Milliseconds by what was done and size."""
    measured: dict[str, dict[float, list[float]]] = {}
    for size in options.sizes:
        with tempfile.TemporaryDirectory(prefix="mr-bench-") as name:
            for what, samples in _of_size(options, size, Path(name)).items():
                measured.setdefault(what, {})[size] = samples
    return measured


def _of_size(options: Options, size: float, folder: Path) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    with embedded_server(options.binaries) as server:
        _make(server, size)
        dumps = _dump(server, folder)
        _say(f"{size:g} GB: dumped")
        for form, path in dumps.items():
            works = {f"restore: {form}": partial(_restore, server, path, folder, parallel=form.endswith("-j"))}
            found |= alternately(works, options.rounds if size < _LARGE_GB else 1)
            _say(f"{size:g} GB: {form} restored")
        needed = _stopped(server)
        for path in {*dumps.values()} - {dumps["custom"]}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        shelf = _filled_shelf(options, dumps["custom"], folder)
        for name, place in options.places.items():
            with _in(place), tempfile.TemporaryDirectory(prefix="mr-bench-", dir=place) as inner:
                found |= _clones(options, name, server.data, needed, Path(inner))
                found |= _kept(options, name, shelf, dumps["custom"], Path(inner))
            _say(f"{size:g} GB: cloned on {name}")
    return found


# ── The data ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _make(server: Server, size: float) -> None:
    """Tables of small columns and a text that no compression makes much smaller, with a key and an index each."""
    may_make_seeds(server)
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("CREATE DATABASE source OWNER {}").format(sql.Identifier(MAKER)))
    with server.connect("source", user=MAKER) as connection:
        connection.execute(
            "CREATE TABLE unit AS SELECT n AS id, n %% 1000 AS a, md5(n::text) || md5((-n)::text) || md5((n * 7)::text) AS b,"
            " now() - n * interval '1 second' AS c FROM generate_series(1::bigint, %s) AS n",
            [max(1, round(_UNIT_ROWS * min(1.0, size / 0.1)))],
        )
        for number_of_table in range(_TABLES):
            named = sql.Identifier(f"t{number_of_table}")
            connection.execute(sql.SQL("CREATE TABLE {} (LIKE unit)").format(named))
            for _ in range(max(1, round(size / 0.1))):
                rows = sql.SQL(
                    "INSERT INTO {0} SELECT id + (SELECT coalesce(max(id), 0) FROM {0}), a, b || left(b, 30), c FROM unit"
                )
                connection.execute(rows.format(named))
            connection.execute(sql.SQL("ALTER TABLE {} ADD PRIMARY KEY (id)").format(named))
            connection.execute(sql.SQL("CREATE INDEX ON {} (a)").format(named))
        connection.execute("DROP TABLE unit")
        connection.execute("VACUUM ANALYZE")
        row = connection.execute("SELECT pg_database_size('source') / 1e9").fetchone()
        _say(f"{size:g} GB: made, {row[0] if row else 0:.2f} GB")


def _dump(server: Server, folder: Path) -> dict[str, Path]:
    """The database in every form; the last two are those before them, read in parallel."""
    made = {"plain": ["-Fp"], "custom": ["-Fc", "-Z1"], "directory": ["-Fd", "-Z1", "-j2"]}
    for name, form in made.items():
        command = [
            server.binaries.tool("pg_dump"),
            "-h",
            str(server.folder),
            "-U",
            MAKER,
            *form,
            "-f",
            str(folder / name),
            "source",
        ]
        subprocess.run(command, check=True)
    with (folder / "plain").open("rb") as plain, gzip.open(folder / "gzip", "wb", compresslevel=1) as packed:
        shutil.copyfileobj(plain, packed, 1 << 20)
    with (folder / "plain").open("rb") as plain, (folder / "zstd").open("wb") as file:
        zstandard.ZstdCompressor(level=1, threads=-1).copy_stream(plain, file)
    places = [folder / name for name in ("plain", "gzip", "zstd", "custom", "custom", "directory")]
    return dict(zip(_FORMS, places, strict=True))


def _restore(server: Server, path: Path, folder: Path, *, parallel: bool) -> None:
    """As the program does it. Dropping it is counted with it: some hundredths of a second."""
    with nullcontext() if parallel else patch.object(seeds, "jobs", return_value=1):
        seed = open_seed(locate(str(path), folder, _QUIET), folder, newest("wheel"), _QUIET)
        seeds.restore(server, seed, _QUIET)
        facts = seeds.measure(server, str(seed.kind), seed.identity, None, _QUIET)
        expect(facts.rows > 0, "nothing was restored")
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(SEED)))


# ── Clones ───────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _clones(options: Options, name: str, data: Path, needed: Sequence[str], folder: Path) -> dict[str, list[float]]:
    """Every way to a clone of the database `source`, in turn."""
    own = folder / "data"
    copy_tree(data, own, lambda path: path.startswith("pg_wal/0") and path not in needed)
    with embedded_server(options.binaries, own) as server:
        works: dict[str, Callable[[], object]] = {
            f"{name}: template, WAL_LOG": partial(_create, server, "STRATEGY WAL_LOG"),
            f"{name}: template, FILE_COPY": partial(_create, server, "STRATEGY FILE_COPY", "copy"),
        }
        if server.clones_by_reference():
            works[f"{name}: template, by reference"] = partial(_create, server, "STRATEGY FILE_COPY", "clone")
        works[f"{name}: data folder, start"] = partial(_start, options.binaries, own)
        return alternately(works, options.rounds, warm_up=1)


def _create(server: Server, strategy: str, method: str | None = None) -> None:
    """Makes a clone and drops it again, which is counted with it."""
    with server.connect("postgres") as admin:
        if method and server.binaries.major >= 18:
            admin.execute(f"SET file_copy_method = {method}".encode())
        admin.execute(f"CREATE DATABASE clone TEMPLATE source {strategy}".encode())
        admin.execute("DROP DATABASE clone")


def _start(binaries: Binaries, data: Path) -> None:
    with embedded_server(binaries, data) as server, server.connect("source"):
        pass


# ── The program itself ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _filled_shelf(options: Options, dump: Path, folder: Path) -> Path:
    """A seed folder with the restored dump in it."""
    time.sleep(3)  # a file that was written just now is not remembered
    _until_cloned(options, dump, folder, folder / "shelf")
    return folder / "shelf"


def _kept(options: Options, name: str, shelf: Path, dump: Path, folder: Path) -> dict[str, list[float]]:
    own = folder / "shelf"
    own.mkdir(mode=0o700)
    for path in shelf.iterdir():
        if path.is_dir():
            copy_tree(path, own / path.name)
        else:
            shutil.copy2(path, own)
    taken = [_until_cloned(options, dump, folder, own) * 1000 for _ in range(options.rounds)]
    return {f"{name}: kept seed, whole program": taken}


def _until_cloned(options: Options, dump: Path, folder: Path, shelf: Path) -> float:
    """Seconds from the start of the program until it says that it has a clone."""
    (folder / "1_bench.sql").write_text("CREATE TABLE bench (id int);\n")
    command = [sys.executable, "-m", "bot.cli", "rehearse", str(folder / "1_bench.sql"), "--seed", str(dump)]
    command += ["--seed-folder", str(shelf), "--postgres-bin", options.bin_option]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "TMPDIR": tempfile.gettempdir()}
    began, took, said = time.perf_counter(), 0.0, ""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None  # noqa: S101  made with a pipe
        for line in process.stderr:
            said += line
            if line.startswith("clone the seed"):
                took = time.perf_counter() - began
    expect(process.returncode == 0 and took > 0, f"the program gave no clone: {said}")
    return took


# ── Where ────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def _places(given: str | None, largest_gb: float) -> Iterator[dict[str, Path]]:
    """The folder for temporary files, and one on each kind of file system with reflinks that is there or can be made."""
    usual = Path(tempfile.gettempdir())
    if given or refers(usual):
        reflinks = Path(given or usual)
        yield {"copies": usual, "reflinks": reflinks} if given else {"reflinks": reflinks}
        return
    with _mounted(["mkfs.xfs", "-q", "-m", "reflink=1"], largest_gb) as xfs, _mounted(["mkfs.btrfs", "-q"], largest_gb) as btrfs:
        yield {"copies": usual, **({"XFS": xfs} if xfs else {}), **({"btrfs": btrfs} if btrfs else {})}


@contextmanager
def _mounted(maker: list[str], largest_gb: float) -> Iterator[Path | None]:
    """A file system in a file; None where that can't be had."""
    path = f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin"
    if os.geteuid() != 0 or shutil.which(maker[0], path=path) is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="mr-bench-") as name:
        image, place = Path(name) / "image", Path(name) / "mounted"
        place.mkdir()
        Path(name).chmod(0o755)
        with image.open("wb") as file:
            file.truncate(int((4 * largest_gb + 2) * 2**30))
        subprocess.run([*maker, str(image)], check=True, env={"PATH": path}, capture_output=True)
        if subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=False, capture_output=True).returncode != 0:
            yield None
            return
        try:
            place.chmod(0o755)
            yield place
        finally:
            if subprocess.run(["umount", str(place)], check=False, capture_output=True).returncode != 0:  # something still ends
                subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def _in(place: Path) -> Iterator[None]:
    """Temporary files go to a place."""
    usual, tempfile.tempdir = tempfile.tempdir, str(place)
    try:
        yield
    finally:
        tempfile.tempdir = usual


def _say(text: str) -> None:
    print(f"{text} …", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
