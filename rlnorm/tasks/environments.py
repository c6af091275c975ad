"""gymnasium environments as batches that reset in the same step.

gymnasium's vector environments reset on the *next* step by default, and the transition across a reset is not one to
learn from. Here every environment gives one valid transition per step: `step` returns the observation to act on next
and, apart from it, the successor to learn from (they differ where an episode ended). `terminated` stops bootstrapping,
`truncated` does not.

Vectors are observed as float32. Images are observed in their own dtype with the channels first.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, NamedTuple, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.error import Error as GymnasiumError
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from rlnorm.errors import unknown


@dataclass(frozen=True)
class Scale:
    """Constants that normalize a return: 0 = `random` (uniform policy, measured once), 1 = `solved`.

    `reward_max` is the largest |reward| of one step, from which the bound of a sane Q follows.
    """

    random: float
    solved: float
    reward_max: float

    def normalize(self, value: np.ndarray) -> np.ndarray:
        """Returns -> scores, same shape."""
        return (value - self.random) / (self.solved - self.random)


# random: mean return of the uniform policy (`measure_random`, seed 0: 100 000 episodes of CartPole, 2 000 of Acrobot,
# 256 of MountainCar, 10 000 of LunarLander); a test measures CartPole's again. solved: gymnasium's thresholds.
SCALES: dict[str, Scale] = {
    "CartPole-v1": Scale(random=22.3, solved=475.0, reward_max=1.0),
    "Acrobot-v1": Scale(random=-498.9, solved=-100.0, reward_max=1.0),
    "MountainCar-v0": Scale(random=-200.0, solved=-110.0, reward_max=1.0),
    "LunarLander-v3": Scale(random=-182.1, solved=200.0, reward_max=100.0),
}


# A greedy policy can play some games for ever (MinAtar's Breakout is one) unless they are cut.
MOST_STEPS = 10_000


class Step(NamedTuple):
    """One step of n environments. observation, successor: (n, *shape); the others (n,)."""

    observation: np.ndarray
    successor: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray


class Environments(Protocol):
    """n environments stepped together."""

    def reset(self, seed: int) -> np.ndarray: ...
    def step(self, actions: np.ndarray) -> Step: ...


class _CartPole(CartPoleVectorEnv):
    """gymnasium's batched CartPole, reset in the same step instead of the next."""

    def reset_done(self) -> np.ndarray:
        done = self.prev_done
        if done.any():
            assert self.state is not None
            self.state[:, done] = self.np_random.uniform(self.low, self.high, size=(4, int(done.sum())))
            self.steps[done] = 0
            self.prev_done = np.zeros_like(done)
        assert self.state is not None
        return self.state.T.astype(np.float32)


class BatchedCartPole:
    """n CartPoles in one numpy computation, one random stream for all."""

    def __init__(self, count: int):
        self._env = _CartPole(count)

    def reset(self, seed: int) -> np.ndarray:
        """-> observations (n, 4)."""
        return self._env.reset(seed=seed)[0]

    def step(self, actions: np.ndarray) -> Step:
        """actions (n,) int -> Step."""
        successor, reward, terminated, truncated, _ = self._env.step(actions)
        ended = self._env.prev_done.any()
        return Step(self._env.reset_done() if ended else successor, successor, reward, terminated, truncated)


class Looped:
    """n environments of any id, stepped one after another by gymnasium's SyncVectorEnv."""

    def __init__(self, env_id: str, count: int):
        self._env = SyncVectorEnv([lambda: _make_one(env_id)] * count, autoreset_mode=AutoresetMode.SAME_STEP)
        self._axis = _channel_axis(self._env.single_observation_space.shape or ())

    def reset(self, seed: int) -> np.ndarray:
        """-> observations (n, *shape)."""
        return self._observed(self._env.reset(seed=seed)[0])

    def step(self, actions: np.ndarray) -> Step:
        """actions (n,) int -> Step."""
        observation, reward, terminated, truncated, info = self._env.step(actions)
        observation = self._observed(observation)
        successor = observation
        if "final_obs" in info:
            successor = observation.copy()
            ended = info["_final_obs"]
            successor[ended] = self._observed(np.stack(info["final_obs"][ended]))
        return Step(observation, successor, reward, terminated, truncated)

    def _observed(self, raw: np.ndarray) -> np.ndarray:
        if self._axis is None:
            return raw.astype(np.float32, copy=False)
        return np.ascontiguousarray(np.moveaxis(raw, 1 + self._axis, 1))


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    """Which axis of an image are the channels: the last, unless the first is shorter; None for what is no image."""
    if len(shape) != 3:
        return None
    return 0 if shape[0] < shape[2] else 2


