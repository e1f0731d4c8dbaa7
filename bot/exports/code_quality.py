"""GitLab's code quality report: a JSON array of findings (GitLab's manual, "Code Quality", Code Quality report format)."""

from __future__ import annotations

import json
from collections import Counter

from bot.exports.sarif import fingerprint, plain
from bot.model import Report, Severity
from bot.words import visible

_SEVERITIES = {Severity.ERROR: "critical", Severity.WARNING: "major", Severity.NOTICE: "info"}


def code_quality(report: Report) -> str:
    """Each finding that no file accepts. Fingerprints must differ: where two findings have one, they are counted."""
    seen: Counter[str] = Counter()
    entries = []
    for finding in report.findings:
        if finding.allowed_reason is not None:
            continue
        print_ = fingerprint(finding)
        seen[print_] += 1
        entries.append(
            {
                "description": plain(finding).partition("\n")[0],
                "check_name": finding.rule,
                "fingerprint": print_ if seen[print_] == 1 else f"{print_}-{seen[print_]}",
                "severity": _SEVERITIES[finding.severity],
                "location": {"path": visible(finding.path), "lines": {"begin": finding.line or 1}},
            }
        )
    return json.dumps(entries, ensure_ascii=False, indent=2) + "\n"
