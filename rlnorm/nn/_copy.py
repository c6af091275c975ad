"""Copies of models with some modules replaced, and modules that the tree of modules does not show."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from rlnorm.errors import ConfigError
from rlnorm.nn._torch import REGISTERED


def duplicate(model: nn.Module, replaced: Mapping[nn.Module, nn.Module] | None = None) -> nn.Module:
    """A deep copy of `model`, with other modules in the place of some, wherever something in it holds them.

    Tensors that stand in a graph, which torch does not copy, are cut out of it: an activation that a module keeps, or
    the weight that torch's older weight norm computes before each pass. Raises ConfigError for a model that cannot be
    copied: one that holds a lock, say.
    """
    memo: dict[int, Any] = {id(old): new for old, new in (replaced or {}).items()}
    for module in model.modules():
        for held in _held(list(vars(module).values())):
            if isinstance(held, Tensor) and not held.is_leaf:
                memo.setdefault(id(held), held.detach().clone())
    try:
        return copy.deepcopy(model, memo)
    except Exception as error:
        lazy = next((type(m).__name__ for m in model.modules() if any(map(is_lazy, m.buffers(recurse=False)))), None)
        why = f"{lazy} has no statistics before its first pass" if lazy else f"{type(error).__name__}: {error}"
        raise ConfigError(f"{type(model).__name__} cannot be copied: {why.rstrip('.')}.") from error


def held_outside(model: nn.Module) -> set[nn.Module]:
    """Modules that another module of `model` holds outside of the tree, in a list or a dict: it may run them too."""
    found = set[nn.Module]()
    for module in model.modules():
        attributes = [value for name, value in vars(module).items() if name not in REGISTERED]
        found |= {held for held in _held(attributes) if isinstance(held, nn.Module)}
    return found


def _held(value: object) -> Iterator[object]:
    """The objects in a value: its elements and theirs, if it is a collection."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple | set | frozenset):
        for each in value:
            yield from _held(each)
    else:
        yield value
