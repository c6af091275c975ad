"""Trained agents and what they do: where a comparison saved them, and a video of one episode of each arm.

gymnasium's RecordVideo writes the videos, with moviepy.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import RecordVideo

from rlnorm import dqn
from rlnorm.study.plan import Request, plan, units
from rlnorm.study.run import Store
from rlnorm.study.run.worker import agents_of
from rlnorm.tasks.environments import spaces

LONGEST = 2_000
"""Steps after which a video ends."""


def errors(env: str, video: bool, save: bool) -> Iterator[str]:
    """One sentence for each reason why no video can be made."""
    if video and not save:
        yield "--video films the agents that --save saves; give both."
    if video and find_spec("moviepy") is None:
        yield "--video needs moviepy, which is not installed: `pip install moviepy`."
    if video and env in gym.registry and "rgb_array" not in _modes(env):
        yield f"--video needs pictures, and environment {env!r} renders: {', '.join(_modes(env)) or 'nothing'}."


def _modes(env: str) -> list[str]:
    return list(map(str, gym.make(env).metadata.get("render_modes") or ()))


def saved(asked: Request, out: Path) -> list[Path]:
    """The folders of agents that a comparison has in `out`; units that were finished before have none."""
    found = (agents_of(unit, out) for unit in units([plan(asked, Store(out).records)]))
    return [folder for folder in found if folder.is_dir()]


def film(folder: Path, env: str) -> Path:
    """Record one greedy episode of the first agent in `folder` -> the video's file."""
    agent = dqn.load(folder / "agent0.pt")
    shown, target = gym.make(env, render_mode="rgb_array"), folder / "video"
    world: gym.Env[Any, Any] = RecordVideo(shown, str(target), lambda _: True)
    shape = spaces(env)[0]
    observation, _ = world.reset(seed=0)
    for _ in range(LONGEST):
        with torch.no_grad():
            values = agent(torch.as_tensor(_channels_first(observation, shape))[None])
        observation, _, terminated, truncated, _ = world.step(int(values.argmax()))
        if terminated or truncated:
            break
    world.close()
    return target / "rl-video-episode-0.mp4"


def _channels_first(observation: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if observation.shape == shape:
        return observation.astype(np.float32, copy=False) if len(shape) == 1 else observation
    return np.ascontiguousarray(np.moveaxis(observation, -1, 0))
