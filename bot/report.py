"""Values -> Markdown, text, JSON, through the templates; escaping and length. Pure; the door of Jinja2.

Whatever comes from the repository or the database is shown as a code span, in which Markdown, HTML and mentions mean nothing,
or escaped; what can't be seen (control, zero-width and right-to-left characters) is made visible.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from io import StringIO
from itertools import takewhile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from bot.escaping import cell, code, escape_markdown, fence, message, nowrap
from bot.journal.steps import Kind, RunRow, StepRow
from bot.layouts import COMMAND
from bot.model import (
    Finding,
    Migration,
    Outcome,
    Plan,
    Rehearsal,
    RelationLock,
    Report,
    SchemaChange,
    Severity,
    TableChange,
    Verdict,
)
from bot.plain import to_plain
from bot.program import templates_folder
from bot.rules.empty_migration import changed_nothing
from bot.timeline import mermaid
from bot.words import count, duration, masked, name, one_line, relation, size, visible

if TYPE_CHECKING:
    from jinja2 import Environment

MARKER = "<!-- migration-rehearsal -->"
OURS, OWN = "comment.md.j2", "own"  # the templates' names
COMMENT_LIMIT = 60_000
STATUS_LIMIT = 140
_ICONS = {Verdict.PASS: "✅", Verdict.WARN: "⚠️", Verdict.FAIL: "❌", Verdict.ERROR: "⛔"}
_FINDING_ICONS = {Severity.ERROR: "❌", Severity.WARNING: "⚠️", Severity.NOTICE: "ℹ️"}
_WORTH_TELLING_BYTES = 1_000_000
_CAUGHT_UP_NAMED = 5
_SHOWN_OF_TEXT = 200  # characters of a definition, outside tables
_MARKERS = re.compile(r"<!--\s*migration-rehearsal\s*-->", re.IGNORECASE)


# ── JSON ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def to_json(report: Report, *, show_row_data: bool = False) -> str:
    """The JSON report (docs/report.schema.json). DETAIL of errors holds row values: only with `show_row_data`."""
    values = to_plain(report)
    for migration in values["migrations"]:
        errors = [migration["error"], *(s["error"] for s in migration["statements"])]
        for trial, names in (("down", ("error", "again_error")), ("second_run", ("error",))):
            errors += [migration[trial][name] for name in names] if migration[trial] else []
        for error in filter(None, errors):
            if not show_row_data:
                error["detail"] = None
    return json.dumps(_masked(values), ensure_ascii=False, indent=2) + "\n"


def _masked(plain: Any) -> Any:
    """Each text on its own: in the JSON of all a quote or a line break is written otherwise, and a mask would take it along."""
    if isinstance(plain, dict):
        return {key: _masked(value) for key, value in plain.items()}
    if isinstance(plain, list):
        return [_masked(value) for value in plain]
    return masked(plain) if isinstance(plain, str) else plain


def plan_to_json(plan: Plan) -> str:
    """What would be rehearsed, for `list --format json`."""
    values = {
        "schema_version": 1,
        "reason": plan.reason,
        "migrations": [
            {"path": m.path, "version": m.version, "layout": m.layout, "down_path": m.down_path, "files": list(m.files)}
            for m in plan.migrations
        ],
        "base": [{"path": m.path, "version": m.version, "layout": m.layout} for m in plan.base],
        "problems": [{"path": p.path, "message": p.message} for p in plan.problems],
    }
    return json.dumps(to_plain(values), ensure_ascii=False, indent=2) + "\n"


def runs_to_json(runs: Sequence[RunRow]) -> str:
    """The journal's runs, for `journal show --format json`."""
    return json.dumps({"schema_version": 1, "runs": to_plain(list(runs))}, indent=2) + "\n"


def steps_to_json(run: RunRow, steps: Sequence[StepRow]) -> str:
    """One run with its steps and what they answered, for `journal show RUN --format json`."""
    return json.dumps({"schema_version": 1, "run": to_plain(run), "steps": to_plain(list(steps))}, indent=2) + "\n"


# ── Markdown and text ────────────────────────────────────────────────────────────────────────────────────────────────────


def comment(report: Report, own: str | None = None) -> str:
    """The comment, at most COMMENT_LIMIT characters: details are cut first, and what is cut is said. A replayed report gives
    the same one. `own`: the text of a team's template, which may use our blocks; raises what Jinja raises of it, and ValueError
    if what it makes is empty or too long.
    """
    for rows in (40, 15, 5, 0):
        text = _markdown(report, own, rows=rows, run_url=report.run.url)
        if len(text) <= COMMENT_LIMIT:
            return text
    text = _markdown(report, own, rows=0, run_url=report.run.url, findings_shown=20)
    if len(text) <= COMMENT_LIMIT:
        return text
    if own is not None:
        raise ValueError(f"it makes a comment of more than {COMMENT_LIMIT:,} characters, even without rows")
    return _shortest(report)


