"""Runs a migration as it is run: a file's statements by us, as its tool would send them, or the tool itself."""

from __future__ import annotations

from pathlib import Path

import psycopg

from bot.applying import Applied, Limits, apply
from bot.commanding import run_command
from bot.layouts import COMMAND
from bot.model import Migration
from bot.postgres.catalog import Snapshot


def perform(
    migration: Migration,
    connection: psycopg.Connection,
    observer: psycopg.Connection | None,
    limits: Limits,
    before: Snapshot | None = None,
) -> Applied:
    """See `apply`; what a command runs has connections of its own, to the database that `connection` is to."""
    if migration.layout == COMMAND.name:
        return run_command(migration.text, Path.cwd(), connection, observer, limits, before)
    return apply(migration, connection, observer, limits, before)
