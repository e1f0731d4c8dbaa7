"""The reports in this folder, and how each is shown.

    python -m tests.golden.make              renders the kept reports again: after a change of how things are said
    python -m tests.golden.make --rehearse   rehearses the pull requests of cases.py anew before: after a change of what is seen
    … NAME …                                 only these

`NAME.json` is the report of a real run, with its times made steady; `NAME.md` its comment, `NAME.txt` what a terminal shows,
and `statuses.txt` has every commit status. Look at what `git diff tests/golden` says before you commit it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bot import report as rendering
from bot.model import Report
from bot.plain import from_plain
from tests.golden.cases import CASES, Case
from tests.golden.steady import steady

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TIMES = 60  # how often what is made longer has what there is once


def read(text: str) -> Report:
    """A JSON report -> the report."""
    return from_plain(Report, json.loads(text))


def kept() -> dict[str, Report]:
    """All reports that are kept, and those that are made of them."""
    reports = {name: read((HERE / f"{name}.json").read_text(encoding="utf-8")) for name in CASES}
    return reports | _made_of(reports)


def _made_of(reports: Mapping[str, Report]) -> dict[str, Report]:
    """Pull requests with so much in them that their comments are cut: many migrations, and one with many statements."""
    one = reports["green-several"]
    many = [
        replace(m, path=m.path.replace("db/", f"db/{n:03}_"), version=f"{n:03}_{m.version}")
        for n in range(TIMES)
        for m in one.migrations
    ]
    two = reports["warnings"]
    large = two.migrations[0]
    large = replace(
        large,
        statements=large.statements * TIMES,
        statements_total=large.statements_total * TIMES,
        tables=tuple(replace(table, name=f"{table.name}_{n}") for n in range(TIMES) for table in large.tables),
        schema=tuple(replace(change, name=f"{change.name}_{n}") for n in range(TIMES) for change in large.schema),
    )
    return {
        "many-migrations": replace(one, migrations=tuple(many)),
        "many-statements": replace(two, migrations=(large,), findings=tuple(f for f in two.findings if f.path == large.path)),
    }


def shown(reports: Mapping[str, Report]) -> dict[str, str]:
    """Reports -> the files that show them, by their names."""
    files = {f"{name}.md": rendering.comment(report) for name, report in reports.items()}
    files |= {f"{name}.txt": rendering.text(report) for name, report in reports.items()}
    return files | {"statuses.txt": "".join(f"{name}: {rendering.status(report)}\n" for name, report in reports.items())}


def rehearsed(case: Case) -> Report:
    """The report about a pull request, in a repository of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the account of the journal's server goes through it
        _write(folder, case.base)
        _git(folder, "init", "-q", "-b", "main")
        _commit(folder)
        _git(folder, "switch", "-q", "-c", "change")
        _write(folder, case.files)
        _commit(folder)
        arguments = ["--base", "main", "--format", "json", "--quiet", *case.arguments]
        if case.seed is not None:
            (folder / ".git/info/exclude").write_text("/seed.sql\n")  # it is no file of the pull request
            (folder / "seed.sql").write_text(case.seed, encoding="utf-8")
            arguments += ["--seed", "seed.sql"]
        if case.twice:
            arguments += ["--journal", str(folder / ".git" / "journal")]
        for _time in range(2 if case.twice else 1):
            done = _program(folder, arguments)
    if not done.stdout:
        sys.exit(f"It gave no report:\n{done.stderr}")
    return read(done.stdout)


def _program(folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """The command line, where a tool finds the Python that we run in."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    command = [sys.executable, "-m", "bot.cli", "rehearse", *arguments]
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")


def _commit(folder: Path) -> None:
    _git(folder, "add", ".")
    _git(folder, "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false", "commit", "-qm", "more")


def _git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True)


def main() -> None:
    """Writes the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(CASES))
    parser.add_argument("--rehearse", action="store_true", help="rehearse anew")
    options = parser.parse_args()
    if unknown := set(options.names) - CASES.keys():
        parser.error(f"there is no {', '.join(sorted(unknown))} in cases.py")
    for name in (options.names or CASES) if options.rehearse else ():
        report = steady(rehearsed(CASES[name]))
        (HERE / f"{name}.json").write_text(rendering.to_json(report), encoding="utf-8")
        print(f"{name}: {rendering.status(report)}", flush=True)
    for file, text in shown(kept()).items():
        (HERE / file).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
