"""What else is found out about a migration once it was applied: whether all is as it and the team expect, which values its
changes of type changed, whether its way back works, and whether its file can be run twice. The first clone is only read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psycopg

from bot.clones import Clone, Provider
from bot.expectations import Standing, check_expectations, how_they_stand, what_became_of
from bot.model import Rehearsal, Transaction
from bot.progress import Progress
from bot.retyped import type_changes
from bot.shadow import Done, Shadow
from bot.sql import is_one_block, split
from bot.team import Expected
from bot.way_back import second_run, way_back


class Further:
    """Looks into one migration after the other. Without `trials` the shadow only helps to compare values. `standing` is how the
    team's expectations stand before the first one.

    Raises psycopg.Error if the first clone can't be looked at; what goes wrong on the shadow is no reason to lose a rehearsal.
    """

    def __init__(
        self,
        provider: Provider,
        clone: Clone,
        shadow: Shadow,
        progress: Progress,
        *,
        trials: bool,
        expected: Sequence[Expected] = (),
        standing: Standing,
    ) -> None:
        self._provider, self._clone, self._shadow, self._progress = provider, clone, shadow, progress
        self._trials, self._expected, self._standing = trials, expected, standing

    def look_into(self, done: Done) -> Rehearsal:
        """The rehearsal of a migration that was applied, with all that was found out besides."""
        path, limits = done.migration.path, self._shadow.limits
        with self._progress.step(f"check what {path} expects", only_if_long=True):
            patience = limits.counting.within(limits.migration_s)
            expectations = check_expectations(done.migration, self._connect, patience)
            now = how_they_stand(self._expected, self._connect, patience)
            expectations += what_became_of(self._expected, self._standing, now)
            self._standing = now
        with self._progress.step(f"compare values that {path} changed the type of", only_if_long=True):
            types = type_changes(done, self._shadow, limits.counting.within(limits.migration_s))
        rehearsal = replace(done.rehearsal, expectations=expectations, types=types)
        if self._trials and done.migration.down is not None:
            with self._progress.step(f"try the way back of {path}"):
                rehearsal = replace(rehearsal, down=way_back(done, self._shadow))
        outside = rehearsal.transaction is Transaction.NONE and not is_one_block(split(done.migration.text))
        if self._trials and outside and rehearsal.statements_total > 1:
            with self._progress.step(f"run {path} twice"):
                rehearsal = replace(rehearsal, second_run=second_run(done, self._shadow))
        return rehearsal

    def _connect(self) -> psycopg.Connection:
        return self._provider.read(self._clone, own_names=True)
