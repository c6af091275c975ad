"""Norms swapped inside any model, ours for torch's and back, state carried over where it has a meaning."""

import copy
import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.instancenorm import _InstanceNorm as TorchsInstanceNorm

from rlnorm.errors import ConfigError, raise_if_any, unknown
from rlnorm.nn.batch_renorm import BatchRenorm
from rlnorm.nn.group import groups_for
from rlnorm.nn.modes import Moded
from rlnorm.nn.norm import Identity, Make, Norm, get_norm

SPATIAL = {nn.Linear: 0, nn.Conv1d: 1, nn.Conv2d: 2, nn.Conv3d: 3}
Places = Mapping[str, int]
"""Path in a model -> spatial dimensions there."""


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

    model   any module; norms of the kinds on the left are found by their very classes
    swaps   name -> name; ours (`batch`, `layer`, ...), a path of one's own, or torch's (`torch.batch`, ...)
    norms   the norms that our names are looked up in

    Constructor settings (eps, momentum, affine, groups, ...), parameters, statistics and counters are carried over
    where both kinds have them in the same shape; so are mode, device, dtype and what is frozen. A norm in two places is
    one afterwards. Where a class does not say whether it stands after a Linear or a Conv, the Linear or Conv before it
    in the model's own order of modules does.

    Raises ConfigError for unknown names and norms that wrap a layer; for a norm that has no form for its place, nor the
    mode or the kind of average of the old one; and for subclasses of the classes sought, torch's SyncBatchNorm among
    them: whatever they do beyond those would be lost.
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
    faults = list(_more_than_sought(converted, [source for source, _ in chosen], known.values()))
    for old, (target, places) in _found(converted, chosen).items():
        try:
            new = _swap(old, target, places)
        except ConfigError as error:
            faults.extend(error.sentences)
            continue
        for path in places:
            parent, _, name = path.rpartition(".")
            if not path:
                converted = new
            else:
                setattr(converted.get_submodule(parent), name, new)
    raise_if_any(dict.fromkeys(faults))
    return converted


def _found(model: nn.Module, chosen: Iterable[tuple[Norm, Norm]]) -> Mapping[nn.Module, tuple[Norm, Places]]:
    """Each norm to be swapped, for what, and where it stands: a norm may have more places than one."""
    sought = [(_classes(source), target) for source, target in chosen]
    found: dict[nn.Module, tuple[Norm, dict[str, int]]] = {}
    hint = 0
    for path, module in model.named_modules(remove_duplicate=False):
        hint = SPATIAL.get(type(module), hint)
        for classes, target in sought:
            forms = [ndim for ndim, cls in classes.items() if _named(type(module)) == _named(cls)]
            if forms:
                found.setdefault(module, (target, {}))[1][path] = hint if hint in forms else min(forms)
                break
    return found


def _more_than_sought(model: nn.Module, sources: Iterable[Norm], known: Iterable[Norm]) -> Iterator[str]:
    """A sentence for each module of a class that extends one sought and is not itself that of a norm by name."""
    named = {_named(cls) for norm in (*sources, *known) for cls in _classes(norm).values()}
    sought = [(source.name, tuple(dict.fromkeys(_classes(source).values()))) for source in sources]
    for path, module in model.named_modules():
        if _named(type(module)) in named:
            continue
        for name, classes in sought:
            # The one batch norm of torch's that extends none of the classes sought.
            synced = (nn.SyncBatchNorm,) if name == "torch.batch" else ()
            if isinstance(module, (*classes, *synced)):
                exactly = " or ".join(cls.__name__ for cls in classes)
                yield (
                    f"{path or 'the model'} is a {type(module).__name__}, which may do more than norm {name!r} does; "
                    f"expected exactly {exactly}: replace it by hand."
                )


def _classes(norm: Norm) -> Mapping[int, type[nn.Module]]:
    return {ndim: type(make(16)) for ndim, make in norm.modules.items()}


def _named(cls: type) -> tuple[str, str]:
    """A class by its name: a file of one's own that is read twice defines two classes of one name."""
    return cls.__module__, cls.__qualname__


def _swap(old: nn.Module, target: Norm, places: Places) -> nn.Module:
    what = " and ".join(path or "the model" for path in places)
    make, *others = {_form(old, target, ndim) for ndim in places.values()}
    if others:
        raise ConfigError(
            f"{what} are one norm, and norm {target.name!r} has another form for each; give each its own."
        )
    width = _width(old)
    if isinstance(width, tuple) and "normalized_shape" not in inspect.signature(make).parameters:
        raise ConfigError(f"{what} normalizes over {width}; norm {target.name!r} takes a number of channels.")
    new = make(width, **_settings(old, make)).train(old.training)
    for tensor in (*old.parameters(), *old.buffers()):
        new.to(device=tensor.device)
        if tensor.is_floating_point():
            new.to(dtype=tensor.dtype)
    _carry(old, new)
    averages = getattr(new, "running_mean", None) is not None
    if isinstance(new, TorchsInstanceNorm) and averages and new.momentum is None:
        raise ConfigError(f"{what} averages cumulatively (momentum None), which norm {target.name!r} lacks.")
    if isinstance(old, Moded) and isinstance(new, Moded):
        new.mode = old.mode
    elif isinstance(old, Moded) and averages and old.mode not in ("train", "eval"):
        raise ConfigError(f"{what} is in mode {old.mode!r}, which norm {target.name!r} lacks; set another first.")
    return new


def _form(old: nn.Module, target: Norm, ndim: int) -> Make:
    if ndim == 0 and 0 not in target.modules and isinstance(old, nn.BatchNorm1d):
        ndim = 1
    make = target.modules.get(ndim)
    if make is None:
        target.make(1, ndim)
        raise AssertionError("unreachable: make refuses what it has no form for")
    return make


def _width(module: nn.Module) -> Any:
    for name in ("num_features", "num_channels", "width"):
        if hasattr(module, name):
            return getattr(module, name)
    shape = tuple(vars(module)["normalized_shape"])
    return shape[0] if len(shape) == 1 else shape


def _settings(old: nn.Module, make: Any) -> dict[str, Any]:
    """What the old norm was constructed with, as far as the new one's constructor takes it."""
    has = {key: value for key, value in vars(old).items() if not key.startswith("_") and value is not None}
    if "momentum" in vars(old):
        # None is the cumulative average; in torch's instance norm, a share of 0.
        still = isinstance(old, TorchsInstanceNorm) and old.track_running_stats
        has.setdefault("momentum", 0.0 if still else None)
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
    frozen = {name for name, parameter in old.named_parameters() if not parameter.requires_grad}
    for name, parameter in new.named_parameters():
        parameter.requires_grad_(name not in frozen)


def _state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
