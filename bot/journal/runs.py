"""Runs: steps that happen once, facts that are found out once.

A step: look it up; commit the intent; fire; commit the result. Done: the stored response is given and nothing is fired. In doubt
(an intent without result): the effect is looked for; if there is no way to look and it may not happen twice, nobody guesses.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from typing import Protocol

from bot.errors import BusyError, EffectError, FencedError, InDoubtError, JournalError, SealedError, UnreachableError
from bot.journal.holder import shown, this_process
from bot.journal.steps import Json, Kind, Lease, Recorded, State, Step, StepRow, run_id_of
from bot.journal.store import Store
from bot.sealing import Seal

LEASE_S = 30.0
_TRIES = 4
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # goes on while the machine sleeps

Fire = Callable[[str], Json]  # takes an idempotency key, gives the response
Waiting = Callable[[str], None]  # is told who has the run
Look = Callable[[], Json | None]  # gives the response of an effect that is there


class Steps(Protocol):
    """What an effect needs of a run; a run without a journal can do it too. `key` is empty there; `id` names the run, and what it
    makes elsewhere.
    """

    key: str
    id: str

    def step(self, step: Step, fire: Fire, look: Look | None = None) -> Recorded:
        """Makes an effect happen once."""

    def recall(self, step: Step, *, of_any_run: bool = False) -> Recorded | None:
        """A fact that was found out before."""

    def record(self, step: Step, response: Json) -> None:
        """Keeps a fact."""

    def steps_from(self, step_id: int) -> list[StepRow]:
        """What was begun before of the steps from a place on."""

    def retire(self) -> None:
        """Has the run's answer not be given again."""


class Unjournaled:
    """Steps without a journal: each is looked for before it is fired, where there is a way, and nothing is remembered."""

    key = ""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex

    def step(self, step: Step, fire: Fire, look: Look | None = None) -> Recorded:
        """See Steps. Raises what `fire` raises."""
        found = look() if look and step.lasting else None
        if found is None:
            found = fire_patiently(fire, look, uuid.uuid4().hex, repeatable=step.repeatable)
        return Recorded(found, datetime.now(UTC), replayed=False)

    def recall(self, step: Step, *, of_any_run: bool = False) -> Recorded | None:  # noqa: ARG002
        """See Steps: nothing is remembered."""
        return None

    def record(self, step: Step, response: Json) -> None:
        """See Steps: nothing is remembered."""

    def steps_from(self, step_id: int) -> list[StepRow]:  # noqa: ARG002
        """See Steps: nothing is remembered."""
        return []

    def retire(self) -> None:
        """See Steps: nothing is remembered."""


class NoJournal:
    """Runs without a journal; `lost`: why, if there was to be one."""

    def __init__(self, lost: JournalError | None = None) -> None:
        self.lost = lost

    @contextmanager
    def run(self, _key: str, *, anew: bool = False, waiting: Waiting = lambda _who: None) -> Iterator[Unjournaled]:  # noqa: ARG002
        """See Journal."""
        yield Unjournaled()


