"""SQL that findings offer instead, and the names in it."""

from __future__ import annotations

import re


def unquoted(identifier: str) -> str:
    """One name as PostgreSQL's catalog has it, whether it is quoted or not."""
    is_quoted = len(identifier) > 1 and identifier[0] == identifier[-1] == '"'
    return identifier[1:-1].replace('""', '"') if is_quoted else identifier


def quoted(identifier: str) -> str:
    """One name, safe in SQL; one that is quoted already stays as it is."""
    return '"' + unquoted(identifier).replace('"', '""') + '"'


def not_null(table: str, column: str, fill: str) -> str:
    """NOT NULL without a scan that others wait for; `fill` says what is to be filled before."""
    helper = quoted(f"{unquoted(column)}_not_null"[:63])
    return (
        f"ALTER TABLE {table} ADD CONSTRAINT {helper} CHECK ({column} IS NOT NULL) NOT VALID;\n"
        f"-- {fill}; then, each in a transaction of its own:\n"
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {helper};  -- nobody waits\n"
        f"ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL;  -- no scan\n"
        f"ALTER TABLE {table} DROP CONSTRAINT {helper};"
    )


def not_valid(table: str, constraint: str, definition: str, mend: str) -> str:
    """A CHECK or FOREIGN KEY that is proven without blocking; `mend` says what is to be done before."""
    return (
        f"ALTER TABLE {table} ADD CONSTRAINT {quoted(constraint)} {definition.removesuffix(' NOT VALID')} NOT VALID;\n"
        f"-- {mend} in a transaction of its own:\n"
        f"ALTER TABLE {table} VALIDATE CONSTRAINT {quoted(constraint)};  -- nobody waits"
    )


def concurrently(definition: str) -> str | None:
    """The CREATE INDEX of an index as one that blocks nobody; None on a partitioned table, where there is no such thing."""
    if re.match(r"CREATE (?:UNIQUE )?INDEX ", definition) is None or " ON ONLY " in definition:
        return None
    return re.sub(r"^CREATE (UNIQUE )?INDEX ", r"CREATE \1INDEX CONCURRENTLY ", definition) + ";"
