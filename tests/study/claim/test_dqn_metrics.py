"""Scores by hand, on records made up for it; and of a run of the engine."""

from typing import Any

import numpy as np
import pytest

from rlnorm.study.claim.dqn_metrics import (
    excursion,
    final_score,
    first_success,
    found,
    return_auc,
    return_auc_after_assistance,
)
from rlnorm.study.claim.scored import diverged_at, non_finite_at
from rlnorm.tasks.environments import SCALES
from tests.dqn.watching import run

LANDER = {"env": "LunarLander-v3"}
RANDOM, SOLVED = SCALES["LunarLander-v3"].random, SCALES["LunarLander-v3"].solved
NAN = None  # as it is stored


def records(count: int, **columns: list[Any]) -> list[dict[str, Any]]:
    """One member's records; a second member, lost from the start, stands beside it to be mixed up with."""
    wild = {"diverged": True, "beyond": 1.0}
    filled = {"diverged": [False] * count, **columns}
    return [
        {"step": 10 * (i + 1), **{key: [values[i], wild.get(key, -1e9)] for key, values in filled.items()}}
        for i in range(count)
    ]


def level(*fractions: float) -> list[Any]:
    """Returns that stand for fractions of the way from random to solved."""
    return [RANDOM + fraction * (SOLVED - RANDOM) for fraction in fractions]


class TestDivergence:
    @pytest.mark.parametrize(
        ("beyond", "at"),
        [
            ([0, 0, 0, 0], 4),
            ([0, 1, 1, 0], 4),
            ([1, 1, 0, 1], 3),
            ([0, 0.5, 1, 1], 2),
            ([0, 1, 1, 0.9], 4),
            ([1, 1, 1, 1], 0),
            ([NAN, NAN, 0, 1], 3),
            ([NAN, 1, NAN, NAN], 1),
        ],
    )
    def test_by_q_is_from_where_it_was_beyond_the_limit_in_every_update_to_the_end(self, beyond, at):
        rows = records(4, beyond=beyond)
        assert diverged_at(rows, 0) == at
        assert non_finite_at(rows, 0) == 4

    def test_by_numbers_is_for_good_from_its_first_record(self):
        rows = records(4, beyond=[0, 0, 0, 1], diverged=[False, True, True, True])
        assert diverged_at(rows, 0) == non_finite_at(rows, 0) == 1
        assert diverged_at(records(4, diverged=[False, False, True, True]), 0) == 2, "records without `beyond`"

    @pytest.mark.parametrize(
        ("beyond", "fraction"), [([0, 1, 0.5, 0], 0.375), ([0, 0.5, 1, 1], 0.25), ([1, 1, 1, 1], 0), ([NAN] * 4, 0)]
    )
    def test_an_excursion_is_the_time_beyond_before_that(self, beyond, fraction):
        assert excursion(records(4, beyond=beyond), LANDER, 0) == fraction


class TestReturns:
    RETURNS = level(0.5, -0.35, 0.4, 0.4)

    def test_that_came_are_scored_though_q_diverged_and_though_they_are_worse_than_random(self):
        rows = records(4, **{"return": self.RETURNS}, beyond=[0, 1, 1, 1])
        assert diverged_at(rows, 0) == 1
        assert return_auc(rows, LANDER, 0) == pytest.approx((0.5 - 0.35 + 0.4 + 0.4) / 4)

    def test_of_a_run_that_is_non_finite_are_random_from_then_on(self):
        rows = records(4, **{"return": self.RETURNS}, diverged=[False, False, True, True])
        assert return_auc(rows, LANDER, 0) == pytest.approx((0.5 - 0.35) / 4)

    @pytest.mark.parametrize(
        ("assisted", "expected"),
        [(0.0, 0.2375), (0.25, (-0.35 + 0.8) / 3), (0.3, 0.15), (0.5, 0.4), (1.0, 0.4)],
    )
    def test_after_assistance_are_those_of_records_beyond_its_end(self, assisted, expected):
        rows = records(4, **{"return": self.RETURNS})
        score = return_auc_after_assistance(rows, {**LANDER, "assisted": assisted}, 0)
        assert score == pytest.approx(expected)

    def test_after_assistance_begin_with_the_last_one_before_its_end(self):
        rows = records(4, **{"return": [*level(0.6), NAN, NAN, *level(0.2)]})
        assert return_auc_after_assistance(rows, {**LANDER, "assisted": 0.5}, 0) == pytest.approx(0.4)

    def test_without_any_assistance_are_the_whole_area(self):
        rows = records(4, **{"return": self.RETURNS})
        assert return_auc_after_assistance(rows, LANDER, 0) == return_auc(rows, LANDER, 0)

    def test_at_the_end_stand_on_the_same_scale(self):
        rows = records(2, final_return=[NAN, *level(-0.35)])
        assert final_score(rows, LANDER, 0) == pytest.approx(-0.35)
        assert final_score(records(2, final_return=[NAN, *level(0.9)], diverged=[False, True]), LANDER, 0) == 0


class TestFinding:
    def test_is_the_step_that_was_recorded(self):
        rows = records(2, first_success=[NAN, 13.0])
        assert (first_success(rows, LANDER, 0), found(rows, LANDER, 0)) == (13, 1)

    def test_that_never_came_is_the_whole_budget(self):
        for rows in (records(2, first_success=[NAN, NAN]), records(2)):
            assert (first_success(rows, LANDER, 0), found(rows, LANDER, 0)) == (20, 0)


def test_runs_of_the_engine_have_every_score():
    settings = {"env": "CartPole-v1", "assisted": 0.5}
    rows = run(**settings, envs=2, rates=[1e-3, 30.0], optimizer="sgd", probes=0)
    assert non_finite_at(rows, 0) == diverged_at(rows, 0) == 100 > non_finite_at(rows, 1)
    scores = [return_auc, return_auc_after_assistance, final_score, first_success, found, excursion]
    assert np.isfinite([score(rows, settings, i) for score in scores for i in range(2)]).all()
