"""Two arms' scores under one question: how much better the treatment is, and whether an effect could have shown.

Scores are turned in `Evidence.benefit` so that more is better, and results are turned back in `Evidence.natural`;
nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from rlnorm import stats
from rlnorm.errors import raise_if_any
from rlnorm.study.claim.question import Metric, Question
from rlnorm.study.judge.verdict import ArmSummary, Bounds, Control, Divergence, Sample

FEWEST = 8
HEADROOM = (0.25, 0.9)
"""Where the reference must stand for "no effect" to mean something: 0 = random, 1 = reachable."""
UNKNOWN = stats.Interval(np.nan, np.nan, np.nan)
Benefit = Mapping[float, stats.Interval]
Zone = tuple[float, float, float]


@dataclass(frozen=True)
class Arm:
    """One arm's runs: scores in ascending order (n,), and which runs diverged (n,)."""

    name: str
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    diverged: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def n(self) -> int:
        return len(self.scores)

    @classmethod
    def of(cls, name: str, sample: Sample, metric: Metric) -> "Arm":
        """The arm of a sample. Raises ValueError for scores that are not (n,), not finite, or not 0 and 1 (binary)."""
        scores, diverged = np.asarray(sample.scores, dtype=float), np.asarray(sample.diverged, dtype=bool)
        if scores.ndim != 1 or scores.shape != diverged.shape:
            raise ValueError(
                f"arm {name!r}: scores and diverged must both be (n,), got {scores.shape}, {diverged.shape}"
            )
        if not np.isfinite(scores).all():
            raise ValueError(f"arm {name!r}: scores must be finite; a diverged run scores as random from then on")
        if metric.binary and not np.isin(scores, (0, 1)).all():
            raise ValueError(f"arm {name!r}: {metric.name} is binary, so each run scores 0 or 1, got {scores}")
        # Sorted, so that the order of the seeds has no say in which runs a resample draws.
        return cls(name, np.sort(scores), diverged)


