"""What the judge is given and what it says, as data."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from rlnorm.study.claim.declare import Preset

Outcome = Literal["supported", "refuted", "inconclusive", "insufficient"]


@dataclass(frozen=True)
class Sample:
    """One arm's evidence: a score per run, shape (n,), and which of those runs diverged, shape (n,) bool.

    seeds   of the runs, (n,), for questions whose runs are paired by them
    second  the runs' scores by the second metric, (n,), for questions that compare two effects
    """

    scores: np.ndarray
    diverged: np.ndarray
    seeds: np.ndarray | None = None
    second: np.ndarray | None = None

    def without_score(self) -> np.ndarray:
        """The numbers of the runs that have no score: no episode of theirs ended, or no probe of theirs was finite."""
        both = [self.scores] if self.second is None else [self.scores, self.second]
        return np.flatnonzero(~np.isfinite(both).all(axis=0))


@dataclass(frozen=True)
class Bounds:
    """An estimate with its interval; None where it cannot be given."""

    estimate: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Divergence:
    """Proportions of diverged runs, and their difference with its 95 % interval; None where an arm has no runs."""

    treatment: float | None = None
    reference: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ArmSummary:
    """One arm in figures: runs, mean score with its 95 % interval, interquartile mean, diverged proportion.

    standing  the mean on the scale 0 = random, 1 = reachable; None where the metric has no such scale
    """

    n: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    iqm: float | None = None
    standing: float | None = None
    diverged: float | None = None


@dataclass(frozen=True)
class Answer:
    """Whether something holds of the arms: true, false, or None where the interval leaves it open; and in words."""

    holds: bool | None
    words: str


@dataclass(frozen=True)
class Control:
    """A control against the reference, at 95 %."""

    arm: str
    n: int
    interval: Bounds
    told_apart: bool


@dataclass(frozen=True)
class EffectDetails:
    """What the answer to a question rests on.

    better     which direction of the estimate is better
    intervals  level in percent -> the interval in natural orientation: treatment - reference, or their ratio
    answers    benefit, harm, equivalence, ..., whatever was asked
    """

    asks: str
    margin: float
    scale: str
    better: str
    method: str
    arms: Mapping[str, ArmSummary]
    intervals: Mapping[str, Bounds]
    answers: Mapping[str, Answer]
    probability_of_improvement: Bounds
    negative_control: Control | None
    positive_control: Control | None
    divergence: Divergence


@dataclass(frozen=True)
class ExactDetails:
    """What the verdict on an exact part rests on. `missed`: how many cases miss the tolerance."""

    statement: str
    tolerance: float
    rationale: str
    median_error: float | None
    missed: int
    counterexample: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class OverallDetails:
    """The outcome of each group of parts."""

    groups: Mapping[str, Outcome]


@dataclass(frozen=True)
class Judgement:
    """The answer to one question. None where there were too few runs to say, or where a field has no meaning.

    reason               one sentence for a reader
    estimate, low, high  treatment - reference (or treatment / reference), the interval at `level`
    n                    runs of the smaller of the two judged arms (exact parts: cases)
    diverged             proportion of diverged runs over both judged arms
    relative_p           p-value of the decision over the level it is taken at: 1 or less where one is taken; 0 where
                         nothing is left to chance, None where nothing is decided
    """

    outcome: Outcome
    reason: str
    details: EffectDetails | ExactDetails | OverallDetails | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    level: float | None = None
    n: int | None = None
    diverged: float | None = None
    relative_p: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A judgement with what it is about: one row of the table of verdicts.

    part    the part's name; "overall" for the claim's own
    margin  the smallest difference that matters, or an exact part's tolerance
    preset  and steps: of trained parts
    """

    claim: str
    part: str
    judgement: Judgement
    margin: float | None = None
    preset: Preset | None = None
    steps: int | None = None

    @property
    def outcome(self) -> Outcome:
        return self.judgement.outcome

    def row(self) -> dict[str, Any]:
        """The verdict as flat, JSON-able data."""
        judged = self.judgement
        return {
            "claim": self.claim,
            "part": self.part,
            "verdict": judged.outcome,
            "estimate": judged.estimate,
            "low": judged.low,
            "high": judged.high,
            "margin": self.margin,
            "n": judged.n,
            "diverged": judged.diverged,
            "preset": self.preset,
            "steps": self.steps,
            "reason": judged.reason,
            "details": {} if judged.details is None else asdict(judged.details),
        }
