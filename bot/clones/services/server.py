"""A PostgreSQL server that holds a template database: a job's `services:` container, a staging server that is restored nightly.

The URL names the template. A clone is `CREATE DATABASE … TEMPLATE`, made by copying files (`STRATEGY FILE_COPY`, since 15), which
is several times faster than the default, or by reference where the server's `file_copy_method` is `clone` (18). Its comment
proves that it is ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

import psycopg
from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from bot.clones.addresses import refusal
from bot.clones.hindrances import NETWORK, UNHINDERED, as_options
from bot.clones.services.base import PREFIX, Access, Kind, Lease, Leftover, Option, Order, ServiceError, is_ours
from bot.errors import UsageError
from bot.journal.steps import digest
from bot.words import masked, name, one_line

_COMMENT = "migration-rehearsal: clone of {template}, made {at}"
_OF_OURS = "migration-rehearsal: clone of "
_LOCK = 0x6D72  # the first half of an advisory lock's key; the other is the template's OID
_ANY = 0  # or this, held together while clones are made, and alone by who looks for those left half made
_OURS = """
SELECT d.datname::text, pg_catalog.shobj_description(d.oid, 'pg_database')
FROM pg_catalog.pg_database AS d
WHERE d.datname LIKE %s AND pg_catalog.pg_has_role(d.datdba, 'MEMBER')
"""


class TemplateServer:
    """Clones of one template database. Raises ServiceError."""

    def __init__(self, access: Access) -> None:
        self._access = access
        try:
            parts = conninfo_to_dict(access.url or "")
        except psycopg.ProgrammingError:
            raise UsageError(
                "The input clone-url can't be read.", advice="Give postgresql://user:password@host/template."
            ) from None
        self._template = str(parts.get("dbname") or "")
        self._maintenance = access.options.get("maintenance", "postgres")
        self._user = access.options.get("user")
        if not self._template or self._template == self._maintenance:
            raise UsageError(
                "The input clone-url names no template database.",
                why=f"{self._maintenance!r} is the one that is connected to for making clones.",
                advice="Give the name of the database that holds the data: postgresql://user:password@host/template.",
            )

    def identity(self) -> str:
        """See Service. What is written to the template is counted by the server."""
        with self._admin() as admin:
            row = admin.execute(
                "SELECT d.oid, s.tup_inserted, s.tup_updated, s.tup_deleted, s.stats_reset"
                " FROM pg_catalog.pg_database AS d LEFT JOIN pg_catalog.pg_stat_database AS s ON s.datid = d.oid"
                " WHERE d.datname = %s",
                [self._template],
            ).fetchone()
            if row is None:
                raise self._no_template()
            return digest([admin.info.host, admin.info.port, self._template, [str(value) for value in row]])

    def acquire(self, order: Order) -> Lease:
        """See Service. Waits for whoever else copies the template, and for whoever is connected to it."""
        with self._admin() as admin, self._making(admin), self._alone(admin) as major:
            strategy = sql.SQL(" STRATEGY FILE_COPY") if major >= 15 else sql.SQL("")
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}{}").format(
                sql.Identifier(order.name), sql.Identifier(self._template), strategy
            )
            self._when_nobody_is_there(admin, create)
            at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            said = sql.Literal(_COMMENT.format(template=self._template, at=at))
            admin.execute(sql.SQL("COMMENT ON DATABASE {} IS {}").format(sql.Identifier(order.name), said))
            if self._user:
                grant = sql.SQL("GRANT ALL ON DATABASE {} TO {}")
                admin.execute(grant.format(sql.Identifier(order.name), sql.Identifier(self._user)))
            return self._lease(admin, order.name)

    def find(self, order: Order) -> Lease | None:
        """See Service. One without its comment is half made: an earlier attempt ended before it was ours."""
        with self._admin() as admin, self._alone(admin):
            there = dict(admin.execute(_OURS, [order.name]).fetchall())
            if order.name not in there:
                return None
            if not (there[order.name] or "").startswith(_OF_OURS):
                self._drop(admin, order.name)
                return None
            return self._lease(admin, order.name)

    def release(self, handle: str) -> None:
        """See Service."""
        if not is_ours(handle):
            raise ServiceError(f"The database {name(handle)} is none of ours.", not_done=True)
        with self._admin() as admin:
            self._drop(admin, handle)

    def leftovers(self) -> Sequence[Leftover]:
        """See Service. While nobody may make clones, of whatever template, none is between being made and its comment."""
        with self._admin() as admin, self._held(admin, "pg_advisory_lock", "pg_advisory_unlock", _ANY):
            found = admin.execute(_OURS, [PREFIX + "%"]).fetchall()
        return [
            Leftover(database, database, _made_at(comment))
            for database, comment in found
            if is_ours(database) and (comment is None or comment.startswith(_OF_OURS))
        ]

    def close(self) -> None:
        """See Service: each connection was closed."""

    def _lease(self, admin: psycopg.Connection, database: str) -> Lease:
        url = make_conninfo(self._access.url or "", dbname=database, **self._login())
        shown = admin.execute("SELECT pg_catalog.current_setting('file_copy_method', true)").fetchone()
        by_reference = shown is not None and shown[0] == "clone"
        return Lease(database, url, method="by reference, where its file system can" if by_reference else "copied")

    def _login(self) -> dict[str, str]:
        """As whom migrations get in, if not as who makes the clones: that one could drop them, and perhaps the template."""
        return {"user": self._user, "password": self._access.token or ""} if self._user else {}

    def _drop(self, admin: psycopg.Connection, database: str) -> None:
        """What its owner, perhaps a migration, has made a template can't be dropped as it is."""
        row = admin.execute("SELECT datistemplate FROM pg_catalog.pg_database WHERE datname = %s", [database]).fetchone()
        if row and row[0]:
            admin.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(database)))
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    @contextmanager
    def _admin(self) -> Iterator[psycopg.Connection]:
        """A connection beside the template: one to it would keep it from being copied."""
        try:
            url = _unhindered(make_conninfo(self._access.url or "", dbname=self._maintenance, **NETWORK))
            with psycopg.connect(url, autocommit=True, application_name="migration-rehearsal") as admin:
                yield admin
        except psycopg.Error as error:
            raise _explained(error) from None

    @contextmanager
    def _alone(self, admin: psycopg.Connection) -> Iterator[int]:
        """Nobody else of us copies the template meanwhile; gives the server's major version."""
        row = admin.execute("SELECT oid::int8 FROM pg_catalog.pg_database WHERE datname = %s", [self._template]).fetchone()
        if row is None:
            raise self._no_template()
        of_it = row[0] - 2**32 if row[0] >= 2**31 else row[0]
        with self._held(admin, "pg_advisory_lock", "pg_advisory_unlock", of_it):
            yield admin.info.server_version // 10_000

    def _making(self, admin: psycopg.Connection) -> AbstractContextManager[None]:
        """Clones of several templates may be made at once."""
        return self._held(admin, "pg_advisory_lock_shared", "pg_advisory_unlock_shared", _ANY)

    @contextmanager
    def _held(self, admin: psycopg.Connection, lock: str, unlock: str, key: int) -> Iterator[None]:
        admin.execute("SELECT pg_catalog.set_config('lock_timeout', %s, false)", [f"{self._access.patience_s:.0f}s"])
        call = sql.SQL("SELECT pg_catalog.{}(%s::int4, %s::int4)")
        admin.execute(call.format(sql.Identifier(lock)), [_LOCK, key])
        try:
            yield
        finally:
            if not admin.broken:
                admin.execute(call.format(sql.Identifier(unlock)), [_LOCK, key])

    def _when_nobody_is_there(self, admin: psycopg.Connection, create: sql.Composed) -> None:
        """PostgreSQL waits five seconds for sessions on the template to end, and then refuses."""
        until = time.monotonic() + self._access.patience_s
        while True:
            try:
                admin.execute(create)
            except errors.ObjectInUse:
                if time.monotonic() >= until:
                    raise ServiceError(
                        f"The template {name(self._template)} can't be copied: {self._who(admin)} connected to it.",
                        why=f"After {self._access.patience_s:.0f} s they still were.",
                        advice="Keep everybody out of it: ALTER DATABASE … ALLOW_CONNECTIONS false.",
                        not_done=True,
                    ) from None
                time.sleep(self._access.pause_s)
            except errors.DuplicateDatabase:  # made by an attempt whose answer was lost
                return
            else:
                return

    def _who(self, admin: psycopg.Connection) -> str:
        rows = admin.execute(
            "SELECT DISTINCT coalesce(nullif(application_name, ''), 'a session') FROM pg_catalog.pg_stat_activity"
            " WHERE datname = %s LIMIT 3",
            [self._template],
        ).fetchall()
        names = [one_line(masked(str(row[0])))[:60] for row in rows] or ["a session"]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"

    def _no_template(self) -> ServiceError:
        return ServiceError(
            f"There is no template database {name(self._template)} on the server.",
            advice="Check the name in clone-url.",
            not_done=True,
        )


