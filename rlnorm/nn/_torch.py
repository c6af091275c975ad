"""Everything of torch that its documentation does not promise, in one place.

Another version of torch may change any of it: `pyproject.toml` allows the versions that it was tested with.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._C import _functorch  # pyright: ignore[reportAttributeAccessIssue]
from torch.autograd import forward_ad
from torch.nn.modules.batchnorm import _BatchNorm as BatchNormBase
from torch.nn.modules.batchnorm import _NormBase as NormBase
from torch.nn.modules.conv import _ConvNd as ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm as InstanceNormBase
from torch.nn.utils.parametrizations import _SpectralNorm, _WeightNorm
from torch.nn.utils.spectral_norm import SpectralNorm as HookedSpectralNorm
from torch.nn.utils.weight_norm import WeightNorm as HookedWeightNorm

__all__ = ["BatchNormBase", "ConvNd", "InstanceNormBase", "NormBase"]

REGISTERED = frozenset({"_modules", "_parameters", "_buffers"})
"""Attributes of a module in which torch keeps the tree of modules and their tensors."""

is_tracing = torch.jit.is_tracing  # pyright: ignore[reportPrivateImportUsage]
"""Whether `torch.jit.trace` records."""

transforms_active = torch._C._are_functorch_transforms_active
"""Whether a transform of `torch.func` is at work."""

is_batch_of_gradients = _functorch.is_legacy_batchedtensor
"""Whether a gradient stands for several, as `torch.autograd.grad(..., is_grads_batched=True)` makes it."""


def forward_mode_active() -> bool:
    """Whether derivatives are taken in forward mode."""
    return forward_ad._current_level >= 0


def is_empty(x: Tensor) -> bool:
    """Whether x has no elements; while `torch.jit.trace` records, which warns of the question, it has some."""
    return not is_tracing() and not x.numel()


def compiles_forward_mode() -> bool:
    """Whether a transform in forward mode is at work, while the compiler traces."""
    levels = _functorch.get_interpreter_stack() or ()
    return any(level.key() == _functorch.TransformType.Jvp for level in levels)


def recording_operations() -> bool:
    """Whether `torch.jit.trace`, `make_fx` or another dispatch mode records each operation; not `torch.compile`."""
    if torch.compiler.is_compiling():
        return False
    return is_tracing() or torch._C._len_torch_dispatch_stack() > 0


def vmap_levels(x: Tensor) -> frozenset[int]:
    """Nested levels of `torch.vmap` over which x has a batch axis; other transforms may wrap it too."""
    return frozenset(level for level, batched in _wrappers(x) if batched)


def takes_changes(x: Tensor) -> bool:
    """Whether each derivative of `torch.func` at work was given x: it lets nothing else be changed in place."""
    kinds = (_functorch.TransformType.Grad, _functorch.TransformType.Jvp)
    levels = {level.level() for level in _functorch.get_interpreter_stack() or () if level.key() in kinds}
    return levels <= {level for level, batched in _wrappers(x) if not batched}


def _wrappers(x: Tensor) -> Iterator[tuple[int, bool]]:
    """Level of each transform of `torch.func` that wraps x, and whether it is `torch.vmap`."""
    while _functorch.is_functorch_wrapped_tensor(x):
        yield _functorch.maybe_get_level(x), _functorch.is_batchedtensor(x)
        x = _functorch.get_unwrapped(x)


def apply_layer(layer: nn.Linear | ConvNd, x: Tensor, weight: Tensor) -> Tensor:
    """layer(x) with `weight` in place of the layer's own."""
    if isinstance(layer, nn.Linear):
        return F.linear(x, weight, layer.bias)
    return layer._conv_forward(x, weight, layer.bias)


def has_hooks(module: nn.Module) -> bool:
    """Whether something runs before or after the module's forward."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def children(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Names and children; a child with two names comes twice, unlike in `named_children`."""
    yield from [(name, child) for name, child in module._modules.items() if child is not None]


def normalizes_weight(*parametrizations: nn.Module) -> bool:
    """Whether one of these is torch's weight or spectral norm (`torch.nn.utils.parametrizations`)."""
    return any(isinstance(each, _WeightNorm | _SpectralNorm) for each in parametrizations)


def normalized_by_hook(module: nn.Module) -> list[str]:
    """Names of weights that the older `torch.nn.utils.weight_norm` or `spectral_norm` computes before each pass."""
    hooks = module._forward_pre_hooks.values()
    return [hook.name for hook in hooks if isinstance(hook, HookedWeightNorm | HookedSpectralNorm)]
