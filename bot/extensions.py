"""Extensions that migrations create. Pure.

One that is marked trusted may be created by whoever may create things in the database, the others by a superuser only. Of those,
the ones that are known to give nobody a superuser's rights are created for the migration (see bot/postgres/roles.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from bot.model import Migration
from bot.sql import Statement, split

_CREATE = re.compile(r'create\s+extension\s+(?:if\s+not\s+exists\s+)?(?:"(?P<quoted>[^"]+)"|(?P<plain>[\w-]+))', re.IGNORECASE)

# Not trusted by their own word, and yet harmless: what in them needs more rights asks for these itself, or is kept from others.
_NAMES = """
    address_standardizer address_standardizer_data_us age amcheck autoinc bloom dblink dict_xsyn earthdistance
    hll hypopg insert_username intagg moddatetime pg_buffercache pg_freespacemap pg_hint_plan pg_ivm pg_jsonschema
    pg_prewarm pg_similarity pg_stat_statements pg_uuidv7 pg_visibility pgrowlocks pgroonga pgstattuple pgtap
    postgis postgis_raster postgis_sfcgal postgis_tiger_geocoder postgis_topology postgres_fdw prefix refint rum semver sslinfo
    timescaledb unit vchord vector vectorscale xml2
"""
HARMLESS = frozenset(_NAMES.split())
CONNECTING = frozenset({"dblink", "postgres_fdw"})  # harmless in a server without a network


def created_by(statement: Statement) -> str | None:
    """The name of the extension that a statement creates; None if it creates none."""
    name = _CREATE.match(statement.sql) if statement.begins("create extension") else None
    return (name["quoted"] or name["plain"].lower()) if name else None


def created_in(migrations: Iterable[Migration]) -> frozenset[str]:
    """The extensions that migrations create outright; one that is created only if something holds is not known to be needed."""
    texts = [migration.text for migration in migrations if "extension" in migration.text.lower()]
    return frozenset(name for text in texts for statement in split(text).statements if (name := created_by(statement)))
