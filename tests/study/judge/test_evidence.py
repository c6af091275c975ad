"""Pairs, spreads, standardized effects, controls and p-values: against scipy, by laws and by simulation in small."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from scipy import stats as distributions

from rlnorm import stats
from rlnorm.study.claim import Metric, Question
from rlnorm.study.judge.evidence import Arm, paired
from rlnorm.study.judge.rules import DECIDED_BY, judge
from rlnorm.study.judge.verdict import EffectDetails, Judgement, Sample

PLAIN = Metric("score", "higher", "score")
ERROR = Metric("error", "lower", "error")
SUPERIOR = Question(asks="superior", treatment="layer", reference="none", margin=0.05)
PAIRED = replace(SUPERIOR, paired=True)
SPREAD = replace(SUPERIOR, scale="spread", margin=1.25)
EFFECTS = replace(SUPERIOR, scale="standardized", margin=0.2)

Scores = Sequence[float] | np.ndarray


def sample(scores: Scores, second: Scores | None = None, first_seed: int = 8) -> Sample:
    scores = np.array(scores, dtype=float)
    seeds = np.arange(first_seed, first_seed + len(scores))
    return Sample(scores, np.zeros(len(scores), dtype=bool), seeds, None if second is None else np.array(second))


def picked(whole: Sample, order: Any) -> Sample:
    """The same runs in this order."""
    own = (whole.scores, whole.diverged, whole.seeds, whole.second)
    return Sample(*(None if each is None else each[order] for each in own))  # pyright: ignore[reportArgumentType]


def draws(seed: int, n: int = 16) -> np.random.Generator:
    return np.random.default_rng([seed, n])


def details(judgement: Judgement) -> EffectDetails:
    assert isinstance(judgement.details, EffectDetails)
    return judgement.details


whole_runs = st.lists(st.integers(-20, 20), min_size=8, max_size=12)
law = settings(deadline=None, max_examples=25)


def welch(x: np.ndarray, y: np.ndarray, alternative: str) -> float:
    """scipy's p-value of the difference of two means."""
    found = distributions.ttest_ind(x, y, equal_var=False, alternative=alternative)
    return float(found.pvalue)  # pyright: ignore[reportAttributeAccessIssue]


def resampled(x: np.ndarray, y: np.ndarray, alternative: str) -> float:
    """The proportion of resamples whose studentized deviation is as large as that of the difference from 0."""
    found = stats.difference(np.sort(x), np.sort(y), np.random.default_rng(0))
    beyond = found.deviation / np.maximum(found.se_star, stats.FLOOR * found.se) - found.theta / found.se
    return float((beyond >= 0 if alternative == "greater" else beyond <= 0).mean())


