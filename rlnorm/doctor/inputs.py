"""Arguments for a network: given by the user, met in an environment, or guessed from its first layer."""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_map

from rlnorm.doctor.calls import Call
from rlnorm.errors import ConfigError
from rlnorm.nn import Reparametrized
from rlnorm.probes.nested import tensors

ROWS = 256
STEPS = 4 * ROWS
SIDES = (84, 64, 36, 28, 10)
SEQUENCE = (32, 8)
"""Guessed sizes of the two axes before the features of a sequence."""


def given(network: nn.Module, inputs: object) -> Call:
    """The call that `inputs` stand for. NumPy arrays become tensors of the network's dtype and device.

    Raises ConfigError where they hold neither tensor nor array.
    """
    like = _like(network)

    def to_tensor(value: object) -> object:
        if isinstance(value, Tensor):
            return value.detach().to(like.device)
        return _tensor(value, like) if isinstance(value, np.ndarray | np.generic) else value

    nest: Any = tree_map(to_tensor, inputs)
    if next(tensors(nest), None) is None:
        raise ConfigError(
            f"inputs hold neither a tensor nor an array, got {type(inputs).__name__}; expected a tensor, a tuple of "
            f"arguments, or a dict."
        )
    if isinstance(nest, Mapping):
        return Call((), nest) if _are_keywords(network, nest) else Call((nest,))
    # A named tuple, such as a PackedSequence, is one argument.
    if isinstance(nest, tuple | list) and not hasattr(nest, "_fields"):
        return Call(tuple(nest))
    return Call((nest,))


def _are_keywords(network: nn.Module, nest: Mapping[str, object]) -> bool:
    try:
        inspect.signature(network.forward).bind(**nest)
    except TypeError:
        return False
    return True


def required(network: nn.Module) -> str:
    """The arguments without which `network` cannot be called, as "(x, h)", or "x" for one."""
    parameters = inspect.signature(network.forward).parameters.values()
    named = [p.name for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return named[0] if len(named) == 1 else f"({', '.join(named)})"


def guesses(network: nn.Module) -> list[Call]:
    """Standard normal inputs of the shapes that the first layer may take."""
    rng = torch.Generator().manual_seed(0)
    like = _like(network)

    def draw(*shape: int) -> Call:
        return Call((torch.randn(shape, generator=rng).to(like),))

    for part in network.modules():
        layer = part.layer if isinstance(part, Reparametrized) else part
        shape = getattr(layer, "normalized_shape", getattr(layer, "shape", None))
        if isinstance(layer, nn.Linear):
            return [draw(ROWS, layer.in_features)]
        if isinstance(layer, nn.RNNBase):
            return [draw(*SEQUENCE, layer.input_size), draw(ROWS, layer.input_size)]
        if isinstance(layer, nn.Embedding):
            return [Call((torch.arange(ROWS, device=like.device) % layer.num_embeddings,))]
        if isinstance(layer, _ConvNd):
            axes = len(layer.kernel_size)
            return [draw(16, layer.in_channels, *(side,) * axes) for side in SIDES]
        if isinstance(shape, tuple) and all(isinstance(side, int) for side in shape):
            return [draw(ROWS, *shape)]
        width = getattr(layer, "num_features", getattr(layer, "num_channels", None))
        if isinstance(width, int):
            return [draw(ROWS, width), *(draw(16, width, *(28,) * axes) for axes in (1, 2, 3))]
    return []


def met(network: nn.Module, env: gym.Env) -> list[Call]:
    """Calls with the observations from `env`, with and without the actions taken; the network takes one of them.

    To a recurrent network every observation is a sequence of one.

    Raises ConfigError for spaces whose samples do not stack.
    """
    like = _like(network)
    network = network.eval()
    observation_space, action_space = env.observation_space, env.action_space
    recurrent = any(isinstance(module, nn.RNNBase) for module in network.modules())

    def calls(observations: Sequence[Any], actions: Sequence[Any]) -> Iterator[Call]:
        for one_hot in (False, True):
            x = _encoded(observation_space, observations, like, one_hot)
            yield Call((x,))
            if isinstance(x, tuple):
                yield Call(x)
            if isinstance(x, Tensor) and recurrent:
                yield Call((x.unsqueeze(1),))
        for one_hot in (False, True):
            x = _encoded(observation_space, observations, like, one_hot)
            yield Call((x, _encoded(action_space, actions, like, one_hot)))

    def act(observation: object) -> object:
        """The greedy action of a network with one output per action."""
        for call in calls([observation], [env.action_space.sample()]):
            try:
                with torch.no_grad():
                    (out,) = call.on(network)
            except Exception:
                continue
            return int(out.argmax()) if out.shape == (1, getattr(action_space, "n", 0)) else None
        return None

    return list(calls(*_rollout(env, act)))


def _rollout(env: gym.Env, act: Callable[[object], object]) -> tuple[list[Any], list[Any]]:
    """ROWS observations and actions of STEPS in `env`. Every other action is random, as are those that `act` lacks."""
    env.action_space.seed(0)
    observation, _ = env.reset(seed=0)
    observations: list[Any] = []
    actions: list[Any] = []
    for step in range(STEPS):
        greedy = act(observation) if step % 2 else None
        action: Any = env.action_space.sample() if greedy is None else greedy
        observations.append(tree_map(np.copy, observation))
        actions.append(action)
        observation, _, terminated, truncated, _ = env.step(action)
        if terminated or truncated:
            observation, _ = env.reset()
    return observations[:: STEPS // ROWS], actions[:: STEPS // ROWS]


def _encoded(space: gym.Space, samples: Sequence[Any], like: Tensor, one_hot: bool) -> Any:
    """Samples of a space -> tensors (n, ...), in dicts and tuples as in the space.

    Discrete samples become integers, or vectors with a one.
    """
    if isinstance(space, spaces.Dict):
        return {key: _encoded(part, [s[key] for s in samples], like, one_hot) for key, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(_encoded(part, [s[i] for s in samples], like, one_hot) for i, part in enumerate(space))
    if isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        if one_hot:
            return _tensor(np.array([spaces.flatten(space, sample) for sample in samples], float), like)
        return torch.as_tensor(np.stack(samples), dtype=torch.long, device=like.device)
    if isinstance(space, spaces.Box | spaces.MultiBinary):
        return torch.as_tensor(np.stack(samples)).to(like)
    raise ConfigError(f"samples of {space} do not stack; give inputs=..., tensors as the network takes them.")


def _tensor(array: object, like: Tensor) -> Tensor:
    x = torch.as_tensor(array)
    return x.to(like) if x.is_floating_point() else x.to(like.device)


def _like(network: nn.Module) -> Tensor:
    """A tensor of the dtype and device of the network's parameters."""
    state = (*network.parameters(), *network.buffers())
    return next((x.detach() for x in state if x.is_floating_point()), torch.zeros(()))
