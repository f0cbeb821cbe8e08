"""Findings of a review: the schema that binds the model, and the report in text, JSON and SARIF."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from aigc_cli.chat.prompt import Attachment

MOST_FINDINGS = 12  # a small model that may go on for ever repeats itself
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


class Severity(StrEnum):
    """How much a finding matters."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def rank(self) -> int:
        """Higher is worse."""
        return list(Severity).index(self)


_SARIF_LEVELS = {Severity.LOW: "note", Severity.MEDIUM: "warning", Severity.HIGH: "error"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a review found.

    Attributes:
        line: counted from 1.
        kind: bug, security, performance or style.
        message: what is wrong, for a person.
        fix: what to do about it.
    """

    file: str
    line: int
    severity: Severity
    kind: str
    message: str
    fix: str = ""


def findings_schema(files: Sequence[str]) -> str:
    """The JSON Schema of a review of these files."""
    finding = {
        "type": "object",
        "properties": {
            "file": {"enum": list(files)},
            "line": {"type": "integer"},
            "kind": {"enum": ["bug", "security", "performance", "style"]},
            "severity": {"enum": [each.value for each in Severity]},
            "message": {"type": "string"},
            "fix": {"type": "string"},
        },
        "required": ["file", "line", "kind", "severity", "message", "fix"],
        "additionalProperties": False,
    }
    review = {
        "type": "object",
        "properties": {"findings": {"type": "array", "items": finding, "maxItems": MOST_FINDINGS}},
        "required": ["findings"],
        "additionalProperties": False,
    }
    return json.dumps(review)


def numbered(attachment: Attachment) -> Attachment:
    """The text with a number before each line, so that a model can say which one it means."""
    lines = attachment.text.splitlines()
    width = len(str(len(lines)))
    text = "".join(f"{number:>{width}} {line}\n" for number, line in enumerate(lines, 1))
    return Attachment(attachment.name, text, attachment.language)


def read_findings(reply: str, attachments: Sequence[Attachment]) -> list[Finding]:
    """The findings of a reply, by file and line, each once; those about lines that do not exist are left out.

    Raises:
        ValueError: the reply is no review.
    """
    lengths = {each.name: len(each.text.splitlines()) for each in attachments}
    found = [
        Finding(
            each["file"], each["line"], Severity(each["severity"]), each["kind"], each["message"], each["fix"]
        )
        for each in json.loads(reply)["findings"]
    ]
    known = [each for each in found if 1 <= each.line <= lengths.get(each.file, 0)]
    # A small model that has run out of findings says the last one again about other lines.
    once = {(each.file, each.message): each for each in reversed(known)}.values()
    return sorted(once, key=lambda each: (each.file, each.line, -each.severity.rank))


def as_json(findings: Sequence[Finding]) -> str:
    """One object with all findings."""
    return json.dumps({"findings": [asdict(each) for each in findings]}, ensure_ascii=False, indent=2)


def as_sarif(findings: Sequence[Finding], version: str) -> str:
    """A report that code hosts and editors read (SARIF 2.1.0, OASIS)."""
    driver = {
        "name": "aigc",
        "version": version,
        "rules": [{"id": kind} for kind in sorted({each.kind for each in findings})],
    }
    run = {"tool": {"driver": driver}, "results": [_sarif_result(each) for each in findings]}
    return json.dumps(
        {"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, ensure_ascii=False, indent=2
    )


def _sarif_result(finding: Finding) -> dict[str, Any]:
    place = {
        "artifactLocation": {"uri": finding.file},
        "region": {"startLine": finding.line},
    }
    text = f"{finding.message} {finding.fix}".strip()
    return {
        "ruleId": finding.kind,
        "level": _SARIF_LEVELS[finding.severity],
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


def as_text(findings: Sequence[Finding]) -> str:
    """One finding a paragraph, the place first, as compilers say it."""
    return "\n".join(
        f"{each.file}:{each.line}: {each.severity} {each.kind}: {each.message}"
        + (f"\n    {each.fix}" if each.fix else "")
        for each in findings
    )
