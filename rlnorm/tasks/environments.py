"""gymnasium environments as batches that reset in the same step.

gymnasium's vector environments reset on the *next* step by default, and a transition across a reset must not be learned
from. Here every environment gives one valid transition per step: `step` returns the observation to act on next and,
separately, the successor to learn from; they differ where an episode ended. `terminated` stops bootstrapping,
`truncated` does not.

Vectors are observed as float32, images in their own dtype with the channels first.
"""

import importlib
import os
import subprocess
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.machinery import PathFinder
from itertools import islice
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.classic_control.cartpole import CartPoleVectorEnv
from gymnasium.error import Error as GymnasiumError
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

from rlnorm.errors import unknown
from rlnorm.tasks.pooled import LIBRARY, Pooled, pool_errors
from rlnorm.tasks.steps import Environments, Step

BACKENDS: Mapping[str, tuple[str, ...]] = {"gymnasium": (), "envpool": (LIBRARY,)}
"""Who steps the environments -> the libraries whose versions decide the rows too, beside gymnasium's."""


@dataclass(frozen=True)
class Scale:
    """What is known of an environment's returns.

    random, solved   normalize a return: 0 = `random` (uniform policy, measured once), 1 = `solved`
    success          an episode with at least this return has met the goal
    reward_max       the largest |reward| of one step
    sum_max          the largest |sum of rewards| over a stretch of an episode, under the uniform policy
    """

    random: float
    solved: float
    success: float
    reward_max: float
    sum_max: float = float("inf")

    def return_max(self, discount: float) -> float:
        """The largest |discounted return| that the uniform policy can get from any state.

        Discounted rewards are at most a geometric series. They are also a weighted mean of plain sums, since with
        S_k = r_0 + ... + r_k     sum discount^k r_k = sum (discount^k - discount^(k+1)) S_k     (Abel),
        and so at most the largest of these sums.
        """
        return min(self.reward_max / (1 - discount), self.sum_max)

    def normalize(self, value: np.ndarray) -> np.ndarray:
        """Returns -> scores, same shape."""
        return (value - self.random) / (self.solved - self.random)


# random: mean return of the uniform policy (`measure_random`, seed 0: 100 000 episodes of CartPole, 2 000 of Acrobot,
# 256 of MountainCar, 10 000 of LunarLander); a test repeats CartPole's. solved: gymnasium's thresholds.
# success: Acrobot's and MountainCar's episodes end early, CartPole is solved, LunarLander's episode is a solution by
# gymnasium's documentation.
# sum_max: where rewards have one sign a sum grows with the episode, and the geometric series bounds it. LunarLander's
# are differences of a potential, costs of engines and +-100 at the end: `measure_sum` gives it (seed 0, 4 000 steps).
# A policy that only climbs gets -1 766, discounted by 0.99: less than ten times as much.
SCALES: dict[str, Scale] = {
    "CartPole-v1": Scale(random=22.3, solved=475.0, success=475.0, reward_max=1.0),
    "Acrobot-v1": Scale(random=-498.9, solved=-100.0, success=-499.0, reward_max=1.0),
    "MountainCar-v0": Scale(random=-200.0, solved=-110.0, success=-199.0, reward_max=1.0),
    "LunarLander-v3": Scale(random=-182.1, solved=200.0, success=200.0, reward_max=100.0, sum_max=656.3),
}


# Steps after which an episode without a limit is cut: a greedy policy can play MinAtar's Breakout for ever.
MOST_STEPS = 10_000
# Folders of the code that runs an environment's code.
RUNNERS = tuple(Path(str(module.__file__)).parent for module in (gym, importlib))


class EnvironmentFailed(RuntimeError):
    """An environment's code raised an error; the message names the environment, the error and its place."""


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
    """n environments of any id, stepped one after another by gymnasium's SyncVectorEnv.

    Raises EnvironmentFailed where an environment does.
    """

    def __init__(self, env_id: str, count: int):
        self._id = env_id
        self._env = SyncVectorEnv([lambda: _make_one(env_id)] * count, autoreset_mode=AutoresetMode.SAME_STEP)
        self._axis = _channel_axis(self._env.single_observation_space.shape or ())

    def reset(self, seed: int) -> np.ndarray:
        """-> observations (n, *shape)."""
        with _named_in_errors(self._id, "reset"):
            observation, _ = self._env.reset(seed=seed)
        return self._observed(observation)

    def step(self, actions: np.ndarray) -> Step:
        """actions (n,) int -> Step."""
        with _named_in_errors(self._id, "step"):
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


