"""One outcome of many parts, and that many parts err no more often than one."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as distributions

from rlnorm.study.judge.rules import overall
from rlnorm.study.judge.verdict import Judgement, Outcome

Rule = Literal["all", "any"]
OUTCOMES: tuple[Outcome, ...] = ("supported", "refuted", "inconclusive", "insufficient")
ONE: dict[Rule, Outcome] = {"all": "refuted", "any": "supported"}


def judged(outcome: Outcome, relative_p: float = 1e-6) -> Judgement:
    """A part's judgement; what is not decided has no p-value."""
    decided = outcome in ("supported", "refuted")
    return Judgement(outcome, "Made up.", relative_p=relative_p if decided else None)


TABLE: list[tuple[list[Outcome], Outcome, Outcome]] = [
    (["supported", "supported"], "supported", "supported"),
    (["refuted", "refuted"], "refuted", "refuted"),
    (["supported", "refuted"], "refuted", "supported"),
    (["supported", "inconclusive"], "inconclusive", "supported"),
    (["refuted", "inconclusive"], "refuted", "inconclusive"),
    (["supported", "insufficient"], "insufficient", "supported"),
    (["refuted", "insufficient"], "refuted", "insufficient"),
    (["inconclusive", "insufficient"], "insufficient", "insufficient"),
    (["inconclusive"], "inconclusive", "inconclusive"),
    ([], "insufficient", "insufficient"),
]


@pytest.mark.parametrize(("outcomes", "every", "some"), TABLE)
def test_parts_that_are_sure_of_themselves(outcomes: list[Outcome], every: Outcome, some: Outcome):
    parts = [judged(outcome) for outcome in outcomes]
    assert overall(parts, "all") == overall(parts[::-1], "all") == every
    assert overall(parts, "any") == overall(parts[::-1], "any") == some


class TestOneOfManyDecides:
    @pytest.mark.parametrize("rule", ["all", "any"])
    @pytest.mark.parametrize("parts", [1, 2, 6, 18])
    def test_only_where_its_p_value_holds_after_holms_correction(self, rule: Rule, parts: int):
        others = [judged("inconclusive")] * (parts - 1)
        assert overall([judged(ONE[rule], 0.999 / parts), *others], rule) == ONE[rule]
        if parts > 1:
            assert overall([judged(ONE[rule], 1.001 / parts), *others], rule) == "inconclusive"

    def test_what_is_compared_at_unfair_rates_decides_nothing_alone(self):
        parts = [judged("refuted", 1e-6), judged("supported", 0.9)]
        assert overall(parts, "all", [True, True]) == "refuted"
        assert overall(parts, "all", [False, True]) == "inconclusive"
        assert overall([judged("supported"), judged("supported")], "all", [False, True]) == "supported"

    def test_the_smallest_p_value_is_enough_and_the_others_are_not_asked(self):
        assert (
            overall([judged("refuted", 0.9), judged("refuted", 0.4), judged("supported", 0.9)], "all") == "inconclusive"
        )
        assert overall([judged("refuted", 0.9), judged("refuted", 0.3), judged("supported", 0.9)], "all") == "refuted"

    def test_parts_left_to_chance_alone_are_counted(self):
        """Two parts of algebra beside one that is tested are no further chances to err."""
        algebra = judged("supported", relative_p=0.0)
        assert overall([judged("refuted", 0.9), algebra, algebra], "all") == "refuted"
        assert overall([judged("refuted", 0.9), judged("supported", 0.9)], "all") == "inconclusive"

    @given(st.lists(st.sampled_from(OUTCOMES), max_size=20), st.integers(0, 20), st.sampled_from(["all", "any"]))
    def test_what_is_exact_always_decides(self, outcomes: list[Outcome], place: int, rule: Rule):
        parts = [judged(outcome, 0.9) for outcome in outcomes]
        parts.insert(place, judged(ONE[rule], relative_p=0.0))
        assert overall(parts, rule) == ONE[rule]

    @given(st.lists(st.tuples(st.sampled_from(OUTCOMES), st.floats(1e-6, 1)), max_size=8))
    def test_the_rules_mirror_each_other_and_the_order_of_parts_has_no_say(self, drawn: list[tuple[Outcome, float]]):
        mirror: dict[Outcome, Outcome] = {"supported": "refuted", "refuted": "supported"}
        parts = [judged(*each) for each in drawn]
        turned = [judged(mirror.get(outcome, outcome), p) for outcome, p in reversed(drawn)]
        there = overall(parts, "all")
        assert overall(turned, "any") == mirror.get(there, there)

    @given(
        st.lists(st.tuples(st.sampled_from(OUTCOMES), st.floats(1e-6, 1)), min_size=1, max_size=8), st.integers(0, 7)
    )
    def test_a_surer_part_never_takes_a_verdict_back(self, drawn: list[tuple[Outcome, float]], place: int):
        parts = [judged(*each) for each in drawn]
        surer = list(parts)
        i = place % len(parts)
        surer[i] = judged(drawn[i][0], drawn[i][1] / 100)
        for rule in ONE:
            if overall(parts, rule) == ONE[rule]:
                assert overall(surer, rule) == ONE[rule]


PARTS, STUDIES, ALLOWED = 6, 4000, 0.025


@pytest.fixture(scope="module")
def at_the_margin() -> list[list[Judgement]]:
    """Studies of several parts at the margin, where a part is refuted by mistake in one case of forty.

    p-values are scipy's; `test_evidence` holds the judge's to them.
    """
    layer, none = np.random.default_rng(3).normal(size=(2, 16, STUDIES, PARTS))
    test = distributions.ttest_ind(layer, none, equal_var=False, alternative="less")
    p = test.pvalue  # pyright: ignore[reportAttributeAccessIssue]
    return [[judged("refuted" if p <= ALLOWED else "inconclusive", p / ALLOWED) for p in parts] for parts in p]


def refuted(studies: Sequence[Sequence[Judgement]]) -> float:
    return float(np.mean([overall(parts, "all") == "refuted" for parts in studies]))


# Three standard errors of a proportion of one in forty among so many studies: three quarters of a point.
MOST = ALLOWED + 3 * (ALLOWED * (1 - ALLOWED) / STUDIES) ** 0.5


def test_a_claim_of_many_parts_is_refuted_by_mistake_no_more_often_than_a_part_is(at_the_margin):
    assert refuted([parts[:1] for parts in at_the_margin]) == pytest.approx(ALLOWED, abs=MOST - ALLOWED)
    assert refuted(at_the_margin) <= MOST


def test_without_the_correction_the_errors_of_the_parts_add_up(at_the_margin):
    """Refuted if any part is: 1 - 0.975^6 = 14 %."""
    bare = [[judged(part.outcome, 0.0) for part in parts] for parts in at_the_margin]
    assert refuted(bare) == pytest.approx(1 - (1 - ALLOWED) ** PARTS, abs=0.02)
    assert refuted(bare) > 3 * MOST
