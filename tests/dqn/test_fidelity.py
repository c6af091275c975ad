"""Our DQN against stable-baselines3's own: what is stored, what a full buffer keeps, and the update.

What is stored is compared on an environment that ignores actions, so that both see the same whatever they do.
`test_steps.py` holds the schedule and the steps of updates and copies against theirs.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.env_util import make_vec_env

from rlnorm.dqn.replay import Replay
from rlnorm.study.assess import Asked, assess, setting_errors, units
from rlnorm.study.claim import PRESETS, Effect
from rlnorm.study.discover import Found
from rlnorm.study.fidelity import CLAIM, Distance, exact, page
from rlnorm.study.store import Store
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


@pytest.mark.parametrize(("norm", "clip", "updates"), [("none", 10.0, 1000), ("layer", 1.0, 300)])
def test_many_updates_are_theirs(norm: str, clip: float, updates: int):
    """Huber loss, clip, Adam, target copies between: the weights part by rounding alone."""
    distances = list(exact(norm, hidden=(16, 16), batch=16, clip=clip, updates=updates))
    assert [each.updates for each in distances] == list(range(100, updates + 1, 100))
    assert max(each.apart for each in distances) < 1e-5
    assert min(each.moved for each in distances) > 1e-2
    assert 0.02 < distances[-1].clipped < 0.98


@pytest.mark.parametrize("other", [{"our_clip": 9.9}, {"copy_lag": 1}], ids=str)
def test_a_difference_of_one_percent_or_one_update_is_noticed(other: dict[str, Any]):
    *_, last = exact("none", hidden=(16, 16), batch=16, updates=200, **other)
    assert last.apart > 1e-4


@pytest.mark.parametrize("name", CLAIM.parts)
def test_whole_runs_can_be_compared(name: str):
    part = CLAIM.parts[name]
    assert isinstance(part, Effect)
    assert list(setting_errors(part.experiment, part.arms, part.experiment.steps["full"])) == []
    assert {part.experiment.of(arm)[0] for arm in part.arms.values()} == {"sb3", "dqn"}
    assert len({part.experiment.steps[preset] for preset in PRESETS}) == 1
    assert (part.question.asks, part.question.margin) == ("equivalent", 0.05)


def test_the_page_shows_both_comparisons_and_every_run(tmp_path: Path):
    asked, store = Asked(Found("fidelity", CLAIM, None), "full", seeds=2), Store(tmp_path)
    for unit in units([asked], store):
        scores = [100.0 + seed for seed in unit.seeds] if "CartPole" in unit.label else [-300.0] * len(unit.seeds)
        row = {"step": 1, "return": scores, "diverged": [False] * len(scores), "final_return": scores}
        store.write(unit, [row], lambda: 0.0)
    exactly = {("none", 10.0): [Distance(100 * i, i * 1e-8, 0.5, 0.25) for i in range(1, 11)]}
    text = page(exactly, assess(asked, store), "0123abc")
    assert "| none | 10 | 25% | 1.0e-08 | 5.0e-08 | 1.0e-07 | 0.50 |" in text
    assert "| Acrobot-v1, ten environments | insufficient | +0.000 | +0.000 to +0.000 |" in text
    assert "| Acrobot-v1, CleanRL's settings | planted | 0.499 ± 0.000 | -300 ± 0 | 0 | 0.499/-300 0.499/-300 |" in text
    assert "| CartPole-v1, ten environments | sb3 | 0.190 ± 0.002 | 108 ± 1 | 0 | 0.189/108 0.192/109 |" in text
    assert "commit 0123abc" in text
