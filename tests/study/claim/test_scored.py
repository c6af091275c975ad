"""How one run's scores at several points become one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnorm.study.claim.scored import SUMMARIES

scores = st.lists(st.integers(0, 100), min_size=2, max_size=6).map(lambda found: np.array(found) / 64)
shifts = st.integers(-50, 50).map(lambda k: k / 64)


@pytest.mark.parametrize(
    ("summary", "at", "expected"),
    [
        ("mean", [0.2, 0.4, 0.9], 0.5),
        ("range", [0.4, 0.9, 0.2], 0.7),
        ("slope", [0.1, 0.4], 0.3),
        ("slope", [0.1, 0.2, 0.9], 0.4),
        ("slope", [0.9, 0.5, 0.1], -0.4),
        ("near best", [0.5, 0.96, 1.0, 0.94], 0.5),
        ("near best", [0.0, 0.0], 1.0),
    ],
)
def test_by_hand(summary: str, at: list[float], expected: float):
    assert SUMMARIES[summary](np.array(at)) == pytest.approx(expected)


@given(scores, shifts, st.integers(1, 5))
def test_how_each_follows_a_shift_a_factor_and_the_order(at: np.ndarray, shift: float, factor: int):
    def every(scores: np.ndarray) -> dict[str, float]:
        return {name: summary(scores) for name, summary in SUMMARIES.items()}

    of, shifted, larger, turned = every(at), every(at + shift), every(at * 2.0**factor), every(at[::-1])
    near = of["near best"]
    assert 1 / len(at) <= near <= 1
    assert {name: shifted[name] for name in ("mean", "range", "slope")} == pytest.approx(
        {"mean": of["mean"] + shift, "range": of["range"], "slope": of["slope"]}, abs=1e-12
    )
    assert larger == pytest.approx({name: each * 2**factor for name, each in of.items()} | {"near best": near})
    assert turned == pytest.approx({**of, "slope": -of["slope"]}, abs=1e-12)


@given(scores)
def test_the_slope_is_that_of_least_squares(at: np.ndarray):
    assert SUMMARIES["slope"](at) == pytest.approx(np.polyfit(np.arange(len(at)), at, 1)[0], abs=1e-9)
