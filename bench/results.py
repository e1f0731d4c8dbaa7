"""A section of RESULTS.md, and the file of samples that it was made of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.measure import Section, table

BENCH = Path(__file__).parent
RESULTS = BENCH / "RESULTS.md"


def whole(facts: Mapping[str, str], sections: Sequence[Section], *, quick: bool) -> dict[str, Any]:
    """All samples of a run, for a program."""
    return {"facts": dict(facts), "quick": quick, "sections": [section.plain() for section in sections]}


def written(facts: Mapping[str, str], sections: Sequence[Section]) -> str:
    """All tables of a run, for people."""
    measured_on = table(("measured on", ""), list(facts.items()))
    return "\n".join([measured_on, *(f"\n{section.text().rstrip()}" for section in sections)])


def publish(
    name: str, title: str, head: str, facts: Mapping[str, str], sections: Sequence[Section], goals: Sequence[str]
) -> None:
    """Writes <name>.json, and the section of RESULTS.md with this title anew."""
    (BENCH / f"{name}.json").write_text(json.dumps(whole(facts, sections, quick=False), indent=1) + "\n")
    text = f"## {title}\n\n{head}\n\n```text\n{written(facts, sections)}\n```\n\n"
    text += "".join(f"- {goal}\n" for goal in goals)
    text += f"\nEvery sample is in [{name}.json]({name}.json).\n"
    RESULTS.write_text(with_section(RESULTS.read_text(), title, text))


def with_section(results: str, title: str, text: str) -> str:
    """A page with a section in the place of the one that has this title, or at the end."""
    parts = re.split(r"^(?=## )", results, flags=re.MULTILINE)
    kept = [text.rstrip() if part.startswith(f"## {title}\n") else part.rstrip() for part in parts]
    if not any(part.startswith(f"## {title}\n") for part in parts):
        kept.append(text.rstrip())
    return "\n\n".join(kept) + "\n"
