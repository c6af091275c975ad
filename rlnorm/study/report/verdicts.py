"""Verdicts as JSON, for programs."""

from pathlib import Path

from rlnorm.files import write_atomically
from rlnorm.study.judge import StudyResult, Verdict
from rlnorm.study.run.store import pretty

FIELDS = ("claim", "part", "verdict", "estimate", "low", "high", "margin", "n", "diverged", "preset", "steps")


def write(study: StudyResult, out: Path) -> None:
    """Write DIR/<claim>/verdict.json with all details, and DIR/verdicts.json with every row of the study in short."""
    for claim in study.claims:
        rows = [claim.overall, *(part.verdict for part in claim.parts)]
        write_atomically(out / claim.id / "verdict.json", pretty([row.row() for row in rows]))
    write_atomically(out / "verdicts.json", short(study))


def short(study: StudyResult) -> str:
    """Every row of the study in short, as JSON."""
    return pretty([{field: verdict.row()[field] for field in FIELDS} for verdict in listed(study)])


def listed(study: StudyResult) -> list[Verdict]:
    """Every verdict: of each claim the overall one, then those of its parts."""
    return [row for claim in study.claims for row in (claim.overall, *(part.verdict for part in claim.parts))]
