"""Rule: a statement needs a right that migrations don't have in a rehearsal."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bot.model import Finding, Rehearsal, Severity, SqlError
from bot.rules.base import Policy, Rule

_INSUFFICIENT_PRIVILEGE = "42501"
_A_SUPERUSERS = "it is a superuser's to do that"
# what PostgreSQL's message says -> which right is meant, where the message does not name it itself
_RIGHTS = (
    (r'create extension "(?P<name>[^"]*)"', "the extension {name} is not marked trusted, so it is a superuser's to create it"),
    (r'grant role "(?P<name>[^"]*)"', "only members of {name} that have ADMIN OPTION may grant it"),
    (r"(?:create|alter|drop) role|(?:create|alter) superuser", _A_SUPERUSERS),
    (r'set (?:role|session authorization) "(?P<name>[^"]*)"', "only members of the role {name} may act as it"),
    (r"external program", "only members of pg_execute_server_program may start programs on the server"),
    (r"COPY from a file|read_(?:binary_)?file", "only members of pg_read_server_files may read the server's files"),
    (r"COPY to a file", "only members of pg_write_server_files may write the server's files"),
    (r'set parameter "(?P<name>[^"]*)"', "it is a superuser's, or takes GRANT SET ON PARAMETER {name}"),
    (r"create subscriptions?", "only members of pg_create_subscription may create subscriptions (before 16: superusers)"),
    (r"terminate|cancel", "a role may end its own sessions, and no superuser's"),
    (r"event trigger|tablespace|ALTER SYSTEM|language|library|foreign-data wrapper|FOR ALL TABLES", _A_SUPERUSERS),
    (r"denied for function (?P<name>[\w.]+)", "EXECUTE on {name} is missing"),
    (r"denied for (?P<name>\w+ [^ :]+)", "a privilege on {name} is missing"),
    (r"must be owner of (?P<name>.*)", "only who owns {name}, or is a member of its owner, may do that"),
    (r'must be (?:member of|able to SET ROLE|a member of the role) "(?P<name>[^"]*)"', "membership in {name} is missing"),
)


def is_why(error: SqlError) -> bool:
    """Whether a migration failed for this reason."""
    return error.sqlstate == _INSUFFICIENT_PRIVILEGE and not error.raised


def _check(rehearsal: Rehearsal, _policy: Policy) -> Iterator[Finding]:
    error = rehearsal.error
    if error is None or not is_why(error):
        return
    right = next((_named(match, right) for pattern, right in _RIGHTS if (match := re.search(pattern, error.message))), None)
    yield RULE.found(rehearsal, f"{error.message}: {right}" if right else error.message, line=error.line)


def _named(match: re.Match[str], right: str) -> str:
    return right.format(name=match["name"]) if "{name}" in right else right


RULE = Rule(
    id="right-missing",
    severity=Severity.ERROR,
    title="A right is missing",
    why=(
        "Migrations are rehearsed as a role that owns what the data holds, makes roles and databases and creates extensions, but "
        "is no superuser, as with most hosted PostgreSQL: whoever can open a pull request writes them, and a superuser can read "
        "files and start programs next to production's data. What needs more was refused, and nothing after it was rehearsed."
    ),
    instead=(
        "Do what needs the right once, by hand or by the platform's own tool, and leave it out of the migration. An extension "
        "that production lets this role create is named in the input `extensions`. If production's role has the right, `role` "
        "says which one it is; where nobody outside the team can open pull requests, `superuser: true` gives all of them."
    ),
    evidence="SQLSTATE 42501 (insufficient_privilege) and what PostgreSQL says with it.",
    check=_check,
    allowable=False,
)