class TestPairs:
    def test_the_interval_is_that_of_the_differences_and_as_wide_as_students_at_least(self):
        rng = draws(0)
        luck, gain = rng.normal(size=16), 0.3 + 0.1 * rng.normal(size=16)
        for metric, sign in ((PLAIN, 1), (ERROR, -1)):
            found = judge(PAIRED, {"layer": sample(sign * (luck + gain)), "none": sample(sign * luck)}, metric)
            test = distributions.ttest_rel(luck + gain, luck)
            low, high = test.confidence_interval(0.95)
            assert found.outcome == "supported"
            assert found.estimate == pytest.approx(sign * gain.mean())
            assert found.low is not None
            assert found.high is not None
            assert sorted((sign * found.low, sign * found.high))[0] <= low + 1e-9
            assert sorted((sign * found.low, sign * found.high))[1] >= high - 1e-9
            assert found.high - found.low < 1.3 * (high - low)
            beyond = distributions.ttest_rel(luck + gain - PAIRED.margin, luck, alternative="greater")
            assert found.relative_p is not None
            assert found.relative_p >= 0.99 * beyond.pvalue / 0.025

    @law
    @given(whole_runs, st.randoms(use_true_random=False))
    def test_the_order_of_runs_in_either_arm_changes_nothing(self, scores: list[int], random: Any):
        layer, none = sample([s + i % 3 for i, s in enumerate(scores)]), sample(list(map(float, scores)))
        there = judge(PAIRED, {"layer": layer, "none": none}, PLAIN)
        orders = [random.sample(range(len(scores)), len(scores)) for _ in range(2)]
        mixed = {"layer": picked(layer, orders[0]), "none": picked(none, orders[1])}
        assert judge(PAIRED, mixed, PLAIN) == there

    def test_seeds_of_one_arm_alone_have_no_say_in_the_difference(self):
        rng = draws(1)
        none, layer = rng.normal(size=12), rng.normal(size=12)
        whole = judge(PAIRED, {"layer": sample(layer), "none": sample(none)}, PLAIN)
        more = judge(PAIRED, {"layer": sample([*layer, 99.0, -99.0]), "none": sample(none)}, PLAIN)
        assert (more.estimate, more.low, more.high, more.n) == (whole.estimate, whole.low, whole.high, 12)
        assert "12 pairs" in more.reason

    def test_seven_pairs_are_too_few_however_many_runs_there_are(self):
        rng = draws(2)
        for apart, pairs in ((9, 7), (16, 0)):
            arms = {"layer": sample(1 + rng.normal(size=16)), "none": sample(rng.normal(size=16), None, 8 + apart)}
            found = judge(PAIRED, arms, PLAIN)
            assert (found.outcome, found.n) == ("insufficient", pairs)
            assert f"layer has {pairs} runs with a partner of the same seed, at least 8 are needed" in found.reason
        assert judge(replace(PAIRED, paired=False), arms, PLAIN).outcome != "insufficient"

    def test_a_control_is_told_apart_by_its_pairs(self):
        """Worse by a hair in every seed: two means do not show it, differences do, and seven of them are too few."""
        rng = draws(3)
        luck = rng.normal(size=16)
        for question, first_seed, outcome in (
            (PAIRED, 8, "refuted"),
            (replace(PAIRED, paired=False), 8, "insufficient"),
            (PAIRED, 17, "insufficient"),
        ):
            asked = replace(question, negative_control="worse", margin=2.0)
            partners = sample(np.r_[luck, rng.normal(size=16)][first_seed - 8 :][:16] - 0.1, None, first_seed)
            arms = {"layer": sample(luck + 0.01 * rng.normal(size=16)), "none": sample(luck), "worse": partners}
            assert judge(asked, arms, PLAIN).outcome == outcome

    def test_runs_without_seeds_cannot_be_paired(self):
        bare = Sample(np.arange(8.0), np.zeros(8, dtype=bool))
        with pytest.raises(ValueError, match="an arm came without seeds"):
            judge(PAIRED, {"layer": bare, "none": sample(np.arange(8.0))}, PLAIN)

    @law
    @given(whole_runs, whole_runs)
    def test_turning_scores_and_their_orientation_over_changes_nothing(self, layer: list[int], none: list[int]):
        there = judge(PAIRED, {"layer": sample(layer), "none": sample(none)}, PLAIN)
        turned = {name: sample(-np.array(scores)) for name, scores in (("layer", layer), ("none", none))}
        back = judge(PAIRED, turned, ERROR)
        assert there.low is not None
        assert there.high is not None
        assert (back.outcome, back.low, back.high) == (there.outcome, -there.high, -there.low)


def test_pairs_of_scores_by_hand():
    layer, none = (Arm.of(name, each, PLAIN) for name, each in (
        ("layer", sample([1.0, 5.0, 9.0], None, 8)), ("none", sample([1.0, 2.0, 4.0], None, 9))))  # fmt: skip
    np.testing.assert_equal(paired(layer, none), [4.0, 7.0])


def held(truth: float, repetitions: int, draw: Callable[[np.random.Generator], stats.Estimate]) -> float:
    """How often the 95 % interval holds the truth."""
    rng = np.random.default_rng(5)
    ends = [draw(rng).interval(0.95) for _ in range(repetitions)]
    return float(np.mean([low <= truth <= high for low, high in ends]))