def _register(env_id: str) -> None:
    """Let gymnasium know MinAtar's games if `env_id` is one. Raises ImportError where MinAtar is not installed."""

    def of_minatar(name: str) -> bool:
        return name.lower().startswith("minatar/")

    if of_minatar(env_id) and not any(map(of_minatar, gym.registry)):
        import_module("minatar.gym").register_envs()


def _make_one(env_id: str) -> gym.Env[Any, Any]:
    """One environment, cut after `MOST_STEPS` where it has no limit of its own."""
    _register(env_id)
    env: gym.Env[Any, Any] = gym.make(env_id)
    limited = env.spec is not None and env.spec.max_episode_steps is not None
    return env if limited else TimeLimit(env, MOST_STEPS)


def make(env_id: str, count: int) -> Environments:
    """`count` environments of one id that step together; CartPole-v1 in one computation, others in a loop."""
    return BatchedCartPole(count) if env_id == "CartPole-v1" else Looped(env_id, count)


def spaces(env_id: str) -> tuple[tuple[int, ...], int]:
    """-> (shape of one observation, of an image with the channels first; number of actions)."""
    env = _make_one(env_id)
    observation, action = env.observation_space, env.action_space
    env.close()
    assert isinstance(observation, Box)
    assert isinstance(action, Discrete)
    shape = observation.shape
    return (shape[-1], *shape[:-1]) if _channel_axis(shape) == 2 else shape, int(action.n)


def id_errors(env_id: str) -> Iterator[str]:
    """The sentence for an environment that does not exist or cannot be made here."""
    try:
        _register(env_id)
    except ImportError as error:
        yield f"environment {env_id!r} needs MinAtar ({error}): pip install 'rlnorm[minatar]'."
        return
    # An id without its version is refused: what it names changes with gymnasium. "module:id" imports the module.
    if ":" not in env_id and env_id not in gym.registry:
        yield unknown("environment", env_id, gym.registry, "a gymnasium id such as CartPole-v1 or Acrobot-v1")
        return
    try:
        gym.make(env_id).close()
    except (GymnasiumError, ImportError) as error:
        yield f"environment {env_id!r} cannot be made here: {error}"


def environment_errors(env_id: str) -> Iterator[str]:
    """One sentence for each reason why DQN cannot be trained on `env_id`."""
    unmade = list(id_errors(env_id))
    if unmade:
        yield from unmade
        return
    env = _make_one(env_id)
    observation, action = env.observation_space, env.action_space
    env.close()
    if not isinstance(action, Discrete):
        yield f"DQN needs a finite set of actions, but {env_id!r} has {action} (expected a Discrete space)."
    elif int(action.start) != 0:
        yield f"actions must be numbered from 0, but {env_id!r} has {action}."
    if not isinstance(observation, Box) or len(observation.shape) not in (1, 3):
        yield (
            f"the network reads vectors or images, but {env_id!r} observes {observation} (expected a Box of one "
            "dimension, or of three: height, width, channels)."
        )


def measure_random(env_id: str, episodes: int, seed: int) -> float:
    """Mean return of the uniform policy over at least `episodes` episodes; where `SCALES` come from."""
    count = min(episodes, 256)
    env, rng, actions = make(env_id, count), np.random.default_rng(seed), spaces(env_id)[1]
    env.reset(seed)
    running, finished = np.zeros(count), list[float]()
    # Equal numbers of episodes per environment: stopping at a count over all would favour short episodes.
    left = np.full(count, -(-episodes // count))
    while (left > 0).any():
        step = env.step(rng.integers(actions, size=count))
        running += step.reward
        ended = step.terminated | step.truncated
        finished.extend(running[ended & (left > 0)])
        left[ended] -= 1
        running[ended] = 0
    return float(np.mean(finished))
