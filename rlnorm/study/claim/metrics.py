"""The scores that a part may name, and what each is made of."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rlnorm.study.claim.declare import Effect
from rlnorm.study.claim.question import Metric
from rlnorm.study.claim.scored import Records, Scored, carried, diverged_at, probed, series, summary_metric
from rlnorm.study.claim.supervised_metrics import SUPERVISED
from rlnorm.tasks.environments import SCALES


def return_auc(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """Area under the training-return curve: its mean over the budget, on the environment's scale (0 random, 1 solved).

    The curve is the mean return of the episodes that ended between two records; where none did, the last one stands,
    and before the first the random policy's. From divergence on it is 0. Only environments in `SCALES` have a scale.
    """
    scale = SCALES[settings["env"]]
    curve = scale.normalize(carried(series(records, "return", member), scale.random))
    curve[diverged_at(records, member) :] = 0.0
    return float(curve.mean())


def plain_return_auc(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """The same in plain returns, for environments without constants: there is no random policy's return to stand in.

    Before the first episode's end the first return stands, and from divergence on the worst that there was before (0
    where there was none).
    """
    until = diverged_at(records, member)
    values = series(records, "return", member)[:until]
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0
    curve = np.full(len(records), known.min())
    curve[:until] = carried(values, known[0])
    return float(curve.mean())


def learned(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """1 if the area under the training-return curve is a quarter of the way from random to solved or more, else 0."""
    return float(return_auc(records, settings, member) >= 0.25)


def final_return(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """Mean return of the greedy episodes at the last step; a diverged run's is the random policy's."""
    if diverged_at(records, member) < len(records) and settings["env"] in SCALES:
        return SCALES[settings["env"]].random
    return float(series(records, "final_return", member)[-1])


def fraction_of_width(found: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """The last hidden layer's value as a fraction of its width."""
    return found[-1] / settings["hidden"][-1]


def evenness(found: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """The smallest value of a layer over the largest; 0 where that is 0."""
    largest = found.max(0)
    return np.divide(found.min(0), largest, out=np.zeros_like(largest), where=largest > 0)


def of_largest_return(found: np.ndarray, settings: Mapping[str, Any]) -> np.ndarray:
    """Values above 0, as a fraction of the largest discounted return that rewards allow."""
    largest = settings["reward_scale"] * SCALES[settings["env"]].reward_max / (1 - settings["discount"])
    return np.maximum(found[0], 0) / largest


METRICS: Mapping[str, Scored] = {
    scored.metric.name: scored
    for scored in (
        Scored(Metric("return_auc", "higher", "normalized return", 0.0, 1.0), return_auc),
        Scored(Metric("plain_return_auc", "higher", "return"), plain_return_auc),
        Scored(Metric("learned", "higher", "fraction of rates at which agents learn", 0.0, 1.0), learned),
        Scored(Metric("final_return", "higher", "greedy return"), final_return),
        *SUPERVISED,
        probed(
            Metric("dormant", "lower", "fraction of hidden units that are dormant, mean over layers", 1.0, 0.0),
            "dormant",
            lambda found, _: found.mean(0),
        ),
        probed(
            Metric("rank", "higher", "effective rank of the last hidden layer, as a fraction of its units", 0.0, 1.0),
            "rank",
            fraction_of_width,
        ),
        probed(
            Metric("weight_norm", "lower", "length of all weights"),
            "weight_norm",
            lambda found, _: np.sqrt((found**2).sum(0)),
        ),
        probed(
            Metric("gradient_evenness", "higher", "the smallest gradient norm of a layer over the largest"),
            "gradient_norm",
            evenness,
        ),
        probed(
            Metric("overestimation", "lower", "Q above the return that came, as a fraction of the largest", 1.0, 0.0),
            "overestimation",
            of_largest_return,
        ),
        probed(
            Metric("mean_gap", "lower", "gap of batch to running means in standard deviations, worst layer"),
            "mean_gap",
            lambda found, _: found.max(0),
        ),
        probed(
            Metric("spread_gap", "lower", "gap of batch to running standard deviations in nats, worst layer"),
            "spread_gap",
            lambda found, _: found.max(0),
        ),
        probed(
            Metric("observation_drift", "lower", "move of the observations' mean in standard deviations"),
            "mean_drift",
            lambda found, _: found[0],
        ),
    )
}


def metric_of(part: Effect, name: str, steps: int) -> Metric:
    """What a run's score in a part is, for runs of that budget."""
    scored = METRICS[name]
    metric = replace(scored.metric, random=float(steps), reachable=0.0) if scored.of_budget else scored.metric
    return summary_metric(metric, part.summary if part.points else "mean")
