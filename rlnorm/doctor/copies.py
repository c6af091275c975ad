"""Copies of networks, in which the doctor runs its passes, and the state that modules keep."""

import copy
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from rlnorm.errors import ConfigError

DEPTH = 4
"""Containers and objects in each other, down to which attributes of modules are searched for tensors."""
OPAQUE = (nn.Module, Tensor, type, ModuleType, Optimizer, gym.Space)
LIBRARIES = ("torch", "stable_baselines3", "sb3_contrib", "rlnorm")


def unwrapped(module: nn.Module) -> nn.Module:
    """The module in compiled modules, DataParallel, DistributedDataParallel and AveragedModel."""
    inner = getattr(module, "_orig_mod", None)
    if isinstance(module, DataParallel | DistributedDataParallel | AveragedModel):
        inner = module.module
    return unwrapped(inner) if isinstance(inner, nn.Module) else module


def refuse(network: nn.Module) -> None:
    """Raise ConfigError for a network whose inside cannot be watched, or that is not there yet."""
    for path, module in network.named_modules():
        where = f" ({path!r} in it)" if path else ""
        if isinstance(module, torch.jit.ScriptModule):
            raise ConfigError(
                f"the doctor cannot look into a ScriptModule{where}; give the module that was scripted or traced."
            )
        if any(nn.parameter.is_lazy(p) for p in module.parameters(recurse=False)):
            raise ConfigError(
                f"{type(module).__name__}{where} has no parameters before its first pass; call the network once."
            )


def view(network: nn.Module) -> nn.Module:
    """The same tensors and optimizers in modules without wrappers."""
    return _copy(network, keep=True)


def duplicate(network: nn.Module) -> nn.Module:
    """A deep copy without wrappers and optimizers.

    torch does not copy a tensor that stands in a graph: the copy is cut out of it. Raises ConfigError for modules that
    cannot be copied.
    """
    return _copy(network, keep=False)


def _copy(network: nn.Module, keep: bool) -> nn.Module:
    memo: dict[int, Any] = {}
    try:
        for module in network.modules():
            for value in _held(module):
                if isinstance(value, Optimizer):
                    memo[id(value)] = value if keep else None
                elif isinstance(value, Tensor) and not value.is_leaf:
                    memo[id(value)] = value.detach().clone()
            if keep:
                memo |= {id(tensor): tensor for tensor in (*module.parameters(False), *module.buffers(False))}
        # The innermost first, so that those around it find it in place.
        for module in reversed(list(network.modules())):
            if unwrapped(module) is not module:
                memo[id(module)] = copy.deepcopy(unwrapped(module), memo)
        return copy.deepcopy(network, memo)
    except Exception as error:
        raise ConfigError(f"{type(network).__name__} cannot be copied: {type(error).__name__}: {error}.") from error


def _held(module: nn.Module) -> Iterator[object]:
    """Attributes of a module, and values in containers and plain objects among them (a distribution's tensors)."""
    open_: list[tuple[object, int]] = [(vars(module), DEPTH)]
    met: set[int] = set()
    while open_:
        value, depth = open_.pop()
        for each in _inside(value):
            yield each
            if depth and id(each) not in met:
                met.add(id(each))
                open_.append((each, depth - 1))


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple | set):
        return list(value)
    return list(vars(value).values()) if _is_plain(value) else ()


def _is_plain(value: object) -> bool:
    return hasattr(value, "__dict__") and not isinstance(value, OPAQUE)


def optimizers(network: nn.Module) -> Iterator[tuple[str, Optimizer]]:
    """Optimizers that modules keep as attributes, with their paths."""
    for path, module in network.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, Optimizer):
                yield f"{path}.{name}".lstrip("."), value


def of_a_library(module: nn.Module) -> bool:
    """Whether the module's class comes with torch, stable-baselines3 or this package."""
    return type(module).__module__.split(".")[0] in LIBRARIES


def state(module: nn.Module) -> dict[str, Tensor]:
    """Tensors that a pass could change, children's left out: buffers, frozen parameters, and plain attributes.

    Plain attributes are tensors and NumPy arrays, in the module or in an object that it holds; the memory is theirs.
    """
    found: dict[str, Any] = dict(module._buffers)
    found |= {name: p.detach() for name, p in module.named_parameters(recurse=False) if not p.requires_grad}
    for name, value in vars(module).items():
        found[name] = value
        if _is_plain(value):
            found |= {f"{name}.{inner}": held for inner, held in vars(value).items()}
    # Views of a tensor's memory, as changes in place are made through them.
    kept = {name: torch.as_tensor(each) for name, each in found.items() if _is_numeric(each)}
    return {name: each for name, each in kept.items() if each.numel()}


def _is_numeric(value: object) -> bool:
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "fiub" and value.flags.writeable
    return isinstance(value, Tensor) and not isinstance(value, nn.Parameter)
