"""Scores of DQN runs: returns, what was found and when, what learning comes to apart from finding, what probes saw.

Settings are those of a run, defaults filled in. Records of other engines and older ones have no `beyond` and no
`first_success`: such a run has been beyond the limit at no time, and its first success is not known.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlnorm.study.claim.question import Metric
from rlnorm.study.claim.scored import Records, Scored, carried, diverged_at, non_finite_at, probed, series
from rlnorm.tasks.environments import SCALES


def excursion(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """The fraction of a run's time that |Q| was beyond the limit, before the run diverged if it did.

    Records without an update count as the last one that has some; 0 where there was no time before.
    """
    beyond = carried(series(records, "beyond", member), 0.0)[: diverged_at(records, member)]
    return float(beyond.mean()) if len(beyond) else 0.0


def normalized_curve(records: Records, settings: Mapping[str, Any], member: int) -> np.ndarray:
    """Training returns on the environment's scale (0 random, 1 solved), (T,).

    A value is the mean return of the episodes that ended between two records. Where none did, the last one stands, and
    before the first the random policy's. Returns of runs beyond the limit of |Q| are scored as they came; from where a
    run is non-finite on the curve is 0. Only environments in `SCALES` have a scale.
    """
    scale = SCALES[settings["env"]]
    curve = scale.normalize(carried(series(records, "return", member), scale.random))
    curve[non_finite_at(records, member) :] = 0.0
    return curve


def return_auc(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """Area under the training-return curve: the mean of `normalized_curve` over the budget."""
    return float(normalized_curve(records, settings, member).mean())


def return_auc_after_assistance(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """The same over what comes after the assisted part (`assisted`) of the budget, or over all of it without one.

    The episodes that a rule drives are in no return. Where nothing comes after that part, the last record counts.
    """
    steps = series(records, "step", member)
    after = steps > settings.get("assisted", 0.0) * steps[-1]
    after[-1] = True
    return float(normalized_curve(records, settings, member)[after].mean())


def final_score(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """The greedy return at the end, on the environment's scale; 0 for a run that is non-finite.

    It is what agents on a fixed replay set (`offline`) are scored by: they have no training returns.
    """
    if non_finite_at(records, member) < len(records):
        return 0.0
    final = series(records, "final_return", member)[-1:]
    return float(SCALES[settings["env"]].normalize(final)[0])


def looked_for(records: Records, settings: Mapping[str, Any]) -> bool:
    """Whether records say if an episode met the goal: older ones do not, and agents of a fixed replay set play none."""
    return settings.get("env") in SCALES and not settings.get("offline") and "first_success" in records[-1]


def first_success(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """Environment steps until an episode first met the goal (`Scale.success`); the whole budget where none did.

    The score is a step count: the full budget is worst, 0 is best. `found` tells a success at the last step from none.
    """
    step = series(records, "first_success", member)[-1]
    return float(records[-1]["step"] if np.isnan(step) else step)


def found(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """1 if an episode ever met the goal, else 0."""
    return float(not np.isnan(series(records, "first_success", member)[-1]))


def plain_return_auc(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """The same in plain returns, for environments without constants: there is no random policy's return to stand in.

    Before the first episode's end the first return stands, and from where a run is non-finite on the worst that it had.
    NaN where it had none: a run without a return has no score.
    """
    until = non_finite_at(records, member)
    values = series(records, "return", member)[:until]
    known = values[~np.isnan(values)]
    if not len(known):
        return float("nan")
    curve = np.full(len(records), known.min())
    curve[:until] = carried(values, known[0])
    return float(curve.mean())


def learned(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """1 if the area under the training-return curve is a quarter of the way from random to solved or more, else 0."""
    return float(return_auc(records, settings, member) >= 0.25)


def final_return(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """Mean return of the greedy episodes at the last step; a diverged run's is the random policy's."""
    if non_finite_at(records, member) < len(records) and settings["env"] in SCALES:
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
    largest = settings["reward_scale"] * SCALES[settings["env"]].return_max(settings["discount"])
    return np.maximum(found[0], 0) / largest


DQN: tuple[Scored, ...] = (
    Scored(Metric("return_auc", "higher", "normalized return", 0.0, 1.0), return_auc),
    Scored(Metric("plain_return_auc", "higher", "return"), plain_return_auc),
    Scored(Metric("learned", "higher", "fraction of rates at which agents learn", 0.0, 1.0), learned),
    Scored(Metric("final_return", "higher", "greedy return"), final_return),
    Scored(
        Metric("return_auc_after_assistance", "higher", "normalized return after the assisted part", 0.0, 1.0),
        return_auc_after_assistance,
    ),
    Scored(Metric("final_score", "higher", "normalized greedy return", 0.0, 1.0), final_score),
    Scored(Metric("first_success", "lower", "environment steps to the first success"), first_success, of_budget=True),
    Scored(Metric("found", "higher", "proportion of runs that met the goal", 0.0, 1.0), found),
    Scored(Metric("excursion", "lower", "fraction of time beyond the limit of Q"), excursion),
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
"""Every metric of DQN runs."""
