"""Writes docs/rules/<rule>.md from the rules and their examples, which the tests run: `python docs/make_rules.py`.

A test holds the pages equal to what this makes.
"""

from __future__ import annotations

from pathlib import Path

from bot.rules import RULES, Rule

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "docs/rules"
CASES = ROOT / "tests/cases"


def page(rule: Rule) -> str:
    """One rule's page; all have one shape."""
    examples = {name: (CASES / rule.id / f"{name}.sql").read_text().strip() for name in ("before", "bad", "good")}
    _severity, _line, message = (CASES / rule.id / "expected").read_text().strip().split(" ", 2)
    allow = (
        f"A file accepts it with a reason that the report shows: `-- rehearsal: allow {rule.id} <reason>`."
        if rule.allowable
        else "It can't be allowed: the migration does not run."
    )
    return f"""# {rule.title}

`{rule.id}` · {rule.severity}

{rule.why}

**What to do instead.** {rule.instead}

{allow}

## Found

On a database made by

```sql
{examples["before"]}
```

the migration

```sql
{examples["bad"]}
```

gives: {message}

## Not found

```sql
{examples["good"]}
```
"""


if __name__ == "__main__":
    PAGES.mkdir(exist_ok=True)
    for each in RULES:
        (PAGES / f"{each.id}.md").write_text(page(each), encoding="utf-8")
