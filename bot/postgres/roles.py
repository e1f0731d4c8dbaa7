"""The role that migrations run as: no superuser, yet one who owns what the seed holds, as the master user of a hosted PostgreSQL.

Somebody else wrote the migration, and the clone lies next to our secrets: a superuser could read and write the server's files and
start programs. The seed is made by MAKER while that role is a superuser (a dump names owners, extensions, event triggers), so
that everything in it belongs to roles of the team's own; then MAKER loses that right, and the migrations' role becomes a member
of every other role.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus

from bot.postgres.embedded import MAKER, SUPERUSER, Server
from bot.postgres.looking import ask

# Who owns most of what a migration alters. A tool connects as somebody who owns the tables: nobody else may alter them.
_OWNERS = """
SELECT r.rolname::text
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_roles AS r ON r.oid = c.relowner
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
GROUP BY r.rolname
ORDER BY pg_catalog.count(*) DESC, r.rolname <> 'postgres', r.rolname
LIMIT 1
"""
# Functions of extensions that are kept from the public, as dblink's that connects without a password. An extension that was
# created by somebody who is no superuser leaves them with the one who is; this one was created by MAKER as superuser.
_KEPT_FROM_THE_PUBLIC = """
SELECT p.oid::pg_catalog.regprocedure::text
FROM pg_catalog.pg_proc AS p
JOIN pg_catalog.pg_depend AS d
  ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
WHERE r.rolname <> %s AND p.prokind = 'f' AND NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')
"""
# In 15 whoever may create roles may make himself a member of any role that is no superuser: of these three, too, which read and
# write the server's files and start programs. Made superusers themselves, which changes nothing else, they can't be granted.
_NOT_TO_BE_GRANTED = """
UPDATE pg_catalog.pg_authid SET rolsuper = true
WHERE rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files') AND NOT rolsuper
"""
# Settings that change no more than the session's own behaviour or its log, and that migrations change; a superuser's by default.
_SETTINGS = (
    "session_replication_role",
    "deadlock_timeout",
    "log_statement",
    "log_min_duration_statement",
    "log_lock_waits",
)


# What comes with PostgreSQL and gives no more than a look, or what the role has anyway; masters of hosted servers may grant it.
_PREDEFINED = frozenset(
    {"pg_read_all_data", "pg_write_all_data", "pg_monitor", "pg_read_all_settings", "pg_read_all_stats", "pg_stat_scan_tables"}
    | {"pg_signal_backend", "pg_checkpoint", "pg_use_reserved_connections"}  # pg_maintain may lock the catalog
)
_OTHERS = """
SELECT r.rolname::text
FROM pg_catalog.pg_roles AS r
WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND r.rolname <> %(role)s
  AND (%(all)s OR EXISTS (SELECT FROM pg_catalog.pg_shdepend AS d
                          JOIN pg_catalog.pg_database AS here ON here.oid = d.dbid
                          WHERE here.datname = pg_catalog.current_database() AND d.deptype = 'o'
                            AND d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND d.refobjid = r.oid))
