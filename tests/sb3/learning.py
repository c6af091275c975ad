"""Small things to learn from: an environment of any observation space, and models of a few units made in no time."""

from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from sb3_contrib import QRDQN, TQC, TRPO, MaskablePPO, RecurrentPPO
from stable_baselines3 import A2C, DDPG, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rlnorm.nn import NORMS
from rlnorm.sb3 import (
    ActorCriticPolicy,
    DQNPolicy,
    MaskableActorCriticPolicy,
    QRDQNPolicy,
    RecurrentActorCriticPolicy,
    SACPolicy,
    TD3Policy,
    TQCPolicy,
)

FLAT = spaces.Box(-1, 1, (4,), np.float32)
MINATAR = spaces.Box(0, 1, (10, 10, 4), bool)  # pyright: ignore[reportArgumentType, reportCallIssue]
SMALL_IMAGE = spaces.Box(0, 255, (3, 12, 12), np.uint8)
NATURE = spaces.Box(0, 255, (4, 84, 84), np.uint8)
DICT = spaces.Dict({"image": SMALL_IMAGE, "vector": FLAT, "kind": spaces.Discrete(3)})
FLAT_NORMS = tuple(name for name, norm in NORMS.items() if norm.wrap_layer or 0 in norm.modules)
TRACKING = ("batch", "batch_renorm", "mean_only", "spectral", "weight_mean_only")
"""Norms with running statistics."""

DISCRETE, CONTINUOUS = spaces.Discrete(2), spaces.Box(-2, 2, (1,), np.float32)
OFF_POLICY = {
    "learning_starts": 8, "buffer_size": 64, "batch_size": 8, "train_freq": 2, "tau": 1.0
}  # fmt: skip
ON_POLICY = {"n_steps": 16}
PPOS = ON_POLICY | {"batch_size": 8, "n_epochs": 2}
ALGORITHMS: dict[str, tuple[type[BaseAlgorithm], Any, spaces.Space, dict[str, Any]]] = {
    "dqn": (DQN, DQNPolicy, DISCRETE, OFF_POLICY | {"target_update_interval": 4}),
    "qrdqn": (QRDQN, QRDQNPolicy, DISCRETE, OFF_POLICY | {"target_update_interval": 4}),
    "sac": (SAC, SACPolicy, CONTINUOUS, OFF_POLICY),
    "td3": (TD3, TD3Policy, CONTINUOUS, OFF_POLICY | {"policy_delay": 1}),
    "ddpg": (DDPG, TD3Policy, CONTINUOUS, OFF_POLICY),
    "tqc": (TQC, TQCPolicy, CONTINUOUS, OFF_POLICY),
    "ppo": (PPO, ActorCriticPolicy, DISCRETE, PPOS),
    "a2c": (A2C, ActorCriticPolicy, CONTINUOUS, ON_POLICY),
    "trpo": (
        TRPO,
        ActorCriticPolicy,
        DISCRETE,
        ON_POLICY | {"batch_size": 8, "cg_max_steps": 3, "n_critic_updates": 2},
    ),
    "maskableppo": (MaskablePPO, MaskableActorCriticPolicy, DISCRETE, PPOS),
    "recurrentppo": (RecurrentPPO, RecurrentActorCriticPolicy, DISCRETE, PPOS),
}
SMALL: dict[str, dict[str, Any]] = {
    "qrdqn": {"n_quantiles": 5},
    "tqc": {"n_quantiles": 5},
    "recurrentppo": {"lstm_hidden_size": 8},
}
"""Arguments that keep a policy small, beside net_arch."""
WITH_TARGETS = tuple(name for name, row in ALGORITHMS.items() if issubclass(row[0], OffPolicyAlgorithm))
WITHOUT_TARGETS = tuple(name for name in ALGORITHMS if name not in WITH_TARGETS)


class Noise(gym.Env):
    """Observations are drawn from their space; an episode lasts 5 steps; the reward is the step."""

    def __init__(self, observation: spaces.Space, action: spaces.Space):
        self.observation_space, self.action_space, self.steps = observation, action, 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps = 0
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.steps += 1
        return self.observation_space.sample(), float(self.steps), self.steps == 5, False, {}

    def action_masks(self) -> np.ndarray:
        """All actions but the first, at every other step."""
        twice = 2 if isinstance(self.action_space, spaces.MultiBinary) else 1
        masks = np.ones(twice * spaces.flatdim(self.action_space), bool)
        masks[0] = self.steps % 2
        return masks


def make(
    algorithm: str,
    observation: spaces.Space = FLAT,
    policy: dict[str, Any] | None = None,
    bare: str = "",
    **kwargs: Any,
) -> Any:
    """A model of two layers of 8 units unless `policy` says otherwise, whose targets are copied whole and often.

    bare  "Mlp", "Cnn" or "MultiInput": with the library's policy of that name in place of ours
    """
    kind, policy_class, action, settings = ALGORITHMS[algorithm]
    if bare:
        policy_class = f"{bare}{'Lstm' if algorithm == 'recurrentppo' else ''}Policy"
    env = kwargs.pop("env", None) or Noise(observation, action)
    given = {"net_arch": [8, 8]} | SMALL.get(algorithm, {}) | (policy or {})
    return kind(policy_class, env, **settings | kwargs, seed=0, device="cpu", policy_kwargs=given)


@cache
def learned(algorithm: str, norm: str) -> Any:
    """A model that has learned in a few updates; not to be changed by who gets it."""
    return make(algorithm, policy={"norm": norm}).learn(16 if algorithm in WITH_TARGETS else 32)


def statistics(model: Any, but: str = " ") -> dict[str, np.ndarray]:
    """A copy of every running statistic of a model's policy, but of those with `but` in their name."""
    named = model.policy.named_buffers()
    return {name: b.numpy(force=True).copy() for name, b in named if "running_" in name and but not in name}


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    """Whether two sets of statistics are the same, to the bit."""
    return first.keys() == second.keys() and all(np.array_equal(first[name], second[name]) for name in first)
