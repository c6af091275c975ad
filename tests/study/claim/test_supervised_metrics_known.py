"""Metrics that known answers need, by hand."""

import numpy as np
import pytest

from rlnorm.study.claim.metrics import METRICS
from rlnorm.supervised import train


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_activation_drift_is_that_of_the_last_activations_inputs(norm: str):
    settings = {"dataset": "digits", "hidden": (5, 4), "activation": "sigmoid", "norm": norm, "batch": 30}
    records = list(train(**settings, train_size=60, seeds=[0, 1], rates=[0.1, 0.1], steps=4, probes=4, every=1))
    drifts = np.array([record["probes"]["activation2"]["mean_drift"] for record in records[1:]])
    assert (drifts > 0).all()
    found = [METRICS["activation_drift"].score(records, settings, member) for member in (0, 1)]
    assert found == pytest.approx(drifts.mean(0).tolist())