def _made_at(comment: str | None) -> datetime:
    """When a clone of ours says that it was made; one that says nothing was left half made, nobody knows when."""
    try:
        made_at = datetime.fromisoformat((comment or "").rpartition(", made ")[2])
        return made_at if made_at.tzinfo else made_at.replace(tzinfo=UTC)  # somebody else's word
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def _unhindered(url: str) -> str:
    """Where migrations are run as the same role, they may have set anything for it."""
    said = conninfo_to_dict(url).get("options")
    return make_conninfo(url, options=" ".join(filter(None, (str(said or ""), as_options(UNHINDERED, 0)))))


def _explained(error: psycopg.Error) -> ServiceError:
    """What the server said."""
    said = refusal(error)
    if isinstance(error, errors.InsufficientPrivilege):
        advice = "The role needs CREATEDB, and to own the template, or the template to be one: ALTER DATABASE … IS_TEMPLATE true."
        return ServiceError("The server refuses to make a clone.", why=said, advice=advice, not_done=True)
    if isinstance(error, errors.LockNotAvailable):
        return ServiceError("Somebody else copies the template for too long.", why=said, advice="Run it again.", not_done=True)
    lost = isinstance(error, psycopg.OperationalError) and error.sqlstate is None
    return ServiceError(
        "The server of the template could not be asked." if lost else "The server could not make a clone.",
        why=said,
        advice="Check the input clone-url, where a password's @, : or / is written %40, %3A or %2F; and that this machine may "
        "reach the server.",
        not_done=not lost or "connection" in str(error),
    )


SERVICE = Kind(
    "server",
    TemplateServer,
    "a PostgreSQL server that holds a template database",
    options=(
        Option("user", "the role that migrations get in as, with clone-token as its password; the URL's own if not given"),
        Option("maintenance", "the database to connect to for making clones; `postgres` if not given"),
    ),
    needs_url="postgresql://user:password@host/template.",
)
