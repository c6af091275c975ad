"""Every judged run of a claim as CSV, one line each."""

import csv
import io
from pathlib import Path

import numpy as np

from rlnorm.study.judge import ClaimResult, Sample

COLUMNS = ("part", "arm", "seed", "rate", "metric", "score", "diverged", "final_return", "second_score")


def scores(claim: ClaimResult) -> str:
    """What it takes to judge again.

    Part, arm, seed, learning rate, metric, score, diverged (0 or 1), final greedy return (DQN; else empty), score by
    the part's second metric (else empty).
    """
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for part in claim.parts:
        for arm in part.arms.values():
            more = (
                [""] * len(arm.seeds) if of is None else [f"{value:.6g}" for value in of]
                for of in (arm.final, arm.second)
            )
            for seed, score, diverged, *rest in zip(arm.seeds, arm.scores, arm.diverged, *more, strict=True):
                table.writerow((part.name, arm.name, seed, arm.rate, part.metric, f"{score:.6g}", int(diverged), *rest))
    return out.getvalue()


def samples(path: Path) -> dict[str, dict[str, Sample]]:
    """part -> arm -> its runs, read back from such a file."""
    found: dict[str, dict[str, list[tuple[float, bool, int, float]]]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            runs = found.setdefault(row["part"], {}).setdefault(row["arm"], [])
            second = float(row.get("second_score") or "nan")
            runs.append((float(row["score"]), row["diverged"] == "1", int(row["seed"]), second))
    return {
        part: {arm: Sample(*map(np.array, zip(*runs, strict=True))) for arm, runs in arms.items()}
        for part, arms in found.items()
    }