class TestSpreads:
    def test_half_the_spread_is_better_whichever_way_scores_are(self):
        rng = draws(4)
        none = rng.normal(size=32)
        for metric in (PLAIN, ERROR):
            found = judge(SPREAD, {"layer": sample(0.4 * none + 7), "none": sample(none)}, metric)
            assert (found.outcome, details(found).scale, details(found).better) == ("supported", "ratio", "lower")
            assert found.estimate == pytest.approx(0.4)
            assert found.reason.startswith("spread of ")
            turned = judge(SPREAD, {"layer": sample(none / 0.4 + 7), "none": sample(none)}, metric)
            assert turned.outcome == "refuted"

    def test_a_better_mean_is_told_as_the_metric_has_it(self):
        """A question of spreads does not turn the probability round that a run is better."""
        none = draws(4).normal(size=16)
        found = judge(SPREAD, {"layer": sample(none + 100), "none": sample(none)}, PLAIN)
        assert details(found).probability_of_improvement.estimate == 1
        assert found.estimate == pytest.approx(1)

    @law
    @given(whole_runs, whole_runs, st.integers(-20, 20), st.integers(1, 9))
    # Resamples without the one run that differs: nothing varies in them but by rounding.
    @example([0] * 8 + [1], [0] * 7 + [1], 0, 3)
    def test_shifts_and_a_common_factor_change_nothing_and_exchange_inverts(self, one, other, shift, factor):
        assume(np.ptp(one) > 0 and np.ptp(other) > 0)

        def ends(a: Scores, b: Scores) -> tuple[float, ...]:
            found = judge(SPREAD, {"layer": sample(a), "none": sample(b)}, PLAIN)
            assert found.estimate is not None
            assert found.low is not None
            assert found.high is not None
            return found.estimate, found.low, found.high

        there = ends(one, other)
        assert there[0] == pytest.approx(np.std(one, ddof=1) / np.std(other, ddof=1))
        moved = ends(factor * np.array(one) + shift, factor * np.array(other))
        assert moved == pytest.approx(there, rel=1e-6)
        back = ends(other, one)
        assert back[0] == pytest.approx(1 / there[0])

    @pytest.mark.parametrize("flat", ["layer", "none"])
    def test_an_arm_that_does_not_vary_has_no_ratio(self, flat: str):
        arms = {"layer": sample(np.arange(8.0)), "none": sample(np.arange(8.0)), flat: sample(np.full(8, 0.5))}
        found = judge(SPREAD, arms, PLAIN)
        assert (found.outcome, found.estimate) == ("insufficient", None)
        assert "a ratio of spreads needs scores that vary in both arms" in found.reason
        with pytest.raises(ValueError, match="scores that vary in both arms"):
            stats.spread_ratio(arms["layer"].scores, arms["none"].scores, np.random.default_rng(0))

    def test_coverage_for_normal_scores_and_one_arm_that_is_wider_than_told(self):
        def draw(rng: np.random.Generator) -> stats.Estimate:
            return stats.spread_ratio(2 * rng.normal(size=16), rng.normal(size=16), rng, 300)

        # 400 repetitions: three standard errors are 3.3 points.
        assert held(2.0, 400, draw) > 0.91
        assert held(1.0, 400, draw) < 0.5


class TestStandardized:
    def test_by_hand(self):
        none = np.array([[1.0, 10.0], [3.0, 30.0]] * 4)
        layer = none + np.array([2.0, 10.0])
        # Standard deviations over runs are 1 and 10, so the effects are 2 and 1.
        found = stats.effect_difference(layer, none, np.random.default_rng(0), 200)
        assert float(found.value) == pytest.approx(1.0)

    @law
    @given(st.integers(0, 10_000), st.floats(0.1, 10), st.floats(-5, 5))
    def test_units_of_either_score_change_nothing_and_exchange_turns_the_sign(self, seed, factor, shift):
        rng = draws(seed)
        x, y = rng.normal(size=(10, 2)), rng.normal(size=(12, 2))

        def of(x: np.ndarray, y: np.ndarray) -> stats.Estimate:
            return stats.effect_difference(x, y, np.random.default_rng(0), 50)

        there = of(x, y)
        units, zero = np.array([factor, 1.0]), np.array([shift, -shift])
        for other in (of(units * x + zero, units * y + zero),):
            assert (float(other.theta), float(other.se)) == pytest.approx((float(there.theta), float(there.se)))
        for turned in (of(y, x), of(x[:, ::-1], y[:, ::-1])):
            assert (float(turned.theta), float(turned.se)) == pytest.approx((-float(there.theta), float(there.se)))

    def test_each_score_counts_the_way_its_metric_is_better(self):
        rng = draws(6, 32)
        none, layer = rng.normal(size=(2, 32)), rng.normal(size=(2, 32)) + np.array([[2.0], [0.0]])
        for first, second in ((PLAIN, PLAIN), (ERROR, PLAIN), (PLAIN, ERROR), (ERROR, ERROR)):
            signs = [1 if metric.better == "higher" else -1 for metric in (first, second)]
            arms = {
                name: sample(signs[0] * each[0], signs[1] * each[1])
                for name, each in (("layer", layer), ("none", none))
            }
            found = judge(EFFECTS, arms, first, second_metric=second)
            assert (found.outcome, details(found).better) == ("supported", "higher")
            assert found.estimate is not None
            assert found.estimate > 1

    @pytest.mark.parametrize("flat", [0, 1])
    def test_scores_that_do_not_vary_have_no_standard_deviation(self, flat: int):
        both = [np.arange(8.0), np.arange(8.0)]
        both[flat] = np.ones(8)
        arms = {"layer": sample(both[0], both[1]), "none": sample(np.arange(8.0), np.arange(8.0))}
        found = judge(EFFECTS, arms, PLAIN, second_metric=PLAIN)
        assert (found.outcome, found.estimate) == ("insufficient", None)
        assert "a standardized effect needs scores that vary" in found.reason

    def test_one_run_gives_no_estimate_and_no_error(self):
        arms = {"layer": sample([1.0], [1.0]), "none": sample(np.arange(8.0), np.arange(8.0))}
        assert judge(EFFECTS, arms, PLAIN, second_metric=PLAIN).estimate is None

    def test_coverage_at_no_effect_and_of_a_wrong_truth(self):
        def draw(rng: np.random.Generator) -> stats.Estimate:
            # The two scores of a run go along with each other, as those of one network do.
            mix = np.array([[1.0, 0.5], [0.0, 0.8]])
            return stats.effect_difference(rng.normal(size=(24, 2)) @ mix, rng.normal(size=(24, 2)) @ mix, rng, 300)

        assert held(0.0, 300, draw) > 0.91
        assert held(1.5, 300, draw) < 0.5


