"""SARIF 2.1.0, which GitHub's code scanning and other programs take in (OASIS, "Static Analysis Results Interchange Format")."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import quote

from bot import __version__
from bot.layouts import COMMAND
from bot.model import Finding, Report, Severity
from bot.rules import BAD_DIRECTIVE, HISTORY_CHANGED, RULES
from bot.words import visible

_LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTICE: "note"}
_OTHERS = {
    HISTORY_CHANGED: "The history of migrations has a problem",
    BAD_DIRECTIVE: "A comment for the rehearsal is not understood",
}


def sarif(report: Report) -> str:
    """Each finding as a result; one that a file accepts is a suppressed one. A rehearsal that could not be done is a run that did
    not succeed.
    """
    descriptors = [_descriptor(rule.id, rule.title, rule.why, rule.instead, rule.severity) for rule in RULES]
    descriptors += [_descriptor(name, title, title, "", Severity.WARNING) for name, title in _OTHERS.items()]
    places = {one["id"]: number for number, one in enumerate(descriptors)}
    commands = {m.path for m in report.migrations if m.layout == COMMAND.name}
    run = {
        "tool": {"driver": {"name": "migration-rehearsal", "version": __version__, "rules": descriptors}},
        "columnKind": "unicodeCodePoints",
        "automationDetails": {"id": "migration-rehearsal/"},
        "invocations": [_invocation(report)],
        "results": [_result(finding, places, in_file=finding.path not in commands) for finding in report.findings],
    }
    return json.dumps({"version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=2) + "\n"


def _descriptor(name: str, title: str, why: str, instead: str, severity: Severity) -> dict[str, Any]:
    return {
        "id": name,
        "shortDescription": {"text": title},
        "fullDescription": {"text": why},
        "help": {"text": f"{why} {instead}".strip()},
        "defaultConfiguration": {"level": _LEVELS[severity]},
        "properties": {"tags": ["postgresql", "migration"]},
    }


def _invocation(report: Report) -> dict[str, Any]:
    told = [{"level": "error", "message": {"text": visible(line)}} for line in report.error]
    return {"executionSuccessful": not report.error} | ({"toolExecutionNotifications": told} if told else {})


def _result(finding: Finding, places: dict[str, int], *, in_file: bool) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "level": _LEVELS[finding.severity],
        "message": {"text": plain(finding)},
        "partialFingerprints": {"finding/v1": fingerprint(finding)},
    }
    if finding.rule in places:
        result["ruleIndex"] = places[finding.rule]
    if in_file:
        region = {"region": {"startLine": finding.line}} if finding.line else {}
        uri = quote(finding.path.encode(errors="surrogateescape"))
        result["locations"] = [{"physicalLocation": {"artifactLocation": {"uri": uri}, **region}}]
    else:
        result["locations"] = [{"logicalLocations": [{"fullyQualifiedName": visible(finding.path)}]}]
    if finding.allowed_reason is not None:
        result["suppressions"] = [{"kind": "inSource", "justification": visible(finding.allowed_reason)}]
    return result


def plain(finding: Finding) -> str:
    """A finding's message, with what to do instead, as text without marks."""
    said = visible(finding.message).replace("`", "")
    return f"{said}\n\n{visible(finding.instead)}" if finding.instead else said


def fingerprint(finding: Finding) -> str:
    """The same for the same finding of another run: numbers that were measured are not in it, nor is the line."""
    words = "".join(letter for letter in finding.message if not letter.isdigit())
    return hashlib.sha256("\0".join((finding.rule, finding.path, words)).encode(errors="surrogatepass")).hexdigest()
