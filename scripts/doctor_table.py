"""Write the checks into docs/doctor.md from the doctor's table.

python scripts/doctor_table.py
"""

import sys
from pathlib import Path

from rlnorm.cli import guarded
from rlnorm.doctor import CHECKS, LEVELS, Check
from rlnorm.files import write_atomically
from rlnorm.validation.options import read, typed

PAGE = Path(__file__).parents[1] / "docs" / "doctor.md"
FIRST = f"## {LEVELS[0].capitalize()}s"
"""The first heading of the part that is written."""


def entry(check: Check) -> str:
    """One check."""
    lines = [f"### {check.name}", f"Looks for: {check.looks_for}.", f"Consequence: {check.consequence}"]
    lines.append(f"Remedy: {check.remedy}")
    lines += [f"Threshold: {each.value:g} {each.unit}; {each.reason}." for each in check.thresholds]
    lines.append(f"Source: {check.source}.")
    return "\n\n".join(lines)


def page() -> str:
    """The whole page: its head, which is kept, and every check."""
    sections = [PAGE.read_text(encoding="utf-8").partition(FIRST)[0]]
    for level in LEVELS:
        sections.append(f"## {level.capitalize()}s")
        sections += [entry(check) for check in CHECKS.values() if check.level == level]
    return "\n\n".join(section.strip() for section in sections) + "\n"


def main() -> None:
    """Write the page."""
    write_atomically(PAGE, page())


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