def summary(report: Report, own: str | None = None, *, limit: int = 900_000) -> str:
    """The step summary: the comment without its marker and with more rows; GitHub takes 1 MiB of it. Raises as `comment` does."""
    for rows, findings in ((1000, 100), (200, 100), (40, 100), (0, 100), (0, 20)):
        text = _markdown(report, own, rows=rows, run_url=None, tell_replay=True, findings_shown=findings)
        if len(text.encode()) <= limit:
            return text.removeprefix(MARKER).lstrip()
    if own is not None:
        raise ValueError(f"it makes a summary of more than {limit:,} bytes, even without rows")
    return _shortest(report).removeprefix(MARKER).lstrip()


def _shortest(report: Report) -> str:
    """What is said where all else is too long."""
    first = message(_cut(headline(report), 1000))
    return f"{MARKER}\n### {icon(report.verdict)} {first}\n\nThe rest is too long to be shown here: see the JSON report.\n"


def status(report: Report) -> str:
    """The commit status in at most STATUS_LIMIT characters: plain text, which GitHub shows as it is."""
    return _cut(one_line(headline(report).replace("`", "")), STATUS_LIMIT)


def text(report: Report, *, show_row_data: bool = False, color: bool = False, width: int | None = None) -> str:
    """The report for a terminal; `width`: how many characters its lines have, if tables are to be folded to fit."""
    environment = _environment(markdown=False)
    paint = _painted if color else _as_it_is
    return _render(
        environment, "report.txt.j2", report, rows=100, run_url=None, show_row_data=show_row_data, width=width, paint=paint
    )


def plan_text(plan: Plan) -> str:
    """What would be rehearsed, for `list`."""
    lines = [one_line(line) for m in plan.migrations for line in _listed(m)] or ["No new migrations."]
    lines += [one_line(f"! {p.path} {p.message}") for p in plan.problems]
    return "\n".join(lines) + "\n"


def _listed(migration: Migration) -> Iterator[str]:
    for path in migration.files[:-1]:
        yield f"{path}  (in one transaction with the next)"
    yield f"{migration.path}  (version {migration.version}, {migration.layout})"


def runs_text(runs: Sequence[RunRow]) -> str:
    """The journal's runs, newest first, for a terminal."""
    if not runs:
        return "The journal holds no run.\n"
    rows = [("Run", "Begun", "State", "Steps", "About")]
    for run in runs:
        steps = f"{run.done} done" + (f", {run.in_doubt} in doubt" if run.in_doubt else "")
        steps += f", {run.not_done} not done" if run.not_done else ""
        about = run.key if run.generation == 1 else f"{run.key} (time {run.generation})"
        rows.append((str(run.run_id)[:8], _minute(run.started_at), _state(run), steps, about))
    return columns(rows) + "\n"


def steps_text(run: RunRow, steps: Sequence[StepRow]) -> str:
    """The steps of one run, for a terminal."""
    rows = [("Step", "Name", "State", "Tries", "Took", "Answer or error")]
    for step in steps:
        took = duration((step.completed_at - step.started_at).total_seconds() * 1000) if step.completed_at else "–"
        rows.append(
            (str(step.step_id), step.name, step.state, str(step.attempt), took, step.error or _answer(step.response_body))
        )
    head = f"{run.run_id}  {run.kind}, {_state(run)}, begun {_minute(run.started_at)}\n{one_line(run.key)}\n\n"
    return head + columns(rows) + "\n"


def _state(run: RunRow) -> str:
    if run.leased:
        return "at work"
    if run.finished_at:
        return "finished"
    return "open" if run.kind == Kind.CALLS else "broken off"  # only the caller knows when its calls are all made


def _answer(body: object) -> str:
    if isinstance(body, dict) and set(body) == {"sealed", "key"}:
        return f"sealed with the key {body['key']}"
    if body is None:
        return "–"
    return _cut(json.dumps(body, ensure_ascii=False), 60)


