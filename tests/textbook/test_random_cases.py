"""Random cases span the sizes, scales and eps that they promise."""

import numpy as np

from rlnorm.textbook import random_cases


def test_cases_span_what_they_promise():
    rng = np.random.default_rng(0)
    drawn = [random_cases.batch(rng) for _ in range(1000)]
    sizes = [len(case["x"]) for case in drawn]
    spreads = [np.abs(case["x"]).max() for case in drawn]
    eps = np.array([case["eps"] for case in drawn])
    assert min(sizes) == 2
    assert 400 < max(sizes) <= 512
    assert min(spreads) < 1e-5
    assert max(spreads) > 1e5
    assert (eps == 0).sum() > 200
    assert eps.max() > 0.5
    assert {np.sign(case["gamma"]) for case in drawn} == {-1, 1}
