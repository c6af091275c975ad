"""Scores of supervised runs by hand, on records made up for it."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnorm.study.claim import Effect, Question, supervised_experiment
from rlnorm.study.claim.metrics import METRICS, metric_of
from rlnorm.study.claim.supervised_metrics import THRESHOLDS, chance, updates_to

DIGITS = {"dataset": "digits", "data_seed": 0}
REGRESSION = {"dataset": "teacher", "data_seed": 0}
CHANCE = 0.1
LOST = (False, False, True, True)


def records(diverged: tuple[bool, ...] = (), **values: Sequence[float | None]) -> list[dict[str, Any]]:
    """One member's records, ten updates apart; a second member, diverged from the start, is beside to be mixed up with.

    What is None is in no record of that time.
    """
    times = len(next(iter(values.values())))
    flags = diverged or (False,) * times
    return [
        {"step": 10 * (i + 1), "diverged": [flags[i], True]}
        | {key: [value, -1e9] for key, each in values.items() if (value := each[i]) is not None}
        for i in range(times)
    ]


def score(metric: str, rows: list[dict[str, Any]], settings: dict[str, Any] = DIGITS) -> float:
    return METRICS[metric].score(rows, settings, 0)


def test_chance_is_one_class_of_many_and_none_of_the_variance():
    assert chance(DIGITS) == CHANCE
    assert chance({**DIGITS, "dataset": "spirals"}) == 0.5
    assert chance(REGRESSION) == 0.0


@pytest.mark.parametrize(
    ("metric", "key"), [("accuracy", "test_accuracy"), ("accuracy_reestimated", "test_accuracy_reestimated")]
)
def test_accuracies_are_the_last_never_the_best_and_chance_after_divergence(metric: str, key: str):
    assert score(metric, records((), **{key: [0.2, 0.9, 0.7]})) == 0.7
    assert score(metric, records((False, True, True), **{key: [0.9, 0.9, 0.9]})) == CHANCE


def test_explained_is_what_the_loss_leaves_of_the_variance_and_never_below_the_mean():
    assert score("explained", records(test_loss=[0.9, 0.25]), REGRESSION) == 0.75
    assert score("explained", records(test_loss=[0.9, 1.7]), REGRESSION) == 0.0
    assert score("explained", records((False, True), test_loss=[0.1, 0.1]), REGRESSION) == 0.0


def test_the_gap_is_of_the_last_record_and_as_large_as_can_be_of_a_diverged_run():
    kept = {"train_accuracy": [0.5, 1.0], "test_accuracy": [0.5, 0.75]}
    assert score("gap", records((), **kept)) == 0.25
    assert score("gap", records((False, True), **kept)) == 1 - CHANCE


def test_the_gap_of_modes_is_a_mean_over_records_without_a_sign():
    kept = {"test_accuracy": [0.5, 0.75, 0.9, 0.9], "test_accuracy_batch": [0.75, 0.5, 0.9, 0.9]}
    assert score("mode_gap", records((), **kept)) == pytest.approx((0.25 + 0.25) / 4)
    assert score("mode_gap", records(LOST, **kept)) == pytest.approx((0.25 + 0.25 + 1 + 1) / 4)


class TestUpdatesTo:
    def to(self, *accuracies: float, diverged: tuple[bool, ...] = (), percent: int = 90) -> float:
        return score(f"updates_to_{percent}", records(diverged, test_accuracy=list(accuracies)))

    def test_a_line_joins_the_records_and_begins_at_chance(self):
        assert self.to(0.5, 0.7, percent=50) == 10
        assert self.to(0.5, 0.9, percent=70) == pytest.approx(15)
        assert self.to(0.9, 0.9, percent=50) == pytest.approx(10 * (0.5 - CHANCE) / (0.9 - CHANCE))

    def test_the_first_reach_counts_even_if_lost_again(self):
        assert self.to(0.5, 0.9, 0.3, 0.95) == 20

    def test_never_reached_is_the_whole_budget(self):
        assert self.to(0.5, 0.89, 0.3) == 30

    def test_reached_after_divergence_is_not_reached(self):
        assert self.to(0.5, 0.99, 0.99, 0.99, diverged=(False, True, True, True)) == 40
        assert self.to(0.5, 0.99, 0.99, 0.99, diverged=(False, False, True, True)) < 20

    @pytest.mark.parametrize("first", [0.4, 0.5, 0.6])
    def test_a_threshold_that_guessing_meets_takes_one_update(self, first: float):
        rows = records(test_accuracy=[first, 0.9])
        assert updates_to(50)(rows, {**DIGITS, "dataset": "spirals"}, 0) == 1

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.sampled_from(THRESHOLDS))
    def test_it_lies_within_the_budget_between_the_records_that_hold_it(self, accuracies: list[float], percent: int):
        found, whole = self.to(*accuracies, percent=percent), 10 * len(accuracies)
        reached = [i for i, value in enumerate(accuracies) if value >= percent / 100]
        assert bool(score(f"reaches_{percent}", records(test_accuracy=list(accuracies)))) == bool(reached)
        assert 10 * reached[0] - 1e-9 <= found <= 10 * (reached[0] + 1) + 1e-9 if reached else found == whole
        # A higher threshold takes no fewer updates.
        times = [self.to(*accuracies, percent=each) for each in THRESHOLDS]
        assert times == sorted(times)


def test_reaching_counts_until_divergence_alone():
    assert score("reaches_90", records(test_accuracy=[0.5, 0.9, 0.3])) == 1
    assert score("reaches_95", records(test_accuracy=[0.5, 0.9, 0.3])) == 0
    assert score("reaches_90", records((False, True, True), test_accuracy=[0.5, 0.9, 0.95])) == 0


def test_sound_is_whether_a_run_never_diverged():
    assert score("sound", records(loss=[1, 1])) == 1
    assert score("sound", records((False, True), loss=[1, 1])) == 0


def test_roughness_is_the_mean_rise_and_falls_do_not_make_up_for_it():
    """Losses whose thousandth more is 1, e, 1 and e: two rises over three moves, of e - 1 and of a nat each."""
    losses: list[float | None] = [1 - 1e-3, np.e - 1e-3, 1 - 1e-3, np.e - 1e-3]
    guessing = np.log(10)
    for name, rise, lost in (("roughness", np.e - 1, guessing), ("relative_roughness", 1, 1)):
        assert score(name, records(loss=losses)) == pytest.approx(2 * rise / 3)
        # Lost from the third record on: the move to it and those after count as the worst.
        assert score(name, records(LOST, loss=losses)) == pytest.approx((rise + 2 * lost) / 3)
        assert score(name, records(LOST, loss=[1.0, 1.0, 1.0, 1.0])) == pytest.approx(2 * lost / 3)
        assert score(name, records(loss=[3.0, 2.0, 1.0])) == 0


def test_a_run_keeps_learning_if_it_ends_better_than_guessing():
    guessing = float(np.log(10))
    assert score("kept_learning", records(loss=[guessing, 0.8 * guessing])) == 1
    assert score("kept_learning", records(loss=[0.5, 0.95 * guessing])) == 0
    assert score("kept_learning", records((False, True), loss=[0.5, 0.5])) == 0


def test_the_training_loss_is_told_in_nats_and_a_lost_run_guesses():
    assert score("train_loss", records(train_loss=[None, np.exp(-2.0)])) == pytest.approx(-2, abs=1e-4)
    assert score("train_loss", records((False, True), train_loss=[None, 0.1])) == pytest.approx(np.log(np.log(10)))
    assert score("train_loss", records((False, True), train_loss=[None, 0.1]), REGRESSION) == pytest.approx(0)


def probed(probe: str, layers: dict[str, list[float | None]], diverged: tuple[bool, ...] = ()) -> list[dict[str, Any]]:
    """Records that hold a probe of each layer; a second member is beside."""
    times = len(next(iter(layers.values())))
    flags = diverged or (False,) * times
    return [
        {
            "diverged": [flags[i], True],
            "probes": {layer: {probe: [values[i], -1e9]} for layer, values in layers.items()},
        }
        for i in range(times)
    ]


GRADIENTS: dict[str, list[float | None]] = {"linear1": [1e-3, 1.0], "linear2": [0.1, 10.0], "output": [5.0, 5.0]}


@pytest.mark.parametrize(
    ("metric", "probe", "layers", "expected"),
    [
        ("gradient_fading_at_start", "gradient_norm", GRADIENTS, 2),
        ("gradient_fading_at_start", "gradient_norm", {"a": [10.0], "b": [1.0], "c": [7.0]}, 1),
        ("input_drift", "mean_drift", {"linear1": [9.0, 9.0, 9.0], "output": [9.0, 0.2, 0.4]}, 0.3),
        ("gradient_change", "gradient_change", {"linear2": [9.0, 9.0], "output": [0.2, 0.4]}, 0.3),
        ("gradient_turn", "gradient_turn", {"network": [0.2, 0.4]}, 0.3),
        ("sharpness", "hessian_top", {"network": [10.0, 1000.0]}, 2),
        ("sharpness", "hessian_top", {"network": [10.0, -5.0]}, (1 - 6) / 2),
        ("mean_spread", "mean_spread", {"a": [0.1, 0.3], "b": [0.3, 0.5]}, 0.3),
        ("output_spread", "output_spread", {"network": [9.0, 0.2, 0.4]}, 0.3),
        ("linearity", "linearity", {"activation1": [0.0, 0.0], "network": [0.0, 0.5]}, 0.5),
        ("identity_distance", "identity_distance", {"norm1": [9.0, 0.1], "norm2": [9.0, 0.3]}, 0.2),
    ],
)
def test_probes_are_read_at_the_layers_and_times_that_their_metric_names(metric, probe, layers, expected):
    assert METRICS[metric].probe == probe
    assert score(metric, probed(probe, layers)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "probe", "values", "expected"),
    [
        ("linearity", "linearity", [9.0, 0.8, 0.4], (0.8 + 0) / 2),
        ("gradient_turn", "gradient_turn", [0.2, 0.6, 0.1], (0.2 + 0.6 + 0.6) / 3),
    ],
)
def test_from_divergence_on_a_probe_has_the_random_value_or_its_worst(metric, probe, values, expected):
    rows = probed(probe, {"network": values}, (False, False, True))
    assert score(metric, rows) == pytest.approx(expected)


def part(metric: str, **more: Any) -> Effect:
    return Effect(
        experiment=supervised_experiment(steps={"full": 400}, dataset="digits", lr=0.1),
        arms={"a": {}, "b": {"norm": "layer"}},
        metric=metric,
        question=Question(asks="superior", treatment="b", reference="a", margin=0.01),
        **more,
    )


def test_updates_stand_between_the_whole_budget_and_none_of_it():
    metric = metric_of(part("updates_to_90"), "updates_to_90", 400)
    assert [metric.standing(each) for each in (400, 300, 40)] == [0.0, 0.25, 0.9]
    assert metric_of(part("accuracy"), "accuracy", 400) == METRICS["accuracy"].metric


def test_a_summary_is_a_metric_of_its_own_and_a_mean_is_not():
    points = ({"lr": 0.1}, {"lr": 1.0})
    of = {each: metric_of(part("gap", points=points, summary=each), "gap", 400) for each in ("mean", "range", "slope")}
    assert of["mean"] == METRICS["gap"].metric
    assert (of["range"].name, of["range"].better) == ("gap, range", "lower")
    assert (of["slope"].name, of["slope"].better) == ("gap, slope", "lower")
    near = metric_of(part("accuracy", points=points, summary="near best"), "accuracy", 400)
    assert (near.name, near.better) == ("accuracy, near best", "higher")
    assert near.standing(0.5) is None