def _minute(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def headline(report: Report) -> str:
    """The deciding fact in one sentence; names stand between backticks."""
    total = _number_of(report.migrations)
    rehearsed = _number_of([m for m in report.migrations if m.outcome is not Outcome.SKIPPED])
    errors = [f for f in report.findings if f.severity is Severity.ERROR and f.allowed_reason is None]
    warnings = [f for f in report.findings if f.severity is Severity.WARNING and f.allowed_reason is None]
    if report.verdict is Verdict.ERROR:
        return "The rehearsal could not be done: " + (report.error[0] if report.error else "unknown reason")
    if errors:
        return _what_errors_say(report, errors)
    if warnings:
        more = f" (and {len(warnings) - 1} more)" if len(warnings) > 1 else ""
        return f"{count(rehearsed, 'migration')} rehearsed: {warnings[0].message}{more}" if rehearsed else warnings[0].message
    if not total:
        return "No new migrations in this change"
    if all(changed_nothing(m) for m in report.migrations):
        said = f"{name(report.migrations[0].path)} changed nothing: there was nothing to rehearse"
    else:
        said = f"{count(total, 'migration')} rehearsed: nothing breaks{_longest_wait(report.migrations)}"
    return said


def _what_errors_say(report: Report, errors: Sequence[Finding]) -> str:
    total = _number_of(report.migrations)
    if failed := _number_of(m for m in report.migrations if m.outcome is Outcome.FAILED):
        return f"{failed} of {count(total, 'migration')} would fail: {errors[0].message}"
    if not total:
        return f"This should not be merged as it is: {errors[0].message}"
    number = _concerned(report, errors)
    are = "it is" if number == 1 else "they are"
    return f"{number} of {count(total, 'migration')} should not be merged as {are}: {errors[0].message}"


def _concerned(report: Report, findings: Iterable[Finding]) -> int:
    """How many migrations findings are about: a migration has several files, what it expects and its way back among them."""
    of: dict[str, str] = {}
    for m in report.migrations:
        others = [*(e.path for e in m.expectations if e.path), *([m.down.path] if m.down else [])]
        of |= {path: m.path for path in others if path not in of} | {path: path for path in m.files or (m.path,)}
    return min(len({of.get(f.path, f.path) for f in findings}), _number_of(report.migrations))


def _number_of(migrations: Iterable[Rehearsal]) -> int:
    """How many files they are: what fails in a group undoes all of it."""
    return sum(len(m.files) or 1 for m in migrations)


def _longest_wait(migrations: Iterable[Rehearsal]) -> str:
    """Who waits how long, where every statement's locks could be read."""
    migrations = list(migrations)
    if any(s.locks is None for m in migrations for s in m.statements):
        return ""
    waits = [_waited_ms(lock) for m in migrations for lock in m.locks if lock.blocks]
    return f", nobody waits longer than {duration(max(waits))}" if waits else ", nobody waits"


def _markdown(report: Report, own: str | None, **more: Any) -> str:
    """The comment's template, or a team's own. The marker stands once and first, whatever that one writes: by it we know ours."""
    if own is None:
        return _render(_environment(), OURS, report, **more).rstrip() + "\n"
    made = _render(_environment(own), OWN, report, **more)
    while _MARKERS.search(made):  # one that is taken out may leave another
        made = _MARKERS.sub("", made)
    made = made.strip()
    if not made:
        raise ValueError("it makes an empty comment")
    return f"{MARKER}\n{made}\n"


def _render(environment: Environment, template: str, report: Report, **more: Any) -> str:
    values = {"headline": headline(report), "folder": common_folder(report), "findings_shown": 100, "tell_replay": False}
    return environment.get_template(template).render(values | more, marker=MARKER, report=report)


def common_folder(report: Report) -> str:
    """The folder that all migrations lie in, with a final slash: said once instead of in each line. May be empty."""
    if any(_is_command(m) for m in report.migrations):
        return ""
    folders = [PurePosixPath(m.path).parent.parts for m in report.migrations]
    shared = takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))
    return "".join(f"{parts[0].rstrip('/')}/" for parts in shared)


def within(path: str, folder: str) -> str:
    """A path without the common folder."""
    return path.removeprefix(folder)


def place(finding: Finding, report: Report) -> str:
    """Where a finding is: file and line, or which statement of a command."""
    command = next((m for m in report.migrations if m.path == finding.path and _is_command(m)), None)
    if command is None:
        return within(finding.path, common_folder(report)) + (f":{finding.line}" if finding.line else "")
    sent = [s.sql for s in command.statements if s.line == finding.line]
    if not sent:
        return finding.path
    return f"{finding.path}, statement {finding.line}: {_cut(sent[0], 120)}"


def _is_command(rehearsal: Rehearsal) -> bool:
    return rehearsal.layout == COMMAND.name


def named_files(migration: Rehearsal, folder: str) -> str:
    """The files of a migration: mostly one."""
    return " + ".join(within(path, folder) for path in migration.files or (migration.path,))