"""


def is_there(server: Server, role: str) -> bool:
    """Whether there is a role of that name."""
    with server.connect("postgres") as admin:
        return admin.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", [role]).fetchone() is not None


def may_make_seeds(server: Server) -> None:
    """Gives MAKER the rights of a superuser: to be called before a seed is made. A new server begins so."""
    with server.connect("postgres") as admin:
        admin.execute(sql.SQL("ALTER ROLE {} SUPERUSER").format(sql.Identifier(MAKER)))


def settle(server: Server, seed: str, wanted: str | None = None, *, superuser: bool = False) -> str:
    """Once a seed is made: takes MAKER's rights away, and gives the name of the role that migrations are to run as on its clones:
    the `wanted` one, else who owns most of the seed's tables. `superuser`: that one is to be a superuser.
    """
    with server.connect(seed) as admin:
        owner = admin.execute(_OWNERS).fetchone()
        kept = [row[0] for row in admin.execute(_KEPT_FROM_THE_PUBLIC, [SUPERUSER])]
        for function in kept:
            admin.execute(f"ALTER ROUTINE {function} OWNER TO {SUPERUSER}".encode())
        role = wanted or (owner[0] if owner and owner[0] != SUPERUSER else MAKER)
        there = {row[0] for row in admin.execute("SELECT rolname FROM pg_catalog.pg_roles")}
        if role not in there:
            admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        if server.binaries.major < 16:
            admin.execute(_NOT_TO_BE_GRANTED)
        admin.execute(sql.SQL("ALTER ROLE {} NOSUPERUSER").format(sql.Identifier(MAKER)))
        rights = "SUPERUSER LOGIN" if superuser else "LOGIN CREATEDB CREATEROLE BYPASSRLS"
        admin.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(role), sql.SQL(rights)))
        if role != MAKER:  # its views and functions go on reading and writing what they did
            admin.execute(sql.SQL("GRANT pg_read_all_data, pg_write_all_data TO {}").format(sql.Identifier(MAKER)))
        for name in _SETTINGS:
            admin.execute(sql.SQL("GRANT SET ON PARAMETER {} TO {}").format(sql.Identifier(name), sql.Identifier(role)))
        for name in sorted(_PREDEFINED & there):
            admin.execute(sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(sql.Identifier(name), sql.Identifier(role)))
        _make_member(admin, role, all_roles=server.binaries.major >= 16)
    return role


def _make_member(admin: psycopg.Connection, role: str, *, all_roles: bool) -> None:
    """Makes a role a member of the others that own something in the seed, so that it may alter that and act in their name; and of
    `all_roles`, where to alter, grant or drop one takes that (since 16).
    """
    others = admin.execute(_OTHERS, {"role": role, "all": all_roles}).fetchall()
    for (other,) in others:
        with suppress(psycopg.errors.InvalidGrantOperation):  # that one is a member of this one already
            grant = sql.SQL("GRANT {} TO {} WITH ADMIN OPTION")
            admin.execute(grant.format(sql.Identifier(other), sql.Identifier(role)))


# What could be taken for PostgreSQL's own in a script that names it without its schema: made, replaced, renamed or moved since a
# transaction, and not the superuser's, whom no migration can bring to own something. What belongs to an extension may have been
# made its member by hand. A place (ctid) changes whenever something is changed.
_LAID = """
SELECT laid.tableoid::pg_catalog.int8, laid.oid::pg_catalog.int8, laid.ctid::pg_catalog.text
FROM (
  SELECT tableoid, oid, ctid, xmin, proowner AS owner FROM pg_catalog.pg_proc
  UNION ALL
  SELECT tableoid, oid, ctid, xmin, oprowner FROM pg_catalog.pg_operator
  UNION ALL
  SELECT tableoid, oid, ctid, xmin, opcowner FROM pg_catalog.pg_opclass
  UNION ALL
  SELECT c.tableoid, c.oid, c.ctid, c.xmin, GREATEST(s.typowner, t.typowner)
  FROM pg_catalog.pg_cast AS c
  JOIN pg_catalog.pg_type AS s ON s.oid OPERATOR(pg_catalog.=) c.castsource
  JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) c.casttarget
  UNION ALL
  SELECT tableoid, oid, ctid, xmin, typowner FROM pg_catalog.pg_type WHERE typtype OPERATOR(pg_catalog.=) 'd'
) AS laid
WHERE laid.xmin::pg_catalog.text::pg_catalog.int8 OPERATOR(pg_catalog.>=) {since} AND laid.owner OPERATOR(pg_catalog.<>) 10
"""
# What would run with the rights that are lent, or take them for itself at the same moment: event triggers, and sessions that are
# neither ours nor the superuser's. And what would make the server read the statement in another way than we have split it.
_BESIDE = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_event_trigger AS e
               WHERE e.evtenabled OPERATOR(pg_catalog.<>) 'D' AND e.evtowner OPERATOR(pg_catalog.<>) 10)
    OR EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a
               WHERE a.backend_type OPERATOR(pg_catalog.=) 'client backend' AND a.usesysid OPERATOR(pg_catalog.<>) 10
                 AND a.pid OPERATOR(pg_catalog.<>) ALL (ARRAY[{ours}]::pg_catalog.int4[]))
    OR pg_catalog.current_setting('standard_conforming_strings') OPERATOR(pg_catalog.<>) 'on'
    OR pg_catalog.current_setting('client_encoding') OPERATOR(pg_catalog.<>) 'UTF8'
"""
# Only a superuser may. To look the object up makes a session hear what has changed about its role, which it otherwise need not
# before its transaction is over: it would go on as a superuser.
_STILL_SUPERUSER = "COMMENT ON SCHEMA pg_catalog IS NULL"


class Lender:
    """Lends a superuser's rights to the migrations on one clone, for statements that create extensions known to be harmless.

    Not if functions, operators and the like were made since the transaction `since_xid`: the script of an extension that is not
    written with care could be brought to call them (manual, "Security Considerations for Extensions"). What such a script has
    made itself is known, and no harm. Nor where there are event triggers. `ours`: the processes of the sessions that we opened.
    """

    def __init__(self, server: Server, since_xid: int, ours: Set[int]) -> None:
        self._server, self._since_xid, self._ours = server, since_xid, ours
        self._known: set[tuple[Any, ...]] = set()

    @contextmanager
    def rights(self, connection: psycopg.Connection) -> Iterator[None]:
        """Makes the role of a connection a superuser for what is done in the block, if nothing speaks against it."""
        laid = self._laid(connection)
        if laid is None or laid - self._known or not self._lend(connection):
            yield
            return
        try:
            yield
        finally:
            self._take_back(connection)
        self._known |= self._laid(connection) or set()

    def _laid(self, connection: psycopg.Connection) -> set[tuple[Any, ...]] | None:
        ours = ", ".join(str(pid) for pid in self._ours)
        answers = ask(connection, [_LAID.format(since=self._since_xid), _BESIDE.format(ours=ours)])
        return None if answers is None or answers[1] != [(False,)] else set(answers[0])

    def _lend(self, connection: psycopg.Connection) -> bool:
        """Not if the migration is changing its role itself: that would have to end first."""
        try:
            self._alter(connection, "SUPERUSER")
        except psycopg.Error:
            return False
        return True

    def _take_back(self, connection: psycopg.Connection) -> None:
        """Leaves no session behind that believes to have the rights still."""
        pid = connection.info.backend_pid
        try:
            self._alter(connection, "NOSUPERUSER")
        except psycopg.Error:
            self._server.end_session(pid)
            self._alter(connection, "NOSUPERUSER")
        if connection.info.transaction_status is TransactionStatus.INTRANS and ask(connection, [_STILL_SUPERUSER]) is not None:
            self._server.end_session(pid)

    def _alter(self, connection: psycopg.Connection, what: str) -> None:
        with self._server.connect("postgres", settings="-c lock_timeout=1s") as admin:
            admin.execute(sql.SQL("ALTER ROLE {} {}").format(sql.Identifier(connection.info.user), sql.SQL(what)))
