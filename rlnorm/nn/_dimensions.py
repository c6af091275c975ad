"""The number of spatial dimensions at each module of a model, as far as the modules before it tell."""

import re
from collections.abc import Iterator

from torch import nn

from rlnorm.nn import _torch
from rlnorm.nn._wrap import Reparametrized

ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Softplus,
    nn.Sigmoid, nn.Tanh, nn.Hardtanh, nn.Hardswish, nn.Identity, nn.Dropout, nn.AlphaDropout,
)  # fmt: skip
"""Modules of torch's that leave the number of spatial dimensions as it is, and whose name does not say it."""


def with_dimensions(
    module: nn.Module, path: str = "", before: int | None = None
) -> Iterator[tuple[str, nn.Module, int | None]]:
    """Every module, with the spatial dimensions that the modules before it tell; None where they do not."""
    yield path, module, before
    if _dimensions(module, before) is not _BY_CHILDREN:
        return
    for name, child in _torch.children(module):
        yield from with_dimensions(child, f"{path}.{name}" if path else name, before)
        before = _after(child, before)


_BY_CHILDREN = object()


def _after(module: nn.Module, before: int | None) -> int | None:
    """The spatial dimensions behind a module, given those before it."""
    own = _dimensions(module, before)
    if own is not _BY_CHILDREN:
        assert own is None or isinstance(own, int)
        return own
    for _, child in _torch.children(module):
        before = _after(child, before)
    return before


def _dimensions(module: nn.Module, before: int | None) -> object:
    """The same for one module alone: a layer or a class of torch's says it, a container leaves it to its children."""
    layer = module.layer if isinstance(module, Reparametrized) else module
    if isinstance(layer, nn.Linear):
        return 0
    if isinstance(layer, _torch.ConvNd):
        return len(layer.kernel_size)
    if isinstance(module, nn.Flatten):
        return 0 if (module.start_dim, module.end_dim) == (1, -1) else None
    if isinstance(module, nn.Unflatten):
        return len(module.unflattened_size) - 1 if module.dim in (1, "1") and before == 0 else None
    if next(module.children(), None) is not None:
        return _BY_CHILDREN
    told = re.search(r"([123])d$", type(module).__name__)
    if told and not isinstance(module, nn.BatchNorm1d) and type(module).__module__.startswith("torch."):
        return int(told[1])
    ours = type(module).__module__.startswith("rlnorm.")
    return before if isinstance(module, ELEMENTWISE) or _is_norm(module) or ours else None


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()
