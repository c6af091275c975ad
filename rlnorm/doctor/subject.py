"""What is examined: networks as handed over, copies of them in the modes in which they act and learn, and one pass.

Nothing here changes the networks: passes run in copies, and random numbers come from forks of torch's stream.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import gymnasium as gym
import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from rlnorm.doctor import trace
from rlnorm.doctor.trace import Trace
from rlnorm.errors import ConfigError
from rlnorm.nn import Reparametrized

ROWS = 256
STEPS = 4 * ROWS
SIDES = (84, 64, 36, 28, 10)
Pair = tuple[str, str]


@dataclass(frozen=True)
class Subject:
    """What is examined.

    what       in words
    root       everything, as handed over; read and never run
    acting     a copy in the mode in which it acts
    updating   a copy in the mode in which it is updated
    actors     paths of the networks that act
    acts       whether `acting` is known to act in that mode
    pairs      paths of each online network and its target
    trace      one pass through `acting`
    data       whether that pass saw what the network meets (replay, rollouts), and not noise
    algorithm  the SB3 algorithm, where there is one
    """

    what: str
    root: nn.Module
    acting: nn.Module
    updating: nn.Module
    actors: tuple[str, ...]
    acts: bool
    pairs: tuple[Pair, ...]
    trace: Trace
    data: bool
    algorithm: BaseAlgorithm | None = None

    def norms(self) -> Iterator[tuple[str, nn.Module]]:
        """Every norm as handed over, with its path."""
        return trace.norms(self.root)

    @property
    def targets(self) -> tuple[str, ...]:
        """Paths of the target networks."""
        return tuple(target for _, target in self.pairs)


def within(path: str, networks: Sequence[str]) -> bool:
    """Whether `path` is in one of these networks; the path "" holds everything."""
    return any(not network or path == network or path.startswith(f"{network}.") for network in networks)


def join(*names: str) -> str:
    """A path from its parts; empty ones are left out."""
    return ".".join(filter(None, names))


def of_module(module: nn.Module, env: gym.Env | None) -> Subject:
    """A network by itself: examined in the mode it is handed over in, as the one that acts."""
    acting = trace.duplicate(module)
    data = None if env is None else _rollout(trace.duplicate(module), env)
    seen = _watched(acting, _guesses(module) if data is None else [data])
    acts = env is not None or not module.training
    name = type(module).__name__
    return Subject(name, module, acting, acting, ("",), acts, (), seen, data is not None)


def of_pair(online: nn.Module, target: nn.Module, env: gym.Env | None) -> Subject:
    """An online network, which may be in training, and its target.

    Raises ConfigError where the two do not hold the same state.
    """
    one, other = online.state_dict().keys(), target.state_dict().keys()
    if one != other:
        apart = sorted(one ^ other)
        raise ConfigError(
            f"online and target network hold different state: {', '.join(apart[:3])} in one of them only."
        )
    root = nn.ModuleDict({"online": online, "target": target})
    acting = trace.duplicate(root)
    data = None if env is None else _rollout(trace.duplicate(online), env)
    seen = _watched(acting, _guesses(online) if data is None else [data], ("online", "target"))
    what = f"{type(online).__name__} and its target"
    pairs = (("online", "target"),)
    acts = not online.training
    return Subject(what, root, acting, acting, ("online",), acts, pairs, seen, data is not None)


def _watched(acting: nn.Module, inputs: Sequence[Tensor], parts: Sequence[str] = ("",)) -> Trace:
    """The first pass that succeeds, or the last that fails, by one of `inputs` through each part."""
    seen = Trace(error="the shape of its inputs is unknown; give an env")
    for x in inputs:
        seen = trace.watch(trace.duplicate(acting), partial(_through, parts, x))
        if not seen.error:
            break
    return seen


def _through(parts: Sequence[str], x: Tensor, root: nn.Module) -> list[Tensor]:
    return [y for part in parts for y in tensors(root.get_submodule(part)(x))]


def tensors(out: object) -> Iterator[Tensor]:
    """Every tensor in what a network returned."""
    if isinstance(out, Tensor):
        yield out
    elif isinstance(out, list | tuple):
        for each in out:
            yield from tensors(each)


def _guesses(module: nn.Module) -> list[Tensor]:
    """Standard normal inputs of the shapes that the first layer may take."""
    rng = torch.Generator().manual_seed(0)
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.zeros(()))

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=rng).to(like)

    for part in module.modules():
        layer = part.layer if isinstance(part, Reparametrized) else part
        shape = getattr(layer, "normalized_shape", getattr(layer, "shape", None))
        if isinstance(layer, nn.Linear):
            return [draw(ROWS, layer.in_features)]
        if isinstance(layer, _ConvNd):
            axes = len(layer.kernel_size)
            return [draw(16, layer.in_channels, *(side,) * axes) for side in SIDES]
        if isinstance(shape, tuple) and all(isinstance(side, int) for side in shape):
            return [draw(ROWS, *shape)]
        width = getattr(layer, "num_features", getattr(layer, "num_channels", None))
        if isinstance(width, int):
            return [draw(ROWS, width), *(draw(16, width, *(28,) * axes) for axes in (1, 2, 3))]
    return []


def _rollout(network: nn.Module, env: gym.Env) -> Tensor:
    """Observations (ROWS, ...): every other step greedy, where outputs are one per action; the rest random."""
    like = next((p for p in network.parameters() if p.is_floating_point()), torch.zeros(()))

    def act(observation: np.ndarray) -> object:
        x = torch.as_tensor(observation[None]).to(like)
        with torch.no_grad():
            out = network.eval()(x)
        greedy = isinstance(out, Tensor) and out.shape == (1, getattr(env.action_space, "n", 0))
        return int(out.argmax()) if greedy else None

    return torch.as_tensor(np.stack(rollout(env, act))).to(like)


def rollout(env: gym.Env, act: Callable[[np.ndarray], object]) -> list[np.ndarray]:
    """ROWS of the observations from STEPS in `env`, every other action random, as is one for which `act` gives None."""
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    seen: list[np.ndarray] = []
    for step in range(STEPS):
        seen.append(np.array(observation))
        action = act(observation) if step % 2 else None
        observation, _, terminated, truncated, _ = env.step(env.action_space.sample() if action is None else action)
        if terminated or truncated:
            observation, _ = env.reset()
    return seen[:: STEPS // ROWS]
