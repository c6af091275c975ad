"""Scores by hand, on records made up for it."""

from typing import Any

import numpy as np
import pytest

from rlnorm.probes import PROBES
from rlnorm.study.claim.dqn_metrics import final_return, learned, plain_return_auc, return_auc
from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.claim.scored import carried, diverged_at, series
from rlnorm.supervised.probing import OWN_PROBES
from rlnorm.tasks.environments import SCALES

CARTPOLE, OTHER = {"env": "CartPole-v1"}, {"env": "MyOwn-v0"}
RANDOM, SOLVED = SCALES["CartPole-v1"].random, SCALES["CartPole-v1"].solved


def records(key: str, values: list[Any], diverged: list[bool] | None = None) -> list[dict[str, Any]]:
    """One member's records; a second member, diverged from the start, stands beside it to be mixed up with."""
    flags = diverged or [False] * len(values)
    return [
        {"step": 10 * (i + 1), key: [value, -1e9], "diverged": [flag, True]}
        for i, (value, flag) in enumerate(zip(values, flags))
    ]


def level(*shares: float) -> list[Any]:
    """Returns that stand for shares of the way from random to solved."""
    return [RANDOM + share * (SOLVED - RANDOM) for share in shares]


def test_series_reads_a_member_a_scalar_and_what_is_missing():
    rows = [{"q": [1, 2], "epsilon": 0.5}, {"q": [None, 4], "epsilon": None}, {"epsilon": 0.1}]
    np.testing.assert_equal(series(rows, "q", 0), [1, np.nan, np.nan])
    np.testing.assert_equal(series(rows, "q", 1), [2, 4, np.nan])
    np.testing.assert_equal(series(rows, "epsilon", 1), [0.5, np.nan, 0.1])


def test_carried_takes_the_last_value_before():
    nan = float("nan")
    np.testing.assert_equal(carried(np.array([nan, 1, nan, nan, 2, nan]), 7.0), [7, 1, 1, 1, 2, 2])


@pytest.mark.parametrize(("flags", "at"), [([0, 0, 0], 3), ([0, 1, 1], 1), ([1, 1, 1], 0)])
def test_divergence_is_dated_by_its_first_record(flags: list[int], at: int):
    assert diverged_at(records("loss", [0, 0, 0], [bool(f) for f in flags]), 0) == at


class TestAreaUnderTheReturnCurve:
    def test_is_the_mean_on_the_scale_of_the_environment(self):
        assert return_auc(records("return", level(0.0, 0.5, 1.0, 0.5)), CARTPOLE, 0) == pytest.approx(0.5)

    def test_carries_the_last_return_forward_and_begins_at_random(self):
        returns = [None, *level(0.6), None, *level(0.2)]
        assert return_auc(records("return", returns), CARTPOLE, 0) == pytest.approx((0 + 0.6 + 0.6 + 0.2) / 4)

    def test_may_be_worse_than_random_and_better_than_solved(self):
        assert return_auc(records("return", level(-0.04, 1.05)), CARTPOLE, 0) == pytest.approx((1.05 - 0.04) / 2)

    def test_is_zero_from_divergence_on_whatever_is_recorded_then(self):
        returns = [*level(0.8, 0.4), float("inf"), *level(5.0)]
        diverged = [False, False, True, True]
        assert return_auc(records("return", returns, diverged), CARTPOLE, 0) == pytest.approx((0.8 + 0.4) / 4)

    def test_divergence_takes_nothing_away_that_a_run_did_not_have(self):
        assert return_auc(records("return", level(0.5), [True]), CARTPOLE, 0) == 0


class TestLearned:
    @pytest.mark.parametrize(("score", "expected"), [(0.24, 0.0), (0.26, 1.0)])
    def test_a_quarter_of_the_way_to_solved(self, score, expected):
        assert learned(records("return", level(score)), CARTPOLE, 0) == expected


class TestPlainReturns:
    def test_mean_with_the_first_return_before_the_first_episode(self):
        assert plain_return_auc(records("return", [None, 10.0, None, 40.0]), OTHER, 0) == (10 + 10 + 10 + 40) / 4

    def test_a_diverged_run_stands_at_its_worst_so_far_not_at_its_worst_ever(self):
        rows = records("return", [30.0, 10.0, 50.0, -999.0], [False, False, False, True])
        assert plain_return_auc(rows, OTHER, 0) == (30 + 10 + 50 + 10) / 4

    def test_a_run_without_a_return_has_no_score_which_could_be_the_best_where_returns_are_negative(self):
        assert np.isnan(plain_return_auc(records("return", [7.0, 8.0], [True, True]), OTHER, 0))
        assert np.isnan(plain_return_auc(records("return", [None, None]), OTHER, 0))

    def test_is_not_normalized_where_there_is_a_scale(self):
        assert plain_return_auc(records("return", [100.0]), CARTPOLE, 0) == 100


