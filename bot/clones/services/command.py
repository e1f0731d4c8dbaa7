"""Any other service, by commands of the user's: one gets a database, one gives it back, and one may list those that are there."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any
from urllib.parse import quote, unquote

from bot.clones.addresses import parts
from bot.clones.services.asking import moment, stamp
from bot.clones.services.base import Access, Kind, Lease, Leftover, Option, Order, ServiceError, is_ours
from bot.words import masked, one_line

_KEPT_BYTES = 1 << 16  # of what a command prints: the last ones
_SHOWN_LINES, _SHOWN = 5, 300  # of what it prints on standard error
_GRACE_S = 5.0
_OURS = "MIGRATION_REHEARSAL_"
_NOT_PASSED_ON = (_OURS, "INPUT_", "ACTIONS_")  # inputs of ours that hold other secrets, and the runner's own tokens


class Command:
    """See Service. A handle is what the command said, or the name that it was given.

    A command that ended half way can't be looked at, so one that gets a database must be repeatable: asked again with the same
    name it gives the same database.
    """

    def __init__(self, access: Access) -> None:
        self._access, self._options = access, access.options
        self._limit_s = _seconds(access)

    def identity(self) -> str:
        """See Service: nobody says when the data change, so each day is another."""
        command = hashlib.sha256(self._options["acquire"].encode()).hexdigest()[:16]
        return f"command:{command}:{datetime.now(UTC):%Y-%m-%d}"

    def acquire(self, order: Order) -> Lease:
        """See Service."""
        told = {"NAME": order.name, "UNTIL": stamp(order.until) or ""}
        said = _answer(self._run("acquire", told))
        parts(said["url"], "the command `acquire`")
        handle = said.get("handle")
        return Lease(
            handle=handle if isinstance(handle, str) and handle else order.name,
            url=said["url"],
            expires_at=stamp(moment(said.get("expires_at"))),
            taken_at=stamp(moment(said.get("taken_at"))),
            method="command",
        )

    def find(self, order: Order) -> Lease | None:
        """See Service. Without a command that lists, to ask for one again is the only way to look: whoever finds one, to use it
        or to give it back, is left with none at the end.
        """
        known = not self._options.get("list") or order.name in {each.name for each in self.leftovers()}
        return self.acquire(order) if known else None

    def release(self, handle: str) -> None:
        """See Service: a command that gives back what is gone already must not fail."""
        self._run("release", {"HANDLE": handle})

    def leftovers(self) -> Sequence[Leftover]:
        """See Service."""
        if not self._options.get("list"):
            return []
        listed = [line.split() for line in self._run("list", {}).splitlines() if line.strip()]
        ours = [(words, moment(words[1]) if len(words) > 1 else None) for words in listed if is_ours(words[0])]
        return [Leftover(words[2] if len(words) > 2 else words[0], words[0], when) for words, when in ours if when]

    def close(self) -> None:
        """See Service."""

    def _run(self, which: str, told: dict[str, str]) -> str:
        """What a command prints on standard output. Files take it: what a command has left running would hold a pipe open."""
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            process = subprocess.Popen(
                ["/bin/sh", "-c", self._options[which]],
                env=self._environment(told),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
            try:
                status = process.wait(self._limit_s)
            except subprocess.TimeoutExpired:
                raise self._failed(which, f"did not end in {self._limit_s:g} s", _tail(out), _tail(err)) from None
            finally:
                if process.poll() is None:
                    _end(process)
            if status != 0:
                raise self._failed(which, f"ended with exit status {status}", _tail(out), _tail(err))
            return _tail(out)

    def _environment(self, told: dict[str, str]) -> dict[str, str]:
        passed = {name: value for name, value in os.environ.items() if not name.startswith(_NOT_PASSED_ON)}
        given = told | {"URL": self._access.url or "", "TOKEN": self._access.token or ""}
        return passed | {f"{_OURS}CLONE_{name}": value for name, value in given.items() if value}

    def _failed(self, which: str, how: str, out: str, err: str) -> ServiceError:
        """An error with some of what was said on standard error, without what lets somebody in."""
        token, url = self._access.token or "", self._access.url or ""
        for secret in (token, quote(token, safe=""), quote(token), url, *_passwords(f"{url}\n{out}")):
            err = err.replace(secret, "***") if secret else err
        said = " / ".join(masked(line) for line in err.splitlines()[-_SHOWN_LINES:])
        return ServiceError(
            f"The command `{which}` of clone-options {how}.",
            why=f"It said: {one_line(said)[-_SHOWN:]}" if said else "It said nothing on standard error.",
            advice="Run it by hand, with the environment variables that docs/clones/command.md names.",
        )


def _seconds(access: Access) -> float:
    given = access.options.get("seconds")
    try:
        seconds = float(given) if given else access.patience_s
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise ServiceError(
            "The clone option `seconds` is no number of seconds.",
            advice="Write it as in `seconds=600`; a day at most.",
            not_done=True,
        )
    return seconds


def _answer(printed: str) -> dict[str, Any]:
    """The last line that is not empty: a URL, or an object with one."""
    last = next((line.strip() for line in reversed(printed.splitlines()) if line.strip()), "")
    if not last.startswith("{"):
        return {"url": last}
    try:
        said = json.loads(last)
    except (ValueError, RecursionError):
        said = {}
    return said if isinstance(said, dict) and "url" in said else {"url": ""}


def _passwords(printed: str) -> list[str]:
    """What a command's own answer holds that its complaints must not tell, as it stands in a URL and as it is."""
    written = [found[1] for found in re.finditer(r"\bpostgres(?:ql)?://[^\s/@:]*:([^\s/@]+)@", printed)]
    return [*written, *map(unquote, written)]


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _KEPT_BYTES))
    return file.read().decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Asks all of a command's group to end, and then sees to it that it does."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_S)
    with suppress(ProcessLookupError, PermissionError):  # those that heard nothing, or are left
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(subprocess.TimeoutExpired):  # another user's
        process.wait(_GRACE_S)


SERVICE = Kind(
    name="command",
    make=Command,
    help="any other service, by two commands of yours",
    options=(
        Option("acquire", "the command that prints the connection URL of a database of the name that it is given", needed=True),
        Option("release", "the command that removes a database, given its handle", needed=True),
        Option("list", "a command that prints a line `name time` for each database that is there, so that none is forgotten"),
        Option("seconds", "how long each of them may take; 120 if not given"),
    ),
    by_name=True,
)
