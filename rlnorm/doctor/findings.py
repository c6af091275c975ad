"""Findings, and the report that they make."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import fill, wrap
from typing import Literal

Level = Literal["fault", "hint"]
LEVELS: tuple[Level, ...] = ("fault", "hint")
Found = Iterator[tuple[str, str]]
"""Yielded by a check: where, and the evidence."""


class Unmade(Exception):
    """Why a check, or the part of it that was left, cannot be made."""


def said(failure: BaseException) -> str:
    """An exception on one line, without a full stop."""
    return f"{type(failure).__name__}: {' '.join(str(failure).split())[:160]}".rstrip(":. ")


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
    norms      number of norms in it
    checks     number of checks there are
    unchecked  checks that could not be made -> why
    unreached  norms that the pass did not reach, so that their behaviour is not known
    examined   whether the pass through the network, and the checks made on it, ran to their end
    """

    what: str
    norms: int
    checks: int
    findings: tuple[Finding, ...]
    unchecked: Mapping[str, str]
    unreached: tuple[str, ...] = ()
    examined: bool = True

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
    known = _count(report.norms, "norm") if report.norms else "no norm known"
    made = f"{report.checks - len(report.unchecked)} of {report.checks} checks made"
    yield fill(f"{report.what}: {known}, {made}.", width)
    for together in _alike(report.findings):
        first = together[0]
        yield ""
        yield f"{first.level}: {first.check}"
        for finding in together:
            yield _item(finding.where, finding.evidence, width)
        yield _item("Consequence", first.consequence, width)
        yield _item("Remedy", first.remedy, width)
    yield ""
    why: dict[str, list[str]] = {}
    for check, reason in report.unchecked.items():
        why.setdefault(reason, []).append(check)
    for reason, checks in why.items():
        yield fill(f"Not checked: {', '.join(checks)} ({reason}).", width, subsequent_indent="  ")
    if report.unreached:
        yield fill(f"Not reached by the pass: {', '.join(report.unreached)}.", width, subsequent_indent="  ")
    yield from wrap(_verdict(report), width)


def _verdict(report: Report) -> str:
    if report.findings:
        faults = sum(finding.level == "fault" for finding in report.findings)
        return f"{_count(faults, 'fault')}, {_count(len(report.findings) - faults, 'hint')}."
    if not report.examined:
        return "The network could not be examined."
    if not report.norms:
        return "No norm is known in it, so that nothing can be said of norms."
    return "Nothing found by the checks made." if report.unchecked or report.unreached else "Nothing found."


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
