"""Running statistics of a trained model estimated anew, and parameters that weight decay should leave alone.

`torch.optim.swa_utils.update_bn` looks for torch's own class and skips ours without a word; ours knows both.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.instancenorm import _InstanceNorm as TorchsInstanceNorm
from torch.utils.hooks import RemovableHandle

from rlnorm.nn._channels import ChannelNorm
from rlnorm.nn._wrap import Reparametrized
from rlnorm.nn.batch_renorm import BatchRenorm
from rlnorm.nn.layer import LayerNorm
from rlnorm.nn.mean_only import MeanOnlyBatchNorm
from rlnorm.nn.modes import Mode, Moded, set_mode
from rlnorm.nn.rms import RMSNorm

SPARED = (Reparametrized, LayerNorm, RMSNorm, nn.LayerNorm, nn.RMSNorm)
Averaging = ChannelNorm | BatchRenorm | MeanOnlyBatchNorm | _NormBase


@torch.no_grad()
def update_bn(loader: Iterable[Any], model: nn.Module, device: int | torch.device | str | None = None) -> int:
    """Forget the running statistics of every norm in `model` and take their plain averages over `loader`.

    loader  yields batches: inputs of the model, as it takes them, or tuples or lists that begin with one
    device  where each input is sent before its pass; None: it stays where it is

    Returns the number of norms that were updated. The model's other modules stay in their mode, the norms return to
    theirs, and batch renormalization keeps its place in its schedule. Raises ValueError for no batches; after any error
    nothing was forgotten. Signature after `torch.optim.swa_utils.update_bn`.
    """
    norms = [m for m in model.modules() if isinstance(m, Averaging) and getattr(m, "running_mean", None) is not None]
    batches = iter(loader)
    first = next(batches, None)
    if first is None:
        raise ValueError("update_bn expected at least one batch, got none")
    with _averaging(norms):
        for batch in chain([first], batches):
            x = batch[0] if isinstance(batch, tuple | list) else batch
            model(x if device is None else x.to(device))
    return len(norms)


@contextmanager
def _averaging(norms: Sequence[nn.Module]) -> Iterator[None]:
    momenta = [norm.__dict__["momentum"] for norm in norms]
    modes: list[Mode] = [m.mode if isinstance(m, Moded) else "train" if m.training else "eval" for m in norms]
    kept = [(name, buffer, buffer.clone()) for norm in norms for name, buffer in norm.named_buffers()]
    for norm in norms:
        norm.__dict__["momentum"] = None
        _forget(norm)
        set_mode(norm, "train")
    counting = [_count(norm) for norm in norms if isinstance(norm, TorchsInstanceNorm)]
    try:
        yield
    except BaseException:
        for _, buffer, before in kept:
            buffer.copy_(before)
        raise
    else:
        for name, buffer, before in kept:
            if name == "running_updates":
                buffer.copy_(before)
    finally:
        for handle in counting:
            handle.remove()
        for norm, mode, momentum in zip(norms, modes, momenta, strict=True):
            norm.__dict__["momentum"] = momentum
            set_mode(norm, mode)


def _count(norm: TorchsInstanceNorm) -> RemovableHandle:
    """Give the k-th batch of torch's instance norm the share 1/k: without a momentum torch gives it none."""
    batches = count(1)

    def share(*_: object) -> None:
        norm.momentum = 1 / next(batches)

    return norm.register_forward_pre_hook(share)


def _forget(norm: nn.Module) -> None:
    for name, buffer in norm.named_buffers():
        buffer.fill_(1 if name in ("running_var", "running_std") else 0)


def no_decay_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that weight decay should leave alone: every bias, and gamma, beta and gains of norms.

    The rest is what decay is for: weights with two or more dimensions. The weight of a layer that a norm wraps is left
    alone too: decay would only change its length, which does nothing but raise its learning rate.
    Source: Goyal et al. 2017, arXiv:1706.02677, sec. 5.1; for wrapped weights van Laarhoven 2017, arXiv:1706.05350.
    """
    spared = {id(p) for m in model.modules() if isinstance(m, SPARED) for p in m.parameters()}
    return [p for p in model.parameters() if p.ndim < 2 or id(p) in spared]
