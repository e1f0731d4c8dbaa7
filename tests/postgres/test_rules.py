"""Every rule's bad and good example, run on real rows: tests/cases/<rule>/."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.model import Finding, HistoryProblem, Migration, Severity, Verdict
from bot.rules import RULES, Policy, Rule, judge
from bot.settings import settings_from
from bot.verdict import conclude, exit_status
from tests.fix_postgres import Stage

CASES = Path(__file__).parents[1] / "cases"


def findings(stage: Stage, rule: str, which: str, prefix: str = "") -> tuple[Finding, ...]:
    folder = CASES / rule
    layout = (folder / "layout").read_text().strip() if (folder / "layout").exists() else "plain"
    down = (folder / "down.sql").read_text() if (folder / "down.sql").exists() else None
    text = prefix + (folder / f"{which}.sql").read_text()
    migration = Migration("m.sql", "1", layout, text, down, "m.down.sql" if down else None)
    inputs = (folder / "inputs").read_text().splitlines() if (folder / "inputs").exists() else []
    settings = settings_from(dict(line.split("=", 1) for line in inputs))
    rehearsals = stage.rehearse_migrations((folder / "before.sql").read_text(), (migration,), settings)
    return judge(rehearsals, (migration,), (), Policy())


def test_every_rule_has_examples_and_every_example_a_rule() -> None:
    assert {path.name for path in CASES.iterdir()} == {rule.id for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_bad_example_is_found(stage: Stage, rule: Rule) -> None:
    severity, line, message = (CASES / rule.id / "expected").read_text().rstrip("\n").split(" ", 2)

    found = [f for f in findings(stage, rule.id, "bad") if f.rule == rule.id]

    assert [(str(f.severity), str(f.line or "-"), f.message[: len(message)]) for f in found] == [(severity, line, message)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_the_good_example_is_clean(stage: Stage, rule: Rule) -> None:
    found = findings(stage, rule.id, "good")

    assert [f for f in found if f.rule == rule.id or f.severity is not Severity.NOTICE] == []


def test_a_finding_is_accepted_with_a_reason(stage: Stage) -> None:
    found = findings(stage, "table-rewritten", "bad", "-- rehearsal: allow table-rewritten at night, 20,000 rows\n")

    (accepted,) = [f for f in found if f.rule == "table-rewritten"]
    assert accepted.allowed_reason == "at night, 20,000 rows"
    assert conclude([accepted], "warning") is Verdict.PASS


# directive -> what is said of it
BAD_DIRECTIVES = {
    "allow table-rewritten": "needs a reason",
    "allow no-such-rule because": "names no rule that can be allowed",
    "allow constraint-broken because": "names no rule that can be allowed",
    "expects (SELECT true)": "is not understood by this version",
}


@pytest.mark.parametrize("directive", BAD_DIRECTIVES)
def test_a_directive_that_does_nothing_is_said(stage: Stage, directive: str) -> None:
    rule = "table-rewritten"

    found = findings(stage, rule, "good", f"-- rehearsal: {directive}\n")

    (said,) = [f for f in found if f.rule == "bad-directive"]
    assert (said.severity, said.line) == (Severity.WARNING, 1)
    assert BAD_DIRECTIVES[directive] in said.message


def test_history_problems_are_warnings() -> None:
    (found,) = judge((), (), (HistoryProblem("a.sql", "was edited"),), Policy())

    assert (found.rule, found.severity, found.message) == ("history-changed", Severity.WARNING, "`a.sql` was edited")


def finding(severity: Severity) -> Finding:
    return Finding("r", severity, "m", "p")


VERDICTS = {
    ((), "error"): (Verdict.PASS, 0),
    ((Severity.NOTICE,), "warning"): (Verdict.PASS, 0),
    ((Severity.WARNING,), "error"): (Verdict.WARN, 0),
    ((Severity.WARNING,), "warning"): (Verdict.FAIL, 1),
    ((Severity.WARNING, Severity.ERROR), "error"): (Verdict.FAIL, 1),
    ((Severity.ERROR,), "never"): (Verdict.WARN, 0),
}


@pytest.mark.parametrize("case", VERDICTS, ids=str)
def test_verdict_and_exit_status(case: tuple[tuple[Severity, ...], str]) -> None:
    severities, fail_on = case
    verdict = conclude([finding(s) for s in severities], fail_on)

    assert (verdict, exit_status(verdict)) == VERDICTS[case]
