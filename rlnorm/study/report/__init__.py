"""From results to what people look at: the terminal, an HTML page, Markdown and CSV to keep, TensorBoard."""

import hashlib
import re
from pathlib import Path

import numpy as np

from rlnorm.files import locked, write_atomically
from rlnorm.study.judge import StudyResult
from rlnorm.study.plan.sources import code_hash
from rlnorm.study.plan.unit import digest
from rlnorm.study.report import csv, html, tensorboard, verdicts
from rlnorm.study.report.language import spoken


def write(study: StudyResult, out: Path, per_seed: bool = False) -> None:
    """Write verdicts, scores, event files and the HTML page of a study under `out`.

    Event files and the page, which take long, are left as they are where they would come out the same.
    """
    page, made_from = out / "report.html", _made_from(study, per_seed)
    with locked(out):
        verdicts.write(study, out)
        for claim in study.claims:
            write_atomically(out / claim.id / "scores.csv", csv.scores(claim))
        if html.made_from(page) != made_from or not (out / tensorboard.FOLDER).is_dir():
            tensorboard.write(study, out, per_seed)
            html.write(study, page, made_from)


def _made_from(study: StudyResult, per_seed: bool) -> str:
    """Hash of what decides how a study is shown, its moment and duration left out."""
    shown = list[object]()
    for claim in study.claims:
        shown += [claim.id, repr(claim.claim), claim.command, claim.overall.row(), csv.scores(claim)]
        for part in claim.parts:
            shown += [part.verdict.row(), part.units, part.commits]
            for arm in part.arms.values():
                curves = [*arm.curves.values(), *arm.probes.values()]
                shown += [arm.name, dict(arm.settings), arm.snapshots, *(_hash_of(curve.values) for curve in curves)]
    told = re.sub(" at 0x[0-9a-f]+", "", repr(shown))  # where a function lies in memory
    code = code_hash((f"{__name__}.html.view", f"{__name__}.html", f"{__name__}.tensorboard"))
    return digest([told, spoken(), study.preset, study.commit, repr(study.versions), per_seed, code])


def _hash_of(values: np.ndarray) -> str:
    """Hash of an array's numbers."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


__all__ = ["write"]
