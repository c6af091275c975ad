r"""Batch normalization folded away at inference.

With running statistics a batch norm is one multiply-add per channel, y = a x + c with

    a = gamma (running_var + eps)^(-1/2),    c = beta - a running_mean

and where a Linear or Conv stands right before it, x = W h + b, the two are one: W' = a W (row by row), b' = a b + c.

Source: Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1, algorithm 2 line 11.
"""

import copy
import warnings
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as TorchsBatchNorm

from rlnorm.nn._channels import inference_terms
from rlnorm.nn._standardize import along
from rlnorm.nn.batch import BatchNorm
from rlnorm.nn.batch_renorm import BatchRenorm
from rlnorm.nn.mean_only import MeanOnlyBatchNorm
from rlnorm.nn.modes import Moded

Layer = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
Foldable = BatchNorm | BatchRenorm | MeanOnlyBatchNorm | TorchsBatchNorm
FORWARDS = {kind.forward for kind in (BatchNorm, BatchRenorm, MeanOnlyBatchNorm, TorchsBatchNorm, nn.SyncBatchNorm)}
NOT_IN_ORDER = "it does not stand in a Sequential"


class Affine(nn.Module):
    """y = a x + c per channel: what is left of a batch norm that no layer could take up."""

    def __init__(self, scale: Tensor, shift: Tensor):
        super().__init__()
        self.scale, self.shift = nn.Parameter(scale.detach().clone()), nn.Parameter(shift.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) -> same shape."""
        axis = 1 - x.ndim
        return torch.addcmul(along(self.shift, axis), x, along(self.scale, axis))


class Absorbed(nn.Module):
    """Stands where a norm was taken up by the layer before it; passes on inputs of the rank for which that is right.

    A Linear acts on the last axis and a norm on the second: they are the same axis for (N, C) alone.
    """

    def __init__(self, ndim: int):
        super().__init__()
        self.ndim = ndim

    def forward(self, x: Tensor) -> Tensor:
        """x -> x. Raises RuntimeError for another number of dimensions."""
        if x.ndim != self.ndim:
            raise RuntimeError(
                f"a norm was folded into the layer before it, which is right for {self.ndim}-D outputs only, but got "
                f"{tuple(x.shape)}; use the model as it was before `fold`"
            )
        return x


def fold(model: nn.Module, notice: Callable[[str], None] | None = None) -> nn.Module:
    """A copy of `model` in which every batch norm is one multiply-add, folded where that can be.

    A norm is folded into the Linear or Conv right before it in the same `nn.Sequential`, past what passes its input on,
    as Dropout does in eval mode; elsewhere the order of a pass cannot be read off the modules, and an `Affine` takes
    its place. So it does behind a layer that occurs more than once, is parametrized or has hooks. A norm with hooks or
    a `forward` of its own is left as it is. `notice` is told each of those, and why; the default is `warnings.warn`.

    A norm that a Linear took up refuses other inputs than (N, C), where the two act on different axes.

    Raises ValueError for a model in which a norm is not in the mode `eval`, and for norms without running statistics:
    their output depends on the batch and cannot be folded.
    """
    _refuse(model)
    folded, said = copy.deepcopy(model), list[str]()
    with torch.no_grad():
        if isinstance(folded, Foldable):
            folded = _alone(folded, "the model", NOT_IN_ORDER, said)
        else:
            uses = Counter(m for _, m in folded.named_modules(remove_duplicate=False))
            _fold_children(folded, "", said, uses)
    for sentence in said:
        (notice or _warn)(sentence)
    return folded


def _fold_children(module: nn.Module, prefix: str, said: list[str], uses: Counter[nn.Module]) -> None:
    before: nn.Module | None = None
    in_order = isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward
    # Not `named_children`, which leaves out the second place of a norm that has two.
    for name, child in list(module._modules.items()):
        if child is None:
            continue
        path = f"{prefix}{name}"
        if not isinstance(child, Foldable):
            _fold_children(child, f"{path}.", said, uses)
        elif in_order and isinstance(before, Layer) and not _objection(before, uses) and not _more(child):
            _absorb(before, _affine(child))
            setattr(module, name, Absorbed(before.weight.ndim))
            # A second norm in a row folds into the same layer.
            child = before
        else:
            setattr(module, name, _alone(child, path, _objection(before, uses) if in_order else NOT_IN_ORDER, said))
        if not _passes_on(child):
            before = child


def _alone(norm: Foldable, path: str, why: str, said: list[str]) -> nn.Module:
    """What stands for a norm that no layer took up, and in `said` a sentence more."""
    more = _more(norm)
    left = f"as it is: {more}" if more else f"as a multiply-add: {why}"
    said.append(f"{path} ({type(norm).__name__}) is left {left}")
    return norm if more else _affine(norm)


def _more(norm: Foldable) -> str:
    """What a norm does that a multiply-add would not; empty if nothing."""
    if "forward" in vars(norm) or type(norm).forward not in FORWARDS:
        return "it has a forward of its own"
    return "it has hooks" if _hooked(norm) else ""


def _passes_on(module: nn.Module) -> bool:
    """Whether a module gives its input on unchanged. A subclass may do anything."""
    idle = type(module) in (nn.Identity, Absorbed) or (type(module) is nn.Dropout and not module.training)
    return idle and not _hooked(module)


def _hooked(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _affine(norm: nn.Module) -> Affine:
    if isinstance(norm, MeanOnlyBatchNorm):
        return Affine(*inference_terms(norm.running_mean, torch.ones_like(norm.running_mean), None, norm.bias))
    if isinstance(norm, BatchRenorm):
        return Affine(*inference_terms(norm.running_mean, 1 / norm.running_std, norm.weight, norm.bias))
    assert isinstance(norm, BatchNorm | TorchsBatchNorm)
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None
    assert var is not None
    return Affine(*inference_terms(mean, (var + norm.eps).rsqrt(), norm.weight, norm.bias))


def _absorb(layer: Layer, affine: Affine) -> None:
    weight = layer.weight
    layer.weight = nn.Parameter(weight * affine.scale.reshape(-1, *(1,) * (weight.ndim - 1)))
    bias = affine.shift if layer.bias is None else layer.bias * affine.scale + affine.shift
    layer.bias = nn.Parameter(bias.detach().clone())


def _objection(layer: nn.Module | None, uses: Counter[nn.Module]) -> str:
    """Why a norm cannot be taken up by the module before it; empty if it can."""
    if not isinstance(layer, Layer):
        return "no Linear or Conv stands right before it"
    if uses[layer] > 1:
        return f"the {type(layer).__name__} before it is used more than once"
    if type(layer) not in (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d) or _hooked(layer) or "forward" in vars(layer):
        return f"the {type(layer).__name__} before it is parametrized, hooked or a subclass of torch's"
    return ""


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)


def _refuse(model: nn.Module) -> None:
    for path, module in model.named_modules():
        if not isinstance(module, Foldable):
            continue
        what = f"{path or 'the model'} ({type(module).__name__})"
        mode = module.mode if isinstance(module, Moded) else ("train" if module.training else "eval")
        if mode != "eval":
            raise ValueError(f"cannot fold {what}: it is in mode {mode!r}, expected 'eval'; call model.eval() first")
        if module.running_mean is None:
            raise ValueError(f"cannot fold {what}: it has no running statistics and normalizes with each batch")
