"""From an agent of a population to a model of stable-baselines3."""

from collections.abc import Collection, Mapping
from typing import Any

import gymnasium as gym
from gymnasium import Space
from stable_baselines3 import DQN
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import Tensor, nn

from rlnorm.errors import ConfigError
from rlnorm.nn import Moded, ObservationNorm
from rlnorm.sb3.dqn import DQNPolicy


class StandardizedExtractor(FlattenExtractor):
    """Flat observations (B, features) -> the same, standardized with statistics that stay as they are."""

    def __init__(self, observation_space: Space):
        super().__init__(observation_space)
        self.observations = ObservationNorm(self.features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        """(B, ...) -> (B, features)."""
        return self.observations(super().forward(observations))

    def train(self, mode: bool = True) -> "StandardizedExtractor":
        """As `nn.Module.train`, but what standardizes stays in eval mode: a replay's observations must not enter it."""
        super().train(mode)
        self.observations.eval()
        return self


def to_sb3(agent: nn.Module, env: str | gym.Env, **policy_kwargs: Any) -> DQN:
    """A DQN model whose online and target networks are `agent`, so that `predict` takes the actions it takes.

    agent          a Q-network as `rlnorm.dqn.load` gives it, for observations that are vectors
    policy_kwargs  what the network was made with, in the policy's words: net_arch, norm, place, activation_fn, ...

    The model can be saved, evaluated and trained further; its replay buffer and optimizer are new. Observations that
    `agent` standardizes are standardized in the policy, with the agent's statistics. Raises ConfigError where `agent`
    is not the network that `policy_kwargs` make for `env`, or acts with batch statistics.
    """
    if any(isinstance(norm, Moded) and norm.mode == "batch" for norm in agent.modules()):
        raise ConfigError(
            "the agent acts with the statistics of its batch, and a model of stable-baselines3 with running ones: put "
            "it into eval mode first, which changes its actions."
        )
    norm = dict(agent.named_children()).get("observations")
    own = {} if norm is None else {"features_extractor_class": StandardizedExtractor}
    model = DQN(DQNPolicy, env, policy_kwargs={**own, **policy_kwargs}, device="cpu")
    network, weights = model.q_net.q_net, agent.state_dict()
    try:
        if norm is not None:
            model.q_net.features_extractor.load_state_dict(_taken("observations", weights))
        network.load_state_dict(_without_idle_biases(weights, set(network.state_dict())))
    except RuntimeError as error:
        _, _, difference = str(error).partition(":")
        raise ConfigError(
            f"the agent is not the network that policy_kwargs {policy_kwargs} make: {' '.join(difference.split())}"
        ) from error
    model.q_net_target.load_state_dict(model.q_net.state_dict())
    return model


def _taken(layer: str, weights: dict[str, Any]) -> dict[str, Any]:
    """The entries of one layer, which leave `weights`."""
    return {name: weights.pop(name) for name in list(weights) if name.startswith(f"{layer}.")}


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
