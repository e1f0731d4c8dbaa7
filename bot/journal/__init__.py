"""The journal: every outside effect once, in a PostgreSQL database.

`steps` has the values, `store` the tables, `runs` the rules, `embedded` a server of its own where a team has none.
"""

from bot.journal.runs import Journal, Run, Steps, Unjournaled
from bot.journal.steps import Json, Kind, Recorded, Step, digest

__all__ = ["Journal", "Json", "Kind", "Recorded", "Run", "Step", "Steps", "Unjournaled", "digest"]
