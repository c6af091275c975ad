"""Laws of the judge, over random scores: what mirrors a verdict and what must not change it."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rlnorm.study.claim import Metric, Question
from rlnorm.study.judge.rules import DECIDED_BY, judge
from rlnorm.study.judge.verdict import Judgement, Sample

Asks = Literal["superior", "not better", "equivalent", "non-inferior"]
PLAIN = Metric("score", "higher", "score")

runs = st.lists(st.integers(0, 30), min_size=8, max_size=12)
# between the values that differences of whole numbers take, so that no point interval lies on a margin
margins = st.integers(0, 12).map(lambda k: k + 0.437)
questions = st.sampled_from(list(DECIDED_BY))
law = settings(deadline=None, max_examples=60)


def whole(scores: list[int]) -> Sample:
    return Sample(np.array(scores, dtype=float), np.zeros(len(scores), dtype=bool))


def answer(asks: Asks, layer: Sample, none: Sample, margin: float, metric: Metric = PLAIN) -> Judgement:
    return judge(
        Question(asks=asks, treatment="layer", reference="none", margin=margin), {"layer": layer, "none": none}, metric
    )


@law
@given(questions, runs, runs, margins)
def test_turning_scores_and_their_orientation_over_changes_nothing(asks, layer, none, margin):
    there = answer(asks, whole(layer), whole(none), margin)
    turned = [whole([-score for score in scores]) for scores in (layer, none)]
    back = answer(asks, turned[0], turned[1], margin, replace(PLAIN, better="lower"))
    assert back.outcome == there.outcome
    assert there.low is not None
    assert there.high is not None
    assert (back.low, back.high) == (-there.high, -there.low)


@law
@given(runs, runs, margins)
def test_not_better_is_the_mirror_image_of_superior(layer, none, margin):
    mirror = {"supported": "refuted", "refuted": "supported", "inconclusive": "inconclusive"}
    superior, not_better = (answer(asks, whole(layer), whole(none), margin) for asks in ("superior", "not better"))
    assert not_better.outcome == mirror[superior.outcome]


@law
@given(runs, runs, margins, st.integers(1, 5))
def test_a_wider_margin_never_turns_useless_into_useful_nor_the_same_into_undecided(layer, none, margin, wider):
    for asks in ("not better", "equivalent", "non-inferior"):
        if answer(asks, whole(layer), whole(none), margin).outcome == "supported":
            assert answer(asks, whole(layer), whole(none), margin + wider).outcome == "supported"


@law
@given(questions, runs, runs, margins, st.integers(-20, 20))
def test_shifting_both_arms_changes_nothing_without_floor_and_ceiling(asks, layer, none, margin, shift):
    there = answer(asks, whole(layer), whole(none), margin)
    moved = answer(asks, whole([s + shift for s in layer]), whole([s + shift for s in none]), margin)
    assert moved.outcome == there.outcome
    assert (moved.estimate, moved.low, moved.high) == pytest.approx((there.estimate, there.low, there.high), abs=1e-9)
