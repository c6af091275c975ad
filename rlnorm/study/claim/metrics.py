"""Scores of one run, from its records.

A run is one member of a unit. A diverged run scores as random from the record on at which it was found (rule 2), so its
numbers after that are never read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rlnorm import stats
from rlnorm.study.claim.declare import Record
from rlnorm.study.claim.question import Metric
from rlnorm.tasks.environments import SCALES

Records = Sequence[Record]


PROBES = "norm/"
Score = Callable[[Records, Mapping[str, Any], int], float]


def unfold(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its probes beside the rest, each under the name of its tag: norm/<layer>/<probe>."""
    found = record.get("probes", {}).items()
    tags = {f"{PROBES}{layer}/{name}": values for layer, probes in found for name, values in probes.items()}
    return {**record, **tags}


def series(records: Records, key: str, member: int) -> np.ndarray:
    """One member's values over the records, (T,); NaN where there is none."""
    values = [record.get(key) for record in records]
    return np.array([v[member] if isinstance(v, list) else v for v in values], dtype=float)


def diverged_at(records: Records, member: int) -> int:
    """Index of the first record at which the member had diverged; the number of records if it never did."""
    flags = series(records, "diverged", member) > 0
    return int(flags.argmax()) if flags.any() else len(records)


def carried(values: np.ndarray, start: float) -> np.ndarray:
    """NaNs replaced by the last value before them, or by `start`; (T,)."""
    return stats.forward_filled(np.concatenate([[start], values]))[1:]


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


def accuracy(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """Test accuracy at the last step; a diverged run's is chance."""
    if diverged_at(records, member) < len(records):
        return 0.1
    return float(series(records, "test_accuracy", member)[-1])


def updates_to(threshold: float) -> Score:
    """Updates until the test accuracy first reaches `threshold`; the whole budget where it never does."""

    def score(records: Records, settings: Mapping[str, Any], member: int) -> float:
        reached = series(records, "test_accuracy", member) >= threshold
        reached[diverged_at(records, member) :] = False
        return float(records[int(reached.argmax()) if reached.any() else -1]["step"])

    return score


def sound(records: Records, settings: Mapping[str, Any], member: int) -> float:
    """1 if the run never diverged, else 0."""
    return float(diverged_at(records, member) == len(records))


@dataclass(frozen=True)
class Scored:
    """A metric and how a run's records give it.

    of_budget: scores are steps, so that the whole budget (never reached) is the floor and no step the ceiling.
    probe: the one whose values it is made of; None: it is made of what all records hold.
    """

    metric: Metric
    score: Score
    of_budget: bool = False
    probe: str | None = None

    def within(self, steps: int) -> Metric:
        """The metric for runs of that budget."""
        return replace(self.metric, random=float(steps), reachable=0.0) if self.of_budget else self.metric


def probed(metric: Metric, probe: str, read: Callable[[np.ndarray, Mapping[str, Any]], np.ndarray]) -> Scored:
    """A metric that is the mean over training of what `read` makes of a probe and the settings.

    `read` is given its values at every layer that has it, in the order of the network: (layers, times) -> (times,).
    Left out are what is not finite and the first time: it comes with the first update, before anything was learned and
    while running statistics are those that a norm is made with. From divergence on a run has the metric's random value,
    or the worst of its own where there is none (0 where it has none either).
    """
    worst = np.max if metric.better == "lower" else np.min

    def score(records: Records, settings: Mapping[str, Any], member: int) -> float:
        at = [i for i, record in enumerate(records) if "probes" in record][1:]
        rows = [unfold(records[i]) for i in at]
        tags = dict.fromkeys(tag for row in rows for tag in row if tag.startswith(PROBES) and tag.endswith(f"/{probe}"))
        found = np.array([series(rows, tag, member) for tag in tags])
        values = read(found, settings) if tags else np.full(len(at), np.nan)
        sound = np.array(at) < diverged_at(records, member)
        known = values[sound & np.isfinite(values)]
        lost = metric.random if metric.random is not None else worst(known) if len(known) else 0.0
        return float(np.append(known, np.full((~sound).sum(), lost)).mean()) if len(known) else float(lost)

    return Scored(metric, score, probe=probe)


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
        Scored(Metric("accuracy", "higher", "test accuracy", 0.1, 1.0), accuracy),
        Scored(Metric("updates_to_90", "lower", "updates to 90 % test accuracy"), updates_to(0.9), of_budget=True),
        Scored(Metric("sound", "higher", "proportion of runs that did not diverge", 0.0, 1.0), sound),
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
