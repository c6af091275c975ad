"""Every judged run of a claim as CSV, one line each."""

import csv
import io

from rlnorm.study.judge import ClaimResult

COLUMNS = ("part", "arm", "seed", "rate", "metric", "score", "diverged", "final_return")


def scores(claim: ClaimResult) -> str:
    """Part, arm, seed, learning rate, metric, score, diverged (0 or 1), final greedy return (DQN; else empty)."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    table.writerow(COLUMNS)
    for part in claim.parts:
        for arm in part.arms.values():
            finals = [""] * len(arm.seeds) if arm.final is None else [f"{final:.6g}" for final in arm.final]
            for seed, score, diverged, final in zip(arm.seeds, arm.scores, arm.diverged, finals, strict=True):
                row = part.name, arm.name, seed, arm.rate, part.metric, f"{score:.6g}", int(diverged), final
                table.writerow(row)
    return out.getvalue()
