"""Two arms' scores under one question: how much better the treatment is, and whether an effect could have shown.

Scores are turned in `Evidence.benefit` so that more is better, and results are turned back in `Evidence.natural`;
nowhere else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from typing import Literal

import numpy as np
from scipy import optimize

from rlnorm import stats
from rlnorm.errors import raise_if_any
from rlnorm.study.claim import FEWEST
from rlnorm.study.claim.question import Metric, Question
from rlnorm.study.judge.verdict import ArmSummary, Bounds, Control, Divergence, Sample

HEADROOM = (0.25, 0.9)
"""Where the reference must stand for "no effect" to mean something: 0 = random, 1 = reachable."""
UNKNOWN = stats.Interval(np.nan, np.nan, np.nan)
Zone = tuple[float, float, float]


@dataclass(frozen=True)
class Arm:
    """One arm's runs: its `Sample` by ascending scores, (n,)."""

    name: str
    scores: np.ndarray = field(default_factory=lambda: np.zeros(0))
    diverged: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    seeds: np.ndarray | None = None
    second: np.ndarray | None = None

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
        second = np.zeros(len(scores)) if sample.second is None else sample.second
        order = np.lexsort((second, scores))
        rest = (None if each is None else np.asarray(each)[order] for each in (sample.seeds, sample.second))
        return cls(name, scores[order], diverged[order], *rest)

    def both(self) -> np.ndarray:
        """Scores by both metrics, (n, 2). Raises ValueError where there is no second one."""
        if self.second is None:
            raise ValueError(f"arm {self.name!r} has no scores by a second metric")
        return np.stack([self.scores, self.second], 1)


@dataclass(frozen=True)
class Benefit:
    """How much better than the reference an arm is. at: level -> interval; NaN where it cannot be said."""

    at: Callable[[float], stats.Interval]

    @classmethod
    def of(cls, estimate: stats.Estimate) -> "Benefit":
        """The benefit that an estimate is of."""
        return cls(cache(lambda level: stats.Interval(float(estimate.value), *map(float, estimate.interval(level)))))

    def __getitem__(self, level: float) -> stats.Interval:
        return self.at(level)

    def relative_p(self, decided: Callable[[stats.Interval], bool], level: float) -> float:
        """p-value of a decision that the interval at `level` allows, over the p-value that the level stands for.

        It is the p-value of the highest level whose interval still allows the decision.
        """
        allowed, least = (1 - level) / 2, 1e-12
        if decided(self.at(1 - 2 * least)):
            return least / allowed

        def undecided(log_p: float) -> float:
            return 0.5 - decided(self.at(1 - 2 * float(np.exp(log_p))))

        # Without `full_output` it returns the root alone.
        log_p: float = optimize.bisect(undecided, np.log(least), np.log(allowed), xtol=1e-3)  # pyright: ignore
        return float(np.exp(log_p)) / allowed


NO_BENEFIT = Benefit(lambda _: UNKNOWN)


