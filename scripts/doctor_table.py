"""Write docs/doctor.md from the doctor's table of checks: `python scripts/doctor_table.py`."""

from pathlib import Path

from rlnorm.doctor import CHECKS, LEVELS, Check

PAGE = Path(__file__).parents[1] / "docs" / "doctor.md"
HEAD = """# What the doctor looks for

Made from `rlnorm.doctor.CHECKS` by `python scripts/doctor_table.py`. `rlnorm.doctor.check(model)` and
`rlnorm doctor MODEL.zip --trust` make these checks. A fault makes results wrong or breaks training, and `rlnorm doctor`
ends with exit code 1; a hint is wasteful, or wrong in some uses only.
"""


def entry(check: Check) -> str:
    """One check."""
    lines = [f"### {check.name}", f"Looks for: {check.looks_for}.", f"Consequence: {check.consequence}"]
    lines.append(f"Remedy: {check.remedy}")
    lines += [f"Threshold: {each.value:g} {each.unit}; {each.reason}." for each in check.thresholds]
    lines.append(f"Source: {check.source}.")
    return "\n\n".join(lines)


def page() -> str:
    """The whole page."""
    sections = [HEAD]
    for level in LEVELS:
        sections.append(f"## {level.capitalize()}s")
        sections += [entry(check) for check in CHECKS.values() if check.level == level]
    return "\n\n".join(section.strip() for section in sections) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
