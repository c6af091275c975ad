"""Uses of tools that find batch norms by torch's class."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import replace_all_batch_norm_modules_
from torch.fx.experimental.optimization import fuse
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import swa_utils

from rlnorm import nn as rn
from rlnorm.nn.laws.case import CONVS
from rlnorm.validation.compatibility.derivatives import IN_MODE_BATCH, one_by_one_training, per_sample_training
from rlnorm.validation.compatibility.outcome import NothingToDo, Otherwise, Subject, Tensors, Use
from rlnorm.validation.compatibility.passes import evaluated, outputs, plain_evaluation


def of_norms_with_statistics(do: Callable[[Subject], Tensors]) -> Callable[[Subject], Tensors]:
    """`do` for modules with running statistics of batches; for others there is nothing to do."""

    def restricted(subject: Subject) -> Tensors:
        if len(subject.inputs) > 1 or not rn.update_bn(_batches(subject), subject.make()):
            raise NothingToDo
        return do(subject)

    return restricted


def _batches(subject: Subject) -> list[Tensor]:
    return [*subject.inputs[0].chunk(2)]


def updated_by_torchs(subject: Subject) -> list[Tensor]:
    """Buffers after `torch.optim.swa_utils.update_bn`."""
    module = subject.make()
    swa_utils.update_bn(_batches(subject), module)
    if all(torch.equal(a, b) for a, b in zip(module.buffers(), subject.make().buffers())):
        raise Otherwise("the tool skips it silently: its statistics stay as they were")
    return [*module.buffers()]


def updated_by_ours(subject: Subject) -> list[Tensor]:
    """Buffers after `rlnorm.nn.update_bn`."""
    module = subject.make()
    rn.update_bn(_batches(subject), module)
    return [*module.buffers()]


def synchronized(subject: Subject) -> list[Tensor]:
    """Outputs after `SyncBatchNorm.convert_sync_batchnorm`."""
    module = nn.SyncBatchNorm.convert_sync_batchnorm(subject.make())
    if not any(isinstance(m, nn.SyncBatchNorm) for m in module.modules()):
        raise Otherwise("the tool skips it silently: each process keeps statistics of its own rows")
    return evaluated(module, subject.inputs)


def frozen(subject: Subject) -> list[Tensor]:
    """Outputs and buffers after a pass in train mode, batch norms found by class and put in eval mode."""
    module = subject.make().train()
    for each in module.modules():
        if isinstance(each, _BatchNorm):
            each.eval()
    values = outputs(module, subject.inputs)
    if not all(torch.equal(a, b) for a, b in zip(module.buffers(), subject.make().buffers())):
        raise Otherwise("the tool skips it silently: its statistics go on moving")
    return [*values, *module.buffers()]


def plainly_frozen(subject: Subject) -> list[Tensor]:
    """Outputs and buffers after a pass in eval mode."""
    module = subject.make()
    return [*evaluated(module, subject.inputs), *module.buffers()]


def without_statistics(subject: Subject) -> list[Tensor]:
    """`vmap(grad(loss))` in train mode after `torch.func.replace_all_batch_norm_modules_`."""
    return per_sample_training(replace(subject, make=lambda: replace_all_batch_norm_modules_(subject.make())))


def _after_a_layer(subject: Subject) -> nn.Sequential:
    norm, (x,) = subject.make(), subject.inputs
    if not hasattr(norm, "num_features"):
        raise NothingToDo
    layer = nn.Linear(4, 4) if x.ndim == 2 else CONVS[x.ndim - 2](4, 4, 1)
    return nn.Sequential(layer, norm)


def fused(subject: Subject) -> list[Tensor]:
    """Outputs of a layer and the norm after `torch.fx.experimental.optimization.fuse`."""
    model = fuse(_after_a_layer(subject).eval())
    if len(list(model.children())) > 1:
        raise Otherwise("the tool skips it silently: the norm stays where it is")
    return outputs(model, subject.inputs)


def plainly_after_a_layer(subject: Subject) -> list[Tensor]:
    """Outputs of a layer and the norm."""
    return evaluated(_after_a_layer(subject), subject.inputs)


USES = (
    Use(
        "update_bn",
        "`swa_utils.update_bn` with two batches; buffers",
        of_norms_with_statistics(updated_by_torchs),
        updated_by_ours,
        instead="call `rlnorm.nn.update_bn`, which knows torch's norms and ours",
    ),
    Use(
        "SyncBatchNorm",
        "`SyncBatchNorm.convert_sync_batchnorm`; outputs",
        of_norms_with_statistics(synchronized),
        plain_evaluation,
        instead='`rlnorm.nn.convert(model, {"batch": "torch.batch"})` first; the other norms have no such form',
    ),
    Use(
        "freezing by class",
        "`eval()` of each `isinstance(module, _BatchNorm)` in a model in train mode; outputs and buffers",
        of_norms_with_statistics(frozen),
        plainly_frozen,
        instead='`rlnorm.nn.set_mode(model, "eval")`, which reaches the norms alone',
    ),
    Use(
        "replace_all_batch_norm",
        "`torch.func.replace_all_batch_norm_modules_`, then `vmap(grad(loss))` in train mode; gradients",
        of_norms_with_statistics(without_statistics),
        one_by_one_training,
        instead=IN_MODE_BATCH,
    ),
    Use(
        "fuse",
        "`torch.fx.experimental.optimization.fuse` of a Linear or Conv and the norm; outputs",
        of_norms_with_statistics(fused),
        plainly_after_a_layer,
        instead="`rlnorm.nn.fold(model)`",
    ),
)
