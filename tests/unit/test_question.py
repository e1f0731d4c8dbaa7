"""What decides an answer, and what does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.model import HistoryProblem, Migration, Plan, PullRequest, Severity, Source, Standing
from bot.production import Production
from bot.question import Surroundings, question_of
from bot.settings import Settings
from bot.team import Expected, Sizes

ONE = Migration("m/1.sql", "1", "plain", "SELECT 1;")
TWO = Migration("m/2.sql", "2", "plain", "SELECT 2;")
BASE = Migration("m/0.sql", "0", "plain", "SELECT 0;")
PLAN = Plan((ONE, TWO), (BASE,), reason="because")
PULL = PullRequest("o/r", "a" * 40, "b" * 40, 7)
STANDING = Standing("m/0.sql", "0", "plain", "blob", "0")
AROUND = Surroundings("program", "sha256:seed", "", "17.2")
SETTINGS = Settings(seed="x.dump")


def key(plan: Plan = PLAN, settings: Settings = SETTINGS, pull: PullRequest = PULL, around: Surroundings = AROUND) -> str:
    return question_of(plan, settings, pull, around).key


# what is different -> whether it is another question
DIFFERENT = [
    ({"plan": replace(PLAN, migrations=(TWO, ONE))}, True),
    ({"plan": replace(PLAN, migrations=(replace(ONE, text="SELECT 1; "), TWO))}, True),
    ({"plan": replace(PLAN, migrations=(replace(ONE, layout="goose"), TWO))}, True),
    ({"plan": replace(PLAN, migrations=(replace(ONE, expect="SELECT 1"), TWO))}, True),
    ({"plan": replace(PLAN, migrations=(replace(ONE, sources=(Source(1, "lib.sql", 1),)), TWO))}, True),  # where it points
    ({"plan": replace(PLAN, migrations=(ONE, replace(TWO, members=(ONE, TWO))))}, True),
    ({"settings": replace(SETTINGS, placeholders={"a": "b"})}, False),  # in the texts, if a file uses it
    ({"plan": replace(PLAN, problems=(HistoryProblem("m/0.sql", "edited"),))}, True),
    ({"plan": replace(PLAN, base=())}, False),  # with a dump as seed the base's files are not run
    ({"plan": replace(PLAN, base=()), "around": replace(AROUND, seed="")}, True),
    ({"plan": replace(PLAN, standing=(STANDING,))}, True),
    ({"plan": replace(PLAN, standing=(STANDING,)), "around": replace(AROUND, seed="")}, True),
    ({"plan": replace(PLAN, problems=(HistoryProblem("m/0.sql", "edited", Severity.NOTICE),))}, True),
    ({"around": replace(AROUND, program="other")}, True),
    ({"around": replace(AROUND, seed="sha256:other")}, True),
    ({"around": replace(AROUND, seed_sql="sha256:rows")}, True),
    ({"around": replace(AROUND, servers="18.0")}, True),
    ({"settings": replace(SETTINGS, time_limit_s=1.0)}, True),
    ({"settings": replace(SETTINGS, way_back=False)}, True),
    ({"settings": replace(SETTINGS, fail_on="warning")}, True),
    ({"settings": replace(SETTINGS, large_table_rows=1)}, True),
    ({"settings": replace(SETTINGS, max_reads_blocked_ms=1.0)}, True),
    ({"settings": replace(SETTINGS, max_writes_blocked_ms=1.0)}, True),
    ({"settings": replace(SETTINGS, production=Production(total=1))}, True),
    ({"settings": replace(SETTINGS, production=Production({"public.orders": 1}))}, True),
    ({"settings": replace(SETTINGS, rule_options={"reads-blocked": {"error-factor": 2.0}})}, True),
    ({"settings": replace(SETTINGS, sizes=Sizes({"public.orders": True}))}, True),
    ({"settings": replace(SETTINGS, sizes=Sizes(rows={"public.orders": 7}))}, True),
    ({"settings": replace(SETTINGS, expectations=(Expected("none", "SELECT 1", is_query=True, line=2),))}, True),
    ({"settings": replace(SETTINGS, show_row_data=True)}, True),
    ({"settings": replace(SETTINGS, seed="elsewhere/the-same.dump")}, False),
    ({"settings": replace(SETTINGS, network=True)}, True),
    ({"settings": replace(SETTINGS, force=True)}, False),
    ({"pull": replace(PULL, head_sha="c" * 40)}, True),
    ({"pull": replace(PULL, base_sha="c" * 40)}, False),  # what of the base matters is in the plan
]


@pytest.mark.parametrize(("different", "another"), DIFFERENT)
def test_the_key(different: dict[str, object], another: bool) -> None:
    assert (key(**different) != key()) is another  # type: ignore[arg-type]


def test_a_rehearsal_is_decided_by_what_ran_before_and_not_by_the_commit() -> None:
    here = question_of(PLAN, SETTINGS, PULL, AROUND).rehearsals()
    there = question_of(replace(PLAN, migrations=(ONE,)), SETTINGS, replace(PULL, head_sha="c" * 40), AROUND).rehearsals()
    changed = question_of(replace(PLAN, migrations=(replace(ONE, text="x"), TWO)), SETTINGS, PULL, AROUND).rehearsals()

    assert there[0].request_hash == here[0].request_hash
    assert [a.request_hash == b.request_hash for a, b in zip(here, changed, strict=True)] == [False, False]


def test_what_is_judged_does_not_decide_what_was_observed() -> None:
    lenient = question_of(
        PLAN, replace(SETTINGS, fail_on="never", large_table_rows=5, production=Production(total=9)), PULL, AROUND
    )

    assert [s.request_hash for s in lenient.rehearsals()] == [
        s.request_hash for s in question_of(PLAN, SETTINGS, PULL, AROUND).rehearsals()
    ]


def test_what_the_team_expects_is_asked_of_each_rehearsal_and_of_the_clone() -> None:
    expecting = replace(SETTINGS, expectations=(Expected("none", "SELECT 1", is_query=True, line=2),))
    here, there = (question_of(PLAN, settings, PULL, AROUND) for settings in (SETTINGS, expecting))

    assert here.clone().request_hash != there.clone().request_hash
    assert here.rehearsals()[0].request_hash != there.rehearsals()[0].request_hash


def test_the_places_of_a_runs_steps() -> None:
    question = question_of(PLAN, SETTINGS, PULL, AROUND)

    assert [s.step_id for s in (question.clone(), *question.rehearsals(), question.report())] == [3, 4, 5, 6]
    assert question.first_delivery == 7


def test_a_name_that_is_not_utf_8_has_a_key_too() -> None:
    assert key(plan=replace(PLAN, migrations=(replace(ONE, path="m/caf\udce9.sql"),)))


def test_of_what_the_base_has_its_content_decides() -> None:
    plans = [replace(PLAN, standing=(replace(STANDING, content=content),)) for content in ("blob", "blob", "other")]

    assert [key(plan=plan) == key(plan=plans[0]) for plan in plans] == [True, True, False]


def test_without_a_dump_a_history_table_that_a_migration_names_decides() -> None:
    around = replace(AROUND, seed="")
    names = replace(ONE, layout="goose", text="TRUNCATE goose_db_version")
    grounds = [
        question_of(replace(PLAN, migrations=(migration,)), SETTINGS, PULL, around).clone().request_hash
        for migration in (ONE, replace(names, text="SELECT 1"), names)
    ]

    assert [ground == grounds[0] for ground in grounds] == [True, True, False]
