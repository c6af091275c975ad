"""Norms swapped inside any model, ours for torch's and back, state carried over where it has a meaning."""

import inspect
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from rlnorm.errors import ConfigError, raise_if_any
from rlnorm.nn import _torch
from rlnorm.nn._copy import duplicate
from rlnorm.nn._dimensions import with_dimensions
from rlnorm.nn.batch_renorm import BatchRenorm
from rlnorm.nn.group import groups_for
from rlnorm.nn.modes import Moded
from rlnorm.nn.norm import Identity, Make, Norm, get_norm
from rlnorm.nn.running import RunningNorm
from rlnorm.nn.state import counter_of, foreign, leave_alone, mode_of, statistics_of

Places = Mapping[str, int | None]
"""Path in a model -> spatial dimensions there; None where they cannot be told."""


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


def convert(
    model: nn.Module,
    swaps: Mapping[str, str | None],
    norms: Mapping[str, Norm],
    notice: Callable[[str], None] | None = None,
) -> nn.Module:
    """A copy of `model` with norms swapped by name: `convert(model, {"torch.batch": "layer"}, NORMS)`.

    model   any module; norms of the kinds on the left are found by their very classes
    swaps   name -> name; ours (`batch`, `layer`, ...), a path of one's own, or torch's (`torch.batch`, ...); None is
            "none"
    norms   the norms that our names are looked up in
    notice  is told each norm of another library, which is left alone; the default is `warnings.warn`

    Constructor settings (eps, momentum, affine, groups, ...), parameters, statistics and counters are carried over
    where both kinds have them in the same shape; so are mode, device, dtype and `requires_grad`. A norm in two places
    is one afterwards, and a list or dict in the model that holds it holds the new one. Where a class does not say at
    how many spatial dimensions it stands, the layer before it in the model's own order of modules does.

    Raises ConfigError for unknown names and norms that wrap a layer; for a norm with hooks, or whose place cannot be
    told where that matters; for a target that has no form for the place, nor the mode or the kind of average of the old
    norm; for subclasses of the classes sought, torch's SyncBatchNorm among them: their additions would be lost; and for
    a model that cannot be copied.
    """
    known = {**norms, **TORCHS}
    chosen = [(get_norm(source, known), get_norm(target, known)) for source, target in swaps.items()]
    for norm in (norm for pair in chosen for norm in pair):
        if norm.wrap_layer is not None:
            raise ConfigError(f"norm {norm.name!r} wraps a layer and cannot be swapped; build the model with it.")
    faults = list(_more_than_sought(model, [source for source, _ in chosen], known.values()))
    replaced: dict[nn.Module, nn.Module] = {}
    for old, (target, forms, places) in _found(model, chosen).items():
        try:
            replaced[old] = _swap(old, target, forms, places)
        except ConfigError as error:
            faults.extend(error.sentences)
    raise_if_any(dict.fromkeys(faults))
    for path, norm in foreign(model):
        if not any(_named(type(norm)) == _named(cls) for source, _ in chosen for cls in _classes(source).values()):
            (notice or _warn)(leave_alone(path, norm, "convert"))
    return duplicate(model, replaced)


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=4)


Found = Mapping[nn.Module, tuple[Norm, list[int], Places]]


def _found(model: nn.Module, chosen: Iterable[tuple[Norm, Norm]]) -> Found:
    """Each norm to be swapped: for what, at which spatial dimensions its class may stand, and where it does."""
    sought = [(_classes(source), target) for source, target in chosen]
    found: dict[nn.Module, tuple[Norm, list[int], dict[str, int | None]]] = {}
    for path, module, before in with_dimensions(model):
        for classes, target in sought:
            forms = [ndim for ndim, cls in classes.items() if _named(type(module)) == _named(cls)]
            if forms:
                place = forms[0] if len(forms) == 1 else before if before in forms else None
                found.setdefault(module, (target, forms, {}))[2][path] = place
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


