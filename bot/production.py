"""How large production is, where the data of a rehearsal is smaller: a number, or rows of each table. Pure."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bot.errors import UsageError

_HEADER = ["table", "rows"]
_LARGEST = 10**15  # more rows than any table has: a number beyond is a slip


@dataclass(frozen=True, slots=True)
class Production:
    """Rows of production's tables by their name (`schema.table`, quoted as SQL where it must be), or how many it has in all;
    `rows_here`: how many the rehearsal's data has in all, to compare with.
    """

    rows: Mapping[str, int] = field(default_factory=dict)
    total: int | None = None
    rows_here: int = 0

    @property
    def is_known(self) -> bool:
        """Whether anything is known of it."""
        return bool(self.rows) or bool(self.total)

    def factor(self, table: str, rows_here: int) -> float:
        """How many times as many rows a table has in production; 1 where that is not known. It never shrinks: what was
        measured here can happen there.
        """
        if rows_here <= 0:
            return 1.0
        if table in self.rows:
            return max(1.0, self.rows[table] / rows_here)
        return max(1.0, self.total / self.rows_here) if self.total and self.rows_here else 1.0

    def rows_of(self, table: str, rows_here: int) -> int:
        """How many rows a table has in production, as far as is known; never fewer than here."""
        return max(rows_here, self.rows.get(table, 0), round(rows_here * self.factor(table, rows_here)))


def with_rows(production: Production, rows: Mapping[str, int]) -> Production:
    """The same with rows of more tables; what it knows of a table itself is surer."""
    return replace(production, rows={**rows, **production.rows})


def read_statistics(lines: Iterable[str], path: str) -> Production:
    """Takes a file of statistics, CSV with the header `table,rows`, to Production. Raises UsageError with file and line, which
    repeats nothing of the file: a pull request can make it point anywhere.
    """
    reader = csv.reader(lines, strict=True)
    rows: dict[str, int] = {}
    try:
        for number, cells in enumerate(reader, start=1):
            if number == 1:
                _check_header(cells, path)
            elif cells:
                table, count = _row(cells, f"{path}:{reader.line_num}")
                rows[table] = rows.get(table, 0) + count
    except csv.Error as error:
        raise UsageError(f"{path}:{reader.line_num} is no CSV: {error}.", advice=_ADVICE) from error
    if not rows:
        raise UsageError(f"{path} names no table.", advice=_ADVICE)
    return Production(rows)


def _check_header(cells: list[str], path: str) -> None:
    if [cell.strip().lower().removeprefix("\ufeff") for cell in cells] != _HEADER:
        raise UsageError(f"{path}:1 is not the header `table,rows`.", advice=_ADVICE)


def _row(cells: list[str], place: str) -> tuple[str, int]:
    if len(cells) != len(_HEADER):
        raise UsageError(f"{place} has {len(cells)} values, and not a table and its rows.", advice=_ADVICE)
    table, count = (cell.strip() for cell in cells)
    if "." not in table:
        raise UsageError(f"{place} names a table without its schema.", advice="Write it as in public.orders.")
    rows = number_of_rows(count)
    if rows is None:
        raise UsageError(f"{place} says a number of rows that is none.", advice=_ADVICE)
    return table, rows


def number_of_rows(text: str) -> int | None:
    """A number that a table may have of rows; None for what is none. Longer ones Python may refuse to read."""
    short = text.isascii() and text.isdigit() and len(text) <= 30
    return int(text) if short and int(text) <= _LARGEST else None


_ADVICE = "Export it from production as docs/production-rows.md says."
