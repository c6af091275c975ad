"""Faults planted for the doctor, and the healthy counterpart of each: torch.nn's layers, ours, real SB3 models."""

import copy
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from sb3_contrib import RecurrentPPO
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from torch import Tensor, nn
from torch.nn.utils import parametrizations

import rlnorm.nn as ours
from rlnorm.doctor import Report
from rlnorm.doctor.load import algorithms
from tests.sb3.learning import Noise

Case = Callable[[], Any]
Make = Callable[[int], nn.Module]


class Body(BaseFeaturesExtractor):
    """(B, n) -> (B, 16): two layers with norms between them, as users of SB3 write them."""

    def __init__(self, space: gym.Space, make: Make = nn.BatchNorm1d, bias: bool = False):
        super().__init__(space, 16)
        assert space.shape is not None
        self.net = nn.Sequential(
            nn.Linear(space.shape[0], 16, bias), make(16), nn.ReLU(), nn.Linear(16, 16, bias), make(16), nn.ReLU()
        )

    def forward(self, observations: Tensor) -> Tensor:
        return self.net(observations)


class SpectralBody(BaseFeaturesExtractor):
    """(B, n) -> (B, 16) with torch's spectral norm, whose vectors are named _u and _v."""

    def __init__(self, space: gym.Space, wrap: Callable[[nn.Module], nn.Module] = parametrizations.spectral_norm):
        super().__init__(space, 16)
        assert space.shape is not None
        self.net = nn.Sequential(wrap(nn.Linear(space.shape[0], 16)), nn.ReLU())

    def forward(self, observations: Tensor) -> Tensor:
        return self.net(observations)


class Stuck(nn.BatchNorm1d):
    """Always in train mode, whatever it is told."""

    def train(self, mode: bool = True) -> "Stuck":
        return super().train(True)


class Counting(nn.BatchNorm1d):
    """With a counter whose name SB3 takes for a statistic."""

    running_count: Tensor

    def __init__(self, width: int):
        super().__init__(width)
        self.register_buffer("running_count", torch.zeros((), dtype=torch.long))


class TrainsAll(DQNPolicy):
    """Sets the mode of everything, the target network too."""

    def set_training_mode(self, mode: bool) -> None:
        self.train(mode)


class OnTop(DQNPolicy):
    """Q-values with a norm on them."""

    def make_q_net(self) -> Any:
        network = super().make_q_net()
        network.q_net.append(nn.LayerNorm(int(self.action_space.n)))  # pyright: ignore[reportAttributeAccessIssue]
        return network


def on_extractor(body: Any, make: Any) -> dict[str, Any]:
    return {"features_extractor_class": body, "features_extractor_kwargs": make}


OFF_POLICY = {"buffer_size": 500, "learning_starts": 20, "batch_size": 16}


def agent(algorithm: Any = DQN, make: Make | None = nn.BatchNorm1d, steps: int = 0, **settings: Any) -> Any:
    """A real model with norms in its features extractor, trained for `steps`."""
    env = settings.pop("env", "CartPole-v1" if algorithm in (DQN, PPO) else "Pendulum-v1")
    extractor = {"features_extractor_class": Body, "features_extractor_kwargs": {"make": make}} if make else {}
    kwargs = {**extractor, "net_arch": [16], **settings.pop("policy_kwargs", {})}
    if algorithm is not PPO:
        settings = {**OFF_POLICY, **settings}
    model = algorithm(settings.pop("policy", "MlpPolicy"), env, policy_kwargs=kwargs, seed=0, device="cpu", **settings)
    return model.learn(steps) if steps else model


CONTINUOUS = ("ddpg", "sac", "td3", "tqc", "crossq")
SMALL = {
    "ppo": {"n_steps": 32, "batch_size": 16},
    "maskableppo": {"n_steps": 32, "batch_size": 16},
    "trpo": {"n_steps": 32, "batch_size": 16},
    "recurrentppo": {"n_steps": 16, "batch_size": 16, "n_epochs": 1},
    "ars": {},
    "a2c": {},
}


