"""Where a journal is. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a journal is: a database's URL, or else a folder for a server of our own. `key`: the texts its seal is made of.
    `go_on`: whether to go on without it when it can't be used.
    """

    url: str | None = field(default=None, repr=False)
    folder: str | None = None
    key: str | None = field(default=None, repr=False)
    go_on: bool = False
    postgres_bin: str | None = None

    def __bool__(self) -> bool:
        """Whether there is to be a journal at all."""
        return bool(self.url or self.folder)