def at(place: Any, migration: Rehearsal) -> str:
    """A line with the version that it is of, or with the file where that is another."""
    if place.path is None or place.path == migration.path:
        return f"{migration.version}:{place.line}"
    return f"{place.path.rpartition('/')[2]}:{place.line}"


@functools.cache
def _environment(own: str | None = None, *, markdown: bool = True) -> Environment:
    """The templates, with a team's own as `OWN`. What is written as Markdown is escaped; of a text for a terminal nothing is."""
    import jinja2  # noqa: PLC0415  runs that render nothing do not pay for it

    ours = jinja2.FileSystemLoader(templates_folder())
    if markdown:
        from bot.markup import markdown_environment, refuse_what_is_lost  # noqa: PLC0415  likewise

        loader = ours if own is None else jinja2.ChoiceLoader([jinja2.DictLoader({OWN: own}), ours])
        environment = markdown_environment(loader, dict(MARKDOWN), sandboxed=own is not None)
    else:
        environment = jinja2.Environment(  # noqa: S701  for a terminal
            loader=ours, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
        )
        environment.filters |= MARKDOWN
    environment.filters |= PLAIN
    if own is not None:
        refuse_what_is_lost(environment, own, OWN, OURS)
    return environment


# ── Filters: a value -> how a reader sees it ─────────────────────────────────────────────────────────────────────────────


def icon(value: object) -> str:
    """A verdict, outcome or severity as a sign."""
    if isinstance(value, Verdict):
        return _ICONS[value]
    if isinstance(value, Severity):
        return _FINDING_ICONS[value]
    return {Outcome.APPLIED: "✅", Outcome.FAILED: "❌", Outcome.SKIPPED: "⏭️"}[Outcome(str(value))]


def mark(migration: Rehearsal, findings: Iterable[Finding]) -> str:
    """A migration's sign: what became of it, or the weightiest finding that it does not allow."""
    severities = {f.severity for f in findings if f.path in (migration.files or (migration.path,)) and f.allowed_reason is None}
    if migration.outcome is Outcome.APPLIED:
        for severity in (Severity.ERROR, Severity.WARNING):
            if severity in severities:
                return icon(severity)
    return icon(migration.outcome)


def sign(change: str) -> str:
    """How something changed, as a sign."""
    return {"added": "+", "dropped": "−", "changed": "±", "renamed": "→"}[change]


def number(value: object) -> str:
    """A count with thousands separated; a dash for what was not counted."""
    return "–" if value is None else f"{value:,}"


def signed_bytes(value: int) -> str:
    """A growth or shrinkage."""
    return "–" if value == 0 else ("+" if value > 0 else "−") + size(abs(value))


def rows_cell(migration: Rehearsal) -> str:
    """What a migration did to rows, in a few words."""
    tables = migration.tables
    counted = {verb: sum(getattr(t, verb) or 0 for t in tables) for verb in ("inserted", "updated", "deleted")}
    parts = [f"{n:,} {verb}" for verb, n in counted.items() if n]
    parts += [f"{_rows_gone(t):,} gone" for t in tables if _rows_gone(t) and t.deleted is None]
    return ", ".join(parts) or "–"


def _rows_gone(table: TableChange) -> int:
    return max(0, (table.rows_before or 0) - (table.rows_after or 0))


def size_cell(migration: Rehearsal) -> str:
    """How much the database grew, its indexes too; what the catalog grew by alone is not worth a word."""
    grown = migration.disk_bytes
    if grown is None:
        grown = sum((t.bytes_after or 0) - (t.bytes_before or 0) for t in migration.tables)
    return signed_bytes(grown) if abs(grown) >= _WORTH_TELLING_BYTES else "–"


def caught_up_text(report: Report) -> str:
    """What the seed lacked of the base branch, in a sentence; the last ones are named, between backticks. Empty: nothing."""
    done = report.caught_up
    if not done:
        return ""
    names = ", ".join(name(PurePosixPath(one.path).name if len(done) > 1 else one.path) for one in done[-_CAUGHT_UP_NAMED:])
    more = ", …" if len(done) > _CAUGHT_UP_NAMED else ""
    took = duration(sum(one.duration_ms for one in done))
    were = "was" if len(done) == 1 else "were"
    return (
        f"{count(len(done), 'migration')} of the base branch that the seed lacked {were} applied first: {names}{more} ({took})."
    )


def cost_text(migrations: Iterable[Rehearsal]) -> str:
    """What migrations wrote besides the data: log, and temporary files."""
    migrations = list(migrations)
    wal, temp = (sum(getattr(m, what) or 0 for m in migrations) for what in ("wal_bytes", "temp_bytes"))
    parts = [f"{size(n)} of {what}" for n, what in ((wal, "log (WAL)"), (temp, "temporary files")) if n >= _WORTH_TELLING_BYTES]
    return f", {' and '.join(parts)} written" if parts else ""


