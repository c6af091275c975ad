"""Norms swapped inside any model, ours for torch's and back, state carried over where it has a meaning."""

import copy
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rlnorm.errors import ConfigError, unknown
from rlnorm.nn.batch_renorm import BatchRenorm
from rlnorm.nn.group import groups_for
from rlnorm.nn.modes import Moded
from rlnorm.nn.norm import Identity, Norm, get_norm

SPATIAL = {nn.Linear: 0, nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}


def _torchs_group(width: int, num_groups: int | None = None, eps: float = 1e-5, affine: bool = True, bias: bool = True):
    return nn.GroupNorm(groups_for(width) if num_groups is None else num_groups, width, eps, affine, bias=bias)


TORCHS: Mapping[str, Norm] = {
    norm.name: norm
    for norm in (
        Norm("torch.batch", {0: nn.BatchNorm1d, 1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}),
        Norm("torch.layer", {0: nn.LayerNorm}),
        Norm("torch.rms", {0: nn.RMSNorm}),
        Norm("torch.group", dict.fromkeys(range(4), _torchs_group)),
        Norm("torch.instance", {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}),
    )
}
"""Torch's own norms, by the names that `convert` takes beside ours."""


def convert(model: nn.Module, swaps: Mapping[str, str], norms: Mapping[str, Norm]) -> nn.Module:
    """A copy of `model` with norms swapped by name: `convert(model, {"torch.batch": "layer"}, NORMS)`.

    model   any module; norms of the kinds on the left are found by their classes
    swaps   name -> name; ours (`batch`, `layer`, ...), a path of one's own, or torch's (`torch.batch`, ...)
    norms   the norms that our names are looked up in

    Constructor settings (eps, momentum, affine, groups, ...), parameters, statistics and counters are carried over
    where both kinds have them in the same shape; so are mode, device and dtype. Where a class does not say whether it
    stands after a Linear or a Conv, the Linear or Conv before it in the model's own order of modules does.

    Raises ConfigError for unknown names, for norms that wrap a layer, and for a norm that has no form for its place.
    """
    known = {**norms, **TORCHS}
    for name in (*swaps, *swaps.values()):
        if name not in known and not name.endswith(".py"):
            raise ConfigError(unknown("norm", name, known))
    chosen = [(get_norm(source, known), get_norm(target, known)) for source, target in swaps.items()]
    for norm in (norm for pair in chosen for norm in pair):
        if norm.wrap_layer is not None:
            raise ConfigError(f"norm {norm.name!r} wraps a layer and cannot be swapped; build the model with it.")
    converted = copy.deepcopy(model)
    hint = 0
    for path, module in list(converted.named_modules()):
        hint = SPATIAL.get(type(module), hint)
        for source, target in chosen:
            forms = [ndim for ndim, make in source.modules.items() if type(module) is type(make(16))]
            if not forms:
                continue
            new = _swap(module, target, hint if hint in forms else min(forms), path)
            if not path:
                return new
            parent, _, name = path.rpartition(".")
            setattr(converted.get_submodule(parent), name, new)
            break
    return converted


def _swap(old: nn.Module, target: Norm, ndim: int, path: str) -> nn.Module:
    if ndim == 0 and 0 not in target.modules and isinstance(old, nn.BatchNorm1d):
        ndim = 1
    make = target.modules.get(ndim)
    if make is None:
        target.make(1, ndim)
        raise AssertionError("unreachable: make refuses what it has no form for")
    width = _width(old)
    if isinstance(width, tuple) and "normalized_shape" not in inspect.signature(make).parameters:
        raise ConfigError(
            f"{path or 'the model'} normalizes over {width}; norm {target.name!r} takes a number of channels."
        )
    new = make(width, **_settings(old, make)).train(old.training)
    for tensor in (*old.parameters(), *old.buffers()):
        new.to(device=tensor.device)
        if tensor.is_floating_point():
            new.to(dtype=tensor.dtype)
    _carry(old, new)
    if isinstance(old, Moded) and isinstance(new, Moded):
        new.mode = old.mode
    return new


def _width(module: nn.Module) -> Any:
    for name in ("num_features", "num_channels", "width"):
        if hasattr(module, name):
            return getattr(module, name)
    shape = tuple(vars(module)["normalized_shape"])
    return shape[0] if len(shape) == 1 else shape


def _settings(old: nn.Module, make: Any) -> dict[str, Any]:
    """What the old norm was constructed with, as far as the new one's constructor takes it."""
    has = {key: value for key, value in vars(old).items() if not key.startswith("_") and value is not None}
    if not isinstance(old, Identity) and hasattr(old, "weight"):
        has["affine"] = has["elementwise_affine"] = old.weight is not None
        if old.weight is not None and hasattr(old, "bias"):
            has["bias"] = old.bias is not None
    skip = {"num_features", "num_channels", "normalized_shape", "width", "training"}
    return {key: has[key] for key in inspect.signature(make).parameters if key in has and key not in skip}


@torch.no_grad()
def _carry(old: nn.Module, new: nn.Module) -> None:
    state = dict(_state(old))
    if isinstance(new, BatchRenorm) and "running_var" in state:
        state["running_std"] = (state["running_var"] + new.eps).sqrt()
        state["running_updates"] = state["num_batches_tracked"].reshape(1)
    elif isinstance(old, BatchRenorm):
        state["running_var"] = (state["running_std"].square() - old.eps).clamp(min=0)
        state["num_batches_tracked"] = state["running_updates"].reshape(())
    for name, tensor in _state(new):
        if name in state and state[name].shape == tensor.shape:
            tensor.copy_(state[name])


def _state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
