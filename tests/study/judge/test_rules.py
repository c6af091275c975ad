"""Every outcome is reached, every rule can fail, and what should have no say has none."""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnorm import stats
from rlnorm.errors import ConfigError
from rlnorm.study.claim import Metric, Question
from rlnorm.study.judge.rules import DECIDED_BY, judge
from rlnorm.study.judge.verdict import EffectDetails, Judgement, Sample

AUC = Metric("return_auc", "higher", "normalized return", 0.0, 1.0)
PLAIN = Metric("score", "higher", "score")
ERROR = Metric("error", "lower", "test error")
TIME = Metric("seconds", "lower", "seconds")
SOUND = Metric("sound", "higher", "share of sound runs", binary=True)

SUPERIOR = Question(asks="superior", treatment="layer", reference="none", margin=0.05)
NOT_BETTER = replace(SUPERIOR, asks="not better")
EQUIVALENT = replace(SUPERIOR, asks="equivalent")
NON_INFERIOR = replace(SUPERIOR, asks="non-inferior")


def arm(mean: float, sd: float = 0.02, n: int = 16, diverged: int = 0) -> Sample:
    """n scores of exactly this mean and standard deviation; the first `diverged` of them are marked."""
    scores = np.random.default_rng(n).normal(size=n)
    scores = mean + sd * (scores - scores.mean()) / scores.std()
    return Sample(scores, np.arange(n) < diverged)


def details(judgement: Judgement) -> EffectDetails:
    assert isinstance(judgement.details, EffectDetails)
    return judgement.details


def between(one: float | None, other: float | None) -> float:
    assert one is not None
    assert other is not None
    return (one + other) / 2


def arms(layer: Sample, none: Sample, **others: Sample) -> dict[str, Sample]:
    return {"layer": layer, "none": none, **others}


# (benefit, sd) of the treatment -> the outcome of each question at a margin of 0.05
OUTCOMES: Mapping[tuple[float, float], Mapping[str, str]] = {
    (0.2, 0.02): {
        "superior": "supported",
        "not better": "refuted",
        "equivalent": "refuted",
        "non-inferior": "supported",
    },
    (-0.2, 0.02): {
        "superior": "refuted",
        "not better": "supported",
        "equivalent": "refuted",
        "non-inferior": "refuted",
    },
    (0.0, 0.02): {
        "superior": "refuted",
        "not better": "supported",
        "equivalent": "supported",
        "non-inferior": "supported",
    },
    (0.05, 0.02): dict.fromkeys(("superior", "not better", "equivalent"), "inconclusive")
    | {"non-inferior": "supported"},
    (-0.05, 0.02): {
        "superior": "refuted",
        "not better": "supported",
        "equivalent": "inconclusive",
        "non-inferior": "inconclusive",
    },
    (0.0, 0.4): dict.fromkeys(DECIDED_BY, "inconclusive"),
}


@pytest.mark.parametrize("asks", DECIDED_BY)
@pytest.mark.parametrize(("benefit", "sd"), OUTCOMES)
@pytest.mark.parametrize("metric", [AUC, ERROR], ids=["higher", "lower"])
def test_every_question_meets_every_outcome(asks, benefit, sd, metric):
    sign = 1 if metric.better == "higher" else -1
    found = judge(replace(SUPERIOR, asks=asks), arms(arm(0.5 + sign * benefit, sd), arm(0.5, sd)), metric)
    assert found.outcome == OUTCOMES[benefit, sd][asks]
    assert found.estimate == pytest.approx(sign * benefit, abs=1e-9)
    assert found.low is not None
    assert found.high is not None
    assert found.low < sign * benefit < found.high


def test_the_table_above_reaches_every_outcome_of_every_question():
    for asks in DECIDED_BY:
        assert {row[asks] for row in OUTCOMES.values()} == {"supported", "refuted", "inconclusive"}


@pytest.mark.parametrize(
    ("question", "level"), [(SUPERIOR, 0.95), (NOT_BETTER, 0.95), (EQUIVALENT, 0.9), (NON_INFERIOR, 0.9)]
)
def test_each_question_shows_the_interval_of_its_level(question, level):
    samples = arms(arm(0.6), arm(0.5))
    found = judge(question, samples, AUC, rng_seed=3)
    layer, none = (np.sort(samples[name].scores) for name in ("layer", "none"))
    low, high = stats.difference(layer, none, np.random.default_rng(3)).interval(level)
    assert (found.level, found.low, found.high) == (level, low, high)


