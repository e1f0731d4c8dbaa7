"""The labelled migrations of bench/labelled, and the proof of each label: hand-written SQL, and nothing of our program.

A label is decided before any tool sees the file. What proves it stands beside it in label.toml:

- `before`: a condition that is true before the migration; `keep`: a query whose rows are kept in the table `was`.
- `fails`: the SQLSTATE that it ends with. `after`: a condition that is true after it. `breaks`: a statement that runs
  before it and fails after it. `long_lock`: a table of 100,000 rows or more of which so many were read or written while a lock
  kept others out.
- Of a safe file it is checked besides that it runs, that no table lost rows (but those in `rows_may_go`), and that there was no
  such lock.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

LABELLED = Path(__file__).parent / "labelled"
BEFORE = LABELLED / "before.sql"
ROLE = "reporting"  # named by before.sql; it must be there
LARGE = 100_000
KINDS = {
    "fails": "it, or what comes after it, fails on this data",
    "rows-lost": "rows are lost that it does not mean",
    "values-lost": "values are lost",
    "blocks": "a large table is locked while it is read or written",
    "dependents": "what depends on it is broken or gone",
    "renamed": "programs that run meanwhile ask for the old name",
    "guard": "what protects the data is off",
    "access": "others may read more, or less",
    "numbers": "a key has no numbers left, or gives those that are there",
    "invalid-index": "an invalid index is left behind",
    "slow": "queries read a whole large table from now on",
    "way-back": "the way back does not lead back",
}
_BLOCKING = "('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
_STATE = """
    SELECT c.oid, c.relname, c.relkind, pg_relation_filenode(c.oid) AS node, c.reltuples,
           coalesce(s.seq_tup_read + s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0) AS touched, coalesce(s.n_tup_del, 0) AS deleted
    FROM pg_class AS c LEFT JOIN pg_stat_xact_all_tables AS s ON s.relid = c.oid
    WHERE c.relkind IN ('r', 'm') AND c.relnamespace = 'public'::regnamespace
"""
_LONG_LOCKS = f"""
    WITH now AS ({_STATE})
    SELECT DISTINCT b.relname FROM now JOIN state_before AS b USING (oid) JOIN pg_locks AS l ON l.relation = oid
    WHERE l.pid = pg_backend_pid() AND l.mode IN {_BLOCKING} AND b.reltuples >= {LARGE}
          AND (b.relkind <> 'm' OR l.mode = 'AccessExclusiveLock') -- nobody writes a materialized view
          AND (now.node <> b.node OR now.touched - b.touched >= {LARGE})
    ORDER BY 1
"""  # noqa: S608
_THINNED = f"""
    WITH now AS ({_STATE})
    SELECT b.relname FROM state_before AS b LEFT JOIN now USING (oid)
    WHERE b.reltuples > 0 AND (now.oid IS NULL OR now.relname <> b.relname OR now.node <> b.node OR now.deleted > b.deleted)
