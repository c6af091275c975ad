"""Uses of tools that train models: over processes, averaged, and those that look for batch norms."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim import swa_utils
from torch.utils._pytree import tree_map

from rlnorm import nn as rn
from rlnorm.validation.compatibility.outcome import NothingToDo, Otherwise, Subject, Use
from rlnorm.validation.compatibility.passes import evaluated, loss_of, outputs, plain_evaluation


class Scaled(nn.Module):
    """A model around a module with a parameter in every case: tools for training take no model without."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body
        self.scale = nn.Parameter(torch.ones(2))

    def forward(self, *x: Tensor) -> object:
        """The body's outputs, times the scale."""
        return tree_map(lambda y: y * self.scale.mean(), self.body(*x))


def _half(subject: Subject, rank: int) -> list[Tensor]:
    return [x.chunk(2)[rank] for x in subject.inputs]


def _step(model: nn.Module, inputs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Outputs, and the gradients that a backward pass leaves."""
    values = outputs(model.train(), inputs)
    loss_of(values).backward()
    grads = [p.grad for p in model.parameters()]
    return values, [g.full_tensor() if isinstance(g, DTensor) else g for g in grads if g is not None]


def _both_halves(subject: Subject) -> list[Tensor]:
    models = [Scaled(subject.make()) for _ in range(2)]
    steps = [_step(model, _half(subject, rank)) for rank, model in enumerate(models)]
    grads = [(a + b) / 2 for a, b in zip(*(grads for _, grads in steps))]
    mine = dist.get_rank()
    return [*steps[mine][0], *grads, *models[mine].buffers()]


def data_parallel(subject: Subject) -> list[Tensor]:
    """One step under DDP, half of the rows in each process."""
    model = DistributedDataParallel(Scaled(subject.make()))
    values, grads = _step(model, _half(subject, dist.get_rank()))
    return [*values, *grads, *model.buffers()]


def sharded(subject: Subject) -> list[Tensor]:
    """One step with parameters sharded over two processes, half of the rows in each."""
    model = Scaled(subject.make())
    fully_shard(model, mesh=init_device_mesh("cpu", (2,)))
    values, grads = _step(model, _half(subject, dist.get_rank()))
    return [*values, *grads, *model.buffers()]


@torch.no_grad()
def _multiplied(module: nn.Module, factor: float) -> nn.Module:
    for parameter in module.parameters():
        parameter.mul_(factor)
    return module


def averaged(subject: Subject) -> list[Tensor]:
    """Outputs of an AveragedModel of the parameters and of twice the parameters."""
    module = Scaled(subject.make())
    average = swa_utils.AveragedModel(module)
    average.update_parameters(module)
    average.update_parameters(_multiplied(module, 2))
    return evaluated(average, subject.inputs)


def plain_average(subject: Subject) -> list[Tensor]:
    """Outputs of the module with the mean of both."""
    return evaluated(_multiplied(Scaled(subject.make()), 1.5), subject.inputs)


def _batches(subject: Subject) -> list[Tensor]:
    return [*subject.inputs[0].chunk(2)]


def updated_by_ours(subject: Subject) -> list[Tensor]:
    """Buffers after `rlnorm.nn.update_bn`."""
    module = subject.make()
    if len(subject.inputs) > 1 or not rn.update_bn(_batches(subject), module):
        raise NothingToDo
    return [*module.buffers()]


def updated_by_torchs(subject: Subject) -> list[Tensor]:
    """Buffers after `torch.optim.swa_utils.update_bn`."""
    updated_by_ours(subject)
    module = subject.make()
    swa_utils.update_bn(_batches(subject), module)
    if all(torch.equal(a, b) for a, b in zip(module.buffers(), subject.make().buffers())):
        raise Otherwise("it is passed by without a word: its statistics stay as they were")
    return [*module.buffers()]


def synchronized(subject: Subject) -> list[Tensor]:
    """Outputs after `SyncBatchNorm.convert_sync_batchnorm`."""
    updated_by_ours(subject)
    module = nn.SyncBatchNorm.convert_sync_batchnorm(subject.make())
    if not any(isinstance(m, nn.SyncBatchNorm) for m in module.modules()):
        raise Otherwise("it is passed by without a word: each process keeps statistics of its own rows")
    return evaluated(module, subject.inputs)


USES = (
    Use(
        "DDP",
        "`DistributedDataParallel` on gloo, two processes with half of the rows each; outputs, gradients, buffers",
        data_parallel,
        _both_halves,
        processes=2,
    ),
    Use(
        "FSDP2",
        "`fully_shard` on gloo, two processes with half of the rows each; outputs, gradients, buffers",
        sharded,
        _both_halves,
        processes=2,
    ),
    Use("AveragedModel", "`swa_utils.AveragedModel` of two states; outputs", averaged, plain_average),
    Use(
        "update_bn",
        "`swa_utils.update_bn` with two batches; buffers",
        updated_by_torchs,
        updated_by_ours,
        instead="call `rlnorm.nn.update_bn`, which knows torch's norms and ours",
    ),
    Use(
        "SyncBatchNorm",
        "`SyncBatchNorm.convert_sync_batchnorm` finds it; outputs",
        synchronized,
        plain_evaluation,
        instead='`rlnorm.nn.convert(model, {"batch": "torch.batch"})` first; the other norms have no such form',
    ),
)
