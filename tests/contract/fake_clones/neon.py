"""Neon: a branch of a project is a copy of its parent's databases. All that takes time is an operation to look at."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from tests.contract.fake_clones.misbehaviour import Broken, Slow
from tests.contract.fake_clones.postgres import Cluster, Database
from tests.contract.fake_clones.service import Call, Limit, Refused, Service, found, operation
from tests.contract.fake_github.calls import Answer
from tests.contract.openapi import Json

LONGEST = timedelta(days=30)
_PROJECT = "/projects/{project_id}"
_BRANCHES = f"{_PROJECT}/branches"
_BRANCH = f"{_BRANCHES}/{{branch_id}}"


@dataclass(frozen=True)
class Branch:
    """A branch: its databases and roles under the names that its project gives them, and what these are on the server."""

    id: str
    name: str
    parent: str | None
    made_at: datetime
    databases: Mapping[str, Database]
    roles: tuple[str, ...]
    expires_at: datetime | None = None
    endpoint: str | None = None


@dataclass(frozen=True)
class Operation:
    """Something that takes time: so many looks until it has its last status."""

    id: str
    action: str
    branch: str
    made_at: datetime
    polls: int
    end: str = "finished"
    opens: tuple[Database, ...] = field(default=())

    @property
    def status(self) -> str:
        return self.end if self.polls <= 0 else "running"


class FakeNeon(Service):
    """Neon with one project, whose main branch has one database of one role. The bearer token is `token`."""

    name = "neon"
    prefix = "/api/v2"
    project = "shop-123456"
    main = "br-main-1"
    database = "shop"
    role = "shop_owner"

    def __init__(self, cluster: Cluster, parent: Database) -> None:
        super().__init__(cluster)
        self.limits = (Limit(700, 60), Limit(40, 1, each_route=True))
        self.token = "t"
        self.page_size = 10_000
        self._branches = {self.main: Branch(self.main, "main", None, self.now(), {self.database: parent}, (self.role,))}
        self._operations: dict[str, Operation] = {}
        self._gone: set[str] = set()

    # What tests arrange and look at

    def add_database(self, name: str, database: Database) -> None:
        """Give the main branch a further database."""
        main = self._branches[self.main]
        self._branches[self.main] = replace(main, databases={**main.databases, name: database})

    def add_role(self, name: str) -> None:
        """Give the main branch a further role."""
        main = self._branches[self.main]
        self._branches[self.main] = replace(main, roles=(*main.roles, name))

    @property
    def branches(self) -> list[str]:
        """The names of the branches that there are, the main one left out."""
        with self._lock:
            return [each.name for each in self._branches.values() if each.parent]

    def sweep(self) -> None:
        for each in list(self._branches.values()):
            if each.expires_at and each.expires_at <= self.now() and not self._has_children(each):
                self._forget(each)

    def error(self, status: int, code: str, message: str, retry_after: int | None) -> Json:
        return {"request_id": str(uuid.uuid4()), "code": code, "message": message}

    # The operations

    @operation("get_project", "GET", _PROJECT)
    def get_project(self, call: Call) -> Answer:
        self._admit(call)
        return Answer(200, {"project": self._project()})

    @operation("create", "POST", _BRANCHES, takes=(Slow, Broken))
    def create(self, call: Call) -> Answer:
        self._admit(call)
        body = call.request.body or {}
        asked, endpoints = body.get("branch", {}), body.get("endpoints", [])
        parent = found(self._branches, asked.get("parent_id", self.main), "branch")
        name = self._free_name(asked.get("name"))
        expires_at = self._expiry(asked.get("expires_at"))
        made = Branch(
            id=f"br-fake-{self.number()}",
            name=name,
            parent=parent.id,
            made_at=self.now(),
            databases={each: self.make(template=of.name, is_open=False) for each, of in parent.databases.items()},
            roles=parent.roles,
            expires_at=expires_at,
            endpoint=f"ep-fake-{self.number()}" if endpoints else None,
        )
        self._branches[made.id] = made
        operations = self._begin_branch(call, made)
        return Answer(201, {**self._created(made), "operations": operations})

    @operation("list", "GET", _BRANCHES)
    def list_branches(self, call: Call) -> Answer:
        self._admit(call)
        query = call.request.query
        search, begin = query.get("search", ""), int(query.get("cursor") or 0)
        is_named, is_newest_first = query.get("sort_by") == "name", query.get("sort_order", "desc") == "desc"
        there = sorted(self._branches.values(), key=lambda each: each.name if is_named else self.stamp(each.made_at))
        matching = [each for each in there if search in each.name or search == each.id]
        if is_newest_first:
            matching.reverse()
        end = begin + min(self.page_size, int(query.get("limit", "10000")))
        body: Json = {"branches": [self._branch(each) for each in matching[begin:end]], "annotations": {}}
        if end < len(matching):
            body["pagination"] = {"next": str(end), "sort_by": "updated_at", "sort_order": "desc"}
        return Answer(200, body)

    @operation("get", "GET", _BRANCH)
    def get(self, call: Call) -> Answer:
        branch = self._asked(call)
        annotation = {"object": {"type": "console/branch", "id": branch.id}, "value": {}}
        told = self._branch(branch)
        self._look_at_all_of(branch)
        return Answer(200, {"branch": told, "annotation": annotation})

    @operation("delete", "DELETE", _BRANCH, takes=(Slow,))
    def delete(self, call: Call) -> Answer:
        self._admit(call)
        if call.params["branch_id"] in self._gone:
            return Answer(204)
        branch = self._asked(call)
        if branch.parent is None:
            self.record(call, ["deletes the project's main branch"])
            raise Refused(422, "", "cannot delete the default branch")
        if self._has_children(branch):
            raise Refused(422, "", "cannot delete a branch that has children")
        self._forget(branch)
        begun = self._begin(call, "delete_timeline", branch)
        return Answer(200, {"branch": self._branch(branch), "operations": [begun]})

    @operation("endpoints", "GET", f"{_BRANCH}/endpoints")
    def endpoints(self, call: Call) -> Answer:
        branch = self._asked(call)
        told = self._endpoints(branch, is_new=False)
        self._look_at_all_of(branch)
        return Answer(200, {"endpoints": told})

    @operation("databases", "GET", f"{_BRANCH}/databases")
    def list_databases(self, call: Call) -> Answer:
        return Answer(200, {"databases": self._databases(self._asked(call))})

    @operation("roles", "GET", f"{_BRANCH}/roles")
    def list_roles(self, call: Call) -> Answer:
        return Answer(200, {"roles": self._roles(self._asked(call))})

    @operation("connection_uri", "GET", f"{_PROJECT}/connection_uri")
    def connection_uri(self, call: Call) -> Answer:
        self._admit(call)
        query = call.request.query
        branch = found(self._branches, query.get("branch_id", self.main), "branch")
        database = found(branch.databases, query.get("database_name", ""), "database")
        if query.get("role_name") not in branch.roles:
            raise Refused(404, "", "role not found")
        if branch.endpoint is None:
            raise Refused(404, "", "endpoint not found: the branch has none")
        return Answer(200, {"uri": database.url()})

    @operation("operation", "GET", f"{_PROJECT}/operations/{{operation_id}}")
    def get_operation(self, call: Call) -> Answer:
        self._admit(call)
        kept = found(self._operations, call.params["operation_id"], "operation")
        self._look_at(kept)
        return Answer(200, {"operation": self._operation(kept)})

    # Parts of them

    def _admit(self, call: Call) -> None:
        if call.bearer != self.token:
            raise Refused(401, "", "authentication required")
        if call.params["project_id"] != self.project:
            raise Refused(404, "", "project not found")

    def _asked(self, call: Call) -> Branch:
        self._admit(call)
        return found(self._branches, call.params["branch_id"], "branch")

    def _free_name(self, name: str | None) -> str:
        if any(each.name == name for each in self._branches.values()):
            raise Refused(409, "BRANCH_ALREADY_EXISTS", f"a branch with the name {name} exists")
        return name or f"br-unnamed-{self.number()}"

    def _expiry(self, text: str | None) -> datetime | None:
        if text is None:
            return None
        try:
            expires_at = datetime.fromisoformat(text)
        except ValueError:
            expires_at = datetime.min
        if expires_at.tzinfo is None:
            raise Refused(400, "", "expires_at is not of RFC 3339")
        if not self.now() < expires_at <= self.now() + LONGEST:
            raise Refused(400, "", "expires_at must be in the future, and at most 30 days ahead")
        return expires_at

    def _begin_branch(self, call: Call, made: Branch) -> list[Json]:
        """The operations that a new branch waits for; without an endpoint nobody can connect, and nothing is started."""
        told = [self._begin(call, "create_branch", made)]
        if made.endpoint:
            told.append(self._begin(call, "start_compute", made, tuple(made.databases.values())))
        return told

    def _begin(self, call: Call, action: str, branch: Branch, opens: tuple[Database, ...] = ()) -> Json:
        slow, broken = call.planned(Slow), call.planned(Broken)
        end = (broken.state or "failed") if broken else "finished"
        polls = slow.polls if slow else 0
        begun = Operation(str(uuid.uuid4()), action, branch.id, self.now(), polls, end, opens)
        self._operations[begun.id] = begun
        self._settle(begun)  # what is not slow is done at once, though the answer says that it runs
        return self._operation(replace(begun, polls=1))

    def _look_at(self, known: Operation) -> None:
        """Settle what is over by now; what still runs is one look nearer to its end."""
        self._settle(known)
        self._operations[known.id] = replace(known, polls=known.polls - 1)

    def _look_at_all_of(self, branch: Branch) -> None:
        for each in [each for each in self._operations.values() if each.branch == branch.id]:
            self._look_at(each)

    def _status_of(self, branch: Branch, action: str) -> str:
        """How far a branch is with something; the main one was made long ago."""
        known = (each.status for each in self._operations.values() if (each.branch, each.action) == (branch.id, action))
        return next(known, "finished")

    def _settle(self, known: Operation) -> None:
        if known.status == "finished" and known.branch in self._branches:
            for each in known.opens:
                self.cluster.open(each)

    def _has_children(self, branch: Branch) -> bool:
        return any(each.parent == branch.id for each in self._branches.values())

    def _forget(self, branch: Branch) -> None:
        del self._branches[branch.id]
        self._gone.add(branch.id)
        for each in branch.databases.values():
            self.unmake(each)

    # As JSON

    def _times(self, made_at: datetime) -> Json:
        return {"created_at": self.stamp(made_at), "updated_at": self.stamp(made_at)}

    def _created(self, branch: Branch) -> Json:
        body = {
            "branch": {**self._branch(branch), "current_state": "init", "pending_state": "ready"},
            "endpoints": self._endpoints(branch, is_new=True),
            "roles": self._roles(branch),
            "databases": self._databases(branch),
        }
        if branch.endpoint and len(branch.roles) == len(branch.databases) == 1:
            body["connection_uris"] = [self._connection(*branch.databases.values())]
        return body

    @staticmethod
    def _connection(database: Database) -> Json:
        parameters = {
            "database": database.name,
            "password": database.password,
            "role": database.role,
            "host": database.host,
            "pooler_host": database.host,
        }
        return {"connection_uri": database.url(), "connection_parameters": parameters}

    def _branch(self, branch: Branch) -> Json:
        counters = ("cpu_used_sec", "active_time_seconds", "compute_time_seconds", "written_data_bytes", "data_transfer_bytes")
        return {
            "id": branch.id,
            "project_id": self.project,
            "name": branch.name,
            **_state(self._status_of(branch, "create_branch"), "ready"),
            "state_changed_at": self.stamp(branch.made_at),
            "creation_source": "console",
            "default": branch.parent is None,
            "protected": False,
            **dict.fromkeys(counters, 0),
            **self._times(branch.made_at),
            **({"parent_id": branch.parent} if branch.parent else {}),
            **({"expires_at": self.stamp(branch.expires_at)} if branch.expires_at else {}),
        }

    def _endpoints(self, branch: Branch, *, is_new: bool) -> list[Json]:
        if branch.endpoint is None:
            return []
        host = next(iter(branch.databases.values())).host
        endpoint = {
            "id": branch.endpoint,
            "host": host,
            "proxy_host": host,
            "project_id": self.project,
            "branch_id": branch.id,
            "region_id": "aws-eu-central-1",
            "autoscaling_limit_min_cu": 0.25,
            "autoscaling_limit_max_cu": 0.25,
            "type": "read_write",
            **_state("running" if is_new else self._status_of(branch, "start_compute"), "active"),
            "settings": {},
            "pooler_enabled": False,
            "pooler_mode": "transaction",
            "disabled": False,
            "passwordless_access": True,
            "creation_source": "console",
            "suspend_timeout_seconds": 0,
            "provisioner": "k8s-neonvm",
            **self._times(branch.made_at),
        }
        return [endpoint]

    def _roles(self, branch: Branch) -> list[Json]:
        return [
            {"branch_id": branch.id, "name": name, "protected": False, **self._times(branch.made_at)} for name in branch.roles
        ]

    def _databases(self, branch: Branch) -> list[Json]:
        owner = branch.roles[0]
        return [
            {"id": at, "branch_id": branch.id, "name": name, "owner_name": owner, **self._times(branch.made_at)}
            for at, name in enumerate(branch.databases, start=1)
        ]

    def _operation(self, known: Operation) -> Json:
        told = {
            "id": known.id,
            "project_id": self.project,
            "branch_id": known.branch,
            "action": known.action,
            "status": known.status,
            "failures_count": 0,
            "total_duration_ms": 0,
            **self._times(known.made_at),
        }
        return told | ({"error": "it could not be done"} if known.status in {"failed", "error"} else {})

    def _project(self) -> Json:
        now = self.stamp()
        counters = ("active_time_seconds", "compute_time_seconds", "written_data_bytes", "data_transfer_bytes")
        more = ("data_storage_bytes_hour", "cpu_used_sec", "branch_logical_size_limit", "branch_logical_size_limit_bytes")
        return {
            **dict.fromkeys((*counters, *more), 0),
            "id": self.project,
            "name": "shop",
            "platform_id": "aws",
            "region_id": "aws-eu-central-1",
            "pg_version": 17,
            "proxy_host": self.cluster.host,
            "store_passwords": True,
            "provisioner": "k8s-neonvm",
            "creation_source": "console",
            "history_retention_seconds": 86400,
            "created_at": now,
            "updated_at": now,
            "consumption_period_start": now,
            "consumption_period_end": now,
            "owner_id": "owner",
        }


def _state(status: str, reached: str) -> Json:
    """The state of what an operation leads to."""
    if status == "finished":
        return {"current_state": reached}
    return {"current_state": "init", **({"pending_state": reached} if status == "running" else {})}
