r"""Batch normalization folded away at inference.

With running statistics a batch norm is one multiply-add per channel, y = a x + c with

    a = gamma (running_var + eps)^(-1/2),    c = beta - a running_mean

and where a Linear or Conv stands right before it, x = W h + b, the two are one: W' = a W (row by row), b' = a b + c.

Source: Ioffe & Szegedy 2015, arXiv:1502.03167, sec. 3.1, algorithm 2 line 11.
"""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as TorchsBatchNorm
from torch.nn.modules.conv import _ConvNd

from rlnorm.nn._channels import inference_terms
from rlnorm.nn._standardize import along
from rlnorm.nn.batch import BatchNorm
from rlnorm.nn.batch_renorm import BatchRenorm
from rlnorm.nn.mean_only import MeanOnlyBatchNorm
from rlnorm.nn.modes import Moded

Foldable = BatchNorm | BatchRenorm | MeanOnlyBatchNorm | TorchsBatchNorm


class Affine(nn.Module):
    """y = a x + c per channel: what is left of a batch norm that no layer could take up."""

    def __init__(self, scale: Tensor, shift: Tensor):
        super().__init__()
        self.scale, self.shift = nn.Parameter(scale.detach().clone()), nn.Parameter(shift.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """x (N, C, ...) -> same shape."""
        axis = 1 - x.ndim
        return torch.addcmul(along(self.shift, axis), x, along(self.scale, axis))


def fold(model: nn.Module, notice: Callable[[str], None] | None = None) -> nn.Module:
    """A copy of `model`, in eval mode, in which every batch norm is one multiply-add, folded where that can be.

    A norm is folded into the Linear or Conv right before it in the same `nn.Sequential`; elsewhere the order of a pass
    cannot be read off the modules, and an `Affine` takes its place. `notice` is told each of those, and why.

    Raises ValueError for a model in which a norm is not in the mode `eval`, and for norms without running statistics:
    their output depends on the batch and cannot be folded.
    """
    _refuse(model)
    folded = copy.deepcopy(model)
    with torch.no_grad():
        _fold_children(folded, "", notice or (lambda _: None))
        return _affine(folded) if isinstance(folded, Foldable) else folded


def _fold_children(module: nn.Module, prefix: str, notice: Callable[[str], None]) -> None:
    before: nn.Module | None = None
    for name, child in list(module.named_children()):
        path = f"{prefix}{name}"
        if not isinstance(child, Foldable):
            _fold_children(child, f"{path}.", notice)
        elif isinstance(module, nn.Sequential) and isinstance(before, nn.Linear | _ConvNd) and not _transposed(before):
            _absorb(before, _affine(child))
            setattr(module, name, nn.Identity())
            # A second norm in a row folds into the same layer.
            child = before
        else:
            setattr(module, name, _affine(child))
            where = "no Linear or Conv stands right before it"
            why = where if isinstance(module, nn.Sequential) else "it does not stand in a Sequential"
            notice(f"{path} ({type(child).__name__}) is left as a multiply-add: {why}")
        if not isinstance(child, nn.Identity | nn.Dropout):
            before = child


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


def _absorb(layer: nn.Linear | _ConvNd, affine: Affine) -> None:
    weight = layer.weight
    layer.weight = nn.Parameter(weight * affine.scale.reshape(-1, *(1,) * (weight.ndim - 1)))
    bias = affine.shift if layer.bias is None else layer.bias * affine.scale + affine.shift
    layer.bias = nn.Parameter(bias.detach().clone())


def _transposed(layer: nn.Module) -> bool:
    return getattr(layer, "transposed", False)


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
