"""The journal offered to other programs: an HTTP proxy through which each of their calls has its effect once.

`options` and `upstreams` say what may be called, `asking` reads a request, `numbering` gives its place in the run, `leases` the
run, `firing` sends it on, `calls` joins them under the journal, `app` speaks HTTP, `serve` listens.
"""

from bot.sidecar.options import Options, parse_limit, parse_listen, parse_statuses, parse_timeout
from bot.sidecar.serve import Sidecar, serve
from bot.sidecar.upstreams import Upstreams, parse_allowed, parse_upstream, parse_upstreams

__all__ = [
    "Options",
    "Sidecar",
    "Upstreams",
    "parse_allowed",
    "parse_limit",
    "parse_listen",
    "parse_statuses",
    "parse_timeout",
    "parse_upstream",
    "parse_upstreams",
    "serve",
]
