"""What a team may say in its own file, besides values of inputs: options of rules, and what it expects of its data."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Generic, TypeVar

FILE = ".migration-rehearsal.toml"

_Unset = TypeVar("_Unset", float, None)


@dataclass(frozen=True, slots=True)
class Option(Generic[_Unset]):
    """A number of a rule that a team may set, from `least` to `most`. `default` may be None: then `unset` says what holds."""

    name: str
    default: _Unset
    help: str
    least: float
    most: float
    whole: bool = False
    unset: str = ""

    def takes(self, value: object) -> bool:
        """Whether it can have this value."""
        if isinstance(value, bool) or not isinstance(value, int if self.whole else int | float):
            return False
        return self.least <= value <= self.most

    @property
    def values(self) -> str:
        """The values that it can have, in words."""
        return f"a {'whole number' if self.whole else 'number'} from {self.least:,g} to {_plain(self.most)}"

    @property
    def shown_default(self) -> str:
        """What holds where nobody has set it."""
        return self.unset if self.default is None else f"`{_plain(self.default)}`"


def _plain(number: float) -> str:
    return f"{number:,.0f}" if number == int(number) else f"{number:g}"


AnyOption = Option[float] | Option[None]


@dataclass(frozen=True, slots=True)
class Settable:
    """What may be set of a rule: its severity to less than an error, if it is `weakenable`, and its options."""

    weakenable: bool = True
    options: tuple[AnyOption, ...] = ()


@dataclass(frozen=True, slots=True)
class Expected:
    """What the data must be like after each migration: a query that must give no row, or a condition that must be true. `line` is
    its place in the team's file, `path`.
    """

    name: str
    sql: str
    is_query: bool
    line: int
    path: str = FILE


@dataclass(frozen=True, slots=True)
class Sizes:
    """What a team says of its tables: whether they are large, whatever the data of a rehearsal has, and rows of production's."""

    large: Mapping[str, bool] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def names(self) -> Set[str]:
        """All tables of which it says something."""
        return self.large.keys() | self.rows.keys()