def test_the_ninety_percent_interval_decides_equivalence_and_the_other_does_not():
    """Ends between the two levels: inside the margin at 90 %, outside at 95 %."""
    samples = arms(arm(0.5, 0.06), arm(0.5, 0.06))
    intervals = details(judge(EQUIVALENT, samples, AUC)).intervals
    margin = -between(intervals["90"].low, intervals["95"].low)
    assert judge(replace(NON_INFERIOR, margin=margin), samples, AUC).outcome == "supported"
    margin = between(intervals["90"].high, intervals["95"].high)
    assert judge(replace(EQUIVALENT, margin=margin), samples, AUC).outcome == "supported"
    assert judge(replace(NOT_BETTER, margin=margin), samples, AUC).outcome == "inconclusive"


# -- ratios


@pytest.mark.parametrize(
    ("factor", "asks", "outcome"),
    [
        (0.5, "superior", "supported"),
        (0.5, "not better", "refuted"),
        (0.5, "non-inferior", "supported"),
        (2.0, "superior", "refuted"),
        (2.0, "non-inferior", "refuted"),
        (2.0, "equivalent", "refuted"),
        (1.0, "equivalent", "supported"),
        (1 / 1.25, "superior", "inconclusive"),
    ],
)
def test_times_are_better_by_the_margin_below_its_inverse(factor, asks, outcome):
    question = replace(SUPERIOR, asks=asks, margin=1.25, scale="ratio")
    found = judge(question, arms(arm(10 * factor, 0.5 * factor), arm(10, 0.5)), TIME)
    assert found.outcome == outcome
    assert found.estimate == pytest.approx(factor)
    assert found.low < factor < found.high
    rate = replace(TIME, better="higher")
    assert judge(question, arms(arm(10 / factor, 0.5 / factor), arm(10, 0.5)), rate).outcome == outcome


def test_a_ratio_of_scores_that_are_not_positive_is_insufficient_not_an_error():
    question = replace(SUPERIOR, margin=1.25, scale="ratio")
    found = judge(question, arms(arm(0.0), arm(1.0)), TIME)
    assert (found.outcome, found.estimate) == ("insufficient", None)
    assert "above 0" in found.reason


@pytest.mark.parametrize(("scale", "margin"), [("ratio", 0.05), ("difference", -0.05)])
def test_a_margin_that_makes_no_sense_is_refused(scale, margin):
    with pytest.raises(ConfigError, match=f"got {margin:g}"):
        judge(replace(SUPERIOR, margin=margin, scale=scale), arms(arm(1), arm(1)), PLAIN)


# -- assay sensitivity


@pytest.mark.parametrize(
    "question", [SUPERIOR, NOT_BETTER, EQUIVALENT, NON_INFERIOR], ids=lambda question: question.asks
)
@pytest.mark.parametrize(("reference", "word"), [(0.2, "floor"), (0.95, "ceiling"), (0.3, None), (0.85, None)])
def test_no_effect_needs_headroom_below_and_above(question, reference, word):
    found = judge(question, arms(arm(reference), arm(reference)), AUC)
    if word is None:
        assert found.outcome in ("supported", "refuted")
    else:
        assert found.outcome == "insufficient"
        assert word in found.reason
    assert judge(question, arms(arm(reference), arm(reference)), PLAIN).outcome in ("supported", "refuted")


def test_headroom_is_measured_from_random_to_reachable():
    error = Metric("error", "lower", "test error", random=0.9, reachable=0.0)
    question = replace(NOT_BETTER, margin=0.01)
    for reference, outcome in ((0.8, "insufficient"), (0.4, "supported"), (0.05, "insufficient")):
        assert judge(question, arms(arm(reference, 0.005), arm(reference, 0.005)), error).outcome == outcome


def test_an_effect_that_shows_needs_no_room():
    assert judge(NOT_BETTER, arms(arm(0.5), arm(0.1)), AUC).outcome == "refuted"
    assert judge(SUPERIOR, arms(arm(0.5), arm(0.1)), AUC).outcome == "supported"
    assert judge(NON_INFERIOR, arms(arm(0.5), arm(0.95)), AUC).outcome == "refuted"


