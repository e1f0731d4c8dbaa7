"""Four services that hand out disposable PostgreSQL databases, for tests of their clients. What they hand out is real.

    def test_a_lost_answer_leaves_no_branch(neon: FakeNeon) -> None:
        neon.next("create", Lost())          # the effect happens, the connection is closed without an answer
        ...                                  # drive a client at neon.url with the bearer token neon.token
        assert neon.databases() == []        # what was handed out and is still there, as the server itself says
        assert [call.operation for call in neon.calls] == ["create", "list", "delete"]

Each is an HTTP server on 127.0.0.1 that keeps state. Requests and answers are held to the service's own description
(see `openapi`), and what was wrong is in `problems`; the fixtures (tests/fix_clones.py) fail a test for any of them.
Nothing waits: what takes time takes a number of looks (`Slow`), and hours pass with `later(hours=24)`.

In the order in which each builds on those before it: `postgres` is the server behind and its databases, `door` gives
a clone a port of its own, `misbehaviour` is what tests order, `service` what all four share, then one module each.
"""

from tests.contract.fake_clones.ardent import FakeArdent
from tests.contract.fake_clones.dblab import FakeDblab
from tests.contract.fake_clones.instanode import FakeInstanode
from tests.contract.fake_clones.misbehaviour import Broken, Delayed, Dropped, Extra, Fail, Lost, Slow, Without
from tests.contract.fake_clones.neon import FakeNeon
from tests.contract.fake_clones.postgres import Cluster, Database, has_tls, tcp_server
from tests.contract.fake_clones.service import Seen, Service

__all__ = [
    "Broken",
    "Cluster",
    "Database",
    "Delayed",
    "Dropped",
    "Extra",
    "Fail",
    "FakeArdent",
    "FakeDblab",
    "FakeInstanode",
    "FakeNeon",
    "Lost",
    "Seen",
    "Service",
    "Slow",
    "Without",
    "has_tls",
    "tcp_server",
]
