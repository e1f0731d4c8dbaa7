"""What can go wrong, as a tree; each error says what happened, why, and what to do.

    RehearsalError                 anything we can explain; `exit_status` says how the program ends
    ├── FaultError          (3)    a fault of this program
    ├── UsageError          (2)    wrong command line, input, configuration or migration file
    │   ├── EventError             the action was started by something that it can't work with
    │   └── MigrationFileError     a migration file that can't be read as its tool would read it
    └── NotRehearsedError        (3)    the rehearsal itself could not be done
        ├── ServerError            no PostgreSQL server could be found or started
        ├── SeedError              the seed is missing, broken, or does not fit the server
        ├── CloneError             a clone could not be made
        ├── EffectError            something outside that we wanted to change: surely not changed, or nobody knows
        │   └── GitHubError        GitHub could not be asked, or refused
        └── JournalError           the journal could not be used
            ├── UnreachableError   its server does not answer, or has no room left
            ├── BusyError          another process works on the run, and we were to wait no longer
            ├── FencedError        another process has taken the run over: this one may write nothing more
            ├── DriftError         a step is not the one that the journal holds at its place
            ├── InDoubtError       an effect may have happened, and there is no way to look
            └── SealedError        a response was sealed with another key

A migration that fails is none of these: it is the answer (exit status 1).
"""

from __future__ import annotations

import traceback


class RehearsalError(Exception):
    """Something the program can explain: `what` happened and `why`, and `advice`: what to do about it."""

    exit_status = 3

    def __init__(self, what: str, *, why: str = "", advice: str = "") -> None:
        self.what, self.why, self.advice = what, why, advice
        super().__init__(" ".join(part for part in (what, why, advice) if part))

    def lines(self) -> list[str]:
        """The message for a terminal: one line each for what, why and what to do."""
        return [part for part in (self.what, self.why, self.advice and f"→ {self.advice}") if part]


class FaultError(RehearsalError):
    """A fault of this program: what it did not expect."""


def as_fault(fault: Exception) -> FaultError:
    """What nobody expected -> an error that says where it happened. The exception's own text is left out: it may hold data."""
    # What the system says of a file or disk holds no data.
    reason = f" ({fault.strerror})" if isinstance(fault, OSError) and fault.strerror else ""
    frames = traceback.extract_tb(fault.__traceback__)
    ours = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno} {frame.name}" for frame in frames]
    return FaultError(
        f"A fault of migration-rehearsal itself: {type(fault).__name__}{reason}.",
        why="In " + " < ".join(reversed(ours[-6:])) + ".",
        advice="Please report it with these lines; nothing is said about the migrations.",
    )


class UsageError(RehearsalError):
    """The command line, an input, the configuration or a file given to us is wrong."""

    exit_status = 2


class EventError(UsageError):
    """The event that started the action can't be worked with."""


class MigrationFileError(UsageError):
    """A migration file can't be read as its tool would read it."""


class NotRehearsedError(RehearsalError):
    """The rehearsal could not be done: nothing is said about the migrations."""


class ServerError(NotRehearsedError):
    """No PostgreSQL server could be found or started."""


class SeedError(NotRehearsedError):
    """The seed is missing, broken, or does not fit the server."""


class CloneError(NotRehearsedError):
    """A clone could not be made."""


class EffectError(NotRehearsedError):
    """Something outside that we wanted to change. `not_done`: it surely was not changed; else nobody knows. `again_in_s`: after
    how many seconds it is worth another try, None if it is not.
    """

    def __init__(
        self, what: str, *, why: str = "", advice: str = "", not_done: bool = False, again_in_s: float | None = None
    ) -> None:
        self.not_done, self.again_in_s = not_done, again_in_s
        super().__init__(what, why=why, advice=advice)


class GitHubError(EffectError):
    """GitHub could not be asked, did not answer, or refused."""


class JournalError(NotRehearsedError):
    """The journal could not be used."""


class UnreachableError(JournalError):
    """The journal's server does not answer, or has no room left."""


class BusyError(JournalError):
    """Another process works on the run."""


class FencedError(JournalError):
    """Another process has taken the run over: this one may write nothing more."""


class DriftError(JournalError):
    """A step is not the one that the journal holds at its place: the program, or the caller, is another one than before."""


class InDoubtError(JournalError):
    """An effect may or may not have happened, there is no way to look, and it must not happen twice."""


class SealedError(JournalError):
    """A sealed response that can't be opened."""
