r"""Batch normalization folded away at inference.

With running statistics a batch norm is one multiply-add per channel, y = a x + b (`rlnorm.nn.running`). Where a Linear
or Conv stands right before it, x = W h + c, the two are one: W' = a W (row by row), c' = a c + b.

Source: Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1, algorithm 2 line 11.
"""

import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from rlnorm.nn import _torch
from rlnorm.nn._affine import broadcast_channels, to_compute_dtype
from rlnorm.nn._copy import duplicate, held_outside
from rlnorm.nn.running import RunningNorm
from rlnorm.nn.state import (
    describe,
    foreign,
    inference_terms_of,
    is_per_sample,
    leave_alone,
    mode_of,
    statistics_of,
)

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
FORWARDS = {RunningNorm.forward, _torch.BatchNormBase.forward, nn.SyncBatchNorm.forward}
NOT_IN_ORDER = "it does not stand in a Sequential"
HELD = "something outside of the module tree holds"


class Affine(nn.Module):
    """y = a x + b per channel: the rest of a batch norm that no layer could take up."""

    def __init__(self, scale: Tensor, shift: Tensor, learns: bool):
        super().__init__()
        self.scale, self.shift = nn.Parameter(scale, learns), nn.Parameter(shift, learns)

    def forward(self, input: Tensor) -> Tensor:
        """input (N, C, ...) -> same shape and dtype."""
        axis, x = 1 - input.ndim, to_compute_dtype(input)
        scale, shift = (broadcast_channels(p.to(x.dtype), axis) for p in (self.scale, self.shift))
        return torch.addcmul(shift, x, scale).to(input.dtype)


class Absorbed(nn.Module):
    """Stands where a norm was taken up by the layer before it; passes on inputs of the rank for which that is right.

    A Linear acts on the last axis and a norm on the second: they are the same axis for (N, C) alone.
    """

    def __init__(self, ndim: int):
        super().__init__()
        self.ndim = ndim

    def forward(self, input: Tensor) -> Tensor:
        """input -> input. Raises RuntimeError for another number of dimensions."""
        if input.ndim != self.ndim:
            raise RuntimeError(
                f"a norm was folded into the layer before it, which is right for {self.ndim}-D outputs only, but got "
                f"{tuple(input.shape)}; use the model as it was before `fold`"
            )
        return input


def fold(model: nn.Module, notice: Callable[[str], None] | None = None) -> nn.Module:
    """A copy of `model` in which every batch norm is one multiply-add, folded where that can be.

    Batch norms are ours and torch's with running statistics over the batch, and those of one's own that derive from
    `RunningNorm`. A norm is folded into the Linear or Conv right before it in the same `nn.Sequential`, past modules
    that pass their input on, as Dropout does in eval mode. Elsewhere the order of a pass cannot be read off the
    modules, and an `Affine` takes its place. An `Affine` also replaces a norm behind a layer that occurs more than
    once, is parametrized or has hooks, or that a list or dict of a module holds too. A norm with hooks or a `forward`
    of its own is left as it is, and so is a norm of another library. `notice` is told each of those, and why; the
    default is `warnings.warn`. Frozen parameters stay frozen, and dtypes are kept.

    A norm that a Linear took up refuses other inputs than (N, C), where the two act on different axes.

    Raises ValueError for a model in which a norm is not in the mode `eval`, and for norms without running statistics:
    their output depends on the batch and cannot be folded. Raises ConfigError for a model that cannot be copied.
    """
    _refuse(model)
    copied = duplicate(model)
    folding = _Folding(Counter(m for _, m in copied.named_modules(remove_duplicate=False)), held_outside(copied))
    with torch.no_grad():
        if _foldable(copied):
            copied = folding.alone(copied, "", NOT_IN_ORDER)
        else:
            folding.fold_children(copied, "")
    unknown = (leave_alone(path, norm, "fold") for path, norm in foreign(model))
    for sentence in (*folding.said, *unknown):
        (notice or _warn)(sentence)
    return copied


