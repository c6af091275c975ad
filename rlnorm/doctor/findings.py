"""What the doctor says: findings, and the report they make."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import Literal

Level = Literal["fault", "hint"]
LEVELS: tuple[Level, ...] = ("fault", "hint")
Found = Iterator[tuple[str, str]]
"""What a check yields: where, and the evidence."""


@dataclass(frozen=True)
class Threshold:
    """A number from which on something counts, and why it is that number."""

    value: float
    unit: str
    reason: str


@dataclass(frozen=True)
class Finding:
    """One thing that goes wrong.

    check        name of the check in `rlnorm.doctor.CHECKS`
    level        "fault": results are wrong or training breaks; "hint": wasteful, or wrong in some uses only
    where        path of the module, optimizer or network
    evidence     what was seen, with numbers
    consequence  what comes of it
    remedy       what to do
    """

    check: str
    level: Level
    where: str
    evidence: str
    consequence: str
    remedy: str


@dataclass(frozen=True)
class Report:
    """All findings, faults first.

    what       what was examined, in words
    unchecked  checks that could not be made -> why
    """

    what: str
    norms: int
    checks: int
    findings: tuple[Finding, ...]
    unchecked: Mapping[str, str]

    @property
    def healthy(self) -> bool:
        """Whether nothing was found that makes results wrong; hints do not count."""
        return all(finding.level != "fault" for finding in self.findings)

    def text(self, width: int = 80) -> str:
        """The report to read, at most `width` columns."""
        return "\n".join(_lines(self, width))

    def __str__(self) -> str:
        return self.text()


def _lines(report: Report, width: int) -> Iterator[str]:
    of = f"{_count(report.norms, 'norm')}, {report.checks - len(report.unchecked)} of {report.checks} checks made"
    yield fill(f"{report.what}: {of}.", width)
    for together in _alike(report.findings):
        first = together[0]
        yield ""
        yield f"{first.level}: {first.check}"
        for finding in together:
            yield _item(finding.where, finding.evidence, width)
        yield _item("Consequence", first.consequence, width)
        yield _item("Remedy", first.remedy, width)
    yield ""
    if report.unchecked:
        why: dict[str, list[str]] = {}
        for check, reason in report.unchecked.items():
            why.setdefault(reason, []).append(check)
        for reason, checks in why.items():
            yield fill(f"Not checked: {', '.join(checks)} ({reason}).", width, subsequent_indent="  ")
    faults = sum(finding.level == "fault" for finding in report.findings)
    hints = len(report.findings) - faults
    yield f"{_count(faults, 'fault')}, {_count(hints, 'hint')}." if report.findings else "Nothing found."


def _alike(findings: Iterable[Finding]) -> Iterator[Sequence[Finding]]:
    """Findings in order, those together that mean the same."""
    blocks: dict[object, list[Finding]] = {}
    for finding in findings:
        blocks.setdefault((finding.check, finding.level, finding.consequence, finding.remedy), []).append(finding)
    yield from blocks.values()


def _item(name: str, text: str, width: int) -> str:
    return fill(f"{name}: {text}", width, initial_indent="  ", subsequent_indent="    ")


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'s' * (number != 1)}"