@contextmanager
def _named_in_errors(env_id: str, method: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise EnvironmentFailed(f"environment {env_id!r} failed in {method}: {_reason(error)}.") from error


def _reason(error: BaseException) -> str:
    """The error that an environment raised, and where: the last line of its code that ran."""
    frames = traceback.extract_tb(error.__traceback__)
    if error.__cause__ is not None and error.__cause__.__traceback__ and _runs_environments(frames[-1]):
        return _reason(error.__cause__)  # gymnasium wraps errors of constructors and imports
    message = " ".join(str(error).split()).rstrip(".")
    if not isinstance(error, GymnasiumError | ImportError):
        message = f"{type(error).__name__}: {message}" if message else type(error).__name__
    places = [f"{Path(each.filename).name}, line {each.lineno}" for each in frames if not _runs_environments(each)]
    return f"{message} ({places[-1]})" if places else message


def _runs_environments(frame: traceback.FrameSummary) -> bool:
    here = frame.filename == __file__ or frame.filename.startswith("<frozen importlib")
    return here or any(folder in Path(frame.filename).parents for folder in RUNNERS)


def _channel_axis(shape: tuple[int, ...]) -> int | None:
    """The axis of an image's channels: the last, unless the first is shorter. None for observations of other ranks."""
    if len(shape) != 3:
        return None
    return 0 if shape[0] < shape[2] else 2


def _is_of_minatar(env_id: str) -> bool:
    return env_id.lower().startswith("minatar/")


def _prepare(env_id: str) -> None:
    """Let gymnasium find `env_id`: MinAtar's games are registered, and a module may lie in the current folder.

    Raises ImportError where MinAtar is needed and not installed.
    """
    if _is_of_minatar(env_id) and not any(map(_is_of_minatar, gym.registry)):
        importlib.import_module("minatar.gym").register_envs()
    module, _, name = env_id.partition(":")
    package, folder = module.partition(".")[0], os.getcwd()
    if name and package and not _is_found(package, filter(None, sys.path)) and _is_found(package, [folder]):
        # It stays on the path: processes that train take over the path, but not the current folder.
        sys.path.append(folder)


def _is_found(package: str, folders: Iterable[str]) -> bool:
    return package in sys.builtin_module_names or PathFinder.find_spec(package, list(folders)) is not None


def _make_one(env_id: str) -> gym.Env[Any, Any]:
    """One environment, cut after `MOST_STEPS` where it has no limit of its own."""
    _prepare(env_id)
    env: gym.Env[Any, Any] = gym.make(env_id)
    limited = env.spec is not None and env.spec.max_episode_steps is not None
    return env if limited else TimeLimit(env, MOST_STEPS)


def make(env_id: str, count: int, backend: str = "gymnasium") -> Environments:
    """`count` environments that step together, by one of `BACKENDS`.

    gymnasium's CartPole-v1 steps in one computation, its other environments in a loop.
    """
    if backend == "envpool":
        return Pooled(env_id, count)
    return BatchedCartPole(count) if env_id == "CartPole-v1" else Looped(env_id, count)


def spaces(env_id: str) -> tuple[tuple[int, ...], int]:
    """-> shape of one observation, of an image with the channels first; number of actions."""
    env = _make_one(env_id)
    observation, action = env.observation_space, env.action_space
    env.close()
    assert isinstance(observation, Box)
    assert isinstance(action, Discrete)
    shape = observation.shape
    return (shape[-1], *shape[:-1]) if _channel_axis(shape) == 2 else shape, int(action.n)


def modules(env_id: str) -> tuple[str, ...]:
    """The modules that an environment's code begins in: the one that its id names, and that of its class."""
    _prepare(env_id)
    named, _, name = env_id.rpartition(":")
    if named:
        importlib.import_module(named)
    entry = gym.registry[name].entry_point if name in gym.registry else None
    of = entry.partition(":")[0] if isinstance(entry, str) else getattr(entry, "__module__", "")
    return tuple(dict.fromkeys(module for module in (named, of) if module))


def id_errors(env_id: str) -> Iterator[str]:
    """The sentence for an environment that does not exist or cannot be made here."""
    if _is_of_minatar(env_id):
        try:
            _prepare(env_id)
        except ImportError as error:
            yield f"environment {env_id!r} needs MinAtar ({error}): pip install 'rlnorm[minatar]'."
            return
    module, colon, name = env_id.partition(":")
    if colon and (not module or not name or ":" in name):
        yield f"environment {env_id!r} cannot be read; expected an id such as CartPole-v1, or module:id."
        return
    # An id without its version is refused: gymnasium would take the newest one. "module:id" imports the module.
    if not colon and env_id not in gym.registry:
        yield _unknown(env_id)
        return
    try:
        _make_one(env_id).close()
    except Exception as error:
        yield f"environment {env_id!r} cannot be made here: {_reason(error)}."


def _unknown(env_id: str) -> str:
    """The sentence for an id that is not registered. Only ids of the same namespace, `ALE/` say, are offered for it."""

    def namespace(name: str) -> str:
        return name.rpartition("/")[0]

    alike = [name for name in gym.registry if namespace(name) == namespace(env_id)]
    if not alike:
        return (
            f"unknown environment {env_id!r}: nothing that is imported registers ids that begin with "
            f"'{namespace(env_id)}/'; expected module:{env_id} with the module that does (for ALE: ale_py)."
        )
    return unknown("environment", env_id, alike, "a gymnasium id such as CartPole-v1 or Acrobot-v1, or module:id")


def registration_errors(env_id: str) -> Iterator[str]:
    """The sentence for an id that this process registered by itself: processes that train do not know it."""
    name = env_id.removeprefix("__main__:")
    found_by_itself = ":" in name or name in SCALES or _is_of_minatar(name)
    if not found_by_itself and name in gym.registry.keys() - _ids_of_a_new_process():
        yield (
            f"environment {name!r} is registered in this process only, and agents train in other processes: register "
            f"it in a module that can be imported, and write module:{name} with the name of that module."
        )


@cache
def _ids_of_a_new_process() -> frozenset[str]:
    """The ids that gymnasium and installed plugins register when gymnasium is imported."""
    command = [sys.executable, "-P", "-c", "import gymnasium; print(*gymnasium.registry, sep='\\n')"]
    return frozenset(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines())


def environment_errors(env_id: str, backend: str = "gymnasium") -> Iterator[str]:
    """One sentence for each reason why DQN cannot be trained on `env_id`, stepped by `backend`."""
    unmade = list(id_errors(env_id))
    yield from unmade
    if backend not in BACKENDS:
        yield unknown("environments", backend, BACKENDS)
    if unmade:
        return
    env = _make_one(env_id)
    unfit = list(_space_errors(env_id, env.observation_space, env.action_space))
    yield from unfit
    try:
        if not unfit:
            env.reset(seed=0)
    except Exception as error:
        yield f"environment {env_id!r} cannot begin an episode: {_reason(error)}."
    env.close()
    if backend == "envpool" and not unfit:
        yield from pool_errors(env_id)


def _space_errors(env_id: str, observation: Space[Any], action: Space[Any]) -> Iterator[str]:
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
    """Mean return of the uniform policy over at least `episodes` episodes: `Scale.random`."""
    count = min(episodes, 256)
    running, finished = np.zeros(count), list[float]()
    # Equal numbers of episodes per environment: a total count would favour short episodes.
    left = np.full(count, -(-episodes // count))
    for step in _uniform_policy(env_id, count, seed):
        running += step.reward
        ended = step.terminated | step.truncated
        finished.extend(running[ended & (left > 0)])
        left[ended] -= 1
        running[ended] = 0
        if not (left > 0).any():
            break
    return float(np.mean(finished))


def measure_sum(env_id: str, steps: int, seed: int) -> float:
    """The largest |sum of rewards| over any stretch of an episode in `steps` steps of 256 environments.

    The policy is uniform: `Scale.sum_max`.
    """
    largest = 0.0
    most, least = np.zeros(256), np.zeros(256)  # over the stretches that end here (Kadane's algorithm)
    for step in islice(_uniform_policy(env_id, 256, seed), steps):
        most, least = np.maximum(most, 0) + step.reward, np.minimum(least, 0) + step.reward
        largest = max(largest, most.max(), -least.min())
        ended = step.terminated | step.truncated
        most[ended] = least[ended] = 0
    return float(largest)


def _uniform_policy(env_id: str, count: int, seed: int) -> Iterator[Step]:
    env, rng, actions = make(env_id, count), np.random.default_rng(seed), spaces(env_id)[1]
    env.reset(seed)
    while True:
        yield env.step(rng.integers(actions, size=count))