CONTROLLED = [replace(q, negative_control="broken") for q in (SUPERIOR, NOT_BETTER, EQUIVALENT, NON_INFERIOR)]


@pytest.mark.parametrize("question", CONTROLLED, ids=lambda question: question.asks)
@pytest.mark.parametrize(
    ("broken", "told_apart"),
    [
        (arm(0.3), True),
        (arm(0.3, n=8), True),
        (arm(0.499), False),
        (arm(0.7), False),
        (arm(0.3, n=7), False),
        (arm(0.3, n=24), False),
        (None, False),
    ],
)
def test_no_effect_needs_a_negative_control_told_apart_at_the_same_n(question, broken, told_apart):
    samples = arms(arm(0.5), arm(0.5)) | ({} if broken is None else {"broken": broken})
    found = judge(question, samples, AUC)
    control = details(found).negative_control
    assert control is not None
    assert control.told_apart is told_apart
    assert (found.outcome != "insufficient") is told_apart
    assert ("is not told apart" in found.reason) is not told_apart


def test_a_refuted_verdict_needs_no_negative_control():
    samples = arms(arm(0.7), arm(0.5), broken=arm(0.5))
    assert judge(replace(NOT_BETTER, negative_control="broken"), samples, AUC).outcome == "refuted"


# -- few runs, bad scores


@pytest.mark.parametrize(
    "question", [SUPERIOR, NOT_BETTER, EQUIVALENT, NON_INFERIOR], ids=lambda question: question.asks
)
def test_seven_runs_in_either_arm_are_too_few_and_the_estimate_is_still_given(question):
    for samples in (arms(arm(0.9, n=7), arm(0.5)), arms(arm(0.9), arm(0.5, n=7))):
        found = judge(question, samples, AUC)
        assert (found.outcome, found.n) == ("insufficient", 7)
        assert "7 runs, at least 8" in found.reason
        assert found.estimate == pytest.approx(0.4)
        assert found.low is not None
        assert found.high is not None
        assert found.low < 0.4 < found.high
    assert judge(SUPERIOR, arms(arm(0.9, n=8), arm(0.5, n=8)), AUC).outcome == "supported"


def test_one_run_gives_an_estimate_without_an_interval_and_none_gives_neither():
    found = judge(SUPERIOR, arms(Sample(np.array([0.9]), np.array([False])), arm(0.5)), AUC)
    assert (found.outcome, found.low, found.high) == ("insufficient", None, None)
    assert found.estimate == pytest.approx(0.4)
    for samples in ({"none": arm(0.5)}, {}):
        found = judge(SUPERIOR, samples, AUC)
        assert (found.outcome, found.estimate, found.n) == ("insufficient", None, 0)
        assert "layer has 0 runs" in found.reason


@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (Sample(np.array([0.1, np.nan]), np.zeros(2, dtype=bool)), "must be finite"),
        (Sample(np.zeros((2, 2)), np.zeros((2, 2), dtype=bool)), r"must both be \(n,\)"),
        (Sample(np.zeros(3), np.zeros(2, dtype=bool)), r"must both be \(n,\)"),
    ],
)
def test_scores_that_are_none_are_refused_with_the_arms_name(sample, sentence):
    with pytest.raises(ValueError, match=f"arm 'layer': .*{sentence}"):
        judge(SUPERIOR, arms(sample, arm(0.5)), AUC)


def test_no_spread_at_all_is_judged_by_the_point():
    flat = Sample(np.full(8, 0.5), np.zeros(8, dtype=bool))
    found = judge(EQUIVALENT, arms(flat, flat), AUC)
    assert (found.outcome, found.low, found.high) == ("supported", 0.0, 0.0)


# -- diverged runs and shares


def test_diverged_runs_are_reported_by_arm_and_together():
    found = judge(SUPERIOR, arms(arm(0.5, diverged=4), arm(0.5, n=8)), AUC)
    assert found.diverged == pytest.approx(4 / 24)
    assert (details(found).divergence.treatment, details(found).divergence.reference) == (0.25, 0.0)
    expected = stats.proportion_difference(4, 16, 0, 8)
    assert (
        details(found).divergence.difference,
        details(found).divergence.low,
        details(found).divergence.high,
    ) == expected
    assert details(judge(SUPERIOR, {"layer": arm(0.5)}, AUC)).divergence.difference is None


