"""What a network has learned is read from the last probe of a run, not from its mean."""

import pytest

from rlnorm.study.claim.metrics import METRICS


@pytest.mark.parametrize(("diverged", "expected"), [(False, 0.4), (True, 0.0)])
def test_linearity_at_the_end_is_that_of_the_last_probe(diverged: bool, expected: float):
    values, flags = [0.9, 0.1, 0.4], [False, False, diverged]
    rows = [{"probes": {"network": {"linearity": [v]}}, "diverged": [lost]} for v, lost in zip(values, flags)]
    assert METRICS["linearity_at_end"].score(rows, {}, 0) == pytest.approx(expected)