def wait(ms: float) -> str:
    """How long others wait; a dash where they do not."""
    return duration(ms).replace(" ", "\u00a0") if ms else "–"


def lock_mode(mode: str) -> str:
    """A mode as PostgreSQL's manual and its LOCK command write it: `AccessExclusiveLock` is ACCESS EXCLUSIVE."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", mode.removesuffix("Lock")).upper()


def wait_cell(migration: Rehearsal, style: str = "markdown") -> str:
    """Who had to wait on which table, for how long; the longest two."""
    blocking = sorted((lock for lock in migration.locks if lock.blocks), key=_waited_ms, reverse=True)
    show = cell if style == "markdown" else one_line
    parts = [f"{' and '.join(k.blocks)} on {show(relation(k.relation))} for {duration(_waited_ms(k))}" for k in blocking[:2]]
    if len(blocking) > 2:
        parts.append(f"{len(blocking) - 2} more")
    if any(s.locks is None and s.error is None for s in migration.statements):
        parts.append("not all seen")
    return ", ".join(parts) or "–"


def _waited_ms(lock: RelationLock) -> float:
    """How long those waited who waited longest."""
    return max(lock.reads_blocked_ms, lock.writes_blocked_ms)


def columns(rows: Iterable[Iterable[str]], width: int | None = None) -> str:
    """Rows of text as aligned columns, two blanks apart, folded to `width` characters; wide ones counted as a terminal shows
    them.
    """
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    for row in rows:
        table.add_row(*(Text(one_line(value), overflow="fold") for value in row))
    out = StringIO()
    Console(file=out, width=width or 10_000, no_color=True).print(table)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


# The terminal's own sixteen colours, which its user has chosen to be readable; by verdict and severity, and of a heading.
_STYLES = {
    **dict.fromkeys(("fail", "error"), "bold red"),
    **dict.fromkeys(("warn", "warning"), "bold yellow"),
    "pass": "bold green",
    "notice": "cyan",
    "heading": "bold",
    "aside": "dim",
}


def _painted(value: str, style: str) -> str:
    """A text in a style, as escape sequences; line by line, so that a pager keeps it. Its own were made visible before."""
    from rich.color import ColorSystem  # noqa: PLC0415
    from rich.style import Style  # noqa: PLC0415

    made = Style.parse(_STYLES[style])
    return "\n".join(made.render(line, color_system=ColorSystem.STANDARD) for line in value.split("\n"))


def _as_it_is(value: str, _style: str) -> str:
    return value


def _cut(value: str, limit: int) -> str:
    return value if len(value) <= limit else value[: limit - 1] + "…"


def counts(report: Report) -> Mapping[str, int]:
    """Numbers for the action's outputs."""
    open_findings = [f for f in report.findings if f.allowed_reason is None]
    return {
        "migrations": _number_of(report.migrations),
        "failed": _number_of(m for m in report.migrations if m.outcome is Outcome.FAILED),
        "errors": sum(f.severity is Severity.ERROR for f in open_findings),
        "warnings": sum(f.severity is Severity.WARNING for f in open_findings),
    }


def became(change: SchemaChange) -> str:
    """From what to what something changed, after a colon; empty for what was added or dropped."""
    if change.before is None or change.after is None:
        return ""
    return f": {code(change.before[:_SHOWN_OF_TEXT])} is now {code(change.after[:_SHOWN_OF_TEXT])}"


# What templates may use. Those of the second part give Markdown, in which whatever was foreign is escaped.
PLAIN: Mapping[str, Callable[..., str]] = {
    "at": at,
    "caught_up_text": caught_up_text,
    "columns": columns,
    "named_files": named_files,
    "one_line": one_line,
    "place": place,
    "relation": relation,
    "timeline": mermaid,
    "visible": visible,
    "within": within,
}
MARKDOWN: Mapping[str, Callable[..., str]] = {
    "became": became,
    "bytes": size,
    "cell": cell,
    "code": code,
    "cost_text": cost_text,
    "duration": duration,
    "escape_markdown": escape_markdown,
    "fence": fence,
    "icon": icon,
    "lock_mode": lock_mode,
    "mark": mark,
    "message": message,
    "nowrap": nowrap,
    "number": number,
    "plural": count,
    "rows_cell": rows_cell,
    "sign": sign,
    "signed_bytes": signed_bytes,
    "size_cell": size_cell,
    "wait": wait,
    "wait_cell": wait_cell,
}
