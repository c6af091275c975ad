"""Estimates are what the formulas say, intervals hold at the edges, and nothing depends on global state."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as distributions

from rlnorm import stats

CLOSE = 1e-12


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture
def x() -> np.ndarray:
    return rng(1).normal(0.6, 0.2, 12)


@pytest.fixture
def y() -> np.ndarray:
    return rng(2).normal(0.4, 0.1, 9)


def test_estimates_and_standard_errors_are_the_textbook_ones(x, y):
    var_x, var_y = x.var(ddof=1) / len(x), y.var(ddof=1) / len(y)
    mean, difference, ratio = stats.mean(x, rng()), stats.difference(x, y, rng()), stats.ratio(x, y, rng())
    assert mean.value == pytest.approx(x.mean(), abs=CLOSE)
    assert mean.se == pytest.approx(np.sqrt(var_x), abs=CLOSE)
    assert difference.value == pytest.approx(x.mean() - y.mean(), abs=CLOSE)
    assert difference.se == pytest.approx(np.sqrt(var_x + var_y), abs=CLOSE)
    assert ratio.value == pytest.approx(x.mean() / y.mean(), abs=CLOSE)
    assert ratio.se == pytest.approx(np.sqrt(var_x / x.mean() ** 2 + var_y / y.mean() ** 2), abs=CLOSE)


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_welch_ends_are_scipys(x, y, level):
    found = stats.difference(x, y, rng())
    theirs = distributions.ttest_ind(x, y, equal_var=False).confidence_interval(level)
    half = found.welch(level) * found.se
    assert (found.value - half, found.value + half) == pytest.approx((theirs.low, theirs.high), abs=CLOSE)


def test_a_resample_is_a_whole_run_drawn_with_replacement(x):
    """Deviations and standard errors within resamples, against resampling spelled out with the same draws."""
    found = stats.mean(x, rng(), resamples=50)
    drawn = x[rng().integers(len(x), size=(50, len(x)))]
    np.testing.assert_allclose(found.deviation, drawn.mean(axis=1) - x.mean(), atol=CLOSE)
    np.testing.assert_allclose(found.se_star, drawn.std(axis=1) / np.sqrt(len(x) - 1), atol=CLOSE)


def test_a_ratio_is_resampled_on_the_log_scale_with_the_delta_methods_error(x, y):
    found = stats.ratio(x, y, rng(), resamples=50)
    draws = rng()
    arms = [arm[draws.integers(len(arm), size=(50, len(arm)))] for arm in (x, y)]
    logs = [np.log(arm.mean(axis=1)) for arm in arms]
    np.testing.assert_allclose(found.theta + found.deviation, logs[0] - logs[1], atol=CLOSE)
    squares = [(arm.std(axis=1) / arm.mean(axis=1)) ** 2 / (arm.shape[1] - 1) for arm in arms]
    np.testing.assert_allclose(found.se_star, np.sqrt(squares[0] + squares[1]), atol=CLOSE)


def test_whole_runs_keep_the_band_wide_where_points_of_one_run_agree():
    """Twenty copies of one point: the band is that of one point. Cells resampled one by one would average it away."""
    runs = rng().normal(size=10)
    band = stats.band(np.repeat(runs[:, None], 20, axis=1), rng())
    alone = stats.band(runs[:, None], rng())
    np.testing.assert_allclose(band.low, np.repeat(alone.low, 20), atol=CLOSE)
    np.testing.assert_allclose(band.high, np.repeat(alone.high, 20), atol=CLOSE)


def test_columns_of_a_matrix_are_judged_as_if_alone(x):
    columns = np.stack([x, x**2, -x], axis=1)
    low, high = stats.mean(columns, rng()).interval()
    for k in range(3):
        np.testing.assert_allclose((low[k], high[k]), stats.mean(columns[:, k], rng()).interval(), atol=CLOSE)


@pytest.mark.parametrize("level", [0.9, 0.95])
@pytest.mark.parametrize("sign", [1, -1])
def test_each_end_is_the_farther_of_welch_and_studentized(sign, level):
    found = stats.mean(sign * rng().lognormal(0, 1, 12), rng())
    low, high = found.interval(level)
    below, above = found.studentized(level)
    assert min(below, above) < found.welch(level) < max(below, above)
    assert (found.theta - low) / found.se == pytest.approx(max(below, found.welch(level)), abs=1e-9)
    assert (high - found.theta) / found.se == pytest.approx(max(above, found.welch(level)), abs=1e-9)


def test_the_wider_level_holds_the_narrower(x, y):
    for found in (stats.mean(x, rng()), stats.difference(x, y, rng()), stats.ratio(x, y, rng())):
        (low90, high90), (low95, high95) = found.interval(0.90), found.interval(0.95)
        assert low95 < low90 < found.value < high90 < high95


def test_one_seed_gives_one_result_and_another_seed_another(x, y):
    first, again, other = (stats.difference(x, y, rng(seed)).interval() for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_global_state_has_no_say(x):
    np.random.seed(1)  # noqa: NPY002
    first = stats.mean(x, rng()).interval()
    np.random.seed(2)  # noqa: NPY002
    assert stats.mean(x, rng()).interval() == first


# -- edges


@pytest.mark.parametrize("score", [500.0, 0.1])
def test_no_spread_in_both_arms_gives_a_point(score):
    """Twelve times 0.1 has a mean that is not 0.1 in float64; that is no spread either."""
    found = stats.difference(np.full(12, score), np.full(8, 0.3), rng())
    assert found.se == 0
    assert found.interval() == (found.value, found.value)


def test_no_spread_in_one_arm_leaves_the_other_arms_interval(y):
    found = stats.difference(np.full(8, 0.7), y, rng())
    low, high = stats.mean(y, rng(1)).interval()
    assert np.isfinite(found.interval()).all()
    assert found.interval() == pytest.approx((0.7 - high, 0.7 - low), rel=0.1)


@pytest.mark.parametrize("n", [8, 16, 24])
def test_one_failed_run_does_not_blow_the_interval_up(n, monkeypatch):
    """A third of the resamples lack the failed run and have no spread: unguarded, the low end runs away."""
    scores = np.array([0.0] + [1.0] * (n - 1))
    found = stats.mean(scores, rng())
    assert (found.se_star < 1e-6).mean() > 0.3
    low, high = found.interval()
    assert scores.mean() - 5 * found.se < low < scores.mean() < high < scores.mean() + 5 * found.se
    monkeypatch.setattr(stats, "FLOOR", 1e-9)
    assert found.interval()[0] < -1000


def test_two_runs_are_enough_for_an_interval_and_one_is_not():
    low, high = stats.mean(np.array([0.4, 0.5]), rng()).interval()
    assert low < 0.4
    assert high > 0.5
    alone = stats.difference(np.array([0.4]), np.array([0.1, 0.2]), rng())
    assert alone.value == pytest.approx(0.25)
    assert np.isnan(alone.interval()).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="scores must be finite, got 1 of 3"):
        stats.mean(np.array([0.1, bad, 0.2]), rng())


@pytest.mark.parametrize("nothing", [np.zeros(0), np.float64(1.0)])
def test_no_runs_are_refused(nothing):
    with pytest.raises(ValueError, match="at least one run"):
        stats.mean(nothing, rng())


@pytest.mark.parametrize("bad", [0.0, -1.0])
def test_a_ratio_of_scores_that_are_not_positive_is_refused(bad):
    good, poor = np.array([1.0, 2.0]), np.array([1.0, bad])
    for pair in ((good, poor), (poor, good)):
        with pytest.raises(ValueError, match="needs positive scores"):
            stats.ratio(*pair, rng())


def test_a_ratio_turns_over_with_its_arms():
    times, others = rng(5).lognormal(0, 0.5, 16), rng(6).lognormal(0.3, 0.5, 16)
    low, high = stats.ratio(times, others, rng()).interval()
    back_low, back_high = stats.ratio(others, times, rng(1)).interval()
    assert (low, high) == pytest.approx((1 / back_high, 1 / back_low), rel=0.02)


def test_a_large_mean_with_a_small_spread_loses_nothing(x):
    low, high = stats.mean(x, rng()).interval()
    far_low, far_high = stats.mean(x + 1e6, rng()).interval()
    assert (far_low - 1e6, far_high - 1e6) == pytest.approx((low, high), abs=1e-8)


# -- curves


def test_a_band_holds_its_mean_and_leaves_gaps_where_a_run_has_none():
    curves = rng().normal(size=(6, 5)).cumsum(axis=1)
    curves[2, 3] = np.nan
    band = stats.band(curves, rng())
    assert all(part.shape == (5,) for part in band)
    assert np.isnan([part[3] for part in band]).all()
    whole = [0, 1, 2, 4]
    np.testing.assert_allclose(band.mean[whole], curves.mean(axis=0)[whole])
    assert (band.low[whole] < band.mean[whole]).all()
    assert (band.mean[whole] < band.high[whole]).all()


def test_a_band_of_one_run_has_a_mean_and_no_ends():
    band = stats.band(np.arange(4.0)[None], rng())
    np.testing.assert_array_equal(band.mean, np.arange(4.0))
    assert np.isnan(band.low).all()
    assert np.isnan(band.high).all()


def test_a_band_of_no_points_is_empty():
    assert all(part.shape == (0,) for part in stats.band(np.zeros((3, 0)), rng()))


# -- display, shares, improvement


def test_iqm_cuts_a_quarter_at_each_end():
    scores = np.array([-100.0, -50, 1, 2, 3, 4, 5, 900])
    assert stats.iqm(scores) == 2.5


@pytest.mark.parametrize(("count", "n"), [(0, 8), (3, 10), (8, 8)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_wilson_is_scipys(count, n, level):
    theirs = distributions.binomtest(count, n).proportion_ci(level, method="wilson")
    assert stats.wilson(count, n, level) == (count / n, theirs.low, theirs.high)


@pytest.mark.parametrize("n", [1, 3, 4, 8, 17])
def test_the_interquartile_mean_is_scipys(n):
    scores = rng().normal(size=(5, n))
    np.testing.assert_array_equal(stats.interquartile_mean(scores), distributions.trim_mean(scores, 0.25, axis=-1))
    assert stats.iqm(scores[0]) == distributions.trim_mean(scores[0], 0.25)


@pytest.mark.parametrize("generator", [np.random.PCG64, np.random.MT19937])
def test_resamples_are_those_of_the_generator_whether_drawn_before_or_not(generator):
    plain = np.random.Generator(generator(5))
    expected = [np.array([np.bincount(row, minlength=6) for row in plain.integers(6, size=(50, 6))]) for _ in range(2)]
    after = plain.random()
    for _ in range(2):
        own = np.random.Generator(generator(5))
        for counts in expected:
            np.testing.assert_array_equal(stats._counts(6, 50, own), counts)
        assert own.random() == after


@pytest.mark.parametrize(
    ("counts", "ends"),
    # Newcombe 1998, table II, method 10: cases (a), (c), (e), (g), (h)
    [
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((6, 7, 2, 7), (0.0582, 0.8062)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((10, 10, 0, 20), (0.6791, 1.0)),
    ],
)
def test_the_difference_of_two_shares_is_the_published_one(counts, ends):
    found = stats.proportion_difference(*counts)
    assert (found.low, found.high) == pytest.approx(ends, abs=1e-4)


def test_no_failure_in_either_arm_is_no_proof_of_equal_shares():
    found = stats.proportion_difference(0, 8, 0, 8)
    assert found.estimate == 0
    assert found.high == -found.low == pytest.approx(0.3244, abs=1e-4)


@pytest.mark.parametrize(("count", "n"), [(-1, 8), (9, 8), (0, 0)])
def test_a_share_that_is_none_is_refused(count, n):
    with pytest.raises(ValueError, match="0 <= count <= n"):
        stats.wilson(count, n)


def test_probability_of_improvement_counts_pairs_and_half_of_ties():
    found = stats.probability_of_improvement(np.array([1.0, 2.0]), np.array([0.0, 1.0, 3.0]))
    assert found.estimate == pytest.approx((1 + 0.5 + 0 + 1 + 1 + 0) / 6)
    assert 0 < found.low < found.estimate < found.high < 1


@pytest.mark.parametrize("level", [0.9, 0.95])
def test_probability_of_improvement_ends_where_hanley_and_mcneils_variance_says(x, y, level):
    found = stats.probability_of_improvement(x, y, level)
    z, others = distributions.norm.ppf((1 + level) / 2), (len(x) + len(y)) / 2 - 1
    for end in (found.low, found.high):
        pairs = end / (2 - end) - end**2 + 2 * end**2 / (1 + end) - end**2
        variance = (end * (1 - end) + others * pairs) / (len(x) * len(y))
        assert (end - found.estimate) ** 2 == pytest.approx(z**2 * variance, rel=1e-9)


def test_probability_of_improvement_keeps_an_interval_at_its_bounds_and_turns_over():
    x, y = np.arange(8.0) + 10, np.arange(8.0)
    better, worse = stats.probability_of_improvement(x, y), stats.probability_of_improvement(y, x)
    assert (better.estimate, better.high) == (1.0, 1.0)
    assert 0.5 < better.low < 0.9
    assert worse == pytest.approx((0.0, 0.0, 1 - better.low), abs=1e-9)


def test_equivalence_and_non_inferiority_take_the_ends_at_their_word():
    found = stats.Interval(0.0, -0.04, 0.03)
    assert stats.equivalent(found, -0.05, 0.05)
    assert not stats.equivalent(found, -0.03, 0.05)
    assert not stats.equivalent(found, -0.05, 0.02)
    assert stats.non_inferior(found, -0.05)
    assert not stats.non_inferior(found, -0.04)


scores = st.lists(st.integers(0, 20), min_size=2, max_size=12).map(lambda values: np.array(values, dtype=float))


@settings(deadline=None)
@given(scores, scores)
def test_intervals_hold_their_estimate_and_stay_finite(x, y):
    found = stats.difference(x, y, rng(), resamples=200)
    low, high = found.interval()
    assert np.isfinite([low, high]).all()
    assert low <= found.value <= high


@settings(deadline=None)
@given(scores, st.floats(0.5, 4), st.integers(-5, 5))
def test_intervals_follow_a_change_of_units(x, factor, shift):
    low, high = stats.mean(x, rng(), resamples=200).interval()
    moved = stats.mean(factor * x + shift, rng(), resamples=200).interval()
    assert moved == pytest.approx((factor * low + shift, factor * high + shift), abs=1e-9)


def test_gaps_are_filled_with_the_last_value_before_them():
    nan = np.nan
    filled = stats.forward_filled(np.array([[nan, 1, nan, nan, 2, nan], [nan] * 6]))
    np.testing.assert_equal(filled, [[nan, 1, 1, 1, 2, 2], [nan] * 6])
