"""From results to what people look at: the terminal, an HTML page, Markdown and CSV to keep, TensorBoard."""

from pathlib import Path

from rlnorm.files import write_atomically
from rlnorm.study.judge import StudyResult
from rlnorm.study.report import csv, html, tensorboard, verdicts


def write(study: StudyResult, out: Path, per_seed: bool = False) -> None:
    """Write verdicts, scores, event files and the HTML page of a study under `out`."""
    verdicts.write(study, out)
    for claim in study.claims:
        write_atomically(out / claim.id / "scores.csv", csv.scores(claim))
    tensorboard.write(study, out, per_seed)
    html.write(study, out / "report.html")


__all__ = ["write"]
