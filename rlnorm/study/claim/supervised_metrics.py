"""Scores of supervised runs: accuracy, time to a threshold, steadiness, and what probes saw."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from rlnorm.study.claim.question import Metric
from rlnorm.study.claim.scored import Records, Score, Scored, diverged_at, probed, series

Settings = Mapping[str, Any]
THRESHOLDS = (50, 70, 80, 90, 95)  # percent of the test set
AT_START = slice(0, 1)
AT_END = slice(-1, None)
EVERY_TIME = slice(0, None)


def chance(settings: Settings) -> float:
    """Accuracy of guessing; of regression, the variance explained by the mean."""
    from rlnorm.tasks.datasets import dataset  # imports torch and scikit-learn, which claims of algebra do without

    classes = dataset(settings["dataset"], settings["data_seed"]).classes
    return 1 / classes if classes else 0.0


def last(key: str) -> Score:
    """The last record's value; a diverged run's is chance."""

    def score(records: Records, settings: Settings, member: int) -> float:
        lost = diverged_at(records, member) < len(records)
        return chance(settings) if lost else float(series(records[-1:], key, member)[0])

    return score


def explained(records: Records, settings: Settings, member: int) -> float:
    """Fraction of the variance of test targets that is explained at the last step; 0 where the mean does better."""
    if diverged_at(records, member) < len(records):
        return 0.0
    return float(np.clip(1 - series(records[-1:], "test_loss", member)[0], 0, 1))


def gap(records: Records, settings: Settings, member: int) -> float:
    """Training less test accuracy at the last step; the largest there can be for a diverged run."""
    if diverged_at(records, member) < len(records):
        return 1 - chance(settings)
    train, test = (series(records[-1:], key, member)[0] for key in ("train_accuracy", "test_accuracy"))
    return float(train - test)


def mode_gap(records: Records, settings: Settings, member: int) -> float:
    """Distance of the test accuracies in eval and in batch mode, mean over records; 1 from divergence on."""
    until = diverged_at(records, member)
    values = np.abs(series(records, "test_accuracy", member) - series(records, "test_accuracy_batch", member))
    values[until:] = 1.0
    return float(values.mean())


def updates_to(percent: int) -> Score:
    """Updates until the test accuracy first reaches a threshold, by a line between records; the budget if never.

    The mean over runs is the restricted mean of the time to the threshold, with the budget as horizon, and runs that
    never reach it stay in it (Royston & Parmar 2013, BMC Med. Res. Methodol. 13:152).
    """

    def score(records: Records, settings: Settings, member: int) -> float:
        values = np.append(chance(settings), series(records, "test_accuracy", member))
        steps = np.append(0, series(records, "step", member))
        reached = values >= percent / 100
        reached[diverged_at(records, member) + 1 :] = False
        if not reached.any():
            return float(steps[-1])
        i = int(reached.argmax())
        if i == 0:
            return 1.0
        part = (percent / 100 - values[i - 1]) / (values[i] - values[i - 1])
        return float(max(steps[i - 1] + part * (steps[i] - steps[i - 1]), 1.0))

    return score


def reaches(percent: int) -> Score:
    """1 if the test accuracy reaches a threshold before the run ends or diverges, else 0."""

    def score(records: Records, settings: Settings, member: int) -> float:
        values = series(records, "test_accuracy", member)[: diverged_at(records, member)]
        return float((values >= percent / 100).any())

    return score


def sound(records: Records, settings: Settings, member: int) -> float:
    """1 if the run never diverged, else 0."""
    return float(diverged_at(records, member) == len(records))


def kept_learning(records: Records, settings: Settings, member: int) -> float:
    """1 if the run never diverged and its last training loss is below that of guessing, by a tenth, else 0."""
    guessing = np.log(1 / chance(settings))
    return sound(records, settings, member) * float(series(records[-1:], "loss", member)[0] < 0.9 * guessing)


def roughness(records: Records, settings: Settings, member: int) -> float:
    """How much the training loss rises from record to record, mean; guessing's loss once diverged."""
    loss = series(records, "loss", member)
    loss[diverged_at(records, member) :] = np.nan
    rises = np.maximum(np.diff(loss), 0)
    return float(np.where(np.isnan(rises), np.log(1 / chance(settings)), rises).mean())


