"""Simulate how often a claim of many parts is refuted by mistake, for a table of docs/statistics.md.

python scripts/calibrate_verdicts.py --write

Every part asks whether one arm is not better than another by a margin, and in truth it is better by just the margin:
there a part is refuted by mistake most often. The project's own judge judges each part from new scores, and its overall
rule makes one outcome of many. Claims of fewer parts are made of the same judged parts as those of the most.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import calibrate_intervals
import numpy as np

from rlnorm.cli import guarded
from rlnorm.errors import raise_if_any, too_few
from rlnorm.files import write_atomically
from rlnorm.study.claim import Metric, Question
from rlnorm.study.judge.rules import judge, overall
from rlnorm.study.judge.verdict import Judgement, Sample
from rlnorm.validation.options import read, typed

COMMAND = "python scripts/calibrate_verdicts.py --write"
PARTS = (2, 6, 18)
RUNS = 16
SCORE = Metric("score", "higher", "score")
QUESTION = Question(asks="not better", treatment="treatment", reference="reference", margin=0.05)


@dataclass(frozen=True)
class Errors:
    """Proportions of claims that get a false answer: refuted by the rule, refuted if any part is, supported."""

    refuted: float
    uncorrected: float
    supported: float

    def __str__(self) -> str:
        return " | ".join(f"{100 * each:.1f}" for each in (self.refuted, self.uncorrected, self.supported))


def scores(rng: np.random.Generator, shape: str) -> Sample:
    """One arm's scores, of the first arm of that family of `calibrate_intervals`."""
    drawn = calibrate_intervals.FAMILIES[shape].x(rng, (RUNS, 1))[:, 0]
    return Sample(drawn, np.zeros(RUNS, dtype=bool))


def at_the_margin(rng: np.random.Generator, draw: Callable[[np.random.Generator], Sample]) -> Judgement:
    """One part, judged, whose treatment is better by just the margin."""
    treatment, reference = draw(rng), draw(rng)
    better = replace(treatment, scores=treatment.scores + QUESTION.margin)
    return judge(QUESTION, {"treatment": better, "reference": reference}, SCORE)


def errors(judged: Sequence[Judgement], parts: int) -> Errors:
    """Of claims made of so many successive parts each."""
    claims = [judged[i : i + parts] for i in range(0, len(judged) - parts + 1, parts)]
    outcomes = [overall(claim, "all") for claim in claims]
    bare = [any(part.outcome == "refuted" for part in claim) for claim in claims]
    refuted, supported = (float(np.mean([each == of for each in outcomes])) for of in ("refuted", "supported"))
    return Errors(refuted, float(np.mean(bare)), supported)


def table(claims: int, seed: int = 0) -> str:
    """The errors of claims of each size, from `claims` of the largest. Prints a line per row as progress."""
    lines = ["| scores | parts | claims | refuted | refuted if any part is | supported |", "|---|---|---|---|---|---|"]
    for number, shape in enumerate(("normal", "two-peaked")):
        rng, draw = np.random.default_rng([seed, number]), partial(scores, shape=shape)
        judged = [at_the_margin(rng, draw) for _ in range(claims * max(PARTS))]
        for parts in PARTS:
            lines.append(f"| {shape} | {parts} | {len(judged) // parts} | {errors(judged, parts)} |")
            print(lines[-1], flush=True)
    return "\n".join(lines)


def main(claims: int = 60, write: bool = False) -> None:
    """Simulate, and print the table or write it.

    Args:
        claims: Simulated claims of the most parts, for each shape of scores.
        write: Put the table into docs/statistics.md instead of printing it.
    """
    raise_if_any(too_few({"--claims": claims}))
    made = table(claims)
    if write:
        doc = calibrate_intervals.DOC
        write_atomically(doc, calibrate_intervals.replace(doc.read_text(encoding="utf-8"), "verdicts", made))
    else:
        print(made)


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
