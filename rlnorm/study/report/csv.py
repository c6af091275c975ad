"""Every judged run of a claim as CSV, one line each."""

import csv
import io

from rlnorm.study.judge import ClaimResult

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
