"""Rehearses a whole history of migrations and compares its last schema with what plain psql gives. Of a tool that is psql itself,
psql gets the files as they are, in the folder in which that starts it.

    python -m tests.postgres.replay FOLDER [--seed DUMP] [--layout L] [--postgres-bin DIR]

Prints one line and exits 1 where `pg_dump -s` of the two differ. Not a test: a tool that a test uses too.
"""

from __future__ import annotations

import argparse
import difflib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from psycopg import sql

from bot import dumps, seeds
from bot.clones.embedded import SEED, EmbeddedProvider
from bot.discovery import Known, plan_changes
from bot.extensions import HARMLESS, created_in
from bot.layouts import named
from bot.model import FileChange, FileStatus, Migration, Outcome, Plan, Rehearsal
from bot.postgres.binaries import Needs, choose, newest
from bot.postgres.embedded import SUPERUSER, Server, embedded_server
from bot.postgres.roles import settle
from bot.progress import Progress
from bot.run import rehearse_all
from bot.settings import Settings


@dataclass(frozen=True, slots=True)
class Replay:
    """What came of a history: the rehearsals, and the two schemas."""

    plan: Plan
    rehearsals: Sequence[Rehearsal]
    rehearsed_schema: str
    psql_schema: str
    server_version: str

    @property
    def same(self) -> bool:
        return self.rehearsed_schema == self.psql_schema

    def difference(self) -> str:
        return "\n".join(
            difflib.unified_diff(
                self.psql_schema.splitlines(), self.rehearsed_schema.splitlines(), "psql", "rehearsed", "", "", 2
            )
        )


def plan_folder(folder: Path, layout: str | None = None, values: Mapping[str, str] | None = None) -> Plan:
    """Every migration of a folder, as if a pull request added it whole."""
    paths = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if path.is_file()]
    changes = [FileChange(path, FileStatus.ADDED) for path in paths]
    read = lambda path: (folder / path).read_bytes()  # noqa: E731
    return plan_changes(changes, [], read, read, layout=layout, folders=["."], known=Known(values or {}))


def replay(
    folder: Path,
    *,
    seed: Path | None = None,
    layout: str | None = None,
    postgres_bin: str | None = None,
    values: Mapping[str, str] | None = None,
    rows: bool = False,
) -> Replay:
    """Rehearses a history and runs it with plain psql, on one server. `values`: of placeholders; `rows`: compare these, too."""
    plan = plan_folder(folder, layout, values)
    progress = Progress(quiet=True)
    needs = Needs(extensions=created_in(plan.migrations))
    with tempfile.TemporaryDirectory() as scratch:
        dump = (
            dumps.open_seed(dumps.locate(str(seed), Path(scratch), progress), Path(scratch), newest(postgres_bin), progress)
            if seed
            else None
        )
        needs = Needs(max(needs.major, dump.needs.major), "", needs.extensions | dump.needs.extensions) if dump else needs
        with embedded_server(choose(needs, postgres_bin)) as server:
            if dump:
                seeds.restore(server, dump, progress)
            else:
                seeds.create_empty(server)
            role = settle(server, SEED)
            seeds.finish(server, "history", "", None, progress)
            provider = EmbeddedProvider(server, role=role, may_create=HARMLESS)
            with provider.clone() as clone:
                rehearsals = list(rehearse_all(plan.migrations, provider, clone, Settings(), progress))
                rehearsed = _dumped(server, clone.name, rows=rows)
            _run_with_psql(server, plan.migrations, role, folder, values or {})
            return Replay(plan, rehearsals, rehearsed, _dumped(server, "plain", rows=rows), server.binaries.version)


def _run_with_psql(server: Server, migrations: Sequence[Migration], role: str, folder: Path, values: Mapping[str, str]) -> None:
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("CREATE DATABASE plain TEMPLATE seed OWNER {}").format(sql.Identifier(role)))
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(folder, Path(scratch) / "files"))
        for path in (Path(scratch), *Path(scratch).rglob("*")):  # the server's account reads them
            path.chmod(0o755 if path.is_dir() else 0o644)
        for migration in migrations:
            _run_one_with_psql(server, migration, role, copy, values)


def _run_one_with_psql(server: Server, migration: Migration, role: str, folder: Path, values: Mapping[str, str]) -> None:
    start = named(migration.layout).psql
    given = [part for name, value in values.items() for part in ("-v", f"{name}={value}")]
    where = folder / start(PurePosixPath(migration.path), "") if start else folder
    file = str((folder / migration.path).relative_to(where)) if start else "-"
    options = server.account.popen_arguments()
    psql = subprocess.run(
        [server.binaries.tool("psql"), "-X", "-q", *given, "-v", "ON_ERROR_STOP=1", "-d", "plain", "-f", file],
        input=b"" if start else migration.text.encode(),
        capture_output=True,
        check=False,
        **(options | {"env": {**options["env"], "PGHOST": str(server.folder), "PGUSER": role}, "cwd": where}),  # type: ignore[call-overload,dict-item]
    )
    if psql.returncode:
        raise RuntimeError(f"psql fails on {migration.path}: {psql.stderr.decode(errors='replace')}")


def _dumped(server: Server, database: str, *, rows: bool) -> str:
    dump = server.run_tool("pg_dump", *(() if rows else ("-s",)), "-d", database, user=SUPERUSER)
    out, error = dump.communicate()
    if dump.returncode:
        raise RuntimeError(error.decode(errors="replace"))
    return "\n".join(line for line in out.decode().splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--seed", type=Path)
    parser.add_argument("--layout")
    parser.add_argument("--postgres-bin")
    options = parser.parse_args()
    worst = 0
    for folder in options.folders:
        done = replay(folder, seed=options.seed, layout=options.layout, postgres_bin=options.postgres_bin)
        failed = [r for r in done.rehearsals if r.outcome is not Outcome.APPLIED]
        word = "same schema as psql" if done.same and not failed else "DIFFERS"
        print(f"{folder.name}: {len(done.rehearsals)} migrations ({done.plan.reason}), PostgreSQL {done.server_version}: {word}")
        for rehearsal in failed[:1]:
            print(f"  {rehearsal.path}: {rehearsal.outcome} {rehearsal.error}")
        if not done.same:
            print(done.difference()[:4000])
        worst |= bool(failed) or not done.same
    return worst


if __name__ == "__main__":
    sys.exit(main())
