"""How one run's scores at several points become one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnorm.study.claim.metrics import METRICS
from rlnorm.study.claim.scored import SUMMARIES, Recorded, diverged_at, non_finite_at, series, unfold, unfolded

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


NAN = float("nan")
RECORDS = (
    {"step": 1, "epsilon": 1.0, "loss": [0.5, None, 2.0], "diverged": [False, False, False], "beyond": [0.0, 1.0, 1.0]},
    {"step": 2, "loss": None, "diverged": [False, True, False], "beyond": None},
    {
        "step": 3,
        "loss": [0.25, 0.5, 1.0],
        "diverged": [False, True, False],
        "beyond": [0.5, 1.0, 1.0],
        "probes": {"norm0": {"dormant": [0.5, None, 0.25]}, "norm1": {"dormant": [0.25, 0.5, 0.75]}},
    },
)


@pytest.mark.parametrize("kind", [tuple, list, Recorded])
def test_members_are_read_from_records_of_any_kind_and_what_is_not_there_is_nan(kind: type):
    records = kind(RECORDS)
    for _ in range(2):
        np.testing.assert_equal(series(records, "loss", 1), [NAN, NAN, 0.5])
        np.testing.assert_equal(series(records, "epsilon", 2), [1.0, NAN, NAN])
        np.testing.assert_equal(series(records, "nothing", 0), [NAN] * 3)
        np.testing.assert_equal(series(unfolded(records), "norm/norm0/dormant", 2), [NAN, NAN, 0.25])
        assert [non_finite_at(records, member) for member in range(3)] == [3, 1, 3]
        assert [diverged_at(records, member) for member in range(3)] == [3, 0, 0]
        assert [METRICS["dormant"].score(records, {}, member) for member in (0, 2)] == [1.0, 1.0]
        series(records, "loss", 0)[:] = 7.0  # who reads may write


def test_a_probe_is_read_for_each_member():
    rows = Recorded(RECORDS[2:] * 2)
    assert METRICS["dormant"].score(rows, {}, 0) == pytest.approx(0.375)
    assert METRICS["dormant"].score(rows, {}, 2) == pytest.approx(0.5)
    assert tuple(unfolded(rows)) == tuple(map(unfold, rows))