def relative_roughness(records: Records, settings: Settings, member: int) -> float:
    """The same of the loss's logarithm; 1 nat from divergence on."""
    loss = series(records, "loss", member) + 1e-3
    loss[diverged_at(records, member) :] = np.nan
    rises = np.maximum(np.diff(np.log(loss)), 0)
    return float(np.where(np.isnan(rises), 1.0, rises).mean())


def log_train_loss(records: Records, settings: Settings, member: int) -> float:
    """Natural logarithm of the last record's training loss; a diverged run's is that of guessing."""
    if diverged_at(records, member) < len(records):
        return float(np.log(-np.log(chance(settings) or np.exp(-1))))
    return float(np.log(series(records[-1:], "train_loss", member)[0] + 1e-6))


def fading(found: np.ndarray, settings: Settings) -> np.ndarray:
    """|log10| of the first layer's value over the last hidden one's: 0 where neither vanishes nor explodes."""
    with np.errstate(divide="ignore"):
        return np.abs(np.log10(found[0]) - np.log10(found[-2]))


def deepest(found: np.ndarray, settings: Settings) -> np.ndarray:
    """The value at the last layer."""
    return found[-1]


def last_activation(found: np.ndarray, settings: Settings) -> np.ndarray:
    """The value at the last hidden layer's activation: activations, one per hidden layer, stand before the weights."""
    return found[len(settings["hidden"]) - 1]


def middle(found: np.ndarray, settings: Settings) -> np.ndarray:
    """The mean over layers."""
    return found.mean(0)


def only(found: np.ndarray, settings: Settings) -> np.ndarray:
    """The value of the whole network."""
    return found[-1]


def growth(found: np.ndarray, settings: Settings) -> np.ndarray:
    """Decades by which the value grows from the second layer to the last, by a line of least squares."""
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.log10(found[-len(settings["hidden"]) :])
        at = np.arange(len(values)) - (len(values) - 1) / 2
        return (at @ values) / (at @ at) * (len(values) - 1)


def reestimation_gap(records: Records, settings: Settings, member: int) -> float:
    """Distance of the test accuracy from that with statistics taken anew, at the last step; 1 for a diverged run."""
    if diverged_at(records, member) < len(records):
        return 1.0
    plain, anew = (series(records[-1:], key, member)[0] for key in ("test_accuracy", "test_accuracy_reestimated"))
    return float(abs(anew - plain))


def eval_gain(records: Records, settings: Settings, member: int) -> float:
    """Test accuracy in eval mode less that in batch mode, mean over records; -1 from divergence on."""
    values = series(records, "test_accuracy", member) - series(records, "test_accuracy_batch", member)
    values[diverged_at(records, member) :] = -1.0
    return float(values.mean())


def between(low: Scored, high: Scored) -> Score:
    """The second score less the first."""
    return lambda *run: high.score(*run) - low.score(*run)


LOSS_LOW = probed(Metric("loss_fall", "higher", "least change of the loss along the gradient"), "loss_low", only)
LOSS_HIGH = probed(Metric("loss_top", "lower", "largest change of the loss along the gradient"), "loss_high", only)