def test_the_verdict_itself_takes_scores_as_they_are():
    kept, marked = (judge(SUPERIOR, arms(arm(0.5, diverged=k), arm(0.5)), AUC) for k in (0, 16))
    assert (kept.outcome, kept.low, kept.high) == (marked.outcome, marked.low, marked.high)


def test_shares_without_a_single_failure_are_not_taken_for_equal():
    """Sixteen sound runs against sixteen: as plain scores a point at 0, as shares +-0.19."""
    sound = Sample(np.ones(16), np.zeros(16, dtype=bool))
    assert judge(EQUIVALENT, arms(sound, sound), replace(SOUND, binary=False)).outcome == "supported"
    found = judge(EQUIVALENT, arms(sound, sound), SOUND)
    assert (found.outcome, details(found).method) == ("inconclusive", "newcombe")
    failed = Sample(np.zeros(16), np.zeros(16, dtype=bool))
    assert judge(SUPERIOR, arms(sound, failed), SOUND).outcome == "supported"
    assert judge(SUPERIOR, arms(sound, failed), replace(SOUND, better="lower")).outcome == "refuted"
    with pytest.raises(ValueError, match="each run scores 0 or 1"):
        judge(SUPERIOR, arms(sound, arm(0.5)), SOUND)


# -- what is told


def test_details_are_json_and_hold_what_a_report_needs():
    found = judge(replace(NOT_BETTER, negative_control="broken"), arms(arm(0.5), arm(0.5), broken=arm(0.3)), AUC)
    told = json.loads(json.dumps(asdict(details(found)), allow_nan=False))
    assert set(told["arms"]) == {"layer", "none", "broken"}
    assert set(told["arms"]["layer"]) == {"n", "mean", "low", "high", "iqm", "standing", "diverged"}
    assert set(told["intervals"]) == {"95", "90"}
    assert set(told["probability_of_improvement"]) == {"estimate", "low", "high"}
    assert told["method"] == stats.METHOD
    json.dumps(asdict(details(judge(SUPERIOR, {}, AUC))), allow_nan=False)


@pytest.mark.parametrize(
    ("benefit", "holds"),
    [
        (0.2, (True, True, False, False, False, True)),
        (0.04, (True, None, False, False, None, True)),
        (0.03, (True, False, False, False, True, True)),
        (0.0, (None, False, None, False, True, True)),
        (-0.04, (False, False, True, None, None, None)),
        (-0.2, (False, False, True, True, False, False)),
    ],
)
def test_parts_tell_benefit_harm_equivalence_and_non_inferiority(benefit, holds):
    answers = details(judge(NOT_BETTER, arms(arm(0.5 + benefit), arm(0.5)), AUC)).answers
    names = ("benefit", "benefit_by_margin", "harm", "harm_by_margin", "equivalence", "non_inferiority")
    assert tuple(answers) == names
    assert tuple(answers[name].holds for name in names) == holds
    assert all(answers[name].words.startswith("undecided") == (answers[name].holds is None) for name in names)


def test_the_reason_is_one_sentence_with_the_numbers():
    found = judge(NOT_BETTER, arms(arm(0.7), arm(0.5, n=8)), AUC)
    assert found.reason == (
        f"normalized return, layer minus none is +0.2 (95 % interval {found.low:.3g} to {found.high:.3g}, "
        "n = 16 and 8): better by more than the margin (margin 0.05)."
    )


# -- what has no say


@settings(deadline=None, max_examples=60)
@given(st.permutations(range(10)), st.permutations(range(10)))
def test_the_order_of_seeds_changes_nothing(first, second):
    layer, none = arm(0.6, 0.1, n=10, diverged=3), arm(0.5, 0.1, n=10)
    there = judge(SUPERIOR, arms(layer, none), AUC)
    mixed = [
        Sample(each.scores[order], each.diverged[order]) for each, order in ((layer, list(first)), (none, list(second)))
    ]
    assert judge(SUPERIOR, arms(*mixed), AUC) == there


def test_arms_that_are_not_asked_about_change_nothing():
    plain, crowded = (
        judge(SUPERIOR, samples, AUC)
        for samples in (
            arms(arm(0.6), arm(0.5)),
            {"batch": arm(0.1), **arms(arm(0.6), arm(0.5))},
        )
    )
    assert replace(plain, details=None) == replace(crowded, details=None)
