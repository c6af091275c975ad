"""EnvPool's environments are gymnasium's: `make test-envpool` installs EnvPool (740 MB) and runs these."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from scipy.stats import ks_2samp

from rlnorm.dqn import Settings
from rlnorm.tasks.environments import make
from rlnorm.tasks.pooled import SAME, Pooled
from rlnorm.tasks.scripted import RULES
from tests.dqn.watching import FAST, rows, run

pytestmark = pytest.mark.envpool

ACTIONS = {"CartPole-v1": 2, "Acrobot-v1": 3, "MountainCar-v0": 3, "LunarLander-v3": 4}
Policy = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def unlike(own: np.ndarray, other: np.ndarray) -> float:
    """The probability that two samples of one distribution differ as much or more (Kolmogorov and Smirnov)."""
    return float(np.asarray(ks_2samp(own, other))[1])


def state_of(env_id: str, observation: np.ndarray) -> np.ndarray:
    """The state that gymnasium's environment has where it is observed so."""
    x = observation.astype(float)
    return x if env_id != "Acrobot-v1" else np.array([np.arctan2(x[1], x[0]), np.arctan2(x[3], x[2]), x[4], x[5]])


@pytest.mark.parametrize("env_id", [env_id for env_id in SAME if env_id != "LunarLander-v3"])
def test_every_transition_is_gymnasiums(env_id: str):
    """Under the rule with a third of random actions; two of eight keep to what brings them to the limit."""
    pooled, rng = Pooled(env_id, 8), np.random.default_rng(0)
    single: Any = gym.make(env_id).unwrapped
    limit = gym.spec(env_id).max_episode_steps
    observation, age = pooled.reset(1), np.zeros(8, dtype=int)
    ends = {"terminated": 0, "truncated": 0}
    single.reset()
    for _ in range(1_010):
        drawn = rng.integers(ACTIONS[env_id], size=8)
        actions = np.where(rng.random(8) < 1 / 3, drawn, RULES[env_id](observation))
        actions[:2] = RULES[env_id](observation[:2]) if env_id == "CartPole-v1" else 1
        step = pooled.step(actions)
        age += 1
        for i in range(8):
            single.state = state_of(env_id, observation[i])
            successor, reward, terminated, *_ = single.step(int(actions[i]))
            if terminated:
                single.reset()
            np.testing.assert_allclose(step.successor[i], successor, atol=1e-5, rtol=1e-5)
            assert (step.reward[i], step.terminated[i]) == (reward, terminated)
            assert step.truncated[i] == (age[i] == limit)
        ended = step.terminated | step.truncated
        np.testing.assert_array_equal(step.observation[~ended], step.successor[~ended])
        ends["terminated"] += step.terminated.sum()
        ends["truncated"] += step.truncated.sum()
        age[ended] = 0
        observation = step.observation
    assert min(ends.values()) >= 4


@pytest.mark.parametrize("env_id", SAME)
def test_episodes_begin_as_gymnasiums_do_after_a_reset_and_after_an_end(env_id: str):
    """First observations in distribution, number by number."""
    pooled, theirs = Pooled(env_id, 400), make(env_id, 400).reset(0)
    rng, first = np.random.default_rng(0), pooled.reset(0)
    later = first[:0]
    while len(later) < 300:
        step = pooled.step(rng.integers(ACTIONS[env_id], size=400))
        later = np.concatenate([later, step.observation[step.terminated | step.truncated]])
    for found in (first, later):
        assert found.dtype == np.float32
        for own, other in zip(found.T, theirs.T, strict=True):
            if other.std() > 0:
                assert unlike(own, other) > 1e-3 / theirs.shape[1]
            else:
                assert set(own) == set(other)


def at_random(observation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.integers(4, size=len(observation))


def by_rule(observation: np.ndarray, _: np.random.Generator) -> np.ndarray:
    return RULES["LunarLander-v3"](observation)


def episodes(environments: Any, policy: Policy, count: int) -> np.ndarray:
    """Returns, lengths and ends by themselves of one episode in each of `count` environments, (3, count)."""
    rng, observation = np.random.default_rng(0), environments.reset(0)
    found, alive = np.zeros((3, count)), np.ones(count, dtype=bool)
    while alive.any():
        step = environments.step(policy(observation, rng))
        found[0] += step.reward * alive
        found[1] += alive
        found[2] += step.terminated & alive
        alive &= ~(step.terminated | step.truncated)
        observation = step.observation
    return found


@pytest.mark.parametrize(("policy", "count"), [(at_random, 300), (by_rule, 150)])
def test_landings_are_gymnasiums_in_distribution(policy: Policy, count: int):
    """Returns, lengths and terminations under a random policy, and under the rule, a fixed agent that lands in 90 %."""
    own = episodes(Pooled("LunarLander-v3", count), policy, count)
    theirs = episodes(make("LunarLander-v3", count), policy, count)
    for mine, other in zip(own[:2], theirs[:2]):
        assert unlike(mine, other) > 1e-3
    assert abs(own[2].mean() - theirs[2].mean()) < 0.07


def test_the_observation_to_learn_from_is_the_one_before_the_reset():
    """As `test_environments.py` has it of gymnasium's: a fallen pole lies beyond 12 degrees, a new one stands."""
    pooled, rng, ends = Pooled("CartPole-v1", 20), np.random.default_rng(0), 0
    pooled.reset(3)
    for _ in range(100):
        step = pooled.step(rng.integers(2, size=20))
        fallen = step.successor[step.terminated]
        assert ((np.abs(fallen[:, 2]) > 0.2094) | (np.abs(fallen[:, 0]) > 2.4)).all()
        assert (np.abs(step.observation[step.terminated]) <= 0.05).all()
        ends += len(fallen)
    assert ends > 50


def test_the_same_seed_gives_the_same_starts_and_a_reset_begins_anew():
    first, again, other = (Pooled("Acrobot-v1", 5).reset(seed) for seed in (2**32 - 1, 2**32 - 1, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    pooled = Pooled("Acrobot-v1", 5)
    pooled.reset(0)
    for _ in range(300):
        pooled.step(np.ones(5))
    np.testing.assert_array_equal(pooled.reset(2**32 - 1), first)
    assert not any(pooled.step(np.ones(5)).truncated.any() for _ in range(499))
    assert pooled.step(np.ones(5)).truncated.all()


@pytest.mark.parametrize("env_id", SAME)
def test_the_same_seed_and_actions_give_the_same_steps_through_many_episodes(env_id: str):
    def played() -> list[np.ndarray]:
        pooled, rng = Pooled(env_id, 30), np.random.default_rng(0)
        pooled.reset(2**31 - 1)
        steps = (pooled.step(rng.integers(ACTIONS[env_id], size=30)) for _ in range(520))
        return [np.concatenate([each[:, None] if each.ndim == 1 else each for each in step], 1) for step in steps]

    np.testing.assert_array_equal(played(), played())


def test_a_run_on_them_is_repeatable_and_another_than_gymnasiums():
    settings = {**FAST, "env": "CartPole-v1", "environments": "envpool", "envs": 4}
    assert list(Settings.errors_in(settings)) == []
    first = rows(run(**settings))
    assert rows(run(**settings)) == first != rows(run(**{**settings, "environments": "gymnasium"}))
