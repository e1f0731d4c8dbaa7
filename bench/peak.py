"""Runs the command line, or the action, and writes the most memory that its process had (kB) to a file:
`python -m bench.peak FILE [ARGUMENT …]`; without arguments the action.
"""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path


def main() -> None:
    """What a parent is told of a child's memory may be its own, from before the child became another program."""
    file = Path(sys.argv[1])
    sys.argv = ["entrypoint.py", *sys.argv[2:]]
    try:
        runpy.run_path(str(Path(__file__).parents[1] / "entrypoint.py"), run_name="__main__")
    finally:
        found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
        file.write_text(found[1] if found else "0")


if __name__ == "__main__":
    main()
