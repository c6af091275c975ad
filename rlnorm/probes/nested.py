"""Tensors in nested structures: what networks take and return."""

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import TypeVar

from torch import Tensor
from torch.distributions import Distribution
from torch.utils._pytree import tree_leaves, tree_map_only

Nest = TypeVar("Nest")


def tensors(nest: object) -> Iterator[Tensor]:
    """Every tensor in tuples, lists, mappings, dataclasses and distributions, in order."""
    for leaf in tree_leaves(nest):
        if isinstance(leaf, Tensor):
            yield leaf
        elif isinstance(leaf, Mapping):
            yield from tensors(list(leaf.values()))
        elif isinstance(leaf, Distribution) or (is_dataclass(leaf) and not isinstance(leaf, type)):
            yield from tensors(vars(leaf))
        elif isinstance(inner := getattr(leaf, "distribution", None), Distribution | list):
            # The distributions of stable-baselines3 hold one of torch's, or a list of them.
            yield from tensors(inner)


def copied(nest: Nest) -> Nest:
    """`nest` with a detached copy in place of each tensor, which later changes in place do not reach."""
    return tree_map_only(Tensor, lambda x: x.detach().clone(), nest)


def first_rows(nest: Nest, rows: int, keep: int) -> Nest:
    """`nest` with the first `keep` of `rows` rows of each tensor.

    Rows are on axis 0, or on axis 1 where axis 0 has another size (the state of torch's recurrent layers). A tensor
    with `rows` on neither stays whole.
    """

    def cut(x: Tensor) -> Tensor:
        if x.ndim and x.shape[0] == rows:
            return x[:keep]
        return x[:, :keep] if x.ndim > 1 and x.shape[1] == rows else x

    return tree_map_only(Tensor, cut, nest)
