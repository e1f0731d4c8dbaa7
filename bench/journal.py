"""What the journal costs: `python -m bench.journal`, or `make bench-journal`.

Tables on standard output, progress on standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from bench.action import measure_action
from bench.machine import load, machine_facts
from bench.measure import Section, table
from bench.results import publish, whole
from bench.sidecar import Extent, measure_sidecar
from bench.steps import measure_steps, schema_of_its_own
from bot.cli import stop_in_order_on_sigterm
from bot.errors import RehearsalError
from bot.held import held, make_folder
from bot.journal.place import Place
from bot.progress import Progress

_PARTS = ("steps", "action", "sidecar")
_FULL = Extent(payloads=(("1 kB", 1024, 400, 1.0), ("1 MB", 2**20, 100, 2.0)), callers=(1, 8, 32), slices=3)
_QUICK = Extent(payloads=(("1 kB", 1024, 30, 0.2), ("1 MB", 2**20, 5, 0.2)), callers=(1, 8), slices=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures, and gives the exit status: no time is judged, 1 says that something could not be measured."""
    stop_in_order_on_sigterm()
    options = _parser().parse_args(arguments)
    facts = machine_facts(options.postgres_bin)
    print(table(("measured on", ""), [(name, value) for name, value in facts.items()]), end="\n\n")
    sections = []
    try:
        for section in _sections(options, Progress()):
            print(section.text(), flush=True)
            sections.append(section)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except RehearsalError as error:
        print("\n".join(error.lines()), file=sys.stderr)
        return 1
    facts["load after"] = load()
    print(f"Load of the machine: {facts['load before']} before, {facts['load after']} after.")
    if options.json:
        Path(options.json).write_text(json.dumps(whole(facts, sections, quick=options.quick), indent=1) + "\n")
    if not options.quick and not options.only and not options.journal_url:
        publish("journal", "Journal", _HEAD, facts, sections, ())
    return 0


_HEAD = "`make bench-journal`; [what is measured](README.md#what-the-journal-costs). Trust the ratios, not the seconds."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.journal", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a look in about 20 s, too short to be quoted")
    parser.add_argument("--only", choices=_PARTS, action="append", help="one part; may be repeated (default: all)")
    parser.add_argument("--json", metavar="FILE", help="write all samples there")
    parser.add_argument("--journal-url", metavar="URL", help="measure a journal there too, in a schema that is dropped again")
    parser.add_argument("--steps", type=int, metavar="N", help="journaled steps (300; quick: 40)")
    parser.add_argument("--runs", type=int, metavar="K", help="runs of the action of each kind (7; quick: 1)")
    parser.add_argument("--seed-rows", type=int, metavar="N", help="rows of the seed (200000; quick: 20000)")
    parser.add_argument(
        "--postgres-bin",
        metavar="DIR",
        default=os.environ.get("MIGRATION_REHEARSAL_POSTGRES_BIN"),
        help="folder with PostgreSQL's programs, or `wheel`",
    )
    return parser


def _sections(options: argparse.Namespace, progress: Progress) -> Iterator[Section]:
    """Each table as soon as it is there."""
    parts, quick = options.only or _PARTS, options.quick
    if "steps" in parts:
        for place in _places(options):
            with _opened(place) as opened:
                yield measure_steps(opened, options.steps or (40 if quick else 300), progress)
    if "action" in parts:
        with _folder() as folder:
            rows = options.seed_rows or (20_000 if quick else 200_000)
            runs = options.runs or (1 if quick else 7)
            yield measure_action(folder, runs, rows, options.postgres_bin, progress, quick=quick)
    if "sidecar" in parts:
        for place in _places(options):
            with _opened(place) as opened:
                yield from measure_sidecar(opened, _QUICK if quick else _FULL, progress)


def _places(options: argparse.Namespace) -> list[Place]:
    """Where journals are to be: in a folder, whose name comes later, and at the URL."""
    return [Place(postgres_bin=options.postgres_bin), *([Place(url=options.journal_url)] if options.journal_url else [])]


@contextmanager
def _opened(place: Place) -> Iterator[Place]:
    """A place of our own, of which nothing is left."""
    with ExitStack() as stack:
        if place.url:
            yield stack.enter_context(schema_of_its_own(place))
        else:
            yield replace(place, folder=str(stack.enter_context(_folder()) / "journal"))


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that is gone when we are. Others may go through it: as root, PostgreSQL runs as somebody else."""
    folder = make_folder("mr-bench-")
    folder.chmod(0o711)
    with held(folder):
        yield folder


if __name__ == "__main__":
    sys.exit(main())
