"""Turns an agent of a population into a model of stable-baselines3."""

import re
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from stable_baselines3 import DQN
from stable_baselines3.common.torch_layers import FlattenExtractor
from torch import Tensor, nn

from rlnorm.errors import ConfigError
from rlnorm.nn import Moded, ObservationNorm
from rlnorm.sb3.dqn import DQNPolicy

LAYERS = (nn.Linear, nn.Conv2d)
SAME = 1e-3
"""Two networks whose Q-values differ by less, relative to the largest, differ by rounding only."""


class StandardizedExtractor(FlattenExtractor):
    """Flat observations (B, features) -> the same, standardized with fixed statistics."""

    def __init__(self, observation_space: Space):
        super().__init__(observation_space)
        self.observations = ObservationNorm(self.features_dim)

    def forward(self, observations: Tensor) -> Tensor:
        """(B, ...) -> (B, features)."""
        return self.observations(super().forward(observations))

    def train(self, mode: bool = True) -> "StandardizedExtractor":
        """As `nn.Module.train`, except that replayed observations must not enter the fixed statistics."""
        super().train(mode)
        self.observations.eval()
        return self


def to_sb3(agent: nn.Module, env: str | gym.Env, **policy_kwargs: Any) -> DQN:
    """A DQN model whose online and target networks are `agent`, so that `predict` chooses its actions.

    agent          a Q-network as `rlnorm.dqn.load` gives it; of images, one with MinAtar's layout: 16 channels, a
                   window of 3 x 3, one Linear hidden layer or more
    policy_kwargs  the network's settings as the policy takes them: net_arch, norm, place, activation_fn, ...; for
                   images the first Linear layer is the extractor's (features_extractor_kwargs=dict(features_dim=...)
                   unless it has MinAtar's 128 units), and net_arch lists further ones, none by default

    The model can be saved, evaluated and trained further; its replay buffer and optimizer are new. Vectors of any dtype
    are read as float32, as in training. If `agent` standardizes observations, the policy does so with the agent's
    statistics. Raises ConfigError if `agent` is not the network that `policy_kwargs` make for `env`, acts with batch
    statistics, or standardizes images.
    """
    if any(isinstance(norm, Moded) and norm.mode == "batch" for norm in agent.modules()):
        raise ConfigError(
            "the agent acts with the statistics of its batch, and a model of stable-baselines3 with running ones: put "
            "it into eval mode first, which changes its actions."
        )
    layers = dict(agent.named_children())
    if "observations" in layers and "flatten" in layers:
        raise ConfigError(
            "the agent standardizes images, and policies of stable-baselines3 divide theirs by 255: expected "
            "an agent of images trained with normalize_observations=False."
        )
    own = {"features_extractor_class": StandardizedExtractor} if "observations" in layers else {}
    model = DQN(DQNPolicy, env, policy_kwargs={**own, **policy_kwargs}, device="cpu")
    convolutions = sum(name.startswith("conv") for name in layers)
    weights = {_of_policy(name, convolutions): tensor for name, tensor in agent.state_dict().items()}
    weights = _numbered(_without_idle_biases(weights, model.q_net), model.q_net)
    try:
        model.q_net.load_state_dict(weights)
    except RuntimeError as error:
        _, _, difference = str(error).partition(":")
        raise ConfigError(
            f"the agent is not the network that policy_kwargs {policy_kwargs} make: {' '.join(difference.split())}"
        ) from error
    apart = _apart(agent, model)
    if apart > SAME:
        raise ConfigError(
            f"policy_kwargs {policy_kwargs} make a network that takes the agent's weights and gives other Q-values, up "
            f"to {apart:.1g} of the largest apart: name the agent's place, activation_fn and norm_kwargs."
        )
    model.q_net_target.load_state_dict(model.q_net.state_dict())
    return model


def _apart(agent: nn.Module, model: DQN) -> float:
    """Largest difference between agent's and model's Q-values on random observations, relative to the largest Q."""
    space = deepcopy(model.observation_space)
    assert isinstance(space, Box)
    space.seed(0)
    seen = torch.as_tensor(np.stack([space.sample() for _ in range(64)]))
    if seen.ndim == 2:
        # Training reads vectors of any dtype as float32, whose bounds may be as large as the dtype's.
        seen = seen.float().clamp(-10, 10)
    model.policy.set_training_mode(False)
    with torch.no_grad():
        expected = deepcopy(agent).eval()(seen.movedim(-1, 1) if seen.dtype == torch.bool else seen)
        got = model.q_net(seen)
    return float((got - expected).abs().max() / expected.abs().max())


def _of_policy(name: str, convolutions: int) -> str:
    """The name in a policy's Q-network of an agent's entry `name`.

    A policy counts layers anew in each part: convolutions, the extractor's Linear layer, the Linear layers behind.
    """
    layer, _, entry = name.partition(".")
    if layer == "observations":
        return f"features_extractor.{name}"
    kind, number = layer.rstrip("0123456789"), int("0" + layer.lstrip("abcdefghijklmnopqrstuvwxyz_"))
    if not convolutions or not number:
        return f"q_net.{name}"
    if number <= convolutions:
        return f"features_extractor.cnn.{name}"
    if number == convolutions + 1:
        return f"features_extractor.linear.{kind}1.{entry}"
    return f"q_net.{kind}{number - convolutions - 1}.{entry}"


def _numbered(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """`weights` with stable-baselines3's names, which count modules, in the parts of `network` without a norm."""
    renamed = dict[str, str]()
    named = dict.fromkeys(name.rpartition(".")[0] for name in weights)
    for path, stack in network.named_modules():
        if isinstance(stack, nn.Sequential) and "0" in stack._modules:
            theirs = [f"{path}.{name}" for name, layer in stack.named_children() if isinstance(layer, LAYERS)]
            own = [name for name in named if re.fullmatch(rf"{re.escape(path)}\.(linear\d+|conv\d+|output)", name)]
            if len(own) == len(theirs):
                renamed |= dict(zip(own, theirs))
    split = {name: name.rpartition(".") for name in weights}
    return {f"{renamed.get(layer, layer)}.{entry}": weights[name] for name, (layer, _, entry) in split.items()}


def _without_idle_biases(weights: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """`weights` without the biases that `network` lacks because a norm takes them off again: norm(Wx + b) = norm(Wx).

    That is `linear1.bias` where `norm1` follows directly; the running mean there is smaller by that b.
    """
    found, modules, names = dict(weights), dict(network.named_modules()), network.state_dict()
    for name in weights:
        norm = re.sub(r"(linear|conv)(\d+)(\.layer)?\.bias$", r"norm\2", name)
        if norm in modules and name not in names:
            bias, mean = found.pop(name), f"{norm}.running_mean"
            if mean in found:
                found[mean] = found[mean] - bias
    return found
