"""Rule: the way back does not lead back."""

from __future__ import annotations

from collections.abc import Iterator

from bot.model import Down, Finding, Loss, Outcome, Rehearsal, SchemaChange, Severity, SqlError
from bot.rules.base import Policy, Rule
from bot.words import count, name, relation

_MOST_NAMED = 3
_KINDS = {"column order": "the order of columns in"}


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    down = rehearsal.down
    if down is None:
        return
    if down.outcome is Outcome.SKIPPED:  # no answer, and no fault of the migration
        said = f": {down.error.message}" if down.error else ""
        yield RULE.found(rehearsal, f"The way back was not tried{said}", severity=Severity.NOTICE)
        return
    # Of a group the files say which one it is; a line of one of them is no line of the group's text.
    line = down.error.line if down.error and down.path == rehearsal.path and not rehearsal.files else None
    for message in _wrong(rehearsal, down):
        yield RULE.found(rehearsal, message, line=line)
    for loss in down.losses:
        severity = Severity.WARNING if loss.kept_before else Severity.NOTICE
        yield RULE.found(rehearsal, _lost(loss), severity=severity, measured=loss.lost, limit=0)
    if down.rows_lost and not any(loss.kept_before and loss.column is None for loss in down.losses):
        message = f"Up and down again, {count(down.rows_lost, 'row')} are lost that were there before"
        yield RULE.found(rehearsal, message, measured=down.rows_lost, limit=0)


def _wrong(rehearsal: Rehearsal, down: Down) -> Iterator[str]:
    """What is wrong with the way back, each thing only if the one before it is right."""
    if down.empty:
        if rehearsal.schema or rehearsal.tables or rehearsal.constraints:
            yield "The way back holds no statement, though the migration changes something"
    elif down.outcome is Outcome.FAILED:
        where = f" at {_place(down.error)}" if down.error else ""
        yield f"The way back fails{where}: {down.error.message if down.error else 'it did not come to its end'}"
    elif not down.restored:
        yield f"The way back does not restore the schema: {_named(down.differences)}"
    elif down.again is Outcome.FAILED:
        yield f"After the way back the migration fails: {down.again_error.message if down.again_error else 'at some statement'}"


def _place(error: SqlError) -> str:
    return name(f"{error.path}:{error.line}") if error.path else f"line {error.line}"


def _named(differences: tuple[SchemaChange, ...]) -> str:
    """The first differences, tables before what is in them; what belongs to a table that came or went is told with it."""
    how = {"added": "is left", "dropped": "is missing", "changed": "differs", "renamed": "has another name"}
    tables = [d for d in differences if d.kind == "table"]
    whole = {d.name for d in tables}
    others = [d for d in differences if d.kind != "table" and d.name not in whole and not _is_in(d.name, whole)]
    told = [f"{_KINDS.get(d.kind, d.kind)} {name(relation(d.name))} {how.get(d.change, d.change)}" for d in (*tables, *others)]
    more = len(told) - _MOST_NAMED
    return ", ".join(told[:_MOST_NAMED] or ["it differs"]) + (f", and {more} more" if more > 0 else "")


def _is_in(what: str, tables: set[str]) -> bool:
    return any(what.startswith(f"{table}.") for table in tables)


def _lost(loss: Loss) -> str:
    what = f"{relation(loss.table)}.{loss.column}" if loss.column else relation(loss.table)
    lost = f"{count(loss.lost, 'value' if loss.column else 'row')} of {name(what)}"
    if loss.kept_before:
        return f"Up and down again, {lost} are lost that were there before"
    return f"The way back loses {lost} that came with the migration"


RULE = Rule(
    id="down-incomplete",
    severity=Severity.WARNING,
    title="The way back does not lead back",
    why=(
        "A way back is needed on the worst day, in a hurry, and it is the part that nobody runs before. One that fails half way, "
        "or leaves an index, or brings a column back without its values, makes that day worse."
    ),
    instead=(
        "Undo each statement of the migration, in the opposite order. What can't be undone, dropped values for instance, needs a "
        "backup and not a down part: say so in the file."
    ),
    evidence=(
        "On another clone: up, down, the schema compared with what it was, up again. Rows and values, not NULL, that were there "
        "before and are not after up and down, all counted; the limit is 0. A notice for what came with the migration and goes "
        "with it."
    ),
    check=_check,
)