@dataclass(frozen=True)
class Evidence:
    """A question with the arms it is about. `zone`: the worse margin, no effect and the better margin, as benefits."""

    question: Question
    metric: Metric
    seed: int
    zone: Zone
    treatment: Arm
    reference: Arm
    control: Arm | None

    @classmethod
    def of(cls, question: Question, samples: Mapping[str, Sample], metric: Metric, seed: int) -> "Evidence":
        """The evidence in `samples`; an arm that they lack has no runs. Raises ConfigError for a meaningless margin."""
        raise_if_any(question.margin_errors())
        arms = {name: Arm.of(name, sample, metric) for name, sample in samples.items()}
        treatment, reference = (arms.get(name) or Arm(name) for name in (question.treatment, question.reference))
        named = question.negative_control
        control = None if named is None else arms.get(named) or Arm(named)
        margin = question.margin
        zone = (1 / margin, 1.0, margin) if question.scale == "ratio" else (-margin, 0.0, margin)
        return cls(question, metric, seed, zone, treatment, reference, control)

    @property
    def is_ratio(self) -> bool:
        return self.question.scale == "ratio"

    @property
    def proportions(self) -> bool:
        """Whether the difference of two proportions is asked for."""
        return self.metric.binary and not self.is_ratio

    def best_first(self, arm: Arm) -> tuple[Arm, Arm]:
        """The arm and the reference, first the one that scores higher if the arm is the better one."""
        return (arm, self.reference) if self.metric.better == "higher" else (self.reference, arm)

    def benefit(self, arm: Arm) -> Benefit:
        """level -> how much better than the reference the arm is, at 95 and 90 %; NaN where it cannot be said."""
        levels, (high, low) = (0.95, 0.90), self.best_first(arm)
        if not (high.n and low.n) or (self.is_ratio and min(high.scores[0], low.scores[0]) <= 0):
            return dict.fromkeys(levels, UNKNOWN)
        if self.proportions:
            counts = int(high.scores.sum()), high.n, int(low.scores.sum()), low.n
            return {level: stats.proportion_difference(*counts, level) for level in levels}
        rng = np.random.default_rng(self.seed)
        if self.is_ratio:
            found = stats.ratio(high.scores, low.scores, rng)
        else:
            sign = 1 if self.metric.better == "higher" else -1
            found = stats.difference(np.sort(sign * arm.scores), np.sort(sign * self.reference.scores), rng)
        return {level: stats.Interval(float(found.value), *map(float, found.interval(level))) for level in levels}

    def natural(self, benefit: stats.Interval) -> stats.Interval:
        """A benefit as treatment - reference, or treatment / reference."""
        if self.metric.better == "higher":
            return benefit
        if self.is_ratio:
            return stats.Interval(1 / benefit.estimate, 1 / benefit.high, 1 / benefit.low)
        return stats.Interval(-benefit.estimate, -benefit.high, -benefit.low)

    def improvement(self) -> stats.Interval:
        """P(a run of the treatment is better than one of the reference)."""
        high, low = self.best_first(self.treatment)
        return stats.probability_of_improvement(high.scores, low.scores) if high.n and low.n else UNKNOWN

    def told_apart(self, control: Arm) -> bool:
        """Whether the negative control is seen to be worse than the reference, with no more runs than the treatment."""
        return FEWEST <= control.n <= self.treatment.n and bool(self.benefit(control)[0.95].high < self.zone[1])

    def contrast(self, control: Arm) -> Control:
        """The negative control against the reference."""
        interval = bounds(self.natural(self.benefit(control)[0.95]))
        return Control(control.name, control.n, interval, self.told_apart(control))

    def insensitive_because(self) -> str | None:
        """Why an effect could not have shown; None where it could."""
        name, control = self.reference.name, self.control
        standing = self.metric.standing(float(self.reference.scores.mean()))
        low, high = HEADROOM
        if standing is not None and standing < low:
            return f"floor, {name} stands at {standing:.2f} of what is reachable and {low} is needed to see an effect"
        if standing is not None and standing > high:
            return f"ceiling, {name} stands at {standing:.2f} of what is reachable, above {high}, and has no headroom"
        if control is None or self.told_apart(control):
            return None
        enough = FEWEST <= control.n <= self.treatment.n
        runs = f"{control.n} runs where {FEWEST} to {self.treatment.n} are needed"
        return f"{control.name} is not told apart: {f'not seen to be worse than {name}' if enough else runs}"

    def divergence(self) -> Divergence:
        """How many runs of each arm diverged."""
        treatment, reference = self.treatment, self.reference
        of_treatment, of_reference = (float(arm.diverged.mean()) if arm.n else None for arm in (treatment, reference))
        if of_treatment is None or of_reference is None:
            return Divergence(of_treatment, of_reference)
        counts = int(treatment.diverged.sum()), treatment.n, int(reference.diverged.sum()), reference.n
        return Divergence(of_treatment, of_reference, *stats.proportion_difference(*counts))

    def summary(self, arm: Arm) -> ArmSummary:
        """An arm in figures."""
        if arm.n == 0:
            return ArmSummary(0)
        if self.metric.binary:
            found = stats.wilson(int(arm.scores.sum()), arm.n)
        else:
            mean = stats.mean(arm.scores, np.random.default_rng(self.seed))
            found = stats.Interval(float(mean.value), *map(float, mean.interval(0.95)))
        return ArmSummary(
            n=arm.n,
            mean=found.estimate,
            low=known(found.low),
            high=known(found.high),
            iqm=stats.iqm(arm.scores),
            standing=self.metric.standing(found.estimate),
            diverged=float(arm.diverged.mean()),
        )


def known(value: float) -> float | None:
    """The value, or None for NaN."""
    return None if np.isnan(value) else float(value)


def bounds(interval: stats.Interval) -> Bounds:
    """An interval with None for NaN."""
    return Bounds(known(interval.estimate), known(interval.low), known(interval.high))