"""  # noqa: S608


@dataclass(frozen=True, slots=True)
class Proof:
    """What shows that a label is true."""

    run: str  # "transaction": in one, rolled back; "psql": statement by statement, on a database of its own; "up-and-down"
    before: str = ""
    keep: str = ""
    fails: str = ""
    breaks: str = ""
    after: str = ""
    long_lock: str = ""
    rows_may_go: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """One migration, and whether it harms."""

    name: str
    harm: tuple[str, ...]  # kinds, any of which a tool may name; none: it is safe
    why: str
    layout: str
    proof: Proof
    folder: Path = field(repr=False)

    @property
    def up(self) -> str:
        """The migration."""
        return (self.folder / "up.sql").read_text()

    @property
    def down(self) -> str | None:
        """Its way back."""
        path = self.folder / "down.sql"
        return path.read_text() if path.exists() else None


def cases(folder: Path = LABELLED / "cases") -> list[Case]:
    """All of them, by name."""
    return [_case(path) for path in sorted(folder.iterdir()) if path.is_dir()]


def _case(folder: Path) -> Case:
    label: dict[str, Any] = tomllib.loads((folder / "label.toml").read_text())
    given = label["proof"]
    proof = Proof(**{**given, "rows_may_go": tuple(given.get("rows_may_go", ()))})
    return Case(folder.name, tuple(label["harm"]), label["why"], label.get("layout", "plain"), proof, folder)


def make(admin: psycopg.Connection, connection: psycopg.Connection) -> None:
    """The database, as before.sql makes it. `admin` may create the role; both are in autocommit."""
    if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone() is None:
        admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(ROLE)))
    connection.execute(BEFORE.read_bytes())
    connection.execute("VACUUM ANALYZE")


def rows_of(connection: psycopg.Connection) -> dict[str, int]:
    """How many rows each table has."""
    found = connection.execute(sql.SQL("SELECT relname FROM ({}) AS x").format(sql.SQL(_STATE))).fetchall()
    return {name: _count(connection, name) for (name,) in found}


def faults(case: Case, connection: psycopg.Connection, rows: Mapping[str, int]) -> list[str]:
    """What of a label is not true; none if all of it is. The connection is in a transaction, but for `psql` in autocommit;
    what is left of the transaction is the caller's to roll back. `rows`: of each table, before.
    """
    found = [] if _true(connection, case.proof.before) else [f"not so before: {case.proof.before}"]
    if case.proof.breaks and (error := _error(connection, [case.proof.breaks], undo=True)):
        found.append(f"fails before it, too: {error}")
    if case.proof.keep:
        connection.execute(f"CREATE TEMPORARY TABLE was AS {case.proof.keep}".encode())
    connection.execute(f"CREATE TEMPORARY TABLE state_before AS {_STATE}".encode())
    texts = _statements(case.up) if case.proof.run == "psql" else [text for text in (case.up, case.down) if text]
    error = _error(connection, texts)
    if error != (case.proof.fails or None):
        return [*found, f"ends with {error}, and not with {case.proof.fails or 'success'}"]
    if error and case.proof.run != "psql":
        return found  # the transaction is over
    if case.proof.run == "psql" and connection.info.transaction_status != TransactionStatus.IDLE:
        connection.execute("ROLLBACK")  # as when psql disconnects
    return [*found, *_faults_after(case, connection, rows)]


def _faults_after(case: Case, connection: psycopg.Connection, rows: Mapping[str, int]) -> list[str]:
    long_locks = [] if case.proof.run == "psql" else [name for (name,) in connection.execute(_LONG_LOCKS.encode()).fetchall()]
    found = [] if _true(connection, case.proof.after) else [f"not so after: {case.proof.after}"]
    if case.proof.long_lock and case.proof.long_lock not in long_locks:
        found.append(f"{case.proof.long_lock} was not locked for long; {long_locks}")
    if case.proof.breaks and not _error(connection, [case.proof.breaks], undo=True):
        found.append(f"does not fail: {case.proof.breaks}")
    if not case.harm:
        found += [f"{name} was locked for long" for name in long_locks]
        thinned = {name for (name,) in connection.execute(_THINNED.encode()).fetchall()} - set(case.proof.rows_may_go)
        found += [f"{name} lost rows" for name in sorted(thinned) if _count(connection, name) < rows[name]]
    return found


def _true(connection: psycopg.Connection, condition: str) -> bool:
    row = connection.execute(f"SELECT {condition or 'true'}".encode()).fetchone()
    return row is not None and row[0] is True


def _error(connection: psycopg.Connection, texts: Sequence[str], *, undo: bool = False) -> str | None:
    """The SQLSTATE that texts end with. `undo`: a savepoint keeps what they did away from what comes next."""
    try:
        if undo:
            with connection.transaction(force_rollback=True):
                connection.execute(texts[0].encode())
            return None
        for text in texts:
            connection.execute(text.encode())
    except psycopg.Error as error:
        return error.sqlstate or "?"
    return None


def _statements(text: str) -> list[str]:
    """As psql sends them: these files hold no semicolon at the end of a line that ends no statement."""
    return [statement for statement in text.split(";\n") if statement.strip()]


def _count(connection: psycopg.Connection, table: str) -> int:
    try:
        with connection.transaction():
            row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier("public", table))).fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return int(row[0]) if row else 0
