"""`make demo`: rehearses a small pull request on a shop database of 1.3 million rows, and says where the report is."""

from __future__ import annotations

import sys
from pathlib import Path

from bot.cli import main

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def demo() -> int:
    """Runs the command line as a user would; that a migration fails is what it is meant to show."""
    files = [str(path.relative_to(ROOT)) for path in sorted((HERE / "migrations").glob("*.sql"))]
    target = ROOT / "demo"
    target.mkdir(exist_ok=True)
    outputs = [target / "report.md", target / "report.json"]
    seed = (HERE / "seed.sql").relative_to(ROOT)
    print(f"migration-rehearsal rehearse {(HERE / 'migrations').relative_to(ROOT)}/*.sql --seed {seed}\n", flush=True)
    arguments = ["rehearse", *files, "--seed", str(seed)]
    for output in outputs:
        arguments += ["--output", str(output)]
    status = main(arguments)
    if status > 1:
        return status
    print("\nThe pull request comment and the JSON report:")
    for output in outputs:
        print(f"  {output.relative_to(ROOT)}")
    print(f"Exit status of the rehearsal: {status} ({'a migration fails' if status else 'all passed'}).")
    return 0


if __name__ == "__main__":
    import os

    os.chdir(ROOT)
    sys.exit(demo())