@dataclass
class _Folding:
    """One run of `fold`: how often each module occurs, which something else holds, and the sentences for `notice`.

    Modules are replaced and not changed: another holder of one still computes the same.
    """

    uses: Counter[nn.Module]
    held: set[nn.Module]
    said: list[str] = field(default_factory=list)

    def fold_children(self, module: nn.Module, prefix: str) -> None:
        """Replace the norms below `module`, and the layers that take them up."""
        name_before, before = "", None
        in_order = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
        for name, child in list(_torch.children(module)):
            path = f"{prefix}{name}"
            if not _foldable(child):
                self.fold_children(child, f"{path}.")
            else:
                objection = self.objection(before, child) if in_order else NOT_IN_ORDER
                if objection or _more(child):
                    child = self.alone(child, path, objection)
                    setattr(module, name, child)
                else:
                    assert isinstance(before, Layer)
                    layer = _absorb(before, child)
                    # A second norm in a row folds into the new layer.
                    self.uses[layer] = 1
                    setattr(module, name_before, layer)
                    setattr(module, name, Absorbed(layer.weight.ndim))
                    before = layer
                    continue
            if not _passes_on(child):
                name_before, before = name, child

    def alone(self, norm: nn.Module, path: str, why: str) -> nn.Module:
        """The module in place of a norm that no layer took up; says so."""
        more = _more(norm)
        left = f"as it is: {more}" if more else f"as a multiply-add: {why}"
        self.said.append(f"{describe(path, norm)} is left {left}")
        return norm if more else Affine(*inference_terms_of(norm), _learns(norm))

    def objection(self, layer: nn.Module | None, norm: nn.Module) -> str:
        """Why a norm cannot be taken up by the module before it; empty if it can."""
        if not isinstance(layer, Layer):
            return "no Linear or Conv stands right before it"
        if norm in self.held:
            return f"{HELD} it too"
        before = f"the {type(layer).__name__} before it"
        if layer in self.held:
            return f"{HELD} {before}"
        if self.uses[layer] > 1:
            return f"{before} is used more than once"
        exact = type(layer) in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
        if not exact or _torch.has_hooks(layer) or "forward" in vars(layer):
            return f"{before} is parametrized, hooked or a subclass of torch's"
        return ""


def _foldable(module: nn.Module) -> bool:
    """Whether a module is a batch norm: of ours or torch's, with statistics over the batch."""
    return isinstance(module, RunningNorm | _torch.NormBase) and not is_per_sample(module)


def _more(norm: nn.Module) -> str:
    """The part of a norm that is no multiply-add, in words; empty if there is none."""
    if "forward" in vars(norm) or type(norm).forward not in FORWARDS:
        return "it has a forward of its own"
    return "it has hooks" if _torch.has_hooks(norm) else ""


def _passes_on(module: nn.Module) -> bool:
    """Whether a module gives its input on unchanged. A subclass may do anything."""
    idle = type(module) in (nn.Identity, Absorbed) or (type(module) is nn.Dropout and not module.training)
    return idle and not _torch.has_hooks(module)


def _learns(module: nn.Module) -> bool:
    return any(p.requires_grad for p in module.parameters())


def _absorb(layer: Layer, norm: nn.Module) -> Layer:
    """The layer and the norm behind it as one new layer, of the layer's dtype."""
    new, weight = duplicate(layer), to_compute_dtype(layer.weight)
    assert isinstance(new, Layer)
    scale, shift = (term.to(weight.dtype) for term in inference_terms_of(norm))
    bias = shift if layer.bias is None else layer.bias.to(weight.dtype) * scale + shift
    learns = _learns(norm) if layer.bias is None else layer.bias.requires_grad
    weight = weight * scale.reshape(-1, *(1,) * (weight.ndim - 1))
    new.weight = nn.Parameter(weight.to(layer.weight.dtype), layer.weight.requires_grad)
    new.bias = nn.Parameter(bias.to(layer.weight.dtype), learns)
    return new


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)


def _refuse(model: nn.Module) -> None:
    for path, module in model.named_modules():
        if not _foldable(module):
            continue
        what, mode = describe(path, module), mode_of(module)
        if mode != "eval":
            raise ValueError(f"cannot fold {what}: it is in mode {mode!r}, expected 'eval'; call model.eval() first")
        if not statistics_of(module):
            raise ValueError(f"cannot fold {what}: it has no running statistics and normalizes with each batch")