def arm(mean: float, sd: float = 0.02, n: int = 16) -> Sample:
    """n scores of exactly this mean and standard deviation."""
    scores = np.random.default_rng(n).normal(size=n)
    return sample(mean + sd * (scores - scores.mean()) / scores.std())


class TestControls:
    @pytest.mark.parametrize(
        ("positive", "told"),
        [
            (arm(0.7), None),
            (arm(0.5), "better is not told apart: not seen to be better than none"),
            (arm(0.3), "better is not told apart: not seen to be better than none"),
            (arm(0.7, n=7), "better is not told apart: 7 runs where 8 to 16 are needed"),
            (arm(0.7, n=24), "better is not told apart: 24 runs where 8 to 16 are needed"),
        ],
    )
    @pytest.mark.parametrize("asks", ["not better", "superior"])
    def test_no_effect_needs_a_positive_control_told_apart_too(self, asks, positive: Sample, told: str | None):
        question = replace(SUPERIOR, asks=asks, negative_control="worse", positive_control="better")
        samples = {"layer": arm(0.5), "none": arm(0.5), "worse": arm(0.3), "better": positive}
        found = judge(question, samples, PLAIN)
        control = details(found).positive_control
        assert control is not None
        assert control.told_apart is (told is None)
        assert (found.outcome == "insufficient") is (told is not None)
        assert told is None or found.reason.endswith(f"{told}.")
        lower = judge(question, {name: sample(-each.scores) for name, each in samples.items()}, ERROR)
        assert lower.outcome == found.outcome

    def test_the_negative_control_is_named_first_where_both_fail(self):
        question = replace(SUPERIOR, negative_control="worse", positive_control="better")
        found = judge(question, dict.fromkeys(("layer", "none", "worse", "better"), arm(0.5)), PLAIN)
        assert found.reason.endswith("worse is not told apart: not seen to be worse than none.")

    @pytest.mark.parametrize(("asks", "outcome"), [("not better", "supported"), ("superior", "refuted")])
    def test_plain_harm_needs_no_sensitivity(self, asks, outcome: str):
        """An interval below no effect misses no benefit, whatever stands of the controls, floor and ceiling."""
        metric = replace(PLAIN, random=0.0, reachable=1.0)
        question = replace(SUPERIOR, asks=asks, negative_control="worse")
        for none in (0.1, 0.5, 0.95):
            samples = {"layer": arm(none - 0.04), "none": arm(none), "worse": arm(none)}
            assert judge(question, samples, metric).outcome == outcome
            same = {**samples, "layer": arm(none)}
            assert judge(question, same, metric).outcome == "insufficient"

    @pytest.mark.parametrize("asks", ["equivalent", "non-inferior"])
    def test_harm_within_the_margin_says_nothing_of_being_the_same(self, asks):
        question = replace(SUPERIOR, asks=asks, margin=0.2, negative_control="worse")
        found = judge(question, {"layer": arm(0.46), "none": arm(0.5), "worse": arm(0.5)}, PLAIN)
        assert details(found).answers["harm"].holds is True
        assert found.outcome == "insufficient"


