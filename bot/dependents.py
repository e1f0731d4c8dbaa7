"""What a migration breaks by taking a name away: what went with it by CASCADE, functions that still say it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from bot.model import Dependent, SchemaChange, StatementResult
from bot.postgres.catalog import Constraint
from bot.words import last_part, parts_of

_WORD = re.compile(r"\w+")
_RELATIONS = ("table", "view", "materialized view", "foreign table")
_CAUSES = ("table", "foreign table", "column", "sequence", "type", "domain", "function")
_GOES_WITH = ("view", "materialized view", "function", "procedure", "aggregate", "policy", "trigger", "rule")


def names_gone(schema: Sequence[SchemaChange]) -> dict[str, tuple[str, ...]]:
    """Relations and columns that have another name now, or are gone, with the words by which code would name each; not those
    whose name stands for something else now (a view in the place of a renamed table).
    """
    there = {change.name for change in schema if change.change == "added"}
    there |= {change.after or "" for change in schema if change.change == "renamed"}
    gone: dict[str, tuple[str, ...]] = {}
    for change in schema:
        old = old_name(change)
        if old is None or old in there:
            continue
        if change.kind in _RELATIONS:
            gone[old] = (last_part(old),)
        elif change.kind == "column":
            gone[old] = tuple(parts_of(old)[-2:])
    return gone


def old_name(change: SchemaChange) -> str | None:
    """The name that a change took away; None if it took none."""
    return {"dropped": change.name, "renamed": change.before}.get(change.change)


def dependents(
    schema: Sequence[SchemaChange],
    still_named: Iterable[tuple[str, str]],
    constraints_gone: Iterable[tuple[Constraint, str]],
    said: Lines,
) -> tuple[Dependent, ...]:
    """`still_named`: functions and the names gone that they say; `constraints_gone`: constraints, and what they referred to that
    went. What was dropped without any statement saying its name was dropped by CASCADE.
    """
    gone = names_gone(schema)
    lines = {name: said.of(last_part(name)) for name in gone}
    found = [Dependent("function", function, "names", what, lines.get(what)) for function, what in still_named]
    causes = [c.name for c in schema if c.change == "dropped" and c.kind in _CAUSES]
    lines |= {cause: said.of(last_part(cause)) for cause in causes if cause not in lines}
    ordered = [*gone, *(cause for cause in causes if cause not in gone)]
    cause = next((name for name in ordered if lines[name] is not None), next(iter(ordered), None))
    for change in schema:
        by_cascade = change.change == "dropped" and change.kind in _GOES_WITH and said.of(_bare(change)) is None
        if by_cascade and cause and cause != change.name:
            found.append(Dependent(change.kind, change.name, "dropped", cause, lines[cause]))
        if cause and _loses_its_default(change) and said.of(last_part(change.name)) is None:
            found.append(Dependent("default", change.name, "dropped", cause, lines[cause]))
    found += [
        Dependent(c.kind, f"{c.table_name}.{c.name}", "dropped", of, said.of(last_part(of.partition("(")[0])))
        for c, of in constraints_gone
        if said.of(c.name) is None
    ]
    return tuple(found)


def _loses_its_default(change: SchemaChange) -> bool:
    return change.kind == "column" and " DEFAULT " in (change.before or "") and " DEFAULT " not in (change.after or " DEFAULT ")


def _bare(change: SchemaChange) -> str:
    """The name itself, without a function's arguments."""
    return last_part(change.name.split("(", maxsplit=1)[0])


class Lines:
    """Which statement says a name first. One without a count of rows comes before others, as what is made or dropped is said by
    one that changes the schema. A migration may have thousands of statements, and of names.
    """

    def __init__(self, statements: Sequence[StatementResult]) -> None:
        self._statements = sorted(statements, key=lambda s: s.rows_affected is not None)
        self._words: dict[str, list[int]] = {}
        for number, statement in enumerate(self._statements):
            for word in set(_WORD.findall(statement.sql.lower())):
                self._words.setdefault(word, []).append(number)

    def of(self, *names: str) -> int | None:
        """The line that says all of these; None if PostgreSQL made a name up, or a statement made it at run time."""
        numbers = set.intersection(*(set(self._saying(name)) for name in names))
        return self._statements[min(numbers)].line if numbers else None

    def _saying(self, name: str) -> Sequence[int]:
        if _WORD.fullmatch(name):
            return self._words.get(name.lower(), ())
        whole = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)", re.IGNORECASE)
        return [number for number, statement in enumerate(self._statements) if whole.search(statement.sql)]


def lines_of_tables(statements: Iterable[StatementResult]) -> Mapping[str, int]:
    """For each relation the statement that most likely changed it: one that rewrote it, else the longest that added a lock."""
    weights: dict[str, tuple[bool, float]] = {}
    lines: dict[str, int] = {}
    for statement in statements:
        for relation in {*(lock.relation for lock in statement.locks or ()), *statement.rewrites}:
            weight = (relation in statement.rewrites, statement.duration_ms)
            if relation not in weights or weight > weights[relation]:
                weights[relation], lines[relation] = weight, statement.line
    return lines
