"""Measure how far running statistics of sound agents are from the data: the base of the doctor's thresholds.

python scripts/calibrate_doctor.py

Trains agents with batch norms and prints the largest gaps of each, on its stored observations and on new steps in its
environment. Takes a few minutes.
"""

import sys

import gymnasium as gym
import torch
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from rlnorm.cli import guarded
from rlnorm.doctor import behaviour
from rlnorm.doctor.agents import of_agent
from rlnorm.nn import BatchNorm1d, BatchRenorm1d
from rlnorm.validation.options import read, typed

DQN_SETTINGS = {"learning_starts": 100, "learning_rate": 1e-3, "target_update_interval": 250, "buffer_size": 20_000}
AGENTS = (
    (DQN, "CartPole-v1", BatchNorm1d, (300, 1000, 3000, 10_000), DQN_SETTINGS),
    (DQN, "CartPole-v1", BatchRenorm1d, (3000, 10_000), DQN_SETTINGS),
    (DQN, "LunarLander-v3", BatchNorm1d, (300, 1000, 3000, 10_000), DQN_SETTINGS),
    (DQN, "LunarLander-v3", BatchRenorm1d, (3000, 10_000), DQN_SETTINGS),
    (SAC, "Pendulum-v1", BatchNorm1d, (300, 1000, 3000), {}),
    (TD3, "Pendulum-v1", BatchNorm1d, (300, 1000, 3000), {}),
    (PPO, "CartPole-v1", BatchNorm1d, (2048, 8192, 20_480), {}),
    (A2C, "CartPole-v1", BatchNorm1d, (500, 5000, 10_000), {}),
)


class Body(BaseFeaturesExtractor):
    """Two hidden layers with a norm each."""

    def __init__(self, space: gym.Space, make: type[nn.Module]):
        super().__init__(space, 64)
        assert space.shape is not None
        self.net = nn.Sequential(
            nn.Linear(space.shape[0], 64, False), make(64), nn.ReLU(), nn.Linear(64, 64, False), make(64), nn.ReLU()
        )

    def forward(self, observations: Tensor) -> Tensor:
        """(B, n) -> (B, 64)."""
        return self.net(observations)


def largest(model: BaseAlgorithm, env: gym.Env | None) -> str:
    """The largest gap of means and the largest ratio of standard deviations over norms, without target networks."""
    subject = of_agent(model, env)
    if subject.no_data:
        return "nothing stored"
    norms = [(path, norm) for path, norm in subject.trace.norms.items() if "_target" not in path]
    gaps = [behaviour.gap(norm, subject.trace.calls[path].x) for path, norm in norms]
    return f"{max(gap for gap, _ in gaps):.2f} {max(ratio for _, ratio in gaps):.2f}"


def main() -> None:
    """Train, measure, print."""
    torch.set_num_threads(1)
    for algorithm, env, make, stops, settings in AGENTS:
        kwargs = {"features_extractor_class": Body, "features_extractor_kwargs": {"make": make}}
        model = algorithm("MlpPolicy", env, seed=0, device="cpu", policy_kwargs=kwargs, **settings)
        for steps in stops:
            model.learn(steps - model.num_timesteps, reset_num_timesteps=False)
            gaps = f"stored {largest(model, None)}, new {largest(model, gym.make(env))}"
            print(f"{algorithm.__name__} {env} {make.__name__} {steps}: {gaps}", flush=True)


if __name__ == "__main__":
    sys.exit(guarded(read(main, __doc__), typed()))
