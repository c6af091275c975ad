"""From results to what people look at: the terminal, an HTML page, Markdown and CSV to keep, TensorBoard."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rlnorm.files import locked, write_atomically
from rlnorm.study.judge import StudyResult
from rlnorm.study.plan.sources import package_folder
from rlnorm.study.plan.unit import digest
from rlnorm.study.report import csv, html, tensorboard, verdicts
from rlnorm.study.report.language import spoken

SHOWN_BY = {".py", ".html", ".css", ".js", ".toml"}
"""Endings of the files of the package that decide how a study is shown."""


def write(study: StudyResult, out: Path, per_seed: bool = False) -> None:
    """Write verdicts, scores, event files and the HTML page of a study under `out`.

    Event files and the page, which take long, are left as they are where they would come out the same.
    """
    scores = {claim.id: csv.scores(claim) for claim in study.claims}
    page, made_from = out / "report.html", _made_from(study, scores, per_seed)
    with locked(out):
        verdicts.write(study, out)
        for claim, text in scores.items():
            write_atomically(out / claim / "scores.csv", text)
        if html.made_from(page) != made_from or not (out / tensorboard.FOLDER).is_dir():
            tensorboard.write(study, out, per_seed)
            html.write(study, page, made_from)


def _made_from(study: StudyResult, scores: Mapping[str, str], per_seed: bool) -> str:
    """Hash of what decides how a study is shown, its moment and duration left out."""
    shown = list[object]()
    for claim in study.claims:
        shown += [claim.id, repr(claim.claim), claim.command, claim.overall.row(), scores[claim.id]]
        for part in claim.parts:
            shown += [part.verdict.row(), part.units, part.commits]
            for arm in part.arms.values():
                curves = [*arm.curves.values(), *arm.probes.values()]
                shown += [arm.name, dict(arm.settings), arm.snapshots, *(_hash_of(curve.values) for curve in curves)]
    told = re.sub(" at 0x[0-9a-f]+", "", repr(shown))  # where a function lies in memory
    return digest([told, spoken(), study.preset, study.commit, repr(study.versions), per_seed, _hash_of_package()])


def _hash_of_package() -> str:
    """Hash of every file of the package, templates included: following imports would take ten times longer."""
    folder = package_folder()
    shown = sorted(path for path in folder.rglob("*.*") if path.suffix in SHOWN_BY)
    listed = [(path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()) for path in shown]
    return digest(listed)


def _hash_of(values: np.ndarray) -> str:
    """Hash of an array's numbers."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


__all__ = ["write"]
