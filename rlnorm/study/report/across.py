"""The same arms over several environments, as Agarwal et al. 2021 (arXiv:2108.13264) show them: shown, never judged.

Interquartile mean of all runs, chance that a run of the treatment beats one of the reference (the mean over
environments), and performance profiles: the fraction of runs whose score exceeds tau. Whole runs are resampled within
their environment; intervals are percentiles at 95 %. Verdicts rest on means, environment by environment (rule 2).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rlnorm import stats
from rlnorm.stats import Interval
from rlnorm.study.claim import Effect
from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.judge.results import ClaimResult, PartResult

RESAMPLES, SEED, TAUS = 1000, 0, 41
Runs = Sequence[np.ndarray]
"""Scores of one arm, (n,) for each environment."""


class Profile(NamedTuple):
    """Fraction of runs above each tau with its band, all (T,)."""

    taus: np.ndarray
    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Across:
    """Parts of a claim that ask the same of the same arms in different environments.

    improvement  chance that a run of the treatment beats one of the reference
    """

    parts: tuple[PartResult, ...]
    environments: tuple[str, ...]
    treatment: str
    reference: str
    own_rates: bool
    runs: Mapping[str, int]
    iqm: Mapping[str, Interval]
    profiles: Mapping[str, Profile]
    improvement: Interval


def across(result: ClaimResult) -> Iterator[Across]:
    """Every such group of at least two parts whose scores share the scale 0 = random, 1 = solved."""
    found: dict[str, list[PartResult]] = {}
    for part in result.parts:
        declared = result.claim.parts.get(part.name)
        if isinstance(declared, Effect) and _comparable(declared, part):
            key = repr((declared.metric, declared.arms, declared.question, bool(declared.rates)))
            found.setdefault(key, []).append(part)
    for parts in found.values():
        declared = result.claim.parts[parts[0].name]
        environments = tuple(str(_env(result, part)) for part in parts)
        if len(set(environments)) == len(parts) > 1 and isinstance(declared, Effect):
            yield _across(declared, parts, environments)


def _comparable(declared: Effect, part: PartResult) -> bool:
    metric = METRICS[declared.metric].metric if declared.metric in METRICS else None
    scaled = metric is not None and (metric.random, metric.reachable) == (0, 1) and not declared.points
    known = [arm.scores for arm in part.arms.values()]
    return scaled and declared.on_dqn and all(len(scores) > 1 and np.isfinite(scores).all() for scores in known)


def _env(result: ClaimResult, part: PartResult) -> object:
    declared = result.claim.parts[part.name]
    return declared.experiment.settings.get("env") if isinstance(declared, Effect) else None


def _across(declared: Effect, parts: Sequence[PartResult], environments: tuple[str, ...]) -> Across:
    question = declared.question
    arms = {name: [part.arms[name].scores for part in parts] for name in declared.arms}
    pooled = np.concatenate([scores for runs in arms.values() for scores in runs])
    taus = np.linspace(min(0.0, pooled.min()), max(1.0, pooled.max()), TAUS)
    return Across(
        tuple(parts),
        environments,
        question.treatment,
        question.reference,
        bool(declared.rates),
        {name: sum(map(len, runs)) for name, runs in arms.items()},
        {name: Interval(*(float(x) for x in _bootstrapped([runs], iqm))) for name, runs in arms.items()},
        {name: Profile(taus, *_bootstrapped([runs], lambda runs: profile(runs, taus))) for name, runs in arms.items()},
        Interval(*(float(x) for x in _bootstrapped([arms[question.treatment], arms[question.reference]], improvement))),
    )


def iqm(runs: Runs) -> np.ndarray:
    """(..., n) for each environment -> interquartile mean of all runs, (...)."""
    return stats.interquartile_mean(np.concatenate(runs, axis=-1))


def profile(runs: Runs, taus: np.ndarray) -> np.ndarray:
    """(..., n) for each environment -> fraction of runs above each tau, the mean over environments, (..., T)."""
    return np.mean([(each[..., None, :] > taus[:, None]).mean(-1) for each in runs], axis=0)


def improvement(treatment: Runs, reference: Runs) -> np.ndarray:
    """P(X > Y) + P(X = Y)/2 of a run of each arm, the mean over environments: (..., n), (..., m) -> (...)."""
    signs = [np.sign(x[..., :, None] - y[..., None, :]) for x, y in zip(treatment, reference, strict=True)]
    return np.mean([(each.mean((-1, -2)) + 1) / 2 for each in signs], axis=0)


def _bootstrapped(arms: Sequence[Runs], statistic: Callable[..., np.ndarray]) -> tuple[np.ndarray, ...]:
    """Estimate and both ends of its interval; runs are drawn anew within each arm and environment."""
    rng = np.random.default_rng(SEED)
    drawn = [[each[rng.integers(len(each), size=(RESAMPLES, len(each)))] for each in runs] for runs in arms]
    low, high = np.quantile(statistic(*drawn), [0.025, 0.975], axis=0)
    return statistic(*arms), low, high
