"""What one journaled step costs, beside what the same server takes for one bare commit."""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.types.json import Jsonb

from bench.machine import server_facts, shown_place
from bench.measure import Section, Work, alternately, differences, expect, number, stats, times
from bot.journal.opening import open_journal
from bot.journal.place import Place
from bot.journal.runs import Journal, Run
from bot.journal.steps import Json, Step
from bot.progress import Progress

_DIRECT, _SYNC, _COMMIT = "the effect alone", "8 kB, fdatasync", "one bare INSERT, committed"
_FIRED, _REPLAYED, _RECORDED = "Run.step, fired", "Run.step, replayed", "Run.record"
_PAGE = b"\0" * 8192


def effect(_key: str = "") -> Json:
    """An effect that does nothing."""
    return {"id": 1}


@dataclass(slots=True)
class _Steps:
    """Steps of one run, each in a place of its own."""

    run: Run
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    last: Step = field(init=False)

    def fire(self) -> None:
        """A new step, whose intent and whose result are committed."""
        self.last = Step(next(self.numbers), "bench", {"body": "x" * 100})
        expect(not self.run.step(self.last, effect).replayed, "a new step was replayed")

    def replay(self) -> None:
        """The last step again, which is done."""
        expect(self.run.step(self.last, effect).replayed, "a step that is done was fired")

    def record(self) -> None:
        """A new fact."""
        self.run.record(Step(next(self.numbers), "fact", {"body": "x" * 100}), effect())


def measure_steps(place: Place, rounds: int, progress: Progress) -> Section:
    """Steps in the journal at a place -> a table."""
    title = f"One journaled step, {shown_place(place)}"
    with progress.step(title), ExitStack() as stack:
        journal = stack.enter_context(open_journal(place, Progress(quiet=True)))
        assert isinstance(journal, Journal)  # noqa: S101  the place names one
        steps = _Steps(stack.enter_context(journal.run("bench")))
        steps.fire()
        works: dict[str, Work] = {_DIRECT: effect}
        if place.folder:
            works[_SYNC] = stack.enter_context(_synced(Path(place.folder)))
        works[_COMMIT] = stack.enter_context(_committed(journal))
        works |= {_RECORDED: steps.record, _REPLAYED: steps.replay, _FIRED: steps.fire}
        samples = alternately(works, rounds, warm_up=max(5, rounds // 20))
        with closing(journal.store.connect()) as connection:
            facts = server_facts(connection)
    return _section(place, title, samples, facts)


def _section(place: Place, title: str, samples: dict[str, list[float]], facts: dict[str, str]) -> Section:
    base, step = stats(samples[_COMMIT]).median, stats(samples[_FIRED]).median
    rows = []
    for name, taken in samples.items():
        said, added = stats(taken), stats(differences(taken, samples[_DIRECT]))
        rows.append((name, times(said.median, base), number(added.median), number(said.median), number(said.p95), str(said.n)))
    return Section(
        name="steps, url" if place.url else "steps, folder",
        title=title,
        columns=("", "× bare commit", "added, median ms", "median ms", "p95 ms", "n"),
        rows=rows,
        unit="ms",
        samples=samples,
        facts=facts,
        notes=(
            "A step looks itself up, and commits twice: the intent and the result. So 2× is the least it could be.",
            f"Of {number(step)} ms, two bare commits are {number(2 * base)}, and {number(step - 2 * base)} are ours.",
            "A fact commits once. A replay commits nothing: it is one question to the server.",
        ),
    )


@contextmanager
def _committed(journal: Journal) -> Iterator[Work]:
    """The cheapest lasting write to the journal's own server: one round trip, prepared, in a table without an index."""
    with closing(journal.store.connect()) as connection:
        connection.prepare_threshold = 0
        connection.execute("CREATE TABLE bench_bare (name text, body jsonb, at timestamptz DEFAULT clock_timestamp())")
        row = ("bench", Jsonb({"body": "x" * 100}))
        try:
            yield lambda: connection.execute("INSERT INTO bench_bare (name, body) VALUES (%s, %s)", row)
        finally:
            connection.execute("DROP TABLE bench_bare")


@contextmanager
def _synced(folder: Path) -> Iterator[Work]:
    """What the disk alone takes: a page of a file that has its size already, written and synced."""
    sync = getattr(os, "fdatasync", os.fsync)
    file = os.open(folder.parent / "sync", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.write(file, _PAGE)
        os.fsync(file)

        def work() -> None:
            os.pwrite(file, _PAGE, 0)
            sync(file)

        yield work
    finally:
        os.close(file)


@contextmanager
def schema_of_its_own(place: Place) -> Iterator[Place]:
    """A place in a schema that is there as long as the block lasts: nothing of the bench stays in somebody's database."""
    assert place.url  # noqa: S101
    name = f"bench_{uuid.uuid4().hex}"
    given = f"{conninfo_to_dict(place.url).get('options') or ''} -csearch_path={name}".strip()
    with closing(psycopg.connect(place.url, autocommit=True)) as admin:
        admin.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        try:
            yield Place(url=make_conninfo(place.url, options=given))
        finally:
            admin.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))
