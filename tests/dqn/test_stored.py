"""What our DQN stores and what its full buffer keeps, against stable-baselines3's own.

What is stored is compared on an environment that ignores actions, so that both see the same whatever they do.
"""

from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_util import make_vec_env

from rlnorm.dqn.replay import Replay
from tests.dqn.watching import Watched, run

SCRIPTED = "rlnorm-tests/Scripted-v0"


class Scripted(gym.Env):
    """Episodes of 3, 4, 5, 3, ... steps that end in turn by termination, by truncation, and by both at once."""

    metadata = {"render_modes": ["rgb_array"]}  # noqa: RUF012 (as gymnasium declares it)
    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    episode = -1

    def reset(self, *, seed: int | None = None, options: Any = None):
        self.episode, self.at = self.episode + 1, 0
        return self._seen(), {}

    def step(self, action: int):
        self.at += 1
        kind, ends = self.episode % 3, self.at == 3 + self.episode % 3
        return self._seen(), 0.5 * self.at, ends and kind in (0, 2), ends and kind in (1, 2), {}

    def _seen(self) -> np.ndarray:
        return np.array([self.episode, self.at], dtype=np.float32)


@pytest.fixture
def scripted() -> Iterator[str]:
    gym.register(SCRIPTED, lambda **_: Scripted())
    yield SCRIPTED
    del gym.registry[SCRIPTED]


@pytest.mark.parametrize("envs", [1, 3])
def test_what_is_stored_is_what_they_store(envs: int, scripted: str, watched: Watched):
    model = DQN("MlpPolicy", make_vec_env(scripted, envs), learning_starts=1000, device="cpu")
    theirs = model.learn(60).replay_buffer
    run(env=scripted, envs=envs, seeds=[0], rates=[1e-3], steps=60, starts=50, discount=0.9)
    assert isinstance(theirs, ReplayBuffer)
    count = 60 // envs
    alive = 0.9 * (1 - theirs.dones[:count] * (1 - theirs.timeouts[:count]))
    observation, successor, _, reward, discount = (np.concatenate(each, axis=1)[0] for each in zip(*watched.added))
    np.testing.assert_array_equal(observation, theirs.observations[:count].reshape(60, 2))
    np.testing.assert_array_equal(successor, theirs.next_observations[:count].reshape(60, 2))
    np.testing.assert_array_equal(reward, theirs.rewards[:count].ravel())
    np.testing.assert_allclose(discount, alive.ravel(), rtol=1e-6)
    assert {0.0, 0.9} == set(np.round(discount, 6))
    assert theirs.timeouts.any(), "no episode was truncated"


@pytest.mark.parametrize("envs", [1, 2])
def test_a_full_buffer_keeps_what_theirs_keeps(envs: int, rng: torch.Generator):
    capacity, steps = 10, 17
    theirs = ReplayBuffer(capacity, Scripted.observation_space, Scripted.action_space, "cpu", envs)
    ours = Replay(1, capacity, (2,))
    for step in range(steps):
        s, s_next = torch.randn(2, envs, 2, generator=rng).numpy()
        a, r, done = np.full(envs, step % 2), np.full(envs, float(step)), np.full(envs, step % 3 == 0)
        theirs.add(s, s_next, a, r, done, [{}] * envs)
        ours.add(s[None], s_next[None], a[None], r[None], 0.9 * ~done[None])
        assert ours.filled == theirs.size() * envs
    drawn = ours.unpack(ours.sample(500, rng))
    kept = set(map(float, theirs.rewards.ravel()))
    assert set(drawn.r_t[0].tolist()) == kept == set(map(float, range(steps - capacity // envs, steps)))
