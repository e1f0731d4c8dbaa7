"""Frozen values <-> what JSON can hold. Pure; the door of msgspec."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

_Value = TypeVar("_Value")


def to_plain(value: Any) -> Any:
    """Dataclasses as objects, enumerations as their values, moments as ISO 8601. Text that is not UTF-8, as a file's name may
    be, has its bytes written out: `\\udcXX`.
    """
    return _readable(msgspec.to_builtins(value))


def from_plain(kind: type[_Value], plain: Any) -> _Value:
    """What `to_plain` made, as it was. Raises ValueError if it is something else."""
    return msgspec.convert(plain, kind)


def _readable(plain: Any) -> Any:
    if isinstance(plain, dict):
        return {key: _readable(item) for key, item in plain.items()}
    if isinstance(plain, (list, tuple)):
        return [_readable(item) for item in plain]
    if isinstance(plain, str):
        return plain.encode("utf-8", errors="backslashreplace").decode("utf-8")
    return plain