PIXELS = gym.spaces.Box(0, 255, (36, 36, 3), np.uint8)
SPACES: dict[str, gym.Space[Any]] = {
    "images": PIXELS,
    "images and vectors": gym.spaces.Dict({"pixels": PIXELS, "vector": gym.spaces.Box(-1, 1, (4,))}),
}


def standard(name: str, inputs: str = "") -> Any:
    """An algorithm of SB3 or sb3-contrib as it comes, trained for a moment."""
    model = made(name, inputs)
    # Masked actions need an environment that masks them.
    return model if name == "maskableppo" else model.learn(25)


def made(name: str, inputs: str = "") -> Any:
    """An algorithm of SB3 or sb3-contrib as it comes, on vectors or one of `SPACES`."""
    continuous = name in CONTINUOUS
    action = gym.spaces.Box(-1, 1, (1,)) if continuous else gym.spaces.Discrete(2)
    bare = "Pendulum-v1" if continuous else "CartPole-v1"
    env = Noise(copy.deepcopy(SPACES[inputs]), action) if inputs else bare
    policies = {"": "MlpPolicy", "images": "CnnPolicy", "images and vectors": "MultiInputPolicy"}
    policy = "MlpLstmPolicy" if name == "recurrentppo" else policies[inputs]
    settings = SMALL.get(name, OFF_POLICY)
    return algorithms()[name](policy, env, seed=0, device="cpu", **settings)


def trained(**settings: Any) -> Any:
    """A DQN that has learned and whose statistics are warm."""
    return agent(steps=100, train_freq=1, target_update_interval=20, **settings)


def network(make: Make = nn.BatchNorm1d, bias: bool = False) -> nn.Sequential:
    """A plain network of 4 inputs and 2 outputs, in eval mode."""
    return nn.Sequential(nn.Linear(4, 16, bias), make(16), nn.ReLU(), nn.Linear(16, 2)).eval()


