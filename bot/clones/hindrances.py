"""What a migration may have set for all later sessions of its role or database, set for a session of ours as it must be."""

from __future__ import annotations

from collections.abc import Mapping

# What would keep us from seeing.
UNHINDERED = {
    "local_preload_libraries": "",
    "role": "none",
    "statement_timeout": "0",
    "lock_timeout": "5s",
    "idle_session_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "default_transaction_isolation": "read\\ committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "row_security": "on",
    "client_encoding": "UTF8",
    "exit_on_error": "off",
    "stats_fetch_consistency": "cache",
    "client_min_messages": "warning",
    "jit": "off",  # compiling a catalog query takes a hundred times as long as running it
}
# And what would change what we see.
OURS = UNHINDERED | {
    "search_path": "pg_catalog",
    "quote_all_identifiers": "off",
    "transform_null_equals": "off",
    "standard_conforming_strings": "on",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
}

# For connections over a network: who does not answer for a minute is gone (libpq's manual, "Parameter Key Words").
NETWORK = {
    "connect_timeout": "15",
    "keepalives_idle": "20",
    "keepalives_interval": "10",
    "keepalives_count": "4",
    "tcp_user_timeout": "60000",
}


def as_options(settings: Mapping[str, str], major: int) -> str:
    """Settings as a connection string's `options` has them (libpq), where a backslash comes before a blank in a value; for a
    server of that major version.
    """
    more = {"transaction_timeout": "0"} if major >= 17 else {}
    return " ".join(f"-c {name}={value}" for name, value in {**settings, **more}.items())