class Run:
    """One journaled execution, of which this process has the lease. May be used by many threads, each with its own steps."""

    def __init__(self, journal: Journal, lease: Lease, *, anew: bool) -> None:
        self._journal, self._store, self.lease = journal, journal.store, lease
        self.run_id, self.key, self.id = lease.run_id, lease.key, lease.run_id.hex
        self._anew = anew
        self._fired = journal.fired(lease)
        self._keys: dict[int, str] = {}  # those that an earlier try was made with
        self._good_until = _now() + journal.lease_s
        self._fenced = False
        self._finished = lease.finished
        self._retired = False
        self._lost = False

    # ── Effects ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def step(self, step: Step, fire: Fire, look: Look | None = None) -> Recorded:
        """Makes an effect happen once. `fire` takes an idempotency key, which stays the same for every attempt, and gives the
        response; `look` gives the response of an effect that is there already, or None.

        Raises what `fire` raises; DriftError, InDoubtError, FencedError, UnreachableError.
        """
        try:
            if not self._lost:
                return self._begun(step, look) or self._fire(step, fire, look)
        except UnreachableError as error:
            self.go_on_or_raise(error)
        return Unjournaled().step(step, fire, look)

    def _begun(self, step: Step, look: Look | None) -> Recorded | None:
        """Finds a step done, or commits the intent to fire it now."""
        self._journal.at(step, "before intent")
        before = self._intend(step)
        if before and before.state is State.DONE:
            if not step.lasting or look is None or look() is not None:
                return self._recorded(step, before, look)
            self._intend(step, again=True)  # others have undone it: a comment deleted, a status overwritten
        elif before and before.state is State.IN_DOUBT and not self._only_intended(before):
            if look and (found := look()) is not None:
                return self._complete(step, found)
            if look is None and not step.repeatable:
                raise _in_doubt(self, step, before)
            self._intend(step, again=True)
        self._journal.at(step, "after intent")
        return None

    def _intend(self, step: Step, *, again: bool = False) -> StepRow | None:
        known = None if again else self._store.look_up(self.lease, step)
        if known and known.state is State.DONE:
            return known
        asked = _now()
        before = self._store.intend(self.lease, self._journal.lease_s, step, self._idempotency_key(step), again=again)
        self._good_until = asked + self._journal.lease_s
        if before:
            self._keys[step.step_id] = before.idempotency_key
        return before

    def _only_intended(self, before: StepRow) -> bool:
        """Whether this very process committed the intent and never fired: the commit's answer was lost, and it asked again."""
        return before.token == self.lease.token and before.step_id not in self._fired

    def _fire(self, step: Step, fire: Fire, look: Look | None) -> Recorded:
        self._fired.add(step.step_id)

        def fire_if_mine(key: str) -> Json:
            self.check()
            return fire(key)

        guarded: AbstractContextManager[None] = self._store.alone(step.alone) if step.alone else nullcontext()
        try:
            with guarded:
                response = fire_patiently(fire_if_mine, look, self._idempotency_key(step), repeatable=step.repeatable)
        except EffectError as error:
            settle = self._store.not_done if error.not_done else self._store.in_doubt
            with suppress(JournalError):  # what went wrong first is what is told
                settle(self.lease, self._journal.lease_s, step, error.what)
            raise
        self._journal.at(step, "after effect")
        return self._complete(step, response)

    def _complete(self, step: Step, response: Json) -> Recorded:
        asked = _now()
        try:
            self._store.complete(self.lease, self._journal.lease_s, step, self._stored(step, response))
        except UnreachableError as error:
            self.go_on_or_raise(error)
        self._good_until = asked + self._journal.lease_s
        self._journal.at(step, "after result")
        return Recorded(response, datetime.now(UTC), replayed=False, key=self.key)

    def check(self) -> None:
        """Raises FencedError if another process has taken over: asked right before anything is fired."""
        if self._fenced or _now() >= self._good_until:
            self._store.renew(self.lease, self._journal.lease_s)
            self._good_until = _now() + self._journal.lease_s

    def _idempotency_key(self, step: Step) -> str:
        """The same for every attempt of a step, and for nothing else: the first attempt's."""
        return self._keys.get(step.step_id) or step.key or uuid.uuid5(self.run_id, f"{step.step_id}:{step.name}").hex

    def go_on_or_raise(self, error: UnreachableError) -> None:
        """Goes on without the journal, if that was asked for; to wait for it again at each step would take for ever."""
        if not self._journal.go_on:
            raise error
        self._lost = True
        self._journal.lost = error

    # ── Facts ────────────────────────────────────────────────────────────────────────────────────────────────────────────

    def recall(self, step: Step, *, of_any_run: bool = False) -> Recorded | None:
        """A fact that this run found out before, or `of_any_run` that had the same request; not where all is to be found out
        anew. Raises DriftError.
        """
        try:
            known = None if self._lost else self._store.look_up(self.lease, step)
            if known and known.state is State.DONE:
                return self._recorded(step, known)
            if self._lost or not of_any_run or self._anew or self.lease.generation > 1:
                return None
            found = self._store.find_fact(step.request_hash)
        except UnreachableError as error:
            self.go_on_or_raise(error)
            return None
        if found is None or found[0].completed_at is None:
            return None
        return Recorded(found[0].response_body, found[0].completed_at, replayed=True, key=found[1])

    def record(self, step: Step, response: Json) -> None:
        """Keeps a fact. Raises FencedError, DriftError."""
        if self._lost:
            return
        self._journal.at(step, "before result")
        try:
            self._store.record(self.lease, self._journal.lease_s, step, self._stored(step, response))
        except UnreachableError as error:
            self.go_on_or_raise(error)
        self._journal.at(step, "after result")

    def steps_from(self, step_id: int) -> list[StepRow]:
        """What earlier attempts at this run have begun of the steps from a place on, of effects that may be there still."""
        try:
            return [] if self._lost else [row for row in self._store.steps(self.run_id) if row.step_id >= step_id]
        except UnreachableError as error:
            self.go_on_or_raise(error)
            return []

    # ── Sealing ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _stored(self, step: Step, response: Json) -> Json:
        if not step.secret:
            return response
        if self._journal.seal is None:
            return None  # fetched anew when it is needed: never in clear
        return self._journal.seal.close(json.dumps(response).encode(), self._place(step.step_id))

    def _recorded(self, step: Step, row: StepRow, look: Look | None = None) -> Recorded:
        assert row.completed_at is not None  # noqa: S101  the table sees to it
        response = row.response_body
        if step.secret and response is None and look:
            response = look()  # it was not stored, as there was no key
        elif step.secret and response is not None:
            response = self._opened(response, step)
        return Recorded(response, row.completed_at, replayed=True, key=self.key)

    def _opened(self, sealed: Json, step: Step) -> Json:
        if self._journal.seal is None:
            raise SealedError(
                f"The response of step {step.step_id} of run {self.run_id} is sealed.",
                advice="Give the journal's key: the input journal-key, or MIGRATION_REHEARSAL_JOURNAL_KEY.",
            )
        return json.loads(self._journal.seal.open(sealed, self._place(step.step_id)))

    def _place(self, step_id: int) -> str:
        return f"{self.run_id}/{step_id}"

    # ── The lease ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def keep(self) -> None:
        """Renews the lease; a failure is kept in mind for `check`."""
        asked = _now()
        try:
            self._store.renew(self.lease, self._journal.lease_s)
            self._good_until = asked + self._journal.lease_s
        except FencedError:
            self._fenced = True
        except JournalError:
            pass  # it is tried again with the next beat, and asked for before anything is fired

    def finish(self) -> None:
        """Marks the run as finished, to be committed when it is let go."""
        self._finished = True

    def retire(self) -> None:
        """Marks the run as one whose answer is not to be given again: who asks next begins anew. Committed when it is let go."""
        self._retired = True

    def release(self) -> None:
        """Lets go of the run, so that nobody has to wait for the lease to run out."""
        self._journal.forget(self)
        if self._lost:
            return
        with suppress(JournalError):  # it runs out by itself
            self._store.release(self.lease, finished=self._finished, retired=self._retired)
            self._journal.forget_fired(self.lease)