class TestRelativeP:
    """Every decision's p-value at the margin that it is taken at, over what its level allows."""

    @pytest.mark.parametrize(
        ("asks", "gain", "at", "alternative", "allowed"),
        [
            ("superior", 0.4, 0.2, "greater", 0.025),
            ("superior", -0.2, 0.2, "less", 0.025),
            ("not better", 0.4, 0.2, "greater", 0.025),
            ("not better", -0.2, 0.2, "less", 0.025),
            ("non-inferior", 0.0, -0.2, "greater", 0.05),
            ("non-inferior", -0.6, -0.2, "less", 0.025),
            ("equivalent", -0.6, -0.2, "less", 0.025),
            ("equivalent", 0.4, 0.2, "greater", 0.025),
        ],
    )
    @pytest.mark.parametrize("metric", [PLAIN, ERROR], ids=["higher", "lower"])
    def test_is_the_larger_of_welchs_and_the_resamples(
        self, asks, gain: float, at: float, alternative: str, allowed: float, metric: Metric
    ):
        rng, sign = draws(7), 1 if metric.better == "higher" else -1
        layer, none = 0.2 * rng.normal(size=16) + gain, 0.3 * rng.normal(size=12)
        found = judge(
            replace(SUPERIOR, asks=asks, margin=0.2),
            {"layer": sample(sign * layer), "none": sample(sign * none)},
            metric,
        )
        welchs, resamples = (p(layer - at, none, alternative) for p in (welch, resampled))
        # The resamples are read between two of ten thousand.
        assert found.relative_p == pytest.approx(max(welchs, resamples) / allowed, rel=0.01, abs=1.5e-4 / allowed)

    def test_sees_bad_runs_that_a_longer_study_would_have_met(self):
        """Scores with a long lower tail seem better than they are: Welch's tail far out does not see it."""
        rng = draws(11)
        none, luck = 0.02 * rng.normal(size=16), 0.1 * (rng.exponential(size=16) - 1)
        for layer, least in ((0.2 - luck, 3.0), (0.2 + luck, 0.99)):
            found = judge(SUPERIOR, {"layer": sample(layer), "none": sample(none)}, PLAIN)
            assert found.outcome == "supported"
            assert found.relative_p is not None
            assert found.relative_p >= least * welch(layer - SUPERIOR.margin, none, "greater") / 0.025

    def test_of_equivalence_is_the_larger_of_both_sides(self):
        rng = draws(8)
        layer, none = 0.2 * rng.normal(size=16) + 0.05, 0.2 * rng.normal(size=16)
        question = replace(SUPERIOR, asks="equivalent", margin=0.4)
        found = judge(question, {"layer": sample(layer), "none": sample(none)}, PLAIN)
        below = welch(layer + 0.4, none, "greater")
        above = welch(layer - 0.4, none, "less")
        assert found.outcome == "supported"
        assert found.relative_p is not None
        assert 0.99 * max(below, above) / 0.05 <= found.relative_p <= 1

    @law
    @given(st.sampled_from(list(DECIDED_BY)), whole_runs, whole_runs, st.integers(0, 10))
    def test_is_given_where_something_is_decided_and_is_one_at_most(self, asks, layer, none, margin):
        question = replace(SUPERIOR, asks=asks, margin=margin + 0.437)
        found = judge(question, {"layer": sample(layer), "none": sample(none)}, PLAIN)
        assert (found.relative_p is not None) == (found.outcome in ("supported", "refuted"))
        assert found.relative_p is None or 0 < found.relative_p <= 1

    @law
    @given(whole_runs, whole_runs, st.lists(st.integers(0, 60), min_size=2, max_size=4, unique=True).map(sorted))
    def test_falls_as_the_effect_grows(self, layer, none, shifts):
        assume(np.ptp(layer) > 0)

        def p(shift: int) -> float:
            found = judge(SUPERIOR, {"layer": sample([s + shift for s in layer]), "none": sample(none)}, PLAIN)
            return found.relative_p if found.outcome == "supported" and found.relative_p is not None else np.inf

        found = [p(shift) for shift in shifts]
        # The search for it ends within a thousandth.
        assert all(later <= earlier * 1.003 for earlier, later in pairwise(found))