class TestLastRecord:
    def test_final_return_is_the_last(self):
        rows = [{"return": [1.0], "diverged": [False]}, {"final_return": [480.0], "diverged": [False]}]
        assert final_return(rows, CARTPOLE, 0) == 480

    def test_of_a_diverged_run_is_the_random_policys(self):
        assert final_return([{"final_return": [480.0], "diverged": [True]}], CARTPOLE, 0) == RANDOM


NAN = None  # as it is stored
SETTINGS = {"env": "CartPole-v1", "hidden": [64, 10], "discount": 0.9, "reward_scale": 2.0}


def probed(probe: str, layers: dict[str, list[float | None]], diverged: list[bool] | None = None):
    """Records of which every other one holds a probe, the first time a wild one; a second member is beside."""
    times = len(next(iter(layers.values())))
    flags, rows = diverged or [False] * times, list[dict[str, Any]]()
    for i in range(-1, times):
        at = {layer: {probe: [1e6 if i < 0 else values[i], -1e9]} for layer, values in layers.items()}
        flag = [i >= 0 and flags[i], True]
        rows += [{"diverged": flag, "probes": at}, {"diverged": flag}]
    return rows


class TestProbes:
    @pytest.mark.parametrize(
        ("metric", "probe", "layers", "expected"),
        [
            ("dormant", "dormant", {"activation1": [0.2, 0.4], "activation2": [0.0, 0.2]}, 0.2),
            ("rank", "rank", {"activation1": [60, 60], "activation2": [2, 5]}, 0.35),
            ("weight_norm", "weight_norm", {"linear1": [3, 0], "output": [4, 2]}, 3.5),
            ("gradient_evenness", "gradient_norm", {"a": [1, 0, 0], "b": [4, 3, 0], "c": [2, 1, 0]}, 0.25 / 3),
            ("overestimation", "overestimation", {"network": [10.0, -10.0, 4.0]}, 0.7 / 3),
            ("mean_gap", "mean_gap", {"norm1": [0.1, 0.4], "norm2": [0.3, 0.2]}, 0.35),
            ("spread_gap", "spread_gap", {"norm1": [0.1, 0.4], "norm2": [0.3, 0.2]}, 0.35),
            ("observation_drift", "mean_drift", {"linear1": [0.1, 0.2], "linear2": [9.0, 9.0]}, 0.15),
        ],
    )
    def test_means_over_training_without_the_first_time(self, metric, probe, layers, expected):
        assert METRICS[metric].probe == probe
        assert METRICS[metric].score(probed(probe, layers), SETTINGS, 0) == pytest.approx(expected)

    def test_every_probe_that_is_scored_exists(self):
        assert {scored.probe for scored in METRICS.values()} - {None} <= {*PROBES, *OWN_PROBES}

    def test_what_is_not_known_is_left_out(self):
        assert METRICS["mean_gap"].score(probed("mean_gap", {"norm1": [NAN, 0.2, 0.4]}), {}, 0) == pytest.approx(0.3)

    @pytest.mark.parametrize(
        ("metric", "probe", "values", "expected"),
        [
            ("dormant", "dormant", [0.1, 0.3, 0.0], (0.1 + 0.3 + 1) / 3),
            ("rank", "rank", [8.0, 4.0, 10.0], (0.8 + 0.4 + 0) / 3),
            ("mean_gap", "mean_gap", [0.1, 0.3, 0.0], (0.1 + 0.3 + 0.3) / 3),
            ("weight_norm", "weight_norm", [1.0, 3.0, NAN], (1 + 3 + 3) / 3),
        ],
    )
    def test_from_divergence_on_a_run_has_the_random_value_or_its_worst(self, metric, probe, values, expected):
        rows = probed(probe, {"layer": values}, [False, False, True])
        assert METRICS[metric].score(rows, SETTINGS, 0) == pytest.approx(expected)

    @pytest.mark.parametrize(("metric", "expected"), [("dormant", 1.0), ("rank", 0.0), ("mean_gap", np.nan)])
    def test_where_nothing_is_known_there_is_no_better_value_or_no_score(self, metric, expected):
        lost = probed(metric, {"layer": [0.1, 0.2]}, [True, True])
        for rows in (lost, probed("other", {"layer": [0.1]}), [{"diverged": [False]}]):
            assert METRICS[metric].score(rows, SETTINGS, 0) == pytest.approx(expected, nan_ok=True)


def test_every_metric_is_found_by_its_own_name():
    assert all(name == scored.metric.name for name, scored in METRICS.items())
    assert {"return_auc", "plain_return_auc", "final_return", "accuracy", "updates_to_90", "sound"} <= set(METRICS)
