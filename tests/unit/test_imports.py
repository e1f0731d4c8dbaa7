"""The house: a room imports only rooms above it, and each outside library has its door."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# In walking order. A module may import those before it; inside a folder its own files too.
ROOMS = (
    "team", "stepping_down", "words", "model", "sources", "plain", "program", "errors", "sql", "psql_files", "extensions",
    "layouts", "groups", "discovery", "history", "git", "progress", "command_plan", "held", "copying", "room", "postgres",
    "sealing", "journal", "schema_diff", "diff", "clones", "dumps", "seeds", "kept_seeds", "event", "applying", "commanding",
    "performing", "dependents", "guards", "rehearsal", "standing", "shadow", "way_back", "retyped", "expectations", "further",
    "production", "rules", "verdict", "configuration", "settings", "question", "elsewhere", "run", "timeline", "escaping",
    "markup", "report", "own_template", "exports", "check_run", "github_client", "delivery", "action", "sidecar", "cli",
)  # fmt: skip
DOORS = {
    "sqlglot": {"sql"},
    "psycopg": {
        "postgres",
        "journal",
        "clones",
        "seeds",
        "applying",
        "commanding",
        "performing",
        "rehearsal",
        "standing",
        "shadow",
        "way_back",
        "retyped",
        "expectations",
        "further",
        "elsewhere",
        "run",
    },
    "psycopg_pool": {"journal"},
    "stamina": {"journal"},
    "cryptography": {"sealing"},
    "httpx": {"clones", "dumps", "sidecar"},
    "certifi": {"clones"},
    "starlette": {"sidecar"},
    "uvicorn": {"sidecar"},
    "prometheus_client": {"sidecar"},
    "github": {"github_client"},
    "requests": {"github_client"},
    "msgspec": {"plain"},
    "jinja2": {"markup", "report", "own_template"},
    "markupsafe": {"markup"},
    "markdown_it": {"exports"},
    "rich": {"progress", "report"},
    "zstandard": {"dumps"},
}
FILES = sorted((ROOT / "bot").rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Dotted names of everything a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module == "bot" else {node.module}
    return found


def room(path: Path) -> str:
    return path.relative_to(ROOT / "bot").parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_rooms_above_it(path: Path) -> None:
    own = room(path)
    used = {name.split(".")[1] for name in imports(path) if name.startswith("bot.")} - {"__version__", own}

    assert own == "__init__" or own in ROOMS
    assert {name for name in used if ROOMS.index(name) > ROOMS.index(own)} == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_library_is_used_at_its_door_only(path: Path) -> None:
    used = {name.split(".")[0] for name in imports(path)}

    assert {library for library in used & DOORS.keys() if room(path) not in DOORS[library]} == set()


def test_only_settings_and_the_edges_read_the_environment() -> None:
    readers = {room(path) for path in FILES if "os.environ" in path.read_text()}

    # cli: MIGRATION_REHEARSAL_* as defaults of options; postgres: XDG_CACHE_HOME; commanding, clones: what a command of the
    # user's is told.
    assert readers <= {"settings", "cli", "postgres", "action", "commanding", "clones"}
