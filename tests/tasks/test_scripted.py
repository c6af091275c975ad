"""What the rules bring, and that the lander's is gymnasium's."""

from types import SimpleNamespace

import numpy as np
import pytest
from gymnasium.envs.box2d.lunar_lander import heuristic

from rlnorm.tasks.environments import SCALES, make
from rlnorm.tasks.scripted import RULES, land


def returns(env_id: str, count: int) -> np.ndarray:
    """The return of one episode in each of `count` environments."""
    environments, total, alive = make(env_id, count), np.zeros(count), np.ones(count, dtype=bool)
    observation = environments.reset(0)
    while alive.any():
        step = environments.step(RULES[env_id](observation))
        total += step.reward * alive
        alive &= ~(step.terminated | step.truncated)
        observation = step.observation
    return total


@pytest.mark.parametrize(
    ("env_id", "median", "within"), [("CartPole-v1", 500, 0), ("Acrobot-v1", -74, 5), ("MountainCar-v0", -121, 3)]
)
def test_a_rule_brings_what_is_said_of_it(env_id: str, median: float, within: float):
    found = returns(env_id, 30)
    assert np.median(found) == pytest.approx(median, abs=within)
    assert (found >= SCALES[env_id].success).mean() > 0.9


def test_the_rule_that_lands_is_gymnasiums():
    """Where it decides on the very edge, rounding may tell them apart; no observation drawn here is that near."""
    rng = np.random.default_rng(0)
    observations = np.column_stack([rng.normal(scale=0.5, size=(2000, 6)), rng.integers(2, size=(2000, 2))])
    env = SimpleNamespace(unwrapped=SimpleNamespace(continuous=False))
    found = land(observations)
    np.testing.assert_array_equal(found, [heuristic(env, s) for s in observations])
    assert set(found) == {0, 1, 2, 3}


def test_every_environment_with_a_scale_has_a_rule():
    assert set(RULES) == set(SCALES)