def pair(make: Make = nn.BatchNorm1d) -> tuple[nn.Sequential, nn.Sequential]:
    """An online network that has learned something, and its target as it was at the start."""
    online = network(make).train()
    target = copy.deepcopy(online).eval()
    rng = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(online.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        online(3 + 2 * torch.randn(32, 4, generator=rng)).square().mean().backward()
        optimizer.step()
    return online, target


def followed(make: Make = nn.BatchNorm1d) -> tuple[nn.Module, nn.Module]:
    """The same with the target brought up to date."""
    online, target = pair(make)
    target.load_state_dict(online.state_dict())
    return online, target


def parameters_only(share: float) -> tuple[nn.Module, nn.Module]:
    """A target that averaged parameters for long, and statistics never."""
    online, target = pair()
    for one, other in zip(online.parameters(), target.parameters()):
        other.data.lerp_(one.data, share)
    return online, target


def changed(model: Any, change: Callable[[Any], object]) -> Any:
    """`model` after `change` was done to it."""
    change(model)
    return model


def rebound(model: Any) -> Any:
    """The first norm's running mean bound anew, as casting or assigning it does."""
    norm = model.q_net.features_extractor.net[1]
    norm.running_mean = norm.running_mean.clone()
    return model


@torch.no_grad()
def moved(norm: Any, by: float) -> None:
    """The running mean of `norm` shifted."""
    norm.running_mean.add_(by)


def fresh_cartpole_statistics(network: nn.Sequential) -> nn.Sequential:
    """Statistics from steps in CartPole."""
    env = gym.make("CartPole-v1")
    env.action_space.seed(1)
    seen = [env.reset(seed=1)[0]]
    while len(seen) < 1280:
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
        seen.append(env.reset()[0] if terminated or truncated else observation)
    ours.update_bn(torch.as_tensor(np.stack(seen)).split(16), network)
    return network


def decaying(network: nn.Module, decay: float) -> nn.Module:
    """`network` that keeps its optimizer, as SB3's policies do."""
    network.optimizer = torch.optim.AdamW(network.parameters(), weight_decay=decay)  # pyright: ignore[reportArgumentType]
    return network


def spared(network: nn.Module) -> nn.Module:
    """`network` whose optimizer decays the weights of its layers alone."""
    without = ours.no_decay_parameters(network)
    rest = [p for p in network.parameters() if all(p is not other for other in without)]
    groups = [{"params": rest, "weight_decay": 0.1}, {"params": without, "weight_decay": 0.0}]
    network.optimizer = torch.optim.AdamW(groups)  # pyright: ignore[reportArgumentType]
    return network


def image(make: Make, bias: bool = False) -> nn.Module:
    """A network that reads 10 x 10 pixels."""
    body = nn.Sequential(nn.Conv2d(3, 8, 3, bias=bias), make(8), nn.ReLU(), nn.Flatten())
    return nn.Sequential(*body, nn.Linear(512, 2)).eval()


def spectral_copied() -> tuple[nn.Module, nn.Module]:
    """Parameters copied, power iteration's vectors not, after the weights have turned."""
    online = nn.Sequential(ours.SpectralNorm(nn.Linear(4, 8)), nn.Linear(8, 2)).eval()
    target = copy.deepcopy(online)
    layer: Any = online[0]
    with torch.no_grad():
        layer.layer.weight.copy_(torch.eye(8, 4).flip(0) + 3 * torch.eye(8, 4)[:, [1, 0, 2, 3]].roll(3, 0))
    layer.train()(torch.zeros(2, 4))
    for _ in range(30):
        layer(torch.zeros(2, 4))
    layer.eval()
    for one, other in zip(online.parameters(), target.parameters()):
        other.data.copy_(one.data)
    return online, target


def shared_statistics() -> tuple[nn.Module, nn.Module]:
    online, target = followed(ours.BatchNorm1d)
    norm: Any = target[1]  # pyright: ignore[reportIndexIssue]
    norm.running_mean = online[1].running_mean  # pyright: ignore[reportIndexIssue]
    return online, target


def averaged() -> tuple[nn.Module, nn.Module]:
    """A target that averages statistics as it does parameters."""
    online, target = pair()
    for _ in range(10):
        for one, other in zip(online.state_dict().values(), target.state_dict().values()):
            if one.is_floating_point():
                other.lerp_(one, 0.05)
    return online, target


def warned(make: Callable[..., Any], *args: Any, **settings: Any) -> BaseAlgorithm:
    """SB3 itself warns of a truncated minibatch, not of its size."""
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make(*args, **settings)


def found(report: Report) -> set[str]:
    """Names of the checks that found something."""
    return {finding.check for finding in report.findings}


class Seeing(BaseFeaturesExtractor):
    """(n, ...) -> (n, 16) with a norm, which `call` calls."""

    def __init__(
        self,
        space: gym.Space,
        make: Make = nn.BatchNorm1d,
        call: Callable[[nn.Module, Tensor], Tensor] = lambda norm, h: norm(h),
    ):
        super().__init__(space, 16)
        self.layer, self.norm, self.call = nn.Linear(gym.spaces.flatdim(space), 16, bias=False), make(16), call

    def forward(self, observations: Tensor) -> Tensor:
        return self.call(self.norm, self.layer(observations.flatten(1))).relu()


def seeing(algorithm: Any, env: Any = "CartPole-v1", steps: int = 0, **extractor: Any) -> Any:
    """A real model whose features extractor is `Seeing`."""
    small = {"n_steps": 64, "batch_size": 32} if algorithm is not DQN else OFF_POLICY
    policy = "MlpLstmPolicy" if algorithm is RecurrentPPO else "MlpPolicy"
    kwargs = {"policy_kwargs": on_extractor(Seeing, extractor), "seed": 0, "device": "cpu"}
    model = algorithm(policy, env, **small, **kwargs)
    return model.learn(steps) if steps else model


def without_statistics(width: int) -> nn.Module:
    """A batch norm that takes the batch's statistics in every mode."""
    return nn.BatchNorm1d(width, track_running_stats=False)
