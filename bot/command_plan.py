"""A migration tool's command line -> a plan: what is rehearsed is the command, after the base branch's files were brought in."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from bot.errors import UsageError
from bot.git import Repository, open_repository
from bot.layouts import COMMAND
from bot.model import BaseCommand, Migration, Plan
from bot.words import name

NOTHING = "none"  # as a base's command: nothing is to be run before


@dataclass(frozen=True, slots=True)
class Commands:
    """Command lines: `up` migrates, `down` undoes what it did, `base` brings the seed to where the base branch is."""

    up: str
    down: str | None = None
    base: str | None = None


def plan_command(commands: Commands, base: str | None, folder: Path, scratch: Path) -> Plan:
    """The plan of a command that is run in `folder`. The base branch's files are written to `scratch`, where the same command is
    run first, unless another one is given, or `none`.

    Raises UsageError where a base is named, or needed, that is not there.
    """
    migration = Migration(commands.up, "command", COMMAND.name, commands.up, commands.down)
    repository, why = _repository(base, folder)
    tree = _identity(repository, folder) if repository else uuid.uuid4().hex  # nobody knows what it may read: nothing is replayed
    line = commands.base or commands.up
    if line == NOTHING:
        return Plan((migration,), reason="command: on the seed as it is", tree=tree)
    if repository is None:
        if commands.base:
            raise UsageError(f"There is no base branch to run {name(line)} on: {why}", advice="Name it with --base.")
        return Plan((migration,), reason=f"command: on the seed as it is, as there is no base branch: {why}", tree=tree)
    repository.export_base(scratch)
    there = scratch / _below(repository, folder)
    if not there.is_dir():
        return Plan((migration,), reason=f"command: {name(repository.base_name)} has no such folder", tree=tree)
    reason = f"command: after {name(line)} on the files of {name(repository.base_name)}"
    return Plan((migration,), reason=reason, base_command=BaseCommand(line, str(there)), tree=tree)


def _below(repository: Repository, folder: Path) -> Path:
    return folder.resolve().relative_to(repository.top.resolve())


def _identity(repository: Repository, folder: Path) -> str:
    """The same files are another question in another folder: of several services, each with a tool of one name."""
    return f"{repository.identity()}:{_below(repository, folder)}"


def _repository(base: str | None, folder: Path) -> tuple[Repository | None, str]:
    """The repository around a folder, or why there is none."""
    try:
        return open_repository(folder, base), ""
    except UsageError as error:
        if base:
            raise
        return None, error.what
