"""Writes docs/report.schema.json from the values in bot/model.py: `python docs/make_schema.py`. A test holds the two equal."""

from __future__ import annotations

import json
import types
import typing
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from bot import model

TARGET = Path(__file__).with_name("report.schema.json")
_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}


def schema_text() -> str:
    """The JSON Schema of the report, as text."""
    definitions: dict[str, Any] = {}
    root = _schema(model.Report, definitions)
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "migration-rehearsal report",
        "description": "Times in milliseconds, sizes in bytes. Names are added, never renamed.",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(document, indent=2) + "\n"


def _schema(hint: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if isinstance(hint, type) and issubclass(hint, Enum):
        return {"enum": [member.value for member in hint]}
    if is_dataclass(hint):
        return _object(typing.cast("type", hint), definitions)
    arguments = typing.get_args(hint)
    if isinstance(hint, types.UnionType):
        return {"anyOf": [_schema(one, definitions) for one in arguments]}
    return {"type": "array", "items": _schema(arguments[0], definitions)}  # tuple[X, ...]


def _object(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}  # holds the place while the fields are read
        hints = typing.get_type_hints(kind)
        names = [field.name for field in fields(kind)]
        definitions[kind.__name__] = {
            "type": "object",
            "description": " ".join((kind.__doc__ or "").split()),
            "properties": {name: _schema(hints[name], definitions) for name in names},
            "required": names,
        }
    return {"$ref": f"#/$defs/{kind.__name__}"}


if __name__ == "__main__":
    TARGET.write_text(schema_text(), encoding="utf-8")