@dataclass(frozen=True)
class Evidence:
    """A question with the arms it is about. `zone`: the worse margin, no effect and the better margin, as benefits."""

    question: Question
    metric: Metric
    seed: int
    zone: Zone
    treatment: Arm
    reference: Arm
    negative: Arm | None
    positive: Arm | None
    second_metric: Metric | None = None

    @classmethod
    def of(
        cls,
        question: Question,
        samples: Mapping[str, Sample],
        metric: Metric,
        seed: int,
        second_metric: Metric | None = None,
    ) -> "Evidence":
        """The evidence in `samples`; an arm that they lack has no runs. Raises ConfigError for a meaningless margin."""
        raise_if_any(question.margin_errors())
        arms = {name: Arm.of(name, sample, metric) for name, sample in samples.items()}
        treatment, reference = (arms.get(name) or Arm(name) for name in (question.treatment, question.reference))
        controls = (question.negative_control, question.positive_control)
        negative, positive = (None if name is None else arms.get(name) or Arm(name) for name in controls)
        margin = question.margin
        zone = (1 / margin, 1.0, margin) if question.is_factor else (-margin, 0.0, margin)
        return cls(question, metric, seed, zone, treatment, reference, negative, positive, second_metric)

    @property
    def is_ratio(self) -> bool:
        return self.question.is_factor

    @property
    def proportions(self) -> bool:
        """Whether the difference of two proportions is asked for."""
        return self.metric.binary and self.question.scale == "difference" and not self.question.paired

    def best_first(self, arm: Arm) -> tuple[Arm, Arm]:
        """The arm and the reference, first the one that scores higher if the arm is the better one."""
        return (arm, self.reference) if self.metric.better == "higher" else (self.reference, arm)

    def runs(self, arm: Arm) -> int:
        """How many runs of an arm are compared: where runs are paired, those whose seed the reference has too."""
        both = self.question.paired and arm.n and self.reference.n
        return len(paired(arm, self.reference)) if both else arm.n

    def benefit(self, arm: Arm) -> Benefit:
        """How much better than the reference the arm is."""
        if arm.name not in self._benefits:
            self._benefits[arm.name] = self._benefit(arm)
        return self._benefits[arm.name]

    @cached_property
    def _benefits(self) -> dict[str, Benefit]:
        """By arm, those that were asked for."""
        return {}

    def _benefit(self, arm: Arm) -> Benefit:
        high, low = self.best_first(arm)
        if not (high.n and low.n):
            return NO_BENEFIT
        if self.proportions:
            counts = int(high.scores.sum()), high.n, int(low.scores.sum()), low.n
            return Benefit(partial(stats.proportion_difference, *counts))
        found = self.estimate(arm)
        return NO_BENEFIT if found is None else Benefit.of(found)

    def estimate(self, arm: Arm) -> stats.Estimate | None:
        """The estimate of an arm's benefit on the question's scale; None where there is none."""
        high, low = self.best_first(arm)
        if not (high.n and low.n):
            return None
        rng, sign = np.random.default_rng(self.seed), 1 if self.metric.better == "higher" else -1
        if self.question.scale == "spread":
            varied = min(np.ptp(arm.scores), np.ptp(self.reference.scores)) > 0
            return stats.spread_ratio(self.reference.scores, arm.scores, rng) if varied else None
        if self.question.scale == "ratio":
            return stats.ratio(high.scores, low.scores, rng) if min(high.scores[0], low.scores[0]) > 0 else None
        if self.question.scale == "standardized":
            assert self.second_metric is not None
            signs = np.array([sign, 1 if self.second_metric.better == "higher" else -1])
            x, y = signs * arm.both(), signs * self.reference.both()
            varied = min(len(x), len(y)) > 1 and min(*np.ptp(x, axis=0), *np.ptp(y, axis=0)) > 0
            return stats.effect_difference(x, y, rng) if varied else None
        if self.question.paired:
            gains = np.sort(sign * paired(arm, self.reference))
            return stats.mean(gains, rng) if len(gains) else None
        return stats.difference(np.sort(sign * arm.scores), np.sort(sign * self.reference.scores), rng)

    def natural(self, benefit: stats.Interval) -> stats.Interval:
        """A benefit as treatment - reference, or treatment / reference."""
        if better(self.question, self.metric) == "higher":
            return benefit
        if self.is_ratio:
            return stats.Interval(1 / benefit.estimate, 1 / benefit.high, 1 / benefit.low)
        return stats.Interval(-benefit.estimate, -benefit.high, -benefit.low)

    def improvement(self) -> stats.Interval:
        """P(a run of the treatment is better than one of the reference)."""
        high, low = self.best_first(self.treatment)
        return stats.probability_of_improvement(high.scores, low.scores) if high.n and low.n else UNKNOWN

    def contrast(self, control: Arm | None) -> Control | None:
        """A control against the reference."""
        if control is None:
            return None
        interval = bounds(self.natural(self.benefit(control)[0.95]))
        return Control(control.name, control.n, interval, self._untold(control) is None)

    def _untold(self, control: Arm) -> str | None:
        """Why a control is not told apart from the reference, with no more runs than the treatment; None if it is."""
        runs, most = self.runs(control), self.runs(self.treatment)
        if not FEWEST <= runs <= most:
            return f"{runs} runs where {FEWEST} to {most} are needed"
        interval, nothing = self.benefit(control)[0.95], self.zone[1]
        if control is self.negative:
            return None if interval.high < nothing else f"not seen to be worse than {self.reference.name}"
        return None if interval.low > nothing else f"not seen to be better than {self.reference.name}"

    def insensitive_because(self) -> str | None:
        """Why an effect could not have shown; None where it could."""
        name = self.reference.name
        standing = self.metric.standing(float(self.reference.scores.mean()))
        low, high = HEADROOM
        if standing is not None and standing < low:
            return f"floor, {name} stands at {standing:.2f} of what is reachable and {low} is needed to see an effect"
        if standing is not None and standing > high:
            return f"ceiling, {name} stands at {standing:.2f} of what is reachable, above {high}, and has no headroom"
        for control in (self.negative, self.positive):
            if control is not None and (untold := self._untold(control)):
                return f"{control.name} is not told apart: {untold}"
        return None

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


def better(question: Question, metric: Metric) -> Literal["higher", "lower"]:
    """Which direction of an estimate is better: spreads shall be small; of two effects the first shall be larger."""
    if question.scale == "spread":
        return "lower"
    return "higher" if question.scale == "standardized" else metric.better


def paired(arm: Arm, reference: Arm) -> np.ndarray:
    """arm - reference for each seed that both have, (pairs,). Raises ValueError where an arm has no seeds."""
    if arm.seeds is None or reference.seeds is None:
        raise ValueError("runs are paired by seed, and an arm came without seeds")
    of = [dict(zip(each.seeds.tolist(), each.scores)) for each in (arm, reference)]  # pyright: ignore
    return np.array([of[0][seed] - of[1][seed] for seed in sorted(of[0].keys() & of[1].keys())])


def known(value: float) -> float | None:
    """The value, or None for NaN."""
    return None if np.isnan(value) else float(value)


def bounds(interval: stats.Interval) -> Bounds:
    """An interval with None for NaN."""
    return Bounds(known(interval.estimate), known(interval.low), known(interval.high))
