"""From an agent of a population to a model of stable-baselines3."""

from collections.abc import Collection, Mapping
from typing import Any

import gymnasium as gym
from stable_baselines3 import DQN
from torch import Tensor, nn

from rlnorm.errors import ConfigError
from rlnorm.sb3.dqn import DQNPolicy


def to_sb3(agent: nn.Module, env: str | gym.Env, **policy_kwargs: Any) -> DQN:
    """A DQN model whose online and target networks are `agent`, so that `predict` takes the actions it takes.

    agent          a Q-network as `Population.member` gives it, for observations that are vectors
    policy_kwargs  what the network was made with, in the policy's words: net_arch, norm, place, activation_fn, ...

    The model can be saved, evaluated and trained further; its replay buffer and optimizer are new. Raises ConfigError
    where `agent` is not the network that `policy_kwargs` make for `env`.
    """
    model = DQN(DQNPolicy, env, policy_kwargs=policy_kwargs, device="cpu")
    network = model.q_net.q_net
    try:
        network.load_state_dict(_without_idle_biases(agent.state_dict(), set(network.state_dict())))
    except RuntimeError as error:
        _, _, difference = str(error).partition(":")
        raise ConfigError(
            f"the agent is not the network that policy_kwargs {policy_kwargs} make: {' '.join(difference.split())}"
        ) from error
    model.q_net_target.load_state_dict(model.q_net.state_dict())
    return model


def _without_idle_biases(weights: Mapping[str, Tensor], names: Collection[str]) -> dict[str, Tensor]:
    """A bias that the policy lacks, because a norm takes it off again: norm(Wx + b) is norm(Wx), its mean less b.

    Such are `linear1.bias` and its like; `norm1` stands right behind.
    """
    found = dict(weights)
    for name in weights:
        mean = f"norm{name.split('.')[0].removeprefix('linear')}.running_mean"
        if name.endswith(".bias") and name not in names and mean in names:
            found[mean] = weights[mean] - found.pop(name)
    return found
