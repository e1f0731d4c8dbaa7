"""Writes docs/rules/<rule>.md from the rules and their examples, which the tests run, and docs/rules/README.md, their table:
`python docs/make_rules.py`.

A test holds the pages equal to what this makes.
"""

from __future__ import annotations

from pathlib import Path

from bot.rules import BAD_DIRECTIVE, HISTORY_CHANGED, RULES, Rule

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs/rules"
CASES = ROOT / "tests/cases"
INDEX = PAGES / "README.md"
# Findings about the files themselves, which no rehearsal makes.
_OF_FILES = (
    (
        HISTORY_CHANGED,
        "warning",
        "A migration of the base branch is edited, renamed or deleted, or a new file would not be run, or not in its place",
    ),
    (BAD_DIRECTIVE, "warning", "A `-- rehearsal:` comment that does nothing"),
)


def page(rule: Rule) -> str:
    """One rule's page; all have one shape."""
    folder = CASES / rule.id
    _severity, _line, message = (folder / "expected").read_text().strip().split(" ", 2)
    allow = (
        f"A file accepts it with a reason that the report shows: `-- rehearsal: allow {rule.id} <reason>`."
        if rule.allowable
        else "It can't be allowed: mend the migration."
    )
    layout = f" (layout `{_text(folder / 'layout')}`)" if (folder / "layout").exists() else ""
    down = f"\n\nwhose way back is\n\n{_sql(folder / 'down.sql')}\n\n" if (folder / "down.sql").exists() else "\n\n"
    return f"""# {rule.title}

`{rule.id}` · {rule.severity}

{rule.why}

**What to do instead.** {rule.instead}

**How it is measured.** {rule.evidence}

{allow}{_options(rule)}

## Found

On a database made by

{_sql(folder / "before.sql")}

the migration{layout}

{_sql(folder / "bad.sql")}{down}gives: {message} …

## Not found

{_sql(folder / "good.sql")}
"""


def index() -> str:
    """The table of all rules, the weightiest first."""
    weights = ["error", "warning", "notice"]
    rules = sorted(RULES, key=lambda rule: (weights.index(rule.severity), rule.id))
    rows = [f"| [`{rule.id}`]({rule.id}.md) | {rule.severity} | {rule.title} |" for rule in rules]
    rows += [f"| `{name}` | {severity} | {title} |" for name, severity, title in _OF_FILES]
    return """# What it finds

Each rule judges what was observed, not what the SQL looks like. The severity is the usual one: with time, size or what was moved
elsewhere it can be more or less, as its page says. An error fails the check, a warning does if `fail-on` says so, a notice never.

| rule | severity | |
|---|---|---|
""" + "".join(f"{row}\n" for row in rows)


def _options(rule: Rule) -> str:
    """The table of what a team may set of it."""
    if not rule.options:
        return ""
    rows = "".join(f"| `{o.name}` | {o.shown_default} | {o.values} | {o.help} |\n" for o in rule.options)
    return f"""

## Options

Under `[rules.{rule.id}]` in [`.migration-rehearsal.toml`](../configuration.md):

| option | default | values | |
|---|---|---|---|
{rows.rstrip()}"""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def _sql(path: Path) -> str:
    return f"```sql\n{_text(path)}\n```"


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    INDEX.write_text(index(), encoding="utf-8")
    for each in RULES:
        (PAGES / f"{each.id}.md").write_text(page(each), encoding="utf-8")