SUPERVISED: tuple[Scored, ...] = (
    Scored(Metric("accuracy", "higher", "test accuracy", 0.1, 1.0), last("test_accuracy")),
    Scored(
        Metric("accuracy_reestimated", "higher", "test accuracy with statistics taken anew", 0.1, 1.0),
        last("test_accuracy_reestimated"),
    ),
    Scored(Metric("explained", "higher", "fraction of the test variance explained", 0.0, 1.0), explained),
    Scored(Metric("gap", "lower", "training less test accuracy"), gap),
    Scored(Metric("mode_gap", "lower", "gap of test accuracy between eval and batch mode"), mode_gap),
    *(
        Scored(Metric(f"updates_to_{x}", "lower", f"updates to {x} % test accuracy"), updates_to(x), of_budget=True)
        for x in THRESHOLDS
    ),
    *(
        Scored(Metric(f"reaches_{x}", "higher", f"fraction that reaches {x} % test accuracy", 0.0, 1.0), reaches(x))
        for x in THRESHOLDS
    ),
    Scored(Metric("sound", "higher", "proportion of runs that did not diverge", 0.0, 1.0), sound),
    Scored(
        Metric("kept_learning", "higher", "proportion of runs that end better than guessing", 0.0, 1.0), kept_learning
    ),
    Scored(Metric("roughness", "lower", "rise of the training loss from record to record"), roughness),
    Scored(
        Metric("relative_roughness", "lower", "rise of the training loss's logarithm, nats a record"),
        relative_roughness,
    ),
    Scored(Metric("train_loss", "lower", "training loss at the end, nats of its value"), log_train_loss),
    probed(
        Metric("gradient_fading_at_start", "lower", "decades between first and last hidden layer's gradient, at start"),
        "gradient_norm",
        fading,
        AT_START,
    ),
    probed(
        Metric("input_drift", "lower", "move of the last layer's input means, standard deviations"),
        "mean_drift",
        deepest,
    ),
    probed(
        Metric("gradient_change", "lower", "change of the last layer's gradient by the layers below", None, None),
        "gradient_change",
        deepest,
        EVERY_TIME,
    ),
    probed(
        Metric("gradient_turn", "lower", "change of the gradient along itself, fraction of its length"),
        "gradient_turn",
        only,
        EVERY_TIME,
    ),
    probed(
        Metric("sharpness", "lower", "log10 of the Hessian's largest eigenvalue"),
        "hessian_top",
        lambda found, _: np.log10(np.maximum(found[-1], 1e-6)),
        EVERY_TIME,
    ),
    probed(
        Metric("mean_spread", "lower", "spread of batch means, standard deviations"), "mean_spread", middle, EVERY_TIME
    ),
    probed(
        Metric("output_spread", "lower", "spread of an example's outputs over batches, standard deviations"),
        "output_spread",
        only,
    ),
    probed(
        Metric("linearity", "higher", "fraction of the outputs' variance that a linear map explains", 0.0, 1.0),
        "linearity",
        only,
    ),
    probed(
        Metric("identity_distance", "lower", "distance of a norm's outputs from its inputs, fraction of these"),
        "identity_distance",
        middle,
    ),
    probed(
        Metric("linearity_at_end", "higher", "fraction of the outputs' variance that a linear map explains", 0.0, 1.0),
        "linearity",
        only,
        AT_END,
    ),
    probed(
        Metric("drift_growth", "lower", "growth of the input means' move from the second layer to the last, decades"),
        "mean_drift",
        growth,
    ),
    probed(
        Metric("gradient_change_growth", "lower", "growth of the gradient's change from second layer to last, decades"),
        "gradient_change",
        growth,
        EVERY_TIME,
    ),
    Scored(
        Metric("loss_variation", "lower", "range of the loss along the gradient, nats"),
        between(LOSS_LOW, LOSS_HIGH),
        probe="loss_high",
    ),
    probed(
        Metric("last_mean_spread", "lower", "spread of batch means of the last layer's inputs, standard deviations"),
        "mean_spread",
        deepest,
    ),
    Scored(
        Metric("reestimation_gap", "lower", "gap of test accuracy to that with statistics taken anew"), reestimation_gap
    ),
    Scored(Metric("eval_gain", "higher", "test accuracy in eval less that in batch mode"), eval_gain),
    probed(
        Metric("activation_drift", "lower", "move of the means that enter the last activation, standard deviations"),
        "mean_drift",
        last_activation,
    ),
)
"""Every metric of supervised runs."""
