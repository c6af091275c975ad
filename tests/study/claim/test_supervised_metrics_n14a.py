"""Scores of what lies around a run's weights and of its statistics, by hand."""

from typing import Any

import numpy as np
import pytest

from rlnorm.study.claim.metrics import METRICS

SETTINGS = {"dataset": "digits", "data_seed": 0, "hidden": (8, 8, 8)}


def probed(*probes: dict[str, dict[str, float]], diverged_from: int = 99) -> list[dict[str, Any]]:
    """One member's records, one probe each: layer -> probe -> value."""
    return [
        {
            "step": i,
            "diverged": [i >= diverged_from],
            "probes": {layer: {name: [value] for name, value in values.items()} for layer, values in layers.items()},
        }
        for i, layers in enumerate(probes)
    ]


def score(metric: str, records: list[dict[str, Any]]) -> float:
    return METRICS[metric].score(records, SETTINGS, 0)


class TestGrowth:
    def drifts(self, *values: float) -> dict[str, dict[str, float]]:
        """The drift of three layers' inputs; those of the first layer and of activations stand before them."""
        layers = ("activation1", "linear1", "linear2", "linear3", "output")
        return {layer: {"mean_drift": value} for layer, value in zip(layers, (9.0, 0.0, *values))}

    def test_is_the_decades_from_the_second_layer_to_the_last(self):
        first = self.drifts(5.0, 5.0, 5.0)
        assert score("drift_growth", probed(first, self.drifts(0.01, 0.1, 1.0))) == pytest.approx(2.0)
        assert score("drift_growth", probed(first, self.drifts(0.1, 0.2, 0.1))) == pytest.approx(0.0)

    def test_a_probe_that_is_no_number_is_left_out(self):
        nothing = self.drifts(0.0, 0.0, 0.0)
        assert score("drift_growth", probed(nothing, nothing, self.drifts(1.0, 0.1, 0.01))) == pytest.approx(-2.0)

    def test_the_gradient_counts_from_the_first_probe_on(self):
        def changes(last: float) -> dict[str, dict[str, float]]:
            return {name: {"gradient_change": x} for name, x in zip(("linear2", "linear3", "output"), (1.0, 1.0, last))}

        growths = [score("gradient_change_growth", probed(changes(last))) for last in (10.0, 0.1)]
        assert growths == pytest.approx([1.0, -1.0])
        assert score("gradient_change_growth", probed(changes(10.0), changes(0.1))) == pytest.approx(0.0)


class TestLossVariation:
    def line(self, low: float, high: float) -> dict[str, dict[str, float]]:
        return {"network": {"loss_low": low, "loss_high": high}}

    def test_is_the_range_along_the_gradient(self):
        records = probed(self.line(-9, 9), self.line(-1, 3), self.line(-0.5, -0.1))
        assert score("loss_variation", records) == pytest.approx((4 + 0.4) / 2)

    def test_a_diverged_run_keeps_its_widest(self):
        records = probed(self.line(0, 0), self.line(-1, 3), self.line(-2, 1), self.line(0, 0), diverged_from=3)
        assert score("loss_variation", records) == pytest.approx((4 + 3 + 5) / 3)


def test_spread_of_the_last_layers_inputs_leaves_out_the_others():
    spreads = {"linear1": {"mean_spread": 7.0}, "output": {"mean_spread": 0.2}}
    assert score("last_mean_spread", probed(spreads, spreads)) == pytest.approx(0.2)


class TestReestimationGap:
    def record(self, plain: float, anew: float, diverged: bool = False) -> dict[str, Any]:
        return {"test_accuracy": [plain], "test_accuracy_reestimated": [anew], "diverged": [diverged]}

    def test_is_a_distance_at_the_last_step(self):
        assert score("reestimation_gap", [self.record(0.1, 0.9), self.record(0.8, 0.75)]) == pytest.approx(0.05)
        assert score("reestimation_gap", [self.record(0.7, 0.75)]) == pytest.approx(0.05)

    def test_of_a_diverged_run_is_the_largest(self):
        assert score("reestimation_gap", [self.record(np.nan, np.nan, diverged=True)]) == 1.0


class TestEvalGain:
    def record(self, plain: float, batch: float, diverged: bool = False) -> dict[str, Any]:
        return {"test_accuracy": [plain], "test_accuracy_batch": [batch], "diverged": [diverged]}

    def test_has_a_sign_and_is_a_mean_over_records(self):
        assert score("eval_gain", [self.record(0.9, 0.8), self.record(0.7, 0.75)]) == pytest.approx(0.025)

    def test_a_diverged_run_loses_all_from_then_on(self):
        assert score("eval_gain", [self.record(0.9, 0.8), self.record(0.9, 0.8, diverged=True)]) == pytest.approx(-0.45)
