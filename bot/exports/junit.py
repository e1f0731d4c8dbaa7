"""JUnit's XML, which most CI servers show: a test case for each migration."""

from __future__ import annotations

import re
from xml.etree import ElementTree as Xml

from bot.exports.sarif import plain
from bot.model import Finding, Outcome, Rehearsal, Report, Severity
from bot.words import visible

# What XML 1.0 has no way to write ("Characters" in the recommendation).
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def junit(report: Report) -> str:
    """A migration with an error that no file accepts has failed; one that its tool would not have come to was skipped."""
    suite = Xml.Element("testsuite", name="migration-rehearsal")
    for migration in report.migrations:
        of_it = [f for f in report.findings if f.path in (migration.files or (migration.path,)) and f.allowed_reason is None]
        suite.append(_case(migration, of_it))
    paths = {path for m in report.migrations for path in m.files or (m.path,)}
    for finding in report.findings:
        if finding.path not in paths and finding.allowed_reason is None:
            suite.append(_alone(finding))
    if report.error:
        case = Xml.SubElement(suite, "testcase", classname="migration-rehearsal", name="rehearsal", time="0")
        Xml.SubElement(case, "error", message=_text(report.error[0])).text = _text("\n".join(report.error))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(sum(case.find(tag) is not None for case in suite)))
    suite.set("tests", str(len(suite)))
    suite.set("time", f"{report.total_ms / 1000:.3f}")
    suites = Xml.Element("testsuites")
    suites.append(suite)
    Xml.indent(suites)
    return Xml.tostring(suites, encoding="unicode", xml_declaration=False) + "\n"


def _case(migration: Rehearsal, findings: list[Finding]) -> Xml.Element:
    name = " + ".join(migration.files or (migration.path,))
    case = Xml.Element("testcase", classname=migration.layout, name=_text(name), time=f"{migration.duration_ms / 1000:.3f}")
    errors = [f for f in findings if f.severity is Severity.ERROR]
    if errors:
        Xml.SubElement(case, "failure", type=errors[0].rule, message=_text(plain(errors[0]).partition("\n")[0])).text = _told(
            errors
        )
    elif migration.outcome is Outcome.SKIPPED:
        Xml.SubElement(case, "skipped", message="a migration before it failed, or it was run already")
    others = [f for f in findings if f.severity is not Severity.ERROR]
    if others:
        Xml.SubElement(case, "system-out").text = _told(others)
    return case


def _alone(finding: Finding) -> Xml.Element:
    """A finding about a file that is not rehearsed."""
    case = Xml.Element("testcase", classname=finding.rule, name=_text(finding.path), time="0")
    if finding.severity is Severity.ERROR:
        Xml.SubElement(case, "failure", type=finding.rule, message=_text(finding.message)).text = _told([finding])
    else:
        Xml.SubElement(case, "system-out").text = _told([finding])
    return case


def _told(findings: list[Finding]) -> str:
    return _text("\n\n".join(f"{f.path}{f':{f.line}' if f.line else ''}: {plain(f)} [{f.rule}]" for f in findings))


def _text(value: str) -> str:
    return _NO_XML.sub("\ufffd", visible(value))
