"""EnvPool's environments (Weng et al. 2022, arXiv:2206.10558): the same tasks, stepped in C++.

`pip install 'rlnorm[envpool]'` installs it. It is asked for by `environments="envpool"`, never taken by itself: its
environments draw other starts than gymnasium's, so that a run is another run.

`SAME` lists the environments that tests hold to be gymnasium's: CartPole, Acrobot and MountainCar transition by
transition, LunarLander, whose observation is not its state, in distribution (`tests/tasks/test_pooled.py`).
"""

import importlib
import importlib.util
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np

from rlnorm.tasks.steps import Step

SAME = ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "LunarLander-v3")
LIBRARY = "envpool"


class Pooled:
    """n environments of one of the ids in `SAME`, reset in the step in which their episodes end.

    EnvPool resets on the next step, and calls an episode that ends of itself at its very limit truncated alone. Here
    ended episodes are reset at once, and the limit is counted apart, as gymnasium does.
    """

    def __init__(self, env_id: str, count: int):
        limit = gym.spec(env_id).max_episode_steps
        assert limit is not None
        self._id, self._count, self._limit = env_id, count, limit
        self._age = np.zeros(count, dtype=int)
        self._env: Any = None

    def reset(self, seed: int) -> np.ndarray:
        """-> observations (n, *shape)."""
        envpool = importlib.import_module(LIBRARY)
        with warnings.catch_warnings():
            # gymnasium's spaces warn that they hold float32, whatever the environment declares.
            warnings.simplefilter("ignore")
            self._env = envpool.make(
                self._id,
                env_type="gymnasium",
                num_envs=self._count,
                num_threads=1,
                seed=seed % 2**30,  # the first environment's of consecutive ones, which must fit into 31 bits
                max_episode_steps=self._limit + 1,
            )
            observation, _ = self._env.reset()
        self._age[:] = 0
        return observation

    def step(self, actions: np.ndarray) -> Step:
        """actions (n,) int -> Step."""
        successor, reward, terminated, _, _ = self._env.step(actions.astype(np.int32))
        self._age += 1
        truncated = self._age >= self._limit
        ended, observation = np.flatnonzero(terminated | truncated), successor
        if len(ended):
            observation = successor.copy()
            observation[ended] = self._env.reset(ended.astype(np.int32))[0]
            self._age[ended] = 0
        return Step(observation, successor, reward.astype(float), terminated, truncated)


def pool_errors(env_id: str) -> Iterator[str]:
    """The sentence for an environment that EnvPool does not have as gymnasium has it, or where EnvPool is missing."""
    if env_id not in SAME:
        yield (
            f"environments 'envpool' has {', '.join(SAME)}, which are shown to be gymnasium's, and not {env_id!r}; "
            "take environments 'gymnasium' for it."
        )
    elif importlib.util.find_spec(LIBRARY) is None:
        yield "environments 'envpool' needs EnvPool, which is not installed: pip install 'rlnorm[envpool]'."
