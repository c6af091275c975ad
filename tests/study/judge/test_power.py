"""Runs that a question needs: against the judge itself, against published tables, and by laws."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rlnorm.study.claim.question import Metric, Question
from rlnorm.study.judge import Sample, judge
from rlnorm.study.judge.power import MOST, Spread, expected, power, runs_needed, spread

SCORE = Metric("score", "higher", "score")
BETTER = Question(asks="superior", treatment="a", reference="b", margin=0.05)
SAME = replace(BETTER, asks="equivalent")


def sample(scores: np.ndarray) -> Sample:
    return Sample(scores, np.zeros(len(scores), dtype=bool), np.arange(len(scores)))


def known(sd: float, runs: int = 16) -> Spread:
    """Two arms of this standard deviation."""
    return Spread(sd * (2 / runs) ** 0.5, 2 * (runs - 1), runs)


def test_the_spread_is_that_of_the_scores():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=20), rng.normal(size=20)
    found = spread(BETTER, {"a": sample(a), "b": sample(b)}, SCORE)
    assert found.error == pytest.approx(((a.var(ddof=1) + b.var(ddof=1)) / 20) ** 0.5)
    assert found.runs == 20
    pairs = spread(replace(BETTER, paired=True), {"a": sample(a), "b": sample(b)}, SCORE)
    assert pairs == pytest.approx(((a - b).std(ddof=1) / 20**0.5, 19, 20))


def test_runs_of_a_textbook_example():
    """Two arms, standard deviation 1, difference 0.5 of it: 64 a group at 5 % (two-sided) and 80 % (Cohen 1988)."""
    needed = runs_needed(replace(BETTER, margin=0.0), known(1.0, 400), effect=0.5)
    assert needed == pytest.approx(64, abs=1)


def test_one_of_several_parts_that_decides_alone_is_tested_at_its_share_of_the_level():
    """2 ((z + z_.8) / 0.5)^2 + z^2 / 4 runs with z at 1 - .025 / 6 (Guenther 1981, Am. Stat. 35:243)."""
    needed = runs_needed(replace(BETTER, margin=0.0), known(1.0, 400), effect=0.5, parts=6)
    assert needed == pytest.approx(2 * ((2.6383 + 0.8416) / 0.5) ** 2 + 2.6383**2 / 4, abs=1)


@pytest.mark.parametrize(
    ("question", "effect", "said"),
    [
        (BETTER, 0.11, "supported"),
        (BETTER, 0.0, "refuted"),
        (SAME, 0.0, "supported"),
        (replace(BETTER, asks="non-inferior"), 0.0, "supported"),
        (replace(BETTER, asks="not better"), 0.0, "supported"),
        (replace(BETTER, asks="superior", scale="ratio", margin=1.25), 1.8, "supported"),
    ],
    ids=lambda each: each.asks if isinstance(each, Question) else str(each),
)
def test_the_judge_decides_as_often_as_promised(question: Question, effect: float, said: str):
    assert expected(question, effect) == said
    rng, runs, studies = np.random.default_rng(1), 24, 40
    base, sd = (1.0, 0.5) if question.scale == "ratio" else (0.0, 0.06)

    def arm(mean: float) -> Sample:
        shape = (mean / sd) ** 2
        drawn = rng.gamma(shape, mean / shape, runs) if question.scale == "ratio" else rng.normal(mean, sd, runs)
        return sample(drawn)

    there = base * effect if question.scale == "ratio" else base + effect
    found = [{"a": arm(there), "b": arm(base)} for _ in range(studies)]
    decided = np.mean([judge(question, each, SCORE).outcome == said for each in found])
    promised = np.mean([power(question, spread(question, each, SCORE), runs, effect) for each in found])
    # Three standard errors of the proportion, and the price of the studentized interval's width.
    assert promised - 0.3 <= decided <= promised + 0.23
    assert promised > 0.3


@given(st.floats(0.02, 0.5), st.floats(-0.2, 0.3), st.sampled_from(["superior", "equivalent", "non-inferior"]))
def test_more_runs_decide_more_often_and_as_many_as_are_needed_are_enough(sd: float, effect: float, asks):
    question, there = replace(BETTER, asks=asks), known(sd)
    chances = [power(question, there, n, effect) for n in (8, 16, 64, 1000)]
    assert chances == sorted(chances)
    needed = runs_needed(question, there, effect)
    if needed is None:
        assert power(question, there, MOST, effect) < 0.8
    else:
        assert power(question, there, needed, effect) >= 0.8
        assert needed == 8 or power(question, there, needed - 1, effect) < 0.8


def test_an_unknown_spread_is_an_error():
    with pytest.raises(ValueError, match="the spread of scores is not known: 1 runs of an arm"):
        spread(BETTER, {"a": sample(np.zeros(1)), "b": sample(np.zeros(1))}, SCORE)