def _swap(old: nn.Module, target: Norm, forms: Iterable[int], places: Places) -> nn.Module:
    what = " and ".join(path or "the model" for path in places)
    if _torch.has_hooks(old):
        raise ConfigError(f"{what} ({type(old).__name__}) has hooks, which norm {target.name!r} would lose.")
    make = _form(old, target, forms, places, what)
    width = _width(old)
    if isinstance(width, tuple) and "normalized_shape" not in inspect.signature(make).parameters:
        raise ConfigError(f"{what} normalizes over {width}; norm {target.name!r} takes a number of channels.")
    new = make(width, **_settings(old, make)).train(old.training)
    for tensor in (*old.parameters(), *old.buffers()):
        new.to(device=tensor.device)
        if tensor.is_floating_point():
            new.to(dtype=tensor.dtype)
    _carry(old, new)
    averages = bool(statistics_of(new))
    if isinstance(new, _torch.InstanceNormBase) and averages and new.momentum is None:
        raise ConfigError(f"{what} averages cumulatively (momentum None), which norm {target.name!r} lacks.")
    if isinstance(old, Moded) and isinstance(new, Moded):
        new.mode = old.mode
    elif averages and mode_of(old) not in ("train", "eval"):
        raise ConfigError(f"{what} is in mode {mode_of(old)!r}, which norm {target.name!r} lacks; set another first.")
    return new


def _form(old: nn.Module, target: Norm, forms: Iterable[int], places: Places, what: str) -> Make:
    """The target's module for the places of a norm, which has to be the same for all of them."""
    told = {ndim for ndim in places.values() if ndim is not None}
    possible = set(forms) if None in places.values() else told
    makes = dict[Make, int]()
    for ndim in sorted(possible):
        if ndim == 0 and 0 not in target.modules and isinstance(old, nn.BatchNorm1d):
            ndim = 1
        if ndim in target.modules:
            makes.setdefault(target.modules[ndim], ndim)
        elif None not in places.values():
            target.make(1, ndim)
    if len(makes) == 1:
        return next(iter(makes))
    if not makes:
        target.make(1, min(possible))
    if None not in places.values():
        raise ConfigError(
            f"{what} are one norm, and norm {target.name!r} has another form for each; give each its own."
        )
    options = " or ".join(f"make({_width(old)}, {ndim})" for ndim in makes.values())
    raise ConfigError(
        f"{what} ({type(old).__name__}): the module before it does not tell how many spatial dimensions it has, and "
        f"norm {target.name!r} has another form for each; replace it by hand with get_norm({target.name!r}).{options}."
    )


def _width(module: nn.Module) -> Any:
    for name in ("num_features", "num_channels", "width"):
        if hasattr(module, name):
            return getattr(module, name)
    shape = tuple(vars(module)["normalized_shape"])
    return shape[0] if len(shape) == 1 else shape


def _settings(old: nn.Module, make: Any) -> dict[str, Any]:
    """The old norm's settings as they are now, as far as the new one's constructor takes them."""
    has = {key: value for key, value in vars(old).items() if not key.startswith("_") and value is not None}
    if "momentum" in vars(old):
        # None is the cumulative average; in torch's instance norm, a momentum of 0.
        still = isinstance(old, _torch.InstanceNormBase) and bool(statistics_of(old))
        has.setdefault("momentum", 0.0 if still else None)
    if isinstance(old, RunningNorm | _torch.NormBase):
        has["track_running_stats"] = bool(statistics_of(old))
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
        if "num_batches_tracked" in state:
            state["running_updates"] = state["num_batches_tracked"].reshape(1)
    elif isinstance(old, BatchRenorm):
        state["running_var"] = (state["running_std"].square() - old.eps).clamp(min=0)
        state["num_batches_tracked"] = state["running_updates"].reshape(())
    for name, tensor in _state(new):
        if name in state and state[name].shape == tensor.shape:
            tensor.copy_(state[name])
    if "track_running_stats" in vars(old) and "track_running_stats" in vars(new):
        vars(new)["track_running_stats"] = vars(old)["track_running_stats"]
    if hasattr(new, "num_batches_tracked") and statistics_of(old) and counter_of(old) is None:
        setattr(new, "num_batches_tracked", None)  # noqa: B010
    learns = {name: parameter.requires_grad for name, parameter in old.named_parameters()}
    for name, parameter in new.named_parameters():
        # A parameter that the old norm lacks is frozen where all of it was.
        parameter.requires_grad_(learns.get(name, any(learns.values()) or not learns))


def _state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters()
    yield from module.named_buffers()
