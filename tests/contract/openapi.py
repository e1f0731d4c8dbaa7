"""Checks requests and answers against an OpenAPI description that is kept outside this repository.

A description is looked up by name ("github" is ``github.openapi.json``) in the folder that the environment
variable ``MIGRATION_REHEARSAL_CONTRACTS`` names, else in ``../shared/contracts`` beside the repository. Where
there is none, `load_contract` gives None and the fakes serve unchecked.

    request or answer -> Contract.check_request / check_answer -> a list of violations, empty when all is well
"""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from jsonschema import Draft4Validator, Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.protocols import Validator
from referencing import Registry
from referencing.jsonschema import DRAFT4, DRAFT202012

Json = dict[str, Any]

FOLDER_VARIABLE = "MIGRATION_REHEARSAL_CONTRACTS"
# Every "#/…" reference is made absolute under this name: any part of a description is then a whole schema.
_ROOT = "urn:contract"
# More than this of one body is noise: the first says enough.
_MOST_VIOLATIONS = 5


def contract_folder() -> Path:
    """The folder where the descriptions are looked up; it need not exist."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "contracts"


def contract_path(name: str = "github") -> Path:
    """The file of the description called `name`; it need not exist."""
    return contract_folder() / f"{name}.openapi.json"


def contract_available(name: str = "github") -> bool:
    """Whether the description called `name` can be read here."""
    return contract_path(name).is_file()


def needs_contract_named(name: str) -> pytest.MarkDecorator:
    """A marker that skips a test where the description called `name` is absent, and says so."""
    reason = f"no {name}.openapi.json to check against: set {FOLDER_VARIABLE} to the folder that holds it"
    return pytest.mark.skipif(not contract_available(name), reason=reason)


needs_contract = needs_contract_named("github")


@dataclass(frozen=True)
class MayBeNull:
    """The value at `pointer` (keys, from the description's root) is null at times, which it denies."""

    pointer: str
    reason: str


@dataclass(frozen=True)
class AlsoAnswers:
    """Any operation may answer `status` with the component `schema`, though few list it."""

    status: int
    schema: str
    reason: str


@dataclass(frozen=True)
class AlsoHolds:
    """The object at `pointer` has a further property `name`, whose schema is given as JSON text."""

    pointer: str
    name: str
    schema: str
    reason: str


@dataclass(frozen=True)
class AnswersWith:
    """What an operation answers with a status, as JSON text: the description says it in prose, or only half of it."""

    method: str
    template: str
    status: int
    schema: str
    reason: str


@dataclass(frozen=True)
class Errata:
    """Where a description is known to differ from the service, each with the reason we believe so."""

    nulls: tuple[MayBeNull, ...] = ()
    answers: tuple[AlsoAnswers, ...] = ()
    properties: tuple[AlsoHolds, ...] = ()
    bodies: tuple[AnswersWith, ...] = ()


NO_ERRATA = Errata()


def load_contract(name: str, errata: Errata = NO_ERRATA) -> Contract | None:
    """The description called `name`, ready to check against; None where it is absent."""
    return _read(contract_path(name), errata) if contract_available(name) else None


@lru_cache
def _read(path: Path, errata: Errata) -> Contract:
    # Every fake asks for it, and it takes longer to prepare than most tests to run.
    return Contract(json.loads(path.read_text(encoding="utf-8")), errata)


@dataclass
class Contract:
    """An OpenAPI 3.0 or 3.1 description that judges requests and answers.

    Every object whose description lists properties is closed, in requests and in answers: a client that sends
    a key nobody knows, or a fake that invents one, is caught. Headers that are described are judged where they are
    given; the others are HTTP's own.
    """

    document: Json
    errata: Errata = NO_ERRATA
    _validators: dict[str, Validator] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        document = json.loads(json.dumps(self.document))  # a copy: the errata change it
        for null in self.errata.nulls:
            _make_nullable(document, null)
        for more in self.errata.properties:
            _at(document, more.pointer)["properties"][more.name] = json.loads(more.schema)
        for body in self.errata.bodies:
            answer = document["paths"][body.template][body.method.lower()]["responses"][str(body.status)]
            answer["content"] = {"application/json": {"schema": json.loads(body.schema)}}
        self._is_30 = _is_openapi_30(document)
        self.document = _as_schema(_merged(document, document), nullable=self._is_30)
        dialect = DRAFT4 if self._is_30 else DRAFT202012
        empty: Registry[Any] = Registry()
        self._registry = empty.with_resource(_ROOT, dialect.create_resource(self.document))

    @property
    def operations(self) -> frozenset[tuple[str, str]]:
        """Every (METHOD, path template) that the description has."""
        return frozenset(
            (method.upper(), template)
            for template, item in self.document["paths"].items()
            for method in item
            if method in {"get", "put", "post", "delete", "patch", "head", "options"}
        )

    def check_request(
        self,
        method: str,
        template: str,
        path: Mapping[str, str],
        query: Mapping[str, str],
        body: Any,
        headers: Mapping[str, str] | None = None,
    ) -> list[str]:
        """What is wrong with a request: its path and query parameters (as text), its body (None is none), and
        those of its headers that are described.
        """
        operation = self._operation(method, template)
        if operation is None:
            return ["the description has no such operation"]
        known = [self._resolved(each) for each in operation.get("parameters", [])]
        known += [self._resolved(each) for each in self.document["paths"][template].get("parameters", [])]
        return [
            *self._check_parameters("path", known, path),
            *self._check_parameters("query", known, query),
            *(self._check_headers(known, headers) if headers is not None else ()),
            *self._check_request_body(operation, body),
        ]

    def check_answer(self, method: str, template: str, status: int, body: Any) -> list[str]:
        """What is wrong with an answer: its status is not listed, or its body (None is none) is another."""
        operation = self._operation(method, template)
        if operation is None:
            return ["the description has no such operation"]
        listed = operation["responses"].get(str(status), operation["responses"].get("default"))
        if listed is not None:
            content = self._resolved(listed).get("content", {})
            media = content.get("application/json", content.get("*/*"))
            schema = None if media is None else media.get("schema", {})  # a medium without a schema: anything
        else:
            schema = self._schema_of_unlisted(status)
            if schema is None:
                return [f"status {status} is not listed"]
        return self._check_body("answer", schema, body)

    def _operation(self, method: str, template: str) -> Json | None:
        operation: Json | None = self.document["paths"].get(template, {}).get(method.lower())
        return operation

    def _resolved(self, node: Json) -> Json:
        """The node itself, or what it refers to."""
        while "$ref" in node:
            node = _at(self.document, node["$ref"].removeprefix(_ROOT + "#/"))
        return node

    def _schema_of_unlisted(self, status: int) -> Json | None:
        for known in self.errata.answers:
            if known.status == status:
                return {"$ref": f"{_ROOT}#/components/schemas/{known.schema}"}
        return None

    def _check_parameters(self, place: str, known: list[Json], given: Mapping[str, str]) -> list[str]:
        described = {each["name"]: each for each in known if each["in"] == place}
        found = [f"{place} parameter {name} is not described" for name in given if name not in described]
        for name, each in described.items():
            schema = each.get("schema", {})
            if name in given:
                value = _typed(given[name], self._resolved(schema).get("type"))
                found += [f"{place} parameter {name}: {text}" for text in self._violations(schema, value)]
            elif each.get("required"):
                found.append(f"{place} parameter {name} is missing")
        return found

    def _check_headers(self, known: list[Json], headers: Mapping[str, str]) -> list[str]:
        names = {each["name"].lower(): each["name"] for each in known if each["in"] == "header"}
        given = {names[name.lower()]: text for name, text in headers.items() if name.lower() in names}
        return self._check_parameters("header", known, given)

    def _check_request_body(self, operation: Json, body: Any) -> list[str]:
        described = operation.get("requestBody")
        if described is None:
            return [] if body is None else ["request: a body, where none is described"]
        described = self._resolved(described)
        if body is None and not described.get("required"):
            return []
        return self._check_body("request", described["content"]["application/json"]["schema"], body)

    def _check_body(self, what: str, schema: Json | None, body: Any) -> list[str]:
        if schema is None:
            return [] if body is None else [f"{what}: a body, where none is described"]
        return [f"{what} {text}" for text in self._violations(schema, body)]

    def _violations(self, schema: Json, value: Any) -> list[str]:
        errors = sorted(self._validator(schema).iter_errors(value), key=lambda error: list(map(str, error.path)))
        return [_said(error) for error in errors[:_MOST_VIOLATIONS]]

    def _validator(self, schema: Json) -> Validator:
        """A validator for any part of the description; kept, because making one costs more than using it."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            kind = Draft4Validator if self._is_30 else Draft202012Validator
            self._validators[key] = kind(schema, registry=self._registry, format_checker=FORMATS)
        return self._validators[key]


def _is_openapi_30(document: Json) -> bool:
    """True for OpenAPI 3.0, whose schemas are a dialect of draft 4; False for 3.1 and its draft 2020-12."""
    version = str(document.get("openapi"))
    if not version.startswith(("3.0.", "3.1.")):
        raise ValueError(f"OpenAPI 3.0 and 3.1 are understood, not {version}")
    return version.startswith("3.0.")


def _make_nullable(document: Json, null: MayBeNull) -> None:
    """Let null pass at the erratum's pointer; an erratum that points nowhere is out of date, and an error."""
    parent_pointer, _, key = null.pointer.rpartition("/")
    parent = _at(document, parent_pointer)
    parent[key] = {"anyOf": [{"type": "null"}, parent[key]]}


def _at(document: Json, pointer: str) -> Json:
    """What a pointer ("components/schemas/blob") leads to; KeyError where nothing is."""
    node: Json = document
    for key in pointer.split("/"):
        node = node[key.replace("~1", "/").replace("~0", "~")]
    return node


# What a part of an allOf may have, for all of them to be one object; the rest is left as it is.
_PLAIN = frozenset({"type", "properties", "required", "description", "title", "example", "x-source"})


def _merged(node: Any, document: Json) -> Any:
    """A node in which an allOf of plain objects is one object: each part alone, once closed, would refuse the others'
    properties.
    """
    if isinstance(node, list):
        return [_merged(each, document) for each in node]
    if not isinstance(node, dict):
        return node
    parts = _parts(node, document) if "allOf" in node else []
    if parts and all(part.keys() <= _PLAIN and part.get("type") == "object" and "properties" in part for part in parts):
        properties = {name: _merged(each, document) for part in parts for name, each in part["properties"].items()}
        required = [name for part in parts for name in part.get("required", ())]
        return {"type": "object", "properties": properties, **({"required": required} if required else {})}
    return {key: _merged(value, document) for key, value in node.items()}


def _parts(node: Json, document: Json) -> list[Json]:
    """The parts of an allOf, whatever is referred to put in place; an allOf among them gives its own."""
    found: list[Json] = []
    for part in node["allOf"]:
        plain = part
        while "$ref" in plain:
            plain = _at(document, plain["$ref"].removeprefix("#/"))
        found += _parts(plain, document) if plain.keys() == {"allOf"} else [plain]
    beside = {key: value for key, value in node.items() if key not in {"allOf", "description", "type"}}
    return [*found, beside] if beside else found


def _as_schema(node: Any, *, nullable: bool, closed: bool = True) -> Any:
    """A node with absolute references, closed objects and, for 3.0, `nullable` in JSON Schema's words."""
    if isinstance(node, list):
        return [_as_schema(each, nullable=nullable, closed=closed) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: _as_schema_member(key, value, nullable=nullable, closed=closed) for key, value in node.items()}
    if closed and isinstance(node.get("properties"), dict):
        made.setdefault("additionalProperties", False)
    if nullable and made.pop("nullable", None) is True:
        made = _or_null(made)
    return made


def _as_schema_member(key: str, value: Any, *, nullable: bool, closed: bool) -> Any:
    if key == "$ref" and isinstance(value, str) and value.startswith("#"):
        return _ROOT + value
    if key == "properties" and isinstance(value, dict):  # a map of names: a property may be called "nullable" too
        return {name: _as_schema(each, nullable=nullable, closed=closed) for name, each in value.items()}
    # The parts of an allOf know only their own share of the properties: none of them may be closed.
    return _as_schema(value, nullable=nullable, closed=closed and key != "allOf")


def _or_null(schema: Json) -> Json:
    """The schema, or null. An enum is widened too: GitHub leaves null out of the enums of nullable values."""
    if not isinstance(schema.get("type"), str):
        return {"anyOf": [{"type": "null"}, schema]}
    widened = {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        widened["enum"] = [*schema["enum"], None]
    return widened


def _typed(text: str, kind: object) -> str | int | bool:
    """A path or query parameter as its described type; text not of that type stays text, and is refused."""
    if kind == "integer" and re.fullmatch(r"-?\d+", text):
        return int(text)
    if kind == "boolean" and text in {"true", "false"}:
        return text == "true"
    return text


def _said(error: ValidationError) -> str:
    """One line: where in the body, and the deepest reason."""
    deepest = best_match([error]) or error
    return f"at {deepest.json_path}: {deepest.message[:300]}"


# Our own, because those that jsonschema knows need further packages, without which everything passes.
FORMATS = FormatChecker(formats=())


@FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    """RFC 3339: a date, a time, and a zone; what is not text is left to `type`."""
    if not isinstance(value, str):
        return True
    return "T" in value and datetime.fromisoformat(value).tzinfo is not None


@FORMATS.checks("uri", raises=ValueError)
def _is_uri(value: object) -> bool:
    """An absolute address without blanks or template braces; what is not text is left to `type`."""
    if not isinstance(value, str):
        return True
    parts = urlsplit(value)
    return bool(parts.scheme and parts.netloc) and not re.search(r"[\s{}<>\"\\^`|]", value)


@FORMATS.checks("uuid", raises=ValueError)
def _is_uuid(value: object) -> bool:
    """As it is usually written, with its four hyphens; what is not text is left to `type`."""
    return not isinstance(value, str) or str(uuid.UUID(value)) == value.lower()


@FORMATS.checks("email")
def _is_email(value: object) -> bool:
    """Something on both sides of one @; what is not text is left to `type`."""
    return not isinstance(value, str) or re.fullmatch(r"[^@\s]+@[^@\s]+", value) is not None


@FORMATS.checks("int64")
def _is_int64(value: object) -> bool:
    """Fits 64 bits; what is not an integer is left to `type`."""
    return not isinstance(value, int) or -(2**63) <= value < 2**63
