"""Other tools that judge a migration, run as their READMEs say, and what each said of one file.

They come from the package registries into a folder of the cache: the dependency group `bench` of pyproject.toml into a virtual
environment, the packages below by npm. None is needed by the program.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg import sql

from bench.labels import Case, make
from bench.measure import expect
from bot.postgres.binaries import Needs, choose
from bot.postgres.embedded import Server, embedded_server

_ROOT = Path(__file__).parents[1]
_NPM = ("@flvmnt/pgfence@0.1.5", "@postgrestools/postgrestools@0.25.7")
# PostgreSQL does not copy a database that somebody is connected to: those who look at it, and our program, have one of their own.
_DATABASE, _LOOKED_AT, _TEMPLATE, OWNER = "labelled", "looked_at", "template_of_ours", "shop"
_numbers = count()


@dataclass(frozen=True, slots=True)
class Said:
    """One thing that a tool said. `alarm`: its own severity is a warning or more."""

    rule: str
    alarm: bool
    text: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """The database, and where the tools are."""

    server: Server
    schema: str  # of the database before, by pg_dump
    cache: Path
    folder: Path  # for what is written meanwhile

    def url(self, database: str) -> str:
        """For tools that take a URL."""
        return f"postgresql://{OWNER}@{quote(str(self.server.folder), safe='')}/{database}"

    def program(self, name: str) -> str:
        """A tool of the cache."""
        return str(
            next(path for path in (self.cache / "venv/bin" / name, self.cache / "node_modules/.bin" / name) if path.exists())
        )


@dataclass(frozen=True, slots=True)
class Tool:
    """A way to judge a file."""

    name: str
    version: Callable[[Place], str]
    ask: Callable[[Place, Case], list[Said]]
    rows: str  # what it says of rows
    registry: str = ""  # "npm": only where there is npm


@contextmanager
def place(cache_folder: Path) -> Iterator[Place]:
    """Makes the database, and gets the tools."""
    install(cache_folder)
    with embedded_server(choose(Needs(), None)) as server, tempfile.TemporaryDirectory(prefix="mr-bench-") as name:
        with server.connect("postgres") as admin:
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(OWNER)))
            admin.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(_DATABASE), sql.Identifier(OWNER)))
            with server.connect(_DATABASE, user=OWNER) as connection:
                make(admin, connection)
            for other in (_LOOKED_AT, _TEMPLATE):
                admin.execute(_copied(other))
        with server.connect(_LOOKED_AT, user=OWNER) as connection:
            connection.execute("VACUUM ANALYZE")  # a copy has no statistics, and one of them asks how large tables are
        yield Place(server, _schema(server, _DATABASE), cache_folder, Path(name))


def install(folder: Path) -> None:
    """Puts the tools into a folder, unless what is there is what is asked for."""
    group = (_ROOT / "pyproject.toml").read_text().partition("\nbench = [")[2].partition("\n]")[0]
    asked = json.dumps([group, _NPM, sys.version])
    mark = folder / "asked.json"
    if mark.exists() and mark.read_text() == asked:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    _output([sys.executable, "-m", "venv", str(folder / "venv")])
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    _output([*pip, "--upgrade", "pip>=25.1"])
    _output([*pip, "--group", f"{_ROOT / 'pyproject.toml'}:bench"])
    if shutil.which("npm"):
        _output(["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), *_NPM])
    mark.write_text(asked)


def tools() -> list[Tool]:
    """All, in the order of the table; ours first."""
    return [
        Tool("migration-rehearsal", lambda at: _version(at, [*_OURS, "--version"]), _ours, "counts them"),
        Tool("psql on a copy", lambda at: at.server.binaries.version, _psql, "no"),
        Tool("psql, pg_dump -s, diff", lambda at: at.server.binaries.version, _pg_dump, "no"),
        Tool("psql, migra", lambda at: _package(at, "migra"), _migra, "no"),
        Tool("squawk", lambda at: _package(at, "squawk-cli"), _squawk, "no"),
        Tool("safemigrate-lint", lambda at: _package(at, "safemigrate-lint"), _safemigrate, "no"),
        Tool("pgfence", lambda at: _version(at, [at.program("pgfence"), "--version"]), _pgfence, "no", "npm"),
        Tool(
            "pgfence --db-url",
            lambda at: _version(at, [at.program("pgfence"), "--version"]),
            _pgfence_sized,
            "the planner's estimate of a table",
            "npm",
        ),
        Tool(
            "postgrestools, database",
            lambda at: _version(at, [at.program("postgrestools"), "--version"]),
            _postgrestools,
            "no",
            "npm",
        ),
    ]


def _version(_at: Place, command: Sequence[str]) -> str:
    found = re.search(r"\d+(\.\d+)+", _output(command))
    return found[0] if found else "?"


@cache
def _packages(python: str) -> Mapping[str, str]:
    return {one["name"].lower(): one["version"] for one in json.loads(_output([python, "-m", "pip", "list", "--format", "json"]))}


def _package(at: Place, name: str) -> str:
    return _packages(str(at.cache / "venv/bin/python"))[name]


def _output(
    command: Sequence[str], well: Sequence[int] = (0,), folder: Path | None = None, more: Mapping[str, str] | None = None
) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=folder, env={**os.environ, **(more or {})})
    expect(done.returncode in well, f"{command[0]} ended with {done.returncode}: {done.stderr[-600:] or done.stdout[-600:]}")
    return done.stdout


@contextmanager
def _files(at: Place, case: Case) -> Iterator[list[Path]]:
    """The file, and its way back if it has one, in a folder of their own, under names that tell no label."""
    with tempfile.TemporaryDirectory(prefix="mr-files-", dir=at.folder) as name:
        folder = Path(name)
        if case.layout == "plain":
            made = {folder / "1_change.sql": case.up}
        else:
            made = {folder / "1_change.up.sql": case.up, **({folder / "1_change.down.sql": case.down} if case.down else {})}
        for path, text in made.items():
            path.write_text(text)
        yield list(made)


# ── Ours ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────

_OURS = [sys.executable, str(_ROOT / "entrypoint.py")]


def _ours(at: Place, case: Case) -> list[Said]:
    """With the same server as the others, whose database is the template of a clone."""
    command = [*_OURS, "rehearse", "--quiet", "--format", "json", "--clone-provider", "server", "--layout", case.layout]
    given = {"MIGRATION_REHEARSAL_CLONE_URL": at.url(_TEMPLATE)}
    with _files(at, case) as files:
        text = _output([*command, str(files[0])], (0, 1), files[0].parent, given)
    return [Said(one["rule"], one["severity"] != "notice", one["message"]) for one in json.loads(text)["findings"]]


# ── On a copy of the data ────────────────────────────────────────────────────────────────────────────────────────────────────


def _at(server: Server) -> list[str]:
    return ["-h", str(server.folder), "-U", OWNER]


def _schema(server: Server, database: str) -> str:
    return _output([server.binaries.tool("pg_dump"), *_at(server), "--schema-only", database])


def _copied(name: str) -> sql.Composed:
    made = sql.SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY FILE_COPY")
    return made.format(sql.Identifier(name), sql.Identifier(_DATABASE), sql.Identifier(OWNER))


@contextmanager
def _copy(at: Place) -> Iterator[str]:
    name = f"copy{next(_numbers)}"
    with at.server.connect("postgres") as admin:
        admin.execute(_copied(name))
        try:
            yield name
        finally:
            admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _run(at: Place, case: Case, database: str) -> list[Said]:
    """What psql says of the file, and of its way back."""
    with _files(at, case) as files:
        for path in files:
            in_one = ["--single-transaction"] if case.layout == "plain" and case.proof.run != "psql" else []
            command = [
                "psql",
                *_at(at.server),
                "-d",
                database,
                "--no-psqlrc",
                "-q",
                "-v",
                "ON_ERROR_STOP=1",
                *in_one,
                "-f",
                str(path),
            ]
            done = subprocess.run(command, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                return [Said("way back fails" if path.name.endswith(".down.sql") else "fails", True, done.stderr.strip()[-300:])]
    return []


def _psql(at: Place, case: Case) -> list[Said]:
    with _copy(at) as database:
        return _run(at, case, database)


def _pg_dump(at: Place, case: Case) -> list[Said]:
    """The schema before and after, object by object. What is only added is no alarm; what is gone or changed is one."""
    with _copy(at) as database:
        said = _run(at, case, database)
        before, after = _objects(at.schema), _objects(_schema(at.server, database))
    if case.down:
        return [*said, *([] if before == after else [Said("way back leaves a difference", True)])]
    for (kind, name), lines in before.items():
        now = after.get((kind, name))
        if now is None:
            said.append(Said(f"gone: {kind}", True, name))
        elif now != lines:
            said.append(Said(f"{'changed' if lines - now else 'grown'}: {kind}", bool(lines - now), name))
    return [*said, *(Said(f"new: {kind}", False, name) for kind, name in after.keys() - before.keys())]


def _objects(schema: str) -> dict[tuple[str, str], frozenset[str]]:
    """The lines of each object of a dump, without commas at their ends: a column more puts one there."""
    parts = re.split(r"^-- Name: (.*); Type: (.*); Schema: .*$", schema, flags=re.MULTILINE)
    found = zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    return {(kind.lower(), name): frozenset(_lines(body)) for name, kind, body in found}


def _lines(body: str) -> Iterator[str]:
    """Without what pg_dump writes by chance."""
    return (line.rstrip(",") for line in body.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def _migra(at: Place, case: Case) -> list[Said]:
    """It calls a difference unsafe that drops something, and no other."""
    with _copy(at) as database:
        said = _run(at, case, database)
        command = [
            at.program("migra"),
            "--unsafe",
            "--with-privileges",
            *(f"postgresql://{OWNER}@/{name}?host={at.server.folder}" for name in (_LOOKED_AT, database)),
        ]
        statements = [one.strip() for one in _output(command, (0, 2)).split(";\n\n") if one.strip()]
    if case.down:
        return [*said, *([Said("way back leaves a difference", True)] if statements else [])]
    return [*said, *(Said(_shape(one), "drop " in one, one[:200]) for one in statements)]


def _shape(statement: str) -> str:
    """What a statement does, without names."""
    for shape in (r"\bdrop (not null|\w+)", r"\balter column", r"^\w+ \w+"):
        if words := re.search(shape, statement):
            return words[0]
    return "statement"


# ── Linters ──────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _squawk(at: Place, case: Case) -> list[Said]:
    with _files(at, case) as files:
        found = json.loads(_output([at.program("squawk"), "--reporter", "json", *map(str, files)], (0, 1)))
    return [Said(one["rule_name"], one["level"] in ("Warning", "Error"), one["message"]) for one in found]


def _safemigrate(at: Place, case: Case) -> list[Said]:
    with _files(at, case) as files:
        found = json.loads(_output([at.program("safemigrate-lint"), *map(str, files)], (0, 1)))
    return [Said(one["rule_id"], one["severity"] in ("warning", "critical"), one["message"]) for one in found]


def _pgfence(at: Place, case: Case, more: Sequence[str] = ()) -> list[Said]:
    """Risks from MEDIUM on are alarms: its README's gate for CI."""
    with _files(at, case) as files:
        command = [at.program("pgfence"), "analyze", "--output", "json", *more, *map(str, files)]
        results: list[Any] = json.loads(_output(command, (0, 1)))["results"]
    said = []
    for result in results:
        for one in result["checks"]:
            said.append(Said(one["ruleId"], _risk(one) in ("MEDIUM", "HIGH", "CRITICAL"), one["message"]))
        said += [
            Said(one["ruleId"], one["severity"] in ("warning", "error"), one["message"]) for one in result["policyViolations"]
        ]
    return said


def _risk(check: Mapping[str, Any]) -> str:
    return str(check.get("adjustedRisk") or check["risk"])


def _pgfence_sized(at: Place, case: Case) -> list[Said]:
    return _pgfence(at, case, ("--db-url", at.url(_LOOKED_AT)))


def _postgrestools(at: Place, case: Case) -> list[Said]:
    """With the database of before, in which it looks names up."""
    with _files(at, case) as files:
        options = ["--reporter", "json", "--connection-string", at.url(_LOOKED_AT)]
        found = json.loads(
            _output([at.program("postgrestools"), "check", *options, *(path.name for path in files)], (0, 1), files[0].parent)
        )
    return [
        Said(one["category"], one["severity"] in ("warning", "error", "fatal"), one["message"]) for one in found["diagnostics"]
    ]