class Journal:
    """Runs in one database. `go_on`: whether to go on without the journal when it is lost; `lost` is then set. `at` is told
    of each named point of a step: tests end the process there.
    """

    def __init__(
        self,
        store: Store,
        *,
        seal: Seal | None = None,
        lease_s: float = LEASE_S,
        go_on: bool = False,
        at: Callable[[Step, str], None] = lambda _step, _point: None,
    ) -> None:
        self.store, self.seal, self.lease_s, self.go_on, self.at = store, seal, lease_s, go_on, at
        self.lost: JournalError | None = None
        self._holder = this_process()
        self._runs: set[Run] = set()
        self._fired: dict[tuple[uuid.UUID, int], set[int]] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._heart: threading.Thread | None = None

    def acquire(
        self,
        key: str,
        kind: Kind,
        *,
        anew: bool = False,
        wait_s: float | None = None,
        waiting: Waiting = lambda _who: None,
    ) -> Run:
        """Takes the lease of a run, waiting for whoever works on it: `wait_s` seconds at most, None for as long as it lives;
        `waiting` is told once who that is. `anew`: nothing that was found out before counts.

        Raises BusyError, UnreachableError.
        """
        began, told = _now(), False
        while True:
            got = self.store.acquire(key, kind, self._holder, self.lease_s, anew=anew)
            if isinstance(got, Lease):
                run = Run(self, got, anew=anew)
                self._remember(run)
                return run
            if wait_s is not None and _now() - began >= wait_s:
                raise BusyError(
                    f"Another process works on the run {key}.",
                    why=f"It is {shown(got.holder)}, and after {wait_s:.0f} s it was not done.",
                    advice="Ask again later.",
                )
            if not told:
                waiting(shown(got.holder))
                told = True
            self._stop.wait(min(1.0, 0.1 + (_now() - began) / 10))

    @contextmanager
    def run(self, key: str, *, anew: bool = False, waiting: Waiting = lambda _who: None) -> Iterator[Run]:
        """A rehearsal's run, finished if the block ends without an exception. Raises as `acquire`, unless the journal is lost and
        we are to go on: then nothing of the run is journaled.
        """
        try:
            run = self.acquire(key, Kind.REHEARSAL, anew=anew, waiting=waiting)
        except UnreachableError as error:
            run = Run(self, Lease(run_id_of(key), key, 0, 1, resumed=False, finished=False), anew=anew)
            run.go_on_or_raise(error)
        try:
            yield run
            run.finish()
        finally:
            run.release()

    def close(self) -> None:
        """Lets go of everything."""
        with self._lock:
            runs = list(self._runs)
        for run in runs:
            run.release()
        self._stop.set()
        if self._heart:
            self._heart.join(timeout=1.0)  # it may be waiting for a server that is away
        self.store.close()

    def forget(self, run: Run) -> None:
        """Stops keeping a run's lease."""
        with self._lock:
            self._runs.discard(run)

    def fired(self, lease: Lease) -> set[int]:
        """The steps that were fired under a lease. They are kept here, as a lease whose release did not get through is given
        again to the same process: to a new Run, which must know what the one before it fired.
        """
        with self._lock:
            return self._fired.setdefault((lease.run_id, lease.token), set())

    def forget_fired(self, lease: Lease) -> None:
        """After a release: nobody gets this lease again."""
        with self._lock:
            self._fired.pop((lease.run_id, lease.token), None)

    def _remember(self, run: Run) -> None:
        with self._lock:
            self._runs.add(run)
            if self._heart is None:
                self._heart = threading.Thread(target=self._beat, name="journal heartbeat", daemon=True)
                self._heart.start()

    def _beat(self) -> None:
        while not self._stop.wait(self.lease_s / 3):
            with self._lock:
                runs = list(self._runs)
            for run in runs:
                run.keep()


def fire_patiently(fire: Fire, look: Look | None, key: str, *, repeatable: bool) -> Json:
    """Fires, and fires again where the first try surely had no effect, or may be repeated, or the effect is not found. Raises
    the last try's EffectError.
    """
    for left in reversed(range(_TRIES)):
        try:
            return fire(key)
        except EffectError as error:
            if error.again_in_s is None or not left or not (error.not_done or look or repeatable):
                raise
            time.sleep(error.again_in_s)
            if not error.not_done and look and (found := look()) is not None:
                return found
    raise AssertionError  # pragma: no cover  the loop returns or raises


def _in_doubt(run: Run, step: Step, before: StepRow) -> InDoubtError:
    error = f" ({before.error})" if before.error else ""
    return InDoubtError(
        f"Nobody knows whether step {step.step_id} of run {run.run_id}, «{step.name}», happened.",
        why=f"It was begun at {before.started_at:%Y-%m-%d %H:%M:%S %Z} and no answer was journaled{error}.",
        advice="Look for its effect yourself; allow it to be repeated if twice does no harm.",
    )


def _now() -> float:
    return time.clock_gettime(_CLOCK)
